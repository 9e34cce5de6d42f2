//! What is wrong with the fields of a policy that a schema has nothing against.

use super::matches::POD;
use super::schema::{Match, Users};
use crate::model::{FieldPath, did_you_mean, includes};
use crate::rule::{PolicyFault, kind_faults, selector_faults};
use crate::rules;

/// How many entries are held against each other.
pub(super) const MOST_COMPARED: usize = 200;

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
        let hint = did_you_mean(id, &known).unwrap_or_else(|| format!("the rules are {}", known.join(", ")));
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
