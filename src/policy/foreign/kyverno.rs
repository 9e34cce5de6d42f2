//! Policies of Kyverno with patterns and conditions.

use super::in_cel::cel_rules;
use super::{Draft, list, text, texts};
use crate::verdict::Action;
use serde_json::{Map, Value, json};

/// A policy of Kyverno with rules of patterns and conditions.
pub(super) fn cluster_policy(object: &Value) -> Result<Draft, String> {
    let mut draft = Draft::new(object);
    let empty = Value::Null;
    let spec = object.get("spec").unwrap_or(&empty);
    let mut scopes: Vec<(Map<String, Value>, Vec<Value>)> = Vec::new();
    let mut actions = vec![text(spec, "validationFailureAction")];
    for rule in list(spec, "rules") {
        let name = text(rule, "name").to_owned();
        let before = draft.rules.len();
        let Some(validate) = rule.get("validate") else {
            let what = ["mutate", "generate", "verifyImages"].into_iter().find(|key| rule.get(key).is_some());
            draft
                .unsaid
                .push(format!("rule {name}: `{}`: only checks are translated", what.unwrap_or("no check")));
            continue;
        };
        let scope = match kyverno_scope(rule, &mut draft.unsaid) {
            Ok(scope) => scope,
            Err(why) => {
                draft.unsaid.push(format!("rule {name}: {why}"));
                continue;
            }
        };
        if let Err(why) = kyverno_check(validate, rule, &name, &mut draft) {
            draft.rules.truncate(before);
            draft.unsaid.push(format!("rule {name}: {why}"));
            continue;
        }
        actions.push(text(validate, "failureAction"));
        scopes.push(scope);
    }
    let Some((first, exclude)) = scopes.first().cloned() else { return Ok(draft) };
    if scopes.iter().any(|(_, other)| *other != exclude) {
        return Err(
            "its rules leave out different objects: split it into policies of one rule each".to_owned()
        );
    }
    // The rules here read only what they are about, so that kinds can be put together.
    let mut kinds: Vec<Value> = Vec::new();
    for (matches, _) in &scopes {
        let rest = |matches: &Map<String, Value>| {
            let mut rest = matches.clone();
            rest.remove("kinds");
            rest
        };
        if rest(matches) != rest(&first) {
            return Err(
                "its rules are about different objects: split it into policies of one rule each".to_owned()
            );
        }
        for kind in matches.get("kinds").and_then(Value::as_array).into_iter().flatten() {
            if !kinds.contains(kind) {
                kinds.push(kind.clone());
            }
        }
    }
    draft.matches = first;
    if !kinds.is_empty() {
        draft.matches.insert("kinds".to_owned(), Value::Array(kinds));
    }
    draft.exclude = exclude;
    let enforces = actions.iter().any(|action| action.eq_ignore_ascii_case("enforce"));
    draft.action = if enforces { Action::Deny } else { Action::Audit };
    if let Some(namespace) =
        object.pointer("/metadata/namespace").filter(|_| text(object, "kind") == "Policy")
    {
        draft.matches.insert("namespaces".to_owned(), json!([namespace]));
    }
    Ok(draft)
}

/// What a rule of Kyverno is about, and what not.
fn kyverno_scope(rule: &Value, unsaid: &mut Vec<String>) -> Result<(Map<String, Value>, Vec<Value>), String> {
    if rule.get("preconditions").is_some_and(|it| !is_about_operation(it)) {
        return Err("`preconditions`: say it with `match`, or with `when` of a `cel` rule".to_owned());
    }
    if rule.get("context").is_some() {
        return Err("`context`: volgate reads no other objects for a policy's author".to_owned());
    }
    let empty = Value::Null;
    let matches = entries(rule.get("match").unwrap_or(&empty));
    let mut matched = Map::new();
    match matches.as_slice() {
        [] => {}
        [one] => matched = kyverno_subjects(one)?,
        several => {
            let mut kinds = Vec::new();
            for entry in several {
                let mut entry = kyverno_subjects(entry)?;
                match entry.remove("kinds") {
                    Some(Value::Array(own)) if entry.is_empty() => kinds.extend(own),
                    _ => {
                        return Err(
                            "`match.any` with several different entries: split it into policies".to_owned()
                        );
                    }
                }
            }
            matched.insert("kinds".to_owned(), Value::Array(kinds));
        }
    }
    let mut excluded = Vec::new();
    for entry in entries(rule.get("exclude").unwrap_or(&empty)) {
        match kyverno_subjects(entry) {
            Ok(subjects) => excluded.push(Value::Object(subjects)),
            Err(why) => unsaid.push(format!("rule {}: `exclude`: {why}", text(rule, "name"))),
        }
    }
    Ok((matched, excluded))
}

/// Whether a precondition only keeps deletions out, of which volgate is not asked.
fn is_about_operation(preconditions: &Value) -> bool {
    let conditions = ["all", "any"].into_iter().flat_map(|key| list(preconditions, key));
    let mut conditions = conditions.chain(preconditions.as_array().into_iter().flatten());
    conditions.all(|condition| text(condition, "key").contains("request.operation"))
}

fn entries(matches: &Value) -> Vec<&Value> {
    let listed: Vec<&Value> = ["any", "all"].into_iter().flat_map(|key| list(matches, key)).collect();
    if listed.is_empty() && matches.get("resources").is_some() { vec![matches] } else { listed }
}

fn kyverno_subjects(entry: &Value) -> Result<Map<String, Value>, String> {
    let empty = Value::Null;
    let resources = entry.get("resources").unwrap_or(&empty);
    let mut subjects = Map::new();
    for (key, value) in resources.as_object().into_iter().flatten() {
        match key.as_str() {
            "kinds" => {
                let kinds = texts(resources, "kinds").map(|kind| kind.rsplit('/').next().unwrap_or(kind));
                let kinds: Vec<&str> = kinds.collect();
                if !kinds.contains(&"*") {
                    subjects.insert("kinds".to_owned(), json!(kinds));
                }
            }
            "namespaces" | "namespaceSelector" => drop(subjects.insert(key.clone(), value.clone())),
            "selector" => drop(subjects.insert("objectSelector".to_owned(), value.clone())),
            // Of deletions volgate is not asked; an update is judged where something of it can change.
            "operations" => {}
            _ => return Err(format!("`resources.{key}`: use labels or namespaces")),
        }
    }
    let mut users = Map::new();
    for subject in list(entry, "subjects") {
        let (list, name) = match text(subject, "kind") {
            "User" => ("names", text(subject, "name").to_owned()),
            "Group" => ("groups", text(subject, "name").to_owned()),
            "ServiceAccount" => {
                ("serviceAccounts", format!("{}/{}", text(subject, "namespace"), text(subject, "name")))
            }
            other => return Err(format!("a subject of the kind {other:?}")),
        };
        let all = users.entry(list).or_insert_with(|| json!([]));
        if let Some(all) = all.as_array_mut() {
            all.push(name.into());
        }
    }
    if !users.is_empty() {
        subjects.insert("users".to_owned(), Value::Object(users));
    }
    if !list(entry, "clusterRoles").is_empty() || !list(entry, "roles").is_empty() {
        return Err("roles: name users, groups or service accounts".to_owned());
    }
    Ok(subjects)
}

/// What a rule of Kyverno asks, as rules of volgate.
fn kyverno_check(validate: &Value, rule: &Value, name: &str, draft: &mut Draft) -> Result<(), String> {
    if let Some(cel) = validate.get("cel") {
        return cel_rules(cel, "expressions", name, draft);
    }
    if let Some(deny) = validate.get("deny") {
        return volume_types_denied(deny, draft);
    }
    let Some(pattern) = validate.get("pattern") else {
        let what = ["foreach", "anyPattern", "podSecurity", "manifests", "assert"];
        let what = what.into_iter().find(|key| validate.get(key).is_some()).unwrap_or("no pattern");
        return Err(format!("`{what}`: no rule of volgate is like it; a `cel` rule may be"));
    };
    let unknown =
        || Err("its pattern is not one that volgate has a rule for; a `cel` rule may say it".to_owned());
    let kinds = || {
        entries(rule.get("match").unwrap_or(&Value::Null))
            .into_iter()
            .flat_map(|entry| {
                texts(entry.get("resources").unwrap_or(&Value::Null), "kinds").collect::<Vec<_>>()
            })
            .collect::<Vec<_>>()
    };
    match only(pattern) {
        Some(("reclaimPolicy", wanted)) if kinds().iter().all(|kind| kind.ends_with("StorageClass")) => {
            let wanted = wanted.as_str().unwrap_or_default();
            if !matches!(wanted, "Delete" | "Retain") {
                return unknown();
            }
            draft.rule("storageClass", json!({"reclaimPolicy": wanted}));
            Ok(())
        }
        Some(("spec", spec)) => match only(spec) {
            Some(("storageClassName", class)) if class == "?*" => {
                draft.rule("claimClass", json!({"requireName": true}));
                Ok(())
            }
            Some(("volumeClaimTemplates", templates)) if wants_class(templates) => {
                draft.rule("claimClass", json!({"requireName": true}));
                Ok(())
            }
            Some(("volumes", volumes)) => match banned_types(volumes) {
                Some(types) if types == ["hostPath"] => {
                    draft.rule("hostPath", json!({}));
                    Ok(())
                }
                Some(types) => {
                    draft.rule("volumeTypes", json!({"deny": types}));
                    Ok(())
                }
                None => match denied_path(volumes) {
                    Some(path) => {
                        draft.rule("hostPath", json!({"deny": [path]}));
                        Ok(())
                    }
                    None => unknown(),
                },
            },
            _ => unknown(),
        },
        _ => unknown(),
    }
}

/// The one field of a pattern, without Kyverno's mark that it need not be there.
fn only(pattern: &Value) -> Option<(&str, &Value)> {
    let fields = pattern.as_object().filter(|fields| fields.len() == 1)?;
    let (key, value) = fields.iter().next()?;
    let key = key.strip_prefix("=(").and_then(|key| key.strip_suffix(')')).unwrap_or(key);
    Some((key, value))
}

fn wants_class(templates: &Value) -> bool {
    let template = templates.as_array().and_then(|list| list.first());
    let spec = template.and_then(only).filter(|(key, _)| *key == "spec");
    spec.and_then(|(_, spec)| only(spec))
        .is_some_and(|(key, class)| key == "storageClassName" && class == "?*")
}

/// The types of volumes that a pattern says are not there.
fn banned_types(volumes: &Value) -> Option<Vec<&str>> {
    let [volume] = volumes.as_array()?.as_slice() else { return None };
    let fields = volume.as_object()?;
    let banned = fields.keys().map(|key| key.strip_prefix("X(")?.strip_suffix(')'));
    banned.collect()
}

/// The one path of a node that a pattern says is not mounted.
fn denied_path(volumes: &Value) -> Option<&str> {
    let [volume] = volumes.as_array()?.as_slice() else { return None };
    let (_, source) = only(volume).filter(|(key, _)| *key == "hostPath")?;
    let (_, path) = only(source).filter(|(key, _)| *key == "path")?;
    let path = path.as_str()?.strip_prefix('!')?;
    (path.starts_with('/') && !path.contains(['*', '?', '|', '&', '{'])).then_some(path)
}

/// A denial of all types of volumes but those of a list.
fn volume_types_denied(deny: &Value, draft: &mut Draft) -> Result<(), String> {
    let empty = Value::Null;
    let conditions = deny.get("conditions").unwrap_or(&empty);
    let conditions: Vec<&Value> = ["all", "any"].into_iter().flat_map(|key| list(conditions, key)).collect();
    let unknown = || {
        Err("its conditions are not those that volgate has a rule for; a `cel` rule may say them".to_owned())
    };
    let [condition] = conditions.as_slice() else { return unknown() };
    let is_of_types = text(condition, "key").contains("spec.volumes[].keys(@)[]");
    if !is_of_types || !matches!(text(condition, "operator"), "AnyNotIn" | "NotIn") {
        return unknown();
    }
    let types: Vec<&str> = texts(condition, "value").filter(|name| !matches!(*name, "" | "name")).collect();
    draft.rule("volumeTypes", json!({"allow": types}));
    Ok(())
}
