use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The smallest thing whose end loses the data of a path. Ordered: a later one lasts longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// The image's writable layer: no volume covers the path.
    Container,
    /// tmpfs: an emptyDir with `medium: Memory`.
    Memory,
    /// emptyDir on disk, a generic ephemeral volume, a CSI inline volume.
    Pod,
    /// hostPath: the node's own directory.
    Node,
    /// A claim whose volume has reclaim policy Delete.
    Claim,
    /// A claim whose volume has reclaim policy Retain, or storage outside the cluster.
    Volume,
}

impl Durability {
    /// The word of the scale.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Memory => "memory",
            Self::Pod => "pod",
            Self::Node => "node",
            Self::Claim => "claim",
            Self::Volume => "volume",
        }
    }

    /// What has to happen for the data to be lost, to stand behind "lost when".
    pub fn lost_when(self) -> &'static str {
        match self {
            Self::Container => "the container restarts",
            Self::Memory => "the pod ends or the node reboots",
            Self::Pod => "the pod ends",
            Self::Node => "the node ends or the pod is scheduled elsewhere",
            Self::Claim => "the claim is deleted",
            Self::Volume => "an administrator deletes the volume",
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where the data can be used from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// Any node can mount it.
    AnyNode,
    /// Only some nodes can: the volume has a node affinity, or the data lies on the pod's own node.
    SomeNodes,
    /// Not known: the volume or class could not be looked up.
    Unknown,
}

/// What becomes of the data of one path: durability as a range, because a lookup may not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    /// The least durability that is possible.
    pub least: Durability,
    /// The greatest durability that is possible; equal to `least` when it is certain.
    pub most: Durability,
    /// Where the data can be used from.
    pub reach: Reach,
}

impl Fate {
    /// A durability that is certain.
    pub fn certain(durability: Durability, reach: Reach) -> Self {
        Self { least: durability, most: durability, reach }
    }

    /// Whether the durability is one value and not a range.
    pub fn is_certain(&self) -> bool {
        self.least == self.most
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_certain() {
            return self.least.fmt(f);
        }
        write!(f, "unknown ({} to {})", self.least, self.most)
    }
}
