//! The shipped policies, each held to the manifests in `policies/tests/<policy>/<allow|warn|deny>/`, as that folder's
//! README says.

use crate::support::run::{check, input, policies_of, root};
use std::collections::BTreeSet;
use std::path::Path;
use volgate::policy::{PolicySet, embedded_baseline};

/// The shipped policy files, relative to the root: those of `policies/` and of `policies/examples/`.
fn policy_files() -> Vec<String> {
    let folders = ["policies", "policies/examples"];
    let files = folders.iter().flat_map(|folder| yaml_files(folder)).collect::<Vec<_>>();
    assert!(files.len() > 5, "{files:?}");
    files
}

/// The YAML files of a folder, not of those within it, relative to the root; none when there is no such folder.
fn yaml_files(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(root(folder)).into_iter().flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<String> =
        names.filter(|name| name.ends_with(".yaml")).map(|name| format!("{folder}/{name}")).collect();
    files.sort();
    files
}

fn stem(file: &str) -> &str {
    Path::new(file).file_stem().unwrap().to_str().unwrap()
}

/// What the comments of a case say after `# expect:` or `# change:`.
fn comments(file: &str, key: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root(file)).unwrap();
    text.lines().filter_map(|line| Some(line.strip_prefix(key)?.trim().to_owned())).collect()
}

#[test]
fn every_case_is_judged_as_its_folder_says() {
    let mut faults = Vec::new();
    for policy in policy_files() {
        let set = PolicySet::build(policies_of(&policy)).unwrap();
        let tests = format!("policies/tests/{}", stem(&policy));
        let cluster = format!("{tests}/cluster.yaml");
        let cluster = root(&cluster).exists().then_some(cluster.as_str());
        for verdict in ["allow", "warn", "deny"] {
            for case in yaml_files(&format!("{tests}/{verdict}")) {
                let said = check(&set, cluster, &[&case]);
                let found: Vec<String> = said.short.clone();
                let is = |word: &str| found.iter().any(|line| line.starts_with(word));
                let came_to = match () {
                    () if is("denied") => "deny",
                    () if is("warning") => "warn",
                    () => "allow",
                };
                let same = |found: &[String], key| {
                    found.iter().collect::<BTreeSet<_>>() == comments(&case, key).iter().collect()
                };
                if came_to != verdict || !same(&found, "# expect:") || !same(&said.changes, "# change:") {
                    faults.push(format!("{case}: {came_to}\n  {}\n  {said:#?}", found.join("\n  ")));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{} cases:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_policy_has_cases_and_every_case_a_policy() {
    let policies: BTreeSet<String> = policy_files().iter().map(|file| stem(file).to_owned()).collect();
    let folders = std::fs::read_dir(root("policies/tests")).unwrap();
    let folders = folders.map(|entry| entry.unwrap()).filter(|entry| entry.file_type().unwrap().is_dir());
    let tested: BTreeSet<String> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert_eq!(policies, tested);
    for policy in tested {
        let cases = |verdict: &str| yaml_files(&format!("policies/tests/{policy}/{verdict}")).len();
        assert!(cases("allow") > 0, "{policy}: no case is allowed");
        let changed = yaml_files(&format!("policies/tests/{policy}/allow"));
        let changed = changed.iter().any(|case| !comments(case, "# change:").is_empty());
        assert!(changed || cases("warn") + cases("deny") > 0, "{policy}: no case shows what it does");
        let all = walk(&root(format!("policies/tests/{policy}")));
        let cluster = usize::from(root(format!("policies/tests/{policy}/cluster.yaml")).exists());
        assert_eq!(
            all,
            cases("allow") + cases("warn") + cases("deny") + cluster,
            "{policy}: a file is in no folder"
        );
    }
}

/// The number of files in a folder and those within it.
fn walk(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| if entry.file_type().unwrap().is_dir() { walk(&entry.path()) } else { 1 }).sum()
}

#[test]
fn every_rule_of_the_restricted_policy_has_a_case() {
    let set = PolicySet::build(policies_of("policies/restricted.yaml")).unwrap();
    let cases =
        ["warn", "deny"].map(|verdict| yaml_files(&format!("policies/tests/restricted/{verdict}"))).concat();
    let expected: Vec<String> = cases.iter().flat_map(|case| comments(case, "# expect:")).collect();
    let baseline = embedded_baseline().unwrap();
    for rule in &set.policies()[0].rules {
        let shown = expected.iter().any(|line| line.split(' ').nth(1) == Some(rule.id));
        let by_baseline = baseline.rules.iter().any(|other| other.id == rule.id && rule.id != "host-path");
        assert!(shown || by_baseline, "no case shows {}", rule.id);
    }
}

#[test]
fn the_shipped_policies_can_be_used_together() {
    let all =
        ["policies/baseline.yaml", "policies/restricted.yaml", "policies/examples/class-per-namespace.yaml"];
    let policies = all.iter().flat_map(|file| policies_of(file)).collect();
    assert_eq!(PolicySet::build(policies).unwrap().policies().len(), 3);
    // Each tells its reader what it is for, in the file and in the cluster.
    for file in policy_files() {
        assert!(input(&file).source.text.starts_with("# "), "{file} must begin with what it is for");
        let inputs = [input(&file)];
        for manifest in volgate::check::manifests(&inputs) {
            assert!(manifest.value.pointer("/spec/description").is_some(), "{file}: spec.description");
        }
    }
}
