//! volgate: a storage gate for Kubernetes.
pub mod model;
pub mod source;
