//! What `serve` has of a cluster: caches, policies, registration.

use crate::cluster::{
    Caches, Caller, ClusterPolicies, NAME, PolicySource, PolicyWatch, Registration, connect, register,
    registered,
};
use crate::lookup::Lookup;
use crate::policy::{CompiledPolicy, PolicySet, embedded_baseline};
use crate::server::{CacheState, State};
use crate::tls::{Pair, distrust};
use anyhow::{Result, anyhow};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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

    /// Where somebody else writes the webhook configurations: looks now and then whether the API server trusts what is served,
    /// as far as they may be read. Never ends.
    pub(super) async fn watch_registration(&self, state: &State) {
        let mut last = None;
        loop {
            let trust = match registered(&self.client).await {
                Ok(callers) => trust(&callers, &state.certificates.current(), state.clock.now()),
                Err(error) => Trust::Unknown(error.to_string()),
            };
            let (why, pause) = match &trust {
                Trust::Broken(why) => (Some(why.clone()), TRUST_AGAIN),
                Trust::Holds | Trust::Unknown(_) => (None, TRUST_LOOK),
            };
            state.certificates.set_distrust(why);
            if last.as_ref() != Some(&trust) {
                trust.log();
                last = Some(trust);
            }
            tokio::time::sleep(pause).await;
        }
    }
}

/// How often the webhook configurations are read where somebody else writes them.
const TRUST_LOOK: Duration = Duration::from_secs(10);
/// The same while the API server does not trust what is served: it goes on at once when it does again.
const TRUST_AGAIN: Duration = Duration::from_secs(2);

/// Whether the API server trusts the certificate that is served.
#[derive(Debug, PartialEq, Eq)]
enum Trust {
    /// It does.
    Holds,
    /// It does not, and why.
    Broken(String),
    /// That cannot be told, and why.
    Unknown(String),
}

impl Trust {
    fn log(&self) {
        match self {
            Self::Holds => tracing::info!("the registered CA bundles fit the certificate that is served"),
            Self::Broken(why) => tracing::error!("{why}"),
            Self::Unknown(why) => {
                tracing::warn!("whether the registered CA bundles fit the certificate is not checked: {why}");
            }
        }
    }
}

fn trust(callers: &[Caller], served: &Pair, now: i64) -> Trust {
    if callers.is_empty() {
        return Trust::Unknown(format!("no webhook configuration {NAME} names a Service"));
    }
    if let Some(Caller { kind, webhook, .. }) = callers.iter().find(|caller| caller.ca_bundle.is_empty()) {
        return Trust::Unknown(format!(
            "webhook {webhook} in {kind} {NAME} has no caBundle, so that only the CAs of the API server's own system count"
        ));
    }
    let broken = callers.iter().find_map(|caller| {
        let why = distrust(served, &caller.ca_bundle, &caller.host, now)?;
        let Caller { kind, webhook, .. } = caller;
        Some(format!(
            "the API server does not trust the certificate: the caBundle of webhook {webhook} in {kind} {NAME} does not \
             fit it: {why}"
        ))
    });
    broken.map_or(Trust::Holds, Trust::Broken)
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
    use crate::tls::Authority;
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
    fn whether_the_api_server_trusts_volgate_is_told_of_each_webhook() {
        let now = jiff::civil::date(2026, 11, 23);
        let (ours, other) = (Authority::new(now).unwrap(), Authority::new(now).unwrap());
        let host = "volgate.volgate-system.svc".to_owned();
        let served = Pair::read(ours.issue(std::slice::from_ref(&host), now).unwrap()).unwrap();
        let caller = |webhook: &str, bundle: &str| Caller {
            kind: "ValidatingWebhookConfiguration",
            webhook: webhook.to_owned(),
            host: host.clone(),
            ca_bundle: bundle.as_bytes().to_vec(),
        };
        let told = |callers: &[Caller]| trust(callers, &served, 1_795_392_000);
        assert_eq!(
            told(&[caller("a", &ours.pem()), caller("b", &(other.pem() + &ours.pem()))]),
            Trust::Holds
        );
        let broken = told(&[caller("a", &ours.pem()), caller("b", &other.pem())]);
        assert!(
            matches!(&broken, Trust::Broken(why) if why.contains("the caBundle of webhook b in ValidatingWebhookConfiguration volgate")),
            "{broken:?}"
        );
        // Not known is no reason to stop serving.
        for callers in [vec![], vec![caller("a", &other.pem()), caller("b", "")]] {
            assert!(matches!(told(&callers), Trust::Unknown(_)), "{callers:?}");
        }
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
