//! The trash is emptied in the background, by directory handle: no symbolic link and no mount is followed, and what cannot
//! be removed stays and is counted.

use super::base::{Base, open_beneath};
use super::kernel;
use super::shared::{Shared, TrashCount};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// How long what cannot be removed is left in peace.
const PAUSE: Duration = Duration::from_secs(60);
/// How deep file systems within file systems (btrfs subvolumes) are followed.
const DEEPEST: u32 = 32;

/// Starts the one thread that empties the trash of all bases, and gives the way to wake it.
pub(super) fn start(shared: Arc<Shared>) -> std::io::Result<Sender<()>> {
    let (sender, wake) = channel();
    thread::Builder::new().name("trash".to_owned()).spawn(move || run(&shared, &wake))?;
    Ok(sender)
}

fn run(shared: &Shared, wake: &Receiver<()>) {
    let mut told = TrashCount::default();
    loop {
        let mut all = TrashCount::default();
        for view in &shared.views {
            let Ok(base) = Base::open(&shared.host_root, &view.path) else { continue };
            let count = empty(&base, |count| view.set_trash(count));
            view.set_trash(count);
            all.entries += count.entries;
            all.stuck += count.stuck;
        }
        if all.stuck > told.stuck {
            tracing::warn!(
                entries = all.stuck,
                "removed volumes stay in the trash: something in them is immutable, in use or mounted; see \
                 .volgate/trash beneath the base. It is tried again every {PAUSE:?}"
            );
        }
        told = all;
        let woken = match all.entries {
            0 => wake.recv().map_err(|_| RecvTimeoutError::Disconnected),
            _ => wake.recv_timeout(PAUSE),
        };
        if woken == Err(RecvTimeoutError::Disconnected) {
            return;
        }
    }
}

/// Empties the trash of a base as far as that goes.
fn empty(base: &Base, mut progress: impl FnMut(TrashCount)) -> TrashCount {
    let mut count = TrashCount::default();
    let Ok(Some(trash)) = base.trash() else { return count };
    let Ok(entries) = names(&trash) else { return count };
    count.entries = i64::try_from(entries.len()).unwrap_or(i64::MAX);
    progress(count);
    for name in entries {
        match remove(&trash, &name) {
            Ok(()) => count.entries -= 1,
            Err(errno) => {
                count.stuck += 1;
                tracing::debug!(base = base.path(), ?name, "stays in the trash: {errno}");
            }
        }
        progress(count);
    }
    count
}

/// Removes one entry of the trash.
fn remove(trash: &OwnedFd, name: &CStr) -> rustix::io::Result<()> {
    if unlink(trash, name)? {
        return Ok(());
    }
    let top = open(trash, name)?;
    // A subvolume goes at once, unless there are others in it.
    let subvolume = rustix::fs::fstat(&top)?.st_ino == kernel::BTRFS_ROOT_INODE;
    if subvolume && kernel::subvolume_destroy(trash, name).is_ok() {
        return Ok(());
    }
    clear(&top, DEEPEST)?;
    rustix::fs::unlinkat(trash, name, AtFlags::REMOVEDIR)
}

/// Removes all that is in a directory. Directories in it are emptied by moving what directories they hold up to the top:
/// however deep somebody has nested them, three are open at a time and no path grows. What cannot be removed does not keep
/// the rest from it.
fn clear(top: &OwnedFd, deepest: u32) -> rustix::io::Result<()> {
    let mut moved = 0;
    until_empty(top, |name| match unlink(top, name)? {
        true => Ok(()),
        false => flatten(top, name, &mut moved, deepest),
    })
}

/// Empties a directory that is at the top, and removes it.
fn flatten(top: &OwnedFd, name: &CStr, moved: &mut u64, deepest: u32) -> rustix::io::Result<()> {
    let directory = open(top, name)?;
    until_empty(&directory, |inner| match unlink(&directory, inner)? {
        true => Ok(()),
        false => move_up(top, &directory, inner, moved, deepest),
    })?;
    rustix::fs::unlinkat(top, name, AtFlags::REMOVEDIR)
}

/// Removes what is in a directory, again and again for as long as anything goes: what is removed may put other things
/// there.
fn until_empty(
    directory: &OwnedFd,
    mut remove: impl FnMut(&CStr) -> rustix::io::Result<()>,
) -> rustix::io::Result<()> {
    loop {
        let (mut gone, mut worst) = (false, Ok(()));
        let names = names(directory)?;
        if names.is_empty() {
            return Ok(());
        }
        for name in names {
            let removed = remove(&name);
            gone |= removed.is_ok();
            worst = worst.and(removed);
        }
        if !gone {
            return worst;
        }
    }
}

fn move_up(
    top: &OwnedFd,
    directory: &OwnedFd,
    inner: &CStr,
    moved: &mut u64,
    deepest: u32,
) -> rustix::io::Result<()> {
    loop {
        *moved += 1;
        let target = format!("moved-up.{moved}");
        match rustix::fs::renameat_with(directory, inner, top, &target, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            // A file system within this one: it cannot be moved out, and is emptied where it is.
            Err(Errno::XDEV) if deepest > 0 => {
                *moved -= 1;
                clear(&open(directory, inner)?, deepest - 1)?;
                return rustix::fs::unlinkat(directory, inner, AtFlags::REMOVEDIR);
            }
            other => {
                if other.is_err() {
                    *moved -= 1;
                }
                return other;
            }
        }
    }
}

/// Removes what is no directory with something in it; says whether it did.
fn unlink(directory: &OwnedFd, name: &CStr) -> rustix::io::Result<bool> {
    let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let flags = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => AtFlags::REMOVEDIR,
        _ => AtFlags::empty(),
    };
    match rustix::fs::unlinkat(directory, name, flags) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn open(directory: &OwnedFd, name: &CStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    open_beneath(directory.as_fd(), name, flags, Mode::empty())
}

/// How many names of a directory are read at a time: a directory can hold millions.
const AT_A_TIME: usize = 4096;

fn names(directory: &OwnedFd) -> rustix::io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if entry.file_name() != c"." && entry.file_name() != c".." {
            names.push(entry.file_name().to_owned());
        }
        if names.len() >= AT_A_TIME {
            break;
        }
    }
    Ok(names)
}
