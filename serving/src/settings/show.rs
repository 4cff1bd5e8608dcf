//! Values as people may see them: in columns, and without secrets.
use std::fmt::Write as _;

/// Whether nobody may see the value of a librdkafka property of this name.
pub fn is_secret(property: &str) -> bool {
    ["password", "secret", "token", "key.pem", "ssl.key", "jaas", "oauthbearer.config"]
        .iter()
        .any(|part| property.contains(part))
}

/// A value in which the user and password of a URL are `****`.
pub fn without_userinfo(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else { return value.to_owned() };
    let host = rest.find('/').unwrap_or(rest.len());
    match rest[..host].rfind('@') {
        Some(at) => format!("{scheme}://****@{}", &rest[at + 1..]),
        None => value.to_owned(),
    }
}

/// Rows of setting, value and origin, under each other in columns, with a head.
pub fn columns(rows: &[[String; 3]]) -> String {
    let width = |column: usize| rows.iter().map(|r| r[column].chars().count()).max().unwrap_or(0);
    let (names, values) = (width(0).max(7), width(1).max(5));
    let mut text = format!("{:names$}  {:values$}  from\n", "setting", "value");
    for [name, value, origin] in rows {
        // Strings grow: this cannot fail.
        let _ = writeln!(text, "{name:names$}  {value:values$}  {origin}");
    }
    text
}
