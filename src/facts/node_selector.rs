//! Node selectors as objects have them.

use crate::json::Node;
use crate::model::{NodeRequirement, NodeSelector, NodeTerm};
use std::borrow::Cow;

impl NodeSelector {
    /// Reads `{nodeSelectorTerms: […]}`; what is malformed is left out, since the API server refuses it anyway.
    pub fn parse<'a>(value: impl Into<Node<'a>>) -> Self {
        let terms = value.into().get("nodeSelectorTerms");
        Self { terms: terms.into_iter().flat_map(Node::items).map(NodeTerm::parse).collect() }
    }

    /// Whether this is all that the JSON of the terms says, so that nothing would be lost if it were written again.
    pub fn is_all_of(&self, terms: Node<'_>) -> bool {
        is_all(&self.terms, terms, NodeTerm::is_all_of)
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
