//! What verdicts rest on. A verdict remembers what it asked of other objects, so that it need not be found again as long as all
//! answers stay what they were.

use crate::facts::{
    ClaimFacts, ClassFacts, ConfigFacts, ConfigKind, Facts, NamespaceFacts, NodeFacts, OwnerFacts, Subject,
    TemplateFacts, VolumeFacts,
};
use crate::lookup::{Available, Lookup, LookupKind, MapLookup};
use crate::model::lock;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// A question to a lookup. Two of one digest count as the same: at worst a verdict is found once more.
#[derive(Debug, Hash)]
enum Question<'q> {
    Claim(&'q str, &'q str),
    Volume(&'q str),
    Class(&'q str),
    DefaultClass,
    /// The volumes of a class that no claim has taken.
    Available(&'q str),
    /// The volumes that are kept for a claim.
    Reserved(&'q str, &'q str),
    Namespace(&'q str),
    Node(&'q str),
    /// Whether any node is as asked.
    Nodes,
    Owner(&'q str, &'q str, &'q str),
    /// The claims that a StatefulSet makes from a template, by the beginning of their names.
    SetClaims(&'q str, &'q str),
    /// The claims that name a volume.
    Takers(&'q str),
    Config(ConfigKind, &'q str, &'q str),
    Template(&'q str, &'q str, &'q str),
}

impl Question<'_> {
    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

/// What somebody asked for, and when.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// The digests of the questions, each once.
    questions: Box<[u64]>,
    /// The kinds of which it made a difference that not every object is known, a bit each.
    missed: u8,
    /// Which change of the objects was the last before it.
    age: u32,
}

impl Asked {
    /// Whether no further object can change the answers.
    pub(super) fn is_final(&self) -> bool {
        self.questions.is_empty()
    }

    /// The same and what somebody else asked for.
    pub(super) fn and(self, other: Self) -> Self {
        let age = if self.is_final() { other.age } else { self.age.min(other.age) };
        let questions = self.questions.into_iter().chain(other.questions).collect();
        Self { questions: each_once(questions), missed: self.missed | other.missed, age }
    }
}

fn each_once(mut questions: Vec<u64>) -> Box<[u64]> {
    questions.sort_unstable();
    questions.dedup();
    questions.into()
}

/// What is known of the objects so far, and when which answer changed last.
#[derive(Debug)]
pub(super) struct Known {
    lookup: MapLookup,
    /// By the digest of the question. What changed before anybody asked is left out.
    changed: HashMap<u64, u32>,
    age: u32,
}

impl Known {
    pub(super) fn new(lookup: MapLookup) -> Self {
        Self { lookup, changed: HashMap::new(), age: 0 }
    }

    pub(super) fn lookup(&self) -> &MapLookup {
        &self.lookup
    }

    /// A lookup over it that remembers what it is asked.
    pub(super) fn noting(&self) -> Noting<'_> {
        let Self { lookup, age, .. } = self;
        Noting { lookup, age: *age, questions: Mutex::default(), missed: AtomicU8::new(0) }
    }

    /// Says that what is learnt from now on may change what was asked until now.
    pub(super) fn grow_older(&mut self) {
        self.age += 1;
    }

    /// Whether an answer may be another one now.
    pub(super) fn has_changed(&self, asked: &Asked) -> bool {
        let is_later =
            |question: &u64| self.changed.get(question).is_some_and(|changed| *changed > asked.age);
        asked.questions.iter().any(is_later)
    }

    /// Counts what was asked, now that the answers are final.
    pub(super) fn count(&self, asked: &Asked) {
        self.lookup.miss(asked.missed);
    }

    /// Remembers an object as [`MapLookup::add`] does.
    pub(super) fn add(&mut self, facts: &Facts<'_>) {
        // Nobody asked before the first portion was learnt.
        if self.age > 1 {
            self.note_changes(facts);
        }
        self.lookup.add(facts);
    }

    fn note_changes(&mut self, facts: &Facts<'_>) {
        let age = self.age;
        let Self { lookup, changed, .. } = self;
        let mut note = |question: Question<'_>| {
            changed.insert(question.digest(), age);
        };
        match &facts.subject {
            Subject::Claim(claim) => {
                note(Question::Claim(&claim.namespace, &claim.name));
                let old = lookup.claim(&claim.namespace, &claim.name);
                for claim in old.as_deref().into_iter().chain([claim]) {
                    claim.spec.volume_name.iter().for_each(|volume| note(Question::Takers(volume)));
                }
            }
            Subject::Volume(volume) => {
                note(Question::Volume(&volume.name));
                let old = lookup.volume(&volume.name);
                for volume in old.as_deref().into_iter().chain([volume]) {
                    note(Question::Available(volume.class.name().unwrap_or_default()));
                    let claim = volume.claim.iter();
                    claim.for_each(|(namespace, name, _)| note(Question::Reserved(namespace, name)));
                }
            }
            Subject::Class(class) => {
                note(Question::Class(&class.name));
                note(Question::DefaultClass);
            }
            Subject::Namespace(namespace) => note(Question::Namespace(&namespace.name)),
            Subject::Node(node) => {
                note(Question::Node(&node.name));
                note(Question::Nodes);
            }
            Subject::Workload(workload) => {
                note(Question::Owner(facts.namespace(), &facts.id.kind, &facts.id.name));
                for template in &workload.claim_templates {
                    let claims = format!("{}-{}", template.name, facts.id.name);
                    note(Question::SetClaims(facts.namespace(), &claims));
                }
            }
            Subject::Config(config) => {
                note(Question::Config(config.kind, &config.namespace, &config.name));
            }
            Subject::Custom(custom) => {
                if let Some(template) = custom.template(&facts.id) {
                    note(Question::Template(&template.kind, &template.namespace, &template.name));
                }
            }
            Subject::Other => {}
        }
    }
}

/// Answers from what is known so far, and remembers what it was asked.
#[derive(Debug)]
pub(super) struct Noting<'k> {
    lookup: &'k MapLookup,
    age: u32,
    questions: Mutex<Vec<u64>>,
    missed: AtomicU8,
}

impl Noting<'_> {
    /// All that it was asked.
    pub(super) fn asked(self) -> Asked {
        let questions = self.questions.into_inner().unwrap_or_else(PoisonError::into_inner);
        Asked { questions: each_once(questions), missed: self.missed.into_inner(), age: self.age }
    }

    fn note(&self, question: Question<'_>) {
        lock(&self.questions).push(question.digest());
    }
}

impl Lookup for Noting<'_> {
    // Which kinds are known whole is said before the first object, and stays so.
    fn knows_all(&self, kind: LookupKind) -> bool {
        let holds_all = self.lookup.holds_all(kind);
        if !holds_all {
            self.missed.fetch_or(kind.bit(), Relaxed);
        }
        holds_all
    }
    fn leaves_out(&self, kind: LookupKind) -> bool {
        self.lookup.is_state() && !self.knows_all(kind)
    }
    fn claim(&self, namespace: &str, name: &str) -> Option<Arc<ClaimFacts>> {
        self.note(Question::Claim(namespace, name));
        self.lookup.claim(namespace, name)
    }
    fn volume(&self, name: &str) -> Option<Arc<VolumeFacts>> {
        self.note(Question::Volume(name));
        self.lookup.volume(name)
    }
    fn class(&self, name: &str) -> Option<Arc<ClassFacts>> {
        self.note(Question::Class(name));
        self.lookup.class(name)
    }
    fn default_class(&self) -> Option<Arc<ClassFacts>> {
        self.note(Question::DefaultClass);
        self.lookup.default_class()
    }
    fn available_volumes(&self, class: &str) -> Vec<Arc<VolumeFacts>> {
        self.note(Question::Available(class));
        self.lookup.available_volumes(class)
    }
    fn available(&self, class: &str) -> Available {
        self.note(Question::Available(class));
        self.lookup.available(class)
    }
    fn find_available(&self, class: &str, holds: &dyn Fn(&VolumeFacts) -> bool) -> Option<Arc<VolumeFacts>> {
        self.note(Question::Available(class));
        self.lookup.find_available(class, holds)
    }
    fn reserved_volumes(&self, namespace: &str, claim: &str) -> Vec<Arc<VolumeFacts>> {
        self.note(Question::Reserved(namespace, claim));
        self.lookup.reserved_volumes(namespace, claim)
    }
    fn namespace(&self, name: &str) -> Option<Arc<NamespaceFacts>> {
        self.note(Question::Namespace(name));
        self.lookup.namespace(name)
    }
    fn node(&self, name: &str) -> Option<Arc<NodeFacts>> {
        self.note(Question::Node(name));
        self.lookup.node(name)
    }
    fn any_node(&self, holds: &dyn Fn(&NodeFacts) -> bool) -> bool {
        self.note(Question::Nodes);
        self.lookup.any_node(holds)
    }
    fn any_node_of_hosts(&self, hosts: &[&str], holds: &dyn Fn(&NodeFacts) -> bool) -> bool {
        self.note(Question::Nodes);
        self.lookup.any_node_of_hosts(hosts, holds)
    }
    fn owner(&self, namespace: &str, kind: &str, name: &str) -> Option<Arc<OwnerFacts>> {
        self.note(Question::Owner(namespace, kind, name));
        self.lookup.owner(namespace, kind, name)
    }
    fn claim_to_come(&self, namespace: &str, claim: &str) -> bool {
        if let Some((claims, _)) = claim.rsplit_once('-') {
            self.note(Question::SetClaims(namespace, claims));
        }
        self.lookup.claim_to_come(namespace, claim)
    }
    fn other_claim_of(&self, volume: &str, namespace: &str, claim: &str) -> Option<(String, String)> {
        self.note(Question::Takers(volume));
        self.lookup.other_claim_of(volume, namespace, claim)
    }
    fn config(&self, kind: ConfigKind, namespace: &str, name: &str) -> Option<Arc<ConfigFacts>> {
        self.note(Question::Config(kind, namespace, name));
        self.lookup.config(kind, namespace, name)
    }
    fn template(&self, kind: &str, namespace: &str, name: &str) -> Option<Arc<TemplateFacts>> {
        self.note(Question::Template(kind, namespace, name));
        self.lookup.template(kind, namespace, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use serde_json::{Value, json};

    fn objects() -> Vec<Value> {
        let meta = |name: &str| json!({"name": name, "namespace": "n", "labels": {"a": "b"}});
        let claim = |spec: Value| json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta("c"), "spec": spec});
        let volume = |class: &str, claim: Value| {
            json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"},
                   "spec": {"storageClassName": class, "capacity": {"storage": "1Gi"}, "claimRef": claim}})
        };
        let class = |name: &str, default: &str| {
            json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "p",
                   "metadata": {"name": name, "annotations": {"storageclass.kubernetes.io/is-default-class": default}}})
        };
        let named = |kind: &str, label: &str| {
            json!({"apiVersion": "v1", "kind": kind,
                   "metadata": {"name": "x", "labels": {"kubernetes.io/hostname": label}}})
        };
        let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": meta("s"),
            "spec": {"template": {"spec": {"containers": []}}, "volumeClaimTemplates": [{"metadata": {"name": "data"}}]}});
        let config = |kind: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": meta("m"), "data": {"a": "Yg=="}});
        let template = |spec: Value| {
            json!({"apiVersion": "clickhouse.altinity.com/v1", "kind": "ClickHouseInstallationTemplate",
                   "metadata": meta("m"), "spec": spec})
        };
        vec![
            claim(json!({})),
            claim(json!({"storageClassName": "fast"})),
            claim(json!({"volumeName": "v"})),
            claim(json!({"volumeName": "w"})),
            volume("fast", Value::Null),
            volume("slow", Value::Null),
            volume("fast", json!({"namespace": "n", "name": "c"})),
            class("fast", "false"),
            class("slow", "true"),
            named("Namespace", "one"),
            named("Node", "one"),
            named("Node", "two"),
            set,
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta("s"),
                   "spec": {"template": {"spec": {"containers": []}}}}),
            config("ConfigMap"),
            config("Secret"),
            template(json!({})),
            template(json!({"templates": {"volumeClaimTemplates": [{"name": "d", "spec": {}}]}})),
        ]
    }

    /// Every question that these objects may answer, each with its answer.
    fn answers(known: &Known) -> Vec<(Asked, String)> {
        type Ask = fn(&Noting<'_>) -> String;
        const ASK: [Ask; 25] = [
            |l| format!("{:?}", l.claim("n", "c")),
            |l| format!("{:?}", l.volume("v")),
            |l| format!("{:?}", l.class("fast")),
            |l| format!("{:?}", l.class("slow")),
            |l| format!("{:?}", l.default_class()),
            |l| format!("{:?}", l.available_volumes("fast")),
            |l| format!("{:?}", l.available_volumes("slow")),
            |l| format!("{:?}", l.available("fast")),
            |l| format!("{:?}", l.available("slow")),
            |l| format!("{:?}", l.find_available("fast", &|_| true)),
            |l| format!("{:?}", l.find_available("slow", &|_| true)),
            |l| format!("{:?}", l.reserved_volumes("n", "c")),
            |l| format!("{:?}", l.namespace("x")),
            |l| format!("{:?}", l.node("x")),
            |l| format!("{:?}", l.any_node(&|_| true)),
            |l| format!("{:?}", l.any_node_of_hosts(&["one"], &|_| true)),
            |l| format!("{:?}", l.any_node_of_hosts(&["two"], &|_| true)),
            |l| format!("{:?}", l.owner("n", "StatefulSet", "s")),
            |l| format!("{:?}", l.owner("n", "Deployment", "s")),
            |l| format!("{:?}", l.claim_to_come("n", "data-s-0")),
            |l| format!("{:?}", l.other_claim_of("v", "n", "other")),
            |l| format!("{:?}", l.other_claim_of("w", "n", "other")),
            |l| format!("{:?}", l.config(ConfigKind::ConfigMap, "n", "m")),
            |l| format!("{:?}", l.config(ConfigKind::Secret, "n", "m")),
            |l| format!("{:?}", l.template("ClickHouseInstallationTemplate", "n", "m")),
        ];
        let answer = |ask: &Ask| {
            let noting = known.noting();
            let answer = ask(&noting);
            (noting.asked(), answer)
        };
        ASK.iter().map(answer).collect()
    }

    fn add(known: &mut Known, object: &Value) {
        known.grow_older();
        known.add(&Facts::read_all(object, None, Catalog::embedded().kinds()).unwrap().first);
    }

    #[test]
    fn whatever_changes_an_answer_is_noticed() {
        let objects = objects();
        let mut changes = 0;
        for first in &objects {
            for second in &objects {
                let mut known = Known::new(MapLookup::default());
                add(&mut known, first);
                let before = answers(&known);
                add(&mut known, second);
                for ((asked, old), (_, new)) in before.into_iter().zip(answers(&known)) {
                    changes += usize::from(old != new);
                    assert!(
                        old == new || known.has_changed(&asked),
                        "{first} then {second}: {old} and {new}"
                    );
                }
            }
        }
        assert!(changes > 300, "{changes}");
    }

    #[test]
    fn what_is_asked_afterwards_or_of_others_has_not_changed() {
        let mut known = Known::new(MapLookup::default());
        let [claim, _, _, _, volume, ..] = &objects()[..] else { panic!() };
        add(&mut known, claim);
        let noting = known.noting();
        noting.volume("w");
        let other = noting.asked();
        add(&mut known, volume);
        let noting = known.noting();
        noting.volume("v");
        let later = noting.asked();
        assert!(!known.has_changed(&other) && !known.has_changed(&later));
        let both = other.and(later);
        assert!(!both.is_final());
        add(&mut known, volume);
        assert!(known.has_changed(&both));
    }

    #[test]
    fn a_kind_that_is_not_known_whole_is_counted_when_the_verdict_is_final() {
        let known = Known::new(MapLookup::default());
        let noting = known.noting();
        assert!(!noting.knows_all(LookupKind::Node));
        let asked = noting.asked();
        assert!(asked.is_final() && known.lookup().missed().next().is_none());
        known.count(&asked);
        assert_eq!(known.lookup().missed().collect::<Vec<_>>(), [LookupKind::Node]);
    }
}
