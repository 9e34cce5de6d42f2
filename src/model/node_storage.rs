use super::{Backend, Conditions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whose storage it is. The object has the node's name; the node owns it, so that it goes when the node does. The
/// node's agent makes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeStorageSpec {
    /// The node's name.
    pub node: String,
    /// The node's uid.
    pub node_uid: String,
    /// Orphans to remove, each as the status lists it: `<base>/<directory>`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove_orphans: Vec<String>,
}

/// What the node's agent reports of the node. It is written when it has changed by more than a little.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeStorageStatus {
    /// The directories in which the agent makes volumes.
    #[serde(default)]
    pub bases: Vec<BaseStatus>,
    /// Orphaned volumes: directories below the bases with an agent's mark and without a NodeVolume. At most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orphans: Vec<Orphan>,
    /// Ready: whether volumes can be made in all bases. It follows from them.
    #[serde(default)]
    pub conditions: Conditions,
}

impl NodeStorageStatus {
    /// With the Ready condition that follows from the bases, at that time (RFC 3339); `before` are those that are stored.
    #[must_use]
    pub fn with_condition(self, before: &Conditions, generation: i64, now: &str) -> Self {
        let unusable: Vec<String> = self
            .bases
            .iter()
            .filter(|base| !base.usable)
            .map(|base| format!("{}: {}", base.path, base.message.as_deref().unwrap_or("it cannot be used")))
            .collect();
        let ready = unusable.is_empty() && !self.bases.is_empty();
        let reason = if ready { "BasesUsable" } else { "BaseUnusable" };
        let message = if self.bases.is_empty() { "there is no base".to_owned() } else { unusable.join("; ") };
        let conditions = before.with_ready(ready, reason, &message, generation, now);
        Self { conditions, ..self }
    }
}

/// One directory in which volumes are made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BaseStatus {
    /// The absolute path on the node.
    pub path: String,
    /// Whether volumes can be made in it; if not, `message` says why.
    pub usable: bool,
    /// The file system's name, such as `xfs`.
    #[serde(default)]
    pub filesystem: String,
    /// The size of its file system, in bytes.
    #[serde(default)]
    pub capacity_bytes: i64,
    /// The bytes that can still be allocated to claims.
    #[serde(default)]
    pub available_bytes: i64,
    /// The backends that the agent can use there.
    #[serde(default)]
    pub backends: Vec<Backend>,
    /// Why a backend or the base cannot be used, in words.
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
