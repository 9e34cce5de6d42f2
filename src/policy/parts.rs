//! The faults of a policy that cannot be read whole, part by part.

use super::exception::CompiledException;
use super::faults::{exclude_faults, match_faults, rule_faults};
use super::schema::{Exception, Match, RuleEntry, SelfService};
use crate::model::FieldPath;
use crate::rule::PolicyFault;
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
