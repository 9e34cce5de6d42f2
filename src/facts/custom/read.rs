use super::path::{Path, Steps};
use super::store::{Store, TemplateFacts};
use super::table::{CustomKind, Lies, PodsAt};
use crate::facts::{FactsFault, Meta, Workload};
use crate::json::Node;
use crate::model::{FieldPath, ObjectRef};

/// How many pod templates of one custom resource are read.
const MOST_TEMPLATES: usize = 32;
/// How many containers, and how many mounts, they may have together: as many as one pod.
const MOST_CONTAINERS: usize = 1_000;
const MOST_MOUNTS: usize = 10_000;

/// What a custom resource says of storage, besides its pod templates.
#[derive(Debug)]
pub struct CustomFacts<'a> {
    /// The entry of the table.
    pub entry: &'a CustomKind,
    /// Where it says that data lie.
    pub stores: Vec<Store<'a>>,
    /// The parts that cannot be read, and why: another version of the operator may take what this one does not know.
    pub unread: Vec<FactsFault>,
}

impl<'a> CustomFacts<'a> {
    /// Reads an object of a kind of the table, with its pod templates.
    pub(in crate::facts) fn read(
        object: Node<'a>,
        entry: &'a CustomKind,
        own: Meta<'a>,
    ) -> (Self, Vec<Workload<'a>>) {
        let steps = Steps::default();
        let mut custom = Self { entry, stores: Vec::new(), unread: Vec::new() };
        let mut pods = Vec::new();
        for at in &entry.pods {
            custom.read_pods(object, at, own, &steps, &mut pods);
        }
        let templates = pods.len();
        for pod in &mut pods {
            pod.templates = templates;
        }
        // What has a status and asks for nothing is what a test expects of an operator, or what an operator writes.
        let has = |key| object.get(key).is_some_and(|part| !part.is_null());
        if has("status") && !has("spec") {
            return (custom, pods);
        }
        custom.stores = entry.stores.iter().flat_map(|at| Store::all(entry, at, object, &steps)).collect();
        if steps.are_spent() {
            custom
                .unread
                .push(too_much(FieldPath::root().key("spec"), "it has more fields than are looked at"));
        }
        (custom, pods)
    }

    fn read_pods(
        &mut self,
        object: Node<'a>,
        at: &'a PodsAt,
        own: Meta<'a>,
        steps: &Steps,
        pods: &mut Vec<Workload<'a>>,
    ) {
        let count = |pods: &[Workload<'_>]| {
            let containers = || pods.iter().flat_map(|pod| &pod.pod.containers);
            let mounts = containers().map(|container| container.mounts.len() + container.devices.len());
            (containers().count(), mounts.sum::<usize>())
        };
        for (path, template) in Path(&at.at).all(object, steps) {
            if pods.len() >= MOST_TEMPLATES {
                self.unread.push(too_much(
                    path,
                    format!("only the first {MOST_TEMPLATES} pod templates are judged"),
                ));
                return;
            }
            let read = match &at.parts {
                None => Workload::of_template(object, &path, template, at, own).map(Some),
                Some(parts) => Workload::of_parts(object, &path, template, (at, parts), own, steps),
            };
            match read {
                Ok(Some(workload)) => pods.push(workload),
                Ok(None) => continue,
                Err(fault) => {
                    self.unread.push(FactsFault { path: path.join(&fault.path), ..fault });
                    continue;
                }
            }
            let (containers, mounts) = count(pods);
            if containers > MOST_CONTAINERS || mounts > MOST_MOUNTS {
                pods.pop();
                let why = format!(
                    "the pod templates have more than {MOST_CONTAINERS} containers or {MOST_MOUNTS} mounts up to here"
                );
                self.unread.push(too_much(path, why));
                return;
            }
        }
    }

    /// What it says to those that name it, if its objects are templates.
    pub fn template(&self, id: &ObjectRef) -> Option<TemplateFacts> {
        if !self.entry.template {
            return None;
        }
        let says = self.stores.iter().find(|store| store.lies != Lies::Nowhere);
        Some(TemplateFacts {
            kind: id.kind.clone(),
            namespace: id.namespace.clone().unwrap_or_default(),
            name: id.name.clone(),
            lies: says.map_or(Lies::Nowhere, |store| store.lies),
            claims: says.map_or_else(Vec::new, |store| store.claims.clone()),
        })
    }

    /// Remembers what the object said before it was changed.
    pub(in crate::facts) fn compare(&mut self, old: &CustomFacts<'_>) {
        for store in &mut self.stores {
            store.compare(&old.stores);
        }
    }
}

fn too_much(path: FieldPath, message: impl Into<String>) -> FactsFault {
    FactsFault { path, message: message.into() }
}
