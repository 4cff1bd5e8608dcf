//! Every operation against `BigDecimal`, digits and scale alike.
use super::*;
use bigdecimal::num_bigint::BigUint;
use proptest::{prelude::*, sample::select};
use std::hash::DefaultHasher;

mod bytes;

const CASES: u32 = 1_000;

/// Short, of 64 and 128 bits, at the edges of those, next to powers of ten, and far beyond.
fn whole() -> impl Strategy<Value = BigInt> {
    let edges = [0, i128::MAX, i128::MIN, i64::MAX.into(), i64::MIN.into(), u64::MAX.into()];
    let near = |of: BigInt| (-2_i64..3).prop_map(move |more| &of + more);
    prop_oneof![
        3 => (-1_000_i64..1_000).prop_map(BigInt::from),
        1 => any::<i64>().prop_map(BigInt::from),
        2 => any::<i128>().prop_map(BigInt::from),
        2 => select(edges.to_vec()).prop_flat_map(move |edge| near(edge.into())),
        2 => (0_u32..80, any::<bool>()).prop_flat_map(move |(zeros, is_negative)| {
            let power = BigInt::from(10).pow(zeros);
            near(if is_negative { -power } else { power })
        }),
        2 => (any::<bool>(), prop::collection::vec(any::<u32>(), 4..12)).prop_map(|(sign, words)| {
            BigInt::from_biguint(if sign { Sign::Plus } else { Sign::Minus }, BigUint::new(words))
        }),
    ]
}
/// Usual ones, negative, as many as 128 bits have digits, and at the edges of 16 bits.
fn scales() -> impl Strategy<Value = i64> {
    let (least, most) = (i64::from(i16::MIN), i64::from(i16::MAX));
    prop_oneof![
        4 => -3_i64..6,
        4 => -45_i64..45,
        1 => -2_000_i64..2_000,
        1 => least - 3..least + 4,
        1 => most - 3..most + 4,
    ]
}
fn bigs() -> impl Strategy<Value = BigDecimal> {
    (whole(), scales()).prop_map(|(digits, scale)| BigDecimal::new(digits, scale))
}
/// Two numbers: of any scales, of one scale, or the same or next to each other with two scales.
fn pairs() -> impl Strategy<Value = (BigDecimal, BigDecimal)> {
    let near = (bigs(), 0_u32..45, -1_i64..2, any::<bool>()).prop_map(|(a, zeros, more, swap)| {
        let (digits, scale) = a.as_bigint_and_exponent();
        let digits = digits * BigInt::from(10).pow(zeros) + more;
        let b = BigDecimal::new(digits, scale + i64::from(zeros));
        if swap { (b, a) } else { (a, b) }
    });
    let of_one_scale = (whole(), whole(), scales())
        .prop_map(|(a, b, scale)| (BigDecimal::new(a, scale), BigDecimal::new(b, scale)));
    prop_oneof![(bigs(), bigs()), of_one_scale, near]
}

fn parts_of(big: &BigDecimal) -> (BigInt, i64) {
    big.as_bigint_and_exponent()
}
fn of(big: &BigDecimal) -> Decimal {
    Decimal::from(big.clone())
}
fn read(text: &str) -> Decimal {
    text.parse().expect("a decimal")
}
fn hash(of: &Decimal) -> u64 {
    let mut state = DefaultHasher::new();
    of.hash(&mut state);
    state.finish()
}
/// The same digits and scale, held in place if they fit.
#[track_caller]
fn is_exactly(decimal: &Decimal, want: &BigDecimal) {
    let (digits, scale) = parts_of(want);
    assert_eq!(parts_of(&decimal.to_big()), (digits.clone(), scale));
    let fits = i128::try_from(digits).is_ok() && i16::try_from(scale).is_ok();
    assert_eq!(decimal.parts().is_some(), fits, "held in place: {decimal:?}");
    assert_eq!(decimal.fractional_digit_count(), scale);
}
/// `BigDecimal` forgets the scale of a zero that is added: it is the larger one of both here.
fn with_larger_scale(result: BigDecimal, (a, b): &(BigDecimal, BigDecimal)) -> BigDecimal {
    let scale = a.fractional_digit_count().max(b.fractional_digit_count());
    assert!(result.fractional_digit_count() <= scale);
    result.with_scale(scale)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn the_whole_part_is_cut_off_at_the_point(big in (whole(), -60_i64..90).prop_map(|(digits, scale)| BigDecimal::new(digits, scale))) {
        let (whole, _) = big.with_scale(0).into_bigint_and_exponent();
        prop_assert_eq!(of(&big).truncated(), i128::try_from(whole).ok());
    }

    #[test]
    fn numbers_come_and_go_as_they_are(big in bigs()) {
        is_exactly(&of(&big), &big);
        if let Some((digits, scale)) = of(&big).parts() {
            is_exactly(&Decimal::from_parts(digits, scale), &big);
        }
    }

    #[test]
    fn sums(pair in pairs()) {
        let (a, b) = (of(&pair.0), of(&pair.1));
        let want = with_larger_scale(pair.0.clone() + &pair.1, &pair);
        is_exactly(&(&a + &b), &want);
        is_exactly(&(&b + &a), &want);
        is_exactly(&(a.clone() + b.clone()), &want);
        let mut sum = a;
        sum += &b;
        is_exactly(&sum, &want);
    }

    #[test]
    fn differences(pair in pairs()) {
        let (a, b) = (of(&pair.0), of(&pair.1));
        let want = with_larger_scale(pair.0.clone() - &pair.1, &pair);
        is_exactly(&(&a - &b), &want);
        let mut difference = a;
        difference -= b;
        is_exactly(&difference, &want);
    }

    #[test]
    fn products(pair in pairs()) {
        let (a, b) = (of(&pair.0), of(&pair.1));
        let mut want = pair.0.clone();
        want *= &pair.1;
        is_exactly(&(&a * &b), &want);
        let mut product = b;
        product *= a;
        is_exactly(&product, &want);
    }

    #[test]
    fn negation(big in bigs()) {
        is_exactly(&-of(&big), &-big.clone());
        is_exactly(&-&-of(&big), &big);
    }

    #[test]
    fn order_equality_and_hash(pair in pairs()) {
        let (a, b) = (of(&pair.0), of(&pair.1));
        let want = pair.0.cmp(&pair.1);
        prop_assert_eq!(a.cmp(&b), want);
        prop_assert_eq!(b.cmp(&a), want.reverse());
        prop_assert_eq!(a == b, want.is_eq());
        prop_assert_eq!((&a - &b).is_zero(), want.is_eq());
        if want.is_eq() {
            prop_assert_eq!(hash(&a), hash(&b));
            prop_assert_eq!(format!("{:?}", a.normalized()), format!("{:?}", b.normalized()));
        } else {
            // May fail once in 2^64 cases.
            prop_assert_ne!(hash(&a), hash(&b));
        }
    }

    #[test]
    fn comparison_with_integers(big in bigs(), number: i64, zeros in 0_u32..25) {
        let integer = BigDecimal::from(number);
        prop_assert_eq!(of(&big).partial_cmp(&number), Some(big.cmp(&integer)));
        let same = of(&integer.with_scale(zeros.into()));
        prop_assert!(same == number && same <= number && same >= number);
        prop_assert!((same + Decimal::from_parts(1, 30)) != number);
        is_exactly(&Decimal::from(number), &integer);
    }

    #[test]
    fn what_is_asked_of_one_number(big in bigs()) {
        let decimal = of(&big);
        prop_assert_eq!(decimal.is_zero(), big.is_zero());
        prop_assert_eq!(decimal.digits(), big.digits());
        is_exactly(&decimal.normalized(), &big.normalized());
        let is_negative = big.fractional_digit_count() < 0;
        is_exactly(&decimal.written_out(), &if is_negative { big.with_scale(0) } else { big });
    }

    #[test]
    fn quotients(big in bigs(), count in prop_oneof![1_i64..20, 1_i64..=i64::MAX], places in places()) {
        let want = quotient(&big, count, places);
        is_exactly(&of(&big).round_quotient(count, places).expect("a count"), &want);
    }

    /// Sums that lie in the middle between two quotients, or next to it.
    #[test]
    fn quotients_at_the_half(middle: i32, half in 1_i64..1_000, more in -1_i64..2, places in 0_u32..6) {
        let sum = BigDecimal::new(BigInt::from(middle) * half * 2 + half + more, places.into());
        let got = of(&sum).round_quotient(half * 2, places).expect("a count");
        is_exactly(&got, &quotient(&sum, half * 2, places));
    }

    #[test]
    fn plain_text(big in bigs()) {
        let (decimal, want) = (of(&big), big.to_plain_string());
        let mut text = String::new();
        decimal.write_plain(&mut text).expect("a string takes any text");
        prop_assert_eq!(&text, &want);
        decimal.with_plain(|text| assert_eq!(text, want));
        prop_assert_eq!(decimal.to_plain_string(), want.as_str());
        prop_assert_eq!(decimal.to_string(), want.as_str());
        is_exactly(&read(&want), &want.parse().expect("the same"));
        prop_assert_eq!(read(&want), decimal);
    }

    #[test]
    fn text_is_read_as_big_decimals_are(
        text in prop_oneof![
            "-?[0-9]{0,45}(\\.[0-9]{0,45})?",
            "-?[0-9]{1,20}(\\.[0-9]{1,20})?",
            "[-+]?[0-9_.]{0,8}([eE][-+]?[0-9]{0,5})?",
            "[-+0-9.eE_ ]{0,8}",
            any::<String>(),
        ],
    ) {
        match (text.parse::<Decimal>(), text.parse::<BigDecimal>()) {
            (Ok(decimal), Ok(big)) => is_exactly(&decimal, &big),
            (got, want) => prop_assert_eq!(got.is_ok(), want.is_ok()),
        }
    }
}

fn places() -> impl Strategy<Value = u32> {
    let most = i16::MAX as u32;
    prop_oneof![8 => 0_u32..6, 4 => 0_u32..50, 1 => most - 1..most + 2]
}
/// `round(sum / count, places)` as `BigInt` has it, in the plainest way.
fn quotient(sum: &BigDecimal, count: i64, places: u32) -> BigDecimal {
    let (digits, scale) = parts_of(sum);
    let ten = |power: i64| BigInt::from(10).pow(u32::try_from(power).unwrap_or(0));
    let above = digits * ten(places.into()) * ten(-scale);
    let below = ten(scale) * count;
    let size = (above.magnitude() * 2_u32 + below.magnitude()) / (below.magnitude() * 2_u32);
    let sign = if above.sign() == Sign::Minus { Sign::Minus } else { Sign::Plus };
    BigDecimal::new(BigInt::from_biguint(sign, size), places.into())
}

#[test]
fn it_is_no_larger_than_its_digits_need() {
    assert_eq!(size_of::<Decimal>(), 32);
    assert_eq!(size_of::<Option<Decimal>>(), 32, "so that a cell needs no more");
}

#[test]
fn the_scale_of_a_zero_counts() {
    for (a, b, sum) in [("0.00", "5", "5.00"), ("5", "0.00", "5.00"), ("0.00", "0", "0.00")] {
        assert_eq!((read(a) + read(b)).to_string(), sum);
        assert_eq!((read(a) - -read(b)).to_string(), sum);
    }
    let long = Decimal::from_parts(0, 20);
    assert_eq!((long + Decimal::from(5)).to_string(), "5.00000000000000000000");
}

#[test]
fn what_128_bits_do_not_hold_is_wide_and_comes_back() {
    let (most, least) = (Decimal::from_parts(i128::MAX, 2), Decimal::from_parts(i128::MIN, 2));
    let cent = Decimal::from_parts(1, 2);
    let above = &most + &cent;
    assert_eq!(above.parts(), None);
    assert_eq!(above.to_string(), "1701411834604692317316873037158841057.28");
    assert_eq!((&above - &cent).parts(), Some((i128::MAX, 2)));
    assert_eq!((-&least).parts(), None);
    assert_eq!((-&above).parts(), Some((i128::MIN, 2)), "the least has no opposite");
    assert_eq!((&least * &Decimal::from(-1)).parts(), None);
    assert!(above > most && -&above < -&most);
}

#[test]
fn equal_values_in_both_forms() {
    let short = Decimal::from(7);
    let long: Decimal = BigDecimal::from(7).with_scale(60).into();
    assert!(short.parts().is_some() && long.parts().is_none());
    assert_eq!(short, long);
    assert_eq!(hash(&short), hash(&long));
    assert_eq!(long.normalized().parts(), Some((7, 0)));
    let zero = Decimal::from(BigDecimal::new(0.into(), i64::MIN));
    assert_eq!(zero, Decimal::ZERO);
    assert_eq!(hash(&zero), hash(&Decimal::ZERO));
}

/// Here the carry of `BigDecimal`'s own equality overflows: it panics, or calls them different.
#[test]
fn equal_values_that_big_decimal_does_not_see() {
    let digits: BigInt = BigInt::from((1_844_674_407_u64 << 32) | 1_844_674_407) << 128;
    let a = Decimal::from(BigDecimal::new(digits.clone(), 0));
    let b = Decimal::from(BigDecimal::new(digits * 10_000_000_000_u64, 10));
    assert_eq!(a, b);
    assert_eq!(hash(&a), hash(&b));
}

/// Comparing or hashing them takes no memory for the zeros between.
#[test]
fn scales_at_the_ends_of_64_bits() {
    let of = |digits: i64, scale| Decimal::from(BigDecimal::new(digits.into(), scale));
    let (huge, tiny) = (of(10, i64::MIN), of(10, i64::MAX));
    assert!(huge > tiny && tiny > Decimal::ZERO && -&huge < -&tiny);
    assert!(huge > i64::MAX && tiny < 1);
    assert_eq!(format!("{:?}", huge.normalized()), "Decimal(10e9223372036854775808)");
    assert_eq!(format!("{:?}", tiny.normalized()), "Decimal(1e-9223372036854775806)");
    assert_ne!(hash(&huge), hash(&tiny));
    assert_eq!(huge, of(100, i64::MIN + 1));
    assert_eq!(hash(&huge), hash(&of(100, i64::MIN + 1)));
}

#[test]
fn no_quotient_of_nothing() {
    assert_eq!(Decimal::from(1).round_quotient(0, 2), None);
    assert_eq!(Decimal::from(1).round_quotient(-1, 2), None);
    let of = |sum: &str, count| read(sum).round_quotient(count, 2).expect("a count").to_string();
    for (sum, count, want) in [
        ("0.03", 2, "0.02"),
        ("-0.03", 2, "-0.02"),
        ("10", 3, "3.33"),
        ("20", 3, "6.67"),
        ("-20", 3, "-6.67"),
        ("1e3", 3, "333.33"),
        ("0.015", 1, "0.02"),
        ("0.0149", 1, "0.01"),
        ("7", 1, "7.00"),
    ] {
        assert_eq!(of(sum, count), want, "{sum} / {count}");
    }
}

#[test]
fn texts() {
    for (text, want) in [
        ("19.50", "Decimal(1950e-2)"),
        ("-0.05", "Decimal(-5e-2)"),
        ("-0", "Decimal(0e0)"),
        ("007", "Decimal(7e0)"),
        ("1E7", "Decimal(1e7)"),
        ("+.5", "Decimal(5e-1)"),
        ("5.", "Decimal(5e0)"),
        (
            "99999999999999999999999999999999999999",
            "Decimal(99999999999999999999999999999999999999e0)",
        ),
    ] {
        assert_eq!(format!("{:?}", read(text)), want);
    }
    assert_eq!(
        format!("{:>8}|{:<8}|{:08}", read("-1.5"), read("1.50"), read("-1.5")),
        "    -1.5|1.50    |-00001.5"
    );
    assert_eq!(Decimal::default().to_string(), "0");
    for text in ["", "-", ".", "-.", "1.2.3", "money", "1e", "e5", "--1", "1-", "٣"] {
        assert_eq!(text.parse::<Decimal>(), Err(NotADecimal), "{text}");
    }
    let error = "12e99999999999999999999".parse::<Decimal>().expect_err("too far");
    assert_eq!(error.to_string(), "not a decimal number", "no value is shown");
}

/// Where a text stops to be short, and where the point meets the digits.
#[test]
fn the_longest_texts() {
    for digits in
        [0, 1, -1, 10_i128.pow(37), 10_i128.pow(38), i128::MAX, i128::MIN, u64::MAX.into()]
    {
        for scale in -70..70 {
            let want = BigDecimal::new(digits.into(), scale.into()).to_plain_string();
            Decimal::from_parts(digits, scale).with_plain(|text| assert_eq!(text, want));
        }
    }
}
