//! What pods and people may plant beneath a base, and disks that fail: nothing outside of a volume is touched.

use crate::mounts::{Mounted, tool};
use crate::support::wait_until;
use crate::world::{LIMIT, Node, names};
use rustix::fs::{Mode, OFlags};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use volgate::model::{NodeVolumeStatus, Phase};

/// A directory outside of the base, of which nothing may change.
struct Witness(PathBuf);

impl Witness {
    fn new(node: &Node) -> Self {
        let path = node.outside("witness");
        fs::create_dir_all(path.join("inner")).unwrap();
        fs::write(path.join("inner/data"), "data").unwrap();
        Self(path)
    }

    #[track_caller]
    fn is_untouched(&self) {
        assert_eq!(names(&self.0), ["inner"]);
        assert_eq!(names(&self.0.join("inner")), ["data"]);
        assert_eq!(fs::read_to_string(self.0.join("inner/data")).unwrap(), "data");
    }
}

#[tokio::test]
async fn no_symbolic_link_is_followed() {
    let Some(node) = Node::start("links").await else { return };
    let witness = Witness::new(&node);
    symlink(&witness.0, node.beneath("link")).unwrap();
    symlink("..", node.beneath("up")).unwrap();
    symlink("nowhere", node.beneath("dangling")).unwrap();
    fs::write(node.beneath("file"), "").unwrap();
    for (index, directory) in
        ["link", "link/inner", "up/x", "dangling", "link/new/volume", "file", "file/x"].iter().enumerate()
    {
        let volume = format!("pvc-link-{index}");
        node.ask(&volume, |spec| spec.directory = (*directory).into()).await;
        let status = node.phase(&volume, Phase::Refused).await;
        let reason = status.reason.unwrap();
        assert!(["NotADirectory", "SymlinkOnTheWay"].contains(&reason.as_str()), "{directory}: {reason}");
        node.ask_absent(&volume).await;
        node.phase(&volume, Phase::Removed).await;
    }
    witness.is_untouched();
    assert_eq!(names(&node.base()), [".volgate", "dangling", "file", "link", "up"]);
    assert_eq!(names(&node.outside("root/opt")), ["local-path-provisioner"]);

    // Another provisioner's volume that is a link.
    node.ask("pvc-link-old", |spec| {
        spec.directory = "link".into();
        spec.adopt = true;
        spec.desired = volgate::model::Desired::Absent;
    })
    .await;
    let status = node.phase("pvc-link-old", Phase::Pending).await;
    assert_eq!(status.reason.as_deref(), Some("NotADirectory"));
    witness.is_untouched();
}

#[tokio::test]
async fn a_volume_that_became_a_link_is_lost_and_its_removal_goes_nowhere() {
    let Some(node) = Node::start("swapped").await else { return };
    let witness = Witness::new(&node);
    node.ask("pvc-swapped", |spec| spec.directory = "d/e".into()).await;
    node.phase("pvc-swapped", Phase::Ready).await;
    fs::remove_dir(node.beneath("d/e")).unwrap();
    symlink(&witness.0, node.beneath("d/e")).unwrap();
    // The agent may have looked when there was nothing at all.
    let by_link = |status: &NodeVolumeStatus| {
        status.phase == Phase::Lost && status.reason.as_deref() == Some("NotADirectory")
    };
    node.until("pvc-swapped", "lost to a link", by_link).await;
    node.ask_absent("pvc-swapped").await;
    node.phase("pvc-swapped", Phase::Removed).await;
    node.trash_is_empty().await;
    witness.is_untouched();

    // And one whose parent became a link: there is no way to it.
    node.ask("pvc-swapped-2", |spec| spec.directory = "p/inner".into()).await;
    node.phase("pvc-swapped-2", Phase::Ready).await;
    fs::rename(node.beneath("p"), node.beneath("q")).unwrap();
    symlink(&witness.0, node.beneath("p")).unwrap();
    node.phase("pvc-swapped-2", Phase::Lost).await;
    node.ask_absent("pvc-swapped-2").await;
    let status = node.until("pvc-swapped-2", "stuck", |status| status.phase == Phase::Pending).await;
    assert!(matches!(status.reason.as_deref(), Some("SymlinkOnTheWay" | "NotADirectory")), "{status:?}");
    witness.is_untouched();
}

#[tokio::test]
async fn whatever_is_in_a_volume_is_removed_and_nothing_else() {
    let Some(node) = Node::start("content").await else { return };
    let witness = Witness::new(&node);
    node.ask("pvc-content", |spec| spec.directory = "d".into()).await;
    node.phase("pvc-content", Phase::Ready).await;
    let volume = node.beneath("d");
    symlink(&witness.0, volume.join("link")).unwrap();
    symlink(witness.0.join("inner/data"), volume.join("link-to-file")).unwrap();
    symlink("/", volume.join("root")).unwrap();
    symlink("../..", volume.join("up")).unwrap();
    fs::hard_link(witness.0.join("inner/data"), volume.join("hard")).unwrap();
    for name in [&b"\xff\xfe"[..], b"-rf", b"new\nline", b"...", b"moved-up.1", b" "] {
        fs::create_dir_all(volume.join(OsStr::from_bytes(name)).join("x/y")).unwrap();
    }
    tool(Command::new("mkfifo").arg(volume.join("fifo")));
    // Deeper than a path can be long.
    let mut deep = fs::File::open(&volume).unwrap();
    for _ in 0..3000 {
        rustix::fs::mkdirat(&deep, "deep", Mode::RWXU).unwrap();
        deep = rustix::fs::openat(&deep, "deep", OFlags::RDONLY, Mode::empty()).unwrap().into();
    }
    // More than is read at a time.
    fs::create_dir(volume.join("many")).unwrap();
    for number in 0..5000 {
        fs::write(volume.join(format!("many/{number}")), "").unwrap();
    }
    node.ask_absent("pvc-content").await;
    node.phase("pvc-content", Phase::Removed).await;
    node.trash_is_empty().await;
    witness.is_untouched();
}

#[tokio::test]
async fn what_is_mounted_or_immutable_stays_in_the_trash_and_is_told() {
    let Some(mut node) = Node::start("stuck").await else { return };
    let witness = Witness::new(&node);
    node.ask("pvc-stuck", |spec| spec.directory = "d".into()).await;
    node.phase("pvc-stuck", Phase::Ready).await;
    let volume = node.beneath("d");
    fs::create_dir_all(volume.join("sub/more")).unwrap();
    fs::write(volume.join("gone"), "").unwrap();
    fs::write(volume.join("sub/immutable"), "").unwrap();
    tool(Command::new("chattr").arg("+i").arg(volume.join("sub/immutable")));
    let mut mounted = Mounted::bind(&witness.0, &volume.join("sub/mounted"));
    node.ask_absent("pvc-stuck").await;
    node.phase("pvc-stuck", Phase::Removed).await;
    mounted.moved(&node.beneath(".volgate/trash/pvc-stuck.0/sub/mounted"));
    wait_until("the rest is removed", LIMIT, async || {
        let left = names(&node.beneath(".volgate/trash/pvc-stuck.0/sub"));
        if left == ["immutable", "mounted"] { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
    wait_until("the trash is told", LIMIT, async || {
        match node.metric("volgate_agent_trash_stuck_entries").await {
            Some(1.0) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert_eq!(names(&node.beneath(".volgate/trash/pvc-stuck.0")), ["sub"]);
    witness.is_untouched();
    drop(mounted);
    tool(Command::new("chattr").arg("-i").arg(node.beneath(".volgate/trash/pvc-stuck.0/sub/immutable")));
    node.restart_agent().await;
    node.trash_is_empty().await;
    witness.is_untouched();
}

#[tokio::test]
async fn a_mount_in_a_volumes_place_is_left_alone() {
    let Some(node) = Node::start("mounted").await else { return };
    let witness = Witness::new(&node);
    node.ask("pvc-mounted", |spec| spec.directory = "d".into()).await;
    node.phase("pvc-mounted", Phase::Ready).await;
    let mounted = Mounted::bind(&witness.0, &node.beneath("d"));
    node.phase("pvc-mounted", Phase::Lost).await;
    node.ask_absent("pvc-mounted").await;
    let status = node.until("pvc-mounted", "busy", |status| status.phase == Phase::Pending).await;
    assert_eq!(status.reason.as_deref(), Some("Busy"));
    witness.is_untouched();
    drop(mounted);
    node.phase("pvc-mounted", Phase::Removed).await;
    node.trash_is_empty().await;
    witness.is_untouched();
}

#[tokio::test]
async fn a_full_disk_is_no_place_for_a_volume() {
    let Some(mut node) = Node::without_agent("full").await else { return };
    let mounted = Mounted::image(
        Command::new("mkfs.ext4").args(["-q", "-m", "0"]),
        &node.outside("full.img"),
        16,
        &node.base(),
    );
    node.start_agent(&[], None).await;
    node.ask("pvc-full-1", |spec| spec.size_bytes = 8 << 20).await;
    node.phase("pvc-full-1", Phase::Ready).await;
    node.ask("pvc-full-2", |spec| spec.size_bytes = 8 << 20).await;
    let status = node.phase("pvc-full-2", Phase::Refused).await;
    assert_eq!(status.reason.as_deref(), Some("NotEnoughSpace"));
    let message = status.message.unwrap();
    assert!(message.starts_with("asked 8Mi, ") && message.ends_with("(ext4)"), "{message}");
    node.storage("the file system", |status| status.bases[0].filesystem == "ext4").await;

    // Not a byte is left, for a record neither; a volume of no size asks for no room.
    let filler = node.beneath("filler");
    let _ = Command::new("dd").arg("if=/dev/zero").arg(format!("of={}", filler.display())).output();
    for index in 0..200 {
        if fs::write(node.beneath(&format!("filler-{index}")), [0; 4096]).is_err() {
            break;
        }
    }
    node.ask("pvc-full-3", |spec| spec.size_bytes = 0).await;
    let status = node.phase("pvc-full-3", Phase::Refused).await;
    assert_eq!(status.reason.as_deref(), Some("NotEnoughSpace"), "{status:?}");
    assert_eq!(names(&node.beneath(".volgate/volumes")), ["pvc-full-1.json"]);
    // What is there can be removed all the same.
    node.ask_absent("pvc-full-1").await;
    node.phase("pvc-full-1", Phase::Removed).await;
    node.stop_agent();
    drop(mounted);
}

#[tokio::test]
async fn a_disk_that_turned_read_only_loses_nothing_and_takes_nothing() {
    let Some(mut node) = Node::without_agent("read-only").await else { return };
    let mounted = Mounted::new(&["-t", "tmpfs", "-o", "size=64m", "tmpfs"], &node.base());
    node.start_agent(&["--overcommit", "100"], None).await;
    node.ask("pvc-ro-1", |spec| spec.size_bytes = 1 << 20).await;
    node.phase("pvc-ro-1", Phase::Ready).await;
    tool(Command::new("mount").args(["-o", "remount,ro"]).arg(node.base()));
    node.storage("a read-only base", |status| !status.bases[0].usable).await;
    assert!(node.get("/readyz").await.unwrap().1.contains("[-]bases failed"));
    node.ask("pvc-ro-2", |spec| spec.size_bytes = 1 << 20).await;
    let status = node.phase("pvc-ro-2", Phase::Refused).await;
    assert_eq!(status.reason.as_deref(), Some("ReadOnly"));
    let status = node.volume("pvc-ro-1").await.status.unwrap();
    assert_eq!((status.phase, status.reason), (Phase::Ready, None), "it can still be read");
    node.ask_absent("pvc-ro-1").await;
    let status = node.until("pvc-ro-1", "stuck", |status| status.phase == Phase::Pending).await;
    assert_eq!(status.reason.as_deref(), Some("ReadOnly"));
    tool(Command::new("mount").args(["-o", "remount,rw"]).arg(node.base()));
    node.phase("pvc-ro-1", Phase::Removed).await;
    node.stop_agent();
    drop(mounted);
}

#[tokio::test]
async fn a_disk_that_is_mounted_late_is_found() {
    let Some(node) = Node::start("late").await else { return };
    let disk = node.outside("disk");
    // As it was before the reboot.
    node.ask("pvc-late", |spec| spec.directory = "d".into()).await;
    node.phase("pvc-late", Phase::Ready).await;
    fs::create_dir(&disk).unwrap();
    for name in [".volgate", "d"] {
        fs::rename(node.beneath(name), disk.join(name)).unwrap();
    }
    node.phase("pvc-late", Phase::Lost).await;
    let mounted = Mounted::bind(&disk, &node.base());
    node.phase("pvc-late", Phase::Ready).await;
    drop(mounted);
}

#[tokio::test]
async fn the_agent_is_confined_to_its_bases() {
    let Some(node) = Node::start("confined").await else { return };
    let witness = Witness::new(&node);
    if node.log().contains("not confined by Landlock") {
        crate::support::say("this kernel has no Landlock: that the agent is confined was NOT tested");
        return;
    }
    assert!(node.log().contains("confined to the bases by Landlock"), "{}", node.log());
    // The base becomes a link to elsewhere: people may do that, but not under a running agent.
    fs::remove_dir_all(node.base()).unwrap();
    symlink(&witness.0, node.base()).unwrap();
    let storage = node.storage("no usable base", |status| !status.bases[0].usable).await;
    let message = storage.status.unwrap().bases[0].message.clone().unwrap();
    assert!(message.contains("Permission denied"), "{message}");
    node.ask("pvc-confined", |_| {}).await;
    let status = node.phase("pvc-confined", Phase::Refused).await;
    assert_eq!(status.reason.as_deref(), Some("NotAllowed"));
    witness.is_untouched();
}
