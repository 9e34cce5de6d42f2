//! The schema of the table: where a custom resource holds pod templates and storage, and what its operator makes of them.

use super::path::Path;
use crate::facts::WorkloadKind;
use crate::model::{is_yes, yes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// Kinds of one operator whose fields mean the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomKind {
    /// Whose data it is about, as messages say it; for kinds with pod templates alone, the operator's name.
    #[schemars(length(min = 1))]
    pub product: String,
    /// Why the entry is as it is, and where that was looked up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The API group.
    #[schemars(regex(pattern = "^[a-z0-9.-]+[.][a-z0-9.-]+$"))]
    pub group: String,
    /// The versions that the entry holds for. Of others volgate says that they are not judged.
    #[schemars(length(min = 1, max = 16), inner(regex(pattern = "^v[0-9a-z]+$")))]
    pub versions: Vec<String>,
    /// The kinds, each with the resource that the API server knows it by: `Kafka: kafkas`.
    #[schemars(length(min = 1, max = 64))]
    pub kinds: BTreeMap<String, String>,
    /// False takes the kinds out of the table: a policy says that they are not judged.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub judged: bool,
    /// True for kinds whose objects are parts of other objects, which name them in `templates` of a store: what lies nowhere
    /// else in them is no loss.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub template: bool,
    /// Where pod templates stand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub pods: Vec<PodsAt>,
    /// Where it says on what data lie.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub stores: Vec<StoreAt>,
}

/// Where pod templates stand, and how they are judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodsAt {
    /// The path of the template, which holds `metadata` and `spec`: `spec.template`, `spec.tasks[].template`,
    /// `spec.replicas.*.template`. `replicas` and `volumeClaimTemplates` are read beside it.
    #[schemars(length(min = 1))]
    pub at: String,
    /// The workload that its pods are like.
    #[serde(rename = "as")]
    pub alike: PodsAs,
    /// Whether an update starts new pods before it stops old ones, as a Deployment's does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rolls: bool,
    /// Set where no pod template stands there, but the parts of a pod: the steps of a task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<PodParts>,
}

/// Where the parts of a pod stand in what is no pod template. Its containers run to an end, and what they keep for themselves
/// ends with them, so that `durableData`, `reclaimPolicy` and `dangling` are not asked about them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodParts {
    /// Paths from there to its containers.
    #[schemars(length(min = 1, max = 16))]
    pub containers: Vec<String>,
    /// Paths from there to its init containers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub init_containers: Vec<String>,
    /// Paths from there to its pod volumes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub volumes: Vec<String>,
    /// Paths from the object to the pod volumes that all of them may mount.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub shared_volumes: Vec<String>,
    /// Paths from there to what its containers have unless they say otherwise, as `stepTemplate`: mounts and limits. Sidecars
    /// count as if they had them as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub defaults: Vec<String>,
    /// The same, with paths from the object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub shared_defaults: Vec<String>,
}

/// The workloads that a pod template can be judged as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)] // Kubernetes' own names
pub enum PodsAs {
    Deployment,
    StatefulSet,
    DaemonSet,
    Job,
}

impl PodsAs {
    pub(in crate::facts) fn kind(self) -> WorkloadKind {
        match self {
            Self::Deployment => WorkloadKind::Deployment,
            Self::StatefulSet => WorkloadKind::StatefulSet,
            Self::DaemonSet => WorkloadKind::DaemonSet,
            Self::Job => WorkloadKind::Job,
        }
    }
}

/// Where a custom resource says on what data lie. The first case that holds decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoreAt {
    /// Whose data, where it is another product than the entry's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// What has such a store: `spec.nodeSets[]`; absent, the object has one. All other paths go on from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Conditions that must all hold for there to be such data at all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<FieldIs>,
    /// The field that says it, or that would.
    #[schemars(length(min = 1))]
    pub at: String,
    /// The cases, the strongest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub cases: Vec<Case>,
    /// Where the data lie when no case holds.
    pub otherwise: Lies,
    /// The objects that it takes parts from, which may bring the claims that it does not ask for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub templates: Option<TemplatesAt>,
    /// The claims that it asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub claims: Vec<ClaimAt>,
    /// Why many run the product without keeping its data: losing it is a warning then, unless a policy asks for more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub dispensable: Option<String>,
    /// What to write so that the data last: "write `storage: {type: persistent-claim, size: 10Gi}`".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub help: Option<String>,
}

/// Where a custom resource names the templates that it is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TemplatesAt {
    /// The path of each, which has its `name`, and its `namespace` where that is another than the object's own.
    #[schemars(length(min = 1))]
    pub at: String,
    /// Their kind, one of the table in which `template` is true.
    #[schemars(length(min = 1))]
    pub kind: String,
}

/// Where the data lie in one case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Case {
    /// Conditions that must all hold.
    #[schemars(length(min = 1, max = 16))]
    pub when: Vec<FieldIs>,
    /// Where the data lie then.
    pub lies: Lies,
    /// Why, for the message, where the condition itself does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A condition about a field. Of a path that leads to several, one is enough.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FieldIs {
    /// Its path.
    #[schemars(length(min = 1))]
    pub field: String,
    /// The values that it may have, numbers and truths as text; a quantity of nothing is `0`, however it is written. None
    /// listed: any value will do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub is: Vec<String>,
    /// Whether it must be absent, or have none of the values.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not: bool,
}

/// Where data lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Lies {
    /// On a claim.
    Claim,
    /// On an emptyDir, or another volume that ends with the pod.
    EmptyDir,
    /// In memory.
    Memory,
    /// In a directory of the node.
    HostPath,
    /// In the container's writable layer.
    WritableLayer,
    /// That is not known.
    Unknown,
    /// Nowhere: there is nothing to keep.
    Nowhere,
}

/// A claim that a custom resource asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimAt {
    /// The path of what asks for it.
    #[schemars(length(min = 1))]
    pub at: String,
    /// What stands there.
    #[serde(default)]
    pub form: ClaimForm,
    /// Conditions, with paths from there on, that must all hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<FieldIs>,
    /// The field with the class, from there on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The field with the size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// The field with the list of access modes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modes: Option<String>,
}

/// How a claim is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ClaimForm {
    /// As a PersistentVolumeClaim, with `metadata` and `spec`.
    #[default]
    Template,
    /// As the `spec` of one.
    Spec,
    /// In fields of the operator's own.
    Fields,
}

impl CustomKind {
    /// Each path of the entry that is none, with the field of the entry that holds it.
    pub fn faults(&self) -> Vec<(String, String)> {
        let mut paths: Vec<(String, &str)> = Vec::new();
        for (index, pods) in self.pods.iter().enumerate() {
            paths.push((format!("pods[{index}].at"), &pods.at));
            let Some(parts) = &pods.parts else { continue };
            for (name, list) in parts.lists() {
                let at = |item| format!("pods[{index}].parts.{name}[{item}]");
                paths.extend(list.iter().enumerate().map(|(item, path)| (at(item), path.as_str())));
            }
        }
        for (index, store) in self.stores.iter().enumerate() {
            store.paths(&format!("stores[{index}]"), &mut paths);
        }
        paths.into_iter().filter_map(|(at, path)| Some((at, Path(path).fault()?))).collect()
    }
}

impl PodParts {
    fn lists(&self) -> [(&'static str, &[String]); 4] {
        [
            ("containers", &self.containers),
            ("initContainers", &self.init_containers),
            ("volumes", &self.volumes),
            ("sharedVolumes", &self.shared_volumes),
        ]
    }
}

impl StoreAt {
    fn paths<'t>(&'t self, at: &str, paths: &mut Vec<(String, &'t str)>) {
        paths.extend(self.of.as_deref().map(|of| (format!("{at}.of"), of)));
        paths.push((format!("{at}.at"), &self.at));
        paths.extend(self.templates.iter().map(|named| (format!("{at}.templates.at"), named.at.as_str())));
        conditions(at, &self.when, paths);
        for (index, case) in self.cases.iter().enumerate() {
            conditions(&format!("{at}.cases[{index}]"), &case.when, paths);
        }
        for (index, claim) in self.claims.iter().enumerate() {
            let at = format!("{at}.claims[{index}]");
            paths.push((format!("{at}.at"), &claim.at));
            for (name, path) in [("class", &claim.class), ("size", &claim.size), ("modes", &claim.modes)] {
                paths.extend(path.as_deref().map(|path| (format!("{at}.{name}"), path)));
            }
            conditions(&at, &claim.when, paths);
        }
    }
}

fn conditions<'t>(at: &str, when: &'t [FieldIs], paths: &mut Vec<(String, &'t str)>) {
    paths.extend(
        when.iter().enumerate().map(|(index, is)| (format!("{at}.when[{index}].field"), is.field.as_str())),
    );
}

/// The kinds of the table, ready to be looked up.
#[derive(Debug, Clone, Default)]
pub struct Kinds {
    entries: Vec<CustomKind>,
    /// By kind, then by group: the entries, a later one before an earlier one.
    by_kind: HashMap<String, HashMap<String, Vec<usize>>>,
}

impl Kinds {
    /// Of entries of which a later one that names a kind takes it from the earlier ones.
    pub fn new(entries: Vec<CustomKind>) -> Self {
        let mut by_kind: HashMap<String, HashMap<String, Vec<usize>>> = HashMap::new();
        for (index, entry) in entries.iter().enumerate() {
            for kind in entry.kinds.keys() {
                let groups = by_kind.entry(kind.clone()).or_default();
                groups.entry(entry.group.clone()).or_default().insert(0, index);
            }
        }
        Self { entries, by_kind }
    }

    /// The entries, the built-in ones first.
    pub fn entries(&self) -> &[CustomKind] {
        &self.entries
    }

    fn of(&self, group: &str, kind: &str) -> impl Iterator<Item = &CustomKind> {
        let indexes = self.by_kind.get(kind).and_then(|groups| groups.get(group));
        indexes.into_iter().flatten().filter_map(|index| self.entries.get(*index))
    }

    /// The entry for that kind in that version (`group/version`), if it is judged.
    pub fn entry(&self, api_version: &str, kind: &str) -> Option<&CustomKind> {
        let (group, version) = api_version.split_once('/')?;
        let entry = self.of(group, kind).find(|entry| entry.versions.iter().any(|known| known == version))?;
        entry.judged.then_some(entry)
    }

    /// The kind of that group that differs only in capital and small letters from one which the group has not.
    pub(crate) fn in_other_letters(&self, group: &str, kind: &str) -> Option<&str> {
        let of_group = || self.by_kind.iter().filter(|(_, groups)| groups.contains_key(group));
        let has = of_group().any(|(name, _)| name == kind);
        of_group().map(|(name, _)| name.as_str()).find(|name| !has && name.eq_ignore_ascii_case(kind))
    }

    /// Whether a kind of that name is in the table, whatever its group.
    pub fn names(&self, kind: &str) -> bool {
        self.by_kind.contains_key(kind)
    }

    /// The versions of a kind that are judged, where the one that is asked about is none of them.
    pub fn other_versions(&self, api_version: &str, kind: &str) -> Vec<&str> {
        let Some((group, version)) = api_version.split_once('/') else { return Vec::new() };
        let judged = self.of(group, kind).filter(|entry| entry.judged);
        let versions: Vec<&str> = judged.flat_map(|entry| &entry.versions).map(String::as_str).collect();
        if versions.contains(&version) { Vec::new() } else { versions }
    }

    /// All kinds that are judged: group, resource, versions.
    pub fn resources(&self) -> impl Iterator<Item = (&str, &str, Vec<&str>)> {
        self.entries.iter().flat_map(move |entry| {
            entry.kinds.iter().filter_map(move |(kind, resource)| {
                let judged =
                    |version: &&str| self.entry(&format!("{}/{version}", entry.group), kind).is_some();
                let versions: Vec<&str> = entry.versions.iter().map(String::as_str).filter(judged).collect();
                (!versions.is_empty()).then_some((entry.group.as_str(), resource.as_str(), versions))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn entry(fields: Value) -> CustomKind {
        let mut entry = json!({"product": "P", "group": "example.com", "versions": ["v1", "v2"], "kinds": {"Thing": "things"}});
        entry.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        serde_json::from_value(entry).unwrap()
    }

    #[test]
    fn a_later_entry_takes_a_kind_from_an_earlier_one_and_may_take_it_out() {
        let kinds = Kinds::new(vec![entry(json!({})), entry(json!({"product": "Q", "versions": ["v2"]}))]);
        let product = |version: &str| kinds.entry(version, "Thing").map(|entry| entry.product.as_str());
        assert_eq!([product("example.com/v1"), product("example.com/v2")], [Some("P"), Some("Q")]);
        assert_eq!([product("example.com/v3"), product("other.com/v1"), product("v1")], [None; 3]);
        assert_eq!(kinds.other_versions("example.com/v3", "Thing"), ["v2", "v1", "v2"]);
        assert_eq!(kinds.other_versions("example.com/v1", "Thing"), [""; 0]);
        let without = Kinds::new(vec![entry(json!({})), entry(json!({"judged": false}))]);
        assert!(without.entry("example.com/v1", "Thing").is_none());
        assert_eq!(without.resources().count(), 0);
    }

    #[test]
    fn paths_that_are_none_are_told_with_their_place() {
        let store = json!({"of": "spec.a[]", "at": "x", "otherwise": "claim", "when": [{"field": "a..b"}],
            "cases": [{"when": [{"field": "ok"}, {"field": "a["}], "lies": "claim"}],
            "claims": [{"at": "p", "size": "si ze", "when": [{"field": ""}]}]});
        let faults = entry(json!({"stores": [store], "pods": [{"at": ".spec", "as": "Job"},
            {"at": "spec", "as": "Job", "parts": {"containers": ["ok[]", "a[."], "sharedVolumes": [""]}}]}))
        .faults();
        let places: Vec<&str> = faults.iter().map(|(at, _)| at.as_str()).collect();
        let wanted = [
            "pods[0].at",
            "pods[1].parts.containers[1]",
            "stores[0].when[0].field",
            "stores[0].cases[0].when[1].field",
            "stores[0].claims[0].size",
        ];
        assert_eq!(places, wanted);
    }
}
