//! What selectors see of one object, and which of it they may believe.

use super::Requester;
use crate::facts::{Facts, Meta, NamespaceFacts, Owner, OwnerFacts, Subject, WorkloadKind};
use crate::lookup::Lookup;
use crate::model::{LabelSelector, Labels, is_any_controller, is_controller};
use crate::verdict::MadeFor;
use std::cell::OnceCell;
use std::sync::Arc;

/// Everything that selectors see of one object: its labels, its template's, its owners', its namespace's.
pub struct Subjects<'a> {
    facts: &'a Facts<'a>,
    lookup: &'a dyn Lookup,
    /// Looked up when somebody asks: few policies do.
    namespace: OnceCell<Option<Arc<NamespaceFacts>>>,
    owners: Vec<Arc<OwnerFacts>>,
    /// How many of `owners`, from the first, have the uid that they are named with.
    proven: usize,
    /// Who asks; none in `check`.
    user: Option<&'a str>,
    /// Who asks, with the groups; none where that is not known.
    requester: Option<&'a Requester>,
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
pub enum Trust {
    /// All that the object names: what brings it under a policy.
    Stated,
    /// Those alone that are known, under that uid, and the kind of one whose controller asks: what takes it out again.
    Proven,
}

impl<'a> Subjects<'a> {
    /// Looks up the object's owners, and its namespace when that is asked for.
    pub fn new(facts: &'a Facts<'a>, lookup: &'a dyn Lookup, user: Option<&'a str>) -> Self {
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
        Self { facts, lookup, namespace: OnceCell::new(), owners, proven, user, requester: None }
    }

    /// The same, asked for by that user.
    #[must_use]
    pub fn asked_by(self, requester: Option<&'a Requester>) -> Self {
        Self { requester, ..self }
    }

    /// Who asks, with the groups; none where that is not known.
    pub fn requester(&self) -> Option<&Requester> {
        self.requester
    }

    /// Whether one of Kubernetes' controllers makes the object for an owner that is known. Somebody wrote the owner, and who
    /// that was is not known any more.
    pub fn is_made_for_an_owner(&self) -> bool {
        self.requester.is_some_and(|requester| is_any_controller(&requester.name))
            && (self.proven > 0 || self.is_by_its_controller())
    }

    /// Why it is not known who asks, as a clause.
    pub(crate) fn no_requester(&self) -> &'static str {
        if self.requester.is_some() {
            "a controller makes it, and who wrote its owner is not known"
        } else {
            "who asks is not known here (`--as USER` says it)"
        }
    }

    /// The topmost of its owners that are known under the uid that they are named with: the Deployment of a ReplicaSet's pod.
    pub fn made_for(&self) -> Option<MadeFor> {
        let OwnerFacts { kind, namespace, name, uid, .. } =
            &**self.owners.get(self.proven.checked_sub(1)?)?;
        let [kind, namespace, name, uid] = [kind, namespace, name, uid].map(Clone::clone);
        Some(MadeFor { kind, namespace, name, uid }).filter(|owner| !owner.uid.is_empty())
    }

    /// Whether the object is a StatefulSet, a Job or a CronJob, or proven to belong to one: its mounts are its data
    /// anyhow, or it is not meant to keep any.
    pub fn is_set_or_job(&self) -> bool {
        [WorkloadKind::StatefulSet, WorkloadKind::Job]
            .iter()
            .any(|kind| self.belongs_to(*kind) == Belongs::Proven)
    }

    /// Whether the object says that a controller made it, as an operator makes a StatefulSet of a custom resource.
    pub fn has_controller(&self) -> bool {
        self.facts.meta.controller.is_some()
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

    /// The name of the object's namespace; empty for cluster-scoped objects.
    pub fn namespace_name(&self) -> &str {
        self.facts.namespace()
    }

    /// The facts of the object's namespace.
    pub fn namespace(&self) -> Option<&NamespaceFacts> {
        let looked_up = || {
            let name = self.facts.id.namespace.as_deref()?;
            Some(self.lookup.namespace(name).unwrap_or_else(|| {
                let id = crate::model::ObjectRef { name: name.to_owned(), ..Default::default() };
                Arc::new(NamespaceFacts::read(&id, &Meta::default()))
            }))
        };
        self.namespace.get_or_init(looked_up).as_deref()
    }

    /// Whether the object is a pod, or something that pods are made from.
    pub fn has_pods(&self) -> bool {
        self.facts.workload().is_some()
    }

    /// Whether the object's labels, its template's or one of its owners' satisfy the selector.
    pub fn labelled(&self, selector: &LabelSelector) -> bool {
        self.has_labels(selector, Trust::Stated)
    }

    /// Whether the object's labels, its template's or those of an owner that counts satisfy the selector.
    pub fn has_labels(&self, selector: &LabelSelector, trust: Trust) -> bool {
        let template = match &self.facts.subject {
            Subject::Workload(workload) => workload.pod.labels,
            _ => None,
        };
        selector.matches(&self.facts.meta)
            || template.is_some_and(|labels| selector.matches(&labels))
            || self.owners(trust).any(|owner| selector.matches(&owner.labels as &dyn Labels))
    }

    /// Whether the object is of that kind, or an owner that counts.
    pub fn is_kind(&self, kind: &str, trust: Trust) -> bool {
        let claimed = || self.facts.meta.controller.is_some_and(|owner| owner.kind == kind);
        self.facts.id.kind == kind
            || ((trust == Trust::Stated || self.is_by_its_controller()) && claimed())
            || self.owners(trust).any(|owner| owner.kind == kind)
    }

    fn owners(&self, trust: Trust) -> impl Iterator<Item = &OwnerFacts> {
        let count = if trust == Trust::Proven { self.proven } else { self.owners.len() };
        self.owners.iter().take(count).map(|owner| &**owner)
    }

    /// Kind and name of the first owner that is named and not proven.
    pub(crate) fn unproven_owner(&self) -> Option<String> {
        let owner = match self.proven.checked_sub(1).and_then(|last| self.owners.get(last)) {
            Some(owner) => Owner::from(owner.controller.as_deref()?),
            None => self.facts.meta.controller?,
        };
        Some(format!("{} {:?}", owner.kind, owner.name))
    }

    pub(crate) fn annotation(&self, key: &str) -> Option<&str> {
        let template = || {
            let workload = self.facts.workload()?;
            workload.pod.annotations?.get(key)?.as_str()
        };
        self.facts.meta.annotation(key).or_else(template)
    }
}
