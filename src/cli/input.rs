//! Files, folders and stdin as inputs.

use crate::check::Input;
use anyhow::{Context, Result, bail};
use std::io::Read;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// The name of what came in by stdin.
pub(super) const STDIN: &str = "<stdin>";

/// Reads every path: a file as it is, `-` as stdin, and of a folder all files that end in .yaml, .yml or .json, in
/// the order of their names. Hidden folders are passed over.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<Input>> {
    let mut texts = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes).context("failed to read stdin")?;
            texts.push((STDIN.to_owned(), bytes, true));
        } else if path.is_dir() {
            let files = files(path)?;
            if files.is_empty() {
                bail!(
                    "failed to find a manifest in {}: no file there ends in .yaml, .yml or .json",
                    path.display()
                );
            }
            for file in files {
                texts.push(file_text(&file, false)?);
            }
        } else {
            texts.push(file_text(path, true)?);
        }
    }
    Ok(Input::read_all(&texts))
}

/// What the files behind those paths hold, to tell whether it has changed.
#[cfg(feature = "serve")]
pub(super) fn contents(paths: &[PathBuf]) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut contents = Vec::new();
    for path in paths {
        for file in if path.is_dir() { files(path)? } else { vec![path.clone()] } {
            let bytes = std::fs::read(&file).with_context(|| format!("failed to read {}", file.display()))?;
            contents.push((file, bytes));
        }
    }
    Ok(contents)
}

fn file_text(path: &Path, named: bool) -> Result<(String, Vec<u8>, bool)> {
    // --fix writes to the path that a report names, which must therefore be the path itself.
    let Some(name) = path.to_str() else {
        bail!("failed to read {}: its name is not UTF-8", path.display());
    };
    let bytes = std::fs::read(path).with_context(|| format!("failed to read {name}"))?;
    Ok((name.to_owned(), bytes, named))
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let hidden = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with('.');
    let mut found = Vec::new();
    let walk = WalkDir::new(folder).follow_links(true).sort_by_file_name().into_iter();
    for entry in walk.filter_entry(|entry| entry.depth() == 0 || !hidden(entry.file_name())) {
        let entry = entry.with_context(|| format!("failed to walk {}", folder.display()))?;
        let ending = entry.path().extension().and_then(|ending| ending.to_str());
        if entry.file_type().is_file() && matches!(ending, Some("yaml" | "yml" | "json")) {
            found.push(entry.into_path());
        }
    }
    Ok(found)
}
