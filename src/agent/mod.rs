//! The agent on a node: it makes, bounds, grows and removes volumes beneath its bases, as the NodeVolumes of its node ask,
//! and writes nothing but their status and its own NodeStorage. What to do is a pure plan; the rest carries it out.

mod backend;
mod base;
mod base_view;
mod confine;
mod dispatch;
mod fault;
mod filesystem;
mod in_time;
mod kernel;
mod measure;
mod metrics;
mod node_storage;
mod opener;
mod orphans;
mod plan;
mod random;
mod record;
mod run;
mod shared;
mod storage_report;
mod trash;
mod usage;
mod volumes;
mod worker;

pub use crate::model::{Directory, OWN, device_link};
pub use confine::confine;
pub use fault::Fault;
pub use metrics::sample as metrics_sample;
pub use plan::{Around, Asked, Found, Other, Room, Seen, Step, after_fault, bytes, node_path, plan};
pub use record::{Record, usable_name};
pub use run::{Agent, Options};

/// A point at which a test can end the agent.
fn point(step: &str, when: &str) {
    crate::failpoint::reached(&format!("agent-{when}-{step}"));
}
