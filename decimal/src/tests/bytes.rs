//! The binary form.
use super::*;

fn written(decimal: &Decimal) -> Vec<u8> {
    let mut bytes = Vec::new();
    decimal.write_binary(&mut bytes);
    bytes
}
/// What is read from bytes is what writes them.
fn is_what_writes(bytes: &[u8]) {
    let Some((decimal, rest)) = Decimal::read_binary(bytes) else { return };
    let read = bytes.len() - rest.len();
    assert_eq!(written(&decimal), bytes[..read]);
    is_exactly(&decimal, &decimal.to_big());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn bytes_come_back(big in bigs(), scale in prop::option::of(any::<i64>()), more: Vec<u8>) {
        let big = BigDecimal::new(parts_of(&big).0, scale.unwrap_or(parts_of(&big).1));
        let mut bytes = vec![7];
        of(&big).write_binary(&mut bytes);
        let length = bytes.len();
        bytes.extend(&more);
        let (read, rest) = Decimal::read_binary(&bytes[1..]).expect("what was written");
        is_exactly(&read, &big);
        prop_assert_eq!(rest, &more);
        for end in 1..length {
            prop_assert!(Decimal::read_binary(&bytes[1..end]).is_none(), "cut off");
        }
    }

    #[test]
    fn hostile_bytes(
        head in prop_oneof![0_u8..18, 0x20_u8..0x32, 0x40_u8..0x42, Just(0x60_u8), any::<u8>()],
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            prop::collection::vec(prop_oneof![0_u8..3, b'0'..=b'9', Just(0x80), Just(0xff)], 0..40),
        ],
    ) {
        is_what_writes(&bytes);
        is_what_writes(&[&[head][..], &bytes].concat());
    }

    #[test]
    fn changed_bytes(big in bigs(), at: prop::sample::Index, to: u8) {
        let mut bytes = written(&of(&big));
        let at = at.index(bytes.len());
        bytes[at] = to;
        is_what_writes(&bytes);
    }
}

#[test]
fn the_bytes_of_ever() {
    let wide =
        |text: &str, scale| Decimal::from(BigDecimal::new(text.parse().expect("digits"), scale));
    let text = |head: &[u8], digits: &str| [head, digits.as_bytes()].concat();
    let most = "170141183460469231731687303715884105728";
    for (decimal, bytes) in [
        (Decimal::ZERO, vec![0, 0]),
        (read("0.00"), vec![0, 4]),
        (read("1"), vec![1, 0, 1]),
        (read("-1"), vec![0x21, 0, 1]),
        (read("19.50"), vec![2, 4, 0x9e, 0x07]),
        (read("-19.50"), vec![0x22, 4, 0x9e, 0x07]),
        (read("2.55"), vec![1, 4, 0xff]),
        (read("1E7"), vec![1, 13, 1]),
        (Decimal::from_parts(1, 64), vec![1, 0x80, 1, 1]),
        (Decimal::from_parts(1, i16::MAX), vec![1, 0xfe, 0xff, 3, 1]),
        (Decimal::from_parts(1, i16::MIN), vec![1, 0xff, 0xff, 3, 1]),
        (Decimal::from_parts(i128::MAX, 0), [&[16, 0][..], &i128::MAX.to_le_bytes()].concat()),
        (Decimal::from_parts(i128::MIN, 0), [&[0x30, 0][..], &i128::MIN.to_le_bytes()].concat()),
        (wide(most, 2), text(&[0x40, 4, 39], most)),
        (wide(&format!("-{most}0"), 0), text(&[0x60, 0, 40], &format!("{most}0"))),
        (wide("0", 1 << 15), text(&[0x40, 0x80, 0x80, 4, 1], "0")),
        (wide("-7", -(1 << 15) - 1), text(&[0x60, 0x81, 0x80, 4, 1], "7")),
        (wide("7", i64::MIN), text(&[&[0x40][..], &[0xff; 9], &[1, 1]].concat(), "7")),
    ] {
        assert_eq!(written(&decimal), bytes, "{decimal:?}");
        let (read, rest) = Decimal::read_binary(&bytes).expect("a decimal");
        is_exactly(&read, &decimal.to_big());
        assert!(rest.is_empty());
    }
}

#[test]
fn bytes_that_are_never_written() {
    let most = "170141183460469231731687303715884105728";
    let text = |head: &[u8], digits: &str| [head, digits.as_bytes()].concat();
    let past = [&[16, 0][..], &i128::MIN.to_le_bytes()].concat();
    let below = [&[0x30, 0][..], &(i128::MIN + 1).to_le_bytes()].concat();
    for (bytes, why) in [
        (vec![], "nothing"),
        (vec![0], "no scale"),
        (vec![1, 0], "no digits"),
        (vec![1, 0, 0], "a zero too many"),
        (vec![0x20, 0], "less than zero, and zero"),
        (vec![17, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], "17 bytes"),
        (vec![0x81, 0, 1], "bit 7"),
        (vec![1, 0x80, 0, 1], "a longer varint than need be"),
        (vec![1, 0x80, 0x80, 4, 1], "a scale of 17 bits"),
        ([&[0x40][..], &[0xff; 9], &[2, 1, b'7']].concat(), "a scale of 65 bits"),
        ([&[0x40][..], &[0xff; 10], &[1, 1, b'7']].concat(), "a varint without an end"),
        ([&[1][..], &[0x80; 10], &[1, 1]].concat(), "a varint of 11 bytes"),
        (past, "more than 128 bits and a sign hold"),
        (below, "less than 128 bits and a sign hold"),
        (text(&[0x40, 0, 1], "7"), "not wide"),
        (text(&[0x41, 0, 39], most), "wide with a length in its head"),
        (text(&[0x40, 0, 40], &format!("0{most}")), "a zero in front"),
        (text(&[0x40, 0, 40], &format!("-{most}")), "a sign of its own"),
        (text(&[0x40, 0, 40], &format!("{most}_")), "no digit"),
        (text(&[0x40, 0, 40], most), "cut off"),
        (text(&[0x60, 0x80, 0x80, 4, 1], "0"), "less than zero, and zero"),
        (vec![0x40, 0x80, 0x80, 4, 0], "no digits"),
        (
            text(&[0x40, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], "7"),
            "longer than memory",
        ),
    ] {
        assert!(Decimal::read_binary(&bytes).is_none(), "{why}");
    }
}
