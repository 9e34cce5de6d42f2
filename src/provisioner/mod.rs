//! How claims become volumes, as a pure plan: from what is known of one volume to the next step. What carries the steps
//! out is in `cluster`; `docs/provisioner.md` says what controller and agent tell each other.

mod bases;
mod capacity;
mod claim;
mod class;
mod events;
mod expand;
mod failpoint;
mod memory;
mod names;
mod objects;
mod pattern;
mod placement;
mod plan;
mod planner;
mod remove;
mod settings;
mod step;
mod volume;
mod world;

pub use bases::{Bases, DEFAULT_BASE};
pub use capacity::{CAPACITY_LABEL, Capacity, capacities};
pub use class::{ClassFault, Parameters, VolumeType};
pub use events::{About, Notice};
pub use failpoint::Failpoint;
pub use memory::{Memory, Why};
pub use names::*;
pub use objects::{Claim, Class, Node, NodeVolume, Storage, Unbound, Volume, VolumePhase};
pub use plan::plan;
pub use settings::Settings;
pub use step::{Action, Removal, Step};
pub use world::{Change, Key, World};
