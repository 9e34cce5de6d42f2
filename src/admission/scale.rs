//! A review of a workload's `scale` subresource: a [`Scale`] of autoscaling/v1 in place of the workload itself.

use super::kinds::SCALE;
use super::request::Request;
use crate::facts::{FactsFault, Object, OrFault};
use crate::json::Node;
use crate::model::Operation;
use crate::rule::{Requester, Scale};
use serde_json::Value;

/// A workload that can be scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scalable {
    group: &'static str,
    resource: &'static str,
    api_version: &'static str,
    pub(super) kind: &'static str,
}

const SCALABLE: [Scalable; 4] = [
    of("", "replicationcontrollers", "v1", "ReplicationController"),
    of("apps", "deployments", "apps/v1", "Deployment"),
    of("apps", "replicasets", "apps/v1", "ReplicaSet"),
    of("apps", "statefulsets", "apps/v1", "StatefulSet"),
];

const fn of(
    group: &'static str,
    resource: &'static str,
    api_version: &'static str,
    kind: &'static str,
) -> Scalable {
    Scalable { group, resource, api_version, kind }
}

/// What a request scales.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scaled {
    /// Not the `scale` of anything, or of something that is not judged.
    Nothing,
    /// A workload.
    Workload(Scalable),
    /// It does not say what.
    Unknown,
}

impl Scaled {
    pub(super) fn of(request: &Request<'_>) -> Self {
        let is_scale = is_scale(request);
        if request.resource.is_empty() && is_scale {
            return Self::Unknown;
        }
        let found = SCALABLE.iter().find(|it| {
            (it.group, it.resource) == (&*request.resource_group, &*request.resource)
                && (request.subresource == "scale" || is_scale)
        });
        found.map_or(Self::Nothing, |scalable| Self::Workload(*scalable))
    }
}

fn is_scale(request: &Request<'_>) -> bool {
    (&*request.group, &*request.kind) == (SCALE.group, SCALE.kind)
}

impl Scalable {
    /// Whether the request can be one of a `scale` of it.
    ///
    /// # Errors
    /// What is wrong with the request, with its field.
    pub(super) fn check(self, request: &Request<'_>, operation: Operation) -> Result<(), String> {
        if !is_scale(request) {
            return Err(format!(
                "request.kind is {:?} of the group {:?}, and the scale of {} is a Scale of the group autoscaling",
                request.kind, request.group, self.resource
            ));
        }
        if operation != Operation::Update {
            return Err(format!(
                "request.operation is {}, and a Scale is never made, only changed: an UPDATE",
                operation.as_str()
            ));
        }
        Ok(())
    }

    /// Reads who is scaled, and from how many replicas to how many.
    ///
    /// # Errors
    /// What is wrong with the objects or the request, with its field.
    pub(super) fn read<'a>(
        self,
        request: &'a Request<'_>,
        object: &'a Value,
        old: &Value,
        requester: Option<&'a Requester>,
    ) -> Result<Scale<'a>, String> {
        let from = replicas(old.into()).map_err(|fault| format!("request.oldObject.{fault}"))?;
        let to = replicas(object.into()).map_err(|fault| format!("request.object.{fault}"))?;
        let (name, uid) = identity(object.into()).map_err(|fault| format!("request.object.{fault}"))?;
        let name = if name.is_empty() { &request.name } else { name };
        if name.is_empty() || request.namespace.is_empty() {
            return Err("request.name or request.namespace is missing, and a Scale has both".to_owned());
        }
        let Self { api_version, kind, .. } = self;
        Ok(Scale { api_version, kind, namespace: &request.namespace, name, uid, from, to, requester })
    }
}

/// `spec.replicas`; absent is 0, since that is how a Scale is written.
fn replicas(scale: Node<'_>) -> Result<i64, FactsFault> {
    let Some(spec) = scale.map_at("spec")? else { return Ok(0) };
    let replicas = spec.int_at("replicas").or_within("spec")?.unwrap_or(0);
    if !(0..=i64::from(i32::MAX)).contains(&replicas) {
        let message = format!("is {replicas}, and must be 0 to {}", i32::MAX);
        return Err(FactsFault::at("replicas", message)).or_within("spec");
    }
    Ok(replicas)
}

fn identity(scale: Node<'_>) -> Result<(&str, &str), FactsFault> {
    let Some(meta) = scale.map_at("metadata")? else { return Ok(("", "")) };
    let text = |key| meta.str_at(key).or_within("metadata");
    Ok((text("name")?.unwrap_or_default(), text("uid")?.unwrap_or_default()))
}
