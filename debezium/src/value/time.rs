//! Instants: µs since 1970, UTC, of the years 0001 to 9999; or infinite. Dates: days since 1970, of the same years.
use crate::Format;
use chrono::NaiveDate;

const FIRST_US: i64 = -62_135_596_800_000_000;
const LAST_US: i64 = 253_402_300_799_999_999;
const DAY_US: i64 = 86_400_000_000;

/// A moment, or what PostgreSQL has instead of one. In PostgreSQL's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Instant {
    NegativeInfinity,
    /// µs since 1970, UTC, of the years 0001 to 9999.
    At(i64),
    Infinity,
}
impl Instant {
    /// `None`: infinite.
    pub fn finite_us(self) -> Option<i64> {
        match self {
            Self::At(us) => Some(us),
            Self::Infinity | Self::NegativeInfinity => None,
        }
    }
}

/// What the JDBC driver has for an infinite timestamp (`PGStatement.DATE_POSITIVE_INFINITY`), which Debezium sends on
/// as ms, and as µs unless these are too many for 64 bits: then it is the last number that there is. PostgreSQL's own
/// finite timestamps come nowhere near as ms; as µs they do after the year 294246. (Infinite *dates* arrive as days
/// that differ between snapshot and stream: read as instants they stay an error, read as dates [`date_of_days`] tells them.)
const INFINITY: [i64; 2] = [9_223_372_036_825_200_000, i64::MAX];
const NEGATIVE_INFINITY: [i64; 2] = [-9_223_372_036_832_400_000, i64::MIN];

fn infinite(count: i64) -> Option<Instant> {
    match count {
        _ if INFINITY.contains(&count) => Some(Instant::Infinity),
        _ if NEGATIVE_INFINITY.contains(&count) => Some(Instant::NegativeInfinity),
        _ => None,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadTime {
    #[error("infinite, or outside of the years 0001 to 9999: correct the row at the source")]
    OutOfRange,
    #[error("not an ISO 8601 date and time")]
    NotIso,
    #[error("names no offset from UTC")]
    NoOffset,
    #[error("not an ISO 8601 date")]
    NotIsoDate,
}
use BadTime::{NoOffset, NotIso, NotIsoDate, OutOfRange};

/// The first and the last date that PostgreSQL has, 4714-11-24 BC and 5874897-12-31. Infinite ones arrive as numbers
/// beyond: 2146033979, and from a snapshot -622191234.
const FINITE_DAYS: std::ops::RangeInclusive<i64> = -2_440_588..=2_145_042_905;

/// `None`: an infinite date.
pub(crate) fn date_of_days(days: i64) -> Result<Option<i32>, BadTime> {
    if !FINITE_DAYS.contains(&days) {
        return Ok(None);
    }
    let is_within = (FIRST_US / DAY_US..=LAST_US / DAY_US).contains(&days);
    let days = i32::try_from(days).ok().filter(|_| is_within);
    days.map(Some).ok_or(OutOfRange)
}

/// `2024-05-06`, or with a `Z` behind it, as `io.debezium.time.IsoDate` has it. `None`: an infinite date.
pub(crate) fn date_of_iso(text: &str) -> Result<Option<i32>, BadTime> {
    if matches!(text, "infinity" | "+infinity" | "-infinity") {
        return Ok(None);
    }
    let mut rest = Rest(text.as_bytes());
    let Some(date) = rest.date() else {
        return Err(out_of_range_year(text).unwrap_or(NotIsoDate));
    };
    rest.take(b'Z');
    if rest.0.is_empty() { Ok(Some(date.to_epoch_days())) } else { Err(NotIsoDate) }
}

/// `format`: one of those for numbers. Nanoseconds are cut to the µs before, also before 1970.
pub(crate) fn from_number(count: i64, format: Format) -> Result<Instant, BadTime> {
    if let (Format::Millis | Format::Micros, Some(infinite)) = (format, infinite(count)) {
        return Ok(infinite);
    }
    let us = match format {
        Format::Millis => count.checked_mul(1_000),
        Format::Micros => Some(count),
        Format::Nanos => Some(count.div_euclid(1_000)),
        Format::Days => count.checked_mul(DAY_US),
        Format::DecimalBytes { .. } | Format::DecimalText | Format::Iso => None,
        Format::Base64 | Format::Base64UrlSafe | Format::Hex => None,
    };
    us.filter(|us| (FIRST_US..=LAST_US).contains(us)).map(Instant::At).ok_or(OutOfRange)
}

/// `infinity`, `-infinity`, or `2024-05-06T10:34:56.789012Z`, with any number of digits behind the second (cut to the µs before) and `Z` or an
/// offset; without one it is UTC if `utc_implied`. Also a date alone, as its midnight.
pub(crate) fn from_iso(text: &str, utc_implied: bool) -> Result<Instant, BadTime> {
    match text {
        "infinity" | "+infinity" => return Ok(Instant::Infinity),
        "-infinity" => return Ok(Instant::NegativeInfinity),
        _ => {}
    }
    let mut rest = Rest(text.as_bytes());
    let Some(date) = rest.date() else {
        // A signed year, or one of more than four digits.
        return Err(out_of_range_year(text).unwrap_or(NotIso));
    };
    let mut us = 0;
    if rest.take(b'T') || rest.take(b' ') {
        us = rest.clock().ok_or(NotIso)?;
    }
    let offset_us = match rest.offset() {
        Some(offset_us) => offset_us,
        None if rest.0.is_empty() && utc_implied => 0,
        None if rest.0.is_empty() => return Err(NoOffset),
        None => return Err(NotIso),
    };
    if !rest.0.is_empty() {
        return Err(NotIso);
    }
    let epoch = NaiveDate::default();
    let us = date.signed_duration_since(epoch).num_days() * DAY_US + us - offset_us;
    Some(us).filter(|us| (FIRST_US..=LAST_US).contains(us)).map(Instant::At).ok_or(OutOfRange)
}

fn out_of_range_year(text: &str) -> Option<BadTime> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    let is_date = unsigned.as_bytes().get(digits) == Some(&b'-');
    let is_zero = unsigned.starts_with("0000-");
    (is_date && digits >= 4 && (digits > 4 || is_zero || unsigned.len() < text.len()))
        .then_some(OutOfRange)
}

struct Rest<'a>(&'a [u8]);
impl Rest<'_> {
    fn take(&mut self, byte: u8) -> bool {
        match self.0 {
            [first, rest @ ..] if *first == byte => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }
    fn number(&mut self, digits: usize) -> Option<u32> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        number
            .iter()
            .try_fold(0, |sum, b| b.is_ascii_digit().then(|| sum * 10 + u32::from(b - b'0')))
    }
    fn date(&mut self) -> Option<NaiveDate> {
        let year = self.number(4).filter(|year| *year > 0)?;
        let month = self.take(b'-').then(|| self.number(2))??;
        let day = self.take(b'-').then(|| self.number(2))??;
        NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)
    }
    /// µs since midnight.
    fn clock(&mut self) -> Option<i64> {
        let hour = self.number(2).filter(|hour| *hour < 24)?;
        let minute = self.take(b':').then(|| self.number(2))?.filter(|minute| *minute < 60)?;
        let second = match self.take(b':') {
            true => self.number(2).filter(|second| *second < 60)?,
            false => 0,
        };
        let seconds = i64::from(hour * 3_600 + minute * 60 + second);
        let mut us = 0;
        if self.take(b'.') {
            let digits = self.0.iter().take_while(|b| b.is_ascii_digit()).count();
            let (part, rest) = self.0.split_at_checked(digits).filter(|_| digits > 0)?;
            self.0 = rest;
            let padded = part.iter().copied().chain(std::iter::repeat(b'0'));
            us = padded.take(6).fold(0, |sum, b| sum * 10 + i64::from(b - b'0'));
        }
        Some(seconds * 1_000_000 + us)
    }
    /// `Z`, `+02`, `+02:00`, `+0200`, `+02:00:30`, in µs.
    fn offset(&mut self) -> Option<i64> {
        if self.take(b'Z') {
            return Some(0);
        }
        let sign = match (self.take(b'+'), self.take(b'-')) {
            (true, false) => 1,
            (false, true) => -1,
            _ => return None,
        };
        let hours = self.number(2).filter(|hours| *hours < 24)?;
        let (mut minutes, mut seconds) = (0, 0);
        if self.take(b':') || !self.0.is_empty() {
            minutes = self.number(2).filter(|minutes| *minutes < 60)?;
        }
        if self.take(b':') {
            seconds = self.number(2).filter(|seconds| *seconds < 60)?;
        }
        Some(sign * i64::from(hours * 3_600 + minutes * 60 + seconds) * 1_000_000)
    }
}
