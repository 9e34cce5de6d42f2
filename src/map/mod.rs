//! The storage map: which node, disk and volume holds the data of which workload, and what an event would do to it. Pure: objects
//! go into a [`Builder`], and a [`StorageMap`] comes out, which is shown as JSON or as one HTML page.

mod builder;
mod event;
mod html;
mod paths;
mod scheduling;
mod sites;
#[cfg(test)]
mod tests;
mod what_if;

pub use builder::Builder;
pub use event::{Event, EventKind};
pub use html::{MOST_BYTES, html};
pub use what_if::{LostData, PodGroup, WhatIf};

use crate::facts::{ClaimFacts, VolumeFacts};
use crate::model::{BaseStatus, Durability, ObjectRef};
use crate::verdict::Action;
use scheduling::Scheduling;
use serde::Serialize;
use sites::Sites;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is known of a cluster's storage, or of what manifests ask for.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StorageMap {
    /// The nodes, by name.
    pub nodes: Vec<MapNode>,
    /// The classes, by name.
    pub classes: Vec<MapClass>,
    /// The volumes, by name.
    pub volumes: Vec<MapVolume>,
    /// The claims, by namespace and name.
    pub claims: Vec<MapClaim>,
    /// The workloads, those first whose data is lost soonest.
    pub workloads: Vec<MapWorkload>,
    /// What was found in claims, volumes and classes.
    pub findings: Vec<ObjectFinding>,
    /// What a reader should know: what could not be read, and what is assumed.
    pub notes: Vec<String>,
    #[serde(skip)]
    sites: Sites,
    /// Where each claim stands in `claims`.
    #[serde(skip)]
    claim_at: BTreeMap<(String, String), usize>,
}

/// A node.
#[derive(Debug, Default, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MapNode {
    /// Its name.
    pub name: String,
    /// Its zone, by the label `topology.kubernetes.io/zone`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Whether there is such a Node object; if not, a volume or a pod names it alone.
    pub exists: bool,
    /// Whether it says that it is ready.
    pub ready: bool,
    /// Whether it takes no new pods.
    pub cordoned: bool,
    /// The directories in which volgate's agent makes volumes.
    pub bases: Vec<BaseStatus>,
    /// Its labels.
    #[serde(skip)]
    labels: BTreeMap<String, String>,
    #[serde(skip)]
    taints: Vec<scheduling::Taint>,
}

/// A class.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MapClass {
    /// Its name.
    pub name: String,
    /// Who makes its volumes.
    pub provisioner: String,
    /// Delete or Retain.
    pub reclaim_policy: &'static str,
    /// Whether it is the cluster's default.
    pub is_default: bool,
}

/// A volume.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MapVolume {
    /// Its name.
    pub name: String,
    /// Its size, as it says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// What backs it, and where: `local /data/v1`, `csi ebs.csi.aws.com`.
    pub kind: String,
    /// Its class; empty for none.
    pub class: String,
    /// What happens when its claim goes.
    pub reclaim_policy: &'static str,
    /// The nodes that can use it; none means any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Vec<String>>,
    /// Whether its data lies on a node's own disk.
    pub local: bool,
    /// `namespace/name` of the claim that it is bound to or kept for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim: Option<String>,
    /// Whether nothing uses it: free, or its claim has gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orphan: Option<&'static str>,
    #[serde(skip)]
    facts: Arc<VolumeFacts>,
    #[serde(skip)]
    allowed: Option<Arc<[usize]>>,
}

/// A claim.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MapClaim {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The size of its volume, or what it asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// Its class; empty for none, absent where the cluster's default is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Its volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
    /// Whether a StatefulSet's template or a pod is yet to make it.
    pub to_come: bool,
    /// What loses its data, at the least.
    pub durability: Durability,
    /// The same at the most.
    pub at_most: Durability,
    /// How many pods use it.
    pub pods: usize,
    #[serde(skip)]
    bytes: u64,
    #[serde(skip)]
    volume_at: Option<usize>,
    #[serde(skip)]
    facts: Arc<ClaimFacts>,
}

impl MapClaim {
    /// `namespace/name`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// A workload: what makes pods, or a pod that nothing makes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MapWorkload {
    /// Which object.
    pub object: ObjectRef,
    /// The products of the catalog that keep data in it.
    pub products: Vec<String>,
    /// Where its containers can write, by pod volume.
    pub data: Vec<MapData>,
    /// Its pods.
    pub pods: Vec<MapPod>,
    /// How many more pods it is to have which are not in the input, and not in `pods`.
    pub more_pods: i64,
    /// What was found in it.
    pub findings: Vec<MapFinding>,
    #[serde(skip)]
    scheduling: Arc<Scheduling>,
}

/// One place where containers can write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MapData {
    /// The smallest thing whose end loses the data, at the least.
    pub durability: Durability,
    /// The same at the most.
    pub at_most: Durability,
    /// What backs it: `emptyDir cache`, `claim template data`, `writable layer`.
    pub backing: String,
    /// Where it is: `container:path`.
    pub paths: Vec<String>,
    /// Whose data lies there, where it is data that must last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_of: Option<String>,
    /// Whether it is certain that data which must last lies there.
    pub certain: bool,
    /// What it is for a prediction.
    #[serde(skip)]
    kind: Backing,
    /// The pod volume.
    #[serde(skip)]
    volume: Option<String>,
}

/// What backs a place, as far as a prediction asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Backing {
    /// It ends with the pod.
    Pod,
    /// A claim, which each pod names.
    Claim,
    /// A directory of the node.
    Node,
    /// Storage on the network that the pod names itself.
    Network,
    /// Not known.
    Unknown,
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MapPod {
    /// Its name.
    pub name: String,
    /// The node that it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Whether it is in the input; if not, its workload is yet to make it.
    pub exists: bool,
    /// Its claims, by pod volume.
    pub claims: BTreeMap<String, String>,
    #[serde(skip)]
    node_at: Option<usize>,
    #[serde(skip)]
    mirror: bool,
}

/// What was found in a workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MapFinding {
    /// The rule.
    pub rule: &'static str,
    /// How strict it is.
    pub action: Action,
    /// What is wrong.
    pub message: String,
    /// Why it is excused, where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excused: Option<String>,
}

/// What was found in another object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectFinding {
    /// Which object.
    pub object: ObjectRef,
    /// What was found.
    #[serde(flatten)]
    pub finding: MapFinding,
}

impl StorageMap {
    fn claim(&self, namespace: &str, name: &str) -> Option<&MapClaim> {
        self.claims.get(*self.claim_at.get(&(namespace.to_owned(), name.to_owned()))?)
    }

    fn volume_of(&self, claim: &MapClaim) -> Option<&MapVolume> {
        self.volumes.get(claim.volume_at?)
    }

    /// What an event would do.
    ///
    /// # Errors
    /// There is nothing of that name on the map.
    pub fn what_if(&self, event: &Event) -> Result<WhatIf, String> {
        what_if::what_if(self, event)
    }

    /// The map and what events would do, as JSON. The form is documented in `docs/map.md`.
    ///
    /// # Errors
    /// It cannot be written, which no map is known to lead to.
    pub fn json(&self, events: &[WhatIf]) -> serde_json::Result<String> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Whole<'m> {
            what_if: &'m [WhatIf],
            #[serde(flatten)]
            map: &'m StorageMap,
        }
        serde_json::to_string_pretty(&Whole { what_if: events, map: self })
    }
}
