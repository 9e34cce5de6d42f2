//! The provisioner's controller on a real control plane: the real binary, the real scheduler and controller manager, and
//! agents that the test plays.
// A panic is how a test fails, in its helpers too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "provisioner/harness.rs"]
#[allow(dead_code)]
mod harness;
mod support;

use harness::{Agent, BASE, Controller, Objects, start};
use serde_json::json;
use std::sync::OnceLock;
use support::{Cluster, Options};

const GI: i64 = 1 << 30;

/// The control plane that most tests share, with one controller.
fn shared() -> Option<&'static Cluster> {
    static SHARED: OnceLock<Option<(Cluster, Controller)>> = OnceLock::new();
    let shared = SHARED.get_or_init(|| {
        let cluster = start(Options::default())?;
        let controller = Controller::start(&cluster, &["--patience", "2", "--node-grace", "5"]);
        Some((cluster, controller))
    });
    shared.as_ref().map(|(cluster, _)| cluster)
}

#[tokio::test]
async fn a_claim_becomes_a_volume_and_goes_with_it() {
    let Some(cluster) = shared() else { return };
    let o = Objects::new(cluster, "plain").await;
    // The label's value is not the node's name, as on some clouds.
    cluster.fake_node("plain-1", &[("kubernetes.io/hostname", "host-1")]).await;
    let agent = Agent::start(cluster, "plain-1", 100 * GI).await;
    o.class("plain", json!({"mountOptions": ["noatime"], "parameters": {"nodePath": BASE}})).await;
    let uid = o.claim("data", "plain", json!({})).await;
    o.pod("user", "data", Some("host-1")).await;

    o.bound("data").await;
    let name = format!("pvc-{uid}");
    let volume = o.get("PersistentVolume", &name).await;
    let directory = format!("{name}_plain_data");
    assert_eq!(volume["spec"]["local"]["path"], format!("{BASE}/{directory}"));
    assert_eq!(volume["spec"]["mountOptions"], json!(["noatime"]));
    assert_eq!(volume["spec"]["capacity"]["storage"], "1Gi");
    let term = &volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"][0];
    assert_eq!((&term["key"], &term["values"]), (&json!("kubernetes.io/hostname"), &json!(["host-1"])));
    let annotations = &volume["metadata"]["annotations"];
    for (key, value) in [
        ("pv.kubernetes.io/provisioned-by", "local-path.volgate.dev"),
        ("volgate.dev/node", "plain-1"),
        ("volgate.dev/directory", &directory),
    ] {
        assert_eq!(annotations[key], value);
    }
    assert_eq!(agent.disk().get(&name), Some(&directory));
    o.until("the pod has its node", "Pod", "user", |pod| pod["spec"]["nodeName"] == "plain-1").await;
    o.told("data", "ProvisioningSucceeded: Successfully provisioned volume").await;

    o.delete("Pod", "user").await;
    o.delete("PersistentVolumeClaim", "data").await;
    o.gone("PersistentVolume", &name).await;
    o.gone("NodeVolume", &name).await;
    assert!(agent.disk().is_empty());
}
