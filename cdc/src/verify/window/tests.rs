use super::*;
use consumers::{
    handler::Handler,
    handlers::{analytics, inventory, search},
    source::Headers,
    source_table::SourceType,
};
use serde_json::{Map, Value, json};

fn reader() -> Reader {
    let [inventory, ..] = readers();
    inventory
}
fn readers() -> [Reader; 3] {
    let handlers = [
        inventory::handler(&inventory::Settings::default(), ""),
        analytics::handler(&analytics::Settings::default(), ""),
        search::handler(&search::Settings::default(), ""),
    ];
    handlers.map(|handler| Reader { tables: handler.tables(), handler })
}
fn window() -> Window {
    Window {
        decoder: Decoder::new(debezium::Formats::default(), debezium::Limits::default()),
        read_to: Positions::new(),
        rows: BTreeMap::new(),
        records: 0,
        truncated: Vec::new(),
    }
}
const P: &str = "products";
const I: &str = "order_items";
fn event(table: &str, op: &str, id: i64, after: Value) -> (Value, Value) {
    let source = json!({"table": table, "ts_ms": 1});
    (json!({"id": id}), json!({"op": op, "source": source, "after": after}))
}
fn product(op: &str, id: i64, name: &str, stock: i64) -> (Value, Value) {
    event(P, op, id, json!({"id": id, "name": name, "price": 2.50, "stock_quantity": stock}))
}
fn item(op: &str, id: i64, product: i64, quantity: i64) -> (Value, Value) {
    event(I, op, id, json!({"id": id, "product_id": product, "quantity": quantity}))
}
fn put(window: &mut Window, topic: &str, index: i32, offset: i64, event: (Value, Value)) {
    put_with(window, topic, index, offset, event, &[]);
}
fn put_with(
    window: &mut Window,
    topic: &str,
    index: i32,
    offset: i64,
    (key, value): (Value, Value),
    headers: &[(&str, String)],
) {
    let (key, value) = (key.to_string(), value.to_string());
    take(window, topic, index, offset, Some(&key), &value, headers);
}
fn take(
    window: &mut Window,
    topic: &str,
    index: i32,
    offset: i64,
    key: Option<&str>,
    value: &str,
    headers: &[(&str, String)],
) {
    let header = |(name, value): &(&str, String)| ((*name).to_owned(), Some(value.clone().into()));
    let headers: Vec<(String, Option<Vec<u8>>)> = headers.iter().map(header).collect();
    let record = source::Record {
        partition: &Partition::new(topic, index),
        offset,
        timestamp_ms: 0,
        key: key.map(str::as_bytes),
        value: Some(value.as_bytes()),
        headers: Headers(&headers),
    };
    window.take(&reader(), &record).expect("taken");
}
fn remove(window: &mut Window, topic: &str, index: i32, offset: i64, id: i64, clean_to: i64) {
    let header = (removal::CLEAN_TO.to_owned(), Some(clean_to.to_string().into_bytes()));
    let key = json!({"id": id}).to_string();
    let record = source::Record {
        partition: &Partition::new(topic, index),
        offset,
        timestamp_ms: 0,
        key: Some(key.as_bytes()),
        value: None,
        headers: Headers(&vec![header]),
    };
    window.take(&reader(), &record).expect("taken");
}
fn at(places: &[(&str, i32, i64)]) -> Positions {
    places.iter().map(|(topic, index, next)| (Partition::new(topic, *index), *next)).collect()
}
fn new(text: &str) -> Kept<Option<String>> {
    Kept::New(Some(text.to_owned()))
}
fn line(product: &str, quantity: &str) -> Values {
    vec![("product_id", new(product)), ("quantity", new(quantity))]
}

#[test]
fn a_removal_takes_the_row_unless_it_was_changed_since() {
    let mut window = window();
    put(&mut window, I, 1, 4, item("c", 7, 1, 2));
    put(&mut window, I, 1, 5, item("c", 8, 1, 2));
    remove(&mut window, I, 1, 6, 7, 5);
    remove(&mut window, I, 1, 7, 8, 5);
    let patch = window.patch(I, &at(&[(I, 1, 8)])).expect("a patch");
    assert_eq!((patch[&7.into()].is_none(), patch[&8.into()].is_some()), (true, true));
}

#[test]
fn a_row_is_what_its_last_record_before_the_position_says() {
    let mut window = window();
    put(&mut window, I, 1, 4, item("c", 7, 1, 2));
    put(&mut window, I, 1, 6, item("u", 7, 1, 5));
    put(&mut window, I, 1, 9, item("d", 7, 0, 0));
    put(&mut window, I, 2, 5, item("c", 8, 1, 1));
    let of = |next| window.patch(I, &at(&[(I, 1, next), (I, 2, 0)])).expect("a patch");
    assert_eq!(of(4), Patch::new(), "nothing yet");
    assert_eq!(of(5)[&7.into()], Some(line("1", "2")));
    assert_eq!(of(9)[&7.into()], Some(line("1", "5")));
    assert_eq!(of(10)[&7.into()], None, "deleted");
    assert!(!of(10).contains_key(&8.into()), "of another partition, beyond its position");
}

/// Whoever leaves it out is right, and whoever applies it has what the snapshot has.
#[test]
fn a_replayed_letter_is_no_change_of_its_row() {
    let mut window = window();
    let replay = Replay { service: "search-indexer".into(), generation: 1, offset: 2, clean_to: 4 };
    put(&mut window, I, 1, 4, item("u", 7, 1, 5));
    put_with(&mut window, I, 1, 6, item("c", 7, 1, 2), &replay.headers());
    put_with(&mut window, I, 1, 7, item("c", 8, 1, 2), &replay.headers());
    let patch = window.patch(I, &at(&[(I, 1, 9)])).expect("a patch");
    assert_eq!(patch, Patch::from([(7.into(), Some(line("1", "5")))]));
}

#[test]
fn a_key_change_is_two_rows() {
    let mut window = window();
    put(&mut window, P, 0, 1, event(P, "d", 5, Value::Null));
    put(&mut window, P, 1, 3, product("c", 6, "a", 9));
    let patch = window.patch(P, &at(&[(P, 0, 9), (P, 1, 9)])).expect("a patch");
    assert_eq!(patch[&5.into()], None);
    assert_eq!(
        patch[&6.into()],
        Some(vec![("name", new("a")), ("price", new("2.5")), ("stock_quantity", new("9"))])
    );
}

#[test]
fn a_text_that_was_not_sent_is_the_one_before() {
    const GONE: &str = "__debezium_unavailable_value";
    let mut window = window();
    put(&mut window, P, 0, 1, product("u", 1, GONE, 1));
    put(&mut window, P, 0, 2, product("u", 1, "b", 2));
    put(&mut window, P, 0, 3, product("u", 1, GONE, 3));
    put(&mut window, P, 0, 4, event(P, "d", 1, Value::Null));
    put(&mut window, P, 0, 5, product("c", 1, GONE, 5));
    let name = |next| match &window.patch(P, &at(&[(P, 0, next)])).expect("a patch")[&1.into()] {
        Some(row) => row[0].1.clone(),
        None => panic!("deleted"),
    };
    assert_eq!(name(2), Kept::Unchanged, "as in the snapshot");
    assert_eq!(name(4), new("b"));
    assert_eq!(name(6), Kept::New(None), "nobody knows it");
}

#[test]
fn what_the_service_cannot_read_changes_nothing() {
    let mut window = window();
    put(&mut window, I, 0, 1, item("c", 7, 1, 2));
    put(
        &mut window,
        I,
        0,
        2,
        event(I, "u", 7, json!({"id": 7, "product_id": 1, "quantity": "many"})),
    );
    take(&mut window, I, 0, 3, None, "{", &[]);
    let patch = window.patch(I, &at(&[(I, 0, 9)])).expect("a patch");
    assert_eq!(patch[&7.into()], Some(line("1", "2")));
}

#[test]
fn a_truncate_below_the_position_is_no_answer() {
    let mut window = window();
    let truncate = json!({"op": "t", "source": {"table": I, "ts_ms": 1}}).to_string();
    take(&mut window, I, 0, 5, None, &truncate, &[]);
    assert!(window.patch(I, &at(&[(I, 0, 5)])).is_ok());
    assert!(window.patch(I, &at(&[(I, 0, 6)])).is_err());
}

#[test]
fn every_key_that_a_row_counted_towards_is_known() {
    let mut window = window();
    put(&mut window, I, 0, 1, item("c", 7, 1, 2));
    put(&mut window, I, 0, 2, item("u", 7, 3, 2));
    let table = reader().table_of(I).expect("a table").clone();
    // As the snapshot has it.
    let before = HashMap::from([(7.into(), vec![Some("5".to_owned())])]);
    let touched = window.touched(&table, &["product_id"], &before);
    let of = |product: i64| touched.get(&product.into()).cloned();
    for product in [1, 3, 5] {
        assert_eq!(of(product), Some(BTreeSet::from([7.into()])), "{product}");
    }
    assert_eq!(touched.len(), 3);
    let by_itself = window.touched(&table, &["id"], &HashMap::new());
    assert_eq!(by_itself, HashMap::from([(7.into(), BTreeSet::from([7.into()]))]));
}

/// Stock of a product in a place: the key is (uuid, text), and a row counts towards a view's row of (uuid, owner).
fn stocks() -> SourceTable {
    SourceTable::new("stocks", 's')
        .key("product", SourceType::Text)
        .key("place", SourceType::Text)
        .column("owner", SourceType::Text)
        .column("paid", SourceType::Decimal)
}
fn stock(place: &str, row: Option<(Kept<Option<String>>, &str)>) -> Touched {
    let row = row.map(|(owner, paid)| vec![("owner", owner), ("paid", new(paid))]);
    Touched { table: "stocks", key: key(&["p1", place]), row }
}
fn key(values: &[&str]) -> RowKey {
    values.iter().map(|value| (*value).to_owned()).collect()
}

#[test]
fn rows_are_told_apart_by_their_whole_key() {
    let mut window = window();
    let place = Partition::new("stocks", 0);
    for (offset, touched) in [
        (1, stock("x", Some((new("a"), "1")))),
        (2, stock("y", Some((new("b"), "2")))),
        (3, stock("x", None)),
        (4, stock("y", Some((Kept::Unchanged, "3")))),
    ] {
        window.touch(&place, offset, touched).expect("taken");
    }
    let patch = |next| window.patch("stocks", &at(&[("stocks", 0, next)])).expect("a patch");
    let (x, y) = (key(&["p1", "x"]), key(&["p1", "y"]));
    let row = |owner, paid| Some(vec![("owner", new(owner)), ("paid", new(paid))]);
    assert_eq!(patch(3), Patch::from([(x.clone(), row("a", "1")), (y.clone(), row("b", "2"))]));
    assert_eq!(patch(5), Patch::from([(x, None), (y.clone(), row("b", "3"))]));
    let other = key(&["p1"]);
    let only = window.patch_of("stocks", [&y, &other].into_iter(), &Positions::new());
    assert_eq!(only.expect("a patch"), Patch::from([(y, row("b", "3"))]));
}

/// Of columns of the key and others, also where the record does not say one of them.
#[test]
fn every_key_of_several_columns_that_a_row_counted_towards_is_known() {
    let mut window = window();
    let place = Partition::new("stocks", 0);
    for (offset, touched) in [
        (1, stock("x", Some((Kept::Unchanged, "1.50")))),
        (2, stock("x", Some((new("b"), "1.5")))),
        (3, stock("x", None)),
        (4, stock("x", Some((Kept::Unchanged, "9")))),
        (5, stock("y", Some((new("a"), "1.500")))),
    ] {
        window.touch(&place, offset, touched).expect("taken");
    }
    let (x, y) = (key(&["p1", "x"]), key(&["p1", "y"]));
    let snapshot = |owner: &str| vec![Some("p1".to_owned()), Some(owner.to_owned())];
    let before = HashMap::from([(x.clone(), snapshot("a"))]);
    let touched = window.touched(&stocks(), &["product", "owner"], &before);
    let both = BTreeSet::from([x.clone(), y.clone()]);
    assert_eq!(
        touched,
        HashMap::from([(key(&["p1", "a"]), both.clone()), (key(&["p1", "b"]), [x.clone()].into())])
    );
    // However a number is written; nobody knows the owner of a row that the snapshot has not.
    let by_sum = window.touched(&stocks(), &["paid"], &HashMap::new());
    assert_eq!(by_sum, HashMap::from([(key(&["1.5"]), both), (key(&["9"]), [x].into())]));
    let by_owner = window.touched(&stocks(), &["owner"], &HashMap::new());
    assert_eq!(by_owner.len(), 2);
}

/// A column that the statements declare and no row says would be null in all of them.
#[test]
fn a_row_says_each_declared_column_and_no_other() {
    let readers = readers();
    for (reader, table) in readers.iter().flat_map(|r| r.tables.iter().map(move |t| (r, t))) {
        let mut row: Map<String, Value> =
            table.columns.iter().map(|column| (column.name.clone(), Value::Null)).collect();
        row.insert("id".into(), 1.into());
        let (key, value) = event(table.alias, "c", 1, row.into());
        let (key, value) = (key.to_string(), value.to_string());
        let mut decoder = Decoder::default();
        let decoded = decoder.decode(table.alias, Some(key.as_bytes()), Some(value.as_bytes()));
        let Ok(Envelope::Change(change)) = decoded else { panic!("no change: {decoded:?}") };
        let touched = reader.read(&change, table).expect("a row").expect("of this service");
        let said: Vec<&str> =
            touched.row.expect("not deleted").into_iter().map(|(name, _)| name).collect();
        let declared: Vec<&str> = table.columns.iter().map(|column| column.alias).collect();
        assert_eq!((touched.table, said), (table.alias, declared));
    }
}
