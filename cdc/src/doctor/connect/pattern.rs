//! What Debezium's lists of regular expressions say of a name, as far as that is certain.

/// Whether this expression (of Java, anchored, in any case of letters) matches the name. `None`: it has more in it than
/// names, dots and `.*`, and is not judged.
pub(super) fn matches(pattern: &str, name: &str) -> Option<bool> {
    let mut parts = Vec::new();
    let mut rest = pattern.trim();
    while let Some(first) = rest.chars().next() {
        let (part, taken) = if rest.starts_with("(.*)") {
            (Part::Anything, 4)
        } else if rest.starts_with(".*") {
            (Part::Anything, 2)
        } else if rest.starts_with("\\.") {
            (Part::Is('.'), 2)
        } else if first == '.' {
            (Part::One, 1)
        } else if first.is_alphanumeric() || ['_', '-', ' '].contains(&first) {
            (Part::Is(first), first.len_utf8())
        } else {
            return None;
        };
        rest = &rest[taken..];
        if rest.starts_with(['*', '+', '?', '{']) {
            return None;
        }
        parts.push(part);
    }
    Some(fits(&parts, &name.chars().collect::<Vec<_>>()))
}

/// Whether any expression of a list, separated by commas, matches. `None`: none certainly does, and one is not judged.
pub(super) fn any(list: &str, name: &str) -> Option<bool> {
    let entries = list.split(',').filter(|entry| !entry.trim().is_empty());
    let mut found = Some(false);
    for entry in entries {
        match matches(entry, name) {
            Some(true) => return Some(true),
            Some(false) => {}
            None => found = None,
        }
    }
    found
}

enum Part {
    Is(char),
    One,
    Anything,
}

fn fits(parts: &[Part], name: &[char]) -> bool {
    // Which beginnings of the name the parts so far can be.
    let mut can = vec![false; name.len() + 1];
    can[0] = true;
    for part in parts {
        let mut next = vec![false; name.len() + 1];
        match part {
            Part::Anything => {
                let first = can.iter().position(|can| *can).unwrap_or(can.len());
                next[first..].fill(true);
            }
            Part::One => next[1..].copy_from_slice(&can[..name.len()]),
            Part::Is(wanted) => {
                for (at, c) in name.iter().enumerate() {
                    next[at + 1] = can[at] && c.to_lowercase().eq(wanted.to_lowercase());
                }
            }
        }
        can = next;
    }
    can[name.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_dots_and_anything_are_judged_all_else_is_not() {
        for (pattern, name, is) in [
            ("public.orders", "public.orders", Some(true)),
            ("public\\.orders", "public.orders", Some(true)),
            ("public\\.orders", "publicxorders", Some(false)),
            ("Public.Orders", "public.orders", Some(true)),
            ("public.order", "public.orders", Some(false)),
            ("public.*", "public.orders", Some(true)),
            ("(.*).orders", "public.orders", Some(true)),
            ("(.*).orders", "public.orders2", Some(false)),
            (".*", "", Some(true)),
            ("", "", Some(true)),
            ("public.orders", "", Some(false)),
            ("public.(orders|items)", "public.orders", None),
            ("public.order[s]", "public.orders", None),
            ("public.orders?", "public.orders", None),
            ("public.ord.*?", "public.orders", None),
        ] {
            assert_eq!(matches(pattern, name), is, "{pattern} on {name}");
        }
        assert_eq!(any("a.b, public.orders", "public.orders"), Some(true));
        assert_eq!(any("a.[b],public.orders", "public.orders"), Some(true));
        assert_eq!(any("a.[b],c.d", "public.orders"), None);
        assert_eq!(any("", "public.orders"), Some(false));
    }
}
