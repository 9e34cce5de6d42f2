//! What every part of a plan goes by, and what becomes of a NodeVolume that nobody wants.

use super::events::Notice;
use super::memory::{Memory, Why};
use super::objects::{Node, NodeVolume, Volume};
use super::settings::Settings;
use super::step::{Action, Removal, Step};
use super::world::World;
use crate::facts::ReclaimPolicy;
use crate::model::{ClaimReference, Desired, Phase};
use std::time::Duration;

/// The plan of one volume in the making.
pub(super) struct Planner<'a> {
    pub(super) world: &'a World,
    pub(super) key: &'a str,
    pub(super) settings: &'a Settings,
    pub(super) memory: &'a mut Memory,
    pub(super) now: Duration,
    pub(super) since: Option<(Why, Duration)>,
}

impl<'a> Planner<'a> {
    /// Until when it must be waited for something to last that long; nothing when it has.
    pub(super) fn lasting(&mut self, why: Why, grace: Duration) -> Option<Duration> {
        let since = self.since.filter(|(known, _)| *known == why).map_or(self.now, |(_, since)| since);
        self.memory.waiting = Some((why, since));
        Some(since + grace).filter(|until| *until > self.now)
    }

    /// Neither claim nor volume is there, or the claim is on its way out.
    pub(super) fn orphan(&mut self, found: &NodeVolume) -> Step {
        if found.status.phase == Phase::Removed {
            return Step::act(Action::DeleteNodeVolume { uid: found.uid.clone() });
        }
        let present = found.spec.desired == Desired::Present;
        if present && let Some(until) = self.lasting(Why::Orphaned, self.settings.orphan_grace) {
            return Step::Wait { until: Some(until), notice: None };
        }
        // It may have been a volume that was to be kept: its data stays, as an orphan for an administrator.
        let used = matches!(found.status.phase, Phase::Ready | Phase::Lost);
        if used && found.reclaim != ReclaimPolicy::Delete && present {
            return Step::act(Action::DeleteNodeVolume { uid: found.uid.clone() });
        }
        let claim = found.spec.claim.clone();
        self.withdraw(found, &claim)
    }

    /// A NodeVolume of which no volume was made goes, and what is on the node with it.
    pub(super) fn withdraw(&mut self, found: &NodeVolume, claim: &ClaimReference) -> Step {
        let absent = found.spec.desired == Desired::Absent;
        let nothing_left = match found.status.phase {
            Phase::Removed => true,
            Phase::Refused | Phase::Lost => !absent,
            Phase::Pending | Phase::Ready => false,
        };
        let delete = || Step::act(Action::DeleteNodeVolume { uid: found.uid.clone() });
        if nothing_left {
            return delete();
        }
        if !absent {
            let removal = Removal::Unused(claim.clone());
            return Step::act(Action::SetAbsent { uid: found.uid.clone(), version: found.version, removal });
        }
        if self.world.node(&found.spec.node).is_none() {
            return match self.lasting(Why::NodeGone, self.settings.patience) {
                None => delete(),
                until => Step::Wait { until, notice: None },
            };
        }
        match found.complaint() {
            Some(complaint) => Step::tell(Notice::failed(format!(
                "what was made on node {:?} is not removed yet: {complaint}",
                found.spec.node
            ))),
            None => Step::wait(),
        }
    }

    /// The node of a volume, by the name that it was made on.
    pub(super) fn node_of(&self, volume: &Volume) -> Option<&'a Node> {
        match (&volume.node, &volume.hostname) {
            (Some(name), _) => self.world.node(name),
            (None, Some(hostname)) => self.world.node_of_hostname(hostname),
            (None, None) => None,
        }
    }
}
