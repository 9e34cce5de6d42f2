use super::problem::Place;
use crate::check::{Input, NotJudged, ObjectKind, Report, Spot, What, effective};
use serde_json::{Map, Value, json as value};

/// The report as JSON. The form is stable and documented in `docs/output.md`.
pub fn json(report: &Report<'_>, inputs: &[Input]) -> Value {
    let placed = |mut entry: Value, spot: Option<&Spot>| {
        if let (Some(entry), Some(spot)) = (entry.as_object_mut(), spot) {
            add_place(entry, spot, inputs);
        }
        entry
    };
    let findings: Vec<Value> = report
        .findings
        .iter()
        .map(|located| {
            let finding = &located.finding;
            let mut entry = value!({
                "rule": finding.rule,
                "action": effective(finding),
                "policy": finding.policy,
                "message": finding.message,
                "object": located.object,
                "field": finding.field.to_string(),
            });
            if let Some(entry) = entry.as_object_mut() {
                if let Some(name) = &finding.name {
                    entry.insert("name".to_owned(), value!(name));
                }
                if let Some(help) = &finding.help {
                    entry.insert("help".to_owned(), value!(help));
                }
                if let Some(reason) = &finding.excused {
                    entry.insert("excused".to_owned(), value!(reason));
                }
                if let Some(comment) = &located.comment {
                    let mut by = Map::new();
                    by.insert("note".to_owned(), value!(comment.note));
                    add_place(&mut by, &comment.spot, inputs);
                    entry.insert("excusedByComment".to_owned(), Value::Object(by));
                }
            }
            placed(entry, Some(&located.spot))
        })
        .collect();
    let patches: Vec<Value> = report
        .changes
        .iter()
        .map(|change| value!({"object": change.object, "patch": change.patch}))
        .collect();
    let errors = report.faults.iter().map(|fault| {
        let mut entry = value!({"message": fault.message});
        if let (Some(entry), Some(help)) = (entry.as_object_mut(), &fault.help) {
            entry.insert("help".to_owned(), value!(help));
        }
        placed(entry, fault.spot.as_ref())
    });
    let notices =
        report.notices.iter().map(|notice| placed(value!({"message": notice.message}), notice.spot.as_ref()));
    let policies = report.policies.iter().map(|(name, spot)| placed(value!({"name": name}), Some(spot)));
    let mut whole = value!({
        "summary": report.summary(),
        "policiesFromInput": policies.collect::<Vec<_>>(),
        "findings": findings,
        "patches": patches,
        "errors": errors.collect::<Vec<_>>(),
        "notices": notices.collect::<Vec<_>>(),
        "notJudged": report.not_judged.iter().map(not_judged).collect::<Vec<_>>(),
    });
    if let (false, Some(whole)) = (report.repairs.is_empty(), whole.as_object_mut()) {
        let repairs = report.repairs.iter().map(|repair| {
            value!({
                "object": repair.object,
                "patch": repair.patch,
                "claims": repair.claims,
                "done": repair.done,
                "notes": repair.notes,
            })
        });
        whole.insert("repairs".to_owned(), value!(repairs.collect::<Vec<_>>()));
    }
    if let (Some(applied), Some(whole)) = (&report.applied, whole.as_object_mut()) {
        whole.insert("appliedPolicies".to_owned(), value!(applied));
    }
    if let (Some(settings), Some(whole)) = (&report.settings, whole.as_object_mut()) {
        whole.insert("settings".to_owned(), value!(settings));
    }
    whole
}

/// Adds where something stands. What was rendered stands at the beginning of its template, and has lines of its own.
fn add_place(entry: &mut Map<String, Value>, spot: &Spot, inputs: &[Input]) {
    let place = Place::of(spot, inputs);
    entry.insert("file".to_owned(), value!(place.map(|place| place.file)));
    entry.insert("line".to_owned(), value!(place.map_or(0, |place| place.line)));
    entry.insert("column".to_owned(), value!(place.map_or(0, |place| place.column)));
    if let Some(input) = inputs.get(spot.input).filter(|input| input.rendered.is_some()) {
        let position = input.source.position(spot.start);
        let rendered = value!({"line": position.line, "column": position.column});
        entry.insert("rendered".to_owned(), rendered);
    }
}

fn not_judged(entry: &NotJudged) -> Value {
    let (what, names): (_, &[(&str, &str)]) = match &entry.what {
        What::Chart => ("chart", &[]),
        What::Kustomization => ("kustomization", &[]),
        What::Ignored => ("ignored", &[]),
        What::Hidden => ("hidden", &[]),
        What::Template => ("template", &[]),
        What::Unreadable => ("unreadable", &[]),
        What::Patch => ("patch", &[]),
        What::Namespace(namespace) => ("namespace", &[("namespace", namespace)]),
        What::Source(ObjectKind { api_version, kind }) | What::Kind(ObjectKind { api_version, kind }) => {
            ("kind", &[("apiVersion", api_version), ("kind", kind)])
        }
        What::MoreKinds => ("moreKinds", &[]),
        What::Unread(ObjectKind { api_version, kind }) => {
            ("unread", &[("apiVersion", api_version), ("kind", kind)])
        }
    };
    let mut value = value!({"what": what, "count": entry.count, "places": entry.places});
    if let Some(value) = value.as_object_mut() {
        value.extend(names.iter().map(|(key, name)| ((*key).to_owned(), value!(name))));
        if !entry.reason.is_empty() {
            value.insert("reason".to_owned(), value!(entry.reason));
        }
    }
    value
}
