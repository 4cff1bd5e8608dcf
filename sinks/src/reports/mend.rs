//! A published report that is not what it should be, made anew from the parts.
use super::{Reports, busy, position_name, table};
use crate::{
    SinkError,
    objects::{Put, Tag, When, segment},
};

/// A report as it is published now.
#[derive(Debug, Clone)]
pub struct Latest {
    pub name: String,
    /// For messages.
    pub address: String,
    pub bytes: bytes::Bytes,
    pub tag: Tag,
}

impl Reports {
    /// The names of all reports.
    pub fn names(&self) -> Vec<&'static str> {
        let summary = (!self.settings.summary.is_empty()).then_some("summary");
        self.views.iter().map(|view| view.name).chain(summary).collect()
    }

    /// `None`: never published.
    pub async fn latest(&self, report: &str) -> Result<Option<Latest>, SinkError> {
        let name = format!("{}/{}/latest.json", self.root(), segment(report));
        let found = self.objects.get(&name).await?;
        let address = self.objects.address(&name);
        Ok(found.map(|object| Latest { name, address, bytes: object.bytes, tag: object.tag }))
    }

    /// Puts the report that the parts make in the place of this one, if it is still there. `false`: it is not.
    /// The object of the same position is replaced as well. `there`: `None`, where nothing is.
    pub async fn mend(&self, report: &str, there: Option<&Latest>) -> Result<bool, SinkError> {
        let parts = self.read_parts().await?;
        let (views, settings) = (self.views.clone(), self.settings.clone());
        let made = tokio::task::spawn_blocking(move || table::make(&parts, &views, &settings));
        let made = made.await.map_err(SinkError::transient)?.map_err(SinkError::fatal)?;
        let Some(made) = made.into_iter().find(|made| made.name == report) else {
            return Ok(true);
        };
        let bytes = made.json().map_err(SinkError::fatal)?;
        let folder = format!("{}/{}", self.root(), segment(report));
        let own = format!("{folder}/{}.json", position_name(&made.head.as_of));
        let when = match self.objects.get(&own).await? {
            Some(object) if object.bytes == bytes => None,
            Some(object) => Some(When::IfMatch(object.tag)),
            None => Some(When::IfAbsent),
        };
        if let Some(when) = when
            && self.objects.put(&own, bytes.clone(), when).await? == Put::Held
        {
            return Err(busy(&self.objects.address(&own)));
        }
        let name = format!("{folder}/latest.json");
        let when = there.map_or(When::IfAbsent, |there| When::IfMatch(there.tag.clone()));
        Ok(matches!(self.objects.put(&name, bytes, when).await?, Put::Done(_)))
    }
}
