//! All that is known, by what it is asked for: pure tables, which the watches feed.

mod tables;

use super::objects::{Claim, Class, Node, NodeVolume, Storage, Volume};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// A volume's name, by which everything about it is found: `pvc-<claim's uid>` for what is made here.
pub type Key = Arc<str>;

/// How many deletions are remembered, so that the answer to an own write that comes late brings nothing back.
const TOMBSTONES: usize = 256;

/// What is known of the cluster.
#[derive(Debug, Default)]
pub struct World {
    provisioner: Arc<str>,
    /// One of each text that many objects share.
    texts: HashSet<Arc<str>>,
    /// Several claims can name one volume, as many as somebody makes; nearly always it is one. By namespace and name.
    claims: HashMap<Key, Vec<Claim>>,
    /// From a claim's namespace and name.
    claim_keys: HashMap<Box<str>, Key>,
    volumes: HashMap<Key, Box<Volume>>,
    node_volumes: HashMap<Key, Box<NodeVolume>>,
    classes: HashMap<String, Class>,
    nodes: HashMap<Box<str>, Node>,
    storages: HashMap<Box<str>, Storage>,
    gone: VecDeque<(&'static str, Box<str>)>,
    dirty: HashSet<Key>,
    places: u64,
}

/// An object that the world keeps.
pub trait Change: Sized {
    /// Takes an object as it is now; an older state than the known one is passed over.
    fn put(self, world: &mut World);
    /// An object is gone.
    fn remove(world: &mut World, namespace: &str, name: &str);
    /// Its namespace, empty where it has none, and its name.
    fn id(&self) -> (&str, &str);
    /// Those of all that are known.
    fn known(world: &World) -> impl Iterator<Item = (&str, &str)>;
    /// Puts these in the place of all.
    fn replace(all: Vec<Self>, world: &mut World) {
        let listed: HashSet<(&str, &str)> = all.iter().map(Self::id).collect();
        let gone = Self::known(world).filter(|id| !listed.contains(id));
        let gone: Vec<_> = gone.map(|(namespace, name)| (namespace.to_owned(), name.to_owned())).collect();
        for (namespace, name) in gone {
            Self::remove(world, &namespace, &name);
        }
        all.into_iter().for_each(|one| one.put(world));
    }
    /// Takes an object from the answer to an own write; one that was deleted meanwhile does not come back.
    fn written(self, world: &mut World) {
        self.put(world);
    }
}

impl World {
    /// A world in which only what is this provisioner's is kept.
    pub fn new(provisioner: &str) -> Self {
        Self { provisioner: provisioner.into(), ..Self::default() }
    }

    /// The provisioner's name.
    pub fn provisioner(&self) -> &str {
        &self.provisioner
    }

    /// The claim whose volume has this name or will have it. Anybody may name a volume in a claim: which claim has it, the
    /// volume says, and before there is one, that it is to be made for the claim.
    pub fn claim(&self, key: &str) -> Option<&Claim> {
        let claims = self.claims.get(key)?;
        match self.volumes.get(key).and_then(|volume| volume.claim.as_ref()) {
            Some(reference) => {
                let at = place(claims, &reference.namespace, &reference.name).ok()?;
                claims.get(at).filter(|claim| claim.is(reference))
            }
            None => claims.iter().find(|claim| claim.unbound.is_some()).or(claims.first()),
        }
    }

    /// A volume of this provisioner's.
    pub fn volume(&self, key: &str) -> Option<&Volume> {
        self.volumes.get(key).map(|volume| &**volume)
    }

    /// A NodeVolume.
    pub fn node_volume(&self, key: &str) -> Option<&NodeVolume> {
        self.node_volumes.get(key).map(|volume| &**volume)
    }

    /// A class, whoever serves it.
    pub fn class(&self, name: &str) -> Option<&Class> {
        self.classes.get(name)
    }

    /// A node.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.get(name)
    }

    /// What a node's agent reports of it.
    pub fn storage(&self, node: &str) -> Option<&Storage> {
        self.storages.get(node).filter(|storage| self.is_of_its_node(storage))
    }

    /// What agents tell of nodes that are there.
    pub fn storages(&self) -> impl Iterator<Item = &Storage> {
        self.storages.values().filter(|storage| self.is_of_its_node(storage))
    }

    /// Not of one that was there before under the same name.
    fn is_of_its_node(&self, storage: &Storage) -> bool {
        self.nodes.get(&storage.node).is_some_and(|node| node.uid == storage.node_uid)
    }

    /// All classes of this provisioner.
    pub fn own_classes(&self) -> impl Iterator<Item = &Class> {
        self.classes.values().filter(|class| *class.facts.provisioner == *self.provisioner)
    }

    /// All volumes of this provisioner.
    pub fn volumes(&self) -> impl Iterator<Item = &Volume> {
        self.volumes.values().map(|volume| &**volume)
    }

    /// All NodeVolumes.
    pub fn node_volumes(&self) -> impl Iterator<Item = &NodeVolume> {
        self.node_volumes.values().map(|volume| &**volume)
    }

    /// The node whose hostname label has this value; the one of that name before others.
    pub fn node_of_hostname(&self, hostname: &str) -> Option<&Node> {
        let named = self.nodes.get(hostname).filter(|node| node.hostname() == hostname);
        named.or_else(|| self.nodes.values().find(|node| node.hostname() == hostname))
    }

    /// Every key of which anything is known.
    pub fn keys(&self) -> HashSet<Key> {
        self.claims.keys().chain(self.volumes.keys()).chain(self.node_volumes.keys()).cloned().collect()
    }

    /// What has changed since this was last asked.
    pub fn take_dirty(&mut self) -> HashSet<Key> {
        std::mem::take(&mut self.dirty)
    }

    /// A number that changes when nodes, classes or what agents tell of their nodes do.
    pub fn places(&self) -> u64 {
        self.places
    }

    /// Every claim that waits for its volume is looked at again, as when the configuration is another.
    pub fn touch_waiting(&mut self) {
        self.touch_claims(|_| true);
    }

    fn touch_claims(&mut self, wanted: impl Fn(&Claim) -> bool) {
        let open = |claim: &Claim| claim.unbound.is_some() || claim.request > claim.capacity;
        let touched = |claims: &[Claim]| claims.iter().any(|claim| open(claim) && wanted(claim));
        let keys = self.claims.iter().filter(|(_, claims)| touched(claims)).map(|(key, _)| key.clone());
        self.dirty.extend(keys);
    }

    /// Whether a claim may be for a volume of this provisioner: it is to make it, or the claim was bound by hand, which
    /// leaves it without a word of who made its volume.
    fn concerns(&self, claim: &Claim) -> bool {
        claim.provisioner == self.provisioner || claim.provisioner.is_empty() && claim.volume.is_some()
    }

    fn drop_claim(&mut self, key: &str, namespace: &str, name: &str) {
        let Some(claims) = self.claims.get_mut(key) else { return };
        if let Ok(at) = place(claims, namespace, name) {
            claims.remove(at);
        }
        if claims.is_empty() {
            self.claims.remove(key);
        }
    }

    fn touch_node(&mut self, node: &str) {
        let by_node_volume = self.node_volumes.iter().filter(|(_, volume)| volume.spec.node == node);
        self.dirty.extend(by_node_volume.map(|(key, _)| key.clone()));
        let here = |volume: &Volume| volume.node.as_deref().or(volume.hostname.as_deref()) == Some(node);
        let by_volume = self.volumes.iter().filter(|(_, volume)| here(volume));
        self.dirty.extend(by_volume.map(|(key, _)| key.clone()));
        self.touch_claims(|claim| claim.selected_node.as_deref().is_none_or(|selected| selected == node));
    }

    /// The key of that name; all tables have the same.
    fn key(&self, name: &str) -> Key {
        let (claims, volumes) = (self.claims.get_key_value(name), self.volumes.get_key_value(name));
        let known = claims.map(|(key, _)| key).or(volumes.map(|(key, _)| key));
        let known = known.or_else(|| self.node_volumes.get_key_value(name).map(|(key, _)| key));
        known.cloned().unwrap_or_else(|| name.into())
    }

    /// Puts the one that is kept in the place of a text.
    fn share(&mut self, text: &mut Arc<str>) {
        match self.texts.get(text) {
            Some(known) => *text = known.clone(),
            None => drop(self.texts.insert(text.clone())),
        }
    }

    fn bury(&mut self, kind: &'static str, name: &str) {
        if self.gone.len() >= TOMBSTONES {
            self.gone.pop_front();
        }
        self.gone.push_back((kind, name.into()));
    }

    fn unbury(&mut self, kind: &'static str, name: &str) {
        self.gone.retain(|(of, gone)| !(*of == kind && **gone == *name));
    }

    fn buried(&self, kind: &'static str, name: &str) -> bool {
        self.gone.iter().any(|(of, gone)| *of == kind && **gone == *name)
    }
}

/// Where the claim of that name is among those of one volume, or belongs.
fn place(claims: &[Claim], namespace: &str, name: &str) -> Result<usize, usize> {
    claims.binary_search_by(|claim| (&*claim.namespace, &*claim.name).cmp(&(namespace, name)))
}
