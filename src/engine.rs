//! Runs the rules: facts, policies and a lookup in; a verdict out. Pure.

use crate::catalog::Catalog;
use crate::facts::{Facts, FactsFault, StorageMap, Subject, TiedClaim, Workload, WorkloadKind, tied_claims};
use crate::json::{Items, Node};
use crate::lookup::Lookup;
use crate::model::{FieldPath, Operation};
use crate::patch::PatchBuilder;
use crate::policy::{PolicySet, Subjects};
use crate::rules::Draft;
use crate::verdict::{Action, Finding, Verdict};
use jiff::civil::Date;
use json_patch::Patch;
use std::cell::OnceCell;
use std::collections::HashMap;

/// What is judged: one object and what is being done to it.
#[derive(Debug, Clone, Copy)]
pub struct Review<'a> {
    /// What is being done.
    pub operation: Operation,
    /// The object as it would become.
    pub object: Node<'a>,
    /// The object as it is, for an update.
    pub old: Option<Node<'a>>,
    /// The request's namespace.
    pub namespace: Option<&'a str>,
    /// The subresource, such as `ephemeralcontainers`.
    pub subresource: Option<&'a str>,
    /// Who asks, as the API server has found out; none in `check`.
    pub user: Option<&'a str>,
    /// The whole request as JSON, for CEL; none in `check`.
    pub request: Option<&'a serde_json::Value>,
}

impl<'a> Review<'a> {
    /// A new object, as `check` sees every manifest.
    pub fn create(object: impl Into<Node<'a>>) -> Self {
        Self {
            operation: Operation::Create,
            object: object.into(),
            old: None,
            namespace: None,
            subresource: None,
            user: None,
            request: None,
        }
    }
}

/// What the rules are told.
pub struct Context<'a> {
    /// The review.
    pub review: &'a Review<'a>,
    /// The object's facts.
    pub facts: &'a Facts<'a>,
    /// What selectors see of it.
    pub subjects: &'a Subjects<'a>,
    /// Other objects.
    pub lookup: &'a dyn Lookup,
    /// The catalog.
    pub catalog: &'a Catalog,
    tied_claims: OnceCell<Vec<TiedClaim<'a, 'a>>>,
}

impl<'a> Context<'a> {
    /// The claims of the workload's pods that only some nodes can use; none when the object is no workload.
    pub fn tied_claims(&self) -> &[TiedClaim<'a, 'a>] {
        self.tied_claims.get_or_init(|| match self.facts.workload() {
            Some(workload) => tied_claims(workload, self.facts.namespace(), self.lookup),
            None => Vec::new(),
        })
    }

    /// The workload and what its paths lie on, when the object is one.
    pub fn storage(&self) -> Option<(&'a Workload<'a>, StorageMap<'a, 'a>)> {
        let workload = self.facts.workload()?;
        Some((workload, StorageMap::new(workload, self.facts.namespace(), self.lookup)))
    }
}

/// What a judgement rests on.
#[derive(Clone, Copy)]
pub struct Engine<'a> {
    /// The policies.
    pub policies: &'a PolicySet,
    /// Other objects.
    pub lookup: &'a dyn Lookup,
    /// Today (UTC), for exceptions that end.
    pub today: Date,
}

/// Which part of an object is up for judgement.
enum Scope {
    Nothing,
    Everything,
    /// Findings beneath these fields alone: the rest was judged before and cannot be changed now.
    Beneath(Vec<FieldPath>),
}

impl Engine<'_> {
    /// Mutates, then judges what came out: the verdict that a cluster comes to by way of both webhooks.
    ///
    /// # Errors
    /// The field that has a wrong type.
    pub fn judge(&self, review: &Review<'_>) -> Result<Verdict, FactsFault> {
        if !writes(review) {
            return Ok(Verdict::default());
        }
        let facts = Facts::read(review.object, review.namespace)?;
        let patch = self.changes(review, &facts);
        let findings = if patch.is_empty() {
            self.findings(review, &facts)
        } else {
            let changed = Review { object: patch.current(), ..*review };
            // Reading all of it again would cost as much as judging it, and mostly a pod was pinned and no more.
            let affinity = facts.workload().map(|workload| workload.pod.affinity_path());
            let facts = if affinity.is_some_and(|affinity| patch.is_within(&affinity)) {
                facts.with_affinity_of(changed.object)?
            } else {
                Facts::read(changed.object, review.namespace)?
            };
            self.findings(&changed, &facts)
        };
        Ok(Verdict { findings, patch: patch.finish() })
    }

    /// What the mutating rules change.
    ///
    /// # Errors
    /// The field that has a wrong type.
    pub fn mutate(&self, review: &Review<'_>) -> Result<Patch, FactsFault> {
        if !writes(review) {
            return Ok(Patch::default());
        }
        let facts = Facts::read(review.object, review.namespace)?;
        Ok(self.changes(review, &facts).finish())
    }

    /// The object as the mutating rules change it, when there is any change.
    ///
    /// # Errors
    /// The field that has a wrong type.
    pub fn mutated(&self, review: &Review<'_>) -> Result<Option<serde_json::Value>, FactsFault> {
        if !writes(review) {
            return Ok(None);
        }
        let facts = Facts::read(review.object, review.namespace)?;
        let patch = self.changes(review, &facts);
        Ok((!patch.is_empty()).then(|| patch.current().to_value()))
    }

    /// What the checking rules find in the object as it stands.
    ///
    /// # Errors
    /// The field that has a wrong type.
    pub fn validate(&self, review: &Review<'_>) -> Result<Vec<Finding>, FactsFault> {
        if !writes(review) {
            return Ok(Vec::new());
        }
        let facts = Facts::read(review.object, review.namespace)?;
        Ok(self.findings(review, &facts))
    }

    fn changes<'r>(&self, review: &Review<'r>, facts: &Facts<'_>) -> PatchBuilder<'r> {
        let mut patch = PatchBuilder::new(review.object);
        // A pod's storage and affinity cannot change any more, only its images.
        let fixed = review.operation == Operation::Update && is_pod(facts);
        if fixed || self.leaves_alone(review, facts) {
            return patch;
        }
        let subjects = Subjects::new(facts, self.lookup, review.user);
        let context = self.context(review, facts, &subjects);
        for policy in self.policies.policies().iter().filter(|policy| policy.is_about(&subjects)) {
            for rule in &policy.rules {
                if rule.action != Action::Audit && policy.excuse(&subjects, rule.id, self.today).is_none() {
                    rule.rule.mutate(&context, &mut patch);
                }
            }
        }
        patch
    }

    fn findings(&self, review: &Review<'_>, facts: &Facts<'_>) -> Vec<Finding> {
        let scope = scope(review, facts);
        if matches!(scope, Scope::Nothing) || self.leaves_alone(review, facts) {
            return Vec::new();
        }
        let subjects = Subjects::new(facts, self.lookup, review.user);
        let context = self.context(review, facts, &subjects);
        let mut findings = Findings::default();
        let mut drafts: Vec<Draft> = Vec::new();
        for policy in self.policies.policies().iter().filter(|policy| policy.is_about(&subjects)) {
            for rule in &policy.rules {
                rule.rule.check(&context, &mut drafts);
                for draft in drafts.drain(..).filter(|draft| scope.admits(draft)) {
                    let action = draft.at_most.map_or(rule.action, |most| rule.action.min(most));
                    let excused = policy.excuse(&subjects, rule.id, self.today);
                    let draft = match excused {
                        None => draft.and_help(policy.refused_excuse(&subjects, rule.id, self.today)),
                        Some(_) => draft,
                    };
                    findings.add(draft.into_finding(rule.id, action, &policy.name, excused));
                }
            }
        }
        let mut findings = findings.all;
        findings.sort_by(|a, b| {
            let key = |f: &Finding| (f.excused.is_some(), std::cmp::Reverse(f.action));
            key(a).cmp(&key(b)).then_with(|| a.field.cmp(&b.field)).then_with(|| a.rule.cmp(b.rule))
        });
        findings
    }

    /// Objects that no policy is about, whatever it says.
    fn leaves_alone(&self, review: &Review<'_>, facts: &Facts<'_>) -> bool {
        // Refusing the deletion's finalizer updates would only keep the object for ever; a mirror pod runs anyway.
        // A new object cannot be on its way out: the API server takes the field off, whoever writes it.
        (facts.meta.deleting && review.operation == Operation::Update)
            || (is_pod(facts) && facts.meta.annotation("kubernetes.io/config.mirror").is_some())
            || self.policies.excludes(facts.id.namespace.as_deref())
    }

    fn context<'c>(
        &'c self,
        review: &'c Review<'c>,
        facts: &'c Facts<'c>,
        subjects: &'c Subjects<'c>,
    ) -> Context<'c> {
        Context {
            review,
            facts,
            subjects,
            lookup: self.lookup,
            catalog: self.policies.catalog(),
            tied_claims: OnceCell::new(),
        }
    }
}

/// The findings of several policies, each once.
#[derive(Default)]
struct Findings {
    all: Vec<Finding>,
    /// Where in `all` those of one rule at one field are.
    places: HashMap<(&'static str, FieldPath), Vec<usize>>,
}

impl Findings {
    /// Adds a finding unless another policy found the same; of two, the one that stands and is stricter is kept.
    fn add(&mut self, finding: Finding) {
        let places = self.places.entry((finding.rule, finding.field.clone())).or_default();
        let is_same = |place: &&usize| self.all.get(**place).is_some_and(|it| it.message == finding.message);
        match places.iter().find(is_same).and_then(|place| self.all.get_mut(*place)) {
            Some(other) => {
                let weight = |f: &Finding| (f.excused.is_none(), f.action);
                if weight(&finding) > weight(other) {
                    *other = finding;
                }
            }
            None => {
                places.push(self.all.len());
                self.all.push(finding);
            }
        }
    }
}

/// Whether an object is made or changed: only then is there something to judge.
fn writes(review: &Review<'_>) -> bool {
    matches!(review.operation, Operation::Create | Operation::Update)
}

fn is_pod(facts: &Facts<'_>) -> bool {
    facts.workload().is_some_and(|workload| workload.kind == WorkloadKind::Pod)
}

fn scope(review: &Review<'_>, facts: &Facts<'_>) -> Scope {
    let Some(old) = review.old.filter(|_| review.operation == Operation::Update) else {
        return Scope::Everything;
    };
    let spec = FieldPath::root().key("spec");
    match &facts.subject {
        Subject::Workload(workload) if workload.kind == WorkloadKind::Pod => match review.subresource {
            Some("ephemeralcontainers") => Scope::Beneath(vec![spec.key("ephemeralContainers")]),
            // Of what is there already, only an image can become another.
            _ => Scope::Beneath(changed_images(old, review.object)),
        },
        // An unbound claim without a class can still be given one, by anybody.
        Subject::Claim(_) if class(old).is_none() && class(review.object).is_some() => Scope::Everything,
        // Else only its size can be changed by a person; the rest is the binding's own doing.
        Subject::Claim(_) if request(old) == request(review.object) => Scope::Nothing,
        Subject::Claim(_) => Scope::Beneath(vec![spec.key("resources")]),
        // What backs them cannot be changed.
        Subject::Volume(_) | Subject::Class(_) => Scope::Nothing,
        _ if essence(old) == essence(review.object) => Scope::Nothing,
        _ => Scope::Everything,
    }
}

/// The containers of a pod that get another image.
fn changed_images(old: Node<'_>, new: Node<'_>) -> Vec<FieldPath> {
    fn containers<'a>(pod: Node<'a>, list: &str) -> Items<'a> {
        pod.get("spec").and_then(|spec| spec.get(list)).unwrap_or(Node::NULL).items()
    }
    let mut changed = Vec::new();
    for list in ["initContainers", "containers"] {
        let mut before = containers(old, list);
        for (index, container) in containers(new, list).enumerate() {
            if before.next().and_then(|before| before.get("image")) != container.get("image") {
                changed.push(FieldPath::root().key("spec").key(list).index(index));
            }
        }
    }
    changed
}

fn request(claim: Node<'_>) -> Option<Node<'_>> {
    claim.get("spec")?.get("resources")?.get("requests")?.get("storage")
}

fn class(claim: Node<'_>) -> Option<Node<'_>> {
    claim.get("spec")?.get("storageClassName").filter(|class| !class.is_null())
}

/// The fields of an object that a person writes to say what it is.
fn essence(object: Node<'_>) -> (Option<Node<'_>>, Option<Node<'_>>) {
    (object.get("spec"), object.get("template"))
}

impl Scope {
    /// Whether the finding, or a field that explains it, is up for judgement: an old pod volume becomes a fault by the
    /// new container that mounts it.
    fn admits(&self, draft: &Draft) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Beneath(outer) => {
                let related = draft.related.iter().map(|(field, _)| field);
                related
                    .chain([&draft.field])
                    .any(|field| outer.iter().any(|outer| field.segments().starts_with(outer.segments())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookup::MapLookup;
    use crate::policy::load;
    use serde_json::{Value, json};

    fn policies() -> PolicySet {
        let policy = json!({
            "apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy", "metadata": {"name": "p"},
            "spec": {"rules": [{"durableData": {}}, {"claimSize": {"max": "10Gi"}}, {"claimClass": {"deny": ["bad"]}}]}
        });
        PolicySet::build(vec![load(&policy).unwrap()]).unwrap()
    }

    /// The fields that earn findings when `old` becomes `new`; with no `old`, when `new` is created.
    fn fields(old: Option<&Value>, new: &Value, subresource: Option<&str>) -> Vec<String> {
        let (policies, lookup) = (policies(), MapLookup::default());
        let engine = Engine { policies: &policies, lookup: &lookup, today: jiff::civil::date(2026, 11, 23) };
        let operation = if old.is_some() { Operation::Update } else { Operation::Create };
        let review = Review { operation, old: old.map(Node::from), subresource, ..Review::create(new) };
        engine.validate(&review).unwrap().iter().map(|finding| finding.field.to_string()).collect()
    }

    fn with(object: &Value, pointer: &str, value: Value) -> Value {
        let mut object = object.clone();
        *object.pointer_mut(pointer).unwrap() = value;
        object
    }

    fn pod() -> Value {
        json!({"apiVersion": "v1", "kind": "Pod",
               "metadata": {"name": "p", "labels": {}, "deletionTimestamp": null, "annotations": {}},
               "spec": {"containers": [{"name": "r", "image": "redis"}], "ephemeralContainers": [],
                        "volumes": [{"name": "e", "emptyDir": {}}]}})
    }

    #[test]
    fn a_pod_is_judged_when_it_is_made_and_by_its_new_debug_containers() {
        let old = pod();
        assert_eq!(fields(None, &old, None), ["spec.containers[0].image"]);
        assert!(fields(Some(&old), &with(&old, "/metadata/labels", json!({"a": "b"})), None).is_empty());
        let mount = json!([{"name": "e", "mountPath": "/data"}]);
        let debug = |image: &str| {
            with(
                &old,
                "/spec/ephemeralContainers",
                json!([{"name": "d", "image": image, "volumeMounts": mount}]),
            )
        };
        assert!(fields(Some(&old), &debug("busybox"), Some("ephemeralcontainers")).is_empty());
        let found = fields(Some(&old), &debug("redis"), Some("ephemeralcontainers"));
        assert_eq!(found, ["spec.volumes[0].emptyDir"], "the old container is not judged again");
        let resized = with(
            &old,
            "/spec/containers/0",
            json!({"name": "r", "image": "redis", "resources": {"limits": {"memory": "1Mi"}}}),
        );
        assert!(fields(Some(&old), &resized, Some("resize")).is_empty(), "no storage changes by it");
        let harmless = with(&old, "/spec/containers/0/image", json!("busybox"));
        assert!(fields(Some(&old), &harmless, None).is_empty());
        assert_eq!(fields(Some(&harmless), &old, None), ["spec.containers[0].image"], "another image");
    }

    #[test]
    fn an_object_on_its_way_out_is_left_alone() {
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "d", "deletionTimestamp": "2026-11-23T00:00:00Z"},
            "spec": {"template": {"spec": {"containers": [{"name": "r", "image": "redis"}]}}}});
        let old = with(&deployment, "/spec/template/spec/containers", json!([]));
        assert!(fields(Some(&old), &deployment, None).is_empty());
        assert_eq!(fields(None, &deployment, None).len(), 1, "a new object cannot be");
    }

    #[test]
    fn a_mirror_pod_and_an_excluded_namespace_are_left_alone() {
        let mirror = with(&pod(), "/metadata/annotations", json!({"kubernetes.io/config.mirror": "x"}));
        assert!(fields(None, &mirror, None).is_empty());
        let mut deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "d", "annotations": {"kubernetes.io/config.mirror": "x"}}});
        deployment["spec"]["template"]["spec"] = pod()["spec"].clone();
        assert_eq!(fields(None, &deployment, None).len(), 1, "only pods are mirrors");
        let mut system = pod();
        system["metadata"]["namespace"] = json!("kube-system");
        assert!(fields(None, &system, None).is_empty());
    }

    #[test]
    fn a_claim_is_judged_again_by_its_size_alone() {
        let claim = |class: &str, size: &str| {
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"},
                   "spec": {"storageClassName": class, "resources": {"requests": {"storage": size}}}})
        };
        let old = claim("bad", "1Gi");
        assert_eq!(fields(None, &old, None), ["spec.storageClassName"]);
        assert!(fields(Some(&old), &claim("bad", "2Gi"), None).is_empty(), "the class was judged before");
        assert_eq!(fields(Some(&old), &claim("bad", "20Gi"), None), ["spec.resources.requests.storage"]);
        let mut unset = old.clone();
        unset["spec"].as_object_mut().unwrap().remove("storageClassName");
        assert_eq!(
            fields(Some(&unset), &old, None),
            ["spec.storageClassName"],
            "a class that was given later"
        );
        let mut bound = old.clone();
        bound["spec"]["volumeName"] = json!("v");
        assert!(fields(Some(&old), &bound, None).is_empty(), "binding is no change of a person's");
    }

    #[test]
    fn a_workload_is_judged_when_its_spec_changes() {
        let old = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "labels": {}},
            "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "r", "image": "redis"}]}}}});
        assert!(fields(Some(&old), &with(&old, "/metadata/labels", json!({"a": "b"})), None).is_empty());
        assert_eq!(fields(Some(&old), &with(&old, "/spec/replicas", json!(2)), None).len(), 1);
    }

    #[test]
    fn a_deletion_is_never_judged() {
        let (policies, lookup, pod) = (policies(), MapLookup::default(), pod());
        let engine = Engine { policies: &policies, lookup: &lookup, today: jiff::civil::date(2026, 11, 23) };
        let review = Review { operation: Operation::Delete, ..Review::create(&pod) };
        assert_eq!(engine.judge(&review).unwrap(), Verdict::default());
    }
}
