//! volgate: a storage gate for Kubernetes. The core is pure; the rooms behind features do the I/O.

pub mod admission;
#[cfg(feature = "agent")]
pub mod agent;
pub mod catalog;
mod cel;
pub mod check;
pub mod cli;
#[cfg(feature = "cluster")]
pub mod cluster;
pub mod crd;
pub mod daemon;
pub mod engine;
pub mod explain;
pub mod export;
pub mod facts;
#[cfg(feature = "cluster")]
pub mod failpoint;
pub mod json;
pub mod lookup;
pub mod map;
pub mod model;
pub mod patch;
pub mod policy;
pub mod provisioner;
pub mod report;
pub mod rule;
pub mod rules;
mod schema;
#[cfg(feature = "serve")]
pub mod server;
pub mod source;
pub mod storage;
#[cfg(feature = "serve")]
pub mod tls;
pub mod verdict;
