//! Objects that state what a test expects to find in a cluster, as assertions of kuttl and Chainsaw do.

use super::Manifest;
use crate::verdict::{Action, Finding};
use serde_json::Value;

const HELP: &str =
    "the object has a status, as what a test expects has; if it is applied, the cluster refuses it";

impl Manifest<'_> {
    /// Whether it says what a cluster writes into an object, and no cluster has given it out: nobody applies it. Generators leave
    /// an empty status, and dumps have a uid.
    fn is_expected(&self) -> bool {
        let status = self.value.get("status").and_then(Value::as_object);
        let metadata = self.value.get("metadata");
        let is_given =
            |key| metadata.and_then(|of| of.get(key)).is_some_and(|value: &Value| !value.is_null());
        status.is_some_and(|status| !status.is_empty())
            && !["uid", "resourceVersion", "creationTimestamp"].into_iter().any(is_given)
    }

    /// Makes warnings of what is denied in such an object.
    pub(super) fn soften_expected(&self, findings: &mut [Finding]) {
        if !self.is_expected() {
            return;
        }
        for finding in findings.iter_mut().filter(|finding| finding.action == Action::Deny) {
            finding.action = Action::Warn;
            finding.help = Some(match finding.help.take() {
                Some(help) => format!("{HELP}; {help}"),
                None => HELP.to_owned(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::check::{Input, Run};
    use crate::policy::{PolicySet, load};
    use crate::source::Source;
    use crate::verdict::Action;
    use jiff::civil::date;
    use serde_json::json;

    #[test]
    fn what_a_test_expects_is_a_warning_at_most() {
        let policy = json!({"apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy", "metadata": {"name": "p"}, "spec": {
            "rules": [{"durableData": {}}]}});
        let policies = PolicySet::build(vec![load(&policy).unwrap()]).unwrap();
        for (metadata, status, action) in [
            ("{name: r}", "{phase: Running}", Action::Warn),
            ("{name: r}", "{}", Action::Deny),
            ("{name: r}", "null", Action::Deny),
            ("{name: r, creationTimestamp: null}", "{}", Action::Deny),
            ("{name: r, uid: 6d1f}", "{phase: Running}", Action::Deny),
        ] {
            let text = format!(
                "apiVersion: v1\nkind: Pod\nmetadata: {metadata}\nspec: {{containers: [{{name: r, image: redis}}]}}\nstatus: {status}\n"
            );
            let inputs = [Input::new(Source::new("case.yaml", text), true)];
            let report = Run::new(&policies, date(2026, 11, 29)).check(&inputs);
            let told: Vec<Action> = report.findings.iter().map(|located| located.finding.action).collect();
            assert_eq!(told, [action], "{metadata} {status}");
        }
    }
}
