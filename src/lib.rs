//! volgate: a storage gate for Kubernetes. The core is pure; the rooms behind features do the I/O.

pub mod catalog;
#[cfg(feature = "cluster")]
pub mod cluster;
pub mod engine;
pub mod facts;
pub mod lookup;
pub mod model;
pub mod patch;
pub mod policy;
pub mod rules;
pub mod source;
pub mod verdict;
