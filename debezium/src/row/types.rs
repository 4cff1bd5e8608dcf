//! Readers of floats, dates, UUIDs, bytes, JSON and lists.
use super::{Field, FieldError};
use crate::{
    Format, json,
    schema::Kind,
    value::{bytes, float, time, uuid},
};
use std::borrow::Cow;

impl<'a> Field<'a> {
    /// A floating-point number of 64 bits, `NaN` and infinite ones among them (which arrive as text). One of 32 bits, where
    /// a schema says so, becomes the number that its shortest text says. A number with more digits than that many bits
    /// hold is an error: it is a decimal or a whole number.
    pub fn float(&self) -> Result<f64, FieldError> {
        const WANTED: &str = "not a floating-point number";
        let raw = self.value()?;
        let read = match (raw.bytes().next().unwrap_or_default(), self.kind) {
            (_, Kind::Is(Format::Millis | Format::Micros | Format::Nanos | Format::Days)) => {
                return Err(self.error(&format!("a time, {WANTED}")));
            }
            (b'-' | b'0'..=b'9', Kind::Single) => float::of_32_bits(raw),
            (b'-' | b'0'..=b'9', _) => float::of_64_bits(raw),
            (b'"', Kind::Unknown | Kind::Plain | Kind::Single) => {
                float::of_word(&self.string(raw)?)
            }
            (b'"', _) => Err(float::BadFloat::Text),
            _ => return Err(self.error(&format!("{}, {WANTED}", json::kind(raw)))),
        };
        read.map_err(|bad| self.error(&bad.to_string()))
    }

    /// A date, as days since 1970, of the years 0001 to 9999: a number that the schema or the configuration says to count
    /// days, or ISO 8601 text. `None`: PostgreSQL's `infinity` or `-infinity`, as these words or as a number beyond all of
    /// its dates.
    pub fn date(&self) -> Result<Option<i32>, FieldError> {
        let raw = self.value()?;
        let (table, column) = (&self.table, &self.column);
        let is_text = raw.starts_with('"');
        let date = match self.kind {
            Kind::NoInstant => return Err(self.error("a time of day or a duration, not a date")),
            Kind::Is(Format::Millis | Format::Micros | Format::Nanos) => {
                return Err(self.error("a moment, not a date: read the column as a time"));
            }
            // What needs more than 64 bits is beyond all dates.
            Kind::Is(Format::Days) if json::is_integer(raw) => {
                raw.parse().map_or(Ok(None), time::date_of_days)
            }
            Kind::Is(Format::Iso) | Kind::Unknown | Kind::Text | Kind::Plain if is_text => {
                time::date_of_iso(&self.string(raw)?)
            }
            Kind::Unknown | Kind::Plain if json::is_integer(raw) => {
                return Err(self.error(&format!(
                    "a bare number, which may count days or something else: configure the column's format \
                     (`{table}.{column}=days`)"
                )));
            }
            _ => return Err(self.error(&format!("{}, not a date", json::kind(raw)))),
        };
        date.map_err(|bad| self.error(&bad.to_string()))
    }

    /// A UUID: 32 digits in either case, with hyphens.
    pub fn uuid(&self) -> Result<[u8; 16], FieldError> {
        uuid::from_text(&self.text()?).ok_or_else(|| self.error("text, not a UUID"))
    }

    /// A JSON value of the source, as text, as the source has it. It is not looked into.
    pub fn json_text(&self) -> Result<Cow<'a, str>, FieldError> {
        match self.value()? {
            raw if raw.starts_with(['{', '[']) => Err(self.error(&format!(
                "{}, not the text of JSON: remove what expands it from the connector's `transforms`",
                json::kind(raw)
            ))),
            _ => self.text(),
        }
    }

    /// A list of texts, of one dimension, of which any may be null. Without a schema nothing tells texts from other
    /// values that are written as text, such as decimals in base64.
    pub fn texts(&self) -> Result<Vec<Option<String>>, FieldError> {
        let raw = self.value()?;
        match self.kind {
            Kind::Texts | Kind::Unknown if raw.starts_with('[') => serde_json::from_str(raw)
                .map_err(|_| self.error("an array with elements that are not texts or null")),
            _ if raw.starts_with('[') => Err(self.error("an array of other values than texts")),
            _ => Err(self.error(&format!("{}, not a list of texts", json::kind(raw)))),
        }
    }

    /// Bytes: base64, unless the configuration says of a text that it is written otherwise. A text of which a schema says
    /// that it is one, or which may be either base64 or hexadecimal digits, is an error that says what to configure.
    pub fn bytes(&self) -> Result<Vec<u8>, FieldError> {
        let raw = self.value()?;
        if self.kind == Kind::Text {
            return Err(self.no_bytes("text, not bytes"));
        }
        let text = self.string(raw)?;
        let (read, problem) = match self.kind {
            Kind::Is(Format::Hex) => (bytes::from_hex(&text), "not hexadecimal digits"),
            Kind::Is(Format::Base64UrlSafe) => (bytes::from_base64_url_safe(&text), "not base64"),
            Kind::Unknown if bytes::may_be_hex(&text) => {
                return Err(self.no_bytes("base64 or hexadecimal digits"));
            }
            _ => (bytes::from_base64(&text), "not base64"),
        };
        read.ok_or_else(|| match self.kind {
            Kind::Unknown => self.no_bytes(problem),
            _ => self.error(problem),
        })
    }
    fn no_bytes(&self, what: &str) -> FieldError {
        let (table, column) = (&self.table, &self.column);
        self.error(&format!(
            "{what}: if the connector has binary.handling.mode, configure the column's format as that says \
             (`{table}.{column}=hex`, or base64, base64-url-safe)"
        ))
    }
}
