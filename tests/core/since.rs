//! `check --since` in a git repository: what a change touches, and what it does to objects that it does not touch.

use serde_json::Value;
use std::path::Path;
use std::process::Command;

struct Repository(tempfile::TempDir);

impl Repository {
    fn new() -> Self {
        let repository = Self(tempfile::tempdir().unwrap());
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn git(&self, arguments: &[&str]) {
        let identity =
            ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"];
        let mut git = Command::new("git");
        git.args(identity).args(arguments).current_dir(self.path());
        // Nothing of the machine's own settings, nor of a repository around it.
        git.env("GIT_CONFIG_GLOBAL", "/dev/null").env_remove("GIT_DIR").env_remove("GIT_WORK_TREE");
        let output = git.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "change"]);
    }

    /// The exit status, and the report as JSON.
    fn check(&self, arguments: &[&str]) -> (i32, Value) {
        let mut volgate = Command::new(env!("CARGO_BIN_EXE_volgate"));
        volgate.args(["check", "--format", "json"]).args(arguments).current_dir(self.path());
        let output = volgate.env_remove("GIT_DIR").output().unwrap();
        let report = serde_json::from_slice(&output.stdout);
        (output.status.code().unwrap(), report.unwrap_or_else(|error| panic!("{error}: {output:?}")))
    }

    /// The places of all findings.
    fn findings(&self, arguments: &[&str]) -> Vec<String> {
        let (_, report) = self.check(arguments);
        let place = |finding: &Value| {
            format!("{}:{}", finding["file"].as_str().unwrap(), finding["rule"].as_str().unwrap())
        };
        report["findings"].as_array().unwrap().iter().map(place).collect()
    }
}

fn pod(name: &str, image: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  containers:\n    - {{name: c, image: \"{image}\"}}\n"
    )
}

const POLICY: &str = "apiVersion: volgate.dev/v1alpha1\nkind: StoragePolicy\nmetadata: {name: p}\nspec:\n  rules:\n    \
                      - durableData: {}\n    - dangling: {}\n";
const CLAIM: &str = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\nspec:\n  accessModes: [ReadWriteOnce]\n  \
                     resources: {requests: {storage: 1Gi}}\n";
const USER: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: user}\nspec:\n  containers:\n    - name: c\n      image: nginx\n      \
                    volumeMounts: [{name: data, mountPath: /srv}]\n  volumes:\n    - name: data\n      persistentVolumeClaim: {claimName: data}\n";

#[test]
fn only_what_a_change_touches_is_shown() {
    let repository = Repository::new();
    repository.write("policy.yaml", POLICY);
    repository.write("deploy/old.yaml", &pod("old", "redis"));
    repository.write("deploy/both.yaml", &pod("both", "redis"));
    repository.write("deploy/claim.yaml", CLAIM);
    repository.write("deploy/user.yaml", USER);
    repository.write("deploy/broken.yaml", "apiVersion: v1\nkind: Pod\nmetadata: [\n");
    repository.commit();
    let since = ["--policy", "policy.yaml", "--since", "main", "deploy"];
    assert_eq!(repository.findings(&since), [""; 0], "nothing changed");
    assert_eq!(repository.check(&since).0, 0, "what was broken before is left out as well");
    assert_eq!(repository.check(&["--policy", "policy.yaml", "deploy"]).0, 2);

    repository.git(&["checkout", "--quiet", "-b", "change"]);
    repository.write("deploy/both.yaml", &pod("both", "redis:7"));
    repository.write("deploy/new.yaml", &pod("new", "redis"));
    assert_eq!(
        repository.findings(&since),
        ["deploy/both.yaml:durable-data", "deploy/new.yaml:durable-data"],
        "not yet committed"
    );
    repository.commit();
    // What others do on the main branch meanwhile is no part of the change.
    repository.git(&["checkout", "--quiet", "main"]);
    repository.write("deploy/old.yaml", &pod("old", "redis:6"));
    repository.commit();
    repository.git(&["checkout", "--quiet", "change"]);
    let (status, report) = repository.check(&since);
    assert_eq!(status, 1);
    assert_eq!(report["summary"]["objects"], 2);
    let told = report["notices"][0]["message"].as_str().unwrap();
    assert_eq!(
        told,
        "shown is what changed since main: 2 files changed; 1 finding and 1 fault in other files were there before and are left out"
    );

    // The claim goes, and with it what a pod elsewhere needs.
    std::fs::remove_file(repository.path().join("deploy/claim.yaml")).unwrap();
    assert!(repository.findings(&since).contains(&"deploy/user.yaml:dangling".to_owned()));
}

#[test]
fn a_change_of_the_policies_shows_everything() {
    let repository = Repository::new();
    repository.write("policy.yaml", POLICY);
    repository.write("deploy/old.yaml", &pod("old", "redis"));
    repository.commit();
    repository.write("policy.yaml", &POLICY.replace("name: p", "name: q"));
    let since = ["--policy", "policy.yaml", "--since", "HEAD", "deploy"];
    assert_eq!(repository.findings(&since), ["deploy/old.yaml:durable-data"]);
    let (_, report) = repository.check(&since);
    assert!(
        report["notices"][0]["message"]
            .as_str()
            .unwrap()
            .starts_with("everything is shown: policy.yaml changed")
    );
}

#[test]
fn a_commit_that_is_not_there_is_told_with_what_a_job_needs() {
    let repository = Repository::new();
    repository.write("a.yaml", &pod("a", "redis"));
    repository.commit();
    for (since, told) in [("origin/main", "no such commit"), ("--output=x", "no such commit")] {
        let (status, report) = repository.check(&[&format!("--since={since}"), "a.yaml"]);
        let message = report["errors"][0]["message"].as_str().unwrap();
        assert!(status == 2 && message.contains(told), "{message}");
    }
    assert!(!repository.path().join("x").exists());
    repository.git(&["checkout", "--quiet", "--orphan", "apart"]);
    repository.write("b.yaml", &pod("b", "redis"));
    repository.commit();
    let (status, report) = repository.check(&["--since", "main", "a.yaml"]);
    let message = report["errors"][0]["message"].as_str().unwrap();
    assert!(status == 2 && message.contains("fetch-depth: 0"), "{message}");
}

#[test]
fn a_fix_writes_the_files_that_changed_and_none_that_is_left_out() {
    let set = |name: &str| {
        format!(
            "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: {name}}}\nspec:\n  serviceName: {name}\n  selector:\n    \
             matchLabels: {{app: {name}}}\n  template:\n    metadata:\n      labels: {{app: {name}}}\n    spec:\n      \
             containers:\n        - name: redis\n          image: redis:7\n"
        )
    };
    let repository = Repository::new();
    repository.write(".volgate.yaml", "exclude: [vendor/]\n");
    for file in ["deploy/old.yaml", "deploy/changed.yaml", "vendor/changed.yaml"] {
        repository.write(file, &set("old"));
    }
    // A claim that mutation would change, in a file that did not.
    repository.write("deploy/claim.yaml", CLAIM);
    repository.commit();
    for file in ["deploy/changed.yaml", "deploy/new.yaml", "vendor/changed.yaml"] {
        repository.write(file, &set(&file.replace(['/', '.'], "-")));
    }
    let fix = |arguments: &[&str]| {
        let mut volgate = Command::new(env!("CARGO_BIN_EXE_volgate"));
        volgate.args(["fix", "--since", "HEAD", "--format", "json"]).args(arguments);
        let output = volgate.current_dir(repository.path()).env_remove("GIT_DIR").output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), output.stderr)
    };
    let (_, _, diff) = fix(&["--diff", "."]);
    let diff = String::from_utf8(diff).unwrap();
    assert!(diff.contains("deploy/changed.yaml") && diff.contains("deploy/new.yaml"), "{diff}");
    let (status, report, _) = fix(&["."]);
    assert_eq!(status, Some(0), "{report}");
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["repairs"].as_array().unwrap().len(), 2, "{report:#}");
    let is_fixed = |file: &str| {
        let text = std::fs::read_to_string(repository.path().join(file)).unwrap();
        text.contains("volumeClaimTemplates") || text.contains("storageClassName")
    };
    assert!(is_fixed("deploy/changed.yaml") && is_fixed("deploy/new.yaml"));
    for file in ["deploy/old.yaml", "deploy/claim.yaml", "vendor/changed.yaml"] {
        assert!(!is_fixed(file) && !diff.contains(file), "{file}\n{diff}");
    }
}

#[test]
fn a_patch_holds_nothing_of_files_that_did_not_change() {
    let repository = Repository::new();
    let claim = |name: &str| CLAIM.replace("name: data", &format!("name: {name}"));
    repository.write("deploy/old.yaml", &claim("old"));
    repository.write("deploy/changed.yaml", &claim("changed"));
    repository.commit();
    repository.git(&["checkout", "--quiet", "-b", "change"]);
    repository.write("deploy/changed.yaml", &claim("changed").replace("1Gi", "2Gi"));
    let patched = |arguments: &[&str]| {
        let mut volgate = Command::new(env!("CARGO_BIN_EXE_volgate"));
        volgate.args(["fix", "--as-patch", "patch"]).args(arguments).current_dir(repository.path());
        let output = volgate.env_remove("GIT_DIR").output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let files = std::fs::read_dir(repository.path().join("patch")).unwrap();
        let mut names: Vec<String> =
            files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        std::fs::remove_dir_all(repository.path().join("patch")).unwrap();
        names
    };
    let changed = patched(&["--since", "main", "deploy"]);
    assert_eq!(changed, ["kustomization.yaml", "persistentvolumeclaim-changed.yaml"]);
    assert_eq!(patched(&["deploy"]).len(), 3);
}
