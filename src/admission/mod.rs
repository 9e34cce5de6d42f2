//! AdmissionReview (`admission.k8s.io/v1`) → [`Review`] → verdict → AdmissionReview. Pure: bytes in, bytes out.
//!
//! One pass finds the fields of the request and keeps them when it meets a fault; an object becomes a tree when a policy may
//! be about it. An answer with a uid is always HTTP 200: anything else is a failure of the webhook to the API server, and its
//! `failurePolicy` would decide in place of the policies. Only what names no uid is answered by HTTP 400.
//!
//! A review has no side effects, so that `dryRun` changes nothing; the webhooks are registered with
//! `sideEffects: None`, and with `NoneOnDryRun` where refusals lead to Events: of a dry run no [`Denial`] comes.

mod kinds;
mod object;
mod policy;
mod probe;
mod request;
mod respond;
mod scale;
mod sent;

use crate::engine::Engine;
use crate::facts::FactsFault;
use crate::json::Node;
use crate::model::Operation;
use crate::rule::{Requester, Review, Scale};
use crate::verdict::Verdict;
use object::Budget;
use request::{Envelope, Request};
use scale::{Scalable, Scaled};
use serde_json::Value;
use std::borrow::Cow;

pub use kinds::{JUDGED, JudgedKind, OTHER_KIND};
pub use object::MAX_VALUES;
pub use probe::{PROBE_LABEL, probe_answer};
pub use respond::{About, Answer, Denial, MAX_WARNING, MAX_WARNINGS, Outcome, Tally, VerdictLabel};
pub use sent::{changes_expression, finds_expression};

/// The API version that is understood and answered in.
pub const API_VERSION: &str = "admission.k8s.io/v1";

/// Answers a review with what the mutating rules change.
pub fn mutate(bytes: &[u8], engine: &Engine<'_>) -> Answer {
    let patched = |review: &Review<'_>| Ok(Verdict { patch: engine.mutate(review)?, ..Verdict::default() });
    // There is nothing in a Scale to change.
    answer(bytes, engine, probe::mutate, patched, |_, _| Ok(Verdict::default()))
}

/// Answers a review with what the checking rules find.
pub fn validate(bytes: &[u8], engine: &Engine<'_>) -> Answer {
    let found = |findings| Verdict { findings, ..Verdict::default() };
    answer(
        bytes,
        engine,
        probe::validate,
        |review| engine.check(review),
        |scale, request| engine.check_scale(scale, request).map(found),
    )
}

fn answer(
    bytes: &[u8],
    engine: &Engine<'_>,
    probe: fn(&Request<'_>) -> Option<Answer>,
    judge: impl FnOnce(&Review<'_>) -> Result<Verdict, FactsFault>,
    judge_scale: impl FnOnce(&Scale<'_>, Option<&Value>) -> Result<Verdict, FactsFault>,
) -> Answer {
    // What is no UTF-8 is read with its bad bytes replaced, for the uid alone.
    let (text, encoding) = match std::str::from_utf8(bytes) {
        Ok(text) => (Cow::Borrowed(text), None),
        Err(error) => {
            let fault = format!("the body is not UTF-8 at byte {}", error.valid_up_to());
            (String::from_utf8_lossy(bytes), Some(fault))
        }
    };
    let (envelope, fault) = Envelope::read(&text);
    let fault = encoding.or(fault);
    let Some(request) = envelope.request() else { return respond::nameless(fault.as_deref()) };
    if let Some(fault) = fault.or_else(|| envelope.version_fault()) {
        return respond::unreadable(request, &fault);
    }
    let Some(operation) = Operation::parse(&request.operation) else {
        return respond::unreadable(request, &unknown_operation(request));
    };
    if let Some(answer) = probe(request).or_else(|| policy::answer(request, operation, engine)) {
        return answer;
    }
    match verdict_on(engine, request, operation, judge, judge_scale) {
        Ok(Some(verdict)) => respond::judged(request, &verdict),
        Ok(None) => respond::skipped(request),
        Err(fault) => respond::unreadable(request, &fault),
    }
}

/// What [`mutate`] and [`validate`] would answer to a review that was kept in a file: the patch of the one and the findings
/// of the other; none where no policy can be about it.
///
/// # Errors
/// Why it cannot be read; the webhook would refuse it.
pub fn judge(text: &str, engine: &Engine<'_>) -> Result<Option<Verdict>, String> {
    let (envelope, fault) = Envelope::read(text);
    let request = envelope.request().ok_or_else(|| "request.uid is missing".to_owned())?;
    if let Some(fault) = fault.or_else(|| envelope.version_fault()) {
        return Err(fault);
    }
    let operation = Operation::parse(&request.operation).ok_or_else(|| unknown_operation(request))?;
    verdict_on(
        engine,
        request,
        operation,
        |review| {
            let findings = engine.check(review)?.findings;
            Ok(Verdict { findings, patch: engine.mutate(review)?, ..Verdict::default() })
        },
        |scale, request| {
            engine.check_scale(scale, request).map(|findings| Verdict { findings, ..Verdict::default() })
        },
    )
}

/// The verdict, or none where no policy can be about the object.
fn verdict_on(
    engine: &Engine<'_>,
    request: &Request<'_>,
    operation: Operation,
    judge: impl FnOnce(&Review<'_>) -> Result<Verdict, FactsFault>,
    judge_scale: impl FnOnce(&Scale<'_>, Option<&Value>) -> Result<Verdict, FactsFault>,
) -> Result<Option<Verdict>, String> {
    // Looked at before the object: what no policy is about is never refused, however it looks.
    let scaled = Scaled::of(request);
    if is_about_nothing(request, &scaled, operation, engine) {
        return Ok(None);
    }
    let verdict = match scaled {
        Scaled::Workload(of) => judge_scaled(engine, request, operation, of, judge_scale),
        Scaled::Unknown => {
            Err("request.resource is missing, so that it is not known what the Scale is of".to_owned())
        }
        Scaled::Nothing => judge_object(engine, request, operation, judge),
    };
    verdict.map(Some)
}

fn unknown_operation(request: &Request<'_>) -> String {
    format!("request.operation is {:?}, and must be CREATE, UPDATE, DELETE or CONNECT", request.operation)
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
            kinds::judged(&request.group, &request.kind).is_some_and(|kind| *kind != kinds::SCALE)
                || is_custom(request, engine)
        }
    };
    !judged
        || matches!(operation, Operation::Delete | Operation::Connect)
        || engine.policies.excludes(request.namespace())
}

/// Whether it is a custom resource that the table knows. What its operator writes beside it, its status and its scale, is none.
fn is_custom(request: &Request<'_>, engine: &Engine<'_>) -> bool {
    let api_version = format!("{}/{}", request.group, request.version);
    request.subresource.is_empty()
        && engine.policies.catalog().kinds().entry(&api_version, &request.kind).is_some()
}

fn judge_object(
    engine: &Engine<'_>,
    request: &Request<'_>,
    operation: Operation,
    judge: impl FnOnce(&Review<'_>) -> Result<Verdict, FactsFault>,
) -> Result<Verdict, String> {
    let budget = Budget::new(MAX_VALUES);
    let object = given(request.object, "request.object", operation, &budget)?;
    same_kind(&object, request)?;
    let old = match request.old_object {
        Some(old) if operation == Operation::Update => Some(budget.object("request.oldObject", old)?),
        _ => None,
    };
    let whole = whole_request(request, engine, &budget)?;
    let requester = requester(request, engine, &budget)?;
    let review = Review {
        operation,
        object: (&object).into(),
        old: old.as_ref().map(Node::from),
        namespace: request.namespace(),
        subresource: Some(&*request.subresource).filter(|name| !name.is_empty()),
        request: whole.as_ref(),
        user: Some(&request.user),
        requester: requester.as_ref(),
    };
    judge(&review).map_err(|fault| format!("request.object cannot be judged: {fault}"))
}

fn judge_scaled(
    engine: &Engine<'_>,
    request: &Request<'_>,
    operation: Operation,
    of: Scalable,
    judge: impl FnOnce(&Scale<'_>, Option<&Value>) -> Result<Verdict, FactsFault>,
) -> Result<Verdict, String> {
    of.check(request, operation)?;
    let budget = Budget::new(MAX_VALUES);
    let object = given(request.object, "request.object", operation, &budget)?;
    same_kind(&object, request)?;
    let old = given(request.old_object, "request.oldObject", operation, &budget)?;
    let requester = requester(request, engine, &budget)?;
    let scale = of.read(request, &object, &old, requester.as_ref())?;
    let whole = whole_request(request, engine, &budget)?;
    judge(&scale, whole.as_ref()).map_err(|fault| format!("{} {}: {fault}", scale.kind, scale.name))
}

/// The rules go by the object's own kind: two that differ would let an object pass as something else.
fn same_kind(object: &Value, request: &Request<'_>) -> Result<(), String> {
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    if kind == request.kind {
        return Ok(());
    }
    Err(format!("request.object is of kind {kind:?}, and request.kind says {:?}", request.kind))
}

/// The whole request, if a rule reads it.
fn whole_request(
    request: &Request<'_>,
    engine: &Engine<'_>,
    budget: &Budget,
) -> Result<Option<Value>, String> {
    engine.policies.reads_request().then(|| request.without_objects(budget)).transpose()
}

/// Who asks with the groups, if a policy reads it.
fn requester(
    request: &Request<'_>,
    engine: &Engine<'_>,
    budget: &Budget,
) -> Result<Option<Requester>, String> {
    engine.policies.reads_users().then(|| request.requester(budget)).transpose()
}

/// An object that a request of that operation must have.
fn given(object: Option<&str>, field: &str, operation: Operation, budget: &Budget) -> Result<Value, String> {
    let missing = || format!("{field} is missing, and every {} has one", operation.as_str());
    budget.object(field, object.ok_or_else(missing)?)
}

#[cfg(test)]
mod tests;
