//! A volume that exists: it is in use, or kept, or its data is to go.

use super::bases::beneath;
use super::events::Notice;
use super::expand;
use super::memory::Why;
use super::objects::{Node, NodeVolume, Volume, VolumePhase};
use super::planner::Planner;
use super::step::{Action, Removal, Step};
use super::volume::node_volume_of;
use crate::facts::ReclaimPolicy;
use crate::model::{Desired, Phase};

/// The next step for a volume of ours.
pub(super) fn volume(planner: &mut Planner<'_>, volume: &Volume) -> Step {
    let found = planner.world.node_volume(planner.key);
    let claimed = planner.world.claim(planner.key).is_some_and(|claim| claim.volume.is_some());
    let free = volume.phase != VolumePhase::Bound && !claimed;
    let released = volume.phase == VolumePhase::Released;
    if volume.deleting && !volume.finalizer {
        // What we had to do is done; somebody else's finalizer holds it.
        return Step::Nothing;
    }
    match volume.reclaim {
        ReclaimPolicy::Delete if free && (released || volume.deleting) => removal(planner, volume, found),
        // The record goes before the volume does: a NodeVolume alone could be taken for one that was never used.
        _ if free && volume.deleting => Step::act(match found {
            Some(found) => Action::DeleteNodeVolume { uid: found.uid.clone() },
            None => Action::RemoveFinalizer { uid: volume.uid.clone() },
        }),
        _ => in_use(planner, volume, found),
    }
}

/// The data goes, then the volume.
fn removal(planner: &mut Planner<'_>, volume: &Volume, found: Option<&NodeVolume>) -> Step {
    if let Some(found) = found.filter(|found| found.spec.desired == Desired::Absent) {
        if found.status.phase == Phase::Removed {
            return Step::act(gone(volume));
        }
        if planner.world.node(&found.spec.node).is_none() {
            return without_node(planner, volume);
        }
        return match found.complaint() {
            Some(complaint) => Step::tell(Notice::undeleted(format!(
                "node {:?} has not removed the volume yet: {complaint}; it is tried again",
                found.spec.node
            ))),
            None => match planner.lasting(Why::NoAgent, planner.settings.patience) {
                None => Step::tell(Notice::undeleted(format!(
                    "the volgate agent of node {:?} has not answered: is there one?",
                    found.spec.node
                ))),
                until => Step::Wait { until, notice: None },
            },
        };
    }
    let Some(node) = planner.node_of(volume) else {
        if volume.node.is_none() && volume.hostname.is_none() {
            return Step::tell(Notice::undeleted(
                "neither its annotations nor its node affinity say on which node it is: remove it by hand",
            ));
        }
        return without_node(planner, volume);
    };
    let at = match place(planner, volume, node) {
        Ok(at) => at,
        Err(why) => return Step::tell(Notice::undeleted(why)),
    };
    let removal = Removal::Released(volume.uid.clone());
    Step::act(match found {
        Some(found) => Action::SetAbsent { uid: found.uid.clone(), version: found.version, removal },
        None => {
            let spec = Box::new(node_volume_of(volume, node, at, Desired::Absent));
            Action::CreateNodeVolume { spec, reclaim: ReclaimPolicy::Delete, removal: Some(removal) }
        }
    })
}

/// The node is not there, and perhaps never will be.
fn without_node(planner: &mut Planner<'_>, volume: &Volume) -> Step {
    let name = volume.node.as_deref().or(volume.hostname.as_deref()).unwrap_or_default();
    match planner.lasting(Why::NodeGone, planner.settings.node_grace) {
        None => Step::Do {
            action: gone(volume),
            notice: Some(Notice::undeleted(format!(
                "node {name:?} is gone, and so the volume is forgotten without its data being removed; should the node \
                 come back with its disk, its agent reports it as an orphan"
            ))),
        },
        until => Step::Wait { until, notice: None },
    }
}

fn gone(volume: &Volume) -> Action {
    if volume.deleting {
        Action::RemoveFinalizer { uid: volume.uid.clone() }
    } else {
        Action::DeleteVolume { uid: volume.uid.clone() }
    }
}

/// In which base a volume is and where in it; nothing may be removed or taken over elsewhere.
fn place<'v>(planner: &Planner<'_>, volume: &'v Volume, node: &Node) -> Result<(String, &'v str), String> {
    let bases = &planner.settings.bases;
    let storage = planner.world.storage(&node.name);
    // Where nothing is configured, what the agent has is enough.
    let told = || storage.into_iter().filter(|_| bases.admits_others()).flat_map(|storage| &storage.bases);
    let found = match &volume.made {
        Some(made) => {
            let path = format!("{}/{}", made.base, made.directory);
            let configured = bases.base_of(&node.name, &path).is_some();
            let good = beneath(&made.base, &path).is_some()
                && (configured || told().any(|base| base.path == *made.base));
            if good { Ok((made.base.to_string(), &*made.directory)) } else { Err(path) }
        }
        None => {
            let others =
                || told().find_map(|base| Some((base.path.clone(), beneath(&base.path, &volume.path)?)));
            bases.base_of(&node.name, &volume.path).or_else(others).ok_or_else(|| volume.path.to_string())
        }
    };
    found.map_err(|path| {
        format!(
            "its path {path:?} lies beneath none of the bases of node {:?}, so that it is not touched; configure its base \
             again, or set the reclaim policy to Retain and remove it by hand",
            node.name
        )
    })
}

/// It stays.
fn in_use(planner: &mut Planner<'_>, volume: &Volume, found: Option<&NodeVolume>) -> Step {
    let Some(node) = planner.node_of(volume) else {
        let name = volume.node.as_deref().or(volume.hostname.as_deref()).unwrap_or_default();
        return match planner.lasting(Why::NodeGone, planner.settings.node_grace) {
            None if volume.phase == VolumePhase::Bound => Step::tell(Notice::lost(
                "VolumeNodeGone",
                format!(
                    "node {name:?} is gone, and volume {} with it: its pods cannot start; when the node is gone for \
                     good, delete the claim and create it again",
                    planner.key
                ),
            )),
            None => Step::wait(),
            until => Step::Wait { until, notice: None },
        };
    };
    let Some(found) = found else {
        return match rewritten(planner, volume, node) {
            Some(step) => step,
            None => Step::Nothing,
        };
    };
    if found.spec.desired == Desired::Absent {
        return Step::Nothing;
    }
    if found.reclaim != volume.reclaim {
        return Step::act(Action::SetReclaim { uid: found.uid.clone(), reclaim: volume.reclaim });
    }
    if found.status.phase == Phase::Lost {
        let why = found.complaint().map(|why| format!(": {why}")).unwrap_or_default();
        return Step::tell(Notice::lost(
            "VolumeLost",
            format!(
                "the data of volume {} is not on node {:?} any more{why}; it is not created again: restore it there, or \
                 delete the claim and create it again",
                planner.key, found.spec.node
            ),
        ));
    }
    expand::volume(planner, volume, found)
}

/// Its NodeVolume was deleted by hand, or it was made by another provisioner and is to grow.
fn rewritten(planner: &mut Planner<'_>, volume: &Volume, node: &Node) -> Option<Step> {
    if volume.made.is_none() && !expand::wanted(planner, volume) {
        return None;
    }
    let at = place(planner, volume, node).ok()?;
    let spec = Box::new(node_volume_of(volume, node, at, Desired::Present));
    Some(Step::act(Action::CreateNodeVolume { spec, reclaim: volume.reclaim, removal: None }))
}
