//! A StoragePolicy that is applied: one with faults is refused, with the place of each. The webhook for it lets everything through
//! when nobody answers, and a change of nothing but metadata always: a gate must not stop its own repair.

use super::object::Budget;
use super::request::Request;
use super::respond::{self, Answer};
use super::{MAX_VALUES, given};
use crate::engine::Engine;
use crate::model::{API_GROUP, Operation};
use crate::policy::{CompiledPolicy, KIND, PolicySet, load};

/// The answer to a review of a policy; none for every other object.
pub(super) fn answer(request: &Request<'_>, operation: Operation, engine: &Engine<'_>) -> Option<Answer> {
    if request.group != API_GROUP || request.kind != KIND {
        return None;
    }
    if !matches!(operation, Operation::Create | Operation::Update) {
        return Some(respond::skipped(request));
    }
    Some(match judge(request, operation, engine) {
        Ok(warnings) => respond::taken_policy(request, warnings),
        Err(why) => respond::refused_policy(request, &why),
    })
}

/// What the author of a policy should know.
///
/// # Errors
/// Why it cannot be applied.
fn judge(request: &Request<'_>, operation: Operation, engine: &Engine<'_>) -> Result<Vec<String>, String> {
    let budget = Budget::new(MAX_VALUES);
    let object = given(request.object, "request.object", operation, &budget)?;
    if operation == Operation::Update {
        let old = given(request.old_object, "request.oldObject", operation, &budget)?;
        let leaves = object.pointer("/metadata/deletionTimestamp").is_some_and(|time| !time.is_null());
        if leaves || old.get("spec") == object.get("spec") {
            return Ok(Vec::new());
        }
    }
    let policy = load(&object).map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        match lines.as_slice() {
            [only] => only.clone(),
            lines => format!("{} faults\n- {}", lines.len(), lines.join("\n- ")),
        }
    })?;
    let mut notices: Vec<String> = policy.notices().iter().map(ToString::to_string).collect();
    notices.extend(contradictions(policy, engine));
    Ok(notices)
}

/// What keeps it from being put in force beside the others, as long as they are as they are.
fn contradictions(policy: CompiledPolicy, engine: &Engine<'_>) -> Vec<String> {
    let mut all = engine.policies.policies().to_vec();
    all.retain(|other| other.name != policy.name);
    all.push(policy);
    match PolicySet::build(all) {
        Ok(_) => Vec::new(),
        Err(faults) => {
            faults.into_iter().map(|fault| format!("one of the two is left out: {fault}")).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::admission::validate;
    use crate::engine::Engine;
    use crate::lookup::MapLookup;
    use crate::policy::{PolicySet, embedded_baseline};
    use serde_json::{Value, json};

    fn answers(operation: &str, object: &Value, old: Option<&Value>) -> Value {
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "1", "operation": operation, "name": "p", "object": object, "oldObject": old,
            "kind": {"group": "volgate.dev", "version": "v1alpha1", "kind": "StoragePolicy"},
            "resource": {"group": "volgate.dev", "version": "v1alpha1", "resource": "storagepolicies"}}});
        let policies = PolicySet::build(vec![embedded_baseline().unwrap()]).unwrap();
        let lookup = MapLookup::default();
        let engine = Engine { policies: &policies, lookup: &lookup, today: jiff::civil::date(2026, 11, 23) };
        let answer = validate(review.to_string().as_bytes(), &engine);
        serde_json::from_slice::<Value>(&answer.body).unwrap()["response"].clone()
    }

    fn policy(rule: Value) -> Value {
        json!({"apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy", "metadata": {"name": "p"},
               "spec": {"rules": [{"pinToVolume": {}}, rule]}})
    }

    #[test]
    fn a_fault_is_refused_with_its_place_and_a_good_policy_is_not() {
        let bad = policy(json!({"cel": {"name": "c", "expression": "object.", "message": "m"}}));
        let refused = answers("CREATE", &bad, None);
        assert_eq!(refused["allowed"], false);
        let message = refused["status"]["message"].as_str().unwrap();
        assert!(message.contains("spec.rules[1].cel.expression"), "{message}");
        let good = policy(json!({"durableData": {"require": "claim"}}));
        assert_eq!(answers("CREATE", &good, None)["allowed"], true);
        assert_eq!(answers("UPDATE", &bad, Some(&good))["allowed"], false);
        // What repairs it, or takes it away.
        assert_eq!(answers("UPDATE", &good, Some(&bad))["allowed"], true);
        let mut labelled = bad.clone();
        labelled["metadata"]["labels"] = json!({"a": "b"});
        assert_eq!(answers("UPDATE", &labelled, Some(&bad))["allowed"], true);
        assert_eq!(answers("DELETE", &Value::Null, Some(&bad))["allowed"], true);
    }

    #[test]
    fn one_that_contradicts_another_is_stored_with_a_warning() {
        let other = policy(json!({"defaultClass": {"name": "fast"}}));
        let answer = answers("CREATE", &other, None);
        assert_eq!(answer["allowed"], true);
        let warning = answer["warnings"][0].as_str().unwrap_or_default();
        assert!(warning.contains("contradict each other in default-class"), "{answer}");
    }
}
