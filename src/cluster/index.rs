//! What is known of the cluster, in memory: plain tables that a watch feeds and reviews read.
//!
//! Many reviews read at the same time. A writer takes the lock of one table for one insertion, or to exchange the whole
//! table after a list; it never builds anything under the lock.

use crate::facts::{ClaimFacts, ClassFacts, NamespaceFacts, NodeFacts, OwnerFacts, VolumeFacts};
use crate::lookup::{Available as Counts, ByHost, Lookup, LookupKind};
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Facts that are found by namespace and name.
pub trait Row: PartialEq {
    /// The namespace, empty for what has none.
    fn namespace(&self) -> &str {
        ""
    }
    /// The name.
    fn name(&self) -> &str;
}

macro_rules! rows {
    ($($facts:ty)*, in a namespace: $($inner:ty)*) => {
        $(impl Row for $facts {
            fn name(&self) -> &str {
                &self.name
            }
        })*
        $(impl Row for $inner {
            fn namespace(&self) -> &str {
                &self.namespace
            }
            fn name(&self) -> &str {
                &self.name
            }
        })*
    };
}
rows!(VolumeFacts ClassFacts NamespaceFacts NodeFacts, in a namespace: ClaimFacts OwnerFacts);

/// Shared facts in the order of their names: the name stands in the facts alone, not in a key beside them.
#[derive(Debug)]
struct ByName<F>(Arc<F>);

impl<F: Row> Borrow<str> for ByName<F> {
    fn borrow(&self) -> &str {
        self.0.name()
    }
}
impl<F: Row> PartialEq for ByName<F> {
    fn eq(&self, other: &Self) -> bool {
        self.0.name() == other.0.name()
    }
}
impl<F: Row> Eq for ByName<F> {}
impl<F: Row> PartialOrd for ByName<F> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<F: Row> Ord for ByName<F> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.name().cmp(other.0.name())
    }
}

/// What else a table keeps of its rows, such as a second way to find them.
pub trait Extra<F>: Default {
    /// A row has come.
    fn added(&mut self, row: &Arc<F>);
    /// A row has gone; `rest` are those that stay.
    fn removed<'a>(&mut self, row: &F, rest: impl Iterator<Item = &'a Arc<F>>)
    where
        F: 'a;
}

impl<F> Extra<F> for () {
    fn added(&mut self, _row: &Arc<F>) {}
    fn removed<'a>(&mut self, _row: &F, _rest: impl Iterator<Item = &'a Arc<F>>)
    where
        F: 'a,
    {
    }
}

/// The volumes that no claim has taken, by class: static classes ask for them in every review.
#[derive(Debug, Default)]
pub struct Available(HashMap<String, OfClass>);

#[derive(Debug, Default)]
struct OfClass {
    counts: Counts,
    volumes: BTreeSet<ByName<VolumeFacts>>,
}

fn class_of(volume: &VolumeFacts) -> &str {
    volume.class.name().unwrap_or_default()
}

impl Extra<VolumeFacts> for Available {
    fn added(&mut self, row: &Arc<VolumeFacts>) {
        if row.available {
            let of_class = self.0.entry(class_of(row).to_owned()).or_default();
            of_class.counts.add(row);
            of_class.volumes.insert(ByName(Arc::clone(row)));
        }
    }

    fn removed<'a>(&mut self, row: &VolumeFacts, _rest: impl Iterator<Item = &'a Arc<VolumeFacts>>) {
        if !row.available {
            return;
        }
        if let Some(of_class) = self.0.get_mut(class_of(row))
            && of_class.volumes.remove(row.name())
        {
            of_class.counts.remove(row);
            if of_class.volumes.is_empty() {
                self.0.remove(class_of(row));
            }
        }
    }
}

impl Extra<NodeFacts> for ByHost {
    fn added(&mut self, row: &Arc<NodeFacts>) {
        self.add(row);
    }

    fn removed<'a>(&mut self, row: &NodeFacts, _rest: impl Iterator<Item = &'a Arc<NodeFacts>>) {
        self.remove(row);
    }
}

/// The default class.
#[derive(Debug, Default)]
pub struct DefaultClass(Option<Arc<ClassFacts>>);

impl Extra<ClassFacts> for DefaultClass {
    fn added(&mut self, row: &Arc<ClassFacts>) {
        let both = self.0.iter().chain(std::iter::once(row));
        self.0 = ClassFacts::default_of(both).cloned();
    }

    fn removed<'a>(&mut self, row: &ClassFacts, rest: impl Iterator<Item = &'a Arc<ClassFacts>>) {
        if row.is_default {
            self.0 = ClassFacts::default_of(rest).cloned();
        }
    }
}

/// The objects of one kind.
#[derive(Debug)]
pub struct Table<F, X = ()> {
    rows: HashMap<Box<str>, BTreeSet<ByName<F>>>,
    len: usize,
    extra: X,
}

impl<F, X: Default> Default for Table<F, X> {
    fn default() -> Self {
        Self { rows: HashMap::new(), len: 0, extra: X::default() }
    }
}

impl<F: Row, X: Extra<F>> Table<F, X> {
    fn get(&self, namespace: &str, name: &str) -> Option<&Arc<F>> {
        self.rows.get(namespace)?.get(name).map(|row| &row.0)
    }

    fn iter(&self) -> impl Iterator<Item = &Arc<F>> {
        self.rows.values().flatten().map(|row| &row.0)
    }

    fn insert(&mut self, row: Arc<F>) {
        self.remove(row.namespace(), row.name());
        self.extra.added(&row);
        if let Some(rows) = self.rows.get_mut(row.namespace()) {
            rows.insert(ByName(row));
        } else {
            self.rows.insert(row.namespace().into(), BTreeSet::from([ByName(row)]));
        }
        self.len += 1;
    }

    fn remove(&mut self, namespace: &str, name: &str) {
        let Some(rows) = self.rows.get_mut(namespace) else { return };
        let Some(ByName(gone)) = rows.take(name) else { return };
        if rows.is_empty() {
            self.rows.remove(namespace);
        }
        self.len -= 1;
        let rest = self.rows.values().flatten().map(|row| &row.0);
        self.extra.removed(&gone, rest);
    }
}

/// A table that is read while a watch writes to it.
#[derive(Debug)]
pub struct Shelf<F, X = ()> {
    table: RwLock<Table<F, X>>,
    listed: AtomicBool,
}

impl<F, X: Default> Default for Shelf<F, X> {
    fn default() -> Self {
        Self { table: RwLock::default(), listed: AtomicBool::new(false) }
    }
}

impl<F: Row, X: Extra<F>> Shelf<F, X> {
    fn read(&self) -> RwLockReadGuard<'_, Table<F, X>> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table<F, X>> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// An object is new or has changed.
    pub fn apply(&self, row: F) {
        let row = Arc::new(row);
        self.write().insert(row);
    }

    /// An object is gone.
    pub fn delete(&self, namespace: &str, name: &str) {
        self.write().remove(namespace, name);
    }

    /// Adds an object to a list that is still coming in. What is known already and has not changed is shared, so that
    /// a second list does not take the memory of a second cache.
    pub fn stage(&self, staged: &mut Table<F, X>, row: F) {
        let known = self.read().get(row.namespace(), row.name()).filter(|known| ***known == row).cloned();
        staged.insert(known.unwrap_or_else(|| Arc::new(row)));
    }

    /// The list is whole: it takes the place of all that was known, at once.
    pub fn replace(&self, staged: Table<F, X>) {
        let old = std::mem::replace(&mut *self.write(), staged);
        self.listed.store(true, Relaxed);
        // Freed after the lock is.
        drop(old);
    }

    /// Whether there has been a whole list.
    pub fn listed(&self) -> bool {
        self.listed.load(Relaxed)
    }

    /// How many objects are known.
    pub fn len(&self) -> usize {
        self.read().len
    }

    /// Whether no object is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn get(&self, namespace: &str, name: &str) -> Option<Arc<F>> {
        self.read().get(namespace, name).cloned()
    }
}

/// Everything that reviews look up.
#[derive(Debug)]
pub struct Index {
    /// PersistentVolumeClaims.
    pub claims: Shelf<ClaimFacts>,
    /// PersistentVolumes.
    pub volumes: Shelf<VolumeFacts, Available>,
    /// StorageClasses.
    pub classes: Shelf<ClassFacts, DefaultClass>,
    /// Namespaces.
    pub namespaces: Shelf<NamespaceFacts>,
    /// Nodes.
    pub nodes: Shelf<NodeFacts, ByHost>,
    owners: BTreeMap<&'static str, Shelf<OwnerFacts>>,
}

impl Index {
    /// An empty one that can take owners of these kinds.
    pub fn new(owner_kinds: impl IntoIterator<Item = &'static str>) -> Self {
        Self {
            claims: Shelf::default(),
            volumes: Shelf::default(),
            classes: Shelf::default(),
            namespaces: Shelf::default(),
            nodes: Shelf::default(),
            owners: owner_kinds.into_iter().map(|kind| (kind, Shelf::default())).collect(),
        }
    }

    /// The owners of that kind, when it is one that was asked for.
    pub fn owners(&self, kind: &str) -> Option<&Shelf<OwnerFacts>> {
        self.owners.get(kind)
    }
}

impl Lookup for Index {
    fn knows_all(&self, kind: LookupKind) -> bool {
        match kind {
            LookupKind::Claim => self.claims.listed(),
            LookupKind::Volume => self.volumes.listed(),
            LookupKind::Class => self.classes.listed(),
            LookupKind::Namespace => self.namespaces.listed(),
            LookupKind::Node => self.nodes.listed(),
        }
    }
    fn claim(&self, namespace: &str, name: &str) -> Option<Arc<ClaimFacts>> {
        self.claims.get(namespace, name)
    }
    fn volume(&self, name: &str) -> Option<Arc<VolumeFacts>> {
        self.volumes.get("", name)
    }
    fn class(&self, name: &str) -> Option<Arc<ClassFacts>> {
        self.classes.get("", name)
    }
    fn default_class(&self) -> Option<Arc<ClassFacts>> {
        self.classes.read().extra.0.clone()
    }
    fn available_volumes(&self, class: &str) -> Vec<Arc<VolumeFacts>> {
        let volumes = self.volumes.read();
        let of_class = volumes.extra.0.get(class).into_iter().flat_map(|of_class| &of_class.volumes);
        of_class.map(|row| Arc::clone(&row.0)).collect()
    }
    fn available(&self, class: &str) -> Counts {
        self.volumes.read().extra.0.get(class).map_or(Counts::default(), |of_class| of_class.counts)
    }
    fn find_available(&self, class: &str, holds: &dyn Fn(&VolumeFacts) -> bool) -> Option<Arc<VolumeFacts>> {
        let volumes = self.volumes.read();
        let of_class = volumes.extra.0.get(class)?;
        of_class.volumes.iter().find(|row| holds(&row.0)).map(|row| Arc::clone(&row.0))
    }
    fn namespace(&self, name: &str) -> Option<Arc<NamespaceFacts>> {
        self.namespaces.get("", name)
    }
    fn node(&self, name: &str) -> Option<Arc<NodeFacts>> {
        self.nodes.get("", name)
    }
    fn any_node(&self, holds: &dyn Fn(&NodeFacts) -> bool) -> bool {
        self.nodes.read().iter().any(|node| holds(node))
    }
    fn any_node_of_hosts(&self, hosts: &[&str], holds: &dyn Fn(&NodeFacts) -> bool) -> bool {
        self.nodes.read().extra.any(hosts, holds)
    }
    fn owner(&self, namespace: &str, kind: &str, name: &str) -> Option<Arc<OwnerFacts>> {
        self.owners(kind)?.get(namespace, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{ClassName, ReclaimPolicy};

    fn index() -> Index {
        Index::new(["ReplicaSet", "Job"])
    }

    fn claim(namespace: &str, name: &str) -> ClaimFacts {
        ClaimFacts { namespace: namespace.into(), name: name.into(), ..ClaimFacts::default() }
    }

    fn volume(name: &str, class: &str, available: bool) -> VolumeFacts {
        let class = if class.is_empty() { ClassName::Empty } else { ClassName::Named(class.into()) };
        VolumeFacts { name: name.into(), class, available, ..VolumeFacts::default() }
    }

    fn class(name: &str, created: &str) -> ClassFacts {
        let is_default = !created.is_empty();
        ClassFacts { name: name.into(), is_default, created: created.into(), ..ClassFacts::default() }
    }

    fn available(index: &Index, class: &str) -> Vec<String> {
        index.available_volumes(class).iter().map(|volume| volume.name.clone()).collect()
    }

    #[test]
    fn finds_what_was_applied_and_not_what_was_deleted() {
        let index = index();
        index.claims.apply(claim("a", "data"));
        index.claims.apply(ClaimFacts { bound: true, ..claim("a", "data") });
        index.claims.apply(claim("b", "data"));
        assert_eq!(index.claims.len(), 2, "the same object twice is one");
        assert!(index.claim("a", "data").unwrap().bound);
        assert!(!index.claim("b", "data").unwrap().bound);
        assert!(index.claim("c", "data").is_none());
        index.claims.delete("a", "data");
        index.claims.delete("a", "never there");
        assert!(index.claim("a", "data").is_none());
        assert_eq!(index.claims.len(), 1);
    }

    #[test]
    fn a_list_takes_the_place_of_all_that_was_known_and_only_when_it_is_whole() {
        let index = index();
        assert!(!index.knows_all(LookupKind::Claim));
        index.claims.apply(claim("a", "gone meanwhile"));
        index.claims.apply(claim("a", "stays"));
        let before = index.claim("a", "stays").unwrap();
        let mut staged = Table::default();
        index.claims.stage(&mut staged, claim("a", "stays"));
        index.claims.stage(&mut staged, claim("a", "new"));
        assert!(index.claim("a", "gone meanwhile").is_some() && index.claim("a", "new").is_none());
        assert!(!index.knows_all(LookupKind::Claim));
        index.claims.replace(staged);
        assert!(index.knows_all(LookupKind::Claim) && !index.knows_all(LookupKind::Volume));
        assert!(index.claim("a", "gone meanwhile").is_none() && index.claim("a", "new").is_some());
        let after = index.claim("a", "stays").unwrap();
        assert!(Arc::ptr_eq(&before, &after), "what has not changed is shared");
    }

    #[test]
    fn available_volumes_follow_every_change() {
        let index = index();
        for volume in [volume("z", "fast", true), volume("b", "fast", true), volume("c", "", true)] {
            index.volumes.apply(volume);
        }
        index.volumes.apply(volume("taken", "fast", false));
        assert_eq!(available(&index, "fast"), ["b", "z"], "in the order of their names");
        assert_eq!(available(&index, ""), ["c"]);
        index.volumes.apply(volume("b", "fast", false));
        assert_eq!(available(&index, "fast"), ["z"], "a claim has taken it");
        index.volumes.apply(volume("b", "slow", true));
        assert_eq!(available(&index, "slow"), ["b"], "released, and of another class");
        index.volumes.delete("", "z");
        assert!(available(&index, "fast").is_empty());
        assert!(index.volume("b").is_some());
        let counts = |class: &str| index.available(class);
        assert_eq!((counts("fast"), counts("slow").count, counts("").count), (Counts::default(), 1, 1));
        let node_affinity = Some(Default::default());
        let reclaim = ReclaimPolicy::Retain;
        let tied = VolumeFacts { node_affinity, reclaim, ..volume("c", "", true) };
        index.volumes.apply(tied);
        assert_eq!(counts(""), Counts { count: 1, tied: 1, retained: 1 }, "the newer one alone");
        index.volumes.apply(volume("c", "", true));
        assert_eq!(counts(""), Counts { count: 1, tied: 0, retained: 0 });
        assert!(index.find_available("", &|volume| volume.name == "c").is_some());
        assert!(index.find_available("slow", &|volume| volume.name == "c").is_none());

        let mut staged = Table::default();
        index.volumes.stage(&mut staged, volume("c", "", true));
        index.volumes.replace(staged);
        assert!(available(&index, "slow").is_empty());
        assert_eq!(available(&index, ""), ["c"]);
    }

    #[test]
    fn nodes_are_found_by_the_host_that_their_label_names_now() {
        let index = index();
        let node = |name: &str, host: &str| {
            let labels = [(crate::model::HOSTNAME.to_owned(), host.to_owned())].into();
            NodeFacts { name: name.to_owned(), labels }
        };
        let is_there = |hosts: &[&str], name: &str| index.any_node_of_hosts(hosts, &|node| node.name == name);
        index.nodes.apply(node("n1", "a"));
        index.nodes.apply(node("n2", "a"));
        index.nodes.apply(NodeFacts { name: "n3".to_owned(), ..NodeFacts::default() });
        assert!(is_there(&["b", "a"], "n1") && is_there(&["a"], "n2"), "two of one label");
        assert!(!is_there(&["b"], "n1") && !is_there(&[], "n1") && !is_there(&["a"], "n3"));
        index.nodes.apply(node("n1", "b"));
        assert!(is_there(&["b"], "n1") && !is_there(&["a"], "n1"), "it has another label now");
        index.nodes.delete("", "n1");
        assert!(!is_there(&["b"], "n1") && is_there(&["a"], "n2"));
        let mut staged = Table::default();
        index.nodes.stage(&mut staged, node("n4", "c"));
        index.nodes.replace(staged);
        assert!(is_there(&["c"], "n4") && !is_there(&["a"], "n2"));
    }

    #[test]
    fn the_default_class_is_the_newest_that_is_marked() {
        let index = index();
        let name = || index.default_class().map(|class| class.name.clone());
        index.classes.apply(class("plain", ""));
        assert_eq!(name(), None);
        index.classes.apply(class("old", "2025-01-01T00:00:00Z"));
        index.classes.apply(class("b", "2026-01-01T00:00:00Z"));
        index.classes.apply(class("a", "2026-01-01T00:00:00Z"));
        assert_eq!(name().as_deref(), Some("a"), "of the same second the one that sorts first");
        index.classes.apply(class("a", ""));
        assert_eq!(name().as_deref(), Some("b"), "the mark was taken off");
        index.classes.delete("", "b");
        assert_eq!(name().as_deref(), Some("old"));
        index.classes.delete("", "old");
        assert_eq!(name(), None);
    }

    #[test]
    fn the_map_of_check_has_the_same_default_class() {
        let mut map = crate::lookup::MapLookup::default();
        for (name, created) in
            [("a", "2025-01-01T00:00:00Z"), ("b", "2026-01-01T00:00:00Z"), ("c", "2026-01-01T00:00:00Z")]
        {
            let object = serde_json::json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
                "metadata": {"name": name, "creationTimestamp": created,
                             "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}});
            map.add(&crate::facts::Facts::read(&object, None).unwrap());
        }
        assert_eq!(map.default_class().unwrap().name, "b");
    }

    #[test]
    fn owners_of_one_kind_are_apart_from_those_of_another() {
        let index = index();
        let owner = |kind: &str| OwnerFacts {
            kind: kind.into(),
            namespace: "a".into(),
            name: "x".into(),
            ..OwnerFacts::default()
        };
        index.owners("ReplicaSet").unwrap().apply(owner("ReplicaSet"));
        index.owners("Job").unwrap().apply(owner("Job"));
        index.owners("Job").unwrap().replace(Table::default());
        assert_eq!(index.owner("a", "ReplicaSet", "x").unwrap().kind, "ReplicaSet");
        assert!(index.owner("a", "Job", "x").is_none());
        assert!(index.owner("a", "Widget", "x").is_none());
    }

    #[test]
    fn readers_never_see_an_empty_cache_during_a_second_list() {
        let index = index();
        for n in 0..100 {
            index.nodes.apply(NodeFacts { name: format!("n{n}"), ..NodeFacts::default() });
        }
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut least = usize::MAX;
                while !stop.load(Relaxed) {
                    least = least.min(index.nodes.len());
                }
                least
            });
            for _ in 0..200 {
                let mut staged = Table::default();
                for n in 0..100 {
                    index
                        .nodes
                        .stage(&mut staged, NodeFacts { name: format!("n{n}"), ..NodeFacts::default() });
                }
                index.nodes.replace(staged);
            }
            stop.store(true, Relaxed);
            assert_eq!(reader.join().unwrap().min(100), 100);
        });
    }
}
