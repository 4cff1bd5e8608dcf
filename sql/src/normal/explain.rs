//! The normal form as people read it.
use super::{NormalForm, PartAggregate};
use crate::{catalogue::Catalogue, expr::Expr};
use std::fmt::Write;

impl NormalForm {
    /// The names of the slots: of the key, of the owner's columns as `own1`, ..., of the parts' as `sum1`, ...
    fn slot_name(&self, at: usize) -> String {
        if let Some(place) = self.key.get(at) {
            return self.columns.get(*place).map_or_else(String::new, |column| column.name.clone());
        }
        let own = self.own.as_ref().map_or(0, |own| own.columns.len());
        let at = at - self.key.len();
        if at < own { format!("own{}", at + 1) } else { format!("sum{}", at - own + 1) }
    }

    /// The form as text: one line for each table that is read and for each column that is shown.
    pub fn explain(&self, view: &str, catalogue: &Catalogue) -> String {
        let mut text = String::new();
        let key: Vec<String> = self
            .key
            .iter()
            .filter_map(|at| self.columns.get(*at))
            .map(|column| format!("{} {}", column.name, column.sql_type))
            .collect();
        let _ = writeln!(text, "{view}: one row for each {}", key.join(", "));
        if let Some(own) = &self.own {
            self.explain_rows(
                &mut text,
                "own",
                catalogue,
                own.table,
                (&own.key, &own.filter, own.each.as_ref()),
            );
            let name = namer(catalogue, own.table);
            for (at, column) in own.columns.iter().enumerate() {
                let _ = writeln!(text, "    own{} = {}", at + 1, column.text(&name));
            }
        }
        let mut at = 0;
        for part in &self.parts {
            self.explain_rows(
                &mut text,
                "sum",
                catalogue,
                part.table,
                (&part.key, &part.filter, part.each.as_ref()),
            );
            let name = namer(catalogue, part.table);
            for aggregate in &part.aggregates {
                at += 1;
                let what = match aggregate {
                    PartAggregate::Rows => "count(*)".into(),
                    PartAggregate::Count(of) => format!("count({})", of.text(&name)),
                    PartAggregate::Sum(of, kind) => format!("sum({})::{kind}", of.text(&name)),
                    PartAggregate::Min(of) => format!("min({})", of.text(&name)),
                    PartAggregate::Max(of) => format!("max({})", of.text(&name)),
                };
                let _ = writeln!(text, "    sum{at} = {what}");
            }
        }
        if !self.exists.is_true() {
            let _ = writeln!(text, "  there where {}", self.exists.text(&|at| self.slot_name(at)));
        }
        for column in &self.columns {
            let _ = writeln!(
                text,
                "  {} {} = {}",
                column.name,
                column.sql_type,
                column.value.text(&|at| self.slot_name(at))
            );
        }
        text
    }

    fn explain_rows(
        &self,
        text: &mut String,
        what: &str,
        catalogue: &Catalogue,
        table: usize,
        (key, filter, each): (&[Expr], &Expr, Option<&Expr>),
    ) {
        let name = namer(catalogue, table);
        let of = &catalogue.tables()[table];
        let key: Vec<String> = key.iter().map(|key| key.text(&name)).collect();
        let _ = write!(text, "  {what} {}.{} by {}", of.schema, of.name, key.join(", "));
        if let Some(each) = each {
            let _ = write!(text, ", for each element of {}", each.text(&name));
        }
        if !filter.is_true() {
            let _ = write!(text, ", where {}", filter.text(&name));
        }
        text.push('\n');
    }
}

fn namer(catalogue: &Catalogue, table: usize) -> impl Fn(usize) -> String {
    let table = &catalogue.tables()[table];
    move |at| table.columns.get(at).map_or_else(|| "element".into(), |column| column.name.clone())
}
