use crate::json::Node;
use crate::model::FieldPath;
use std::cell::Cell;

/// How many fields of one custom resource are looked at: a table of a few lines must not be worth a walk through every item
/// for every item.
const MOST_STEPS: usize = 20_000;

/// What is left of an object's allowance.
#[derive(Debug)]
pub(super) struct Steps(Cell<usize>);

impl Default for Steps {
    fn default() -> Self {
        Self(Cell::new(MOST_STEPS))
    }
}

impl Steps {
    /// Whether one more field may be looked at.
    fn take(&self) -> bool {
        let left = self.0.get();
        self.0.set(left.saturating_sub(1));
        left > 0
    }

    /// Whether there was more to look at.
    pub(super) fn are_spent(&self) -> bool {
        self.0.get() == 0
    }
}

/// A path of the table: `spec.kafka.storage`; `pools[]` is every item of a list, `volumes[data]` the items of that name (or
/// `metadata.name`), and `*` every field of a map.
#[derive(Debug, Clone, Copy)]
pub struct Path<'t>(pub &'t str);

/// One step of it.
enum Step<'t> {
    Field(&'t str),
    AnyField,
    Items(&'t str),
    Named(&'t str, &'t str),
}

impl<'t> Path<'t> {
    /// What is wrong with it, if anything is.
    pub fn fault(self) -> Option<String> {
        let broken = |step: &'t str| match Self::step(step) {
            Step::AnyField => false,
            Step::Field(key) | Step::Items(key) => !is_key(key),
            Step::Named(key, name) => !is_key(key) || name.is_empty(),
        };
        let wrong = self.0.split('.').find(|step: &&'t str| broken(step)).filter(|_| !self.0.is_empty())?;
        Some(format!(
            "{wrong:?} is no step of a path: write `field`, `list[]`, `list[name]` or `*`, with dots between them"
        ))
    }

    fn step(step: &'t str) -> Step<'t> {
        if step == "*" {
            return Step::AnyField;
        }
        match step.strip_suffix(']').and_then(|step| step.split_once('[')) {
            Some((list, "")) => Step::Items(list),
            Some((list, name)) => Step::Named(list, name),
            None => Step::Field(step),
        }
    }

    /// Everything that stands there, beneath `root`, each with its path from `root`; null counts as nothing.
    pub(super) fn all<'a>(self, root: Node<'a>, steps: &Steps) -> Vec<(FieldPath, Node<'a>)> {
        let mut found = vec![(FieldPath::root(), root)];
        for step in self.0.split('.').filter(|step| !step.is_empty()) {
            found =
                found.into_iter().flat_map(|(at, node)| below(&at, node, Self::step(step), steps)).collect();
        }
        found
    }

    /// The first that stands there.
    pub(super) fn first<'a>(self, root: Node<'a>, steps: &Steps) -> Option<(FieldPath, Node<'a>)> {
        self.all(root, steps).into_iter().next()
    }

    /// What stands on the way to it and is no map, so that nothing can stand there.
    pub(super) fn blocked(self, root: Node<'_>) -> Option<FieldPath> {
        let (mut at, mut node) = (FieldPath::root(), root);
        let steps = self.0.split('.').filter(|step| !step.is_empty()).map(Self::step);
        for step in steps {
            let Step::Field(key) = step else { return None };
            if !node.is_map() {
                return (!node.is_null()).then_some(at);
            }
            node = node.get(key)?;
            at = at.key(key.to_owned());
        }
        None
    }

    /// The place of it, where nothing stands there: lists count by their names.
    pub(super) fn place(self, at: &FieldPath) -> FieldPath {
        let mut place = at.clone();
        for step in self.0.split('.').filter(|step| !step.is_empty()) {
            match Self::step(step) {
                Step::Field(key) | Step::Items(key) | Step::Named(key, _) => place.push_key(key.to_owned()),
                Step::AnyField => break,
            }
            if step.ends_with(']') {
                break;
            }
        }
        place
    }
}

fn is_key(key: &str) -> bool {
    !key.is_empty()
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'/'))
}

fn below<'a>(at: &FieldPath, node: Node<'a>, step: Step<'_>, steps: &Steps) -> Vec<(FieldPath, Node<'a>)> {
    let given = |node: &Node<'a>| !node.is_null() && steps.take();
    let items = |key: &str| {
        let list = at.key(key.to_owned());
        let items = node.get(key).unwrap_or(Node::NULL).items().enumerate();
        items.filter(|(_, item)| given(item)).map(move |(index, item)| (list.index(index), item))
    };
    match step {
        Step::Field(key) => {
            node.get(key).filter(given).map(|value| (at.key(key.to_owned()), value)).into_iter().collect()
        }
        Step::AnyField => {
            let fields = node.fields().filter(|(_, value)| given(value));
            let mut fields: Vec<_> = fields.map(|(key, value)| (at.key(key.to_owned()), value)).collect();
            fields.sort_by(|(a, _), (b, _)| a.cmp(b));
            fields
        }
        Step::Items(key) => items(key).collect(),
        Step::Named(key, name) => items(key).filter(|(_, item)| is_named(*item, name)).collect(),
    }
}

/// Whether an item of a list has that name, as a pod volume or a claim template has it.
fn is_named(item: Node<'_>, name: &str) -> bool {
    let own = item.get("name").and_then(Node::as_str);
    let of_meta = || item.get("metadata")?.get("name")?.as_str();
    own.or_else(of_meta) == Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_lead_through_lists_names_and_maps() {
        let object = json!({"spec": {"pools": [{"size": 1}, {"size": null}, {"size": 3}],
            "volumes": [{"name": "a", "x": 1}, {"metadata": {"name": "b"}, "x": 2}], "nodes": {"n": {"y": 1}, "m": {"y": 2}}}});
        let found = |path: &str| -> Vec<String> {
            let all = Path(path).all((&object).into(), &Steps::default());
            all.into_iter().map(|(at, node)| format!("{at}={node}")).collect()
        };
        assert_eq!(found("spec.pools[].size"), ["spec.pools[0].size=1", "spec.pools[2].size=3"]);
        assert_eq!(found("spec.volumes[b].x"), ["spec.volumes[1].x=2"]);
        assert_eq!(found("spec.nodes.*.y"), ["spec.nodes.m.y=2", "spec.nodes.n.y=1"]);
        assert_eq!(found("spec.none.size"), [""; 0]);
        assert_eq!(Path("").all((&object).into(), &Steps::default()).len(), 1);
        assert_eq!(Path("none[].size").place(&FieldPath::root().key("spec")).to_string(), "spec.none");
    }

    #[test]
    fn a_walk_is_bounded() {
        let object = json!({"l": vec![1; MOST_STEPS + 10]});
        let steps = Steps::default();
        assert_eq!(Path("l[]").all((&object).into(), &steps).len(), MOST_STEPS);
        assert!(steps.are_spent());
        assert!(!Steps::default().are_spent());
    }

    #[test]
    fn broken_paths_are_told() {
        for good in ["", "spec", "spec.a-b[].c", "a[data].b", "spec.nodes.*.x"] {
            assert_eq!(Path(good).fault(), None, "{good}");
        }
        for bad in ["spec..a", ".spec", "a[", "a[].", "[]", "sp ec", "$.spec"] {
            assert!(Path(bad).fault().is_some(), "{bad}");
        }
    }
}
