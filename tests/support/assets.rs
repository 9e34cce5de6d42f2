//! The Kubernetes binaries: taken from `KUBEBUILDER_ASSETS`, or built from `tests/support/control_plane` with Go and kept in `target/`.

use super::kept::kept;
use super::process::last_lines;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The version of Kubernetes that `tests/support/control_plane/go.mod` names.
pub const KUBERNETES_VERSION: &str = "v1.37.2";

/// The names the one binary answers to. `main.go` has the same list.
const NAMES: [&str; 8] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
    "yaml2json",
];

/// The directory that holds a binary for each of kube-apiserver, etcd, kubectl and so on.
///
/// `KUBEBUILDER_ASSETS` wins when it is set and not empty. Otherwise the binaries are built, once for each content of
/// `tests/support/control_plane` and Go version; of several processes that start at once one builds and the others wait for it.
///
/// # Errors
/// A text for a person: what is missing and how to go on.
pub fn assets() -> Result<PathBuf, String> {
    static ASSETS: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    ASSETS.get_or_init(find_or_build).clone()
}

/// The path of one of the binaries.
///
/// # Errors
/// As [`assets`]; or the directory has no such binary, as when `KUBEBUILDER_ASSETS` holds the three that envtest brings.
pub fn binary(name: &str) -> Result<PathBuf, String> {
    let path = assets()?.join(name);
    if path.is_file() {
        return Ok(path);
    }
    Err(format!(
        "there is no {}. If KUBEBUILDER_ASSETS is set, its directory must hold {}; unset it to have all of them built \
         from tests/support/control_plane (needs Go)",
        path.display(),
        NAMES.join(", ")
    ))
}

/// Reads YAML as kubectl does: one line for each document, `{"json":…}` or `{"error":"…"}`. The argument `--strict` makes a
/// duplicate key an error. Each call is a process: give it many documents at once.
///
/// # Errors
/// As [`binary`], or the program failed as a whole.
pub fn yaml2json(args: &[&str], yaml: &str) -> Result<Vec<String>, String> {
    let mut command = Command::new(binary("yaml2json")?);
    command.args(args);
    let output = super::run(command, Some(yaml)).map_err(|e| format!("failed to run yaml2json: {e}"))?;
    if !output.success {
        return Err(format!("yaml2json failed: {output}"));
    }
    Ok(output.stdout.lines().map(str::to_owned).collect())
}

/// The folder of a Go module that `tests/support/control_plane/go.mod` names, downloaded if it is not there yet.
///
/// # Errors
/// A text for a person: what is missing and how to go on.
pub fn go_module(module: &str) -> Result<PathBuf, String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/control_plane");
    go_version(&sources)?;
    let mut command = Command::new("go");
    command.args(["mod", "download", "-json", module]).current_dir(&sources);
    let output = super::run(command, None).map_err(|e| how_to_go_on(&format!("failed to run `go`: {e}")))?;
    let told: serde_json::Value = serde_json::from_str(&output.stdout).unwrap_or_default();
    let folder = told.get("Dir").and_then(serde_json::Value::as_str).filter(|_| output.success);
    folder
        .map(PathBuf::from)
        .ok_or_else(|| how_to_go_on(&format!("it failed to download {module}: {output}")))
}

fn find_or_build() -> Result<PathBuf, String> {
    if let Some(given) = std::env::var_os("KUBEBUILDER_ASSETS").filter(|value| !value.is_empty()) {
        let given = PathBuf::from(given);
        if !given.is_dir() {
            return Err(format!(
                "KUBEBUILDER_ASSETS is {}, which is no directory. Correct it, or unset it to have the control plane \
                 built from tests/support/control_plane (needs Go)",
                given.display()
            ));
        }
        return Ok(given);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = root.join("tests/support/control_plane");
    let cache = root.join("target/cluster");
    let key = fingerprint(&sources, &go_version(&sources)?)?;
    let what = "the Kubernetes test control plane with Go, 6 to 9 minutes the first time";
    kept(&cache, &key, what, |half| build(&sources, half))
}

/// The version of the Go that would build, as one line; it is run where the go.mod is, as that may pick a toolchain.
pub(super) fn go_version(sources: &Path) -> Result<String, String> {
    let output = Command::new("go").arg("version").current_dir(sources).stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        Ok(output) => Err(how_to_go_on(&format!(
            "`go version` failed in {}: {}",
            sources.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        ))),
        Err(e) if e.kind() == ErrorKind::NotFound => Err(how_to_go_on("there is no `go` in PATH.")),
        Err(e) => Err(how_to_go_on(&format!("failed to run `go`: {e}"))),
    }
}

fn how_to_go_on(fault: &str) -> String {
    format!(
        "this test needs a Kubernetes control plane, which is built with Go, and {fault}\n\
         One of these helps:\n\
         - install Go 1.26 or newer, and run the test again (it downloads modules and takes \
         6 to 9 minutes the first time; the result is kept in target/cluster);\n\
         - set KUBEBUILDER_ASSETS to a directory with {};\n\
         - set VOLGATE_SKIP_CLUSTER_TESTS=1 to skip every test that needs a control plane (they then prove nothing).",
        NAMES.join(", ")
    )
}

/// A name for what would be built: it changes when the sources, the flags or Go do.
fn fingerprint(sources: &Path, go: &str) -> Result<String, String> {
    let mut hasher = DefaultHasher::new();
    for name in ["go.mod", "go.sum", "main.go"] {
        let path = sources.join(name);
        fs::read(&path).map_err(|e| format!("failed to read {}: {e}", path.display()))?.hash(&mut hasher);
    }
    (go, NAMES, linker_flags()).hash(&mut hasher);
    Ok(format!("{:016x}", hasher.finish()))
}

/// Stripped, and with the version in it: without it clients see `v0.0.0-master`.
fn linker_flags() -> String {
    let mut parts = KUBERNETES_VERSION.trim_start_matches('v').split('.');
    let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let package = "k8s.io/component-base/version";
    format!(
        "-s -w -X {package}.gitVersion={KUBERNETES_VERSION} -X {package}.gitMajor={major} \
         -X {package}.gitMinor={minor} -X {package}.gitTreeState=clean"
    )
}

fn build(sources: &Path, half: &Path) -> Result<(), String> {
    let output = Command::new("go")
        .args(["build", "-trimpath", "-buildvcs=false", "-ldflags", &linker_flags(), "-o"])
        .arg(half.join("cluster"))
        .arg(".")
        .current_dir(sources)
        .env("CGO_ENABLED", "0") // no C compiler is needed
        .stdin(Stdio::null())
        .output()
        .map_err(|e| how_to_go_on(&format!("failed to run `go build`: {e}")))?;
    if !output.status.success() {
        let tail = last_lines(&String::from_utf8_lossy(&output.stderr), 15);
        return Err(how_to_go_on(&format!("`go build` failed in {}:\n{tail}\n", sources.display())));
    }
    for name in NAMES {
        std::os::unix::fs::symlink("cluster", half.join(name))
            .map_err(|e| format!("failed to fill {}: {e}", half.display()))?;
    }
    Ok(())
}
