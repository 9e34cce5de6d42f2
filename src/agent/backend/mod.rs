//! How volumes are made: one file a backend. Each is told by a volume's record what to make.

mod directory;

use super::base::{Base, loop_file};
use super::{Directory, Fault, Found, Record};
use crate::model::Backend;

/// What a backend says of a volume on the disk.
#[derive(Debug)]
pub(super) struct State {
    pub(super) found: Found,
    pub(super) bound: Option<i64>,
    pub(super) attached: bool,
}

impl State {
    fn of(found: Found) -> Self {
        Self { found, bound: None, attached: false }
    }
}

/// Where a volume is beneath its base.
pub(super) fn place(backend: Backend, volume: &str, directory: &str) -> String {
    match backend {
        Backend::Loop => loop_file(volume),
        Backend::Directory | Backend::Btrfs | Backend::ProjectQuota => directory.to_owned(),
    }
}

/// What there is of a volume. The path was checked.
pub(super) fn look(base: &Base, backend: Backend, volume: &str, directory: &str) -> Result<State, Fault> {
    let place = place(backend, volume, directory);
    directory::look(base, &place).map(State::of)
}

/// Makes a volume, or what is missing of it.
pub(super) fn make(base: &Base, record: &Record) -> Result<(), Fault> {
    directory::make(base, &parsed(record)?)
}

/// Why a backend cannot be used in a base.
pub(super) fn unsupported(_base: &Base, backend: Backend) -> Option<String> {
    (backend != Backend::Directory).then(|| "it is not built in".to_owned())
}

fn parsed(record: &Record) -> Result<Directory, Fault> {
    Directory::parse(&record.directory)
        .map_err(|fault| Fault::lasting("BadPath", format!("the directory {:?} {fault}", record.directory)))
}
