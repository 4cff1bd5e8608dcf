//! What a state is bound to: earlier texts of the same settings are taken over, others halt in few words.
use super::*;
use consumers::handlers::inventory::{Inventory, Settings};

/// As versions before canonical texts stored it, of the settings by default.
const EARLIER: &str = r#"inventory rules 1; Settings { products: Products { table: "products", id: "id", name: "name", description: "description", price: "price", stock_quantity: "stock_quantity", category: "category" }, order_items: OrderItems { table: "order_items", id: "id", product_id: "product_id", quantity: "quantity", unit_price: "unit_price" }, low_below: 10, stock_mode: Derived, limits: Limits { item_bytes_max: 409600, key_bytes_max: 2048, digits_max: 38 } }; formats "#;

fn products() -> Partition {
    Partition::new("shop.public.products", 0)
}
fn inventory(low_below: i64) -> Engine<Inventory> {
    let handler = Inventory::new(Settings { low_below, ..Settings::default() }, "");
    Engine::new(handler, Decoder::default(), Policy { linger_ms: 0, ..Policy::default() })
}
fn poll(engine: &mut Engine<Inventory>) -> Vec<Action> {
    std::iter::from_fn(|| engine.poll()).collect()
}
/// Opens a lane whose state was left by a version that stored this.
fn open_stored(engine: &mut Engine<Inventory>, fingerprint: &str) -> Vec<Action> {
    engine.handle(0, Event::Assigned(products()));
    let ticket = poll(engine).into_iter().find_map(|action| match action {
        Action::Open(ticket) => Some(ticket),
        _ => None,
    });
    let checkpoint = Checkpoint { fingerprint: fingerprint.into(), ..stored(10) };
    let standing = Standing { checkpoint: Some(checkpoint), bounds: bounds(0, 50, 1), start: None };
    engine.handle(0, Event::Opened(ticket.expect("asks for the state"), Ok(standing)));
    poll(engine)
}

#[test]
fn an_earlier_text_of_the_same_settings_is_taken_over_and_rewritten() {
    let mut engine = inventory(10);
    let seen = open_stored(&mut engine, EARLIER);
    assert!(matches!(&seen[..], [Action::Seek(_, 10), Action::Resume(_)]), "{seen:?}");
    let today = Inventory::new(Settings::default(), "").fingerprint();
    let record = Record {
        partition: &products(),
        offset: 10,
        timestamp_ms: 1,
        key: Some(HERE),
        value: Some(b"no JSON: a dead letter is a batch, too"),
        headers: Headers(&()),
    };
    engine.handle(1, Event::Record(record));
    let batches = commits(poll(&mut engine));
    assert_eq!(batches.len(), 1);
    assert_eq!(batches[0].1.checkpoint.fingerprint, today, "stored with the next batch");
    // And so from then on.
    let seen = open_stored(&mut inventory(10), &today);
    assert!(matches!(&seen[..], [Action::Seek(_, 10), Action::Resume(_)]), "{seen:?}");
}

#[test]
fn a_changed_setting_is_said_in_few_words_and_once() {
    let today = Inventory::new(Settings::default(), "").fingerprint();
    for stored in [EARLIER, &today] {
        let seen = open_stored(&mut inventory(5), stored);
        assert_eq!(
            halted(&seen),
            "shop.public.products/0: the state was made by other rules or settings (low_stock_threshold: 10 became 5): \
             go back to them, or start with a new GENERATION: it builds its views anew, from the topic's beginning"
        );
    }
}
