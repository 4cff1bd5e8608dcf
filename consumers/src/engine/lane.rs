//! One partition in one owner's hands: what was read and is not yet durable, and what is being done about it.
use super::{
    Millis, OpenedPartition, Ticket,
    placement::home,
    whose::{Owner, owner_prefix},
};
use crate::{
    fingerprint,
    handler::Rows,
    policy::{DeadLetterLimit, Policy},
    replay::LogCheck,
    source::Record,
    source_table::SourceTable,
};
use sinks::{Batch, Checkpoint, Key, Letter, Mark, Origin, dlq::Reason};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

/// What the lane is waiting for.
pub(super) enum Phase<F> {
    /// The state to be loaded.
    Opening,
    /// The record applied last, to see that the topic is still the one that the position belongs to.
    Verifying(Mark),
    /// Records, or a reason to act.
    Open,
    /// Rows that the pending batch needs.
    Fetching {
        pending: PendingBatch<F>,
        keys: Vec<Key>,
        round: Round,
    },
    /// Every row that a truncate removes.
    Scanning {
        pending: PendingBatch<F>,
        prefix: Key,
    },
    /// Whether the key of the replay that is alone in this pending batch has moved on.
    CheckingLog {
        pending: PendingBatch<F>,
        check: LogCheck,
    },
    Committing {
        batch: Arc<Batch>,
        letters: Arc<[Letter]>,
    },
    Publishing,
    /// Nothing more: the process is about to end because of this lane.
    Halted,
    /// Until a time, then the step is tried again.
    Waiting {
        until: Millis,
        then: Box<Phase<F>>,
    },
}

/// The rows that a pending batch needs are found in two rounds: the second asks for those that the first leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Round {
    First,
    Second,
    /// It was asked for before the pending batch's turn: both rounds are looked at again behind it.
    Again,
}

/// What was fetched for a pending batch before its turn.
#[derive(Debug, Default)]
pub(super) enum Ahead {
    #[default]
    Nothing,
    /// The answer to this question is not there yet.
    Asked { question: u64, keys: Vec<Key>, round: Round },
    /// The rows of the first round.
    First,
    /// All that is to be had before its turn: nothing more is asked for until then.
    Done,
}

/// Whether records are where their keys put them: if not, the topic may have more partitions by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placement {
    /// All so far.
    Holds,
    /// The record at this offset was not: how many partitions the topic has is asked again before it is applied.
    Doubted(i64),
}

/// What reading one record came to.
pub(super) enum Asked<F> {
    Nothing,
    Change(Asking<F>),
    Truncate(String, i64),
    Dead(Reason, String),
    /// Neither this record nor what follows it may be applied.
    Halt(String),
}

/// What the change of a row asks for.
pub(super) struct Asking<F> {
    pub fact: F,
    pub owner: Option<Box<Owner>>,
    /// That the row is gone which had another key until now.
    pub before: Option<Box<(F, Option<Box<Owner>>)>>,
    pub source_ts_ms: i64,
}

/// What one record asks for.
pub(super) struct Entry<F> {
    pub offset: i64,
    pub source_ts_ms: i64,
    pub fact: F,
    /// Where the topic alone does not tell which table the row is from.
    pub owner: Option<Box<Owner>>,
}

/// The records of one future batch.
pub(super) struct PendingBatch<F> {
    pub entries: Vec<Entry<F>>,
    pub letters: Vec<Letter>,
    pub dead_lettered: BTreeSet<i64>,
    /// The table that the only record of this pending batch truncates.
    pub truncate: Option<(String, i64)>,
    /// State rows of a truncate that say which table its rows were of.
    pub owners_gone: Vec<Key>,
    /// What has to be looked for in the log before the replay that is alone in this pending batch takes effect.
    pub check: Option<LogCheck>,
    pub records: usize,
    pub bytes: usize,
    /// When its first record was read.
    pub opened: Millis,
    /// One past its last record.
    pub end: i64,
    pub bad_run: u32,
    /// How many of the lane's origins its records and those before them came from.
    pub origins: usize,
    /// No record may be added any more.
    pub closed: bool,
    pub ahead: Ahead,
    last_timestamp_ms: i64,
    last_key: Option<Vec<u8>>,
    last_is_delete: bool,
}
impl<F> PendingBatch<F> {
    pub fn new(opened: Millis, end: i64) -> Self {
        Self {
            entries: Vec::new(),
            letters: Vec::new(),
            dead_lettered: BTreeSet::new(),
            truncate: None,
            owners_gone: Vec::new(),
            check: None,
            records: 0,
            bytes: 0,
            opened,
            end,
            bad_run: 0,
            origins: 0,
            closed: false,
            ahead: Ahead::Nothing,
            last_timestamp_ms: -1,
            last_key: None,
            last_is_delete: false,
        }
    }
    /// Whether it is complete, and nothing but rows is to be asked for before it is applied.
    pub fn only_needs_rows(&self) -> bool {
        self.closed && self.truncate.is_none() && self.check.is_none()
    }
    /// Moves the end past this record.
    pub fn count(&mut self, record: &Record<'_>, is_delete: bool) {
        self.records += 1;
        self.last_is_delete = is_delete;
        self.end = record.offset + 1;
        self.last_timestamp_ms = record.timestamp_ms;
        match (&mut self.last_key, record.key) {
            (Some(kept), Some(key)) => {
                kept.clear();
                kept.extend_from_slice(key);
            }
            (kept, key) => *kept = key.map(<[u8]>::to_vec),
        }
    }
    pub fn mark(&self) -> Mark {
        Mark {
            offset: self.end - 1,
            timestamp_ms: self.last_timestamp_ms,
            key_digest: digest(self.last_key.as_deref()),
            is_delete: self.last_is_delete,
        }
    }
}

/// First 8 bytes of SHA-256; 0 without a key.
pub(super) fn digest(key: Option<&[u8]>) -> u64 {
    use sha2::{Digest, Sha256};
    key.map_or(0, |key| {
        let hash = Sha256::digest(key);
        u64::from_be_bytes(hash[..8].try_into().expect("a SHA-256 has 32 bytes"))
    })
}

pub(super) struct Lane<F> {
    /// Tells answers to this lane from answers to an earlier owner of the partition in this process.
    pub life: u64,
    /// How many questions were asked: each has its own number.
    pub asked: u64,
    /// The question that the phase waits for; only its answer counts.
    pub question: u64,
    pub table: Arc<SourceTable>,
    pub phase: Phase<F>,
    /// As durable. `checkpoint.next` is where the next batch starts.
    pub checkpoint: Checkpoint,
    /// How many partitions the topic has.
    pub partitions: i32,
    pub placement: Placement,
    /// Where the rows read so far come from.
    pub origins: Vec<Origin>,
    /// It was said that keys cannot be read.
    pub key_is_told: bool,
    /// Digest of the last record's key, if that record was a delete.
    pub deleted: Option<u64>,
    /// The record at this offset, or the next one after it, is the reason for a halt that was found when what came
    /// before it was in hand already.
    pub halt_at: Option<(i64, String)>,
    pub queue: VecDeque<PendingBatch<F>>,
    /// Of records read and not yet durable.
    pub buffered: usize,
    /// How many they are.
    pub unsettled: u64,
    pub letter_limit: DeadLetterLimit,
    pub rows: Rows,
    /// Records whose writes the sink refused, with the reason.
    pub refused: BTreeMap<i64, String>,
    pub attempt: u32,
    /// Another owner took it over: it is not loaded again before this, whatever else there is.
    pub not_before: Millis,
    /// By itself: not opened yet, or too much is buffered. The breaker pauses, too.
    pub paused: bool,
    /// Why the process is about to end because of this lane: no record is taken any more, what was read goes on.
    pub stopped: Option<String>,
    /// When the state was last published, and what stood there then.
    pub published: (Millis, i64),
    /// A failed publication waits until then; commits go on.
    pub publish_not_before: Millis,
}

impl<F> Lane<F> {
    pub fn new(
        life: u64,
        table: Arc<SourceTable>,
        refused: BTreeMap<i64, String>,
        attempt: u32,
    ) -> Self {
        Self {
            life,
            asked: 0,
            question: 0,
            table,
            phase: Phase::Opening,
            checkpoint: Checkpoint::default(),
            partitions: 0,
            placement: Placement::Holds,
            origins: Vec::new(),
            key_is_told: false,
            deleted: None,
            halt_at: None,
            queue: VecDeque::new(),
            buffered: 0,
            unsettled: 0,
            letter_limit: DeadLetterLimit::default(),
            rows: Rows::default(),
            refused,
            attempt,
            not_before: 0,
            paused: true,
            stopped: None,
            published: (0, -1),
            publish_not_before: 0,
        }
    }

    pub fn ask(&mut self, partition: &sinks::Partition) -> Ticket {
        self.asked += 1;
        self.question = self.asked;
        Ticket { partition: partition.clone(), life: self.life, question: self.question }
    }

    pub fn is_opening(&self) -> bool {
        match &self.phase {
            Phase::Waiting { then, .. } => matches!(**then, Phase::Opening),
            phase => matches!(phase, Phase::Opening),
        }
    }

    /// The next offset that has not been read yet.
    pub fn expected(&self) -> i64 {
        let flying = match &self.phase {
            Phase::Waiting { then, .. } => end_of(then),
            phase => end_of(phase),
        };
        let queued = self.queue.back().map(|pending| pending.end);
        queued.or(flying).unwrap_or(self.checkpoint.next)
    }

    /// Takes the stored position over, or says why nothing may be applied.
    /// `Ok`: the offset to read from first, and a warning if there is one.
    pub fn stand_on(
        &mut self,
        opened: OpenedPartition,
        fingerprint: &str,
        policy: &Policy,
        now: Millis,
    ) -> Result<(i64, Option<String>), String> {
        let OpenedPartition { checkpoint, bounds, start } = opened;
        self.partitions = bounds.partitions;
        self.published = (now, -1);
        let Some(stored) = checkpoint else {
            let next = match policy.start {
                crate::policy::Start::Earliest => bounds.begin,
                crate::policy::Start::Latest => bounds.end,
                // Where the source was not asked: rather too much than too little.
                crate::policy::Start::At(_) => start.unwrap_or(bounds.begin).max(bounds.begin),
            };
            // Beyond the log's begin somebody chose to begin there.
            let chosen = matches!(policy.start, crate::policy::Start::At(_)) && next > bounds.begin;
            let trimmed = (bounds.begin > 0 && !chosen).then_some(bounds.begin);
            self.checkpoint = Checkpoint {
                next,
                fingerprint: fingerprint.to_owned(),
                partitions: bounds.partitions,
                trimmed,
                ..Checkpoint::default()
            };
            self.phase = Phase::Open;
            let warning = trimmed.map(|begin| {
                format!(
                    "the log begins at offset {begin}, not at 0: changes before it were never seen, and rows \
                     that did not change since are missing; take a new Debezium snapshot to be exact"
                )
            });
            return Ok((next, warning));
        };
        refuse(&stored, fingerprint, &bounds)?;
        let next = stored.next;
        self.letter_limit = DeadLetterLimit::resume(stored.bad_run);
        self.origins.clone_from(&stored.origins);
        self.deleted = stored.last.as_ref().filter(|last| last.is_delete).map(|l| l.key_digest);
        let mark = stored.last.clone().filter(|mark| mark.offset >= bounds.begin);
        // An earlier version may have said the same in other words: the next batch stores today's.
        self.checkpoint = Checkpoint { fingerprint: fingerprint.to_owned(), ..stored };
        match mark {
            Some(mark) => {
                let from = mark.offset;
                self.phase = Phase::Verifying(mark);
                Ok((from, None))
            }
            None => {
                self.phase = Phase::Open;
                Ok((next, None))
            }
        }
    }

    /// The record has a key that belongs into another partition, by the count that the lane was opened with.
    pub fn is_misplaced(&self, record: &Record<'_>) -> bool {
        self.placement == Placement::Holds
            && self.partitions > 1
            && record.key.is_some_and(|key| home(key, self.partitions) != record.partition.index)
    }

    /// The lane was opened again and the count of partitions is what it was: the record that was in doubt is not to be
    /// applied.
    pub fn settle_placement(&mut self) {
        let Placement::Doubted(offset) = self.placement else { return };
        let why = format!(
            "the record at offset {offset} is not where Kafka's default partitioner puts its key, and the topic has {} \
             partitions as before. If its producer places records by rules of its own, and always puts a key into one \
             partition, say PLACEMENT=custom. If partitions were added after that record was written, older records of \
             its key are in another partition and would count twice: have Debezium write a new snapshot to topics made \
             anew, then start with a new GENERATION",
            self.partitions
        );
        // A reason before it comes first.
        if self.halt_at.as_ref().is_none_or(|(at, _)| offset < *at) {
            self.halt_at = Some((offset, why));
        }
    }

    /// The pending batch that the next record comes into; `alone`: it must be the only one of its pending batch.
    pub fn pending_for(&mut self, now: Millis, alone: bool) -> &mut PendingBatch<F> {
        let expected = self.expected();
        if let Some(last) = self.queue.back_mut() {
            last.closed |= alone;
        }
        if self.queue.back().is_none_or(|pending| pending.closed) {
            self.queue.push_back(PendingBatch::new(now, expected));
        }
        self.queue.back_mut().expect("just made")
    }

    /// Under which prefix the state says which table rows are of, where it does.
    pub fn owners(&self) -> Option<Key> {
        let is_other = |origin: &Origin| origin.table != self.table.name;
        self.origins.iter().any(is_other).then(|| owner_prefix(&self.table))
    }

    /// What was in flight is durable: the pending batches are left.
    pub fn settle(&mut self) {
        self.buffered = self.queue.iter().map(|pending| pending.bytes).sum();
        self.unsettled = self.queue.iter().map(|pending| pending.records as u64).sum();
    }

    /// Forgets what was read and not begun, and says how many records that was.
    pub fn drop_queue(&mut self) -> u64 {
        let mut records = 0;
        for pending in self.queue.drain(..) {
            records += pending.records as u64;
            self.buffered -= pending.bytes;
        }
        self.unsettled -= records;
        records
    }
}

fn end_of<F>(phase: &Phase<F>) -> Option<i64> {
    match phase {
        Phase::Fetching { pending, .. }
        | Phase::Scanning { pending, .. }
        | Phase::CheckingLog { pending, .. } => Some(pending.end),
        Phase::Committing { batch, .. } => Some(batch.span.end),
        _ => None,
    }
}

/// Why this stored position must not be gone on from. Every sentence says what to do.
fn refuse(
    stored: &Checkpoint,
    fingerprint: &str,
    bounds: &crate::source::Bounds,
) -> Result<(), String> {
    let again = "start with a new GENERATION: it builds its views anew, from the topic's beginning";
    let next = stored.next;
    if let Some(what) = fingerprint::difference(&stored.fingerprint, fingerprint) {
        return Err(format!(
            "the state was made by other rules or settings ({what}): go back to them, or {again}"
        ));
    }
    if stored.partitions != bounds.partitions {
        return Err(format!(
            "the topic has {} partitions and the state was made with {}: keys have moved, and their older records \
             are still where they were, so they would count twice. Have Debezium write a new snapshot to topics made \
             anew (or under another topic.prefix), then {again}",
            bounds.partitions, stored.partitions
        ));
    }
    if bounds.begin > next {
        return Err(format!(
            "the log begins at offset {} and the state stands at {next}: the changes in between are gone; \
             take a new Debezium snapshot, then {again}",
            bounds.begin
        ));
    }
    if bounds.end < next {
        return Err(format!(
            "the log ends at offset {} and the state stands at {next}: the topic was made anew or lost records; \
             {again}",
            bounds.end
        ));
    }
    Ok(())
}
