//! Records come in: each is read, once, and waits in its lane's last chunk.
use super::{
    Action, Engine, Millis, is_record,
    lane::{Asked, Entry, Phase},
    made_anew,
    replays::Origin,
};
use crate::{handler::Handler, policy::OnRefusal, source::Record};
use debezium::Envelope;
use sinks::{Letter, Partition, dlq::Reason};

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
            lane.phase = Phase::Open;
        }
        if lane.is_opening() || lane.is_stopped || record.offset < lane.expected() {
            return;
        }
        if let Some(pause) = self.policy.doubt_ms
            && lane.is_misplaced(record)
        {
            return self.doubt(now, record.partition, record.offset, pause);
        }
        self.tally.records += 1;
        self.tally.bytes += record.value.map_or(0, <[u8]>::len) as u64;
        let (origin, asked) = self.read_as(record);
        self.add(now, record, asked, &origin);
    }

    /// What the record asks for: depends on the record alone.
    pub(super) fn read(&mut self, record: &Record<'_>) -> Asked<H::Fact> {
        let envelope = self.decoder.decode(&record.partition.topic, record.key, record.value);
        let change = match envelope {
            Ok(Envelope::Change(change)) => change,
            Ok(Envelope::Tombstone) => {
                self.tally.tombstones += 1;
                return Asked::Nothing;
            }
            Ok(Envelope::Truncate(source)) => {
                let ours = self.handler.tables().iter().any(|table| table.name == source.table);
                if ours {
                    return Asked::Truncate(source.table.into_owned(), source.ts_ms);
                }
                self.tally.skipped += 1;
                return Asked::Nothing;
            }
            Ok(_) => {
                self.tally.skipped += 1;
                return Asked::Nothing;
            }
            Err(error) => return Asked::Dead(Reason::Malformed, error.to_string()),
        };
        let source_ts_ms = change.source.ts_ms;
        match self.handler.read(&change) {
            Ok(Some(fact)) => Asked::Fact(fact, source_ts_ms),
            Ok(None) => {
                self.tally.skipped += 1;
                Asked::Nothing
            }
            Err(reject) => Asked::Dead(Reason::Invalid, reject.to_string()),
        }
    }

    /// Puts what the record asks for into the lane's last chunk, or halts behind what is there.
    fn add(&mut self, now: Millis, record: &Record<'_>, asked: Asked<H::Fact>, origin: &Origin) {
        if let Some(why) = self.reason_to_halt(record, &asked) {
            return self.halt_behind(record.partition, &why);
        }
        let lane = self.lanes.get_mut(record.partition).expect("on_record found it");
        let (asked, dead) = weigh(asked, lane.refused.get(&record.offset), self.policy.on_refusal);
        // A replay counts towards no flood.
        if matches!(origin, Origin::Ordinary)
            && let Some(why) = lane.flood.count(dead.is_some(), &self.policy)
        {
            let last = dead.as_ref().map_or("", |(_, text)| text.as_str());
            let why = format!("{why}. At offset {}: {last}", record.offset);
            return self.halt_behind(record.partition, &why);
        }
        let is_fact = matches!(asked, Asked::Fact(..));
        let look = self.whose.as_ref().filter(|_| is_fact).and_then(|w| origin.look(record, w));
        let bad_run = lane.flood.in_a_row();
        let chunk = lane.chunk_for(now, look.is_some() || matches!(asked, Asked::Truncate(..)));
        chunk.count(record);
        chunk.closed |= look.is_some();
        chunk.look = look;
        chunk.bad_run = bad_run;
        let mut bytes = 0;
        match asked {
            Asked::Nothing | Asked::Dead(..) => {}
            Asked::Truncate(table, source_ts_ms) => {
                chunk.truncate = Some((table, source_ts_ms));
                chunk.closed = true;
            }
            Asked::Fact(fact, source_ts_ms) => {
                bytes += record.value.map_or(0, <[u8]>::len);
                chunk.entries.push(Entry { offset: record.offset, source_ts_ms, fact });
            }
        }
        if let Some((reason, text)) = dead {
            if reason == Reason::Refused {
                chunk.forgiven.insert(record.offset);
            }
            let mut letter = letter(record, reason, &text);
            letter.replayed = origin.failed();
            bytes += letter.value.as_ref().map_or(0, Vec::len);
            chunk.letters.push(letter);
        }
        chunk.bytes += bytes;
        let policy = &self.policy;
        chunk.closed |=
            chunk.records >= policy.batch_records_max || chunk.bytes >= policy.batch_bytes_max;
        lane.buffered += bytes;
        lane.unsettled += 1;
        self.hold_back(record.partition);
        self.advance(now, record.partition);
    }

    /// Why nothing of this record, nor what follows it, may be applied.
    fn reason_to_halt(&self, record: &Record<'_>, asked: &Asked<H::Fact>) -> Option<String> {
        let lane = self.lanes.get(record.partition)?;
        let is_truncate = matches!(asked, Asked::Truncate(..));
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

/// What is left to do of a record whose writes the sink refused before, and why it is a dead letter, if it is one.
fn weigh<F>(
    asked: Asked<F>,
    refused: Option<&String>,
    on_refusal: OnRefusal,
) -> (Asked<F>, Option<(Reason, String)>) {
    match (asked, refused) {
        (Asked::Dead(reason, text), _) => (Asked::Nothing, Some((reason, text))),
        (asked @ (Asked::Fact(..) | Asked::Truncate(..)), Some(text)) => {
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
