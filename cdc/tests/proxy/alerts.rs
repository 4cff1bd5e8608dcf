//! Which requests put a name into `alerts_due`.
use serde_json::Value;

/// A threshold crossing that DynamoDB has taken down.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Crossing {
    pub table: String,
    /// The item's `product_id`.
    pub key: String,
    /// Of the alert: `o3:1234`.
    pub name: String,
}

const DUE: &str = "alerts_due";
const KEY: &str = "product_id";

/// What this request adds, if it is carried out.
pub fn crossings(operation: &str, body: &[u8]) -> Vec<Crossing> {
    let Ok(request) = serde_json::from_slice::<Value>(body) else { return vec![] };
    let (key, names) = match operation {
        "PutItem" => (&request["Item"][KEY], names_of(&request["Item"][DUE])),
        "UpdateItem" => (&request["Key"][KEY], added(&request)),
        _ => return vec![],
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let key = text(if key["N"].is_null() { &key["S"] } else { &key["N"] });
    let table = text(&request["TableName"]);
    names
        .into_iter()
        .map(|name| Crossing { table: table.clone(), key: key.clone(), name })
        .collect()
}

fn names_of(value: &Value) -> Vec<String> {
    let names = value["SS"].as_array().into_iter().flatten();
    names.filter_map(|name| Some(name.as_str()?.to_owned())).collect()
}

/// The operands of the ADD clause that are meant for `alerts_due`.
fn added(request: &Value) -> Vec<String> {
    let expression = request["UpdateExpression"].as_str().unwrap_or_default();
    let mut clause = "";
    let mut words = expression.split([' ', ',']).filter(|word| !word.is_empty());
    let mut names = vec![];
    while let Some(word) = words.next() {
        if let "SET" | "REMOVE" | "ADD" | "DELETE" = word {
            clause = word;
            continue;
        }
        if clause != "ADD" {
            continue;
        }
        let attribute = request["ExpressionAttributeNames"][word].as_str().unwrap_or(word);
        let operand = words.next().unwrap_or_default();
        if attribute == DUE {
            names.extend(names_of(&request["ExpressionAttributeValues"][operand]));
        }
    }
    names
}
