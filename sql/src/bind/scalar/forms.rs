//! What SQL has words for: like, case, extract, at time zone, any.
use super::*;

impl Scalars<'_> {
    pub(super) fn is(&mut self, inner: &Ast, what: bool, negated: bool) -> Bound {
        let inner = self.condition(inner)?;
        Ok(negate_if(negated, Expr::Is(Box::new(inner), what)))
    }

    pub(super) fn same(&mut self, a: &Ast, b: &Ast, place: Place) -> Result<Expr, Problem> {
        let (a, b) = (self.bind(a)?, self.bind(b)?);
        match self.operator("=", a, b, place)?.expr {
            Expr::Compare(_, a, b) => Ok(Expr::Same(a, b)),
            _ => Err(Problem::new(place, "these two are not compared here")),
        }
    }

    pub(super) fn like(
        &mut self,
        expr: &Ast,
        pattern: &Ast,
        escape: Option<&Ast>,
        negated: bool,
        place: Place,
    ) -> Bound {
        let mut sides = Vec::new();
        for side in [Some(expr), Some(pattern), escape].into_iter().flatten() {
            let side = self.value(side)?;
            if !side.kind().is_text() {
                return Err(Problem::new(
                    place,
                    format!("like is of texts, and this is of type {}", side.sql_type),
                ));
            }
            // PostgreSQL compares a `char(n)` with its blanks here.
            let is_whole = sides.is_empty() && side.kind() == Kind::Bpchar;
            sides.push(if is_whole { side.expr } else { self.implicit(side, Kind::Text)?.expr });
        }
        let mut sides = sides.into_iter();
        let (Some(text), Some(mut pattern)) = (sides.next(), sides.next()) else {
            return Err(Problem::new(place, "like is of two texts"));
        };
        if let Some(escape) = sides.next() {
            pattern = Expr::Call(Function::LikeEscape, vec![pattern, escape]);
        }
        Ok(negate_if(negated, Expr::Call(Function::Like, vec![text, pattern])))
    }

    /// Several constants are of one type together, and are looked at first; all others are compared one by one.
    pub(super) fn in_list(
        &mut self,
        value: &Ast,
        list: &[Ast],
        place: Place,
    ) -> Result<Expr, Problem> {
        let value = self.bind(value)?;
        let all = list.iter().map(|one| self.bind(one)).collect::<Result<Vec<_>, _>>()?;
        let is_constant = |one: &Typed| {
            let mut has_columns = false;
            one.expr.each_column(&mut |_| has_columns = true);
            !has_columns
        };
        let (mut constants, mut others): (Vec<_>, Vec<_>) = all.into_iter().partition(is_constant);
        if constants.len() > 1 && value.kind() != Kind::Enum {
            let kinds: Vec<Kind> =
                std::iter::once(&value).chain(&constants).map(Typed::kind).collect();
            let kind =
                common(&kinds).ok().filter(|kind| kinds.iter().all(|from| becomes(*from, *kind)));
            if let Some(kind) = kind {
                constants = constants
                    .into_iter()
                    .map(|one| self.implicit(one, kind))
                    .collect::<Result<_, _>>()?;
            }
        } else if constants.len() == 1 && !others.is_empty() {
            // One constant is compared where it stands.
            others = list.iter().map(|one| self.bind(one)).collect::<Result<Vec<_>, _>>()?;
            constants.clear();
        }
        let mut any = Vec::new();
        for one in constants.into_iter().chain(others) {
            any.push(self.operator("=", value.clone(), one, place)?.expr);
        }
        Ok(if any.len() == 1 { any.remove(0) } else { Expr::Or(any) })
    }

    pub(super) fn is_any(&mut self, left: &Ast, right: &Ast, place: Place) -> Bound {
        let list = self.bind(right)?;
        if list.kind() != Kind::TextArray {
            return self.refuse(place, "= any is of a column of type text[]", "write x in (a, b)");
        }
        let value = self.value(left)?;
        if !matches!(value.kind(), Kind::Text | Kind::Varchar) {
            return Err(Problem::new(
                place,
                format!("a {} is no element of a text[]", value.sql_type),
            ));
        }
        Ok(Typed::new(Expr::IsAny(Box::new(value.expr), Box::new(list.expr)), Kind::Bool))
    }

    pub(super) fn subscript(&mut self, root: &Ast, chain: &[AccessExpr], place: Place) -> Bound {
        let [AccessExpr::Subscript(Subscript::Index { index })] = chain else {
            return self.refuse(
                place,
                "parts of arrays and of rows are not taken here",
                "write x[1], or a column's name",
            );
        };
        let list = self.bind(root)?;
        if list.kind() != Kind::TextArray {
            return self.refuse(
                place,
                "[...] is of a text[]",
                "write x -> 'name' or x -> 0 for jsonb",
            );
        }
        let at = self.bind(index)?;
        if !matches!(at.kind(), Kind::Int2 | Kind::Int4) {
            return Err(Problem::new(place, "the place of an element is an integer"));
        }
        Ok(Typed::new(Expr::Call(Function::Element, vec![list.expr, at.expr]), Kind::Text))
    }

    pub(super) fn case(
        &mut self,
        operand: Option<&Ast>,
        conditions: &[ast::CaseWhen],
        last: Option<&Ast>,
        place: Place,
    ) -> Bound {
        let operand = operand.map(|operand| self.value(operand)).transpose()?;
        let mut whens = Vec::new();
        let mut values = Vec::new();
        for ast::CaseWhen { condition, result } in conditions {
            whens.push(match &operand {
                None => self.condition(condition)?,
                Some(operand) => {
                    let value = self.bind(condition)?;
                    self.operator("=", operand.clone(), value, place)?.expr
                }
            });
            values.push(self.bind(result)?);
        }
        let last = match last {
            Some(last) => self.bind(last)?,
            None => Typed::new(Expr::Value(Cell::Null), Kind::Unknown),
        };
        // The last one is the first that PostgreSQL looks at.
        values.insert(0, last);
        let (mut values, sql_type, collation) = self.one_type("case", values, place)?;
        let last = values.remove(0);
        let expr = Expr::Case(whens.into_iter().zip(values).collect(), Box::new(last));
        Ok(Typed { expr, sql_type, collation })
    }

    pub(super) fn at_time_zone(&mut self, time: &Ast, zone: &Ast, place: Place) -> Bound {
        let (time, zone) = (self.bind(time)?, self.bind(zone)?);
        let east = self.zone(&zone.expr, place)?;
        match time.kind() {
            Kind::Timestamptz => {
                Ok(Typed::new(Expr::Call(Function::Shift(east), vec![time.expr]), Kind::Timestamp))
            }
            Kind::Timestamp => Ok(Typed::new(
                Expr::Call(Function::Shift(-east), vec![time.expr]),
                Kind::Timestamptz,
            )),
            Kind::Date => self.refuse(
                place,
                "a date at a time zone becomes a moment by a setting of the session first",
                "write x::timestamp at time zone 'UTC'",
            ),
            kind => Err(Problem::new(place, format!("a {kind} has no time zone"))),
        }
    }

    pub(super) fn extract(&mut self, field: &str, from: &Ast, place: Place) -> Bound {
        let field = literal::field(field, place)?;
        let time = self.bind(from)?;
        let kind = time.kind();
        let is_small = matches!(
            field,
            Field::Microseconds | Field::Milliseconds | Field::Second | Field::Minute | Field::Hour
        );
        match kind {
            Kind::Timestamp => {}
            Kind::Timestamptz if field == Field::Epoch => {}
            Kind::Date if !is_small => {}
            Kind::Date => {
                return Err(Problem::new(place, format!("a date has no {}", field.name())));
            }
            Kind::Timestamptz => {
                return self.refuse(
                    place,
                    format!(
                        "the {} of a moment depends on the time zone of the session",
                        field.name()
                    ),
                    &format!("write extract({} from x at time zone 'UTC')", field.name()),
                );
            }
            other => {
                return Err(Problem::new(
                    place,
                    format!("extract is of dates and times, and this is of type {other}"),
                ));
            }
        }
        Ok(Typed::new(Expr::Call(Function::Extract(field, kind), vec![time.expr]), Kind::Numeric))
    }
}
