//! A btrfs subvolume, with a qgroup that bounds what it refers to.

use super::super::base::Base;
use super::super::{Directory, Fault, Found, kernel};
use super::{State, directory};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use std::ffi::CString;

pub(super) fn look(base: &Base, place: &str) -> Result<State, Fault> {
    let found = base.find(place, |kind, found| {
        directory::is_directory(kind)?;
        match rustix::fs::fstat(found) {
            Ok(stat) if stat.st_ino == kernel::BTRFS_ROOT_INODE => Ok(()),
            Ok(_) => Err("a directory but no subvolume".to_owned()),
            Err(errno) => Err(format!("not to be looked at: {errno}")),
        }
    })?;
    let bound = match found {
        Found::Fitting => limit(base, place),
        _ => None,
    };
    Ok(State { found, bound, attached: false })
}

pub(super) fn make(base: &Base, directory: &Directory) -> Result<(), Fault> {
    let make = |parent: &OwnedFd, name: &str| {
        let name = CString::new(name).map_err(|_| Errno::INVAL)?;
        kernel::subvolume_create(parent, &name)
    };
    base.make_directory(directory, make).map(|_| ())
}

pub(super) fn bound(base: &Base, place: &str, size: i64) -> Result<(), Fault> {
    let fail = |errno| {
        Fault::system(format_args!("bound the subvolume {}/{place} to {size} bytes", base.path()), errno)
    };
    let subvolume = base.directory(place).map_err(fail)?;
    let size = u64::try_from(size).unwrap_or_default();
    match kernel::qgroup_limit(&subvolume, size) {
        // Nothing is counted yet. What is there is counted in the background from now on.
        Err(Errno::NOTCONN | Errno::INVAL) => {
            kernel::btrfs_quota_enable(&subvolume).map_err(fail)?;
            kernel::qgroup_limit(&subvolume, size).map_err(fail)
        }
        other => other.map_err(fail),
    }
}

/// What bounds a subvolume, as the kernel tells it.
fn limit(base: &Base, place: &str) -> Option<i64> {
    let subvolume = base.directory(place).ok()?;
    let flags = qgroup(&subvolume, "limit_flags")?;
    let flags = flags
        .strip_prefix("0x")
        .map_or_else(|| flags.parse().ok(), |hex| u64::from_str_radix(hex, 16).ok())?;
    (flags & 1 != 0).then(|| qgroup(&subvolume, "max_referenced")?.parse().ok()).flatten()
}

/// How many bytes a subvolume refers to.
pub(super) fn used(base: &Base, place: &str) -> Option<i64> {
    let subvolume = base.directory(place).ok()?;
    qgroup(&subvolume, "referenced")?.parse().ok()
}

/// A file of a subvolume's qgroup in sysfs.
fn qgroup(subvolume: impl AsFd, file: &str) -> Option<String> {
    let id = kernel::subvolume_id(&subvolume).ok()?;
    let hex: String = kernel::btrfs_uuid(&subvolume).ok()?.iter().map(|byte| format!("{byte:02x}")).collect();
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    let uuid = [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-");
    let text = std::fs::read_to_string(format!("/sys/fs/btrfs/{uuid}/qgroups/0_{id}/{file}")).ok()?;
    Some(text.trim().to_owned())
}
