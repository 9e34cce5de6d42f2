use super::Meta;
use super::container::{Container, Mount, Section};
use super::fault::FactsFault;
use super::pod_volume::PodVolume;
use super::read::{each_of, list_of_at_most, map, name};
use crate::json::Node;
use crate::model::{FieldPath, NodeRequirement, NodeSelector, NodeTerm};
use std::cell::OnceCell;

/// Finds things of a list by their names, the first of each name. Nothing is made for the few that most pods have.
#[derive(Debug, Default)]
pub(super) struct ByName(OnceCell<Vec<usize>>);

impl ByName {
    const FEW: usize = 32;

    /// The list must be the same each time.
    pub(super) fn find<'l, T>(
        &self,
        list: &'l [T],
        name: &str,
        of: impl for<'t> Fn(&'t T) -> &'t str,
    ) -> Option<&'l T> {
        if list.len() <= Self::FEW {
            return list.iter().find(|thing| of(thing) == name);
        }
        let order = self.0.get_or_init(|| {
            let mut order: Vec<usize> = (0..list.len()).collect();
            order.sort_by(|a, b| list.get(*a).map(&of).cmp(&list.get(*b).map(&of)));
            order
        });
        let at = order.partition_point(|index| list.get(*index).map(&of) < Some(name));
        list.get(*order.get(at)?).filter(|thing| of(thing) == name)
    }
}

/// A pod's spec, wherever it stands.
#[derive(Debug)]
pub struct PodFacts<'a> {
    /// Where the steps begin: the object, or a template in a custom resource.
    outer: FieldPath,
    /// The steps to the spec: `spec`, `spec.template.spec`, …
    base: &'static [&'static str],
    /// The JSON of the spec.
    pub spec: Node<'a>,
    /// The pod's labels: the template's in a workload.
    pub labels: Option<Node<'a>>,
    /// The pod's annotations: the template's in a workload.
    pub annotations: Option<Node<'a>>,
    /// `volumes`.
    pub volumes: Vec<PodVolume<'a>>,
    /// All containers: init and sidecars, then main, then ephemeral ones.
    pub containers: Vec<Container<'a>>,
    /// `nodeName`.
    pub node_name: Option<&'a str>,
    /// `nodeSelector`.
    pub node_selector: Option<Node<'a>>,
    required: OnceCell<Option<NodeSelector>>,
    by_name: ByName,
    /// All mounts, by container and index, in the order of the names of their pod volumes.
    mounts: OnceCell<Vec<(usize, usize)>>,
}

impl<'a> PodFacts<'a> {
    pub(super) fn read(
        spec: Node<'a>,
        meta: Meta<'a>,
        base: &'static [&'static str],
    ) -> Result<Self, FactsFault> {
        let mut pod = Self {
            outer: FieldPath::root(),
            base,
            spec,
            labels: meta.labels,
            annotations: meta.annotations,
            volumes: Vec::new(),
            containers: Vec::new(),
            node_name: None,
            node_selector: None,
            required: OnceCell::new(),
            by_name: ByName::default(),
            mounts: OnceCell::new(),
        };
        let (mut main, mut ephemeral) = (Vec::new(), Vec::new());
        let mut mounts = 0;
        for (key, value) in spec.given() {
            match key {
                "initContainers" => pod.containers = containers(Section::Init, value, &mut mounts)?,
                "containers" => main = containers(Section::Main, value, &mut mounts)?,
                "ephemeralContainers" => ephemeral = containers(Section::Ephemeral, value, &mut mounts)?,
                "volumes" => {
                    list_of_at_most(MAX_VOLUMES, "volumes", value)?;
                    pod.volumes = each_of("volumes", value, PodVolume::read)?;
                }
                "nodeName" => {
                    pod.node_name = Some(name("nodeName", value)?).filter(|name| !name.is_empty());
                }
                "nodeSelector" => pod.node_selector = Some(map("nodeSelector", value)?),
                _ => {}
            }
        }
        for mut more in [main, ephemeral] {
            // Mostly there is one list alone, which is kept where it is.
            if pod.containers.is_empty() {
                pod.containers = more;
            } else {
                pod.containers.append(&mut more);
            }
        }
        Ok(pod)
    }

    /// A pod of parts that stand apart; `template` is what stands at `outer`, where the other fields of the pod are.
    pub(super) fn of_parts(
        outer: FieldPath,
        template: Node<'a>,
        meta: Meta<'a>,
        containers: Vec<Container<'a>>,
        volumes: Vec<PodVolume<'a>>,
    ) -> Self {
        Self {
            outer,
            base: &[],
            spec: template,
            labels: meta.labels,
            annotations: meta.annotations,
            volumes,
            containers,
            node_name: None,
            node_selector: template.get("nodeSelector").filter(|selector| selector.is_map()),
            required: OnceCell::new(),
            by_name: ByName::default(),
            mounts: OnceCell::new(),
        }
    }

    /// The same spec in a template that stands there.
    pub(super) fn beneath(self, outer: FieldPath) -> Self {
        Self { outer, ..self }
    }

    /// The field path of the spec.
    pub fn path(&self) -> FieldPath {
        let mut path = self.outer.clone();
        self.base.iter().for_each(|key| path.push_key(*key));
        path
    }

    /// The pod volume of that name.
    pub fn volume(&self, name: &str) -> Option<&PodVolume<'a>> {
        self.by_name.find(&self.volumes, name, |volume| volume.name)
    }

    /// The mounts of the pod volume of that name, in the order of the containers.
    pub fn mounts_of(&self, volume: &str) -> impl Iterator<Item = (&Container<'a>, &Mount<'a>)> {
        let find = |(container, mount): &(usize, usize)| {
            let container = self.containers.get(*container)?;
            Some((container, container.mounts.get(*mount)?))
        };
        let name = move |at: &(usize, usize)| find(at).map(|(_, mount)| mount.volume);
        let mounts = self.mounts.get_or_init(|| {
            let containers = self.containers.iter().enumerate();
            let mut all: Vec<(usize, usize)> =
                containers.flat_map(|(at, c)| (0..c.mounts.len()).map(move |mount| (at, mount))).collect();
            all.sort_by(|a, b| name(a).cmp(&name(b)));
            all
        });
        let from = mounts.partition_point(|at| name(at) < Some(volume));
        let to = mounts.partition_point(|at| name(at) <= Some(volume));
        mounts.get(from..to).unwrap_or_default().iter().filter_map(find)
    }

    /// `nodeSelector` as a term; nothing when it is empty.
    pub fn node_selector_term(&self) -> Option<NodeTerm> {
        let labels = self.node_selector?.fields().filter_map(|(key, value)| Some((key, value.as_str()?)));
        let mut match_expressions: Vec<_> =
            labels.map(|(key, value)| NodeRequirement::is_in(key, value)).collect();
        match_expressions.sort_unstable();
        (!match_expressions.is_empty()).then_some(NodeTerm { match_expressions, match_fields: Vec::new() })
    }

    /// The path of the terms of its required node affinity.
    pub fn affinity_terms_path(&self) -> FieldPath {
        let mut path = self.path();
        for key in [
            "affinity",
            "nodeAffinity",
            "requiredDuringSchedulingIgnoredDuringExecution",
            "nodeSelectorTerms",
        ] {
            path.push_key(key);
        }
        path
    }

    /// The pod's own required node affinity.
    pub fn required_affinity(&self) -> Option<&NodeSelector> {
        self.required.get_or_init(|| self.required_affinity_as_written().map(NodeSelector::parse)).as_ref()
    }

    fn required_affinity_as_written(&self) -> Option<Node<'a>> {
        let affinity = self.spec.get("affinity")?.get("nodeAffinity")?;
        affinity.get("requiredDuringSchedulingIgnoredDuringExecution").filter(|required| !required.is_null())
    }
}

/// How many containers one list may have.
const MAX_CONTAINERS: usize = 1_000;
/// How many volumes a pod may have, and how many mounts and devices in all its containers.
const MAX_VOLUMES: usize = 10_000;

/// Reads a list of containers. `mounts` counts those of the whole pod: each can be worth a finding.
fn containers<'a>(
    section: Section,
    value: Node<'a>,
    mounts: &mut usize,
) -> Result<Vec<Container<'a>>, FactsFault> {
    list_of_at_most(MAX_CONTAINERS, section.field(), value)?;
    each_of(section.field(), value, |item, index| {
        let container = Container::read(item, section, index)?;
        *mounts += container.mounts.len() + container.devices.len();
        if *mounts > MAX_VOLUMES {
            let message =
                format!("the pod has more than {MAX_VOLUMES} mounts up to here: no cluster can use as many");
            return Err(FactsFault::at("volumeMounts", message));
        }
        Ok(container)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_few_and_of_many_the_first_of_a_name_is_found() {
        for count in [0, 1, ByName::FEW, ByName::FEW + 1, 300] {
            let list: Vec<(String, usize)> =
                (0..count).map(|index| (format!("v{}", index * 7 % 100), index)).collect();
            let names = ByName::default();
            for name in (0..100).map(|number| format!("v{number}")).chain(["w".into(), "".into()]) {
                let wanted = list.iter().find(|(known, _)| *known == name);
                assert_eq!(names.find(&list, &name, |thing| &thing.0), wanted, "{name} of {count}");
            }
        }
    }
}
