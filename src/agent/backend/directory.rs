//! A directory; nothing bounds its size.

use super::super::base::Base;
use super::super::{Directory, Fault, Found};
use rustix::fs::{FileType, Mode};

pub(super) fn look(base: &Base, place: &str) -> Result<Found, Fault> {
    base.find(place, |kind, _| is_directory(kind))
}

pub(super) fn is_directory(kind: FileType) -> Result<(), String> {
    match kind {
        FileType::Directory => Ok(()),
        FileType::Symlink => Err("a symbolic link, and none is followed".to_owned()),
        other => Err(format!("no directory but a {other:?}").to_lowercase()),
    }
}

pub(super) fn make(base: &Base, directory: &Directory) -> Result<(), Fault> {
    let make = |parent: &_, name: &str| rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o700));
    base.make_directory(directory, make).map(|_| ())
}
