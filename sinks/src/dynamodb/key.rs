//! A view's key as a table has it. DynamoDB takes a hash attribute and at most one range attribute.
//!
//! A key of one or two columns is those attributes, each under its own name. A key of more keeps its first column as the
//! hash attribute; the others are one text, `sort_key`: the columns between `/`, with `\` before each `\` and `/` in
//! them. No two keys have one text, and the columns are read back from it. Those columns are attributes of their own
//! beside it, for people and for indexes.
use super::{
    read::cell,
    request::Value,
    wire::{self, Attributes},
};
use crate::{Cell, Column, Type, View, batch::joined, canonical_key};

/// The range attribute of a key of three or more columns.
pub const SORT_KEY: &str = "sort_key";

/// Where an item is.
#[derive(Debug, Clone, Default)]
pub struct Address {
    /// What DynamoDB knows the item by.
    pub key: Attributes,
    /// The columns that are in the range attribute, each as an attribute of its own.
    pub columns: Vec<(&'static str, Value)>,
}
impl Address {
    /// `None`: a column is null, and there is no such item.
    pub fn of(view: &View, key: &[Cell]) -> Option<Self> {
        let key = canonical_key(key);
        let named = |(column, cell): (&Column, &Cell)| Some((column.name, Value::of_key(cell)?));
        let all: Vec<(&'static str, Value)> =
            view.key.iter().zip(&*key).map(named).collect::<Option<_>>()?;
        let attribute =
            |(name, value): &(&str, Value)| ((*name).to_owned(), wire::attribute(value));
        if !is_joined(view) {
            return Some(Self { key: all.iter().map(attribute).collect(), columns: vec![] });
        }
        let (hash, columns) = (attribute(all.first()?), all[1..].to_vec());
        let range = (SORT_KEY.to_owned(), wire::attribute(&Value::Text(sort_key(&key))));
        Some(Self { key: Attributes::from([hash, range]), columns })
    }
}

/// Whether several columns of the key are in one attribute.
pub fn is_joined(view: &View) -> bool {
    view.key.len() > 2
}

/// The text of the range attribute for a key of three or more columns.
pub fn sort_key(key: &[Cell]) -> String {
    joined(canonical_key(key).get(1..).unwrap_or_default())
}

/// The key of an item. One that cannot be read is the text itself, and so no row's.
pub fn cells(view: &View, item: &Attributes) -> Vec<Cell> {
    let plain = |columns: &[Column]| columns.iter().map(|column| cell(column, item)).collect();
    let (Some(Value::Text(text)), true) =
        (item.get(SORT_KEY).and_then(wire::value_of), is_joined(view))
    else {
        return plain(view.key);
    };
    let mut key: Vec<Cell> = plain(&view.key[..1]);
    let columns = view.key[1..].iter().zip(split(&text));
    key.extend(columns.map(|(column, text)| read(column.kind, text)));
    if key.len() != view.key.len() || sort_key(&key) != text {
        key.truncate(1);
        key.push(Cell::Text(text));
    }
    key
}

/// Whether the attributes for people and indexes say the same as the key does.
pub fn agrees(view: &View, key: &[Cell], item: &Attributes) -> bool {
    let mut columns = view.key.iter().zip(key).skip(1);
    key.len() == view.key.len() && columns.all(|(column, said)| cell(column, item) == *said)
}

/// The texts that were joined to one.
fn split(text: &str) -> Vec<String> {
    let mut texts = vec![String::new()];
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '/' => texts.push(String::new()),
            '\\' => texts.last_mut().into_iter().for_each(|last| last.extend(letters.next())),
            letter => texts.last_mut().into_iter().for_each(|last| last.push(letter)),
        }
    }
    texts
}

/// The cell that has this text. What does not read as its column's type stays text, and so shows as a difference.
fn read(kind: Type, text: String) -> Cell {
    Cell::parse(kind, &text).unwrap_or(Cell::Text(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Decimal, Float};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const ID: Column = Column::new("id", Type::Int);
    const NAME: Column = Column::new("name", Type::Text);
    const PRICE: Column = Column::new("price", Type::Decimal);
    const AT: Column = Column::new("since", Type::Time);
    const WIDE: &[Column] = &[NAME, ID, Column::new("part", Type::Text), PRICE, AT];
    const ODD: &[Column] = &[
        ID,
        Column::new("is", Type::Bool),
        Column::new("rate", Type::Float),
        Column::new("day", Type::Date),
        Column::new("who", Type::Uuid),
        Column::new("hash", Type::Bytes),
    ];

    fn wide() -> View {
        View::rows("wide", WIDE, &[])
    }
    fn item(view: &View, key: &[Cell]) -> Attributes {
        let Address { key, columns } = Address::of(view, key).expect("no nulls");
        let columns = columns.iter().map(|(n, v)| ((*n).to_owned(), wire::attribute(v)));
        key.into_iter().chain(columns).collect()
    }

    fn key() -> impl Strategy<Value = Vec<Cell>> {
        let text = || "[ab/\\\\N]{0,4}";
        // Of the years that the source has.
        let time = -62_135_596_800_000_000_i64..253_402_300_800_000_000;
        let decimal =
            (any::<i64>(), 0_i16..5).prop_map(|(n, scale)| Decimal::from_parts(n.into(), scale));
        (text(), any::<i64>(), text(), decimal, time).prop_map(|(name, id, part, price, at)| {
            vec![name.into(), id.into(), part.into(), price.into(), Cell::Time(at)]
        })
    }
    fn odd_key() -> impl Strategy<Value = Vec<Cell>> {
        let float = prop_oneof![any::<u64>().prop_map(f64::from_bits), any::<f64>(), Just(-0.0)];
        let day = -719_162..2_932_897;
        let bytes = proptest::collection::vec(any::<u8>(), 0..4);
        (any::<i64>(), any::<bool>(), float, day, any::<[u8; 16]>(), bytes).prop_map(
            |(id, is, rate, day, who, hash)| {
                let rate = Cell::Float(Float::new(rate));
                vec![
                    id.into(),
                    Cell::Bool(is),
                    rate,
                    Cell::Date(day),
                    Cell::Uuid(who),
                    Cell::Bytes(hash),
                ]
            },
        )
    }
    proptest! {
        #[test]
        fn keys_of_odd_types_come_back(key in odd_key()) {
            for view in [View::rows("odd", ODD, &[]), View::rows("odd", &ODD[..2], &[])] {
                let key = &key[..view.key.len()];
                let item = item(&view, key);
                let read = cells(&view, &item);
                prop_assert_eq!(&read, key);
                prop_assert!(agrees(&view, &read, &item));
            }
        }
        #[test]
        fn keys_come_back(key in key()) {
            let view = wide();
            let item = item(&view, &key);
            let read = cells(&view, &item);
            prop_assert_eq!(&read, &key);
            prop_assert!(agrees(&view, &read, &item));
        }
        #[test]
        fn texts_that_are_not_ours_never_panic(text in ".{0,12}") {
            let item = Attributes::from([(SORT_KEY.to_owned(), wire::attribute(&Value::Text(text)))]);
            let key = cells(&wide(), &item);
            prop_assert!(!agrees(&wide(), &key, &item));
        }
    }

    #[test]
    fn no_two_keys_have_one_text() {
        let texts = ["", "/", "\\", "a/", "/a", "a", "\\/", "a\\", "\\N", "1"];
        let mut seen = BTreeSet::new();
        for one in texts {
            for two in texts {
                for three in texts {
                    assert!(seen.insert(sort_key(&[
                        "h".into(),
                        one.into(),
                        two.into(),
                        three.into()
                    ])));
                }
            }
        }
    }

    /// It would be taken for the item of another key.
    #[test]
    fn a_text_that_we_would_write_otherwise_is_no_key() {
        let view = View::rows("bins", const { &[NAME, ID, PRICE] }, &[]);
        let key = |text: &str| {
            let text = wire::attribute(&Value::Text(text.to_owned()));
            cells(&view, &Attributes::from([(SORT_KEY.to_owned(), text)]))
        };
        assert_eq!(key("7/1.5"), [Cell::Null, 7.into(), Cell::Decimal("1.5".parse().expect("d"))]);
        for text in ["07/1.5", "7/1.50", "7", "7/1.5/", "7/1.5\\", "+7/1.5", ""] {
            assert_eq!(key(text), [Cell::Null, text.into()], "{text}");
        }
    }

    /// Stored in every item: never to be changed.
    #[test]
    fn the_text_is_as_ever() {
        let price = Cell::Decimal("1.50".parse().expect("a number"));
        let key = ["north".into(), Cell::Int(-7), "a/b\\".into(), price, Cell::Time(1)];
        let text = r"-7/a\/b\\/1.5/1970-01-01T00:00:00.000001Z";
        assert_eq!(sort_key(&key), text);
        let item = item(&wide(), &key);
        let mut names: Vec<&str> = item.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["id", "name", "part", "price", "since", "sort_key"]);
        assert_eq!(item[SORT_KEY], wire::attribute(&Value::Text(text.to_owned())));
    }

    /// Stored in every item: never to be changed.
    #[test]
    fn texts_of_odd_types_are_as_ever() {
        let rate = Cell::Float(Float::new(-0.0));
        let who = Cell::Uuid(*b"0123456789abcdef");
        let key =
            [Cell::Int(1), Cell::Bool(true), rate, Cell::Date(0), who, Cell::Bytes(vec![0xde])];
        let text = r"true/0/1970-01-01/30313233-3435-3637-3839-616263646566/\\xde";
        assert_eq!(sort_key(&key), text);
        let item = item(&View::rows("odd", ODD, &[]), &key);
        assert_eq!(item["is"], wire::attribute(&Value::Text("true".into())));
        assert_eq!(item["rate"], wire::attribute(&Value::Int(0)));
        assert_eq!(item["hash"], wire::attribute(&Value::Bytes(vec![0xde])));
    }

    #[test]
    fn one_or_two_columns_are_attributes_of_their_own() {
        let view = View::rows("narrow", const { &[NAME, ID] }, &[]);
        let address = Address::of(&view, &["a/b".into(), 7.into()]).expect("no nulls");
        let want = [("name", Value::Text("a/b".into())), ("id", Value::Int(7))];
        let want = want.map(|(name, value)| (name.to_owned(), wire::attribute(&value)));
        assert_eq!((address.key, address.columns), (Attributes::from(want), vec![]));
    }

    #[test]
    fn there_is_no_item_without_a_column() {
        assert!(
            Address::of(&wide(), &["a".into(), Cell::Null, "b".into(), 1.into(), 1.into()])
                .is_none()
        );
    }

    #[test]
    fn what_was_altered_beside_the_key_is_noticed() {
        let view = wide();
        let price = Cell::Decimal(1.into());
        let key = ["a".into(), 1.into(), "b".into(), price, Cell::Time(0)];
        let mut altered = item(&view, &key);
        altered.insert("part".into(), wire::attribute(&Value::Text("c".into())));
        assert_eq!(cells(&view, &altered), key, "the key is what it is");
        assert!(!agrees(&view, &key, &altered));
        altered.remove("part");
        assert!(!agrees(&view, &key, &altered));
    }
}
