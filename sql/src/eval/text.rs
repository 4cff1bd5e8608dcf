//! Texts, counted in characters, and strings of bytes.
use super::{BYTES_MAX, Code, EvalError, Made, fail, like, wrong};
use crate::expr::Function;
use std::borrow::Cow;
use views::Cell;

fn text(cell: &Cell) -> Result<&str, EvalError> {
    cell.text().map_or_else(wrong, Ok)
}
fn int(cell: &Cell) -> Result<i64, EvalError> {
    cell.int().map_or_else(wrong, Ok)
}

pub(super) fn concat(all: &[Cow<'_, Cell>]) -> Made {
    bounded(all.iter().filter_map(|one| one.text()).collect())
}
pub(super) fn concat_with(all: &[Cow<'_, Cell>]) -> Made {
    let Some((between, texts)) = all.split_first() else { return wrong() };
    let Some(between) = between.text() else { return Ok(Cell::Null) };
    let texts: Vec<&str> = texts.iter().filter_map(|one| one.text()).collect();
    bounded(texts.join(between))
}

fn bounded(text: String) -> Made {
    if text.len() > BYTES_MAX {
        return fail(Code::ProgramLimitExceeded, "the text is too long");
    }
    Ok(Cell::Text(text))
}

pub(super) fn make(of: &Function, a: &Cell, b: &Cell, c: Option<&Cell>) -> Made {
    match of {
        Function::JoinBytes => match (a, b) {
            (Cell::Bytes(a), Cell::Bytes(b)) => Ok(Cell::Bytes([a.as_slice(), b].concat())),
            _ => wrong(),
        },
        Function::Bytes => match a {
            Cell::Bytes(bytes) => Ok(Cell::Int(bytes.len() as i64)),
            other => Ok(Cell::Int(text(other)?.len() as i64)),
        },
        Function::SubstringBytes => match a {
            Cell::Bytes(bytes) => {
                let (skip, take) = window(int(b)?, c.map(int).transpose()?)?;
                Ok(Cell::Bytes(bytes.iter().copied().skip(skip).take(take).collect()))
            }
            _ => wrong(),
        },
        Function::Join => bounded([text(a)?, text(b)?].concat()),
        Function::Length => Ok(Cell::Int(text(a)?.chars().count() as i64)),
        Function::Substring => {
            let (skip, take) = window(int(b)?, c.map(int).transpose()?)?;
            Ok(Cell::Text(text(a)?.chars().skip(skip).take(take).collect()))
        }
        Function::Left => Ok(Cell::Text(text(a)?.chars().take(count(text(a)?, int(b)?)).collect())),
        Function::Right => {
            let text = text(a)?;
            let skip = text.chars().count() - count(text, int(b)?);
            Ok(Cell::Text(text.chars().skip(skip).collect()))
        }
        Function::PadLeft | Function::PadRight => {
            let fill = c.map_or(Ok(" "), text)?;
            padded(text(a)?, int(b)?, fill, *of == Function::PadLeft)
        }
        Function::TrimStart | Function::TrimEnd | Function::Trim => {
            let what: Vec<char> =
                if *b == Cell::Null { vec![' '] } else { text(b)?.chars().collect() };
            let is_off = |sign: char| what.contains(&sign);
            let all = text(a)?;
            let rest = match of {
                Function::TrimStart => all.trim_start_matches(is_off),
                Function::TrimEnd => all.trim_end_matches(is_off),
                _ => all.trim_matches(is_off),
            };
            Ok(rest.into())
        }
        Function::Replace => {
            let (all, from, to) = (text(a)?, text(b)?, c.map_or_else(wrong, text)?);
            if from.is_empty() {
                return Ok(all.into());
            }
            let times = if to.len() > from.len() { all.matches(from).count() } else { 0 };
            check_size(all.len().saturating_add(times.saturating_mul(to.len())))?;
            Ok(Cell::Text(all.replace(from, to)))
        }
        Function::SplitPart => split_part(text(a)?, text(b)?, c.map_or_else(wrong, int)?),
        Function::StartsWith => Ok(Cell::Bool(text(a)?.starts_with(text(b)?))),
        Function::Position => {
            let all = text(a)?;
            let found = all.find(text(b)?).map_or(0, |at| all[..at].chars().count() as i64 + 1);
            Ok(Cell::Int(found))
        }
        Function::Repeat => {
            let times = usize::try_from(int(b)?).unwrap_or(0);
            let text = text(a)?;
            check_size(text.len().saturating_mul(times))?;
            Ok(Cell::Text(if text.is_empty() { String::new() } else { text.repeat(times) }))
        }
        Function::Reverse => Ok(Cell::Text(text(a)?.chars().rev().collect())),
        Function::Upper => Ok(Cell::Text(text(a)?.to_ascii_uppercase())),
        Function::Lower => Ok(Cell::Text(text(a)?.to_ascii_lowercase())),
        Function::Like => Ok(Cell::Bool(like::is_like(text(a)?, text(b)?)?)),
        Function::LikeEscape => Ok(Cell::Text(like::with_backslash(text(a)?, text(b)?)?)),
        _ => wrong(),
    }
}

fn check_size(bytes: usize) -> Result<(), EvalError> {
    if bytes > BYTES_MAX {
        return fail(Code::ProgramLimitExceeded, "the text is too long");
    }
    Ok(())
}

/// How many to skip and how many to take of what is counted from 1. What is before the first counts among the length.
fn window(start: i64, length: Option<i64>) -> Result<(usize, usize), EvalError> {
    let from = start.max(1);
    let take = match length {
        Some(..0) => return fail(Code::SubstringError, "negative substring length not allowed"),
        // Both are of 32 bits.
        Some(length) => start.saturating_add(length).saturating_sub(from).max(0),
        None => i64::MAX,
    };
    let all = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
    Ok((all(from - 1), all(take)))
}

/// So many characters from one end; a negative number leaves so many at the other end.
fn count(text: &str, number: i64) -> usize {
    let all = text.chars().count();
    let size = usize::try_from(number.unsigned_abs()).unwrap_or(usize::MAX);
    if number < 0 { all.saturating_sub(size) } else { size.min(all) }
}

fn padded(text: &str, length: i64, fill: &str, is_left: bool) -> Made {
    let length = usize::try_from(length).unwrap_or(0);
    let kept: String = text.chars().take(length).collect();
    let missing = length - kept.chars().count();
    if fill.is_empty() || missing == 0 {
        return Ok(Cell::Text(kept));
    }
    check_size(missing)?;
    let fill: String = fill.chars().cycle().take(missing).collect();
    bounded(if is_left { fill + &kept } else { kept + &fill })
}

fn split_part(text: &str, between: &str, at: i64) -> Made {
    if at == 0 {
        return fail(Code::InvalidParameterValue, "field position must not be zero");
    }
    if text.is_empty() {
        return Ok("".into());
    }
    let index = usize::try_from(at.unsigned_abs() - 1).unwrap_or(usize::MAX);
    if between.is_empty() {
        return Ok(if index == 0 { text.into() } else { "".into() });
    }
    // Also from the end the parts are those that are found from the beginning.
    let count = text.split(between).count();
    let index = if at > 0 {
        Some(index)
    } else {
        count.checked_sub(1).and_then(|last| last.checked_sub(index))
    };
    let part = index.and_then(|index| text.split(between).nth(index));
    Ok(part.unwrap_or_default().into())
}
