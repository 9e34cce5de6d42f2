use super::Labels;
use serde::Serialize;
use std::borrow::Cow;
use std::fmt;

/// The label that tells one node from another.
pub const HOSTNAME: &str = "kubernetes.io/hostname";
/// The one field of a node that a selector can name.
pub const NODE_NAME: &str = "metadata.name";

/// A node selector as node affinity has it: one of its terms must hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct NodeSelector {
    /// The alternatives. None at all matches no node.
    pub terms: Vec<NodeTerm>,
}

/// One alternative: all of its requirements must hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeTerm {
    /// Conditions on the node's labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<NodeRequirement>,
    /// Conditions on the node's fields; Kubernetes knows `metadata.name` alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub match_fields: Vec<NodeRequirement>,
}

/// One condition of a term.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct NodeRequirement {
    /// The label's key, or the field's name.
    pub key: String,
    /// In, NotIn, Exists, DoesNotExist, Gt or Lt.
    pub operator: Cow<'static, str>,
    /// What it is compared with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

impl NodeSelector {
    /// One that matches no node.
    pub const NONE: Self = Self { terms: Vec::new() };

    /// The hosts that it leaves, where each of its terms names those that it allows.
    pub fn hosts(&self) -> Option<Vec<&str>> {
        let named =
            |requirement: &&NodeRequirement| requirement.key == HOSTNAME && requirement.operator == "In";
        let mut hosts = Vec::new();
        for term in &self.terms {
            hosts.extend(term.match_expressions.iter().find(named)?.values.iter().map(String::as_str));
        }
        Some(hosts)
    }

    /// Whether the node satisfies one of the terms.
    pub fn matches(&self, node_name: &str, labels: &dyn Labels) -> bool {
        self.terms.iter().any(|term| term.matches(node_name, labels))
    }
}

impl NodeTerm {
    /// Whether it has no requirement at all, so that it matches nothing.
    pub fn is_empty(&self) -> bool {
        self.match_expressions.is_empty() && self.match_fields.is_empty()
    }

    /// Whether the node satisfies all of it. An empty term matches nothing, as in Kubernetes.
    pub fn matches(&self, node_name: &str, labels: &dyn Labels) -> bool {
        !self.is_empty()
            && self.match_expressions.iter().all(|r| r.matches(labels.label(&r.key)))
            && self.match_fields.iter().all(|r| r.matches((r.key == NODE_NAME).then_some(node_name)))
    }
}

impl NodeRequirement {
    /// `key In [value]`.
    pub fn is_in(key: &str, value: &str) -> Self {
        Self { key: key.to_owned(), operator: Cow::Borrowed("In"), values: vec![value.to_owned()] }
    }

    /// Whether a label or field of that value satisfies the condition.
    pub fn matches(&self, found: Option<&str>) -> bool {
        let listed = |value: &str| self.values.iter().any(|wanted| wanted == value);
        let number = |text: &str| text.parse::<i64>().ok();
        let compare = |holds: fn(i64, i64) -> bool| match (found.and_then(number), self.values.as_slice()) {
            (Some(found), [wanted]) => number(wanted).is_some_and(|wanted| holds(found, wanted)),
            _ => false,
        };
        match self.operator.as_ref() {
            "In" => found.is_some_and(listed),
            "NotIn" => !found.is_some_and(listed),
            "Exists" => found.is_some(),
            "DoesNotExist" => found.is_none(),
            "Gt" => compare(|found, wanted| found > wanted),
            "Lt" => compare(|found, wanted| found < wanted),
            _ => false,
        }
    }
}

impl fmt::Display for NodeRequirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.operator.as_ref(), self.values.as_slice()) {
            ("In", [value]) => write!(f, "{}={value}", self.key),
            ("Exists" | "DoesNotExist", _) => write!(f, "{} {}", self.key, self.operator),
            (operator, values) => {
                write!(f, "{} {operator} (", self.key)?;
                for (at, value) in values.iter().enumerate() {
                    f.write_str(if at > 0 { ", " } else { "" })?;
                    f.write_str(value)?;
                }
                f.write_str(")")
            }
        }
    }
}

impl fmt::Display for NodeTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for requirement in self.match_expressions.iter().chain(&self.match_fields) {
            if !std::mem::take(&mut first) {
                f.write_str(" and ")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for NodeSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, term) in self.terms.iter().enumerate() {
            if at > 0 {
                f.write_str(" or ")?;
            }
            term.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeMap;

    #[test]
    fn hosts_are_known_where_each_term_names_them() {
        let hosts = |terms: Value| {
            let selector = NodeSelector::parse(&serde_json::json!({"nodeSelectorTerms": terms}));
            selector.hosts().map(|hosts| hosts.join(" "))
        };
        let on = |values: Value| serde_json::json!({"key": HOSTNAME, "operator": "In", "values": values});
        let other = serde_json::json!({"key": "zone", "operator": "In", "values": ["z"]});
        let (a, bc) = (on(serde_json::json!(["a"])), on(serde_json::json!(["b", "c"])));
        let terms =
            serde_json::json!([{"matchExpressions": [other.clone(), a]}, {"matchExpressions": [bc.clone()]}]);
        assert_eq!(hosts(terms).as_deref(), Some("a b c"));
        let terms = serde_json::json!([{"matchExpressions": [bc]}, {"matchExpressions": [other]}]);
        assert_eq!(hosts(terms), None, "the second could be any host of the zone");
        let not = serde_json::json!({"key": HOSTNAME, "operator": "NotIn", "values": ["a"]});
        assert_eq!(hosts(serde_json::json!([{"matchExpressions": [not]}])), None);
    }

    #[test]
    fn matches_as_the_scheduler_does() {
        let labels: BTreeMap<String, String> =
            [("zone", "a"), ("cores", "8")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let matches = |term: Value| {
            NodeSelector::parse(&serde_json::json!({"nodeSelectorTerms": [term]})).matches("n1", &labels)
        };
        let expression = |e: Value| matches(serde_json::json!({"matchExpressions": [e]}));
        assert!(expression(serde_json::json!({"key": "zone", "operator": "In", "values": ["a", "b"]})));
        assert!(!expression(serde_json::json!({"key": "zone", "operator": "NotIn", "values": ["a"]})));
        assert!(expression(serde_json::json!({"key": "other", "operator": "NotIn", "values": ["a"]})));
        assert!(expression(serde_json::json!({"key": "cores", "operator": "Gt", "values": ["4"]})));
        assert!(!expression(serde_json::json!({"key": "cores", "operator": "Lt", "values": ["8"]})));
        assert!(expression(serde_json::json!({"key": "gone", "operator": "DoesNotExist"})));
        assert!(matches(
            serde_json::json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]})
        ));
        assert!(!matches(serde_json::json!({})), "an empty term matches nothing");
        assert!(!NodeSelector::default().matches("n1", &labels));
    }
}
