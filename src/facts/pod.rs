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
        let mut containers = Vec::new();
        for section in [Section::Init, Section::Main, Section::Ephemeral] {
            containers.append(&mut each(spec, section.field(), |item, index| {
                Container::read(item, section, index)
            })?);
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
        self.base.iter().fold(FieldPath::root(), |path, key| path.key(*key))
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

    /// The path of the terms of its required node affinity.
    pub fn affinity_terms_path(&self) -> FieldPath {
        let affinity = self.path().key("affinity").key("nodeAffinity");
        affinity.key("requiredDuringSchedulingIgnoredDuringExecution").key("nodeSelectorTerms")
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
