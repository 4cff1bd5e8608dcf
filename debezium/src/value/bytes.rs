//! Strings of bytes, in the forms that `binary.handling.mode` has.
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE},
};

pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text.as_bytes()).ok()
}

pub(crate) fn from_base64_url_safe(text: &str) -> Option<Vec<u8>> {
    URL_SAFE.decode(text.as_bytes()).ok()
}

/// Two digits a byte, in either case.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16)?).ok();
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    rest.is_empty().then(|| bytes.collect())?
}

/// Whether a text may be hexadecimal digits, as Debezium writes them. Of nothing every form makes the same.
pub(crate) fn may_be_hex(text: &str) -> bool {
    !text.is_empty()
        && text.len().is_multiple_of(2)
        && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
