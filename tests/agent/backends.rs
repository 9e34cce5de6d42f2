//! Backends that bound a volume's size, on real file systems. They need root, as an agent does.

use crate::mounts::{Mounted, tool};
use crate::steps::survives;
use crate::support::wait_until;
use crate::world::{LIMIT, Node, names};
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

fn is_bound(device: &Path) -> bool {
    let name = device.file_name().unwrap().to_str().unwrap();
    Path::new(&format!("/sys/block/{name}/loop/backing_file")).exists()
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
    assert!(!is_bound(&at));
    assert_eq!(names(&node.beneath(".volgate/loop")), [""; 0]);
    assert_eq!(names(&node.at("/dev/volgate")), [""; 0]);
    node.trash_is_empty().await;
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
    assert!(met.contains(&"grow agent-after-bound".to_owned()), "{met:?}");
    assert!(met.contains(&"remove agent-after-detach".to_owned()), "{met:?}");
    assert_eq!(names(&node.at("/dev/volgate")), [""; 0]);
    let left = tool(Command::new("losetup").args(["--list", "--output", "NAME,BACK-FILE"]));
    assert!(!left.contains(node.root().to_str().unwrap()), "{left}");
}
