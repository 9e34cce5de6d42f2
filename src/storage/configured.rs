//! What the ConfigMaps and Secrets that are known bring into the containers of a workload.

use crate::catalog::{Allowance, Brought, Configuration, ContainerView, Mounted, Source};
use crate::facts::{Container, FileSource, KeyRef, Mount, Workload};
use crate::lookup::Lookup;

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
        let KeyRef { kind, name, key, optional } = *named;
        let Some(object) = object((kind, name)) else { continue };
        match (object.get(key).is_some(), optional) {
            (true, _) => brought.values.push((*index, Brought::Key(object, key))),
            (false, true) => brought.values.push((*index, Brought::Nothing)),
            // The container does not start: there is nothing to say of its value.
            (false, false) => {}
        }
    }
    brought.env_from = container.env_from_objects.iter().map(|named| object((*named)?)).collect();
    let source = |named: &'w FileSource<'_>| Source { object: named.object.and_then(object), named };
    let mounted = |mount: &'w Mount<'_>| {
        let volume = workload.pod.volume(mount.volume).filter(|volume| !volume.files.is_empty());
        Mounted {
            index: mount.index,
            path: mount.path.as_str(),
            sub_path: mount.sub_path_expr.is_empty().then_some(mount.sub_path),
            files: volume.map(|volume| volume.files.iter().map(source).collect()),
        }
    };
    brought.mounts = container.mounts.iter().map(mounted).collect();
    brought
}

/// A container as the catalog wants to see it.
pub fn view<'w>(
    container: &'w Container<'_>,
    configuration: Option<&'w Configuration<'w>>,
) -> ContainerView<'w> {
    ContainerView {
        image: container.image,
        command: &container.command,
        args: &container.args,
        env: &container.env,
        env_from: &container.env_from,
        working_dir: container.working_dir,
        configuration,
    }
}
