//! The variables that every expression has, with their types, and what the expressions of one review share.

use super::limits;
use super::types::{Record, Shape, Type};
use super::value::Val;
use serde_json::Value;
use std::cell::{Cell, OnceCell};
use std::rc::Rc;

/// A variable that every expression has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Global {
    Object,
    OldObject,
    Request,
    NamespaceObject,
    Facts,
    PodSpec,
    PodMeta,
}

/// Their names.
pub(crate) const GLOBALS: [(&str, Global); 7] = [
    ("object", Global::Object),
    ("oldObject", Global::OldObject),
    ("request", Global::Request),
    ("namespaceObject", Global::NamespaceObject),
    ("facts", Global::Facts),
    ("podSpec", Global::PodSpec),
    ("podMeta", Global::PodMeta),
];

impl Global {
    /// What is known of it: an object may be of any kind.
    pub(crate) fn kind(self) -> Type {
        match self {
            Self::Object | Self::OldObject | Self::PodSpec | Self::PodMeta => Type::Dyn,
            Self::Request => Type::Record(&REQUEST),
            Self::NamespaceObject => Type::Record(&NAMESPACE),
            Self::Facts => Type::Record(&FACTS),
        }
    }
}

static REQUEST: Record = Record {
    name: "request",
    fields: &[
        ("dryRun", Shape::Bool),
        ("kind", Shape::Record(&GROUP_KIND)),
        ("name", Shape::Text),
        ("namespace", Shape::Text),
        // Of a live request alone, but no expression sees it: `object` is there for that.
        ("object", Shape::Any),
        ("oldObject", Shape::Any),
        ("operation", Shape::Text),
        ("options", Shape::Any),
        ("requestKind", Shape::Record(&GROUP_KIND)),
        ("requestResource", Shape::Record(&GROUP_RESOURCE)),
        ("requestSubResource", Shape::Text),
        ("resource", Shape::Record(&GROUP_RESOURCE)),
        ("subResource", Shape::Text),
        ("uid", Shape::Text),
        ("userInfo", Shape::Record(&USER)),
    ],
};
static GROUP_KIND: Record = Record {
    name: "request.kind",
    fields: &[("group", Shape::Text), ("kind", Shape::Text), ("version", Shape::Text)],
};
static GROUP_RESOURCE: Record = Record {
    name: "request.resource",
    fields: &[("group", Shape::Text), ("resource", Shape::Text), ("version", Shape::Text)],
};
static USER: Record = Record {
    name: "request.userInfo",
    fields: &[
        ("extra", Shape::Any),
        ("groups", Shape::Texts),
        ("uid", Shape::Text),
        ("username", Shape::Text),
    ],
};
static NAMESPACE: Record =
    Record { name: "namespaceObject", fields: &[("metadata", Shape::Record(&NAMESPACE_METADATA))] };
static NAMESPACE_METADATA: Record = Record {
    name: "namespaceObject.metadata",
    fields: &[("annotations", Shape::Labels), ("labels", Shape::Labels), ("name", Shape::Text)],
};
static FACTS: Record = Record {
    name: "facts",
    fields: &[
        ("claims", Shape::Records(&CLAIM)),
        ("containers", Shape::Records(&CONTAINER)),
        ("kind", Shape::Text),
        ("paths", Shape::Records(&PATH)),
        ("stateful", Shape::Bool),
    ],
};
static CONTAINER: Record = Record {
    name: "an item of facts.containers",
    fields: &[
        ("image", Shape::Text),
        ("name", Shape::Text),
        ("product", Shape::Text),
        ("section", Shape::Text),
        ("stateful", Shape::Bool),
    ],
};
static PATH: Record = Record {
    name: "an item of facts.paths",
    fields: &[
        ("container", Shape::Text),
        ("data", Shape::Bool),
        ("durability", Shape::Text),
        ("guess", Shape::Bool),
        ("least", Shape::Text),
        ("most", Shape::Text),
        ("path", Shape::Text),
        ("reach", Shape::Text),
        ("readOnly", Shape::Bool),
        ("volume", Shape::Text),
    ],
};
static CLAIM: Record = Record {
    name: "an item of facts.claims",
    fields: &[
        ("bytes", Shape::Int),
        ("class", Shape::Text),
        ("field", Shape::Text),
        ("mode", Shape::Text),
        ("modes", Shape::Texts),
        ("name", Shape::Text),
        ("size", Shape::Text),
    ],
};

/// What the expressions of a review share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// `facts`, or why there are none.
    pub(crate) facts: OnceCell<Result<Value, String>>,
    /// The pod spec of what has none, but the parts of one.
    pub(crate) pod_spec: OnceCell<Value>,
    /// `namespaceObject`.
    pub(crate) namespace: OnceCell<Value>,
    /// `request`.
    pub(crate) request: OnceCell<Value>,
    left: Rc<Cell<u64>>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            facts: OnceCell::new(),
            namespace: OnceCell::new(),
            request: OnceCell::new(),
            pod_spec: OnceCell::new(),
            left: Rc::new(Cell::new(limits::REVIEW)),
        }
    }
}

impl Shared {
    /// Nothing made yet, with steps that are shared with others.
    pub(crate) fn with(left: Rc<Cell<u64>>) -> Self {
        Self { left, ..Self::default() }
    }

    /// The steps that are left, to be shared.
    pub(crate) fn budget(&self) -> Rc<Cell<u64>> {
        Rc::clone(&self.left)
    }

    /// The steps that are left for the rules of the review.
    pub(crate) fn left(&self) -> u64 {
        self.left.get()
    }

    /// How often facts, namespace and request were made.
    #[cfg(test)]
    pub(crate) fn made(&self) -> (usize, usize, usize) {
        let count = |made: bool| usize::from(made);
        (
            count(self.facts.get().is_some()),
            count(self.namespace.get().is_some()),
            count(self.request.get().is_some()),
        )
    }

    /// Takes what a rule used.
    pub(crate) fn took(&self, steps: u64) {
        self.left.set(self.left.get().saturating_sub(steps));
    }
}

/// Where the variables are that every expression has.
pub(crate) trait Globals<'r> {
    /// The value of one.
    ///
    /// # Errors
    /// Why there is none, as a fragment.
    fn global(&self, global: Global) -> Result<Val<'r>, String>;
}
