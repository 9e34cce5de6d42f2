//! What `serve` has of a cluster: caches and policies.

use crate::cluster::{Caches, ClusterPolicies, PolicySource, PolicyWatch, connect};
use crate::lookup::Lookup;
use crate::policy::{CompiledPolicy, PolicySet, embedded_baseline};
use crate::server::CacheState;
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
}

impl Link {
    /// Reaches the cluster and begins to fill the caches.
    pub(super) async fn start() -> Result<Self> {
        let client = connect().await?;
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

    /// The StoragePolicy objects, now and as they change.
    pub(super) fn policies(&self) -> PolicyFeed {
        let caches = &self.caches;
        PolicyFeed { receiver: caches.policies.receiver(), listed: false, in_force: caches.in_force.clone() }
    }

    /// The client of its API server.
    pub(super) fn client(&self) -> kube::Client {
        self.client.clone()
    }
}

impl PolicyFeed {
    /// Ends when they are others than those that were taken; false when they will never change again.
    pub(super) async fn changed(&mut self) -> bool {
        self.receiver.changed().await.is_ok()
    }

    /// The policies to apply now.
    pub(super) fn take(&mut self) -> Vec<CompiledPolicy> {
        let now = self.receiver.borrow_and_update();
        self.listed = matches!(now.source, PolicySource::NoCrd | PolicySource::Watched);
        now.policies.iter().filter_map(|policy| policy.compiled.clone()).collect()
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

/// The policies of files and of the cluster together; with none of either, the built-in baseline. A policy of the
/// cluster that contradicts another is left out, and why is told: the others must go on.
pub(super) fn assemble(
    files: &[CompiledPolicy],
    cluster: &[CompiledPolicy],
) -> Result<(PolicySet, Vec<String>)> {
    let mut policies = [files, cluster].concat();
    if policies.is_empty() {
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
                left_out.push(format!("StoragePolicy {name} is left out: {fault}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
    fn none_of_either_is_the_baseline() {
        let (set, left_out) = assemble(&[], &[]).unwrap();
        assert_eq!((names(&set), left_out.len()), (vec!["baseline"], 0));
    }

    #[test]
    fn files_and_objects_stand_together_and_a_contradiction_costs_the_object_alone() {
        let (set, left_out) = assemble(&[policy("a", "x")], &[policy("b", "y"), policy("c", "x")]).unwrap();
        assert_eq!(names(&set), ["a", "c"]);
        assert!(left_out[0].contains("StoragePolicy b is left out") && left_out.len() == 1, "{left_out:?}");
    }
}
