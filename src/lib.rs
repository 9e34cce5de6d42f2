//! volgate: a storage gate for Kubernetes.
pub mod catalog;
pub mod source;
