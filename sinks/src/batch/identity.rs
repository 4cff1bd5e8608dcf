//! By what a repeat of a batch is known: SipHash-1-3 of 128 bits over all that the batch asks for, encoded so that no
//! two contents have the same bytes (every list and text has its length before it, every choice its number).
//!
//! The key is random and of this process, so nobody who writes rows can make two batches that are taken for one.
use super::{Checkpoint, Key, Mark, Op, Origin, Partition, Span, Write};
use crate::Cell;
use siphasher::sip128::{Hasher128 as _, SipHasher13};
use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    sync::LazyLock,
};

static KEYS: LazyLock<(u64, u64)> = LazyLock::new(|| {
    let random = || RandomState::new().hash_one(0);
    (random(), random())
});

/// The digest of a batch of this content.
pub(super) fn of(
    partition: &Partition,
    span: Span,
    writes: &[Write],
    rows: &[(Key, Option<Vec<u8>>)],
    checkpoint: &Checkpoint,
) -> [u8; 16] {
    let mut bytes = Bytes::new();
    bytes.text(&partition.topic);
    bytes.number(i64::from(partition.index));
    bytes.number(span.start);
    bytes.number(span.end);
    bytes.count(writes.len());
    writes.iter().for_each(|write| bytes.write(write));
    bytes.count(rows.len());
    for (key, value) in rows {
        bytes.run(key);
        bytes.option(value.as_deref(), Bytes::run);
    }
    bytes.checkpoint(checkpoint);
    bytes.finish()
}

/// Encodes into a buffer that is hashed whenever it is full: many short writes would cost more than their bytes.
struct Bytes {
    hash: SipHasher13,
    buffer: Vec<u8>,
}

const BUFFER_BYTES: usize = 8 << 10;

impl Bytes {
    fn new() -> Self {
        let (first, second) = *KEYS;
        let hash = SipHasher13::new_with_keys(first, second);
        Self { hash, buffer: Vec::with_capacity(BUFFER_BYTES) }
    }
    fn finish(mut self) -> [u8; 16] {
        self.hash.write(&self.buffer);
        self.hash.finish128().as_bytes()
    }
    fn put(&mut self, bytes: &[u8]) {
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.hash.write(&self.buffer);
            self.buffer.clear();
        }
        if bytes.len() > BUFFER_BYTES {
            self.hash.write(bytes);
        } else {
            self.buffer.extend_from_slice(bytes);
        }
    }

    fn number(&mut self, number: i64) {
        self.put(&number.to_le_bytes());
    }
    fn count(&mut self, count: usize) {
        self.put(&(count as u64).to_le_bytes());
    }
    fn run(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.put(bytes);
    }
    fn text(&mut self, text: &str) {
        self.run(text.as_bytes());
    }
    fn option<T>(&mut self, value: Option<T>, put: impl FnOnce(&mut Self, T)) {
        self.put(&[u8::from(value.is_some())]);
        if let Some(value) = value {
            put(self, value);
        }
    }

    fn write(&mut self, write: &Write) {
        let Write { offset, source_ts_ms, view, key, op } = write;
        self.number(*offset);
        self.number(*source_ts_ms);
        self.text(view);
        self.cells(key);
        match op {
            Op::Put(cells) => {
                self.put(&[0]);
                self.cells(cells);
            }
            Op::Delete => self.put(&[1]),
            Op::Share(cells) => {
                self.put(&[2]);
                self.cells(cells);
            }
        }
    }
    fn cells(&mut self, cells: &[Cell]) {
        self.count(cells.len());
        cells.iter().for_each(|cell| self.cell(cell));
    }
    fn cell(&mut self, cell: &Cell) {
        match cell {
            Cell::Null => self.put(&[0]),
            Cell::Int(number) => {
                self.put(&[1]);
                self.number(*number);
            }
            Cell::Text(text) => {
                self.put(&[2]);
                self.text(text);
            }
            Cell::Decimal(decimal) => {
                self.put(&[3]);
                decimal.write_binary(&mut self.buffer);
            }
            Cell::Time(us) => {
                self.put(&[4]);
                self.number(*us);
            }
            Cell::Words(words) => {
                self.put(&[5]);
                self.count(words.len());
                words.iter().for_each(|word| self.text(word));
            }
            Cell::Bool(is_so) => self.put(&[6, u8::from(*is_so)]),
            Cell::Float(number) => {
                self.put(&[7]);
                self.put(&number.get().to_le_bytes());
            }
            Cell::Date(days) => {
                self.put(&[8]);
                self.number((*days).into());
            }
            Cell::Uuid(uuid) => {
                self.put(&[9]);
                self.put(uuid);
            }
            Cell::Bytes(bytes) => {
                self.put(&[10]);
                self.run(bytes);
            }
            Cell::Json(text) => {
                self.put(&[11]);
                self.text(text);
            }
            Cell::List(list) => {
                self.put(&[12]);
                self.count(list.0.len());
                list.0.iter().for_each(|text| self.option(text.as_deref(), Self::text));
            }
            Cell::Tuples(tuples) => {
                self.put(&[13]);
                self.count(tuples.len());
                tuples.iter().for_each(|tuple| self.cells(tuple));
            }
        }
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) {
        let Checkpoint { next, last, fingerprint, partitions, trimmed, bad_run, origins } =
            checkpoint;
        self.number(*next);
        self.option(last.as_ref(), |bytes, mark| {
            let Mark { offset, timestamp_ms, key_digest, is_delete } = mark;
            bytes.number(*offset);
            bytes.number(*timestamp_ms);
            bytes.put(&key_digest.to_le_bytes());
            bytes.put(&[u8::from(*is_delete)]);
        });
        self.text(fingerprint);
        self.number(i64::from(*partitions));
        self.option(*trimmed, Self::number);
        self.number(i64::from(*bad_run));
        self.count(origins.len());
        for Origin { connector, database, schema, table } in origins {
            [connector, database, schema, table].into_iter().for_each(|text| self.text(text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Float, List};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    type Content = (Partition, Span, Vec<Write>, Vec<(Key, Option<Vec<u8>>)>, Checkpoint);

    fn digest((partition, span, writes, rows, checkpoint): &Content) -> [u8; 16] {
        of(partition, *span, writes, rows, checkpoint)
    }

    /// Few different values, so that two contents are often nearly the same.
    fn cell() -> impl Strategy<Value = Cell> {
        let tuple = prop::collection::vec(plain(), 0..3);
        let tuples = prop::collection::vec(tuple, 0..3).prop_map(Cell::Tuples);
        prop_oneof![13 => plain(), 1 => tuples]
    }
    fn plain() -> impl Strategy<Value = Cell> {
        let text = || prop_oneof![Just(""), Just("a"), Just("ab"), Just("\0"), Just("1")];
        let number = || prop_oneof![Just(0), Just(1), Just(-1), Just(256), any::<i64>()];
        prop_oneof![
            Just(Cell::Null),
            number().prop_map(Cell::Int),
            number().prop_map(Cell::Time),
            text().prop_map(Cell::from),
            (number(), -2_i16..3).prop_map(|(digits, scale)| views::Decimal::from_parts(
                digits.into(),
                scale
            )
            .into()),
            prop::collection::btree_set(text().prop_map(str::to_owned), 0..3).prop_map(Cell::Words),
            any::<bool>().prop_map(Cell::Bool),
            prop_oneof![Just(0.0), Just(-0.0), Just(1.0), Just(f64::NAN)]
                .prop_map(|number| Cell::Float(Float::new(number))),
            (-1..2).prop_map(Cell::Date),
            prop_oneof![Just([0; 16]), Just([1; 16])].prop_map(Cell::Uuid),
            text().prop_map(|text| Cell::Bytes(text.into())),
            text().prop_map(|text| Cell::Json(text.into())),
            prop::collection::vec(prop::option::of(text().prop_map(str::to_owned)), 0..3)
                .prop_map(|texts| Cell::List(List(texts))),
        ]
    }
    fn cells() -> impl Strategy<Value = Vec<Cell>> {
        prop::collection::vec(cell(), 0..3)
    }
    fn write() -> impl Strategy<Value = Write> {
        let op =
            prop_oneof![cells().prop_map(Op::Put), Just(Op::Delete), cells().prop_map(Op::Share)];
        let view = prop_oneof![Just("a"), Just("ab"), Just("b")];
        (0_i64..3, 0_i64..2, view, cells(), op).prop_map(|(offset, source_ts_ms, view, key, op)| {
            Write { offset, source_ts_ms, view, key, op }
        })
    }
    fn checkpoint() -> impl Strategy<Value = Checkpoint> {
        let text = || prop_oneof![Just(""), Just("a"), Just("ab")].prop_map(str::to_owned);
        let mark = (0_i64..2, -1_i64..1, 0_u64..2, any::<bool>()).prop_map(
            |(offset, timestamp_ms, key_digest, is_delete)| Mark {
                offset,
                timestamp_ms,
                key_digest,
                is_delete,
            },
        );
        let origin =
            (text(), text(), text(), text()).prop_map(|(connector, database, schema, table)| {
                Origin { connector, database, schema, table }
            });
        let numbers = (0_i64..3, 1..3, prop::option::of(0_i64..2), 0_u32..2);
        let origins = prop::collection::vec(origin, 0..3);
        (numbers, prop::option::of(mark), text(), origins).prop_map(
            |((next, partitions, trimmed, bad_run), last, fingerprint, origins)| Checkpoint {
                next,
                last,
                fingerprint,
                partitions,
                trimmed,
                bad_run,
                origins,
            },
        )
    }
    fn content() -> impl Strategy<Value = Content> {
        let bytes = || prop_oneof![Just(vec![]), Just(vec![0]), Just(vec![0, 1]), Just(vec![1])];
        let rows = prop::collection::vec((bytes(), prop::option::of(bytes())), 0..3);
        let writes = prop::collection::vec(write(), 0..3);
        let topic = prop_oneof![Just("t"), Just("tt")];
        let place = (topic, 0..2).prop_map(|(topic, index)| Partition::new(topic, index));
        (place, 0_i64..2, writes, rows, checkpoint()).prop_map(
            |(place, start, writes, rows, checkpoint)| {
                let span = Span { start, end: checkpoint.next };
                (place, span, writes, rows, checkpoint)
            },
        )
    }

    proptest! {
        #[test]
        fn what_differs_has_another_digest(one in content(), other in content(), part in 0..5) {
            // Both alike but for one part, which may be alike as well.
            let mut mixed = one.clone();
            match part {
                0 => mixed.0 = other.0,
                1 => mixed.1 = other.1,
                2 => mixed.2 = other.2,
                3 => mixed.3 = other.3,
                _ => mixed.4 = other.4,
            }
            // As text, since decimals are equal whatever their scale.
            let (left, right) = (format!("{one:?}"), format!("{mixed:?}"));
            prop_assert_eq!(left == right, digest(&one) == digest(&mixed));
        }

        #[test]
        fn encoding_is_cut_nowhere(
            sizes in prop::collection::vec(0_usize..3 * BUFFER_BYTES, 1..5), at: prop::sample::Index,
        ) {
            let rows = |changed: Option<usize>| {
                let row = |(i, size): (usize, &usize)| {
                    let mut value = vec![7; *size];
                    if let Some(last) = value.last_mut().filter(|_| changed == Some(i)) {
                        *last = 8;
                    }
                    (vec![], Some(value))
                };
                sizes.iter().enumerate().map(row).collect::<Vec<_>>()
            };
            let of = |rows| {
                let span = Span { start: 0, end: 0 };
                digest(&(Partition::new("t", 0), span, vec![], rows, Checkpoint::default()))
            };
            let changed = at.index(sizes.len());
            prop_assert_eq!(of(rows(None)), of(rows(None)));
            prop_assert_eq!(of(rows(None)) == of(rows(Some(changed))), sizes[changed] == 0);
        }
    }

    #[test]
    fn equal_numbers_of_different_scale_differ() {
        let of = |text: &str| {
            let decimal: views::Decimal = text.parse().expect("a decimal");
            let op = Op::Share(vec![decimal.into()]);
            let write = Write { offset: 0, source_ts_ms: 0, view: "v", key: vec![], op };
            let span = Span { start: 0, end: 0 };
            digest(&(Partition::new("t", 0), span, vec![write], vec![], Checkpoint::default()))
        };
        let texts = ["0", "0.0", "1", "1.0", "-1", "10", "1e1", "18446744073709551616"];
        let digests: BTreeSet<_> = texts.iter().map(|text| of(text)).collect();
        assert_eq!(digests.len(), texts.len());
    }
}
