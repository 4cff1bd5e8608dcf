use super::*;
use proptest::prelude::*;

/// Holds a table of the names that objects usually have, and one of all names in the order of their slots, against the
/// function that finds a name's slot.
pub(crate) fn names_have_one_slot(
    usual: &[(&str, Option<usize>)],
    names: &[&str],
    slot: fn(&[u8]) -> Option<usize>,
) {
    for (name, of) in usual {
        let inside = name.strip_prefix('"').and_then(|name| name.strip_suffix("\":")).unwrap();
        assert_eq!(slot(inside.as_bytes()), *of, "{name}");
    }
    for (i, name) in names.iter().enumerate() {
        assert_eq!(slot(name.as_bytes()), Some(i), "{name}");
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f32>().prop_map(|f| serde_json::json!(f)),
        any::<String>().prop_map(Into::into),
        "[\\[\\]{}\",:\\\\ ]{0,8}".prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::btree_map("\\PC{0,4}|[\"\\\\{}]{1,3}", inner, 0..5)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}
fn height(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Array(a) => 1 + a.iter().map(height).max().unwrap_or(0),
        serde_json::Value::Object(o) => 1 + o.values().map(height).max().unwrap_or(0),
        _ => 0,
    }
}

/// What the scanner makes of an object whose names have no escapes.
fn scanned(text: &str) -> Option<Vec<(Cow<'_, str>, &str)>> {
    let mut members = Vec::new();
    let mut scanner = Scanner::new(text, usize::MAX);
    scanner.object(|scanner, name| {
        let name = std::str::from_utf8(scanner.plain(name)?).unwrap();
        let value = scanner.span(Scanner::value)?;
        members.push((Cow::Borrowed(name), scanner.text(value)?));
        Some(())
    })?;
    scanner.is_at_end().then_some(members)
}
/// The same by serde_json, whose word on what is JSON counts.
fn walked(text: &str) -> Option<Vec<(Cow<'_, str>, &str)>> {
    let mut members = Vec::new();
    walk(text, |name, value| members.push((name, value))).ok()?;
    Some(members)
}
fn has_plain_names(members: &[(Cow<'_, str>, &str)]) -> bool {
    members.iter().all(|(name, _)| matches!(name, Cow::Borrowed(_)))
}

/// Texts near the grammar's edges, as values and as pieces of something else.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,10})?([eE][+-]?[0-9]{1,3})?",
        "-?[0-9.eE+-]{0,20}",
        r#""(\\\\(["\\\\/bfnrtx]|u[0-9a-fA-FgG]{3,5})|[a-z\x00-\x1f\x7fé🚀 ]|[a-z]{7,9}){0,4}""#,
        "\"\\PC{0,20}\"",
        "(null|true|false|nul|nulll|tru|True|falsy|NaN)",
        "[\\[\\]{}\",:\\\\ \\x0b\\x0c\\n\\t\\ra1.eE+-]{0,12}",
        json().prop_map(|json| json.to_string()),
        json().prop_map(|json| serde_json::to_string_pretty(&json).unwrap()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn scanner_takes_what_serde_takes(
        pieces in prop::collection::vec(piece(), 1..4),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..3_u8, "[\\[\\]{}\",:\\\\ \\x00\\x0c\\x1f\\x7fa09.eE+-é]"), 0..3),
    ) {
        let mut text: Vec<char> = "{".chars().collect();
        for (i, piece) in pieces.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            text.extend(format!("{comma}\"{}\":{piece}", "name".repeat(i)).chars());
        }
        text.push('}');
        for (at, how, with) in edits {
            let at = at.index(text.len());
            match how {
                0 => drop(text.remove(at)),
                1 => text.insert(at, with.chars().next().unwrap()),
                _ => text[at] = with.chars().next().unwrap(),
            }
            if text.is_empty() {
                break;
            }
        }
        let text: String = text.into_iter().collect();
        let (scanned, walked) = (scanned(&text), walked(&text));
        prop_assert_eq!(&scanned, &walked.filter(|members| has_plain_names(members)), "{:?}", text);
        if let Some(members) = scanned {
            let trusted = Members::of(text.trim_matches(|c| c <= ' '));
            let trusted: Vec<_> = trusted.map(|(name, value)| (name.unwrap(), value)).collect();
            prop_assert_eq!(trusted, members);
        }
    }

    #[test]
    fn scanner_takes_what_serde_takes_of_soup(soup in "\\{[\\[\\]{}\",:\\\\ a01.eE+-]{0,24}\\}?") {
        let walked = walked(&soup).filter(|members| has_plain_names(members));
        prop_assert_eq!(scanned(&soup), walked);
    }

    #[test]
    fn whole_numbers(number: i64, other in "-?[0-9+-]{0,21}") {
        prop_assert_eq!(int(&number.to_string()), Some(number));
        let expected = if is_integer(&other) { other.parse().ok() } else { None };
        prop_assert_eq!(int(&other), expected);
    }
}

#[test]
fn scanner_takes_so_many_levels() {
    let nested =
        |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
    assert_eq!(scanned(&nested(64)), walked(&nested(64)));
    assert_eq!(scanned(&nested(65)), None);
    assert!(walked(&nested(65)).is_some());
    assert_eq!(Members::of(&nested(100_000)).count(), 1);
}

/// Wherever it stands in a word of eight bytes, and whatever stands around it.
#[test]
fn every_byte_in_every_place() {
    for length in 0..17 {
        for at in 0..length {
            for byte in 0..=127_u8 {
                for around in ['a', '#', '!', '\u{7f}', 'é'] {
                    let mut inside: Vec<char> = vec![around; length];
                    inside[at] = char::from(byte);
                    let inside: String = inside.into_iter().collect();
                    let text = format!("{{\"a\":\"{inside}\"}}");
                    assert_eq!(scanned(&text), walked(&text), "{text:?}");
                    assert_eq!(scan::has_backslash(inside.as_bytes()), inside.contains('\\'));
                    let number = format!("{{\"a\":{}}}", inside.replace(around, "7"));
                    assert_eq!(scanned(&number), walked(&number), "{number:?}");
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn members_agree_with_walk(value in json(), pretty: bool) {
        let object = serde_json::json!({"a": value, "": [value], "\"": value, "z": 1.5e3});
        let text = match pretty {
            true => serde_json::to_string_pretty(&object).unwrap(),
            false => object.to_string(),
        };
        let mut walked = Vec::new();
        walk(&text, |name, value| walked.push((Some(name), value))).unwrap();
        prop_assert_eq!(walked.len(), 4);
        prop_assert_eq!(Members::of(&text).collect::<Vec<_>>(), walked);
    }

    #[test]
    fn depth_is_exact(value in json(), max in 0_usize..8) {
        let text = value.to_string();
        prop_assert_eq!(is_deeper(text.as_bytes(), max), height(&value) > max);
    }

    #[test]
    fn members_end_on_anything(text: String, object in "\\{[\"\\\\,:{}\\[\\]a1 ]{0,20}") {
        prop_assert!(Members::of(&text).count() <= text.len());
        prop_assert!(Members::of(&object).count() <= object.len());
    }

    #[test]
    fn strings(text: String) {
        let raw = serde_json::to_string(&text).unwrap();
        prop_assert_eq!(string(&raw).unwrap(), text);
    }
}

#[test]
fn surrogates() {
    assert_eq!(string(r#""\uD83D\uDE80""#).unwrap(), "\u{1F680}");
    for half in [r#""\uD83D""#, r#""\uDE80""#, r#""\uD83D\uD83D""#, r#""\uD83Dx""#] {
        assert_eq!(string(half), None);
    }
}
