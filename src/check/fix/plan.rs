//! What is written so that the data of one workload last.

use super::names::{Names, as_name, free_volume};
use super::operations::Operations;
use super::spread::{Scalers, group_of_user, obstacle};
use super::volumes::{Home, Source, homes};
use super::wanted::Wanted;
use crate::facts::{ClaimTemplate, Facts, PodVolume, Workload, WorkloadKind};
use crate::lookup::Lookup;
use crate::model::FieldPath;
use crate::storage::Storage;
use crate::verdict::LostData;
use json_patch::Patch;
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashSet};

/// How much is asked for where nothing says more.
const SIZE: &str = "8Gi";

/// What is written for one workload.
pub(super) struct Plan {
    /// The changes of the object.
    pub(super) patch: Patch,
    /// The new claims.
    pub(super) claims: Vec<Value>,
    /// Where the data lie then, a line each.
    pub(super) done: Vec<String>,
    /// What whoever applies it must know.
    pub(super) notes: Vec<String>,
}

/// What plans are made of besides the object.
pub(super) struct Planner<'r> {
    pub(super) lookup: &'r dyn Lookup,
    pub(super) scalers: Scalers,
    pub(super) names: Names,
    pub(super) wanted: &'r Wanted,
}

impl Planner<'_> {
    /// What is to be written for an object, or why nothing can be.
    pub(super) fn plan(
        &mut self,
        facts: &Facts<'_>,
        object: &Value,
        lost: &[&LostData],
    ) -> Result<Plan, String> {
        let workload = facts.workload().ok_or("nothing is known of its pods")?;
        if let Some(why) = obstacle(facts, workload, &self.scalers) {
            return Err(why);
        }
        let storage = Storage::new(workload, facts.namespace(), self.lookup);
        let homes = homes(workload, storage, object, lost)?;
        let mut draft = Draft::new(facts, workload, object);
        for home in &homes {
            draft.give(home, self)?;
        }
        draft.let_one_run();
        draft.let_the_user_write(&homes);
        Ok(draft.finish())
    }
}

struct Draft<'o, 'w, 'a> {
    facts: &'w Facts<'a>,
    workload: &'w Workload<'a>,
    object: &'o Value,
    pod: FieldPath,
    operations: Operations<'o>,
    /// The names of pod volumes and claim templates.
    names: HashSet<String>,
    templates: Vec<Value>,
    volumes: Vec<Value>,
    /// The pod volumes that go, by their indexes.
    gone: Vec<usize>,
    /// New mounts by container.
    mounts: Vec<(FieldPath, Vec<Value>)>,
    claims: Vec<Value>,
    done: Vec<String>,
    /// What the data lay on, in words.
    left: BTreeSet<&'static str>,
}

impl<'o, 'w, 'a> Draft<'o, 'w, 'a> {
    fn new(facts: &'w Facts<'a>, workload: &'w Workload<'a>, object: &'o Value) -> Self {
        let pod = workload.pod.path();
        let volumes = workload.pod.volumes.iter().map(|volume: &PodVolume<'_>| volume.name);
        let templates = workload.claim_templates.iter().map(|template: &ClaimTemplate<'_>| template.name);
        let names = volumes.chain(templates).map(str::to_owned).collect();
        Self {
            facts,
            workload,
            object,
            pod,
            operations: Operations::on(object),
            names,
            templates: Vec::new(),
            volumes: Vec::new(),
            gone: Vec::new(),
            mounts: Vec::new(),
            claims: Vec::new(),
            done: Vec::new(),
            left: BTreeSet::new(),
        }
    }

    /// Gives data a claim.
    fn give(&mut self, home: &Home<'_, '_>, planner: &mut Planner<'_>) -> Result<(), String> {
        let is_set = self.workload.kind == WorkloadKind::StatefulSet;
        let taken = || "all names for its claim are taken".to_owned();
        let (namespace, own) = (self.facts.namespace(), &self.facts.id.name);
        let kept = home.from.as_ref().filter(|from| from.is_whole()).map(|from| from.volume.name);
        let kept = kept
            .filter(|name| !is_set || planner.names.is_free_template(planner.lookup, namespace, own, name));
        let volume = match kept {
            Some(name) => name.to_owned(),
            None => {
                let is_free = |name: &str| {
                    !self.names.contains(name)
                        && (!is_set || planner.names.is_free_template(planner.lookup, namespace, own, name))
                };
                let container = as_name(home.container.name);
                let of_container = format!("{container}-data");
                let plain = ["data", of_container.as_str()].into_iter().find(|name| is_free(name));
                plain.map(str::to_owned).or_else(|| free_volume("data", is_free)).ok_or_else(taken)?
            }
        };
        let (spec, size) = spec(home, planner.wanted);
        let paths = home.paths.join(" and ");
        let lie = if home.paths.len() > 1 { "lie" } else { "lies" };
        if is_set {
            self.templates.push(json!({"metadata": {"name": volume}, "spec": spec}));
            self.done.push(format!("{paths} {lie} on claims of the template {volume}, {size} each"));
        } else {
            let claim = planner.names.claim(planner.lookup, namespace, &format!("{own}-{volume}"));
            let claim = claim.ok_or_else(taken)?;
            let mut metadata = Map::from_iter([("name".to_owned(), json!(claim))]);
            if let Some(namespace) =
                self.object.pointer("/metadata/namespace").filter(|name| name.is_string())
            {
                metadata.insert("namespace".to_owned(), namespace.clone());
            }
            let object = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec});
            self.claims.push(object);
            self.done.push(format!("{paths} {lie} on the claim {claim}, {size}"));
            self.back(home, kept.is_some(), &volume, &claim);
        }
        if let Some(from) = &home.from {
            self.take_from(from, kept.is_some(), &volume);
        }
        let mounts = home.mounts.iter().map(|(path, sub_path)| {
            let mut mount =
                Map::from_iter([("name".to_owned(), json!(volume)), ("mountPath".to_owned(), json!(path))]);
            mount.extend(sub_path.iter().map(|sub_path| ("subPath".to_owned(), json!(sub_path))));
            Value::Object(mount)
        });
        let mounts: Vec<Value> = mounts.collect();
        let container = home.container.path(&self.pod);
        match self.mounts.iter_mut().find(|(known, _)| *known == container) {
            Some((_, known)) => known.extend(mounts),
            None => self.mounts.push((container, mounts)),
        }
        self.names.insert(volume);
        Ok(())
    }

    /// Puts a claim behind a pod volume, the one that is there or a new one.
    fn back(&mut self, home: &Home<'_, '_>, keeps_name: bool, volume: &str, claim: &str) {
        let source = json!({"claimName": claim});
        match home.from.as_ref().filter(|_| keeps_name) {
            Some(from) => {
                let at = from.volume.path(&self.pod);
                self.operations.set(&at.key("persistentVolumeClaim"), source);
                for field in [from.volume.source.field(), from.volume.second].into_iter().flatten() {
                    self.operations.remove(&at.key(field.to_owned()));
                }
            }
            None => self.volumes.push(json!({"name": volume, "persistentVolumeClaim": source})),
        }
    }

    /// Takes the mounts of data away from the pod volume on which they lie today.
    fn take_from(&mut self, from: &Source<'_, '_>, keeps_name: bool, volume: &str) {
        self.left.insert(match from.volume.source.field() {
            Some("hostPath") => "the hostPath",
            Some("ephemeral") => "the ephemeral volume",
            Some("csi") => "the inline volume",
            _ => "the emptyDir",
        });
        if !keeps_name {
            for mount in &from.mounts {
                self.operations.set(&mount.key("name"), json!(volume));
            }
        }
        if let Some((mount, sub_path)) = &from.sub_path {
            self.operations.set(&mount.key("subPath"), json!(sub_path));
        }
        let is_set = self.workload.kind == WorkloadKind::StatefulSet;
        if from.is_whole() && (is_set || !keeps_name) {
            self.gone.push(from.volume.index);
        }
    }

    /// Sees to it that no two pods use a claim at a time.
    fn let_one_run(&mut self) {
        let spec = FieldPath::root().key("spec");
        match self.workload.kind {
            WorkloadKind::Deployment if self.workload.strategy != Some("Recreate") => {
                let strategy = spec.key("strategy");
                self.operations.set_in(&strategy, "type", json!("Recreate"));
                self.operations.remove(&strategy.key("rollingUpdate"));
            }
            WorkloadKind::CronJob if self.workload.concurrency == Some("Allow") => {
                self.operations.set(&spec.key("concurrencyPolicy"), json!("Forbid"));
            }
            _ => {}
        }
    }

    /// Lets a user that is not root write to a new file system.
    fn let_the_user_write(&mut self, homes: &[Home<'_, '_>]) {
        let value = |at: &FieldPath| self.object.pointer(&at.to_json_pointer());
        let Some(pod) = value(&self.pod) else { return };
        let group = homes.iter().find_map(|home| group_of_user(pod, value(&home.container.path(&self.pod))));
        if let Some(group) = group {
            self.operations.set_in(&self.pod.key("securityContext"), "fsGroup", json!(group));
        }
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let name = &self.facts.id.name;
        let namespace = self.object.pointer("/metadata/namespace").and_then(Value::as_str);
        let namespace = namespace.map_or_else(String::new, |namespace| format!(" -n {namespace}"));
        let lost = match self.left.iter().copied().collect::<Vec<_>>().join(" and ") {
            left if left.is_empty() => "what the containers have written is not carried over".to_owned(),
            left => format!("what is in {left} is not carried over"),
        };
        match self.workload.kind {
            WorkloadKind::StatefulSet => notes.push(format!(
                "if it runs already: its claim templates cannot be changed, so run `kubectl delete sts {name}{namespace} \
                 --cascade=orphan` and then apply; {lost}"
            )),
            WorkloadKind::Deployment => {
                notes.push(format!("the old pod ends before the new one starts (Recreate); {lost}"));
            }
            WorkloadKind::Pod | WorkloadKind::Job => {
                let kind = &self.facts.id.kind;
                notes.push(format!("if it is there already: a {kind} cannot be changed so, delete it first; {lost}"));
            }
            _ => notes.push(format!("if it runs already: {lost}")),
        }
        notes
    }

    fn finish(mut self) -> Plan {
        let notes = self.notes();
        for (container, mounts) in std::mem::take(&mut self.mounts) {
            self.operations.append(&container.key("volumeMounts"), mounts);
        }
        self.operations.append(&self.pod.key("volumes"), std::mem::take(&mut self.volumes));
        let templates = FieldPath::root().key("spec").key("volumeClaimTemplates");
        self.operations.append(&templates, std::mem::take(&mut self.templates));
        self.operations.remove_items(&self.pod.key("volumes"), std::mem::take(&mut self.gone));
        Plan { patch: self.operations.finish(), claims: self.claims, done: self.done, notes }
    }
}

/// What a claim asks for, and its size in words.
fn spec(home: &Home<'_, '_>, wanted: &Wanted) -> (Value, String) {
    let written = home.spec.as_ref().and_then(Value::as_object).cloned();
    let mut spec = written.unwrap_or_else(|| {
        let size = home.size.as_deref().unwrap_or(SIZE);
        let spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}});
        spec.as_object().cloned().unwrap_or_default()
    });
    if let Some(size) = &wanted.size {
        spec.insert("resources".to_owned(), json!({"requests": {"storage": size}}));
    }
    if let Some(class) = &wanted.class {
        spec.insert("storageClassName".to_owned(), json!(class));
    }
    let spec = Value::Object(spec);
    let size = spec.pointer("/resources/requests/storage");
    let size =
        size.map_or_else(String::new, |size| size.as_str().map_or_else(|| size.to_string(), str::to_owned));
    (spec, size)
}
