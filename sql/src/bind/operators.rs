//! The operators, each with the types that it is for, as PostgreSQL's own tables have them.
use super::resolve::{Make, Signature, WithConstant};
use crate::{
    expr::{Arithmetic, Comparison, Function},
    types::Kind::{
        self, Bool, Bpchar, Bytea, Date, Float4, Float8, Int2, Int4, Int8, Interval, Json, Jsonb,
        Numeric, Text, TextArray, Timestamp, Timestamptz, Uuid,
    },
};

const NUMBERS: [Kind; 6] = [Int2, Int4, Int8, Numeric, Float4, Float8];
const SESSION_ZONE: &str =
    "a day or a time without a zone becomes a moment by a setting of the session";
const ZONE: &str = "write at time zone 'UTC', or another fixed offset";

fn two(a: Kind, b: Kind, result: Kind, make: Make) -> Signature {
    Signature { arguments: vec![a, b], result, make }
}

/// The operators of this sign between two values.
pub(super) fn binary(sign: &str) -> Vec<Signature> {
    let compare = match sign {
        "=" => Comparison::Equal,
        "<>" => Comparison::NotEqual,
        "<" => Comparison::Less,
        "<=" => Comparison::AtMost,
        ">" => Comparison::Greater,
        ">=" => Comparison::AtLeast,
        "+" => return sums(Arithmetic::Add),
        "-" => return sums(Arithmetic::Subtract),
        "*" => return numbers(Arithmetic::Multiply),
        "/" => return numbers(Arithmetic::Divide),
        "%" => {
            let of = |kind| {
                two(kind, kind, kind, Make::Call(Function::Arithmetic(Arithmetic::Modulo, kind)))
            };
            return [Int2, Int4, Int8, Numeric].map(of).to_vec();
        }
        "^" => return [Numeric, Float8].map(|kind| two(kind, kind, kind, POWER)).to_vec(),
        "||" => {
            return vec![
                two(Text, Text, Text, Make::Call(Function::Join)),
                two(Bytea, Bytea, Bytea, Make::Call(Function::JoinBytes)),
                two(
                    Jsonb,
                    Jsonb,
                    Jsonb,
                    Make::Refused("jsonb is not joined here", "write its members as columns"),
                ),
                two(
                    TextArray,
                    TextArray,
                    TextArray,
                    Make::Refused("arrays are not joined here", "unnest them"),
                ),
            ];
        }
        "->" => return json(false),
        "->>" => return json(true),
        "^@" => return vec![two(Text, Text, Bool, Make::Call(Function::StartsWith))],
        _ => return Vec::new(),
    };
    comparisons(compare)
}

pub(super) const POWER: Make = Make::Refused(
    "power is approximate: its last digits are those of one program",
    "multiply: x * x",
);

fn json(text: bool) -> Vec<Signature> {
    let of = |(kind, binary)| {
        let result = if text { Text } else { kind };
        [
            two(kind, Text, result, Make::Call(Function::JsonMember { binary, text })),
            two(kind, Int4, result, Make::Call(Function::JsonElement { binary, text })),
        ]
    };
    [(Json, false), (Jsonb, true)].into_iter().flat_map(of).collect()
}

/// Between numbers: of one width, or of two widths of one kind.
fn numbers(how: Arithmetic) -> Vec<Signature> {
    let same =
        NUMBERS.map(|kind| two(kind, kind, kind, Make::Call(Function::Arithmetic(how, kind))));
    let pairs = [(Int2, Int4), (Int2, Int8), (Int4, Int8), (Float4, Float8)];
    let both =
        pairs.into_iter().flat_map(|(small, large)| [(small, large, large), (large, small, large)]);
    let mixed =
        both.map(|(a, b, large)| two(a, b, large, Make::Call(Function::Arithmetic(how, large))));
    same.into_iter().chain(mixed).collect()
}

fn sums(how: Arithmetic) -> Vec<Signature> {
    let mut all = numbers(how);
    let no_period = || {
        Make::Refused(
            "the difference of two times is a period, which no view keeps",
            "write extract(epoch from a) - extract(epoch from b): seconds, exactly",
        )
    };
    if how == Arithmetic::Add {
        let plus = || Make::Constant(WithConstant::Plus);
        let later = || Make::Constant(WithConstant::PlusLater);
        all.push(two(Date, Int4, Date, Make::Call(Function::AddDays)));
        all.push(two(Int4, Date, Date, Make::Call(Function::AddDays)));
        for (kind, result) in
            [(Date, Timestamp), (Timestamp, Timestamp), (Timestamptz, Timestamptz)]
        {
            all.push(two(kind, Interval, result, plus()));
            all.push(two(Interval, kind, result, later()));
        }
    } else {
        let minus = || Make::Constant(WithConstant::Minus);
        all.push(two(Date, Int4, Date, Make::Call(Function::SubtractDays)));
        all.push(two(Date, Date, Int4, Make::Call(Function::DaysBetween)));
        all.push(two(Timestamp, Timestamp, Interval, no_period()));
        all.push(two(Timestamptz, Timestamptz, Interval, no_period()));
        for (kind, result) in
            [(Date, Timestamp), (Timestamp, Timestamp), (Timestamptz, Timestamptz)]
        {
            all.push(two(kind, Interval, result, minus()));
        }
    }
    all.push(two(
        Interval,
        Interval,
        Interval,
        Make::Refused("periods are constants here", "write one period"),
    ));
    all
}

fn comparisons(how: Comparison) -> Vec<Signature> {
    let mut all = Vec::new();
    let mut add = |a, b, make| all.push(two(a, b, Bool, make));
    for kinds in [&[Int2, Int4, Int8][..], &[Float4, Float8]] {
        for a in kinds {
            for b in kinds {
                add(*a, *b, Make::Compare(how));
            }
        }
    }
    for kind in [
        Numeric,
        Text,
        Bpchar,
        Bool,
        Uuid,
        Bytea,
        TextArray,
        Date,
        Timestamp,
        Timestamptz,
        Interval,
    ] {
        add(kind, kind, Make::Compare(how));
    }
    let zone = || Make::Refused(SESSION_ZONE, ZONE);
    for (a, b) in [(Date, Timestamptz), (Timestamp, Timestamptz)] {
        add(a, b, zone());
        add(b, a, zone());
    }
    for (a, b) in [(Date, Timestamp), (Timestamp, Date)] {
        add(a, b, Make::Compare(how));
    }
    let no_json = Make::Refused(
        "two values of jsonb may be equal and have two texts",
        "compare members: a ->> 'name' = b ->> 'name'",
    );
    add(Jsonb, Jsonb, no_json);
    all
}

/// The operators of this sign before one value.
pub(super) fn unary(sign: &str) -> Vec<Signature> {
    let one = |kind, make| Signature { arguments: vec![kind], result: kind, make };
    match sign {
        "-" => {
            let mut all: Vec<_> =
                NUMBERS.map(|kind| one(kind, Make::Call(Function::Negate(kind)))).to_vec();
            all.push(one(
                Interval,
                Make::Refused("periods are constants here", "write interval '-1 day'"),
            ));
            all
        }
        "+" => {
            NUMBERS.map(|kind| one(kind, Make::Call(Function::Cast(kind, kind.into())))).to_vec()
        }
        "@" => NUMBERS.map(|kind| one(kind, Make::Call(Function::Abs(kind)))).to_vec(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::resolve::choose, *};

    #[test]
    fn operators_are_chosen_as_postgresql_chooses_them() {
        let of = |sign: &str, a, b| {
            let all = binary(sign);
            choose(&all, &[a, b]).map(|at| all[at].result).ok()
        };
        assert_eq!(of("+", Int2, Int4), Some(Int4));
        assert_eq!(of("+", Int4, Kind::Unknown), Some(Int4));
        assert_eq!(of("*", Int8, Numeric), Some(Numeric));
        assert_eq!(of("*", Numeric, Float4), Some(Float8));
        assert_eq!(of("%", Int2, Int8), Some(Int8));
        assert_eq!(of("%", Float8, Float8), None);
        assert_eq!(of("-", Date, Kind::Unknown), Some(Int4));
        assert_eq!(of("+", Date, Int2), Some(Date));
        assert_eq!(of("||", Bytea, Kind::Unknown), Some(Bytea));
        assert_eq!(of("->>", Jsonb, Kind::Unknown), Some(Text));
        assert_eq!(of("->", Json, Int2), Some(Json));
        assert_eq!(of("=", Kind::Varchar, Kind::Unknown), Some(Bool));
        assert_eq!(of("=", Uuid, Text), None);
    }
}
