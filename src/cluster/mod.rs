//! The cluster as reviews see it: informer caches behind [`crate::lookup::Lookup`], the StoragePolicy objects, and the
//! registration of the webhook.

mod caches;
mod connect;
pub mod index;
mod node_volumes;
mod object;
mod policies;
mod provisioner;
mod register;
mod registered;
mod watch;
mod watched;

pub use caches::{CacheStatus, Caches};
pub use connect::connect;
pub use index::Index;
pub use node_volumes::{
    NodeStorage, NodeVolume, node_storage, node_storage_api, node_storages, node_volume, node_volume_api,
    node_volumes,
};
pub use policies::{ClusterPolicies, ClusterPolicy, PolicySource, PolicyWatch};
pub use provisioner::{
    LeaseSettings, Provisioner, ProvisionerOptions, ProvisionerView, Stopped, provisioner_cluster_rules,
    provisioner_namespace_rules,
};
pub use register::{
    Endpoint, FIELD_MANAGER, FailurePolicy, MUTATE_PATH, NAME, Registration, VALIDATE_PATH, configurations,
    register,
};
pub use registered::{Caller, registered};
pub use watched::{Watched, role_rules};

/// What goes wrong between volgate and the API server.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No way to the API server is known.
    #[error(
        "failed to find the API server: {0}; inside a cluster it is the service account that says where it is, outside a kubeconfig file"
    )]
    Config(String),
    /// The client cannot be built.
    #[error("failed to build the client of the API server: {0}")]
    Client(String),
    /// A webhook configuration was not accepted.
    #[error("failed to apply the {kind} {NAME}: {reason}")]
    Register {
        /// `MutatingWebhookConfiguration` or `ValidatingWebhookConfiguration`.
        kind: &'static str,
        /// What the API server or the way to it says.
        reason: String,
    },
    /// A webhook configuration cannot be read.
    #[error("failed to read the {kind} {NAME}: {reason}")]
    Registered {
        /// `MutatingWebhookConfiguration` or `ValidatingWebhookConfiguration`.
        kind: &'static str,
        /// What the API server or the way to it says.
        reason: String,
    },
}

/// An error with what caused it, since the outermost often says no more than "service error".
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
