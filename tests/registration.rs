//! The webhook configurations on a real API server: it takes them, and a webhook that is down never locks the cluster.
// A panic is how a test fails, in its helpers too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;
use support::cluster::{ADMIN, autoscaler};
use support::serve::{self, Serve, free_address};
use support::{Cluster, Options, Scratch, wait_until};
use volgate::cluster::{Endpoint, FailurePolicy, NAME, Registration, register};
use volgate::tls::Authority;

const LIMIT: Duration = Duration::from_secs(60);

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
        users: vec![autoscaler()],
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
    register(cluster.client(ADMIN), &registration).await.unwrap();
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
    register(cluster.client(ADMIN), &lenient).await.unwrap();
    wait_until("people are let through", LIMIT, async || {
        kubectl(cluster, "-n app scale Deployment web --replicas=2", None).await
    })
    .await;
}

#[tokio::test]
async fn registering_again_changes_nothing_and_a_new_certificate_is_taken_over() {
    let Some(cluster) =
        Cluster::own(Options { controller_manager: false, scheduler: false, ..Options::default() })
    else {
        return;
    };
    let client = cluster.client(ADMIN);
    let endpoint =
        Endpoint::Service { namespace: "volgate-system".into(), name: "volgate".into(), port: 443 };
    let mut registration = Registration::new(endpoint, cluster.ca_pem().as_bytes().to_vec());
    let mutating: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let validating: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    let versions = async || {
        let mutating = mutating.get(NAME).await.unwrap().metadata.resource_version;
        (mutating, validating.get(NAME).await.unwrap().metadata.resource_version)
    };
    register(client.clone(), &registration).await.unwrap();
    let first = versions().await;
    register(client.clone(), &registration).await.unwrap();
    assert_eq!(versions().await, first);

    // During a change of certificates both stand in the bundle.
    registration.ca_bundle = cluster.ca_pem().repeat(2).into_bytes();
    register(client.clone(), &registration).await.unwrap();
    assert_ne!(versions().await, first);
    for hook in validating.get(NAME).await.unwrap().webhooks.unwrap() {
        assert_eq!(hook.client_config.ca_bundle.unwrap().0, registration.ca_bundle);
    }

    registration.timeout_seconds = 31;
    let error = register(client, &registration).await.unwrap_err().to_string();
    assert!(error.starts_with("failed to apply the ValidatingWebhookConfiguration volgate"), "{error}");
    assert!(error.contains("timeoutSeconds"), "{error}");
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
    let options = Options {
        controller_manager: false,
        scheduler: false,
        users: vec![serve::user()],
        ..Options::default()
    };
    let Some(cluster) = Cluster::own(options) else { return };
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
    let endpoint =
        Endpoint::Service { namespace: "volgate-system".into(), name: "volgate".into(), port: 443 };
    let forbidden =
        register(cluster.client(&user), &Registration::new(endpoint, authority.pem().into())).await;
    assert!(forbidden.unwrap_err().to_string().contains("403"));

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
        .map(|argument| argument.as_str().unwrap().replace("/etc/volgate/tls", files))
        .collect();
    assert!(arguments.iter().all(|argument| argument != "--register"), "{arguments:?}");
    let address = free_address().to_string();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(["--listen", &address]).collect();
    let volgate = Serve::start(&cluster.kubeconfig_for(&user), &arguments);
    volgate.ready().await;
    volgate.logs("the registered CA bundles fit the certificate that is served").await;

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
