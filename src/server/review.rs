use super::State;
use crate::admission::{self, Answer, VerdictLabel};
use crate::engine::Engine;
use axum::body::{Bytes, HttpBody};
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;
use tower::{BoxError, Service, service_fn};

/// The largest body, in bytes: 7 MiB. A review can carry two objects of 3 MB; controller-runtime takes as much.
pub const MAX_BODY: usize = 7 * 1024 * 1024;
/// Up to this many bytes a review is judged at once, which takes less than handing it to another thread and back.
const INLINE: usize = 64 * 1024;

/// One of the two webhooks.
#[derive(Clone, Copy)]
struct Endpoint {
    name: &'static str,
    entry: fn(&[u8], &Engine<'_>) -> Answer,
}

impl Endpoint {
    fn at(path: &str) -> Option<Self> {
        match path {
            "/mutate" => Some(Self { name: "mutate", entry: admission::mutate }),
            "/validate" => Some(Self { name: "validate", entry: admission::validate }),
            _ => None,
        }
    }
}

/// `POST /mutate` and `POST /validate`. For these two axum's router would note and box more than they are worth: a small
/// review takes no longer than the protocol around it.
pub fn webhook_service<B>(
    state: Arc<State>,
) -> impl Service<Request<B>, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static
where
    B: HttpBody<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    service_fn(move |request: Request<B>| {
        // Before anything waits, so that what waits holds the body alone: it is moved with every task.
        let endpoint = endpoint(&state, &request);
        let (state, body) = (state.clone(), request.into_body());
        async move {
            Ok(match endpoint {
                Ok(endpoint) => answer(&state, endpoint, body).await,
                Err(refusal) => *refusal,
            })
        }
    })
}

/// Which webhook is called, or why none is.
fn endpoint<B>(state: &State, request: &Request<B>) -> Result<Endpoint, Box<Response>> {
    let Some(endpoint) = Endpoint::at(request.uri().path()) else {
        let text = "nothing is here: volgate answers POST /mutate and POST /validate\n";
        return Err((StatusCode::NOT_FOUND, text).into_response().into());
    };
    if request.method() != Method::POST {
        let text = "the method must be POST: post an AdmissionReview, as the API server does\n";
        let allow = [(header::ALLOW, "POST")];
        return Err((StatusCode::METHOD_NOT_ALLOWED, allow, text).into_response().into());
    }
    if !is_json(request.headers()) {
        let text =
            "the content type must be application/json: post an AdmissionReview, as the API server does\n";
        return Err(refuse(state, endpoint, StatusCode::UNSUPPORTED_MEDIA_TYPE, "unreadable", text).into());
    }
    Ok(endpoint)
}

async fn answer<B: HttpBody<Error: Into<BoxError>>>(
    state: &Arc<State>,
    endpoint: Endpoint,
    body: B,
) -> Response {
    let limit = state.limits.request_time;
    let answered = tokio::time::timeout(limit, judge_in_turn(state, endpoint, body)).await;
    answered.unwrap_or_else(|_| {
        tracing::warn!(endpoint = endpoint.name, "a review was given up after {limit:?}");
        let text =
            format!("failed to answer within {limit:?}: the body came slowly, or too many reviews wait\n");
        refuse(state, endpoint, StatusCode::SERVICE_UNAVAILABLE, "timed_out", text)
    })
}

async fn judge_in_turn<B: HttpBody<Error: Into<BoxError>>>(
    state: &Arc<State>,
    endpoint: Endpoint,
    body: B,
) -> Response {
    let too_large = || {
        let text = format!(
            "the body is larger than {} MiB, which no review of the API server is: {}\n",
            MAX_BODY / 1024 / 1024,
            "two objects of at most 3 MB each"
        );
        refuse(state, endpoint, StatusCode::PAYLOAD_TOO_LARGE, "too_large", text)
    };
    if body.size_hint().lower() > MAX_BODY as u64 {
        return too_large();
    }
    // The turn comes before the body, so that the bodies in memory are bounded. The semaphore is never closed.
    let _turn = state.turns.acquire().await;
    let bytes = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return too_large(),
        Err(error) => {
            let text = format!("failed to read the body: {error}\n");
            return refuse(state, endpoint, StatusCode::BAD_REQUEST, "unreadable", text);
        }
    };
    let judged = if bytes.len() <= INLINE {
        judge(state, endpoint, &bytes)
    } else {
        let state = state.clone();
        let judged = tokio::task::spawn_blocking(move || judge(&state, endpoint, &bytes));
        judged.await.unwrap_or(None)
    };
    let Some(answer) = judged else {
        let text = "failed to judge the review: a fault of volgate's own; its log has the place\n";
        return refuse(state, endpoint, StatusCode::INTERNAL_SERVER_ERROR, "panicked", text);
    };
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = HeaderValue::from_static(answer.content_type);
    (status, [(header::CONTENT_TYPE, kind)], answer.body).into_response()
}

/// Judges, counts and logs; nothing when a rule panicked, which ends this review alone.
fn judge(state: &State, endpoint: Endpoint, bytes: &Bytes) -> Option<Answer> {
    let started = Instant::now();
    let policies = state.policies.load();
    let engine = Engine { policies: &policies, lookup: &*state.lookup, today: state.clock.today() };
    // Nothing is shared that a panic could leave half done: all that is read is immutable.
    let answer = match catch_unwind(AssertUnwindSafe(|| (endpoint.entry)(bytes, &engine))) {
        Ok(answer) => answer,
        Err(panic) => {
            let why = panic.downcast_ref::<&str>().copied();
            let why = why.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("unknown");
            tracing::error!(
                endpoint = endpoint.name,
                "failed to judge a review: panic: {why}; please report this"
            );
            return None;
        }
    };
    state.metrics.reviewed(endpoint.name, &answer.outcome, started.elapsed());
    if let Some(note) = &answer.outcome.note {
        match answer.outcome.verdict {
            VerdictLabel::Denied => tracing::info!(endpoint = endpoint.name, "denied {note}"),
            _ => tracing::warn!(endpoint = endpoint.name, "unreadable: {note}"),
        }
    }
    Some(answer)
}

fn refuse(
    state: &State,
    endpoint: Endpoint,
    status: StatusCode,
    verdict: &'static str,
    text: impl Into<String>,
) -> Response {
    if verdict == "panicked" {
        state.metrics.panicked(endpoint.name);
    } else {
        state.metrics.unreviewed(endpoint.name, verdict);
    }
    (status, text.into()).into_response()
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}
