//! What an event would do: which data is lost or out of reach, and what becomes of the pods. A node that is lost does not come back,
//! and its Node object is deleted, so that its pods are made again elsewhere. What does not fit by CPU or memory is not foreseen.

mod data;
mod outcome;

use super::scheduling::Scheduling;
use super::{Backing, Event, EventKind, MapClaim, MapPod, MapWorkload, StorageMap};
use crate::facts::WorkloadKind;
use crate::model::{Durability, Effort, ObjectRef, did_you_mean};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// What an event would do.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WhatIf {
    /// The event, as on the command line: `node=n1`.
    pub event: String,
    /// What is supposed to happen.
    pub supposes: String,
    /// Data that is lost.
    pub lost: Vec<LostData>,
    /// Data of which it is not known whether it is lost.
    pub may_be_lost: Vec<LostData>,
    /// Data that is kept, and that nothing can use until somebody acts.
    pub out_of_reach: Vec<LostData>,
    /// How many bytes of claims are lost at the most: the sizes of their volumes.
    pub lost_bytes: u64,
    /// Pods that are made again and cannot start.
    pub stranded: Vec<PodGroup>,
    /// Pods that start again without what they had written, or a part of it.
    pub back_empty: Vec<PodGroup>,
    /// Pods that start again with their data, or had none.
    pub back: Vec<PodGroup>,
    /// Pods that nothing makes again.
    pub gone: Vec<PodGroup>,
    /// Pods of which it is not known whether the event meets them.
    pub unknown: Vec<PodGroup>,
    /// Workloads that the event does not touch.
    pub untouched: Vec<ObjectRef>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// Data that an event meets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LostData {
    /// What holds it: `claim shop/data-redis-0`, `volume pv-1`, `emptyDir cache`.
    pub what: String,
    /// The volume behind a claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
    /// How much that may be, as the volume or claim says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// The workload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<ObjectRef>,
    /// Its pods.
    pub pods: Vec<String>,
    /// Whose data it is, where it is data that must last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_of: Option<String>,
    /// Why.
    pub why: String,
}

/// Pods of one workload that an event does the same to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodGroup {
    /// The workload.
    pub workload: ObjectRef,
    /// The pods.
    pub pods: Vec<String>,
    /// The products whose data they keep.
    pub products: Vec<String>,
    /// Why.
    pub why: String,
}

/// What becomes of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Stranded,
    BackEmpty,
    Back,
    Gone,
    Unknown,
}

/// What becomes of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum VolumeFate {
    Kept,
    Lost,
    MayBeLost,
    /// Kept, and no node that is left can use it.
    OutOfReach,
}

/// A pod that uses a claim: its workload, the pod, and its pod volume.
type User<'m> = (&'m MapWorkload, &'m MapPod, &'m str);

/// How many nodes are held against what pods ask, requirements counted as well.
const MOST_COMPARED: usize = 20_000_000;

pub(super) fn what_if(map: &StorageMap, event: &Event) -> Result<WhatIf, String> {
    let mut run = Run::new(map, event)?;
    run.volumes();
    let mut untouched = Vec::new();
    for workload in &map.workloads {
        if !run.workload(workload) {
            untouched.push(workload.object.clone());
        }
    }
    Ok(run.finish(untouched))
}

struct Run<'m> {
    map: &'m StorageMap,
    kind: EventKind,
    result: WhatIf,
    /// The nodes that the event takes away, by index.
    away: Vec<bool>,
    /// Whether their disks go with them.
    disks: bool,
    /// The nodes on which pods of a local volume without one certain node ran, by volume.
    used_on: HashMap<usize, BTreeSet<usize>>,
    fates: Vec<VolumeFate>,
    /// The claim that is deleted, by index.
    claim: Option<usize>,
    /// The class whose storage is lost.
    class: Option<&'m str>,
    has_nodes: bool,
    effort: Effort,
    feasible: HashMap<Arc<Scheduling>, Option<Arc<[usize]>>>,
    pods: BTreeMap<Outcome, Vec<PodGroup>>,
}

impl<'m> Run<'m> {
    fn new(map: &'m StorageMap, event: &Event) -> Result<Self, String> {
        let name = event.name.as_str();
        let unknown = |what: &str, known: &mut dyn Iterator<Item = &str>| {
            let known: Vec<&str> = known.collect();
            let meant = did_you_mean(name, &known).map(|meant| format!(": {meant}"));
            format!("there is no {what} {name} on the map{}", meant.unwrap_or_default())
        };
        let mut away = vec![false; map.nodes.len()];
        let (mut claim, mut class) = (None, None);
        let supposes = match event.kind {
            EventKind::Node | EventKind::Drain => {
                let at = map.sites.named(name);
                let at =
                    at.ok_or_else(|| unknown("node", &mut map.nodes.iter().map(|it| it.name.as_str())))?;
                away.iter_mut().skip(at).take(1).for_each(|node| *node = true);
                match event.kind {
                    EventKind::Node => format!(
                        "Node {name} is lost with its disks and does not come back; its Node object is deleted, so that its pods are made again elsewhere."
                    ),
                    _ => format!(
                        "Node {name} is drained with --delete-emptydir-data and --force: its pods are evicted, it takes no new ones, and its disks stay."
                    ),
                }
            }
            EventKind::Zone => {
                for (away, node) in away.iter_mut().zip(&map.nodes) {
                    *away = node.zone.as_deref() == Some(name);
                }
                if !away.contains(&true) {
                    let mut zones = map.nodes.iter().filter_map(|node| node.zone.as_deref());
                    return Err(unknown("zone", &mut zones));
                }
                let count = away.iter().filter(|away| **away).count();
                let nodes = match count {
                    1 => {
                        format!("The only node of zone {name} is lost with its disks and does not come back")
                    }
                    _ => format!(
                        "All {count} nodes of zone {name} are lost with their disks and do not come back"
                    ),
                };
                format!("{nodes}; storage outside the nodes is kept.")
            }
            EventKind::Claim => {
                let at = map.claims.iter().position(|claim| claim.full_name() == name);
                let names: Vec<String> = map.claims.iter().map(MapClaim::full_name).collect();
                let at = at.ok_or_else(|| unknown("claim", &mut names.iter().map(String::as_str)))?;
                claim = Some(at);
                format!(
                    "Claim {name} is deleted, and the pods that use it are made again. (A claim in use is deleted once its last pod has ended.)"
                )
            }
            EventKind::Class => {
                let known = map.classes.iter().map(|class| class.name.as_str());
                let known = known.chain(map.volumes.iter().map(|volume| volume.class.as_str()));
                let mut known = known.chain(map.claims.iter().filter_map(|claim| claim.class.as_deref()));
                let found = known.clone().find(|known| *known == name);
                class = Some(found.ok_or_else(|| unknown("class", &mut known))?);
                format!(
                    "The storage behind class {name} is lost for good, and the pods that use it are made again. (Deleting the StorageClass object alone touches no volume; claims that are not bound yet would wait for it.)"
                )
            }
        };
        let result = WhatIf { event: event.to_string(), supposes, ..WhatIf::default() };
        let has_nodes = map.nodes.iter().any(|node| node.exists);
        Ok(Self {
            map,
            kind: event.kind,
            result,
            away,
            disks: matches!(event.kind, EventKind::Node | EventKind::Zone),
            used_on: HashMap::new(),
            fates: Vec::new(),
            claim,
            class,
            has_nodes,
            effort: Effort::new(MOST_COMPARED),
            feasible: HashMap::new(),
            pods: BTreeMap::new(),
        })
    }

    fn is_away(&self, at: usize) -> bool {
        self.away.get(at).copied().unwrap_or_default()
    }

    /// What becomes of a workload's pods; whether the event touches one.
    fn workload(&mut self, workload: &'m MapWorkload) -> bool {
        let namespace = workload.object.namespace.as_deref().unwrap_or_default();
        let mut groups: BTreeMap<(Outcome, String), Vec<String>> = BTreeMap::new();
        let mut lost: BTreeMap<(String, Option<String>, String), Vec<String>> = BTreeMap::new();
        // The nodes that the pods which stay, or were put somewhere, are on.
        let mut occupied: BTreeSet<usize> = BTreeSet::new();
        let only_away = workload.pods.iter().any(|pod| pod.node_at.is_none()) && self.only_away(workload);
        let met: Vec<bool> = workload.pods.iter().map(|pod| self.meets(workload, pod, only_away)).collect();
        for (pod, met) in workload.pods.iter().zip(&met) {
            if let Some(node) = pod.node_at.filter(|_| !met) {
                occupied.insert(node);
            }
        }
        for (pod, _) in workload.pods.iter().zip(&met).filter(|(_, met)| **met) {
            let claims: Vec<&'m MapClaim> =
                pod.claims.values().filter_map(|name| self.map.claim(namespace, name)).collect();
            let mut is_empty = false;
            for place in &workload.data {
                if let Some(why) = self.loses(pod, place.kind, place.durability) {
                    is_empty = true;
                    let key = (place.backing.clone(), place.data_of.clone(), why.to_owned());
                    lost.entry(key).or_default().push(pod.name.clone());
                }
            }
            let (outcome, why) = self.outcome(workload, pod, &claims, is_empty, &mut occupied);
            groups.entry((outcome, why)).or_default().push(pod.name.clone());
        }
        for ((what, data_of, why), pods) in lost {
            let data = LostData {
                what,
                volume: None,
                size: None,
                workload: Some(workload.object.clone()),
                pods,
                data_of,
                why,
            };
            let is_kept = self.kind == EventKind::Drain && data.what.starts_with("hostPath");
            self.file(if is_kept { VolumeFate::OutOfReach } else { VolumeFate::Lost }, data);
        }
        let is_touched = met.contains(&true);
        for ((outcome, why), pods) in groups {
            let group = PodGroup {
                workload: workload.object.clone(),
                pods,
                products: workload.products.clone(),
                why,
            };
            self.pods.entry(outcome).or_default().push(group);
        }
        is_touched
    }

    /// Whether the event ends the pod, or takes away what it uses. `only_away`: whether it can run on no node that is left.
    fn meets(&self, workload: &MapWorkload, pod: &MapPod, only_away: bool) -> bool {
        let namespace = workload.object.namespace.as_deref().unwrap_or_default();
        let mut claims = pod.claims.values().filter_map(|name| self.map.claim(namespace, name));
        if let Some(at) = self.claim {
            let key = self.map.claims.get(at).map(|claim| (&claim.namespace, &claim.name));
            return claims.any(|claim| Some((&claim.namespace, &claim.name)) == key);
        }
        let is_hit = |claim: &MapClaim| {
            let fate = claim.volume_at.and_then(|at| self.fates.get(at));
            fate.is_some_and(|fate| *fate != VolumeFate::Kept)
        };
        if self.class.is_some() {
            return claims.any(is_hit);
        }
        let stays = self.kind == EventKind::Drain && (pod.mirror || is_daemon(workload));
        match pod.node_at {
            Some(node) => self.is_away(node) && !stays,
            // A pod that is yet to run can run nowhere else where its volume was there.
            None => only_away || claims.any(|claim| is_hit(claim) || self.tied_away(claim)),
        }
    }

    /// Whether only nodes that are away can use the claim's volume.
    fn tied_away(&self, claim: &MapClaim) -> bool {
        let allowed = self.map.volume_of(claim).and_then(|volume| volume.allowed.as_ref());
        allowed.is_some_and(|allowed| !allowed.is_empty() && allowed.iter().all(|node| self.is_away(*node)))
    }

    /// Whether a workload asks for a node by name or label and only nodes that are away have it.
    fn only_away(&self, workload: &MapWorkload) -> bool {
        let scheduling = &workload.scheduling;
        if scheduling.is_free() || self.claim.is_some() || self.class.is_some() {
            return false;
        }
        let nodes = self.map.nodes.iter().zip(&self.away).filter(|(node, _)| node.exists);
        let cost = scheduling.size().saturating_mul(self.map.nodes.len().max(1));
        if self.effort.spend(cost).is_none() {
            return false;
        }
        let (mut any, mut left) = (false, false);
        for (node, away) in nodes {
            if scheduling.takes(node) {
                any = true;
                left |= !away;
            }
        }
        any && !left
    }

    /// Why a pod loses what it has in a place of that kind, where it does.
    fn loses(&self, pod: &MapPod, kind: Backing, durability: Durability) -> Option<&'static str> {
        match kind {
            // A pod that does not run yet has written nothing.
            Backing::Pod if pod.node_at.is_some() => Some(match durability {
                Durability::Container => "it is in the container's writable layer, which ends with the pod",
                Durability::Memory => "it is in memory, and ends with the pod",
                _ => "it ends with the pod",
            }),
            Backing::Node if pod.node_at.is_some_and(|node| self.is_away(node)) => Some(match self.disks {
                true => "it is a directory of the lost node",
                false => "it stays on the drained node, out of sight of the pod that is made elsewhere",
            }),
            _ => None,
        }
    }

    fn finish(mut self, untouched: Vec<ObjectRef>) -> WhatIf {
        let map = self.map;
        let mut users: HashMap<(&str, &str), Vec<User<'m>>> = HashMap::new();
        for workload in &map.workloads {
            let namespace = workload.object.namespace.as_deref().unwrap_or_default();
            for pod in &workload.pods {
                for (volume, claim) in &pod.claims {
                    users.entry((namespace, claim)).or_default().push((workload, pod, volume));
                }
            }
        }
        for (at, claim) in map.claims.iter().enumerate() {
            let key = (claim.namespace.as_str(), claim.name.as_str());
            let users = users.get(&key).map_or(&[][..], Vec::as_slice);
            let Some((fate, why)) = self.claim_fate(at, claim, users) else { continue };
            let first = users.first();
            let data_of = users.iter().find_map(|(workload, _, volume)| {
                let place = workload.data.iter().find(|place| place.volume.as_deref() == Some(volume));
                place.and_then(|place| place.data_of.clone())
            });
            if fate == VolumeFate::Lost {
                self.result.lost_bytes = self.result.lost_bytes.saturating_add(claim.bytes);
            }
            let data = LostData {
                what: format!("claim {}", claim.full_name()),
                volume: claim.volume.clone(),
                size: claim.size.clone(),
                workload: first.map(|(workload, _, _)| workload.object.clone()),
                pods: users.iter().map(|(_, pod, _)| pod.name.clone()).collect(),
                data_of,
                why,
            };
            self.file(fate, data);
        }
        let mut result = self.result;
        for list in [&mut result.lost, &mut result.may_be_lost, &mut result.out_of_reach] {
            list.sort_by_cached_key(|data| (data.data_of.is_none(), data.clone()));
        }
        let mut of = |outcome| self.pods.remove(&outcome).unwrap_or_default();
        result.stranded = of(Outcome::Stranded);
        result.back_empty = of(Outcome::BackEmpty);
        result.back = of(Outcome::Back);
        result.gone = of(Outcome::Gone);
        result.unknown = of(Outcome::Unknown);
        result.untouched = untouched;
        let without_node = map.workloads.iter().flat_map(|workload| &workload.pods);
        let without_node = without_node.filter(|pod| pod.node.is_none()).count();
        if without_node > 0 && self.class.is_none() && self.claim.is_none() {
            result.notes.push(format!(
                "pods without a node in the input: {without_node}; they count as touched only where a volume or a label ties them to what is away"
            ));
        }
        if !self.has_nodes && self.class.is_none() && self.claim.is_none() {
            result.notes.push("no Node is in the input: pods are supposed to find another node".to_owned());
        }
        result
            .notes
            .push("CPU, memory, host ports and affinities to other pods are not looked at.".to_owned());
        result
    }
}

fn workload_kind(workload: &MapWorkload) -> Option<WorkloadKind> {
    let group = workload.object.api_version.split_once('/').map_or("", |(group, _)| group);
    WorkloadKind::of(group, &workload.object.kind)
}

fn is_daemon(workload: &MapWorkload) -> bool {
    workload_kind(workload) == Some(WorkloadKind::DaemonSet)
}

/// Whether it is a pod that nothing makes.
fn is_bare(workload: &MapWorkload) -> bool {
    workload_kind(workload) == Some(WorkloadKind::Pod)
}

/// How much a prediction compares.
#[cfg(test)]
pub(super) fn steps(map: &StorageMap, event: &Event) -> usize {
    let mut run = Run::new(map, event).unwrap();
    run.volumes();
    for workload in &map.workloads {
        run.workload(workload);
    }
    MOST_COMPARED - run.effort.left()
}
