//! Types parsed once, used by every room: object references, field paths, quantities, selectors, durability.

mod access_mode;
mod affinity;
mod brief;
mod condition;
mod controllers;
mod durability;
mod fs_path;
mod lock;
mod name;
mod node_selector;
mod node_storage;
mod node_volume;
mod object;
mod packed;
mod path;
mod quantity;
mod selector;
mod text;
mod volume_directory;
mod yes;

pub use access_mode::{AccessMode, VolumeMode};
pub use affinity::Effort;
pub use brief::Brief;
pub(crate) use brief::beginning;
pub use condition::{Condition, Conditions, READY};
pub use controllers::{controller_users, is_any_controller, is_controller};
pub use durability::{Durability, Fate, Reach};
pub use fs_path::FsPath;
pub(crate) use fs_path::below;
pub use lock::lock;
pub(crate) use name::{closeness, did_you_mean, did_you_mean_code, fits, includes, nearest, nearly, overlap};
pub use node_selector::{HOSTNAME, NODE_NAME, NodeRequirement, NodeSelector, NodeTerm};
pub use node_storage::{BaseStatus, NodeStorageSpec, NodeStorageStatus, Orphan};
pub(crate) use node_volume::fnv1a;
pub use node_volume::{
    Backend, ClaimReference, Desired, NODE_LABEL, NodeVolumeMode, NodeVolumeSpec, NodeVolumeStatus, Phase,
    device_link, node_label,
};
pub use object::{ObjectRef, Operation};
pub use packed::PackedLabels;
pub use path::{FieldPath, FieldPathError, Segment};
pub use quantity::Quantity;
pub use selector::{LabelSelector, Labels, Requirement, SelectorOperator, SelectorPart};
pub use text::{printable, printable_line, printable_name, shortened, steers, without_commands};
pub use volume_directory::{Directory, OWN, as_one_name};
pub(crate) use yes::{is_yes, yes};

/// The API group of volgate's own objects.
pub const API_GROUP: &str = "volgate.dev";
/// The API version of volgate's own objects.
pub const API_VERSION: &str = "volgate.dev/v1alpha1";
/// The provisioner's name, unless it takes another's place. Without a `/`, so that CSIStorageCapacity objects of it can be.
pub const PROVISIONER: &str = "local-path.volgate.dev";
