//! Which paths of a workload hold data that must last: the catalog's, a StatefulSet's, and those that a policy names.

use crate::catalog::{Catalog, ContainerView, DataPlace, Statefulness};
use crate::facts::{Container, Cover, Mount, Place, Section, StorageMap, Workload};
use crate::model::{Durability, Fate, FsPath, Reach};

/// Paths that hold nothing worth keeping in any image.
const SCRATCH: [&str; 9] =
    ["/tmp", "/var/tmp", "/run", "/var/run", "/var/cache", "/var/log", "/dev", "/proc", "/var/lock"];

/// A path that holds data which must last.
#[derive(Debug)]
pub struct DataPath<'w, 'a> {
    /// The container.
    pub container: &'w Container<'a>,
    /// The path.
    pub path: FsPath<'w>,
    /// What covers it.
    pub cover: Cover<'w, 'a>,
    /// Why it is data.
    pub why: Why<'w>,
    /// Set where a mount lies above the path and yet does not keep it: the image declares this VOLUME, over which
    /// the runtime mounts a volume of its own.
    pub hidden_by: Option<&'w str>,
}

/// Why a path is data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why<'w> {
    /// A product of the catalog keeps its data there.
    Product {
        /// The product's name.
        name: &'w str,
        /// The argument or variable that put it there; none for the default.
        moved_by: Option<&'w str>,
        /// Why many run it without keeping them.
        dispensable: Option<&'w str>,
    },
    /// It is a writable mount of a StatefulSet.
    StatefulSet,
    /// A policy names it.
    Policy,
    /// The image is not known, but this is where a product of the catalog keeps its data.
    Resembles {
        /// The product's name.
        name: &'w str,
    },
}

/// What a workload keeps.
#[derive(Debug, Default)]
pub struct Data<'w, 'a> {
    /// The paths that hold data.
    pub paths: Vec<DataPath<'w, 'a>>,
    /// Products that are set up to keep nothing, with the reason.
    pub caches: Vec<(&'w str, &'w str)>,
}

impl<'w, 'a> Data<'w, 'a> {
    /// What the catalog says of the containers. `scratch` paths are left out.
    pub fn of_products(
        workload: &'w Workload<'a>,
        storage: StorageMap<'w, 'a>,
        catalog: &'w Catalog,
        scratch: &[String],
    ) -> Self {
        let mut data = Self::default();
        for container in &workload.pod.containers {
            match catalog.classify(&view(container)) {
                Statefulness::NotListed | Statefulness::Client { .. } => {}
                Statefulness::Cache { product, why } => data.caches.push((product, why)),
                Statefulness::Stateful { product, data: places, parts, dispensable, .. } => {
                    for place in &places {
                        let path = FsPath::new(&place.path).into_owned();
                        // Not the paths that are scratch in any image: a database that is told to keep its data
                        // in /tmp still loses them.
                        if is_named_scratch(&path, scratch) {
                            continue;
                        }
                        let (cover, hidden_by) = cover_of_place(&storage, container, place);
                        // An init container's own layer is gone before the others start: no server keeps data there.
                        let in_layer = matches!(cover.place, Place::WritableLayer);
                        if container.section == Section::Init && in_layer {
                            continue;
                        }
                        // A guessed path is no ground to complain about a container that has somewhere else to keep
                        // its data.
                        if !place.certain && has_durable(&storage, container) {
                            continue;
                        }
                        let moved_by = place.moved_by.map(|moved| moved.name);
                        let why = Why::Product { name: product, moved_by, dispensable };
                        for mount in parts_apart(container, &path, &cover, parts) {
                            // Unless something else names it, such as the variable that moves the log there.
                            if places.iter().any(|place| place.path == mount.path.as_str()) {
                                continue;
                            }
                            let (path, cover) = (mount.path.clone(), storage.mount_cover(mount));
                            data.paths.push(DataPath { container, path, cover, why, hidden_by: None });
                        }
                        data.paths.push(DataPath { container, path, cover, why, hidden_by });
                    }
                }
            }
        }
        data
    }

    /// Adds the mounts of unknown images at directories that tell a product: `/var/lib/mysql` in an image of one's
    /// own. Only such on pod volumes that end with the pod: a claim is well, and a node's directory is as likely
    /// another program's. Not for a StatefulSet, whose mounts are its data anyhow, and not for a Job, whose own data is
    /// not meant to last.
    pub fn add_resembling(
        &mut self,
        workload: &'w Workload<'a>,
        storage: StorageMap<'w, 'a>,
        catalog: &'w Catalog,
        scratch: &[String],
    ) {
        for container in workload.pod.containers.iter().filter(|c| c.section == Section::Main) {
            for mount in &container.mounts {
                let Some(name) = catalog.at_home(mount.path.as_str()) else { continue };
                if catalog.entry(container.image).is_some() {
                    break;
                }
                let cover = storage.mount_cover(mount);
                if is_scratch(&mount.path, scratch) {
                    continue;
                }
                // A helper of a known product, such as an exporter: said of the product itself.
                let told =
                    |data: &DataPath<'_, '_>| data.cover.mount.is_some_and(|m| m.volume == mount.volume);
                if cover.read_only || cover.fate.most > Durability::Pod || self.paths.iter().any(told) {
                    continue;
                }
                let why = Why::Resembles { name };
                self.paths.push(DataPath {
                    container,
                    path: mount.path.clone(),
                    cover,
                    why,
                    hidden_by: None,
                });
            }
        }
    }

    /// Adds a path that a policy names, in every container that runs beside the others.
    pub fn add_named(&mut self, workload: &'w Workload<'a>, storage: StorageMap<'w, 'a>, path: &'w str) {
        let path = FsPath::new(path);
        for container in
            workload.pod.containers.iter().filter(|c| matches!(c.section, Section::Main | Section::Sidecar))
        {
            let cover = storage.cover(container, &path);
            let known =
                self.paths.iter().any(|data| data.container.name == container.name && data.path == path);
            if !known {
                self.paths.push(DataPath {
                    container,
                    path: path.clone(),
                    cover,
                    why: Why::Policy,
                    hidden_by: None,
                });
            }
        }
    }
}

/// The writable mounts of the containers that are not scratch: what a StatefulSet keeps when nothing else is known.
pub fn writable_mounts<'w, 'a>(
    workload: &'w Workload<'a>,
    storage: StorageMap<'w, 'a>,
    scratch: &[String],
) -> Vec<DataPath<'w, 'a>> {
    let lasting = |container: &&Container<'_>| matches!(container.section, Section::Main | Section::Sidecar);
    let containers = workload.pod.containers.iter().filter(lasting);
    containers
        .flat_map(|container| container.mounts.iter().map(move |mount| (container, mount)))
        .map(|(container, mount)| DataPath {
            container,
            path: mount.path.clone(),
            cover: storage.mount_cover(mount),
            why: Why::StatefulSet,
            hidden_by: None,
        })
        .filter(|data| !data.cover.read_only && !is_scratch(&data.path, scratch))
        .collect()
}

/// Whether the container has a writable device or mount that outlives its pod.
pub fn has_durable(storage: &StorageMap<'_, '_>, container: &Container<'_>) -> bool {
    let lasts = |cover: Cover<'_, '_>| !cover.read_only && cover.fate.most >= Durability::Claim;
    container.mounts.iter().any(|mount| lasts(storage.mount_cover(mount)))
        || container.devices.iter().any(|device| lasts(storage.device_cover(device)))
}

/// What covers a product's directory. A mount above a VOLUME that the image declares does not keep it: containerd
/// mounts a fresh volume at each VOLUME that has no mount at exactly its path (`volumeMounts` in its CRI server).
fn cover_of_place<'w, 'a>(
    storage: &StorageMap<'w, 'a>,
    container: &'w Container<'a>,
    place: &DataPlace<'w>,
) -> (Cover<'w, 'a>, Option<&'w str>) {
    let cover = storage.cover(container, &FsPath::new(&place.path));
    let (Some(volume), Some(mount)) = (place.image_volume, cover.mount) else {
        // The writable layer may be read-only, but a VOLUME of the image is not.
        let read_only = cover.read_only && !(cover.mount.is_none() && place.image_volume.is_some());
        return (Cover { read_only, ..cover }, None);
    };
    if FsPath::new(volume).covers(&mount.path) {
        return (cover, None);
    }
    let fate = Fate::certain(Durability::Container, Reach::SomeNodes);
    (Cover { mount: None, place: Place::WritableLayer, read_only: false, fate }, Some(volume))
}

/// The mounts beneath a data directory that take a part of it away from the volume that the rest lies on.
fn parts_apart<'w, 'a>(
    container: &'w Container<'a>,
    directory: &FsPath<'_>,
    cover: &Cover<'_, '_>,
    parts: &[String],
) -> impl Iterator<Item = &'w Mount<'a>> {
    let volume = cover.mount.map(|mount| mount.volume);
    container.mounts.iter().filter(move |mount| {
        let beneath = || mount.path.as_str().strip_prefix(directory.as_str())?.strip_prefix('/');
        let holds = |rest: &str| {
            let part_of = |part: &String| {
                part.strip_prefix(rest).is_some_and(|end| end.is_empty() || end.starts_with('/'))
            };
            parts.iter().any(part_of)
        };
        // In the writable layer the whole directory is lost, and that is told.
        volume.is_some_and(|volume| volume != mount.volume) && beneath().is_some_and(holds)
    })
}

fn is_scratch(path: &FsPath<'_>, scratch: &[String]) -> bool {
    SCRATCH.into_iter().any(|outer| FsPath::new(outer).covers(path)) || is_named_scratch(path, scratch)
}

fn is_named_scratch(path: &FsPath<'_>, scratch: &[String]) -> bool {
    scratch.iter().any(|outer| FsPath::new(outer).covers(path))
}

/// A container as the catalog wants to see it.
pub fn view<'w>(container: &'w Container<'_>) -> ContainerView<'w> {
    ContainerView {
        image: container.image,
        command: &container.command,
        args: &container.args,
        env: &container.env,
        working_dir: container.working_dir,
    }
}
