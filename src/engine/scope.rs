//! Which part of an object is up for judgement when it is changed.

use crate::facts::{Facts, Subject, WorkloadKind};
use crate::json::{Items, Node};
use crate::model::{FieldPath, Operation, Segment};
use crate::rule::{NewFinding, Review};
use std::collections::HashSet;

/// Which part of an object is up for judgement.
pub(super) enum Scope {
    Nothing,
    Everything,
    /// What expressions say of `spec.replicas`: nothing changes but that it becomes less.
    FewerReplicas,
    /// Findings beneath these fields alone, which are all equally deep: the rest was judged before and cannot be changed
    /// now.
    Beneath(HashSet<Vec<Segment>>),
}

pub(super) fn scope(review: &Review<'_>, facts: &Facts<'_>) -> Scope {
    let Some(old) = review.old.filter(|_| review.operation == Operation::Update) else {
        return Scope::Everything;
    };
    let spec = FieldPath::root().key("spec");
    match &facts.subject {
        Subject::Workload(workload) if workload.kind == WorkloadKind::Pod => match review.subresource {
            Some("ephemeralcontainers") => Scope::beneath([spec.key("ephemeralContainers")]),
            // Of what is there already, only an image can become another.
            _ => Scope::beneath(changed_images(old, review.object)),
        },
        // An unbound claim without a class can still be given one, by anybody.
        Subject::Claim(_)
            if class(old).is_none() && class(review.object).is_some() && !facts.meta.deleting =>
        {
            Scope::Everything
        }
        // Else only its size and its attributes can be changed by a person; the rest is the binding's own doing.
        Subject::Claim(_) => {
            let resized = request(old) != request(review.object);
            let modified = attributes(old) != attributes(review.object) && !facts.meta.deleting;
            let changed = [(resized, "resources"), (modified, ATTRIBUTES)];
            let changed: Vec<_> =
                changed.into_iter().filter(|(is, _)| *is).map(|(_, field)| spec.key(field)).collect();
            if changed.is_empty() { Scope::Nothing } else { Scope::beneath(changed) }
        }
        // What backs them cannot be changed.
        Subject::Volume(_) | Subject::Class(_) => Scope::Nothing,
        _ if essence(old) == essence(review.object) => Scope::Nothing,
        Subject::Workload(_) => stopped(old, review.object),
        _ => Scope::Everything,
    }
}

/// The containers of a pod that get another image.
fn changed_images(old: Node<'_>, new: Node<'_>) -> Vec<FieldPath> {
    fn containers<'a>(pod: Node<'a>, list: &str) -> Items<'a> {
        pod.get("spec").and_then(|spec| spec.get(list)).unwrap_or(Node::NULL).items()
    }
    let mut changed = Vec::new();
    for list in ["initContainers", "containers"] {
        let mut before = containers(old, list);
        for (index, container) in containers(new, list).enumerate() {
            if before.next().and_then(|before| before.get("image")) != container.get("image") {
                changed.push(FieldPath::root().key("spec").key(list).index(index));
            }
        }
    }
    changed
}

/// What a claim asks for.
pub(super) fn request(claim: Node<'_>) -> Option<Node<'_>> {
    claim.get("spec")?.get("resources")?.get("requests")?.get("storage")
}

fn class(claim: Node<'_>) -> Option<Node<'_>> {
    claim.get("spec")?.get("storageClassName").filter(|class| !class.is_null())
}

/// The field of a claim that says which VolumeAttributesClass its volume is to have.
const ATTRIBUTES: &str = "volumeAttributesClassName";

fn attributes(claim: Node<'_>) -> Option<Node<'_>> {
    claim.get("spec")?.get(ATTRIBUTES).filter(|name| !name.is_null())
}

/// The fields of an object that a person writes to say what it is.
fn essence(object: Node<'_>) -> (Option<Node<'_>>, Option<Node<'_>>) {
    (object.get("spec"), object.get("template"))
}

/// What is up for judgement in a workload that is changed. Whoever has trouble with one that is there must be able to stop it, or
/// a part of it: paused, suspended, fewer replicas. No pod comes of that.
fn stopped(old: Node<'_>, new: Node<'_>) -> Scope {
    let (Some(old), Some(new)) = (old.get("spec"), new.get("spec")) else { return Scope::Everything };
    // Where a manifest leaves it out, there is one.
    let before = old.get("replicas").and_then(Node::as_i64).unwrap_or(1);
    let stops = |name: &str, value: Node<'_>| match name {
        "replicas" => value.as_i64().is_some_and(|replicas| replicas < before),
        "paused" | "suspend" => value.as_bool() == Some(true),
        _ => false,
    };
    let only_stops = new.fields().all(|(name, value)| old.get(name) == Some(value) || stops(name, value))
        && old.fields().all(|(name, _)| new.get(name).is_some());
    match new.get("replicas").and_then(Node::as_i64) {
        _ if !only_stops => Scope::Everything,
        Some(replicas) if (1..before).contains(&replicas) => Scope::FewerReplicas,
        _ => Scope::Nothing,
    }
}

impl Scope {
    /// Beneath these fields, which must be equally deep.
    fn beneath(fields: impl IntoIterator<Item = FieldPath>) -> Self {
        Self::Beneath(fields.into_iter().map(|field| field.segments().to_vec()).collect())
    }

    /// Whether the finding, or a field that explains it, is up for judgement: an old pod volume becomes a fault by the
    /// new container that mounts it.
    pub(super) fn admits(&self, new_finding: &NewFinding) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything | Self::FewerReplicas => true,
            Self::Beneath(outer) => {
                let depth = outer.iter().next().map_or(0, Vec::len);
                let within = |field: &FieldPath| {
                    field.segments().get(..depth).is_some_and(|beginning| outer.contains(beginning))
                };
                within(&new_finding.field) || new_finding.related.iter().any(|(field, _)| within(field))
            }
        }
    }
}
