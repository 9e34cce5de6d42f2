//! Markdown for a comment on a pull or merge request.

use super::problem::problems;
use super::{not_judged, summary_line};
use crate::check::{Input, Report};
use crate::model::printable;
use crate::verdict::Action;

/// GitHub takes comments of 65,536 characters; other text may stand around this one.
const MOST_BYTES: usize = 60_000;

/// A heading, a table of the findings and errors, and what was not judged. Rows that would make it too long for a comment
/// are counted.
pub(super) fn markdown(report: &Report<'_>, inputs: &[Input]) -> String {
    let problems = problems(report, inputs);
    let mut text = format!("### volgate: {}\n", escaped(&summary_line(report, false)));
    let mut left = problems.len();
    if !problems.is_empty() {
        text.push_str("\n| | where | object | what |\n| --- | --- | --- | --- |\n");
    }
    for problem in &problems {
        let mark = match problem.action {
            None => "cannot judge",
            Some(Action::Deny) => "**denied**",
            Some(Action::Warn) => "warning",
            Some(Action::Audit) => "audit",
        };
        let place =
            problem.place.map(|place| format!("{}:{}", escaped(place.file), place.line)).unwrap_or_default();
        let object = problem.object.map(|object| escaped(&object.to_string())).unwrap_or_default();
        let mut what = escaped(problem.message);
        if problem.action.is_some() {
            what.push_str(&format!(" ({})", problem.rule));
        }
        if let Some(help) = problem.help {
            what.push_str(&format!("<br>Help: {}", escaped(help)));
        }
        if let Some(reason) = problem.excuse() {
            what.push_str(&format!("<br>Excused: {}", escaped(&reason)));
        }
        let row = format!("| {mark} | {place} | {object} | {what} |\n");
        if text.len() + row.len() > MOST_BYTES {
            break;
        }
        text.push_str(&row);
        left -= 1;
    }
    if left > 0 {
        text.push_str(&format!("\n{left} more are not shown here.\n"));
    }
    let not_judged = not_judged(report);
    if !not_judged.is_empty() && text.len() + not_judged.len() < MOST_BYTES {
        let block = printable(not_judged.trim_end()).replace("```", "'''");
        text.push_str(&format!(
            "\n<details><summary>not judged</summary>\n\n```text\n{block}\n```\n</details>\n"
        ));
    }
    text
}

/// Text that is shown as it is: no markup, no mention of a person, no end of a cell.
fn escaped(text: &str) -> String {
    printable(text).chars().fold(String::with_capacity(text.len()), |mut escaped, char| {
        match char {
            '\n' | '\r' => escaped.push(' '),
            '<' | '>' | '&' | '@' | '#' => escaped.push_str(&format!("&#{};", u32::from(char))),
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '~' => {
                escaped.push('\\');
                escaped.push(char);
            }
            char => escaped.push(char),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        let text = escaped("a|b <img> @team *x* `y`\n[z](u)");
        assert_eq!(text, "a\\|b &#60;img&#62; &#64;team \\*x\\* \\`y\\` \\[z\\](u)");
    }
}
