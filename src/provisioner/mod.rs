//! How claims become volumes, as a pure plan: from what is known of one volume to the next step. What carries the steps
//! out is in `cluster`; `docs/provisioner.md` says what controller and agent tell each other.

mod bases;
mod capacity;
mod class;
mod events;
mod expand;
mod failpoint;
mod names;
mod pattern;
mod plan;
mod queue;
mod remove;
mod view;
mod volume;
mod world;

pub use bases::{Bases, DEFAULT_BASE};
pub use capacity::{CAPACITY_LABEL, Capacity, capacities};
pub use class::{ClassFault, Parameters, VolumeType};
pub use events::{About, Notice};
pub use failpoint::Failpoint;
pub use names::*;
pub use plan::{Action, Memory, Removal, Settings, Step, Why, plan};
pub use queue::{Outcome, Queue};
pub use view::{Claim, Class, Node, NodeVolume, Storage, Unbound, Volume, VolumePhase};
pub use world::{Change, Key, World};
