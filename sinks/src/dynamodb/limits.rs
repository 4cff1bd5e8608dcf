//! What DynamoDB refuses for good, as far as one write shows it.
use super::{
    key::{is_joined, sort_key},
    request::float,
};
use crate::{Cell, Column, Op, View, Write};

/// Handlers reject what is beyond these in `read`, before anything is written.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Of an item, names and values together.
    pub item_bytes: usize,
    pub partition_key_bytes: usize,
    pub sort_key_bytes: usize,
    /// Significant digits of a number.
    pub digits: u64,
    /// Decimal exponent of a number's first digit; 0 is always fine.
    pub exponent_max: i64,
    pub exponent_min: i64,
}
pub const LIMITS: Limits = Limits {
    item_bytes: 400 * 1024,
    partition_key_bytes: 2048,
    sort_key_bytes: 1024,
    digits: 38,
    exponent_max: 125,
    exponent_min: -130,
};

impl Limits {
    /// Why this write can never be stored; `None`: nothing speaks against it, and DynamoDB has the last word.
    pub fn refuse(&self, view: &View, write: &Write) -> Option<String> {
        if let Some(why) = self.refuse_key(view, &write.key) {
            return Some(why);
        }
        let Op::Put(row) = &write.op else { return None };
        if let Some(why) = self.refuse_row(view.name, view.own.unwrap_or_default(), row) {
            return Some(why);
        }
        // Texts alone: names, numbers and our own attributes come on top.
        let is_text = |cell: &&Cell| {
            use Cell::{Bytes, Json, List, Text, Words};
            matches!(cell, Text(_) | Words(_) | Bytes(_) | Json(_) | List(_))
        };
        let texts = row.iter().filter(is_text);
        let bytes: usize = texts.map(Cell::size).sum();
        (bytes > self.item_bytes).then(|| {
            format!(
                "{}: a row size of {bytes} bytes is more than the {} of an item",
                view.name, self.item_bytes
            )
        })
    }

    /// Why a row of these columns can never be attributes of an item; `None`: nothing speaks against it.
    pub fn refuse_row(&self, view: &str, columns: &[Column], row: &[Cell]) -> Option<String> {
        let mut wrong = columns.iter().zip(row);
        wrong.find_map(|(column, cell)| {
            Some(format!("{view}.{}: {}", column.name, self.number(cell)?))
        })
    }

    fn refuse_key(&self, view: &View, key: &[Cell]) -> Option<String> {
        let wrong = |name: &str, why: String| Some(format!("{}.{name}: {why}", view.name));
        let is_joined = is_joined(view);
        for (at, (column, cell)) in view.key.iter().zip(key).enumerate() {
            // Those behind the first are parts of one attribute, if there are several.
            let is_whole = at == 0 || !is_joined;
            let max = if at == 0 { self.partition_key_bytes } else { self.sort_key_bytes };
            match cell {
                Cell::Null => return wrong(column.name, "a key must not be null".into()),
                Cell::Text(_) | Cell::Bytes(_) if is_whole && cell.size() == 0 => {
                    return wrong(column.name, "a key must not be empty".into());
                }
                Cell::Text(_) | Cell::Bytes(_) if cell.size() > max => {
                    return wrong(
                        column.name,
                        format!("{} bytes are more than the {max} of a key", cell.size()),
                    );
                }
                Cell::Float(number) if is_whole && float(*number).is_none() => {
                    let why = "NaN, infinite or beyond the range of a number, which is no key";
                    return wrong(column.name, why.into());
                }
                cell => {
                    if let Some(why) = self.number(cell) {
                        return wrong(column.name, why);
                    }
                }
            }
        }
        let (bytes, max) = (sort_key(key).len(), self.sort_key_bytes);
        let names = || view.key[1..].iter().map(|column| column.name).collect::<Vec<_>>();
        (is_joined && bytes > max).then(|| {
            format!(
                "{}.{}: {bytes} bytes together are more than the {max} of a key",
                view.name,
                names().join(", ")
            )
        })
    }

    fn number(&self, cell: &Cell) -> Option<String> {
        let number = cell.decimal().filter(|number| !number.is_zero())?.normalized();
        let digits = number.digits();
        if digits > self.digits {
            return Some(format!("{digits} digits are more than the {} of a number", self.digits));
        }
        let exponent = i64::try_from(digits).ok()? - 1 - number.fractional_digit_count();
        let fits = (self.exponent_min..=self.exponent_max).contains(&exponent);
        (!fits).then(|| format!("10^{exponent} is beyond the range of a number"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Float, Type};

    fn refused(key: Cell, cell: Cell) -> Option<String> {
        const KEY: [Column; 2] = [Column::new("token", Type::Text), Column::new("id", Type::Int)];
        const COLUMNS: [Column; 1] = [Column::new("price", Type::Decimal)];
        let view = View::rows("words", &KEY, &COLUMNS);
        let op = Op::Put(vec![cell]);
        let key = vec![key, Cell::Int(1)];
        LIMITS.refuse(&view, &Write { offset: 0, source_ts_ms: 0, view: "words", key, op })
    }

    #[test]
    fn what_can_never_be_stored_is_named_without_its_value() {
        let decimal = |text: &str| Cell::Decimal(text.parse().expect("a number"));
        for fine in
            ["0", "-0.00", "12345678901234567890123456789012345678", "1e125", "1e-130", "9.5e-100"]
        {
            assert_eq!(refused("lamp".into(), decimal(fine)), None, "{fine}");
        }
        assert_eq!(
            refused("lamp".into(), decimal(&format!("1{}", "0".repeat(60)))),
            None,
            "zeros are no digits"
        );
        for wrong in ["123456789012345678901234567890123456789", "1e126", "1e-131"] {
            let why = refused("lamp".into(), decimal(wrong)).expect(wrong);
            assert!(why.starts_with("words.price: "), "{why}");
        }
        assert_eq!(refused("x".repeat(2048).into(), Cell::Null), None);
        let long = refused("x".repeat(2049).into(), Cell::Null).expect("too long");
        assert_eq!(long, "words.token: 2049 bytes are more than the 2048 of a key");
        assert!(
            refused("".into(), Cell::Null).is_some() && refused(Cell::Null, Cell::Null).is_some()
        );
        assert!(refused("lamp".into(), "x".repeat(400 * 1024 + 1).into()).is_some());
        assert_eq!(refused("lamp".into(), "x".repeat(400 * 1024).into()), None, "DynamoDB decides");
    }

    #[test]
    fn a_float_is_a_key_only_as_a_number_and_bytes_only_if_there_are_some() {
        const RATE: Column = Column::new("rate", Type::Float);
        const HASH: Column = Column::new("hash", Type::Bytes);
        let view = View::rows("rates", const { &[RATE, HASH] }, &[RATE]);
        let refused = |rate: f64, hash: usize| {
            let rate = Cell::Float(Float::new(rate));
            let key = vec![rate.clone(), Cell::Bytes(vec![7; hash])];
            let op = Op::Put(vec![rate]);
            LIMITS.refuse(&view, &Write { offset: 0, source_ts_ms: 0, view: "rates", key, op })
        };
        for fine in [0.0, -0.0, 1.5, 9.999e125, -1e-130, 1.234_567_890_123_456_7e-5] {
            assert_eq!(refused(fine, 1), None, "{fine}");
        }
        for wrong in [f64::NAN, f64::INFINITY, 1e126, 9e-131, f64::MAX] {
            let why = refused(wrong, 1).expect("no key");
            assert!(why.starts_with("rates.rate: ") && why.ends_with("is no key"), "{why}");
        }
        assert_eq!(refused(1.0, 1024), None);
        assert_eq!(refused(1.0, 0).as_deref(), Some("rates.hash: a key must not be empty"));
        let long = "rates.hash: 1025 bytes are more than the 1024 of a key";
        assert_eq!(refused(1.0, 1025).as_deref(), Some(long));
    }

    /// The columns behind the first one share what a range attribute may have.
    #[test]
    fn a_key_of_three_columns_has_the_bounds_of_its_two_attributes() {
        const KEY: [Column; 3] = [
            Column::new("site", Type::Text),
            Column::new("bay", Type::Int),
            Column::new("shelf", Type::Text),
        ];
        let view = View::rows("bins", &KEY, &[]);
        let refused = |site: &str, bay: Cell, shelf: Cell| {
            let key = vec![site.into(), bay, shelf];
            let write = Write { offset: 0, source_ts_ms: 0, view: "bins", key, op: Op::Delete };
            LIMITS.refuse(&view, &write)
        };
        let bay = || Cell::Int(1);
        let texts = |bytes: usize| Cell::Text("x".repeat(bytes));
        assert_eq!(refused(&"x".repeat(2048), bay(), "".into()), None, "empty is a text as any");
        assert_eq!(refused("a", bay(), texts(1022)), None);
        let slashes = Cell::Text("/".repeat(600));
        for (shelf, why) in [
            (texts(1023), "bins.bay, shelf: 1025 bytes together are more than the 1024 of a key"),
            (slashes, "bins.bay, shelf: 1202 bytes together are more than the 1024 of a key"),
            (texts(1025), "bins.shelf: 1025 bytes are more than the 1024 of a key"),
            (Cell::Null, "bins.shelf: a key must not be null"),
        ] {
            assert_eq!(refused("a", bay(), shelf).as_deref(), Some(why));
        }
        let no_bay = refused("a", Cell::Null, "b".into());
        assert_eq!(no_bay.as_deref(), Some("bins.bay: a key must not be null"));
        let no_site = refused("", bay(), "b".into());
        assert_eq!(no_site.as_deref(), Some("bins.site: a key must not be empty"));
        let long = refused(&"x".repeat(2049), bay(), "b".into());
        assert!(long.is_some_and(|why| why.starts_with("bins.site: 2049 bytes")));
    }
}
