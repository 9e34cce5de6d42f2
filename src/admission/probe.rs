//! volgate's own dry run: an object that it sends to the API server to see that the API server asks it, and takes what it
//! answers.
//!
//! The mutating webhook writes a second label, and the validating one refuses the object with what it saw, so that one
//! refusal proves both, whichever replica answered. Somebody else's dry run of such an object learns nothing from it.

use super::request::Request;
use super::respond::{self, Answer};
use crate::verdict::Verdict;
use serde::Deserialize;
use serde_json::json;

/// The label of such an object. Its value comes back in the refusal.
pub const PROBE_LABEL: &str = "volgate.dev/probe";
/// The label that the mutating webhook writes, with the same value.
const MUTATED_LABEL: &str = "volgate.dev/mutated";

/// The longest value of a label, in bytes: no answer is longer than its question.
const LONGEST: usize = 63;

/// What the refusal says when both webhooks have seen an object with that value.
pub fn probe_answer(value: &str) -> String {
    format!("volgate answered its own dry run {value}: mutated and validated")
}

/// The object as far as it counts.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Object {
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    labels: Labels,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Labels {
    #[serde(rename = "volgate.dev/probe")]
    probe: String,
    #[serde(rename = "volgate.dev/mutated")]
    mutated: String,
}

/// The labels of volgate's own object; none for every other.
fn labels(request: &Request<'_>) -> Option<Labels> {
    let is_one = request.dry_run
        && request.group.is_empty()
        && request.kind == "PodTemplate"
        && request.operation == "CREATE";
    let text = request.object.filter(|_| is_one)?;
    let Object { metadata: Metadata { labels } } = serde_json::from_str(text).ok()?;
    Some(labels).filter(|labels| (1..=LONGEST).contains(&labels.probe.len()))
}

/// The mutating webhook's answer to volgate's own object.
pub(super) fn mutate(request: &Request<'_>) -> Option<Answer> {
    let Labels { probe, .. } = labels(request)?;
    let path = format!("/metadata/labels/{}", MUTATED_LABEL.replace('/', "~1"));
    let patch = serde_json::from_value(json!([{"op": "add", "path": path, "value": probe}])).ok()?;
    Some(respond::judged(request, &Verdict { patch, ..Verdict::default() }))
}

/// The validating webhook's answer to volgate's own object.
pub(super) fn validate(request: &Request<'_>) -> Option<Answer> {
    let Labels { probe, mutated } = labels(request)?;
    if mutated == probe {
        return Some(respond::refused_probe(request, probe_answer(&probe)));
    }
    Some(respond::skipped(request))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::{mutate, validate};
    use crate::engine::Engine;
    use crate::lookup::MapLookup;
    use crate::policy::{PolicySet, embedded_baseline};
    use serde_json::Value;

    fn review(dry_run: bool, kind: &str, labels: Value) -> Vec<u8> {
        let object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "p", "namespace": "n", "labels": labels},
                            "template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}});
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "1", "operation": "CREATE", "namespace": "n", "name": "p", "dryRun": dry_run,
            "kind": {"group": "", "version": "v1", "kind": kind},
            "resource": {"group": "", "version": "v1", "resource": "podtemplates"}, "object": object}})
        .to_string()
        .into_bytes()
    }

    fn answers(bytes: &[u8]) -> (Value, Value) {
        let policies = PolicySet::build(vec![embedded_baseline().unwrap()]).unwrap();
        let lookup = MapLookup::default();
        let engine = Engine { policies: &policies, lookup: &lookup, today: jiff::civil::date(2026, 11, 23) };
        let read =
            |answer: Answer| serde_json::from_slice::<Value>(&answer.body).unwrap()["response"].clone();
        (read(mutate(bytes, &engine)), read(validate(bytes, &engine)))
    }

    #[test]
    fn a_refusal_proves_that_both_were_asked() {
        let (mutated, validated) = answers(&review(true, "PodTemplate", json!({"volgate.dev/probe": "abc"})));
        assert!(mutated["patch"].is_string());
        assert_eq!(validated["allowed"], true, "the mutating webhook has not seen it");
        let both = json!({"volgate.dev/probe": "abc", "volgate.dev/mutated": "abc"});
        let (_, validated) = answers(&review(true, "PodTemplate", both));
        assert_eq!(validated["allowed"], false);
        assert_eq!(validated["status"]["message"], probe_answer("abc"));
    }

    #[test]
    fn what_is_no_dry_run_and_other_kinds_are_judged_as_ever() {
        let both = json!({"volgate.dev/probe": "abc", "volgate.dev/mutated": "abc"});
        for (dry_run, kind) in [(false, "PodTemplate"), (true, "ConfigMap")] {
            let (mutated, validated) = answers(&review(dry_run, kind, both.clone()));
            assert_eq!((&mutated["patch"], &validated["allowed"]), (&Value::Null, &json!(true)));
        }
        let long = json!({"volgate.dev/probe": "a".repeat(64), "volgate.dev/mutated": "a".repeat(64)});
        for labels in [json!({}), long] {
            let (_, validated) = answers(&review(true, "PodTemplate", labels));
            assert_eq!(validated["allowed"], true);
        }
    }
}
