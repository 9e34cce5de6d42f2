//! Which value of a chart makes its data durable. Nothing is guessed: a value counts when the chart, rendered with it, has no
//! such denial any more.

use super::bytes::file_bytes;
use super::given::Given;
use super::input::Rendering;
use super::render::Source;
use crate::check::{Input, Report, effective};
use crate::model::{FieldPath, ObjectRef};
use crate::source::{Source as Text, parse};
use crate::verdict::Action;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// How many values of one chart are tried: each is a rendering.
const MOST_TRIED: usize = 24;

/// The rule whose denials a value can end.
const RULE: &str = "durable-data";

/// A value that is off and may be the one.
#[derive(Debug, PartialEq)]
struct Candidate {
    /// As `--set` takes it.
    key: String,
    file: PathBuf,
    line: usize,
}

/// Adds to the help of each denial in a chart which value ends it, if one does.
pub(super) fn advise(given: &Given, rendering: Rendering<'_>, report: &mut Report<'_>) {
    for chart in &given.found.charts {
        let prefix = chart.display().to_string();
        let is_of_chart = |input: usize| {
            let origin = given.found.inputs.get(input).and_then(|input| input.rendered.as_deref());
            origin.is_some_and(|origin| Path::new(origin).starts_with(&prefix))
        };
        let denied: Vec<usize> = (0..report.findings.len())
            .filter(|index| {
                report.findings.get(*index).is_some_and(|located| {
                    located.finding.rule == RULE
                        && effective(&located.finding) == Action::Deny
                        && is_of_chart(located.spot.input)
                })
            })
            .collect();
        if denied.is_empty() {
            continue;
        }
        let mut open = denied;
        for candidate in candidates(chart) {
            if open.is_empty() {
                break;
            }
            let source = Source::Chart(chart.clone());
            let set = [format!("{}=true", candidate.key)];
            // A value that the chart refuses is not the one.
            let Ok(files) = source.render(rendering.namespace, rendering.options, &set) else { continue };
            let inputs: Vec<Input> =
                files.iter().map(|file| Input::from_rendered(&file.origin, &file.text)).collect();
            let after = given.run(rendering.namespace).check(&inputs);
            open.retain(|index| {
                let Some(located) = report.findings.get_mut(*index) else { return false };
                let ended = is_there(&after, &located.object) && !is_denied(&after, &located.object);
                if ended {
                    let advice = format!(
                        "in this chart, set {}=true ({}:{})",
                        candidate.key,
                        candidate.file.display(),
                        candidate.line
                    );
                    let finding = &mut located.finding;
                    finding.help = Some(match finding.help.take() {
                        Some(help) => format!("{advice}; {help}"),
                        None => advice,
                    });
                }
                !ended
            });
        }
    }
}

fn is_there(report: &Report<'_>, object: &ObjectRef) -> bool {
    let text = |value: &Value, pointer: &str| {
        value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    report.manifests.iter().any(|manifest| {
        text(&manifest.value, "/kind") == object.kind
            && text(&manifest.value, "/metadata/name") == object.name
    })
}

fn is_denied(report: &Report<'_>, object: &ObjectRef) -> bool {
    report.findings.iter().any(|located| {
        located.finding.rule == RULE
            && effective(&located.finding) == Action::Deny
            && located.object == *object
    })
}

/// The values of a chart and of the charts within it that are false and whose key speaks of storage.
fn candidates(chart: &Path) -> Vec<Candidate> {
    let mut found = Vec::new();
    add(&chart.join("values.yaml"), None, &mut found);
    let subcharts = std::fs::read_dir(chart.join("charts")).into_iter().flatten().flatten();
    let mut subcharts: Vec<PathBuf> =
        subcharts.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    subcharts.sort();
    for subchart in subcharts {
        let name = subchart.file_name().map(|name| name.to_string_lossy().into_owned());
        add(&subchart.join("values.yaml"), name, &mut found);
    }
    found.truncate(MOST_TRIED);
    found
}

fn add(file: &Path, subchart: Option<String>, found: &mut Vec<Candidate>) {
    // A chart without values has none to try.
    let Ok(bytes) = file_bytes(file) else { return };
    let text = String::from_utf8_lossy(&bytes);
    let source = Text::new(file.display().to_string(), &*text);
    let documents = parse(&text);
    let Some(Ok(document)) = documents.first() else { return };
    let known = found.len();
    let mut keys = Vec::new();
    collect(&document.value, &mut Vec::new(), &mut keys);
    for keys in keys {
        let field = keys.iter().fold(FieldPath::root(), |path, key| path.key((*key).to_owned()));
        let key: Vec<String> = subchart.iter().map(String::as_str).chain(keys).map(escaped).collect();
        found.push(Candidate {
            key: key.join("."),
            file: file.to_owned(),
            line: source.position(document.span(&field).point().start).line,
        });
    }
    // Those of this file; the tree has lost their order.
    if let Some(new) = found.get_mut(known..) {
        new.sort_by_key(|candidate| candidate.line);
    }
}

/// The paths of all values that are false and speak of storage.
fn collect<'v>(value: &'v Value, outer: &mut Vec<&'v str>, found: &mut Vec<Vec<&'v str>>) {
    let Value::Object(fields) = value else { return };
    for (key, value) in fields {
        outer.push(key);
        match value {
            Value::Bool(false) if outer.iter().any(|key| speaks_of_storage(key)) => found.push(outer.clone()),
            value => collect(value, outer, found),
        }
        outer.pop();
    }
}

fn speaks_of_storage(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["persist", "storage", "volumeclaim", "pvc", "durable"].iter().any(|word| key.contains(word))
}

/// A key as `--set` reads it.
fn escaped(key: &str) -> String {
    key.chars().fold(String::new(), |mut escaped, char| {
        if matches!(char, '.' | ',' | '=' | '[' | ']' | '{' | '}' | '\\') {
            escaped.push('\\');
        }
        escaped.push(char);
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_off_and_speak_of_storage_are_tried() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(
            "values.yaml",
            "metrics: {enabled: false}\nmaster:\n  persistence:\n    enabled: false\n    size: 8Gi\nuse.pvc: false\n",
        );
        write("charts/db/values.yaml", "persistentVolume: {enabled: false, other: true}\n");
        let found = candidates(folder.path());
        let keys: Vec<(&str, usize)> = found.iter().map(|found| (&*found.key, found.line)).collect();
        assert_eq!(
            keys,
            [("master.persistence.enabled", 4), ("use\\.pvc", 6), ("db.persistentVolume.enabled", 1)]
        );
        assert_eq!(candidates(Path::new("/nowhere")), []);
    }
}
