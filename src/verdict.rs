//! What comes out of a review: findings and the patch.

use crate::model::FieldPath;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a finding leads to. Ordered: a later one is stricter.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, Default,
)]
pub enum Action {
    /// Written to the audit log only.
    Audit,
    /// Admitted, with a warning to the user.
    Warn,
    /// Refused.
    #[default]
    Deny,
}

impl Action {
    /// The name in a policy.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Audit => "Audit",
            Self::Warn => "Warn",
            Self::Deny => "Deny",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One result of a rule, with the field that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule's id, such as `durable-data`.
    pub rule: &'static str,
    /// What it leads to.
    pub action: Action,
    /// The policy that asked for it.
    pub policy: String,
    /// What the question is called, where the rule is an author's own: the `name` of a `cel` rule.
    pub name: Option<String>,
    /// What is wrong and why it matters: one sentence.
    pub message: String,
    /// What to do about it: one sentence, or nothing.
    pub help: Option<String>,
    /// The field that earned it.
    pub field: FieldPath,
    /// Other fields of the same object that explain it.
    pub related: Vec<(FieldPath, String)>,
    /// Why an exception or a written reason excuses it. An excused finding is for the audit log alone.
    pub excused: Option<String>,
    /// The data that would be lost, where a volume at its directory would keep it.
    pub lost: Option<Box<LostData>>,
}

/// Data that would be lost, as whoever writes a durable volume for it needs to know it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LostData {
    /// The container that keeps it.
    pub container: FieldPath,
    /// Its directories; of very many the first.
    pub paths: Vec<String>,
    /// The VOLUME of the image that lies over them: only a mount at exactly that path is above it.
    pub image_volume: Option<String>,
    /// How large a claim its product asks for, as the catalog has it.
    pub size: Option<String>,
    /// The directory of the volume that is mounted for a product which wants to begin with an empty one.
    pub sub_path: Option<String>,
}

/// Why no policy has a look at an object, whatever they say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlooked {
    /// No rule reads objects of its kind.
    Kind,
    /// Its namespace is one that no policy is about.
    Namespace,
}

/// All findings and the patch of one review.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verdict {
    /// The findings, the strictest first, then by field.
    pub findings: Vec<Finding>,
    /// What mutation changes; empty when nothing.
    pub patch: json_patch::Patch,
    /// Why the object was not judged, when it was not.
    pub overlooked: Option<Overlooked>,
    /// The policies that are about the object, by their places in the set; known only of what `Engine::check` has judged.
    pub about: Vec<usize>,
    /// The topmost owner that is known of a refused object which a controller makes; known as `about` is, and only of what is created.
    pub made_for: Option<Box<MadeFor>>,
}

/// The object that another one was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeFor {
    /// `Deployment`, `StatefulSet`, …
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

impl Verdict {
    /// The findings that are not excused.
    pub fn standing(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.excused.is_none())
    }

    /// Whether the object is refused.
    pub fn denied(&self) -> bool {
        self.standing().any(|finding| finding.action == Action::Deny)
    }
}
