//! What a change touches: the objects of its files, and findings elsewhere that were not there before it.

use super::{Fault, Input, Located, Notice, Report, effective};
use crate::model::ObjectRef;
use crate::verdict::Action;
use std::collections::HashSet;

/// What makes a finding the same one before and after a change.
type Key<'r> = (&'r ObjectRef, &'static str, Option<&'r str>, String, &'r str, Action);

fn key(located: &Located) -> Key<'_> {
    let finding = &located.finding;
    let (name, field) = (finding.name.as_deref(), finding.field.to_string());
    (&located.object, finding.rule, name, field, &finding.message, effective(finding))
}

/// Leaves out of the report what the change has nothing to do with: findings and faults in texts that did not change, if `old`
/// has them as well. How many that are is said. `changed` says whether an input did change.
pub fn keep_changed(
    report: &mut Report<'_>,
    inputs: &[Input],
    changed: &[bool],
    old: &Report<'_>,
    since: &str,
) {
    let is_changed = |input: usize| changed.get(input).copied().unwrap_or(true);
    let before: HashSet<Key<'_>> = old.findings.iter().map(key).collect();
    let (findings, faults) = (report.findings.len(), report.faults.len());
    report.findings.retain(|located| is_changed(located.spot.input) || !before.contains(&key(located)));
    let faults_before: HashSet<&str> = old.faults.iter().map(|fault| fault.message.as_str()).collect();
    let stays = |fault: &Fault| {
        fault.spot.as_ref().is_none_or(|spot| is_changed(spot.input))
            || !faults_before.contains(fault.message.as_str())
    };
    report.faults.retain(stays);
    report.notices.retain(|notice| notice.spot.as_ref().is_none_or(|spot| is_changed(spot.input)));
    keep_objects(report, &is_changed);
    let left_out = (findings - report.findings.len(), faults - report.faults.len());
    let objects = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    };
    let files = changed.iter().take(inputs.len()).filter(|changed| **changed).count();
    let mut message = format!("shown is what changed since {since}: {} changed", objects(files, "file"));
    if left_out != (0, 0) {
        message.push_str(&format!(
            "; {} and {} in other files were there before and are left out",
            objects(left_out.0, "finding"),
            objects(left_out.1, "fault")
        ));
    }
    report.notices.insert(0, Notice { spot: None, message });
}

/// Keeps the objects of changed texts and those that findings are about.
fn keep_objects(report: &mut Report<'_>, is_changed: &impl Fn(usize) -> bool) {
    let named: HashSet<usize> = report.findings.iter().map(|located| located.manifest).collect();
    let mut moved: Vec<Option<usize>> = Vec::with_capacity(report.objects.len());
    let mut kept = Vec::new();
    for (index, object) in std::mem::take(&mut report.objects).into_iter().enumerate() {
        let keep = is_changed(object.input) || named.contains(&index);
        moved.push(keep.then_some(kept.len()));
        if keep {
            kept.push(object);
        }
    }
    report.objects = kept;
    report.judged = report.objects.len();
    let mut kept = moved.iter().map(Option::is_some);
    report.manifests.retain(|_| kept.next().unwrap_or(true));
    let new = |index: usize| moved.get(index).copied().flatten();
    report.changes.retain_mut(|change| match new(change.manifest) {
        Some(index) => {
            change.manifest = index;
            true
        }
        None => false,
    });
    for located in &mut report.findings {
        located.manifest = new(located.manifest).unwrap_or(located.manifest);
    }
}
