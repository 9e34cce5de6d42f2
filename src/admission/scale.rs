//! A review of a workload's `scale` subresource: a [`Scale`] of autoscaling/v1 in place of the workload itself.

use super::kinds::SCALE;
use super::request::Request;
use super::{given, same_kind};
use crate::facts::{FactsFault, Object, OrFault};
use crate::json::Node;
use crate::model::Operation;
use crate::rule::Scale;

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
        let is_scale = (request.group, request.kind) == (SCALE.group, SCALE.kind);
        if request.resource.is_empty() && is_scale {
            return Self::Unknown;
        }
        let found = SCALABLE.iter().find(|it| {
            (it.group, it.resource) == (request.resource_group, request.resource)
                && (request.subresource == "scale" || is_scale)
        });
        found.map_or(Self::Nothing, |scalable| Self::Workload(*scalable))
    }
}

/// Reads who is scaled, and from how many replicas to how many.
///
/// # Errors
/// What is wrong with the request, with its field.
pub(super) fn read<'a>(
    request: &Request<'a>,
    operation: Operation,
    of: Scalable,
) -> Result<Scale<'a>, String> {
    if (request.group, request.kind) != (SCALE.group, SCALE.kind) {
        return Err(format!(
            "request.kind is {:?} of the group {:?}, and the scale of {} is a Scale of the group autoscaling",
            request.kind, request.group, of.resource
        ));
    }
    if operation != Operation::Update {
        return Err(format!(
            "request.operation is {}, and a Scale is never made, only changed: an UPDATE",
            operation.as_str()
        ));
    }
    let object = given(request.object, "request.object", operation)?;
    same_kind(object, request)?;
    let old = given(request.old_object, "request.oldObject", operation)?;
    let from = replicas(old).map_err(|fault| format!("request.oldObject.{fault}"))?;
    let to = replicas(object).map_err(|fault| format!("request.object.{fault}"))?;
    let (name, uid) = identity(object).map_err(|fault| format!("request.object.{fault}"))?;
    let name = if name.is_empty() { request.name } else { name };
    if name.is_empty() || request.namespace.is_empty() {
        return Err("request.name or request.namespace is missing, and a Scale has both".to_owned());
    }
    let Scalable { api_version, kind, .. } = of;
    Ok(Scale { api_version, kind, namespace: request.namespace, name, uid, from, to })
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
