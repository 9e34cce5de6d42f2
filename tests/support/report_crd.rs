//! The CustomResourceDefinitions of policy reports, as openreports.io and wgpolicyk8s.io have them, written here.

use serde_json::{Value, json};

/// The CustomResourceDefinition of a kind of reports, with the fields that both APIs have.
pub fn report_crd(group: &str, version: &str, kind: &str, plural: &str, severities: &[&str]) -> Value {
    let text = json!({"type": "string"});
    let object = |fields: Value| json!({"type": "object", "properties": fields});
    let reference = object(json!({
        "apiVersion": text, "kind": text, "name": text, "namespace": text, "uid": text, "fieldPath": text, "resourceVersion": text,
    }));
    let selector = object(json!({"matchLabels": {"type": "object", "additionalProperties": text}}));
    let number = json!({"type": "integer"});
    let results = ["pass", "fail", "warn", "error", "skip"];
    let summary: serde_json::Map<String, Value> =
        results.iter().map(|name| ((*name).to_owned(), number.clone())).collect();
    let timestamp = json!({"type": "object", "required": ["nanos", "seconds"], "properties": {
        "nanos": {"type": "integer", "format": "int32"}, "seconds": {"type": "integer", "format": "int64"}}});
    let result = json!({"type": "object", "required": ["policy"], "properties": {
        "category": text, "message": text, "policy": text, "rule": text, "source": text, "scored": {"type": "boolean"},
        "properties": {"type": "object", "additionalProperties": text},
        "resourceSelector": selector, "resources": {"type": "array", "items": reference},
        "result": {"type": "string", "enum": results}, "severity": {"type": "string", "enum": severities},
        "timestamp": timestamp,
    }});
    let schema = object(json!({
        "apiVersion": text, "kind": text, "metadata": {"type": "object"},
        "scope": reference, "scopeSelector": selector, "summary": object(Value::Object(summary)),
        "results": {"type": "array", "items": result},
    }));
    let column = |name: &str, path: &str, kind: &str, priority: u8| json!({"name": name, "jsonPath": path, "type": kind, "priority": priority});
    let scope = if kind.starts_with("Cluster") { "Cluster" } else { "Namespaced" };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group, "scope": scope,
            "names": {"kind": kind, "listKind": format!("{kind}List"), "plural": plural, "singular": kind.to_lowercase()},
            "versions": [{
                "name": version, "served": true, "storage": true, "schema": {"openAPIV3Schema": schema},
                "additionalPrinterColumns": [
                    column("Kind", ".scope.kind", "string", 1), column("Name", ".scope.name", "string", 1),
                    column("Pass", ".summary.pass", "integer", 0), column("Fail", ".summary.fail", "integer", 0),
                    column("Warn", ".summary.warn", "integer", 0), column("Error", ".summary.error", "integer", 0),
                    column("Skip", ".summary.skip", "integer", 0), column("Age", ".metadata.creationTimestamp", "date", 0),
                ],
            }],
        },
    })
}
