//! Which explicit casts there are.
use crate::{
    problem::{Place, Problem},
    types::{Kind, SqlType},
};

/// Whether PostgreSQL has the cast, and gives the same value at all times.
pub(super) fn check(
    from: Kind,
    from_type: &SqlType,
    to: &SqlType,
    place: Place,
) -> Result<(), Problem> {
    use Kind::{
        Bool, Bpchar, Bytea, Date, Enum, Float4, Float8, Int2, Int4, Int8, Interval, Json, Jsonb,
        Numeric, Text, TextArray, Timestamp, Timestamptz, Uuid, Varchar, Words,
    };
    let kind = to.kind();
    let refuse = |what: String, instead: &str| Err(Problem::new(place, what).instead(instead));
    let by_session = |instead: &str| {
        refuse(format!("{from_type}::{to} depends on the time zone of the session"), instead)
    };
    match (from, kind) {
        (Timestamptz, Date) => by_session("write (x at time zone 'UTC')::date"),
        (Timestamptz, Timestamp) => by_session("write x at time zone 'UTC'"),
        (Timestamptz, Text | Varchar | Bpchar) => by_session("write (x at time zone 'UTC')::text"),
        (Timestamp, Timestamptz) => by_session("write x at time zone 'UTC'"),
        (Date, Timestamptz) => by_session("write x::timestamp at time zone 'UTC'"),
        (Jsonb, Bool | Int2 | Int4 | Int8 | Numeric | Float4 | Float8) => refuse(
            format!("jsonb::{to} fails for null, in some versions"),
            "write (x ->> 'name')::numeric",
        ),
        (Text | Varchar | Bpchar, TextArray) | (TextArray | Words, Text | Varchar | Bpchar) => {
            refuse(
                format!("{from_type}::{to} is not taken here"),
                "unnest it, or take an element: x[1]",
            )
        }
        (Interval, _) | (_, Interval) if from != kind => refuse(
            format!("{from_type}::{to}: periods are constants here"),
            "write interval '1 day'",
        ),
        (Enum, Enum) if from_type != to => {
            refuse(format!("there is no cast {from_type}::{to}"), "write x::text")
        }
        // A real is not the text of the number that it holds.
        (Float4 | Float8, Text | Varchar | Bpchar)
        | (Text | Varchar | Bpchar, Enum)
        | (
            Int2 | Int4 | Int8 | Numeric | Float4 | Float8,
            Int2 | Int4 | Int8 | Numeric | Float4 | Float8,
        )
        | (Int4, Bool)
        | (Bool, Int4)
        | (Date, Timestamp)
        | (Timestamp, Date)
        | (Json, Jsonb)
        | (Jsonb, Json)
        | (Enum, Text | Varchar | Bpchar)
        | (
            Int2 | Int4 | Int8 | Numeric | Bool | Date | Timestamp | Uuid | Bytea | Json | Jsonb
            | Text | Varchar | Bpchar,
            Text | Varchar | Bpchar,
        )
        | (
            Text | Varchar | Bpchar,
            Int2 | Int4 | Int8 | Numeric | Float4 | Float8 | Bool | Date | Timestamp | Timestamptz
            | Uuid | Bytea | Json | Jsonb,
        ) => Ok(()),
        _ if from == kind => Ok(()),
        _ => refuse(format!("there is no cast {from_type}::{to}"), "write x::text, and cast that"),
    }
}
