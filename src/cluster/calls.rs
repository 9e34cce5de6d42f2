//! Calls to the API server, with JSON in and out: what is kept of an object is far less than its type.

use super::{Watched, chain, within};
use kube::api::{DeleteParams, GetParams, Patch, PatchParams, PostParams, Preconditions, Request};
use serde_json::Value;
use std::time::Duration;

/// How long a call may take. A leader that has lost its lease must not have writes under way when another takes over.
const CALL_LIMIT: Duration = Duration::from_secs(4);

/// Why a call did not do what it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// There is no such object.
    Missing,
    /// There is one of that name already.
    Exists,
    /// It is another by now than it was thought to be.
    Stale,
    /// It contradicts itself or the rules of its kind, for a person.
    Invalid(String),
    /// Anything else, for a person.
    Other(String),
}

#[derive(Clone)]
pub(super) struct Calls {
    client: kube::Client,
}

impl Calls {
    pub(super) fn new(client: kube::Client) -> Self {
        Self { client }
    }

    pub(super) fn client(&self) -> kube::Client {
        self.client.clone()
    }

    pub(super) async fn get(&self, of: Watched, namespace: Option<&str>, name: &str) -> Result<Value, Fault> {
        let request = Request::new(of.path(namespace)).get(name, &GetParams::default());
        self.send(&format!("get {of} {name}"), request.map_err(|error| chain(&error))).await
    }

    pub(super) async fn list(
        &self,
        of: Watched,
        namespace: Option<&str>,
        labels: &str,
    ) -> Result<Value, Fault> {
        let params = kube::api::ListParams::default().labels(labels);
        let request = Request::new(of.path(namespace)).list(&params);
        self.send(&format!("list {of}"), request.map_err(|error| chain(&error))).await
    }

    pub(super) async fn create(
        &self,
        of: Watched,
        namespace: Option<&str>,
        object: &Value,
    ) -> Result<Value, Fault> {
        let request =
            Request::new(of.path(namespace)).create(&PostParams::default(), object.to_string().into_bytes());
        self.send(&format!("create one of {of}"), request.map_err(|error| chain(&error))).await
    }

    pub(super) async fn replace(
        &self,
        of: Watched,
        namespace: Option<&str>,
        name: &str,
        object: &Value,
    ) -> Result<Value, Fault> {
        let body = object.to_string().into_bytes();
        let request = Request::new(of.path(namespace)).replace(name, &PostParams::default(), body);
        self.send(&format!("update {of} {name}"), request.map_err(|error| chain(&error))).await
    }

    /// A merge patch; its `metadata.uid` and `metadata.resourceVersion` hold it to the object that is meant.
    pub(super) async fn merge(
        &self,
        of: Watched,
        namespace: Option<&str>,
        name: &str,
        patch: Value,
    ) -> Result<Value, Fault> {
        let request =
            Request::new(of.path(namespace)).patch(name, &PatchParams::default(), &Patch::Merge(patch));
        self.send(&format!("patch {of} {name}"), request.map_err(|error| chain(&error))).await
    }

    /// A merge patch of a status, outside of namespaces.
    pub(super) async fn merge_status(&self, of: Watched, name: &str, patch: Value) -> Result<Value, Fault> {
        let request = Request::new(of.path(None));
        let request =
            request.patch_subresource("status", name, &PatchParams::default(), &Patch::Merge(patch));
        self.send(&format!("patch the status of {of} {name}"), request.map_err(|error| chain(&error))).await
    }

    /// A patch that knows the lists of Kubernetes' own kinds.
    pub(super) async fn strategic(
        &self,
        of: Watched,
        namespace: Option<&str>,
        name: &str,
        subresource: Option<&str>,
        patch: Value,
    ) -> Result<Value, Fault> {
        let (params, patch) = (PatchParams::default(), Patch::Strategic(patch));
        let request = Request::new(of.path(namespace));
        let request = match subresource {
            Some(subresource) => request.patch_subresource(subresource, name, &params, &patch),
            None => request.patch(name, &params, &patch),
        };
        self.send(&format!("patch {of} {name}"), request.map_err(|error| chain(&error))).await
    }

    pub(super) async fn delete(
        &self,
        of: Watched,
        namespace: Option<&str>,
        name: &str,
        uid: Option<&str>,
    ) -> Result<Value, Fault> {
        let preconditions =
            uid.map(|uid| Preconditions { uid: Some(uid.to_owned()), resource_version: None });
        let params = DeleteParams { preconditions, ..DeleteParams::default() };
        let request = Request::new(of.path(namespace)).delete(name, &params);
        self.send(&format!("delete {of} {name}"), request.map_err(|error| chain(&error))).await
    }

    /// A patch of any kind. A server-side apply without force is [`Fault::Stale`] where another manager has written a field
    /// otherwise; in a dry run nothing is stored.
    pub(super) async fn patch(
        &self,
        of: Watched,
        namespace: Option<&str>,
        name: &str,
        patch: &Patch<&Value>,
        params: &PatchParams,
    ) -> Result<Value, Fault> {
        let request = Request::new(of.path(namespace)).patch(name, params, patch);
        self.send(&format!("apply the {} {name}", of.kind), request.map_err(|error| chain(&error))).await
    }

    async fn send(
        &self,
        what: &str,
        request: Result<axum::http::Request<Vec<u8>>, String>,
    ) -> Result<Value, Fault> {
        let request = request.map_err(|why| Fault::Other(format!("failed to {what}: {why}")))?;
        let answer = within(CALL_LIMIT, self.client.request::<Value>(request)).await;
        let answer = answer.map_err(|late| Fault::Other(format!("failed to {what}: {late}")))?;
        answer.map_err(|error| match &error {
            kube::Error::Api(status) => match (status.code, status.reason.as_str()) {
                (404, _) => Fault::Missing,
                (409, "AlreadyExists") => Fault::Exists,
                (409, _) => Fault::Stale,
                (422, _) => Fault::Invalid(format!("failed to {what}: {} (422)", status.message)),
                (403, _) => Fault::Other(format!(
                    "failed to {what}: volgate is not allowed to; its ClusterRole lacks a rule ({})",
                    status.message
                )),
                _ => Fault::Other(format!("failed to {what}: {} ({})", status.message, status.code)),
            },
            _ => Fault::Other(format!("failed to {what}: {}", chain(&error))),
        })
    }
}
