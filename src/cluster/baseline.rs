//! The StoragePolicy `baseline`: made once, by the replica that leads, and from then on the cluster's own. That it was made is
//! remembered in a ConfigMap, so that a baseline that somebody deletes stays deleted.

use super::calls::{Calls, Fault};
use super::policies::{ClusterPolicies, PolicySource};
use super::register::FIELD_MANAGER;
use super::watched::{CONFIG_MAPS, POLICIES};
use crate::policy::BASELINE;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::sync::watch;

/// The name of the policy.
pub(super) const BASELINE_NAME: &str = "baseline";
/// The name of the ConfigMap that remembers it.
pub(super) const MEMORY: &str = "volgate-baseline";

/// What is to be done about the baseline.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// The CRD is not there yet, or its objects are not known.
    Wait,
    /// Make it.
    Make,
    /// Remember that there is nothing more to do, and why.
    Remember(&'static str),
}

/// What is to be done where nothing is remembered. `registered`: volgate had registered itself before this process looked, so
/// that an earlier version has run here: then its policies were all that counted, and a baseline beside them would refuse what
/// they admit.
fn step(policies: &ClusterPolicies, registered: bool) -> Step {
    if policies.source != PolicySource::Watched {
        return Step::Wait;
    }
    if policies.policies.iter().any(|policy| policy.name == BASELINE_NAME) {
        return Step::Remember("it was there");
    }
    if registered && !policies.policies.is_empty() {
        return Step::Remember("it was not made: the policies of an earlier version are in force");
    }
    Step::Make
}

/// Looks after the baseline.
pub(super) struct Baseline {
    calls: Calls,
    namespace: String,
    policies: watch::Receiver<ClusterPolicies>,
    settled: watch::Sender<bool>,
}

impl Baseline {
    /// `settled` becomes true when it is known that the baseline was made.
    pub(super) fn new(
        calls: Calls,
        namespace: String,
        policies: watch::Receiver<ClusterPolicies>,
        settled: watch::Sender<bool>,
    ) -> Self {
        Self { calls, namespace, policies, settled }
    }

    /// Whether there is nothing more to do.
    pub(super) fn is_settled(&self) -> bool {
        *self.settled.borrow()
    }

    /// Looks whether it was made; the one that leads makes it. See [`step`] for `registered`.
    pub(super) async fn look(&self, leads: bool, registered: bool) -> Result<(), String> {
        if self.is_settled() {
            return Ok(());
        }
        match self.calls.get(CONFIG_MAPS, Some(&self.namespace), MEMORY).await {
            Ok(_) => {
                self.settled.send_replace(true);
                return Ok(());
            }
            Err(Fault::Missing) => {}
            Err(fault) => return Err(reason("read", MEMORY, fault)),
        }
        if !leads {
            return Ok(());
        }
        let now = self.policies.borrow().clone();
        match step(&now, registered) {
            Step::Wait => Ok(()),
            Step::Remember(why) => self.remember(why).await,
            Step::Make => {
                self.make().await?;
                self.remember("volgate has made it").await
            }
        }
    }

    /// Makes the policy. One that somebody has made meanwhile, and otherwise, stays as it is.
    async fn make(&self) -> Result<(), String> {
        let params = PatchParams::apply(FIELD_MANAGER);
        match self.calls.patch(POLICIES, None, BASELINE_NAME, &Patch::Apply(&object()?), &params).await {
            Ok(_) => {
                tracing::info!(policy = BASELINE_NAME, "made the StoragePolicy");
                Ok(())
            }
            Err(Fault::Stale | Fault::Exists) => Ok(()),
            Err(fault) => Err(reason("make StoragePolicy", BASELINE_NAME, fault)),
        }
    }

    /// A process that ends between making and remembering makes it again only if it was deleted in that moment.
    async fn remember(&self, why: &str) -> Result<(), String> {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": MEMORY, "namespace": self.namespace, "labels": {
                "app.kubernetes.io/name": "volgate", "app.kubernetes.io/part-of": "volgate",
                "app.kubernetes.io/component": "webhook"}},
            "data": {"storagepolicy": BASELINE_NAME, "why": why,
                     "again": "delete this ConfigMap, and volgate makes the StoragePolicy once more"},
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let (patch, namespace) = (Patch::Apply(&object), Some(self.namespace.as_str()));
        let written = self.calls.patch(CONFIG_MAPS, namespace, MEMORY, &patch, &params).await;
        written.map_err(|fault| reason("write ConfigMap", MEMORY, fault))?;
        tracing::info!(policy = BASELINE_NAME, reason = why, "the StoragePolicy is yours to edit or delete");
        self.settled.send_replace(true);
        Ok(())
    }
}

/// The policy as it is made: `policies/baseline.yaml`, with the labels of volgate's own objects.
fn object() -> Result<Value, String> {
    let document = crate::source::parse(BASELINE).into_iter().next();
    let document = document.ok_or("the built-in baseline is empty")?;
    let mut object = document.map_err(|error| error.to_string())?.value;
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        let labels = json!({"app.kubernetes.io/name": "volgate", "app.kubernetes.io/part-of": "volgate"});
        metadata.insert("labels".to_owned(), labels);
    }
    Ok(object)
}

fn reason(verb: &str, name: &str, fault: Fault) -> String {
    match fault {
        Fault::Other(why) | Fault::Invalid(why) => why,
        fault => format!("failed to {verb} {name}: {fault:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::policies::ClusterPolicy;
    use super::*;

    fn policies(source: PolicySource, names: &[&str]) -> ClusterPolicies {
        let policy = |name: &&str| ClusterPolicy { name: (*name).to_owned(), ..ClusterPolicy::default() };
        ClusterPolicies { source, policies: names.iter().map(policy).collect() }
    }

    #[test]
    fn it_is_made_where_there_is_none_and_no_earlier_version_had_policies() {
        let watched = |names: &[&str]| policies(PolicySource::Watched, names);
        for registered in [false, true] {
            assert_eq!(step(&watched(&[]), registered), Step::Make);
            assert_eq!(step(&watched(&["baseline", "a"]), registered), Step::Remember("it was there"));
            for source in [PolicySource::Waiting, PolicySource::NoCrd, PolicySource::Failing("f".into())] {
                assert_eq!(step(&policies(source, &["a"]), registered), Step::Wait);
            }
        }
        // Applied together with the installation, they stand beside it.
        assert_eq!(step(&watched(&["own"]), false), Step::Make);
        assert!(matches!(step(&watched(&["own"]), true), Step::Remember(_)));
    }

    #[test]
    fn what_is_made_is_the_baseline() {
        let made = crate::policy::load(&object().unwrap()).unwrap();
        let built_in = crate::policy::embedded_baseline().unwrap();
        assert_eq!((made.name, made.rules.len()), (built_in.name, built_in.rules.len()));
    }
}
