//! Manifests and policies from files through `check` and `explain`, as the command line does it.

use std::path::{Path, PathBuf};
use volgate::check::{Input, Report, Run, manifests};
use volgate::explain::{Row, explain};
use volgate::policy::{CompiledPolicy, PolicySet, embedded_baseline, load};
use volgate::source::Source;
use volgate::verdict::{Action, Finding};

/// The day on which the manifests of the tests are judged.
pub const TODAY: jiff::civil::Date = jiff::civil::date(2026, 11, 23);

/// A path beneath the repository's root.
pub fn root(path: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A file beneath the repository's root as an input, every document of which can be read.
pub fn input(path: &str) -> Input {
    let text = std::fs::read_to_string(root(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let input = Input::new(Source::new(path, text), true);
    let errors: Vec<String> = input.errors().map(ToString::to_string).collect();
    assert!(errors.is_empty(), "{path}: {errors:?}");
    input
}

/// The policies of a file beneath the repository's root.
pub fn policies_of(path: &str) -> Vec<CompiledPolicy> {
    let inputs = [input(path)];
    let found = manifests(&inputs);
    found.iter().map(|m| load(&m.value).unwrap_or_else(|faults| panic!("{path}: {faults:#?}"))).collect()
}

/// The baseline with the policies of further files.
pub fn baseline_and(paths: &[&str]) -> PolicySet {
    let further = paths.iter().flat_map(|path| policies_of(path));
    let all = std::iter::once(embedded_baseline().unwrap()).chain(further).collect();
    PolicySet::build(all).unwrap()
}

/// What `volgate check` would say.
#[derive(Debug)]
pub struct Said {
    /// Each finding as `denied spec.x of Pod default/y: message`; an excused one as `excused (the reason) …`.
    pub findings: Vec<String>,
    /// Each finding as `denied durable-data spec.x`, without the reason of an excuse.
    pub short: Vec<String>,
    /// Each change as `PersistentVolumeClaim default/y /spec/x = value`.
    pub changes: Vec<String>,
    /// Each finding's help.
    pub help: Vec<String>,
}

/// Judges files beneath the repository's root; with `cluster` given, that file is all that the cluster holds.
pub fn check(policies: &PolicySet, cluster: Option<&str>, files: &[&str]) -> Said {
    // Of a kind that is not in the file there is none.
    let context = cluster.into_iter().flat_map(|file| [input(file), volgate::check::every_kind()]);
    let context: Vec<Input> = context.collect();
    let inputs: Vec<Input> = files.iter().map(|file| input(file)).collect();
    let report = run(policies, &context).check(&inputs);
    assert_eq!(report.faults, [], "{files:?}");
    said(&report)
}

/// The rows of `volgate explain` for files beneath the repository's root.
pub fn rows(policies: &PolicySet, files: &[&str]) -> Vec<Row> {
    let inputs: Vec<Input> = files.iter().map(|file| input(file)).collect();
    let (rows, faults) = explain(&run(policies, &[]), &inputs);
    assert_eq!(faults, [], "{files:?}");
    rows
}

fn run<'r>(policies: &'r PolicySet, context: &'r [Input]) -> Run<'r> {
    Run::new(policies, TODAY).in_cluster(context)
}

fn action(finding: &Finding) -> &'static str {
    match (&finding.excused, finding.action) {
        (Some(_), _) => "excused",
        (None, Action::Deny) => "denied",
        (None, Action::Warn) => "warning",
        (None, Action::Audit) => "audit",
    }
}

fn said(report: &Report<'_>) -> Said {
    let short = |located: &volgate::check::Located| {
        let finding = &located.finding;
        format!("{} {} {}", action(finding), finding.rule, finding.field)
    };
    let line = |located: &volgate::check::Located| {
        let finding = &located.finding;
        let reason = finding.excused.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
        format!("{}{reason} {} of {}: {}", action(finding), finding.field, located.object, finding.message)
    };
    let changes = report.changes.iter().flat_map(|change| {
        let operations = serde_json::to_value(&change.patch).unwrap();
        let operations = operations.as_array().unwrap().clone();
        let object = change.object.clone();
        operations.into_iter().map(move |operation| {
            format!("{object} {} = {}", operation["path"].as_str().unwrap(), operation["value"])
        })
    });
    Said {
        findings: report.findings.iter().map(line).collect(),
        short: report.findings.iter().map(short).collect(),
        changes: changes.collect(),
        help: report.findings.iter().filter_map(|located| located.finding.help.clone()).collect(),
    }
}
