//! Types parsed once, used by every room: object references, field paths, quantities, selectors, durability.

mod access_mode;
mod affinity;
mod durability;
mod fs_path;
mod node_selector;
mod object;
mod path;
mod quantity;
mod selector;

pub use access_mode::{AccessMode, VolumeMode};
pub use durability::{Durability, Fate, Reach};
pub use fs_path::FsPath;
pub use node_selector::{HOSTNAME, NODE_NAME, NodeRequirement, NodeSelector, NodeTerm};
pub use object::{ObjectRef, Operation};
pub use path::{FieldPath, FieldPathError, Segment};
pub use quantity::Quantity;
pub use selector::{LabelSelector, Labels, Requirement, SelectorOperator, SelectorPart};
