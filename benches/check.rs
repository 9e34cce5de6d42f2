//! What `volgate check` costs: beside the bare parse of the same bytes, beside kubeconform, from its start to its end, and in
//! memory. Each figure is the best of several rounds; what is compared is measured in turns, in one run.
//!
//! `cargo bench --no-default-features --bench check` for all but kubeconform, `-- memory 100000` for the memory of so many files
//! beside a tenth of them, `-- beside KUBECONFORM 10000` for the comparison (`.ci/kubeconform` builds that first),
//! `-- write FOLDER 10000` for the manifests alone, and `-- map 10000` for `volgate map` of so many pods with a volume each.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a bench that cannot be set up cannot run

/// The allocator of the binary, so that the bare parse is measured as users would run it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use serde_json::{Value, json};
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use volgate::source::parse;

const MANIFESTS: usize = 10_000;
const ROUNDS: usize = 7;
const VOLGATE: &str = env!("CARGO_BIN_EXE_volgate");

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let count = |at: usize, default| arguments.get(at).map_or(default, |count| count.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    match arguments.first().map(String::as_str) {
        None => {
            beside_parse(folder.path());
            start(folder.path());
        }
        Some("memory") => memory(folder.path(), count(1, 100_000)),
        Some("beside") => beside(folder.path(), Path::new(&arguments[1]), count(2, MANIFESTS)),
        Some("write") => drop(write(Path::new(&arguments[1]), count(2, MANIFESTS))),
        Some("map") => map(folder.path(), count(1, MANIFESTS)),
        Some(other) => panic!("{other}: there are memory, beside, write and map"),
    }
}

/// A run that has ended.
#[derive(Clone, Copy)]
struct Ended {
    took: Duration,
    /// What it took on all cores, in hundredths of a second as Linux counts it.
    cpu: Duration,
    /// The most memory that it held, in KiB, as far as it was seen.
    peak: u64,
}

/// Runs a program to its end.
fn run(program: &Path, arguments: &[&Path]) -> Ended {
    let before = cpu_of_children();
    let start = Instant::now();
    let mut child = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("failed to run {}: {error}", program.display()));
    let mut peak = 0;
    loop {
        peak = peak.max(memory_of(child.id()));
        if child.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ended { took: start.elapsed(), cpu: cpu_of_children().saturating_sub(before), peak }
}

/// The most memory that a process has held until now, in KiB.
fn memory_of(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|peak| peak.trim().split(' ').next()?.parse().ok()).unwrap_or_default()
}

/// What all processes took that this one has waited for.
fn cpu_of_children() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks =
        fields.split_ascii_whitespace().skip(13).take(2).filter_map(|field| field.parse::<u64>().ok());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

/// The best of several rounds.
fn best(mut work: impl FnMut() -> Ended) -> Ended {
    (0..ROUNDS).map(|_| work()).min_by_key(|ended| ended.took).unwrap()
}

fn check(path: &Path) -> Ended {
    run(Path::new(VOLGATE), &[Path::new("check"), Path::new("--no-config"), path])
}

/// The same manifests as files of a folder, as one file, and as bytes that are only parsed, on one core.
fn beside_parse(folder: &Path) {
    let texts = write(&folder.join("files"), MANIFESTS);
    let file = folder.join("all.yaml");
    fs::write(&file, texts.join("---\n")).unwrap();
    let bytes: usize = texts.iter().map(String::len).sum();
    let parsed = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        texts.iter().for_each(|text| drop(black_box(parse(text))));
        start.elapsed()
    });
    let parsed = parsed.min().unwrap();
    println!("{MANIFESTS} manifests, {bytes} bytes: bare parse {parsed:.0?}");
    for (name, path) in [("one folder", folder.join("files")), ("one file", file)] {
        let Ended { took, cpu, peak } = best(|| check(&path));
        let ratio = took.as_secs_f64() / parsed.as_secs_f64();
        println!(
            "{name}: {took:.0?}, {ratio:.2} of the bare parse; {cpu:.0?} on all cores; {} MiB",
            peak >> 10
        );
    }
}

/// One small file, from the start of the process to its end.
fn start(folder: &Path) {
    let file = folder.join("small.yaml");
    fs::write(&file, manifest(0)).unwrap();
    let mut times: Vec<Duration> = (0..50)
        .map(|_| {
            let start = Instant::now();
            Command::new(VOLGATE).args(["check", "--no-config"]).arg(&file).output().unwrap();
            start.elapsed()
        })
        .collect();
    times.sort();
    println!("one small file, start to end: median {:.1?}, best {:.1?}", times[25], times[0]);
}

fn memory(folder: &Path, most: usize) {
    for count in [most / 10, most] {
        let files = folder.join(count.to_string());
        let bytes: usize = write(&files, count).iter().map(String::len).sum();
        let Ended { took, cpu, peak } = check(&files);
        println!(
            "{count} files, {bytes} bytes: {} MiB, {} bytes a file; {took:.1?}, {cpu:.1?} on all cores",
            peak >> 10,
            (peak << 10) as usize / count
        );
    }
}

/// Beside kubeconform, whose schemas ask for nothing: no download is measured, and as little of its own work as can be.
fn beside(folder: &Path, kubeconform: &Path, count: usize) {
    let (files, schemas) = (folder.join("files"), folder.join("schemas"));
    let texts = write(&files, count);
    let bytes: usize = texts.iter().map(String::len).sum();
    fs::create_dir(&schemas).unwrap();
    for kind in ["deployment", "statefulset", "pod", "persistentvolumeclaim", "service", "configmap"] {
        fs::write(schemas.join(format!("{kind}.json")), "{\"type\": \"object\"}").unwrap();
    }
    let schema = PathBuf::from(format!("{}/{{{{.ResourceKind}}}}.json", schemas.display()));
    let other = || run(kubeconform, &[Path::new("-schema-location"), &schema, &files]);
    let (mut own, mut others) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        own.push(check(&files));
        others.push(other());
    }
    let least = |all: &[Ended]| *all.iter().min_by_key(|ended| ended.took).unwrap();
    let (own, other) = (least(&own), least(&others));
    println!("{count} files, {bytes} bytes, {ROUNDS} rounds in turns, the best of each:");
    for (name, Ended { took, cpu, peak }) in [("volgate check", own), ("kubeconform", other)] {
        println!("{name}: {took:.0?}, {cpu:.0?} on all cores, {} MiB", peak >> 10);
    }
    println!("{:.2} of kubeconform's time", own.took.as_secs_f64() / other.took.as_secs_f64());
}

/// Writes so many manifests, a file each, a thousand in a folder.
fn write(folder: &Path, count: usize) -> Vec<String> {
    let texts: Vec<String> = (0..count).map(manifest).collect();
    for (index, text) in texts.iter().enumerate() {
        let inner = folder.join(format!("team-{:03}", index / 1_000));
        if index % 1_000 == 0 {
            fs::create_dir_all(&inner).unwrap();
        }
        fs::write(inner.join(format!("{index:06}.yaml")), text).unwrap();
    }
    texts
}

/// A mix as a cluster has it: stateless Deployments and Services, ConfigMaps, databases with claims and without; two kilobytes each.
fn manifest(index: usize) -> String {
    match index % 8 {
        0 if index.is_multiple_of(80) => deployment(index, "redis:7", "emptyDir: {}"),
        0 | 1 | 6 => deployment(index, "registry.example/team/api:1.4", "emptyDir: {}"),
        2 => deployment(
            index,
            "redis:7",
            &format!("persistentVolumeClaim: {{claimName: claim-{}}}", index + 3),
        ),
        3 => stateful_set(index),
        4 => format!(
            "{}spec:\n  selector:\n    app: app-{index}\n  ports:\n  - name: http\n    port: 80\n    targetPort: 8080\n    protocol: TCP\n",
            object("v1", "Service", index)
        ),
        5 => format!(
            "{}spec:\n  accessModes:\n  - ReadWriteOnce\n  resources:\n    requests:\n      storage: 10Gi\n",
            object("v1", "PersistentVolumeClaim", index).replace("name: app-", "name: claim-")
        ),
        _ => format!(
            "{}data:\n  LOG_LEVEL: info\n  app.properties: |\n{}",
            object("v1", "ConfigMap", index),
            (0..60)
                .map(|line| format!("    feature.number{line}.enabled={}\n", line % 2 == 0))
                .collect::<String>()
        ),
    }
}

fn object(api_version: &str, kind: &str, index: usize) -> String {
    format!(
        "# Source: shop/templates/{kind}.yaml\napiVersion: {api_version}\nkind: {kind}\nmetadata:\n  name: app-{index}\n  namespace: shop\n  \
         labels:\n    app: app-{index}\n    app.kubernetes.io/name: app\n    app.kubernetes.io/instance: app-{index}\n    \
         app.kubernetes.io/managed-by: Helm\n    app.kubernetes.io/part-of: shop\n    helm.sh/chart: app-1.2.3\n  annotations:\n    \
         checksum/config: 2f1d7bb8f42d3d2c2f1d7bb8f42d3d2c2f1d7bb8f42d3d2c2f1d7bb8f42d{index:04}\n"
    )
}

fn container(name: &str, image: &str, mounts: &str) -> String {
    format!(
        "      - name: {name}\n        image: {image}\n        imagePullPolicy: IfNotPresent\n        env:\n        - name: LOG_LEVEL\n          \
         value: info\n        - name: POD_NAME\n          valueFrom:\n            fieldRef: {{fieldPath: metadata.name}}\n        - name: \
         PASSWORD\n          valueFrom:\n            secretKeyRef: {{name: app, key: password}}\n        ports:\n        - name: http\n          \
         containerPort: 8080\n          protocol: TCP\n        resources:\n          requests: {{cpu: 100m, memory: 128Mi}}\n          \
         limits:\n            memory: 256Mi\n        readinessProbe:\n          httpGet: {{path: /healthz, port: http}}\n          \
         periodSeconds: 10\n        livenessProbe:\n          httpGet:\n            path: /healthz\n            port: http\n          \
         initialDelaySeconds: 5\n        securityContext:\n          allowPrivilegeEscalation: false\n          \
         readOnlyRootFilesystem: true\n          capabilities:\n            drop:\n            - ALL\n{mounts}"
    )
}

fn deployment(index: usize, image: &str, source: &str) -> String {
    // Those without state have a cache: a warning for every second manifest is not what teams have.
    let path = if image.starts_with("redis") { "/data" } else { "/var/cache/app" };
    let mounts = format!(
        "        volumeMounts:\n        - name: data\n          mountPath: {path}\n        - name: config\n          mountPath: /etc/app\n"
    );
    format!(
        "{}spec:\n  replicas: 1\n  selector:\n    matchLabels:\n      app: app-{index}\n  template:\n    metadata:\n      labels:\n        app: \
         app-{index}\n    spec:\n      serviceAccountName: app\n      affinity:\n        podAntiAffinity:\n          \
         preferredDuringSchedulingIgnoredDuringExecution:\n          - weight: 1\n            podAffinityTerm:\n              topologyKey: \
         kubernetes.io/hostname\n              labelSelector:\n                matchLabels:\n                  app: app-{index}\n      \
         containers:\n{}{}      volumes:\n      - name: data\n        {source}\n      - name: config\n        configMap:\n          name: \
         app-{}\n",
        object("apps/v1", "Deployment", index),
        container("main", image, &mounts),
        container("metrics", "registry.example/team/exporter:0.9", ""),
        index / 8 * 8 + 7
    )
}

fn stateful_set(index: usize) -> String {
    let mounts =
        "        volumeMounts:\n        - name: data\n          mountPath: /var/lib/postgresql/data\n";
    format!(
        "{}spec:\n  serviceName: app-{index}\n  replicas: 3\n  selector:\n    matchLabels:\n      app: app-{index}\n  template:\n    \
         metadata:\n      labels:\n        app: app-{index}\n    spec:\n      containers:\n{}{}  volumeClaimTemplates:\n  - metadata:\n      name: \
         data\n    spec:\n      accessModes: [ReadWriteOnce]\n      resources:\n        requests:\n          storage: 20Gi\n",
        object("apps/v1", "StatefulSet", index),
        container("postgres", "postgres:17", mounts),
        container("metrics", "prometheuscommunity/postgres-exporter:v0.17", "")
    )
}

/// The map of so many pods of StatefulSets, each with a claim and a volume on one of 200 nodes, and what is lost with a zone.
fn map(folder: &Path, pods: usize) {
    const EACH: usize = 10;
    let mut objects: Vec<Value> = (0..200)
        .map(|node| {
            let labels = json!({"kubernetes.io/hostname": format!("node-{node}"), "topology.kubernetes.io/zone": format!("zone-{}", node % 3)});
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": format!("node-{node}"), "labels": labels}})
        })
        .collect();
    objects.push(
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "local-path"},
                        "provisioner": "local-path.volgate.dev"}),
    );
    for number in 0..pods {
        let (set, place) = (number / EACH, number % EACH);
        let (image, path) =
            [("postgres:16", "/var/lib/postgresql/data"), ("redis:7", "/data"), ("team/app:1.0", "/data")]
                [set % 3];
        let (namespace, name, node) =
            (format!("space-{}", set % 200), format!("set-{set}"), format!("node-{}", number % 200));
        let labels = json!({"app": name});
        let containers =
            json!([{"name": "main", "image": image, "volumeMounts": [{"name": "data", "mountPath": path}]}]);
        let claim = json!({"accessModes": ["ReadWriteOnce"], "storageClassName": "local-path", "resources": {"requests": {"storage": "1Gi"}}});
        if place == 0 {
            objects.push(json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name, "namespace": namespace, "uid": name},
                "spec": {"replicas": EACH, "serviceName": name, "selector": {"matchLabels": labels},
                         "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
                         "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim}]}}));
        }
        let (of_claim, volume) = (format!("data-{name}-{place}"), format!("volume-{number}"));
        let mut bound = claim.clone();
        bound["volumeName"] = json!(volume);
        objects.push(json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": of_claim, "namespace": namespace}, "spec": bound}));
        objects.push(json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": volume}, "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "local-path", "local": {"path": format!("/data/{number}")},
            "claimRef": {"namespace": namespace, "name": of_claim},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]}}}}));
        objects.push(json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("{name}-{place}"), "namespace": namespace, "labels": labels, "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": name, "uid": name, "controller": true}]},
            "spec": {"nodeName": node, "containers": containers,
                     "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": of_claim}}]}}));
    }
    let dump = folder.join("dump.json");
    fs::write(&dump, json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()).unwrap();
    for event in [None, Some("zone=zone-1")] {
        let mut arguments = vec![Path::new("map"), &dump];
        arguments.extend(event.iter().flat_map(|event| [Path::new("--what-if"), Path::new(event)]));
        let Ended { took, peak, .. } = best(|| run(Path::new(VOLGATE), &arguments));
        let page = Command::new(VOLGATE).args(&arguments).output().unwrap();
        assert!(page.status.success(), "{}", String::from_utf8_lossy(&page.stderr));
        println!(
            "map of {pods} pods{}: {took:.1?}, {} KiB of HTML, {} MiB",
            event.map(|event| format!(", {event}")).unwrap_or_default(),
            page.stdout.len() >> 10,
            peak >> 10
        );
    }
}
