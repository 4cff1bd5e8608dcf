//! The words of a text, as people look them up.
use std::collections::BTreeSet;
use unicode_segmentation::UnicodeSegmentation;

/// Longer words are left out: nobody types them, and no store takes them as a key.
pub const WORD_BYTES_MAX: usize = 1_024;
/// The version of Unicode by which words are told: other versions may cut a text otherwise.
pub const UNICODE_VERSION: (u64, u64, u64) = unicode_segmentation::UNICODE_VERSION;

/// The words of a text: those of Unicode (UAX #29), in lower case, of at most [`WORD_BYTES_MAX`] bytes.
pub fn words(text: &str) -> impl Iterator<Item = String> {
    text.unicode_words().map(str::to_lowercase).filter(|word| word.len() <= WORD_BYTES_MAX)
}

/// How many different words a text has, and how many bytes they take in a set, about.
pub fn word_bytes(text: &str) -> (usize, usize) {
    /// What a set takes for each element beside its bytes.
    const EXTRA: usize = 3;
    let words: BTreeSet<String> = words(text).collect();
    (words.len(), words.iter().map(|word| word.len() + EXTRA).sum())
}
