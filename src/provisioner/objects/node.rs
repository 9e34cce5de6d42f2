//! Nodes, and what their agents report of them.

use super::{Map, RawMeta, Text, read};
use crate::facts::FactsFault;
use crate::model::{BaseStatus, HOSTNAME, NodeStorageSpec, NodeStorageStatus};
use serde::Deserialize;
use serde_json::Value;

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: Text,
    /// Its uid.
    pub uid: Text,
    /// Its resource version.
    pub version: u64,
    /// Its labels.
    pub labels: Map,
    /// Whether it is cordoned or has a taint that keeps pods away which do not tolerate it.
    pub closed: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawNode {
    metadata: RawMeta,
    spec: RawNodeSpec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawNodeSpec {
    unschedulable: bool,
    taints: Vec<RawTaint>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawTaint {
    effect: String,
}

impl Node {
    /// Reads a Node.
    ///
    /// # Errors
    /// A field has a wrong type.
    pub fn read(object: &Value) -> Result<Self, FactsFault> {
        let RawNode { metadata, spec } = read(object)?;
        let closes = |taint: &RawTaint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute");
        Ok(Self {
            closed: spec.unschedulable || spec.taints.iter().any(closes),
            version: metadata.version(),
            name: metadata.name.into(),
            uid: metadata.uid.into(),
            labels: metadata.labels.unwrap_or_default(),
        })
    }

    /// The value of the label by which volumes are tied to it, which may differ from its name.
    pub fn hostname(&self) -> &str {
        self.labels.get(HOSTNAME).map_or(&self.name, String::as_str)
    }
}

/// A NodeStorage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// Its node's name, which is its own.
    pub node: Text,
    /// Its node's uid.
    pub node_uid: Text,
    /// Its resource version.
    pub version: u64,
    /// What the agent reports of its bases.
    pub bases: Vec<BaseStatus>,
    /// How many orphans it reports.
    pub orphans: usize,
}

#[derive(Deserialize)]
struct RawStorage {
    #[serde(default)]
    metadata: RawMeta,
    spec: NodeStorageSpec,
    #[serde(default)]
    status: Option<NodeStorageStatus>,
}

impl Storage {
    /// Reads a NodeStorage.
    ///
    /// # Errors
    /// A field has a wrong type.
    pub fn read(object: &Value) -> Result<Self, FactsFault> {
        let RawStorage { metadata, spec, status } = read(object)?;
        let status = status.unwrap_or_default();
        Ok(Self {
            version: metadata.version(),
            node: metadata.name.into(),
            node_uid: spec.node_uid.into(),
            bases: status.bases,
            orphans: status.orphans.len(),
        })
    }

    /// What the agent reports of one base.
    pub fn base(&self, path: &str) -> Option<&BaseStatus> {
        self.bases.iter().find(|base| base.path == path)
    }
}
