//! The ways in besides the command line: the GitHub Action, the GitLab component, the pre-commit hooks, the krew manifest, and
//! `kubectl volgate`, each run as far as it can be without the service that it is for.

use crate::support::run::root;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

const VOLGATE: &str = env!("CARGO_BIN_EXE_volgate");
const REDIS: &str =
    "apiVersion: v1\nkind: Pod\nmetadata: {name: redis}\nspec: {containers: [{name: r, image: redis}]}\n";

/// The documents of a YAML file.
fn documents(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(root(file)).unwrap();
    volgate::source::parse(&text).into_iter().map(|document| document.unwrap().value).collect()
}

/// A folder with a Redis that loses its data, and volgate where a way in puts it.
fn folder(binary: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let deploy = folder.path().join("deploy here");
    std::fs::create_dir(&deploy).unwrap();
    std::fs::write(deploy.join("redis.yaml"), REDIS).unwrap();
    let binary = folder.path().join(binary);
    std::fs::create_dir_all(binary.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(VOLGATE, binary).unwrap();
    folder
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

/// Runs the last step of the action as GitHub does, with these inputs.
fn act(folder: &Path, inputs: &[(&str, &str)]) -> Output {
    let action = documents("action.yml").remove(0);
    let step = action["runs"]["steps"].as_array().unwrap().last().unwrap().clone();
    let mut bash = Command::new("bash");
    bash.args(["--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"].as_str().unwrap()]);
    bash.current_dir(folder).env("HOME", folder);
    let input = |name: &str| {
        assert!(action["inputs"].get(name).is_some(), "the action has no input {name}");
        inputs.iter().find(|(given, _)| *given == name).map_or("", |(_, value)| *value)
    };
    for (name, value) in step["env"].as_object().unwrap() {
        let value = value.as_str().unwrap();
        let expression = value.strip_prefix("${{ ").and_then(|rest| rest.strip_suffix(" }}"));
        // The two forms of expression that the action has.
        let value = match expression.map(|text| text.split_once(" && ").unwrap_or((text, ""))) {
            None => value.to_owned(),
            Some((of, format)) => match (input(of.strip_prefix("inputs.").unwrap()), format) {
                ("", _) => String::new(),
                (value, "") => value.to_owned(),
                (value, format) => {
                    let before = format.strip_prefix("format('").unwrap().split("{0}").next().unwrap();
                    format!("{before}{value}")
                }
            },
        };
        bash.env(name, value);
    }
    bash.output().unwrap()
}

#[test]
fn a_manifest_gives_a_pipelines_agent_no_command() {
    let folder = folder("volgate");
    let hostile =
        REDIS.replace("image: redis}", "image: redis}  # ##vso[task.setvariable variable=PATH]/x\n   ");
    let hostile = hostile.replace("name: redis", "name: \"##[group]\"");
    std::fs::write(folder.path().join("deploy here/redis.yaml"), hostile).unwrap();
    for format in ["human", "markdown", "github"] {
        let mut check = Command::new(VOLGATE);
        check.args(["check", "--format", format, "deploy here"]).current_dir(folder.path());
        let output = check.output().unwrap();
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(said.contains("/data"), "{format}: {said}");
        assert!(!said.contains("##vso[") && !said.contains("##["), "{format}: {said}");
        assert_eq!(said.contains("##vso("), format == "human", "its excerpt: {said}");
    }
}

#[test]
fn the_action_annotates_and_fails() {
    let folder = folder(".cache/volgate-action/bin/volgate");
    let output = act(folder.path(), &[("paths", "deploy here\n"), ("sarif", "volgate.sarif")]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said.contains("::error file=deploy here/redis.yaml,line=4"), "{said}");
    assert!(std::fs::read_to_string(folder.path().join("volgate.sarif")).unwrap().contains("\"2.1.0\""));
    let output = act(folder.path(), &[("fail-on", "never")]);
    assert!(text(&output.stderr).contains("never"), "what is given wrongly is told: {output:?}");
    // Without inputs the repository's own settings count.
    std::fs::write(folder.path().join(".volgate.yaml"), "paths: [deploy here]\n").unwrap();
    let output = act(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains("settings from .volgate.yaml"));
}

#[test]
fn the_component_of_gitlab_writes_its_reports() {
    let folder = folder(".volgate-bin/bin/volgate");
    let component = documents("templates/volgate.yml");
    let inputs = component[0]["spec"]["inputs"].as_object().unwrap();
    let job = &component[1]["volgate"];
    let filled = |text: &str| {
        let text = text.replace("$[[ inputs.paths ]]", "deploy*");
        inputs.keys().fold(text, |text, name| text.replace(&format!("$[[ inputs.{name} ]]"), name))
    };
    let lines: Vec<String> =
        job["script"].as_array().unwrap().iter().map(|line| filled(line.as_str().unwrap())).collect();
    assert!(!lines.concat().contains("$[["), "an input that is none: {lines:?}");
    let mut sh = Command::new("sh");
    sh.args(["-e", "-c", &lines.join("\n")]).current_dir(folder.path());
    for (name, value) in job["variables"].as_object().unwrap() {
        sh.env(name, value.as_str().unwrap());
    }
    let output = sh.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    for report in job["artifacts"]["reports"].as_object().unwrap().values() {
        let report = std::fs::read_to_string(folder.path().join(report.as_str().unwrap())).unwrap();
        assert!(report.contains("durable-data"), "{report}");
    }
}

#[test]
fn the_hooks_judge_what_a_commit_changes() {
    let folder = folder("bin/volgate");
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]);
        let output =
            git.args(arguments).current_dir(folder.path()).env("GIT_CONFIG_GLOBAL", "/dev/null").output();
        assert!(output.unwrap().status.success(), "{arguments:?}");
    };
    git(&["init", "--quiet"]);
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "--message", "first"]);
    let hooks = documents(".pre-commit-hooks.yaml").remove(0);
    for hook in hooks.as_array().unwrap() {
        let run = || {
            let entry = hook["entry"].as_str().unwrap().split(' ');
            let arguments =
                hook["args"].as_array().unwrap().iter().map(|argument| argument.as_str().unwrap());
            let mut all = entry.chain(arguments);
            assert_eq!(all.next(), Some("volgate"));
            Command::new(VOLGATE).args(all).current_dir(folder.path()).output().unwrap()
        };
        let output = run();
        assert_eq!(output.status.code(), Some(0), "nothing is changed: {output:?}");
        std::fs::write(folder.path().join("new.yaml"), REDIS.replace("name: redis", "name: new")).unwrap();
        git(&["add", "--all"]);
        let output = run();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(text(&output.stdout).contains("new.yaml") && !text(&output.stdout).contains("deploy here"));
        git(&["reset", "--quiet", "--hard"]);
    }
}

#[test]
fn the_krew_manifest_names_archives_by_their_sums() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("volgate-linux-amd64.tar.gz");
    std::fs::write(&archive, "an archive").unwrap();
    let script = root("packaging/krew.sh");
    let krew = |archive: &Path| {
        let mut bash = Command::new(&script);
        bash.args(["1.2.3", "https://example.org/volgate", "https://example.org/files"]).arg(archive);
        bash.output().unwrap()
    };
    let output = krew(&archive);
    assert!(output.status.success(), "{output:?}");
    let manifest = volgate::source::parse(&text(&output.stdout)).remove(0).unwrap().value;
    assert_eq!(manifest["spec"]["version"], "v1.2.3");
    let platform = &manifest["spec"]["platforms"][0];
    assert_eq!(platform["selector"]["matchLabels"], serde_json::json!({"os": "linux", "arch": "amd64"}));
    assert_eq!(platform["uri"], "https://example.org/files/volgate-linux-amd64.tar.gz");
    // That of "an archive".
    let sum = text(&Command::new("sha256sum").arg(&archive).output().unwrap().stdout);
    assert_eq!(platform["sha256"].as_str(), sum.split(' ').next());
    assert_eq!(krew(&folder.path().join("other.tar.gz")).status.code(), Some(2));
}

#[test]
fn as_a_plugin_it_is_called_as_kubectl_calls_it() {
    let folder = folder("bin/kubectl-volgate");
    let plugin = folder.path().join("bin/kubectl-volgate");
    assert_ne!(std::fs::metadata(&plugin).unwrap().permissions().mode() & 0o111, 0);
    let help = Command::new(&plugin).args(["check", "--help"]).output().unwrap();
    assert!(text(&help.stdout).contains("Usage: kubectl volgate check "), "{}", text(&help.stdout));
    let help = Command::new(VOLGATE).args(["check", "--help"]).output().unwrap();
    assert!(text(&help.stdout).contains("Usage: volgate check "));
}

#[test]
fn every_variable_stands_in_the_help_and_in_the_docs() {
    let help = text(&Command::new(VOLGATE).args(["check", "--help"]).output().unwrap().stdout);
    let docs = std::fs::read_to_string(root("docs/configuration.md")).unwrap();
    let named = |text: &str| -> std::collections::BTreeSet<String> {
        let words = text.split(|c: char| !c.is_ascii_uppercase() && c != '_');
        words.filter(|word| word.len() > 8 && word.starts_with("VOLGATE_")).map(str::to_owned).collect()
    };
    assert!(named(&help).len() > 15, "{help}");
    assert_eq!(named(&help), named(&docs));
}

#[test]
fn shells_and_man_know_the_subcommands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = Command::new(VOLGATE).args(["completions", shell]).output().unwrap();
        assert!(output.status.success() && text(&output.stdout).contains("explain"), "{shell}");
    }
    let syntax = "source /dev/stdin && complete -p volgate";
    let completions = Command::new(VOLGATE).args(["completions", "bash"]).output().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("volgate.bash");
    std::fs::write(&file, completions.stdout).unwrap();
    let bash = Command::new("bash")
        .args(["-c", syntax])
        .stdin(std::fs::File::open(&file).unwrap())
        .output()
        .unwrap();
    assert!(bash.status.success() && text(&bash.stdout).contains("_volgate"), "{bash:?}");
    let man = folder.path().join("man");
    let output = Command::new(VOLGATE).arg("man").arg(&man).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let page = std::fs::read_to_string(man.join("volgate-check.1")).unwrap();
    assert!(page.contains(".SH SYNOPSIS") && page.contains("cluster\\-state"), "{page}");
}

/// What checks workflows as GitHub reads them; Go builds it, and keeps it.
const ACTIONLINT: &str = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12";

#[test]
fn actionlint_finds_no_fault_in_the_workflows() {
    if crate::support::cluster_tests_skipped() {
        return;
    }
    let check = |files: &[&str]| {
        let mut go = Command::new("go");
        go.args(["run", ACTIONLINT, "-no-color"]).args(files).current_dir(root(""));
        let output = go.output().unwrap_or_else(|error| panic!("install Go 1.26 or newer: {error}"));
        (output.status.success(), text(&output.stdout) + &text(&output.stderr))
    };
    let (good, said) = check(&[".github/workflows/ci.yml", ".github/workflows/release.yml"]);
    assert!(good, "{said}");
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.yml");
    let text = std::fs::read_to_string(root(".github/workflows/ci.yml")).unwrap();
    std::fs::write(&broken, text.replace("runs-on:", "run-on:")).unwrap();
    let (good, said) = check(&[broken.to_str().unwrap()]);
    assert!(!good && said.contains("\"runs-on\" section is missing"), "{said}");
}
