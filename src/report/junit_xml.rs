//! The elements of JUnit XML, as CI systems read them, whatever the cases are.

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use std::io;

/// A suite of cases, such as the objects of a file.
pub struct Suite {
    /// What it is called.
    pub name: String,
    /// Whether its name is a file's.
    pub is_file: bool,
    /// Its cases.
    pub cases: Vec<Case>,
}

/// One object that was judged, or one test.
pub struct Case {
    /// What it is called.
    pub name: String,
    /// What is said of it: at most one of each [`Tag`], which is what every reader of the format takes.
    pub told: Vec<Told>,
}

/// Something said of a case.
pub struct Told {
    /// Which element it is.
    pub tag: Tag,
    /// The rule, for a failure or an error.
    pub rule: Option<String>,
    /// The first of it, in short.
    pub message: String,
    /// All of it.
    pub text: String,
}

/// The elements of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// A comment excuses it; its text is left out.
    Skipped,
    /// It could not be judged.
    Error,
    /// It is not as it must be.
    Failure,
    /// Further text.
    Output,
}

type Xml = Writer<Vec<u8>>;

/// The suites as JUnit XML.
pub fn junit_xml(suites: &[Suite]) -> String {
    // Writing to memory does not fail.
    write(suites).unwrap_or_default()
}

fn write(suites: &[Suite]) -> io::Result<String> {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    open(&mut writer, "testsuites", "volgate", suites.iter().flat_map(|suite| &suite.cases))?;
    for suite in suites {
        open(&mut writer, "testsuite", &suite.name, suite.cases.iter())?;
        for case in &suite.cases {
            write_case(&mut writer, suite, case)?;
        }
        writer.write_event(Event::End(BytesEnd::new("testsuite")))?;
    }
    writer.write_event(Event::End(BytesEnd::new("testsuites")))?;
    let mut text = String::from_utf8(writer.into_inner()).unwrap_or_default();
    text.push('\n');
    Ok(text)
}

fn open<'c>(
    writer: &mut Xml,
    tag: &str,
    name: &str,
    cases: impl Iterator<Item = &'c Case> + Clone,
) -> io::Result<()> {
    let with = |tag: Tag| {
        let has = |case: &&Case| case.told.iter().any(|told| told.tag == tag);
        cases.clone().filter(has).count()
    };
    let mut start = BytesStart::new(tag);
    start.push_attribute(("name", xml_text(name).as_str()));
    start.push_attribute(("tests", cases.clone().count().to_string().as_str()));
    start.push_attribute(("failures", with(Tag::Failure).to_string().as_str()));
    start.push_attribute(("errors", with(Tag::Error).to_string().as_str()));
    let skipped = with(Tag::Skipped);
    if skipped > 0 {
        start.push_attribute(("skipped", skipped.to_string().as_str()));
    }
    writer.write_event(Event::Start(start))
}

fn write_case(writer: &mut Xml, suite: &Suite, case: &Case) -> io::Result<()> {
    let class = xml_text(&suite.name);
    let mut start = BytesStart::new("testcase");
    start.push_attribute(("name", xml_text(&case.name).as_str()));
    start.push_attribute(("classname", class.as_str()));
    if suite.is_file {
        start.push_attribute(("file", class.as_str()));
    }
    if case.told.is_empty() {
        return writer.write_event(Event::Empty(start));
    }
    writer.write_event(Event::Start(start))?;
    for told in &case.told {
        let tag = match told.tag {
            Tag::Skipped => "skipped",
            Tag::Error => "error",
            Tag::Failure => "failure",
            Tag::Output => "system-out",
        };
        let mut start = BytesStart::new(tag);
        if let Some(rule) = &told.rule {
            start.push_attribute(("type", rule.as_str()));
        }
        if told.tag != Tag::Output {
            start.push_attribute(("message", xml_text(&told.message).as_str()));
        }
        if told.tag == Tag::Skipped {
            writer.write_event(Event::Empty(start))?;
            continue;
        }
        writer.write_event(Event::Start(start))?;
        writer.write_event(Event::Text(BytesText::new(&xml_text(&told.text))))?;
        writer.write_event(Event::End(BytesEnd::new(tag)))?;
    }
    writer.write_event(Event::End(BytesEnd::new("testcase")))
}

/// The text without the characters that XML 1.0 cannot hold, escaped or not.
fn xml_text(text: &str) -> String {
    let is_char = |char: &char| matches!(char, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    text.chars().map(|char| if is_char(&char) { char } else { '\u{fffd}' }).collect()
}
