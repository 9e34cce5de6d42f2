use crate::model::{Backend, ClaimReference, NodeVolumeMode, NodeVolumeSpec};
use serde::{Deserialize, Serialize};

/// What the agent has written down of a volume, outside of the volume: nothing is made before its record is, and nothing
/// is removed without it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The volume's name.
    pub volume: String,
    /// The claim that it was made for. Its uid tells the volume from another of the same name; the NodeVolume's own uid
    /// changes when that is written again.
    pub claim: ClaimReference,
    /// The claim's class, for whoever reads the disk.
    #[serde(default)]
    pub class: String,
    /// Where it is beneath the base.
    pub directory: String,
    /// How it is made.
    pub backend: Backend,
    /// File system or block device.
    #[serde(default)]
    pub volume_mode: NodeVolumeMode,
    /// How many bytes are promised to it.
    pub size_bytes: i64,
    /// Whether it has been there whole. One that is made is never made again: if it is not there, it is lost.
    pub made: bool,
    /// The project by which its quota is kept, given when the record is first written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<u32>,
}

impl Record {
    /// The record of a volume as it is asked for.
    pub fn new(volume: &str, spec: &NodeVolumeSpec, made: bool) -> Self {
        Self {
            volume: volume.to_owned(),
            claim: spec.claim.clone(),
            class: spec.class.clone(),
            directory: spec.directory.clone(),
            backend: spec.backend,
            volume_mode: spec.volume_mode,
            size_bytes: spec.size_bytes,
            made,
            project: None,
        }
    }

    /// What in it is of another volume than the one asked for, as a fragment.
    pub fn mismatch(&self, spec: &NodeVolumeSpec) -> Option<String> {
        let differs = |what: &str, here: &str, there: &str| {
            (here != there).then(|| format!("its {what} is {here:?} and not {there:?}"))
        };
        differs("claim's uid", &self.claim.uid, &spec.claim.uid)
            .or_else(|| differs("directory", &self.directory, &spec.directory))
            .or_else(|| differs("backend", self.backend.name(), spec.backend.name()))
    }

    /// Whether it has a place of its own among the volumes beneath the base.
    pub fn has_directory(&self) -> bool {
        self.backend != Backend::Loop
    }
}

/// Whether a volume's name can be that of a file of the agent's own. An API server takes no other names for objects,
/// but longer ones.
pub fn usable_name(volume: &str) -> bool {
    const LONGEST_VOLUME: usize = 200;
    let taken = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    (1..=LONGEST_VOLUME).contains(&volume.len()) && !volume.starts_with('.') && volume.bytes().all(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_an_object_can_have() {
        for (name, usable) in [
            ("pvc-1", true),
            ("a.b", true),
            ("", false),
            ("..", false),
            ("a/b", false),
            (".a", false),
            ("A", false),
        ] {
            assert_eq!(usable_name(name), usable, "{name:?}");
        }
        assert!(!usable_name(&"a".repeat(201)));
    }
}
