//! JSON's grammar in one pass over the bytes, without allocation and without words for what is wrong.

use std::borrow::Cow;

/// Brackets inside each other, at most: objects and arrays are read by recursion, whose stack this bounds.
pub(crate) const LEVELS_MAX: usize = 64;

/// Reads forward through a text. What it accepts is JSON, exactly as `serde_json` accepts it where the text of values
/// is taken untouched: the four digits of a `\u` escape need not be half of a surrogate pair. `None` everywhere means
/// that the text is not JSON, or that there are more levels of brackets than allowed.
pub(crate) struct Scanner<'a> {
    text: &'a str,
    /// What is still to be read of it.
    rest: &'a [u8],
    /// How many brackets may be opened here.
    levels: usize,
}

/// Where in a scanner's text something stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    from: usize,
    to: usize,
}
/// A string, with its quotes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quoted {
    span: Span,
    has_escapes: bool,
}

impl<'a> Scanner<'a> {
    /// With at most so many levels of brackets, and never more than [`LEVELS_MAX`].
    pub(crate) fn new(text: &'a str, levels: usize) -> Self {
        Self { text, rest: text.as_bytes(), levels: levels.min(LEVELS_MAX) }
    }

    /// How many bytes were passed.
    #[inline]
    fn at(&self) -> usize {
        self.text.len() - self.rest.len()
    }
    /// What `read` passes, without the white space before it.
    #[inline]
    pub(crate) fn span(&mut self, read: impl FnOnce(&mut Self) -> Option<()>) -> Option<Span> {
        self.next()?;
        let from = self.at();
        read(self)?;
        Some(Span { from, to: self.at() })
    }
    #[inline]
    pub(crate) fn text(&self, span: Span) -> Option<&'a str> {
        self.text.get(span.from..span.to)
    }
    /// A string's inside; `None`: it has escapes.
    #[inline]
    pub(crate) fn plain(&self, string: Quoted) -> Option<&'a [u8]> {
        let Quoted { span: Span { from, to }, has_escapes: false } = string else { return None };
        self.text.as_bytes().get(from + 1..to - 1)
    }

    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }
    /// Past so many bytes.
    #[inline]
    fn pass(&mut self, bytes: usize) -> Option<()> {
        self.rest = self.rest.get(bytes..)?;
        Some(())
    }

    /// The next byte that is no white space, which is not passed.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<u8> {
        match self.peek()? {
            byte if byte > b' ' => Some(byte),
            _ => self.next_after_space(),
        }
    }
    #[cold]
    fn next_after_space(&mut self) -> Option<u8> {
        while let [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
        self.peek()
    }
    /// Past this byte, and white space before it.
    #[inline]
    pub(crate) fn take(&mut self, byte: u8) -> Option<()> {
        if self.next()? != byte {
            return None;
        }
        self.pass(1)
    }
    /// Whether nothing but white space is left.
    pub(crate) fn is_at_end(&mut self) -> bool {
        self.next().is_none()
    }

    /// Past an object. `member` is given each name and must pass the value.
    #[inline]
    pub(crate) fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, Quoted) -> Option<()>,
    ) -> Option<()> {
        self.take(b'{')?;
        self.levels = self.levels.checked_sub(1)?;
        if self.next()? != b'}' {
            loop {
                let name = self.name()?;
                member(self, name)?;
                match self.next()? {
                    b',' => self.pass(1)?,
                    b'}' => break,
                    _ => return None,
                }
            }
        }
        self.levels += 1;
        self.pass(1)
    }

    fn array(&mut self) -> Option<()> {
        self.take(b'[')?;
        self.levels = self.levels.checked_sub(1)?;
        if self.next()? != b']' {
            loop {
                self.value()?;
                match self.next()? {
                    b',' => self.pass(1)?,
                    b']' => break,
                    _ => return None,
                }
            }
        }
        self.levels += 1;
        self.pass(1)
    }

    /// Past a value of any kind.
    #[inline]
    pub(crate) fn value(&mut self) -> Option<()> {
        match self.next()? {
            b'"' => self.string().map(|_| ()),
            b'-' | b'0'..=b'9' => self.number(),
            _ => self.word_or_brackets(),
        }
    }
    #[inline(never)]
    fn word_or_brackets(&mut self) -> Option<()> {
        self.rest = match self.rest {
            [b'n', b'u', b'l', b'l', rest @ ..]
            | [b't', b'r', b'u', b'e', rest @ ..]
            | [b'f', b'a', b'l', b's', b'e', rest @ ..] => rest,
            [b'{', ..] => return self.object(|scanner, _| scanner.value()),
            [b'[', ..] => return self.array(),
            _ => return None,
        };
        Some(())
    }

    /// Past a name and the colon behind it.
    #[inline(always)]
    fn name(&mut self) -> Option<Quoted> {
        if self.next()? != b'"' {
            return None;
        }
        let name = self.string()?;
        self.take(b':')?;
        Some(name)
    }

    /// The next member of an object that was checked to be JSON, however deep it is; `None` after the last one. The
    /// name is as [`super::string`] returns it.
    #[inline]
    pub(crate) fn checked_member(&mut self) -> Option<(Option<Cow<'a, str>>, &'a str)> {
        if let b'{' | b',' = self.next()? {
            self.pass(1)?;
        }
        let name = self.name()?;
        let Span { from, to } = name.span;
        let name = match name.has_escapes {
            false => Some(Cow::Borrowed(self.text.get(from + 1..to - 1)?)),
            true => super::string(self.text.get(from..to)?),
        };
        let value = self.span(|scanner| match scanner.peek()? {
            b'{' | b'[' => scanner.checked_brackets(),
            _ => scanner.value(),
        })?;
        Some((name, self.text(value)?))
    }
    fn checked_brackets(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.checked_sub(1)?,
                _ => {}
            }
            self.pass(1)?;
            if depth == 0 {
                return Some(());
            }
        }
    }

    /// From a quote to past the closing one.
    #[inline(always)]
    fn string(&mut self) -> Option<Quoted> {
        let from = self.at();
        let mut rest = self.rest.get(1..)?;
        while let Some((word, after)) = rest.split_first_chunk::<8>() {
            let word = u64::from_le_bytes(*word);
            let marks = marks(word);
            if marks == 0 {
                rest = after;
                continue;
            }
            let bits_before = marks.trailing_zeros() & !7;
            let bytes_before = bits_before as usize / 8;
            if (word >> bits_before) as u8 != b'"' {
                self.rest = rest.get(bytes_before..)?;
                return self.marked_string(from);
            }
            self.rest = rest.get(bytes_before + 1..)?;
            return Some(Quoted { span: Span { from, to: self.at() }, has_escapes: false });
        }
        self.rest = rest;
        self.marked_string(from)
    }
    /// The same, from anywhere in a string that begins at `from`.
    #[inline(never)]
    fn marked_string(&mut self, from: usize) -> Option<Quoted> {
        let mut has_escapes = false;
        loop {
            let length = match self.rest {
                [b'"', rest @ ..] => {
                    self.rest = rest;
                    return Some(Quoted { span: Span { from, to: self.at() }, has_escapes });
                }
                [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 2,
                [b'\\', b'u', digits @ ..] => {
                    digits.first_chunk::<4>()?.iter().all(u8::is_ascii_hexdigit).then_some(6)?
                }
                [b'\\', ..] | [0..b' ', ..] | [] => return None,
                _ => {
                    self.pass(unmarked(self.rest))?;
                    continue;
                }
            };
            has_escapes = true;
            self.pass(length)?;
        }
    }

    #[inline]
    fn number(&mut self) -> Option<()> {
        if let [b'-', rest @ ..] = self.rest {
            self.rest = rest;
        }
        match self.peek()? {
            b'0' => self.pass(1)?,
            _ => self.digits()?,
        }
        match self.peek() {
            Some(b'.' | b'e' | b'E') => self.fraction(),
            _ => Some(()),
        }
    }
    #[inline(never)]
    fn fraction(&mut self) -> Option<()> {
        if let [b'.', rest @ ..] = self.rest {
            self.rest = rest;
            self.digits()?;
        }
        if let [b'e' | b'E', b'+' | b'-', rest @ ..] | [b'e' | b'E', rest @ ..] = self.rest {
            self.rest = rest;
            self.digits()?;
        }
        Some(())
    }
    /// Past one digit or more.
    #[inline(always)]
    fn digits(&mut self) -> Option<()> {
        let start = self.rest;
        while let Some((word, after)) = self.rest.split_first_chunk::<8>() {
            let word = u64::from_le_bytes(*word);
            // A digit's upper half is 3, also after 6 is added.
            let upper = |word: u64| (word & eight(0xf0)) ^ eight(0x30);
            let others = upper(word) | upper(word.wrapping_add(eight(6)));
            if others != 0 {
                self.rest = self.rest.get(others.trailing_zeros() as usize / 8..)?;
                return (self.rest.len() < start.len()).then_some(());
            }
            self.rest = after;
        }
        self.digits_at_end(start)
    }
    #[cold]
    fn digits_at_end(&mut self, start: &[u8]) -> Option<()> {
        while let [b'0'..=b'9', rest @ ..] = self.rest {
            self.rest = rest;
        }
        (self.rest.len() < start.len()).then_some(())
    }
}

/// This byte, eight times.
const fn eight(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}
/// The highest bit of each byte of eight.
const HIGHS: u64 = eight(0x80);

/// The highest bit of the first byte of eight that a string has not as it is: a quote, a backslash, a control
/// character. Bytes above it may be marked, too.
#[inline(always)]
fn marks(word: u64) -> u64 {
    // Less one, only a zero gets the highest bit; less 33, only what is below 33, which the quote and the control
    // characters are with the second bit turned. What is subtracted may also turn the byte above one that is marked.
    let backslashes = (word ^ eight(b'\\')).wrapping_sub(eight(1));
    let others = (word ^ eight(2)).wrapping_sub(eight(33));
    (backslashes | others) & !word & HIGHS
}
/// How many bytes there are before the first that [`marks`] knows.
fn unmarked(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        let marks = marks(u64::from_le_bytes(*word));
        if marks != 0 {
            return bytes.len() - rest.len() + marks.trailing_zeros() as usize / 8;
        }
        rest = after;
    }
    let is_unmarked = |b: &&u8| !matches!(b, b'"' | b'\\' | 0..b' ');
    bytes.len() - rest.len() + rest.iter().take_while(is_unmarked).count()
}

pub(crate) fn has_backslash(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*word);
        if (word ^ eight(b'\\')).wrapping_sub(eight(1)) & !word & HIGHS != 0 {
            return true;
        }
        rest = after;
    }
    rest.contains(&b'\\')
}
