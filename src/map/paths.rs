//! Where the containers of a workload can write, by pod volume, with the product whose data lies there.

use super::{Backing, MapData};
use crate::catalog::Catalog;
use crate::facts::{Container, CustomFacts, Facts, Lies, VolumeSource, Workload};
use crate::lookup::Lookup;
use crate::model::{Durability, Fate};
use crate::rule::Subjects;
use crate::storage::{Cover, Keeper, Place, Storage, Why, data_paths, products, store_fate, with_templates};
use std::collections::BTreeMap;

/// How many paths of one pod volume are named.
const MOST_PATHS: usize = 8;

/// The places of a workload's pods, those first whose data is lost soonest.
pub(super) fn places(
    facts: &Facts<'_>,
    workload: &Workload<'_>,
    lookup: &dyn Lookup,
    catalog: &Catalog,
) -> Vec<MapData> {
    let storage = Storage::new(workload, facts.namespace(), lookup);
    let products = products(workload, facts.namespace(), lookup, catalog);
    let set_or_job = Subjects::new(facts, lookup, None).is_set_or_job();
    let keeper = Keeper { workload, storage, catalog, products: &products, set_or_job };
    let data = data_paths(&keeper, &[], []);
    let mut places = Places::default();
    for row in data.rows().filter(|row| !row.cover.read_only) {
        places.add(row.container, row.path.as_str(), &row.cover, Some((&whose(row.why), row.certain)));
    }
    for row in &data.unplaced {
        let path = format!("{}: somewhere", row.container.name);
        let found = MapData {
            durability: Durability::Container,
            at_most: Durability::Volume,
            backing: "not known".to_owned(),
            paths: vec![path.clone()],
            data_of: Some(row.product.to_owned()),
            certain: false,
            kind: Backing::Unknown,
            volume: None,
        };
        places.0.insert((String::new(), path), found);
    }
    // The writable layer is everywhere; it is a place of its own only where data lies in it.
    for row in storage.table().iter().filter(|row| row.cover.mount.is_some() || row.device) {
        places.add(row.container, &row.path, &row.cover, None);
    }
    places.sorted()
}

/// The places that a custom resource speaks of.
pub(super) fn of_custom(custom: &CustomFacts<'_>, namespace: &str, lookup: &dyn Lookup) -> Vec<MapData> {
    let mut places = Places::default();
    for store in &custom.stores {
        let store = with_templates(store, namespace, lookup);
        let Some(fate) = store_fate(&store, lookup) else { continue };
        let (kind, backing) = match store.lies {
            Lies::Claim => (Backing::Unknown, "claim of the operator"),
            Lies::EmptyDir => (Backing::Pod, "emptyDir"),
            Lies::Memory => (Backing::Pod, "memory"),
            Lies::HostPath => (Backing::Node, "hostPath"),
            Lies::WritableLayer => (Backing::Pod, "writable layer"),
            Lies::Unknown | Lies::Nowhere => (Backing::Unknown, "not known"),
        };
        let path = store.field.to_string();
        let found = MapData {
            durability: fate.least,
            at_most: fate.most,
            backing: backing.to_owned(),
            paths: vec![path.clone()],
            data_of: Some(store.product.to_owned()),
            certain: true,
            kind,
            volume: None,
        };
        places.0.insert((backing.to_owned(), path), found);
    }
    places.sorted()
}

fn whose(why: Why<'_>) -> String {
    match why {
        Why::Product { name, .. } | Why::Resembles { name } => name.to_owned(),
        Why::Named => "named as data".to_owned(),
        Why::Called => "named as a database".to_owned(),
        Why::File { by, .. } => format!("a database, by {by}"),
        Why::StatefulSet => "StatefulSet".to_owned(),
        Why::Policy => "policy".to_owned(),
    }
}

/// By what backs them, and for what no pod volume backs by their path.
#[derive(Default)]
struct Places(BTreeMap<(String, String), MapData>);

impl Places {
    fn add(
        &mut self,
        container: &Container<'_>,
        path: &str,
        cover: &Cover<'_, '_>,
        data: Option<(&str, bool)>,
    ) {
        let (kind, backing, volume) = backing(cover);
        let at = format!("{}:{path}", container.name);
        let key = match volume {
            Some(volume) => (volume.to_owned(), String::new()),
            None => (String::new(), at.clone()),
        };
        let Fate { least, most, .. } = cover.fate;
        let place = self.0.entry(key).or_insert_with(|| MapData {
            durability: least,
            at_most: most,
            backing,
            paths: Vec::new(),
            data_of: None,
            certain: false,
            kind,
            volume: volume.map(str::to_owned),
        });
        if place.paths.len() < MOST_PATHS && !place.paths.contains(&at) {
            place.paths.push(at);
        }
        if let Some((name, certain)) = data {
            if place.data_of.is_none() || (certain && !place.certain) {
                place.data_of = Some(name.to_owned());
            }
            place.certain |= certain;
        }
    }

    fn sorted(self) -> Vec<MapData> {
        let mut places: Vec<MapData> = self.0.into_values().collect();
        places.sort_by_key(|place| (place.data_of.is_none(), place.durability, place.at_most));
        places
    }
}

fn backing<'a>(cover: &Cover<'_, 'a>) -> (Backing, String, Option<&'a str>) {
    match cover.place {
        Place::WritableLayer => (Backing::Pod, "writable layer".to_owned(), None),
        Place::Missing => {
            (Backing::Unknown, "missing pod volume".to_owned(), cover.mount.map(|mount| mount.volume))
        }
        Place::Template(template) => {
            (Backing::Claim, format!("claim template {}", template.name), Some(template.name))
        }
        Place::Volume(volume) => {
            let name = volume.name;
            let (kind, words) = match &volume.source {
                VolumeSource::HostPath { path, .. } => (Backing::Node, format!("hostPath {path}")),
                VolumeSource::Claim { name: claim, .. } => (Backing::Claim, format!("claim {claim}")),
                VolumeSource::Ephemeral(_) => (Backing::Pod, format!("ephemeral volume {name}")),
                VolumeSource::EmptyDir { medium: "Memory", .. } => {
                    (Backing::Pod, format!("emptyDir {name} in memory"))
                }
                VolumeSource::Network { kind, .. } => (Backing::Network, format!("{kind} {name}")),
                VolumeSource::Csi { driver, .. } if volume.source.is_shared_storage() => {
                    (Backing::Network, format!("csi {driver}"))
                }
                VolumeSource::Unknown(_) if !volume.source.is_misspelt() => {
                    (Backing::Unknown, format!("unknown volume {name}"))
                }
                source => (Backing::Pod, format!("{} {name}", source.field().unwrap_or("emptyDir"))),
            };
            (kind, words, Some(name))
        }
    }
}

/// What stands for data of which no product is known.
const NO_PRODUCTS: [&str; 4] = ["StatefulSet", "named as a database", "named as data", "policy"];

/// The products whose data lies in these places.
pub(super) fn products_of(places: &[MapData]) -> Vec<String> {
    let named = places.iter().filter_map(|place| place.data_of.as_ref());
    let mut products: Vec<String> =
        named.filter(|name| !NO_PRODUCTS.contains(&name.as_str())).cloned().collect();
    products.sort_unstable();
    products.dedup();
    products
}
