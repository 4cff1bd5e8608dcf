//! How keys and values become bytes: only Kafka Connect's own JSON is read.
use super::judge::Judge;

const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";

/// Whether a NULL in a column with a default arrives as NULL, or as that default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::doctor) enum Nulls {
    Kept,
    /// Nobody asked, or only the worker's own settings tell.
    Unknown,
    Replaced,
}
impl Nulls {
    /// By `replace.null.with.default`, which is true where nothing is said.
    pub(super) fn of(judge: &Judge<'_>) -> Self {
        match (
            judge.given("value.converter"),
            judge.given("value.converter.replace.null.with.default"),
        ) {
            (Some(JSON), Some(said)) if said.eq_ignore_ascii_case("false") => Self::Kept,
            (Some(JSON), _) => Self::Replaced,
            _ => Self::Unknown,
        }
    }
}

/// `tables_known`: columns with defaults are looked for in PostgreSQL.
pub(super) fn check(judge: &mut Judge<'_>, tables_known: bool) {
    for half in ["key", "value"] {
        let key = format!("{half}.converter");
        match judge.given(&key).map(str::to_owned) {
            None => passed_over(judge, &key),
            Some(class) if class == JSON => {}
            Some(class) => other(judge, half, &class),
        }
    }
    if Nulls::of(judge) == Nulls::Replaced && is_schemaless(judge) && !tables_known {
        judge.warning(
            "value.converter.replace.null.with.default=true (so it is where nothing is said): NULL in a column with a \
             DEFAULT arrives as that default, and without schemas no record shows which columns these are",
            "value.converter.replace.null.with.default=false; --source-dsn shows whether a column that is read has a default",
        );
    }
}

/// Values come without their schema, for certain.
pub(super) fn is_schemaless(judge: &Judge<'_>) -> bool {
    judge.given("value.converter").is_some()
        && judge.or("value.converter.schemas.enable", "true") == "false"
}

/// Kafka Connect looks at `value.converter.x` only beside a `value.converter`.
fn passed_over(judge: &mut Judge<'_>, key: &str) {
    let dotted = format!("{key}.");
    let lost: Vec<&str> = judge.keys().filter(|name| name.starts_with(&dotted)).collect();
    if !lost.is_empty() {
        let found = format!(
            "{} without {key}: Kafka Connect passes it over and converts as its worker is set",
            lost.join(", ")
        );
        judge.warning(found, format!("{key}={JSON} beside it"));
    }
}

fn other(judge: &mut Judge<'_>, half: &str, class: &str) {
    let short = class.rsplit('.').next().unwrap_or(class);
    let is = |words: &[&str]| words.iter().any(|word| short.contains(word));
    let set = format!("{half}.converter={class}");
    let fix = format!("{half}.converter={JSON}");
    let why = if is(&["CloudEvents"]) {
        "CloudEvents are not read yet"
    } else if is(&["Avro"]) {
        "Avro is not read yet, only JSON"
    } else if is(&["Protobuf"]) {
        "Protobuf is not read yet, only JSON"
    } else if is(&["JsonSchema", "ExtJson"]) {
        "JSON behind the bytes of a schema registry is not read yet, only JSON"
    } else if is(&["String"]) {
        "it writes `Struct{...}`, which is not JSON"
    } else if is(&["ByteArray", "Binary", "Long", "Integer", "Double", "Float", "Short", "Boolean"])
    {
        let found = format!("{set}: it takes no rows, and the task fails");
        return judge.problem(found, fix);
    } else {
        let found = format!("{set}: not judged; only JSON is read");
        return judge.warning(found, fix);
    };
    if half == "value" {
        judge.problem(format!("{set}: {why}"), fix);
    } else {
        let found = format!(
            "{set}: {why}. A row is then told by its own columns, a deleted one by its `before`; another key than the \
             primary key is not noticed"
        );
        judge.warning(found, fix);
    }
}
