//! The conditions against the engine: whatever the engine has something to say about is sent, and no condition fails. The
//! expressions are evaluated by the project's own CEL here, and by a real API server in `tests/sent.rs`.

use super::*;
use crate::catalog::Catalog;
use crate::cel::{Code, Fault, Global, Globals, Program, Run, Val, compile_own};
use crate::engine::Engine;
use crate::facts::{Facts, WorkloadKind};
use crate::lookup::MapLookup;
use crate::model::Operation;
use crate::policy::{PolicySet, embedded_baseline, load};
use crate::rule::Review;
use crate::source::parse;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::cell::Cell;
use std::path::Path;
use std::sync::LazyLock;

/// What the API server's conditions see of one object after the other.
struct Seen<'s> {
    objects: &'s [Value],
    requests: Vec<Value>,
    at: Cell<usize>,
}

impl<'r> Globals<'r> for &'r Seen<'_> {
    fn global(&self, global: Global) -> Result<Val<'r>, String> {
        match global {
            Global::Object => Ok(Val::json((&self.objects[self.at.get()]).into())),
            Global::Request => Ok(Val::json((&self.requests[self.at.get()]).into())),
            other => Err(format!("{other:?} is not read")),
        }
    }
}

/// Whether an expression holds of each object. It never fails.
fn holds(expression: &Option<Program>, objects: &[Value]) -> Vec<bool> {
    let Some(program) = expression else { return vec![true; objects.len()] };
    let requests = objects.iter().map(|object| json!({"kind": {"kind": object["kind"]}})).collect();
    let seen = Seen { objects, requests, at: Cell::new(0) };
    let (globals, variables): (&Seen<'_>, Vec<(String, Code)>) = (&seen, Vec::new());
    // One for all: it keeps the regular expressions, which take long to compile.
    let mut run = Run::new(&globals, &variables, u64::MAX);
    let holds = objects.iter().enumerate().map(|(at, object)| {
        seen.at.set(at);
        match run.eval(&program.code) {
            Ok(Val::Bool(holds)) => holds,
            Ok(_) => panic!("no truth: {object}"),
            Err(Fault::Because(why)) => panic!("{why}: {object}"),
            Err(Fault::Steps) => panic!("too many steps: {object}"),
        }
    });
    holds.collect()
}

struct Policies {
    set: PolicySet,
    finds: Option<Program>,
    changes: Option<Program>,
    interest: Interest,
}

impl Policies {
    fn new(policies: Vec<Value>) -> Self {
        let compiled =
            policies.iter().map(|policy| load(policy).unwrap_or_else(|faults| panic!("{faults:?}")));
        Self::of(PolicySet::build(compiled.collect()).unwrap())
    }

    fn of(set: PolicySet) -> Self {
        let interest = set.interest();
        let program = |text: String| compile_own(&text).unwrap_or_else(|why| panic!("{why:?}: {text}"));
        let (finds, changes) = (finds_expression(&interest), changes_expression(&interest));
        Self { finds: finds.map(program), changes: changes.map(program), interest, set }
    }

    fn baseline() -> Self {
        Self::of(PolicySet::build(vec![embedded_baseline().unwrap()]).unwrap())
    }

    /// Whether each object is sent to be judged, and to be changed.
    fn sends(&self, objects: &[Value]) -> Vec<(bool, bool)> {
        // Other rules of the webhooks ask for other kinds.
        let by_rule = |object: &Value| match object["kind"].as_str().unwrap_or_default() {
            "PersistentVolumeClaim" => Some((self.interest.claims, self.interest.changes.claims)),
            "PersistentVolume" => Some((self.interest.volumes, false)),
            "StorageClass" => Some((self.interest.classes, false)),
            kind if ["", "apps", "batch"].iter().any(|group| WorkloadKind::of(group, kind).is_some()) => None,
            _ => Some((true, true)),
        };
        let pods: Vec<Value> = objects.iter().filter(|object| by_rule(object).is_none()).cloned().collect();
        let mut both = holds(&self.finds, &pods).into_iter().zip(holds(&self.changes, &pods));
        objects.iter().map(|object| by_rule(object).unwrap_or_else(|| both.next().unwrap())).collect()
    }

    fn sends_one(&self, object: &Value) -> (bool, bool) {
        self.sends(std::slice::from_ref(object))[0]
    }

    /// Whatever the engine has something to say about is sent; of how many it had.
    fn check(&self, cases: &[(&MapLookup, Review<'_>)]) -> usize {
        let mut objects = Vec::new();
        let mut said = Vec::new();
        for (lookup, review) in cases {
            let engine =
                Engine { policies: &self.set, lookup: *lookup, today: jiff::civil::date(2026, 11, 23) };
            // What no API server takes is judged by nobody.
            let Ok(patch) = engine.mutate(review) else { continue };
            let object = review.object.to_value();
            let mut patched = object.clone();
            json_patch::patch(&mut patched, &patch).unwrap();
            let found = engine.check(&Review { object: (&patched).into(), ..*review }).unwrap().findings;
            said.push((patch.0, found));
            objects.push(object);
            objects.push(patched);
        }
        let sends = self.sends(&objects);
        for ((sent, objects), (patch, found)) in sends.chunks(2).zip(objects.chunks(2)).zip(&said) {
            assert!(sent[0].1 || patch.is_empty(), "not sent to be changed, and {patch:?}: {}", objects[0]);
            assert!(sent[1].0 || found.is_empty(), "not sent to be judged, and {found:?}: {}", objects[1]);
        }
        said.iter().filter(|(patch, found)| !patch.is_empty() || !found.is_empty()).count()
    }
}

fn policy(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy", "metadata": {"name": name}, "spec": spec})
}

fn shipped(name: &str) -> Policies {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies").join(name);
    Policies::new(
        parse(&std::fs::read_to_string(file).unwrap()).into_iter().map(|it| it.unwrap().value).collect(),
    )
}

fn files(folder: &Path, found: &mut Vec<Value>) {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            files(&entry, found);
        } else if entry.extension().is_some_and(|end| end == "yaml") {
            let text = std::fs::read_to_string(&entry).unwrap();
            found.extend(parse(&text).into_iter().filter_map(|document| Some(document.ok()?.value)));
        }
    }
}

#[test]
fn every_fixture_that_has_something_to_say_is_sent() {
    let mut fixtures = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures"), &mut fixtures);
    let fixtures: &'static [Value] = fixtures.leak();
    let lookups: Vec<MapLookup> = fixtures
        .iter()
        .map(|fixture| {
            let mut lookup = MapLookup::default();
            lookup.set_complete();
            for object in fixture["context"].as_array().into_iter().flatten() {
                lookup.add(&Facts::read(object, None).unwrap());
            }
            lookup
        })
        .collect();
    let review = |fixture: &'static Value| {
        let review = Review { user: fixture["user"].as_str(), ..Review::create(&fixture["object"]) };
        match fixture.get("old") {
            Some(old) => Review { operation: Operation::Update, old: Some(old.into()), ..review },
            None => review,
        }
    };
    let cases: Vec<_> = lookups.iter().zip(fixtures.iter().map(review)).collect();
    let own = fixtures
        .iter()
        .zip(&cases)
        .map(|(fixture, case)| Policies::new(vec![policy("fixture", &fixture["policy"])]).check(&[*case]));
    let own: usize = own.sum();
    let others = Policies::baseline().check(&cases) + shipped("restricted.yaml").check(&cases);
    assert!(fixtures.len() > 140 && own > 90 && others > 150, "{} {own} {others}", fixtures.len());
}

#[test]
fn the_cases_of_the_policies_are_sent_where_there_is_something_to_say() {
    let mut objects = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/tests"), &mut objects);
    let all = [Policies::baseline(), shipped("restricted.yaml")];
    let mut lookup = MapLookup::default();
    for object in &objects {
        if let Ok(facts) = Facts::read(object, None) {
            lookup.add(&facts);
        }
    }
    let makes_pods =
        |object: &&Value| Facts::read(*object, None).is_ok_and(|facts| facts.workload().is_some());
    let cases: Vec<_> =
        objects.iter().filter(makes_pods).map(|object| (&lookup, Review::create(object))).collect();
    let said: usize = all.iter().map(|policies| policies.check(&cases)).sum();
    assert!(said > 20, "{said}");
}

/// A pod as the API server has it, with its token.
fn pod(image: &str, volumes: Value) -> Value {
    let token = json!({"name": "kube-api-access-x7k2p", "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}}]}});
    let mut all = vec![token];
    all.extend(volumes.as_array().unwrap().clone());
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"}, "spec": {
        "containers": [{"name": "c", "image": image, "volumeMounts": [
            {"name": "kube-api-access-x7k2p", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true}]}],
        "volumes": all}})
}

fn of_deployment(pod: &Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "default"},
           "spec": {"template": {"spec": pod["spec"]}}})
}

fn of_cron_job(pod: &Value) -> Value {
    json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "d", "namespace": "default"},
           "spec": {"jobTemplate": {"spec": {"template": {"spec": pod["spec"]}}}}})
}

fn of_template(pod: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "d", "namespace": "default"},
           "template": {"spec": pod["spec"]}})
}

#[test]
fn under_the_baseline_little_is_sent() {
    let baseline = Policies::baseline();
    for (image, volumes, finds, changes) in [
        ("nginx:1.27", json!([]), false, false),
        ("ghcr.io/corp/app@sha256:00", json!([{"name": "c", "configMap": {"name": "c"}}]), false, false),
        ("nginx", json!([{"name": "s", "secret": {"secretName": "s"}}]), false, false),
        ("redis:7", json!([]), true, false),
        ("shop/catalogue-db:1", json!([]), true, false),
        ("shop/db-web:1", json!([]), false, false),
        ("mirror.corp:5000/bitnami/postgresql:16", json!([]), true, false),
        ("nginx", json!([{"name": "t", "emptyDir": {}}]), true, false),
        ("nginx", json!([{"name": "t"}]), true, true),
        ("nginx", json!([{"name": "t", "brandNew": {}}]), true, true),
        ("nginx", json!([{"name": "t", "configMap": {"name": "c"}, "emptyDir": {}}]), true, true),
        ("nginx", json!([{"name": "l", "hostPath": {"path": "/var/log"}}]), true, false),
        ("nginx", json!([{"name": "d", "persistentVolumeClaim": {"claimName": "d"}}]), true, true),
        ("nginx", json!([{"name": "d", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}}]), true, true),
    ] {
        let pod = pod(image, volumes);
        for object in [pod.clone(), of_deployment(&pod), of_cron_job(&pod), of_template(&pod)] {
            assert_eq!(baseline.sends_one(&object), (finds, changes), "{object}");
        }
    }
    let mut of_set = pod("nginx", json!([]));
    of_set["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "s", "uid": "u", "controller": true}]);
    assert_eq!(baseline.sends_one(&of_set), (true, false));
    let mut set = of_deployment(&pod("nginx", json!([])));
    set["kind"] = json!("StatefulSet");
    assert_eq!(baseline.sends_one(&set), (true, true));
    let claim =
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"}, "spec": {}});
    assert_eq!(baseline.sends_one(&claim), (true, true));
    for section in ["initContainers", "ephemeralContainers"] {
        let mut with = pod("nginx", json!([]));
        with["spec"][section] = json!([{"name": "e", "image": "docker.io/library/mysql:8"}]);
        assert_eq!(baseline.sends_one(&with), (true, false), "{section}");
    }
}

#[test]
fn without_policies_nothing_is_sent() {
    let none = Policies::new(Vec::new());
    let pod = pod("redis", json!([{"name": "d", "persistentVolumeClaim": {"claimName": "d"}}]));
    let claim = json!({"kind": "PersistentVolumeClaim", "metadata": {"name": "c"}, "spec": {}});
    for object in [of_deployment(&pod), pod, claim] {
        assert_eq!(none.sends_one(&object), (false, false), "{object}");
    }
}

/// What is no usual object is sent, and no condition fails on it.
#[test]
fn what_is_large_or_half_written_is_sent_and_never_fails() {
    let baseline = Policies::baseline();
    let containers = |count: usize, image: &str| -> Value {
        (0..count).map(|n| json!({"name": format!("c{n}"), "image": image})).collect()
    };
    let with = |containers: Value| {
        let mut object = pod("nginx", json!([]));
        object["spec"]["containers"] = containers;
        object
    };
    let volumes = |count: usize| -> Value {
        (0..count).map(|n| json!({"name": format!("v{n}"), "configMap": {"name": "c"}})).collect()
    };
    for (object, finds) in [
        (with(containers(32, "nginx")), false),
        (with(containers(33, "nginx")), true),
        (with(containers(1, &"x".repeat(512))), false),
        (with(containers(1, &"x".repeat(513))), true),
        (with(containers(32, &"x".repeat(500))), false),
        (with(containers(32, &"x/".repeat(250))), true),
        (pod("nginx", volumes(200)), false),
        (pod("nginx", volumes(5_000)), true),
        (with(Value::Null), false),
        (json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}), false),
        (
            json!({"apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": "p"}, "spec": {}}),
            false,
        ),
    ] {
        assert_eq!(baseline.sends_one(&object).0, finds, "{}", object["spec"]["containers"]);
    }
}

#[test]
fn every_image_of_the_catalog_is_sent_however_it_is_written() {
    let catalog = Catalog::embedded();
    let mut images = Vec::new();
    for entry in catalog.entries().iter().filter(|entry| entry.keeps_nothing.is_none()) {
        let variants = entry.variants.iter().flat_map(|variant| &variant.images);
        for pattern in entry.images.iter().chain(variants) {
            let name = pattern.replace("-#", "-16-c9s").replace("/*", "/anything");
            let name = name.strip_prefix('*').map_or(name.clone(), |end| format!("some{end}"));
            images.extend([
                format!("{name}:7"),
                format!("mirror.corp:5000/docker.io/{name}@sha256:00"),
                format!("localhost/{name}/"),
                format!("{name}/:7"),
                format!(" {name} "),
            ]);
        }
    }
    images.retain(|image| catalog.entry(image).is_some());
    assert!(images.len() > 3_000, "{}", images.len());
    let pods: Vec<Value> = images.iter().map(|image| pod(image, json!([]))).collect();
    for ((finds, _), image) in Policies::baseline().sends(&pods).into_iter().zip(&images) {
        assert!(finds, "{image}");
    }
}

#[test]
fn what_shows_a_product_in_any_image_is_sent() {
    let with = |container: Value| {
        let mut object = pod("corp/own:1", json!([]));
        let own = object["spec"]["containers"][0].as_object_mut().unwrap();
        own.extend(container.as_object().unwrap().clone());
        object
    };
    let ports = json!([{"containerPort": 3306}]);
    let env = json!([{"name": "MYSQL_ROOT_PASSWORD", "value": "x"}]);
    let many: Value = (0..65).map(|port| json!({"containerPort": port + 1})).collect();
    let baseline = Policies::baseline();
    for (container, finds) in [
        (json!({"command": ["sh", "-c", "exec redis-server --dir /x"]}), true),
        (json!({"args": ["mongod"]}), true),
        (json!({"args": ["--serve"]}), false),
        (json!({"ports": ports, "env": env}), true),
        (json!({"ports": ports}), false),
        (json!({"env": env}), false),
        (json!({"ports": ports, "env": [{"name": "MYSQL_HOST", "value": "db"}]}), false),
        (json!({"ports": many, "env": env}), true),
        (json!({"ports": null, "env": null, "command": null, "args": null}), false),
    ] {
        assert_eq!(baseline.sends_one(&with(container.clone())).0, finds, "{container}");
    }
}

#[test]
fn images_that_only_look_like_products_are_not_sent() {
    let images = [
        "corp/app@sha256:00",
        "mycorp/redis_exporter2",
        "quay.io/prometheuscommunity/postgres-exporter:v0.18.1",
        "myredis",
        "redisx:1",
        "memcached:1.6",
        "corp/shop-operator:1",
        "corp/server:1",
        "shop/db-backup",
        "mydb",
        "nginx:1.db2",
        "i",
        "",
    ];
    let pods: Vec<Value> = images.iter().map(|image| pod(image, json!([]))).collect();
    for ((finds, _), image) in Policies::baseline().sends(&pods).into_iter().zip(images) {
        assert!(!finds, "{image}");
    }
    let mut one_of_several = pod("nginx", json!([]));
    one_of_several["spec"]["containers"] =
        ["nginx", "corp/app", "redis:7", "busybox"].map(|image| json!({"name": "c", "image": image})).into();
    assert!(Policies::baseline().sends_one(&one_of_several).0);
    for image in ["user_db", "a.db@sha256:00", "db", "corp/user-db", "rhel9/postgresql-16"] {
        assert!(Policies::baseline().sends_one(&pod(image, json!([]))).0, "{image}");
    }
}

/// The API server's reckoning: a tenth of a text by a tenth of what is looked for in it.
#[test]
fn looking_into_texts_costs_less_than_an_expression_may() {
    let interest = Policies::baseline().interest;
    let words = ProductWords::new(interest.products.as_ref().unwrap()).unwrap();
    let parts: Vec<&str> = DATABASE_HINTS.into_iter().chain(words.programs.iter().copied()).collect();
    let most = most_bytes(&DATABASE_HINTS, &parts);
    assert!(most > 32_000, "a usual start script is looked into: {most}");
    let cost = |parts: &[&str]| -> usize {
        parts.iter().map(|part| most.div_ceil(10) * part.len().div_ceil(10)).sum::<usize>()
            + most.div_ceil(10)
    };
    assert!(2 * cost(&parts) + cost(&DATABASE_HINTS) <= MOST_COST + 100, "{most}");
}

fn source() -> impl Strategy<Value = Value> {
    let types: Vec<&'static str> = VolumeSource::types().collect();
    let fields = json!({"name": "x", "claimName": "on-a", "path": "/x", "driver": "x", "volumeClaimTemplate": {"spec": {}}});
    prop_oneof![
        prop::sample::select(types).prop_map(move |kind| json!({"name": "v", kind: fields})),
        prop::sample::select(vec![
            json!({"name": "v"}),
            json!({"name": "v", "emptydir": {}}),
            json!({"name": "v", "configMap": null}),
            json!({"name": "v", "configMap": {}, "emptyDir": {}}),
            json!({"name": "v", "emptyDir": {}, "projected": {}}),
        ]),
    ]
}

fn any_image() -> impl Strategy<Value = String> {
    let catalog = Catalog::embedded();
    let names: Vec<String> = catalog.entries().iter().flat_map(|entry| entry.images.clone()).collect();
    let prefix = prop::sample::select(vec!["", "mirror.corp:5000/", "docker.io/", "localhost/team/", "a//"]);
    let end = prop::sample::select(vec!["", ":7", "@sha256:00", "/", "-exporter", "_x", ":7@sha256:00", "x"]);
    let called = prop::sample::select(vec!["shop/catalogue-db", "user_mysql", "a.mongo", "db", "db-backup"]);
    let name = prop_oneof![
        prop::sample::select(names),
        called.prop_map(str::to_owned),
        "[a-z]{1,6}(/[a-z]{1,6})?".prop_map(|name| name)
    ];
    (prefix, name, end).prop_map(|(prefix, name, end)| {
        format!("{prefix}{}{end}", name.replace("-#", "-16").replace("*-", "an-").replace("/*", "/any"))
    })
}

fn object() -> impl Strategy<Value = Value> {
    let mounts =
        ["/data", "/var/lib/mysql", "/x", "/tmp"].map(|path| json!([{"name": "v", "mountPath": path}]));
    let device = json!([{"name": "v", "devicePath": "/dev/x"}]);
    let shown = [
        json!({}),
        json!({"command": ["redis-server"]}),
        json!({"command": ["sh", "-c"], "args": ["gosu x /usr/bin/mongod --dbpath /x"]}),
        json!({"ports": [{"containerPort": 3306}], "env": [{"name": "MYSQL_ROOT_PASSWORD", "value": "x"}]}),
        json!({"env": [{"name": "DATABASE_URL", "value": "sqlite:////srv/app.db"}]}),
    ];
    let shown = prop::sample::select(shown.to_vec());
    let container = (any_image(), prop::sample::select(mounts.to_vec()), any::<bool>(), shown).prop_map(
        move |(image, mounts, block, shown)| {
            let mut container = if block {
                json!({"name": "c", "image": image, "volumeDevices": device, "ports": [{"containerPort": 3306}]})
            } else {
                json!({"name": "c", "image": image, "volumeMounts": mounts})
            };
            container.as_object_mut().unwrap().extend(shown.as_object().unwrap().clone());
            container
        },
    );
    let owner = prop::sample::select(vec!["", "StatefulSet", "ReplicaSet", "Job", "Other"]);
    let sections = prop::sample::select(vec!["containers", "initContainers", "ephemeralContainers"]);
    let kind = prop::sample::select(vec![
        "Pod",
        "Deployment",
        "StatefulSet",
        "DaemonSet",
        "CronJob",
        "Job",
        "PodTemplate",
    ]);
    (kind, prop::collection::vec((sections, container), 0..3), prop::collection::vec(source(), 0..2), owner).prop_map(
        |(kind, containers, volumes, owner)| {
            let mut spec = json!({"volumes": volumes, "containers": [{"name": "first", "image": "nginx"}]});
            for (section, container) in containers {
                match spec[section].as_array_mut() {
                    Some(list) => list.push(container),
                    None => spec[section] = json!([container]),
                }
            }
            let (api_version, mut object) = match kind {
                "Pod" => ("v1", json!({"spec": spec})),
                "PodTemplate" => ("v1", json!({"template": {"spec": spec}})),
                "CronJob" => ("batch/v1", json!({"spec": {"jobTemplate": {"spec": {"template": {"spec": spec}}}}})),
                "Job" => ("batch/v1", json!({"spec": {"template": {"spec": spec}}})),
                _ => ("apps/v1", json!({"spec": {"replicas": 3, "template": {"spec": spec}}})),
            };
            object["apiVersion"] = json!(api_version);
            object["kind"] = json!(kind);
            object["metadata"] = json!({"name": "o", "namespace": "default"});
            if !owner.is_empty() {
                object["metadata"]["ownerReferences"] =
                    json!([{"kind": owner, "apiVersion": "apps/v1", "name": "o", "uid": "u", "controller": true}]);
            }
            object
        },
    )
}

/// Each rule by itself, as far as it can be told what it is about.
const RULES: [&str; 18] = [
    r#"{"defaultClass": {"name": "local-path"}}"#,
    r#"{"durableData": {}}"#,
    r#"{"durableData": {"require": "volume", "statefulSets": "Deny"}}"#,
    r#"{"pinToVolume": {}}"#,
    r#"{"volumeReachable": {}}"#,
    r#"{"hostPath": {"allow": []}}"#,
    r#"{"volumeTypes": {"allow": ["configMap"]}}"#,
    r#"{"emptyDir": {"requireSizeLimit": true}}"#,
    r#"{"ephemeralStorage": {"requireLimit": true}}"#,
    r#"{"claimClass": {"mustExist": true}}"#,
    r#"{"claimSize": {"max": "1Mi"}}"#,
    r#"{"accessModes": {"allow": ["ReadOnlyMany"]}}"#,
    r#"{"volumeMode": {}}"#,
    r#"{"reclaimPolicy": {"volumes": true, "claims": true}}"#,
    r#"{"bindingMode": {}}"#,
    r#"{"sharedWriter": {}}"#,
    r#"{"dangling": {}}"#,
    r#"{"durableData": {"data": [{"paths": ["/uploads"]}]}}"#,
];

/// Each rule alone, and the baseline.
static EACH: LazyLock<Vec<Policies>> = LazyLock::new(|| {
    let alone = RULES.iter().map(|rule| {
        let rule: Value = serde_json::from_str(rule).unwrap();
        Policies::new(vec![policy("one", &json!({"rules": [rule]}))])
    });
    alone.chain([Policies::baseline()]).collect()
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_rule_has_something_to_say_about_is_sent(objects in prop::collection::vec(object(), 32)) {
        let mut lookup = MapLookup::default();
        lookup.set_complete();
        for context in [
            json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "static"},
                   "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "Immediate"}),
            json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"}, "spec": {
                "storageClassName": "static", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Delete", "local": {"path": "/x"}, "nodeAffinity": {"required": {
                    "nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]}}}}),
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "on-a", "namespace": "default"},
                   "spec": {"storageClassName": "static", "volumeName": "v", "accessModes": ["ReadWriteOnce"]}}),
        ] {
            lookup.add(&Facts::read(&context, None).unwrap());
        }
        let cases: Vec<_> = objects.iter().map(|object| (&lookup, Review::create(object))).collect();
        for policies in EACH.iter() {
            policies.check(&cases);
        }
    }
}
