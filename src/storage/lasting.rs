//! The mounts and devices of a container that outlive its pod.

use super::{Cover, Storage};
use crate::facts::{Container, Mount};
use crate::model::Durability;

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
pub fn lasting_mounts<'w, 'a>(
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

/// A mount that may be as durable as that, at a path that a GitOps tool fills in later, as `${DATA}`.
pub fn filled_in_later<'w, 'a>(
    storage: &Storage<'w, 'a>,
    container: &'w Container<'a>,
    least: Durability,
) -> Option<&'w Mount<'a>> {
    lasting_mounts(storage, container, least).find(|mount| mount.path.as_str().contains("${"))
}
