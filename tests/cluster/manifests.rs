//! `manifests/`: made from the same functions as what runs, taken by a real API server, and with rights that suffice.

use crate::support;
use crate::support::cluster::ADMIN;
use crate::support::helm::RENDERED;
use crate::support::run::{check, input, policies_of, root};
use crate::support::{Cluster, Options};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use volgate::check::Run;
use volgate::cluster::{
    NodeVolume, node_storage, node_storage_api, node_volume, node_volume_api, provisioner_cluster_rules,
    provisioner_namespace_rules, registration_cluster_rules, registration_namespace_rules, role_rules,
};
use volgate::model::{NodeStorageSpec, PROVISIONER};
use volgate::policy::PolicySet;
use volgate::provisioner::{
    BETA_STORAGE_PROVISIONER, Bases, FINALIZER, PROVISIONED_BY, SELECTED_NODE, STORAGE_PROVISIONER,
};

/// The webhook configurations for whoever writes them by hand.
const WEBHOOKS: &str = "components/static-registration/webhooks";

/// The files of `manifests/`, without their ending.
fn files() -> impl Iterator<Item = &'static str> {
    RENDERED.into_iter().chain(["crd"])
}

fn path(name: &str) -> String {
    format!("manifests/{name}.yaml")
}

fn objects(name: &str) -> Vec<Value> {
    input(&path(name)).documents().map(|document| document.value.clone()).collect()
}

fn of_kind(name: &str, kind: &str) -> Value {
    let found: Vec<Value> = objects(name).into_iter().filter(|object| object["kind"] == kind).collect();
    assert_eq!(found.len(), 1, "{name}: {kind}");
    found[0].clone()
}

fn named(file: &str, kind: &str, name: &str) -> Value {
    let mut found = objects(file).into_iter();
    found.find(|object| object["kind"] == kind && object["metadata"]["name"] == name).unwrap()
}

/// What `volgate webhooks --print` says for whoever writes them by hand: they refuse nothing while volgate is not there.
fn webhooks() -> String {
    let mut command = crate::support::volgate();
    let line = ["webhooks", "--print", "--service=volgate-system/volgate", "--failure-policy=ignore"];
    command.args(line);
    let output = support::run(command, None).unwrap();
    assert!(output.success, "{output}");
    let line = line.join(" ");
    format!(
        "# Made by `volgate {line}`, without the CA. Write it again: UPDATE=1 cargo test --test cluster manifests\n{}",
        output.stdout
    )
}

#[test]
fn the_static_webhook_configurations_are_what_volgate_prints() {
    let file = root(path(WEBHOOKS));
    if std::env::var("UPDATE").is_ok_and(|value| value == "1") {
        std::fs::write(&file, webhooks()).unwrap();
    }
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(text, webhooks(), "{WEBHOOKS} is not fresh: UPDATE=1 cargo test --test cluster manifests");
    let hooks =
        objects(WEBHOOKS).into_iter().flat_map(|object| object["webhooks"].as_array().unwrap().clone());
    let policies: Vec<Value> = hooks.map(|hook| hook["failurePolicy"].clone()).collect();
    assert_eq!(policies, vec![json!("Ignore"); 6]);
}

/// What is applied by hand can refuse nobody: volgate registers itself when it can answer.
#[test]
fn no_webhook_configuration_is_in_the_installation() {
    let Some(all) = put_together("manifests") else { return };
    let kinds: Vec<&str> = all.iter().map(|object| object["kind"].as_str().unwrap()).collect();
    assert!(kinds.iter().all(|kind| !kind.ends_with("WebhookConfiguration")), "{kinds:?}");
    // Deleted in this order: what owns the configurations goes before who answers.
    let at = |kind: &str| kinds.iter().position(|other| *other == kind).unwrap();
    assert!(at("ClusterRole") < at("Service") && at("Service") < at("Deployment"), "{kinds:?}");
}

#[test]
fn every_file_is_in_the_kustomization() {
    let listed: BTreeSet<String> = objects("kustomization")[0]["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap().to_owned())
        .collect();
    let there: BTreeSet<String> = std::fs::read_dir(root("manifests"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yaml") && name != "kustomization.yaml")
        .collect();
    assert_eq!(listed, there);
    assert_eq!(there, files().map(|name| format!("{name}.yaml")).collect());
}

#[test]
fn volgate_has_nothing_to_say_against_them() {
    for policy in ["policies/baseline.yaml", "policies/restricted.yaml"] {
        let set = PolicySet::build(policies_of(policy)).unwrap();
        for name in files() {
            let text = std::fs::read_to_string(root(path(name))).unwrap();
            // Its own namespace is excluded: elsewhere it has to pass all the same.
            let elsewhere = text.replace("volgate-system", "elsewhere");
            let input = volgate::check::Input::new(volgate::source::Source::new(name, elsewhere), true);
            let run = Run { namespace: "elsewhere", ..Run::new(&set, support::run::TODAY) };
            let inputs = [input];
            let report = run.check(&inputs);
            assert!(report.faults.is_empty(), "{policy} {name}: {report:#?}");
            // The agents' own work is with directories of their nodes: their namespace is excluded for a reason.
            let others: Vec<_> = report
                .findings
                .iter()
                .filter(|finding| {
                    !(name == "agent" && ["host-path", "volume-types"].contains(&finding.finding.rule))
                })
                .collect();
            assert!(others.is_empty(), "{policy} {name}: {others:#?}");
        }
        assert_eq!(check(&set, None, &[&path("deployment")]).findings, [""; 0]);
    }
}

/// `group/resource` → verbs, of rules without names.
fn rights(rules: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let mut rights: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for rule in rules.as_array().unwrap().iter().filter(|rule| rule["resourceNames"].is_null()) {
        for resource in texts(&rule["resources"]) {
            let key = format!("{}/{resource}", rule["apiGroups"][0].as_str().unwrap());
            rights.entry(key).or_default().extend(texts(&rule["verbs"]));
        }
    }
    rights
}

#[test]
fn the_role_allows_what_is_watched_and_no_more() {
    let wanted = serde_json::to_value(role_rules()).unwrap();
    assert_eq!(rights(&named("rbac", "ClusterRole", "volgate")["rules"]), rights(&wanted));
    for (kind, wanted) in
        [("ClusterRole", registration_cluster_rules()), ("Role", registration_namespace_rules())]
    {
        let shipped = named("registration", kind, "volgate-registration")["rules"].clone();
        let sorted = |rules: Value| {
            let mut rules: Vec<String> = rules.as_array().unwrap().iter().map(Value::to_string).collect();
            rules.sort();
            rules
        };
        assert_eq!(sorted(shipped), sorted(serde_json::to_value(wanted).unwrap()), "{kind}");
    }
}

/// What is not granted by the manifests and what nobody uses are the same fault: each verb is held to the code that calls it.
#[test]
fn the_provisioners_roles_allow_what_it_does_and_no_more() {
    for (kind, wanted) in
        [("ClusterRole", provisioner_cluster_rules()), ("Role", provisioner_namespace_rules())]
    {
        let mut shipped = of_kind("provisioner", kind)["rules"].clone();
        for rule in shipped.as_array_mut().unwrap() {
            rule.as_object_mut().unwrap().remove("resourceNames");
        }
        assert_eq!(rights(&shipped), rights(&serde_json::to_value(wanted).unwrap()), "{kind}");
    }
}

#[test]
fn names_and_ports_fit_together() {
    let deployment = of_kind("deployment", "Deployment");
    let service = of_kind("service", "Service");
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    assert_eq!(&service["spec"]["selector"], labels);
    assert_eq!(&of_kind("deployment", "PodDisruptionBudget")["spec"]["selector"]["matchLabels"], labels);
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let target = &service["spec"]["ports"][0]["targetPort"];
    assert!(container["ports"].as_array().unwrap().iter().any(|port| &port["name"] == target));
    let args: Vec<&str> =
        container["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
    let wanted = format!("--service=$(POD_NAMESPACE)/{}", service["metadata"]["name"].as_str().unwrap());
    assert!(args.contains(&wanted.as_str()), "{args:?}");
    assert_eq!(of_kind("namespace", "Namespace")["metadata"]["name"], service["metadata"]["namespace"]);
}

#[tokio::test]
async fn a_real_api_server_takes_them() {
    let options = Options { controller_manager: false, scheduler: false, ..Options::default() };
    let Some(cluster) = Cluster::own(options) else { return };
    let folder = root("manifests");
    let folder = folder.to_str().unwrap();
    // What stands in the namespace can only be tried once that exists; the rights are tried for real.
    for name in ["namespace", "crd", "rbac", "registration", "provisioner", "agent"] {
        let made = cluster.kubectl(&["apply", "-f", root(path(name)).to_str().unwrap()], None).await;
        assert!(made.success, "{made}");
    }
    let tried =
        cluster.kubectl(&["apply", "-k", folder, "--dry-run=server", "--validate=strict"], None).await;
    assert!(tried.success, "{tried}");
    assert!(tried.stdout.contains("deployment.apps/volgate created (server dry run)"), "{tried}");
    assert_eq!(tried.stderr, "", "no warnings, as of Pod Security");
    let tried =
        ["apply", "-f", root(path(WEBHOOKS)).to_str().unwrap(), "--dry-run=server", "--validate=strict"]
            .map(str::to_owned);
    let tried = cluster.kubectl(&tried.each_ref().map(String::as_str), None).await;
    assert!(tried.success && tried.stderr.is_empty(), "{tried}");

    let as_volgate = "--as=system:serviceaccount:volgate-system:volgate";
    for (verb, resource, allowed) in [
        ("patch", "validatingwebhookconfigurations/volgate", true),
        ("create", "mutatingwebhookconfigurations/volgate", true),
        ("patch", "mutatingwebhookconfigurations/zz-volgate", true),
        ("delete", "mutatingwebhookconfigurations/volgate", true),
        ("delete", "mutatingwebhookconfigurations/zz-volgate", false),
        ("patch", "validatingwebhookconfigurations/other", false),
        ("create", "validatingwebhookconfigurations", false),
        ("delete", "validatingwebhookconfigurations/volgate", false),
        ("watch", "persistentvolumeclaims", true),
        ("list", "secrets", false),
        ("list", "pods", false),
        ("create", "podtemplates", false),
    ] {
        let said = cluster.kubectl(&["auth", "can-i", verb, resource, "-A", as_volgate], None).await;
        assert_eq!(said.stdout.trim() == "yes", allowed, "{verb} {resource}: {said}");
    }
    for (verb, resource, allowed) in [
        ("get", "secrets/volgate-tls", true),
        ("create", "secrets/volgate-tls", true),
        ("create", "secrets", false),
        ("get", "secrets/other", false),
        ("delete", "secrets/volgate-tls", false),
        ("patch", "podtemplates/volgate-probe", true),
        ("create", "podtemplates", false),
    ] {
        let said = cluster
            .kubectl(&["auth", "can-i", verb, resource, "-n", "volgate-system", as_volgate], None)
            .await;
        assert_eq!(said.stdout.trim() == "yes", allowed, "{verb} {resource}: {said}");
    }
}

/// An expression of a variable of a policy that confines the provisioner.
fn variable(policy: &Value, name: &str) -> String {
    let variables = policy["spec"]["variables"].as_array().unwrap();
    let found = variables.iter().find(|variable| variable["name"] == name).unwrap();
    found["expression"].as_str().unwrap().to_owned()
}

/// The paths and names that the policies know are those of the controller and of the agents.
#[test]
fn what_the_provisioner_is_confined_to_is_what_it_uses() {
    let volumes = named("provisioner", "ValidatingAdmissionPolicy", "volgate-provisioner-volumes");
    let claims = named("provisioner", "ValidatingAdmissionPolicy", "volgate-provisioner-claims");
    let config = variable(&volumes, "config");
    let config = config.strip_prefix("r'''").unwrap().strip_suffix("'''").unwrap();
    let (bases, ignored) = Bases::parse(config).unwrap();
    assert_eq!(bases.of("any", "any"), Bases::default().of("any", "any"));
    assert_eq!(ignored, [""; 0]);
    let pod = &of_kind("agent", "DaemonSet")["spec"]["template"]["spec"];
    let mounted = pod["volumes"].as_array().unwrap().iter().filter_map(|v| v["hostPath"]["path"].as_str());
    assert_eq!(mounted.filter(|path| *path != "/dev").collect::<Vec<_>>(), bases.of("any", "any").unwrap());
    let arguments =
        &of_kind("provisioner", "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"];
    assert_eq!(*arguments, json!(["provisioner", "--log-format=json"]), "neither a name nor a configuration");
    for policy in [&volumes, &claims] {
        assert_eq!(variable(policy, "provisioners"), format!("['{PROVISIONER}']"));
        assert_eq!(
            policy["spec"]["variables"][0]["name"], "provisioners",
            "where examples/takeover finds it"
        );
        assert_eq!(
            policy["spec"]["matchConditions"],
            json!([{"name": "by-the-provisioner", "expression": format!(
                "request.userInfo.username.startsWith('system:serviceaccount:') && request.userInfo.username.endsWith(':{}')",
                of_kind("provisioner", "ServiceAccount")["metadata"]["name"].as_str().unwrap()
            )}]),
            "nobody else is asked about"
        );
        assert_eq!(
            policy["spec"]["paramKind"],
            Value::Null,
            "where parameters are missing, everybody is refused"
        );
    }
    let said = claims.to_string() + &volumes.to_string();
    for name in [FINALIZER, PROVISIONED_BY, SELECTED_NODE, STORAGE_PROVISIONER, BETA_STORAGE_PROVISIONER] {
        assert!(said.contains(name), "{name}");
    }
}

#[test]
fn every_object_has_the_common_labels_and_pods_go_to_linux_nodes() {
    let Some(all) = put_together("manifests") else { return };
    for object in &all {
        let label = |name: &str| &object["metadata"]["labels"][format!("app.kubernetes.io/{name}")];
        for (name, value) in [
            ("name", "volgate"),
            ("instance", "volgate"),
            ("part-of", "volgate"),
            ("managed-by", "kustomize"),
            ("version", env!("CARGO_PKG_VERSION")),
        ] {
            assert_eq!(label(name), value, "{object:#}");
        }
        let kind = object["kind"].as_str().unwrap();
        if !["Namespace", "CustomResourceDefinition"].contains(&kind) {
            let component = label("component").as_str().unwrap_or_default();
            assert!(["webhook", "provisioner", "agent"].contains(&component), "{object:#}");
        }
        if let Some(pod) = object.pointer("/spec/template/spec") {
            assert_eq!(pod["nodeSelector"], json!({"kubernetes.io/os": "linux"}), "{object:#}");
        }
    }
}

/// In whatever namespace it is installed, nothing is left that names another.
#[test]
fn it_can_be_installed_in_any_namespace() {
    let Some(all) = overlaid("namespace: elsewhere\nresources: [../manifests]") else { return };
    let mut subjects = 0;
    for object in &all {
        // The descriptions of a CRD have examples.
        if object["kind"] != "CustomResourceDefinition" {
            assert!(!object.to_string().contains("volgate-system"), "{object:#}");
        }
        for subject in object["subjects"].as_array().into_iter().flatten() {
            assert_eq!(subject["namespace"], "elsewhere", "{object:#}");
            subjects += 1;
        }
    }
    assert!(subjects >= 6, "{subjects}");
}

/// What `kubectl kustomize` makes of an overlay beside `manifests/`.
fn overlaid(kustomization: &str) -> Option<Vec<Value>> {
    let scratch = support::Scratch::new("overlay").unwrap();
    let copied =
        std::process::Command::new("cp").arg("-r").arg(root("manifests")).arg(scratch.path()).status();
    assert!(copied.unwrap().success());
    let overlay = scratch.path().join("overlay");
    std::fs::create_dir(&overlay).unwrap();
    let head = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization";
    std::fs::write(overlay.join("kustomization.yaml"), format!("{head}\n{kustomization}\n")).unwrap();
    kustomized(&overlay)
}

/// What `kubectl kustomize` makes of a folder of the repository; none only when the opt-out is set, which is said.
fn put_together(folder: &str) -> Option<Vec<Value>> {
    kustomized(&root(folder))
}

fn kustomized(folder: &std::path::Path) -> Option<Vec<Value>> {
    if support::cluster_tests_skipped() {
        return None;
    }
    support::assets().unwrap();
    let mut command = std::process::Command::new(support::binary("kubectl").unwrap());
    command.args(["kustomize", folder.to_str().unwrap()]);
    let output = support::run(command, None).unwrap();
    assert!(output.success, "{}: {output}", folder.display());
    let input =
        volgate::check::Input::new(volgate::source::Source::new("kustomization", output.stdout), true);
    Some(input.documents().map(|document| document.value.clone()).collect())
}

fn one<'a>(all: &'a [Value], kind: &str, name: &str) -> &'a Value {
    all.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name).unwrap()
}

#[test]
fn an_installation_that_is_taken_over_is_confined_to_its_name_and_paths() {
    let Some(all) = put_together("examples/takeover") else { return };
    let config = std::fs::read_to_string(root("examples/takeover/config.json")).unwrap();
    let policy = |name: &str| one(&all, "ValidatingAdmissionPolicy", name);
    assert_eq!(variable(policy("volgate-provisioner-volumes"), "config"), format!("r'''{config}'''"));
    let arguments =
        &one(&all, "Deployment", "volgate-provisioner")["spec"]["template"]["spec"]["containers"][0];
    for name in ["volgate-provisioner-volumes", "volgate-provisioner-claims"] {
        assert_eq!(variable(policy(name), "provisioners"), "['rancher.io/local-path']");
        assert!(
            arguments["args"]
                .as_array()
                .unwrap()
                .contains(&json!("--provisioner-name=rancher.io/local-path"))
        );
    }
}

#[test]
fn with_cert_manager_volgate_has_no_right_to_register_itself() {
    let Some(all) = put_together("examples/cert-manager") else { return };
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        let from = &one(&all, kind, "volgate")["metadata"]["annotations"]["cert-manager.io/inject-ca-from"];
        assert_eq!(from, "volgate-system/volgate-tls");
    }
    let certificate = &one(&all, "Certificate", "volgate-tls")["spec"];
    let pod = &one(&all, "Deployment", "volgate")["spec"]["template"]["spec"];
    assert_eq!(certificate["secretName"], pod["volumes"][0]["secret"]["secretName"]);
    assert!(
        all.iter()
            .all(|object| object["kind"] != "Role" || object["metadata"]["name"] != "volgate-registration")
    );
    assert_eq!(certificate["dnsNames"], json!(["volgate.volgate-system.svc"]));
    assert!(!pod["containers"][0]["args"].as_array().unwrap().contains(&json!("--register")));
    let roles = all.iter().filter(|object| object["kind"] == "ClusterRole" || object["kind"] == "Role");
    for rule in roles.flat_map(|role| role["rules"].as_array().unwrap()) {
        if rule["apiGroups"] == json!(["admissionregistration.k8s.io"]) {
            assert_eq!(rule["verbs"], json!(["get"]));
        }
    }
}

#[test]
fn cert_manager_can_keep_the_certificate_of_what_volgate_registers() {
    let overlay = "resources: [../manifests]\ncomponents: [../manifests/components/cert-manager]";
    let Some(all) = overlaid(overlay) else { return };
    let certificate = &one(&all, "Certificate", "volgate-tls")["spec"];
    let pod = &one(&all, "Deployment", "volgate")["spec"]["template"]["spec"];
    assert_eq!(certificate["secretName"], pod["volumes"][0]["secret"]["secretName"]);
    let args = pod["containers"][0]["args"].as_array().unwrap();
    for wanted in
        ["--register", "--tls-cert=/etc/volgate/tls/tls.crt", "--inject-ca-from=$(POD_NAMESPACE)/volgate-tls"]
    {
        assert!(args.contains(&json!(wanted)), "{args:?}");
    }
    let rules = one(&all, "Role", "volgate-registration")["rules"].to_string();
    assert!(!rules.contains("secrets") && rules.contains("leases"), "{rules}");
}

/// A token of an agent's pod on that node, as the kubelet would hand it to the pod.
async fn agent_token(cluster: &Cluster, node: &str) -> String {
    cluster.fake_node(node, &[]).await;
    let name = format!("agent-on-{node}");
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "volgate-system"},
        "spec": {"nodeName": node, "serviceAccountName": "volgate-agent",
                 "containers": [{"name": "agent", "image": "volgate"}]}
    });
    let made = cluster.kubectl(&["apply", "-f", "-"], Some(&pod.to_string())).await;
    assert!(made.success, "{made}");
    let bound = ["--bound-object-kind=Pod", "--bound-object-name", &name, "-n", "volgate-system"];
    let token = cluster.kubectl(&[&["create", "token", "volgate-agent"], &bound[..]].concat(), None).await;
    assert!(token.success, "{token}");
    token.stdout.trim().to_owned()
}

fn node_volume_on(node: &str) -> NodeVolume {
    let spec = json!({
        "node": node, "nodeUid": "n", "claim": {"namespace": "default", "name": "data", "uid": "u"},
        "base": "/opt/local-path-provisioner", "directory": format!("on-{node}"), "sizeBytes": 1
    });
    node_volume(&format!("on-{node}"), serde_json::from_value(spec).unwrap())
}

/// What came of an attempt: nothing to say, or what the API server said.
fn said<T>(result: kube::Result<T>) -> String {
    match result {
        Ok(_) => String::new(),
        Err(kube::Error::Api(status)) => format!("{} {}", status.code, status.message),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn an_agent_can_write_what_is_of_its_own_node_alone() {
    let options = Options { scheduler: false, ..Options::default() };
    let Some(cluster) = Cluster::own(options) else { return };
    for name in ["namespace", "crd", "agent"] {
        let made = cluster.kubectl(&["apply", "-f", root(path(name)).to_str().unwrap()], None).await;
        assert!(made.success, "{made}");
    }
    // The pods are made by hand, with tokens to be had at once.
    let removed =
        cluster.kubectl(&["delete", "daemonset", "volgate-agent", "-n", "volgate-system"], None).await;
    assert!(removed.success, "{removed}");
    let token = agent_token(&cluster, "a").await;
    agent_token(&cluster, "b").await;
    let admin = node_volume_api(cluster.client(ADMIN));
    for node in ["a", "b"] {
        admin.create(&PostParams::default(), &node_volume_on(node)).await.unwrap();
    }
    let agent = cluster.client_with_token(&token);
    let volumes = node_volume_api(agent.clone());
    let ready = Patch::Merge(json!({"status": {"phase": "Ready"}}));
    let params = PatchParams::default();
    // A new admission policy takes a moment to be in force; until it is, b's volume is put back.
    let mut refusal = String::new();
    for _ in 0..100 {
        refusal = said(volumes.patch_status("on-b", &params, &ready).await);
        if !refusal.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(refusal.contains("an agent of node a cannot write what is of node b"), "{refusal}");
    assert_eq!(said(volumes.patch_status("on-a", &params, &ready).await), "");

    let storage = |node: &str, name: &str| {
        let mut storage = node_storage(NodeStorageSpec {
            node: node.into(),
            node_uid: "u".into(),
            ..NodeStorageSpec::default()
        });
        storage.metadata.name = Some(name.into());
        storage
    };
    let storages = node_storage_api(agent.clone());
    for (node, name, refusal) in [
        ("b", "b", "cannot write what is of node b"),
        ("a", "b", "a NodeStorage has the name of its node"),
        ("a", "a", ""),
    ] {
        let said = said(storages.create(&PostParams::default(), &storage(node, name)).await);
        assert!(said.contains(refusal) && said.is_empty() == refusal.is_empty(), "{node} {name}: {said}");
    }
    // What only the controller writes, and what nobody needs.
    let spec = Patch::Merge(json!({"spec": {"desired": "Absent"}}));
    for said in [
        said(volumes.patch("on-a", &params, &spec).await),
        said(volumes.delete("on-a", &DeleteParams::default()).await),
        said(volumes.create(&PostParams::default(), &node_volume_on("a")).await),
    ] {
        assert!(said.starts_with("403"), "{said}");
    }
    // A token that does not tell its node.
    let token = cluster.kubectl(&["create", "token", "volgate-agent", "-n", "volgate-system"], None).await;
    let nowhere = node_volume_api(cluster.client_with_token(token.stdout.trim()));
    let said = said(nowhere.patch_status("on-a", &params, &ready).await);
    assert!(said.contains("does not tell its node"), "{said}");
}

#[test]
fn the_pods_meet_the_restricted_standard_by_themselves() {
    for file in ["deployment", "provisioner"] {
        restricted(file);
    }
}

fn restricted(file: &str) {
    let pod = &of_kind(file, "Deployment")["spec"]["template"]["spec"];
    let container = &pod["containers"][0]["securityContext"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"], json!({"type": "RuntimeDefault"}));
    assert_eq!(container["capabilities"], json!({"drop": ["ALL"]}));
    assert_eq!(
        (&container["allowPrivilegeEscalation"], &container["readOnlyRootFilesystem"]),
        (&json!(false), &json!(true))
    );
}
