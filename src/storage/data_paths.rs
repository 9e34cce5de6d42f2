//! Which paths of a workload hold data that must last: the catalog's, a StatefulSet's, and those that a policy names.

use crate::catalog::{
    Allowance, CacheDoubt, Catalog, DataPlace, Excess, Named, PlaceDoubt, Statefulness, Unplaced,
};
use crate::facts::{Container, Mount, Section, Workload};
use crate::lookup::Lookup;
use crate::model::{Durability, Fate, FsPath, Reach};
use crate::storage::{Cover, Place, Storage, configuration, view};
use std::cell::LazyCell;
use std::collections::HashSet;

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
    /// What may make it another path, or no data at all.
    pub doubts: Doubts<'w>,
}

impl DataPath<'_, '_> {
    /// Whether the data may as well lie on another mount of the container, which lasts: with no such mount they lie here,
    /// or they are lost.
    pub fn is_guess(&self, storage: &Storage<'_, '_>) -> bool {
        let here = self.cover.mount.map(|mount| mount.index);
        let elsewhere = || {
            lasting_mounts(storage, self.container, Durability::Claim).any(|mount| Some(mount.index) != here)
        };
        self.doubts.place.is_some() && elsewhere()
    }

    /// Whether both are of one product, put there by the same, and the same lies beneath both: one thing to tell.
    pub fn is_alike(&self, other: &Self) -> bool {
        let mount = |data: &Self| data.cover.mount.map(|mount| mount.index);
        matches!(self.why, Why::Product { .. })
            && std::ptr::eq(self.container, other.container)
            && self.why == other.why
            && self.doubts == other.doubts
            && (mount(self), self.hidden_by) == (mount(other), other.hidden_by)
    }
}

/// What is not known of a path that is taken for data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Doubts<'w> {
    /// What may have moved the data elsewhere.
    pub place: Option<PlaceDoubt<'w>>,
    /// What may make the product keep nothing.
    pub cache: Option<CacheDoubt<'w>>,
}

/// A container that keeps data of which nothing is known but the product.
#[derive(Debug, Clone, Copy)]
pub struct UnplacedData<'w, 'a> {
    /// The container.
    pub container: &'w Container<'a>,
    /// The product's name.
    pub product: &'w str,
    /// Why nothing is known.
    pub why: Unplaced<'w>,
    /// Why many run the product without keeping its data.
    pub dispensable: Option<&'w str>,
}

/// Why a path is data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why<'w> {
    /// A product of the catalog keeps its data there.
    Product {
        /// The product's name.
        name: &'w str,
        /// The argument, variable or key that put it there; none for the default.
        moved_by: Option<Named<'w>>,
        /// Why many run it without keeping them.
        dispensable: Option<&'w str>,
        /// Why another server keeps the same.
        copy: Option<&'w str>,
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
    /// The image is not known, but the path or the pod volume is named as data are.
    Named,
}

/// What a workload keeps.
#[derive(Debug, Default)]
pub struct Data<'w, 'a> {
    /// The paths that hold data.
    pub paths: Vec<DataPath<'w, 'a>>,
    /// Products that are set up to keep nothing, with the reason.
    pub caches: Vec<(&'w str, &'w str)>,
    /// Whether one of them keeps nothing however it is set up.
    pub never_keeps: bool,
    /// Containers that keep data somewhere.
    pub unplaced: Vec<UnplacedData<'w, 'a>>,
}

/// How many directories a container may have that do not count against [`SPARE_PLACES`]: no product of the catalog has
/// more unless its arguments or variables name them.
const OWN_PLACES: usize = 4;

/// How many more the containers of one object may have together.
const SPARE_PLACES: usize = 1024;

/// What the catalog says of each container, in their order.
pub fn products<'w>(
    workload: &Workload<'_>,
    namespace: &str,
    lookup: &dyn Lookup,
    catalog: &'w Catalog,
) -> Vec<Statefulness<'w>> {
    let allowance = Allowance::default();
    let classify = |container: &Container<'_>| {
        if catalog.entry(container.image).is_none() {
            return Statefulness::NotListed;
        }
        let brought = configuration(workload, container, namespace, lookup, &allowance);
        catalog.classify(&view(container, &brought))
    };
    workload.pod.containers.iter().map(classify).collect()
}

impl<'w, 'a> Data<'w, 'a> {
    /// What the containers keep by what the catalog says of each, as [`products`] has it. `scratch` paths are left out.
    pub fn of_products(
        workload: &'w Workload<'a>,
        storage: Storage<'w, 'a>,
        products: &[Statefulness<'w>],
        scratch: &[String],
    ) -> Self {
        let mut data = Self::default();
        let mut spare = SPARE_PLACES;
        for (container, state) in workload.pod.containers.iter().zip(products) {
            match state {
                Statefulness::NotListed | Statefulness::Client { .. } => {}
                Statefulness::Cache { product, why, always } => {
                    data.caches.push((product, why));
                    data.never_keeps |= always;
                }
                &Statefulness::Unplaced { product, why, dispensable } => {
                    data.unplaced.push(UnplacedData { container, product, why, dispensable });
                }
                Statefulness::Stateful { product, data: places, dispensable, .. } => {
                    match spare.checked_sub(places.len().saturating_sub(OWN_PLACES)) {
                        Some(left) => {
                            spare = left;
                            data.add_product(storage, container, state, scratch);
                        }
                        None => data.unplaced.push(UnplacedData {
                            container,
                            product,
                            why: Unplaced::Excess(Excess::Places(SPARE_PLACES)),
                            dispensable: *dispensable,
                        }),
                    }
                }
            }
        }
        data
    }

    /// Adds the directories of a container that keeps data.
    fn add_product(
        &mut self,
        storage: Storage<'w, 'a>,
        container: &'w Container<'a>,
        state: &Statefulness<'w>,
        scratch: &[String],
    ) {
        let &Statefulness::Stateful { product, data: ref places, parts, dispensable, copy, cache, .. } =
            state
        else {
            return;
        };
        let named = LazyCell::new(|| places.iter().map(|place| &*place.path).collect::<HashSet<_>>());
        for place in places {
            let path = FsPath::new(&place.path).into_owned();
            // Not the paths that are scratch in any image: a database that is told to keep its data in /tmp still loses
            // them.
            if is_named_scratch(&path, scratch) {
                continue;
            }
            let (cover, hidden_by) = cover_of_place(&storage, container, place);
            // An init container's own layer is gone before the others start: no server keeps data there.
            let in_layer = matches!(cover.place, Place::WritableLayer);
            if in_layer && (container.section == Section::Init || place.mounted_only) {
                continue;
            }
            // What has an unknown value may have put the data somewhere, but not here.
            let unknown = matches!(place.doubt, Some(PlaceDoubt::Value(_)));
            let moved_by = place.moved_by.filter(|_| !unknown).map(|moved| moved.named);
            let why = Why::Product { name: product, moved_by, dispensable, copy };
            let doubts = Doubts { place: place.doubt, cache };
            for mount in parts_apart(container, &path, &cover, parts) {
                // Unless something else names it, such as the variable that moves the log there.
                if named.contains(mount.path.as_str()) {
                    continue;
                }
                let (path, cover) = (mount.path.clone(), storage.mount_cover(mount));
                self.paths.push(DataPath { container, path, cover, why, hidden_by: None, doubts });
            }
            self.paths.push(DataPath { container, path, cover, why, hidden_by, doubts });
        }
    }

    /// Adds the mounts of unknown images at directories that tell a product (`/var/lib/mysql` in an image of one's own)
    /// or are named as data are. Only such on pod volumes that end with the pod: a claim is well, and a node's directory is as likely
    /// another program's. Not for a StatefulSet, whose mounts are its data anyhow, and not for a Job, whose own data is
    /// not meant to last.
    pub fn add_resembling(
        &mut self,
        workload: &'w Workload<'a>,
        storage: Storage<'w, 'a>,
        catalog: &'w Catalog,
        scratch: &[String],
    ) {
        // A helper of a known product, such as an exporter: said of the product itself. And each pod volume once.
        let mut told: HashSet<&str> =
            self.paths.iter().filter_map(|data| data.cover.mount).map(|mount| mount.volume).collect();
        let mut unwritable: HashSet<*const Container<'_>> = HashSet::new();
        for data in self.paths.iter().filter(|data| data.cover.read_only) {
            unwritable.insert(data.container);
        }
        for data in self.paths.iter().filter(|data| !data.cover.read_only) {
            unwritable.remove(&std::ptr::from_ref(data.container));
        }
        for container in workload.pod.containers.iter().filter(|c| c.section == Section::Main) {
            let mut homes =
                container.mounts.iter().filter_map(|mount| match catalog.at_home(mount.path.as_str()) {
                    Some(name) => Some((mount, Why::Resembles { name })),
                    None => is_named_data(mount).then_some((mount, Why::Named)),
                });
            let first = homes.next();
            // A known product without a directory that it can write to keeps its data elsewhere.
            let known = || {
                !unwritable.contains(&std::ptr::from_ref(container))
                    && catalog.entry(container.image).is_some()
            };
            if first.is_none() || known() {
                continue;
            }
            for (mount, why) in first.into_iter().chain(homes) {
                let cover = storage.mount_cover(mount);
                if is_scratch(&mount.path, scratch) {
                    continue;
                }
                if cover.read_only || cover.fate.most > Durability::Pod || !told.insert(mount.volume) {
                    continue;
                }
                self.paths.push(DataPath {
                    container,
                    path: mount.path.clone(),
                    cover,
                    why,
                    hidden_by: None,
                    doubts: Doubts::default(),
                });
            }
        }
    }

    /// Adds a path that a policy names, in every container that runs beside the others.
    pub fn add_named(&mut self, workload: &'w Workload<'a>, storage: Storage<'w, 'a>, path: &'w str) {
        let path = FsPath::new(path);
        let known: HashSet<&str> =
            self.paths.iter().filter(|data| data.path == path).map(|data| data.container.name).collect();
        for container in
            workload.pod.containers.iter().filter(|c| matches!(c.section, Section::Main | Section::Sidecar))
        {
            let cover = storage.cover(container, &path);
            if !known.contains(container.name) {
                self.paths.push(DataPath {
                    container,
                    path: path.clone(),
                    cover,
                    why: Why::Policy,
                    hidden_by: None,
                    doubts: Doubts::default(),
                });
            }
        }
    }
}

/// The writable mounts of the containers that are not scratch: what a StatefulSet keeps when nothing else is known.
pub fn writable_mounts<'w, 'a>(
    workload: &'w Workload<'a>,
    storage: Storage<'w, 'a>,
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
            doubts: Doubts::default(),
        })
        .filter(|data| !data.cover.read_only && !is_scratch(&data.path, scratch))
        .collect()
}

/// Whether the container has a writable device or mount that outlives its pod.
pub fn has_durable(storage: &Storage<'_, '_>, container: &Container<'_>) -> bool {
    has_lasting(storage, container, Durability::Claim)
}

/// Whether the container has a writable device or mount that may be as durable as that.
pub fn has_lasting(storage: &Storage<'_, '_>, container: &Container<'_>, least: Durability) -> bool {
    let lasts = |cover: Cover<'_, '_>| !cover.read_only && cover.fate.most >= least;
    lasting_mounts(storage, container, least).next().is_some()
        || container.devices.iter().any(|device| lasts(storage.device_cover(device)))
}

/// The writable mounts of a container that may be as durable as that.
fn lasting_mounts<'w, 'a>(
    storage: &Storage<'w, 'a>,
    container: &'w Container<'a>,
    least: Durability,
) -> impl Iterator<Item = &'w Mount<'a>> {
    let storage = *storage;
    container.mounts.iter().filter(move |mount| {
        let cover = storage.mount_cover(mount);
        !cover.read_only && cover.fate.most >= least
    })
}

/// The first writable mount of the container that may be as durable as that.
pub fn lasting_mount<'w, 'a>(
    storage: &Storage<'w, 'a>,
    container: &'w Container<'a>,
    least: Durability,
) -> Option<&'w Mount<'a>> {
    lasting_mounts(storage, container, least).next()
}

/// What covers a product's directory. A mount above a VOLUME that the image declares does not keep it: containerd
/// mounts a fresh volume at each VOLUME that has no mount at exactly its path (`volumeMounts` in its CRI server).
fn cover_of_place<'w, 'a>(
    storage: &Storage<'w, 'a>,
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
    // Of several mounts at one path, which no API server takes, the first says enough.
    let mut seen = HashSet::new();
    container.mounts.iter().filter(move |mount| {
        let beneath = || mount.path.as_str().strip_prefix(directory.as_str())?.strip_prefix('/');
        let holds = |rest: &str| {
            let part_of = |part: &String| {
                part.strip_prefix(rest).is_some_and(|end| end.is_empty() || end.starts_with('/'))
            };
            parts.iter().any(part_of)
        };
        // In the writable layer the whole directory is lost, and that is told.
        volume.is_some_and(|volume| volume != mount.volume)
            && beneath().is_some_and(holds)
            && seen.insert(mount.path.as_str())
    })
}

/// Names of directories and of pod volumes that say that data lies there.
const DATA_NAMES: [&str; 7] = ["data", "database", "datadir", "datastore", "db", "dbdata", "storage"];
/// Words that say the opposite, in the last directory of a path or in the name of a pod volume.
const SCRATCH_NAMES: [&str; 25] = [
    "cache", "caches", "cert", "certs", "conf", "config", "home", "init", "initdb", "log", "logs", "plugins",
    "run", "scratch", "script", "scripts", "socket", "sockets", "ssl", "temp", "tls", "tmp", "tmpdir",
    "work", "workdir",
];
/// Directories in /var/lib whose owners keep nothing there that must last, or are no product's at all.
const NO_STATE: [&str; 14] = [
    "alternatives",
    "apt",
    "containerd",
    "containers",
    "csi",
    "dbus",
    "docker",
    "dpkg",
    "haproxy",
    "kubelet",
    "logrotate",
    "nginx",
    "sudo",
    "systemd",
];

/// Whether a mount says by its path or by the name of its pod volume that data lies there: `/data`, `/srv/db`,
/// `/var/lib/app`; a pod volume `storage` or `app-data`.
pub fn is_named_data(mount: &Mount<'_>) -> bool {
    let path = mount.path.as_str();
    let last = path.rsplit('/').next().unwrap_or_default();
    let has_word = |name: &str, of: &[&str]| name.split(['-', '_', '.']).any(|word| of.contains(&word));
    if has_word(last, &SCRATCH_NAMES) || has_word(mount.volume, &SCRATCH_NAMES) {
        return false;
    }
    let of_a_product = || {
        let rest = ["/var/lib/", "/var/opt/"].iter().find_map(|root| path.strip_prefix(root));
        rest.is_some_and(|rest| !rest.split('/').next().is_some_and(|owner| NO_STATE.contains(&owner)))
    };
    has_word(last, &DATA_NAMES) || has_word(mount.volume, &DATA_NAMES) || of_a_product()
}

fn is_scratch(path: &FsPath<'_>, scratch: &[String]) -> bool {
    SCRATCH.into_iter().any(|outer| FsPath::new(outer).covers(path)) || is_named_scratch(path, scratch)
}

fn is_named_scratch(path: &FsPath<'_>, scratch: &[String]) -> bool {
    scratch.iter().any(|outer| FsPath::new(outer).covers(path))
}
