//! Reading the bytes of files and of stdin, within bounds.

use crate::check::Fault;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The name of what came in by stdin.
pub(super) const STDIN: &str = "<stdin>";

/// The most bytes that one file may have: more than any dump of a cluster.
pub(super) const MOST_BYTES: u64 = 1 << 30;

/// What is in a file, or why it cannot be read.
pub(super) fn file_bytes(path: &Path) -> Result<Vec<u8>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let size = file.metadata().map_err(|error| error.to_string())?.len();
    if size > MOST_BYTES { Err(too_large()) } else { bounded(file) }
}

/// A file or stdin that cannot be read.
pub(super) fn unreadable(name: &str, why: &str) -> Fault {
    let is_address = name.starts_with("https://") || name.starts_with("http://");
    let help = is_address.then(|| {
        format!("volgate reads files, folders and stdin, and downloads nothing: curl -fsSL {name} | volgate check -")
    });
    Fault { spot: None, message: format!("failed to read {name}: {why}"), help }
}

/// Why something is not read that has too many bytes.
pub(super) fn too_large() -> String {
    format!("it has more than {} MiB", MOST_BYTES >> 20)
}

/// How much is read at once.
const BLOCK: u64 = 1 << 20;

/// All bytes, unless they are too many. Behind a NUL byte there is nothing to read: no manifest has one, and a device such as
/// /dev/zero does not end.
pub(super) fn bounded(from: impl Read) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut from = from.take(MOST_BYTES + 1);
    loop {
        let known = bytes.len();
        let read = from.by_ref().take(BLOCK.max(known as u64)).read_to_end(&mut bytes);
        let read = read.map_err(|error| error.to_string())?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(too_large());
        }
        if read == 0 || bytes.get(known..).is_some_and(|new| new.contains(&0)) {
            return Ok(bytes);
        }
    }
}
