use super::{ClusterError, chain};
use std::time::Duration;

/// A server that has gone without a word must not leave a list waiting for ever. A watch is told to end after 290 s, and
/// bookmarks come every minute.
const READ_TIMEOUT: Duration = Duration::from_secs(300);

/// A client of the API server: by the service account of the pod, or by the kubeconfig file (`KUBECONFIG`).
///
/// # Errors
/// Neither is there, or it cannot be used.
pub async fn connect() -> Result<kube::Client, ClusterError> {
    let mut config = kube::Config::infer().await.map_err(|error| ClusterError::Config(chain(&error)))?;
    config.read_timeout = Some(READ_TIMEOUT);
    kube::Client::try_from(config).map_err(|error| ClusterError::Client(chain(&error)))
}
