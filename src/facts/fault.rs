use crate::json::{Items, Node};
use crate::model::{FieldPath, beginning};
use std::borrow::Cow;

/// A field whose type is not the one that Kubernetes gives it, so that nothing can be said of the object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct FactsFault {
    /// Where.
    pub path: FieldPath,
    /// What is wrong, as a fragment.
    pub message: String,
}

impl FactsFault {
    /// A fault at a field of the object that is being read; the callers put the outer path before it.
    pub fn at(key: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { path: FieldPath::root().key(key), message: message.into() }
    }

    /// The same fault beneath this field.
    pub(super) fn within(self, key: impl Into<Cow<'static, str>>) -> Self {
        Self { path: FieldPath::root().key(key).join(&self.path), ..self }
    }

    fn wrong_type(key: impl Into<Cow<'static, str>>, wanted: &str, found: Node<'_>) -> Self {
        let kind = if found.is_null() {
            "null"
        } else if found.as_bool().is_some() {
            "a boolean"
        } else if found.is_number() {
            "a number"
        } else if found.as_str().is_some() {
            "a string"
        } else if found.is_list() {
            "a list"
        } else {
            "a map"
        };
        // YAML takes `y`, `no` and `8` for booleans and numbers.
        let scalar = found.as_bool().is_some() || found.is_number();
        let hint = if wanted == "a string" && scalar { "; put it in quotes" } else { "" };
        Self::at(key, format!("must be {wanted}, not {kind}{hint}"))
    }
}

/// Puts the outer path before a fault on its way out, so that the good case builds no path.
pub(crate) trait OrFault<T> {
    /// The fault lies beneath this field.
    fn or_within(self, key: impl Into<Cow<'static, str>>) -> Result<T, FactsFault>;
    /// The fault lies beneath this element of the list of that name.
    fn or_within_item(self, key: &'static str, index: usize) -> Result<T, FactsFault>;
}

impl<T> OrFault<T> for Result<T, FactsFault> {
    fn or_within(self, key: impl Into<Cow<'static, str>>) -> Result<T, FactsFault> {
        self.map_err(|fault| fault.within(key))
    }

    fn or_within_item(self, key: &'static str, index: usize) -> Result<T, FactsFault> {
        self.map_err(|fault| FactsFault {
            path: FieldPath::root().key(key).index(index).join(&fault.path),
            ..fault
        })
    }
}

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
