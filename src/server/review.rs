use super::State;
use super::body::{self, SMALL, Unread, Whole};
use super::connections::WAITING;
use super::judges::Weight;
use crate::admission::{self, About, Answer, Outcome, VerdictLabel};
use crate::engine::Engine;
use crate::policy::PolicySet;
use axum::body::{Bytes, HttpBody};
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tokio::sync::{Semaphore, oneshot};
use tower::{BoxError, Service, service_fn};

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
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    service_for(state, Ipv4Addr::UNSPECIFIED.into())
}

/// The same for one connection of a client, who shares what there is with others.
pub(super) fn service_for<B>(
    state: Arc<State>,
    peer: IpAddr,
) -> impl Service<Request<B>, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(WAITING));
    service_fn(move |request: Request<B>| {
        // Before anything waits, so that what waits holds the body alone: it is moved with every task.
        let endpoint = endpoint(&state, &request);
        let is_http1 = request.version() < Version::HTTP_2;
        let (state, places, body) = (state.clone(), places.clone(), request.into_body());
        async move {
            let mut answer = match endpoint {
                Ok(endpoint) => answer(&state, endpoint, peer, &places, body).await,
                Err(refusal) => *refusal,
            };
            // HTTP/1.1 has no other way to say so before the connection is closed, which may be just when the next request comes.
            if is_http1 && state.draining() {
                answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(answer)
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

async fn answer<B>(
    state: &Arc<State>,
    endpoint: Endpoint,
    peer: IpAddr,
    places: &Semaphore,
    body: B,
) -> Response
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>>,
{
    let deadline = tokio::time::Instant::now() + state.limits.request_time;
    let body = match body::read(&state.budgets, &state.limits, peer, places, body).await {
        Ok(body) => body,
        Err(unread) => return unread_answer(state, endpoint, peer, &unread),
    };
    let judged = match judge_in_turn(state, endpoint, peer, body, deadline).await {
        Ok(judged) => judged,
        Err(late) => return give_up(state, endpoint, peer, "timed_out", &late),
    };
    let Some(answer) = judged else {
        let text = "failed to judge the review: a fault of volgate's own; its log has the place\n";
        return refuse(state, endpoint, StatusCode::INTERNAL_SERVER_ERROR, "panicked", text);
    };
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = HeaderValue::from_static(answer.content_type);
    (status, [(header::CONTENT_TYPE, kind)], answer.body).into_response()
}

fn unread_answer(state: &State, endpoint: Endpoint, peer: IpAddr, unread: &Unread) -> Response {
    let (status, verdict) = match unread {
        Unread::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
        Unread::Broken(_) => (StatusCode::BAD_REQUEST, "unreadable"),
        Unread::Nothing(_) | Unread::Slow(_) => {
            return give_up(state, endpoint, peer, "timed_out", &unread.to_string());
        }
        Unread::GaveWay(_) | Unread::NoRoom(_) | Unread::Crowded => {
            return give_up(state, endpoint, peer, "overloaded", &unread.to_string());
        }
    };
    refuse(state, endpoint, status, verdict, format!("{unread}\n"))
}

/// Answers that there will be no answer.
fn give_up(state: &State, endpoint: Endpoint, peer: IpAddr, verdict: &'static str, why: &str) -> Response {
    if let Some(more) = state.given_up.now() {
        tracing::warn!(endpoint = endpoint.name, %peer, more, reason = why, "a review was given up");
    }
    let text = format!("failed to answer within {:?}: {why}\n", state.limits.request_time);
    refuse(state, endpoint, StatusCode::SERVICE_UNAVAILABLE, verdict, text)
}

/// Has it judged by one of the threads for that, which holds the body's share of the memory until it is done.
///
/// # Errors
/// Why there is no answer in time.
async fn judge_in_turn(
    state: &Arc<State>,
    endpoint: Endpoint,
    peer: IpAddr,
    Whole { bytes, share }: Whole,
    deadline: tokio::time::Instant,
) -> Result<Option<Answer>, String> {
    let weight = if bytes.len() <= SMALL { Weight::Light } else { Weight::Heavy };
    let (judged, answer) = oneshot::channel();
    let begun = Arc::new(AtomicBool::new(false));
    let job = {
        let (state, begun) = (state.clone(), begun.clone());
        move || {
            // Nobody waits for it any more.
            if !judged.is_closed() {
                begun.store(true, Ordering::Relaxed);
                // One that is too late is heard by nobody.
                let _ = judged.send(judge(&state, endpoint, &bytes));
            }
            drop((bytes, share));
        }
    };
    state.judges.ask(peer, weight, Box::new(job));
    match tokio::time::timeout_at(deadline, answer).await {
        Ok(judged) => Ok(judged.unwrap_or(None)),
        Err(_) if begun.load(Ordering::Relaxed) => {
            Err("judging it takes longer; it goes on, and holds its memory until it ends".to_owned())
        }
        Err(_) => Err("it waited for a thread to judge it: too many reviews wait".to_owned()),
    }
}

/// Judges, counts and logs; nothing when a rule panicked, which ends this review alone.
fn judge(state: &State, endpoint: Endpoint, bytes: &[u8]) -> Option<Answer> {
    let started = Instant::now();
    let policies = state.policies.load();
    let engine = Engine { policies: &policies, lookup: &*state.lookup, today: state.clock.today() };
    // Nothing is shared that a panic could leave half done: all that is read is immutable.
    let mut answer = match catch_unwind(AssertUnwindSafe(|| (endpoint.entry)(bytes, &engine))) {
        Ok(answer) => answer,
        Err(panic) => {
            let why = panic.downcast_ref::<&str>().copied();
            let why = why.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("unknown");
            tracing::error!(
                endpoint = endpoint.name,
                panic = why,
                "failed to judge a review; please report this"
            );
            return None;
        }
    };
    state.metrics.reviewed(endpoint.name, &answer.outcome, started.elapsed());
    count(&policies, &answer.outcome);
    if answer.outcome.reason.is_some() {
        log(endpoint, &answer.outcome);
    }
    if let Some(denial) = answer.outcome.denial.take() {
        state.denied(*denial);
    }
    Some(answer)
}

/// Counts for the policies' status.
fn count(policies: &PolicySet, outcome: &Outcome) {
    for place in &outcome.about {
        if let Some(policy) = policies.policies().get(*place) {
            policy.counts.matched();
            if outcome.denied_by.contains(&policy.name) {
                policy.counts.denied();
            }
        }
    }
}

/// Writes what was refused or could not be read to the log.
fn log(endpoint: Endpoint, outcome: &Outcome) {
    let Outcome { operation, .. } = outcome;
    let (endpoint, verdict) = (endpoint.name, outcome.verdict.as_str());
    let reason = outcome.reason.as_deref().unwrap_or_default();
    let Some(about) = &outcome.subject else {
        tracing::warn!(endpoint, verdict, reason, "failed to read a review");
        return;
    };
    let About { rule, policy, kind, namespace, name, user, uid, dry_run } = &**about;
    match outcome.verdict {
        VerdictLabel::Denied => {
            tracing::info!(
                endpoint,
                verdict,
                rule,
                policy,
                operation,
                kind,
                namespace,
                name,
                user,
                uid,
                dry_run,
                reason,
                "denied a request"
            );
        }
        _ => {
            tracing::warn!(
                endpoint,
                verdict,
                operation,
                kind,
                namespace,
                name,
                user,
                uid,
                dry_run,
                reason,
                "failed to read a review"
            );
        }
    }
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
