//! JSON as rules read it: one view, [`Node`], of a value however it is held, and [`Tape`], the way to hold a text that
//! is read once and thrown away, as a review is. A tape copies no text and builds no tree: its strings are places in
//! the text, and all its values stand in one list.

mod layer;
mod node;
mod scan;
mod tape;

pub(crate) use layer::Layer;
pub use node::{Fields, Items, Node};
pub use scan::Malformed;
pub use tape::{Plain, Shape, Step, TOO_LONG, Tape};
