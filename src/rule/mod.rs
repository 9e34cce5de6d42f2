//! The contract of a rule: what it is given, what it can find, how its parameters become one.

mod concern;
mod context;
mod fault;
mod finding;
mod review;
mod subjects;

pub use concern::Concern;
pub use context::Context;
pub use fault::PolicyFault;
pub(crate) use fault::{UNREAD, can_be_kind, is_judged_or_owner, kind_faults, selector_faults};
pub use finding::{NewFinding, NewFindings};
pub use review::{REQUEST_FIELDS, Requester, Review, Scale};
pub use subjects::{Belongs, Subjects, Trust};

use crate::model::FieldPath;
use crate::patch::PatchBuilder;
use schemars::JsonSchema;
use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

/// A rule with its parameters, ready to be applied. Both sides do nothing unless a rule says otherwise.
pub trait Rule: Debug + Send + Sync + Any {
    /// Changes the object. Must do nothing to an object that is already as wanted.
    fn mutate(&self, _context: &Context<'_>, _patch: &mut PatchBuilder<'_>) {}

    /// Puts back into an excused object what it was given before it was excused, and what cannot be taken away again.
    fn restore(&self, _context: &Context<'_>, _patch: &mut PatchBuilder<'_>) {}

    /// Tells what is wrong with the object.
    fn check(&self, _context: &Context<'_>, _findings: &mut NewFindings<'_>) {}

    /// Whether its verdict on a workload of that kind depends on `spec.replicas`. Then it is asked when one is scaled, too.
    fn reads_replicas(&self, _kind: &str) -> bool {
        false
    }

    /// Tells what is wrong with a workload that is scaled up. No more is known of it than its
    /// [`Outline`](crate::facts::Outline), its labels and its owner; all findings are about `spec.replicas`.
    fn check_scale(&self, context: &Context<'_>, findings: &mut NewFindings<'_>) {
        self.check(context, findings);
    }

    /// Why this rule and the same rule of another policy for the same objects cannot both be satisfied.
    fn contradicts(&self, _other: &dyn Any) -> Option<String> {
        None
    }

    /// Whether it reads [`Review::request`](Review::request), which is otherwise left undecoded.
    fn reads_request(&self) -> bool {
        false
    }

    /// Whether it asks about objects of every kind, and not only of those that volgate reads something of storage from.
    fn reads_any_kind(&self) -> bool {
        false
    }

    /// What it can find something in, where it is no rule for every kind.
    fn reads(&self) -> &'static [Reads] {
        &[Reads::Pods, Reads::Claims, Reads::Volumes, Reads::Classes]
    }

    /// Whether it asks about objects of that kind, where it says of which.
    fn asks_about(&self, _kind: &str) -> bool {
        true
    }

    /// What a pod, or what makes pods, must have for this rule to find something there. More may be named than is needed, never
    /// less: the webhook is not asked about the rest.
    fn finds(&self) -> Concern {
        Concern::anything()
    }

    /// The same of what it changes. A rule that has `mutate` says it here.
    fn changes(&self) -> Concern {
        Concern::default()
    }

    /// What its question is called, where it is an author's own.
    fn name(&self) -> Option<&str> {
        None
    }

    /// What its author should know of it, though it works; each stands at that part of its parameters.
    fn notices(&self) -> Vec<PolicyFault> {
        Vec::new()
    }
}

/// A group of kinds that rules find something in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// Pods, and all that makes them.
    Pods,
    /// PersistentVolumeClaims.
    Claims,
    /// PersistentVolumes.
    Volumes,
    /// StorageClasses.
    Classes,
}

impl Reads {
    /// Its objects, as a message calls them.
    pub fn objects(self) -> &'static str {
        match self {
            Self::Pods => "pods and what makes them",
            Self::Claims => "PersistentVolumeClaims",
            Self::Volumes => "PersistentVolumes",
            Self::Classes => "StorageClasses",
        }
    }
}

/// The parameters of a rule as a policy has them. The doc comment of the type is the rule's manual page.
pub trait RuleKind: JsonSchema {
    /// The rule's id, such as `durable-data`.
    const ID: &'static str;
    /// The field of a policy's rule, such as `durableData`.
    const FIELD: &'static str;
    /// What the rule reads that an expression about the object alone cannot: why `volgate export` leaves it to the webhook.
    const READS_BEYOND: Option<&'static str> = None;

    /// Checks what a schema cannot, tells the faults of the parameters that stand at `at`, and makes the rule.
    fn compile(&self, at: &FieldPath, faults: &mut Vec<PolicyFault>) -> Arc<dyn Rule>;
}

/// [`RuleKind::READS_BEYOND`] of a rule that looks other objects up.
pub const OTHER_OBJECTS: &str = "it reads other objects: claims, volumes, classes or nodes";

/// What is known of a rule without its parameters.
#[derive(Debug, Clone, Copy)]
pub struct RuleInfo {
    /// Its id.
    pub id: &'static str,
    /// Its field in a policy.
    pub field: &'static str,
    /// What it reads that an expression about the object alone cannot.
    pub reads_beyond: Option<&'static str>,
    /// The JSON Schema of its parameters, whose description is its manual page.
    pub schema: fn() -> schemars::Schema,
}
