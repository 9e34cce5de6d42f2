//! Files, folders and stdin as inputs. What cannot be read is told, and the rest is read all the same.

use super::bytes::{bounded, unreadable};
use super::ignored::Exclude;
use super::render;
use super::texts::{Texts, put_in_order};
use super::walk::{Walk, is_kustomization, walk};
use crate::check::{Fault, Input, Notice, Tally, What};
#[cfg(feature = "cluster")]
use anyhow::Context;
use anyhow::Result;
use globset::GlobBuilder;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// What came of some paths.
#[derive(Default)]
pub(super) struct Found {
    /// The texts that were read.
    pub(super) inputs: Vec<Input>,
    /// Those that were not read yet.
    pub(super) texts: Texts,
    /// What could not be read.
    pub(super) faults: Vec<Fault>,
    /// What was odd on the way.
    pub(super) notices: Vec<Notice>,
    /// Charts and kustomizations that were not rendered.
    pub(super) folders: Tally,
    /// Charts that were rendered.
    pub(super) charts: Vec<PathBuf>,
}

/// How charts and kustomizations that are named are rendered.
#[derive(Clone, Copy)]
pub(super) struct Rendering<'r> {
    pub(super) options: &'r render::Options,
    pub(super) namespace: &'r str,
    /// Whether the files of a kustomization that cannot be built stand for it. Nothing is to be changed in them then: a patch may
    /// hold what is missing.
    pub(super) falls_back: bool,
}

/// Reads every path: a file as it is, `-` as stdin, and of a folder all files that end in .yaml, .yml or .json, in
/// the order of their names. Hidden folders are passed over, and the templates of charts.
pub(super) fn read(paths: &[PathBuf]) -> Found {
    read_manifests(paths, None, None)
}

/// The same without reading any file, as far as that can be put off.
pub(super) fn find(paths: &[PathBuf]) -> Found {
    find_manifests(paths, None, None)
}

/// As [`read`], but a chart or kustomization that is named is rendered, and what is excluded left out.
pub(super) fn read_manifests(
    paths: &[PathBuf],
    rendering: Option<Rendering<'_>>,
    exclude: Option<&Exclude>,
) -> Found {
    let mut found = find_manifests(paths, rendering, exclude);
    found.read();
    found
}

/// As [`read_manifests`] without reading any file, as far as that can be put off.
pub(super) fn find_manifests(
    paths: &[PathBuf],
    rendering: Option<Rendering<'_>>,
    exclude: Option<&Exclude>,
) -> Found {
    let mut found = Found::default();
    let mut rendered = Vec::new();
    let rendering = rendering.filter(|rendering| rendering.options.is_on());
    // A folder of one walk is another one than that of the next.
    let mut known = 0;
    let paths = &found.expanded(paths);
    for path in paths {
        if path.as_os_str() == "-" {
            match bounded(std::io::stdin().lock()) {
                Ok(bytes) => found.texts.add_stdin(bytes),
                Err(why) => found.faults.push(unreadable("stdin", &why)),
            }
        } else if let Some(source) = rendering.and_then(|_| render::Source::of(path, paths.len() == 1))
            && let Some(Rendering { options, namespace, falls_back }) = rendering
        {
            match source.render(namespace, options, &[]) {
                Ok(files) => {
                    if files.iter().all(|file| file.text.trim_ascii().is_empty()) {
                        let message = format!("{} is rendered to nothing", path.display());
                        found.notices.push(Notice { spot: None, message });
                    }
                    if let render::Source::Chart(chart) = source {
                        found.charts.push(chart);
                    }
                    rendered.extend(files);
                }
                Err(mut fault) => {
                    let folder = match source {
                        render::Source::Kustomization(folder) if falls_back => folder,
                        _ => {
                            found.faults.push(fault);
                            continue;
                        }
                    };
                    // What its files say by themselves is better than nothing.
                    let help =
                        "its files are judged as they stand, without patches and components".to_owned();
                    fault.help = fault.help.or(Some(help));
                    found.faults.push(fault);
                    known += found.add_folder(&folder, exclude, known);
                }
            }
        } else if path.is_dir() {
            known += found.add_folder(path, exclude, known);
        } else if is_kustomization(path) && paths.len() > 1 {
            // A shell's wildcard names it beside the files that it is about.
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new("."));
            found.folders.add(What::Kustomization, || folder.display().to_string());
        } else {
            found.add_file(path, true);
        }
    }
    rendered.into_iter().for_each(|file| found.texts.add_rendered(file));
    found
}

/// What the files behind those paths hold, to tell whether it has changed.
#[cfg(feature = "cluster")]
pub(super) fn contents(paths: &[PathBuf]) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut contents = Vec::new();
    for path in paths {
        let files = match path.is_dir() {
            true => {
                let walk = walk(path, None);
                if let Some((path, why)) = walk.unreadable.first() {
                    anyhow::bail!("failed to read {path}: {why}");
                }
                walk.files
            }
            false => vec![path.clone()],
        };
        for file in files {
            let bytes = std::fs::read(&file).with_context(|| format!("failed to read {}", file.display()))?;
            contents.push((file, bytes));
        }
    }
    Ok(contents)
}

impl Found {
    /// The paths, with all files that a pattern such as `deploy/**/*.yaml` stands for in its place, sorted. What exists is
    /// no pattern.
    fn expanded(&mut self, paths: &[PathBuf]) -> Vec<PathBuf> {
        let mut expanded = Vec::new();
        for path in paths {
            let pattern = path.to_str().filter(|text| text.contains(['*', '?', '[']) && !path.exists());
            let Some(pattern) = pattern else {
                expanded.push(path.clone());
                continue;
            };
            match matching(pattern) {
                Ok(files) if files.is_empty() => {
                    self.faults.push(Fault {
                        spot: None,
                        message: format!("no file matches {pattern}"),
                        help: Some(
                            "a * stays within one folder, and a ** goes through all of them".to_owned(),
                        ),
                    });
                }
                Ok(files) => expanded.extend(files),
                Err(why) => self.faults.push(unreadable(pattern, &why)),
            }
        }
        expanded
    }

    fn add_file(&mut self, path: &Path, named: bool) {
        // --fix writes to the path that a report names, which must therefore be the path itself.
        if path.to_str().is_none() {
            let fault = unreadable(&path.display().to_string(), "its name is not UTF-8");
            return self.faults.push(fault);
        }
        let added = self.texts.add_file(path.to_owned(), named, self.faults.len());
        self.faults.extend(added.err());
    }

    /// Adds what is in a folder; how many kustomizations are in it, beside those that are `known`.
    fn add_folder(&mut self, path: &Path, exclude: Option<&Exclude>, known: usize) -> usize {
        let walk = walk(path, exclude);
        let from = self.texts.len();
        for file in &walk.files {
            self.add_file(file, false);
        }
        self.add_walk(path, &walk);
        for text in self.texts.iter_mut(from) {
            let Some(path) = text.path() else { continue };
            let folder = walk.kustomization_of(path).map_or(0, |folder| known + folder + 1);
            let (patch, built) = (walk.is_patch(path), walk.is_resource(path));
            (text.patch, text.built, text.folder) = (patch, built, folder);
        }
        walk.kustomizations.len()
    }

    /// Reads the texts that were found, and keeps them.
    pub(super) fn read(&mut self) {
        let (inputs, faults) = self.texts.read();
        self.inputs = inputs;
        put_in_order(&mut self.faults, faults);
        self.texts = Texts::default();
    }

    fn add_walk(&mut self, path: &Path, walk: &Walk) {
        self.faults.extend(walk.unreadable.iter().map(|(path, why)| unreadable(path, why)));
        let odd = walk.odd.iter().map(|message| Notice { spot: None, message: message.clone() });
        self.notices.extend(odd);
        for left_out in &walk.ignored {
            self.folders.add(What::Ignored, || left_out.display().to_string());
        }
        for hidden in &walk.hidden {
            self.folders.add(What::Hidden, || hidden.display().to_string());
        }
        for chart in &walk.charts {
            if chart == path {
                // It was asked for, and nothing of it is judged.
                let path = chart.display();
                self.faults.push(Fault {
                    spot: None,
                    message: format!("{path} is a Helm chart, and its templates are not rendered"),
                    help: Some(format!("helm template NAME {path} | volgate check -")),
                });
            } else {
                self.folders.add(What::Chart, || chart.display().to_string());
            }
        }
        for folder in &walk.kustomizations {
            self.folders.add(What::Kustomization, || folder.display().to_string());
        }
        let is_empty = walk.files.is_empty() && walk.unreadable.is_empty() && walk.ignored.is_empty();
        if is_empty && walk.charts.is_empty() && walk.kustomizations.is_empty() {
            self.faults.push(Fault {
                spot: None,
                message: format!("there is no manifest in {}", path.display()),
                help: Some("give a folder with files that end in .yaml, .yml or .json".to_owned()),
            });
        }
    }
}

/// The files that a pattern stands for.
fn matching(pattern: &str) -> Result<Vec<PathBuf>, String> {
    let glob = GlobBuilder::new(pattern).literal_separator(true).build();
    let matcher = glob.map_err(|error| error.to_string())?.compile_matcher();
    // The folders before the first wildcard.
    let fixed: PathBuf =
        Path::new(pattern).components().take_while(|part| !is_wild(part.as_os_str())).collect();
    let root = if fixed.as_os_str().is_empty() { Path::new(".") } else { &fixed };
    let mut files = Vec::new();
    for entry in WalkDir::new(root).follow_links(true).sort_by_file_name() {
        // What cannot be entered, or leads in a circle, matches nothing.
        let Ok(entry) = entry else { continue };
        let path = entry.path().strip_prefix("./").unwrap_or(entry.path());
        if entry.file_type().is_file() && matcher.is_match(path) {
            files.push(path.to_owned());
        }
    }
    Ok(files)
}

fn is_wild(part: &OsStr) -> bool {
    part.to_string_lossy().contains(['*', '?', '['])
}
