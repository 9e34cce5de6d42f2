use super::plan;
use crate::model::{Backend, Desired, NodeVolumeMode};
use crate::provisioner::{
    Action, Change, Claim, Class, Memory, Node, NodeVolume, Removal, Settings, Step, Storage, Volume, World,
};
use serde_json::{Value, json};
use std::time::Duration;

const P: &str = "local-path.volgate.dev";
const KEY: &str = "pvc-u1";

/// What is known of one volume, as JSON that rows change.
#[derive(Clone)]
struct Facts {
    claim: Value,
    class: Value,
    nodes: Vec<Value>,
    storages: Vec<Value>,
    node_volume: Value,
    volume: Value,
    settings: Settings,
    memory: Memory,
}

fn node(name: &str) -> Value {
    json!({"metadata": {"name": name, "uid": format!("uid-{name}"), "labels": {"kubernetes.io/hostname": name, "zone": "a"}}})
}

fn storage(name: &str, bytes: i64) -> Value {
    json!({"metadata": {"name": name}, "spec": {"node": name, "nodeUid": format!("uid-{name}")}, "status": {"bases": [
        {"path": "/opt/local-path-provisioner", "usable": true, "availableBytes": bytes, "backends": ["directory", "loop"]}]}})
}

/// A claim whose pod was scheduled to node a, and nothing else yet.
fn facts() -> Facts {
    Facts {
        claim: json!({"metadata": {"namespace": "team", "name": "data", "uid": "u1", "resourceVersion": "7", "annotations": {
                "volume.kubernetes.io/storage-provisioner": P, "volume.kubernetes.io/selected-node": "a"}},
            "spec": {"storageClassName": "fast", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Ki"}}}}),
        class: json!({"metadata": {"name": "fast"}, "provisioner": P, "volumeBindingMode": "WaitForFirstConsumer",
            "allowVolumeExpansion": true}),
        nodes: vec![node("a"), node("b")],
        storages: vec![storage("a", 10_000), storage("b", 20_000)],
        node_volume: Value::Null,
        volume: Value::Null,
        settings: Settings::default(),
        memory: Memory::default(),
    }
}

/// The same with a NodeVolume on node a in that phase.
fn asked(phase: &str) -> Facts {
    let mut facts = facts();
    facts.node_volume = json!({"metadata": {"name": KEY, "uid": "nv1", "generation": 1, "annotations": {
            "volgate.dev/provisioner": P, "volgate.dev/reclaim-policy": "Delete"}},
        "spec": {"node": "a", "nodeUid": "uid-a", "claim": {"namespace": "team", "name": "data", "uid": "u1"}, "class": "fast",
            "base": "/opt/local-path-provisioner", "directory": "pvc-u1_team_data", "sizeBytes": 1024},
        "status": {"phase": phase, "observedGeneration": 1, "sizeBytes": 1024,
            "path": "/opt/local-path-provisioner/pvc-u1_team_data"}});
    facts
}

/// The same with a volume that the claim has.
fn bound() -> Facts {
    let mut facts = asked("Ready");
    facts.claim["spec"]["volumeName"] = json!(KEY);
    facts.claim["status"] = json!({"phase": "Bound", "capacity": {"storage": "1Ki"}});
    facts.volume = json!({"metadata": {"name": KEY, "uid": "pv1", "finalizers": ["external-provisioner.volume.kubernetes.io/finalizer"],
            "annotations": {"pv.kubernetes.io/provisioned-by": P, "volgate.dev/node": "a", "volgate.dev/node-uid": "uid-a",
                "volgate.dev/base": "/opt/local-path-provisioner", "volgate.dev/directory": "pvc-u1_team_data",
                "volgate.dev/backend": "directory"}},
        "spec": {"capacity": {"storage": "1Ki"}, "storageClassName": "fast", "persistentVolumeReclaimPolicy": "Delete",
            "local": {"path": "/opt/local-path-provisioner/pvc-u1_team_data"},
            "claimRef": {"namespace": "team", "name": "data", "uid": "u1"}},
        "status": {"phase": "Bound"}});
    facts
}

/// The same after the claim was deleted.
fn released() -> Facts {
    let mut facts = bound();
    facts.claim = Value::Null;
    facts.volume["status"]["phase"] = json!("Released");
    facts
}

fn absent(mut facts: Facts, phase: &str) -> Facts {
    facts.node_volume["spec"]["desired"] = json!("Absent");
    facts.node_volume["status"] = json!({"phase": phase, "observedGeneration": 1});
    facts
}

fn with(mut facts: Facts, change: impl FnOnce(&mut Facts)) -> Facts {
    change(&mut facts);
    facts
}

fn step(facts: &mut Facts, seconds: u64) -> Step {
    let mut world = World::new(P);
    let there = |value: &Value| (!value.is_null()).then(|| value.clone());
    if let Some(claim) = there(&facts.claim) {
        Claim::read(&claim).unwrap().put(&mut world);
    }
    if let Some(class) = there(&facts.class) {
        Class::read(&class).unwrap().put(&mut world);
    }
    for node in &facts.nodes {
        Node::read(node).unwrap().put(&mut world);
    }
    for storage in &facts.storages {
        Storage::read(storage).unwrap().put(&mut world);
    }
    if let Some(volume) = there(&facts.node_volume) {
        NodeVolume::read(&volume).unwrap().put(&mut world);
    }
    if let Some(volume) = there(&facts.volume) {
        Volume::read(&volume).unwrap().put(&mut world);
    }
    plan(&world, KEY, &facts.settings, &mut facts.memory, Duration::from_secs(seconds))
}

/// A step in a few words.
fn words(step: Step) -> String {
    let told = |notice: Option<crate::provisioner::Notice>| {
        notice.map(|notice| format!(" ({}: {})", notice.reason, notice.message)).unwrap_or_default()
    };
    match step {
        Step::Nothing => "nothing".to_owned(),
        Step::Wait { until, notice } => {
            format!(
                "wait{}{}",
                until.map(|until| format!(" until {}", until.as_secs())).unwrap_or_default(),
                told(notice)
            )
        }
        Step::Do { action, notice } => {
            let action = match action {
                Action::CreateNodeVolume { spec, reclaim, removal } => {
                    let released = matches!(removal, Some(Removal::Released(_)));
                    assert_eq!(released, spec.desired == Desired::Absent, "nothing is removed unlooked");
                    let wish = if spec.desired == Desired::Absent { " absent" } else { "" };
                    let adopt = if spec.adopt { " adopt" } else { "" };
                    format!(
                        "ask {}:{}/{}{wish}{adopt} {}",
                        spec.node,
                        spec.base,
                        spec.directory,
                        reclaim.as_str()
                    )
                }
                Action::CreateVolume(_) => "make the volume".to_owned(),
                Action::Reschedule { .. } => "reschedule".to_owned(),
                Action::SetAbsent { removal: Removal::Unused(_), .. } => "set absent, unused".to_owned(),
                Action::SetAbsent { removal: Removal::Released(_), .. } => "set absent, released".to_owned(),
                Action::SetSize { bytes, .. } => format!("size {bytes}"),
                Action::SetReclaim { reclaim, .. } => format!("reclaim {}", reclaim.as_str()),
                Action::DeleteNodeVolume { .. } => "forget".to_owned(),
                Action::DeleteVolume { .. } => "delete the volume".to_owned(),
                Action::RemoveFinalizer { .. } => "let the volume go".to_owned(),
                Action::WriteCapacity { capacity, .. } => format!("capacity {capacity}"),
                Action::WriteClaimStatus { capacity, node_step, .. } => {
                    format!("status {capacity}{}", if node_step { " by the kubelet" } else { "" })
                }
            };
            format!("{action}{}", told(notice))
        }
    }
}

fn check(what: &str, mut facts: Facts, wanted: &str) {
    let found = words(step(&mut facts, 100));
    let good = match wanted.strip_suffix('…') {
        Some(begin) => found.starts_with(begin),
        None => found == wanted,
    };
    assert!(good, "{what}:\n found {found}\nwanted {wanted}");
}

#[test]
fn a_claim_that_waits() {
    let ask = "ask a:/opt/local-path-provisioner/pvc-u1_team_data Delete (Provisioning: External provisioner is provisioning \
               volume for claim \"team/data\")";
    check("scheduled", facts(), ask);
    check("no agent is known yet", with(facts(), |f| f.storages.clear()), ask);
    let claim = |change: fn(&mut Value)| with(facts(), |f| change(&mut f.claim));
    check(
        "not scheduled",
        claim(|c| c["metadata"]["annotations"]["volume.kubernetes.io/selected-node"] = json!("")),
        "nothing",
    );
    check(
        "being deleted",
        claim(|c| c["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z")),
        "nothing",
    );
    check(
        "another provisioner's",
        claim(|c| c["metadata"]["annotations"]["volume.kubernetes.io/storage-provisioner"] = json!("other")),
        "nothing",
    );
    check(
        "by the older annotation",
        claim(|c| {
            c["metadata"]["annotations"] = json!({"volume.beta.kubernetes.io/storage-provisioner": P,
                "volume.kubernetes.io/selected-node": "a"});
        }),
        ask,
    );
    check("no class", with(facts(), |f| f.class = Value::Null), "wait");
    check(
        "the class is another's by now",
        with(facts(), |f| f.class["provisioner"] = json!("other")),
        "wait",
    );
    check(
        "the node is not the class's",
        with(facts(), |f| {
            f.class["allowedTopologies"] =
                json!([{"matchLabelExpressions": [{"key": "zone", "values": ["b"]}]}]);
        }),
        "reschedule (ProvisioningFailed: the class's allowedTopologies leave out the selected node \"a\")",
    );
    check(
        "the node's agent cannot",
        with(facts(), |f| f.class["parameters"] = json!({"backend": "btrfs"})),
        "reschedule (ProvisioningFailed: node \"a\" cannot make volumes of backend btrfs in /opt/local-path-provisioner)",
    );
    check(
        "the node has too many devices",
        with(facts(), |f| {
            f.class["parameters"] = json!({"backend": "loop"});
            f.storages[0]["status"]["bases"][0]["backends"] = json!(["directory"]);
            f.storages[0]["status"]["bases"][0]["message"] =
                json!("loop: this node has 256 loop volumes (TooManyDevices)");
        }),
        "reschedule (ProvisioningFailed: node \"a\" cannot make volumes of backend loop in /opt/local-path-provisioner (loop: \
         this node has 256 loop volumes (TooManyDevices)))",
    );
    check(
        "the base cannot be used",
        with(facts(), |f| {
            f.storages[0]["status"]["bases"][0] =
                json!({"path": "/opt/local-path-provisioner", "usable": false, "message": "read-only"});
        }),
        "reschedule (ProvisioningFailed: /opt/local-path-provisioner on node \"a\" cannot be used: read-only)",
    );
}

#[test]
fn a_claim_that_asks_for_what_cannot_be() {
    let spec = |field: &'static str, value: Value| with(facts(), |f| f.claim["spec"][field] = value);
    let device = |backend: &str| {
        with(spec("volumeMode", json!("Block")), |f| f.class["parameters"] = json!({"backend": backend}))
    };
    for (what, facts, wanted) in [
        ("a source", spec("dataSourceRef", json!({"kind": "x"})), "the claim has a dataSource"),
        ("a selector", spec("selector", json!({})), "the claim has a selector"),
        (
            "many nodes",
            spec("accessModes", json!(["ReadWriteOnce", "ReadOnlyMany"])),
            "the claim has access mode ReadOnlyMany",
        ),
        (
            "attributes",
            spec("volumeAttributesClassName", json!("gold")),
            "the claim has volumeAttributesClassName \"gold\"",
        ),
        (
            "a device",
            device("directory"),
            "the claim has volumeMode Block, and class \"fast\" names backend directory",
        ),
        ("no size", spec("resources", json!({})), "the claim asks for \"\" of storage"),
    ] {
        check(what, facts, &format!("wait (ProvisioningFailed: {wanted}…"));
    }
    check(
        "a device of a class that names loop",
        device("loop"),
        "ask a:/opt/local-path-provisioner/pvc-u1_team_data…",
    );
    let host_path = |parameters: Value| {
        with(facts(), |f| {
            f.claim["metadata"]["annotations"]["volumeType"] = json!("hostPath");
            f.class["parameters"] = parameters;
        })
    };
    check(
        "hostPath of a class that leaves it to no claim",
        host_path(json!({"allowClaimVolumeType": "false"})),
        "wait (ProvisioningFailed: the claim's annotation volumeType asks for hostPath, which its class leaves to no claim \
         (parameter allowClaimVolumeType is \"false\")…",
    );
    for parameters in [json!({}), json!({"allowClaimVolumeType": "true"})] {
        check("hostPath as with rancher's", host_path(parameters), "ask a:…");
    }
    let mut any = spec("volumeMode", json!("Block"));
    let Step::Do { action: Action::CreateNodeVolume { spec, .. }, .. } = step(&mut any, 100) else {
        panic!("a device of a class that names no backend is asked for")
    };
    assert_eq!((spec.backend, spec.volume_mode), (Backend::Loop, NodeVolumeMode::Block));
    let options = |parameters: Value| {
        with(facts(), |f| {
            f.class["parameters"] = parameters;
            f.class["mountOptions"] = json!(["noatime", "nosuid"]);
        })
    };
    check("options of a local volume", options(json!({})), "ask a:…");
    check(
        "options that no kubelet mounts with",
        options(json!({"volumeType": "hostPath"})),
        "wait (ProvisioningFailed: class \"fast\" has mountOptions (noatime, nosuid), which no hostPath volume can have…",
    );
    let chosen =
        with(options(json!({})), |f| f.claim["metadata"]["annotations"]["volumeType"] = json!("hostPath"));
    check("a claim's own choice", chosen, "wait (ProvisioningFailed: class \"fast\" has mountOptions…");
    let pattern = with(facts(), |f| f.class["parameters"] = json!({"pathPattern": "../x"}));
    check("a path that leads out", pattern, "wait (ProvisioningFailed: the path \"../x\"…");
}

#[test]
fn a_class_that_waits_for_no_pod() {
    let immediate = || {
        with(facts(), |f| {
            f.class["volumeBindingMode"] = json!("Immediate");
            f.claim["metadata"]["annotations"]["volume.kubernetes.io/selected-node"] = json!("");
        })
    };
    check("the most room", immediate(), "ask b:…");
    for closed in [
        json!({"unschedulable": true}),
        json!({"taints": [{"key": "k", "effect": "PreferNoSchedule"}, {"key": "disk", "effect": "NoExecute"}]}),
        json!({"taints": [{"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}]}),
    ] {
        let mut facts = with(immediate(), |f| f.nodes[1]["spec"] = closed.clone());
        check("not where pods do not come to", facts.clone(), "ask a:…");
        facts.nodes.remove(0);
        check("unless there is nowhere else", facts, "ask b:…");
    }
    let wished = json!({"taints": [{"key": "k", "effect": "PreferNoSchedule"}]});
    check("a wish is none", with(immediate(), |f| f.nodes[1]["spec"] = wished), "ask b:…");
    check("of the nodes that are there", with(immediate(), |f| drop(f.nodes.remove(1))), "ask a:…");
    let large = with(immediate(), |f| f.claim["spec"]["resources"]["requests"]["storage"] = json!("30000"));
    check("no room", large, "wait (ProvisioningFailed: no node can hold 30000 bytes of class \"fast\": a: …");
    check(
        "no agents",
        with(immediate(), |f| f.storages.clear()),
        "wait (ProvisioningFailed: no node can hold 1024 bytes of class \"fast\": no node that the class allows has a…",
    );
    let mut refused = with(asked("Refused"), |f| f.class["volumeBindingMode"] = json!("Immediate"));
    refused.node_volume["spec"]["node"] = json!("b");
    assert!(words(step(&mut refused, 100)).starts_with("forget (ProvisioningFailed: node \"b\" cannot hold"));
    refused.node_volume = Value::Null;
    assert!(
        words(step(&mut refused, 100)).starts_with("ask a:"),
        "the node that refused is left out for a while"
    );
    assert!(words(step(&mut refused, 102)).starts_with("ask b:"));
}

#[test]
fn an_agent_that_was_asked() {
    check("not yet", asked("Pending"), "wait until 110");
    let mut silent = with(asked("Pending"), |f| f.storages.clear());
    assert_eq!(words(step(&mut silent, 100)), "wait until 110");
    let told = words(step(&mut silent, 111));
    assert!(
        told.starts_with("wait until 411 (ProvisioningFailed: no volgate agent runs on node \"a\""),
        "{told}"
    );
    assert!(told.contains("to have another node chosen, kubectl delete nodevolume pvc-u1"), "{told}");
    // It was deleted, long after that was told.
    silent.node_volume = Value::Null;
    assert_eq!(
        words(step(&mut silent.clone(), 300)),
        "ask a:/opt/local-path-provisioner/pvc-u1_team_data Delete (Provisioning: External provisioner is provisioning volume for claim \"team/data\")",
        "there is no other"
    );
    silent.storages = vec![storage("a", 10_000), storage("b", 20_000)];
    assert_eq!(words(step(&mut silent.clone(), 300)), "reschedule");
    silent.class["volumeBindingMode"] = json!("Immediate");
    silent.storages = vec![storage("a", 20_000), storage("b", 10_000)];
    assert!(words(step(&mut silent.clone(), 300)).starts_with("ask b:"), "before one with more room");
    silent.storages.truncate(1);
    assert!(words(step(&mut silent, 300)).starts_with("ask a:"), "there is no other");
    let failing = with(asked("Pending"), |f| f.node_volume["status"]["message"] = json!("I/O error"));
    check(
        "it fails",
        failing,
        "wait (ProvisioningFailed: node \"a\" has not made the volume yet: I/O error; it is tried again)",
    );
    check(
        "made",
        asked("Ready"),
        "make the volume (ProvisioningSucceeded: Successfully provisioned volume pvc-u1)",
    );
    check(
        "made, of an older wish",
        with(asked("Ready"), |f| f.node_volume["metadata"]["generation"] = json!(2)),
        "wait",
    );
    check(
        "made elsewhere",
        with(asked("Ready"), |f| f.node_volume["status"]["path"] = json!("/etc")),
        "wait (ProvisioningFailed: the agent of node \"a\" says that the volume is at \"/etc\"…",
    );
    let device = |path: &str| {
        with(asked("Ready"), |f| {
            f.node_volume["spec"]["backend"] = json!("loop");
            f.node_volume["status"]["path"] = json!(path);
        })
    };
    check("a device", device("/dev/volgate/pvc-u1"), "make the volume (ProvisioningSucceeded…");
    for path in [
        "/dev/sda",
        "/dev/volgate/pvc-u2",
        "/dev/volgate/../sda",
        "/dev/volgate/pvc-u1/",
        "",
        "/opt/local-path-provisioner/pvc-u1_team_data",
    ] {
        check(
            path,
            device(path),
            "wait (ProvisioningFailed: the agent of node \"a\" says that the volume is at…",
        );
    }
    // What no controller asks for, but somebody who may write NodeVolumes could.
    for (base, directory) in
        [("/", "etc"), ("/opt", "../etc"), ("/opt/../etc", "x"), ("/opt", ".volgate/volumes"), ("", "etc")]
    {
        let path = format!("{base}/{directory}");
        let planted = with(asked("Ready"), |f| {
            f.node_volume["spec"]["base"] = json!(base);
            f.node_volume["spec"]["directory"] = json!(directory);
            f.node_volume["status"]["path"] = json!(path);
        });
        check(&path, planted, "wait (ProvisioningFailed: NodeVolume pvc-u1 names the path…");
    }
    let full = with(asked("Refused"), |f| {
        f.node_volume["status"]["reason"] = json!("TooManyDevices");
        f.node_volume["status"]["message"] = json!("this node has 256 loop volumes");
    });
    check(
        "too many devices: another node",
        full,
        "reschedule (ProvisioningFailed: node \"a\" cannot hold the volume: this node has 256 loop volumes (TooManyDevices))",
    );
    for phase in ["Refused", "Lost"] {
        check(phase, asked(phase), "reschedule (ProvisioningFailed: node \"a\" cannot hold the volume…");
    }
    let unselected = |phase| {
        with(asked(phase), |f| {
            f.claim["metadata"]["annotations"]["volume.kubernetes.io/selected-node"] = json!("")
        })
    };
    check("nothing is left there", unselected("Refused"), "forget");
    check("something may be left there", unselected("Pending"), "set absent, unused");
    let elsewhere = with(asked("Ready"), |f| {
        f.claim["metadata"]["annotations"]["volume.kubernetes.io/selected-node"] = json!("b")
    });
    check("another node is chosen", elsewhere, "set absent, unused");
    check("it is being removed", absent(asked("Ready"), "Ready"), "wait");
    check("it is removed", absent(asked("Ready"), "Removed"), "forget");
}

#[test]
fn a_node_that_refuses_is_asked_again_later_and_later() {
    let mut refused = with(asked("Refused"), |f| f.storages.truncate(1));
    let mut pauses = Vec::new();
    let mut now = 100;
    for _ in 0..11 {
        let asked = refused.node_volume.clone();
        assert!(words(step(&mut refused, now)).starts_with("reschedule"));
        refused.node_volume = Value::Null;
        let Step::Wait { until: Some(until), .. } = step(&mut refused, now) else { panic!() };
        pauses.push(until.as_secs() - now);
        now = until.as_secs();
        assert!(words(step(&mut refused, now)).starts_with("ask a:"));
        refused.node_volume = asked;
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
}

#[test]
fn the_scheduler_is_sent_on_from_a_node_that_refused_where_others_might_do() {
    let mut refused = asked("Refused");
    let mut now = 100;
    let node_volume = refused.node_volume.clone();
    for _ in 0..4 {
        refused.node_volume = node_volume.clone();
        step(&mut refused, now);
        refused.node_volume = Value::Null;
        let Step::Wait { until: Some(until), .. } = step(&mut refused, now) else { panic!() };
        now = until.as_secs();
    }
    // By now it is left out for eight seconds.
    assert_eq!(words(step(&mut refused, now)), "reschedule");
    assert_eq!(words(step(&mut refused, now + 1)), format!("wait until {}", now + 2));
    assert_eq!(words(step(&mut refused, now + 2)), "reschedule");
    refused.claim["metadata"]["annotations"]["volume.kubernetes.io/selected-node"] = json!("b");
    assert!(words(step(&mut refused, now + 3)).starts_with("ask b:"));
}

#[test]
fn a_node_that_is_gone_before_the_volume_is_made() {
    let mut unasked = with(facts(), |f| f.nodes.clear());
    assert_eq!(words(step(&mut unasked, 100)), "wait until 110");
    assert_eq!(words(step(&mut unasked, 105)), "wait until 110");
    assert!(
        words(step(&mut unasked, 110))
            .starts_with("reschedule (ProvisioningFailed: the selected node \"a\" is not there")
    );
    for phase in ["Pending", "Ready"] {
        let mut asked = with(asked(phase), |f| f.nodes.clear());
        assert_eq!(words(step(&mut asked, 100)), "wait until 110");
        assert_eq!(words(step(&mut asked, 110)), "forget");
    }
    let mut back = with(asked("Pending"), |f| f.nodes.clear());
    step(&mut back, 100);
    back.nodes.push(node("a"));
    step(&mut back, 109);
    back.nodes.clear();
    assert_eq!(words(step(&mut back, 111)), "wait until 121", "the time starts again");
}

#[test]
fn neither_claim_nor_volume() {
    let orphan = |phase| with(asked(phase), |f| f.claim = Value::Null);
    for phase in ["Pending", "Ready"] {
        let mut facts = orphan(phase);
        assert_eq!(words(step(&mut facts, 100)), "wait until 110", "they may not be seen yet");
        assert_eq!(words(step(&mut facts, 110)), "set absent, unused");
    }
    let mut refused = orphan("Refused");
    step(&mut refused, 100);
    assert_eq!(words(step(&mut refused, 110)), "forget");
    check("removed", absent(orphan("Ready"), "Removed"), "forget");
    check("being removed", absent(orphan("Ready"), "Ready"), "wait");
    let mut stuck = with(absent(orphan("Ready"), "Ready"), |f| f.nodes.clear());
    assert_eq!(words(step(&mut stuck, 100)), "wait until 110");
    assert_eq!(words(step(&mut stuck, 110)), "forget");
    // It may have been a volume that was to be kept.
    for policy in ["Retain", "nonsense", ""] {
        let mut kept = orphan("Ready");
        kept.node_volume["metadata"]["annotations"]["volgate.dev/reclaim-policy"] = json!(policy);
        step(&mut kept, 100);
        assert_eq!(words(step(&mut kept, 110)), "forget", "its data stays");
    }
    check(
        "the claim is on its way out",
        with(asked("Ready"), |f| f.claim["metadata"]["deletionTimestamp"] = json!("x")),
        "wait until 110",
    );
    check(
        "the claim has another volume",
        with(asked("Ready"), |f| f.claim["spec"]["volumeName"] = json!("other")),
        "wait until 110",
    );
    check("the claim has a volume that is gone", with(bound(), |f| f.volume = Value::Null), "nothing");
    let mut again = with(asked("Ready"), |f| f.claim["metadata"]["uid"] = json!("u2"));
    step(&mut again, 100);
    assert_eq!(words(step(&mut again, 110)), "set absent, unused", "the claim of that name is another");
    check("nothing at all", with(facts(), |f| f.claim = Value::Null), "nothing");
}

#[test]
fn a_volume_in_use() {
    check("all is well", bound(), "nothing");
    let ask = "ask a:/opt/local-path-provisioner/pvc-u1_team_data adopt Delete";
    check("its NodeVolume is gone", with(bound(), |f| f.node_volume = Value::Null), ask);
    let others = |f: &mut Facts| {
        f.node_volume = Value::Null;
        for key in ["base", "directory", "backend"] {
            f.volume["metadata"]["annotations"][format!("volgate.dev/{key}")] = Value::from("");
        }
    };
    check("another provisioner made it", with(bound(), others), "nothing");
    check(
        "its policy is another",
        with(bound(), |f| f.volume["spec"]["persistentVolumeReclaimPolicy"] = json!("Retain")),
        "reclaim Retain",
    );
    let lost = with(bound(), |f| f.node_volume["status"]["phase"] = json!("Lost"));
    check("lost", lost, "wait (VolumeLost: the data of volume pvc-u1 is not on node \"a\" any more…");
    let mut gone = with(bound(), |f| f.nodes.clear());
    assert_eq!(words(step(&mut gone, 100)), "wait until 400");
    assert!(words(step(&mut gone, 400)).starts_with("wait (VolumeNodeGone: node \"a\" is gone"));
    check(
        "deleted by hand, and used",
        with(bound(), |f| f.volume["metadata"]["deletionTimestamp"] = json!("x")),
        "nothing",
    );
    check(
        "released, and the claim seen late",
        with(bound(), |f| f.volume["status"]["phase"] = json!("Released")),
        "nothing",
    );
    check(
        "another provisioner's",
        with(released(), |f| {
            f.volume["metadata"]["annotations"]["pv.kubernetes.io/provisioned-by"] = json!("other");
            f.node_volume = Value::Null;
        }),
        "nothing",
    );
}

#[test]
fn a_volume_whose_data_goes() {
    check("released", released(), "set absent, released");
    check(
        "without a NodeVolume",
        with(released(), |f| f.node_volume = Value::Null),
        "ask a:/opt/local-path-provisioner/pvc-u1_team_data absent adopt Delete",
    );
    check("asked for", absent(released(), "Ready"), "wait until 110");
    let mut silent = absent(released(), "Ready");
    step(&mut silent, 100);
    assert!(
        words(step(&mut silent, 110))
            .starts_with("wait (VolumeFailedDelete: the volgate agent of node \"a\" has not answered")
    );
    let failing = with(absent(released(), "Ready"), |f| f.node_volume["status"]["message"] = json!("busy"));
    check(
        "it fails",
        failing,
        "wait (VolumeFailedDelete: node \"a\" has not removed the volume yet: busy; it is tried again)",
    );
    check("removed", absent(released(), "Removed"), "delete the volume");
    let going = |facts| with(facts, |f| f.volume["metadata"]["deletionTimestamp"] = json!("x"));
    check("on its way", going(absent(released(), "Removed")), "let the volume go");
    let let_go =
        with(going(absent(released(), "Removed")), |f| f.volume["metadata"]["finalizers"] = json!([]));
    check("let go", let_go, "nothing");
    check("deleted by hand", going(released()), "set absent, released");
    let unbound = with(going(released()), |f| f.volume["status"]["phase"] = json!("Available"));
    check("deleted by hand before it was bound", unbound, "set absent, released");
    for phase in ["Available", "Pending", "Failed"] {
        let facts = with(released(), |f| f.volume["status"]["phase"] = json!(phase));
        check(phase, facts, "nothing");
    }
    let mut gone = with(released(), |f| f.nodes.clear());
    assert_eq!(words(step(&mut gone, 100)), "wait until 400");
    assert!(
        words(step(&mut gone, 400)).starts_with("delete the volume (VolumeFailedDelete: node \"a\" is gone")
    );
    let back = || with(released(), |f| f.nodes[0]["metadata"]["uid"] = json!("another"));
    check("the node is back under its name", back(), "set absent, released");
    let mut no_agent = absent(back(), "Ready");
    step(&mut no_agent, 100);
    assert!(
        words(step(&mut no_agent, 110))
            .starts_with("wait (VolumeFailedDelete: the volgate agent of node \"a\"")
    );
}

#[test]
fn a_volume_that_is_not_beneath_a_base_is_not_touched() {
    let at = |path: &'static str| {
        with(released(), move |f| {
            f.node_volume = Value::Null;
            f.volume["metadata"]["annotations"] =
                json!({"pv.kubernetes.io/provisioned-by": P, "local.path.provisioner/selected-node": "a"});
            f.volume["spec"]["local"] = Value::Null;
            f.volume["spec"]["hostPath"] = json!({"path": path});
        })
    };
    check(
        "rancher's",
        at("/opt/local-path-provisioner/pvc-9_a_b"),
        "ask a:/opt/local-path-provisioner/pvc-9_a_b absent adopt Delete",
    );
    check(
        "by a pattern",
        at("/opt/local-path-provisioner/team/data"),
        "ask a:/opt/local-path-provisioner/team/data absent adopt Delete",
    );
    let mut deep = at("/opt/local-path-provisioner/team/data");
    let Step::Do { action: Action::CreateNodeVolume { spec, .. }, .. } = step(&mut deep, 100) else {
        panic!()
    };
    assert_eq!((spec.base.as_str(), spec.directory.as_str()), ("/opt/local-path-provisioner", "team/data"));
    let told = with(at("/data/x"), |f| f.storages[0]["status"]["bases"][0]["path"] = json!("/data"));
    check("in a base that the agent reports", told, "ask a:/data/x absent adopt Delete");
    let configured = with(at("/data/x"), |f| {
        f.storages[0]["status"]["bases"][0]["path"] = json!("/data");
        f.settings.bases =
            crate::provisioner::Bases::parse(r#"{"nodePathMap": [{"node": "a", "paths": ["/other"]}]}"#)
                .unwrap()
                .0;
    });
    check(
        "but not in one that is not configured",
        configured,
        "wait (VolumeFailedDelete: its path \"/data/x\"…",
    );
    for path in [
        "/etc/kubernetes",
        "/opt/local-path-provisioner",
        "/opt/local-path-provisioner/",
        "/opt/local-path-provisioner/..",
        "/opt/local-path-provisioner/../../etc",
        "/opt/local-path-provisioner-2/x",
        "/x",
        "",
    ] {
        check(path, at(path), "wait (VolumeFailedDelete: its path…");
    }
    let nowhere = with(at("/opt/local-path-provisioner/x"), |f| {
        f.volume["metadata"]["annotations"] = json!({"pv.kubernetes.io/provisioned-by": P});
    });
    check("of no node", nowhere, "wait (VolumeFailedDelete: neither its annotations nor its node affinity…");
}

#[test]
fn a_volume_that_is_kept() {
    let kept = || {
        with(released(), |f| {
            f.volume["spec"]["persistentVolumeReclaimPolicy"] = json!("Retain");
            f.node_volume["metadata"]["annotations"]["volgate.dev/reclaim-policy"] = json!("Retain");
        })
    };
    check("released", kept(), "nothing");
    let deleted = || with(kept(), |f| f.volume["metadata"]["deletionTimestamp"] = json!("x"));
    check("deleted by hand: first the record", deleted(), "forget");
    check("then the volume", with(deleted(), |f| f.node_volume = Value::Null), "let the volume go");
}

#[test]
fn a_kept_volume_that_was_given_to_another_claim_by_hand() {
    // The controller manager notes no provisioner in a claim that names its volume.
    let given = || {
        with(bound(), |f| {
            f.claim = json!({"metadata": {"namespace": "other", "name": "restored", "uid": "u2"},
                "spec": {"volumeName": KEY, "storageClassName": "fast", "resources": {"requests": {"storage": "1Ki"}}},
                "status": {"phase": "Bound", "capacity": {"storage": "1Ki"}}});
            f.volume["spec"]["claimRef"] = json!({"namespace": "other", "name": "restored", "uid": "u2"});
            f.volume["spec"]["persistentVolumeReclaimPolicy"] = json!("Retain");
            f.node_volume["metadata"]["annotations"]["volgate.dev/reclaim-policy"] = json!("Retain");
        })
    };
    check("in use", given(), "nothing");
    let more = || with(given(), |f| f.claim["spec"]["resources"]["requests"]["storage"] = json!("2Ki"));
    check("it grows with that one", more(), "size 2048");
    let grown = || {
        with(more(), |f| {
            f.node_volume["spec"]["sizeBytes"] = json!(2048);
            f.node_volume["status"]["sizeBytes"] = json!(2048);
        })
    };
    check("then the volume", grown(), "capacity 2Ki");
    let written = with(grown(), |f| f.volume["spec"]["capacity"]["storage"] = json!("2Ki"));
    check("then that claim", written, "status 2Ki (VolumeResizeSuccessful: Volume pvc-u1 holds 2Ki now)");
    let not_its = with(more(), |f| f.volume["spec"]["claimRef"]["uid"] = json!("u3"));
    check("a claim that names a volume of another's", not_its, "nothing");
    let forgotten = with(given(), |f| f.node_volume = Value::Null);
    let mut step_of = forgotten;
    let Step::Do { action: Action::CreateNodeVolume { spec, .. }, .. } = step(&mut step_of, 100) else {
        panic!("its NodeVolume is not written again")
    };
    assert_eq!((spec.claim.uid.as_str(), spec.adopt), ("u1", true), "as the record on the disk has it");
    check("only the claim is left of it", with(given(), |f| f.volume = Value::Null), "nothing");
}

#[test]
fn a_claim_that_names_a_volume_does_not_keep_it() {
    let named = |facts| {
        with(facts, |f: &mut Facts| {
            f.claim = json!({"metadata": {"namespace": "other", "name": "data", "uid": "u2"}, "spec": {"volumeName": KEY}});
        })
    };
    check("that is to go", named(released()), "set absent, released");
    check(
        "that waits for its claim",
        named(with(released(), |f| f.volume["status"]["phase"] = json!("Available"))),
        "nothing",
    );
    check("of which the record alone is left", named(absent(asked("Ready"), "Removed")), "forget");
    check("of which nobody knows what became", named(absent(asked("Ready"), "Ready")), "nothing");
    check("of which nobody knows what is to become", named(asked("Ready")), "nothing");
}

#[test]
fn a_volume_that_grows() {
    let more = |facts| {
        with(facts, |f: &mut Facts| f.claim["spec"]["resources"]["requests"]["storage"] = json!("2Ki"))
    };
    check("first the agent", more(bound()), "size 2048");
    let barred = with(more(bound()), |f| f.class["allowVolumeExpansion"] = json!(false));
    check(
        "the class says no",
        barred,
        "wait (VolumeResizeFailed: class \"fast\" does not allow its volumes to grow…",
    );
    let asked = || {
        with(more(bound()), |f| {
            f.node_volume["spec"]["sizeBytes"] = json!(2048);
            f.node_volume["metadata"]["generation"] = json!(2);
        })
    };
    check("it is at it", asked(), "wait");
    let full = with(asked(), |f| f.node_volume["status"]["message"] = json!("full"));
    check(
        "it cannot",
        full,
        "wait (VolumeResizeFailed: node \"a\" has not let the volume grow yet: full; it is tried again)",
    );
    let less = with(asked(), |f| f.claim["spec"]["resources"]["requests"]["storage"] = json!("1Ki"));
    check("the claim gives up", less, "size 1024");
    let grown = || {
        with(asked(), |f| {
            f.node_volume["status"]["observedGeneration"] = json!(2);
            f.node_volume["status"]["sizeBytes"] = json!(2048);
        })
    };
    check("then the volume", grown(), "capacity 2Ki");
    let written = || with(grown(), |f| f.volume["spec"]["capacity"]["storage"] = json!("2Ki"));
    check("then the claim", written(), "status 2Ki (VolumeResizeSuccessful: Volume pvc-u1 holds 2Ki now)");
    let device = |facts| with(facts, |f: &mut Facts| f.node_volume["spec"]["backend"] = json!("loop"));
    check(
        "which the kubelet does for a file system on a device",
        device(written()),
        "status 2Ki by the kubelet (FileSystemResizeRequired: Require file system resize of volume on node)",
    );
    let told = with(device(written()), |f| {
        f.claim["status"]["allocatedResourceStatuses"] = json!({"storage": "NodeResizePending"})
    });
    check("once it is told", told, "wait");
    let block = with(device(written()), |f| f.node_volume["spec"]["volumeMode"] = json!("Block"));
    check("a device itself needs no kubelet", block, "status 2Ki (VolumeResizeSuccessful…");
    let done = with(written(), |f| f.claim["status"]["capacity"]["storage"] = json!("2Ki"));
    check("done", done, "nothing");
    let others = with(more(bound()), |f| {
        f.node_volume = Value::Null;
        f.volume["metadata"]["annotations"]["volgate.dev/base"] = json!("");
    });
    check(
        "another provisioner's is taken over for it",
        others,
        "ask a:/opt/local-path-provisioner/pvc-u1_team_data adopt Delete",
    );
}
