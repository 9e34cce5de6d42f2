//! GitHub workflow commands:
//! <https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions>.

use super::problem::{Place, problems};
use super::summary_line;
use crate::check::{Input, Report};
use crate::model::printable;
use crate::verdict::Action;

/// A command for each finding, error and notice, and the summary as a plain line of the log.
pub(super) fn github(report: &Report<'_>, inputs: &[Input]) -> String {
    let mut text = String::new();
    for problem in problems(report, inputs) {
        let command = match problem.action {
            Some(Action::Deny) | None => "error",
            Some(Action::Warn) => "warning",
            Some(Action::Audit) => "notice",
        };
        let object = problem.object.map(|object| format!("{object}: ")).unwrap_or_default();
        let help = problem.help.map(|help| format!("\nhelp: {help}")).unwrap_or_default();
        let excused = problem.excuse().map(|reason| format!("\nexcused: {reason}")).unwrap_or_default();
        let message = format!("{object}{}{help}{excused}", problem.message);
        text.push_str(&command_line(command, problem.rule, problem.place.as_ref(), &message));
    }
    for notice in &report.notices {
        let place = notice.spot.as_ref().and_then(|spot| Place::of(spot, inputs));
        text.push_str(&command_line("notice", "notice", place.as_ref(), &notice.message));
    }
    text.push_str(&summary_line(report, false));
    text.push('\n');
    text
}

fn command_line(command: &str, title: &str, place: Option<&Place<'_>>, message: &str) -> String {
    let mut properties = Vec::new();
    if let Some(place) = place {
        properties.push(format!("file={}", property(place.file.strip_prefix("./").unwrap_or(place.file))));
        properties.push(format!("line={}", place.line));
        properties.push(format!("endLine={}", place.end_line));
        // GitHub takes columns only of a place within one line.
        if place.line == place.end_line {
            properties.push(format!("col={}", place.column));
            properties.push(format!("endColumn={}", place.end_column));
        }
    }
    properties.push(format!("title={}", property(&format!("volgate {title}"))));
    format!("::{command} {}::{}\n", properties.join(","), data(message))
}

fn data(text: &str) -> String {
    printable(text).replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_ends_the_command() {
        let place = Place { file: "./a,b:c.yaml", line: 3, column: 5, end_line: 3, end_column: 9 };
        assert_eq!(data("a\u{1b}[31m"), "a\\u{1b}[31m");
        assert_eq!(
            command_line("error", "host-path", Some(&place), "100%\nb\n::stop-commands::x"),
            "::error file=a%2Cb%3Ac.yaml,line=3,endLine=3,col=5,endColumn=9,title=volgate host-path::100%25%0Ab\\n::stop-commands::x\n"
        );
    }
}
