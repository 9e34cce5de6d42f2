use super::{Draft, Rule};
use crate::engine::Context;
use crate::facts::{PodFacts, TiedClaim, Workload, WorkloadKind, tied_claims};
use crate::model::{FieldPath, NodeSelector, NodeTerm, Operation};
use crate::patch::PatchBuilder;
use crate::policy::PolicyFault;
use crate::verdict::Action;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::any::Any;
use std::sync::Arc;

/// Writes into a new pod which nodes its volumes can be used from.
///
/// A local volume ties its pods to its node, but nothing in the pod says so: autoscalers, deschedulers, people and
/// every scheduler that does not look at volumes read the pod alone. This rule adds the node affinity of the pod's
/// volumes to `requiredDuringSchedulingIgnoredDuringExecution`, when the pod is created. A claim that names its volume
/// brings that volume's affinity; one that waits for a volume of a static class (`kubernetes.io/no-provisioner`)
/// brings the affinities of all free volumes that would do. The pod's own terms stay in force: each is combined with
/// each of the volumes', and combinations that no node can satisfy are left out.
///
/// ```yaml
/// # before: the claim's volume lies on node-b, the pod may go to any Linux node
/// nodeAffinity:
///   requiredDuringSchedulingIgnoredDuringExecution:
///     nodeSelectorTerms:
///     - matchExpressions: [{key: kubernetes.io/os, operator: In, values: [linux]}]
/// # after
/// nodeAffinity:
///   requiredDuringSchedulingIgnoredDuringExecution:
///     nodeSelectorTerms:
///     - matchExpressions:
///       - {key: kubernetes.io/os, operator: In, values: [linux]}
///       - {key: kubernetes.io/hostname, operator: In, values: [node-b]}
/// ```
///
/// It does not touch workloads (their claims may move while the template stays), pods with `spec.nodeName`, and pods
/// that already say as much. It says nothing for volumes without affinity, generic ephemeral volumes and claims that
/// are not known. Where pod and volumes contradict each other it changes nothing: `volume-reachable` refuses such a
/// pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Params {
    /// The most `nodeSelectorTerms` that a pod may end up with. A pod that would need more stays as it is and gets a
    /// warning; the scheduler keeps to its volumes all the same.
    #[serde(default = "max_terms")]
    #[schemars(range(min = 1, max = 1024))]
    pub max_terms: usize,
}

fn max_terms() -> usize {
    64
}

impl super::Params for Params {
    const ID: &'static str = "pin-to-volume";
    const FIELD: &'static str = "pinToVolume";

    fn compile(&self, _at: &FieldPath, _faults: &mut Vec<PolicyFault>) -> Arc<dyn Rule> {
        Arc::new(PinToVolume(self.clone()))
    }
}

#[derive(Debug)]
struct PinToVolume(Params);

impl Rule for PinToVolume {
    fn mutate(&self, context: &Context<'_>, patch: &mut PatchBuilder<'_>) {
        let Some(workload) = new_pod(context) else { return };
        let claims = tied_claims(workload, context.facts.namespace(), context.lookup);
        if let Some(nodes) = pinned(&workload.pod, &claims, self.0.max_terms).ok().flatten() {
            patch.set(&workload.pod.affinity_terms_path(), json!(nodes.terms));
        }
    }

    fn check(&self, context: &Context<'_>, findings: &mut Vec<Draft>) {
        let Some(workload) = new_pod(context) else { return };
        let claims = tied_claims(workload, context.facts.namespace(), context.lookup);
        let (pod, limit) = (&workload.pod, self.0.max_terms);
        let (Err(TooManyTerms), Some(first)) = (pinned(pod, &claims, limit), claims.first()) else { return };
        let claim = first.pod_volume.source_path(&pod.path());
        let field = if pod.required_affinity().is_some() { pod.affinity_terms_path() } else { claim.clone() };
        let message = format!(
            "the pod is not pinned to its volumes: together with {first} it would need more than {limit} node selector \
             terms, so nothing in the pod says where it can run; the scheduler keeps to the volumes all the same"
        );
        let finding = Draft::new(field, message)
            .related(claim, "the first of its claims that not every node can use")
            .help("write fewer `nodeSelectorTerms` (one with a list of values for several that differ in one label), or raise `maxTerms`")
            .at_most(Action::Warn);
        findings.push(finding);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The pod, when it is a new one that is still to be scheduled.
fn new_pod<'c>(context: &Context<'c>) -> Option<&'c Workload<'c>> {
    let workload = context.facts.workload()?;
    let new = context.review.operation == Operation::Create && workload.kind == WorkloadKind::Pod;
    (new && workload.pod.node_name.is_none()).then_some(workload)
}

/// It would take more terms than the policy allows.
#[derive(Debug)]
struct TooManyTerms;

/// The selector that pins the pod; nothing when it is pinned already, or no node can satisfy all of it.
fn pinned(
    pod: &PodFacts<'_>,
    claims: &[TiedClaim<'_, '_>],
    limit: usize,
) -> Result<Option<NodeSelector>, TooManyTerms> {
    let own = pod.required_affinity();
    let labels = pod.node_selector_term();
    let says = match (&own, &labels) {
        (Some(own), Some(labels)) => Some(with_labels(own, labels)),
        (Some(own), None) => Some(own.clone()),
        (None, labels) => labels.clone().map(NodeSelector::from),
    };
    let mut open = claims.iter().filter(|claim| !says.as_ref().is_some_and(|says| says.implies(&claim.nodes)));
    let Some(first) = open.next() else { return Ok(None) };
    let mut nodes = match &own {
        // Told before any work is done: a pod may bring thousands.
        Some(own) if own.terms.len() > limit => return Err(TooManyTerms),
        Some(own) => own.and(&first.nodes, limit),
        None => first.nodes.simplify(limit),
    }
    .ok_or(TooManyTerms)?;
    for claim in open {
        nodes = nodes.and(&claim.nodes, limit).ok_or(TooManyTerms)?;
    }
    let possible = labels.is_none_or(|labels| !nodes.contradicts(&labels.into()));
    Ok((possible && !nodes.terms.is_empty()).then_some(nodes))
}

/// The terms, each with the labels; those that contradict them are left out.
fn with_labels(own: &NodeSelector, labels: &NodeTerm) -> NodeSelector {
    NodeSelector { terms: own.terms.iter().filter_map(|term| term.and(labels)).collect() }
}
