//! JSON as rules read it: one view, [`Node`], of a value, whether it stands in a tree or has the changes of a patch laid
//! over it.

mod layer;
mod node;

pub(crate) use layer::Layer;
pub use node::{Fields, Items, Node};
