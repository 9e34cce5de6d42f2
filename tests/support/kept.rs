//! What tests build once and keep in `target/`.

use super::say;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The directory `<cache>/<key>`, made by `make` when it is not there. Of several processes that ask at once one makes it
/// and the others wait. `make` fills a directory beside it, which is then renamed: it is there whole or not at all.
///
/// # Errors
/// A text for a person: from `make`, or from the file system.
pub fn kept(
    cache: &Path,
    key: &str,
    what: &str,
    make: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let wanted = cache.join(key);
    if wanted.is_dir() {
        return Ok(wanted);
    }
    fs::create_dir_all(cache).map_err(|e| format!("failed to create {}: {e}", cache.display()))?;
    let _lock = lock(&cache.join("lock"), what)?;
    if wanted.is_dir() {
        return Ok(wanted);
    }
    let started = Instant::now();
    say(&format!("making {what}; it is then kept in {}", cache.display()));
    // What outlived its killed test may still be writing into its own directory: take another name, remove that.
    let half = cache.join(format!("building-{}", std::process::id()));
    let fail = |what: &str, e: std::io::Error| format!("failed to {what} {}: {e}", half.display());
    for entry in fs::read_dir(cache).map_err(|e| fail("look beside", e))?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("building-") {
            fs::remove_dir_all(entry.path()).map_err(|e| fail("clear what was left beside", e))?;
        }
    }
    fs::create_dir_all(&half).map_err(|e| fail("create", e))?;
    make(&half)?;
    fs::rename(&half, &wanted).map_err(|e| fail("rename", e))?;
    say(&format!("made in {} s", started.elapsed().as_secs()));
    Ok(wanted)
}

fn lock(path: &Path, what: &str) -> Result<File, String> {
    let fail = |e: std::io::Error| format!("failed to lock {}: {e}", path.display());
    let file = File::create(path).map_err(fail)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            say(&format!("waiting for another test process, which makes {what}"));
            file.lock().map_err(fail)?;
        }
        Err(TryLockError::Error(e)) => return Err(fail(e)),
    }
    Ok(file)
}
