use super::fault::{FactsFault, Object, OrFault, given, list, map, text, truth};
use crate::json::Node;
use crate::model::{FieldPath, FsPath, Quantity};

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
    /// `volumeMounts`.
    pub mounts: Vec<Mount<'a>>,
    /// `volumeDevices`.
    pub devices: Vec<Device<'a>>,
    /// `securityContext.readOnlyRootFilesystem`.
    pub read_only_root: bool,
    /// `resources.limits.memory`.
    pub memory_limit: Option<Quantity>,
    /// `resources.limits.ephemeral-storage`.
    pub storage_limit: Option<Quantity>,
}

/// One volume mount.
#[derive(Debug)]
pub struct Mount<'a> {
    /// Its index in `volumeMounts`.
    pub index: usize,
    /// The pod volume's name.
    pub volume: &'a str,
    /// Where it is mounted, cleaned.
    pub path: FsPath<'a>,
    /// Whether it is mounted read-only.
    pub read_only: bool,
    /// `subPath` or `subPathExpr`: which part of the volume is mounted.
    pub sub_path: Option<&'a str>,
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
            index,
            name: "",
            image: "",
            command: Vec::new(),
            args: Vec::new(),
            working_dir: None,
            env: Vec::new(),
            env_from: Vec::new(),
            mounts: Vec::new(),
            devices: Vec::new(),
            read_only_root: false,
            memory_limit: None,
            storage_limit: None,
        };
        for (key, value) in value.given() {
            match key {
                "name" => container.name = text("name", value)?,
                "image" => container.image = text("image", value)?,
                "command" => container.command = texts("command", value)?,
                "args" => container.args = texts("args", value)?,
                "workingDir" => container.working_dir = Some(text("workingDir", value)?),
                "env" => container.env = each_of("env", value, |item, _| variable(item))?,
                "envFrom" => {
                    let prefix =
                        |item: Node<'a>| item.get("prefix").and_then(Node::as_str).unwrap_or_default();
                    container.env_from = list("envFrom", value)?.map(prefix).collect();
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
        Ok(container)
    }

    /// Its path beneath the pod spec's path.
    pub fn path(&self, pod: &FieldPath) -> FieldPath {
        pod.key(self.section.field()).index(self.index)
    }

    /// The path of one of its mounts.
    pub fn mount_path(&self, pod: &FieldPath, mount: &Mount<'_>) -> FieldPath {
        self.path(pod).key("volumeMounts").index(mount.index)
    }
}

/// Its name, and its value unless it comes from elsewhere.
fn variable<'a>(item: Node<'a>) -> Result<(&'a str, Option<&'a str>), FactsFault> {
    let (mut name, mut value, mut elsewhere) = ("", "", false);
    for (key, field) in item.given() {
        match key {
            "name" => name = text("name", field)?,
            "value" => value = text("value", field)?,
            "valueFrom" => elsewhere = map("valueFrom", field).map(|_| true)?,
            _ => {}
        }
    }
    Ok((name, (!elsewhere).then_some(value)))
}

impl<'a> Mount<'a> {
    fn read(item: Node<'a>, index: usize) -> Result<Self, FactsFault> {
        let (mut volume, mut path, mut read_only) = ("", "", false);
        let (mut sub_path, mut expression) = ("", "");
        for (key, value) in item.given() {
            match key {
                "name" => volume = text("name", value)?,
                "mountPath" => path = text("mountPath", value)?,
                "readOnly" => read_only = truth("readOnly", value)?,
                "subPath" => sub_path = text("subPath", value)?,
                "subPathExpr" => expression = text("subPathExpr", value)?,
                _ => {}
            }
        }
        let sub_path = [sub_path, expression].into_iter().find(|path| !path.is_empty());
        Ok(Self { index, volume, path: FsPath::new(path), read_only, sub_path })
    }
}

impl<'a> Device<'a> {
    fn read(item: Node<'a>, index: usize) -> Result<Self, FactsFault> {
        let (mut volume, mut path) = ("", "");
        for (key, value) in item.given() {
            match key {
                "name" => volume = text("name", value)?,
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
        let limit = |key| super::claim::quantity_at(limits, key).or_within("limits");
        Ok([limit("memory")?, limit("ephemeral-storage")?])
    };
    read().or_within("resources")
}

/// Reads each item of a field that is a list of objects.
pub(super) fn each<'a, T>(
    object: Node<'a>,
    key: &'static str,
    read: impl Fn(Node<'a>, usize) -> Result<T, FactsFault>,
) -> Result<Vec<T>, FactsFault> {
    given(object, key).map_or(Ok(Vec::new()), |value| each_of(key, value, read))
}

/// Reads each item of that field's value, a list of objects.
pub(super) fn each_of<'a, T>(
    key: &'static str,
    value: Node<'a>,
    read: impl Fn(Node<'a>, usize) -> Result<T, FactsFault>,
) -> Result<Vec<T>, FactsFault> {
    let items = list(key, value)?;
    let mut found = Vec::with_capacity(items.len());
    for (index, item) in items.enumerate() {
        if !item.is_map() {
            let path = FieldPath::root().key(key).index(index);
            return Err(FactsFault { path, message: "must be a map".to_owned() });
        }
        found.push(read(item, index).or_within_item(key, index)?);
    }
    Ok(found)
}

fn texts<'a>(key: &'static str, value: Node<'a>) -> Result<Vec<&'a str>, FactsFault> {
    let items = list(key, value)?;
    let mut found = Vec::with_capacity(items.len());
    for (index, item) in items.enumerate() {
        match item.as_str() {
            Some(text) => found.push(text),
            None => {
                let path = FieldPath::root().key(key).index(index);
                return Err(FactsFault { path, message: "must be a string; put it in quotes".to_owned() });
            }
        }
    }
    Ok(found)
}
