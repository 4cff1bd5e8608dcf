//! What records show of the connector's settings, said once for each topic and column: `cdc doctor` sees the settings,
//! a service and whoever reads files see only this.
use super::{Action, Engine};
use crate::{
    handler::Handler,
    source::Record,
    source_table::{SourceColumn, SourceType},
};
use debezium::{Change, Doubt, DoubtKind};
use std::collections::BTreeMap;

/// What was said, or need not be, of each topic.
#[derive(Debug, Default)]
pub(super) struct Notices(BTreeMap<String, Vec<(String, DoubtKind)>>);
impl Notices {
    /// Whether this is the moment to say it: the column is one that is read, and the record bears the doubt out.
    fn is_due(
        &mut self,
        topic: &str,
        doubt: &Doubt,
        change: &Change<'_>,
        is_read: impl FnOnce() -> bool,
    ) -> bool {
        let settled = self.0.get(topic).map(Vec::as_slice).unwrap_or_default();
        if settled.iter().any(|(column, kind)| *kind == doubt.kind && *column == doubt.column) {
            return false;
        }
        let said = if is_read() { change.bears_out(doubt) } else { Some(false) };
        if said.is_some() {
            let settled = self.0.entry(topic.to_owned()).or_default();
            settled.push((doubt.column.clone(), doubt.kind));
        }
        said == Some(true)
    }
}

impl<H: Handler> Engine<H> {
    /// Warns of what this record's schema and row leave in doubt.
    pub(super) fn notice(&mut self, record: &Record<'_>, change: &Change<'_>) {
        for doubt in change.doubts.list() {
            let (topic, table) = (&record.partition.topic, &change.source.table);
            let lane = self.lanes.get(record.partition);
            let is_read = || {
                let columns = lane.into_iter().flat_map(|lane| &lane.table.columns);
                columns.into_iter().any(|column| is_doubtful(column, doubt))
            };
            if self.notices.is_due(topic, doubt, change, is_read) {
                let (found, fix) = said(doubt.kind);
                let text = format!(
                    "{}, offset {}: {table}.{} {found}: {fix}",
                    record.partition, record.offset, doubt.column
                );
                self.actions.push_back(Action::Warn(text));
            }
        }
    }
}

/// Whether the doubt is one about this column: what is read as a floating-point number loses nothing as one.
pub fn is_doubtful(column: &SourceColumn, doubt: &Doubt) -> bool {
    let is_float = column.kind == SourceType::Float && doubt.kind == DoubtKind::Floating;
    column.name == doubt.column && !is_float
}

/// Of a column whose record bears the doubt out: what it may mean, and what to do.
pub fn said(kind: DoubtKind) -> (&'static str, &'static str) {
    match kind {
        DoubtKind::NullOrDefault => (
            "may be NULL and has a default, which is what is sent here: Kafka Connect's JsonConverter writes the default \
             where NULL stands, unless it is told otherwise",
            "if the connector does not have value.converter.replace.null.with.default=false beside value.converter, set \
             it (Kafka 3.5 or later), take a new snapshot, and start with a new GENERATION",
        ),
        DoubtKind::Floating => (
            "is sent as a floating-point number: if the column is numeric, decimal.handling.mode=double rounds it \
             before it is sent",
            "then set decimal.handling.mode=string (or precise, with schemas) in the connector, take a new snapshot, and \
             start with a new GENERATION",
        ),
        DoubtKind::Milliseconds => (
            "is sent in milliseconds (time.precision.mode=connect): what the column has below them is cut",
            "leave time.precision.mode out of the connector, take a new snapshot, and start with a new GENERATION",
        ),
    }
}
