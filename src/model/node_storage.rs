use super::Backend;
use crate::schema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Whose storage it is. The object bears the node's name; the node owns it, so that it goes when the node does. The
/// node's agent makes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeStorageSpec {
    /// The node's name.
    pub node: String,
    /// The node's uid.
    pub node_uid: String,
    /// Orphans that an administrator wants removed, each as it stands in the status: `<base>/<directory>`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove_orphans: Vec<String>,
}

/// What the node's agent tells of the node. It is written when it has changed by more than a little.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeStorageStatus {
    /// The directories in which the agent makes volumes.
    #[serde(default)]
    pub bases: Vec<BaseStatus>,
    /// What is beneath the bases with an agent's mark and without a NodeVolume; the first 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orphans: Vec<Orphan>,
}

/// One directory in which volumes are made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BaseStatus {
    /// Its absolute path on the node.
    pub path: String,
    /// Whether volumes can be made in it; if not, `message` says why.
    pub usable: bool,
    /// The file system's name, such as `xfs`.
    #[serde(default)]
    pub filesystem: String,
    /// How many bytes its file system holds.
    #[serde(default)]
    pub capacity_bytes: i64,
    /// How many bytes can still be promised to claims.
    #[serde(default)]
    pub available_bytes: i64,
    /// What the agent can make there.
    #[serde(default)]
    pub backends: Vec<Backend>,
    /// Why a backend or the base cannot be used, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A volume on a disk that no NodeVolume speaks of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Orphan {
    /// `<base>/<directory>`.
    pub path: String,
    /// The volume that it was made for.
    pub volume: String,
}

#[derive(JsonSchema)]
struct NodeStorage {
    #[expect(dead_code, reason = "read by the schema alone")]
    spec: NodeStorageSpec,
    #[expect(dead_code, reason = "read by the schema alone")]
    status: Option<NodeStorageStatus>,
}

/// The CustomResourceDefinition of a NodeStorage.
pub fn node_storage_crd() -> Value {
    let root = schema::crd_root(schema::of::<NodeStorage>().as_value());
    let columns = json!([
        {"name": "Base", "type": "string", "jsonPath": ".status.bases[0].path"},
        {"name": "Usable", "type": "boolean", "jsonPath": ".status.bases[0].usable"},
        {"name": "Available", "type": "integer", "jsonPath": ".status.bases[0].availableBytes",
         "description": "In bytes."},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}
    ]);
    schema::crd("NodeStorage", "nodestorages", "nodestor", &columns, &root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::check_structural;

    #[test]
    fn the_crd_is_structural() {
        let crd = node_storage_crd();
        let root = crd.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap();
        check_structural(root);
        assert_eq!(root["properties"]["spec"]["required"], json!(["node", "nodeUid"]));
    }
}
