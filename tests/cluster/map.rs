//! `volgate map` against a real API server, scheduler and controller manager: what it predicts of a node's loss is what happens.

use crate::support::cluster::{ADMIN, wait_until};
use crate::support::{Cluster, Options};
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Output;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// Workloads that have all of their pods on the one node that there is when they are made.
const OBJECTS: &str = r#"
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: manual}
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: disk}
spec:
  capacity: {storage: 10Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: manual
  persistentVolumeReclaimPolicy: Retain
  local: {path: /data/disk}
  nodeAffinity:
    required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [n1]}]}]}
  claimRef: {namespace: shop, name: data-kept-0}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: share}
spec:
  capacity: {storage: 20Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: manual
  persistentVolumeReclaimPolicy: Retain
  nfs: {server: nfs.example.org, path: /share}
  claimRef: {namespace: shop, name: data-moves-0}
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
      spec: {accessModes: [ReadWriteOnce], storageClassName: manual, resources: {requests: {storage: 10Gi}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: moves, namespace: shop}
spec:
  serviceName: moves
  selector: {matchLabels: {app: moves}}
  template:
    metadata: {labels: {app: moves}}
    spec: {containers: [{name: postgres, image: "postgres:17", volumeMounts: [{name: data, mountPath: /var/lib/postgresql/data}]}]}
  volumeClaimTemplates:
    - metadata: {name: data}
      spec: {accessModes: [ReadWriteOnce], storageClassName: manual, resources: {requests: {storage: 20Gi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cache, namespace: shop}
spec:
  selector: {matchLabels: {app: cache}}
  template:
    metadata: {labels: {app: cache}}
    spec:
      containers: [{name: redis, image: "redis:7", volumeMounts: [{name: data, mountPath: /data}]}]
      volumes: [{name: data, emptyDir: {}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: directory, namespace: shop}
spec:
  selector: {matchLabels: {app: directory}}
  template:
    metadata: {labels: {app: directory}}
    spec:
      containers: [{name: redis, image: "redis:7", volumeMounts: [{name: data, mountPath: /data}]}]
      volumes: [{name: data, hostPath: {path: /srv/redis}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: selects, namespace: shop}
spec:
  selector: {matchLabels: {app: selects}}
  template:
    metadata: {labels: {app: selects}}
    spec:
      nodeSelector: {disk: fast}
      containers: [{name: web, image: "nginx:1"}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: apart, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: apart}}
  template:
    metadata: {labels: {app: apart}}
    spec:
      containers: [{name: web, image: "nginx:1"}]
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            - {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: apart}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: logs, namespace: shop}
spec:
  selector: {matchLabels: {app: logs}}
  template:
    metadata: {labels: {app: logs}}
    spec: {containers: [{name: logs, image: fluentd}]}
---
apiVersion: v1
kind: Pod
metadata: {name: bare, namespace: shop, labels: {app: bare}}
spec: {containers: [{name: web, image: "nginx:1"}]}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: orphan}
spec:
  capacity: {storage: 5Gi}
  accessModes: [ReadWriteMany]
  storageClassName: other
  persistentVolumeReclaimPolicy: Retain
  local: {path: /data/orphan}
  nodeAffinity:
    required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [n1]}]}]}
"#;

fn volgate(cluster: &Cluster, arguments: &[&str]) -> Output {
    let mut command = crate::support::volgate();
    command.args(arguments).env_remove("KUBERNETES_SERVICE_HOST").env_remove("KUBECONFIG");
    command.args(["--context", "test", "--kubeconfig"]).arg(cluster.kubeconfig_for(ADMIN)).output().unwrap()
}

fn map(cluster: &Cluster, arguments: &[&str]) -> Value {
    let output = volgate(cluster, &[&["map", "-o", "json"], arguments].concat());
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The pods of each workload, by its label: the node of each, empty for none.
async fn pods(cluster: &Cluster) -> BTreeMap<String, Vec<(String, String)>> {
    let listed = cluster.kubectl(&["-n", "shop", "get", "pods", "-o", "json"], None).await;
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    let mut found: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for pod in listed["items"].as_array().unwrap() {
        let text =
            |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        found
            .entry(text("/metadata/labels/app"))
            .or_default()
            .push((text("/metadata/name"), text("/spec/nodeName")));
    }
    found
}

fn names<'v>(list: &'v Value, field: &str) -> Vec<&'v str> {
    list.as_array().unwrap().iter().map(|item| item[field].as_str().unwrap()).collect()
}

/// What is predicted of each workload, by its name.
fn predicted(event: &Value) -> BTreeMap<&str, &'static str> {
    let mut outcomes = BTreeMap::new();
    for outcome in ["stranded", "backEmpty", "back", "gone", "unknown"] {
        for group in event[outcome].as_array().unwrap() {
            let name = group["workload"]["name"].as_str().unwrap();
            assert_eq!(outcomes.insert(name, outcome), None, "{event:#}");
        }
    }
    outcomes
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_predicted_of_a_lost_node_is_what_happens() {
    let Some(cluster) = Cluster::own(Options::default()) else { return };
    cluster.namespace("shop", &[]).await;
    cluster.fake_node("n1", &[("disk", "fast"), ("topology.kubernetes.io/zone", "a")]).await;
    let applied = cluster.kubectl(&["apply", "-f", "-"], Some(OBJECTS)).await;
    assert!(applied.success, "{}{}", applied.stdout, applied.stderr);
    let all = ["kept", "moves", "cache", "directory", "selects", "apart", "logs", "bare"];
    wait_until("every workload is on n1", LIMIT, async || {
        let found = pods(&cluster).await;
        let on = |app: &&str| found.get(*app).is_some_and(|pods| pods.iter().any(|(_, node)| node == "n1"));
        if all.iter().all(on) { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    cluster.fake_node("n2", &[("topology.kubernetes.io/zone", "b")]).await;
    wait_until("what has one pod a node is on both", LIMIT, async || {
        let found = pods(&cluster).await;
        let both = |app: &str| {
            found
                .get(app)
                .is_some_and(|pods| pods.len() == 2 && pods.iter().all(|(_, node)| !node.is_empty()))
        };
        if both("apart") && both("logs") { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;

    // The map has what was made.
    let before = map(&cluster, &["--what-if", "node=n1", "--what-if", "class=manual"]);
    assert_eq!(names(&before["nodes"], "name"), ["n1", "n2"]);
    assert_eq!(names(&before["volumes"], "name"), ["disk", "orphan", "share"]);
    assert_eq!(names(&before["claims"], "name"), ["data-kept-0", "data-moves-0"]);
    assert_eq!(before["volumes"][1]["orphan"], "available");
    let kept =
        before["workloads"].as_array().unwrap().iter().find(|it| it["object"]["name"] == "kept").unwrap();
    assert_eq!(kept["object"]["kind"], "StatefulSet");
    assert_eq!((&kept["products"][0], &kept["pods"][0]["node"]), (&"Redis".into(), &"n1".into()));
    assert_eq!(kept["data"][0]["durability"], "volume", "its volume is retained: {kept:#}");
    let cache =
        before["workloads"].as_array().unwrap().iter().find(|it| it["object"]["name"] == "cache").unwrap();
    assert_eq!(cache["object"]["kind"], "Deployment", "the ReplicaSet is folded into it");
    assert_eq!(cache["findings"][0]["rule"], "durable-data", "{cache:#}");
    let lost = &before["whatIf"][0];
    let held = names(&lost["lost"], "what");
    assert!(
        held.starts_with(&["claim shop/data-kept-0", "emptyDir data", "hostPath /srv/redis"]),
        "{lost:#}"
    );
    assert!(held.contains(&"volume orphan"), "{lost:#}");
    assert_eq!(lost["lost"][0]["size"], "10Gi");
    let outcomes = predicted(lost);
    let expected = [
        ("apart", "stranded"),
        ("bare", "gone"),
        ("cache", "backEmpty"),
        ("directory", "backEmpty"),
        ("kept", "stranded"),
        ("logs", "gone"),
        ("moves", "back"),
        ("selects", "stranded"),
    ];
    assert_eq!(outcomes, expected.into());
    let class = predicted(&before["whatIf"][1]);
    assert_eq!(class, [("kept", "stranded"), ("moves", "stranded")].into());
    assert_eq!(before["whatIf"][1]["untouched"].as_array().unwrap().len(), 6);

    // The node is lost: its object goes, and with it its pods, as the pod garbage collector has it.
    let on_n1: Vec<String> = pods(&cluster)
        .await
        .into_values()
        .flatten()
        .filter(|(_, node)| node == "n1")
        .map(|(name, _)| name)
        .collect();
    assert!(cluster.kubectl(&["delete", "node", "n1"], None).await.success);
    let mut arguments = vec!["-n", "shop", "delete", "pod", "--grace-period=0", "--force", "--wait=false"];
    arguments.extend(on_n1.iter().map(String::as_str));
    let deleted = cluster.kubectl(&arguments, None).await;
    assert!(deleted.success || deleted.stderr.contains("not found"), "{deleted}");
    wait_until("what was predicted", LIMIT, async || {
        let found = pods(&cluster).await;
        let none = Vec::new();
        for (app, outcome) in &outcomes {
            let pods = found.get(*app).unwrap_or(&none);
            let left: Vec<&str> = pods.iter().map(|(_, node)| node.as_str()).collect();
            let holds = match *outcome {
                "stranded" => left.contains(&"") && left.iter().all(|node| ["", "n2"].contains(node)),
                "gone" => left.iter().all(|node| *node == "n2") && left.len() == usize::from(*app == "logs"),
                _ => left == ["n2"],
            };
            if !holds {
                return Err(format!("{app} is to be {outcome}: {pods:?}"));
            }
        }
        Ok(())
    })
    .await;
    // The scheduler has looked at those that wait, and finds no node.
    wait_until("the scheduler has given up on those that are stranded", LIMIT, async || {
        for app in ["kept", "selects", "apart"] {
            let label = format!("app={app}");
            let pods =
                cluster.kubectl(&["-n", "shop", "get", "pods", "-l", &label, "-o", "json"], None).await;
            if !pods.stdout.contains("\"Unschedulable\"") {
                return Err(format!("{app}: {}", pods.stdout));
            }
        }
        Ok(())
    })
    .await;
    let after = map(&cluster, &[]);
    let gone: Vec<&Value> =
        after["nodes"].as_array().unwrap().iter().filter(|node| node["exists"] == false).collect();
    assert_eq!(gone.len(), 1, "volumes still name n1: {after:#}");

    let unknown = volgate(&cluster, &["map", "--what-if", "node=n3"]);
    assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
    assert!(
        String::from_utf8_lossy(&unknown.stderr).contains("there is no node n3 on the map"),
        "{unknown:?}"
    );
    // `doctor` finds the same cluster by the same flags.
    let doctor = volgate(&cluster, &["doctor"]);
    let told = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert_eq!(doctor.status.code(), Some(1), "{doctor:?}");
    assert!(told.contains("there is no MutatingWebhookConfiguration zz-volgate"), "{told}");
    assert!(told.contains("there is no ValidatingWebhookConfiguration volgate"), "{told}");
}
