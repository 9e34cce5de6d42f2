use crate::policy::schema;
use crate::rule::RuleInfo;
use crate::rules::all;
use serde_json::{Map, Value};
use std::fmt::Write;

/// What can be set of a rule.
struct Parameter {
    /// Its path in the rule, such as `allow[].path`.
    path: String,
    /// `required`, `default claim`, or empty.
    need: String,
    /// The names it can have, where it is a choice.
    options: Vec<String>,
    /// What it means.
    text: String,
}

/// All rules, one a line.
pub fn rule_list() -> String {
    let schemas = Schemas::new();
    let width = all().iter().map(|rule| rule.id.len()).max().unwrap_or(0);
    all().iter().map(|rule| format!("{:width$}  {}\n", rule.id, schemas.summary(rule))).collect()
}

/// The manual page of a rule, for a terminal.
pub fn rule_manual(rule: &RuleInfo) -> String {
    let schemas = Schemas::new();
    let description = with_headings(schemas.description(rule), str::to_uppercase);
    let mut text = format!("{} (in a policy: `{}`)\n\n{description}\n\nPARAMETERS\n", rule.id, rule.field);
    let parameters = schemas.parameters(rule);
    if parameters.is_empty() {
        text.push_str("  none\n");
    }
    for Parameter { path, need, options, text: meaning } in parameters {
        let need = if need.is_empty() { need } else { format!(" ({need})") };
        // A string takes everything that is written to it.
        let _ = writeln!(text, "  {path}{need}");
        for line in meaning.lines() {
            let _ = writeln!(text, "      {line}");
        }
        if !options.is_empty() {
            let _ = writeln!(text, "      One of {}.", options.join(", "));
        }
    }
    text
}

/// What a rule does in one line, and its manual page.
pub(super) fn rule_page(rule: &RuleInfo) -> (String, String) {
    let schemas = Schemas::new();
    (schemas.summary(rule), schemas.description(rule).to_owned())
}

/// The manual pages of all rules as one Markdown document: `docs/rules.md`.
pub fn rules_markdown() -> String {
    let schemas = Schemas::new();
    let mut text = "# Rules\n\n<!-- Made by `volgate rules --markdown` from the doc comments in src/rules: change those. -->\n\n\
                    Each entry of a policy's `rules` names one of these, with its parameters and, if it has one of its own, its\n\
                    `action`: `Deny`, `Warn` or `Audit`. `volgate rules <rule>` prints the same page in a terminal.\n\n\
                    | rule | in a policy | what it does |\n| --- | --- | --- |\n"
        .to_owned();
    for rule in all() {
        // A string takes everything that is written to it.
        let _ = writeln!(
            text,
            "| [{0}](#{0}) | `{1}` | {2} |",
            rule.id,
            rule.field,
            cell(&schemas.summary(rule))
        );
    }
    for rule in all() {
        let description = with_headings(schemas.description(rule), |heading| format!("### {heading}"));
        let _ = write!(text, "\n## {}\n\nIn a policy: `{}`\n\n{description}\n", rule.id, rule.field);
        let parameters = schemas.parameters(rule);
        if parameters.is_empty() {
            text.push_str("\n### Parameters\nNone.\n");
            continue;
        }
        text.push_str("\n### Parameters\n\n| parameter | | meaning |\n| --- | --- | --- |\n");
        for Parameter { path, need, options, text: mut meaning } in parameters {
            if !options.is_empty() {
                let _ = write!(meaning, " One of {}.", options.join(", "));
            }
            let _ = writeln!(text, "| `{path}` | {} | {} |", cell(&need), cell(meaning.trim()));
        }
    }
    text
}

/// A manual page with its headings, such as `# Example`, in another form.
fn with_headings(page: &str, form: impl Fn(&str) -> String) -> String {
    let mut in_code = false;
    let line = |line: &str| {
        in_code ^= line.starts_with("```");
        match line.strip_prefix("# ") {
            Some(heading) if !in_code => form(heading),
            _ => line.to_owned(),
        }
    };
    page.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Text that stays in its cell of a table.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

/// The schemas of all rules as a policy has them: without references.
struct Schemas(Value);

impl Schemas {
    fn new() -> Self {
        let policy = schema().to_value();
        let rules = policy.pointer("/properties/spec/properties/rules/items/properties");
        Self(rules.cloned().unwrap_or_default())
    }

    fn of(&self, rule: &RuleInfo) -> &Value {
        self.0.get(rule.field).unwrap_or(&Value::Null)
    }

    fn description(&self, rule: &RuleInfo) -> &str {
        description(self.of(rule))
    }

    fn summary(&self, rule: &RuleInfo) -> String {
        self.description(rule).lines().next().unwrap_or_default().to_owned()
    }

    fn parameters(&self, rule: &RuleInfo) -> Vec<Parameter> {
        let mut found = Vec::new();
        collect(self.of(rule), "", &mut found);
        found
    }
}

fn description(schema: &Value) -> &str {
    schema.get("description").and_then(Value::as_str).unwrap_or_default()
}

/// The parameters of an object and of what it holds, from the outside in.
fn collect(schema: &Value, outer: &str, found: &mut Vec<Parameter>) {
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let empty = Map::new();
    for (name, field) in schema.get("properties").and_then(Value::as_object).unwrap_or(&empty) {
        let path = format!("{outer}{name}");
        let need = match field.get("default") {
            Some(default) => {
                format!("default {}", default.as_str().map_or_else(|| default.to_string(), str::to_owned))
            }
            None if required.contains(&name.as_str()) => "required".to_owned(),
            None => String::new(),
        };
        let item = field.get("items");
        let choice = item.unwrap_or(field).get("enum").and_then(Value::as_array);
        let options =
            choice.into_iter().flatten().filter_map(|option| option.as_str().map(str::to_owned)).collect();
        found.push(Parameter { path: path.clone(), need, options, text: description(field).to_owned() });
        if is_selector(field) {
            continue;
        }
        if let Some(item) = item {
            collect(item, &format!("{path}[]."), found);
        } else if let Some(value) = field.get("additionalProperties").filter(|value| value.is_object()) {
            collect(value, &format!("{path}.*."), found);
        } else {
            collect(field, &format!("{path}."), found);
        }
    }
}

/// Whether it is a label selector, which every reader knows from Kubernetes.
fn is_selector(schema: &Value) -> bool {
    schema.pointer("/properties/matchExpressions").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(id: &str) -> String {
        rule_manual(all().iter().find(|rule| rule.id == id).unwrap())
    }

    #[test]
    fn every_rule_has_a_page_with_a_summary_of_one_line() {
        for rule in all() {
            let page = rule_manual(rule);
            let summary = Schemas::new().summary(rule);
            assert!(summary.ends_with('.') && summary.len() < 120, "{}: {summary:?}", rule.id);
            assert!(page.starts_with(rule.id) && page.contains("\nPARAMETERS\n"), "{page}");
        }
        assert_eq!(rule_list().lines().count(), all().len());
    }

    #[test]
    fn parameters_within_parameters_are_told() {
        let page = page("durable-data");
        assert!(page.contains("  require (default claim)\n"), "{page}");
        assert!(page.contains("  data[].paths (required)\n"), "{page}");
        assert!(page.contains("  data[].objectSelector\n") && !page.contains("matchLabels"), "{page}");
        assert!(page.contains("One of Deny, Warn, Audit, Ignore."), "{page}");
    }

    #[test]
    fn a_table_stays_a_table() {
        let text = rules_markdown();
        for line in text.lines().filter(|line| line.starts_with("| ")) {
            assert_eq!(line.replace("\\|", "").matches('|').count(), 4, "{line}");
        }
    }
}
