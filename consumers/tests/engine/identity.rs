//! What a state is bound to: one of other rules or settings halts, in few words.
use super::*;
use consumers::{
    handlers::inventory::{self, Settings},
    plan_handler::PlanHandler,
};

fn products() -> Partition {
    Partition::new("shop.public.products", 0)
}
fn inventory(low_below: i64) -> Engine<PlanHandler> {
    let handler = inventory::handler(&Settings { low_below, ..Settings::default() }, "");
    Engine::new(handler, Decoder::default(), Policy { linger_ms: 0, ..Policy::default() })
}
fn poll(engine: &mut Engine<PlanHandler>) -> Vec<Action> {
    std::iter::from_fn(|| engine.poll()).collect()
}
/// Opens a lane whose state was left by a version that stored this.
fn open_stored(engine: &mut Engine<PlanHandler>, fingerprint: &str) -> Vec<Action> {
    engine.handle(0, Event::Assigned(products()));
    let ticket = poll(engine).into_iter().find_map(|action| match action {
        Action::Open(ticket) => Some(ticket),
        _ => None,
    });
    let checkpoint = Checkpoint { fingerprint: fingerprint.into(), ..stored(10) };
    let opened =
        OpenedPartition { checkpoint: Some(checkpoint), bounds: bounds(0, 50, 1), start: None };
    engine.handle(0, Event::Opened(ticket.expect("asks for the state"), Ok(opened)));
    poll(engine)
}

#[test]
fn a_state_of_an_earlier_version_is_refused_with_what_to_do() {
    let today = inventory::handler(&Settings::default(), "").fingerprint();
    let earlier = today.replace("rules 2", "rules 1");
    assert_ne!(earlier, today);
    let seen = open_stored(&mut inventory(10), &earlier);
    assert_eq!(
        halted(&seen),
        "shop.public.products/0: the state was made by other rules or settings (rules 1 became 2): go back to them, or \
         start with a new GENERATION: it builds its views anew, from the topic's beginning"
    );
    let seen = open_stored(&mut inventory(10), &today);
    assert!(matches!(&seen[..], [Action::Seek(_, 10), Action::Resume(_)]), "{seen:?}");
}

#[test]
fn a_changed_setting_is_said_in_few_words_and_once() {
    let today = inventory::handler(&Settings::default(), "").fingerprint();
    let seen = open_stored(&mut inventory(5), &today);
    assert_eq!(
        halted(&seen),
        "shop.public.products/0: the state was made by other rules or settings (low_stock_threshold: 10 became 5): \
         go back to them, or start with a new GENERATION: it builds its views anew, from the topic's beginning"
    );
}
