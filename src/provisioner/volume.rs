//! The objects that are written: a NodeVolume's spec and a PersistentVolume.

use super::class::VolumeType;
use super::names::{
    BACKEND, BASE, DIRECTORY, FINALIZER, NODE, NODE_UID, PROVISIONED_BY, RANCHER_NODE, SELECTED_NODE,
};
use super::objects::{Claim, Class, Node, NodeVolume, Unbound, Volume};
use crate::model::{Backend, ClaimReference, Desired, HOSTNAME, NodeVolumeMode, NodeVolumeSpec, VolumeMode};
use serde_json::{Value, json};

/// The file system that the kubelet makes on a device when the class names none; its own default.
const DEFAULT_FS: &str = "ext4";

/// What the agent of a node is asked to make for a claim.
pub(super) fn node_volume_spec(
    claim: &Claim,
    block: bool,
    node: &Node,
    backend: Backend,
    base: &str,
    directory: String,
) -> NodeVolumeSpec {
    let volume_mode = if block { VolumeMode::Block } else { VolumeMode::Filesystem };
    NodeVolumeSpec {
        node: node.name.to_string(),
        node_uid: node.uid.to_string(),
        claim: claim.reference(),
        class: claim.class.to_string(),
        backend,
        base: base.to_owned(),
        directory,
        size_bytes: claim.request,
        volume_mode: volume_mode.into(),
        desired: Desired::Present,
        adopt: false,
    }
}

/// A NodeVolume for a volume that has none: it was deleted by hand, or another provisioner made the volume. It is taken
/// over as it is and never created again.
pub(super) fn node_volume_of(
    volume: &Volume,
    node: &Node,
    at: (String, &str),
    desired: Desired,
) -> NodeVolumeSpec {
    let mode = if volume.block { NodeVolumeMode::Block } else { NodeVolumeMode::Filesystem };
    NodeVolumeSpec {
        node: node.name.to_string(),
        node_uid: node.uid.to_string(),
        claim: made_for(volume),
        class: volume.class.to_string(),
        backend: volume.made.as_ref().map(|made| made.backend).unwrap_or_default(),
        base: at.0,
        directory: at.1.to_owned(),
        size_bytes: volume.capacity,
        volume_mode: mode,
        desired,
        adopt: true,
    }
}

/// The claim that a volume is known by on its node: the one that it was made for, whose uid is in its name. Kept beyond
/// that one's end, it may have been given to another.
fn made_for(volume: &Volume) -> ClaimReference {
    let mut claim = volume.claim.clone().unwrap_or_default();
    if let Some(uid) = volume.name.strip_prefix("pvc-") {
        uid.clone_into(&mut claim.uid);
    }
    claim
}

/// All of which the PersistentVolume of a claim is made.
pub(super) struct MadeVolume<'a> {
    pub(super) claim: &'a Claim,
    pub(super) rest: &'a Unbound,
    pub(super) class: &'a Class,
    pub(super) node: &'a Node,
    pub(super) found: &'a NodeVolume,
    /// Where the agent has made it.
    pub(super) path: &'a str,
    pub(super) reached: VolumeType,
    pub(super) fs_type: Option<String>,
}

impl MadeVolume<'_> {
    /// The PersistentVolume.
    pub(super) fn object(&self, provisioner: &str) -> Value {
        let Self { claim, rest, class, node, found, path, reached, fs_type } = self;
        let NodeVolumeSpec { base, directory, backend, volume_mode, .. } = &found.spec;
        let mut annotations = json!({
            PROVISIONED_BY: provisioner, NODE: node.name, NODE_UID: node.uid,
            BASE: base, DIRECTORY: directory, BACKEND: backend.name(),
        });
        if provisioner.starts_with("rancher.io/") {
            // So that its own provisioner could take the volume back.
            put(&mut annotations, RANCHER_NODE, json!(node.name));
        }
        let mut spec = json!({
            "capacity": {"storage": claim.request_text},
            "accessModes": rest.access_modes,
            "volumeMode": if *volume_mode == NodeVolumeMode::Block { "Block" } else { "Filesystem" },
            "persistentVolumeReclaimPolicy": class.facts.reclaim.as_str(),
            "storageClassName": class.facts.name,
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "namespace": claim.namespace, "name": claim.name, "uid": claim.uid,
            },
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": HOSTNAME, "operator": "In", "values": [node.hostname()]}
            ]}]}},
        });
        match *reached {
            VolumeType::Local => {
                let mut local = json!({"path": path});
                let formatted = *backend == Backend::Loop && *volume_mode == NodeVolumeMode::Filesystem;
                if formatted {
                    put(&mut local, "fsType", json!(fs_type.as_deref().unwrap_or(DEFAULT_FS)));
                }
                put(&mut spec, "local", local);
            }
            // Never DirectoryOrCreate: a volume that is gone would silently be an empty one.
            VolumeType::HostPath => put(&mut spec, "hostPath", json!({"path": path, "type": "Directory"})),
        }
        if !class.facts.mount_options.is_empty() {
            put(&mut spec, "mountOptions", json!(class.facts.mount_options));
        }
        json!({
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": found.name, "annotations": annotations, "finalizers": [FINALIZER]},
            "spec": spec,
        })
    }
}

/// The change that takes a claim's node away, so that the scheduler chooses again; only of this claim as it was seen.
pub(super) fn without_node(claim: &Claim) -> Value {
    json!({"metadata": {
        "uid": claim.uid, "resourceVersion": claim.version.to_string(), "annotations": {SELECTED_NODE: null}
    }})
}

fn put(object: &mut Value, key: &str, value: Value) {
    if let Some(map) = object.as_object_mut() {
        map.insert(key.to_owned(), value);
    }
}
