//! The end: what depends on the owner's row alone is made there, slots are numbered, and the key is found among the columns.
use super::{
    Maker, NormalForm, Own, Part, PartAggregate, ShownColumn,
    facts::may_divide_by_zero,
    shape::{OWN, OwnRows, PART, PARTS, Shape, Star},
};
use crate::{
    expr::{Comparison, Expr},
    problem::Problem,
    relation::OutputColumn,
    types::Kind,
};
use views::Cell;

impl Maker<'_> {
    pub(super) fn finish(
        &mut self,
        shape: Shape,
        columns: &[OutputColumn],
    ) -> Result<NormalForm, Problem> {
        let star = self.star_of(shape)?;
        let mut key = Vec::new();
        for at in 0..star.key_width {
            match star.columns.iter().position(|column| *column == Expr::Column(at)) {
                Some(place) => key.push(place),
                None => {
                    let name = self.key_name(&star, at);
                    return self.refuse(
                        format!("the view does not show {name}, by which its rows are told apart"),
                        format!("add {name} to the select list"),
                    );
                }
            }
        }
        if let Some(text) = &star.null_key {
            return self.refuse(
                format!("{text} may be null, and a view's key is never null"),
                format!("write where {text} is not null, or group by coalesce({text}, ...)"),
            );
        }
        let Star { key_width, own, parts, columns: values, exists, .. } = star;
        let mut own = own.map(|own| OwnSlots::new(own, key_width));
        let exists = match &mut own {
            Some(own) => own.take_filters(exists),
            None => exists,
        };
        let values: Vec<Expr> = values
            .iter()
            .map(|value| or_zero(value, &parts))
            .map(|value| match &mut own {
                Some(own) => own.gathered(&value),
                None => value,
            })
            .collect();
        let exists = match &mut own {
            Some(own) => own.gathered(&exists),
            None => exists,
        };
        let own = own.map(OwnSlots::into_own);
        let own_width = own.as_ref().map_or(0, |own| own.columns.len());
        let mut used: Vec<Vec<bool>> =
            parts.iter().map(|part| vec![false; part.aggregates.len()]).collect();
        for expr in values.iter().chain([&exists]) {
            expr.each_column(&mut |at| {
                if at >= PARTS {
                    used[(at - PARTS) / PART][(at - PARTS) % PART] = true;
                }
            });
        }
        let parts = only_used(parts, &used);
        let number = |expr: &Expr| {
            expr.with_columns(&mut |at| {
                if at < PARTS {
                    return Expr::Column(if at >= OWN { at - OWN + key_width } else { at });
                }
                let (part, aggregate) = ((at - PARTS) / PART, (at - PARTS) % PART);
                let before = used[..part].iter().flatten().chain(&used[part][..aggregate]);
                Expr::Column(key_width + own_width + before.filter(|is_used| **is_used).count())
            })
        };
        let exists = number(&exists);
        let mut shown = Vec::new();
        for (column, value) in columns.iter().zip(&values) {
            let value = number(value);
            if may_divide_by_zero(&value) {
                return self.refuse(
                    format!("{} divides sums by what may be 0, when no row is at hand that could be put aside", column.name),
                    "divide by nullif(x, 0)",
                );
            }
            shown.push(ShownColumn {
                name: column.name.clone(),
                sql_type: column.sql_type.clone(),
                value,
            });
        }
        if may_divide_by_zero(&exists) {
            return self.refuse("having divides by what may be 0", "divide by nullif(x, 0)");
        }
        Ok(NormalForm { key, columns: shown, exists, own, parts })
    }

    fn key_name(&self, star: &Star, at: usize) -> String {
        let of_own = star.own.as_ref().map(|own| (own.table, &own.key));
        let of = of_own.or_else(|| star.parts.first().map(|part| (part.table, &part.key)));
        let Some((table, key)) = of else { return "the key".into() };
        let table = &self.catalogue.tables()[table];
        let name = |at: usize| {
            table.columns.get(at).map_or_else(|| "the element".into(), |column| column.name.clone())
        };
        key.get(at).map_or_else(|| "the key".into(), |key| key.text(&name))
    }
}

/// Without the columns that nobody asks for; a part stays as long as one is asked for.
fn only_used(parts: Vec<Part>, used: &[Vec<bool>]) -> Vec<Part> {
    let keep = |(mut part, used): (Part, &Vec<bool>)| {
        let mut used = used.iter();
        part.aggregates.retain(|_| used.next().copied().unwrap_or(false));
        (!part.aggregates.is_empty()).then_some(part)
    };
    parts.into_iter().zip(used).filter_map(keep).collect()
}

/// The owner's columns as they are gathered: each expression over the owner's row alone becomes one.
struct OwnSlots {
    own: OwnRows,
    key_width: usize,
    columns: Vec<Expr>,
}
impl OwnSlots {
    fn new(own: OwnRows, key_width: usize) -> Self {
        Self { own, key_width, columns: Vec::new() }
    }

    /// The expression over the row of the table.
    fn of_row(&self, expr: &Expr) -> Expr {
        expr.with_columns(&mut |at| {
            if at < self.key_width { self.own.key[at].clone() } else { Expr::Column(at - OWN) }
        })
    }

    /// Moves what the owner's row alone decides to its filter, and hands the rest back.
    fn take_filters(&mut self, exists: Expr) -> Expr {
        let all = match exists {
            Expr::And(all) => all,
            one => vec![one],
        };
        let mut rest = Expr::TRUE;
        for one in all {
            if is_of_parts(&one) {
                rest = rest.and(one);
            } else {
                let condition = self.of_row(&one);
                self.own.filter =
                    std::mem::replace(&mut self.own.filter, Expr::TRUE).and(condition);
            }
        }
        rest
    }

    fn gathered(&mut self, expr: &Expr) -> Expr {
        expr.replaced(&mut |part| {
            let (mut has_columns, mut has_parts) = (false, false);
            part.each_column(&mut |at| {
                has_columns = true;
                has_parts |= at >= PARTS;
            });
            let is_key = matches!(part, Expr::Column(at) if *at < self.key_width);
            if has_parts || is_key || !has_columns {
                return None;
            }
            let of_row = self.of_row(part);
            let at = self.columns.iter().position(|known| *known == of_row).unwrap_or_else(|| {
                self.columns.push(of_row);
                self.columns.len() - 1
            });
            Some(Expr::Column(OWN + at))
        })
    }

    fn into_own(self) -> Own {
        let OwnRows { table, each, filter, key } = self.own;
        Own { table, filter, each, key, columns: self.columns }
    }
}

/// `coalesce(case when count(x) > 0 then sum(x) end, 0)` of whole numbers as `coalesce(sum(x), 0)`: a sum of nothing is 0, and
/// nobody has to count. The digits behind the point of a `numeric` 0 would be others.
fn or_zero(expr: &Expr, parts: &[Part]) -> Expr {
    let aggregate = |slot: &Expr| match slot {
        Expr::Column(at) if *at >= PARTS => {
            let (part, aggregate) = ((at - PARTS) / PART, (at - PARTS) % PART);
            parts.get(part)?.aggregates.get(aggregate).map(|one| (part, one))
        }
        _ => None,
    };
    expr.replaced(&mut |one| {
        let Expr::Coalesce(all) = one else { return None };
        let [Expr::Case(branches, last), Expr::Value(Cell::Int(0))] = &all[..] else { return None };
        let ([(Expr::Compare(Comparison::Greater, count, zero), sum)], Expr::Value(Cell::Null)) =
            (&branches[..], &**last)
        else {
            return None;
        };
        let (Expr::Coalesce(counted), true) = (&**count, **zero == Expr::int(0)) else {
            return None;
        };
        let (part, PartAggregate::Sum(of, Kind::Int8)) = aggregate(sum)? else { return None };
        let is_its_count = match aggregate(counted.first()?)? {
            (other, PartAggregate::Count(what)) => other == part && what == of,
            (other, PartAggregate::Rows) => other == part,
            _ => false,
        };
        is_its_count.then(|| Expr::Coalesce(vec![sum.clone(), Expr::int(0)]))
    })
}

fn is_of_parts(expr: &Expr) -> bool {
    let mut has = false;
    expr.each_column(&mut |at| has |= at >= PARTS);
    has
}
