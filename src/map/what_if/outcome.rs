//! What becomes of a pod.

use super::super::scheduling::Scheduling;
use super::super::{MapClaim, MapPod, MapVolume, MapWorkload};
use super::{Outcome, Run, VolumeFate, is_bare, is_daemon};
use crate::facts::{ClassName, NO_PROVISIONER};
use crate::storage::could_be_of;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Where a pod goes.
enum Home {
    /// To that node, where it matters to which.
    Found(Option<usize>),
    /// Nowhere, and why.
    Nowhere(String),
    /// It takes too long to tell.
    NotKnown,
}

impl<'m> Run<'m> {
    pub(super) fn outcome(
        &mut self,
        workload: &MapWorkload,
        pod: &MapPod,
        claims: &[&'m MapClaim],
        is_empty: bool,
        occupied: &mut BTreeSet<usize>,
    ) -> (Outcome, String) {
        if pod.mirror || (self.disks && is_daemon(workload)) {
            return (Outcome::Gone, "it ends with its node, which alone it is for".to_owned());
        }
        if is_bare(workload) {
            return (Outcome::Gone, "nothing makes it again".to_owned());
        }
        if let Some(at) = self.claim {
            let (outcome, why) = self.after_claim(workload, pod, at);
            // An emptyDir is empty in the pod that is made again in any case.
            let outcome = if outcome == Outcome::Back && is_empty { Outcome::BackEmpty } else { outcome };
            return (outcome, why);
        }
        // The claim of an ephemeral volume goes with its pod, and the next pod has another.
        for claim in claims.iter().filter(|claim| !claim.facts.of_pod) {
            let fate = claim.volume_at.and_then(|at| self.fates.get(at)).copied();
            let name = claim.full_name();
            let volume = claim.volume.as_deref().unwrap_or_default();
            let why = match fate {
                Some(VolumeFate::Lost) if self.class.is_some() => {
                    format!("claim {name} stays bound to volume {volume}, whose storage is lost")
                }
                // The volume's directory is made on another node, if it is a hostPath that any node can use.
                Some(VolumeFate::Lost) if !self.tied_away(claim) => continue,
                Some(VolumeFate::Lost) => format!(
                    "claim {name} stays bound to volume {volume}, which no other node can use; once the claim is deleted a new one starts empty"
                ),
                _ if self.tied_away(claim) => {
                    format!(
                        "claim {name} is bound to volume {volume}, which no other node can use; its data is kept"
                    )
                }
                _ => continue,
            };
            return (Outcome::Stranded, why);
        }
        match self.home(workload, claims, occupied) {
            Home::Found(node) => {
                if let Some(node) = node {
                    occupied.insert(node);
                }
            }
            Home::Nowhere(why) => return (Outcome::Stranded, why),
            Home::NotKnown => {
                return (Outcome::Unknown, "whether another node takes it takes too long to tell".to_owned());
            }
        }
        let is_replaced = claims.iter().any(|claim| {
            let fate = claim.volume_at.and_then(|at| self.fates.get(at));
            let is_left_behind = matches!(fate, Some(VolumeFate::Lost | VolumeFate::OutOfReach));
            (is_left_behind && !self.tied_away(claim)) || (claim.facts.of_pod && pod.node_at.is_some())
        });
        match (is_empty || is_replaced, claims.is_empty()) {
            (true, _) => {
                (Outcome::BackEmpty, "it starts on another node without what it wrote on this one".to_owned())
            }
            (false, false) => (Outcome::Back, "it starts on another node with its data".to_owned()),
            (false, true) => (Outcome::Back, "it starts on another node and had no data".to_owned()),
        }
    }

    /// What becomes of a pod whose claim is deleted.
    fn after_claim(&self, workload: &MapWorkload, pod: &MapPod, at: usize) -> (Outcome, String) {
        let Some(claim) = self.map.claims.get(at) else { return (Outcome::Unknown, String::new()) };
        let name = claim.full_name();
        let is_own = workload.object.kind == "StatefulSet" && claim.name.ends_with(&format!("-{}", pod.name));
        if !is_own && !claim.facts.of_pod {
            return (
                Outcome::Stranded,
                format!("claim {name} does not exist any more, and nothing makes it again"),
            );
        }
        let class = claim.class.as_deref().unwrap_or_default();
        let known = self.map.classes.iter().find(|it| it.name == class);
        let is_static = matches!(claim.facts.spec.class, ClassName::Empty)
            || known.is_some_and(|class| class.provisioner == NO_PROVISIONER);
        if !is_static {
            return (Outcome::BackEmpty, format!("a new claim {name} gets a new volume, which is empty"));
        }
        let would_do = |volume: &&MapVolume| {
            volume.orphan == Some("available")
                && volume.class == class
                && could_be_of(&volume.facts, &claim.facts.spec)
        };
        match self.map.volumes.iter().find(would_do) {
            Some(volume) => {
                (Outcome::BackEmpty, format!("a new claim {name} gets a free volume such as {}", volume.name))
            }
            None => (
                Outcome::Stranded,
                format!("a new claim {name} finds no free volume, and nothing makes volumes of its class"),
            ),
        }
    }

    /// A node that is left and takes the pod.
    fn home(&mut self, workload: &MapWorkload, claims: &[&MapClaim], occupied: &BTreeSet<usize>) -> Home {
        if !self.has_nodes || self.class.is_some() {
            return Home::Found(None);
        }
        let Some(takes) = self.takes(&workload.scheduling) else { return Home::NotKnown };
        if takes.is_empty() {
            let any_left = self.map.nodes.iter().zip(&self.away).any(|(node, away)| node.exists && !away);
            return Home::Nowhere(match any_left {
                true => {
                    "no node that is left has the labels that it asks for, or takes it in spite of its taints"
                        .to_owned()
                }
                false => "no node is left".to_owned(),
            });
        }
        let allowed = claims.iter().filter(|claim| !claim.facts.of_pod);
        let allowed = allowed.filter_map(|claim| self.map.volume_of(claim)?.allowed.as_deref());
        let allowed: Vec<&[usize]> = allowed.collect();
        let mut is_reached = false;
        for (looked_at, at) in takes.iter().enumerate() {
            if allowed.iter().any(|nodes| nodes.binary_search(at).is_err()) {
                continue;
            }
            is_reached = true;
            if !workload.scheduling.one_a_node {
                return self.found(looked_at, None);
            }
            if !occupied.contains(at) {
                return self.found(looked_at, Some(*at));
            }
        }
        if self.effort.spend(takes.len()).is_none() {
            return Home::NotKnown;
        }
        Home::Nowhere(match is_reached {
            true => "its anti-affinity allows one such pod a node, and every node that takes it has one"
                .to_owned(),
            false => "no node that takes it can use all of its volumes".to_owned(),
        })
    }

    fn found(&self, looked_at: usize, node: Option<usize>) -> Home {
        self.effort.spend(looked_at).map_or(Home::NotKnown, |()| Home::Found(node))
    }

    /// The nodes that are left and take such a pod.
    fn takes(&mut self, scheduling: &Arc<Scheduling>) -> Option<Arc<[usize]>> {
        if let Some(known) = self.feasible.get(scheduling) {
            return known.clone();
        }
        let nodes = &self.map.nodes;
        let cost = scheduling.size().saturating_mul(nodes.len().max(1));
        let found = self.effort.spend(cost).map(|()| -> Arc<[usize]> {
            let left = nodes.iter().enumerate().filter(|(at, node)| node.exists && !self.is_away(*at));
            left.filter(|(_, node)| scheduling.takes(node)).map(|(at, _)| at).collect()
        });
        self.feasible.insert(Arc::clone(scheduling), found.clone());
        found
    }
}
