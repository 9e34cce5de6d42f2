use crate::check::{Input, Report, Spot, effective};
use crate::verdict::Action;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use std::ops::Range;

/// The report in the manner of a good compiler.
pub fn human(report: &Report<'_>, inputs: &[Input], colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut text = String::new();
    let mut put = |groups: &[Group<'_>]| {
        text.push_str(&renderer.render(groups));
        text.push_str("\n\n");
    };
    for fault in &report.faults {
        let title = Level::ERROR.with_name("cannot judge").primary_title(&fault.message);
        let mut group = match fault.spot.as_ref().and_then(|spot| snippet(inputs, spot, "", &[])) {
            Some(snippet) => title.element(snippet),
            None => Group::with_title(title),
        };
        if let Some(help) = &fault.help {
            group = group.element(Level::HELP.message(help));
        }
        put(&[group]);
    }
    for (spot, message) in &report.notices {
        let title = Level::WARNING.with_name("notice").primary_title(message);
        if let Some(snippet) = snippet(inputs, spot, "", &[]) {
            put(&[title.element(snippet)]);
        }
    }
    for located in &report.findings {
        let finding = &located.finding;
        let level = match effective(finding) {
            Action::Deny => Level::ERROR.with_name("denied"),
            Action::Warn => Level::WARNING.with_name("warning"),
            Action::Audit => Level::NOTE.with_name("audit"),
        };
        let title = level.primary_title(&finding.message).id(finding.rule);
        let label = format!("{} of {}", finding.field, located.object);
        let mut group = match snippet(inputs, &located.spot, &label, &located.related) {
            Some(snippet) => title.element(snippet),
            None => Group::with_title(title),
        };
        if let Some(help) = &finding.help {
            group = group.element(Level::HELP.message(help));
        }
        let by = match &finding.excused {
            Some(reason) => format!("policy {:?} excuses it: {reason}", finding.policy),
            None => format!("policy {:?}; `volgate rules {}` tells more", finding.policy, finding.rule),
        };
        group = group.element(Level::NOTE.message(by));
        put(&[group]);
    }
    text
}

/// The last line: how many objects fared how. `fixed` says that the changes were written.
pub fn summary_line(report: &Report<'_>, fixed: bool) -> String {
    let summary = report.summary();
    let objects = if summary.objects == 1 { "object" } else { "objects" };
    let mut line = format!(
        "{} {objects}: {} denied, {} with warnings, {} for the audit log alone",
        summary.objects, summary.denied, summary.warned, summary.audited
    );
    if !report.changes.is_empty() {
        let changed = report.changes.len();
        line.push_str(&match fixed {
            true => format!("; {changed} changed"),
            false => format!("; {changed} would be changed (see --diff)"),
        });
    }
    if report.skipped > 0 {
        let what = match report.skipped {
            1 => "1 document that is no Kubernetes object".to_owned(),
            skipped => format!("{skipped} documents that are no Kubernetes objects"),
        };
        line.push_str(&format!("; {what} passed over"));
    }
    if !report.faults.is_empty() {
        line.push_str(&format!("; {} could not be judged", report.faults.len()));
    }
    line
}

/// The lines around the places, so that a long file is not handed over whole for every finding.
fn snippet<'i>(
    inputs: &'i [Input],
    spot: &Spot,
    label: &'i str,
    related: &'i [(Spot, String)],
) -> Option<Snippet<'i, annotate_snippets::Annotation<'i>>> {
    let source = &inputs.get(spot.input)?.source;
    let text: &str = &source.text;
    let related: Vec<&(Spot, String)> =
        related.iter().filter(|(other, _)| other.input == spot.input).collect();
    let starts = related.iter().map(|(other, _)| other.start).chain([spot.start]);
    let ends = related.iter().map(|(other, _)| other.end).chain([spot.end]);
    let from = starts.min().unwrap_or(0).min(text.len());
    let to = ends.max().unwrap_or(from).clamp(from, text.len());
    let from = text.get(..from)?.rfind('\n').map_or(0, |at| at + 1);
    let to = text.get(to..)?.find('\n').map_or(text.len(), |at| to + at);
    let window = text.get(from..to)?;
    let first_line = source.position(from).line;
    let inside = |spot: &Spot| -> Range<usize> {
        let start = spot.start.saturating_sub(from).min(window.len());
        // A place of many lines is shown by its first.
        let end = spot.end.saturating_sub(from).clamp(start, window.len());
        let line_end = window.get(start..end).and_then(|part| part.find('\n')).map_or(end, |at| start + at);
        start..line_end
    };
    let primary = AnnotationKind::Primary.span(inside(spot));
    let mut snippet = Snippet::source(window)
        .path(source.name.as_str())
        .line_start(first_line)
        .annotation(if label.is_empty() { primary } else { primary.label(label) });
    for (other, note) in related {
        snippet = snippet.annotation(AnnotationKind::Context.span(inside(other)).label(note.as_str()));
    }
    Some(snippet)
}
