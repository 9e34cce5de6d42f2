//! What the ConfigMaps and Secrets that are known bring into the containers of a workload.

use crate::catalog::{Allowance, Brought, Configuration, ContainerView, Mounted, ROLE_LABELS, Source};
use crate::facts::{Container, FileSource, KeyRef, Mount, PodVolume, Section, VolumeSource, Workload};
use crate::lookup::Lookup;
use crate::model::below;

/// What they bring into one container; `allowance` is the object's.
pub fn configuration<'w>(
    workload: &'w Workload<'_>,
    container: &'w Container<'_>,
    namespace: &str,
    lookup: &dyn Lookup,
    allowance: &'w Allowance,
) -> Configuration<'w> {
    let object = |(kind, name)| lookup.config(kind, namespace, name);
    let mut brought = Configuration::new(allowance);
    for (index, named) in &container.value_from {
        let KeyRef { kind, name, key } = *named;
        let Some(object) = object((kind, name)) else { continue };
        match object.get(key).is_some() {
            true => brought.values.push((*index, Brought::Key(object, key))),
            // Where the key is not optional, the container does not start before somebody adds it or takes the variable out.
            false => brought.values.push((*index, Brought::Nothing)),
        }
    }
    brought.env_from = container.env_from_objects.iter().map(|named| object((*named)?)).collect();
    let source = |named: &'w FileSource<'_>| Source { object: named.object.and_then(object), named };
    let mounted = |mount: &'w Mount<'_>| {
        let volume = workload.pod.volume(mount.volume);
        let rendered = volume.is_some_and(|volume| is_rendered(workload, mount, volume));
        let volume = volume.filter(|volume| !volume.files.is_empty());
        Mounted {
            index: mount.index,
            path: mount.path.as_str(),
            sub_path: mount.sub_path_expr.is_empty().then_some(mount.sub_path),
            files: volume.map(|volume| volume.files.iter().map(source).collect()),
            rendered,
        }
    };
    brought.mounts = container.mounts.iter().map(mounted).collect();
    brought
}

/// How many mounts of one pod volume are looked at.
const MOST_MOUNTS: usize = 64;

/// Whether the files at a mount are written before the container starts: by an init container that mounts the same part of an
/// emptyDir, or by a driver that brings them from elsewhere.
fn is_rendered(workload: &Workload<'_>, mount: &Mount<'_>, volume: &PodVolume<'_>) -> bool {
    let writes = |other: &Mount<'_>| {
        other.volume == mount.volume
            && !other.read_only
            && (other.sub_path.is_empty() || below(mount.sub_path, other.sub_path).is_some())
    };
    match volume.source {
        VolumeSource::EmptyDir { .. } | VolumeSource::Unset => {
            let mut mounts = workload.pod.mounts_of(mount.volume).take(MOST_MOUNTS);
            mounts.any(|(container, other)| container.section == Section::Init && writes(other))
        }
        VolumeSource::Csi { .. } => volume.source.is_read_only(),
        _ => false,
    }
}

/// A container as the catalog wants to see it.
pub fn view<'w>(
    workload: &'w Workload<'_>,
    container: &'w Container<'_>,
    configuration: Option<&'w Configuration<'w>>,
) -> ContainerView<'w> {
    ContainerView {
        name: container.name,
        roles: ROLE_LABELS.map(|label| workload.pod.labels?.get(label)?.as_str()),
        image: container.image,
        command: &container.command,
        args: &container.args,
        env: &container.env,
        env_from: &container.env_from,
        working_dir: container.working_dir,
        configuration,
    }
}
