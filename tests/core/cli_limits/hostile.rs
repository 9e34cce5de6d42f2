//! What somebody may put into a repository to harm whoever checks it: names that steer a terminal, files without an end, bombs.

use super::{POD, volgate};
use serde_json::Value;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

const FORMS: [&str; 7] = ["human", "json", "sarif", "junit", "github", "gitlab", "markdown"];

fn write(folder: &Path, name: impl AsRef<OsStr>, text: impl AsRef<[u8]>) {
    let path = folder.join(name.as_ref());
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// What a run in the folder writes in one form, and its exit status. Nothing in it steers a terminal.
fn said(folder: &Path, form: &str) -> (String, i32) {
    let output = volgate(&["check", "--format", form, folder.to_str().unwrap()], b"");
    let (text, told) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    for written in [&text, &told] {
        let steers =
            |c: char| c.is_control() && !matches!(c, '\n' | '\t') || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!written.contains(steers), "{form}: {written:?}");
    }
    assert!(!told.contains("panicked"), "{told}");
    (text, output.status.code().unwrap())
}

/// The report is one of its form, whatever was met.
fn is_whole(form: &str, text: &str) {
    match form {
        "json" | "sarif" | "gitlab" => drop(serde_json::from_str::<Value>(text).unwrap()),
        "junit" => assert!(text.starts_with("<?xml") && text.trim_end().ends_with("</testsuites>"), "{text}"),
        "github" => assert!(text.lines().rev().skip(1).all(|line| line.starts_with("::")), "{text}"),
        "markdown" => assert!(text.starts_with("### volgate: "), "{text}"),
        _ => assert!(text.contains("could not be judged"), "{text}"),
    }
}

#[test]
fn names_steer_no_terminal_in_any_form() {
    let folder = tempfile::tempdir().unwrap();
    let named = POD.replace("name: redis\nspec", "name: \"re\\e[31mdis\\u009b2J\\u202e\"\nspec");
    write(folder.path(), "escapes.yaml", named);
    write(folder.path(), "a\u{1b}[31m\u{7}.yaml", POD);
    write(folder.path(), "line\n::error::break.yaml", POD);
    write(folder.path(), "fol\u{1b}]0;title\u{7}der/broken.yaml", "a: [\n");
    write(folder.path(), OsStr::from_bytes(b"no\xfftext.yaml"), POD);
    for form in FORMS {
        let (text, status) = said(folder.path(), form);
        assert_eq!(status, 2, "{form}: {text}");
        is_whole(form, &text);
        if form != "markdown" {
            assert!(text.contains("UTF-8"), "{form}: {text}");
        }
    }
    let table = volgate(&["explain", folder.path().to_str().unwrap()], b"");
    for written in [table.stdout, table.stderr] {
        assert!(!written.contains(&0x1b) && !written.contains(&7), "{}", String::from_utf8_lossy(&written));
    }
}

#[test]
fn every_fault_is_in_every_form_and_the_rest_is_judged() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| write(folder.path(), name, text);
    write("pods.yaml", format!("a: [\n---\n{POD}---\n\tb: 1\n").as_bytes());
    write("binary.yaml", b"apiVersion: v1\nkind: Pod\n\x00\xff\x7fELF");
    write("cyclic.yaml", b"apiVersion: v1\nkind: Pod\nmetadata: &m\n  labels: *m\n");
    write("crlf.yaml", POD.replace('\n', "\r\n").as_bytes());
    write("mark.yaml", format!("\u{feff}{POD}").as_bytes());
    write(
        "numbers.yaml",
        POD.replace("name: redis\nspec", &format!("name: {}\nspec", "9".repeat(400))).as_bytes(),
    );
    write("twice.yaml", POD.replace("kind: Pod", "kind: Pod\nkind: Pod").as_bytes());
    symlink("nowhere", folder.path().join("link.yaml")).unwrap();
    symlink(".", folder.path().join("loop")).unwrap();
    symlink("/dev/zero", folder.path().join("zero.yaml")).unwrap();
    for form in FORMS {
        let (text, status) = said(folder.path(), form);
        assert_eq!(status, 2, "{form}: {text}");
        is_whole(form, &text);
        for name in ["pods.yaml", "binary.yaml", "cyclic.yaml", "crlf.yaml", "mark.yaml", "twice.yaml"] {
            assert!(text.contains(name), "{form} does not name {name}: {text}");
        }
    }
    let report: Value = serde_json::from_str(&said(folder.path(), "json").0).unwrap();
    assert!(report["summary"]["denied"].as_u64().unwrap() >= 4, "{report:#}");
}

#[test]
fn a_file_without_an_end_is_left_where_no_manifest_goes_on() {
    let output = volgate(&["check", "--format", "json", "/dev/zero"], b"");
    assert_eq!(output.status.code(), Some(2));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["errors"][0]["message"], "a NUL byte stands at byte 0");
}

#[test]
fn a_pipe_is_read_once_and_judged() {
    let script = "exec \"$0\" check --format json <(cat)";
    let mut bash = Command::new("bash");
    bash.args(["-c", script, env!("CARGO_BIN_EXE_volgate")]);
    let mut child = bash.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, POD.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), report["summary"]["denied"].as_u64()),
        (Some(1), Some(1)),
        "{report:#}"
    );
}

#[test]
fn a_hundred_thousand_empty_documents_and_a_long_file() {
    let empty = "---\n".repeat(100_000);
    let (report, status) = super::report(format!("{empty}{POD}").as_bytes());
    assert_eq!((status, report["findings"][0]["line"].as_u64()), (1, Some(100_008)), "{report:#}");
    // A file that is judged in parts has the same lines, and its faults count together.
    let folder = tempfile::tempdir().unwrap();
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n---\n".repeat(30_000);
    write(folder.path(), "long.yaml", format!("{service}{POD}---\n{}", "a: [\n---\n".repeat(1_500)));
    let path = folder.path().join("long.yaml");
    let output = volgate(&["check", "--format", "json", path.to_str().unwrap()], b"");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(report["findings"][0]["line"], 30_000 * 4 + 8, "{:#}", report["findings"]);
    assert_eq!(report["summary"]["notJudged"], 30_000);
    let errors = report["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 1_001);
    let more =
        errors.iter().filter_map(|error| error["message"].as_str()).find(|text| text.contains("more faults"));
    assert!(more.unwrap().starts_with("500 more faults in "), "{more:?}");
}

#[test]
fn hostile_settings_and_policies_are_faults() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "pod.yaml", POD);
    let check = |arguments: &[&str]| {
        let mut volgate = Command::new(env!("CARGO_BIN_EXE_volgate"));
        let output = volgate.arg("check").args(arguments).current_dir(folder.path()).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!told.contains("panicked") && !told.contains('\u{1b}'), "{told}");
        (output.status.code(), told)
    };
    let bomb: String = (1..10).fold("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, level| {
        let alias = format!("*a{}", level - 1);
        format!("{text}a{level}: &a{level} [{}]\n", [alias.as_str(); 9].join(", "))
    });
    let deep = "[".repeat(100_000);
    for text in
        [bomb.as_str(), &deep, "paths: [\"\\e[31m\"]\nunknown\\e: 1\n", "policies: [.volgate.yaml]\n", "\0"]
    {
        write(folder.path(), ".volgate.yaml", text);
        assert_eq!(check(&["pod.yaml"]).0, Some(2), "{}", &text[..text.len().min(80)]);
    }
    std::fs::remove_file(folder.path().join(".volgate.yaml")).unwrap();
    for text in [bomb.as_str(), &deep, "apiVersion: volgate.dev/v1alpha1\nkind: \"\\e[31m\"\n"] {
        write(folder.path(), "policies/policy.yaml", text);
        assert_eq!(check(&["--policy", "policies", "pod.yaml"]).0, Some(2));
    }
    // A link that leads back is told: whoever wrote it meant a policy.
    let policy = "apiVersion: volgate.dev/v1alpha1\nkind: StoragePolicy\nmetadata: {name: p}\nspec:\n  rules: [{durableData: {}}]\n";
    write(folder.path(), "policies/policy.yaml", policy);
    symlink(".", folder.path().join("policies/loop")).unwrap();
    let (status, told) = check(&["--policy", "policies", "pod.yaml"]);
    assert!(status == Some(2) && told.contains("leads back"), "{told}");
}
