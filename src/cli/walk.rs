//! The manifests in a folder, and the charts and kustomizations among them.

use super::ignored::{Exclude, Ignored};
use crate::source::{self, SourceErrorKind};
use serde_json::Value;
use std::collections::{BTreeSet, HashSet};
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// What is in a folder.
#[derive(Default)]
pub(super) struct Walk {
    /// The files to be read.
    pub(super) files: Vec<PathBuf>,
    /// Folders that are Helm charts, those in other charts left out.
    pub(super) charts: BTreeSet<PathBuf>,
    /// Folders with a kustomization.
    pub(super) kustomizations: Vec<PathBuf>,
    /// What could not be read, and why.
    pub(super) unreadable: Vec<(String, String)>,
    /// What a reader should know.
    pub(super) odd: Vec<String>,
    /// Files and folders that the repository or the user leaves out.
    pub(super) ignored: Vec<PathBuf>,
    /// Folders whose names begin with a dot.
    pub(super) hidden: Vec<PathBuf>,
    patches: HashSet<PathBuf>,
    resources: HashSet<PathBuf>,
}

impl Walk {
    /// Whether a kustomization of this walk names the file as a patch.
    pub(super) fn is_patch(&self, file: &Path) -> bool {
        !self.patches.is_empty() && self.patches.contains(&plain(file))
    }

    /// Whether a kustomization of this walk names the file as a resource.
    pub(super) fn is_resource(&self, file: &Path) -> bool {
        !self.resources.is_empty() && self.resources.contains(&plain(file))
    }

    /// The innermost folder with a kustomization that holds the file, by its index.
    pub(super) fn kustomization_of(&self, file: &Path) -> Option<usize> {
        let of =
            |folder: &Path| self.kustomizations.binary_search_by(|known| known.as_path().cmp(folder)).ok();
        file.ancestors().skip(1).find_map(of)
    }

    fn add_kustomization(&mut self, folder: &Path, file: &Path) {
        self.kustomizations.push(folder.to_owned());
        let name = || file.display().to_string();
        let bytes = match super::bytes::file_bytes(file) {
            Ok(bytes) => bytes,
            Err(why) => return self.unreadable.push((name(), why)),
        };
        for document in source::parse_bytes(&bytes) {
            match document {
                Ok(document) => {
                    let within = |file: &str| plain(&folder.join(file));
                    self.patches.extend(patches(&document.value).map(within));
                    self.resources.extend(resources(&document.value).map(within));
                }
                Err(error) if error.kind == SourceErrorKind::Template => {
                    self.odd.push(format!("{} is a template: what it puts together is not known", name()));
                }
                Err(error) => self.unreadable.push((name(), error.message)),
            }
        }
    }

    fn add_error(&mut self, path: &Path, error: &std::io::Error) {
        let name = path.display().to_string();
        if error.raw_os_error() == Some(TOO_MANY_LINKS) {
            self.odd.push(format!("too many links lead to {name}: it is not followed"));
        } else if error.kind() != ErrorKind::NotFound {
            self.unreadable.push((name, error.to_string()));
        } else if is_manifest(path) {
            // Of a link to nowhere nothing is missing but what it once was; other files are nobody's business.
            self.odd.push(format!("{name} is a link to a file that is not there"));
        }
    }
}

/// The system's error for a link to itself, or for more links on one path than it follows: `ELOOP`.
const TOO_MANY_LINKS: i32 = if cfg!(target_os = "linux") { 40 } else { 62 };

/// What an entry of a folder is, before its link is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Folder,
    File,
    Link,
}

/// A folder that is being looked through.
struct Open {
    path: PathBuf,
    /// Its device and number, by which links back to it are known.
    id: (u64, u64),
    /// What of it was not looked at yet.
    rest: std::vec::IntoIter<(OsString, Kind)>,
}

impl Open {
    /// Reads the names in a folder, sorted. Those that cannot be of interest are not kept: a folder may hold very many.
    fn read(path: PathBuf) -> std::io::Result<Self> {
        let meta = std::fs::metadata(&path)?;
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&path)? {
            let entry = entry?;
            let (kind, name) = (entry.file_type()?, entry.file_name());
            if kind.is_dir() {
                names.push((name, Kind::Folder));
            } else if kind.is_symlink() {
                names.push((name, Kind::Link));
            } else if kind.is_file() && is_manifest(Path::new(&name)) {
                names.push((name, Kind::File));
            }
        }
        names.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Ok(Self { path, id: (meta.dev(), meta.ino()), rest: names.into_iter() })
    }
}

/// Looks through a folder, in the order of the names. A folder that several links lead to is looked through once. Without `exclude`
/// nothing is left out: a policy that a `.gitignore` names is a policy all the same.
pub(super) fn walk(root: &Path, exclude: Option<&Exclude>) -> Walk {
    let mut walk = Walk::default();
    let mut ignored = exclude.map(|exclude| Ignored::above(root, exclude));
    let mut seen = HashSet::new();
    let mut open = Vec::new();
    walk.enter(root.to_owned(), &mut ignored, &mut seen, &mut open);
    while let Some(folder) = open.last_mut() {
        let Some((name, kind)) = folder.rest.next() else {
            open.pop();
            continue;
        };
        let path = folder.path.join(&name);
        let Some(is_folder) = walk.is_folder(&path, kind, &open) else { continue };
        let is_hidden = name.as_encoded_bytes().starts_with(b".");
        // What was named is looked at, whatever is left out above it.
        let is_ignored = || ignored.as_ref().is_some_and(|ignored| ignored.holds(&path, is_folder));
        if !is_hidden && !is_folder && !walk.is_wanted(&path) {
            continue;
        }
        if is_hidden {
            // What git keeps for itself is no part of anybody's files.
            if is_folder && name != ".git" && !is_ignored() {
                walk.hidden.push(path);
            }
        } else if is_ignored() {
            walk.ignored.push(path);
        } else if !is_folder {
            walk.files.push(path);
        } else if !walk.is_part_of_chart(&path) {
            walk.enter(path, &mut ignored, &mut seen, &mut open);
        }
    }
    walk.odd.extend(ignored.into_iter().flat_map(|ignored| ignored.faults));
    walk.kustomizations.sort();
    walk
}

impl Walk {
    /// Begins to look through a folder, unless that was done before.
    fn enter(
        &mut self,
        path: PathBuf,
        ignored: &mut Option<Ignored>,
        seen: &mut HashSet<(u64, u64)>,
        open: &mut Vec<Open>,
    ) {
        match Open::read(path.clone()) {
            Ok(folder) if !seen.insert(folder.id) => {}
            Ok(folder) => {
                if let Some(ignored) = ignored {
                    ignored.enter(&path);
                }
                self.look_into(&path);
                open.push(folder);
            }
            Err(error) => self.add_error(&path, &error),
        }
    }

    /// Whether an entry is a folder, or else a file; neither where a link leads nowhere, or back, or to something else.
    fn is_folder(&mut self, path: &Path, kind: Kind, open: &[Open]) -> Option<bool> {
        if kind != Kind::Link {
            return Some(kind == Kind::Folder);
        }
        match std::fs::metadata(path) {
            Ok(meta) if meta.is_dir() => {
                let id = (meta.dev(), meta.ino());
                if let Some(outer) = open.iter().find(|outer| outer.id == id) {
                    let (path, outer) = (path.display(), outer.path.display());
                    self.odd.push(format!("{path} leads back to {outer}: it is not followed"));
                    return None;
                }
                Some(true)
            }
            Ok(meta) => meta.is_file().then_some(false),
            Err(error) => {
                self.add_error(path, &error);
                None
            }
        }
    }

    /// Sees whether a folder is a chart, or has a kustomization.
    fn look_into(&mut self, folder: &Path) {
        if folder.join("Chart.yaml").is_file() {
            self.charts.insert(folder.to_owned());
        }
        if let Some(file) = kustomization_file(folder) {
            self.add_kustomization(folder, &file);
        }
    }

    /// Whether a folder holds the templates of a chart, or the charts that it depends on.
    fn is_part_of_chart(&self, folder: &Path) -> bool {
        let is_part =
            matches!(folder.file_name().and_then(|name| name.to_str()), Some("templates" | "charts"));
        is_part && folder.parent().is_some_and(|parent| self.charts.contains(parent))
    }

    fn is_wanted(&self, file: &Path) -> bool {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_of_chart = name == "Chart.yaml" || name.starts_with("values");
        is_manifest(file)
            && !is_kustomization(file)
            && !(is_of_chart && file.parent().is_some_and(|folder| self.charts.contains(folder)))
    }
}

const KUSTOMIZATION_FILES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

fn kustomization_file(folder: &Path) -> Option<PathBuf> {
    KUSTOMIZATION_FILES.iter().map(|name| folder.join(name)).find(|file| file.is_file())
}

/// Whether kustomize builds that folder.
pub(super) fn has_kustomization(folder: &Path) -> bool {
    kustomization_file(folder).is_some()
}

/// Whether a file says how kustomize builds its folder.
pub(super) fn is_kustomization(file: &Path) -> bool {
    file.file_name().is_some_and(|name| KUSTOMIZATION_FILES.iter().any(|known| name == *known))
}

/// Whether a file's name is that of a manifest.
pub(super) fn is_manifest(path: &Path) -> bool {
    matches!(path.extension().and_then(|ending| ending.to_str()), Some("yaml" | "yml" | "json"))
}

/// The entries of a kustomization's list.
fn entries<'v>(kustomization: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> + use<'v> {
    kustomization.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// The files and folders that a kustomization puts together.
fn resources(kustomization: &Value) -> impl Iterator<Item = &str> {
    entries(kustomization, "resources").filter_map(Value::as_str)
}

/// The files that a kustomization names as patches.
fn patches(kustomization: &Value) -> impl Iterator<Item = &str> {
    let entries = |key| entries(kustomization, key);
    let paths = ["patches", "patchesJson6902"].into_iter().flat_map(entries);
    let paths = paths.filter_map(|patch| patch.get("path")?.as_str());
    // A patch may stand there itself as well; then it is no file's name.
    let files =
        entries("patchesStrategicMerge").filter_map(Value::as_str).filter(|file| !file.contains('\n'));
    paths.chain(files)
}

/// A path without `.` and with `..` carried out, whatever links are on the way.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if plain.file_name().is_some() => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_of_no_interest_are_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        for index in 0..500 {
            std::fs::write(folder.path().join(format!("{index}.txt")), "").unwrap();
        }
        for name in ["b.yaml", "a.json"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        std::fs::create_dir(folder.path().join("inner")).unwrap();
        let read = Open::read(folder.path().to_owned()).unwrap();
        let names: Vec<_> = read.rest.map(|(name, kind)| (name.into_string().unwrap(), kind)).collect();
        let wanted = [("a.json", Kind::File), ("b.yaml", Kind::File), ("inner", Kind::Folder)];
        assert_eq!(names, wanted.map(|(name, kind)| (name.to_owned(), kind)));
        assert_eq!(
            walk(folder.path(), None).files,
            ["a.json", "b.yaml"].map(|name| folder.path().join(name))
        );
    }
}
