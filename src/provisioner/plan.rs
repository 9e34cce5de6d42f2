//! The next step for one volume, from what is known of it. Pure: the same facts give the same step, so that whoever was
//! killed, wherever, goes on by looking again.

use super::memory::Memory;
use super::planner::Planner;
use super::remove;
use super::settings::Settings;
use super::step::Step;
use super::world::World;
use crate::model::Phase;
use std::time::Duration;

/// The next step for the volume of that name.
pub fn plan(world: &World, key: &str, settings: &Settings, memory: &mut Memory, now: Duration) -> Step {
    let since = memory.waiting.take();
    let mut planner = Planner { world, key, settings, memory, now, since };
    match (world.volume(key), world.claim(key), world.node_volume(key)) {
        (Some(volume), _, _) => {
            planner.memory.refusals.clear();
            remove::volume(&mut planner, volume)
        }
        (None, Some(claim), found) => match &claim.unbound {
            Some(rest) if !claim.deleting => planner.claim(claim, rest, found),
            // Being deleted, it gets no volume any more.
            Some(_) => found.map_or(Step::Nothing, |found| planner.orphan(found)),
            // It names a volume that is not there or not ours: what became of that is not known, so nothing is touched but a record
            // of what is gone.
            None => match found.filter(|found| found.status.phase == Phase::Removed) {
                Some(found) => planner.orphan(found),
                None => Step::Nothing,
            },
        },
        (None, None, Some(found)) => planner.orphan(found),
        (None, None, None) => {
            *memory = Memory::default();
            Step::Nothing
        }
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
