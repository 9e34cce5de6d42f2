//! Workloads that are refused for their data, and what `volgate fix` makes of them: the fixtures, and every product of the
//! catalog.

use super::fixtures::{NAMESPACE, all};
use super::run::TODAY;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use volgate::catalog::{Catalog, Entry};
use volgate::check::{Input, Run, Wanted, effective};
use volgate::policy::{PolicySet, load};
use volgate::source::{Source, to_yaml};
use volgate::verdict::Action;

/// A workload, and by what it is judged.
pub struct Case {
    name: String,
    policies: PolicySet,
    cluster: Vec<Value>,
    object: Value,
}

impl Case {
    fn context(&self) -> Vec<Input> {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": self.cluster}).to_string();
        if self.cluster.is_empty() {
            Vec::new()
        } else {
            vec![Input::new(Source::new("context.json", list), true)]
        }
    }

    fn run<'r>(&'r self, context: &'r [Input]) -> Run<'r> {
        Run {
            policies: &self.policies,
            context,
            complete: !context.is_empty(),
            namespace: NAMESPACE,
            today: TODAY,
            requester: None,
        }
    }
}

/// How many findings refuse an object for its data.
fn lost(run: &Run<'_>, inputs: &[Input]) -> usize {
    let report = run.check(inputs);
    let is_lost = |located: &&volgate::check::Located| {
        located.finding.rule == "durable-data" && effective(&located.finding) == Action::Deny
    };
    report.findings.iter().filter(is_lost).count()
}

fn policies(spec: &Value) -> PolicySet {
    let policy = json!({"apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy", "metadata": {"name": "p"}, "spec": spec});
    PolicySet::build(vec![load(&policy).unwrap()]).unwrap()
}

/// The fixtures.
pub fn fixtures() -> Vec<Case> {
    let new = all().into_iter().filter(|fixture| fixture.old.is_none() && fixture.user.is_none());
    new.map(|fixture| Case {
        name: format!("fixture {}", fixture.name),
        policies: fixture.policies(),
        cluster: fixture.cluster(),
        object: fixture.object.clone(),
    })
    .collect()
}

fn workload(kind: &str, name: &str, pod: Value) -> Value {
    let template = json!({"metadata": {"labels": {"app": name}}, "spec": pod});
    let selector = json!({"matchLabels": {"app": name}});
    let mut spec = json!({"selector": selector, "template": template});
    if kind == "StatefulSet" {
        spec["serviceName"] = json!(name);
    }
    json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// An image that a pattern of the catalog is about.
fn image_of(pattern: &str) -> String {
    let image = pattern.replace("-#", "-16").replace("/*", "/some");
    match image.strip_prefix('*') {
        Some(end) => format!("example.org/some{end}"),
        None => image,
    }
}

/// Each product of the catalog as a Deployment with nothing mounted, and as a StatefulSet with an emptyDir.
pub fn products() -> Vec<Case> {
    let keeps = |entry: &&Entry| entry.stateful && !entry.data.is_empty();
    let mut cases = Vec::new();
    for (index, entry) in Catalog::embedded().entries().iter().filter(keeps).enumerate() {
        let Some(image) = entry.images.first().map(|pattern| image_of(pattern)) else { continue };
        let directory = entry.data[0].path.clone().unwrap_or_else(|| "/data".to_owned());
        let directory = match (directory.strip_prefix('/'), &entry.working_dir) {
            (Some(_), _) => directory,
            (None, Some(outer)) => format!("{outer}/{directory}"),
            (None, None) => format!("/{directory}"),
        };
        let directory = directory.trim_end_matches("/.").to_owned();
        let container = json!({"name": "server", "image": image, "ports": [{"containerPort": 80}]});
        let mut mounted = container.clone();
        mounted["volumeMounts"] = json!([{"name": "store", "mountPath": directory}]);
        let pods = [
            ("Deployment", json!({"containers": [container]})),
            ("StatefulSet", json!({"containers": [mounted], "volumes": [{"name": "store", "emptyDir": {}}]})),
        ];
        for (kind, pod) in pods {
            cases.push(Case {
                name: format!("{} as a {kind}", entry.product),
                policies: policies(
                    &json!({"rules": [{"durableData": {"dispensable": "Deny", "statefulSetData": "Deny"}}]}),
                ),
                cluster: Vec::new(),
                object: workload(kind, &format!("p{index}"), pod),
            });
        }
    }
    cases
}

/// What was fixed, as text, and which cases were not.
pub fn fixed(cases: &[Case]) -> (Vec<(String, String)>, BTreeMap<String, String>) {
    let (mut texts, mut open) = (Vec::new(), BTreeMap::new());
    for case in cases {
        let context = case.context();
        let run = case.run(&context);
        let inputs = [Input::new(Source::new("object.yaml", to_yaml(&case.object)), true)];
        if lost(&run, &inputs) == 0 {
            continue;
        }
        let repaired = run.repair(&inputs, &Wanted::default());
        if repaired.repairs.is_empty() {
            let mut report = run.check(&inputs);
            repaired.explain(&mut report);
            let help = report.findings.into_iter().find_map(|located| located.finding.help);
            let help = help.unwrap_or_default();
            let why = help.rsplit_once("volgate cannot write the volume: ").map_or(&*help, |(_, why)| why);
            assert_eq!(repaired.inputs[0].source.text, inputs[0].source.text, "{}", case.name);
            open.insert(case.name.clone(), why.to_owned());
            continue;
        }
        assert_eq!(lost(&run, &repaired.inputs), 0, "{} is still refused", case.name);
        let again = run.repair(&repaired.inputs, &Wanted::default());
        assert_eq!(again.repairs.len(), 0, "{}: a second time there is nothing to do", case.name);
        texts.push((case.name.clone(), repaired.inputs[0].source.text.to_string()));
    }
    (texts, open)
}
