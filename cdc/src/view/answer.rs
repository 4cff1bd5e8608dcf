//! The select by which PostgreSQL computes a view: the user's own query, over tables that stand for those of the source.
use sql::{Catalogue, Kind, NormalForm, SqlType, TableUse, ViewText, quoted};

/// The select, over tables whose columns are those that the view reads, in the types that `cdc verify` sees them in: whole
/// numbers as `bigint`, times as `timestamptz` in UTC. Each is made a table with the columns and types that the view was
/// checked for.
///
/// # Errors
/// Why PostgreSQL cannot compute it.
pub fn answer(
    view: &ViewText,
    catalogue: &Catalogue,
    form: &NormalForm,
    tables: &[TableUse],
) -> Result<String, String> {
    let query = view.query();
    if form.columns.iter().any(|column| column.sql_type.kind() == Kind::Words)
        || query.contains("words(")
    {
        return Err("words() is no function of PostgreSQL".to_owned());
    }
    let mut declared = Vec::new();
    for used in tables {
        let table = &catalogue.tables()[used.table];
        let name = format!("{}.{}", table.schema, table.name).to_lowercase();
        if query.replace('"', "").to_lowercase().contains(&name) {
            return Err(format!(
                "write {} without its schema in the query: it is computed over another table of this name",
                table.name
            ));
        }
        let column = |(at, column): (usize, &sql::Column)| {
            let is_read = table.key.contains(&at) || used.columns.contains(&at);
            let name = quoted(&column.name);
            // Nobody looks at the value of what is not read, but at whether there is one.
            let value = match (is_read, column.not_null) {
                (true, _) => name.clone(),
                (false, true) => some(&column.sql_type),
                (false, false) => "null".to_owned(),
            };
            format!("{} as {name}", cast(&value, &column.sql_type))
        };
        let columns: Vec<String> = table.columns.iter().enumerate().map(column).collect();
        let name = quoted(&table.name);
        declared.push(format!("{name} as (select {} from {name})", columns.join(", ")));
    }
    let key = form.key.iter().filter_map(|at| form.columns.get(*at));
    let others = form.columns.iter().enumerate().filter(|(at, _)| !form.key.contains(at));
    let shown = key.clone().chain(others.map(|(_, column)| column));
    let shown: Vec<String> =
        shown.map(|column| shown_as(&quoted(&column.name), column.sql_type.kind())).collect();
    let order: Vec<String> =
        key.map(|column| ordered(&quoted(&column.name), column.sql_type.kind())).collect();
    Ok(format!(
        "select {}\nfrom (with {}\n  select * from ({query}) as \"of the view\") as v\norder by {}",
        shown.join(", "),
        declared.join(",\n  "),
        order.join(", ")
    ))
}

/// The value in the type that the table declares.
fn cast(value: &str, sql_type: &SqlType) -> String {
    match sql_type {
        SqlType::Plain(Kind::Timestamp) => format!("({value}::timestamptz at time zone 'UTC')"),
        // As text, since no view looks at it.
        SqlType::Other(_) | SqlType::Plain(Kind::Other) => format!("{value}::text"),
        SqlType::Enum(of) => format!("{value}::{}", quoted(&of.name)),
        other => format!("{value}::{other}"),
    }
}

/// Any value of the type.
fn some(sql_type: &SqlType) -> String {
    let text = match sql_type.kind() {
        Kind::Int2 | Kind::Int4 | Kind::Int8 | Kind::Numeric | Kind::Float4 | Kind::Float8 => "0",
        Kind::Bool => "false",
        Kind::Date | Kind::Timestamp | Kind::Timestamptz => "2000-01-01",
        Kind::Uuid => "00000000-0000-0000-0000-000000000000",
        Kind::Json | Kind::Jsonb | Kind::TextArray => "{}",
        _ => "",
    };
    match sql_type {
        SqlType::Enum(of) => {
            format!("'{}'", of.labels.first().map_or("", String::as_str).replace('\'', "''"))
        }
        _ => format!("'{text}'"),
    }
}

/// A shown column as the text that a cell is read from.
fn shown_as(name: &str, kind: Kind) -> String {
    match kind {
        Kind::Timestamp | Kind::Timestamptz => {
            format!("(extract(epoch from v.{name})::numeric * 1000000)::bigint::text")
        }
        Kind::TextArray => format!("to_json(v.{name})::text"),
        // A cast to text takes the blanks away.
        Kind::Bpchar => format!("case when v.{name} is not null then format('%s', v.{name}) end"),
        _ => format!("v.{name}::text"),
    }
}

/// A column of the key in the order in which cells are.
fn ordered(name: &str, kind: Kind) -> String {
    match kind {
        Kind::Text | Kind::Varchar | Kind::Bpchar | Kind::Enum => {
            format!("v.{name}::text collate \"C\"")
        }
        _ => format!("v.{name}"),
    }
}
