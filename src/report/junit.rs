//! JUnit XML, as CI systems read it: a suite for each file, a case for each object that was judged.

use super::problem::{Problem, problems};
use crate::check::{Input, Report};
use crate::model::FieldPath;
use crate::verdict::Action;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use std::collections::BTreeMap;
use std::io;

/// An object that was judged, or something that could not be.
#[derive(Default)]
struct Case<'r> {
    name: String,
    problems: Vec<&'r Problem<'r>>,
}

/// The report as JUnit XML. A finding that fails the run is a failure, a weaker one is text of the case, and what could
/// not be judged is an error. An object that a comment excuses, and that has nothing worse, is skipped.
pub(super) fn junit(report: &Report<'_>, inputs: &[Input], fail_on: Action) -> String {
    let problems = problems(report, inputs);
    let mut suites: BTreeMap<&str, Vec<Case<'_>>> = BTreeMap::new();
    let mut by_manifest: BTreeMap<usize, Vec<&Problem<'_>>> = BTreeMap::new();
    for problem in &problems {
        match problem.manifest {
            Some(manifest) => by_manifest.entry(manifest).or_default().push(problem),
            None => {
                let file = problem.place.map_or("volgate", |place| place.file);
                let line = problem.place.map(|place| format!("line {}: ", place.line)).unwrap_or_default();
                let name = format!("{line}{}", problem.message);
                suites.entry(file).or_default().push(Case { name, problems: vec![problem] });
            }
        }
    }
    for (index, manifest) in report.manifests.iter().enumerate() {
        let Some(input) = inputs.get(manifest.input) else { continue };
        let problems = by_manifest.remove(&index).unwrap_or_default();
        let line = input.source.position(manifest.spot(&FieldPath::root()).start).line;
        // The object as its findings name it; one without findings by what it says of itself.
        let object = problems.iter().find_map(|problem| problem.object).map(ToString::to_string);
        let name = format!("{} (line {line})", object.unwrap_or_else(|| manifest.name()));
        suites.entry(&input.source.name).or_default().push(Case { name, problems });
    }
    write(&suites, fail_on).unwrap_or_default()
}

/// Counts of a suite, or of all.
#[derive(Default, Clone, Copy)]
struct Counts {
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
}

impl std::ops::Add for Counts {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            tests: self.tests + other.tests,
            failures: self.failures + other.failures,
            errors: self.errors + other.errors,
            skipped: self.skipped + other.skipped,
        }
    }
}

/// Whether comments alone keep an object from failing.
fn is_skipped(case: &Case<'_>, fail_on: Action) -> bool {
    case.problems.iter().any(|problem| problem.comment.is_some())
        && !case.problems.iter().any(|problem| problem.action.is_none() || fails(problem, fail_on))
}

fn fails(problem: &Problem<'_>, fail_on: Action) -> bool {
    problem.excused.is_none() && problem.action.is_some_and(|action| action >= fail_on)
}

fn count(cases: &[Case<'_>], fail_on: Action) -> Counts {
    let of = |test: &dyn Fn(&Problem<'_>) -> bool| {
        cases.iter().filter(|case| case.problems.iter().any(|problem| test(problem))).count()
    };
    Counts {
        tests: cases.len(),
        failures: of(&|problem| fails(problem, fail_on)),
        errors: of(&|problem| problem.action.is_none()),
        skipped: cases.iter().filter(|case| is_skipped(case, fail_on)).count(),
    }
}

/// Writing to memory does not fail.
fn write(suites: &BTreeMap<&str, Vec<Case<'_>>>, fail_on: Action) -> io::Result<String> {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let counts = suites.values().map(|cases| count(cases, fail_on));
    let total = counts.fold(Counts::default(), std::ops::Add::add);
    open(&mut writer, "testsuites", "volgate", total)?;
    for (file, cases) in suites {
        open(&mut writer, "testsuite", file, count(cases, fail_on))?;
        for case in cases {
            write_case(&mut writer, file, case, fail_on)?;
        }
        writer.write_event(Event::End(BytesEnd::new("testsuite")))?;
    }
    writer.write_event(Event::End(BytesEnd::new("testsuites")))?;
    let mut text = String::from_utf8(writer.into_inner()).unwrap_or_default();
    text.push('\n');
    Ok(text)
}

type Xml = Writer<Vec<u8>>;

fn open(writer: &mut Xml, tag: &str, name: &str, counts: Counts) -> io::Result<()> {
    let mut start = BytesStart::new(tag);
    start.push_attribute(("name", xml_text(name).as_str()));
    start.push_attribute(("tests", counts.tests.to_string().as_str()));
    start.push_attribute(("failures", counts.failures.to_string().as_str()));
    start.push_attribute(("errors", counts.errors.to_string().as_str()));
    if counts.skipped > 0 {
        start.push_attribute(("skipped", counts.skipped.to_string().as_str()));
    }
    writer.write_event(Event::Start(start))
}

fn write_case(writer: &mut Xml, file: &str, case: &Case<'_>, fail_on: Action) -> io::Result<()> {
    let mut start = BytesStart::new("testcase");
    start.push_attribute(("name", xml_text(&case.name).as_str()));
    start.push_attribute(("classname", xml_text(file).as_str()));
    start.push_attribute(("file", xml_text(file).as_str()));
    if case.problems.is_empty() {
        return writer.write_event(Event::Empty(start));
    }
    writer.write_event(Event::Start(start))?;
    let texts = |test: &dyn Fn(&Problem<'_>) -> bool| {
        case.problems.iter().copied().filter(|problem| test(problem)).collect::<Vec<_>>()
    };
    let failures = texts(&|problem| fails(problem, fail_on));
    let errors = texts(&|problem| problem.action.is_none());
    let others = texts(&|problem| problem.action.is_some() && !fails(problem, fail_on));
    let skipped = match is_skipped(case, fail_on) {
        true => texts(&|problem| problem.comment.is_some()),
        false => Vec::new(),
    };
    let elements = [("skipped", skipped), ("error", errors), ("failure", failures), ("system-out", others)];
    for (tag, problems) in elements {
        // One element of each, which is what every reader of the format takes.
        let Some(first) = problems.first() else { continue };
        let mut start = BytesStart::new(tag);
        if tag == "skipped" {
            let excuses: Vec<String> = problems.iter().filter_map(|problem| problem.excuse()).collect();
            start.push_attribute(("message", xml_text(&excuses.join("; ")).as_str()));
            writer.write_event(Event::Empty(start))?;
            continue;
        }
        if tag != "system-out" {
            start.push_attribute(("type", first.rule));
            start.push_attribute(("message", xml_text(first.message).as_str()));
        }
        writer.write_event(Event::Start(start))?;
        let text: String = problems.iter().map(|problem| described(problem)).collect();
        writer.write_event(Event::Text(BytesText::new(&xml_text(&text))))?;
        writer.write_event(Event::End(BytesEnd::new(tag)))?;
    }
    writer.write_event(Event::End(BytesEnd::new("testcase")))
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

/// The text without the characters that XML 1.0 cannot hold, escaped or not.
pub fn xml_text(text: &str) -> String {
    let is_char = |char: &char| matches!(char, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    text.chars().map(|char| if is_char(&char) { char } else { '\u{fffd}' }).collect()
}
