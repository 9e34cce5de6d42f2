//! Objects of no kind that any cluster knows, but nearly of one that volgate judges.

use super::{Fault, Manifest, text};
use crate::facts::{Facts, Kinds};
use crate::model::{FieldPath, nearly, shortened};
use serde_json::{Map, Value};

/// The kinds that are judged, with the API version that is to be written.
const KINDS: [(&str, &str); 12] = [
    ("v1", "Pod"),
    ("v1", "PodTemplate"),
    ("v1", "ReplicationController"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "PersistentVolume"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "ReplicaSet"),
    ("batch/v1", "Job"),
    ("batch/v1", "CronJob"),
    ("storage.k8s.io/v1", "StorageClass"),
];

/// Kinds of Kubernetes' own that look like another.
const OTHERS: [&str; 1] = ["PodGroup"];

/// What is wrong with the kind of an object, if it was meant to be of one that is judged.
pub(super) fn fault(manifest: &Manifest<'_>, kinds: &Kinds) -> Option<Fault> {
    let object = manifest.value.as_object()?;
    let (field, message) = match (text(&manifest.value, "apiVersion"), text(&manifest.value, "kind")) {
        (Some(api_version), Some(kind)) => wrong_kind(api_version, kind, kinds)?,
        _ => wrong_keys(object)?,
    };
    Some(Fault {
        spot: Some(manifest.spot(&field)),
        message,
        help: Some("a cluster would refuse it as well; it is not judged".to_owned()),
    })
}

fn wrong_kind(api_version: &str, kind: &str, kinds: &Kinds) -> Option<(FieldPath, String)> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    if (Facts::reads(api_version, kind) && is_version(group, version)) || OTHERS.contains(&kind) {
        return None;
    }
    let named = shortened(kind, 100);
    let version = shortened(api_version, 100);
    // The group of a custom resource has a dot, and may have a kind of any name; of those that are known in other letters as well.
    if group.contains('.') && group != "storage.k8s.io" {
        let wanted = kinds.in_other_letters(group, kind)?;
        let message =
            format!("no cluster knows the kind {named} in {version:?}: did you mean `kind: {wanted}`?");
        return Some((FieldPath::root().key("kind"), message));
    }
    let (wanted_version, wanted) = KINDS.iter().find(|(_, known)| *known == kind).or_else(|| {
        let name = nearly(kind, KINDS.iter().map(|(_, known)| *known))?;
        KINDS.iter().find(|(_, known)| *known == name)
    })?;
    if *wanted == kind {
        let message = format!(
            "no cluster knows the kind {named} in {version:?}: did you mean `apiVersion: {wanted_version}`?"
        );
        return Some((FieldPath::root().key("apiVersion"), message));
    }
    let message = format!("no cluster knows the kind {named} in {version:?}: did you mean `kind: {wanted}`?");
    Some((FieldPath::root().key("kind"), message))
}

/// Whether a group of Kubernetes' own has, or had, that version.
fn is_version(group: &str, version: &str) -> bool {
    let versions: &[&str] = match group {
        "apps" => &["v1", "v1beta1", "v1beta2"],
        "extensions" => &["v1beta1"],
        "batch" => &["v1", "v1beta1", "v2alpha1"],
        "storage.k8s.io" => &["v1", "v1alpha1", "v1beta1"],
        _ => &["v1"],
    };
    versions.contains(&version)
}

/// A manifest with `Kind`, `apiversion` or without one of the two. Other files have such keys too, so that what they
/// say must be a kind that is judged, and the rest of the file like it.
fn wrong_keys(object: &Map<String, Value>) -> Option<(FieldPath, String)> {
    let like = |wanted: &str| {
        let exact = object.get_key_value(wanted);
        exact.or_else(|| object.iter().find(|(key, _)| nearly(key, std::iter::once(wanted)).is_some()))
    };
    let (kind_key, kind) = like("kind")?;
    let kind = kind.as_str()?;
    let (_, known) = KINDS.iter().find(|(_, known)| known.eq_ignore_ascii_case(kind))?;
    for (key, wanted) in [(Some(kind_key), "kind"), (like("apiVersion").map(|(key, _)| key), "apiVersion")] {
        if let Some(key) = key.filter(|key| *key != wanted) {
            let message = format!("`{key}` is no field of an object: write `{wanted}`");
            return Some((FieldPath::root().key(key.clone()), message));
        }
    }
    let is_map = |key| object.get(key).is_some_and(Value::is_object);
    let is_object =
        is_map("metadata") && (is_map("spec") || is_map("template") || object.contains_key("provisioner"));
    (is_object && !object.contains_key("apiVersion"))
        .then(|| (FieldPath::root(), format!("this {known} has no apiVersion")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use serde_json::json;

    #[test]
    fn nearly_a_kind_that_is_judged() {
        let kinds = Catalog::embedded().kinds();
        for (api_version, kind, wanted) in [
            ("v1", "Deployment", "apiVersion: apps/v1"),
            ("app/v1", "Deployment", "apiVersion: apps/v1"),
            ("apps/v1", "PersistentVolumeClaim", "apiVersion: v1"),
            ("apps/v1", "Statefulset", "kind: StatefulSet"),
            ("apps/v1", "StatefullSet", "kind: StatefulSet"),
            ("batch/v1", "Cronjob", "kind: CronJob"),
            ("v1", "pod", "kind: Pod"),
            ("storage.k8s.io/v1", "Storageclass", "kind: StorageClass"),
            ("apps/v2", "Deployment", "apiVersion: apps/v1"),
            ("apps/V1", "StatefulSet", "apiVersion: apps/v1"),
            ("V1", "Pod", "apiVersion: v1"),
            ("v1beta1", "PersistentVolumeClaim", "apiVersion: v1"),
            ("batch/v3", "CronJob", "apiVersion: batch/v1"),
            ("argoproj.io/v1alpha1", "rollout", "kind: Rollout"),
            ("kafka.strimzi.io/v1beta2", "kafka", "kind: Kafka"),
        ] {
            let message =
                wrong_kind(api_version, kind, kinds).map(|(_, message)| message).unwrap_or_default();
            assert!(message.contains(&format!("`{wanted}`")), "{api_version} {kind}: {message}");
        }
        for (api_version, kind) in [
            ("apps/v1", "Deployment"),
            ("extensions/v1beta1", "Deployment"),
            ("apps.openshift.io/v1", "DeploymentConfig"),
            ("example.com/v1", "Deployment"),
            ("v1", "ConfigMap"),
            ("v1", "Node"),
            ("v1", "Service"),
            ("policy/v1", "PodDisruptionBudget"),
            ("scheduling.k8s.io/v1alpha1", "PodGroup"),
            ("skaffold/v4beta1", "Config"),
            ("batch/v1", "JobSet"),
            ("batch/v1beta1", "CronJob"),
            ("apps/v1beta2", "StatefulSet"),
            ("storage.k8s.io/v1beta1", "StorageClass"),
            ("argoproj.io/v1alpha1", "Rollout"),
            ("argoproj.io/v9", "Rollout"),
            ("example.com/v1", "kafka"),
        ] {
            assert_eq!(wrong_kind(api_version, kind, kinds), None, "{api_version} {kind}");
        }
    }

    #[test]
    fn keys_in_other_letters() {
        let told = |object: Value| object.as_object().and_then(wrong_keys).map(|(_, message)| message);
        let write =
            |key: &str, wanted: &str| Some(format!("`{key}` is no field of an object: write `{wanted}`"));
        assert_eq!(told(json!({"apiVersion": "v1", "Kind": "Pod"})), write("Kind", "kind"));
        assert_eq!(told(json!({"apiversion": "v1", "kind": "Pod"})), write("apiversion", "apiVersion"));
        let no_version = json!({"kind": "Deployment", "metadata": {}, "spec": {}});
        assert_eq!(told(no_version), Some("this Deployment has no apiVersion".to_owned()));
        // The values of a chart.
        assert_eq!(told(json!({"kind": "DaemonSet", "image": {"tag": "1"}})), None);
        assert_eq!(told(json!({"Kind": "of magic"})), None);
        assert_eq!(told(json!({"replicas": 3})), None);
    }
}
