//! The nodes that a pod's claims leave to it.

use super::{ClaimSpec, ClassName, PodVolume, VolumeFacts, VolumeSource, Workload};
use crate::lookup::Lookup;
use crate::model::{AccessMode, NodeSelector};
use std::fmt;
use std::sync::Arc;

/// A claim of a pod that only some nodes can use.
#[derive(Debug)]
pub struct TiedClaim<'w, 'a> {
    /// The pod volume that names the claim.
    pub pod_volume: &'w PodVolume<'a>,
    /// The claim's name.
    pub claim: &'a str,
    /// The volume that it names, or the volumes that it could get, in the order of their names. Never empty.
    pub volumes: Vec<Arc<VolumeFacts>>,
    /// Whether the claim names its volume, so that no other can come.
    pub settled: bool,
    /// The nodes that one of the volumes allows, where that is not what the only one says itself.
    united: Option<NodeSelector>,
}

/// The claims of a workload's pods that only some nodes can use, in the order of the pod volumes. Claims and volumes
/// that are not known, and volumes that any node can use, are left out.
pub fn tied_claims<'w, 'a>(
    workload: &'w Workload<'a>,
    namespace: &str,
    lookup: &dyn Lookup,
) -> Vec<TiedClaim<'w, 'a>> {
    let volumes = workload.pod.volumes.iter().filter(|volume| workload.claim_template(volume.name).is_none());
    let tied = volumes.filter_map(|pod_volume| {
        let VolumeSource::Claim { name, .. } = &pod_volume.source else { return None };
        let spec = &lookup.claim(namespace, name)?.spec;
        let volumes = match &spec.volume_name {
            Some(volume) => vec![lookup.volume(volume)?],
            None => candidates(spec, (namespace, name), lookup),
        };
        let united = match volumes.as_slice() {
            [] => return None,
            [only] if only.node_affinity.as_ref()?.is_plain() => None,
            several => {
                let allowed = several.iter().map(|volume| volume.node_affinity.clone());
                Some(NodeSelector::any_of(allowed.collect::<Option<Vec<_>>>()?))
            }
        };
        Some(TiedClaim { pod_volume, claim: name, volumes, settled: spec.volume_name.is_some(), united })
    });
    tied.collect()
}

/// The volumes that an unbound claim of a static class could get.
fn candidates(spec: &ClaimSpec, claim: (&str, &str), lookup: &dyn Lookup) -> Vec<Arc<VolumeFacts>> {
    let class = match &spec.class {
        ClassName::Named(name) => lookup.class(name),
        ClassName::Empty => None,
        ClassName::Absent => lookup.default_class(),
    };
    let Some(class) = class.filter(|class| class.is_static()) else { return Vec::new() };
    let mut volumes = lookup.available_volumes(&class.name);
    volumes.retain(|volume| fits(volume, spec));
    let reserved = |volume: &VolumeFacts| {
        let (namespace, name, _) = volume.claim.as_ref()?;
        Some((namespace.as_str(), name.as_str()) == claim)
    };
    // A volume that an administrator reserved for the claim is the one it gets.
    if let Some(own) = volumes.iter().find(|volume| reserved(volume) == Some(true)) {
        return vec![Arc::clone(own)];
    }
    volumes.retain(|volume| reserved(volume).is_none() && is_selected(volume, spec));
    volumes
}

/// Whether the claim's selector takes a volume that is reserved for nobody. Of one that is reserved for the claim,
/// Kubernetes does not ask that.
fn is_selected(volume: &VolumeFacts, spec: &ClaimSpec) -> bool {
    spec.selector.as_ref().is_none_or(|selector| selector.matches(&volume.labels.as_deref()))
}

/// Whether a claim of the volume's class could get it, whatever the claim's name.
pub(super) fn could_be_of(volume: &VolumeFacts, spec: &ClaimSpec) -> bool {
    fits(volume, spec) && (volume.claim.is_some() || is_selected(volume, spec))
}

/// Whether Kubernetes would bind the claim to the volume, as far as class, selector and reservation allow it.
fn fits(volume: &VolumeFacts, spec: &ClaimSpec) -> bool {
    let offers = |mode: &Result<AccessMode, String>| volume.access_modes.contains(mode);
    volume.volume_mode == spec.volume_mode
        && spec.access_modes.iter().all(offers)
        && match (&volume.capacity, &spec.request) {
            (Some(capacity), Some(request)) => capacity >= request,
            (None, Some(_)) => false,
            (_, None) => true,
        }
}

impl TiedClaim<'_, '_> {
    /// The nodes that one of the volumes allows.
    pub fn nodes(&self) -> &NodeSelector {
        let own = || self.volumes.first()?.node_affinity.as_ref();
        self.united.as_ref().or_else(own).unwrap_or(const { &NodeSelector::NONE })
    }

    /// Whether its nodes are named one by one, so that no node that is yet to come can be one of them.
    pub fn names_nodes(&self) -> bool {
        self.nodes().names_nodes()
    }
}

/// The claim, its volume and the nodes: `claim "data" on volume "pv-1" (kubernetes.io/hostname=node-1)`.
impl fmt::Display for TiedClaim<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "claim {:?} ", self.claim)?;
        match (self.volumes.as_slice(), self.settled) {
            ([volume], true) => write!(f, "on volume {:?}", volume.name)?,
            ([volume], false) => write!(f, "for which there is volume {:?} alone", volume.name)?,
            ([first, rest @ ..], _) => {
                write!(f, "for which there are volume {:?} and {} more", first.name, rest.len())?;
            }
            ([], _) => {}
        }
        write!(f, " ({})", self.nodes())
    }
}
