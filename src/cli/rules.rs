use crate::policy::nearest;
use crate::rules::{RuleInfo, all};
use anyhow::{Result, bail};
use serde_json::Value;
use std::process::ExitCode;

/// List the rules, or print the manual page of one
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The rule's id, such as durable-data
    id: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let text = match &args.id {
        None => {
            let width = all().iter().map(|rule| rule.id.len()).max().unwrap_or(0);
            all().iter().map(|rule| format!("{:width$}  {}\n", rule.id, summary(rule))).collect()
        }
        Some(id) => match all().iter().find(|rule| rule.id == id || rule.field == id) {
            Some(rule) => manual(rule),
            None => {
                let ids: Vec<&str> = all().iter().map(|rule| rule.id).collect();
                let hint =
                    nearest(id, &ids).map_or_else(|| ids.join(", "), |near| format!("did you mean {near}?"));
                bail!("there is no rule {id:?}: {hint}");
            }
        },
    };
    super::say(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn description(schema: &Value) -> &str {
    schema.get("description").and_then(Value::as_str).unwrap_or_default()
}

fn summary(rule: &RuleInfo) -> String {
    let schema = (rule.schema)().to_value();
    description(&schema).lines().next().unwrap_or_default().to_owned()
}

fn manual(rule: &RuleInfo) -> String {
    let schema = (rule.schema)().to_value();
    let mut text =
        format!("{} (in a policy: `{}`)\n\n{}\n\nPARAMETERS\n", rule.id, rule.field, description(&schema));
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let fields = schema.get("properties").and_then(Value::as_object);
    if fields.is_none_or(serde_json::Map::is_empty) {
        text.push_str("  none\n");
    }
    for (name, field) in fields.into_iter().flatten() {
        let default = match field.get("default") {
            Some(default) => format!(" (default {default})"),
            None if required.contains(&name.as_str()) => " (required)".to_owned(),
            None => String::new(),
        };
        text.push_str(&format!("  {name}{default}\n"));
        for line in description(field).lines() {
            text.push_str(&format!("      {line}\n"));
        }
    }
    text
}
