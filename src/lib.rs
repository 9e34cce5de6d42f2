//! volgate: a storage gate for Kubernetes. The core is pure; the rooms behind features do the I/O.

pub mod facts;
pub mod lookup;
pub mod model;
