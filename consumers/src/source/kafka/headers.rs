//! A message's headers as librdkafka holds them.
use super::ListHeaders;
use rdkafka::{
    Message,
    message::{BorrowedMessage, Headers as _},
};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A message's headers, looked at when asked for.
pub struct Lazy<'m>(pub &'m BorrowedMessage<'m>);
impl Lazy<'_> {
    fn read(&self, wanted: impl Fn(&str) -> bool) -> Vec<(String, Option<Vec<u8>>)> {
        let Some(headers) = self.0.headers() else { return Vec::new() };
        let one = |at| {
            let header = headers.try_get(at).filter(|header| wanted(header.key))?;
            Some((header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
        };
        // rdkafka panics at a name that is not UTF-8.
        let safe = |at| catch_unwind(AssertUnwindSafe(|| one(at)));
        let unreadable = || {
            let name = "(name is not UTF-8)";
            wanted(name).then(|| (name.to_owned(), None))
        };
        (0..headers.count()).filter_map(|at| safe(at).unwrap_or_else(|_| unreadable())).collect()
    }
}
impl ListHeaders for Lazy<'_> {
    fn list(&self) -> Vec<(String, Option<Vec<u8>>)> {
        self.read(|_| true)
    }
    fn list_with(&self, prefix: &str) -> Vec<(String, Option<Vec<u8>>)> {
        self.read(|name| name.starts_with(prefix))
    }
}
