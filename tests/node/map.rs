//! `volgate map` beside reality: a node with real pods is killed, and its page is looked at in a real browser.

use crate::support::cluster::ADMIN;
use crate::support::kept::kept;
use crate::support::node::{NodeOptions, Pods, RealCluster, library_dirs, node_tests_skipped, unpacked};
use crate::support::run::root;
use crate::support::{Options, wait_until};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);

/// A Redis by that name, with a pod volume at its data; the scheduler would rather have it on the fast node.
fn redis(name: &str, volume: &str, more: &str) -> String {
    let affinity = "{nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 100, preference: {matchExpressions: \
                    [{key: disk, operator: In, values: [fast]}]}}]}}";
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  selector: {{matchLabels: {{app: {name}}}}}\n  \
         template:\n    metadata: {{labels: {{app: {name}}}}}\n    spec:\n      affinity: {affinity}\n      \
         terminationGracePeriodSeconds: 1\n{more}      containers: [{{name: redis, image: redis, volumeMounts: [{{name: data, mountPath: /data}}]}}]\n      \
         volumes: [{{name: data, {volume}}}]\n---\n"
    )
}

/// A volume on the fast node's disk with its claim, and one that is a directory of whichever node uses it.
const VOLUMES: &str = r#"
apiVersion: v1
kind: PersistentVolume
metadata: {name: map-disk}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: map
  persistentVolumeReclaimPolicy: Retain
  local: {path: /data/map}
  nodeAffinity:
    required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [node-2]}]}]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: disk}
spec: {accessModes: [ReadWriteOnce], storageClassName: map, volumeName: map-disk, resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: map-path}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: map
  persistentVolumeReclaimPolicy: Retain
  hostPath: {path: /srv/volume, type: DirectoryOrCreate}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: path}
spec: {accessModes: [ReadWriteOnce], storageClassName: map, volumeName: map-path, resources: {requests: {storage: 1Gi}}}
---
"#;

/// The first pod of a workload: its name and node.
async fn pod_of(pods: &Pods<'_>, app: &str) -> Option<(String, String)> {
    let label = format!("app={app}");
    let listed = pods.works(&["get", "pods", "-l", &label, "-o", "json"], None).await;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let pod = listed["items"].as_array().unwrap().first()?.clone();
    let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    Some((text("/metadata/name"), text("/spec/nodeName")))
}

async fn ready_on(pods: &Pods<'_>, app: &str, node: &str) -> String {
    let name = wait_until(&format!("{app} is on {node}"), LIMIT, async || {
        let found = pod_of(pods, app).await;
        match &found {
            Some((name, at)) if at == node => Ok(name.clone()),
            _ => Err(format!("{found:?}")),
        }
    })
    .await;
    pods.ready(&name).await;
    name
}

async fn key(pods: &Pods<'_>, pod: &str) -> String {
    pods.exec(pod, &["redis-cli", "get", "key"]).await.trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_killed_and_what_was_predicted_is_what_is_left() {
    if node_tests_skipped() {
        return;
    }
    let fast = NodeOptions { labels: vec![("disk".into(), "fast".into())], ..NodeOptions::default() };
    let real = RealCluster::start(Options::default(), &[NodeOptions::default(), fast]);
    let real = real.unwrap_or_else(|fault| panic!("{fault}"));
    let pods = real.pods("map").await;
    std::fs::create_dir_all(real.nodes()[1].file("/data/map")).unwrap();
    let there = "      nodeSelector: {kubernetes.io/hostname: node-1}\n";
    let manifest = [
        VOLUMES.to_owned(),
        redis("scratch", "emptyDir: {}", ""),
        redis("directory", "hostPath: {path: /srv/map, type: DirectoryOrCreate}", ""),
        redis("disk", "persistentVolumeClaim: {claimName: disk}", ""),
        redis("path", "persistentVolumeClaim: {claimName: path}", ""),
        redis("selects", "emptyDir: {}", "      nodeSelector: {disk: fast}\n"),
        redis("elsewhere", "emptyDir: {}", there),
    ];
    pods.apply(&manifest.concat()).await;
    let on_fast = ["scratch", "directory", "disk", "path", "selects"];
    for app in on_fast.into_iter().chain(["elsewhere"]) {
        let node = if app == "elsewhere" { "node-1" } else { "node-2" };
        let pod = ready_on(&pods, app, node).await;
        assert_eq!(pods.exec(&pod, &["redis-cli", "set", "key", app]).await, "OK\n");
        assert_eq!(pods.exec(&pod, &["redis-cli", "save"]).await, "OK\n");
    }

    let mut command = crate::support::volgate();
    command.args(["map", "-o", "json", "--what-if", "node=node-2", "--kubeconfig"]);
    let output = command.arg(real.kubeconfig_for(ADMIN)).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let map: Value = serde_json::from_slice(&output.stdout).unwrap();
    let event = &map["whatIf"][0];
    let mut outcomes = BTreeMap::new();
    for outcome in ["stranded", "backEmpty", "back", "gone", "unknown"] {
        for group in event[outcome].as_array().unwrap() {
            outcomes.insert(group["workload"]["name"].as_str().unwrap(), outcome);
        }
    }
    let expected = [
        ("directory", "backEmpty"),
        ("disk", "stranded"),
        ("path", "backEmpty"),
        ("scratch", "backEmpty"),
        ("selects", "stranded"),
    ];
    assert_eq!(outcomes, expected.into(), "{event:#}");
    let lost: Vec<(&str, &str)> = event["lost"]
        .as_array()
        .unwrap()
        .iter()
        .map(|data| (data["what"].as_str().unwrap(), data["dataOf"].as_str().unwrap_or_default()))
        .collect();
    for what in ["claim map/disk", "claim map/path", "emptyDir data", "hostPath /srv/map"] {
        assert!(lost.contains(&(what, "Redis")), "{lost:?}");
    }

    // Every process of the node ends at once, and its disk is not seen again.
    real.nodes()[1].machine().run("sh", &["-c", "kill -9 -1"], None);
    pods.works(&["delete", "node", "node-2"], None).await;
    for app in on_fast {
        let (name, _) = pod_of(&pods, app).await.unwrap();
        // As the pod garbage collector does it, a minute later.
        pods.works(
            &["delete", "pod", &name, "--grace-period=0", "--force", "--wait=false", "--ignore-not-found"],
            None,
        )
        .await;
    }
    for (app, outcome) in outcomes {
        if outcome == "backEmpty" {
            let pod = ready_on(&pods, app, "node-1").await;
            assert_eq!(key(&pods, &pod).await, "", "{app} came back with its data");
        } else {
            wait_until(&format!("{app} cannot be scheduled"), LIMIT, async || {
                let label = format!("app={app}");
                let listed = pods.works(&["get", "pods", "-l", &label, "-o", "json"], None).await;
                if listed.contains("\"Unschedulable\"") { Ok(()) } else { Err(listed) }
            })
            .await;
        }
    }
    let (untouched, _) = pod_of(&pods, "elsewhere").await.unwrap();
    assert_eq!(key(&pods, &untouched).await, "elsewhere");
}

/// The headless Chromium of this machine, or Debian's, which is fetched once.
fn browser() -> Result<Command, String> {
    const NAME: &str = "chromium-headless-shell";
    let found = std::env::var_os("PATH").and_then(|path| {
        std::env::split_paths(&path).map(|dir| dir.join(NAME)).find(|program| program.is_file())
    });
    if let Some(program) = found {
        return Ok(Command::new(program));
    }
    let what = "the browser of a test: Debian's chromium-headless-shell, 2 minutes the first time";
    let unpack = |half: &Path| unpacked(half, &[NAME]);
    let at: PathBuf = kept(&root("target/browser"), NAME, what, unpack)?;
    let libraries: Vec<String> =
        library_dirs(&at).iter().map(|dir| at.join(dir).display().to_string()).collect();
    let mut command = Command::new(at.join("usr/lib/chromium").join(NAME));
    command.env("LD_LIBRARY_PATH", libraries.join(":"));
    Ok(command)
}

#[test]
fn a_browser_shows_the_page_and_nothing_of_it_runs() {
    if node_tests_skipped() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("map.html");
    // A name that would run as a script where it is not escaped. No API server takes it, but a file may have it.
    let name = "<script>document.title='run'</script>";
    let manifest = redis("shown", "emptyDir: {}", "")
        .replace("metadata: {name: shown}", &format!("metadata: {{name: \"{name}\"}}"));
    let file = folder.path().join("redis.yaml");
    std::fs::write(&file, manifest).unwrap();
    let mut volgate = crate::support::volgate();
    let made = volgate.arg("map").arg(&file).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    std::fs::write(&page, made.stdout).unwrap();
    let url = format!("file://{}", page.display());
    let run = |arguments: &[&str]| {
        let mut command = browser().unwrap_or_else(|fault| panic!("{fault}"));
        command.args(["--no-sandbox", "--disable-gpu", "--window-size=1200,900"]).args(arguments).arg(&url);
        let output = command.env("HOME", folder.path()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let shown = run(&["--dump-dom"]);
    assert!(shown.contains("<title>Storage map</title>"), "{shown}");
    assert!(!shown.contains("<script"), "{shown}");
    assert!(shown.contains("&lt;script&gt;") && shown.contains("data of <b>Redis</b>"), "{shown}");
    // Kept, for whoever wants to look.
    let kept = root("target/screenshots");
    std::fs::create_dir_all(&kept).unwrap();
    let mut pictures = Vec::new();
    for (scheme, number) in [("light", 1), ("dark", 0)] {
        let file = kept.join(format!("map-{scheme}.png"));
        run(&[
            &format!("--screenshot={}", file.display()),
            &format!("--blink-settings=preferredColorScheme={number}"),
        ]);
        let picture = std::fs::read(&file).unwrap();
        assert!(picture.starts_with(b"\x89PNG") && picture.len() > 10_000, "{} bytes", picture.len());
        pictures.push(picture);
    }
    assert_ne!(pictures[0], pictures[1], "dark looks like light");
}
