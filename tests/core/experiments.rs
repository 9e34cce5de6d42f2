//! The systems that must work, as far as an object alone shows it: each row's manifests in `tests/experiments/`, judged
//! by the baseline. What needs a node, and so rows 8 and 12, is tested on one.

use crate::support::run::{Said, baseline_and, check, rows};

/// A file of a row, alone, by the baseline.
fn judge(file: &str) -> Said {
    check(&baseline_and(&[]), None, &[&format!("tests/experiments/{file}")])
}

/// A pod in the cluster of row 9.
fn on_two_nodes(file: &str) -> Said {
    let file = format!("tests/experiments/09-affinity/{file}");
    check(&baseline_and(&[]), Some("tests/experiments/09-affinity/cluster.yaml"), &[&file])
}

/// `container path: durability, reach` of every row of the durability table.
fn durabilities(file: &str) -> Vec<String> {
    let rows = rows(&baseline_and(&[]), &[&format!("tests/experiments/{file}")]);
    let text = |row: &volgate::explain::Row| {
        let durability = row.durability.to_string();
        let at_most =
            if row.durability == row.at_most { String::new() } else { format!(" to {}", row.at_most) };
        format!("{} {}: {durability}{at_most}", row.container, row.path)
    };
    rows.iter().filter(|row| row.path != "/").map(text).collect()
}

#[test]
fn row_01_the_container_layer() {
    let said = judge("01-container-layer/pod.yaml");
    assert_eq!(
        said.findings,
        [
            "denied spec.containers[0].image of Pod default/redis: Redis keeps its data in /data, which is in the \
          container's writable layer: lost when the container restarts"
        ]
    );
    assert!(said.help[0].starts_with("mount a PersistentVolumeClaim at /data"), "{said:?}");
}

#[test]
fn row_02_an_empty_dir() {
    let disk = judge("02-empty-dir/disk.yaml");
    assert_eq!(
        disk.findings,
        [
            "denied spec.containers[0].image of Pod default/redis: Redis keeps its data in /data, which is in the \
          container's writable layer (only /data/redis, which lies on the emptyDir \"redis-storage\", is covered): \
          lost when the container restarts"
        ]
    );
    let memory = judge("02-empty-dir/memory.yaml");
    assert_eq!(
        memory.findings,
        [
            "denied spec.volumes[0].emptyDir of Pod default/redis: Redis keeps its data in /data, which lies on tmpfs \
          (emptyDir \"redis-storage\" with medium Memory): lost when the pod ends or the node reboots"
        ]
    );
}

#[test]
fn row_03_an_empty_dir_that_is_fine() {
    let said = judge("03-shared-logs/pod.yaml");
    assert_eq!((said.findings, said.changes), (vec![], vec![]));
}

#[test]
fn row_04_a_host_path() {
    let read_only = "tests/experiments/04-host-path/read-only.yaml";
    assert_eq!(judge("04-host-path/read-only.yaml").findings, [""; 0]);
    let listed = baseline_and(&["tests/experiments/04-host-path/listed.policy.yaml"]);
    assert_eq!(check(&listed, None, &[read_only]).findings, [""; 0]);
    let elsewhere = baseline_and(&["tests/experiments/04-host-path/elsewhere.policy.yaml"]);
    assert_eq!(
        check(&elsewhere, None, &[read_only]).findings,
        [
            "denied spec.volumes[0].hostPath.path of Pod default/hostpath-example-linux: pod volume \"example-volume\" \
         opens /data/foo of the node, which the policy does not allow"
        ]
    );

    assert_eq!(
        judge("04-host-path/stateful.yaml").findings,
        [
            "warning spec.containers[0].volumeMounts[0].readOnly of Pod default/redis: /data/foo of the node (pod volume \
             \"redis-storage\") is mounted writable at /data; the policy allows paths of the node only read-only",
            "denied spec.volumes[0].hostPath of Pod default/redis: Redis keeps its data in /data, which lies on the \
             hostPath /data/foo of one node: lost when the node ends or the pod is scheduled elsewhere",
        ]
    );
}

#[test]
fn row_05_static_volumes() {
    assert_eq!(judge("05-static-volume/volumes.yaml").findings, [""; 0]);
    let files =
        ["tests/experiments/05-static-volume/volumes.yaml", "tests/experiments/05-static-volume/pods.yaml"];
    assert_eq!(check(&baseline_and(&[]), None, &files).findings, [""; 0]);
    let rows = rows(&baseline_and(&[]), &files);
    let rows: Vec<String> = rows
        .iter()
        .filter(|row| row.path == "/data")
        .map(|row| format!("{}: {} to {}", row.object, row.durability, row.at_most))
        .collect();
    assert_eq!(rows, ["Pod default/retained: volume to volume", "Pod default/deleted: claim to claim"]);
}

#[test]
fn row_06_a_claim_without_a_class() {
    let said = judge("06-no-class/claims.yaml");
    assert_eq!(said.findings, [""; 0]);
    assert_eq!(
        said.changes,
        ["PersistentVolumeClaim default/absent /spec/storageClassName = \"local-path\""]
    );
}

#[test]
fn row_07_a_block_claim() {
    let said = judge("07-block/block.yaml");
    assert_eq!(said.findings, [""; 0]);
    assert_eq!(
        said.changes,
        ["PersistentVolumeClaim default/block-pvc /spec/storageClassName = \"local-path\""]
    );
    assert_eq!(durabilities("07-block/block.yaml"), ["fc-container /dev/xvda: claim to volume"]);
}

#[test]
fn row_09_affinity() {
    let pinned = on_two_nodes("pinned.yaml");
    assert_eq!(pinned.findings, [""; 0]);
    assert_eq!(
        pinned.changes,
        ["Pod default/pinned /spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/\
          nodeSelectorTerms = [{\"matchExpressions\":[\
          {\"key\":\"kubernetes.io/os\",\"operator\":\"In\",\"values\":[\"linux\"]},\
          {\"key\":\"kubernetes.io/hostname\",\"operator\":\"In\",\"values\":[\"node-b\"]}]}]"]
    );
    assert_eq!(
        on_two_nodes("node-name.yaml").findings,
        [
            "denied spec.nodeName of Pod default/on-node-a: `nodeName` puts this pod on node \"node-a\", which cannot use \
          claim \"data-b\" on volume \"volume-b\" (kubernetes.io/hostname=node-b): the volume is never mounted"
        ]
    );
    assert_eq!(
        on_two_nodes("two-claims.yaml").findings,
        [
            "denied spec.volumes[1].persistentVolumeClaim.claimName of Pod default/on-both: no node can run this pod: it \
          uses claim \"data-a\" on volume \"volume-a\" (kubernetes.io/hostname=node-a) and claim \"data-b\" on volume \
          \"volume-b\" (kubernetes.io/hostname=node-b), which share none"
        ]
    );
    assert_eq!(
        on_two_nodes("node-selector.yaml").findings,
        [
            "denied spec.nodeSelector[\"kubernetes.io/hostname\"] of Pod default/selects-node-a: no node can run this pod: \
          `nodeSelector` wants kubernetes.io/hostname=node-a, but it uses claim \"data-b\" on volume \"volume-b\" \
          (kubernetes.io/hostname=node-b)"
        ]
    );
}

#[test]
fn row_10_csi() {
    let said = judge("10-csi/claims.yaml");
    assert_eq!(said.findings, [""; 0]);
    assert_eq!(
        durabilities("10-csi/claims.yaml"),
        ["redis /data: claim", "postgres /var/lib/postgresql/data: volume"]
    );
    assert_eq!(
        judge("10-csi/inline.yaml").findings,
        [
            "denied spec.volumes[0].csi of Pod default/redis: Redis keeps its data in /data, which lies on an inline \
          volume of the CSI driver inline.csi.example.com: lost when the pod ends"
        ]
    );
    assert_eq!(durabilities("10-csi/inline.yaml"), ["redis /data: pod"]);
}

#[test]
fn row_11_a_stateful_set_of_redis() {
    let templates = judge("11-stateful-set/templates.yaml");
    assert_eq!(templates.findings, [""; 0]);
    assert_eq!(
        templates.changes,
        ["StatefulSet default/redis /spec/volumeClaimTemplates/0/spec/storageClassName = \"local-path\""]
    );
    assert_eq!(durabilities("11-stateful-set/templates.yaml"), ["redis /data: claim to volume"]);
    let empty_dir = judge("11-stateful-set/empty-dir.yaml");
    assert_eq!(
        empty_dir.findings,
        [
            "denied spec.template.spec.volumes[0].emptyDir of StatefulSet default/redis: Redis keeps its data in /data, \
          which lies on the emptyDir \"data\": lost when the pod ends"
        ]
    );
}
