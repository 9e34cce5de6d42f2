//! What is wrong with a policy that a schema has nothing against, and what in it has no effect.

use super::compile::CompiledRule;
use super::exception::CompiledException;
use super::matches::POD;
use super::schema::{Exception, Match, RuleEntry, SelfService, StoragePolicySpec, Users};
use super::set::EXCLUDED_NAMESPACES;
use crate::catalog::Catalog;
use crate::model::{FieldPath, fits, includes, nearest, overlap};
use crate::rule::{
    PolicyFault, Reads, UNREAD, can_be_kind, is_judged_or_owner, kind_faults, selector_faults,
};
use crate::rules;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The faults of those parts of a policy that the schema has nothing against: `broken` are the places of its errors.
pub(super) fn part_faults(policy: &Value, broken: &[FieldPath], faults: &mut Vec<PolicyFault>) {
    let spec_path = FieldPath::root().key("spec");
    let Some(spec) = policy.get("spec") else { return };
    let list = |key: &'static str| {
        let items = spec.get(key).and_then(Value::as_array).into_iter().flatten().enumerate();
        let path = spec_path.key(key);
        items.map(move |(index, item)| (path.index(index), item))
    };
    if let (path, Some(value)) = (spec_path.key("match"), spec.get("match"))
        && let Some(matches) = part::<Match>(value, &path, broken, faults)
    {
        match_faults(&matches, &path, faults);
    }
    for (path, item) in list("exclude") {
        if let Some(exclude) = part::<Match>(item, &path, broken, faults) {
            exclude_faults(&exclude, &path, faults);
        }
    }
    for (path, item) in list("rules") {
        if let Some(entry) = part::<RuleEntry>(item, &path, broken, faults) {
            rules::compile(&entry, &path, faults);
        }
    }
    for (path, item) in list("exceptions") {
        if let Some(exception) = part::<Exception>(item, &path, broken, faults) {
            CompiledException::compile(&exception, &path, faults);
        }
    }
    if let (path, Some(value)) = (spec_path.key("selfService"), spec.get("selfService"))
        && let Some(service) = part::<SelfService>(value, &path, broken, faults)
    {
        rule_faults(&service.rules, &path.key("rules"), faults);
    }
}

/// Reads one part of a policy, unless it is broken.
fn part<T: DeserializeOwned>(
    value: &Value,
    at: &FieldPath,
    broken: &[FieldPath],
    faults: &mut Vec<PolicyFault>,
) -> Option<T> {
    if broken
        .iter()
        .any(|path| path.segments().starts_with(at.segments()) || at.segments().starts_with(path.segments()))
    {
        return None;
    }
    match serde_json::from_value(value.clone()) {
        Ok(part) => Some(part),
        Err(error) => {
            faults.push(PolicyFault::new(at.clone(), error.to_string()));
            None
        }
    }
}

/// Reports exceptions and self-service for rules that the policy does not have: they excuse from nothing, which
/// nobody means.
pub(super) fn pointless(spec: &StoragePolicySpec, compiled: &[CompiledRule], faults: &mut Vec<PolicyFault>) {
    let spec_path = FieldPath::root().key("spec");
    let exceptions = spec.exceptions.iter().enumerate().map(|(index, exception)| {
        (spec_path.key("exceptions").index(index).key("rules"), exception.rules.as_slice())
    });
    let service = spec.self_service.iter();
    let service =
        service.map(|service| (spec_path.key("selfService").key("rules"), service.rules.as_slice()));
    for (path, ids) in exceptions.chain(service) {
        for (index, id) in
            ids.iter().enumerate().filter(|(_, id)| !compiled.iter().any(|rule| rule.id == **id))
        {
            let message =
                format!("excuses from {id}, which this policy does not have: take it out or add the rule");
            faults.push(PolicyFault::new(path.index(index), message));
        }
    }
}

/// Reports kinds that a policy is to be about and no rule of it reads. Any other kind may own a pod.
fn unread_kinds(spec: &StoragePolicySpec, compiled: &[CompiledRule], faults: &mut Vec<PolicyFault>) {
    if compiled.iter().any(|rule| rule.rule.reads_any_kind()) {
        return;
    }
    let kinds = spec.matches.as_ref().map_or(&[][..], |matches| &matches.kinds);
    for (index, kind) in kinds.iter().enumerate().filter(|(_, kind)| UNREAD.contains(&kind.as_str())) {
        let path = FieldPath::root().key("spec").key("match").key("kinds").index(index);
        let message =
            format!("no rule of this policy reads a {kind}: take it out, or ask about it with a `cel` rule");
        faults.push(PolicyFault::harmless(path, message));
    }
}

/// Reports kinds of which volgate knows nothing: only as owners of pods and claims they have a meaning here.
fn unknown_kinds(spec: &StoragePolicySpec, compiled: &[CompiledRule], faults: &mut Vec<PolicyFault>) {
    let asks = compiled.iter().any(|rule| rule.rule.reads_any_kind());
    let is_custom = |kind: &str| {
        let known = Catalog::embedded().kinds().entries().iter().chain(&spec.custom_resources);
        known.into_iter().any(|entry| entry.kinds.contains_key(kind))
    };
    let kinds = spec.matches.as_ref().map_or(&[][..], |matches| &matches.kinds);
    for (index, kind) in kinds.iter().enumerate() {
        let path = FieldPath::root().key("spec").key("match").key("kinds").index(index);
        if UNREAD.contains(&kind.as_str()) {
            if asks {
                let message =
                    format!("the webhook is not asked about a {kind}: `volgate check` alone judges it");
                faults.push(PolicyFault::harmless(path, message));
            }
        } else if can_be_kind(kind) && !is_judged_or_owner(kind) && !is_custom(kind) {
            let message = format!(
                "volgate does not know the kind {kind:?}: in a cluster it brings the pods and claims that such an object \
                 controls, and nothing else"
            );
            faults.push(PolicyFault::harmless(path, message));
        }
    }
}

/// Reports what a policy can never be about, and what it takes away from nothing.
pub(super) fn never_fits(spec: &StoragePolicySpec, compiled: &[CompiledRule], faults: &mut Vec<PolicyFault>) {
    let at = FieldPath::root().key("spec");
    unread_kinds(spec, compiled, faults);
    unknown_kinds(spec, compiled, faults);
    let Some(matches) = &spec.matches else { return };
    for rule in compiled.iter().filter(|rule| !matches.kinds.is_empty() && !rule.rule.reads_any_kind()) {
        let reads = rule.rule.reads();
        if !matches.kinds.iter().any(|kind| finds_in(reads, kind)) {
            let objects: Vec<&str> = reads.iter().map(|reads| reads.objects()).collect();
            let message = format!(
                "never finds anything: it reads {}, and `match.kinds` names none of them",
                objects.join(", ")
            );
            faults.push(PolicyFault::harmless(rule.field.clone(), message));
        }
    }
    let of_a_namespace =
        !matches.namespaces.is_empty() && !matches.namespaces.iter().any(|pattern| fits(pattern, ""));
    for rule in compiled.iter().filter(|rule| of_a_namespace && !rule.rule.reads_any_kind()) {
        let reads = rule.rule.reads();
        if reads.iter().all(|reads| matches!(reads, Reads::Volumes | Reads::Classes)) {
            let objects: Vec<&str> = reads.iter().map(|reads| reads.objects()).collect();
            let message = format!(
                "never finds anything: {} belong to no namespace, and `match.namespaces` names some: use `objectSelector`",
                objects.join(" and ")
            );
            faults.push(PolicyFault::harmless(rule.field.clone(), message));
        }
    }
    let namespaces = at.key("match").key("namespaces");
    for (index, pattern) in matches.namespaces.iter().enumerate() {
        if EXCLUDED_NAMESPACES.contains(&pattern.as_str()) {
            let message =
                format!("no policy is about {pattern}, so that the cluster can always start: take it out");
            faults.push(PolicyFault::harmless(namespaces.index(index), message));
        }
    }
    // Each is held against each.
    if matches.namespaces.is_empty() || matches.namespaces.len() > MOST_COMPARED {
        return;
    }
    let within = |patterns: &[String]| {
        patterns.len() > MOST_COMPARED
            || patterns.iter().any(|pattern| matches.namespaces.iter().any(|own| overlap(own, pattern)))
    };
    for (index, exclude) in spec.exclude.iter().enumerate() {
        let all = |own: &String| exclude.namespaces.iter().any(|pattern| includes(pattern, own));
        let at = at.key("exclude").index(index);
        let only_namespaces = Match { namespaces: exclude.namespaces.clone(), ..Match::default() };
        if exclude.namespaces.is_empty() {
            continue;
        } else if !within(&exclude.namespaces) {
            let message = "takes nothing away: the policy is about other namespaces";
            faults.push(PolicyFault::harmless(at.key("namespaces"), message));
        } else if *exclude == only_namespaces
            && exclude.namespaces.len() <= MOST_COMPARED
            && matches.namespaces.iter().all(all)
        {
            let message = "takes away all that `match` names, so that the policy is about nothing";
            faults.push(PolicyFault::harmless(at.key("namespaces"), message));
        }
    }
    for (index, exception) in spec.exceptions.iter().enumerate() {
        if !exception.namespaces.is_empty() && !within(&exception.namespaces) {
            let message = "excuses nobody: the policy is about other namespaces";
            let at = at.key("exceptions").index(index).key("namespaces");
            faults.push(PolicyFault::harmless(at, message));
        }
    }
}

/// Whether a rule that reads that finds anything where objects of that kind are named. Any kind that is not storage's own may
/// control pods and claims.
fn finds_in(reads: &[Reads], kind: &str) -> bool {
    let all = |wanted: &[Reads]| wanted.iter().any(|wanted| reads.contains(wanted));
    match kind {
        "PersistentVolume" => all(&[Reads::Volumes]),
        "StorageClass" => all(&[Reads::Classes]),
        "PersistentVolumeClaim" => all(&[Reads::Claims]),
        _ if UNREAD.contains(&kind) => false,
        _ => all(&[Reads::Pods, Reads::Claims]),
    }
}

/// How many entries are held against each other.
const MOST_COMPARED: usize = 200;

pub(super) fn exclude_faults(exclude: &Match, at: &FieldPath, faults: &mut Vec<PolicyFault>) {
    if *exclude == Match::default() {
        faults.push(PolicyFault::new(
            at.clone(),
            "excludes everything: say what by objectSelector, namespaceSelector, namespaces, users or kinds",
        ));
    }
    match_faults(exclude, at, faults);
}

pub(super) fn rule_faults(ids: &[String], at: &FieldPath, faults: &mut Vec<PolicyFault>) {
    let known: Vec<&str> = rules::all().iter().map(|rule| rule.id).collect();
    for (index, id) in ids.iter().enumerate().filter(|(_, id)| !known.contains(&id.as_str())) {
        let hint = match nearest(id, &known) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("the rules are {}", known.join(", ")),
        };
        faults.push(PolicyFault::new(at.index(index), format!("unknown rule {id:?}: {hint}")));
    }
}

pub(super) fn match_faults(matches: &Match, at: &FieldPath, faults: &mut Vec<PolicyFault>) {
    for (index, pattern) in matches.namespaces.iter().enumerate() {
        let at = at.key("namespaces").index(index);
        if pattern.is_empty() {
            faults.push(PolicyFault::new(at, "\"\" fits no namespace: write a name, with `*` for any text"));
        } else if !pattern
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-*".contains(&byte))
        {
            let message = format!(
                "{pattern:?} fits no namespace: a name has lower-case letters, digits and `-`; `*` is any text"
            );
            faults.push(PolicyFault::harmless(at, message));
        }
    }
    useless_patterns(&matches.namespaces, &at.key("namespaces"), faults);
    if let Some(users) = &matches.users {
        user_faults(users, &at.key("users"), faults);
    }
    if matches.kinds_only && !matches.kinds.iter().any(|kind| kind == POD) {
        let message = "says that `Pod` stands for pods alone, and `kinds` does not name it: take it out";
        faults.push(PolicyFault::harmless(at.key("kindsOnly"), message));
    }
    kind_faults(&matches.kinds, &at.key("kinds"), faults);
    let selectors =
        [("namespaceSelector", &matches.namespace_selector), ("objectSelector", &matches.object_selector)];
    for (field, selector) in selectors {
        if let Some(selector) = selector {
            selector_faults(selector, &at.key(field), faults);
            if let Some(label) = selector.impossible_label().filter(|_| selector.faults().is_empty()) {
                let message =
                    format!("fits nothing: what it asks of the label {label:?} cannot hold together");
                faults.push(PolicyFault::harmless(at.key(field), message));
            }
        }
    }
}

/// Reports patterns that another one of the list holds already.
fn useless_patterns(patterns: &[String], at: &FieldPath, faults: &mut Vec<PolicyFault>) {
    let compared = || patterns.iter().enumerate().take(MOST_COMPARED);
    for (index, pattern) in compared() {
        let holds = |(other, wider): &(usize, &String)| {
            *other != index && (*wider != pattern || *other < index) && includes(wider, pattern)
        };
        if let Some((_, wider)) = compared().find(holds) {
            let message = format!("{pattern:?} adds nothing to {wider:?}: take one of the two out");
            faults.push(PolicyFault::harmless(at.index(index), message));
        }
    }
}

fn user_faults(users: &Users, at: &FieldPath, faults: &mut Vec<PolicyFault>) {
    let Users { names, groups, service_accounts } = users;
    if names.is_empty() && groups.is_empty() && service_accounts.is_empty() {
        faults
            .push(PolicyFault::new(at.clone(), "names nobody: write `names`, `groups` or `serviceAccounts`"));
    }
    for (index, account) in service_accounts.iter().enumerate() {
        let is_one = account.split_once('/').is_some_and(|(namespace, name)| {
            !namespace.is_empty() && !name.is_empty() && !name.contains('/') && !account.contains(':')
        });
        if !is_one {
            let message = format!("{account:?} is no service account: write its namespace, `/` and its name");
            faults.push(PolicyFault::new(at.key("serviceAccounts").index(index), message));
        }
    }
    for (field, patterns) in [("names", names), ("groups", groups), ("serviceAccounts", service_accounts)] {
        useless_patterns(patterns, &at.key(field), faults);
    }
}
