//! `volgate export vap` against a real API server: it takes what is exported, and decides on the fixtures as the engine does.

use crate::support::cluster::ADMIN;
use crate::support::fixtures::{Fixture, NAMESPACE, all};
use crate::support::{Cluster, say, wait_until};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use volgate::export::{Exported, NEWEST, admission_policies};
use volgate::source::to_yaml;

const LIMIT: Duration = Duration::from_secs(60);
/// Policies of which nothing else is asked come into force after those that were made before them.
const CANARY: &str = "volgate-vap-canary";

/// A fixture with its policies as Kubernetes' own, about its object alone.
struct Case {
    fixture: Fixture,
    name: String,
    exported: Exported,
    object: Value,
}

impl Case {
    fn of(index: usize, fixture: Fixture) -> Option<Self> {
        let name = format!("vap-{index}");
        let spec = serde_json::from_value(fixture.policy.clone()).unwrap();
        let mut exported = admission_policies(&[(name.clone(), spec)], NEWEST);
        if exported.documents.is_empty() {
            return None;
        }
        let mut object = fixture.object.clone();
        object["metadata"]["name"] = json!(name);
        for document in &mut exported.documents {
            if let Some(conditions) = document["spec"].get_mut("matchConditions") {
                let only = json!({"name": "only", "expression": format!("object.metadata.name == '{name}'")});
                conditions.as_array_mut().unwrap().push(only);
            }
        }
        Some(Self { fixture, name, exported, object })
    }

    /// The rules that are exported: in part, and as a whole.
    fn rules(&self, whole: bool) -> BTreeSet<String> {
        let documents = self.exported.documents.iter();
        let names = documents.map(|document| document["metadata"]["name"].as_str().unwrap());
        let prefix = format!("volgate-{}-", self.name);
        let rules =
            names.map(|name| name.strip_prefix(&prefix).unwrap().rsplit_once('-').unwrap().0.to_owned());
        let left: BTreeSet<&str> = self.exported.left.iter().map(|left| left.rule).collect();
        rules.filter(|rule| !whole || !left.contains(rule.as_str())).collect()
    }

    /// Whether a cluster refuses the object for one of those rules.
    fn is_denied(&self, rules: &BTreeSet<String>) -> bool {
        let found = &self.fixture.expected_in_cluster().findings;
        found.iter().any(|finding| finding.action == "Deny" && rules.contains(&finding.rule))
    }
}

/// Sends an object as a dry run; the status and the body of the answer.
async fn send(client: &kube::Client, object: &Value, update: bool, user: Option<&str>) -> (u16, Value) {
    let text = |key: &str| object[key].as_str().unwrap();
    let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
    let gvk = kube::core::GroupVersionKind::gvk(group, version, text("kind"));
    let plural = kube::core::ApiResource::from_gvk(&gvk).plural;
    let base = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
    let within = match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("/namespaces/{namespace}"),
        None => String::new(),
    };
    let name = object["metadata"]["name"].as_str().unwrap();
    let (method, tail) = if update { ("PUT", format!("/{name}")) } else { ("POST", String::new()) };
    let uri = format!("{base}{within}/{plural}{tail}?dryRun=All");
    let mut request =
        axum::http::Request::builder().method(method).uri(uri).header("content-type", "application/json");
    if let Some(user) = user {
        request = request.header("impersonate-user", user).header("impersonate-group", "system:masters");
    }
    let body = kube::client::Body::from(serde_json::to_vec(object).unwrap());
    let response = client.send(request.body(body).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap())
}

/// A policy that refuses one ConfigMap.
fn canary() -> Vec<Value> {
    let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]});
    vec![
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": CANARY},
               "spec": {"failurePolicy": "Fail", "matchConstraints": {"resourceRules": [rule]},
                        "validations": [{"expression": format!("object.metadata.name != '{CANARY}'")}]}}),
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
               "metadata": {"name": CANARY}, "spec": {"policyName": CANARY, "validationActions": ["Deny"]}}),
    ]
}

#[tokio::test]
async fn the_api_server_decides_as_the_engine_does() {
    let Some(cluster) = Cluster::shared() else { return };
    cluster.namespace(NAMESPACE, &[]).await;
    let client = cluster.client(ADMIN);
    let cases: Vec<Case> =
        all().into_iter().enumerate().filter_map(|(index, one)| Case::of(index, one)).collect();
    // What is updated is there before.
    for case in cases.iter().filter(|case| case.fixture.old.is_some()) {
        for object in &case.fixture.context {
            let _ = cluster.kubectl(&["apply", "-f", "-"], Some(&to_yaml(object))).await;
        }
        let mut old = case.fixture.old.clone().unwrap();
        old["metadata"]["name"] = json!(case.name);
        let made = cluster.kubectl(&["create", "-f", "-"], Some(&to_yaml(&old))).await;
        assert!(made.success, "{}: {made}", case.fixture.name);
        if let Some(status) = old.get("status") {
            let status = json!({"status": status}).to_string();
            let kind = old["kind"].as_str().unwrap();
            let patch = [
                "patch",
                kind,
                &case.name,
                "-n",
                NAMESPACE,
                "--subresource=status",
                "--type=merge",
                "-p",
                &status,
            ];
            let patched = cluster.kubectl(&patch, None).await;
            assert!(patched.success, "{}: {patched}", case.fixture.name);
        }
    }
    let documents = cases.iter().flat_map(|case| case.exported.documents.clone()).chain(canary());
    let text: String = documents.map(|document| format!("---\n{}", to_yaml(&document))).collect();
    let taken = cluster.kubectl(&["create", "-f", "-"], Some(&text)).await;
    assert!(taken.success, "{taken}");
    let probe = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": CANARY, "namespace": NAMESPACE}});
    wait_until("the policies to be in force", LIMIT, async || {
        match send(&client, &probe, false, None).await {
            (201, _) => Err("not yet".to_owned()),
            (_, body) => Ok(body),
        }
    })
    .await;
    // Both kinds of policy are read by informers of their own.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (mut wrong, mut rules, mut denied, mut filled) = (Vec::new(), BTreeSet::new(), 0, 0);
    for case in &cases {
        let fixture = &case.fixture;
        let (status, body) =
            send(&client, &case.object, fixture.old.is_some(), fixture.user.as_deref()).await;
        let message = body["message"].as_str().unwrap_or_default();
        let refused = message.contains("ValidatingAdmissionPolicy");
        if status >= 400 && !refused {
            wrong.push(format!("{}: {body}", fixture.name));
            continue;
        }
        denied += usize::from(refused);
        rules.extend(case.rules(false));
        if refused && !case.is_denied(&case.rules(false)) {
            wrong.push(format!("{}: refused, and the engine admits it: {message}", fixture.name));
        }
        if !refused && case.is_denied(&case.rules(true)) {
            wrong.push(format!("{}: admitted, and the engine refuses it", fixture.name));
        }
        let class = |object: &Value| object["spec"]["storageClassName"].clone();
        if !refused && case.rules(false).contains("default-class") && class(&body) != class(&case.object) {
            let mut engine = fixture.object.clone();
            json_patch::patch(&mut engine, &fixture.expected_in_cluster().patch).unwrap();
            filled += 1;
            if class(&engine) != class(&body) {
                wrong.push(format!("{}: is given the class {}", fixture.name, class(&body)));
            }
        }
    }
    say(&format!("{} fixtures, {denied} refused, {filled} given a class; rules: {rules:?}", cases.len()));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(denied >= 15 && filled >= 1, "{denied} refused, {filled} given a class");
    for rule in [
        "access-modes",
        "cel",
        "claim-class",
        "claim-size",
        "default-class",
        "empty-dir",
        "ephemeral-storage",
        "host-path",
        "volume-types",
    ] {
        assert!(rules.contains(rule), "no fixture shows {rule}: {rules:?}");
    }
}
