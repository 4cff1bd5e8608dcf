//! How the engine reacts: the only place that knows about waiting, giving up and floods of dead letters.
//!
//! Which error is which the sinks say (`sinks/src/dynamodb/errors.rs`, `sinks/src/objects/s3/errors.rs`). One who is
//! throttled has a transient error: it is tried again after a pause, and counts towards the breaker.
#![deny(clippy::disallowed_methods)]

pub mod breaker;

use sinks::SinkError;

/// Time since some start, in ms; never goes back.
pub type Millis = u64;

/// Where a partition without a stored position begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Earliest,
    Latest,
    /// With the first record of this time or later, ms since 1970.
    At(i64),
}

/// What a record keeps when the sink refuses one of its writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRefusal {
    /// Transactional stores: the whole record is left out, as if it had never come.
    SkipRecord,
    /// Keyed sinks: only the refused write is; its rows and its other writes go on.
    SkipWrite,
}

#[derive(Debug, Clone)]
pub struct Policy {
    pub batch_records_max: usize,
    pub batch_bytes_max: usize,
    /// How long a batch that is not full waits for more.
    pub linger_ms: Millis,
    /// Of all partitions together: records read and not yet durable.
    pub buffer_bytes_max: usize,
    /// Of all partitions together: rows touched lately, which need not be fetched again.
    pub cache_bytes_max: usize,
    pub backoff_base_ms: Millis,
    pub backoff_ms_max: Millis,
    /// This many failures in a row, over all lanes, and nothing is sent until one try has worked.
    pub breaker_failures: u32,
    pub letters_in_a_row_max: u32,
    /// Halts when more than this share (percent) of about the last `letters_window` records of a partition are dead.
    pub letters_percent_max: u32,
    pub letters_window: u32,
    /// For derived sinks: how often what is committed is published.
    pub publish_every_ms: Option<Millis>,
    /// A record that is not where its key puts it makes its lane ask for the count of partitions again, after this
    /// pause: brokers learn of new partitions one after the other. `None`: placement is not looked at, as in files.
    pub doubt_ms: Option<Millis>,
    pub start: Start,
    pub on_refusal: OnRefusal,
    /// How long what was read before the reason of a halt may take to become durable.
    pub halt_grace_ms: Millis,
    /// Makes the jitter of this process differ from that of others.
    pub seed: u64,
}
impl Default for Policy {
    fn default() -> Self {
        Self {
            batch_records_max: 5_000,
            batch_bytes_max: 8 << 20,
            linger_ms: 100,
            buffer_bytes_max: 64 << 20,
            cache_bytes_max: 64 << 20,
            backoff_base_ms: 100,
            backoff_ms_max: 30_000,
            breaker_failures: 5,
            letters_in_a_row_max: 100,
            letters_percent_max: 50,
            letters_window: 1_000,
            publish_every_ms: None,
            doubt_ms: Some(2_000),
            start: Start::Earliest,
            on_refusal: OnRefusal::SkipRecord,
            halt_grace_ms: 10_000,
            seed: 0,
        }
    }
}

/// What an error asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Reaction {
    /// The same again, after a pause; the text says what is in the way.
    Retry(String),
    /// Forget the partition's lane and load it again, after a pause.
    Reload,
    /// These records are dead letters: load again and read them as such.
    Isolate(Vec<sinks::Refusal>),
    Halt(String),
    /// Because of the record at this offset: what came before it can still become durable.
    HaltAt(i64, String),
}

pub fn react(error: SinkError) -> Reaction {
    match error {
        SinkError::Transient(cause) => Reaction::Retry(format!("{cause:#}")),
        SinkError::Fenced => Reaction::Reload,
        SinkError::Refused(list) => Reaction::Isolate(list),
        SinkError::Fatal(cause) => match cause.downcast_ref::<sinks::TwoOwners>() {
            Some(found) => {
                // The partition is said by whoever halts.
                let text = found.to_string();
                let of = format!("{} ", found.partition);
                Reaction::HaltAt(found.offset, text.strip_prefix(&of).unwrap_or(&text).to_owned())
            }
            None => Reaction::Halt(format!("{cause:#}")),
        },
    }
}

impl Policy {
    /// Full jitter: anything from 1 ms to a bound that doubles with each attempt. The same `salt` and attempt give the
    /// same pause, so that a simulation tells the same story twice.
    pub fn backoff(&self, attempt: u32, salt: u64) -> Millis {
        let doubled = self.backoff_base_ms.saturating_mul(1 << attempt.min(20));
        let bound = doubled.min(self.backoff_ms_max).max(1);
        1 + mix(self.seed ^ mix(salt) ^ u64::from(attempt)) % bound
    }
}

/// SplitMix64's last step: spreads a counter over all bits.
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// Watches one partition for a flood of dead letters: a bad deploy must not dead-letter a topic.
#[derive(Debug, Clone, Default)]
pub struct DeadLetterLimit {
    in_a_row: u32,
    seen: u32,
    dead: u32,
}
impl DeadLetterLimit {
    /// Goes on counting where the stored state stopped: a restart does not reset the limit.
    pub fn resume(in_a_row: u32) -> Self {
        Self { in_a_row, ..Self::default() }
    }
    pub fn in_a_row(&self) -> u32 {
        self.in_a_row
    }
    /// Counts one record; the sentence if there are too many.
    pub fn count(&mut self, dead: bool, policy: &Policy) -> Option<String> {
        self.seen += 1;
        if !dead {
            self.in_a_row = 0;
        } else {
            self.dead += 1;
            self.in_a_row = self.in_a_row.saturating_add(1);
        }
        if self.seen >= policy.letters_window.saturating_mul(2) {
            (self.seen, self.dead) = (self.seen / 2, self.dead / 2);
        }
        if !dead {
            return None;
        }
        let advice = "look at the newest letters, mend the cause or raise the limit, and start again: \
                      a restart goes on at this record, nothing was skipped";
        if self.in_a_row > policy.letters_in_a_row_max {
            return Some(format!("{} dead letters in a row: {advice}", self.in_a_row));
        }
        let share = u64::from(self.dead) * 100;
        let limit = u64::from(self.seen) * u64::from(policy.letters_percent_max);
        (self.seen >= policy.letters_window && share > limit).then(|| {
            format!("{} dead letters in the last {} records: {advice}", self.dead, self.seen)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_is_bounded_spread_and_repeatable() {
        let policy = Policy { seed: 7, ..Policy::default() };
        for attempt in 0..100 {
            let pause = policy.backoff(attempt, 3);
            assert_eq!(pause, policy.backoff(attempt, 3));
            assert!((1..=policy.backoff_ms_max).contains(&pause), "attempt {attempt}: {pause}");
        }
        let spread: std::collections::BTreeSet<_> =
            (0..100).map(|salt| policy.backoff(9, salt)).collect();
        assert!(spread.len() > 90, "{spread:?}");
    }

    proptest::proptest! {
        /// Each tenth of the range is used about as often as any other, the bound doubles, and stops at the limit.
        #[test]
        fn backoff_uses_the_whole_range_and_nothing_beyond(
            seed: u64, salt: u64, base in 10u64..5_000, limit in 10u64..600_000, attempt in 0u32..40
        ) {
            let policy =
                Policy { seed, backoff_base_ms: base, backoff_ms_max: limit, ..Policy::default() };
            let bound = (u128::from(base) << attempt).min(u128::from(limit)) as u64;
            let mut tenths = [0; 10];
            for n in 0..2_000 {
                let pause = policy.backoff(attempt, salt.wrapping_add(n));
                assert!((1..=bound).contains(&pause), "{pause} of {bound}");
                tenths[((pause - 1) * 10 / bound) as usize] += 1;
            }
            // Where the bound is no multiple of ten, tenths differ by one value of the bound's few.
            let (least, most) = if bound < 100 { (40, 480) } else { (90, 330) };
            assert!(tenths.iter().all(|n| (least..=most).contains(n)), "{bound}: {tenths:?}");
        }
    }

    #[test]
    fn a_run_of_letters_halts_and_a_good_record_ends_the_run() {
        let policy = Policy { letters_in_a_row_max: 3, ..Policy::default() };
        let mut flood = DeadLetterLimit::default();
        for _ in 0..3 {
            assert_eq!(flood.count(true, &policy), None);
        }
        assert_eq!(flood.count(false, &policy), None);
        let mut flood = DeadLetterLimit::resume(3);
        let text = flood.count(true, &policy).expect("a fourth in a row, over a restart");
        assert!(text.contains("4 dead letters in a row"), "{text}");
    }

    #[test]
    fn too_large_a_share_halts() {
        let policy =
            Policy { letters_in_a_row_max: 1_000, letters_window: 100, ..Policy::default() };
        let mut flood = DeadLetterLimit::default();
        let halted = (0..400).find_map(|n| flood.count(n % 5 != 0, &policy).map(|text| (n, text)));
        let (n, text) = halted.expect("80 % dead");
        assert!(n >= 99 && text.contains("in the last"), "{n}: {text}");
        let mut flood = DeadLetterLimit::default();
        assert!(
            (0..4_000).all(|n| flood.count(n % 5 == 0, &policy).is_none()),
            "20 % dead is allowed"
        );
    }
}
