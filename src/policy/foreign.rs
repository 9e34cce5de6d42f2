//! Policies of Kyverno and Gatekeeper as StoragePolicies, as far as they are about storage and can be said.

use super::load::load;
use super::schema::{API_VERSION, KIND};
use crate::verdict::Action;
use serde_json::{Map, Value, json};

/// What came of one policy of another engine.
#[derive(Debug, Default)]
pub struct Converted {
    /// The StoragePolicy, where anything could be said.
    pub policy: Option<Value>,
    /// What could not, a sentence each.
    pub unsaid: Vec<String>,
}

impl Converted {
    fn nothing(why: impl Into<String>) -> Self {
        Self { policy: None, unsaid: vec![why.into()] }
    }
}

/// What a StoragePolicy is put together from.
#[derive(Default)]
struct Draft {
    name: String,
    matches: Map<String, Value>,
    exclude: Vec<Value>,
    rules: Vec<Value>,
    action: Action,
    unsaid: Vec<String>,
}

/// The longest list that is read: more is no policy that a person wrote.
const MOST: usize = 500;

/// Translates one object.
pub fn converted(object: &Value) -> Converted {
    let api_version = text(object, "apiVersion");
    let group = api_version.split('/').next().unwrap_or_default();
    let kind = text(object, "kind");
    let draft = match (group, kind) {
        ("constraints.gatekeeper.sh", kind) => constraint(object, kind),
        ("templates.gatekeeper.sh", _) => Err(
            "a ConstraintTemplate holds code in Rego or CEL: translate the constraints that are made of it"
                .to_owned(),
        ),
        ("kyverno.io", "ClusterPolicy" | "Policy") => cluster_policy(object),
        ("policies.kyverno.io", "ValidatingPolicy" | "NamespacedValidatingPolicy")
        | ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy") => validating_policy(object),
        (_, kind) => Err(format!(
            "{kind:?} of {api_version:?} is no policy that checks objects, of Kyverno or Gatekeeper"
        )),
    };
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    match draft {
        Ok(draft) => draft.finish(name),
        Err(why) => Converted::nothing(format!("{name}: {why}")),
    }
}

impl Draft {
    fn new(object: &Value) -> Self {
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("translated");
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// The policy, if volgate takes it: what the other engine's language has more than this one shows here.
    fn finish(self, name: &str) -> Converted {
        let said = |lines: Vec<String>| lines.into_iter().map(|line| format!("{name}: {line}")).collect();
        if self.rules.is_empty() {
            return Converted { policy: None, unsaid: said(self.unsaid) };
        }
        let mut spec = json!({"action": self.action.as_str(), "rules": self.rules});
        if let Some(spec) = spec.as_object_mut() {
            if !self.matches.is_empty() {
                spec.insert("match".to_owned(), Value::Object(self.matches));
            }
            if !self.exclude.is_empty() {
                spec.insert("exclude".to_owned(), Value::Array(self.exclude));
            }
        }
        let policy =
            json!({"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": self.name}, "spec": spec});
        match load(&policy) {
            Ok(_) => Converted { policy: Some(policy), unsaid: said(self.unsaid) },
            Err(faults) => {
                let faults = faults.iter().map(|fault| format!("it cannot be said here: {}", fault.message));
                Converted { policy: None, unsaid: said(self.unsaid.into_iter().chain(faults).collect()) }
            }
        }
    }

    fn rule(&mut self, field: &str, params: Value) {
        let rule = json!({field: params});
        if !self.rules.contains(&rule) {
            self.rules.push(rule);
        }
    }

    fn kinds<'k>(&mut self, kinds: impl Iterator<Item = &'k str>) {
        let all: Vec<Value> = kinds.map(|kind| kind.rsplit('/').next().unwrap_or(kind).into()).collect();
        if !all.is_empty() && !all.iter().any(|kind| kind == "*") {
            self.matches.insert("kinds".to_owned(), Value::Array(all));
        }
    }
}

fn text<'v>(object: &'v Value, key: &str) -> &'v str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn list<'v>(object: &'v Value, key: &str) -> &'v [Value] {
    let list = object.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    list.get(..MOST).unwrap_or(list)
}

fn texts<'v>(object: &'v Value, key: &str) -> impl Iterator<Item = &'v str> {
    list(object, key).iter().filter_map(Value::as_str)
}

/// A constraint of Gatekeeper's library.
fn constraint(object: &Value, kind: &str) -> Result<Draft, String> {
    let mut draft = Draft::new(object);
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
            draft.rule("hostPath", if paths.is_empty() { json!({}) } else { json!({"allow": paths}) });
        }
        "K8sPSPVolumeTypes" => {
            let types: Vec<&str> = texts(params, "volumes").collect();
            if types.contains(&"*") {
                return Err("it allows every type of volume, so that there is nothing to say".to_owned());
            }
            draft.rule("volumeTypes", json!({"allow": types}));
        }
        "K8sPSPFlexVolumes" => {
            let drivers: Vec<&str> =
                list(params, "allowedFlexVolumes").iter().map(|it| text(it, "driver")).collect();
            draft.rule("volumeTypes", json!({"flexDrivers": {"allow": drivers}}));
        }
        "K8sStorageClass" => {
            let classes: Vec<&str> = texts(params, "allowedStorageClasses").collect();
            let mut rule = json!({"requireName": true});
            if let (false, Some(rule)) = (classes.is_empty(), rule.as_object_mut()) {
                rule.insert("allow".to_owned(), json!(classes));
            }
            draft.rule("claimClass", rule);
        }
        "K8sContainerEphemeralStorageLimit" => {
            let max = params
                .get("ephemeral-storage")
                .map(|max| max.as_str().map_or_else(|| max.to_string(), str::to_owned));
            draft.rule("ephemeralStorage", max.map_or_else(|| json!({}), |max| json!({"max": max})));
        }
        _ => return Err(format!("a constraint of the kind {kind} is about no storage that volgate knows")),
    }
    for field in ["exemptImages", "exemptContainers"] {
        if !list(params, field).is_empty() {
            draft.unsaid.push(format!(
                "`parameters.{field}`: give those workloads an exception, by namespace or label"
            ));
        }
    }
    draft.action = match text(spec, "enforcementAction") {
        "" | "deny" => Action::Deny,
        "warn" => Action::Warn,
        "dryrun" => Action::Audit,
        other => {
            draft.unsaid.push(format!("`enforcementAction: {other}`: the policy refuses"));
            Action::Deny
        }
    };
    gatekeeper_match(spec.get("match").unwrap_or(&empty), &mut draft);
    Ok(draft)
}

fn gatekeeper_match(matches: &Value, draft: &mut Draft) {
    let kinds: Vec<&str> = list(matches, "kinds").iter().flat_map(|entry| texts(entry, "kinds")).collect();
    draft.kinds(kinds.into_iter());
    let same = [
        ("namespaces", "namespaces"),
        ("namespaceSelector", "namespaceSelector"),
        ("labelSelector", "objectSelector"),
    ];
    for (theirs, ours) in same {
        if let Some(part) = matches.get(theirs).filter(|part| !part.is_null()) {
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
        if !known.contains(&key.as_str()) && !(key == "scope" && value == "*") {
            draft.unsaid.push(format!("`match.{key}`: use labels or namespaces"));
        }
    }
}

/// A policy of Kyverno with rules of patterns and conditions.
fn cluster_policy(object: &Value) -> Result<Draft, String> {
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
                None => unknown(),
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
    let key =
        ["=(", "("].into_iter().find_map(|mark| key.strip_prefix(mark)?.strip_suffix(')')).unwrap_or(key);
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

/// A policy whose checks are CEL already.
fn validating_policy(object: &Value) -> Result<Draft, String> {
    let mut draft = Draft::new(object);
    let empty = Value::Null;
    let spec = object.get("spec").unwrap_or(&empty);
    let constraints = spec.get("matchConstraints").unwrap_or(&empty);
    let mut kinds = Vec::new();
    for resource in list(constraints, "resourceRules").iter().flat_map(|rule| texts(rule, "resources")) {
        match RESOURCES.iter().find(|(known, _)| *known == resource) {
            Some((_, kind)) => kinds.push(*kind),
            None => draft.unsaid.push(format!("the resource {resource}: the webhook is not asked about it")),
        }
    }
    if kinds.is_empty() {
        return Err("it is about no resource that volgate judges".to_owned());
    }
    draft.kinds(kinds.into_iter());
    // A `cel` rule that reads `object` is asked about the named kinds alone, as these policies are.
    draft.matches.insert("kindsOnly".to_owned(), true.into());
    if !draft
        .matches
        .get("kinds")
        .and_then(Value::as_array)
        .is_some_and(|kinds| kinds.iter().any(|kind| kind == "Pod"))
    {
        draft.matches.remove("kindsOnly");
    }
    for (theirs, ours) in [("namespaceSelector", "namespaceSelector"), ("objectSelector", "objectSelector")] {
        if let Some(part) = constraints.get(theirs).filter(|part| !part.is_null()) {
            draft.matches.insert(ours.to_owned(), part.clone());
        }
    }
    let name = draft.name.clone();
    cel_rules(spec, "validations", &name, &mut draft)?;
    let actions: Vec<&str> = texts(spec, "validationActions").collect();
    draft.action = match () {
        // What a binding says of a ValidatingAdmissionPolicy is not in the policy.
        () if actions.is_empty() || actions.contains(&"Deny") => Action::Deny,
        () if actions.contains(&"Warn") => Action::Warn,
        () => Action::Audit,
    };
    if spec.pointer("/autogen/podControllers").is_some() {
        draft.unsaid.push(
            "`autogen`: read `podSpec` in place of `object.spec`, and the rule follows what makes pods"
                .to_owned(),
        );
    }
    Ok(draft)
}

/// The resources of the kinds that are judged.
const RESOURCES: [(&str, &str); 12] = [
    ("cronjobs", "CronJob"),
    ("daemonsets", "DaemonSet"),
    ("deployments", "Deployment"),
    ("jobs", "Job"),
    ("persistentvolumeclaims", "PersistentVolumeClaim"),
    ("persistentvolumes", "PersistentVolume"),
    ("pods", "Pod"),
    ("podtemplates", "PodTemplate"),
    ("replicasets", "ReplicaSet"),
    ("replicationcontrollers", "ReplicationController"),
    ("statefulsets", "StatefulSet"),
    ("storageclasses", "StorageClass"),
];

fn cel_rules(spec: &Value, field: &str, name: &str, draft: &mut Draft) -> Result<(), String> {
    let conditions: Vec<&str> = ["matchConditions", "celPreconditions"]
        .into_iter()
        .flat_map(|key| list(spec, key))
        .map(|condition| text(condition, "expression"))
        .collect();
    let variables: Vec<Value> = list(spec, "variables")
        .iter()
        .map(|variable| json!({"name": text(variable, "name"), "expression": text(variable, "expression")}))
        .collect();
    let all = list(spec, field);
    for (index, validation) in all.iter().enumerate() {
        let name = if all.len() == 1 { name.to_owned() } else { format!("{name}-{}", index + 1) };
        let name = crate::model::beginning(&name, 63);
        let mut rule = json!({"name": name, "expression": text(validation, "expression").trim()});
        if let Some(fields) = rule.as_object_mut() {
            for key in ["message", "messageExpression"] {
                if let Some(said) = validation.get(key).and_then(Value::as_str) {
                    fields.insert(key.to_owned(), said.trim().into());
                }
            }
            if !variables.is_empty() {
                fields.insert("variables".to_owned(), json!(variables));
            }
            if !conditions.is_empty() {
                let when: Vec<String> =
                    conditions.iter().map(|condition| format!("({})", condition.trim())).collect();
                fields.insert("when".to_owned(), when.join(" && ").into());
            }
        }
        draft.rule("cel", rule);
    }
    if all.is_empty() { Err("it has no expression".to_owned()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn constraint(kind: &str, spec: Value) -> Value {
        json!({"apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": kind, "metadata": {"name": "c"}, "spec": spec})
    }

    fn spec(object: &Value) -> Value {
        let converted = converted(object);
        assert_eq!(converted.unsaid, [""; 0]);
        converted.policy.unwrap()["spec"].clone()
    }

    #[test]
    fn constraints_of_gatekeeper() {
        let pods = json!([{"apiGroups": [""], "kinds": ["Pod"]}]);
        assert_eq!(
            spec(&constraint(
                "K8sPSPHostFilesystem",
                json!({"match": {"kinds": pods, "excludedNamespaces": ["*-system"]},
                "enforcementAction": "warn", "parameters": {"allowedHostPaths": [{"pathPrefix": "/var/log", "readOnly": true}]}})
            )),
            json!({"action": "Warn", "match": {"kinds": ["Pod"]}, "exclude": [{"namespaces": ["*-system"]}],
                   "rules": [{"hostPath": {"allow": [{"path": "/var/log", "readOnly": true}]}}]})
        );
        assert_eq!(spec(&constraint("K8sPSPHostFilesystem", json!({})))["rules"], json!([{"hostPath": {}}]));
        let rules = |kind: &str, params: Value| {
            spec(&constraint(kind, json!({"parameters": params})))["rules"].clone()
        };
        assert_eq!(
            rules("K8sPSPVolumeTypes", json!({"volumes": ["secret"]})),
            json!([{"volumeTypes": {"allow": ["secret"]}}])
        );
        assert_eq!(
            rules("K8sPSPFlexVolumes", json!({"allowedFlexVolumes": [{"driver": "example/lvm"}]})),
            json!([{"volumeTypes": {"flexDrivers": {"allow": ["example/lvm"]}}}])
        );
        assert_eq!(
            rules("K8sStorageClass", json!({"allowedStorageClasses": ["fast"]})),
            json!([{"claimClass": {"requireName": true, "allow": ["fast"]}}])
        );
        assert_eq!(
            rules("K8sContainerEphemeralStorageLimit", json!({"ephemeral-storage": "500Mi"})),
            json!([{"ephemeralStorage": {"max": "500Mi"}}])
        );
        for unsaid in [
            constraint("K8sRequiredLabels", json!({})),
            constraint("K8sPSPVolumeTypes", json!({"parameters": {"volumes": ["*"]}})),
            json!({"apiVersion": "templates.gatekeeper.sh/v1", "kind": "ConstraintTemplate"}),
            json!({"apiVersion": "v1", "kind": "Pod"}),
            json!("text"),
        ] {
            let converted = converted(&unsaid);
            assert!(converted.policy.is_none() && converted.unsaid.len() == 1, "{unsaid}");
        }
        let partly = converted(&constraint("K8sPSPHostFilesystem", json!({"match": {"source": "Original"}})));
        assert!(partly.policy.is_some() && partly.unsaid[0].contains("`match.source`"), "{partly:?}");
    }

    fn kyverno(rule: Value) -> Value {
        let mut rule = rule;
        rule["name"] = json!("r");
        json!({"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": "k"},
               "spec": {"validationFailureAction": "Enforce", "rules": [rule]}})
    }

    fn of(kinds: Value) -> Value {
        json!({"any": [{"resources": {"kinds": kinds}}]})
    }

    #[test]
    fn patterns_of_kyverno() {
        let rules = |kinds: Value, validate: Value| {
            spec(&kyverno(json!({"match": of(kinds), "validate": validate})))["rules"].clone()
        };
        let volumes = |banned: Value| json!({"pattern": {"spec": {"=(volumes)": [banned]}}});
        assert_eq!(rules(json!(["Pod"]), volumes(json!({"X(hostPath)": "null"}))), json!([{"hostPath": {}}]));
        assert_eq!(
            rules(json!(["Pod"]), volumes(json!({"X(nfs)": "null", "X(iscsi)": "null"}))),
            json!([{"volumeTypes": {"deny": ["iscsi", "nfs"]}}])
        );
        let types = json!({"deny": {"conditions": {"all": [{"key": "{{ request.object.spec.volumes[].keys(@)[] || '' }}",
            "operator": "AnyNotIn", "value": ["name", "secret", ""]}]}}});
        assert_eq!(rules(json!(["Pod"]), types), json!([{"volumeTypes": {"allow": ["secret"]}}]));
        assert_eq!(
            rules(json!(["StorageClass"]), json!({"pattern": {"reclaimPolicy": "Delete"}})),
            json!([{"storageClass": {"reclaimPolicy": "Delete"}}])
        );
        assert_eq!(
            rules(json!(["PersistentVolumeClaim"]), json!({"pattern": {"spec": {"storageClassName": "?*"}}})),
            json!([{"claimClass": {"requireName": true}}])
        );
        for unsaid in [
            json!({"match": of(json!(["Pod"])), "mutate": {}}),
            json!({"match": of(json!(["Pod"])), "validate": {"foreach": []}}),
            json!({"match": of(json!(["Pod"])), "validate": {"pattern": {"spec": {"containers": []}}}}),
            json!({"match": of(json!(["Pod"])), "context": [], "validate": volumes(json!({"X(nfs)": "null"}))}),
        ] {
            let converted = converted(&kyverno(unsaid.clone()));
            assert!(converted.policy.is_none() && converted.unsaid.len() == 1, "{unsaid} {converted:?}");
        }
    }

    #[test]
    fn a_policy_in_cel_keeps_its_expressions() {
        let policy = json!({"apiVersion": "policies.kyverno.io/v1", "kind": "ValidatingPolicy", "metadata": {"name": "v"}, "spec": {
            "validationActions": ["Audit"],
            "matchConstraints": {"resourceRules": [{"resources": ["pods"]}]},
            "matchConditions": [{"name": "c", "expression": "has(object.spec.volumes)"}],
            "variables": [{"name": "nfs", "expression": "object.spec.volumes.filter(v, has(v.nfs))"}],
            "validations": [{"expression": "variables.nfs.size() == 0", "message": "no NFS"}]}});
        assert_eq!(
            spec(&policy),
            json!({"action": "Audit", "match": {"kinds": ["Pod"], "kindsOnly": true}, "rules": [{"cel": {
                "name": "v", "expression": "variables.nfs.size() == 0", "message": "no NFS", "when": "(has(object.spec.volumes))",
                "variables": [{"name": "nfs", "expression": "object.spec.volumes.filter(v, has(v.nfs))"}]}}]})
        );
        let mut foreign = policy.clone();
        foreign["spec"]["validations"][0]["expression"] = json!("http.Get('https://example').ok");
        let converted = converted(&foreign);
        assert!(
            converted.policy.is_none() && converted.unsaid[0].contains("cannot be said here"),
            "{converted:?}"
        );
    }
}
