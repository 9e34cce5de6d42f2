//! What an expression reads of a workload, seen without evaluating it: whether its replicas, and whether anything that is
//! not known when a workload is scaled.

use super::parse::{Operator, Part, Tree, unescape};
use super::value::Val;
use std::collections::BTreeSet;

/// Fields that are read, each as its names from the variable on; the last is [`PRESENCE`] where only that is asked.
pub(crate) type Reads = BTreeSet<Vec<String>>;

/// Behind a field of which it is only asked whether it is there.
const PRESENCE: &str = "?";

/// What is known of a workload that is scaled, as far as it is no global of its own: see [`Outline`](crate::facts::Outline).
const KNOWN: [&[&str]; 6] = [
    &["apiVersion"],
    &["kind"],
    &["metadata", "name"],
    &["metadata", "namespace"],
    &["metadata", "uid"],
    REPLICAS,
];
const LABELS: &[&str] = &["metadata", "labels"];
const REPLICAS: &[&str] = &["spec", "replicas"];

/// What a rule reads of a workload that is scaled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OfScaled {
    /// Not its replicas.
    Nothing,
    /// Its replicas, and beside them only what is known.
    Known,
    /// Its replicas, and this, which is not known.
    Beyond(String),
}

impl OfScaled {
    /// For a rule whose expressions read that.
    pub(crate) fn of<'r>(reads: impl Iterator<Item = &'r Vec<String>>) -> Self {
        let (mut replicas, mut beyond) = (false, None);
        for names in reads {
            let Some((global, path)) = names.split_first() else { continue };
            let is = |known: &[&str]| path == known;
            let within = |outer: &[&str]| path.get(..outer.len()).is_some_and(|start| start == outer);
            let (known, reads_replicas) = match path.split_last() {
                _ if POD.contains(&global.as_str()) => (false, false),
                _ if global == "facts" => (is(&["kind"]), false),
                // The object, its metadata and its spec are there.
                Some((last, path)) if last == PRESENCE && REPLICAS.starts_with(&texts(path)) => {
                    (true, path.len() == 2)
                }
                Some((last, path)) if last == PRESENCE && path == ["metadata"] => (true, false),
                _ => (KNOWN.into_iter().any(is) || within(LABELS), REPLICAS.starts_with(&texts(path))),
            };
            replicas |= reads_replicas;
            if !known {
                let names = names.iter().filter(|name| *name != PRESENCE);
                beyond.get_or_insert_with(|| names.map(String::as_str).collect::<Vec<_>>().join("."));
            }
        }
        match beyond {
            _ if !replicas => Self::Nothing,
            None => Self::Known,
            Some(path) => Self::Beyond(path),
        }
    }
}

fn texts(path: &[String]) -> Vec<&str> {
    path.iter().map(String::as_str).collect()
}

/// What an expression sees of the pod that an object is or makes.
const POD: [&str; 2] = ["podSpec", "podMeta"];

/// Whether expressions read the pod that an object is or makes, and nothing of the object around it.
pub(crate) fn reads_pod_alone<'r>(mut reads: impl Iterator<Item = &'r Vec<String>>) -> bool {
    let mut pod = false;
    let reads_object = reads.any(|names| {
        let global = names.first().map_or("", String::as_str);
        pod |= POD.contains(&global);
        matches!(global, "object" | "oldObject")
    });
    pod && !reads_object
}

/// What a parsed expression reads of `object`, `oldObject`, `facts` and the pod.
pub(crate) fn reads(tree: &Tree) -> Reads {
    let mut reads = Reads::new();
    walk(tree, &mut reads);
    reads
}

fn walk(tree: &Tree, reads: &mut Reads) {
    if let Some(path) = path(tree) {
        reads.insert(path);
        return;
    }
    let mut each = |tree: &Tree| walk(tree, reads);
    match &tree.part {
        Part::Value(_) | Part::Name(_) | Part::Message(_) => {}
        Part::Field { of, .. } | Part::Not(of) | Part::Negate(of) => each(of),
        Part::Index { of, key, .. } => {
            each(of);
            each(key);
        }
        // No loop may call its item as a variable is called.
        Part::Call { on, args, .. } => on.as_deref().into_iter().chain(args).for_each(each),
        Part::List(items) => items.iter().for_each(|item| each(&item.tree)),
        Part::Map(entries) => entries.iter().for_each(|(key, value)| {
            each(key);
            each(&value.tree);
        }),
        Part::And(parts) | Part::Or(parts) => parts.iter().for_each(each),
        Part::Two(operator, left, right) => match compared_with_null(*operator, left, right) {
            Some(path) => {
                reads.insert(path);
            }
            None => {
                each(left);
                each(right);
            }
        },
        Part::Choice(parts) => parts.iter().for_each(each),
    }
}

/// The field that a chain of selections leads to, the variable first.
fn path(tree: &Tree) -> Option<Vec<String>> {
    match &tree.part {
        Part::Name(name) => {
            let is_read =
                matches!(name.as_str(), "object" | "oldObject" | "facts") || POD.contains(&name.as_str());
            is_read.then(|| vec![name.clone()])
        }
        Part::Field { of, name, .. } => {
            let mut path = path(of)?;
            path.push(unescape(name));
            Some(path)
        }
        Part::Index { of, key, .. } => {
            let Part::Value(Val::Text(key)) = &key.part else { return None };
            let mut path = path(of)?;
            path.push(key.to_string());
            Some(path)
        }
        Part::Call { on: None, name, args } if name == "has" => {
            let [field] = args.as_slice() else { return None };
            Some(present(path(field)?))
        }
        _ => None,
    }
}

fn present(mut path: Vec<String>) -> Vec<String> {
    path.push(PRESENCE.to_owned());
    path
}

/// The field that is asked for being null.
fn compared_with_null(operator: Operator, left: &Tree, right: &Tree) -> Option<Vec<String>> {
    if !matches!(operator, Operator::Equal | Operator::Unequal) {
        return None;
    }
    match (&left.part, &right.part) {
        (_, Part::Value(Val::Null)) => path(left).map(present),
        (Part::Value(Val::Null), _) => path(right).map(present),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::program::compile;
    use super::*;

    fn of(text: &str) -> OfScaled {
        OfScaled::of(compile(text, &[]).unwrap().reads.iter())
    }

    #[test]
    fn what_reads_replicas_is_known_by_its_text() {
        for text in [
            "object.spec.replicas < 3",
            "object.spec.?replicas.orValue(1) < 3",
            "object['spec'].replicas < 3",
            "has(object.spec) && has(object.spec.replicas) && object.spec.replicas < 3",
            "oldObject == null || object.spec.replicas >= oldObject.spec.replicas",
            "object.kind != 'Deployment' || object.spec.replicas < 3",
            "facts.kind != 'Deployment' || object.spec.replicas < 3",
            "object.metadata.?labels['tier'].orValue('') == 'data' || object.spec.replicas < 3",
            "object.metadata.labels.all(key, key != 'x') || object.spec.replicas < 3",
            "[1, 2].exists(n, n == object.spec.replicas)",
        ] {
            assert_eq!(of(text), OfScaled::Known, "{text}");
        }
        for text in [
            "object.spec.template.spec.volumes.size() < 3",
            "[{'spec': {'replicas': 1}}].all(it, it.spec.replicas == 1)",
            "has(object.spec)",
            "oldObject == null",
            "request.operation == 'CREATE'",
        ] {
            assert!(matches!(of(text), OfScaled::Nothing), "{text}: {:?}", of(text));
        }
        for (text, beyond) in [
            ("object.spec.replicas < 3 || object.spec.paused", "object.spec.paused"),
            ("object.spec.replicas < 3 || has(object.spec.paused)", "object.spec.paused"),
            (
                "object.spec.replicas < 3 || object.metadata.annotations['a'] == 'b'",
                "object.metadata.annotations.a",
            ),
            ("object.spec.replicas < 3 || facts.stateful", "facts.stateful"),
            ("object.spec.size() > 2", "object.spec"),
            ("object == oldObject", "object"),
            ("object.spec.replicas < 3 || podSpec.volumes.size() < 3", "podSpec.volumes"),
            ("object.spec.replicas < 3 || podMeta.labels.size() < 3", "podMeta.labels"),
            ("[object].all(it, it.spec.replicas < 3)", "object"),
        ] {
            assert_eq!(of(text), OfScaled::Beyond(beyond.to_owned()), "{text}");
        }
    }
}
