//! Letters one after the other, in the order of their records: names are held, letters are not.
use super::filter::Filter;
use sinks::{
    SinkError,
    dlq::{Found, Index, ReplayMark, read_letter, read_mark},
    objects::Objects,
};
use std::{collections::VecDeque, sync::Arc};
use tokio::task::JoinHandle;

/// Read ahead.
const AHEAD: usize = 8;

pub struct Item {
    pub name: String,
    pub address: String,
    pub found: Found,
    pub mark: Option<ReplayMark>,
}
impl Item {
    pub fn state(&self) -> &'static str {
        self.mark.as_ref().map_or("new", |mark| mark.state.as_str())
    }
}

/// `None`: gone meanwhile. A text: no letter of ours.
type Read = Result<Option<Result<Item, String>>, SinkError>;

pub struct Letters {
    pub objects: Arc<dyn Objects>,
    filter: Filter,
    index: Index,
    at: usize,
    ahead: VecDeque<JoinHandle<Read>>,
    odd: Vec<String>,
}

impl Letters {
    pub async fn find(objects: Arc<dyn Objects>, filter: Filter) -> Result<Self, SinkError> {
        let index = Index::read(&*objects, &filter.prefix()).await?;
        Ok(Self { objects, filter, index, at: 0, ahead: VecDeque::new(), odd: vec![] })
    }

    /// The next one that the filter takes.
    pub async fn next(&mut self) -> anyhow::Result<Option<Item>> {
        loop {
            while self.ahead.len() < AHEAD
                && let Some((name, marked)) = self.index.get(self.at)
            {
                self.at += 1;
                if self.filter.may_take(&name, marked) {
                    let objects = self.objects.clone();
                    self.ahead.push_back(tokio::spawn(read(objects, name, marked)));
                }
            }
            let Some(next) = self.ahead.pop_front() else { return Ok(None) };
            match next.await?? {
                Some(Ok(item)) if self.filter.takes(&item.found, item.mark.as_ref()) => {
                    return Ok(Some(item));
                }
                Some(Err(odd)) => self.odd.push(odd),
                _ => {}
            }
        }
    }

    /// Objects that are in the way and no letters.
    pub fn odd(&self) -> &[String] {
        &self.odd
    }
}

async fn read(objects: Arc<dyn Objects>, name: String, marked: bool) -> Read {
    let found = match read_letter(&*objects, &name).await {
        Ok(Some(found)) => found,
        Ok(None) => return Ok(None),
        Err(SinkError::Fatal(error)) if error.to_string().contains("is not a letter") => {
            return Ok(Some(Err(format!("{error:#}"))));
        }
        Err(error) => return Err(error),
    };
    let mark = if marked { read_mark(&*objects, &name).await? } else { None };
    let address = objects.address(&name);
    Ok(Some(Ok(Item { name, address, found, mark })))
}
