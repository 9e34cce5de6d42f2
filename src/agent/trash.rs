//! The trash of a base is emptied in the background, by directory handle: no symbolic link and no mount is followed, and
//! what cannot be removed stays and is counted.
//!
//! Each base has a thread of its own for it, and each removed volume gets its turns of a bounded number of steps: one with
//! a hundred million files holds up no other. What is known of an entry between two turns is a few names, whatever is in
//! it, and everything else is on the disk: an agent that was killed just begins with what is left.

use super::base::{Base, open_beneath};
use super::base_view::{BaseView, TrashCount};
use super::shared::Shared;
use super::{filesystem, kernel, random};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, DirEntry, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::{CStr, CString};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long what cannot be removed is left in peace.
const PAUSE: Duration = Duration::from_secs(60);
/// The steps of one turn: a name that is removed or moved, a directory that is opened.
const TURN: u32 = 1024;
/// How deep directories are followed that can be moved nowhere (of another subvolume, encrypted): each is open in a turn.
const DEEPEST: usize = 128;
/// Of how many entries the state is kept at once: the others wait until one of them is gone.
const MOST_ENTRIES: usize = 4096;

/// Starts the thread that empties the trash of a base, and gives the way to wake it.
pub(super) fn start(shared: Arc<Shared>, view: Arc<BaseView>) -> std::io::Result<Sender<()>> {
    let (sender, wake) = channel();
    thread::Builder::new().name("trash".to_owned()).spawn(move || run(&shared, &view, &wake))?;
    Ok(sender)
}

fn run(shared: &Shared, view: &BaseView, wake: &Receiver<()>) {
    let mut told = 0;
    let mut emptier = Emptier::default();
    let mut open: Option<Base> = None;
    loop {
        if !open.as_ref().is_some_and(Base::is_current) {
            // Another disk may be there, with a trash of its own.
            emptier = Emptier::default();
            open = Base::open(&shared.host_root, &view.path).ok();
        }
        let steps = open.as_ref().map_or(0, |base| emptier.round(base, Instant::now()));
        let count = emptier.count();
        view.set_trash(count);
        if count.stuck > told {
            tracing::warn!(
                base = view.path,
                entries = count.stuck,
                again_every = ?PAUSE,
                "removed volumes stay in the trash: something in them is immutable, in use or mounted; see \
                 .volgate/trash beneath the base"
            );
        }
        told = count.stuck;
        let woken = match count.entries {
            _ if steps > 0 => match wake.try_recv() {
                Err(TryRecvError::Disconnected) => Err(RecvTimeoutError::Disconnected),
                _ => Ok(()),
            },
            0 if open.is_some() => wake.recv().map_err(|_| RecvTimeoutError::Disconnected),
            _ => wake.recv_timeout(PAUSE),
        };
        if woken == Err(RecvTimeoutError::Disconnected) {
            return;
        }
    }
}

/// The entries of a trash, each of which gets its turn.
#[derive(Debug, Default)]
struct Emptier {
    entries: VecDeque<Entry>,
    /// How many there are besides.
    waiting: usize,
}

impl Emptier {
    /// Takes note of what is in the trash, and gives each entry one turn. Says how many steps were taken.
    fn round(&mut self, base: &Base, now: Instant) -> u32 {
        let Ok(Some(trash)) = base.trash() else { return 0 };
        if let Err(errno) = self.take_note(&trash) {
            tracing::debug!(base = base.path(), error = %errno, "failed to list the trash");
        }
        (0..self.entries.len()).map(|_| self.turn(&trash, now)).fold(0, u32::saturating_add)
    }

    fn count(&self) -> TrashCount {
        let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let stuck = self.entries.iter().filter(|entry| entry.rests_until.is_some()).count();
        TrashCount { entries: number(self.entries.len() + self.waiting), stuck: number(stuck) }
    }

    /// Lists the trash.
    fn take_note(&mut self, trash: &OwnedFd) -> rustix::io::Result<()> {
        let mut known: Vec<CString> = self.entries.iter().map(|entry| entry.name.clone()).collect();
        known.sort_unstable();
        self.waiting = 0;
        for entry in Dir::read_from(trash)? {
            let entry = entry?;
            let name = entry.file_name();
            if is_itself(name) || known.binary_search_by(|known| known.as_c_str().cmp(name)).is_ok() {
                continue;
            }
            if self.entries.len() < MOST_ENTRIES {
                self.entries.push_back(Entry::new(name));
            } else {
                self.waiting += 1;
            }
        }
        Ok(())
    }

    /// Gives the next entry its turn, unless it rests. Says how many steps were taken.
    fn turn(&mut self, trash: &OwnedFd, now: Instant) -> u32 {
        let Some(mut entry) = self.entries.pop_front() else { return 0 };
        if entry.rests_until.is_some_and(|until| until > now) {
            self.entries.push_back(entry);
            return 0;
        }
        entry.rests_until = None;
        let mut left = TURN;
        match entry.turn(trash, &mut left) {
            Ok(Progress::Gone) => {}
            Ok(Progress::More) => self.entries.push_back(entry),
            Err(errno) => {
                tracing::debug!(name = ?entry.name, error = %errno, "stays in the trash");
                entry.levels.clear();
                entry.rests_until = Some(now + PAUSE);
                self.entries.push_back(entry);
            }
        }
        TURN - left
    }
}

/// A removed volume.
#[derive(Debug)]
struct Entry {
    name: CString,
    /// The directories that are being emptied, each in the one before it. Where they can, directories are moved up beside
    /// the one that they were found in, so that however deep somebody has nested them there are two of them here, and no
    /// path grows.
    levels: Vec<Level>,
    /// When it is tried again, after something in it could not be removed.
    rests_until: Option<Instant>,
}

/// How far a directory has been gone through. It is gone through again for as long as anything goes: what is removed may
/// put other things there.
#[derive(Debug)]
struct Level {
    name: CString,
    /// Where to read on.
    at: i64,
    /// Whether this pass has changed anything.
    progress: bool,
    /// Whether any has.
    changed: bool,
    /// What this pass was hindered by first.
    hindrance: Option<Errno>,
}

/// What came of a turn that nothing hindered.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    Gone,
    More,
}

/// What came of the removal of a name.
enum Unlinked {
    /// It is not there any more.
    Gone,
    /// It is a directory with something in it.
    Full,
}

impl Level {
    fn new(name: &CStr) -> Self {
        Self { name: name.to_owned(), at: 0, progress: false, changed: false, hindrance: None }
    }

    fn progressed(&mut self) {
        (self.progress, self.changed) = (true, true);
    }

    /// What hinders is noted. What another process has changed meanwhile hinders nothing, and is no progress either.
    fn hindered(&mut self, errno: Errno) {
        if !matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::ISDIR | Errno::LOOP) {
            self.hindrance.get_or_insert(errno);
        }
    }
}

impl Entry {
    fn new(name: &CStr) -> Self {
        Self { name: name.to_owned(), levels: Vec::new(), rests_until: None }
    }

    /// Removes what goes within the steps that are left.
    ///
    /// # Errors
    /// What hinders the rest from being removed: a whole pass has changed nothing.
    fn turn(&mut self, trash: &OwnedFd, left: &mut u32) -> rustix::io::Result<Progress> {
        if self.levels.is_empty() {
            step(left);
            match unlink(trash.as_fd(), &self.name, FileType::Unknown) {
                Ok(Unlinked::Gone) | Err(Errno::NOENT) => return Ok(Progress::Gone),
                Ok(Unlinked::Full) => {}
                Err(errno) => return Err(errno),
            }
            step(left);
            let top = open(trash.as_fd(), &self.name)?;
            // A subvolume goes at once, unless there are others in it.
            if is_subvolume(&top) && kernel::subvolume_destroy(trash, &self.name).is_ok() {
                return Ok(Progress::Gone);
            }
            // Else nothing of another project could be moved up into it. Where there are no projects, there is nothing to do.
            let _ = kernel::leave_project(&top);
            self.levels.push(Level::new(&self.name));
        }
        let subvolumes = filesystem::name(trash.as_fd()) == "btrfs";
        let mut open = self.reopen(trash, left);
        while *left > 0 {
            let (Some(level), Some(directory)) = (self.levels.last_mut(), open.last_mut()) else {
                // It was changed by somebody else: the next turn begins with what is there.
                self.levels.clear();
                return Ok(Progress::More);
            };
            match directory.read() {
                Some(Ok(entry)) if is_itself(entry.file_name()) => {}
                Some(Ok(entry)) => {
                    step(left);
                    level.at = entry.offset();
                    self.remove(&mut open, &entry, subvolumes, left);
                }
                end => {
                    step(left);
                    if let Some(Err(errno)) = end {
                        level.hindered(errno);
                    }
                    if self.end_of_pass(trash, &mut open)? {
                        return Ok(Progress::Gone);
                    }
                }
            }
        }
        Ok(Progress::More)
    }

    /// Opens the directories in which the last turn ended, as far as they are there still.
    fn reopen(&mut self, trash: &OwnedFd, left: &mut u32) -> Vec<Dir> {
        let mut directories: Vec<Dir> = Vec::new();
        for level in &self.levels {
            step(left);
            let opened = within(trash, &directories).and_then(|parent| open(parent, &level.name));
            let opened = opened.and_then(Dir::new).and_then(|mut directory| {
                if level.at != 0 {
                    directory.seek(level.at)?;
                }
                Ok(directory)
            });
            let Ok(directory) = opened else { break };
            directories.push(directory);
        }
        if directories.len() < self.levels.len() {
            self.levels.truncate(directories.len());
            self.levels.iter_mut().for_each(Level::progressed);
        }
        directories
    }

    /// Removes a name of the innermost directory, or moves it up, or goes into it.
    fn remove(&mut self, open_now: &mut Vec<Dir>, entry: &DirEntry, subvolumes: bool, left: &mut u32) {
        let depth = self.levels.len();
        let (Some(level), Some(directory)) = (self.levels.last_mut(), open_now.last()) else { return };
        let name = entry.file_name();
        let removed = directory.fd().and_then(|directory| unlink(directory, name, entry.file_type()));
        match removed {
            Ok(Unlinked::Gone) => return level.progressed(),
            Ok(Unlinked::Full) => {}
            Err(errno) => return level.hindered(errno),
        }
        if subvolumes && destroyed(directory, name) {
            return level.progressed();
        }
        let above = depth.checked_sub(2).and_then(|above| open_now.get(above));
        if above.is_some_and(|above| moved_up(directory, name, above).is_ok()) {
            level.progressed();
            if let Some(above) = depth.checked_sub(2).and_then(|above| self.levels.get_mut(above)) {
                above.progressed();
            }
            return;
        }
        if depth >= DEEPEST {
            return level.hindered(Errno::NAMETOOLONG);
        }
        step(left);
        match directory.fd().and_then(|directory| open(directory, name)).and_then(Dir::new) {
            Ok(inner) => {
                self.levels.push(Level::new(name));
                open_now.push(inner);
            }
            Err(errno) => level.hindered(errno),
        }
    }

    /// The innermost directory was gone through: it goes, or is gone through again, or stays. Says whether it was the
    /// whole entry.
    fn end_of_pass(&mut self, trash: &OwnedFd, open_now: &mut Vec<Dir>) -> rustix::io::Result<bool> {
        let (Some(level), Some(_)) = (self.levels.pop(), open_now.pop()) else { return Ok(false) };
        let parent = within(trash, open_now)?;
        let removed = unlink(parent, &level.name, FileType::Directory);
        if matches!(removed, Ok(Unlinked::Full)) && level.progress {
            // Opened again: a directory of ext4 that was first read at its end stays there when it is rewound.
            if let Ok(directory) = open(parent, &level.name).and_then(Dir::new) {
                self.levels.push(Level { at: 0, progress: false, hindrance: None, ..level });
                open_now.push(directory);
                return Ok(false);
            }
        }
        let hindrance = match removed {
            Ok(Unlinked::Gone) | Err(Errno::NOENT) => None,
            Ok(Unlinked::Full) => Some(level.hindrance.unwrap_or(Errno::NOTEMPTY)),
            Err(errno) => Some(errno),
        };
        let Some(above) = self.levels.last_mut() else {
            return hindrance.map_or(Ok(true), Err);
        };
        if hindrance.is_none() || level.changed {
            above.progressed();
        }
        if let Some(errno) = hindrance {
            above.hindered(errno);
        }
        Ok(false)
    }
}

fn step(left: &mut u32) {
    *left = left.saturating_sub(1);
}

fn is_itself(name: &CStr) -> bool {
    name == c"." || name == c".."
}

/// The directory in which the next level is.
fn within<'a>(trash: &'a OwnedFd, open: &'a [Dir]) -> rustix::io::Result<BorrowedFd<'a>> {
    open.last().map_or(Ok(trash.as_fd()), Dir::fd)
}

fn is_subvolume(directory: impl AsFd) -> bool {
    rustix::fs::fstat(directory).is_ok_and(|stat| stat.st_ino == kernel::BTRFS_ROOT_INODE)
}

/// Whether it was a subvolume, and is gone with all that was in it.
fn destroyed(parent: &Dir, name: &CStr) -> bool {
    let Ok(parent) = parent.fd() else { return false };
    open(parent, name).is_ok_and(is_subvolume) && kernel::subvolume_destroy(parent, name).is_ok()
}

/// Moves a directory out of the one that it is in, under a name that nobody can have taken before.
fn moved_up(directory: &Dir, name: &CStr, above: &Dir) -> rustix::io::Result<()> {
    let target = format!("moved-up.{:016x}", random::number()?);
    rustix::fs::renameat_with(directory.fd()?, name, above.fd()?, &target, RenameFlags::NOREPLACE)
}

/// Removes what is no directory with something in it.
fn unlink(directory: BorrowedFd<'_>, name: &CStr, kind: FileType) -> rustix::io::Result<Unlinked> {
    let kind = match kind {
        FileType::Unknown => {
            let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
            FileType::from_raw_mode(stat.st_mode)
        }
        known => known,
    };
    let flags = if kind == FileType::Directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
    match rustix::fs::unlinkat(directory, name, flags) {
        Ok(()) => Ok(Unlinked::Gone),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(Unlinked::Full),
        Err(errno) => Err(errno),
    }
}

fn open(directory: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    open_beneath(directory, name, flags, Mode::empty())
}

#[cfg(test)]
mod tests;
