//! The expectations of `tests/yaml` against the library that kubectl reads YAML with, as it is built today.

use crate::support;
use serde_json::{Value, json};
use std::path::Path;

#[test]
fn the_expectations_are_what_the_library_reads() {
    if support::cluster_tests_skipped() {
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/yaml");
    let mut compared = 0;
    let mut faults = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        // kubectl reads such a text as JSON first, which yaml2json does not.
        if text.trim_start().starts_with('{') {
            continue;
        }
        let expected = std::fs::read_to_string(path.with_extension("json")).unwrap();
        let expected: Value = serde_json::from_str(&expected).unwrap();
        let mut found = Vec::new();
        for line in support::assets::yaml2json(&[], &text).unwrap() {
            let line: Value = serde_json::from_str(&line).unwrap();
            match line.get("error") {
                Some(_) => {
                    found.push(json!({"error": ""}));
                    break;
                }
                None if line["json"].is_null() => {}
                None => found.push(json!({"ok": line["json"]})),
            }
        }
        let mut wanted = expected.as_array().unwrap().clone();
        for document in &mut wanted {
            if document.get("error").is_some() {
                *document = json!({"error": ""});
            }
        }
        compared += 1;
        if found != wanted {
            faults.push(format!("{}\n  read     {found:?}\n  recorded {wanted:?}\n", path.display()));
        }
    }
    assert!(compared > 100, "only {compared} texts were compared");
    assert!(faults.is_empty(), "{} of {compared}\n{}", faults.len(), faults.join("\n"));
}
