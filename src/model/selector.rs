use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A set of labels to hold a selector against.
pub trait Labels {
    /// The value of that label.
    fn label(&self, key: &str) -> Option<&str>;
}

impl Labels for BTreeMap<String, String> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}

impl<L: Labels + ?Sized> Labels for &L {
    fn label(&self, key: &str) -> Option<&str> {
        (**self).label(key)
    }
}

impl<L: Labels> Labels for Option<L> {
    fn label(&self, key: &str) -> Option<&str> {
        self.as_ref()?.label(key)
    }
}

/// A Kubernetes label selector: all of its parts must hold; an empty one matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelSelector {
    /// Labels that must have exactly these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Conditions on labels, all of which must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<Requirement>,
}

/// One condition on a label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// How the label is compared.
    pub operator: SelectorOperator,
    /// What it is compared with: at least one for In and NotIn, none for Exists and DoesNotExist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// How a label is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SelectorOperator {
    /// The label has one of the values.
    In,
    /// The label is absent or has none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is not there.
    DoesNotExist,
}

impl LabelSelector {
    /// Whether these labels satisfy the selector.
    pub fn matches(&self, labels: &dyn Labels) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.label(key) == Some(value))
            && self.match_expressions.iter().all(|requirement| requirement.matches(labels))
    }

    /// A label of which it asks what cannot be: two values, or to be there and not.
    pub fn impossible_label(&self) -> Option<&str> {
        // Each value is held against each condition.
        const MOST_COMPARED: usize = 200;
        if self.size() > MOST_COMPARED {
            return None;
        }
        let conditions = self.match_expressions.iter().map(|requirement| &requirement.key);
        let mut keys = self.match_labels.keys().chain(conditions);
        keys.find(|key| !self.can_hold(key)).map(String::as_str)
    }

    /// Whether some value of that label, or its absence, is as asked.
    fn can_hold(&self, key: &str) -> bool {
        let wanted = self.match_labels.get(key);
        let about = || self.match_expressions.iter().filter(|requirement| requirement.key == key);
        let values = about().flat_map(|requirement| &requirement.values).chain(wanted);
        // No label has a value with a space: it stands for all others.
        let candidates = [None, Some(" ")].into_iter().chain(values.map(|value| Some(value.as_str())));
        let mut candidates = candidates.map(|value| {
            value.map(|value| BTreeMap::from([(key.to_owned(), value.to_owned())])).unwrap_or_default()
        });
        candidates.any(|labels| {
            wanted.is_none_or(|wanted| labels.get(key) == Some(wanted))
                && about().all(|requirement| requirement.matches(&labels))
        })
    }

    /// How many labels, conditions and values it has.
    pub fn size(&self) -> usize {
        let conditions = self.match_expressions.iter().map(|requirement| 1 + requirement.values.len());
        self.match_labels.len() + conditions.sum::<usize>()
    }

    /// What Kubernetes would refuse in this selector: one fragment a fault, each with the name of the part.
    pub fn faults(&self) -> Vec<(SelectorPart, String)> {
        let mut faults = Vec::new();
        for key in self.match_labels.keys() {
            if let Some(fault) = key_fault(key) {
                faults.push((SelectorPart::Label(key.clone()), fault));
            }
        }
        for (index, requirement) in self.match_expressions.iter().enumerate() {
            if let Some(fault) = key_fault(&requirement.key) {
                faults.push((SelectorPart::Expression(index), fault));
            }
            let wants_values = matches!(requirement.operator, SelectorOperator::In | SelectorOperator::NotIn);
            if wants_values == requirement.values.is_empty() {
                let what = if wants_values { "needs at least one of `values`" } else { "takes no `values`" };
                faults.push((
                    SelectorPart::Expression(index),
                    format!("operator {:?} {what}", requirement.operator),
                ));
            }
        }
        faults
    }
}

/// The part of a selector that a fault is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SelectorPart {
    /// An entry of `matchLabels`.
    Label(String),
    /// An entry of `matchExpressions`.
    Expression(usize),
}

fn key_fault(key: &str) -> Option<String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let name_ok = !name.is_empty()
        && name.len() <= 63
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric());
    let prefix_ok = prefix.is_none_or(|prefix| {
        !prefix.is_empty()
            && prefix.len() <= 253
            && prefix
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.'))
    });
    if name_ok && prefix_ok { None } else { Some(format!("{key:?} cannot be the key of a label")) }
}

impl Requirement {
    fn matches(&self, labels: &dyn Labels) -> bool {
        let found = labels.label(&self.key);
        let listed = |value: &str| self.values.iter().any(|wanted| wanted == value);
        match self.operator {
            SelectorOperator::In => found.is_some_and(listed),
            SelectorOperator::NotIn => !found.is_some_and(listed),
            SelectorOperator::Exists => found.is_some(),
            SelectorOperator::DoesNotExist => found.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn matches_as_kubernetes_does() {
        let selector: LabelSelector = serde_json::from_value(serde_json::json!({
            "matchLabels": {"app": "redis"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["data", "cache"]},
                {"key": "legacy", "operator": "DoesNotExist"},
                {"key": "zone", "operator": "NotIn", "values": ["b"]}
            ]
        }))
        .unwrap();
        assert!(selector.matches(&labels(&[("app", "redis"), ("tier", "data")])));
        assert!(!selector.matches(&labels(&[("app", "redis"), ("tier", "web")])));
        assert!(!selector.matches(&labels(&[("app", "redis"), ("tier", "data"), ("legacy", "")])));
        assert!(!selector.matches(&labels(&[("app", "redis"), ("tier", "data"), ("zone", "b")])));
        assert!(LabelSelector::default().matches(&labels(&[])));
    }

    #[test]
    fn finds_every_fault() {
        let selector: LabelSelector = serde_json::from_value(serde_json::json!({
            "matchLabels": {"-bad": "x", "ok.io/name": "y"},
            "matchExpressions": [
                {"key": "a", "operator": "In"},
                {"key": "b", "operator": "Exists", "values": ["x"]},
                {"key": "c d", "operator": "Exists"}
            ]
        }))
        .unwrap();
        assert_eq!(selector.faults().len(), 4);
    }
}
