//! Requests and items as the AWS SDK knows them. One item a request: no batch calls, which report what they did not do
//! as done (`UnprocessedItems`).
use super::{
    errors::{Class, classify},
    key::Address,
    request::{Action, Change, Item, Request, Value, When},
};
use crate::{List, SinkError};
use aws_sdk_dynamodb::{
    Client,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    primitives::Blob,
    types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use std::collections::HashMap;
use views::Decimal;

pub type Attributes = HashMap<String, AttributeValue>;

/// What a request came to.
pub enum Answer {
    /// Done; the item as it is now.
    Done(Item),
    /// The condition did not hold; the item as it stands.
    Failed(Option<Item>),
    /// Never.
    Refused(String),
}

pub async fn send(
    client: &Client,
    table: &str,
    at: &Address,
    request: &Request,
) -> Result<Answer, SinkError> {
    let mut text = Text::default();
    let condition = text.condition(&request.condition);
    match &request.action {
        Action::Put(item) => {
            let mut whole = at.key.clone();
            whole.extend(
                at.columns.iter().map(|(name, value)| ((*name).to_owned(), attribute(value))),
            );
            whole.extend(item.iter().map(|(name, value)| (name.clone(), attribute(value))));
            let sent = client
                .put_item()
                .table_name(table)
                .set_item(Some(whole))
                .condition_expression(condition)
                .set_expression_attribute_names(text.names())
                .set_expression_attribute_values(text.values())
                .return_values_on_condition_check_failure(
                    ReturnValuesOnConditionCheckFailure::AllOld,
                )
                .send()
                .await;
            match sent {
                Ok(_) => Ok(Answer::Done(item.clone())),
                Err(e) => {
                    use aws_sdk_dynamodb::operation::put_item::PutItemError::ConditionalCheckFailedException as Failed;
                    if let Some(Failed(failed)) = e.as_service_error() {
                        return Ok(Answer::Failed(failed.item().map(item_of)));
                    }
                    refused_or(table, "PutItem", e)
                }
            }
        }
        Action::Update(changes) => {
            let update = text.update(changes);
            let sent = client
                .update_item()
                .table_name(table)
                .set_key(Some(at.key.clone()))
                .update_expression(update)
                .condition_expression(condition)
                .set_expression_attribute_names(text.names())
                .set_expression_attribute_values(text.values())
                .return_values(ReturnValue::AllNew)
                .return_values_on_condition_check_failure(
                    ReturnValuesOnConditionCheckFailure::AllOld,
                )
                .send()
                .await;
            match sent {
                Ok(done) => Ok(Answer::Done(done.attributes().map(item_of).unwrap_or_default())),
                Err(e) => {
                    use aws_sdk_dynamodb::operation::update_item::UpdateItemError::ConditionalCheckFailedException as Failed;
                    if let Some(Failed(failed)) = e.as_service_error() {
                        return Ok(Answer::Failed(failed.item().map(item_of)));
                    }
                    refused_or(table, "UpdateItem", e)
                }
            }
        }
    }
}

fn refused_or<E>(table: &str, call: &str, e: SdkError<E, HttpResponse>) -> Result<Answer, SinkError>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match classify(table, call, e) {
        Class::Refused(why) => Ok(Answer::Refused(why)),
        Class::Error(e) => Err(e),
    }
}

/// Expressions, with the names and values that they speak of.
#[derive(Default)]
struct Text {
    names: HashMap<String, String>,
    values: Attributes,
}
impl Text {
    fn names(&mut self) -> Option<HashMap<String, String>> {
        Some(std::mem::take(&mut self.names)).filter(|names| !names.is_empty())
    }
    fn values(&mut self) -> Option<Attributes> {
        Some(std::mem::take(&mut self.values)).filter(|values| !values.is_empty())
    }
    /// What the name is called in expressions: a number, since these take few characters.
    fn name(&mut self, name: &str) -> String {
        if let Some((alias, _)) = self.names.iter().find(|(_, known)| *known == name) {
            return alias.clone();
        }
        let alias = format!("#n{}", self.names.len());
        self.names.insert(alias.clone(), name.to_owned());
        alias
    }
    fn value(&mut self, value: &Value) -> String {
        let alias = format!(":v{}", self.values.len());
        self.values.insert(alias.clone(), attribute(value));
        alias
    }
    fn compare(&mut self, name: &str, how: &str, n: i128) -> String {
        format!("{} {how} {}", self.name(name), self.value(&Value::Int(n)))
    }
    fn condition(&mut self, when: &When) -> String {
        match when {
            When::Missing(name) => format!("attribute_not_exists({})", self.name(name)),
            When::Present(name) => format!("attribute_exists({})", self.name(name)),
            When::Is(name, value) => format!("{} = {}", self.name(name), self.value(value)),
            When::Below(name, n) => self.compare(name, "<", *n),
            When::AtLeast(name, n) => self.compare(name, ">=", *n),
            When::Above(name, n) => self.compare(name, ">", *n),
            When::AtMost(name, n) => self.compare(name, "<=", *n),
            When::All(list) => self.list(list, " AND "),
            When::Any(list) => self.list(list, " OR "),
        }
    }
    fn list(&mut self, list: &[When], between: &str) -> String {
        let parts: Vec<String> = list
            .iter()
            .map(|when| match when {
                When::All(_) | When::Any(_) => format!("({})", self.condition(when)),
                other => self.condition(other),
            })
            .collect();
        parts.join(between)
    }
    fn update(&mut self, changes: &[Change]) -> String {
        let (mut set, mut remove, mut add, mut delete) = (vec![], vec![], vec![], vec![]);
        for change in changes {
            match change {
                Change::Set(name, value) => {
                    set.push(format!("{} = {}", self.name(name), self.value(value)));
                }
                Change::SetEntry(name, value) => {
                    set.push(format!("{} = {}", self.name(name), self.value(value)));
                }
                Change::Grow(name, by) => {
                    let name = self.name(name);
                    set.push(format!("{name} = {name} + {}", self.value(&Value::Int(*by))));
                }
                Change::Less(name, from, other) => {
                    let (name, other) = (self.name(name), self.name(other));
                    set.push(format!("{name} = {} - {other}", self.value(&Value::Int(*from))));
                }
                Change::Remove(name) => remove.push(self.name(name)),
                Change::Insert(name, names) => {
                    add.push(format!(
                        "{} {}",
                        self.name(name),
                        self.value(&Value::Words(names.clone()))
                    ));
                }
                Change::Take(name, names) => {
                    delete.push(format!(
                        "{} {}",
                        self.name(name),
                        self.value(&Value::Words(names.clone()))
                    ));
                }
            }
        }
        let clauses = [("SET", set), ("REMOVE", remove), ("ADD", add), ("DELETE", delete)];
        let said = clauses
            .iter()
            .filter(|c| !c.1.is_empty())
            .map(|c| format!("{} {}", c.0, c.1.join(", ")));
        said.collect::<Vec<_>>().join(" ")
    }
}

pub fn attribute(value: &Value) -> AttributeValue {
    match value {
        Value::Int(n) => AttributeValue::N(n.to_string()),
        Value::Number(d) => AttributeValue::N(d.to_string()),
        Value::Text(s) => AttributeValue::S(s.clone()),
        Value::Bytes(b) => AttributeValue::B(Blob::new(b.clone())),
        Value::Words(s) => AttributeValue::Ss(s.iter().cloned().collect()),
        Value::Bool(is_so) => AttributeValue::Bool(*is_so),
        Value::List(list) => AttributeValue::L(list.0.iter().map(element).collect()),
    }
}
fn element(text: &Option<String>) -> AttributeValue {
    text.clone().map_or(AttributeValue::Null(true), AttributeValue::S)
}

/// Attributes of kinds that we never write are not ours, and left out.
pub fn item_of(attributes: &Attributes) -> Item {
    attributes.iter().filter_map(|(name, value)| Some((name.clone(), value_of(value)?))).collect()
}
pub fn value_of(value: &AttributeValue) -> Option<Value> {
    Some(match value {
        AttributeValue::N(text) => match text.parse() {
            Ok(n) => Value::Int(n),
            Err(_) => Value::Number(text.parse::<Decimal>().ok()?),
        },
        AttributeValue::S(s) => Value::Text(s.clone()),
        AttributeValue::B(b) => Value::Bytes(b.clone().into_inner()),
        AttributeValue::Ss(words) => Value::Words(words.iter().cloned().collect()),
        AttributeValue::Bool(is_so) => Value::Bool(*is_so),
        AttributeValue::L(list) => {
            Value::List(List(list.iter().map(text_of).collect::<Option<_>>()?))
        }
        _ => return None,
    })
}
/// An element of a list of texts.
fn text_of(value: &AttributeValue) -> Option<Option<String>> {
    match value {
        AttributeValue::S(text) => Some(Some(text.clone())),
        AttributeValue::Null(true) => Some(None),
        _ => None,
    }
}
