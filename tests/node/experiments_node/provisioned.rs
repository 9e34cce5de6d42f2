//! Rows 5 to 11: claims and the volumes that volgate's provisioner makes for them, in a cluster in which volgate is installed
//! as its users install it.

use crate::experiments_node::{is_denied, is_gone, row, write};
use crate::support::installed::Installed;
use crate::support::node::{LIMIT, Node, Pods, RealCluster};
use crate::support::wait_until;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

pub(crate) const BASE: &str = "/opt/local-path-provisioner";

/// A node by its name.
fn node<'a>(real: &'a RealCluster, name: &str) -> &'a Node {
    real.nodes().iter().find(|node| node.name() == name).unwrap_or_else(|| panic!("no node {name}"))
}

/// A claim once it is bound, and its volume.
pub(crate) async fn bound(real: &RealCluster, pods: &Pods<'_>, claim: &str) -> (Value, Value) {
    let what = format!("persistentvolumeclaim/{claim}");
    let claim = pods.until(&what, "is bound", |claim| claim["status"]["phase"] == "Bound").await;
    let volume = volume(real, claim["spec"]["volumeName"].as_str().unwrap()).await;
    (claim, volume)
}

pub(crate) async fn volume(real: &RealCluster, name: &str) -> Value {
    let get = ["get", "persistentvolume", name, "--ignore-not-found", "-o", "json"];
    let found = real.kubectl(&get, None).await;
    assert!(found.success, "{found}");
    if found.stdout.is_empty() { Value::Null } else { serde_json::from_str(&found.stdout).unwrap() }
}

/// Waits until a volume is gone from the API server.
pub(crate) async fn forgotten(real: &RealCluster, old: &Value) {
    wait_until("the volume is deleted", LIMIT, async || {
        let left = volume(real, old["metadata"]["name"].as_str().unwrap()).await;
        if left.is_null() { Ok(()) } else { Err(left.to_string()) }
    })
    .await;
}

/// Waits until a volume is without its claim, and kept.
pub(crate) async fn released(real: &RealCluster, kept: &Value) {
    wait_until("the volume is let go", LIMIT, async || {
        let found = volume(real, kept["metadata"]["name"].as_str().unwrap()).await;
        if found["status"]["phase"] == "Released" { Ok(()) } else { Err(found.to_string()) }
    })
    .await;
}

/// The one node that a volume can be used on.
fn node_of(volume: &Value) -> &str {
    let terms = &volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"];
    assert_eq!(terms.as_array().unwrap().len(), 1, "{volume}");
    let expressions = terms[0]["matchExpressions"].as_array().unwrap();
    let host = expressions.iter().find(|expression| expression["key"] == "kubernetes.io/hostname").unwrap();
    host["values"][0].as_str().unwrap()
}

/// Waits until nothing is at a path of a node.
pub(crate) async fn gone(path: &Path) {
    wait_until(&format!("{} is gone", path.display()), LIMIT, async || {
        if path.symlink_metadata().is_err() { Ok(()) } else { Err("it is still there".to_owned()) }
    })
    .await;
}

/// What a base of a node holds, volgate's own directory apart.
fn volumes_of(node: &Node) -> Vec<PathBuf> {
    let list = std::fs::read_dir(node.file(BASE)).into_iter().flatten();
    list.map(|entry| entry.unwrap().path()).filter(|path| !path.ends_with(".volgate")).collect()
}

#[tokio::test]
async fn row_05_a_static_local_volume_is_bound_and_keeps_its_data() {
    let Some(installed) = Installed::shared().await else { return };
    let real = &installed.real;
    let pods = real.pods("row-05").await;
    let disk = real.nodes()[1].file("/mnt/disks/1");
    std::fs::create_dir_all(&disk).unwrap();
    let manifest = row("05-static-volume/volumes.yaml").replace("[node-b]", "[node-2]");
    pods.apply(&manifest).await;
    let (_, volume) = bound(real, &pods, "on-disk").await;
    assert_eq!(volume["metadata"]["name"], "disk-1");
    bound(real, &pods, "on-nfs").await;
    let pod = row("05-static-volume/pods.yaml").split("\n---\n").nth(1).unwrap().to_owned();
    pods.apply(&pod).await;
    let running = pods.ready("deleted").await;
    assert_eq!(running["spec"]["nodeName"], "node-2");
    write(&pods, "deleted", "/data/hello.txt").await;
    pods.delete("pod/deleted").await;
    assert_eq!(std::fs::read_to_string(disk.join("hello.txt")).unwrap(), "hello\n");
    // It is not ours: its claim's end leaves it, and what it has, alone.
    pods.delete("persistentvolumeclaim/on-disk").await;
    wait_until("the volume is let go", LIMIT, async || {
        let volume = self::volume(real, "disk-1").await;
        let phase = volume["status"]["phase"].as_str().unwrap_or_default().to_owned();
        if phase == "Released" || phase == "Failed" { Ok(()) } else { Err(volume.to_string()) }
    })
    .await;
    assert!(disk.join("hello.txt").is_file());
}

#[tokio::test]
async fn row_06_a_claim_with_no_class() {
    let Some(installed) = Installed::shared().await else { return };
    let pods = installed.real.pods("row-06").await;
    pods.apply(&row("06-no-class/claims.yaml")).await;
    for (claim, class) in [("absent", json!("local-path")), ("empty", json!("")), ("named", json!("fast"))] {
        let found = pods.get(&format!("persistentvolumeclaim/{claim}")).await;
        assert_eq!(found["spec"]["storageClassName"], class, "{claim}");
    }
}

#[tokio::test]
async fn row_06_stays_without_a_class_otherwise() {
    let Some(real) = RealCluster::shared() else { return };
    let pods = real.pods("row-06").await;
    pods.apply(&row("06-no-class/claims.yaml")).await;
    let found = pods.get("persistentvolumeclaim/absent").await;
    assert_eq!(
        (&found["spec"]["storageClassName"], &found["status"]["phase"]),
        (&Value::Null, &json!("Pending"))
    );
}

#[tokio::test]
async fn row_07_a_block_device() {
    let Some(installed) = Installed::shared().await else { return };
    let real = &installed.real;
    let pods = real.pods("row-07").await;
    pods.apply(&row("07-block/block.yaml")).await;
    pods.ready("pod-with-block-volume").await;
    let (_, volume) = bound(real, &pods, "block-pvc").await;
    let name = volume["metadata"]["name"].as_str().unwrap();
    let file = node(real, node_of(&volume)).file(BASE).join(".volgate/loop").join(name);
    assert_eq!(std::fs::metadata(&file).unwrap().len(), 10 << 30, "the size that was claimed");
    let run = async |script: &str| pods.exec("pod-with-block-volume", &["sh", "-c", script]).await;
    assert_eq!(run("test -b /dev/xvda && echo block").await, "block\n");
    // At the very end, so that all of the size is really there.
    run("echo written | dd of=/dev/xvda bs=512 seek=20971519 conv=sync,fsync 2>/dev/null").await;
    assert_eq!(run("dd if=/dev/xvda bs=512 skip=20971519 2>/dev/null | head -c 8").await, "written\n");
    pods.delete("pod/pod-with-block-volume").await;
    pods.apply(&row("07-block/block.yaml")).await;
    pods.ready("pod-with-block-volume").await;
    assert_eq!(run("dd if=/dev/xvda bs=512 skip=20971519 2>/dev/null | head -c 8").await, "written\n");
    pods.delete("pod/pod-with-block-volume").await;
    pods.delete("persistentvolumeclaim/block-pvc").await;
    gone(&file).await;
    let devices = std::fs::read_dir("/sys/block").unwrap().flatten();
    let behind =
        devices.filter_map(|device| std::fs::read_to_string(device.path().join("loop/backing_file")).ok());
    let left: Vec<String> = behind.filter(|file| file.contains(name)).collect();
    assert_eq!(left, [""; 0], "no loop device is left");
}

#[tokio::test]
async fn row_08_a_local_path_volume() {
    let Some(installed) = Installed::shared().await else { return };
    let real = &installed.real;
    let pods = real.pods("row-08").await;
    pods.apply(&row("08-local-path/claim.yaml")).await;
    let waiting = pods.get("persistentvolumeclaim/localpath-claim").await;
    assert_eq!(waiting["spec"]["volumeName"], Value::Null, "until its pod is scheduled");
    let pod = row("08-local-path/pod.yaml");
    pods.apply(&pod).await;
    let running = pods.ready("app").await;
    let (claim, volume) = bound(real, &pods, "localpath-claim").await;
    assert_eq!(running["spec"]["nodeName"], node_of(&volume));
    let uid = claim["metadata"]["uid"].as_str().unwrap();
    let directory = node(real, node_of(&volume)).file(BASE).join(format!("pvc-{uid}_row-08_localpath-claim"));
    let lines = || std::fs::read_to_string(directory.join("out.txt")).unwrap_or_default();
    wait_until(
        "the pod writes",
        LIMIT,
        async || if lines().is_empty() { Err(String::new()) } else { Ok(()) },
    )
    .await;
    let first = lines().lines().next().unwrap().to_owned();
    // With the rights that the manifests give, its events arrive as well.
    let told =
        ["get", "events", "-n", "row-08", "-o", "name", "--field-selector=reason=ProvisioningSucceeded"];
    wait_until("an event tells of the volume", LIMIT, async || {
        let events = real.kubectl(&told, None).await;
        if events.stdout.contains("event/localpath-claim") { Ok(()) } else { Err(events.to_string()) }
    })
    .await;
    pods.delete("pod/app").await;
    pods.apply(&pod).await;
    let again = pods.ready("app").await;
    assert_eq!(again["spec"]["nodeName"], running["spec"]["nodeName"], "where its volume is");
    let kept = pods.exec("app", &["head", "-n1", "/data/out.txt"]).await;
    assert_eq!(kept.trim_end(), first);
    pods.delete("pod/app").await;
    pods.delete("persistentvolumeclaim/localpath-claim").await;
    gone(&directory).await;
    forgotten(real, &volume).await;
}

#[tokio::test]
async fn row_08_a_retained_volume_keeps_its_data() {
    let Some(installed) = Installed::shared().await else { return };
    let real = &installed.real;
    let pods = real.pods("row-08-retain").await;
    pods.apply(&row("08-local-path/retain.yaml")).await;
    pods.apply(&row("08-local-path/claim.yaml").replace(": local-path\n", ": local-path-retain\n")).await;
    pods.apply(&row("08-local-path/pod.yaml")).await;
    pods.ready("app").await;
    let (_, volume) = bound(real, &pods, "localpath-claim").await;
    let directory = node(real, node_of(&volume)).file(volume["spec"]["local"]["path"].as_str().unwrap());
    pods.exec("app", &["sh", "-c", "echo hello >/data/hello.txt"]).await;
    pods.delete("pod/app").await;
    pods.delete("persistentvolumeclaim/localpath-claim").await;
    released(real, &volume).await;
    assert_eq!(std::fs::read_to_string(directory.join("hello.txt")).unwrap(), "hello\n");
}

#[tokio::test]
async fn row_09_pods_go_where_their_volumes_are() {
    let Some(installed) = Installed::shared().await else { return };
    let real = &installed.real;
    let pods = real.pods("row-09").await;
    // A volume on each node, made by the provisioner for a pod that was sent there.
    for (claim, host) in [("data-a", "node-1"), ("data-b", "node-2")] {
        pods.apply(&row("08-local-path/claim.yaml").replace("localpath-claim", claim)).await;
        let pod = row("08-local-path/pod.yaml").replace("localpath-claim", claim);
        let selector = format!("spec:\n  nodeSelector: {{kubernetes.io/hostname: {host}}}");
        pods.apply(&pod.replacen("spec:", &selector, 1).replacen(
            "name: app",
            &format!("name: writer-{host}"),
            1,
        ))
        .await;
        pods.ready(&format!("writer-{host}")).await;
        let (_, volume) = bound(real, &pods, claim).await;
        assert_eq!(node_of(&volume), host);
    }
    let of_row = |file: &str| row(&format!("09-affinity/{file}")).replace("node-a", "node-1");
    pods.apply(&of_row("pinned.yaml")).await;
    let pinned = pods.ready("pinned").await;
    assert_eq!(pinned["spec"]["nodeName"], "node-2");
    let affinity =
        &pinned["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let expressions = affinity["nodeSelectorTerms"][0]["matchExpressions"].as_array().unwrap();
    let keys: Vec<&str> = expressions.iter().map(|expression| expression["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["kubernetes.io/os", "kubernetes.io/hostname"], "its own term and the volume's");
    for (file, words) in [
        ("node-name.yaml", ["node-1", "node-2"]),
        ("node-selector.yaml", ["node-1", "node-2"]),
        ("two-claims.yaml", ["data-a", "data-b"]),
    ] {
        for word in words {
            is_denied(&pods, &of_row(file), word).await;
        }
    }
}

#[tokio::test]
async fn row_10_csi_is_judged_by_its_class() {
    let Some(installed) = Installed::shared().await else { return };
    let pods = installed.real.pods("row-10").await;
    let words = "lies on an inline volume of the CSI driver inline.csi.example.com: lost when the pod ends";
    is_denied(&pods, &row("10-csi/inline.yaml"), words).await;
    let said = pods.apply(&row("10-csi/claims.yaml")).await;
    assert_eq!(said, "", "both classes keep data for as long as the claim, at least");
    for (kind, name) in [("deployment", "volgate-provisioner"), ("daemonset", "volgate-agent")] {
        let get = ["get", kind, name, "--namespace", "volgate-system", "-o", "jsonpath={.metadata.name}"];
        assert_eq!(installed.works(&get, None).await, name);
    }
}

/// Waits until the three pods of the StatefulSet are Ready.
async fn replicas(pods: &Pods<'_>) {
    pods.until("statefulset/redis", "has three ready replicas", |set| set["status"]["readyReplicas"] == 3)
        .await;
}

#[tokio::test]
async fn row_11_a_stateful_set_keeps_its_data() {
    let Some(installed) = Installed::shared().await else { return };
    let real = &installed.real;
    let pods = real.pods("row-11").await;
    pods.apply(&row("11-stateful-set/templates.yaml")).await;
    let set = pods.get("statefulset/redis").await;
    assert_eq!(set["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"], "local-path");
    replicas(&pods).await;
    for index in 0..3 {
        bound(real, &pods, &format!("data-redis-{index}")).await;
        let pod = format!("redis-{index}");
        assert_eq!(pods.exec(&pod, &["redis-cli", "set", "key", &pod]).await, "OK\n");
        assert_eq!(pods.exec(&pod, &["redis-cli", "save"]).await, "OK\n");
    }
    let before = pods.get("pod/redis-2").await["metadata"]["uid"].clone();
    pods.works(&["delete", "pod", "--all"], None).await;
    pods.until("pod/redis-2", "is another", |pod| !pod.is_null() && pod["metadata"]["uid"] != before).await;
    replicas(&pods).await;
    for index in 0..3 {
        let pod = format!("redis-{index}");
        assert_eq!(pods.exec(&pod, &["redis-cli", "get", "key"]).await, format!("{pod}\n"));
    }
    let left: usize = real.nodes().iter().map(|node| volumes_of(node).len()).sum();
    assert!(left >= 3, "each replica has a directory of its own");
}

#[tokio::test]
async fn row_11_is_denied_on_an_empty_dir() {
    let Some(installed) = Installed::shared().await else { return };
    let pods = installed.real.pods("row-11-denied").await;
    is_denied(&pods, &row("11-stateful-set/empty-dir.yaml"), "lies on the emptyDir \"data\"").await;
    assert!(pods.get("statefulset/redis").await.is_null(), "the StatefulSet itself, not only its pods");
}

#[tokio::test]
async fn row_11_is_lost_otherwise() {
    let Some(real) = RealCluster::shared() else { return };
    let pods = real.pods("row-11").await;
    let one = row("11-stateful-set/empty-dir.yaml").replace("replicas: 3", "replicas: 1");
    pods.apply(&one).await;
    pods.until("statefulset/redis", "is ready", |set| set["status"]["readyReplicas"] == 1).await;
    write(&pods, "redis-0", "/data/hello.txt").await;
    let before = pods.get("pod/redis-0").await["metadata"]["uid"].clone();
    pods.works(&["delete", "pod", "redis-0"], None).await;
    pods.until("pod/redis-0", "is another", |pod| !pod.is_null() && pod["metadata"]["uid"] != before).await;
    pods.ready("redis-0").await;
    is_gone(&pods, "redis-0", "/data/hello.txt").await;
}

/// How many bytes the file system at a pod's `/data` has.
async fn size_of_data(pods: &Pods<'_>, pod: &str) -> u64 {
    let df = pods.exec(pod, &["df", "-kP", "/data"]).await;
    let kibibytes: u64 = df.lines().nth(1).unwrap().split_whitespace().nth(1).unwrap().parse().unwrap();
    kibibytes * 1024
}

/// Raises what a claim asks for under its running pod, and waits until nothing of that is left to do.
async fn grown(pods: &Pods<'_>, claim: &str, size: &str) {
    let before = pods.get("pod/app").await;
    let more = json!({"spec": {"resources": {"requests": {"storage": size}}}}).to_string();
    pods.works(&["patch", "persistentvolumeclaim", claim, "--patch", &more], None).await;
    let what = format!("persistentvolumeclaim/{claim}");
    pods.until(&what, &format!("has grown to {size}"), |claim| {
        let status = &claim["status"];
        let conditions = status["conditions"].as_array();
        let told = |condition: &Value| condition["type"].as_str().is_some_and(|kind| kind.contains("Resiz"));
        status["capacity"]["storage"] == size
            && !conditions.into_iter().flatten().any(told)
            && status["allocatedResourceStatuses"].as_object().is_none_or(serde_json::Map::is_empty)
    })
    .await;
    let after = pods.get("pod/app").await;
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    assert_eq!(pods.restarts("app").await, 0, "it grows under its pod");
}

/// What the kubelet's metrics tell of a claim in bytes, once they tell of it: capacity, used, available.
async fn measured(installed: &Installed, node: &str, namespace: &str, capacity: u64) -> [u64; 3] {
    let metrics = format!("/api/v1/nodes/{node}/proxy/metrics");
    let labels = format!(r#"{{namespace="{namespace}",persistentvolumeclaim="localpath-claim"}}"#);
    wait_until(&format!("the kubelet measures {capacity} bytes"), LIMIT, async || {
        let text = installed.works(&["get", "--raw", &metrics], None).await;
        let figures = ["capacity", "used", "available"].map(|kind| {
            let line = format!("kubelet_volume_stats_{kind}_bytes{labels} ");
            let figure: Option<f64> = text.lines().find_map(|one| one.strip_prefix(&line)?.parse().ok());
            figure.map(|bytes| bytes as u64)
        });
        match figures {
            [Some(told), Some(used), Some(available)] if told == capacity => Ok([told, used, available]),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

#[tokio::test]
async fn a_directory_grows_under_its_pod_and_is_measured_by_the_kubelet() {
    let Some(installed) = Installed::shared().await else { return };
    let pods = installed.real.pods("grows").await;
    pods.apply(&row("08-local-path/claim.yaml")).await;
    pods.apply(&row("08-local-path/pod.yaml")).await;
    let node = pods.ready("app").await["spec"]["nodeName"].as_str().unwrap().to_owned();
    write(&pods, "app", "/data/hello.txt").await;
    grown(&pods, "localpath-claim", "2Gi").await;
    let (_, volume) = bound(&installed.real, &pods, "localpath-claim").await;
    assert_eq!(volume["spec"]["capacity"]["storage"], "2Gi");
    assert_eq!(pods.exec("app", &["cat", "/data/hello.txt"]).await, "hello\n");
    // Nothing bounds a directory: what is told of it is told of its disk, to the pod and by the kubelet.
    let disk = size_of_data(&pods, "app").await;
    let [_, used, available] = measured(installed, &node, "grows", disk).await;
    assert!(used > 0 && available > 0 && used + available <= disk, "{used} and {available} of {disk}");
}

#[tokio::test]
async fn a_volume_of_a_hard_size_grows_under_its_pod_and_is_measured_by_the_kubelet() {
    const MIB: u64 = 1 << 20;
    /// What XFS keeps of a device for itself, at most.
    const LOG: u64 = 70 * MIB;
    let Some(installed) = Installed::shared().await else { return };
    let pods = installed.real.pods("hard-size").await;
    pods.apply(&row("08-local-path/hard-size.yaml")).await;
    let claim = row("08-local-path/claim.yaml").replace(": local-path\n", ": hard-size\n");
    pods.apply(&claim.replace("1Gi", "320Mi")).await;
    pods.apply(&row("08-local-path/pod.yaml")).await;
    let node = pods.ready("app").await["spec"]["nodeName"].as_str().unwrap().to_owned();
    let before = size_of_data(&pods, "app").await;
    assert!((320 * MIB - LOG..=320 * MIB).contains(&before), "{before} bytes of 320 MiB");
    let written = "dd if=/dev/urandom of=/data/data bs=1M count=64 conv=fsync && md5sum /data/data";
    let sum = pods.exec("app", &["sh", "-c", written]).await;

    grown(&pods, "localpath-claim", "512Mi").await;
    let after = size_of_data(&pods, "app").await;
    assert!((512 * MIB - LOG..=512 * MIB).contains(&after), "{after} bytes of 512 MiB");
    assert!(after - before >= 190 * MIB, "from {before} to {after} bytes");
    assert_eq!(pods.exec("app", &["md5sum", "/data/data"]).await, sum);
    let [_, used, available] = measured(installed, &node, "hard-size", after).await;
    assert!((64 * MIB..128 * MIB).contains(&used), "{used} bytes, and 64 MiB were written");
    assert_eq!(used + available, after);
}
