//! Constraints of Gatekeeper's library.

use super::{Draft, Translation, has_wildcards, list, read_only_root, text, texts};
use crate::verdict::Action;
use serde_json::{Value, json};

/// A constraint of Gatekeeper's library.
pub(super) fn constraint(object: &Value, kind: &str) -> Result<Translation, String> {
    let mut draft = Draft::new(object);
    let mut unsaid = Vec::new();
    let empty = Value::Null;
    let spec = object.get("spec").unwrap_or(&empty);
    let params = spec.get("parameters").unwrap_or(&empty);
    match kind {
        "K8sPSPHostFilesystem" => {
            let paths = list(params, "allowedHostPaths").iter().map(|path| {
                let read_only = path.get("readOnly").and_then(Value::as_bool).unwrap_or(false);
                let mut entry = json!({"path": text(path, "pathPrefix")});
                if let (true, Some(entry)) = (read_only, entry.as_object_mut()) {
                    entry.insert("readOnly".to_owned(), true.into());
                }
                entry
            });
            let paths: Vec<Value> = paths.collect();
            draft.rule(
                json!({"hostPath": if paths.is_empty() { json!({}) } else { json!({"allow": paths}) }}),
            );
        }
        "K8sPSPVolumeTypes" => {
            let types: Vec<&str> = texts(params, "volumes").collect();
            if types.contains(&"*") {
                return Err("it allows every type of volume, so that there is nothing to say".to_owned());
            }
            draft.rule(json!({"volumeTypes": {"allow": types}}));
        }
        "K8sPSPFlexVolumes" => {
            let drivers: Vec<&str> =
                list(params, "allowedFlexVolumes").iter().map(|it| text(it, "driver")).collect();
            draft.rule(json!({"volumeTypes": {"flexDrivers": {"allow": drivers}}}));
        }
        "K8sStorageClass" => {
            let classes: Vec<&str> = texts(params, "allowedStorageClasses").collect();
            let mut rule = json!({"requireName": true});
            if let (false, Some(rule)) = (classes.is_empty(), rule.as_object_mut()) {
                rule.insert("allow".to_owned(), json!(classes));
            }
            draft.rule(json!({"claimClass": rule}));
        }
        "K8sContainerEphemeralStorageLimit" => {
            let max = params
                .get("ephemeral-storage")
                .map(|max| max.as_str().map_or_else(|| max.to_string(), str::to_owned));
            draft.rule(json!({"ephemeralStorage": max.map_or_else(|| json!({}), |max| json!({"max": max}))}));
        }
        READ_ONLY_ROOT => {
            let all = "podSpec.?containers.orValue([]) + podSpec.?initContainers.orValue([]) + \
                       podSpec.?ephemeralContainers.orValue([])";
            let exempt: Vec<&str> = texts(params, "exemptImages").collect();
            draft.rule(read_only_root(all, &exempted(&exempt)));
        }
        _ => return Err(format!("a constraint of the kind {kind} is about no storage that volgate knows")),
    }
    for field in ["exemptImages", "exemptContainers"] {
        let is_said = kind == READ_ONLY_ROOT && field == "exemptImages";
        if !list(params, field).is_empty() && !is_said {
            unsaid.push(format!(
                "`parameters.{field}`: give those workloads an exception, by namespace or label"
            ));
        }
    }
    draft.action = match text(spec, "enforcementAction") {
        "" | "deny" => Action::Deny,
        "warn" => Action::Warn,
        "dryrun" => Action::Audit,
        other => {
            unsaid.push(format!("`enforcementAction: {other}`: the policy refuses"));
            Action::Deny
        }
    };
    gatekeeper_match(spec.get("match").unwrap_or(&empty), &mut draft, &mut unsaid)?;
    Ok(Translation::of(draft, unsaid))
}

const READ_ONLY_ROOT: &str = "K8sPSPReadOnlyRootFilesystem";

/// The beginning of an expression about the container `c`, which holds where its image is one of these.
fn exempted(images: &[&str]) -> String {
    let image = |image: &&str| match image.strip_suffix('*') {
        Some(beginning) => format!("c.image.startsWith({beginning:?}) || "),
        None => format!("c.image == {image:?} || "),
    };
    images.iter().map(image).collect()
}

fn gatekeeper_match(matches: &Value, draft: &mut Draft, unsaid: &mut Vec<String>) -> Result<(), String> {
    let kinds: Vec<&str> = list(matches, "kinds").iter().flat_map(|entry| texts(entry, "kinds")).collect();
    draft.kinds(kinds.into_iter());
    let same = [
        ("namespaces", "namespaces"),
        ("namespaceSelector", "namespaceSelector"),
        ("labelSelector", "objectSelector"),
    ];
    for (theirs, ours) in same {
        if let Some(part) = matches.get(theirs).filter(|part| !part.is_null()) {
            if has_wildcards(part) {
                return Err(format!("`match.{theirs}` with wildcards: name the labels"));
            }
            draft.matches.insert(ours.to_owned(), part.clone());
        }
    }
    let excluded = list(matches, "excludedNamespaces");
    if !excluded.is_empty() {
        draft.exclude.push(json!({"namespaces": excluded}));
    }
    let known = ["kinds", "namespaces", "namespaceSelector", "labelSelector", "excludedNamespaces"];
    for (key, value) in matches.as_object().into_iter().flatten() {
        // All scopes are meant by `*`.
        let is_every_scope = key == "scope" && value == "*";
        if !known.contains(&key.as_str()) && !is_every_scope {
            unsaid.push(format!("`match.{key}`: use labels or namespaces"));
        }
    }
    Ok(())
}
