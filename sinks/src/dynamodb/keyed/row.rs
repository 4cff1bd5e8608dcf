//! Items with one owner and nothing else: each write puts the whole item, and says which offsets it may replace.
use super::{
    AT, Ask, EXPIRES, Entry, GEN, Kind, LIVE, OWN, Sight, Unfit, Writer, attributes, index, narrow,
};
use crate::{
    Cell, IndexKey,
    dynamodb::request::{Action, Item, Request, Value, When},
};

/// Items with one owner.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// Attributes of the owner's part, in its order.
    pub columns: Vec<&'static str>,
    /// What indexes are made by, beside attributes that are there anyway.
    pub indexed: Vec<IndexKey>,
}
impl Kind for Row {
    fn always(&self) -> &'static str {
        AT
    }
    fn shown_by(&self) -> &'static str {
        LIVE
    }
    fn has_entries(&self) -> bool {
        false
    }
    fn refuse_share(&self, _: &[Cell]) -> Option<&'static str> {
        Some("a row that is its owner's alone has no shares")
    }
    fn read_entry(&self, _: &[u8]) -> Option<Entry> {
        None
    }
    fn shares_of(&self, _: &[Cell]) -> Cell {
        Cell::Null
    }
    fn shares_in(&self, _: &Item) -> Option<Cell> {
        Some(Cell::Null)
    }
    fn look(&self, item: &Item, _: &str, sight: &mut Sight) -> Result<(), String> {
        sight.at = narrow(item, AT)?;
        Ok(())
    }

    /// One request for everything: put, delete, create, replace. The condition needs no look at the item.
    fn aim(&self, writer: &Writer<'_>, ask: &Ask, _: Option<&Sight>) -> Result<Request, Unfit> {
        let last = ask.last();
        let mut item = writer.stamped(ask);
        item.insert(AT.into(), last.into());
        item.insert(OWN.into(), writer.own());
        match ask.own.as_ref().and_then(|own| own.1.as_ref()) {
            Some(row) => {
                item.insert(LIVE.into(), Value::Int(1));
                item.extend(attributes(&self.columns, row));
                index(&self.indexed, &mut item);
            }
            None => drop(item.insert(EXPIRES.into(), writer.expiry().into())),
        }
        let earlier = When::All(vec![
            When::Is(GEN.into(), writer.generation.into()),
            When::Below(AT.into(), last.into()),
            writer.is_ours_or_nobodys(),
        ]);
        let [none, older] = writer.older_or_none();
        Ok(Request { action: Action::Put(item), condition: When::Any(vec![none, older, earlier]) })
    }
}
