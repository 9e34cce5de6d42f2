//! How far a parameter lets a doubtful case go.

use crate::verdict::Action;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most that a doubtful case leads to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Most {
    /// Whatever the rule's action is.
    Deny,
    /// A warning at most.
    #[default]
    Warn,
    /// The audit log at most.
    Audit,
    /// Nothing.
    Ignore,
}

impl Most {
    /// The action; none where nothing is said.
    pub(in crate::rules) fn action(self) -> Option<Action> {
        match self {
            Self::Deny => Some(Action::Deny),
            Self::Warn => Some(Action::Warn),
            Self::Audit => Some(Action::Audit),
            Self::Ignore => None,
        }
    }

    pub(in crate::rules) fn deny() -> Self {
        Self::Deny
    }

    pub(crate) fn is_deny(&self) -> bool {
        *self == Self::Deny
    }
}
