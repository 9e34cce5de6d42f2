//! The fixtures of `tests/fixtures`: one reader for the engine, for `check` and for the live webhook.

use json_patch::Patch;
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use volgate::policy::{PolicySet, load};
use volgate::source::parse;
use volgate::verdict::Finding;

/// One case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixture {
    /// `host-path/deny-root`.
    #[serde(skip)]
    pub name: String,
    pub policy: Value,
    #[serde(default)]
    pub context: Vec<Value>,
    #[serde(default, rename = "namespaceLabels")]
    pub namespace_labels: std::collections::BTreeMap<String, String>,
    pub object: Value,
    pub old: Option<Value>,
    pub user: Option<String>,
    pub expect: Expect,
    /// What a cluster finds, where CI sees more: no webhook knows ConfigMaps and Secrets.
    #[serde(default, rename = "inCluster")]
    pub in_cluster: Option<Expect>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    #[serde(default)]
    pub findings: Vec<ExpectedFinding>,
    #[serde(default)]
    pub patch: Patch,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedFinding {
    pub rule: String,
    pub action: String,
    pub field: String,
    #[serde(default)]
    pub message: String,
}

/// The namespace of every fixture's object.
pub const NAMESPACE: &str = "fixture";

impl Fixture {
    /// The policy, compiled.
    pub fn policies(&self) -> PolicySet {
        let policy = json!({
            "apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy",
            "metadata": {"name": "fixture"}, "spec": self.policy
        });
        let compiled = load(&policy).unwrap_or_else(|faults| panic!("{}: {faults:#?}", self.name));
        PolicySet::build(vec![compiled]).unwrap()
    }

    /// What the cluster holds: the namespace and the context.
    pub fn cluster(&self) -> Vec<Value> {
        let mut labels = self.namespace_labels.clone();
        labels.insert("kubernetes.io/metadata.name".to_owned(), NAMESPACE.to_owned());
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}});
        std::iter::once(namespace).chain(self.context.iter().cloned()).collect()
    }

    /// What a cluster must find.
    pub fn expected_in_cluster(&self) -> &Expect {
        self.in_cluster.as_ref().unwrap_or(&self.expect)
    }

    /// Fails unless the findings are those that the fixture expects.
    pub fn compare(&self, by: &str, findings: &[Finding], patch: &Patch) {
        self.compare_with(&self.expect, by, findings, patch);
    }

    /// Fails unless the findings are those that are expected.
    pub fn compare_with(&self, expect: &Expect, by: &str, findings: &[Finding], patch: &Patch) {
        let found: Vec<String> = findings
            .iter()
            .map(|f| {
                let action = volgate::check::effective(f);
                format!("{} {action} {}: {}", f.rule, f.field, f.message)
            })
            .collect();
        let wanted: Vec<String> = expect
            .findings
            .iter()
            .map(|f| format!("{} {} {}: …{}…", f.rule, f.action, f.field, f.message))
            .collect();
        let mut left: Vec<&ExpectedFinding> = expect.findings.iter().collect();
        for line in &found {
            let at = left.iter().position(|f| {
                line.starts_with(&format!("{} {} {}: ", f.rule, f.action, f.field))
                    && line.contains(&f.message)
            });
            match at {
                Some(at) => drop(left.remove(at)),
                None => panic!(
                    "{} by {by}: unexpected finding\n  {line}\nwanted {wanted:#?}\nfound {found:#?}",
                    self.name
                ),
            }
        }
        assert!(left.is_empty(), "{} by {by}: missing {left:#?}\nfound {found:#?}", self.name);
        assert_eq!(
            serde_json::to_value(patch).unwrap(),
            serde_json::to_value(&expect.patch).unwrap(),
            "{} by {by}: the patch",
            self.name
        );
    }
}

/// All fixtures, in the order of their names.
pub fn all() -> Vec<Fixture> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in
        std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir())
    {
        files.extend(std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    }
    files.sort();
    let fixtures: Vec<Fixture> = files.iter().map(|file| read(&root, file)).collect();
    assert!(!fixtures.is_empty(), "there must be fixtures in {}", root.display());
    fixtures
}

fn read(root: &Path, file: &Path) -> Fixture {
    let text = std::fs::read_to_string(file).unwrap();
    let mut documents = parse(&text);
    assert_eq!(documents.len(), 1, "{} must hold one document", file.display());
    let document = documents.remove(0).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut fixture: Fixture =
        serde_json::from_value(document.value).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    fixture.name = file.strip_prefix(root).unwrap().with_extension("").to_string_lossy().into_owned();
    fixture
}
