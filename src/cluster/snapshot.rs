//! What `check` looks up of a cluster, as a file: one list for each kind, so that an empty one says that there is none.

use super::Watched;
use super::pages::{Ended, Listed, Step, each};
use super::watched::{CLAIMS, CLASSES, CONFIG_MAPS, NAMESPACES, NODES, POLICIES, VOLUMES};
use crate::facts::CLASS_ANNOTATION;
use serde_json::{Map, Value};
use std::io::{self, Write};

/// kubectl's copy of the whole object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// What makes a class the cluster's default.
const IS_DEFAULT: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

/// Writes the lists. What could not be read is left out, and returned as a text for a person. Secrets are never asked for, and
/// ConfigMaps only `with_config_maps`.
///
/// # Errors
/// `out` takes no more.
pub async fn snapshot(
    client: &kube::Client,
    with_config_maps: bool,
    out: &mut dyn Write,
) -> io::Result<Vec<String>> {
    let mut left_out = Vec::new();
    let config_maps = with_config_maps.then_some(CONFIG_MAPS);
    for of in [CLASSES, VOLUMES, CLAIMS, NODES, NAMESPACES, POLICIES].into_iter().chain(config_maps) {
        let why = write_list(client, of, out).await?;
        left_out.extend(why.map(|why| format!("the snapshot has no {of}: {why}")));
    }
    Ok(left_out)
}

/// The StoragePolicies of a cluster as a snapshot has them; nothing where it does not know the kind.
///
/// # Errors
/// Why they cannot be read.
pub async fn policy_snapshot(client: &kube::Client) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    match write_list(client, POLICIES, &mut text).await {
        Ok(None) => Ok(text),
        Ok(Some(why)) => Err(why),
        Err(error) => Err(error.to_string()),
    }
}

/// Writes the list of a kind, or says why it cannot be read. A kind that the cluster does not know is passed over.
async fn write_list(client: &kube::Client, of: Watched, out: &mut dyn Write) -> io::Result<Option<String>> {
    let listed = listed(of);
    let mut items = Vec::new();
    let ended = each(client, &listed, None, |step| match step {
        Step::Begin => items.clear(),
        Step::Object(object) => items.push(stripped(of.kind, &object).to_string()),
    })
    .await;
    match ended {
        Ended::Whole => {}
        Ended::Unknown => return Ok(None),
        Ended::Failed(why) => return Ok(Some(why)),
    }
    writeln!(out, "{{\"apiVersion\": {:?}, \"kind\": \"{}List\", \"items\": [", listed.api_version, of.kind)?;
    for (index, item) in items.iter().enumerate() {
        let comma = if index + 1 < items.len() { "," } else { "" };
        writeln!(out, "{item}{comma}")?;
    }
    writeln!(out, "]}}")?;
    Ok(None)
}

pub(super) fn listed(of: Watched) -> Listed {
    Listed { api_version: of.api_version(), kind: of.kind.to_owned(), resource: of.resource.to_owned() }
}

/// An object with the fields that are read of its kind, and no others.
fn stripped(kind: &str, object: &Value) -> Value {
    let annotations: &[&str] = match kind {
        "PersistentVolumeClaim" | "PersistentVolume" => &[CLASS_ANNOTATION],
        "StorageClass" => &IS_DEFAULT,
        _ => &[],
    };
    let mut made = picked(object, &["apiVersion", "kind"]);
    let meta = object.get("metadata").unwrap_or(&Value::Null);
    let mut metadata = picked(meta, &["name", "namespace"]);
    let spec = object.get("spec").unwrap_or(&Value::Null);
    let status = |made: &mut Map<String, Value>| {
        if let Some(phase) = object.pointer("/status/phase") {
            made.insert("status".to_owned(), serde_json::json!({"phase": phase}));
        }
    };
    match kind {
        "PersistentVolumeClaim" => {
            metadata.extend(picked(meta, &["uid"]));
            if let Some(owner) = controller(meta) {
                metadata.insert("ownerReferences".to_owned(), Value::Array(vec![owner]));
            }
            let fields = [
                "accessModes",
                "dataSource",
                "dataSourceRef",
                "resources",
                "selector",
                "storageClassName",
                "volumeAttributesClassName",
                "volumeMode",
                "volumeName",
            ];
            made.insert("spec".to_owned(), Value::Object(picked(spec, &fields)));
            status(&mut made);
        }
        "PersistentVolume" => {
            metadata.extend(picked(meta, &["labels"]));
            made.insert("spec".to_owned(), Value::Object(volume(spec)));
            status(&mut made);
        }
        "StorageClass" => {
            metadata.extend(picked(meta, &["creationTimestamp"]));
            let fields = [
                "allowVolumeExpansion",
                "allowedTopologies",
                "mountOptions",
                "provisioner",
                "reclaimPolicy",
                "volumeBindingMode",
            ];
            made.extend(picked(object, &fields));
        }
        "Namespace" => {
            metadata.extend(picked(meta, &["labels", "annotations"]));
            if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
                annotations.remove(LAST_APPLIED);
            }
        }
        "Node" => metadata.extend(picked(meta, &["labels"])),
        "ConfigMap" => made.extend(picked(object, &["data"])),
        _ => made.extend(picked(object, &["spec"])),
    }
    let kept = meta.get("annotations").map(|all| picked(all, annotations)).unwrap_or_default();
    if !kept.is_empty() {
        metadata.insert("annotations".to_owned(), Value::Object(kept));
    }
    made.insert("metadata".to_owned(), Value::Object(metadata));
    Value::Object(made)
}

/// The controller among an object's owners.
fn controller(meta: &Value) -> Option<Value> {
    let owners = meta.get("ownerReferences")?.as_array()?;
    let owner = owners.iter().find(|owner| owner.get("controller") == Some(&Value::Bool(true)))?;
    Some(Value::Object(picked(owner, &["apiVersion", "controller", "kind", "name", "uid"])))
}

/// The spec of a volume. Of what backs it the name of the field is read, the path of a directory and the driver: the rest may name
/// Secrets, or hold a password.
fn volume(spec: &Value) -> Map<String, Value> {
    const KEPT: [&str; 8] = [
        "accessModes",
        "capacity",
        "mountOptions",
        "nodeAffinity",
        "persistentVolumeReclaimPolicy",
        "storageClassName",
        "volumeAttributesClassName",
        "volumeMode",
    ];
    let mut made = picked(spec, &KEPT);
    for (key, value) in spec.as_object().into_iter().flatten() {
        if value.is_object() && !made.contains_key(key) {
            let fields: &[&str] = match key.as_str() {
                "claimRef" => &["namespace", "name", "uid"],
                "local" | "hostPath" => &["path"],
                "csi" => &["driver"],
                _ => &[],
            };
            made.insert(key.clone(), Value::Object(picked(value, fields)));
        }
    }
    made
}

/// Those of the fields that are there.
fn picked(object: &Value, fields: &[&str]) -> Map<String, Value> {
    let field = |name: &&str| Some(((*name).to_owned(), object.get(*name)?.clone()));
    fields.iter().filter_map(field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Facts, Subject};
    use serde_json::json;

    fn facts(object: &Value) -> String {
        match Facts::read(object, None).unwrap().subject {
            Subject::Claim(claim) => format!("{claim:?}"),
            Subject::Volume(volume) => format!("{volume:?}"),
            Subject::Class(class) => format!("{class:?}"),
            Subject::Namespace(namespace) => format!("{namespace:?}"),
            Subject::Node(node) => format!("{node:?}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_left_says_the_same_and_no_secrets() {
        let metadata = json!({"name": "x", "namespace": "a", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"disk": "nvme"}, "managedFields": [{"manager": "hush"}],
            "annotations": {CLASS_ANNOTATION: "old", IS_DEFAULT[0]: "true", "other": "hush"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "v", "controller": true}]});
        let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata,
            "spec": {"resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "fast", "volumeName": "v",
                     "accessModes": ["ReadWriteOnce"], "volumeMode": "Block",
                     "selector": {"matchLabels": {"a": "b"}}, "dataSource": {"kind": "PersistentVolumeClaim", "name": "c"}},
            "status": {"phase": "Bound", "capacity": "hush"}});
        let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": metadata, "provisioner": "p",
            "parameters": {"restuserkey": "hush"}, "reclaimPolicy": "Retain", "allowVolumeExpansion": true,
            "volumeBindingMode": "WaitForFirstConsumer", "mountOptions": ["noatime"], "allowedTopologies": [{}]});
        let volume = |source: Value| {
            let mut spec = json!({"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany"],
                "persistentVolumeReclaimPolicy": "Delete", "storageClassName": "", "mountOptions": ["hard"],
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                    {"key": "kubernetes.io/hostname", "operator": "In", "values": ["n1"]}]}]}},
                "claimRef": {"kind": "PersistentVolumeClaim", "namespace": "a", "name": "c", "uid": "w", "resourceVersion": "hush"}});
            spec.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
            json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": spec, "status": {"phase": "Bound"}})
        };
        let csi =
            json!({"csi": {"driver": "d", "volumeHandle": "hush", "volumeAttributes": {"password": "hush"}}});
        let mut free = volume(json!({"flexVolume": {"driver": "d", "options": {"password": "hush"}}}));
        free["spec"].as_object_mut().unwrap().remove("claimRef");
        free["status"]["phase"] = json!("Available");
        let mut class = class;
        class["metadata"]["annotations"][CLASS_ANNOTATION] = Value::Null;
        class["metadata"]["annotations"].as_object_mut().unwrap().remove(CLASS_ANNOTATION);
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "labels": {"a": "b"}},
            "status": {"images": ["hush"]}});
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "labels": {"a": "b"},
            "annotations": {"owner": "me"}}, "status": {"phase": "hush"}});
        let objects = [
            claim,
            class,
            volume(json!({"local": {"path": "/d"}})),
            volume(json!({"hostPath": {"path": "/d"}})),
            volume(csi),
            volume(json!({"nfs": {"server": "hush", "path": "hush"}})),
            free,
            node,
            namespace,
        ];
        for object in objects {
            let kept = stripped(object["kind"].as_str().unwrap(), &object);
            // A class's parameters may hold secrets, and no rule asks a cluster's class for them.
            let mut read = object;
            read.as_object_mut().unwrap().remove("parameters");
            assert_eq!(facts(&kept), facts(&read));
            assert!(!kept.to_string().contains("hush"), "{kept}");
        }
    }
}
