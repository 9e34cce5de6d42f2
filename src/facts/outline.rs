use super::OwnerFacts;
use super::container::{Part, part_of, parts_of};
use super::node::kept_labels;
use crate::json::Node;
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};

/// As much of a workload as the rules on replicas read, besides its labels and its owner: which claims its pods write
/// to, how it is updated, and by which labels and annotations policies find or excuse it.
///
/// It is the text of a JSON object in the workload's own shape, so that a rule reads it as it reads the workload itself.
/// A cluster has many workloads, and most of them write to no claim: of those little or nothing is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline(Box<str>);

/// The longest value of an annotation that is kept, in bytes: longer than any reason that somebody gives.
const LONGEST_ANNOTATION: usize = 1024;
/// The most bytes of annotations that are kept of one map: it may hold 256 KiB.
const MOST_ANNOTATIONS: usize = 4096;
/// The most claims that are kept of one workload.
const MOST_CLAIMS: usize = 128;

impl Outline {
    /// From a whole Deployment, StatefulSet, ReplicaSet or ReplicationController; nothing where nothing is worth keeping.
    ///
    /// The kind need not be known, which an item of a list does not say: `strategy` and `volumeClaimTemplates` each stand
    /// in the one kind that has them. What has a wrong type counts as absent.
    pub fn of(object: Node<'_>) -> Option<Self> {
        let at = |node: Node<'_>, key: &str| node.get(key).map_or(Value::Null, Node::to_value);
        let inner = |node, key| Node::get(node, key).unwrap_or(Node::NULL);
        let (meta, spec) = (inner(object, "metadata"), inner(object, "spec"));
        let template = inner(spec, "template");
        let template_meta = inner(template, "metadata");
        let (volumes, mounts) = written_claims(inner(template, "spec"), inner(spec, "volumeClaimTemplates"));
        let writes = !volumes.is_empty();
        let mut container = Map::new();
        let env = variables_of(&mounts);
        container.extend((!env.is_null()).then(|| ("env".to_owned(), env)));
        container.insert("volumeMounts".to_owned(), mounts.into());
        let labels = |meta: Node<'_>| -> Map<String, Value> {
            kept_labels(meta.get("labels")).map(|(key, value)| (key.to_owned(), value.into())).collect()
        };
        let template_labels = labels(template_meta);
        let outline = pruned(json!({
            "metadata": {
                "annotations": annotations(inner(meta, "annotations")),
                "deletionTimestamp": at(meta, "deletionTimestamp"),
            },
            "spec": {
                "strategy": if writes { at(spec, "strategy") } else { Value::Null },
                "template": {
                    "metadata": {
                        "labels": if template_labels == labels(meta) { Map::new() } else { template_labels },
                        "annotations": annotations(inner(template_meta, "annotations")),
                    },
                    "spec": if writes { json!({"volumes": volumes, "containers": [container]}) } else { Value::Null },
                },
            },
        }));
        (!outline.is_null()).then(|| Self(outline.to_string().into()))
    }

    /// The bytes that it takes.
    pub fn size(&self) -> usize {
        self.0.len()
    }
}

impl OwnerFacts {
    /// The workload as it would be with that many replicas, as far as it is known.
    pub fn with_replicas(&self, api_version: &str, replicas: i64) -> Value {
        let outline = self.outline.as_ref();
        let mut object: Map<String, Value> =
            outline.and_then(|outline| serde_json::from_str(&outline.0).ok()).unwrap_or_default();
        object.insert("apiVersion".to_owned(), api_version.into());
        object.insert("kind".to_owned(), self.kind.as_str().into());
        let mut meta = taken(&mut object, "metadata");
        meta.insert("name".to_owned(), self.name.as_str().into());
        meta.insert("namespace".to_owned(), self.namespace.as_str().into());
        meta.insert("uid".to_owned(), self.uid.as_str().into());
        if !self.labels.is_empty() {
            meta.insert(
                "labels".to_owned(),
                self.labels
                    .iter()
                    .map(|(key, value)| (key.to_owned(), value.into()))
                    .collect::<Map<String, Value>>()
                    .into(),
            );
        }
        if let Some(owner) = &self.controller {
            let owner =
                json!([{"kind": owner.kind, "name": owner.name, "uid": owner.uid, "controller": true}]);
            meta.insert("ownerReferences".to_owned(), owner);
        }
        object.insert("metadata".to_owned(), meta.into());
        let mut spec = taken(&mut object, "spec");
        spec.insert("replicas".to_owned(), replicas.into());
        object.insert("spec".to_owned(), spec.into());
        object.into()
    }
}

fn taken(object: &mut Map<String, Value>, key: &str) -> Map<String, Value> {
    match object.remove(key) {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

/// The pod volumes that are claims of a fixed name and written to, and one mount for each that says which pods write to
/// the same place in it.
fn written_claims(pod: Node<'_>, templates: Node<'_>) -> (Vec<Value>, Vec<Value>) {
    let name_of = |item: Node<'_>| item.get("name").and_then(Node::as_str).unwrap_or_default().to_owned();
    let is_true = |item: Node<'_>, key: &str| item.get(key).and_then(Node::as_bool) == Some(true);
    // For each pod volume, the part that the most pods share.
    let mut parts: HashMap<String, Part> = HashMap::new();
    let mut add = |volume: String, part: Part| {
        let widest = parts.entry(volume).or_insert(part);
        *widest = part.min(*widest);
    };
    for list in ["initContainers", "containers"] {
        for container in pod.get(list).unwrap_or(Node::NULL).items() {
            let variables = parts_of(container.get("env").unwrap_or(Node::NULL));
            for mount in container.get("volumeMounts").unwrap_or(Node::NULL).items() {
                let expression = mount.get("subPathExpr").and_then(Node::as_str).unwrap_or_default();
                if !is_true(mount, "readOnly") {
                    add(name_of(mount), part_of(expression, &variables));
                }
            }
            for device in container.get("volumeDevices").unwrap_or(Node::NULL).items() {
                add(name_of(device), Part::Shared);
            }
        }
    }
    let shadowed: HashSet<String> =
        templates.items().filter_map(|template| template.get("metadata").map(name_of)).collect();
    let (mut volumes, mut mounts) = (Vec::new(), Vec::new());
    for volume in pod.get("volumes").unwrap_or(Node::NULL).items() {
        let name = name_of(volume);
        let Some(claim) = volume.get("persistentVolumeClaim").filter(|claim| !is_true(*claim, "readOnly"))
        else {
            continue;
        };
        let Some(part) = parts.get(&name).filter(|_| !shadowed.contains(&name)) else { continue };
        if volumes.len() == MOST_CLAIMS {
            break;
        }
        let claim = claim.get("claimName").map_or(Value::Null, Node::to_value);
        volumes.push(json!({"name": name, "persistentVolumeClaim": {"claimName": claim}}));
        mounts.push(match variable_of(*part) {
            None => json!({"name": name}),
            Some((variable, _)) => json!({"name": name, "subPathExpr": format!("$({variable})")}),
        });
    }
    (volumes, mounts)
}

/// A variable, and the field of the pod that it is filled in from, that makes such a part of a volume.
fn variable_of(part: Part) -> Option<(&'static str, &'static str)> {
    match part {
        Part::Shared => None,
        Part::OfNode => Some(("NODE", "spec.nodeName")),
        Part::OfOrdinal => Some(("ORDINAL", "metadata.labels['apps.kubernetes.io/pod-index']")),
        Part::OfPod => Some(("POD", "metadata.name")),
    }
}

/// The variables that the mounts of [`written_claims`] use.
fn variables_of(mounts: &[Value]) -> Value {
    if mounts.iter().all(|mount| mount.get("subPathExpr").is_none()) {
        return Value::Null;
    }
    let variables = [Part::OfNode, Part::OfOrdinal, Part::OfPod].into_iter().filter_map(variable_of);
    variables
        .map(|(name, field)| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": field}}}))
        .collect()
}

/// The annotations by which somebody may excuse a workload: not those of Kubernetes' own domains.
fn annotations(map: Node<'_>) -> Value {
    let mut kept = Map::new();
    let mut bytes = 0;
    for (key, value) in map.fields() {
        let domain = key.split_once('/').map_or("", |(domain, _)| domain);
        let kubernetes = ["kubernetes.io", "k8s.io"].iter().any(|suffix| {
            domain.strip_suffix(suffix).is_some_and(|before| before.is_empty() || before.ends_with('.'))
        });
        let Some(text) = value.as_str().filter(|text| !kubernetes && text.len() <= LONGEST_ANNOTATION) else {
            continue;
        };
        bytes += key.len() + text.len();
        if bytes > MOST_ANNOTATIONS {
            break;
        }
        kept.insert(key.to_owned(), text.into());
    }
    kept.into()
}

/// Without the maps that hold nothing.
fn pruned(value: Value) -> Value {
    let Value::Object(map) = value else { return value };
    let kept = map.into_iter().map(|(key, value)| (key, pruned(value))).filter(|(_, value)| !value.is_null());
    let kept: Map<String, Value> = kept.collect();
    if kept.is_empty() { Value::Null } else { kept.into() }
}

#[cfg(test)]
mod tests {
    use super::super::Facts;
    use super::*;

    fn whole(object: &Value) -> OwnerFacts {
        OwnerFacts::read_whole(object.into(), &Facts::identify(object, None)).unwrap()
    }

    fn deployment(meta: Value, pod: Value) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta,
               "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "strategy": {"type": "Recreate"},
                        "template": {"metadata": {"labels": {"app": "web"}}, "spec": pod}}})
    }

    #[test]
    fn nothing_is_kept_of_a_workload_that_writes_to_no_claim() {
        let meta = json!({"name": "web", "labels": {"app": "web"},
            "annotations": {"deployment.kubernetes.io/revision": "7", "kubernetes.io/change-cause": "x", "x.k8s.io/y": "z"}});
        let pod = json!({"containers": [{"name": "c", "image": "i", "env": [{"name": "A", "value": "b"}],
                                         "volumeMounts": [{"name": "e", "mountPath": "/e"}]}],
                         "volumes": [{"name": "e", "emptyDir": {}}, {"name": "u", "persistentVolumeClaim": {"claimName": "unused"}}]});
        assert_eq!(whole(&deployment(meta, pod)).outline, None);
        assert_eq!(whole(&json!({"metadata": {"name": "x"}})).outline, None);
        for odd in [
            json!({"metadata": {"name": "x"}, "spec": 7}),
            json!({"metadata": {}, "spec": {"template": {"spec": []}}}),
        ] {
            assert_eq!(whole(&odd).outline, None, "{odd}");
        }
    }

    #[test]
    fn keeps_the_claims_that_are_written_to_and_how_policies_find_the_workload() {
        let meta = json!({"name": "db", "namespace": "shop", "uid": "u", "labels": {"app": "db"},
            "ownerReferences": [{"kind": "App", "name": "a", "uid": "v", "controller": true}],
            "annotations": {"example.org/reason": "because", "mykubernetes.io/x": "y"}});
        let pod = json!({"containers": [{"name": "c", "image": "postgres", "volumeMounts": [{"name": "d", "mountPath": "/d"}]}],
                         "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]});
        let owner = whole(&deployment(meta, pod));
        assert_eq!(
            owner.with_replicas("apps/v1", 5),
            json!({"apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "db", "namespace": "shop", "uid": "u", "labels": {"app": "db"},
                             "ownerReferences": [{"kind": "App", "name": "a", "uid": "v", "controller": true}],
                             "annotations": {"example.org/reason": "because", "mykubernetes.io/x": "y"}},
                "spec": {"replicas": 5, "strategy": {"type": "Recreate"}, "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [{"volumeMounts": [{"name": "d"}]}],
                             "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]}}}})
        );
        assert!(owner.outline.unwrap().size() < 350, "a few bytes");
    }

    #[test]
    fn a_workload_chooses_no_size_of_its_own() {
        let many = |count: usize, item: fn(usize) -> Value| (0..count).map(item).collect::<Vec<_>>();
        let labels: Map<String, Value> =
            (0..20_000).map(|n| (format!("l{n}"), "x".repeat(40).into())).collect();
        let pod = json!({
            "containers": [{"name": "c", "volumeMounts": many(9_000, |n| json!({"name": n.to_string(), "mountPath": "/d"}))}],
            "volumes": many(9_000, |n| json!({"name": n.to_string(), "persistentVolumeClaim": {"claimName": n.to_string()}})),
        });
        let mut object = deployment(json!({"name": "x", "labels": labels}), pod);
        let mut other = labels.clone();
        other.insert("0".to_owned(), "other".into());
        object["spec"]["template"]["metadata"]["labels"] = other.into();
        let owner = whole(&object);
        let kept: usize = owner.labels.iter().map(|(key, value)| key.len() + value.len()).sum();
        assert!((1_000..=16 * 1024).contains(&kept), "{kept}");
        let outline = owner.outline.as_ref().unwrap().size();
        assert!((1_000..64 * 1024).contains(&outline), "{outline}");

        let long = "n".repeat(254);
        for (key, value) in [("kind", &long), ("name", &long)] {
            let mut owner = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "uid": "v", "controller": true});
            let read = |owner: &Value| {
                whole(&json!({"metadata": {"name": "x", "ownerReferences": [owner]}})).controller
            };
            assert!(read(&owner).is_some());
            owner[key] = json!(value);
            assert_eq!(read(&owner), None, "no object is called so");
        }
    }

    #[test]
    fn annotations_are_bounded() {
        let mut annotations: Map<String, Value> =
            (0..1000).map(|n| (format!("a{n}"), "x".repeat(100).into())).collect();
        annotations.insert("0".to_owned(), "y".repeat(LONGEST_ANNOTATION + 1).into());
        let owner = whole(&deployment(json!({"name": "x", "annotations": annotations}), json!({})));
        let kept = owner.with_replicas("apps/v1", 1);
        let kept = kept["metadata"]["annotations"].as_object().unwrap();
        assert!(kept.len() > 30 && !kept.contains_key("0"), "{}", kept.len());
        assert!(owner.outline.unwrap().size() < 2 * MOST_ANNOTATIONS);
    }
}
