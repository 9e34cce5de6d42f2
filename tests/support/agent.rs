//! `volgate agent` as a process, with a directory as its node's root.

use super::volgate;
use std::path::Path;
use std::process::Command;

/// The command that starts it.
pub fn command(kubeconfig: &Path, root: &Path, args: &[String]) -> Command {
    let mut command = volgate();
    command
        .args(args)
        .arg("--host-root")
        .arg(root)
        .env("KUBECONFIG", kubeconfig)
        .env("RUST_LOG", "debug,hyper=info,hyper_util=info,tower=info,kube=info,rustls=info,h2=info")
        // As the DaemonSet is to have it: memory that is not used is given back at once.
        .envs([
            ("MIMALLOC_PURGE_DELAY", "0"),
            ("MIMALLOC_EAGER_COMMIT", "0"),
            ("MIMALLOC_ARENA_EAGER_COMMIT", "0"),
        ])
        .env_remove(volgate::failpoint::VARIABLE);
    command
}

/// The names in a directory; none when it is not there.
pub fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
