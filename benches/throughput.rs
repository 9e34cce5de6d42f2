//! The webhook over TLS and HTTP/2 beside a null handler on the same axum and rustls stack, which reads the body and
//! answers `allowed`: both in this process, under the same load in turns, so that what else the machine does meets both.
//!
//! As the API server does it, few connections carry many streams: 128 at once, which keeps the servers busy (an API
//! server lets in 200 writes at once), and 32, where the client mostly waits for them. Everything, the load included,
//! shares the machine's cores; the threads' own CPU time tells the servers' part apart. Each connection has one thread
//! of the load, as with other load generators: threads that take work from each other wake each other for it, which costs
//! the load some µs a request, and the more the more answers come together. Talks to 127.0.0.1 alone, for about a minute.
//!
//! Last comes the time of a review, one at a time, while 30 connections of 200 streams each send a request's head and
//! nothing of its body: before, meanwhile and afterwards.
//!
//! `taskset -c 0,1 cargo bench --bench throughput`; with `-- hold` behind it both servers stay for another load generator,
//! with `-- idle` only the last part runs, and with `-- soak 3600` 200 reviews a second for so many seconds, over a new
//! connection each minute: then the memory and the file descriptors of the process are printed each minute.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a bench that cannot be set up cannot run

#[path = "client/mod.rs"]
mod client;
#[path = "support.rs"]
mod support;

use axum::body::Bytes;
use axum::body::HttpBody;
use axum::http::Request;
use axum::routing::post;
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use client::{Sender, connect, send};
use hyper::body::Frame;
use hyper::client::conn::http2::SendRequest;
use serde_json::Value;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use volgate::policy::{PolicySet, embedded_baseline};
use volgate::server::{Clock, Limits, NoCaches, Shutdown, State, serve};
use volgate::tls::{CertificateSource, Certificates, Follower};

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(2_000);
const WARM_UP: Duration = Duration::from_secs(1);
const CONNECTIONS: usize = 2;
/// Requests in flight on each connection.
const STREAMS: [usize; 2] = [64, 16];
/// The most requests of one stream in one round.
const MOST: usize = 100_000;
/// Connections whose streams send nothing, and streams on each of them: as many as a server lets in.
const IDLE: (usize, usize) = (30, 200);
/// Reviews of each part of the measurement beside idle streams.
const SINGLE: usize = 500;
const PATHS: [&str; 2] = ["/mutate", "/validate"];

/// One of the two servers, as the load sees it.
struct Target {
    /// Its threads' name.
    name: &'static str,
    connections: Vec<Sender>,
}

/// What one round came to.
struct Round {
    per_second: f64,
    p50: Duration,
    p99: Duration,
    /// What the server's threads used, for each request.
    cpu: Duration,
}

fn main() {
    // As the binary has it: without one, what HTTP/2 would log is looked at for each frame.
    tracing_subscriber::fmt().with_env_filter("info").with_writer(std::io::stderr).init();
    let now = Clock::system().now();
    let source = CertificateSource::own(vec!["localhost".into()], now).unwrap();
    let ca = source.ca_bundle().unwrap();
    let certificates = Follower::start(source, now).unwrap().certificates();
    let (gate_runtime, null_runtime) = (runtime("gate"), runtime("null"));
    let load: Vec<Runtime> =
        (0..CONNECTIONS).map(|_| Builder::new_current_thread().enable_all().build().unwrap()).collect();
    let gate_at = start_gate(&gate_runtime, certificates.clone());
    let null_at = start_null(&null_runtime, certificates);
    let body = Bytes::from(support::review(&support::pod(2)));

    if std::env::args().any(|argument| argument == "hold") {
        return hold(gate_at, null_at, &body);
    }
    if let Some(at) = std::env::args().position(|argument| argument == "soak") {
        let seconds = std::env::args().nth(at + 1).and_then(|seconds| seconds.parse().ok());
        return soak(&load[0], gate_at, &ca, seconds.expect("how many seconds"));
    }
    if !std::env::args().any(|argument| argument == "idle") {
        compare_with_null(&load, gate_at, null_at, &ca, &body);
    }
    beside_idle_streams(&load, gate_at, &ca, &body);
}

/// The reviews of the gate beside those of the handler that does nothing.
fn compare_with_null(load: &[Runtime], gate_at: SocketAddr, null_at: SocketAddr, ca: &str, body: &Bytes) {
    let gate = Target { name: "gate", connections: connect_each(load, gate_at, ca) };
    let null = Target { name: "null", connections: connect_each(load, null_at, ca) };
    for target in [&gate, &null] {
        load[0].block_on(show_answers(target, body));
    }
    for streams in STREAMS {
        compare(load, [&gate, &null], body, streams);
    }
}

/// A request's body that never comes.
struct Never;

impl HttpBody for Never {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Pending
    }
}

/// The time of a review while others hold as many streams as they get; a stream that the server ends is opened again.
fn beside_idle_streams(load: &[Runtime], gate: SocketAddr, ca: &str, body: &Bytes) {
    let [load, idle, ..] = load else { panic!("two threads of the load are needed") };
    println!("\none review at a time, {SINGLE} of them");
    let mut sender = load.block_on(connect(gate, ca, 1)).pop().unwrap();
    let mut single = |when: &str| {
        let mut times: Vec<Duration> = load.block_on(async {
            let mut times = Vec::new();
            for path in PATHS.iter().cycle().take(SINGLE) {
                let sent = Instant::now();
                send(&mut sender, path, body.clone()).await;
                times.push(sent.elapsed());
            }
            times
        });
        times.sort_unstable();
        println!("{when}: p50 {:.1?}, the slowest {:.1?}", times[SINGLE / 2], times[SINGLE - 1]);
    };
    single("before");
    let (opened, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (connections, streams) = IDLE;
    std::thread::scope(|scope| {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (opened, ended) = (&opened, &ended);
        scope.spawn(move || {
            idle.block_on(async {
                for sender in connect::<Never>(gate, ca, connections).await {
                    for _ in 0..streams {
                        tokio::spawn(hold_stream(sender.clone(), opened.clone(), ended.clone()));
                    }
                }
                stopped.await.ok();
            });
        });
        while opened.load(Ordering::Relaxed) < connections * streams {
            std::thread::sleep(Duration::from_millis(10));
        }
        single(&format!(
            "beside {connections} connections of {streams} idle streams (to reach: at most 20 ms)"
        ));
        let ended = ended.load(Ordering::Relaxed);
        println!("idle streams that the server ended meanwhile, and that came back: {ended}");
        stop.send(()).unwrap();
    });
    single("afterwards");
}

/// Holds one stream of a connection, for as long as the connection lasts.
async fn hold_stream(mut sender: SendRequest<Never>, opened: Arc<AtomicUsize>, ended: Arc<AtomicUsize>) {
    while sender.ready().await.is_ok() {
        let request = Request::post("https://localhost/validate").body(Never).unwrap();
        let answer = sender.send_request(request);
        opened.fetch_add(1, Ordering::Relaxed);
        answer.await.ok();
        ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// Serves until it is killed, and says how to ask.
fn hold(gate: SocketAddr, null: SocketAddr, body: &Bytes) {
    let file = std::env::temp_dir().join("volgate-review.json");
    fs::write(&file, body).unwrap();
    for (name, at) in [("gate", gate), ("null", null)] {
        let [mutate, validate] = PATHS.map(|path| format!("https://{at}{path}"));
        let file = file.display();
        println!(
            "{name}: h2load -t2 -c2 -m64 -D5 -d {file} -H content-type:application/json {mutate} {validate}"
        );
    }
    loop {
        std::thread::park();
    }
}

/// A steady load for so many seconds, and what the process holds meanwhile.
fn soak(load: &Runtime, gate: SocketAddr, ca: &str, seconds: u64) {
    const EACH: u64 = 200;
    let denied = serde_json::json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "r", "namespace": "shop"},
                        "spec": {"containers": [{"name": "r", "image": "redis"}]}});
    let bodies = [support::pod(1), support::pod(2), support::pod(30), denied]
        .map(|pod| Bytes::from(support::review(&pod)));
    let held = || {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap().trim().to_owned();
        (resident, fs::read_dir("/proc/self/fd").unwrap().count())
    };
    println!("{EACH} reviews a second for {seconds} s");
    let started = Instant::now();
    let mut minute = 0;
    while started.elapsed() < Duration::from_secs(seconds) {
        let mut times: Vec<Duration> = load.block_on(async {
            let mut sender = connect(gate, ca, 1).await.pop().unwrap();
            let mut pace = tokio::time::interval(Duration::from_micros(1_000_000 / EACH));
            let mut times = Vec::new();
            for turn in 0..EACH * 60 {
                pace.tick().await;
                let turn = usize::try_from(turn).unwrap();
                let sent = Instant::now();
                send(&mut sender, PATHS[turn % 2], bodies[turn / 2 % bodies.len()].clone()).await;
                times.push(sent.elapsed());
            }
            times
        });
        times.sort_unstable();
        minute += 1;
        let ((resident, files), p50, p99) = (held(), times[times.len() / 2], times[times.len() * 99 / 100]);
        println!("minute {minute:3}: resident {resident}, {files} files open, p50 {p50:.1?}, p99 {p99:.1?}");
    }
}

fn connect_each(load: &[Runtime], at: SocketAddr, ca: &str) -> Vec<Sender> {
    load.iter().flat_map(|runtime| runtime.block_on(connect(at, ca, 1))).collect()
}

/// Both in turns, with so many requests in flight on each connection.
fn compare(load: &[Runtime], [gate, null]: [&Target; 2], body: &Bytes, streams: usize) {
    println!(
        "\nreviews of {} bytes, {} in flight on {CONNECTIONS} connections, {ROUNDS} rounds of {ROUND:?} each",
        body.len(),
        CONNECTIONS * streams
    );
    let run = |target, time| round(load, target, body, streams, time);
    run(gate, WARM_UP);
    run(null, WARM_UP);
    let mut pairs = Vec::new();
    for index in 0..ROUNDS {
        // Who goes first changes, so that a drift of the machine favours none.
        let (gate, null) = if index.is_multiple_of(2) {
            let gate = run(gate, ROUND);
            (gate, run(null, ROUND))
        } else {
            let null = run(null, ROUND);
            (run(gate, ROUND), null)
        };
        println!("round {}: {}\n         {}", index + 1, line("gate", &gate), line("null", &null));
        pairs.push((gate, null));
    }
    let ratio =
        |figure: fn(&Round) -> f64| median(pairs.iter().map(|(gate, null)| figure(gate) / figure(null)));
    println!("gate / null, the median of the pairs:");
    println!("  throughput   {:.2}  (to reach: at least 0.8)", ratio(|round| round.per_second));
    println!("  p50          {:.2}", ratio(|round| round.p50.as_secs_f64()));
    println!("  p99          {:.2}  (to reach: at most 1.5)", ratio(|round| round.p99.as_secs_f64()));
    println!("  server's CPU {:.2}", ratio(|round| round.cpu.as_secs_f64()));
}

fn runtime(name: &'static str) -> Runtime {
    Builder::new_multi_thread().worker_threads(2).thread_name(name).enable_all().build().unwrap()
}

fn start_gate(runtime: &Runtime, certificates: Arc<Certificates>) -> SocketAddr {
    let policies = PolicySet::build(vec![embedded_baseline().unwrap()]).unwrap();
    let lookup = Arc::new(support::lookup());
    let limits = Limits::default();
    let state = State::new(policies, lookup, Arc::new(NoCaches), certificates, Clock::system(), limits);
    let (webhook, at) = listener();
    let (health, _) = listener();
    runtime.spawn(async move {
        serve(state, webhook, health, std::future::pending(), Shutdown::default()).await.unwrap();
    });
    at
}

fn start_null(runtime: &Runtime, certificates: Arc<Certificates>) -> SocketAddr {
    const ALLOWED: &str = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"705ab4f5-6393-11e8-b7cc-42010a800002","allowed":true}}"#;
    let handler = || post(async |_body: Bytes| ([("content-type", "application/json")], ALLOWED));
    let router = PATHS.iter().fold(axum::Router::new(), |router, path| router.route(path, handler()));
    let tls = RustlsConfig::from_config(certificates.server_config().unwrap());
    let (webhook, at) = listener();
    runtime.spawn(async move {
        let server = axum_server::from_tcp(webhook).unwrap();
        let server = server.acceptor(RustlsAcceptor::new(tls).acceptor(NoDelayAcceptor::new()));
        server.serve(router.into_make_service()).await.unwrap();
    });
    at
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let at = listener.local_addr().unwrap();
    (listener, at)
}

/// What is compared must be a review that is judged and admitted.
async fn show_answers(target: &Target, body: &Bytes) {
    for path in PATHS {
        let answer = send(&mut target.connections.first().unwrap().clone(), path, body.clone()).await;
        let review: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(review.pointer("/response/allowed"), Some(&Value::Bool(true)), "{review}");
        println!("{} {path}: {}", target.name, review.pointer("/response").unwrap());
    }
}

/// Keeps all streams busy for so long, each connection's by a thread of its own.
fn round(load: &[Runtime], target: &Target, body: &Bytes, streams: usize, time: Duration) -> Round {
    let cpu = cpu_time(target.name);
    let start = Instant::now();
    let mut times: Vec<Duration> = std::thread::scope(|scope| {
        let threads: Vec<_> = load
            .iter()
            .zip(&target.connections)
            .map(|(runtime, sender)| {
                scope.spawn(move || runtime.block_on(keep_busy(sender, body, streams, start + time)))
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let took = start.elapsed();
    let cpu = cpu_time(target.name).saturating_sub(cpu);
    times.sort_unstable();
    let count = times.len();
    let at = |percent: usize| times.get(count * percent / 100).copied().unwrap_or_default();
    let per_second = count as f64 / took.as_secs_f64();
    Round { per_second, p50: at(50), p99: at(99), cpu: cpu.div_f64(count.max(1) as f64) }
}

/// Keeps so many streams of a connection busy until then; how long each review took.
async fn keep_busy(sender: &Sender, body: &Bytes, streams: usize, until: Instant) -> Vec<Duration> {
    let streams: Vec<_> = (0..streams)
        .map(|stream| {
            let (mut sender, body) = (sender.clone(), body.clone());
            tokio::spawn(async move {
                let mut times = Vec::new();
                for path in PATHS.iter().cycle().skip(stream % 2).take(MOST) {
                    let sent = Instant::now();
                    if sent >= until {
                        break;
                    }
                    send(&mut sender, path, body.clone()).await;
                    times.push(sent.elapsed());
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for stream in streams {
        times.extend(stream.await.unwrap());
    }
    times
}

/// What the threads of that name used so far, as Linux tells it; zero elsewhere.
fn cpu_time(name: &str) -> Duration {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return Duration::ZERO };
    let used = |thread: fs::DirEntry| -> Option<u64> {
        let of = |file| fs::read_to_string(thread.path().join(file)).ok();
        let ours = of("comm")?.trim_end() == name;
        ours.then(|| of("schedstat")?.split(' ').next()?.parse().ok()).flatten()
    };
    Duration::from_nanos(threads.flatten().filter_map(used).sum())
}

fn line(name: &str, round: &Round) -> String {
    let Round { per_second, p50, p99, cpu } = round;
    format!("{name} {per_second:.0} reviews/s, p50 {p50:.1?}, p99 {p99:.1?}, server's CPU {cpu:.1?} a review")
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
