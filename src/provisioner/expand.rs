//! A claim asks for more than its volume holds: the agent first, then the volume's capacity, then the claim's status. The
//! controller manager knows no plugin that could do it and waits (`ExternalExpanding`).

use super::events::Notice;
use super::objects::{Claim, NodeVolume, Volume};
use super::planner::Planner;
use super::step::{Action, Step};
use crate::model::{Backend, NodeVolumeMode, NodeVolumeSpec, Phase};

/// The claim that has the volume.
fn claim_of<'a>(planner: &Planner<'a>, volume: &Volume) -> Option<&'a Claim> {
    let claim = planner.world.claim(planner.key)?;
    let same = volume.claim.as_ref().is_some_and(|reference| *reference.uid == *claim.uid);
    Some(claim).filter(|claim| same && claim.volume.is_some())
}

/// Whether the volume is to grow.
pub(super) fn wanted(planner: &Planner<'_>, volume: &Volume) -> bool {
    claim_of(planner, volume).is_some_and(|claim| claim.request > volume.capacity)
}

/// The next step for a volume in use that has its NodeVolume.
pub(super) fn volume(planner: &Planner<'_>, volume: &Volume, found: &NodeVolume) -> Step {
    let Some(claim) = claim_of(planner, volume) else { return Step::Nothing };
    // The claim's request may be lowered again while the agent has not managed it.
    let wanted = claim.request.max(volume.capacity);
    let settled = found.status.phase == Phase::Ready && found.answered();
    let holds = found.status.size_bytes.unwrap_or(0);
    if found.spec.size_bytes < wanted || (found.spec.size_bytes > wanted && holds < found.spec.size_bytes) {
        let class = planner.world.class(&volume.class);
        if claim.request > volume.capacity && class.is_some_and(|class| !class.facts.expandable) {
            return Step::tell(Notice::unexpanded(format!(
                "class {:?} does not allow its volumes to grow: set allowVolumeExpansion",
                volume.class
            )));
        }
        return Step::act(Action::SetSize { uid: found.uid.clone(), bytes: wanted });
    }
    if claim.request > volume.capacity {
        if settled && holds >= claim.request {
            let capacity = claim.request_text.clone();
            return Step::act(Action::WriteCapacity { uid: volume.uid.clone(), capacity });
        }
        return match found.complaint() {
            Some(why) => Step::tell(Notice::unexpanded(format!(
                "node {:?} has not let the volume grow yet: {why}; it is tried again",
                found.spec.node
            ))),
            None => Step::wait(),
        };
    }
    // The status is none of ours before the claim is bound.
    if claim.capacity == 0 || claim.capacity >= claim.request || volume.capacity < claim.request {
        return Step::Nothing;
    }
    let node_step = kubelet_grows(&found.spec);
    if node_step && claim.growing {
        return Step::wait();
    }
    let (reason, message) = if node_step {
        ("FileSystemResizeRequired", "Require file system resize of volume on node".to_owned())
    } else {
        ("VolumeResizeSuccessful", format!("Volume {} holds {} now", planner.key, claim.request_text))
    };
    Step::Do {
        action: Action::WriteClaimStatus {
            claim: claim.reference(),
            version: claim.version,
            capacity: claim.request_text.clone(),
            node_step,
        },
        notice: Some(Notice::normal(reason, message)),
    }
}

/// Whether it is a file system on a block device, which the kubelet alone can let grow.
fn kubelet_grows(spec: &NodeVolumeSpec) -> bool {
    spec.backend == Backend::Loop && spec.volume_mode == NodeVolumeMode::Filesystem
}
