//! How rules learn of other objects: the informer cache in the webhook, the other manifests in `check`, a map in a test.

use crate::facts::{
    ClaimFacts, ClassFacts, ConfigFacts, ConfigKind, NamespaceFacts, NodeFacts, OwnerFacts, ReclaimPolicy,
    TemplateFacts, VolumeFacts,
};
use crate::model::HOSTNAME;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// The kinds of object that can be looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookupKind {
    /// PersistentVolumeClaims.
    Claim,
    /// PersistentVolumes.
    Volume,
    /// StorageClasses.
    Class,
    /// Namespaces.
    Namespace,
    /// Nodes.
    Node,
}

impl LookupKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Claim, Self::Volume, Self::Class, Self::Namespace, Self::Node];

    /// The kind's name in an object.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Claim => "PersistentVolumeClaim",
            Self::Volume => "PersistentVolume",
            Self::Class => "StorageClass",
            Self::Namespace => "Namespace",
            Self::Node => "Node",
        }
    }

    /// A bit of its own among those of all kinds.
    pub(crate) fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The volumes of a class that no claim has taken, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Available {
    /// How many there are.
    pub count: usize,
    /// How many of them only some nodes can use.
    pub tied: usize,
    /// How many of them have the reclaim policy Retain.
    pub retained: usize,
}

impl Available {
    pub(crate) fn add(&mut self, volume: &VolumeFacts) {
        self.count += 1;
        self.tied += usize::from(volume.node_affinity.is_some());
        self.retained += usize::from(volume.reclaim == ReclaimPolicy::Retain);
    }

    pub(crate) fn remove(&mut self, volume: &VolumeFacts) {
        self.count -= 1;
        self.tied -= usize::from(volume.node_affinity.is_some());
        self.retained -= usize::from(volume.reclaim == ReclaimPolicy::Retain);
    }
}

/// Nodes by the label that names their host: volumes of a node's disk select their node by it.
#[derive(Debug, Default, Clone)]
pub struct ByHost(BTreeMap<String, Vec<Arc<NodeFacts>>>);

impl ByHost {
    pub(crate) fn add(&mut self, node: &Arc<NodeFacts>) {
        if let Some(host) = node.labels.get(HOSTNAME) {
            self.0.entry(host.clone()).or_default().push(Arc::clone(node));
        }
    }

    pub(crate) fn remove(&mut self, node: &NodeFacts) {
        let Some(host) = node.labels.get(HOSTNAME) else { return };
        if let Some(nodes) = self.0.get_mut(host) {
            nodes.retain(|other| other.name != node.name);
            if nodes.is_empty() {
                self.0.remove(host);
            }
        }
    }

    pub(crate) fn any(&self, hosts: &[&str], holds: &dyn Fn(&NodeFacts) -> bool) -> bool {
        let nodes = hosts.iter().filter_map(|host| self.0.get(*host));
        nodes.flatten().any(|node| holds(node))
    }
}

/// What is known of other objects. Answers at once, from memory.
pub trait Lookup: Send + Sync {
    /// Whether every object of the kind is known, so that one that is not found does not exist.
    fn knows_all(&self, kind: LookupKind) -> bool;
    /// Whether a cluster's state was given that leaves the kind out, so that one which is not found may well be there. Only `check`
    /// is given such.
    fn leaves_out(&self, _kind: LookupKind) -> bool {
        false
    }
    /// A claim.
    fn claim(&self, namespace: &str, name: &str) -> Option<Arc<ClaimFacts>>;
    /// A volume.
    fn volume(&self, name: &str) -> Option<Arc<VolumeFacts>>;
    /// A class.
    fn class(&self, name: &str) -> Option<Arc<ClassFacts>>;
    /// The class that is marked as the cluster's default; of several the newest.
    fn default_class(&self) -> Option<Arc<ClassFacts>>;
    /// The volumes of a class that no claim has taken, in the order of their names.
    fn available_volumes(&self, class: &str) -> Vec<Arc<VolumeFacts>>;
    /// The same volumes counted, without a look at each: a class may have thousands.
    fn available(&self, class: &str) -> Available;
    /// The first of those volumes that is as asked. It may be called with a lock held: it only looks at the volume.
    fn find_available(&self, class: &str, holds: &dyn Fn(&VolumeFacts) -> bool) -> Option<Arc<VolumeFacts>>;
    /// The volumes whose `claimRef` names that claim, in the order of their names, whatever their class and phase.
    fn reserved_volumes(&self, namespace: &str, claim: &str) -> Vec<Arc<VolumeFacts>>;
    /// A namespace.
    fn namespace(&self, name: &str) -> Option<Arc<NamespaceFacts>>;
    /// A node.
    fn node(&self, name: &str) -> Option<Arc<NodeFacts>>;
    /// Whether one of the nodes that are known is as asked. It may be called with a lock held: it only looks at the node.
    fn any_node(&self, holds: &dyn Fn(&NodeFacts) -> bool) -> bool;
    /// The same of the nodes whose label `kubernetes.io/hostname` is one of these alone, without a look at the others.
    fn any_node_of_hosts(&self, hosts: &[&str], holds: &dyn Fn(&NodeFacts) -> bool) -> bool;
    /// A controller that owns pods.
    fn owner(&self, namespace: &str, kind: &str, name: &str) -> Option<Arc<OwnerFacts>>;
    /// Whether a StatefulSet that is known will make a claim of that name. Only `check` needs the answer: in a
    /// cluster the claims are there as soon as the set's pods are.
    fn claim_to_come(&self, _namespace: &str, _claim: &str) -> bool {
        false
    }
    /// Another claim than this one that names the volume, by namespace and name. Only `check` needs the answer: in a
    /// cluster the volume's `claimRef` has it soon.
    fn other_claim_of(&self, _volume: &str, _namespace: &str, _claim: &str) -> Option<(String, String)> {
        None
    }
    /// A ConfigMap or a Secret. Only `check` knows any: the webhook has no right to read them.
    fn config(&self, _kind: ConfigKind, _namespace: &str, _name: &str) -> Option<Arc<ConfigFacts>> {
        None
    }
    /// A template of custom resources, as the table says. Only `check` knows any.
    fn template(&self, _kind: &str, _namespace: &str, _name: &str) -> Option<Arc<TemplateFacts>> {
        None
    }
}

/// A lookup over plain maps: what `check` fills from files, and tests by hand.
#[derive(Debug, Default, Clone)]
pub struct MapLookup {
    /// By namespace, then by name.
    claims: BTreeMap<String, BTreeMap<String, Arc<ClaimFacts>>>,
    volumes: BTreeMap<String, Arc<VolumeFacts>>,
    /// Those that no claim has taken, by class, then by name.
    available: BTreeMap<String, (Available, BTreeMap<String, Arc<VolumeFacts>>)>,
    /// The names of the volumes whose `claimRef` names a claim, by its namespace and name.
    reserved: BTreeMap<(String, String), BTreeSet<String>>,
    /// The claims that name a volume, by the volume's name.
    takers: BTreeMap<String, BTreeSet<(String, String)>>,
    classes: BTreeMap<String, Arc<ClassFacts>>,
    namespaces: BTreeMap<String, Arc<NamespaceFacts>>,
    nodes: BTreeMap<String, Arc<NodeFacts>>,
    hosts: ByHost,
    /// By namespace, then by name; of one name there may be several kinds.
    owners: BTreeMap<String, BTreeMap<String, Vec<Arc<OwnerFacts>>>>,
    /// By kind and namespace, then by name.
    configs: BTreeMap<(ConfigKind, String), BTreeMap<String, Arc<ConfigFacts>>>,
    /// By kind and namespace, then by name.
    templates: BTreeMap<(String, String), BTreeMap<String, Arc<TemplateFacts>>>,
    /// Namespace and `<template>-<set>` of every StatefulSet's claims.
    set_claims: BTreeSet<(String, String)>,
    /// The kinds of which every object is known, a bit each.
    known: u8,
    /// Whether the maps hold a cluster's state, which may leave kinds out.
    is_state: bool,
    /// The others that somebody asked for.
    asked: Arc<AtomicU8>,
}

impl MapLookup {
    /// Says that the maps hold the whole cluster, so that what is not found does not exist.
    pub fn set_complete(&mut self) {
        LookupKind::ALL.into_iter().for_each(|kind| self.set_known(kind));
    }

    /// Says that the maps hold every object of a kind.
    pub fn set_known(&mut self, kind: LookupKind) {
        self.known |= kind.bit();
    }

    /// Says that the maps hold a cluster's state: nothing is known of a kind that is not in it.
    pub fn set_state(&mut self) {
        self.is_state = true;
    }

    /// Whether the maps hold every object of a kind. Unlike [`Lookup::knows_all`] this counts as no question.
    pub(crate) fn holds_all(&self, kind: LookupKind) -> bool {
        self.known & kind.bit() != 0
    }

    /// Whether the maps hold a cluster's state, which may leave kinds out.
    pub(crate) fn is_state(&self) -> bool {
        self.is_state
    }

    /// Says that somebody asked for these kinds, a [`bit`](LookupKind::bit) each, of which not every object is known.
    pub(crate) fn miss(&self, kinds: u8) {
        self.asked.fetch_or(kinds, Relaxed);
    }

    /// The kinds that made a difference so far because not every object of them is known.
    pub fn missed(&self) -> impl Iterator<Item = LookupKind> + use<> {
        let asked = self.asked.load(Relaxed);
        LookupKind::ALL.into_iter().filter(move |kind| asked & kind.bit() != 0)
    }

    /// Remembers an object if it is of a kind that can be looked up; a later one of the same name replaces it.
    pub fn add(&mut self, facts: &crate::facts::Facts<'_>) {
        use crate::facts::Subject;
        match &facts.subject {
            Subject::Claim(claim) => {
                let named = (claim.namespace.clone(), claim.name.clone());
                let claims = self.claims.entry(claim.namespace.clone()).or_default();
                let old = claims.insert(claim.name.clone(), Arc::new(claim.clone()));
                let old_volume = old.as_ref().and_then(|old| old.spec.volume_name.as_ref());
                if let Some(takers) = old_volume.and_then(|volume| self.takers.get_mut(volume)) {
                    takers.remove(&named);
                }
                if let Some(volume) = &claim.spec.volume_name {
                    self.takers.entry(volume.clone()).or_default().insert(named);
                }
            }
            Subject::Volume(volume) => {
                self.add_volume(Arc::new(volume.clone()));
            }
            Subject::Class(class) => {
                self.classes.insert(class.name.clone(), Arc::new(class.clone()));
            }
            Subject::Namespace(namespace) => {
                self.namespaces.insert(namespace.name.clone(), Arc::new(namespace.clone()));
            }
            Subject::Node(node) => {
                let node = Arc::new(node.clone());
                if let Some(old) = self.nodes.insert(node.name.clone(), Arc::clone(&node)) {
                    self.hosts.remove(&old);
                }
                self.hosts.add(&node);
            }
            Subject::Workload(workload) => {
                for template in &workload.claim_templates {
                    let claims = format!("{}-{}", template.name, facts.id.name);
                    self.set_claims.insert((facts.namespace().to_owned(), claims));
                }
                self.add_owner(OwnerFacts::read(&facts.id, &facts.meta));
            }
            Subject::Config(config) => {
                let key = (config.kind, config.namespace.clone());
                let configs = self.configs.entry(key).or_default();
                configs.insert(config.name.clone(), Arc::new(config.clone()));
            }
            Subject::Custom(custom) => {
                if let Some(template) = custom.template(&facts.id) {
                    let key = (template.kind.clone(), template.namespace.clone());
                    let templates = self.templates.entry(key).or_default();
                    templates.insert(template.name.clone(), Arc::new(template));
                }
            }
            Subject::Other => {}
        }
    }

    fn add_volume(&mut self, volume: Arc<VolumeFacts>) {
        let class = |volume: &VolumeFacts| volume.class.name().unwrap_or_default().to_owned();
        let old = self.volumes.insert(volume.name.clone(), Arc::clone(&volume));
        let of_claim =
            |volume: &VolumeFacts| volume.claim.clone().map(|(namespace, name, _)| (namespace, name));
        if let Some(reserved) = old.as_deref().and_then(of_claim).and_then(|key| self.reserved.get_mut(&key))
        {
            reserved.remove(&volume.name);
        }
        if let Some(key) = of_claim(&volume) {
            self.reserved.entry(key).or_default().insert(volume.name.clone());
        }
        if let Some(old) = old.filter(|old| old.available)
            && let Some((counts, of_class)) = self.available.get_mut(&class(&old))
            && of_class.remove(&old.name).is_some()
        {
            counts.remove(&old);
        }
        if volume.available {
            let (counts, of_class) = self.available.entry(class(&volume)).or_default();
            counts.add(&volume);
            of_class.insert(volume.name.clone(), volume);
        }
    }

    /// Remembers what is known of a workload; a later one of the same kind and name replaces it.
    pub fn add_owner(&mut self, owner: OwnerFacts) {
        let owners = self.owners.entry(owner.namespace.clone()).or_default();
        let owners = owners.entry(owner.name.clone()).or_default();
        owners.retain(|other| other.kind != owner.kind);
        owners.push(Arc::new(owner));
    }
}

impl Lookup for MapLookup {
    fn knows_all(&self, kind: LookupKind) -> bool {
        let known = self.holds_all(kind);
        if !known {
            self.miss(kind.bit());
        }
        known
    }
    fn leaves_out(&self, kind: LookupKind) -> bool {
        self.is_state && !self.knows_all(kind)
    }
    fn claim(&self, namespace: &str, name: &str) -> Option<Arc<ClaimFacts>> {
        self.claims.get(namespace)?.get(name).cloned()
    }
    fn volume(&self, name: &str) -> Option<Arc<VolumeFacts>> {
        self.volumes.get(name).cloned()
    }
    fn class(&self, name: &str) -> Option<Arc<ClassFacts>> {
        self.classes.get(name).cloned()
    }
    fn default_class(&self) -> Option<Arc<ClassFacts>> {
        ClassFacts::default_of(self.classes.values()).cloned()
    }
    fn available_volumes(&self, class: &str) -> Vec<Arc<VolumeFacts>> {
        self.available.get(class).map_or(Vec::new(), |(_, volumes)| volumes.values().cloned().collect())
    }
    fn available(&self, class: &str) -> Available {
        self.available.get(class).map_or(Available::default(), |(counts, _)| *counts)
    }
    fn find_available(&self, class: &str, holds: &dyn Fn(&VolumeFacts) -> bool) -> Option<Arc<VolumeFacts>> {
        self.available.get(class)?.1.values().find(|volume| holds(volume)).cloned()
    }
    fn namespace(&self, name: &str) -> Option<Arc<NamespaceFacts>> {
        self.namespaces.get(name).cloned()
    }
    fn node(&self, name: &str) -> Option<Arc<NodeFacts>> {
        self.nodes.get(name).cloned()
    }
    fn any_node(&self, holds: &dyn Fn(&NodeFacts) -> bool) -> bool {
        self.nodes.values().any(|node| holds(node))
    }
    fn any_node_of_hosts(&self, hosts: &[&str], holds: &dyn Fn(&NodeFacts) -> bool) -> bool {
        self.hosts.any(hosts, holds)
    }
    fn owner(&self, namespace: &str, kind: &str, name: &str) -> Option<Arc<OwnerFacts>> {
        self.owners.get(namespace)?.get(name)?.iter().find(|owner| owner.kind == kind).cloned()
    }
    fn claim_to_come(&self, namespace: &str, claim: &str) -> bool {
        claim.rsplit_once('-').is_some_and(|(claims, ordinal)| {
            !ordinal.is_empty()
                && ordinal.bytes().all(|b| b.is_ascii_digit())
                && self.set_claims.contains(&(namespace.to_owned(), claims.to_owned()))
        })
    }
    fn reserved_volumes(&self, namespace: &str, claim: &str) -> Vec<Arc<VolumeFacts>> {
        let names = self.reserved.get(&(namespace.to_owned(), claim.to_owned()));
        names.into_iter().flatten().filter_map(|name| self.volume(name)).collect()
    }
    fn other_claim_of(&self, volume: &str, namespace: &str, claim: &str) -> Option<(String, String)> {
        let mut takers = self.takers.get(volume)?.iter();
        takers.find(|(space, name)| (space.as_str(), name.as_str()) != (namespace, claim)).cloned()
    }
    fn config(&self, kind: ConfigKind, namespace: &str, name: &str) -> Option<Arc<ConfigFacts>> {
        self.configs.get(&(kind, namespace.to_owned()))?.get(name).cloned()
    }
    fn template(&self, kind: &str, namespace: &str, name: &str) -> Option<Arc<TemplateFacts>> {
        self.templates.get(&(kind.to_owned(), namespace.to_owned()))?.get(name).cloned()
    }
}
