//! From what was gathered to the map.

use super::super::sites::{Finder, Sites, is_local, kind};
use super::super::{
    Backing, MapClaim, MapClass, MapNode, MapVolume, MapWorkload, ObjectFinding, StorageMap, paths,
};
use super::{Builder, Draft, MOST_FINDINGS, MOST_MADE_UP_OF_ALL, key};
use crate::facts::{ClaimFacts, VolumeFacts};
use crate::lookup::Lookup;
use crate::model::{Durability, HOSTNAME};
use crate::storage::{claim_fate, reserved_volume, volume_fate};
use crate::verdict::Action;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Builder<'_> {
    /// The map of all that was given.
    pub fn finish(mut self) -> StorageMap {
        let nodes = self.all_nodes();
        let sites = Sites::of(&nodes);
        let volumes = self.all_volumes(&nodes, &sites);
        let at: BTreeMap<String, usize> =
            volumes.iter().enumerate().map(|(at, volume)| (volume.name.clone(), at)).collect();
        let mut claims = self.all_claims(&at);
        let mut map = StorageMap { nodes, sites, volumes, ..StorageMap::default() };
        let mut left = MOST_MADE_UP_OF_ALL;
        let mut drafts = std::mem::take(&mut self.workloads);
        for draft in drafts.values_mut() {
            draft.make_up_pods(&mut left);
            self.add_claims_to_come(draft, &mut claims, &at);
        }
        map.claim_at = claims.keys().enumerate().map(|(at, claim)| (claim.clone(), at)).collect();
        map.claims = claims.into_values().collect();
        for draft in drafts.into_values() {
            let workload = draft.finish(&mut map);
            map.workloads.push(workload);
        }
        map.workloads.sort_by_cached_key(|workload| (severity(workload), key(&workload.object)));
        map.classes = self
            .classes
            .iter()
            .filter_map(|name| self.lookup.class(name))
            .map(|class| MapClass {
                name: class.name.clone(),
                provisioner: class.provisioner.clone(),
                reclaim_policy: class.reclaim.as_str(),
                is_default: class.is_default,
            })
            .collect();
        map.findings = self
            .findings
            .into_values()
            .flat_map(|(object, findings)| {
                findings.into_iter().map(move |finding| ObjectFinding { object: object.clone(), finding })
            })
            .collect();
        if !map.nodes.iter().any(|node| node.exists) {
            self.notes.push(
                "no Node is in the input: whether another node would take a pod is not known".to_owned(),
            );
        }
        if self.found >= MOST_FINDINGS {
            self.notes.push(format!("only the first {MOST_FINDINGS} findings are kept"));
        }
        map.notes = self.notes;
        map
    }

    /// The nodes, and those that pods and volumes name and that are not there.
    fn all_nodes(&mut self) -> Vec<MapNode> {
        let mut nodes = std::mem::take(&mut self.nodes);
        let known: BTreeSet<String> =
            nodes.values().filter_map(|node| node.labels.get(HOSTNAME)).cloned().collect();
        let mut named: BTreeSet<String> = BTreeSet::new();
        for name in &self.volumes {
            let Some(volume) = self.lookup.volume(name) else { continue };
            let hosts = volume.node_affinity.as_ref().and_then(|affinity| affinity.hosts());
            named
                .extend(hosts.into_iter().flatten().filter(|host| !known.contains(*host)).map(str::to_owned));
        }
        for pod in self.workloads.values().flat_map(|draft| draft.pods.values()) {
            named.extend(pod.node.clone());
        }
        named.extend(self.bases.keys().cloned());
        for name in named {
            let labels = [(HOSTNAME.to_owned(), name.clone())].into();
            nodes.entry(name.clone()).or_insert_with(|| MapNode { name, labels, ..MapNode::default() });
        }
        for (name, bases) in std::mem::take(&mut self.bases) {
            if let Some(node) = nodes.get_mut(&name) {
                node.bases = bases;
            }
        }
        nodes.into_values().collect()
    }

    fn all_volumes(&self, nodes: &[MapNode], sites: &Sites) -> Vec<MapVolume> {
        let mut finder = Finder::new();
        let volume = |facts: Arc<VolumeFacts>| {
            let allowed =
                facts.node_affinity.as_ref().and_then(|affinity| finder.nodes(affinity, sites, nodes));
            let names = |allowed: &Arc<[usize]>| {
                allowed.iter().filter_map(|at| nodes.get(*at)).map(|node| node.name.clone()).collect()
            };
            MapVolume {
                name: facts.name.clone(),
                size: facts.capacity.as_ref().map(ToString::to_string),
                kind: kind(&facts),
                class: facts.class.name().unwrap_or_default().to_owned(),
                reclaim_policy: facts.reclaim.as_str(),
                nodes: allowed.as_ref().map(names),
                local: is_local(&facts),
                claim: facts.claim.as_ref().map(|(namespace, name, _)| format!("{namespace}/{name}")),
                orphan: match (facts.released, facts.available) {
                    (true, _) => Some("released"),
                    (_, true) if facts.claim.is_none() => Some("available"),
                    _ => None,
                },
                allowed,
                facts,
            }
        };
        self.volumes.iter().filter_map(|name| self.lookup.volume(name)).map(volume).collect()
    }

    fn all_claims(&self, at: &BTreeMap<String, usize>) -> BTreeMap<(String, String), MapClaim> {
        let claim = |key: &(String, String)| {
            Some((key.clone(), self.map_claim(self.lookup.claim(&key.0, &key.1)?, at)))
        };
        self.claims.iter().filter_map(claim).collect()
    }

    fn map_claim(&self, facts: Arc<ClaimFacts>, at: &BTreeMap<String, usize>) -> MapClaim {
        let volume = match &facts.spec.volume_name {
            Some(volume) => self.lookup.volume(volume),
            None => reserved_volume(&facts, &self.lookup),
        };
        let fate = match &volume {
            Some(volume) => volume_fate(volume),
            None => claim_fate(&facts.spec, &self.lookup),
        };
        let size = volume.as_ref().and_then(|volume| volume.capacity.clone()).or(facts.spec.request.clone());
        MapClaim {
            namespace: facts.namespace.clone(),
            name: facts.name.clone(),
            bytes: size.as_ref().map_or(0, |size| u64::try_from(size.value()).unwrap_or_default()),
            size: size.as_ref().map(ToString::to_string),
            class: facts.spec.class_in_effect(&self.lookup),
            volume_at: volume.as_ref().and_then(|volume| at.get(&volume.name).copied()),
            volume: facts.spec.volume_name.clone().or(volume.map(|volume| volume.name.clone())),
            to_come: false,
            durability: fate.least,
            at_most: fate.most,
            pods: 0,
            facts,
        }
    }

    /// The claims that a workload's pods have by a template and that are not there yet.
    fn add_claims_to_come(
        &self,
        draft: &Draft,
        claims: &mut BTreeMap<(String, String), MapClaim>,
        at: &BTreeMap<String, usize>,
    ) {
        let namespace = draft.workload.object.namespace.clone().unwrap_or_default();
        for pod in draft.pods.values() {
            for (volume, name) in &pod.claims {
                let key = (namespace.clone(), name.clone());
                let made = draft.templates.iter().chain(&draft.ephemeral).find(|(known, _)| known == volume);
                let Some((_, spec)) = made.filter(|_| !claims.contains_key(&key)) else { continue };
                let facts = ClaimFacts {
                    namespace: namespace.clone(),
                    name: name.clone(),
                    spec: spec.clone(),
                    of_pod: !draft.templates.iter().any(|(known, _)| known == volume),
                    ..ClaimFacts::default()
                };
                let claim = self.map_claim(Arc::new(facts), at);
                claims.insert(key, MapClaim { to_come: true, ..claim });
            }
        }
    }
}

impl Draft {
    fn finish(self, map: &mut StorageMap) -> MapWorkload {
        let mut workload = self.workload;
        let namespace = workload.object.namespace.clone().unwrap_or_default();
        // What the claims of its pods say is nearer than what the class of the template says.
        for place in &mut workload.data {
            let Some(volume) = &place.volume else { continue };
            let claims = self.pods.values().filter_map(|pod| pod.claims.get(volume));
            let claims: Vec<&MapClaim> = claims.filter_map(|claim| map.claim(&namespace, claim)).collect();
            if place.kind == Backing::Claim
                && let (Some(least), Some(most)) =
                    (claims.iter().map(|it| it.durability).min(), claims.iter().map(|it| it.at_most).max())
            {
                (place.durability, place.at_most) = (least, most);
            }
        }
        workload.products = paths::products_of(&workload.data);
        for mut pod in self.pods.into_values() {
            pod.node_at = pod.node.as_ref().and_then(|node| map.sites.named(node));
            for name in pod.claims.values() {
                let at = map.claim_at.get(&(namespace.clone(), name.clone()));
                if let Some(claim) = at.and_then(|at| map.claims.get_mut(*at)) {
                    claim.pods += 1;
                }
            }
            workload.pods.push(pod);
        }
        workload
    }
}

/// Which workload stands before which: data that must last and is lost soonest comes first.
fn severity(workload: &MapWorkload) -> (bool, bool, Option<Durability>) {
    let denied =
        workload.findings.iter().any(|finding| finding.excused.is_none() && finding.action == Action::Deny);
    let data = || workload.data.iter().filter(|place| place.data_of.is_some());
    (!denied, data().next().is_none(), data().map(|place| place.durability).min())
}
