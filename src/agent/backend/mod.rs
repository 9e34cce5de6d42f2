//! How volumes are made: one file a backend. Each is told by a volume's record what to make.

mod btrfs;
mod directory;
mod loop_device;
mod project_quota;

pub(super) use loop_device::Devices;

use super::base::{Base, loop_file};
use super::{Directory, Fault, Found, Record, filesystem};
use crate::model::Backend;

/// What a backend says of a volume on the disk.
#[derive(Debug)]
pub(super) struct State {
    pub(super) found: Found,
    pub(super) bound: Option<i64>,
    pub(super) attached: bool,
}

/// What a volume is looked for by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sought<'a> {
    pub(super) backend: Backend,
    pub(super) volume: &'a str,
    pub(super) directory: &'a str,
    /// What it should be bounded to, in bytes.
    pub(super) size: Option<i64>,
    /// The project that its record gives it.
    pub(super) project: Option<u32>,
    /// For how many of its bytes a volume with a quota has one inode.
    pub(super) bytes_per_inode: u64,
}

/// Where a volume is beneath its base.
pub(super) fn place(backend: Backend, volume: &str, directory: &str) -> String {
    match backend {
        Backend::Loop => loop_file(volume),
        Backend::Directory | Backend::Btrfs | Backend::ProjectQuota => directory.to_owned(),
    }
}

/// What there is of a volume. The path was checked.
pub(super) fn look(base: &Base, devices: &Devices, sought: Sought<'_>) -> Result<State, Fault> {
    match sought.backend {
        Backend::Loop => loop_device::look(base, devices, sought.volume, sought.size),
        Backend::Btrfs => btrfs::look(base, sought.directory),
        Backend::ProjectQuota => {
            project_quota::look(base, sought.directory, sought.project, sought.size, sought.bytes_per_inode)
        }
        Backend::Directory => {
            let found = directory::look(base, sought.directory)?;
            Ok(State { found, bound: None, attached: false })
        }
    }
}

/// The project of a new volume, for a backend that needs one.
pub(super) fn project(
    base: &Base,
    record: &Record,
    taken: impl Fn(u32) -> bool,
) -> Result<Option<u32>, Fault> {
    match record.backend {
        Backend::ProjectQuota => project_quota::free_project(base, taken).map(Some),
        Backend::Directory | Backend::Btrfs | Backend::Loop => Ok(None),
    }
}

/// Makes a volume, or what is missing of it.
pub(super) fn make(base: &Base, record: &Record) -> Result<(), Fault> {
    match record.backend {
        Backend::Loop => loop_device::make(base, &record.volume),
        Backend::Btrfs => btrfs::make(base, &parsed(record)?),
        Backend::Directory | Backend::ProjectQuota => directory::make(base, &parsed(record)?),
    }
}

/// Bounds a volume to so many bytes.
pub(super) fn bound(
    base: &Base,
    devices: &Devices,
    record: &Record,
    size: i64,
    bytes_per_inode: u64,
) -> Result<(), Fault> {
    match record.backend {
        Backend::Loop => loop_device::bound(base, devices, &record.volume, size),
        Backend::Btrfs => btrfs::bound(base, &record.directory, size),
        Backend::ProjectQuota => {
            project_quota::bound(base, &record.directory, record.project, size, bytes_per_inode)
        }
        Backend::Directory => Ok(()),
    }
}

/// Makes a volume reachable as a device.
pub(super) fn attach(base: &Base, devices: &Devices, record: &Record) -> Result<(), Fault> {
    match record.backend {
        Backend::Loop => loop_device::attach(base, devices, &record.volume),
        Backend::Directory | Backend::Btrfs | Backend::ProjectQuota => Ok(()),
    }
}

/// Takes a volume's device away.
pub(super) fn detach(base: &Base, devices: &Devices, backend: Backend, volume: &str) -> Result<(), Fault> {
    match backend {
        Backend::Loop => loop_device::detach(base, devices, volume),
        Backend::Directory | Backend::Btrfs | Backend::ProjectQuota => Ok(()),
    }
}

/// How many bytes a volume takes, where the kernel counts them.
pub(super) fn used(base: &Base, record: &Record) -> Option<i64> {
    match record.backend {
        Backend::Loop => loop_device::used(base, &record.volume),
        Backend::Btrfs => btrfs::used(base, &record.directory),
        Backend::ProjectQuota => project_quota::used(base, record.project),
        Backend::Directory => None,
    }
}

/// Why no other volume of a backend can be made in a base of a node, which has that many loop volumes.
pub(super) fn unsupported(
    base: &Base,
    devices: &Devices,
    backend: Backend,
    loop_volumes: usize,
) -> Option<Fault> {
    let lacks = |why| Fault::lasting("BackendUnsupported", why);
    match backend {
        Backend::Directory => None,
        Backend::Loop => devices.unsupported(loop_volumes),
        Backend::Btrfs => {
            let name = filesystem::name(base.root());
            (name != "btrfs").then(|| lacks(format!("{name} has no subvolumes")))
        }
        Backend::ProjectQuota => project_quota::unsupported(base).map(lacks),
    }
}

fn parsed(record: &Record) -> Result<Directory, Fault> {
    Directory::parse(&record.directory)
        .map_err(|fault| Fault::lasting("BadPath", format!("the directory {:?} {fault}", record.directory)))
}
