//! Runs the rules: facts, policies and a lookup in; a verdict out. Pure.

mod scope;

use crate::facts::{Facts, FactsFault, OwnerFacts, Parts, Subject, WorkloadKind};
use crate::lookup::Lookup;
use crate::model::{FieldPath, Operation, is_controller};
use crate::patch::PatchBuilder;
use crate::policy::{CompiledPolicy, CompiledRule, Holds, PolicySet};
use crate::rule::{Context, NewFinding, NewFindings, Review, Scale, Subjects};
use crate::verdict::{Action, Finding, Overlooked, Verdict};
use jiff::civil::Date;
use json_patch::Patch;
use scope::{Scope, request, scope};
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::{DefaultHasher, Entry};
use std::hash::{Hash, Hasher};

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

impl Engine<'_> {
    /// Mutates, then checks what came out: the verdict that a cluster comes to by way of both webhooks.
    ///
    /// # Errors
    /// The field that has a wrong type.
    pub fn mutate_and_check(&self, review: &Review<'_>) -> Result<Verdict, FactsFault> {
        if !writes(review) {
            return Ok(Verdict::default());
        }
        self.mutate_and_check_parts(review, &self.parts(review)?)
    }

    /// The same of an object that is made or changed, whose parts were read before.
    pub(crate) fn mutate_and_check_parts(
        &self,
        review: &Review<'_>,
        parts: &Parts<'_>,
    ) -> Result<Verdict, FactsFault> {
        let overlooked = self.overlooks(review, parts);
        let patch = self.changes(review, &parts.first);
        let (findings, _) = if patch.is_empty() {
            self.all_findings(review, parts)
        } else {
            let changed = Review { object: patch.current(), ..*review };
            let parts = self.parts(&changed)?;
            self.all_findings(&changed, &parts)
        };
        Ok(Verdict { findings, patch: patch.finish(), overlooked, ..Verdict::default() })
    }

    /// What the mutating rules change.
    ///
    /// # Errors
    /// The field that has a wrong type.
    pub fn mutate(&self, review: &Review<'_>) -> Result<Patch, FactsFault> {
        Ok(self.mutation(review)?.finish())
    }

    /// The object as the mutating rules leave it; none where they change nothing.
    ///
    /// # Errors
    /// The field that has a wrong type.
    pub fn mutated_object(&self, review: &Review<'_>) -> Result<Option<serde_json::Value>, FactsFault> {
        let patch = self.mutation(review)?;
        Ok((!patch.is_empty()).then(|| patch.current().to_value()))
    }

    fn mutation<'r>(&self, review: &Review<'r>) -> Result<PatchBuilder<'r>, FactsFault> {
        if !writes(review) {
            return Ok(PatchBuilder::new(review.object));
        }
        let facts = Facts::read(review.object, review.namespace)?;
        Ok(self.changes(review, &facts))
    }

    /// What the checking rules find in the object as it stands, and which policies are about it.
    ///
    /// # Errors
    /// The field that has a wrong type.
    pub fn check(&self, review: &Review<'_>) -> Result<Verdict, FactsFault> {
        if !writes(review) {
            return Ok(Verdict::default());
        }
        let parts = self.parts(review)?;
        let (findings, about) = self.all_findings(review, &parts);
        let mut verdict = Verdict { findings, about, ..Verdict::default() };
        if review.operation == Operation::Create && verdict.denied() {
            verdict.made_for = self.subjects(review, &parts.first).made_for().map(Box::new);
        }
        Ok(verdict)
    }

    /// The object, and the pod templates of a custom resource.
    fn parts<'r>(&'r self, review: &Review<'r>) -> Result<Parts<'r>, FactsFault> {
        let parts = Facts::read_all(review.object, review.namespace, self.policies.catalog().kinds())?;
        Ok(self.compared(review, parts))
    }

    /// The parts of an object, which know what a custom resource said before it was changed.
    pub(crate) fn compared<'p>(&self, review: &Review<'_>, parts: Parts<'p>) -> Parts<'p> {
        let old = review.old.filter(|_| review.operation == Operation::Update);
        parts.compared(old, review.namespace, self.policies.catalog().kinds())
    }

    /// What the rules that read replicas find in a workload that is scaled up, as `check` would if the workload itself
    /// were written with that many replicas. Of scaling down they find nothing. A workload that is not known is a warning.
    ///
    /// `request` is the whole request as JSON, for CEL.
    ///
    /// # Errors
    /// The field that has a wrong type.
    pub fn check_scale(
        &self,
        scale: &Scale<'_>,
        request: Option<&serde_json::Value>,
    ) -> Result<Vec<Finding>, FactsFault> {
        let Scale { api_version, kind, namespace, name, uid, from, to, requester } = *scale;
        if to <= from {
            return Ok(Vec::new());
        }
        let known = self.lookup.owner(namespace, kind, name);
        // One of the same name that was deleted meanwhile says nothing of this one.
        let known = known.filter(|owner| uid.is_empty() || owner.uid == uid);
        let stranger = || OwnerFacts {
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            ..OwnerFacts::default()
        };
        let owner = known.as_deref().map_or_else(|| Cow::Owned(stranger()), Cow::Borrowed);
        let [old, new] = [from, to].map(|replicas| owner.with_replicas(api_version, replicas));
        let review = Review {
            operation: Operation::Update,
            object: (&new).into(),
            old: Some((&old).into()),
            namespace: Some(namespace),
            subresource: Some("scale"),
            request,
            user: None,
            requester,
        };
        let parts = Parts::from(Facts::read(review.object, review.namespace)?);
        let replicas = FieldPath::root().key("spec").key("replicas");
        let (findings, _) = self.findings(&review, &parts, |_, rule, context, new_findings| {
            if !rule.rule.reads_replicas(kind) {
                return;
            }
            // The one field that a Scale has: where the workload's others stand is not known.
            new_findings.all_at(&replicas);
            if known.is_some() {
                rule.rule.check_scale(context, new_findings);
            } else {
                new_findings.push(unknown_workload(scale));
            }
        });
        Ok(findings)
    }

    fn changes<'r>(&self, review: &Review<'r>, facts: &Facts<'_>) -> PatchBuilder<'r> {
        let mut patch = PatchBuilder::new(review.object);
        // A pod's storage and affinity cannot change any more, only its images; and what is on its way out needs nothing.
        let fixed = review.operation == Operation::Update && (is_pod(facts) || facts.meta.deleting);
        // A custom resource is its operator's to read: it is judged and never changed.
        if fixed || facts.custom.is_some() || self.leaves_alone(review, facts) {
            return patch;
        }
        let subjects = self.subjects(review, facts);
        let context = self.context(review, facts, &subjects);
        for (index, policy) in self.policies.policies().iter().enumerate() {
            let own = self.policies.own_catalog(index).map(|catalog| context.with_catalog(catalog));
            let context = own.as_ref().unwrap_or(&context);
            // What only some users are given is given to nobody who is not known.
            for (rule, _) in policy.rules_about(&subjects).filter(|(_, holds)| *holds == Holds::Yes) {
                if rule.action == Action::Audit {
                    continue;
                }
                match policy.excuse(&subjects, rule.id, self.today) {
                    None => rule.rule.mutate(context, &mut patch),
                    Some(_) => rule.rule.restore(context, &mut patch),
                }
            }
        }
        patch
    }

    fn all_findings(&self, review: &Review<'_>, parts: &Parts<'_>) -> (Vec<Finding>, Vec<usize>) {
        let of_deployment = writes_of_deployment_controller(review, &parts.first);
        self.findings(review, parts, |policy, rule, context, new_findings| {
            // Refused here, a rollout would hang half-way through, with nobody to read why.
            let judged_before = of_deployment
                && policy.names_workload("Deployment")
                && ["ReplicaSet", "Deployment"].iter().all(|kind| rule.rule.reads_replicas(kind));
            if !judged_before {
                rule.rule.check(context, new_findings);
            }
        })
    }

    /// What `ask` finds with each rule of each policy that is about the object, and which policies these are.
    fn findings(
        &self,
        review: &Review<'_>,
        parts: &Parts<'_>,
        ask: impl Fn(&CompiledPolicy, &CompiledRule, &Context<'_>, &mut NewFindings<'_>),
    ) -> (Vec<Finding>, Vec<usize>) {
        let scope = scope(review, &parts.first);
        if matches!(scope, Scope::Nothing) || self.leaves_alone(review, &parts.first) {
            return (Vec::new(), Vec::new());
        }
        let mut findings = Findings::default();
        // All parts of an object have one allowance of findings, rule by rule.
        let mut told: HashMap<*const CompiledRule, usize> = HashMap::new();
        let admits = |new_finding: &NewFinding| scope.admits(new_finding);
        let mut is_about = vec![false; self.policies.policies().len()];
        for (part, facts) in parts.iter().enumerate() {
            let subjects = self.subjects(review, facts);
            let context = self.context(review, facts, &subjects);
            for (index, policy) in self.policies.policies().iter().enumerate() {
                let own = self.policies.own_catalog(index).map(|catalog| context.with_catalog(catalog));
                let context = own.as_ref().unwrap_or(&context);
                for (rule, holds) in policy.rules_about(&subjects) {
                    // `kubectl scale` is not judged for fewer either; but an author may have asked just that.
                    let asks = || rule.rule.reads_any_kind() && rule.rule.reads_replicas(&facts.id.kind);
                    if matches!(scope, Scope::FewerReplicas) && !asks() {
                        continue;
                    }
                    if let Some(is_about) = is_about.get_mut(index) {
                        *is_about = true;
                    }
                    // What reads the object itself has read all of it.
                    if part > 0 && rule.rule.reads_any_kind() {
                        continue;
                    }
                    let told = told.entry(std::ptr::from_ref(rule)).or_default();
                    let mut new_findings =
                        NewFindings::within(NewFindings::MOST.saturating_sub(*told), &admits);
                    ask(policy, rule, context, &mut new_findings);
                    let new_findings = new_findings.finish();
                    *told += new_findings.len();
                    if !new_findings.is_empty() {
                        let found = self.judged(policy, rule, holds, &subjects, new_findings);
                        found.for_each(|finding| findings.add(finding));
                    }
                }
            }
        }
        let mut findings = findings.all;
        findings.sort_by(|a, b| {
            let key = |f: &Finding| (f.excused.is_some(), std::cmp::Reverse(f.action));
            key(a).cmp(&key(b)).then_with(|| a.field.cmp(&b.field)).then_with(|| a.rule.cmp(b.rule))
        });
        let about = is_about.iter().enumerate().filter(|(_, is)| **is).map(|(index, _)| index);
        (findings, about.collect())
    }

    /// The findings of a rule as its policy means them: with its action, excuses and doubts.
    fn judged<'f>(
        &self,
        policy: &'f CompiledPolicy,
        rule: &'f CompiledRule,
        holds: Holds,
        subjects: &Subjects<'_>,
        new_findings: Vec<NewFinding>,
    ) -> impl Iterator<Item = Finding> + use<'f> {
        let excused = policy.excuse(subjects, rule.id, self.today);
        let (refused, doubt) = match excused {
            None => (
                policy.refused_excuse(subjects, rule.id, self.today),
                policy.doubt(subjects, rule.id, self.today, holds),
            ),
            Some(_) => (None, None),
        };
        new_findings.into_iter().map(move |new_finding| {
            let new_finding = if doubt.is_some() { new_finding.at_most(Action::Warn) } else { new_finding };
            let action = new_finding.at_most.map_or(rule.action, |most| rule.action.min(most));
            let new_finding = new_finding.and_help(refused.clone()).and_help(doubt.clone());
            let new_finding = new_finding.told_as(rule.message.as_deref());
            new_finding.into_finding(rule.id, action, &policy.name, excused.clone())
        })
    }

    /// Why the object is not judged, when it is not.
    fn overlooks(&self, review: &Review<'_>, parts: &Parts<'_>) -> Option<Overlooked> {
        let facts = &parts.first;
        // Only CEL can ask about a kind of which no facts are read.
        if matches!(
            facts.subject,
            Subject::Other | Subject::Namespace(_) | Subject::Node(_) | Subject::Config(_)
        ) {
            let subjects = self.subjects(review, facts);
            let asks = |policy: &CompiledPolicy| {
                policy.rules_about(&subjects).any(|(rule, _)| rule.rule.reads_any_kind())
            };
            if !self.policies.policies().iter().any(asks) {
                return Some(Overlooked::Kind);
            }
        }
        self.policies.excludes(facts.id.namespace.as_deref()).then_some(Overlooked::Namespace)
    }

    /// Objects that no policy is about, whatever it says.
    fn leaves_alone(&self, review: &Review<'_>, facts: &Facts<'_>) -> bool {
        // Refusing the deletion's finalizer updates would only keep the object forever; a mirror pod runs anyway. But a
        // claim is used as long as a pod has it.
        // A new object cannot be on its way out: the API server takes the field off, whoever writes it.
        (facts.meta.deleting && review.operation == Operation::Update && !grows(review, facts))
            || (is_pod(facts) && facts.meta.annotation("kubernetes.io/config.mirror").is_some())
            || self.policies.excludes(facts.id.namespace.as_deref())
    }

    /// What selectors see of a review's object.
    fn subjects<'s>(&'s self, review: &Review<'s>, facts: &'s Facts<'s>) -> Subjects<'s> {
        Subjects::new(facts, self.lookup, review.user).asked_by(review.requester)
    }

    /// What the rules are told of a review.
    pub(crate) fn context<'c>(
        &'c self,
        review: &'c Review<'c>,
        facts: &'c Facts<'c>,
        subjects: &'c Subjects<'c>,
    ) -> Context<'c> {
        Context::new(review, facts, subjects, self.lookup, self.policies.catalog())
    }
}

/// The findings of several policies, each once.
#[derive(Default)]
struct Findings {
    all: Vec<Finding>,
    /// Where in `all` each is, by a hash of its rule, field and message.
    places: HashMap<u64, usize>,
}

impl Findings {
    /// Adds a finding unless another policy found the same; of two, the one that stands and is stricter is kept.
    fn add(&mut self, finding: Finding) {
        let mut hasher = DefaultHasher::new();
        (finding.rule, &finding.field, &finding.message).hash(&mut hasher);
        let place = self.places.entry(hasher.finish());
        let same = match &place {
            Entry::Occupied(place) => self.all.get_mut(*place.get()),
            Entry::Vacant(_) => None,
        };
        let is_same = |other: &&mut Finding| {
            other.rule == finding.rule && other.field == finding.field && other.message == finding.message
        };
        match same.filter(is_same) {
            Some(other) => {
                let weight = |f: &Finding| (f.excused.is_none(), f.action);
                if weight(&finding) > weight(other) {
                    *other = finding;
                }
            }
            // Two different ones of one hash are both told.
            None => {
                place.insert_entry(self.all.len());
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

/// Whether a claim asks for another size.
fn grows(review: &Review<'_>, facts: &Facts<'_>) -> bool {
    matches!(facts.subject, Subject::Claim(_))
        && review.old.is_some_and(|old| request(old) != request(review.object))
}

/// Whether the Deployment controller writes a ReplicaSet of a Deployment, which was judged when it was written or scaled.
/// That controller writes no others; and a person who names a Deployment as the owner is not believed.
fn writes_of_deployment_controller(review: &Review<'_>, facts: &Facts<'_>) -> bool {
    facts.id.kind == "ReplicaSet"
        && review.user.is_some_and(|user| is_controller(user, "deployment-controller"))
        && facts.meta.controller.is_some_and(|owner| owner.kind == "Deployment")
}

fn unknown_workload(scale: &Scale<'_>) -> NewFinding {
    let Scale { kind, name, to, .. } = scale;
    let message = format!("not judged: {kind} {name:?} is not known yet, nor what {to} replicas of it share");
    NewFinding::new(FieldPath::root(), message)
        .help("see whether its pods write to one claim; what is written to the workload itself is judged")
        .at_most(Action::Warn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Node;
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
        engine.check(&review).unwrap().findings.iter().map(|finding| finding.field.to_string()).collect()
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
    fn a_workload_that_is_there_can_be_stopped_whatever_is_wrong_with_it() {
        let spec = json!({"replicas": 2, "paused": false, "template": {"spec": {"containers": [{"name": "r", "image": "redis"}]}}});
        let old =
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec});
        let mut stopped = with(&old, "/spec/replicas", json!(0));
        assert!(fields(Some(&old), &stopped, None).is_empty());
        assert!(fields(Some(&old), &with(&old, "/spec/paused", json!(true)), None).is_empty());
        // What also changes something else, and what starts it again, is judged.
        stopped["spec"]["template"]["spec"]["containers"][0]["image"] = json!("redis:8");
        assert_eq!(fields(Some(&old), &stopped, None).len(), 1);
        assert_eq!(fields(Some(&with(&old, "/spec/replicas", json!(0))), &old, None).len(), 1);
        // As kubectl scale has it: fewer are never judged, more are.
        assert!(fields(Some(&old), &with(&old, "/spec/replicas", json!(1)), None).is_empty());
        assert_eq!(fields(Some(&old), &with(&old, "/spec/replicas", json!(3)), None).len(), 1);
        stopped["spec"]["replicas"] = json!(1);
        assert_eq!(fields(Some(&old), &stopped, None).len(), 1);
        let mut one = old.clone();
        one["spec"].as_object_mut().unwrap().remove("replicas");
        assert!(fields(Some(&one), &with(&old, "/spec/replicas", json!(0)), None).is_empty());
        assert_eq!(fields(Some(&one), &old, None).len(), 1);
        let mut shorter = old.clone();
        shorter["spec"].as_object_mut().unwrap().remove("paused");
        assert_eq!(fields(Some(&old), &shorter, None).len(), 1);
        let job = json!({"template": spec["template"], "suspend": false});
        let job = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "d"}, "spec": {"jobTemplate": {"spec": job}, "suspend": false}});
        assert!(fields(Some(&job), &with(&job, "/spec/suspend", json!(true)), None).is_empty());
    }

    #[test]
    fn an_excused_object_keeps_the_class_that_it_was_given_before() {
        let policy = json!({
            "apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy", "metadata": {"name": "p"},
            "spec": {"rules": [{"defaultClass": {"name": "local-path"}}],
                     "exceptions": [{"objectSelector": {"matchLabels": {"exempt": "yes"}}, "reason": "tested"}]}
        });
        let policies = PolicySet::build(vec![load(&policy).unwrap()]).unwrap();
        let lookup = MapLookup::default();
        let engine = Engine { policies: &policies, lookup: &lookup, today: jiff::civil::date(2026, 11, 23) };
        let set = |class: Value, volume: Value| {
            json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s", "labels": {"exempt": "yes"}},
                   "spec": {"template": {"spec": {"containers": [], "volumes": [volume]}},
                            "volumeClaimTemplates": [{"metadata": {"name": "d"}, "spec": {"storageClassName": class}}]}})
        };
        let patch = |old: Option<&Value>, new: &Value| {
            let operation = if old.is_some() { Operation::Update } else { Operation::Create };
            let review = Review { operation, old: old.map(Node::from), ..Review::create(new) };
            engine.mutate(&review).unwrap().0.len()
        };
        let none = json!({"name": "n", "emptyDir": {}});
        let (without, with) = (set(Value::Null, none.clone()), set(json!("local-path"), none.clone()));
        // Re-applied, it must say what is stored: claim templates cannot be changed.
        assert_eq!(patch(Some(&with), &without), 1);
        assert_eq!(patch(Some(&without), &without), 0);
        assert_eq!(patch(None, &without), 0, "an excused object is given nothing");
        let ephemeral = json!({"name": "e", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}});
        assert_eq!(patch(Some(&with), &set(json!("local-path"), ephemeral)), 0);
    }

    /// A policy on shared writers for what is labelled `tier: data`, with an exception and self-service.
    fn shared() -> PolicySet {
        let policy = json!({
            "apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy", "metadata": {"name": "p"},
            "spec": {"match": {"objectSelector": {"matchLabels": {"tier": "data"}}},
                     "rules": [{"sharedWriter": {}}, {"durableData": {}}, {"hostPath": {}}],
                     "exceptions": [{"objectSelector": {"matchLabels": {"exempt": "yes"}}, "reason": "tested"}],
                     "selfService": {"rules": ["shared-writer"], "annotation": "example.org/reason"}}
        });
        PolicySet::build(vec![load(&policy).unwrap()]).unwrap()
    }

    fn sharing(kind: &str, meta: Value, template_labels: Value) -> Value {
        json!({"apiVersion": "apps/v1", "kind": kind, "metadata": meta, "spec": {"replicas": 1, "template": {
            "metadata": {"labels": template_labels},
            "spec": {"containers": [{"name": "r", "image": "redis", "volumeMounts": [{"name": "d", "mountPath": "/x"}]}],
                     "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "c"}}, {"name": "h", "hostPath": {"path": "/"}}]}}}})
    }

    fn cluster(workload: &Value) -> MapLookup {
        let mut lookup = MapLookup::default();
        let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c", "namespace": "shop"},
                           "spec": {"accessModes": ["ReadWriteOnce"]}});
        lookup.add(&Facts::read(&claim, None).unwrap());
        let id = Facts::identify(workload, Some("shop"));
        lookup.add_owner(OwnerFacts::read_whole(workload.into(), &id).unwrap());
        lookup
    }

    fn to_three(lookup: &MapLookup, scale: Scale<'_>) -> Vec<String> {
        let policies = shared();
        let engine = Engine { policies: &policies, lookup, today: jiff::civil::date(2026, 11, 23) };
        let findings = engine.check_scale(&scale, None).unwrap();
        let said = |f: &Finding| match &f.excused {
            Some(_) => format!("excused {}", f.field),
            None => format!("{} {}: {}", f.action, f.field, f.message.split(',').next().unwrap_or_default()),
        };
        findings.iter().map(said).collect()
    }

    const SCALE: Scale<'_> = Scale {
        api_version: "apps/v1",
        kind: "Deployment",
        namespace: "shop",
        name: "d",
        uid: "u",
        from: 1,
        to: 3,
        requester: None,
    };

    #[test]
    fn a_scale_is_judged_by_what_is_known_of_its_workload_and_by_replicas_alone() {
        let data = json!({"tier": "data"});
        let with = |meta: Value, labels: &Value| {
            let mut meta = meta;
            meta["name"] = json!("d");
            meta["uid"] = json!("u");
            cluster(&sharing("Deployment", meta, labels.clone()))
        };
        let denied = ["Deny spec.replicas: 3 replicas write to one claim"];
        assert_eq!(to_three(&with(json!({"labels": data}), &json!({})), SCALE), denied);
        assert_eq!(to_three(&with(json!({}), &data), SCALE), denied, "the template's labels count as well");
        assert_eq!(to_three(&with(json!({}), &json!({})), SCALE), [""; 0], "the policy is about others");
        let excused = ["excused spec.replicas"];
        let exempt = json!({"tier": "data", "exempt": "yes"});
        assert_eq!(to_three(&with(json!({"labels": exempt}), &data), SCALE), excused);
        let reason = json!({"example.org/reason": "the pods take turns by a lock", "kubectl.kubernetes.io/restartedAt": "now"});
        assert_eq!(to_three(&with(json!({"annotations": reason}), &data), SCALE), excused);
        let going = json!({"deletionTimestamp": "2026-11-23T00:00:00Z", "labels": data});
        assert_eq!(to_three(&with(going, &data), SCALE), [""; 0], "it makes no pods any more");
        let here = with(json!({"labels": data}), &data);
        for (from, to) in [(3, 3), (5, 3), (3, 0)] {
            assert_eq!(to_three(&here, Scale { from, to, ..SCALE }), [""; 0]);
        }
        assert_eq!(to_three(&here, Scale { namespace: "kube-system", ..SCALE }), [""; 0]);
    }

    #[test]
    fn a_scale_of_what_is_not_known_is_a_warning() {
        let policy = json!({"apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy", "metadata": {"name": "p"},
                            "spec": {"rules": [{"sharedWriter": {}}, {"durableData": {}}]}});
        let policies = PolicySet::build(vec![load(&policy).unwrap()]).unwrap();
        let lookup = cluster(&sharing("Deployment", json!({"name": "d", "uid": "of one before"}), json!({})));
        let engine = Engine { policies: &policies, lookup: &lookup, today: jiff::civil::date(2026, 11, 23) };
        for scale in [SCALE, Scale { kind: "StatefulSet", ..SCALE }, Scale { name: "x", uid: "", ..SCALE }] {
            let findings = engine.check_scale(&scale, None).unwrap();
            assert_eq!(findings.len(), 1, "{findings:?}");
            assert_eq!((findings[0].rule, findings[0].action), ("shared-writer", Action::Warn));
            assert!(findings[0].message.starts_with("not judged: "), "{}", findings[0].message);
        }
    }

    #[test]
    fn the_deployment_controller_is_not_stopped_half_way_by_a_rule_on_replicas() {
        let owner = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "uid": "u", "controller": true}]);
        let meta =
            |owner: &Value| json!({"name": "d-1", "labels": {"tier": "data"}, "ownerReferences": owner});
        let mut owned = sharing("ReplicaSet", meta(&owner), json!({}));
        owned["spec"]["replicas"] = json!(3);
        let mut bare = owned.clone();
        bare["metadata"] = meta(&json!([]));
        let lookup = cluster(&sharing("Deployment", json!({"name": "d", "uid": "u"}), json!({})));
        let rules = |policies: &PolicySet, object: &Value, user: Option<&str>| -> Vec<&str> {
            let engine = Engine { policies, lookup: &lookup, today: jiff::civil::date(2026, 11, 23) };
            let review = Review { user, namespace: Some("shop"), ..Review::create(object) };
            engine.check(&review).unwrap().findings.iter().map(|finding| finding.rule).collect()
        };
        let policies = shared();
        let found = |object: &Value, user| {
            let mut found = rules(&policies, object, user);
            found.sort_unstable();
            found
        };
        let everything = ["durable-data", "host-path", "shared-writer"];
        let controller = "system:serviceaccount:kube-system:deployment-controller";
        for user in [controller, "system:kube-controller-manager"] {
            assert_eq!(found(&owned, Some(user)), ["durable-data", "host-path"], "{user}");
            assert_eq!(found(&bare, Some(user)), everything, "{user}");
        }
        for user in [Some("alice"), Some("system:serviceaccount:shop:deployment-controller"), None] {
            assert_eq!(found(&owned, user), everything, "{user:?}: anybody can write the name of an owner");
        }
        // Where the policy is about ReplicaSets alone, nothing has judged the Deployment.
        let alone = json!({"apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy", "metadata": {"name": "p"},
                           "spec": {"match": {"kinds": ["ReplicaSet"]}, "rules": [{"sharedWriter": {}}]}});
        let alone = PolicySet::build(vec![load(&alone).unwrap()]).unwrap();
        assert_eq!(rules(&alone, &owned, Some(controller)), ["shared-writer"]);
    }

    #[test]
    fn of_what_is_being_deleted_only_the_size_of_a_claim_is_judged() {
        let claim = |class: Value, size: &str| {
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
                   "metadata": {"name": "c", "deletionTimestamp": "2026-11-23T00:00:00Z"},
                   "spec": {"storageClassName": class, "resources": {"requests": {"storage": size}}}})
        };
        let (old, large) = (claim(json!("bad"), "1Gi"), claim(json!("bad"), "20Gi"));
        assert_eq!(fields(Some(&old), &large, None), ["spec.resources.requests.storage"]);
        assert!(fields(Some(&old), &old, None).is_empty());
        assert!(fields(Some(&claim(Value::Null, "1Gi")), &old, None).is_empty(), "its class");
        assert_eq!(
            fields(Some(&claim(Value::Null, "1Gi")), &large, None),
            ["spec.resources.requests.storage"]
        );
        let review =
            Review { operation: Operation::Update, old: Some((&old).into()), ..Review::create(&large) };
        let policy = json!({"apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy", "metadata": {"name": "p"},
                            "spec": {"rules": [{"defaultClass": {"name": "fast"}}]}});
        let policies = PolicySet::build(vec![load(&policy).unwrap()]).unwrap();
        let lookup = MapLookup::default();
        let engine = Engine { policies: &policies, lookup: &lookup, today: jiff::civil::date(2026, 11, 23) };
        let mut unset = large.clone();
        unset["spec"].as_object_mut().unwrap().remove("storageClassName");
        assert!(engine.mutate(&Review { object: (&unset).into(), ..review }).unwrap().0.is_empty());
    }

    #[test]
    fn a_claim_is_judged_again_by_its_attributes_class() {
        let policy = json!({"apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy", "metadata": {"name": "p"},
            "spec": {"rules": [
                {"claimSize": {"max": "10Gi"}},
                {"cel": {"name": "gold", "field": "spec.volumeAttributesClassName",
                         "expression": "object.spec.?volumeAttributesClassName.orValue('') != 'gold'"}}]}});
        let policies = PolicySet::build(vec![load(&policy).unwrap()]).unwrap();
        let lookup = MapLookup::default();
        let engine = Engine { policies: &policies, lookup: &lookup, today: jiff::civil::date(2026, 11, 23) };
        let claim = |attributes: Value, size: &str| {
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"},
                   "spec": {"storageClassName": "s", "volumeAttributesClassName": attributes,
                            "resources": {"requests": {"storage": size}}}})
        };
        let found = |old: &Value, new: &Value| -> Vec<String> {
            let review =
                Review { operation: Operation::Update, old: Some(old.into()), ..Review::create(new) };
            engine.check(&review).unwrap().findings.iter().map(|finding| finding.field.to_string()).collect()
        };
        let (gold, silver) = (claim(json!("gold"), "20Gi"), claim(json!("silver"), "20Gi"));
        let field = "spec.volumeAttributesClassName";
        assert_eq!(found(&silver, &gold), [field], "the size was judged before");
        assert_eq!(found(&claim(Value::Null, "20Gi"), &gold), [field]);
        assert_eq!(found(&gold, &silver), [""; 0]);
        assert_eq!(found(&gold, &claim(json!("gold"), "30Gi")), ["spec.resources.requests.storage"]);
        assert_eq!(found(&claim(Value::Null, "1Gi"), &gold), ["spec.resources.requests.storage", field]);
    }

    #[test]
    fn a_deletion_is_never_judged() {
        let (policies, lookup, pod) = (policies(), MapLookup::default(), pod());
        let engine = Engine { policies: &policies, lookup: &lookup, today: jiff::civil::date(2026, 11, 23) };
        let review = Review { operation: Operation::Delete, ..Review::create(&pod) };
        assert_eq!(engine.mutate_and_check(&review).unwrap(), Verdict::default());
    }
}
