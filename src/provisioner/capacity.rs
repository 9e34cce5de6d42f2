//! What of each node the scheduler should know.

use super::class::Parameters;
use super::objects::{Class, Storage};
use super::settings::Settings;
use super::world::World;
use crate::model::fnv1a;
use std::collections::BTreeMap;

/// The label of the objects, with the provisioner's name.
pub const CAPACITY_LABEL: &str = "volgate.dev/provisioner";

/// A difference that is worth a write: this many bytes, or that part of the whole.
const WORTH_BYTES: i64 = 64 << 20;
const WORTH_PART: i64 = 50;

/// What a class can still have on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capacity {
    /// The class.
    pub class: String,
    /// The node, by the value of its hostname label.
    pub hostname: String,
    /// How many bytes.
    pub bytes: i64,
}

impl Capacity {
    /// Whether it is about the same class and node.
    pub fn same_place(&self, other: &Self) -> bool {
        (&self.class, &self.hostname) == (&other.class, &other.hostname)
    }

    /// Whether the difference is worth a write.
    pub fn differs(&self, other: &Self) -> bool {
        let difference = self.bytes.abs_diff(other.bytes);
        let part = self.bytes.max(other.bytes).unsigned_abs() / WORTH_PART.unsigned_abs();
        let emptied = (self.bytes <= 0) != (other.bytes <= 0);
        emptied || difference >= part.min(WORTH_BYTES.unsigned_abs()).max(1)
    }
}

/// What there is of each class on each node, by the name of its object. None where the provisioner's name cannot be
/// that of a CSIDriver, without which the scheduler does not look.
pub fn capacities(world: &World, settings: &Settings) -> BTreeMap<String, Capacity> {
    let mut all = BTreeMap::new();
    if !can_be_driver(world.provisioner()) {
        return all;
    }
    for class in world.own_classes() {
        let Ok(parameters) = Parameters::of(class) else { continue };
        for storage in world.storages() {
            let Some(node) = world.node(&storage.node).filter(|node| class.allows(node)) else { continue };
            let bytes = room(class, &parameters, settings, storage).max(0);
            let capacity =
                Capacity { class: class.facts.name.clone(), hostname: node.hostname().to_owned(), bytes };
            all.insert(name(world.provisioner(), &class.facts.name, &node.name), capacity);
        }
    }
    all
}

/// The room of the base with the most, among those that the class can have on the node.
fn room(class: &Class, parameters: &Parameters, settings: &Settings, storage: &Storage) -> i64 {
    let paths = settings.bases.of(&class.facts.name, &storage.node).unwrap_or_default();
    let wanted = |path: &str| match &parameters.node_path {
        Some(wanted) => wanted == path,
        None => paths.iter().any(|known| known == path),
    };
    let bases =
        storage.bases.iter().filter(|base| base.usable && base.backends.contains(&parameters.backend));
    bases.filter(|base| wanted(&base.path)).map(|base| base.available_bytes).max().unwrap_or(0)
}

/// A name that is the same whoever writes it, of whatever build.
fn name(provisioner: &str, class: &str, node: &str) -> String {
    format!("volgate-{:016x}", fnv1a(&[provisioner, class, node].join("\n")))
}

/// Whether a CSIDriver can have that name: a DNS name of at most 63 characters.
fn can_be_driver(name: &str) -> bool {
    let good = |part: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !part.is_empty() && part.chars().all(inner) && !part.starts_with('-') && !part.ends_with('-')
    };
    name.len() <= 63 && name.split('.').all(good)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provisioner::{Change, Node};
    use serde_json::json;

    fn world(provisioner: &str) -> World {
        let mut world = World::new(provisioner);
        let class = |name: &str, provisioner: &str, backend: &str| {
            Class::read(&json!({"metadata": {"name": name}, "provisioner": provisioner, "parameters": {"backend": backend}}))
                .unwrap()
        };
        class("plain", provisioner, "directory").put(&mut world);
        class("device", provisioner, "loop").put(&mut world);
        class("other", "somebody", "directory").put(&mut world);
        for node in ["a", "b", "gone"] {
            let storage = json!({"metadata": {"name": node}, "spec": {"node": node, "nodeUid": "u"}, "status": {"bases": [
                {"path": "/opt/local-path-provisioner", "usable": true, "availableBytes": 5, "backends": ["directory"]},
                {"path": "/elsewhere", "usable": true, "availableBytes": 9, "backends": ["directory"]}]}});
            Storage::read(&storage).unwrap().put(&mut world);
        }
        for node in ["a", "b"] {
            let labels = json!({"kubernetes.io/hostname": format!("host-{node}")});
            Node::read(&json!({"metadata": {"name": node, "uid": "u", "labels": labels}}))
                .unwrap()
                .put(&mut world);
        }
        world
    }

    #[test]
    fn each_class_has_its_room_on_each_node_there_is() {
        let found = capacities(&world("local-path.volgate.dev"), &Settings::default());
        let mut found: Vec<(&str, &str, i64)> =
            found.values().map(|c| (c.class.as_str(), c.hostname.as_str(), c.bytes)).collect();
        found.sort_unstable();
        let wanted = [
            ("device", "host-a", 0),
            ("device", "host-b", 0),
            ("plain", "host-a", 5),
            ("plain", "host-b", 5),
        ];
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_name_that_no_driver_can_have_has_none() {
        assert!(capacities(&world("rancher.io/local-path"), &Settings::default()).is_empty());
    }

    #[test]
    fn small_differences_are_not_written() {
        let differs = |a: i64, b: i64| {
            let capacity = |bytes| Capacity { class: String::new(), hostname: String::new(), bytes };
            capacity(a).differs(&capacity(b))
        };
        let gi = 1 << 30;
        assert!(!differs(100 * gi, 100 * gi) && !differs(100 * gi, 100 * gi + (1 << 20)));
        assert!(differs(100 * gi, 99 * gi) && differs(gi, gi - (32 << 20)));
        assert!(differs(0, 1) && !differs(1, 1));
    }
}
