//! Who is connected: so many at most, and none for longer than it asks for something.

use crate::model::lock;
use axum::response::Response;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use socket2::{SockRef, TcpKeepalive};
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tower::Service;

/// How long a client may take to complete a TLS handshake, and to ask for something first where many connections are open.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection may be idle before its client is asked whether it is still there. The kernel asks: HTTP/2's own
/// pings would have the time taken for every frame.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How often it is asked, [`PATIENCE`] apart, until it is given up.
const ASKED: u32 = 3;
/// How long nothing is accepted after that has failed, for example because too many files are open.
const PAUSE: Duration = Duration::from_millis(50);

/// How many bytes are read of a connection at once: rustls asks for 4 KiB, which is less than most reviews have.
const READ: usize = 64 * 1024;
/// How many bytes are taken of a request's body before somebody reads them.
const WINDOW: u32 = 512 * 1024;
/// How many large bodies of one connection may wait for memory: fewer than fill its window, so that others go on.
pub(super) const WAITING: usize = 3;
/// How many requests one HTTP/2 connection may have open. The API server opens another connection for more.
const STREAMS: u32 = 32;

/// Is told of a connection that came to no request: from whom, where that is known, and why.
pub(super) type Failed = dyn Fn(Option<IpAddr>, &io::Error) + Send + Sync;

/// What is done with connections.
#[derive(Clone)]
pub(super) struct Server {
    /// None for plain HTTP.
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) connections: Arc<Connections>,
    pub(super) failed: Arc<Failed>,
}

/// How an end comes: nothing is accepted any more, what runs has its time, and then it ends as well.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    begun: watch::Receiver<Option<Duration>>,
}

impl Ending {
    /// The end, and how it is brought about: with the time that requests have which run then.
    pub(super) fn new() -> (watch::Sender<Option<Duration>>, Self) {
        let (sender, begun) = watch::channel(None);
        (sender, Self { begun })
    }

    async fn begins(&mut self) -> Duration {
        // Where whoever serves is gone, there is no time left either.
        self.begun.wait_for(Option::is_some).await.ok().and_then(|grace| *grace).unwrap_or_default()
    }
}

impl Server {
    /// Serves until the end, with a service for each connection.
    pub(super) async fn serve<S>(
        self,
        listener: std::net::TcpListener,
        mut ending: Ending,
        service: impl Fn(IpAddr, Arc<Activity>) -> S,
    ) -> io::Result<()>
    where
        S: Service<hyper::Request<hyper::body::Incoming>, Response = Response, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
    {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let builders = Arc::new(Builders::new());
        // Each connection holds a sender; nothing is ever sent.
        let (open, mut all_closed) = mpsc::channel::<Infallible>(1);
        let grace = loop {
            let accepted = tokio::select! {
                biased;
                grace = ending.begins() => break grace,
                accepted = listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok((stream, address)) => (stream, address.ip().to_canonical()),
                Err(error) => {
                    (self.failed)(None, &error);
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let entry = self.connections.admit(peer);
            let service = service(peer, entry.activity.clone());
            let (server, builders, ending, open) =
                (self.clone(), builders.clone(), ending.clone(), open.clone());
            tokio::spawn(async move {
                if let Err(error) = server.run(&builders, stream, service, &entry, ending).await {
                    (server.failed)(Some(peer), &error);
                }
                drop(open);
            });
        };
        // So that nobody waits for what will not be accepted.
        drop((listener, open));
        let _ = tokio::time::timeout(grace, all_closed.recv()).await;
        self.connections.close_all();
        Ok(())
    }

    async fn run<S>(
        &self,
        builders: &Builders,
        stream: TcpStream,
        service: S,
        entry: &Entry,
        mut ending: Ending,
    ) -> io::Result<()>
    where
        S: Service<hyper::Request<hyper::body::Incoming>, Response = Response, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
    {
        let stream = prepared(stream)?;
        let Some(tls) = &self.tls else {
            return Self::converse(&builders.http1, stream, service, entry, ending).await;
        };
        let stream = tokio::select! {
            biased;
            () = entry.closed.notified() => return Ok(()),
            _ = ending.begins() => return Ok(()),
            shaken = tokio::time::timeout(PATIENCE, tls.accept(stream)) => {
                shaken.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long")))?
            }
        };
        let builder = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => {
                entry.speaks_http2();
                &builders.http2
            }
            _ => &builders.http1,
        };
        Self::converse(builder, stream, service, entry, ending).await
    }

    async fn converse<I, S>(
        builder: &Builder<TokioExecutor>,
        stream: I,
        service: S,
        entry: &Entry,
        mut ending: Ending,
    ) -> io::Result<()>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Service<hyper::Request<hyper::body::Incoming>, Response = Response, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
    {
        let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        let mut connection = pin!(connection);
        // Once it is asked to end, when it ends by force.
        let mut last = None;
        loop {
            // Not to the end at once: how long it may be idle turns on the others.
            let until = last.unwrap_or_else(|| entry.idle_until().min(Instant::now() + PATIENCE));
            tokio::select! {
                biased;
                // What goes wrong with the protocol is the client's to learn; it has had a connection.
                _ = connection.as_mut() => return Ok(()),
                () = entry.closed.notified() => return Ok(()),
                _ = ending.begins(), if last.is_none() => {
                    connection.as_mut().graceful_shutdown();
                    // Those who serve end it when its time is over.
                    last = Some(Instant::now() + Duration::from_secs(24 * 60 * 60));
                }
                () = tokio::time::sleep_until(until) => {
                    if last.is_some() {
                        return Ok(());
                    }
                    if entry.idle_until() <= Instant::now() {
                        connection.as_mut().graceful_shutdown();
                        last = Some(Instant::now() + PATIENCE);
                    }
                }
            }
        }
    }
}

/// Each for one version of HTTP: what a connection may hold depends on it, so that it is not for the client to choose later.
struct Builders {
    http1: Builder<TokioExecutor>,
    http2: Builder<TokioExecutor>,
}

impl Builders {
    fn new() -> Self {
        Self { http1: builder().http1_only(), http2: builder().http2_only() }
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // Hyper counts the time between two requests as part of the next one's head, for which it has 30 seconds. How long
    // both may take together is decided here.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(READ);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW * (WAITING as u32 + 1))
        .max_send_buf_size(READ);
    builder
}

/// A connection that is read in large parts and written to at once.
fn prepared(stream: TcpStream) -> io::Result<BufReader<TcpStream>> {
    // Otherwise an answer behind another on the same connection can wait for the client's delayed ACK.
    stream.set_nodelay(true)?;
    let alive = TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(PATIENCE).with_retries(ASKED);
    SockRef::from(&stream).set_tcp_keepalive(&alive)?;
    Ok(BufReader::with_capacity(READ, stream))
}

/// The connections that are open. One more than there may be closes another: of the peer that has most of them one on which no
/// request runs, if there is any, and that which was answered last the longest time ago, so that nobody is locked out by those who hold
/// connections and ask nothing. API servers speak HTTP/1.1 to webhooks in a cluster: each review that runs has a connection.
#[derive(Debug)]
pub(super) struct Connections {
    most: usize,
    /// How many of them may speak HTTP/2, which can hold far more.
    most_http2: usize,
    /// How long one may be open while nothing is asked.
    idle: Duration,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    entries: BTreeMap<u64, Known>,
    /// How many were closed for others.
    gave_way: u64,
}

#[derive(Debug)]
struct Known {
    peer: IpAddr,
    http2: bool,
    activity: Arc<Activity>,
    closed: Arc<Notify>,
}

/// One of them, while its task runs.
#[derive(Debug)]
pub(super) struct Entry {
    id: u64,
    connections: Arc<Connections>,
    pub(super) activity: Arc<Activity>,
    closed: Arc<Notify>,
}

impl Connections {
    pub(super) fn new(most: usize, most_http2: usize, idle: Duration) -> Arc<Self> {
        Arc::new(Self { most: most.max(1), most_http2: most_http2.max(1), idle, open: Mutex::default() })
    }

    /// How many are open, and how many were closed so that others could be.
    pub(super) fn counts(&self) -> (usize, u64) {
        let open = self.lock();
        (open.entries.len(), open.gave_way)
    }

    fn admit(self: &Arc<Self>, peer: IpAddr) -> Entry {
        let mut open = self.lock();
        open.make_room(self.most, peer, |_| true);
        let id = open.next;
        open.next += 1;
        let (activity, closed) = (Arc::new(Activity::new()), Arc::new(Notify::new()));
        open.entries
            .insert(id, Known { peer, http2: false, activity: activity.clone(), closed: closed.clone() });
        Entry { id, connections: self.clone(), activity, closed }
    }

    fn speaks_http2(&self, id: u64) {
        let mut open = self.lock();
        let Some(peer) = open.entries.get(&id).map(|known| known.peer) else { return };
        open.make_room(self.most_http2, peer, |known| known.http2);
        if let Some(known) = open.entries.get_mut(&id) {
            known.http2 = true;
        }
    }

    /// How long one may be open on which nothing was answered. An API server opens some that it asks nothing on at first, and
    /// picks them later: one that is closed at that moment costs a review.
    fn patience(&self) -> Duration {
        if self.lock().entries.len() > self.most / 2 { self.idle.min(PATIENCE) } else { self.idle }
    }

    fn close_all(&self) {
        for known in std::mem::take(&mut self.lock().entries).values() {
            known.closed.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // Changed in single steps.
        lock(&self.open)
    }
}

impl Open {
    /// Closes connections of this kind until there is room for another of that peer.
    fn make_room(&mut self, most: usize, new: IpAddr, of: impl Fn(&Known) -> bool) {
        while self.entries.values().filter(|known| of(known)).count() >= most {
            let Some(known) = self.first_to_go(new, &of).and_then(|id| self.entries.remove(&id)) else {
                return;
            };
            known.closed.notify_one();
            self.gave_way += 1;
        }
    }

    /// Which of this kind is closed for a new one of that peer.
    fn first_to_go(&self, new: IpAddr, of: impl Fn(&Known) -> bool) -> Option<u64> {
        let mut counts: HashMap<IpAddr, usize> = HashMap::from([(new, 1)]);
        for known in self.entries.values().filter(|known| of(known)) {
            *counts.entry(known.peer).or_default() += 1;
        }
        let key = |(id, known): &(&u64, &Known)| {
            let count = counts.get(&known.peer).copied();
            (std::cmp::Reverse(count), known.activity.is_busy(), known.activity.answered(), **id)
        };
        self.entries.iter().filter(|(_, known)| of(known)).min_by_key(key).map(|(id, _)| *id)
    }
}

impl Entry {
    /// Takes one of the places of HTTP/2.
    fn speaks_http2(&self) {
        self.connections.speaks_http2(self.id);
    }

    fn idle_until(&self) -> Instant {
        self.activity.idle_until(self.connections.idle, || self.connections.patience())
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.connections.lock().entries.remove(&self.id);
    }
}

/// What a connection is used for.
#[derive(Debug)]
pub(super) struct Activity(Mutex<Requests>);

#[derive(Debug)]
struct Requests {
    running: usize,
    /// When the last of them ended, or the connection began.
    since: Instant,
    /// When one was answered as a review.
    answered: Option<Instant>,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Requests { running: 0, since: Instant::now(), answered: None }))
    }

    /// A request runs until what this gives is dropped.
    pub(super) fn request(self: &Arc<Self>) -> Request {
        self.lock().running += 1;
        Request(self.clone())
    }

    fn answered(&self) -> Option<Instant> {
        self.lock().answered
    }

    /// Whether a request runs.
    fn is_busy(&self) -> bool {
        self.lock().running > 0
    }

    /// When it has been idle for too long, if nothing is asked until then; the time to look again where a request runs.
    fn idle_until(&self, idle: Duration, patience: impl Fn() -> Duration) -> Instant {
        match *self.lock() {
            Requests { running: 1.., .. } => Instant::now() + idle,
            Requests { answered: None, since, .. } => since + patience(),
            Requests { since, .. } => since + idle,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Requests> {
        lock(&self.0)
    }
}

/// A request that runs.
#[derive(Debug)]
pub(super) struct Request(Arc<Activity>);

impl Request {
    /// It was answered as a review.
    pub(super) fn answered(&self) {
        self.0.lock().answered = Some(Instant::now());
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let mut requests = self.0.lock();
        requests.running -= 1;
        requests.since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(120);

    fn peer(number: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, number])
    }

    /// Whether it was told to close.
    fn is_closed(entry: &Entry) -> bool {
        let waits = pin!(entry.closed.notified());
        waits.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_ready()
    }

    #[tokio::test]
    async fn a_client_that_is_gone_without_a_word_is_noticed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (_client, accepted) = tokio::join!(TcpStream::connect(at), listener.accept());
        let stream = prepared(accepted.unwrap().0).unwrap();
        let socket = SockRef::from(stream.get_ref());
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEP_ALIVE);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), PATIENCE);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), ASKED);
    }

    #[tokio::test]
    async fn who_holds_most_connections_loses_one_when_there_are_too_many() {
        let connections = Connections::new(4, 4, IDLE);
        let api_server = connections.admit(peer(1));
        let others: Vec<Entry> = (0..3).map(|_| connections.admit(peer(2))).collect();
        others[0].activity.request().answered();
        let late = connections.admit(peer(2));
        assert!(is_closed(&others[1]), "the first that was never answered");
        assert!(
            !is_closed(&api_server) && !is_closed(&others[0]) && !is_closed(&others[2]) && !is_closed(&late)
        );
        let second = connections.admit(peer(1));
        assert!(is_closed(&others[2]) && !is_closed(&api_server));
        assert_eq!(connections.counts(), (4, 2));
        drop((api_server, second, late));
        drop(others);
        assert_eq!(connections.counts().0, 0);
    }

    #[tokio::test]
    async fn one_on_which_a_request_runs_goes_last() {
        let connections = Connections::new(3, 3, IDLE);
        let entries: Vec<Entry> = (0..3).map(|_| connections.admit(peer(1))).collect();
        let running: Vec<Request> = entries.iter().take(2).map(|entry| entry.activity.request()).collect();
        entries[2].activity.request().answered();
        let new = connections.admit(peer(1));
        let _asks = new.activity.request();
        let closed: Vec<bool> = entries.iter().map(is_closed).collect();
        assert_eq!(closed, [false, false, true], "though it was answered just now");
        // Somebody who has fewer is let in all the same.
        let other = connections.admit(peer(2));
        assert!(is_closed(&entries[0]) && !is_closed(&entries[1]) && !is_closed(&new) && !is_closed(&other));
        drop(running);
    }

    #[tokio::test]
    async fn those_of_http2_are_fewer_and_make_room_among_themselves() {
        let connections = Connections::new(10, 2, IDLE);
        let entries: Vec<Entry> = (0..6).map(|_| connections.admit(peer(1))).collect();
        entries.iter().skip(2).take(3).for_each(Entry::speaks_http2);
        let closed: Vec<bool> = entries.iter().map(is_closed).collect();
        assert_eq!(closed, [false, false, true, false, false, false]);
        entries[0].speaks_http2();
        assert!(is_closed(&entries[3]) && !is_closed(&entries[1]));
        assert_eq!(connections.counts(), (4, 2));
    }

    #[tokio::test]
    async fn one_client_alone_may_have_all_of_them() {
        let connections = Connections::new(3, 3, IDLE);
        let entries: Vec<Entry> = (0..5).map(|_| connections.admit(peer(1))).collect();
        let closed: Vec<bool> = entries.iter().map(is_closed).collect();
        assert_eq!(closed, [true, true, false, false, false]);
    }

    #[tokio::test]
    async fn a_connection_is_idle_while_no_request_runs() {
        let connections = Connections::new(4, 4, IDLE);
        let entry = connections.admit(peer(1));
        let began = Instant::now();
        let request = entry.activity.request();
        request.answered();
        assert!(entry.idle_until() >= began + IDLE, "one runs");
        drop(request);
        assert!(entry.idle_until() <= Instant::now() + IDLE);
    }

    #[tokio::test]
    async fn one_that_asks_nothing_is_closed_sooner_where_many_are_open() {
        let connections = Connections::new(4, 4, IDLE);
        let began = Instant::now();
        let (first, _second) = (connections.admit(peer(1)), connections.admit(peer(1)));
        assert!(first.idle_until() >= began + IDLE, "there is room");
        let _third = connections.admit(peer(1));
        assert!(first.idle_until() <= Instant::now() + PATIENCE);
        first.activity.request().answered();
        assert!(first.idle_until() >= began + IDLE, "an API server's, by its answer");
    }

    /// Hyper would close it after 30 seconds, and an API server keeps it for 90.
    #[tokio::test]
    async fn a_connection_of_http1_is_idle_for_longer_than_hyper_allows() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let connections = Connections::new(4, 4, IDLE);
        let entry = connections.admit(peer(1));
        let activity = entry.activity.clone();
        let service = tower::service_fn(move |_| {
            let request = activity.request();
            request.answered();
            std::future::ready(Ok::<_, Infallible>(Response::new(axum::body::Body::from("answered"))))
        });
        let (mut client, server) = tokio::io::duplex(READ);
        let (_sender, ending) = Ending::new();
        let builders = Builders::new();
        let served = Server::converse(&builders.http1, server, service, &entry, ending);
        let asks = async {
            for waits in [0, 31] {
                tokio::time::sleep(Duration::from_secs(waits)).await;
                client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
                let mut answer = [0; 1024];
                let read = client.read(&mut answer).await.unwrap();
                assert!(String::from_utf8_lossy(&answer[..read]).contains("200 OK"), "after {waits} s");
            }
            drop(client);
        };
        let (served, ()) = tokio::join!(served, asks);
        served.unwrap();
    }
}
