//! JSON's grammar in one pass over the bytes, without allocation and without words for what is wrong.

use std::borrow::Cow;

/// Brackets inside each other, at most: objects and arrays are read by recursion, whose stack this bounds.
const LEVELS_MAX: usize = 64;

/// Reads forward through a text. What it accepts is JSON, exactly as `serde_json` accepts it where the text of values
/// is taken untouched: the four digits of a `\u` escape need not be half of a surrogate pair. `None` everywhere means
/// that the text is not JSON, or that there are more levels of brackets than allowed.
pub(crate) struct Scanner<'a> {
    text: &'a str,
    /// How many bytes of it were passed.
    at: usize,
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
        Self { text, at: 0, levels: levels.min(LEVELS_MAX) }
    }

    /// What `read` passes, without the white space before it.
    #[inline]
    pub(crate) fn span(&mut self, read: impl FnOnce(&mut Self) -> Option<()>) -> Option<Span> {
        self.next()?;
        let from = self.at;
        read(self)?;
        Some(Span { from, to: self.at })
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

    /// A string as [`super::string`] returns it.
    #[inline]
    pub(crate) fn string_text(&self, string: Quoted) -> Option<Option<Cow<'a, str>>> {
        let Span { from, to } = string.span;
        Some(match string.has_escapes {
            false => Some(Cow::Borrowed(self.text.get(from + 1..to - 1)?)),
            true => super::string(self.text.get(from..to)?),
        })
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
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
        while let b' ' | b'\n' | b'\r' | b'\t' = self.peek()? {
            self.at += 1;
        }
        self.peek()
    }
    /// Past this byte, and white space before it.
    #[inline]
    pub(crate) fn take(&mut self, byte: u8) -> Option<()> {
        if self.next()? != byte {
            return None;
        }
        self.at += 1;
        Some(())
    }
    /// Whether nothing but white space is left.
    pub(crate) fn is_at_end(&mut self) -> bool {
        self.next().is_none()
    }

    /// Past brackets and the items between them, each of which `item` must pass.
    #[inline]
    fn brackets(
        &mut self,
        [opening, closing]: [u8; 2],
        mut item: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        self.take(opening)?;
        self.levels = self.levels.checked_sub(1)?;
        if self.next()? != closing {
            loop {
                item(self)?;
                match self.next()? {
                    b',' => self.at += 1,
                    byte if byte == closing => break,
                    _ => return None,
                }
            }
        }
        self.levels += 1;
        self.at += 1;
        Some(())
    }

    /// Past an object. `member` is given each name and must pass the value.
    #[inline]
    pub(crate) fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, Quoted) -> Option<()>,
    ) -> Option<()> {
        self.brackets(*b"{}", |scanner| {
            let name = scanner.name()?;
            member(scanner, name)
        })
    }

    /// Past an object of which names matter by their slots alone: `member` is given each name with its slot, and must
    /// pass the value. `usual` has names as most objects have them, in this order and without white space; other names,
    /// other orders and white space are read as well, but slower. A name with escapes ends it.
    #[inline]
    pub(crate) fn object_of(
        &mut self,
        usual: &[(&str, Option<usize>)],
        slot: impl Fn(&[u8]) -> Option<usize>,
        mut member: impl FnMut(&mut Self, &[u8], Option<usize>) -> Option<()>,
    ) -> Option<()> {
        let mut next = 0;
        self.brackets(*b"{}", |scanner| {
            let (name, slot) = match usual.get(next) {
                Some((name, slot)) if scanner.rest().starts_with(name.as_bytes()) => {
                    scanner.at += name.len();
                    next += 1;
                    (&name.as_bytes()[1..name.len() - 2], *slot)
                }
                _ => {
                    let name = scanner.name()?;
                    let name = scanner.plain(name)?;
                    let slot = slot(name);
                    if slot.is_some() {
                        let found = usual.iter().position(|(_, of)| *of == slot);
                        next = found.map_or(next, |at| at + 1);
                    }
                    (name, slot)
                }
            };
            member(scanner, name, slot)
        })
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
        self.at += match self.rest() {
            [b'n', b'u', b'l', b'l', ..] | [b't', b'r', b'u', b'e', ..] => 4,
            [b'f', b'a', b'l', b's', b'e', ..] => 5,
            [b'{', ..] => return self.object(|scanner, _| scanner.value()),
            [b'[', ..] => return self.brackets(*b"[]", Self::value),
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

    /// The next member of an object that was checked to be JSON, however deep it is; `None` after the last one.
    #[inline]
    pub(crate) fn checked_member(&mut self) -> Option<super::Member<'a>> {
        if let b'{' | b',' = self.next()? {
            self.at += 1;
        }
        let name = self.name()?;
        let name = self.string_text(name)?;
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
            self.at += 1;
            if depth == 0 {
                return Some(());
            }
        }
    }

    /// Eight bytes from there, with zeros where the text has ended.
    #[inline(always)]
    fn word(&self, at: usize) -> u64 {
        match self.text.as_bytes().get(at..).and_then(<[u8]>::first_chunk) {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None => self.last_word(at),
        }
    }
    #[cold]
    fn last_word(&self, at: usize) -> u64 {
        let left = self.text.as_bytes().get(at..).unwrap_or_default();
        let mut bytes = [0; 8];
        bytes.iter_mut().zip(left).for_each(|(to, byte)| *to = *byte);
        u64::from_le_bytes(bytes)
    }

    /// From a quote to past the closing one. The zeros after the text's end are no part of a string, either.
    #[inline(always)]
    fn string(&mut self) -> Option<Quoted> {
        let (from, mut has_escapes) = (self.at, false);
        let mut at = from + 1;
        loop {
            let word = self.word(at);
            let marks = marks(word);
            if marks == 0 {
                at += 8;
                continue;
            }
            let bits_before = marks.trailing_zeros() & !7;
            at += bits_before as usize / 8;
            if (word >> bits_before) as u8 == b'"' {
                self.at = at + 1;
                return Some(Quoted { span: Span { from, to: self.at }, has_escapes });
            }
            at += self.escape(at)?;
            has_escapes = true;
        }
    }
    /// How long the escape is that is there; `None` also for a control character.
    #[inline(never)]
    fn escape(&self, at: usize) -> Option<usize> {
        match self.text.as_bytes().get(at..)? {
            [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => Some(2),
            [b'\\', b'u', digits @ ..] => {
                digits.first_chunk::<4>()?.iter().all(u8::is_ascii_hexdigit).then_some(6)
            }
            _ => None,
        }
    }

    #[inline]
    fn number(&mut self) -> Option<()> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek()? {
            b'0' => self.at += 1,
            _ => self.digits()?,
        }
        match self.peek() {
            Some(b'.' | b'e' | b'E') => self.fraction(),
            _ => Some(()),
        }
    }
    #[inline(never)]
    fn fraction(&mut self) -> Option<()> {
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }
    /// Past one digit or more.
    #[inline(always)]
    fn digits(&mut self) -> Option<()> {
        let mut at = self.at;
        loop {
            let word = self.word(at);
            // A digit's upper half is 3, also after 6 is added.
            let upper = |word: u64| (word & eight(0xf0)) ^ eight(0x30);
            let others = upper(word) | upper(word.wrapping_add(eight(6)));
            if others == 0 {
                at += 8;
                continue;
            }
            at += others.trailing_zeros() as usize / 8;
            let is_one = at > self.at;
            self.at = at;
            return is_one.then_some(());
        }
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
/// Whether there is a backslash, eight bytes at a time.
pub(crate) fn has_backslash(bytes: &[u8]) -> bool {
    let is_in = |word: [u8; 8]| {
        let word = u64::from_le_bytes(word);
        (word ^ eight(b'\\')).wrapping_sub(eight(1)) & !word & HIGHS != 0
    };
    match bytes.last_chunk::<8>() {
        None => bytes.contains(&b'\\'),
        // The last eight may overlap with the eights before.
        Some(last) => is_in(*last) || bytes.as_chunks::<8>().0.iter().any(|word| is_in(*word)),
    }
}
