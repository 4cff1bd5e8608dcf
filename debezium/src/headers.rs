//! What Debezium says in record headers.

/// A changed primary key: a delete (and a tombstone) under the old key tells the new one, the create under the new
/// key tells the old one. Both as Debezium wrote them, usually JSON; [`crate::Decoder::key`] reads them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyMove<'h> {
    pub new_key: Option<&'h [u8]>,
    pub old_key: Option<&'h [u8]>,
}
impl<'h> KeyMove<'h> {
    /// The last of several headers of a name counts, as in Kafka Connect.
    pub fn of(headers: &'h [(String, Option<Vec<u8>>)]) -> Self {
        let last = |name: &str| {
            headers.iter().rev().find(|(n, _)| n == name).and_then(|(_, value)| value.as_deref())
        };
        Self { new_key: last("__debezium.newkey"), old_key: last("__debezium.oldkey") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_them_among_others() {
        let header = |name: &str, value: &str| (name.to_owned(), Some(value.as_bytes().to_vec()));
        let headers = [
            header("__debezium.newkey", "1"),
            header("trace", "x"),
            header("__debezium.newkey", "2"),
            ("__debezium.oldkey".to_owned(), None),
        ];
        assert_eq!(KeyMove::of(&headers), KeyMove { new_key: Some(b"2"), old_key: None });
        assert_eq!(KeyMove::of(&[]), KeyMove::default());
    }
}
