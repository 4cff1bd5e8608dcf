//! A row that the source no longer has, taken out through the log.
//!
//! Where changes were lost, the log itself still has rows that the source has not: no state that is made of it can be
//! right. `cdc verify --repair` then sends a delete: a record with the key of the row's newest record, no value, and
//! one header. It takes effect at its offset N, in every service and generation that reads the topic, if no newer
//! record of its key, and no truncate, lies between `cdc-repair-clean-to` (E) and N: up to E the command has read the
//! log and knows that the source, later than all of that, has no such row. So every look decides the same, and a row
//! that is made meanwhile stays. Letters that come back are no newer record: they say what their own record said, and
//! that is older than E.
#![deny(clippy::disallowed_methods)]

use crate::source::Record;

pub const CLEAN_TO: &str = "cdc-repair-clean-to";

/// `None`: no removal. Ask only of records that are no letters' replays: a removal that became a letter comes back as
/// such. Else up to where no record of its key is left to look for; `Err`: that cannot be read.
pub fn clean_to(record: &Record<'_>) -> Option<Result<i64, String>> {
    if record.value.is_some_and(|value| !value.is_empty()) {
        return None;
    }
    let found = record.headers.0.list_with(CLEAN_TO);
    let (_, value) = found.iter().rev().find(|(name, _)| name == CLEAN_TO)?;
    let text = value.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok());
    let offset = text.and_then(|text| text.parse::<i64>().ok());
    // A record of its key was before it, and it is itself behind that.
    let offset = offset.filter(|offset| (1..=record.offset).contains(offset));
    Some(offset.ok_or_else(|| format!("the header {CLEAN_TO} is no offset that can be")))
}
