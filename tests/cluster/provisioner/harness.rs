//! A control plane with volgate's CRDs, controllers that are the real binary under the rights that it asks for, and agents
//! that the test plays.

use crate::support::serve::{ask, free_address};
use crate::support::{Cluster, Options, Process, Scratch, User, cluster::ADMIN, wait_until};
use k8s_openapi::api::rbac::v1::PolicyRule;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use volgate::cluster::{node_storages, node_volumes, provisioner_cluster_rules, provisioner_namespace_rules};
use volgate::provisioner::Failpoint;

/// How long the slowest machine may take for any step. The controller manager alone lets up to a minute pass until it looks
/// again for an API server that was away (client-go's reflector: 30 s, and as much again by chance).
pub(crate) const LIMIT: Duration = Duration::from_secs(150);
pub(crate) const BASE: &str = "/opt/local-path-provisioner";
pub(crate) const USER: &str = "system:serviceaccount:volgate-system:volgate-provisioner";

/// The policies that confine the provisioner's account, as they are shipped, for the provisioners of all tests.
fn policies() -> String {
    let text = std::fs::read_to_string(crate::support::run::root("manifests/provisioner.yaml")).unwrap();
    let own = text.split("\n---\n").filter(|document| document.contains("\nkind: ValidatingAdmissionPolicy"));
    let mut names: Vec<String> =
        ["local-path.volgate.dev", "rancher.io/local-path"].map(str::to_owned).into();
    names.extend(
        ["burst", "replicas", "clocks", "late", "unseen", "breaks", "old-caches"]
            .map(|name| format!("{name}.example")),
    );
    names.extend(Failpoint::all().map(|point| format!("{}.kill.example", point.name())));
    let (shipped, wanted) = ("\"['local-path.volgate.dev']\"", format!("\"['{}']\"", names.join("', '")));
    let policies = own.collect::<Vec<_>>().join("\n---\n");
    assert_eq!(policies.matches(shipped).count(), 2, "one list of names in each policy");
    policies.replace(shipped, &wanted)
}

/// Starts a control plane with the CRDs, in which the provisioner may do what it asks for and nothing else.
pub(crate) fn start(mut options: Options) -> Option<Cluster> {
    options.users.push(User { name: USER.into(), groups: Vec::new() });
    let cluster = Cluster::own(options)?;
    let apply = |text: &str| {
        let output = cluster.kubectl_blocking(&["apply", "-f", "-"], Some(text));
        assert!(output.success, "{output}\n{text}");
    };
    apply(&volgate::crd::yaml());
    apply("{apiVersion: v1, kind: Namespace, metadata: {name: volgate-system}}");
    let bind = |kind: &str, rules: Vec<PolicyRule>| {
        let metadata = if kind == "Role" {
            json!({"name": "volgate-provisioner", "namespace": "volgate-system"})
        } else {
            json!({"name": "volgate-provisioner"})
        };
        let group = "rbac.authorization.k8s.io";
        apply(
            &json!({"apiVersion": format!("{group}/v1"), "kind": kind, "metadata": metadata, "rules": rules})
                .to_string(),
        );
        apply(
            &json!({"apiVersion": format!("{group}/v1"), "kind": format!("{kind}Binding"), "metadata": metadata,
                "roleRef": {"apiGroup": group, "kind": kind, "name": "volgate-provisioner"},
                "subjects": [{"kind": "User", "apiGroup": group, "name": USER}]})
            .to_string(),
        );
    };
    bind("ClusterRole", provisioner_cluster_rules());
    bind("Role", provisioner_namespace_rules());
    let established = ["nodevolumes", "nodestorages"].map(|name| format!("crd/{name}.volgate.dev"));
    for crd in established {
        let output =
            cluster.kubectl_blocking(&["wait", "--for=condition=Established", "--timeout=30s", &crd], None);
        assert!(output.success, "{output}");
    }
    apply(&policies());
    // A new admission policy takes a moment to be in force.
    let refused = volume("of-nobody", "somebody.example", "/etc");
    let attempt = ["create", "--as", USER, "--dry-run=server", "-f", "-"];
    for _ in 0..300 {
        let output = cluster.kubectl_blocking(&attempt, Some(&refused.to_string()));
        if output.stderr.contains("the provisioner may write PersistentVolumes of") {
            return Some(cluster);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("the policies that confine the provisioner are not in force");
}

/// A PersistentVolume that somebody made by hand.
pub(crate) fn volume(name: &str, provisioner: &str, path: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name,
            "annotations": {"pv.kubernetes.io/provisioned-by": provisioner}},
        "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": path},
            "persistentVolumeReclaimPolicy": "Retain", "storageClassName": "nobodys"}})
}

/// A running `volgate provisioner`.
pub(crate) struct Controller {
    pub(crate) process: Process,
    pub(crate) health: SocketAddr,
    _scratch: Scratch,
}

impl Controller {
    pub(crate) fn start(cluster: &Cluster, args: &[&str]) -> Self {
        Self::start_with(cluster, args, &[])
    }

    pub(crate) fn start_with(cluster: &Cluster, args: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::start_by(&cluster.kubeconfig_for(USER), args, environment)
    }

    /// By a way of the test's own to the API server.
    pub(crate) fn start_by(kubeconfig: &Path, args: &[&str], environment: &[(&str, &str)]) -> Self {
        let scratch = Scratch::new("provisioner").unwrap();
        let health = free_address();
        let mut command = crate::support::volgate();
        command
            .arg("provisioner")
            .args(["--health-listen", &health.to_string(), "--lease-duration", "6"])
            .args(args);
        command.env("KUBECONFIG", kubeconfig).env("HOME", scratch.path());
        for variable in [
            "KUBERNETES_SERVICE_HOST",
            "POD_NAMESPACE",
            "RUST_LOG",
            "VOLGATE_FAILPOINT",
            "VOLGATE_CLOCK_SHIFT",
            "HTTPS_PROXY",
            "https_proxy",
        ] {
            command.env_remove(variable);
        }
        command.envs(environment.iter().copied());
        let process = Process::spawn("provisioner", &command, &scratch.path().join("log")).unwrap();
        Self { process, health, _scratch: scratch }
    }

    /// What it answers on the health port; an error while nobody listens.
    pub(crate) async fn health(&self, path: &str) -> Result<(u16, String), String> {
        ask(self.health, path).await
    }

    pub(crate) async fn metric(&self, line: &str) -> Option<f64> {
        let (_, text) = self.health("/metrics").await.ok()?;
        text.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok())
    }

    /// What the kernel says of the memory that it has and had.
    pub(crate) fn memory(&self) -> String {
        let listens = self.health.to_string();
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let ours = processes.filter(|process| {
            let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            !line.starts_with("sh ") && line.contains("provisioner") && line.contains(&listens)
        });
        let status =
            |process: std::fs::DirEntry| std::fs::read_to_string(process.path().join("status")).unwrap();
        let text = ours.map(status).next().unwrap();
        text.lines()
            .filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"))
            .collect::<Vec<_>>()
            .join(", ")
    }

    pub(crate) async fn leads(&self) {
        wait_until("it leads", LIMIT, async || match self.metric("volgate_provisioner_leader").await {
            Some(1.0) => Ok(()),
            seen => Err(format!("{seen:?}\n{}", self.process.log_tail(10))),
        })
        .await;
    }
}

/// What a played agent does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Manner {
    Makes,
    Refuses,
    Fails(String),
    Silent,
}

/// An agent that the test plays: it keeps no data, but a record of what would be on its disk.
pub(crate) struct Agent {
    pub(crate) node: String,
    client: kube::Client,
    manner: Arc<Mutex<Manner>>,
    disk: Arc<Mutex<BTreeMap<String, String>>>,
    task: JoinHandle<()>,
}

impl Agent {
    /// Plays the agent of a node that exists; its one base has `available` bytes.
    pub(crate) async fn start(cluster: &Cluster, node: &str, available: i64) -> Self {
        let client = cluster.client(ADMIN);
        let found = Api::<k8s_openapi::api::core::v1::Node>::all(client.clone()).get(node).await.unwrap();
        let uid = found.metadata.uid.unwrap();
        let (manner, disk) = (Arc::new(Mutex::new(Manner::Makes)), Arc::default());
        let task = tokio::spawn(play(client.clone(), node.to_owned(), manner.clone(), Arc::clone(&disk)));
        let agent = Self { node: node.to_owned(), manner, disk, task, client };
        let storages: Api<DynamicObject> = Api::all_with(agent.client.clone(), &node_storages());
        let storage = json!({"apiVersion": "volgate.dev/v1alpha1", "kind": "NodeStorage",
            "metadata": {"name": node, "labels": {"volgate.dev/node": node}}, "spec": {"node": node, "nodeUid": uid}});
        storages.create(&PostParams::default(), &serde_json::from_value(storage).unwrap()).await.unwrap();
        agent.has(available, &["directory", "loop", "btrfs"]).await;
        agent
    }

    /// Tells of its base.
    pub(crate) async fn has(&self, available: i64, backends: &[&str]) {
        let storages: Api<DynamicObject> = Api::all_with(self.client.clone(), &node_storages());
        let status = json!({"status": {"bases": [{"path": BASE, "usable": true, "filesystem": "ext4",
            "capacityBytes": 1_i64 << 40, "availableBytes": available, "backends": backends}]}});
        storages.patch_status(&self.node, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    }

    pub(crate) fn set(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    /// What is on its disk: directories by volume.
    pub(crate) fn disk(&self) -> BTreeMap<String, String> {
        self.disk.lock().unwrap().clone()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn play(
    client: kube::Client,
    node: String,
    manner: Arc<Mutex<Manner>>,
    disk: Arc<Mutex<BTreeMap<String, String>>>,
) {
    use futures::StreamExt;
    let volumes: Api<DynamicObject> = Api::all_with(client, &node_volumes());
    loop {
        // Short watches: a manner that is set is followed soon, whether anything changes or not.
        let mut params = WatchParams::default().labels(&format!("volgate.dev/node={node}"));
        params.timeout = Some(1);
        if let Ok(list) =
            volumes.list(&ListParams::default().labels(&format!("volgate.dev/node={node}"))).await
        {
            for volume in &list.items {
                answer(&volumes, volume, &manner, &disk).await;
            }
            let version = list.metadata.resource_version.unwrap_or_default();
            if let Ok(stream) = volumes.watch(&params, &version).await {
                let mut stream = std::pin::pin!(stream);
                while let Some(event) = stream.next().await {
                    if let Ok(WatchEvent::Added(volume) | WatchEvent::Modified(volume)) = event {
                        answer(&volumes, &volume, &manner, &disk).await;
                    }
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn answer(
    volumes: &Api<DynamicObject>,
    volume: &DynamicObject,
    manner: &Mutex<Manner>,
    disk: &Mutex<BTreeMap<String, String>>,
) {
    let name = volume.metadata.name.clone().unwrap();
    let generation = volume.metadata.generation;
    let spec = &volume.data["spec"];
    let directory = spec["directory"].as_str().unwrap().to_owned();
    let path = if spec["backend"] == "loop" {
        format!("/dev/volgate/{name}")
    } else {
        format!("{}/{directory}", spec["base"].as_str().unwrap())
    };
    let manner = manner.lock().unwrap().clone();
    let status = match (&manner, spec["desired"].as_str()) {
        (Manner::Silent, _) => return,
        (Manner::Fails(why), _) => {
            json!({"phase": "Pending", "reason": "IOError", "message": why, "observedGeneration": generation})
        }
        (_, Some("Absent")) => {
            disk.lock().unwrap().remove(&name);
            json!({"phase": "Removed", "observedGeneration": generation})
        }
        (Manner::Refuses, _) => json!({"phase": "Refused", "reason": "NotEnoughSpace",
            "message": "0 bytes are left", "observedGeneration": generation}),
        (Manner::Makes, _) => {
            disk.lock().unwrap().insert(name.clone(), directory);
            json!({"phase": "Ready", "path": path, "sizeBytes": spec["sizeBytes"], "observedGeneration": generation})
        }
    };
    let known = &volume.data["status"];
    let same = status.as_object().unwrap().iter().all(|(key, value)| known[key] == *value);
    if !same {
        let patch = json!({"metadata": {"uid": volume.metadata.uid}, "status": status});
        let _ = volumes.patch_status(&name, &PatchParams::default(), &Patch::Merge(patch)).await;
    }
}

/// Objects of a test, by kubectl's words for them.
pub(crate) struct Objects<'a> {
    pub(crate) client: kube::Client,
    pub(crate) namespace: &'a str,
}

impl<'a> Objects<'a> {
    pub(crate) async fn new(cluster: &Cluster, namespace: &'a str) -> Self {
        cluster.namespace(namespace, &[]).await;
        Self { client: cluster.client(ADMIN), namespace }
    }

    pub(crate) fn api(&self, kind: &str) -> Api<DynamicObject> {
        let (group, version, plural, namespaced) = match kind {
            "Pod" => ("", "v1", "pods", true),
            "PersistentVolumeClaim" => ("", "v1", "persistentvolumeclaims", true),
            "PersistentVolume" => ("", "v1", "persistentvolumes", false),
            "Node" => ("", "v1", "nodes", false),
            "StorageClass" => ("storage.k8s.io", "v1", "storageclasses", false),
            "CSIStorageCapacity" => ("storage.k8s.io", "v1", "csistoragecapacities", false),
            "CSIDriver" => ("storage.k8s.io", "v1", "csidrivers", false),
            "NodeVolume" => ("volgate.dev", "v1alpha1", "nodevolumes", false),
            "NodeStorage" => ("volgate.dev", "v1alpha1", "nodestorages", false),
            other => panic!("{other}"),
        };
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
        if namespaced {
            Api::namespaced_with(self.client.clone(), self.namespace, &resource)
        } else {
            Api::all_with(self.client.clone(), &resource)
        }
    }

    pub(crate) async fn create(&self, object: Value) -> Value {
        let api = self.api(object["kind"].as_str().unwrap());
        let created =
            api.create(&PostParams::default(), &serde_json::from_value(object.clone()).unwrap()).await;
        serde_json::to_value(created.unwrap_or_else(|error| panic!("{error}: {object}"))).unwrap()
    }

    pub(crate) async fn merge(&self, kind: &str, name: &str, patch: Value) {
        let api = self.api(kind);
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    pub(crate) async fn merge_status(&self, kind: &str, name: &str, patch: Value) {
        let api = self.api(kind);
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    pub(crate) async fn delete(&self, kind: &str, name: &str) {
        self.api(kind)
            .delete(name, &DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() })
            .await
            .unwrap();
    }

    /// The object; null when there is none.
    pub(crate) async fn get(&self, kind: &str, name: &str) -> Value {
        let found = self.api(kind).get_opt(name).await.unwrap();
        found.map_or(Value::Null, |object| serde_json::to_value(object).unwrap())
    }

    /// All of the test's namespace, or of the cluster.
    pub(crate) async fn list(&self, kind: &str) -> Vec<Value> {
        let list = self.api(kind).list(&ListParams::default()).await.unwrap();
        list.items.into_iter().map(|object| serde_json::to_value(object).unwrap()).collect()
    }

    /// Waits until what the scheduler is told of a class is so: by hostname, how many bytes.
    pub(crate) async fn capacities(&self, class: &str, wanted: &[(&str, i64)]) {
        let wanted: BTreeMap<String, String> =
            wanted.iter().map(|(node, bytes)| ((*node).to_owned(), bytes.to_string())).collect();
        wait_until(&format!("the capacities of {class} are {wanted:?}"), LIMIT, async || {
            let of_class = |object: &Value| object["storageClassName"] == class;
            let all = self.list("CSIStorageCapacity").await.into_iter().filter(of_class);
            let seen: Vec<(String, String)> = all
                .map(|object| {
                    assert_eq!(object["metadata"]["namespace"], "volgate-system");
                    let hostname = &object["nodeTopology"]["matchLabels"]["kubernetes.io/hostname"];
                    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                    (text(hostname), text(&object["capacity"]))
                })
                .collect();
            let right =
                seen.len() == wanted.len() && seen.iter().cloned().collect::<BTreeMap<_, _>>() == wanted;
            if right { Ok(()) } else { Err(format!("{seen:?}")) }
        })
        .await;
    }

    pub(crate) async fn until(
        &self,
        what: &str,
        kind: &str,
        name: &str,
        holds: impl Fn(&Value) -> bool,
    ) -> Value {
        wait_until(what, LIMIT, async || {
            let found = self.get(kind, name).await;
            if holds(&found) {
                Ok(found)
            } else {
                Err(format!("{found}\n{}", self.events(name).await.join("\n")))
            }
        })
        .await
    }

    pub(crate) async fn gone(&self, kind: &str, name: &str) {
        self.until(&format!("{kind} {name} is gone"), kind, name, Value::is_null).await;
    }

    /// A class of volgate's with these further fields; `name` is also its own.
    pub(crate) async fn class(&self, name: &str, further: Value) {
        let mut class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name},
            "provisioner": "local-path.volgate.dev", "volumeBindingMode": "WaitForFirstConsumer",
            "allowVolumeExpansion": true});
        class.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
        self.create(class).await;
    }

    /// A claim of 1Gi with these further fields of its spec; its uid.
    pub(crate) async fn claim(&self, name: &str, class: &str, further: Value) -> String {
        let mut spec = json!({"accessModes": ["ReadWriteOnce"], "storageClassName": class,
            "resources": {"requests": {"storage": "1Gi"}}});
        spec.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
        let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec});
        self.create(claim).await["metadata"]["uid"].as_str().unwrap().to_owned()
    }

    /// A pod that uses a claim, on a node or wherever.
    pub(crate) async fn pod(&self, name: &str, claim: &str, hostname: Option<&str>) {
        let selector = hostname.map(|hostname| json!({"kubernetes.io/hostname": hostname}));
        self.create(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {
            "nodeSelector": selector,
            "containers": [{"name": "c", "image": "i", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
            "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]}}))
            .await;
    }

    /// The claim, once it is bound.
    pub(crate) async fn bound(&self, claim: &str) -> Value {
        self.until(&format!("claim {claim} is bound"), "PersistentVolumeClaim", claim, |found| {
            found["status"]["phase"] == "Bound"
        })
        .await
    }

    /// The events about an object of the namespace, or about a volume: reason and message.
    pub(crate) async fn events(&self, name: &str) -> Vec<String> {
        let mut all = Vec::new();
        for namespace in [self.namespace, "default"] {
            let events: Api<k8s_openapi::api::events::v1::Event> =
                Api::namespaced(self.client.clone(), namespace);
            for event in events.list(&ListParams::default()).await.unwrap() {
                if event.regarding.and_then(|object| object.name).as_deref() == Some(name) {
                    let (reason, note) = (event.reason.unwrap_or_default(), event.note.unwrap_or_default());
                    all.push(format!("{reason}: {note}"));
                }
            }
        }
        all
    }

    pub(crate) async fn told(&self, name: &str, words: &str) {
        wait_until(&format!("an event about {name} says {words:?}"), LIMIT, async || {
            let all = self.events(name).await;
            if all.iter().any(|event| event.contains(words)) { Ok(()) } else { Err(all.join("\n")) }
        })
        .await;
    }
}
