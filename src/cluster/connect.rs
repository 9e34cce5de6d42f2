use super::list_turns::ListTurns;
use super::server_time::server_time;
use super::watch_pace::WatchPace;
use super::{ClusterError, chain};
use crate::server::ToldTime;
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use std::path::Path;
use std::time::Duration;

/// A server that has gone without a word must not leave a list waiting forever. A watch is told to end after 290 s, and
/// bookmarks come every minute.
const READ_TIMEOUT: Duration = Duration::from_secs(300);

/// A client of the API server: by the service account of the pod, or by the kubeconfig file (`KUBECONFIG`).
///
/// # Errors
/// Neither is there, or it cannot be used.
pub async fn connect() -> Result<kube::Client, ClusterError> {
    connect_and_hear(&ToldTime::default()).await
}

/// The same, and `told` hears the time that the API server gives in its answers.
///
/// # Errors
/// As [`connect`].
pub async fn connect_and_hear(told: &ToldTime) -> Result<kube::Client, ClusterError> {
    let config = kube::Config::infer().await.map_err(|error| ClusterError::Config(chain(&error)))?;
    client(config, told)
}

/// A client of the cluster that a person means: of a kubeconfig file and of a context in it, where they are named, as kubectl
/// has both.
///
/// # Errors
/// There is no such file or context, or it cannot be used.
pub async fn connect_to(file: Option<&Path>, context: Option<&str>) -> Result<kube::Client, ClusterError> {
    if file.is_none() && context.is_none() {
        return connect().await;
    }
    let fault = |error: &dyn std::error::Error| ClusterError::Config(chain(error));
    let kubeconfig = match file {
        Some(file) => Kubeconfig::read_from(file),
        None => Kubeconfig::read(),
    };
    let kubeconfig = kubeconfig.map_err(|error| fault(&error))?;
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await;
    let config = config.map_err(|error| fault(&error))?;
    client(config, &ToldTime::default())
}

fn client(mut config: kube::Config, told: &ToldTime) -> Result<kube::Client, ClusterError> {
    config.read_timeout = Some(READ_TIMEOUT);
    let builder = ClientBuilder::try_from(config).map_err(|error| ClusterError::Client(chain(&error)))?;
    Ok(builder
        .with_layer(&ListTurns::new())
        .with_layer(&WatchPace::default())
        .with_layer(&server_time(told.clone()))
        .build())
}
