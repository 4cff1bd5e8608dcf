//! Views in DynamoDB: every write is one conditional request for one item. See [`keyed`] for why that is exact.
pub mod keyed;
pub mod request;

/// What DynamoDB refuses for good. Handlers reject what is beyond it in `read`, before anything is written.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Of an item, names and values together.
    pub item_bytes: usize,
    pub partition_key_bytes: usize,
    pub sort_key_bytes: usize,
    /// Significant digits of a number.
    pub digits: usize,
    /// A number lies between 10^-130 and 10^126.
    pub exponent_max: i64,
    pub exponent_min: i64,
}
pub const LIMITS: Limits = Limits {
    item_bytes: 400 * 1024,
    partition_key_bytes: 2048,
    sort_key_bytes: 1024,
    digits: 38,
    exponent_max: 125,
    exponent_min: -130,
};
