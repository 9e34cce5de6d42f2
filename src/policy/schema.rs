use crate::catalog::Entry;
use crate::facts::CustomKind;
use crate::model::LabelSelector;
use crate::verdict::Action;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use crate::rules::RuleEntry;

pub use crate::model::API_VERSION;
/// The kind of a policy.
pub const KIND: &str = "StoragePolicy";

/// A StoragePolicy as a file or a cluster holds it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoragePolicy {
    /// `volgate.dev/v1alpha1`.
    pub api_version: String,
    /// `StoragePolicy`.
    pub kind: String,
    /// The policy's name and whatever else metadata holds.
    pub metadata: PolicyMetadata,
    /// What the policy says.
    pub spec: StoragePolicySpec,
}

/// The metadata of a policy that volgate reads.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PolicyMetadata {
    /// The policy's name; findings carry it.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Labels, annotations and the like.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What storage must look like, for whom, and what happens when it does not.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoragePolicySpec {
    /// What the policy is for, for its readers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Decides which of two policies wins where only one can, as with a default class: the higher number, and between
    /// equals the name that sorts first. Denials do not depend on it: every policy that matches is applied.
    #[serde(default)]
    pub priority: i32,
    /// What the policy is about. Default: everything but the excluded namespaces.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matches: Option<Match>,
    /// What it is not about, although `match` says so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<Match>,
    /// The action for findings, unless the rule has its own.
    #[serde(default)]
    pub action: Action,
    /// The rules.
    #[schemars(length(min = 1, max = 64))]
    pub rules: Vec<RuleEntry>,
    /// Who is excused, why and until when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<Exception>,
    /// Lets an object excuse itself by a written reason, which is written to the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_service: Option<SelfService>,
    /// Images that hold data, in addition to the built-in catalog; they win over it. They count for every policy; those of a policy
    /// among the manifests of `volgate check` for its own rules alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub catalog: Vec<Entry>,
    /// Custom resources that hold pod templates or describe storage, in addition to the built-in table; they win over
    /// it. They count for every policy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub custom_resources: Vec<CustomKind>,
}

/// What a policy is about: all parts that are given must hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Match {
    /// Namespaces by name; `*` stands for any text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// The labels of the object's namespace. Objects without a namespace satisfy it only when it is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// The labels of the object, of its pod template, or of the workload that owns it: one of them must satisfy it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_selector: Option<LabelSelector>,
    /// The user who sends the request. Pods are made by controllers: for a pod whose owner is known, the user counts as
    /// unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<Users>,
    /// Kinds, such as StatefulSet. A pod counts as its owner's kind as well; in `exclude` only when the owner is known.
    /// `Pod` brings all workloads that make pods, but not for a `cel` rule that reads `object`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// Whether `Pod` in `kinds` stands for pods alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kinds_only: bool,
}

/// Users: one name, group or service account is enough. In each, `*` stands for any text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Users {
    /// Users by name, such as `oidc:anna@example.com`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 300)))]
    pub names: Vec<String>,
    /// Groups of users, such as `storage-admins`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 300)))]
    pub groups: Vec<String>,
    /// Service accounts as `namespace/name`, such as `operators/*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 300)))]
    pub service_accounts: Vec<String>,
}

/// An exception from the rules of this policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Exception {
    /// Namespaces by name; `*` stands for any text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// The labels of the object's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// The labels of the object, of its pod template, or of the workload that owns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_selector: Option<LabelSelector>,
    /// The user who sends the request. Pods are made by controllers: for a pod whose owner is known, the user counts as
    /// unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<Users>,
    /// Kinds, such as StatefulSet. A pod counts as its owner's kind as well, when the owner is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// The rules that do not apply, by id. Empty: all rules of this policy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// The reason, which is written to the audit log.
    #[schemars(length(min = 1))]
    pub reason: String,
    /// The last day on which it holds (UTC), such as 2027-03-31. Default: it holds without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date"))]
    pub until: Option<String>,
}

/// Lets an object excuse itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SelfService {
    /// The annotation whose text is the reason; on the object or on its pod template.
    #[schemars(length(min = 1))]
    pub annotation: String,
    /// The rules that can be excused so, by id.
    #[schemars(length(min = 1))]
    pub rules: Vec<String>,
    /// The minimum length of a reason, in characters.
    #[serde(default = "least_reason")]
    pub least_length: u32,
}

fn least_reason() -> u32 {
    10
}

/// The JSON Schema of a policy: without references and without `null`, so that it serves the CRD as well.
pub fn schema() -> Schema {
    crate::schema::of::<StoragePolicy>()
}
