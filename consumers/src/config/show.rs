//! `cdc config SERVICE`: every setting, its value, and where it came from.
use super::{
    Given, Service,
    settings::{self, SETTINGS},
};
use clap::ArgMatches;
use std::fmt::Write as _;

/// librdkafka properties whose values nobody may see.
fn is_secret(property: &str) -> bool {
    ["password", "secret", "token", "key.pem", "ssl.key", "jaas", "oauthbearer.config"]
        .iter()
        .any(|part| property.contains(part))
}

/// A URL may carry a user and a password.
pub fn without_userinfo(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else { return value.to_owned() };
    let host = rest.find('/').unwrap_or(rest.len());
    match rest[..host].rfind('@') {
        Some(at) => format!("{scheme}://****@{}", &rest[at + 1..]),
        None => value.to_owned(),
    }
}

pub fn table(service: Service, matches: &ArgMatches, env: &[(String, String)]) -> String {
    let given = settings::given(matches, service);
    let mut rows: Vec<[String; 3]> = Vec::new();
    for setting in SETTINGS.iter().filter(|s| s.services.contains(&service)) {
        if let Some(Given { value, origin }) = given.get(setting.name) {
            let value = value.as_deref().map_or("-".to_owned(), without_userinfo);
            rows.push([setting.env.to_owned(), value, origin.to_string()]);
        }
    }
    for (name, Given { value, origin }) in settings::properties(matches, env).unwrap_or_default() {
        let shown = match value {
            Some(_) if is_secret(&name) => "****".to_owned(),
            value => value.unwrap_or_default(),
        };
        rows.push([format!("kafka property {name}"), shown, origin.to_string()]);
    }
    let width = |column: usize| rows.iter().map(|r| r[column].chars().count()).max().unwrap_or(0);
    let (names, values) = (width(0).max(7), width(1).max(5));
    let mut text = format!("{:names$}  {:values$}  from\n", "setting", "value");
    for [name, value, origin] in &rows {
        // Strings grow: this cannot fail.
        let _ = writeln!(text, "{name:names$}  {value:values$}  {origin}");
    }
    text
}
