//! SARIF 2.1.0: <https://docs.oasis-open.org/sarif/sarif/v2.1.0/>.

use super::manual::rule_page;
use super::problem::{Place, Problem, fingerprints, problems};
use crate::check::{Input, Repair, Report};
use crate::rules::all;
use crate::verdict::Action;
use serde_json::{Value, json};
use std::collections::HashMap;

/// The report as a SARIF log of one run. What could not be judged and the notices are notifications of the tool, since
/// they are not about a rule; an excused finding is a suppressed one.
pub(super) fn sarif(report: &Report<'_>, inputs: &[Input]) -> Value {
    let problems = problems(report, inputs);
    let fingerprints = fingerprints(&problems);
    let (faults, findings): (Vec<_>, Vec<_>) =
        problems.iter().zip(&fingerprints).partition(|(problem, _)| problem.action.is_none());
    let faults =
        faults.iter().map(|(fault, _)| notification("error", fault.message, fault.help, fault.place));
    let notices = report.notices.iter().map(|notice| {
        let place = notice.spot.as_ref().and_then(|spot| Place::of(spot, inputs));
        notification("note", &notice.message, None, place)
    });
    let repairs: HashMap<usize, &Repair> =
        report.fixes.iter().map(|repair| (repair.manifest, repair)).collect();
    let rules = all().iter().map(|rule| {
        let (summary, page) = rule_page(rule);
        json!({
            "id": rule.id,
            "name": rule.field,
            "shortDescription": {"text": summary},
            "fullDescription": {"text": summary},
            "help": {"text": page, "markdown": page},
            "properties": {"tags": ["kubernetes", "storage"]},
        })
    });
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "volgate",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules.collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": report.faults.is_empty(),
                "toolExecutionNotifications": faults.chain(notices).collect::<Vec<_>>(),
            }],
            "results": findings
                .iter()
                .map(|(finding, print)| {
                    let mut result = result(finding, print);
                    let repair = finding.manifest.and_then(|manifest| repairs.get(&manifest).copied());
                    let fix = repair.and_then(|repair| fix(finding, repair, inputs));
                    if let (Some(fix), Some(result)) = (fix, result.as_object_mut()) {
                        result.insert("fixes".to_owned(), json!([fix]));
                    }
                    result
                })
                .collect::<Vec<_>>(),
        }],
    })
}

fn result(problem: &Problem<'_>, fingerprint: &str) -> Value {
    let level = match problem.action {
        Some(Action::Deny) | None => "error",
        Some(Action::Warn) => "warning",
        Some(Action::Audit) => "note",
    };
    let text = match problem.help {
        Some(help) => format!("{}. Help: {help}", problem.message),
        None => problem.message.to_owned(),
    };
    let mut location = problem.place.map_or_else(|| json!({}), location);
    if let (Some(object), Some(field), Some(location)) =
        (problem.object, problem.field, location.as_object_mut())
    {
        let name = format!("{object}: {field}");
        location.insert("logicalLocations".to_owned(), json!([{"fullyQualifiedName": name}]));
    }
    let related = problem.related.iter().map(|(place, note)| {
        let mut location = location_of(place);
        if let Some(location) = location.as_object_mut() {
            location.insert("message".to_owned(), json!({"text": note}));
        }
        location
    });
    let index = all().iter().position(|rule| rule.id == problem.rule);
    // By a comment in the file, or by a policy elsewhere.
    let kind = if problem.comment.is_some() { "inSource" } else { "external" };
    let suppressions = problem.excuse().map(|reason| json!({"kind": kind, "justification": reason}));
    json!({
        "ruleId": problem.rule,
        "ruleIndex": index.map_or(json!(-1), |index| json!(index)),
        "level": level,
        "message": {"text": text},
        "locations": [location],
        "relatedLocations": related.collect::<Vec<_>>(),
        "partialFingerprints": {"volgate/v1": fingerprint},
        // An empty list says that nothing is suppressed, and none at all that nobody knows.
        "suppressions": suppressions.into_iter().collect::<Vec<_>>(),
        "properties": {"policy": problem.policy},
    })
}

/// The change of the text that gives a durable volume to the data of a finding, where there is one. All findings of an object
/// about its data have the same.
fn fix(problem: &Problem<'_>, repair: &Repair, inputs: &[Input]) -> Option<Value> {
    if problem.rule != "durable-data" || problem.action != Some(Action::Deny) || repair.edits.is_empty() {
        return None;
    }
    let source = inputs.get(repair.input).map(|input| &input.source)?;
    let replacements = repair.edits.iter().map(|edit| {
        let (start, end) = (source.position(edit.spot.start), source.position(edit.spot.end));
        let region = json!({
            "startLine": start.line,
            "startColumn": start.column,
            "endLine": end.line,
            "endColumn": end.column,
        });
        json!({"deletedRegion": region, "insertedContent": {"text": edit.text}})
    });
    let notes = repair.done.iter().chain(&repair.notes).map(String::as_str).collect::<Vec<_>>().join(". ");
    Some(json!({
        "description": {"text": notes},
        "artifactChanges": [{
            "artifactLocation": artifact(&source.name),
            "replacements": replacements.collect::<Vec<_>>(),
        }],
    }))
}

fn notification(level: &str, message: &str, help: Option<&str>, place: Option<Place<'_>>) -> Value {
    let text = help.map_or_else(|| message.to_owned(), |help| format!("{message}. Help: {help}"));
    let locations: Vec<Value> = place.into_iter().map(location).collect();
    json!({"level": level, "message": {"text": text}, "locations": locations})
}

fn location(place: Place<'_>) -> Value {
    location_of(&place)
}

fn location_of(place: &Place<'_>) -> Value {
    let (end_line, end_column) = (place.end_line, place.end_column);
    json!({"physicalLocation": {
        "artifactLocation": artifact(place.file),
        "region": {
            "startLine": place.line,
            "startColumn": place.column,
            "endLine": end_line,
            "endColumn": end_column,
        },
    }})
}

/// Where a file is, as an absolute URI or beneath the root of the sources.
fn artifact(file: &str) -> Value {
    let mut artifact = json!({"uri": uri(file)});
    if let (false, Some(artifact)) = (file.starts_with('/'), artifact.as_object_mut()) {
        artifact.insert("uriBaseId".to_owned(), json!("%SRCROOT%"));
    }
    artifact
}

/// A path as a URI reference: relative as it was given, or `file://`.
fn uri(path: &str) -> String {
    let scheme = if path.starts_with('/') { "file://" } else { "" };
    // A colon in the first segment would make it a scheme.
    let path = path.strip_prefix("./").unwrap_or(path);
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(byte);
    path.bytes().fold(scheme.to_owned(), |mut uri, byte| {
        if plain(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
        uri
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_uri() {
        assert_eq!(uri("./deploy/a b.yaml"), "deploy/a%20b.yaml");
        assert_eq!(uri("/srv/é.yaml"), "file:///srv/%C3%A9.yaml");
        assert_eq!(uri("a:b.yaml"), "a%3Ab.yaml");
        assert_eq!(uri("<stdin>"), "%3Cstdin%3E");
    }
}
