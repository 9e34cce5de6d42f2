//! Prints how much memory the caches take: `cargo run --release --example cache_memory [claims] [volumes]`.
//!
//! A child process plays the API server, with claims and volumes as a real one writes them (managed fields included), in
//! pages and without end to the watches. What is printed is what the kernel says of this process: resident now and at
//! its peak.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use volgate::cluster::Caches;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let first = args.next().unwrap_or_else(|| "10000".to_owned());
    if first == "api" {
        let mut count =
            || -> Result<usize, Failure> { Ok(args.next().ok_or("a number is missing")?.parse()?) };
        return serve(count()?, count()?);
    }
    let (claims, volumes) = (first, args.next().unwrap_or_else(|| "10000".to_owned()));
    let mut api = Guard(
        Command::new(std::env::current_exe()?)
            .args(["api", &claims, &volumes])
            .stdout(Stdio::piped())
            .spawn()?,
    );
    let mut url = String::new();
    BufReader::new(api.0.stdout.take().ok_or("the API has no output")?).read_line(&mut url)?;
    // As `serve` has it.
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure(url.trim()))
}

struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn measure(url: &str) -> Result<(), Failure> {
    let mut config = kube::Config::new(url.parse()?);
    config.proxy_url = None;
    let client = kube::Client::try_from(config)?;
    let before = memory()?;
    let started = Instant::now();
    let caches = Caches::start(&client);
    while !caches.synced() {
        if started.elapsed() > Duration::from_secs(60) {
            return Err(caches.waiting().join("; ").into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let seconds = started.elapsed().as_secs_f32();
    let after = memory()?;
    let objects: Vec<String> = caches
        .sizes()
        .into_iter()
        .filter(|(_, size)| *size > 0)
        .map(|(kind, size)| format!("{size} {kind}"))
        .collect();
    println!("cached {} in {seconds:.1} s", objects.join(" and "));
    for (what, (resident, peak)) in [("before", before), ("after", after)] {
        println!("{what}: resident {:.1} MiB, peak {:.1} MiB", mib(resident), mib(peak));
    }
    Ok(())
}

fn mib(kib: u32) -> f64 {
    f64::from(kib) / 1024.0
}

/// Resident memory of this process and its highest so far, in KiB; from `/proc`, so on Linux alone.
fn memory() -> Result<(u32, u32), Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let field = |name: &str| -> Result<u32, Failure> {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .ok_or("no such field in /proc/self/status")?;
        Ok(line.trim().trim_end_matches("kB").trim().parse()?)
    };
    Ok((field("VmRSS:")?, field("VmHWM:")?))
}

#[tokio::main(flavor = "current_thread")]
async fn serve(claims: usize, volumes: usize) -> Result<(), Failure> {
    let answer = move |Path(resource): Path<String>, Query(query): Query<HashMap<String, String>>| async move {
        match resource.as_str() {
            "persistentvolumeclaims" => page(&query, claims, claim),
            "persistentvolumes" => page(&query, volumes, volume),
            _ => page(&query, 0, volume),
        }
    };
    let app = axum::Router::new().route("/api/v1/{resource}", get(answer)).route(
        "/apis/{group}/v1/{resource}",
        get(move |Path((_, resource)): Path<(String, String)>, query: Query<HashMap<String, String>>| {
            answer(Path(resource), query)
        }),
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
