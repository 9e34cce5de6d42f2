use crate::check::{Input, Report, Spot, effective};
use serde_json::{Value, json as value};

/// The report as JSON. The form is stable and documented in `docs/output.md`.
pub fn json(report: &Report<'_>, inputs: &[Input]) -> Value {
    let place = |spot: &Spot| {
        let source = inputs.get(spot.input).map(|input| &input.source);
        let position = source.map(|source| source.position(spot.start));
        (
            source.map(|source| source.name.clone()),
            position.map_or(0, |position| position.line),
            position.map_or(0, |position| position.column),
        )
    };
    let findings: Vec<Value> = report
        .findings
        .iter()
        .map(|located| {
            let (file, line, column) = place(&located.spot);
            let finding = &located.finding;
            let mut entry = value!({
                "rule": finding.rule,
                "action": effective(finding),
                "policy": finding.policy,
                "message": finding.message,
                "object": located.object,
                "field": finding.field.to_string(),
                "file": file,
                "line": line,
                "column": column,
            });
            if let Some(entry) = entry.as_object_mut() {
                if let Some(help) = &finding.help {
                    entry.insert("help".to_owned(), value!(help));
                }
                if let Some(reason) = &finding.excused {
                    entry.insert("excused".to_owned(), value!(reason));
                }
            }
            entry
        })
        .collect();
    let patches: Vec<Value> = report
        .changes
        .iter()
        .map(|change| value!({"object": change.object, "patch": change.patch}))
        .collect();
    let errors: Vec<Value> = report
        .faults
        .iter()
        .map(|fault| {
            let mut entry = value!({"message": fault.message});
            if let (Some(entry), Some(help)) = (entry.as_object_mut(), &fault.help) {
                entry.insert("help".to_owned(), value!(help));
            }
            if let (Some(entry), Some(spot)) = (entry.as_object_mut(), &fault.spot) {
                let (file, line, column) = place(spot);
                entry.insert("file".to_owned(), value!(file));
                entry.insert("line".to_owned(), value!(line));
                entry.insert("column".to_owned(), value!(column));
            }
            entry
        })
        .collect();
    value!({"summary": report.summary(), "findings": findings, "patches": patches, "errors": errors})
}
