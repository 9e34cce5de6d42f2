//! `volgate audit` and `volgate snapshot` against a real API server.

use crate::support::cluster::{ADMIN, DEVELOPER, wait_until};
use crate::support::run::root;
use crate::support::{Cluster, Options, volgate};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// A Redis without storage in a Deployment, one in a StatefulSet with a claim, a bare pod, and a pod of an operator that is not known.
const OBJECTS: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: cache, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: cache}}
  template:
    metadata: {labels: {app: cache}}
    spec: {containers: [{name: redis, image: "redis:7"}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: kept, namespace: shop}
spec:
  serviceName: kept
  selector: {matchLabels: {app: kept}}
  template:
    metadata: {labels: {app: kept}}
    spec: {containers: [{name: redis, image: "redis:7", volumeMounts: [{name: data, mountPath: /data}]}]}
  volumeClaimTemplates:
    - metadata: {name: data}
      spec: {accessModes: [ReadWriteOnce], storageClassName: fast, resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: bare, namespace: shop}
spec: {containers: [{name: postgres, image: "postgres:17"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: system, namespace: kube-system}
spec: {containers: [{name: redis, image: "redis:7"}]}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: fast}
provisioner: x.example.org
parameters: {password: hush}
---
apiVersion: v1
kind: Secret
metadata: {name: secret, namespace: shop}
stringData: {password: hush}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: config, namespace: shop}
data: {text: a setting}
"#;

struct World {
    cluster: Cluster,
    folder: tempfile::TempDir,
}

impl World {
    async fn start() -> Option<Self> {
        let cluster = Cluster::own(Options { scheduler: false, ..Options::default() })?;
        cluster.namespace("shop", &[("tier", "data")]).await;
        let world = Self { cluster, folder: tempfile::tempdir().unwrap() };
        world.apply(OBJECTS).await;
        let pods: Api<Pod> = Api::namespaced(world.cluster.client(ADMIN), "shop");
        // Two of the Deployment, one of the StatefulSet, and the bare one.
        wait_until("the pods of all workloads", LIMIT, async || {
            let count =
                pods.list(&ListParams::default()).await.map_err(|error| error.to_string())?.items.len();
            if count == 4 { Ok(()) } else { Err(format!("{count} pods")) }
        })
        .await;
        Some(world)
    }

    async fn apply(&self, objects: &str) {
        let output = self.cluster.kubectl(&["apply", "-f", "-"], Some(objects)).await;
        assert!(output.success, "{}{}", output.stdout, output.stderr);
    }

    fn command(&self, user: &str, arguments: &[&str]) -> Command {
        let mut command = volgate();
        command.args(arguments).current_dir(self.folder.path()).env_remove("KUBERNETES_SERVICE_HOST");
        command.env("KUBECONFIG", self.cluster.kubeconfig_for(user));
        command
    }

    fn volgate(&self, user: &str, arguments: &[&str]) -> Output {
        self.command(user, arguments).output().unwrap()
    }

    /// The exit status, and the report as JSON.
    fn audit(&self, user: &str, arguments: &[&str]) -> (i32, Value) {
        let output = self.volgate(user, &[&["audit", "--format", "json"], arguments].concat());
        let report = serde_json::from_slice(&output.stdout);
        (output.status.code().unwrap(), report.unwrap_or_else(|error| panic!("{error}: {output:?}")))
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

fn policy(name: &str, rule: &str) -> String {
    format!(
        "apiVersion: volgate.dev/v1alpha1\nkind: StoragePolicy\nmetadata: {{name: {name}}}\nspec:\n  rules:\n    - {rule}\n"
    )
}

/// What is denied, by the name in the report.
fn denied(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().unwrap().iter();
    let mut denied: Vec<&str> = findings
        .filter(|finding| finding["action"] == "Deny")
        .map(|finding| finding["file"].as_str().unwrap())
        .collect();
    denied.sort_unstable();
    denied.dedup();
    denied
}

fn told(report: &Value) -> String {
    let notices = report["notices"].as_array().unwrap().iter();
    notices.map(|notice| notice["message"].as_str().unwrap()).collect::<Vec<_>>().join("\n")
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_is_judged_and_a_state_is_kept() {
    let Some(world) = World::start().await else { return };

    // Without the CRD the built-in baseline counts; what belongs to a workload is judged with it.
    let (status, report) = world.audit(ADMIN, &[]);
    assert_eq!(status, 1, "{report:#}");
    assert_eq!(denied(&report), ["shop/deployment.apps/cache", "shop/pod/bare"]);
    let notices = told(&report);
    assert!(notices.contains("2 running workloads would be refused at the next rollout"), "{notices}");
    // Two ReplicaSets' worth of pods, the set's own pod, and the ReplicaSet.
    assert!(notices.contains("4 objects are judged with those that they belong to"), "{notices}");
    let not_judged = report["notJudged"].to_string();
    assert!(not_judged.contains("kube-system") && !not_judged.contains("unread"), "{not_judged}");
    assert!(report["patches"].as_array().unwrap().is_empty());

    // Lines of the human form are those of the object.
    let output = world.volgate(ADMIN, &["audit"]);
    let human = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(human.contains("shop/deployment.apps/cache:") && human.contains("image: redis:7"), "{human}");
    assert!(
        human.contains("the cluster does not have the kind StoragePolicy: the built-in baseline is used"),
        "{human}"
    );

    // Policies in a file, and one namespace alone.
    let strict = world.write("strict.yaml", &policy("strict", "claimClass: {allow: [slow]}"));
    let (status, report) = world.audit(ADMIN, &["--policy", &strict, "--namespace", "shop"]);
    assert_eq!(status, 1);
    let denied_claims = denied(&report);
    assert!(denied_claims.contains(&"shop/statefulset.apps/kept"), "{denied_claims:?}");
    assert!(
        denied_claims.iter().any(|name| name.starts_with("shop/persistentvolumeclaim/data-kept-0")),
        "{denied_claims:?}"
    );

    // Who may not read a kind is told of it, and the rest is judged.
    let (status, report) = world.audit(DEVELOPER, &["--policy", &strict, "--namespace", "shop"]);
    assert_eq!(status, 1, "{report:#}");
    let unread: Vec<&str> = report["notJudged"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["what"] == "unread")
        .map(|entry| entry["kind"].as_str().unwrap())
        .collect();
    assert!(unread.contains(&"PersistentVolume") && !unread.contains(&"Deployment"), "{unread:?}");
    let (status, report) = world.audit(DEVELOPER, &["--context", "nowhere"]);
    assert!(
        status == 2 && report["errors"][0]["message"].as_str().unwrap().contains("nowhere"),
        "{report:#}"
    );

    // With the CRD, the cluster's own policies count: none at first.
    let crd = text(&root("manifests/crd.yaml"));
    world.apply(&crd).await;
    wait_until("the CRD", LIMIT, async || {
        let output =
            world.cluster.kubectl(&["apply", "-f", "-"], Some(&policy("own", "durableData: {}"))).await;
        if output.success { Ok(()) } else { Err(output.stderr) }
    })
    .await;
    let output = world.volgate(ADMIN, &["audit"]);
    let human = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        human.contains("judged by 1 policy of the cluster") && human.contains("policy \"own\""),
        "{human}"
    );

    // The snapshot has what is looked up, and nothing that is secret.
    let output = world.volgate(ADMIN, &["snapshot", "--output", "cluster.json"]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let state = text(&world.folder.path().join("cluster.json"));
    for kind in
        ["StorageClass", "PersistentVolume", "PersistentVolumeClaim", "Node", "Namespace", "StoragePolicy"]
    {
        assert!(state.contains(&format!("\"kind\": \"{kind}List\"")), "{kind}: {state}");
    }
    assert!(
        state.contains("data-kept-0") && !state.contains("hush") && !state.contains("a setting"),
        "{state}"
    );
    let output = world.volgate(ADMIN, &["snapshot", "--config-maps"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("a setting"));

    // A run that cannot reach the cluster comes to what one comes to that can: by the policy of the cluster, and its claims.
    world.write(
        "pod.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop}\nspec:\n  containers:\n    - {name: r, image: redis, \
         volumeMounts: [{name: d, mountPath: /data}]}\n  volumes:\n    - {name: d, persistentVolumeClaim: {claimName: data-kept-0}}\n",
    );
    let from_file = world.volgate(ADMIN, &["check", "--cluster-state", "cluster.json", "pod.yaml"]);
    let from_cluster = world.volgate(ADMIN, &["check", "--cluster-state", "live", "pod.yaml"]);
    assert_eq!(from_file.stdout, from_cluster.stdout);
    assert_eq!(from_file.status.code(), Some(0), "{from_file:?}");
    assert!(String::from_utf8_lossy(&from_file.stdout).contains("the policy of the cluster state is used"));

    // Who may read only a part gets that part.
    let output = world.volgate(DEVELOPER, &["snapshot"]);
    let (part, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && told.contains("the snapshot has no persistentvolumes: "), "{told}");
    assert!(part.contains("PersistentVolumeClaimList") && !part.contains("PersistentVolumeList"), "{part}");
}

/// As `no_command_minds_a_reader_that_goes_away` of the core's tests has it for the commands that need no cluster.
#[tokio::test(flavor = "multi_thread")]
async fn no_command_of_a_cluster_minds_a_reader_that_goes_away() {
    let Some(world) = World::start().await else { return };
    for arguments in [
        &["audit"][..],
        &["audit", "--format", "json"],
        &["snapshot"],
        &["doctor"],
        &["doctor", "--format", "json"],
        &["map"],
        &["webhooks", "--print", "--service", "volgate-system/volgate"],
    ] {
        let read = world.volgate(ADMIN, arguments);
        assert!(!read.stdout.is_empty(), "{arguments:?} prints nothing");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let unread = world.command(ADMIN, arguments).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let unread = unread.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&unread.stderr).into_owned();
        assert!(!said.contains("panicked") && !said.contains("Broken pipe"), "{arguments:?}: {said}");
        assert_eq!(unread.status.code(), read.status.code(), "{arguments:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_objects_than_a_page_has_are_all_judged() {
    let Some(cluster) =
        Cluster::own(Options { controller_manager: false, scheduler: false, ..Options::default() })
    else {
        return;
    };
    cluster.namespace("many", &[]).await;
    let claims: String = (0..600)
        .map(|number| {
            format!(
                "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: c{number}, namespace: many}}\nspec: {{accessModes: \
                 [ReadWriteOnce], storageClassName: x, resources: {{requests: {{storage: 1Gi}}}}}}\n---\n"
            )
        })
        .collect();
    let output = cluster.kubectl(&["create", "-f", "-"], Some(&claims)).await;
    assert!(output.success, "{}", output.stderr);
    let folder = tempfile::tempdir().unwrap();
    let strict = folder.path().join("strict.yaml");
    std::fs::write(&strict, policy("strict", "claimClass: {allow: [slow]}")).unwrap();
    let mut volgate = volgate();
    volgate.args(["audit", "--format", "json", "--kubeconfig"]).arg(cluster.kubeconfig_path());
    let output = volgate.arg("--policy").arg(&strict).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["summary"]["objects"], &report["summary"]["denied"]), (&600.into(), &600.into()));
}
