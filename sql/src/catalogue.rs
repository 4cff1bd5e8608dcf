//! The tables that a view may be over.
use crate::{
    file::{folded, parts},
    problem::{Place, Problem},
    types::{EnumType, Kind, SqlType},
};
use sqlparser::ast::{
    self, ArrayElemTypeDef, CharacterLength, ColumnOption, CreateTable, DataType, ExactNumberInfo,
    Expr, ObjectName, TableConstraint, TimezoneInfo, UserDefinedTypeRepresentation,
};
use std::{collections::HashSet, sync::Arc};

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub sql_type: SqlType,
    /// Declared `not null`, or part of the primary key.
    pub not_null: bool,
    /// Declared `collate "C"`: ordered by its bytes.
    pub is_c: bool,
}

/// A table of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub schema: String,
    pub name: String,
    /// In the order in which `select *` has them.
    pub columns: Vec<Column>,
    /// The places of the primary key's columns, in the key's order; empty: it has none.
    pub key: Vec<usize>,
}
impl Table {
    /// The place of the column of this name.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }
}

/// The tables that are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogue {
    tables: Vec<Table>,
}
impl Catalogue {
    /// The tables, in the order in which they were added.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// Adds a table.
    ///
    /// # Errors
    /// If there is one of this name in this schema, with `place` as the place of the mistake.
    pub fn add(&mut self, table: Table, place: Place) -> Result<(), Problem> {
        let is_same = |known: &&Table| known.name == table.name && known.schema == table.schema;
        if let Some(known) = self.tables.iter().find(is_same) {
            let what = format!("a second table {}.{}", known.schema, known.name);
            return Err(Problem::new(place, what));
        }
        self.tables.push(table);
        Ok(())
    }

    /// The place of a table that is named with or without its schema; without one, the schema `public` comes first.
    pub(crate) fn find(&self, name: &[String], place: Place) -> Result<usize, Problem> {
        let found = match name {
            [name] => {
                let of_name = |schema: Option<&str>| {
                    self.tables.iter().position(|table| {
                        table.name == *name && schema.is_none_or(|schema| table.schema == schema)
                    })
                };
                let is_one = self.tables.iter().filter(|table| table.name == *name).count() == 1;
                of_name(Some("public")).or_else(|| if is_one { of_name(None) } else { None })
            }
            [schema, name] => {
                self.tables.iter().position(|table| table.name == *name && table.schema == *schema)
            }
            _ => None,
        };
        found.ok_or_else(|| {
            let last = name.last().map_or("", String::as_str);
            Problem::new(place, format!("there is no table {}", name.join(".")))
                .near(last, self.tables.iter().map(|table| table.name.as_str()))
        })
    }
}

/// What a `create table` statement declares.
pub(crate) fn table_of(
    create: &CreateTable,
    enums: &[Arc<EnumType>],
    place: Place,
) -> Result<Table, Problem> {
    if create.query.is_some()
        || create.like.is_some()
        || create.clone.is_some()
        || create.inherits.is_some()
    {
        return Err(Problem::new(place, "a table's columns stand in its own statement")
            .instead("write create table NAME (COLUMN TYPE, ..., primary key (COLUMN))"));
    }
    let mut name = parts(&create.name, place)?;
    let (Some(table_name), schema, true) = (name.pop(), name.pop(), name.is_empty()) else {
        return Err(Problem::new(place, format!("{} is no name of a table", create.name)));
    };
    let mut columns = Vec::with_capacity(create.columns.len());
    let mut names = HashSet::new();
    let mut keys = Vec::new();
    for column in &create.columns {
        let at = Place::of_span(column.name.span).unwrap_or(place);
        let name = folded(&column.name);
        if !names.insert(name.clone()) {
            return Err(Problem::new(at, format!("a second column {name}")));
        }
        let sql_type = column_type(&column.data_type, enums, at)?;
        let (mut not_null, mut is_c) = (false, false);
        for option in &column.options {
            match &option.option {
                ColumnOption::NotNull => not_null = true,
                ColumnOption::PrimaryKey(_) => {
                    not_null = true;
                    keys.push(vec![name.clone()]);
                }
                ColumnOption::Collation(collation) => is_c = is_collation_c(collation),
                // What values there may be is the source's affair.
                _ => {}
            }
        }
        columns.push(Column { name, sql_type, not_null, is_c });
    }
    for constraint in &create.constraints {
        if let TableConstraint::PrimaryKey(key) = constraint {
            let column = |column: &ast::IndexColumn| match &column.column.expr {
                Expr::Identifier(name) => Ok(folded(name)),
                other => Err(Problem::new(place, format!("{other} is no column of a key"))),
            };
            keys.push(key.columns.iter().map(column).collect::<Result<_, _>>()?);
        }
    }
    let schema = schema.unwrap_or_else(|| "public".into());
    let mut table = Table { schema, name: table_name, columns, key: Vec::new() };
    let mut keys = keys.into_iter();
    for name in keys.next().unwrap_or_default() {
        let Some(at) = table.column(&name) else {
            return Err(Problem::new(
                place,
                format!("the key names a column {name} that is not there"),
            )
            .near(&name, table.columns.iter().map(|column| column.name.as_str())));
        };
        table.columns[at].not_null = true;
        table.key.push(at);
    }
    match keys.next() {
        Some(_) => Err(Problem::new(place, format!("{} has two primary keys", table.name))),
        None => Ok(table),
    }
}

/// The type of a column. One that is not known harms nobody who does not look at it.
fn column_type(
    data_type: &DataType,
    enums: &[Arc<EnumType>],
    place: Place,
) -> Result<SqlType, Problem> {
    match data_type {
        // The source has cut its values already.
        DataType::Timestamp(Some(0..=6), zone) => {
            type_of(&DataType::Timestamp(None, *zone), enums, place)
        }
        DataType::Numeric(_) | DataType::Decimal(_) | DataType::Dec(_) => {
            type_of(data_type, enums, place)
        }
        other => Ok(type_of(other, enums, place)
            .ok()
            .filter(|known| known.kind() != Kind::Interval)
            .unwrap_or_else(|| SqlType::Other(other.to_string().to_ascii_lowercase().into()))),
    }
}

/// What is wrong with looking at a column of a type that is not known.
pub(crate) fn check_known(name: &str, sql_type: &SqlType, place: Place) -> Result<(), Problem> {
    match sql_type {
        SqlType::Other(of) => {
            Err(Problem::new(place, format!("{name} is of type {of}, which is not known here"))
                .near(of, TYPES))
        }
        _ => Ok(()),
    }
}

/// Whether this is the collation that orders by bytes.
pub(crate) fn is_collation_c(collation: &ObjectName) -> bool {
    let last = collation.0.last().and_then(|part| part.as_ident());
    last.is_some_and(|name| matches!(folded(name).as_str(), "C" | "POSIX" | "ucs_basic"))
}

pub(crate) fn enum_of(
    name: &ObjectName,
    representation: Option<UserDefinedTypeRepresentation>,
    place: Place,
) -> Result<Arc<EnumType>, Problem> {
    let Some(UserDefinedTypeRepresentation::Enum { labels }) = representation else {
        return Err(Problem::new(place, format!("the type {name} is no enum"))
            .instead("a file declares types with create type NAME as enum ('LABEL', ...)"));
    };
    let Some(name) = parts(name, place)?.pop() else {
        return Err(Problem::new(place, "a type needs a name"));
    };
    let labels = labels.into_iter().map(|label| label.value).collect();
    Ok(Arc::new(EnumType { name, labels }))
}

/// The type that this text of SQL means.
pub(crate) fn type_of(
    data_type: &DataType,
    enums: &[Arc<EnumType>],
    place: Place,
) -> Result<SqlType, Problem> {
    use Kind::{Bool, Bytea, Date, Float4, Float8, Int2, Int4, Int8, Json, Jsonb, Text, Uuid};
    let plain = |kind: Kind| Ok(SqlType::Plain(kind));
    match data_type {
        DataType::Int2(None) | DataType::SmallInt(None) => plain(Int2),
        DataType::Int(None) | DataType::Int4(None) | DataType::Integer(None) => plain(Int4),
        DataType::Int8(None) | DataType::BigInt(None) => plain(Int8),
        DataType::Numeric(info) | DataType::Decimal(info) | DataType::Dec(info) => {
            numeric(*info, place)
        }
        DataType::Real | DataType::Float4 => plain(Float4),
        DataType::DoublePrecision | DataType::Float8 => plain(Float8),
        DataType::Float(ExactNumberInfo::None) => plain(Float8),
        DataType::Text => plain(Text),
        DataType::Varchar(length)
        | DataType::CharacterVarying(length)
        | DataType::CharVarying(length) => match characters(length.as_ref(), place)? {
            Some(length) => Ok(SqlType::Varchar(length)),
            None => plain(Kind::Varchar),
        },
        DataType::Char(length) | DataType::Character(length) => {
            Ok(SqlType::Bpchar(characters(length.as_ref(), place)?.unwrap_or(1)))
        }
        DataType::Bool | DataType::Boolean => plain(Bool),
        DataType::Date => plain(Date),
        DataType::Timestamp(None, zone) => plain(match zone {
            TimezoneInfo::None | TimezoneInfo::WithoutTimeZone => Kind::Timestamp,
            TimezoneInfo::WithTimeZone | TimezoneInfo::Tz => Kind::Timestamptz,
        }),
        DataType::Interval { fields: None, precision: None } => plain(Kind::Interval),
        DataType::Uuid => plain(Uuid),
        DataType::Bytea => plain(Bytea),
        DataType::JSON => plain(Json),
        DataType::JSONB => plain(Jsonb),
        DataType::Array(ArrayElemTypeDef::SquareBracket(of, _)) => {
            match type_of(of, enums, place)?.kind() {
                Kind::Text | Kind::Varchar => plain(Kind::TextArray),
                other => Err(Problem::new(place, format!("arrays of {other} are not known here"))
                    .instead("arrays of text are")),
            }
        }
        DataType::Custom(name, modifiers) => custom(name, modifiers, enums, place),
        other => Err(not_known(&other.to_string(), place)),
    }
}

/// The words of types that may be written.
const TYPES: [&str; 26] = [
    "smallint",
    "int2",
    "integer",
    "int",
    "int4",
    "bigint",
    "int8",
    "numeric",
    "decimal",
    "real",
    "float4",
    "double precision",
    "float8",
    "text",
    "varchar",
    "char",
    "boolean",
    "bool",
    "date",
    "timestamp",
    "timestamptz",
    "uuid",
    "bytea",
    "json",
    "jsonb",
    "text[]",
];

fn not_known(name: &str, place: Place) -> Problem {
    let name = name.to_ascii_lowercase();
    Problem::new(place, format!("the type {name} is not known here")).near(&name, TYPES)
}

fn custom(
    name: &ObjectName,
    modifiers: &[ast::TypeModifier],
    enums: &[Arc<EnumType>],
    place: Place,
) -> Result<SqlType, Problem> {
    let last = parts(name, place)?.pop().unwrap_or_default();
    if let Some(of) = enums.iter().find(|of| of.name == last) {
        return Ok(SqlType::Enum(Arc::clone(of)));
    }
    let serial = match last.as_str() {
        "smallserial" | "serial2" => Some(Kind::Int2),
        "serial" | "serial4" => Some(Kind::Int4),
        "bigserial" | "serial8" => Some(Kind::Int8),
        "bpchar" if modifiers.is_empty() => Some(Kind::Bpchar),
        "timestamptz" if modifiers.is_empty() => Some(Kind::Timestamptz),
        _ => None,
    };
    serial.map(SqlType::Plain).ok_or_else(|| not_known(&last, place))
}

fn numeric(info: ExactNumberInfo, place: Place) -> Result<SqlType, Problem> {
    const PRECISION_MAX: u64 = 1_000;
    let (precision, scale) = match info {
        ExactNumberInfo::None => return Ok(SqlType::Plain(Kind::Numeric)),
        ExactNumberInfo::Precision(precision) => (precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (precision, scale),
    };
    let wrong = || {
        Problem::new(place, format!("numeric({precision},{scale}) is no type"))
            .instead("a precision is 1 to 1000, a scale -1000 to 1000")
    };
    if !(1..=PRECISION_MAX).contains(&precision) || !(-1_000..=1_000).contains(&scale) {
        return Err(wrong());
    }
    let precision = u16::try_from(precision).map_err(|_| wrong())?;
    let scale = i16::try_from(scale).map_err(|_| wrong())?;
    Ok(SqlType::Numeric { precision, scale })
}

fn characters(length: Option<&CharacterLength>, place: Place) -> Result<Option<u32>, Problem> {
    const LENGTH_MAX: u32 = 10_485_760;
    match length {
        None => Ok(None),
        Some(CharacterLength::IntegerLength { length, unit: None }) => {
            let length = u32::try_from(*length).ok().filter(|n| (1..=LENGTH_MAX).contains(n));
            let wrong = || Problem::new(place, format!("a length is 1 to {LENGTH_MAX}"));
            length.map(Some).ok_or_else(wrong)
        }
        Some(other) => Err(Problem::new(place, format!("{other} is no length of a text"))),
    }
}
