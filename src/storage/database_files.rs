//! Database files that unknown images are told to use, where nothing keeps them.

use super::data_paths::{Data, DataPath, Doubts, Keeper, Why};
use super::lasting::has_lasting;
use super::named_data::is_scratch;
use super::{Cover, Place, view};
use crate::catalog::{Allowance, DatabaseFile, FilePlace, Origin, PlaceDoubt, database_files};
use crate::facts::Container;
use crate::model::{Durability, FsPath};
use std::collections::HashSet;

/// What a variable is called that a ConfigMap brings.
const BROUGHT: &str = "a variable of `envFrom`";

impl<'w, 'a> Data<'w, 'a> {
    /// Adds the database files that variables and arguments of unknown images name (`DATABASE_URL=sqlite:////data/app.db`),
    /// where they end with the pod or before it. What the catalog knows says itself where its data lie.
    pub(super) fn add_database_files(&mut self, of: &Keeper<'w, 'a, '_>, scratch: &[String]) {
        let allowance = Allowance::among(of.workload.templates);
        for (container, _) in of.main_containers().filter(|(_, known)| !known) {
            let brings = !container.value_from.is_empty() || !container.env_from_objects.is_empty();
            let brought = brings.then(|| of.storage.configuration(container, &allowance));
            let mut told = HashSet::new();
            for file in database_files(&view(of.workload, container, brought.as_ref())) {
                self.paths.extend(
                    lost_file(of, container, &file, scratch).filter(|row| told.insert(row.path.clone())),
                );
            }
        }
    }
}

/// The row of a file that ends with the pod wherever it may lie.
fn lost_file<'w, 'a>(
    of: &Keeper<'w, 'a, '_>,
    container: &'w Container<'a>,
    file: &DatabaseFile,
    scratch: &[String],
) -> Option<DataPath<'w, 'a>> {
    let mut first = None;
    for place in &file.places {
        let (path, cover, doubt) = match place {
            FilePlace::At(path) => {
                let path = FsPath::new(path).into_owned();
                let cover = of.storage.cover(container, &path);
                (path, cover, None)
            }
            FilePlace::Beneath(path) => {
                let path = FsPath::new(path).into_owned();
                (path, beneath(of, container, first.is_some())?, Some(PlaceDoubt::WorkingDir))
            }
        };
        let missing = matches!(cover.place, Place::Missing);
        // A StatefulSet's own mounts are its data anyhow.
        let told = of.workload.stateful_set && cover.mount.is_some();
        if cover.read_only
            || missing
            || told
            || cover.fate.most > Durability::Pod
            || is_no_data(&path, scratch)
        {
            return None;
        }
        first.get_or_insert((path, cover, doubt));
    }
    let (path, cover, place) = first?;
    let why = Why::File { by: name_of(container, file.origin), origin: file.origin };
    let row = DataPath::new(container, path, cover, why);
    Some(DataPath { doubts: Doubts { place, ..Doubts::default() }, ..row })
}

/// The variable or the argument that names a file.
fn name_of<'w>(container: &'w Container<'_>, origin: Origin) -> &'w str {
    let words = || container.command.iter().chain(&container.args);
    let at = match origin {
        Origin::Env { index: Some(index) } => {
            return container.env.get(index).map_or(BROUGHT, |(name, _)| name);
        }
        Origin::Command { index } => index,
        Origin::Args { index } => container.command.len() + index,
        Origin::Env { index: None } | Origin::EnvFrom { .. } | Origin::Mount { .. } => return BROUGHT,
    };
    let flag = words().nth(at).and_then(|word| word.split_once('=')).map(|(flag, _)| flag);
    // `--db /data/x.db` has its name in the word before.
    let before = || words().nth(at.checked_sub(1)?).copied();
    flag.filter(|flag| flag.starts_with('-')).or_else(before).unwrap_or("an argument")
}

/// What covers a file beneath the image's working directory, which is not known: the writable layer, unless a mount may. `else_too`
/// says that the file may lie elsewhere as well, where it is known what covers it.
fn beneath<'w, 'a>(
    of: &Keeper<'w, 'a, '_>,
    container: &'w Container<'a>,
    else_too: bool,
) -> Option<Cover<'w, 'a>> {
    let storage = &of.storage;
    let covers = container
        .mounts
        .iter()
        .any(|mount| !storage.mount_cover(mount).read_only && !is_scratch(&mount.path, &[]));
    if has_lasting(storage, container, Durability::Node) || (covers && !else_too) {
        return None;
    }
    Some(storage.cover(container, &FsPath::new("/")))
}

fn is_no_data(path: &FsPath<'_>, scratch: &[String]) -> bool {
    let is_cache = |part: &str| ["cache", ".cache", "scratch", "temp", "tmp"].contains(&part);
    is_scratch(path, scratch) || path.as_str().split('/').any(is_cache)
}
