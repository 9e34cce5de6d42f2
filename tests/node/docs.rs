//! Every command of the README and of `docs/`, as it is written, in the order of its page: each `sh` block is one script, in a
//! copy of the checkout, with a cluster in which volgate's image is on the node. `.ci/docs` runs it.
//!
//! A comment above a block says what is special about it:
//!
//! | comment | meaning |
//! | --- | --- |
//! | `<!-- not run: why -->` | it cannot be run on a fresh machine |
//! | `<!-- in a new cluster -->` | nothing of volgate is there; so it is before the first block of each page, too |
//! | `<!-- with volgate installed -->` | volgate is, by `kubectl apply -k manifests/` |
//!
//! A command with the comment `# refused` must fail.

use crate::support::installed::Installed;
use crate::support::node::{Image, OWN_IMAGE, node_tests_skipped};
use crate::support::run::root;
use crate::support::{Output, Scratch, binary, helm, run, say};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

/// What is no page of commands: its sessions are others' tests.
const ELSEWHERE: [(&str, &str); 1] = [("README.md", ".ci/run runs its two commands")];
/// How long one block may take.
const LIMIT: &str = "240";
/// What is not volgate's and comes with its installation.
const CLEAN: &str = "
helm uninstall volgate --namespace volgate-system --no-hooks --ignore-not-found >/dev/null
kubectl delete --ignore-not-found --wait=false clusterrole volgate-registration >/dev/null
kubectl delete --ignore-not-found mutatingwebhookconfiguration,validatingwebhookconfiguration -l app.kubernetes.io/name=volgate >/dev/null
kubectl delete --ignore-not-found -k manifests/ >/dev/null
kubectl delete --ignore-not-found namespace volgate-system >/dev/null
kubectl delete --ignore-not-found storageclass local-path >/dev/null
";
const INSTALL: &str = "
kubectl apply -k manifests/ >/dev/null
for what in deployment/volgate deployment/volgate-provisioner daemonset/volgate-agent; do
    kubectl -n volgate-system rollout status --timeout=120s $what >/dev/null
done
until volgate doctor >/dev/null; do sleep 1; done
";

/// What is there before a block.
#[derive(Debug, PartialEq)]
enum Before {
    AsItIs,
    Nothing,
    Volgate,
}

/// One block of commands.
#[derive(Debug)]
struct Block {
    page: String,
    line: usize,
    text: String,
    before: Before,
    /// Why it is not run.
    not_run: Option<String>,
}

/// The blocks of a page.
fn blocks(page: &str, text: &str) -> Vec<Block> {
    let lines: Vec<&str> = text.lines().collect();
    let mut blocks = Vec::new();
    for (index, _) in lines.iter().enumerate().filter(|(_, line)| line.trim() == "```sh") {
        let inside = lines[index + 1..].iter().take_while(|line| line.trim() != "```");
        let text: String = inside.map(|line| format!("{line}\n")).collect();
        let above = index.checked_sub(1).map_or("", |above| lines[above].trim());
        let comment = above.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")).unwrap_or("");
        let not_run = comment.strip_prefix("not run: ").map(str::to_owned);
        let before = match comment {
            "in a new cluster" => Before::Nothing,
            "with volgate installed" => Before::Volgate,
            _ if blocks.iter().all(|block: &Block| block.not_run.is_some()) => Before::Nothing,
            _ => Before::AsItIs,
        };
        blocks.push(Block { page: page.to_owned(), line: index + 1, text, before, not_run });
    }
    blocks
}

/// The block as a script that ends at its first fault.
fn script(block: &Block) -> String {
    let mut script = "set -euo pipefail\n".to_owned();
    for line in block.text.lines() {
        match line.split_once("# refused") {
            Some((command, _)) => {
                script.push_str(&format!("if {command}; then echo 'it was not refused' >&2; exit 1; fi\n"))
            }
            None => script.push_str(&format!("{line}\n")),
        }
    }
    script
}

/// All pages with commands, and those that are elsewhere's.
fn pages() -> Vec<Block> {
    let mut pages = vec!["SECURITY.md".to_owned(), "CONTRIBUTING.md".to_owned(), "fuzz/README.md".to_owned()];
    let docs = std::fs::read_dir(root("docs")).unwrap().map(|entry| entry.unwrap().file_name());
    let docs = docs.map(|name| format!("docs/{}", name.into_string().unwrap()));
    pages.extend(docs.filter(|name| name.ends_with(".md")));
    pages.sort();
    pages.iter().flat_map(|page| blocks(page, &std::fs::read_to_string(root(page)).unwrap())).collect()
}

/// A copy of what the commands need of the checkout, with a folder `deploy` as a user may have it.
fn checkout() -> Scratch {
    let scratch = Scratch::new("docs").unwrap();
    for folder in ["manifests", "examples", "charts", "policies"] {
        let mut copy = Command::new("cp");
        copy.arg("-r").arg(root(folder)).arg(scratch.path());
        assert!(run(copy, None).unwrap().success, "{folder}");
    }
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {containers: [{name: web, image: nginx}]}}\n";
    std::fs::create_dir(scratch.path().join("deploy")).unwrap();
    std::fs::write(scratch.path().join("deploy/pod.yaml"), pod).unwrap();
    scratch
}

/// Runs a script in that folder, with kubectl, helm and volgate as the first programs of `PATH`.
fn bash(script: &str, folder: &Path, programs: &Path, kubeconfig: &Path) -> Output {
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("timeout");
    command.args(["--kill-after=10", LIMIT, "bash", "-c", script]);
    command.current_dir(folder).env("PATH", path).env("KUBECONFIG", kubeconfig).env("HOME", folder);
    run(command, None).unwrap()
}

#[test]
fn blocks_are_read_with_what_is_said_of_them() {
    let text = "```sh\na # refused: why\n```\n\n<!-- not run: slow -->\n```sh\nb\n```\n<!-- with volgate installed -->\n```sh\nc\n```\n```yaml\nd: e\n```\n```sh\nf\n```\n";
    let blocks = blocks("page", text);
    assert_eq!(blocks.iter().map(|block| block.line).collect::<Vec<_>>(), [1, 6, 10, 16]);
    let before: Vec<&Before> = blocks.iter().map(|block| &block.before).collect();
    assert_eq!(before, [&Before::Nothing, &Before::AsItIs, &Before::Volgate, &Before::AsItIs]);
    assert_eq!(blocks[1].not_run.as_deref(), Some("slow"));
    assert!(script(&blocks[0]).contains("if a ; then"), "{}", script(&blocks[0]));
}

/// The page that has most of the commands.
const LONGEST_PAGE: &str = "docs/install.md";

#[test]
fn every_command_of_the_page_about_the_installation_runs() {
    every_command_runs(|page| page == LONGEST_PAGE);
}

#[test]
fn every_command_of_the_other_pages_runs() {
    every_command_runs(|page| page != LONGEST_PAGE);
}

/// Of some pages, each after the other in one cluster.
fn every_command_runs(of: impl Fn(&str) -> bool) {
    if node_tests_skipped() {
        return;
    }
    // The image of the tests' own binary: `.ci/long` builds the shipped one.
    let image = Image::new(OWN_IMAGE)
        .program(env!("CARGO_BIN_EXE_volgate"), "/volgate")
        .entrypoint(&["/volgate"])
        .user("65532:65532");
    let installed = Installed::cluster(1, vec![image]);
    let programs = Scratch::new("programs").unwrap();
    let called = |name: &str| programs.path().join(name);
    symlink(binary("kubectl").unwrap(), called("kubectl")).unwrap();
    symlink(helm::helm().unwrap(), called("helm")).unwrap();
    symlink(env!("CARGO_BIN_EXE_volgate"), called("volgate")).unwrap();
    let checkout = checkout();
    let kubeconfig = installed.real.kubeconfig_path();
    let bash = |script: &str| bash(script, checkout.path(), programs.path(), &kubeconfig);

    for (page, why) in ELSEWHERE {
        say(&format!("{page}: {why}"));
    }
    let (mut faults, mut ran) = (Vec::new(), 0);
    for block in pages().into_iter().filter(|block| of(&block.page)) {
        let at = format!("{}:{}", block.page, block.line);
        if let Some(why) = &block.not_run {
            say(&format!("{at}: not run: {why}"));
            continue;
        }
        let prepared = match block.before {
            Before::AsItIs => String::new(),
            Before::Nothing => CLEAN.to_owned(),
            Before::Volgate => format!("{CLEAN}{INSTALL}"),
        };
        let output = bash(&format!("set -euo pipefail\n{prepared}"));
        assert!(output.success, "{at}: what comes before it: {output}");
        let output = bash(&script(&block));
        say(&format!("{at}: {}", if output.success { "ok" } else { "FAILED" }));
        if !output.success {
            faults.push(format!("{at}\n{}\n{output}", block.text));
        }
        ran += 1;
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(ran > 5, "only {ran} blocks were run");
}
