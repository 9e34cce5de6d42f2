//! Durability and reach of every path that a pod can write to.

use super::configured::configuration;
use super::placement::{could_be_of, reserved_volume};
use crate::catalog::{Allowance, Configuration};
use crate::facts::{
    ClaimSpec, ClaimTemplate, Container, Device, Mount, PodVolume, ReclaimPolicy, VolumeFacts, VolumeSource,
    Workload,
};
use crate::lookup::Lookup;
use crate::model::{Durability, Fate, FieldPath, FsPath, Reach};
use std::cell::Cell;

/// What backs a path or device of a container.
#[derive(Debug, Clone, Copy)]
pub enum Place<'w, 'a> {
    /// No mount covers it: the image's writable layer.
    WritableLayer,
    /// A pod volume.
    Volume(&'w PodVolume<'a>),
    /// The claim that a StatefulSet's template makes.
    Template(&'w ClaimTemplate<'a>),
    /// A pod volume that does not exist.
    Missing,
}

/// What covers a path of a container, and what becomes of data there.
#[derive(Debug, Clone, Copy)]
pub struct Cover<'w, 'a> {
    /// The mount that covers it; none in the writable layer and for a device.
    pub mount: Option<&'w Mount<'a>>,
    /// What lies behind it.
    pub place: Place<'w, 'a>,
    /// Whether nothing can be written there.
    pub read_only: bool,
    /// What becomes of the data.
    pub fate: Fate,
}

/// One row of the durability table.
#[derive(Debug)]
pub struct WritablePath<'w, 'a> {
    /// The container.
    pub container: &'w Container<'a>,
    /// The path of the mount or device; `/` for the writable layer.
    pub path: String,
    /// What covers it.
    pub cover: Cover<'w, 'a>,
    /// The field that says so.
    pub field: FieldPath,
    /// Whether it is a block device.
    pub device: bool,
}

/// The answers for one workload.
#[derive(Clone, Copy)]
pub struct Storage<'w, 'a> {
    workload: &'w Workload<'a>,
    namespace: &'w str,
    lookup: &'w dyn Lookup,
}

impl<'w, 'a> Storage<'w, 'a> {
    /// For a workload in a namespace.
    pub fn new(workload: &'w Workload<'a>, namespace: &'w str, lookup: &'w dyn Lookup) -> Self {
        Self { workload, namespace, lookup }
    }

    /// What the ConfigMaps and Secrets that are known bring into a container of it; `allowance` is the object's.
    pub(super) fn configuration<'c>(
        &self,
        container: &'c Container<'_>,
        allowance: &'c Allowance,
    ) -> Configuration<'c>
    where
        'w: 'c,
    {
        configuration(self.workload, container, self.namespace, self.lookup, allowance)
    }

    /// What covers that path of that container: the longest mount path above it decides.
    pub fn cover(&self, container: &'w Container<'a>, path: &FsPath<'_>) -> Cover<'w, 'a> {
        let mount = container
            .mounts
            .iter()
            .filter(|mount| mount.path.covers(path))
            .max_by_key(|mount| mount.path.as_str().len());
        match mount {
            Some(mount) => self.mount_cover(mount),
            None => Cover { read_only: container.read_only_root, ..WRITABLE_LAYER },
        }
    }

    /// What a mount brings.
    pub fn mount_cover(&self, mount: &'w Mount<'a>) -> Cover<'w, 'a> {
        let backing = self.named(mount.volume);
        Cover { mount: Some(mount), read_only: mount.read_only || backing.read_only, ..backing }
    }

    /// What a block device brings.
    pub fn device_cover(&self, device: &Device<'a>) -> Cover<'w, 'a> {
        self.named(device.volume)
    }

    fn named(&self, name: &str) -> Cover<'w, 'a> {
        // A claim template shadows a pod volume of the same name, as the StatefulSet controller has it.
        if let Some(template) = self.workload.claim_template(name) {
            let fate = self.claim_spec_fate(&template.spec);
            return Cover { mount: None, place: Place::Template(template), read_only: false, fate };
        }
        match self.workload.pod.volume(name) {
            Some(volume) => Cover {
                mount: None,
                place: Place::Volume(volume),
                read_only: volume.source.is_read_only(),
                fate: self.volume_source_fate(&volume.source),
            },
            None => Cover { mount: None, place: Place::Missing, read_only: false, fate: UNKNOWN },
        }
    }

    /// What becomes of data on a pod volume of that source.
    pub fn volume_source_fate(&self, source: &VolumeSource<'_>) -> Fate {
        match source {
            VolumeSource::EmptyDir { medium: "Memory", .. } => {
                Fate::certain(Durability::Memory, Reach::SomeNodes)
            }
            VolumeSource::EmptyDir { medium, .. } if medium.starts_with("HugePages") => {
                Fate::certain(Durability::Memory, Reach::SomeNodes)
            }
            VolumeSource::EmptyDir { medium: "", .. } | VolumeSource::Unset | VolumeSource::GitRepo => {
                Fate::certain(Durability::Pod, Reach::SomeNodes)
            }
            VolumeSource::EmptyDir { .. } => {
                Fate { least: Durability::Memory, most: Durability::Pod, reach: Reach::SomeNodes }
            }
            VolumeSource::Network { .. } => Fate::certain(Durability::Volume, Reach::AnyNode),
            VolumeSource::Csi { .. } if source.is_shared_storage() => {
                Fate::certain(Durability::Volume, Reach::AnyNode)
            }
            VolumeSource::Ephemeral(_) | VolumeSource::Csi { .. } | VolumeSource::Content(_) => {
                Fate::certain(Durability::Pod, Reach::SomeNodes)
            }
            VolumeSource::HostPath { .. } => Fate::certain(Durability::Node, Reach::SomeNodes),
            VolumeSource::Claim { name, .. } => match self.lookup.claim(self.namespace, name) {
                Some(claim) => {
                    match reserved_volume(&claim, self.lookup).filter(|_| claim.spec.volume_name.is_none()) {
                        Some(volume) => volume_fate(&volume),
                        None => self.claim_spec_fate(&claim.spec),
                    }
                }
                None => UNKNOWN_CLAIM,
            },
            source @ VolumeSource::Unknown(_) if source.is_misspelt() => {
                Fate::certain(Durability::Pod, Reach::SomeNodes)
            }
            VolumeSource::Unknown(_) => UNKNOWN,
        }
    }

    /// What becomes of data on a claim that asks for this.
    pub fn claim_spec_fate(&self, spec: &ClaimSpec) -> Fate {
        claim_fate(spec, self.lookup)
    }

    /// The durability table: for every container its writable mounts and devices, and its writable layer.
    pub fn table(&self) -> Vec<WritablePath<'w, 'a>> {
        let pod = self.workload.pod.path();
        let mut rows = Vec::new();
        for container in &self.workload.pod.containers {
            if !container.read_only_root {
                let (path, field) = ("/".to_owned(), container.path(&pod));
                rows.push(WritablePath { container, path, cover: WRITABLE_LAYER, field, device: false });
            }
            for mount in &container.mounts {
                let cover = self.mount_cover(mount);
                if !cover.read_only {
                    let path = mount.path.as_str().to_owned();
                    let field = container.mount_path(&pod, mount);
                    rows.push(WritablePath { container, path, cover, field, device: false });
                }
            }
            for device in &container.devices {
                let cover = self.device_cover(device);
                if !cover.read_only {
                    let field = container.path(&pod).key("volumeDevices").index(device.index);
                    rows.push(WritablePath {
                        container,
                        path: device.path.to_owned(),
                        cover,
                        field,
                        device: true,
                    });
                }
            }
        }
        rows
    }
}

/// What becomes of data on a claim that asks for this.
pub fn claim_fate(spec: &ClaimSpec, lookup: &dyn Lookup) -> Fate {
    if let Some(name) = &spec.volume_name {
        return lookup.volume(name).map_or(UNKNOWN_CLAIM, |volume| volume_fate(&volume));
    }
    // With the class "" it is one of the volumes that are made by hand; which one is not known yet.
    let Some(class) = spec.class_facts(lookup) else { return UNKNOWN_CLAIM };
    if class.is_static() {
        return static_fate(&class.name, spec, lookup);
    }
    let reach = if class.is_local() { Reach::SomeNodes } else { Reach::Unknown };
    Fate::certain(retained(class.reclaim), reach)
}

/// The range over the volumes that a claim of a static class could get.
fn static_fate(class: &str, spec: &ClaimSpec, lookup: &dyn Lookup) -> Fate {
    let all = lookup.available(class);
    let alike = |some: usize| some == 0 || some == all.count;
    if alike(all.retained) && alike(all.tied) {
        // Any of them is as good as another, where there is one that would do.
        let looked_at = Cell::new(0);
        let fits = |volume: &VolumeFacts| {
            looked_at.set(looked_at.get() + 1);
            looked_at.get() > MOST_VOLUMES || could_be_of(volume, spec)
        };
        let found = lookup.find_available(class, &fits).filter(|_| looked_at.get() <= MOST_VOLUMES);
        return found.map_or(UNKNOWN_CLAIM, |volume| volume_fate(&volume));
    }
    if all.count > MOST_VOLUMES {
        return UNKNOWN_CLAIM;
    }
    let volumes = lookup.available_volumes(class).into_iter();
    let fates = volumes.filter(|volume| could_be_of(volume, spec)).map(|volume| volume_fate(&volume));
    fates
        .reduce(|a, b| Fate {
            least: a.least.min(b.least),
            most: a.most.max(b.most),
            reach: if a.reach == b.reach { a.reach } else { Reach::Unknown },
        })
        .unwrap_or(UNKNOWN_CLAIM)
}

/// How many free volumes of a static class are looked at for one mount; of more that are not alike, which of them a
/// claim gets is not known.
const MOST_VOLUMES: usize = 256;

const WRITABLE_LAYER: Cover<'static, 'static> = Cover {
    mount: None,
    place: Place::WritableLayer,
    read_only: false,
    fate: Fate { least: Durability::Container, most: Durability::Container, reach: Reach::SomeNodes },
};

/// Nothing is known at all.
const UNKNOWN: Fate = Fate { least: Durability::Container, most: Durability::Volume, reach: Reach::Unknown };

/// A claim of which nothing else is known: it outlives its pod at any rate.
const UNKNOWN_CLAIM: Fate =
    Fate { least: Durability::Claim, most: Durability::Volume, reach: Reach::Unknown };

fn retained(reclaim: ReclaimPolicy) -> Durability {
    match reclaim {
        ReclaimPolicy::Retain => Durability::Volume,
        ReclaimPolicy::Delete | ReclaimPolicy::Recycle => Durability::Claim,
    }
}

/// What becomes of data on a volume.
pub fn volume_fate(volume: &VolumeFacts) -> Fate {
    let reach = if volume.node_affinity.is_some() { Reach::SomeNodes } else { Reach::AnyNode };
    Fate::certain(retained(volume.reclaim), reach)
}
