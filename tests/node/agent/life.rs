//! What becomes of volumes that nobody disturbs.

use crate::agent::world::{BASE, Node, mode, names};
use futures::{StreamExt, TryStreamExt};
use kube::api::{WatchEvent, WatchParams};
use serde_json::json;
use std::fs;
use std::time::Duration;
use volgate::model::{Backend, NodeVolumeMode, Phase};

#[tokio::test]
async fn makes_a_volume_and_removes_it() {
    let Some(node) = Node::start("makes").await else { return };
    node.ask("pvc-makes", |_| {}).await;
    let status = node.phase("pvc-makes", Phase::Ready).await;
    assert_eq!(status.path.as_deref(), Some("/opt/local-path-provisioner/pvc-makes_default_claim"));
    assert_eq!((status.size_bytes, status.reason, status.message), (Some(1 << 30), None, None));
    let directory = node.beneath("pvc-makes_default_claim");
    assert_eq!(mode(&directory), 0o777);
    assert_eq!(mode(&node.beneath(".volgate")), 0o700);
    let record = fs::read_to_string(node.beneath(".volgate/volumes/pvc-makes.json")).unwrap();
    assert!(record.contains("\"uid-of-pvc-makes\"") && record.contains("\"made\": true"), "{record}");

    fs::create_dir_all(directory.join("a/b/c")).unwrap();
    fs::write(directory.join("a/b/c/data"), "data").unwrap();
    node.ask_absent("pvc-makes").await;
    let status = node.phase("pvc-makes", Phase::Removed).await;
    assert_eq!((status.path, status.reason), (None, None));
    assert_eq!(names(&node.base()), [".volgate"]);
    assert_eq!(names(&node.beneath(".volgate/volumes")), [""; 0]);
    node.trash_is_empty().await;
}

#[tokio::test]
async fn grows_a_volume_and_does_not_shrink_it() {
    let Some(node) = Node::start("grows").await else { return };
    node.ask("pvc-grows", |_| {}).await;
    node.phase("pvc-grows", Phase::Ready).await;
    node.change("pvc-grows", json!({"sizeBytes": 2_i64 << 30})).await;
    let status = node.until("pvc-grows", "grown", |status| status.size_bytes == Some(2 << 30)).await;
    assert_eq!((status.phase, status.reason), (Phase::Ready, None));
    node.change("pvc-grows", json!({"sizeBytes": 1_i64 << 30})).await;
    let status = node.until("pvc-grows", "refused to shrink", |status| status.reason.is_some()).await;
    assert_eq!((status.phase, status.size_bytes), (Phase::Ready, Some(2 << 30)));
    assert_eq!(status.reason.as_deref(), Some("ShrinkUnsupported"));
    node.change("pvc-grows", json!({"sizeBytes": 1_i64 << 60})).await;
    let status =
        node.until("pvc-grows", "too large", |s| s.reason.as_deref() == Some("NotEnoughSpace")).await;
    assert_eq!((status.phase, status.size_bytes), (Phase::Ready, Some(2 << 30)));
}

#[tokio::test]
async fn one_write_makes_a_volume_and_none_follows() {
    let Some(node) = Node::start("writes").await else { return };
    node.storage("its base", |status| !status.bases.is_empty()).await;
    let before = node.api().list(&Default::default()).await.unwrap().metadata.resource_version.unwrap();
    node.ask("pvc-writes", |_| {}).await;
    node.phase("pvc-writes", Phase::Ready).await;
    // Some looks at the disk go by.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let only = WatchParams::default().fields("metadata.name=pvc-writes").timeout(1);
    let events = node.api().watch(&only, &before).await.unwrap();
    let events: Vec<_> = events
        .map_ok(|event| match event {
            WatchEvent::Added(object) => format!("added, {:?}", object.status.map(|status| status.phase)),
            WatchEvent::Modified(object) => {
                format!("changed, {:?}", object.status.map(|status| status.phase))
            }
            other => format!("{other:?}"),
        })
        .boxed()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(events, ["added, None", "changed, Some(Ready)"]);
}

#[tokio::test]
async fn goes_on_with_directories_that_are_there() {
    let Some(node) = Node::start("adopts").await else { return };
    fs::create_dir_all(node.beneath("team/data")).unwrap();
    fs::write(node.beneath("team/data/kept"), "kept").unwrap();
    // As a class's pathPattern names it, before volgate came.
    node.ask("pvc-pattern", |spec| spec.directory = "team/data".into()).await;
    node.phase("pvc-pattern", Phase::Ready).await;
    assert_eq!(fs::read_to_string(node.beneath("team/data/kept")).unwrap(), "kept");
    // Nobody else gets it, nor what is around it or in it.
    for (volume, directory) in [("pvc-same", "team/data"), ("pvc-around", "team"), ("pvc-in", "team/data/x")]
    {
        node.ask(volume, |spec| spec.directory = directory.into()).await;
        let status = node.phase(volume, Phase::Refused).await;
        assert_eq!(status.reason.as_deref(), Some("DirectoryInUse"), "{status:?}");
        assert!(status.message.unwrap().contains("pvc-pattern"));
        // What was refused owns nothing: its end touches nothing.
        node.ask_absent(volume).await;
        node.phase(volume, Phase::Removed).await;
    }
    assert_eq!(fs::read_to_string(node.beneath("team/data/kept")).unwrap(), "kept");
    // Beside it is fine.
    node.ask("pvc-beside", |spec| spec.directory = "team/data2".into()).await;
    node.phase("pvc-beside", Phase::Ready).await;

    // The volume is retained, its objects are deleted, the claim is made again: another volume, the same directory.
    node.forget("pvc-pattern").await;
    node.ask("pvc-again", |spec| spec.directory = "team/data".into()).await;
    node.phase("pvc-again", Phase::Ready).await;
    assert_eq!(fs::read_to_string(node.beneath("team/data/kept")).unwrap(), "kept");
    assert_eq!(names(&node.beneath(".volgate/volumes")), ["pvc-again.json", "pvc-beside.json"]);
}

#[tokio::test]
async fn makes_the_directories_on_the_way() {
    let Some(node) = Node::start("parents").await else { return };
    node.ask("pvc-deep", |spec| spec.directory = "a/b/c".into()).await;
    node.phase("pvc-deep", Phase::Ready).await;
    let modes = ["a", "a/b", "a/b/c"].map(|path| mode(&node.beneath(path)));
    assert_eq!(modes, [0o755, 0o755, 0o777]);
}

#[tokio::test]
async fn removes_another_provisioners_volume_when_told_to() {
    let Some(node) = Node::start("takes-over").await else { return };
    for volume in ["pvc-old", "pvc-not-told"] {
        fs::create_dir(node.beneath(volume)).unwrap();
        fs::write(node.beneath(volume).join("data"), "data").unwrap();
    }
    let absent = |spec: &mut volgate::model::NodeVolumeSpec| {
        spec.directory = spec.claim.name.replace("claim-of-", "");
        spec.desired = volgate::model::Desired::Absent;
    };
    node.ask("pvc-not-told", absent).await;
    node.phase("pvc-not-told", Phase::Removed).await;
    node.ask("pvc-old", |spec| {
        absent(spec);
        spec.adopt = true;
    })
    .await;
    node.phase("pvc-old", Phase::Removed).await;
    assert_eq!(names(&node.base()), [".volgate", "pvc-not-told"]);
    assert_eq!(fs::read_to_string(node.beneath("pvc-not-told/data")).unwrap(), "data");
    node.trash_is_empty().await;

    // Even when told to: not with another volume's bytes in it.
    node.ask("pvc-inner", |spec| spec.directory = "outer/inner".into()).await;
    node.phase("pvc-inner", Phase::Ready).await;
    node.ask("pvc-outer", |spec| {
        absent(spec);
        spec.directory = "outer".into();
        spec.adopt = true;
    })
    .await;
    let status = node.phase("pvc-outer", Phase::Pending).await;
    assert_eq!(status.reason.as_deref(), Some("DirectoryInUse"));
    assert!(node.beneath("outer/inner").is_dir());
}

#[tokio::test]
async fn a_volume_that_is_missing_is_lost_and_never_made_again() {
    let Some(mut node) = Node::start("loses").await else { return };
    for volume in ["pvc-gone", "pvc-back", "pvc-unknown"] {
        node.ask(volume, |spec| spec.directory = volume.into()).await;
        node.phase(volume, Phase::Ready).await;
    }
    fs::write(node.beneath("pvc-back/data"), "data").unwrap();
    fs::rename(node.beneath("pvc-back"), node.outside("elsewhere")).unwrap();
    fs::remove_dir(node.beneath("pvc-gone")).unwrap();
    for volume in ["pvc-gone", "pvc-back"] {
        let status = node.phase(volume, Phase::Lost).await;
        assert_eq!(status.reason.as_deref(), Some("DirectoryMissing"));
    }
    // It comes back, as a disk that was mounted late.
    fs::rename(node.outside("elsewhere"), node.beneath("pvc-back")).unwrap();
    node.phase("pvc-back", Phase::Ready).await;
    assert_eq!(fs::read_to_string(node.beneath("pvc-back/data")).unwrap(), "data");

    // The status is gone with the object, and the disk is another one.
    node.stop_agent();
    node.forget("pvc-unknown").await;
    fs::remove_dir_all(node.beneath("pvc-unknown")).unwrap();
    node.ask("pvc-unknown", |spec| spec.directory = "pvc-unknown".into()).await;
    node.restart_agent().await;
    let status = node.phase("pvc-unknown", Phase::Refused).await;
    assert_eq!(status.reason.as_deref(), Some("DirectoryMissing"));

    node.stop_agent();
    fs::remove_dir_all(node.base()).unwrap();
    fs::create_dir(node.base()).unwrap();
    node.restart_agent().await;
    node.phase("pvc-back", Phase::Lost).await;
    assert!(!node.beneath("pvc-back").exists());
    // Of what is lost, nothing is left to remove.
    node.ask_absent("pvc-gone").await;
    node.phase("pvc-gone", Phase::Removed).await;
}

#[tokio::test]
async fn an_object_that_is_written_again_finds_its_volume() {
    let Some(node) = Node::start("again").await else { return };
    node.ask("pvc-again-1", |_| {}).await;
    node.phase("pvc-again-1", Phase::Ready).await;
    fs::write(node.beneath("pvc-again-1_default_claim/data"), "data").unwrap();
    node.forget("pvc-again-1").await;
    node.ask("pvc-again-1", |_| {}).await;
    node.phase("pvc-again-1", Phase::Ready).await;
    assert_eq!(fs::read_to_string(node.beneath("pvc-again-1_default_claim/data")).unwrap(), "data");
    node.ask_absent("pvc-again-1").await;
    node.phase("pvc-again-1", Phase::Removed).await;
    assert!(!node.beneath("pvc-again-1_default_claim").exists());
}

#[tokio::test]
async fn refuses_what_it_cannot_make() {
    let Some(node) = Node::start("refuses").await else { return };
    type Change = fn(&mut volgate::model::NodeVolumeSpec);
    let cases: [(&str, &str, &str, Change); 7] = [
        ("pvc-dots", "BadPath", "\"..\"", |spec| spec.directory = "../outside".into()),
        ("pvc-root", "BadPath", "is absolute", |spec| spec.directory = "/etc".into()),
        ("pvc-own", "BadPath", ".volgate", |spec| spec.directory = ".volgate/trash/x".into()),
        ("pvc-base", "UnknownBase", BASE, |spec| spec.base = "/etc".into()),
        ("pvc-large", "NotEnoughSpace", "asked 1024Ti, ", |spec| spec.size_bytes = 1 << 50),
        ("pvc-block", "BackendUnsupported", "loop", |spec| spec.volume_mode = NodeVolumeMode::Block),
        ("pvc-other", "NodeReplaced", "another-uid", |spec| spec.node_uid = "another-uid".into()),
    ];
    for (volume, reason, part, change) in cases {
        node.ask(volume, change).await;
        let status = node.phase(volume, Phase::Refused).await;
        assert_eq!(status.reason.as_deref(), Some(reason));
        let message = status.message.unwrap();
        assert!(message.contains(part), "{volume}: {message}");
        assert_eq!(status.path, None);
    }
    assert_eq!(names(&node.base()), [".volgate"], "nothing of them is on the node");
    assert_eq!(names(&node.beneath(".volgate/volumes")), [""; 0]);
    // Refused is the end of it, whatever is asked afterwards.
    node.ask_absent("pvc-base").await;
    node.phase("pvc-base", Phase::Removed).await;
}

#[tokio::test]
async fn leaves_alone_what_is_not_of_its_node() {
    let Some(node) = Node::start("own").await else { return };
    node.ask("pvc-elsewhere", |_| {}).await;
    node.phase("pvc-elsewhere", Phase::Ready).await;
    // Labelled as this node's, and of another.
    let mut spec = node.spec("pvc-labelled");
    spec.node = "another".into();
    let mut object = volgate::cluster::node_volume("pvc-labelled", spec);
    object.metadata.labels.as_mut().unwrap().insert("volgate.dev/node".into(), "own".into());
    node.api().create(&Default::default(), &object).await.unwrap();
    // The agent has seen it when it has made one that came later.
    node.ask("pvc-later", |_| {}).await;
    node.phase("pvc-later", Phase::Ready).await;
    assert_eq!(node.volume("pvc-labelled").await.status, None);
    assert!(
        node.log().contains("name different nodes; it is left alone volume=\"pvc-labelled\""),
        "{}",
        node.log()
    );
}

#[tokio::test]
async fn nothing_is_removed_without_its_record() {
    let Some(mut node) = Node::start("recordless").await else { return };
    node.ask("pvc-recordless", |spec| spec.directory = "d".into()).await;
    node.phase("pvc-recordless", Phase::Ready).await;
    fs::write(node.beneath("d/data"), "data").unwrap();
    node.stop_agent();
    fs::remove_file(node.beneath(".volgate/volumes/pvc-recordless.json")).unwrap();
    node.ask_absent("pvc-recordless").await;
    node.restart_agent().await;
    let status = node.until("pvc-recordless", "stuck", |status| status.reason.is_some()).await;
    assert_eq!((status.phase, status.reason.as_deref()), (Phase::Pending, Some("NoRecord")));
    // Tried again, it is no different.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(fs::read_to_string(node.beneath("d/data")).unwrap(), "data");
    // By hand, as the message says.
    fs::remove_dir_all(node.beneath("d")).unwrap();
    node.phase("pvc-recordless", Phase::Removed).await;
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_left_alone() {
    let Some(mut node) = Node::start("bad-record").await else { return };
    node.ask("pvc-bad", |spec| spec.directory = "d".into()).await;
    node.phase("pvc-bad", Phase::Ready).await;
    node.stop_agent();
    fs::write(node.beneath(".volgate/volumes/pvc-bad.json"), "{").unwrap();
    node.ask_absent("pvc-bad").await;
    node.restart_agent().await;
    let status = node.until("pvc-bad", "stuck", |status| status.reason.is_some()).await;
    assert_eq!((status.phase, status.reason.as_deref()), (Phase::Pending, Some("BadRecord")));
    assert!(node.beneath("d").is_dir());
    assert_eq!(node.metric("volgate_agent_base_unreadable_records").await, Some(1.0));
}

#[tokio::test]
async fn tells_its_bases_and_comes_back_with_its_storage() {
    let Some(node) = Node::start("tells").await else { return };
    let storage = node.storage("a usable base", |status| status.bases.iter().any(|base| base.usable)).await;
    let base = &storage.status.as_ref().unwrap().bases[0];
    assert_eq!(base.path, BASE);
    assert!(base.backends.contains(&Backend::Directory), "{base:?}");
    assert!(base.capacity_bytes >= base.available_bytes && base.available_bytes > 0, "{base:?}");
    let owner = &storage.metadata.owner_references.unwrap()[0];
    assert_eq!((owner.kind.as_str(), &owner.name, &owner.uid), ("Node", &node.name, &node.uid));
    let first = storage.metadata.uid;
    node.kubectl(&["delete", "nodestorage", "tells"]).await;
    let storage = node.storage("its base again", |status| !status.bases.is_empty()).await;
    assert_ne!(storage.metadata.uid, first);
    let wait = ["wait", "--for=condition=Ready", "--timeout=60s"];
    node.kubectl(&[&wait[..], &["nodestorage/tells"]].concat()).await;
    // Promised bytes are told.
    let large = base.available_bytes / 2;
    node.ask("pvc-tells", |spec| spec.size_bytes = large).await;
    node.kubectl(&[&wait[..], &["nodevolume/pvc-tells"]].concat()).await;
    node.phase("pvc-tells", Phase::Ready).await;
    node.storage("less room", |status| status.bases[0].available_bytes <= base.capacity_bytes - large).await;
}

#[tokio::test]
async fn orphans_are_told_and_removed_only_when_named() {
    let Some(node) = Node::start("orphans").await else { return };
    for volume in ["pvc-orphan", "pvc-kept"] {
        node.ask(volume, |spec| spec.directory = volume.into()).await;
        node.phase(volume, Phase::Ready).await;
        node.forget(volume).await;
    }
    let storage = node.storage("two orphans", |status| status.orphans.len() == 2).await;
    let told: Vec<_> =
        storage.status.unwrap().orphans.into_iter().map(|orphan| (orphan.path, orphan.volume)).collect();
    assert!(told.contains(&(format!("{BASE}/pvc-orphan"), "pvc-orphan".to_owned())), "{told:?}");
    assert_eq!(node.metric("volgate_agent_orphans").await, Some(2.0));
    let patch = json!({"spec": {"removeOrphans": [format!("{BASE}/pvc-orphan")]}}).to_string();
    node.kubectl(&["patch", "nodestorage", "orphans", "--type=merge", "-p", &patch]).await;
    node.storage("one orphan", |status| status.orphans.len() == 1).await;
    assert_eq!(names(&node.base()), [".volgate", "pvc-kept"]);
    assert_eq!(names(&node.beneath(".volgate/volumes")), ["pvc-kept.json"]);
    // One that is known again is none.
    node.ask("pvc-kept", |spec| spec.directory = "pvc-kept".into()).await;
    node.phase("pvc-kept", Phase::Ready).await;
    node.storage("no orphan", |status| status.orphans.is_empty()).await;
}

#[tokio::test]
async fn tells_what_volumes_hold_and_take() {
    let Some(node) = Node::start("metrics").await else { return };
    node.ask("pvc-metrics-1", |_| {}).await;
    node.phase("pvc-metrics-1", Phase::Ready).await;
    node.ask("pvc-metrics-2", |spec| {
        spec.backend = Backend::Loop;
        spec.volume_mode = NodeVolumeMode::Block;
        spec.size_bytes = 8 << 20;
    })
    .await;
    node.phase("pvc-metrics-2", Phase::Ready).await;
    fs::write(node.beneath("pvc-metrics-1_default_claim/data"), vec![1; 3 << 20]).unwrap();
    let labels = |number: u32, backend: &str| {
        format!(
            "{{namespace=\"default\",claim=\"claim-of-pvc-metrics-{number}\",class=\"local-path\",\
             volume=\"pvc-metrics-{number}\",backend=\"{backend}\"}}"
        )
    };
    let (first, second) = (labels(1, "directory"), labels(2, "loop"));
    assert_eq!(node.metric(&format!("volgate_agent_volume_size_bytes{first}")).await, Some(1_073_741_824.0));
    assert_eq!(node.metric(&format!("volgate_agent_volume_size_bytes{second}")).await, Some(8_388_608.0));
    crate::support::wait_until("what they take is told", crate::agent::world::LIMIT, async || {
        let first = node.metric(&format!("volgate_agent_volume_used_bytes{first}")).await;
        let second = node.metric(&format!("volgate_agent_volume_used_bytes{second}")).await;
        match (first, second) {
            (Some(first), Some(second)) if first >= 3_145_728.0 && second < 8_388_608.0 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert_eq!(node.metric("volgate_agent_steps_total{step=\"make\",result=\"done\"}").await, Some(2.0));
    assert_eq!(node.metric("volgate_agent_volumes{phase=\"Ready\"}").await, Some(2.0));
    node.ask_absent("pvc-metrics-2").await;
    node.phase("pvc-metrics-2", Phase::Removed).await;
    assert_eq!(node.metric(&format!("volgate_agent_volume_size_bytes{second}")).await, None);
}
