//! Pod volumes that a container fills again at each start: from Git, or with nothing but a program that is run.

use super::fetched_program::only_holds_programs;
use crate::catalog::ImageRef;
use crate::facts::{Container, Workload};
use std::collections::HashSet;

/// The pod volumes into which a container of the workload clones a repository, or of which the others only run a program that an
/// init container puts there: what lies there is fetched again.
pub fn refilled_volumes<'w>(workload: &'w Workload<'_>) -> HashSet<&'w str> {
    let cloning = workload.pod.containers.iter().filter(|container| clones(container));
    let cloned = cloning.flat_map(|container| &container.mounts).map(|mount| mount.volume);
    cloned.chain(only_holds_programs(workload)).collect()
}

/// Whether a container is there to clone a repository: by its image, its program, or a URL of Git among its arguments.
fn clones(container: &Container<'_>) -> bool {
    let image = ImageRef::parse(container.image);
    let by_image =
        image.is_some_and(|image| image.path.ends_with("alpine/git") || image.name().contains("git-sync"));
    let texts = || container.command.iter().chain(&container.args);
    by_image
        || texts().any(|text| text.contains("git-sync") || text.contains("git clone") || is_git_url(text))
}

/// Whether a text is where Git fetches from: `ssh://git@host/x.git`, `https://host/x.git`.
fn is_git_url(text: &str) -> bool {
    text.starts_with("git@") || (text.contains("://") && (text.contains("://git@") || text.ends_with(".git")))
}
