//! Policies whose checks are CEL already: Kyverno's and Kubernetes' own.

use super::{Draft, Operations, Translation, has_wildcards, list, text, texts};
use crate::model::beginning;
use crate::verdict::Action;
use serde_json::{Value, json};

/// A policy whose checks are CEL already.
pub(super) fn validating_policy(object: &Value) -> Result<Translation, String> {
    let mut draft = Draft::new(object);
    let mut unsaid = Vec::new();
    let empty = Value::Null;
    let spec = object.get("spec").unwrap_or(&empty);
    let constraints = spec.get("matchConstraints").unwrap_or(&empty);
    let (kinds, operations) = kinds(constraints, &mut unsaid);
    if kinds.is_empty() {
        let why = unsaid.first().map(|why| format!(": {why}")).unwrap_or_default();
        return Err(format!("it is about no resource that volgate judges{why}"));
    }
    draft.kinds(kinds.iter().copied());
    for (theirs, ours) in [("namespaceSelector", "namespaceSelector"), ("objectSelector", "objectSelector")] {
        if let Some(part) = constraints.get(theirs).filter(|part| !is_empty(part)) {
            if has_wildcards(part) {
                return Err(format!("`{theirs}` with wildcards: name the labels"));
            }
            draft.matches.insert(ours.to_owned(), part.clone());
        }
    }
    if text(object, "kind") == "NamespacedValidatingPolicy" {
        let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or("default");
        draft.matches.insert("namespaces".to_owned(), json!([namespace]));
    }
    let conditions = list(spec, "matchConditions").iter().map(|condition| text(condition, "expression"));
    let makers = if kinds == [POD] { makers(object, constraints) } else { Vec::new() };
    let question = Question {
        name: &draft.name,
        conditions: conditions.chain(operations.condition()?).collect(),
        is_about_pods: !makers.is_empty(),
    };
    let rules = question.rules(spec, "validations", &mut unsaid)?;
    let follows_makers = !makers.is_empty() && rules.iter().any(reads_pod);
    if follows_makers && makers.len() < MAKERS.len() {
        draft.kinds(std::iter::once(POD).chain(makers));
        draft.kinds_only();
    } else if !follows_makers && kinds.contains(&POD) {
        // A `cel` rule that reads `object` is asked about the named kinds alone, as these policies are.
        draft.kinds_only();
    }
    draft.rules = rules;
    let actions: Vec<&str> = texts(spec, "validationActions").collect();
    draft.action = match () {
        // What a binding says of a ValidatingAdmissionPolicy is not in the policy.
        () if actions.is_empty() || actions.contains(&"Deny") => Action::Deny,
        () if actions.contains(&"Warn") => Action::Warn,
        () => Action::Audit,
    };
    if text(spec, "failurePolicy") == "Ignore" {
        unsaid.push(
            "`failurePolicy: Ignore`: an expression that fails is a finding here: guard it with `has(…)`"
                .to_owned(),
        );
    }
    for field in ["paramKind", "auditAnnotations"] {
        if spec.get(field).is_some_and(|value| !is_empty(value)) {
            unsaid.push(format!("`{field}`: there is none here"));
        }
    }
    if spec.pointer("/evaluation/admission/enabled").and_then(Value::as_bool) == Some(false) {
        unsaid.push("`evaluation.admission`: it is for scans alone there, and for admission here".to_owned());
    }
    Ok(Translation::of(draft, unsaid))
}

const POD: &str = "Pod";

/// The resources of the kinds that are judged, with their groups.
const RESOURCES: [(&str, &str, &str); 12] = [
    ("batch", "cronjobs", "CronJob"),
    ("apps", "daemonsets", "DaemonSet"),
    ("apps", "deployments", "Deployment"),
    ("batch", "jobs", "Job"),
    ("", "persistentvolumeclaims", "PersistentVolumeClaim"),
    ("", "persistentvolumes", "PersistentVolume"),
    ("", "pods", POD),
    ("", "podtemplates", "PodTemplate"),
    ("apps", "replicasets", "ReplicaSet"),
    ("", "replicationcontrollers", "ReplicationController"),
    ("apps", "statefulsets", "StatefulSet"),
    ("storage.k8s.io", "storageclasses", "StorageClass"),
];

/// What makes pods, for which Kyverno makes rules from one about pods.
pub(super) const MAKERS: [&str; 5] = ["CronJob", "DaemonSet", "Deployment", "Job", "StatefulSet"];

/// The kinds that it is about, and the operations.
fn kinds(constraints: &Value, unsaid: &mut Vec<String>) -> (Vec<&'static str>, Operations) {
    let mut kinds = Vec::new();
    let mut operations: Option<Operations> = None;
    for rule in list(constraints, "resourceRules") {
        if !list(rule, "resourceNames").is_empty() {
            unsaid.push("`resourceNames`: no rule asks for names; a `cel` rule may".to_owned());
            continue;
        }
        let groups: Vec<&str> = texts(rule, "apiGroups").collect();
        let is_of = |group: &str| groups.is_empty() || groups.contains(&"*") || groups.contains(&group);
        for resource in texts(rule, "resources") {
            let fits = |it: &&(&str, &str, &str)| {
                is_of(it.0) && (it.1 == resource || matches!(resource, "*" | "*/*"))
            };
            let before = kinds.len();
            kinds.extend(RESOURCES.iter().filter(fits).map(|(_, _, kind)| *kind));
            if kinds.len() == before {
                unsaid.push(format!("the resource {resource}: the webhook is not asked about it"));
                continue;
            }
            let own = Operations::of(texts(rule, "operations"));
            operations = Some(operations.map_or(own, |all| all.or(own)));
        }
    }
    if !list(constraints, "excludeResourceRules").is_empty() {
        unsaid.push("`excludeResourceRules`: use `exclude` with kinds, labels or namespaces".to_owned());
    }
    (kinds, operations.unwrap_or(Operations::ALL))
}

/// The kinds to which Kyverno extends a policy about pods: all but where it names them, or selects by labels.
fn makers(object: &Value, constraints: &Value) -> Vec<&'static str> {
    let selects = ["namespaceSelector", "objectSelector"];
    let selects = selects.iter().any(|key| constraints.get(key).is_some_and(|it| !is_empty(it)));
    if text(object, "kind") == "ValidatingAdmissionPolicy" || selects {
        return Vec::new();
    }
    match object.pointer("/spec/autogen/podControllers") {
        None => MAKERS.to_vec(),
        Some(named) => {
            let named: Vec<&str> = texts(named, "controllers").collect();
            let resource = |kind: &str| format!("{}s", kind.to_ascii_lowercase());
            MAKERS.into_iter().filter(|kind| named.contains(&resource(kind).as_str())).collect()
        }
    }
}

/// What some expressions of a policy have in common.
pub(super) struct Question<'q> {
    /// What they are called.
    pub(super) name: &'q str,
    /// What must hold for them to be asked.
    pub(super) conditions: Vec<&'q str>,
    /// Whether they are about what makes pods as well.
    pub(super) is_about_pods: bool,
}

impl Question<'_> {
    /// The expressions as `cel` rules.
    pub(super) fn rules(
        &self,
        spec: &Value,
        field: &str,
        unsaid: &mut Vec<String>,
    ) -> Result<Vec<Value>, String> {
        let all = list(spec, field);
        if all.is_empty() {
            return Err("it has no expression".to_owned());
        }
        if list(spec, "variables").iter().chain(all).any(|it| unwraps_what_is_there(text(it, "expression"))) {
            unsaid.push(
                "`orValue` on a field without `?` fails in newer versions of CEL, and what fails is a finding here: write \
                 `.?field.orValue(…)`"
                    .to_owned(),
            );
        }
        let rules = self.written(spec, all, &|expression| Some(expression.trim().to_owned()));
        if !self.is_about_pods {
            return Ok(rules.unwrap_or_default());
        }
        if let Some(rules) = self.written(spec, all, &of_pods) {
            return Ok(rules);
        }
        unsaid.push(
            "its expressions read more of `object` than `spec` and `metadata`, so that they are asked about pods and not \
             about what makes pods"
                .to_owned(),
        );
        Ok(rules.unwrap_or_default())
    }

    fn written(
        &self,
        spec: &Value,
        all: &[Value],
        write: &dyn Fn(&str) -> Option<String>,
    ) -> Option<Vec<Value>> {
        let mut variables = Vec::new();
        for variable in list(spec, "variables") {
            variables.push(
                json!({"name": text(variable, "name"), "expression": write(text(variable, "expression"))?}),
            );
        }
        let mut conditions = Vec::new();
        for condition in &self.conditions {
            conditions.push(format!("({})", write(condition)?));
        }
        let mut rules = Vec::new();
        for (index, validation) in all.iter().enumerate() {
            let name =
                if all.len() == 1 { self.name.to_owned() } else { format!("{}-{}", self.name, index + 1) };
            let name = beginning(&name, 63);
            let mut rule = json!({"name": name, "expression": write(text(validation, "expression"))?});
            if let Some(fields) = rule.as_object_mut() {
                if let Some(said) = validation.get("message").and_then(Value::as_str) {
                    fields.insert("message".to_owned(), said.trim().into());
                }
                if let Some(said) = validation.get("messageExpression").and_then(Value::as_str) {
                    fields.insert("messageExpression".to_owned(), write(said)?.into());
                }
                if !variables.is_empty() {
                    fields.insert("variables".to_owned(), json!(variables));
                }
                if !conditions.is_empty() {
                    fields.insert("when".to_owned(), conditions.join(" && ").into());
                }
            }
            rules.push(json!({"cel": rule}));
        }
        Some(rules)
    }
}

/// Whether a `cel` rule reads a pod's spec or metadata wherever it stands.
pub(super) fn reads_pod(rule: &Value) -> bool {
    let rule = rule.get("cel").unwrap_or(rule);
    let has = |text: &str| text.contains("podSpec") || text.contains("podMeta");
    let variables = list(rule, "variables").iter().map(|variable| text(variable, "expression"));
    [text(rule, "expression"), text(rule, "when")].into_iter().chain(variables).any(has)
}

/// An expression about a pod as one about whatever makes it, as Kyverno writes it: nothing, where it reads other fields of the
/// object.
fn of_pods(expression: &str) -> Option<String> {
    let mut written = String::with_capacity(expression.len());
    let mut rest = expression.trim();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' | '"' => end_of_text(rest, first),
            _ if first.is_ascii_alphabetic() || first == '_' => end_of_word(rest),
            _ => first.len_utf8(),
        };
        let (word, behind) = rest.split_at_checked(length)?;
        let before = written.trim_end();
        let is_field = before.ends_with('.') || before.ends_with(".?");
        rest = behind;
        if is_field || !matches!(word, "object" | "oldObject") {
            written.push_str(word);
            continue;
        }
        let field = behind.strip_prefix('.')?;
        let (field, behind) = field.split_at_checked(end_of_word(field))?;
        written.push_str(match (word, field) {
            ("object", "spec") => "podSpec",
            ("object", "metadata") => "podMeta",
            _ => return None,
        });
        rest = behind;
    }
    Some(written)
}

/// Whether `orValue` is called on a field that is no optional, such as `c.volumeMounts.orValue([])`.
fn unwraps_what_is_there(expression: &str) -> bool {
    let mut before = expression.split(".orValue(").collect::<Vec<_>>();
    before.pop();
    before.into_iter().any(|before| {
        let is_of_chain = |c: char| c.is_ascii_alphanumeric() || "_.?[]'\"-/".contains(c);
        let chain = before.rsplit(|c| !is_of_chain(c)).next().unwrap_or_default();
        chain.contains('.') && !chain.contains('?') && !chain.starts_with('.')
    })
}

fn end_of_word(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())
}

fn end_of_text(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}
