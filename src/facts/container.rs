use super::config::ConfigKind;
use super::fault::{FactsFault, OrFault};
use super::read::{Object, each_of, list, map, name, quantity_at, text, texts, truth};
use crate::json::Node;
use crate::model::{FieldPath, FsPath, Quantity};
use std::collections::HashMap;

/// Which list of the pod a container stands in, and what that means for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Section {
    /// `initContainers`: runs to its end before the others start.
    Init,
    /// `initContainers` with `restartPolicy: Always`: runs beside the others.
    Sidecar,
    /// `containers`.
    Main,
    /// `ephemeralContainers`: put into a running pod to debug it.
    Ephemeral,
}

impl Section {
    /// The field of the pod spec.
    pub fn field(self) -> &'static str {
        match self {
            Self::Init | Self::Sidecar => "initContainers",
            Self::Main => "containers",
            Self::Ephemeral => "ephemeralContainers",
        }
    }
}

/// One container of a pod.
#[derive(Debug)]
pub struct Container<'a> {
    /// Where it stands.
    pub section: Section,
    /// Its path, where it stands in no list of containers of a pod spec.
    pub(super) place: Option<FieldPath>,
    /// As it stands in the object.
    pub node: Node<'a>,
    /// Its index in that list.
    pub index: usize,
    /// Its name.
    pub name: &'a str,
    /// Its image; empty where a higher level fills it in.
    pub image: &'a str,
    /// `command`.
    pub command: Vec<&'a str>,
    /// `args`.
    pub args: Vec<&'a str>,
    /// `workingDir`.
    pub working_dir: Option<&'a str>,
    /// `env`, in order: the name, and the value unless `valueFrom` brings it.
    pub env: Vec<(&'a str, Option<&'a str>)>,
    /// The prefix of each entry of `envFrom`: it brings in variables whose names begin so, which are not known here.
    pub env_from: Vec<&'a str>,
    /// What each entry of `envFrom` reads, in the same order; none where it names nothing.
    pub env_from_objects: Vec<Option<(ConfigKind, &'a str)>>,
    /// The variables whose `valueFrom` names a key of a ConfigMap or a Secret, by their index in `env`.
    pub value_from: Vec<(usize, KeyRef<'a>)>,
    /// `volumeMounts`.
    pub mounts: Vec<Mount<'a>>,
    /// `volumeDevices`.
    pub devices: Vec<Device<'a>>,
    /// `securityContext.readOnlyRootFilesystem`.
    pub read_only_root: bool,
    /// Whether a person can type into it: `stdin` and `tty`.
    pub interactive: bool,
    /// Whether it has a port or a probe, as servers have.
    pub serves: bool,
    /// Whether `lifecycle.postStart` runs something beside its command.
    pub has_post_start: bool,
    /// `resources.limits.memory`.
    pub memory_limit: Option<Quantity>,
    /// `resources.limits.ephemeral-storage`.
    pub storage_limit: Option<Quantity>,
}

/// A key of a ConfigMap or a Secret, as `valueFrom` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRef<'a> {
    /// The kind of the object.
    pub kind: ConfigKind,
    /// The object's name.
    pub name: &'a str,
    /// The key.
    pub key: &'a str,
}

/// One volume mount.
#[derive(Debug)]
pub struct Mount<'a> {
    /// Its index in `volumeMounts`.
    pub index: usize,
    /// Its path, where it does not stand in the container.
    pub(super) place: Option<FieldPath>,
    /// The pod volume's name.
    pub volume: &'a str,
    /// Where it is mounted, cleaned.
    pub path: FsPath<'a>,
    /// Whether it is mounted read-only.
    pub read_only: bool,
    /// Whose the part of the volume is that is mounted.
    pub part: Part,
    /// `subPath`.
    pub sub_path: &'a str,
    /// `subPathExpr`.
    pub sub_path_expr: &'a str,
}

/// Whose a part of a volume is, as its `subPathExpr` has it. Only what the kubelet fills in from the pod itself tells pods
/// apart: a plain value, or one from a ConfigMap, is the same in all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Everybody's who mounts it.
    Shared,
    /// Of the pods on one node.
    OfNode,
    /// Of the pods with one ordinal, of which a StatefulSet has one.
    OfOrdinal,
    /// Of one pod.
    OfPod,
}

impl Part {
    /// What a field of the pod tells apart.
    fn by_field(path: &str) -> Self {
        match path {
            "metadata.name" | "metadata.uid" | "status.podIP" | "status.podIPs" => Self::OfPod,
            "metadata.labels['apps.kubernetes.io/pod-index']" => Self::OfOrdinal,
            "spec.nodeName" | "status.hostIP" | "status.hostIPs" => Self::OfNode,
            _ => Self::Shared,
        }
    }
}

/// One block device.
#[derive(Debug)]
pub struct Device<'a> {
    /// Its index in `volumeDevices`.
    pub index: usize,
    /// The pod volume's name.
    pub volume: &'a str,
    /// The device's path in the container.
    pub path: &'a str,
}

impl<'a> Container<'a> {
    pub(super) fn read(value: Node<'a>, section: Section, index: usize) -> Result<Self, FactsFault> {
        let mut container = Self {
            section,
            place: None,
            node: value,
            index,
            name: "",
            image: "",
            command: Vec::new(),
            args: Vec::new(),
            working_dir: None,
            env: Vec::new(),
            env_from: Vec::new(),
            env_from_objects: Vec::new(),
            value_from: Vec::new(),
            mounts: Vec::new(),
            devices: Vec::new(),
            read_only_root: false,
            interactive: false,
            serves: false,
            has_post_start: false,
            memory_limit: None,
            storage_limit: None,
        };
        let (mut stdin, mut tty) = (false, false);
        for (key, value) in value.given() {
            match key {
                "ports" => container.serves |= value.items().next().is_some(),
                "readinessProbe" | "livenessProbe" | "startupProbe" => container.serves = true,
                "stdin" => stdin = truth("stdin", value)?,
                "tty" => tty = truth("tty", value)?,
                "lifecycle" => {
                    container.has_post_start =
                        map("lifecycle", value)?.map_at("postStart").or_within("lifecycle")?.is_some();
                }
                "name" => container.name = name("name", value)?,
                "image" => container.image = text("image", value)?,
                "command" => container.command = texts("command", value)?,
                "args" => container.args = texts("args", value)?,
                "workingDir" => container.working_dir = Some(text("workingDir", value)?),
                "env" => {
                    let value_from = &mut container.value_from;
                    container.env = each_of("env", value, |item, index| {
                        value_from.extend(key_ref(item).map(|named| (index, named)));
                        variable(item)
                    })?;
                }
                "envFrom" => {
                    let prefix =
                        |item: Node<'a>| item.get("prefix").and_then(Node::as_str).unwrap_or_default();
                    container.env_from = list("envFrom", value)?.map(prefix).collect();
                    container.env_from_objects = value.items().map(env_from_object).collect();
                }
                "volumeMounts" => {
                    container.mounts = each_of("volumeMounts", value, Mount::read)?;
                }
                "volumeDevices" => {
                    container.devices = each_of("volumeDevices", value, Device::read)?;
                }
                "securityContext" => {
                    let read_only = map("securityContext", value)?.bool_at("readOnlyRootFilesystem");
                    container.read_only_root = read_only.or_within("securityContext")?;
                }
                "resources" => {
                    [container.memory_limit, container.storage_limit] = limits(map("resources", value)?)?;
                }
                "restartPolicy" if section == Section::Init && text("restartPolicy", value)? == "Always" => {
                    container.section = Section::Sidecar;
                }
                _ => {}
            }
        }
        container.interactive = stdin && tty;
        if container.mounts.iter().any(|mount| !mount.sub_path_expr.is_empty()) {
            let variables = parts_of(value.get("env").unwrap_or(Node::NULL));
            for mount in &mut container.mounts {
                mount.part = part_of(mount.sub_path_expr, &variables);
            }
        }
        Ok(container)
    }

    /// Its path beneath the pod spec's path.
    pub fn path(&self, pod: &FieldPath) -> FieldPath {
        match &self.place {
            Some(place) => place.clone(),
            None => pod.key(self.section.field()).index(self.index),
        }
    }

    /// The path of one of its mounts.
    pub fn mount_path(&self, pod: &FieldPath, mount: &Mount<'_>) -> FieldPath {
        match &mount.place {
            Some(place) => place.clone(),
            None => self.path(pod).key("volumeMounts").index(mount.index),
        }
    }
}

/// Its name, and its value unless it comes from elsewhere.
fn variable<'a>(item: Node<'a>) -> Result<(&'a str, Option<&'a str>), FactsFault> {
    let (mut named, mut value, mut elsewhere) = ("", "", false);
    for (key, field) in item.given() {
        match key {
            "name" => named = text("name", field)?,
            "value" => value = text("value", field)?,
            "valueFrom" => elsewhere = map("valueFrom", field).map(|_| true)?,
            _ => {}
        }
    }
    Ok((named, (!elsewhere).then_some(value)))
}

/// The key that a variable's `valueFrom` names.
fn key_ref<'a>(item: Node<'a>) -> Option<KeyRef<'a>> {
    let from = item.get("valueFrom")?;
    let (kind, named) = match from.get("configMapKeyRef") {
        Some(named) => (ConfigKind::ConfigMap, named),
        None => (ConfigKind::Secret, from.get("secretKeyRef")?),
    };
    Some(KeyRef { kind, name: named.get("name")?.as_str()?, key: named.get("key")?.as_str()? })
}

/// The object that an entry of `envFrom` reads.
fn env_from_object<'a>(item: Node<'a>) -> Option<(ConfigKind, &'a str)> {
    let (kind, named) = match item.get("configMapRef") {
        Some(named) => (ConfigKind::ConfigMap, named),
        None => (ConfigKind::Secret, item.get("secretRef")?),
    };
    Some((kind, named.get("name")?.as_str()?))
}

/// What the variables of a container tell apart; each is made of those before it.
pub(super) fn parts_of<'a>(env: Node<'a>) -> HashMap<&'a str, Part> {
    let mut parts = HashMap::new();
    for variable in env.items() {
        let Some(name) = variable.get("name").and_then(Node::as_str) else { continue };
        let field =
            variable.get("valueFrom").and_then(|from| from.get("fieldRef")?.get("fieldPath")?.as_str());
        let part = match (field, variable.get("value").and_then(Node::as_str)) {
            (Some(field), _) => Part::by_field(field),
            (None, Some(value)) => part_of(value, &parts),
            (None, None) => Part::Shared,
        };
        parts.insert(name, part);
    }
    parts
}

/// What a text with `$(NAME)` in it tells apart.
pub(super) fn part_of(text: &str, variables: &HashMap<&str, Part>) -> Part {
    let mut part = Part::Shared;
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('$') {
        rest = after;
        if let Some(escaped) = after.strip_prefix('$') {
            rest = escaped;
        } else if let Some(inner) = after.strip_prefix('(') {
            // Without an end here there is none further on either.
            let Some((name, tail)) = inner.split_once(')') else { break };
            part = part.max(variables.get(name).copied().unwrap_or(Part::Shared));
            rest = tail;
        }
    }
    part
}

impl<'a> Mount<'a> {
    fn read(item: Node<'a>, index: usize) -> Result<Self, FactsFault> {
        let (mut volume, mut path, mut read_only) = ("", "", false);
        let (mut sub_path, mut sub_path_expr) = ("", "");
        for (key, value) in item.given() {
            match key {
                "name" => volume = name("name", value)?,
                "mountPath" => path = text("mountPath", value)?,
                "readOnly" => read_only = truth("readOnly", value)?,
                "subPath" => sub_path = text("subPath", value)?,
                "subPathExpr" => sub_path_expr = text("subPathExpr", value)?,
                _ => {}
            }
        }
        Ok(Self {
            index,
            place: None,
            volume,
            path: FsPath::new(path),
            read_only,
            part: Part::Shared,
            sub_path,
            sub_path_expr,
        })
    }

    /// The same mount, which stands at this path of the object.
    pub(super) fn at(&self, place: FieldPath) -> Self {
        let &Self { index, volume, read_only, part, sub_path, sub_path_expr, .. } = self;
        let path = self.path.clone();
        Self { index, place: Some(place), volume, path, read_only, part, sub_path, sub_path_expr }
    }
}

impl<'a> Device<'a> {
    fn read(item: Node<'a>, index: usize) -> Result<Self, FactsFault> {
        let (mut volume, mut path) = ("", "");
        for (key, value) in item.given() {
            match key {
                "name" => volume = name("name", value)?,
                "devicePath" => path = text("devicePath", value)?,
                _ => {}
            }
        }
        Ok(Self { index, volume, path })
    }
}

/// The limits of memory and of ephemeral storage.
fn limits(resources: Node<'_>) -> Result<[Option<Quantity>; 2], FactsFault> {
    let read = || -> Result<[Option<Quantity>; 2], FactsFault> {
        let Some(limits) = resources.map_at("limits")? else { return Ok([None, None]) };
        let limit = |key| quantity_at(limits, key).or_within("limits");
        Ok([limit("memory")?, limit("ephemeral-storage")?])
    };
    read().or_within("resources")
}
