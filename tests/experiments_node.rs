//! The systems of the experiments, on a real node: kubelet, containerd and a real Redis.
// A panic is how a test fails, in its helpers too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use support::node::RealCluster;

/// Redis with nothing for its data.
const REDIS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: redis}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - {name: redis, image: redis, imagePullPolicy: IfNotPresent}
";

#[tokio::test]
async fn the_container_layer_is_lost_when_the_container_restarts() {
    let Some(real) = RealCluster::shared() else { return };
    let pods = real.pods("container-layer").await;
    pods.apply(REDIS).await;
    pods.ready("redis").await;
    pods.exec("redis", &["sh", "-c", "echo hello >/data/hello.txt"]).await;
    assert_eq!(pods.exec("redis", &["cat", "/data/hello.txt"]).await, "hello\n");
    pods.kill("redis").await;
    let gone = pods.try_exec("redis", &["cat", "/data/hello.txt"]).await;
    assert!(gone.stderr.contains("No such file or directory"), "{gone}");
}
