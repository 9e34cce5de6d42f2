//! From objects to a map, in two rounds: what is looked up, then what is shown. Only what a map needs of an object is kept.

mod finish;

use super::scheduling::{Scheduling, taints};
use super::{MapFinding, MapNode, MapPod, MapWorkload, paths};
use crate::engine::Engine;
use crate::facts::{ClaimSpec, Facts, Subject, VolumeSource, Workload, WorkloadKind};
use crate::lookup::{Lookup, LookupKind, MapLookup};
use crate::model::{BaseStatus, NodeStorageSpec, NodeStorageStatus, ObjectRef};
use crate::policy::PolicySet;
use crate::rule::Review;
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How many findings are kept of one object, and of all.
const MOST_OF_ONE: usize = 20;
const MOST_FINDINGS: usize = 20_000;
/// How many pods are made up for one workload that has none in the input, and for all.
const MOST_MADE_UP: i64 = 100;
const MOST_MADE_UP_OF_ALL: i64 = 20_000;

const ZONES: [&str; 2] = ["topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"];

/// Kind, namespace and name.
type Key = (String, String, String);

/// Makes a map of objects.
pub struct Builder<'p> {
    policies: &'p PolicySet,
    today: Date,
    namespace: &'p str,
    lookup: MapLookup,
    nodes: BTreeMap<String, MapNode>,
    bases: BTreeMap<String, Vec<BaseStatus>>,
    volumes: BTreeSet<String>,
    claims: BTreeSet<(String, String)>,
    classes: BTreeSet<String>,
    workloads: BTreeMap<Key, Draft>,
    findings: BTreeMap<Key, (ObjectRef, Vec<MapFinding>)>,
    found: usize,
    notes: Vec<String>,
}

/// A workload that is being put together.
struct Draft {
    workload: MapWorkload,
    /// Whether it is the object itself that was read, and not one of its pods.
    whole: bool,
    replicas: i64,
    first_ordinal: i64,
    kind: Option<WorkloadKind>,
    /// The claims that its pods name, and the names of those that are made for each pod.
    shared: BTreeMap<String, String>,
    templates: Vec<(String, ClaimSpec)>,
    ephemeral: Vec<(String, ClaimSpec)>,
    pods: BTreeMap<String, MapPod>,
}

impl<'p> Builder<'p> {
    /// An empty one. Objects that name no namespace stand in `namespace`.
    pub fn new(policies: &'p PolicySet, today: Date, namespace: &'p str) -> Self {
        Self {
            policies,
            today,
            namespace,
            lookup: MapLookup::default(),
            nodes: BTreeMap::new(),
            bases: BTreeMap::new(),
            volumes: BTreeSet::new(),
            claims: BTreeSet::new(),
            classes: BTreeSet::new(),
            workloads: BTreeMap::new(),
            findings: BTreeMap::new(),
            found: 0,
            notes: Vec::new(),
        }
    }

    /// Says something that a reader of the map should know.
    pub fn tell(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Says that every object of a kind has been given.
    pub fn set_known(&mut self, kind: LookupKind) {
        self.lookup.set_known(kind);
    }

    /// The first round: remembers what is looked up. Every object is given to it before any is given to [`add`](Self::add).
    pub fn note(&mut self, object: &Value) {
        let kinds = self.policies.catalog().kinds();
        let Ok(parts) = Facts::read_all(object, Some(self.namespace), kinds) else { return };
        let Some(facts) = parts.looked_up() else { return };
        match &facts.subject {
            Subject::Node(node) => {
                let name = node.name.clone();
                let cordoned = object.pointer("/spec/unschedulable") == Some(&Value::Bool(true));
                let zone = ZONES.iter().find_map(|label| node.labels.get(*label).cloned());
                let taints = taints(object);
                let labels = node.labels.clone();
                let ready = is_ready(object);
                let made =
                    MapNode { name, zone, exists: true, ready, cordoned, bases: Vec::new(), labels, taints };
                self.nodes.insert(node.name.clone(), made);
            }
            Subject::Volume(volume) => {
                self.volumes.insert(volume.name.clone());
            }
            Subject::Claim(claim) => {
                self.claims.insert((claim.namespace.clone(), claim.name.clone()));
            }
            Subject::Class(class) => {
                self.classes.insert(class.name.clone());
            }
            Subject::Other if facts.id.kind == "NodeStorage" => self.note_bases(object),
            _ => {}
        }
        self.lookup.add(facts);
    }

    fn note_bases(&mut self, object: &Value) {
        #[derive(Deserialize)]
        struct Stored {
            spec: NodeStorageSpec,
            #[serde(default)]
            status: NodeStorageStatus,
        }
        if let Ok(Stored { spec, status }) = Stored::deserialize(object) {
            self.bases.insert(spec.node, status.bases);
        }
    }

    /// The second round: workloads and their pods, and what is found in them and in claims, volumes and classes.
    pub fn add(&mut self, object: &Value) {
        let parts = match Facts::read_all(object, Some(self.namespace), self.policies.catalog().kinds()) {
            Ok(parts) => parts,
            Err(fault) => {
                let id = Facts::identify(object, Some(self.namespace));
                if self.notes.len() < MOST_OF_ONE {
                    self.notes.push(format!("{id} cannot be read: {fault}"));
                }
                return;
            }
        };
        if parts.first.meta.deleting || is_over(object) {
            return;
        }
        match &parts.first.subject {
            Subject::Workload(workload)
                if workload.kind == WorkloadKind::Pod && parts.first.custom.is_none() =>
            {
                self.add_pod(&parts.first, workload, object);
            }
            Subject::Workload(workload) => {
                let owner = parts.first.meta.controller;
                let is_part = owner.is_some_and(|owner| {
                    let known = self.lookup.owner(parts.first.namespace(), owner.kind, owner.name);
                    owner.workload.is_some()
                        && (known.is_some() || workload.kind.has_replicas() && workload.replicas == 0)
                });
                if !is_part {
                    let findings = self.judge(object);
                    self.add_whole(&parts.first, workload, object, findings);
                }
            }
            Subject::Custom(custom) => {
                let mut data = paths::of_custom(custom, parts.first.namespace(), &self.lookup);
                for part in &parts.more {
                    if let Some(workload) = part.workload() {
                        data.extend(paths::places(part, workload, &self.lookup, self.policies.catalog()));
                    }
                }
                let findings = self.judge(object);
                let draft = self.draft(&parts.first.id);
                draft.whole = true;
                draft.workload.data = data;
                draft.workload.findings = findings;
            }
            Subject::Claim(_) | Subject::Volume(_) | Subject::Class(_) => {
                let findings = self.judge(object);
                if !findings.is_empty() {
                    let id = parts.first.id.clone();
                    self.findings.insert(key(&id), (id, findings));
                }
            }
            _ => {}
        }
    }

    fn draft(&mut self, id: &ObjectRef) -> &mut Draft {
        self.workloads.entry(key(id)).or_insert_with(|| Draft {
            workload: MapWorkload {
                object: id.clone(),
                products: Vec::new(),
                data: Vec::new(),
                pods: Vec::new(),
                more_pods: 0,
                findings: Vec::new(),
                scheduling: Arc::default(),
            },
            whole: false,
            replicas: 0,
            first_ordinal: 0,
            kind: None,
            shared: BTreeMap::new(),
            templates: Vec::new(),
            ephemeral: Vec::new(),
            pods: BTreeMap::new(),
        })
    }

    fn add_whole(
        &mut self,
        facts: &Facts<'_>,
        workload: &Workload<'_>,
        object: &Value,
        findings: Vec<MapFinding>,
    ) {
        let data = paths::places(facts, workload, &self.lookup, self.policies.catalog());
        let draft = self.draft(&facts.id);
        draft.whole = true;
        draft.workload.data = data;
        draft.workload.findings = findings;
        draft.workload.scheduling = Arc::new(Scheduling::of(&workload.pod, true));
        draft.kind = Some(workload.kind);
        draft.replicas = match workload.kind {
            kind if kind.has_replicas() => workload.replicas,
            WorkloadKind::Job => workload.parallelism,
            _ => 0,
        };
        draft.first_ordinal =
            object.pointer("/spec/ordinals/start").and_then(Value::as_i64).unwrap_or_default();
        draft.shared = shared_claims(workload);
        draft.templates =
            workload.claim_templates.iter().map(|it| (it.name.to_owned(), it.spec.clone())).collect();
        draft.ephemeral = ephemeral(workload);
    }

    fn add_pod(&mut self, facts: &Facts<'_>, workload: &Workload<'_>, object: &Value) {
        let id = self.top(facts);
        let is_new = !self.workloads.contains_key(&key(&id));
        let name = facts.id.name.clone();
        let mut claims = shared_claims(workload);
        let ephemeral = ephemeral(workload);
        claims.extend(ephemeral.iter().map(|(volume, _)| (volume.clone(), format!("{name}-{volume}"))));
        let pod = MapPod {
            name: name.clone(),
            node: workload.pod.node_name.map(str::to_owned),
            exists: true,
            claims,
            node_at: None,
            mirror: facts.meta.annotation("kubernetes.io/config.mirror").is_some(),
        };
        if is_new {
            let data = paths::places(facts, workload, &self.lookup, self.policies.catalog());
            let findings = self.judge(object);
            let scheduling = Arc::new(Scheduling::of(&workload.pod, false));
            let draft = self.draft(&id);
            draft.workload.data = data;
            draft.workload.findings = findings;
            draft.workload.scheduling = scheduling;
            draft.kind = WorkloadKind::of(group(&id.api_version), &id.kind);
            draft.ephemeral = ephemeral;
        }
        self.draft(&id).pods.insert(name, pod);
    }

    /// What a pod belongs to, as far up as workloads go.
    fn top(&self, facts: &Facts<'_>) -> ObjectRef {
        let Some(owner) = facts.meta.controller else { return facts.id.clone() };
        let mut kind = owner.kind.to_owned();
        let mut name = owner.name.to_owned();
        let mut workload = owner.workload;
        // A ReplicaSet's Deployment, a Job's CronJob; more is not made.
        for _ in 0..2 {
            let Some(known) = workload.and_then(|_| self.lookup.owner(facts.namespace(), &kind, &name))
            else {
                break;
            };
            let Some(above) = known.controller.as_ref().filter(|above| above.workload.is_some()) else {
                break;
            };
            (kind, name, workload) = (above.kind.to_string(), above.name.to_string(), above.workload);
        }
        let api_version = match workload {
            Some(WorkloadKind::Job | WorkloadKind::CronJob) => "batch/v1",
            Some(WorkloadKind::ReplicationController) => "v1",
            Some(_) => "apps/v1",
            None => "",
        };
        ObjectRef { api_version: api_version.to_owned(), kind, namespace: facts.id.namespace.clone(), name }
    }

    fn judge(&mut self, object: &Value) -> Vec<MapFinding> {
        if self.found >= MOST_FINDINGS {
            return Vec::new();
        }
        let engine = Engine { policies: self.policies, lookup: &self.lookup, today: self.today };
        let review = Review { namespace: Some(self.namespace), ..Review::create(object) };
        let Ok(verdict) = engine.mutate_and_check(&review) else { return Vec::new() };
        let finding = |finding: crate::verdict::Finding| MapFinding {
            rule: finding.rule,
            action: finding.action,
            message: finding.message,
            excused: finding.excused,
        };
        let mut findings: Vec<MapFinding> = verdict.findings.into_iter().map(finding).collect();
        findings.sort_by_key(|finding| (finding.excused.is_some(), std::cmp::Reverse(finding.action)));
        findings.truncate(MOST_OF_ONE);
        self.found += findings.len();
        findings
    }
}

impl Draft {
    /// Pods of a workload that has none in the input, as far as it says how many there are to be.
    fn make_up_pods(&mut self, left: &mut i64) {
        if let Some(WorkloadKind::StatefulSet) = self.kind {
            for pod in self.pods.values_mut() {
                pod.claims.extend(
                    self.templates.iter().map(|(name, _)| (name.clone(), format!("{name}-{}", pod.name))),
                );
            }
        }
        if !self.pods.is_empty() || self.replicas <= 0 {
            return;
        }
        let made = self.replicas.min(MOST_MADE_UP).min(*left).max(0);
        *left -= made;
        self.workload.more_pods = self.replicas.saturating_sub(made);
        let set = self.kind == Some(WorkloadKind::StatefulSet);
        for number in 0..made {
            let name = match set {
                true => {
                    format!("{}-{}", self.workload.object.name, self.first_ordinal.saturating_add(number))
                }
                false => format!("{}-#{}", self.workload.object.name, number + 1),
            };
            let mut claims = self.shared.clone();
            let own = self.templates.iter().map(|(volume, _)| (volume.clone(), format!("{volume}-{name}")));
            claims.extend(own);
            claims.extend(
                self.ephemeral.iter().map(|(volume, _)| (volume.clone(), format!("{name}-{volume}"))),
            );
            let pod = MapPod {
                name: name.clone(),
                node: None,
                exists: false,
                claims,
                node_at: None,
                mirror: false,
            };
            self.pods.insert(name, pod);
        }
    }
}

fn key(id: &ObjectRef) -> Key {
    (id.kind.clone(), id.namespace.clone().unwrap_or_default(), id.name.clone())
}

fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// The claims that a pod names, by pod volume.
fn shared_claims(workload: &Workload<'_>) -> BTreeMap<String, String> {
    let claim = |volume: &crate::facts::PodVolume<'_>| match volume.source {
        VolumeSource::Claim { name, .. } => Some((volume.name.to_owned(), name.to_owned())),
        _ => None,
    };
    workload.pod.volumes.iter().filter_map(claim).collect()
}

fn ephemeral(workload: &Workload<'_>) -> Vec<(String, ClaimSpec)> {
    let spec = |volume: &crate::facts::PodVolume<'_>| match &volume.source {
        VolumeSource::Ephemeral(spec) => Some((volume.name.to_owned(), (**spec).clone())),
        _ => None,
    };
    workload.pod.volumes.iter().filter_map(spec).collect()
}

/// Whether a pod or a Job has done its work.
fn is_over(object: &Value) -> bool {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    match text("/kind") {
        "Pod" => matches!(text("/status/phase"), "Succeeded" | "Failed"),
        "Job" => {
            let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
            let holds = |condition: &Value| {
                matches!(condition.get("type").and_then(Value::as_str), Some("Complete" | "Failed"))
                    && condition.get("status").and_then(Value::as_str) == Some("True")
            };
            conditions.into_iter().flatten().any(holds)
        }
        _ => false,
    }
}

fn is_ready(node: &Value) -> bool {
    let conditions = node.pointer("/status/conditions").and_then(Value::as_array);
    let Some(conditions) = conditions else { return true };
    let ready = conditions.iter().find(|it| it.get("type").and_then(Value::as_str) == Some("Ready"));
    ready.is_none_or(|ready| ready.get("status").and_then(Value::as_str) == Some("True"))
}
