//! `volgate check` on a chart and a kustomization, rendered by a real helm and a real kubectl.

use crate::support;
use serde_json::Value;
use std::path::Path;

/// Runs `volgate check` in `tests/rendering`, with the folders of those programs alone as PATH. Its exit status and output.
fn check(programs: &[&Path], args: &[&str]) -> (i32, String) {
    // Without any program, an empty PATH would mean the current folder.
    let folders = programs.iter().map(|program| program.parent().unwrap());
    let folders = folders.chain([Path::new("/nonexistent")]);
    let mut command = crate::support::volgate();
    command.arg("check").args(args).env("PATH", std::env::join_paths(folders).unwrap());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rendering");
    let output = command.current_dir(folder).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), text)
}

#[test]
fn a_chart_is_rendered_and_the_value_that_makes_its_data_durable_is_named() {
    if support::cluster_tests_skipped() {
        return;
    }
    let helm = support::helm::helm().unwrap_or_else(|why| panic!("{why}"));
    let (status, text) = check(&[&helm], &["--format", "json", "chart"]);
    assert_eq!(status, 1, "{text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    let findings: Vec<(&str, &str, &str)> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| {
            let text = |field: &str| finding[field].as_str().unwrap();
            (finding["object"]["name"].as_str().unwrap(), text("file"), text("help"))
        })
        .collect();
    let [cache, database] = &findings[..] else { panic!("{findings:?}") };
    assert_eq!((cache.0, cache.1), ("cache", "chart/charts/cache/templates/cache.yaml"));
    let told = "in this chart, set cache.persistentVolume.enabled=true (chart/charts/cache/values.yaml:2); ";
    assert!(cache.2.starts_with(told), "{}", cache.2);
    assert_eq!((database.0, database.1), ("database", "chart/templates/database.yaml"));
    let told = "in this chart, set database.persistence.enabled=true (chart/values.yaml:8); ";
    assert!(database.2.starts_with(told), "{}", database.2);

    let set = ["--helm-set", "database.persistence.enabled=true,cache.persistentVolume.enabled=true"];
    let (status, text) = check(&[&helm], &[&set[..], &["chart"]].concat());
    assert_eq!(status, 0, "{text}");

    let (status, text) = check(&[&helm], &["empty"]);
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("notice: empty is rendered to nothing"), "{text}");

    let (status, text) = check(&[&helm], &["--helm-set", "database=null", "chart"]);
    assert_eq!(status, 2, "{text}");
    assert!(
        text.contains("failed to render the Helm chart chart: helm ended with exit status: 1: "),
        "{text}"
    );

    let (status, text) = check(&[&helm], &[&set[..], &["--fix", "chart"]].concat());
    assert_eq!(status, 2, "{text}");
    let told = "chart/templates/database.yaml is rendered: change its template or values by hand";
    assert!(text.contains(told), "{text}");
}

#[test]
fn a_kustomization_is_built() {
    if support::cluster_tests_skipped() {
        return;
    }
    let kubectl = support::assets::binary("kubectl").unwrap_or_else(|why| panic!("{why}"));
    for path in ["kustomize", "kustomize/kustomization.yaml"] {
        let (status, text) = check(&[&kubectl], &[path]);
        assert_eq!(status, 0, "{path}: {text}");
        assert!(text.contains("1 object: 0 denied"), "{path}: {text}");
    }
    let (status, text) = check(&[&kubectl], &["--no-render", "kustomize"]);
    assert_eq!(status, 1, "{text}");
    assert!(text.contains("Pod default/redis"), "{text}");
    let (status, text) = check(&[], &["kustomize"]);
    assert_eq!(status, 2, "{text}");
    assert!(text.contains("there is no kustomize or kubectl in PATH"), "{text}");
}

#[test]
fn a_component_of_patches_is_built_by_kustomize() {
    if support::cluster_tests_skipped() {
        return;
    }
    let kubectl = support::assets::binary("kubectl").unwrap_or_else(|why| panic!("{why}"));
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    for name in ["redis.yaml", "db.yaml"] {
        std::fs::copy(support::run::root("tests/cli/fix-volumes.in").join(name), at(name)).unwrap();
    }
    let volgate = |args: &[&str]| {
        let output = crate::support::volgate().args(args).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let patched = volgate(&["fix", "--as-patch", &at("patch"), &at("redis.yaml"), &at("db.yaml")]);
    assert_eq!(patched.0, Some(0), "{}", patched.1);
    let own = "resources: [redis.yaml, db.yaml]\ncomponents: [patch]\n";
    std::fs::write(at("kustomization.yaml"), own).unwrap();
    let built = std::process::Command::new(&kubectl).args(["kustomize", &at("")]).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    std::fs::write(at("built.yaml"), &built.stdout).unwrap();
    let judged = volgate(&["check", &at("built.yaml")]);
    assert_eq!(judged.0, Some(0), "{}", judged.1);
    let built = String::from_utf8(built.stdout).unwrap();
    assert!(built.contains("volumeClaimTemplates") && built.contains("claimName: db-data"), "{built}");
    // A folder with somebody else's kustomization is left alone.
    let refused = volgate(&["fix", "--as-patch", &at(""), &at("redis.yaml")]);
    assert_eq!(refused.0, Some(2));
    assert_eq!(std::fs::read_to_string(at("kustomization.yaml")).unwrap(), own);
}
