//! What becomes of volumes and claims.

use super::super::{EventKind, MapClaim, MapPod, MapWorkload};
use super::{LostData, Run, VolumeFate, is_daemon};
use crate::model::Quantity;
use std::collections::BTreeSet;

impl Run<'_> {
    /// What becomes of each volume; those that no claim holds are told at once.
    pub(super) fn volumes(&mut self) {
        let map = self.map;
        for workload in &map.workloads {
            let namespace = workload.object.namespace.as_deref().unwrap_or_default();
            for pod in &workload.pods {
                let Some(node) = pod.node_at else { continue };
                for claim in pod.claims.values().filter_map(|name| map.claim(namespace, name)) {
                    if let Some(volume) = claim.volume_at {
                        self.used_on.entry(volume).or_default().insert(node);
                    }
                }
            }
        }
        self.fates = (0..map.volumes.len()).map(|at| self.volume_fate(at)).collect();
        let claimed: BTreeSet<usize> = map.claims.iter().filter_map(|claim| claim.volume_at).collect();
        for (at, volume) in map.volumes.iter().enumerate() {
            // What is free on a drained node comes back with it.
            if claimed.contains(&at) || self.kind == EventKind::Drain {
                continue;
            }
            let Some(fate) = self.fates.get(at).copied() else { continue };
            let why = match volume.orphan {
                Some("released") => "its claim has gone, and what it wrote is still there",
                Some(_) => "no claim has taken it: it holds no data of a claim",
                None => "its claim is not on the map",
            };
            let data = LostData {
                what: format!("volume {}", volume.name),
                volume: Some(volume.name.clone()),
                size: volume.size.clone(),
                workload: None,
                pods: Vec::new(),
                data_of: None,
                why: why.to_owned(),
            };
            if fate == VolumeFate::Lost && volume.orphan != Some("available") {
                let size = volume.facts.capacity.as_ref().map_or(0, Quantity::value);
                self.result.lost_bytes =
                    self.result.lost_bytes.saturating_add(u64::try_from(size).unwrap_or_default());
            }
            self.file(fate, data);
        }
    }

    pub(super) fn file(&mut self, fate: VolumeFate, data: LostData) {
        match fate {
            VolumeFate::Kept => {}
            VolumeFate::Lost => self.result.lost.push(data),
            VolumeFate::MayBeLost => self.result.may_be_lost.push(data),
            VolumeFate::OutOfReach => self.result.out_of_reach.push(data),
        }
    }

    fn volume_fate(&self, at: usize) -> VolumeFate {
        let Some(volume) = self.map.volumes.get(at) else { return VolumeFate::Kept };
        if let Some(class) = self.class {
            return if volume.class == class { VolumeFate::Lost } else { VolumeFate::Kept };
        }
        if self.claim.is_some() {
            return VolumeFate::Kept;
        }
        let used = self.used_on.get(&at);
        let is_used_away = used.is_some_and(|nodes| nodes.iter().any(|node| self.is_away(*node)));
        let there = if self.disks { VolumeFate::Lost } else { VolumeFate::OutOfReach };
        match &volume.allowed {
            // A selector that matches no node leaves it out of reach before and after.
            Some(allowed) if !allowed.iter().any(|node| self.is_away(*node)) => VolumeFate::Kept,
            Some(allowed) => match (volume.local, allowed.iter().all(|node| self.is_away(*node))) {
                (true, true) => there,
                (true, false) if is_used_away => there,
                (true, false) if used.is_none() && self.disks => VolumeFate::MayBeLost,
                (false, true) => VolumeFate::OutOfReach,
                _ => VolumeFate::Kept,
            },
            // A directory of the node on which its pod ran.
            None if volume.local && is_used_away => there,
            None if volume.local && self.disks && used.is_none() && volume.claim.is_some() => {
                VolumeFate::MayBeLost
            }
            None => VolumeFate::Kept,
        }
    }

    /// What becomes of a claim's data, and why; nothing where it is kept in reach.
    pub(super) fn claim_fate(
        &self,
        at: usize,
        claim: &MapClaim,
        users: &[(&MapWorkload, &MapPod, &str)],
    ) -> Option<(VolumeFate, String)> {
        let is_bound = claim.volume_at.is_some() || claim.volume.is_some();
        if let Some(deleted) = self.claim {
            if deleted != at || !is_bound {
                return None;
            }
            let reclaim = self.map.volume_of(claim).map(|volume| volume.reclaim_policy);
            return Some(match reclaim {
                Some("Retain") => (
                    VolumeFate::OutOfReach,
                    "its volume is kept by its reclaim policy Retain; no claim gets it until an administrator acts".to_owned(),
                ),
                Some(policy) => (VolumeFate::Lost, format!("its volume has the reclaim policy {policy}")),
                None => (VolumeFate::MayBeLost, "the reclaim policy of its volume is not known".to_owned()),
            });
        }
        let fate = claim.volume_at.and_then(|at| self.fates.get(at)).copied().unwrap_or(VolumeFate::Kept);
        let is_evicted = |(workload, pod, _): &(&MapWorkload, &MapPod, &str)| {
            pod.node_at.is_some_and(|node| self.is_away(node))
                && !(self.kind == EventKind::Drain && (pod.mirror || is_daemon(workload)))
        };
        match fate {
            _ if claim.facts.of_pod && users.iter().any(is_evicted) => {
                Some((VolumeFate::Lost, "the claim was made for the pod, and is deleted with it".to_owned()))
            }
            VolumeFate::Lost if self.class.is_some() => {
                Some((fate, "its volume is of that class".to_owned()))
            }
            VolumeFate::Lost => Some((fate, "its volume is on a disk of the lost node".to_owned())),
            VolumeFate::MayBeLost => {
                Some((fate, "its volume may be on the lost node: more than one node can have it".to_owned()))
            }
            VolumeFate::OutOfReach if self.kind == EventKind::Drain => {
                Some((fate, "its data stays on the drained node, which takes no pods".to_owned()))
            }
            VolumeFate::OutOfReach => {
                Some((fate, "no node that is left can use its volume, which keeps the data".to_owned()))
            }
            VolumeFate::Kept => None,
        }
    }
}
