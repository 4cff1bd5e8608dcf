//! What a stored state is bound to: the rules and settings that shape effects (`fingerprint/services.rs`), and where the
//! views are, if that is not the state itself. Both are canonical text ([`sinks::canonical`]); `engine/lane.rs` holds them
//! against what runs now, and refuses.
pub(crate) mod services;

use sinks::canonical;

/// The rules that a state is bound to, with what its views are written to; no target where that is the state itself.
pub(crate) fn with_target(rules: &str, target: &str) -> String {
    let between = if target.is_empty() { "" } else { canonical::BETWEEN };
    format!("{rules}{between}{target}")
}

/// What differs between the stored text and today's, in few words; `None`: they are the same.
pub(crate) fn difference(stored: &str, today: &str) -> Option<String> {
    (stored != today).then(|| canonical::difference(stored, today))
}

#[cfg(test)]
mod tests;
