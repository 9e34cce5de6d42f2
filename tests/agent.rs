//! `volgate agent` against a real API server: what the controller would write is written, and what is on the disk is
//! looked at.
#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests

mod support;

#[path = "agent/backends.rs"]
mod backends;
#[path = "agent/growth.rs"]
mod growth;
#[path = "agent/hostile.rs"]
mod hostile;
#[path = "agent/life.rs"]
mod life;
#[path = "agent/memory.rs"]
mod memory;
#[path = "agent/mounts.rs"]
mod mounts;
#[path = "agent/pace.rs"]
mod pace;
#[path = "agent/quota.rs"]
mod quota;
#[path = "agent/quota_steps.rs"]
mod quota_steps;
#[path = "agent/steps.rs"]
mod steps;
#[path = "agent/vm.rs"]
mod vm;
#[path = "agent/world.rs"]
mod world;
