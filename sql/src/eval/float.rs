//! Floating-point numbers: each step as the processor does it, infinite only if an operand was.
use super::{Code, Made, fail, wrong};
use crate::{
    expr::{Arithmetic, Function},
    types::Kind,
};
use views::{Cell, Digits, Float};

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
    let size: f64 = Digits::of_32_bits(number.abs()).to_parse().parse().unwrap_or_default();
    Cell::Float(Float::new(if number < 0.0 { -size } else { size }))
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
    if kind != Kind::Float4 || !wide.is_finite() || wide == 0.0 {
        return number.to_string();
    }
    let mut text = String::from(if wide < 0.0 { "-" } else { "" });
    // The cell is the number that its text says, and a text takes whatever is written.
    let _ = Digits::of_text(&format!("{:e}", wide.abs())).write(&mut text, 6);
    text
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
