//! The connector's settings: what is set, and each that does harm to the views.
use super::{Nulls, converters, judge::Judge, pattern, transforms};
use crate::doctor::report::Check;
use consumers::source_table::{SourceColumn, SourceTable, SourceType};
use serde_json::Value;

/// What the settings are held against.
pub(super) struct Against<'a> {
    /// The text that the services take for a value that was not sent.
    pub placeholder: &'a str,
    /// Columns with defaults are looked for in PostgreSQL.
    pub tables_known: bool,
}

/// What is set, in one line, and each setting that does harm.
pub(super) fn check(mut judge: Judge<'_>, against: &Against<'_>) -> Vec<Check> {
    summary(&mut judge);
    transforms::check(&mut judge);
    converters::check(&mut judge, against.tables_known);
    values(&mut judge, against.placeholder);
    snapshots(&mut judge);
    losses(&mut judge);
    lists(&mut judge);
    altered(&mut judge);
    keyed(&mut judge);
    judge.said()
}

/// Whether a connector with this configuration sends the table, as far as its lists tell.
pub(super) fn captures(config: &Value, table: &SourceTable) -> bool {
    let out = |key: &str, name: &str, keeps: bool| {
        let list = config[key].as_str().filter(|list| !list.is_empty());
        list.is_some_and(|list| pattern::any(list, name) == Some(!keeps))
    };
    let (table, schema) = (table.full_name(), &table.schema);
    !(out("table.include.list", &table, true)
        || out("table.exclude.list", &table, false)
        || out("schema.include.list", schema, true)
        || out("schema.exclude.list", schema, false))
}

fn summary(judge: &mut Judge<'_>) {
    let nulls = match Nulls::of(judge) {
        Nulls::Kept => "false",
        Nulls::Replaced => "true",
        Nulls::Unknown => "the worker's",
    };
    let text = format!(
        "decimal.handling.mode={}, time.precision.mode={}, binary.handling.mode={}, tombstones.on.delete={}, \
         skipped.operations={}, snapshot.mode={}, value.converter={}, schemas {}, replace.null.with.default={nulls}, \
         slot.name={}, publication.name={}",
        judge.or("decimal.handling.mode", "precise"),
        judge.or("time.precision.mode", "adaptive"),
        judge.or("binary.handling.mode", "bytes"),
        judge.or("tombstones.on.delete", "true"),
        judge.or("skipped.operations", "t"),
        judge.or("snapshot.mode", "initial"),
        judge.or("value.converter", "the worker's"),
        match judge.given("value.converter") {
            Some(_) => judge.or("value.converter.schemas.enable", "true"),
            None => "the worker's",
        },
        judge.or("slot.name", "debezium"),
        judge.or("publication.name", "dbz_publication"),
    );
    judge.ok(text);
}

/// How columns are written.
fn values(judge: &mut Judge<'_>, placeholder: &str) {
    let set = judge.or("unavailable.value.placeholder", placeholder).to_owned();
    if set != placeholder {
        judge.problem(
            format!(
                "unavailable.value.placeholder={set}, and {placeholder} is expected: where a long text did not change \
                 and was not sent, the views would show this word for it, unless the records' schema declares it"
            ),
            format!("UNAVAILABLE_VALUE={set} for the services, or leave the connector's setting out"),
        );
    }
    let decimal = judge.or("decimal.handling.mode", "precise");
    if decimal == "double" {
        judge.warning(
            "decimal.handling.mode=double: amounts are rounded before they are sent",
            "decimal.handling.mode=string (or precise, with schemas), then a new snapshot and GENERATION",
        );
    }
    let as_numbers =
        judge.or("value.converter.decimal.format", "base64").eq_ignore_ascii_case("numeric");
    if decimal == "precise" && converters::is_schemaless(judge) && !as_numbers {
        judge.warning(
            "decimals are bytes, and without schemas nothing tells their scale",
            "decimal.handling.mode=string, or COLUMN_FORMATS=TABLE.COLUMN=decimal(SCALE) for each of them",
        );
    }
    let binary = judge.or("binary.handling.mode", "bytes").to_owned();
    let bytes = columns(judge.tables(), |kind| kind == SourceType::Bytes);
    if binary != "bytes" && !bytes.is_empty() {
        judge.warning(
            format!("binary.handling.mode={binary}: {} arrives as text", bytes.join(", ")),
            format!("leave binary.handling.mode out, or COLUMN_FORMATS=TABLE.COLUMN={binary} for each of them"),
        );
    }
    let times: Vec<String> = columns(judge.tables(), |kind| kind == SourceType::Time);
    if judge.or("time.precision.mode", "adaptive") == "connect" && !times.is_empty() {
        judge.warning(
            format!(
                "time.precision.mode=connect: {} is cut to milliseconds before it is sent, unless the column has a time zone",
                times.join(", ")
            ),
            "leave time.precision.mode out, then a new snapshot and GENERATION",
        );
    }
    let odd = |name: &String| {
        let column = name.rsplit('.').next().unwrap_or_default();
        column.starts_with(|c: char| c.is_ascii_digit())
            || column.contains(|c: char| !c.is_ascii_alphanumeric() && c != '_')
    };
    let odd: Vec<String> = columns(judge.tables(), |_| true).into_iter().filter(odd).collect();
    let adjusted = judge.or("field.name.adjustment.mode", "none").to_owned();
    if adjusted != "none" && !odd.is_empty() {
        judge.problem(
            format!(
                "field.name.adjustment.mode={adjusted}: {} arrives under another name",
                odd.join(", ")
            ),
            "leave field.name.adjustment.mode out: JSON takes every name",
        );
    }
    if judge.given("converters").is_some_and(|list| !list.is_empty()) {
        judge.warning(
            "`converters` are set: how they write columns is not judged",
            "see that no column that is read goes through them",
        );
    }
    if judge.given("post.processors").is_some_and(|list| !list.is_empty()) {
        judge.warning(
            "`post.processors` are set: not judged; a column that is selected again is as it is then, not as it was \
             at the change",
            "leave them out: a value that was not sent keeps its last one in the views",
        );
    }
}

fn snapshots(judge: &mut Judge<'_>) {
    let mode = judge.or("snapshot.mode", "initial");
    match mode {
        "never" | "no_data" | "schema_only" => judge.warning(
            format!("snapshot.mode={mode}: rows from before the connector's first start are never seen"),
            "take a snapshot (snapshot.mode=initial, or an incremental one by signal), unless there were none",
        ),
        "initial_only" => judge.problem(
            "snapshot.mode=initial_only: no change is sent after the snapshot",
            "snapshot.mode=initial",
        ),
        "always" => judge.warning(
            "snapshot.mode=always: each start of the connector reads the tables anew, and says nothing of rows that \
             were deleted meanwhile if its slot was lost",
            "snapshot.mode=initial; `cdc verify --repair` finds and removes rows that the source no longer has",
        ),
        "custom" | "configuration_based" => judge.warning(
            format!("snapshot.mode={mode}: whether every row is read once is not judged"),
            "see that the snapshot reads the tables' data and that changes are streamed after it",
        ),
        _ => {}
    }
    if let Some(tables) =
        judge.given("snapshot.select.statement.overrides").filter(|t| !t.is_empty())
    {
        judge.warning(
            format!("snapshot.select.statement.overrides={tables}: rows that its SELECT leaves out are not seen until they change"),
            "leave it out, unless the SELECT gives all rows",
        );
    }
    if let Some(list) = judge.given("snapshot.include.collection.list").filter(|l| !l.is_empty()) {
        let out: Vec<String> = judge
            .tables()
            .iter()
            .map(SourceTable::full_name)
            .filter(|table| pattern::any(list, table) == Some(false))
            .collect();
        if !out.is_empty() {
            judge.warning(
                format!(
                    "snapshot.include.collection.list={list}: no snapshot is taken of {}",
                    out.join(", ")
                ),
                "name them in it, or leave it out; then a new snapshot",
            );
        }
    }
}

/// What makes changes go missing, or come in another order.
fn losses(judge: &mut Judge<'_>) {
    let skipped = judge.or("skipped.operations", "t");
    if skipped.split(',').any(|op| ["c", "u", "d"].contains(&op.trim())) {
        judge.problem(
            format!("skipped.operations={skipped}: changes are left out"),
            "skipped.operations=t",
        );
    }
    if judge.or("slot.drop.on.stop", "false") == "true" {
        judge.problem(
            "slot.drop.on.stop=true: what changes while the connector is stopped is never sent",
            "slot.drop.on.stop=false, then a new snapshot",
        );
    }
    let failing =
        ["event.processing.failure.handling.mode", "event.deserialization.failure.handling.mode"];
    for key in failing {
        let mode = judge.or(key, "fail");
        if ["warn", "skip", "ignore"].contains(&mode) {
            judge.problem(
                format!("{key}={mode}: a change that Debezium cannot process is left out, and nothing here shows it"),
                format!("{key}=fail"),
            );
        }
    }
    if judge.or("errors.tolerance", "none") == "all" {
        judge.problem(
            "errors.tolerance=all: a record that a transform or converter fails on is left out, and nothing here shows it",
            "errors.tolerance=none",
        );
    }
    let acks = judge.or("producer.override.acks", "all");
    if ["0", "1"].contains(&acks) {
        judge.problem(
            format!("producer.override.acks={acks}: changes are lost when a broker fails"),
            "producer.override.acks=all",
        );
    }
    let in_flight = judge.or("producer.override.max.in.flight.requests.per.connection", "1");
    if in_flight != "1" && judge.or("producer.override.enable.idempotence", "false") != "true" {
        judge.problem(
            format!(
                "producer.override.max.in.flight.requests.per.connection={in_flight} without \
                 producer.override.enable.idempotence=true: a retry puts changes of a row into another order"
            ),
            "leave both out, or set producer.override.enable.idempotence=true",
        );
    }
    if let Some(class) = judge.given("producer.override.partitioner.class") {
        judge.warning(
            format!("producer.override.partitioner.class={class}: keys are not where Kafka's default partitioner puts them"),
            "leave it out; if it must be, PLACEMENT=custom, and see that one key always goes to one partition",
        );
    }
}

/// Tables and columns that are left out.
fn lists(judge: &mut Judge<'_>) {
    let tables: Vec<(String, String)> =
        judge.tables().iter().map(|table| (table.full_name(), table.schema.clone())).collect();
    for (kind, names) in [
        ("table", tables.iter().map(|(table, _)| table.clone()).collect::<Vec<_>>()),
        ("schema", tables.iter().map(|(_, schema)| schema.clone()).collect()),
        ("column", columns(judge.tables(), |_| true)),
    ] {
        for (list, keeps) in [("include", true), ("exclude", false)] {
            let key = format!("{kind}.{list}.list");
            let Some(set) = judge.given(&key).filter(|set| !set.is_empty()) else { continue };
            let is = |said: Option<bool>| {
                let found = names.iter().filter(|name| pattern::any(set, name) == said);
                found
                    .cloned()
                    .collect::<std::collections::BTreeSet<_>>()
                    .into_iter()
                    .collect::<Vec<_>>()
            };
            let (out, unclear) = (is(Some(!keeps)), is(None));
            if !out.is_empty() {
                judge.problem(
                    format!("{key} leaves out {}, which is read", out.join(", ")),
                    format!("correct {key}; then a new snapshot"),
                );
            } else if !unclear.is_empty() {
                judge.warning(
                    format!("{key} has expressions that are not judged: whether {} is sent is not known", unclear.join(", ")),
                    format!("name tables and columns plainly in {key}, or look at the `events` lines"),
                );
            }
        }
    }
}

/// Columns that are masked, hashed or cut.
fn altered(judge: &mut Judge<'_>) {
    let names = columns(judge.tables(), |_| true);
    let alters =
        |key: &&str| key.starts_with("column.mask.") || key.starts_with("column.truncate.to.");
    for key in judge.keys().filter(alters) {
        let set = judge.or(key, "");
        // The salt is a secret.
        let shown = key.split(".with.salt.").next().unwrap_or(key);
        let is = |said: Option<bool>| {
            names.iter().filter(|name| pattern::any(set, name) == said).cloned().collect::<Vec<_>>()
        };
        let (hit, unclear) = (is(Some(true)), is(None));
        let fix = format!("take what is read out of {shown}, then a new snapshot and GENERATION");
        if !hit.is_empty() {
            let found = format!(
                "{shown} alters {} before it is sent: the views do not equal the source",
                hit.join(", ")
            );
            judge.problem(found, fix);
        } else if !unclear.is_empty() {
            judge.warning(format!("{shown} has expressions that are not judged: whether it alters {} is not known", unclear.join(", ")), fix);
        }
    }
}

/// `message.key.columns`: `table:column,column;...`
fn keyed(judge: &mut Judge<'_>) {
    let entries = judge.or("message.key.columns", "");
    for read in judge.tables() {
        let table = read.full_name();
        for entry in entries.split(';').filter(|entry| !entry.trim().is_empty()) {
            let (tables, columns) = entry.rsplit_once(':').unwrap_or((entry, ""));
            let said = pattern::matches(tables, &table);
            let key: Vec<&str> = columns.split(',').map(str::trim).collect();
            let is_primary = key.iter().eq(read.key.iter().map(|column| &column.name));
            if said == Some(false) || is_primary {
                continue;
            }
            let found = format!(
                "message.key.columns keys {table} by ({}); rows are told apart by {}: their changes may be in several \
                 partitions, which have no order",
                key.join(", "),
                read.key_names()
            );
            let fix = format!(
                "message.key.columns without {table}: the primary key is the key where nothing is said"
            );
            match said {
                Some(true) => judge.problem(found, fix),
                _ => judge.warning(
                    format!("{found} (if `{tables}` means this table, which is not judged)"),
                    fix,
                ),
            }
        }
    }
}

/// `schema.table.column` of what is read, the key first.
fn columns(tables: &[SourceTable], wanted: impl Fn(SourceType) -> bool) -> Vec<String> {
    let of = |table: &SourceTable| {
        let name = table.full_name();
        let wanted = table.all_columns().filter(|column| wanted(column.kind));
        wanted
            .map(|SourceColumn { name: column, .. }| format!("{name}.{column}"))
            .collect::<Vec<_>>()
    };
    tables.iter().flat_map(of).collect()
}
