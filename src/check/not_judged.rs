//! What a run met and did not judge: named, so that "0 denied" says no more than is known.

use crate::model::shortened;
use serde_json::Value;
use std::collections::BTreeMap;

/// One kind of thing that was not judged, however often it was met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotJudged {
    /// What it is.
    pub what: What,
    /// How many of it there are.
    pub count: usize,
    /// Where the first of them are: a file with a line, or a folder.
    pub places: Vec<String>,
    /// Why it is not judged, or what to do to have it judged; empty where there is nothing to say.
    pub reason: String,
}

/// What was not judged. The order is that of the report: what may hold storage comes first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A Helm chart that was not rendered.
    Chart,
    /// A folder with a kustomization that was not built.
    Kustomization,
    /// A file or folder that the repository or the user leaves out.
    Ignored,
    /// A folder whose name begins with a dot.
    Hidden,
    /// A file, or an object, into which values have to be put first.
    Template,
    /// A file that cannot be read, and in which nothing looks like an object.
    Unreadable,
    /// Patches of kustomizations: parts of objects.
    Patch,
    /// Objects in a namespace that no policy is about.
    Namespace(String),
    /// Objects of a kind that makes other objects, or holds what pods or claims are made from.
    Source(ObjectKind),
    /// Objects of a kind that volgate reads nothing from.
    Kind(ObjectKind),
    /// Objects of further kinds, where there are very many.
    MoreKinds,
    /// All objects of a kind in a cluster, which could not be read.
    Unread(ObjectKind),
}

/// The kind of an object, with its API version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectKind {
    /// `v1`, `apps/v1`, …
    pub api_version: String,
    /// `ConfigMap`, …
    pub kind: String,
}

impl What {
    /// Whether these are objects among the documents, and no folders or files.
    pub fn is_object(&self) -> bool {
        use What::*;
        !matches!(self, Chart | Kustomization | Ignored | Hidden | Template | Unreadable | Unread(_))
    }
}

/// How many places of one entry are told.
const MOST_PLACES: usize = 20;
/// How many kinds are told.
const MOST_KINDS: usize = 200;
/// The longest name of a kind or API version that is told, in bytes.
const MOST_NAME: usize = 100;

/// Counts what was not judged.
#[derive(Debug, Default)]
pub struct Tally(BTreeMap<What, NotJudged>);

impl Tally {
    /// Counts one more. `place` is asked for only where it is told.
    pub fn add(&mut self, what: What, place: impl FnOnce() -> String) {
        let entry = self.entry(what);
        entry.count += 1;
        if entry.places.len() < MOST_PLACES {
            entry.places.push(place());
        }
    }

    fn entry(&mut self, what: What) -> &mut NotJudged {
        let known = self.0.len();
        let what = match what {
            What::Kind(_) | What::Source(_) if known >= MOST_KINDS && !self.0.contains_key(&what) => {
                What::MoreKinds
            }
            what => what,
        };
        self.0.entry(what).or_insert_with_key(|what| NotJudged {
            reason: reason(what),
            what: what.clone(),
            count: 0,
            places: Vec::new(),
        })
    }

    /// Counts an object of a kind that is not judged. `known` has the versions of a custom resource that are.
    pub fn add_kind<'k>(
        &mut self,
        object: &Value,
        known: impl FnOnce(&str, &str) -> Vec<&'k str>,
        place: impl FnOnce() -> String,
    ) {
        let text = |key| shortened(super::text(object, key).unwrap_or_default(), MOST_NAME).into_owned();
        let kind = ObjectKind { api_version: text("apiVersion"), kind: text("kind") };
        let versions = known(&kind.api_version, &kind.kind);
        if !versions.is_empty() {
            let reason = format!("this version of it is not known; known: {}", versions.join(", "));
            self.add(What::Source(kind.clone()), place);
            if let Some(entry) = self.0.get_mut(&What::Source(kind)) {
                entry.reason = reason;
            }
            return;
        }
        let makes = maker(&kind).is_some() || holds_storage(object);
        self.add(if makes { What::Source(kind) } else { What::Kind(kind) }, place);
    }

    /// Adds what was counted elsewhere.
    pub(super) fn append(&mut self, other: Self) {
        for (what, NotJudged { count, places, reason, .. }) in other.0 {
            let entry = self.entry(what);
            entry.count += count;
            let room = MOST_PLACES.saturating_sub(entry.places.len());
            entry.places.extend(places.into_iter().take(room));
            if entry.what != What::MoreKinds {
                entry.reason = reason;
            }
        }
    }

    /// All that was counted, in the order of the report.
    pub fn entries(&self) -> impl Iterator<Item = NotJudged> + '_ {
        self.0.values().cloned()
    }
}

fn reason(what: &What) -> String {
    match what {
        What::Chart => "the templates are not rendered: `helm template NAME CHART | volgate check -` judges what comes out",
        What::Kustomization => {
            "the files are judged as they stand, without patches and components: \
             `kustomize build FOLDER | volgate check -` judges what comes out"
        }
        What::Ignored => "left out by .gitignore, .volgateignore or --exclude: name it to have it judged",
        What::Hidden => "names that begin with a dot are passed over: name the folder to have it judged",
        What::Template => {
            "values are put into it before it is a manifest: render it first (helm template, ansible, oc process, envsubst) and \
             check what comes out"
        }
        What::Unreadable => "neither YAML nor JSON, and nothing in it looks like a Kubernetes object: name it to see why",
        What::Patch => "a patch is part of an object: build its kustomization to have the whole judged",
        What::Namespace(_) => "no policy is about this namespace, so that the cluster can always start",
        What::Source(kind) => return maker(kind).unwrap_or(HOLDS_STORAGE).to_owned(),
        What::Kind(_) | What::MoreKinds | What::Unread(_) => "",
    }
    .to_owned()
}

const HOLDS_STORAGE: &str =
    "it has a pod or claim template: what its controller makes from it is judged in the cluster alone";

/// What a kind makes in the cluster that is not among the manifests.
fn maker(kind: &ObjectKind) -> Option<&'static str> {
    let group = kind.api_version.split('/').next().unwrap_or_default();
    Some(match (group, kind.kind.as_str()) {
        ("helm.toolkit.fluxcd.io", "HelmRelease") | ("helm.cattle.io", "HelmChart" | "HelmChartConfig") => {
            "it installs a chart whose objects are not here: render the chart with these values and check that"
        }
        ("argoproj.io", "Application" | "ApplicationSet") => {
            "it installs objects from elsewhere: check the folder or rendered chart that it names"
        }
        ("kustomize.toolkit.fluxcd.io" | "kustomize.config.k8s.io", "Kustomization" | "Component") => {
            "it puts other files together: check what `kustomize build` makes of the folder"
        }
        ("admission.k8s.io", "AdmissionReview") => {
            "the webhook admits it unread: no policy is about its kind, operation or namespace"
        }
        ("volgate.dev", "StoragePolicy") => "a policy counts when it is given with --policy",
        _ => return None,
    })
}

/// How many values of one object are looked at.
const MOST_LOOKED_AT: usize = 1_000;

/// Whether an object holds what a pod or a claim is made from.
fn holds_storage(object: &Value) -> bool {
    has_field(object, is_template)
}

/// Whether an object tells kustomize or kubectl how to merge it into another: then it is no whole object.
pub(super) fn has_directive(object: &Value) -> bool {
    has_field(object, |key, _| key == "$patch")
}

/// Whether some field is as asked, among those that are looked at.
fn has_field(object: &Value, holds: impl Fn(&str, &Value) -> bool) -> bool {
    let mut open = vec![object];
    let mut left = MOST_LOOKED_AT;
    while let Some(value) = open.pop() {
        let Some(rest) = left.checked_sub(1) else { return false };
        left = rest;
        match value {
            Value::Object(fields) => {
                if fields.iter().any(|(key, value)| holds(key, value)) {
                    return true;
                }
                open.extend(fields.values().filter(|value| value.is_object() || value.is_array()));
            }
            Value::Array(items) => open.extend(items.iter().filter(|item| item.is_object())),
            _ => {}
        }
    }
    false
}

/// Whether a field is one of a pod or claim template, and no description of one in a schema.
fn is_template(key: &str, value: &Value) -> bool {
    match key {
        "containers" => {
            let has_image = |item: &Value| item.get("image").is_some_and(Value::is_string);
            value.as_array().is_some_and(|items| items.iter().any(has_image))
        }
        "volumeClaimTemplate" | "volumeClaimTemplates" | "persistentVolumeClaimSpec" => {
            let is_one =
                |item: &Value| ["spec", "resources", "accessModes"].iter().any(|key| item.get(key).is_some());
            is_one(value) || value.as_array().is_some_and(|items| items.iter().any(is_one))
        }
        "storageClassName" | "storageClass" => value.is_string(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_or_claim_template_is_seen_and_a_schema_of_one_is_not() {
        let pod = json!({"spec": {"template": {"spec": {"containers": [{"name": "r", "image": "redis"}]}}}});
        let claim = json!({"spec": {"storage": {"volumeClaimTemplate": {"spec": {"resources": {}}}}}});
        let schema = json!({"spec": {"properties": {
            "containers": {"type": "array", "items": {}}, "storageClassName": {"type": "string"},
            "volumeClaimTemplate": {"type": "object", "properties": {"spec": {}}},
        }}});
        assert!(holds_storage(&pod) && holds_storage(&claim));
        assert!(!holds_storage(&schema) && !holds_storage(&json!({"data": {"a": "containers: []"}})));
    }

    #[test]
    fn very_many_kinds_become_one_entry_and_are_counted() {
        let mut tally = Tally::default();
        for kind in 0..MOST_KINDS + 50 {
            let object = json!({"apiVersion": "v1", "kind": format!("K{kind}")});
            tally.add_kind(&object, |_, _| Vec::new(), String::new);
        }
        let all: Vec<_> = tally.entries().collect();
        assert_eq!(all.len(), MOST_KINDS + 1);
        assert_eq!(all.last().map(|last| (&last.what, last.count)), Some((&What::MoreKinds, 50)));
    }

    #[test]
    fn what_was_counted_apart_is_added() {
        let count = |kinds: std::ops::Range<usize>, place: &str| {
            let mut tally = Tally::default();
            for kind in kinds {
                let object = json!({"apiVersion": "v1", "kind": format!("K{kind}")});
                tally.add_kind(&object, |_, _| Vec::new(), || place.to_owned());
            }
            tally
        };
        let mut all = count(0..2, "a");
        all.append(count(1..MOST_KINDS + 5, "b"));
        let entries: Vec<_> = all.entries().collect();
        let places = |kind: &str| {
            let is_it = |entry: &&NotJudged| matches!(&entry.what, What::Kind(known) if known.kind == kind);
            entries.iter().find(is_it).map(|entry| (entry.count, entry.places.join(" ")))
        };
        assert_eq!(places("K0"), Some((1, "a".to_owned())));
        assert_eq!(places("K1"), Some((2, "a b".to_owned())));
        assert_eq!(entries.last().map(|last| (&last.what, last.count)), Some((&What::MoreKinds, 5)));
    }
}
