//! JSON: `json` is the text as it came; `jsonb` is one text for one value, as PostgreSQL writes it.
use super::{Code, EvalError, Made, cast::cast, fail, wrong};
use crate::{
    expr::Function,
    types::{Kind, SqlType},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::BTreeMap};
use views::Cell;

/// A value whose members are not read yet.
enum Parsed<'a> {
    Object(Vec<(String, &'a RawValue)>),
    Array(Vec<&'a RawValue>),
    Text(String),
    /// A number, true, false or null.
    Word(&'a str),
}

fn invalid<T>() -> Result<T, EvalError> {
    fail(Code::InvalidTextRepresentation, "invalid input syntax for type json")
}

fn parse(text: &str) -> Result<Parsed<'_>, EvalError> {
    let text = text.trim_matches([' ', '\t', '\n', '\r']);
    let read = match text.as_bytes().first() {
        Some(b'{') => {
            serde_json::from_str::<Members<'_>>(text).map(|members| Parsed::Object(members.0))
        }
        Some(b'[') => serde_json::from_str(text).map(Parsed::Array),
        Some(b'"') => serde_json::from_str(text).map(Parsed::Text),
        _ => serde_json::from_str::<&RawValue>(text).map(|_| Parsed::Word(text)),
    };
    read.or_else(|_| invalid())
}

/// All members of an object in their order, those of one name too.
struct Members<'a>(Vec<(String, &'a RawValue)>);
impl<'de: 'a, 'a> serde::Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> serde::de::Visitor<'de> for All {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        json.deserialize_map(All)
    }
}

/// The text, if it is JSON.
pub(super) fn checked(text: &str) -> Made {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Ok(Cell::Json(text.to_owned())),
        Err(_) => invalid(),
    }
}

/// The value as PostgreSQL writes a `jsonb`: members by the length of their names, then by their bytes, the last of those of
/// one name; numbers without exponents; one blank behind each comma and colon.
pub(super) fn canonical(text: &str) -> Made {
    // Its reader refuses what is nested too deeply, so that what is below need not.
    checked(text)?;
    let mut out = String::with_capacity(text.len());
    write(text, &mut out)?;
    Ok(Cell::Json(out))
}

fn write(text: &str, out: &mut String) -> Result<(), EvalError> {
    match parse(text)? {
        Parsed::Object(members) => {
            let mut sorted = BTreeMap::new();
            for (name, value) in members {
                sorted.insert((name.len(), name), value);
            }
            out.push('{');
            for (at, ((_, name), value)) in sorted.into_iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                write_text(&name, out)?;
                out.push_str(": ");
                write(value.get(), out)?;
            }
            out.push('}');
        }
        Parsed::Array(values) => {
            out.push('[');
            for (at, value) in values.into_iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                write(value.get(), out)?;
            }
            out.push(']');
        }
        Parsed::Text(text) => write_text(&text, out)?,
        Parsed::Word(word @ ("true" | "false" | "null")) => out.push_str(word),
        Parsed::Word(number) => {
            let number = Cell::Text(number.to_owned());
            let decimal = cast(Cow::Owned(number), Kind::Text, &SqlType::Plain(Kind::Numeric))?;
            out.push_str(&decimal.to_string());
        }
    }
    Ok(())
}

fn write_text(text: &str, out: &mut String) -> Result<(), EvalError> {
    no_zero(text)?;
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    Ok(())
}

/// A text of PostgreSQL has no zero character.
fn no_zero(text: &str) -> Result<(), EvalError> {
    if text.contains('\0') {
        return fail(Code::FeatureNotSupported, "a zero character in a text of JSON");
    }
    Ok(())
}

/// The member of this name, or the element at this place, counted from the end where it is negative; null if there is none.
pub(super) fn get(of: &Function, json: &Cell, at: &Cell) -> Made {
    let Cell::Json(json) = json else { return wrong() };
    let (found, binary, text) = match (of, at) {
        (Function::JsonMember { binary, text }, Cell::Text(name)) => {
            let found = match parse(json)? {
                Parsed::Object(members) => members
                    .into_iter()
                    .rev()
                    .find(|member| member.0 == *name)
                    .map(|member| member.1),
                _ => None,
            };
            (found, *binary, *text)
        }
        (Function::JsonElement { binary, text }, Cell::Int(at)) => {
            let found = match parse(json)? {
                Parsed::Array(values) => {
                    let from_end =
                        || values.len().checked_sub(usize::try_from(at.unsigned_abs()).ok()?);
                    let at = if *at < 0 { from_end() } else { usize::try_from(*at).ok() };
                    at.and_then(|at| values.get(at).copied())
                }
                // PostgreSQL keeps a single value as an array of one.
                Parsed::Text(_) | Parsed::Word(_) if *binary && matches!(at, 0 | -1) => {
                    serde_json::from_str::<&RawValue>(json).ok()
                }
                _ => None,
            };
            (found, *binary, *text)
        }
        _ => return wrong(),
    };
    let Some(found) = found else { return Ok(Cell::Null) };
    match (text, parse(found.get())?) {
        (true, Parsed::Word("null")) => Ok(Cell::Null),
        (true, Parsed::Text(text)) => {
            no_zero(&text)?;
            Ok(Cell::Text(text))
        }
        (true, _) if binary => match canonical(found.get())? {
            Cell::Json(text) => Ok(Cell::Text(text)),
            _ => wrong(),
        },
        (true, _) => Ok(Cell::Text(found.get().to_owned())),
        (false, _) if binary => canonical(found.get()),
        (false, _) => Ok(Cell::Json(found.get().to_owned())),
    }
}
