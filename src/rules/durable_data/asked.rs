//! What findings turn on besides where the data lies: who made the workload, and what its containers start.

use crate::catalog::{Allowance, Start};
use crate::facts::{Container, Section, Workload, WorkloadKind};
use crate::json::Node;
use crate::rule::{Belongs, Context, NewFinding};
use crate::storage::{DataPath, Storage, Why, configuration, has_durable, view};
use crate::verdict::Action;
use std::cell::{Cell, OnceCell};

/// What findings turn on besides where the data lies.
pub(super) struct Asked<'c, 'w, 'a> {
    pub(super) workload: &'w Workload<'a>,
    pub(super) context: &'c Context<'a>,
    pub(super) allowance: Allowance,
    pub(super) job: Belongs,
    /// Whether a controller made the workload.
    pub(super) made: bool,
    /// Whether any container has a mount that lasts, once somebody asked.
    pub(super) lasts: OnceCell<bool>,
    /// What the last container that was asked about starts: each of its paths asks.
    pub(super) started: Cell<Option<(&'w Container<'a>, Start)>>,
}

impl<'w, 'a> Asked<'_, 'w, 'a> {
    pub(super) fn lasts(&self, storage: &Storage<'_, '_>) -> bool {
        let containers = &self.workload.pod.containers;
        *self.lasts.get_or_init(|| containers.iter().any(|container| has_durable(storage, container)))
    }

    pub(super) fn start(&self, container: &'w Container<'a>) -> Start {
        match self.started.get() {
            Some((known, start)) if std::ptr::eq(known, container) => start,
            _ => {
                let (namespace, lookup) = (self.context.facts.namespace(), self.context.lookup);
                let brought = configuration(self.workload, container, namespace, lookup, &self.allowance);
                let start = self.context.catalog.start(&view(container, &brought));
                self.started.set(Some((container, start)));
                start
            }
        }
    }

    /// The finding as it is where a person only looks around: a debug container, or a shell at a terminal. To refuse one
    /// would be in the way of whoever repairs something.
    pub(super) fn looked_around(&self, container: &'w Container<'a>, draft: NewFinding) -> NewFinding {
        // In a pod template there is no ephemeral container, and what a hook runs is not typed by a person.
        let debugs = container.section == Section::Ephemeral && self.workload.kind == WorkloadKind::Pod;
        let shell =
            || container.interactive && !container.has_post_start && self.start(container) == Start::Shell;
        if !debugs && !shell() {
            return draft;
        }
        let help = "to look around, this does no harm; what is written there ends with this container, so mount the \
                    claim to work on its data";
        draft.help(help).at_most(Action::Warn)
    }
}

/// The finding about a product's data as it is where the container may start no server of it: a program of the image that
/// is none, or a script that nobody here can read. What has a port, a probe or a mount at its data, and what a StatefulSet
/// runs, is taken for a server all the same.
pub(super) fn of_a_script<'w, 'a>(
    asked: &Asked<'_, 'w, 'a>,
    data: &DataPath<'w, 'a>,
    draft: NewFinding,
) -> Option<NewFinding> {
    let workload = asked.workload;
    let serves = data.container.serves || workload.stateful_set || data.cover.mount.is_some();
    if serves || asked.start(data.container) == Start::Server {
        return Some(draft);
    }
    let start = asked.start(data.container);
    let ends = matches!(workload.kind, WorkloadKind::Job | WorkloadKind::CronJob)
        || workload.kind == WorkloadKind::Pod
            && workload
                .pod
                .spec
                .get("restartPolicy")
                .and_then(Node::as_str)
                .is_some_and(|policy| policy != "Always");
    match start {
        Start::Program if ends => None,
        Start::Unknown if !ends => Some(draft),
        Start::Program | Start::Script | Start::Unknown => {
            let help = "a container that only calls clients loses nothing: ignore this, or except it with a reason; if \
                        its script starts the server, mount a PersistentVolumeClaim where the data lies";
            Some(draft.help(help).at_most(Action::Warn))
        }
        Start::Shell | Start::Server => Some(draft),
    }
}

/// Whether nothing is to be told of a directory in the writable layer: a script of one's own starts the product, and so says
/// where its data lies, and another of the container's directories has a mount, which is judged.
pub(super) fn is_settled<'w, 'a>(
    asked: &Asked<'_, 'w, 'a>,
    data: &DataPath<'w, 'a>,
    own: &[&DataPath<'w, 'a>],
) -> bool {
    let by_default = matches!(data.why, Why::Product { moved_by: None, .. });
    by_default
        && data.cover.mount.is_none()
        && data.hidden_by.is_none()
        && own.iter().any(|other| other.cover.mount.is_some())
        && asked.start(data.container) == Start::Script
}
