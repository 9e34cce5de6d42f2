//! Files that a repository or a user leaves out: `.gitignore`, `.volgateignore` and `--exclude`.

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::path::{Path, PathBuf};

/// The files that say what is left out of their folder, the weaker one first.
const FILES: [&str; 2] = [".gitignore", ".volgateignore"];

/// What a user leaves out.
#[derive(Clone)]
pub(super) struct Exclude {
    patterns: Gitignore,
    /// The folder that the patterns count from, where it is not the current one.
    root: Option<PathBuf>,
}

impl Exclude {
    /// Reads patterns as `.gitignore` has them, from the current folder on.
    ///
    /// # Errors
    /// The pattern that cannot be read.
    pub(super) fn new(patterns: &[String]) -> Result<Self, String> {
        Self::built(GitignoreBuilder::new(""), None, patterns)
    }

    /// The same from another folder on.
    ///
    /// # Errors
    /// The pattern that cannot be read, or that the folder is not there.
    pub(super) fn from_folder(folder: &Path, patterns: &[String]) -> Result<Self, String> {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let root = folder.canonicalize().map_err(|error| format!("{}: {error}", folder.display()))?;
        Self::built(GitignoreBuilder::new(&root), Some(root), patterns)
    }

    fn built(
        mut builder: GitignoreBuilder,
        root: Option<PathBuf>,
        patterns: &[String],
    ) -> Result<Self, String> {
        for pattern in patterns {
            let line = builder.add_line(None, pattern);
            line.map_err(|error| format!("--exclude {pattern:?} cannot be read: {error}"))?;
        }
        let patterns = builder.build().map_err(|error| format!("--exclude cannot be read: {error}"))?;
        Ok(Self { patterns, root })
    }

    fn holds(&self, path: &Path, is_folder: bool) -> bool {
        if self.patterns.is_empty() {
            return false;
        }
        if let Some(root) = &self.root {
            let full = full(path).filter(|full| full.starts_with(root));
            return full.is_some_and(|full| self.patterns.matched(full, is_folder).is_ignore());
        }
        let path = path.strip_prefix("./").unwrap_or(path);
        // The library takes no absolute path, which lies beneath no current folder.
        let path = path.strip_prefix("/").unwrap_or(path);
        self.patterns.matched(path, is_folder).is_ignore()
    }
}

/// A path as the system knows it, with the links on the way to its folder followed.
fn full(path: &Path) -> Option<PathBuf> {
    let (parent, name) = (path.parent()?, path.file_name()?);
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    parent.canonicalize().ok().map(|parent| parent.join(name))
}

/// What is left out on a walk, by the folders on the way.
pub(super) struct Ignored {
    exclude: Exclude,
    /// From the outermost folder to the innermost, each with its patterns.
    folders: Vec<(PathBuf, Gitignore)>,
    /// What in those files cannot be read.
    pub(super) faults: Vec<String>,
}

impl Ignored {
    /// What is left out by the folders above the root of a walk, as far as its git repository reaches.
    pub(super) fn above(root: &Path, exclude: &Exclude) -> Self {
        let mut ignored = Self { exclude: exclude.clone(), folders: Vec::new(), faults: Vec::new() };
        let Ok(root) = root.canonicalize() else { return ignored };
        let is_top = |folder: &&Path| folder.join(".git").exists();
        if let Some(top) = root.ancestors().find(is_top) {
            let between: Vec<&Path> = root.ancestors().take_while(|folder| *folder != top).collect();
            for folder in
                std::iter::once(top).chain(between.into_iter().rev()).filter(|folder| *folder != root)
            {
                ignored.enter(folder);
            }
        }
        ignored
    }

    /// Adds what a folder leaves out, and forgets those that the walk has left.
    pub(super) fn enter(&mut self, folder: &Path) {
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        self.folders.retain(|(outer, _)| folder.starts_with(outer));
        let mut builder = GitignoreBuilder::new(&folder);
        for file in FILES.map(|name| folder.join(name)).iter().filter(|file| file.is_file()) {
            if let Some(error) = builder.add(file) {
                self.faults.push(format!("a pattern cannot be read: {error}"));
            }
        }
        match builder.build() {
            Ok(patterns) if !patterns.is_empty() => self.folders.push((folder, patterns)),
            Ok(_) => {}
            Err(error) => self.faults.push(format!("{}: {error}", folder.display())),
        }
    }

    /// Whether something in a folder that was entered is left out.
    pub(super) fn holds(&self, path: &Path, is_folder: bool) -> bool {
        if self.exclude.holds(path, is_folder) {
            return true;
        }
        if self.folders.is_empty() {
            return false;
        }
        let Some(full) = full(path) else { return false };
        let inner = self.folders.iter().rev().filter(|(folder, _)| full.starts_with(folder));
        for (_, patterns) in inner {
            match patterns.matched(&full, is_folder) {
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
                Match::None => {}
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_pattern_counts() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join(".git")).unwrap();
        std::fs::create_dir_all(root.join("deploy/local")).unwrap();
        std::fs::write(root.join(".gitignore"), "*.tmp.yaml\n/deploy/out/\n").unwrap();
        std::fs::write(root.join("deploy/.volgateignore"), "local\n!kept.tmp.yaml\n").unwrap();
        let deploy = root.join("deploy");
        let mut ignored = Ignored::above(&deploy, &Exclude::new(&["**/old/*.yaml".to_owned()]).unwrap());
        ignored.enter(&deploy);
        let holds = |path: &str, is_folder| ignored.holds(&deploy.join(path), is_folder);
        assert!(holds("a.tmp.yaml", false) && !holds("kept.tmp.yaml", false) && !holds("a.yaml", false));
        assert!(holds("out", true) && holds("local", true) && !holds("out", false));
        std::fs::create_dir_all(deploy.join("old")).unwrap();
        assert!(holds("old/a.yaml", false));
        let from_root = Exclude::from_folder(root, &["/deploy/old".to_owned()]).unwrap();
        assert!(from_root.holds(&deploy.join("old"), true) && !from_root.holds(&root.join("old"), true));
        assert_eq!(ignored.faults, Vec::<String>::new());
        assert!(Exclude::new(&["{".to_owned()]).is_err() || Exclude::new(&["a[".to_owned()]).is_err());
    }
}
