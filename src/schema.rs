//! JSON Schemas of volgate's own objects, made from their Rust types, and what a CustomResourceDefinition takes of them.

mod violations;

use crate::model::{API_GROUP, API_VERSION};
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};
#[cfg(test)]
pub(crate) use violations::unread_keywords;
pub(crate) use violations::{Problem, Violation, violations};

/// The words of a JSON Schema that a structural schema of Kubernetes takes as they are.
const KEPT: [&str; 15] = [
    "default",
    "description",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "pattern",
    "required",
    "type",
];

/// The JSON Schema of a type: without references and without `null`, so that it serves a CRD as well.
pub(crate) fn of<T: JsonSchema>() -> Schema {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.with_transform(NoNull).into_generator().into_root_schema_for::<T>();
    schema.remove("title");
    schema
}

/// A JSON Schema as Kubernetes wants it: every part with its type, unknown fields left to the API server, which tells
/// or prunes them, and no alternatives.
pub(crate) fn structural(schema: &Value) -> Value {
    let Some(schema) = schema.as_object() else {
        return json!({"x-kubernetes-preserve-unknown-fields": true});
    };
    let mut made: Map<String, Value> = schema
        .iter()
        .filter(|(key, _)| KEPT.contains(&key.as_str()))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    if let Some(items) = schema.get("items") {
        made.insert("items".to_owned(), structural(items));
    }
    match (schema.get("properties").and_then(Value::as_object), schema.get("additionalProperties")) {
        (Some(fields), _) => {
            let fields = fields.iter().map(|(name, field)| (name.clone(), structural(field))).collect();
            made.insert("properties".to_owned(), Value::Object(fields));
        }
        (None, Some(values @ Value::Object(_))) => {
            made.insert("additionalProperties".to_owned(), structural(values));
        }
        _ => {}
    }
    // Alternatives: of numbers and texts, what Kubernetes calls so; anything else is left to the loader.
    if !made.get("type").is_some_and(Value::is_string) {
        made.remove("type");
        let free = match types(schema).as_slice() {
            [] => "x-kubernetes-preserve-unknown-fields",
            types if types.iter().all(|kind| matches!(*kind, "string" | "integer" | "number")) => {
                "x-kubernetes-int-or-string"
            }
            _ => "x-kubernetes-preserve-unknown-fields",
        };
        made.insert(free.to_owned(), Value::Bool(true));
    }
    Value::Object(made)
}

/// The types that a schema's alternatives have.
fn types(schema: &Map<String, Value>) -> Vec<&str> {
    let branches = ["anyOf", "oneOf"].into_iter().filter_map(|key| schema.get(key)?.as_array()).flatten();
    let of_branches = branches.map(|branch| branch.get("type").and_then(Value::as_str).unwrap_or("object"));
    let own = schema.get("type").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    own.chain(of_branches).collect()
}

/// Cuts descriptions that are manual pages down to their summaries: `kubectl explain` and editors show them beside the field.
#[derive(Debug, Clone)]
pub(crate) struct Summaries;

impl Transform for Summaries {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let text = schema.get("description").and_then(Value::as_str);
        if let Some((summary, _)) = text.and_then(|text| text.split_once("\n\n# ")) {
            let short = format!("{summary} `volgate rules` and docs/rules.md have its manual page.");
            schema.insert("description".to_owned(), Value::String(short));
        }
    }
}

/// Takes `null` out of the alternatives of optional fields: in a policy an absent field is left out.
#[derive(Debug, Clone)]
struct NoNull;

impl Transform for NoNull {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let null = Value::String("null".to_owned());
        if let Some(Value::Array(types)) = schema.get_mut("type") {
            types.retain(|kind| *kind != null);
            if let [only] = types.as_slice() {
                let only = only.clone();
                schema.insert("type".to_owned(), only);
            }
        }
        for key in ["anyOf", "oneOf"] {
            let Some(Value::Array(branches)) = schema.get_mut(key) else { continue };
            branches.retain(|branch| branch.get("type") != Some(&null));
            if let [Value::Object(only)] = branches.as_slice() {
                let only = only.clone();
                schema.remove(key);
                for (name, value) in only {
                    schema.ensure_object().entry(name).or_insert(value);
                }
            } else {
                merge_constants(schema, key);
            }
        }
        if schema.get("default").is_some_and(Value::is_null) {
            schema.remove("default");
        }
        bound(schema);
    }
}

/// Rust's integer formats as bounds, which every reader of a schema checks and a CRD takes.
fn bound(schema: &mut Schema) {
    let bounds: (Value, Value) = match schema.get("format").and_then(Value::as_str) {
        Some("int32") => (i32::MIN.into(), i32::MAX.into()),
        Some("uint32") => (0.into(), u32::MAX.into()),
        // JSON's whole numbers, in Kubernetes, are int64.
        Some("uint" | "uint64") => (0.into(), i64::MAX.into()),
        Some("uint8") => (0.into(), u8::MAX.into()),
        Some("uint16") => (0.into(), u16::MAX.into()),
        Some("int64" | "int") => {
            schema.remove("format");
            return;
        }
        _ => return,
    };
    schema.remove("format");
    let object = schema.ensure_object();
    object.entry("minimum").or_insert(bounds.0);
    object.entry("maximum").or_insert(bounds.1);
}

/// `oneOf` documented constants is what schemars makes of an enum; an `enum` says the same, and every reader knows it.
fn merge_constants(schema: &mut Schema, key: &str) {
    let Some(Value::Array(branches)) = schema.get(key) else { return };
    let mut options = Vec::new();
    let mut notes = Vec::new();
    for branch in branches {
        match (branch.get("const"), branch.get("enum")) {
            (Some(value), _) => {
                if let (Some(text), Some(note)) =
                    (value.as_str(), branch.get("description").and_then(Value::as_str))
                {
                    notes.push(format!("{text}: {note}"));
                }
                options.push(value.clone());
            }
            (None, Some(Value::Array(values))) => options.extend(values.iter().cloned()),
            _ => return,
        }
    }
    let described = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    let description = std::iter::once(described.to_owned()).chain(notes).collect::<Vec<_>>().join("\n");
    schema.remove(key);
    schema.insert("type".to_owned(), Value::String("string".to_owned()));
    schema.insert("enum".to_owned(), Value::Array(options));
    schema.insert("description".to_owned(), Value::String(description.trim().to_owned()));
}

/// The schema of an object of volgate's own, as a CRD has it, from that of its type. The API server has its own ideas of the
/// fields that every object has.
pub(crate) fn crd_root(schema: &Value) -> Value {
    let mut root = structural(schema);
    if let Some(fields) = root.get_mut("properties").and_then(Value::as_object_mut) {
        for field in ["apiVersion", "kind"] {
            fields.insert(field.to_owned(), json!({"type": "string"}));
        }
        fields.insert("metadata".to_owned(), json!({"type": "object"}));
    }
    root
}

/// A CustomResourceDefinition of volgate's own: cluster-scoped, with a status of its own.
pub(crate) fn crd(kind: &str, plural: &str, short: &str, columns: &Value, root: &Value) -> Value {
    let version = API_VERSION.rsplit('/').next().unwrap_or_default();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{API_GROUP}")},
        "spec": {
            "group": API_GROUP,
            "names": {
                "kind": kind, "listKind": format!("{kind}List"), "plural": plural,
                "singular": kind.to_lowercase(), "shortNames": [short], "categories": ["volgate", "storage"]
            },
            "scope": "Cluster",
            "versions": [{
                "name": version, "served": true, "storage": true,
                "subresources": {"status": {}},
                "additionalPrinterColumns": columns,
                "schema": {"openAPIV3Schema": root}
            }]
        }
    })
}

/// Fails where a schema is not what Kubernetes demands of a structural one, part by part.
#[cfg(test)]
pub(crate) fn check_structural(schema: &Value) {
    tests::check(schema, "");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Kubernetes demands of a structural schema, part by part.
    pub(super) fn check(schema: &Value, path: &str) {
        let schema = schema.as_object().unwrap();
        let free = ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-int-or-string"];
        let free = free.iter().any(|key| schema.contains_key(*key));
        assert!(free != schema.contains_key("type"), "{path}: a type, or a reason for none");
        assert!(
            !(schema.contains_key("properties") && schema.contains_key("additionalProperties")),
            "{path}"
        );
        for (key, value) in schema {
            match key.as_str() {
                "properties" => {
                    for (name, field) in value.as_object().unwrap() {
                        check(field, &format!("{path}.{name}"));
                    }
                }
                "items" | "additionalProperties" => check(value, &format!("{path}[]")),
                "format" => {
                    assert!(["date", "date-time", "int64"].contains(&value.as_str().unwrap()), "{path}")
                }
                "type" => assert!(value.is_string(), "{path}"),
                other => assert!(
                    KEPT.contains(&other) || other.starts_with("x-kubernetes-"),
                    "{path}: {other} has no place in a structural schema"
                ),
            }
        }
    }

    #[test]
    fn alternatives_become_what_kubernetes_has_for_them() {
        let of = |schema: Value| structural(&schema);
        assert_eq!(
            of(json!({"anyOf": [{"type": "string"}, {"type": "integer"}]})),
            json!({"x-kubernetes-int-or-string": true})
        );
        assert_eq!(
            of(json!({"oneOf": [{"type": "string"}, {"type": "object"}], "description": "d"})),
            json!({"description": "d", "x-kubernetes-preserve-unknown-fields": true})
        );
        assert_eq!(of(json!(true)), json!({"x-kubernetes-preserve-unknown-fields": true}));
        assert_eq!(
            of(
                json!({"type": "object", "additionalProperties": {"type": "string", "title": "t"}, "$schema": "s"})
            ),
            json!({"type": "object", "additionalProperties": {"type": "string"}})
        );
    }
}
