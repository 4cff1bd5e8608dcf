//! Operators between values.
use super::*;

impl Scalars<'_> {
    pub(super) fn unary(&mut self, op: UnaryOperator, inner: &Ast, place: Place) -> Bound {
        // A sign and a number are one constant.
        let mut bare = inner;
        while let Ast::Nested(deeper) = bare {
            bare = deeper;
        }
        if let (UnaryOperator::Minus, Ast::Value(value)) = (op, bare)
            && let Value::Number(text, _) = &value.value
        {
            return literal::number(&format!("-{text}"), place);
        }
        let sign = match op {
            UnaryOperator::Not => return Ok(not(Typed::new(self.condition(inner)?, Kind::Bool))),
            UnaryOperator::Minus => "-",
            UnaryOperator::Plus => "+",
            UnaryOperator::PGAbs => "@",
            other => {
                return self.refuse(
                    place,
                    format!("the operator {other} is not taken here"),
                    "+ - and not are",
                );
            }
        };
        let value = self.bind(inner)?;
        let kind = value.kind();
        if kind == Kind::Unknown {
            return self.refuse(
                place,
                format!("a sign before a text: {sign}"),
                "write the number without quotes",
            );
        }
        self.chosen(sign, &operators::unary(sign), vec![value], place)
    }

    pub(super) fn binary(
        &mut self,
        left: &Ast,
        op: &BinaryOperator,
        right: &Ast,
        place: Place,
    ) -> Bound {
        match op {
            BinaryOperator::And => {
                let (a, b) = (self.condition(left)?, self.condition(right)?);
                return Ok(Typed::new(flat(a, b, true), Kind::Bool));
            }
            BinaryOperator::Or => {
                let (a, b) = (self.condition(left)?, self.condition(right)?);
                return Ok(Typed::new(flat(a, b, false), Kind::Bool));
            }
            _ => {}
        }
        let sign = match op {
            BinaryOperator::PGLikeMatch => return self.like(left, right, None, false, place),
            BinaryOperator::PGNotLikeMatch => return self.like(left, right, None, true, place),
            BinaryOperator::PGRegexMatch
            | BinaryOperator::PGRegexIMatch
            | BinaryOperator::PGRegexNotMatch
            | BinaryOperator::PGRegexNotIMatch => {
                return self.refuse(
                    place,
                    "regular expressions are PostgreSQL's own and depend on the locale",
                    "like, starts_with and split_part are exact",
                );
            }
            BinaryOperator::Eq => "=",
            BinaryOperator::NotEq => "<>",
            BinaryOperator::Lt => "<",
            BinaryOperator::LtEq => "<=",
            BinaryOperator::Gt => ">",
            BinaryOperator::GtEq => ">=",
            BinaryOperator::Plus => "+",
            BinaryOperator::Minus => "-",
            BinaryOperator::Multiply => "*",
            BinaryOperator::Divide => "/",
            BinaryOperator::Modulo => "%",
            BinaryOperator::PGExp => "^",
            BinaryOperator::StringConcat => "||",
            BinaryOperator::Arrow => "->",
            BinaryOperator::LongArrow => "->>",
            BinaryOperator::PGStartsWith => "^@",
            other => {
                return self.refuse(
                    place,
                    format!("the operator {other} is not taken here"),
                    "see the table of what is taken",
                );
            }
        };
        let (a, b) = (self.bind(left)?, self.bind(right)?);
        self.operator(sign, a, b, place)
    }

    /// An operator between two values.
    pub(super) fn operator(
        &mut self,
        sign: &str,
        mut a: Typed,
        mut b: Typed,
        place: Place,
    ) -> Bound {
        let kinds = [a.kind(), b.kind()];
        if is_comparison(sign) && kinds.contains(&Kind::Enum) {
            return self.compare_enums(sign, a, b, place);
        }
        if kinds == [Kind::Unknown; 2] && !is_comparison(sign) && sign != "||" {
            return self.refuse(
                place,
                format!("the types of both sides of {sign} are unknown"),
                "cast one: 'x'::text",
            );
        }
        // A text and any other value: it is written as a text first.
        if sign == "||" {
            let is_text = |kind: Kind| kind.is_text();
            let is_joined_otherwise = |kind: Kind| {
                matches!(kind, Kind::Bytea | Kind::Jsonb | Kind::TextArray | Kind::Unknown)
                    || is_text(kind)
            };
            for (one, other) in [(0, 1), (1, 0)] {
                if !is_joined_otherwise(kinds[one])
                    && (is_text(kinds[other]) || kinds[other] == Kind::Unknown)
                {
                    let value = if one == 0 { &mut a } else { &mut b };
                    *value = self.explicit(value.clone(), &Kind::Text.into(), place)?;
                }
            }
        }
        self.chosen(sign, &operators::binary(sign), vec![a, b], place)
    }

    /// An enum is equal to another value of it, or to a label between quotes.
    pub(super) fn compare_enums(&mut self, sign: &str, a: Typed, b: Typed, place: Place) -> Bound {
        if !matches!(sign, "=" | "<>") {
            return self.refuse(
                place,
                "the order of an enum's labels may be changed at the source without a record",
                "compare with = and <>, or write x::text collate \"C\"",
            );
        }
        let of = if a.kind() == Kind::Enum { a.sql_type.clone() } else { b.sql_type.clone() };
        let mut sides = Vec::new();
        for side in [a, b] {
            if side.sql_type == of {
                sides.push(side.expr);
            } else if side.kind() == Kind::Unknown {
                sides.push(self.explicit(side, &of, place)?.expr);
            } else {
                return Err(Problem::new(
                    place,
                    format!("there is no operator {of} {sign} {}", side.sql_type),
                )
                .instead("write x::text"));
            }
        }
        let how = if sign == "=" { Comparison::Equal } else { Comparison::NotEqual };
        let [a, b] = <[Expr; 2]>::try_from(sides).map_err(|_| Problem::new(place, "two sides"))?;
        Ok(Typed::new(Expr::compare(how, a, b), Kind::Bool))
    }

    /// The operator or function of these that the arguments mean.
    pub(super) fn chosen(
        &mut self,
        name: &str,
        all: &[Signature],
        arguments: Vec<Typed>,
        place: Place,
    ) -> Bound {
        let kinds: Vec<Kind> = arguments.iter().map(Typed::kind).collect();
        let types: Vec<String> = arguments.iter().map(|one| one.sql_type.to_string()).collect();
        let is_sign = !name.starts_with(|c: char| c.is_ascii_alphabetic());
        let shown = match (&types[..], is_sign) {
            ([a, b], true) => format!("{a} {name} {b}"),
            ([a], true) => format!("{name} {a}"),
            _ => format!("{name}({})", types.join(", ")),
        };
        let what = if is_sign { "operator" } else { "function" };
        let at = resolve::choose(all, &kinds).map_err(|why| match why {
            NotChosen::NoneFits => {
                let problem = Problem::new(place, format!("there is no {what} {shown}"));
                match all {
                    [] => problem.near(name, functions::NAMES.iter().copied()),
                    _ => problem.instead("cast an argument to another type: x::numeric"),
                }
            }
            NotChosen::Ambiguous => Problem::new(place, format!("several are meant by {shown}"))
                .instead("cast an argument: x::numeric"),
        })?;
        let Signature { arguments: wanted, result, make } = &all[at];
        if let Make::Refused(why, instead) = make {
            return Err(Problem::new(place, format!("{shown}: {why}")).instead(*instead));
        }
        let collations: Vec<Collation> = arguments.iter().map(|one| one.collation).collect();
        let mut values = Vec::with_capacity(arguments.len());
        for (one, want) in arguments.into_iter().zip(wanted) {
            // Two widths of floats: the narrow one is widened first.
            let want = if matches!(make, Make::Call(Function::Arithmetic(..))) && want.is_float() {
                *result
            } else {
                *want
            };
            values.push(self.implicit(one, want)?.expr);
        }
        let result = *result;
        match make {
            Make::Compare(how) => {
                let kind = wanted[0];
                let is_ordered = !matches!(how, Comparison::Equal | Comparison::NotEqual);
                if is_ordered && kind.is_text() {
                    self.check_order(&collations, place)?;
                }
                if is_ordered && kind == Kind::TextArray {
                    return self.refuse(
                        place,
                        "the order of arrays depends on the locale",
                        "compare elements: x[1] collate \"C\"",
                    );
                }
                let [a, b] =
                    <[Expr; 2]>::try_from(values).map_err(|_| Problem::new(place, "two sides"))?;
                let (a, b) = compared(kind, [a, b], [wanted[0], wanted[1]]);
                Ok(Typed::new(Expr::compare(*how, a, b), Kind::Bool))
            }
            Make::Call(function) => {
                if matches!(function, Function::Upper | Function::Lower) {
                    self.check_case(name, &collations, place)?;
                }
                let sql_type = result.into();
                Ok(Typed {
                    expr: Expr::Call(function.clone(), values),
                    sql_type,
                    collation: Collation::Default,
                }
                .collated(&collations))
            }
            Make::Constant(how) => self.with_constant(*how, values, wanted, result, place),
            Make::Refused(..) => Err(Problem::new(place, shown)),
        }
    }

    pub(super) fn with_constant(
        &self,
        how: WithConstant,
        mut values: Vec<Expr>,
        wanted: &[Kind],
        result: Kind,
        place: Place,
    ) -> Bound {
        let call = |function, values| Ok(Typed::new(Expr::Call(function, values), result));
        match how {
            WithConstant::DateTrunc | WithConstant::DateTruncIn => {
                let field = match values.remove(0) {
                    Expr::Value(Cell::Text(name)) => literal::field(&name, place)?,
                    _ => {
                        return self.refuse(
                            place,
                            "the field of date_trunc is a constant",
                            "write date_trunc('day', x)",
                        );
                    }
                };
                if !field.is_cut() {
                    return Err(Problem::new(
                        place,
                        format!("date_trunc does not cut at {}", field.name()),
                    ));
                }
                if how == WithConstant::DateTrunc {
                    return call(Function::DateTrunc(field), values);
                }
                let east = self.zone(&values.remove(1), place)?;
                let there = Expr::Call(Function::Shift(east), values);
                let cut = Expr::Call(Function::DateTrunc(field), vec![there]);
                call(Function::Shift(-east), vec![cut])
            }
            WithConstant::DateBin => {
                let stride = self.period(&values.remove(0), place)?;
                if stride.months != 0 {
                    return self.refuse(
                        place,
                        "months are not of one length",
                        "write date_trunc('month', x)",
                    );
                }
                let days = i64::from(stride.days).checked_mul(eval::time::DAY_US);
                let us = days.and_then(|days| days.checked_add(stride.us)).filter(|us| *us > 0);
                let Some(us) = us else {
                    return self.refuse(
                        place,
                        "the stride of date_bin is a period greater than none",
                        "write '15 minutes'",
                    );
                };
                call(Function::DateBin(us), values)
            }
            WithConstant::Plus | WithConstant::Minus | WithConstant::PlusLater => {
                let (time_at, period_at) =
                    if how == WithConstant::PlusLater { (1, 0) } else { (0, 1) };
                let mut period = self.period(&values[period_at], place)?;
                let kind = wanted[time_at];
                if kind == Kind::Timestamptz && (period.months != 0 || period.days != 0) {
                    return self.refuse(
                        place,
                        "how long a day or a month is depends on the time zone of the session",
                        "write hours, or (x at time zone 'UTC' + interval '1 day') at time zone 'UTC'",
                    );
                }
                if how == WithConstant::Minus {
                    let parts = (
                        period.months.checked_neg(),
                        period.days.checked_neg(),
                        period.us.checked_neg(),
                    );
                    let (Some(months), Some(days), Some(us)) = parts else {
                        return Err(Problem::new(place, "the period is too long"));
                    };
                    period = crate::expr::Interval { months, days, us };
                }
                let time = values.swap_remove(time_at);
                let time = if kind == Kind::Date {
                    Expr::Call(Function::Cast(Kind::Date, Kind::Timestamp.into()), vec![time])
                } else {
                    time
                };
                call(Function::AddInterval(period), vec![time])
            }
        }
    }

    pub(super) fn period(
        &self,
        value: &Expr,
        place: Place,
    ) -> Result<crate::expr::Interval, Problem> {
        literal::period_of(value).ok_or_else(|| {
            Problem::new(place, "a period is a constant here").instead("write interval '1 day'")
        })
    }

    /// Microseconds that clocks of the zone are ahead of UTC.
    pub(super) fn zone(&self, value: &Expr, place: Place) -> Result<i64, Problem> {
        literal::zone_of(value, place)
    }

    /// Texts are ordered by bytes, or the order is refused.
    pub(super) fn check_order(
        &self,
        collations: &[Collation],
        place: Place,
    ) -> Result<(), Problem> {
        self.check_collation(
            collations,
            place,
            "the order of texts is the locale's, and changes with the version of its library",
            "write collate \"C\" behind one side: by bytes, for ever",
        )
    }

    /// `name` changes ASCII letters alone, or it is refused.
    pub(super) fn check_case(
        &self,
        name: &str,
        collations: &[Collation],
        place: Place,
    ) -> Result<(), Problem> {
        self.check_collation(
            collations,
            place,
            format!("{name} beyond ASCII depends on the locale and the version of its library"),
            &format!("write {name}(x collate \"C\"): ASCII letters alone"),
        )
    }

    /// One of these is `"C"`, whose answers never change; else `what` and `instead` say why not, and a way on.
    fn check_collation(
        &self,
        collations: &[Collation],
        place: Place,
        what: impl Into<String>,
        instead: &str,
    ) -> Result<(), Problem> {
        if collations.contains(&Collation::C) {
            return Ok(());
        }
        self.refuse(place, what, instead)
    }
}

/// Both sides as values that compare as cells do.
fn compared(kind: Kind, [a, b]: [Expr; 2], kinds: [Kind; 2]) -> (Expr, Expr) {
    let widened = |expr: Expr, from: Kind| match (kind, from) {
        (_, Kind::Bpchar) => {
            Expr::Call(Function::Cast(Kind::Bpchar, Kind::Text.into()), vec![expr])
        }
        (_, Kind::Float4) if kinds.contains(&Kind::Float8) => {
            Expr::Call(Function::Cast(Kind::Float4, Kind::Float8.into()), vec![expr])
        }
        (_, Kind::Date) if kinds.contains(&Kind::Timestamp) => {
            Expr::Call(Function::StartOfDay, vec![expr])
        }
        _ => expr,
    };
    (widened(a, kinds[0]), widened(b, kinds[1]))
}

/// `a and b`, `a or b`, in one list with those of the same word.
fn flat(a: Expr, b: Expr, is_and: bool) -> Expr {
    let mut all = Vec::new();
    for side in [a, b] {
        match side {
            Expr::And(more) if is_and => all.extend(more),
            Expr::Or(more) if !is_and => all.extend(more),
            other => all.push(other),
        }
    }
    // PostgreSQL looks at constants first, whatever error would be behind the others.
    let end = Expr::Value(Cell::Bool(!is_and));
    if all.contains(&end) {
        return end;
    }
    if is_and { Expr::And(all) } else { Expr::Or(all) }
}

fn is_comparison(sign: &str) -> bool {
    matches!(sign, "=" | "<>" | "<" | "<=" | ">" | ">=")
}
