//! What is remembered of a volume from plan to plan.

use crate::daemon::RETRY;
use std::time::Duration;

/// What is waited for, where the time since when counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The node is not there.
    NodeGone,
    /// No agent has answered.
    NoAgent,
    /// Neither claim nor volume is there.
    Orphaned,
}

/// What is remembered of one volume from plan to plan, and lost with the process: only the passing of time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    pub(super) waiting: Option<(Why, Duration)>,
    pub(super) refusals: Vec<Refusal>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    node: Box<str>,
    times: u32,
    /// When the scheduler was last told.
    pub(super) told: Duration,
    pub(super) until: Duration,
    pub(super) why: String,
    /// Its agent has not answered: it is asked again where there is no other.
    pub(super) silent: bool,
}

impl Memory {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// A node has refused: it is not asked again for a while.
    pub(super) fn refused(&mut self, node: &str, why: &str, now: Duration) {
        let known = self.refusals.iter().position(|refusal| &*refusal.node == node);
        let times = known.map_or(0, |at| self.refusals.swap_remove(at).times) + 1;
        let (node, until) = (node.into(), now + RETRY.pause(times));
        self.refusals.push(Refusal { node, times, told: now, until, why: why.to_owned(), silent: false });
    }

    /// A node's agent does not answer: others go before it, should it be chosen again.
    pub(super) fn silent(&mut self, node: &str, now: Duration) {
        self.refusals.retain(|refusal| &*refusal.node != node);
        let (node, until) = (node.into(), now + RETRY.longest);
        let why = "its agent does not answer".to_owned();
        self.refusals.push(Refusal { node, times: 0, told: now, until, why, silent: true });
    }

    pub(super) fn refusal(&mut self, node: &str, now: Duration) -> Option<&mut Refusal> {
        self.refusals.iter_mut().find(|refusal| &*refusal.node == node && refusal.until > now)
    }
}
