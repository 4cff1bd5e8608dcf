//! Casts, and the reading and writing of values as texts.
use super::{BYTES_MAX, Code, EvalError, Made, Value, fail, float, json, number, time, wrong};
use crate::types::{Kind, SqlType};
use decimal::Decimal;
use std::borrow::Cow;
use views::{Cell, Float};

/// The value of one type as one of another. Null stays null.
pub(crate) fn cast<'a>(value: Cow<'a, Cell>, from: Kind, to: &SqlType) -> Value<'a> {
    if *value == Cell::Null {
        return Ok(value);
    }
    let kind = to.kind();
    let value = match (from, kind) {
        _ if from == kind => value,
        (Kind::Bpchar, Kind::Text | Kind::Varchar) => match &*value {
            Cell::Text(text) => Cow::Owned(text.trim_end_matches(' ').into()),
            _ => return wrong(),
        },
        (Kind::Text | Kind::Varchar | Kind::Bpchar, Kind::Text | Kind::Varchar | Kind::Bpchar)
        | (Kind::Enum, Kind::Text | Kind::Varchar | Kind::Bpchar) => value,
        (_, Kind::Text | Kind::Varchar | Kind::Bpchar) => {
            Cow::Owned(Cell::Text(text_of(&value, from)?))
        }
        (Kind::Text | Kind::Varchar | Kind::Bpchar | Kind::Unknown, _) => {
            // That of a `char(n)` with its blanks: most readers pass them over.
            let text = value.text().map_or_else(wrong, Ok)?;
            Cow::Owned(read(text, kind)?)
        }
        _ => Cow::Owned(between(&value, from, kind)?),
    };
    sized(value, to)
}

/// Applies what a type says beside its kind: explicit casts cut texts, and round numbers.
fn sized<'a>(value: Cow<'a, Cell>, to: &SqlType) -> Value<'a> {
    match (to, &*value) {
        (SqlType::Numeric { precision, scale }, Cell::Decimal(decimal)) => {
            let rounded = number::rounded(&decimal.written_out(), i64::from(*scale));
            let limit = i64::from(*precision) - i64::from(*scale);
            let size = i64::try_from(rounded.digits()).unwrap_or(i64::MAX)
                - rounded.fractional_digit_count();
            if !rounded.is_zero() && size > limit {
                return fail(Code::NumericValueOutOfRange, "numeric field overflow");
            }
            Ok(Cow::Owned(Cell::Decimal(rounded)))
        }
        (SqlType::Varchar(length), Cell::Text(text)) => {
            match text.char_indices().nth(*length as usize) {
                Some((end, _)) => Ok(Cow::Owned(text[..end].into())),
                None => Ok(value),
            }
        }
        (SqlType::Bpchar(length), Cell::Text(text)) => {
            let length = *length as usize;
            let count = text.chars().count();
            let text = match text.char_indices().nth(length) {
                Some((end, _)) => text[..end].to_owned(),
                None if length > BYTES_MAX => {
                    return fail(Code::ProgramLimitExceeded, "the text is too long");
                }
                None => format!("{text}{}", " ".repeat(length - count)),
            };
            Ok(Cow::Owned(text.into()))
        }
        _ => Ok(value),
    }
}

/// Between types that are no texts.
fn between(value: &Cell, from: Kind, to: Kind) -> Made {
    match (value, to) {
        (Cell::Int(number), Kind::Int2 | Kind::Int4 | Kind::Int8) => {
            number::in_range(to, (*number).into())
        }
        (Cell::Int(number), Kind::Numeric) => Ok(Cell::Decimal((*number).into())),
        (Cell::Int(number), Kind::Float4) => Ok(float::of_real(*number as f32)),
        (Cell::Int(number), Kind::Float8) => Ok(Cell::Float(Float::new(*number as f64))),
        (Cell::Int(number), Kind::Bool) => Ok(Cell::Bool(*number != 0)),
        (Cell::Bool(is), Kind::Int4) => Ok(Cell::Int((*is).into())),
        (Cell::Decimal(decimal), Kind::Int2 | Kind::Int4 | Kind::Int8) => {
            let whole = number::rounded(&decimal.written_out(), 0).truncated();
            number::in_range(to, whole.unwrap_or(i128::MAX))
        }
        (Cell::Decimal(decimal), Kind::Float4 | Kind::Float8) => {
            read(&decimal.written_out().to_plain_string(), to)
        }
        (Cell::Float(_), Kind::Float4 | Kind::Float8) => {
            let wide = float::number(from, value)?;
            if to == Kind::Float4 {
                let small = wide as f32;
                if small.is_infinite() && wide.is_finite() {
                    return fail(Code::NumericValueOutOfRange, "value out of range: overflow");
                }
                if small == 0.0 && wide != 0.0 {
                    return fail(Code::NumericValueOutOfRange, "value out of range: underflow");
                }
            }
            Ok(float::cell(to, wide))
        }
        (Cell::Float(_), Kind::Int2 | Kind::Int4 | Kind::Int8) => {
            let rounded = float::number(from, value)?.round_ties_even();
            // Beyond 128 bits, and what is no number, is out of every range.
            number::in_range(to, if rounded.is_nan() { i128::MAX } else { rounded as i128 })
        }
        (Cell::Float(_), Kind::Numeric) => float_to_numeric(from, value),
        (Cell::Date(days), Kind::Timestamp) => time::start_of((*days).into()),
        (Cell::Time(us), Kind::Date) => time::date(us.div_euclid(time::DAY_US)),
        (Cell::Json(text), Kind::Jsonb) => json::canonical(text),
        (Cell::Json(text), Kind::Json) => Ok(Cell::Json(text.clone())),
        _ => wrong(),
    }
}

/// With the digits of which every one is sure: 15 of a `double precision`, 6 of a `real`.
fn float_to_numeric(from: Kind, value: &Cell) -> Made {
    let number = float::number(from, value)?;
    if !number.is_finite() {
        return no_number();
    }
    let text =
        if from == Kind::Float4 { format!("{number:.5e}") } else { format!("{number:.14e}") };
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits = if digits.contains('.') {
        digits.trim_end_matches('0').trim_end_matches('.')
    } else {
        digits
    };
    read(&format!("{digits}e{exponent}"), Kind::Numeric)
}

fn no_number<T>() -> Result<T, EvalError> {
    fail(Code::FeatureNotSupported, "a numeric that is no number, or infinite")
}

/// The value as a text, as PostgreSQL writes it with `datestyle = 'ISO'`.
fn text_of(value: &Cell, from: Kind) -> Result<String, EvalError> {
    Ok(match value {
        Cell::Int(_) | Cell::Bool(_) | Cell::Uuid(_) | Cell::Bytes(_) | Cell::Text(_) => {
            value.to_string()
        }
        Cell::Decimal(decimal) => decimal.written_out().to_plain_string(),
        Cell::Float(number) => float::text(from, *number),
        Cell::Json(text) => text.clone(),
        Cell::Date(days) => time::date_text((*days).into()),
        Cell::Time(us) if from == Kind::Timestamp => time::time_text(*us),
        _ => return wrong(),
    })
}

fn invalid<T>(what: &'static str) -> Result<T, EvalError> {
    fail(Code::InvalidTextRepresentation, what)
}

/// What C counts as blank.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

/// The value of this type that the text says.
fn read(text: &str, to: Kind) -> Made {
    match to {
        Kind::Int2 | Kind::Int4 | Kind::Int8 => {
            let digits = text.trim_matches(is_blank);
            let bare = digits.strip_prefix(['+', '-']).unwrap_or(digits);
            if bare.is_empty() || !bare.bytes().all(|byte| byte.is_ascii_digit()) {
                return invalid("invalid input syntax for an integer");
            }
            number::in_range(to, digits.parse().unwrap_or(i128::MAX))
        }
        Kind::Numeric => numeric(text.trim_matches(is_blank)),
        Kind::Float4 | Kind::Float8 => read_float(text.trim_matches(is_blank), to),
        Kind::Bool => boolean(text.trim_matches(is_blank)),
        Kind::Uuid => uuid(text),
        Kind::Bytea => bytes(text),
        Kind::Json => json::checked(text),
        Kind::Jsonb => json::canonical(text),
        Kind::Date => match time::parsed(text)? {
            (day, _, "") => time::date(day),
            _ => fail(Code::FeatureNotSupported, "a date with a time zone"),
        },
        Kind::Timestamp => match time::parsed(text)? {
            (day, rest, "") => time::moment(day, rest, 0),
            // PostgreSQL passes a time zone over here.
            _ => fail(Code::FeatureNotSupported, "a timestamp with a time zone"),
        },
        Kind::Timestamptz => {
            let (day, rest, zone) = time::parsed(text)?;
            match time::zone_of(zone) {
                Some(east) => time::moment(day, rest, east),
                None => fail(Code::FeatureNotSupported, "a timestamptz without its offset, as +00"),
            }
        }
        _ => wrong(),
    }
}

/// Whether this is a number as SQL writes it, with its digits behind the point and its exponent.
fn decimal_parts(text: &str) -> Option<(usize, i64)> {
    let bare = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (digits, exponent) = match bare.find(['e', 'E']) {
        Some(at) => (&bare[..at], &bare[at + 1..]),
        None => (bare, "0"),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let bare_exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let is_one = is_number(whole) && is_number(part) && !(whole.is_empty() && part.is_empty());
    if !is_one || bare_exponent.is_empty() || !is_number(bare_exponent) {
        return None;
    }
    let beyond = if exponent.starts_with('-') { i64::MIN } else { i64::MAX };
    Some((part.len(), exponent.parse().unwrap_or(beyond)))
}

fn numeric(text: &str) -> Made {
    const EXPONENT_MAX: u64 = 131_072;
    let Some((_, exponent)) = decimal_parts(text) else {
        let word = text.strip_prefix(['+', '-']).unwrap_or(text).to_ascii_lowercase();
        return match word.as_str() {
            "nan" | "inf" | "infinity" => no_number(),
            _ => invalid("invalid input syntax for type numeric"),
        };
    };
    if exponent.unsigned_abs() > EXPONENT_MAX {
        return fail(Code::NumericValueOutOfRange, "value overflows numeric format");
    }
    match text.parse::<Decimal>() {
        Ok(number) => number::bounded(number.written_out()),
        Err(_) => invalid("invalid input syntax for type numeric"),
    }
}

fn read_float(text: &str, to: Kind) -> Made {
    if decimal_parts(text).is_none() {
        let (sign, word) = match text.strip_prefix('-') {
            Some(word) => (-1.0, word),
            None => (1.0, text.strip_prefix('+').unwrap_or(text)),
        };
        return match word.to_ascii_lowercase().as_str() {
            "nan" => Ok(Cell::Float(Float::new(f64::NAN))),
            "inf" | "infinity" => Ok(Cell::Float(Float::new(sign * f64::INFINITY))),
            word if word.starts_with("0x") || word.starts_with("nan(") => {
                fail(Code::FeatureNotSupported, "a number in another form")
            }
            _ => invalid("invalid input syntax for a floating-point number"),
        };
    }
    let (is_zero, is_infinite, cell) = if to == Kind::Float4 {
        let number: f32 = text.parse().unwrap_or(f32::NAN);
        (number == 0.0, number.is_infinite(), float::of_real(number))
    } else {
        let number: f64 = text.parse().unwrap_or(f64::NAN);
        (number == 0.0, number.is_infinite(), Cell::Float(Float::new(number)))
    };
    let mantissa = text.split(['e', 'E']).next().unwrap_or(text);
    let says_more = mantissa.bytes().any(|byte| (b'1'..=b'9').contains(&byte));
    if is_infinite || (is_zero && says_more) {
        return fail(Code::NumericValueOutOfRange, "the number is out of range");
    }
    Ok(cell)
}

fn boolean(text: &str) -> Made {
    let word = text.to_ascii_lowercase();
    let begins = |whole: &str, least: usize| word.len() >= least && whole.starts_with(&word);
    let is = begins("true", 1) || begins("yes", 1) || word == "on" || word == "1";
    let is_not = begins("false", 1) || begins("no", 1) || begins("off", 2) || word == "0";
    if is || is_not { Ok(Cell::Bool(is)) } else { invalid("invalid input syntax for type boolean") }
}

/// Digits with or without a hyphen behind each four of them, and with or without braces around.
fn uuid(text: &str) -> Made {
    let bad = || invalid("invalid input syntax for type uuid");
    let inner = match text.strip_prefix('{') {
        Some(inner) => match inner.strip_suffix('}') {
            Some(inner) => inner,
            None => return bad(),
        },
        None => text,
    };
    let mut rest = inner;
    let mut uuid = [0_u8; 16];
    for (at, byte) in uuid.iter_mut().enumerate() {
        let Some((digits, behind)) = rest.split_at_checked(2) else { return bad() };
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let Some(value) = is_hex.then(|| u8::from_str_radix(digits, 16).ok()).flatten() else {
            return bad();
        };
        *byte = value;
        let may_have_hyphen = at % 2 == 1 && at < 15;
        rest = if may_have_hyphen { behind.strip_prefix('-').unwrap_or(behind) } else { behind };
    }
    if rest.is_empty() { Ok(Cell::Uuid(uuid)) } else { bad() }
}

/// Two digits a byte behind `\x`, with blanks between them; or bytes as they are, `\\` and `\ooo`.
fn bytes(text: &str) -> Made {
    let bad = || invalid("invalid input syntax for type bytea");
    if let Some(hex) = text.strip_prefix("\\x") {
        let mut digits = Vec::with_capacity(hex.len());
        for part in hex.split([' ', '\n', '\t', '\r']) {
            // A byte is not cut in two.
            if part.len() % 2 != 0 {
                return fail(Code::InvalidParameterValue, "invalid hexadecimal data");
            }
            digits.extend(part.bytes());
        }
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        let byte = |pair: &[u8; 2]| Some((digit(&pair[0])? << 4 | digit(&pair[1])?) as u8);
        let bytes: Option<Vec<u8>> = digits.as_chunks::<2>().0.iter().map(byte).collect();
        return match bytes {
            Some(bytes) => Ok(Cell::Bytes(bytes)),
            None => fail(Code::InvalidParameterValue, "invalid hexadecimal digit"),
        };
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = match (first, behind) {
            (b'\\', [b'\\', behind @ ..]) => {
                bytes.push(b'\\');
                behind
            }
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', behind @ ..]) => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                behind
            }
            (b'\\', _) => return bad(),
            _ => {
                bytes.push(*first);
                behind
            }
        };
    }
    Ok(Cell::Bytes(bytes))
}
