//! Verdict → AdmissionReview: message, warnings, audit annotations, patch; and what metrics and log are told.

use super::API_VERSION;
use super::kinds::{OTHER_KIND, judged as judged_kind};
use super::request::Request;
use crate::model::{Operation, printable, shortened};
use crate::verdict::{Action, Finding, MadeFor, Verdict};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use json_patch::Patch;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The length of a warning, in characters: the API server cuts longer ones.
pub const MAX_WARNING: usize = 256;
/// The number of warnings in one answer; the API server drops what exceeds 4,096 characters in all.
pub const MAX_WARNINGS: usize = 10;
/// The number of findings that a denial spells out.
const MAX_DENIALS: usize = 20;
/// The length of one finding in a denial, in characters.
const MAX_DENIAL: usize = 2_000;
/// The length of an audit annotation's value, in characters.
const MAX_ANNOTATION: usize = 1_000;

/// An answer, ready to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The HTTP status: 200, or 400 where there is no uid to answer under.
    pub status: u16,
    /// The content type of the body.
    pub content_type: &'static str,
    /// The AdmissionReview, or a line of text with status 400.
    pub body: Vec<u8>,
    /// What metrics and log are told.
    pub outcome: Outcome,
}

/// What became of a review. All but the reason is bounded, so that it can be a metric's label.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// `CREATE`, `UPDATE`, `DELETE`, `CONNECT`, or `unknown`.
    pub operation: &'static str,
    /// A judged kind, or [`OTHER_KIND`].
    pub kind: &'static str,
    /// What was answered.
    pub verdict: VerdictLabel,
    /// The findings, excused ones included.
    pub findings: Vec<Tally>,
    /// For the log: why the object was refused or could not be read.
    pub reason: Option<String>,
    /// Which object that was, if the review could be read so far.
    pub subject: Option<Box<About>>,
    /// The policies that are about the object, by their places in the set. None for a dry run, which leaves no trace.
    pub about: Vec<usize>,
    /// The names of those that refused it.
    pub denied_by: Vec<String>,
    /// That a controller has made what was refused, and for whom. None for a dry run.
    pub denial: Option<Box<Denial>>,
}

/// A refusal that somebody should see who looks at another object.
#[derive(Debug, Clone, PartialEq)]
pub struct Denial {
    /// The topmost owner of the refused object that is known: the Deployment of a ReplicaSet's pod.
    pub owner: MadeFor,
    /// What was refused, and why.
    pub note: String,
}

/// What a line of the log is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// The rules that refused it, with commas between.
    pub rule: String,
    /// Their policies.
    pub policy: String,
    /// The object's kind.
    pub kind: String,
    /// Its namespace; empty when it has none.
    pub namespace: String,
    /// Its name; empty while the API server is still to make one.
    pub name: String,
    /// Who asked.
    pub user: String,
    /// The request's uid.
    pub uid: String,
    /// Whether nothing of it is stored.
    pub dry_run: bool,
}

/// One finding as metrics count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// The rule's id.
    pub rule: &'static str,
    /// `deny`, `warn`, `audit` or `excused`.
    pub action: &'static str,
}

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VerdictLabel {
    /// Admitted as it is.
    Allowed,
    /// Admitted with changes.
    Patched,
    /// Admitted with warnings.
    Warned,
    /// Refused by a policy.
    Denied,
    /// Admitted unread: no policy is about it.
    Skipped,
    /// Refused because it could not be read.
    Unreadable,
}

impl VerdictLabel {
    /// The name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Patched => "patched",
            Self::Warned => "warned",
            Self::Denied => "denied",
            Self::Skipped => "skipped",
            Self::Unreadable => "unreadable",
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReviewOut<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    audit_annotations: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Status {
    status: &'static str,
    reason: &'static str,
    code: u16,
    message: String,
}

impl<'a> Response<'a> {
    fn allowed(uid: &'a str) -> Self {
        Self {
            uid,
            allowed: true,
            status: None,
            patch: None,
            patch_type: None,
            audit_annotations: BTreeMap::new(),
            warnings: Vec::new(),
        }
    }

    fn denied(uid: &'a str, code: u16, reason: &'static str, message: String) -> Self {
        let status = Status { status: "Failure", reason, code, message };
        Self { allowed: false, status: Some(status), ..Self::allowed(uid) }
    }
}

/// No uid: nothing to answer under.
pub(super) fn nameless(fault: Option<&str>) -> Answer {
    let fault = fault.unwrap_or("request.uid is missing");
    let text = format!(
        "failed to read the review: {fault}; without a uid there is nothing to answer under: post an AdmissionReview \
         of {API_VERSION}, as the API server does\n"
    );
    Answer {
        status: 400,
        content_type: "text/plain; charset=utf-8",
        outcome: Outcome {
            operation: UNKNOWN_OPERATION,
            kind: OTHER_KIND,
            verdict: VerdictLabel::Unreadable,
            findings: Vec::new(),
            reason: Some(text.trim_end().to_owned()),
            subject: None,
            about: Vec::new(),
            denied_by: Vec::new(),
            denial: None,
        },
        body: text.into_bytes(),
    }
}

/// A review that cannot be read, under its uid.
pub(super) fn unreadable(request: &Request<'_>, fault: &str) -> Answer {
    let fault = printable(fault);
    let fault = shortened(&fault, MAX_DENIAL);
    let message = format!(
        "failed to read the review: {fault}; the object is refused, since no policy could judge it. If the API server \
         sent this, please report it to volgate's maintainers"
    );
    let response = Response::denied(&request.uid, 400, "BadRequest", message);
    let mut answer = send(request, response, VerdictLabel::Unreadable, Vec::new(), Some(fault.into_owned()));
    answer.outcome.subject = Some(about(request, &[]));
    answer
}

/// A policy that can be applied.
pub(super) fn taken_policy(request: &Request<'_>, warnings: Vec<String>) -> Answer {
    let mut response = Response::allowed(&request.uid);
    let warnings = warnings.into_iter().take(MAX_WARNINGS);
    response.warnings = warnings.map(|text| warning(&printable(&text))).collect();
    let label = if response.warnings.is_empty() { VerdictLabel::Allowed } else { VerdictLabel::Warned };
    send(request, response, label, Vec::new(), None)
}

/// One with faults.
pub(super) fn refused_policy(request: &Request<'_>, why: &str) -> Answer {
    let message = format!("the policy cannot be applied: {}", shortened(why, MAX_DENIAL));
    let response = Response::denied(&request.uid, 422, "Invalid", message.clone());
    let mut answer = send(request, response, VerdictLabel::Denied, Vec::new(), Some(message));
    answer.outcome.subject = Some(about(request, &[]));
    answer
}

/// A review that no policy is about.
pub(super) fn skipped(request: &Request<'_>) -> Answer {
    send(request, Response::allowed(&request.uid), VerdictLabel::Skipped, Vec::new(), None)
}

/// volgate's own dry run, which is refused so that it gets an answer.
pub(super) fn refused_probe(request: &Request<'_>, message: String) -> Answer {
    let response = Response::denied(&request.uid, 403, "Forbidden", message);
    send(request, response, VerdictLabel::Skipped, Vec::new(), None)
}

/// A review that was judged.
pub(super) fn judged(request: &Request<'_>, verdict: &Verdict) -> Answer {
    let mut reason = None;
    let mut response = if verdict.denied() {
        let message = denial(verdict);
        reason = Some(message.clone());
        Response::denied(&request.uid, 403, "Forbidden", message)
    } else {
        Response::allowed(&request.uid)
    };
    response.warnings = warnings(verdict);
    response.audit_annotations = annotations(&verdict.findings);
    if response.allowed && !verdict.patch.0.is_empty() {
        response.patch = encoded(&verdict.patch);
        response.patch_type = Some("JSONPatch");
    }
    let label = if !response.allowed {
        VerdictLabel::Denied
    } else if response.patch.is_some() {
        VerdictLabel::Patched
    } else if !response.warnings.is_empty() {
        VerdictLabel::Warned
    } else {
        VerdictLabel::Allowed
    };
    let tallies = verdict.findings.iter().map(|f| Tally { rule: f.rule, action: fate(f) }).collect();
    let mut answer = send(request, response, label, tallies, reason);
    let refusals: Vec<&Finding> =
        verdict.standing().filter(|finding| finding.action == Action::Deny).collect();
    if !refusals.is_empty() {
        answer.outcome.subject = Some(about(request, &refusals));
    }
    if !request.dry_run {
        answer.outcome.about.clone_from(&verdict.about);
        answer.outcome.denied_by = distinct(refusals.iter().map(|finding| finding.policy.as_str()));
        answer.outcome.denial = verdict.made_for.clone().filter(|_| verdict.denied()).map(|owner| {
            // Not by its name, which is another one each time that it is tried.
            let note = format!("a {} is refused: {}", request.kind, denial(verdict));
            Box::new(Denial { owner: *owner, note })
        });
    }
    answer
}

/// The object and who asked, with the rules and policies that refused it.
fn about(request: &Request<'_>, refusals: &[&Finding]) -> Box<About> {
    let text = |text: &str| shortened(text, MAX_WARNING).into_owned();
    Box::new(About {
        rule: text(&distinct(refusals.iter().map(|finding| finding.rule)).join(",")),
        policy: text(&distinct(refusals.iter().map(|finding| finding.policy.as_str())).join(",")),
        kind: text(&request.kind),
        namespace: text(&request.namespace),
        name: text(&request.name),
        user: text(&request.user),
        uid: text(&request.uid),
        dry_run: request.dry_run,
    })
}

/// Each text once, in the order of their first coming.
fn distinct<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut distinct: Vec<String> = Vec::new();
    for text in texts {
        if !distinct.iter().any(|known| known == text) {
            distinct.push(text.to_owned());
        }
    }
    distinct
}

/// The patch in base64, as the JSON string that it is in the answer: nothing in it is to be escaped.
fn encoded(patch: &Patch) -> Option<Box<RawValue>> {
    let mut json = Vec::with_capacity(512);
    // Plain JSON values, into memory: writing them cannot fail.
    let _ = serde_json::to_writer(&mut json, patch);
    let mut text = String::with_capacity(json.len().div_ceil(3) * 4 + 2);
    text.push('"');
    STANDARD.encode_string(json, &mut text);
    text.push('"');
    RawValue::from_string(text).ok()
}

const UNKNOWN_OPERATION: &str = "unknown";

fn send(
    request: &Request<'_>,
    response: Response<'_>,
    verdict: VerdictLabel,
    findings: Vec<Tally>,
    reason: Option<String>,
) -> Answer {
    // What an answer without findings takes, so that it does not grow step by step.
    let mut body = Vec::with_capacity(192 + response.patch.as_ref().map_or(0, |patch| patch.get().len()));
    let review = ReviewOut { api_version: API_VERSION, kind: "AdmissionReview", response };
    // Texts and booleans alone, into memory: writing them cannot fail.
    let _ = serde_json::to_writer(&mut body, &review);
    Answer {
        status: 200,
        content_type: "application/json",
        body,
        outcome: Outcome {
            operation: Operation::parse(&request.operation).map_or(UNKNOWN_OPERATION, Operation::as_str),
            kind: judged_kind(&request.group, &request.kind).map_or(OTHER_KIND, |judged| judged.kind),
            verdict,
            findings,
            reason,
            subject: None,
            about: Vec::new(),
            denied_by: Vec::new(),
            denial: None,
        },
    }
}

/// What becomes of a finding.
fn fate(finding: &Finding) -> &'static str {
    match (&finding.excused, finding.action) {
        (Some(_), _) => "excused",
        (None, Action::Deny) => "deny",
        (None, Action::Warn) => "warn",
        (None, Action::Audit) => "audit",
    }
}

/// `rule: field: message; help (policy name)`.
fn line(finding: &Finding) -> String {
    let mut line = format!("{}: ", finding.rule);
    if !finding.field.is_root() {
        line.push_str(&format!("{}: ", finding.field));
    }
    line.push_str(&finding.message);
    if let Some(help) = &finding.help {
        line.push_str("; ");
        line.push_str(help);
    }
    line.push_str(&format!(" (policy {})", finding.policy));
    // Paths, variables and the like are their author's, and kubectl prints them as they are.
    printable(&line).into_owned()
}

/// One finding stands on the line itself, several each on their own.
fn denial(verdict: &Verdict) -> String {
    let lines: Vec<String> = verdict
        .standing()
        .filter(|finding| finding.action == Action::Deny)
        // A line that an author writes does not look like another finding.
        .map(|finding| shortened(&line(finding).replace('\n', "\n  "), MAX_DENIAL).into_owned())
        .collect();
    if let [only] = lines.as_slice() {
        return only.clone();
    }
    let mut text = format!("{} findings", lines.len());
    for line in lines.iter().take(MAX_DENIALS) {
        text.push_str("\n- ");
        text.push_str(line);
    }
    if let Some(more) = lines.len().checked_sub(MAX_DENIALS).filter(|more| *more > 0) {
        text.push_str(&format!("\n… and {more} more"));
    }
    text
}

/// A warning travels in an HTTP header, which has no room for line ends.
fn warning(text: &str) -> String {
    shortened(&text.replace(char::is_control, " "), MAX_WARNING).into_owned()
}

fn warnings(verdict: &Verdict) -> Vec<String> {
    let mut warnings: Vec<String> = verdict
        .standing()
        .filter(|finding| finding.action == Action::Warn)
        .map(|finding| warning(&line(finding)))
        .collect();
    if warnings.len() > MAX_WARNINGS {
        let more = warnings.len() - (MAX_WARNINGS - 1);
        warnings.truncate(MAX_WARNINGS - 1);
        warnings.push(format!("… and {more} more warnings"));
    }
    warnings
}

/// For each fate the rules with their policies, as `rule=policy` or, where it is excused, `rule=policy/reason`.
fn annotations(findings: &[Finding]) -> BTreeMap<&'static str, String> {
    let mut annotations: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    for finding in findings {
        let key = match fate(finding) {
            "deny" => "denied",
            "warn" => "warned",
            "audit" => "audited",
            fate => fate,
        };
        let mut text = format!("{}={}", finding.rule, finding.policy);
        if let Some(reason) = &finding.excused {
            text.push('/');
            text.push_str(reason);
        }
        let texts = annotations.entry(key).or_default();
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    annotations
        .into_iter()
        .map(|(key, texts)| (key, shortened(&texts.join("; "), MAX_ANNOTATION).into_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::request::Envelope;
    use super::*;
    use crate::model::FieldPath;

    fn finding(action: Action, message: &str) -> Finding {
        Finding {
            rule: "durable-data",
            action,
            policy: "baseline".into(),
            message: message.into(),
            help: Some("use a claim".into()),
            field: FieldPath::root().key("spec").key("volumes").index(0),
            related: Vec::new(),
            name: None,
            excused: None,
            lost: None,
        }
    }

    fn verdict(findings: Vec<Finding>) -> Verdict {
        Verdict { findings, ..Verdict::default() }
    }

    #[test]
    fn one_denial_is_one_line() {
        let text = denial(&verdict(vec![finding(Action::Deny, "data dies with the pod")]));
        assert_eq!(
            text,
            "durable-data: spec.volumes[0]: data dies with the pod; use a claim (policy baseline)"
        );
    }

    #[test]
    fn many_denials_are_listed_and_bounded() {
        let findings = (0..25).map(|n| finding(Action::Deny, &format!("fault {n}"))).collect();
        let text = denial(&verdict(findings));
        assert!(text.starts_with("25 findings\n- durable-data: spec.volumes[0]: fault 0;"), "{text}");
        assert!(text.ends_with("fault 19; use a claim (policy baseline)\n… and 5 more"), "{text}");
    }

    #[test]
    fn what_authors_write_steers_no_terminal_and_is_no_other_finding() {
        let hostile = "/q\u{1b}]0;x\u{7}\u{202e}\n- durable-data: all is well";
        let [one, two] = [1, 2].map(|count| denial(&verdict(vec![finding(Action::Deny, hostile); count])));
        let shown =
            "/q\\u{1b}]0;x\\u{7}\\u{202e}\n  - durable-data: all is well; use a claim (policy baseline)";
        assert!(one.ends_with(shown), "{one:?}");
        assert_eq!(two.matches("\n- ").count(), 2, "{two:?}");
        let warned = warnings(&verdict(vec![finding(Action::Warn, hostile)]));
        assert!(
            warned[0].contains("\\u{202e} - durable-data") && !warned[0].contains('\u{1b}'),
            "{warned:?}"
        );

        let (envelope, _) = Envelope::read(
            r#"{"request":{"uid":"u\n","operation":"CREATE","kind":{"kind":"Pod"},"namespace":"n","name":"a\nb\u001b"}}"#,
        );
        let request = envelope.request().unwrap();
        let answer = unreadable(request, "no \u{1b}[2J");
        assert_eq!(answer.outcome.reason.as_deref(), Some("no \\u{1b}[2J"));
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let message = body["response"]["status"]["message"].as_str().unwrap();
        assert!(message.contains("no \\u{1b}[2J") && !message.contains('\u{1b}'), "{message:?}");
    }

    #[test]
    fn excused_findings_deny_and_warn_nothing() {
        let excused = Finding { excused: Some("a cache".into()), ..finding(Action::Deny, "x") };
        let (envelope, _) = Envelope::read(r#"{"request":{"uid":"u"}}"#);
        let request = envelope.request().unwrap();
        let answer = judged(request, &verdict(vec![excused]));
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(
            body["response"],
            serde_json::json!({
                "uid": "u", "allowed": true, "auditAnnotations": {"excused": "durable-data=baseline/a cache"}
            })
        );
        assert_eq!(answer.outcome.findings, [Tally { rule: "durable-data", action: "excused" }]);
        assert_eq!(answer.outcome.verdict, VerdictLabel::Allowed);
    }

    #[test]
    fn warnings_are_cut_between_characters_and_hold_no_line_ends() {
        let long = "ä\n".repeat(300);
        let warnings = warnings(&verdict(vec![finding(Action::Warn, &long); 12]));
        assert_eq!(warnings.len(), MAX_WARNINGS);
        assert_eq!(warnings[9], "… and 3 more warnings");
        assert_eq!(warnings[0].chars().count(), MAX_WARNING);
        assert!(warnings[0].ends_with('…') && !warnings[0].contains('\n'), "{}", warnings[0]);
    }

    #[test]
    fn ten_warnings_are_all_told() {
        let warnings = warnings(&verdict(vec![finding(Action::Warn, "x"); 10]));
        assert_eq!(warnings.len(), 10);
        assert!(warnings.iter().all(|warning| warning.starts_with("durable-data")), "{warnings:?}");
    }

    #[test]
    fn annotations_name_each_rule_once_and_are_bounded() {
        let mut findings = vec![finding(Action::Deny, "a"), finding(Action::Deny, "b")];
        findings.push(finding(Action::Audit, "c"));
        findings.push(Finding { excused: Some("y".repeat(5_000)), ..finding(Action::Warn, "d") });
        let annotations = annotations(&findings);
        assert_eq!(annotations["denied"], "durable-data=baseline");
        assert_eq!(annotations["audited"], "durable-data=baseline");
        assert_eq!(annotations["excused"].chars().count(), MAX_ANNOTATION);
    }

    #[test]
    fn a_cut_keeps_what_fits() {
        assert_eq!(shortened("äöü", 3), "äöü");
        assert_eq!(shortened("äöüß", 3), "äö…");
    }
}
