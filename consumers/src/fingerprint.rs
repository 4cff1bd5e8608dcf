//! What a stored state is bound to, held against what runs now: both are canonical text of rules and settings, which the
//! handlers make.
use sinks::canonical;

/// What differs between the stored text and today's, in few words; `None`: they are the same.
pub(crate) fn difference(stored: &str, today: &str) -> Option<String> {
    (stored != today).then(|| canonical::difference(stored, today))
}

#[cfg(test)]
mod tests;
