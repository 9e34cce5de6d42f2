//! The test node itself: that pods, Services and several nodes work as on a real cluster, and that nothing is left behind.

use crate::support::node::{Image, NodeOptions, Pods, RealCluster, node_tests_skipped};
use crate::support::victim::{Victim, note, poll};
use crate::support::{Options, wait_until};
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// The cluster of this file, with two nodes.
fn shared() -> Option<&'static RealCluster> {
    static SHARED: std::sync::OnceLock<RealCluster> = std::sync::OnceLock::new();
    if node_tests_skipped() {
        return None;
    }
    let start = || {
        let labelled = NodeOptions { labels: vec![("disk".into(), "fast".into())], ..NodeOptions::default() };
        RealCluster::start(Options::default(), &[NodeOptions::default(), labelled])
            .unwrap_or_else(|fault| panic!("{fault}"))
    };
    Some(SHARED.get_or_init(start))
}

/// A pod on a node that says its name to everybody who connects to port 80.
fn speaker(name: &str, node: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{app: {name}}}}}\nspec:\n  nodeName: {node}\n  \
         containers:\n    - name: speaker\n      image: busybox\n      \
         command: [sh, -c, 'while echo {name} | nc -l -p 80; do :; done']\n      readinessProbe: {{tcpSocket: {{port: 80}}}}\n---\n\
         apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{selector: {{app: {name}}}, ports: [{{port: 80}}]}}\n"
    )
}

/// What is said at an address, heard on this machine.
async fn hear(address: &str) -> String {
    wait_until(&format!("{address} answers"), LIMIT, async || {
        let address: SocketAddr = format!("{address}:80").parse().unwrap();
        let mut stream =
            TcpStream::connect_timeout(&address, Duration::from_secs(5)).map_err(|e| e.to_string())?;
        let mut said = String::new();
        stream.read_to_string(&mut said).map_err(|e| e.to_string())?;
        Ok(said)
    })
    .await
}

/// The same, heard in a pod.
async fn hear_in(pods: &Pods<'_>, pod: &str, address: &str) -> String {
    wait_until(&format!("{address} answers {pod}"), LIMIT, async || {
        let output = pods.try_exec(pod, &["nc", "-w", "5", address, "80"]).await;
        if output.success { Ok(output.stdout) } else { Err(output.to_string()) }
    })
    .await
}

#[tokio::test]
async fn pods_and_services_are_reached_from_this_machine_and_from_pods_of_both_nodes() {
    let Some(real) = shared() else { return };
    let pods = real.pods("services").await;
    let mut addresses = Vec::new();
    for (name, node) in [("first", "node-1"), ("second", "node-2")] {
        pods.apply(&speaker(name, node)).await;
        let pod = pods.ready(name).await;
        let service = pods.get(&format!("service/{name}")).await;
        addresses.push((name, pod["status"]["podIP"].as_str().unwrap().to_owned()));
        addresses.push((name, service["spec"]["clusterIP"].as_str().unwrap().to_owned()));
    }
    for (name, address) in &addresses {
        let wanted = format!("{name}\n");
        assert_eq!(hear(address).await, wanted, "{address}");
        for pod in ["first", "second"] {
            assert_eq!(hear_in(&pods, pod, address).await, wanted, "{address} in {pod}");
        }
    }
}

#[tokio::test]
async fn pods_reach_the_api_server() {
    let Some(real) = shared() else { return };
    let pods = real.pods("api-server").await;
    pods.apply(&speaker("asker", "node-2")).await;
    pods.ready("asker").await;
    let ask =
        r#"printf 'GET / HTTP/1.0\r\n\r\n' | nc -w 5 "$KUBERNETES_SERVICE_HOST" "$KUBERNETES_SERVICE_PORT""#;
    let answer = pods.exec("asker", &["sh", "-c", ask]).await;
    assert!(answer.contains("Client sent an HTTP request to an HTTPS server"), "{answer}");
    let files = pods.exec("asker", &["ls", "/var/run/secrets/kubernetes.io/serviceaccount"]).await;
    assert_eq!(files, "ca.crt\nnamespace\ntoken\n");
}

#[tokio::test]
async fn pods_are_scheduled_by_a_nodes_labels_and_have_cgroups_of_the_tests() {
    let Some(real) = shared() else { return };
    let pods = real.pods("scheduled").await;
    let limits = "{limits: {memory: 32Mi}}";
    let manifest = speaker("picky", "unknown")
        .replace("nodeName: unknown", "nodeSelector: {disk: fast}")
        .replace("image: busybox", &format!("image: busybox\n      resources: {limits}"));
    pods.apply(&manifest).await;
    let pod = pods.ready("picky").await;
    assert_eq!(pod["spec"]["nodeName"], "node-2");
    assert_eq!(pod["status"]["hostIP"], real.nodes()[1].address().to_string());
    // The runtime's own name of the container is that of its cgroup.
    let id = pod["status"]["containerStatuses"][0]["containerID"].as_str().unwrap();
    let id = id.strip_prefix("containerd://").unwrap();
    let beneath = |name: &str| {
        Path::new("/sys/fs/cgroup").join(name).join(real.name()).join("k8s.io").join(id).is_dir()
    };
    assert!(beneath("memory") || beneath("."), "there is no cgroup {id} beneath {}", real.name());
}

#[tokio::test]
async fn images_are_made_of_files_with_their_libraries() {
    let Some(real) = shared() else { return };
    let pods = real.pods("images").await;
    let image = Image::new("volgate.test/images:1")
        .program(env!("CARGO_BIN_EXE_volgate"), "/volgate")
        .entrypoint(&["/volgate"])
        .arguments(&["--help"])
        .environment(&["GREETING=hello"])
        .user("65532:65532");
    real.node().import(&image).unwrap();
    let manifest = "{apiVersion: v1, kind: Pod, metadata: {name: volgate}, spec: {nodeName: node-1, restartPolicy: Never, \
                    securityContext: {runAsNonRoot: true}, containers: [{name: volgate, image: 'volgate.test/images:1'}]}}";
    pods.apply(manifest).await;
    pods.until("pod/volgate", "has succeeded", |pod| pod["status"]["phase"] == "Succeeded").await;
    let said = pods.works(&["logs", "volgate"], None).await;
    assert!(said.contains("Usage: volgate"), "{said}");
}

#[tokio::test]
async fn a_kubelet_that_dies_comes_back_to_its_pods() {
    let Some(real) = shared() else { return };
    let pods = real.pods("kubelet").await;
    pods.apply(&speaker("survivor", "node-2")).await;
    pods.ready("survivor").await;
    pods.exec("survivor", &["touch", "/file"]).await;
    let node = &real.nodes()[1];
    node.restart_kubelet().unwrap();
    wait_until("the file is seen", LIMIT, async || {
        let output = pods.try_exec("survivor", &["ls", "/file"]).await;
        if output.success { Ok(()) } else { Err(output.to_string()) }
    })
    .await;
    assert_eq!(pods.restarts("survivor").await, 0);
}

/// A volume of the block device that the node makes over a sparse file, and a pod with it.
fn block(device: &str) -> String {
    format!(
        "apiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: block}}\nspec:\n  capacity: {{storage: 64Mi}}\n  \
         accessModes: [ReadWriteOnce]\n  volumeMode: Block\n  storageClassName: by-hand\n  \
         persistentVolumeReclaimPolicy: Retain\n  local: {{path: {device}}}\n  nodeAffinity: {{required: {{nodeSelectorTerms: \
         [{{matchExpressions: [{{key: kubernetes.io/hostname, operator: In, values: [node-1]}}]}}]}}}}\n---\n\
         apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: block}}\nspec: {{accessModes: [ReadWriteOnce], \
         volumeMode: Block, storageClassName: by-hand, resources: {{requests: {{storage: 64Mi}}}}}}\n---\n\
         apiVersion: v1\nkind: Pod\nmetadata: {{name: block}}\nspec:\n  terminationGracePeriodSeconds: 0\n  containers:\n    \
         - {{name: block, image: busybox, volumeDevices: [{{name: data, devicePath: /dev/xvda}}]}}\n  \
         volumes: [{{name: data, persistentVolumeClaim: {{claimName: block}}}}]\n"
    )
}

/// A loop device over a sparse file of the node.
fn loop_device(real: &RealCluster, file: &str) -> String {
    std::fs::File::create(real.node().file(file)).unwrap().set_len(64 << 20).unwrap();
    let made = real.node().machine().run("losetup", &["--find", "--show", file], None);
    assert!(made.success, "{made}");
    made.stdout.trim().to_owned()
}

#[tokio::test]
async fn a_block_device_of_the_node_is_one_in_the_pod() {
    let Some(real) = shared() else { return };
    let pods = real.pods("block").await;
    let device = loop_device(real, "/opt/block");
    pods.apply(&block(&device)).await;
    pods.ready("block").await;
    pods.exec("block", &["sh", "-c", "test -b /dev/xvda && printf hello >/dev/xvda && sync"]).await;
    let mut start = [0; 5];
    std::fs::File::open(real.node().file("/opt/block")).unwrap().read_exact(&mut start).unwrap();
    assert_eq!(&start, b"hello");
    pods.delete("pod/block").await;
    let detached = real.node().machine().run("losetup", &["--detach", &device], None);
    assert!(detached.success, "{detached}");
}

#[test]
fn a_killed_test_leaves_no_node_behind() {
    if node_tests_skipped() {
        return;
    }
    let mut victim = Victim::start("real_node::the_test_that_is_killed", Duration::from_secs(300));
    let note = victim.note.clone();
    let mut words = note.trim().split(' ');
    let (name, dir) = (words.next().unwrap(), Path::new(words.next().unwrap()));
    let machine = format!("machine-of-{name}");
    let mut paths = vec![Path::new("/sys/class/net").join(name), dir.to_owned()];
    paths.extend(words.map(|device| Path::new("/sys/block").join(device).join("loop/backing_file")));
    paths.extend(["", "memory", "pids"].map(|tree| Path::new("/sys/fs/cgroup").join(tree).join(name)));
    let left = || {
        let mut left: Vec<PathBuf> = paths.iter().filter(|path| path.exists()).cloned().collect();
        left.extend(processes_with(&machine));
        left
    };
    // Bridge, directory, the two loop devices; a cgroup; and who makes the machine.
    let before = left();
    assert!(before.starts_with(&paths[..4]) && before.len() >= 7, "{before:?}");
    victim.kill();
    let gone = poll(LIMIT, || left().is_empty().then_some(()));
    assert!(gone.is_some(), "a minute later there still is {:?}", left());
}

#[test]
#[ignore = "the test above runs it, to kill it"]
fn the_test_that_is_killed() {
    let Some(note) = note() else { return };
    let real = RealCluster::start(Options::default(), &[NodeOptions::default()]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let pods = real.pods("killed").await;
        pods.apply(&speaker("killed", "node-1")).await;
        pods.ready("killed").await;
        let device = loop_device(&real, "/opt/killed");
        pods.apply(&block(&device)).await;
        pods.ready("block").await;
        // The kubelet makes another one over it, to hold it.
        let over = real.node().machine().run(
            "losetup",
            &["--associated", &device, "--noheadings", "--list", "--output=NAME"],
            None,
        );
        let devices: Vec<&str> =
            std::iter::once(device.as_str()).chain(over.stdout.split_whitespace()).collect();
        let devices = devices.join(" ").replace("/dev/", "");
        std::fs::write(note, format!("{} {} {devices}\n", real.name(), real.files().display())).unwrap();
    });
    std::thread::sleep(Duration::from_secs(600));
}

/// The processes that have this argument.
fn processes_with(argument: &str) -> Vec<PathBuf> {
    let all = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    let has = |path: &PathBuf| {
        let line = std::fs::read(path.join("cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|word| word == argument.as_bytes())
    };
    all.filter(has).collect()
}
