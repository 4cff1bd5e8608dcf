//! Functions.
use super::*;

impl Scalars<'_> {
    pub(super) fn function(&mut self, call: &ast::Function, place: Place) -> Bound {
        let mut names = parts(&call.name, place)?;
        let (Some(name), schema) = (names.pop(), names.pop()) else {
            return Err(Problem::new(place, "a function without a name"));
        };
        if schema.is_some_and(|schema| schema != "pg_catalog") {
            return self.refuse(
                place,
                format!("{} is a function of the database's own", call.name),
                "its text may change: write what it does",
            );
        }
        if call.over.is_some() {
            let (why, instead) = functions::refused("rank").unwrap_or_default();
            return self.refuse(place, format!("{name}() over (...): {why}"), instead);
        }
        if let Some((why, instead)) = functions::refused(&name) {
            return self.refuse(place, format!("{name}: {why}"), instead);
        }
        if let Some(found) = self.around.aggregate(&name, call, place)? {
            return Ok(found);
        }
        let arguments = match &call.args {
            FunctionArguments::None => Vec::new(),
            FunctionArguments::List(list)
                if list.clauses.is_empty() && list.duplicate_treatment.is_none() =>
            {
                let mut arguments = Vec::new();
                for argument in &list.args {
                    let FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) = argument else {
                        return Err(Problem::new(
                            place,
                            format!("{argument} is no argument of {name}"),
                        ));
                    };
                    arguments.push(self.bind(argument)?);
                }
                arguments
            }
            _ => return Err(Problem::new(place, format!("{name} does not take these arguments"))),
        };
        let is_plain =
            call.filter.is_none() && call.within_group.is_empty() && call.null_treatment.is_none();
        if !is_plain {
            return Err(Problem::new(place, format!("{name} is no aggregate")));
        }
        self.call(&name, arguments, place)
    }

    pub(super) fn call(&mut self, name: &str, mut arguments: Vec<Typed>, place: Place) -> Bound {
        match (name, arguments.len()) {
            ("coalesce" | "greatest" | "least", 1..) => {
                let kinds: Vec<Kind> = arguments.iter().map(Typed::kind).collect();
                let is_ordered = name != "coalesce";
                let (values, sql_type, collation) = self.one_type(name, arguments, place)?;
                match sql_type.kind() {
                    Kind::Text | Kind::Varchar | Kind::Bpchar | Kind::TextArray if is_ordered => {
                        self.check_order(&[collation], place)?;
                    }
                    Kind::Json | Kind::Jsonb | Kind::Enum if is_ordered => {
                        return Err(Problem::new(
                            place,
                            format!("{name} of {} is not taken here", kinds[0]),
                        ));
                    }
                    _ => {}
                }
                if is_ordered && sql_type.kind() == Kind::Bpchar {
                    return self.refuse(place, format!("{name} of char(n)"), "cast it: x::text");
                }
                let expr = match name {
                    "coalesce" => Expr::Coalesce(values),
                    "greatest" => Expr::Greatest(values),
                    _ => Expr::Least(values),
                };
                Ok(Typed { expr, sql_type, collation })
            }
            ("nullif", 2) => {
                let (Some(b), Some(a)) = (arguments.pop(), arguments.pop()) else {
                    return Err(Problem::new(place, "nullif is of two values"));
                };
                let (given, collation) = (a.clone(), a.collation);
                let a_kind = a.kind();
                // Operators that take this type beside another one: the first value is not cast.
                let stays = match a_kind {
                    Kind::Bpchar => b.kind() != Kind::Text,
                    Kind::Float4 | Kind::Date => true,
                    _ => false,
                };
                let other = if b.kind() == Kind::Unknown { Kind::Text } else { b.kind() };
                match self.operator("=", a, b, place)?.expr {
                    Expr::Compare(_, a, b) if stays => {
                        let same = Expr::Compare(Comparison::Equal, a, b);
                        let null = Expr::Value(Cell::Null);
                        let expr = Expr::Case(vec![(same, null)], Box::new(given.expr));
                        Ok(Typed { expr, sql_type: given.sql_type, collation })
                    }
                    Expr::Compare(_, a, b) => {
                        let sql_type = result_of(&a, &given, other);
                        Ok(Typed { expr: Expr::NullIf(a, b), sql_type, collation })
                    }
                    _ => Err(Problem::new(place, "these two are not compared here")),
                }
            }
            ("concat" | "concat_ws", 1..) => {
                let mut texts = Vec::new();
                for argument in arguments {
                    let is_between = name == "concat_ws" && texts.is_empty();
                    texts.push(match argument.kind() {
                        _ if !is_between => self.written(argument, place)?,
                        kind if kind.is_text() || kind == Kind::Unknown => {
                            self.implicit(argument, Kind::Text)?.expr
                        }
                        kind => {
                            return self.refuse(
                                place,
                                format!("concat_ws: what stands between is a text, and not {kind}"),
                                "cast it: x::text",
                            );
                        }
                    });
                }
                Ok(Typed::new(
                    if name == "concat" { Expr::Concat(texts) } else { Expr::ConcatWith(texts) },
                    Kind::Text,
                ))
            }
            ("words", 1..) => {
                let mut texts = Vec::new();
                for argument in arguments {
                    if !argument.kind().is_text() && argument.kind() != Kind::Unknown {
                        return Err(Problem::new(
                            place,
                            format!(
                                "words are of texts, and this is of type {}",
                                argument.sql_type
                            ),
                        ));
                    }
                    texts.push(self.implicit(argument, Kind::Text)?.expr);
                }
                Ok(Typed::new(Expr::Words(texts), Kind::Words))
            }
            ("unnest", _) => self.refuse(
                place,
                "unnest makes rows, and stands in from",
                "write from TABLE cross join unnest(words(COLUMN)) as w(word)",
            ),
            _ => self.chosen(name, &functions::named(name), arguments, place),
        }
    }

    /// The value as `concat` writes it: booleans as one letter.
    pub(super) fn written(&mut self, value: Typed, place: Place) -> Result<Expr, Problem> {
        if value.kind() == Kind::Bool {
            let text = |text: &str| Expr::Value(text.into());
            let is = |what| Expr::Is(Box::new(value.expr.clone()), what);
            let branches = vec![(is(true), text("t")), (is(false), text("f"))];
            return Ok(Expr::Case(branches, Box::new(Expr::Value(Cell::Null))));
        }
        if value.kind() == Kind::Bpchar {
            // With its blanks: it is not cast.
            return Ok(value.expr);
        }
        Ok(self.explicit(value, &Kind::Text.into(), place)?.expr)
    }
}

/// The type of the first side of a comparison, once both have one type.
fn result_of(a: &Expr, given: &Typed, other: Kind) -> SqlType {
    match a {
        Expr::Call(Function::Cast(from, to), _) if *from == given.kind() => to.clone(),
        Expr::Value(Cell::Decimal(_)) => Kind::Numeric.into(),
        Expr::Value(Cell::Float(_)) if !given.kind().is_float() => Kind::Float8.into(),
        _ if given.kind() == Kind::Unknown => other.into(),
        _ => given.sql_type.clone(),
    }
}
