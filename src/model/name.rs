//! Names: patterns for them, and which known one was meant.

/// Whether a name fits a pattern in which each `*` stands for any text, also none. Takes as many steps as both have bytes:
/// of each part between two `*` the first place counts, which leaves the most for the parts behind it.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let (parts, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(name) = name.strip_prefix(first).and_then(|name| name.strip_suffix(last)) else { return false };
    let mut left = name;
    for part in parts.split('*') {
        match left.split_once(part) {
            Some((_, behind)) => left = behind,
            None => return false,
        }
    }
    true
}

/// Whether every name that fits `inner` fits `outer`: a `*` of one can stand only for a `*` of the other.
pub(crate) fn includes(outer: &str, inner: &str) -> bool {
    fits(outer, inner)
}

/// Whether there is a name that fits both patterns. Where both have a `*`, whatever stands between the first and the last one
/// can follow each other.
pub(crate) fn overlap(a: &str, b: &str) -> bool {
    let ends =
        |pattern: &'_ str| -> Option<(usize, usize)> { Some((pattern.find('*')?, pattern.rfind('*')?)) };
    let (Some((a_first, a_last)), Some((b_first, b_last))) = (ends(a), ends(b)) else {
        return fits(a, b) || fits(b, a);
    };
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let starts = a.iter().take(a_first).zip(b.iter().take(b_first)).all(|(a, b)| a == b);
    let behind = |pattern: &[u8], last: usize| pattern.len() - last - 1;
    let both = behind(a, a_last).min(behind(b, b_last));
    starts && a.iter().rev().take(both).eq(b.iter().rev().take(both))
}

/// How closely a pattern describes a name that fits it: the more it says of it the closer.
pub(crate) fn closeness(pattern: &str) -> (usize, bool) {
    let stars = pattern.bytes().filter(|byte| *byte == b'*').count();
    (pattern.len() - stars, stars == 0)
}

/// The longest name, in bytes, that is held against the known ones.
const MOST_COMPARED: usize = 64;

/// The known name that differs least, when it differs by little.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    // Whatever is much longer than all that is known is like none of it, and comparing takes the product of both.
    if name.len() > MOST_COMPARED {
        return None;
    }
    known
        .iter()
        .map(|candidate| {
            (strsim::damerau_levenshtein(&name.to_lowercase(), &candidate.to_lowercase()), *candidate)
        })
        .min()
        .filter(|(distance, candidate)| *distance <= 2.max(candidate.len() / 4))
        .map(|(_, candidate)| candidate)
}

/// `did you mean NAME?`, with the known name that is nearest.
pub(crate) fn did_you_mean(name: &str, known: &[&str]) -> Option<String> {
    nearest(name, known).map(|near| format!("did you mean {near}?"))
}

/// The same for a name in code, in backticks.
pub(crate) fn did_you_mean_code(name: &str, known: &[&str]) -> Option<String> {
    nearest(name, known).map(|near| format!("did you mean `{near}`?"))
}

/// The one of some names that a text is with a slip or two, and no more, whatever the size of its letters: to be named
/// where nobody asked.
pub(crate) fn nearly<'n>(text: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    if text.len() > MOST_COMPARED {
        return None;
    }
    let text = text.to_lowercase();
    let near = |name: &'n str| {
        let distance = strsim::damerau_levenshtein(&text, &name.to_lowercase());
        (distance <= 1.max(name.len() / 4)).then_some((distance, name))
    };
    names.filter_map(near).min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same by the definition.
    fn slowly(pattern: &[u8], name: &[u8]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => (0..=name.len()).any(|taken| slowly(rest, &name[taken..])),
            Some((byte, rest)) => name.first() == Some(byte) && slowly(rest, &name[1..]),
        }
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name, is) in [
            ("db", "db", true),
            ("db", "db-1", false),
            ("db-*", "db-", true),
            ("*-db", "team-db", true),
            ("*-db", "team-db-1", false),
            ("team-*-db", "team-a-db", true),
            ("team-*-db", "team-db", false),
            ("a*a", "a", false),
            ("*", "", true),
            ("", "", true),
            ("*b*", "abc", true),
            ("ä*ß", "äöüß", true),
        ] {
            assert_eq!(fits(pattern, name), is, "{pattern} {name}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn patterns_mean_what_they_say(a in "[ab*]{0,6}", b in "[ab*]{0,6}", names in prop::collection::vec("[abc]{0,8}", 1..20)) {
            for name in &names {
                prop_assert_eq!(fits(&a, name), slowly(a.as_bytes(), name.as_bytes()));
                if fits(&a, name) && fits(&b, name) {
                    prop_assert!(overlap(&a, &b) && overlap(&b, &a), "{} fits both", name);
                }
                prop_assert!(!(includes(&a, &b) && fits(&b, name)) || fits(&a, name), "{}", name);
            }
            // A letter that no pattern has, in place of each star, tells whether one holds the other.
            prop_assert_eq!(includes(&a, &b), slowly(a.as_bytes(), b.replace('*', "c").as_bytes()));
            // The parts of both, one after the other, fit both where anything does.
            if let (Some((before_a, _)), Some((_, after_a)), Some((before_b, _)), Some((_, after_b))) =
                (a.split_once('*'), a.rsplit_once('*'), b.split_once('*'), b.rsplit_once('*'))
            {
                let longer = |a: &str, b: &str| if a.len() > b.len() { a.to_owned() } else { b.to_owned() };
                let (start, end) = (longer(before_a, before_b), longer(after_a, after_b));
                let both = format!("{start}{}{}{end}", a.replace('*', ""), b.replace('*', ""));
                prop_assert_eq!(overlap(&a, &b), fits(&a, &both) && fits(&b, &both));
            }
        }
    }
}
