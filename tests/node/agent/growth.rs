//! ext4 that grows beneath a pod, in a virtual machine: only who has CAP_SYS_RESOURCE may do that, which where tests run
//! even root may lack.

use crate::agent::quota::{MIB, agent, mkfs_ext4};
use crate::agent::world::Node;
use serde_json::json;
use volgate::model::{Backend, NodeVolumeMode, Phase};

#[tokio::test]
async fn ext4_in_a_loop_volume_grows_while_it_is_mounted() {
    let Some(node) = Node::without_agent("ext4-grows").await else { return };
    let vm = agent(&node, |parts| mkfs_ext4(parts, &[]), "").await;
    let volume = "pvc-ext4-grows";
    node.ask(volume, |spec| {
        spec.backend = Backend::Loop;
        spec.volume_mode = NodeVolumeMode::Filesystem;
        spec.size_bytes = 32 * MIB;
    })
    .await;
    node.phase(volume, Phase::Ready).await;
    // What the kubelet does with a local volume whose path is a device.
    let tools = format!("PATH=$PATH:/sbin:/usr/sbin; device=$(readlink /mnt/root/dev/volgate/{volume})");
    vm.run(&format!("{tools}; mkfs.ext4 -q $device && mkdir /mnt/pod && mount $device /mnt/pod")).await;
    let write = |file: &str, mebibytes: u32| {
        format!("dd if=/dev/zero of=/mnt/pod/{file} bs=1M count={mebibytes} conv=fsync")
    };
    vm.run(&format!("echo kept >/mnt/pod/before; {}", write("small", 16))).await;
    let (status, output) = vm.try_run(&write("large", 64)).await;
    assert_ne!(status, "0", "{output}");

    node.change(volume, json!({"sizeBytes": 96 * MIB})).await;
    node.until(volume, "grown", |status| status.size_bytes == Some(96 * MIB)).await;
    // It looks in /proc for where the device is mounted.
    vm.run(&format!("{tools}; mount -t proc proc /proc && resize2fs $device && {}", write("large", 64)))
        .await;
    assert_eq!(vm.run("cat /mnt/pod/before").await.trim(), "kept");
    let size = vm.run("stat -f -c '%b %S' /mnt/pod").await;
    let numbers: Vec<i64> = size.split_whitespace().map(|number| number.parse().unwrap()).collect();
    assert!((80 * MIB..96 * MIB).contains(&(numbers[0] * numbers[1])), "{size}");
}
