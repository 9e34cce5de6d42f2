//! The tables of the world: what comes, goes, and takes the place of another.

use super::super::objects::{Claim, Class, Node, NodeVolume, Storage, Volume};
use super::{Change, World, place};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;

/// Puts an object into its table; nothing when a newer one is there.
pub(super) fn insert<K: Hash + Eq, V>(
    table: &mut HashMap<K, V>,
    key: K,
    value: V,
    version: impl Fn(&V) -> u64,
) -> Option<Option<V>> {
    if table.get(&key).is_some_and(|known| version(known) > version(&value)) {
        return None;
    }
    Some(table.insert(key, value))
}

pub(super) fn claim_id(namespace: &str, name: &str) -> Box<str> {
    format!("{namespace}/{name}").into()
}

impl Change for Claim {
    fn put(mut self, world: &mut World) {
        let id = claim_id(&self.namespace, &self.name);
        let before = world.claim_keys.get(&id).cloned();
        let known = before.as_ref().and_then(|key| world.claims.get(key)).and_then(|claims| {
            claims.get(place(claims, &self.namespace, &self.name).ok()?).map(|claim| claim.version)
        });
        if known.is_some_and(|version| version > self.version) {
            return;
        }
        let ours = world.concerns(&self);
        let key = world.key(&self.key());
        // Under the same name there may have been another claim, or this one before it was bound to another volume.
        if let Some(before) = before.filter(|before| *before != key || !ours) {
            world.drop_claim(&before, &self.namespace, &self.name);
            world.claim_keys.remove(&id);
            world.dirty.insert(before);
        }
        if ours {
            self.shared().into_iter().for_each(|text| world.share(text));
            world.claim_keys.insert(id, key.clone());
            match world.claims.entry(key.clone()) {
                Entry::Occupied(mut others) => {
                    let others = others.get_mut();
                    match place(others, &self.namespace, &self.name) {
                        Ok(at) => {
                            if let Some(known) = others.get_mut(at) {
                                *known = self;
                            }
                        }
                        Err(at) => others.insert(at, self),
                    }
                }
                Entry::Vacant(place) => drop(place.insert(vec![self])),
            }
            world.dirty.insert(key);
        }
    }

    fn remove(world: &mut World, namespace: &str, name: &str) {
        if let Some(key) = world.claim_keys.remove(&claim_id(namespace, name)) {
            world.drop_claim(&key, namespace, name);
            world.dirty.insert(key);
        }
    }

    fn id(&self) -> (&str, &str) {
        (&self.namespace, &self.name)
    }

    fn known(world: &World) -> impl Iterator<Item = (&str, &str)> {
        world.claim_keys.keys().filter_map(|id| id.split_once('/'))
    }

    // A claim is patched, never created: what is not there any more was deleted.
    fn written(self, world: &mut World) {
        if world.claim_keys.contains_key(&claim_id(&self.namespace, &self.name)) {
            self.put(world);
        }
    }
}

/// What goes by the volume's name.
macro_rules! keyed {
    ($type:ident, $table:ident, $kind:literal) => {
        impl Change for $type {
            fn put(mut self, world: &mut World) {
                world.unbury($kind, &self.name);
                if self.provisioner != world.provisioner {
                    Self::remove(world, "", &self.name);
                    return;
                }
                let key = world.key(&self.name);
                self.shared().into_iter().for_each(|text| world.share(text));
                if insert(&mut world.$table, key.clone(), Box::new(self), |value| value.version).is_some() {
                    world.dirty.insert(key);
                }
            }

            fn remove(world: &mut World, _namespace: &str, name: &str) {
                world.bury($kind, name);
                if let Some((key, _)) = world.$table.remove_entry(name) {
                    world.dirty.insert(key);
                }
            }

            fn id(&self) -> (&str, &str) {
                ("", &self.name)
            }

            fn known(world: &World) -> impl Iterator<Item = (&str, &str)> {
                world.$table.keys().map(|key| ("", &**key))
            }

            fn written(self, world: &mut World) {
                if !world.buried($kind, &self.name) {
                    self.put(world);
                }
            }
        }
    };
}

keyed!(Volume, volumes, "volume");
keyed!(NodeVolume, node_volumes, "node volume");

impl Change for Class {
    fn put(self, world: &mut World) {
        let name = self.facts.name.clone();
        let Some(before) = insert(&mut world.classes, name.clone(), self, |class| class.version) else {
            return;
        };
        if before.as_ref() != world.classes.get(&name) {
            world.places += 1;
            world.touch_claims(|claim| *claim.class == *name);
        }
    }

    fn remove(world: &mut World, _namespace: &str, name: &str) {
        world.classes.remove(name);
        world.places += 1;
        world.touch_claims(|claim| &*claim.class == name);
    }

    fn id(&self) -> (&str, &str) {
        ("", &self.facts.name)
    }

    fn known(world: &World) -> impl Iterator<Item = (&str, &str)> {
        world.classes.keys().map(|name| ("", &**name))
    }
}

impl Change for Node {
    fn put(self, world: &mut World) {
        let name = self.name.clone();
        let Some(before) = insert(&mut world.nodes, name.clone(), self, |node| node.version) else { return };
        let now = world.nodes.get(&name);
        let same = before
            .as_ref()
            .zip(now)
            .is_some_and(|(a, b)| (&a.uid, &a.labels, a.closed) == (&b.uid, &b.labels, b.closed));
        if !same {
            world.places += 1;
            world.touch_node(&name);
        }
    }

    fn remove(world: &mut World, _namespace: &str, name: &str) {
        world.nodes.remove(name);
        world.places += 1;
        world.touch_node(name);
    }

    fn id(&self) -> (&str, &str) {
        ("", &self.name)
    }

    fn known(world: &World) -> impl Iterator<Item = (&str, &str)> {
        world.nodes.keys().map(|name| ("", &**name))
    }
}

impl Change for Storage {
    fn put(self, world: &mut World) {
        let node = self.node.clone();
        let Some(before) = insert(&mut world.storages, node.clone(), self, |storage| storage.version) else {
            return;
        };
        let now = world.storages.get(&node);
        if before.as_ref().zip(now).is_none_or(|(a, b)| a.bases != b.bases || a.node_uid != b.node_uid) {
            world.places += 1;
            world.touch_claims(|claim| {
                claim.selected_node.as_deref().is_none_or(|selected| *selected == *node)
            });
        }
    }

    fn remove(world: &mut World, _namespace: &str, name: &str) {
        world.storages.remove(name);
        world.places += 1;
    }

    fn id(&self) -> (&str, &str) {
        ("", &self.node)
    }

    fn known(world: &World) -> impl Iterator<Item = (&str, &str)> {
        world.storages.keys().map(|name| ("", &**name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ClaimReference;
    use serde_json::{Value, json};

    fn claim(version: u32, uid: &str, volume: &str) -> Claim {
        Claim::read(&json!({"metadata": {"namespace": "team", "name": "data", "uid": uid,
            "resourceVersion": version.to_string(), "annotations": {"volume.kubernetes.io/storage-provisioner": "p"}},
            "spec": {"volumeName": volume, "storageClassName": "fast"}}))
        .unwrap()
    }

    fn volume(version: u32, provisioner: &str) -> Volume {
        Volume::read(&json!({"metadata": {"name": "v", "resourceVersion": version.to_string(),
            "annotations": {"pv.kubernetes.io/provisioned-by": provisioner, "volgate.dev/node": "n1"}}, "spec": {}}))
        .unwrap()
    }

    /// A claim that somebody has written the volume `v` into.
    fn by_hand(version: u32, namespace: &str, uid: &str, provisioner: &str) -> Claim {
        Claim::read(&json!({"metadata": {"namespace": namespace, "name": "data", "uid": uid,
            "resourceVersion": version.to_string(), "annotations": {"volume.kubernetes.io/storage-provisioner": provisioner}},
            "spec": {"volumeName": "v"}}))
        .unwrap()
    }

    fn node(version: u32, labels: Value) -> Node {
        Node::read(&json!({"metadata": {"name": "n1", "uid": "a", "resourceVersion": version.to_string(),
            "labels": labels}}))
        .unwrap()
    }

    fn dirty(world: &mut World) -> Vec<String> {
        let mut keys: Vec<String> = world.take_dirty().iter().map(ToString::to_string).collect();
        keys.sort();
        keys
    }

    #[test]
    fn a_claim_that_is_made_anew_under_its_name_is_another() {
        let mut world = World::new("p");
        claim(1, "a", "").put(&mut world);
        assert_eq!(dirty(&mut world), ["pvc-a"]);
        claim(5, "b", "").put(&mut world);
        assert_eq!(dirty(&mut world), ["pvc-a", "pvc-b"]);
        assert!(world.claim("pvc-a").is_none() && world.claim("pvc-b").is_some());
        claim(6, "b", "other").put(&mut world);
        assert_eq!(dirty(&mut world), ["other", "pvc-b"]);
        Claim::remove(&mut world, "team", "data");
        assert_eq!(dirty(&mut world), ["other"]);
        assert!(world.keys().is_empty());
    }

    #[test]
    fn of_the_claims_that_name_a_volume_the_volume_has_one() {
        let mut world = World::new("p");
        by_hand(1, "other", "b", "").put(&mut world);
        by_hand(2, "team", "a", "").put(&mut world);
        let mut of_a = volume(3, "p");
        of_a.claim = Some(by_hand(0, "team", "a", "").reference());
        of_a.clone().put(&mut world);
        let has = |world: &World| world.claim("v").map(|claim| claim.uid.to_string());
        assert_eq!(has(&world).as_deref(), Some("a"));
        by_hand(4, "other", "b", "").put(&mut world);
        assert_eq!(has(&world).as_deref(), Some("a"), "whatever others say");
        by_hand(1, "team", "older", "").put(&mut world);
        assert_eq!(has(&world).as_deref(), Some("a"), "an older state");
        dirty(&mut world);
        Claim::remove(&mut world, "team", "data");
        assert_eq!(dirty(&mut world), ["v"]);
        assert_eq!(has(&world), None, "it is not the other's for that");
        // Kept for a claim of that name, whatever its uid will be.
        of_a.claim = Some(ClaimReference { uid: String::new(), ..by_hand(0, "other", "", "").reference() });
        of_a.version = 5;
        of_a.put(&mut world);
        assert_eq!(has(&world).as_deref(), Some("b"));
        by_hand(6, "other", "b", "another's").put(&mut world);
        assert_eq!(has(&world), None, "another provisioner's claim");
        assert_eq!(world.keys().len(), 1, "the volume alone");
    }

    #[test]
    fn whoever_names_a_volume_that_is_to_be_made_does_not_stand_before_its_claim() {
        for first in [true, false] {
            let mut world = World::new("p");
            let named = |namespace: &str| {
                let mut claim = by_hand(1, namespace, namespace, "");
                claim.volume = Some("pvc-a".into());
                claim
            };
            if first {
                named("aaa").put(&mut world);
            }
            claim(2, "a", "").put(&mut world);
            named("zzz").put(&mut world);
            named("aaa").put(&mut world);
            assert_eq!(world.claim("pvc-a").map(|claim| &*claim.uid), Some("a"), "{first}");
            Claim::remove(&mut world, "team", "data");
            assert_eq!(world.claim("pvc-a").map(|claim| &*claim.uid), Some("aaa"));
        }
    }

    #[test]
    fn many_claims_may_name_one_volume() {
        const MANY: u32 = 20_000;
        let mut world = World::new("p");
        let named = |number: u32, version| {
            let mut claim = by_hand(version, "team", &number.to_string(), "");
            claim.name = format!("c{}", number.wrapping_mul(2_654_435_761)).into();
            claim
        };
        (0..MANY).for_each(|number| named(number, 1).put(&mut world));
        (0..MANY).for_each(|number| named(number, 2).put(&mut world));
        let mut volume = volume(3, "p");
        volume.claim = Some(named(77, 0).reference());
        volume.put(&mut world);
        assert_eq!(world.claim("v").map(|claim| (&*claim.uid, claim.version)), Some(("77", 2)));
        Claim::replace((0..MANY).step_by(2).map(|number| named(number, 4)).collect(), &mut world);
        assert_eq!(world.claim("v").map(|claim| &*claim.uid), None, "77 is odd");
        assert_eq!(world.claims.get("v").map(Vec::len), Some(MANY as usize / 2));
    }

    #[test]
    fn what_is_older_or_another_provisioners_is_passed_over() {
        let mut world = World::new("p");
        volume(7, "p").put(&mut world);
        dirty(&mut world);
        volume(6, "p").put(&mut world);
        assert_eq!((dirty(&mut world).len(), world.volume("v").unwrap().version), (0, 7));
        volume(8, "other").put(&mut world);
        assert!(world.volume("v").is_none());
    }

    #[test]
    fn the_answer_to_an_own_write_brings_nothing_back() {
        let mut world = World::new("p");
        volume(7, "p").written(&mut world);
        assert!(world.volume("v").is_some(), "what was created is known at once");
        Volume::remove(&mut world, "", "v");
        volume(7, "p").written(&mut world);
        assert!(world.volume("v").is_none());
        volume(9, "p").put(&mut world);
        assert!(world.volume("v").is_some());
    }

    #[test]
    fn a_list_takes_the_place_of_all() {
        let mut world = World::new("p");
        volume(7, "p").put(&mut world);
        claim(1, "a", "").put(&mut world);
        dirty(&mut world);
        Volume::replace(Vec::new(), &mut world);
        Claim::replace(vec![claim(3, "b", "")], &mut world);
        assert_eq!(dirty(&mut world), ["pvc-a", "pvc-b", "v"]);
    }

    #[test]
    fn a_node_touches_what_is_on_it_when_it_is_another() {
        let mut world = World::new("p");
        volume(1, "p").put(&mut world);
        dirty(&mut world);
        node(2, json!({"a": "b"})).put(&mut world);
        assert_eq!(dirty(&mut world), ["v"]);
        node(3, json!({"a": "b"})).put(&mut world);
        assert!(dirty(&mut world).is_empty(), "nothing of it has changed");
        Node::remove(&mut world, "", "n1");
        assert_eq!(dirty(&mut world), ["v"]);
        assert_eq!(world.places(), 2);
    }
}
