//! Which objects a policy, an exclusion or an exception is about.

use super::schema::Match;
use crate::model::{LabelSelector, fits};
use crate::rule::{Subjects, Trust};

impl Match {
    /// Whether all parts that are given hold of the object.
    pub fn holds(&self, subjects: &Subjects<'_>, trust: Trust) -> bool {
        let Self { namespaces, namespace_selector, object_selector, kinds } = self;
        (namespaces.is_empty() || namespaces.iter().any(|pattern| fits(pattern, subjects.namespace_name())))
            && namespace_selector.as_ref().is_none_or(|selector| match subjects.namespace() {
                Some(namespace) => selector.matches(namespace),
                None => *selector == LabelSelector::default(),
            })
            && object_selector.as_ref().is_none_or(|selector| subjects.has_labels(selector, trust))
            && (kinds.is_empty() || kinds.iter().any(|kind| subjects.is_kind(kind, trust)))
    }
}
