//! What needs root, and a disk or a node on which pods really run (README.md here): the agent, and volgate as its users
//! install it.
// A panic is how a test fails, in its helpers too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../support/mod.rs"]
mod support;

mod agent;
mod docs;
mod experiments_node;
mod map;
mod real_node;
mod reports;
