use super::Meta;
use super::claim::ClaimSpec;
use super::config::ConfigKind;
use super::fault::{FactsFault, OrFault};
use super::read::{Object, quantity_at};
use crate::json::Node;
use crate::model::{FieldPath, Quantity};

/// One entry of a pod's `volumes`.
#[derive(Debug)]
pub struct PodVolume<'a> {
    /// Its index in `volumes`.
    pub index: usize,
    /// Its path, where it stands in no pod spec.
    pub(super) place: Option<FieldPath>,
    /// As it stands in the object.
    pub node: Node<'a>,
    /// Its name.
    pub name: &'a str,
    /// What backs it.
    pub source: VolumeSource<'a>,
    /// The field of a second source, which no API server takes.
    pub second: Option<&'a str>,
    /// What its files come from: the one object of `configMap` and `secret`, each source of `projected`.
    pub files: Vec<FileSource<'a>>,
}

/// An object that files of a pod volume come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSource<'a> {
    /// The ConfigMap or Secret; none for what holds no configuration, such as a token.
    pub object: Option<(ConfigKind, &'a str)>,
    /// Which keys become files, each with its path in the volume; none: every key, by its own name.
    pub items: Option<Vec<(&'a str, &'a str)>>,
}

impl<'a> FileSource<'a> {
    /// What `configMap`, `secret` and `projected` name. What has a wrong type there is left out: it brings no file.
    fn all_of(field: &str, source: Node<'a>) -> Vec<Self> {
        match field {
            "configMap" => vec![Self::of(ConfigKind::ConfigMap, "name", source)],
            "secret" => vec![Self::of(ConfigKind::Secret, "secretName", source)],
            "projected" => {
                let sources = source.get("sources").unwrap_or(Node::NULL).items();
                let object = |source: Node<'a>| match (source.get("configMap"), source.get("secret")) {
                    (Some(map), _) => Self::of(ConfigKind::ConfigMap, "name", map),
                    (None, Some(secret)) => Self::of(ConfigKind::Secret, "name", secret),
                    (None, None) => Self { object: None, items: None },
                };
                sources.map(object).collect()
            }
            _ => Vec::new(),
        }
    }

    fn of(kind: ConfigKind, name: &str, source: Node<'a>) -> Self {
        let item = |item: Node<'a>| Some((item.get("key")?.as_str()?, item.get("path")?.as_str()?));
        let items = source.get("items").filter(|items| items.items().len() > 0);
        Self {
            object: source.get(name).and_then(Node::as_str).map(|name| (kind, name)),
            items: items.map(|items| items.items().filter_map(item).collect()),
        }
    }
}

/// What backs a pod volume. Every type of Kubernetes 1.37 is known by its field's name.
#[derive(Debug)]
pub enum VolumeSource<'a> {
    /// `emptyDir`.
    EmptyDir {
        /// `medium` as written; `Memory` is tmpfs, `HugePages…` huge pages, anything else unknown.
        medium: &'a str,
        /// `sizeLimit`.
        size_limit: Option<Quantity>,
    },
    /// `hostPath`.
    HostPath {
        /// The node's path as written.
        path: &'a str,
        /// `type`: `Directory`, `DirectoryOrCreate`, …
        kind: &'a str,
    },
    /// `persistentVolumeClaim`.
    Claim {
        /// The claim's name.
        name: &'a str,
        /// `readOnly`.
        read_only: bool,
    },
    /// `ephemeral`: a claim that is made for the pod and goes with it.
    Ephemeral(Box<ClaimSpec>),
    /// `csi`: a volume that a CSI driver makes for the pod.
    Csi {
        /// The driver's name.
        driver: &'a str,
        /// `readOnly`.
        read_only: bool,
    },
    /// Content that Kubernetes writes: `configMap`, `secret`, `projected`, `downwardAPI`, `image`.
    Content(&'static str),
    /// Storage on the network, named in the pod itself.
    Network {
        /// The field's name.
        kind: &'static str,
        /// `readOnly`.
        read_only: bool,
    },
    /// `gitRepo`: a clone in an emptyDir (removed from Kubernetes, still in its schema).
    GitRepo,
    /// No source at all: Kubernetes takes it for an emptyDir.
    Unset,
    /// A type that this version of volgate does not know.
    Unknown(&'a str),
}

/// The pod volume types whose content Kubernetes writes.
const CONTENT: [&str; 5] = ["configMap", "secret", "projected", "downwardAPI", "image"];

/// The pod volume types that name storage on the network, most of them legacy.
const NETWORK: [&str; 19] = [
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "glusterfs",
    "iscsi",
    "nfs",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
];

/// CSI drivers whose inline volumes are content that they bring: secrets, certificates, files of an image.
const CSI_CONTENT: [&str; 5] = [
    "csi.cert-manager.io",
    "csi.spiffe.io",
    "image.csi.k8s.io",
    "secrets-store.csi.k8s.io",
    "spiffe.csi.cert-manager.io",
];

/// CSI drivers whose inline volumes are a share or a bucket that is there before the pod and after it.
const CSI_SHARED: [&str; 6] = [
    "blob.csi.azure.com",
    "file.csi.azure.com",
    "gcs.csi.ofek.dev",
    "gcsfuse.csi.storage.gke.io",
    "nfs.csi.k8s.io",
    "smb.csi.k8s.io",
];

/// Whether the field can be what backs a pod volume. The API server drops fields that it does not know, and these come of
/// other formats: no Kubernetes has a type of that name.
fn is_source(key: &str) -> bool {
    !matches!(key, "name" | "source" | "volumeSource")
}

impl<'a> PodVolume<'a> {
    pub(super) fn read(value: Node<'a>, index: usize) -> Result<Self, FactsFault> {
        let name = value.name_at("name")?.unwrap_or_default();
        // Of several, which no API server takes, the first by name.
        let (mut first, mut second) = (None, None);
        for (key, source) in value.fields().filter(|(key, source)| is_source(key) && !source.is_null()) {
            match first {
                Some((earlier, _)) if earlier < key => {
                    second = second.filter(|other| *other < key).or(Some(key))
                }
                _ => {
                    second = first.map(|(later, _)| later).or(second);
                    first = Some((key, source));
                }
            }
        }
        let files = first.map_or(Vec::new(), |(key, source)| FileSource::all_of(key, source));
        let source =
            first.map_or(Ok(VolumeSource::Unset), |(key, source)| VolumeSource::read(key, source))?;
        Ok(Self { index, place: None, node: value, name, source, second, files })
    }

    /// Its path beneath the pod spec's path.
    pub fn path(&self, pod: &FieldPath) -> FieldPath {
        match &self.place {
            Some(place) => place.clone(),
            None => pod.key("volumes").index(self.index),
        }
    }

    /// The path of its source, such as `spec.volumes[0].emptyDir`.
    pub fn source_path(&self, pod: &FieldPath) -> FieldPath {
        match self.source.field() {
            // A type of any length is no type, and the path is made for each mount of the volume.
            Some(field) if field.len() <= 64 => self.path(pod).key(field.to_owned()),
            _ => self.path(pod),
        }
    }
}

impl<'a> VolumeSource<'a> {
    /// The field names of all pod volume types of Kubernetes 1.37.
    pub fn types() -> impl Iterator<Item = &'static str> {
        ["emptyDir", "hostPath", "persistentVolumeClaim", "ephemeral", "csi", "gitRepo"]
            .into_iter()
            .chain(CONTENT)
            .chain(NETWORK)
    }

    fn read(key: &'a str, source: Node<'a>) -> Result<Self, FactsFault> {
        if !source.is_map() {
            return Err(FactsFault::at(key.to_owned(), "must be a map"));
        }
        let read = || -> Result<Self, FactsFault> {
            Ok(match key {
                "emptyDir" => Self::EmptyDir {
                    medium: source.str_at("medium")?.unwrap_or_default(),
                    size_limit: quantity_at(source, "sizeLimit")?,
                },
                "hostPath" => Self::HostPath {
                    path: source.str_at("path")?.unwrap_or_default(),
                    kind: source.str_at("type")?.unwrap_or_default(),
                },
                "persistentVolumeClaim" => Self::Claim {
                    name: source.name_at("claimName")?.unwrap_or_default(),
                    read_only: source.bool_at("readOnly")?,
                },
                "ephemeral" => Self::Ephemeral(Box::new(match source.map_at("volumeClaimTemplate")? {
                    Some(template) => {
                        let read = || ClaimSpec::read(template, &Meta::read(template)?);
                        read().or_within("volumeClaimTemplate")?
                    }
                    None => ClaimSpec::default(),
                })),
                "csi" => Self::Csi {
                    driver: source.name_at("driver")?.unwrap_or_default(),
                    read_only: source.bool_at("readOnly")?,
                },
                "gitRepo" => Self::GitRepo,
                _ => {
                    if let Some(kind) = CONTENT.iter().find(|kind| **kind == key) {
                        Self::Content(kind)
                    } else if let Some(kind) = NETWORK.iter().find(|kind| **kind == key) {
                        Self::Network { kind, read_only: source.bool_at("readOnly")? }
                    } else {
                        Self::Unknown(key)
                    }
                }
            })
        };
        // The name is copied for a fault alone.
        read().map_err(|fault| fault.within(key.to_owned()))
    }

    /// The field of the pod volume that holds the source.
    pub fn field(&self) -> Option<&'a str> {
        Some(match self {
            Self::EmptyDir { .. } => "emptyDir",
            Self::HostPath { .. } => "hostPath",
            Self::Claim { .. } => "persistentVolumeClaim",
            Self::Ephemeral(_) => "ephemeral",
            Self::Csi { .. } => "csi",
            Self::Content(kind) | Self::Network { kind, .. } => kind,
            Self::GitRepo => "gitRepo",
            Self::Unset => return None,
            Self::Unknown(key) => key,
        })
    }

    /// Whether it is a type that Kubernetes knows, written in other letters: the API server drops it, and an emptyDir is
    /// what results.
    pub fn is_misspelt(&self) -> bool {
        matches!(self, Self::Unknown(key) if Self::types().any(|known| known.eq_ignore_ascii_case(key)))
    }

    /// Whether it is an inline CSI volume that is a share or a bucket which exists without the pod.
    pub fn is_shared_storage(&self) -> bool {
        matches!(self, Self::Csi { driver, .. } if CSI_SHARED.contains(driver))
    }

    /// Whether every mount of it is read-only.
    pub fn is_read_only(&self) -> bool {
        match self {
            Self::Csi { driver, .. } if CSI_CONTENT.contains(driver) => true,
            Self::Claim { read_only, .. } | Self::Csi { read_only, .. } | Self::Network { read_only, .. } => {
                *read_only
            }
            Self::Content(_) => true,
            _ => false,
        }
    }
}
