//! The directories in which the products of the catalog keep their data, as rows.

use super::data_paths::{Data, DataPath, Doubts, InMemory, Keeper, UnplacedData, Why};
use super::lasting::has_lasting;
use super::named_data::{is_named_data, is_named_scratch};
use super::products::Product;
use super::{Cover, Place, Storage};
use crate::catalog::{DataPlace, Excess, ImageRef, PlaceDoubt, Statefulness, Unplaced};
use crate::facts::{Container, Mount, Section};
use crate::model::{Durability, Fate, FsPath, Reach, below};
use std::cell::LazyCell;
use std::collections::HashSet;

/// How many directories a container may have that do not count against [`SPARE_PLACES`]: no product of the catalog has
/// more unless its arguments or variables name them.
const OWN_PLACES: usize = 4;

/// How many more the containers of one object may have together, those of all its pod templates counted.
const SPARE_PLACES: usize = 1024;

impl<'w, 'a> Data<'w, 'a> {
    /// Adds what the containers keep by what the catalog says of each. `scratch` paths are left out.
    pub(super) fn add_products(&mut self, of: &Keeper<'w, 'a, '_>, scratch: &[String]) {
        self.keeps_nothing = keeps_nothing(of);
        let most = SPARE_PLACES / of.workload.templates.max(1);
        let mut spare = most;
        for (container, product) in of.workload.pod.containers.iter().zip(of.products) {
            let Product { state, shown_by, rebuilt, .. } = product;
            // What lasts is most often meant for the data of an image of one's own, wherever that keeps them. And what a Job starts is
            // most often made for it.
            let of_job = of.set_or_job && !of.workload.stateful_set;
            let lasts = || has_lasting(&of.storage, container, Durability::Node);
            if (shown_by.is_some() && (of_job || lasts())) || (*rebuilt && lasts()) {
                continue;
            }
            match state {
                Statefulness::NotListed | Statefulness::Client { .. } => {}
                Statefulness::Unplaced { .. } if shown_by.is_some() => {}
                Statefulness::Cache { product, why, always, lossy } => {
                    self.caches.push((product, why));
                    self.never_keeps |= always;
                    if *lossy && container.section == Section::Main {
                        self.in_memory.push(InMemory { container, product, why });
                    }
                }
                &Statefulness::Unplaced { product, why, dispensable } => {
                    self.unplaced.push(UnplacedData { container, product, why, dispensable });
                }
                Statefulness::Stateful { product, data: places, dispensable, .. } => {
                    match spare.checked_sub(places.len().saturating_sub(OWN_PLACES)) {
                        Some(left) => {
                            spare = left;
                            let from = self.paths.len();
                            self.add_product(of.storage, container, state, scratch);
                            for row in self.paths.iter_mut().skip(from) {
                                row.shown_by = *shown_by;
                            }
                        }
                        None => self.unplaced.push(UnplacedData {
                            container,
                            product,
                            why: Unplaced::Excess(Excess::Places(most)),
                            dispensable: *dispensable,
                        }),
                    }
                }
            }
        }
    }

    /// Adds the directories of a container that keeps data.
    fn add_product(
        &mut self,
        storage: Storage<'w, 'a>,
        container: &'w Container<'a>,
        state: &Statefulness<'w>,
        scratch: &[String],
    ) {
        let &Statefulness::Stateful {
            product,
            data: ref places,
            parts,
            enough,
            dispensable,
            copy,
            cache,
            start,
            ..
        } = state
        else {
            return;
        };
        let named = LazyCell::new(|| places.iter().map(|place| &*place.path).collect::<HashSet<_>>());
        // A publisher of whose images the layout is not known shows it by what the container mounts.
        let shown: Vec<&Mount<'a>> = own_directories(&storage, container, product, places);
        for mount in &shown {
            let why = Why::Product { name: product, moved_by: None, dispensable, copy };
            let row = DataPath::new(container, mount.path.clone(), storage.mount_cover(mount), why);
            let doubts = Doubts { place: None, cache };
            self.paths.push(DataPath { doubts, start: Some(start), ..row });
        }
        for place in places {
            if !shown.is_empty() && place.doubt == Some(PlaceDoubt::Publisher) {
                continue;
            }
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
            let is_kept = || has_enough(&storage, container, &path, &cover, enough);
            let copy = copy.or_else(|| is_kept().then_some(KEPT));
            let why = Why::Product { name: product, moved_by, dispensable, copy };
            let doubts = Doubts { place: place.doubt, cache: cache.or(place.cache) };
            let start = Some(start);
            for mount in parts_apart(container, &path, &cover, parts) {
                // Unless something else names it, such as the variable that moves the log there.
                if named.contains(mount.path.as_str()) {
                    continue;
                }
                let (path, cover) = (mount.path.clone(), storage.mount_cover(mount));
                let row = DataPath::new(container, path, cover, why);
                self.paths.push(DataPath { doubts, start, ..row });
            }
            let row = DataPath::new(container, path, cover, why);
            self.paths.push(DataPath { hidden_by, image_volume: place.image_volume, doubts, start, ..row });
        }
    }
}

/// The mounts at which an image of a publisher whose layout is not known visibly keeps a product's data: `/var/lib/zookeeper/data`,
/// where nothing is mounted at the directories of the official image.
fn own_directories<'w, 'a>(
    storage: &Storage<'w, 'a>,
    container: &'w Container<'a>,
    product: &str,
    places: &[DataPlace<'w>],
) -> Vec<&'w Mount<'a>> {
    let mut foreign = places.iter().filter(|place| place.doubt == Some(PlaceDoubt::Publisher)).peekable();
    let is_mounted =
        |place: &DataPlace<'_>| storage.cover(container, &FsPath::new(&place.path)).mount.is_some();
    if foreign.peek().is_none() || foreign.any(is_mounted) {
        return Vec::new();
    }
    let image = ImageRef::parse(container.image);
    let names = [Some(product), image.as_ref().map(ImageRef::name)];
    let is_data =
        |mount: &Mount<'_>| names.iter().flatten().any(|name| is_data_of(mount.path.as_str(), name));
    let mounts = container.mounts.iter();
    mounts.filter(|mount| is_data(mount) && !storage.mount_cover(mount).read_only).collect()
}

/// Whether a path is called like a product's data: the product's name as one part, and `data` or the like as the last; or that
/// name in /var/lib.
fn is_data_of(path: &str, name: &str) -> bool {
    let Some((above, last)) = path.rsplit_once('/') else { return false };
    let is_product = |part: &str| part.eq_ignore_ascii_case(name);
    let is_data = |part: &str| ["data", "datalog", "db"].iter().any(|name| part.eq_ignore_ascii_case(name));
    (is_data(last) && above.split('/').any(is_product)) || (above == "/var/lib" && is_product(last))
}

/// Whether the catalog says of a workload that it keeps nothing: of its first container, or of all of them. An exporter or a proxy
/// beside an image that is not known says nothing of that one, wherever it stands: injected sidecars stand first.
fn keeps_nothing(of: &Keeper<'_, '_, '_>) -> bool {
    let all = of.workload.pod.containers.iter().zip(of.products);
    if all.clone().any(|(container, product)| keeps_of_its_own(of, container, product)) {
        return false;
    }
    let states =
        || all.clone().filter(|(it, _)| it.section == Section::Main).map(|(_, product)| &product.state);
    let is_cache = |state: &Statefulness<'_>| matches!(state, Statefulness::Cache { .. });
    let is_unknown = |state: &Statefulness<'_>| matches!(state, Statefulness::NotListed);
    of.products.iter().any(|product| product.whole_pod)
        || states().next().is_some_and(is_cache)
        || (states().any(is_cache) && !states().any(is_unknown))
}

/// Whether the image is not known and the container mounts what ends with the pod where data lie by the name.
fn keeps_of_its_own(of: &Keeper<'_, '_, '_>, container: &Container<'_>, product: &Product<'_>) -> bool {
    matches!(container.section, Section::Main | Section::Sidecar)
        && !product.known
        && product.shown_by.is_none()
        && container.mounts.iter().any(|mount| {
            let cover = of.storage.mount_cover(mount);
            is_named_data(mount) && !cover.read_only && cover.fate.most <= Durability::Pod
        })
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

/// Why the rest of a directory is lost without much harm.
const KEPT: &str = "what people put there lies on a mount of its own, which lasts";

/// Whether a directory that ends with the pod has what matters of it on a mount that lasts.
fn has_enough(
    storage: &Storage<'_, '_>,
    container: &Container<'_>,
    directory: &FsPath<'_>,
    cover: &Cover<'_, '_>,
    enough: &[String],
) -> bool {
    let own = cover.mount.map_or(0, |mount| mount.path.as_str().len());
    let lasts = |mount: &Mount<'_>| {
        let cover = storage.mount_cover(mount);
        !cover.read_only && cover.fate.least >= Durability::Claim
    };
    cover.fate.most <= Durability::Pod
        && enough.iter().any(|part| {
            let mounts = container.mounts.iter().filter(|mount| {
                mount.path.as_str().len() > own
                    && below(mount.path.as_str(), directory.as_str())
                        .is_some_and(|rest| part == "*" || rest == part.as_str())
            });
            mounts.into_iter().any(lasts)
        })
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
        let beneath = || below(mount.path.as_str(), directory.as_str()).filter(|rest| !rest.is_empty());
        let holds = |rest: &str| parts.iter().any(|part| below(part, rest).is_some());
        // In the writable layer the whole directory is lost, and that is told.
        volume.is_some_and(|volume| volume != mount.volume)
            && beneath().is_some_and(holds)
            && seen.insert(mount.path.as_str())
    })
}
