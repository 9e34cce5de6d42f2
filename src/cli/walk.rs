//! The manifests in a folder, and the charts and kustomizations among them.

use super::ignored::{Exclude, Ignored};
use crate::source;
use serde_json::Value;
use std::collections::{BTreeSet, HashSet};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use walkdir::{DirEntry, WalkDir};

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
    patches: HashSet<PathBuf>,
}

impl Walk {
    /// Whether a kustomization of this walk names the file as a patch.
    pub(super) fn is_patch(&self, file: &Path) -> bool {
        self.patches.contains(&plain(file))
    }

    /// The innermost folder with a kustomization that holds the file, by its index.
    pub(super) fn kustomization_of(&self, file: &Path) -> Option<usize> {
        file.ancestors().skip(1).find_map(|folder| self.kustomizations.binary_search(&folder.to_owned()).ok())
    }

    fn add_kustomization(&mut self, folder: &Path, file: &Path) {
        self.kustomizations.push(folder.to_owned());
        let name = || file.display().to_string();
        let bytes = match super::input::file_bytes(file) {
            Ok(bytes) => bytes,
            Err(why) => return self.unreadable.push((name(), why)),
        };
        for document in source::parse_bytes(&bytes) {
            match document {
                Ok(document) => {
                    self.patches.extend(patches(&document.value).map(|patch| plain(&folder.join(patch))));
                }
                Err(error) => self.unreadable.push((name(), error.message)),
            }
        }
    }

    fn add_error(&mut self, error: &walkdir::Error) {
        let path = error.path().map_or_else(String::new, |path| path.display().to_string());
        if let Some(outer) = error.loop_ancestor() {
            return self.odd.push(format!("{path} leads back to {}: it is not followed", outer.display()));
        }
        let Some(io) = error.io_error() else { return };
        if io.raw_os_error() == Some(TOO_MANY_LINKS) {
            return self.odd.push(format!("too many links lead to {path}: it is not followed"));
        }
        if io.kind() != ErrorKind::NotFound {
            self.unreadable.push((path, io.to_string()));
        } else if error.path().is_some_and(is_manifest) {
            // Of a link to nowhere nothing is missing but what it once was; other files are nobody's business.
            self.odd.push(format!("{path} is a link to a file that is not there"));
        }
    }
}

/// The system's error for a link to itself, or for more links on one path than it follows: `ELOOP`.
const TOO_MANY_LINKS: i32 = if cfg!(target_os = "linux") { 40 } else { 62 };

/// Looks through a folder. A folder that several links lead to is looked through once. Without `exclude` nothing is left out:
/// a policy that a `.gitignore` names is a policy all the same.
pub(super) fn walk(root: &Path, exclude: Option<&Exclude>) -> Walk {
    let mut walk = Walk::default();
    let mut ignored = exclude.map(|exclude| Ignored::above(root, exclude));
    let mut seen = HashSet::new();
    let hidden = |entry: &DirEntry| entry.depth() > 0 && entry.file_name().to_string_lossy().starts_with('.');
    let mut entries = WalkDir::new(root).follow_links(true).sort_by_file_name().into_iter();
    while let Some(entry) = entries.next() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                walk.add_error(&error);
                continue;
            }
        };
        let is_folder = entry.file_type().is_dir();
        let is_of_interest = is_folder || walk.is_wanted(entry.path());
        // What was named is looked at, whatever is left out above it.
        let is_ignored = || ignored.as_ref().is_some_and(|ignored| ignored.holds(entry.path(), is_folder));
        if entry.depth() > 0 && !hidden(&entry) && is_of_interest && is_ignored() {
            if is_folder {
                entries.skip_current_dir();
            }
            walk.ignored.push(entry.into_path());
            continue;
        }
        if is_folder {
            let is_known = entry.metadata().is_ok_and(|meta| !seen.insert((meta.dev(), meta.ino())));
            if hidden(&entry) || is_known || walk.is_part_of_chart(entry.path()) {
                entries.skip_current_dir();
                continue;
            }
            if let Some(ignored) = &mut ignored {
                ignored.enter(entry.path());
            }
            walk.look_into(entry.path());
        } else if entry.file_type().is_file() && !hidden(&entry) && walk.is_wanted(entry.path()) {
            walk.files.push(entry.into_path());
        }
    }
    walk.odd.extend(ignored.into_iter().flat_map(|ignored| ignored.faults));
    walk.kustomizations.sort();
    walk
}

impl Walk {
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

/// The files that a kustomization names as patches.
fn patches(kustomization: &Value) -> impl Iterator<Item = &str> {
    let entries = |key| kustomization.get(key).and_then(Value::as_array).into_iter().flatten();
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
