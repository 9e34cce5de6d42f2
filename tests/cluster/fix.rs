//! A real API server takes what `volgate fix` writes.

use crate::support::Cluster;
use crate::support::fixed::{fixed, fixtures, products};
use crate::support::fixtures::NAMESPACE;

#[tokio::test]
async fn a_real_api_server_takes_what_is_written() {
    let Some(cluster) = Cluster::shared() else { return };
    let namespace = "fix";
    cluster.namespace(namespace, &[]).await;
    let mut all = String::new();
    let mut count = 0;
    for (_, text) in fixed(&fixtures()).0.into_iter().chain(fixed(&products()).0) {
        // Every case is one of its own, whatever it was called.
        let text = text.replace(&format!("namespace: {NAMESPACE}"), &format!("namespace: {namespace}"));
        all.push_str(&format!("---\n{text}"));
        count += 1;
    }
    let output = cluster
        .kubectl(&["create", "--dry-run=server", "-n", namespace, "-o", "name", "-f", "-"], Some(&all))
        .await;
    assert!(output.success, "{output}");
    assert!(output.stdout.lines().count() >= count, "{output}");
}
