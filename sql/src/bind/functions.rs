//! The functions, each with the types that it is for, as PostgreSQL's own tables have them.
use super::{
    operators::POWER,
    resolve::{Make, Signature, WithConstant},
};
use crate::{
    expr::{Arithmetic, Function},
    types::Kind::{
        self, Bool, Bpchar, Bytea, Float4, Float8, Int2, Int4, Int8, Interval, Numeric, Text,
        TextArray, Timestamp, Timestamptz,
    },
};

/// The names of all functions that are taken, those of one value or of several.
pub(super) const NAMES: &[&str] = &[
    "abs",
    "round",
    "trunc",
    "ceil",
    "ceiling",
    "floor",
    "sign",
    "mod",
    "div",
    "length",
    "char_length",
    "character_length",
    "octet_length",
    "substring",
    "substr",
    "left",
    "right",
    "lpad",
    "rpad",
    "ltrim",
    "rtrim",
    "btrim",
    "replace",
    "split_part",
    "starts_with",
    "strpos",
    "repeat",
    "reverse",
    "upper",
    "lower",
    "date_trunc",
    "date_bin",
    "cardinality",
    "concat",
    "concat_ws",
    "coalesce",
    "nullif",
    "greatest",
    "least",
    "words",
    "extract",
    "position",
    "trim",
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "bool_and",
    "bool_or",
    "every",
    "unnest",
];

fn sig(arguments: &[Kind], result: Kind, function: Function) -> Signature {
    Signature { arguments: arguments.to_vec(), result, make: Make::Call(function) }
}

/// The functions of this name; none: it is not known, or is none of this kind.
pub(super) fn named(name: &str) -> Vec<Signature> {
    let each = |kinds: &[Kind], of: &dyn Fn(Kind) -> Function| -> Vec<Signature> {
        kinds.iter().map(|kind| sig(&[*kind], *kind, of(*kind))).collect()
    };
    match name {
        "abs" => each(&[Int2, Int4, Int8, Numeric, Float4, Float8], &Function::Abs),
        "sign" => each(&[Numeric, Float8], &Function::Sign),
        "ceil" | "ceiling" => each(&[Numeric, Float8], &Function::Ceil),
        "floor" => each(&[Numeric, Float8], &Function::Floor),
        "round" => {
            let mut all = each(&[Numeric, Float8], &Function::Round);
            all.push(sig(&[Numeric, Int4], Numeric, Function::RoundTo));
            all
        }
        "trunc" => {
            let mut all = each(&[Numeric, Float8], &Function::Trunc);
            all.push(sig(&[Numeric, Int4], Numeric, Function::TruncTo));
            all
        }
        "mod" => [Int2, Int4, Int8, Numeric]
            .map(|kind| sig(&[kind, kind], kind, Function::Arithmetic(Arithmetic::Modulo, kind)))
            .to_vec(),
        "div" => vec![sig(&[Numeric, Numeric], Numeric, Function::WholeQuotient)],
        "power" | "pow" => [Numeric, Float8]
            .map(|kind| Signature { arguments: vec![kind, kind], result: kind, make: POWER })
            .to_vec(),
        "starts_with" => vec![sig(&[Text, Text], Bool, Function::StartsWith)],
        "cardinality" => vec![sig(&[TextArray], Int4, Function::Elements)],
        "date_trunc" | "date_bin" => times(name),
        _ => texts(name),
    }
}

fn texts(name: &str) -> Vec<Signature> {
    match name {
        "length" => vec![
            sig(&[Text], Int4, Function::Length),
            // Blanks at the end of a `char(n)` do not count, and are taken off when it becomes a text.
            sig(&[Bytea], Int4, Function::Bytes),
        ],
        "char_length" | "character_length" => vec![sig(&[Text], Int4, Function::Length)],
        "octet_length" => {
            [Text, Bpchar, Bytea].map(|kind| sig(&[kind], Int4, Function::Bytes)).to_vec()
        }
        "substring" | "substr" => [(Text, Function::Substring), (Bytea, Function::SubstringBytes)]
            .into_iter()
            .flat_map(|(kind, of)| {
                [sig(&[kind, Int4], kind, of.clone()), sig(&[kind, Int4, Int4], kind, of)]
            })
            .chain((name == "substring").then(|| Signature {
                arguments: vec![Text, Text],
                result: Text,
                make: Make::Refused(
                    "patterns of regular expressions are not taken here",
                    "split_part(x, ',', 2) cuts at a text",
                ),
            }))
            .collect(),
        "left" => vec![sig(&[Text, Int4], Text, Function::Left)],
        "right" => vec![sig(&[Text, Int4], Text, Function::Right)],
        "lpad" | "rpad" => {
            let of = || if name == "lpad" { Function::PadLeft } else { Function::PadRight };
            vec![sig(&[Text, Int4], Text, of()), sig(&[Text, Int4, Text], Text, of())]
        }
        "ltrim" | "rtrim" | "btrim" => {
            let of = || match name {
                "ltrim" => Function::TrimStart,
                "rtrim" => Function::TrimEnd,
                _ => Function::Trim,
            };
            let no_bytes =
                Make::Refused("bytes are not trimmed here", "substring takes a part of them");
            vec![
                sig(&[Text], Text, of()),
                sig(&[Text, Text], Text, of()),
                Signature { arguments: vec![Bytea, Bytea], result: Bytea, make: no_bytes },
            ]
        }
        "replace" => vec![sig(&[Text, Text, Text], Text, Function::Replace)],
        "split_part" => vec![sig(&[Text, Text, Int4], Text, Function::SplitPart)],
        "strpos" => vec![sig(&[Text, Text], Int4, Function::Position)],
        "repeat" => vec![sig(&[Text, Int4], Text, Function::Repeat)],
        "reverse" => vec![sig(&[Text], Text, Function::Reverse)],
        "upper" => vec![sig(&[Text], Text, Function::Upper)],
        "lower" => vec![sig(&[Text], Text, Function::Lower)],
        _ => Vec::new(),
    }
}

fn times(name: &str) -> Vec<Signature> {
    let with = |arguments: &[Kind], result, how| Signature {
        arguments: arguments.to_vec(),
        result,
        make: Make::Constant(how),
    };
    match name {
        "date_trunc" => vec![
            with(&[Text, Timestamp], Timestamp, WithConstant::DateTrunc),
            Signature {
                arguments: vec![Text, Timestamptz],
                result: Timestamptz,
                make: Make::Refused(
                    "date_trunc of a moment, or of a date, cuts by the time zone of the session",
                    "write date_trunc('day', x, 'UTC'), or date_trunc('day', x at time zone 'UTC'), or x::timestamp for a date",
                ),
            },
            with(&[Text, Timestamptz, Text], Timestamptz, WithConstant::DateTruncIn),
            Signature {
                arguments: vec![Text, Interval],
                result: Interval,
                make: Make::Refused("periods are constants here", "write the period itself"),
            },
        ],
        _ => vec![
            with(&[Interval, Timestamp, Timestamp], Timestamp, WithConstant::DateBin),
            with(&[Interval, Timestamptz, Timestamptz], Timestamptz, WithConstant::DateBin),
        ],
    }
}

/// What PostgreSQL has and no view may have: the names, why, and what to write instead.
pub(super) fn refused(name: &str) -> Option<(&'static str, &'static str)> {
    Some(match name {
        "now"
        | "current_timestamp"
        | "current_date"
        | "current_time"
        | "localtime"
        | "localtimestamp"
        | "transaction_timestamp"
        | "statement_timestamp"
        | "clock_timestamp"
        | "timeofday"
        | "age" => (
            "the time of day changes rows without a record",
            "filter when reading, or store the time in a column",
        ),
        "random" | "setseed" | "gen_random_uuid" | "uuid_generate_v4" | "nextval" => (
            "it is another value each time, and a view is made again after a failure",
            "store the value in a column of the source",
        ),
        "current_user" | "user" | "current_role" | "current_catalog" | "session_user"
        | "current_schema" | "current_setting" | "version" | "txid_current" | "pg_backend_pid"
        | "inet_client_addr" => (
            "it is a value of the session and not of the row",
            "store the value in a column of the source",
        ),
        "lag" | "lead" | "rank" | "dense_rank" | "percent_rank" | "cume_dist" | "ntile"
        | "first_value" | "last_value" | "nth_value" | "row_number" => (
            "one row's change would move others: the place of a row among all is no share of one partition",
            "order and number rows when reading",
        ),
        "percentile_cont" | "percentile_disc" | "mode" | "median" => (
            "it needs all values of the group at once: shares of partitions do not add up to it",
            "keep the rows in a view, and ask for it when reading",
        ),
        "string_agg" | "array_agg" | "json_agg" | "jsonb_agg" | "json_object_agg"
        | "jsonb_object_agg" | "xmlagg" => (
            "a list of all rows of a group has no bound, and no order of its own",
            "keep the rows in a view of their own, keyed by the group and by their primary key",
        ),
        "stddev" | "stddev_pop" | "stddev_samp" | "variance" | "var_pop" | "var_samp" | "corr"
        | "covar_pop" | "covar_samp" | "regr_slope" | "regr_intercept" => (
            "it is made of roots and quotients whose last digits are not specified",
            "keep count(*), sum(x) and sum(x * x), and divide when reading",
        ),
        "initcap" | "to_char" | "to_date" | "to_timestamp" | "to_number" | "format"
        | "quote_literal" => (
            "it depends on the locale, or on settings of the session",
            "use extract, date_trunc, lpad and ||, or do it when reading",
        ),
        "regexp_replace"
        | "regexp_match"
        | "regexp_matches"
        | "regexp_split_to_table"
        | "regexp_split_to_array"
        | "regexp_count"
        | "regexp_like"
        | "regexp_substr" => (
            "regular expressions are PostgreSQL's own and depend on the locale",
            "like, starts_with, split_part and replace are exact",
        ),
        "sqrt" | "cbrt" | "exp" | "ln" | "log" | "log10" | "sin" | "cos" | "tan" | "asin"
        | "acos" | "atan" | "atan2" | "degrees" | "radians" | "pi" | "sinh" | "cosh" | "tanh" => {
            ("its last digits are those of one program and machine", "do it when reading")
        }
        "date_part" => (
            "date_part is a floating-point number",
            "write extract(FIELD from x): a numeric, exactly",
        ),
        "bit_and" | "bit_or" | "bit_xor" => {
            ("a set of bits does not add up over partitions", "keep each bit as a boolean")
        }
        _ => return None,
    })
}
