//! Backends that bound a volume's size, on real file systems. They need root, as an agent does.

use crate::agent::mounts::{Mounted, tool};
use crate::agent::steps::survives;
use crate::agent::world::{LIMIT, Node, mode, names};
use crate::support::node::Tools;
use crate::support::wait_until;
use serde_json::json;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, FileTypeExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use volgate::model::{Backend, NodeVolumeMode, NodeVolumeSpec, Phase};

const MIB: i64 = 1 << 20;

fn block(spec: &mut NodeVolumeSpec) {
    spec.backend = Backend::Loop;
    spec.volume_mode = NodeVolumeMode::Block;
    spec.size_bytes = 16 * MIB;
}

/// The device that a volume's path leads to, which must be a block device.
fn device(node: &Node, volume: &str) -> PathBuf {
    let target = fs::read_link(node.at(&format!("/dev/volgate/{volume}"))).unwrap();
    assert!(fs::metadata(&target).unwrap().file_type().is_block_device(), "{}", target.display());
    target
}

fn size_of(device: &Path) -> i64 {
    let name = device.file_name().unwrap().to_str().unwrap();
    let sectors = fs::read_to_string(format!("/sys/block/{name}/size")).unwrap();
    sectors.trim().parse::<i64>().unwrap() * 512
}

/// The loop devices over files of a node.
fn devices(node: &Node) -> Vec<String> {
    let all = tool(Command::new("losetup").args(["--list", "--noheadings", "--output", "BACK-FILE"]));
    all.lines().filter(|file| file.contains(node.root().to_str().unwrap())).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_block_volume_is_a_device_that_grows_and_survives_a_reboot() {
    let Some(mut node) = Node::start("block").await else { return };
    node.ask("pvc-block-1", block).await;
    let status = node.phase("pvc-block-1", Phase::Ready).await;
    assert_eq!(
        (status.path.as_deref(), status.size_bytes),
        (Some("/dev/volgate/pvc-block-1"), Some(16 * MIB))
    );
    let at = device(&node, "pvc-block-1");
    assert_eq!(size_of(&at), 16 * MIB);
    File::options().write(true).open(&at).unwrap().write_all_at(b"written", 15 << 20).unwrap();
    tool(Command::new("sync").arg(&at));

    node.change("pvc-block-1", json!({"sizeBytes": 32 * MIB})).await;
    node.until("pvc-block-1", "grown", |status| status.size_bytes == Some(32 * MIB)).await;
    assert_eq!(size_of(&at), 32 * MIB, "online");

    // A reboot: the device and /dev are gone, the file is not.
    node.stop_agent();
    tool(Command::new("losetup").arg("--detach").arg(&at));
    fs::remove_dir_all(node.at("/dev/volgate")).unwrap();
    node.restart_agent().await;
    wait_until("it is attached again", LIMIT, async || {
        if node.at("/dev/volgate/pvc-block-1").exists() { Ok(()) } else { Err(node.log()) }
    })
    .await;
    let at = device(&node, "pvc-block-1");
    let mut read = [0; 7];
    File::open(&at).unwrap().read_exact_at(&mut read, 15 << 20).unwrap();
    assert_eq!(&read, b"written");

    // While a pod has it open, it stays.
    let open = File::open(&at).unwrap();
    node.ask_absent("pvc-block-1").await;
    let status = node.until("pvc-block-1", "busy", |status| status.reason.is_some()).await;
    assert_eq!((status.phase, status.reason.as_deref()), (Phase::Pending, Some("Busy")));
    assert!(node.beneath(".volgate/loop/pvc-block-1").exists());
    drop(open);
    node.phase("pvc-block-1", Phase::Removed).await;
    assert_eq!(devices(&node), [""; 0]);
    assert_eq!(names(&node.beneath(".volgate/loop")), [""; 0]);
    assert_eq!(names(&node.at("/dev/volgate")), [""; 0]);
    node.trash_is_empty().await;
}

#[tokio::test]
async fn a_node_has_no_more_loop_devices_than_it_may() {
    let Some(mut node) = Node::without_agent("devices").await else { return };
    node.start_agent(&["--max-loop-devices", "2"], None).await;
    for volume in ["pvc-device-1", "pvc-device-2"] {
        node.ask(volume, block).await;
        node.phase(volume, Phase::Ready).await;
    }
    node.ask("pvc-device-3", block).await;
    let status = node.phase("pvc-device-3", Phase::Refused).await;
    assert_eq!(status.reason.as_deref(), Some("TooManyDevices"));
    assert!(status.message.unwrap().contains("this node has 2 loop volumes"));
    // The scheduler and the controller see it before they ask.
    let lacks =
        |status: &volgate::model::NodeStorageStatus| !status.bases[0].backends.contains(&Backend::Loop);
    let storage = node.storage("that it can have no other", lacks).await;
    let message = storage.status.unwrap().bases[0].message.clone().unwrap();
    assert!(message.contains("(TooManyDevices)"), "{message}");
    // Those that are there grow, and are attached again by an agent that may have fewer.
    node.change("pvc-device-1", json!({"sizeBytes": 32 * MIB})).await;
    node.until("pvc-device-1", "grown", |status| status.size_bytes == Some(32 * MIB)).await;
    node.stop_agent();
    let at = device(&node, "pvc-device-1");
    tool(Command::new("losetup").arg("--detach").arg(&at));
    fs::remove_dir_all(node.at("/dev/volgate")).unwrap();
    node.start_agent(&["--max-loop-devices", "1"], None).await;
    wait_until("both are attached", LIMIT, async || {
        let links = names(&node.at("/dev/volgate"));
        if links == ["pvc-device-1", "pvc-device-2"] { Ok(()) } else { Err(node.log()) }
    })
    .await;
    for volume in ["pvc-device-1", "pvc-device-2"] {
        node.ask_absent(volume).await;
        node.phase(volume, Phase::Removed).await;
    }
    node.ask("pvc-device-4", block).await;
    node.phase("pvc-device-4", Phase::Ready).await;
    node.ask_absent("pvc-device-4").await;
    node.phase("pvc-device-4", Phase::Removed).await;
    // Without any, there is nothing of /dev for the agent.
    node.start_agent(&["--max-loop-devices", "0"], None).await;
    node.ask("pvc-device-5", block).await;
    let status = node.phase("pvc-device-5", Phase::Refused).await;
    assert_eq!(status.reason.as_deref(), Some("BackendUnsupported"));
    assert!(status.message.unwrap().contains("--max-loop-devices 0"));
    assert_eq!(devices(&node), [""; 0]);
}

#[tokio::test]
async fn a_loop_volume_is_a_file_system_of_its_own_size() {
    let Some(node) = Node::start("loop-fs").await else { return };
    node.ask("pvc-loop-fs", |spec| {
        block(spec);
        spec.volume_mode = NodeVolumeMode::Filesystem;
    })
    .await;
    node.phase("pvc-loop-fs", Phase::Ready).await;
    // What the kubelet does with a local volume whose path is a device.
    let at = device(&node, "pvc-loop-fs");
    tool(Command::new("mkfs.ext4").arg("-q").arg(&at));
    let mounted = Mounted::new(&[at.to_str().unwrap()], &node.outside("mounted"));
    let full = fs::write(node.outside("mounted/data"), vec![0; 17 << 20]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    drop(mounted);
    node.ask_absent("pvc-loop-fs").await;
    node.phase("pvc-loop-fs", Phase::Removed).await;
}

#[tokio::test]
async fn a_link_in_the_place_of_a_loop_volumes_file_leads_nowhere() {
    let Some(node) = Node::start("loop-link").await else { return };
    fs::write(node.outside("secret"), vec![1; 8192]).unwrap();
    node.ask("pvc-before", |_| {}).await;
    node.phase("pvc-before", Phase::Ready).await;
    symlink(node.outside("secret"), node.beneath(".volgate/loop/pvc-loop-link")).unwrap();
    node.ask("pvc-loop-link", block).await;
    let status = node.phase("pvc-loop-link", Phase::Refused).await;
    assert_eq!(status.reason.as_deref(), Some("NotADirectory"));
    assert_eq!(fs::metadata(node.outside("secret")).unwrap().len(), 8192);
}

#[tokio::test]
async fn a_loop_volume_survives_the_agents_end_at_every_step() {
    let Some(mut node) = Node::start("loop-steps").await else { return };
    let met = survives(
        &mut node,
        |spec| block(&mut *spec),
        |node, volume| {
            let at = device(node, volume);
            File::options().write(true).open(&at).unwrap().write_all_at(b"data", 0).unwrap();
        },
    )
    .await;
    for step in ["bound", "attach"] {
        assert!(met.contains(&format!("create agent-before-{step}")), "{met:?}");
    }
    for point in ["create agent-within-bound", "grow agent-within-bound", "grow agent-after-bound"] {
        assert!(met.contains(&point.to_owned()), "{met:?}");
    }
    assert!(met.contains(&"remove agent-after-detach".to_owned()), "{met:?}");
    assert_eq!(names(&node.at("/dev/volgate")), [""; 0]);
    assert_eq!(devices(&node), [""; 0]);
}

/// A btrfs of so many MiB as the node's base.
pub(crate) fn btrfs(node: &Node, mebibytes: u64) -> Mounted {
    let tools = Tools::get().unwrap_or_else(|fault| panic!("{fault}"));
    let mut mkfs = Command::new(tools.program("mkfs.btrfs").unwrap());
    let [_, (variable, value)] = tools.environment(tools.root());
    Mounted::image(
        mkfs.arg("--quiet").env(variable, value),
        &node.outside("btrfs.img"),
        mebibytes,
        &node.base(),
    )
}

/// Writes until nothing more goes in, and gives how much went.
fn fill(file: &Path) -> i64 {
    let file = File::create(file).unwrap();
    let mut at = 0;
    while file.write_all_at(&[1; 1 << 16], at).and_then(|()| file.sync_data()).is_ok() {
        at += 1 << 16;
        assert!(at < 1 << 30, "nothing bounds it");
    }
    i64::try_from(at).unwrap()
}

#[tokio::test]
async fn a_subvolume_holds_what_it_is_bounded_to_and_grows() {
    let Some(mut node) = Node::without_agent("btrfs").await else { return };
    let mounted = btrfs(&node, 512);
    node.start_agent(&[], None).await;
    let storage = node.storage("a btrfs", |status| status.bases[0].filesystem == "btrfs").await;
    assert!(storage.status.unwrap().bases[0].backends.contains(&Backend::Btrfs));
    node.ask("pvc-btrfs", |spec| {
        spec.backend = Backend::Btrfs;
        spec.directory = "team/data".into();
        spec.size_bytes = 16 * MIB;
    })
    .await;
    let status = node.phase("pvc-btrfs", Phase::Ready).await;
    assert_eq!(status.size_bytes, Some(16 * MIB));
    let directory = node.beneath("team/data");
    assert_eq!(mode(&directory), 0o777);
    fs::create_dir_all(directory.join("a/b")).unwrap();
    let held = fill(&directory.join("a/one"));
    assert!((8 * MIB..=16 * MIB).contains(&held), "{held}");
    node.change("pvc-btrfs", json!({"sizeBytes": 32 * MIB})).await;
    node.until("pvc-btrfs", "grown", |status| status.size_bytes == Some(32 * MIB)).await;
    let more = fill(&directory.join("two"));
    assert!((8 * MIB..=24 * MIB).contains(&more), "{more}");
    assert!(held + more <= 32 * MIB, "{held} {more}");

    node.ask_absent("pvc-btrfs").await;
    node.phase("pvc-btrfs", Phase::Removed).await;
    node.trash_is_empty().await;
    assert_eq!(names(&node.beneath("team")), [""; 0]);

    // A plain directory is no subvolume.
    fs::create_dir(node.beneath("plain")).unwrap();
    node.ask("pvc-plain", |spec| {
        spec.backend = Backend::Btrfs;
        spec.directory = "plain".into();
        spec.size_bytes = MIB;
    })
    .await;
    node.phase("pvc-plain", Phase::Refused).await;
    node.stop_agent();
    drop(mounted);
}

#[tokio::test]
async fn a_subvolume_survives_the_agents_end_at_every_step() {
    let Some(mut node) = Node::without_agent("btrfs-steps").await else { return };
    let mounted = btrfs(&node, 512);
    node.start_agent(&[], None).await;
    let met = survives(
        &mut node,
        |spec| spec.backend = Backend::Btrfs,
        |node, volume| {
            let directory = format!("d{}", volume.rsplit('-').next().unwrap());
            fs::write(node.beneath(&directory).join("data"), "data").unwrap();
        },
    )
    .await;
    assert!(met.contains(&"create agent-after-bound".to_owned()), "{met:?}");
    assert_eq!(names(&node.base()), [".volgate", "witness"]);
    node.stop_agent();
    drop(mounted);
}
