//! Mounts and loop images that end with their test.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Something that is mounted for as long as this lives.
#[derive(Debug)]
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    /// Runs `mount` with these arguments and this place. Needs root, as does all that an agent does.
    pub(crate) fn new(args: &[&str], at: &Path) -> Self {
        std::fs::create_dir_all(at).unwrap();
        tool(Command::new("mount").args(args).arg(at));
        Self(at.to_owned())
    }

    /// Mounts a directory at another place as well.
    pub(crate) fn bind(from: &Path, at: &Path) -> Self {
        Self::new(&["--bind", from.to_str().unwrap()], at)
    }

    /// It has come to another place, with what it was in.
    pub(crate) fn moved(&mut self, to: &Path) {
        to.clone_into(&mut self.0);
    }

    /// A new image of so many MiB with a file system, mounted.
    pub(crate) fn image(mkfs: &mut Command, image: &Path, mebibytes: u64, at: &Path) -> Self {
        std::fs::File::create(image).unwrap().set_len(mebibytes << 20).unwrap();
        tool(mkfs.arg(image));
        Self::new(&["-o", "loop", image.to_str().unwrap()], at)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // A test that failed may have left something in use.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Runs a program that must work.
#[track_caller]
pub(crate) fn tool(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
