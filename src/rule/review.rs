//! What is judged.

use crate::json::Node;
use crate::model::Operation;

/// The fields of an AdmissionReview's request that rules see.
pub const REQUEST_FIELDS: [&str; 11] = [
    "dryRun",
    "kind",
    "name",
    "namespace",
    "operation",
    "options",
    "requestKind",
    "requestResource",
    "resource",
    "subResource",
    "userInfo",
];

/// What is judged: one object and what is being done to it.
#[derive(Debug, Clone, Copy)]
pub struct Review<'a> {
    /// What is being done.
    pub operation: Operation,
    /// The object as it would become.
    pub object: Node<'a>,
    /// The object as it is, for an update.
    pub old: Option<Node<'a>>,
    /// The request's namespace.
    pub namespace: Option<&'a str>,
    /// The subresource, such as `ephemeralcontainers`.
    pub subresource: Option<&'a str>,
    /// Who asks, as the API server has found out; none in `check`.
    pub user: Option<&'a str>,
    /// The whole request as JSON, for CEL; none in `check`.
    pub request: Option<&'a serde_json::Value>,
}

/// A change of `spec.replicas` by way of a workload's `scale` subresource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale<'a> {
    /// The workload's API version.
    pub api_version: &'static str,
    /// The workload's kind.
    pub kind: &'static str,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its uid; empty where it is not known.
    pub uid: &'a str,
    /// How many replicas it is to have so far.
    pub from: i64,
    /// How many it is to have.
    pub to: i64,
}

impl<'a> Review<'a> {
    /// A new object, as `check` sees every manifest.
    pub fn create(object: impl Into<Node<'a>>) -> Self {
        Self {
            operation: Operation::Create,
            object: object.into(),
            old: None,
            namespace: None,
            subresource: None,
            user: None,
            request: None,
        }
    }
}
