//! A view's file as a service that runs: its tables as they are read from change events, its options as settings.
use super::answer::answer;
use consumers::{
    declared::Declared,
    plan_handler::{Bound, Table},
    source_table::{SourceTable, SourceType},
};
use sql::{Catalogue, Column, Compiled, File, Kind, NormalForm, Problem, SqlType, TableUse};

/// The largest number of digits of a decimal, before and behind the point: whatever has more is a dead letter.
const DIGITS_MAX: u64 = 1_000;

/// The service that runs this view. It lives as long as the process.
///
/// # Errors
/// An option has a value that nobody can carry out, or there are more tables than the state can name.
pub fn declared(
    file: &File,
    catalogue: &Catalogue,
    form: &NormalForm,
    compiled: Compiled,
) -> Result<&'static Declared, Problem> {
    let view = &file.view;
    let Compiled { plan, tables, text } = compiled;
    let name = plan.view.name;
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)) {
        let what = format!("{name} is no name of a table in every store");
        return Err(Problem::new(view.place, what).instead("use letters, digits and _ alone"));
    }
    let mut settings = vec![("dynamodb-table", name.replace('_', "-"))];
    let mut topics = Vec::new();
    let mut sinks = 0;
    for option in &view.options {
        match option.name.as_str() {
            "sink" if sinks > 0 => {
                return Err(Problem::new(
                    option.place,
                    "a second sink, and a view is kept in one place yet",
                )
                .instead("run the file twice, with --sink"));
            }
            "sink" => {
                sinks += 1;
                match option.value.strip_prefix("dynamodb:") {
                    None => settings.push(("sink", option.value.clone())),
                    Some(table) => {
                        settings.retain(|(name, _)| *name != "dynamodb-table");
                        settings.extend([
                            ("sink", "aws".to_owned()),
                            ("dynamodb-table", table.to_owned()),
                        ]);
                    }
                }
            }
            "topics" => match option.value.strip_suffix('*') {
                Some(prefix) => settings.push(("topic-prefix", prefix.to_owned())),
                None => {
                    let all = option.value.split(',').map(|topic| topic.trim().to_owned());
                    topics.extend(all.filter(|topic| !topic.is_empty()));
                }
            },
            _ => {
                let what = format!("the option {} is checked, but cannot be run yet", option.name);
                return Err(Problem::new(option.place, what).instead("leave it out"));
            }
        }
    }
    let mut tags = 'a'..='z';
    let mut read = Vec::with_capacity(tables.len());
    for used in &tables {
        let Some(tag) = tags.next() else {
            return Err(Problem::new(view.place, "more than 26 tables").instead("split the view"));
        };
        read.push(table_of(&catalogue.tables()[used.table], used, tag));
    }
    let answer = answer(view, catalogue, form, &tables);
    let plans = vec![plan];
    let declared = Declared { name, tables: read, plans, rules: text, answer, topics, settings };
    Ok(Box::leak(Box::new(declared)))
}

/// The table as it is read from change events: values that its declaration does not allow are dead letters, since the view
/// was checked for those that it does.
fn table_of(table: &sql::Table, used: &TableUse, tag: char) -> Table {
    let name = |at: usize| -> &'static str { table.columns[at].name.clone().leak() };
    let kind = |at: usize| source_type(table.columns[at].sql_type.kind());
    let mut source = SourceTable::new(table.name.clone().leak(), tag);
    source.schema.clone_from(&table.schema);
    for at in table.key.iter().copied() {
        source = source.key(name(at), kind(at));
    }
    for at in used.columns.iter().copied() {
        source = source.column(name(at), kind(at));
    }
    let mut read = Table::new(source);
    for column in table.key.iter().map(|at| &table.columns[*at]) {
        if let Some((min, max)) = range(column.sql_type.kind()) {
            read = read.key_between(&column.name, min, max);
        }
    }
    let columns = used.columns.iter().map(|at| &table.columns[*at]);
    columns.fold(read, |table, column| {
        bounds(column).into_iter().fold(table, |table, bound| table.bound(&column.name, bound))
    })
}

/// How the column's values are read. Those that are read have a type that cells have.
fn source_type(kind: Kind) -> SourceType {
    kind.cell().and_then(SourceType::of_cells).unwrap_or(SourceType::Text)
}

/// The smallest and the largest number of a type that has fewer than all that are read.
fn range(kind: Kind) -> Option<(i64, i64)> {
    match kind {
        Kind::Int2 => Some((i16::MIN.into(), i16::MAX.into())),
        Kind::Int4 => Some((i32::MIN.into(), i32::MAX.into())),
        _ => None,
    }
}

/// What the values of such a column always keep to.
fn bounds(column: &Column) -> Vec<Bound> {
    let of_type = match &column.sql_type {
        SqlType::Plain(Kind::Date | Kind::Timestamp | Kind::Timestamptz) => Some(Bound::Finite),
        SqlType::Plain(Kind::Numeric) => Some(Bound::Digits(DIGITS_MAX)),
        // A negative number of places: as many zeros before the point, which every value has that PostgreSQL keeps.
        SqlType::Numeric { scale, .. } => Some(Bound::Places(u16::try_from(*scale).unwrap_or(0))),
        other => range(other.kind()).map(|(min, max)| Bound::Between(min, max)),
    };
    let not_null = column.not_null.then_some(Bound::NotNull);
    of_type.into_iter().chain(not_null).collect()
}
