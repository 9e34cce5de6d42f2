//! A directory of a project of its own, with a quota: XFS and ext4. `df` in it tells the quota's size.

use super::super::base::Base;
use super::super::{Fault, Found, filesystem, kernel, point, random};
use super::{State, directory};
use rustix::fs::Dir;
use rustix::io::Errno;

/// The ids that are given: far above those of people, of the kubelet (from 1048577 on), and of agents before, which went to
/// 1048575.
const FIRST: u32 = 0x4000_0000;
const LAST: u32 = 0x7fff_ffff;
/// How many ids are tried: of a thousand million, hardly one is taken.
const TRIES: u32 = 100;
/// File systems keep limits in blocks; what is as near as this is the limit that was set.
const NEAR: u64 = 64 * 1024;
/// A file takes a block as well as an inode, unless it is empty.
const BLOCK: u64 = 4096;
/// So many inodes a volume has for its blocks, however many bytes an inode is given for: small volumes can be full of small files.
const FREE_INODES: u64 = 65_536;

/// How many inodes a volume has: one for so many of its bytes, and of the first 65,536 one for each block.
fn inodes(size: u64, bytes_per_inode: u64) -> u64 {
    (size / bytes_per_inode.max(1)).max((size / BLOCK).min(FREE_INODES)).max(1)
}

pub(super) fn look(
    base: &Base,
    place: &str,
    project: Option<u32>,
    size: Option<i64>,
    bytes_per_inode: u64,
) -> Result<State, Fault> {
    let found = directory::look(base, place)?;
    if found != Found::Fitting {
        return Ok(State { found, bound: None, attached: false });
    }
    let fail = |errno| Fault::system(format_args!("look at {}/{place}", base.path()), errno);
    let root = base.directory(place).map_err(fail)?;
    let own = kernel::project(&root).ok().flatten();
    if project.is_none() && holds_anything(&root) {
        let why = "a directory with files of no project in it, which no quota would count";
        return Ok(State { found: Found::Unfitting(why.to_owned()), bound: None, attached: false });
    }
    let bound = project.filter(|_| own == project).and_then(|project| {
        let quota = kernel::project_quota(base.root(), project).ok()??;
        let wanted = u64::try_from(size.unwrap_or_default()).unwrap_or_default();
        match quota.limit {
            0 => None,
            // One that was made before inodes were bounded, or with more bytes for each.
            _ if quota.inode_limit < inodes(wanted, bytes_per_inode) => None,
            limit if limit >= wanted && limit - wanted < NEAR => size,
            limit => i64::try_from(limit).ok(),
        }
    });
    Ok(State { found, bound, attached: false })
}

pub(super) fn bound(
    base: &Base,
    place: &str,
    project: Option<u32>,
    size: i64,
    bytes_per_inode: u64,
) -> Result<(), Fault> {
    let fail = |errno| Fault::system(format_args!("bound {}/{place} to {size} bytes", base.path()), errno);
    let project = project.ok_or_else(|| fail(Errno::INVAL))?;
    let root = base.directory(place).map_err(fail)?;
    let size = u64::try_from(size).unwrap_or_default();
    let quota = kernel::project_quota(base.root(), project).map_err(fail)?.unwrap_or_default();
    let inodes = inode_limit(inodes(size, bytes_per_inode), quota);
    kernel::set_project_quota(base.root(), project, size, inodes).map_err(fail)?;
    point("bound", "within");
    if kernel::project(&root).map_err(fail)? != Some(project) {
        kernel::set_project(&root, project).map_err(fail)?;
        rustix::fs::fsync(&root).map_err(fail)?;
    }
    Ok(())
}

/// The limit of inodes that a project gets. None is taken away that it has had, and a volume that could have any number
/// before keeps room for as many again as it holds.
fn inode_limit(wanted: u64, quota: kernel::ProjectQuota) -> u64 {
    match quota.inode_limit {
        0 => wanted.max(quota.inodes.saturating_mul(2)),
        limit => wanted.max(limit),
    }
}

/// An id that no volume has, and whose data is gone: what is in the trash counts until it is. It is drawn by lot, as whoever
/// knew it could have another's files counted there, and so fill a volume of somebody else's.
pub(super) fn free_project(base: &Base, taken: impl Fn(u32) -> bool) -> Result<u32, Fault> {
    let of_kernel = |id| kernel::project_quota(base.root(), id);
    let unused = |id: u32| {
        !taken(id)
            && of_kernel(id).is_ok_and(|quota| quota.unwrap_or_default() == kernel::ProjectQuota::default())
    };
    drawn(unused)?.ok_or_else(|| {
        Fault::lasting("NoProjectId", format!("no free project id was found in {}", base.path()))
    })
}

fn drawn(unused: impl Fn(u32) -> bool) -> Result<Option<u32>, Fault> {
    for _ in 0..TRIES {
        let number = random::number().map_err(|errno| Fault::system("draw a project id", errno))?;
        let id = u32::try_from(number % u64::from(LAST - FIRST + 1)).unwrap_or_default() + FIRST;
        if unused(id) {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// How many bytes the project's files take.
pub(super) fn used(base: &Base, project: Option<u32>) -> Option<i64> {
    i64::try_from(kernel::project_quota(base.root(), project?).ok()??.used).ok()
}

pub(super) fn unsupported(base: &Base) -> Option<String> {
    let name = filesystem::name(base.root());
    if !["xfs", "ext4"].contains(&name.as_str()) {
        return Some(format!("{name} has no project quotas"));
    }
    match kernel::project_quotas(base.root()) {
        Ok(true) => None,
        // XFS without the option answers as a kernel without the call does.
        Ok(false) | Err(Errno::SRCH | Errno::NOSYS) => Some(format!(
            "project quotas are not switched on: mount the {name} with the option prjquota (the kernel needs to be \
             5.14 or newer, with quotas)"
        )),
        Err(errno) => Some(format!("this kernel cannot do it with this {name}: {errno}")),
    }
}

fn holds_anything(directory: &rustix::fd::OwnedFd) -> bool {
    let Ok(entries) = Dir::read_from(directory) else { return true };
    entries.flatten().any(|entry| entry.file_name() != c"." && entry.file_name() != c"..")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    #[test]
    fn inodes_grow_with_the_size_and_never_beyond_its_blocks() {
        let mib = |number: u64| number << 20;
        for (size, per, wanted) in [
            (0, 16_384, 1),
            (mib(1), 16_384, 256),
            (mib(256), 16_384, 65_536),
            (mib(1024), 16_384, 65_536),
            (mib(2048), 16_384, 131_072),
            (mib(2048), 4096, 524_288),
            (mib(2048), 1 << 20, 65_536),
            (u64::MAX, 4096, u64::MAX / 4096),
        ] {
            assert_eq!(inodes(size, per), wanted, "{size} {per}");
        }
        let sizes: Vec<u64> = (0..4000).map(|number| inodes(mib(number), 16_384)).collect();
        assert!(sizes.is_sorted(), "a volume that grows loses none");
    }

    #[test]
    fn no_volume_loses_inodes_that_it_had() {
        let quota = |inode_limit, inodes| kernel::ProjectQuota { inode_limit, inodes, ..Default::default() };
        assert_eq!(inode_limit(1000, quota(0, 0)), 1000);
        assert_eq!(inode_limit(1000, quota(0, 400)), 1000);
        assert_eq!(inode_limit(1000, quota(0, 900)), 1800, "made before inodes were bounded");
        assert_eq!(inode_limit(1000, quota(5000, 10)), 5000);
        assert_eq!(inode_limit(1000, quota(500, 499)), 1000, "it grew");
    }

    #[test]
    fn ids_are_drawn_by_lot_from_a_range_of_their_own_and_never_twice() {
        let mut known = BTreeSet::new();
        for _ in 0..1000 {
            let id = drawn(|id| !known.contains(&id)).unwrap().unwrap();
            assert!((FIRST..=LAST).contains(&id), "{id}");
            assert!(known.insert(id), "{id} was in use");
        }
        let halves = known.iter().filter(|id| **id < FIRST + (LAST - FIRST) / 2).count();
        assert!((300..700).contains(&halves), "{halves} of 1000 are in the lower half");
        // One that is in use is drawn past.
        let asked = RefCell::new(Vec::new());
        let third = drawn(|id| {
            asked.borrow_mut().push(id);
            asked.borrow().len() == 3
        });
        assert_eq!(third.unwrap(), asked.borrow().last().copied());
        assert_eq!(drawn(|_| false).unwrap(), None, "it ends where all are in use");
    }
}
