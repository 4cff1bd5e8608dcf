//! A dead letter, back in the log: how its record says so, and whether its key has moved on since.
//!
//! A replayed record has the letter's key, value and headers, and four headers more. It takes effect at its new
//! offset N, for the letter's service and generation alone, if no newer record of the same key, and no truncate, lies
//! between the letter's offset and N. A tombstone is one, unless the letter is a delete itself: then the tombstone says
//! the same. Other letters' replays are none: they change nothing for this one. The command checked the log up to
//! `cdc-replay-clean-to` (E) before it sent the record; the engine (`engine/replays.rs`) checks it from E to N when it
//! meets the record. Both checks read the log alone, so a crash and a second check decide the same.
#![deny(clippy::disallowed_methods)]

use crate::{
    removal,
    source::{Headers, Record},
    source_table::{self, SourceColumn, SourceTable},
};
use debezium::{Decoder, Envelope, Field, Formats, Limits, Row};
use std::collections::{BTreeMap, HashMap};

/// All of ours begin so; a letter's own of these names are left out when it is sent.
pub const PREFIX: &str = "cdc-replay-";
pub const SERVICE: &str = "cdc-replay-service";
pub const OFFSET: &str = "cdc-replay-offset";
pub const GENERATION: &str = "cdc-replay-generation";
pub const CLEAN_TO: &str = "cdc-replay-clean-to";

/// What a replayed record says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    pub service: String,
    pub generation: u64,
    /// The letter's offset, in the same partition.
    pub offset: i64,
    /// No record of the same key lies between the letter and here.
    pub clean_to: i64,
}

impl Replay {
    /// `None`: an ordinary record. Else whose replay it is, and which; `Err`: that cannot be read.
    pub fn of(headers: Headers<'_>) -> Option<(String, Result<Self, String>)> {
        let found = headers.0.list_with(PREFIX);
        if found.is_empty() {
            return None;
        }
        let text = |name: &str| {
            let value = found.iter().rev().find(|(n, _)| n == name).and_then(|(_, v)| v.as_deref());
            value.and_then(|bytes| std::str::from_utf8(bytes).ok())
        };
        let service = text(SERVICE)?.to_owned();
        let number = |name: &str| {
            let number = text(name).and_then(|t| t.parse::<i64>().ok()).filter(|n| *n >= 0);
            number.ok_or_else(|| format!("the header {name} is missing or no offset or number"))
        };
        let read = || {
            let (generation, offset) = (number(GENERATION)?.unsigned_abs(), number(OFFSET)?);
            Ok(Self { service: service.clone(), generation, offset, clean_to: number(CLEAN_TO)? })
        };
        let read = read();
        Some((service, read))
    }

    /// As they are sent.
    pub fn headers(&self) -> [(&'static str, String); 4] {
        [
            (SERVICE, self.service.clone()),
            (OFFSET, self.offset.to_string()),
            (GENERATION, self.generation.to_string()),
            (CLEAN_TO, self.clean_to.to_string()),
        ]
    }

    fn is_for(&self, whose: &Whose) -> bool {
        (&self.service, self.generation) == (&whose.service, whose.generation)
    }
}

/// Which service replays are for, here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whose {
    pub service: String,
    pub generation: u64,
}

/// How a topic's keys are read: as the service reads its rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// Under which the key's columns are configured.
    pub table: String,
    /// The columns of its primary key: rows are told apart by them alone. None: by all columns of a record's key.
    pub key: Vec<SourceColumn>,
    pub formats: Formats,
}
impl Reading {
    /// The keys of this table's records; `formats`: how columns are decoded where no schema says it.
    pub fn of(table: &SourceTable, formats: &Formats) -> Self {
        Self { table: table.name.clone(), key: table.key.clone(), formats: formats.clone() }
    }
}

/// A record's key, so that equal keys are equal however they were written: a whole number is the same as JSON number,
/// as text and as bytes (a column widened from `int` to `numeric` is all of them in one log), and columns have no order.
/// Where the table says that a column is text, it is text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyForm {
    /// The key's columns, by name.
    Columns(String),
    /// What cannot be read as columns is only equal byte for byte.
    Bytes(Option<Vec<u8>>),
}
impl KeyForm {
    /// What the record's key says.
    pub fn of(decoder: &mut Decoder, topic: &str, reading: &Reading, key: Option<&[u8]>) -> Self {
        let key = key.filter(|key| !key.is_empty());
        let row = key.and_then(|key| decoder.key(topic, reading.table.clone().into(), key).ok()?);
        let columns = row.and_then(|row| Self::of_row(&row, &reading.key));
        columns.unwrap_or_else(|| Self::Bytes(key.map(<[u8]>::to_vec)))
    }

    /// `None`: not all of these columns are there.
    fn of_row(row: &Row<'_>, key: &[SourceColumn]) -> Option<Self> {
        if key.is_empty() {
            return Self::of_columns(row);
        }
        let identity = source_table::identity(key, row).ok()??;
        let columns: BTreeMap<&str, String> =
            key.iter().map(|column| column.name.as_str()).zip(identity).collect();
        serde_json::to_string(&columns).ok().map(Self::Columns)
    }

    /// All columns of a key whose table is not known.
    fn of_columns(row: &Row<'_>) -> Option<Self> {
        let column = |field: Field<'_>| {
            if let Ok(Some(number)) = field.nullable(Field::int) {
                return Some((field.name().to_owned(), number.into()));
            }
            let json = field.nullable(Field::json).ok()?.unwrap_or("null");
            let value: serde_json::Value = serde_json::from_str(json).ok()?;
            Some((field.name().to_owned(), value))
        };
        let fields = row.columns().ok()?.into_iter();
        let columns = fields.map(column).collect::<Option<BTreeMap<_, _>>>()?;
        let is_whole = !columns.is_empty();
        is_whole.then(|| serde_json::to_string(&columns).ok().map(Self::Columns)).flatten()
    }

    /// The rows that a record is about: the one that its key names, and those of its images, where keys are written
    /// otherwise, name no row, or change. The first is that of the record itself.
    fn all_of(
        decoder: &mut Decoder,
        topic: &str,
        reading: &Reading,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Vec<Self> {
        let mut forms = vec![Self::of(decoder, topic, reading, key)];
        if reading.key.is_empty() {
            return forms;
        }
        if let Ok(Envelope::Change(change)) = decoder.decode_of(topic, &reading.table, key, value) {
            let images = [&change.after, &change.before].into_iter().flatten();
            forms.extend(images.filter_map(|row| Self::of_row(row, &reading.key)));
        }
        if forms.len() > 1 && !forms[0].is_readable() {
            forms.remove(0);
        }
        forms.dedup();
        forms
    }

    /// Whether it names a row: else order can only be judged among equal bytes.
    pub fn is_readable(&self) -> bool {
        matches!(self, Self::Columns(_))
    }
}

/// What a check of the log found first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Clean,
    /// A newer record of the same key, or a truncate, is there.
    MovedOn {
        at: i64,
    },
    /// An earlier replay of the same letter is there: that one was judged by itself.
    Replayed {
        at: i64,
    },
    /// The log does not reach back so far: nobody can tell.
    Unknown,
}

/// A letter whose key is looked for.
#[derive(Debug, Clone)]
struct Candidate {
    offset: i64,
    /// It takes its row away, as a tombstone does.
    is_delete: bool,
    /// Replays of it up to here failed: they changed nothing.
    failed_to: i64,
    verdict: Verdict,
}

/// Whether this record takes the row of its key away.
fn is_delete(decoder: &mut Decoder, topic: &str, key: Option<&[u8]>, value: Option<&[u8]>) -> bool {
    match decoder.decode(topic, key, value) {
        Ok(Envelope::Tombstone) => true,
        Ok(Envelope::Change(change)) => change.op == debezium::Op::Delete,
        _ => false,
    }
}

/// Checks whether the keys of letters have moved on, by the records of their partition that came after them, shown in
/// order ([`LogChecker::see`]).
pub struct LogChecker {
    /// `None`: the key of a removal is looked for.
    whose: Option<Whose>,
    decoder: Decoder,
    topic: String,
    reading: Reading,
    by_key: HashMap<KeyForm, Vec<Candidate>>,
    open: usize,
}

impl LogChecker {
    pub fn new(topic: &str, whose: Whose, reading: Reading) -> Self {
        Self::of(topic, Some(whose), reading)
    }

    fn of(topic: &str, whose: Option<Whose>, reading: Reading) -> Self {
        let decoder = Decoder::new(reading.formats.clone(), Limits::default());
        Self { whose, decoder, topic: topic.to_owned(), reading, by_key: HashMap::new(), open: 0 }
    }

    /// A letter; its replays up to `failed_to` are known to have failed.
    pub fn add_candidate(
        &mut self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        offset: i64,
        failed_to: Option<i64>,
    ) -> KeyForm {
        let (decoder, topic) = (&mut self.decoder, &self.topic);
        let is_delete = is_delete(decoder, topic, key, value);
        let mut forms = KeyForm::all_of(decoder, topic, &self.reading, key, value);
        let form = forms.swap_remove(0);
        let failed_to = failed_to.unwrap_or(-1);
        let candidate = Candidate { offset, is_delete, failed_to, verdict: Verdict::Clean };
        self.by_key.entry(form.clone()).or_default().push(candidate);
        self.open += 1;
        form
    }

    /// Nothing more can change.
    pub fn is_done(&self) -> bool {
        self.open == 0
    }

    pub fn see(&mut self, record: &Record<'_>) {
        let replay = match Replay::of(record.headers) {
            None => None,
            // Dead by itself, as any other record.
            Some((service, Err(_)))
                if self.whose.as_ref().is_some_and(|whose| service == whose.service) =>
            {
                None
            }
            Some((_, Ok(replay)))
                if self.whose.as_ref().is_some_and(|whose| replay.is_for(whose)) =>
            {
                Some(replay)
            }
            // Passed over by whoever the letters belong to.
            Some(_) => return,
        };
        let (mut is_tombstone, mut removed_to) = (false, None);
        if replay.is_none() {
            match self.decoder.decode(&self.topic, record.key, record.value) {
                Ok(Envelope::Tombstone) => {
                    is_tombstone = true;
                    match removal::clean_to(record) {
                        None => {}
                        Some(Ok(clean_to)) => removed_to = Some(clean_to),
                        // A dead letter: it changed nothing.
                        Some(Err(_)) => return,
                    }
                }
                Ok(Envelope::Truncate(_)) => return self.moved_on(record.offset),
                _ => {}
            }
        }
        let (key, value) = (record.key, record.value);
        let forms = KeyForm::all_of(&mut self.decoder, &self.topic, &self.reading, key, value);
        // A tombstone that names no row changes none.
        if is_tombstone && !forms[0].is_readable() {
            return;
        }
        for form in forms {
            self.judge(&form, record, replay.as_ref(), is_tombstone, removed_to);
        }
    }

    fn judge(
        &mut self,
        form: &KeyForm,
        record: &Record<'_>,
        replay: Option<&Replay>,
        is_tombstone: bool,
        removed_to: Option<i64>,
    ) {
        let Some(letters) = self.by_key.get_mut(form) else { return };
        for candidate in letters.iter_mut() {
            if candidate.verdict != Verdict::Clean || candidate.offset >= record.offset {
                continue;
            }
            if removed_to.is_some_and(|clean_to| candidate.offset >= clean_to) {
                // Newer than what the removal was judged by: it keeps the removal from taking effect.
                continue;
            }
            if is_tombstone && candidate.is_delete {
                continue;
            }
            candidate.verdict = match replay {
                // Of another letter of the key: left out if that one is older, after its own record if it is newer.
                Some(replay) if replay.offset != candidate.offset => continue,
                Some(_) if record.offset <= candidate.failed_to => continue,
                Some(_) => Verdict::Replayed { at: record.offset },
                None => Verdict::MovedOn { at: record.offset },
            };
            self.open -= 1;
        }
    }

    /// All of them.
    fn moved_on(&mut self, at: i64) {
        for candidate in self.by_key.values_mut().flatten() {
            if candidate.verdict == Verdict::Clean && candidate.offset < at {
                candidate.verdict = Verdict::MovedOn { at };
                self.open -= 1;
            }
        }
    }

    /// By the letters' offsets.
    pub fn verdicts(&self) -> BTreeMap<i64, Verdict> {
        self.by_key
            .values()
            .flatten()
            .map(|candidate| (candidate.offset, candidate.verdict))
            .collect()
    }
}

/// What the engine asks when it meets a replay of its own, or a removal: is its key in the log between `from` and `to`?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogCheck {
    /// `None`: a removal's.
    pub whose: Option<Whose>,
    pub reading: Reading,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    /// The letter's; of a removal, the last that it was judged by.
    pub offset: i64,
    pub from: i64,
    /// Where the record itself is, which is no part of the check.
    pub to: i64,
}
impl LogCheck {
    /// What the records of the topic from `from` to `to` are to be shown to.
    pub fn checker(&self, topic: &str) -> LogChecker {
        let mut checker = LogChecker::of(topic, self.whose.clone(), self.reading.clone());
        checker.add_candidate(self.key.as_deref(), self.value.as_deref(), self.offset, None);
        checker
    }
    /// After every record from `from` to `to` was seen.
    pub fn verdict(&self, checker: &LogChecker) -> Verdict {
        checker.verdicts().get(&self.offset).copied().unwrap_or(Verdict::Unknown)
    }
}

#[cfg(test)]
mod tests;
