//! The output formats that other programs read, held to what those programs take.

use crate::support;
use quick_xml::events::Event;
use serde_json::Value;
use std::collections::BTreeSet;
use volgate::check::{Input, Report, Run, Wanted};
use volgate::policy::{PolicySet, load};
use volgate::report::{Format, Options, render};
use volgate::source::{Source, parse};
use volgate::verdict::Action;

/// The module that embeds the official schema of SARIF, and the file with it.
const SARIF: (&str, &str) = ("github.com/owenrumney/go-sarif/v3@v3.3.1", "pkg/report/v210/sarif/schema.go");

/// Findings of all actions, an excused one, one with further places, errors with and without a place, a notice, and
/// texts that would break a careless writer.
const POLICY: &str = r#"
apiVersion: volgate.dev/v1alpha1
kind: StoragePolicy
metadata: {name: strict}
spec:
  rules:
    - durableData: {}
    - hostPath: {}
      action: Warn
  exceptions:
    - reason: 'a "cache" <by & by> ]]>'
      namespaces: [excused]
"#;

const MANIFESTS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: redis}
spec:
  containers:
    - {name: redis, image: redis, volumeMounts: [{name: data, mountPath: /data}]}
  volumes: [{name: data, emptyDir: {}}]
---
apiVersion: v1
kind: Pod
metadata: {name: redis, namespace: excused}
spec:
  containers: [{name: redis, image: redis}]
---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
    - {name: web, image: nginx, volumeMounts: [{name: logs, mountPath: "/l<o>&\"gs"}]}
  volumes: [{name: logs, hostPath: {path: "/var/l<o>&\"g\u0001%0A,:|s"}}]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: fine}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}, storageClassName: fast}
---
apiVersion: v1
kind: Pod
metadata: {name: [x]}
"#;

fn set() -> PolicySet {
    let document = parse(POLICY).remove(0).unwrap();
    PolicySet::build(vec![load(&document.value).unwrap()]).unwrap()
}

fn run(set: &PolicySet) -> Run<'_> {
    Run::new(set, support::run::TODAY)
}

fn inputs() -> Vec<Input> {
    ["deploy/a b.yaml", "/srv/é,:.yaml"].map(|name| Input::new(Source::new(name, MANIFESTS), true)).into()
}

/// The two files, judged, in that form.
fn rendered(format: Format, fail_on: Action) -> String {
    let set = set();
    let run = run(&set);
    let inputs = inputs();
    let mut report: Report<'_> = run.check(&inputs);
    report.fixes = run.repair(&inputs, &Wanted { edits: true, ..Wanted::default() }).repairs;
    assert!(!report.findings.is_empty() && !report.faults.is_empty() && !report.notices.is_empty());
    render(format, &report, &inputs, &Options { fail_on, ..Options::default() })
}

fn json(format: Format) -> Value {
    serde_json::from_str(&rendered(format, Action::Deny)).unwrap()
}

#[test]
fn sarif_is_valid_by_the_official_schema() {
    if support::cluster_tests_skipped() {
        return;
    }
    let folder = support::assets::go_module(SARIF.0).unwrap_or_else(|why| panic!("{why}"));
    let source = std::fs::read_to_string(folder.join(SARIF.1)).unwrap();
    let schema = source.split('`').nth(1).unwrap();
    let schema: Value = serde_json::from_str(schema).unwrap();
    let validator = jsonschema::options().build(&schema).unwrap();
    let log = json(Format::Sarif);
    let faults: Vec<String> =
        validator.iter_errors(&log).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(faults.is_empty(), "{faults:#?}");
    // What is in a fix is held to the schema as well, and makes the text that `volgate fix` writes.
    let results = log["runs"][0]["results"].as_array().unwrap();
    let fixes: Vec<&Value> = results.iter().filter_map(|result| result.get("fixes")?.get(0)).collect();
    assert_eq!(fixes.len(), 2, "one of each file");
    let set = set();
    let fixed = run(&set).repair(&inputs(), &Wanted::default()).inputs;
    for (fix, (input, fixed)) in fixes.into_iter().zip(inputs().iter().zip(&fixed)) {
        let mut lines: Vec<&str> = input.source.text.split_inclusive('\n').collect();
        let replacements = fix["artifactChanges"][0]["replacements"].as_array().unwrap();
        for replacement in replacements.iter().rev() {
            let region = &replacement["deletedRegion"];
            let line = |key: &str| usize::try_from(region[key].as_u64().unwrap()).unwrap() - 1;
            assert_eq!((&region["startColumn"], &region["endColumn"]), (&1.into(), &1.into()));
            let text = replacement["insertedContent"]["text"].as_str().unwrap();
            lines.splice(line("startLine")..line("endLine"), [text]);
        }
        assert_eq!(lines.concat(), *fixed.source.text);
    }
    // The schema is one that says no.
    let mut broken = log;
    broken["runs"][0]["results"][0]["level"] = "fatal".into();
    assert!(!validator.is_valid(&broken));
}

#[test]
fn sarif_holds_every_finding_at_its_place() {
    let log = json(Format::Sarif);
    let run = &log["runs"][0];
    let results = run["results"].as_array().unwrap();
    let levels: Vec<&str> = results.iter().map(|result| result["level"].as_str().unwrap()).collect();
    assert_eq!(levels.iter().filter(|level| **level == "error").count(), 2, "{levels:?}");
    assert_eq!(levels.iter().filter(|level| **level == "warning").count(), 2, "{levels:?}");
    let excused: Vec<&Value> =
        results.iter().filter(|result| result["suppressions"] != serde_json::json!([])).collect();
    assert_eq!(excused.len(), 2);
    assert_eq!(excused[0]["suppressions"][0]["justification"], "a \"cache\" <by & by> ]]>");
    let first = &results[0];
    let place = &first["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "deploy/a%20b.yaml");
    assert_eq!(place["region"]["startLine"], 8);
    let rule = first["ruleIndex"].as_u64().unwrap() as usize;
    assert_eq!(run["tool"]["driver"]["rules"][rule]["id"], first["ruleId"]);
    assert_eq!(run["invocations"][0]["executionSuccessful"], false);
    let told = run["invocations"][0]["toolExecutionNotifications"].as_array().unwrap();
    assert!(told.iter().any(|told| told["level"] == "error"), "{told:?}");
    assert!(results[0]["relatedLocations"][0]["message"]["text"].as_str().unwrap().contains("/data"));
}

#[test]
fn fingerprints_are_different_and_stay_while_lines_move() {
    let prints = |log: &Value| -> Vec<String> {
        log.as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["fingerprint"].as_str().unwrap().to_owned())
            .collect()
    };
    let all = prints(&json(Format::Gitlab));
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "{all:?}");
    let set = set();
    let run = run(&set);
    let moved = format!("# a line\n# and another\n{MANIFESTS}");
    let of = |text: &str| {
        let inputs = [Input::new(Source::new("a.yaml", text), true)];
        let report = run.check(&inputs);
        let text = render(Format::Gitlab, &report, &inputs, &Options::default());
        prints(&serde_json::from_str(&text).unwrap())
    };
    assert_eq!(of(MANIFESTS), of(&moved));
}

/// The elements of the XML by name, with their attributes as text.
fn elements(text: &str) -> Vec<(String, String)> {
    let mut reader = quick_xml::Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    let mut found = Vec::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) | Event::Empty(start) => {
                let attributes: Vec<String> = start
                    .attributes()
                    .map(|attribute| {
                        let attribute = attribute.unwrap();
                        let key = attribute.key.as_ref().to_owned();
                        format!("{key}={}", attribute.value)
                    })
                    .collect();
                let name = start.name().as_ref().to_owned();
                found.push((name, attributes.join(" ")));
            }
            Event::Eof => return found,
            _ => {}
        }
    }
}

#[test]
fn junit_counts_objects_and_what_fails() {
    let count = |elements: &[(String, String)], name: &str| {
        elements.iter().filter(|(found, _)| found == name).count()
    };
    let text = rendered(Format::Junit, Action::Deny);
    let found = elements(&text);
    // Four objects that were judged and one that was not, in each of two files.
    assert_eq!(count(&found, "testsuite"), 2, "{text}");
    assert_eq!(count(&found, "testcase"), 10, "{text}");
    assert_eq!(count(&found, "failure"), 2, "{text}");
    assert_eq!(count(&found, "error"), 2, "{text}");
    assert!(found[0].1.ends_with("tests=10 failures=2 errors=2"), "{text}");
    assert!(!text.contains('\u{1}'));
    let strict = elements(&rendered(Format::Junit, Action::Warn));
    assert_eq!(count(&strict, "failure"), 4);
}

#[test]
fn a_comment_is_never_too_long() {
    let pod = MANIFESTS.split("---").next().unwrap();
    let many: String =
        (0..3_000).map(|n| format!("---{}", pod.replace("redis}", &format!("redis-{n}}}")))).collect();
    let set = set();
    let run = run(&set);
    let inputs = [Input::new(Source::new("a.yaml", many.as_str()), true)];
    let text = render(Format::Markdown, &run.check(&inputs), &inputs, &Options::default());
    assert!(text.len() < 65_536, "{}", text.len());
    let shown = text.lines().filter(|line| line.starts_with("| **denied**")).count();
    assert!(text.contains(&format!("{} more are not shown here", 3_000 - shown)), "{shown}");
}
