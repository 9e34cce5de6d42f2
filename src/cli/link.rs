//! What `serve` has of a cluster: caches, policies, registration.

use crate::cluster::{Caches, ClusterPolicies, PolicySource, PolicyWatch, Registration, connect, register};
use crate::lookup::Lookup;
use crate::server::CacheState;
use anyhow::Result;
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
            PolicySource::Waiting => {
                waiting.push("the first list of storagepolicies is under way".to_owned())
            }
            PolicySource::Failing(why) => waiting.push(why.clone()),
            PolicySource::NoCrd | PolicySource::Watched => {}
        }
        waiting
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        self.caches.sizes()
    }
}
