//! One file an output format, over the same two inputs: what came of the run, and the texts.

mod excerpt;
mod human;
mod json;
mod table;

pub use human::{human, summary_line};
pub use json::json;
pub use table::table;
