//! A folder with a kustomize component that volgate writes.

use super::output::replace;
use crate::check::MARK;
use anyhow::{Context, Result, bail};
use std::path::Path;

/// Writes the files of a component. What somebody else has written there is left alone.
pub(super) fn write(folder: &Path, files: &[(String, String)]) -> Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    let own = folder.join("kustomization.yaml");
    let is_ours = || std::fs::read_to_string(&own).is_ok_and(|text| text.starts_with(MARK));
    if ["kustomization.yaml", "kustomization.yml", "Kustomization"]
        .iter()
        .any(|name| folder.join(name).exists())
        && !is_ours()
    {
        bail!("{} has a kustomization that volgate did not write: give another folder", folder.display());
    }
    std::fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
    // The kustomization comes last: without it the others are nothing.
    for (name, text) in files {
        let path = folder.join(name);
        if std::fs::read_to_string(&path).is_ok_and(|known| known == *text) {
            continue;
        }
        replace(&path, text)?;
    }
    Ok(())
}
