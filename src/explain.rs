//! The durability table of manifests: what a person wants to see of a pod. Pure.

use crate::check::{Fault, Input, Report, Run, manifests, read_faults};
use crate::facts::{Facts, Lies, Section, Store, Subject};
use crate::model::{Durability, Fate, FieldPath, ObjectRef, Reach};
use crate::rule::Subjects;
use crate::storage::{
    DataPath, Keeper, Place, Storage, UnplacedData, Why, data_paths, products, store_fate, with_templates,
};
use serde::Serialize;
use std::collections::HashMap;

/// One path of one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The object.
    pub object: ObjectRef,
    /// The container.
    pub container: String,
    /// `init`, `sidecar`, `main` or `ephemeral`; `operator` for what a custom resource says of a product's data.
    pub section: &'static str,
    /// The path; `/` for the writable layer, `not known` for data that may lie anywhere.
    pub path: String,
    /// The least durability that is possible.
    pub durability: Durability,
    /// The greatest durability that is possible; the same when it is certain.
    pub at_most: Durability,
    /// What has to happen for the data to be lost.
    pub lost_when: &'static str,
    /// Where the data can be used from.
    pub reach: Reach,
    /// What backs it: `writable layer`, `emptyDir cache`, `claim data`, …
    pub volume: String,
    /// Whose data lies there, when it is data that must last; with a `?` where that is a guess.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_of: Option<String>,
    /// The field that puts it there.
    pub field: String,
    /// The file.
    pub file: String,
    /// The line of the field, from 1.
    pub line: usize,
}

/// The table of every workload among the inputs, and what could not be read.
pub fn explain(run: &Run<'_>, inputs: &[Input]) -> (Vec<Row>, Vec<Fault>) {
    let mut report = Report::default();
    read_faults(inputs, &mut report);
    let lookup = run.lookup(inputs);
    let mut rows = Vec::new();
    for manifest in manifests(inputs).into_iter().filter(|manifest| !manifest.patch) {
        if !manifest.is_object() {
            if inputs.get(manifest.input).is_some_and(|input| input.named) {
                report.faults.push(manifest.no_object());
            }
            continue;
        }
        let kinds = run.policies.catalog().kinds();
        let parts = match Facts::read_all(&*manifest.value, Some(run.namespace), kinds) {
            Ok(parts) => parts,
            Err(fault) => {
                let message = format!("failed to read this object: {fault}");
                report.faults.push(Fault { spot: Some(manifest.spot(&fault.path)), message, help: None });
                continue;
            }
        };
        for facts in parts.iter() {
            let source = inputs.get(manifest.input).map(|input| &input.source);
            let mut push = |row: Row, field: &FieldPath| {
                let line = source.map_or(0, |source| source.position(manifest.spot(field).start).line);
                let file = source.map(|source| source.name.clone()).unwrap_or_default();
                rows.push(Row { line, file, field: field.to_string(), ..row });
            };
            if let Subject::Custom(custom) = &facts.subject {
                for store in &custom.stores {
                    let store = with_templates(store, facts.namespace(), &lookup);
                    if let Some(fate) = store_fate(&store, &lookup) {
                        push(store_row(facts, &store, fate), &store.field);
                    }
                }
            }
            let Some(workload) = facts.workload() else { continue };
            let storage = Storage::new(workload, facts.namespace(), &lookup);
            let catalog = run.policies.catalog();
            let products = products(workload, facts.namespace(), &lookup, catalog);
            let set_or_job = Subjects::new(facts, &lookup, None).is_set_or_job();
            let keeper = Keeper { workload, storage, catalog, products: &products, set_or_job };
            let data = data_paths(&keeper, &[], []);
            let pod = workload.pod.path();
            let mut owners: HashMap<(&str, &str, bool), &DataPath<'_, '_>> = HashMap::new();
            for data in data.rows() {
                let key = (data.container.name, data.path.as_str(), data.cover.mount.is_some());
                owners.entry(key).or_insert(data);
            }
            for path in storage.table() {
                let owner =
                    owners.get(&(path.container.name, path.path.as_str(), path.cover.mount.is_some()));
                let row = row(
                    facts,
                    path.container.name,
                    path.container.section,
                    &path.path,
                    &path.cover,
                    owner.copied(),
                );
                push(row, &path.field);
            }
            // A data directory that is no mount of its own is a row as well: it is what the table is looked at for.
            for data in data.rows() {
                let is_mount = data.cover.mount.is_some_and(|mount| mount.path == data.path)
                    || data.container.mounts.iter().any(|mount| mount.path == data.path);
                if !is_mount {
                    let row = row(
                        facts,
                        data.container.name,
                        data.container.section,
                        data.path.as_str(),
                        &data.cover,
                        Some(data),
                    );
                    push(row, &data.container.path(&pod).key("image"));
                }
            }
            for data in &data.unplaced {
                push(unplaced_row(facts, data), &data.container.path(&pod).key("image"));
            }
        }
    }
    report.faults.sort_by(|a, b| a.spot.cmp(&b.spot));
    (rows, report.faults)
}

/// Data of which only the product is known: it may lie anywhere in the container.
fn unplaced_row(facts: &Facts<'_>, data: &UnplacedData<'_, '_>) -> Row {
    Row {
        object: facts.id.clone(),
        container: data.container.name.to_owned(),
        section: section_name(data.container.section),
        path: "not known".to_owned(),
        durability: Durability::Container,
        at_most: Durability::Volume,
        lost_when: Durability::Container.lost_when(),
        reach: Reach::Unknown,
        volume: "not known".to_owned(),
        data_of: Some(data.product.to_owned()),
        field: String::new(),
        file: String::new(),
        line: 0,
    }
}

/// What a custom resource says of a product's data.
fn store_row(facts: &Facts<'_>, store: &Store<'_>, fate: Fate) -> Row {
    let volume = match store.lies {
        Lies::Claim => "claim",
        Lies::EmptyDir => "emptyDir",
        Lies::Memory => "memory",
        Lies::HostPath => "hostPath",
        Lies::WritableLayer => "writable layer",
        Lies::Unknown | Lies::Nowhere => "not known",
    };
    Row {
        object: facts.id.clone(),
        container: "-".to_owned(),
        section: "operator",
        path: "-".to_owned(),
        durability: fate.least,
        at_most: fate.most,
        lost_when: fate.least.lost_when(),
        reach: fate.reach,
        volume: volume.to_owned(),
        data_of: Some(store.product.to_owned()),
        field: String::new(),
        file: String::new(),
        line: 0,
    }
}

fn section_name(section: Section) -> &'static str {
    match section {
        Section::Init => "init",
        Section::Sidecar => "sidecar",
        Section::Main => "main",
        Section::Ephemeral => "ephemeral",
    }
}

fn row(
    facts: &Facts<'_>,
    container: &str,
    section: Section,
    path: &str,
    cover: &crate::storage::Cover<'_, '_>,
    owner: Option<&DataPath<'_, '_>>,
) -> Row {
    let volume = match cover.place {
        Place::WritableLayer => "writable layer".to_owned(),
        Place::Missing => "missing".to_owned(),
        Place::Template(template) => format!("claim template {}", template.name),
        Place::Volume(volume) => format!("{} {}", volume.source.field().unwrap_or("emptyDir"), volume.name),
    };
    Row {
        object: facts.id.clone(),
        container: container.to_owned(),
        section: section_name(section),
        path: path.to_owned(),
        durability: cover.fate.least,
        at_most: cover.fate.most,
        lost_when: cover.fate.least.lost_when(),
        reach: cover.fate.reach,
        volume,
        data_of: owner.map(|data| match data.why {
            Why::Named => "by its name".to_owned(),
            Why::Called => "by the image's name".to_owned(),
            Why::File { by, .. } => format!("by {by}"),
            why => format!("{}{}", whose(why), if data.certain { "" } else { "?" }),
        }),
        field: String::new(),
        file: String::new(),
        line: 0,
    }
}

fn whose(why: Why<'_>) -> &str {
    match why {
        Why::Product { name, .. } | Why::Resembles { name } => name,
        Why::Named => "its name",
        Why::Called => "the image's name",
        Why::File { by, .. } => by,
        Why::StatefulSet => "StatefulSet",
        Why::Policy => "policy",
    }
}
