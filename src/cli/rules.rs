use crate::model::did_you_mean;
use crate::report::{rule_list, rule_manual, rules_markdown};
use crate::rules::all;
use anyhow::{Result, bail};
use std::process::ExitCode;

/// List the rules, or print the manual page of one
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The rule's id, such as durable-data
    id: Option<String>,
    /// Print the manual pages of all rules as one Markdown document
    #[arg(long, conflicts_with = "id")]
    markdown: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let text = match &args.id {
        None if args.markdown => rules_markdown(),
        None => rule_list(),
        Some(id) => match all().iter().find(|rule| rule.id == id || rule.field == id) {
            Some(rule) => rule_manual(rule),
            None => {
                let ids: Vec<&str> = all().iter().map(|rule| rule.id).collect();
                let hint = did_you_mean(id, &ids).unwrap_or_else(|| ids.join(", "));
                bail!("there is no rule {id:?}: {hint}");
            }
        },
    };
    super::say(&text)?;
    Ok(ExitCode::SUCCESS)
}
