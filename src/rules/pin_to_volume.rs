use crate::facts::{PodFacts, Workload, WorkloadKind};
use crate::json::Node;
use crate::model::{Effort, FieldPath, NodeSelector, NodeTerm, Operation};
use crate::patch::PatchBuilder;
use crate::rule::{Concern, Context, NewFinding, NewFindings, PolicyFault, Reads, Rule, RuleKind};
use crate::storage::{MOST_CANDIDATES, TiedClaim};
use crate::verdict::Action;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::sync::Arc;

/// Adds the node affinity of its volumes to a new pod.
///
/// # Why it matters
/// A local volume ties its pods to its node, but nothing in the pod says so: autoscalers, deschedulers, people and every
/// scheduler that does not look at volumes read the pod alone.
///
/// # What it checks
/// This rule adds the node affinity of the pod's volumes to `requiredDuringSchedulingIgnoredDuringExecution`, when the
/// pod is created. A claim that names its volume brings that volume's affinity, and so does a claim that a volume names
/// in its `claimRef`, whatever the volume's class and phase. The pod's own terms stay in force: each is combined with
/// each of the volumes', and combinations that no node can satisfy are left out.
///
/// A claim that waits for a volume of a static class (`kubernetes.io/no-provisioner`) can get another volume than the ones
/// that are free today. The nodes of all free volumes that would do, by its `selector` as well, become one term of
/// `preferredDuringSchedulingIgnoredDuringExecution` with the weight 50, where one term can name them. For a claim of any
/// other class nothing is written.
///
/// # Example
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
/// # What it does not check
/// It does not touch workloads (their claims may move while the template stays), pods with `spec.nodeName`, and pods
/// that already say as much. It says nothing for volumes without affinity, generic ephemeral volumes and claims that
/// are not known. Where pod and volumes contradict each other it changes nothing: `volume-reachable` refuses such a
/// pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Params {
    /// The largest number of `nodeSelectorTerms` that a pod may end up with. A pod that would need more stays as it is
    /// and gets a warning; the scheduler keeps to its volumes all the same.
    #[serde(default = "max_terms")]
    #[schemars(range(min = 1, max = 1024))]
    pub max_terms: usize,
}

fn max_terms() -> usize {
    64
}

impl RuleKind for Params {
    const ID: &'static str = "pin-to-volume";
    const FIELD: &'static str = "pinToVolume";
    const READS_BEYOND: Option<&'static str> = Some("it reads where the pod's volumes are");

    fn compile(&self, _at: &FieldPath, _faults: &mut Vec<PolicyFault>) -> Arc<dyn Rule> {
        Arc::new(PinToVolume(self.clone()))
    }
}

#[derive(Debug)]
struct PinToVolume(Params);

impl Rule for PinToVolume {
    fn reads(&self) -> &'static [Reads] {
        &[Reads::Pods]
    }

    fn finds(&self) -> Concern {
        Concern::volumes(["persistentVolumeClaim"])
    }

    fn changes(&self) -> Concern {
        self.finds()
    }

    fn mutate(&self, context: &Context<'_>, patch: &mut PatchBuilder<'_>) {
        let Some(workload) = new_pod(context) else { return };
        let (decided, free) = decided(&context.tied_claims().claims);
        self.require(&workload.pod, &decided, patch);
        self.prefer(&workload.pod, &free, patch);
    }

    fn check(&self, context: &Context<'_>, findings: &mut NewFindings<'_>) {
        let Some(workload) = new_pod(context) else { return };
        let tied = context.tied_claims();
        let (pod, limit) = (&workload.pod, self.0.max_terms);
        if let Some(volume) = tied.passed_over {
            let message = format!(
                "the pod is not pinned to the volume of this claim: more than {MOST_CANDIDATES} free volumes of its \
                 class would do, or its claims have too many to look at"
            );
            let field = volume.source_path(&pod.path()).key("claimName");
            let help = "nothing is to be done; the scheduler keeps to the volume once the claim has one";
            findings.push(NewFinding::new(field, message).help(help).at_most(Action::Audit));
        }
        let (claims, _) = decided(&tied.claims);
        if is_little(pod, &claims, limit) {
            return;
        }
        let (Err(why), Some(first)) = (pinned(pod, &claims, limit), claims.first()) else { return };
        let claim = first.pod_volume.source_path(&pod.path());
        let field = if pod.required_affinity().is_some() { pod.affinity_terms_path() } else { claim.clone() };
        let why = match why {
            TooMuch::Terms => format!("it would need more than {limit} node selector terms"),
            TooMuch::Size => {
                format!("it would need more than {} requirements and values", most_written(limit))
            }
            TooMuch::Effort => {
                "its node selectors have too many terms, requirements and values to be combined".to_owned()
            }
        };
        let message = format!(
            "the pod is not pinned to its volumes: together with {first} {why}, so nothing in the pod says where it can \
             run; the scheduler keeps to the volumes all the same"
        );
        let finding = NewFinding::new(field, message)
            .related(claim, "the first of its claims that not every node can use")
            .help("write fewer `nodeSelectorTerms` (one with a list of values for several that differ in one label), or raise `maxTerms`")
            .at_most(Action::Warn);
        findings.push(finding);
    }
}

impl PinToVolume {
    /// Writes the nodes of volumes that are certain.
    fn require(&self, pod: &PodFacts<'_>, claims: &[&TiedClaim<'_, '_>], patch: &mut PatchBuilder<'_>) {
        let Ok(Some(nodes)) = pinned(pod, claims, self.0.max_terms) else { return };
        let path = pod.affinity_terms_path();
        // Only terms that were understood whole are written again.
        let understood = match (pod.required_affinity(), patch.get(&path)) {
            (Some(own), Some(written)) => own.is_all_of(written),
            (own, written) => own.is_none() && written.is_none(),
        };
        if understood {
            patch.set(&path, json!(nodes.terms));
        }
    }

    /// Writes the nodes of the volumes that are free today, as a wish.
    fn prefer(&self, pod: &PodFacts<'_>, claims: &[&TiedClaim<'_, '_>], patch: &mut PatchBuilder<'_>) {
        let Some(term) = preferred(pod, claims, self.0.max_terms) else { return };
        let mut path = pod.path();
        for key in ["affinity", "nodeAffinity", "preferredDuringSchedulingIgnoredDuringExecution"] {
            path.push_key(key);
        }
        let preference = json!(term);
        let mut terms = Vec::new();
        if let Some(written) = patch.get(&path) {
            let is_there = |item: Node<'_>| item.get("preference") == Some(Node::from(&preference));
            if !written.is_list() || written.items().len() > MOST_PREFERENCES || written.items().any(is_there)
            {
                return;
            }
            terms.extend(written.items().map(Node::to_value));
        }
        terms.push(json!({"weight": WEIGHT, "preference": preference}));
        patch.set(&path, Value::Array(terms));
    }
}

/// The weight of the one preferred term, of 100.
const WEIGHT: u8 = 50;

/// To a longer list of preferences nothing is added: it would be copied whole.
const MOST_PREFERENCES: usize = 64;

/// The claims whose volume is certain, and those that wait for one that is free.
fn decided<'c, 'w, 'a>(
    claims: &'c [TiedClaim<'w, 'a>],
) -> (Vec<&'c TiedClaim<'w, 'a>>, Vec<&'c TiedClaim<'w, 'a>>) {
    claims.iter().partition(|claim| claim.decided)
}

/// The one term that names the nodes on which each of the claims finds a free volume; none where it takes more, or the
/// pod says as much itself, or no node of the pod's own choice is among them.
fn preferred(pod: &PodFacts<'_>, claims: &[&TiedClaim<'_, '_>], limit: usize) -> Option<NodeTerm> {
    let (first, rest) = claims.split_first()?;
    let effort = Effort::new(Effort::MOST);
    let mut nodes = first.nodes().simplify(limit, &effort)?;
    for claim in rest {
        nodes = nodes.and(claim.nodes(), limit, &effort)?;
    }
    let [term] = nodes.terms.as_slice() else { return None };
    if nodes.size() > most_written(limit) {
        return None;
    }
    let labels = pod.node_selector_term().map(NodeSelector::from);
    for own in pod.required_affinity().into_iter().chain(&labels) {
        if own.implies(&nodes, &effort)? || own.contradicts(&nodes, &effort)? {
            return None;
        }
    }
    Some(term.clone())
}

/// The pod, when it is a new one that is still to be scheduled.
fn new_pod<'c>(context: &Context<'c>) -> Option<&'c Workload<'c>> {
    let workload = context.facts.workload()?;
    let new = context.review.operation == Operation::Create && workload.kind == WorkloadKind::Pod;
    (new && workload.pod.node_name.is_none()).then_some(workload)
}

/// Why a pod cannot be pinned.
#[derive(Debug)]
enum TooMuch {
    /// It would take more terms than the policy allows.
    Terms,
    /// It would take more requirements and values than are written into a pod.
    Size,
    /// It would take too long to tell.
    Effort,
}

/// How many terms, requirements and values may be written into a pod: thousands of small pods may name one volume that
/// has thousands of values.
fn most_written(terms: usize) -> usize {
    terms.saturating_mul(4).max(256)
}

/// Whether it is plain without any work that pinning the pod does not take too much.
fn is_little(pod: &PodFacts<'_>, claims: &[&TiedClaim<'_, '_>], limit: usize) -> bool {
    const LITTLE: usize = 64;
    let own = pod.required_affinity();
    let labels = pod.node_selector.map_or(0, |labels| labels.fields().count());
    let size = own.map_or(0, NodeSelector::size) + labels;
    let mut sizes = claims.iter().map(|claim| claim.nodes().size());
    let terms = claims.iter().map(|claim| claim.nodes().terms.len().max(1));
    let most = terms.fold(own.map_or(1, |own| own.terms.len().max(1)), usize::saturating_mul);
    most <= limit
        && sizes.try_fold(size, |size, more| Some(size + more).filter(|all| *all <= LITTLE)).is_some()
}

/// The selector that pins the pod; nothing when it is pinned already, or no node can satisfy all of it.
fn pinned(
    pod: &PodFacts<'_>,
    claims: &[&TiedClaim<'_, '_>],
    limit: usize,
) -> Result<Option<NodeSelector>, TooMuch> {
    let effort = Effort::new(Effort::MOST);
    let too_much = || if effort.left() == 0 { TooMuch::Effort } else { TooMuch::Terms };
    if claims.is_empty() {
        return Ok(None);
    }
    let own = pod.required_affinity();
    let labels = pod.node_selector_term();
    let says = match (own, &labels) {
        (Some(own), Some(labels)) => Some(Cow::Owned(own.each_with(labels, &effort).ok_or_else(too_much)?)),
        (Some(own), None) => Some(Cow::Borrowed(own)),
        (None, labels) => labels.clone().map(|labels| Cow::Owned(labels.into())),
    };
    let mut nodes = None;
    for claim in claims {
        let known = match &says {
            Some(says) => says.implies(claim.nodes(), &effort).ok_or_else(too_much)?,
            None => false,
        };
        if known {
            continue;
        }
        let all = match (nodes, own) {
            // Told before any work is done: a pod may bring thousands.
            (None, Some(own)) if own.terms.len() > limit => return Err(TooMuch::Terms),
            (None, Some(own)) => own.and(claim.nodes(), limit, &effort),
            (None, None) => claim.nodes().simplify(limit, &effort),
            (Some(nodes), _) => NodeSelector::and(&nodes, claim.nodes(), limit, &effort),
        };
        nodes = Some(all.ok_or_else(too_much)?);
    }
    let Some(nodes) = nodes.filter(|nodes| !nodes.terms.is_empty()) else { return Ok(None) };
    if nodes.size() > most_written(limit) {
        return Err(TooMuch::Size);
    }
    let impossible = match labels {
        Some(labels) => nodes.contradicts(&labels.into(), &effort).ok_or_else(too_much)?,
        None => false,
    };
    Ok((!impossible).then_some(nodes))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{faults, judge, judge_update, lines};
    use serde_json::{Value, json};

    fn rule() -> Value {
        json!([{"pinToVolume": {}}])
    }

    fn is_in(key: &str, values: &[&str]) -> Value {
        json!({"key": key, "operator": "In", "values": values})
    }

    fn host(nodes: &[&str]) -> Value {
        json!({"matchExpressions": [is_in("kubernetes.io/hostname", nodes)]})
    }

    /// A bound claim and its volume with that affinity.
    fn bound(claim: &str, terms: Value) -> [Value; 2] {
        let affinity =
            if terms.is_null() { Value::Null } else { json!({"required": {"nodeSelectorTerms": terms}}) };
        [
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": claim, "namespace": "default"},
                   "spec": {"volumeName": format!("pv-{claim}")}, "status": {"phase": "Bound"}}),
            json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": format!("pv-{claim}")},
                   "spec": {"nodeAffinity": affinity, "claimRef": {"namespace": "default", "name": claim}},
                   "status": {"phase": "Bound"}}),
        ]
    }

    fn pod(claims: &[&str], spec: Value) -> Value {
        let volumes: Vec<Value> = claims
            .iter()
            .map(|name| json!({"name": format!("v-{name}"), "persistentVolumeClaim": {"claimName": name}}))
            .collect();
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
                             "spec": {"containers": [], "volumes": volumes}});
        pod["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        pod
    }

    fn own(terms: Value) -> Value {
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}})
    }

    /// The affinity that wishes for these nodes.
    fn wish(nodes: &[&str]) -> Value {
        json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution":
            [{"weight": 50, "preference": host(nodes)}]}})
    }

    fn patch(context: &[Value], pod: &Value) -> Value {
        let verdict = judge(rule(), context, pod);
        assert_eq!(lines(&verdict), [""; 0]);
        serde_json::to_value(verdict.patch).unwrap()
    }

    const TERMS: &str =
        "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";

    #[test]
    fn writes_the_affinity_of_a_bound_volume() {
        let context = bound("b", json!([host(&["node-b"])]));
        let added = patch(&context, &pod(&["b"], json!({})));
        let wanted = own(json!([host(&["node-b"])]))["affinity"].clone();
        assert_eq!(added, json!([{"op": "add", "path": "/spec/affinity", "value": wanted}]));
        let preferred =
            json!({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}});
        let added = patch(&context, &pod(&["b"], preferred));
        assert_eq!(added[0]["path"], TERMS.rsplit_once('/').unwrap().0, "what is there stays");
    }

    #[test]
    fn combines_with_the_pods_own_terms_and_all_volumes() {
        let zone = |zone: &str| json!({"matchExpressions": [is_in("zone", &[zone])]});
        let context =
            [bound("b", json!([host(&["b", "c"])])), bound("z", json!([zone("x"), zone("y")]))].concat();
        let linux = is_in("os", &["linux"]);
        let terms = json!([{"matchExpressions": [linux]}, {"matchExpressions": [is_in("kubernetes.io/hostname", &["d"])]}]);
        let replaced = patch(&context, &pod(&["b", "z"], own(terms)));
        let b = is_in("kubernetes.io/hostname", &["b", "c"]);
        // The volume's two terms have become one list; the own term for node d fits no volume.
        let wanted = json!([{"matchExpressions": [linux, b, is_in("zone", &["x", "y"])]}]);
        assert_eq!(replaced, json!([{"op": "replace", "path": TERMS, "value": wanted}]));
    }

    #[test]
    fn leaves_alone_what_needs_no_pinning() {
        let context = bound("b", json!([host(&["node-b"])]));
        let unchanged = |pod: Value| assert_eq!(patch(&context, &pod), json!([]), "{pod}");
        unchanged(pod(&["b"], json!({"nodeName": "node-b"})));
        unchanged(pod(&["b"], json!({"nodeSelector": {"kubernetes.io/hostname": "node-b"}})));
        unchanged(pod(&["b"], own(json!([host(&["node-b"])]))));
        unchanged(pod(&["b"], json!({"nodeSelector": {"kubernetes.io/hostname": "node-a"}})));
        unchanged(pod(&["b"], own(json!([host(&["node-a"]), {}]))));
        unchanged(pod(&["unknown"], json!({})));
        // A slip that the API server refuses must not vanish.
        let slip = json!([{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["x", true]}]}]);
        unchanged(pod(&["b"], own(slip)));
        let ephemeral = json!([{"name": "e", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}}]);
        unchanged(pod(&[], json!({"volumes": ephemeral})));
        assert_eq!(
            patch(&bound("n", Value::Null), &pod(&["n"], json!({}))),
            json!([]),
            "any node can use it"
        );
        let set = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
                         "spec": {"template": pod(&["b"], json!({}))}});
        unchanged(set);
        let old = pod(&["b"], json!({}));
        assert_eq!(judge_update(rule(), &context, &old, &old).patch.0, []);
    }

    #[test]
    fn unites_the_free_volumes_of_a_static_class() {
        let volume = |name: &str, node: &str, size: &str, more: Value| {
            let mut spec = json!({"storageClassName": "local", "capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"],
                                  "nodeAffinity": {"required": {"nodeSelectorTerms": [host(&[node])]}}});
            spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec,
                   "status": {"phase": if name == "taken" {"Bound"} else {"Available"}}})
        };
        let mut context = vec![
            json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "local"},
                   "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"}),
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c", "namespace": "default"},
                   "spec": {"storageClassName": "local", "accessModes": ["ReadWriteOnce"],
                            "resources": {"requests": {"storage": "5Gi"}}}}),
            volume("big", "n1", "10Gi", json!({})),
            volume("fits", "n2", "5Gi", json!({})),
            volume("small", "n3", "1Gi", json!({})),
            volume("block", "n4", "5Gi", json!({"volumeMode": "Block"})),
            volume("shared", "n5", "5Gi", json!({"accessModes": ["ReadWriteMany"]})),
            volume("taken", "n6", "5Gi", json!({"claimRef": {"namespace": "default", "name": "x"}})),
            volume("reserved", "n7", "5Gi", json!({"claimRef": {"namespace": "default", "name": "x"}})),
        ];
        let value = |context: &[Value]| patch(context, &pod(&["c"], json!({})))[0]["value"].clone();
        assert_eq!(value(&context), wish(&["n1", "n2"]));
        context.push(volume("own", "n8", "5Gi", json!({"claimRef": {"namespace": "default", "name": "c"}})));
        assert_eq!(value(&context), own(json!([host(&["n8"])]))["affinity"], "reserved for this very claim");
        context.pop();
        context.push(volume("any", "n9", "5Gi", json!({"nodeAffinity": null})));
        assert_eq!(value(&context), Value::Null, "one of them can be used anywhere");
    }

    /// A static class, a claim of it, and free volumes on these nodes.
    fn waiting(nodes: &[&str]) -> Vec<Value> {
        let volume = |node: &&str| {
            json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": format!("on-{node}")},
                   "spec": {"storageClassName": "local", "nodeAffinity": {"required": {"nodeSelectorTerms": [host(&[node])]}}}})
        };
        let mut all = vec![
            json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "local"},
                   "provisioner": "kubernetes.io/no-provisioner"}),
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "w", "namespace": "default"},
                   "spec": {"storageClassName": "local"}}),
        ];
        all.extend(nodes.iter().map(volume));
        all
    }

    #[test]
    fn a_wish_is_added_once_beside_what_is_there() {
        let context = waiting(&["n1", "n2"]);
        let with = |terms: Value| {
            let affinity = json!({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": terms}}});
            patch(&context, &pod(&["w"], affinity))
        };
        let own_wish = json!({"weight": 9, "preference": host(&["n7"])});
        let ours = json!({"weight": 50, "preference": host(&["n1", "n2"])});
        let path = "/spec/affinity/nodeAffinity/preferredDuringSchedulingIgnoredDuringExecution";
        assert_eq!(
            with(json!([own_wish])),
            json!([{"op": "replace", "path": path, "value": [own_wish, ours]}])
        );
        assert_eq!(with(json!([own_wish, ours])), json!([]));
        let same = json!({"weight": 1, "preference": host(&["n1", "n2"])});
        assert_eq!(with(json!([same])), json!([]), "whatever its weight");
        assert_eq!(with(json!(vec![own_wish; 65])), json!([]), "a long list is not copied");
        assert_eq!(with(json!("slip")), json!([]));
    }

    #[test]
    fn nothing_is_wished_for_that_the_pod_says_or_rules_out() {
        let context = waiting(&["n1", "n2"]);
        let unchanged =
            |spec: Value| assert_eq!(patch(&context, &pod(&["w"], spec.clone())), json!([]), "{spec}");
        unchanged(json!({"nodeSelector": {"kubernetes.io/hostname": "n1"}}));
        unchanged(json!({"nodeSelector": {"kubernetes.io/hostname": "n3"}}));
        unchanged(own(json!([host(&["n2"])])));
        unchanged(own(json!([host(&["n3"])])));
        let linux = json!({"nodeSelector": {"kubernetes.io/os": "linux"}});
        assert_eq!(patch(&context, &pod(&["w"], linux))[0]["value"], wish(&["n1", "n2"]));
        // Of a class with a provisioner, any node can get a volume.
        let mut made = context.clone();
        made[0]["provisioner"] = json!("rancher.io/local-path");
        assert_eq!(patch(&made, &pod(&["w"], json!({}))), json!([]));
        // A bound claim is required, a waiting one beside it wished for.
        let both = [bound("b", json!([host(&["n1"])])).to_vec(), context].concat();
        let added = patch(&both, &pod(&["b", "w"], json!({})));
        assert_eq!(added[0]["value"], own(json!([host(&["n1"])]))["affinity"]);
        assert_eq!(added[1]["value"][0]["preference"], host(&["n1", "n2"]), "{added}");
    }

    #[test]
    fn a_reserved_volume_decides_whatever_its_class_and_phase() {
        let reserved = |more: Value, phase: &str| {
            let mut spec = json!({"storageClassName": "other", "claimRef": {"namespace": "default", "name": "w"},
                                  "nodeAffinity": {"required": {"nodeSelectorTerms": [host(&["r"])]}}});
            spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let volume = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "reserved"},
                                "spec": spec, "status": {"phase": phase}});
            let context = [waiting(&["n1"]), vec![volume]].concat();
            patch(&context, &pod(&["w"], json!({})))[0]["value"].clone()
        };
        let on_r = own(json!([host(&["r"])]))["affinity"].clone();
        for phase in ["Available", "Pending", "Bound", "Released"] {
            assert_eq!(reserved(json!({}), phase), on_r, "{phase}");
        }
        let of_uid = json!({"claimRef": {"namespace": "default", "name": "w", "uid": "u"}});
        assert_eq!(reserved(of_uid.clone(), "Bound"), on_r);
        assert_eq!(reserved(of_uid, "Released"), wish(&["n1"]), "an earlier claim of that name had it");
        assert_eq!(reserved(json!({"volumeMode": "Block"}), "Available"), wish(&["n1"]), "it would not do");
    }

    #[test]
    fn a_claim_selects_its_volumes_by_label() {
        let volume = |name: &str, node: &str, labels: Value, more: Value| {
            let mut spec = json!({"storageClassName": "local", "accessModes": ["ReadWriteOnce"],
                                  "nodeAffinity": {"required": {"nodeSelectorTerms": [host(&[node])]}}});
            spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name, "labels": labels},
                   "spec": spec, "status": {"phase": "Available"}})
        };
        let context = |selector: Value, reserved: bool| {
            let own = json!({"claimRef": {"namespace": "default", "name": "c"}});
            vec![
                json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "local"},
                       "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"}),
                json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c", "namespace": "default"},
                       "spec": {"storageClassName": "local", "accessModes": ["ReadWriteOnce"], "selector": selector}}),
                volume("fast", "n1", json!({"disk": "nvme", "rack": "a"}), json!({})),
                volume("slow", "n2", json!({"disk": "hdd"}), json!({})),
                volume("plain", "n3", Value::Null, if reserved { own } else { json!({}) }),
            ]
        };
        let pinned = |selector: Value, reserved: bool| {
            let patch = patch(&context(selector, reserved), &pod(&["c"], json!({})));
            patch[0]["value"].clone()
        };
        let on = wish;
        assert_eq!(pinned(Value::Null, false), on(&["n1", "n2", "n3"]));
        assert_eq!(pinned(json!({}), false), on(&["n1", "n2", "n3"]), "an empty one takes all");
        assert_eq!(pinned(json!({"matchLabels": {"disk": "nvme"}}), false), on(&["n1"]));
        let in_rack =
            json!({"matchLabels": null, "matchExpressions": [{"key": "rack", "operator": "DoesNotExist"}]});
        assert_eq!(pinned(in_rack, false), on(&["n2", "n3"]));
        let other =
            json!({"matchExpressions": [{"key": "disk", "operator": "NotIn", "values": ["nvme", "ssd"]}]});
        assert_eq!(pinned(other, false), on(&["n2", "n3"]));
        assert_eq!(
            pinned(json!({"matchLabels": {"disk": "nvme"}}), true),
            own(json!([host(&["n3"])]))["affinity"],
            "reserved: nobody asks"
        );
        assert_eq!(pinned(json!({"matchLabels": {"disk": "tape"}}), false), Value::Null);
    }

    #[test]
    fn says_so_where_too_much_would_be_looked_at_or_written() {
        let context = |free: usize| {
            let mut all = vec![
                json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "local"},
                       "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"}),
                json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c", "namespace": "default"},
                       "spec": {"storageClassName": "local"}}),
            ];
            all.extend((0..free).map(|n| {
                json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": format!("v{n}")},
                       "spec": {"storageClassName": "local",
                                "nodeAffinity": {"required": {"nodeSelectorTerms": [host(&[&format!("n{n}")])]}}}})
            }));
            all
        };
        assert_eq!(judge(rule(), &context(200), &pod(&["c"], json!({}))).patch.0.len(), 1);
        let verdict = judge(rule(), &context(201), &pod(&["c"], json!({})));
        assert_eq!(verdict.patch.0, []);
        let found = lines(&verdict);
        assert!(
            found[0]
                .starts_with("Audit spec.volumes[0].persistentVolumeClaim.claimName: the pod is not pinned"),
            "{found:?}"
        );
        // One that is reserved for the claim is the one that it gets, however many are free.
        let mut reserved = context(400);
        reserved[7]["spec"]["claimRef"] = json!({"namespace": "default", "name": "c"});
        reserved[7]["status"] = json!({"phase": "Available"});
        assert_eq!(
            patch(&reserved, &pod(&["c"], json!({})))[0]["value"],
            own(json!([host(&["n5"])]))["affinity"]
        );
        // Many values in one requirement.
        let names: Vec<String> = (0..300).map(|n| format!("n{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let verdict = judge(rule(), &bound("b", json!([host(&names)])), &pod(&["b"], json!({})));
        assert_eq!(verdict.patch.0, []);
        let found = lines(&verdict);
        assert!(
            found[0].starts_with("Warn ") && found[0].contains("more than 256 requirements and values"),
            "{found:?}"
        );
        let verdict = judge(rule(), &bound("b", json!([host(&names[..200])])), &pod(&["b"], json!({})));
        assert_eq!((verdict.patch.0.len(), verdict.findings.len()), (1, 0));
    }

    #[test]
    fn warns_instead_of_writing_too_many_terms() {
        let term = |key: &str, n: usize| json!({"matchExpressions": [is_in(key, &[&n.to_string()]), is_in("os", &["linux"])]});
        let terms = |key: &str| json!((0..3).map(|n| term(key, n)).collect::<Vec<_>>());
        let context = bound("b", terms("rack"));
        let rules = |max: usize| json!([{"pinToVolume": {"maxTerms": max}}]);
        let verdict = judge(rules(8), &context, &pod(&["b"], own(terms("row"))));
        assert_eq!(verdict.patch.0, []);
        let lines = lines(&verdict);
        assert_eq!(lines.len(), 1);
        assert!(lines[0].starts_with("Warn spec.affinity.nodeAffinity.required"), "{lines:?}");
        assert!(lines[0].contains("more than 8 node selector terms"), "{lines:?}");
        let verdict = judge(rules(9), &context, &pod(&["b"], own(terms("row"))));
        assert_eq!((verdict.patch.0.len(), verdict.findings.len()), (1, 0));
        let verdict = judge(rules(2), &context, &pod(&["b"], json!({})));
        assert_eq!(verdict.findings[0].field.to_string(), "spec.volumes[0].persistentVolumeClaim");
        assert_eq!(faults(rules(0)).len(), 1);
    }
}
