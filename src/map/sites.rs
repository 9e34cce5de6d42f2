//! Which nodes can use a volume.

use super::MapNode;
use crate::facts::{VolumeFacts, VolumeKind};
use crate::model::{Effort, HOSTNAME, NodeSelector};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The nodes by name and by host.
#[derive(Debug, Default)]
pub(super) struct Sites {
    by_name: BTreeMap<String, usize>,
    by_host: BTreeMap<String, Vec<usize>>,
}

/// How many nodes are held against selectors that do not name their hosts, requirements counted as well.
const MOST_COMPARED: usize = 20_000_000;

/// Finds the nodes of volumes; selectors that are alike are looked at once.
pub(super) struct Finder {
    effort: Effort,
    seen: HashMap<NodeSelector, Arc<[usize]>>,
}

impl Finder {
    pub(super) fn new() -> Self {
        Self { effort: Effort::new(MOST_COMPARED), seen: HashMap::new() }
    }

    /// The nodes that a selector leaves; `None` where it takes too long to tell.
    pub(super) fn nodes(
        &mut self,
        selector: &NodeSelector,
        sites: &Sites,
        nodes: &[MapNode],
    ) -> Option<Arc<[usize]>> {
        if let Some(hosts) = selector.hosts() {
            let of_host = hosts.iter().filter_map(|host| sites.by_host.get(*host)).flatten();
            let fits = |at: &&usize| {
                nodes.get(**at).is_some_and(|node| !node.exists || selector.matches(&node.name, &node.labels))
            };
            let mut found: Vec<usize> = of_host.filter(fits).copied().collect();
            found.sort_unstable();
            found.dedup();
            return Some(found.into());
        }
        if let Some(known) = self.seen.get(selector) {
            return Some(Arc::clone(known));
        }
        self.effort.spend(selector.size().saturating_mul(nodes.len().max(1)))?;
        let fits = |(at, node): (usize, &MapNode)| selector.matches(&node.name, &node.labels).then_some(at);
        let found: Arc<[usize]> = nodes.iter().enumerate().filter_map(fits).collect();
        self.seen.insert(selector.clone(), Arc::clone(&found));
        Some(found)
    }
}

impl Sites {
    /// Of those nodes.
    pub(super) fn of(nodes: &[MapNode]) -> Self {
        let mut sites = Self::default();
        for (at, node) in nodes.iter().enumerate() {
            sites.by_name.insert(node.name.clone(), at);
            let host = node.labels.get(HOSTNAME).unwrap_or(&node.name);
            sites.by_host.entry(host.clone()).or_default().push(at);
        }
        sites
    }

    /// The node of that name.
    pub(super) fn named(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }
}

/// Whether a volume's data lies on a node's own disk.
pub(super) fn is_local(volume: &VolumeFacts) -> bool {
    match &volume.kind {
        VolumeKind::Local(_) | VolumeKind::HostPath(_) => true,
        // A driver that lets one host alone use a volume keeps it there.
        _ => {
            volume.node_affinity.as_ref().is_some_and(|nodes| !nodes.terms.is_empty() && nodes.names_nodes())
        }
    }
}

/// What backs a volume, in words.
pub(super) fn kind(volume: &VolumeFacts) -> String {
    match &volume.kind {
        VolumeKind::Local(path) => format!("local {path}"),
        VolumeKind::HostPath(path) => format!("hostPath {path}"),
        VolumeKind::Csi(driver) => format!("csi {driver}"),
        VolumeKind::Other(field) => field.clone(),
        VolumeKind::None => "unknown".to_owned(),
    }
}
