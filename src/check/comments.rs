//! Comments that excuse findings: `# volgate: ignore[durable-data] a cache, filled again from Postgres`, at the end of the
//! finding's line or on a line of its own above. CI heeds them, and a cluster does not see them.

use super::{ByComment, Input, Located, Notice, Report, Spot};
use crate::model::{did_you_mean, shortened};
use crate::policy::PolicySet;
use crate::rules;
use crate::source::Source;
use crate::verdict::{Action, Finding};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

/// What such a comment begins with, behind its `#` and spaces.
const MARK: &str = "volgate:";
/// How many comments are told to excuse nothing.
const MOST_TOLD: usize = 100;
/// How much of a reason counts, in bytes.
const LONGEST: usize = 400;

/// A comment that is meant for volgate.
#[derive(Debug, PartialEq)]
struct Comment {
    /// From its `#` to the end of its line.
    span: Range<usize>,
    /// The line that it is about, from 1; none where nothing stands below it.
    line: Option<usize>,
    read: Result<Ignore, String>,
}

/// What it says.
#[derive(Debug, PartialEq)]
struct Ignore {
    rules: Vec<String>,
    reason: String,
}

/// The comments of one input.
struct Commented {
    comments: Vec<Comment>,
    /// Those that are about a line, by their places.
    by_line: HashMap<usize, Vec<usize>>,
    /// Which rule of which comment has met a finding.
    used: HashSet<(usize, usize)>,
}

impl Commented {
    fn of(input: &Input) -> Option<Self> {
        if !input.source.text.contains(MARK) {
            return None;
        }
        let comments = comments(input);
        let mut by_line: HashMap<usize, Vec<usize>> = HashMap::new();
        for (at, comment) in comments.iter().enumerate() {
            if let (Some(line), Ok(_)) = (comment.line, &comment.read) {
                by_line.entry(line).or_default().push(at);
            }
        }
        (!comments.is_empty()).then(|| Self { comments, by_line, used: HashSet::new() })
    }

    fn excuse(&mut self, located: &mut Located, line: usize, policies: &PolicySet) {
        for at in self.by_line.get(&line).into_iter().flatten() {
            let Some(Comment { span, read: Ok(ignore), .. }) = self.comments.get(*at) else { continue };
            let finding = &located.finding;
            let is_meant = |rule: &String| rule == finding.rule || finding.name.as_ref() == Some(rule);
            let Some(rule) = ignore.rules.iter().position(is_meant) else { continue };
            self.used.insert((*at, rule));
            let spot = Spot { input: located.spot.input, start: span.start, end: span.end };
            excuse(located, &ignore.reason, spot, policies);
        }
    }

    /// A notice for each that excuses nothing.
    fn notices(&self, index: usize, policies: &PolicySet) -> Vec<Notice> {
        let mut notices = Vec::new();
        for (at, comment) in self.comments.iter().enumerate() {
            let spot = Spot { input: index, start: comment.span.start, end: comment.span.end };
            let unused = |rule: usize| !self.used.contains(&(at, rule));
            let told = faults(comment, unused, policies);
            notices.extend(told.into_iter().map(|message| Notice { spot: Some(spot.clone()), message }));
        }
        notices
    }
}

/// Excuses the findings that comments of the inputs are about. Those that excuse nothing are a notice each.
pub fn excuse_by_comments(report: &mut Report<'_>, inputs: &[Input], policies: &PolicySet) {
    let with_index = inputs.iter().enumerate();
    let mut commented: BTreeMap<usize, Commented> =
        with_index.filter_map(|(index, input)| Some((index, Commented::of(input)?))).collect();
    if commented.is_empty() {
        return;
    }
    for located in &mut report.findings {
        let Some(input) = inputs.get(located.spot.input) else { continue };
        if let Some(commented) = commented.get_mut(&located.spot.input) {
            let line = input.source.position(located.spot.start).line;
            commented.excuse(located, line, policies);
        }
    }
    let notices =
        commented.iter().flat_map(|(index, commented)| commented.notices(*index, policies)).collect();
    add_notices(report, notices);
}

/// The same for the findings of one input alone, by its index. The notices come back; none where no comment is meant for volgate.
pub(super) fn excuse_in<'l>(
    input: &Input,
    index: usize,
    findings: impl Iterator<Item = &'l mut Located>,
    policies: &PolicySet,
) -> Option<Vec<Notice>> {
    let mut commented = Commented::of(input)?;
    for located in findings {
        let line = input.source.position(located.spot.start).line;
        commented.excuse(located, line, policies);
    }
    Some(commented.notices(index, policies))
}

/// Adds the notices of comments, which stand in the order of their places.
pub(super) fn add_notices(report: &mut Report<'_>, mut notices: Vec<Notice>) {
    if let more @ 1.. = notices.len().saturating_sub(MOST_TOLD) {
        notices.truncate(MOST_TOLD);
        notices.push(Notice { spot: None, message: format!("{more} more comments excuse nothing") });
    }
    report.notices.extend(notices);
    report.notices.sort_by(|a, b| a.spot.cmp(&b.spot));
    report.sort_findings();
}

fn excuse(located: &mut Located, reason: &str, spot: Spot, policies: &PolicySet) {
    // What a policy excuses needs no comment.
    if located.finding.excused.is_some() {
        return;
    }
    let note = note(&located.finding, policies);
    located.finding.excused = Some(reason.to_owned());
    located.comment = Some(ByComment { spot, note });
}

/// That a cluster goes by the policy alone, and the way that holds there as well.
fn note(finding: &Finding, policies: &PolicySet) -> String {
    let does = match finding.action {
        Action::Deny => "would refuse it all the same",
        Action::Warn => "would warn of it all the same",
        Action::Audit => "would record it all the same",
    };
    let policy = policies.policies().iter().find(|policy| policy.name == finding.policy);
    let annotation = policy.and_then(|policy| policy.self_service_for(finding.rule));
    let name = &finding.policy;
    let way = match annotation {
        Some(annotation) => {
            format!("the annotation {annotation} on the object, with the reason, holds there too")
        }
        None => format!("an exception in policy {name:?} holds there too"),
    };
    format!("a cluster reads no comments and {does}: {way}")
}

/// What is wrong with a comment: `unused` says for each of its rules, by their place, whether they have met no finding.
fn faults(comment: &Comment, unused: impl Fn(usize) -> bool, policies: &PolicySet) -> Vec<String> {
    let ignore = match &comment.read {
        Ok(ignore) => ignore,
        Err(why) => return vec![format!("this comment excuses nothing: {why}")],
    };
    let asked = policies.policies().iter().flat_map(|policy| &policy.rules);
    let names: HashSet<&str> = asked.filter_map(|rule| rule.rule.name()).collect();
    let ids: Vec<&str> = rules::all().iter().map(|rule| rule.id).collect();
    let of = |(at, rule): (usize, &String)| {
        if !unused(at) {
            return None;
        }
        let shown = shortened(rule, 100);
        if !ids.contains(&rule.as_str()) && !names.contains(rule.as_str()) {
            let hint = did_you_mean(rule, &ids).unwrap_or_else(|| "`volgate rules` lists them".to_owned());
            return Some(format!("this comment excuses nothing: there is no rule {shown:?}; {hint}"));
        }
        Some(match comment.line {
            Some(line) => format!("this comment excuses nothing: {shown} finds nothing in line {line}"),
            None => "this comment excuses nothing: it stands above nothing".to_owned(),
        })
    };
    ignore.rules.iter().enumerate().filter_map(of).collect()
}

/// The comments of a text that are meant for volgate, in their order.
fn comments(input: &Input) -> Vec<Comment> {
    let source = &input.source;
    let mut quoted: Vec<Range<usize>> =
        input.documents().flat_map(|document| document.spans.texts()).collect();
    quoted.sort_by_key(|span| span.start);
    // What could not be read has nothing to excuse.
    let documents: Vec<&Range<usize>> = input.documents().map(|document| &document.span).collect();
    let is_read = |at: usize| {
        let after = documents.partition_point(|document| document.start <= at);
        after
            .checked_sub(1)
            .and_then(|index| documents.get(index))
            .is_some_and(|document| document.contains(&at))
    };
    let mut found: Vec<Comment> = Vec::new();
    // Those on lines of their own that wait for the line below them.
    let mut waiting = 0;
    let mut start = 0;
    let first = source.first_line();
    for (index, line) in source.text.split_inclusive('\n').enumerate() {
        let (from, number) = (start, first + index);
        start += line.len();
        let line = line.trim_end();
        let bare = line.trim_start();
        let is_own_line = bare.starts_with('#');
        if let Some(at) = mark(line).map(|at| from + at)
            && is_read(at)
            && !is_quoted(source, &quoted, at)
        {
            let end = from + line.len();
            let text = source.text.get(at..end).unwrap_or_default();
            let line = (!is_own_line).then_some(number);
            found.push(Comment { span: at..end, line, read: read(text) });
            if is_own_line {
                waiting += 1;
                continue;
            }
        }
        if is_own_line {
            continue;
        }
        // A blank line parts a comment from what is below it.
        if !bare.is_empty() && waiting > 0 {
            let above = found.iter_mut().rev().filter(|comment| comment.line.is_none()).take(waiting);
            above.for_each(|comment| comment.line = Some(number));
        }
        waiting = 0;
    }
    found
}

/// Where the comment for volgate begins in a line, if there is one.
fn mark(line: &str) -> Option<usize> {
    let at = line.find(MARK)?;
    let before = line.get(..at)?.trim_end();
    let hash = before.strip_suffix('#')?.len();
    let is_comment = line.get(..hash)?.chars().next_back().is_none_or(char::is_whitespace);
    is_comment.then_some(hash)
}

/// Whether a place is inside of a text, as a script in a ConfigMap, where `#` begins no comment.
fn is_quoted(source: &Source, quoted: &[Range<usize>], at: usize) -> bool {
    let after = quoted.partition_point(|span| span.start <= at);
    let Some(span) = after.checked_sub(1).and_then(|index| quoted.get(index)) else { return false };
    let text = source.text.get(span.clone()).unwrap_or_default();
    if !span.contains(&at) {
        return false;
    }
    // The reader lets a block scalar reach to the next key; its text is what is indented as its first line.
    if !text.starts_with(['|', '>']) {
        return true;
    }
    let indent = |line: &str| line.len() - line.trim_start().len();
    let first = text.lines().skip(1).find(|line| !line.trim().is_empty());
    let own = source.text.get(source.line_of(at)).unwrap_or_default();
    first.is_some_and(|first| indent(own) >= indent(first))
}

/// Reads a comment from its `#` on.
fn read(text: &str) -> Result<Ignore, String> {
    const FORM: &str = "write `# volgate: ignore[RULE] why`";
    let text = text.trim_start_matches('#').trim_start();
    let rest = text.strip_prefix(MARK).unwrap_or(text).trim_start();
    let Some(rest) = rest.strip_prefix("ignore") else { return Err(FORM.to_owned()) };
    let Some((rules, reason)) = rest.trim_start().strip_prefix('[').and_then(|rest| rest.split_once(']'))
    else {
        return Err(format!("it names no rule; {FORM}"));
    };
    let rules: Vec<String> =
        rules.split(',').map(str::trim).filter(|rule| !rule.is_empty()).map(str::to_owned).collect();
    if rules.is_empty() {
        return Err(format!("it names no rule; {FORM}"));
    }
    let reason = reason.trim_start_matches([':', '-', ' ']).trim();
    if reason.is_empty() {
        return Err("it gives no reason; write why behind the bracket".to_owned());
    }
    Ok(Ignore { rules, reason: shortened(reason, LONGEST).into_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<(Option<usize>, Option<String>)> {
        let input = Input::new(Source::new("a.yaml", text), true);
        let read = |comment: Comment| (comment.line, comment.read.ok().map(|ignore| ignore.rules.join("+")));
        comments(&input).into_iter().map(read).collect()
    }

    fn rules(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn a_comment_is_about_its_line_or_the_one_below() {
        let text = "a: 1 # volgate: ignore[host-path] why\n\
                    # volgate: ignore[durable-data, empty-dir] why\n\
                    # another comment\n\
                    #volgate:ignore[cel] why\n\
                    b:\n  c: 2\n\
                    # volgate: ignore[cel] above nothing\n\n\
                    d: 3\n";
        assert_eq!(
            lines(text),
            [
                (Some(1), rules("host-path")),
                (Some(5), rules("durable-data+empty-dir")),
                (Some(5), rules("cel")),
                (None, rules("cel"))
            ]
        );
        assert_eq!(lines(&text.replace('\n', "\r\n")), lines(text));
    }

    #[test]
    fn what_is_no_comment_excuses_nothing() {
        let script =
            "a: |\n  # volgate: ignore[cel] in a script\n  x\n# volgate: ignore[cel] below it\nb: 1\n";
        assert_eq!(lines(script), [(Some(5), rules("cel"))]);
        let last = "a:\n  b: >-\n    x\n    # volgate: ignore[cel] in a text\n  # volgate: ignore[cel] below it\n  c: 1\n";
        assert_eq!(lines(last), [(Some(6), rules("cel"))]);
        assert_eq!(lines("a: \"# volgate: ignore[cel] why\"\n"), []);
        assert_eq!(lines("a: 'x\n  # volgate: ignore[cel] why\n  y'\n"), []);
        assert_eq!(lines("a: x# volgate: ignore[cel] why\n"), []);
        assert_eq!(lines("{\"a\": \"# volgate: ignore[cel] why\"}\n"), []);
        assert_eq!(lines("a: [1, # volgate: ignore[cel] why\n 2]\n"), [(Some(1), rules("cel"))]);
    }

    #[test]
    fn a_comment_names_rules_and_a_reason() {
        for (text, why) in [
            ("# volgate: ignore why", "names no rule"),
            ("# volgate: ignore[] why", "names no rule"),
            ("# volgate: ignore[durable-data]", "no reason"),
            ("# volgate: ignore[durable-data", "names no rule"),
            ("# volgate: durable-data", "write `# volgate: ignore[RULE] why`"),
        ] {
            let found = read(text).unwrap_err();
            assert!(found.contains(why), "{text}: {found}");
        }
        let read = read("#  volgate:  ignore[ durable-data ,cel]: a cache").unwrap();
        assert_eq!((read.rules.join("+"), &*read.reason), ("durable-data+cel".to_owned(), "a cache"));
    }
}
