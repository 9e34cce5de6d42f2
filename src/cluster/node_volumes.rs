use crate::model::{
    API_GROUP, API_VERSION, NODE_LABEL, NodeStorageSpec, NodeStorageStatus, NodeVolumeSpec, NodeVolumeStatus,
    node_label,
};
use kube::api::{Api, ApiResource, ObjectMeta};
use kube::core::{GroupVersionKind, Object, TypeMeta};
use std::collections::BTreeMap;

/// A volume on a node, as controller and agent tell each other of it.
pub type NodeVolume = Object<NodeVolumeSpec, NodeVolumeStatus>;
/// What a node's agent reports of its node.
pub type NodeStorage = Object<NodeStorageSpec, NodeStorageStatus>;

/// The resource of NodeVolumes.
pub fn node_volumes() -> ApiResource {
    resource("NodeVolume", "nodevolumes")
}

/// The resource of NodeStorages.
pub fn node_storages() -> ApiResource {
    resource("NodeStorage", "nodestorages")
}

fn resource(kind: &str, plural: &str) -> ApiResource {
    let version = API_VERSION.rsplit('/').next().unwrap_or_default();
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(API_GROUP, version, kind), plural)
}

/// The NodeVolumes of a cluster.
pub fn node_volume_api(client: kube::Client) -> Api<NodeVolume> {
    Api::all_with(client, &node_volumes())
}

/// The NodeStorages of a cluster.
pub fn node_storage_api(client: kube::Client) -> Api<NodeStorage> {
    Api::all_with(client, &node_storages())
}

/// A NodeVolume as the controller creates it.
pub fn node_volume(name: &str, spec: NodeVolumeSpec) -> NodeVolume {
    let metadata = labelled(name, &spec.node);
    Object { types: Some(types("NodeVolume")), metadata, spec, status: None }
}

/// A NodeStorage as its agent creates it; the owner is left to the agent.
pub fn node_storage(spec: NodeStorageSpec) -> NodeStorage {
    let metadata = labelled(&spec.node, &spec.node);
    Object { types: Some(types("NodeStorage")), metadata, spec, status: None }
}

fn types(kind: &str) -> TypeMeta {
    TypeMeta { api_version: API_VERSION.to_owned(), kind: kind.to_owned() }
}

fn labelled(name: &str, node: &str) -> ObjectMeta {
    let labels = BTreeMap::from([(NODE_LABEL.to_owned(), node_label(node))]);
    ObjectMeta { name: Some(name.to_owned()), labels: Some(labels), ..ObjectMeta::default() }
}
