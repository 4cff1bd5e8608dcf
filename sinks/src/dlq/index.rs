//! The names of letters, in the order of the records, without the letters.
use super::MARK_SUFFIX;
use crate::{SinkError, objects::Objects};
use std::collections::HashMap;

/// Some sixty bytes a letter.
#[derive(Debug, Default)]
pub struct Index {
    folders: Vec<String>,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    folder: usize,
    offset: i64,
    /// Without `.json` or `.mark.json`.
    stem: Box<str>,
    is_mark: bool,
    marked: bool,
}

impl Index {
    /// Of the letters whose names begin with `prefix`: by service and topic, partition, offset.
    pub async fn read(objects: &dyn Objects, prefix: &str) -> Result<Self, SinkError> {
        let (mut folders, mut entries) = (HashMap::<String, usize>::new(), Vec::new());
        objects
            .each(prefix, &mut |name| {
                let Some((folder, file)) = name.rsplit_once('/') else { return };
                let mark = file.strip_suffix(MARK_SUFFIX);
                let Some(stem) = mark.or_else(|| file.strip_suffix(".json")) else { return };
                let next = folders.len();
                let folder = match folders.get(folder) {
                    Some(number) => *number,
                    None => *folders.entry(folder.to_owned()).or_insert(next),
                };
                let offset = stem.split('.').next().and_then(|n| n.parse().ok());
                let offset = offset.unwrap_or(i64::MAX);
                let is_mark = mark.is_some();
                entries.push(Entry { folder, offset, stem: stem.into(), is_mark, marked: false });
            })
            .await?;
        let mut names: Vec<(String, usize)> = folders.into_iter().collect();
        names.sort_unstable_by_key(|(_, number)| *number);
        let folders: Vec<String> = names.into_iter().map(|(name, _)| name).collect();
        let rank = ranks(&folders);
        entries.sort_unstable_by(|a: &Entry, b: &Entry| {
            let key = |e: &Entry| (rank[e.folder], e.offset);
            key(a).cmp(&key(b)).then_with(|| (&a.stem, a.is_mark).cmp(&(&b.stem, b.is_mark)))
        });
        for at in 1..entries.len() {
            let (before, from) = entries.split_at_mut(at);
            let (letter, mark) = (&mut before[at - 1], &from[0]);
            letter.marked = mark.is_mark
                && !letter.is_mark
                && (letter.folder, &letter.stem) == (mark.folder, &mark.stem);
        }
        // A mark whose letter is gone says nothing.
        entries.retain(|entry| !entry.is_mark);
        Ok(Self { folders, entries })
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
    /// A letter's name, and whether there is a mark beside it.
    pub fn get(&self, at: usize) -> Option<(String, bool)> {
        let entry = self.entries.get(at)?;
        Some((format!("{}/{}.json", self.folders[entry.folder], entry.stem), entry.marked))
    }
}

/// The place of each folder: by name, but the partition, which is its last part, by number.
fn ranks(folders: &[String]) -> Vec<usize> {
    let key = |folder: &str| {
        let (topic, index) = folder.rsplit_once('/').unwrap_or(("", folder));
        (topic.to_owned(), index.parse::<i64>().unwrap_or(i64::MAX), folder.to_owned())
    };
    let mut order: Vec<usize> = (0..folders.len()).collect();
    order.sort_by_cached_key(|number| key(&folders[*number]));
    let mut rank = vec![0; folders.len()];
    for (place, number) in order.into_iter().enumerate() {
        rank[number] = place;
    }
    rank
}
