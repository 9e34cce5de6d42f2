//! What kustomize makes of a file when it builds a folder: some values that are no text to `kubectl apply -f` are text then.

use super::Manifest;
use crate::facts::Facts;
use crate::model::FieldPath;
use crate::source::Source;
use serde_json::Value;
use std::borrow::Cow;

/// How many words of one object are taken for text because they cannot be read otherwise.
const MOST: usize = 20;

/// The words that are true or false to kustomize, which reads YAML 1.2; `yes` and `on` are text.
const TRUTHS: [&str; 6] = ["true", "True", "TRUE", "false", "False", "FALSE"];

impl Manifest<'_> {
    /// Reads it as kustomize writes it: with quotes around each annotation of its own (those of a pod template stay as they are),
    /// and around words such as `yes` where a text belongs.
    pub(super) fn quote_as_built(&mut self, source: &Source) {
        let annotations = FieldPath::root().key("metadata").key("annotations");
        let values = self.value.pointer(&annotations.to_json_pointer()).and_then(Value::as_object);
        let is_plain = |value: &Value| value.is_boolean() || value.is_number() || value.is_null();
        let fields = values.into_iter().flatten().filter(|(_, value)| is_plain(value));
        let fields: Vec<FieldPath> = fields.map(|(key, _)| annotations.key(key.clone())).collect();
        fields.into_iter().for_each(|field| self.quote(field, source));
        let is_word = |manifest: &Self, field: &FieldPath| {
            manifest.value.pointer(&field.to_json_pointer()).is_some_and(Value::is_boolean)
                && !TRUTHS.contains(&manifest.written(field, source))
        };
        if !has_truth(&self.value) {
            return;
        }
        for _ in 0..MOST {
            match Facts::read(&*self.value, None) {
                Err(fault) if is_word(self, &fault.path) => self.quote(fault.path, source),
                _ => return,
            }
        }
    }

    fn quote(&mut self, field: FieldPath, source: &Source) {
        let text = Value::String(self.written(&field, source).to_owned());
        let mut value = std::mem::take(&mut self.value).into_owned();
        if let Some(place) = value.pointer_mut(&field.to_json_pointer()) {
            *place = text;
        }
        self.value = Cow::Owned(value);
        self.quoted.push(field);
    }

    /// A value as it stands in the text.
    fn written<'t>(&self, field: &FieldPath, source: &'t Source) -> &'t str {
        let span = self.document.span(&self.at.join(field)).value;
        source.text.get(span).unwrap_or_default()
    }
}

/// Whether some value is true or false where a text may belong: nearly all of them have a boolean's field.
fn has_truth(value: &Value) -> bool {
    match value {
        Value::Bool(_) => true,
        Value::Array(items) => items.iter().any(has_truth),
        Value::Object(fields) => fields.values().any(has_truth),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::check::{Input, Report, Run};
    use crate::policy::PolicySet;
    use crate::source::Source;
    use jiff::civil::date;

    fn told(text: &str, built: bool) -> (Vec<String>, Vec<String>) {
        let mut input = Input::new(Source::new("case.yaml", text), false);
        input.built = built;
        let inputs = [input];
        let policies = PolicySet::build(Vec::new()).unwrap();
        let Report { faults, notices, .. } = Run::new(&policies, date(2026, 11, 29)).check(&inputs);
        let (faults, notices) = (faults.into_iter(), notices.into_iter());
        (faults.map(|fault| fault.message).collect(), notices.map(|notice| notice.message).collect())
    }

    /// What `kubectl kustomize` of kustomize 5.5 writes.
    #[test]
    fn annotations_and_words_are_text_in_a_kustomization() {
        let pod = |metadata: &str, value: &str| {
            format!(
                "apiVersion: v1\nkind: Pod\nmetadata: {{{metadata}}}\nspec: {{containers: [{{name: c, image: nginx, env: [{{name: A, value: {value}}}]}}]}}\n"
            )
        };
        for (metadata, value) in [
            ("name: p, annotations: {a: true, b: 9090, c: 1.50, d: yes}", "x"),
            ("name: p, annotations: {a: ~}", "x"),
            ("name: p, labels: {a: yes, b: off}", "x"),
            ("name: no", "on"),
        ] {
            let text = pod(metadata, value);
            let (faults, notices) = told(&text, true);
            assert_eq!(faults, [""; 0], "{metadata}");
            assert_eq!(notices.len(), 1, "{metadata}: {notices:?}");
            assert!(notices[0].contains("kustomize puts it in quotes"), "{notices:?}");
            if !metadata.contains('~') {
                assert_eq!(told(&text, false).0.len(), 1, "{metadata}");
            }
        }
        // These stay as they are, and an API server refuses them.
        for (metadata, value) in [
            ("name: p, labels: {a: true}", "x"),
            ("name: p, labels: {a: 1}", "x"),
            ("name: p", "true"),
            ("name: p", "5"),
            ("name: true", "x"),
            ("name: p, annotations: {a: [1]}", "x"),
        ] {
            let (faults, _) = told(&pod(metadata, value), true);
            assert_eq!(faults.len(), 1, "{metadata} {value}: {faults:?}");
        }
        let template = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec:\n  template:\n    metadata: {annotations: {a: true}}\n    spec: {containers: [{name: c, image: nginx}]}\n";
        assert_eq!(told(template, true).0.len(), 1);
        assert_eq!(
            told(&pod("name: p, annotations: {a: \"true\"}", "\"yes\""), true),
            (Vec::new(), Vec::new())
        );
    }

    #[test]
    fn an_item_of_a_list_is_read_in_its_place() {
        let text = "apiVersion: v1\nkind: List\nitems:\n  - {apiVersion: v1, kind: Service, metadata: {name: a}}\n  \
            - {apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: yes, annotations: {a: 0777}}, spec: {resources: {}}}\n";
        let (faults, notices) = told(text, true);
        assert_eq!(faults, [""; 0]);
        assert!(notices.iter().any(|notice| notice.contains("\"0777\"")), "{notices:?}");
    }
}
