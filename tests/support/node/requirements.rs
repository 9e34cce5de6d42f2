//! What this machine must have for a node, asked for at once, and programs of this machine that are run to their end.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Programs, and the package that has each.
const PROGRAMS: [(&str, &str); 16] = [
    ("apt-get", "apt"),
    ("dpkg-deb", "dpkg"),
    ("find", "findutils"),
    ("go", "golang, version 1.26 or newer"),
    ("grep", "grep"),
    ("ip", "iproute2"),
    ("ldd", "libc-bin"),
    ("losetup", "mount"),
    ("mount", "mount"),
    ("nsenter", "util-linux"),
    ("pivot_root", "util-linux"),
    ("setpriv", "util-linux"),
    ("sh", "dash"),
    ("sha256sum", "coreutils"),
    ("tar", "tar"),
    ("unshare", "util-linux"),
];

/// Whether this machine can have a node at all.
///
/// # Errors
/// All that is missing, and how to go on.
pub fn check() -> Result<(), String> {
    let mut missing = Vec::new();
    let user = fs::metadata("/proc/self").map_err(|e| format!("failed to ask who runs the test: {e}"))?.uid();
    if user != 0 {
        missing.push(format!("the right to do it: the test is run by user {user}, not by root"));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |name: &str| std::env::split_paths(&path).any(|dir| dir.join(name).is_file());
    let absent = PROGRAMS.iter().filter(|(name, _)| !is_there(name));
    missing.extend(
        absent.map(|(name, package)| format!("the program {name} in PATH, of the package {package}")),
    );
    if missing.is_empty() {
        Ok(())
    } else {
        Err(how_to_go_on(&format!("there is not {}", missing.join("; nor "))))
    }
}

/// Runs a program of this machine to its end, and returns what it printed.
///
/// # Errors
/// What it said, as a text.
pub fn system(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output();
    let fault = match output {
        Ok(output) if output.status.success() => {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Ok(output) => format!("({}) {}", output.status, String::from_utf8_lossy(&output.stderr).trim()),
        Err(e) => e.to_string(),
    };
    // Scripts are long: what they did is in their own words.
    let line: String = format!("{command:?}").chars().take(300).collect();
    Err(format!("{line} failed: {fault}"))
}

/// A fault, with what a person can do about it.
pub fn how_to_go_on(fault: &str) -> String {
    format!(
        "this test needs a real Kubernetes node, and {fault}.\n\
         One of these helps:\n\
         - run the tests as root on Debian or Ubuntu, with these programs installed and the way to the package servers \
         of Go and of the distribution open (tests/node/README.md tells more);\n\
         - set VOLGATE_SKIP_NODE_TESTS=1 to skip every test that needs a node (they then prove nothing)."
    )
}
