//! The files of one base. Everything is relative to an open handle of it, and no symbolic link and no other mount is
//! followed on the way: what pods or people plant beneath it leads nowhere.

use super::point;
use super::{Directory, Fault, Found, OWN, Record};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// A volume is for whoever the pod runs as: what keeps others away is that they cannot mount it.
const VOLUME_MODE: u32 = 0o777;
/// The directories on the way to a volume.
const PARENT_MODE: u32 = 0o755;
/// What only the agent has business in.
const OWN_MODE: u32 = 0o700;
/// No record is longer, in bytes: what is longer was not written by an agent.
const LONGEST_RECORD: u64 = 64 * 1024;
/// What a name in the trash can have behind its volume's.
const TRASH_NUMBERS: u32 = 10_000;

/// The directories of the agent's own, beneath [`OWN`].
const VOLUMES: &str = ".volgate/volumes";
const TRASH: &str = ".volgate/trash";
const LOOPS: &str = ".volgate/loop";

/// How ways beneath the base are gone.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

/// The identity of an open file: its device and its inode.
pub(super) type Identity = (u64, u64);

/// An open base.
#[derive(Debug)]
pub(super) struct Base {
    /// Its path on the node.
    path: String,
    /// Where this process sees it.
    seen_at: PathBuf,
    root: OwnedFd,
    identity: Identity,
}

/// The records of a base.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) good: BTreeMap<String, Record>,
    /// Files among the records that are none, and why.
    pub(super) bad: BTreeMap<String, String>,
}

impl Base {
    /// Opens a base, which is at `path` on the node and seen beneath `host_root`.
    pub(super) fn open(host_root: &Path, path: &str) -> Result<Self, Fault> {
        let seen_at = host_root.join(path.trim_start_matches('/'));
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fail = |errno| Fault::system(format_args!("open the base {path}"), errno);
        let root = rustix::fs::open(&seen_at, flags, Mode::empty()).map_err(fail)?;
        let identity = identity(&root).map_err(fail)?;
        Ok(Self { path: path.to_owned(), seen_at, root, identity })
    }

    /// Whether what is at the base's path now is what is open: a disk may have been mounted there since.
    pub(super) fn is_current(&self) -> bool {
        rustix::fs::stat(&self.seen_at)
            .is_ok_and(|stat| (stat.st_dev, stat.st_ino) == self.identity && stat.st_nlink > 0)
    }

    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Makes the directories of the agent's own.
    pub(super) fn prepare(&self) -> Result<(), Fault> {
        for name in [OWN, VOLUMES, TRASH, LOOPS] {
            let fail = |errno| Fault::system(format_args!("make {}/{name}", self.path), errno);
            match rustix::fs::mkdirat(&self.root, name, Mode::from_raw_mode(OWN_MODE)) {
                Ok(()) => self.sync_parent(name).map_err(fail)?,
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(fail(errno)),
            }
            // It may have been there, as something else.
            self.directory(name).map_err(fail)?;
        }
        Ok(())
    }

    /// Whether anything can be written to it: the file system's own word, and a file.
    pub(super) fn check_writable(&self) -> Result<(), Fault> {
        self.prepare()?;
        let fail = |errno| Fault::system(format_args!("write to {}", self.path), errno);
        let statvfs = rustix::fs::fstatvfs(&self.root).map_err(fail)?;
        if statvfs.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
            return Err(fail(Errno::ROFS));
        }
        Ok(())
    }

    /// Reads all records. What a killed agent left half written is taken away.
    pub(super) fn records(&self) -> Result<Records, Fault> {
        let fail = |errno| Fault::system(format_args!("read {}/{VOLUMES}", self.path), errno);
        let mut records = Records::default();
        let volumes = match self.directory(VOLUMES) {
            Ok(volumes) => volumes,
            Err(Errno::NOENT) => return Ok(records),
            Err(errno) => return Err(fail(errno)),
        };
        for entry in Dir::read_from(&volumes).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".new") {
                // It was never a record; where it cannot be removed it still is none.
                let _ = rustix::fs::unlinkat(&volumes, entry.file_name(), AtFlags::empty());
                continue;
            }
            let Some(volume) = name.strip_suffix(".json") else { continue };
            match self.read_record(volume) {
                Ok(record) => {
                    records.good.insert(volume.to_owned(), record);
                }
                Err(fault) => {
                    records.bad.insert(volume.to_owned(), fault);
                }
            }
        }
        Ok(records)
    }

    fn read_record(&self, volume: &str) -> Result<Record, String> {
        let path = record_path(volume);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = self.open_at(&path, flags, Mode::empty()).map_err(|errno| errno.to_string())?;
        let mut text = String::new();
        File::from(file).take(LONGEST_RECORD).read_to_string(&mut text).map_err(|error| error.to_string())?;
        let record: Record = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        if record.volume != volume {
            return Err(format!("it speaks of the volume {:?}", record.volume));
        }
        Ok(record)
    }

    /// Writes a record, whole or not at all, and sees it on the disk.
    pub(super) fn write_record(&self, record: &Record) -> Result<(), Fault> {
        self.prepare()?;
        let (path, new) = (record_path(&record.volume), format!("{VOLUMES}/{}.new", record.volume));
        let fail = |errno| Fault::system(format_args!("write the record {}/{path}", self.path), errno);
        let io = |error: std::io::Error| fail(Errno::from_io_error(&error).unwrap_or(Errno::IO));
        let text = serde_json::to_vec_pretty(record).map_err(|error| io(error.into()))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW;
        let written = (|| {
            let mut file = File::from(self.open_at(&new, flags, Mode::from_raw_mode(0o600)).map_err(fail)?);
            file.write_all(&text).map_err(io)?;
            file.sync_all().map_err(io)?;
            point("write-record", "within");
            rustix::fs::renameat(&self.root, &new, &self.root, &path).map_err(fail)
        })();
        if written.is_err() {
            // On a full disk it would take room forever.
            let _ = rustix::fs::unlinkat(&self.root, &new, AtFlags::empty());
        }
        written?;
        self.sync_parent(&path).map_err(fail)
    }

    pub(super) fn forget_record(&self, volume: &str) -> Result<(), Fault> {
        let path = record_path(volume);
        let fail = |errno| Fault::system(format_args!("remove the record {}/{path}", self.path), errno);
        match rustix::fs::unlinkat(&self.root, &path, AtFlags::empty()) {
            Ok(()) => self.sync_parent(&path).map_err(fail),
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(fail(errno)),
        }
    }

    /// What is at a path beneath the base, for which `fits` decides by an open handle of it (`O_PATH`).
    pub(super) fn find(
        &self,
        path: &str,
        fits: impl Fn(FileType, &OwnedFd) -> Result<(), String>,
    ) -> Result<Found, Fault> {
        let fail = |errno| Fault::system(format_args!("look at {}/{path}", self.path), errno);
        let unfitting = |what: &str| Ok(Found::Unfitting(what.to_owned()));
        let found = match self.open_at(path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(found) => found,
            Err(Errno::NOENT) => return Ok(Found::Nothing),
            Err(Errno::LOOP) => return unfitting("reached by a symbolic link, and none is followed"),
            Err(Errno::XDEV) => return unfitting("on another mount"),
            Err(Errno::NOTDIR) => return unfitting("beneath something that is no directory"),
            Err(errno) => return Err(fail(errno)),
        };
        let stat = rustix::fs::fstat(&found).map_err(fail)?;
        match fits(FileType::from_raw_mode(stat.st_mode), &found) {
            Ok(()) => Ok(Found::Fitting),
            Err(what) => Ok(Found::Unfitting(what)),
        }
    }

    /// Makes what is missing of the directories on the way to a volume. Gives the innermost, opened.
    pub(super) fn make_parents(&self, directory: &Directory) -> Result<OwnedFd, Fault> {
        for parent in directory.parents() {
            let fail =
                |errno| Fault::system(format_args!("make the directory {}/{parent}", self.path), errno);
            let (way, name) = match parent.rsplit_once('/') {
                Some((way, name)) => (Some(way), name),
                None => (None, parent),
            };
            let way = self.parent(way).map_err(fail)?;
            match rustix::fs::mkdirat(&way, name, Mode::from_raw_mode(PARENT_MODE)) {
                Ok(()) => {
                    let made = self.directory(parent).map_err(fail)?;
                    rustix::fs::fchmod(&made, Mode::from_raw_mode(PARENT_MODE)).map_err(fail)?;
                    rustix::fs::fsync(&way).map_err(fail)?;
                }
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(fail(errno)),
            }
        }
        let (parent, _) = directory.split();
        self.parent(parent).map_err(|errno| {
            Fault::system(format_args!("open the parent of {}/{directory}", self.path), errno)
        })
    }

    /// Makes a volume's directory with `make` in its parent, for everybody to write to, and sees it on the disk. One that
    /// is there already is completed.
    pub(super) fn make_directory(
        &self,
        directory: &Directory,
        make: impl FnOnce(&OwnedFd, &str) -> rustix::io::Result<()>,
    ) -> Result<OwnedFd, Fault> {
        let fail = |errno| Fault::system(format_args!("make the directory {}/{directory}", self.path), errno);
        let parent = self.make_parents(directory)?;
        let (_, name) = directory.split();
        match make(&parent, name) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(fail(errno)),
        }
        point("make", "within");
        let made = self.directory(directory.as_str()).map_err(fail)?;
        rustix::fs::fchmod(&made, Mode::from_raw_mode(VOLUME_MODE)).map_err(fail)?;
        rustix::fs::fsync(&made).map_err(fail)?;
        rustix::fs::fsync(&parent).map_err(fail)?;
        Ok(made)
    }

    /// Moves what is at a path beneath the base into the trash, and sees both ends on the disk.
    pub(super) fn move_to_trash(&self, path: &str, volume: &str) -> Result<(), Fault> {
        let fail = |errno| Fault::system(format_args!("move {}/{path} to the trash", self.path), errno);
        self.prepare()?;
        let (parent, name) = match path.rsplit_once('/') {
            Some((parent, name)) => (Some(parent), name),
            None => (None, path),
        };
        let parent = self.parent(parent).map_err(fail)?;
        let trash = self.directory(TRASH).map_err(fail)?;
        for number in 0..TRASH_NUMBERS {
            let target = format!("{volume}.{number}");
            match rustix::fs::renameat_with(&parent, name, &trash, &target, RenameFlags::NOREPLACE) {
                Ok(()) => {
                    point("move-to-trash", "within");
                    rustix::fs::fsync(&trash).map_err(fail)?;
                    return rustix::fs::fsync(&parent).map_err(fail);
                }
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(fail(errno)),
            }
        }
        Err(fail(Errno::EXIST))
    }

    /// The trash, opened; `None` when there is none yet.
    pub(super) fn trash(&self) -> rustix::io::Result<Option<OwnedFd>> {
        match self.directory(TRASH) {
            Ok(trash) => Ok(Some(trash)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// A directory beneath the base, opened for reading.
    pub(super) fn directory(&self, path: &str) -> rustix::io::Result<OwnedFd> {
        self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW, Mode::empty())
    }

    fn parent(&self, path: Option<&str>) -> rustix::io::Result<OwnedFd> {
        self.directory(path.unwrap_or("."))
    }

    pub(super) fn open_at(&self, path: &str, flags: OFlags, mode: Mode) -> rustix::io::Result<OwnedFd> {
        open_beneath(self.root.as_fd(), path, flags, mode)
    }

    pub(super) fn sync_parent(&self, path: &str) -> rustix::io::Result<()> {
        let parent = path.rsplit_once('/').map(|(parent, _)| parent);
        rustix::fs::fsync(self.parent(parent)?)
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }
}

/// The path of a loop volume's file beneath the base.
pub(super) fn loop_file(volume: &str) -> String {
    format!("{LOOPS}/{volume}")
}

fn record_path(volume: &str) -> String {
    format!("{VOLUMES}/{volume}.json")
}

fn identity(file: &OwnedFd) -> rustix::io::Result<Identity> {
    let stat = rustix::fs::fstat(file)?;
    Ok((stat.st_dev, stat.st_ino))
}

/// Opens beneath a directory: no symbolic link, no other mount, no way out.
pub(super) fn open_beneath(
    root: BorrowedFd<'_>,
    path: impl rustix::path::Arg,
    flags: OFlags,
    mode: Mode,
) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, mode, BENEATH)
}
