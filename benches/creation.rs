//! What volgate costs whoever creates a pod: server-side dry runs on one API server, one at a time and in turns, so that what
//! else the machine does meets all of them. Each kind of pod is created in a namespace that nobody is asked about, in one that
//! volgate is asked about, and in one with as many webhooks that read nothing and allow everything.
//!
//! `cargo bench --bench creation` starts a control plane of its own and talks to 127.0.0.1 alone, for about two minutes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a bench that cannot be set up cannot run

#[path = "../tests/support/mod.rs"]
mod support;

use axum_server::tls_rustls::RustlsConfig;
use kube::api::{Api, DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::cluster::ADMIN;
use support::serve::{self, Serve, free_address};
use support::{Cluster, Options, wait_until};
use volgate::server::Clock;
use volgate::tls::{CertificateSource, Follower};

const ROUNDS: usize = 400;
const WARM_UP: usize = 50;
const LIMIT: Duration = Duration::from_secs(120);
/// The namespaces: nobody is asked; volgate is; one empty webhook is; two are.
const WITHOUT: &str = "without";
const JUDGED: &str = "judged";
const ONE: &str = "empty-one";
const TWO: &str = "empty-two";

/// A kind of pod, where as many empty webhooks are asked, and the most that it may cost beside none.
struct Kind {
    name: &'static str,
    volumes: Value,
    empty: &'static str,
    most: f64,
}

fn kinds() -> [Kind; 3] {
    [
        Kind { name: "no policy can be about it", volumes: json!([]), empty: WITHOUT, most: 1.1 },
        Kind {
            name: "judged, without a claim",
            volumes: json!([{"name": "v", "emptyDir": {}}]),
            empty: ONE,
            most: 1.45,
        },
        Kind {
            name: "judged and pinned, with a claim",
            volumes: json!([{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]),
            empty: TWO,
            most: 1.75,
        },
    ]
}

/// Answers as a webhook that allows everything.
async fn empty_webhook() -> (String, String) {
    let address = free_address();
    let source = CertificateSource::own(vec!["127.0.0.1".to_owned()], Clock::system().now()).unwrap();
    let ca = source.ca_bundle().unwrap();
    let certificates = Follower::start(source, Clock::system().now()).unwrap().certificates();
    let tls = RustlsConfig::from_config(certificates.server_config().unwrap());
    let answer = async |axum::Json(review): axum::Json<Value>| {
        axum::Json(json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
                          "response": {"uid": review["request"]["uid"], "allowed": true}}))
    };
    let router = axum::Router::new().route("/", axum::routing::post(answer));
    tokio::spawn(axum_server::bind_rustls(address, tls).serve(router.into_make_service()));
    (format!("https://{address}/"), base64::Engine::encode(&base64::prelude::BASE64_STANDARD, ca))
}

/// The configurations of the empty webhooks: to validate in both namespaces, to mutate in the second.
fn empty_configurations(url: &str, ca: &str) -> [Value; 2] {
    let configuration = |kind: &str, namespaces: &[&str]| {
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": "empty"}, "webhooks": [{
            "name": "empty.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
            "namespaceSelector": {"matchExpressions": [
                {"key": "kubernetes.io/metadata.name", "operator": "In", "values": namespaces}]},
            "clientConfig": {"url": url, "caBundle": ca}}]})
    };
    [
        configuration("ValidatingWebhookConfiguration", &[ONE, TWO]),
        configuration("MutatingWebhookConfiguration", &[TWO]),
    ]
}

fn pod(volumes: &Value) -> DynamicObject {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "bench-"}, "spec": {
        "containers": [{"name": "app", "image": "registry.example.com/team/app:1.2.3",
                        "resources": {"limits": {"memory": "256Mi"}}}],
        "volumes": volumes}});
    serde_json::from_value(pod).unwrap()
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(run());
}

async fn run() {
    let options = Options {
        controller_manager: false,
        scheduler: false,
        users: vec![serve::user()],
        ..Options::default()
    };
    let Some(cluster) = Cluster::own(options) else { return };
    for namespace in [WITHOUT, JUDGED, ONE, TWO] {
        cluster.namespace(namespace, &[]).await;
    }
    serve::install(&cluster);
    let others = [WITHOUT, ONE, TWO].map(|name| format!("--exclude-namespace={name}"));
    let volgate = Serve::registered(&cluster, free_address(), &others.each_ref().map(String::as_str)).await;
    let (url, ca) = empty_webhook().await;
    for configuration in empty_configurations(&url, &ca) {
        let made = cluster.kubectl(&["create", "-f", "-"], Some(&configuration.to_string())).await;
        assert!(made.success, "{made}");
    }
    wait_until("less than everything is sent", LIMIT, async || {
        let line = ["get", "validatingwebhookconfiguration", "volgate", "-o", "json"];
        let found = cluster.kubectl(&line, None).await;
        if found.stdout.contains("may-matter-to-a-policy") {
            Ok(())
        } else {
            Err(volgate.process.log_tail(20))
        }
    })
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;

    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Pod"));
    let client = cluster.client(ADMIN);
    let create = async |namespace: &str, pod: &DynamicObject| {
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
        let params = PostParams { dry_run: true, ..PostParams::default() };
        let began = Instant::now();
        api.create(&params, pod).await.unwrap();
        began.elapsed()
    };
    let kinds = kinds();
    let pods: Vec<DynamicObject> = kinds.iter().map(|kind| pod(&kind.volumes)).collect();
    let mut times: Vec<[Vec<Duration>; 3]> = kinds.iter().map(|_| Default::default()).collect();
    for round in 0..WARM_UP + ROUNDS {
        for ((kind, pod), times) in kinds.iter().zip(&pods).zip(&mut times) {
            let namespaces = [WITHOUT, JUDGED, kind.empty];
            // Each is the first as often as the others: the one that comes after a review finds colder caches.
            for place in (0..namespaces.len()).map(|place| (place + round) % namespaces.len()) {
                let namespace = namespaces[place];
                let took = create(namespace, pod).await;
                if round >= WARM_UP {
                    times[place].push(took);
                }
            }
        }
    }
    println!("{ROUNDS} pods of each kind, medians; load {}", load());
    for (kind, times) in kinds.iter().zip(&mut times) {
        let [without, with, empty] = times.each_mut().map(|times| median(times).as_secs_f64());
        println!(
            "{:32} {:.2} ms without, {:.2} ms with volgate: {:.2} times (at most {}); as many empty webhooks {:.2} times, volgate {:+.0} %",
            kind.name,
            without * 1e3,
            with * 1e3,
            with / without,
            kind.most,
            empty / without,
            (with / empty - 1.0) * 100.0
        );
    }
}

/// The machine's load of the last minute, which the figures hang on.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}
