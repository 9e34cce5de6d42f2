//! What must hold of every object, however odd: a patch applied twice changes nothing the second time, a patched
//! object is judged as its verdict says, and nothing that can be parsed makes the engine panic.
#![allow(unreachable_pub)]

use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::LazyLock;
use volgate::engine::Engine;
use volgate::facts::Facts;
use volgate::lookup::MapLookup;
use volgate::policy::{PolicySet, load};
use volgate::rule::Review;
use volgate::source::parse;

const TODAY: jiff::civil::Date = jiff::civil::date(2026, 11, 23);

/// Both shipped policies, so that every rule has its say.
static POLICIES: LazyLock<PolicySet> = LazyLock::new(|| {
    let texts =
        [include_str!("../../policies/baseline.yaml"), include_str!("../../policies/restricted.yaml")];
    let policies =
        texts.iter().flat_map(|text| parse(text)).map(|document| load(&document.unwrap().value).unwrap());
    PolicySet::build(policies.collect()).unwrap()
});

/// Two nodes; on each a local volume with its bound claim, and two more volumes that are free.
static LOOKUP: LazyLock<MapLookup> = LazyLock::new(|| {
    let mut lookup = MapLookup::default();
    lookup.set_complete();
    let mut add = |object: Value| lookup.add(&Facts::read(&object, None).unwrap());
    add(json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "static"},
               "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"}));
    for node in ["a", "b"] {
        let affinity = json!({"required": {"nodeSelectorTerms": [{"matchExpressions": [
            {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]}});
        let labels = json!({"kubernetes.io/hostname": node, "zone": node});
        add(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node, "labels": labels}}));
        for (name, claim) in [("bound", true), ("free", false)] {
            let mut spec = json!({"storageClassName": "static", "capacity": {"storage": "1Gi"},
                                  "accessModes": ["ReadWriteOnce"], "nodeAffinity": affinity, "local": {"path": "/x"}});
            if claim {
                spec["claimRef"] = json!({"namespace": "default", "name": format!("on-{node}")});
            }
            add(json!({"apiVersion": "v1", "kind": "PersistentVolume",
                       "metadata": {"name": format!("{name}-{node}")}, "spec": spec}));
        }
        add(json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": format!("on-{node}"), "namespace": "default"},
            "spec": {"storageClassName": "static", "volumeName": format!("bound-{node}"),
                     "accessModes": ["ReadWriteOnce"]}, "status": {"phase": "Bound"}}));
    }
    add(json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "waits", "namespace": "default"},
        "spec": {"storageClassName": "static", "accessModes": ["ReadWriteOnce"],
                 "resources": {"requests": {"storage": "1Gi"}}}}));
    lookup
});

fn engine() -> Engine<'static> {
    Engine { policies: &POLICIES, lookup: &*LOOKUP, today: TODAY }
}

fn one_of(values: &[Value]) -> impl Strategy<Value = Value> + use<> {
    prop::sample::select(values.to_vec())
}

fn volume() -> impl Strategy<Value = Value> {
    let source = one_of(&[
        json!({"emptyDir": {}}),
        json!({"emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}),
        json!({"hostPath": {"path": "/var/log"}}),
        json!({"hostPath": {"path": "/var/../etc", "type": "Directory"}}),
        json!({"persistentVolumeClaim": {"claimName": "on-a"}}),
        json!({"persistentVolumeClaim": {"claimName": "on-b", "readOnly": true}}),
        json!({"persistentVolumeClaim": {"claimName": "waits"}}),
        json!({"persistentVolumeClaim": {"claimName": "nowhere"}}),
        json!({"ephemeral": {"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"]}}}}),
        json!({"csi": {"driver": "x"}}),
        json!({"configMap": {"name": "c"}}),
        json!({}),
    ]);
    (prop::sample::select(vec!["v", "w"]), source).prop_map(|(name, mut volume)| {
        volume["name"] = json!(name);
        volume
    })
}

fn container() -> impl Strategy<Value = Value> {
    let image =
        prop::sample::select(vec!["redis", "postgres:16", "corp/app", "bitnami/kafka:3", "", "memcached"]);
    let path =
        prop::sample::select(vec!["/data", "/data/redis", "/", "/var/lib/postgresql", "/tmp", "data/../x"]);
    let mount = (prop::sample::select(vec!["v", "w", "x"]), path, any::<bool>())
        .prop_map(|(name, path, read_only)| json!({"name": name, "mountPath": path, "readOnly": read_only}));
    (image, prop::collection::vec(mount, 0..3)).prop_map(|(image, mounts)| {
        json!({"name": "c", "image": image, "volumeMounts": mounts,
               "resources": {"limits": {"memory": "512Mi"}}})
    })
}

/// Containers whose arguments and variables refer to each other, stand for many, or are half written.
fn odd_container() -> impl Strategy<Value = Value> {
    let piece = prop::sample::select(vec![
        "$(A)",
        "$(B)",
        "$(C)",
        "$A",
        "${B}",
        "${",
        "$(",
        "$$",
        "{1...64}",
        "{1...9999999999}",
        "{",
        "}",
        "/data",
        "/x",
        " ",
        ";",
        "\n",
        "'",
        "\"",
        "`",
        "=",
        "--dir ",
        "--dir=",
        "-D",
        "server ",
        "a",
        "#",
        "&",
    ]);
    let text = prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat());
    let variable = (
        prop::sample::select(vec!["A", "B", "C", "PGDATA", "MINIO_VOLUMES", "REDIS_EXTRA_FLAGS"]),
        text.clone(),
    )
        .prop_map(|(name, value)| json!({"name": name, "value": value}));
    let image =
        prop::sample::select(vec!["redis", "postgres:16", "minio/minio", "bitnami/redis", "elasticsearch:8"]);
    let command =
        prop::sample::select(vec![vec![], vec!["sh", "-c"], vec!["minio", "server"], vec!["redis-server"]]);
    let args = prop::collection::vec(text, 0..6);
    (image, command, args, prop::collection::vec(variable, 0..8), any::<bool>()).prop_map(
        |(image, command, args, env, env_from)| {
            let from = if env_from { json!([{"secretRef": {"name": "s"}}]) } else { json!([]) };
            json!({"name": "c", "image": image, "command": command, "args": args, "env": env, "envFrom": from,
                   "volumeMounts": [{"name": "v", "mountPath": "/x"}]})
        },
    )
}

fn pod_spec() -> impl Strategy<Value = Value> {
    let term = one_of(&[
        json!({"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}]}),
        json!({"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["a"]}]}),
        json!({"matchExpressions": [{"key": "gpu", "operator": "Exists"}]}),
        json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}),
        json!({}),
    ]);
    let affinity = prop::option::of(prop::collection::vec(term, 0..3));
    let selector = prop::option::of(prop::sample::select(vec!["a", "b", "c"]));
    let (containers, volumes) =
        (prop::collection::vec(container(), 1..3), prop::collection::vec(volume(), 0..3));
    (containers, volumes, affinity, selector).prop_map(|(containers, volumes, affinity, selector)| {
        let mut spec = json!({"containers": containers, "volumes": volumes});
        if let Some(terms) = affinity {
            spec["affinity"] = json!({"nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}});
        }
        if let Some(node) = selector {
            spec["nodeSelector"] = json!({"kubernetes.io/hostname": node});
        }
        spec
    })
}

fn claim_spec() -> impl Strategy<Value = Value> {
    let class = one_of(&[Value::Null, json!(""), json!("static"), json!("nowhere")]);
    let size = one_of(&[Value::Null, json!("1Gi"), json!("100Ti"), json!(5)]);
    let mode = prop::sample::select(vec!["ReadWriteOnce", "ReadWriteMany", "Odd"]);
    (class, size, mode, any::<bool>()).prop_map(|(class, size, mode, named)| {
        json!({"storageClassName": class, "accessModes": [mode], "resources": {"requests": {"storage": size}},
               "volumeName": if named { json!("bound-a") } else { Value::Null }})
    })
}

fn object() -> impl Strategy<Value = Value> {
    let meta = json!({"name": "o", "namespace": "default"});
    let pod_meta = meta.clone();
    let pod = pod_spec()
        .prop_map(move |spec| json!({"apiVersion": "v1", "kind": "Pod", "metadata": pod_meta, "spec": spec}));
    let set_meta = meta.clone();
    let set = (pod_spec(), prop::collection::vec(claim_spec(), 0..2), 0..3i64).prop_map(
        move |(pod, claims, replicas)| {
            let templates: Vec<Value> =
                claims.into_iter().map(|spec| json!({"metadata": {"name": "v"}, "spec": spec})).collect();
            json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": set_meta, "spec": {
            "replicas": replicas, "template": {"spec": pod}, "volumeClaimTemplates": templates}})
        },
    );
    let deployment_meta = meta.clone();
    let deployment = pod_spec().prop_map(move |spec| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": deployment_meta,
               "spec": {"replicas": 2, "template": {"spec": spec}}})
    });
    let claim = claim_spec().prop_map(move |spec| {
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": spec})
    });
    prop_oneof![pod, set, deployment, claim]
}

/// Any JSON, a little on the side of what Kubernetes' objects are made of.
fn junk() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        prop::sample::select(vec!["Memory", "1Gi", "/data", "ReadWriteOnce", "redis"]).prop_map(Value::from),
    ];
    let keys = vec![
        "spec",
        "template",
        "containers",
        "volumes",
        "volumeMounts",
        "name",
        "image",
        "emptyDir",
        "hostPath",
        "path",
        "mountPath",
        "metadata",
        "labels",
        "persistentVolumeClaim",
        "claimName",
        "volumeClaimTemplates",
        "resources",
        "requests",
        "storage",
        "affinity",
        "nodeAffinity",
        "nodeSelectorTerms",
        "matchExpressions",
        "env",
        "args",
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        let key = prop::sample::select(keys.clone());
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..6).prop_map(|map| map
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect::<Value>()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_second_application_is_empty_and_a_patched_object_is_judged_the_same(object in object()) {
        let engine = engine();
        let verdict = engine.mutate_and_check(&Review::create(&object)).unwrap();
        let mut patched = object.clone();
        json_patch::patch(&mut patched, &verdict.patch).unwrap();
        let again = engine.mutate_and_check(&Review::create(&patched)).unwrap();
        prop_assert_eq!(&again.patch.0, &[]);
        prop_assert_eq!(engine.check(&Review::create(&patched)).unwrap().findings, verdict.findings);
    }

    #[test]
    fn mutation_changes_what_it_is_about_and_nothing_else(object in object()) {
        let verdict = engine().mutate_and_check(&Review::create(&object)).unwrap();
        for operation in &verdict.patch.0 {
            let path = operation.path().to_string();
            let about = path.ends_with("/storageClassName") || path.starts_with("/spec/affinity");
            prop_assert!(about, "{}", path);
        }
    }

    #[test]
    fn a_verdict_is_not_many_times_as_long_as_what_it_is_about(
        containers in prop::collection::vec(odd_container(), 1..6), claim in any::<bool>(),
    ) {
        let source = if claim { json!({"claimName": "waits"}) } else { Value::Null };
        let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "o", "namespace": "default"}, "spec": {
            "containers": containers, "volumes": [{"name": "v", "emptyDir": {}, "persistentVolumeClaim": source}]}});
        let findings = engine().mutate_and_check(&Review::create(&object)).unwrap().findings;
        let data: Vec<_> = findings.iter().filter(|finding| finding.rule == "durable-data").collect();
        let length: usize = data.iter().map(|finding| format!("{finding:?}").len()).sum();
        // Each container has a mount and a layer of its own, and each of them one finding for each product's directory.
        prop_assert!(data.len() <= 8 * object["spec"]["containers"].as_array().unwrap().len(), "{:?}", data);
        prop_assert!(length <= 40 * object.to_string().len(), "{} of {}", length, object);
    }

    #[test]
    fn nothing_makes_the_engine_panic(
        kind in prop::sample::select(vec![
            ("v1", "Pod"), ("apps/v1", "StatefulSet"), ("apps/v1", "Deployment"), ("batch/v1", "CronJob"),
            ("v1", "PersistentVolumeClaim"), ("v1", "PersistentVolume"), ("storage.k8s.io/v1", "StorageClass"),
        ]),
        spec in junk(),
        metadata in junk(),
    ) {
        let mut object = json!({"apiVersion": kind.0, "kind": kind.1, "metadata": metadata, "spec": spec});
        match engine().mutate_and_check(&Review::create(&object)) {
            Ok(verdict) => {
                prop_assert!(json_patch::patch(&mut object, &verdict.patch).is_ok(), "the patch must fit");
            }
            Err(fault) => prop_assert!(!fault.message.is_empty() && !fault.path.is_root(), "{}", fault),
        }
    }
}
