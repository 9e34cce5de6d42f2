//! `volgate reports` against a real API server, with the rights that the chart gives it.

use crate::support::cluster::{ADMIN, wait_until};
use crate::support::report_crd::report_crd;
use crate::support::run::root;
use crate::support::serve::{ask, free_address};
use crate::support::{Cluster, Options, Output, Process, Scratch, User, say, volgate};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);
/// The account of the chart.
const ACCOUNT: &str = "system:serviceaccount:volgate-system:volgate-reports";

/// A Redis without storage in a Deployment, and a bare database.
const OBJECTS: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: cache, namespace: shop}
spec:
  replicas: 1
  selector: {matchLabels: {app: cache}}
  template:
    metadata: {labels: {app: cache}}
    spec: {containers: [{name: redis, image: "redis:7"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: bare, namespace: shop}
spec: {containers: [{name: postgres, image: "postgres:17"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec: {containers: [{name: web, image: "nginx:1"}]}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: local-path}
provisioner: local-path.volgate.dev
volumeBindingMode: Immediate
"#;

struct World {
    cluster: Cluster,
    scratch: Scratch,
}

impl World {
    async fn start() -> Option<Self> {
        let cluster = Cluster::own(Options {
            scheduler: false,
            users: vec![User { name: ACCOUNT.into(), groups: Vec::new() }],
            ..Options::default()
        })?;
        cluster.namespace("shop", &[]).await;
        let world = Self { cluster, scratch: Scratch::new("reports").unwrap() };
        for file in ["namespace", "crd", "components/reports/reports"] {
            let file = root(format!("manifests/{file}.yaml"));
            world.works(&["apply", "-f", file.to_str().unwrap()], None).await;
        }
        wait_until("the CRD", LIMIT, async || {
            let file = root("policies/baseline.yaml");
            let output = world.cluster.kubectl(&["apply", "-f", file.to_str().unwrap()], None).await;
            if output.success { Ok(()) } else { Err(output.stderr) }
        })
        .await;
        world.works(&["apply", "-f", "-"], Some(OBJECTS)).await;
        // The pods of workloads are there, so that they are known to be judged with these.
        world
            .until("pods -l app=cache", |pods| pods["items"].as_array().is_some_and(|pods| pods.len() == 1))
            .await;
        Some(world)
    }

    async fn works(&self, args: &[&str], stdin: Option<&str>) -> String {
        let output = self.cluster.kubectl(args, stdin).await;
        assert!(output.success, "kubectl {args:?}: {output}");
        output.stdout
    }

    /// Both kinds of reports of an API.
    async fn report_kinds(&self, group: &str, version: &str, kinds: [(&str, &str); 2], severities: &[&str]) {
        for (kind, plural) in kinds {
            let crd = report_crd(group, version, kind, plural, severities).to_string();
            self.works(&["apply", "-f", "-"], Some(&crd)).await;
            let name = format!("crd/{plural}.{group}");
            self.works(&["wait", "--for=condition=Established", "--timeout=60s", &name], None).await;
        }
        let (_, plural) = kinds[0];
        self.until(&format!("{plural}.{group}"), |list| list["items"].is_array()).await;
    }

    async fn get(&self, what: &str) -> Value {
        let words: Vec<&str> = what.split(' ').collect();
        let args = [&["get", "-n", "shop", "-o", "json"], &words[..]].concat();
        let output = self.cluster.kubectl(&args, None).await;
        if output.success { serde_json::from_str(&output.stdout).unwrap() } else { Value::Null }
    }

    async fn until(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        wait_until(what, LIMIT, async || {
            let found = self.get(what).await;
            if is(&found) { Ok(found) } else { Err(found.to_string()) }
        })
        .await
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = volgate();
        command.arg("reports").args(args).current_dir(self.scratch.path());
        command.env("KUBECONFIG", self.cluster.kubeconfig_for(ACCOUNT));
        for variable in ["KUBERNETES_SERVICE_HOST", "RUST_LOG", "HTTPS_PROXY", "https_proxy"] {
            command.env_remove(variable);
        }
        command
    }

    /// A round.
    fn once(&self) -> Output {
        crate::support::run(self.command(&["--once"]), None).unwrap()
    }

    /// A round that works; what it says.
    #[track_caller]
    fn round(&self) -> String {
        let output = self.once();
        assert!(output.success, "{output}");
        output.stdout
    }

    /// The reports of a resource in the namespace: what each is about, and what it says.
    async fn reports(&self, resource: &str) -> Vec<Value> {
        let list = self.get(&format!("{resource} -l app.kubernetes.io/managed-by=volgate")).await;
        let mut reports = list["items"].as_array().cloned().unwrap_or_default();
        reports.sort_by_key(|report| report["scope"]["name"].to_string());
        reports
    }
}

fn about(reports: &[Value]) -> Vec<String> {
    let name = |report: &Value| {
        format!("{} {}", report["scope"]["kind"].as_str().unwrap(), report["scope"]["name"].as_str().unwrap())
    };
    reports.iter().map(name).collect()
}

const POLICY_REPORTS: &str = "policyreports.wgpolicyk8s.io";
const REPORTS: &str = "reports.openreports.io";
/// Another engine's reports: one with its own labels, one with the name that volgate would give.
fn foreign(uid: &str) -> String {
    format!(
        "apiVersion: wgpolicyk8s.io/v1alpha2\nkind: PolicyReport\nmetadata: {{name: other, namespace: shop, labels: \
         {{app.kubernetes.io/managed-by: kyverno}}}}\nsummary: {{fail: 3}}\n---\napiVersion: wgpolicyk8s.io/v1alpha2\nkind: \
         PolicyReport\nmetadata: {{name: volgate-{uid}, namespace: shop}}\nsummary: {{fail: 4}}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_are_written_kept_and_deleted_and_foreign_ones_are_not_touched() {
    let Some(world) = World::start().await else { return };

    // Without either API nothing can be written, and that is said.
    let output = world.once();
    assert!(!output.success && output.stderr.contains("neither the CustomResourceDefinitions"), "{output}");

    let kinds = [("PolicyReport", "policyreports"), ("ClusterPolicyReport", "clusterpolicyreports")];
    world.report_kinds("wgpolicyk8s.io", "v1alpha2", kinds, &["high", "low", "medium"]).await;
    let said = world.round();
    assert!(said.contains("2 reports of wgpolicyk8s.io, 2 of them written now"), "{said}");
    let reports = world.reports(POLICY_REPORTS).await;
    assert_eq!(
        about(&reports),
        ["Pod bare", "Deployment cache"],
        "pods of the Deployment are judged with it"
    );
    let table = world.works(&["get", "policyreports", "-n", "shop", "-o", "wide"], None).await;
    assert!(table.contains("Deployment") && table.contains("cache"), "{table}");
    let [bare, cache] = &reports[..] else { panic!("{reports:?}") };
    assert_eq!(cache["summary"], json!({"pass": 0, "fail": 1, "warn": 0, "error": 0, "skip": 0}));
    let result = &cache["results"][0];
    assert_eq!(
        (&result["result"], &result["policy"], &result["rule"], &result["source"], &result["severity"]),
        (&json!("fail"), &json!("baseline"), &json!("durable-data"), &json!("volgate"), &json!("high"))
    );
    assert!(result["message"].as_str().unwrap().contains("Redis keeps its data in /data"), "{result}");
    assert_eq!(result["properties"]["field"], "spec.template.spec.containers[0].image");
    assert_eq!(
        cache["metadata"]["ownerReferences"][0]["uid"],
        world.get("deployment/cache").await["metadata"]["uid"]
    );

    // What has not changed is not written again.
    let versions = |reports: &[Value]| {
        reports.iter().map(|report| report["metadata"]["resourceVersion"].clone()).collect::<Vec<_>>()
    };
    assert!(world.round().contains("2 reports of wgpolicyk8s.io, 0 of them written now"));
    assert_eq!(versions(&world.reports(POLICY_REPORTS).await), versions(&reports));

    // What somebody else has changed in one is put right; an object that is new, changed or gone is followed.
    let name = bare["metadata"]["name"].as_str().unwrap();
    let patch = r#"{"summary": {"fail": 0}, "results": []}"#;
    world.works(&["patch", "-n", "shop", "policyreport", name, "--type=merge", "-p", patch], None).await;
    world.works(&["set", "image", "-n", "shop", "deployment/cache", "redis=nginx:1"], None).await;
    world.works(&["run", "-n", "shop", "new", "--image=mysql:8"], None).await;
    world.round();
    let reports = world.reports(POLICY_REPORTS).await;
    assert_eq!(about(&reports), ["Pod bare", "Pod new"]);
    assert_eq!(
        (&reports[0]["summary"]["fail"], &reports[0]["results"][0]["result"]),
        (&json!(1), &json!("fail"))
    );

    // With its object a report goes by itself.
    world.works(&["delete", "pod", "-n", "shop", "new", "--now"], None).await;
    world
        .until(&format!("{POLICY_REPORTS} -l app.kubernetes.io/managed-by=volgate"), |list| {
            list["items"].as_array().is_some_and(|items| items.len() == 1)
        })
        .await;

    // A policy that asks about a class: a report of the whole cluster.
    let policy = "apiVersion: volgate.dev/v1alpha1\nkind: StoragePolicy\nmetadata: {name: classes}\nspec:\n  rules: \
                  [{bindingMode: {provisioners: [local-path.volgate.dev]}}]\n";
    world.works(&["apply", "-f", "-"], Some(policy)).await;
    world.round();
    assert_eq!(about(&world.reports("clusterpolicyreports").await), ["StorageClass local-path"]);
    world.works(&["delete", "storagepolicy", "classes"], None).await;
    world.round();
    assert!(world.reports("clusterpolicyreports").await.is_empty());

    // What belongs to somebody else stays, even under the name that volgate would give.
    world.works(&["run", "-n", "shop", "late", "--image=mysql:8"], None).await;
    let late = world.get("pod/late").await["metadata"]["uid"].as_str().unwrap().to_owned();
    world.works(&["apply", "-f", "-"], Some(&foreign(&late))).await;
    let output = world.once();
    assert!(!output.success && output.stderr.contains("somebody else has one of this name"), "{output}");
    let of_others = async |world: &World| {
        [world.get("policyreport/other").await, world.get(&format!("policyreport/volgate-{late}")).await]
            .map(|report| report["summary"]["fail"].clone())
    };
    assert_eq!(of_others(&world).await, [json!(3), json!(4)]);
    // Nor could it if it tried.
    let tried =
        world.cluster.kubectl_as(ACCOUNT, &["delete", "-n", "shop", "policyreport", "other"], None).await;
    assert!(!tried.success && tried.stderr.contains("app.kubernetes.io/managed-by=volgate alone"), "{tried}");
    let label =
        ["label", "-n", "shop", "policyreport", name, "app.kubernetes.io/managed-by=x", "--overwrite"];
    assert!(!world.cluster.kubectl_as(ACCOUNT, &label, None).await.success);
    for (verb, what) in
        [("get", "secrets"), ("list", "configmaps"), ("create", "pods"), ("delete", "deployments")]
    {
        let said = world.cluster.kubectl(&["auth", "can-i", verb, what, "-A", "--as", ACCOUNT], None).await;
        assert_eq!(said.stdout.trim(), "no", "{verb} {what}");
    }
    world.works(&["delete", "pod", "-n", "shop", "late", "--now"], None).await;

    // A kind that cannot be read keeps its reports; without what verdicts depend on, all stay.
    let rule = json!([{"op": "add", "path": "/rules/0/resources", "value": ["persistentvolumes", "persistentvolumeclaims",
        "nodes", "namespaces", "podtemplates", "replicationcontrollers"]}])
    .to_string();
    world.works(&["patch", "clusterrole", "volgate-reports", "--type=json", "-p", &rule], None).await;
    world.until_forbidden("pods").await;
    let said = world.round();
    assert!(said.contains("0 of them written now"), "{said}");
    assert_eq!(about(&world.reports(POLICY_REPORTS).await), ["Pod bare"]);
    let rule = json!([{"op": "remove", "path": "/rules/0"}]).to_string();
    world.works(&["patch", "clusterrole", "volgate-reports", "--type=json", "-p", &rule], None).await;
    world.until_forbidden("nodes").await;
    let output = world.once();
    assert!(!output.success && output.stderr.contains("failed to list"), "{output}");
    assert_eq!(about(&world.reports(POLICY_REPORTS).await), ["Pod bare"]);
    let file = root("manifests/components/reports/reports.yaml");
    world.works(&["apply", "-f", file.to_str().unwrap()], None).await;

    // Where both APIs are, openreports.io it is; its predecessor's reports go, and others' stay.
    let kinds = [("Report", "reports"), ("ClusterReport", "clusterreports")];
    world
        .report_kinds("openreports.io", "v1alpha1", kinds, &["critical", "high", "low", "medium", "info"])
        .await;
    wait_until("the role is whole again", LIMIT, async || {
        let output = world.once();
        if output.success { Ok(()) } else { Err(output.to_string()) }
    })
    .await;
    assert_eq!(about(&world.reports(REPORTS).await), ["Pod bare"]);
    assert!(world.reports(POLICY_REPORTS).await.is_empty());
    assert_eq!(of_others(&world).await, [json!(3), json!(4)]);
}

impl World {
    async fn until_forbidden(&self, resource: &str) {
        wait_until("the right is gone", LIMIT, async || {
            let said =
                self.cluster.kubectl(&["auth", "can-i", "list", resource, "-A", "--as", ACCOUNT], None).await;
            if said.stdout.trim() == "no" { Ok(()) } else { Err(said.to_string()) }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_runs_on_follows_policies_and_stays_within_bounds() {
    let Some(world) = World::start().await else { return };
    let kinds = [("Report", "reports"), ("ClusterReport", "clusterreports")];
    world
        .report_kinds("openreports.io", "v1alpha1", kinds, &["critical", "high", "low", "medium", "info"])
        .await;
    world.cluster.namespace("many", &[]).await;
    let pods: String = (0..205)
        .map(|number| {
            format!(
                "apiVersion: v1\nkind: Pod\nmetadata: {{name: p{number:03}, namespace: many}}\nspec: {{containers: [{{name: r, image: \
                 redis}}]}}\n---\n"
            )
        })
        .collect();
    world.works(&["create", "-f", "-"], Some(&pods)).await;

    let health = free_address();
    // The interval is longer than the test: what happens later happens because a policy has changed.
    let command = world.command(&["--interval", "3600", "--health-listen", &health.to_string()]);
    let process = Process::spawn("volgate", &command, &world.scratch.path().join("log")).unwrap();
    let answers = async |path: &str, status: u16| {
        wait_until(&format!("{path} answers {status}"), LIMIT, async || match ask(health, path).await {
            Ok((found, body)) if found == status => Ok(body),
            seen => Err(format!("{seen:?}\n{}", process.log_tail(20))),
        })
        .await
    };
    answers("/readyz", 200).await;
    let all = world.works(&["get", REPORTS, "-n", "many", "-o", "json"], None).await;
    let all: Value = serde_json::from_str(&all).unwrap();
    let all = all["items"].as_array().unwrap();
    assert_eq!(all.len(), 201, "and one that says what is left out");
    let more = all.iter().find(|report| report["metadata"]["name"] == "volgate-more").unwrap();
    let message = more["results"][0]["message"].as_str().unwrap();
    assert!(message.starts_with("5 more objects with findings have no report"), "{message}");
    assert_eq!(about(&world.reports(REPORTS).await), ["Pod bare", "Deployment cache"], "others have theirs");

    let metrics = answers("/metrics", 200).await;
    for line in [
        "volgate_reports_findings{namespace=\"many\",rule=\"durable-data\",result=\"fail\"} 205",
        "volgate_reports_findings{namespace=\"shop\",rule=\"durable-data\",result=\"fail\"} 2",
        "volgate_reports_objects_left_out 5",
        "volgate_reports_stored{api=\"openreports.io\"} 203",
        "volgate_reports_rounds_total{result=\"success\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }

    // Without a policy nothing is judged, and no report stands for anything.
    world.works(&["delete", "storagepolicy", "baseline"], None).await;
    wait_until("the reports are gone", LIMIT, async || {
        let left = world.works(&["get", REPORTS, "-A", "-o", "name"], None).await;
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await;
    process.signal("TERM");
    assert!(process.wait().unwrap().success(), "{}", process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_knows_whether_reports_can_be_written() {
    let Some(world) = World::start().await else { return };
    let doctor = async || {
        let mut command = volgate();
        command.args(["doctor", "--format", "json"]).env("KUBECONFIG", world.cluster.kubeconfig_for(ADMIN));
        command.env_remove("KUBERNETES_SERVICE_HOST");
        let output = crate::support::run(command, None).unwrap();
        let report: Value = serde_json::from_str(&output.stdout).unwrap();
        let checks = report["checks"].as_array().unwrap().iter();
        let checks = checks.filter(|check| check["area"] == "reports");
        checks.map(|check| check["message"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join("\n")
    };
    assert!(doctor().await.contains("neither the CustomResourceDefinitions"));
    let kinds = [("PolicyReport", "policyreports"), ("ClusterPolicyReport", "clusterpolicyreports")];
    world.report_kinds("wgpolicyk8s.io", "v1alpha2", kinds, &["high", "low", "medium"]).await;
    assert!(!doctor().await.contains("neither the CustomResourceDefinitions"));
    // No node runs its pod here.
    assert!(doctor().await.contains("Deployment volgate-system/volgate-reports has 0 of 1 pods ready"));
}

/// Not asserted, as they are times: how long two rounds take, and the memory of each.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: makes 10,000 pods"]
async fn ten_thousand_pods_of_which_a_tenth_loses_data() {
    const COUNT: usize = 10_000;
    let Some(world) = World::start().await else { return };
    let kinds = [("PolicyReport", "policyreports"), ("ClusterPolicyReport", "clusterpolicyreports")];
    world.report_kinds("wgpolicyk8s.io", "v1alpha2", kinds, &["high", "low", "medium"]).await;
    let pods: Api<Pod> = Api::namespaced(world.cluster.client(ADMIN), "shop");
    let make = async |number: usize| {
        let image = if number.is_multiple_of(10) { "redis:7" } else { "nginx:1" };
        let pod = json!({"metadata": {"name": format!("pod-{number}")}, "spec": {"containers": [
            {"name": "main", "image": image, "env": [{"name": "LOG_LEVEL", "value": "info"}]}]}});
        pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    };
    futures::stream::iter(0..COUNT).for_each_concurrent(32, make).await;
    for round in ["first", "second"] {
        let began = Instant::now();
        let mut child =
            world.command(&["--once"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut peak = String::new();
        while child.try_wait().unwrap().is_none() {
            let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
            peak = status.lines().find(|line| line.starts_with("VmHWM")).map_or(peak, str::to_owned);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let took = began.elapsed();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        say(&format!("{round} round: {took:.1?}, {peak}: {}", String::from_utf8_lossy(&output.stdout)));
    }
    let reports =
        world.works(&["get", "policyreports", "-n", "shop", "-o", "name"], None).await.lines().count();
    assert!(
        (200..COUNT / 10).contains(&reports),
        "{reports} reports: a namespace has 200 and one for the rest"
    );
}
