//! Writes the inputs that fuzzing starts from: the project's own fixtures, policies and catalog cases.
//! `seeds FOLDER` makes one folder for each target in FOLDER.

use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use volgate::source::parse;

fn main() -> std::io::Result<()> {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: seeds FOLDER");
        std::process::exit(2);
    };
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut seeds = Seeds { folder, next: 0 };
    let mut files = Vec::new();
    for part in ["tests/fixtures", "tests/yaml", "tests/cli", "policies", "examples", "manifests"] {
        yaml_files(&project.join(part), &mut files)?;
    }
    files.sort();
    for file in files {
        let text = fs::read_to_string(file)?;
        seeds.add("yaml", text.as_bytes())?;
        for document in parse(&text).into_iter().flatten() {
            seeds.add_document(&document.value)?;
        }
    }
    let cases: Vec<Value> =
        serde_json::from_str(&fs::read_to_string(project.join("src/catalog/fixtures.json"))?)?;
    for case in &cases {
        seeds.add("resolver", container(case).join("\0").as_bytes())?;
    }
    println!("{} seeds", seeds.next);
    Ok(())
}

struct Seeds {
    folder: PathBuf,
    next: usize,
}

impl Seeds {
    fn add(&mut self, target: &str, bytes: &[u8]) -> std::io::Result<()> {
        let folder = self.folder.join(target);
        fs::create_dir_all(&folder)?;
        self.next += 1;
        fs::write(folder.join(format!("seed-{}", self.next)), bytes)
    }

    /// A fixture has a policy's spec and an object; a policy is one itself, and anything else an object.
    fn add_document(&mut self, document: &Value) -> std::io::Result<()> {
        if document["kind"] == "StoragePolicy" {
            self.add_policy(&document["spec"])?;
        } else if document.get("policy").is_some() {
            self.add_policy(&document["policy"])?;
            self.add_review(&document["object"], &document["old"])?;
        } else if document.get("kind").is_some() {
            self.add_review(document, &Value::Null)?;
        }
        Ok(())
    }

    fn add_policy(&mut self, spec: &Value) -> std::io::Result<()> {
        let policy = json!({"apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy",
                            "metadata": {"name": "seed"}, "spec": spec});
        self.add("policy", policy.to_string().as_bytes())?;
        for rule in spec["rules"].as_array().into_iter().flatten() {
            if let Some(expression) = rule["cel"]["expression"].as_str() {
                self.add("cel", expression.as_bytes())?;
            }
        }
        Ok(())
    }

    fn add_review(&mut self, object: &Value, old: &Value) -> std::io::Result<()> {
        let api = object["apiVersion"].as_str().unwrap_or_default();
        let (group, version) = api.split_once('/').unwrap_or(("", api));
        let kind = json!({"group": group, "version": version, "kind": object["kind"]});
        let operation = if old.is_null() { "CREATE" } else { "UPDATE" };
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "u", "kind": kind, "operation": operation, "namespace": "default",
            "userInfo": {"username": "alice"}, "object": object, "oldObject": old}});
        self.add("review", review.to_string().as_bytes())
    }
}

/// A catalog case in the form that the target `resolver` reads.
fn container(case: &Value) -> Vec<String> {
    let words = |field: &str| case[field].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut parts = vec![case["image"].as_str().unwrap_or_default().to_owned()];
    parts.extend(words("command").map(|word| format!("|{word}")));
    parts.extend(words("args").map(str::to_owned));
    for (name, value) in case["env"].as_object().into_iter().flatten() {
        parts.push(value.as_str().map_or(format!("@{name}"), |value| format!("@{name}={value}")));
    }
    parts
}

fn yaml_files(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            yaml_files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push(path);
        }
    }
    Ok(())
}
