//! Project quotas, in a virtual machine whose kernel has them.

use crate::agent::vm::{Parts, Vm, disk};
use crate::agent::world::{BASE, Node};
use serde_json::json;
use std::process::Command;
use volgate::model::{Backend, Phase};

pub(crate) const MIB: i64 = 1 << 20;

pub(crate) fn mkfs_xfs(parts: &Parts) -> Command {
    let mut mkfs = parts.program("sbin/mkfs.xfs");
    mkfs.arg("-q");
    mkfs
}

pub(crate) fn mkfs_ext4(parts: &Parts, options: &[&str]) -> Command {
    let mut mkfs = parts.program("sbin/mkfs.ext4");
    mkfs.arg("-q").args(options);
    mkfs
}

/// A machine without an agent yet, in which the node's base is a disk of the given file system.
pub(crate) async fn machine(node: &Node, mkfs: impl FnOnce(&Parts) -> Command, mount: &str) -> Vm {
    let parts = Parts::get();
    let image = node.outside("disk.img");
    disk(&mut mkfs(&parts), &image, 512);
    let vm = Vm::start(node, &parts, &image).await;
    vm.run(&format!("mkdir -p /mnt/root{BASE} && mount {mount} /dev/vda /mnt/root{BASE}")).await;
    vm
}

/// The command line of an agent in the machine, and if wanted a point at which it ends.
pub(crate) fn agent_command(node: &Node, failpoint: Option<&str>) -> String {
    let args: Vec<String> = node.agent_args().iter().map(|arg| format!("'{arg}'")).collect();
    format!(
        "KUBECONFIG=/mnt/mail/kubeconfig RUST_LOG=debug,hyper_util=info,kube=info,tower=info {}='{}' \
         setsid {} {} --host-root /mnt/root >>/mnt/mail/agent.log 2>&1 </dev/null",
        volgate::failpoint::VARIABLE,
        failpoint.unwrap_or_default(),
        env!("CARGO_BIN_EXE_volgate"),
        args.join(" ")
    )
}

/// A machine with an agent.
pub(crate) async fn agent(node: &Node, mkfs: impl FnOnce(&Parts) -> Command, mount: &str) -> Vm {
    let vm = machine(node, mkfs, mount).await;
    vm.run(&format!("{} &", agent_command(node, None))).await;
    vm
}

/// The project of a volume, by its record.
async fn project(vm: &Vm, volume: &str) -> u32 {
    let record = vm.run(&format!("cat /mnt/root{BASE}/.volgate/volumes/{volume}.json")).await;
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    record["project"].as_u64().unwrap().try_into().unwrap()
}

async fn bounds(node: &Node, vm: &Vm) {
    let storage = node.storage("project quotas", |status| {
        status.bases.iter().any(|base| base.backends.contains(&Backend::ProjectQuota))
    });
    storage.await;
    let volume = format!("pvc-{}", node.name);
    node.ask(&volume, |spec| {
        spec.backend = Backend::ProjectQuota;
        spec.directory = "team/data".into();
        spec.size_bytes = 16 * MIB;
    })
    .await;
    let status = node.phase(&volume, Phase::Ready).await;
    assert_eq!(status.size_bytes, Some(16 * MIB));
    let at = format!("/mnt/root{BASE}/team/data");
    assert_eq!(vm.run(&format!("stat -c %a {at}")).await.trim(), "777");
    // The pod sees its own size.
    let size = async || vm.run(&format!("stat -f -c '%b %S' {at}")).await;
    let bytes = |text: String| {
        let (blocks, size) = text.trim().split_once(' ').unwrap();
        blocks.parse::<i64>().unwrap() * size.parse::<i64>().unwrap()
    };
    assert_eq!(bytes(size().await), 16 * MIB);
    // As a pod does: root with CAP_SYS_RESOURCE, which containers do not have, is above ext4's quotas.
    let nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups";
    let write =
        |mebibytes: u32| format!("{nobody} dd if=/dev/zero of={at}/data bs=1M count={mebibytes} conv=fsync");
    // An inode for each of its blocks.
    let inodes = async || vm.run(&format!("stat -f -c %c {at}")).await.trim().to_owned();
    assert_eq!(inodes().await, "4096");
    let touch = "i=0; while [ $i -lt 5000 ]; do : >$0/$i || exit 1; i=$((i + 1)); done";
    let (status, output) =
        vm.try_run(&format!("mkdir -m 777 {at}/small && {nobody} sh -c '{touch}' {at}/small")).await;
    assert_ne!(status, "0", "5000 files: {output}");
    // With the volume itself and that directory.
    assert_eq!(vm.run(&format!("ls {at}/small | wc -l")).await.trim(), "4094");
    vm.run(&format!("rm -r {at}/small")).await;
    vm.run(&write(15)).await;
    let (status, output) = vm.try_run(&write(17)).await;
    assert_ne!(status, "0", "{output}");

    node.change(&volume, json!({"sizeBytes": 32 * MIB})).await;
    node.until(&volume, "grown", |status| status.size_bytes == Some(32 * MIB)).await;
    assert_eq!(bytes(size().await), 32 * MIB);
    assert_eq!(inodes().await, "8192");
    vm.run(&write(31)).await;
    let (status, output) = vm.try_run(&write(33)).await;
    assert_ne!(status, "0", "{output}");

    // Another volume has a quota of its own.
    let other = format!("pvc-{}-other", node.name);
    node.ask(&other, |spec| {
        spec.backend = Backend::ProjectQuota;
        spec.directory = "other".into();
        spec.size_bytes = 16 * MIB;
    })
    .await;
    node.phase(&other, Phase::Ready).await;
    vm.run(&format!("{nobody} dd if=/dev/zero of=/mnt/root{BASE}/other/data bs=1M count=15 conv=fsync"))
        .await;

    let (one, two) = (project(vm, &volume).await, project(vm, &other).await);
    assert!(one >= 0x4000_0000 && two >= 0x4000_0000 && one != two, "{one} {two}");

    node.ask_absent(&volume).await;
    node.phase(&volume, Phase::Removed).await;
    vm.run(&format!("for i in $(seq 100); do [ -z \"$(ls -A /mnt/root{BASE}/.volgate/trash)\" ] && exit 0; sleep 0.1; done; exit 1")).await;
    assert_eq!(
        vm.run(&format!("ls /mnt/root{BASE}/team /mnt/root{BASE}/other")).await.matches("data").count(),
        1
    );
}

#[tokio::test]
async fn a_directory_of_xfs_holds_what_its_quota_says() {
    let Some(node) = Node::without_agent("xfs").await else { return };
    let vm = agent(&node, mkfs_xfs, "-o prjquota").await;
    bounds(&node, &vm).await;
}

#[tokio::test]
async fn a_directory_of_ext4_holds_what_its_quota_says() {
    let Some(node) = Node::without_agent("ext4").await else { return };
    let options = ["-O", "quota,project", "-E", "quotatype=prjquota"];
    let vm = agent(&node, |parts| mkfs_ext4(parts, &options), "-o prjquota").await;
    bounds(&node, &vm).await;
}

#[tokio::test]
async fn without_the_mount_option_the_backend_is_not_offered() {
    let Some(node) = Node::without_agent("no-quota").await else { return };
    let vm = agent(&node, mkfs_xfs, "").await;
    let storage = node.storage("its base", |status| status.bases.iter().any(|base| base.usable)).await;
    let base = &storage.status.unwrap().bases[0];
    assert!(!base.backends.contains(&Backend::ProjectQuota));
    assert!(base.message.as_ref().unwrap().contains("mount the xfs with the option prjquota"), "{base:?}");
    node.ask("pvc-no-quota", |spec| {
        spec.backend = Backend::ProjectQuota;
        spec.size_bytes = MIB;
    })
    .await;
    let status = node.phase("pvc-no-quota", Phase::Refused).await;
    assert_eq!(status.reason.as_deref(), Some("BackendUnsupported"));
    drop(vm);
}

#[tokio::test]
async fn a_volume_of_an_older_agent_keeps_its_project_and_more_files_than_a_new_one_has() {
    let Some(node) = Node::without_agent("quota-old").await else { return };
    let vm = machine(&node, mkfs_xfs, "-o prjquota").await;
    let start = format!("{} &\necho $! >/mnt/mail/agent.pid", agent_command(&node, None));
    vm.run(&start).await;
    let volume = "pvc-quota-old";
    node.ask(volume, |spec| {
        spec.backend = Backend::ProjectQuota;
        spec.directory = "old".into();
        spec.size_bytes = MIB;
    })
    .await;
    node.phase(volume, Phase::Ready).await;
    let at = format!("/mnt/root{BASE}/old");
    // As it was: a project from below the kubelet's, whose inodes nothing bounds.
    vm.run(&format!(
        "set -e; kill -KILL $(cat /mnt/mail/agent.pid)
         sed -i 's/\"project\": [0-9]*/\"project\": 131073/' /mnt/root{BASE}/.volgate/volumes/{volume}.json
         chattr -p 131073 {at}
         i=0; while [ $i -lt 300 ]; do : >{at}/$i; i=$((i + 1)); done"
    ))
    .await;
    vm.run(&start).await;
    // Twice what it holds: it and its 300 files.
    vm.run(&format!(
        "for i in $(seq 300); do [ $(stat -f -c %c {at}) = 602 ] && exit 0; sleep 0.1; done; stat -f {at}; exit 1"
    ))
    .await;
    node.change(volume, json!({"sizeBytes": 16 * MIB})).await;
    node.until(volume, "grown", |status| status.size_bytes == Some(16 * MIB)).await;
    assert_eq!(project(&vm, volume).await, 131_073);
    assert_eq!(vm.run(&format!("stat -f -c %c {at}")).await.trim(), "4096");

    // Directories of other projects in each other, deeper than any are followed that cannot be moved.
    vm.run(&format!(
        "set -e; d={at}; i=0; while [ $i -lt 300 ]; do d=$d/n; mkdir $d; chattr -p $((200000 + i % 2)) $d; i=$((i + 1)); done"
    ))
    .await;
    node.ask_absent(volume).await;
    node.phase(volume, Phase::Removed).await;
    vm.run(&format!(
        "for i in $(seq 300); do [ -z \"$(ls -A /mnt/root{BASE}/.volgate/trash)\" ] && exit 0; sleep 0.1; done; exit 1"
    ))
    .await;
}
