//! The policy reports, the provisioner and its agents.

use super::fields::{items, text};
use super::judge::Part;
use super::{Diagnosis, Installation};
use crate::cluster::NO_REPORT_API;
use crate::model::PROVISIONER;
use serde_json::Value;

/// How many objects of one kind are named at most.
const MOST: usize = 10;
/// The provisioner whose place volgate can take.
const TAKEN_OVER: &str = "rancher.io/local-path";

impl Installation {
    /// Whether a workload of that name is there at all: an installation may leave a part out.
    fn has(seen: &super::Seen, name: &str) -> bool {
        let list = seen.as_ref().ok().and_then(Option::as_ref);
        items(list).any(|object| text(object, "/metadata/name") == name)
    }

    /// Policy reports; nothing where they are not installed.
    pub(super) fn reports(&self) -> Vec<Diagnosis> {
        if !Self::has(&self.deployments, "volgate-reports") {
            return Vec::new();
        }
        let mut part = Part::new("reports");
        self.rollout(&mut part, &self.deployments, "Deployment", "volgate-reports");
        let mut written = "";
        match self.report_apis.as_deref() {
            Err(why) => part.warning(
                format!("it is not known whether the cluster has an API for policy reports: {why}"),
                "run `volgate doctor` with the rights of an administrator",
            ),
            Ok([]) => part.fault(
                format!("no report is written: {NO_REPORT_API}"),
                "install one of them (docs/audit.md, Policy reports)",
            ),
            Ok([first, ..]) => written = first,
        }
        part.end(|| format!("policy reports of {written} are written"))
    }

    pub(super) fn provisioner(&self) -> Vec<Diagnosis> {
        let mut part = Part::new("provisioner");
        if self.deployments.is_ok() && !Self::has(&self.deployments, "volgate-provisioner") {
            return part.end(|| "not installed".to_owned());
        }
        self.rollout(&mut part, &self.deployments, "Deployment", "volgate-provisioner");
        if let Some(classes) = part.read("the StorageClasses", &self.classes) {
            let of = |name: &str| items(classes).any(|class| text(class, "/provisioner") == name);
            if !of(PROVISIONER) && !of(TAKEN_OVER) {
                part.warning(
                    format!("no StorageClass has the provisioner {PROVISIONER}, so that no claim asks for its volumes"),
                    "`kubectl apply -f manifests/class.yaml`, or the chart's storageClass.create",
                );
            }
        }
        if let Some(volumes) = part.read("the NodeVolumes", &self.node_volumes) {
            let lost = items(volumes)
                .filter(|volume| ["Refused", "Lost"].contains(&text(volume, "/status/phase")))
                .take(MOST);
            for volume in lost {
                let (name, phase) = (text(volume, "/metadata/name"), text(volume, "/status/phase"));
                let claim =
                    format!("{}/{}", text(volume, "/spec/claim/namespace"), text(volume, "/spec/claim/name"));
                let message = format!(
                    "NodeVolume {name} of claim {claim} on node {} is {phase}: {}",
                    text(volume, "/spec/node"),
                    text(volume, "/status/message")
                );
                part.warning(message, "docs/troubleshooting.md, A volume is Refused or Lost");
            }
        }
        part.end(|| "the controller is ready, and no volume is lost".to_owned())
    }

    pub(super) fn agents(&self) -> Vec<Diagnosis> {
        let mut part = Part::new("agents");
        if self.daemon_sets.is_ok() && !Self::has(&self.daemon_sets, "volgate-agent") {
            return part.end(|| "not installed".to_owned());
        }
        self.rollout(&mut part, &self.daemon_sets, "DaemonSet", "volgate-agent");
        let storages = part.read("the NodeStorages", &self.node_storages);
        if let Some(nodes) = part.read("the Nodes", &self.nodes)
            && let Some(storages) = storages
        {
            let linux = items(nodes)
                .filter(|node| ["", "linux"].contains(&text(node, "/metadata/labels/kubernetes.io~1os")));
            let without: Vec<&str> = linux
                .map(|node| text(node, "/metadata/name"))
                .filter(|node| !items(storages).any(|storage| text(storage, "/spec/node") == *node))
                .collect();
            if !without.is_empty() {
                let named: Vec<&str> = without.iter().copied().take(MOST).collect();
                part.warning(
                    format!(
                        "{} nodes have no NodeStorage, so that no volume is made there: {}",
                        without.len(),
                        named.join(", ")
                    ),
                    format!(
                        "`kubectl -n {} get pods -l app.kubernetes.io/name=volgate-agent -o wide`",
                        self.namespace
                    ),
                );
            }
            let bases = items(storages).flat_map(|storage| {
                let bases = storage.pointer("/status/bases").and_then(Value::as_array).into_iter().flatten();
                bases.map(move |base| (text(storage, "/spec/node"), base))
            });
            let unusable = bases.filter(|(_, base)| base.get("usable") == Some(&Value::Bool(false)));
            for (node, base) in unusable.take(MOST) {
                part.fault(
                    format!(
                        "base {} of node {node} cannot be used: {}",
                        text(base, "/path"),
                        text(base, "/message")
                    ),
                    "docs/troubleshooting.md, A base cannot be used",
                );
            }
        }
        part.end(|| "every node has an agent, and every base can be used".to_owned())
    }
}
