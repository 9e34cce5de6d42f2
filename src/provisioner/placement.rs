//! On which node, and in which of its bases, a claim's volume is made.

use super::class::Parameters;
use super::events::Notice;
use super::memory::Why;
use super::objects::{Claim, Class, Node, Storage};
use super::planner::Planner;
use super::step::{Action, Step};
use super::volume::without_node;
use crate::model::Phase;
use std::collections::HashMap;
use std::time::Duration;

/// How soon the scheduler is sent away again from a node that has refused, as long as there are others.
const BOUNCE: Duration = Duration::from_secs(2);

impl<'a> Planner<'a> {
    /// The node that the scheduler chose, and the base there.
    pub(super) fn selected(
        &mut self,
        claim: &Claim,
        class: &Class,
        parameters: &Parameters,
        selected: &str,
    ) -> Result<(&'a Node, String), Box<Step>> {
        let Some(node) = self.world.node(selected) else {
            if let Some(until) = self.lasting(Why::NodeGone, self.settings.patience) {
                return Err(Box::new(Step::Wait { until: Some(until), notice: None }));
            }
            return Err(Box::new(self.elsewhere(
                claim,
                selected,
                &format!("the selected node {selected:?} is not there"),
            )));
        };
        if let Some(step) = self.refused_before(claim, class, parameters, selected) {
            return Err(Box::new(step));
        }
        if !class.allows(node) {
            let why = format!("the class's allowedTopologies leave out the selected node {selected:?}");
            return Err(Box::new(self.elsewhere(claim, selected, &why)));
        }
        match self.base(class, parameters, node, self.world.storage(selected)) {
            Ok(base) => Ok((node, base)),
            Err(why) => Err(Box::new(self.elsewhere(claim, selected, &why))),
        }
    }

    /// The scheduler has chosen a node that refused a short while ago. It is sent on where another might do, and otherwise
    /// waits until the node is asked again.
    fn refused_before(
        &mut self,
        claim: &Claim,
        class: &Class,
        parameters: &Parameters,
        selected: &str,
    ) -> Option<Step> {
        let now = self.now;
        let others = self.world.storages().any(|storage| {
            let node = self.world.node(&storage.node).filter(|node| class.allows(node));
            *storage.node != *selected
                && self.memory.refusal(&storage.node, now).is_none()
                && node.is_some_and(|node| self.base(class, parameters, node, Some(storage)).is_ok())
        });
        let refusal = self.memory.refusal(selected, now)?;
        if !others {
            return (!refusal.silent).then_some(Step::Wait { until: Some(refusal.until), notice: None });
        }
        let next = refusal.told + BOUNCE;
        if next > now {
            return Some(Step::Wait { until: Some(next.min(refusal.until)), notice: None });
        }
        refusal.told = now;
        Some(Step::act(Action::Reschedule { claim: claim.reference(), patch: without_node(claim) }))
    }

    /// The scheduler is asked for another node. Nothing of the volume may be on the one it chose.
    pub(super) fn elsewhere(&mut self, claim: &Claim, node: &str, why: &str) -> Step {
        self.memory.refused(node, why, self.now);
        Step::Do {
            action: Action::Reschedule { claim: claim.reference(), patch: without_node(claim) },
            notice: Some(Notice::failed(why)),
        }
    }

    /// For a class that waits for no pod: the node with the most room, of those that pods may come to where there are any.
    pub(super) fn choose(
        &mut self,
        claim: &Claim,
        class: &Class,
        parameters: &Parameters,
    ) -> Result<(&'a Node, String), Box<Step>> {
        // Counted once: there are as many NodeVolumes as volumes, and they would be gone through for each node.
        let promised = self.promised();
        let mut why_not = Vec::new();
        let mut best: Option<((bool, bool, i64), &Node, String)> = None;
        let mut storages: Vec<&Storage> = self.world.storages().collect();
        storages.sort_by(|a, b| a.node.cmp(&b.node));
        for storage in storages {
            let Some(node) = self.world.node(&storage.node).filter(|node| class.allows(node)) else {
                continue;
            };
            let refusal = self.memory.refusal(&node.name, self.now);
            let answers = refusal.is_none();
            if let Some(refusal) = refusal.filter(|refusal| !refusal.silent) {
                why_not.push(format!("{}: {}", node.name, refusal.why));
                continue;
            }
            let base = match self.base(class, parameters, node, Some(storage)) {
                Ok(base) => base,
                Err(why) => {
                    why_not.push(format!("{}: {why}", node.name));
                    continue;
                }
            };
            let asked = promised.get(&(&*node.name, &*base)).copied().unwrap_or(0);
            let room = storage.base(&base).map_or(0, |base| base.available_bytes).saturating_sub(asked);
            if room < claim.request {
                why_not.push(format!("{}: {base} has {} bytes left", node.name, room.max(0)));
                continue;
            }
            // A node that is drained has the most room of all, and no pod comes to its volumes.
            let rank = (answers, !node.closed, room);
            if best.as_ref().is_none_or(|(highest, ..)| rank > *highest) {
                best = Some((rank, node, base));
            }
        }
        if let Some((.., node, base)) = best {
            return Ok((node, base));
        }
        let retry =
            self.memory.refusals.iter().map(|refusal| refusal.until).filter(|until| *until > self.now).min();
        let all = if why_not.is_empty() {
            "no node that the class allows has a volgate agent".to_owned()
        } else {
            why_not.truncate(5);
            why_not.join("; ")
        };
        let why = format!("no node can hold {} bytes of class {:?}: {all}", claim.request, class.facts.name);
        Err(Box::new(Step::Wait { until: retry, notice: Some(Notice::failed(why)) }))
    }

    /// What agents have been asked for and have not taken off what they tell of their room, by node and base.
    fn promised(&self) -> HashMap<(&'a str, &'a str), i64> {
        let mut promised = HashMap::new();
        for volume in self.world.node_volumes().filter(|volume| volume.status.phase == Phase::Pending) {
            let sum: &mut i64 = promised.entry((&*volume.spec.node, &*volume.spec.base)).or_default();
            *sum = sum.saturating_add(volume.spec.size_bytes);
        }
        promised
    }

    /// The base in which the volume of a class is to be on a node.
    fn base(
        &self,
        class: &Class,
        parameters: &Parameters,
        node: &Node,
        storage: Option<&Storage>,
    ) -> Result<String, String> {
        let bases = &self.settings.bases;
        let paths = bases.of(&class.facts.name, &node.name)?;
        let told = |path: &str| storage.and_then(|storage| storage.base(path));
        let usable = |path: &str| match (storage, told(path)) {
            (None, _) => Ok(()),
            (Some(_), Some(base)) if !base.usable => {
                let why = base.message.as_deref().unwrap_or("the agent does not say why");
                Err(format!("{path} on node {:?} cannot be used: {why}", node.name))
            }
            (Some(_), Some(base)) if !base.backends.contains(&parameters.backend) => {
                let why = base.message.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
                let backend = parameters.backend.name();
                Err(format!("node {:?} cannot make volumes of backend {backend} in {path}{why}", node.name))
            }
            (Some(_), Some(_)) => Ok(()),
            (Some(storage), None) => {
                let known: Vec<&str> = storage.bases.iter().map(|base| base.path.as_str()).collect();
                Err(format!(
                    "the agent of node {:?} has no base {path}; it has: {}",
                    node.name,
                    known.join(", ")
                ))
            }
        };
        if let Some(wanted) = &parameters.node_path {
            let known = paths.contains(wanted) || (bases.admits_others() && told(wanted).is_some());
            if !known {
                return Err(format!(
                    "the class's nodePath {wanted} is none of the paths of node {:?}: {}",
                    node.name,
                    paths.join(", ")
                ));
            }
            return usable(wanted).map(|()| wanted.clone());
        }
        let good = paths.iter().filter(|path| usable(path).is_ok());
        let room = |path: &&String| told(path).map_or(0, |base| base.available_bytes);
        // Of equals the first, as max_by_key would take the last.
        match good.rev().max_by_key(room) {
            Some(path) => Ok(path.clone()),
            None => {
                let why = paths.iter().filter_map(|path| usable(path).err());
                Err(why.collect::<Vec<_>>().join("; "))
            }
        }
    }
}
