//! A watch that ends at once is not begun again at once: an API server that is shutting down, or a proxy before it, may close every
//! watch as soon as it is open. That is no error to the watch loop, and it would ask as fast as it is answered.

use crate::model::lock;
use futures::future::BoxFuture;
use hyper::{Request, Response, Uri};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;
use tower::{Layer, Service};

/// How far apart two watches of one kind begin at least; one lasts for minutes.
const APART: Duration = Duration::from_secs(1);

/// When the watches of one client began, by their paths.
#[derive(Debug, Clone, Default)]
pub(super) struct WatchPace(Arc<Mutex<HashMap<String, Instant>>>);

impl WatchPace {
    /// When a watch at this path may begin. One is taken to begin then.
    fn turn(&self, path: &str, now: Instant) -> Instant {
        let mut begun = lock(&self.0);
        let at = begun.get(path).map_or(now, |last| now.max(*last + APART));
        begun.insert(path.to_owned(), at);
        at
    }
}

impl<S> Layer<S> for WatchPace {
    type Service = Paced<S>;

    fn layer(&self, inner: S) -> Paced<S> {
        Paced { inner, pace: self.clone() }
    }
}

/// A way to the API server on which watches keep apart.
#[derive(Debug)]
pub(super) struct Paced<S> {
    inner: S,
    pace: WatchPace,
}

impl<S, Q, B> Service<Request<Q>> for Paced<S>
where
    S: Service<Request<Q>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let turn = is_watch(request.uri()).then(|| self.pace.turn(request.uri().path(), Instant::now()));
        // Nothing is sent before this is polled.
        let answer = self.inner.call(request);
        Box::pin(async move {
            if let Some(at) = turn.filter(|at| *at > Instant::now()) {
                tokio::time::sleep_until(at).await;
            }
            answer.await
        })
    }
}

fn is_watch(uri: &Uri) -> bool {
    uri.query().is_some_and(|query| query.split('&').any(|part| matches!(part, "watch=true" | "watch=1")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use http_body_util::Empty;
    use hyper::body::Bytes;
    use std::convert::Infallible;
    use tower::service_fn;

    const CLAIMS: &str = "/api/v1/persistentvolumeclaims";

    #[test]
    fn watches_of_one_kind_begin_apart() {
        let (pace, now) = (WatchPace::default(), Instant::now());
        assert_eq!(pace.turn(CLAIMS, now), now);
        assert_eq!(pace.turn(CLAIMS, now), now + APART);
        assert_eq!(pace.turn(CLAIMS, now + APART), now + 2 * APART);
        let minutes_later = now + 300 * APART;
        assert_eq!(pace.turn(CLAIMS, minutes_later), minutes_later);
    }

    #[tokio::test]
    async fn a_watch_that_was_closed_at_once_waits_and_nothing_else_does() {
        let served =
            service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) });
        let mut client = WatchPace::default().layer(served);
        let mut is_answered = |path: &str, query: &str| {
            let request = Request::builder().uri(format!("{path}?{query}")).body(()).unwrap();
            client.call(request).now_or_never().is_some()
        };
        assert!(is_answered(CLAIMS, "&watch=true&resourceVersion=1"));
        assert!(!is_answered(CLAIMS, "resourceVersion=2&watch=1"));
        for (path, query) in [
            ("/api/v1/pods", "watch=true"),
            (CLAIMS, "limit=50"),
            (CLAIMS, "limit=50"),
            (CLAIMS, "watchful=true"),
        ] {
            assert!(is_answered(path, query), "{path}?{query}");
        }
    }
}
