//! The next step for one volume, from what is known of it. Pure: the same facts give the same step, so that whoever was
//! killed, wherever, goes on by looking again.

use super::bases::{Bases, beneath};
use super::class::Parameters;
use super::events::Notice;
use super::pattern;
use super::remove;
use super::view::{Claim, Class, Node, NodeVolume, Storage, Unbound, Volume};
use super::volume::{MadeVolume, node_volume_spec, without_node};
use super::world::World;
use crate::facts::{BindingMode, ReclaimPolicy};
use crate::model::{AccessMode, Backend, ClaimReference, Desired, NodeVolumeMode, NodeVolumeSpec, Phase};
use serde_json::Value;
use std::collections::HashMap;
use std::time::Duration;

/// How soon the scheduler is sent away again from a node that has refused, as long as there are others.
const BOUNCE: Duration = Duration::from_secs(2);
/// The longest pause between two tries on a node that refuses.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// What an administrator can set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where volumes may be.
    pub bases: Bases,
    /// How long a node may be away before its volumes are given up that are to be removed.
    pub node_grace: Duration,
    /// How long an agent may take to appear before an event says that there is none; how long the node that a claim was
    /// given may be away before another is asked for.
    pub patience: Duration,
    /// How long a NodeVolume without claim and volume is left alone: they may just not be seen yet.
    pub orphan_grace: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bases: Bases::default(),
            node_grace: Duration::from_secs(300),
            patience: Duration::from_secs(10),
            orphan_grace: Duration::from_secs(10),
        }
    }
}

/// What is waited for, where the time since when counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The node is not there.
    NodeGone,
    /// No agent has answered.
    NoAgent,
    /// Neither claim nor volume is there.
    Orphaned,
}

/// What is remembered of one volume from plan to plan, and lost with the process: only the passing of time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    waiting: Option<(Why, Duration)>,
    refusals: Vec<Refusal>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Refusal {
    node: Box<str>,
    times: u32,
    /// When the scheduler was last told.
    told: Duration,
    until: Duration,
    why: String,
    /// Its agent has not answered: it is asked again where there is no other.
    silent: bool,
}

impl Memory {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// A node has refused: it is not asked again for a while.
    fn refused(&mut self, node: &str, why: &str, now: Duration) {
        let known = self.refusals.iter().position(|refusal| &*refusal.node == node);
        let times = known.map_or(0, |at| self.refusals.swap_remove(at).times) + 1;
        let pause = Duration::from_secs(1).saturating_mul(1 << (times - 1).min(16)).min(LONGEST_PAUSE);
        let (node, until) = (node.into(), now + pause);
        self.refusals.push(Refusal { node, times, told: now, until, why: why.to_owned(), silent: false });
    }

    /// A node's agent does not answer: others go before it, should it be chosen anew.
    fn silent(&mut self, node: &str, now: Duration) {
        self.refusals.retain(|refusal| &*refusal.node != node);
        let (node, until) = (node.into(), now + LONGEST_PAUSE);
        let why = "its agent does not answer".to_owned();
        self.refusals.push(Refusal { node, times: 0, told: now, until, why, silent: true });
    }

    fn refusal(&mut self, node: &str, now: Duration) -> Option<&mut Refusal> {
        self.refusals.iter_mut().find(|refusal| &*refusal.node == node && refusal.until > now)
    }
}

/// What must be true on the API server itself, not only in the caches, before anything is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// There is no volume of that name, and the claim is gone or has no volume.
    Unused(ClaimReference),
    /// The volume has this uid, and its claim is gone, and its reclaim policy is Delete.
    Released(Box<str>),
}

/// A write.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Ask a node's agent for a volume, or to take one over.
    CreateNodeVolume {
        /// What is asked for.
        spec: Box<NodeVolumeSpec>,
        /// What becomes of the data when neither claim nor volume is there any more.
        reclaim: ReclaimPolicy,
        /// What must be true, when it is asked for only to be removed.
        removal: Option<Removal>,
    },
    /// Make the volume.
    CreateVolume(Box<Value>),
    /// Take the claim's node away, by a patch that holds only for the claim as it was seen.
    Reschedule {
        /// The claim.
        claim: ClaimReference,
        /// The patch.
        patch: Value,
    },
    /// Ask the agent to remove it.
    SetAbsent {
        /// The NodeVolume's uid.
        uid: Box<str>,
        /// Its resource version.
        version: u64,
        /// What must be true.
        removal: Removal,
    },
    /// Ask the agent for another size, in bytes.
    SetSize {
        /// The NodeVolume's uid.
        uid: Box<str>,
        /// How many bytes.
        bytes: i64,
    },
    /// Note in the NodeVolume what becomes of the data.
    SetReclaim {
        /// The NodeVolume's uid.
        uid: Box<str>,
        /// What becomes of it.
        reclaim: ReclaimPolicy,
    },
    /// The NodeVolume has done its work.
    DeleteNodeVolume {
        /// Its uid.
        uid: Box<str>,
    },
    /// The data is gone: the volume goes.
    DeleteVolume {
        /// Its uid.
        uid: Box<str>,
    },
    /// Let a volume go that is being deleted.
    RemoveFinalizer {
        /// Its uid.
        uid: Box<str>,
    },
    /// The volume holds more now.
    WriteCapacity {
        /// Its uid.
        uid: Box<str>,
        /// The claim's request, as it was written.
        capacity: Box<str>,
    },
    /// The claim has more now, or waits for its node's kubelet.
    WriteClaimStatus {
        /// The claim.
        claim: ClaimReference,
        /// The claim's resource version.
        version: u64,
        /// The volume's new capacity, as the claim asked for it.
        capacity: Box<str>,
        /// Whether the kubelet must let the file system grow.
        node_step: bool,
    },
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// All is as it should be.
    Nothing,
    /// Nothing can be done until something changes, or until that time.
    Wait {
        /// When to look again.
        until: Option<Duration>,
        /// What people should know meanwhile.
        notice: Option<Notice>,
    },
    /// A write; afterwards, look again.
    Do {
        /// The write.
        action: Action,
        /// What people should know of it.
        notice: Option<Notice>,
    },
}

impl Step {
    pub(super) fn act(action: Action) -> Self {
        Self::Do { action, notice: None }
    }
    pub(super) fn wait() -> Self {
        Self::Wait { until: None, notice: None }
    }
    pub(super) fn tell(notice: Notice) -> Self {
        Self::Wait { until: None, notice: Some(notice) }
    }
}

/// The next step for the volume of that name.
pub fn plan(world: &World, key: &str, settings: &Settings, memory: &mut Memory, now: Duration) -> Step {
    let since = memory.waiting.take();
    let mut planner = Planner { world, key, settings, memory, now, since };
    match (world.volume(key), world.claim(key), world.node_volume(key)) {
        (Some(volume), _, _) => {
            planner.memory.refusals.clear();
            remove::volume(&mut planner, volume)
        }
        (None, Some(claim), found) => match &claim.unbound {
            Some(rest) if !claim.deleting => planner.claim(claim, rest, found),
            // Being deleted, it gets no volume any more.
            Some(_) => found.map_or(Step::Nothing, |found| planner.orphan(found)),
            // It names a volume that is not there or not ours: what became of that is not known, so nothing is touched.
            None => Step::Nothing,
        },
        (None, None, Some(found)) => planner.orphan(found),
        (None, None, None) => {
            *memory = Memory::default();
            Step::Nothing
        }
    }
}

pub(super) struct Planner<'a> {
    pub(super) world: &'a World,
    pub(super) key: &'a str,
    pub(super) settings: &'a Settings,
    memory: &'a mut Memory,
    now: Duration,
    since: Option<(Why, Duration)>,
}

impl<'a> Planner<'a> {
    /// Until when it must be waited for something to last that long; nothing when it has.
    pub(super) fn lasting(&mut self, why: Why, grace: Duration) -> Option<Duration> {
        let since = self.since.filter(|(known, _)| *known == why).map_or(self.now, |(_, since)| since);
        self.memory.waiting = Some((why, since));
        Some(since + grace).filter(|until| *until > self.now)
    }

    fn claim(&mut self, claim: &Claim, rest: &Unbound, found: Option<&NodeVolume>) -> Step {
        let Some(class) = self.world.class(&claim.class) else { return Step::wait() };
        if class.facts.provisioner != self.world.provisioner() {
            return Step::wait();
        }
        match found {
            Some(found) => self.going_on(claim, rest, class, found),
            None => self.beginning(claim, rest, class),
        }
    }

    /// There is no NodeVolume yet.
    fn beginning(&mut self, claim: &Claim, rest: &Unbound, class: &Class) -> Step {
        let waits = class.facts.binding == BindingMode::WaitForFirstConsumer;
        if waits && claim.selected_node.is_none() {
            return Step::Nothing;
        }
        let parameters = match demands(claim, rest).and_then(|()| parameters(class, rest)) {
            Ok(parameters) => parameters,
            Err(why) => return Step::tell(Notice::failed(why)),
        };
        let directory = match parameters.directory(self.key, claim, rest) {
            Ok(directory) => directory,
            Err(fault) => return Step::tell(Notice::failed(fault.to_string())),
        };
        let place = match claim.selected_node.as_deref().filter(|_| waits) {
            Some(selected) => self.selected(claim, class, &parameters, selected),
            None => self.choose(claim, class, &parameters),
        };
        let (node, base) = match place {
            Ok(place) => place,
            Err(step) => return *step,
        };
        let spec = node_volume_spec(claim, rest.block, node, parameters.backend, &base, directory);
        let of = format!("{}/{}", claim.namespace, claim.name);
        Step::Do {
            action: Action::CreateNodeVolume {
                spec: Box::new(spec),
                reclaim: class.facts.reclaim,
                removal: None,
            },
            notice: Some(Notice::normal(
                "Provisioning",
                format!("External provisioner is provisioning volume for claim {of:?}"),
            )),
        }
    }

    /// The node that the scheduler chose, and the base there.
    fn selected(
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
    fn elsewhere(&mut self, claim: &Claim, node: &str, why: &str) -> Step {
        self.memory.refused(node, why, self.now);
        Step::Do {
            action: Action::Reschedule { claim: claim.reference(), patch: without_node(claim) },
            notice: Some(Notice::failed(why)),
        }
    }

    /// For a class that waits for no pod: the node with the most room.
    fn choose(
        &mut self,
        claim: &Claim,
        class: &Class,
        parameters: &Parameters,
    ) -> Result<(&'a Node, String), Box<Step>> {
        // Counted once: there are as many NodeVolumes as volumes, and they would be gone through for each node.
        let promised = self.promised();
        let mut why_not = Vec::new();
        let mut best: Option<(bool, i64, &Node, String)> = None;
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
            } else if best.as_ref().is_none_or(|(known, most, ..)| (answers, room) > (*known, *most)) {
                best = Some((answers, room, node, base));
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

    /// There is a NodeVolume and no volume.
    fn going_on(&mut self, claim: &Claim, rest: &Unbound, class: &Class, found: &NodeVolume) -> Step {
        let waits = class.facts.binding == BindingMode::WaitForFirstConsumer;
        if found.spec.desired == Desired::Absent {
            return self.withdraw(found, &claim.reference());
        }
        if waits && claim.selected_node.as_deref() != Some(&*found.spec.node) {
            return self.withdraw(found, &claim.reference());
        }
        match found.status.phase {
            Phase::Pending => self.pending(found),
            Phase::Ready if !found.answered() => Step::wait(),
            Phase::Ready => self.ready(claim, rest, class, found),
            // Nothing of it is on the node, in the agent's own words.
            Phase::Refused | Phase::Lost | Phase::Removed => {
                let complaint = found.complaint().unwrap_or_else(|| "the agent does not say why".to_owned());
                let why = format!("node {:?} cannot hold the volume: {complaint}", found.spec.node);
                if waits {
                    return self.elsewhere(claim, &found.spec.node, &why);
                }
                self.memory.refused(&found.spec.node, &complaint, self.now);
                let action = Action::DeleteNodeVolume { uid: found.uid.clone() };
                Step::Do { action, notice: Some(Notice::failed(why)) }
            }
        }
    }

    fn pending(&mut self, found: &NodeVolume) -> Step {
        let node = &found.spec.node;
        if self.world.node(node).is_none() {
            // No volume has been made of it, so that nobody has data there.
            return match self.lasting(Why::NodeGone, self.settings.patience) {
                None => Step::act(Action::DeleteNodeVolume { uid: found.uid.clone() }),
                until => Step::Wait { until, notice: None },
            };
        }
        if let Some(complaint) = found.complaint() {
            let why = format!("node {node:?} has not made the volume yet: {complaint}; it is tried again");
            return Step::tell(Notice::failed(why));
        }
        if let Some(until) = self.lasting(Why::NoAgent, self.settings.patience) {
            return Step::Wait { until: Some(until), notice: None };
        }
        let why = match self.world.storage(node) {
            None => format!(
                "no volgate agent runs on node {node:?}: the volume is made as soon as there is one (does the DaemonSet \
                 of the agent tolerate the node's taints?)"
            ),
            Some(_) => {
                format!("the volgate agent of node {node:?} has not answered yet: its log may say why")
            }
        };
        // What it has perhaps begun nobody else can remove, so that it is not given up for another node unasked.
        self.memory.silent(node, self.now);
        let way_out = format!("to have another node chosen, kubectl delete nodevolume {}", self.key);
        let notice = Some(Notice::failed(format!("{why}; {way_out}")));
        Step::Wait { until: Some(self.now + LONGEST_PAUSE), notice }
    }

    fn ready(&mut self, claim: &Claim, rest: &Unbound, class: &Class, found: &NodeVolume) -> Step {
        let made = parameters(class, rest).and_then(|parameters| {
            let reached = parameters.volume_type_for(rest).map_err(|fault| fault.to_string())?;
            let path = &made_at(found)?;
            let node = self.world.node(&found.spec.node);
            let node = node.ok_or_else(|| format!("node {:?} is not there", found.spec.node))?;
            let provisioner = self.world.provisioner();
            let made =
                MadeVolume { claim, rest, class, node, found, path, reached, fs_type: parameters.fs_type };
            Ok(made.object(provisioner))
        });
        match made {
            Ok(volume) => Step::Do {
                action: Action::CreateVolume(Box::new(volume)),
                notice: Some(Notice::normal(
                    "ProvisioningSucceeded",
                    format!("Successfully provisioned volume {}", self.key),
                )),
            },
            Err(_) if self.world.node(&found.spec.node).is_none() => {
                match self.lasting(Why::NodeGone, self.settings.patience) {
                    None => Step::act(Action::DeleteNodeVolume { uid: found.uid.clone() }),
                    until => Step::Wait { until, notice: None },
                }
            }
            Err(why) => Step::tell(Notice::failed(why)),
        }
    }

    /// Neither claim nor volume is there, or the claim is on its way out.
    fn orphan(&mut self, found: &NodeVolume) -> Step {
        if found.status.phase == Phase::Removed {
            return Step::act(Action::DeleteNodeVolume { uid: found.uid.clone() });
        }
        let present = found.spec.desired == Desired::Present;
        if present && let Some(until) = self.lasting(Why::Orphaned, self.settings.orphan_grace) {
            return Step::Wait { until: Some(until), notice: None };
        }
        // It may have been a volume that was to be kept: its data stays, as an orphan for an administrator.
        let used = matches!(found.status.phase, Phase::Ready | Phase::Lost);
        if used && found.reclaim != ReclaimPolicy::Delete && present {
            return Step::act(Action::DeleteNodeVolume { uid: found.uid.clone() });
        }
        let claim = found.spec.claim.clone();
        self.withdraw(found, &claim)
    }

    /// A NodeVolume of which no volume was made goes, and what is on the node with it.
    fn withdraw(&mut self, found: &NodeVolume, claim: &ClaimReference) -> Step {
        let absent = found.spec.desired == Desired::Absent;
        let nothing_left = match found.status.phase {
            Phase::Removed => true,
            Phase::Refused | Phase::Lost => !absent,
            Phase::Pending | Phase::Ready => false,
        };
        let delete = || Step::act(Action::DeleteNodeVolume { uid: found.uid.clone() });
        if nothing_left {
            return delete();
        }
        if !absent {
            let removal = Removal::Unused(claim.clone());
            return Step::act(Action::SetAbsent { uid: found.uid.clone(), version: found.version, removal });
        }
        if self.world.node(&found.spec.node).is_none() {
            return match self.lasting(Why::NodeGone, self.settings.patience) {
                None => delete(),
                until => Step::Wait { until, notice: None },
            };
        }
        match found.complaint() {
            Some(complaint) => Step::tell(Notice::failed(format!(
                "what was made on node {:?} is not removed yet: {complaint}",
                found.spec.node
            ))),
            None => Step::wait(),
        }
    }

    /// The node of a volume, by the name that it was made on.
    pub(super) fn node_of(&self, volume: &Volume) -> Option<&'a Node> {
        match (&volume.node, &volume.hostname) {
            (Some(name), _) => self.world.node(name),
            (None, Some(hostname)) => self.world.node_of_hostname(hostname),
            (None, None) => None,
        }
    }
}

/// What a claim must not ask for.
fn demands(claim: &Claim, rest: &Unbound) -> Result<(), String> {
    if rest.source {
        return Err("the claim has a dataSource, and volumes here begin empty: leave it out, and copy the data in a pod".into());
    }
    if rest.selector {
        return Err(
            "the claim has a selector, which only volumes made by hand can match: leave it out".into()
        );
    }
    if let Some(name) = &rest.attributes_class {
        return Err(format!(
            "the claim has volumeAttributesClassName {name:?}, and volumes here have no such attributes: leave it out"
        ));
    }
    let modes = [AccessMode::ReadWriteOnce, AccessMode::ReadWriteOncePod].map(AccessMode::as_str);
    if let Some(mode) = rest.access_modes.iter().find(|mode| !modes.contains(&mode.as_str())) {
        return Err(format!(
            "the claim has access mode {mode}, and a volume here is on one node: only {} can be",
            modes.join(" and ")
        ));
    }
    if claim.request <= 0 {
        return Err(format!("the claim asks for {:?} of storage, which is no size", claim.request_text));
    }
    Ok(())
}

/// The class's parameters, if they suit the claim.
fn parameters(class: &Class, rest: &Unbound) -> Result<Parameters, String> {
    let parameters = Parameters::of(class);
    let parameters = if rest.block { parameters.and_then(|read| read.of_block(class)) } else { parameters };
    let parameters = parameters.map_err(|fault| fault.to_string())?;
    parameters.volume_type_for(rest).map_err(|fault| fault.to_string())?;
    Ok(parameters)
}

/// Where the volume is. Nothing that an agent writes goes into a volume: its path must be the one that follows from what it
/// was asked for. That is checked as well, since whoever may write NodeVolumes could otherwise have a pod read any path of a
/// node.
fn made_at(found: &NodeVolume) -> Result<String, String> {
    let NodeVolume { name, spec, status, as_asked, .. } = found;
    if !as_asked {
        return Err(format!(
            "the agent of node {:?} says that the volume is at {:?}, where it was not asked for: are controller and agent \
             of one version?",
            spec.node,
            status.path.as_deref().unwrap_or_default()
        ));
    }
    let path = spec.path();
    let within =
        beneath(&spec.base, &path).map(drop).ok_or_else(|| format!("it is not below {:?}", spec.base));
    pattern::check(&spec.directory)
        .and(within)
        .map_err(|why| format!("NodeVolume {name} names the path {path:?}, where no volume can be: {why}"))?;
    Ok(spec.reached_at(name))
}

/// Whether it is a file system on a block device, which the kubelet alone can let grow.
pub(super) fn kubelet_grows(spec: &NodeVolumeSpec) -> bool {
    spec.backend == Backend::Loop && spec.volume_mode == NodeVolumeMode::Filesystem
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
