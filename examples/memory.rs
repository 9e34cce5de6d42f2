//! Prints how much memory `volgate serve` and `volgate provisioner` take:
//! `cargo run --release --example memory [claims] [volumes] [reviews] [workloads]`.
//!
//! A child process plays the API server, with claims, volumes and workloads (half of them ReplicaSets of Deployments; a
//! tenth of all write to a claim) as a real one writes them (managed fields included), in
//! pages and without end to the watches; beside it run, one after the other, `volgate serve` and `volgate provisioner`
//! with that cluster, by the same code and with the same allocator as the binary. When the first is ready it is sent reviews of a
//! pod, by TLS and HTTP/2; for the second each volume has its NodeVolume.
//! What is printed is what the kernel says of that process: resident now and at its peak (`VmRSS`, `VmHWM`).
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a measurement that cannot be set up cannot run

#[path = "../benches/client/mod.rs"]
mod client;
// The binary's allocator comes with it.
#[path = "../benches/support.rs"]
mod support;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error>;

/// Requests in flight.
const STREAMS: usize = 64;

fn main() -> Result<ExitCode, Failure> {
    let mut args = std::env::args().skip(1);
    let mut number = |name: &str, default: usize| -> Result<usize, Failure> {
        args.next().map_or(Ok(default), |text| {
            text.parse().map_err(|_| format!("{name}: {text:?} is no number").into())
        })
    };
    match std::env::args().nth(1).as_deref() {
        Some("serve" | "provisioner") => return Ok(volgate::cli::run()),
        Some("api") => {
            let mut args = std::env::args().skip(2);
            let mut count =
                || -> Result<usize, Failure> { Ok(args.next().ok_or("a number is missing")?.parse()?) };
            api(count()?, count()?, count()?)?;
        }
        _ => measure(
            number("claims", 10_000)?,
            number("volumes", 10_000)?,
            number("reviews", 20_000)?,
            number("workloads", 10_000)?,
        )?,
    }
    Ok(ExitCode::SUCCESS)
}

struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn measure(claims: usize, volumes: usize, reviews: usize, workloads: usize) -> Result<(), Failure> {
    let this = std::env::current_exe()?;
    let counts = [claims, volumes, workloads].map(|count| count.to_string());
    let mut api = Guard(Command::new(&this).arg("api").args(counts).stdout(Stdio::piped()).spawn()?);
    let mut url = String::new();
    BufReader::new(api.0.stdout.take().ok_or("the API has no output")?).read_line(&mut url)?;

    let folder = tempfile::tempdir()?;
    let kubeconfig = folder.path().join("kubeconfig");
    let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": url.trim()}}], "users": [{"name": "x", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}]});
    std::fs::write(&kubeconfig, config.to_string())?;
    let webhook = free_address()?;
    let started = Started::new(&["serve", "--print-ca", "--listen", &webhook.to_string()], &kubeconfig)?;
    started.show(&["volgate_cache_objects{"])?;
    let body = Bytes::from(support::review(&support::pod(2)));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let admitted = runtime.block_on(load(webhook, &started.ca, &body, reviews))?;
    show(&format!("serve after {admitted} reviews, {STREAMS} at a time"), started.process.0.id())?;
    drop(started);

    let started = Started::new(&["provisioner"], &kubeconfig)?;
    started.show(&["volgate_provisioner_volumes{", "volgate_provisioner_node_volumes{"])
}

/// A subcommand of volgate's that is ready.
struct Started {
    name: String,
    process: Guard,
    health: SocketAddr,
    /// What it printed of a CA.
    ca: String,
    took: Duration,
}

impl Started {
    fn new(args: &[&str], kubeconfig: &std::path::Path) -> Result<Self, Failure> {
        let (began, health) = (Instant::now(), free_address()?);
        let mut command = Command::new(std::env::current_exe()?);
        command.args(args).args(["--health-listen", &health.to_string()]).env("KUBECONFIG", kubeconfig);
        if args.contains(&"provisioner") {
            // As manifests/provisioner.yaml has it.
            let names = ["MIMALLOC_PURGE_DELAY", "MIMALLOC_EAGER_COMMIT", "MIMALLOC_ARENA_EAGER_COMMIT"];
            command.envs(names.map(|name| (name, "0")));
        }
        command.env_remove("HTTP_PROXY").env_remove("http_proxy").stdout(Stdio::piped());
        let mut process = Guard(command.spawn()?);
        let mut ca = String::new();
        if args.contains(&"--print-ca") {
            let mut output = BufReader::new(process.0.stdout.take().ok_or("it has no output")?);
            while !ca.contains("END CERTIFICATE") && output.read_line(&mut ca)? > 0 {}
        }
        while !ask(health, "/readyz").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")) {
            if began.elapsed() > Duration::from_secs(60) {
                return Err(ask(health, "/readyz")?.into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let name = args.first().copied().unwrap_or_default().to_owned();
        Ok(Self { name, process, health, ca, took: began.elapsed() })
    }

    /// Prints what it holds, by the beginnings of its metrics' lines, and what memory it takes.
    fn show(&self, wanted: &[&str]) -> Result<(), Failure> {
        let metrics = ask(self.health, "/metrics")?;
        let wanted = |line: &&str| wanted.iter().any(|one| line.starts_with(one)) && !line.ends_with(" 0");
        let held: Vec<&str> = metrics.lines().filter(wanted).collect();
        println!("{} is ready in {:.1} s; {}", self.name, self.took.as_secs_f32(), held.join(", "));
        show(&self.name, self.process.0.id())
    }
}

/// Posts so many reviews, and says how many were admitted.
async fn load(at: SocketAddr, ca: &str, body: &Bytes, reviews: usize) -> Result<usize, Failure> {
    let senders = client::connect(at, ca, 2).await;
    let streams = (0..STREAMS).zip(senders.iter().cycle()).map(|(stream, sender)| {
        let (mut sender, body) = (sender.clone(), body.clone());
        let path = if stream % 2 == 0 { "/mutate" } else { "/validate" };
        tokio::spawn(async move {
            let mut admitted = 0;
            for _ in (stream..reviews).step_by(STREAMS) {
                let answer = client::send(&mut sender, path, body.clone()).await;
                let review: Value = serde_json::from_slice(&answer).unwrap();
                admitted += usize::from(review["response"]["allowed"] == true);
            }
            admitted
        })
    });
    let streams: Vec<_> = streams.collect();
    let mut admitted = 0;
    for stream in streams {
        admitted += stream.await?;
    }
    Ok(admitted)
}

fn free_address() -> Result<SocketAddr, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn ask(at: SocketAddr, path: &str) -> Result<String, Failure> {
    let mut stream = TcpStream::connect(at)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Prints the resident memory of a process and its highest so far; from `/proc`, so on Linux alone.
fn show(when: &str, process: u32) -> Result<(), Failure> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let field = |name: &str| -> Result<f64, Failure> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such field in /proc")?;
        let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib / 1024.0)
    };
    println!("{when}: resident {:.1} MiB, peak {:.1} MiB", field("VmRSS:")?, field("VmHWM:")?);
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn api(claims: usize, volumes: usize, workloads: usize) -> Result<(), Failure> {
    let answer = move |Path(resource): Path<String>, Query(query): Query<HashMap<String, String>>| async move {
        match resource.as_str() {
            "persistentvolumeclaims" => page(&query, claims, claim),
            "persistentvolumes" => page(&query, volumes, volume),
            "deployments" | "statefulsets" => page(&query, workloads / 4, workload),
            "replicasets" => page(&query, workloads / 2, replica_set),
            "nodevolumes" => page(&query, volumes, node_volume),
            _ => page(&query, 0, volume),
        }
    };
    let app = axum::Router::new().route("/api/v1/{resource}", get(answer)).route(
        "/apis/{group}/{version}/{resource}",
        get(
            move |Path((_, _, resource)): Path<(String, String, String)>,
                  query: Query<HashMap<String, String>>| { answer(Path(resource), query) },
        ),
    );
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("http://{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    Ok(axum::serve(listener, app).await?)
}

fn page(query: &HashMap<String, String>, total: usize, object: fn(usize) -> Value) -> Response {
    if query.contains_key("watch") {
        let silence = futures::stream::pending::<Result<Bytes, std::convert::Infallible>>();
        return Body::from_stream(silence).into_response();
    }
    let number = |key: &str| query.get(key).and_then(|text| text.parse::<usize>().ok());
    let from = number("continue").unwrap_or(0);
    let to = total.min(from + number("limit").unwrap_or(total));
    let next = if to < total { to.to_string() } else { String::new() };
    let items: Vec<Value> = (from..to).map(object).collect();
    Json(json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1", "continue": next},
                "items": items}))
    .into_response()
}

/// What the server notes of who wrote which field.
fn managed(manager: &str) -> Value {
    let field = |name: &str| (format!("f:{name}"), json!({".": {}, "f:a": {}, "f:b": {}}));
    let names =
        ["accessModes", "resources", "volumeMode", "storageClassName", "capacity", "claimRef", "phase"];
    json!({"manager": manager, "operation": "Update", "apiVersion": "v1", "time": "2026-01-01T00:00:00Z",
           "fieldsType": "FieldsV1", "fieldsV1": {"f:metadata": {"f:annotations": {".": {}}},
           "f:spec": names.map(field).into_iter().collect::<serde_json::Map<_, _>>()}})
}

fn claim(n: usize) -> Value {
    json!({
        "metadata": {"name": format!("data-database-{n}"), "namespace": format!("team-{}", n % 50),
            "uid": format!("6f0d2c1e-0000-4000-8000-{n:012}"), "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"app": "database"},
            "annotations": {"pv.kubernetes.io/bind-completed": "yes", "pv.kubernetes.io/bound-by-controller": "yes",
                "volume.kubernetes.io/selected-node": format!("node-{}", n % 100),
                "volume.kubernetes.io/storage-provisioner": "local-path.volgate.dev"},
            "finalizers": ["kubernetes.io/pvc-protection"],
            "managedFields": [managed("kube-scheduler"), managed("kube-controller-manager")]},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}},
            "storageClassName": "local-path", "volumeMode": "Filesystem",
            "volumeName": format!("pvc-6f0d2c1e-0000-4000-8000-{n:012}")},
        "status": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "10Gi"}, "phase": "Bound"},
    })
}

fn volume(n: usize) -> Value {
    let (namespace, node) = (format!("team-{}", n % 50), format!("node-{}", n % 100));
    let uid = format!("6f0d2c1e-0000-4000-8000-{n:012}");
    json!({
        "metadata": {"name": format!("pvc-{uid}"), "uid": format!("7a1b3d2f-0000-4000-8000-{n:012}"),
            "resourceVersion": "1", "creationTimestamp": "2026-01-01T00:00:00Z",
            "annotations": {"pv.kubernetes.io/provisioned-by": "local-path.volgate.dev"},
            "finalizers": ["kubernetes.io/pv-protection"],
            "managedFields": [managed("volgate"), managed("kube-controller-manager")]},
        "spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "10Gi"}, "volumeMode": "Filesystem",
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace,
                "name": format!("data-database-{n}"), "uid": uid, "resourceVersion": "1"},
            "local": {"path": format!("/opt/local-path-provisioner/pvc-{uid}_{namespace}_data-database-{n}")},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]}},
            "persistentVolumeReclaimPolicy": "Delete", "storageClassName": "local-path"},
        "status": {"phase": "Bound"},
    })
}

/// A Deployment or StatefulSet of a chart.
fn workload(n: usize) -> Value {
    let labels = json!({"app.kubernetes.io/name": "shop", "app.kubernetes.io/instance": format!("shop-{n}")});
    let volume = match n % 10 {
        0 => json!({"name": "data", "persistentVolumeClaim": {"claimName": format!("data-database-{n}")}}),
        _ => json!({"name": "data", "emptyDir": {}}),
    };
    let variable = |n: usize| json!({"name": format!("SETTING_{n}"), "value": "a value of some length"});
    let container = |name: &str| {
        json!({"name": name, "image": format!("registry.example.org/team/{name}:1.2.3"), "imagePullPolicy": "IfNotPresent",
            "env": (0..10).map(variable).collect::<Vec<_>>(),
            "ports": [{"containerPort": 8080, "name": "http", "protocol": "TCP"}],
            "resources": {"limits": {"memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"})
    };
    json!({
        "metadata": {"name": format!("shop-{n}"), "namespace": format!("team-{}", n % 50),
            "uid": format!("5e0d2c1e-0000-4000-8000-{n:012}"), "resourceVersion": "1", "generation": 7,
            "creationTimestamp": "2026-01-01T00:00:00Z", "labels": labels,
            "annotations": {"deployment.kubernetes.io/revision": "7", "meta.helm.sh/release-name": format!("shop-{n}"),
                "meta.helm.sh/release-namespace": format!("team-{}", n % 50)},
            "managedFields": [managed("helm"), managed("kube-controller-manager")]},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            "template": {"metadata": {"labels": labels, "annotations": {"checksum/config": "0".repeat(64)}},
                "spec": {"containers": [container("app"), container("sidecar")], "volumes": [volume],
                    "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler"}}},
        "status": {"replicas": 1, "readyReplicas": 1, "observedGeneration": 7},
    })
}

/// The newest ReplicaSet of such a Deployment.
fn replica_set(n: usize) -> Value {
    let mut set = workload(n);
    set["metadata"]["name"] = format!("shop-{n}-6d4cf56db6").into();
    set["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "Deployment",
        "name": format!("shop-{n}"), "uid": format!("5e0d2c1e-0000-4000-8000-{n:012}"), "controller": true}]);
    set["spec"]["strategy"] = Value::Null;
    set
}

fn node_volume(n: usize) -> Value {
    let (namespace, node) = (format!("team-{}", n % 50), format!("node-{}", n % 100));
    let uid = format!("6f0d2c1e-0000-4000-8000-{n:012}");
    let directory = format!("pvc-{uid}_{namespace}_data-database-{n}");
    json!({
        "metadata": {"name": format!("pvc-{uid}"), "uid": format!("8b2c4e3a-0000-4000-8000-{n:012}"),
            "resourceVersion": "1", "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"volgate.dev/node": node},
            "annotations": {"volgate.dev/provisioner": volgate::model::PROVISIONER, "volgate.dev/reclaim-policy": "Delete"},
            "managedFields": [managed("volgate"), managed("volgate-agent")]},
        "spec": {"node": node, "nodeUid": format!("9c3f0000-0000-4000-8000-{:012}", n % 100),
            "claim": {"namespace": namespace, "name": format!("data-database-{n}"), "uid": uid}, "class": "local-path",
            "backend": "directory", "base": "/opt/local-path-provisioner", "directory": directory,
            "sizeBytes": 10_737_418_240_i64, "volumeMode": "Filesystem", "desired": "Present", "adopt": false},
        "status": {"phase": "Ready", "observedGeneration": 1, "sizeBytes": 10_737_418_240_i64,
            "path": format!("/opt/local-path-provisioner/{directory}")},
    })
}
