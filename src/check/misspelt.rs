//! Fields that Kubernetes does not know, near ones that volgate reads: the API server drops them without a word unless
//! it is told to be strict, and the data lands elsewhere.

use super::MOST_TOLD;
use crate::facts::VolumeSource;
use crate::model::{FieldPath, nearly, shortened};
use serde_json::{Map, Value};

/// A field that is probably a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Misspelt {
    pub(super) field: FieldPath,
    pub(super) message: String,
}

/// What a map of an object may hold.
struct Shape {
    /// The fields that volgate reads, and what is in them.
    read: &'static [(&'static str, Inner)],
    /// All others of Kubernetes 1.37, the removed ones too.
    others: &'static [&'static str],
}

/// What a field holds.
#[derive(Clone, Copy)]
enum Inner {
    /// Nothing that is looked into.
    Value,
    Map(&'static Shape),
    List(&'static Shape),
}

use Inner::{List, Map as In, Value as Leaf};

static META: Shape = Shape {
    read: &[
        ("name", Leaf),
        ("generateName", Leaf),
        ("namespace", Leaf),
        ("labels", Leaf),
        ("annotations", Leaf),
        ("ownerReferences", Leaf),
        ("finalizers", Leaf),
    ],
    others: &[
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
        "managedFields",
        "clusterName",
    ],
};

static RESOURCES: Shape = Shape { read: &[("requests", Leaf), ("limits", Leaf)], others: &["claims"] };

static CLAIM_SPEC: Shape = Shape {
    read: &[
        ("accessModes", Leaf),
        ("storageClassName", Leaf),
        ("selector", Leaf),
        ("resources", In(&RESOURCES)),
        ("volumeName", Leaf),
        ("volumeMode", Leaf),
        ("dataSource", Leaf),
        ("dataSourceRef", Leaf),
        ("volumeAttributesClassName", Leaf),
    ],
    others: &[],
};

static CLAIM: Shape = Shape { read: &[("metadata", In(&META)), ("spec", In(&CLAIM_SPEC))], others: OBJECT };

const OBJECT: &[&str] = &["apiVersion", "kind", "status"];

static EMPTY_DIR: Shape = Shape { read: &[("medium", Leaf), ("sizeLimit", Leaf)], others: &[] };
static HOST_PATH: Shape = Shape { read: &[("path", Leaf), ("type", Leaf)], others: &[] };
static CLAIM_SOURCE: Shape = Shape { read: &[("claimName", Leaf), ("readOnly", Leaf)], others: &[] };
static EPHEMERAL: Shape = Shape { read: &[("volumeClaimTemplate", In(&CLAIM))], others: &["readOnly"] };
/// Its types are asked for by name: there are very many.
static VOLUME: Shape = Shape {
    read: &[
        ("name", Leaf),
        ("emptyDir", In(&EMPTY_DIR)),
        ("hostPath", In(&HOST_PATH)),
        ("persistentVolumeClaim", In(&CLAIM_SOURCE)),
        ("ephemeral", In(&EPHEMERAL)),
        ("csi", Leaf),
        ("configMap", Leaf),
        ("secret", Leaf),
        ("projected", Leaf),
        ("downwardAPI", Leaf),
        ("nfs", Leaf),
    ],
    others: &[],
};

static MOUNT: Shape = Shape {
    read: &[
        ("name", Leaf),
        ("mountPath", Leaf),
        ("readOnly", Leaf),
        ("subPath", Leaf),
        ("subPathExpr", Leaf),
        ("mountPropagation", Leaf),
        ("recursiveReadOnly", Leaf),
    ],
    others: &[],
};
static DEVICE: Shape = Shape { read: &[("name", Leaf), ("devicePath", Leaf)], others: &[] };
static VARIABLE: Shape = Shape { read: &[("name", Leaf), ("value", Leaf), ("valueFrom", Leaf)], others: &[] };

static CONTAINER: Shape = Shape {
    read: &[
        ("name", Leaf),
        ("image", Leaf),
        ("command", Leaf),
        ("args", Leaf),
        ("workingDir", Leaf),
        ("env", List(&VARIABLE)),
        ("envFrom", Leaf),
        ("volumeMounts", List(&MOUNT)),
        ("volumeDevices", List(&DEVICE)),
        ("resources", In(&RESOURCES)),
        ("securityContext", Leaf),
        ("restartPolicy", Leaf),
    ],
    others: &[
        "ports",
        "resizePolicy",
        "restartPolicyRules",
        "livenessProbe",
        "readinessProbe",
        "startupProbe",
        "lifecycle",
        "terminationMessagePath",
        "terminationMessagePolicy",
        "imagePullPolicy",
        "stdin",
        "stdinOnce",
        "tty",
        "targetContainerName",
    ],
};

static POD_SPEC: Shape = Shape {
    read: &[
        ("volumes", List(&VOLUME)),
        ("initContainers", List(&CONTAINER)),
        ("containers", List(&CONTAINER)),
        ("ephemeralContainers", List(&CONTAINER)),
        ("nodeName", Leaf),
        ("nodeSelector", Leaf),
        ("affinity", Leaf),
        ("restartPolicy", Leaf),
    ],
    others: &[
        "terminationGracePeriodSeconds",
        "activeDeadlineSeconds",
        "dnsPolicy",
        "dnsConfig",
        "serviceAccountName",
        "serviceAccount",
        "automountServiceAccountToken",
        "hostNetwork",
        "hostPID",
        "hostIPC",
        "hostUsers",
        "hostname",
        "hostnameOverride",
        "hostAliases",
        "subdomain",
        "shareProcessNamespace",
        "securityContext",
        "imagePullSecrets",
        "schedulerName",
        "schedulingGates",
        "schedulingGroup",
        "tolerations",
        "priority",
        "priorityClassName",
        "preemptionPolicy",
        "readinessGates",
        "runtimeClassName",
        "enableServiceLinks",
        "overhead",
        "topologySpreadConstraints",
        "setHostnameAsFQDN",
        "os",
        "resourceClaims",
        "resources",
        "workloadRef",
    ],
};

static TEMPLATE: Shape = Shape { read: &[("metadata", In(&META)), ("spec", In(&POD_SPEC))], others: OBJECT };
static POD: Shape = Shape { read: &[("metadata", In(&META)), ("spec", In(&POD_SPEC))], others: OBJECT };
static POD_TEMPLATE: Shape =
    Shape { read: &[("metadata", In(&META)), ("template", In(&TEMPLATE))], others: OBJECT };

static RETENTION: Shape = Shape { read: &[("whenDeleted", Leaf), ("whenScaled", Leaf)], others: &[] };
static SET_SPEC: Shape = Shape {
    read: &[
        ("template", In(&TEMPLATE)),
        ("replicas", Leaf),
        ("volumeClaimTemplates", List(&CLAIM)),
        ("persistentVolumeClaimRetentionPolicy", In(&RETENTION)),
    ],
    others: &[
        "selector",
        "serviceName",
        "podManagementPolicy",
        "updateStrategy",
        "revisionHistoryLimit",
        "minReadySeconds",
        "ordinals",
    ],
};
static SET: Shape = Shape { read: &[("metadata", In(&META)), ("spec", In(&SET_SPEC))], others: OBJECT };

/// Deployments, ReplicaSets, ReplicationControllers and DaemonSets together.
static CONTROLLER_SPEC: Shape = Shape {
    read: &[("template", In(&TEMPLATE)), ("replicas", Leaf), ("strategy", Leaf)],
    others: &[
        "selector",
        "minReadySeconds",
        "revisionHistoryLimit",
        "paused",
        "progressDeadlineSeconds",
        "rollbackTo",
        "updateStrategy",
        "templateGeneration",
        "podReplacementPolicy",
    ],
};
static CONTROLLER: Shape =
    Shape { read: &[("metadata", In(&META)), ("spec", In(&CONTROLLER_SPEC))], others: OBJECT };

static JOB_SPEC: Shape = Shape {
    read: &[("template", In(&TEMPLATE)), ("parallelism", Leaf), ("completions", Leaf)],
    others: &[
        "activeDeadlineSeconds",
        "podFailurePolicy",
        "successPolicy",
        "backoffLimit",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
        "selector",
        "manualSelector",
        "ttlSecondsAfterFinished",
        "completionMode",
        "suspend",
        "podReplacementPolicy",
        "managedBy",
    ],
};
static JOB: Shape = Shape { read: &[("metadata", In(&META)), ("spec", In(&JOB_SPEC))], others: OBJECT };
static CRON_JOB_SPEC: Shape = Shape {
    read: &[("jobTemplate", In(&JOB)), ("concurrencyPolicy", Leaf)],
    others: &[
        "schedule",
        "timeZone",
        "startingDeadlineSeconds",
        "suspend",
        "successfulJobsHistoryLimit",
        "failedJobsHistoryLimit",
    ],
};
static CRON_JOB: Shape =
    Shape { read: &[("metadata", In(&META)), ("spec", In(&CRON_JOB_SPEC))], others: OBJECT };

static TOPOLOGY: Shape = Shape {
    read: &[(
        "matchLabelExpressions",
        List(&Shape { read: &[("key", Leaf), ("values", Leaf)], others: &[] }),
    )],
    others: &[],
};
static CLASS: Shape = Shape {
    read: &[
        ("metadata", In(&META)),
        ("provisioner", Leaf),
        ("parameters", Leaf),
        ("reclaimPolicy", Leaf),
        ("mountOptions", Leaf),
        ("allowVolumeExpansion", Leaf),
        ("volumeBindingMode", Leaf),
        ("allowedTopologies", List(&TOPOLOGY)),
    ],
    others: OBJECT,
};

static LOCAL: Shape = Shape { read: &[("path", Leaf), ("fsType", Leaf)], others: &[] };
static CLAIM_REF: Shape = Shape {
    read: &[("namespace", Leaf), ("name", Leaf), ("uid", Leaf)],
    others: &["apiVersion", "kind", "resourceVersion", "fieldPath"],
};
static CAPACITY: Shape = Shape { read: &[("storage", Leaf)], others: &[] };
static REQUIREMENT: Shape =
    Shape { read: &[("key", Leaf), ("operator", Leaf), ("values", Leaf)], others: &[] };
static NODE_TERM: Shape = Shape {
    read: &[("matchExpressions", List(&REQUIREMENT)), ("matchFields", List(&REQUIREMENT))],
    others: &[],
};
static NODE_SELECTOR: Shape = Shape { read: &[("nodeSelectorTerms", List(&NODE_TERM))], others: &[] };
static NODE_AFFINITY: Shape = Shape { read: &[("required", In(&NODE_SELECTOR))], others: &[] };
/// Its types are asked for by name, as a pod volume's.
static PERSISTENT_VOLUME_SPEC: Shape = Shape {
    read: &[
        ("accessModes", Leaf),
        ("capacity", In(&CAPACITY)),
        ("claimRef", In(&CLAIM_REF)),
        ("persistentVolumeReclaimPolicy", Leaf),
        ("storageClassName", Leaf),
        ("volumeMode", Leaf),
        ("nodeAffinity", In(&NODE_AFFINITY)),
        ("mountOptions", Leaf),
        ("hostPath", In(&HOST_PATH)),
        ("local", In(&LOCAL)),
        ("csi", Leaf),
        ("nfs", Leaf),
    ],
    others: &["volumeAttributesClassName"],
};
static PERSISTENT_VOLUME: Shape =
    Shape { read: &[("metadata", In(&META)), ("spec", In(&PERSISTENT_VOLUME_SPEC))], others: OBJECT };

fn shape(kind: &str) -> Option<&'static Shape> {
    Some(match kind {
        "Pod" => &POD,
        "PodTemplate" => &POD_TEMPLATE,
        "StatefulSet" => &SET,
        "Deployment" | "ReplicaSet" | "ReplicationController" | "DaemonSet" => &CONTROLLER,
        "Job" => &JOB,
        "CronJob" => &CRON_JOB,
        "PersistentVolumeClaim" => &CLAIM,
        "PersistentVolume" => &PERSISTENT_VOLUME,
        "StorageClass" => &CLASS,
        _ => return None,
    })
}

/// The misspelt fields of an object of a kind that is judged.
pub(super) fn misspelt(object: &Value) -> Vec<Misspelt> {
    let mut found = Vec::new();
    let kind = super::text(object, "kind").unwrap_or_default();
    if let (Some(shape), Some(fields)) = (shape(kind), object.as_object()) {
        look(fields, shape, &mut FieldPath::root(), &mut found);
    }
    found
}

fn look(fields: &Map<String, Value>, shape: &'static Shape, at: &mut FieldPath, found: &mut Vec<Misspelt>) {
    for (key, value) in fields {
        if found.len() >= MOST_TOLD {
            return;
        }
        let Some((_, inner)) = shape.read.iter().find(|(name, _)| name == key) else {
            let has_types =
                [&VOLUME, &PERSISTENT_VOLUME_SPEC].into_iter().any(|one| std::ptr::eq(shape, one));
            let is_known = shape.others.contains(&key.as_str())
                || (has_types && VolumeSource::types().any(|known| known == key));
            if !is_known && !value.is_null() {
                found.extend(
                    message(key, fields, shape)
                        .map(|message| Misspelt { field: at.key(key.clone()), message }),
                );
            }
            continue;
        };
        match (inner, value) {
            (In(shape), Value::Object(fields)) => {
                at.push_key(key.clone());
                look(fields, shape, at, found);
                at.pop();
            }
            (List(shape), Value::Array(items)) => {
                at.push_key(key.clone());
                for (index, item) in items.iter().enumerate() {
                    if let Value::Object(fields) = item {
                        at.push_index(index);
                        look(fields, shape, at, found);
                        at.pop();
                    }
                }
                at.pop();
            }
            _ => {}
        }
    }
}

fn message(key: &str, fields: &Map<String, Value>, shape: &'static Shape) -> Option<String> {
    let name = shortened(key, 100);
    if std::ptr::eq(shape, &VOLUME) && matches!(key, "source" | "volumeSource") {
        return Some(format!(
            "unknown field `{name}`: the API server drops it, and what is left is an emptyDir; put what is in it beside `name`"
        ));
    }
    let names = shape.read.iter().map(|(name, _)| *name);
    // What is there already was not meant.
    let near = nearly(key, names.filter(|name| !fields.contains_key(*name)))?;
    Some(format!("unknown field `{name}`, which the API server drops: did you mean `{near}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(object: &Value) -> Vec<String> {
        misspelt(object).into_iter().map(|found| format!("{}: {}", found.field, found.message)).collect()
    }

    #[test]
    fn fields_near_those_that_are_read_are_told() {
        let claim = json!({"kind": "PersistentVolumeClaim", "metadata": {"name": "p"}, "spec": {
            "accessMode": ["ReadWriteOnce"], "storageclassname": "fast", "selectors": {},
            "resources": {"request": {"storage": "1Gi"}}}});
        assert_eq!(
            told(&claim),
            [
                "spec.accessMode: unknown field `accessMode`, which the API server drops: did you mean `accessModes`?",
                "spec.resources.request: unknown field `request`, which the API server drops: did you mean `requests`?",
                "spec.selectors: unknown field `selectors`, which the API server drops: did you mean `selector`?",
                "spec.storageclassname: unknown field `storageclassname`, which the API server drops: did you mean `storageClassName`?",
            ]
        );
        let volume = json!({"kind": "PersistentVolume", "metadata": {"name": "v", "annotation": {}}, "spec": {
            "capacities": {}, "capacity": {"Storage": "1Gi"}, "persistentVolumeReclaimpolicy": "Retain", "claimref": {},
            "hostpath": {}, "storageclassName": "z", "volumemode": "Block", "local": {"paths": "/x"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpression": []}]}}}});
        let said = told(&volume);
        assert_eq!(said.len(), 9, "{said:#?}");
        for (wrong, meant) in [
            ("annotation", "annotations"),
            ("Storage", "storage"),
            ("persistentVolumeReclaimpolicy", "persistentVolumeReclaimPolicy"),
            ("claimref", "claimRef"),
            ("hostpath", "hostPath"),
            ("matchExpression", "matchExpressions"),
        ] {
            let wanted =
                format!("unknown field `{wrong}`, which the API server drops: did you mean `{meant}`?");
            assert!(said.iter().any(|line| line.ends_with(&wanted)), "{wrong}: {said:#?}");
        }
        let class = json!({"kind": "StorageClass", "provisioner": "p", "allowedTopologies": [{"matchLabelExpression": []}]});
        assert_eq!(told(&class).len(), 1);
        let set = json!({"kind": "StatefulSet", "spec": {"persistentVolumeClaimRetentionPolicy": {"whenDelete": "Retain"}}});
        assert_eq!(told(&set).len(), 1);
        let pod = json!({"kind": "Pod", "spec": {"volumes": [{"name": "d", "source": {}}, {"name": "e", "emptydir": {}}],
            "containers": [{"name": "c", "volumeMounts": [{"name": "d", "mountpath": "/d"}]}]}});
        assert_eq!(told(&pod).len(), 3);
    }

    #[test]
    fn fields_that_kubernetes_knows_and_fields_like_none_are_not_told() {
        for object in [
            json!({"kind": "Pod", "metadata": {"name": "p", "uid": "u"}, "spec": {"hostname": "h", "os": {"name": "linux"},
                "priority": 1, "volumes": [{"name": "f", "fc": {}}, {"name": "g", "rbd": {}}],
                "containers": [{"name": "c", "tty": true, "resources": {"claims": []}}]}}),
            json!({"kind": "Deployment", "spec": {"selector": {}, "paused": true, "x-owner": "team"}}),
            json!({"kind": "StatefulSet", "spec": {"ordinals": {}, "selector": {}, "volumeClaimTemplates": null}}),
            json!({"kind": "PersistentVolumeClaim", "spec": {"storageClassName": "a", "storageClass": null}}),
            json!({"kind": "PersistentVolume", "spec": {"capacity": {"storage": "1Gi"}, "volumeAttributesClassName": "a",
                "claimRef": {"kind": "PersistentVolumeClaim", "apiVersion": "v1", "resourceVersion": "1", "fieldPath": "f",
                             "namespace": "n", "name": "c", "uid": "u"},
                "mountOptions": ["ro"], "awsElasticBlockStore": {}, "iscsi": {}, "rbd": {}, "quobyte": {}, "flexVolume": {}}}),
        ] {
            assert_eq!(told(&object), Vec::<String>::new());
        }
    }
}
