//! `volgate doctor`: reads what an installation consists of, and says what is wrong with it and how to mend it. It changes nothing.

mod fields;
mod judge;
mod parts;

use super::calls::{Calls, Fault};
use super::register::{LAST_NAME, NAME};
use super::reports::served;
use super::watched::{
    CLASSES, MUTATING_WEBHOOKS, NODE_STORAGES, NODE_VOLUMES, NODES, PODS, POLICIES, VALIDATING_WEBHOOKS,
};
use super::{Watched, clock};
use serde::Serialize;
use serde_json::Value;

const DEPLOYMENTS: Watched =
    Watched { group: "apps", version: "v1", kind: "Deployment", resource: "deployments" };
const DAEMON_SETS: Watched =
    Watched { group: "apps", version: "v1", kind: "DaemonSet", resource: "daemonsets" };
const SLICES: Watched =
    Watched { group: "discovery.k8s.io", version: "v1", kind: "EndpointSlice", resource: "endpointslices" };

/// How a part of the installation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Worth a look.
    Warning,
    /// Something does not work.
    Fault,
}

/// What was found of one part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// Which part: `api server`, `pods`, `registration`, `certificate`, `policies`, `provisioner`, `agents`,
    /// and `reports` where they are installed.
    pub area: &'static str,
    /// How it is.
    pub level: Level,
    /// What was found.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

/// What was read: an object, nothing where there is none, or why it could not be read.
type Seen = Result<Option<Value>, String>;

/// An installation as it is now.
struct Installation {
    namespace: String,
    /// The time, in seconds since 1970.
    now: i64,
    /// What the API server says of its version.
    version: Seen,
    deployments: Seen,
    daemon_sets: Seen,
    pods: Seen,
    slices: Seen,
    mutating: Seen,
    validating: Seen,
    policies: Seen,
    classes: Seen,
    nodes: Seen,
    node_storages: Seen,
    node_volumes: Seen,
    /// The APIs for policy reports that the cluster has.
    report_apis: Result<Vec<&'static str>, String>,
}

/// Looks at the installation in that namespace.
pub async fn doctor(client: kube::Client, namespace: &str) -> Vec<Diagnosis> {
    let version = client.apiserver_version().await;
    let version = version
        .map(|info| Some(serde_json::json!({"major": info.major, "minor": info.minor})))
        .map_err(|error| super::chain(&error));
    let report_client = client.clone();
    let calls = Calls::new(client);
    let list = async |of: Watched, namespace: Option<&str>| seen(calls.list(of, namespace, "").await);
    let get = async |of: Watched, name: &str| seen(calls.get(of, None, name).await);
    let own = Some(namespace);
    let installation = Installation {
        namespace: namespace.to_owned(),
        now: clock::now().as_second(),
        deployments: list(DEPLOYMENTS, own).await,
        daemon_sets: list(DAEMON_SETS, own).await,
        pods: list(PODS, own).await,
        slices: list(SLICES, own).await,
        mutating: match get(MUTATING_WEBHOOKS, LAST_NAME).await {
            // Of a static registration, or of an earlier version.
            Ok(None) => get(MUTATING_WEBHOOKS, NAME).await,
            found => found,
        },
        validating: get(VALIDATING_WEBHOOKS, NAME).await,
        policies: list(POLICIES, None).await,
        classes: list(CLASSES, None).await,
        nodes: list(NODES, None).await,
        node_storages: list(NODE_STORAGES, None).await,
        node_volumes: list(NODE_VOLUMES, None).await,
        report_apis: served(&report_client).await.map(|apis| apis.iter().map(|api| api.group()).collect()),
        version,
    };
    installation.judge()
}

fn seen(found: Result<Value, Fault>) -> Seen {
    match found {
        Ok(value) => Ok(Some(value)),
        Err(Fault::Missing) => Ok(None),
        Err(Fault::Other(why) | Fault::Invalid(why)) => Err(why),
        Err(fault) => Err(format!("{fault:?}")),
    }
}
