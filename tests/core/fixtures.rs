//! Every fixture through the engine and through `check`; `tests/cluster/live.rs` runs the same through a real API server.

use crate::support::fixtures::{Fixture, NAMESPACE, all};
use serde_json::json;
use std::collections::BTreeSet;
use volgate::check::{Input, Run, effective};
use volgate::engine::Engine;
use volgate::facts::Facts;
use volgate::lookup::MapLookup;
use volgate::model::Operation;
use volgate::policy::{PolicySet, embedded_baseline};
use volgate::rule::Review;
use volgate::source::Source;
use volgate::verdict::Action;

const TODAY: jiff::civil::Date = jiff::civil::date(2026, 11, 23);

#[test]
fn the_engine_finds_what_is_expected() {
    for fixture in all() {
        let policies = fixture.policies();
        let mut lookup = MapLookup::default();
        lookup.set_complete();
        for object in fixture.cluster() {
            lookup.add(&Facts::read(&object, None).unwrap());
        }
        // `check` and a cluster alike know an object by itself: a claim template's set, a class's own claims.
        let engine = Engine { policies: &policies, lookup: &lookup, today: TODAY };
        let mut review = Review { user: fixture.user.as_deref(), ..Review::create(&fixture.object) };
        if let Some(old) = &fixture.old {
            review = Review { operation: Operation::Update, old: Some(old.into()), ..review };
        }
        let verdict =
            engine.mutate_and_check(&review).unwrap_or_else(|fault| panic!("{}: {fault}", fixture.name));
        fixture.compare("the engine", &verdict.findings, &verdict.patch);
        let mut patched = fixture.object.clone();
        json_patch::patch(&mut patched, &verdict.patch).unwrap();
        let again = engine.mutate_and_check(&Review { object: (&patched).into(), ..review }).unwrap();
        assert_eq!(again.patch.0, [], "{}: a second application must be empty", fixture.name);
        assert_eq!(
            again.findings, verdict.findings,
            "{}: the patched object must be judged the same",
            fixture.name
        );
    }
}

/// A webhook knows neither ConfigMaps nor Secrets: a fixture says where CI sees more than a cluster for that reason.
#[test]
fn what_ci_sees_more_than_a_cluster_is_said() {
    let is_config =
        |object: &&serde_json::Value| ["ConfigMap", "Secret"].iter().any(|kind| object["kind"] == *kind);
    let mut seen = 0;
    for fixture in
        all().into_iter().filter(|fixture| fixture.cluster().iter().any(|object| is_config(&object)))
    {
        let policies = fixture.policies();
        let mut lookup = MapLookup::default();
        lookup.set_complete();
        for object in fixture.cluster().iter().filter(|object| !is_config(object)) {
            lookup.add(&Facts::read(object, None).unwrap());
        }
        let engine = Engine { policies: &policies, lookup: &lookup, today: TODAY };
        let verdict = engine.mutate_and_check(&Review::create(&fixture.object)).unwrap();
        fixture.compare_with(fixture.expected_in_cluster(), "a cluster", &verdict.findings, &verdict.patch);
        let silent = verdict.findings.is_empty() && !fixture.expect.findings.is_empty();
        assert!(!silent, "{}: what a cluster does not know must not be silence", fixture.name);
        seen += usize::from(fixture.in_cluster.is_some());
    }
    assert!(seen > 5, "fixtures must show where CI sees more: {seen}");
}

#[test]
fn check_finds_what_is_expected() {
    // `check` takes every object for a new one, that nobody asks for.
    for fixture in all().into_iter().filter(|fixture| fixture.old.is_none() && fixture.user.is_none()) {
        let (findings, patch) = check(&fixture);
        fixture.compare("check", &findings, &patch);
    }
}

/// A state of these objects that has every kind, as a fixture's cluster is meant.
fn whole_cluster(objects: &[serde_json::Value]) -> [Input; 1] {
    let list = |api_version: &str, kind: &str| serde_json::json!({"apiVersion": api_version, "kind": kind, "items": []});
    let mut lists = vec![serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects})];
    lists.extend(
        ["PersistentVolumeClaimList", "PersistentVolumeList", "NamespaceList", "NodeList"]
            .map(|kind| list("v1", kind)),
    );
    lists.push(list("storage.k8s.io/v1", "StorageClassList"));
    let text: String = lists.iter().map(|list| format!("{list}\n")).collect();
    [Input::new(Source::new("context.json", text), true)]
}

fn check(fixture: &Fixture) -> (Vec<volgate::verdict::Finding>, json_patch::Patch) {
    let context = whole_cluster(&fixture.cluster());
    let policies = fixture.policies();
    let run = Run { namespace: NAMESPACE, ..Run::new(&policies, TODAY).in_cluster(&context) };
    let inputs = [Input::new(Source::new("object.json", fixture.object.to_string()), true)];
    let mut report = run.check(&inputs);
    assert!(report.faults.is_empty(), "{}: {:?}", fixture.name, report.faults);
    let patch = report.changes.pop().map(|change| change.patch).unwrap_or_default();
    (report.findings.into_iter().map(|located| located.finding).collect(), patch)
}

/// A workload as a popular chart renders it; see tests/charts/README.md.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Chart {
    about: String,
    kind: String,
    #[serde(default)]
    annotations: serde_json::Value,
    pod: serde_json::Value,
    #[serde(default)]
    claims: Vec<String>,
    expect: Vec<String>,
}

impl Chart {
    fn manifest(&self) -> serde_json::Value {
        let pod = &self.pod;
        let template = json!({"metadata": {"labels": {"app": "chart"}}, "spec": pod});
        let (api_version, mut spec) = match self.kind.as_str() {
            "Pod" => ("v1", pod.clone()),
            "Job" => ("batch/v1", json!({"template": template})),
            "CronJob" => (
                "batch/v1",
                json!({"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": template}}}),
            ),
            _ => ("apps/v1", json!({"selector": {"matchLabels": {"app": "chart"}}, "template": template})),
        };
        let claim = |name| {
            json!({"metadata": {"name": name}, "spec": {"accessModes": ["ReadWriteOnce"],
                   "resources": {"requests": {"storage": "8Gi"}}}})
        };
        let claims: serde_json::Value = self.claims.iter().map(claim).collect();
        if let Some(spec) = spec.as_object_mut().filter(|_| !self.claims.is_empty()) {
            spec.insert("volumeClaimTemplates".to_owned(), claims);
        }
        json!({"apiVersion": api_version, "kind": self.kind, "spec": spec,
               "metadata": {"name": "chart", "annotations": self.annotations}})
    }
}

#[test]
fn what_charts_render_is_judged_as_a_storage_engineer_would() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/charts");
    let files = std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path());
    let policies = PolicySet::build(vec![embedded_baseline().unwrap()]).unwrap();
    let run = Run { namespace: NAMESPACE, ..Run::new(&policies, TODAY) };
    let (mut count, mut wrong) = (0, Vec::new());
    for file in files.filter(|file| file.extension().is_some_and(|end| end == "yaml")) {
        for document in volgate::source::parse(&std::fs::read_to_string(&file).unwrap()) {
            let document = document.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            let chart: Chart = serde_json::from_value(document.value)
                .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            count += 1;
            let inputs = [Input::new(Source::new("chart.json", chart.manifest().to_string()), true)];
            let report = run.check(&inputs);
            let findings = report.findings.iter().map(|located| &located.finding);
            let data = findings.filter(|finding| finding.rule == "durable-data");
            let found: Vec<String> = data
                .filter(|finding| effective(finding) != Action::Audit)
                .map(|finding| format!("{} {}", effective(finding), finding.message))
                .collect();
            let fits = |(line, wanted): (&String, &String)| {
                let (action, part) = wanted.split_once(' ').unwrap();
                line.strip_prefix(action).is_some_and(|message| message.contains(part))
            };
            let same = found.len() == chart.expect.len() && found.iter().zip(&chart.expect).all(fits);
            if !same || !report.faults.is_empty() {
                wrong.push(format!("{}: {found:#?}, not {:#?}", chart.about, chart.expect));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 60, "{count} manifests");
}

#[test]
fn every_rule_has_a_case_that_passes_and_one_that_does_not() {
    let names: BTreeSet<String> = all().into_iter().map(|fixture| fixture.name).collect();
    let has = |prefix: String| names.iter().any(|name| name.starts_with(&prefix));
    for rule in volgate::rules::all() {
        let id = rule.id;
        let acts = ["deny", "warn", "audit", "mutate"].iter().any(|kind| has(format!("{id}/{kind}-")));
        assert!(acts, "tests/fixtures/{id} needs a case in which the rule acts");
        assert!(has(format!("{id}/allow-")), "tests/fixtures/{id} needs a case in which the rule is content");
    }
}

/// One custom resource of tests/custom_resources.json, with the field of its strictest finding under what it leads to.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct CustomResource {
    kind: String,
    spec: serde_json::Value,
    deny: Option<String>,
    warn: Option<String>,
    allow: Option<bool>,
}

/// The baseline, with bounds for claims: what is always on claims is refused for its class, and told for its size and mode.
fn bounds() -> serde_json::Value {
    json!({"apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy", "metadata": {"name": "bounds"},
    "spec": {"rules": [
        {"claimClass": {"deny": ["forbidden"]}},
        {"claimSize": {"max": "1Ti"}, "action": "Warn"},
        {"accessModes": {"allow": ["ReadWriteOnce"]}, "action": "Warn"},
    ]}})
}

#[test]
fn custom_resources_are_judged_by_the_table() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/custom_resources.json");
    let cases: Vec<CustomResource> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let bounds = volgate::policy::load(&bounds()).unwrap();
    let policies = PolicySet::build(vec![embedded_baseline().unwrap(), bounds]).unwrap();
    let mut seen: BTreeSet<(String, &str)> = BTreeSet::new();
    for case in &cases {
        let (api_version, kind) = case.kind.split_once(' ').unwrap();
        let object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "x", "namespace": "apps"},
                            "spec": case.spec});
        let inputs = [Input::new(Source::new("object.json", object.to_string()), true)];
        let run = Run { namespace: NAMESPACE, ..Run::new(&policies, TODAY) };
        let report = run.check(&inputs);
        assert!(report.faults.is_empty() && report.judged == 1, "{object}: {:?}", report.faults);
        assert!(report.changes.is_empty(), "{object}: a custom resource is judged and never changed");
        let told: Vec<String> = report
            .findings
            .iter()
            .map(|located| &located.finding)
            .map(|finding| format!("{} {} {}", effective(finding), finding.field, finding.message))
            .collect();
        let strictest = report.findings.iter().map(|located| effective(&located.finding)).max();
        let (wanted, field, what) = match (&case.deny, &case.warn) {
            (Some(field), _) => (Some(Action::Deny), field.as_str(), "deny"),
            (_, Some(field)) => (Some(Action::Warn), field.as_str(), "warn"),
            _ => (None, "", "allow"),
        };
        assert_eq!(case.allow.is_some(), wanted.is_none(), "{object}");
        assert_eq!(strictest, wanted, "{object}: {told:#?}");
        let at = |located: &volgate::check::Located| {
            effective(&located.finding) == wanted.unwrap() && located.finding.field.to_string() == field
        };
        assert!(wanted.is_none() || report.findings.iter().any(at), "{object}: not at {field}: {told:#?}");
        seen.insert((format!("{} {kind}", api_version.split_once('/').unwrap().0), what));
    }
    for entry in volgate::catalog::Catalog::embedded().kinds().entries() {
        for kind in entry.kinds.keys() {
            let name = format!("{} {kind}", entry.group);
            let shown: Vec<&str> = ["deny", "warn", "allow"]
                .into_iter()
                .filter(|what| seen.contains(&(name.clone(), *what)))
                .collect();
            // A Job that runs a database is a warning at most; these say nothing that could be refused.
            let batch = entry.stores.is_empty()
                && entry.pods.iter().all(|pods| pods.alike == volgate::facts::PodsAs::Job);
            let wanted: &[&str] = match kind.as_str() {
                _ if batch => &["warn", "allow"],
                "Jaeger" | "Stream" | "Keycloak" => &["warn", "allow"],
                "LokiStack" => &["deny", "allow"],
                _ => &["deny", "warn", "allow"],
            };
            assert_eq!(shown, wanted, "{name} has a case for each verdict");
        }
    }
}
