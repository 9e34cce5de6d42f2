//! What selectors see of one object, and which of it they may believe.

use super::schema::Match;
use crate::facts::{Facts, Meta, NamespaceFacts, Owner, OwnerFacts, Subject, WorkloadKind};
use crate::lookup::Lookup;
use crate::model::{LabelSelector, Labels, is_controller};
use std::sync::Arc;

/// Everything that selectors see of one object: its labels, its template's, its owners', its namespace's.
pub struct Subjects<'a> {
    facts: &'a Facts<'a>,
    namespace: Option<Arc<NamespaceFacts>>,
    owners: Vec<Arc<OwnerFacts>>,
    /// How many of `owners`, from the first, have the uid that they are named with.
    proven: usize,
    /// Who asks; none in `check`.
    user: Option<&'a str>,
}

/// Whether an object belongs to a controller of some kind, as far as it says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Belongs {
    /// It does not say so.
    No,
    /// It does: the controller is there under that uid, or the request is that controller's own.
    Proven,
    /// It says so, and nobody here can tell: a run of `check` without that controller. With what is missing.
    Unknown(String),
    /// It says so in a cluster that has no such controller. With what is wrong.
    Invented(String),
}

/// Which owners count. A reference to an owner is written by whoever writes the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Believe {
    /// All that the object names: what brings it under a policy.
    Claims,
    /// Those alone that are known, under that uid, and the kind of one whose controller asks: what takes it out again.
    Proof,
}

impl<'a> Subjects<'a> {
    /// Looks up the object's namespace and its owners.
    pub fn new(facts: &'a Facts<'a>, lookup: &dyn Lookup, user: Option<&'a str>) -> Self {
        let namespace = facts.id.namespace.as_deref().map(|name| {
            lookup.namespace(name).unwrap_or_else(|| {
                let id = crate::model::ObjectRef { name: name.to_owned(), ..Default::default() };
                Arc::new(NamespaceFacts::read(&id, &Meta::default()))
            })
        });
        let mut owners: Vec<Arc<OwnerFacts>> = Vec::new();
        let mut proven = 0;
        // A pod's ReplicaSet and its Deployment, a Job and its CronJob: two steps are all there are.
        while owners.len() < 2 {
            let next = match owners.last() {
                Some(owner) => owner.controller.as_deref().map(Owner::from),
                None => facts.meta.controller,
            };
            let Some(next) = next.filter(|owner| owner.workload.is_some()) else { break };
            let Some(owner) = lookup.owner(facts.namespace(), next.kind, next.name) else { break };
            // A manifest that no cluster has stored yet has no uid to differ by.
            if proven == owners.len() && (owner.uid.is_empty() || owner.uid == next.uid) {
                proven += 1;
            }
            owners.push(owner);
        }
        Self { facts, namespace, owners, proven, user }
    }

    /// Whether the object is a StatefulSet, a Job or a CronJob, or proven to belong to one: its mounts are its data
    /// anyhow, or it is not meant to keep any.
    pub fn is_set_or_job(&self) -> bool {
        [WorkloadKind::StatefulSet, WorkloadKind::Job]
            .iter()
            .any(|kind| self.belongs_to(*kind) == Belongs::Proven)
    }

    /// Whether the object is of that kind, or belongs to a controller of that kind; a CronJob counts as a Job. A pod
    /// names its controller itself, so that only proof counts. A controller makes pods within milliseconds of what they belong to, before any cache knows of it: that
    /// the request is its own is as good, as its account cannot be forged.
    pub fn belongs_to(&self, kind: WorkloadKind) -> Belongs {
        let own = self.facts.workload().map(|workload| match workload.kind {
            WorkloadKind::CronJob => WorkloadKind::Job,
            own => own,
        });
        if own == Some(kind) {
            return Belongs::Proven;
        }
        let Some(owner) = self.facts.meta.controller.filter(|owner| owner.workload == Some(kind)) else {
            return Belongs::No;
        };
        if self.proven > 0 || self.is_by_its_controller() {
            return Belongs::Proven;
        }
        let Owner { kind, name, .. } = owner;
        let belongs = format!("that it belongs to {kind} {name:?}");
        match (self.user, self.owners.is_empty()) {
            (None, true) => {
                Belongs::Unknown(format!("{belongs} is not proven: the {kind} is not in what was given"))
            }
            (None, false) => {
                Belongs::Unknown(format!("{belongs} is not proven: the {kind} of that name has another uid"))
            }
            (Some(_), _) => Belongs::Invented(format!(
                "{belongs} excuses nothing, because there is no such {kind} under that uid, and anyone can write that"
            )),
        }
    }

    /// Whether the request is that of the controller of the kind that the object names as its owner's.
    fn is_by_its_controller(&self) -> bool {
        let owner = self.facts.meta.controller.and_then(|owner| owner.workload);
        owner
            .and_then(WorkloadKind::controller)
            .is_some_and(|controller| self.user.is_some_and(|user| is_controller(user, controller)))
    }

    /// The facts of the object's namespace.
    pub fn namespace(&self) -> Option<&NamespaceFacts> {
        self.namespace.as_deref()
    }

    /// Whether all parts that are given hold.
    pub fn satisfy(&self, matches: &Match, believe: Believe) -> bool {
        let Match { namespaces, namespace_selector, object_selector, kinds } = matches;
        (namespaces.is_empty() || namespaces.iter().any(|pattern| fits(pattern, self.facts.namespace())))
            && namespace_selector.as_ref().is_none_or(|selector| match &self.namespace {
                Some(namespace) => selector.matches(&**namespace),
                None => *selector == LabelSelector::default(),
            })
            && object_selector.as_ref().is_none_or(|selector| self.has_labels(selector, believe))
            && (kinds.is_empty() || kinds.iter().any(|kind| self.is_kind(kind, believe)))
    }

    /// Whether the object's labels, its template's or one of its owners' satisfy the selector.
    pub fn labelled(&self, selector: &LabelSelector) -> bool {
        self.has_labels(selector, Believe::Claims)
    }

    fn has_labels(&self, selector: &LabelSelector, believe: Believe) -> bool {
        let template = match &self.facts.subject {
            Subject::Workload(workload) => workload.pod.labels,
            _ => None,
        };
        selector.matches(&self.facts.meta)
            || template.is_some_and(|labels| selector.matches(&labels))
            || self.owners(believe).any(|owner| selector.matches(&owner.labels as &dyn Labels))
    }

    fn is_kind(&self, kind: &str, believe: Believe) -> bool {
        let claimed = || self.facts.meta.controller.is_some_and(|owner| owner.kind == kind);
        self.facts.id.kind == kind
            || ((believe == Believe::Claims || self.is_by_its_controller()) && claimed())
            || self.owners(believe).any(|owner| owner.kind == kind)
    }

    fn owners(&self, believe: Believe) -> impl Iterator<Item = &OwnerFacts> {
        let count = if believe == Believe::Proof { self.proven } else { self.owners.len() };
        self.owners.iter().take(count).map(|owner| &**owner)
    }

    /// Kind and name of the first owner that is named and not proven.
    pub(super) fn unproven_owner(&self) -> Option<String> {
        let owner = match self.proven.checked_sub(1).and_then(|last| self.owners.get(last)) {
            Some(owner) => Owner::from(owner.controller.as_deref()?),
            None => self.facts.meta.controller?,
        };
        Some(format!("{} {:?}", owner.kind, owner.name))
    }

    pub(super) fn annotation(&self, key: &str) -> Option<&str> {
        let template = || {
            let workload = self.facts.workload()?;
            workload.pod.annotations?.get(key)?.as_str()
        };
        self.facts.meta.annotation(key).or_else(template)
    }
}

/// Whether a name fits a pattern in which `*` at the end stands for any rest.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => pattern == name,
    }
}
