//! Where records come from and where things are kept, as people write it: with `~/`, as URLs, as on Windows.
use super::{Placement, Service, Sink, Source, reading::Check};
use sinks::objects::Place;
use std::collections::BTreeMap;

type Env<'a> = &'a [(String, String)];

impl Check {
    pub(super) fn source(&mut self, env: Env<'_>) -> Option<Source> {
        let text = self.text("source")?;
        let found = match text.strip_prefix("ndjson:") {
            None if text == "kafka" => return Some(Source::Kafka),
            None if is_like_a_file(&text) => {
                Err(format!("give kafka or ndjson:PATH; a file needs its kind: ndjson:{text}"))
            }
            Some("") | None => Err("give kafka or ndjson:PATH".to_owned()),
            Some(path) => local(path, env),
        };
        found.map(Source::Ndjson).map_err(|why| self.wrong("source", &format!("{why}."))).ok()
    }

    pub(super) fn sink(&mut self, service: Service, env: Env<'_>) -> Option<Sink> {
        let text = self.text("sink")?;
        let found = match text.split_once(':') {
            None if text == "aws" => return Some(Sink::in_aws(service)),
            Some(("sqlite", rest)) => {
                path(rest, env).map(|file| file.map(|file| Sink::Sqlite(file.into())))
            }
            Some(("dir", rest)) => path(rest, env).map(|dir| dir.map(|dir| Sink::Dir(dir.into()))),
            _ => Ok(None),
        };
        let form = || "give aws, sqlite:FILE or dir:DIR".to_owned();
        let found = found.and_then(|found| found.ok_or_else(form));
        found.map_err(|why| self.wrong("sink", &format!("{why}."))).ok()
    }

    pub(super) fn placement(&mut self) -> Option<Placement> {
        let choices = [("default", Placement::Default), ("custom", Placement::Custom)];
        self.one_of("placement", &choices)
    }

    pub(super) fn topic_partitions(
        &mut self,
        source: Option<&Source>,
        topics: &[String],
    ) -> Option<BTreeMap<String, i32>> {
        const NAME: &str = "topic-partitions";
        let text = self.text(NAME).unwrap_or_default();
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let mut told = BTreeMap::new();
        for entry in entries {
            if source == Some(&Source::Kafka) {
                self.wrong(NAME, "Kafka knows it: this is for --source ndjson:PATH only.");
                return None;
            }
            let (topic, count) = entry.split_once('=').unwrap_or((entry, ""));
            let (topic, count) = (topic.trim(), count.trim().parse::<i32>().ok());
            let Some(count) = count.filter(|n| (1..=100_000).contains(n)) else {
                let why = format!("`{entry}` is not TOPIC=N with a whole number from 1 to 100000.");
                self.wrong(NAME, &why);
                return None;
            };
            if !topics.iter().any(|known| known == topic) {
                let why = format!(
                    "`{topic}` is no topic that is read here; these are: {}.",
                    topics.join(", ")
                );
                self.wrong(NAME, &why);
                return None;
            }
            told.insert(topic.to_owned(), count);
        }
        Some(told)
    }
}

/// A place for objects, with what [`local`] understands.
pub(super) fn place(text: &str, env: Env<'_>) -> Result<Place, String> {
    let Some(rest) = text.strip_prefix("dir:") else { return text.parse() };
    match path(rest, env)? {
        Some(dir) => Ok(Place::Dir(dir.into())),
        None => Err("it names no folder: write s3://BUCKET/PREFIX or dir:DIR".to_owned()),
    }
}

/// What stands behind `sqlite:` or `dir:`, with the slashes of a URL or without: `//x` is x here, `///x` is `/x`.
fn path(rest: &str, env: Env<'_>) -> Result<Option<String>, String> {
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    if rest.is_empty() { Ok(None) } else { local(rest, env).map(Some) }
}

/// A path of this machine: `~/` is the home folder, `file://` is taken off.
fn local(text: &str, env: Env<'_>) -> Result<String, String> {
    if is_windows(text) {
        return Err(
            "this is a path of Windows: give it as this system names it, such as /mnt/c/data/x.ndjson or a path \
             from the current folder, with /"
                .to_owned(),
        );
    }
    if let Some(rest) = text.strip_prefix("file:") {
        let path = rest.strip_prefix("//localhost").or_else(|| rest.strip_prefix("//"));
        return match path.unwrap_or(rest) {
            path if path.contains('%') => {
                Err("a URL with %: give the path itself, without file:// and %".to_owned())
            }
            path if path.starts_with('/') => Ok(path.to_owned()),
            _ => Err(
                "file:// names a path from the root, such as file:///data/x; give the path itself"
                    .to_owned(),
            ),
        };
    }
    let Some(rest) = text.strip_prefix("~/") else { return Ok(text.to_owned()) };
    let home = env.iter().find(|(name, value)| name == "HOME" && !value.is_empty());
    match home {
        Some((_, home)) => Ok(format!("{}/{rest}", home.trim_end_matches('/'))),
        None => Err("~/ is the home folder, and HOME is not set: give the whole path".to_owned()),
    }
}

/// `C:\x`, `C:/x` or `\\server\x`.
fn is_windows(text: &str) -> bool {
    let drive =
        matches!(text.as_bytes(), [letter, b':', b'\\' | b'/', ..] if letter.is_ascii_alphabetic());
    drive || text.starts_with("\\\\")
}

fn is_like_a_file(text: &str) -> bool {
    let endings = [".ndjson", ".jsonl", ".json", ".gz", ".zst"];
    text.contains('/') || endings.iter().any(|ending| text.ends_with(ending))
}
