//! How far a parameter lets a doubtful case go.

use crate::verdict::Action;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The strictest action in a doubtful case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Most {
    /// The rule's own action.
    Deny,
    /// Only a warning.
    #[default]
    Warn,
    /// Only a line in the audit log.
    Audit,
    /// No finding.
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
