//! What `serve` has of a cluster: caches and policies.

use crate::cluster::{Caches, ClusterPolicies, PolicySource, PolicyStatuses, PolicyWatch, connect_and_hear};
use crate::lookup::Lookup;
use crate::policy::{CompiledPolicy, PolicySet, embedded_baseline};
use crate::server::{CacheState, ToldTime};
use anyhow::{Result, anyhow};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;

/// A cluster, as long as `serve` runs.
pub(super) struct Link {
    client: kube::Client,
    caches: Arc<ClusterCaches>,
}

struct ClusterCaches {
    caches: Caches,
    policies: PolicyWatch,
    in_force: Arc<AtomicBool>,
}

/// The StoragePolicy objects, for whoever puts them in force.
pub(super) struct PolicyFeed {
    receiver: watch::Receiver<ClusterPolicies>,
    listed: bool,
    in_force: Arc<AtomicBool>,
    /// Becomes true when the baseline is known to have been made; none when nobody waits for that.
    settling: Option<watch::Receiver<bool>>,
    settled: bool,
}

impl Link {
    /// Reaches the cluster and begins to fill the caches; `told` hears its time.
    pub(super) async fn start(told: &ToldTime) -> Result<Self> {
        let client = connect_and_hear(told).await?;
        let caches = Caches::start(&client);
        let policies = PolicyWatch::start(client.clone());
        let in_force = Arc::default();
        Ok(Self { client, caches: Arc::new(ClusterCaches { caches, policies, in_force }) })
    }

    pub(super) fn lookup(&self) -> Arc<dyn Lookup> {
        self.caches.caches.lookup()
    }

    pub(super) fn caches(&self) -> Arc<dyn CacheState> {
        self.caches.clone()
    }

    /// The StoragePolicy objects, now and as they change. With `settling` the built-in baseline is in force until the cluster
    /// has one of its own, or has had one.
    pub(super) fn policies(&self, settling: Option<watch::Receiver<bool>>) -> PolicyFeed {
        let settled = settling.is_none();
        let (receiver, in_force) = (self.objects(), self.caches.in_force.clone());
        PolicyFeed { receiver, listed: false, in_force, settling, settled }
    }

    /// Their statuses as they are stored.
    pub(super) fn statuses(&self) -> PolicyStatuses {
        self.caches.policies.statuses()
    }

    /// The StoragePolicy objects as they are.
    pub(super) fn objects(&self) -> watch::Receiver<ClusterPolicies> {
        self.caches.policies.receiver()
    }

    /// The client of its API server.
    pub(super) fn client(&self) -> kube::Client {
        self.client.clone()
    }
}

impl PolicyFeed {
    /// Ends when they are others than those that were taken; false when they will never change again.
    pub(super) async fn changed(&mut self) -> bool {
        let settling = async {
            match &mut self.settling {
                Some(settling) => settling.changed().await.is_ok(),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = self.receiver.changed() => return changed.is_ok(),
            lives = settling => if lives { return true },
        }
        // Nobody will say so any more.
        self.settling = None;
        self.receiver.changed().await.is_ok()
    }

    /// The policies to apply now; none where the cluster has no say: without the CRD, and until it has had a policy.
    pub(super) fn take(&mut self) -> Option<Vec<CompiledPolicy>> {
        let now = self.receiver.borrow_and_update();
        self.listed = matches!(now.source, PolicySource::NoCrd | PolicySource::Watched);
        let said = self.settling.as_mut().is_some_and(|settling| *settling.borrow_and_update());
        self.settled |= said || !now.policies.is_empty();
        let counts = !now.policies.is_empty() || (self.settled && now.source == PolicySource::Watched);
        counts.then(|| now.policies.iter().filter_map(|policy| policy.compiled.clone()).collect())
    }

    /// What was taken is in force. Readiness waits for that: before it, reviews are judged without the cluster's policies.
    pub(super) fn in_force(&self) {
        if self.listed {
            self.in_force.store(true, Ordering::Release);
        }
    }
}

impl CacheState for ClusterCaches {
    fn waiting(&self) -> Vec<String> {
        let mut waiting = self.caches.waiting();
        match &self.policies.receiver().borrow().source {
            PolicySource::Waiting => {
                waiting.push("the first list of storagepolicies is under way".to_owned())
            }
            PolicySource::Failing(why) => waiting.push(why.clone()),
            PolicySource::NoCrd | PolicySource::Watched => {
                if !self.in_force.load(Ordering::Acquire) {
                    waiting.push("the storagepolicies are being put in force".to_owned());
                }
            }
        }
        waiting
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        self.caches.sizes()
    }
}

/// The policies of files and of the cluster together; the built-in baseline without files and where the cluster has no say. In a
/// cluster that has, only objects count: with none, nothing is judged. A policy of the cluster that contradicts another is left
/// out, and why is told beside its name: the others must go on.
pub(super) fn assemble(
    files: &[CompiledPolicy],
    cluster: Option<&[CompiledPolicy]>,
) -> Result<(PolicySet, Vec<(String, String)>)> {
    let mut policies = [files, cluster.unwrap_or_default()].concat();
    if policies.is_empty() && cluster.is_none() {
        policies.push(
            embedded_baseline().map_err(|fault| anyhow!("failed to load the built-in baseline: {fault}"))?,
        );
    }
    let mut left_out = Vec::new();
    loop {
        match PolicySet::build(policies.clone()) {
            Ok(set) => return Ok((set, left_out)),
            Err(faults) => {
                let Some(fault) = faults.iter().find(|fault| fault.policy >= files.len()) else {
                    let all: Vec<String> = faults.iter().map(ToString::to_string).collect();
                    return Err(anyhow!("failed to put the policies together: {}", all.join("; ")));
                };
                let name = policies.remove(fault.policy).name;
                left_out.push((name, fault.to_string()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ClusterPolicy;
    use crate::policy::load;
    use serde_json::json;

    fn policy(name: &str, class: &str) -> CompiledPolicy {
        load(
            &json!({"apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy", "metadata": {"name": name},
                     "spec": {"rules": [{"defaultClass": {"name": class}}]}}),
        )
        .unwrap()
    }

    fn names(set: &PolicySet) -> Vec<&str> {
        set.policies().iter().map(|policy| policy.name.as_str()).collect()
    }

    #[test]
    fn without_files_and_without_a_say_of_the_cluster_the_built_in_baseline_holds() {
        let (set, left_out) = assemble(&[], None).unwrap();
        assert_eq!((names(&set), left_out.len()), (vec!["baseline"], 0));
        let (set, _) = assemble(&[], Some(&[])).unwrap();
        assert_eq!(names(&set), [""; 0], "only objects count");
        let (set, _) = assemble(&[policy("a", "x")], None).unwrap();
        assert_eq!(names(&set), ["a"]);
    }

    fn feed(settling: Option<watch::Receiver<bool>>) -> (watch::Sender<ClusterPolicies>, PolicyFeed) {
        let (sender, receiver) = watch::channel(ClusterPolicies::default());
        let settled = settling.is_none();
        (sender, PolicyFeed { receiver, listed: false, in_force: Arc::default(), settling, settled })
    }

    fn cluster(source: PolicySource, policies: &[CompiledPolicy]) -> ClusterPolicies {
        let policies = policies.iter().map(|policy| ClusterPolicy {
            name: policy.name.clone(),
            compiled: Some(policy.clone()),
            ..ClusterPolicy::default()
        });
        ClusterPolicies { source, policies: policies.collect() }
    }

    #[test]
    fn the_cluster_has_a_say_once_it_had_a_policy() {
        let (settled, settling) = watch::channel(false);
        let (sender, mut feed) = feed(Some(settling));
        let count = |feed: &mut PolicyFeed| feed.take().map(|policies| policies.len());
        for source in [PolicySource::Waiting, PolicySource::NoCrd, PolicySource::Watched] {
            sender.send_replace(cluster(source, &[]));
            assert_eq!(count(&mut feed), None, "the baseline is not made yet");
        }
        sender.send_replace(cluster(PolicySource::Watched, &[policy("a", "x")]));
        assert_eq!(count(&mut feed), Some(1));
        sender.send_replace(cluster(PolicySource::Watched, &[]));
        assert_eq!(count(&mut feed), Some(0), "what was deleted stays deleted");
        drop(settled);
    }

    #[test]
    fn a_baseline_that_was_made_and_deleted_before_is_not_put_back() {
        let (settled, settling) = watch::channel(false);
        let (sender, mut feed) = feed(Some(settling));
        sender.send_replace(cluster(PolicySource::Watched, &[]));
        assert!(feed.take().is_none());
        settled.send_replace(true);
        assert!(feed.take().is_some_and(|policies| policies.is_empty()));
        let (sender, mut feed) = self::feed(None);
        sender.send_replace(cluster(PolicySource::Watched, &[]));
        assert!(feed.take().is_some(), "nobody makes one: only objects count");
        sender.send_replace(cluster(PolicySource::NoCrd, &[]));
        assert!(feed.take().is_none());
    }

    #[test]
    fn files_and_objects_stand_together_and_a_contradiction_costs_the_object_alone() {
        let (set, left_out) =
            assemble(&[policy("a", "x")], Some(&[policy("b", "y"), policy("c", "x")])).unwrap();
        assert_eq!(names(&set), ["a", "c"]);
        assert!(left_out[0].0 == "b" && left_out.len() == 1, "{left_out:?}");
    }
}
