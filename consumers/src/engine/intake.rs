//! Records come in: each is read, once, and waits in its lane's last chunk.
use super::{
    Action, Engine, Millis, is_record,
    lane::{Asked, Chunk, Entry, Phase},
    made_anew,
    replays::Origin,
};
use crate::{handler::Handler, policy::OnRefusal, source::Record};
use debezium::Envelope;
use sinks::{Letter, dlq::Reason};

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
        if lane.is_opening() || record.offset < lane.expected() {
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

    /// Puts the record into the lane's last chunk.
    fn add(&mut self, now: Millis, record: &Record<'_>, asked: Asked<H::Fact>, origin: &Origin) {
        let lanes = self.lanes.len().max(1);
        let policy = &self.policy;
        let lane = self.lanes.get_mut(record.partition).expect("on_record found it");
        let truncate = matches!(asked, Asked::Truncate(..));
        if truncate && lane.partitions != 1 {
            let why = format!(
                "offset {} truncates a table whose topic has {} partitions: it has no order against the others; \
                 take a new Debezium snapshot and start with a new GENERATION, or leave `skipped.operations` at `t`",
                record.offset, lane.partitions
            );
            return self.halt(record.partition, &why);
        }
        let expected = lane.expected();
        let refused = lane.refused.get(&record.offset);
        let wanted = refused.is_none() || policy.on_refusal == OnRefusal::SkipWrite;
        let is_fact = wanted && matches!(asked, Asked::Fact(..));
        let look = self.whose.as_ref().filter(|_| is_fact).and_then(|w| origin.look(record, w));
        if (truncate || look.is_some())
            && let Some(last) = lane.chunks.back_mut()
        {
            last.closed = true;
        }
        if lane.chunks.back().is_none_or(|chunk| chunk.closed) {
            lane.chunks.push_back(Chunk::new(now, expected));
        }
        let chunk = lane.chunks.back_mut().expect("just made");
        chunk.count(record);
        lane.unsettled += 1;
        chunk.closed |= look.is_some();
        chunk.look = look;
        let mut dead = None;
        if let (Asked::Fact(..) | Asked::Truncate(..), Some(text)) = (&asked, refused) {
            dead = Some((Reason::Refused, text.clone()));
            chunk.forgiven.insert(record.offset);
        }
        match asked {
            Asked::Dead(reason, text) => dead = Some((reason, text)),
            Asked::Truncate(table, source_ts_ms) if wanted => {
                chunk.truncate = Some((table, source_ts_ms));
                chunk.closed = true;
            }
            Asked::Fact(fact, source_ts_ms) if wanted => {
                let bytes = record.value.map_or(0, <[u8]>::len);
                chunk.bytes += bytes;
                lane.buffered += bytes;
                chunk.entries.push(Entry { offset: record.offset, source_ts_ms, fact });
            }
            _ => {}
        }
        let counts = matches!(origin, Origin::Ordinary);
        let flood = counts.then(|| lane.flood.count(dead.is_some(), policy)).flatten().map(|why| {
            let last = dead.as_ref().map_or("", |(_, text)| text.as_str());
            format!("{why}. The last, at offset {}: {last}", record.offset)
        });
        chunk.bad_run = lane.flood.in_a_row();
        if let Some((reason, text)) = dead {
            let mut letter = letter(record, reason, &text);
            letter.replayed = origin.failed();
            let bytes = letter.value.as_ref().map_or(0, Vec::len);
            chunk.bytes += bytes;
            lane.buffered += bytes;
            chunk.letters.push(letter);
        }
        if chunk.records >= policy.batch_records_max || chunk.bytes >= policy.batch_bytes_max {
            chunk.closed = true;
        }
        if lane.buffered > policy.buffer_bytes_max / lanes && !lane.paused {
            lane.paused = true;
            self.actions.push_back(Action::Pause(record.partition.clone()));
        }
        if let Some(why) = flood {
            return self.halt(record.partition, &why);
        }
        self.advance(now, record.partition);
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
