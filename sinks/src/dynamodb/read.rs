//! What readers see, for tests: hidden items left out, every page, consistent.
use super::{
    DynamoDb, Table,
    errors::{Class, classify},
    key,
    keyed::LIVE,
    request::Value,
    wire::{self, Attributes},
};
use crate::{Cell, Column, SinkError, Type};
use anyhow::anyhow;
use aws_sdk_dynamodb::types::AttributeValue;
use std::collections::{BTreeMap, BTreeSet};
use views::Decimal;

impl DynamoDb {
    /// Every row of a view, by key.
    pub async fn rows(&self, view: &str) -> Result<BTreeMap<Vec<Cell>, Vec<Cell>>, SinkError> {
        let table = self.table(view)?;
        let mut rows = BTreeMap::new();
        let mut from: Option<Attributes> = None;
        loop {
            let page = self
                .client
                .scan()
                .table_name(&table.name)
                .consistent_read(true)
                .filter_expression("attribute_exists(#shown)")
                .expression_attribute_names("#shown", table.shape.shown_by())
                .set_exclusive_start_key(from)
                .send()
                .await
                .map_err(|e| error(&table.name, "Scan", e))?;
            for item in page.items() {
                let row = table.view.columns.iter().map(|column| cell(column, item)).collect();
                rows.insert(key::cells(&table.view, item), row);
            }
            from = page.last_evaluated_key;
            if from.is_none() {
                return Ok(rows);
            }
        }
    }

    /// The second key column of every row whose first is `token`.
    pub async fn search_by_token(
        &self,
        view: &str,
        token: &str,
    ) -> Result<BTreeSet<Cell>, SinkError> {
        let table = self.table(view)?;
        let [word, product] = table.view.key else {
            return Err(SinkError::Fatal(anyhow!("view `{view}` has no tokens to search by")));
        };
        let mut found = BTreeSet::new();
        let mut from: Option<Attributes> = None;
        loop {
            let page = self
                .client
                .query()
                .table_name(&table.name)
                .consistent_read(true)
                .key_condition_expression("#token = :token")
                .filter_expression(format!("attribute_exists({LIVE})"))
                .expression_attribute_names("#token", word.name)
                .expression_attribute_values(":token", AttributeValue::S(token.to_owned()))
                .set_exclusive_start_key(from)
                .send()
                .await
                .map_err(|e| error(&table.name, "Query", e))?;
            found.extend(page.items().iter().map(|item| cell(product, item)));
            from = page.last_evaluated_key;
            if from.is_none() {
                return Ok(found);
            }
        }
    }

    pub(super) fn table(&self, view: &str) -> Result<&Table, SinkError> {
        let found = self.tables.iter().find(|table| table.view.name == view);
        found.ok_or_else(|| SinkError::Fatal(anyhow!("view `{view}` has no DynamoDB table")))
    }
}

pub fn error<E>(
    table: &str,
    call: &str,
    e: aws_sdk_dynamodb::error::SdkError<E, aws_sdk_dynamodb::config::http::HttpResponse>,
) -> SinkError
where
    E: aws_sdk_dynamodb::error::ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match classify(table, call, e) {
        Class::Error(e) => e,
        Class::Refused(why) => SinkError::Fatal(anyhow!(why)),
    }
}

/// An attribute as its column has it; one that is not there is null, or the empty set.
pub(super) fn cell(column: &Column, item: &Attributes) -> Cell {
    let value = item.get(column.name).and_then(wire::value_of);
    match (value, column.kind) {
        (None, Type::Words) => Cell::Words(BTreeSet::new()),
        (None, _) => Cell::Null,
        (Some(Value::Int(n)), Type::Float) => float(&n.to_string()),
        (Some(Value::Number(d)), Type::Float) => float(&d.to_string()),
        (Some(Value::Int(n)), Type::Decimal) => Cell::Decimal(Decimal::from_parts(n, 0)),
        (Some(Value::Int(n)), kind) => match i64::try_from(n) {
            Ok(n) if kind == Type::Time => Cell::Time(n),
            Ok(n) => Cell::Int(n),
            Err(_) => Cell::Decimal(Decimal::from_parts(n, 0)),
        },
        (Some(Value::Number(d)), _) => Cell::Decimal(d),
        (Some(Value::Text(s)), kind) => text(kind, s),
        (Some(Value::Words(words)), _) => Cell::Words(words),
        (Some(Value::Bool(is_so)), _) => Cell::Bool(is_so),
        (Some(Value::List(list)), _) => Cell::List(list),
        (Some(Value::Bytes(bytes)), Type::Bytes) => Cell::Bytes(bytes),
        // Never written into such a column: shows as a difference.
        (Some(Value::Bytes(b)), _) => Cell::Text(format!("{} bytes", b.len())),
    }
}
fn float(number: &str) -> Cell {
    Cell::parse(Type::Float, number).unwrap_or_else(|| number.into())
}
/// A text as the column has it, if that is what is written for the value; as text it shows as a difference.
fn text(kind: Type, text: String) -> Cell {
    let is_written = |cell: &Cell| Value::of_key(cell) == Some(Value::Text(text.clone()));
    Cell::parse(kind, &text).filter(is_written).unwrap_or(Cell::Text(text))
}
