//! What findings turn on besides where the data lies: who made the workload, and what its containers start.

use crate::catalog::{Allowance, Start};
use crate::facts::{Container, Mount, Section, Workload, WorkloadKind};
use crate::model::Durability;
use crate::rule::{Belongs, Context, NewFinding};
use crate::storage::{DataPath, Storage, configuration, has_durable, view};
use crate::verdict::Action;
use std::cell::{Cell, OnceCell};
use std::collections::HashSet;

/// What findings turn on besides where the data lies.
pub(super) struct Asked<'c, 'w, 'a> {
    pub(super) workload: &'w Workload<'a>,
    pub(super) context: &'c Context<'a>,
    pub(super) allowance: Allowance,
    /// All rows of the workload.
    pub(super) rows: &'c [DataPath<'w, 'a>],
    /// The mounts that cover one of them, by container and index, once somebody asked.
    pub(super) held: OnceCell<HashSet<(*const Container<'a>, usize)>>,
    pub(super) job: Belongs,
    /// Whether a controller made the workload.
    pub(super) made: bool,
    /// Whether any container has a mount that lasts, once somebody asked.
    pub(super) lasts: OnceCell<bool>,
    /// What lasts and is mounted nowhere, once somebody asked.
    pub(super) unmounted: OnceCell<Option<&'w str>>,
    /// What the last container that was asked about starts: each of its paths asks.
    pub(super) started: Cell<Option<(&'w Container<'a>, Start)>>,
}

impl<'w, 'a> Asked<'_, 'w, 'a> {
    pub(super) fn lasts(&self, storage: &Storage<'_, '_>) -> bool {
        let containers = &self.workload.pod.containers;
        *self.lasts.get_or_init(|| containers.iter().any(|container| has_durable(storage, container)))
    }

    /// Whether data lie on that mount of the container.
    pub(super) fn holds_data(&self, container: &Container<'a>, mount: &Mount<'a>) -> bool {
        let held = |row: &DataPath<'w, 'a>| Some((std::ptr::from_ref(row.container), row.cover.mount?.index));
        let held = self.held.get_or_init(|| self.rows.iter().filter_map(held).collect());
        held.contains(&(std::ptr::from_ref(container), mount.index))
    }

    /// A claim template or pod volume that lasts and that no container mounts.
    pub(super) fn unmounted(&self, storage: &Storage<'w, 'a>, least: Durability) -> Option<&'w str> {
        *self.unmounted.get_or_init(|| {
            let containers = &self.workload.pod.containers;
            let mounted: HashSet<&str> = containers
                .iter()
                .flat_map(|container| {
                    let devices = container.devices.iter().map(|device| device.volume);
                    container.mounts.iter().map(|mount| mount.volume).chain(devices)
                })
                .collect();
            let templates = self.workload.claim_templates.iter();
            let templates = templates.map(|it| (it.name, storage.claim_spec_fate(&it.spec)));
            let volumes = self.workload.pod.volumes.iter();
            let volumes = volumes.filter(|it| !it.source.is_read_only());
            let mut all =
                templates.chain(volumes.map(|it| (it.name, storage.volume_source_fate(&it.source))));
            all.find(|(name, fate)| fate.least >= least && !mounted.contains(name)).map(|(name, _)| name)
        })
    }

    pub(super) fn start(&self, container: &'w Container<'a>) -> Start {
        match self.started.get() {
            Some((known, start)) if std::ptr::eq(known, container) => start,
            _ => {
                let (namespace, lookup) = (self.context.facts.namespace(), self.context.lookup);
                let brought = configuration(self.workload, container, namespace, lookup, &self.allowance);
                let start = self.context.catalog.start(&view(self.workload, container, Some(&brought)));
                self.started.set(Some((container, start)));
                start
            }
        }
    }

    /// The finding as it is where a person only looks around: a debug container, or a shell at a terminal. To refuse one
    /// would be in the way of whoever repairs something.
    pub(super) fn looked_around(&self, container: &'w Container<'a>, new_finding: NewFinding) -> NewFinding {
        // In a pod template there is no ephemeral container, and what a hook runs is not typed by a person.
        let debugs = container.section == Section::Ephemeral && self.workload.kind == WorkloadKind::Pod;
        let shell =
            || container.interactive && !container.has_post_start && self.start(container) == Start::Shell;
        if !debugs && !shell() {
            return new_finding;
        }
        let help = "to look around, this does no harm; what is written there ends with this container, so mount the \
                    claim to work on its data";
        new_finding.help(help).at_most(Action::Warn)
    }
}
