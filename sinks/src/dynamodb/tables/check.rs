//! Looks at a table as its view needs it, and changes nothing.
use super::{Config, Needed, NeededIndex, Part, describe, expiry};
use crate::{
    SinkError, View,
    dynamodb::{
        keyed::{EXPIRES, GEN},
        read::error,
        wire::{self, Attributes},
    },
};
use aws_sdk_dynamodb::{
    Client,
    primitives::Blob,
    types::{
        AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndexDescription,
        IndexStatus, KeySchemaElement, PointInTimeRecoveryStatus, ProjectionType,
        ScalarAttributeType, TableDescription, TableStatus,
    },
};
use std::fmt;

/// How a table differs from what its view needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    NoTable,
    /// The table, or this index of it, is being made, changed or removed.
    NotActive {
        index: Option<String>,
        status: String,
    },
    Key {
        has: String,
        needs: String,
    },
    NoIndex(&'static str),
    IndexKey {
        index: &'static str,
        has: String,
        needs: String,
    },
    /// Readers of the index miss these attributes; the view itself is right.
    IndexShows {
        index: &'static str,
        lacks: String,
    },
    NoExpiry,
    /// Items go by an attribute that we never write: tombstones stay.
    OtherExpiry(String),
}
impl Fault {
    /// The view cannot be kept in this table as it is.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::NoTable | Self::NotActive { .. } | Self::Key { .. })
            || matches!(self, Self::NoIndex(_) | Self::IndexKey { .. })
    }

    /// What to do about it.
    pub fn advice(&self, table: &str) -> String {
        match self {
            Self::NoTable | Self::NoIndex(_) | Self::NoExpiry => {
                "`cdc doctor SERVICE --fix` makes it; or make it as the table list in CONSUMER_DEPLOYMENT.md says"
                    .to_owned()
            }
            Self::NotActive { .. } => {
                format!("wait until `aws dynamodb describe-table --table-name {table}` says ACTIVE")
            }
            Self::Key { .. } => "a key cannot be changed: name another table, or delete this one".to_owned(),
            Self::IndexKey { index, .. } | Self::IndexShows { index, .. } => format!(
                "an index cannot be changed: delete it (`aws dynamodb update-table --table-name {table} \
                 --global-secondary-index-updates '[{{\"Delete\":{{\"IndexName\":\"{index}\"}}}}]'`), then `cdc doctor \
                 SERVICE --fix` makes it anew"
            ),
            Self::OtherExpiry(_) => format!(
                "set TTL to `{EXPIRES}`; DynamoDB wants the other one switched off first, and an hour between"
            ),
        }
    }
}
/// As the end of a sentence that begins with the table's name.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTable => f.write_str("does not exist"),
            Self::NotActive { index: None, status } => write!(f, "is {status}"),
            Self::NotActive { index: Some(index), status } => {
                write!(f, "has index `{index}`, which is {status}")
            }
            Self::Key { has, needs } => write!(f, "has the key ({has}), and needs ({needs})"),
            Self::NoIndex(index) => write!(f, "has no index `{index}`"),
            Self::IndexKey { index, has, needs } => {
                write!(f, "has index `{index}` with the key ({has}), and needs ({needs})")
            }
            Self::IndexShows { index, lacks } => {
                write!(f, "has index `{index}`, which does not show {lacks}")
            }
            Self::NoExpiry => write!(
                f,
                "has no expiry (TTL) on `{EXPIRES}`: what is left of deleted rows stays for good"
            ),
            Self::OtherExpiry(attribute) => write!(
                f,
                "expires by `{attribute}` instead of `{EXPIRES}`: what is left of deleted rows stays for good"
            ),
        }
    }
}

/// What a table is, beyond what its view needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// As DynamoDB counted some hours ago.
    pub items: i64,
    pub on_demand: bool,
    /// Point-in-time recovery; `None`: not known (no permission to ask).
    pub backed_up: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    pub table: String,
    pub faults: Vec<Fault>,
    /// `None`: there is no table.
    pub facts: Option<Facts>,
}

/// Compares a view's table with what the view needs.
pub async fn inspect(
    client: &Client,
    config: &Config,
    view: &View,
) -> Result<Inspection, SinkError> {
    let table = config.table_of(view);
    let needed = Needed::of(view)?;
    let Some(there) = describe(client, &table).await? else {
        return Ok(Inspection { table, faults: vec![Fault::NoTable], facts: None });
    };
    let expiry = if needed.expiry { expiry(client, &table).await? } else { None };
    let faults = faults(&there, expiry.as_deref(), &needed);
    let billing = there.billing_mode_summary().and_then(|summary| summary.billing_mode());
    let facts = Facts {
        items: there.item_count().unwrap_or(0),
        on_demand: billing == Some(&BillingMode::PayPerRequest),
        backed_up: backed_up(client, &table).await,
    };
    Ok(Inspection { table, faults, facts: Some(facts) })
}

async fn backed_up(client: &Client, table: &str) -> Option<bool> {
    let found = client.describe_continuous_backups().table_name(table).send().await.ok()?;
    let described = found.continuous_backups_description?;
    let status = described.point_in_time_recovery_description?.point_in_time_recovery_status?;
    Some(status == PointInTimeRecoveryStatus::Enabled)
}

/// `expiry`: the attribute by which items go now.
pub(super) fn faults(
    there: &TableDescription,
    expiry: Option<&str>,
    needed: &Needed,
) -> Vec<Fault> {
    let kinds = there.attribute_definitions();
    let mut faults = Vec::new();
    if let Some(status) = there.table_status().filter(|status| **status != TableStatus::Active) {
        faults.push(Fault::NotActive { index: None, status: status.to_string() });
    }
    let has = key(there.key_schema(), kinds);
    if has != parts(&needed.key) {
        faults.push(Fault::Key { has, needs: parts(&needed.key) });
    }
    for index in &needed.indexes {
        let mut all = there.global_secondary_indexes().iter();
        match all.find(|there| there.index_name() == Some(index.name)) {
            None => faults.push(Fault::NoIndex(index.name)),
            Some(found) => faults.extend(index_faults(found, kinds, index)),
        }
    }
    match expiry {
        None if needed.expiry => faults.push(Fault::NoExpiry),
        Some(other) if needed.expiry && other != EXPIRES => {
            faults.push(Fault::OtherExpiry(other.to_owned()));
        }
        _ => {}
    }
    faults
}

fn index_faults(
    there: &GlobalSecondaryIndexDescription,
    kinds: &[AttributeDefinition],
    index: &NeededIndex,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let Some(status) = there.index_status().filter(|status| **status != IndexStatus::Active) {
        let name = Some(index.name.to_owned());
        faults.push(Fault::NotActive { index: name, status: status.to_string() });
    }
    let (has, needs) = (key(there.key_schema(), kinds), parts(&index.key));
    if has != needs {
        faults.push(Fault::IndexKey { index: index.name, has, needs });
    }
    let projection = there.projection();
    let shown = projection.map(|p| p.non_key_attributes()).unwrap_or_default();
    let all = projection.and_then(|p| p.projection_type()) == Some(&ProjectionType::All);
    let hidden = |name: &&&str| !all && !shown.iter().any(|shown| shown == **name);
    let lacks: Vec<&str> = index.shows.iter().filter(hidden).copied().collect();
    if !lacks.is_empty() {
        faults.push(Fault::IndexShows { index: index.name, lacks: lacks.join(", ") });
    }
    faults
}

fn parts(key: &[Part]) -> String {
    let text = |part: &Part| format!("{} {}", part.0, part.1.as_str());
    key.iter().map(text).collect::<Vec<_>>().join(", ")
}
/// In the same words as [`parts`].
fn key(schema: &[KeySchemaElement], kinds: &[AttributeDefinition]) -> String {
    let text = |element: &KeySchemaElement| {
        let name = element.attribute_name();
        let kind = kinds.iter().find(|kind| kind.attribute_name() == name);
        let kind = kind.map_or("", |kind| kind.attribute_type().as_str());
        format!("{name} {kind}")
    };
    schema.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// A key that hardly any row has: the smallest number, a text that begins with a control character. Nothing is written
/// under it in any case.
fn nobodys_key(needed: &Needed) -> Attributes {
    let value = |part: &Part| match part.1 {
        ScalarAttributeType::N => AttributeValue::N(i64::MIN.to_string()),
        ScalarAttributeType::B => AttributeValue::B(Blob::new("\u{1}cdc-doctor")),
        _ => AttributeValue::S("\u{1}cdc-doctor".to_owned()),
    };
    needed.key.iter().map(|part| (part.0.to_owned(), value(part))).collect()
}

/// Proves that items can be read and written, without changing any: the writes' conditions never hold. (DynamoDB asks
/// for the permission first.)
pub async fn try_access(client: &Client, config: &Config, view: &View) -> Result<(), SinkError> {
    let table = config.table_of(view);
    let item = nobodys_key(&Needed::of(view)?);
    let never = format!("attribute_exists({GEN}) AND attribute_not_exists({GEN})");
    let got =
        client.get_item().table_name(&table).set_key(Some(item.clone())).consistent_read(true);
    got.send().await.map_err(|e| error(&table, "GetItem", e))?;
    let put = client.put_item().table_name(&table).set_item(Some(item.clone()));
    if let Err(e) = put.condition_expression(&never).send().await
        && !e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception())
    {
        return Err(error(&table, "PutItem", e));
    }
    let update = client.update_item().table_name(&table).set_key(Some(item));
    let update = update.update_expression(format!("REMOVE {GEN}")).condition_expression(never);
    if let Err(e) = update.send().await
        && !e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception())
    {
        return Err(error(&table, "UpdateItem", e));
    }
    Ok(())
}

/// The generation that an item of the table is of: any item, one read. `Ok(None)`: the table is empty.
/// `Some(Err(..))`: the item is not one of ours.
pub async fn generation_seen(
    client: &Client,
    config: &Config,
    view: &View,
) -> Result<Option<Result<i64, &'static str>>, SinkError> {
    let table = config.table_of(view);
    let page = client.scan().table_name(&table).limit(1).consistent_read(true).send().await;
    let page = page.map_err(|e| error(&table, "Scan", e))?;
    let Some(item) = page.items().first() else { return Ok(None) };
    Ok(Some(match item.get(GEN).map(wire::value_of) {
        None => Err("an item without `gen`"),
        Some(Some(crate::dynamodb::request::Value::Int(n))) => {
            i64::try_from(n).map_err(|_| "an item whose `gen` is beyond 64 bits")
        }
        Some(_) => Err("an item whose `gen` is not a whole number"),
    }))
}
