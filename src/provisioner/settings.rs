//! What an administrator can set.

use super::bases::Bases;
use std::time::Duration;

/// What an administrator can set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where volumes may be.
    pub bases: Bases,
    /// How long a node may be away before its volumes are given up that are to be removed.
    pub node_grace: Duration,
    /// How long an agent may take to appear before an event says that there is none; how long the node that a claim was
    /// given may be away before another is asked for.
    pub patience: Duration,
    /// How long a NodeVolume without claim and volume is left alone: they may just not be seen yet.
    pub orphan_grace: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bases: Bases::default(),
            node_grace: Duration::from_secs(300),
            patience: Duration::from_secs(10),
            orphan_grace: Duration::from_secs(10),
        }
    }
}
