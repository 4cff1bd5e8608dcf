//! Cells as JSON. By hand: what serde derives would copy each cell before it is written, and each value before it is
//! read.
use super::{Cell, List};
use crate::Type;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, IgnoredAny, MapAccess, Visitor},
    ser::SerializeStruct,
};
use std::{borrow::Cow, collections::BTreeSet, fmt};

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, json: S) -> Result<S::Ok, S::Error> {
        match self {
            Cell::Null => json.serialize_unit(),
            Cell::Int(number) => json.serialize_i64(*number),
            Cell::Text(text) => json.serialize_str(text),
            Cell::Decimal(decimal) => decimal.with_plain(|text| object(json, "d", text)),
            Cell::Time(us) => object(json, "t", us),
            Cell::Words(words) => object(json, "s", words),
            Cell::Bool(is_so) => object(json, "b", is_so),
            Cell::Float(number) => object(json, "f", &number.to_string()),
            Cell::Date(days) => object(json, "day", days),
            Cell::Uuid(_) => object(json, "u", &self.to_string()),
            Cell::Bytes(_) => object(json, "x", &self.to_string()),
            Cell::Json(text) => object(json, "j", text),
            Cell::List(list) => object(json, "l", list),
            Cell::Tuples(tuples) => object(json, "tuples", tuples),
        }
    }
}

/// `{"name":value}`.
fn object<S: Serializer, T: Serialize + ?Sized>(
    json: S,
    name: &'static str,
    value: &T,
) -> Result<S::Ok, S::Error> {
    let mut object = json.serialize_struct("Cell", 1)?;
    object.serialize_field(name, value)?;
    object.end()
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(Any)
    }
}

/// What a cell is stored as.
const CELL: &str =
    "null, an integer, text, or an object with d, t, s, b, f, day, u, x, j, l or tuples";

struct Any;
impl<'de> Visitor<'de> for Any {
    type Value = Cell;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(CELL)
    }
    fn visit_unit<E>(self) -> Result<Cell, E> {
        Ok(Cell::Null)
    }
    fn visit_i64<E>(self, number: i64) -> Result<Cell, E> {
        Ok(Cell::Int(number))
    }
    fn visit_u64<E: Error>(self, number: u64) -> Result<Cell, E> {
        i64::try_from(number).map(Cell::Int).map_err(|_| no_cell())
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<Cell, E> {
        Err(no_cell())
    }
    fn visit_bool<E: Error>(self, _: bool) -> Result<Cell, E> {
        Err(no_cell())
    }
    fn visit_str<E>(self, text: &str) -> Result<Cell, E> {
        Ok(Cell::Text(text.to_owned()))
    }
    fn visit_string<E>(self, text: String) -> Result<Cell, E> {
        Ok(Cell::Text(text))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Cell, A::Error> {
        let mut found = None;
        while let Some(Text(name)) = map.next_key()? {
            let cell = match &*name {
                "d" => map.next_value().map(|text| of_text(Type::Decimal, text)),
                "t" => map.next_value().map(Cell::Time),
                "s" => map.next_value::<BTreeSet<String>>().map(Cell::Words),
                "b" => map.next_value().map(Cell::Bool),
                "f" => map.next_value().map(|text| of_text(Type::Float, text)),
                "day" => map.next_value().map(Cell::Date),
                "u" => map.next_value().map(|text| of_text(Type::Uuid, text)),
                "x" => map.next_value().map(|text| of_text(Type::Bytes, text)),
                "j" => map.next_value().map(Cell::Json),
                "l" => map.next_value::<List>().map(Cell::List),
                "tuples" => map.next_value().map(Cell::Tuples),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            if found.replace(cell.map_err(|_| no_cell::<A::Error>())?).is_some() {
                return Err(no_cell());
            }
        }
        found.ok_or_else(no_cell)
    }
}

/// The error of anything that is no cell. What serde says of it would quote the value.
fn no_cell<E: Error>() -> E {
    E::custom(format_args!("no cell: {CELL}"))
}

/// Text, borrowed where it can be.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Only ever what we wrote; anything else shows as text and so as a difference.
fn of_text(kind: Type, Text(text): Text<'_>) -> Cell {
    Cell::parse(kind, &text).unwrap_or_else(|| Cell::Text(text.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::{Float, tests::cell};
    use decimal::Decimal;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn cells_come_back_as_they_went(cell in cell()) {
            let stored = serde_json::to_string(&cell).expect("JSON");
            let read: Cell = serde_json::from_str(&stored).expect("a cell");
            prop_assert_eq!(&cell, &read);
            let value = serde_json::from_str::<serde_json::Value>(&stored).expect("JSON");
            prop_assert_eq!(&cell, &serde_json::from_value(value).expect("a cell"));
        }

        #[test]
        fn decimals_come_back_as_they_went(number: i64, scale in 0_i16..25) {
            let cell = Cell::Decimal(Decimal::from_parts(number.into(), scale));
            let stored = serde_json::to_string(&cell).expect("JSON");
            let read: Cell = serde_json::from_str(&stored).expect("a cell");
            prop_assert_eq!(format!("{cell:?}"), format!("{read:?}"));
        }
    }

    #[test]
    fn stored_as_ever() {
        let decimal = |text: &str| Cell::Decimal(text.parse::<Decimal>().expect("a decimal"));
        let words = ["b", "a \"q\""].into_iter().map(str::to_owned).collect();
        let stored = [
            (Cell::Null, "null"),
            (Cell::Int(-7), "-7"),
            (Cell::Int(i64::MAX), "9223372036854775807"),
            (Cell::Text("a\n\"ü".into()), "\"a\\n\\\"ü\""),
            (decimal("19.50"), r#"{"d":"19.50"}"#),
            (decimal("-0.05"), r#"{"d":"-0.05"}"#),
            (decimal("0.00"), r#"{"d":"0.00"}"#),
            (decimal("1e3"), r#"{"d":"1000"}"#),
            (
                decimal("123456789012345678901234567890.5"),
                r#"{"d":"123456789012345678901234567890.5"}"#,
            ),
            (Cell::Time(-1), r#"{"t":-1}"#),
            (Cell::Words(words), r#"{"s":["a \"q\"","b"]}"#),
            (Cell::Words(BTreeSet::new()), r#"{"s":[]}"#),
            (Cell::Bool(false), r#"{"b":false}"#),
            (Cell::Float(Float::new(-1.5)), r#"{"f":"-1.5"}"#),
            (Cell::Float(Float::new(f64::NAN)), r#"{"f":"NaN"}"#),
            (Cell::Float(Float::new(1e300)), r#"{"f":"1e+300"}"#),
            (Cell::Date(-1), r#"{"day":-1}"#),
            (Cell::Uuid([0xab; 16]), r#"{"u":"abababab-abab-abab-abab-abababababab"}"#),
            (Cell::Bytes(vec![0, 0xfe]), r#"{"x":"\\x00fe"}"#),
            (Cell::Json("{\"a\":  1}".into()), r#"{"j":"{\"a\":  1}"}"#),
            (Cell::List(List(vec![Some("a".into()), None])), r#"{"l":["a",null]}"#),
            (
                Cell::Tuples(vec![vec!["a".into(), decimal("1.50")], vec![Cell::Null]]),
                r#"{"tuples":[["a",{"d":"1.50"}],[null]]}"#,
            ),
        ];
        for (cell, json) in stored {
            assert_eq!(serde_json::to_string(&cell).expect("JSON"), json);
            assert_eq!(serde_json::from_str::<Cell>(json).expect("a cell"), cell);
            let value: serde_json::Value = serde_json::from_str(json).expect("JSON");
            assert_eq!(serde_json::from_value::<Cell>(value).expect("a cell"), cell);
        }
    }

    #[test]
    fn what_was_never_stored() {
        let read = |json: &str| serde_json::from_str::<Cell>(json).ok();
        assert_eq!(read(r#"{"d":"money"}"#), Some("money".into()), "a difference that shows");
        assert_eq!(read(r#"{"d":"\u0031"}"#), Some(Cell::Decimal(1.into())));
        assert_eq!(read(r#"{"later":[1],"t":5}"#), Some(Cell::Time(5)));
        assert_eq!(read(r#"{"u":"nobody"}"#), Some("nobody".into()));
        for json in ["{}", "1.5", "true", "[]", "18446744073709551615", r#"{"d":1}"#] {
            assert_eq!(read(json), None, "{json}");
        }
        assert_eq!(read(r#"{"t":5,"d":"1"}"#), None, "it is one or the other");
        for json in [r#"{"b":1}"#, r#"{"f":1.5}"#, r#"{"day":2147483648}"#, r#"{"l":[1]}"#] {
            assert_eq!(read(json), None, "{json}");
        }
        for json in [
            "18446744073709551615",
            "1234.5",
            r#"{"t":"secret"}"#,
            r#"{"d":1234.5}"#,
            r#"{"s":[1234]}"#,
            r#"{"b":"secret"}"#,
            r#"{"l":[1234]}"#,
        ] {
            let text = serde_json::from_str::<Cell>(json).expect_err("no cell").to_string();
            let quotes = ["184467", "1234", "secret"].into_iter().any(|value| text.contains(value));
            assert!(!quotes, "an error shows no value: {text}");
        }
    }
}
