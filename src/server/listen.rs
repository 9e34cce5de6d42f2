use super::cork::CorkAcceptor;
use super::{State, health_router, webhook_service};
use crate::tls::TlsFault;
use axum_server::Handle;
use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use socket2::{SockRef, TcpKeepalive};
use std::future::{Ready, ready};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tower::make::Shared;

/// How long a client may take to complete a TLS handshake, or to send a request's head.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long an HTTP/1 connection may be idle, and how long one of HTTP/2 before it is asked whether it is still there. The
/// kernel asks: HTTP/2's own pings would have the time taken for every frame.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How often it is asked, [`PATIENCE`] apart, until it is given up.
const ASKED: u32 = 3;

/// How many bytes are read of a connection at once: rustls asks for 4 KiB, which is less than most reviews have.
const READ: usize = 64 * 1024;

/// How serving ends.
#[derive(Debug, Clone, Copy)]
pub struct Shutdown {
    /// How long requests are still taken after readiness has failed: the API server learns of it later than this
    /// process does.
    pub delay: Duration,
    /// How long requests that run then may take to end.
    pub grace: Duration,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { delay: Duration::from_secs(5), grace: Duration::from_secs(10) }
    }
}

/// Why serving ended before it was asked to, or never began.
#[derive(Debug, thiserror::Error)]
pub enum ServeFault {
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsFault),
    /// A listener ended.
    #[error("failed to serve {what} on {address}: {error}")]
    Listener {
        /// `webhook` or `health`.
        what: &'static str,
        /// Where.
        address: String,
        /// Why.
        error: io::Error,
    },
}

/// Serves the webhook by TLS and health in the clear until `stop` ends, then drains: readiness fails first, after the
/// delay no connection is taken any more, and what runs then is answered.
///
/// # Errors
/// A listener ended by itself.
pub async fn serve(
    state: Arc<State>,
    webhook: TcpListener,
    health: TcpListener,
    stop: impl Future<Output = ()>,
    shutdown: Shutdown,
) -> Result<(), ServeFault> {
    let tls = RustlsConfig::from_config(state.certificates.clone().server_config()?);
    let handles = (Handle::new(), Handle::new());
    let webhook_at = address(&webhook);
    let health_at = address(&health);
    let fault = |what, address: &str| {
        let address = address.to_owned();
        move |error| ServeFault::Listener { what, address, error }
    };

    let tls = RustlsAcceptor::new(tls).handshake_timeout(PATIENCE).acceptor(Buffered);
    let mut server = axum_server::from_tcp(webhook)
        .map_err(fault("webhook", &webhook_at))?
        .acceptor(CorkAcceptor(tls))
        .handle(handles.0.clone())
        .first_request_timeout(PATIENCE);
    server.http_builder().http1().header_read_timeout(KEEP_ALIVE);
    let counted = state.clone();
    let server = server.accept_error_handler(move |from: Option<&SocketAddr>, error| {
        counted.metrics.connection_errors.inc();
        // A port scan or a load balancer's probe hangs up; everything else is worth a line.
        if error.kind() == io::ErrorKind::UnexpectedEof {
            tracing::debug!(?from, "a connection ended before its request: {error}");
        } else {
            tracing::warn!(
                ?from,
                "failed to take a connection: {error}; does caBundle hold this certificate's CA?"
            );
        }
    });
    let mut webhook = tokio::spawn(server.serve(Shared::new(webhook_service(state.clone()))));

    let server = axum_server::from_tcp(health)
        .map_err(fault("health", &health_at))?
        .handle(handles.1.clone())
        .first_request_timeout(PATIENCE);
    let mut health = tokio::spawn(server.serve(health_router(state.clone()).into_make_service()));

    tokio::select! {
        ended = &mut webhook => return flatten(ended).map_err(fault("webhook", &webhook_at)),
        ended = &mut health => return flatten(ended).map_err(fault("health", &health_at)),
        () = stop => {}
    }
    state.begin_draining();
    tracing::info!("draining: requests are taken for another {:?}", shutdown.delay);
    tokio::time::sleep(shutdown.delay).await;
    handles.0.graceful_shutdown(Some(shutdown.grace));
    let ended = flatten(webhook.await).map_err(fault("webhook", &webhook_at));
    handles.1.graceful_shutdown(Some(Duration::from_secs(1)));
    ended.and(flatten(health.await).map_err(fault("health", &health_at)))
}

/// Connections that are read in large parts and written to at once.
#[derive(Debug, Clone, Copy)]
struct Buffered;

impl<S> Accept<TcpStream, S> for Buffered {
    type Stream = BufReader<TcpStream>;
    type Service = S;
    type Future = Ready<io::Result<(Self::Stream, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        // Otherwise an answer behind another on the same connection can wait for the client's delayed ACK.
        let set = stream.set_nodelay(true).and_then(|()| keep_alive(&stream));
        ready(set.map(|()| (BufReader::with_capacity(READ, stream), service)))
    }
}

fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    let alive = TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(PATIENCE).with_retries(ASKED);
    SockRef::from(stream).set_tcp_keepalive(&alive)
}

/// Serves a router in the clear, for ever.
///
/// # Errors
/// The listener ended by itself.
pub async fn serve_plain(listener: TcpListener, router: axum::Router) -> Result<(), ServeFault> {
    let address = address(&listener);
    let fault = |error| ServeFault::Listener { what: "health", address: address.clone(), error };
    let server = axum_server::from_tcp(listener).map_err(fault)?.first_request_timeout(PATIENCE);
    server.serve(router.into_make_service()).await.map_err(fault)
}

fn flatten(ended: Result<io::Result<()>, tokio::task::JoinError>) -> io::Result<()> {
    ended.unwrap_or_else(|error| Err(io::Error::other(error)))
}

fn address(listener: &TcpListener) -> String {
    listener.local_addr().map_or_else(|_| "an unknown address".to_owned(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_that_is_gone_without_a_word_is_noticed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (_client, accepted) = tokio::join!(TcpStream::connect(at), listener.accept());
        let (stream, ()) = Buffered.accept(accepted.unwrap().0, ()).await.unwrap();
        let socket = SockRef::from(stream.get_ref());
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEP_ALIVE);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), PATIENCE);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), ASKED);
    }
}
