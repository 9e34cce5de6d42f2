//! Which cluster a person means, as kubectl has it.

use super::daemon::block_on;
use crate::cluster::connect_to;
use anyhow::Result;
use std::path::PathBuf;

/// The file and the context in it.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Kubeconfig {
    /// The kubeconfig file, in place of those of KUBECONFIG or ~/.kube/config
    #[arg(long, value_name = "FILE")]
    pub(super) kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig, in place of its current one
    #[arg(long, value_name = "NAME")]
    pub(super) context: Option<String>,
}

impl Kubeconfig {
    /// Does something with the cluster.
    pub(super) fn with<T>(&self, work: impl AsyncFnOnce(kube::Client) -> Result<T>) -> Result<T> {
        block_on(async { work(connect_to(self.kubeconfig.as_deref(), self.context.as_deref()).await?).await })
    }
}
