//! Pages of lists, one at a time: a page is in memory whole, and whoever may make objects chooses how long they are. All kinds are
//! listed when a process starts, each by a watch of its own.

use futures::future::BoxFuture;
use hyper::body::{Body, Frame, SizeHint};
use hyper::{Request, Response, Uri};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::{Layer, Service};

/// Lets one page of a client's lists come in at a time.
#[derive(Debug, Clone)]
pub(super) struct ListTurns(Arc<Semaphore>);

impl ListTurns {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl<S> Layer<S> for ListTurns {
    type Service = InTurn<S>;

    fn layer(&self, inner: S) -> InTurn<S> {
        InTurn { inner, turns: self.0.clone() }
    }
}

/// A way to the API server on which pages take turns.
#[derive(Debug)]
pub(super) struct InTurn<S> {
    inner: S,
    turns: Arc<Semaphore>,
}

impl<S, Q, B> Service<Request<Q>> for InTurn<S>
where
    S: Service<Request<Q>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = Response<Held<B>>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let turns = is_page(request.uri()).then(|| self.turns.clone());
        // Nothing is sent before this is polled.
        let answer = self.inner.call(request);
        Box::pin(async move {
            let turn = match turns {
                // Never closed.
                Some(turns) => turns.acquire_owned().await.ok(),
                None => None,
            };
            Ok(answer.await?.map(|body| Held { body, _turn: turn }))
        })
    }
}

/// Whether a page of a list is asked for. A watch has no limit.
fn is_page(uri: &Uri) -> bool {
    uri.query().is_some_and(|query| query.split('&').any(|part| part.starts_with("limit=")))
}

/// The body of an answer, which keeps its turn until it has been read.
#[derive(Debug)]
pub(super) struct Held<B> {
    body: B,
    _turn: Option<OwnedSemaphorePermit>,
}

impl<B: Body + Unpin> Body for Held<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use http_body_util::{BodyExt, Full};
    use hyper::body::Bytes;
    use std::convert::Infallible;
    use tower::service_fn;

    #[tokio::test]
    async fn pages_come_one_at_a_time_and_nothing_else_waits_for_them() {
        let served = service_fn(|request: Request<()>| async move {
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(request.uri().to_string()))))
        });
        let turns = ListTurns::new();
        let (mut claims, mut others) = (turns.layer(served), turns.layer(served));
        let ask = |uri: &str| Request::builder().uri(uri).body(()).unwrap();
        let page = "/api/v1/persistentvolumeclaims?limit=50&continue=x";
        let first = claims.call(ask(page)).await.unwrap();
        let mut second = others.call(ask("/api/v1/pods?fieldSelector=a&limit=50"));
        assert!((&mut second).now_or_never().is_none(), "the first page has not been read");
        for other in ["/api/v1/pods?watch=true&resourceVersion=1", "/api/v1/pods?unlimited=1", "/readyz"] {
            assert!(claims.call(ask(other)).now_or_never().is_some(), "{other}");
        }
        assert_eq!(first.into_body().collect().await.unwrap().to_bytes(), page);
        assert!(second.now_or_never().is_some());
    }
}
