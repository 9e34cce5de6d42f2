//! volgate: a storage gate for Kubernetes.
pub mod source;
