//! Every fixture through a real API server that calls the webhook: it must come to the verdict that the engine and
//! `check` come to in `tests/core/fixtures.rs`.

use crate::support;
use crate::support::cluster::{ADMIN, DEVELOPER, autoscaler};
use crate::support::fixtures::{Fixture, NAMESPACE, all};
use crate::support::serve::register;
use crate::support::{Cluster, Options, wait_until};
use http_body_util::BodyExt;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use volgate::cluster::{Caches, Endpoint, Registration};
use volgate::facts::{Facts, Subject};
use volgate::lookup::Lookup;
use volgate::policy::{PolicySet, load};
use volgate::server::{Clock, Limits, NoCaches, Shutdown, State, serve};
use volgate::tls::{CertificateSource, Follower};

const LIMIT: Duration = Duration::from_secs(60);
/// The name that the webhook and its configurations have: audit annotations stand under it.
const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n";

/// An API server, and the webhook that it calls, in this process.
struct Live {
    cluster: Cluster,
    client: kube::Client,
    caches: Caches,
    state: Arc<State>,
    audit_log: std::path::PathBuf,
    _audit: support::Scratch,
}

impl Live {
    /// With controllers, each of which is a user of its own, or alone, so that the context stays as a fixture has it.
    async fn start(controllers: bool) -> Option<Self> {
        let audit = support::Scratch::new("audit").unwrap();
        let policy = audit.path().join("policy.yaml");
        std::fs::write(&policy, AUDIT_POLICY).unwrap();
        let audit_log = audit.path().join("audit.log");
        let cluster = Cluster::own(Options {
            controller_manager: controllers,
            controller_manager_args: vec!["--use-service-account-credentials=true".into()],
            scheduler: false,
            users: vec![autoscaler()],
            api_server_args: vec![
                format!("--audit-policy-file={}", policy.display()),
                format!("--audit-log-path={}", audit_log.display()),
            ],
            ..Options::default()
        })?;
        let client = cluster.client(ADMIN);
        let caches = Caches::start(&client);
        let clock = Clock::system();
        let source = CertificateSource::own(vec!["127.0.0.1".to_owned()], clock.now()).unwrap();
        let ca = source.ca_bundle().unwrap();
        let follower = Follower::start(source, clock.now()).unwrap();
        let none = PolicySet::build(Vec::new()).unwrap();
        let limits = Limits::default();
        let state =
            State::new(none, caches.lookup(), Arc::new(NoCaches), follower.certificates(), clock, limits);
        let (webhook, health) = (listener(), listener());
        let url = format!("https://{}", webhook.local_addr().unwrap());
        tokio::spawn(serve(state.clone(), webhook, health, std::future::pending(), Shutdown::default()));
        wait_until("the caches", LIMIT, async || {
            if caches.synced() { Ok(()) } else { Err(caches.waiting().join("; ")) }
        })
        .await;
        register(client.clone(), &Registration::new(Endpoint::Url(url), ca.into_bytes())).await;
        Some(Self { cluster, client, caches, state, audit_log, _audit: audit })
    }

    fn api(&self, object: &Value) -> Api<DynamicObject> {
        let (resource, namespace) = resource(object);
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    /// Stores an object with its status, and waits until the webhook's caches hold it so.
    async fn put(&self, object: &Value) {
        let (api, name) = (self.api(object), object["metadata"]["name"].as_str().unwrap());
        let params = PatchParams::apply("test").force();
        api.patch(name, &params, &Patch::Apply(object)).await.unwrap_or_else(|e| panic!("{object}: {e}"));
        if let Some(status) = object.get("status") {
            let status = json!({"status": status});
            api.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
        }
        if !is_watched(object) {
            return;
        }
        let lookup = self.caches.lookup();
        wait_until(&format!("the cache to hold {name}"), LIMIT, async || {
            if holds(&*lookup, object) { Ok(()) } else { Err("not yet".to_owned()) }
        })
        .await;
    }

    async fn delete(&self, object: &Value) {
        let (api, name) = (self.api(object), object["metadata"]["name"].as_str().unwrap());
        let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::background() };
        api.delete(name, &at_once).await.unwrap();
        // The controller manager, which does not run here, would take these off.
        let none = json!({"metadata": {"finalizers": null}});
        let _ = api.patch(name, &PatchParams::default(), &Patch::Merge(none)).await;
        if !is_watched(object) {
            return;
        }
        let lookup = self.caches.lookup();
        wait_until(&format!("the cache to forget {name}"), LIMIT, async || {
            if holds(&*lookup, object) { Err("not yet".to_owned()) } else { Ok(()) }
        })
        .await;
    }

    /// Sends the object as a dry run, and what came back: status, warnings, audit annotations, body.
    async fn send(&self, fixture: &Fixture) -> Answer {
        let (resource, namespace) = resource(&fixture.object);
        let base = match (resource.group.as_str(), resource.version.as_str()) {
            ("", version) => format!("/api/{version}"),
            (group, version) => format!("/apis/{group}/{version}"),
        };
        let within = namespace.map(|namespace| format!("/namespaces/{namespace}")).unwrap_or_default();
        let name = fixture.object["metadata"]["name"].as_str().unwrap();
        let (method, tail) = match fixture.old {
            Some(_) => ("PUT", format!("/{name}")),
            None => ("POST", String::new()),
        };
        let uri = format!("{base}{within}/{}{tail}?dryRun=All", resource.plural);
        let body = serde_json::to_vec(&fixture.object).unwrap();
        let mut request =
            axum::http::Request::builder().method(method).uri(uri).header("content-type", "application/json");
        if let Some(user) = &fixture.user {
            // With the rights of an administrator, as no account has any here.
            request = request.header("impersonate-user", user).header("impersonate-group", "system:masters");
        }
        let request = request.body(kube::client::Body::from(body)).unwrap();
        let response = self.client.send(request).await.unwrap();
        let header = |name: &str| -> Vec<String> {
            let all = response.headers().get_all(name).iter();
            all.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
        };
        // `299 - "text"`, the text as a quoted string (RFC 9110).
        let unquoted = |text: String| text.replace("\\\"", "\"").replace("\\\\", "\\");
        let warnings = header("warning").into_iter().map(unquoted).collect();
        let audit_id = header("audit-id").concat();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&bytes).unwrap();
        Answer { status, warnings, annotations: self.annotations(&audit_id).await, body }
    }

    /// The annotations of that request in the API server's audit log.
    async fn annotations(&self, audit_id: &str) -> Value {
        wait_until("the audit log", LIMIT, async || {
            let log = std::fs::read_to_string(&self.audit_log).map_err(|error| error.to_string())?;
            let mut lines = log.lines().filter(|line| line.contains(audit_id));
            let line =
                lines.find(|line| line.contains("\"stage\":\"ResponseComplete\"")).ok_or("not there yet")?;
            let event: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
            Ok(event["annotations"].clone())
        })
        .await
    }
}

struct Answer {
    status: u16,
    warnings: Vec<String>,
    annotations: Value,
    body: Value,
}

fn listener() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

fn resource(object: &Value) -> (ApiResource, Option<&str>) {
    let text = |key: &str| object[key].as_str().unwrap();
    let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, text("kind")));
    (resource, object["metadata"]["namespace"].as_str())
}

/// Whether the webhook knows the object in the state that matters to rules.
fn holds(lookup: &dyn Lookup, object: &Value) -> bool {
    let facts = Facts::read(object, None).unwrap();
    let name = &facts.id.name;
    match &facts.subject {
        Subject::Claim(claim) => {
            lookup.claim(&claim.namespace, name).is_some_and(|known| known.bound == claim.bound)
        }
        Subject::Volume(volume) => {
            // Without a controller manager, a volume that was given no status stays Pending.
            let wanted = volume.available && object.get("status").is_some();
            lookup.volume(name).is_some_and(|known| !wanted || known.available)
        }
        Subject::Class(_) => lookup.class(name).is_some(),
        Subject::Namespace(wanted) => lookup
            .namespace(name)
            .is_some_and(|known| wanted.labels.iter().all(|(k, v)| known.labels.get(k) == Some(v))),
        Subject::Node(_) => lookup.node(name).is_some(),
        Subject::Workload(_) => {
            let (namespace, kind) = (facts.namespace(), &facts.id.kind);
            kind == "Pod" || lookup.owner(namespace, kind, name).is_some()
        }
        Subject::Config(_) | Subject::Custom(_) | Subject::Other => false,
    }
}

/// Whether the webhook's caches hold objects of that kind; it has no right to read ConfigMaps and Secrets.
fn is_watched(object: &Value) -> bool {
    !matches!(Facts::read(object, None).unwrap().subject, Subject::Config(_) | Subject::Other)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cluster_finds_what_is_expected() {
    let Some(live) = Live::start(false).await else { return };
    let mut prepared = false;
    for fixture in all() {
        let cluster = fixture.cluster();
        let (namespace, context) = cluster.split_first().unwrap();
        live.put(namespace).await;
        if !prepared {
            // What the controller manager would make for pods.
            let account = ServiceAccount {
                metadata: kube::core::ObjectMeta { name: Some("default".into()), ..Default::default() },
                ..Default::default()
            };
            let accounts: Api<ServiceAccount> = Api::namespaced(live.client.clone(), NAMESPACE);
            accounts.create(&PostParams::default(), &account).await.unwrap();
            prepared = true;
        }
        for object in context.iter().chain(&fixture.old) {
            live.put(object).await;
        }
        live.state.policies.store(Arc::new(fixture.policies()));
        let answer = live.send(&fixture).await;
        live.state.policies.store(Arc::new(PolicySet::build(Vec::new()).unwrap()));
        compare(&fixture, &answer);
        for object in fixture.old.iter().chain(context.iter().rev()) {
            live.delete(object).await;
        }
    }
    drop(live.cluster);
}

fn compare(fixture: &Fixture, answer: &Answer) {
    let name = &fixture.name;
    let by = |action: &str| {
        fixture.expected_in_cluster().findings.iter().filter(move |f| f.action == action).collect::<Vec<_>>()
    };
    let (denied, warned, audited) = (by("Deny"), by("Warn"), by("Audit"));
    let message = answer.body["message"].as_str().unwrap_or_default();
    let context =
        format!("{name} in the cluster: {} {}\n{:#?}", answer.status, answer.body, answer.annotations);
    if denied.is_empty() {
        assert!((200..300).contains(&answer.status), "{context}");
        for operation in &fixture.expected_in_cluster().patch.0 {
            // The stored object holds what the patch says; the rest of it is the API server's.
            let operation = serde_json::to_value(operation).unwrap();
            let found = answer.body.pointer(operation["path"].as_str().unwrap());
            assert_eq!(found, operation.get("value"), "{context}");
        }
    } else {
        assert_eq!(answer.status, 403, "{context}");
        for finding in &denied {
            let wanted = format!("{}: {}: ", finding.rule, finding.field);
            assert!(
                message.contains(&wanted) && message.contains(&finding.message),
                "{finding:?} in {context}"
            );
        }
        let count = if denied.len() == 1 { 0 } else { denied.len() };
        assert_eq!(message.matches("\n- ").count(), count, "{context}");
    }
    let ours: Vec<&String> = answer
        .warnings
        .iter()
        .filter(|warning| {
            warning.contains("(policy ")
                || warned
                    .iter()
                    .any(|finding| warning.contains(&format!("{}: {}", finding.rule, finding.field)))
        })
        .collect();
    assert_eq!(ours.len(), warned.len(), "{context}\n{:#?}", answer.warnings);
    for finding in &warned {
        let wanted = format!("{}: {}: ", finding.rule, finding.field);
        assert!(ours.iter().any(|warning| warning.contains(&wanted)), "{finding:?} in {context}\n{ours:#?}");
    }
    for (key, findings) in [("denied", &denied), ("warned", &warned), ("audited", &audited)] {
        let annotation = answer
            .annotations
            .as_object()
            .into_iter()
            .flatten()
            .find(|(name, _)| name.ends_with(&format!("/{key}")));
        let found = annotation.and_then(|(_, text)| text.as_str()).unwrap_or_default();
        assert_eq!(found.is_empty(), findings.is_empty(), "{key} of {context}");
        for finding in findings.iter() {
            assert!(found.contains(&format!("{}=", finding.rule)), "{key} {finding:?} in {context}");
        }
    }
}

/// A workload of that kind, in the namespace `scaled`, whose pods write to the claim `shared`.
fn sharing(api_version: &str, kind: &str, name: &str, replicas: i32) -> Value {
    let labels = json!({"app": name});
    let selector = if api_version == "v1" { labels.clone() } else { json!({"matchLabels": labels}) };
    let mut object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": "scaled"},
        "spec": {"replicas": replicas, "selector": selector, "template": {"metadata": {"labels": labels}, "spec": {
            "containers": [{"name": "c", "image": "i", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "shared"}}]}}}});
    match kind {
        "Deployment" => object["spec"]["strategy"] = json!({"type": "Recreate"}),
        "StatefulSet" => object["spec"]["serviceName"] = json!(name),
        _ => {}
    }
    object
}

fn shared_writer() -> PolicySet {
    let policy = json!({"apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy", "metadata": {"name": "test"},
                        "spec": {"rules": [{"sharedWriter": {}}]}});
    PolicySet::build(vec![load(&policy).unwrap()]).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scale_is_judged_and_a_rollout_does_not_hang_at_its_replica_set() {
    let Some(live) = Live::start(true).await else { return };
    let cluster = &live.cluster;
    cluster.namespace("scaled", &[]).await;
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "shared", "namespace": "scaled"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "", "resources": {"requests": {"storage": "1Gi"}}}});
    live.put(&claim).await;
    // Of before volgate was there.
    live.put(&sharing("apps/v1", "Deployment", "before", 3)).await;
    let of_before = ListParams::default().labels("app=before");
    let sets: Api<ReplicaSet> = Api::namespaced(live.client.clone(), "scaled");
    let set_of_before = async || {
        wait_until("the Deployment of before has its 3 pods", LIMIT, async || {
            let list = sets.list(&of_before).await.map_err(|error| error.to_string())?;
            let set = list.into_iter().next().ok_or("no ReplicaSet")?;
            let (name, status) = (set.metadata.name.unwrap(), set.status.unwrap_or_default());
            if status.replicas == 3 { Ok(name) } else { Err(format!("{name}: {status:?}")) }
        })
        .await
    };
    let first = set_of_before().await;
    live.state.policies.store(Arc::new(shared_writer()));

    let kubectl = async |user: &str, line: &str, stdin: Option<&str>| {
        let args: Vec<&str> = line.split(' ').collect();
        cluster.kubectl_as(user, &args, stdin).await
    };
    let kinds = [
        ("apps/v1", "Deployment"),
        ("apps/v1", "StatefulSet"),
        ("apps/v1", "ReplicaSet"),
        ("v1", "ReplicationController"),
    ];
    for (api_version, kind) in kinds {
        live.put(&sharing(api_version, kind, "one", 1)).await;
        for line in ["", " --dry-run=server"] {
            let output =
                kubectl(DEVELOPER, &format!("-n scaled scale {kind} one --replicas=3{line}"), None).await;
            let denied = "admission webhook \"workloads.volgate.dev\" denied the request: shared-writer: spec.replicas: 3 \
                          replicas write to one claim, \"shared\"";
            assert!(!output.success && output.stderr.contains(denied), "{kind}: {output}");
        }
        let refused = cluster.autoscale((api_version, kind), "scaled", "one", 2).await.unwrap_err();
        let denied = "admission webhook \"controllers.volgate.dev\" denied the request: shared-writer: spec.replicas: 2 ";
        assert!(refused.contains(denied), "{kind}: {refused}");
        let output =
            kubectl(ADMIN, &format!("-n scaled get {kind} one -o jsonpath={{.spec.replicas}}"), None).await;
        assert_eq!(output.stdout, "1", "{kind}");
        let down = kubectl(DEVELOPER, &format!("-n scaled scale {kind} one --replicas=0"), None).await;
        assert!(down.success && down.stderr.is_empty(), "{kind}: {down}");
    }
    // From none to one, which only a rolling update could make two of.
    let up = kubectl(DEVELOPER, "-n scaled scale StatefulSet one --replicas=1", None).await;
    assert!(up.success && up.stderr.is_empty(), "{up}");

    // The typed client, and a workload that shares nothing.
    let deployments: Api<Deployment> = Api::namespaced(live.client.clone(), "scaled");
    let three = json!({"spec": {"replicas": 3}});
    let refused =
        deployments.patch_scale("one", &PatchParams::default(), &Patch::Merge(&three)).await.unwrap_err();
    assert!(refused.to_string().contains("3 replicas write to one claim"), "{refused}");
    let mut web = sharing("apps/v1", "Deployment", "web", 1);
    web["spec"]["template"]["spec"]["volumes"] = json!([{"name": "data", "emptyDir": {}}]);
    live.put(&web).await;
    let scaled =
        deployments.patch_scale("web", &PatchParams::default(), &Patch::Merge(&three)).await.unwrap();
    assert_eq!(scaled.spec.unwrap().replicas, Some(3));
    cluster.autoscale(("apps/v1", "Deployment"), "scaled", "before", 2).await.unwrap();
    let back = cluster.autoscale(("apps/v1", "Deployment"), "scaled", "before", 3).await.unwrap_err();
    assert!(back.contains("shared-writer: spec.replicas: 3 "), "{back}");

    // What was judged, or was there before, at the Deployment does not hang at its ReplicaSet, which the controller makes
    // again; and nobody else can make one by naming such an owner.
    live.state.policies.store(Arc::new(PolicySet::build(Vec::new()).unwrap()));
    kubectl(ADMIN, "-n scaled scale Deployment before --replicas=3", None).await;
    set_of_before().await;
    live.state.policies.store(Arc::new(shared_writer()));
    let owner = sets.get(&first).await.unwrap().metadata.owner_references;
    sets.delete(&first, &DeleteParams::background()).await.unwrap();
    wait_until("the ReplicaSet is made again", LIMIT, async || {
        let again = sets.get(&first).await.map_err(|error| error.to_string())?;
        let status = again.status.unwrap_or_default();
        let fresh = again.metadata.deletion_timestamp.is_none() && status.replicas == 3;
        if fresh { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;
    let mut forged = sharing("apps/v1", "ReplicaSet", "forged", 3);
    forged["metadata"]["ownerReferences"] = serde_json::to_value(owner).unwrap();
    let output = kubectl(DEVELOPER, "create -f -", Some(&forged.to_string())).await;
    assert!(!output.success && output.stderr.contains("shared-writer: "), "{output}");
}
