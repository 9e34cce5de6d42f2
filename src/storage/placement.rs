//! The nodes that a pod's claims leave to it.

use crate::facts::{ClaimSpec, ClassName, PodVolume, VolumeFacts, VolumeSource, Workload};
use crate::lookup::Lookup;
use crate::model::{AccessMode, Brief, Effort, NodeSelector};
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

/// The claims of a workload's pods that only some nodes can use, in the order of the pod volumes.
#[derive(Debug, Default)]
pub struct TiedClaims<'w, 'a> {
    /// Those that are known.
    pub claims: Vec<TiedClaim<'w, 'a>>,
    /// The first of the claims that were not looked into, since more free volumes would do than volgate looks at.
    pub passed_over: Option<&'w PodVolume<'a>>,
}

/// How many free volumes of static classes are looked at for one object, requirements of selectors counted as well.
const MOST_LOOKED_AT: usize = 50_000;

/// How many free volumes that would do are of use for one claim: where more are possible, nearly any node is.
pub const MOST_CANDIDATES: usize = 200;

/// The claims of a workload's pods that only some nodes can use. Claims and volumes that are not known, and volumes
/// that any node can use, are left out.
pub fn tied_claims<'w, 'a>(
    workload: &'w Workload<'a>,
    namespace: &str,
    lookup: &dyn Lookup,
) -> TiedClaims<'w, 'a> {
    let effort = Effort::new(MOST_LOOKED_AT);
    let mut tied = TiedClaims::default();
    let volumes = workload.pod.volumes.iter().filter(|volume| workload.claim_template(volume.name).is_none());
    for pod_volume in volumes {
        let VolumeSource::Claim { name, .. } = pod_volume.source else { continue };
        let Some(claim) = lookup.claim(namespace, name) else { continue };
        let settled = claim.spec.volume_name.is_some();
        let volumes = match &claim.spec.volume_name {
            Some(volume) => lookup.volume(volume).into_iter().collect(),
            None => match candidates(&claim.spec, (namespace, name), lookup, &effort) {
                Some(volumes) => volumes,
                None => {
                    tied.passed_over.get_or_insert(pod_volume);
                    continue;
                }
            },
        };
        let Some(united) = united(&volumes) else { continue };
        tied.claims.push(TiedClaim { pod_volume, claim: name, volumes, settled, united });
    }
    tied
}

/// The nodes that one of the volumes allows, where that is not what the only one says itself; nothing where that is
/// any node, or there is no volume.
fn united(volumes: &[Arc<VolumeFacts>]) -> Option<Option<NodeSelector>> {
    match volumes {
        [] => None,
        [only] if only.node_affinity.as_ref()?.is_plain() => Some(None),
        several => {
            let allowed = several.iter().map(|volume| volume.node_affinity.as_ref());
            Some(Some(NodeSelector::any_of(allowed.collect::<Option<Vec<_>>>()?)))
        }
    }
}

/// The volumes that an unbound claim of a static class could get; nothing where it takes too long to tell.
fn candidates(
    spec: &ClaimSpec,
    claim: (&str, &str),
    lookup: &dyn Lookup,
    effort: &Effort,
) -> Option<Vec<Arc<VolumeFacts>>> {
    let class = match &spec.class {
        ClassName::Named(name) => lookup.class(name),
        ClassName::Empty => None,
        ClassName::Absent => lookup.default_class(),
    };
    let Some(class) = class.filter(|class| class.is_static()) else { return Some(Vec::new()) };
    let each = 1 + spec.selector.as_ref().map_or(0, |selector| selector.size());
    effort.spend(lookup.available(&class.name).count.saturating_mul(each))?;
    // A volume that an administrator reserved for the claim is the one it gets.
    let reserved = |volume: &VolumeFacts| {
        let (namespace, name, _) = volume.claim.as_ref()?;
        Some((namespace.as_str(), name.as_str()) == claim)
    };
    let own = |volume: &VolumeFacts| reserved(volume) == Some(true) && fits(volume, spec);
    if let Some(own) = lookup.find_available(&class.name, &own) {
        return Some(vec![own]);
    }
    let mut volumes = lookup.available_volumes(&class.name);
    volumes.retain(|volume| fits(volume, spec) && reserved(volume).is_none() && is_selected(volume, spec));
    (volumes.len() <= MOST_CANDIDATES).then_some(volumes)
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
        write!(f, " ({})", Brief(self.nodes()))
    }
}
