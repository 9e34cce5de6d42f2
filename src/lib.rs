//! volgate: a storage gate for Kubernetes. The core is pure; the rooms behind features do the I/O.

pub mod admission;
pub mod catalog;
pub mod check;
pub mod cli;
#[cfg(feature = "cluster")]
pub mod cluster;
pub mod data;
pub mod engine;
pub mod explain;
pub mod facts;
pub mod json;
pub mod lookup;
pub mod model;
pub mod patch;
pub mod policy;
pub mod report;
pub mod rules;
#[cfg(feature = "serve")]
pub mod server;
pub mod source;
#[cfg(feature = "serve")]
pub mod tls;
pub mod verdict;
