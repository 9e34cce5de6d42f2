//! Policies of Kyverno with patterns and conditions.

mod pattern;
mod scope;

use super::in_cel::{MAKERS, Question, reads_pod};
use super::{Draft, Translation, list, text};
use crate::verdict::Action;
use scope::{Autogen, Scope};
use serde_json::{Value, json};

/// A policy of Kyverno with rules of patterns and conditions: one policy here for the rules that are about the same objects.
pub(super) fn policy(object: &Value) -> Result<Translation, String> {
    let empty = Value::Null;
    let spec = object.get("spec").unwrap_or(&empty);
    let mut unsaid = policy_wide(spec);
    let mut drafts: Vec<Draft> = Vec::new();
    for rule in list(spec, "rules") {
        let name = text(rule, "name");
        let mut notes = Vec::new();
        match drafted(object, rule, &mut notes) {
            Ok(draft) => join(&mut drafts, draft),
            Err(why) => notes.push(why),
        }
        unsaid.extend(notes.into_iter().map(|note| format!("rule {name}: {note}")));
    }
    let name = Draft::new(object).name;
    let is_alone = drafts.len() == 1;
    for draft in &mut drafts {
        draft.name =
            if is_alone { name.clone() } else { format!("{name}-{}", draft.name.to_ascii_lowercase()) };
    }
    Ok(Translation { drafts, unsaid })
}

/// What is said of the policy as a whole and has no like here.
fn policy_wide(spec: &Value) -> Vec<String> {
    let mut unsaid = Vec::new();
    let mut without = |is_so: bool, field: &str, instead: &str| {
        if is_so {
            unsaid.push(format!("`{field}`: {instead}"));
        }
    };
    let overrides = "validationFailureActionOverrides";
    without(!list(spec, overrides).is_empty(), overrides, "write a policy for these namespaces");
    without(text(spec, "applyRules") == "One", "applyRules", "every rule is applied here");
    let conditions = spec.pointer("/webhookConfiguration/matchConditions").and_then(Value::as_array);
    let has_conditions = conditions.is_some_and(|all| !all.is_empty());
    let instead = "say it with `match`, or with `when` of a `cel` rule";
    without(has_conditions, "webhookConfiguration.matchConditions", instead);
    let is_for_scans = spec.get("admission").and_then(Value::as_bool) == Some(false);
    without(is_for_scans, "admission", "it is for scans alone there, and for admission here");
    unsaid
}

/// One rule as a policy of its own.
fn drafted(object: &Value, rule: &Value, unsaid: &mut Vec<String>) -> Result<Draft, String> {
    let empty = Value::Null;
    let spec = object.get("spec").unwrap_or(&empty);
    let Some(validate) = rule.get("validate") else {
        let what = ["mutate", "generate", "verifyImages"].into_iter().find(|key| rule.get(key).is_some());
        return Err(format!("`{}`: only checks are translated", what.unwrap_or("no check")));
    };
    let scope = scope::scope(object, rule, unsaid)?;
    let rules = checks(validate, rule, &scope, unsaid)?;
    let mut draft = Draft { name: text(rule, "name").to_owned(), ..Draft::default() };
    let reads_object = rules.iter().any(|rule| rule.get("cel").is_some() && !reads_pod(rule));
    let Scope { mut matches, exclude, kinds, autogen, .. } = scope;
    match autogen {
        // What its expressions read stands in pods alone.
        Autogen::All | Autogen::Some(_) if reads_object => draft.kinds_only(),
        Autogen::Some(makers) => {
            draft.kinds(kinds.iter().map(String::as_str).chain(makers));
            draft.kinds_only();
        }
        Autogen::Off => draft.kinds_only(),
        // A pattern about pods is said by a rule that is about what makes them as well, as everywhere here.
        Autogen::NotMeant if reads_object && kinds.iter().any(|kind| kind == "Pod") => draft.kinds_only(),
        Autogen::All | Autogen::NotMeant => {}
    }
    if !draft.matches.contains_key("kinds") {
        draft.kinds(kinds.iter().map(String::as_str));
    }
    draft.matches.append(&mut matches);
    draft.exclude = exclude;
    draft.rules = rules;
    draft.action = action(spec, validate, unsaid);
    Ok(draft)
}

fn action(spec: &Value, validate: &Value, unsaid: &mut Vec<String>) -> Action {
    if !list(validate, "failureActionOverrides").is_empty() {
        unsaid.push("`failureActionOverrides`: write a policy for these namespaces".to_owned());
    }
    let own = Some(text(validate, "failureAction")).filter(|own| !own.is_empty());
    let warns = spec.get("emitWarning").and_then(Value::as_bool) == Some(true);
    match own.unwrap_or(text(spec, "validationFailureAction")) {
        action if action.eq_ignore_ascii_case("enforce") => Action::Deny,
        _ if warns => Action::Warn,
        _ => Action::Audit,
    }
}

/// Adds one rule's policy, into one that is there where both are about the same objects or say the same of others.
fn join(drafts: &mut Vec<Draft>, draft: Draft) {
    let is_alike = |other: &&mut Draft| {
        (&other.matches, &other.exclude, other.action) == (&draft.matches, &draft.exclude, draft.action)
    };
    if let Some(like) = drafts.iter_mut().find(is_alike) {
        draft.rules.into_iter().for_each(|rule| like.rule(rule));
        return;
    }
    let without_kinds = |draft: &Draft| {
        let mut draft = Draft { name: String::new(), ..draft.clone() };
        draft.matches.remove("kinds");
        draft.rules.iter_mut().filter_map(Value::as_object_mut).for_each(|rule| drop(rule.remove("message")));
        draft
    };
    let rest = without_kinds(&draft);
    match drafts.iter_mut().find(|other| without_kinds(other) == rest) {
        Some(same) => {
            let kinds = |draft: &Draft| draft.matches.get("kinds").and_then(Value::as_array).cloned();
            let all: Vec<Value> = [kinds(same), kinds(&draft)].into_iter().flatten().flatten().collect();
            same.kinds(all.iter().filter_map(Value::as_str));
        }
        None => drafts.push(draft),
    }
}

/// What a rule of Kyverno asks, as rules of volgate.
fn checks(
    validate: &Value,
    rule: &Value,
    scope: &Scope,
    unsaid: &mut Vec<String>,
) -> Result<Vec<Value>, String> {
    let preconditions = list(rule, "celPreconditions");
    if let Some(cel) = validate.get("cel") {
        let conditions = preconditions.iter().map(|condition| text(condition, "expression"));
        let question = Question {
            name: text(rule, "name"),
            conditions: conditions.chain(scope.operations.condition()?).collect(),
            is_about_pods: matches!(scope.autogen, Autogen::All | Autogen::Some(_)),
        };
        if cel.get("paramKind").is_some() {
            return Err("`paramKind`: there are no parameters here".to_owned());
        }
        return question.rules(cel, "expressions", unsaid);
    }
    if !preconditions.is_empty() {
        return Err("`celPreconditions` beside a pattern: a `cel` rule can say both".to_owned());
    }
    match scope.operations.condition()? {
        None => {}
        Some(_) if scope.operations.create => {
            unsaid.push("it is asked about updates as well here".to_owned())
        }
        Some(_) => {
            return Err("it is about updates alone; a `cel` rule can ask for `request.operation`".to_owned());
        }
    }
    let kinds: Vec<&str> = scope.kinds.iter().map(String::as_str).collect();
    let mut rules = if let Some(deny) = validate.get("deny") {
        let types = pattern::types_but_for(deny, &kinds)
            .ok_or("its conditions are not those that volgate has a rule for; a `cel` rule may say them")?;
        vec![json!({"volumeTypes": {"allow": types}})]
    } else if let Some(pattern) = validate.get("pattern") {
        let said = pattern::rules(pattern, &kinds)
            .ok_or("its pattern is not one that volgate has a rule for; a `cel` rule may say it")?;
        unsaid.extend(said.notes);
        said.rules
    } else {
        let what = ["foreach", "anyPattern", "podSecurity", "manifests", "assert"];
        let what = what.into_iter().find(|key| validate.get(key).is_some()).unwrap_or("no pattern");
        return Err(format!("`{what}`: no rule of volgate is like it; a `cel` rule may be"));
    };
    let message = text(validate, "message").trim();
    if !message.is_empty() && message.len() <= 500 && !message.contains("{{") {
        for rule in rules.iter_mut().filter_map(Value::as_object_mut) {
            match rule.get_mut("cel").and_then(Value::as_object_mut) {
                Some(cel) => cel.insert("message".to_owned(), message.into()),
                None => rule.insert("message".to_owned(), message.into()),
            };
        }
    }
    Ok(rules)
}

/// The kinds that an annotation of the policy extends its rules about pods to.
fn annotated(object: &Value) -> Option<Vec<&'static str>> {
    let annotation =
        object.pointer("/metadata/annotations")?.get("pod-policies.kyverno.io/autogen-controllers")?;
    let named: Vec<&str> = annotation.as_str()?.split(',').map(str::trim).collect();
    if named.contains(&"all") {
        return None;
    }
    Some(MAKERS.into_iter().filter(|kind| named.contains(kind)).collect())
}
