//! Pods that really run, in a namespace of the test's own.

use super::super::{Cluster, Output, wait_until};
use serde_json::Value;
use std::time::Duration;

/// How long the slowest machine may take for any step.
pub const LIMIT: Duration = Duration::from_secs(90);

/// A namespace, and what tests do in it, as `admin`.
#[derive(Clone, Copy, Debug)]
pub struct Pods<'a> {
    cluster: &'a Cluster,
    namespace: &'a str,
}

impl<'a> Pods<'a> {
    /// For a namespace that is there.
    pub fn new(cluster: &'a Cluster, namespace: &'a str) -> Self {
        Self { cluster, namespace }
    }

    /// kubectl in the namespace. That it fails is for the caller to look at.
    pub async fn kubectl(&self, args: &[&str], stdin: Option<&str>) -> Output {
        self.cluster.kubectl(&[&["--namespace", self.namespace], args].concat(), stdin).await
    }

    /// As [`Self::kubectl`], and it must work. What it printed.
    pub async fn works(&self, args: &[&str], stdin: Option<&str>) -> String {
        let output = self.kubectl(args, stdin).await;
        assert!(output.success, "kubectl {args:?}: {output}\n{}", stdin.unwrap_or_default());
        output.stdout
    }

    /// Creates what a manifest has, and returns what else the API server said, such as warnings.
    pub async fn apply(&self, manifest: &str) -> String {
        let output = self.kubectl(&["apply", "-f", "-"], Some(manifest)).await;
        assert!(output.success, "{output}\n{manifest}");
        output.stderr
    }

    /// Runs a command in a pod's container (`pod`, or `pod/container`) by the API server, as `kubectl exec` does; its
    /// output. It must work.
    pub async fn exec(&self, container: &str, argv: &[&str]) -> String {
        let output = self.try_exec(container, argv).await;
        assert!(output.success, "exec {argv:?} in {container}: {output}");
        output.stdout
    }

    /// As [`Self::exec`]. That it fails is for the caller to look at.
    pub async fn try_exec(&self, container: &str, argv: &[&str]) -> Output {
        let (pod, container) = match container.split_once('/') {
            Some((pod, container)) => (pod, Some(container)),
            None => (container, None),
        };
        let mut args = vec!["exec", pod];
        args.extend(container.iter().flat_map(|name| ["--container", name]));
        args.push("--");
        args.extend(argv);
        self.kubectl(&args, None).await
    }

    /// An object; null when there is none.
    pub async fn get(&self, what: &str) -> Value {
        let json = self.works(&["get", what, "--ignore-not-found", "-o", "json"], None).await;
        if json.is_empty() { Value::Null } else { serde_json::from_str(&json).unwrap() }
    }

    /// Waits until an object (`pod/redis`) is as it should be, and returns it.
    pub async fn until(&self, what: &str, state: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let wait = format!("{what} {state}");
        wait_until(&wait, LIMIT, async || {
            let found = self.get(what).await;
            if wanted(&found) {
                return Ok(found);
            }
            let events = self.kubectl(&["get", "events", "--sort-by=.lastTimestamp"], None).await;
            Err(format!("{}\n{}", found["status"], events.stdout))
        })
        .await
    }

    /// Waits until a pod is Ready, and returns it.
    pub async fn ready(&self, pod: &str) -> Value {
        self.until(&format!("pod/{pod}"), "is Ready", |pod| {
            let conditions = pod["status"]["conditions"].as_array();
            conditions.into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True")
        })
        .await
    }

    /// How often a pod's containers have been restarted, together.
    pub async fn restarts(&self, pod: &str) -> u64 {
        restarts(&self.get(&format!("pod/{pod}")).await)
    }

    /// Kills process 1 of a pod's first container, as `kubectl exec … kill 1` does, and waits until the container runs again.
    pub async fn kill(&self, pod: &str) {
        let before = self.restarts(pod).await;
        // It may end before it can say how that went.
        self.try_exec(pod, &["kill", "1"]).await;
        let what = format!("pod/{pod}");
        self.until(&what, "is restarted", |pod| restarts(pod) > before).await;
        self.ready(pod).await;
    }

    /// Deletes an object (`pod/redis`), and waits until it is gone.
    pub async fn delete(&self, what: &str) {
        self.works(&["delete", what, "--timeout", &format!("{}s", LIMIT.as_secs())], None).await;
    }
}

fn restarts(pod: &Value) -> u64 {
    let statuses = pod["status"]["containerStatuses"].as_array();
    statuses.into_iter().flatten().filter_map(|status| status["restartCount"].as_u64()).sum()
}
