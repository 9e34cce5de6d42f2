use super::connections::{Activity, Connections, Ending, Server};
use super::review::service_for;
use super::{State, health_router};
use crate::tls::TlsFault;
use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio_rustls::TlsAcceptor;
use tower::{Service, service_fn};

/// How many connections may ask for health and metrics at a time.
const HEALTH_CONNECTIONS: usize = 64;
/// How long such a connection may be open while nothing is asked.
const HEALTH_IDLE: Duration = Duration::from_secs(60);
/// How long requests for health may take at the end.
const HEALTH_GRACE: Duration = Duration::from_secs(1);

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
    let tls = TlsAcceptor::from(state.certificates.clone().server_config()?);
    let webhook_at = address(&webhook);
    let fault = move |error| ServeFault::Listener { what: "webhook", address: webhook_at.clone(), error };

    let counted = state.clone();
    let failed = move |from: Option<IpAddr>, error: &io::Error| {
        counted.metrics.connection_errors.inc();
        // A port scan or a load balancer's probe hangs up; everything else is worth a line.
        if error.kind() == io::ErrorKind::UnexpectedEof {
            tracing::debug!(?from, %error, "a connection ended before its request");
        } else if let Some(more) = counted.failed.now() {
            tracing::warn!(
                ?from,
                more,
                %error,
                "failed to take a connection; does caBundle hold this certificate's CA?"
            );
        }
    };
    let server = Server { tls: Some(tls), connections: state.connections.clone(), failed: Arc::new(failed) };
    let served = state.clone();
    let service =
        move |peer: IpAddr, activity: Arc<Activity>| watched(service_for(served.clone(), peer), activity);
    let (end, ending) = Ending::new();
    let mut webhook = tokio::spawn(server.serve(webhook, ending, service));
    let mut health = HealthThread::start(health, health_router(state.clone()))?;

    tokio::select! {
        ended = &mut webhook => return flatten(ended).map_err(fault),
        ended = health.ended() => return ended,
        () = stop => {}
    }
    state.begin_draining();
    tracing::info!(delay = ?shutdown.delay, "draining: requests are still taken for a while");
    tokio::time::sleep(shutdown.delay).await;
    end.send_replace(Some(shutdown.grace));
    let ended = flatten(webhook.await).map_err(fault);
    health.end.send_replace(Some(HEALTH_GRACE));
    ended.and(health.ended().await)
}

/// A connection's requests are noted, so that one that asks nothing can be closed.
fn watched<S>(
    inner: S,
    activity: Arc<Activity>,
) -> impl Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static
where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
{
    service_fn(move |request| {
        let noted = activity.request();
        let answer = inner.clone().call(request);
        async move {
            let answer = answer.await;
            if answer.as_ref().is_ok_and(|answer| answer.status().is_success()) {
                noted.answered();
            }
            answer
        }
    })
}

/// The thread that answers for health, and does nothing else: however much there is to judge, it is never behind that.
struct HealthThread {
    address: String,
    end: watch::Sender<Option<Duration>>,
    ended: oneshot::Receiver<Result<(), ServeFault>>,
}

impl HealthThread {
    fn start(listener: TcpListener, router: axum::Router) -> Result<Self, ServeFault> {
        let address = address(&listener);
        let fault = |error| ServeFault::Listener { what: "health", address: address.clone(), error };
        let (end, ending) = Ending::new();
        let (tell, ended) = oneshot::channel();
        let run = || -> io::Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            thread::Builder::new().name("health".to_owned()).spawn(move || {
                // Nobody asks any more where the process ends in another way.
                let _ = tell.send(runtime.block_on(serve_health(listener, router, ending)));
            })?;
            Ok(())
        };
        run().map_err(fault)?;
        Ok(Self { address, end, ended })
    }

    /// Waits for its end.
    async fn ended(&mut self) -> Result<(), ServeFault> {
        (&mut self.ended).await.unwrap_or_else(|_| {
            let (address, error) =
                (self.address.clone(), io::Error::other("its thread ended without a word"));
            Err(ServeFault::Listener { what: "health", address, error })
        })
    }
}

/// Serves a router over plain HTTP until the process ends.
///
/// # Errors
/// The listener ended by itself.
pub async fn serve_plain(listener: TcpListener, router: axum::Router) -> Result<(), ServeFault> {
    let (_end, ending) = Ending::new();
    serve_health(listener, router, ending).await
}

async fn serve_health(listener: TcpListener, router: axum::Router, ending: Ending) -> Result<(), ServeFault> {
    let address = address(&listener);
    let failed = |from: Option<IpAddr>, error: &io::Error| {
        tracing::debug!(?from, %error, "a connection for health failed");
    };
    let connections = Connections::new(HEALTH_CONNECTIONS, HEALTH_CONNECTIONS, HEALTH_IDLE);
    let server = Server { tls: None, connections, failed: Arc::new(failed) };
    let service = move |_, activity| watched(router.clone(), activity);
    let served = server.serve(listener, ending, service).await;
    served.map_err(|error| ServeFault::Listener { what: "health", address, error })
}

fn flatten(ended: Result<io::Result<()>, tokio::task::JoinError>) -> io::Result<()> {
    ended.unwrap_or_else(|error| Err(io::Error::other(error)))
}

fn address(listener: &TcpListener) -> String {
    listener.local_addr().map_or_else(|_| "an unknown address".to_owned(), |at| at.to_string())
}
