//! A table of the source, declared once by the handler that reads it. The engine, the settings, `cdc doctor`, `cdc verify`
//! and `cdc dlq` take the table's name, key, columns and topic from this declaration.
//!
//! This is also the place that says how a topic is named after its table: [`of_topic`], [`before_name`]. Where no table
//! is known, [`sinks::state::table_of`] tells its name.
use debezium::{Field, FieldError, Row};
use sinks::{Cell, Float, List, Type};

/// What a column's values are, whatever its exact type at the source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceType {
    /// A whole number of at most 64 bits (`smallint`, `integer`, `bigint`).
    Int,
    /// Characters.
    Text,
    /// A decimal of any scale (`numeric`), or what is read as one.
    Decimal,
    /// A moment (`timestamp`, `timestamptz`, `date`).
    Time,
    /// `boolean`.
    Bool,
    /// A floating-point number (`real`, `double precision`). A `numeric` is none: its digits would be lost.
    Float,
    /// A day of the calendar (`date`).
    Date,
    /// `uuid`: equal in upper and lower case.
    Uuid,
    /// A string of bytes (`bytea`).
    Bytes,
    /// The text of a JSON value (`json`, `jsonb`), kept as it is sent.
    Json,
    /// A list of texts, of one dimension (`text[]`, `varchar[]`, `uuid[]`, arrays of an enum).
    List,
}

impl SourceType {
    /// The type of the cells that its values become.
    pub const fn cell_type(self) -> Type {
        match self {
            Self::Int => Type::Int,
            Self::Text => Type::Text,
            Self::Decimal => Type::Decimal,
            Self::Time => Type::Time,
            Self::Bool => Type::Bool,
            Self::Float => Type::Float,
            Self::Date => Type::Date,
            Self::Uuid => Type::Uuid,
            Self::Bytes => Type::Bytes,
            Self::Json => Type::Json,
            Self::List => Type::List,
        }
    }

    /// The one whose cells are of this type. `None`: no column's values become such cells.
    pub fn of_cells(kind: Type) -> Option<Self> {
        const ALL: [SourceType; 11] = [
            SourceType::Int,
            SourceType::Text,
            SourceType::Decimal,
            SourceType::Time,
            SourceType::Bool,
            SourceType::Float,
            SourceType::Date,
            SourceType::Uuid,
            SourceType::Bytes,
            SourceType::Json,
            SourceType::List,
        ];
        ALL.into_iter().find(|one| one.cell_type() == kind)
    }

    /// Whether PostgreSQL may keep a value beside its row (TOAST), and then not send it with a change of other columns.
    pub fn may_be_unsent(self) -> bool {
        match self {
            Self::Text | Self::Decimal | Self::Bytes | Self::Json | Self::List => true,
            Self::Int | Self::Time | Self::Bool | Self::Float | Self::Date | Self::Uuid => false,
        }
    }

    /// The value of a column of a key: equal keys are equal cells, however they are written. `None`: an infinite time or
    /// date, which no key has.
    pub(crate) fn key_cell(self, field: &Field<'_>) -> Result<Option<Cell>, FieldError> {
        Ok(Some(match self {
            Self::Int => Cell::Int(field.int()?),
            Self::Text => Cell::Text(field.text()?.into_owned()),
            Self::Decimal => Cell::Decimal(field.decimal()?.normalized()),
            Self::Time => return Ok(field.instant()?.finite_us().map(Cell::Time)),
            Self::Bool => Cell::Bool(field.boolean()?),
            Self::Float => Cell::Float(Float::new(field.float()?).canonical()),
            Self::Date => return Ok(field.date()?.map(Cell::Date)),
            Self::Uuid => Cell::Uuid(field.uuid()?),
            Self::Bytes => Cell::Bytes(field.bytes()?),
            Self::Json => Cell::Json(field.json_text()?.into_owned()),
            Self::List => Cell::List(List(field.texts()?)),
        }))
    }

    /// What a column of a key says: one text for equal values, however they are written, and another for all others. A
    /// number is the same as number, as text and as bytes; a text is itself, and `1.0` another than `1`.
    pub(crate) fn identity(self, field: &Field<'_>) -> Result<String, FieldError> {
        match self.key_cell(field) {
            Ok(Some(Cell::Time(us))) => Ok(us.to_string()),
            Ok(Some(cell)) => Ok(cell.to_string()),
            // Of another type than declared, or infinite: what was sent.
            Ok(None) | Err(_) => Ok(field.nullable(Field::json)?.unwrap_or("null").to_owned()),
        }
    }
}

/// A column that a handler reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceColumn {
    /// What this program calls the column, in the setting of renamed columns and in the SQL of views.
    pub alias: &'static str,
    /// What the source calls it.
    pub name: String,
    /// What its values are. Every column beside the key may be NULL.
    pub kind: SourceType,
}
/// The column's name at the source, as [`debezium::Row::values`] looks for it.
impl AsRef<str> for SourceColumn {
    fn as_ref(&self) -> &str {
        &self.name
    }
}

/// A table of the source that a handler reads.
///
/// ```
/// use consumers::source_table::{self, SourceTable, SourceType};
///
/// let customers = SourceTable::new("customers", 'c')
///     .key("id", SourceType::Int)
///     .column("country", SourceType::Text)
///     .column_named("since", "created_at", SourceType::Time)
///     .in_topic("shop.sales.customers");
/// assert_eq!(customers.full_name(), "sales.customers");
/// let tables = [customers];
/// assert!(source_table::of_topic(&tables, "shop.sales.customers").is_some());
/// assert!(source_table::of_topic(&tables, "shop.public.customers").is_none());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceTable {
    /// What this program calls the table, in the names of settings (`--order-items-topic` is that of `order_items`) and
    /// in the SQL of views. Unique within the handler.
    pub alias: &'static str,
    /// The schema that the topic's name says, `public` where it says none.
    pub schema: String,
    /// What the source calls the table, without its schema: what Debezium puts into `source.table`.
    pub name: String,
    /// See [`SourceTable::topic`].
    topic: Option<String>,
    /// Names the table's partitions in what is stored (`p0`, `o63`): unique within the handler, and never another one
    /// for the same table, or stored positions are taken for those of other partitions.
    pub tag: char,
    /// The primary key's columns.
    pub key: Vec<SourceColumn>,
    /// All other columns that the views show or count: what is checked at the source, and worth a warning where the
    /// connector's settings alter it.
    pub columns: Vec<SourceColumn>,
}
impl SourceTable {
    /// A table without key and columns yet, which the source calls by the same name.
    pub fn new(alias: &'static str, tag: char) -> Self {
        Self {
            alias,
            schema: DEFAULT_SCHEMA.to_owned(),
            name: alias.to_owned(),
            topic: None,
            tag,
            key: Vec::new(),
            columns: Vec::new(),
        }
    }

    /// The source calls the table by this name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// A column of the primary key.
    #[must_use]
    pub fn key(self, name: &'static str, kind: SourceType) -> Self {
        self.key_named(name, name, kind)
    }

    /// A column of the primary key that the source calls `name`.
    #[must_use]
    pub fn key_named(mut self, alias: &'static str, name: &str, kind: SourceType) -> Self {
        self.key.push(SourceColumn { alias, name: name.to_owned(), kind });
        self
    }

    /// A column beside the key.
    #[must_use]
    pub fn column(self, name: &'static str, kind: SourceType) -> Self {
        self.column_named(name, name, kind)
    }

    /// A column beside the key that the source calls `name`.
    #[must_use]
    pub fn column_named(mut self, alias: &'static str, name: &str, kind: SourceType) -> Self {
        self.columns.push(SourceColumn { alias, name: name.to_owned(), kind });
        self
    }

    /// Sets the topic of the table's changes. It also says the table's schema: `sales` in `shop.sales.orders`.
    #[must_use]
    pub fn in_topic(mut self, topic: &str) -> Self {
        self.topic = Some(topic.to_owned());
        let before = before_name(topic, &self.name).unwrap_or_default();
        let before = before.strip_suffix('.').unwrap_or_default();
        let last = before.rsplit('.').next().unwrap_or_default();
        let schema = if last.is_empty() { DEFAULT_SCHEMA } else { last };
        schema.clone_into(&mut self.schema);
        self
    }

    /// The topic of the table's changes: the one that was set, or else a topic that is called as the table.
    pub fn topic(&self) -> &str {
        self.topic.as_deref().unwrap_or(&self.name)
    }

    /// Whether the table's changes are in this topic: it is the one that was set, or, where none was set, one that is
    /// named after the table.
    pub fn is_in(&self, topic: &str) -> bool {
        match &self.topic {
            Some(set) => set == topic,
            None => before_name(topic, &self.name).is_some(),
        }
    }

    /// `schema.name`, as people write it.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// The names of the primary key's columns at the source, separated by commas.
    pub fn key_names(&self) -> String {
        self.key.iter().map(SourceColumn::as_ref).collect::<Vec<_>>().join(", ")
    }

    /// Whether the source calls a column of the primary key so.
    pub fn has_key_column(&self, name: &str) -> bool {
        self.key.iter().any(|column| column.name == name)
    }

    /// Where the primary key is, as people write it: `orders.id`, `lines (order, n)`.
    pub(crate) fn key_place(&self) -> String {
        match self.key.as_slice() {
            [only] => format!("{}.{}", self.name, only.name),
            _ => format!("{} ({})", self.name, self.key_names()),
        }
    }

    /// A row's primary key as its columns say it, in their declared order: equal for equal keys, however they are
    /// written. `None`: a column is missing.
    pub(crate) fn identity(&self, row: &Row<'_>) -> Result<Option<Vec<String>>, FieldError> {
        identity(&self.key, row)
    }

    /// Every column that is read, those of the key first.
    pub fn all_columns(&self) -> impl Iterator<Item = &SourceColumn> {
        self.key.iter().chain(&self.columns)
    }
}

/// What these columns of a key say of a row; `None`: one is missing.
pub(crate) fn identity(
    key: &[SourceColumn],
    row: &Row<'_>,
) -> Result<Option<Vec<String>>, FieldError> {
    let fields = row.values(key)?;
    if fields.iter().any(Field::is_missing) {
        return Ok(None);
    }
    let texts = key.iter().zip(&fields).map(|(column, field)| column.kind.identity(field));
    texts.collect::<Result<_, _>>().map(Some)
}

/// PostgreSQL's own default.
const DEFAULT_SCHEMA: &str = "public";

/// What a topic's name says before the name of this table, with the dot at its end: `shop.public.` of
/// `shop.public.orders` and the table `orders`. `None`: it is no topic of the table, for it is not called as the table
/// and does not end with a dot and the table's name.
pub fn before_name<'t>(topic: &'t str, table: &str) -> Option<&'t str> {
    topic.strip_suffix(table).filter(|before| before.is_empty() || before.ends_with('.'))
}

/// The table whose changes are in this topic. `None`: it is none of these.
pub fn of_topic<'t>(tables: &'t [SourceTable], topic: &str) -> Option<&'t SourceTable> {
    let fitting = tables.iter().filter(|table| table.is_in(topic));
    // Names of tables may have dots: `p.old.orders` is of `old.orders` rather than of `orders`.
    fitting.max_by_key(|table| table.name.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables() -> [SourceTable; 3] {
        [("orders", 'o'), ("old.orders", 'a'), ("lines", 'l')]
            .map(|(alias, tag)| SourceTable::new(alias, tag))
    }

    #[test]
    fn a_topic_is_named_after_its_table() {
        let tables = tables();
        let of = |topic: &str| of_topic(&tables, topic).map(|table| table.alias);
        assert_eq!(of("orders"), Some("orders"));
        assert_eq!(of("shop.public.orders"), Some("orders"));
        assert_eq!(of("shop.public.old.orders"), Some("old.orders"), "the longest name");
        for other in ["shop.public.reorders", "shop.public.orders.dlq", "Orders", "", "shop."] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn a_topic_that_was_set_is_the_only_one() {
        let tables = tables().map(|table| {
            let topic = format!("shop.public.{}", table.name);
            table.in_topic(&topic)
        });
        let of = |topic: &str| of_topic(&tables, topic).map(|table| table.alias);
        assert_eq!(of("shop.public.orders"), Some("orders"));
        assert_eq!(of("shop.public.old.orders"), Some("old.orders"));
        assert_eq!((of("orders"), of("other.public.orders")), (None, None));
    }

    #[test]
    fn a_topic_says_the_schema() {
        let schema = |topic: &str| SourceTable::new("orders", 'o').in_topic(topic).schema;
        assert_eq!(schema("shop.sales.orders"), "sales");
        assert_eq!(schema("sales.orders"), "sales");
        assert_eq!(schema("orders"), "public");
        assert_eq!(schema(".orders"), "public");
    }

    #[test]
    fn columns_are_the_key_and_the_others_by_the_names_of_the_source() {
        let table = SourceTable::new("lines", 'l')
            .named("positions")
            .key_named("order_id", "order", SourceType::Int)
            .key("n", SourceType::Int)
            .column_named("price", "cost", SourceType::Decimal);
        assert_eq!((table.topic(), &*table.full_name()), ("positions", "public.positions"));
        assert_eq!(table.key_names(), "order, n");
        assert_eq!(table.key_place(), "positions (order, n)");
        let narrow = SourceTable::new("orders", 'o').key("id", SourceType::Int);
        assert_eq!(narrow.key_place(), "orders.id");
        assert!(table.has_key_column("order") && !table.has_key_column("order_id"));
        let names: Vec<&str> = table.all_columns().map(AsRef::as_ref).collect();
        assert_eq!(names, ["order", "n", "cost"]);
    }
}
