//! What is in a cluster, judged as if it were made now: what a report about what runs already is made from.

use super::chain;
use super::pages::{Ended, Listed, Step, each};
use super::snapshot::listed;
use super::watched::{CLAIMS, CLASSES, NAMESPACES, NODES, OWNERS, POD_TEMPLATES, PODS, VOLUMES, Watched};
use crate::engine::Engine;
use crate::facts::{Facts, FactsFault, Meta, OwnerFacts};
use crate::lookup::{Lookup, LookupKind, MapLookup};
use crate::policy::PolicySet;
use crate::rule::Review;
use crate::verdict::{Overlooked, Verdict};
use jiff::civil::Date;
use serde_json::Value;
use std::collections::BTreeMap;

/// What is looked up of other objects, besides owners.
pub(super) const LOOKED_UP: [(Watched, LookupKind); 5] = [
    (CLASSES, LookupKind::Class),
    (VOLUMES, LookupKind::Volume),
    (CLAIMS, LookupKind::Claim),
    (NODES, LookupKind::Node),
    (NAMESPACES, LookupKind::Namespace),
];
/// What is judged in namespaces besides owners; [`OUTSIDE`] is judged where all namespaces are.
pub(super) const WITHIN: [Watched; 3] = [POD_TEMPLATES, PODS, CLAIMS];
/// What is judged and belongs to no namespace.
pub(super) const OUTSIDE: [Watched; 2] = [VOLUMES, CLASSES];

/// What is judged, and by what.
#[derive(Clone, Copy)]
pub struct Scope<'s> {
    /// The policies.
    pub policies: &'s PolicySet,
    /// The one namespace; none means all of them, and what has none.
    pub namespace: Option<&'s str>,
    /// Today (UTC).
    pub today: Date,
}

/// What is known of other objects.
#[derive(Default)]
pub(super) struct Known {
    pub(super) lookup: MapLookup,
    /// Which kinds could not be read, and why. Owners are not among them: where they are judged, they cannot be read either.
    pub(super) unread: Vec<(Listed, String)>,
    /// Why not all owners are known.
    pub(super) unread_owners: Option<String>,
}

/// Reads what the webhook has in its caches.
pub(super) async fn look_up(client: &kube::Client, scope: Scope<'_>) -> Known {
    let mut known = Known::default();
    for (of, kind) in LOOKED_UP {
        let listed = listed(of);
        // Of what belongs to no namespace all is looked up.
        let namespace = scope.namespace.filter(|_| kind == LookupKind::Claim);
        let lookup = &mut known.lookup;
        let ended = each(client, &listed, namespace, |step| {
            // An object that came already takes its own place again.
            if let Step::Object(object) = step
                && let Ok(read) = Facts::read(&object, None)
            {
                lookup.add(&read);
            }
        })
        .await;
        match ended {
            Ended::Whole => known.lookup.set_known(kind),
            Ended::Unknown => {}
            Ended::Failed(why) => known.unread.push((listed, why)),
        }
    }
    for of in OWNERS {
        let listed = listed(of);
        let lookup = &mut known.lookup;
        let ended = each(client, &listed, scope.namespace, |step| {
            if let Step::Object(object) = step {
                let id = Facts::identify(&object, None);
                if let Ok(owner) = OwnerFacts::read_whole((&object).into(), &id) {
                    lookup.add_owner(owner);
                }
            }
        })
        .await;
        if let Ended::Failed(why) = ended {
            known.unread_owners = Some(format!("{of}: {why}"));
        }
    }
    known
}

/// The kinds that are judged; and why custom resources are not among them, where the API server does not say what it serves.
pub(super) async fn judged_kinds(
    client: &kube::Client,
    scope: Scope<'_>,
) -> (Vec<Listed>, Option<(Listed, String)>) {
    let mut kinds: Vec<Listed> = OWNERS.into_iter().chain(WITHIN).map(listed).collect();
    if scope.namespace.is_none() {
        kinds.extend(OUTSIDE.map(listed));
    }
    match custom_kinds(client, scope.policies).await {
        Ok(custom) => {
            kinds.extend(custom);
            (kinds, None)
        }
        Err(why) => {
            let all = Listed {
                api_version: "*".to_owned(),
                kind: "custom resources".to_owned(),
                resource: String::new(),
            };
            (kinds, Some((all, why)))
        }
    }
}

/// The kinds of the table that the cluster serves, each in one of the versions that are known.
async fn custom_kinds(client: &kube::Client, policies: &PolicySet) -> Result<Vec<Listed>, String> {
    let served = client.list_api_groups().await.map_err(|error| chain(&error))?;
    let mut kinds: BTreeMap<(String, String), Listed> = BTreeMap::new();
    for entry in policies.catalog().kinds().entries() {
        let Some(group) = served.groups.iter().find(|group| group.name == entry.group) else { continue };
        let is_known = |version: &str| entry.versions.iter().any(|known| known == version);
        let Some(version) = group.versions.iter().find(|version| is_known(&version.version)) else {
            continue;
        };
        for (kind, resource) in &entry.kinds {
            let listed = Listed {
                api_version: version.group_version.clone(),
                kind: kind.clone(),
                resource: resource.clone(),
            };
            kinds.insert((entry.group.clone(), kind.clone()), listed);
        }
    }
    Ok(kinds.into_values().collect())
}

/// What a look at an object comes to.
pub(super) enum Looked {
    /// It has done its work, or is on its way out: nothing of it is made again.
    Over,
    /// It belongs to an object that is judged itself.
    Folded,
    /// No policy is about its namespace.
    Overlooked(String),
    /// No policy is about its kind.
    OtherKind,
    /// It was judged.
    Judged(Box<Judged>),
}

/// An object and what was found in it.
pub(super) struct Judged {
    pub(super) object: Value,
    pub(super) verdict: Result<Verdict, FactsFault>,
}

/// Judges an object, if nothing else is judged in its place.
pub(super) fn look(scope: Scope<'_>, lookup: &MapLookup, object: Value) -> Looked {
    if is_over(&object) {
        return Looked::Over;
    }
    let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
    let owner = Meta::read((&object).into()).unwrap_or_default().controller;
    let is_folded = owner.is_some_and(|owner| {
        let known = lookup.owner(namespace, owner.kind, owner.name);
        owner.workload.is_some() && known.is_some_and(|known| known.uid == owner.uid)
            // A claim that was made for a pod is part of it.
            || owner.kind == "Pod"
    });
    if is_folded {
        return Looked::Folded;
    }
    let engine = Engine { policies: scope.policies, lookup, today: scope.today };
    let verdict = engine.mutate_and_check(&Review::create(&object));
    match verdict {
        Ok(Verdict { overlooked: Some(Overlooked::Namespace), .. }) => {
            Looked::Overlooked(namespace.to_owned())
        }
        Ok(Verdict { overlooked: Some(Overlooked::Kind), .. }) => Looked::OtherKind,
        verdict => Looked::Judged(Box::new(Judged { object, verdict })),
    }
}

fn is_over(object: &Value) -> bool {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let is_finished = match text("/kind") {
        "Pod" => matches!(text("/status/phase"), "Succeeded" | "Failed"),
        "Job" => {
            let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
            let is = |condition: &Value, key: &str, wanted: &[&str]| {
                condition.get(key).and_then(Value::as_str).is_some_and(|value| wanted.contains(&value))
            };
            conditions.into_iter().flatten().any(|condition| {
                is(condition, "type", &["Complete", "Failed"]) && is(condition, "status", &["True"])
            })
        }
        _ => false,
    };
    is_finished || object.pointer("/metadata/deletionTimestamp").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_has_ended_is_not_judged() {
        let job = |status: &str| json!({"kind": "Job", "status": {"conditions": [{"type": "Complete", "status": status}]}});
        assert!(is_over(&job("True")) && !is_over(&job("False")) && !is_over(&json!({"kind": "Job"})));
        assert!(is_over(
            &json!({"kind": "Deployment", "metadata": {"deletionTimestamp": "2026-11-23T00:00:00Z"}})
        ));
    }
}
