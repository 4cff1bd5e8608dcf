//! Which AWS operations the sources call, who runs them, and what IAM calls them.
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// The services, while they run.
    Service,
    /// `cdc verify`, `doctor`, `dlq list` and `show`.
    Read,
    /// `doctor`, with a write that never takes effect, or an object of its own.
    Try,
    /// `verify --repair`, `dlq replay` and `purge`.
    Repair,
    /// `doctor --fix`.
    Fix,
    /// Nobody who is deployed.
    Tests,
}
use Who::{Fix, Read, Repair, Service, Tests, Try};

/// A file, an operation in it, and who comes there. The sources must have these and no others.
pub const CALLS: &[(&str, &str, &[Who])] = &[
    ("sinks/src/dynamodb/audit.rs", "get_item", &[Read]),
    ("sinks/src/dynamodb/audit.rs", "scan", &[Read]),
    ("sinks/src/dynamodb/read.rs", "query", &[Tests]),
    ("sinks/src/dynamodb/read.rs", "scan", &[Tests]),
    ("sinks/src/dynamodb/tables.rs", "create_table", &[Fix]),
    ("sinks/src/dynamodb/tables.rs", "describe_table", &[Read]),
    ("sinks/src/dynamodb/tables.rs", "describe_time_to_live", &[Read]),
    ("sinks/src/dynamodb/tables.rs", "update_table", &[Fix]),
    ("sinks/src/dynamodb/tables.rs", "update_time_to_live", &[Fix]),
    ("sinks/src/dynamodb/tables/check.rs", "describe_continuous_backups", &[Read]),
    ("sinks/src/dynamodb/tables/check.rs", "get_item", &[Read]),
    ("sinks/src/dynamodb/tables/check.rs", "put_item", &[Try]),
    ("sinks/src/dynamodb/tables/check.rs", "scan", &[Read]),
    ("sinks/src/dynamodb/tables/check.rs", "update_item", &[Try]),
    ("sinks/src/dynamodb/wire.rs", "put_item", &[Service, Repair]),
    ("sinks/src/dynamodb/wire.rs", "update_item", &[Service, Repair]),
    ("sinks/src/objects/s3.rs", "delete_object", &[Try, Repair]),
    ("sinks/src/objects/s3.rs", "get_object", &[Service, Read]),
    ("sinks/src/objects/s3.rs", "list_objects_v2", &[Service, Read]),
    ("sinks/src/objects/s3.rs", "put_object", &[Service, Try, Repair]),
    ("sinks/src/objects/s3/bucket.rs", "create_bucket", &[Fix]),
    ("sinks/src/objects/s3/bucket.rs", "head_bucket", &[Read]),
    ("sinks/src/objects/s3/bucket.rs", "put_public_access_block", &[Fix]),
];

/// Where objects are deleted through the trait: so no service does it.
pub const DELETES: &[&str] = &["cdc/src/dlq/purge.rs", "cdc/src/doctor/places.rs"];

/// As IAM calls an operation of the SDK.
fn action(file: &str, operation: &str) -> String {
    let name = match operation {
        "list_objects_v2" | "head_bucket" => "ListBucket".to_owned(),
        "put_public_access_block" => "PutBucketPublicAccessBlock".to_owned(),
        other => other.split('_').map(capital).collect(),
    };
    let service = if file.contains("dynamodb") { "dynamodb" } else { "s3" };
    format!("{service}:{name}")
}
fn capital(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_uppercase() + rest
}

/// The actions of DynamoDB or S3 that these need.
pub fn actions(service: &str, who: &[Who]) -> BTreeSet<String> {
    let theirs = CALLS.iter().filter(|(_, _, by)| by.iter().any(|one| who.contains(one)));
    theirs.map(|(file, call, _)| action(file, call)).filter(|a| a.starts_with(service)).collect()
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Sources by their names below the workspace.
pub fn sources() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders =
        ["sinks/src", "consumers/src", "cdc/src"].map(|folder| root().join(folder)).to_vec();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("a file").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name =
                    path.strip_prefix(root()).expect("below it").to_string_lossy().into_owned();
                found.insert(name, std::fs::read_to_string(&path).expect("text"));
            }
        }
    }
    found
}

/// Without comments and white space.
fn packed(text: &str) -> String {
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    code.flat_map(|line| line.chars().filter(|c| !c.is_whitespace())).collect()
}

/// The operations that a source calls: `client.NAME()`, begun without an argument. `Err`: something is sent that does not
/// begin so.
pub fn operations(text: &str) -> Result<BTreeSet<String>, String> {
    let code = packed(text);
    let begun = code.split("client.").skip(1).filter_map(|rest| {
        let (name, after) = rest.split_once('(')?;
        let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        (is_name && after.starts_with(')') && name != "config").then(|| name.to_owned())
    });
    let begun: Vec<String> = begun.collect();
    let sent = code.matches(".send()").count();
    if sent == 0 {
        return Ok(BTreeSet::new()); // Of another client: PostgreSQL's, Kafka's.
    }
    if sent != begun.len() {
        return Err(format!(
            "{sent} requests are sent, {} are known: {}",
            begun.len(),
            begun.join(" ")
        ));
    }
    Ok(begun.into_iter().collect())
}

/// What differs between the sources and [`CALLS`].
pub fn faults(sources: &BTreeMap<String, String>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut found = BTreeSet::new();
    for (file, text) in sources {
        match operations(text) {
            Ok(calls) => found.extend(calls.into_iter().map(|call| (file.clone(), call))),
            Err(why) => faults.push(format!("{file}: {why}")),
        }
    }
    let known: BTreeSet<_> =
        CALLS.iter().map(|(f, c, _)| ((*f).to_owned(), (*c).to_owned())).collect();
    faults.extend(
        found.difference(&known).map(|(f, c)| format!("{f} calls {c}, which is not in CALLS")),
    );
    faults.extend(known.difference(&found).map(|(f, c)| format!("{f} does not call {c} any more")));
    let deletes = sources.iter().filter(|(file, text)| {
        !file.starts_with("sinks/src/objects") && packed(text).contains("objects.delete(")
    });
    let deletes: Vec<&str> = deletes.map(|(file, _)| file.as_str()).collect();
    if deletes != DELETES {
        faults.push(format!(
            "objects are deleted in {deletes:?}: then services may need s3:DeleteObject"
        ));
    }
    faults
}

/// What SlateDB asks of S3, in the words of the store that is put between; an upload in parts can be given up.
pub fn state_actions(sources: &BTreeMap<String, String>) -> BTreeSet<String> {
    let code = packed(&sources["sinks/src/state/slatedb/store.rs"]);
    let told = ["note(\"", "noting(\""].iter().flat_map(|word| code.split(word).skip(1));
    let mut actions: BTreeSet<String> =
        told.filter_map(|rest| Some(format!("s3:{}", rest.split_once('"')?.0))).collect();
    if code.contains("put_multipart_opts(") {
        actions.insert("s3:AbortMultipartUpload".to_owned());
    }
    actions
}
