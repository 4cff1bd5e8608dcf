//! One letter. Its key and value may be personal data: they are shown, or written to files, when that is asked for.
use super::{Stop, flag, json, letters::Item, place, table::summary};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::{Arg, ArgMatches, Command};
use consumers::config;
use serde_json::{Value, json};
use sinks::{
    dlq::{read_letter, read_mark},
    objects::Objects,
};
use std::{io::Write as _, path::PathBuf, process::ExitCode};

pub fn command() -> Command {
    let file = |name: &'static str, help: &'static str| {
        let arg = Arg::new(name).long(name).value_name("FILE").help(help);
        arg.value_parser(clap::value_parser!(PathBuf))
    };
    let command = Command::new("show")
        .about("Shows one letter: where it comes from, what is wrong, what became of it")
        .arg(Arg::new("name").required(true).value_name("NAME").help("As `cdc dlq list` says it"))
        .after_help(
            "Examples:\n  \
             cdc dlq show --dlq dir:dlq inventory-service/dbserver1.public.products/0/895.json\n  \
             cdc dlq show --dlq s3://my-bucket/dlq NAME --value-out value.json --key-out key.json\n  \
             cdc dlq show --dlq s3://my-bucket/dlq NAME --raw | jq .payload.after",
        );
    config::some(command, &super::PLACE)
        .arg(file("value-out", "Writes the record's value to this file, byte for byte"))
        .arg(file("key-out", "Writes its key"))
        .arg(flag("raw", "Writes the value to standard output, byte for byte, and nothing else"))
        .arg(flag("show-values", "Shows key, value and headers' values too"))
        .arg(json().conflicts_with("raw"))
}

pub async fn run(matches: &ArgMatches) -> Result<ExitCode, Stop> {
    let objects = place(matches).await?;
    let name = matches.get_one::<String>("name").map_or("", String::as_str);
    let item = find(&*objects, name).await?;
    let letter = &item.found.letter;
    for (arg, what, bytes) in
        [("value-out", "value", &letter.value), ("key-out", "key", &letter.key)]
    {
        let Some(path) = matches.get_one::<PathBuf>(arg) else { continue };
        let none = || anyhow::anyhow!("{name}: the record has no {what}; nothing was written");
        let bytes = bytes.as_deref().ok_or_else(none)?;
        std::fs::write(path, bytes)
            .map_err(|e| anyhow::anyhow!("{} cannot be written: {e}", path.display()))?;
    }
    if matches.get_flag("raw") {
        let none = || anyhow::anyhow!("{name}: the record has no value (a tombstone)");
        let mut out = std::io::stdout().lock();
        out.write_all(letter.value.as_deref().ok_or_else(none)?)?;
        out.flush()?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut shown = summary(&item);
    if matches.get_flag("show-values") {
        show_values(&mut shown, &item);
    }
    let text = match matches.get_flag("json") {
        true => format!("{shown:#}\n"),
        false => lines(&shown),
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

async fn find(objects: &dyn Objects, name: &str) -> Result<Item, Stop> {
    let is_name = !name.split('/').any(|part| matches!(part, "" | "." | ".."));
    let found = if is_name { read_letter(objects, name).await? } else { None };
    let Some(found) = found else {
        let at = objects.address("");
        let why = format!("no letter has the name {name} below {at}: `cdc dlq list` names them");
        return Err(Stop::Failed(anyhow::anyhow!(why)));
    };
    let (mark, address) = (read_mark(objects, name).await?, objects.address(name));
    Ok(Item { name: name.to_owned(), address, found, mark })
}

fn show_values(shown: &mut Value, item: &Item) {
    let text = |bytes: &Option<Vec<u8>>| match bytes.as_deref().map(std::str::from_utf8) {
        None => Value::Null,
        Some(Ok(text)) => json!(text),
        Some(Err(_)) => json!({"base64": bytes.as_ref().map(|bytes| STANDARD.encode(bytes))}),
    };
    let letter = &item.found.letter;
    shown["key"] = text(&letter.key);
    shown["value"] = text(&letter.value);
    let header =
        |(name, value): &(String, Option<Vec<u8>>)| json!({"name": name, "value": text(value)});
    shown["headers"] = letter.headers.iter().map(header).collect();
}

fn lines(shown: &Value) -> String {
    let mut text = String::new();
    let empty = serde_json::Map::new();
    for (name, value) in shown.as_object().unwrap_or(&empty) {
        let value = match value {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        text.push_str(&format!("{name:<13} {value}\n"));
    }
    text
}
