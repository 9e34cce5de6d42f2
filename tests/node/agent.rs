//! `volgate agent` against a real API server: what the controller would write is written, and what is on the disk is
//! looked at.

mod backends;
mod growth;
mod hostile;
mod life;
mod memory;
mod mounts;
mod pace;
mod quota;
mod quota_steps;
mod steps;
mod vm;
mod world;
