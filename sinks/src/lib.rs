//! What "durable" means. Knows neither Kafka nor Debezium.
//!
//! A service keeps *views* ([`View`]). A [`Batch`] is what the records of one partition, from one offset to
//! another, ask of them. It is carried out by [`Committer::commit_showing`], each step durable before the next and each
//! harmless when repeated: dead letters ([`Dlq`]), sink writes ([`Sink`]), then rows, shares and position in one
//! atomic write ([`PartitionState::commit`]). Only then may Kafka hear of it.
//!
//! * a *transactional* store ([`state::sqlite`], [`state::memory`]) keeps the views too: writes, state and position
//!   move in one transaction, and there is no separate sink;
//! * a *keyed* sink ([`dynamodb`]) recognises what it has seen by the offsets kept in each item;
//! * a *derived* sink ([`reports`]) publishes what the committed state says.
//!
//! Absent on purpose: retries (the caller's `policy.rs` decides), clocks in anything that decides, logged row values.

#[cfg(feature = "aws")]
mod aws;
mod batch;
mod commit;
pub mod conformance;
#[cfg(feature = "aws")]
pub mod credentials;
pub mod dlq;
#[cfg(feature = "aws")]
pub mod dynamodb;
mod error;
pub mod files;
pub mod objects;
mod owner;
pub mod reports;
pub mod state;

pub use batch::{
    Alert, Batch, Checkpoint, Key, Mark, Op, Origin, Partition, Receipt, Span, Write, key_text,
    share_key, share_prefix, write_share_key,
};
pub use commit::{Committer, Sink};
pub use dlq::{Dlq, Letter};
pub use error::{Refusal, SinkError};
pub use owner::TwoOwners;
pub use state::{PartitionState, State};
pub use views::{
    AlertWhen, Cell, Column, Condition, Decimal, Direction, Expr, First, Float, Index, IndexKey,
    JsonItem, List, Merge, Parts, Plan, Rules, Type, UNICODE_VERSION, View, WORD_BYTES_MAX,
    canonical, canonical_key,
    computed::{self, Failed},
    day, decode_row, encode_row, plan, read_key, word_bytes, words, write_key,
};

/// Whether this build has what is in AWS: the feature `aws`. What asks for it otherwise is refused with [`NO_AWS`].
pub const HAS_AWS: bool = cfg!(feature = "aws");
/// What a build without the feature `aws` says.
pub const NO_AWS: &str = "this build has no AWS (DynamoDB, S3, SlateDB): build it without --no-default-features, or with \
                          --features aws";
