mod named_volume;
mod unscheduled;

use crate::facts::{NodeFacts, PodFacts, Subject, WorkloadKind};
use crate::lookup::{Lookup, LookupKind};
use crate::model::{Brief, Effort, FieldPath, HOSTNAME, NODE_NAME, NodeRequirement, NodeSelector, NodeTerm};
use crate::rule::{Concern, Context, NewFinding, NewFindings, OTHER_OBJECTS, PolicyFault, Rule, RuleKind};
use crate::storage::{MOST_CANDIDATES, TiedClaim};
use crate::verdict::Action;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

/// Refuses a pod that no node can run, because of where its volumes are.
///
/// # Why it matters
/// A volume with node affinity can be used from some nodes only. A pod that asks for another node, or for two volumes
/// that share no node, stays Pending (or, with `spec.nodeName`, in ContainerCreating) forever, and only an event on the
/// pod says why.
///
/// # What it checks
/// This rule says so at once, at the pod and at the workload that would make it. It compares the volumes' node affinity
/// with each other, with `nodeName`, with `nodeSelector` and with the required node affinity; then, where the nodes are
/// known, with the nodes that there are.
///
/// # Example
/// ```yaml
/// # bad: the claim's volume lies on node-b
/// spec:
///   nodeSelector: {kubernetes.io/hostname: node-a}
///   volumes: [{name: data, persistentVolumeClaim: {claimName: data-on-node-b}}]
/// # good: the scheduler follows the volume
/// spec:
///   volumes: [{name: data, persistentVolumeClaim: {claimName: data-on-node-b}}]
/// ```
///
/// # Details
/// A claim that names a volume is held against it: another class, another volume mode, less room than the claim asks for, an
/// access mode that the volume does not offer, and another claim that has the volume. Kubernetes never binds the two, and whoever uses the claim
/// waits.
///
/// It is a warning at most where things may still change by themselves: a claim that is not bound yet, a node that is not
/// known, and volumes tied to a zone rather than to nodes, in which an autoscaler may make a node.
///
/// A pod with `nodeName` goes past the scheduler. A claim without a volume, of a class with `volumeBindingMode:
/// WaitForFirstConsumer`, waits until the scheduler has chosen a node, so that such a pod may wait forever: a warning.
///
/// # What it does not check
/// It looks at no taints, resources or pod (anti-)affinity, and not at where the claims will lie that a StatefulSet's
/// templates make.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Params {}

impl RuleKind for Params {
    const ID: &'static str = "volume-reachable";
    const FIELD: &'static str = "volumeReachable";
    const READS_BEYOND: Option<&'static str> = Some(OTHER_OBJECTS);

    fn compile(&self, _at: &FieldPath, _faults: &mut Vec<PolicyFault>) -> Arc<dyn Rule> {
        Arc::new(VolumeReachable)
    }
}

#[derive(Debug)]
struct VolumeReachable;

impl Rule for VolumeReachable {
    fn finds(&self) -> Concern {
        Concern::volumes(["persistentVolumeClaim"]).or(&Concern::claim_sites())
    }

    fn check(&self, context: &Context<'_>, findings: &mut NewFindings<'_>) {
        if let Subject::Claim(claim) = &context.facts.subject {
            named_volume::check(context, claim, findings);
        }
        let Some(workload) = context.facts.workload() else { return };
        let who = if workload.kind == WorkloadKind::Pod { "this pod" } else { "its pods" };
        unscheduled::check(context, workload, who, findings);
        let tied = context.tied_claims();
        let pod = &workload.pod;
        if let Some(volume) = tied.passed_over {
            let message = format!(
                "whether a node can use this claim is not judged: more than {MOST_CANDIDATES} free volumes of its class \
                 would do, or the claims have too many to look at"
            );
            let field = volume.source_path(&pod.path()).key("claimName");
            findings.push(NewFinding::new(field, message).at_most(Action::Audit));
        }
        if tied.claims.is_empty() {
            return;
        }
        let effort = Effort::new(Effort::MOST);
        let judged =
            Judged { who, at: pod.path(), pod, claims: &tied.claims, own: own_alone(pod, &effort), effort };
        if judged.all(context.lookup, findings).is_none() {
            let message = format!(
                "whether a node can run {} is not judged to the end: the node selectors of the pod and of its volumes \
                 have too many terms, requirements and values to hold each against each",
                judged.who
            );
            let field = if pod.required_affinity().is_some() {
                pod.affinity_terms_path()
            } else {
                judged.at.key("volumes")
            };
            let help =
                "write fewer of them: one term with a list of values for several that differ in one label";
            findings.push(NewFinding::new(field, message).help(help).at_most(Action::Warn));
        }
    }
}

const FOLLOW: &str =
    "leave it out and let the scheduler follow the volume, or use a claim whose volume lies there";

struct Judged<'j> {
    who: &'static str,
    at: FieldPath,
    pod: &'j PodFacts<'j>,
    claims: &'j [TiedClaim<'j, 'j>],
    /// What the pod itself wants of a node, its volumes aside; any node at all where it wants nothing, and nothing
    /// where it takes too long to tell.
    own: Option<Cow<'j, NodeSelector>>,
    effort: Effort,
}

impl Judged<'_> {
    /// Judges one thing after the other; nothing when it takes too long to come to the end.
    fn all(&self, lookup: &dyn Lookup, findings: &mut NewFindings<'_>) -> Option<()> {
        let before = findings.seen();
        self.claims_apart(findings)?;
        if let Some(name) = self.pod.node_name {
            return self.node_name(name, lookup.node(name).as_deref(), findings);
        }
        self.own_selectors(findings)?;
        if findings.seen() == before {
            self.everything_apart(findings)?;
        }
        if findings.seen() == before && lookup.knows_all(LookupKind::Node) {
            self.no_node(lookup, findings)?;
        }
        Some(())
    }

    fn claim_path(&self, claim: &TiedClaim<'_, '_>) -> FieldPath {
        claim.pod_volume.source_path(&self.at).key("claimName")
    }

    /// Volumes that match no node by themselves, and claims that share no node: each claim with the first before it.
    fn claims_apart(&self, findings: &mut NewFindings<'_>) -> Option<()> {
        let mut others: Vec<&TiedClaim<'_, '_>> = Vec::new();
        let mut seen = HashSet::new();
        for claim in self.claims {
            self.effort.spend(claim.nodes().size())?;
            if claim.nodes().is_contradictory() {
                let message = format!("no node can run {}: {claim} allows none", self.who);
                let help = "correct the `nodeAffinity` of the volume, or use another claim";
                findings.push(settle(NewFinding::new(self.claim_path(claim), message).help(help), [claim]));
                continue;
            }
            for other in &others {
                if !other.nodes().contradicts(claim.nodes(), &self.effort)? {
                    continue;
                }
                let message =
                    format!("no node can run {}: it uses {other} and {claim}, which share none", self.who);
                let finding = NewFinding::new(self.claim_path(claim), message)
                    .related(self.claim_path(other), format!("the other: {other}"))
                    .help(
                        "use claims whose volumes share a node; a new claim of a WaitForFirstConsumer class gets its \
                         volume beside the other when the pod is scheduled",
                    );
                findings.push(settle(finding, [*other, claim]));
                break;
            }
            if self.claims.len() > 1 && seen.insert(claim.nodes()) {
                others.push(claim);
            }
        }
        Some(())
    }

    /// `nodeName` goes past the scheduler, so that nothing but this looks at the volumes.
    fn node_name(&self, name: &str, node: Option<&NodeFacts>, findings: &mut NewFindings<'_>) -> Option<()> {
        for claim in self.claims.iter().filter(|claim| !claim.nodes().is_contradictory()) {
            let reached = match node {
                Some(node) => claim.nodes().matches(&node.name, &node.labels),
                None => !claim.nodes().contradicts(&presumed(name), &self.effort)?,
            };
            if reached {
                continue;
            }
            let unknown = if node.is_some() { "" } else { " (a node that is not known here)" };
            let message = format!(
                "`nodeName` puts {} on node {name:?}{unknown}, which cannot use {claim}: the volume is never mounted",
                self.who
            );
            let finding = NewFinding::new(self.at.key("nodeName"), message)
                .related(self.claim_path(claim), format!("{claim}"))
                .help(FOLLOW);
            let finding = if node.is_some() { finding } else { finding.at_most(Action::Warn) };
            findings.push(settle(finding, [claim]));
        }
        Some(())
    }

    /// `nodeSelector` and required node affinity that leave out every node of a volume.
    fn own_selectors(&self, findings: &mut NewFindings<'_>) -> Option<()> {
        let possible = |selector: &NodeSelector| !selector.is_contradictory();
        let labels = self.pod.node_selector_term().map(NodeSelector::from).filter(possible);
        let own = self.pod.required_affinity().filter(|own| possible(own));
        for claim in self.claims.iter().filter(|claim| !claim.nodes().is_contradictory()) {
            if let Some(labels) = &labels
                && labels.contradicts(claim.nodes(), &self.effort)?
            {
                let field = self.label_path(labels, claim)?;
                findings.push(self.own_selector(claim, "`nodeSelector`", labels, field));
            }
            if let Some(own) = own
                && own.contradicts(claim.nodes(), &self.effort)?
            {
                let field = self.expression_path(own, claim)?;
                findings.push(self.own_selector(claim, "the required node affinity", own, field));
            }
        }
        Some(())
    }

    /// What no single pair explains.
    fn everything_apart(&self, findings: &mut NewFindings<'_>) -> Option<()> {
        let own = self.own.as_ref()?;
        let apart = match self.claims {
            [claim] => own.contradicts(claim.nodes(), &self.effort)?,
            _ => self.everything(own)?.terms.is_empty(),
        };
        if apart && !own.is_contradictory() {
            findings.push(self.together(format!("no node can run {}", self.who), own));
        }
        Some(())
    }

    fn own_selector(
        &self,
        claim: &TiedClaim<'_, '_>,
        what: &str,
        selector: &NodeSelector,
        field: FieldPath,
    ) -> NewFinding {
        let message =
            format!("no node can run {}: {what} wants {}, but it uses {claim}", self.who, Brief(selector));
        let finding =
            NewFinding::new(field, message).related(self.claim_path(claim), format!("{claim}")).help(FOLLOW);
        settle(finding, [claim])
    }

    /// The label that contradicts the claim all alone, or else the whole map.
    fn label_path(&self, labels: &NodeSelector, claim: &TiedClaim<'_, '_>) -> Option<FieldPath> {
        let map = self.at.key("nodeSelector");
        let labels = labels.terms.iter().flat_map(|term| &term.match_expressions);
        let culprit = self.culprit(labels, claim)?;
        Some(culprit.map_or_else(|| map.clone(), |(_, label)| map.key(label.key.clone())))
    }

    /// The expression that contradicts the claim all alone where there is but one term, or else the terms.
    fn expression_path(&self, own: &NodeSelector, claim: &TiedClaim<'_, '_>) -> Option<FieldPath> {
        let terms = self.pod.affinity_terms_path();
        let [only] = own.terms.as_slice() else { return Some(terms) };
        let culprit = self.culprit(only.match_expressions.iter(), claim)?;
        Some(
            culprit.map_or_else(|| terms.clone(), |(at, _)| terms.index(0).key("matchExpressions").index(at)),
        )
    }

    /// The first requirement that contradicts the claim all alone, if there is one.
    fn culprit<'r>(
        &self,
        requirements: impl Iterator<Item = &'r NodeRequirement>,
        claim: &TiedClaim<'_, '_>,
    ) -> Option<Option<(usize, &'r NodeRequirement)>> {
        for (at, requirement) in requirements.enumerate() {
            let alone = NodeSelector::from(NodeTerm::from(requirement.clone()));
            if alone.contradicts(claim.nodes(), &self.effort)? {
                return Some(Some((at, requirement)));
            }
        }
        Some(None)
    }

    /// Where the nodes are known: none of them satisfies a volume, or everything at once.
    fn no_node(&self, lookup: &dyn Lookup, findings: &mut NewFindings<'_>) -> Option<()> {
        // An empty cluster is one that is being made.
        if !lookup.any_node(&|_| true) {
            return Some(());
        }
        let effort = Effort::new(MOST_NODES);
        // Once there is no effort left, the first node is the last that is asked.
        let any = |hosts: Option<Vec<&str>>, size: usize, holds: &dyn Fn(&NodeFacts) -> bool| {
            let holds = |node: &NodeFacts| effort.spend(size).is_none() || holds(node);
            let found = match hosts {
                Some(hosts) => lookup.any_node_of_hosts(&hosts, &holds),
                None => lookup.any_node(&holds),
            };
            (effort.left() > 0).then_some(found)
        };
        let before = findings.seen();
        let mut size = 0;
        for claim in self.claims {
            let of_claim = claim.nodes().size();
            size += of_claim;
            if any(claim.nodes().hosts(), of_claim, &|node| claim.nodes().matches(&node.name, &node.labels))?
            {
                continue;
            }
            let message = format!(
                "no node of this cluster satisfies {claim}, so {} would stay Pending: the node is gone, or has lost \
                 the label",
                self.who
            );
            let help = "bring the node or its label back, or restore the data into a new claim";
            let finding = NewFinding::new(self.claim_path(claim), message).help(help);
            findings.push(soften(settle(finding, [claim]), claim.names_nodes()));
        }
        let wanted = self.own.as_ref()?;
        let own = |node: &NodeFacts| wanted.matches(&node.name, &node.labels);
        let all = |node: &NodeFacts| {
            own(node) && self.claims.iter().all(|claim| claim.nodes().matches(&node.name, &node.labels))
        };
        size += wanted.size();
        let hosts = self.claims.iter().find_map(|claim| claim.nodes().hosts());
        // Where the pod's own wishes alone find no node, its volumes are not the reason.
        if findings.seen() == before && any(wanted.hosts(), wanted.size(), &own)? && !any(hosts, size, &all)?
        {
            let finding = self.together(format!("no node of this cluster can run {}", self.who), wanted);
            findings.push(soften(finding, self.claims.iter().any(TiedClaim::names_nodes)));
        }
        Some(())
    }

    /// The finding that no single pair explains.
    fn together(&self, what: String, own: &NodeSelector) -> NewFinding {
        const NAMED: usize = 8;
        let mut claims: Vec<String> = self.claims.iter().take(NAMED).map(ToString::to_string).collect();
        if let Some(more) = self.claims.len().checked_sub(NAMED).filter(|more| *more > 0) {
            claims.push(format!("{more} more"));
        }
        let (field, wishes) = if self.pod.required_affinity().is_some() {
            (self.pod.affinity_terms_path(), format!("; the pod itself wants {}", Brief(own)))
        } else if self.pod.node_selector_term().is_some() {
            (self.at.key("nodeSelector"), format!("; the pod itself wants {}", Brief(own)))
        } else {
            (self.at.key("volumes"), String::new())
        };
        let message =
            format!("{what}: it uses {}{wishes}, and no node satisfies all of that", claims.join(" and "));
        let help =
            "widen `nodeSelector` and the required node affinity, or use claims whose volumes share a node";
        let mut finding = NewFinding::new(field, message).help(help);
        for claim in self.claims.iter().take(NAMED) {
            finding = finding.related(self.claim_path(claim), format!("{claim}"));
        }
        settle(finding, self.claims)
    }

    /// Everything at once; nothing when it takes too much to tell.
    fn everything(&self, own: &NodeSelector) -> Option<NodeSelector> {
        const LIMIT: usize = 256;
        let mut nodes = own.clone();
        for claim in self.claims {
            nodes = nodes.and(claim.nodes(), LIMIT, &self.effort)?;
        }
        Some(nodes)
    }
}

/// How much of selectors is held against nodes for one object: tens of milliseconds, and a few claims in the largest
/// clusters.
const MOST_NODES: usize = 1 << 20;

/// What the pod itself wants of a node, its volumes aside; any node at all where it wants nothing.
fn own_alone<'p>(pod: &'p PodFacts<'_>, effort: &Effort) -> Option<Cow<'p, NodeSelector>> {
    Some(match (pod.required_affinity(), pod.node_selector_term()) {
        (Some(own), Some(labels)) => Cow::Owned(own.each_with(&labels, effort)?),
        (Some(own), None) => Cow::Borrowed(own),
        (None, Some(labels)) => Cow::Owned(labels.into()),
        (None, None) => Cow::Owned(any_node()),
    })
}

/// Every node has a name.
fn any_node() -> NodeSelector {
    let key = NODE_NAME.to_owned();
    let named = NodeRequirement { key, operator: Cow::Borrowed("Exists"), values: Vec::new() };
    NodeTerm { match_expressions: Vec::new(), match_fields: vec![named] }.into()
}

/// What can be supposed of a node of which the name alone is known.
fn presumed(name: &str) -> NodeSelector {
    NodeTerm {
        match_expressions: vec![NodeRequirement::is_in(HOSTNAME, name)],
        match_fields: vec![NodeRequirement::is_in(NODE_NAME, name)],
    }
    .into()
}

/// A claim that is not bound yet may still get another volume.
fn settle<'c>(finding: NewFinding, claims: impl IntoIterator<Item = &'c TiedClaim<'c, 'c>>) -> NewFinding {
    let settled = claims.into_iter().all(|claim| claim.settled);
    soften(finding, settled)
}

fn soften(finding: NewFinding, certain: bool) -> NewFinding {
    if certain { finding } else { finding.at_most(Action::Warn) }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{judge, lines};
    use crate::verdict::Verdict;
    use serde_json::{Value, json};

    fn is_in(key: &str, value: &str) -> Value {
        json!({"key": key, "operator": "In", "values": [value]})
    }

    /// A claim, bound to its volume unless it waits, whose volume needs that label.
    fn claim(name: &str, key: &str, value: &str, bound: bool) -> [Value; 2] {
        let spec = if bound {
            json!({"volumeName": format!("pv-{name}")})
        } else {
            json!({"storageClassName": "local"})
        };
        let terms = json!([{"matchExpressions": [is_in(key, value)]}]);
        [
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": "default"}, "spec": spec}),
            json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": format!("pv-{name}")},
                   "spec": {"storageClassName": "local", "nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}}),
        ]
    }

    fn node(name: &str, labels: Value) -> Value {
        let mut labels = labels;
        labels["kubernetes.io/hostname"] = json!(name);
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
    }

    fn on_host(name: &str, node: &str) -> [Value; 2] {
        claim(name, "kubernetes.io/hostname", node, true)
    }

    fn spec(claims: &[&str], more: Value) -> Value {
        let volumes: Vec<Value> = claims
            .iter()
            .map(|name| json!({"name": name, "persistentVolumeClaim": {"claimName": name}}))
            .collect();
        let mut spec = json!({"containers": [], "volumes": volumes});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec
    }

    fn verdict(context: &[Value], claims: &[&str], more: Value) -> Verdict {
        let pod =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec(claims, more)});
        judge(json!([{"volumeReachable": {}}]), context, &pod)
    }

    /// `action field` of every finding.
    fn places(verdict: &Verdict) -> Vec<String> {
        verdict.findings.iter().map(|f| format!("{} {}", f.action, f.field)).collect()
    }

    fn affinity(terms: Value) -> Value {
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}})
    }

    #[test]
    fn two_claims_on_different_nodes() {
        let context = [on_host("a", "n1"), on_host("b", "n2"), on_host("c", "n1")].concat();
        let found = verdict(&context, &["a", "b", "c"], json!({}));
        assert_eq!(
            lines(&found),
            [
                r#"Deny spec.volumes[1].persistentVolumeClaim.claimName: no node can run this pod: it uses claim "a" on volume "pv-a" (kubernetes.io/hostname=n1) and claim "b" on volume "pv-b" (kubernetes.io/hostname=n2), which share none"#,
                r#"Deny spec.volumes[2].persistentVolumeClaim.claimName: no node can run this pod: it uses claim "b" on volume "pv-b" (kubernetes.io/hostname=n2) and claim "c" on volume "pv-c" (kubernetes.io/hostname=n1), which share none"#,
            ]
        );
        let (related, note) = &found.findings[0].related[0];
        assert_eq!(related.to_string(), "spec.volumes[0].persistentVolumeClaim.claimName");
        assert!(note.contains("pv-a"));
        assert_eq!(verdict(&context, &["a", "c"], json!({})).findings, []);
    }

    #[test]
    fn hundreds_of_claims_are_each_told_once_and_a_hundred_of_them() {
        let names: Vec<String> = (0..300).map(|n| format!("c{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let context: Vec<Value> = names.iter().flat_map(|name| on_host(name, &format!("n-{name}"))).collect();
        let found = verdict(&context, &names, json!({}));
        assert_eq!(found.findings.len(), 101);
        assert!(
            found.findings.iter().take(100).all(|finding| finding.message.contains("it uses claim \"c0\""))
        );
        assert!(
            found.findings[100].message.starts_with("199 more findings"),
            "{}",
            found.findings[100].message
        );
    }

    #[test]
    fn says_so_where_the_selectors_are_too_much() {
        let terms = |key: &str, value: &str, count: usize| {
            let term = |n: usize| json!({"matchExpressions": [is_in(key, &format!("{value}{n}")), is_in("os", "linux")]});
            json!((0..count).map(term).collect::<Vec<_>>())
        };
        let mut context = on_host("a", "n1");
        let own = |count| affinity(terms("rack", "x", count));
        context[1]["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"] = terms("row", "y", 300);
        assert_eq!(
            verdict(&context, &["a"], own(300)).findings,
            [],
            "one pair is enough to tell that they fit"
        );
        context[1]["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"] = terms("rack", "y", 300);
        let found = verdict(&context, &["a"], own(300));
        assert_eq!(places(&found).len(), 1);
        assert!(places(&found)[0].starts_with("Warn spec.affinity"), "{:?}", places(&found));
        assert!(
            found.findings[0].message.contains("is not judged to the end"),
            "{}",
            found.findings[0].message
        );
        // No label can be both, and so few are held against each other.
        assert!(places(&verdict(&context, &["a"], own(3)))[0].starts_with("Deny spec.affinity"));
    }

    #[test]
    fn node_name_is_held_to_the_nodes_labels() {
        // The label of node n2 is not its name.
        let mut nodes = [node("n1", json!({})), node("n2", json!({}))];
        nodes[1]["metadata"]["labels"]["kubernetes.io/hostname"] = json!("host-2");
        let context = [&on_host("a", "host-2")[..], &nodes].concat();
        assert_eq!(verdict(&context, &["a"], json!({"nodeName": "n2"})).findings, []);
        let found = verdict(&context, &["a"], json!({"nodeName": "n1"}));
        assert_eq!(places(&found), ["Deny spec.nodeName"]);
        assert!(found.findings[0].message.contains(r#"claim "a" on volume "pv-a""#), "{:?}", found.findings);
        let found = verdict(&context, &["a"], json!({"nodeName": "n3"}));
        assert_eq!(places(&found), ["Warn spec.nodeName"], "only its name is known");
        assert_eq!(verdict(&context, &["a"], json!({"nodeName": "host-2"})).findings, []);
    }

    #[test]
    fn own_selectors_that_leave_out_the_volume() {
        let context = on_host("a", "n1");
        let found = verdict(
            &context,
            &["a"],
            json!({"nodeSelector": {"disk": "ssd", "kubernetes.io/hostname": "n2"}}),
        );
        assert_eq!(places(&found), [r#"Deny spec.nodeSelector["kubernetes.io/hostname"]"#]);
        let terms =
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
        let one =
            json!([{"matchExpressions": [is_in("disk", "ssd"), is_in("kubernetes.io/hostname", "n2")]}]);
        let found = verdict(&context, &["a"], affinity(one));
        assert_eq!(places(&found), [format!("Deny {terms}[0].matchExpressions[1]")]);
        let two = json!([{"matchExpressions": [is_in("kubernetes.io/hostname", "n2")]},
                         {"matchExpressions": [is_in("kubernetes.io/hostname", "n3")]}]);
        assert_eq!(places(&verdict(&context, &["a"], affinity(two))), [format!("Deny {terms}")]);
        let or = json!([{"matchExpressions": [is_in("kubernetes.io/hostname", "n2")]},
                        {"matchExpressions": [is_in("disk", "ssd")]}]);
        assert_eq!(verdict(&context, &["a"], affinity(or)).findings, []);
    }

    #[test]
    fn what_only_all_together_contradict() {
        let terms = |node: &str, zone: &str| json!({"matchExpressions": [is_in("kubernetes.io/hostname", node), is_in("zone", zone)]});
        let mut context = on_host("a", "n1");
        context[1]["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"] =
            json!([terms("n1", "x"), terms("n2", "y")]);
        let mut more = affinity(json!([{"matchExpressions": [is_in("kubernetes.io/hostname", "n1")]}]));
        more["nodeSelector"] = json!({"zone": "y"});
        let found = verdict(&context, &["a"], more);
        assert_eq!(found.findings.len(), 1);
        assert!(found.findings[0].message.contains("no node satisfies all of that"), "{:?}", found.findings);
        // That the pod contradicts itself is not the volumes' doing.
        let mut more = affinity(json!([{"matchExpressions": [is_in("disk", "ssd")]}]));
        more["nodeSelector"] = json!({"disk": "hdd"});
        assert_eq!(verdict(&context, &["a"], more).findings, []);
    }

    #[test]
    fn the_nodes_that_there_are() {
        let gone = [&on_host("a", "gone")[..], &[node("n1", json!({}))]].concat();
        let found = verdict(&gone, &["a"], json!({}));
        assert_eq!(places(&found), ["Deny spec.volumes[0].persistentVolumeClaim.claimName"]);
        assert!(
            found.findings[0].message.contains("no node of this cluster satisfies"),
            "{:?}",
            found.findings
        );
        let zone = [&claim("z", "zone", "x", true)[..], &[node("n1", json!({"zone": "y"}))]].concat();
        let found = verdict(&zone, &["z"], json!({}));
        assert_eq!(
            places(&found),
            ["Warn spec.volumes[0].persistentVolumeClaim.claimName"],
            "a node may come"
        );
        let nodes = [node("n1", json!({"disk": "hdd"})), node("n2", json!({"disk": "ssd"}))];
        let here = [&on_host("a", "n1")[..], &nodes].concat();
        assert_eq!(verdict(&here, &["a"], json!({"nodeSelector": {"disk": "hdd"}})).findings, []);
        assert_eq!(
            places(&verdict(&here, &["a"], json!({"nodeSelector": {"disk": "ssd"}}))),
            ["Deny spec.nodeSelector"]
        );
        assert_eq!(
            verdict(&here, &["a"], json!({"nodeSelector": {"disk": "tape"}})).findings,
            [],
            "not the volume's doing"
        );
    }

    #[test]
    fn a_claim_that_waits_is_a_warning() {
        let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "local"},
                           "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"});
        let context = [&claim("w", "kubernetes.io/hostname", "n1", false)[..], &[class]].concat();
        let found = verdict(&context, &["w"], json!({"nodeSelector": {"kubernetes.io/hostname": "n2"}}));
        assert_eq!(places(&found), [r#"Warn spec.nodeSelector["kubernetes.io/hostname"]"#]);
    }

    #[test]
    fn a_volume_that_allows_no_node() {
        let mut context = on_host("a", "n1");
        let expressions =
            &mut context[1]["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"];
        expressions.as_array_mut().unwrap().push(is_in("kubernetes.io/hostname", "n2"));
        let found = verdict(&context, &["a"], json!({"nodeName": "n1"}));
        assert_eq!(places(&found), ["Deny spec.volumes[0].persistentVolumeClaim.claimName"]);
    }

    #[test]
    fn workloads_are_judged_at_their_template() {
        let context = [on_host("a", "n1"), on_host("b", "n2")].concat();
        let mut set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s"},
                             "spec": {"template": {"spec": spec(&["a", "b"], json!({}))}}});
        let judged = |set: &Value| judge(json!([{"volumeReachable": {}}]), &context, set);
        assert_eq!(
            places(&judged(&set)),
            ["Deny spec.template.spec.volumes[1].persistentVolumeClaim.claimName"]
        );
        assert!(judged(&set).findings[0].message.starts_with("no node can run its pods"));
        set["spec"]["volumeClaimTemplates"] = json!([{"metadata": {"name": "b"}, "spec": {}}]);
        assert_eq!(judged(&set).findings, [], "the template's claim takes the pod volume's place");
    }
}
