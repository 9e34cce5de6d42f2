use super::excerpt::excerpt;
use super::options::Options;
use crate::check::{ByComment, Input, Located, ObjectKind, Repair, Report, Spot, What, effective};
use crate::facts::Facts;
use crate::model::{ObjectRef, printable, printable_name, without_commands};
use crate::verdict::Action;
use annotate_snippets::{Group, Level, Renderer};
use std::collections::HashSet;

/// All that people are shown of a run.
pub(super) fn page(report: &Report<'_>, inputs: &[Input], options: &Options<'_>) -> String {
    let findings = human(report, inputs, options);
    if options.quiet {
        return findings;
    }
    let policies = options.policies.map(|line| format!("{line}\n")).unwrap_or_default();
    let summary = summary_line(report, options.fixed);
    let from_input = self::policies(report, inputs);
    let repairs = repairs(report, options.fixed);
    let (not_judged, applied) = (not_judged(report), applied(report));
    let rest = format!("{repairs}{not_judged}{from_input}{applied}{policies}{summary}\n");
    format!("{findings}{}", printable(&rest))
}

/// The errors, notices and findings as a compiler shows them, each with its lines.
pub fn human(report: &Report<'_>, inputs: &[Input], options: &Options<'_>) -> String {
    let renderer = if options.colour { Renderer::styled() } else { Renderer::plain() };
    let mut text = String::new();
    let mut put = |groups: &[Group<'_>]| {
        text.push_str(&renderer.render(groups));
        text.push_str("\n\n");
    };
    for fault in &report.faults {
        let title = Level::ERROR.with_name("cannot judge").primary_title(printable(&fault.message));
        let help = fault.help.as_deref().map(printable);
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
    for notice in report.notices.iter().filter(|_| !options.quiet) {
        let title = Level::WARNING.with_name("notice").primary_title(printable(&notice.message));
        let group = Group::with_title(title);
        put(&[match &notice.spot {
            Some(spot) => excerpt(group, inputs, spot, "", &[]),
            None => group,
        }]);
    }
    let shown = |located: &Located| {
        let finding = &located.finding;
        !options.quiet || (finding.excused.is_none() && finding.action >= options.fail_on)
    };
    for located in report.findings.iter().filter(|located| shown(located)) {
        let finding = &located.finding;
        let level = match effective(finding) {
            Action::Deny => Level::ERROR.with_name("denied"),
            Action::Warn => Level::WARNING.with_name("warning"),
            Action::Audit => Level::NOTE.with_name("audit"),
        };
        let title = level.primary_title(printable(&finding.message)).id(finding.rule);
        let label = format!("{} of {}", finding.field, located.object);
        let label = printable_name(&label);
        let mut group = excerpt(Group::with_title(title), inputs, &located.spot, &label, &located.related);
        if let Some(help) = &finding.help {
            group = group.element(Level::HELP.message(printable(help)));
        }
        let line =
            |spot: &Spot| inputs.get(spot.input).map_or(0, |input| input.source.position(spot.start).line);
        let by = match (&finding.excused, &located.comment) {
            (Some(reason), Some(ByComment { spot, note })) => {
                format!("the comment in line {} excuses it: {reason}; {note}", line(spot))
            }
            (Some(reason), None) => format!("policy {:?} excuses it: {reason}", finding.policy),
            (None, _) => format!("policy {:?}; see `volgate rules {}`", finding.policy, finding.rule),
        };
        group = group.element(Level::NOTE.message(printable(&by)));
        put(&[group]);
    }
    // Excerpts show an input's lines as they are.
    without_commands(text.into()).into_owned()
}

/// The volumes that were written for data that would be lost, or can be; nothing when there are none.
fn repairs(report: &Report<'_>, fixed: bool) -> String {
    if report.repairs.is_empty() {
        return String::new();
    }
    let mut text = if fixed { "fixed:\n" } else { "can be fixed:\n" }.to_owned();
    for repair in &report.repairs {
        text.push_str(&format!("  {} at {}: {}\n", repair.object, repair.place, repair.done.join("; ")));
        text.extend(repair.notes.iter().map(|note| format!("    {note}\n")));
    }
    text.push('\n');
    text
}

/// How many objects are changed: a claim that is new is a part of what it was made for.
fn changed(report: &Report<'_>) -> usize {
    let of_repair = |repair: &Repair| {
        let namespace = repair.object.namespace.as_deref();
        let claims: Vec<_> = repair.claims.iter().map(|claim| Facts::identify(claim, namespace)).collect();
        claims.into_iter().chain([repair.object.clone()])
    };
    let known: HashSet<ObjectRef> = report.repairs.iter().flat_map(of_repair).collect();
    let others = report.changes.iter().filter(|change| !known.contains(&change.object)).count();
    others + report.repairs.len()
}

/// How many places of what was not judged are shown, and how many characters of more than one.
const MOST_PLACES: usize = 3;
const WIDEST_PLACES: usize = 120;

/// What was not judged, a line each; nothing when all was.
pub fn not_judged(report: &Report<'_>) -> String {
    let mut text = String::new();
    for entry in &report.not_judged {
        if text.is_empty() {
            text.push_str("not judged:\n");
        }
        let s = if entry.count == 1 { "" } else { "s" };
        let count = entry.count;
        let what = match &entry.what {
            What::Chart => format!("{count} Helm chart{s}"),
            What::Kustomization => format!("{count} kustomization{s}"),
            What::Ignored => format!("{count} path{s}"),
            What::Hidden => format!("{count} hidden folder{s}"),
            What::Template => format!("{count} template{s}"),
            What::Unreadable => format!("{count} unreadable file{s}"),
            What::Patch => format!("{count} patch{}", if count == 1 { "" } else { "es" }),
            What::Namespace(namespace) => format!("{count} object{s} in namespace {namespace}"),
            What::Source(ObjectKind { api_version, kind }) | What::Kind(ObjectKind { api_version, kind }) => {
                format!("{count} {kind} ({api_version})")
            }
            What::MoreKinds => format!("{count} object{s} of further kinds"),
            What::Unread(ObjectKind { api_version, kind }) => format!("every {kind} ({api_version})"),
        };
        text.push_str(&format!("  {what}"));
        // Of a kind that holds no storage it is of no interest where.
        if !matches!(entry.what, What::Kind(_) | What::MoreKinds | What::Unread(_)) {
            let mut places: Vec<&str> = entry.places.iter().take(MOST_PLACES).map(String::as_str).collect();
            while places.len() > 1 && places.iter().map(|place| place.len()).sum::<usize>() > WIDEST_PLACES {
                places.pop();
            }
            text.push_str(&format!(" at {}", places.join(", ")));
            if let more @ 1.. = count - places.len() {
                text.push_str(&format!(" and {more} more"));
            }
        }
        if !entry.reason.is_empty() {
            text.push_str(&format!(": {}", entry.reason));
        }
        text.push('\n');
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// The policies among the manifests that were applied, each with its place; nothing when there are none.
pub fn policies(report: &Report<'_>, inputs: &[Input]) -> String {
    if report.policies.is_empty() {
        return String::new();
    }
    let place = |spot: &Spot| {
        let source = inputs.get(spot.input).map(|input| &input.source);
        source.map_or_else(String::new, |source| {
            format!("{}:{}", source.name, source.position(spot.start).line)
        })
    };
    let lines = report.policies.iter().map(|(name, spot)| format!("  {name:?} at {}\n", place(spot)));
    format!("policies among the manifests, which are applied as well:\n{}\n", lines.collect::<String>())
}

/// How many objects are shown of one policy.
const MOST_NAMED: usize = 50;

/// What each policy was about, where that was asked for.
pub fn applied(report: &Report<'_>) -> String {
    let mut text = String::new();
    let objects = |count: usize| match count {
        0 => "no object".to_owned(),
        1 => "1 object".to_owned(),
        many => format!("{many} objects"),
    };
    for policy in report.applied.iter().flatten() {
        text.push_str(&format!("policy {:?} is about {}\n", policy.policy, objects(policy.objects)));
        for rule in &policy.rules {
            let name = rule.name.as_ref().map_or_else(String::new, |name| format!(" {name}"));
            text.push_str(&format!("  {}{name}: {}", rule.rule, objects(rule.objects)));
            let counts = [
                (rule.denied, "denied"),
                (rule.warned, "with warnings"),
                (rule.audited, "for the audit log"),
            ];
            for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
                text.push_str(&format!(", {count} {what}"));
            }
            text.push('\n');
        }
        for exception in &policy.exceptions {
            text.push_str(&format!("  exception {:?}: {}\n", exception.reason, objects(exception.objects)));
        }
        for object in policy.about.iter().take(MOST_NAMED) {
            text.push_str(&format!("  {} at {}: {}\n", object.object, object.place, object.rules.join(", ")));
        }
        if let more @ 1.. = policy.objects.saturating_sub(MOST_NAMED) {
            text.push_str(&format!("  and {more} more\n"));
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// The last line: how many objects fared how. `fixed` says that the changes were written.
pub fn summary_line(report: &Report<'_>, fixed: bool) -> String {
    let summary = report.summary();
    let objects = if summary.objects == 1 { "object" } else { "objects" };
    let mut line =
        format!("{} {objects}: {} denied, {} with warnings", summary.objects, summary.denied, summary.warned);
    if summary.audited > 0 {
        line.push_str(&format!(", {} for the audit log alone", summary.audited));
    }
    let all = changed(report);
    if all > 0 {
        line.push_str(&match (fixed, report.unwritten) {
            (true, 0) => format!("; {all} changed"),
            (true, unwritten) => {
                format!("; {} changed, {unwritten} could not be", all.saturating_sub(unwritten))
            }
            (false, _) => format!("; {all} would be changed (see --diff)"),
        });
    }
    if let excused @ 1.. = summary.excused_by_comment {
        let s = if excused == 1 { "" } else { "s" };
        line.push_str(&format!("; {excused} finding{s} excused by comments, which no cluster reads"));
    }
    if summary.not_judged > 0 {
        line.push_str(&format!("; {} not judged", summary.not_judged));
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
