//! The systems that must work, on a real node: kubelet, containerd and a real Redis. Each row's manifests are in
//! `tests/experiments/`. Without volgate, to see the loss with own eyes; then with volgate.

mod fixed;
mod provisioned;
mod takeover;

use crate::support;
use crate::support::installed::Installed;
use crate::support::node::{Pods, RealCluster};

/// A file of a row.
fn row(file: &str) -> String {
    let path = support::run::root(format!("tests/experiments/{file}"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Writes a file in a pod's container, and reads it.
async fn write(pods: &Pods<'_>, container: &str, path: &str) {
    pods.exec(container, &["sh", "-c", &format!("echo hello >{path}")]).await;
    assert_eq!(pods.exec(container, &["cat", path]).await, "hello\n");
}

/// The file is not there.
async fn is_gone(pods: &Pods<'_>, container: &str, path: &str) {
    let output = pods.try_exec(container, &["cat", path]).await;
    assert!(output.stderr.contains("No such file or directory"), "{output}");
}

/// The pod is refused with these words.
async fn is_denied(pods: &Pods<'_>, manifest: &str, words: &str) {
    let output = pods.kubectl(&["apply", "-f", "-"], Some(manifest)).await;
    let denied = r#"admission webhook "workloads.volgate.dev" denied the request: "#;
    assert!(!output.success && output.stderr.contains(denied) && output.stderr.contains(words), "{output}");
}

#[tokio::test]
async fn row_01_the_container_layer_is_lost_when_the_container_restarts() {
    let Some(real) = RealCluster::shared() else { return };
    let pods = real.pods("row-01").await;
    pods.apply(&row("01-container-layer/pod.yaml")).await;
    pods.ready("redis").await;
    write(&pods, "redis", "/data/hello.txt").await;
    assert_eq!(pods.exec("redis", &["redis-cli", "set", "key", "value"]).await, "OK\n");
    assert_eq!(pods.exec("redis", &["redis-cli", "save"]).await, "OK\n");
    pods.kill("redis").await;
    is_gone(&pods, "redis", "/data/hello.txt").await;
    assert_eq!(pods.exec("redis", &["redis-cli", "get", "key"]).await, "\n");
}

#[tokio::test]
async fn row_01_is_denied() {
    let Some(installed) = Installed::shared().await else { return };
    let pods = installed.real.pods("row-01").await;
    let manifest = row("01-container-layer/pod.yaml");
    is_denied(&pods, &manifest, "in the container's writable layer: lost when the container restarts").await;
    is_denied(&pods, &manifest, "mount a PersistentVolumeClaim at /data").await;
    assert!(pods.get("pod/redis").await.is_null());
}

#[tokio::test]
async fn row_02_an_empty_dir_outlives_the_container_and_not_the_pod() {
    let Some(real) = RealCluster::shared() else { return };
    let pods = real.pods("row-02").await;
    let manifest = row("02-empty-dir/disk.yaml");
    pods.apply(&manifest).await;
    pods.ready("redis").await;
    write(&pods, "redis", "/data/redis/hello.txt").await;
    write(&pods, "redis", "/data/beside.txt").await;
    pods.kill("redis").await;
    assert_eq!(pods.exec("redis", &["cat", "/data/redis/hello.txt"]).await, "hello\n");
    is_gone(&pods, "redis", "/data/beside.txt").await;
    pods.delete("pod/redis").await;
    pods.apply(&manifest).await;
    pods.ready("redis").await;
    is_gone(&pods, "redis", "/data/redis/hello.txt").await;
}

#[tokio::test]
async fn row_02_is_denied() {
    let Some(installed) = Installed::shared().await else { return };
    let pods = installed.real.pods("row-02").await;
    let disk = "only /data/redis, which lies on the emptyDir \"redis-storage\", is covered";
    is_denied(&pods, &row("02-empty-dir/disk.yaml"), disk).await;
    let memory =
        "/data, which lies on tmpfs (emptyDir \"redis-storage\" with medium Memory): lost when the pod ends";
    is_denied(&pods, &row("02-empty-dir/memory.yaml"), memory).await;
    assert!(pods.get("pod/redis").await.is_null());
}

/// What one container writes to a shared emptyDir, the other one reads.
async fn share_logs(pods: &Pods<'_>) {
    let said = pods.apply(&row("03-shared-logs/pod.yaml")).await;
    assert_eq!(said, "", "no warning");
    pods.ready("shared-logs").await;
    write(pods, "shared-logs/busybox", "/var/log/busybox/hello.log").await;
    let read = pods.exec("shared-logs/nginx", &["cat", "/var/log/nginx/hello.log"]).await;
    assert_eq!(read, "hello\n");
}

#[tokio::test]
async fn row_03_containers_share_an_empty_dir() {
    let Some(real) = RealCluster::shared() else { return };
    share_logs(&real.pods("row-03").await).await;
}

#[tokio::test]
async fn row_03_is_allowed() {
    let Some(installed) = Installed::shared().await else { return };
    share_logs(&installed.real.pods("row-03").await).await;
}

/// A pod reads the node's `/data/foo`, and cannot write there.
async fn read_node(real: &RealCluster, pods: &Pods<'_>) {
    for node in real.nodes() {
        let folder = node.file("/data/foo");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("of-the-node.txt"), "hello\n").unwrap();
    }
    let said = pods.apply(&row("04-host-path/read-only.yaml")).await;
    assert_eq!(said, "", "no warning");
    pods.ready("hostpath-example-linux").await;
    assert_eq!(pods.exec("hostpath-example-linux", &["cat", "/foo/of-the-node.txt"]).await, "hello\n");
    let write = pods.try_exec("hostpath-example-linux", &["touch", "/foo/of-the-pod.txt"]).await;
    assert!(write.stderr.contains("Read-only file system"), "{write}");
}

#[tokio::test]
async fn row_04_a_pod_reads_the_node_and_leaves_its_data_there() {
    let Some(real) = RealCluster::shared() else { return };
    let pods = real.pods("row-04").await;
    read_node(real, &pods).await;
    // Writable, the data stays on the node, whatever happens to the pod: who is scheduled elsewhere does not find it.
    pods.apply(&row("04-host-path/stateful.yaml")).await;
    pods.ready("redis").await;
    write(&pods, "redis", "/data/hello.txt").await;
    pods.delete("pod/redis").await;
    assert_eq!(std::fs::read_to_string(real.node().file("/data/foo/hello.txt")).unwrap(), "hello\n");
}

#[tokio::test]
async fn row_04_is_allowed_read_only_and_denied_under_data() {
    let Some(installed) = Installed::shared().await else { return };
    let pods = installed.real.pods("row-04").await;
    read_node(&installed.real, &pods).await;
    let words = "/data, which lies on the hostPath /data/foo of one node: lost when the node ends or the pod is \
                 scheduled elsewhere";
    is_denied(&pods, &row("04-host-path/stateful.yaml"), words).await;
    assert!(pods.get("pod/redis").await.is_null());
}
