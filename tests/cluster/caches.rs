//! The caches against a real API server: that they hold what it holds, say what they lack, and survive what breaks.

use crate::support::cluster::ADMIN;
use crate::support::{Cluster, Line, Options, User, wait_until};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule};
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use std::sync::OnceLock;
use std::time::Duration;
use tokio::sync::watch;
use volgate::cluster::{Caches, ClusterPolicies, PolicySource, PolicyWatch, role_rules};
use volgate::facts::{Facts, OwnerFacts};
use volgate::lookup::{Lookup, LookupKind, MapLookup};

const LIMIT: Duration = Duration::from_secs(60);

/// An API server alone, that forgets its history within seconds, so that a watch which was away has to list anew.
fn cluster() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    let user = |name: &str| User { name: name.into(), groups: Vec::new() };
    let start = || {
        Cluster::own(Options {
            controller_manager: false,
            scheduler: false,
            api_server_args: vec!["--watch-cache=false".into(), "--etcd-compaction-interval=1s".into()],
            users: vec![user("reader"), user("newcomer")],
            ..Options::default()
        })
    };
    CLUSTER.get_or_init(start).as_ref()
}

fn api(client: &kube::Client, object: &Value) -> Api<DynamicObject> {
    let text = |key: &str| object[key].as_str().unwrap();
    let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
    let mut resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, text("kind")));
    if resource.kind == "StoragePolicy" {
        resource.plural = "storagepolicies".into();
    }
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

/// Creates or changes an object, status included; returns it as it is stored.
async fn put(client: &kube::Client, object: &Value) -> Value {
    let (api, name) = (api(client, object), object["metadata"]["name"].as_str().unwrap());
    let params = PatchParams::apply("test").force();
    let mut stored = api.patch(name, &params, &Patch::Apply(object)).await;
    if let (Ok(_), Some(status)) = (&stored, object.get("status")) {
        let status = json!({"status": status});
        stored = api.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await;
    }
    serde_json::to_value(stored.unwrap_or_else(|e| panic!("{object}: {e}"))).unwrap()
}

async fn delete(client: &kube::Client, object: &Value) {
    let api = api(client, object);
    let name = object["metadata"]["name"].as_str().unwrap();
    // A volume has a finalizer that the controller manager, which does not run here, would take off.
    let none = json!({"metadata": {"finalizers": null}});
    api.delete(name, &DeleteParams::background()).await.unwrap();
    let _ = api.patch(name, &PatchParams::default(), &Patch::Merge(none)).await;
}

async fn namespace(client: &kube::Client, name: &str) -> Value {
    put(client, &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"tier": "data"}}}))
        .await
}

fn volume(name: &str, class: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": {
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": class,
        "persistentVolumeReclaimPolicy": "Retain", "local": {"path": "/data"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
            {"key": "kubernetes.io/hostname", "operator": "In", "values": ["n1"]}]}]}}},
        "status": {"phase": "Available"}})
}

fn claim(namespace: &str, name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": namespace},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "fast",
                 "resources": {"requests": {"storage": "1Gi"}}}})
}

fn class(name: &str, default: bool) -> Value {
    json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name,
        "annotations": {"storageclass.kubernetes.io/is-default-class": default.to_string()}},
        "provisioner": "kubernetes.io/no-provisioner", "parameters": {"a": "b"}})
}

fn owner(api_version: &str, kind: &str, namespace: &str) -> Value {
    let job = kind == "Job";
    let mut template =
        json!({"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    if job {
        template["spec"]["restartPolicy"] = json!("Never");
    }
    let mut spec = json!({"template": template});
    match kind {
        "Job" => {}
        "ReplicationController" => spec["selector"] = json!({"app": "x"}),
        _ => spec["selector"] = json!({"matchLabels": {"app": "x"}}),
    }
    if kind == "CronJob" {
        let mut template = template;
        template["spec"]["restartPolicy"] = json!("Never");
        spec = json!({"schedule": "0 0 * * *", "jobTemplate": {"spec": {"template": template}}});
    }
    json!({"apiVersion": api_version, "kind": kind, "spec": spec,
           "metadata": {"name": "owner", "namespace": namespace, "labels": {"tier": "data"}}})
}

/// Allows a user these rules, in place of what it was allowed before.
async fn allow(cluster: &Cluster, user: &str, rules: Vec<PolicyRule>) {
    let params = PatchParams::apply("test").force();
    let metadata = || kube::core::ObjectMeta { name: Some(format!("test-{user}")), ..Default::default() };
    let role = ClusterRole { metadata: metadata(), rules: Some(rules), aggregation_rule: None };
    let roles: Api<ClusterRole> = Api::all(cluster.client(ADMIN));
    roles.patch(&format!("test-{user}"), &params, &Patch::Apply(role)).await.unwrap();
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": metadata(),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": format!("test-{user}")},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]});
    let bindings: Api<ClusterRoleBinding> = Api::all(cluster.client(ADMIN));
    bindings.patch(&format!("test-{user}"), &params, &Patch::Apply(binding)).await.unwrap();
}

async fn synced(caches: &Caches) {
    wait_until("the caches are synced", LIMIT, async || {
        if caches.synced() { Ok(()) } else { Err(format!("{:?}", caches.waiting())) }
    })
    .await;
}

/// Waits until a look into the cache satisfies.
async fn until(what: &str, holds: impl Fn() -> bool) {
    wait_until(what, LIMIT, async || if holds() { Ok(()) } else { Err("not yet".to_owned()) }).await;
}

#[tokio::test]
async fn hold_what_the_cluster_holds_and_check_would_read() {
    let Some(cluster) = cluster() else { return };
    allow(cluster, "reader", role_rules()).await;
    let admin = cluster.client(ADMIN);
    let mut before = vec![namespace(&admin, "follow").await];
    before.push(put(&admin, &volume("follow-1", "follow")).await);
    before.push(put(&admin, &claim("follow", "data")).await);

    let caches = Caches::start(&cluster.client("reader"));
    let lookup = caches.lookup();
    assert!(!lookup.knows_all(LookupKind::Claim), "nothing is known yet");
    synced(&caches).await;
    for kind in
        [LookupKind::Claim, LookupKind::Volume, LookupKind::Class, LookupKind::Namespace, LookupKind::Node]
    {
        assert!(lookup.knows_all(kind), "{kind:?}");
    }
    assert_eq!(lookup.claim("follow", "data").unwrap().spec.request.as_ref().unwrap().to_string(), "1Gi");

    // What comes later, of every kind.
    let mut after =
        vec![put(&admin, &class("follow", true)).await, put(&admin, &volume("follow-2", "follow")).await];
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "follow-n1", "labels": {"zone": "a"}}});
    after.push(put(&admin, &node).await);
    let owners = [
        ("apps/v1", "ReplicaSet"),
        ("apps/v1", "Deployment"),
        ("apps/v1", "StatefulSet"),
        ("apps/v1", "DaemonSet"),
        ("batch/v1", "Job"),
        ("batch/v1", "CronJob"),
        ("v1", "ReplicationController"),
    ];
    for (api_version, kind) in owners {
        after.push(put(&admin, &owner(api_version, kind, "follow")).await);
    }
    until("the owners are there", || {
        owners.iter().all(|(_, kind)| lookup.owner("follow", kind, "owner").is_some())
    })
    .await;
    until("all volumes are there", || lookup.available_volumes("follow").len() == 2).await;
    until("the node and the class are there", || {
        lookup.node("follow-n1").is_some() && lookup.class("follow").is_some()
    })
    .await;

    // The same facts as `check` has of the same objects.
    let mut map = MapLookup::default();
    for object in before.iter().chain(&after) {
        map.add(&Facts::read(object, None).unwrap());
    }
    // What can be scaled is read whole.
    for object in &after {
        let facts = Facts::read(object, None).unwrap();
        if facts.workload().is_some_and(|workload| workload.kind.has_replicas()) {
            map.add_owner(OwnerFacts::read_whole(object.into(), &facts.id).unwrap());
        }
    }
    assert_eq!(lookup.claim("follow", "data"), map.claim("follow", "data"));
    assert_eq!(lookup.volume("follow-1"), map.volume("follow-1"));
    assert_eq!(lookup.available_volumes("follow"), map.available_volumes("follow"));
    assert_eq!(lookup.class("follow"), map.class("follow"));
    assert_eq!(lookup.default_class(), map.default_class());
    assert_eq!(lookup.namespace("follow"), map.namespace("follow"));
    assert_eq!(lookup.node("follow-n1"), map.node("follow-n1"));
    for (_, kind) in owners {
        let (cached, read) = (lookup.owner("follow", kind, "owner"), map.owner("follow", kind, "owner"));
        assert_eq!(cached, read, "{kind}");
    }

    // Changes and ends.
    let mut taken = volume("follow-1", "follow");
    taken["status"] = json!({"phase": "Released"});
    put(&admin, &taken).await;
    until("the volume is not available any more", || lookup.available_volumes("follow").len() == 1).await;
    put(&admin, &class("follow", false)).await;
    until("there is no default class any more", || lookup.default_class().is_none()).await;
    delete(&admin, &volume("follow-2", "follow")).await;
    delete(&admin, &owner("apps/v1", "Deployment", "follow")).await;
    delete(&admin, &node).await;
    until("all three are gone", || {
        lookup.volume("follow-2").is_none()
            && lookup.owner("follow", "Deployment", "owner").is_none()
            && lookup.node("follow-n1").is_none()
    })
    .await;
    let sizes = caches.sizes();
    assert!(sizes.contains(&("statefulsets", 1)) && sizes.contains(&("deployments", 0)), "{sizes:?}");
}

#[tokio::test]
async fn say_which_right_is_missing_and_go_on_when_it_is_given() {
    let Some(cluster) = cluster() else { return };
    let mut rules = role_rules();
    rules.retain(|rule| rule.api_groups.as_ref().unwrap()[0] != "storage.k8s.io");
    allow(cluster, "newcomer", rules).await;
    let caches = Caches::start(&cluster.client("newcomer"));
    wait_until("one cache alone is waiting, for want of a right", LIMIT, async || {
        let waiting = caches.waiting();
        match waiting.as_slice() {
            [one] if one.contains("not allowed") => Ok(()),
            _ => Err(format!("{waiting:?}")),
        }
    })
    .await;
    let waiting = caches.waiting().remove(0);
    let rule = r#"{apiGroups: ["storage.k8s.io"], resources: [storageclasses], verbs: [list, watch]}"#;
    assert!(waiting.starts_with("failed to list storageclasses") && waiting.contains(rule), "{waiting}");
    assert!(!caches.synced() && !caches.lookup().knows_all(LookupKind::Class));
    assert!(caches.lookup().knows_all(LookupKind::Volume), "the others do not wait for it");
    allow(cluster, "newcomer", role_rules()).await;
    synced(&caches).await;
    assert!(caches.statuses().iter().any(|cache| cache.restarts > 0));
}

#[tokio::test]
async fn a_watch_that_fell_behind_lists_anew_and_the_cache_is_never_empty_meanwhile() {
    let Some(cluster) = cluster() else { return };
    let admin = cluster.client(ADMIN);
    namespace(&admin, "relist").await;
    for name in ["relist-goes", "relist-stays", "relist-changes"] {
        put(&admin, &volume(name, "relist")).await;
    }
    put(&admin, &claim("relist", "goes")).await;
    let line = Line::to(cluster.port()).await;
    let caches = Caches::start(&line.client(cluster, ADMIN).await);
    synced(&caches).await;
    let lookup = caches.lookup();
    let status = || {
        caches.statuses().into_iter().find(|status| status.watched.resource == "persistentvolumes").unwrap()
    };
    assert_eq!((status().lists, status().restarts), (1, 0));

    line.cut();
    until("the watch notices", || status().restarts > 0).await;
    assert!(caches.synced() && lookup.volume("relist-goes").is_some(), "the last known state stays");
    let (_, why) = status().last_error.unwrap();
    assert!(why.starts_with("failed to watch persistentvolumes"), "{why}");
    delete(&admin, &volume("relist-goes", "relist")).await;
    delete(&admin, &claim("relist", "goes")).await;
    put(&admin, &volume("relist-changes", "other")).await;
    put(&admin, &volume("relist-comes", "relist")).await;
    // Two rounds of compaction, each a second, with writes between them: the history of before the cut is gone.
    for n in 0..5 {
        put(&admin, &class(&format!("relist-{n}"), false)).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    line.mend();
    wait_until("the new volume is there", LIMIT, async || {
        for name in ["relist-stays", "relist-changes"] {
            assert!(lookup.volume(name).is_some(), "{name} was away for a moment");
        }
        assert!(lookup.available_volumes("relist").iter().any(|volume| volume.name == "relist-stays"));
        lookup.volume("relist-comes").map(drop).ok_or_else(|| format!("{:?}", status()))
    })
    .await;
    assert!(lookup.volume("relist-goes").is_none(), "what was deleted meanwhile is gone");
    assert_eq!(lookup.volume("relist-changes").unwrap().class.name(), Some("other"));
    assert_eq!(status().lists, 2, "it had to list anew: {:?}", status());
    until("the claims follow too", || lookup.claim("relist", "goes").is_none()).await;
}

async fn settled(
    policies: &mut watch::Receiver<ClusterPolicies>,
    holds: impl FnMut(&ClusterPolicies) -> bool,
) -> ClusterPolicies {
    let now = tokio::time::timeout(LIMIT, policies.wait_for(holds)).await;
    now.unwrap().unwrap().clone()
}

#[tokio::test]
async fn policies_come_when_the_crd_does() {
    let Some(cluster) = cluster() else { return };
    let admin = cluster.client(ADMIN);
    let watch = PolicyWatch::start(admin.clone());
    let mut policies = watch.receiver();
    settled(&mut policies, |now| now.source == PolicySource::NoCrd).await;

    let any = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    put(&admin, &json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "storagepolicies.volgate.dev"},
        "spec": {"group": "volgate.dev", "scope": "Cluster",
            "names": {"kind": "StoragePolicy", "plural": "storagepolicies", "singular": "storagepolicy"},
            "versions": [{"name": "v1alpha1", "served": true, "storage": true, "schema": {"openAPIV3Schema": any}}]}}))
    .await;
    settled(&mut policies, |now| now.source == PolicySource::Watched).await;

    let policy = |name: &str, rule: Value| {
        json!({"apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy", "metadata": {"name": name},
               "spec": {"rules": [rule]}})
    };
    let good = json!({"defaultClass": {"name": "local-path"}});
    put(&admin, &policy("good", good.clone())).await;
    put(&admin, &policy("bad", json!({"defaultClas": {}}))).await;
    put(&admin, &policy("turns", good)).await;
    settled(&mut policies, |now| now.policies.len() == 3).await;
    put(&admin, &policy("turns", json!({"defaultClass": {"nam": ""}}))).await;
    let now =
        settled(&mut policies, |now| now.policies.iter().filter(|p| !p.faults.is_empty()).count() == 2).await;
    let seen: Vec<_> = now.policies.iter().map(|p| (p.name.as_str(), p.compiled.is_some())).collect();
    assert_eq!(seen, [("bad", false), ("good", true), ("turns", true)]);
    delete(&admin, &policy("good", json!({}))).await;
    settled(&mut policies, |now| now.policies.len() == 2).await;
}

#[tokio::test]
async fn dropping_the_caches_ends_their_watches() {
    let Some(cluster) = cluster() else { return };
    let admin = cluster.client(ADMIN);
    let caches = Caches::start(&admin);
    synced(&caches).await;
    let lookup = caches.lookup();
    drop(caches);
    let name = json!({"metadata": {"name": "after-the-end"}});
    let nodes: Api<k8s_openapi::api::core::v1::Node> = Api::all(admin.clone());
    nodes.create(&PostParams::default(), &serde_json::from_value(name).unwrap()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(lookup.node("after-the-end").is_none());
}
