//! The annotations, finalizers and labels by which the provisioner, Kubernetes and other provisioners know each other.

/// The finalizer of a volume whose data must be dealt with before the object goes; the ecosystem's own, so that another
/// provisioner of the same name would honour it as well.
pub const FINALIZER: &str = "external-provisioner.volume.kubernetes.io/finalizer";
/// On a volume: the provisioner that made it.
pub const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
/// On a claim: who is to make its volume. The controller manager writes it.
pub const STORAGE_PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
/// The same by its older name.
pub const BETA_STORAGE_PROVISIONER: &str = "volume.beta.kubernetes.io/storage-provisioner";
/// On a claim: the node that the scheduler chose.
pub const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// On a volume: its node's name, which its affinity does not tell (that is a label's value).
pub const NODE: &str = "volgate.dev/node";
/// On a volume: its node's uid when it was made.
pub const NODE_UID: &str = "volgate.dev/node-uid";
/// On a volume: the base in which it is.
pub const BASE: &str = "volgate.dev/base";
/// On a volume: where beneath the base it is.
pub const DIRECTORY: &str = "volgate.dev/directory";
/// On a volume: its backend.
pub const BACKEND: &str = "volgate.dev/backend";
/// On a NodeVolume: what becomes of the data when neither claim nor volume is there any more.
pub const RECLAIM: &str = "volgate.dev/reclaim-policy";
/// On a volume of rancher's local-path provisioner: its node's name.
pub const RANCHER_NODE: &str = "local.path.provisioner/selected-node";
/// On a claim, as rancher's provisioner has it: `local` or `hostPath`.
pub const RANCHER_VOLUME_TYPE: &str = "volumeType";
/// On a class, as rancher's provisioner has it: `local` or `hostPath` for claims that say nothing.
pub const RANCHER_DEFAULT_VOLUME_TYPE: &str = "defaultVolumeType";
/// On a NodeVolume: the provisioner whose controller answers for it. An annotation, as such a name may have a `/` in it.
pub const OWNER: &str = "volgate.dev/provisioner";
