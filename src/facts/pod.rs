use super::Meta;
use super::container::{Container, Section, each};
use super::fault::{FactsFault, Object};
use super::pod_volume::PodVolume;
use crate::json::Node;
use crate::model::{FieldPath, NodeRequirement, NodeSelector, NodeTerm};
use std::cell::OnceCell;

/// A pod's spec, wherever it stands.
#[derive(Debug)]
pub struct PodFacts<'a> {
    /// The steps to the spec: `spec`, `spec.template.spec`, …
    pub(super) base: &'static [&'static str],
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
}

impl<'a> PodFacts<'a> {
    pub(super) fn read(
        spec: Node<'a>,
        meta: Meta<'a>,
        base: &'static [&'static str],
    ) -> Result<Self, FactsFault> {
        let read = |section: Section| {
            each(spec, section.field(), move |item, index| Container::read(item, section, index))
        };
        let mut containers = read(Section::Init)?;
        for section in [Section::Main, Section::Ephemeral] {
            let mut more = read(section)?;
            // Mostly there is one list alone, which is kept where it is.
            if containers.is_empty() {
                containers = more;
            } else {
                containers.append(&mut more);
            }
        }
        Ok(Self {
            base,
            spec,
            labels: meta.labels,
            annotations: meta.annotations,
            volumes: each(spec, "volumes", PodVolume::read)?,
            containers,
            node_name: spec.str_at("nodeName")?.filter(|name| !name.is_empty()),
            node_selector: spec.map_at("nodeSelector")?,
            required: OnceCell::new(),
        })
    }

    /// The field path of the spec.
    pub fn path(&self) -> FieldPath {
        let mut path = FieldPath::root();
        self.base.iter().for_each(|key| path.push_key(*key));
        path
    }

    /// The pod volume of that name.
    pub fn volume(&self, name: &str) -> Option<&PodVolume<'a>> {
        self.volumes.iter().find(|volume| volume.name == name)
    }

    /// `nodeSelector` as a term; nothing when it is empty.
    pub fn node_selector_term(&self) -> Option<NodeTerm> {
        let labels = self.node_selector?.fields().filter_map(|(key, value)| Some((key, value.as_str()?)));
        let mut match_expressions: Vec<_> =
            labels.map(|(key, value)| NodeRequirement::is_in(key, value)).collect();
        match_expressions.sort_unstable();
        (!match_expressions.is_empty()).then_some(NodeTerm { match_expressions, match_fields: Vec::new() })
    }

    /// The path of its affinity.
    pub fn affinity_path(&self) -> FieldPath {
        self.path().key("affinity")
    }

    /// The path of the terms of its required node affinity.
    pub fn affinity_terms_path(&self) -> FieldPath {
        let mut path = self.affinity_path();
        for key in ["nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"] {
            path.push_key(key);
        }
        path
    }

    pub(super) fn take_affinity_of(&mut self, spec: Node<'a>) {
        self.spec = spec;
        self.required = OnceCell::new();
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
