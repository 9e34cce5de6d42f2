use super::options::Options;
use super::{github, gitlab, human, json, junit, markdown, sarif};
use crate::check::{Input, Report};
use crate::model::steers;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// The form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people, as a compiler reports
    Human,
    /// For programs; the form is stable
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// JUnit XML, for test reports
    Junit,
    /// GitHub workflow commands, which annotate the lines of a pull request
    Github,
    /// GitLab code quality, for a merge request
    Gitlab,
    /// Markdown, for a comment on a pull request
    Markdown,
}

/// The report in that form, as it is written to a file or to stdout.
pub fn render(format: Format, report: &Report<'_>, inputs: &[Input], options: &Options<'_>) -> String {
    let as_json = |value: Value| spelled(format!("{value:#}\n"), |c| format!("\\u{:04x}", u32::from(c)));
    match format {
        Format::Human => human::page(report, inputs, options),
        Format::Json => as_json(json(report, inputs)),
        Format::Sarif => as_json(sarif::sarif(report, inputs)),
        Format::Junit => {
            spelled(junit::junit(report, inputs, options.fail_on), |c| format!("&#x{:x};", u32::from(c)))
        }
        Format::Github => github::github(report, inputs),
        Format::Gitlab => as_json(gitlab::gitlab(report, inputs)),
        Format::Markdown => markdown::markdown(report, inputs),
    }
}

/// The same text with the characters that would steer a terminal as the form's own escapes. It has them in its strings alone.
fn spelled(text: String, escape: impl Fn(char) -> String) -> String {
    // The others its writer has escaped.
    let steers = |c: char| !c.is_ascii() && steers(c);
    if !text.contains(steers) {
        return text;
    }
    text.chars().fold(String::with_capacity(text.len() + 64), |mut spelled, c| {
        if steers(c) {
            spelled.push_str(&escape(c))
        } else {
            spelled.push(c)
        }
        spelled
    })
}
