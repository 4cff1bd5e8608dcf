//! What a stored state is bound to, held against what runs now: both are canonical text of rules and settings, which the
//! handlers make.
//!
//! States of versions before these texts hold the names of this program's types instead ([`earlier`]). They are
//! accepted where they mean the same settings, and the state's next batch writes today's text.
mod earlier;

use sinks::canonical;
use std::borrow::Cow;

/// What differs between the stored text and today's, in few words; `None`: they mean the same.
pub(crate) fn difference(stored: &str, today: &str) -> Option<String> {
    if stored == today {
        return None;
    }
    let meant = earlier::meaning(stored).map_or(Cow::Borrowed(stored), Cow::Owned);
    if meant == today {
        return None;
    }
    Some(canonical::difference(&meant, today))
}

#[cfg(test)]
mod tests;
