//! Measures how many bytes volumes take, for whoever scrapes the metrics: only after somebody has, cheaply where the kernel
//! counts, and for plain directories seldom and at leisure.

use super::Record;
use super::backend;
use super::base::{Base, open_beneath};
use super::shared::Shared;
use crate::model::Backend;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// How often what is cheap is read at most.
const CHEAP_EVERY: Duration = Duration::from_secs(15);
/// After so many files of a directory a pause is made, so that nobody's reads wait.
const AT_ONCE: u32 = 500;
/// That pause.
const PAUSE: Duration = Duration::from_millis(20);
/// What is nested deeper is not counted: somebody plays a trick.
const DEEPEST: usize = 64;

/// Starts the one thread that measures. Directories are walked no more often than `walk_every`.
pub(super) fn start(shared: Arc<Shared>, walk_every: Duration) -> std::io::Result<()> {
    let (sender, wake) = channel();
    shared.usage.measured_on(sender);
    thread::Builder::new().name("usage".to_owned()).spawn(move || run(&shared, &wake, walk_every))?;
    Ok(())
}

fn run(shared: &Shared, wake: &Receiver<()>, walk_every: Duration) {
    while wake.recv().is_ok() {
        // Those who asked meanwhile asked for the same.
        while wake.try_recv().is_ok() {}
        let records: Vec<_> = shared
            .views
            .iter()
            .flat_map(|view| {
                let records: Vec<Record> = view.with_records(|records| records.values().cloned().collect());
                records.into_iter().map(|record| (view.clone(), record))
            })
            .collect();
        shared.usage.keep(|volume| records.iter().any(|(_, record)| record.volume == volume));
        for (view, record) in &records {
            let every = match record.backend {
                Backend::Directory => walk_every,
                _ => CHEAP_EVERY.min(walk_every),
            };
            if shared.usage.measured_at(&record.volume).is_some_and(|at| at.elapsed() < every) {
                continue;
            }
            let Ok(base) = Base::open(&shared.host_root, &view.path) else { continue };
            let used = match record.backend {
                Backend::Directory => base.directory(&record.directory).ok().map(|root| walk(&root)),
                _ => backend::used(&base, record),
            };
            if let Some(bytes) = used {
                shared.usage.set(&record.volume, bytes);
            }
        }
    }
}

/// The bytes that the files in a directory take. A file with several names counts as often as it has names there.
fn walk(root: &OwnedFd) -> i64 {
    let mut blocks = 0_i64;
    let mut seen = 0;
    let mut open: Vec<Dir> = Dir::read_from(root).into_iter().collect();
    while let Some(directory) = open.last_mut() {
        let Some(Ok(entry)) = directory.read() else {
            open.pop();
            continue;
        };
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let Ok(directory) = directory.fd() else { continue };
        let Ok(stat) = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        blocks = blocks.saturating_add(stat.st_blocks);
        let mut inner = None;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
            inner = open_beneath(directory.as_fd(), name, flags, Mode::empty()).and_then(Dir::new).ok();
        }
        if open.len() < DEEPEST {
            open.extend(inner);
        }
        seen += 1;
        if seen % AT_ONCE == 0 {
            thread::sleep(PAUSE);
        }
    }
    blocks.saturating_mul(512)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_files_take_and_follows_no_link() {
        let directory = tempfile::tempdir().unwrap();
        let (inner, outer) = (directory.path().join("inner"), directory.path().join("outer"));
        std::fs::create_dir_all(inner.join("a/b")).unwrap();
        std::fs::create_dir(&outer).unwrap();
        std::fs::write(inner.join("a/b/file"), vec![1; 1 << 20]).unwrap();
        std::fs::write(outer.join("file"), vec![1; 1 << 22]).unwrap();
        std::os::unix::fs::symlink(&outer, inner.join("link")).unwrap();
        let mut deep = inner.clone();
        for _ in 0..100 {
            deep.push("d");
        }
        std::fs::create_dir_all(&deep).unwrap();
        let root = rustix::fs::open(&inner, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let counted = walk(&root);
        assert!((1 << 20..1 << 22).contains(&counted), "{counted}");
    }
}
