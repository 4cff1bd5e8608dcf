//! `like`.
use super::{Code, EvalError, fail};

/// What became of one way to match.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Match {
    Yes,
    No,
    /// The text came to its end: to begin later in it helps nobody.
    Ended,
}

/// Whether the text is as the pattern says: `%` stands for any characters, `_` for one, and a backslash takes the meaning of
/// the sign behind it.
pub(super) fn is_like(text: &str, pattern: &str) -> Result<bool, EvalError> {
    let text: Vec<char> = text.chars().collect();
    let pattern: Vec<char> = pattern.chars().collect();
    Ok(matches(&text, &pattern)? == Match::Yes)
}

fn open_end<T>() -> Result<T, EvalError> {
    fail(Code::InvalidEscapeSequence, "LIKE pattern must not end with escape character")
}

fn matches(mut text: &[char], mut pattern: &[char]) -> Result<Match, EvalError> {
    while let ([first, later @ ..], [sign, rest @ ..]) = (text, pattern) {
        match sign {
            '%' => return behind_any(text, rest),
            '_' => (text, pattern) = (later, rest),
            '\\' => match rest {
                [] => return open_end(),
                [meant, rest @ ..] if meant == first => (text, pattern) = (later, rest),
                _ => return Ok(Match::No),
            },
            _ if sign == first => (text, pattern) = (later, rest),
            _ => return Ok(Match::No),
        }
    }
    if !text.is_empty() {
        return Ok(Match::No);
    }
    let is_any = pattern.iter().all(|sign| *sign == '%');
    Ok(if is_any { Match::Yes } else { Match::Ended })
}

/// Whether any end of the text is as the pattern behind a `%` says.
fn behind_any(mut text: &[char], mut pattern: &[char]) -> Result<Match, EvalError> {
    loop {
        match (pattern, text) {
            (['%', rest @ ..], _) => pattern = rest,
            (['_', ..], []) => return Ok(Match::Ended),
            (['_', rest @ ..], [_, later @ ..]) => (text, pattern) = (later, rest),
            _ => break,
        }
    }
    let first = match pattern {
        [] => return Ok(Match::Yes),
        ['\\'] => return open_end(),
        ['\\', meant, ..] => *meant,
        [sign, ..] => *sign,
    };
    while let [one, later @ ..] = text {
        if *one == first {
            let found = matches(text, pattern)?;
            if found != Match::No {
                return Ok(found);
            }
        }
        text = later;
    }
    Ok(Match::Ended)
}

/// The pattern with the backslash in the place of `escape`, which is one character or none.
pub(super) fn with_backslash(pattern: &str, escape: &str) -> Result<String, EvalError> {
    let mut signs = escape.chars();
    let escape = signs.next();
    if signs.next().is_some() {
        return fail(Code::InvalidEscapeSequence, "invalid escape string");
    }
    if escape == Some('\\') {
        return Ok(pattern.to_owned());
    }
    let mut result = String::with_capacity(pattern.len());
    let mut is_behind = false;
    for sign in pattern.chars() {
        if Some(sign) == escape && !is_behind {
            result.push('\\');
            is_behind = true;
            continue;
        }
        if sign == '\\' && !is_behind {
            result.push('\\');
        }
        result.push(sign);
        is_behind = false;
    }
    Ok(result)
}
