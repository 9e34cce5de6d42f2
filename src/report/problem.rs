//! What a report has to say, one row each: the common ground of the output formats that show rows.

use crate::check::{Input, Report, Spot, effective};
use crate::model::{FieldPath, ObjectRef, fnv1a};
use crate::verdict::Action;
use std::collections::HashMap;

/// One finding, or something that could not be judged.
pub(super) struct Problem<'r> {
    /// What it leads to in the end; `None` for what could not be judged.
    pub(super) action: Option<Action>,
    /// The rule's id, or [`CANNOT_JUDGE`].
    pub(super) rule: &'r str,
    pub(super) message: &'r str,
    pub(super) help: Option<&'r str>,
    /// Why it is excused, when it is.
    pub(super) excused: Option<&'r str>,
    /// What a cluster says all the same, where a comment in the file excuses it.
    pub(super) comment: Option<&'r str>,
    /// The policy that asked for it.
    pub(super) policy: Option<&'r str>,
    pub(super) object: Option<&'r ObjectRef>,
    /// Its index in [`Report::objects`].
    pub(super) manifest: Option<usize>,
    pub(super) field: Option<&'r FieldPath>,
    pub(super) place: Option<Place<'r>>,
    /// Further places that explain it.
    pub(super) related: Vec<(Place<'r>, &'r str)>,
}

/// The rule's id of what could not be judged.
pub(super) const CANNOT_JUDGE: &str = "cannot-judge";

/// A place in an input; lines and columns count from 1, columns in characters. The end is the first column behind.
#[derive(Clone, Copy)]
pub(super) struct Place<'r> {
    pub(super) file: &'r str,
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) end_line: usize,
    pub(super) end_column: usize,
}

impl<'r> Place<'r> {
    pub(super) fn of(spot: &Spot, inputs: &'r [Input]) -> Option<Self> {
        let input = inputs.get(spot.input)?;
        // What was rendered has lines that are nowhere: it stands at the beginning of its template.
        if let Some(origin) = &input.rendered {
            return Some(Self { file: origin, line: 1, column: 1, end_line: 1, end_column: 1 });
        }
        let source = &input.source;
        let (start, end) = (source.position(spot.start), source.position(spot.end.max(spot.start)));
        Some(Self {
            file: &source.name,
            line: start.line,
            column: start.column,
            end_line: end.line,
            end_column: end.column,
        })
    }
}

/// What could not be judged, and then the findings in the report's order.
pub(super) fn problems<'r>(report: &'r Report<'_>, inputs: &'r [Input]) -> Vec<Problem<'r>> {
    let mut problems: Vec<Problem<'r>> = report
        .faults
        .iter()
        .map(|fault| Problem {
            action: None,
            rule: CANNOT_JUDGE,
            message: &fault.message,
            help: fault.help.as_deref(),
            excused: None,
            comment: None,
            policy: None,
            object: None,
            manifest: None,
            field: None,
            place: fault.spot.as_ref().and_then(|spot| Place::of(spot, inputs)),
            related: Vec::new(),
        })
        .collect();
    problems.extend(report.findings.iter().map(|located| {
        let finding = &located.finding;
        Problem {
            action: Some(effective(finding)),
            rule: finding.rule,
            message: &finding.message,
            help: finding.help.as_deref(),
            excused: finding.excused.as_deref(),
            comment: located.comment.as_ref().map(|comment| comment.note.as_str()),
            policy: Some(&finding.policy),
            object: Some(&located.object),
            manifest: Some(located.manifest),
            field: Some(&finding.field),
            place: Place::of(&located.spot, inputs),
            related: located
                .related
                .iter()
                .filter_map(|(spot, note)| Some((Place::of(spot, inputs)?, note.as_str())))
                .collect(),
        }
    }));
    problems
}

impl Problem<'_> {
    /// Why it is excused, and what that is worth in a cluster.
    pub(super) fn excuse(&self) -> Option<String> {
        let reason = self.excused?;
        Some(self.comment.map_or_else(|| reason.to_owned(), |note| format!("{reason} ({note})")))
    }

    /// What stays the same while lines move: the same finding of the same object and file has the same one in the next
    /// run. `nth` tells those apart that have everything else in common.
    pub(super) fn fingerprint(&self, nth: usize) -> String {
        let object = self.object.map(ToString::to_string).unwrap_or_default();
        let field = self.field.map(ToString::to_string).unwrap_or_default();
        // What could not be judged has no object: its message says which.
        let message = if self.object.is_none() { self.message } else { "" };
        let file = self.place.map_or("", |place| place.file);
        let text = [self.rule, file, &object, &field, message, &nth.to_string()].join("\0");
        format!("{:016x}", fnv1a(&text))
    }
}

/// The fingerprint of each, all of them different.
pub(super) fn fingerprints(problems: &[Problem<'_>]) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let of = |problem: &Problem<'_>| {
        let nth = seen.entry(problem.fingerprint(0)).or_default();
        let fingerprint = problem.fingerprint(*nth);
        *nth += 1;
        fingerprint
    };
    problems.iter().map(of).collect()
}
