//! What a rule of Kyverno is about.

use super::super::{Operations, has_wildcards, list, text, texts};
use super::MAKERS;
use serde_json::{Map, Value, json};

/// What a rule is about, and what not.
pub(super) struct Scope {
    /// The parts of `match`, without the kinds.
    pub(super) matches: Map<String, Value>,
    pub(super) exclude: Vec<Value>,
    pub(super) kinds: Vec<String>,
    pub(super) autogen: Autogen,
    pub(super) operations: Operations,
}

/// Whether Kyverno makes rules for what makes pods from a rule about pods.
pub(super) enum Autogen {
    /// The rule is not about pods alone, or selects them by labels.
    NotMeant,
    /// For everything that makes pods.
    All,
    /// For some kinds.
    Some(Vec<&'static str>),
    /// It is switched off.
    Off,
}

/// What an entry of `match` or `exclude` says.
#[derive(Clone, PartialEq)]
struct Subjects {
    parts: Map<String, Value>,
    kinds: Vec<String>,
    operations: Operations,
}

pub(super) fn scope(policy: &Value, rule: &Value, unsaid: &mut Vec<String>) -> Result<Scope, String> {
    let mut operations = match rule.get("preconditions") {
        None => Operations::ALL,
        Some(it) => of_preconditions(it)
            .ok_or("`preconditions`: say it with `match`, or with `when` of a `cel` rule")?,
    };
    if rule.get("context").is_some() {
        return Err("`context`: volgate reads no other objects for a policy's author".to_owned());
    }
    let empty = Value::Null;
    let mut entries = subjects(rule.get("match").unwrap_or(&empty))?.into_iter();
    let Some(mut matched) = entries.next() else { return Err("its `match` names nothing".to_owned()) };
    for entry in entries {
        if (&entry.parts, entry.operations) != (&matched.parts, matched.operations)
            || entry.kinds.is_empty() != matched.kinds.is_empty()
        {
            return Err("`match.any` with several different entries: split it into policies".to_owned());
        }
        matched.kinds.extend(entry.kinds);
    }
    operations = operations.and(matched.operations);
    if text(policy, "kind") == "Policy" {
        let namespace = policy.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or("default");
        matched.parts.insert("namespaces".to_owned(), json!([namespace]));
    }
    let mut exclude = Vec::new();
    match subjects(rule.get("exclude").unwrap_or(&empty)) {
        Err(why) => unsaid.push(format!("`exclude`: {why}")),
        Ok(entries) => {
            for Subjects { mut parts, kinds, operations } in entries {
                match (operations.create, operations.update) {
                    (true, true) => {}
                    (false, false) => continue,
                    _ => {
                        unsaid.push("`exclude`: some operations alone: there is none here".to_owned());
                        continue;
                    }
                }
                if !kinds.is_empty() {
                    parts.insert("kinds".to_owned(), json!(kinds));
                }
                exclude.push(Value::Object(parts));
            }
        }
    }
    let is_selected = matched.parts.contains_key("objectSelector");
    let autogen = match super::annotated(policy) {
        _ if is_selected || matched.kinds.iter().any(|kind| kind != "Pod") || matched.kinds.is_empty() => {
            Autogen::NotMeant
        }
        None => Autogen::All,
        Some(named) if named.is_empty() => Autogen::Off,
        Some(named) if named.len() == MAKERS.len() => Autogen::All,
        Some(named) => Autogen::Some(named),
    };
    Ok(Scope { matches: matched.parts, exclude, kinds: matched.kinds, autogen, operations })
}

/// The operations for which preconditions hold that ask for nothing else.
fn of_preconditions(preconditions: &Value) -> Option<Operations> {
    let one = |condition: &Value| -> Option<Operations> {
        let key = text(condition, "key").trim_start_matches("{{").trim_end_matches("}}").trim();
        let key = key.split("||").next().unwrap_or_default().trim();
        if key != "request.operation" {
            return None;
        }
        let value = condition.get("value")?;
        let mut named = vec![value.as_str()];
        if let Some(list) = value.as_array() {
            named = list.iter().map(Value::as_str).collect();
        }
        let named: Vec<&str> = named.into_iter().collect::<Option<_>>()?;
        let has = |name: &str| named.contains(&name);
        let among = Operations { create: has("CREATE"), update: has("UPDATE") };
        match text(condition, "operator") {
            "Equal" | "Equals" | "In" | "AnyIn" | "AllIn" => Some(among),
            "NotEqual" | "NotEquals" | "NotIn" | "AnyNotIn" | "AllNotIn" => {
                Some(Operations { create: !among.create, update: !among.update })
            }
            _ => None,
        }
    };
    let none = Operations { create: false, update: false };
    let all = list(preconditions, "all").iter().chain(preconditions.as_array().into_iter().flatten());
    let all = all.map(one).try_fold(Operations::ALL, |so_far, it| Some(so_far.and(it?)))?;
    match list(preconditions, "any") {
        [] => Some(all),
        any => Some(all.and(any.iter().map(one).try_fold(none, |so_far, it| Some(so_far.or(it?)))?)),
    }
}

/// The entries of `match` or `exclude`, any of which is enough.
fn subjects(matches: &Value) -> Result<Vec<Subjects>, String> {
    let (any, all) = (list(matches, "any"), list(matches, "all"));
    match (any, all) {
        ([], []) => {
            let old = ["resources", "subjects", "roles", "clusterRoles"];
            let is_given = old.iter().any(|key| matches.get(key).is_some());
            if is_given { Ok(vec![entry(matches)?]) } else { Ok(Vec::new()) }
        }
        (any, []) => any.iter().map(entry).collect(),
        ([], all) => {
            let mut entries = all.iter().map(entry);
            let Some(mut one) = entries.next().transpose()? else { return Ok(Vec::new()) };
            for entry in entries {
                let entry = entry?;
                let has_same = entry.parts.keys().any(|key| one.parts.contains_key(key))
                    || !entry.kinds.is_empty() && !one.kinds.is_empty();
                if has_same {
                    return Err("`all` with entries that ask for the same: write one entry".to_owned());
                }
                one.parts.extend(entry.parts);
                one.kinds.extend(entry.kinds);
                one.operations = one.operations.and(entry.operations);
            }
            Ok(vec![one])
        }
        _ => Err("`any` beside `all`: write one of them".to_owned()),
    }
}

fn entry(entry: &Value) -> Result<Subjects, String> {
    let empty = Value::Null;
    let resources = entry.get("resources").unwrap_or(&empty);
    let mut subjects = Subjects {
        parts: Map::new(),
        kinds: Vec::new(),
        operations: Operations::of(texts(resources, "operations")),
    };
    for (key, value) in resources.as_object().into_iter().flatten() {
        match key.as_str() {
            "kinds" => subjects.kinds = kinds(texts(resources, "kinds"))?,
            "namespaces" if texts(resources, "namespaces").any(|name| name.contains('?')) => {
                return Err("`resources.namespaces` with `?`: only `*` stands for other text here".to_owned());
            }
            "namespaces" => drop(subjects.parts.insert(key.clone(), value.clone())),
            "selector" | "namespaceSelector" if has_wildcards(value) => {
                return Err(format!("`resources.{key}` with wildcards: name the labels"));
            }
            "namespaceSelector" => drop(subjects.parts.insert(key.clone(), value.clone())),
            "selector" => drop(subjects.parts.insert("objectSelector".to_owned(), value.clone())),
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
        subjects.parts.insert("users".to_owned(), Value::Object(users));
    }
    if !list(entry, "clusterRoles").is_empty() || !list(entry, "roles").is_empty() {
        return Err("roles: name users, groups or service accounts".to_owned());
    }
    Ok(subjects)
}

/// The kinds alone; none, where all are meant.
fn kinds<'n>(names: impl Iterator<Item = &'n str>) -> Result<Vec<String>, String> {
    let mut kinds: Vec<String> = Vec::new();
    let mut is_all = false;
    for name in names {
        let parts: Vec<&str> = name.split('/').collect();
        let is_kind = |part: &&&str| part.starts_with(|first: char| first.is_ascii_uppercase());
        let kind = parts.iter().find(is_kind).copied();
        let behind = parts.iter().skip_while(|part| !is_kind(part)).nth(1);
        match (kind, behind) {
            (None, _) if parts.last() == Some(&"*") => is_all = true,
            // A change of ephemeral containers is judged along with the pod.
            (Some("Pod"), Some(&"ephemeralcontainers")) => kinds.push("Pod".to_owned()),
            (Some(kind), None) if kind.chars().all(|c| c.is_ascii_alphanumeric()) => {
                kinds.push(kind.to_owned())
            }
            _ => return Err(format!("`resources.kinds`: {name}: name whole kinds, without subresources")),
        }
    }
    kinds.dedup();
    Ok(if is_all { Vec::new() } else { kinds })
}
