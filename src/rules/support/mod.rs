//! What several rules need: patterns, quantities and lists in a policy, in messages.

mod most;

pub(super) use most::Most;

use crate::model::{FieldPath, Quantity, closeness, fits};
use crate::rule::PolicyFault;
use std::collections::BTreeMap;

/// Reads a quantity of a policy that must be more than nothing; tells the fault otherwise.
pub(in crate::rules) fn quantity(
    text: Option<&str>,
    at: &FieldPath,
    faults: &mut Vec<PolicyFault>,
) -> Option<Quantity> {
    match Quantity::parse(text?) {
        Ok(quantity) if quantity.value() > 0 => Some(quantity),
        Ok(quantity) => {
            faults.push(PolicyFault::new(at.clone(), format!("must be more than {quantity}")));
            None
        }
        Err(why) => {
            faults.push(PolicyFault::new(at.clone(), why));
            None
        }
    }
}

/// Whether a name fits one of the patterns.
pub(in crate::rules) fn fits_any(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| fits(pattern, name))
}

/// The value of the pattern that fits the name most closely.
pub(in crate::rules) fn best_fit<'m, T>(values: &'m BTreeMap<String, T>, name: &str) -> Option<&'m T> {
    let fitting = values.iter().filter(|(pattern, _)| fits(pattern, name));
    let best = fitting.max_by_key(|(pattern, _)| closeness(pattern));
    best.map(|(_, value)| value)
}

/// A name for each kind of class that two maps of patterns tell apart: each pattern's own, and any other.
pub(in crate::rules) fn class_samples<'m, T>(
    a: &'m BTreeMap<String, T>,
    b: &'m BTreeMap<String, T>,
) -> impl Iterator<Item = Option<String>> {
    let patterns = a.keys().chain(b.keys());
    std::iter::once(None).chain(patterns.map(|pattern| Some(pattern.replace('*', ""))))
}

/// `a, b or c`.
pub(in crate::rules) fn one_of<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    match items.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => items.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{includes, overlap};

    #[test]
    fn patterns_meet_and_include() {
        for (a, b, meet, inside) in [
            ("fast", "fast", true, true),
            ("fast", "slow", false, false),
            ("fast*", "fast-ssd", true, true),
            ("fast-ssd", "fast*", true, false),
            ("fast*", "fast-s*", true, true),
            ("fast-s*", "fast*", true, false),
            ("a*", "b*", false, false),
            ("*", "", true, true),
            ("*-ssd", "fast-*", true, false),
            ("*-ssd", "*-ssd", true, true),
            ("*-ssd", "fast-ssd", true, true),
            ("a*b", "a*c", false, false),
        ] {
            assert_eq!(overlap(a, b), meet, "{a} {b}");
            assert_eq!(overlap(b, a), meet, "{b} {a}");
            assert_eq!(includes(a, b), inside, "{a} includes {b}");
        }
    }

    #[test]
    fn the_closest_pattern_wins() {
        let values =
            BTreeMap::from([("*", 1), ("db*", 2), ("db", 3), ("db-x*", 4)].map(|(k, v)| (k.to_owned(), v)));
        for (name, wanted) in [("web", 1), ("db1", 2), ("db", 3), ("db-x1", 4)] {
            assert_eq!(best_fit(&values, name), Some(&wanted), "{name}");
        }
    }

    #[test]
    fn lists_read_as_a_sentence() {
        assert_eq!(one_of(["a"]), "a");
        assert_eq!(one_of(["a", "b", "c"]), "a, b or c");
    }
}
