//! What the agent can reach after its start: its bases, the links to its devices, and what it reads to talk to the API
//! server. Landlock, a security module of the kernel's, takes the rest from the process itself, its right to run programs
//! included. Devices are opened by [one thread](super::opener) which has nothing else.

use super::{Options, device_link};
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
        Err(error) => tracing::warn!(%error, "failed to be confined by Landlock; going on without"),
    }
}

/// Takes from this thread all but opening what is in a directory of devices.
pub(super) fn to_devices(dev: &Path) {
    let rights = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
    if let Err(error) = enforced([(dev.to_owned(), rights)]) {
        tracing::warn!(%error, "failed to confine the thread that opens devices by Landlock; going on without");
    }
}

fn restrict(options: &Options, reads: &[PathBuf]) -> Result<RulesetStatus, RulesetError> {
    // No program is run, and no device made or opened: there may be one in a volume.
    let devices = AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev;
    let files = AccessFs::from_all(KNOWN) & !AccessFs::Execute & !devices;
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
    if options.most_loop_devices > 0 {
        let links = options.host_root.join(device_link("").trim_start_matches('/'));
        rules.push((links, AccessFs::ReadDir | AccessFs::MakeSym | AccessFs::RemoveFile));
        rules.extend(["/sys/block", "/sys/devices/virtual/block"].map(|path| (path.into(), read)));
    }
    // What the kernel says of subvolumes; name resolution, with the libraries that it may load; the
    // service account's token, which changes.
    const READ: [&str; 7] =
        ["/sys/fs/btrfs", "/etc", "/lib", "/lib64", "/usr/lib", "/run/secrets", "/var/run/secrets"];
    rules.extend(READ.map(|path| (PathBuf::from(path), read)));
    rules.extend(reads.iter().filter_map(|path| path.parent()).map(|directory| (directory.to_owned(), read)));
    enforced(rules)
}

/// Leaves this thread, and those that it starts, nothing but these rights beneath these paths.
fn enforced(
    rules: impl IntoIterator<Item = (PathBuf, BitFlags<AccessFs>)>,
) -> Result<RulesetStatus, RulesetError> {
    let mut ruleset = Ruleset::default().handle_access(AccessFs::from_all(KNOWN))?.create()?;
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
        tracing::debug!(path = %path.display(), %error, "no rule for a path that cannot be opened");
    }
    opened.ok()
}

#[cfg(test)]
mod tests {
    use super::super::opener::{Device, Opener};
    use super::*;
    use rustix::fs::{CWD, Mode, OFlags};
    use rustix::io::Errno;
    use std::time::Duration;

    fn options(host_root: &Path, most_loop_devices: u32) -> Options {
        Options {
            node: "n".into(),
            bases: vec!["/opt/base".into()],
            host_root: host_root.to_owned(),
            overcommit: 1.0,
            look_every: Duration::from_secs(1),
            orphan_grace: Duration::from_secs(1),
            walk_every: Duration::from_secs(1),
            most_loop_devices,
            bytes_per_inode: 16_384,
        }
    }

    /// Whether this kernel has Landlock; where it does not, that is said.
    fn enforced_here(status: Result<RulesetStatus, RulesetError>) -> bool {
        let enforced = status.is_ok_and(|status| status != RulesetStatus::NotEnforced);
        if !enforced {
            eprintln!("this kernel has no Landlock: that the agent is confined was NOT tested");
        }
        enforced
    }

    #[test]
    fn a_confined_thread_reaches_its_bases_and_links_and_no_device() {
        for most_loop_devices in [0, 256] {
            // Rights are a thread's, and those of the threads that it starts.
            std::thread::spawn(move || {
                let root = tempfile::tempdir().unwrap();
                let at = |path: &str| root.path().join(path);
                std::fs::create_dir_all(at("opt/base")).unwrap();
                std::fs::create_dir_all(at("dev/volgate")).unwrap();
                std::fs::create_dir_all(at("elsewhere")).unwrap();
                std::os::unix::fs::symlink("/dev/loop0", at("dev/volgate/old")).unwrap();
                // Started before, as the agent does it.
                let opener = Opener::start("/dev".into()).unwrap();
                if !enforced_here(restrict(&options(root.path(), most_loop_devices), &[])) {
                    return;
                }
                std::fs::write(at("opt/base/file"), "data").unwrap();
                std::fs::create_dir(at("opt/base/d")).unwrap();
                std::fs::rename(at("opt/base/d"), at("opt/base/e")).unwrap();
                std::fs::remove_dir(at("opt/base/e")).unwrap();
                let denied = |done: std::io::Result<()>| {
                    assert_eq!(done.unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
                };
                denied(std::fs::write(at("elsewhere/file"), ""));
                denied(std::fs::File::open("/dev/null").map(drop));
                denied(std::fs::read_dir("/dev").map(drop));
                denied(std::fs::write(at("dev/volgate/file"), ""));
                let device = rustix::fs::mknodat(
                    CWD,
                    at("opt/base/null"),
                    rustix::fs::FileType::CharacterDevice,
                    Mode::RWXU,
                    rustix::fs::makedev(1, 3),
                );
                assert!(matches!(device, Err(Errno::ACCESS | Errno::PERM)), "{device:?}");
                let linked = std::os::unix::fs::symlink("/dev/loop0", at("dev/volgate/new"));
                let removed = std::fs::remove_file(at("dev/volgate/old"));
                if most_loop_devices == 0 {
                    denied(linked);
                    denied(removed);
                    denied(std::fs::read_dir("/sys/block").map(drop));
                } else {
                    linked.and(removed).unwrap();
                    std::fs::read_dir("/sys/block").unwrap();
                }
                // What that thread opens, this one can use.
                let control = opener.open(Device::Control);
                let there = rustix::fs::stat("/dev/loop-control").is_ok();
                assert!(!matches!(control, Err(Errno::ACCESS)) || !there, "{control:?}");
            })
            .join()
            .unwrap();
        }
    }

    #[test]
    fn the_thread_that_opens_devices_has_nothing_else() {
        std::thread::spawn(|| {
            let rights = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
            if !enforced_here(enforced([(PathBuf::from("/dev"), rights)])) {
                return;
            }
            std::fs::File::options().read(true).write(true).open("/dev/null").unwrap();
            for path in ["/etc/hostname", "/etc", "/"] {
                let opened = rustix::fs::open(path, OFlags::RDONLY, Mode::empty());
                assert_eq!(opened.unwrap_err(), Errno::ACCESS, "{path}");
            }
            assert!(std::fs::write("/dev/volgate-test", "").is_err(), "it makes nothing");
        })
        .join()
        .unwrap();
    }
}
