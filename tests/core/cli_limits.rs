//! The command line on what nobody wants to keep as a file: endless nesting, bombs, bytes that are no text, huge
//! lines, a reader that goes away.

mod hostile;
mod renderers;
mod walk;

use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const POD: &str = "\
apiVersion: v1
kind: Pod
metadata:
  name: redis
spec:
  containers:
    - name: redis
      image: redis:7
";

fn volgate(args: &[&str], stdin: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_volgate"));
    let mut child = command
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let stdin = stdin.to_vec();
    // From a thread, so that a full pipe on one side does not stop the other.
    let writer = std::thread::spawn(move || drop(pipe.write_all(&stdin)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

/// The report on stdin as JSON, and the exit status.
fn report(stdin: &[u8]) -> (Value, i32) {
    let output = volgate(&["check", "--format", "json", "-"], stdin);
    (serde_json::from_slice(&output.stdout).unwrap(), output.status.code().unwrap())
}

/// What a text that cannot be read is told, by JSON and by the human form.
fn fault(stdin: &[u8]) -> String {
    let (report, status) = report(stdin);
    assert_eq!(status, 2, "{report:#}");
    assert_eq!(report["findings"], Value::Array(Vec::new()));
    let human = volgate(&["check", "-"], stdin);
    assert_eq!(human.status.code(), Some(2));
    assert!(human.stdout.len() < 10_000, "a report of {} bytes is for nobody", human.stdout.len());
    let error = &report["errors"][0];
    let place = format!("{}:{}:{}", error["file"].as_str().unwrap(), error["line"], error["column"]);
    format!("{place}: {}", error["message"].as_str().unwrap())
}

#[test]
fn lists_that_no_cluster_can_use() {
    let pod = |count: usize| {
        let containers = vec!["{name: a, image: nginx}"; count].join(", ");
        format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec:\n  containers: [{containers}]\n")
    };
    let told = fault(pod(1_001).as_bytes());
    assert!(told.starts_with("<stdin>:5:"), "{told}");
    assert!(told.contains("has 1001 items, and at most 1000 are read: no cluster can use as many"), "{told}");
    assert_eq!(report(pod(1_000).as_bytes()).1, 0);
}

#[test]
fn what_is_no_text() {
    let with = |bytes: &[u8]| [POD.as_bytes(), b"  nodeName: ", bytes, b"\n"].concat();
    assert_eq!(fault(&with(b"\0")), "<stdin>:9:13: a NUL byte stands at byte 120");
    let long = [POD.as_bytes(), &b"# \xe2\x82\xac".repeat(500), b"\xff\n"].concat();
    assert!(fault(&long).contains("is not UTF-8"));
    assert_eq!(fault(&with(b"\xff")), "<stdin>:9:13: byte 120 (0xff) is not UTF-8");
}

#[test]
fn nesting_without_end() {
    for text in ["[".repeat(10_000), format!("a: {}", "{a: ".repeat(10_000)), "- ".repeat(10_000)] {
        let told = fault(text.as_bytes());
        assert!(told.contains("deep") || told.contains("nest"), "{told}");
    }
}

#[test]
fn a_bomb() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let alias = format!("*a{}", level - 1);
        text.push_str(&format!("a{level}: &a{level} [{}]\n", [alias.as_str(); 10].join(", ")));
    }
    let told = fault(text.as_bytes());
    assert!(told.contains("alias"), "{told}");
}

#[test]
fn a_megabyte_on_one_line_is_cut() {
    let filler: Vec<String> = (0..40_000).map(|i| format!(r#"{{"name":"V{i}","value":"{i}"}}"#)).collect();
    let pod = format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"redis"}},"spec":{{"containers":[{{"name":"a","image":"nginx","env":[{}]}},{{"name":"redis","image":"redis"}}]}}}}"#,
        filler.join(",")
    );
    assert!(pod.len() > 1_000_000);
    let output = volgate(&["check", "-"], pod.as_bytes());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.lines().all(|line| line.len() < 500), "{} bytes", text.len());
    assert!(text.contains(r#""image":"redis""#), "the place itself must be seen:\n{text}");
    assert!(text.contains("^^^^^^^ spec.containers[1].image"), "{text}");
    assert!(text.contains(&format!("<stdin>:1:{}", pod.rfind("\"image\"").unwrap() + 1)), "{text}");
}

#[test]
fn line_ends_and_marks_move_nothing() {
    let plain = report(POD.as_bytes());
    assert_eq!(plain.0["findings"][0]["line"], 8);
    assert_eq!(plain.0["findings"][0]["column"], 7);
    assert_eq!(report(POD.replace('\n', "\r\n").as_bytes()), plain);
    assert_eq!(report(format!("\u{feff}{POD}").as_bytes()), plain);
    let human = volgate(&["check", "-"], POD.replace('\n', "\r\n").as_bytes());
    assert_eq!(human.stdout, volgate(&["check", "-"], POD.as_bytes()).stdout);
}

#[test]
fn fixing_keeps_line_ends_and_marks() {
    let claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata:\n  name: data\nspec:\n  accessModes: [ReadWriteOnce]\n";
    let fixed =
        |text: &str| String::from_utf8(volgate(&["check", "--fix", "-"], text.as_bytes()).stdout).unwrap();
    let plain = fixed(claim);
    assert!(plain.contains("storageClassName: local-path"), "{plain}");
    assert_eq!(fixed(&plain), plain, "a second time changes nothing");
    assert_eq!(fixed(&claim.replace('\n', "\r\n")), plain.replace('\n', "\r\n"));
    assert_eq!(fixed(&format!("\u{feff}{claim}")), format!("\u{feff}{plain}"));
}

#[test]
fn fixing_gives_back_nothing_where_stdin_is_no_text() {
    let output = volgate(&["check", "--fix", "-"], b"kind: \xff\n");
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
}

#[cfg(unix)]
#[test]
fn fixing_keeps_rights_and_links() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claim.yaml");
    let link = folder.path().join("link.yaml");
    std::fs::write(&file, "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\nspec: {}\n")
        .unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("claim.yaml", &link).unwrap();
    let output = volgate(&["check", "--fix", link.to_str().unwrap()], b"");
    assert_eq!(output.status.code(), Some(0));
    assert!(std::fs::read_to_string(&file).unwrap().contains("local-path"));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left lying about");
}

#[cfg(unix)]
#[test]
fn links_to_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pod.yaml"), POD).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("notes")).unwrap();
    let check = || volgate(&["check", folder.path().to_str().unwrap()], b"");
    assert_eq!(check().status.code(), Some(1), "not a manifest");
    std::os::unix::fs::symlink("nowhere", folder.path().join("claim.yaml")).unwrap();
    let output = check();
    assert_eq!(output.status.code(), Some(1), "of a link to nowhere nothing is missing");
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("claim.yaml is a link to a file that is not there")
    );
}

#[test]
fn a_report_goes_into_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.json");
    let args = ["check", "--format", "json", "--output", file.to_str().unwrap(), "-"];
    let output = volgate(&args, POD.as_bytes());
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let written: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(written["summary"]["denied"], 1);
    let nowhere = Path::new(&file).join("x");
    let output = volgate(&["check", "--output", nowhere.to_str().unwrap(), "-"], POD.as_bytes());
    assert_eq!(output.status.code(), Some(2));
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pods.yaml"), format!("{POD}---\n").repeat(2_000)).unwrap();
    for arguments in ["check .", "check missing.yaml 2>&1 >/dev/null", "explain .", "rules durable-data"] {
        let script = format!("set -o pipefail; \"$0\" {arguments} | true; echo \"${{PIPESTATUS[0]}}\"");
        let mut bash = Command::new("bash");
        let output =
            bash.args(["-c", &script, env!("CARGO_BIN_EXE_volgate")]).current_dir(folder.path()).output();
        let output = output.unwrap();
        let status = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(stderr, "", "{arguments}");
        let wanted = if arguments.contains("missing") {
            "2"
        } else if arguments == "check ." {
            "1"
        } else {
            "0"
        };
        assert_eq!(status, wanted, "{arguments}");
    }
}

/// Whatever prints something ends quietly when nobody reads it any more, and with the status that it has anyhow.
#[test]
fn no_command_minds_a_reader_that_goes_away() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(at("pods.yaml"), format!("{POD}---\n").repeat(200)).unwrap();
    let policies = crate::support::run::root("policies");
    let policies = policies.to_str().unwrap();
    let restricted = format!("{policies}/restricted.yaml");
    let pods = at("pods.yaml");
    let formats = ["human", "json", "sarif", "junit", "github", "gitlab", "markdown"];
    let mut commands: Vec<Vec<&str>> =
        formats.iter().map(|format| vec!["check", "--format", format, &pods]).collect();
    commands.extend([
        vec!["check", "--diff", &pods],
        vec!["fix", "--diff", &pods],
        vec!["explain", &pods],
        vec!["explain", "--format", "json", &pods],
        vec!["rules"],
        vec!["rules", "durable-data"],
        vec!["test", policies],
        vec!["policy", "lint", &restricted],
        vec!["policy", "diff", policies, &restricted, &pods],
        vec!["policy", "schema"],
        vec!["export", "vap", "--policy", &restricted],
        vec!["config", "schema"],
        vec!["map", &pods],
        vec!["map", "--output", "json", &pods],
        vec!["version"],
        vec!["completions", "bash"],
        vec!["crd"],
        vec!["help"],
        vec!["check", "--help"],
        vec!["--version"],
    ]);
    for command in commands {
        let output = |stdout: Stdio| {
            let mut volgate = Command::new(env!("CARGO_BIN_EXE_volgate"));
            let volgate = volgate.args(&command).stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped());
            volgate.spawn().unwrap().wait_with_output().unwrap()
        };
        let read = output(Stdio::piped());
        assert!(!read.stdout.is_empty(), "{command:?} prints nothing");
        // A pipe that nobody reads from, from the first byte on.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let unread = output(writer.into());
        let said = String::from_utf8_lossy(&unread.stderr).into_owned();
        assert!(!said.contains("panicked") && !said.contains("Broken pipe"), "{command:?}: {said}");
        assert_eq!(unread.status.code(), read.status.code(), "{command:?}: {said}");
    }
}

#[test]
fn two_thousand_objects_are_reported_in_their_order() {
    let text: String = (0..2_000)
        .map(|i| format!("{}---\n", POD.replace("name: redis\nspec", &format!("name: p{i}\nspec"))))
        .collect();
    let (report, status) = report(text.as_bytes());
    assert_eq!(status, 1);
    assert_eq!(report["summary"]["denied"], 2_000);
    let names: Vec<&str> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["object"]["name"].as_str().unwrap())
        .collect();
    let wanted: Vec<String> = (0..2_000).map(|i| format!("p{i}")).collect();
    assert_eq!(names, wanted);
}
