//! The state of a cluster that a run looks up: files, folders, or the cluster itself.

use super::input::{self, Found};
use crate::check::Notice;
use anyhow::{Result, bail};
use std::path::PathBuf;

/// The word for the cluster of the kubeconfig, in place of a file.
pub(super) const LIVE: &str = "live";

/// The most bytes of files that a state may have: it is held whole, at about sixteen times its size. A snapshot has some 600 bytes
/// for each object.
const MOST_BYTES: u64 = 64 << 20;

/// Where the state is.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct StatePaths {
    /// Objects of the cluster, for look-ups only: files or folders as `volgate snapshot` or `kubectl get -o yaml`
    /// writes them, or `live` for the cluster of the kubeconfig. If a kind is in it, objects of that kind that are
    /// missing count as absent
    #[arg(
        long,
        value_name = "PATH|live",
        value_delimiter = '\n',
        env = "VOLGATE_CLUSTER_STATE",
        hide_env_values = true
    )]
    pub(super) cluster_state: Vec<PathBuf>,
}

impl StatePaths {
    /// Whether the cluster of the kubeconfig is meant, among others.
    pub(super) fn is_live(&self) -> bool {
        self.cluster_state.iter().any(|path| path.as_os_str() == LIVE)
    }

    /// The files and folders.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.cluster_state.iter().filter(|path| path.as_os_str() != LIVE)
    }
}

/// Which state, and by which names.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct StateArgs {
    #[command(flatten)]
    paths: StatePaths,
    /// The context of the kubeconfig that `live` means
    #[arg(long, value_name = "NAME", env = "VOLGATE_KUBE_CONTEXT", hide_env_values = true)]
    pub(super) kube_context: Option<String>,
    /// The old name of --cluster-state
    #[arg(long, value_name = "PATH", hide = true)]
    context: Vec<PathBuf>,
}

impl StateArgs {
    /// Takes what the settings say where no flag says another.
    pub(super) fn fill_in(&mut self, state: Vec<PathBuf>, context: Option<String>) {
        if self.paths.cluster_state.is_empty() && self.context.is_empty() {
            self.paths.cluster_state = state;
        }
        self.kube_context = self.kube_context.take().or(context);
    }

    /// The files and folders of it.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.paths.files().chain(&self.context)
    }

    /// Reads it.
    ///
    /// # Errors
    /// The cluster that is meant by `live` cannot be read.
    pub(super) fn read(&self) -> Result<Found> {
        let files: Vec<PathBuf> = self.files().cloned().collect();
        let mut found = input::find(&files);
        let bytes = found.texts.bytes();
        if bytes > MOST_BYTES {
            bail!(
                "the cluster state has {} MiB, and at most {} MiB are read: `volgate snapshot` writes no more than what is looked \
                 up (claims, volumes, classes, nodes, namespaces and policies)",
                bytes >> 20,
                MOST_BYTES >> 20
            );
        }
        found.read();
        if self.paths.is_live() {
            live(self.kube_context.as_deref(), &mut found)?;
        }
        if !self.context.is_empty() {
            let message = "--context is called --cluster-state now; the old name will go".to_owned();
            found.notices.push(Notice { spot: None, message });
        }
        Ok(found)
    }
}

/// Adds what a snapshot of the cluster has.
#[cfg(feature = "cluster")]
fn live(context: Option<&str>, found: &mut Found) -> Result<()> {
    let (text, left_out) = super::snapshot::text(context)?;
    found.inputs.push(crate::check::Input::from_bytes("the live cluster", &text, true));
    found.notices.extend(left_out.into_iter().map(|message| Notice { spot: None, message }));
    Ok(())
}

#[cfg(not(feature = "cluster"))]
fn live(_context: Option<&str>, _found: &mut Found) -> Result<()> {
    bail!(
        "this volgate is built without access to clusters: give --cluster-state a file of `volgate snapshot`"
    )
}
