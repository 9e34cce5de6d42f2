use super::watch::{Sink, WatchState, run};
use super::watched::POLICIES;
use crate::policy::{CompiledPolicy, load};
use crate::rule::PolicyFault;
use serde_json::Value;
use std::collections::BTreeMap;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};

/// The StoragePolicy objects of the cluster, as they are now.
#[derive(Debug, Clone, Default)]
pub struct ClusterPolicies {
    /// Where they come from, or why there are none.
    pub source: PolicySource,
    /// In the order of their names.
    pub policies: Vec<ClusterPolicy>,
}

/// How the watch of StoragePolicy objects is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PolicySource {
    /// The first list is under way.
    #[default]
    Waiting,
    /// The CRD is not installed: policies come from files alone. It is looked for again every 30 s. When it is taken
    /// away while volgate runs, the policies that were known then stay in force until their deletion is seen.
    NoCrd,
    /// They are listed and watched.
    Watched,
    /// They have not been listed yet, for this reason; it is tried again.
    Failing(String),
}

/// One StoragePolicy object.
#[derive(Debug, Clone, Default)]
pub struct ClusterPolicy {
    /// Its name.
    pub name: String,
    /// The policy to apply: of an object with faults the last version without, if there was one.
    pub compiled: Option<CompiledPolicy>,
    /// What is wrong with the object as it is now.
    pub faults: Vec<PolicyFault>,
    /// The generation of the object as it is now.
    pub generation: i64,
    /// Its uid.
    pub uid: String,
}

impl ClusterPolicy {
    /// Whether it is that version of that object, as far as its spec goes.
    fn is_version(&self, uid: &str, generation: i64) -> bool {
        generation > 0 && self.generation == generation && self.uid == uid
    }
}

/// Watches StoragePolicy objects. Dropping it ends the watch.
pub struct PolicyWatch {
    receiver: watch::Receiver<ClusterPolicies>,
    statuses: watch::Receiver<Statuses>,
    task: JoinHandle<()>,
}

impl PolicyWatch {
    /// Begins to list and watch. Returns at once.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(client: kube::Client) -> Self {
        let (sender, receiver) = watch::channel(ClusterPolicies::default());
        let (stored, statuses) = watch::channel(Statuses::default());
        let task = tokio::spawn(async move {
            run(client, &WatchState::new(POLICIES), Feed { sender, stored, ..Feed::default() }).await;
        });
        Self { receiver, statuses, task }
    }

    /// The policies now, and a notice of each change.
    pub fn receiver(&self) -> watch::Receiver<ClusterPolicies> {
        self.receiver.clone()
    }

    /// For the writer of statuses.
    pub fn statuses(&self) -> PolicyStatuses {
        PolicyStatuses(self.statuses.clone())
    }
}

/// The status of each StoragePolicy as it is stored, by name.
pub(super) type Statuses = BTreeMap<String, Value>;

/// The statuses of the StoragePolicy objects as they are stored.
#[derive(Clone)]
pub struct PolicyStatuses(pub(super) watch::Receiver<Statuses>);

impl Drop for PolicyWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// From objects to policies. It sends when something has changed, never in the middle of a list.
#[derive(Default)]
struct Feed {
    known: BTreeMap<String, ClusterPolicy>,
    staged: BTreeMap<String, ClusterPolicy>,
    source: PolicySource,
    sender: watch::Sender<ClusterPolicies>,
    stored: watch::Sender<Statuses>,
}

impl Feed {
    fn read(&self, object: &Value) -> ClusterPolicy {
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let generation = object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default();
        let uid = object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default().to_owned();
        let known = self.known.get(&name);
        // Its status alone has changed, or its labels: it is what it was, and counts on.
        if let Some(known) = known.filter(|known| known.is_version(&uid, generation)) {
            return known.clone();
        }
        match load(object) {
            Ok(compiled) => {
                let last = known.and_then(|known| known.compiled.as_ref());
                let is_new = last.is_none_or(|last| last.notices() != compiled.notices());
                if is_new && !compiled.notices().is_empty() {
                    let list =
                        compiled.notices().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                    warn!(
                        policy = name,
                        notices = list,
                        "a StoragePolicy is applied, and parts of it have no effect"
                    );
                }
                ClusterPolicy { name, compiled: Some(compiled), faults: Vec::new(), generation, uid }
            }
            Err(faults) => {
                let last = known.and_then(|known| known.compiled.clone());
                if known.is_none_or(|known| known.faults != faults) {
                    let error = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                    if last.is_some() {
                        warn!(
                            policy = name,
                            error, "a StoragePolicy has faults, and its last good version stays in force"
                        );
                    } else {
                        warn!(policy = name, error, "a StoragePolicy has faults, and it is not applied");
                    }
                }
                ClusterPolicy { name, compiled: last, faults, generation, uid }
            }
        }
    }

    fn keep_status(&self, object: &Value) {
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let status = object.get("status").cloned().unwrap_or_default();
        self.stored.send_modify(|stored| {
            stored.insert(name.to_owned(), status);
        });
    }

    fn send(&self) {
        let policies = self.known.values().cloned().collect();
        self.sender.send_replace(ClusterPolicies { source: self.source.clone(), policies });
    }
}

impl Sink for Feed {
    type Facts = Value;

    fn begin(&mut self) {
        self.staged.clear();
    }
    fn stage(&mut self, object: Value) {
        self.keep_status(&object);
        let policy = self.read(&object);
        self.staged.insert(policy.name.clone(), policy);
    }
    fn replace(&mut self) {
        self.known = std::mem::take(&mut self.staged);
        self.stored.send_modify(|stored| stored.retain(|name, _| self.known.contains_key(name)));
        self.source = PolicySource::Watched;
        self.send();
    }
    fn apply(&mut self, object: Value) {
        self.keep_status(&object);
        let policy = self.read(&object);
        let same = |known: &ClusterPolicy| known.is_version(&policy.uid, policy.generation);
        if self.known.get(&policy.name).is_some_and(same) {
            return;
        }
        self.known.insert(policy.name.clone(), policy);
        self.send();
    }
    fn delete(&mut self, _namespace: &str, name: &str) {
        self.known.remove(name);
        self.stored.send_modify(|stored| {
            stored.remove(name);
        });
        self.send();
    }
    fn failed(&mut self, missing: bool, why: &str) {
        let source = match (missing, &self.source) {
            (true, PolicySource::NoCrd) | (false, PolicySource::Watched) => return,
            (true, _) => PolicySource::NoCrd,
            (false, _) => PolicySource::Failing(why.to_owned()),
        };
        if source == PolicySource::NoCrd {
            info!("no StoragePolicy CRD: policies come from files alone");
        }
        if self.source != source {
            self.source = source;
            self.send();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn policy(name: &str, class: &str) -> Value {
        json!({"apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy", "metadata": {"name": name},
               "spec": {"rules": [{"defaultClass": {"name": class}}]}})
    }

    fn bad(name: &str) -> Value {
        json!({"apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy", "metadata": {"name": name},
               "spec": {"rules": [{"defaultClas": {}}]}})
    }

    /// Name, whether there is a policy to apply, number of faults.
    fn seen(feed: &Feed) -> Vec<(String, bool, usize)> {
        let now = feed.sender.borrow();
        now.policies.iter().map(|p| (p.name.clone(), p.compiled.is_some(), p.faults.len())).collect()
    }

    #[test]
    fn a_bad_policy_among_good_ones_keeps_its_last_good_version() {
        let mut feed = Feed::default();
        feed.begin();
        feed.stage(policy("a", "x"));
        feed.stage(bad("b"));
        assert_eq!(seen(&feed), [], "a list shows when it is whole");
        feed.replace();
        assert_eq!(seen(&feed), [("a".into(), true, 0), ("b".into(), false, 1)]);
        feed.apply(policy("b", "y"));
        feed.apply(bad("a"));
        assert_eq!(seen(&feed), [("a".into(), true, 1), ("b".into(), true, 0)]);

        feed.begin();
        feed.stage(bad("a"));
        feed.replace();
        assert_eq!(seen(&feed), [("a".into(), true, 1)], "a new list keeps it too, and forgets what is gone");
        feed.delete("", "a");
        assert_eq!(seen(&feed), []);
        feed.apply(bad("a"));
        assert_eq!(seen(&feed), [("a".into(), false, 1)], "what was deleted is not remembered");
    }

    #[test]
    fn a_new_status_changes_no_policy_and_a_new_object_of_the_name_does() {
        let mut feed = Feed::default();
        let object = |uid: &str, generation: i64, status: Value| {
            let mut object = policy("a", "x");
            object["metadata"]["generation"] = json!(generation);
            object["metadata"]["uid"] = json!(uid);
            object["status"] = status;
            object
        };
        let mut changes = feed.sender.subscribe();
        feed.apply(object("1", 1, Value::Null));
        assert!(changes.has_changed().unwrap());
        let counts = |feed: &Feed| feed.known["a"].compiled.as_ref().unwrap().counts.clone();
        changes.mark_unchanged();
        let before = counts(&feed);
        feed.apply(object("1", 1, json!({"rules": 1})));
        assert!(!changes.has_changed().unwrap() && std::sync::Arc::ptr_eq(&before, &counts(&feed)));
        assert_eq!(feed.stored.borrow()["a"], json!({"rules": 1}));
        feed.apply(object("1", 2, Value::Null));
        assert!(changes.has_changed().unwrap() && !std::sync::Arc::ptr_eq(&before, &counts(&feed)));
        let before = counts(&feed);
        feed.apply(object("2", 2, Value::Null));
        assert!(!std::sync::Arc::ptr_eq(&before, &counts(&feed)), "deleted and made again unseen");
    }

    #[test]
    fn says_where_policies_come_from() {
        let mut feed = Feed::default();
        let source = |feed: &Feed| feed.sender.borrow().source.clone();
        assert_eq!(source(&feed), PolicySource::Waiting);
        feed.failed(true, "no such resource");
        assert_eq!(source(&feed), PolicySource::NoCrd);
        feed.failed(false, "forbidden");
        assert_eq!(source(&feed), PolicySource::Failing("forbidden".into()));
        feed.begin();
        feed.stage(policy("a", "x"));
        feed.replace();
        assert_eq!(source(&feed), PolicySource::Watched);
        feed.failed(false, "connection refused");
        assert_eq!(source(&feed), PolicySource::Watched, "the last known policies stay");
        feed.failed(true, "the CRD was taken away");
        assert_eq!((source(&feed), seen(&feed).len()), (PolicySource::NoCrd, 1));
    }
}
