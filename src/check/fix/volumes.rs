//! Which mounts of a workload are to lie on a claim.

use crate::facts::{Container, PodVolume, VolumeSource, Workload};
use crate::model::{FieldPath, FsPath, Quantity, beginning, below};
use crate::storage::{Place, Storage};
use crate::verdict::LostData;
use serde_json::Value;

/// Data that is to lie on one claim.
pub(super) struct Home<'w, 'a> {
    /// The container that keeps it.
    pub(super) container: &'w Container<'a>,
    /// Its directories, as the message names them.
    pub(super) paths: Vec<String>,
    /// The pod volume on which it lies today.
    pub(super) from: Option<Source<'w, 'a>>,
    /// What is mounted additionally: the path, and the directory in the volume.
    pub(super) mounts: Vec<(String, Option<String>)>,
    /// How much is asked for.
    pub(super) size: Option<String>,
    /// What the claim asks for, where that is written already.
    pub(super) spec: Option<Value>,
}

/// A pod volume whose place a claim takes.
pub(super) struct Source<'w, 'a> {
    pub(super) volume: &'w PodVolume<'a>,
    /// The mounts that go to the claim.
    pub(super) mounts: Vec<FieldPath>,
    /// The mount that gets a `subPath`, and which.
    pub(super) sub_path: Option<(FieldPath, String)>,
    /// How many mounts it has in all.
    pub(super) of: usize,
}

impl Source<'_, '_> {
    /// Whether nothing else mounts the pod volume.
    pub(super) fn is_whole(&self) -> bool {
        self.mounts.len() == self.of
    }
}

/// What the lost data of a workload needs, or why it cannot be given.
pub(super) fn homes<'w, 'a>(
    workload: &'w Workload<'a>,
    storage: Storage<'w, 'a>,
    object: &Value,
    lost: &[&LostData],
) -> Result<Vec<Home<'w, 'a>>, String> {
    let pod = workload.pod.path();
    let mut homes: Vec<Home<'w, 'a>> = Vec::new();
    for data in lost {
        let container =
            workload.pod.containers.iter().find(|container| container.path(&pod) == data.container);
        let container = container.ok_or("its container is not found")?;
        let mut bare: Vec<&str> = Vec::new();
        for path in &data.paths {
            let cover = storage.cover(container, &FsPath::new(path));
            let mount = cover.mount.map(|mount| mount.path.as_str());
            // A mount above a VOLUME of the image does not reach what lies in it.
            let is_hidden = data.image_volume.as_deref().is_some_and(|volume| {
                below(path, volume).is_some() && mount.is_none_or(|mount| below(mount, volume).is_none())
            });
            match (cover.place, cover.mount) {
                (Place::WritableLayer, _) => bare.push(path),
                _ if is_hidden => bare.push(path),
                (Place::Volume(volume), Some(mount)) => {
                    replaceable(volume)?;
                    let part = (mount.sub_path, mount.sub_path_expr);
                    homes.push(of_volume(workload, object, container, volume, part, path, data));
                }
                (Place::Volume(volume), None) => return Err(not_retained(volume.name)),
                (Place::Template(template), _) => return Err(not_retained(template.name)),
                (Place::Missing, _) => return Err("its pod volume does not exist".to_owned()),
            }
        }
        if let Some(home) = of_layer(container, data, &bare) {
            homes.push(home);
        }
    }
    Ok(merged(homes))
}

fn not_retained(name: &str) -> String {
    format!("what lies on {name:?} is on a claim already: name a class whose volumes are retained")
}

/// Says why a claim cannot take the place of a pod volume.
fn replaceable(volume: &PodVolume<'_>) -> Result<(), String> {
    match &volume.source {
        VolumeSource::Claim { .. } => Err(not_retained(volume.name)),
        VolumeSource::EmptyDir { .. }
        | VolumeSource::Unset
        | VolumeSource::GitRepo
        | VolumeSource::HostPath { .. }
        | VolumeSource::Ephemeral(_)
        | VolumeSource::Csi { .. } => Ok(()),
        source if source.is_misspelt() => Ok(()),
        source => {
            let kind = source.field().map_or("other", |kind| beginning(kind, 64));
            Err(format!("its pod volume {:?} is of the type {kind}", volume.name))
        }
    }
}

/// Data on a pod volume: all mounts of the same part of it go with them.
fn of_volume<'w, 'a>(
    workload: &'w Workload<'a>,
    object: &Value,
    container: &'w Container<'a>,
    volume: &'w PodVolume<'a>,
    part: (&str, &str),
    path: &str,
    data: &LostData,
) -> Home<'w, 'a> {
    let pod = workload.pod.path();
    let all: Vec<_> = workload.pod.mounts_of(volume.name).collect();
    let same: Vec<_> =
        all.iter().filter(|(_, mount)| (mount.sub_path, mount.sub_path_expr) == part).collect();
    let mounts = same.iter().map(|(container, mount)| container.mount_path(&pod, mount)).collect();
    // Whoever else mounts it would look for the files at its root.
    let sub_path = match (same.as_slice(), &data.sub_path) {
        ([(container, mount)], Some(sub_path)) if part == ("", "") && mount.path.as_str() == path => {
            Some((container.mount_path(&pod, mount), sub_path.clone()))
        }
        _ => None,
    };
    let source = object.pointer(&volume.source_path(&pod).to_json_pointer());
    let spec = source.and_then(|source| source.pointer("/volumeClaimTemplate/spec")).cloned();
    let limit = source.and_then(|source| source.get("sizeLimit")?.as_str());
    let limit = limit.filter(|limit| {
        let in_memory =
            source.and_then(|source| source.get("medium")?.as_str()).is_some_and(|medium| !medium.is_empty());
        !in_memory && Quantity::parse(limit).is_ok_and(|limit| limit.value() > 0)
    });
    Home {
        container,
        paths: vec![path.to_owned()],
        from: Some(Source { volume, mounts, sub_path, of: all.len() }),
        mounts: Vec::new(),
        size: limit.map(str::to_owned).or_else(|| data.size.clone()),
        spec,
    }
}

/// Data in the writable layer, or beneath a VOLUME of the image.
fn of_layer<'w, 'a>(container: &'w Container<'a>, data: &LostData, paths: &[&str]) -> Option<Home<'w, 'a>> {
    if paths.is_empty() {
        return None;
    }
    let holds = |outer: &str, path: &str| below(path, outer).is_some();
    // The VOLUME that holds all of it is where the image wants a volume.
    let volume = data.image_volume.as_deref();
    let volume = volume.filter(|volume| {
        paths.iter().all(|path| holds(volume, path))
            && container.mounts.iter().all(|mount| mount.path.as_str() != *volume)
    });
    let mut outermost: Vec<&str> = match volume {
        Some(volume) => vec![volume],
        None => {
            let is_inner = |path: &str| paths.iter().any(|outer| *outer != path && holds(outer, path));
            paths.iter().copied().filter(|path| !is_inner(path)).collect()
        }
    };
    outermost.dedup();
    let mut named: Vec<String> = Vec::new();
    let several = outermost.len() > 1;
    let mounts = outermost.iter().map(|path| {
        let last = path.rsplit('/').next().unwrap_or_default();
        let own = super::names::free(&super::names::as_name(last), 63, |name| {
            !named.iter().any(|known| known == name)
        });
        named.extend(own.clone());
        let is_data = paths.contains(path);
        let sub_path = if several { own } else { data.sub_path.clone().filter(|_| is_data) };
        ((*path).to_owned(), sub_path)
    });
    Some(Home {
        container,
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        from: None,
        mounts: mounts.collect(),
        size: data.size.clone(),
        spec: None,
    })
}

/// Those of one pod volume as one, and those of one new mount.
fn merged<'w, 'a>(homes: Vec<Home<'w, 'a>>) -> Vec<Home<'w, 'a>> {
    let mut all: Vec<Home<'w, 'a>> = Vec::new();
    for home in homes {
        let volume = |home: &Home<'w, 'a>| home.from.as_ref().map(|from| from.volume.index);
        let container = |home: &Home<'w, 'a>| home.container.path(&FieldPath::root());
        let known = all.iter_mut().find(|known| match (volume(known), volume(&home)) {
            (Some(known), Some(new)) => known == new,
            (None, None) => {
                container(known) == container(&home)
                    && home.mounts.iter().all(|mount| known.mounts.contains(mount))
            }
            _ => false,
        });
        let Some(known) = known else {
            all.push(home);
            continue;
        };
        known
            .paths
            .extend(home.paths.into_iter().filter(|path| !known.paths.contains(path)).collect::<Vec<_>>());
        if let (Some(from), Some(new)) = (&mut known.from, &home.from) {
            let further: Vec<FieldPath> =
                new.mounts.iter().filter(|mount| !from.mounts.contains(mount)).cloned().collect();
            from.mounts.extend(further);
        }
    }
    for home in &mut all {
        if let Some(from) = &mut home.from
            && from.mounts.len() > 1
        {
            from.sub_path = None;
        }
    }
    all
}
