//! What `volgate serve` takes of the memory, whatever is posted to it: the process itself, as the kernel counts it, held
//! to what `manifests/deployment.yaml` gives it. With `VOLGATE_BINARY` a build that is shipped is measured.

use super::MIB;
use super::harness::{Client, review};
use axum::body::Body;
use axum::http::StatusCode;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use volgate::server::{Limits, MAX_BODY};

/// What one request may bring the process to, in MiB.
const ONE: usize = 256;
/// Requests at once.
const BURST: usize = 64;

struct Serve {
    process: Child,
    health: SocketAddr,
    webhook: SocketAddr,
    ca: String,
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Serve {
    fn start() -> Self {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (webhook, health) = (free(), free());
        let binary =
            std::env::var_os("VOLGATE_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_volgate").into());
        let mut process = Command::new(binary)
            .args([
                "serve",
                "--standalone",
                "--print-ca",
                "--timeout",
                "30",
                "--listen",
                &webhook.to_string(),
            ])
            .args(["--health-listen", &health.to_string()])
            .envs(environment())
            .env("RUST_LOG", "error")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut ca = String::new();
        while !ca.contains("END CERTIFICATE") {
            assert!(output.read_line(&mut ca).unwrap() > 0, "it ended");
        }
        let serve = Self { process, health, webhook, ca };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !serve.ask("/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200")) {
            assert!(Instant::now() < deadline, "it does not become ready");
            std::thread::sleep(Duration::from_millis(50));
        }
        serve
    }

    fn ask(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.health).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    async fn client(&self) -> Client {
        Client::http2(self.webhook, &self.ca).await
    }

    /// What the kernel says of the process, in MiB.
    fn memory(&self, field: &str) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.trim().trim_end_matches("kB").trim().parse::<usize>().unwrap() / 1024
    }

    /// Forgets the highest that was measured so far.
    fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.process.id()), "5").unwrap();
    }
}

fn container() -> serde_json::Value {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/manifests/deployment.yaml"));
    let input = volgate::check::Input::from_bytes("deployment.yaml", text.unwrap().as_bytes(), true);
    let deployment = input.documents().find(|document| document.value["kind"] == "Deployment").unwrap();
    deployment.value["spec"]["template"]["spec"]["containers"][0].clone()
}

/// The variables that the Deployment sets.
fn environment() -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let container = container();
    let env = container["env"].as_array().into_iter().flatten();
    env.filter(|one| one["value"].is_string()).map(|one| (text(&one["name"]), text(&one["value"]))).collect()
}

/// The memory that the Deployment gives, in MiB.
fn limit() -> usize {
    let container = container();
    container["resources"]["limits"]["memory"].as_str().unwrap().trim_end_matches("Mi").parse().unwrap()
}

#[test]
fn the_deployment_gives_what_the_limits_add_up_to() {
    // With 10,000 claims and volumes, as docs/figures.md has it.
    let (alone, limits) = (64, Limits::default());
    let needed = alone + limits.memory() / MIB;
    assert_eq!(needed, 576, "deployment.yaml and its comment say so");
    assert!(limit() >= needed + needed / 10, "{needed} of {} MiB, and a tenth for the allocator", limit());
    let args = container()["args"].to_string();
    assert!(!args.contains("--body-memory"), "the default is what is added up: {args}");
}

/// A review whose object is as large as it can be, filled with that part.
fn filled(before: &str, part: &str, after: &str) -> Vec<u8> {
    let head = r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u","operation":"CREATE",
        "namespace":"shop","kind":{"group":"","version":"v1","kind":"Pod"},"object":{"apiVersion":"v1","kind":"Pod","#;
    let tail = format!("{after}}}}}}}");
    let room = MAX_BODY - head.len() - before.len() - tail.len();
    let count = room / (part.len() + 1);
    let mut body = format!("{head}{before}").into_bytes();
    for index in 0..count {
        body.extend_from_slice(if index == 0 { b"" } else { b"," });
        body.extend_from_slice(part.as_bytes());
    }
    body.extend_from_slice(tail.as_bytes());
    body
}

/// What takes most memory for its bytes, by what it does: many values, values with much behind each, long texts that are
/// copied, and what cannot be read.
fn shapes() -> Vec<(&'static str, Vec<u8>)> {
    let lists = |field: &str, inner: &str, count: usize| {
        format!(r#"{{"{field}":[{}]}}"#, vec![inner; count].join(","))
    };
    let spec = r#""spec":{"containers":["#;
    let mut shapes = vec![
        ("empty init containers", filled(r#""spec":{"initContainers":["#, "{}", "]}")),
        ("empty finalizers", filled(r#""metadata":{"finalizers":["#, r#""""#, "]}")),
        ("numbers", filled(r#""spec":{"a":["#, "0", "]}")),
        ("maps of one field", filled(r#""spec":{"a":["#, r#"{"a":1}"#, "]}")),
        ("numbers as long as may be", filled(r#""spec":{"a":["#, "1234567890123456789012345678", "]}")),
        (
            "variables",
            filled(
                spec,
                &lists("env", r#"{"name":"a","value":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"}"#, 900),
                "]}",
            ),
        ),
        (
            "mounts",
            filled(
                spec,
                &lists("volumeMounts", r#"{"name":"a","mountPath":"/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"}"#, 90),
                "]}",
            ),
        ),
        (
            "databases",
            filled(spec, &format!(r#"{{"image":"redis","args":["{}"]}}"#, "a".repeat(7_000)), "]}"),
        ),
        (
            "volumes",
            filled(
                r#""spec":{"volumes":["#,
                &format!(r#"{{"name":"{}","emptyDir":{{}}}}"#, "a".repeat(700)),
                "]}",
            ),
        ),
        ("unclosed lists", filled(r#""spec":{"a":["#, "[[0,0,0,0", "]}")),
        ("escapes", filled(r#""spec":{"a":["#, &format!("\"{}\"", r"\u00e9".repeat(1_000)), "]}")),
    ];
    let mut bytes = filled(r#""spec":{"a":["#, &format!("\"{}\"", "a".repeat(1_000)), "]}");
    let half = bytes.len() / 2;
    bytes[half..].fill(0xff);
    shapes.push(("bytes that are no text", bytes));
    shapes
}

/// Posts all of them at once; how many were answered, and how many got no room or time.
async fn post(serve: &Serve, bodies: impl Iterator<Item = &[u8]>) -> (usize, usize) {
    let mut sent = Vec::new();
    let mut client = serve.client().await;
    for (index, body) in bodies.enumerate() {
        if index % 8 == 7 {
            client = serve.client().await;
        }
        sent.push(client.begin("/validate", Body::from(body.to_vec())));
    }
    let statuses = futures::future::join_all(sent).await;
    let count = |wanted| statuses.iter().filter(|status| **status == Some(wanted)).count();
    let counts = (count(StatusCode::OK), count(StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(counts.0 + counts.1, statuses.len(), "{statuses:?}");
    counts
}

/// The same while small reviews go on; the highest that it brings the process to, in MiB.
async fn burst(serve: &Serve, name: &str, bodies: impl Iterator<Item = &[u8]>) -> usize {
    serve.forget_peak();
    let mut client = serve.client().await;
    let small = async {
        let mut answered = 0;
        for _ in 0..20 {
            answered +=
                usize::from(client.post("/validate", review("fine")).await.0.status == StatusCode::OK);
        }
        answered
    };
    let ((answered, not), small) = tokio::join!(post(serve, bodies), small);
    let peak = serve.memory("VmHWM:");
    println!("{name}: {peak} MiB, {answered} answered and {not} without room or time");
    assert_eq!(small, 20, "{name}: small reviews go on beside it");
    peak
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_takes_more_memory_than_the_deployment_gives() {
    let (limit, serve, shapes) = (limit(), Serve::start(), shapes());
    println!("at its start {} MiB", serve.memory("VmHWM:"));
    let mut worst = (0, "", [].as_slice());
    for (name, body) in &shapes {
        assert!(body.len() <= MAX_BODY && body.len() > MAX_BODY - 128 * 1024, "{name}: {}", body.len());
        serve.forget_peak();
        let counts = post(&serve, std::iter::once(body.as_slice())).await;
        let one = serve.memory("VmHWM:");
        println!("{name}: {one} MiB");
        assert_eq!(counts, (1, 0), "{name}");
        assert!(one <= ONE, "{name}: one request brings the process to {one} MiB");
        worst = worst.max((one, name, body));
    }
    let all = shapes.iter().map(|(_, body)| body.as_slice()).cycle().take(BURST);
    let (mixed, same) = (burst(&serve, "all shapes", all).await, std::iter::repeat_n(worst.2, BURST));
    let same = burst(&serve, worst.1, same).await;
    assert!(
        mixed.max(same) <= limit,
        "{BURST} requests bring the process to {mixed} and {same} MiB of {limit}"
    );

    let after = || serve.memory("RssAnon:");
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut client = serve.client().await;
    while after() > limit / 8 {
        assert!(Instant::now() < deadline, "{} MiB are not given back", after());
        // A cluster goes on with probes, and now and then with a small review.
        serve.ask("/livez");
        assert_eq!(client.post("/validate", review("fine")).await.0.status, StatusCode::OK);
        tokio::time::sleep(Duration::from_secs(7)).await;
    }
    println!("afterwards {} MiB, {} of them data", serve.memory("VmRSS:"), after());
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_ask_nothing_take_little_memory() {
    let serve = Serve::start();
    let mut clients = Vec::new();
    for _ in 0..1_000 {
        clients.push(serve.client().await);
    }
    let mut client = serve.client().await;
    assert_eq!(client.post("/validate", review("fine")).await.0.status, StatusCode::OK);
    println!("with 1,000 connections {} MiB", serve.memory("VmHWM:"));
    assert!(serve.memory("VmHWM:") <= limit() / 2, "{} MiB", serve.memory("VmHWM:"));
    let metrics = serve.ask("/metrics").unwrap();
    assert!(metrics.contains("volgate_connections 32\n"), "{metrics}");
}
