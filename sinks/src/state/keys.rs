//! What is stored in a state, and under which keys: the index of all stored bytes. None of it is ever changed, since states
//! of deployed services go on; each format has its own golden tests.
//!
//! A state row has a key and a value, both bytes. The first byte of the key says whose row it is:
//!
//! | key begins with | then | value | written by |
//! | --- | --- | --- | --- |
//! | [`LAST_ROW`] | the table's tag, `/`, the primary key | the other columns of that row, as last applied | `consumers/src/plan_handler.rs` |
//! | [`SHARE`] | the view, zero, the key as JSON | the partition's share of that row of the view | [`crate::share_key`] |
//! | [`VALUES`] | the view, zero, the column's place, the key, the bucket | all values of a bucket, with how many rows have each | `consumers/src/plan_handler/extremes.rs` |
//! | [`SHOWN_OF_BUCKETS`] | the view, zero, the column's place, the key | what is shown of each bucket | the same |
//! | [`TABLE_OF_ROW`] | `/`, the table's tag, `/`, the primary key | which source table the row is from, as text | `consumers/src/engine/whose.rs` |
//!
//! Keys are bytes as [`crate::write_key`] has them, values as [`crate::encode_row`] has them, where nothing else is said. A
//! handler of one's own may use any other first byte.
//!
//! SQLite keeps state rows in a table (`state/sqlite/layout.rs`), SlateDB under one more byte (`state/slatedb.rs`). What an
//! item of DynamoDB holds of a share is in `dynamodb/entry.rs`, what a dead letter holds in `dlq.rs`.

/// The last row applied of each primary key.
pub const LAST_ROW: u8 = b'r';
/// A partition's share of a view's row.
pub const SHARE: u8 = b'=';
/// The values behind a greatest or smallest one, or behind the first tuples.
pub const VALUES: u8 = b'^';
/// What is shown of each bucket of such values.
pub const SHOWN_OF_BUCKETS: u8 = b'<';
/// Which table a row is from, where a topic has rows of several.
pub const TABLE_OF_ROW: u8 = b'w';
