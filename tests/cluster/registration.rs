//! The webhook configurations on a real API server: it takes them, and a webhook that is down never locks the cluster.

pub(crate) mod keeper;

use crate::faults;
use crate::support;
use crate::support::cluster::{ADMIN, DEVELOPER, autoscaler};
use crate::support::serve::{self, Serve, free_address, register};
use crate::support::{Cluster, Options, Scratch, User, wait_until};
use k8s_openapi::api::core::v1::Pod;
use keeper::{Load, Replicas, get, patch, until};
use kube::api::{Api, ListParams};
use serde_json::{Value, json};
use std::process::Command;
use std::time::{Duration, Instant};
use volgate::cluster::{Endpoint, FailurePolicy, NamespacedName, Registration, VERSION_ANNOTATION};
use volgate::tls::Authority;

const LIMIT: Duration = Duration::from_secs(60);

/// A control plane without controllers, for volgate's own user.
fn api_server_alone() -> Options {
    Options { controller_manager: false, scheduler: false, users: vec![serve::user()], ..Options::default() }
}

const BEFORE: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: i}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: going, finalizers: [test.volgate.dev/wait]}
spec:
  replicas: 0
  selector: {matchLabels: {app: going}}
  template:
    metadata: {labels: {app: going}}
    spec: {containers: [{name: c, image: i}]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: going, finalizers: [test.volgate.dev/wait]}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: c, image: i}]}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: set}
spec:
  selector: {matchLabels: {app: set}}
  template:
    metadata: {labels: {app: set}}
    spec: {containers: [{name: c, image: i}]}
---
apiVersion: v1
kind: ReplicationController
metadata: {name: old}
spec:
  selector: {app: old}
  template:
    metadata: {labels: {app: old}}
    spec: {containers: [{name: c, image: i}]}
"#;

/// All that can be scaled, of [`BEFORE`].
const SCALABLE: [(&str, &str, &str); 4] = [
    ("apps/v1", "Deployment", "web"),
    ("apps/v1", "StatefulSet", "db"),
    ("apps/v1", "ReplicaSet", "set"),
    ("v1", "ReplicationController", "old"),
];

const POD: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: bare}
spec: {containers: [{name: c, image: i}]}
"#;

const MIRROR: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: mirror, annotations: {kubernetes.io/config.mirror: hash}}
spec: {nodeName: n1, containers: [{name: c, image: i}]}
"#;

const WITHOUT_A_NAMESPACE: &str = r#"
apiVersion: v1
kind: PersistentVolume
metadata: {name: v}
spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], hostPath: {path: /data}}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: c}
provisioner: p
---
apiVersion: v1
kind: Node
metadata: {name: n1}
---
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: n1, namespace: kube-node-lease}
spec: {holderIdentity: n1}
"#;

async fn kubectl(cluster: &Cluster, line: &str, stdin: Option<&str>) -> Result<String, String> {
    let args: Vec<&str> = line.split(' ').collect();
    let output = cluster.kubectl(&args, stdin).await;
    if output.success { Ok(output.stdout) } else { Err(output.stderr) }
}

async fn accepts(cluster: &Cluster, line: &str, stdin: Option<&str>) {
    kubectl(cluster, line, stdin).await.unwrap_or_else(|e| panic!("kubectl {line}: {e}"));
}

async fn refuses(cluster: &Cluster, line: &str, stdin: Option<&str>) {
    let error = kubectl(cluster, line, stdin).await.expect_err(line);
    assert!(error.contains(r#"failed calling webhook "workloads.volgate.dev""#), "kubectl {line}: {error}");
}

async fn pod_of_web(cluster: &Cluster, other_than: &str) -> String {
    let pods: Api<Pod> = Api::namespaced(cluster.client(ADMIN), "app");
    wait_until("the Deployment has a new pod", LIMIT, async || {
        let list = pods.list(&ListParams::default().labels("app=web")).await.map_err(|e| e.to_string())?;
        let names: Vec<String> = list.into_iter().filter_map(|pod| pod.metadata.name).collect();
        names.iter().find(|name| *name != other_than).cloned().ok_or_else(|| format!("{names:?}"))
    })
    .await
}

#[tokio::test]
async fn a_webhook_that_is_down_does_not_lock_the_cluster() {
    let options = Options {
        scheduler: false,
        // As every installer has it, so that each controller is a user of its own.
        controller_manager_args: vec!["--use-service-account-credentials=true".into()],
        users: vec![
            autoscaler(),
            service_account(OPERATOR),
            service_account(BUILDER),
            service_account(NAMED),
        ],
        ..Options::default()
    };
    let Some(cluster) = Cluster::own(options) else { return };
    let cluster = &cluster;
    cluster.namespace("app", &[]).await;
    accepts(cluster, "apply -n app -f -", Some(BEFORE)).await;
    accepts(cluster, "delete -n app deployment going --wait=false", None).await;
    accepts(cluster, "delete -n app pvc going --wait=false", None).await;
    let pod = pod_of_web(cluster, "").await;

    // Nobody listens on port 1.
    let endpoint = Endpoint::Url("https://127.0.0.1:1".into());
    let mut registration = Registration::new(endpoint, cluster.ca_pem().as_bytes().to_vec());
    registration.timeout_seconds = 1;
    registration.excluded_namespaces = vec!["also-excluded".into()];
    registration.operators = vec![NamespacedName { namespace: "app".into(), name: "named".into() }];
    register(cluster.client(ADMIN), &registration).await;
    wait_until("the webhook is in force", LIMIT, async || {
        match kubectl(cluster, "apply -n app --dry-run=server -f -", Some(POD)).await {
            Ok(_) => Err("the pod is accepted".to_owned()),
            Err(_) => Ok(()),
        }
    })
    .await;

    // Refused: what a person creates or changes.
    refuses(cluster, "apply -n app -f -", Some(POD)).await;
    refuses(cluster, "-n app set image deployment/web c=other", None).await;
    refuses(cluster, r#"-n app patch pvc data -p {"spec":{"storageClassName":"x"}}"#, None).await;
    refuses(cluster, &format!("-n app set image pod/{pod} c=other"), None).await;
    let containers = r#"{"spec":{"ephemeralContainers":[{"name":"e","image":"i"}]}}"#;
    refuses(
        cluster,
        &format!("-n app patch pod {pod} --subresource=ephemeralcontainers -p {containers}"),
        None,
    )
    .await;

    refuses(cluster, r#"-n app patch pvc data -p {"spec":{"volumeAttributesClassName":"x"}}"#, None).await;
    let larger = r#"{"spec":{"resources":{"requests":{"storage":"2Gi"}}}}"#;
    refuses(cluster, &format!("-n app patch pvc data -p {larger}"), None).await;
    refuses(cluster, &format!("-n app patch pvc going -p {larger}"), None).await;

    // Scaling up is asked about, for a person. Scaling down never is: from 1 to 0, which a Scale leaves out, and from 2 to 1.
    // What the autoscaler asks for goes through.
    for (api_version, kind, name) in SCALABLE {
        let to = |replicas: u8| format!("-n app scale {kind} {name} --replicas={replicas}");
        refuses(cluster, &to(3), None).await;
        cluster.autoscale((api_version, kind), "app", name, 2).await.unwrap();
        accepts(cluster, &to(1), None).await;
        accepts(cluster, &to(0), None).await;
        refuses(cluster, &to(1), None).await;
    }
    cluster.autoscale(("apps/v1", "Deployment"), "app", "web", 1).await.unwrap();
    let pod = pod_of_web(cluster, "").await;

    // Not asked about: what changes nothing that is judged, what is going, what belongs to the kubelet.
    accepts(cluster, "-n app label deployment/web a=b", None).await;
    accepts(cluster, "-n app label pod -l app=web a=b", None).await;
    accepts(cluster, "-n app annotate pvc data volume.kubernetes.io/selected-node=n1", None).await;
    accepts(cluster, r#"-n app patch pvc data -p {"spec":{"volumeName":"v"}}"#, None).await;
    accepts(
        cluster,
        r#"-n app patch deployment going -p {"metadata":{"finalizers":null},"spec":{"replicas":1}}"#,
        None,
    )
    .await;
    accepts(cluster, r#"-n app patch pvc going -p {"metadata":{"finalizers":null}}"#, None).await;
    accepts(cluster, "apply -f -", Some(WITHOUT_A_NAMESPACE)).await;
    accepts(cluster, "apply -n app -f -", Some(MIRROR)).await;

    operators_do_not_wait(cluster).await;

    // Excluded namespaces.
    accepts(cluster, "create namespace volgate-system", None).await;
    accepts(cluster, "create namespace also-excluded", None).await;
    for namespace in ["kube-system", "volgate-system", "also-excluded"] {
        accepts(cluster, &format!("-n {namespace} create deployment d --image=i"), None).await;
    }

    // The cluster heals by itself: a pod is replaced by its controller.
    accepts(cluster, &format!("-n app delete pod {pod} --wait=false --force --grace-period=0"), None).await;
    pod_of_web(cluster, &pod).await;

    // With the failure policy Ignore scaling up goes through as well.
    let lenient = Registration { failure_policy: FailurePolicy::Ignore, ..registration };
    register(cluster.client(ADMIN), &lenient).await;
    wait_until("people are let through", LIMIT, async || {
        kubectl(cluster, "-n app scale Deployment web --replicas=2", None).await
    })
    .await;
}

/// An operator in a namespace of its own.
const OPERATOR: &str = "system:serviceaccount:operators:cnpg";
/// A pipeline in the namespace of its objects.
const BUILDER: &str = "system:serviceaccount:app:builder";
/// An operator in the namespace of its objects, which the registration names.
const NAMED: &str = "system:serviceaccount:app:named";

fn service_account(name: &str) -> User {
    User { name: name.into(), groups: vec!["developers".into()] }
}

/// A pod with or without a controlling owner, which need not exist.
fn owned(name: &str, controller: Option<bool>) -> String {
    let owner = controller.map(|controller| {
        format!(
            ", ownerReferences: [{{apiVersion: postgresql.cnpg.io/v1, kind: Cluster, name: db, uid: u, controller: {controller}}}]"
        )
    });
    let owner = owner.unwrap_or_default();
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}{owner}}}\nspec: {{containers: [{{name: c, image: i}}]}}\n"
    )
}

/// While volgate is down: what an operator of another namespace makes for an object of its own goes through, and nothing else
/// that says it has an owner.
async fn operators_do_not_wait(cluster: &Cluster) {
    let line = ["apply", "-n", "app", "-f", "-"];
    let create = async |user: &str, pod: &str| cluster.kubectl_as(user, &line, Some(pod)).await;
    for (number, (user, controller, passes)) in [
        (OPERATOR, Some(true), true),
        (OPERATOR, Some(false), false),
        (OPERATOR, None, false),
        (BUILDER, Some(true), false),
        (BUILDER, None, false),
        (NAMED, None, true),
        (DEVELOPER, Some(true), false),
    ]
    .into_iter()
    .enumerate()
    {
        let said = create(user, &owned(&format!("owned-{number}"), controller)).await;
        assert_eq!(said.success, passes, "{user} {controller:?}: {said}");
        assert!(
            passes || said.stderr.contains(r#"failed calling webhook "workloads.volgate.dev""#),
            "{said}"
        );
    }
    // It goes on with its own pod, and an owner that comes with the change does not count.
    let image = |name: &str, owner: &str| {
        format!(
            r#"-n app patch pod {name} -p {{"metadata":{{"labels":{{"a":"b"}}{owner}}},"spec":{{"containers":[{{"name":"c","image":"new"}}]}}}}"#
        )
    };
    let owner =
        r#","ownerReferences":[{"apiVersion":"v1","kind":"A","name":"a","uid":"u","controller":true}]"#;
    for (pod, owner, passes) in [("owned-0", "", true), ("owned-5", "", false), ("owned-5", owner, false)] {
        let text = image(pod, owner);
        let said = cluster.kubectl_as(OPERATOR, &text.split(' ').collect::<Vec<_>>(), None).await;
        assert_eq!(said.success, passes, "{pod} {owner}: {said}");
    }
}

const VALIDATING: &str = "validatingwebhookconfiguration volgate";
const MUTATING: &str = "mutatingwebhookconfiguration zz-volgate";
const SECRET: &str = "-n volgate-system secret volgate-tls";

fn failure_policies(configuration: &Value) -> Vec<&str> {
    let hooks = configuration["webhooks"].as_array().into_iter().flatten();
    hooks.map(|hook| hook["failurePolicy"].as_str().unwrap()).collect()
}

/// The life of an installation: applied without anything that runs, registered by two replicas at once, its certificates
/// changed, other hands in it, removed. Somebody makes pods all the time, and none is refused.
#[tokio::test(flavor = "multi_thread")]
async fn an_installation_refuses_nobody_from_its_beginning_to_its_end() {
    let options = Options {
        scheduler: false,
        // Its garbage collector removes what has lost its owner.
        controller_manager_args: vec!["--use-service-account-credentials=true".into()],
        users: vec![serve::user(), User { name: faults::CONTROLLER.into(), groups: Vec::new() }],
        ..Options::default()
    };
    let Some(cluster) = Cluster::own(options) else { return };
    let cluster = &cluster;
    cluster.namespace("app", &[]).await;
    let load = Load::start(cluster, "app");

    // Applied, and its image is nowhere: nobody answers.
    let manifests = support::run::root("manifests");
    let manifests = manifests.to_str().unwrap();
    accepts(cluster, &format!("apply -k {manifests}"), None).await;
    assert_eq!(get(cluster, VALIDATING).await, Value::Null);
    for number in 0..20 {
        accepts(cluster, &format!("-n app create deployment web-{number} --image=nginx"), None).await;
    }

    // Two replicas at once: one Secret, one registration, and the failure policy only when the API server has been answered.
    let began = Instant::now();
    let replicas = Replicas::start(cluster).await;
    let denied =
        wait_until("a Deployment that loses its data is refused by volgate", keeper::LIMIT, async || {
            match kubectl(cluster, "create -n app --dry-run=server -f -", Some(REDIS)).await {
                Err(error) if error.contains("durable-data") => Ok(began.elapsed()),
                seen => Err(format!("{seen:?}")),
            }
        })
        .await;
    support::say(&format!("from the start of two replicas to the first denial: {denied:?}"));
    let raised = |found: &Value| failure_policies(found) == ["Fail", "Ignore", "Ignore", "Ignore"];
    let validating = until(cluster, VALIDATING, raised).await;
    let mutating = until(cluster, MUTATING, |found| failure_policies(found) == ["Fail", "Ignore"]).await;
    replicas.say("the webhook configurations are registered", 1).await;
    for (words, times) in [("made the Secret with the CA", 1), ("a dry run of its own was answered", 1)] {
        assert_eq!(replicas.said(words), times, "{words}: {}", replicas.logs());
    }
    for (kind, name) in
        [("ValidatingWebhookConfiguration", "volgate"), ("MutatingWebhookConfiguration", "zz-volgate")]
    {
        let wrote = |policy: &str| {
            replicas.said(&format!(
                "wrote a webhook configuration kind=\"{kind}\" name=\"{name}\" failure_policy=\"{policy}\""
            ))
        };
        // While the baseline is made, what may be sent is written as it changes: nothing, wider, and as it then is.
        assert!((1..=3).contains(&wrote("Ignore")), "{name}: {}", replicas.logs());
        assert_eq!(wrote("Fail"), 1, "{name}: {}", replicas.logs());
    }
    let role = get(cluster, "clusterrole volgate-registration").await["metadata"]["uid"].clone();
    let secret = get(cluster, SECRET).await;
    for configuration in [&validating, &mutating] {
        assert_eq!(configuration["metadata"]["ownerReferences"][0]["uid"], role);
        for hook in configuration["webhooks"].as_array().unwrap() {
            assert_eq!(hook["clientConfig"]["caBundle"], secret["data"]["ca.crt"]);
        }
    }
    assert_eq!(get(cluster, "-n volgate-system podtemplates").await, Value::Null, "it was a dry run");

    // Whoever writes them by hand is told the CA.
    let mut command = crate::support::volgate();
    command.args(["webhooks", "--print-ca"]).env("KUBECONFIG", cluster.kubeconfig_path());
    let printed = support::run(command, None).unwrap();
    let ca = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, &printed.stdout);
    assert_eq!(secret["data"]["ca.crt"], json!(ca), "{printed}");

    let faults = faults::Load::start(cluster);
    certificates_change(cluster, &replicas).await;
    let what = "three certificates, two CAs and the deleted Secret";
    let [_, allowed, controller] = faults.end(what, Instant::now()).await;
    assert_eq!((allowed.closed, controller.admitted), (0, 0), "{}", replicas.logs());
    others_have_their_hands_in_it(cluster, &replicas).await;

    // Removed. Those who answered go on until the configurations are gone.
    let deleted = accepts_and_stops(cluster, manifests, &replicas);
    deleted.await;
    until(cluster, VALIDATING, Value::is_null).await;
    until(cluster, MUTATING, Value::is_null).await;
    for replica in &replicas.both {
        assert_eq!(replica.ends().await.0, Some(0), "{}", replicas.logs());
    }
    load.end_with_none_refused(500).await;
}

/// What `helm uninstall` runs first: with the rights of its Job the configurations go, and replicas that still run, one of which
/// leads, do not write them again. `volgate doctor` says before and after how things are.
#[tokio::test(flavor = "multi_thread")]
async fn what_helm_runs_before_it_deletes_leaves_nothing_that_refuses() {
    const REMOVAL: &str = "system:serviceaccount:volgate-system:volgate-removal";
    let options = Options {
        scheduler: false,
        controller_manager_args: vec!["--use-service-account-credentials=true".into()],
        users: vec![serve::user(), User { name: REMOVAL.into(), groups: Vec::new() }],
        ..Options::default()
    };
    let Some(cluster) = Cluster::own(options) else { return };
    let cluster = &cluster;
    cluster.namespace("app", &[]).await;
    accepts(cluster, "create namespace volgate-system", None).await;
    let hooks = support::helm::objects(&support::helm::template("volgate-system", &[]));
    let rest = support::helm::template("volgate-system", &["--no-hooks"]);
    accepts(cluster, "apply -f -", Some(&rest)).await;
    let replicas = Replicas::start(cluster).await;
    until(cluster, VALIDATING, |found| failure_policies(found).contains(&"Fail")).await;
    until(cluster, MUTATING, |found| failure_policies(found).contains(&"Fail")).await;
    let run = |args: &[&str], user: &str| {
        let mut command = crate::support::volgate();
        command.args(args).env("KUBECONFIG", cluster.kubeconfig_for(user));
        support::run(command, None).unwrap()
    };
    let told = run(&["doctor", "--format=json"], ADMIN);
    let report: Value = serde_json::from_str(&told.stdout).unwrap();
    let found = |report: &Value, area: &str| -> String {
        let checks = report["checks"].as_array().unwrap().iter().filter(|check| check["area"] == area);
        checks.map(|check| check.to_string()).collect()
    };
    assert_eq!(told.code, Some(1), "its pods are not there: {told}");
    assert!(found(&report, "pods").contains("0 of 2 pods ready"), "{told}");
    for area in ["api server", "registration", "policies"] {
        assert!(found(&report, area).contains(r#""level":"ok""#), "{area}: {told}");
    }

    let load = Load::start(cluster, "app");
    let role = hooks.iter().filter(|object| object["kind"].as_str().unwrap().starts_with("ClusterRole"));
    for object in role.filter(|object| object["metadata"]["name"] == "volgate-removal") {
        accepts(cluster, "apply -f -", Some(&object.to_string())).await;
    }
    let removed = run(&["webhooks", "--delete"], REMOVAL);
    assert!(removed.success && removed.stdout.contains("volgate can be removed"), "{removed}");
    for configuration in [VALIDATING, MUTATING] {
        assert_eq!(get(cluster, configuration).await, Value::Null);
    }
    // Whoever answered is killed at once.
    replicas.both.iter().for_each(|replica| replica.process.kill());
    let told = run(&["doctor"], ADMIN);
    assert!(told.stdout.contains("there is no ValidatingWebhookConfiguration volgate"), "{told}");
    // A second time there is nothing to do.
    let again = run(&["webhooks", "--delete"], REMOVAL);
    assert!(again.success, "{again}");
    load.end_with_none_refused(100).await;
}

/// Helm itself, from `helm install` to the end of `helm uninstall`: the test is the kubelet of its one Job, and ends the replicas when
/// their Deployment goes.
#[tokio::test(flavor = "multi_thread")]
async fn helm_uninstall_leaves_nothing_and_refuses_nobody() {
    const REMOVAL: &str = "system:serviceaccount:volgate-system:volgate-removal";
    const JOB: &str = "-n volgate-system job volgate-removal";
    let users = vec![serve::user(), User { name: REMOVAL.into(), groups: Vec::new() }];
    let Some(cluster) = Cluster::own(Options { users, ..api_server_alone() }) else { return };
    let cluster = &cluster;
    cluster.namespace("app", &[]).await;
    let helm = |args: &str| {
        let mut command = Command::new(support::helm::helm().unwrap_or_else(|fault| panic!("{fault}")));
        command.args(args.split(' ')).args(["--namespace", "volgate-system", "--timeout", "300s"]);
        command.current_dir(env!("CARGO_MANIFEST_DIR")).env("KUBECONFIG", cluster.kubeconfig_path());
        tokio::task::spawn_blocking(move || support::run(command, None).unwrap())
    };
    let installed = helm("install volgate charts/volgate --create-namespace").await.unwrap();
    assert!(installed.success, "{installed}");
    let replicas = Replicas::start(cluster).await;
    until(cluster, VALIDATING, |found| failure_policies(found).contains(&"Fail")).await;
    until(cluster, MUTATING, |found| failure_policies(found).contains(&"Fail")).await;

    let load = Load::start(cluster, "app");
    let uninstall = helm("uninstall volgate");
    let job = until(cluster, JOB, |found| !found.is_null()).await;
    let container = &job["spec"]["template"]["spec"]["containers"][0];
    let args: Vec<String> = serde_json::from_value(container["args"].clone()).unwrap();
    let mut command = crate::support::volgate();
    command.args(&args).env("KUBECONFIG", cluster.kubeconfig_for(REMOVAL));
    let removed = tokio::task::spawn_blocking(move || support::run(command, None).unwrap()).await.unwrap();
    assert!(removed.success, "{removed}");
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let conditions: Vec<Value> = ["SuccessCriteriaMet", "Complete"]
        .map(|kind| json!({"type": kind, "status": "True", "lastTransitionTime": now, "lastProbeTime": now}))
        .into();
    let status = json!({"status": {"startTime": now, "completionTime": now, "succeeded": 1, "conditions": conditions}});
    let of = [
        "-n",
        "volgate-system",
        "patch",
        "job",
        "volgate-removal",
        "--subresource=status",
        "--type=merge",
        "-p",
    ];
    let done = cluster.kubectl(&[&of[..], &[&status.to_string()]].concat(), None).await;
    assert!(done.success, "{done}");
    let uninstalled = uninstall.await.unwrap();
    assert!(uninstalled.success, "{uninstalled}");
    replicas.both.iter().for_each(|replica| replica.process.signal("TERM"));

    for what in
        [VALIDATING, MUTATING, "clusterrole volgate-registration", "-n volgate-system deployment volgate"]
    {
        until(cluster, what, Value::is_null).await;
    }
    let left =
        get(cluster, "-n volgate-system deployments,daemonsets,services,jobs,roles,rolebindings").await;
    assert_eq!(left["items"].as_array().map_or(0, Vec::len), 0, "{left}");
    let left = get(cluster, "clusterroles,clusterrolebindings -l app.kubernetes.io/instance=volgate").await;
    assert_eq!(left["items"].as_array().map_or(0, Vec::len), 0, "{left}");
    // Policies stay, with their CRDs, until somebody takes them away.
    assert!(!get(cluster, "storagepolicy baseline").await.is_null());
    for replica in &replicas.both {
        assert_eq!(replica.ends().await.0, Some(0), "{}", replicas.logs());
    }
    load.end_with_none_refused(50).await;
}

/// Deletes everything, and ends the replicas as the kubelet does when their Deployment goes.
async fn accepts_and_stops(cluster: &Cluster, manifests: &str, replicas: &Replicas) {
    let line = format!("delete -k {manifests} --wait=false --ignore-not-found");
    let stop = async {
        until(cluster, "-n volgate-system deployment volgate", |found| {
            found.is_null() || !found["metadata"]["deletionTimestamp"].is_null()
        })
        .await;
        replicas.both.iter().for_each(|replica| replica.process.signal("TERM"));
    };
    tokio::join!(accepts(cluster, &line, None), stop);
}

/// Certificate, CA and Secret are replaced while they are used.
async fn certificates_change(cluster: &Cluster, replicas: &Replicas) {
    let remove = async |key: &str| {
        let path = format!("/data/{key}");
        let of = ["-n", "volgate-system", "secret", "volgate-tls"];
        let said = patch(cluster, &of, json!([{"op": "remove", "path": path}])).await;
        assert!(said.success, "{said}");
    };
    let served = "a new certificate is served";
    let mut times = replicas.said(served);
    let before = get(cluster, SECRET).await["data"].clone();
    let mut last = before["tls.crt"].clone();
    for round in 0..3 {
        remove("tls.crt").await;
        let after =
            until(cluster, SECRET, |found| found["data"]["tls.crt"].is_string()).await["data"].clone();
        assert_ne!(after["tls.crt"], last, "{round}");
        assert_eq!(after["ca.crt"], before["ca.crt"], "{round}: the CA stays");
        last = after["tls.crt"].clone();
        times += 2;
        replicas.say(served, times).await;
    }

    for round in 0..2 {
        let before = get(cluster, SECRET).await["data"].clone();
        remove("ca.key").await;
        let both = until(cluster, SECRET, |found| found["data"]["ca.key"].is_string()).await["data"].clone();
        assert_eq!(both["tls.crt"], before["tls.crt"], "{round}: a new CA does not serve at once");
        let bundle = both["ca.crt"].clone();
        until(cluster, VALIDATING, |found| found["webhooks"][0]["clientConfig"]["caBundle"] == bundle).await;
        let after = until(cluster, SECRET, |found| found["data"]["tls.crt"] != before["tls.crt"]).await;
        assert_eq!(after["data"]["ca.crt"], bundle, "{round}: the old CA stays for a while");
        times += 2;
        replicas.say(served, times).await;
    }

    // Deleted: what was in it is put back.
    let before = get(cluster, SECRET).await["data"].clone();
    accepts(cluster, "delete -n volgate-system secret volgate-tls", None).await;
    let back = until(cluster, SECRET, |found| !found.is_null()).await;
    assert_eq!(back["data"], before);
    for replica in &replicas.both {
        replica.ready().await;
    }
}

/// Drift is repaired, what a cloud adds stays, and an older version leaves a newer one's configurations alone.
async fn others_have_their_hands_in_it(cluster: &Cluster, replicas: &Replicas) {
    let of: Vec<&str> = VALIDATING.split(' ').collect();
    let requirement = json!({"key": "control-plane", "operator": "DoesNotExist"});
    let expressions = "/webhooks/0/namespaceSelector/matchExpressions";
    let changed = json!([
        {"op": "add", "path": format!("{expressions}/-"), "value": requirement},
        {"op": "replace", "path": "/webhooks/0/timeoutSeconds", "value": 7},
    ]);
    assert!(patch(cluster, &of, changed).await.success);
    let repaired = until(cluster, VALIDATING, |found| found["webhooks"][0]["timeoutSeconds"] == 5).await;
    assert_eq!(repaired.pointer(&format!("{expressions}/1")), Some(&requirement));
    assert_eq!(failure_policies(&repaired), ["Fail", "Ignore", "Ignore", "Ignore"], "it was never lowered");
    replicas.say("changed by somebody else; repaired", 1).await;

    let version = format!("/metadata/annotations/{}", VERSION_ANNOTATION.replace('/', "~1"));
    let newer = |version_is: &str| {
        json!([
            {"op": "replace", "path": version, "value": version_is},
            {"op": "replace", "path": "/webhooks/0/timeoutSeconds", "value": 9},
        ])
    };
    assert!(patch(cluster, &of, newer("99.0.0")).await.success);
    replicas.say("a newer version of volgate has written", 1).await;
    assert_eq!(get(cluster, VALIDATING).await["webhooks"][0]["timeoutSeconds"], 9);
    assert!(patch(cluster, &of, newer("0.0.1")).await.success);
    until(cluster, VALIDATING, |found| found["webhooks"][0]["timeoutSeconds"] == 5).await;
}

/// All three files are replaced at once by those of another CA, as somebody does who knows nothing of an order.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_ca_in_files_is_registered_before_its_certificate_serves() {
    let Some(cluster) = Cluster::own(api_server_alone()) else { return };
    let cluster = &cluster;
    serve::install(cluster);
    cluster.namespace("app", &[]).await;
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let folder = Scratch::new("certificate").unwrap();
    let write = |authority: &Authority| {
        let pair = authority.issue(&["127.0.0.1".into()], today).unwrap();
        for (name, bytes) in
            [("ca.crt", authority.pem().into_bytes()), ("tls.crt", pair.certificate), ("tls.key", pair.key)]
        {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
    };
    let (old, new) = (Authority::new(today).unwrap(), Authority::new(today).unwrap());
    write(&old);
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (certificate, key, ca) = (file("tls.crt"), file("tls.key"), file("ca.crt"));
    let files = ["--tls-cert", &certificate, "--tls-key", &key, "--tls-ca", &ca];
    let volgate = Serve::registered(cluster, free_address(), &files).await;
    let bundle_is = |found: &Value, pem: &str| {
        let text = found["webhooks"][0]["clientConfig"]["caBundle"].as_str().unwrap_or_default();
        text == base64::Engine::encode(&base64::prelude::BASE64_STANDARD, pem)
    };
    until(cluster, VALIDATING, |found| bundle_is(found, &old.pem())).await;

    let load = Load::start(cluster, "app");
    write(&new);
    until(cluster, VALIDATING, |found| bundle_is(found, &(old.pem() + &new.pem()))).await;
    volgate.logs("its CA is not registered, or only just").await;
    until(cluster, VALIDATING, |found| bundle_is(found, &new.pem())).await;
    volgate.logs("a new certificate is served").await;
    let (status, ready) = volgate.health("/readyz").await.unwrap();
    assert_eq!(status, 200, "{ready}");
    load.end_with_none_refused(100).await;
    assert_eq!(get(cluster, SECRET).await, Value::Null, "files need no Secret");
}

const REDIS: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: redis}
spec:
  selector: {matchLabels: {app: redis}}
  template:
    metadata: {labels: {app: redis}}
    spec: {containers: [{name: redis, image: redis}]}
"#;

/// `examples/static-registration` with its `ca.crt`, as docs/install.md has it done in a checkout.
fn checkout(ca: &str) -> Scratch {
    let scratch = Scratch::new("checkout").unwrap();
    for folder in ["manifests", "examples"] {
        let copied =
            Command::new("cp").arg("-r").arg(support::run::root(folder)).arg(scratch.path()).status();
        assert!(copied.unwrap().success(), "{folder}");
    }
    std::fs::write(scratch.path().join("examples/static-registration/ca.crt"), ca).unwrap();
    scratch
}

#[tokio::test]
async fn volgate_works_without_a_right_to_write_webhook_configurations() {
    let Some(cluster) = Cluster::own(api_server_alone()) else { return };
    let cluster = &cluster;
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let (authority, other) = (Authority::new(today).unwrap(), Authority::new(today).unwrap());
    let checkout = checkout(&authority.pem());
    let overlay = checkout.path().join("examples/static-registration");
    let overlay = overlay.to_str().unwrap();
    accepts(cluster, &format!("apply -k {overlay}"), None).await;
    assert!(kubectl(cluster, "get -n volgate-system secret volgate-ca-bundle", None).await.is_err());

    // The account can read the two configurations, and write none.
    let user = serve::user().name;
    for kind in ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"] {
        for verb in ["get", "create", "update", "patch", "delete", "deletecollection", "list"] {
            let said = cluster
                .kubectl(&["auth", "can-i", verb, &format!("{kind}/volgate"), "--as", &user], None)
                .await;
            assert_eq!(said.stdout.trim() == "yes", verb == "get", "{verb} {kind}: {said}");
        }
    }
    let said = cluster
        .kubectl(&["auth", "can-i", "get", "secrets", "-n", "volgate-system", "--as", &user], None)
        .await;
    assert_eq!(said.stdout.trim(), "no", "{said}");

    // It serves with the arguments of the Deployment, where the certificate's files are elsewhere.
    let deployment =
        kubectl(cluster, "get -n volgate-system deployment volgate -o json", None).await.unwrap();
    let deployment: Value = serde_json::from_str(&deployment).unwrap();
    let arguments = &deployment["spec"]["template"]["spec"]["containers"][0]["args"];
    let pair = authority.issue(&["volgate.volgate-system.svc".into(), "127.0.0.1".into()], today).unwrap();
    let files = Scratch::new("certificate").unwrap();
    for (name, bytes) in
        [("tls.crt", pair.certificate), ("tls.key", pair.key), ("ca.crt", authority.pem().into_bytes())]
    {
        std::fs::write(files.path().join(name), bytes).unwrap();
    }
    let files = files.path().to_str().unwrap();
    let arguments: Vec<String> = arguments.as_array().unwrap()[1..]
        .iter()
        .map(|argument| {
            argument
                .as_str()
                .unwrap()
                .replace("/etc/volgate/tls", files)
                .replace("$(POD_NAMESPACE)", "volgate-system")
        })
        .collect();
    assert!(arguments.iter().all(|argument| argument != "--register"), "{arguments:?}");
    let address = free_address().to_string();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(["--listen", &address]).collect();
    let volgate = Serve::start(&cluster.kubeconfig_for(&user), &arguments);
    volgate.ready().await;
    volgate.logs("the registered CA bundles fit the certificate that is served").await;
    // Without the right to make one, the first policy is the administrator's.
    let policy = format!("apply -f {}/policies/baseline.yaml", env!("CARGO_MANIFEST_DIR"));
    accepts(cluster, &policy, None).await;

    // Somebody puts another CA there: it is told by name, until it is mended.
    let bundle = |pem: String| base64::Engine::encode(&base64::prelude::BASE64_STANDARD, pem);
    let wrong =
        json!([{"op": "replace", "path": "/webhooks/1/clientConfig/caBundle", "value": bundle(other.pem())}]);
    let patch = ["patch", "mutatingwebhookconfiguration", "volgate", "--type=json", "-p", &wrong.to_string()];
    let patched = cluster.kubectl(&patch, None).await;
    assert!(patched.success, "{patched}");
    let said = volgate.answers("/readyz", 503).await;
    assert!(
        said.contains("[-]certificate failed: the API server does not trust the certificate: the caBundle of webhook controllers.volgate.dev in MutatingWebhookConfiguration volgate"),
        "{said}"
    );
    accepts(cluster, &format!("apply -k {overlay}"), None).await;
    volgate.ready().await;

    // The API server takes the CA bundle as kustomize wrote it. No pod network is here: a URL in place of the Service.
    for kind in ["mutating", "validating"] {
        let configuration = format!("{kind}webhookconfiguration");
        let text = kubectl(cluster, &format!("get {configuration} volgate -o json"), None).await.unwrap();
        let mut found: Value = serde_json::from_str(&text).unwrap();
        for hook in found["webhooks"].as_array_mut().unwrap() {
            let client = hook["clientConfig"].as_object_mut().unwrap();
            let path = client.remove("service").unwrap()["path"].as_str().unwrap().to_owned();
            client.insert("url".into(), json!(format!("https://{address}{path}")));
        }
        accepts(cluster, "replace -f -", Some(&found.to_string())).await;
    }
    cluster.namespace("app", &[]).await;
    wait_until("a Deployment that loses its data is refused by volgate", LIMIT, async || {
        match kubectl(cluster, "create -n app --dry-run=server -f -", Some(REDIS)).await {
            Err(error) if error.contains("durable-data") => Ok(()),
            seen => Err(format!("{seen:?}")),
        }
    })
    .await;
    volgate.logs("no webhook configuration volgate names a Service").await;
    volgate.ready().await;
}

/// As much of Strimzi's CRD as the test needs, and a kind of the same name of somebody else.
const KAFKA_CRDS: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: kafkas.kafka.strimzi.io}
spec:
  group: kafka.strimzi.io
  scope: Namespaced
  names: {kind: Kafka, plural: kafkas, singular: kafka}
  versions:
    - name: v1beta2
      served: true
      storage: true
      subresources: {status: {}}
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: kafkas.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Kafka, plural: kafkas, singular: kafka}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"#;

fn kafka(group_version: &str, name: &str, replicas: u32, storage: &str) -> String {
    format!(
        "apiVersion: {group_version}\nkind: Kafka\nmetadata: {{name: {name}}}\nspec: {{kafka: {{replicas: {replicas}, storage: {storage}}}}}\n"
    )
}

/// A custom resource of a known operator is judged while its CRD is there: who applies it is told, and an operator does not
/// wait for a volgate that is down.
#[tokio::test(flavor = "multi_thread")]
async fn custom_resources_are_judged_while_their_crds_are_installed() {
    let options = Options {
        controller_manager: false,
        scheduler: false,
        users: vec![serve::user(), service_account(BUILDER)],
        ..Options::default()
    };
    let Some(cluster) = Cluster::own(options) else { return };
    let cluster = &cluster;
    serve::install(cluster);
    cluster.namespace("app", &[]).await;
    let apply = async |text: &str| kubectl(cluster, "apply -n app -f -", Some(text)).await;
    let (ephemeral, claim) = ("{type: ephemeral}", "{type: persistent-claim, size: 1Gi}");
    let address = free_address();
    let volgate = Serve::registered(cluster, address, &[]).await;
    assert_eq!(
        failure_policies(&get(cluster, VALIDATING).await),
        ["Fail", "Ignore", "Ignore", "Ignore"],
        "without the CRD"
    );

    accepts(cluster, "apply -f -", Some(KAFKA_CRDS)).await;
    let with = until(cluster, VALIDATING, |found| failure_policies(found).len() == 6).await;
    assert_eq!(failure_policies(&with), ["Fail", "Ignore", "Ignore", "Ignore", "Fail", "Ignore"]);
    let hooks = with["webhooks"].as_array().unwrap();
    let is_custom = |hook: &&Value| hook["name"].as_str().unwrap().starts_with("custom-resources");
    assert_eq!(hooks.iter().filter(is_custom).count(), 2);
    for hook in hooks.iter().filter(is_custom) {
        let rules = hook["rules"].as_array().unwrap();
        assert_eq!(rules.len(), 1, "of known kinds alone: {rules:?}");
        assert_eq!(
            (&rules[0]["apiGroups"], &rules[0]["resources"]),
            (&json!(["kafka.strimzi.io"]), &json!(["kafkas"]))
        );
    }
    assert_eq!(failure_policies(&get(cluster, MUTATING).await).len(), 2, "none is ever changed");
    assert_eq!(volgate.process.log().matches("changed by somebody else").count(), 0);

    let ours = "kafka.strimzi.io/v1beta2";
    wait_until("an ephemeral Kafka is refused", LIMIT, async || {
        let text = kafka(ours, "lost", 1, ephemeral);
        match kubectl(cluster, "create -n app --dry-run=server -f -", Some(&text)).await {
            Err(error) if error.contains("spec.kafka.storage.type") => Ok(()),
            seen => Err(format!("{seen:?}")),
        }
    })
    .await;
    let refused = apply(&kafka(ours, "lost", 1, ephemeral)).await.unwrap_err();
    assert!(
        refused.contains("custom-resources.volgate.dev") && refused.contains("durable-data"),
        "{refused}"
    );
    apply(&kafka(ours, "kept", 1, claim)).await.unwrap();
    let stored = get(cluster, "-n app kafkas.kafka.strimzi.io kept").await;
    assert_eq!(stored["spec"]["kafka"]["storage"], json!({"type": "persistent-claim", "size": "1Gi"}));
    apply(&kafka("example.com/v1", "other", 1, ephemeral)).await.expect("nobody knows what that is");

    // Down: a person waits, and a service account does not.
    let grant = format!("create clusterrolebinding builder --clusterrole=cluster-admin --user={BUILDER}");
    accepts(cluster, &grant, None).await;
    let by_account =
        async |text: &str| cluster.kubectl_as(BUILDER, &["-n", "app", "apply", "-f", "-"], Some(text)).await;
    volgate.process.kill();
    let error = apply(&kafka(ours, "kept", 2, claim)).await.unwrap_err();
    assert!(error.contains(r#"failed calling webhook "custom-resources.volgate.dev""#), "{error}");
    let said = by_account(&kafka(ours, "by-account", 1, claim)).await;
    assert!(said.success, "{said}");
    let patched = patch(
        cluster,
        &["-n", "app", "kafkas.kafka.strimzi.io", "kept"],
        json!([{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}]),
    )
    .await;
    assert!(patched.success, "its spec is the same: {patched}");

    // Without the CRD nothing is asked about it any more.
    let _volgate = Serve::registered(cluster, address, &[]).await;
    accepts(cluster, "delete crd kafkas.kafka.strimzi.io --wait=false", None).await;
    until(cluster, VALIDATING, |found| failure_policies(found).len() == 4).await;
}
