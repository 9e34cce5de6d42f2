//! `volgate audit`: judges what is in a cluster. One page of objects is in memory at a time, the facts that are looked up, and the
//! objects that something was found in.

use super::judging::{Judged, Known, Looked, Scope, judged_kinds, look, look_up};
use super::pages::{Ended, Listed, Step, each};
use crate::check::Tally;
use crate::check::What;
use crate::facts::{FactsFault, Meta};
use crate::lookup::MapLookup;
use crate::verdict::Verdict;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// The most objects with findings that are kept, and the most bytes of them.
const MOST_OBJECTS: usize = 10_000;
const MOST_BYTES: usize = 256 << 20;
/// The most groups of alike objects that are told apart, whose owner is not judged itself.
const MOST_ALIKE: usize = 100_000;

/// An object that something was found in.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The object, without what only the API server needs.
    pub object: Value,
    /// What it is called in a report: `shop/deployment.apps/redis`.
    pub name: String,
    /// How many more of the same owner are alike.
    pub more: usize,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Audit {
    /// The objects with findings.
    pub kept: Vec<Kept>,
    /// What is known of other objects.
    pub lookup: MapLookup,
    /// How many objects were judged.
    pub judged: usize,
    /// How many belong to one that was judged.
    pub folded: usize,
    /// How many more have findings, and are not kept.
    pub more: usize,
    /// Which kinds could not be read, and why.
    pub unread: Vec<(Listed, String)>,
    /// What no policy is about.
    pub not_judged: Tally,
}

/// Judges what is in a cluster as if it were made now.
pub async fn audit(client: &kube::Client, scope: Scope<'_>) -> Audit {
    let Known { lookup, unread, .. } = look_up(client, scope).await;
    let mut audit = Audit { unread, ..Audit::default() };
    let (kinds, custom) = judged_kinds(client, scope).await;
    audit.unread.extend(custom);
    for kind in kinds {
        let mut found = OfKind::new(scope, &lookup, &kind);
        // What is kept of all kinds together is bounded.
        found.left = MOST_OBJECTS.saturating_sub(audit.kept.len());
        found.left_bytes = MOST_BYTES.saturating_sub(audit.bytes());
        let empty = (found.left, found.left_bytes);
        let ended = each(client, &kind, scope.namespace, |step| match step {
            Step::Begin => {
                found = OfKind::new(scope, &lookup, &kind);
                (found.left, found.left_bytes) = empty;
            }
            Step::Object(object) => found.add(object),
        })
        .await;
        match ended {
            Ended::Whole => audit.take(found),
            Ended::Unknown => {}
            Ended::Failed(why) => audit.unread.push((kind, why)),
        }
    }
    audit.lookup = lookup;
    audit
}

impl Audit {
    fn bytes(&self) -> usize {
        self.kept.iter().map(|kept| kept.object.to_string().len()).sum()
    }

    fn take(&mut self, found: OfKind<'_>) {
        self.judged += found.judged;
        self.folded += found.folded;
        self.more += found.more;
        self.kept.extend(found.kept);
        for (namespace, count) in found.overlooked {
            for _ in 0..count {
                self.not_judged.add(What::Namespace(namespace.clone()), || namespace.clone());
            }
        }
    }
}

/// What makes two objects of one owner alike: the owner, and what was found in them.
type Alike = (String, Vec<(&'static str, String, String)>);

/// What was found in the objects of one kind.
struct OfKind<'s> {
    scope: Scope<'s>,
    lookup: &'s MapLookup,
    kind: &'s Listed,
    kept: Vec<Kept>,
    alike: HashMap<Alike, usize>,
    judged: usize,
    folded: usize,
    more: usize,
    overlooked: BTreeMap<String, usize>,
    left: usize,
    left_bytes: usize,
}

impl<'s> OfKind<'s> {
    fn new(scope: Scope<'s>, lookup: &'s MapLookup, kind: &'s Listed) -> Self {
        Self {
            scope,
            lookup,
            kind,
            kept: Vec::new(),
            alike: HashMap::new(),
            judged: 0,
            folded: 0,
            more: 0,
            overlooked: BTreeMap::new(),
            left: 0,
            left_bytes: 0,
        }
    }

    fn add(&mut self, object: Value) {
        let Judged { mut object, verdict } = match look(self.scope, self.lookup, object) {
            Looked::Over | Looked::OtherKind => return,
            Looked::Folded => {
                self.folded += 1;
                return;
            }
            Looked::Overlooked(namespace) => {
                *self.overlooked.entry(namespace).or_default() += 1;
                return;
            }
            Looked::Judged(judged) => {
                self.judged += 1;
                *judged
            }
        };
        let meta = Meta::read((&object).into()).unwrap_or_default();
        let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
        let owner = meta.controller.map(|owner| format!("{namespace}/{}", owner.uid));
        let Some(found) = found(&verdict) else { return };
        if let Some(owner) = owner.filter(|_| self.alike.len() < MOST_ALIKE) {
            match self.alike.entry((owner, found)) {
                std::collections::hash_map::Entry::Occupied(same) => {
                    if let Some(kept) = self.kept.get_mut(*same.get()) {
                        kept.more += 1;
                    }
                    return;
                }
                std::collections::hash_map::Entry::Vacant(free) => {
                    free.insert(self.kept.len());
                }
            }
        }
        let name = self.name(&object);
        strip(&mut object);
        let size = object.to_string().len();
        if self.left == 0 || size > self.left_bytes {
            self.more += 1;
            return;
        }
        self.left -= 1;
        self.left_bytes -= size;
        self.kept.push(Kept { object, name, more: 0 });
    }

    /// What an object is called, as kubectl has it.
    fn name(&self, object: &Value) -> String {
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let namespace = match text("/metadata/namespace") {
            "" => String::new(),
            namespace => format!("{namespace}/"),
        };
        let group = self.kind.api_version.split_once('/').map_or("", |(group, _)| group);
        let dot = if group.is_empty() { "" } else { "." };
        format!("{namespace}{}{dot}{group}/{}", self.kind.kind.to_lowercase(), text("/metadata/name"))
    }
}

/// What was found; none where nothing was. That an object cannot be read is found as well.
fn found(verdict: &Result<Verdict, FactsFault>) -> Option<Vec<(&'static str, String, String)>> {
    match verdict {
        Ok(verdict) if verdict.findings.is_empty() => None,
        Ok(verdict) => {
            let key = |finding: &crate::verdict::Finding| {
                (finding.rule, finding.field.to_string(), finding.message.clone())
            };
            Some(verdict.findings.iter().map(key).collect())
        }
        Err(fault) => Some(vec![("", fault.path.to_string(), fault.to_string())]),
    }
}

/// Takes out what only the API server and kubectl need.
fn strip(object: &mut Value) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    metadata.remove("managedFields");
    if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::snapshot::listed;
    use crate::cluster::watched::PODS;
    use crate::facts::OwnerFacts;
    use crate::policy::{PolicySet, load};
    use serde_json::json;

    fn policies() -> PolicySet {
        let policy = json!({"apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy", "metadata": {"name": "p"},
                            "spec": {"rules": [{"durableData": {}}]}});
        PolicySet::build(vec![load(&policy).unwrap()]).unwrap()
    }

    fn pod(name: &str, owner: Option<Value>) -> Value {
        json!({"apiVersion": "v1", "kind": "Pod",
               "metadata": {"name": name, "namespace": "shop", "ownerReferences": owner.into_iter().collect::<Vec<_>>(),
                            "managedFields": [{}]},
               "spec": {"containers": [{"name": "r", "image": "redis"}]}})
    }

    fn owner(kind: &str, api_version: &str, uid: &str) -> Option<Value> {
        Some(json!({"apiVersion": api_version, "kind": kind, "name": "o", "uid": uid, "controller": true}))
    }

    #[test]
    fn what_belongs_to_another_object_is_folded_into_it() {
        let policies = policies();
        let mut lookup = MapLookup::default();
        let set = json!({"metadata": {"name": "o", "namespace": "shop", "uid": "u"}});
        let id = crate::model::ObjectRef {
            kind: "StatefulSet".into(),
            name: "o".into(),
            namespace: Some("shop".into()),
            ..Default::default()
        };
        lookup.add_owner(OwnerFacts::read_whole((&set).into(), &id).unwrap());
        let scope = Scope { policies: &policies, namespace: None, today: jiff::civil::date(2026, 11, 23) };
        let kind = listed(PODS);
        let mut found = OfKind::new(scope, &lookup, &kind);
        (found.left, found.left_bytes) = (3, 10_000);
        found.add(pod("of-a-set", owner("StatefulSet", "apps/v1", "u")));
        found.add(pod("of-one-before", owner("StatefulSet", "apps/v1", "gone")));
        found.add(pod("of-an-operator-0", owner("Keeper", "example.org/v1", "k")));
        found.add(pod("of-an-operator-1", owner("Keeper", "example.org/v1", "k")));
        found.add(pod("bare", None));
        let mut ended = pod("ended", None);
        ended["status"] = json!({"phase": "Succeeded"});
        found.add(ended);
        found.add(pod("too-many", None));
        let kept: Vec<(&str, usize)> = found.kept.iter().map(|kept| (&*kept.name, kept.more)).collect();
        assert_eq!(
            kept,
            [("shop/pod/of-one-before", 0), ("shop/pod/of-an-operator-0", 1), ("shop/pod/bare", 0)]
        );
        assert_eq!((found.judged, found.folded, found.more), (5, 1, 1));
        assert!(found.kept[0].object.pointer("/metadata/managedFields").is_none());
        let mut system = pod("p", None);
        system["metadata"]["namespace"] = json!("kube-system");
        found.add(system);
        assert_eq!(found.overlooked, [("kube-system".to_owned(), 1)].into());
    }
}
