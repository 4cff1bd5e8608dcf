//! Letters of one partition: looked for in its log in one pass, then sent one by one.
use super::{Item, Replay, Sent, Stop, kafka::Log, partition};
use consumers::{
    replay::{self, KeyForm, LogChecker, PREFIX, Reading, Verdict, Whose},
    source::Record,
    source_table,
};
use debezium::{Decoder, Envelope};
use sinks::{
    Letter, Partition,
    dlq::{ReplayMark, ReplayStatus, write_mark},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

/// What one pass over the log told.
struct Looked {
    begin: i64,
    /// One past the last record that was seen.
    end: i64,
    verdicts: BTreeMap<i64, Verdict>,
    /// Another record than the letter's is at its offset.
    others: BTreeSet<i64>,
}

/// What of a letter the look needs.
struct Candidate {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    offset: i64,
    timestamp_ms: i64,
    failed_at: Option<i64>,
}

impl Replay {
    pub(super) async fn send_batch(&mut self, batch: Vec<Item>) -> Result<(), Stop> {
        let Some(first) = batch.first() else { return Ok(()) };
        let at = partition(first).clone();
        if self.log.is_compacted(&at.topic).await? {
            let why = "the topic is compacted: the replay would take the place of the record before it, which other \
                       services may still have to read";
            batch.iter().for_each(|item| self.leave(item, "not sent", why, None));
            return Ok(());
        }
        let candidates = batch.iter().map(|item| {
            let letter = &item.found.letter;
            let failed_at = item.mark.as_ref().and_then(|mark| mark.failed_at);
            let (offset, timestamp_ms) = (letter.offset, letter.timestamp_ms);
            let (key, value) = (letter.key.clone(), letter.value.clone());
            Candidate { key, value, offset, timestamp_ms, failed_at }
        });
        let (log, candidates, whose) =
            (self.log.clone(), candidates.collect::<Vec<_>>(), self.whose());
        let (asked, topic, reading) = (at.clone(), at.topic.clone(), self.reading(&at.topic));
        let looked =
            tokio::task::spawn_blocking(move || look(&log, &asked, (whose, reading), &candidates));
        let looked = looked.await??;
        let (mut sent, mut clean_to) = (vec![], looked.end);
        for item in batch {
            let verdict = match self.verdict(&item, &looked) {
                Ok(verdict) => verdict,
                Err(why) => {
                    self.leave(&item, "not sent", &why, None);
                    continue;
                }
            };
            match verdict {
                Verdict::Clean => {
                    if let Some(n) = self.send(&item, &mut clean_to, &topic).await? {
                        sent.push(Sent { item, at: n });
                    }
                }
                Verdict::Replayed { at } => self.found(item, at, &mut sent).await?,
                Verdict::MovedOn { at } => self.moved_on(&item, at).await?,
                Verdict::Unknown => {
                    let why = "the log no longer reaches back to its record: nobody can tell whether its row was \
                               changed since";
                    self.leave(&item, "not sent", why, None);
                }
            }
        }
        self.settle(sent).await
    }

    fn whose(&self) -> Whose {
        let service = self.config.service.name().to_owned();
        Whose { service, generation: self.config.generation }
    }

    /// As the service reads the topic's keys.
    fn reading(&self, topic: &str) -> Reading {
        let formats = &self.config.formats;
        let unknown = || Reading { formats: formats.clone(), ..Reading::default() };
        let table = source_table::of_topic(&self.config.tables, topic);
        table.map_or_else(unknown, |table| Reading::of(table, formats))
    }

    fn verdict(&self, item: &Item, looked: &Looked) -> Result<Verdict, String> {
        let letter = &item.found.letter;
        let offset = letter.offset;
        if offset >= looked.end || looked.others.contains(&offset) {
            return Err("another record, or none, is at its offset: the topic was made anew".into());
        }
        let topic = &letter.partition.topic;
        let value = letter.value.as_deref();
        let decoded = Decoder::default().decode(topic, letter.key.as_deref(), value);
        if matches!(decoded, Ok(Envelope::Truncate(_))) {
            return Err("a truncate is not replayed: it has no order against rows".into());
        }
        if looked.begin > offset.saturating_add(1) {
            return Ok(Verdict::Unknown);
        }
        Ok(looked.verdicts.get(&offset).copied().unwrap_or(Verdict::Unknown))
    }

    /// In the log already: an earlier run was killed before it could say so.
    async fn found(&mut self, item: Item, at: i64, sent: &mut Vec<Sent>) -> Result<(), Stop> {
        if self.options.dry {
            let why = "its replay is in the log already";
            self.table.deed("would settle", &item, why, Some(at));
            return Ok(());
        }
        self.mark_sent(&item, at).await?;
        sent.push(Sent { item, at });
        Ok(())
    }

    async fn moved_on(&mut self, item: &Item, at: i64) -> Result<(), Stop> {
        let why = format!("a newer record of its key, or a truncate, is at offset {at}");
        if !self.options.dry {
            let known_before = item.mark.as_ref();
            let change = |known: Option<&ReplayMark>| {
                // Whoever wrote another word meanwhile knows more.
                (known == known_before).then(|| ReplayMark::next(known, ReplayStatus::MovedOn, at))
            };
            write_mark(&*self.objects, &item.name, change).await?;
        }
        self.leave(item, ReplayStatus::MovedOn.as_str(), &why, Some(at));
        Ok(())
    }

    /// The offset it has now; `None`: not sent.
    async fn send(
        &mut self,
        item: &Item,
        clean_to: &mut i64,
        topic: &str,
    ) -> Result<Option<i64>, Stop> {
        if self.is_full() {
            return Ok(None);
        }
        let key = item.found.letter.key.as_deref();
        let note = match KeyForm::of(&mut Decoder::default(), topic, &self.reading(topic), key)
            .is_readable()
        {
            true => "",
            false => {
                "its key cannot be read: order was judged among records of equal key bytes only"
            }
        };
        self.sent += 1;
        if self.options.dry {
            self.table.deed("would send", item, note, None);
            return Ok(None);
        }
        if !note.is_empty() {
            eprintln!("{}: {note}", item.name);
        }
        let replay = replay::Replay {
            service: self.config.service.name().to_owned(),
            generation: self.config.generation,
            offset: item.found.letter.offset,
            clean_to: *clean_to,
        };
        let (log, letter) = (self.log.clone(), item.found.letter.clone());
        let done = tokio::task::spawn_blocking(move || send(&log, &letter, &replay)).await?;
        let n = match done {
            Ok(n) => n,
            Err(error) => {
                self.leave(item, "not sent", &format!("{error:#}"), None);
                return Ok(None);
            }
        };
        if n == *clean_to {
            // Nobody wrote in between, and this record has another key than those that follow.
            *clean_to = n + 1;
        }
        self.mark_sent(item, n).await?;
        Ok(Some(n))
    }

    async fn mark_sent(&self, item: &Item, at: i64) -> Result<(), Stop> {
        let change = |known: Option<&ReplayMark>| {
            // The service may have been faster.
            let open = known.is_none_or(|known| known.at < at);
            open.then(|| ReplayMark::next(known, ReplayStatus::Sent, at))
        };
        write_mark(&*self.objects, &item.name, change).await?;
        Ok(())
    }
}

fn look(
    log: &Log,
    at: &Partition,
    (whose, reading): (Whose, Reading),
    candidates: &[Candidate],
) -> anyhow::Result<Looked> {
    let (begin, end) = log.range.bounds(at)?;
    let mut looked = Looked { begin, end, verdicts: BTreeMap::new(), others: BTreeSet::new() };
    let mut checker = LogChecker::new(&at.topic, whose, reading);
    let ours = |letter: &&Candidate| letter.offset >= begin - 1 && letter.offset < end;
    let mut from = end;
    for letter in candidates.iter().filter(ours) {
        checker.add_candidate(
            letter.key.as_deref(),
            letter.value.as_deref(),
            letter.offset,
            letter.failed_at,
        );
        from = from.min(letter.offset.max(begin));
    }
    let originals: BTreeMap<i64, &Candidate> = candidates.iter().map(|l| (l.offset, l)).collect();
    let mut others = BTreeSet::new();
    let mut see = |record: &Record<'_>| {
        if let Some(letter) = originals.get(&record.offset) {
            let same =
                letter.key.as_deref() == record.key && letter.timestamp_ms == record.timestamp_ms;
            if !same {
                others.insert(record.offset);
            }
        }
        checker.see(record);
        ControlFlow::Continue(())
    };
    if log.range.read(at, from, end, &mut see)? {
        looked.verdicts = checker.verdicts();
    }
    looked.others = others;
    Ok(looked)
}

fn send(log: &Log, letter: &Letter, replay: &replay::Replay) -> anyhow::Result<i64> {
    let ours = replay.headers();
    let own = letter.headers.iter().filter(|(name, _)| !name.starts_with(PREFIX));
    let mut headers: Vec<(&str, Option<&[u8]>)> =
        own.map(|(name, value)| (name.as_str(), value.as_deref())).collect();
    headers.extend(ours.iter().map(|(name, value)| (*name, Some(value.as_bytes()))));
    log.send(&letter.partition, letter.key.as_deref(), letter.value.as_deref(), &headers)
}
