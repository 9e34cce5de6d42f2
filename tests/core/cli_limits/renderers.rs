//! A helm or kustomize that fails or does not end: the report is there in every form, in a file as well as on stdout.

use super::POD;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const FORMS: [&str; 7] = ["human", "json", "sarif", "junit", "github", "gitlab", "markdown"];

/// A folder with a chart, a kustomization, a pod that is denied, and tools that run a script.
struct Place(tempfile::TempDir);

impl Place {
    fn new(script: &str) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.write("chart/Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\n");
        place.write("folder/kustomization.yaml", "resources: []\n");
        place.write("pod.yaml", POD);
        for tool in ["helm", "kustomize", "kubectl"] {
            let tool = place.write(&format!("bin/{tool}"), &format!("#!/bin/sh\n{script}\n"));
            std::fs::set_permissions(tool, PermissionsExt::from_mode(0o755)).unwrap();
        }
        place
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn write(&self, file: &str, text: &str) -> PathBuf {
        let path = self.path(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.path(file)).unwrap()
    }

    fn check(&self, arguments: &[&str]) -> Output {
        let mut volgate = Command::new(env!("CARGO_BIN_EXE_volgate"));
        let path = std::env::join_paths([self.path("bin"), "/usr/bin".into(), "/bin".into()]).unwrap();
        volgate.args(["check", "--no-config"]).args(arguments).current_dir(self.0.path()).env("PATH", path);
        volgate.output().unwrap()
    }
}

/// Every form of the report says why the folder is not judged, and that the pod beside it is denied.
fn told_in_every_form(script: &str, what: &str, why: &str) {
    let place = Place::new(script);
    let reports = FORMS.map(|form| format!("{form}=reports/{form}"));
    std::fs::create_dir(place.path("reports")).unwrap();
    let mut arguments = vec!["--render-timeout", "1", "--output", "reports/first", what, "pod.yaml"];
    arguments.extend(reports.iter().flat_map(|report| ["--report", report]));
    let output = place.check(&arguments);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stdout.is_empty(), "the report went into a file: {output:?}");
    for form in FORMS {
        let report = place.read(&format!("reports/{form}"));
        let is_told = report.contains(why) || report.contains(&why.replace(' ', "%20"));
        assert!(is_told && report.contains("durable-data"), "{what}, {form}: {report}");
    }
    assert_eq!(place.read("reports/first"), place.read("reports/human"));
    let json: Value = serde_json::from_str(&place.read("reports/json")).unwrap();
    assert_eq!((&json["summary"]["denied"], json["errors"].as_array().unwrap().len()), (&Value::from(1), 1));
    serde_json::from_str::<Value>(&place.read("reports/sarif")).unwrap();
    assert!(Path::new(&place.path("reports/junit")).is_file());
}

#[test]
fn a_tool_that_fails() {
    for what in ["chart", "folder"] {
        told_in_every_form("echo no such thing >&2; exit 3", what, "no such thing");
    }
}

#[test]
fn the_files_of_a_kustomization_that_does_not_build_are_judged_as_they_stand() {
    let place = Place::new("echo no such base >&2; exit 1");
    place.write("folder/kustomization.yaml", "resources: [cache.yaml, ../gone]\n");
    place.write("folder/cache.yaml", POD);
    for named in ["folder", "folder/kustomization.yaml"] {
        let output = place.check(&["--format", "json", named]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(json["summary"]["denied"], 1, "{json:#}");
        assert_eq!(json["findings"][0]["file"], "folder/cache.yaml");
        let [error] = json["errors"].as_array().unwrap().as_slice() else { panic!("{json:#}") };
        assert!(error["message"].as_str().unwrap().contains("no such base"), "{error}");
        assert!(error["help"].as_str().unwrap().contains("as they stand"), "{error}");
        assert_eq!(json["notJudged"][0]["what"], "kustomization", "{json:#}");
    }
    // A patch that was not applied may hold the volume: nothing is written.
    for flag in ["--fix", "--diff"] {
        let output = place.check(&[flag, "folder"]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(!String::from_utf8_lossy(&output.stdout).contains("denied["), "{output:?}");
        assert_eq!(place.read("folder/cache.yaml"), POD);
    }
}

#[test]
fn a_tool_that_does_not_end() {
    for what in ["chart", "folder"] {
        told_in_every_form("exec sleep 600", what, "did not end within 1 s");
    }
}

#[test]
fn a_tool_that_is_not_there_or_cannot_run() {
    let place = Place::new("exit 0");
    for tool in ["helm", "kustomize", "kubectl"] {
        std::fs::set_permissions(place.path("bin").join(tool), PermissionsExt::from_mode(0o644)).unwrap();
    }
    for form in FORMS {
        let output = place.check(&["--format", form, "chart"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stdout).contains("helm"), "{form}: {output:?}");
    }
}

#[test]
fn a_tool_that_writes_no_manifest_is_a_fault_of_what_it_wrote() {
    let place = Place::new("printf 'a: [\\n---\\n'; printf '\\000\\377'");
    let output = place.check(&["--format", "json", "chart"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(2), "{json:#}");
    assert!(!json["errors"].as_array().unwrap().is_empty(), "{json:#}");
}
