//! What the catalog says of the containers of a workload.

use super::named_data::is_named_data;
use super::{configuration, view};
use crate::catalog::{Allowance, Catalog, Configuration, Listed, Statefulness, TellTale};
use crate::facts::{Container, Mount, Section, VolumeSource, Workload};
use crate::json::Node;
use crate::lookup::Lookup;

/// What the catalog says of a container.
#[derive(Debug)]
pub struct Product<'w> {
    /// Whether it has an entry for the image, be it one that says nothing of it.
    pub known: bool,
    /// Whether the pod keeps nothing, as the image stands in no other.
    pub whole_pod: bool,
    /// Whether somebody rebuilt the image, so that where it keeps its data is not known.
    pub rebuilt: bool,
    /// Whether the container keeps data, and where.
    pub state: Statefulness<'w>,
    /// By what the product shows, where the catalog does not name the image.
    pub shown_by: Option<TellTale<'w>>,
}

/// What the catalog says of each container, in their order.
pub fn products<'w>(
    workload: &Workload<'_>,
    namespace: &str,
    lookup: &dyn Lookup,
    catalog: &'w Catalog,
) -> Vec<Product<'w>> {
    let allowance = Allowance::among(workload.templates);
    let product = |container: &Container<'_>| {
        let brought = || configuration(workload, container, namespace, lookup, &allowance);
        let listed = catalog.listed(container.image);
        // A misnamed one counts as not listed, and shows nothing either.
        let shown = if listed.is_none() { shown(workload, container, catalog, brought) } else { None };
        match listed.filter(|listed| !is_misnamed(workload, container, listed)) {
            None => {
                let (shown_by, state) =
                    shown.map_or((None, Statefulness::NotListed), |(by, state)| (Some(by), state));
                Product { known: false, whole_pod: false, rebuilt: false, state, shown_by }
            }
            Some(listed) => {
                let state = listed.classify(&view(workload, container, Some(&brought())));
                let (rebuilt, whole_pod) = (listed.is_rebuilt(), listed.is_of_the_whole_pod());
                Product { known: !rebuilt, whole_pod, rebuilt, state, shown_by: None }
            }
        }
    };
    workload.pod.containers.iter().map(product).collect()
}

/// What a container shows of a product, where the catalog does not name its image.
fn shown<'w, 'c>(
    workload: &Workload<'_>,
    container: &'c Container<'_>,
    catalog: &'w Catalog,
    brought: impl FnOnce() -> Configuration<'c>,
) -> Option<(TellTale<'w>, Statefulness<'w>)> {
    // What ConfigMaps bring is looked up for the few that may show one.
    if container.section != Section::Main
        || !catalog.may_show(&view(workload, container, None), ports(container))
    {
        return None;
    }
    let (by, state) = catalog.told(&view(workload, container, Some(&brought())), ports(container))?;
    // What a StatefulSet keeps is judged by its mounts, unless it shows that it keeps nothing.
    let counts = !workload.stateful_set || matches!(state, Statefulness::Cache { .. });
    counts.then_some((by, state))
}

/// The ports that a container names.
fn ports(container: &Container<'_>) -> impl Iterator<Item = u16> {
    let ports = container.node.get("ports").map(Node::items).into_iter().flatten();
    ports.filter_map(|port| u16::try_from(port.get("containerPort").and_then(Node::as_i64)?).ok())
}

/// Whether the image of a StatefulSet is known by the end of its name alone, `-operator`, and the container mounts what ends with
/// the pod where data lie by the name: a database may be called like an operator.
fn is_misnamed(workload: &Workload<'_>, container: &Container<'_>, listed: &Listed<'_, '_>) -> bool {
    let ends = |mount: &Mount<'_>| {
        workload.pod.volume(mount.volume).is_some_and(|volume| {
            matches!(
                volume.source,
                VolumeSource::EmptyDir { .. } | VolumeSource::Unset | VolumeSource::Ephemeral(_)
            )
        })
    };
    workload.stateful_set
        && listed.is_known_by_ending()
        && container.mounts.iter().any(|mount| is_named_data(mount) && ends(mount))
}
