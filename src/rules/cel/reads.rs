//! What an expression reads of a workload, seen without evaluating it: whether its replicas, and whether anything that is
//! not known when a workload is scaled.

use super::program::unescape;
use kube_cel::cel::IdedExpr;
use kube_cel::cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators};
use std::collections::BTreeSet;

/// Fields that are read, each as its names from the variable on; the last is [`PRESENCE`] where only that is asked.
pub(super) type Reads = BTreeSet<Vec<String>>;

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
pub(super) enum OfScaled {
    /// Not its replicas.
    Nothing,
    /// Its replicas, and beside them only what is known.
    Known,
    /// Its replicas, and this, which is not known.
    Beyond(String),
}

impl OfScaled {
    /// For a rule whose expressions read that.
    pub(super) fn of<'r>(reads: impl Iterator<Item = &'r Vec<String>>) -> Self {
        let (mut replicas, mut beyond) = (false, None);
        for names in reads {
            let Some((global, path)) = names.split_first() else { continue };
            let is = |known: &[&str]| path == known;
            let within = |outer: &[&str]| path.get(..outer.len()).is_some_and(|start| start == outer);
            let (known, reads_replicas) = match path.split_last() {
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

/// What a parsed expression reads of `object`, `oldObject` and `facts`.
pub(super) fn reads(tree: &IdedExpr) -> Reads {
    let mut reads = Reads::new();
    walk(tree, &mut reads);
    reads
}

fn walk(tree: &IdedExpr, reads: &mut Reads) {
    if let Some(path) = path(tree) {
        reads.insert(path);
        return;
    }
    match &tree.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
        Expr::Select(select) => walk(&select.operand, reads),
        Expr::Call(call) => {
            if let Some(mut path) = compared_with_null(call) {
                path.push(PRESENCE.to_owned());
                reads.insert(path);
                return;
            }
            for part in call.target.as_deref().into_iter().chain(&call.args) {
                walk(part, reads);
            }
        }
        Expr::List(list) => list.elements.iter().for_each(|element| walk(element, reads)),
        Expr::Map(map) => map.entries.iter().for_each(|entry| walk_entry(&entry.expr, reads)),
        Expr::Struct(message) => message.entries.iter().for_each(|entry| walk_entry(&entry.expr, reads)),
        Expr::Comprehension(parts) => {
            // No loop may call its item as a variable is called.
            let ComprehensionExpr { iter_range, accu_init, loop_cond, loop_step, result, .. } = &**parts;
            for part in [iter_range, accu_init, loop_cond, loop_step, result] {
                walk(part, reads);
            }
        }
    }
}

fn walk_entry(entry: &EntryExpr, reads: &mut Reads) {
    match entry {
        EntryExpr::StructField(field) => walk(&field.value, reads),
        EntryExpr::MapEntry(entry) => {
            walk(&entry.key, reads);
            walk(&entry.value, reads);
        }
    }
}

/// The field that a chain of selections leads to, the variable first.
fn path(tree: &IdedExpr) -> Option<Vec<String>> {
    match &tree.expr {
        Expr::Ident(name) => {
            matches!(name.as_str(), "object" | "oldObject" | "facts").then(|| vec![name.clone()])
        }
        Expr::Select(select) => {
            let mut path = path(&select.operand)?;
            path.push(unescape(&select.field));
            path.extend(select.test.then(|| PRESENCE.to_owned()));
            Some(path)
        }
        Expr::Call(CallExpr { func_name, target: None, args }) => {
            let steps = [operators::INDEX, operators::OPT_INDEX, operators::OPT_SELECT];
            let [operand, key] = args.as_slice() else { return None };
            let Expr::Literal(LiteralValue::String(key)) = &key.expr else { return None };
            let mut path = steps.contains(&func_name.as_str()).then(|| path(operand))??;
            path.push(unescape(key.inner()));
            Some(path)
        }
        _ => None,
    }
}

/// The field that is asked for being null.
fn compared_with_null(call: &CallExpr) -> Option<Vec<String>> {
    if !matches!(call.func_name.as_str(), operators::EQUALS | operators::NOT_EQUALS) {
        return None;
    }
    match call.args.as_slice() {
        [one, IdedExpr { expr: Expr::Literal(LiteralValue::Null), .. }]
        | [IdedExpr { expr: Expr::Literal(LiteralValue::Null), .. }, one] => path(one),
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
            ("[object].all(it, it.spec.replicas < 3)", "object"),
        ] {
            assert_eq!(of(text), OfScaled::Beyond(beyond.to_owned()), "{text}");
        }
    }
}
