//! Readers of whole numbers and decimals: which of the forms of a number ([`crate::value::decimal`]) a column has, by its
//! schema, by what is configured, and by its looks where neither says it.
use super::{Field, FieldError};
use crate::{Format, json, schema::Kind, value::decimal};
use ::decimal::Decimal;

impl<'a> Field<'a> {
    /// A whole number of 64 bits, exact: a JSON integer whatever its format, else a decimal in any of the forms that
    /// [`Self::decimal`] reads (base64 with a scale, text, `30.00`, `7E+3`) that has nothing but zeros behind the
    /// point.
    pub fn int(&self) -> Result<i64, FieldError> {
        let raw = self.value()?;
        if json::is_integer(raw) {
            return raw.parse().map_err(|_| self.error(NO_64_BITS));
        }
        let number = self.number(raw, "a whole number")?;
        if raw.starts_with('"') && self.is_decimal_text() && is_code(&self.string(raw)?) {
            return Err(self.error(
                "text with zeros or a plus in front, which is no number of a numeric column: \
                 another text may be the same number",
            ));
        }
        whole(&number).map_err(|problem| self.error(problem))
    }

    /// At most [`crate::DECIMAL_DIGITS_MAX`] digits before and behind the point.
    pub fn decimal(&self) -> Result<Decimal, FieldError> {
        self.number(self.value()?, "a decimal")
    }

    /// `wanted`: what it is not, in errors.
    fn number(&self, raw: &'a str, wanted: &str) -> Result<Decimal, FieldError> {
        let said = |result: Result<_, decimal::BadDecimal>| {
            result.map_err(|bad| self.error(&bad.to_string()))
        };
        match (raw.bytes().next().unwrap_or_default(), self.kind) {
            (_, Kind::Is(Format::Millis | Format::Micros | Format::Nanos | Format::Days)) => {
                Err(self.error(&format!("a time, not {wanted}")))
            }
            (b'-' | b'0'..=b'9', _) => said(decimal::from_text(raw)),
            (b'{', Kind::VariableScale | Kind::Unknown) => said(decimal::from_object(raw)),
            (b'"', Kind::Is(Format::DecimalBytes { scale })) => {
                said(decimal::from_base64(&self.string(raw)?, scale))
            }
            (b'"', Kind::Unknown) => self.guessed_decimal(&self.string(raw)?),
            (b'"', _) if self.is_decimal_text() => said(decimal::from_text(&self.string(raw)?)),
            (b'"', Kind::Bytes | Kind::NoScale) => Err(self.no_scale("bytes without a scale")),
            _ => Err(self.error(&format!("{}, not {wanted}", json::kind(raw)))),
        }
    }
    /// Whether a text here can be nothing but a decimal's digits.
    fn is_decimal_text(&self) -> bool {
        matches!(
            self.kind,
            Kind::Unknown | Kind::Text | Kind::Plain | Kind::Single | Kind::Is(Format::DecimalText)
        )
    }

    /// Without schema and configuration: what can be one thing only.
    fn guessed_decimal(&self, text: &str) -> Result<Decimal, FieldError> {
        match (decimal::from_text(text), decimal::may_be_base64(text)) {
            (Ok(_), true) => Err(self.no_scale("decimal text, or base64 of something else")),
            (Err(decimal::BadDecimal::NotADecimal), true) => {
                Err(self.no_scale("base64 whose scale nothing tells"))
            }
            (result, _) => result.map_err(|bad| self.error(&bad.to_string())),
        }
    }
    fn no_scale(&self, what: &str) -> FieldError {
        let (table, column) = (&self.table, &self.column);
        self.error(&format!(
            "{what}: set decimal.handling.mode=string in the connector, or configure the column's format \
             (`{table}.{column}=decimal(2)` or `{table}.{column}=decimal-text`)"
        ))
    }
}

const NO_64_BITS: &str = "does not fit into 64 bits";

/// Exactly, or what is in the way.
fn whole(number: &Decimal) -> Result<i64, &'static str> {
    let number = number.normalized();
    if number.fractional_digit_count() > 0 {
        return Err("has digits behind the point, not a whole number");
    }
    let Some((digits, scale)) = number.parts() else { return Err(NO_64_BITS) };
    let unit = 10_i64.checked_pow(u32::from(scale.unsigned_abs()));
    let count = i64::try_from(digits).ok();
    count.zip(unit).and_then(|(count, unit)| count.checked_mul(unit)).ok_or(NO_64_BITS)
}

/// `007` and `+7` are no numbers that PostgreSQL or Debezium write, but texts of their own, which `7` is not.
fn is_code(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    matches!(digits, [b'+', ..] | [b'0', b'0'..=b'9', ..])
}
