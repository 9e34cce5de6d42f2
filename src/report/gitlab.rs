//! GitLab's code quality report: <https://docs.gitlab.com/ci/testing/code_quality/>.

use super::problem::{fingerprints, problems};
use crate::check::{Input, Report};
use crate::verdict::Action;
use serde_json::{Value, json};

/// One entry for each finding and each error. What has no place stands at the first line of the first input.
pub(super) fn gitlab(report: &Report<'_>, inputs: &[Input]) -> Value {
    let problems = problems(report, inputs);
    let fingerprints = fingerprints(&problems);
    let first = inputs.first().map_or("volgate", |input| input.source.name.as_str());
    let entries = problems.iter().zip(fingerprints).map(|(problem, fingerprint)| {
        let severity = match problem.action {
            None => "blocker",
            Some(Action::Deny) => "critical",
            Some(Action::Warn) => "minor",
            Some(Action::Audit) => "info",
        };
        let object = problem.object.map(|object| format!("{object}: ")).unwrap_or_default();
        let help = problem.help.map(|help| format!(". Help: {help}")).unwrap_or_default();
        let excused = problem.excuse().map(|reason| format!(". Excused: {reason}")).unwrap_or_default();
        let (file, line) = problem.place.map_or((first, 1), |place| (place.file, place.line));
        json!({
            "description": format!("{object}{}{help}{excused}", problem.message),
            "check_name": problem.rule,
            "fingerprint": fingerprint,
            "severity": severity,
            "location": {
                "path": file.strip_prefix("./").unwrap_or(file),
                "lines": {"begin": line},
            },
        })
    });
    Value::Array(entries.collect())
}
