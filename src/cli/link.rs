//! What `serve` has of a cluster: caches, policies, registration.

use crate::cluster::{Caches, ClusterPolicies, Endpoint, PolicySource, PolicyWatch, Registration, connect, register};
use crate::lookup::Lookup;
use crate::policy::{CompiledPolicy, PolicySet, embedded_baseline};
use crate::server::CacheState;
use anyhow::{Context, Result, anyhow};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A cluster, as long as `serve` runs.
pub(super) struct Link {
    client: kube::Client,
    caches: Arc<ClusterCaches>,
}

struct ClusterCaches {
    caches: Caches,
    policies: PolicyWatch,
}

impl Link {
    /// Reaches the cluster and begins to fill the caches.
    pub(super) async fn start() -> Result<Self> {
        let client = connect().await?;
        let caches = Caches::start(&client);
        let policies = PolicyWatch::start(client.clone());
        Ok(Self { client, caches: Arc::new(ClusterCaches { caches, policies }) })
    }

    pub(super) fn lookup(&self) -> Arc<dyn Lookup> {
        self.caches.caches.lookup()
    }

    pub(super) fn caches(&self) -> Arc<dyn CacheState> {
        self.caches.clone()
    }

    /// The StoragePolicy objects, now and as they change.
    pub(super) fn policies(&self) -> watch::Receiver<ClusterPolicies> {
        self.caches.policies.receiver()
    }

    /// Writes the webhook configurations once the caches are filled: before that the webhook would be called and
    /// know nothing. Tries again until it works.
    pub(super) async fn register(&self, registration: Registration) {
        while !self.caches.waiting().is_empty() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let mut pause = Duration::from_secs(1);
        loop {
            match register(self.client.clone(), &registration).await {
                Ok(()) => {
                    tracing::info!("the webhook configurations are registered");
                    return;
                }
                Err(error) => tracing::error!("{error}; trying again in {pause:?}"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(60));
        }
    }
}

impl CacheState for ClusterCaches {
    fn waiting(&self) -> Vec<String> {
        let mut waiting = self.caches.waiting();
        match &self.policies.receiver().borrow().source {
            PolicySource::Waiting => waiting.push("the first list of storagepolicies is under way".to_owned()),
            PolicySource::Failing(why) => waiting.push(why.clone()),
            PolicySource::NoCrd | PolicySource::Watched => {}
        }
        waiting
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        self.caches.sizes()
    }
}

/// What a registration needs besides the cluster.
pub(super) fn registration(
    service: Option<(String, String)>,
    url: Option<String>,
    ca: Option<String>,
    port: u16,
) -> Result<Registration> {
    let endpoint = match (service, url) {
        (Some((namespace, name)), _) => Endpoint::Service { namespace, name, port },
        (None, Some(url)) => Endpoint::Url(url),
        (None, None) => {
            return Err(anyhow!(
                "failed to register: the API server must know the way: give --service NAMESPACE/NAME, or --url for a \
                 webhook outside of the cluster"
            ));
        }
    };
    let ca = ca.context("failed to register: with --tls-cert the CA must be given by --tls-ca")?;
    Ok(Registration::new(endpoint, ca.into_bytes()))
}

/// The policies of files and cluster together; with none of either, the built-in baseline. An object of the cluster
/// that contradicts another policy is left out, and why is told: the others must go on.
pub(super) fn assemble(files: &[CompiledPolicy], cluster: &ClusterPolicies) -> Result<(PolicySet, Vec<String>)> {
    let from_cluster = cluster.policies.iter().filter_map(|policy| policy.compiled.clone());
    let mut policies: Vec<CompiledPolicy> = files.iter().cloned().chain(from_cluster).collect();
    if policies.is_empty() {
        policies.push(embedded_baseline().map_err(|fault| anyhow!("failed to load the built-in baseline: {fault}"))?);
    }
    let mut left_out = Vec::new();
    loop {
        match PolicySet::build(policies.clone()) {
            Ok(set) => return Ok((set, left_out)),
            Err(faults) => {
                let Some(fault) = faults.iter().find(|fault| fault.policy >= files.len()) else {
                    return Err(anyhow!("{}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")));
                };
                let name = policies.get(fault.policy).map(|policy| policy.name.clone()).unwrap_or_default();
                left_out.push(format!("StoragePolicy {name} is left out: {fault}"));
                policies.remove(fault.policy);
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
        load(&json!({"apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy", "metadata": {"name": name},
                     "spec": {"rules": [{"defaultClass": {"name": class}}]}}))
        .unwrap()
    }

    fn cluster(policies: Vec<CompiledPolicy>) -> ClusterPolicies {
        let object = |compiled: CompiledPolicy| ClusterPolicy {
            name: compiled.name.clone(),
            compiled: Some(compiled),
            faults: Vec::new(),
        };
        ClusterPolicies { source: PolicySource::Watched, policies: policies.into_iter().map(object).collect() }
    }

    fn names(set: &PolicySet) -> Vec<&str> {
        set.policies().iter().map(|policy| policy.name.as_str()).collect()
    }

    #[test]
    fn none_of_either_is_the_baseline() {
        let (set, left_out) = assemble(&[], &ClusterPolicies::default()).unwrap();
        assert_eq!((names(&set), left_out.len()), (vec!["baseline"], 0));
    }

    #[test]
    fn files_and_objects_stand_together_and_a_contradiction_costs_the_object_alone() {
        let objects = cluster(vec![policy("b", "y"), policy("c", "x")]);
        let (set, left_out) = assemble(&[policy("a", "x")], &objects).unwrap();
        assert_eq!(names(&set), ["a", "c"]);
        assert!(left_out[0].contains("StoragePolicy b is left out") && left_out.len() == 1, "{left_out:?}");
    }
}
