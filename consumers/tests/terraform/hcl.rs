//! Terraform's files, evaluated as far as these tests need it: variables, locals, `for_each`, dynamic blocks. What only
//! an account knows (ARNs) is made up from names.
use hcl::{
    Body, Expression, Identifier, Map, Value,
    eval::{Context, Evaluate, FuncArgs, FuncDef, ParamType},
    structure::Block,
};
use std::{collections::BTreeMap, path::Path};

/// A block's arguments, with the blocks in it as lists under their names.
pub type Json = serde_json::Value;

pub const BUCKET: &str = "arn:aws:s3:::bucket";
pub fn table_arn(name: &str) -> String {
    format!("arn:aws:dynamodb:table/{name}")
}

/// Every file of the folder, one after the other.
pub fn read() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../terraform");
    let files =
        std::fs::read_dir(folder).expect("terraform/").map(|entry| entry.expect("a file").path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|e| e == "tf")).collect();
    files.sort();
    let texts = files.iter().map(|path| std::fs::read_to_string(path).expect("text"));
    texts.collect::<Vec<_>>().join("\n")
}

pub struct Terraform {
    body: Body,
    known: Map<String, Value>,
}

impl Terraform {
    /// `set`: the variables, as they are written in HCL.
    pub fn evaluate(text: &str, set: &[(&str, &str)]) -> Result<Self, String> {
        let body = hcl::parse(text).map_err(|e| e.to_string())?;
        let mut this = Self { body, known: Map::new() };
        let defaults = this.blocks("variable").filter_map(|block| {
            let default = block.body().attributes().find(|attribute| attribute.key() == "default");
            Some((block.labels()[0].as_str().to_owned(), default?.expr().clone()))
        });
        let mut variables: Vec<(String, Expression)> = defaults.collect();
        for (name, value) in set {
            let value: Expression = value.parse().map_err(|e| format!("{name} = {value}: {e}"))?;
            variables.push(((*name).to_owned(), value));
        }
        let values =
            variables.iter().map(|(name, value)| Ok((name.clone(), this.value(value, &[])?)));
        let mut values = values.collect::<Result<Map<_, _>, String>>()?;
        // The defaults of its optional attributes.
        let days = [
            ("report_history", 400),
            ("replaced_reports", 30),
            ("replaced_letters", 90),
            ("replaced_state", 7),
        ];
        if let Some(Value::Object(retention)) = values.get_mut("retention_days") {
            retention.entry("letters".to_owned()).or_insert(Value::Null);
            for (name, days) in days {
                retention.entry(name.to_owned()).or_insert(Value::from(days));
            }
        }
        this.known.insert("var".to_owned(), Value::Object(values));
        let bucket = Map::from_iter(
            [("arn", BUCKET), ("id", "bucket")].map(|(k, v)| (k.to_owned(), v.into())),
        );
        let bucket = Value::Object(bucket);
        this.known.insert("aws_s3_bucket".to_owned(), object("data", bucket));
        let documents = this.blocks("data").map(|block| block.labels()[1].as_str());
        let documents: Map<_, _> =
            documents.map(|name| (name.to_owned(), object("json", name.into()))).collect();
        let documents = Value::Object(documents);
        this.known.insert("data".to_owned(), object("aws_iam_policy_document", documents));
        this.locals()?;
        Ok(this)
    }

    /// They speak of each other, in any order.
    fn locals(&mut self) -> Result<(), String> {
        let blocks: Vec<Block> = self.blocks("locals").cloned().collect();
        let mut open: Vec<_> = blocks.iter().flat_map(|block| block.body().attributes()).collect();
        let mut locals = Map::new();
        while !open.is_empty() {
            let before = open.len();
            let mut trouble = String::new();
            open.retain(|local| match self.value(local.expr(), &[]) {
                Ok(value) => {
                    locals.insert(local.key().to_owned(), value);
                    false
                }
                Err(why) => {
                    trouble = format!("local.{}: {why}", local.key());
                    true
                }
            });
            if open.len() == before {
                return Err(trouble);
            }
            if let Some(Value::Object(tables)) = locals.get("tables") {
                let arns =
                    tables.keys().map(|name| (name.clone(), object("arn", table_arn(name).into())));
                let arns = Value::Object(arns.collect());
                self.known.insert("aws_dynamodb_table".to_owned(), object("view", arns));
            }
            self.known.insert("local".to_owned(), Value::Object(locals.clone()));
        }
        Ok(())
    }

    fn blocks(&self, kind: &str) -> impl Iterator<Item = &Block> {
        self.body.blocks().filter(move |block| block.identifier() == kind)
    }

    fn value(&self, expression: &Expression, more: &[(&str, Value)]) -> Result<Value, String> {
        let mut context = Context::new();
        let any = |function| FuncDef::builder().variadic_param(ParamType::Any).build(function);
        for (name, function) in FUNCTIONS {
            context.declare_func(*name, any(*function));
        }
        for (name, value) in &self.known {
            context.declare_var(Identifier::unchecked(name), value.clone());
        }
        for (name, value) in more {
            context.declare_var(Identifier::unchecked(*name), value.clone());
        }
        expression.evaluate(&context).map_err(|e| e.to_string())
    }

    /// What a resource or a data source comes to, by its key (`""` without `for_each`).
    pub fn instances(&self, kind: &str, name: &str) -> Result<BTreeMap<String, Json>, String> {
        let is_it = |block: &&Block| {
            block.labels().len() == 2
                && block.labels()[0].as_str() == kind
                && block.labels()[1].as_str() == name
        };
        let block = self.body.blocks().find(is_it).ok_or(format!("no {kind}.{name}"))?;
        let Some(each) = block.body().attributes().find(|a| a.key() == "for_each") else {
            let json = self.expand(block.body(), &[])?;
            return Ok([(String::new(), json)].into());
        };
        let made = pairs(self.value(each.expr(), &[])?).into_iter().map(|(key, value)| {
            let each =
                Map::from_iter([("key".to_owned(), key.clone()), ("value".to_owned(), value)]);
            let json = self.expand(block.body(), &[("each", Value::Object(each))])?;
            Ok((key.as_str().unwrap_or_default().to_owned(), json))
        });
        made.collect()
    }

    fn expand(&self, body: &Body, more: &[(&str, Value)]) -> Result<Json, String> {
        let mut out = serde_json::Map::new();
        for attribute in body.attributes() {
            if matches!(attribute.key(), "for_each" | "depends_on") {
                continue;
            }
            let value = self.value(attribute.expr(), more)?;
            out.insert(
                attribute.key().to_owned(),
                serde_json::to_value(value).map_err(|e| e.to_string())?,
            );
        }
        for block in body.blocks() {
            let (name, made) = match block.identifier() {
                "dynamic" => self.dynamic(block, more)?,
                name => (name.to_owned(), vec![self.expand(block.body(), more)?]),
            };
            let list = out.entry(name).or_insert_with(|| Json::Array(Vec::new()));
            list.as_array_mut().ok_or("a block and an argument of one name")?.extend(made);
        }
        Ok(Json::Object(out))
    }

    fn dynamic(
        &self,
        block: &Block,
        more: &[(&str, Value)],
    ) -> Result<(String, Vec<Json>), String> {
        let name = block.labels()[0].as_str();
        let each =
            block.body().attributes().find(|a| a.key() == "for_each").ok_or("no for_each")?;
        let content =
            block.body().blocks().find(|b| b.identifier() == "content").ok_or("no content")?;
        let made = pairs(self.value(each.expr(), more)?).into_iter().map(|(key, value)| {
            let this = Map::from_iter([("key".to_owned(), key), ("value".to_owned(), value)]);
            let mut more = more.to_vec();
            more.push((name, Value::Object(this)));
            self.expand(content.body(), &more)
        });
        Ok((name.to_owned(), made.collect::<Result<_, _>>()?))
    }
}

fn object(key: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(key.to_owned(), value)]))
}

/// What `for_each` goes over.
fn pairs(value: Value) -> Vec<(Value, Value)> {
    match value {
        Value::Object(map) => map.into_iter().map(|(key, value)| (key.into(), value)).collect(),
        Value::Array(list) => list.into_iter().map(|value| (value.clone(), value)).collect(),
        _ => Vec::new(),
    }
}

type Function = fn(FuncArgs) -> Result<Value, String>;
const FUNCTIONS: &[(&str, Function)] = &[
    ("concat", |args| lists(args).map(|lists| lists.concat().into())),
    ("contains", |args| {
        let [list, wanted] = &args[..] else { return Err("contains(list, value)".to_owned()) };
        Ok(list.as_array().is_some_and(|list| list.contains(wanted)).into())
    }),
    ("flatten", |args| {
        let mut lists = lists(args)?;
        let inner = lists.remove(0).into_iter().map(|list| match list {
            Value::Array(list) => list,
            one => vec![one],
        });
        Ok(inner.collect::<Vec<_>>().concat().into())
    }),
    ("jsonencode", |args| {
        serde_json::to_string(&args.into_values()).map(Value::from).map_err(|e| e.to_string())
    }),
    ("keys", |args| {
        let [Value::Object(map)] = &args[..] else { return Err("keys(map)".to_owned()) };
        Ok(map.keys().cloned().map(Value::from).collect::<Vec<_>>().into())
    }),
    ("length", |args| match &args[..] {
        [Value::Array(list)] => Ok(list.len().into()),
        [Value::Object(map)] => Ok(map.len().into()),
        _ => Err("length(list)".to_owned()),
    }),
    ("merge", |args| {
        let mut merged = Map::new();
        for value in args.into_values() {
            let Value::Object(map) = value else { return Err("merge(map, ...)".to_owned()) };
            merged.extend(map);
        }
        Ok(Value::Object(merged))
    }),
    ("toset", |args| Ok(args[0].clone())),
    ("tostring", |args| match &args[..] {
        [Value::Number(n)] => Ok(n.to_string().into()),
        _ => Err("tostring(number)".to_owned()),
    }),
];

fn lists(args: FuncArgs) -> Result<Vec<Vec<Value>>, String> {
    let list = |value| match value {
        Value::Array(list) => Ok(list),
        _ => Err("a list is wanted".to_owned()),
    };
    args.into_values().into_iter().map(list).collect()
}
