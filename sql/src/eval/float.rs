//! Floating-point numbers: each step as the processor does it, infinite only if an operand was.
use super::{Code, Made, fail, wrong};
use crate::{
    expr::{Arithmetic, Function},
    types::Kind,
};
use views::{Cell, Float};

/// What a cell of this kind holds. A `real` is kept as the number that its shortest text says.
pub(super) fn number(kind: Kind, cell: &Cell) -> Result<f64, super::EvalError> {
    match cell {
        Cell::Float(number) if kind == Kind::Float4 => Ok(f64::from(real(*number))),
        Cell::Float(number) => Ok(number.get()),
        _ => wrong(),
    }
}
/// The `real` whose text this is.
pub(super) fn real(number: Float) -> f32 {
    let wide = number.get();
    if wide.is_finite() { number.to_string().parse().unwrap_or(wide as f32) } else { wide as f32 }
}
/// The cell of a number of this kind.
pub(super) fn cell(kind: Kind, number: f64) -> Cell {
    if kind == Kind::Float4 { of_real(number as f32) } else { Cell::Float(Float::new(number)) }
}
pub(super) fn of_real(number: f32) -> Cell {
    if !number.is_finite() || number == 0.0 {
        return Cell::Float(Float::new(number.into()));
    }
    let (digits, exponent) = shortest(
        &format!("{:e}", number.abs()),
        &|places| format!("{:.places$e}", number.abs()),
        &|text| text.parse() == Ok(number.abs()),
    );
    let text = format!("{}{digits}e{exponent}", if number < 0.0 { "-" } else { "" });
    Cell::Float(Float::new(text.parse().unwrap_or_default()))
}

/// The fewest digits that say the number, and the power of ten that they are multiplied by. As PostgreSQL chooses them: the
/// nearest to the number, and never a value that lies in the middle between two numbers, though reading it would give this
/// one. `fewest`: as Rust writes the number, with an exponent; `exact`: with so many places; `is_it`: whether a text is read
/// as the number.
fn shortest(
    fewest: &str,
    exact: &dyn Fn(usize) -> String,
    is_it: &dyn Fn(&str) -> bool,
) -> (String, i32) {
    const PLACES_MAX: usize = 17;
    let first = fewest
        .split('e')
        .next()
        .map_or(0, |digits| digits.trim_start_matches(|c| c != '.').len().saturating_sub(1));
    let mut found = parts(fewest);
    for places in first..PLACES_MAX {
        // Rust's own choice may be the other one of two that are equally near.
        for text in [exact(places), if places == first { fewest.to_owned() } else { exact(places) }]
        {
            let (digits, exponent) = parts(&text);
            if is_it(&text) && is_inside(&digits, exponent, is_it) {
                return (digits, exponent);
            }
            found = (digits, exponent);
        }
    }
    found
}
/// Digits without a point, and the power of ten that they are multiplied by.
fn parts(text: &str) -> (String, i32) {
    let (digits, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let exponent = exponent.parse::<i32>().unwrap_or(0) - part.len() as i32;
    (format!("{whole}{part}"), exponent)
}
/// Whether the nearest values on both sides are read as the same number: no middle between two numbers has more digits than
/// these.
fn is_inside(digits: &str, exponent: i32, is_it: &dyn Fn(&str) -> bool) -> bool {
    const MORE: usize = 800;
    let below: u64 = digits.parse::<u64>().unwrap_or(1).saturating_sub(1);
    let exponent = exponent - MORE as i32;
    let above = format!("{digits}{}1e{exponent}", "0".repeat(MORE - 1));
    is_it(&above) && is_it(&format!("{below}{}e{exponent}", "9".repeat(MORE)))
}

pub(super) fn arithmetic(how: Arithmetic, kind: Kind, a: &Cell, b: &Cell) -> Made {
    let (a, b) = (number(kind, a)?, number(kind, b)?);
    let is_small = kind == Kind::Float4;
    let result = match how {
        Arithmetic::Add if is_small => f64::from(a as f32 + b as f32),
        Arithmetic::Add => a + b,
        Arithmetic::Subtract if is_small => f64::from(a as f32 - b as f32),
        Arithmetic::Subtract => a - b,
        Arithmetic::Multiply if is_small => f64::from(a as f32 * b as f32),
        Arithmetic::Multiply => a * b,
        Arithmetic::Divide if b == 0.0 && !a.is_nan() => {
            return fail(Code::DivisionByZero, "division by zero");
        }
        Arithmetic::Divide if is_small => f64::from(a as f32 / b as f32),
        Arithmetic::Divide => a / b,
        Arithmetic::Modulo => return wrong(),
    };
    if result.is_infinite() && a.is_finite() && b.is_finite() {
        return fail(Code::NumericValueOutOfRange, "value out of range: overflow");
    }
    let can_vanish = match how {
        Arithmetic::Multiply => a != 0.0 && b != 0.0,
        Arithmetic::Divide => a != 0.0 && b.is_finite(),
        _ => false,
    };
    if result == 0.0 && can_vanish {
        return fail(Code::NumericValueOutOfRange, "value out of range: underflow");
    }
    Ok(cell(kind, result))
}

pub(super) fn of_one(of: &Function, kind: Kind, a: &Cell) -> Made {
    let a = number(kind, a)?;
    Ok(cell(
        kind,
        match of {
            Function::Negate(_) => -a,
            Function::Abs(_) => a.abs(),
            Function::Sign(_) if a > 0.0 => 1.0,
            Function::Sign(_) if a < 0.0 => -1.0,
            // Also of what is no number.
            Function::Sign(_) => 0.0,
            Function::Round(_) => a.round_ties_even(),
            Function::Trunc(_) => a.trunc(),
            Function::Ceil(_) => a.ceil(),
            Function::Floor(_) => a.floor(),
            _ => return wrong(),
        },
    ))
}

/// As PostgreSQL writes it: with an exponent from 10^15 on, a `real` from a million on.
pub(super) fn text(kind: Kind, number: Float) -> String {
    let wide = number.get();
    if !wide.is_finite() || wide == 0.0 {
        return number.to_string();
    }
    let size = wide.abs();
    let (digits, power) = if kind == Kind::Float4 {
        // The cell is the number that its text says.
        parts(&format!("{size:e}"))
    } else {
        shortest(&format!("{size:e}"), &|places| format!("{size:.places$e}"), &|text| {
            text.parse() == Ok(size)
        })
    };
    let zeros = digits.len() - digits.trim_end_matches('0').len();
    let digits = &digits[..digits.len() - zeros];
    let exponent = power + zeros as i32 + digits.len() as i32 - 1;
    let sign = if wide < 0.0 { "-" } else { "" };
    let plain_end = if kind == Kind::Float4 { 6 } else { 15 };
    if !(-4..plain_end).contains(&exponent) {
        let point = if digits.len() > 1 { "." } else { "" };
        let (first, rest) = digits.split_at(1);
        let mark = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{first}{point}{rest}e{mark}{:02}", exponent.unsigned_abs());
    }
    let size = exponent.unsigned_abs() as usize;
    if exponent < 0 {
        return format!("{sign}0.{}{digits}", "0".repeat(size - 1));
    }
    match digits.split_at_checked(size + 1) {
        Some((whole, "")) => format!("{sign}{whole}"),
        Some((whole, part)) => format!("{sign}{whole}.{part}"),
        None => format!("{sign}{digits}{}", "0".repeat(size + 1 - digits.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `select x::float8` and `select x::float4` show them. Those in the middle between two numbers, and those with two
    /// shortest texts that are equally near, are where others write other digits.
    #[test]
    fn texts_are_those_of_postgresql() {
        for (number, want) in [
            ("900719925474099.25", "900719925474099.2"),
            ("31525197391593472.0", "3.1525197391593472e+16"),
            ("1e23", "9.999999999999999e+22"),
            ("4503599627370497.5", "4.503599627370498e+15"),
            ("9007199254740992.0", "9.007199254740992e+15"),
            ("5e-324", "5e-324"),
            ("0.3", "0.3"),
            ("2.5e-5", "2.5e-05"),
            ("1e15", "1e+15"),
            ("100.0", "100"),
            ("-0.0", "-0"),
            ("-1234.5", "-1234.5"),
        ] {
            assert_eq!(text(Kind::Float8, Float::new(number.parse().expect("a number"))), want);
        }
        for (number, want) in [
            (15_000_000_000_f32, "1.5000001e+10"),
            (16_777_216.0, "1.6777216e+07"),
            (99_999_994.0, "9.999999e+07"),
            (8_388_608.5, "8.388608e+06"),
            (123_456.7, "123456.7"),
            (999_999.0, "999999"),
            (1e6, "1e+06"),
            (1e-45, "1e-45"),
            (-0.1, "-0.1"),
        ] {
            let Cell::Float(kept) = of_real(number) else { panic!("a float") };
            assert_eq!(text(Kind::Float4, kept), want);
            assert_eq!(real(kept), number);
        }
    }
}
