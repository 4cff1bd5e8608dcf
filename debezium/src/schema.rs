//! Kafka Connect schemas: read once, then recognised by their bytes.
use crate::{
    Doubt, Format, ParseError, format,
    value::{self, PLACEHOLDER},
};
use foldhash::fast::RandomState;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{collections::HashMap, sync::Arc};

/// What is known of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No schema, nothing configured.
    Unknown,
    Is(Format),
    Text,
    Bytes,
    /// Base64 of a decimal whose scale the schema fails to give.
    NoScale,
    /// `{"scale","value"}`.
    VariableScale,
    /// A time of day or a duration: no instant.
    NoInstant,
    /// A floating-point number of 32 bits.
    Single,
    /// An array of texts.
    Texts,
    /// Whatever the JSON says: other numbers, booleans, arrays, structs.
    Plain,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Column {
    name: String,
    pub(crate) kind: Kind,
    /// What the connector says that it sends for an unchanged TOAST value.
    pub(crate) placeholder: Option<Arc<str>>,
}

/// The columns of a row, in the schema's order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Columns(Vec<Column>);
impl Columns {
    /// Rows list their columns in the schema's order, so the column is nearly always where the row has it.
    pub(crate) fn find(&self, name: &str, at: usize) -> Option<&Column> {
        let named = |column: &&Column| column.name == name;
        self.0.get(at).filter(named).or_else(|| self.0.iter().find(named))
    }
}

/// What matters of a record's schema.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    /// Of the struct itself: what a key needs.
    pub(crate) own: Arc<Columns>,
    pub(crate) before: Arc<Columns>,
    pub(crate) after: Arc<Columns>,
    /// Of the columns of `after`.
    pub(crate) doubts: Vec<Doubt>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Field {
    field: Option<String>,
    r#type: Option<String>,
    name: Option<String>,
    parameters: Option<Parameters>,
    fields: Option<Vec<Field>>,
    /// Of an array.
    items: Option<Box<Field>>,
    optional: bool,
    default: Option<Box<RawValue>>,
}
#[derive(Deserialize, Default)]
#[serde(default)]
struct Parameters {
    scale: Option<String>,
    #[serde(rename = "__debezium.unavailable.value.placeholder")]
    placeholder: Option<String>,
}

impl Schema {
    pub(crate) fn read(json: &str) -> Result<Self, ParseError> {
        let schema: Option<Field> =
            serde_json::from_str(json).map_err(|_| ParseError::WrongType("schema"))?;
        let fields = schema.and_then(|schema| schema.fields).unwrap_or_default();
        let image = |name: &str| fields.iter().find(|f| f.field.as_deref() == Some(name));
        let before = columns(image("before"));
        let after = columns(image("after"));
        let shared = Arc::new(after);
        Ok(Self {
            own: Arc::new(Columns(fields.iter().filter_map(column).collect())),
            before: if before == *shared { Arc::clone(&shared) } else { Arc::new(before) },
            after: shared,
            doubts: doubts(image("after")),
        })
    }
}

fn columns(image: Option<&Field>) -> Columns {
    let fields = image.and_then(|image| image.fields.as_deref()).unwrap_or_default();
    Columns(fields.iter().filter_map(column).collect())
}

fn doubts(image: Option<&Field>) -> Vec<Doubt> {
    let fields = image.and_then(|image| image.fields.as_deref()).unwrap_or_default();
    let of = |field: &Field| {
        let default = field.default.as_deref().filter(|_| field.optional).map(RawValue::get);
        let (name, kind_of) = (field.name.as_deref(), field.r#type.as_deref());
        let column = field.field.as_deref().unwrap_or_default();
        Doubt::of(column, kind_of, name, kind(field), default).collect::<Vec<_>>()
    };
    fields.iter().flat_map(of).collect()
}

fn column(field: &Field) -> Option<Column> {
    let said = field.parameters.as_ref().and_then(|p| p.placeholder.as_deref());
    let placeholder = said.and_then(value::placeholder).filter(|said| **said != *PLACEHOLDER);
    Some(Column { name: field.field.clone()?, kind: kind(field), placeholder })
}

fn kind(field: &Field) -> Kind {
    let name = field.name.as_deref().unwrap_or_default();
    match name {
        "org.apache.kafka.connect.data.Decimal" => {
            let scale = field.parameters.as_ref().and_then(|p| p.scale.as_deref());
            match scale.and_then(format::parse_scale) {
                Some(scale) => Kind::Is(Format::DecimalBytes { scale }),
                None => Kind::NoScale,
            }
        }
        "io.debezium.data.VariableScaleDecimal" => Kind::VariableScale,
        "io.debezium.time.Timestamp" | "org.apache.kafka.connect.data.Timestamp" => {
            Kind::Is(Format::Millis)
        }
        "io.debezium.time.MicroTimestamp" => Kind::Is(Format::Micros),
        "io.debezium.time.NanoTimestamp" => Kind::Is(Format::Nanos),
        "io.debezium.time.Date" | "org.apache.kafka.connect.data.Date" => Kind::Is(Format::Days),
        "io.debezium.time.ZonedTimestamp"
        | "io.debezium.time.IsoTimestamp"
        | "io.debezium.time.IsoDate" => Kind::Is(Format::Iso),
        "org.apache.kafka.connect.data.Time" => Kind::NoInstant,
        _ if name.starts_with("io.debezium.time.") => Kind::NoInstant,
        _ => match field.r#type.as_deref() {
            Some("string") => Kind::Text,
            Some("bytes") => Kind::Bytes,
            Some("float") => Kind::Single,
            Some("array") if field.items.as_deref().map(kind) == Some(Kind::Text) => Kind::Texts,
            _ => Kind::Plain,
        },
    }
}

/// Which half of a record a schema is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Key,
    Value,
}

#[derive(Debug)]
struct Seen {
    part: Part,
    /// `{"schema":...,"payload":`, byte for byte.
    start: Box<[u8]>,
    schema: Arc<Schema>,
}

/// The last schemas of each topic.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    topics: HashMap<String, Vec<Seen>, RandomState>,
    bytes: usize,
}

const OPENING: &str = "{\"schema\":";
const TURN: &str = ",\"payload\":";
const TOPICS_MAX: usize = 1_000;
/// A key's and a value's, before and after a change; or a few tables in one topic.
const SCHEMAS_PER_TOPIC_MAX: usize = 8;
const SCHEMA_BYTES_MAX: usize = 1 << 20;
const BYTES_MAX: usize = 32 << 20;

impl Cache {
    /// The schema that this record begins with, and how many bytes of it need not be looked at.
    pub(crate) fn find(
        &mut self,
        topic: &str,
        part: Part,
        json: &[u8],
    ) -> Option<(Arc<Schema>, usize)> {
        if !json.starts_with(OPENING.as_bytes()) {
            return None;
        }
        let known = self.topics.get_mut(topic)?;
        let at = known.iter().position(|s| s.part == part && json.starts_with(&s.start))?;
        // The one used last in front of those not used: the last falls out first.
        known[..=at].rotate_right(1);
        let seen = &known[0];
        Some((Arc::clone(&seen.schema), seen.start.len()))
    }

    /// Remembers the schema of a record that was read whole, if the record has it in front.
    pub(crate) fn keep(
        &mut self,
        topic: &str,
        part: Part,
        record: &[u8],
        schema_json: &str,
        schema: &Arc<Schema>,
    ) {
        let end = OPENING.len() + schema_json.len() + TURN.len();
        let rest = record
            .strip_prefix(OPENING.as_bytes())
            .and_then(|rest| rest.strip_prefix(schema_json.as_bytes()));
        if end > SCHEMA_BYTES_MAX || !rest.is_some_and(|rest| rest.starts_with(TURN.as_bytes())) {
            return;
        }
        let is_new = !self.topics.contains_key(topic);
        if self.bytes + end > BYTES_MAX || (is_new && self.topics.len() >= TOPICS_MAX) {
            self.topics.clear();
            self.bytes = 0;
        }
        let known = self.topics.entry(topic.to_owned()).or_default();
        if known.len() >= SCHEMAS_PER_TOPIC_MAX
            && let Some(oldest) = known.pop()
        {
            self.bytes -= oldest.start.len();
        }
        self.bytes += end;
        let start = record[..end].into();
        known.insert(0, Seen { part, start, schema: Arc::clone(schema) });
    }
}
