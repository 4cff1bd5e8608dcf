//! Views that are declared elsewhere than in this crate, such as in a file of SQL, run as a service of their own.
#![deny(clippy::disallowed_methods)]

use crate::{plan_handler::Table, source_table::SourceTable};
use sinks::Plan;

/// All that a service of declared views is made of.
#[derive(Debug)]
pub struct Declared {
    /// What the service is called in paths, groups, logs and metrics, and never otherwise while its state is to be kept.
    pub name: &'static str,
    /// The source tables that the plans name by their places.
    pub tables: Vec<Table>,
    pub plans: Vec<Plan>,
    /// Of everything that shapes effects: see [`crate::handler::Handler::fingerprint`].
    pub rules: String,
    /// The select by which PostgreSQL computes the view: key and columns as text, in the order of the keys, over tables of the
    /// names here whose columns are of the types that [`SourceTable`] says. `Err`: why it cannot.
    pub answer: Result<String, String>,
    /// The topics of the tables where the declaration names them; empty: settings do.
    pub topics: Vec<String>,
    /// What the declaration says of settings, by their names. Flags and the environment come before it.
    pub settings: Vec<(&'static str, String)>,
}
impl Declared {
    /// What the tables are, without how their columns are read.
    pub fn source_tables(&self) -> Vec<SourceTable> {
        self.tables.iter().map(|table| table.source.clone()).collect()
    }
}
/// Services are told apart by their names.
impl PartialEq for Declared {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}
impl Eq for Declared {}
