//! Every text in `tests/yaml` is read as kubectl reads it; see the README there.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The texts in a folder, each with what is expected of it.
fn cases(folder: &str, expectation: &str) -> Vec<(PathBuf, String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut cases: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let expected = std::fs::read_to_string(path.with_extension(expectation)).unwrap();
            (path, text, serde_json::from_str(&expected).unwrap())
        })
        .collect();
    cases.sort_by(|a, b| a.0.cmp(&b.0));
    cases
}

/// What volgate reads, in the form of the expectations; kubectl stops at the first fault.
fn read(text: &str) -> Value {
    let mut found = Vec::new();
    for document in volgate::source::parse(text) {
        match document {
            Ok(document) => found.push(serde_json::json!({ "ok": document.value })),
            Err(error) => {
                assert!(error.offset <= text.len());
                found.push(serde_json::json!({ "error": error.to_string() }));
                break;
            }
        }
    }
    Value::Array(found)
}

/// Compares without the texts of faults. Go's JSON has one sort of number: 1.0 is 1.
fn same(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().zip(b).all(|((k, a), (l, b))| k == l && (k == "error" || same(a, b)))
        }
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (a, b) => a == b,
    }
}

/// Reads each text in a folder; what is said of those that are not as expected.
fn faults(folder: &str, expectation: &str) -> Vec<String> {
    let cases = cases(folder, expectation);
    assert!(!cases.is_empty());
    let mut faults = Vec::new();
    for (path, text, expected) in cases {
        let found = read(&text);
        if !same(&found, &expected) {
            let name = path.file_name().unwrap().display();
            faults.push(format!("{name}\n  read     {found}\n  expected {expected}\n"));
        }
    }
    faults
}

#[test]
fn reads_what_kubectl_reads() {
    let faults = faults("tests/yaml", "json");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn reads_otherwise_only_where_the_readme_says_so() {
    let faults = faults("tests/yaml/differs", "volgate.json");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_difference_is_one_and_is_explained() {
    let readme = include_str!("../yaml/README.md");
    let different = faults("tests/yaml/differs", "json");
    let all = cases("tests/yaml/differs", "json");
    assert_eq!(different.len(), all.len(), "no longer a difference: move it up; {}", different.join("\n"));
    for (path, _, _) in all {
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(readme.contains(&format!("`{name}`")), "{name} has no reason in the README");
    }
}
