//! What answers as DynamoDB does, at next to no cost: tables in memory, each request carried out alone. It knows the
//! calls that the services, `cdc doctor` and the tests of `sinks` make, holds items, and checks conditions as DynamoDB
//! documents it. What it does not know, it refuses, so that nothing passes unnoticed.
//!
//! Absent on purpose: signatures, indexes, capacity, expiry, pages, anything durable.
mod attribute;
mod expression;

pub use attribute::{Attribute, Item, Number};

use expression::{Expressions, Given};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

/// Of an item, names and values together.
const ITEM_BYTES_MAX: usize = 400 * 1024;

/// Why a request is refused, as DynamoDB says it.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// Without its namespace.
    pub kind: &'static str,
    /// For people.
    pub message: String,
    /// The item that a condition did not hold for, if it was asked for.
    pub item: Option<Item>,
}
impl Refused {
    fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), item: None }
    }
    /// The request itself is wrong.
    fn invalid(message: impl Into<String>) -> Self {
        Self::new("ValidationException", message)
    }
    /// The body of the answer.
    pub fn body(&self) -> Value {
        let kind = format!("com.amazonaws.dynamodb.v20120810#{}", self.kind);
        let mut body = json!({ "__type": kind, "message": self.message });
        if let Some(item) = &self.item {
            body["Item"] = json!(item);
        }
        body
    }
}
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

/// What was asked of it since it began.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Requests by operation, whatever they came to.
    pub requests: BTreeMap<String, u64>,
    /// Items written, by table.
    pub writes: BTreeMap<String, u64>,
    /// Conditions that did not hold, by table. DynamoDB bills each as a write.
    pub failed: BTreeMap<String, u64>,
}

/// One write that took place.
#[derive(Debug, Clone, PartialEq)]
pub struct Written<'a> {
    pub table: &'a str,
    /// Names of the key's attributes.
    pub key: &'a [String],
    pub item: &'a Item,
}

struct Table {
    /// Names of the key's attributes: the hash, and the range if there is one.
    key: Vec<String>,
    /// As `DescribeTable` tells it.
    description: Value,
    /// The attribute that items expire by, if that is on.
    expiry: Option<String>,
    items: HashMap<Vec<Attribute>, Item, foldhash::fast::RandomState>,
}

/// All tables.
#[derive(Default)]
pub struct Store {
    tables: BTreeMap<String, Table>,
    counts: Counts,
    expressions: Expressions,
}

/// A request for one item, or for several: the fields of all calls that read or write items.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Call {
    table_name: String,
    #[serde(default)]
    key: Item,
    #[serde(default)]
    item: Item,
    update_expression: Option<String>,
    condition_expression: Option<String>,
    filter_expression: Option<String>,
    key_condition_expression: Option<String>,
    #[serde(default)]
    expression_attribute_names: HashMap<String, String>,
    #[serde(default)]
    expression_attribute_values: HashMap<String, Attribute>,
    return_values: Option<String>,
    return_values_on_condition_check_failure: Option<String>,
    segment: Option<u64>,
    total_segments: Option<u64>,
    #[serde(flatten)]
    others: HashMap<String, Value>,
}
impl Call {
    /// What alters nothing here: how much to tell of what is not counted, and that a read is to be consistent, as all
    /// are.
    const HARMLESS: [&str; 3] =
        ["ConsistentRead", "ReturnConsumedCapacity", "ReturnItemCollectionMetrics"];

    fn read(body: &[u8]) -> Result<Self, Refused> {
        let call: Self = serde_json::from_slice(body)
            .map_err(|e| Refused::new("SerializationException", e.to_string()))?;
        match call.others.keys().find(|name| !Self::HARMLESS.contains(&name.as_str())) {
            Some(name) => Err(Refused::invalid(format!("the stand-in does not know `{name}`"))),
            None => Ok(call),
        }
    }
    fn given(&self) -> Given<'_> {
        Given { names: &self.expression_attribute_names, values: &self.expression_attribute_values }
    }
}

impl Store {
    /// Makes a table whose key has these attributes, all of them numbers as far as `DescribeTable` says.
    pub fn make(&mut self, name: &str, key: &[&str]) {
        let kinds = ["HASH", "RANGE"];
        let schema: Vec<Value> = key
            .iter()
            .zip(kinds)
            .map(|(name, kind)| json!({ "AttributeName": name, "KeyType": kind }))
            .collect();
        let attributes: Vec<Value> =
            key.iter().map(|name| json!({ "AttributeName": name, "AttributeType": "N" })).collect();
        let asked = json!({ "KeySchema": schema, "AttributeDefinitions": attributes });
        self.insert(name, &asked);
    }
    fn insert(&mut self, name: &str, asked: &Value) {
        let key = asked["KeySchema"].as_array().into_iter().flatten();
        let key = key.filter_map(|part| part["AttributeName"].as_str().map(str::to_owned));
        let mut indexes = asked["GlobalSecondaryIndexes"].clone();
        for index in indexes.as_array_mut().into_iter().flatten() {
            index["IndexStatus"] = json!("ACTIVE");
        }
        let mut description = json!({
            "TableName": name,
            "TableStatus": "ACTIVE",
            "TableArn": format!("arn:aws:dynamodb:us-east-1:000000000000:table/{name}"),
            "KeySchema": asked["KeySchema"],
            "AttributeDefinitions": asked["AttributeDefinitions"],
            "BillingModeSummary": { "BillingMode": "PAY_PER_REQUEST" },
        });
        if !indexes.is_null() {
            description["GlobalSecondaryIndexes"] = indexes;
        }
        let items = HashMap::default();
        let table = Table { key: key.collect(), description, expiry: None, items };
        self.tables.insert(name.to_owned(), table);
    }

    /// What was asked of it so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }
    /// Every item of a table, hidden or not.
    pub fn items(&self, table: &str) -> impl Iterator<Item = &Item> {
        self.tables.get(table).into_iter().flat_map(|table| table.items.values())
    }

    /// Carries out one request: the operation as the header `x-amz-target` names it behind the point, and its body. Tells
    /// `seen` of every write that takes place.
    ///
    /// # Errors
    /// As DynamoDB refuses, and for all that is not known here.
    pub fn answer(
        &mut self,
        operation: &str,
        body: &[u8],
        seen: impl FnMut(Written<'_>),
    ) -> Result<Value, Refused> {
        match self.counts.requests.get_mut(operation) {
            Some(count) => *count += 1,
            None => drop(self.counts.requests.insert(operation.to_owned(), 1)),
        }
        match operation {
            "PutItem" | "UpdateItem" | "DeleteItem" => {
                self.write(operation, Call::read(body)?, seen)
            }
            "GetItem" => self.get(&Call::read(body)?),
            "Scan" | "Query" => self.scan(&Call::read(body)?),
            "CreateTable" | "DescribeTable" | "UpdateTable" | "DescribeTimeToLive"
            | "UpdateTimeToLive" => {
                let asked = serde_json::from_slice(body)
                    .map_err(|e| Refused::new("SerializationException", e.to_string()))?;
                self.manage(operation, &asked)
            }
            _ => Err(Refused::new("UnknownOperationException", operation)),
        }
    }

    fn write(
        &mut self,
        operation: &str,
        mut call: Call,
        mut seen: impl FnMut(Written<'_>),
    ) -> Result<Value, Refused> {
        let table = self.tables.get_mut(&call.table_name).ok_or_else(no_table)?;
        let of = if operation == "PutItem" { &call.item } else { &call.key };
        let key = table.key_in(of, operation != "PutItem")?;
        let old = table.items.get(&key);
        let nothing = Item::new();
        if let Some(text) = &call.condition_expression {
            let condition = self.expressions.condition(text)?;
            if !condition.holds(old.unwrap_or(&nothing), call.given())? {
                count(&mut self.counts.failed, &call.table_name);
                let kind = "ConditionalCheckFailedException";
                let mut refused = Refused::new(kind, "The conditional request failed");
                if call.return_values_on_condition_check_failure.as_deref() == Some("ALL_OLD") {
                    refused.item = old.cloned();
                }
                return Err(refused);
            }
        }
        let new = match operation {
            "PutItem" => Some(std::mem::take(&mut call.item)),
            "UpdateItem" => {
                let mut new = old.unwrap_or(&call.key).clone();
                if let Some(text) = &call.update_expression {
                    let update = self.expressions.update(text)?;
                    update.change(&mut new, call.given())?;
                }
                let is_same_key = table.key_in(&new, false).is_ok_and(|new| new == key);
                if !is_same_key {
                    let why = "One or more parameter values were invalid: Cannot update attribute of the key. \
                               This attribute is part of the key";
                    return Err(Refused::invalid(why));
                }
                Some(new)
            }
            _ => None,
        };
        let returned = match (call.return_values.as_deref(), &new) {
            (None | Some("NONE"), _) => None,
            (Some("ALL_NEW"), Some(new)) => Some(new.clone()),
            (Some("ALL_OLD"), _) => old.cloned(),
            (Some(other), _) => {
                return Err(Refused::invalid(format!("the stand-in does not return {other}")));
            }
        };
        match new {
            Some(new) => {
                if attribute::size(&new) > ITEM_BYTES_MAX {
                    let why = "Item size has exceeded the maximum allowed size";
                    return Err(Refused::invalid(why));
                }
                seen(Written { table: &call.table_name, key: &table.key, item: &new });
                table.items.insert(key, new);
            }
            None => drop(table.items.remove(&key)),
        }
        count(&mut self.counts.writes, &call.table_name);
        Ok(match returned {
            Some(item) => json!({ "Attributes": item }),
            None => json!({}),
        })
    }

    fn get(&self, call: &Call) -> Result<Value, Refused> {
        let table = self.tables.get(&call.table_name).ok_or_else(no_table)?;
        Ok(match table.items.get(&table.key_in(&call.key, true)?) {
            Some(item) => json!({ "Item": item }),
            None => json!({}),
        })
    }

    fn scan(&mut self, call: &Call) -> Result<Value, Refused> {
        let table = self.tables.get(&call.table_name).ok_or_else(no_table)?;
        let mut found = Vec::new();
        let filters = [&call.key_condition_expression, &call.filter_expression];
        let filters: Vec<_> = filters
            .into_iter()
            .flatten()
            .map(|text| self.expressions.condition(text))
            .collect::<Result<_, _>>()?;
        for (at, item) in (0..).zip(table.items.values()) {
            // Which items a segment has is DynamoDB's affair, as long as each is in one of them.
            if call.total_segments.is_some_and(|all| at % all.max(1) != call.segment.unwrap_or(0)) {
                continue;
            }
            let mut is_wanted = true;
            for filter in &filters {
                is_wanted = is_wanted && filter.holds(item, call.given())?;
            }
            if is_wanted {
                found.push(item);
            }
        }
        Ok(json!({ "Items": found, "Count": found.len(), "ScannedCount": table.items.len() }))
    }

    fn manage(&mut self, operation: &str, asked: &Value) -> Result<Value, Refused> {
        let name = asked["TableName"].as_str().unwrap_or_default();
        if operation == "CreateTable" {
            if self.tables.contains_key(name) {
                let why = format!("Table already exists: {name}");
                return Err(Refused::new("ResourceInUseException", why));
            }
            self.insert(name, asked);
        }
        let table = self.tables.get_mut(name).ok_or_else(no_table)?;
        match operation {
            "UpdateTimeToLive" => {
                let wanted = &asked["TimeToLiveSpecification"];
                let named = wanted["AttributeName"].as_str().map(str::to_owned);
                table.expiry = named.filter(|_| wanted["Enabled"] == json!(true));
                Ok(json!({ "TimeToLiveSpecification": wanted }))
            }
            "DescribeTimeToLive" => {
                let expiry = match &table.expiry {
                    Some(name) => json!({ "AttributeName": name, "TimeToLiveStatus": "ENABLED" }),
                    None => json!({ "TimeToLiveStatus": "DISABLED" }),
                };
                Ok(json!({ "TimeToLiveDescription": expiry }))
            }
            "UpdateTable" => {
                let Value::Object(made) = &mut table.description else { return Err(no_table()) };
                if let Some(attributes) = asked.get("AttributeDefinitions") {
                    made.insert("AttributeDefinitions".to_owned(), attributes.clone());
                }
                let indexes = made.entry("GlobalSecondaryIndexes").or_insert_with(|| json!([]));
                let updates = asked["GlobalSecondaryIndexUpdates"].as_array();
                for update in updates.into_iter().flatten() {
                    let mut index = update["Create"].clone();
                    index["IndexStatus"] = json!("ACTIVE");
                    if let Some(indexes) = indexes.as_array_mut() {
                        indexes.push(index);
                    }
                }
                Ok(json!({ "TableDescription": table.description }))
            }
            "CreateTable" => Ok(json!({ "TableDescription": table.description })),
            _ => Ok(json!({ "Table": table.description })),
        }
    }
}

impl Table {
    /// The key's values in this item, which must be all there is in it if `alone`.
    fn key_in(&self, item: &Item, alone: bool) -> Result<Vec<Attribute>, Refused> {
        if alone && item.len() != self.key.len() {
            let why = "The provided key element does not match the schema";
            return Err(Refused::invalid(why));
        }
        let value = |name: &String| match item.get(name) {
            Some(value @ (Attribute::N(_) | Attribute::S(_) | Attribute::B(_))) => {
                if matches!(value, Attribute::S(text) | Attribute::B(text) if text.is_empty()) {
                    let why = "One or more parameter values are not valid. The AttributeValue for a key attribute \
                               cannot contain an empty string value.";
                    return Err(Refused::invalid(why));
                }
                Ok(value.clone())
            }
            Some(_) => Err(Refused::invalid(format!(
                "One or more parameter values were invalid: Type mismatch for key {name}"
            ))),
            None => Err(Refused::invalid(format!(
                "One or more parameter values were invalid: Missing the key {name} in the item"
            ))),
        };
        self.key.iter().map(value).collect()
    }
}

fn no_table() -> Refused {
    Refused::new("ResourceNotFoundException", "Requested resource not found")
}
fn count(counts: &mut BTreeMap<String, u64>, table: &str) {
    match counts.get_mut(table) {
        Some(count) => *count += 1,
        None => drop(counts.insert(table.to_owned(), 1)),
    }
}

#[cfg(test)]
mod tests;
