use super::fault::{FactsFault, Object, OrFault};
use crate::json::Node;
use crate::model::{FieldPath, FsPath, Quantity};
use std::borrow::Cow;

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
    /// Whether `envFrom` brings in variables that are not known here.
    pub has_env_from: bool,
    /// `volumeMounts`.
    pub mounts: Vec<Mount<'a>>,
    /// `volumeDevices`.
    pub devices: Vec<Device<'a>>,
    /// `securityContext.readOnlyRootFilesystem`.
    pub read_only_root: bool,
    /// `resources.limits.memory`.
    pub memory_limit: Option<Quantity>,
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
        let sidecar = section == Section::Init && value.str_at("restartPolicy")? == Some("Always");
        let security = value.map_at("securityContext")?;
        Ok(Self {
            section: if sidecar { Section::Sidecar } else { section },
            index,
            name: value.str_at("name")?.unwrap_or_default(),
            image: value.str_at("image")?.unwrap_or_default(),
            command: texts(value, "command")?,
            args: texts(value, "args")?,
            working_dir: value.str_at("workingDir")?,
            env: each(value, "env", |item, _| {
                let value = match item.map_at("valueFrom")? {
                    Some(_) => None,
                    None => Some(item.str_at("value")?.unwrap_or_default()),
                };
                Ok((item.str_at("name")?.unwrap_or_default(), value))
            })?,
            has_env_from: value.list_at("envFrom")?.len() > 0,
            mounts: each(value, "volumeMounts", |item, index| {
                Ok(Mount {
                    index,
                    volume: item.str_at("name")?.unwrap_or_default(),
                    path: FsPath::new(item.str_at("mountPath")?.unwrap_or_default()),
                    read_only: item.bool_at("readOnly")?,
                    sub_path: item
                        .str_at("subPath")?
                        .filter(|path| !path.is_empty())
                        .or(item.str_at("subPathExpr")?)
                        .filter(|path| !path.is_empty()),
                })
            })?,
            devices: each(value, "volumeDevices", |item, index| {
                Ok(Device {
                    index,
                    volume: item.str_at("name")?.unwrap_or_default(),
                    path: item.str_at("devicePath")?.unwrap_or_default(),
                })
            })?,
            read_only_root: match security {
                Some(security) => security.bool_at("readOnlyRootFilesystem").or_within("securityContext")?,
                None => false,
            },
            memory_limit: memory_limit(value)?,
        })
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

fn memory_limit(container: Node<'_>) -> Result<Option<Quantity>, FactsFault> {
    let Some(resources) = container.map_at("resources")? else { return Ok(None) };
    let read = || match resources.map_at("limits")? {
        Some(limits) => super::claim::quantity_at(limits, "memory").or_within("limits"),
        None => Ok(None),
    };
    read().or_within("resources")
}

/// Reads each item of a list of objects.
pub(super) fn each<'a, T>(
    object: Node<'a>,
    key: &'static str,
    read: impl Fn(Node<'a>, usize) -> Result<T, FactsFault>,
) -> Result<Vec<T>, FactsFault> {
    let items = object.list_at(key)?;
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

fn texts<'a>(object: Node<'a>, key: &'static str) -> Result<Vec<&'a str>, FactsFault> {
    let items = object.list_at(key)?;
    let mut found = Vec::with_capacity(items.len());
    for (index, item) in items.enumerate() {
        match item.as_str() {
            Some(text) => found.push(text),
            None => {
                let path = FieldPath::root().key(Cow::Borrowed(key)).index(index);
                return Err(FactsFault { path, message: "must be a string; put it in quotes".to_owned() });
            }
        }
    }
    Ok(found)
}
