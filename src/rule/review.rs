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
    /// The same with the groups, for `users` of a policy: known where some policy asks, and in `check` by `--as`.
    pub requester: Option<&'a Requester>,
    /// The whole request as JSON, for CEL; none in `check`.
    pub request: Option<&'a serde_json::Value>,
}

/// Who asks: a user, with the groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requester {
    /// The user's name; `system:serviceaccount:<namespace>:<name>` for a service account.
    pub name: String,
    /// The groups.
    pub groups: Vec<String>,
}

impl Requester {
    /// The user as the API server takes an impersonated one: whoever gets as far is authenticated, and a service account is
    /// in the groups of all and of those of its namespace.
    pub fn impersonated(name: &str, groups: &[String]) -> Self {
        let mut requester = Self { name: name.to_owned(), groups: groups.to_vec() };
        if let (true, Some((namespace, _))) = (groups.is_empty(), requester.service_account()) {
            let all = "system:serviceaccounts";
            requester.groups = vec![all.to_owned(), format!("{all}:{namespace}")];
        }
        let authenticated = "system:authenticated";
        if !requester.groups.iter().any(|group| group == authenticated) {
            requester.groups.push(authenticated.to_owned());
        }
        requester
    }

    /// Namespace and name, where it is a service account.
    pub fn service_account(&self) -> Option<(&str, &str)> {
        self.name.strip_prefix("system:serviceaccount:")?.split_once(':')
    }
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
    /// Who asks, where some policy asks for it.
    pub requester: Option<&'a Requester>,
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
            requester: None,
            request: None,
        }
    }
}
