//! What changed since a commit, as git tells it.

use super::render::{Failure, run as run_tool};
use crate::check::Input;
use anyhow::{Context, Result, bail};
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long git may take for one answer.
const LONGEST: Duration = Duration::from_secs(60);
/// The most files whose old content is asked for; beyond, everything counts as changed.
const MOST_FILES: usize = 500;

/// The files that changed since a commit.
pub(super) struct Since {
    /// The commit as it was named.
    pub(super) name: String,
    base: String,
    /// The folder of the repository, links followed.
    root: PathBuf,
    /// The files that differ from the commit, as paths from the root.
    changed: HashSet<PathBuf>,
}

impl Since {
    /// Asks git for what differs from the point where the current branch left that commit, new files included.
    ///
    /// # Errors
    /// There is no git, no repository, no such commit, or no common history.
    pub(super) fn read(name: &str) -> Result<Self> {
        let here = Path::new(".");
        let root = git(here, &["rev-parse", "--show-toplevel"]).context("--since needs a git repository")?;
        let root = path(&root).canonicalize().context("failed to find the repository's folder")?;
        let commit = format!("{name}^{{commit}}");
        let commit = git(&root, &["rev-parse", "--verify", "--quiet", "--end-of-options", &commit]);
        let Ok(commit) = commit else {
            bail!(
                "--since {name}: there is no such commit here; a CI job may have to fetch it (fetch-depth: 0)"
            );
        };
        let Ok(base) = git(&root, &["merge-base", &line(&commit), "HEAD"]) else {
            bail!(
                "--since {name}: it has no history in common with the current commit; a CI job that fetches only the last \
                 commit needs the others as well (fetch-depth: 0)"
            );
        };
        let base = line(&base);
        let diff =
            ["diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", "--no-relative", &base, "--"];
        let diff = git(&root, &diff)?;
        let new = git(&root, &["ls-files", "--others", "--exclude-standard", "-z"])?;
        let changed = [diff, new].iter().flat_map(|list| names(list)).collect();
        Ok(Self { name: name.to_owned(), base, root, changed })
    }

    /// Whether a file or something in a folder changed. What lies outside of the repository is not known, and counts as changed.
    pub(super) fn touches(&self, path: &Path) -> bool {
        match self.within(path) {
            Some(own) => self.changed.iter().any(|changed| changed.starts_with(&own)),
            None => true,
        }
    }

    /// Whether a file changed.
    fn has(&self, file: &Path) -> bool {
        self.within(file).is_none_or(|own| self.changed.contains(&own))
    }

    fn within(&self, path: &Path) -> Option<PathBuf> {
        path.canonicalize().ok()?.strip_prefix(&self.root).ok().map(Path::to_owned)
    }

    /// Which of the inputs changed. What is rendered may be made of any file, and counts as changed.
    pub(super) fn changed(&self, inputs: &[Input]) -> Vec<bool> {
        let of = |input: &Input| input.rendered.is_some() || self.has(Path::new(&input.source.name));
        inputs.iter().map(of).collect()
    }

    /// The inputs as they were, with the manifests beneath those paths that are gone; none where too many changed.
    ///
    /// # Errors
    /// git fails.
    pub(super) fn old(
        &self,
        inputs: &[Input],
        changed: &[bool],
        paths: &[PathBuf],
    ) -> Result<Option<Vec<Input>>> {
        let gone: Vec<&PathBuf> = self.changed.iter().filter(|file| self.is_gone(file, paths)).collect();
        if changed.iter().filter(|changed| **changed).count() + gone.len() > MOST_FILES {
            return Ok(None);
        }
        let mut old = Vec::with_capacity(inputs.len());
        for (input, changed) in inputs.iter().zip(changed) {
            let text = input.source.text.as_bytes();
            if let Some(origin) = &input.rendered {
                old.push(Input::from_rendered(origin, text));
                continue;
            }
            let own = self.within(Path::new(&input.source.name)).filter(|_| *changed);
            let before = own.map(|own| self.content(&own)).transpose()?;
            let text = match &before {
                // It is new.
                Some(None) => continue,
                Some(Some(before)) => before.as_slice(),
                None => text,
            };
            let mut read = Input::from_bytes(&input.source.name, text, input.named);
            read.patch = input.patch;
            read.built = input.built;
            read.folder = input.folder;
            old.push(read);
        }
        for file in gone {
            if let Some(text) = self.content(file)? {
                old.push(Input::from_bytes(&self.root.join(file).display().to_string(), &text, false));
            }
        }
        Ok(Some(old))
    }

    /// Whether a file is a manifest that was beneath one of the paths and is not there any more.
    fn is_gone(&self, file: &Path, paths: &[PathBuf]) -> bool {
        let full = self.root.join(file);
        super::walk::is_manifest(file)
            && !full.exists()
            && paths.iter().any(|path| path.canonicalize().is_ok_and(|path| full.starts_with(path)))
    }

    /// A file as it was; none if it was not there.
    fn content(&self, file: &Path) -> Result<Option<Vec<u8>>> {
        let names = ["ls-tree", "-z", "--full-tree", &self.base, "--"].map(OsString::from);
        let listed = git_with(&self.root, names.into_iter().chain([literal(file)]))?;
        // `<mode> <type> <hash>\t<name>`; nothing where there is no such file.
        let Some(hash) = String::from_utf8_lossy(&listed).split_whitespace().nth(2).map(str::to_owned) else {
            return Ok(None);
        };
        git(&self.root, &["cat-file", "blob", &hash]).map(Some)
    }
}

/// A path that git takes for no pattern.
fn literal(file: &Path) -> OsString {
    let mut literal = OsString::from(":(literal)");
    literal.push(file);
    literal
}

fn git(folder: &Path, arguments: &[&str]) -> Result<Vec<u8>> {
    git_with(folder, arguments.iter().map(OsString::from))
}

fn git_with(folder: &Path, arguments: impl IntoIterator<Item = OsString>) -> Result<Vec<u8>> {
    let all: Vec<OsString> = ["-C".into(), folder.into()].into_iter().chain(arguments).collect();
    match run_tool("git", &all, LONGEST) {
        Ok(text) => Ok(text),
        Err(Failure::NotThere) => bail!("there is no git in PATH"),
        Err(Failure::Because(why)) => bail!(why),
    }
}

fn line(text: &[u8]) -> String {
    String::from_utf8_lossy(text).trim().to_owned()
}

fn path(text: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(text.trim_ascii_end()))
}

fn names(list: &[u8]) -> impl Iterator<Item = PathBuf> + '_ {
    let names = list.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names.map(|name| PathBuf::from(OsStr::from_bytes(name)))
}
