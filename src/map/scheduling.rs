//! What a pod asks of the node that it is to run on, as far as a prediction reads it: nodeName, nodeSelector, required node
//! affinity, tolerations, and a required anti-affinity to its own kind. CPU, memory, host ports and other pods are not read.

use super::MapNode;
use crate::facts::PodFacts;
use crate::json::Node;
use crate::model::{HOSTNAME, NodeSelector};

/// A taint that keeps pods away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taint {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) effect: String,
}

/// What a pod tolerates. An empty key is any key, an empty effect any effect, and no value any value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Toleration {
    key: String,
    value: Option<String>,
    effect: String,
}

/// What a pod asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Scheduling {
    /// `nodeName` as a template has it; a pod has it from the scheduler, and the next pod need not.
    node_name: Option<String>,
    selector: Vec<(String, String)>,
    affinity: Option<NodeSelector>,
    tolerations: Vec<Toleration>,
    /// Whether two pods of its workload never share a node.
    pub(super) one_a_node: bool,
}

/// The taint of a node that takes no new pods.
const CORDONED: &str = "node.kubernetes.io/unschedulable";
/// Taints that say how a node is just now, and not whom it is for.
const PASSING: &str = "node.kubernetes.io/";

impl Scheduling {
    /// What a pod asks; `is_template` where it is a workload's template.
    pub(super) fn of(pod: &PodFacts<'_>, is_template: bool) -> Self {
        let text = |node: Node<'_>, key| node.get(key).and_then(Node::as_str).unwrap_or_default().to_owned();
        let items = |key| pod.spec.get(key).into_iter().flat_map(Node::items);
        let toleration = |item: Node<'_>| Toleration {
            key: text(item, "key"),
            value: (text(item, "operator") != "Exists").then(|| text(item, "value")),
            effect: text(item, "effect"),
        };
        let mut tolerations: Vec<Toleration> = items("tolerations").map(toleration).collect();
        // What Kubernetes adds to each pod is the same for all.
        tolerations.retain(|toleration| !toleration.key.starts_with(PASSING) || toleration.key == CORDONED);
        let selector = pod.node_selector.into_iter().flat_map(Node::fields);
        let selector = selector.filter_map(|(key, value)| Some((key.to_owned(), value.as_str()?.to_owned())));
        Self {
            node_name: pod.node_name.filter(|_| is_template).map(str::to_owned),
            selector: selector.collect(),
            affinity: pod.required_affinity().cloned(),
            tolerations,
            one_a_node: is_one_a_node(pod),
        }
    }

    /// How many requirements it has.
    pub(super) fn size(&self) -> usize {
        1 + self.selector.len()
            + self.tolerations.len()
            + self.affinity.as_ref().map_or(0, NodeSelector::size)
    }

    /// Whether nothing is asked of a node's labels and name.
    pub(super) fn is_free(&self) -> bool {
        self.node_name.is_none() && self.selector.is_empty() && self.affinity.is_none()
    }

    /// Whether the scheduler would put such a pod on the node.
    pub(super) fn takes(&self, node: &MapNode) -> bool {
        let is_labelled = |(key, value): &(String, String)| node.labels.get(key) == Some(value);
        self.node_name.as_ref().is_none_or(|name| *name == node.name)
            && self.selector.iter().all(is_labelled)
            && self.affinity.as_ref().is_none_or(|affinity| affinity.matches(&node.name, &node.labels))
            && (!node.cordoned || self.tolerates(CORDONED, "", "NoSchedule"))
            && node.taints.iter().all(|taint| self.tolerates(&taint.key, &taint.value, &taint.effect))
    }

    fn tolerates(&self, key: &str, value: &str, effect: &str) -> bool {
        effect == "PreferNoSchedule"
            || self.tolerations.iter().any(|toleration| {
                (toleration.key.is_empty() && toleration.value.is_none() || toleration.key == key)
                    && toleration.value.as_ref().is_none_or(|wanted| wanted == value)
                    && (toleration.effect.is_empty() || toleration.effect == effect)
            })
    }
}

/// Whether a required anti-affinity keeps a pod off the nodes of pods with its own labels.
fn is_one_a_node(pod: &PodFacts<'_>) -> bool {
    let terms = || {
        let affinity = pod.spec.get("affinity")?.get("podAntiAffinity")?;
        affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    };
    let own = |key: &str| pod.labels.and_then(|labels| labels.get(key)).and_then(Node::as_str);
    let meets = |term: Node<'_>| {
        let selector = term.get("labelSelector")?;
        let mut labels = selector.get("matchLabels").into_iter().flat_map(Node::fields);
        let mut expressions = selector.get("matchExpressions").into_iter().flat_map(Node::items);
        let is_own = |expression: Node<'_>| {
            let key = expression.get("key").and_then(Node::as_str).unwrap_or_default();
            let mut values = expression.get("values").into_iter().flat_map(Node::items);
            match expression.get("operator").and_then(Node::as_str) {
                Some("In") => own(key).is_some_and(|label| values.any(|value| value.as_str() == Some(label))),
                Some("Exists") => own(key).is_some(),
                _ => false,
            }
        };
        let holds = labels.all(|(key, value)| own(key).is_some() && own(key) == value.as_str())
            && expressions.all(is_own);
        Some(holds && term.get("topologyKey").and_then(Node::as_str) == Some(HOSTNAME))
    };
    terms().is_some_and(|terms| terms.items().any(|term| meets(term).unwrap_or_default()))
}

/// The taints of a node that keep pods away; those that say how it is just now are left out.
pub(super) fn taints(node: &serde_json::Value) -> Vec<Taint> {
    let list = node.pointer("/spec/taints").and_then(serde_json::Value::as_array).into_iter().flatten();
    let text = |taint: &serde_json::Value, key| {
        taint.get(key).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
    };
    let taint =
        |taint| Taint { key: text(taint, "key"), value: text(taint, "value"), effect: text(taint, "effect") };
    list.map(taint).filter(|taint| !taint.key.starts_with(PASSING)).collect()
}
