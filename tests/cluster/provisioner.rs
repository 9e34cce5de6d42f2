//! The provisioner's controller on a real control plane: the real binary, the real scheduler and controller manager, and
//! agents that the test plays.

mod burst;
mod disk;
mod harness;
mod leaders;
mod outage;
mod rights;
mod watches;

use crate::support;
use crate::support::{Cluster, Options};
use harness::{Agent, BASE, Controller, Manner, Objects, start};
use serde_json::{Value, json};
use std::sync::OnceLock;
use std::time::Duration;
use volgate::provisioner::Failpoint;

const GI: i64 = 1 << 30;
const PATIENT: [&str; 4] = ["--patience", "2", "--node-grace", "5"];

/// The control plane that most tests share, with one controller.
fn shared() -> Option<&'static Cluster> {
    static SHARED: OnceLock<Option<(Cluster, Controller)>> = OnceLock::new();
    let shared = SHARED.get_or_init(|| {
        let cluster = start(Options {
            controller_manager_args: vec!["--kube-api-qps=500".into(), "--kube-api-burst=1000".into()],
            ..Options::default()
        })?;
        let controller = Controller::start(&cluster, &PATIENT);
        Some((cluster, controller))
    });
    shared.as_ref().map(|(cluster, _)| cluster)
}

/// One node with its agent, a class of the same name, and a namespace of the same name.
async fn place<'a>(cluster: &'a Cluster, name: &'a str, class: Value) -> (Objects<'a>, Agent) {
    let o = Objects::new(cluster, name).await;
    cluster.fake_node(name, &[]).await;
    let agent = Agent::start(cluster, name, 100 * GI).await;
    o.class(name, class).await;
    (o, agent)
}

/// A claim that is bound, on the place of that name, with the pod `user` that uses it; the volume's name.
async fn bound(o: &Objects<'_>, name: &str, further: Value) -> String {
    let uid = o.claim("data", name, further).await;
    o.pod("user", "data", Some(name)).await;
    o.bound("data").await;
    format!("pvc-{uid}")
}

async fn release(o: &Objects<'_>) {
    o.delete("Pod", "user").await;
    o.delete("PersistentVolumeClaim", "data").await;
}

/// A class whose volumes are on these nodes alone: others share the cluster.
fn only_on(nodes: &[&str], mut class: Value) -> Value {
    class["allowedTopologies"] =
        json!([{"matchLabelExpressions": [{"key": "kubernetes.io/hostname", "values": nodes}]}]);
    class
}

/// As [`only_on`], of a class that waits for no pod.
fn at_once(nodes: &[&str], mut class: Value) -> Value {
    class["volumeBindingMode"] = json!("Immediate");
    only_on(nodes, class)
}

#[tokio::test]
async fn a_claim_becomes_a_volume_and_goes_with_it() {
    let Some(cluster) = shared() else { return };
    let o = Objects::new(cluster, "plain").await;
    // The label's value is not the node's name, as on some clouds.
    cluster.fake_node("plain-1", &[("kubernetes.io/hostname", "host-1")]).await;
    let agent = Agent::start(cluster, "plain-1", 100 * GI).await;
    o.class("plain", json!({"mountOptions": ["noatime"], "parameters": {"nodePath": BASE}})).await;
    let uid = o.claim("data", "plain", json!({})).await;
    o.pod("user", "data", Some("host-1")).await;

    o.bound("data").await;
    let name = format!("pvc-{uid}");
    let volume = o.get("PersistentVolume", &name).await;
    let directory = format!("{name}_plain_data");
    assert_eq!(volume["spec"]["local"]["path"], format!("{BASE}/{directory}"));
    assert_eq!(volume["spec"]["mountOptions"], json!(["noatime"]));
    assert_eq!(volume["spec"]["capacity"]["storage"], "1Gi");
    let term = &volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"][0];
    assert_eq!((&term["key"], &term["values"]), (&json!("kubernetes.io/hostname"), &json!(["host-1"])));
    let annotations = &volume["metadata"]["annotations"];
    for (key, value) in [
        ("pv.kubernetes.io/provisioned-by", "local-path.volgate.dev"),
        ("volgate.dev/node", "plain-1"),
        ("volgate.dev/directory", &directory),
    ] {
        assert_eq!(annotations[key], value);
    }
    assert_eq!(agent.disk().get(&name), Some(&directory));
    o.until("the pod has its node", "Pod", "user", |pod| pod["spec"]["nodeName"] == "plain-1").await;
    o.told("data", "ProvisioningSucceeded: Successfully provisioned volume").await;

    release(&o).await;
    o.gone("PersistentVolume", &name).await;
    o.gone("NodeVolume", &name).await;
    assert!(agent.disk().is_empty());
}

#[tokio::test]
async fn a_class_that_waits_for_no_pod_takes_the_node_with_the_most_room() {
    let Some(cluster) = shared() else { return };
    let o = Objects::new(cluster, "at-once").await;
    let mut agents = Vec::new();
    for (node, room) in [("at-once-1", 5), ("at-once-2", 7), ("at-once-3", 90)] {
        cluster.fake_node(node, &[("zone", if node == "at-once-3" { "b" } else { "a" })]).await;
        agents.push(Agent::start(cluster, node, room * GI).await);
    }
    let topology = json!([{"matchLabelExpressions": [{"key": "zone", "values": ["a"]}]}]);
    o.class("at-once", json!({"volumeBindingMode": "Immediate", "allowedTopologies": topology})).await;
    o.claim("data", "at-once", json!({})).await;
    let claim = o.bound("data").await;
    let volume = o.get("PersistentVolume", claim["spec"]["volumeName"].as_str().unwrap()).await;
    assert_eq!(volume["metadata"]["annotations"]["volgate.dev/node"], "at-once-2");
    o.claim("large", "at-once", json!({"resources": {"requests": {"storage": "50Gi"}}})).await;
    o.told("large", "no node can hold").await;
    assert_eq!(agents[2].disk().len(), 0);
}

#[tokio::test]
async fn a_node_whose_agent_is_silent_is_left_when_its_node_volume_is_deleted() {
    let Some(cluster) = shared() else { return };
    let o = Objects::new(cluster, "silent").await;
    let mut agents = Vec::new();
    for (node, room) in [("silent-1", 90), ("silent-2", 10)] {
        cluster.fake_node(node, &[]).await;
        agents.push(Agent::start(cluster, node, room * GI).await);
    }
    agents[0].set(Manner::Silent);
    o.class("silent", at_once(&["silent-1", "silent-2"], json!({}))).await;
    let name = format!("pvc-{}", o.claim("data", "silent", json!({})).await);
    o.told("data", &format!("to have another node chosen, kubectl delete nodevolume {name}")).await;
    assert_eq!(o.get("NodeVolume", &name).await["spec"]["node"], "silent-1", "it may have begun");
    o.delete("NodeVolume", &name).await;
    o.bound("data").await;
    assert_eq!(o.get("NodeVolume", &name).await["spec"]["node"], "silent-2");
    assert_eq!((agents[0].disk().len(), agents[1].disk().len()), (0, 1));
}

#[tokio::test]
async fn a_node_that_refuses_is_left_and_another_is_taken() {
    let Some(cluster) = shared() else { return };
    let o = Objects::new(cluster, "elsewhere").await;
    let mut agents = Vec::new();
    for node in ["elsewhere-1", "elsewhere-2"] {
        cluster.fake_node(node, &[("group", "elsewhere")]).await;
        agents.push(Agent::start(cluster, node, 100 * GI).await);
    }
    agents[0].set(Manner::Refuses);
    // The scheduler has equals to choose from: it is told which it likes less.
    let dislike = async |node: &str| {
        let taint = json!([{"key": "less", "effect": "PreferNoSchedule"}]);
        o.merge("Node", node, json!({"spec": {"taints": taint}})).await;
    };
    dislike("elsewhere-2").await;
    o.class("elsewhere", json!({})).await;
    let uid = o.claim("data", "elsewhere", json!({})).await;
    o.create(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "user"}, "spec": {
        "nodeSelector": {"group": "elsewhere"}, "containers": [{"name": "c", "image": "i"}],
        "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]}}))
        .await;
    let words = "cannot hold the volume: 0 bytes are left (NotEnoughSpace)";
    o.told("data", words).await;
    o.merge("Node", "elsewhere-2", json!({"spec": {"taints": null}})).await;
    dislike("elsewhere-1").await;
    o.bound("data").await;
    let name = format!("pvc-{uid}");
    let volume = o.get("PersistentVolume", &name).await;
    assert_eq!(volume["metadata"]["annotations"]["volgate.dev/node"], "elsewhere-2");
    assert_eq!((agents[0].disk().len(), agents[1].disk().len()), (0, 1));
}

#[tokio::test]
async fn what_is_to_be_kept_is_kept() {
    let Some(cluster) = shared() else { return };
    let (o, agent) = place(cluster, "kept", json!({"reclaimPolicy": "Retain"})).await;
    let name = bound(&o, "kept", json!({})).await;
    release(&o).await;
    let released = |volume: &Value| volume["status"]["phase"] == "Released";
    o.until("the volume is released", "PersistentVolume", &name, released).await;
    o.delete("PersistentVolume", &name).await;
    o.gone("PersistentVolume", &name).await;
    o.gone("NodeVolume", &name).await;
    assert!(agent.disk().contains_key(&name), "the data is still there");
}

#[tokio::test]
async fn a_policy_that_is_changed_later_counts() {
    let Some(cluster) = shared() else { return };
    let (o, agent) = place(cluster, "changed", json!({})).await;
    let name = bound(&o, "changed", json!({})).await;
    let patch = json!({"spec": {"persistentVolumeReclaimPolicy": "Retain"}});
    o.merge("PersistentVolume", &name, patch).await;
    let noted = |found: &Value| found["metadata"]["annotations"]["volgate.dev/reclaim-policy"] == "Retain";
    o.until("the NodeVolume knows", "NodeVolume", &name, noted).await;
    release(&o).await;
    // Even when somebody takes the finalizer away, so that the controller has no say.
    o.merge("PersistentVolume", &name, json!({"metadata": {"finalizers": null}})).await;
    o.delete("PersistentVolume", &name).await;
    o.gone("NodeVolume", &name).await;
    assert!(agent.disk().contains_key(&name), "the data is still there");
}

#[tokio::test]
async fn a_volume_that_is_deleted_by_hand_takes_its_data_along() {
    let Some(cluster) = shared() else { return };
    let (o, agent) = place(cluster, "by-hand", json!({})).await;
    let name = bound(&o, "by-hand", json!({})).await;
    o.delete("PersistentVolume", &name).await;
    let deleting = |volume: &Value| volume["metadata"]["deletionTimestamp"].is_string();
    o.until("it is on its way out", "PersistentVolume", &name, deleting).await;
    assert!(agent.disk().contains_key(&name), "as long as it is used it stays");
    release(&o).await;
    o.gone("PersistentVolume", &name).await;
    o.gone("NodeVolume", &name).await;
    assert!(agent.disk().is_empty());
}

#[tokio::test]
async fn a_node_volume_that_is_deleted_by_hand_is_written_again() {
    let Some(cluster) = shared() else { return };
    let (o, agent) = place(cluster, "rewritten", json!({})).await;
    let name = bound(&o, "rewritten", json!({})).await;
    let before = o.get("NodeVolume", &name).await;
    o.delete("NodeVolume", &name).await;
    let again = |found: &Value| found["metadata"]["uid"] != before["metadata"]["uid"] && !found.is_null();
    let after = o.until("it is there again", "NodeVolume", &name, again).await;
    for field in ["node", "nodeUid", "base", "directory", "backend", "sizeBytes", "claim", "class", "desired"]
    {
        assert_eq!(after["spec"][field], before["spec"][field], "{field}");
    }
    assert_eq!(after["spec"]["adopt"], true, "it is never created again");
    release(&o).await;
    o.gone("NodeVolume", &name).await;
    assert!(agent.disk().is_empty());
}

#[tokio::test]
async fn a_claim_that_goes_before_its_volume_is_made_leaves_nothing() {
    let Some(cluster) = shared() else { return };
    let (o, agent) = place(cluster, "midway", json!({})).await;
    agent.set(Manner::Silent);
    let uid = o.claim("data", "midway", json!({})).await;
    o.pod("user", "data", Some("midway")).await;
    let name = format!("pvc-{uid}");
    o.until("the agent is asked", "NodeVolume", &name, |found| !found.is_null()).await;
    o.told("data", "has not answered yet").await;
    o.delete("Pod", "user").await;
    o.delete("PersistentVolumeClaim", "data").await;
    o.gone("PersistentVolumeClaim", "data").await;
    // A claim of the same name is another.
    let again = o.claim("data", "midway", json!({})).await;
    o.pod("user", "data", Some("midway")).await;
    agent.set(Manner::Makes);
    o.bound("data").await;
    o.gone("NodeVolume", &name).await;
    assert_eq!(agent.disk().into_keys().collect::<Vec<_>>(), [format!("pvc-{again}")]);
}

#[tokio::test]
async fn what_cannot_be_made_is_refused_with_an_event() {
    let Some(cluster) = shared() else { return };
    let (o, _agent) = place(cluster, "refused", at_once(&["refused"], json!({}))).await;
    let source = json!({"kind": "PersistentVolumeClaim", "name": "other"});
    for (name, spec, words) in [
        ("source", json!({"dataSource": source}), "has a dataSource"),
        ("selector", json!({"selector": {"matchLabels": {"a": "b"}}}), "has a selector"),
        ("many", json!({"accessModes": ["ReadWriteMany"]}), "access mode ReadWriteMany"),
        ("attributes", json!({"volumeAttributesClassName": "gold"}), "volumeAttributesClassName \"gold\""),
    ] {
        o.claim(name, "refused", spec).await;
        o.told(name, words).await;
    }
    for (name, parameters, spec, words) in [
        ("unknown", json!({"sise": "1"}), json!({}), "\"sise\" is unknown"),
        (
            "quota",
            json!({"backend": "projectQuota"}),
            json!({}),
            "cannot make volumes of backend projectQuota",
        ),
        ("elsewhere", json!({"nodePath": "/elsewhere"}), json!({}), "none of the paths"),
        (
            "block",
            json!({"backend": "directory"}),
            json!({"volumeMode": "Block"}),
            "names backend directory: only loop makes block devices",
        ),
    ] {
        let class = format!("refused-{name}");
        o.class(&class, at_once(&["refused"], json!({"parameters": parameters}))).await;
        o.claim(name, &class, spec).await;
        o.told(name, words).await;
    }
}

#[tokio::test]
async fn a_node_without_an_agent_is_told_of_and_one_that_fails_too() {
    let Some(cluster) = shared() else { return };
    let o = Objects::new(cluster, "no-agent").await;
    cluster.fake_node("no-agent", &[]).await;
    o.class("no-agent", json!({})).await;
    o.claim("data", "no-agent", json!({})).await;
    o.pod("user", "data", Some("no-agent")).await;
    o.told("data", "no volgate agent runs on node \"no-agent\"").await;
    let agent = Agent::start(cluster, "no-agent", GI).await;
    agent.set(Manner::Fails("the disk is busy".into()));
    o.bound("data").await;
}

#[tokio::test]
async fn nobody_elses_volumes_are_touched_and_nothing_outside_a_base() {
    let Some(cluster) = shared() else { return };
    let (o, agent) = place(cluster, "foreign", json!({})).await;
    let volume = |name: &str, provisioner: &str, path: &str| {
        json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name,
            "annotations": {"pv.kubernetes.io/provisioned-by": provisioner}},
            "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": path},
                "persistentVolumeReclaimPolicy": "Delete", "storageClassName": "foreign",
                "claimRef": {"namespace": "foreign", "name": "gone", "uid": "11111111-2222-3333-4444-555555555555"},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                    {"key": "kubernetes.io/hostname", "operator": "In", "values": ["foreign"]}]}]}}}})
    };
    let ours = "local-path.volgate.dev";
    o.create(volume("foreign-other", "somebody.example", &format!("{BASE}/x"))).await;
    o.create(volume("foreign-outside", ours, "/etc/kubernetes")).await;
    o.create(volume("foreign-base", ours, BASE)).await;
    o.create(volume("foreign-dots", ours, &format!("{BASE}//x"))).await;
    // As another provisioner made it, before volgate took over.
    o.create(volume("foreign-adopted", ours, &format!("{BASE}/pvc-1_a_b"))).await;
    o.told(
        "foreign-outside",
        "VolumeFailedDelete: its path \"/etc/kubernetes\" lies beneath none of the bases",
    )
    .await;
    o.told("foreign-base", "VolumeFailedDelete").await;
    o.told("foreign-dots", "VolumeFailedDelete").await;
    o.gone("PersistentVolume", "foreign-adopted").await;
    for name in ["foreign-other", "foreign-outside", "foreign-base", "foreign-dots"] {
        assert!(o.get("NodeVolume", name).await.is_null(), "{name}");
        assert_eq!(
            o.get("PersistentVolume", name).await["metadata"]["deletionTimestamp"],
            Value::Null,
            "{name}"
        );
    }
    assert!(agent.disk().is_empty());
}

#[tokio::test]
async fn a_node_that_is_gone_for_good_takes_its_volumes_along() {
    let Some(cluster) = shared() else { return };
    let (o, agent) = place(cluster, "gone-node", json!({})).await;
    let name = bound(&o, "gone-node", json!({})).await;
    drop(agent);
    o.delete("Node", "gone-node").await;
    o.told("data", "VolumeNodeGone").await;
    assert!(!o.get("PersistentVolume", &name).await.is_null(), "the claim's own wish is not known");
    release(&o).await;
    o.gone("PersistentVolume", &name).await;
    o.gone("NodeVolume", &name).await;
}

#[tokio::test]
async fn what_is_lost_is_told_of_and_not_made_anew() {
    let Some(cluster) = shared() else { return };
    let (o, agent) = place(cluster, "lost", json!({})).await;
    let name = bound(&o, "lost", json!({})).await;
    agent.set(Manner::Silent);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let status =
        json!({"status": {"phase": "Lost", "reason": "Missing", "message": "the directory is not there"}});
    o.merge_status("NodeVolume", &name, status).await;
    o.told("data", "VolumeLost: the data of volume").await;
    let found = o.get("NodeVolume", &name).await;
    assert_eq!((&found["spec"]["desired"], &found["status"]["phase"]), (&json!("Present"), &json!("Lost")));
}

#[tokio::test]
async fn a_claim_grows() {
    let Some(cluster) = shared() else { return };
    let (o, _agent) = place(cluster, "grows", json!({})).await;
    let name = bound(&o, "grows", json!({})).await;
    let larger = json!({"spec": {"resources": {"requests": {"storage": "3Gi"}}}});
    o.merge("PersistentVolumeClaim", "data", larger.clone()).await;
    let grown = |claim: &Value| claim["status"]["capacity"]["storage"] == "3Gi";
    o.until("the claim has grown", "PersistentVolumeClaim", "data", grown).await;
    assert_eq!(o.get("PersistentVolume", &name).await["spec"]["capacity"]["storage"], "3Gi");
    assert_eq!(o.get("NodeVolume", &name).await["spec"]["sizeBytes"], 3 * GI);
    o.told("data", "VolumeResizeSuccessful").await;

    // A file system on a device is the kubelet's to let grow.
    o.class("grows-device", json!({"parameters": {"backend": "loop", "fsType": "xfs"}})).await;
    let uid = o.claim("device", "grows-device", json!({})).await;
    o.pod("device", "device", Some("grows")).await;
    o.bound("device").await;
    let name = format!("pvc-{uid}");
    let volume = o.get("PersistentVolume", &name).await;
    assert_eq!(volume["spec"]["local"], json!({"path": format!("/dev/volgate/{name}"), "fsType": "xfs"}));
    o.merge("PersistentVolumeClaim", "device", larger).await;
    let pending = |claim: &Value| {
        let conditions = claim["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|condition| condition["type"] == "FileSystemResizePending")
            && claim["status"]["allocatedResourceStatuses"]["storage"] == "NodeResizePending"
            && claim["status"]["allocatedResources"]["storage"] == "3Gi"
            && claim["status"]["capacity"]["storage"] == "1Gi"
    };
    o.until("it waits for the kubelet", "PersistentVolumeClaim", "device", pending).await;
    assert_eq!(o.get("PersistentVolume", &name).await["spec"]["capacity"]["storage"], "3Gi");
    let by_kubelet = json!({"status": {"capacity": {"storage": "3Gi"}, "conditions": null,
        "allocatedResourceStatuses": null}});
    o.merge_status("PersistentVolumeClaim", "device", by_kubelet).await;
    o.told("device", "FileSystemResizeRequired").await;
}

#[tokio::test]
async fn a_kept_volume_grows_with_the_claim_that_it_was_given_to_by_hand() {
    let Some(cluster) = shared() else { return };
    let (o, _agent) = place(cluster, "given", json!({"reclaimPolicy": "Retain"})).await;
    let name = bound(&o, "given", json!({})).await;
    release(&o).await;
    let released = |volume: &Value| volume["status"]["phase"] == "Released";
    o.until("the volume is released", "PersistentVolume", &name, released).await;
    o.merge("PersistentVolume", &name, json!({"spec": {"claimRef": null}})).await;
    let uid = o.claim("restored", "given", json!({"volumeName": name})).await;
    let claim = o.bound("restored").await;
    assert_eq!(
        claim["metadata"]["annotations"]["volume.kubernetes.io/storage-provisioner"],
        Value::Null,
        "what the controller manager writes into no claim that was bound by hand"
    );
    // Whoever else names the volume does not have it.
    o.claim("thief", "given", json!({"volumeName": name})).await;
    let larger = json!({"spec": {"resources": {"requests": {"storage": "3Gi"}}}});
    o.merge("PersistentVolumeClaim", "restored", larger).await;
    let grown = |claim: &Value| claim["status"]["capacity"]["storage"] == "3Gi";
    o.until("the claim has grown", "PersistentVolumeClaim", "restored", grown).await;
    assert_eq!(o.get("PersistentVolume", &name).await["spec"]["claimRef"]["uid"], json!(uid));
    assert_eq!(o.get("NodeVolume", &name).await["spec"]["sizeBytes"], 3 * GI);
    o.told("restored", "VolumeResizeSuccessful").await;
}

#[tokio::test]
async fn a_block_device_needs_no_kubelet_to_grow() {
    let Some(cluster) = shared() else { return };
    let (o, _agent) = place(cluster, "block", json!({"parameters": {"backend": "loop"}})).await;
    let name = bound(&o, "block", json!({"volumeMode": "Block"})).await;
    let volume = o.get("PersistentVolume", &name).await;
    assert_eq!(volume["spec"]["local"], json!({"path": format!("/dev/volgate/{name}")}));
    assert_eq!(volume["spec"]["volumeMode"], "Block");
    let larger = json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}});
    o.merge("PersistentVolumeClaim", "data", larger).await;
    let grown = |claim: &Value| claim["status"]["capacity"]["storage"] == "2Gi";
    o.until("the claim has grown", "PersistentVolumeClaim", "data", grown).await;
}

#[tokio::test]
async fn another_leads_when_the_leader_is_killed() {
    let Some(cluster) = shared() else { return };
    let name = "replicas.example";
    let (o, agent) = place(cluster, "replicas", at_once(&["replicas"], json!({"provisioner": name}))).await;
    let args = ["--provisioner-name", name];
    let first = Controller::start(cluster, &args);
    first.leads().await;
    let second = Controller::start(cluster, &args);
    o.claim("one", "replicas", json!({})).await;
    o.bound("one").await;
    assert_eq!(second.metric("volgate_provisioner_leader").await, Some(0.0));
    first.process.kill();
    o.claim("two", "replicas", json!({})).await;
    o.bound("two").await;
    second.leads().await;

    // One that ends as it should gives the lease back.
    let third = Controller::start(cluster, &args);
    second.process.signal("TERM");
    assert_eq!(second.process.wait().unwrap().code(), Some(0), "{}", second.process.log_tail(20));
    third.leads().await;
    o.claim("three", "replicas", json!({})).await;
    o.bound("three").await;
    assert_eq!(agent.disk().len(), 3);
}

#[tokio::test]
async fn a_burst_costs_two_writes_a_volume() {
    let Some(cluster) = shared() else { return };
    let (name, number) = ("burst.example", 60);
    let o = Objects::new(cluster, "burst").await;
    let mut agents = Vec::new();
    let nodes = ["burst-1", "burst-2", "burst-3", "burst-4"];
    for node in nodes {
        cluster.fake_node(node, &[]).await;
        agents.push(Agent::start(cluster, node, 100 * GI).await);
    }
    o.class("burst", at_once(&nodes, json!({"provisioner": name}))).await;
    let controller = Controller::start(cluster, &["--provisioner-name", name]);
    controller.leads().await;
    let claims: Vec<String> = (0..number).map(|n| format!("data-{n}")).collect();
    for claim in &claims {
        o.claim(claim, "burst", json!({})).await;
    }
    for claim in &claims {
        o.bound(claim).await;
    }
    let (_, metrics) = controller.health("/metrics").await.unwrap();
    let writes = |operation: &str| {
        let line =
            format!("volgate_provisioner_operations_total{{operation=\"{operation}\",result=\"success\"}} ");
        metrics.lines().find_map(|found| found.strip_prefix(&line)?.parse::<u32>().ok()).unwrap_or(0)
    };
    assert_eq!((writes("create-node-volume"), writes("create-volume")), (number, number), "{metrics}");
    let other = metrics.lines().filter(|line| {
        line.starts_with("volgate_provisioner_operations_total")
            && ["\"create-node-volume\"", "\"create-volume\"", "write-capacity-of-node"]
                .iter()
                .all(|known| !line.contains(known))
    });
    assert_eq!(other.collect::<Vec<_>>(), Vec::<&str>::new());
    let disks: Vec<usize> = agents.iter().map(|agent| agent.disk().len()).collect();
    assert_eq!(disks.iter().sum::<usize>(), claims.len(), "{disks:?}");
    assert!(disks.iter().filter(|disk| **disk > 0).count() > 1, "what was asked for counts: {disks:?}");
}

/// A claim's whole life: refused once, made, grown, kept for a moment, removed. The controller is killed at one write of it.
async fn life_with_a_kill(cluster: &Cluster, point: Failpoint) {
    let name = point.name();
    let (place, provisioner) = (format!("kill-{name}"), format!("{name}.kill.example"));
    let o = Objects::new(cluster, &place).await;
    cluster.fake_node(&place, &[]).await;
    let agent = Agent::start(cluster, &place, 100 * GI).await;
    let args = ["--provisioner-name", &provisioner];
    let victim = Controller::start_with(cluster, &args, &[("VOLGATE_FAILPOINT", &name)]);
    // It takes over when the other is killed, and stands by until then.
    victim.leads().await;
    let heir = Controller::start(cluster, &args);
    o.class(&place, only_on(&[&place], json!({"provisioner": provisioner}))).await;
    o.capacities(&place, &[(&place, 100 * GI)]).await;

    agent.set(Manner::Refuses);
    let uid = o.claim("data", &place, json!({})).await;
    o.pod("user", "data", Some(&place)).await;
    o.told("data", "cannot hold the volume").await;
    agent.set(Manner::Makes);
    o.bound("data").await;
    let volume = format!("pvc-{uid}");
    assert!(agent.disk().into_keys().eq([volume.clone()]), "{name}");
    agent.has(200 * GI, &["directory"]).await;
    let larger = json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}});
    o.merge("PersistentVolumeClaim", "data", larger).await;
    let grown = |claim: &Value| claim["status"]["capacity"]["storage"] == "2Gi";
    o.until("the claim has grown", "PersistentVolumeClaim", "data", grown).await;
    for policy in ["Retain", "Delete"] {
        let patch = json!({"spec": {"persistentVolumeReclaimPolicy": policy}});
        o.merge("PersistentVolume", &volume, patch).await;
        let noted = |found: &Value| found["metadata"]["annotations"]["volgate.dev/reclaim-policy"] == policy;
        o.until("the NodeVolume knows", "NodeVolume", &volume, noted).await;
    }
    o.capacities(&place, &[(&place, 200 * GI)]).await;
    release(&o).await;
    o.gone("PersistentVolume", &volume).await;
    o.gone("NodeVolume", &volume).await;
    assert!(agent.disk().is_empty(), "{name}");
    o.delete("StorageClass", &place).await;
    o.capacities(&place, &[]).await;
    assert!(victim.process.exited().is_some(), "{name} was never reached\n{}", victim.process.log_tail(20));
    assert!(heir.process.exited().is_none(), "{name}");
}

#[tokio::test]
async fn killed_at_any_write_it_goes_on() {
    let Some(cluster) = shared() else { return };
    let points: Vec<Failpoint> = Failpoint::all().collect();
    for some in points.chunks(7) {
        let lives = some.iter().map(|point| life_with_a_kill(cluster, *point));
        futures::future::join_all(lives).await;
    }
}

#[tokio::test]
async fn the_scheduler_avoids_a_node_without_room() {
    let Some(cluster) = start(Options::default()) else { return };
    let _controller = Controller::start(&cluster, &PATIENT);
    let o = Objects::new(&cluster, "room").await;
    o.create(json!({"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": "local-path.volgate.dev"},
        "spec": {"attachRequired": false, "podInfoOnMount": false, "storageCapacity": true,
            "volumeLifecycleModes": ["Persistent"]}}))
        .await;
    let mut agents = Vec::new();
    for (node, room) in [("room-1", 0), ("room-2", 100), ("room-3", 0)] {
        cluster.fake_node(node, &[]).await;
        agents.push(Agent::start(&cluster, node, room * GI).await);
    }
    o.class("room", json!({})).await;
    o.capacities("room", &[("room-1", 0), ("room-2", 100 * GI), ("room-3", 0)]).await;
    o.claim("data", "room", json!({})).await;
    o.pod("user", "data", None).await;
    o.bound("data").await;
    o.until("the pod has its node", "Pod", "user", |pod| pod["spec"]["nodeName"] == "room-2").await;
    assert_eq!(agents.iter().map(|agent| agent.disk().len()).collect::<Vec<_>>(), [0, 1, 0]);
    let refused = o.events("data").await.into_iter().filter(|event| event.starts_with("ProvisioningFailed"));
    assert_eq!(refused.collect::<Vec<_>>(), Vec::<String>::new());

    // No node has room for that: the pod waits, and nobody is asked.
    o.claim("large", "room", json!({"resources": {"requests": {"storage": "200Gi"}}})).await;
    o.pod("large", "large", None).await;
    let waits = |pod: &Value| {
        pod["status"]["conditions"][0]["message"].as_str().unwrap_or_default().contains("free storage")
    };
    o.until("the scheduler says why", "Pod", "large", waits).await;
    agents[0].has(300 * GI, &["directory"]).await;
    o.bound("large").await;

    drop(agents.remove(2));
    o.delete("NodeStorage", "room-3").await;
    o.delete("Node", "room-3").await;
    o.capacities("room", &[("room-1", 300 * GI), ("room-2", 100 * GI)]).await;
    o.delete("StorageClass", "room").await;
    o.capacities("room", &[]).await;
}

#[tokio::test]
async fn ranchers_volumes_and_configuration_are_taken_over() {
    let Some(cluster) = shared() else { return };
    let rancher = "rancher.io/local-path";
    let parameters = json!({"pathPattern": "{{ .PVC.Namespace }}/{{ .PVC.Name }}"});
    let (o, agent) =
        place(cluster, "rancher", json!({"provisioner": rancher, "parameters": parameters})).await;
    // As rancher's provisioner made it: no finalizer, no annotations of volgate's, hostPath, the hostname for the node.
    let old = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pvc-old", "annotations": {
            "local.path.provisioner/selected-node": "rancher", "pv.kubernetes.io/provisioned-by": rancher}},
        "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem",
            "hostPath": {"path": format!("{BASE}/pvc-old_rancher_old"), "type": "DirectoryOrCreate"},
            "persistentVolumeReclaimPolicy": "Delete", "storageClassName": "rancher",
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "rancher", "name": "old"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "In", "values": ["rancher"]}]}]}}}});
    o.create(old).await;
    o.claim("old", "rancher", json!({"volumeName": "pvc-old"})).await;
    o.bound("old").await;
    let scratch = support::Scratch::new("config").unwrap();
    let config = scratch.path().join("config.json");
    let write = |path: &str| {
        let text = json!({"nodePathMap": [{"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": [path]}]});
        // As the kubelet does it: beside, then renamed.
        let beside = scratch.path().join("beside");
        std::fs::write(&beside, text.to_string()).unwrap();
        std::fs::rename(&beside, &config).unwrap();
    };
    write("/elsewhere");
    let path = config.to_str().unwrap();
    let controller =
        Controller::start(cluster, &["--provisioner-name", rancher, "--config", path, "--patience", "2"]);
    controller.leads().await;
    o.claim("data", "rancher", json!({})).await;
    o.pod("user", "data", Some("rancher")).await;
    o.told("data", "has no base /elsewhere; it has: /opt/local-path-provisioner").await;
    std::fs::write(&config, "{").unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(controller.process.log().contains("the old configuration stays in force"));
    write(BASE);
    let claim = o.bound("data").await;
    let volume = o.get("PersistentVolume", claim["spec"]["volumeName"].as_str().unwrap()).await;
    assert_eq!(volume["spec"]["local"]["path"], format!("{BASE}/rancher/data"));

    let in_use = o.get("PersistentVolume", "pvc-old").await;
    assert_eq!(in_use["status"]["phase"], "Bound");
    assert!(o.get("NodeVolume", "pvc-old").await.is_null(), "it needs none while it is used");
    agent.set(Manner::Silent);
    o.delete("PersistentVolumeClaim", "old").await;
    let asked = o.until("the agent is asked", "NodeVolume", "pvc-old", |found| !found.is_null()).await;
    assert_eq!(
        (
            &asked["spec"]["adopt"],
            &asked["spec"]["desired"],
            &asked["spec"]["base"],
            &asked["spec"]["directory"]
        ),
        (&json!(true), &json!("Absent"), &json!(BASE), &json!("pvc-old_rancher_old"))
    );
    agent.set(Manner::Makes);
    o.gone("PersistentVolume", "pvc-old").await;
    o.gone("NodeVolume", "pvc-old").await;
}
