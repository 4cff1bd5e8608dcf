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

mod aws;
mod batch;
mod commit;
pub mod conformance;
pub mod credentials;
pub mod dlq;
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
    AlertWhen, Cell, Column, Condition, Expr, Index, IndexKey, Merge, Rules, Type, View, canonical,
};
