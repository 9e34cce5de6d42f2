//! AdmissionReview (`admission.k8s.io/v1`) → [`Review`] → verdict → AdmissionReview. Pure: bytes in, bytes out.
//!
//! A review is read in one pass; one that cannot be read is read once more for what is wrong with it and for its uid. An
//! answer with a uid is always HTTP 200: anything else is a failure of the webhook to the API server, and its
//! `failurePolicy` would decide in place of the policies. Only what names no uid is answered by HTTP 400.
//!
//! A review has no side effects, so that `dryRun` changes nothing; the webhooks are registered with
//! `sideEffects: None`.

mod envelope;
mod kinds;
mod object;
mod request;
mod respond;
mod scale;
mod values;

use crate::engine::Engine;
use crate::facts::FactsFault;
use crate::json::{Node, TOO_LONG, Tape};
use crate::model::{FieldPath, Operation};
use crate::rule::{Review, Scale};
use crate::verdict::Verdict;
use envelope::Envelope;
use request::{Level, Request};
use scale::{Scalable, Scaled};
use serde_json::Value;
use std::borrow::Cow;

pub use kinds::{JUDGED, JudgedKind, OTHER_KIND};
pub use respond::{Answer, MAX_WARNING, MAX_WARNINGS, Outcome, Tally, VerdictLabel};
pub use values::MAX_VALUES;

/// The API version that is understood and answered in.
pub const API_VERSION: &str = "admission.k8s.io/v1";

/// What is said where the second reading finds nothing wrong, which would be a fault of volgate's own.
const UNEXPLAINED: &str = "it could not be read, and no reason was found";

/// Answers a review with what the mutating rules change.
pub fn mutate(bytes: &[u8], engine: &Engine<'_>) -> Answer {
    let patched = |review: &Review<'_>| Ok(Verdict { patch: engine.mutate(review)?, ..Verdict::default() });
    // There is nothing in a Scale to change.
    answer(bytes, engine, patched, |_, _| Ok(Verdict::default()))
}

/// Answers a review with what the checking rules find.
pub fn validate(bytes: &[u8], engine: &Engine<'_>) -> Answer {
    let found = |findings| Verdict { findings, ..Verdict::default() };
    answer(
        bytes,
        engine,
        |review| engine.validate(review).map(found),
        |scale, request| engine.validate_scale(scale, request).map(found),
    )
}

fn answer(
    bytes: &[u8],
    engine: &Engine<'_>,
    judge: impl FnOnce(&Review<'_>) -> Result<Verdict, FactsFault>,
    judge_scale: impl FnOnce(&Scale<'_>, Option<&Value>) -> Result<Verdict, FactsFault>,
) -> Answer {
    if let Some(field) = values::too_many(bytes) {
        return refuse_unread(bytes, engine, &field);
    }
    let text = simdutf8::basic::from_utf8(bytes).ok();
    let tape = text.and_then(|text| Tape::read(text, Level::Review).ok());
    let request = tape.as_ref().and_then(|tape| Request::read(tape.root()));
    let (Some(text), Some(request)) = (text, request) else { return explain(bytes) };
    let Some(operation) = Operation::parse(request.operation) else {
        let fault = format!(
            "request.operation is {:?}, and must be CREATE, UPDATE, DELETE or CONNECT",
            request.operation
        );
        return respond::unreadable(&request, &fault);
    };
    // Looked at before the object: what no policy is about is never refused, however it looks.
    let scaled = Scaled::of(&request);
    if is_about_nothing(&request, &scaled, operation, engine) {
        return respond::skipped(&request);
    }
    let verdict = match scaled {
        Scaled::Workload(of) => judge_scaled(text, engine, &request, operation, of, judge_scale),
        Scaled::Unknown => {
            Err("request.resource is missing, so that it is not known what the Scale is of".to_owned())
        }
        Scaled::Nothing => judge_objects(text, engine, &request, operation, judge),
    };
    match verdict {
        Ok(verdict) => respond::judged(&request, &verdict),
        Err(fault) => respond::unreadable(&request, &fault),
    }
}

/// Whether no policy can be about the object.
fn is_about_nothing(
    request: &Request<'_>,
    scaled: &Scaled,
    operation: Operation,
    engine: &Engine<'_>,
) -> bool {
    let judged = match scaled {
        Scaled::Workload(of) => engine.policies.reads_replicas(of.kind),
        Scaled::Unknown => true,
        Scaled::Nothing => {
            kinds::judged(request.group, request.kind).is_some_and(|kind| *kind != kinds::SCALE)
        }
    };
    !judged
        || matches!(operation, Operation::Delete | Operation::Connect)
        || engine.policies.excludes(request.namespace())
}

/// Answers a review that is not read further than its head, for it holds too many values.
fn refuse_unread(bytes: &[u8], engine: &Engine<'_>, field: &FieldPath) -> Answer {
    let text = String::from_utf8_lossy(bytes);
    let (envelope, _) = Envelope::read(&text);
    let fault = format!("{field}: more than {MAX_VALUES} values up to here, which no object has");
    let Some(request) = envelope.request() else { return respond::nameless(Some(&fault)) };
    let operation = Operation::parse(request.operation);
    let scaled = Scaled::of(&request);
    if operation.is_some_and(|operation| is_about_nothing(&request, &scaled, operation, engine)) {
        return respond::skipped(&request);
    }
    respond::unreadable(&request, &fault)
}

fn judge_objects(
    text: &str,
    engine: &Engine<'_>,
    request: &Request<'_>,
    operation: Operation,
    judge: impl FnOnce(&Review<'_>) -> Result<Verdict, FactsFault>,
) -> Result<Verdict, String> {
    let object = given(request.object, "request.object", operation)?;
    same_kind(object, request)?;
    let old = match request.old_object {
        Some(old) if operation == Operation::Update => Some(readable(old, "request.oldObject")?),
        _ => None,
    };
    let whole = whole_request(text, engine)?;
    let review = Review {
        operation,
        object,
        old,
        namespace: request.namespace(),
        subresource: Some(request.subresource).filter(|name| !name.is_empty()),
        request: whole.as_ref(),
        user: Some(request.user),
    };
    judge(&review).map_err(|fault| format!("request.object cannot be judged: {fault}"))
}

fn judge_scaled(
    text: &str,
    engine: &Engine<'_>,
    request: &Request<'_>,
    operation: Operation,
    of: Scalable,
    judge: impl FnOnce(&Scale<'_>, Option<&Value>) -> Result<Verdict, FactsFault>,
) -> Result<Verdict, String> {
    let scale = scale::read(request, operation, of)?;
    let whole = whole_request(text, engine)?;
    judge(&scale, whole.as_ref()).map_err(|fault| format!("{} {}: {fault}", scale.kind, scale.name))
}

/// The rules go by the object's own kind: two that differ would let an object pass as something else.
fn same_kind(object: Node<'_>, request: &Request<'_>) -> Result<(), String> {
    let kind = object.get("kind").and_then(Node::as_str).unwrap_or_default();
    if kind == request.kind {
        return Ok(());
    }
    Err(format!("request.object is of kind {kind:?}, and request.kind says {:?}", request.kind))
}

/// The whole request, if a rule reads it.
fn whole_request(text: &str, engine: &Engine<'_>) -> Result<Option<Value>, String> {
    engine.policies.reads_request().then(|| envelope::request_without_objects(text)).transpose()
}

/// An object that a request of that operation must have.
fn given<'a>(object: Option<Node<'a>>, field: &str, operation: Operation) -> Result<Node<'a>, String> {
    let missing = || format!("{field} is missing, and every {} has one", operation.as_str());
    readable(object.ok_or_else(missing)?, field)
}

fn readable<'a>(object: Node<'a>, field: &str) -> Result<Node<'a>, String> {
    let Some(text) = object.unreadable() else { return Ok(object) };
    if !text.starts_with('{') {
        return Err(format!("{field} is no map"));
    }
    let error = object::fault(text).unwrap_or_else(|| UNEXPLAINED.to_owned());
    if error.contains("recursion limit") {
        return Err(format!("{field} is nested deeper than 128 levels, which no object of Kubernetes is"));
    }
    Err(format!("{field}: {error}"))
}

/// Answers what could not be read as a review.
fn explain(bytes: &[u8]) -> Answer {
    // What is no UTF-8 is read with its bad bytes replaced, for the uid alone.
    let (text, mut fault) = match std::str::from_utf8(bytes) {
        Ok(text) => (Cow::Borrowed(text), None),
        Err(error) => {
            let fault = format!("the body is not UTF-8 at byte {}", error.valid_up_to());
            (String::from_utf8_lossy(bytes), Some(fault))
        }
    };
    let (envelope, syntax) = Envelope::read(&text);
    fault = fault.or(syntax);
    let Some(request) = envelope.request() else { return respond::nameless(fault.as_deref()) };
    let too_long =
        || (bytes.len() >= TOO_LONG).then(|| format!("the body has {} MiB or more", TOO_LONG >> 20));
    let fault = fault.or_else(|| envelope.version_fault()).or_else(too_long);
    respond::unreadable(&request, fault.as_deref().unwrap_or(UNEXPLAINED))
}

#[cfg(test)]
mod tests;
