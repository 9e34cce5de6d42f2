use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How a claim or volume may be mounted (`spec.accessModes`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum AccessMode {
    /// One node mounts it, read and write.
    ReadWriteOnce,
    /// Many nodes mount it read-only.
    ReadOnlyMany,
    /// Many nodes mount it, read and write.
    ReadWriteMany,
    /// One pod mounts it, read and write.
    ReadWriteOncePod,
}

impl AccessMode {
    /// The mode of that Kubernetes name, or of kubectl's abbreviation of it.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "ReadWriteOnce" | "RWO" => Self::ReadWriteOnce,
            "ReadOnlyMany" | "ROX" => Self::ReadOnlyMany,
            "ReadWriteMany" | "RWX" => Self::ReadWriteMany,
            "ReadWriteOncePod" | "RWOP" => Self::ReadWriteOncePod,
            _ => return None,
        })
    }

    /// The name in Kubernetes' API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadWriteOnce => "ReadWriteOnce",
            Self::ReadOnlyMany => "ReadOnlyMany",
            Self::ReadWriteMany => "ReadWriteMany",
            Self::ReadWriteOncePod => "ReadWriteOncePod",
        }
    }
}

impl fmt::Display for AccessMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a claim or volume is a file system or a raw block device (`spec.volumeMode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VolumeMode {
    /// Mounted as a directory; what an absent `volumeMode` means.
    #[default]
    Filesystem,
    /// Handed to the container as a device.
    Block,
}

impl VolumeMode {
    /// The name in Kubernetes' API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Filesystem => "Filesystem",
            Self::Block => "Block",
        }
    }
}

impl fmt::Display for VolumeMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
