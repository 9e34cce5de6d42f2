//! Which objects a policy, an exclusion or an exception is about.

use super::schema::Match;
use crate::model::{LabelSelector, fits};
use crate::rule::{Subjects, Trust};

/// The kind that stands for all that makes such.
pub(super) const POD: &str = "Pod";

impl Match {
    /// Whether all parts that are given hold of the object. With `widened`, `Pod` stands for all that makes pods.
    pub fn holds(&self, subjects: &Subjects<'_>, trust: Trust, widened: bool) -> bool {
        let Self { namespaces, namespace_selector, object_selector, kinds, kinds_only } = self;
        let makes_pods = || widened && !kinds_only && subjects.has_pods();
        (namespaces.is_empty() || namespaces.iter().any(|pattern| fits(pattern, subjects.namespace_name())))
            && namespace_selector.as_ref().is_none_or(|selector| match subjects.namespace() {
                Some(namespace) => selector.matches(namespace),
                None => *selector == LabelSelector::default(),
            })
            && object_selector.as_ref().is_none_or(|selector| subjects.has_labels(selector, trust))
            && (kinds.is_empty()
                || kinds.iter().any(|kind| subjects.is_kind(kind, trust) || kind == POD && makes_pods()))
    }
}
