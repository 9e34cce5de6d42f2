//! What a webhook configuration is to become, from what it is and what was asked for. Pure: JSON in, JSON out.
//!
//! - One that does not work yet refuses nobody: it begins with `Ignore`, and gets the failure policy that was asked for once
//!   a review that the API server sent was answered. One that works is never lowered.
//! - One that a newer version has written keeps what that version wrote; only the CA bundle is kept up.
//! - What others add without harm stays: further requirements of a namespace selector (some clouds add them and add them
//!   again), and the CA bundle where cert-manager's injector owns it.

use super::register::{INJECT_CA_FROM, NAMESPACE_LABEL, VERSION_ANNOTATION};
use serde_json::{Map, Value, json};

/// cert-manager's annotations by which its injector owns the CA bundle.
const INJECTED: [&str; 3] =
    [INJECT_CA_FROM, "cert-manager.io/inject-ca-from-secret", "cert-manager.io/inject-apiserver-ca"];

/// How far the registration has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    /// The CA bundles that are registered fit the certificate that is served.
    pub(super) trusted: bool,
    /// A review that the API server sent was answered.
    pub(super) verified: bool,
}

/// Whether a configuration must wait with the failure policy that was asked for.
pub(super) fn must_wait(existing: Option<&Value>, wanted: &Value, progress: Progress) -> bool {
    if progress.verified || existing.is_some_and(|existing| is_newer(existing, wanted)) {
        return false;
    }
    hooks(wanted).any(|hook| is_strict(hook) && !(progress.trusted && existing_is_strict(existing, hook)))
}

/// The configuration to apply; none when what is there is as it should be. `wanted` is what was asked for, with the webhook
/// for the dry run where the registration must wait; `owner` is its owner reference.
pub(super) fn desired(
    existing: Option<&Value>,
    wanted: &Value,
    owner: Option<&Value>,
    progress: Progress,
) -> Option<Value> {
    let mut desired = wanted.clone();
    if let Some(existing) = existing.filter(|existing| is_newer(existing, wanted)) {
        return with_bundle(existing, wanted);
    }
    let injected = is_injected(wanted) || existing.is_some_and(is_injected);
    for hook in desired.get_mut("webhooks").and_then(Value::as_array_mut).into_iter().flatten() {
        let may_refuse = progress.verified || (progress.trusted && existing_is_strict(existing, hook));
        if is_strict(hook) && !may_refuse {
            set(hook, "failurePolicy", json!("Ignore"));
        }
        let Some(before) = existing.and_then(|existing| hook_of(existing, hook)) else { continue };
        keep_requirements(hook, before);
        if injected && let Some(client) = hook.get_mut("clientConfig") {
            let bundle = before.pointer("/clientConfig/caBundle").cloned().unwrap_or_default();
            set(client, "caBundle", bundle);
        }
    }
    let desired = with_owner(&desired, owner);
    let same = existing.is_some_and(|existing| is_as(existing, &desired));
    (!same).then_some(desired)
}

/// The configuration with that owner reference.
pub(super) fn with_owner(configuration: &Value, owner: Option<&Value>) -> Value {
    let mut owned = configuration.clone();
    if let (Some(owner), Some(metadata)) = (owner, owned.get_mut("metadata")) {
        set(metadata, "ownerReferences", json!([owner]));
    }
    owned
}

/// Whether whoever wrote the configuration is a newer version than this one.
pub(super) fn is_newer(existing: &Value, wanted: &Value) -> bool {
    version(existing) > version(wanted)
}

/// Whether it is an older version, or says nothing of it.
pub(super) fn is_older(existing: &Value, wanted: &Value) -> bool {
    version(existing) < version(wanted)
}

fn version(of: &Value) -> Option<(u64, u64, u64, bool)> {
    let annotations = of.pointer("/metadata/annotations")?;
    numbers(annotations.get(VERSION_ANNOTATION)?.as_str()?)
}

/// The numbers of a version such as `1.2.3-rc.1`, the last saying whether it is a release.
fn numbers(version: &str) -> Option<(u64, u64, u64, bool)> {
    let plain = version.split('+').next()?;
    let (plain, released) = plain.split_once('-').map_or((plain, true), |(plain, _)| (plain, false));
    let mut parts = plain.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??, parts.next()??, released))
}

fn hooks(configuration: &Value) -> impl Iterator<Item = &Value> {
    configuration.get("webhooks").and_then(Value::as_array).into_iter().flatten()
}

fn hook_of<'a>(configuration: &'a Value, like: &Value) -> Option<&'a Value> {
    hooks(configuration).find(|hook| hook.get("name") == like.get("name"))
}

fn is_strict(hook: &Value) -> bool {
    hook.get("failurePolicy").and_then(Value::as_str) == Some("Fail")
}

fn existing_is_strict(existing: Option<&Value>, hook: &Value) -> bool {
    existing.and_then(|existing| hook_of(existing, hook)).is_some_and(is_strict)
}

fn is_injected(existing: &Value) -> bool {
    let annotations = existing.pointer("/metadata/annotations");
    annotations.is_some_and(|all| INJECTED.iter().any(|key| all.get(key).is_some()))
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(map) = object.as_object_mut() {
        if value.is_null() {
            map.remove(key);
        } else {
            map.insert(key.to_owned(), value);
        }
    }
}

/// Keeps what others require of a namespace besides its name.
fn keep_requirements(hook: &mut Value, before: &Value) {
    let Some(ours) = hook.pointer_mut("/namespaceSelector/matchExpressions").and_then(Value::as_array_mut)
    else {
        return;
    };
    let theirs = before.pointer("/namespaceSelector/matchExpressions").and_then(Value::as_array);
    let foreign = |requirement: &&Value| {
        requirement.get("key").and_then(Value::as_str).is_some_and(|key| key != NAMESPACE_LABEL)
    };
    ours.extend(theirs.into_iter().flatten().filter(foreign).cloned());
    let labels = before.pointer("/namespaceSelector/matchLabels").cloned();
    if let (Some(labels), Some(selector)) = (labels, hook.get_mut("namespaceSelector")) {
        set(selector, "matchLabels", labels);
    }
}

/// What a newer version wrote, with the CA bundle that is to be trusted now.
fn with_bundle(existing: &Value, wanted: &Value) -> Option<Value> {
    let bundle = hooks(wanted).find_map(|hook| hook.pointer("/clientConfig/caBundle"))?;
    if is_injected(existing)
        || hooks(existing).all(|hook| hook.pointer("/clientConfig/caBundle") == Some(bundle))
    {
        return None;
    }
    let metadata = existing.get("metadata");
    let mut kept = Map::new();
    for key in ["name", "labels", "annotations", "ownerReferences"] {
        if let Some(value) = metadata.and_then(|metadata| metadata.get(key)) {
            kept.insert(key.to_owned(), value.clone());
        }
    }
    let mut webhooks: Vec<Value> = hooks(existing).cloned().collect();
    for client in webhooks.iter_mut().filter_map(|hook| hook.get_mut("clientConfig")) {
        set(client, "caBundle", bundle.clone());
    }
    let (version, kind) = (wanted.get("apiVersion"), wanted.get("kind"));
    Some(json!({"apiVersion": version, "kind": kind, "metadata": kept, "webhooks": webhooks}))
}

/// Whether all that is desired is there, and no webhook of volgate's own besides.
pub(super) fn is_as(existing: &Value, desired: &Value) -> bool {
    let metadata =
        |of: &Value, field: &str| of.pointer(&format!("/metadata/{field}")).cloned().unwrap_or_default();
    let pairs = ["labels", "annotations"].iter().all(|field| {
        let (there, wanted) = (metadata(existing, field), metadata(desired, field));
        wanted.as_object().into_iter().flatten().all(|(key, value)| there.get(key) == Some(value))
    });
    let owned = metadata(desired, "ownerReferences").as_array().into_iter().flatten().all(|owner| {
        let there = metadata(existing, "ownerReferences");
        there.as_array().into_iter().flatten().any(|other| other.get("uid") == owner.get("uid"))
    });
    let each = hooks(desired).all(|hook| {
        let fields = hook.as_object().into_iter().flatten();
        hook_of(existing, hook)
            .is_some_and(|there| fields.into_iter().all(|(key, value)| there.get(key) == Some(value)))
    });
    let ours = |hook: &Value| {
        hook.get("name").and_then(Value::as_str).is_some_and(|name| name.ends_with(".volgate.dev"))
    };
    let none_besides = hooks(existing).filter(|hook| ours(hook)).all(|hook| hook_of(desired, hook).is_some());
    pairs && owned && each && none_besides
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Endpoint, FailurePolicy, NamespacedName, Registration, configurations};

    const NEW: Progress = Progress { trusted: false, verified: false };
    const WORKS: Progress = Progress { trusted: true, verified: false };
    const VERIFIED: Progress = Progress { trusted: true, verified: true };

    fn registration() -> Registration {
        let endpoint = Endpoint::Service { namespace: "n".into(), name: "volgate".into(), port: 443 };
        Registration::new(endpoint, b"PEM".to_vec())
    }

    fn wanted_of(registration: &Registration) -> Value {
        serde_json::to_value(configurations(registration).1).unwrap()
    }

    fn wanted() -> Value {
        wanted_of(&registration())
    }

    fn policies(configuration: &Value) -> Vec<&str> {
        hooks(configuration).map(|hook| hook["failurePolicy"].as_str().unwrap()).collect()
    }

    /// As the API server has it: with what nobody asked for.
    fn stored(mut configuration: Value) -> Value {
        configuration["metadata"]["resourceVersion"] = json!("7");
        for hook in configuration["webhooks"].as_array_mut().unwrap() {
            hook["namespaceSelector"] = hook.get("namespaceSelector").cloned().unwrap_or(json!({}));
        }
        configuration
    }

    #[test]
    fn it_begins_with_ignore_and_is_raised_once_a_review_was_answered() {
        let wanted = wanted();
        let first = desired(None, &wanted, None, NEW).unwrap();
        assert_eq!(policies(&first), ["Ignore"; 4]);
        assert!(must_wait(None, &wanted, NEW));
        let first = stored(first);
        assert_eq!(desired(Some(&first), &wanted, None, WORKS), None, "it waits");
        assert!(must_wait(Some(&first), &wanted, WORKS));
        let raised = desired(Some(&first), &wanted, None, VERIFIED).unwrap();
        assert_eq!(policies(&raised), ["Fail", "Ignore", "Ignore", "Ignore"]);
        let raised = stored(raised);
        assert_eq!(desired(Some(&raised), &wanted, None, VERIFIED), None);

        // One that works is not lowered by a process that has just started; one whose CA does not fit is.
        assert_eq!(desired(Some(&raised), &wanted, None, WORKS), None);
        assert!(!must_wait(Some(&raised), &wanted, WORKS));
        assert_eq!(policies(&desired(Some(&raised), &wanted, None, NEW).unwrap()), ["Ignore"; 4]);

        // Lowered by whoever asks for that, and nothing waits.
        let lenient = wanted_of(&Registration { failure_policy: FailurePolicy::Ignore, ..registration() });
        assert_eq!(policies(&desired(Some(&raised), &lenient, None, WORKS).unwrap()), ["Ignore"; 4]);
        assert!(!must_wait(None, &lenient, NEW));
    }

    #[test]
    fn the_webhook_of_the_dry_run_goes_when_it_is_not_needed_any_more() {
        let waiting = wanted_of(&Registration { probe: Some("n".into()), ..registration() });
        let first = stored(desired(None, &waiting, None, NEW).unwrap());
        assert_eq!(hooks(&first).count(), 5);
        assert_eq!(desired(Some(&first), &waiting, None, WORKS), None);
        let last = desired(Some(&first), &wanted(), None, VERIFIED).unwrap();
        assert_eq!(hooks(&last).count(), 4);
    }

    #[test]
    fn what_a_newer_version_wrote_stays_but_for_the_bundle() {
        let mut newer = stored(wanted());
        newer["metadata"]["annotations"][VERSION_ANNOTATION] = json!("99.0.0");
        newer["webhooks"][0]["timeoutSeconds"] = json!(9);
        assert_eq!(desired(Some(&newer), &wanted(), None, NEW), None);
        let other = wanted_of(&Registration { ca_bundle: b"OTHER".to_vec(), ..registration() });
        let written = desired(Some(&newer), &other, None, VERIFIED).unwrap();
        assert_eq!(written["webhooks"][0]["timeoutSeconds"], 9);
        assert_eq!(written["metadata"]["annotations"][VERSION_ANNOTATION], "99.0.0");
        assert_eq!(written["metadata"]["resourceVersion"], Value::Null);
        for (there, asked) in hooks(&written).zip(hooks(&other)) {
            assert_eq!(there["clientConfig"], asked["clientConfig"]);
        }
        // An older one is replaced, and one that says nothing of its version.
        for version in [json!("0.0.1"), json!("0.1.0-rc.1"), Value::Null, json!("x")] {
            newer["metadata"]["annotations"][VERSION_ANNOTATION] = version;
            assert_eq!(desired(Some(&newer), &wanted(), None, VERIFIED), Some(wanted()));
        }
    }

    #[test]
    fn what_others_add_without_harm_is_no_drift_and_the_rest_is_repaired() {
        let mut there = stored(wanted());
        let by_the_cloud = json!({"key": "control-plane", "operator": "DoesNotExist"});
        for hook in there["webhooks"].as_array_mut().unwrap() {
            if let Some(list) = hook.pointer_mut("/namespaceSelector/matchExpressions") {
                list.as_array_mut().unwrap().push(by_the_cloud.clone());
            }
        }
        there["metadata"]["annotations"]["example.com/note"] = json!("ours");
        assert_eq!(desired(Some(&there), &wanted(), None, WORKS), None);
        // When something else is repaired it stays, too.
        there["webhooks"][0]["rules"] = json!([]);
        let repaired = desired(Some(&there), &wanted(), None, WORKS).unwrap();
        assert_eq!(repaired["webhooks"][0]["rules"], wanted()["webhooks"][0]["rules"]);
        assert_eq!(repaired["webhooks"][0]["namespaceSelector"]["matchExpressions"][1], by_the_cloud);

        // The bundle is volgate's, unless cert-manager owns it.
        let mut there = stored(wanted());
        there["webhooks"][1]["clientConfig"]["caBundle"] = json!("T1RIRVI=");
        let repaired = desired(Some(&there), &wanted(), None, WORKS).unwrap();
        assert_eq!(repaired["webhooks"], wanted()["webhooks"]);
        there["metadata"]["annotations"]["cert-manager.io/inject-ca-from"] = json!("n/c");
        assert_eq!(desired(Some(&there), &wanted(), None, WORKS), None);
        // As when volgate asks for that itself: what is injected later stays, and is raised.
        let certificate = NamespacedName { namespace: "n".into(), name: "c".into() };
        let asked =
            Registration { inject_ca_from: Some(certificate), ca_bundle: Vec::new(), ..registration() };
        let asked = wanted_of(&asked);
        let mut there = stored(desired(None, &asked, None, NEW).unwrap());
        assert_eq!(there["webhooks"][0]["clientConfig"]["caBundle"], Value::Null);
        for hook in there["webhooks"].as_array_mut().unwrap() {
            hook["clientConfig"]["caBundle"] = json!("T1RIRVI=");
        }
        assert_eq!(desired(Some(&there), &asked, None, WORKS), None);
        let raised = desired(Some(&there), &asked, None, VERIFIED).unwrap();
        assert_eq!(policies(&raised), ["Fail", "Ignore", "Ignore", "Ignore"]);
        assert_eq!(raised["webhooks"][2]["clientConfig"]["caBundle"], "T1RIRVI=");
    }

    #[test]
    fn it_belongs_to_its_owner() {
        let owner = json!({"kind": "ClusterRole", "name": "volgate-registration", "uid": "u"});
        let there = stored(desired(None, &wanted(), Some(&owner), VERIFIED).unwrap());
        assert_eq!(there["metadata"]["ownerReferences"], json!([owner]));
        assert_eq!(desired(Some(&there), &wanted(), Some(&owner), WORKS), None);
        let other = json!({"kind": "ClusterRole", "name": "volgate-registration", "uid": "v"});
        assert!(desired(Some(&there), &wanted(), Some(&other), WORKS).is_some());
    }
}
