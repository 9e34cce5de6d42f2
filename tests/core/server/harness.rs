//! A webhook on loopback with one rule that does as an object's label says, and clients that trust its CA.

use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode, response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::json;
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use volgate::lookup::MapLookup;
use volgate::model::{FieldPath, Labels};
use volgate::policy::{CompiledPolicy, CompiledRule, PolicySet};
use volgate::rule::{NewFinding, NewFindings, Rule};
use volgate::server::{CacheState, Clock, Limits, ServeFault, Shutdown, State, serve};
use volgate::tls::{CertificateSource, Follower};
use volgate::verdict::Action;

/// Whether those reviews go on that are held.
static RELEASED: AtomicBool = AtomicBool::new(false);

/// Lets the reviews go on that are held.
pub(crate) fn release() {
    RELEASED.store(true, Ordering::Relaxed);
}

/// Denies, warns, waits for a second or until it is released, or panics, as the label `do` says.
#[derive(Debug)]
struct Obedient;

impl Rule for Obedient {
    fn check(&self, context: &volgate::rule::Context<'_>, findings: &mut NewFindings<'_>) {
        let finding = NewFinding::new(FieldPath::root().key("spec"), "is not liked");
        match context.facts.meta.label("do") {
            Some("deny") => findings.push(finding),
            Some("warn") => findings.push(finding.at_most(Action::Warn)),
            Some("slow") => std::thread::sleep(Duration::from_millis(1_500)),
            Some("held") => {
                while !RELEASED.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
            Some("panic") => panic!("as asked"),
            _ => {}
        }
    }
}

fn policies() -> PolicySet {
    let rule = CompiledRule {
        id: "test-rule",
        action: Action::Deny,
        message: None,
        rule: Arc::new(Obedient),
        field: FieldPath::root(),
    };
    PolicySet::build(vec![CompiledPolicy {
        name: "test".into(),
        priority: 0,
        matches: None,
        exclude: Vec::new(),
        rules: vec![rule],
        exceptions: Vec::new(),
        self_service: None,
        catalog: Vec::new(),
        notices: Vec::new(),
        alone: false,
        custom_resources: Vec::new(),
        counts: std::sync::Arc::default(),
    }])
    .unwrap()
}

/// A review of a new pod whose label `do` has that value.
pub(crate) fn review(label: &str) -> String {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "a-uid", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "operation": "CREATE",
        "namespace": "shop", "name": "web", "object": {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "labels": {"do": label}},
            "spec": {"containers": [{"name": "web", "image": "nginx"}]}
        }
    }})
    .to_string()
}

/// The time and the caches, as a test wants them.
#[derive(Debug, Default)]
pub(crate) struct World {
    days: AtomicI64,
    waiting: Mutex<Vec<String>>,
}

impl World {
    pub(crate) fn pass_days(&self, days: i64) {
        self.days.fetch_add(days, Ordering::Relaxed);
    }
    pub(crate) fn wait_for(&self, kind: &str) {
        self.waiting.lock().unwrap().push(kind.to_owned());
    }
}

struct Caches(Arc<World>);

impl CacheState for Caches {
    fn waiting(&self) -> Vec<String> {
        self.0.waiting.lock().unwrap().clone()
    }
    fn sizes(&self) -> Vec<(&'static str, usize)> {
        vec![("claims", 7)]
    }
}

/// A running webhook.
pub(crate) struct Gate {
    pub(crate) webhook: SocketAddr,
    pub(crate) state: Arc<State>,
    pub(crate) world: Arc<World>,
    health: SocketAddr,
    ca: String,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), ServeFault>>,
}

impl Gate {
    pub(crate) async fn start() -> Self {
        let shutdown = Shutdown { delay: Duration::ZERO, grace: Duration::from_secs(1) };
        Self::with(Limits::default(), shutdown).await
    }

    pub(crate) async fn with(limits: Limits, shutdown: Shutdown) -> Self {
        let source = CertificateSource::own(vec!["localhost".into()], Clock::system().now()).unwrap();
        let ca = source.ca_bundle().unwrap();
        Self::with_source(source, ca, limits, shutdown).await.0
    }

    pub(crate) async fn with_source(
        source: CertificateSource,
        ca: String,
        limits: Limits,
        shutdown: Shutdown,
    ) -> (Self, Follower) {
        let follower = Follower::start(source, Clock::system().now()).unwrap();
        let world = Arc::new(World::default());
        let told = world.clone();
        let clock = Clock::new(move || Clock::system().now() + told.days.load(Ordering::Relaxed) * 86_400);
        let caches = Arc::new(Caches(world.clone()));
        let lookup = Arc::new(MapLookup::default());
        let state = State::new(policies(), lookup, caches, follower.certificates(), clock, limits);
        let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
        let listeners = (listen(), listen());
        let (webhook, health) = (listeners.0.local_addr().unwrap(), listeners.1.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let served = state.clone();
        let task = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            serve(served, listeners.0, listeners.1, stopped, shutdown).await
        });
        (Self { webhook, state, world, health, ca, stop: Some(stop), task }, follower)
    }

    pub(crate) fn begin_stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    pub(crate) async fn ended(self) {
        self.task.await.unwrap().unwrap();
    }

    pub(crate) async fn stop(mut self) {
        self.begin_stop();
        self.task.abort();
    }

    pub(crate) async fn http1(&self) -> Client {
        let stream = self.connect(b"http/1.1").await;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Client::One(sender)
    }

    pub(crate) async fn http2(&self) -> Client {
        Client::http2(self.webhook, &self.ca).await
    }

    /// The certificate that a new connection gets.
    pub(crate) async fn served_certificate(&self) -> CertificateDer<'static> {
        let stream = self.connect(b"h2").await;
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    }

    async fn connect(&self, protocol: &[u8]) -> TlsStream<TcpStream> {
        connect(self.webhook, &self.ca, protocol).await
    }

    pub(crate) async fn health(&self, path: &str) -> (u16, String) {
        let stream = TcpStream::connect(self.health).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get(path).header("host", "localhost").body(Body::empty()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        let status = response.status().as_u16();
        (status, text(response.into_body()).await)
    }

    /// The number behind that beginning of a line of the metrics; 0 where there is none.
    pub(crate) async fn metric(&self, line: &str) -> usize {
        let metrics = self.metrics().await;
        let value = metrics.lines().find_map(|text| text.strip_prefix(line));
        value.map_or(0, |value| value.parse().unwrap())
    }

    /// Waits until it is as wanted.
    pub(crate) async fn until(&self, line: &str, wanted: impl Fn(usize) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !wanted(self.metric(line).await) {
            assert!(Instant::now() < deadline, "{line}{}", self.metric(line).await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn metrics(&self) -> String {
        let (status, text) = self.health("/metrics").await;
        assert_eq!(status, 200);
        text
    }
}

/// One connection to the webhook.
pub(crate) enum Client {
    One(http1::SendRequest<Body>),
    Two(http2::SendRequest<Body>),
}

/// A connection to a webhook with that CA.
async fn connect(webhook: SocketAddr, ca: &str, protocol: &[u8]) -> TlsStream<TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(webhook).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol));
    stream
}

impl Client {
    pub(crate) async fn http2(webhook: SocketAddr, ca: &str) -> Self {
        let stream = connect(webhook, ca, b"h2").await;
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self::Two(sender)
    }

    /// Sends a review by HTTP/2 beside others; the status of the answer, if the connection is not lost.
    pub(crate) fn begin(
        &self,
        path: &str,
        body: Body,
    ) -> impl Future<Output = Option<StatusCode>> + Send + use<> {
        let Self::Two(sender) = self else { panic!("HTTP/1 has one request at a time") };
        let mut sender = sender.clone();
        let request = Request::post(format!("https://localhost{path}"));
        let request = request.header("content-type", "application/json").body(body).unwrap();
        async move {
            sender.ready().await.ok()?;
            let (parts, body) = sender.send_request(request).await.ok()?.into_parts();
            text(body).await;
            Some(parts.status)
        }
    }

    /// Waits until the server has closed the connection.
    pub(crate) async fn closed(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        let is_closed = |client: &Self| match client {
            Self::One(sender) => sender.is_closed(),
            Self::Two(sender) => sender.is_closed(),
        };
        while !is_closed(self) {
            assert!(Instant::now() < deadline, "the connection is still open");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn post(&mut self, path: &str, body: String) -> (response::Parts, String) {
        self.send("POST", path, "application/json", Body::from(body)).await
    }

    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        kind: &str,
        body: Body,
    ) -> (response::Parts, String) {
        let mut request = Request::builder().method(method).uri(format!("https://localhost{path}"));
        if !kind.is_empty() {
            request = request.header("content-type", kind);
        }
        let response = match self {
            Self::One(sender) => {
                sender.ready().await.unwrap();
                let request = request.uri(path).header("host", "localhost").body(body).unwrap();
                sender.send_request(request).await
            }
            Self::Two(sender) => sender.send_request(request.body(body).unwrap()).await,
        };
        let (parts, body) = response.unwrap().into_parts();
        (parts, text(body).await)
    }
}

async fn text(body: Incoming) -> String {
    String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// A body that does not tell its length, never comes, or stops half-way.
pub(crate) struct Unsized {
    part: Option<Full<Bytes>>,
    announced: Option<usize>,
}

impl Unsized {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self { part: Some(Full::new(bytes.into())), announced: None }
    }
    pub(crate) fn never() -> Self {
        Self { part: None, announced: None }
    }
    /// The first bytes of so many.
    pub(crate) fn begun(announced: usize) -> Self {
        Self { part: Some(Full::new(Bytes::from_static(b"{\"kind\":"))), announced: Some(announced) }
    }
}

impl hyper::body::Body for Unsized {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let ends = self.announced.is_none();
        let polled = match &mut self.part {
            Some(full) => Pin::new(full).poll_frame(context),
            None => Poll::Pending,
        };
        // What was announced is still to come.
        if matches!(polled, Poll::Ready(None)) && !ends { Poll::Pending } else { polled }
    }
    fn size_hint(&self) -> SizeHint {
        self.announced.map_or_else(SizeHint::default, |announced| SizeHint::with_exact(announced as u64))
    }
}
