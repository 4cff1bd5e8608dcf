//! Records come in: each is read, once, and waits in its lane's last pending batch.
use super::{
    Action, Engine, Millis, is_record,
    lane::{Asked, Asking, Entry, Lane, Phase, digest},
    made_anew,
    replays::Returned,
    whose::{self, Moved, Tombstone},
};
use crate::{
    handler::Handler,
    policy::{OnRefusal, Policy},
    replay::{LogCheck, Reading},
    source::Record,
    source_table::SourceTable,
};
use debezium::{Change, Envelope};
use sinks::{Letter, Partition, dlq::Reason};
use std::{borrow::Cow, sync::Arc};

impl<H: Handler> Engine<H> {
    pub(super) fn on_record(&mut self, now: Millis, record: &Record<'_>) {
        let Some(lane) = self.lanes.get_mut(record.partition) else { return };
        if let Phase::Verifying(mark) = &lane.phase {
            if record.offset < mark.offset {
                return;
            }
            let same = is_record(mark, record.timestamp_ms, record.key);
            if record.offset == mark.offset && !same {
                let why = made_anew(mark.offset);
                return self.halt(record.partition, &why);
            }
            if record.offset == mark.offset {
                self.snapshots.verified(&mut self.decoder, record);
                // States of earlier versions do not say whether it was a delete.
                let topic = &record.partition.topic;
                if let Ok(Envelope::Change(change)) =
                    self.decoder.decode(topic, record.key, record.value)
                    && change.op == debezium::Op::Delete
                {
                    lane.deleted = Some(digest(record.key));
                }
            }
            lane.phase = Phase::Open;
        }
        if lane.is_opening() || lane.stopped.is_some() || record.offset < lane.expected() {
            return;
        }
        if let Some((at, why)) = &lane.halt_at
            && record.offset >= *at
        {
            let why = why.clone();
            return self.halt_behind(record.partition, &why);
        }
        if let Some(pause) = self.policy.doubt_ms
            && lane.is_misplaced(record)
        {
            return self.doubt(now, record.partition, record.offset, pause);
        }
        self.counters.records += 1;
        self.counters.bytes += record.value.map_or(0, <[u8]>::len) as u64;
        let (returned, asked) = match self.returned(record) {
            Ok(None) => (None, self.read(record)),
            Ok(Some(returned)) => {
                let asked = self.read_returned(record, &returned);
                (Some(returned), asked)
            }
            Err(why) => {
                self.forget_deleted(record.partition);
                (None, Asked::Dead(Reason::Malformed, why))
            }
        };
        self.add(now, record, asked, returned.as_ref());
    }

    /// What the record asks for. Whether it is a dead letter depends on the record alone.
    pub(super) fn read(&mut self, record: &Record<'_>) -> Asked<H::Fact> {
        let Some(lane) = self.lanes.get_mut(record.partition) else { return Asked::Nothing };
        let deleted = lane.deleted.take();
        let table = Arc::clone(&lane.table);
        let topic = &record.partition.topic;
        let (name, key, value) = (table.name.as_str(), record.key, record.value);
        let change = match self.decoder.decode_of(topic, name, key, value) {
            Ok(Envelope::Change(change)) => change,
            Ok(Envelope::Tombstone) => {
                self.counters.tombstones += 1;
                let follows_delete = deleted.is_some_and(|deleted| deleted == digest(key));
                return self.read_tombstone(record, &table, follows_delete);
            }
            Ok(Envelope::Truncate(source)) => {
                return match self.admit(record, &source, &table) {
                    Err(why) => Asked::Halt(why),
                    Ok(()) => Asked::Truncate(name.to_owned(), source.ts_ms),
                };
            }
            Ok(_) => {
                self.counters.skipped += 1;
                return Asked::Nothing;
            }
            Err(error) => return Asked::Dead(Reason::Malformed, error.to_string()),
        };
        if change.op == debezium::Op::Delete {
            lane.deleted = Some(digest(key));
        }
        if key.is_none_or(<[u8]>::is_empty) && lane.partitions > 1 {
            return Asked::Halt(format!(
                "the record has no key, and the topic has {} partitions: changes of one row are in several of them, \
                 without an order. Give {name} a primary key, or name one with message.key.columns, or take a topic \
                 with one partition, and a new snapshot",
                lane.partitions
            ));
        }
        let judged = match &change.key_problem {
            Some(problem) => {
                if !std::mem::replace(&mut lane.key_is_told, true) {
                    let text = whose::unread_key(record, problem, &table);
                    self.actions.push_back(Action::Warn(text));
                }
                let row = change.after.as_ref().or(change.before.as_ref());
                whose::judge_struct_text(key, problem, row, &table, &self.exceptions)
            }
            None => whose::judge_key(change.key.as_ref(), &table, &self.exceptions),
        };
        if let Err(why) = judged.and_then(|()| self.admit(record, &change.source, &table)) {
            return Asked::Halt(why);
        }
        self.read_change(record, change, &table)
    }

    /// Whether events of this source table may be applied as the topic's; `Err`: why not. What other partitions of the
    /// topic showed here counts as well.
    fn admit(
        &mut self,
        record: &Record<'_>,
        source: &debezium::Source<'_>,
        table: &SourceTable,
    ) -> Result<(), String> {
        let Some(lane) = self.lanes.get(record.partition) else { return Ok(()) };
        if lane.origins.iter().any(|known| whose::is_from(known, source)) {
            return Ok(());
        }
        let of_topic = self.lanes.iter().filter(|(other, _)| other.topic == record.partition.topic);
        let known: Vec<_> = of_topic.flat_map(|(_, lane)| &lane.origins).collect();
        let new = whose::admit(&known, source, table, &self.exceptions)?;
        if let Some(lane) = self.lanes.get_mut(record.partition) {
            lane.origins.push(new);
        }
        Ok(())
    }

    fn read_change<'r>(
        &mut self,
        record: &Record<'_>,
        mut change: Change<'r>,
        table: &'r SourceTable,
    ) -> Asked<H::Fact> {
        let is_kept = whose::is_kept(&change.source, table, &self.exceptions);
        let is_gone = change.op == debezium::Op::Delete;
        let own = |row: Option<&debezium::Row<'_>>, source, is_gone| {
            is_kept.then(|| whose::owner(row, table, Some(source), is_gone)).flatten()
        };
        let owner = if is_gone {
            // A key with columns missing names no row.
            let of = |row| own(row, &change.source, true);
            of(change.key.as_ref()).or_else(|| of(change.before.as_ref()))
        } else {
            own(change.after.as_ref(), &change.source, false)
        };
        let moved = whose::moved(&change, table);
        let gone_owner = match &moved {
            Moved::Yes => own(change.before.as_ref(), &change.source, true),
            _ => None,
        };
        let (whose, counters) = (self.whose.as_ref(), &mut self.counters);
        self.snapshots.notice(record, &change, whose, counters, &mut self.actions);
        change.source.table = Cow::Borrowed(&table.name);
        self.notice(record, &change);
        let before = match moved {
            Moved::No => None,
            Moved::Dead(why) => return Asked::Dead(Reason::Invalid, why),
            Moved::Yes => {
                let partitions = self.lanes.get(record.partition).map_or(1, |lane| lane.partitions);
                if partitions > 1 {
                    return Asked::Halt(format!(
                        "the update changes the primary key ({}), and the topic has {partitions} partitions: the row \
                         with the old key may be in another one. Debezium sends a delete and a create instead, where \
                         the record's key is the primary key: see message.key.columns, or take a topic with one \
                         partition",
                        table.key_names()
                    ));
                }
                let gone =
                    Change { op: debezium::Op::Delete, key: None, after: None, ..change.clone() };
                match self.handler.read(&gone) {
                    Ok(gone) => gone.map(|fact| Box::new((fact, gone_owner))),
                    Err(reject) => return Asked::Dead(Reason::Invalid, reject.to_string()),
                }
            }
        };
        let source_ts_ms = change.source.ts_ms;
        match self.handler.read(&change) {
            Ok(Some(fact)) => Asked::Change(Asking { fact, owner, before, source_ts_ms }),
            Ok(None) => {
                self.counters.skipped += 1;
                Asked::Nothing
            }
            Err(reject) => Asked::Dead(Reason::Invalid, reject.to_string()),
        }
    }

    /// A tombstone means: there is no row of this key.
    pub(super) fn read_tombstone(
        &mut self,
        record: &Record<'_>,
        table: &SourceTable,
        follows_delete: bool,
    ) -> Asked<H::Fact> {
        let Some(key) = record.key else { return Asked::Nothing };
        let key = self.decoder.key(&record.partition.topic, Cow::Borrowed(&table.name), key);
        let (at, trust) = (record.timestamp_ms, &self.exceptions);
        let change = match whose::tombstone(key, table, at, follows_delete, trust) {
            Tombstone::Row(change) => change,
            Tombstone::Nothing => return Asked::Nothing,
            Tombstone::Dead(why) => return Asked::Dead(Reason::Malformed, why),
            Tombstone::Halt(why) => return Asked::Halt(why),
        };
        let keeps = |lane: &Lane<H::Fact>| lane.origins.iter().any(|o| o.table != table.name);
        let is_kept = self.lanes.get(record.partition).is_some_and(keeps);
        let owner = is_kept.then(|| whose::owner(change.key.as_ref(), table, None, true)).flatten();
        let source_ts_ms = change.source.ts_ms;
        match self.handler.read(&change) {
            Ok(Some(fact)) => Asked::Change(Asking { fact, owner, before: None, source_ts_ms }),
            Ok(None) => Asked::Nothing,
            Err(reject) => Asked::Dead(Reason::Invalid, reject.to_string()),
        }
    }

    /// Puts what the record asks for into the lane's last pending batch, or halts behind what is there.
    fn add(
        &mut self,
        now: Millis,
        record: &Record<'_>,
        asked: Asked<H::Fact>,
        returned: Option<&Returned>,
    ) {
        if let Some(why) = self.reason_to_halt(record, &asked) {
            return self.halt_behind(record.partition, &why);
        }
        let lane = self.lanes.get_mut(record.partition).expect("on_record found it");
        let (asked, dead) = weigh(asked, lane.refused.get(&record.offset), self.policy.on_refusal);
        // A replay counts towards no limit of dead letters.
        if returned.is_none()
            && let Some(why) = lane.letter_limit.count(dead.is_some(), &self.policy)
        {
            let last = dead.as_ref().map_or("", |(_, text)| text.as_str());
            let why = format!("{why}. At offset {}: {last}", record.offset);
            return self.halt_behind(record.partition, &why);
        }
        let dead = dead.map(|(reason, text)| Letter {
            replayed: returned.and_then(Returned::failed),
            ..letter(record, reason, &text)
        });
        let reading = || Reading::of(&lane.table, self.decoder.formats());
        let is_change = matches!(asked, Asked::Change(_));
        let whose = self.whose.as_ref();
        let check = match returned {
            Some(returned) if is_change => returned.log_check(record, whose, reading),
            _ => None,
        };
        enter(lane, now, record, asked, dead, check, &self.policy);
        self.hold_back(record.partition);
        self.advance(now, record.partition);
    }

    /// Why nothing of this record, nor what follows it, may be applied.
    fn reason_to_halt(&self, record: &Record<'_>, asked: &Asked<H::Fact>) -> Option<String> {
        let lane = self.lanes.get(record.partition)?;
        if let Asked::Halt(why) = asked {
            return Some(format!("offset {}: {why}", record.offset));
        }
        let is_truncate = matches!(asked, Asked::Truncate(..));
        if is_truncate && lane.origins.len() > 1 {
            return Some(format!(
                "offset {} truncates one of the {} tables whose rows are in this topic: which rows that are is not \
                 known; take a new Debezium snapshot and start with a new GENERATION, or leave `skipped.operations` at \
                 `t`",
                record.offset,
                lane.origins.len()
            ));
        }
        (is_truncate && lane.partitions != 1).then(|| {
            format!(
                "offset {} truncates a table whose topic has {} partitions: it has no order against the others; \
                 take a new Debezium snapshot and start with a new GENERATION, or leave `skipped.operations` at `t`",
                record.offset, lane.partitions
            )
        })
    }

    /// Pauses the partition when too much of it was read and is not durable yet.
    fn hold_back(&mut self, partition: &Partition) {
        let most = self.policy.buffer_bytes_max / self.lanes.len().max(1);
        let Some(lane) = self.lanes.get_mut(partition) else { return };
        if lane.buffered > most && !lane.paused {
            lane.paused = true;
            self.actions.push_back(Action::Pause(partition.clone()));
        }
    }
}

/// Puts what is left to do of a record, and its letter, into the lane's last pending batch. A pending batch is closed when it is full, and
/// a truncate and whatever has to be looked for are alone in one.
fn enter<F>(
    lane: &mut Lane<F>,
    now: Millis,
    record: &Record<'_>,
    asked: Asked<F>,
    dead: Option<Letter>,
    check: Option<LogCheck>,
    policy: &Policy,
) {
    let (bad_run, is_delete) = (lane.letter_limit.in_a_row(), lane.deleted.is_some());
    let origins = lane.origins.len();
    let is_alone = check.is_some() || matches!(asked, Asked::Truncate(..));
    let pending = lane.pending_for(now, is_alone);
    pending.count(record, is_delete);
    pending.check = check;
    (pending.bad_run, pending.origins) = (bad_run, origins);
    let mut bytes = 0;
    match asked {
        Asked::Nothing | Asked::Dead(..) | Asked::Halt(_) => {}
        Asked::Truncate(table, source_ts_ms) => pending.truncate = Some((table, source_ts_ms)),
        Asked::Change(asking) => {
            bytes += record.value.map_or(0, <[u8]>::len);
            let (offset, source_ts_ms) = (record.offset, asking.source_ts_ms);
            let entry = |(fact, owner)| Entry { offset, source_ts_ms, fact, owner };
            pending.entries.extend(asking.before.map(|before| entry(*before)));
            pending.entries.push(entry((asking.fact, asking.owner)));
        }
    }
    if let Some(letter) = dead {
        if letter.reason == Reason::Refused {
            pending.dead_lettered.insert(record.offset);
        }
        bytes += letter.value.as_ref().map_or(0, Vec::len);
        pending.letters.push(letter);
    }
    pending.bytes += bytes;
    let is_full =
        pending.records >= policy.batch_records_max || pending.bytes >= policy.batch_bytes_max;
    pending.closed |= is_alone || is_full;
    lane.buffered += bytes;
    lane.unsettled += 1;
}

/// What is left to do of a record whose writes the sink refused before, and why it is a dead letter, if it is one.
fn weigh<F>(
    asked: Asked<F>,
    refused: Option<&String>,
    on_refusal: OnRefusal,
) -> (Asked<F>, Option<(Reason, String)>) {
    match (asked, refused) {
        (Asked::Dead(reason, text), _) => (Asked::Nothing, Some((reason, text))),
        (asked @ (Asked::Change(_) | Asked::Truncate(..)), Some(text)) => {
            let dead = Some((Reason::Refused, text.clone()));
            match on_refusal {
                OnRefusal::SkipRecord => (Asked::Nothing, dead),
                OnRefusal::SkipWrite => (asked, dead),
            }
        }
        (asked, _) => (asked, None),
    }
}

/// The record as it goes to the DLQ, byte for byte, with a sentence that says where it was.
fn letter(record: &Record<'_>, reason: Reason, text: &str) -> Letter {
    Letter {
        partition: record.partition.clone(),
        offset: record.offset,
        timestamp_ms: record.timestamp_ms,
        key: record.key.map(<[u8]>::to_vec),
        value: record.value.map(<[u8]>::to_vec),
        headers: record.headers.0.list(),
        reason,
        error: format!(
            "topic {}, partition {}, offset {}: {text}",
            record.partition.topic, record.partition.index, record.offset
        ),
        replayed: None,
    }
}
