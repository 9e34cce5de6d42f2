//! The CustomResourceDefinition of a StoragePolicy, made from the one schema that the files have.

use super::schema::KIND;
use crate::rules;
use crate::schema;
use schemars::Schema;
use schemars::transform::Transform;
use serde_json::{Value, json};

/// The JSON Schema of a policy file, for editors, as text.
pub fn schema_json() -> String {
    let mut text = serde_json::to_string_pretty(&policy_schema()).unwrap_or_default();
    text.push('\n');
    text
}

fn policy_schema() -> Schema {
    let mut schema = super::schema::schema();
    schema::Summaries.transform(&mut schema);
    schema
}

/// The CustomResourceDefinition of a StoragePolicy.
pub fn crd() -> Value {
    let columns = json!([
        {"name": "Action", "type": "string", "jsonPath": ".spec.action",
         "description": "What a finding leads to, unless its rule has its own action."},
        {"name": "Priority", "type": "integer", "jsonPath": ".spec.priority", "priority": 1,
         "description": "Which of two policies goes first where only one can."},
        {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status",
         "description": "Whether the policy is applied."},
        {"name": "Rules", "type": "integer", "jsonPath": ".status.rules", "description": "How many rules it has."},
        {"name": "Objects", "type": "integer", "jsonPath": ".status.objects",
         "description": "Objects that it was about in the last hour."},
        {"name": "Denials", "type": "integer", "jsonPath": ".status.denials",
         "description": "Objects that it refused in the last hour."},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}
    ]);
    schema::crd(KIND, "storagepolicies", "storagepol", &columns, &root())
}

fn root() -> Value {
    let mut root = schema::crd_root(policy_schema().as_value());
    if let Some(fields) = root.get_mut("properties").and_then(Value::as_object_mut) {
        fields.insert("status".to_owned(), status());
    }
    if let Some(entry) =
        root.pointer_mut("/properties/spec/properties/rules/items").and_then(Value::as_object_mut)
    {
        entry.insert("x-kubernetes-validations".to_owned(), one_rule());
    }
    if let Some(root) = root.as_object_mut() {
        root.insert("required".to_owned(), json!(["spec"]));
    }
    root
}

/// That an entry holds one rule, as the API server can check it.
fn one_rule() -> Value {
    let fields: Vec<&str> = rules::all().iter().map(|rule| rule.field).collect();
    let given: Vec<String> = fields.iter().map(|field| format!("(has(self.{field}) ? 1 : 0)")).collect();
    json!([{
        "rule": format!("{} == 1", given.join(" + ")),
        "message": format!("one entry holds one rule: one of {}", fields.join(", "))
    }])
}

fn status() -> Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    let number = |description: &str| json!({"type": "integer", "format": "int64", "minimum": 0, "description": description});
    json!({
        "type": "object",
        "description": "What volgate made of the policy.",
        "properties": {
            "observedGeneration": {
                "type": "integer", "format": "int64",
                "description": "The metadata.generation that the status is about."
            },
            "rules": number("How many rules are applied."),
            "objects": number("Objects that the policy was about in the last hour, all replicas together."),
            "denials": number("Objects that it refused in the last hour."),
            "replicas": {
                "type": "object",
                "description": "What each replica of volgate counted, by the name of its pod.",
                "additionalProperties": {
                    "type": "object",
                    "properties": {
                        "objects": number("Objects that the policy was about in the last hour."),
                        "denials": number("Objects that it refused in the last hour."),
                        "at": number("When it was written, in seconds since 1970.")
                    }
                }
            },
            "conditions": {
                "type": "array",
                "description": "Ready: whether the policy is applied; if not, the message holds its faults.",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
                "items": {
                    "type": "object",
                    "required": ["type", "status", "lastTransitionTime", "reason", "message"],
                    "properties": {
                        "type": text("Which condition."),
                        "status": {
                            "type": "string", "enum": ["True", "False", "Unknown"],
                            "description": "Whether it holds."
                        },
                        "observedGeneration": {
                            "type": "integer", "format": "int64", "minimum": 0,
                            "description": "The metadata.generation that it is about."
                        },
                        "lastTransitionTime": {
                            "type": "string", "format": "date-time", "description": "When the status last changed."
                        },
                        "reason": text("Why, in one word."),
                        "message": text("Why, for a person.")
                    }
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::check_structural;

    #[test]
    fn is_structural() {
        let crd = crd();
        assert_eq!(crd["metadata"]["name"], "storagepolicies.volgate.dev");
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        check_structural(schema);
        assert_eq!(schema["properties"]["metadata"], json!({"type": "object"}));
        assert_eq!(schema["properties"]["spec"]["properties"]["rules"]["maxItems"], 64);
    }

    #[test]
    fn every_rule_has_its_field() {
        let crd = crd();
        let entry = crd
            .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/rules/items")
            .unwrap();
        for rule in rules::all() {
            let text = entry["properties"][rule.field]["description"].as_str().unwrap();
            assert!(text.ends_with("its manual page.") && !text.contains("# "), "{}: {text}", rule.field);
            assert!(entry["x-kubernetes-validations"][0]["rule"].as_str().unwrap().contains(rule.field));
        }
    }

    #[test]
    fn the_schema_for_editors_is_json() {
        assert!(serde_json::from_str::<Value>(&schema_json()).unwrap()["properties"]["spec"].is_object());
    }
}
