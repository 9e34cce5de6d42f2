//! From the first version to today's, on a real API server with two replicas, while somebody makes pods all the time: the Secret and
//! the webhook configurations that were made by hand are adopted or superseded, and nobody is refused.

use crate::faults::{CONTROLLER, Load};
use crate::registration::keeper::{LIMIT, get, until};
use crate::support::cluster::{ADMIN, DEVELOPER, wait_until};
use crate::support::helm::objects;
use crate::support::run::root;
use crate::support::serve::{self, Serve, free_address};
use crate::support::{Cluster, Options, Scratch, User};
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use kube::api::{Api, Patch, PatchParams};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tokio::net::{TcpListener, TcpStream};
use volgate::lookup::MapLookup;
use volgate::policy::{PolicySet, embedded_baseline};
use volgate::server::{Clock, Limits, NoCaches, Shutdown, State};
use volgate::tls::{CertificateSource, Follower};

const FIRST: &str = "tests/cluster/upgrade/first";
const REDIS: &str = "{apiVersion: v1, kind: Pod, metadata: {generateName: redis-}, spec: {containers: [{name: redis, image: redis}]}}";
const OWN: &str = "apiVersion: volgate.dev/v1alpha1\nkind: StoragePolicy\nmetadata: {name: own}\nspec: {rules: [{durableData: {}}]}\n";

/// A replica that the Service leads to while it is ready.
#[derive(Clone)]
struct Backend {
    address: SocketAddr,
    ready: Arc<AtomicBool>,
}

impl Backend {
    fn new(address: SocketAddr) -> Self {
        Self { address, ready: Arc::default() }
    }

    fn set(&self, ready: bool) {
        self.ready.store(ready, Ordering::SeqCst);
    }
}

/// Passes each connection on to one of the ready ones in turns, as a Service does.
async fn service(backends: Vec<Backend>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for turn in 0.. {
            let Ok((mut from, _)) = listener.accept().await else { return };
            let ready: Vec<SocketAddr> = backends
                .iter()
                .filter(|backend| backend.ready.load(Ordering::SeqCst))
                .map(|backend| backend.address)
                .collect();
            if ready.is_empty() {
                continue;
            }
            let to = ready[turn % ready.len()];
            tokio::spawn(async move {
                if let Ok(mut there) = TcpStream::connect(to).await {
                    let _ = tokio::io::copy_bidirectional(&mut from, &mut there).await;
                }
            });
        }
    });
    address
}

/// A CA, and a certificate of it, as somebody made them with openssl.
fn by_hand(folder: &Path) -> String {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "made by hand");
    let key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let names = vec!["volgate.volgate-system.svc".to_owned(), "127.0.0.1".to_owned()];
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap().pem();
    for (name, text) in [("ca.crt", &ca), ("tls.crt", &certificate), ("tls.key", &key.serialize_pem())] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    ca
}

/// The first version's webhook, which stands for its replicas: it serves the certificate that was made by hand.
async fn first_version(folder: &Path) -> SocketAddr {
    let clock = Clock::system();
    let (certificate, key) = (folder.join("tls.crt"), folder.join("tls.key"));
    let follower = Follower::start(CertificateSource::Files { certificate, key }, clock.now()).unwrap();
    let policies = PolicySet::build(vec![embedded_baseline().unwrap()]).unwrap();
    let lookup = Arc::new(MapLookup::default());
    let state =
        State::new(policies, lookup, Arc::new(NoCaches), follower.certificates(), clock, Limits::default());
    let listen = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (webhook, health) = (listen(), listen());
    let address = webhook.local_addr().unwrap();
    tokio::spawn(volgate::server::serve(state, webhook, health, std::future::pending(), Shutdown::default()));
    address
}

/// Applies its webhook configurations by hand, and then as its process did, with the CA in them.
async fn register_first(cluster: &Cluster, url: &str, ca: &str) {
    use base64::Engine;
    let text = std::fs::read_to_string(root(format!("{FIRST}/webhooks.yaml"))).unwrap();
    let bundle = base64::engine::general_purpose::STANDARD.encode(ca);
    let with = |client: &dyn Fn(&str) -> Value| {
        let mut both = objects(&text);
        for hook in both.iter_mut().flat_map(|object| object["webhooks"].as_array_mut().unwrap()) {
            let path = hook["clientConfig"]["service"]["path"].as_str().unwrap().to_owned();
            hook["clientConfig"] = client(&path);
        }
        both
    };
    for object in with(&|path| json!({"url": format!("{url}{path}")})) {
        let applied = cluster.kubectl(&["apply", "-f", "-"], Some(&object.to_string())).await;
        assert!(applied.success, "{applied}");
    }
    let params = PatchParams::apply("volgate").force();
    let client = cluster.client(ADMIN);
    for object in with(&|path| json!({"url": format!("{url}{path}"), "caBundle": bundle})) {
        if object["kind"] == "MutatingWebhookConfiguration" {
            let api = Api::<MutatingWebhookConfiguration>::all(client.clone());
            api.patch("volgate", &params, &Patch::Apply(&object)).await.unwrap();
        } else {
            let api = Api::<ValidatingWebhookConfiguration>::all(client.clone());
            api.patch("volgate", &params, &Patch::Apply(&object)).await.unwrap();
        }
    }
}

async fn redis_is_refused(cluster: &Cluster) {
    wait_until("a Redis without storage is refused", LIMIT, async || {
        let tried = cluster
            .kubectl_as(DEVELOPER, &["create", "--dry-run=server", "-n", "app", "-f", "-"], Some(REDIS))
            .await;
        if tried.stderr.contains("durable-data") { Ok(()) } else { Err(tried.to_string()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_version_is_upgraded_and_nobody_is_refused() {
    let Some(cluster) = Cluster::own(Options {
        controller_manager: false,
        scheduler: false,
        users: vec![serve::user(), User { name: CONTROLLER.into(), groups: Vec::new() }],
        ..Options::default()
    }) else {
        return;
    };
    let cluster = &cluster;
    cluster.namespace("app", &[]).await;
    let apply = async |file: String| {
        let applied = cluster.kubectl(&["apply", "-f", root(file).to_str().unwrap()], None).await;
        assert!(applied.success, "{applied}");
    };
    for file in ["namespace", "crd", "rbac", "service"] {
        apply(format!("{FIRST}/{file}.yaml")).await;
    }
    let folder = Scratch::new("by-hand").unwrap();
    let ca = by_hand(folder.path());
    let files = ["ca.crt", "tls.crt", "tls.key"]
        .map(|name| format!("--from-file={name}={}", folder.path().join(name).display()));
    let secret = ["create", "secret", "generic", "volgate-tls", "-n", "volgate-system"];
    let made = cluster.kubectl(&[&secret[..], &files.each_ref().map(String::as_str)].concat(), None).await;
    assert!(made.success, "{made}");
    wait_until("the first version's CRD", LIMIT, async || {
        let applied = cluster.kubectl(&["apply", "-f", "-"], Some(OWN)).await;
        if applied.success { Ok(()) } else { Err(applied.to_string()) }
    })
    .await;
    let old = Backend::new(first_version(folder.path()).await);
    let new = [free_address(), free_address()].map(Backend::new);
    old.set(true);
    let url = format!("https://{}", service([std::slice::from_ref(&old), &new[..]].concat()).await);
    register_first(cluster, &url, &ca).await;
    redis_is_refused(cluster).await;
    let before = get(cluster, "secret volgate-tls -n volgate-system").await;

    // Today's manifests over those, and a rollout as the Deployment does it: a new replica is ready before an old one goes.
    let load = Load::start(cluster);
    serve::install(cluster);
    let mut replicas = Vec::new();
    for backend in &new {
        let listen = backend.address.to_string();
        let args = ["--register", "--url", &url, "--listen", &listen, "--lease-duration", "6"];
        let replica = Serve::start(&cluster.kubeconfig_for(&serve::user().name), &args);
        replica.ready().await;
        backend.set(true);
        old.set(false);
        replicas.push(replica);
    }
    let is_strict = |found: &Value| found["webhooks"][0]["failurePolicy"] == "Fail";
    until(cluster, "mutatingwebhookconfiguration zz-volgate", is_strict).await;
    until(cluster, "mutatingwebhookconfiguration volgate", Value::is_null).await;
    // Nothing of the old conditions is left, which would leave out what is to be asked about now.
    let validating = until(cluster, "validatingwebhookconfiguration volgate", |found| {
        let hooks = found["webhooks"].as_array().into_iter().flatten();
        let one =
            |hook: &Value| hook["matchConditions"].as_array().is_none_or(|conditions| conditions.len() == 1);
        is_strict(found) && hooks.clone().count() >= 3 && hooks.clone().all(one)
    })
    .await;
    let hooks = validating["webhooks"].as_array().unwrap();
    let of_controllers = hooks.iter().find(|hook| hook["name"] == "controllers.volgate.dev").unwrap();
    let condition = of_controllers["matchConditions"][0]["expression"].as_str().unwrap();
    assert!(condition.contains("metadata.?ownerReferences"), "operators are asked about: {condition}");

    // The Secret is volgate's now, which renews it; what trusted the old CA still may.
    let secret = until(cluster, "secret volgate-tls -n volgate-system", |secret| {
        secret["data"]["ca.key"].is_string() && secret["data"]["tls.crt"] != before["data"]["tls.crt"]
    })
    .await;
    let decoded = |key: &str| {
        use base64::Engine;
        let text = secret["data"][key].as_str().unwrap();
        String::from_utf8(base64::engine::general_purpose::STANDARD.decode(text).unwrap()).unwrap()
    };
    assert!(decoded("ca.crt").contains(ca.trim()), "the old CA stays for a while");
    wait_until("both are ready with the new certificate", LIMIT, async || {
        for replica in &replicas {
            let (status, text) = replica.health("/readyz").await?;
            if status != 200 {
                return Err(text);
            }
        }
        Ok(())
    })
    .await;
    redis_is_refused(cluster).await;
    let [_, allowed, controller] = load.end("an upgrade from v0.1.0", Instant::now()).await;
    assert_eq!((allowed.closed, controller.admitted), (0, 0), "what is allowed, and what must be refused");

    // A policy of the first version is in force, and says so.
    let waited =
        cluster.kubectl(&["wait", "--for=condition=Ready", "storagepolicy/own", "--timeout=60s"], None).await;
    assert!(waited.success, "{waited}");
    for replica in &replicas {
        let log = replica.process.log();
        assert!(!log.contains("changed by somebody else"), "what was written stays: {log}");
    }
}
