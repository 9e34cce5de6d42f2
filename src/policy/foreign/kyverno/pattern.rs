//! Patterns of Kyverno that rules of volgate say.

use super::super::{list, read_only_root, text};
use super::MAKERS;
use crate::model::AccessMode;
use serde_json::{Map, Value, json};

/// What a pattern says here.
#[derive(Default)]
pub(super) struct Said {
    pub(super) rules: Vec<Value>,
    /// What is not quite the same.
    pub(super) notes: Vec<String>,
}

impl Said {
    fn one(rule: Value) -> Option<Self> {
        Some(Self { rules: vec![rule], notes: Vec::new() })
    }
}

/// What a pattern about these kinds says, if all of it can be said.
pub(super) fn rules(pattern: &Value, kinds: &[&str]) -> Option<Said> {
    let are = |kind: &str| !kinds.is_empty() && kinds.iter().all(|it| *it == kind);
    if are("StorageClass") {
        return class_rules(pattern.as_object()?);
    }
    if are("PersistentVolumeClaim") {
        return claim_rules(field(pattern, "spec")?);
    }
    if are("PersistentVolume") {
        return node_paths(field(pattern, "spec")?);
    }
    if are("StatefulSet")
        && let Some(templates) = field(pattern, "spec").and_then(|spec| field(spec, "volumeClaimTemplates"))
    {
        let [template] = templates.as_array()?.as_slice() else { return None };
        return claim_rules(field(template, "spec")?);
    }
    let spec = pod_spec(pattern, kinds)?;
    match field(spec, "volumes") {
        Some(volumes) => volume_rules(volumes),
        None => container_rules(spec.as_object()?),
    }
}

/// The value of a pattern's one field, if that is its name. `=(name)` says that it need not be there.
fn field<'v>(pattern: &'v Value, name: &str) -> Option<&'v Value> {
    let fields = pattern.as_object().filter(|fields| fields.len() == 1)?;
    let (key, value) = fields.iter().next()?;
    let (key, _) = optional(key);
    (key == name).then_some(value)
}

/// A field's name, and whether it need not be there.
fn optional(key: &str) -> (&str, bool) {
    match key.strip_prefix("=(").and_then(|key| key.strip_suffix(')')) {
        Some(key) => (key, true),
        None => (key, false),
    }
}

fn pod_spec<'v>(pattern: &'v Value, kinds: &[&str]) -> Option<&'v Value> {
    let spec = field(pattern, "spec")?;
    let makes =
        |kind: &&str| MAKERS.contains(kind) || matches!(*kind, "ReplicaSet" | "ReplicationController");
    match kinds {
        [] => None,
        ["Pod"] => Some(spec),
        ["CronJob"] => field(field(field(spec, "jobTemplate")?, "spec")?, "template")
            .and_then(|template| field(template, "spec")),
        kinds if kinds.iter().all(|kind| makes(kind) && *kind != "CronJob") => {
            field(field(spec, "template")?, "spec")
        }
        _ => None,
    }
}

fn class_rules(pattern: &Map<String, Value>) -> Option<Said> {
    let mut rule = Map::new();
    for (key, wanted) in pattern {
        let wanted = wanted.as_str()?;
        match optional(key).0 {
            "reclaimPolicy" if matches!(wanted, "Delete" | "Retain") => {
                rule.insert("reclaimPolicy".to_owned(), wanted.into());
            }
            "provisioner" => {
                let (allow, deny) = names(wanted)?;
                rule.insert("provisioners".to_owned(), json!({"allow": allow, "deny": deny}));
            }
            _ => return None,
        }
    }
    Said::one(json!({"storageClass": rule})).filter(|_| !pattern.is_empty())
}

/// The names that one may have, or those that it may not.
fn names(wanted: &str) -> Option<(Vec<&str>, Vec<&str>)> {
    let parts: Vec<&str> = wanted.split('|').map(str::trim).collect();
    if let [one] = parts.as_slice()
        && let Some(denied) = one.strip_prefix('!')
    {
        return is_name(denied).then(|| (Vec::new(), vec![denied]));
    }
    parts.iter().all(|part| is_name(part)).then_some((parts, Vec::new()))
}

/// Whether it is a name, perhaps with `*`, and nothing else that a pattern can say.
fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(['?', '!', '|', '&', '<', '>', '{', '(', ' ']) && text != "*"
}

fn claim_rules(spec: &Value) -> Option<Said> {
    let spec = spec.as_object().filter(|spec| !spec.is_empty())?;
    let mut said = Said::default();
    for (key, wanted) in spec {
        let (name, is_optional) = optional(key);
        let rule = match name {
            "storageClassName" => {
                let mut rule = json!({"mustExist": false, "allowNone": false});
                let fields = rule.as_object_mut()?;
                if !is_optional {
                    fields.insert("requireName".to_owned(), true.into());
                }
                if wanted != "?*" {
                    let (allow, deny) = names(wanted.as_str()?)?;
                    let (key, list) = if deny.is_empty() { ("allow", allow) } else { ("deny", deny) };
                    fields.insert(key.to_owned(), json!(list));
                }
                json!({"claimClass": rule})
            }
            "accessModes" => {
                let [mode] = wanted.as_array()?.as_slice() else { return None };
                json!({"accessModes": {"allow": modes(mode.as_str()?)?}})
            }
            "resources" => {
                let size = field(field(wanted, "requests")?, "storage")?;
                json!({"claimSize": sizes(size.as_str()?)?})
            }
            _ => return None,
        };
        said.rules.push(rule);
    }
    Some(said)
}

fn modes(wanted: &str) -> Option<Vec<&str>> {
    let (allow, deny) = names(wanted)?;
    if deny.is_empty() {
        return Some(allow).filter(|allow| allow.iter().all(|mode| AccessMode::parse(mode).is_some()));
    }
    let all = ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"];
    let is_known = deny.iter().all(|mode| all.contains(mode));
    is_known.then(|| all.into_iter().filter(|mode| !deny.contains(mode)).collect())
}

fn sizes(wanted: &str) -> Option<Value> {
    let mut bounds = Map::new();
    for part in wanted.split('&').map(str::trim) {
        let (bound, size) = match (part.strip_prefix("<="), part.strip_prefix(">=")) {
            (Some(size), _) => ("max", size),
            (_, Some(size)) => ("min", size),
            _ => return None,
        };
        bounds.insert(bound.to_owned(), size.trim().into());
    }
    Some(Value::Object(bounds))
}

fn volume_rules(volumes: &Value) -> Option<Said> {
    let [volume] = volumes.as_array()?.as_slice() else { return None };
    if let Some(limit) = field(volume, "emptyDir").and_then(|empty_dir| field(empty_dir, "sizeLimit")) {
        let limit = limit.as_str()?;
        let bound = if limit == "?*" { None } else { Some(limit.strip_prefix("<=")?.trim()) };
        let params = bound.map_or_else(|| json!({}), |bound| json!({"maxSize": bound}));
        return Said::one(json!({"emptyDir": params}));
    }
    match banned(volume.as_object()?) {
        Some(types) if types == ["hostPath"] => Said::one(json!({"hostPath": {}})),
        Some(types) => Said::one(json!({"volumeTypes": {"deny": types}})),
        None => node_paths(volume),
    }
}

/// The types of volumes that a pattern says are not there.
fn banned(fields: &Map<String, Value>) -> Option<Vec<&str>> {
    let banned = fields.keys().map(|key| key.strip_prefix("X(")?.strip_suffix(')'));
    banned.collect::<Option<Vec<_>>>().filter(|types| !types.is_empty())
}

/// What is said of the path of a `hostPath`, of a pod's volume or of a PersistentVolume.
fn node_paths(source: &Value) -> Option<Said> {
    if banned(source.as_object()?).is_some_and(|types| types == ["hostPath"]) {
        return Said::one(json!({"hostPath": {}}));
    }
    let path = field(field(source, "hostPath")?, "path")?.as_str()?;
    let is_path = |path: &str| path.starts_with('/') && !path.contains(['*', '?', '|', '&', '!', '{']);
    let denied: Option<Vec<&str>> = path.split('&').map(|part| part.trim().strip_prefix('!')).collect();
    if let Some(denied) = denied {
        return Said::one(json!({"hostPath": {"deny": denied}}))
            .filter(|_| denied.iter().all(|it| is_path(it)));
    }
    let mut said = Said::default();
    let mut allow = Vec::new();
    for part in path.split('|').map(str::trim) {
        // A path without `*` is that one alone, and what lies beneath it is not said to be allowed.
        let base = part.strip_suffix("?*").or_else(|| part.strip_suffix('*'))?;
        let (base, note) = match base.strip_suffix('/') {
            Some("") => ("/", None),
            Some(base) => {
                (base, Some(format!("{base} itself may be mounted here, and not only what lies beneath it")))
            }
            None => (
                base,
                Some(format!(
                    "only {base} and what lies beneath it may be mounted here, and no other path that begins so"
                )),
            ),
        };
        if !is_path(base) {
            return None;
        }
        allow.push(json!({"path": base}));
        said.notes.extend(note.map(|note| format!("`{part}`: {note}")));
    }
    said.rules.push(json!({"hostPath": {"allow": allow}}));
    Some(said)
}

fn container_rules(sections: &Map<String, Value>) -> Option<Said> {
    let mut element = None;
    let mut lists = Vec::new();
    for (key, containers) in sections {
        let [one] = containers.as_array()?.as_slice() else { return None };
        if element.is_some_and(|element| element != one) {
            return None;
        }
        element = Some(one);
        lists.push(match optional(key).0 {
            "containers" => "podSpec.containers",
            "initContainers" => "podSpec.?initContainers.orValue([])",
            "ephemeralContainers" => "podSpec.?ephemeralContainers.orValue([])",
            _ => return None,
        });
    }
    let (key, asked) = element?.as_object().filter(|fields| fields.len() == 1)?.iter().next()?;
    match key.as_str() {
        "securityContext" => {
            let fields = asked.as_object().filter(|fields| fields.len() == 1)?;
            let wanted = fields.get("readOnlyRootFilesystem")?;
            let is_true = *wanted == Value::Bool(true) || wanted == "true";
            is_true.then(|| Said { rules: vec![read_only_root(&lists.join(" + "), "")], notes: Vec::new() })
        }
        "resources" => {
            let mut said = storage_rule(asked.as_object()?)?;
            if !lists.iter().any(|list| list.contains("initContainers")) {
                said.notes.push("init containers are judged as well here".to_owned());
            }
            Some(said)
        }
        _ => None,
    }
}

fn storage_rule(resources: &Map<String, Value>) -> Option<Said> {
    let (mut limit, mut request, mut max) = (false, false, None);
    for (key, amounts) in resources {
        let amounts = amounts.as_object().filter(|amounts| amounts.len() == 1)?;
        let wanted = amounts.get("ephemeral-storage")?.as_str()?;
        match key.as_str() {
            "limits" => limit = true,
            "requests" if wanted == "?*" => request = true,
            _ => return None,
        }
        if wanted != "?*" {
            max = Some(wanted.strip_prefix("<=")?.trim());
        }
    }
    let mut rule = json!({"requireLimit": limit, "requireRequest": request});
    if let (Some(max), Some(rule)) = (max, rule.as_object_mut()) {
        rule.insert("max".to_owned(), max.into());
    }
    (limit || request).then(|| Said { rules: vec![json!({"ephemeralStorage": rule})], notes: Vec::new() })
}

/// The types of volumes that a denial leaves, where it denies all but those of a list.
pub(super) fn types_but_for<'v>(deny: &'v Value, kinds: &[&str]) -> Option<Vec<&'v str>> {
    let conditions = deny.get("conditions")?;
    let mut conditions = list(conditions, "all").iter().chain(list(conditions, "any"));
    let (Some(condition), None) = (conditions.next(), conditions.next()) else { return None };
    if !matches!(text(condition, "operator"), "AnyNotIn" | "NotIn") {
        return None;
    }
    let key = text(condition, "key").trim_start_matches("{{").trim_end_matches("}}");
    let key = key.split("||").next()?.trim();
    let volumes = key.strip_prefix("request.object.")?.strip_suffix(".volumes[].keys(@)[]")?;
    let (of_pods, of_templates) = (volumes == "spec", volumes == "spec.template.spec");
    let is_of = |kind: &&str| if *kind == "Pod" { of_pods } else { of_templates && MAKERS.contains(kind) };
    if kinds.is_empty() || !kinds.iter().all(is_of) {
        return None;
    }
    let named: Vec<&str> =
        condition.get("value")?.as_array()?.iter().map(Value::as_str).collect::<Option<_>>()?;
    let types: Vec<&str> = named.into_iter().filter(|name| !matches!(*name, "" | "name")).collect();
    types.iter().all(|name| is_name(name) && !name.contains('*')).then_some(types)
}
