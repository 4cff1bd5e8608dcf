//! `cdc config SERVICE`: every setting, its value, and where it came from.
use super::{
    Service,
    settings::{self, TABLE},
};
use clap::ArgMatches;
use serving::settings::{Given, columns, is_secret};

/// The settings of a service and librdkafka's properties, in columns; values that nobody may see are `****`.
pub fn table(service: Service, matches: &ArgMatches, env: &[(String, String)]) -> String {
    let mut rows = TABLE.rows(&settings::given(matches, service), service);
    for (name, Given { value, origin }) in settings::properties(matches, env).unwrap_or_default() {
        let shown = match value {
            Some(_) if is_secret(&name) => "****".to_owned(),
            value => value.unwrap_or_default(),
        };
        rows.push([format!("kafka property {name}"), shown, origin.to_string()]);
    }
    columns(&rows)
}
