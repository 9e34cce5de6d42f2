//! Claims with their pods, all at once, on one real node: how long until they are bound, by volgate's provisioner and by
//! rancher's local-path provisioner, one after the other in clusters of their own with everything else the same and the
//! controller manager as it is by default.
//!
//! Needs what the tests with real nodes need (`tests/node/README.md`). `cargo bench --bench provision` runs 50 claims;
//! `cargo bench --bench provision -- 20` another number, `-- 50 volgate` one of the two alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a bench that cannot be set up cannot run

#[path = "../tests/support/mod.rs"]
mod support;

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use support::installed::Installed;
use support::node::{Image, optimised_volgate, rancher};

/// How long the slowest of them may take.
const LIMIT: Duration = Duration::from_secs(600);

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let count: usize = args.first().map_or(50, |count| count.parse().expect("the number of claims"));
    let only = args.get(1).map(String::as_str);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut lasts = Vec::new();
    for name in ["volgate", "rancher"].into_iter().filter(|name| only.is_none_or(|only| only == *name)) {
        let installed = runtime.block_on(start(name));
        for count in [1, count] {
            let times = runtime.block_on(burst(&installed, count));
            let (median, last) = (times[times.len() / 2], times[times.len() - 1]);
            println!(
                "{name}: {count} claims with their pods: median Bound after {median:.1?}, last after {last:.1?}"
            );
            lasts.push(last);
        }
    }
    if let [one, all, other_one, other_all] = lasts[..] {
        let ratio = |ours: Duration, other: Duration| ours.as_secs_f64() / other.as_secs_f64();
        println!(
            "volgate / rancher: one claim {:.2}, last of {count} {:.2}",
            ratio(one, other_one),
            ratio(all, other_all)
        );
    }
}

/// A cluster of one node with the provisioner, whose class is `local-path`.
async fn start(name: &str) -> Installed {
    let image = |image: Result<Image, String>| image.unwrap_or_else(|fault| panic!("{fault}"));
    if name == "volgate" {
        let installed = Installed::cluster(1, vec![image(optimised_volgate())]);
        installed.install("manifests").await;
        return installed;
    }
    let installed = Installed::cluster(1, vec![image(rancher())]);
    let manifest =
        std::fs::read_to_string(support::run::root("tests/experiments/12-takeover/rancher.yaml")).unwrap();
    installed.works(&["apply", "-f", "-"], Some(&manifest)).await;
    let waited = [
        "rollout",
        "status",
        "deployment/local-path-provisioner",
        "-n",
        "local-path-storage",
        "--timeout=120s",
    ];
    installed.works(&waited, None).await;
    installed
}

/// How long after they were all applied each claim was bound, in ascending order.
async fn burst(installed: &Installed, count: usize) -> Vec<Duration> {
    let namespace = format!("burst-{count}");
    let pods = installed.real.pods(&namespace).await;
    let items: Vec<Value> = (0..count).flat_map(|index| [claim(index), pod(index)]).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    let start = Instant::now();
    let applied = tokio::spawn({
        let client = installed.real.client(support::cluster::ADMIN);
        let namespace = namespace.clone();
        async move { watch(client, &namespace, count, start).await }
    });
    pods.apply(&list).await;
    let mut times: Vec<Duration> = applied.await.unwrap().into_values().collect();
    times.sort_unstable();
    times
}

/// When each claim was seen to be bound.
async fn watch(
    client: kube::Client,
    namespace: &str,
    count: usize,
    start: Instant,
) -> BTreeMap<String, Duration> {
    use k8s_openapi::api::core::v1::PersistentVolumeClaim;
    let api: kube::Api<PersistentVolumeClaim> = kube::Api::namespaced(client, namespace);
    let mut bound = BTreeMap::new();
    while bound.len() < count {
        assert!(start.elapsed() < LIMIT, "{} of {count} claims are bound after {LIMIT:?}", bound.len());
        for claim in api.list(&kube::api::ListParams::default()).await.unwrap() {
            let phase = claim.status.and_then(|status| status.phase);
            if phase.as_deref() == Some("Bound") {
                bound.entry(claim.metadata.name.unwrap_or_default()).or_insert_with(|| start.elapsed());
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bound
}

fn claim(index: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": format!("data-{index}")},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "local-path",
                 "resources": {"requests": {"storage": "16Mi"}}}
    })
}

fn pod(index: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("app-{index}")},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "app", "image": "busybox",
                            "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": format!("data-{index}")}}]
        }
    })
}
