use super::Meta;
use super::fault::FactsFault;
use super::read::Object;
use crate::json::Node;
use crate::model::ObjectRef;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What happens to a volume when its claim goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReclaimPolicy {
    /// The volume and its data go as well; what a class means that says nothing.
    #[default]
    Delete,
    /// Both stay until an administrator acts; what a hand-made volume means that says nothing.
    Retain,
    /// The data goes, the volume stays (deprecated).
    Recycle,
}

impl ReclaimPolicy {
    /// The policy of that name.
    ///
    /// # Errors
    /// A fragment that names the policies that there are.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "Delete" => Ok(Self::Delete),
            "Retain" => Ok(Self::Retain),
            "Recycle" => Ok(Self::Recycle),
            other => Err(format!("must be Delete, Retain or Recycle, not {other:?}")),
        }
    }

    /// The name in Kubernetes' API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "Delete",
            Self::Retain => "Retain",
            Self::Recycle => "Recycle",
        }
    }
}

/// When a claim of a class is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BindingMode {
    /// At once, wherever; what a class means that says nothing.
    #[default]
    Immediate,
    /// When a pod that uses the claim is scheduled.
    WaitForFirstConsumer,
}

/// A StorageClass. Owned, because the caches keep it as well.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ClassFacts {
    /// Its name.
    pub name: String,
    /// Who makes its volumes.
    pub provisioner: String,
    /// `reclaimPolicy`.
    pub reclaim: ReclaimPolicy,
    /// `volumeBindingMode`.
    pub binding: BindingMode,
    /// `allowVolumeExpansion`.
    pub expandable: bool,
    /// Whether the annotation `storageclass.kubernetes.io/is-default-class` is true.
    pub is_default: bool,
    /// `parameters`.
    pub parameters: BTreeMap<String, String>,
    /// `mountOptions`.
    pub mount_options: Vec<String>,
    /// Whether `allowedTopologies` is set.
    pub has_topologies: bool,
    /// `metadata.creationTimestamp` as the API server writes it (UTC, so that texts sort as times do); empty before it
    /// is stored.
    pub created: String,
}

/// Provisioners that are known to make volumes which one node alone can use.
const LOCAL_PROVISIONERS: [&str; 10] = [
    crate::model::PROVISIONER,
    "rancher.io/local-path",
    "kubernetes.io/no-provisioner",
    "k8s.io/minikube-hostpath",
    "openebs.io/local",
    "topolvm.io",
    "local.csi.openebs.io",
    "zfs.csi.openebs.io",
    "microk8s.io/hostpath",
    "docker.io/hostpath",
];

/// Provisioners that are known to make directories or shares and no block devices; `*` at the start stands for the
/// prefix that an operator puts before the driver's name.
const FILESYSTEM_PROVISIONERS: [&str; 13] = [
    "rancher.io/local-path",
    "k8s.io/minikube-hostpath",
    "microk8s.io/hostpath",
    "docker.io/hostpath",
    "nfs.csi.k8s.io",
    "smb.csi.k8s.io",
    "k8s-sigs.io/nfs-subdir-external-provisioner",
    "cluster.local/nfs-subdir-external-provisioner",
    "cluster.local/nfs-server-provisioner",
    "efs.csi.aws.com",
    "file.csi.azure.com",
    "filestore.csi.storage.gke.io",
    "*cephfs.csi.ceph.com",
];

/// Provisioners that are known to make empty volumes alone, without attributes: none of them is a CSI driver.
const PLAIN_PROVISIONERS: [&str; 8] = [
    crate::model::PROVISIONER,
    "rancher.io/local-path",
    "k8s.io/minikube-hostpath",
    "openebs.io/local",
    "microk8s.io/hostpath",
    "docker.io/hostpath",
    "k8s-sigs.io/nfs-subdir-external-provisioner",
    "cluster.local/nfs-subdir-external-provisioner",
];

/// The provisioner of classes whose volumes an administrator makes by hand.
pub(crate) const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

impl ClassFacts {
    /// Reads a StorageClass.
    ///
    /// # Errors
    /// The field that has a wrong type.
    pub fn read(object: Node<'_>, id: &ObjectRef) -> Result<Self, FactsFault> {
        let meta = Meta::read(object)?;
        let is_default = [
            "storageclass.kubernetes.io/is-default-class",
            "storageclass.beta.kubernetes.io/is-default-class",
        ]
        .iter()
        .any(|key| meta.annotation(key) == Some("true"));
        let parameters = object.map_at("parameters")?.into_iter().flat_map(Node::fields);
        Ok(Self {
            name: id.name.clone(),
            provisioner: object.str_at("provisioner")?.unwrap_or_default().to_owned(),
            reclaim: match object.str_at("reclaimPolicy")? {
                Some(text) => {
                    ReclaimPolicy::parse(text).map_err(|why| FactsFault::at("reclaimPolicy", why))?
                }
                None => ReclaimPolicy::Delete,
            },
            binding: match object.str_at("volumeBindingMode")? {
                None | Some("Immediate") => BindingMode::Immediate,
                Some("WaitForFirstConsumer") => BindingMode::WaitForFirstConsumer,
                Some(other) => {
                    let why = format!("must be Immediate or WaitForFirstConsumer, not {other:?}");
                    return Err(FactsFault::at("volumeBindingMode", why));
                }
            },
            expandable: object.bool_at("allowVolumeExpansion")?,
            is_default,
            parameters: parameters
                .filter_map(|(k, v)| Some((k.to_owned(), v.as_str()?.to_owned())))
                .collect(),
            mount_options: object
                .list_at("mountOptions")?
                .filter_map(Node::as_str)
                .map(str::to_owned)
                .collect(),
            has_topologies: object.list_at("allowedTopologies")?.len() > 0,
            created: object
                .get("metadata")
                .and_then(|meta| meta.get("creationTimestamp"))
                .and_then(Node::as_str)
                .unwrap_or_default()
                .to_owned(),
        })
    }

    /// The cluster's default among these: of several that are marked the newest, then the one that sorts first, as
    /// Kubernetes has it (`GetDefaultClass` in `pkg/volume/util/storageclass.go`).
    pub fn default_of<'a>(classes: impl Iterator<Item = &'a Arc<Self>>) -> Option<&'a Arc<Self>> {
        classes
            .filter(|class| class.is_default)
            .max_by(|a, b| a.created.cmp(&b.created).then_with(|| b.name.cmp(&a.name)))
    }

    /// Whether its volumes are known to be usable on one node alone.
    pub fn is_local(&self) -> bool {
        LOCAL_PROVISIONERS.contains(&self.provisioner.as_str())
    }

    /// Whether its provisioner is known to make no block devices.
    pub fn is_filesystem_only(&self) -> bool {
        FILESYSTEM_PROVISIONERS.iter().any(|known| match known.strip_prefix('*') {
            Some(driver) => self.provisioner.ends_with(driver),
            None => self.provisioner == *known,
        })
    }

    /// Whether its volumes are known to begin empty, and to have no attributes of a VolumeAttributesClass.
    pub fn is_plain(&self) -> bool {
        PLAIN_PROVISIONERS.contains(&self.provisioner.as_str())
    }

    /// Whether nobody makes its volumes but an administrator.
    pub fn is_static(&self) -> bool {
        self.provisioner == NO_PROVISIONER
    }
}
