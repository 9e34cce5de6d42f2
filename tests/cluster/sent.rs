//! What the API server sends: the conditions of the webhooks as a real API server evaluates them, on every fixture and on what is
//! large or half written. Nobody answers at the registered address, so that what is sent is refused, and a condition that fails
//! is seen as well.

use crate::support;
use crate::support::cluster::ADMIN;
use crate::support::fixtures::{Fixture, NAMESPACE, all};
use crate::support::serve::register;
use crate::support::{Cluster, Options, wait_until};
use kube::api::{Api, DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use volgate::cluster::{Endpoint, Registration};
use volgate::engine::Engine;
use volgate::facts::Facts;
use volgate::lookup::MapLookup;
use volgate::policy::{PolicySet, embedded_baseline};
use volgate::rule::Review;

const LIMIT: Duration = Duration::from_secs(60);
const TODAY: jiff::civil::Date = jiff::civil::date(2026, 11, 23);

/// A new object as a dry run: whether it is sent, or what else the API server says.
async fn is_sent(client: &kube::Client, object: &Value) -> Result<bool, String> {
    let text = |key: &str| object[key].as_str().unwrap();
    let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, text("kind")));
    let api: Api<DynamicObject> = match object["metadata"]["namespace"].as_str() {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let object: DynamicObject = serde_json::from_value(object.clone()).unwrap();
    let params = PostParams { dry_run: true, ..PostParams::default() };
    match api.create(&params, &object).await {
        Ok(_) => Ok(false),
        Err(error) if error.to_string().contains("failed calling webhook") => Ok(true),
        Err(error) => Err(error.to_string()),
    }
}

/// What the engine has to say: whether it changes the object, and whether it finds something in what comes out.
fn says(policies: &PolicySet, fixture: &Fixture) -> (bool, bool) {
    let mut lookup = MapLookup::default();
    lookup.set_complete();
    for object in fixture.cluster() {
        lookup.add(&Facts::read(&object, None).unwrap());
    }
    let engine = Engine { policies, lookup: &lookup, today: TODAY };
    let verdict = engine.mutate_and_check(&Review::create(&fixture.object)).unwrap();
    (!verdict.patch.0.is_empty(), !verdict.findings.is_empty())
}

fn pod(spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": NAMESPACE}, "spec": spec})
}

fn containers(count: usize, image: &str) -> Value {
    (0..count).map(|n| json!({"name": format!("c{n}"), "image": image})).collect()
}

fn with_variables(count: usize, variables: usize, length: usize) -> Value {
    let env: Value =
        (0..variables).map(|n| json!({"name": format!("V{n}"), "value": "x".repeat(length)})).collect();
    (0..count).map(|n| json!({"name": format!("c{n}"), "image": "nginx", "env": env})).collect()
}

/// Each with a command, arguments and variables of that length, in which nothing is found.
fn with_script(count: usize, length: usize) -> Value {
    let text = "x".repeat(length);
    let container = |n| {
        json!({"name": format!("c{n}"), "image": "registry.example.com/team/app:1.2.3", "command": ["sh", "-c", text],
               "args": [text], "env": [{"name": "V", "value": text}], "ports": [{"containerPort": 3306 + n}]})
    };
    (0..count).map(container).collect()
}

/// An object with what it is, and whether the baseline has it sent to be judged and to be changed; none where the API server
/// refuses it by itself.
type Odd = (&'static str, Value, Option<(bool, bool)>);

fn odd() -> Vec<Odd> {
    let template = |spec: Value| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": NAMESPACE}, "spec": {
            "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": spec}}})
    };
    let cron = |spec: Value| {
        json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "d", "namespace": NAMESPACE}, "spec": {
            "schedule": "0 0 * * *", "jobTemplate": {"spec": {"template": {"spec": spec}}}}})
    };
    let with = |image: &str, volumes: Value| json!({"containers": [{"name": "c", "image": image}], "volumes": volumes});
    let many: Value =
        (0..6_000).map(|n| json!({"name": format!("v{n}"), "configMap": {"name": "c"}})).collect();
    let mut owned = pod(with("nginx", json!([])));
    owned["metadata"]["ownerReferences"] = (0..4_000)
        .map(|n| json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("r{n}"), "uid": format!("{n}")}))
        .collect();
    let job = |mut spec: Value| {
        spec["restartPolicy"] = json!("Never");
        spec
    };
    vec![
        ("a plain pod", pod(with("nginx", json!([]))), Some((false, false))),
        ("a product", pod(with("redis:7", json!([]))), Some((true, false))),
        (
            "a product of a mirror",
            pod(with(
                "mirror:5000/a/postgres@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                json!([]),
            )),
            Some((true, false)),
        ),
        ("an emptyDir", pod(with("nginx", json!([{"name": "v", "emptyDir": {}}]))), Some((true, false))),
        ("no source is an emptyDir", pod(with("nginx", json!([{"name": "v"}]))), Some((true, false))),
        (
            "a claim",
            pod(with("nginx", json!([{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]))),
            Some((true, true)),
        ),
        ("a template", template(with("nginx", json!([]))), Some((false, false))),
        ("a template of a product", template(with("redis", json!([]))), Some((true, false))),
        ("a cron job", cron(job(with("nginx", json!([])))), Some((false, false))),
        ("a cron job of a product", cron(job(with("redis", json!([])))), Some((true, false))),
        (
            "32 containers with long names",
            pod(json!({"containers": containers(32, &"x".repeat(255))})),
            Some((false, false)),
        ),
        (
            "32 containers",
            pod(json!({"containers": containers(32, "registry.example.com/team/app:1.2.3")})),
            Some((false, false)),
        ),
        (
            "32 containers with names of many segments",
            pod(json!({"containers": containers(32, &"x/".repeat(250))})),
            Some((true, false)),
        ),
        (
            "32 containers with 32 variables",
            pod(json!({"containers": with_variables(32, 32, 30)})),
            Some((false, false)),
        ),
        (
            "32 containers with 32 long variables",
            pod(json!({"containers": with_variables(32, 32, 1_000)})),
            Some((true, false)),
        ),
        (
            "a container with a script",
            pod(json!({"containers": with_script(1, 30_000)})),
            Some((false, false)),
        ),
        (
            "32 containers with scripts",
            pod(json!({"containers": with_script(32, 900)})),
            Some((false, false)),
        ),
        (
            "32 containers with long scripts",
            pod(json!({"containers": with_script(32, 9_000)})),
            Some((true, false)),
        ),
        (
            "a container with 100,000 letters",
            pod(json!({"containers": with_script(1, 100_000)})),
            Some((true, false)),
        ),
        ("33 containers", pod(json!({"containers": containers(33, "nginx")})), Some((true, false))),
        ("3,000 containers", pod(json!({"containers": containers(3_000, "nginx")})), Some((true, false))),
        ("a long image", pod(with(&format!("a/{}", "x".repeat(600)), json!([]))), Some((true, false))),
        ("an image of 100,000 letters", pod(with(&"x".repeat(100_000), json!([]))), Some((true, false))),
        ("6,000 volumes", pod(with("nginx", many)), Some((true, true))),
        ("4,000 owners", owned, Some((false, false))),
        ("no containers", pod(json!({})), None),
        ("null for containers", pod(json!({"containers": null})), None),
        ("a template without containers", template(json!({})), None),
    ]
}

/// A registration of which nobody answers, with one of its sides in force.
async fn in_force(cluster: &Cluster, registration: &Registration, side: &str) {
    register(cluster.client(ADMIN), registration).await;
    let other = if side == "validating" { "mutating" } else { "validating" };
    let line = format!("delete {other}webhookconfiguration volgate");
    let deleted = cluster.kubectl(&line.split(' ').collect::<Vec<_>>(), None).await;
    assert!(deleted.success, "{deleted}");
    let client = cluster.client(ADMIN);
    let claim = |class: &str| {
        let name = format!("probe-{class}");
        pod(json!({"containers": [{"name": "c", "image": "nginx"}],
                   "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": name}}]}))
    };
    wait_until("one side alone is in force", LIMIT, async || {
        let line = format!("get {other}webhookconfiguration --no-headers");
        let left = cluster.kubectl(&line.split(' ').collect::<Vec<_>>(), None).await;
        let plain = is_sent(&client, &pod(json!({"containers": containers(1, "nginx")}))).await?;
        let with_claim = is_sent(&client, &claim("x")).await?;
        if left.stdout.is_empty() && with_claim && !plain {
            Ok(())
        } else {
            Err(format!("{plain} {with_claim} {left}"))
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_api_server_sends_all_that_there_is_something_to_say_about() {
    let options = Options { controller_manager: false, scheduler: false, ..Options::default() };
    let Some(cluster) = Cluster::own(options) else { return };
    let client = cluster.client(ADMIN);
    cluster.namespace(NAMESPACE, &[]).await;
    let baseline = PolicySet::build(vec![embedded_baseline().unwrap()]).unwrap();
    // Nobody listens on port 1.
    let endpoint = Endpoint::Url("https://127.0.0.1:1".into());
    let registration = Registration {
        timeout_seconds: 1,
        interest: baseline.interest(),
        ..Registration::new(endpoint, cluster.ca_pem().as_bytes().to_vec())
    };
    let kinds: BTreeSet<&str> = [
        "Pod",
        "Deployment",
        "StatefulSet",
        "DaemonSet",
        "ReplicaSet",
        "ReplicationController",
        "Job",
        "CronJob",
        "PodTemplate",
        "PersistentVolumeClaim",
    ]
    .into();
    let fixtures: Vec<Fixture> = all()
        .into_iter()
        .filter(|it| it.old.is_none() && kinds.contains(it.object["kind"].as_str().unwrap()))
        .collect();
    for side in ["validating", "mutating"] {
        in_force(&cluster, &registration, side).await;
        let of = |pair: (bool, bool)| if side == "validating" { pair.0 } else { pair.1 };
        for (what, object, wanted) in odd() {
            let sent = is_sent(&client, &object).await;
            let wanted = wanted.map(of);
            match (&sent, wanted) {
                (Ok(sent), Some(wanted)) => assert_eq!(*sent, wanted, "{side}: {what}"),
                (Err(why), _) => {
                    assert!(wanted.is_none() && !why.contains("webhook"), "{side}: {what}: {why}")
                }
                (Ok(_), None) => panic!("{side}: {what} is taken by the API server"),
            }
        }
        let (mut sent, mut not) = (0, 0);
        for fixture in &fixtures {
            let (changes, finds) = says(&baseline, fixture);
            let is = is_sent(&client, &fixture.object)
                .await
                .unwrap_or_else(|why| panic!("{}: {why}", fixture.name));
            assert!(is || !of((finds, changes)), "{side}: {} is not sent", fixture.name);
            if is { sent += 1 } else { not += 1 }
        }
        support::say(&format!("{side}: {sent} fixtures are sent, {not} are not"));
        assert!(sent > 10 && not > 0, "{side}: {sent} are sent, {not} are not");
    }
}
