//! What the programs that `scripts/bench.sh` runs have in common: whole topics read from Kafka, results written down.
pub mod answers;
pub mod log;
pub mod stand_in;
