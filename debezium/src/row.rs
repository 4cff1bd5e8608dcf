//! A row image, unparsed until asked.
mod numbers;
mod types;

use crate::{
    Format,
    format::TableFormats,
    json::{self, Member, Scanner},
    schema::{Column, Columns, Kind},
    value::{Instant, is_unavailable, time},
};
use std::{array, borrow::Cow, sync::Arc};

#[derive(Debug, Clone)]
pub struct Row<'a> {
    image: Image<'a>,
    table: Cow<'a, str>,
    schema: Option<Arc<Columns>>,
    configured: Configured,
}

/// A row's JSON: an object, already checked.
#[derive(Debug, Clone)]
pub(crate) struct Image<'a> {
    json: &'a str,
    /// What is in the object, if that was noted while it was checked.
    members: Option<Vec<Member<'a>>>,
}
impl<'a> Image<'a> {
    pub(crate) fn of(json: &'a str) -> Self {
        Self { json, members: None }
    }

    /// Of an object that is still to be checked. `None`: no JSON.
    pub(crate) fn scan(scanner: &mut Scanner<'a>) -> Option<Self> {
        let mut members = Vec::with_capacity(MEMBERS_USUAL);
        let json = scanner.span(|scanner| {
            scanner.object(|scanner, name| {
                let name = scanner.string_text(name)?;
                let value = scanner.span(Scanner::value)?;
                if members.len() <= MEMBERS_MAX {
                    members.push((name, scanner.text(value)?));
                }
                Some(())
            })
        })?;
        let members = Some(members).filter(|members| members.len() <= MEMBERS_MAX);
        Some(Self { json: scanner.text(json)?, members })
    }

    /// Each name, `None` if half of a surrogate pair is in it, with its place and value, until there is an error.
    #[inline]
    fn each(
        &self,
        mut member: impl FnMut(usize, &Option<Cow<'a, str>>, &'a str) -> Result<(), FieldError>,
    ) -> Result<(), FieldError> {
        match &self.members {
            Some(members) => {
                let mut members = members.iter().enumerate();
                members.try_for_each(|(at, (name, value))| member(at, name, value))
            }
            None => {
                let mut members = json::Members::of(self.json).enumerate();
                members.try_for_each(|(at, (name, value))| member(at, &name, value))
            }
        }
    }
}

/// What most tables have room in.
const MEMBERS_USUAL: usize = 12;
/// Of objects with more members none is noted: PostgreSQL's tables have at most 1,600 columns.
const MEMBERS_MAX: usize = 1_600;

/// What is configured of a table's columns.
#[derive(Debug, Clone)]
pub(crate) struct Configured {
    pub(crate) formats: Option<Arc<TableFormats>>,
    pub(crate) placeholder: Option<Arc<str>>,
}

impl<'a> Row<'a> {
    pub(crate) fn new(
        image: Image<'a>,
        table: Cow<'a, str>,
        schema: Option<Arc<Columns>>,
        configured: Configured,
    ) -> Self {
        Self { image, table, schema, configured }
    }

    /// These columns, in one pass over the row. A missing column is an error only when its value is asked for; one
    /// of these columns there twice is an error at once.
    pub fn fields<const N: usize>(
        &self,
        names: [&'a str; N],
    ) -> Result<[Field<'a>; N], FieldError> {
        let mut found = [None; N];
        self.image.each(|at, name, value| {
            let Some(name) = name else { return Err(self.unreadable_name()) };
            for (wanted, slot) in names.iter().zip(&mut found) {
                if wanted == name && slot.replace((value, at)).is_some() {
                    return Err(self.there_twice(name));
                }
            }
            Ok(())
        })?;
        Ok(array::from_fn(|i| self.field(Cow::Borrowed(names[i]), found[i])))
    }

    /// These columns, in one pass over the row, those that are missing as well: the names are known at run time only.
    pub fn values<N: AsRef<str>>(&self, names: &'a [N]) -> Result<Vec<Field<'a>>, FieldError> {
        let mut found = vec![None; names.len()];
        self.image.each(|at, name, value| {
            let Some(name) = name else { return Err(self.unreadable_name()) };
            if let Some(i) = names.iter().position(|wanted| wanted.as_ref() == name)
                && found[i].replace((value, at)).is_some()
            {
                return Err(self.there_twice(name));
            }
            Ok(())
        })?;
        let named = names.iter().zip(found);
        Ok(named.map(|(name, found)| self.field(Cow::Borrowed(name.as_ref()), found)).collect())
    }

    /// The first column that is none of these.
    pub fn column_beside(
        &self,
        names: impl Fn(&str) -> bool,
    ) -> Result<Option<Cow<'a, str>>, FieldError> {
        let mut beside = None;
        self.image.each(|_, name, _| match name {
            _ if beside.is_some() => Ok(()),
            None => Err(self.unreadable_name()),
            Some(name) => {
                beside = Some(name.clone()).filter(|name| !names(name));
                Ok(())
            }
        })?;
        Ok(beside)
    }

    /// The column's JSON, whatever it is.
    pub(crate) fn raw(&self, column: &str) -> Option<&'a str> {
        let mut found = None;
        let _: Result<(), FieldError> = self.image.each(|_, name, value| {
            if found.is_none() && name.as_deref() == Some(column) {
                found = Some(value);
            }
            Ok(())
        });
        found
    }

    /// Every column, in the row's order, those there twice as well.
    pub fn columns(&self) -> Result<Vec<Field<'a>>, FieldError> {
        let mut columns = Vec::new();
        self.image.each(|at, name, value| match name {
            Some(name) => {
                columns.push(self.field(name.clone(), Some((value, at))));
                Ok(())
            }
            None => Err(self.unreadable_name()),
        })?;
        Ok(columns)
    }

    fn field(&self, column: Cow<'a, str>, found: Option<(&'a str, usize)>) -> Field<'a> {
        let said = found.and_then(|(_, at)| self.schema.as_ref()?.find(&column, at));
        let kind = found.map_or(Kind::Unknown, |_| self.kind(&column, said));
        let declared = said.and_then(|said| said.placeholder.clone());
        let placeholders = [declared, self.configured.placeholder.clone()];
        let raw = found.map(|(value, _)| value);
        Field { table: self.table.clone(), column, raw, kind, placeholders }
    }

    /// The schema's word comes first; where it does not tell what a number, bytes or text mean, the configured one.
    fn kind(&self, column: &str, said: Option<&Column>) -> Kind {
        let configured = || self.configured.formats.as_ref().and_then(|f| f.get(column)).copied();
        match said.map_or(Kind::Unknown, |said| said.kind) {
            kind @ (Kind::Bytes | Kind::NoScale) => {
                configured().filter(|format| !format.is_of_bytes()).map_or(kind, Kind::Is)
            }
            kind @ (Kind::Unknown | Kind::Plain | Kind::Single) => {
                configured().map_or(kind, Kind::Is)
            }
            Kind::Text => {
                let of_text = |format: &Format| *format == Format::Iso || format.is_of_bytes();
                configured().filter(of_text).map_or(Kind::Text, Kind::Is)
            }
            kind => kind,
        }
    }

    fn there_twice(&self, name: &str) -> FieldError {
        FieldError(format!("{}.{name}: there twice", self.table))
    }
    fn unreadable_name(&self) -> FieldError {
        FieldError(format!("{}: a column's name holds half of a surrogate pair", self.table))
    }
}

/// One column of one row image. Every reader fails, naming the column, if it is missing, null, unavailable (an
/// unchanged TOAST value) or of another type.
#[derive(Debug, Clone)]
pub struct Field<'a> {
    table: Cow<'a, str>,
    column: Cow<'a, str>,
    raw: Option<&'a str>,
    kind: Kind,
    /// Beside the usual one: what the schema declares, what is configured.
    placeholders: [Option<Arc<str>>; 2],
}

impl<'a> Field<'a> {
    pub fn name(&self) -> &str {
        &self.column
    }
    /// What the schema or the configuration says of the column, where it is one of these.
    pub fn format(&self) -> Option<Format> {
        match self.kind {
            Kind::Is(format) => Some(format),
            _ => None,
        }
    }

    /// Borrowed from the record, unless it has escapes.
    pub fn text(&self) -> Result<Cow<'a, str>, FieldError> {
        match self.kind {
            Kind::Bytes | Kind::NoScale | Kind::Is(Format::DecimalBytes { .. }) => {
                self.value()?;
                Err(self.error("bytes, not text"))
            }
            Kind::Is(format) if format.is_of_bytes() => {
                self.value()?;
                Err(self.error("bytes, not text"))
            }
            _ => self.string(self.value()?),
        }
    }

    pub fn boolean(&self) -> Result<bool, FieldError> {
        match self.value()? {
            "true" => Ok(true),
            "false" => Ok(false),
            raw => Err(self.error(&format!("{}, not a boolean", json::kind(raw)))),
        }
    }

    /// The JSON itself: for arrays and objects.
    pub fn json(&self) -> Result<&'a str, FieldError> {
        self.value()
    }

    /// An instant: µs since 1970, UTC, of the years 0001 to 9999. Nanoseconds are cut to the µs before.
    /// What is infinite is an error.
    pub fn time_us(&self) -> Result<i64, FieldError> {
        let out_of_range = || self.error(&time::BadTime::OutOfRange.to_string());
        self.instant()?.finite_us().ok_or_else(out_of_range)
    }

    /// The same, or PostgreSQL's `infinity` and `-infinity` of a timestamp: as these words, or as the numbers that
    /// Debezium sends for them.
    pub fn instant(&self) -> Result<Instant, FieldError> {
        let raw = self.value()?;
        let (table, column) = (&self.table, &self.column);
        let said =
            |result: Result<_, time::BadTime>| result.map_err(|bad| self.error(&bad.to_string()));
        let is_text = raw.starts_with('"');
        match self.kind {
            Kind::NoInstant => Err(self.error("a time of day or a duration, not an instant")),
            Kind::Is(Format::Iso) if is_text => said(time::from_iso(&self.string(raw)?, true)),
            Kind::Unknown | Kind::Text | Kind::Plain | Kind::Single if is_text => {
                match time::from_iso(&self.string(raw)?, false) {
                    Err(time::BadTime::NoOffset) => Err(self.error(&format!(
                        "names no offset from UTC: if it is UTC, configure the column's format \
                         (`{table}.{column}=iso`)"
                    ))),
                    result => said(result),
                }
            }
            Kind::Is(format @ (Format::Millis | Format::Micros | Format::Nanos | Format::Days))
                if json::is_integer(raw) =>
            {
                // Nothing that needs more than 64 bits is within the years.
                said(raw.parse().map_or(Err(time::BadTime::OutOfRange), |count| {
                    time::from_number(count, format)
                }))
            }
            Kind::Unknown | Kind::Plain | Kind::Single if json::is_integer(raw) => Err(self.error(&format!(
                "a bare number, which may count ms, µs, ns or days: configure the column's format \
                 (`{table}.{column}=micros`, or millis, nanos, days)"
            ))),
            _ => Err(self.error(&format!("{}, not a time", json::kind(raw)))),
        }
    }

    /// `None` for null (a missing column is still an error): `price.nullable(Field::decimal)`.
    pub fn nullable<T>(
        &self,
        read: impl FnOnce(&Self) -> Result<T, FieldError>,
    ) -> Result<Option<T>, FieldError> {
        match self.raw {
            Some("null") => Ok(None),
            _ => read(self).map(Some),
        }
    }

    /// For columns that may be out of line: `description.kept(|f| f.nullable(Field::text))`.
    pub fn kept<T>(
        &self,
        read: impl FnOnce(&Self) -> Result<T, FieldError>,
    ) -> Result<Kept<T>, FieldError> {
        match self.raw {
            Some(raw) if self.is_unavailable(raw) => Ok(Kept::Unchanged),
            _ => read(self).map(Kept::New),
        }
    }

    pub fn is_missing(&self) -> bool {
        self.raw.is_none()
    }
    /// As it was sent, unconverted; `None`: missing. For comparing, never for showing.
    pub fn raw(&self) -> Option<&'a str> {
        self.raw
    }

    /// There, not null, and not a placeholder.
    fn value(&self) -> Result<&'a str, FieldError> {
        match self.raw {
            None => Err(self.error("the column is missing")),
            Some("null") => Err(self.error("null")),
            Some(raw) if self.is_unavailable(raw) => Err(self.error(
                "an unchanged value that PostgreSQL did not send (TOAST): \
                 ALTER TABLE ... REPLICA IDENTITY FULL sends it always",
            )),
            Some(raw) => Ok(raw),
        }
    }
    fn is_unavailable(&self, raw: &str) -> bool {
        let is_text = matches!(self.kind, Kind::Text | Kind::Is(Format::DecimalText | Format::Iso));
        is_unavailable(raw, !is_text, self.placeholders.iter().flatten().map(|text| &**text))
    }

    fn string(&self, raw: &'a str) -> Result<Cow<'a, str>, FieldError> {
        json::string(raw).ok_or_else(|| match raw.starts_with('"') {
            true => self.error("text with half of a surrogate pair in it"),
            false => self.error(&format!("{}, not text", json::kind(raw))),
        })
    }

    fn error(&self, problem: &str) -> FieldError {
        FieldError(format!("{}.{}: {problem}", self.table, self.column))
    }
}

/// A value, or word that it did not change and was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept<T> {
    New(T),
    Unchanged,
}

/// Names the table's column and says what to do; never shows a value.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FieldError(pub String);
