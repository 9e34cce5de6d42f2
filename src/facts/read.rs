//! Reading the fields of an object with the types that Kubernetes gives them.

use super::fault::{FactsFault, OrFault};
use crate::json::{Items, Node};
use crate::model::{FieldPath, Quantity, beginning};
use std::borrow::Cow;

/// Typed access to the fields of a JSON object. Null is read as absent, as Kubernetes does.
pub(crate) trait Object<'a>: Sized {
    fn str_at(self, key: &'static str) -> Result<Option<&'a str>, FactsFault>;
    fn name_at(self, key: &'static str) -> Result<Option<&'a str>, FactsFault>;
    fn bool_at(self, key: &'static str) -> Result<bool, FactsFault>;
    fn int_at(self, key: &'static str) -> Result<Option<i64>, FactsFault>;
    fn map_at(self, key: &'static str) -> Result<Option<Node<'a>>, FactsFault>;
    fn list_at(self, key: &'static str) -> Result<Items<'a>, FactsFault>;
}

impl<'a> Object<'a> for Node<'a> {
    fn str_at(self, key: &'static str) -> Result<Option<&'a str>, FactsFault> {
        given(self, key).map(|value| text(key, value)).transpose()
    }

    fn name_at(self, key: &'static str) -> Result<Option<&'a str>, FactsFault> {
        given(self, key).map(|value| name(key, value)).transpose()
    }

    fn bool_at(self, key: &'static str) -> Result<bool, FactsFault> {
        given(self, key).map_or(Ok(false), |value| truth(key, value))
    }

    fn int_at(self, key: &'static str) -> Result<Option<i64>, FactsFault> {
        let Some(value) = given(self, key) else { return Ok(None) };
        value.as_i64().map(Some).ok_or_else(|| FactsFault::wrong_type(key, "a whole number", value))
    }

    fn map_at(self, key: &'static str) -> Result<Option<Node<'a>>, FactsFault> {
        given(self, key).map(|value| map(key, value)).transpose()
    }

    fn list_at(self, key: &'static str) -> Result<Items<'a>, FactsFault> {
        given(self, key).map_or(Ok(Node::NULL.items()), |value| list(key, value))
    }
}

/// The field of that name, unless it is null.
pub(super) fn given<'a>(object: Node<'a>, key: &str) -> Option<Node<'a>> {
    object.get(key).filter(|value| !value.is_null())
}

/// The value of that field as a text.
pub(super) fn text<'a>(key: &'static str, value: Node<'a>) -> Result<&'a str, FactsFault> {
    value.as_str().ok_or_else(|| FactsFault::wrong_type(key, "a string", value))
}

/// The longest name that anything in Kubernetes has, in bytes.
const LONGEST_NAME: usize = 253;

/// The value of that field as a name.
pub(super) fn name<'a>(key: &'static str, value: Node<'a>) -> Result<&'a str, FactsFault> {
    let name = text(key, value)?;
    if name.len() <= LONGEST_NAME {
        return Ok(name);
    }
    let message = format!("has {} bytes, and no name in Kubernetes has more than {LONGEST_NAME}", name.len());
    Err(FactsFault::at(key, message))
}

/// The value of that field as a truth.
pub(super) fn truth(key: &'static str, value: Node<'_>) -> Result<bool, FactsFault> {
    value.as_bool().ok_or_else(|| FactsFault::wrong_type(key, "true or false", value))
}

/// The value of that field as a map.
pub(super) fn map<'a>(key: &'static str, value: Node<'a>) -> Result<Node<'a>, FactsFault> {
    if value.is_map() { Ok(value) } else { Err(FactsFault::wrong_type(key, "a map", value)) }
}

/// The value of that field as a map of texts. A null in it is an empty text, as Kubernetes reads it.
pub(super) fn texts_by_name<'a>(key: &'static str, value: Node<'a>) -> Result<Node<'a>, FactsFault> {
    let map = map(key, value)?;
    let mut wrong = map.fields().filter(|(_, value)| value.as_str().is_none() && !value.is_null());
    match wrong.next() {
        None => Ok(map),
        Some((name, value)) => {
            Err(FactsFault::wrong_type(beginning(name, LONGEST_KEY).to_owned(), "a string", value)
                .within(key))
        }
    }
}

/// The longest key of a label or annotation, in bytes: a prefix, a slash and a name.
const LONGEST_KEY: usize = 253 + 1 + 63;

/// How many items a list may have. The longest that a cluster can use, of variables, have hundreds.
const MAX_ITEMS: usize = 50_000;

/// The value of that field as a list.
pub(super) fn list<'a>(key: &'static str, value: Node<'a>) -> Result<Items<'a>, FactsFault> {
    list_of_at_most(MAX_ITEMS, key, value)
}

/// The same with a bound of its own.
pub(super) fn list_of_at_most<'a>(
    most: usize,
    key: &'static str,
    value: Node<'a>,
) -> Result<Items<'a>, FactsFault> {
    if !value.is_list() {
        return Err(FactsFault::wrong_type(key, "a list", value));
    }
    let items = value.items();
    if items.len() > most {
        let message =
            format!("has {} items, and at most {most} are read: no cluster can use as many", items.len());
        return Err(FactsFault::at(key, message));
    }
    Ok(items)
}

/// Reads each item of a field that is a list of objects.
pub(super) fn each<'a, T>(
    object: Node<'a>,
    key: &'static str,
    read: impl Fn(Node<'a>, usize) -> Result<T, FactsFault>,
) -> Result<Vec<T>, FactsFault> {
    given(object, key).map_or(Ok(Vec::new()), |value| each_of(key, value, read))
}

/// Reads each item of that field's value, a list of objects.
pub(super) fn each_of<'a, T>(
    key: &'static str,
    value: Node<'a>,
    mut read: impl FnMut(Node<'a>, usize) -> Result<T, FactsFault>,
) -> Result<Vec<T>, FactsFault> {
    let items = list(key, value)?;
    let mut found = Vec::with_capacity(items.len());
    for (index, item) in items.enumerate() {
        if !item.is_map() {
            let path = FieldPath::root().key(key).index(index);
            return Err(FactsFault { path, message: "must be a map".to_owned() });
        }
        found.push(read(item, index).or_within_item(key, index)?);
    }
    Ok(found)
}

/// Reads that field's value, a list of texts. A null in it is an empty text, as Kubernetes reads it.
pub(super) fn texts<'a>(key: &'static str, value: Node<'a>) -> Result<Vec<&'a str>, FactsFault> {
    let items = list(key, value)?;
    let mut found = Vec::with_capacity(items.len());
    for (index, item) in items.enumerate() {
        match item.as_str() {
            Some(text) => found.push(text),
            None if item.is_null() => found.push(""),
            None => {
                let path = FieldPath::root().key(key).index(index);
                return Err(FactsFault { path, message: "must be a string; put it in quotes".to_owned() });
            }
        }
    }
    Ok(found)
}

/// A quantity written as text or as a number.
pub(super) fn quantity_at(map: Node<'_>, key: &'static str) -> Result<Option<Quantity>, FactsFault> {
    let Some(value) = map.get(key).filter(|value| !value.is_null()) else { return Ok(None) };
    let text = match (value.as_str(), value.as_number()) {
        (Some(text), _) => Cow::Borrowed(text),
        (None, Some(number)) => Cow::Owned(number.to_string()),
        (None, None) => return Err(FactsFault::at(key, "must be a quantity such as 10Gi")),
    };
    // The API server takes spaces around one off.
    Quantity::parse(text.trim()).map(Some).map_err(|why| FactsFault::at(key, why))
}

#[cfg(test)]
mod tests {
    use crate::facts::Facts;
    use serde_json::json;

    #[test]
    fn a_name_that_no_cluster_takes_is_refused_with_its_place() {
        let fault = |length: usize| {
            let container =
                json!({"name": "c", "volumeMounts": [{"name": "v".repeat(length), "mountPath": "/v"}]});
            let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [container]}});
            Facts::read(&pod, None).err().map(|fault| fault.to_string())
        };
        assert_eq!(fault(253), None);
        let told = "spec.containers[0].volumeMounts[0].name: has 254 bytes, and no name in Kubernetes has more than 253";
        assert_eq!(fault(254).as_deref(), Some(told));
        let named = |metadata| {
            Facts::read(&json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata}), None).is_err()
        };
        assert!(named(json!({"namespace": "n".repeat(254)})) && !named(json!({"name": "n"})));
    }

    #[test]
    fn metadata_of_a_wrong_type_is_refused_with_its_place() {
        let told =
            |object: serde_json::Value| Facts::read(&object, None).err().map(|fault| fault.to_string());
        let pod = |metadata: serde_json::Value| {
            told(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata}))
        };
        let hint = "; put it in quotes";
        for (metadata, wanted) in [
            (json!({"name": false}), format!("metadata.name: must be a string, not a boolean{hint}")),
            (
                json!({"generateName": 7}),
                format!("metadata.generateName: must be a string, not a number{hint}"),
            ),
            (
                json!({"namespace": true}),
                format!("metadata.namespace: must be a string, not a boolean{hint}"),
            ),
            (
                json!({"labels": {"v": 1.1}}),
                format!("metadata.labels.v: must be a string, not a number{hint}"),
            ),
            (
                json!({"annotations": {"a": {}}}),
                "metadata.annotations.a: must be a string, not a map".to_owned(),
            ),
        ] {
            assert_eq!(pod(metadata), Some(wanted));
        }
        assert_eq!(pod(json!({"name": null, "labels": {"a": null, "b": "1.1"}, "annotations": null})), None);
        let template = json!({"metadata": {"labels": {"v": 1}}, "spec": {}});
        let claim = json!({"metadata": {"name": 1}, "spec": {}});
        let workload = |spec| {
            told(
                json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s"}, "spec": spec}),
            )
        };
        let wanted = format!("spec.template.metadata.labels.v: must be a string, not a number{hint}");
        assert_eq!(workload(json!({"template": template})), Some(wanted));
        let wanted =
            format!("spec.volumeClaimTemplates[0].metadata.name: must be a string, not a number{hint}");
        assert_eq!(workload(json!({"volumeClaimTemplates": [claim]})), Some(wanted));
        let cron_job = |labels| {
            let spec = json!({"jobTemplate": {"metadata": {"labels": labels}, "spec": {}}});
            told(
                json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "j"}, "spec": spec}),
            )
        };
        let wanted = format!("spec.jobTemplate.metadata.labels.v: must be a string, not a number{hint}");
        assert_eq!((cron_job(json!({"v": 1})), cron_job(json!({"v": "1"}))), (Some(wanted), None));
    }

    #[test]
    fn a_null_among_texts_is_an_empty_one() {
        let container = |container| {
            let pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [container]}});
            let read = Facts::read(&pod, None).map_err(|fault| fault.to_string());
            read.map(|facts| facts.workload().map(|w| format!("{:?}", w.pod.containers[0].args)))
        };
        assert_eq!(container(json!({"args": ["a", null]})), Ok(Some(r#"["a", ""]"#.to_owned())));
        let wanted = "spec.containers[0].args[1]: must be a string; put it in quotes".to_owned();
        assert_eq!(container(json!({"args": ["a", 1]})), Err(wanted));
    }

    #[test]
    fn many_access_modes_are_refused() {
        let fault = |count: usize| {
            let spec = json!({"accessModes": vec!["ReadWriteOnce"; count]});
            let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"}, "spec": spec});
            Facts::read(&claim, None).err().map(|fault| fault.to_string())
        };
        assert_eq!(fault(64), None);
        assert_eq!(
            fault(65).as_deref(),
            Some("spec.accessModes: has 65 entries, and Kubernetes has four access modes")
        );
    }
}
