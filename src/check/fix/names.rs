//! Names for new volumes and claims, which no other has.

use crate::lookup::Lookup;
use std::collections::BTreeSet;

/// The longest name of a pod volume, and of an object.
const MOST_VOLUME: usize = 63;
const MOST_OBJECT: usize = 253;
/// How many names are tried.
const MOST_TRIED: usize = 100;

/// The names that are given in a run.
#[derive(Default)]
pub(super) struct Names {
    /// By namespace: of claims, and what the claims of a StatefulSet's template are called without their ordinals.
    claims: BTreeSet<(String, String)>,
}

impl Names {
    /// A name for a claim that is not there and not given yet.
    pub(super) fn claim(&mut self, lookup: &dyn Lookup, namespace: &str, wanted: &str) -> Option<String> {
        let is_free = |name: &str| {
            lookup.claim(namespace, name).is_none()
                && !lookup.claim_to_come(namespace, name)
                && !self.claims.contains(&(namespace.to_owned(), name.to_owned()))
        };
        let name = free(wanted, MOST_OBJECT, is_free)?;
        self.claims.insert((namespace.to_owned(), name.clone()));
        Some(name)
    }

    /// Whether the claims of a template of that name in a StatefulSet of that name are nobody else's.
    pub(super) fn is_free_template(
        &self,
        lookup: &dyn Lookup,
        namespace: &str,
        set: &str,
        template: &str,
    ) -> bool {
        let first = format!("{template}-{set}-0");
        !lookup.claim_to_come(namespace, &first) && lookup.claim(namespace, &first).is_none()
    }
}

/// The name, or the name with a number behind it: the first that is free.
pub(super) fn free(wanted: &str, most: usize, is_free: impl Fn(&str) -> bool) -> Option<String> {
    (1..=MOST_TRIED).map(|number| numbered(wanted, number, most)).find(|name| is_free(name))
}

/// The same for a pod volume.
pub(super) fn free_volume(wanted: &str, is_free: impl Fn(&str) -> bool) -> Option<String> {
    free(wanted, MOST_VOLUME, is_free)
}

fn numbered(wanted: &str, number: usize, most: usize) -> String {
    let end = if number > 1 { format!("-{number}") } else { String::new() };
    let kept: String = wanted.chars().take(most.saturating_sub(end.len())).collect();
    format!("{}{end}", kept.trim_end_matches(['-', '.']))
}

/// A text as a part of a name: small letters, digits and dashes.
pub(super) fn as_name(text: &str) -> String {
    let name: String = text
        .chars()
        .map(|char| if char.is_ascii_alphanumeric() { char.to_ascii_lowercase() } else { '-' })
        .collect();
    name.trim_matches('-').to_owned()
}
