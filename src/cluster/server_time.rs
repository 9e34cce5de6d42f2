//! What time it is to the API server: the `Date` of its answers.

use crate::server::ToldTime;
use futures::future::BoxFuture;
use hyper::header::DATE;
use hyper::{HeaderMap, Request, Response, StatusCode};
use std::task::{Context, Poll};
use tower::{Layer, Service};

/// Takes the time from all answers of one client.
#[derive(Debug, Clone)]
pub(super) struct ServerTime(pub(super) ToldTime);

impl<S> Layer<S> for ServerTime {
    type Service = Hearing<S>;

    fn layer(&self, inner: S) -> Hearing<S> {
        Hearing { inner, told: self.0.clone() }
    }
}

/// A way to the API server on which the time is taken from the answers.
#[derive(Debug)]
pub(super) struct Hearing<S> {
    inner: S,
    told: ToldTime,
}

impl<S, Q, B> Service<Request<Q>> for Hearing<S>
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
        let (answer, told) = (self.inner.call(request), self.told.clone());
        Box::pin(async move {
            let answer = answer.await?;
            if let Some(seconds) = time_of(answer.status(), answer.headers()) {
                told.hear(seconds);
            }
            Ok(answer)
        })
    }
}

/// When the API server gave this answer, in seconds since 1970. One that takes no token, as its clock is wrong, and a proxy without
/// an API server behind it, say nothing that counts.
fn time_of(status: StatusCode, headers: &HeaderMap) -> Option<i64> {
    if !status.is_success() && status != StatusCode::NOT_FOUND {
        return None;
    }
    let date = headers.get(DATE)?.to_str().ok()?;
    Some(jiff::fmt::rfc2822::parse(date).ok()?.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_that_of_answers_to_who_is_known() {
        let time =
            |status, date: &str| time_of(status, &HeaderMap::from_iter([(DATE, date.parse().unwrap())]));
        let date = "Mon, 23 Nov 2026 00:00:00 GMT";
        for status in [StatusCode::OK, StatusCode::CREATED, StatusCode::NOT_FOUND] {
            assert_eq!(time(status, date), Some(1_795_392_000), "{status}");
        }
        for status in [StatusCode::UNAUTHORIZED, StatusCode::BAD_GATEWAY] {
            assert_eq!(time(status, date), None, "{status}");
        }
        for bad in ["", "now", "Mon, 23 Nov 2026", "Mon, 23 Nov 99999 00:00:00 GMT"] {
            assert_eq!(time(StatusCode::OK, bad), None, "{bad}");
        }
        assert_eq!(time_of(StatusCode::OK, &HeaderMap::new()), None);
    }
}
