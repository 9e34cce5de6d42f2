//! Folders and files that no version control keeps: links, loops, what cannot be read, what is huge.

use super::{POD, volgate};
use serde_json::{Value, json};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// A folder with one pod that is denied.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pod.yaml"), POD).unwrap();
    folder
}

/// The report on a folder, and the exit status.
fn report(folder: &Path) -> (Value, i32) {
    let output = volgate(&["check", "--format", "json", folder.to_str().unwrap()], b"");
    (serde_json::from_slice(&output.stdout).unwrap(), output.status.code().unwrap())
}

fn messages(report: &Value, what: &str) -> Vec<String> {
    let all = report[what].as_array().unwrap();
    all.iter().map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
}

/// The one fault or notice of that kind says this, and the pod was judged all the same.
#[track_caller]
fn told(folder: &Path, what: &str, wanted: &str, status: i32) {
    let (report, found) = report(folder);
    assert_eq!(found, status, "{report:#}");
    let messages = messages(&report, what);
    assert!(matches!(messages.as_slice(), [message] if message.contains(wanted)), "{messages:#?}");
    assert_eq!(report["summary"]["denied"], 1, "{report:#}");
}

#[test]
fn a_link_to_nowhere_is_a_notice() {
    let folder = folder();
    symlink("/nowhere/at/all", folder.path().join("gone.yaml")).unwrap();
    symlink("/nowhere/at/all", folder.path().join("notes.txt")).unwrap();
    told(folder.path(), "notices", "gone.yaml is a link to a file that is not there", 1);
}

#[test]
fn a_loop_of_links_is_a_notice_and_many_links_to_one_folder_are_followed_once() {
    let folder = folder();
    symlink(folder.path(), folder.path().join("again")).unwrap();
    told(folder.path(), "notices", "leads back to", 1);
    // Each folder holds two links to the next: by the end there are more paths than could ever be walked.
    let folder = self::folder();
    for depth in 0..64 {
        let inner = folder.path().join(format!("d{depth}"));
        std::fs::create_dir(&inner).unwrap();
        for link in ["a", "b"] {
            symlink(folder.path().join(format!("d{}", depth + 1)), inner.join(link)).unwrap();
        }
    }
    let (report, status) = report(folder.path());
    assert_eq!((status, &report["summary"]["objects"]), (1, &Value::from(1)), "{report:#}");
}

#[test]
fn a_file_that_fails_on_reading_is_a_fault() {
    let folder = folder();
    // The first page of a process is never mapped.
    symlink("/proc/self/mem", folder.path().join("bad.yaml")).unwrap();
    told(folder.path(), "errors", "failed to read", 2);
}

#[test]
fn a_huge_file_is_a_fault_and_is_not_read() {
    let folder = folder();
    let huge = std::fs::File::create(folder.path().join("huge.yaml")).unwrap();
    huge.set_len(1 << 40).unwrap();
    told(folder.path(), "errors", "huge.yaml: it has more than 1024 MiB", 2);
}

#[test]
fn a_binary_file_is_a_fault_where_it_may_be_a_manifest() {
    let folder = folder();
    let blob = folder.path().join("blob.json");
    std::fs::write(&blob, b"\x7fELF\x02\x01\xff\xfe").unwrap();
    let (report, status) = report(folder.path());
    assert_eq!((status, &report["errors"], &report["summary"]["denied"]), (1, &json!([]), &json!(1)));
    assert_eq!(report["notJudged"][0]["what"], "unreadable", "{report:#}");
    assert!(report["notJudged"][0]["places"][0].as_str().unwrap().ends_with("blob.json:1"), "{report:#}");
    std::fs::write(&blob, b"{\"apiVersion\": \"v1\", \"kind\": \"P\xff\xfe\"}").unwrap();
    told(folder.path(), "errors", "is not UTF-8", 2);
}

#[test]
fn a_kustomization_that_is_a_template_is_a_notice() {
    let folder = folder();
    let file = folder.path().join("base/kustomization.yaml");
    std::fs::create_dir(folder.path().join("base")).unwrap();
    std::fs::write(&file, "resources:\n  - {{ item }}.yaml\n").unwrap();
    told(folder.path(), "notices", "kustomization.yaml is a template", 1);
    std::fs::write(&file, "resources: [\n").unwrap();
    told(folder.path(), "errors", "kustomization.yaml", 2);
}

#[test]
fn a_folder_that_nobody_may_read_is_a_fault() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    let locked = folder.path().join("locked");
    std::fs::create_dir(&locked).unwrap();
    std::fs::set_permissions(&locked, PermissionsExt::from_mode(0o000)).unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    // The administrator may read everything; a copy of the binary stands where everyone may.
    let binary = folder.path().join("volgate");
    std::fs::copy(env!("CARGO_BIN_EXE_volgate"), &binary).unwrap();
    let mut command = Command::new(&binary);
    command.args(["check", "--format", "json"]).arg(folder.path());
    if std::fs::metadata(folder.path()).map(|meta| std::os::unix::fs::MetadataExt::uid(&meta)).unwrap() == 0 {
        command.uid(65_534).gid(65_534);
    }
    let output = command.output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(2), "{report:#}");
    assert!(messages(&report, "errors")[0].contains("locked"), "{report:#}");
    assert_eq!(report["summary"]["denied"], 1);
    std::fs::set_permissions(&locked, PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn other_line_ends_marks_and_indentation() {
    let crlf = POD.replace('\n', "\r\n");
    let marked = format!("\u{feff}{POD}");
    for text in [crlf.as_str(), marked.as_str()] {
        let (report, status) = super::report(text.as_bytes());
        assert_eq!((status, report["findings"][0]["line"].as_u64()), (1, Some(8)), "{report:#}");
    }
    let tabs = POD.replace("      image", "\timage");
    assert!(super::fault(tabs.as_bytes()).contains("tab"));
    let cyclic = "apiVersion: v1\nkind: Pod\nmetadata: &m\n  name: a\n  labels: *m\n";
    assert!(super::fault(cyclic.as_bytes()).contains("inside the value of its own anchor"));
}

#[test]
fn a_reader_that_goes_away_ends_no_command_with_a_panic() {
    for arguments in [["crd"].as_slice(), &["rules", "--markdown"], &["--help"], &["rules"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_volgate"));
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command.args(arguments).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let output = output.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!told.contains("panicked"), "{arguments:?}: {told}");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {told}");
    }
}

#[test]
fn every_failure_is_json_where_json_was_asked_for() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(
        at("policy.yaml"),
        "apiVersion: volgate.dev/v1alpha1\nkind: StoragePolicy\nmetadata: {}\n",
    )
    .unwrap();
    for (policy, file) in [("policy.yaml", "pod.yaml"), ("nowhere.yaml", "pod.yaml")] {
        let (policy, file, output) = (at(policy), at(file), at("report.json"));
        let run = |more: &[&str]| {
            let arguments =
                [["check", "--format", "json", "--policy", policy.as_str(), &file].as_slice(), more].concat();
            let output = volgate(&arguments, b"");
            assert_eq!(output.status.code(), Some(2));
            output.stdout
        };
        let report: Value = serde_json::from_slice(&run(&[])).unwrap();
        assert!(!messages(&report, "errors").is_empty(), "{report:#}");
        assert_eq!(run(&["--output", &output]), b"");
        let written: Value = serde_json::from_slice(&std::fs::read(&output).unwrap()).unwrap();
        assert_eq!(written, report);
    }
}

#[test]
fn a_hidden_folder_is_named_and_git_is_not() {
    let folder = folder();
    for hidden in [".github/workflows", ".git", "deep/.cache"] {
        std::fs::create_dir_all(folder.path().join(hidden)).unwrap();
        std::fs::write(folder.path().join(hidden).join("pod.yaml"), POD).unwrap();
    }
    std::fs::write(folder.path().join("visible.yaml"), POD.replace("name: redis\n", "name: other\n"))
        .unwrap();
    let (report, _) = report(folder.path());
    let place = |name: &str| Value::from(folder.path().join(name).to_str().unwrap());
    let hidden = &report["notJudged"][0];
    assert_eq!((&hidden["what"], &hidden["count"]), (&Value::from("hidden"), &Value::from(2)), "{report:#}");
    assert_eq!(hidden["places"], Value::from(vec![place(".github"), place("deep/.cache")]));
    assert_eq!(report["summary"]["objects"], 2, "{report:#}");
    // A folder that the repository leaves out is nobody's business.
    std::fs::write(folder.path().join(".volgateignore"), ".*\n").unwrap();
    let (report, _) = self::report(folder.path());
    assert!(report["notJudged"].as_array().unwrap().is_empty(), "{report:#}");
}

#[test]
fn a_cluster_state_that_is_too_large_is_not_read() {
    let folder = folder();
    let state = folder.path().join("cluster.json");
    std::fs::File::create(&state).unwrap().set_len(65 << 20).unwrap();
    let pod = folder.path().join("pod.yaml");
    let arguments =
        ["check", "--format", "json", "--cluster-state", state.to_str().unwrap(), pod.to_str().unwrap()];
    let output = volgate(&arguments, b"");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = messages(&report, "errors");
    assert!(told[0].contains("the cluster state has 65 MiB, and at most 64 MiB are read"), "{told:#?}");
    assert!(told[0].contains("volgate snapshot"));
}
