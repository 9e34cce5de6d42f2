//! The test control plane itself: that it is a real Kubernetes, and that fake nodes are enough for scheduling and binding.

use crate::support;
use crate::support::cluster::{ADMIN, DEVELOPER};
use crate::support::victim::{Victim, note, poll};
use crate::support::{Cluster, Options, wait_until};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod};
use kube::api::{Api, PostParams};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn is_the_version_of_kubernetes_that_is_written_down() {
    let Some(cluster) = Cluster::shared() else { return };
    let version = cluster.client(ADMIN).apiserver_version().await.unwrap();
    assert_eq!(version.git_version, support::assets::KUBERNETES_VERSION);
    let written =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/control_plane/go.mod"))
            .unwrap();
    assert!(written.contains(&format!("k8s.io/kubernetes {}\n", version.git_version)), "{written}");
}

#[tokio::test]
async fn keeps_a_config_map() {
    let Some(cluster) = Cluster::shared() else { return };
    cluster.namespace("config-map", &[("tier", "test")]).await;
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client(DEVELOPER), "config-map");
    let map = serde_json::from_value(json!({"metadata": {"name": "m"}, "data": {"key": "value"}})).unwrap();
    maps.create(&PostParams::default(), &map).await.unwrap();
    assert_eq!(maps.get("m").await.unwrap().data, map.data);
}

#[tokio::test]
async fn answers_kubectl_and_knows_its_users() {
    let Some(cluster) = Cluster::shared() else { return };
    cluster.namespace("kubectl", &[("tier", "test")]).await;
    let manifest = CLAIM_AND_POD.replace("waiting", "nobody-has-it"); // or it takes the volume of the test below
    let applied = cluster.kubectl(&["apply", "-n", "kubectl", "-f", "-"], Some(&manifest)).await;
    assert!(applied.success, "{applied}");
    let named =
        cluster.kubectl_as(DEVELOPER, &["-n", "kubectl", "get", "pod,claim", "-o", "name"], None).await;
    assert!(!named.success && named.stderr.contains("claim"), "{named}");
    let named = cluster.kubectl_as(DEVELOPER, &["-n", "kubectl", "get", "pod,pvc", "-o", "name"], None).await;
    assert_eq!(named.stdout, "pod/writer\npersistentvolumeclaim/data\n", "{named}");
    let refused = cluster.kubectl_as(DEVELOPER, &["get", "nodes"], None).await;
    assert!(refused.stderr.contains(r#"User "developer" cannot list resource "nodes""#), "{refused}");
    let label =
        cluster.kubectl(&["get", "ns", "kubectl", "-o", "jsonpath={.metadata.labels.tier}"], None).await;
    assert_eq!(label.stdout, "test", "{label}");
}

#[tokio::test]
async fn binds_a_waiting_claim_on_a_fake_node() {
    let Some(cluster) = Cluster::shared() else { return };
    cluster.namespace("binding", &[]).await;
    cluster.fake_node("binding-1", &[("test", "binding")]).await;
    let node = cluster.fake_node("binding-2", &[("test", "binding")]).await;
    assert_eq!(node.spec.and_then(|spec| spec.taints), None);
    let applied = cluster.kubectl(&["apply", "-n", "binding", "-f", "-"], Some(CLASS_AND_VOLUME)).await;
    assert!(applied.success, "{applied}");
    let applied = cluster.kubectl(&["apply", "-n", "binding", "-f", "-"], Some(CLAIM_AND_POD)).await;
    assert!(applied.success, "{applied}");

    let client = cluster.client(DEVELOPER);
    let pods: Api<Pod> = Api::namespaced(client.clone(), "binding");
    let chosen = wait_until("the Pod is scheduled", LIMIT, async || {
        let pod = pods.get("writer").await.map_err(|e| e.to_string())?;
        let conditions = format!("{:?}", pod.status.and_then(|status| status.conditions));
        pod.spec.and_then(|spec| spec.node_name).ok_or(conditions)
    })
    .await;
    assert_eq!(chosen, "binding-2", "the volume is on that node only");
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client, "binding");
    let claim = claims.get("data").await.unwrap();
    assert_eq!(claim.status.and_then(|status| status.phase).as_deref(), Some("Bound"));
    assert_eq!(claim.spec.and_then(|spec| spec.volume_name).as_deref(), Some("on-binding-2"));
}

#[tokio::test]
async fn a_cluster_of_ones_own_takes_options_and_leaves_nothing_behind() {
    let options = Options {
        controller_manager: false,
        scheduler: false,
        api_server_args: vec!["--enable-admission-plugins=AlwaysPullImages".into()],
        users: vec![support::User { name: "system:node:n1".into(), groups: vec!["system:nodes".into()] }],
        ..Options::default()
    };
    let Some(cluster) = Cluster::own(options) else { return };
    let dir = cluster.dir().to_owned();
    cluster.namespace("own", &[]).await;
    let applied = cluster.kubectl(&["apply", "-n", "own", "-f", "-"], Some(CLAIM_AND_POD)).await;
    assert!(applied.success, "{applied}");
    let path = "jsonpath={.spec.containers[0].imagePullPolicy}";
    let policy = cluster.kubectl(&["-n", "own", "get", "pod", "writer", "-o", path], None).await;
    assert_eq!(policy.stdout, "Always", "the admission plugin is on: {policy}");
    let who = cluster.kubectl_as("system:node:n1", &["auth", "whoami"], None).await;
    assert!(who.stdout.contains("system:nodes"), "{who}");

    let port = cluster.port();
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    drop(cluster);
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err(), "the API server is gone");
    assert_eq!(dir.exists(), std::env::var("VOLGATE_KEEP_CLUSTER").is_ok_and(|value| value == "1"));
}

#[test]
fn a_killed_test_leaves_no_process_and_no_directory_behind() {
    let limit = Duration::from_secs(30);
    let mut victim = Victim::start("control_plane::the_test_that_is_killed", limit);
    let note = victim.note.clone();
    let (pid, dir) = note.trim().split_once(' ').unwrap();
    let (process, dir) = (Path::new("/proc").join(pid), PathBuf::from(dir));
    assert!(process.exists() && dir.exists(), "{note}");
    victim.kill();
    let gone = poll(limit, || (!process.exists() && !dir.exists()).then_some(()));
    assert!(gone.is_some(), "30 s later there still is {} or {}", process.display(), dir.display());
}

#[test]
#[ignore = "the test above runs it, to kill it"]
fn the_test_that_is_killed() {
    let Some(note) = note() else { return };
    let scratch = support::Scratch::new("victim").unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", r#"echo "$$ $0" >"$1"; exec sleep 600"#]).arg(scratch.path()).arg(note);
    // Not on the main thread, and that thread ends: what is spawned must not depend on it.
    let log = scratch.path().join("log");
    let process = std::thread::spawn(move || support::Process::spawn("sleeper", &command, &log).unwrap());
    process.join().unwrap().wait().unwrap();
}

#[test]
fn yaml_is_read_as_kubectl_reads_it() {
    if support::cluster_tests_skipped() {
        return;
    }
    let read = |args: &[&str], text| support::assets::yaml2json(args, text).unwrap();
    assert_eq!(read(&[], "a: 0644\n"), ["{\"json\":{\"a\":420}}"]);
    assert_eq!(
        read(&[], "# nothing but a comment\n---\non: yes\n--- # next\na: [\n---\na: 1\na: 2\n"),
        [
            r#"{"json":null}"#,
            r#"{"json":{"true":true}}"#,
            r#"{"error":"yaml: line 1: did not find expected node content"}"#,
            r#"{"json":{"a":2}}"#,
        ]
    );
    let strict = read(&["--strict"], "a: 1\na: 2\n");
    assert!(strict[0].starts_with(r#"{"error":"#) && strict[0].contains("already set"), "{strict:?}");
}

const CLAIM_AND_POD: &str = r#"
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: waiting
  resources: {requests: {storage: 1Gi}}
---
apiVersion: v1
kind: Pod
metadata: {name: writer}
spec:
  nodeSelector: {test: binding}
  containers:
    - name: writer
      image: writer:1
      volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
"#;

const CLASS_AND_VOLUME: &str = r#"
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: waiting}
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: on-binding-2}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: waiting
  local: {path: /data/on-binding-2}
  nodeAffinity:
    required:
      nodeSelectorTerms:
        - matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [binding-2]}]
"#;
