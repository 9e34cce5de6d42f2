use super::Labels;
use crate::json::Node;
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

    /// Reads `{nodeSelectorTerms: […]}`; what is malformed is left out, since the API server refuses it anyway.
    pub fn parse<'a>(value: impl Into<Node<'a>>) -> Self {
        let terms = value.into().get("nodeSelectorTerms");
        Self { terms: terms.into_iter().flat_map(Node::items).map(NodeTerm::parse).collect() }
    }

    /// Whether this is all that the JSON of the terms says, so that nothing would be lost if it were written anew.
    pub fn is_all_of(&self, terms: Node<'_>) -> bool {
        is_all(&self.terms, terms, NodeTerm::is_all_of)
    }

    /// Whether the node satisfies one of the terms.
    pub fn matches(&self, node_name: &str, labels: &dyn Labels) -> bool {
        self.terms.iter().any(|term| term.matches(node_name, labels))
    }
}

impl NodeTerm {
    /// Reads one term.
    pub fn parse<'a>(value: impl Into<Node<'a>>) -> Self {
        let value = value.into();
        let list = |key: &str| {
            value.get(key).into_iter().flat_map(Node::items).filter_map(NodeRequirement::parse).collect()
        };
        Self { match_expressions: list("matchExpressions"), match_fields: list("matchFields") }
    }

    fn is_all_of(&self, term: Node<'_>) -> bool {
        let lists = [("matchExpressions", &self.match_expressions), ("matchFields", &self.match_fields)];
        let mut given = lists.iter().filter(|(_, list)| !list.is_empty());
        let is_all = |list, written| is_all(list, written, NodeRequirement::is_all_of);
        term.fields().count() == given.clone().count()
            && given.all(|(key, list)| term.get(key).is_some_and(|written| is_all(list, written)))
    }

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
    fn parse(value: Node<'_>) -> Option<Self> {
        let values = value.get("values").into_iter().flat_map(Node::items);
        Some(Self {
            key: value.get("key")?.as_str()?.to_owned(),
            operator: operator(value.get("operator")?.as_str()?),
            values: values.filter_map(Node::as_str).map(str::to_owned).collect(),
        })
    }

    fn is_all_of(&self, requirement: Node<'_>) -> bool {
        let text = |key| requirement.get(key).and_then(Node::as_str);
        let same = |value: &String, written: Node<'_>| written.as_str() == Some(value);
        let values = requirement.get("values");
        requirement.fields().count() == 2 + usize::from(!self.values.is_empty())
            && text("key") == Some(&self.key)
            && text("operator") == Some(self.operator.as_ref())
            && (self.values.is_empty() || values.is_some_and(|written| is_all(&self.values, written, same)))
    }

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

/// The operators that Kubernetes knows are not copied.
fn operator(written: &str) -> Cow<'static, str> {
    let known =
        ["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"].into_iter().find(|known| *known == written);
    known.map_or_else(|| Cow::Owned(written.to_owned()), Cow::Borrowed)
}

fn is_all<T>(parts: &[T], written: Node<'_>, same: impl Fn(&T, Node<'_>) -> bool) -> bool {
    written.is_list()
        && written.items().len() == parts.len()
        && parts.iter().zip(written.items()).all(|(part, item)| same(part, item))
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
