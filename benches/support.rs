//! The objects of the benches.
#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing, unreachable_pub)]

/// The allocator of the binary, so that the benches measure what users run.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use serde_json::{Value, json};
use volgate::facts::Facts;
use volgate::lookup::MapLookup;

/// A pod as an API server sends it: `containers` of them, Redis on a bound claim the first.
pub fn pod(containers: usize) -> Value {
    let list: Vec<Value> = (0..containers)
        .map(|index| {
            let image = if index == 0 { "docker.io/library/redis:7.2".to_owned() } else { format!("corp/app-{index}:1") };
            json!({
                "name": format!("c{index}"), "image": image, "imagePullPolicy": "IfNotPresent",
                "args": ["--dir", "/data", "--appendonly", "yes"],
                "env": [{"name": "A", "value": "b"},
                        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name", "apiVersion": "v1"}}}],
                "ports": [{"containerPort": 6379, "protocol": "TCP"}],
                "resources": {"limits": {"memory": "256Mi", "cpu": "500m"}, "requests": {"memory": "128Mi"}},
                "livenessProbe": {"tcpSocket": {"port": 6379}, "periodSeconds": 10, "failureThreshold": 3},
                "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true},
                "volumeMounts": [
                    {"name": "data", "mountPath": "/data"},
                    {"name": "config", "mountPath": "/etc/redis", "readOnly": true},
                    {"name": "tmp", "mountPath": "/tmp"},
                    {"name": "kube-api-access", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true}
                ],
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"
            })
        })
        .collect();
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "redis-0", "namespace": "shop", "uid": "0b8ee1a5-9f6e-4b39-8e3c-5b1b6f1d2a11",
            "creationTimestamp": "2026-11-23T12:00:00Z",
            "labels": {"app.kubernetes.io/name": "redis", "app.kubernetes.io/instance": "cart", "tier": "data"},
            "annotations": {"checksum/config": "2f1d7bb8f42d3d2c2f1d7bb8f42d3d2c", "prometheus.io/scrape": "true"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "redis",
                                 "uid": "5d1e9b0a-1b1c-4d7e-9a53-8a9f0f7c6f01", "controller": true,
                                 "blockOwnerDeletion": true}],
            "managedFields": [{"manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1",
                "time": "2026-11-23T12:00:00Z", "fieldsType": "FieldsV1",
                "fieldsV1": {"f:metadata": {"f:labels": {".": {}, "f:tier": {}}}, "f:spec": {"f:containers": {}}}}]
        },
        "spec": {
            "containers": list,
            "volumes": [
                {"name": "data", "persistentVolumeClaim": {"claimName": "data-redis-0"}},
                {"name": "config", "configMap": {"name": "redis", "defaultMode": 420}},
                {"name": "tmp", "emptyDir": {}},
                {"name": "kube-api-access", "projected": {"defaultMode": 420, "sources": [
                    {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                    {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}]}}
            ],
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}]}]}}},
            "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
            "serviceAccountName": "default", "securityContext": {"fsGroup": 1001}, "schedulerName": "default-scheduler",
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute",
                             "tolerationSeconds": 300}],
            "priority": 0, "enableServiceLinks": true, "preemptionPolicy": "PreemptLowerPriority"
        }
    })
}

/// The pod of the first experiment.
pub fn bare_redis() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "redis", "namespace": "shop"},
           "spec": {"containers": [{"name": "redis", "image": "redis"}]}})
}

/// A claim that names no class.
pub fn claim() -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "new", "namespace": "shop"},
           "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}})
}

/// The review of a new object, with all that an API server puts around it.
pub fn review(object: &Value) -> Vec<u8> {
    let kind = object["kind"].as_str().unwrap();
    let resource = format!("{}s", kind.to_lowercase());
    json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": "", "version": "v1", "kind": kind},
        "resource": {"group": "", "version": "v1", "resource": resource},
        "requestKind": {"group": "", "version": "v1", "kind": kind},
        "requestResource": {"group": "", "version": "v1", "resource": resource},
        "name": object["metadata"]["name"], "namespace": "shop", "operation": "CREATE",
        "userInfo": {"username": "system:serviceaccount:kube-system:statefulset-controller",
                     "uid": "1a2b3c4d-0000-4000-8000-0123456789ab",
                     "groups": ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"]},
        "object": object, "oldObject": null, "dryRun": false,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"}
    }})
    .to_string()
    .into_bytes()
}

/// A small cluster: the pod's claim is bound to a volume of one node.
pub fn lookup() -> MapLookup {
    let mut lookup = MapLookup::default();
    lookup.set_complete();
    let objects = [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"tier": "data"}}}),
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a", "labels": {"kubernetes.io/hostname": "a", "kubernetes.io/os": "linux"}}}),
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "local-path"},
               "provisioner": "local-path.volgate.dev", "volumeBindingMode": "WaitForFirstConsumer"}),
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
               "metadata": {"name": "data-redis-0", "namespace": "shop", "uid": "u"},
               "spec": {"storageClassName": "local-path", "volumeName": "pv", "accessModes": ["ReadWriteOnce"],
                        "resources": {"requests": {"storage": "1Gi"}}},
               "status": {"phase": "Bound"}}),
        json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv"},
               "spec": {"storageClassName": "local-path", "persistentVolumeReclaimPolicy": "Delete",
                        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "local": {"path": "/x"},
                        "claimRef": {"namespace": "shop", "name": "data-redis-0", "uid": "u"},
                        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                            {"key": "kubernetes.io/hostname", "operator": "In", "values": ["a"]}]}]}}}}),
    ];
    for object in &objects {
        lookup.add(&Facts::read(object, None).unwrap());
    }
    lookup
}

/// Expressions as policies have them, all of them true of [`pod`]: of the object, the facts, the request and the
/// namespace.
pub const EXPRESSIONS: [&str; 20] = [
    "object.spec.containers.all(c, !has(c.securityContext.privileged) || !c.securityContext.privileged)",
    "object.spec.containers.all(c, has(c.resources.limits) && 'memory' in c.resources.limits)",
    "object.spec.containers.all(c, c.image.startsWith('corp/') || c.image.contains('redis'))",
    "object.spec.containers.all(c, c.securityContext.?readOnlyRootFilesystem.orValue(false))",
    "object.spec.containers.all(c, c.imagePullPolicy in ['IfNotPresent', 'Always'])",
    "object.spec.containers.all(c, quantity(c.resources.limits.memory).isLessThan(quantity('1Gi')))",
    "object.spec.containers.map(c, c.name).distinct().size() == object.spec.containers.size()",
    "object.spec.volumes.all(v, !has(v.hostPath))",
    "object.spec.volumes.filter(v, has(v.emptyDir)).size() <= 2",
    "object.spec.volumes.exists(v, has(v.persistentVolumeClaim))",
    "object.spec.serviceAccountName != 'root' && object.spec.restartPolicy == 'Always'",
    "object.metadata.labels.exists(k, k == 'tier')",
    "object.metadata.labels['app.kubernetes.io/name'] == 'redis'",
    "object.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
    "has(object.metadata.annotations) && object.metadata.annotations.size() < 20",
    "facts.stateful && facts.containers.exists(c, c.stateful)",
    "facts.paths.all(p, !p.data || p.durability in ['claim', 'volume', 'unknown'])",
    "facts.paths.filter(p, p.durability == 'container').size() < 3",
    "facts.claims.size() == 0 && facts.kind == 'Pod'",
    "namespaceObject.metadata.labels.tier == 'data' && request.operation == 'CREATE'",
];
