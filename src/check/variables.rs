//! Variables that a GitOps tool puts in before the cluster sees the object, as `${SIZE:=5Gi}` of Flux.

use super::Manifest;
use crate::facts::Facts;
use crate::model::FieldPath;
use crate::verdict::{Action, Verdict};
use serde_json::Value;
use std::borrow::Cow;
use std::cmp::Reverse;

/// How many fields of one object are filled in because they cannot be read.
const MOST: usize = 20;

/// How many of the others.
const MOST_TEXTS: usize = 200;

/// Fields in whose text no shell reads a `${…}`, so that it is a variable of the tool. `accessModes` is a list of such.
const TEXTS: [&str; 17] = [
    "accessModes",
    "claimName",
    "devicePath",
    "generateName",
    "image",
    "medium",
    "mountPath",
    "name",
    "namespace",
    "persistentVolumeReclaimPolicy",
    "provisioner",
    "reclaimPolicy",
    "secretName",
    "storageClassName",
    "volumeBindingMode",
    "volumeMode",
    "volumeName",
];

/// Fields beneath which people name things as they like.
const OPEN: [&str; 9] = [
    "annotations",
    "binaryData",
    "data",
    "labels",
    "matchLabels",
    "nodeSelector",
    "parameters",
    "status",
    "stringData",
];

impl Manifest<'_> {
    /// Puts the variable's default in place of it, in fields of [`TEXTS`], and the default or nothing in each field that cannot be
    /// read for a variable in it. All other texts stay: a `${…}` in a script is the shell's.
    pub(super) fn fill_in_variables(&mut self) {
        self.fill_in_texts();
        for _ in 0..MOST {
            let Err(fault) = Facts::read(&*self.value, None) else { return };
            let Some(filled) = filled_in(&self.value, &fault.path) else { return };
            if filled.is_null() && !self.open.contains(&fault.path) {
                self.open.push(fault.path.clone());
            }
            self.put(fault.path, filled);
        }
    }

    fn fill_in_texts(&mut self) {
        let mut found = Vec::new();
        collect(&self.value, "", &mut FieldPath::root(), &mut found);
        for (field, Filled { text, is_whole }) in found {
            let is_open = !is_whole && !is_tag_alone(&self.value, &field);
            if is_open {
                self.open.push(field.clone());
            }
            match text {
                Some(text) => self.put(field, Value::String(text)),
                None if !is_open => self.variables.push(field),
                None => {}
            }
        }
    }

    fn put(&mut self, field: FieldPath, filled: Value) {
        let mut value = std::mem::take(&mut self.value).into_owned();
        if let Some(place) = value.pointer_mut(&field.to_json_pointer()) {
            *place = filled;
        }
        self.value = Cow::Owned(value);
        self.variables.push(field);
    }

    /// Makes a warning of what is denied because of a field whose variable has no default: what will stand there is not known.
    pub(super) fn soften(&self, verdict: &mut Verdict) {
        let is_open = |field: &FieldPath| {
            self.open
                .iter()
                .any(|open| open == field || open.parent().is_some_and(|list| is_list(&list, field)))
        };
        let mut is_changed = false;
        for finding in verdict.findings.iter_mut().filter(|finding| finding.action == Action::Deny) {
            if is_open(&finding.field) {
                finding.action = Action::Warn;
                is_changed = true;
            }
        }
        if is_changed {
            verdict.findings.sort_by_key(|finding| (finding.excused.is_some(), Reverse(finding.action)));
        }
    }
}

/// Whether only the tag of an image is not known: the product is, and what it loses.
fn is_tag_alone(object: &Value, field: &FieldPath) -> bool {
    let text = object.pointer(&field.to_json_pointer()).and_then(Value::as_str).unwrap_or_default();
    let name = text.rfind('/').map_or(0, |slash| slash + 1);
    let tag = text.get(name..).and_then(|last| last.find([':', '@'])).map(|at| name + at);
    let before = tag.and_then(|tag| text.get(..tag));
    field.to_string().ends_with(".image") && before.is_some_and(|before| !before.contains("${"))
}

/// Whether both are the list of a claim's access modes.
fn is_list(list: &FieldPath, field: &FieldPath) -> bool {
    list == field && list.to_string().ends_with("accessModes")
}

/// A text with the defaults of its variables.
struct Filled {
    /// None where no variable has one.
    text: Option<String>,
    /// Whether each of them has one.
    is_whole: bool,
}

fn collect(value: &Value, key: &str, at: &mut FieldPath, found: &mut Vec<(FieldPath, Filled)>) {
    match value {
        Value::String(text) if text.contains("${") && found.len() < MOST_TEXTS && TEXTS.contains(&key) => {
            found.push((at.clone(), with_defaults(text)));
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                at.push_index(index);
                collect(item, key, at, found);
                at.pop();
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields.iter().filter(|(name, _)| !OPEN.contains(&name.as_str())) {
                // Of the other fields of that name, those of probes are of no account.
                let is_path = name == "path" && ["hostPath", "local"].contains(&key);
                at.push_key(name.clone());
                collect(value, if is_path { "mountPath" } else { name }, at, found);
                at.pop();
            }
        }
        _ => {}
    }
}

fn with_defaults(text: &str) -> Filled {
    let (mut filled, mut some, mut is_whole) = (String::new(), false, true);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        filled.push_str(before);
        let (variable, after) = after.split_once('}').unwrap_or((after, ""));
        match default(variable) {
            Some(default) => {
                filled.push_str(default);
                some = true;
            }
            None => {
                filled.push_str("${");
                filled.push_str(variable);
                filled.push('}');
                is_whole = false;
            }
        }
        rest = after;
    }
    filled.push_str(rest);
    // Whether an empty text or nothing at all is meant depends on quotes that are gone.
    if filled.is_empty() {
        return Filled { text: None, is_whole: false };
    }
    Filled { text: some.then_some(filled), is_whole }
}

/// The default of `NAME:=default`; none where there is none, or another variable in it.
fn default(variable: &str) -> Option<&str> {
    let rest = variable.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
    let default = [":=", ":-", "=", "-"].into_iter().find_map(|sign| rest.strip_prefix(sign))?;
    (!default.contains("${")).then_some(default)
}

fn filled_in(object: &Value, field: &FieldPath) -> Option<Value> {
    let text = object.pointer(&field.to_json_pointer())?.as_str()?;
    let (before, rest) = text.split_once("${")?;
    let (variable, after) = rest.split_once('}')?;
    let Some(default) = default(variable).filter(|_| !after.contains("${")) else { return Some(Value::Null) };
    // The tool puts it into the text of the manifest, so that it is read as if it stood there.
    let text = format!("{before}{default}{after}");
    let read = crate::source::parse(&text).pop().and_then(Result::ok).map(|document| document.value);
    Some(read.filter(|value| !value.is_object() && !value.is_array()).unwrap_or(Value::String(text)))
}

#[cfg(test)]
mod tests {
    use super::super::{Input, Run};
    use crate::policy::{PolicySet, load};
    use crate::source::Source;
    use jiff::civil::date;
    use serde_json::json;

    /// The standing findings with their actions, and the notices.
    fn told(text: &str) -> (Vec<String>, Vec<String>) {
        let policy = json!({"apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy", "metadata": {"name": "p"}, "spec": {
            "rules": [{"durableData": {}}, {"accessModes": {"allow": ["ReadWriteOnce"]}}, {"claimClass": {"allow": ["fast"]}}]}});
        let policies = PolicySet::build(vec![load(&policy).unwrap()]).unwrap();
        let inputs = [Input::new(Source::new("case.yaml", text), true)];
        let report = Run::new(&policies, date(2026, 11, 29)).check(&inputs);
        let faults: Vec<&str> = report.faults.iter().map(|fault| &*fault.message).collect();
        assert!(faults.is_empty(), "{faults:?}");
        let findings = report.findings.iter().map(|located| {
            format!("{:?} {}: {}", located.finding.action, located.finding.field, located.finding.message)
        });
        let notices = report.notices.iter().map(|notice| notice.message.clone());
        (findings.collect(), notices.collect())
    }

    fn mysql(image: &str, path: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: \"${{APP:-shop}}\", namespace: shop}}\nspec:\n  containers:\n    - name: c\n      \
             image: \"{image}\"\n      volumeMounts: [{{name: d, mountPath: \"{path}\"}}]\n  volumes:\n    - name: d\n      \
             persistentVolumeClaim: {{claimName: \"${{CLAIM:=c}}\"}}\n"
        )
    }

    #[test]
    fn defaults_of_variables_are_used_in_texts() {
        for image in ["${IMG:=mysql:8}", "${REG:=docker.io}/mysql:8", "mysql:${TAG:-8}", "mysql:${TAG}"] {
            let (findings, notices) = told(&mysql(image, "/srv/elsewhere"));
            assert!(
                findings.len() == 1
                    && findings[0].starts_with("Deny")
                    && findings[0].contains("/var/lib/mysql"),
                "{image}: {findings:?}"
            );
            assert!(notices.iter().any(|notice| notice.contains(".image holds a variable")), "{notices:?}");
            assert_eq!(told(&mysql(image, "${DATA:=/var/lib/mysql}")).0, [""; 0], "{image}");
        }
        let (findings, notices) = told(&mysql("${IMG:=nginx:1}", "/srv"));
        assert_eq!(findings, [""; 0]);
        assert_eq!(
            notices,
            [
                "metadata.name holds a variable that is filled in later: it is judged as \"shop\"",
                "spec.containers[0].image holds a variable that is filled in later: it is judged as \"nginx:1\"",
                "spec.volumes[0].persistentVolumeClaim.claimName holds a variable that is filled in later: it is judged as \"c\"",
            ]
        );
    }

    #[test]
    fn what_is_not_known_of_a_text_denies_nothing() {
        let (findings, notices) = told(&mysql("mysql:8", "${DATA}"));
        assert!(
            findings.len() == 1
                && findings[0].starts_with("Warn")
                && findings[0].ends_with(
                    "unless /${DATA}, which is filled in later and where something lasts, holds them"
                ),
            "{findings:?}"
        );
        let open = "holds a variable without a default, which is filled in later: what depends on it is a warning at most";
        assert!(
            notices.contains(&format!("spec.containers[0].volumeMounts[0].mountPath {open}")),
            "{notices:?}"
        );
        assert_eq!(told(&mysql("${IMG}", "/srv")).0, [""; 0]);
        let claim = |class: &str, mode: &str| {
            told(&format!(
                "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: c}}\nspec:\n  storageClassName: \"{class}\"\n  \
                 accessModes: [\"{mode}\"]\n  resources: {{requests: {{storage: 1Gi}}}}\n"
            ))
        };
        assert_eq!(claim("${SC:=fast}", "${MODE:=ReadWriteOnce}").0, [""; 0]);
        let (findings, _) = claim("${SC:=slow}", "${MODE:=ReadWriteMany}");
        assert!(findings.len() == 2 && findings.iter().all(|line| line.starts_with("Deny")), "{findings:?}");
        let (findings, notices) = claim("${SC}", "${MODE}");
        assert!(findings.iter().all(|line| line.starts_with("Warn")), "{findings:?}");
        assert_eq!(
            notices.iter().filter(|notice| notice.contains("without a default")).count(),
            2,
            "{notices:?}"
        );
        // A script's own variables, and labels of any name, are no tool's.
        let (_, notices) = told(
            "apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {name: \"${X}\"}}\nspec:\n  containers:\n    - name: c\n      \
             image: nginx\n      args: [\"${X:=y}\"]\n",
        );
        assert_eq!(notices, [""; 0]);
    }
}
