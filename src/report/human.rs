use super::excerpt::excerpt;
use crate::check::{Input, Report, effective};
use crate::verdict::Action;
use annotate_snippets::{Group, Level, Renderer};

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
        let help = fault.help.as_deref();
        match &fault.spot {
            Some(spot) => {
                let help = help.map(|help| Level::HELP.message(help));
                put(&[excerpt(Group::with_title(title), inputs, spot, "", &[]).elements(help)]);
            }
            None => {
                let help = help.map(|help| Group::with_title(Level::HELP.secondary_title(help)));
                put(&std::iter::once(Group::with_title(title)).chain(help).collect::<Vec<_>>());
            }
        }
    }
    for (spot, message) in &report.notices {
        let title = Level::WARNING.with_name("notice").primary_title(message);
        put(&[excerpt(Group::with_title(title), inputs, spot, "", &[])]);
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
        let mut group = excerpt(Group::with_title(title), inputs, &located.spot, &label, &located.related);
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
