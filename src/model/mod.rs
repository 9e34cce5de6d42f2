//! Types that are parsed once and used in every room.

mod path;

pub use path::*;
