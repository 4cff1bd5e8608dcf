//! Constants, casts, and the common type of several values.
use super::*;
use crate::bind::casts;

impl Scalars<'_> {
    /// The same value as one of this type, as PostgreSQL makes it without a word.
    pub(super) fn implicit(&mut self, value: Typed, to: Kind) -> Bound {
        let from = value.kind();
        if from == to {
            return Ok(value);
        }
        if from == Kind::Unknown {
            let place = self.place;
            return match value.expr {
                Expr::Value(Cell::Text(text)) => self.read(&text, &to.into(), place),
                expr => Ok(Typed::new(expr, to)),
            };
        }
        if to == Kind::Timestamptz {
            return self.refuse(
                self.place,
                format!("a {from} becomes a moment by a setting of the session"),
                "write x at time zone 'UTC'",
            );
        }
        let collation = value.collation;
        Ok(Typed {
            expr: cast_of(value.expr, from, &to.into(), self.place)?,
            sql_type: to.into(),
            collation,
        })
    }

    /// A constant between quotes as a value of this type.
    pub(super) fn read(&self, text: &str, to: &SqlType, place: Place) -> Bound {
        if let SqlType::Enum(of) = to
            && !of.labels.is_empty()
            && !of.labels.iter().any(|label| label == text)
        {
            return Err(Problem::new(place, format!("{} has no label '{text}'", of.name))
                .near(text, of.labels.iter().map(String::as_str)));
        }
        let kind = to.kind();
        let cell = match kind {
            Kind::Interval => return literal::period(text, place),
            Kind::Enum | Kind::Unknown => Ok(Cow::Owned(text.into())),
            Kind::TextArray => {
                return self.refuse(
                    place,
                    "constants of arrays are not taken here",
                    "write x = 'a' or x = 'b'",
                );
            }
            _ => eval::cast(Cow::Owned(text.into()), Kind::Unknown, to),
        };
        let cell = match (cell, kind) {
            (Ok(cell), Kind::Text | Kind::Varchar | Kind::Bpchar) => cell,
            (Ok(cell), _) => cell,
            (Err(error), _) => {
                return Err(Problem::new(place, format!("'{text}' is no {to}: {}", error.what)));
            }
        };
        Ok(Typed {
            expr: Expr::Value(cell.into_owned()),
            sql_type: to.clone(),
            collation: Collation::Default,
        })
    }

    pub(super) fn explicit(&mut self, value: Typed, to: &SqlType, place: Place) -> Bound {
        let (from, kind) = (value.kind(), to.kind());
        if from == Kind::Unknown {
            return match value.expr {
                Expr::Value(Cell::Text(text)) => self.read(&text, to, place),
                expr => Ok(Typed { expr, sql_type: to.clone(), collation: Collation::Default }),
            };
        }
        casts::check(from, &value.sql_type, to, place)?;
        if value.sql_type == *to || (from == kind && matches!(to, SqlType::Plain(_))) {
            return Ok(Typed { sql_type: to.clone(), ..value });
        }
        let collation = if kind.is_text() { value.collation } else { Collation::Default };
        Ok(Typed { expr: cast_of(value.expr, from, to, place)?, sql_type: to.clone(), collation })
    }

    /// All values as ones of their common type.
    pub(super) fn one_type(
        &mut self,
        name: &str,
        values: Vec<Typed>,
        place: Place,
    ) -> Result<(Vec<Expr>, SqlType, Collation), Problem> {
        let collation = values.iter().map(|one| one.collation).max().unwrap_or(Collation::Default);
        let known = values.iter().filter(|one| one.kind() != Kind::Unknown);
        let first = known.clone().next().map(|one| one.sql_type.clone());
        if let Some(first) = first.filter(|first| first.kind() == Kind::Enum) {
            let mut all = Vec::new();
            for one in values {
                if one.sql_type != first && one.kind() != Kind::Unknown {
                    return Err(Problem::new(
                        place,
                        format!("{name}: {first} and {} are of no common type", one.sql_type),
                    ));
                }
                all.push(self.explicit(one, &first, place)?.expr);
            }
            return Ok((all, first, collation));
        }
        let kinds: Vec<Kind> = values.iter().map(Typed::kind).collect();
        let kind = common(&kinds).map_err(|(a, b)| {
            Problem::new(place, format!("{name}: {a} and {b} are of no common type"))
                .instead("cast one: x::text")
        })?;
        if kind == Kind::Interval {
            return self.refuse(
                place,
                format!("{name} of periods: no view keeps one"),
                "write numbers of seconds",
            );
        }
        let mut all = Vec::new();
        for one in values {
            if !becomes(one.kind(), kind) {
                return Err(Problem::new(place, format!("{name}: {} is no {kind}", one.sql_type))
                    .instead("cast it: x::text"));
            }
            all.push(self.implicit(one, kind)?.expr);
        }
        Ok((all, kind.into(), collation))
    }

    pub(super) fn collate(
        &mut self,
        inner: &Ast,
        collation: &ast::ObjectName,
        place: Place,
    ) -> Bound {
        if !catalogue::is_collation_c(collation) {
            return self.refuse(
                place,
                format!("the collation {collation} is the locale's, and changes with the version of its library"),
                "write collate \"C\": by bytes, for ever",
            );
        }
        let value = self.value(inner)?;
        if !value.kind().is_text() {
            let kind = value.kind();
            return Err(Problem::new(place, format!("a {kind} has no collation")));
        }
        Ok(Typed { collation: Collation::C, ..value })
    }

    pub(super) fn type_of(
        &self,
        data_type: &ast::DataType,
        place: Place,
    ) -> Result<SqlType, Problem> {
        catalogue::type_of(data_type, &self.around.enums(), place)
    }

    pub(super) fn literal(&self, value: &Value, place: Place) -> Bound {
        match value {
            Value::Number(text, _) => literal::number(text, place),
            Value::SingleQuotedString(text) => literal::text(text, place),
            Value::DollarQuotedString(text) => literal::text(&text.value, place),
            Value::EscapedStringLiteral(text) => literal::text(text, place),
            Value::Boolean(is) => Ok(Typed::new(Expr::Value(Cell::Bool(*is)), Kind::Bool)),
            Value::Null => Ok(Typed::new(Expr::Value(Cell::Null), Kind::Unknown)),
            other => self.refuse(
                place,
                format!("{other} is no constant that is taken here"),
                "write numbers and 'texts'",
            ),
        }
    }

    /// An expression of any type: a constant without one is a text.
    pub(super) fn value(&mut self, expr: &Ast) -> Bound {
        let value = self.bind(expr)?;
        let kind = value.kind();
        if kind == Kind::Unknown { self.implicit(value, Kind::Text) } else { Ok(value) }
    }

    pub(super) fn condition(&mut self, expr: &Ast) -> Result<Expr, Problem> {
        let place = self.at(expr);
        let value = self.bind(expr)?;
        match value.kind() {
            Kind::Bool | Kind::Unknown => Ok(self.implicit(value, Kind::Bool)?.expr),
            kind => Err(Problem::new(
                place,
                format!("a condition is a boolean, and this is of type {kind}"),
            )),
        }
    }
}

/// The cast, or its value where it is one of a constant: PostgreSQL looks at it before any row, and so does the error.
fn cast_of(expr: Expr, from: Kind, to: &SqlType, place: Place) -> Result<Expr, Problem> {
    let Expr::Value(cell) = &expr else {
        return Ok(Expr::Call(Function::Cast(from, to.clone()), vec![expr]));
    };
    match eval::cast(Cow::Borrowed(cell), from, to) {
        Ok(made) => Ok(Expr::Value(made.into_owned())),
        Err(error) => Err(Problem::new(place, format!("this constant is no {to}: {}", error.what))),
    }
}
