//! Cases of a policy's tests: manifests, with comments that say what is found in them and what is changed.

use super::{Input, Run, manifests};
use crate::engine::Engine;
use crate::facts::Facts;
use crate::model::Operation;
use crate::rule::Review;
use crate::verdict::{Action, Finding, Verdict};
use jiff::civil::Date;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What the comments of a case say.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// `# expect: denied durable-data spec.volumes[0].emptyDir`, each a finding.
    pub findings: BTreeSet<String>,
    /// `# change: PersistentVolumeClaim default/data /spec/storageClassName = "fast"`, each a change.
    pub changes: BTreeSet<String>,
    /// `# user: anna`: who asks.
    pub user: Option<String>,
    /// `# group: developers`, each a group of that user.
    pub groups: Vec<String>,
    /// `# old: ../old/data.yaml`: the file with the objects as they are; the case is an update of those that it has.
    pub old: Option<String>,
    /// `# today: 2027-01-31`: the day on which the case is judged.
    pub today: Option<Date>,
}

impl Directives {
    /// Reads the comments at the beginning of lines.
    ///
    /// # Errors
    /// The line, from 1, with what is wrong with it.
    pub fn read(text: &str) -> Result<Self, (usize, String)> {
        let mut directives = Self::default();
        for (index, line) in text.lines().enumerate() {
            let Some((key, said)) = line.strip_prefix("# ").and_then(|line| line.split_once(':')) else {
                continue;
            };
            let said = said.trim().to_owned();
            match key {
                "expect" => drop(directives.findings.insert(said)),
                "change" => drop(directives.changes.insert(said)),
                "user" => directives.user = Some(said),
                "group" => directives.groups.push(said),
                "old" => directives.old = Some(said),
                "today" => match said.parse() {
                    Ok(day) => directives.today = Some(day),
                    Err(_) => {
                        return Err((index + 1, format!("{said:?} is not a day: write it like 2027-03-31")));
                    }
                },
                _ => {}
            }
        }
        if directives.user.is_none() && !directives.groups.is_empty() {
            return Err((1, "there is a `# group:` and no `# user:`".to_owned()));
        }
        Ok(directives)
    }
}

/// What came of a case.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Each finding as `denied durable-data spec.x`.
    pub findings: BTreeSet<String>,
    /// Each change as `PersistentVolumeClaim default/data /spec/x = value`.
    pub changes: BTreeSet<String>,
    /// What could not be judged.
    pub faults: Vec<String>,
    /// The rules that found something, each with the name of its question where it has one.
    pub rules: BTreeSet<(&'static str, Option<String>)>,
}

impl Outcome {
    /// `deny`, `warn` or `allow`.
    pub fn verdict(&self) -> &'static str {
        let is = |word: &str| self.findings.iter().any(|line| line.starts_with(word));
        match () {
            () if is("denied") => "deny",
            () if is("warning") => "warn",
            () => "allow",
        }
    }

    fn add(&mut self, verdict: &Verdict, object: &str) {
        for finding in &verdict.findings {
            self.findings.insert(format!("{} {} {}", word(finding), finding.rule, finding.field));
            self.rules.insert((finding.rule, finding.name.clone()));
        }
        let operations = serde_json::to_value(&verdict.patch).unwrap_or_default();
        for operation in operations.as_array().into_iter().flatten() {
            let path = operation.get("path").and_then(Value::as_str).unwrap_or_default();
            let value = operation.get("value").unwrap_or(&Value::Null);
            self.changes.insert(format!("{object} {path} = {value}"));
            // Two rules change objects, and each its own fields.
            let rule = if path.contains("storageClassName") { "default-class" } else { "pin-to-volume" };
            self.rules.insert((rule, None));
        }
    }
}

/// The word that stands before a finding.
fn word(finding: &Finding) -> &'static str {
    match (&finding.excused, finding.action) {
        (Some(_), _) => "excused",
        (None, Action::Deny) => "denied",
        (None, Action::Warn) => "warning",
        (None, Action::Audit) => "audit",
    }
}

impl Run<'_> {
    /// Judges the manifests of a case, each as an update of the one in `old` that it is, or as a new object.
    pub fn judge_case(&self, case: &[Input], old: &[Input]) -> Outcome {
        let mut outcome = Outcome::default();
        for input in case.iter().chain(old) {
            outcome.faults.extend(input.errors().map(|error| format!("{}: {error}", input.source.name)));
        }
        let old = manifests(old);
        let identify = |object: &Value| Facts::identify(object, Some(self.namespace)).to_string();
        let old: BTreeMap<String, &Value> = old.iter().map(|it| (identify(&it.value), &*it.value)).collect();
        let lookup = self.lookup(case);
        let engine = Engine { policies: self.policies, lookup: &lookup, today: self.today };
        for manifest in manifests(case) {
            if !manifest.is_object() {
                outcome.faults.push("there is a document that is no Kubernetes object".to_owned());
                continue;
            }
            let name = identify(&manifest.value);
            let review = self.review(&manifest.value);
            let review = match old.get(&name) {
                Some(old) => Review { operation: Operation::Update, old: Some((*old).into()), ..review },
                None => review,
            };
            match engine.mutate_and_check(&review) {
                Ok(verdict) => outcome.add(&verdict, &name),
                Err(fault) => outcome.faults.push(format!("{name}: {fault}")),
            }
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{PolicySet, load};
    use crate::source::Source;
    use jiff::civil::date;
    use serde_json::json;

    fn input(text: &str) -> Input {
        Input::new(Source::new("case.yaml", text), true)
    }

    #[test]
    fn a_case_is_an_update_where_the_object_is_there() {
        let policy = json!({"apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy", "metadata": {"name": "p"},
                            "spec": {"rules": [{"claimSize": {"max": "2Gi"}}, {"defaultClass": {"name": "fast"}}]}});
        let policies = PolicySet::build(vec![load(&policy).unwrap()]).unwrap();
        let run = Run::new(&policies, date(2026, 11, 23));
        let claim = |size: &str| {
            format!(
                "{{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {{name: c}}, spec: {{resources: {{requests: {{storage: {size}}}}}}}}}"
            )
        };
        let judged = |new: &str, old: &[Input]| run.judge_case(&[input(&claim(new))], old);
        let new = judged("3Gi", &[]);
        assert_eq!(new.verdict(), "deny");
        assert_eq!(
            new.findings,
            BTreeSet::from(["denied claim-size spec.resources.requests.storage".to_owned()])
        );
        assert_eq!(
            new.changes,
            BTreeSet::from(["PersistentVolumeClaim default/c /spec/storageClassName = \"fast\"".to_owned()])
        );
        assert_eq!(new.rules.len(), 2);
        let shrunk = judged("3Gi", &[input(&claim("4Gi"))]);
        assert_eq!((shrunk.verdict(), shrunk.faults.len()), ("allow", 0), "{shrunk:?}");
        assert_eq!(judged("5Gi", &[input(&claim("4Gi"))]).verdict(), "deny");
        assert_eq!(run.judge_case(&[input("a: b")], &[]).faults.len(), 1);
    }

    #[test]
    fn comments_say_what_is_expected() {
        let text = "# expect: denied a b\n# user: anna\n# group: dev\n# old: ../old/x.yaml\n# today: 2027-01-02\n# other: x\na: b # expect: no\n";
        let read = Directives::read(text).unwrap();
        assert_eq!(read.findings.len(), 1);
        assert_eq!(
            (read.user.as_deref(), read.groups.len(), read.today),
            (Some("anna"), 1, Some(date(2027, 1, 2)))
        );
        assert_eq!(read.old.as_deref(), Some("../old/x.yaml"));
        assert_eq!(Directives::read("a: b\n# today: soon\n").unwrap_err().0, 2);
        assert!(Directives::read("# group: dev\n").is_err());
    }
}
