use super::{Conditions, VolumeMode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The label of every NodeVolume and NodeStorage with its node, as [`node_label`] writes it: what an agent watches by.
pub const NODE_LABEL: &str = "volgate.dev/node";

/// What a volume on a node is to be. The controller alone writes it; the object has the volume's name and its node's
/// label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeVolumeSpec {
    /// The node's name.
    pub node: String,
    /// The node's uid when the volume was asked for: a node that comes back under the same name has another.
    pub node_uid: String,
    /// The claim that the volume is for.
    pub claim: ClaimReference,
    /// The claim's class.
    #[serde(default)]
    pub class: String,
    /// How it is made and what bounds its size.
    #[serde(default)]
    pub backend: Backend,
    /// The directory of the node in which volumes are: an absolute path, one of the agent's bases.
    pub base: String,
    /// The volume's path below the base: relative, of one or more names, without `.` and `..`.
    pub directory: String,
    /// The size in bytes.
    #[schemars(range(min = 0))]
    pub size_bytes: i64,
    /// A file system or a block device.
    #[serde(default)]
    pub volume_mode: NodeVolumeMode,
    /// The desired state. Absent is final.
    #[serde(default)]
    pub desired: Desired,
    /// Whether an existing directory is taken over that volgate's agent did not make: another provisioner's.
    #[serde(default)]
    pub adopt: bool,
}

impl NodeVolumeSpec {
    /// Where a volume is that is no device: the directory beneath the base.
    pub fn path(&self) -> String {
        format!("{}/{}", self.base, self.directory)
    }

    /// Where the kubelet finds the volume of that name: the one path that the agent may report.
    pub fn reached_at(&self, volume: &str) -> String {
        match self.backend {
            Backend::Loop => device_link(volume),
            Backend::Directory | Backend::Btrfs | Backend::ProjectQuota => self.path(),
        }
    }
}

/// Where the kubelet finds the device of a loop volume: a link in a file system that a reboot empties.
pub fn device_link(volume: &str) -> String {
    format!("/dev/volgate/{volume}")
}

/// A claim, by all that tells it from another of the same name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClaimReference {
    /// The claim's namespace.
    pub namespace: String,
    /// The claim's name.
    pub name: String,
    /// The claim's uid.
    pub uid: String,
}

/// How a volume is made on its node.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Backend {
    /// A directory; nothing bounds its size.
    #[default]
    Directory,
    /// A btrfs subvolume with a qgroup limit.
    Btrfs,
    /// A directory with a project quota (XFS, ext4).
    ProjectQuota,
    /// A file behind a loop device: a block device, or a file system of a hard size.
    Loop,
}

impl Backend {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Directory, Self::Btrfs, Self::ProjectQuota, Self::Loop];

    /// Its name, as a class's `backend` parameter and a NodeVolume have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::Btrfs => "btrfs",
            Self::ProjectQuota => "projectQuota",
            Self::Loop => "loop",
        }
    }

    /// Whether it keeps a volume from growing beyond its size.
    pub fn bounds_size(self) -> bool {
        self != Self::Directory
    }
}

/// The mode of a NodeVolume.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NodeVolumeMode {
    /// Files and directories.
    #[default]
    Filesystem,
    /// A block device.
    Block,
}

impl From<VolumeMode> for NodeVolumeMode {
    fn from(mode: VolumeMode) -> Self {
        match mode {
            VolumeMode::Filesystem => Self::Filesystem,
            VolumeMode::Block => Self::Block,
        }
    }
}

/// Whether a volume is to be there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Desired {
    /// The volume is made, and kept.
    #[default]
    Present,
    /// The volume is removed with its data.
    Absent,
}

/// What became of a volume on its node. The node's agent alone writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeVolumeStatus {
    /// The phase.
    #[serde(default)]
    pub phase: Phase,
    /// The metadata.generation that the status describes.
    #[serde(default)]
    pub observed_generation: i64,
    /// Where the kubelet finds it: an absolute path of the node, of a directory or of a block device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The size in bytes: the limit, or for a backend without limits what was requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<i64>,
    /// Why it is not Ready, in one word, such as `NotEnoughSpace`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The reason in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Ready: whether the volume can be used. It follows from the phase.
    #[serde(default)]
    pub conditions: Conditions,
}

impl NodeVolumeStatus {
    /// With the Ready condition that follows from the phase, at that time (RFC 3339); `before` are those that are stored.
    #[must_use]
    pub fn with_condition(self, before: &Conditions, now: &str) -> Self {
        let ready = self.phase == Phase::Ready;
        let reason = self.reason.as_deref().unwrap_or(if ready { "Made" } else { self.phase.as_str() });
        let message = self.message.as_deref().unwrap_or_default();
        let conditions = before.with_ready(ready, reason, message, self.observed_generation, now);
        Self { conditions, ..self }
    }
}

/// How far a volume is on its node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// In progress. With a reason: it failed, and will be retried.
    #[default]
    Pending,
    /// The volume exists, with the size in the status.
    Ready,
    /// The agent refuses to make it, and nothing of it is on the node.
    Refused,
    /// The volume existed and is gone: the disk was emptied or replaced.
    Lost,
    /// The volume was removed, as requested. Its data may still be in the trash, where no pod can reach it.
    Removed,
}

impl Phase {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Ready, Self::Refused, Self::Lost, Self::Removed];

    /// Its name, as the object has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Ready => "Ready",
            Self::Refused => "Refused",
            Self::Lost => "Lost",
            Self::Removed => "Removed",
        }
    }
}

/// The value of [`NODE_LABEL`] for a node: its name, or where that is longer than a label may be, its beginning and a hash.
pub fn node_label(node: &str) -> String {
    const LONGEST: usize = 63;
    if node.len() <= LONGEST {
        return node.to_owned();
    }
    let hash = fnv1a(node);
    let head: String = node.chars().take(LONGEST - 17).collect();
    format!("{head}-{hash:016x}")
}

/// FNV-1a, the same in every build: for names that administrators give, who have no reason to make them collide.
pub(crate) fn fnv1a(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_label_holds_any_node_name() {
        assert_eq!(node_label("node-a.example"), "node-a.example");
        let long = |end: &str| format!("{}{end}", "n".repeat(100));
        let (one, two) = (node_label(&long("1")), node_label(&long("2")));
        assert_eq!((one.len(), two.len()), (63, 63));
        assert_ne!(one, two);
    }

    #[test]
    fn backends_are_written_by_their_names() {
        for backend in Backend::ALL {
            assert_eq!(serde_json::to_value(backend).unwrap(), json!(backend.name()));
        }
    }
}
