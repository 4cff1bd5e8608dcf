//! Dates and times, of the calendar that PostgreSQL has for all years.
use super::{Code, EvalError, Made, fail, wrong};
use crate::{
    expr::{Field, Function, Interval},
    types::Kind,
};
use decimal::Decimal;
use views::Cell;

pub(crate) const SECOND_US: i64 = 1_000_000;
pub(crate) const HOUR_US: i64 = 3_600 * SECOND_US;
pub(crate) const DAY_US: i64 = 24 * HOUR_US;
/// The first moment and the first day that PostgreSQL has: 24 November of the year 4714 before Christ.
const FIRST_US: i64 = -210_866_803_200_000_000;
const FIRST_DAY: i64 = -2_440_588;
/// Behind the last moment that PostgreSQL has, some days after the last one that 64 bits hold from 1970 on.
const END_US: i128 = 9_224_318_016_000_000_000;
/// Behind the last day that PostgreSQL has: the year 5874897.
const DAYS_END: i64 = 2_145_042_906;

/// Year (0 is the one before year 1), month and day of a day, counted from 1970.
pub(crate) fn civil(days: i64) -> (i64, i64, i64) {
    // From 1 March of year 0, so that the day that some years have more is the last one.
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (0, month + 3) } else { (1, month - 9) };
    (era * 400 + year_of_era + year, month, day)
}

/// The day of the calendar, counted from 1970. Months and days are within their bounds.
pub(crate) fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

pub(crate) fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

pub(super) fn date(days: i64) -> Made {
    match i32::try_from(days) {
        Ok(fits) if (FIRST_DAY..DAYS_END).contains(&days) => Ok(Cell::Date(fits)),
        _ => fail(Code::DatetimeFieldOverflow, "date out of range"),
    }
}
pub(super) fn time(us: i128) -> Made {
    match i64::try_from(us) {
        Ok(us) if us >= FIRST_US => Ok(Cell::Time(us)),
        Err(_) if (0..END_US).contains(&us) => {
            fail(Code::FeatureNotSupported, "a time of the last days that PostgreSQL has")
        }
        _ => fail(Code::DatetimeFieldOverflow, "timestamp out of range"),
    }
}
pub(super) fn start_of(days: i64) -> Made {
    time(i128::from(days) * i128::from(DAY_US))
}
/// The same, for comparisons: a day behind the last timestamp is behind all of them.
pub(super) fn start_or_end(days: i64) -> i64 {
    days.saturating_mul(DAY_US)
}

pub(super) fn make(of: &Function, a: &Cell, b: &Cell) -> Made {
    match (of, a, b) {
        (Function::AddDays, Cell::Date(day), Cell::Int(more)) => {
            date(i64::from(*day).saturating_add(*more))
        }
        (Function::SubtractDays, Cell::Date(day), Cell::Int(less)) => {
            date(i64::from(*day).saturating_sub(*less))
        }
        (Function::DaysBetween, Cell::Date(a), Cell::Date(b)) => {
            Ok(Cell::Int(i64::from(*a) - i64::from(*b)))
        }
        (Function::AddInterval(period), Cell::Time(us), _) => add(*us, *period),
        (Function::DateTrunc(field), Cell::Time(us), _) => time(truncated(*us, *field).into()),
        (Function::Extract(field, _), Cell::Date(day), _) => of_date(*field, i64::from(*day)),
        (Function::Extract(field, kind), Cell::Time(us), _) => of_time(*field, *kind, *us),
        (Function::DateBin(stride), Cell::Time(us), Cell::Time(origin)) => {
            let (us, origin, stride) = (i128::from(*us), i128::from(*origin), i128::from(*stride));
            if i64::try_from(us - origin).is_err() {
                return fail(Code::DatetimeFieldOverflow, "interval out of range");
            }
            time(origin + (us - origin).div_euclid(stride) * stride)
        }
        (Function::StartOfDay, Cell::Date(day), _) => Ok(Cell::Time(start_or_end((*day).into()))),
        (Function::Shift(by), Cell::Time(us), _) => time(i128::from(*us) + i128::from(*by)),
        _ => wrong(),
    }
}

/// First months, whose last day stands for days that they do not have, then days, then the rest.
fn add(us: i64, period: Interval) -> Made {
    let Interval { months, days, us: more } = period;
    let mut moved = i128::from(us);
    if months != 0 {
        let (year, month, day) = civil(us.div_euclid(DAY_US));
        let all = year * 12 + month - 1 + i64::from(months);
        let (year, month) = (all.div_euclid(12), all.rem_euclid(12) + 1);
        let day = day.min(days_in_month(year, month));
        moved = i128::from(days_of(year, month, day)) * i128::from(DAY_US)
            + i128::from(us.rem_euclid(DAY_US));
        time(moved)?;
    }
    if days != 0 {
        moved += i128::from(days) * i128::from(DAY_US);
        time(moved)?;
    }
    time(moved + i128::from(more))
}

/// The first year of the stretch of so many years; stretches begin with a year 1.
fn first_year(year: i64, years: i64) -> i64 {
    (year - 1).div_euclid(years) * years + 1
}

fn truncated(us: i64, field: Field) -> i64 {
    let cut = |unit: i64| us.div_euclid(unit).saturating_mul(unit);
    let day = us.div_euclid(DAY_US);
    let (year, month, _) = civil(day);
    let first = |year, month| days_of(year, month, 1).saturating_mul(DAY_US);
    match field {
        Field::Microseconds => us,
        Field::Milliseconds => cut(1_000),
        Field::Second => cut(SECOND_US),
        Field::Minute => cut(60 * SECOND_US),
        Field::Hour => cut(HOUR_US),
        Field::Day => cut(DAY_US),
        // The first of January 1970 was a Thursday.
        Field::Week => (day - (day + 3).rem_euclid(7)).saturating_mul(DAY_US),
        Field::Month => first(year, month),
        Field::Quarter => first(year, (month - 1) / 3 * 3 + 1),
        Field::Decade => first(year.div_euclid(10) * 10, 1),
        Field::Century => first(first_year(year, 100), 1),
        Field::Millennium => first(first_year(year, 1_000), 1),
        _ => first(year, 1),
    }
}

/// The year and the week of ISO 8601: weeks begin on Mondays, and belong to the year of their Thursday.
fn iso_week(day: i64) -> (i64, i64) {
    let thursday = day - (day + 3).rem_euclid(7) + 3;
    let (year, ..) = civil(thursday);
    (year, (thursday - days_of(year, 1, 1)) / 7 + 1)
}
/// There is no year 0 for people.
fn shown_year(year: i64) -> i64 {
    if year > 0 { year } else { year - 1 }
}
/// Stretches of years, of which none is called 0.
fn stretch(year: i64, years: i64) -> i64 {
    let index = (year - 1).div_euclid(years);
    if index >= 0 { index + 1 } else { index }
}

/// What a whole day says. `None`: the field is smaller than a day, or the epoch.
fn of_day(field: Field, day: i64) -> Option<i64> {
    let (year, month, day_of_month) = civil(day);
    Some(match field {
        Field::Day => day_of_month,
        Field::Week => iso_week(day).1,
        Field::Month => month,
        Field::Quarter => (month - 1) / 3 + 1,
        Field::Year => shown_year(year),
        Field::Decade => year.div_euclid(10),
        Field::Century => stretch(year, 100),
        Field::Millennium => stretch(year, 1_000),
        Field::Dow => (day + 4).rem_euclid(7),
        Field::Isodow => (day + 3).rem_euclid(7) + 1,
        Field::Doy => day - days_of(year, 1, 1) + 1,
        Field::Isoyear => shown_year(iso_week(day).0),
        _ => return None,
    })
}

fn of_date(field: Field, day: i64) -> Made {
    if field == Field::Epoch {
        return Ok(Cell::Decimal((day * 86_400).into()));
    }
    match of_day(field, day) {
        Some(number) => Ok(Cell::Decimal(number.into())),
        None => fail(Code::FeatureNotSupported, "a date has no such part"),
    }
}

fn of_time(field: Field, _: Kind, us: i64) -> Made {
    let of_minute = us.rem_euclid(60 * SECOND_US);
    let decimal = |digits: i64, scale| Ok(Cell::Decimal(Decimal::from_parts(digits.into(), scale)));
    match field {
        Field::Microseconds => decimal(of_minute, 0),
        Field::Milliseconds => decimal(of_minute, 3),
        Field::Second => decimal(of_minute, 6),
        Field::Minute => decimal(us.rem_euclid(HOUR_US) / (60 * SECOND_US), 0),
        Field::Hour => decimal(us.rem_euclid(DAY_US) / HOUR_US, 0),
        Field::Epoch => decimal(us, 6),
        _ => of_day(field, us.div_euclid(DAY_US)).map_or_else(wrong, |number| decimal(number, 0)),
    }
}

/// `2024-05-06`, with `BC` behind years before 1.
pub(super) fn date_text(days: i64) -> String {
    let (year, month, day) = civil(days);
    let (year, era) = if year > 0 { (year, "") } else { (1 - year, " BC") };
    format!("{year:04}-{month:02}-{day:02}{era}")
}
/// `2024-05-06 07:08:09.5`, with `BC` behind years before 1.
pub(super) fn time_text(us: i64) -> String {
    let date = date_text(us.div_euclid(DAY_US));
    let (date, era) = date.strip_suffix(" BC").map_or((&*date, ""), |date| (date, " BC"));
    let rest = us.rem_euclid(DAY_US);
    let (hour, minute) = (rest / HOUR_US, rest / (60 * SECOND_US) % 60);
    let (second, part) = (rest / SECOND_US % 60, rest % SECOND_US);
    let part = if part == 0 { String::new() } else { format!(".{part:06}") };
    format!("{date} {hour:02}:{minute:02}:{second:02}{}{era}", part.trim_end_matches('0'))
}

fn bad_date<T>() -> Result<T, EvalError> {
    fail(Code::FeatureNotSupported, "a date or time of another form than YYYY-MM-DD HH:MM:SS")
}
/// Digits, and nothing else.
fn digits(text: &str, length: std::ops::RangeInclusive<usize>) -> Option<i64> {
    let is_number = length.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

/// Reads `YYYY-MM-DD`; PostgreSQL reads many other forms.
pub(super) fn date_of(text: &str) -> Result<i64, EvalError> {
    let mut parts = text.trim().splitn(3, '-');
    let mut next = |length| parts.next().and_then(|part| digits(part, length));
    let (Some(year), Some(month), Some(day)) = (next(4..=7), next(2..=2), next(2..=2)) else {
        return bad_date();
    };
    if year == 0 || !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) {
        return fail(Code::DatetimeFieldOverflow, "date/time field value out of range");
    }
    Ok(days_of(year, month, day))
}

/// Reads `YYYY-MM-DD`, or that and `HH:MM`, `HH:MM:SS` or `HH:MM:SS.ffffff` behind a blank or a `T`: the day, counted from
/// 1970, the microseconds of the day, and what stands behind.
pub(super) fn parsed(text: &str) -> Result<(i64, i64, &str), EvalError> {
    let text = text.trim();
    let Some(end) = text.find([' ', 'T']) else { return Ok((date_of(text)?, 0, "")) };
    let day = date_of(&text[..end])?;
    let clock = &text[end + 1..];
    let is_zone = |c: char| !(c.is_ascii_digit() || c == ':' || c == '.');
    let (clock, zone) = clock.split_at(clock.find(is_zone).unwrap_or(clock.len()));
    let mut parts = clock.splitn(3, ':');
    let mut next = || parts.next().and_then(|part| digits(part, 2..=2));
    let (Some(hour), Some(minute)) = (next(), next()) else { return bad_date() };
    let (second, part) = match parts.next() {
        None => (0, 0),
        Some(seconds) => {
            let (second, part) = seconds.split_once('.').unwrap_or((seconds, "0"));
            let (Some(second), Some(fraction)) = (digits(second, 2..=2), digits(part, 1..=6))
            else {
                return bad_date();
            };
            (second, fraction * 10_i64.pow(6 - part.len() as u32))
        }
    };
    if hour > 23 || minute > 59 || second > 59 {
        return fail(Code::DatetimeFieldOverflow, "date/time field value out of range");
    }
    let rest = (hour * 3_600 + minute * 60 + second) * SECOND_US + part;
    Ok((day, rest, zone.trim()))
}
/// The moment of a time of a day whose clocks are this far ahead of UTC.
pub(super) fn moment(day: i64, rest: i64, east: i64) -> Made {
    time(i128::from(day) * i128::from(DAY_US) + i128::from(rest) - i128::from(east))
}

/// East of Greenwich, as it stands behind a time: `Z`, `+02`, `-03:30`. In microseconds.
pub(crate) fn zone_of(text: &str) -> Option<i64> {
    if matches!(text, "Z" | "z" | "UTC") {
        return Some(0);
    }
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':').unwrap_or((rest, "00"));
    let (hours, minutes) = (digits(hours, 2..=2)?, digits(minutes, 2..=2)?);
    (hours < 16 && minutes < 60).then_some(sign * (hours * 60 + minutes) * 60 * SECOND_US)
}
