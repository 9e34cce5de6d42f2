//! What pods and people may plant beneath a base, and disks that fail: nothing outside of a volume is touched.

use crate::agent::mounts::{Mounted, tool};
use crate::agent::world::{LIMIT, Node, names};
use crate::support::wait_until;
use rustix::fs::{Mode, OFlags};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use volgate::model::{NodeStorageStatus, NodeVolumeStatus, Phase};

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
    tool(Command::new("mknod").arg(volume.join("device")).args(["c", "1", "3"]));
    // As many attributes as the file system takes, of a file and of a directory.
    fs::write(volume.join("attributes"), "").unwrap();
    fs::create_dir(volume.join("attributes-too")).unwrap();
    for name in ["attributes", "attributes-too"] {
        let set = |number: &u32| {
            let (attribute, flags) = (format!("user.{number}"), rustix::fs::XattrFlags::empty());
            rustix::fs::setxattr(volume.join(name), attribute, &[b'v'; 100], flags).is_ok()
        };
        assert!((0..5000).take_while(set).count() > 0, "{name}");
    }
    for name in [&[0xff; 255][..], &[b'n'; 255]] {
        fs::create_dir_all(volume.join(OsStr::from_bytes(name)).join(OsStr::from_bytes(name)).join("x"))
            .unwrap();
    }
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
async fn what_is_immutable_keeps_neither_the_rest_nor_others_in_the_trash() {
    let Some(mut node) = Node::start("immutable").await else { return };
    for volume in ["pvc-immutable", "pvc-near-immutable"] {
        node.ask(volume, |spec| spec.directory = volume.into()).await;
        node.phase(volume, Phase::Ready).await;
    }
    // More than are looked at in one turn, wherever they stand among the others.
    let volume = node.beneath("pvc-immutable");
    (0..3000).for_each(|number| fs::write(volume.join(format!("{number}")), "").unwrap());
    let immutable: Vec<String> = (0..3000).filter(|number| number % 2 == 0).map(|n| n.to_string()).collect();
    let flags = |flag: &str, at: &std::path::Path| {
        tool(Command::new("chattr").arg(flag).args(&immutable).current_dir(at));
    };
    flags("+i", &volume);
    fs::create_dir_all(volume.join("deep/er")).unwrap();
    fs::write(node.beneath("pvc-near-immutable/data"), "").unwrap();
    for volume in ["pvc-immutable", "pvc-near-immutable"] {
        node.ask_absent(volume).await;
        node.phase(volume, Phase::Removed).await;
    }
    let left = node.beneath(".volgate/trash/pvc-immutable.0");
    wait_until("all the others are removed", LIMIT, async || {
        let (entries, files) = (names(&node.beneath(".volgate/trash")), names(&left).len());
        if entries == ["pvc-immutable.0"] && files == immutable.len() {
            Ok(())
        } else {
            Err(format!("{entries:?}, {files} files"))
        }
    })
    .await;
    flags("-i", &left);
    node.restart_agent().await;
    node.trash_is_empty().await;
}

#[tokio::test]
async fn whoever_goes_on_in_a_removed_volume_holds_up_nobody() {
    let Some(node) = Node::start("goes-on").await else { return };
    let witness = Witness::new(&node);
    node.ask("pvc-goes-on", |spec| spec.directory = "d".into()).await;
    node.phase("pvc-goes-on", Phase::Ready).await;
    // A process that a pod has left behind: it makes, renames and links, by a handle of the volume.
    let handle = fs::File::open(node.beneath("d")).unwrap();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = stop.clone();
    let elsewhere = witness.0.clone();
    let busy = std::thread::spawn(move || {
        let mut number = 0_u64;
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            number += 1;
            // Whatever fails was removed under its hands.
            let _ = rustix::fs::mkdirat(&handle, format!("d{number}"), Mode::RWXU);
            let _ = rustix::fs::mkdirat(&handle, format!("d{number}/e"), Mode::RWXU);
            let _ = rustix::fs::renameat(&handle, format!("d{number}"), &handle, "renamed");
            let _ = rustix::fs::symlinkat(&elsewhere, &handle, format!("d{number}"));
            std::thread::yield_now();
        }
    });
    node.ask_absent("pvc-goes-on").await;
    node.phase("pvc-goes-on", Phase::Removed).await;
    node.ask("pvc-after", |spec| spec.directory = "other".into()).await;
    node.phase("pvc-after", Phase::Ready).await;
    fs::write(node.beneath("other/data"), "").unwrap();
    node.ask_absent("pvc-after").await;
    node.phase("pvc-after", Phase::Removed).await;
    wait_until("the other is gone, and the first is not waited for", LIMIT, async || {
        let entries = names(&node.beneath(".volgate/trash"));
        if entries.iter().any(|name| name.starts_with("pvc-after")) {
            Err(format!("{entries:?}"))
        } else {
            Ok(())
        }
    })
    .await;
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    busy.join().unwrap();
    // It may rest for a while now, if a pass came to nothing.
    let mut node = node;
    node.restart_agent().await;
    node.trash_is_empty().await;
    witness.is_untouched();
}

#[tokio::test]
async fn whatever_a_nodevolume_names_nothing_but_its_own_is_touched() {
    let Some(mut node) = Node::start("names").await else { return };
    let witness = Witness::new(&node);
    node.ask("pvc-names", |spec| spec.directory = "good".into()).await;
    node.phase("pvc-names", Phase::Ready).await;
    fs::write(node.beneath("good/data"), "data").unwrap();
    let (long, deep) = ("n".repeat(256), "n/".repeat(600));
    let directories = [
        "",
        ".",
        "..",
        "/",
        "/etc",
        "../witness",
        "good/../../witness",
        "good/./x",
        "good//x",
        "good/",
        "./good",
        ".volgate",
        ".volgate/volumes",
        ".volgate/trash",
        ".Volgate/loop",
        "good/.volgate",
        "a\0b",
        "a\nb",
        "a\u{7f}b",
        &long,
        &deep,
    ];
    for (index, directory) in directories.iter().enumerate() {
        let volume = format!("pvc-bad-path-{index}");
        node.ask(&volume, |spec| spec.directory = (*directory).into()).await;
        let status = node.phase(&volume, Phase::Refused).await;
        assert_eq!(status.reason.as_deref(), Some("BadPath"), "{directory:?}");
        node.ask_absent(&volume).await;
        node.phase(&volume, Phase::Removed).await;
        // As another provisioner's, to be removed.
        let volume = format!("pvc-bad-old-{index}");
        node.ask(&volume, |spec| {
            spec.directory = (*directory).into();
            spec.adopt = true;
            spec.desired = volgate::model::Desired::Absent;
        })
        .await;
        let status = node.until(&volume, "stuck", |status| status.reason.is_some()).await;
        assert_eq!(
            (status.phase, status.reason.as_deref()),
            (Phase::Pending, Some("BadPath")),
            "{directory:?}"
        );
    }
    let too_long = format!("pvc-{}", "n".repeat(240));
    node.ask(&too_long, |spec| spec.directory = "long".into()).await;
    assert_eq!(node.phase(&too_long, Phase::Refused).await.reason.as_deref(), Some("BadName"));
    // Names that look like the agent's own files beside each other, also for an agent that reads their records anew.
    let alike = ["x", "x.new", "x.json", "x.json.new", "x.0"];
    for volume in alike {
        node.ask(volume, |spec| spec.directory = format!("alike-{volume}")).await;
        node.phase(volume, Phase::Ready).await;
    }
    node.restart_agent().await;
    node.change("x", serde_json::json!({"sizeBytes": 2_i64 << 30})).await;
    node.until("x", "grown", |status| status.size_bytes == Some(2 << 30)).await;
    for gone in alike {
        node.ask_absent(gone).await;
        node.phase(gone, Phase::Removed).await;
    }
    node.trash_is_empty().await;
    assert_eq!(names(&node.base()), [".volgate", "good"]);
    assert_eq!(names(&node.beneath(".volgate/volumes")), ["pvc-names.json"]);
    assert_eq!(fs::read_to_string(node.beneath("good/data")).unwrap(), "data");
    witness.is_untouched();
}

#[tokio::test]
async fn a_disk_full_of_files_is_no_place_for_a_volume_until_they_are_gone() {
    let Some(mut node) = Node::without_agent("inodes").await else { return };
    let mounted = Mounted::image(
        Command::new("mkfs.ext4").args(["-q", "-m", "0", "-N", "128"]),
        &node.outside("inodes.img"),
        64,
        &node.base(),
    );
    node.start_agent(&[], None).await;
    for volume in ["pvc-fills", "pvc-beside-it"] {
        node.ask(volume, |spec| (spec.directory, spec.size_bytes) = (volume.into(), 1 << 20)).await;
        node.phase(volume, Phase::Ready).await;
    }
    let made =
        (0..1000).take_while(|n| fs::write(node.beneath(&format!("pvc-fills/{n}")), "").is_ok()).count();
    assert!(made < 200, "{made}");
    let storage = node.storage("a full base", |status| !status.bases[0].usable).await;
    let message = storage.status.unwrap().bases[0].message.clone().unwrap();
    assert!(message.contains("no inode is left of "), "{message}");
    node.ask("pvc-late-one", |spec| spec.size_bytes = 1 << 20).await;
    let status = node.phase("pvc-late-one", Phase::Refused).await;
    assert_eq!(status.reason.as_deref(), Some("NotEnoughSpace"), "{status:?}");
    assert_eq!(node.volume("pvc-beside-it").await.status.unwrap().phase, Phase::Ready);
    // It can be removed all the same, and then there is room.
    node.ask_absent("pvc-fills").await;
    node.phase("pvc-fills", Phase::Removed).await;
    node.trash_is_empty().await;
    node.storage("a usable base", |status| status.bases[0].usable).await;
    node.ask("pvc-after-full", |spec| spec.size_bytes = 1 << 20).await;
    node.phase("pvc-after-full", Phase::Ready).await;
    node.stop_agent();
    drop(mounted);
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
    // Between the two steps the agent may have found no base at all.
    let is_denied = |status: &NodeStorageStatus| {
        status.bases[0].message.as_deref().is_some_and(|message| message.contains("Permission denied"))
    };
    let storage = node.storage("a base that the agent may not follow", is_denied).await;
    assert!(!storage.status.unwrap().bases[0].usable);
    node.ask("pvc-confined", |_| {}).await;
    let status = node.phase("pvc-confined", Phase::Refused).await;
    assert_eq!(status.reason.as_deref(), Some("NotAllowed"));
    witness.is_untouched();
}
