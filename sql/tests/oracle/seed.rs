//! The seed of a run's random choices.

/// A number from an environment variable.
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// `TEST_SQL_SEED`, or a new one; printed, so that a run can be made again.
pub fn seed() -> u64 {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = number("TEST_SQL_SEED").unwrap_or(clock.expect("a clock").as_nanos() as u64);
    println!("TEST_SQL_SEED={seed}");
    seed
}
