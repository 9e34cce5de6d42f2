//! Row 12: volgate in the place of rancher's local-path provisioner, with volumes of that one's own making.

use crate::experiments_node::provisioned::{BASE, bound, forgotten, gone, released};
use crate::experiments_node::row;
use crate::support::installed::Installed;
use crate::support::node::{Pods, node_tests_skipped, rancher, volgate};
use serde_json::{Value, json};
use std::path::PathBuf;

/// A claim of a class with a pod that uses it, and a file in it: the volume, and where its data is on the node.
async fn written(installed: &Installed, pods: &Pods<'_>, claim: &str, class: &str) -> (Value, PathBuf) {
    let manifest = row("08-local-path/claim.yaml").replace("localpath-claim", claim);
    pods.apply(&manifest.replace(": local-path\n", &format!(": {class}\n"))).await;
    let pod = row("08-local-path/pod.yaml").replace("localpath-claim", claim);
    pods.apply(&pod.replacen("name: app", &format!("name: {claim}"), 1)).await;
    pods.ready(claim).await;
    pods.exec(claim, &["sh", "-c", "echo hello >/data/hello.txt"]).await;
    let (_, volume) = bound(&installed.real, pods, claim).await;
    let name = volume["metadata"]["name"].as_str().unwrap();
    let directory = format!("{BASE}/{name}_row-12_{claim}");
    (volume.clone(), installed.real.node().file(&directory))
}

fn provisioned_by(volume: &Value) -> &Value {
    &volume["metadata"]["annotations"]["pv.kubernetes.io/provisioned-by"]
}

#[tokio::test]
async fn row_12_an_installation_is_taken_over() {
    if node_tests_skipped() {
        return;
    }
    let images = [volgate(), rancher()].map(|image| image.unwrap_or_else(|fault| panic!("{fault}")));
    let installed = Installed::cluster(1, images.into());
    installed.works(&["apply", "-f", "-"], Some(&row("12-takeover/rancher.yaml"))).await;
    let pods = installed.real.pods("row-12").await;
    let (old, old_data) = written(&installed, &pods, "old", "local-path").await;
    let (kept, kept_data) = written(&installed, &pods, "kept", "local-path-retain").await;
    let (_, other_data) = written(&installed, &pods, "other", "local-path").await;

    let deployment = ["deployment", "local-path-provisioner", "--namespace", "local-path-storage"];
    installed.works(&[&["delete"], &deployment[..]].concat(), None).await;
    installed.install("examples/takeover").await;

    // New claims are served, in the manner of the old ones.
    let (new, new_data) = written(&installed, &pods, "new", "local-path").await;
    assert_eq!(provisioned_by(&new), provisioned_by(&old));
    assert_eq!(new["spec"]["nodeAffinity"], old["spec"]["nodeAffinity"]);
    assert_eq!(std::fs::read_to_string(new_data.join("hello.txt")).unwrap(), "hello\n");
    // The old ones go on.
    assert_eq!(pods.exec("old", &["cat", "/data/hello.txt"]).await, "hello\n");
    // Deleted are those of policy Delete, and theirs alone.
    for claim in ["old", "kept", "new"] {
        pods.delete(&format!("pod/{claim}")).await;
        pods.delete(&format!("persistentvolumeclaim/{claim}")).await;
    }
    for (volume, data) in [(&old, &old_data), (&new, &new_data)] {
        gone(data).await;
        forgotten(&installed.real, volume).await;
    }
    released(&installed.real, &kept).await;
    for data in [&kept_data, &other_data] {
        assert_eq!(std::fs::read_to_string(data.join("hello.txt")).unwrap(), "hello\n");
    }

    // The agents with the rights that `docs/install.md` has for those who need no devices.
    let fewer = json!([
        {"op": "replace", "path": "/spec/template/spec/containers/0/securityContext", "value": {
            "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"], "add": ["DAC_OVERRIDE", "FOWNER"]}
        }},
        {"op": "remove", "path": "/spec/template/spec/containers/0/volumeMounts/1"},
        {"op": "remove", "path": "/spec/template/spec/volumes/1"}
    ]);
    let agents = ["daemonset", "volgate-agent", "--namespace", "volgate-system"];
    let patch = ["--type=json", "--patch", &fewer.to_string()].map(str::to_owned);
    let patch: Vec<&str> = patch.iter().map(String::as_str).collect();
    installed.works(&[&["patch"], &agents[..], &patch].concat(), None).await;
    installed
        .works(
            &["rollout", "status", "daemonset/volgate-agent", "-n", "volgate-system", "--timeout=90s"],
            None,
        )
        .await;
    let (last, last_data) = written(&installed, &pods, "last", "local-path").await;
    assert_eq!(std::fs::read_to_string(last_data.join("hello.txt")).unwrap(), "hello\n");
    pods.delete("pod/last").await;
    pods.delete("persistentvolumeclaim/last").await;
    gone(&last_data).await;
    forgotten(&installed.real, &last).await;
}
