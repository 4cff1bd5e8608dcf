//! The tables that the views need. Made here for tests and by `cdc doctor --fix`; in production by hand or Terraform
//! too, from the table list in `CONSUMER_DEPLOYMENT.md`. Making and checking ([`check`]) share one truth: [`Needed`].
mod check;

pub use check::{Facts, Fault, Inspection, generation_seen, inspect, try_access};

use super::{
    Config,
    key::{SORT_KEY, is_joined},
    keyed::EXPIRES,
    read::error,
    shape_of,
};
use crate::{Column, Index, IndexKey, SinkError, Type, View};
use anyhow::anyhow;
use aws_sdk_dynamodb::{
    Client,
    error::BuildError,
    types::{
        AttributeDefinition, BillingMode, CreateGlobalSecondaryIndexAction, GlobalSecondaryIndex,
        GlobalSecondaryIndexUpdate, IndexStatus, KeySchemaElement, KeyType, Projection,
        ProjectionType, ScalarAttributeType, TableDescription, TableStatus,
        TimeToLiveSpecification,
    },
};
use std::time::Duration;
use tokio::time::Instant;

/// How long a table or an index may take to become active.
const ACTIVE_WITHIN: Duration = Duration::from_secs(300);

/// A key attribute: name, and N or S.
type Part = (&'static str, ScalarAttributeType);
struct NeededIndex {
    name: &'static str,
    key: Vec<Part>,
    shows: &'static [&'static str],
}

/// What the table of a view must have.
struct Needed {
    key: Vec<Part>,
    indexes: Vec<NeededIndex>,
    /// Tombstones have a time after which DynamoDB removes them.
    expiry: bool,
}
impl Needed {
    fn of(view: &View) -> Result<Self, SinkError> {
        let shape = shape_of(view)?;
        let expiry = shape.expires();
        let indexes = view.indexes.iter().map(|index| index_of(view, index));
        Ok(Self { key: key_parts(view), indexes: indexes.collect::<Result<_, _>>()?, expiry })
    }
}

/// Makes what is missing: tables, indexes, expiry. Waits until all of it is active. Changes nothing that is there, and
/// stops at a table that cannot become what its view needs. Returns what was made, a few words each.
pub async fn create_tables(client: &Client, config: &Config) -> Result<Vec<String>, SinkError> {
    let mut made = Vec::new();
    for view in &config.views {
        let table = config.table_of(view);
        let needed = Needed::of(view)?;
        if describe(client, &table).await?.is_none() && create(client, &table, &needed).await? {
            made.push(format!("table `{table}`"));
        }
        let there = active(client, &table).await?;
        let expiry = expiry(client, &table).await?;
        for fault in check::faults(&there, expiry.as_deref(), &needed) {
            match fault {
                Fault::NoIndex(name) => {
                    for index in needed.indexes.iter().filter(|index| index.name == name) {
                        add_index(client, &table, view, index).await?;
                        active(client, &table).await?;
                        made.push(format!("index `{name}` of table `{table}`"));
                    }
                }
                Fault::NoExpiry => {
                    expire(client, &table).await?;
                    made.push(format!("expiry on `{EXPIRES}` of table `{table}`"));
                }
                Fault::Key { .. } | Fault::IndexKey { .. } => {
                    let why = format!("DynamoDB table `{table}` {fault}: {}", fault.advice(&table));
                    return Err(SinkError::Fatal(anyhow!(why)));
                }
                _ => {}
            }
        }
    }
    Ok(made)
}

fn index_of(view: &View, index: &Index) -> Result<NeededIndex, SinkError> {
    let wrong = |name: &str| {
        SinkError::Fatal(anyhow!(
            "view `{}`: index `{}` is declared over a column `{name}` that it does not show",
            view.name,
            index.name
        ))
    };
    let no_key = |name: &str| {
        SinkError::Fatal(anyhow!(
            "view `{}`: index `{}` is declared over the column `{name}`, which is not always a number, a text or bytes in DynamoDB",
            view.name,
            index.name
        ))
    };
    let column = |name: &'static str| {
        let found = view.key.iter().chain(view.columns).find(|column| column.name == name);
        found.ok_or_else(|| wrong(name))
    };
    let part = |key: &IndexKey| match key {
        IndexKey::Column(name) => match column(name)? {
            // Not every float is a number in DynamoDB.
            Column { kind: Type::Bool | Type::Float | Type::Words | Type::List, .. } => {
                Err(no_key(name))
            }
            column => Ok(key_part(column)),
        },
        IndexKey::Lower { name, of } => column(of).map(|_| (*name, ScalarAttributeType::S)),
        IndexKey::Same { name, .. } => Ok((*name, ScalarAttributeType::S)),
    };
    let key = index.key.iter().map(part).collect::<Result<_, _>>()?;
    Ok(NeededIndex { name: index.name, key, shows: index.shows })
}

fn key_parts(view: &View) -> Vec<Part> {
    if is_joined(view) {
        return vec![key_part(&view.key[0]), (SORT_KEY, ScalarAttributeType::S)];
    }
    view.key.iter().map(key_part).collect()
}
fn key_part(column: &Column) -> Part {
    match column.kind {
        Type::Int | Type::Decimal | Type::Time => (column.name, ScalarAttributeType::N),
        Type::Float => (column.name, ScalarAttributeType::N),
        Type::Bytes => (column.name, ScalarAttributeType::B),
        Type::Text
        | Type::Words
        | Type::Bool
        | Type::Date
        | Type::Uuid
        | Type::Json
        | Type::List => (column.name, ScalarAttributeType::S),
    }
}
fn schema(key: &[Part]) -> Result<Vec<KeySchemaElement>, BuildError> {
    let kinds = [KeyType::Hash, KeyType::Range];
    let element = |((name, _), kind): (&Part, KeyType)| {
        KeySchemaElement::builder().attribute_name(*name).key_type(kind).build()
    };
    key.iter().zip(kinds).map(element).collect()
}
fn definitions<'a>(
    parts: impl Iterator<Item = &'a Part>,
) -> Result<Vec<AttributeDefinition>, BuildError> {
    let mut parts: Vec<&Part> = parts.collect();
    parts.sort_by_key(|part| part.0);
    parts.dedup_by_key(|part| part.0);
    let define = |(name, kind): &Part| {
        AttributeDefinition::builder().attribute_name(*name).attribute_type(kind.clone()).build()
    };
    parts.into_iter().map(define).collect()
}
fn projection(index: &NeededIndex) -> Projection {
    let shows = index.shows.iter().map(|name| (*name).to_owned()).collect();
    Projection::builder()
        .projection_type(ProjectionType::Include)
        .set_non_key_attributes(Some(shows))
        .build()
}

async fn describe(client: &Client, table: &str) -> Result<Option<TableDescription>, SinkError> {
    match client.describe_table().table_name(table).send().await {
        Ok(out) => Ok(out.table),
        Err(e) if e.as_service_error().is_some_and(aws_sdk_dynamodb::operation::describe_table::DescribeTableError::is_resource_not_found_exception) => {
            Ok(None)
        }
        Err(e) => Err(error(table, "DescribeTable", e)),
    }
}

/// `false`: somebody else was faster.
async fn create(client: &Client, table: &str, needed: &Needed) -> Result<bool, SinkError> {
    let Needed { key, indexes, .. } = needed;
    let build = |index: &NeededIndex| {
        GlobalSecondaryIndex::builder()
            .index_name(index.name)
            .set_key_schema(Some(schema(&index.key)?))
            .projection(projection(index))
            .build()
    };
    let built: Vec<_> =
        indexes.iter().map(build).collect::<Result<_, _>>().map_err(SinkError::fatal)?;
    let parts = key.iter().chain(indexes.iter().flat_map(|index| &index.key));
    let made = client
        .create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .set_key_schema(Some(schema(key).map_err(SinkError::fatal)?))
        .set_attribute_definitions(Some(definitions(parts).map_err(SinkError::fatal)?))
        .set_global_secondary_indexes(Some(built).filter(|built| !built.is_empty()))
        .send()
        .await;
    match made {
        Ok(_) => Ok(true),
        Err(e) if e.as_service_error().is_some_and(aws_sdk_dynamodb::operation::create_table::CreateTableError::is_resource_in_use_exception) => Ok(false),
        Err(e) => Err(error(table, "CreateTable", e)),
    }
}

async fn add_index(
    client: &Client,
    table: &str,
    view: &View,
    index: &NeededIndex,
) -> Result<(), SinkError> {
    let action = CreateGlobalSecondaryIndexAction::builder()
        .index_name(index.name)
        .set_key_schema(Some(schema(&index.key).map_err(SinkError::fatal)?))
        .projection(projection(index))
        .build()
        .map_err(SinkError::fatal)?;
    let key = key_parts(view);
    let parts = definitions(key.iter().chain(&index.key)).map_err(SinkError::fatal)?;
    client
        .update_table()
        .table_name(table)
        .set_attribute_definitions(Some(parts))
        .global_secondary_index_updates(
            GlobalSecondaryIndexUpdate::builder().create(action).build(),
        )
        .send()
        .await
        .map_err(|e| error(table, "UpdateTable", e))?;
    Ok(())
}

/// Waits until the table and every index of it can be used.
async fn active(client: &Client, table: &str) -> Result<TableDescription, SinkError> {
    let end = Instant::now() + ACTIVE_WITHIN;
    loop {
        if let Some(made) = describe(client, table).await? {
            let mut indexes = made.global_secondary_indexes().iter();
            let indexed = indexes.all(|i| i.index_status() == Some(&IndexStatus::Active));
            if made.table_status() == Some(&TableStatus::Active) && indexed {
                return Ok(made);
            }
        }
        if Instant::now() >= end {
            let why = format!(
                "DynamoDB table `{table}` is not active after {} s",
                ACTIVE_WITHIN.as_secs()
            );
            return Err(SinkError::Transient(anyhow!(why)));
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// The attribute by which DynamoDB removes items, if it does.
async fn expiry(client: &Client, table: &str) -> Result<Option<String>, SinkError> {
    use aws_sdk_dynamodb::types::TimeToLiveStatus as Status;
    let now = client.describe_time_to_live().table_name(table).send().await;
    let now = now.map_err(|e| error(table, "DescribeTimeToLive", e))?;
    let now = now.time_to_live_description;
    let on = now.filter(|ttl| {
        matches!(ttl.time_to_live_status(), Some(Status::Enabled | Status::Enabling))
    });
    Ok(on.map(|ttl| ttl.attribute_name.unwrap_or_default()))
}

/// Lets DynamoDB remove tombstones whose time is over.
async fn expire(client: &Client, table: &str) -> Result<(), SinkError> {
    let wanted = TimeToLiveSpecification::builder().attribute_name(EXPIRES).enabled(true).build();
    client
        .update_time_to_live()
        .table_name(table)
        .time_to_live_specification(wanted.map_err(SinkError::fatal)?)
        .send()
        .await
        .map_err(|e| error(table, "UpdateTimeToLive", e))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: Column = Column::new("name", Type::Text);
    const PRICE: Column = Column::new("price", Type::Decimal);

    fn wares() -> View {
        View::rows("wares", const { &[Column::new("id", Type::Int)] }, const { &[NAME, PRICE] })
    }
    fn indexes(view: View) -> Result<Vec<(&'static str, Vec<Part>)>, String> {
        let needed = Needed::of(&view).map_err(|e| e.to_string())?;
        Ok(needed.indexes.into_iter().map(|index| (index.name, index.key)).collect())
    }

    #[test]
    fn indexes_are_declared_and_never_guessed_from_names() {
        use ScalarAttributeType::{N, S};
        assert_eq!(indexes(wares()), Ok(vec![]));
        let declared = wares().indexed(&[
            Index {
                name: "by-name",
                key: &[IndexKey::Lower { name: "name_lower", of: "name" }],
                shows: &["price"],
            },
            Index {
                name: "by-price",
                key: &[IndexKey::Same { name: "all", text: "x" }, IndexKey::Column("price")],
                shows: &["name"],
            },
        ]);
        let by_name = ("by-name", vec![("name_lower", S)]);
        assert_eq!(
            indexes(declared),
            Ok(vec![by_name, ("by-price", vec![("all", S), ("price", N)])])
        );
        let by_key =
            wares().indexed(&[Index { name: "by-id", key: &[IndexKey::Column("id")], shows: &[] }]);
        assert_eq!(indexes(by_key), Ok(vec![("by-id", vec![("id", N)])]), "also over the key");
        let odd = wares().indexed(&[Index {
            name: "by-size",
            key: &[IndexKey::Column("size")],
            shows: &[],
        }]);
        let why = indexes(odd).unwrap_err();
        assert!(
            why.contains("`wares`") && why.contains("`by-size`") && why.contains("`size`"),
            "{why}"
        );
    }

    #[test]
    fn a_key_of_three_columns_is_a_hash_and_a_text() {
        use ScalarAttributeType::{N, S};
        const ID: Column = Column::new("id", Type::Int);
        const WIDE: &[Column] = &[ID, NAME, PRICE];
        let key = |columns: usize| {
            let needed = Needed::of(&View::rows("wares", &WIDE[..columns], &[]));
            needed.expect("it can be").key
        };
        assert_eq!(key(1), [("id", N)]);
        assert_eq!(key(2), [("id", N), ("name", S)]);
        assert_eq!(key(3), [("id", N), ("sort_key", S)]);
    }
}
