//! Which paths of a workload hold data that must last: the catalog's, a StatefulSet's, and those that a policy names.
//!
//! [`data_paths`] is the one answer. durable-data, reclaim-policy, shared-writer, `volgate explain` and the `facts` of CEL
//! read its rows.

use super::ending::ends;
use super::lasting::{filled_in_later, has_durable, has_lasting, lasting_mounts};
use super::mounted_file::is_file;
use super::named_data::{is_called_like_a_database, is_named_data, is_scratch, may_listen_as_a_database};
use super::products::Product;
use super::refilled::refilled_volumes;
use super::{Cover, Place, Storage, view};
use crate::catalog::{
    CacheDoubt, Catalog, Named, Origin, PlaceDoubt, Start, Statefulness, TellTale, Unplaced,
};
use crate::facts::{Container, Mount, Section, VolumeSource, Workload, WorkloadKind};
use crate::model::{Durability, FsPath};
use std::cell::LazyCell;
use std::collections::HashSet;

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
    /// The VOLUME of the image in which the path lies.
    pub image_volume: Option<&'w str>,
    /// What may make it another path, or no data at all.
    pub doubts: Doubts<'w>,
    /// By what the product shows, where the catalog does not name the image: a guess.
    pub shown_by: Option<TellTale<'w>>,
    /// What the container starts, where a product of the catalog keeps the data.
    pub start: Option<Start>,
    /// Whether it is certain that data which must last lies there; a guess is a warning at most.
    pub certain: bool,
}

/// Whether a container starts a server of its product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Serves {
    Yes,
    Perhaps,
    No,
}

impl<'w, 'a> DataPath<'w, 'a> {
    /// A row of which nothing is doubted.
    pub(super) fn new(
        container: &'w Container<'a>,
        path: FsPath<'w>,
        cover: Cover<'w, 'a>,
        why: Why<'w>,
    ) -> Self {
        let doubts = Doubts::default();
        let (hidden_by, image_volume, shown_by, start) = (None, None, None, None);
        Self { container, path, cover, why, hidden_by, image_volume, doubts, shown_by, start, certain: true }
    }

    /// The medium of the emptyDir that it lies on; empty for the disk.
    pub fn empty_dir(&self) -> Option<&'a str> {
        match self.cover.place {
            Place::Volume(volume) => match volume.source {
                VolumeSource::EmptyDir { medium, .. } => Some(medium),
                VolumeSource::Unset => Some(""),
                _ => None,
            },
            _ => None,
        }
    }

    /// The product that keeps the data.
    fn product(&self) -> Option<&'w str> {
        match self.why {
            Why::Product { name, .. } => Some(name),
            _ => None,
        }
    }

    /// Whether they lie on a mount that outlives the pod.
    fn is_kept(&self) -> bool {
        self.cover.mount.is_some() && !self.cover.read_only && self.cover.fate.most >= Durability::Node
    }

    /// Whether the container may start no server of the product: another program of its image, or a script that volgate
    /// cannot read. What has a mount at its data is a server all the same, and so is a script with a port or a probe, or one that
    /// a StatefulSet runs.
    pub fn may_be_no_server(&self, workload: &Workload<'_>) -> bool {
        self.serves(workload) == Serves::Perhaps
    }

    fn serves(&self, workload: &Workload<'_>) -> Serves {
        let Some(start) = self.start else { return Serves::Yes };
        if self.cover.mount.is_some() {
            return Serves::Yes;
        }
        // A port may as well be that of another program or role, of which the catalog knows that it is none of the servers.
        if !matches!(start, Start::Program | Start::Task) && (self.container.serves || workload.stateful_set)
        {
            return Serves::Yes;
        }
        match start {
            Start::Server | Start::Shell => Serves::Yes,
            Start::Program if ends(workload) => Serves::No,
            Start::Unknown if !ends(workload) => Serves::Yes,
            Start::Program | Start::Script | Start::Task | Start::Unlisted | Start::Unknown => {
                Serves::Perhaps
            }
        }
    }

    /// Whether the data may as well lie on another mount of the container, which lasts: with no such mount they lie here,
    /// or they are lost.
    fn may_lie_elsewhere(&self, storage: &Storage<'_, '_>) -> bool {
        let here = self.cover.mount.map(|mount| mount.index);
        let elsewhere = || {
            lasting_mounts(storage, self.container, Durability::Claim).any(|mount| Some(mount.index) != here)
        };
        let is_open = || filled_in_later(storage, self.container, Durability::Claim).is_some();
        (self.doubts.place.is_some() && elsewhere()) || is_open()
    }

    /// Whether a person looks around in the container: a debug container, or a shell at a terminal.
    fn looks_around(&self, workload: &Workload<'_>) -> bool {
        let container = self.container;
        let debugs = container.section == Section::Ephemeral && workload.kind == WorkloadKind::Pod;
        debugs || (container.interactive && !container.has_post_start && self.start == Some(Start::Shell))
    }

    /// `lasts`: whether any container has a mount that lasts.
    fn is_certain(
        &self,
        workload: &Workload<'_>,
        storage: &Storage<'_, '_>,
        lasts: impl FnOnce() -> bool,
    ) -> bool {
        match self.why {
            Why::Policy => true,
            Why::Resembles { .. } | Why::Named | Why::Called | Why::File { .. } => false,
            // Beside a mount that lasts, the others of a StatefulSet are most often scratch.
            Why::StatefulSet => self.cover.fate.most >= Durability::Claim || !lasts(),
            Why::Product { copy, .. } => {
                copy.is_none()
                    && self.shown_by.is_none()
                    && self.doubts.cache.is_none()
                    && !self.may_lie_elsewhere(storage)
                    && self.serves(workload) == Serves::Yes
                    && !self.looks_around(workload)
            }
        }
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

/// A container that loses what is put into it, as a development server in memory.
#[derive(Debug, Clone, Copy)]
pub struct InMemory<'w, 'a> {
    /// The container.
    pub container: &'w Container<'a>,
    /// The product's name.
    pub product: &'w str,
    /// Why it keeps nothing.
    pub why: &'w str,
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
        /// Why losing them is a warning at most: another server keeps the same, or what matters lies elsewhere.
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
    /// The image is not known, but called like a database: `catalogue-db`.
    Called,
    /// The image is not known, but a variable or an argument names this file, which is a database.
    File {
        /// The variable or the argument.
        by: &'w str,
        /// Where that stands.
        origin: Origin,
    },
}

/// What a workload keeps.
#[derive(Debug, Default)]
pub struct Data<'w, 'a> {
    /// The paths that hold data.
    pub paths: Vec<DataPath<'w, 'a>>,
    /// Whether the catalog says that the workload keeps nothing. A helper beside a container that is not known says nothing of
    /// that one.
    pub keeps_nothing: bool,
    /// Products that are set up to keep nothing, with the reason.
    pub caches: Vec<(&'w str, &'w str)>,
    /// Containers that lose what is put into them.
    pub in_memory: Vec<InMemory<'w, 'a>>,
    /// Whether one of them keeps nothing however it is set up.
    pub never_keeps: bool,
    /// Containers that keep data somewhere.
    pub unplaced: Vec<UnplacedData<'w, 'a>>,
    /// Whether a product has a directory that it can write to. Where the root file system is read-only and nothing is
    /// mounted, it keeps its data elsewhere.
    pub placed: bool,
    /// The writable mounts of a StatefulSet, which are its data unless the catalog knows what it keeps.
    pub set_mounts: Vec<DataPath<'w, 'a>>,
}

/// A workload, and what is known of its images.
#[derive(Clone, Copy)]
pub struct Keeper<'w, 'a, 'p> {
    /// The workload.
    pub workload: &'w Workload<'a>,
    /// What its paths lie on.
    pub storage: Storage<'w, 'a>,
    /// The catalog.
    pub catalog: &'w Catalog,
    /// What it says of each container, as [`products`](super::products) has it.
    pub products: &'p [Product<'w>],
    /// Whether a StatefulSet or a Job owns the workload, or it is one.
    pub set_or_job: bool,
}

impl<'w, 'a> Keeper<'w, 'a, '_> {
    /// Whether the catalog says of a container that it keeps nothing.
    fn keeps_nothing(&self, container: &Container<'_>) -> bool {
        let mut all = self.workload.pod.containers.iter().zip(self.products);
        all.any(|(it, product)| {
            std::ptr::eq(it, container) && matches!(product.state, Statefulness::Cache { .. })
        })
    }

    /// The main containers, and whether the catalog knows the image of each.
    pub(super) fn main_containers(&self) -> impl Iterator<Item = (&'w Container<'a>, bool)> {
        let containers = self.workload.pod.containers.iter().zip(self.products);
        containers.filter(|(c, _)| c.section == Section::Main).map(|(c, product)| (c, product.known))
    }
}

/// The paths of a workload that hold data which must last: of the products of the catalog, of a StatefulSet, `named` by a
/// policy, and by what they are called. `scratch` paths are left out.
pub fn data_paths<'w, 'a>(
    of: &Keeper<'w, 'a, '_>,
    scratch: &[String],
    named: impl IntoIterator<Item = &'w str>,
) -> Data<'w, 'a> {
    let mut data = Data::default();
    data.add_products(of, scratch);
    data.placed = data.paths.iter().any(|row| !row.cover.read_only);
    for path in named {
        data.add_named(of, path);
    }
    if !of.set_or_job || of.workload.stateful_set {
        data.add_database_files(of, scratch);
    }
    if !of.set_or_job {
        data.add_resembling(of, scratch);
        data.add_called(of);
    }
    if of.workload.stateful_set {
        data.set_mounts = writable_mounts(of.workload, of.storage, scratch);
        // Of a helper that keeps nothing, neither do its mounts.
        if !data.keeps_nothing {
            data.set_mounts.retain(|row| !of.keeps_nothing(row.container));
        }
    }
    data.settle(of);
    data
}

impl<'w, 'a> Data<'w, 'a> {
    /// Adds the mounts of unknown images at directories that tell a product (`/var/lib/mysql` in an image of one's own)
    /// or are named as data are. Only such on pod volumes that end with the pod: a claim is well, and a node's directory is as likely
    /// another program's. Not for a StatefulSet, whose mounts are its data anyhow, and not for a Job, whose own data is
    /// not meant to last.
    fn add_resembling(&mut self, of: &Keeper<'w, 'a, '_>, scratch: &[String]) {
        let Keeper { storage, catalog, .. } = *of;
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
        let refilled = LazyCell::new(|| refilled_volumes(of.workload));
        for (container, listed) in of.main_containers() {
            // A known product without a directory that it can write to keeps its data elsewhere.
            if listed && !unwritable.contains(&std::ptr::from_ref(container)) {
                continue;
            }
            let says_nothing_is_kept =
                |home: &str| catalog.keeps_nothing_at(home, &view(of.workload, container, None));
            let homes =
                container.mounts.iter().filter_map(|mount| match catalog.at_home(mount.path.as_str()) {
                    Some(_) if says_nothing_is_kept(mount.path.as_str()) => None,
                    Some(name) => Some((mount, Why::Resembles { name })),
                    None => is_named_data(mount).then_some((mount, Why::Named)),
                });
            for (mount, why) in homes {
                let cover = storage.mount_cover(mount);
                if is_scratch(&mount.path, scratch) {
                    continue;
                }
                // What is only called data serves a run that ends by itself, such as a test of a Helm chart, or is fetched
                // again.
                if why == Why::Named && (ends(of.workload) || refilled.contains(mount.volume)) {
                    continue;
                }
                // Within a directory that lasts, what does not is scratch by intent.
                let within = |outer: &Mount<'_>| outer.path.covers(&mount.path);
                if why == Why::Named && lasting_mounts(&storage, container, Durability::Claim).any(within) {
                    continue;
                }
                if cover.read_only || cover.fate.most > Durability::Pod || !told.insert(mount.volume) {
                    continue;
                }
                self.paths.push(DataPath::new(container, mount.path.clone(), cover, why));
            }
        }
    }

    /// Adds the servers of unknown images that are called like a database and have no mount that outlives the pod. Where their
    /// data lie is not known: somewhere in the container.
    fn add_called(&mut self, of: &Keeper<'w, 'a, '_>) {
        let Keeper { storage, .. } = *of;
        let told: HashSet<*const Container<'_>> =
            self.paths.iter().map(|row| std::ptr::from_ref(row.container)).collect();
        for (container, listed) in of.main_containers() {
            let called = !listed
                && container.serves
                && container.command.is_empty()
                && is_called_like_a_database(container.image)
                && may_listen_as_a_database(container)
                && !told.contains(&std::ptr::from_ref(container))
                && !has_lasting(&storage, container, Durability::Node);
            if !called {
                continue;
            }
            let root = FsPath::new("/");
            let cover = storage.cover(container, &root);
            if !cover.read_only {
                self.paths.push(DataPath::new(container, root, cover, Why::Called));
            }
        }
    }

    /// Adds a path that a policy names, in every container that runs beside the others.
    fn add_named(&mut self, of: &Keeper<'w, 'a, '_>, path: &'w str) {
        let Keeper { workload, storage, .. } = *of;
        let path = FsPath::new(path);
        let known: HashSet<&str> =
            self.paths.iter().filter(|data| data.path == path).map(|data| data.container.name).collect();
        for container in
            workload.pod.containers.iter().filter(|c| matches!(c.section, Section::Main | Section::Sidecar))
        {
            let cover = storage.cover(container, &path);
            if !known.contains(container.name) {
                self.paths.push(DataPath::new(container, path.clone(), cover, Why::Policy));
            }
        }
    }

    /// Leaves out what no server keeps, and says of the rest how certain it is.
    fn settle(&mut self, of: &Keeper<'w, 'a, '_>) {
        let Keeper { workload, storage, .. } = of;
        let mounted = self.paths.iter().filter(|row| !row.cover.read_only && row.cover.mount.is_some());
        let mounted: HashSet<*const Container<'_>> =
            mounted.map(|row| std::ptr::from_ref(row.container)).collect();
        // A script of one's own starts the product, and so says where its data lies: of several directories that is the
        // one with a mount.
        let is_elsewhere = |row: &DataPath<'_, '_>| {
            matches!(row.why, Why::Product { moved_by: None, .. })
                && row.start == Some(Start::Script)
                && row.cover.mount.is_none()
                && row.hidden_by.is_none()
                && mounted.contains(&std::ptr::from_ref(row.container))
        };
        let kept: HashSet<&str> =
            self.paths.iter().filter(|row| row.is_kept()).filter_map(DataPath::product).collect();
        // A helper of the image that another container runs as the server.
        let helps = |row: &DataPath<'_, '_>| {
            row.cover.mount.is_none()
                && row.hidden_by.is_none()
                && row.start < Some(Start::Server)
                && row.product().is_some_and(|product| kept.contains(product))
        };
        let is_lost = |row: &DataPath<'_, '_>| row.serves(workload) != Serves::No && !prepares(row, workload);
        self.paths.retain(|row| !is_elsewhere(row) && !helps(row) && is_lost(row));
        let containers = &workload.pod.containers;
        let lasts = LazyCell::new(|| containers.iter().any(|container| has_durable(storage, container)));
        for row in self.paths.iter_mut().chain(&mut self.set_mounts) {
            row.certain = row.is_certain(workload, storage, || *lasts);
        }
    }

    /// All rows: the writable mounts of a StatefulSet are among them where the catalog does not know what it keeps.
    pub fn rows(&self) -> impl Iterator<Item = &DataPath<'w, 'a>> {
        let unknown = !self.placed && !self.keeps_nothing;
        self.paths.iter().chain(self.set_mounts.iter().filter(move |_| unknown))
    }
}

/// Whether an init container of what ends by itself writes a product's files for a container behind it: a key or a
/// configuration that is made once and kept elsewhere.
fn prepares(data: &DataPath<'_, '_>, workload: &Workload<'_>) -> bool {
    let is_read = |volume: &str| {
        let mut mounts = workload.pod.mounts_of(volume);
        mounts.any(|(container, _)| container.section == Section::Main)
    };
    matches!(data.why, Why::Product { .. })
        && data.container.section == Section::Init
        && data.empty_dir().is_some()
        && ends(workload)
        && data.cover.mount.is_some_and(|mount| is_read(mount.volume))
}

/// The writable mounts of the containers that are not scratch: what a StatefulSet keeps when nothing else is known. A file by
/// itself that ends with the pod is put there again for each pod.
fn writable_mounts<'w, 'a>(
    workload: &'w Workload<'a>,
    storage: Storage<'w, 'a>,
    scratch: &[String],
) -> Vec<DataPath<'w, 'a>> {
    let lasting = |container: &&Container<'_>| matches!(container.section, Section::Main | Section::Sidecar);
    let containers = workload.pod.containers.iter().filter(lasting);
    containers
        .flat_map(|container| container.mounts.iter().map(move |mount| (container, mount)))
        .map(|(container, mount)| {
            DataPath::new(container, mount.path.clone(), storage.mount_cover(mount), Why::StatefulSet)
        })
        .filter(|data| !data.cover.read_only && !is_scratch(&data.path, scratch))
        .filter(|data| data.cover.fate.most > Durability::Pod || !data.cover.mount.is_some_and(is_file))
        .collect()
}
