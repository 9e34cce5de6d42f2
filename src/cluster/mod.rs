//! The cluster as reviews see it: informer caches behind [`crate::lookup::Lookup`], the StoragePolicy objects, and the
//! registration of the webhook.

mod audit;
mod baseline;
mod caches;
mod calls;
mod clock;
mod connect;
mod denials;
mod desired;
mod doctor;
mod election;
mod events;
pub mod index;
mod installed;
mod judging;
mod lease;
mod list_turns;
mod map;
mod node_volumes;
mod object;
mod pages;
mod policies;
mod policy_status;
mod provisioner;
mod register;
mod registered;
mod registrar;
mod registration_view;
mod reports;
mod role;
mod secret;
mod server_time;
mod snapshot;
mod unregister;
mod watch;
mod watch_pace;
mod watched;
mod within;

pub use audit::{Audit, Kept, audit};
pub use caches::{CacheStatus, Caches};
pub use connect::{connect, connect_and_hear, connect_to};
pub use denials::{DenialEvents, denial_event_rules};
pub use doctor::{Diagnosis, Level, doctor};
pub use index::Index;
pub use judging::Scope;
pub use lease::LeaseSettings;
pub use map::read_map;
pub use node_volumes::{
    NodeStorage, NodeVolume, node_storage, node_storage_api, node_storages, node_volume, node_volume_api,
    node_volumes,
};
pub use pages::{Ended, Listed};
pub use policies::{ClusterPolicies, ClusterPolicy, PolicySource, PolicyStatuses, PolicyWatch};
pub use policy_status::InForce;
pub use provisioner::{
    Provisioner, ProvisionerOptions, ProvisionerView, Stopped, provisioner_cluster_rules,
    provisioner_metrics_sample, provisioner_namespace_rules,
};
pub use register::{
    CustomResource, Endpoint, FIELD_MANAGER, FailurePolicy, LAST_NAME, MUTATE_PATH, NAME, NamespacedName,
    Registration, VALIDATE_PATH, VERSION_ANNOTATION, configurations, host,
};
pub use registrar::{
    Authorities, Bundle, Known, OWNER_ROLE, PolicyKeeping, Registrar, RegistrarOptions, until_removed,
};
pub use registration_view::RegistrationView;
pub use reports::{
    NO_REPORT_API, REPORTED_BY, Reporter, Round, reports_cluster_rules, reports_metrics_sample,
};
pub use role::{registration_cluster_rules, registration_namespace_rules, removal_rules};
pub use secret::{SECRET, SecretSettings, shared_ca};
pub use snapshot::{policy_snapshot, snapshot};
pub use unregister::unregister;
pub(crate) use watch::events;
pub(crate) use watched::{NODE_STORAGES, NODE_VOLUMES};
pub use watched::{Watched, role_rules};
pub(crate) use within::within;

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
    /// The Secret with the CA cannot be used.
    #[error("failed to read the CA from Secret {namespace}/{name}: {why}")]
    Secret {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Why.
        why: String,
    },
    /// The webhook configurations cannot be taken away.
    #[error("failed to delete the webhook configurations: {0}")]
    Unregister(String),
    /// There is no randomness to be had.
    #[error("failed to get random bytes")]
    Random,
}

/// Sixteen hexadecimal digits that nobody can guess.
///
/// # Errors
/// The system has none.
pub fn random_text() -> Result<String, ClusterError> {
    let mut random = [0; 8];
    let provider = rustls::crypto::ring::default_provider();
    provider.secure_random.fill(&mut random).map_err(|_| ClusterError::Random)?;
    Ok(format!("{:016x}", u64::from_le_bytes(random)))
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
