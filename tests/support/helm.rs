//! Helm, and what it makes of the chart.

use super::kept::kept;
use super::process::last_lines;
use super::{Output, run};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The files of `manifests/` that are rendered; crd.yaml is made by `volgate crd`.
pub const RENDERED: [&str; 9] = [
    "namespace",
    "rbac",
    "registration",
    "service",
    "deployment",
    "class",
    "provisioner",
    "agent",
    "networkpolicy",
];
/// The version that is built.
const VERSION: &str = "v3.18.4";
/// The Kubernetes that charts are rendered for: Helm built by `go install` knows of none.
const KUBERNETES: &str = "1.37";

/// The program: `VOLGATE_HELM` when it is set, or built with Go and kept in `target/`.
///
/// # Errors
/// A text for a person: what is missing and how to go on.
pub fn helm() -> Result<PathBuf, String> {
    if let Some(given) = std::env::var_os("VOLGATE_HELM").filter(|value| !value.is_empty()) {
        let given = PathBuf::from(given);
        return if given.is_file() {
            Ok(given)
        } else {
            Err(format!(
                "VOLGATE_HELM is {}, which is no file. Correct it, or unset it to have Helm built with Go",
                given.display()
            ))
        };
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let what = format!("Helm {VERSION} with Go, some minutes the first time");
    let made = kept(&root.join("target/helm"), VERSION, &what, |half| {
        let mut go = Command::new("go");
        go.args([
            "install",
            "-trimpath",
            "-ldflags",
            "-s -w",
            &format!("helm.sh/helm/v3/cmd/helm@{VERSION}"),
        ]);
        go.env("GOBIN", half).env("CGO_ENABLED", "0");
        let output = run(go, None).map_err(|e| format!("failed to run `go install`: {e}"))?;
        if output.success {
            return Ok(());
        }
        Err(format!(
            "failed to build Helm, which the tests of the chart need: {}\nSet VOLGATE_HELM to a Helm 3 of your own, or make \
             the Go module proxy reachable",
            last_lines(&output.stderr, 10)
        ))
    })?;
    Ok(made.join("helm"))
}

/// Runs it in the root of the repository.
pub fn run_helm(args: &[&str]) -> Output {
    let mut command = Command::new(helm().unwrap_or_else(|fault| panic!("{fault}")));
    command.args(args).current_dir(env!("CARGO_MANIFEST_DIR"));
    run(command, None).unwrap()
}

/// `helm template` with further arguments, which need not work.
pub fn try_template(namespace: &str, args: &[&str]) -> Output {
    let line =
        ["template", "volgate", "charts/volgate", "--namespace", namespace, "--kube-version", KUBERNETES];
    run_helm(&[&line[..], args].concat())
}

/// What the chart comes to with further arguments such as `--set`.
pub fn template(namespace: &str, args: &[&str]) -> String {
    let output = try_template(namespace, args);
    assert!(output.success, "helm template {args:?}: {output}");
    output.stdout
}

/// `helm lint --strict` with further arguments.
pub fn lint(args: &[&str]) -> Output {
    run_helm(&[&["lint", "--strict", "charts/volgate", "--kube-version", KUBERNETES], args].concat())
}

/// The objects of a YAML text.
pub fn objects(text: &str) -> Vec<Value> {
    let input = volgate::check::Input::new(volgate::source::Source::new("chart", text.to_owned()), true);
    assert!(input.errors().next().is_none(), "the chart's output is no YAML");
    input.documents().map(|document| document.value.clone()).filter(|value| !value.is_null()).collect()
}
