//! What is done with one input. `cargo fuzz` runs these on inputs that it makes, and `cargo test --test core fuzz_corpus` on
//! those that are kept in `fuzz/corpus`.

use serde_json::{Value, json};
use std::sync::LazyLock;
use volgate::admission;
use volgate::catalog::{Catalog, ContainerView};
use volgate::check::{Input, Run};
use volgate::engine::Engine;
use volgate::facts::Facts;
use volgate::lookup::MapLookup;
use volgate::policy::{PolicySet, load};
use volgate::report;
use volgate::rule::Review;
use volgate::source::parse;

/// What is done with one input.
pub type Target = fn(&[u8]);

/// All targets with their names, which are those of their folders in `fuzz/corpus`.
pub const TARGETS: [(&str, Target); 5] =
    [("review", review), ("yaml", yaml), ("policy", policy), ("cel", cel), ("resolver", resolver)];

const TODAY: jiff::civil::Date = jiff::civil::date(2026, 11, 28);

/// Both shipped policies, so that every rule runs.
static POLICIES: LazyLock<PolicySet> = LazyLock::new(|| {
    let texts =
        [include_str!("../../policies/baseline.yaml"), include_str!("../../policies/restricted.yaml")];
    let documents = texts.iter().flat_map(|text| parse(text));
    let policies =
        documents.map(|document| load(&document.expect("the policy is YAML").value).expect("a policy"));
    PolicySet::build(policies.collect()).expect("the policies fit together")
});

/// The objects that `examples` and the inputs name: a class, two nodes, a claim bound to a local volume, one that waits.
static LOOKUP: LazyLock<MapLookup> = LazyLock::new(|| {
    let mut lookup = MapLookup::default();
    lookup.set_complete();
    let objects = [
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "local-path"},
               "provisioner": "local-path.volgate.dev", "volumeBindingMode": "WaitForFirstConsumer"}),
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a", "labels": {"kubernetes.io/hostname": "a"}}}),
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "b", "labels": {"kubernetes.io/hostname": "b"}}}),
        json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"},
               "spec": {"storageClassName": "local-path", "capacity": {"storage": "1Gi"},
                        "accessModes": ["ReadWriteOnce"], "local": {"path": "/x"},
                        "claimRef": {"namespace": "default", "name": "bound"},
                        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                            {"key": "kubernetes.io/hostname", "operator": "In", "values": ["a"]}]}]}}}}),
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
               "metadata": {"name": "bound", "namespace": "default"},
               "spec": {"storageClassName": "local-path", "volumeName": "v", "accessModes": ["ReadWriteOnce"]},
               "status": {"phase": "Bound"}}),
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
               "metadata": {"name": "waits", "namespace": "default"},
               "spec": {"storageClassName": "local-path", "accessModes": ["ReadWriteOnce"],
                        "resources": {"requests": {"storage": "1Gi"}}}}),
    ];
    for object in &objects {
        lookup.add(&Facts::read(object, None).expect("the object can be read"));
    }
    lookup
});

/// A pod for policies and expressions to judge.
static POD: LazyLock<Value> = LazyLock::new(|| {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default", "labels": {"app": "p"}},
           "spec": {"containers": [{"name": "redis", "image": "redis:7", "args": ["--dir", "/data"],
                                    "volumeMounts": [{"name": "data", "mountPath": "/data"}]},
                                   {"name": "web", "image": "nginx"}],
                    "volumes": [{"name": "data", "emptyDir": {}},
                                {"name": "claim", "persistentVolumeClaim": {"claimName": "bound"}}]}})
});

fn engine(policies: &PolicySet) -> Engine<'_> {
    Engine { policies, lookup: &*LOOKUP, today: TODAY }
}

/// Builds what all inputs share.
pub fn warm_up() {
    LazyLock::force(&LOOKUP);
    let _ = engine(&POLICIES).mutate_and_check(&Review::create(&*POD));
}

/// The body of an admission review, at both webhooks.
pub fn review(bytes: &[u8]) {
    for entry in [admission::mutate, admission::validate] {
        let answer = entry(bytes, &engine(&POLICIES));
        assert!(matches!(answer.status, 200 | 400), "status {}", answer.status);
        if answer.status == 200 {
            let body: Value = serde_json::from_slice(&answer.body).expect("the answer is JSON");
            assert!(body["response"]["uid"].is_string(), "the answer has no uid");
        }
    }
}

/// A file of manifests, as `volgate check` reads, judges and reports it.
pub fn yaml(bytes: &[u8]) {
    let inputs = [Input::from_bytes("fuzz.yaml", bytes, true)];
    let report = Run::new(&POLICIES, TODAY).check(&inputs);
    let length = inputs[0].source.text.len();
    for located in &report.findings {
        assert!(located.spot.start <= located.spot.end && located.spot.end <= length, "{:?}", located.spot);
    }
    let _ = report::human(&report, &inputs, &report::Options::default());
    let _ = report::json(&report, &inputs);
}

/// A policy file, and what it says of a pod.
pub fn policy(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let documents = parse(text);
    let policies = documents.iter().flatten().filter_map(|document| load(&document.value).ok()).collect();
    if let Ok(policies) = PolicySet::build(policies) {
        let _ = engine(&policies).mutate_and_check(&Review::create(&*POD));
    }
}

/// The expression of a `cel` rule, compiled and asked about a pod.
pub fn cel(bytes: &[u8]) {
    let Ok(expression) = std::str::from_utf8(bytes) else { return };
    let policy = json!({"apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy", "metadata": {"name": "fuzz"},
        "spec": {"rules": [{"cel": {"name": "fuzz", "expression": expression, "message": "must hold"}}]}});
    let Ok(policy) = load(&policy) else { return };
    let policies = PolicySet::build(vec![policy]).expect("one policy fits itself");
    let _ = engine(&policies).mutate_and_check(&Review::create(&*POD));
}

/// A container of a catalogued image. Zero bytes separate its parts, so that a script may have several lines: the image,
/// `|word` of `command`, `@NAME=value` or `@NAME` (a value from elsewhere) of the environment, and any other is a word of
/// `args`.
pub fn resolver(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.split('\0');
    let image = lines.next().unwrap_or_default();
    let (mut command, mut args, mut env) = (Vec::new(), Vec::new(), Vec::new());
    for line in lines {
        if let Some(word) = line.strip_prefix('|') {
            command.push(word);
        } else if let Some((name, value)) = line.strip_prefix('@').and_then(|line| line.split_once('=')) {
            env.push((name, Some(value)));
        } else if let Some(name) = line.strip_prefix('@') {
            env.push((name, None));
        } else {
            args.push(line);
        }
    }
    let view = ContainerView { image, command: &command, args: &args, env: &env, ..ContainerView::default() };
    let _ = Catalog::embedded().classify(&view);
}
