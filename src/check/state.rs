//! Which kinds a cluster's state has: of the others nothing is known, not even that there is none.

use super::{Input, Notice, text};
use crate::lookup::{LookupKind, MapLookup};
use crate::source::Source;
use serde_json::Value;

/// The kinds that a state has: those of its objects, and those of its lists, which may be empty.
pub(crate) fn kinds(state: &[Input]) -> impl Iterator<Item = LookupKind> {
    let documents = || state.iter().flat_map(Input::documents);
    LookupKind::ALL.into_iter().filter(move |kind| documents().any(|document| has(&document.value, *kind)))
}

/// A state that has every kind and no object: beside the objects of a state it says that these are all.
pub fn every_kind() -> Input {
    let list = |kind: &LookupKind| {
        let api_version = if *kind == LookupKind::Class { "storage.k8s.io/v1" } else { "v1" };
        format!("---\napiVersion: {api_version}\nkind: {}List\nitems: []\n", kind.as_str())
    };
    let text: String = LookupKind::ALL.iter().map(list).collect();
    Input::new(Source::new("every kind", text), false)
}

/// Whether an object is of that kind, or a list of it.
fn has(object: &Value, kind: LookupKind) -> bool {
    let own = text(object, "kind").unwrap_or_default();
    if own == "List" {
        let mut items = object.get("items").and_then(Value::as_array).into_iter().flatten();
        return items.any(|item| has(item, kind));
    }
    let group = match kind {
        LookupKind::Class => "storage.k8s.io/",
        _ => "v1",
    };
    own.strip_suffix("List").unwrap_or(own) == kind.as_str()
        && text(object, "apiVersion").is_some_and(|version| version.starts_with(group))
}

/// A notice if it made a difference that the state has no objects of a kind.
pub(super) fn missing(lookup: &MapLookup) -> Option<Notice> {
    let names: Vec<String> = lookup.missed().map(|kind| plural(kind.as_str())).collect();
    let (last, rest) = names.split_last()?;
    let names = if rest.is_empty() { last.clone() } else { format!("{} and no {last}", rest.join(", no ")) };
    let message = format!(
        "the cluster state has no {names} in it: whether one exists that is not among the manifests is not known \
         (`volgate snapshot` writes every kind that is looked up)"
    );
    Some(Notice { spot: None, message })
}

fn plural(kind: &str) -> String {
    if kind.ends_with('s') { format!("{kind}es") } else { format!("{kind}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(state: &str) -> Vec<LookupKind> {
        kinds(&[Input::new(Source::new("state", state), true)]).collect()
    }

    #[test]
    fn a_kind_is_there_with_an_object_or_with_a_list_of_its_own() {
        use LookupKind::{Claim, Class, Node, Volume};
        assert_eq!(of("{apiVersion: v1, kind: List, items: []}"), []);
        assert_eq!(of("{apiVersion: v1, kind: PersistentVolumeClaimList, items: []}"), [Claim]);
        let mixed = "{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: PersistentVolume}, \
                     {apiVersion: storage.k8s.io/v1, kind: StorageClass}]}\n---\n{apiVersion: v1, kind: Node}\n";
        assert_eq!(of(mixed), [Volume, Class, Node]);
        assert_eq!(kinds(&[every_kind()]).count(), LookupKind::ALL.len());
        assert_eq!(of("{apiVersion: example.org/v1, kind: Node}"), [], "a kind of another group");
    }
}
