//! A claim without a volume: from the choice of its node to the volume that is made for it.

use super::bases::beneath;
use super::class::{Parameters, VolumeType};
use super::events::Notice;
use super::memory::Why;
use super::objects::{Claim, Class, NodeVolume, Unbound};
use super::pattern;
use super::planner::Planner;
use super::step::{Action, Step};
use super::volume::{MadeVolume, node_volume_spec};
use crate::daemon::RETRY;
use crate::facts::BindingMode;
use crate::model::{AccessMode, Desired, Phase};

impl Planner<'_> {
    /// A claim that waits for its volume.
    pub(super) fn claim(&mut self, claim: &Claim, rest: &Unbound, found: Option<&NodeVolume>) -> Step {
        let Some(class) = self.world.class(&claim.class) else { return Step::wait() };
        if class.facts.provisioner != self.world.provisioner() {
            return Step::wait();
        }
        match found {
            Some(found) => self.continue_claim(claim, rest, class, found),
            None => self.start_claim(claim, rest, class),
        }
    }

    /// There is no NodeVolume yet.
    fn start_claim(&mut self, claim: &Claim, rest: &Unbound, class: &Class) -> Step {
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

    /// There is a NodeVolume and no volume.
    fn continue_claim(&mut self, claim: &Claim, rest: &Unbound, class: &Class, found: &NodeVolume) -> Step {
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
        Step::Wait { until: Some(self.now + RETRY.longest), notice }
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
    let reached = parameters.volume_type_for(rest).map_err(|fault| fault.to_string())?;
    // Pods that use it would wait forever: no kubelet mounts a hostPath volume with options.
    if reached == VolumeType::HostPath && !class.facts.mount_options.is_empty() {
        return Err(format!(
            "class {:?} has mountOptions ({}), which no hostPath volume can have: let it be a local volume (volumeType), or \
             make the class again without them",
            class.facts.name,
            class.facts.mount_options.join(", ")
        ));
    }
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
