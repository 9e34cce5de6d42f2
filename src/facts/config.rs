//! ConfigMaps and Secrets: configuration that stands outside of a workload. Only `check` knows them.

use crate::json::Node;
use crate::model::ObjectRef;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

/// The kinds of object that hold configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConfigKind {
    /// A ConfigMap.
    ConfigMap,
    /// A Secret.
    Secret,
}

/// A ConfigMap or a Secret.
#[derive(Debug, Clone)]
pub struct ConfigFacts {
    /// Which of the two.
    pub kind: ConfigKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    values: BTreeMap<String, ConfigValue>,
    /// The `binaryData` of a ConfigMap: files, and no variables.
    binary: BTreeMap<String, ConfigValue>,
}

/// A value of a ConfigMap or a Secret.
#[derive(Debug, Clone, PartialEq)]
pub enum ConfigValue {
    /// The text in a ConfigMap.
    Text(ConfigText),
    /// The text in a Secret.
    Sealed(Sealed),
    /// Bytes that are no text, or a text that was encrypted.
    Unknown,
}

/// A text in a ConfigMap.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigText {
    text: String,
    /// The text as YAML, once somebody asked: one ConfigMap may configure thousands of pods.
    tree: OnceLock<Option<Vec<Value>>>,
}

impl ConfigText {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its documents as YAML or JSON; none where one of them cannot be read, or is no map.
    pub fn documents(&self) -> Option<&[Value]> {
        self.tree.get_or_init(|| documents(&self.text)).as_deref()
    }
}

/// The documents of a text as YAML or JSON; none where one of them cannot be read, or is no map.
pub(crate) fn documents(text: &str) -> Option<Vec<Value>> {
    let documents = crate::source::parse(text).into_iter();
    let trees =
        documents.map(|document| document.map(|document| document.value)).collect::<Result<Vec<_>, _>>();
    // What has another syntax is a text to YAML.
    trees.ok().filter(|trees| trees.iter().all(Value::is_object))
}

/// A text that no message may show. It answers questions with yes or no, and nothing else comes out of it: a truth
/// holds no text.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(String);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed")
    }
}

impl Sealed {
    /// What the question says of the text.
    pub fn is(&self, question: impl Fn(&str) -> bool) -> bool {
        question(&self.0)
    }

    /// How long the text is, in bytes: what reading it takes.
    pub fn size(&self) -> usize {
        self.0.len()
    }
}

/// What sops writes in the place of a value that it has encrypted.
const ENCRYPTED: &str = "ENC[";

/// The most bytes that base64 takes for a value that is read: what an API server stores in one object, 1 MiB, and line ends.
const MOST_ENCODED: usize = 3 << 19;

impl ConfigFacts {
    /// Reads an object of that kind. A value of a wrong type counts as not known.
    pub(super) fn read(kind: ConfigKind, object: Node<'_>, id: &ObjectRef) -> Self {
        let (mut values, mut binary) = (BTreeMap::new(), BTreeMap::new());
        let fields = |key| object.get(key).unwrap_or(Node::NULL).fields();
        for (key, value) in fields("data") {
            let value = match kind {
                ConfigKind::ConfigMap => value.as_str().map(str::to_owned),
                ConfigKind::Secret => value.as_str().and_then(decoded),
            };
            values.insert(key.to_owned(), ConfigValue::of(kind, value));
        }
        // The API server writes these over the others.
        if kind == ConfigKind::Secret {
            for (key, value) in fields("stringData") {
                values.insert(key.to_owned(), ConfigValue::of(kind, value.as_str().map(str::to_owned)));
            }
        }
        if kind == ConfigKind::ConfigMap {
            for (key, value) in fields("binaryData") {
                binary.insert(key.to_owned(), ConfigValue::of(kind, value.as_str().and_then(decoded)));
            }
        }
        let namespace = id.namespace.clone().unwrap_or_default();
        Self { kind, namespace, name: id.name.clone(), values, binary }
    }

    /// The value that a variable has from a key, when the object has the key.
    pub fn get(&self, key: &str) -> Option<&ConfigValue> {
        self.values.get(key)
    }

    /// The file that a pod volume has from a key, when the object has the key.
    pub fn file(&self, key: &str) -> Option<&ConfigValue> {
        self.values.get(key).or_else(|| self.binary.get(key))
    }

    /// The keys of variables, in their order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// The keys of files.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.keys().chain(self.binary.keys().map(String::as_str))
    }
}

impl ConfigValue {
    fn of(kind: ConfigKind, text: Option<String>) -> Self {
        match (text.filter(|text| !text.starts_with(ENCRYPTED)), kind) {
            (None, _) => Self::Unknown,
            (Some(text), ConfigKind::ConfigMap) => Self::Text(ConfigText { text, tree: OnceLock::new() }),
            (Some(text), ConfigKind::Secret) => Self::Sealed(Sealed(text)),
        }
    }
}

fn decoded(text: &str) -> Option<String> {
    if text.len() > MOST_ENCODED {
        return None;
    }
    // Whoever wraps base64 at a width puts newlines into it, which Kubernetes passes over.
    let text: String = text.split_ascii_whitespace().collect();
    String::from_utf8(STANDARD.decode(text).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Facts, Subject};
    use serde_json::json;

    fn config(object: &Value) -> ConfigFacts {
        match Facts::read(object, None).unwrap().subject {
            Subject::Config(config) => config,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_config_map_is_read() {
        let map = config(
            &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "n"},
            "data": {"a": "b", "port": 1, "crypt": "ENC[AES256_GCM,data:x]"}}),
        );
        assert_eq!((map.kind, &*map.namespace, &*map.name), (ConfigKind::ConfigMap, "n", "m"));
        let Some(ConfigValue::Text(text)) = map.get("a") else { panic!("{map:?}") };
        assert_eq!((text.as_str(), text.documents()), ("b", None), "no map");
        assert_eq!(map.get("none"), None);
        for unknown in ["port", "crypt"] {
            assert_eq!(map.get(unknown), Some(&ConfigValue::Unknown), "{unknown}");
        }
        assert_eq!(map.keys().collect::<Vec<_>>(), ["a", "crypt", "port"]);
    }

    #[test]
    fn binary_data_are_files_and_no_variables() {
        let large = STANDARD.encode("a".repeat(MOST_ENCODED));
        let map = config(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"},
            "data": {"a": "b"}, "binaryData": {"conf": "ZGlyIC9z\ncnYK", "bytes": "//79", "bad": "%", "number": 1, "large": large}}));
        let Some(ConfigValue::Text(text)) = map.file("conf") else { panic!("{map:?}") };
        assert_eq!(text.as_str(), "dir /srv\n");
        for unknown in ["bytes", "bad", "number", "large"] {
            assert_eq!(map.file(unknown), Some(&ConfigValue::Unknown), "{unknown}");
        }
        assert_eq!((map.get("conf"), map.keys().collect::<Vec<_>>()), (None, vec!["a"]));
        assert_eq!(map.files().collect::<Vec<_>>(), ["a", "bad", "bytes", "conf", "large", "number"]);
        // Of a Secret there is no such field.
        let secret = config(
            &json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "binaryData": {"a": "Yg=="}}),
        );
        assert_eq!(secret.files().count(), 0);
    }

    #[test]
    fn a_secrets_value_answers_questions_and_never_shows() {
        let secret = config(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
            "data": {"a": "c2VjcmV0\nd29yZA==", "b": "b2xk", "bad": "%"}, "stringData": {"b": "new"}}));
        let sealed = |key: &str| match secret.get(key) {
            Some(ConfigValue::Sealed(sealed)) => sealed.clone(),
            other => panic!("{other:?}"),
        };
        assert!(sealed("a").is(|text| text == "secretword") && sealed("b").is(|text| text == "new"));
        assert_eq!(sealed("a").size(), 10);
        assert_eq!(secret.get("bad"), Some(&ConfigValue::Unknown));
        let shown = format!("{secret:?} {secret:#?}");
        assert!(!shown.contains("secretword") && !shown.contains("new"), "{shown}");
    }
}
