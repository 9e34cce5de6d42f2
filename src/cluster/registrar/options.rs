//! What the one who writes the webhook configurations is told.

use crate::cluster::lease::LeaseSettings;
use crate::cluster::policies::{ClusterPolicies, PolicyStatuses};
use crate::cluster::policy_status::InForce;
use crate::cluster::register::{CustomResource, Registration};
use crate::cluster::secret::SecretSettings;
use std::sync::Arc;
use tokio::sync::watch;

/// The CAs (PEM) to register, now; none while they are not known.
pub type Bundle = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// Where the CAs come from.
#[derive(Clone)]
pub enum Authorities {
    /// The Secret that all replicas share.
    Secret(SecretSettings),
    /// Somebody else keeps them.
    Given(Bundle),
}

/// The custom resources that are judged where they are installed, now.
pub type Known = Arc<dyn Fn() -> Vec<CustomResource> + Send + Sync>;

/// What the writer is told.
pub struct RegistrarOptions {
    /// What is asked for. The bundle is left out.
    pub registration: Registration,
    /// The namespace of the dry run.
    pub namespace: String,
    /// How one of the replicas is chosen.
    pub lease: LeaseSettings,
    /// Where the CAs come from.
    pub authorities: Authorities,
    /// Which custom resources are judged where they are installed.
    pub known: Known,
    /// The policies that are to be kept; none where somebody else makes them.
    pub policies: Option<PolicyKeeping>,
}

/// What is known of the cluster's policies, for the one that leads.
pub struct PolicyKeeping {
    /// The StoragePolicy objects.
    pub policies: watch::Receiver<ClusterPolicies>,
    /// Their statuses.
    pub statuses: PolicyStatuses,
    /// What of them is in force in this process.
    pub in_force: watch::Receiver<InForce>,
    /// Becomes true when it is known that the StoragePolicy `baseline` was made, so that from then on only objects count; none
    /// where volgate is not to make it.
    pub settled: Option<watch::Sender<bool>>,
}
