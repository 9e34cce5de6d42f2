//! A directory of a project of its own, with a quota: XFS and ext4. `df` in it tells the quota's size.

use super::super::base::Base;
use super::super::{Fault, Found, filesystem, kernel, point};
use super::{State, directory};
use rustix::fs::Dir;
use rustix::io::Errno;

/// The ids that are given: below those of the kubelet, which begin at 1048577, and above those of people.
const FIRST: u32 = 0x2_0000;
const LAST: u32 = 0xf_ffff;
/// File systems keep limits in blocks; what is as near as this is the limit that was set.
const NEAR: u64 = 64 * 1024;

pub(super) fn look(
    base: &Base,
    place: &str,
    project: Option<u32>,
    size: Option<i64>,
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
        let limit = kernel::project_quota(base.root(), project).ok()??.limit;
        let wanted = u64::try_from(size.unwrap_or_default()).unwrap_or_default();
        match limit {
            0 => None,
            limit if limit >= wanted && limit - wanted < NEAR => size,
            limit => i64::try_from(limit).ok(),
        }
    });
    Ok(State { found, bound, attached: false })
}

pub(super) fn bound(base: &Base, place: &str, project: Option<u32>, size: i64) -> Result<(), Fault> {
    let fail = |errno| Fault::system(format_args!("bound {}/{place} to {size} bytes", base.path()), errno);
    let project = project.ok_or_else(|| fail(Errno::INVAL))?;
    let root = base.directory(place).map_err(fail)?;
    kernel::set_project_quota(base.root(), project, u64::try_from(size).unwrap_or_default()).map_err(fail)?;
    point("bound", "within");
    if kernel::project(&root).map_err(fail)? != Some(project) {
        kernel::set_project(&root, project).map_err(fail)?;
        rustix::fs::fsync(&root).map_err(fail)?;
    }
    Ok(())
}

/// An id that no volume has, and whose data is gone: what is in the trash counts until it is.
pub(super) fn free_project(base: &Base, volume: &str, taken: impl Fn(u32) -> bool) -> Result<u32, Fault> {
    let count = LAST - FIRST + 1;
    // From a place of the volume's own, so that ids are not used again soon.
    let start = volume.bytes().fold(5381_u32, |hash, byte| hash.wrapping_mul(33) ^ u32::from(byte)) % count;
    let ids = (0..count).map(|step| FIRST + (start + step) % count);
    let unused = |id: &u32| {
        let quota = kernel::project_quota(base.root(), *id);
        !taken(*id) && quota.is_ok_and(|quota| quota.is_none_or(|quota| quota.used == 0))
    };
    ids.take(10_000).find(unused).ok_or_else(|| {
        Fault::lasting("NoProjectId", format!("no free project id was found in {}", base.path()))
    })
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
