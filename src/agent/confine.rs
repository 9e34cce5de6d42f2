//! What the agent can reach after its start: its bases, the devices it makes, and what it reads to talk to the API server.
//! Landlock, a security module of the kernel's, takes the rest from the process itself, its right to run programs included.

use super::Options;
use landlock::{
    ABI, Access, AccessFs, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus,
};
use std::path::{Path, PathBuf};

/// The newest rights that are asked for; the kernel takes those it knows.
const KNOWN: ABI = ABI::V5;

/// Takes from this thread, and from those it starts, whatever an agent has no business with. To be called before other
/// threads are started. `reads` is what is read besides, such as the kubeconfig file.
///
/// It is a second wall: a kernel without it leaves the agent as safe as its own handling of paths is.
pub fn confine(options: &Options, reads: &[PathBuf]) {
    match restrict(options, reads) {
        Ok(RulesetStatus::FullyEnforced) => tracing::info!("confined to the bases by Landlock"),
        Ok(RulesetStatus::PartiallyEnforced) => {
            tracing::info!("confined to the bases by Landlock, as far as this kernel knows it");
        }
        Ok(RulesetStatus::NotEnforced) => {
            tracing::info!(
                "not confined by Landlock: this kernel does not have it, or it is not switched on"
            );
        }
        Err(error) => tracing::warn!("failed to be confined by Landlock: {error}; going on without"),
    }
}

fn restrict(options: &Options, reads: &[PathBuf]) -> Result<RulesetStatus, RulesetError> {
    let all = AccessFs::from_all(KNOWN);
    let files = all & !AccessFs::Execute;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let mut rules: Vec<(PathBuf, BitFlags<AccessFs>)> = Vec::new();
    for base in &options.bases {
        let base = options.host_root.join(base.trim_start_matches('/'));
        // A disk that is mounted on the base later hides the base's own rule, and not that of the directory around it. In
        // a container there is nothing else in that.
        rules.extend(
            base.parent().filter(|parent| parent.parent().is_some()).map(|parent| (parent.into(), files)),
        );
        rules.push((base, files));
    }
    let host_dev = options.host_root.join("dev");
    rules.extend([host_dev, PathBuf::from("/dev")].map(|dev| (dev, files)));
    // What the kernel tells of loop devices and subvolumes; name resolution, with the libraries that it may load; the
    // service account's token, which changes.
    const READ: [&str; 9] = [
        "/sys/block",
        "/sys/devices/virtual/block",
        "/sys/fs/btrfs",
        "/etc",
        "/lib",
        "/lib64",
        "/usr/lib",
        "/run/secrets",
        "/var/run/secrets",
    ];
    rules.extend(READ.map(|path| (PathBuf::from(path), read)));
    rules.extend(reads.iter().filter_map(|path| path.parent()).map(|directory| (directory.to_owned(), read)));

    let mut ruleset = Ruleset::default().handle_access(all)?.create()?;
    for (path, access) in rules {
        if let Some(directory) = opened(&path) {
            ruleset = ruleset.add_rule(PathBeneath::new(directory, access))?;
        }
    }
    Ok(ruleset.restrict_self()?.ruleset)
}

/// What is not there needs no rule.
fn opened(path: &Path) -> Option<PathFd> {
    let opened = PathFd::new(path);
    if let Err(error) = &opened {
        tracing::debug!("no rule for {}: {error}", path.display());
    }
    opened.ok()
}
