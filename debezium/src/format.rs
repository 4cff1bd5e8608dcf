//! How columns are written where no schema says it and settings do. What is told without either, `row/numbers.rs` tells.
use crate::value::{DECIMAL_DIGITS_MAX, PLACEHOLDER, placeholder};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    sync::Arc,
};

/// How a column is encoded; from the schema, or configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Base64 of big-endian two's complement, this many digits behind the point.
    DecimalBytes {
        scale: i32,
    },
    /// Decimal text or number.
    DecimalText,
    Millis,
    Micros,
    Nanos,
    Days,
    /// ISO 8601 text; UTC where it names no offset.
    Iso,
    /// Bytes as text in base64 (`binary.handling.mode=base64`).
    Base64,
    /// Bytes as text in base64 with `-` and `_` (`binary.handling.mode=base64-url-safe`).
    Base64UrlSafe,
    /// Bytes as text of two digits each (`binary.handling.mode=hex`).
    Hex,
}
impl Format {
    /// Whether it is one of strings of bytes that arrive as text.
    pub(crate) fn is_of_bytes(self) -> bool {
        matches!(self, Self::Base64 | Self::Base64UrlSafe | Self::Hex)
    }

    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "decimal-text" => Self::DecimalText,
            "millis" => Self::Millis,
            "micros" => Self::Micros,
            "nanos" => Self::Nanos,
            "days" => Self::Days,
            "iso" => Self::Iso,
            "base64" => Self::Base64,
            "base64-url-safe" => Self::Base64UrlSafe,
            "hex" => Self::Hex,
            _ => {
                let scale = text.strip_prefix("decimal(")?.strip_suffix(')')?;
                Self::DecimalBytes { scale: parse_scale(scale)? }
            }
        })
    }
}
impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DecimalBytes { scale } => return write!(f, "decimal({scale})"),
            Self::DecimalText => "decimal-text",
            Self::Millis => "millis",
            Self::Micros => "micros",
            Self::Nanos => "nanos",
            Self::Days => "days",
            Self::Iso => "iso",
            Self::Base64 => "base64",
            Self::Base64UrlSafe => "base64-url-safe",
            Self::Hex => "hex",
        })
    }
}

/// Within the bounds that numbers are kept in.
pub(crate) fn parse_scale(text: &str) -> Option<i32> {
    let scale: i32 = text.parse().ok()?;
    (scale.unsigned_abs() as usize <= DECIMAL_DIGITS_MAX).then_some(scale)
}

pub(crate) type TableFormats = BTreeMap<String, Format>;

/// `table.column=format`, by column. What a schema says about a column comes first.
///
/// A configured scale is the operator's word and cannot be checked: after `ALTER TABLE` has changed the column's
/// scale, `decimal(2)` reads wrong amounts, and nothing in a schemaless record tells. Schemas, or
/// `decimal.handling.mode=string`, do not have that risk.
///
/// Shown ([`fmt::Display`]), it is the same text for the same formats, in whatever order they were given: fit for
/// fingerprints, and, with the usual placeholder, for [`Formats::parse`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Formats {
    tables: BTreeMap<String, Arc<TableFormats>>,
    /// `None`: the usual one.
    placeholder: Option<Arc<str>>,
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FormatsError(pub String);

impl Formats {
    /// `products.price=decimal(2),orders.created_at=micros`. Tables as in `source.table`, without their schema.
    /// Nothing is an empty list; every entry that is wrong is named.
    pub fn parse(text: &str) -> Result<Self, FormatsError> {
        let mut tables = BTreeMap::<String, TableFormats>::new();
        let mut wrong = Vec::new();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            match parse_entry(entry) {
                Ok((table, column, format)) => {
                    match tables.entry(table.to_owned()).or_default().entry(column.to_owned()) {
                        Entry::Vacant(free) => {
                            free.insert(format);
                        }
                        Entry::Occupied(_) => {
                            wrong.push(format!("`{table}.{column}` has a format already"));
                        }
                    }
                }
                Err(problem) => wrong.push(format!("`{entry}`: {problem}")),
            }
        }
        match wrong.is_empty() {
            true => {
                let tables = tables.into_iter().map(|(t, c)| (t, Arc::new(c))).collect();
                Ok(Self { tables, placeholder: None })
            }
            false => Err(FormatsError(format!("column formats: {}", wrong.join("; ")))),
        }
    }

    pub(crate) fn table(&self, table: &str) -> Option<Arc<TableFormats>> {
        self.tables.get(table).cloned()
    }

    /// What the connector's `unavailable.value.placeholder` says, where it is not [`PLACEHOLDER`]: what it sends for
    /// an unchanged TOAST value. It counts beside what schemas declare, and beside the usual one, which the connector
    /// may have sent before it was told another.
    pub fn with_placeholder(mut self, setting: &str) -> Result<Self, FormatsError> {
        let text = placeholder(setting).ok_or_else(|| {
            FormatsError(
                "write the text that unavailable.value.placeholder says, or hex: and the bytes of a text".into(),
            )
        })?;
        self.placeholder = Some(text).filter(|text| **text != *PLACEHOLDER);
        Ok(self)
    }

    /// The text that stands for values that were not sent: the setting's, or [`PLACEHOLDER`].
    pub fn unavailable_value(&self) -> &str {
        self.placeholder.as_deref().unwrap_or(PLACEHOLDER)
    }

    pub(crate) fn placeholder(&self) -> Option<Arc<str>> {
        self.placeholder.clone()
    }
}

fn parse_entry(entry: &str) -> Result<(&str, &str, Format), &'static str> {
    const SHAPE: &str = "write table.column=format, such as products.price=decimal(2)";
    let (place, format) = entry.split_once('=').ok_or(SHAPE)?;
    let (table, column) = place.split_once('.').ok_or(SHAPE)?;
    let (table, column) = (table.trim(), column.trim());
    if table.is_empty() || column.is_empty() {
        return Err(SHAPE);
    }
    if column.contains('.') {
        return Err("name the table without its schema: products.price, not public.products.price");
    }
    let format = Format::parse(format.trim()).ok_or(
        "no such format: there are decimal(SCALE) with a scale of -1000 to 1000, decimal-text, \
         millis, micros, nanos, days, iso, base64, base64-url-safe, hex",
    )?;
    Ok((table, column, format))
}

impl fmt::Display for Formats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for (table, columns) in &self.tables {
            for (column, format) in columns.iter() {
                write!(f, "{comma}{table}.{column}={format}")?;
                comma = ",";
            }
        }
        if let Some(placeholder) = &self.placeholder {
            let space = if comma.is_empty() { "" } else { "; " };
            write!(f, "{space}unavailable value {placeholder:?}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_text_in_any_order() {
        let text = "a.x=iso,a.y=decimal(2),b.x=decimal-text,b.y=days,c.x=millis,c.y=micros,c.z=nanos,d.x=base64,\
             d.y=base64-url-safe,d.z=hex";
        let shuffled = "d.y=base64-url-safe, d.z=hex, d.x=base64, c.z=nanos, b.y = days,,b.x=decimal-text,c.y=micros,a.y=decimal(2),a.x=iso,c.x=millis,";
        assert_eq!(Formats::parse(shuffled).unwrap().to_string(), text);
        assert_eq!(Formats::parse(text).unwrap(), Formats::parse(shuffled).unwrap());
        assert_eq!(Formats::parse(" ").unwrap(), Formats::default());
        assert_eq!(Formats::default().to_string(), "");
    }

    #[test]
    fn a_placeholder_shows_unless_it_is_the_usual_one() {
        let formats = || Formats::parse("a.x=iso").unwrap();
        let shown = |formats: Formats, text| formats.with_placeholder(text).unwrap().to_string();
        assert_eq!(shown(formats(), PLACEHOLDER), "a.x=iso");
        assert_eq!(shown(formats(), "__gone"), "a.x=iso; unavailable value \"__gone\"");
        assert_eq!(shown(Formats::default(), "hex:5f67"), "unavailable value \"_g\"");
        for wrong in ["", "hex:", "hex:5", "hex:zz", "hex:ff"] {
            let said = formats().with_placeholder(wrong).map(|f| f.to_string());
            assert!(said.unwrap_err().to_string().contains("unavailable.value.placeholder"));
        }
    }

    #[test]
    fn errors_name_every_wrong_entry() {
        let text = "price,x.y,a.b=money,a.b=decimal(x),s.a.b=iso,.b=iso,a.=iso,a.b=decimal(1001),ok.a=iso,ok.a=iso";
        let said = Formats::parse(text).unwrap_err().to_string();
        for wrong in text.split(',').filter(|entry| !entry.starts_with("ok.")) {
            assert!(said.contains(&format!("`{wrong}`")), "{wrong} in {said}");
        }
        assert!(said.contains("`ok.a` has a format already"), "{said}");
    }
}
