//! `charts/volgate`: the one source of `manifests/` and `install.yaml`, taken by a real API server.

use crate::support;
use crate::support::helm::{RENDERED, lint, objects, template, try_template};
use crate::support::run::root;
use crate::support::{Cluster, Options, cluster_tests_skipped};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The namespace in `manifests/` and `install.yaml`.
const NAMESPACE: &str = "volgate-system";
/// What the chart is rendered with for whoever has no Helm: the namespace is an object, and nobody keeps CRDs.
const WITHOUT_HELM: [&str; 5] = ["--no-hooks", "--set", "namespace.create=true", "--set", "crds.keep=false"];
const HEAD: &str =
    "# Rendered from charts/volgate; do not edit. Write it again: UPDATE=1 cargo test --test cluster chart\n";
const FIRST: &str = "# This goes first, so that `kubectl delete -f` takes away volgate's right to register, and what it has registered, before all else.\n";
/// All that is off by default.
const EVERYTHING: [&str; 2] = [
    "--set",
    "metrics.service.enabled=true,metrics.podMonitor.enabled=true,metrics.serviceMonitor.enabled=true,\
     metrics.prometheusRule.enabled=true,metrics.dashboard.enabled=true,namespace.create=true,reports.enabled=true,webhook.events=true",
];

/// The component of `manifests/` that is off by default.
const REPORTS: &str = "manifests/components/reports/reports.yaml";

/// The documents of a rendered chart by the template that they come from, without what is Helm's own.
fn rendered(further: &[&str]) -> BTreeMap<String, String> {
    let text = template(NAMESPACE, &[&WITHOUT_HELM[..], further].concat());
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for document in text.split("---\n# Source: volgate/templates/").skip(1) {
        let (name, document) = document.split_once(".yaml\n").unwrap();
        let lines = document.lines().map(str::trim_end).filter(|line| {
            let field = line.trim_start();
            !field.starts_with("helm.sh/chart:") && !field.starts_with("app.kubernetes.io/managed-by:")
        });
        let document = lines.collect::<Vec<_>>().join("\n");
        let file = files.entry(name.to_owned()).or_insert_with(|| HEAD.to_owned());
        if file.len() > HEAD.len() {
            file.push_str("---\n");
        }
        file.push_str(document.trim());
        file.push('\n');
    }
    files
}

#[track_caller]
fn is_current(file: &str, wanted: &str) {
    let path = root(file);
    if std::env::var("UPDATE").is_ok_and(|value| value == "1") {
        std::fs::write(&path, wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let line = found.lines().zip(wanted.lines()).position(|(found, wanted)| found != wanted);
    assert!(
        found == wanted,
        "{file} is not what the chart renders (from line {line:?} on, counted from 0): UPDATE=1 cargo test --test cluster chart"
    );
}

#[test]
fn the_manifests_are_rendered_from_the_chart() {
    if cluster_tests_skipped() {
        return;
    }
    let files = rendered(&[]);
    let mut wanted: BTreeSet<&str> = RENDERED.into();
    wanted.insert("crd");
    assert_eq!(files.keys().map(String::as_str).collect::<BTreeSet<_>>(), wanted);
    for name in RENDERED {
        is_current(&format!("manifests/{name}.yaml"), &files[name]);
    }
    is_current("install.yaml", &install(&files));
    is_current(REPORTS, &rendered(&["--set", "reports.enabled=true"])["reports"]);
}

/// One file for `kubectl apply -f`: a namespace and CRDs go before what is in or of them. What owns the webhook configurations
/// goes before all else, as `kubectl delete -f` keeps to the order.
fn install(files: &BTreeMap<String, String>) -> String {
    let of = |name: &str| files[name].strip_prefix(HEAD).unwrap();
    let (owner, registration) = of("registration").split_once("---\n").unwrap();
    assert!(owner.contains("kind: ClusterRole\n"), "{owner}");
    let order = ["namespace", "crd"].into_iter().chain(RENDERED.into_iter().skip(1));
    let rest = order.map(|name| if name == "registration" { registration } else { of(name) });
    let all: Vec<&str> = std::iter::once(owner).chain(rest).collect();
    format!("{HEAD}{FIRST}{}", all.join("---\n"))
}

/// Objects by kind and name, without the labels and annotations that say who has applied them.
fn by_name(objects: Vec<Value>) -> BTreeMap<String, Value> {
    let mut named = BTreeMap::new();
    for mut object in objects {
        let metadata = object["metadata"].as_object_mut().unwrap();
        for (of, keys) in [
            ("labels", &["app.kubernetes.io/managed-by", "helm.sh/chart"][..]),
            ("annotations", &["helm.sh/resource-policy"][..]),
        ] {
            if let Some(map) = metadata.get_mut(of).and_then(Value::as_object_mut) {
                map.retain(|key, _| !keys.contains(&key.as_str()));
            }
        }
        metadata.retain(|_, value| *value != json!({}));
        let key = format!("{} {}", object["kind"].as_str().unwrap(), object["metadata"]["name"]);
        assert!(named.insert(key.clone(), object).is_none(), "{key} is there twice");
    }
    named
}

#[test]
fn all_three_ways_give_the_same_objects() {
    if cluster_tests_skipped() {
        return;
    }
    // As `helm install` renders it, but for the namespace, which `--create-namespace` makes.
    let helm = by_name(objects(&template(NAMESPACE, &["--no-hooks", "--set", "namespace.create=true"])));
    let single = by_name(objects(&std::fs::read_to_string(root("install.yaml")).unwrap()));
    let mut command = std::process::Command::new(support::binary("kubectl").unwrap());
    command.args(["kustomize", root("manifests").to_str().unwrap()]);
    let output = support::run(command, None).unwrap();
    assert!(output.success, "{output}");
    let kustomized = by_name(objects(&output.stdout));
    for (way, found) in [("install.yaml", &single), ("kubectl apply -k manifests/", &kustomized)] {
        assert_eq!(found.keys().collect::<Vec<_>>(), helm.keys().collect::<Vec<_>>(), "{way}");
        for (name, object) in found {
            assert_eq!(object, &helm[name], "{way}: {name}");
        }
    }
    assert!(helm.len() > 25, "{:?}", helm.keys());
}

/// What an overlay beside `manifests/` comes to that takes in a component.
fn with_component(component: &str) -> BTreeMap<String, Value> {
    let overlay = support::Scratch::new("component").unwrap();
    let copied =
        std::process::Command::new("cp").arg("-r").arg(root("manifests")).arg(overlay.path()).status();
    assert!(copied.unwrap().success());
    let text = format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [../manifests]\ncomponents: \
         [../manifests/components/{component}]\n"
    );
    let folder = overlay.path().join("overlay");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("kustomization.yaml"), text).unwrap();
    let mut command = std::process::Command::new(support::binary("kubectl").unwrap());
    command.args(["kustomize", folder.to_str().unwrap()]);
    let output = support::run(command, None).unwrap();
    assert!(output.success, "{output}");
    by_name(objects(&output.stdout))
}

/// What Helm renders with one more value.
fn with_value(value: &str) -> BTreeMap<String, Value> {
    by_name(objects(&template(
        NAMESPACE,
        &["--no-hooks", "--set", &format!("namespace.create=true,{value}")],
    )))
}

#[track_caller]
fn are_same(way: &str, found: &BTreeMap<String, Value>, helm: &BTreeMap<String, Value>) {
    assert_eq!(found.keys().collect::<Vec<_>>(), helm.keys().collect::<Vec<_>>(), "{way}");
    for (name, object) in found {
        assert_eq!(object, &helm[name], "{way}: {name}");
    }
}

/// What is off by default is the same in all ways as well.
#[test]
fn with_reports_all_three_ways_give_the_same_objects() {
    if cluster_tests_skipped() {
        return;
    }
    let read = |file: &str| std::fs::read_to_string(root(file)).unwrap();
    let helm = with_value("reports.enabled=true");
    let single = by_name(objects(&format!("{}---\n{}", read("install.yaml"), read(REPORTS))));
    are_same("install.yaml", &single, &helm);
    are_same("kubectl apply -k", &with_component("reports"), &helm);
    let without = with_value("reports.enabled=false");
    assert!(without.keys().all(|key| !key.contains("reports")), "off by default");
    assert!(without.iter().all(|(name, object)| object == &helm[name]), "nobody else gets any further right");
    let further: Vec<&String> = helm.keys().filter(|key| !without.contains_key(*key)).collect();
    assert_eq!(further.len(), 7, "{further:?}");
}

#[test]
fn with_events_the_webhook_has_that_right_and_no_other() {
    if cluster_tests_skipped() {
        return;
    }
    let (helm, without) = (with_value("webhook.events=true"), with_value("webhook.events=false"));
    are_same("kubectl apply -k", &with_component("events"), &helm);
    let changed: Vec<&String> = helm.keys().filter(|name| helm[*name] != without[*name]).collect();
    assert_eq!(changed, [r#"ClusterRole "volgate""#, r#"Deployment "volgate""#]);
    let rules = |all: &BTreeMap<String, Value>| all[changed[0]]["rules"].as_array().unwrap().clone();
    let further = rules(&helm).split_off(rules(&without).len());
    assert_eq!(json!(further), serde_json::to_value(volgate::cluster::denial_event_rules()).unwrap());
}

#[test]
fn the_version_is_that_of_volgate() {
    let text = std::fs::read_to_string(root("charts/volgate/Chart.yaml")).unwrap();
    let chart = &objects(&text)[0];
    assert_eq!(
        (&chart["version"], &chart["appVersion"]),
        (&json!(env!("CARGO_PKG_VERSION")), &chart["version"])
    );
}

/// Sets of values that users have, in each of which the chart must hold together.
const SETTINGS: [&[&str]; 7] = [
    &[],
    &EVERYTHING,
    &["--set", "certificate.mode=cert-manager"],
    &[
        "--set",
        "certificate.mode=cert-manager,certificate.certManager.issuerRef.name=own,\
        certificate.certManager.issuerRef.kind=ClusterIssuer",
    ],
    &["--set", "certificate.mode=files,certificate.secretName=mine"],
    &[
        "--set",
        "basePath=/var/lib/rancher/k3s/storage,additionalBasePaths={/mnt/fast},agent.privileged=false,\
        webhook.failurePolicy=Ignore,webhook.timeoutSeconds=10,webhook.excludeNamespaces={monitoring,velero},\
        webhook.operators={kafka/strimzi-cluster-operator},podDisruptionBudget.maxUnavailable=1,crds.enabled=false,\
        tolerations[0].operator=Exists,storageClass.default=true,storageClass.trackCapacity=false,image.digest=\
        sha256:0000000000000000000000000000000000000000000000000000000000000000",
    ],
    &[
        "--set",
        "provisioner.enabled=false,agent.enabled=false,networkPolicy.enabled=false,serviceAccount.create=false,\
        serviceAccount.name=mine,podDisruptionBudget.enabled=false",
    ],
];

#[test]
fn it_is_linted_without_a_warning_and_names_no_namespace() {
    if cluster_tests_skipped() {
        return;
    }
    for settings in SETTINGS {
        let said = lint(settings);
        assert!(said.success && !said.stdout.contains("[WARNING]"), "{settings:?}: {said}");
        for object in objects(&template("elsewhere", settings)) {
            let kind = object["kind"].as_str().unwrap();
            // The descriptions of a CRD have examples.
            assert!(
                kind == "CustomResourceDefinition" || !object.to_string().contains(NAMESPACE),
                "{settings:?}: {object:#}"
            );
            for label in ["name", "instance", "part-of", "version", "managed-by"] {
                let label = format!("app.kubernetes.io/{label}");
                assert!(object["metadata"]["labels"][&label].is_string(), "{label}: {object:#}");
            }
            if let Some(pod) = object.pointer("/spec/template/spec") {
                assert_eq!(pod["nodeSelector"]["kubernetes.io/os"], "linux", "{object:#}");
            }
            assert!(!kind.ends_with("WebhookConfiguration"), "what is applied can refuse nobody: {object:#}");
        }
    }
}

#[test]
fn values_that_mean_nothing_are_refused() {
    if cluster_tests_skipped() {
        return;
    }
    for (value, words) in [
        ("replicaCont=3", "replicaCont"),
        ("webhook.failurePolicy=fail", "failurePolicy"),
        ("webhook.operators={strimzi}", "operators"),
        ("certificate.mode=letsencrypt", "mode"),
        ("basePath=/opt/../etc", "basePath"),
        ("basePath=/", "basePath"),
        ("replicaCount=0", "replicaCount"),
        ("provisioner.config='''", "config"),
    ] {
        let said = try_template("x", &["--set", value]);
        assert!(!said.success && said.stderr.contains(words), "{value}: {said}");
    }
}

fn one<'a>(all: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = all.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("there is no {kind} {name}"))
}

fn arguments<'a>(all: &'a [Value], kind: &str, name: &str) -> Vec<&'a str> {
    let container = &one(all, kind, name)["spec"]["template"]["spec"]["containers"][0];
    container["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect()
}

/// The base path is one value: controller, agents and the policy that confines the controller have it all.
#[test]
fn what_is_asked_for_reaches_whom_it_is_about() {
    if cluster_tests_skipped() {
        return;
    }
    let all = objects(&template("x", SETTINGS[5]));
    let bases = r#"["/var/lib/rancher/k3s/storage","/mnt/fast"]"#;
    let config = &one(&all, "ConfigMap", "volgate-provisioner")["data"]["config.json"];
    assert!(config.as_str().unwrap().contains(bases), "{config}");
    let policy = one(&all, "ValidatingAdmissionPolicy", "volgate-provisioner-volumes");
    assert!(policy["spec"]["variables"][1]["expression"].as_str().unwrap().contains(bases), "{policy}");
    assert!(
        arguments(&all, "Deployment", "volgate-provisioner")
            .contains(&"--config=/etc/volgate/config/config.json")
    );
    let agent = arguments(&all, "DaemonSet", "volgate-agent");
    for wanted in ["--base=/var/lib/rancher/k3s/storage", "--base=/mnt/fast", "--max-loop-devices=0"] {
        assert!(agent.contains(&wanted), "{agent:?}");
    }
    let pod = &one(&all, "DaemonSet", "volgate-agent")["spec"]["template"]["spec"];
    let mounted: Vec<&Value> =
        pod["volumes"].as_array().unwrap().iter().map(|volume| &volume["hostPath"]["path"]).collect();
    assert_eq!(mounted, ["/var/lib/rancher/k3s/storage", "/mnt/fast"]);
    let webhook = arguments(&all, "Deployment", "volgate");
    for wanted in [
        "--failure-policy=ignore",
        "--timeout=10",
        "--exclude-namespace=monitoring",
        "--exclude-namespace=velero",
        "--operator=kafka/strimzi-cluster-operator",
    ] {
        assert!(webhook.contains(&wanted), "{webhook:?}");
    }
    assert!(all.iter().all(|object| object["kind"] != "CustomResourceDefinition"));
    let tracks =
        |all: &[Value]| one(all, "CSIDriver", "local-path.volgate.dev")["spec"]["storageCapacity"].clone();
    assert_eq!([tracks(&all), tracks(&objects(&template("x", SETTINGS[0])))], [false, true]);

    // With a certificate of somebody else's volgate reads no Secret.
    for (settings, secret, argument) in [
        (SETTINGS[2], "volgate-tls", "--inject-ca-from=$(POD_NAMESPACE)/volgate-tls"),
        (SETTINGS[4], "mine", "--tls-ca=/etc/volgate/tls/ca.crt"),
    ] {
        let all = objects(&template("x", settings));
        let rules = one(&all, "Role", "volgate-registration")["rules"].to_string();
        assert!(!rules.contains("secrets") && rules.contains("leases"), "{rules}");
        assert!(arguments(&all, "Deployment", "volgate").contains(&argument));
        let pod = &one(&all, "Deployment", "volgate")["spec"]["template"]["spec"];
        assert_eq!(pod["volumes"][0]["secret"]["secretName"], secret);
        assert_eq!(pod["securityContext"]["fsGroup"], 65532);
    }
}

/// The removal: the hook may do what its program does, and goes before everything else.
#[test]
fn the_hook_deletes_the_webhook_configurations_before_anything_else_goes() {
    if cluster_tests_skipped() {
        return;
    }
    let all = objects(&template("x", &[]));
    let hooks: Vec<&Value> = all
        .iter()
        .filter(|object| object["metadata"]["annotations"]["helm.sh/hook"] == "pre-delete")
        .collect();
    assert_eq!(hooks.len(), 4, "{hooks:#?}");
    let job = one(&all, "Job", "volgate-removal");
    assert_eq!(job["spec"]["template"]["spec"]["containers"][0]["args"], json!(["webhooks", "--delete"]));
    assert_eq!(
        job["spec"]["template"]["spec"]["containers"][0]["image"],
        one(&all, "Deployment", "volgate")["spec"]["template"]["spec"]["containers"][0]["image"]
    );
    let rules = serde_json::to_value(volgate::cluster::removal_rules()).unwrap();
    assert_eq!(one(&all, "ClusterRole", "volgate-removal")["rules"], rules);
}

/// The kinds that only a cluster with the Prometheus operator has.
fn is_foreign(object: &Value) -> bool {
    let version = object["apiVersion"].as_str().unwrap();
    version.starts_with("monitoring.coreos.com/") || version.starts_with("cert-manager.io/")
}

#[tokio::test]
async fn a_real_api_server_takes_it_and_all_pods_but_the_agents_are_restricted() {
    let options = Options { controller_manager: false, scheduler: false, ..Options::default() };
    let Some(cluster) = Cluster::own(options) else { return };
    cluster.namespace("elsewhere", &[("pod-security.kubernetes.io/enforce", "privileged")]).await;
    cluster.namespace("strict", &[("pod-security.kubernetes.io/enforce", "restricted")]).await;
    let further = "metrics.service.enabled=true,metrics.dashboard.enabled=true";
    let text = template("elsewhere", &["--no-hooks", "--set", further]);
    let made = cluster.kubectl(&["apply", "--validate=strict", "-f", "-"], Some(&text)).await;
    assert!(made.success, "{made}");
    // Each of the other settings: nothing stored, and no warning of Pod Security.
    for settings in SETTINGS {
        let mut all = objects(&template("elsewhere", settings));
        all.retain(|object| !is_foreign(object) && object["kind"] != "Namespace");
        let list = json!({"apiVersion": "v1", "kind": "List", "items": all}).to_string();
        let tried = cluster
            .kubectl(&["apply", "--dry-run=server", "--validate=strict", "-f", "-"], Some(&list))
            .await;
        assert!(tried.success, "{settings:?}: {tried}");
        assert!(!tried.stderr.contains("PodSecurity"), "{settings:?}: {tried}");
    }

    let all = objects(&template("strict", &["--set", "reports.enabled=true"]));
    let mut pods = 0;
    for object in all.iter().filter(|object| object.pointer("/spec/template/spec").is_some()) {
        let name = object["metadata"]["name"].as_str().unwrap();
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": object["spec"]["template"]["spec"],
                         "metadata": {"name": name, "namespace": "strict"}});
        // Who is asked about is Pod Security alone.
        pod["spec"].as_object_mut().unwrap().remove("serviceAccountName");
        pod["spec"]["automountServiceAccountToken"] = json!(false);
        pod["spec"].as_object_mut().unwrap().remove("priorityClassName");
        let line = ["create", "--dry-run=server", "-f", "-"];
        let tried = cluster.kubectl(&line, Some(&pod.to_string())).await;
        if name == "volgate-agent" {
            assert!(tried.stderr.contains("violates PodSecurity"), "{tried}");
        } else {
            assert!(tried.success, "{name}: {tried}");
            pods += 1;
        }
    }
    assert_eq!(pods, 4);
}

/// What the dashboard and the alerts ask for is what volgate has.
#[test]
fn the_dashboard_and_the_alerts_know_the_metrics() {
    let page = std::fs::read_to_string(root("docs/metrics.md")).unwrap();
    let mut asked = 0;
    for file in ["rules.yaml", "dashboard.json"] {
        let text = std::fs::read_to_string(root("charts/volgate/files").join(file)).unwrap();
        let words = text.split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
        for word in words.filter(|word| word.starts_with("volgate_")) {
            let metric = word.strip_suffix("_bucket").unwrap_or(word);
            assert!(page.contains(&format!("`{metric}`")), "{file}: docs/metrics.md does not know {word}");
            asked += 1;
        }
    }
    assert!(asked > 15, "{asked}");
}
