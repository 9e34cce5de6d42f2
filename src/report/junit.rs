//! JUnit XML, as CI systems read it: a suite for each file, a case for each object that was judged.

use super::junit_xml::{Case, Suite, Tag, Told, junit_xml};
use super::problem::{Problem, problems};
use crate::check::{Input, Report};
use crate::verdict::Action;
use std::collections::BTreeMap;

/// The report as JUnit XML. A finding that fails the run is a failure, a weaker one is text of the case, and what could
/// not be judged is an error. An object that a comment excuses, and that has nothing worse, is skipped.
pub(super) fn junit(report: &Report<'_>, inputs: &[Input], fail_on: Action) -> String {
    let problems = problems(report, inputs);
    let mut suites: BTreeMap<&str, Vec<Case>> = BTreeMap::new();
    let mut by_manifest: BTreeMap<usize, Vec<&Problem<'_>>> = BTreeMap::new();
    for problem in &problems {
        match problem.manifest {
            Some(manifest) => by_manifest.entry(manifest).or_default().push(problem),
            None => {
                let file = problem.place.map_or("volgate", |place| place.file);
                let line = problem.place.map(|place| format!("line {}: ", place.line)).unwrap_or_default();
                let name = format!("{line}{}", problem.message);
                suites.entry(file).or_default().push(case(name, &[problem], fail_on));
            }
        }
    }
    for (index, judged) in report.objects.iter().enumerate() {
        let Some(input) = inputs.get(judged.input) else { continue };
        let problems = by_manifest.remove(&index).unwrap_or_default();
        // The object as its findings name it; one without findings by what it says of itself.
        let object = problems.iter().find_map(|problem| problem.object).map(ToString::to_string);
        let name = format!("{} (line {})", object.as_ref().unwrap_or(&judged.name), judged.line);
        suites.entry(&input.source.name).or_default().push(case(name, &problems, fail_on));
    }
    let suites =
        suites.into_iter().map(|(file, cases)| Suite { name: file.to_owned(), is_file: true, cases });
    junit_xml(&suites.collect::<Vec<_>>())
}

/// A case with what is said of it, at most one element of each kind.
fn case(name: String, problems: &[&Problem<'_>], fail_on: Action) -> Case {
    let tag = |problem: &Problem<'_>| match problem.action {
        None => Tag::Error,
        Some(action) if problem.excused.is_none() && action >= fail_on => Tag::Failure,
        Some(_) => Tag::Output,
    };
    let mut told = Vec::new();
    let excuses: Vec<String> = problems
        .iter()
        .filter(|problem| problem.comment.is_some())
        .filter_map(|problem| problem.excuse())
        .collect();
    if !excuses.is_empty() && problems.iter().all(|problem| tag(problem) == Tag::Output) {
        told.push(Told { tag: Tag::Skipped, rule: None, message: excuses.join("; "), text: String::new() });
    }
    told.extend([Tag::Error, Tag::Failure, Tag::Output].into_iter().filter_map(|wanted| {
        let mut of_tag = problems.iter().filter(|problem| tag(problem) == wanted).peekable();
        let first = of_tag.peek()?;
        let rule = (wanted != Tag::Output).then(|| first.rule.to_owned());
        let message = first.message.to_owned();
        Some(Told { tag: wanted, rule, message, text: of_tag.map(|problem| described(problem)).collect() })
    }));
    Case { name, told }
}

fn described(problem: &Problem<'_>) -> String {
    let action = problem.action.map_or("cannot judge", Action::as_str);
    let mut text = format!("{action} [{}]: {}\n", problem.rule, problem.message);
    if let Some(place) = problem.place {
        text.push_str(&format!("  at {}:{}:{}\n", place.file, place.line, place.column));
    }
    if let Some(help) = problem.help {
        text.push_str(&format!("  help: {help}\n"));
    }
    if let Some(reason) = problem.excuse() {
        text.push_str(&format!("  excused: {reason}\n"));
    }
    text
}
