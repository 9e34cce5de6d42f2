//! The binary `volgate serve` beside a real API server, as a user has it.

mod world;

use crate::support;
use crate::support::cluster::{ADMIN, DEVELOPER};
use crate::support::serve::{Serve, free_address};
use crate::support::{Scratch, wait_until};
use axum_server::tls_rustls::RustlsConfig;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use volgate::server::Clock;
use volgate::tls::{CertificateSource, Follower};
use world::{LIMIT, REDIS, SCRATCH, WEB, World};

const NOWHERE: &str = "/nowhere/kubeconfig";

#[tokio::test]
async fn is_registered_with_its_ca_and_counts_what_it_does() {
    let Some(world) = World::lock().await else { return };
    for (configuration, hooks) in
        [("mutatingwebhookconfiguration/zz-volgate", 2), ("validatingwebhookconfiguration/volgate", 4)]
    {
        let found = world.get(configuration).await;
        let found = found["webhooks"].as_array().unwrap().clone();
        assert_eq!(found.len(), hooks);
        for hook in found {
            assert_ne!(ca_of(&hook), "", "{hook}");
        }
    }
    let denied = ["endpoint=\"validate\"", "kind=\"Pod\"", "operation=\"CREATE\"", "verdict=\"denied\""];
    let before = world.serve().metric("volgate_reviews_total", &denied).await;
    world.rejects("create -n default -f -", Some(REDIS), &[]).await;
    assert_eq!(world.serve().metric("volgate_reviews_total", &denied).await, before + 1.0);
    assert!(world.serve().metric("volgate_findings_total", &["durable-data"]).await >= 1.0);
    assert_eq!(world.serve().metric("volgate_policies", &[]).await, 1.0);
    let namespaces = world.get("namespaces").await;
    let count = namespaces["items"].as_array().unwrap().len();
    wait_until("all namespaces are in the cache", LIMIT, async || {
        let known = world.serve().metric("volgate_cache_objects", &["\"namespaces\""]).await;
        if known == count as f64 { Ok(()) } else { Err(format!("{known} of {count}")) }
    })
    .await;
}

fn ca_of(hook: &Value) -> String {
    hook["clientConfig"]["caBundle"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn is_ready_only_once_the_caches_are_filled() {
    let Some(world) = World::lock().await else { return };
    world.works(ADMIN, "create -f -", Some(&policy("early", "{rules: [{pinToVolume: {}}]}"))).await;
    // In between, for a while, somebody takes connections and says nothing.
    let (open, opened) = tokio::sync::watch::channel(false);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (between, port) = (listener.local_addr().unwrap(), world.cluster.port());
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let mut opened = opened.clone();
            tokio::spawn(async move {
                opened.wait_for(|open| *open).await.unwrap();
                let mut to = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
            });
        }
    });
    let scratch = Scratch::new("kubeconfig").unwrap();
    let config = scratch.path().join("config");
    let direct = std::fs::read_to_string(world.cluster.kubeconfig_path()).unwrap();
    std::fs::write(&config, direct.replace(&world.cluster.server_url(), &format!("https://{between}")))
        .unwrap();

    let serve = Serve::start(&config, &[]);
    let waiting = serve.answers("/readyz", 503).await;
    for part in ["[-]caches failed: ", "persistentvolumeclaims", "storagepolicies", "[+]certificate ok"] {
        assert!(waiting.contains(part), "{waiting}");
    }
    assert_eq!(serve.answers("/livez", 200).await, "ok\n", "a restart would help nobody");
    open.send(true).unwrap();
    serve.ready().await;
    // What it judges by is there from the first review on.
    let log = serve.process.log();
    assert!(log.contains("the policies are in force policies=\"baseline, early\""), "{log}");
    world.works(ADMIN, "delete storagepolicy early", None).await;
}

const STATEFUL: &str = "
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: redis}
spec:
  serviceName: redis
  selector: {matchLabels: {app: redis}}
  template:
    metadata: {labels: {app: redis}}
    spec:
      containers: [{name: redis, image: redis, volumeMounts: [{name: data, mountPath: /data}]}]
";

fn with_empty_dir() -> String {
    format!("{STATEFUL}      volumes: [{{name: data, emptyDir: {{}}}}]\n")
}

fn with_templates() -> String {
    format!(
        "{STATEFUL}  volumeClaimTemplates:\n  - metadata: {{name: data}}\n    spec: {{accessModes: [ReadWriteOnce], \
         resources: {{requests: {{storage: 1Gi}}}}}}\n"
    )
}

fn claim(name: &str, further: &str) -> String {
    format!(
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: {name}}}\n\
         spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}{further}}}\n"
    )
}

#[tokio::test]
async fn rejects_data_that_dies_with_its_pod_and_accepts_it_on_claims() {
    let Some(world) = World::lock().await else { return };
    world.cluster.namespace("durable", &[]).await;
    world.rejects("apply -n durable -f -", Some(REDIS), &["durable-data: spec.containers[0]", "/data"]).await;
    world.accepts("apply -n durable -f -", Some(WEB)).await;
    let words = ["durable-data: spec.template.spec", "/data", "emptyDir"];
    world.rejects("apply -n durable -f -", Some(&with_empty_dir()), &words).await;
    assert_eq!(world.get("-n durable statefulset/redis").await, Value::Null);

    world.accepts("apply -n durable -f -", Some(&with_templates())).await;
    let set = world.get("-n durable statefulset/redis").await;
    assert_eq!(set["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"], "local-path");
    // What the controllers make of it.
    let made = world.until("-n durable pvc/data-redis-0", |claim| !claim.is_null()).await;
    assert_eq!(made["spec"]["storageClassName"], "local-path");
    world.until("-n durable pod/redis-0", |pod| !pod.is_null()).await;
}

#[tokio::test]
async fn mutates_claims_without_a_class_and_accepts_them_again() {
    let Some(world) = World::lock().await else { return };
    world.cluster.namespace("classes", &[]).await;
    let class =
        async |what: &str| world.get(&format!("-n classes {what}")).await["spec"]["storageClassName"].clone();
    let absent = claim("absent", "");
    world.accepts("create -n classes -f -", Some(&claim("empty", ", storageClassName: ''"))).await;
    world.accepts("create -n classes -f -", Some(&claim("named", ", storageClassName: fast"))).await;
    world.accepts("apply -n classes -f -", Some(&absent)).await;
    assert_eq!([class("pvc/empty").await, class("pvc/named").await], [json!(""), json!("fast")]);
    assert_eq!(class("pvc/absent").await, "local-path");

    // The class cannot be changed, and neither can a StatefulSet's templates: what leaves the class out again must not
    // be an attempt to.
    world.accepts("apply -n classes -f -", Some(&absent)).await;
    world.accepts("apply -n classes --server-side --force-conflicts -f -", Some(&absent)).await;
    world.accepts("apply -n classes --server-side -f -", Some(&absent)).await;
    world
        .accepts("replace -n classes -f -", Some(&absent.replace("absent}", "absent, labels: {a: b}}")))
        .await;
    assert_eq!(class("pvc/absent").await, "local-path");
    let set = with_templates();
    for line in ["apply", "apply", "apply --server-side --force-conflicts", "apply --server-side", "replace"]
    {
        world.accepts(&format!("{line} -n classes -f -"), Some(&set)).await;
        let set = world.get("-n classes statefulset/redis").await;
        assert_eq!(
            set["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"], "local-path",
            "{line}"
        );
    }
    // By server-side apply from the first on.
    for _ in 0..2 {
        let claim = claim("server", "");
        world.accepts("apply -n classes --server-side -f -", Some(&claim)).await;
        assert_eq!(class("pvc/server").await, "local-path");
    }
}

#[tokio::test]
async fn a_dry_run_leaves_nothing_and_says_the_same() {
    let Some(world) = World::lock().await else { return };
    world.cluster.namespace("dry", &[]).await;
    let line = "create -n dry --dry-run=server -f -";
    world.rejects(line, Some(REDIS), &["durable-data: spec.containers[0]", "/data"]).await;
    let answer = world.works(DEVELOPER, &format!("{line} -o json"), Some(&claim("data", ""))).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["spec"]["storageClassName"], "local-path");
    world.accepts(line, Some(&with_templates())).await;
    assert_eq!(world.get("-n dry pvc,pods,statefulsets").await, Value::Null);
}

/// A volume on a node, and a claim that is bound to it.
async fn bound(world: &World, namespace: &str, node: &str) -> String {
    let name = format!("on-{node}");
    let volume = format!(
        "apiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: {name}}}\nspec:\n  capacity: {{storage: 1Gi}}\n  \
         accessModes: [ReadWriteOnce]\n  storageClassName: by-hand\n  local: {{path: /data}}\n  nodeAffinity: {{required: \
         {{nodeSelectorTerms: [{{matchExpressions: [{{key: kubernetes.io/hostname, operator: In, values: [{node}]}}]}}]}}}}\n"
    );
    world.works(ADMIN, "create -f -", Some(&volume)).await;
    let further = format!(", storageClassName: by-hand, volumeName: {name}");
    world.accepts(&format!("create -n {namespace} -f -"), Some(&claim(&name, &further))).await;
    world.until(&format!("-n {namespace} pvc/{name}"), |claim| claim["status"]["phase"] == "Bound").await;
    // The cache follows.
    tokio::time::sleep(Duration::from_millis(300)).await;
    name
}

fn pod_with(name: &str, labels: &str, node: Option<&str>, claims: &[&str]) -> String {
    let volumes: Vec<String> = claims
        .iter()
        .map(|claim| format!("{{name: {claim}, persistentVolumeClaim: {{claimName: {claim}}}}}"))
        .collect();
    let node = node.map(|node| format!("nodeName: {node}, ")).unwrap_or_default();
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{{labels}}}}}\nspec: {{{node}containers: [{{name: c, \
         image: nginx}}], volumes: [{}]}}\n",
        volumes.join(", ")
    )
}

fn pinned_to(node: &str) -> Value {
    json!([{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}])
}

fn terms(spec: &Value) -> Value {
    spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        .clone()
}

#[tokio::test]
async fn pods_go_where_their_volumes_are() {
    let Some(world) = World::lock().await else { return };
    world.cluster.namespace("nodes", &[]).await;
    world.cluster.fake_node("node-a", &[]).await;
    world.cluster.fake_node("node-b", &[]).await;
    let (on_a, on_b) = (bound(&world, "nodes", "node-a").await, bound(&world, "nodes", "node-b").await);
    let (on_a, on_b) = (on_a.as_str(), on_b.as_str());
    let create = "create -n nodes -f -";

    world.accepts(create, Some(&pod_with("pinned", "", None, &[on_b]))).await;
    let stored = world.get("-n nodes pod/pinned").await;
    assert_eq!(terms(&stored["spec"]), pinned_to("node-b"));
    world.accepts(create, Some(&pod_with("there", "", Some("node-b"), &[on_b]))).await;
    let words = ["volume-reachable: spec.nodeName: ", "node-a", on_b];
    world.rejects(create, Some(&pod_with("elsewhere", "", Some("node-a"), &[on_b])), &words).await;
    let words = ["volume-reachable: ", on_a, on_b];
    world.rejects(create, Some(&pod_with("torn", "", None, &[on_a, on_b])), &words).await;

    // A Deployment stays as it is written, since its claim may move; its pods, which a controller makes, are pinned.
    let deployment = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec:\n  selector: {{matchLabels: {{app: web}}}}\n  \
         template:\n    metadata: {{labels: {{app: web}}}}\n    spec:\n      containers: [{{name: c, image: nginx}}]\n      \
         volumes: [{{name: v, persistentVolumeClaim: {{claimName: {on_b}}}}}]\n"
    );
    world.accepts(create, Some(&deployment)).await;
    let pods = world.until("-n nodes pods -l app=web", |list| list["items"][0].is_object()).await;
    assert_eq!(terms(&pods["items"][0]["spec"]), pinned_to("node-b"));
    let stored = world.get("-n nodes deployment/web").await;
    assert_eq!(terms(&stored["spec"]["template"]["spec"]), Value::Null);
}

/// Answers as a webhook that was written by somebody else: pods get a further container, and a further pod volume by
/// their label `inject`.
async fn injecting(address: SocketAddr) -> String {
    let source = CertificateSource::own(vec!["127.0.0.1".to_owned()], Clock::system().now()).unwrap();
    let ca = source.ca_bundle().unwrap();
    let certificates = Follower::start(source, Clock::system().now()).unwrap().certificates();
    let tls = RustlsConfig::from_config(certificates.server_config().unwrap());
    let answer = async |axum::Json(review): axum::Json<Value>| {
        let label = review["request"]["object"]["metadata"]["labels"]["inject"].as_str().unwrap_or_default();
        let add = match label {
            "ephemeral" => {
                json!([{"op": "add", "path": "/spec/volumes/-", "value": {"name": "injected", "ephemeral":
                {"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"],
                                                  "resources": {"requests": {"storage": "1Gi"}}}}}}}])
            }
            "redis" => json!([{"op": "add", "path": "/spec/containers/-",
                               "value": {"name": "injected", "image": "redis"}}]),
            claim => {
                let volume = json!({"name": "injected", "persistentVolumeClaim": {"claimName": claim}});
                match review["request"]["object"]["spec"]["volumes"] {
                    Value::Null => json!([{"op": "add", "path": "/spec/volumes", "value": [volume]}]),
                    _ => json!([{"op": "add", "path": "/spec/volumes/-", "value": volume}]),
                }
            }
        };
        let patch = base64::Engine::encode(&BASE64_STANDARD, add.to_string());
        axum::Json(json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {
            "uid": review["request"]["uid"], "allowed": true, "patchType": "JSONPatch", "patch": patch}}))
    };
    let router = axum::Router::new().route("/", axum::routing::post(answer));
    tokio::spawn(axum_server::bind_rustls(address, tls).serve(router.into_make_service()));
    ca
}

#[tokio::test]
async fn what_another_webhook_adds_is_mutated_and_judged_too() {
    let Some(world) = World::lock().await else { return };
    world.cluster.namespace("others", &[]).await;
    world.cluster.fake_node("node-c", &[]).await;
    let on_c = bound(&world, "others", "node-c").await;
    let address = free_address();
    let ca = injecting(address).await;
    // By its name it comes after volgate.
    let mut configuration = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "zzz-injecting"}, "webhooks": [{"name": "inject.example.com", "sideEffects": "None",
            "admissionReviewVersions": ["v1"], "objectSelector": {"matchExpressions": [{"key": "inject", "operator": "Exists"}]},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
            "clientConfig": {"url": format!("https://{address}/"),
                             "caBundle": base64::Engine::encode(&BASE64_STANDARD, ca)}}]});
    world.works(ADMIN, "create -f -", Some(&configuration.to_string())).await;
    let probe = pod_with("probe", "inject: redis", None, &["none"]);
    wait_until("the other webhook is in force", LIMIT, async || {
        let output =
            world.kubectl(ADMIN, "create -n kube-system --dry-run=server -o json -f -", Some(&probe)).await;
        if output.stdout.contains("injected") { Ok(()) } else { Err(output.to_string()) }
    })
    .await;

    let create = "create -n others -f -";
    world.accepts(create, Some(&pod_with("class", "inject: ephemeral", None, &[&on_c]))).await;
    let stored = world.get("-n others pod/class").await;
    let template =
        &stored["spec"]["volumes"].as_array().unwrap().iter().find(|v| v["name"] == "injected").unwrap();
    assert_eq!(template["ephemeral"]["volumeClaimTemplate"]["spec"]["storageClassName"], "local-path");
    assert_eq!(terms(&stored["spec"]), pinned_to("node-c"), "asked twice, pinned once");
    let further = pod_with("pinned", &format!("inject: {on_c}"), None, &["not-there"]);
    world.accepts(create, Some(&further)).await;
    assert_eq!(terms(&world.get("-n others pod/pinned").await["spec"]), pinned_to("node-c"));
    let redis = pod_with("redis", "inject: redis", None, &[&on_c]);
    world.rejects(create, Some(&redis), &["durable-data: spec.containers[1]", "/data"]).await;
    // A pod about which there was nothing to ask until another webhook changed it: volgate comes last, and sees it.
    configuration["metadata"]["name"] = json!("vpa-injecting");
    world.works(ADMIN, "create -f -", Some(&configuration.to_string())).await;
    world.works(ADMIN, "delete mutatingwebhookconfiguration zzz-injecting", None).await;
    let bare = pod_with("bare", &format!("inject: {on_c}"), None, &[]);
    wait_until("the one that is there now is asked first", LIMIT, async || {
        let output =
            world.kubectl(DEVELOPER, "create -n others --dry-run=server -o json -f -", Some(&bare)).await;
        let pod: Value = serde_json::from_str(&output.stdout).map_err(|_| output.to_string())?;
        let injected = pod["spec"]["volumes"].as_array().into_iter().flatten();
        let injected = injected.filter(|volume| volume["name"] == "injected").count();
        if injected == 1 && terms(&pod["spec"]) == pinned_to("node-c") {
            Ok(())
        } else {
            Err(pod.to_string())
        }
    })
    .await;
    let redis = pod_with("late-redis", "inject: redis", None, &[]);
    world.rejects(create, Some(&redis), &["durable-data: spec.containers[1]", "/data"]).await;
    world.works(ADMIN, "delete mutatingwebhookconfiguration vpa-injecting", None).await;
}

fn policy(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: volgate.dev/v1alpha1\nkind: StoragePolicy\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    )
}

#[tokio::test]
async fn takes_policies_from_the_cluster_as_they_change() {
    let Some(world) = World::lock().await else { return };
    world.cluster.namespace("policies", &[]).await;
    let apply = async |text: &str| world.works(ADMIN, "apply -f -", Some(text)).await;

    // The baseline is an object as others are: without it redis is let through.
    world.works(ADMIN, "delete storagepolicy baseline", None).await;
    apply(&policy("classes", "{rules: [{defaultClass: {name: fast}}]}")).await;
    world.becomes("the baseline is gone", REDIS, |output| output.success).await;
    let status = is_ready(&world, "classes", "True").await;
    assert_eq!((&status["observedGeneration"], &status["rules"]), (&json!(1), &json!(1)), "{status}");
    world.accepts("create -n policies -f -", Some(&claim("data", ""))).await;
    let stored = world.get("-n policies pvc/data").await;
    assert_eq!(stored["spec"]["storageClassName"], "fast");

    // What the schema knows, the API server refuses; what it cannot know is told in the log, and the others go on.
    for (spec, word) in [
        ("{rules: [{durableDate: {}}]}", "durableDate"),
        ("{action: Reject, rules: [{pinToVolume: {}}]}", "spec.action"),
        ("{rules: [{pinToVolume: {}, volumeReachable: {}}]}", "one entry holds one rule"),
    ] {
        let output = world.kubectl(ADMIN, "create -f -", Some(&policy("bad", spec))).await;
        assert!(!output.success && output.stderr.contains(word), "{spec}: {output}");
    }
    let bad = "{rules: [{cel: {name: bad, expression: 'object.', message: m}}]}";
    let output = world.kubectl(ADMIN, "apply -f -", Some(&policy("bad", bad))).await;
    for words in [r#"admission webhook "policies.volgate.dev" denied"#, "spec.rules[0].cel.expression"] {
        assert!(!output.success && output.stderr.contains(words), "{words}: {output}");
    }
    let contrary = policy("contrary", "{rules: [{defaultClass: {name: slow}}]}");
    let output = world.kubectl(ADMIN, "apply -f -", Some(&contrary)).await;
    assert!(output.success && output.stderr.contains("one of the two is left out"), "{output}");
    world.serve().logs("a StoragePolicy is left out policy=\"contrary\"").await;
    let status = is_ready(&world, "contrary", "False").await;
    assert_eq!(status["conditions"][0]["reason"], "LeftOut", "{status}");
    let (ready, _) = world.serve().health("/readyz").await.unwrap();
    assert_eq!(ready, 200);
    world.accepts("create -n policies -f -", Some(&claim("more", ""))).await;
    assert_eq!(world.get("-n policies pvc/more").await["spec"]["storageClassName"], "fast");

    // An object that was good cannot be made bad.
    let output = world.kubectl(ADMIN, "apply -f -", Some(&policy("classes", bad))).await;
    assert!(!output.success && output.stderr.contains("spec.rules[0].cel.expression"), "{output}");
    world.works(ADMIN, "delete storagepolicy contrary", None).await;
    world.accepts("create -n policies -f -", Some(&claim("again", ""))).await;
    assert_eq!(world.get("-n policies pvc/again").await["spec"]["storageClassName"], "fast");

    // Exceptions let through, and the audit log knows why.
    let durable = "{rules: [{durableData: {require: claim}}], exceptions: [{namespaces: [policies], \
                   rules: [durable-data], reason: a cache that is warm in a minute}]}";
    apply(&policy("durable", durable)).await;
    world
        .becomes("the new policy is in force", REDIS, |output| output.stderr.contains("(policy durable)"))
        .await;
    world.accepts("create -n policies -f -", Some(REDIS)).await;
    let annotations = world.audited("pods", "policies", "redis").await;
    assert_eq!(
        annotations["workloads.volgate.dev/excused"], "durable-data=durable/a cache that is warm in a minute",
        "{annotations}"
    );

    world.works(ADMIN, "delete storagepolicies --all", None).await;
    world.becomes("nothing is judged", REDIS, |output| output.success).await;
    world.serve().logs("there is no StoragePolicy, so that nothing is judged").await;
    world.works(ADMIN, "apply -f policies/baseline.yaml", None).await;
    let baseline = |output: &support::Output| output.stderr.contains("(policy baseline)");
    world.becomes("the baseline is back", REDIS, baseline).await;
    // A claim keeps the class that it was given under another policy.
    world.accepts("apply -n policies -f -", Some(&claim("data", ""))).await;
    assert_eq!(world.get("-n policies pvc/data").await["spec"]["storageClassName"], "fast");
}

/// The status of a policy, once its Ready condition says so of the object as it is.
async fn is_ready(world: &World, name: &str, wanted: &str) -> Value {
    let what = format!("storagepolicy/{name}");
    let found = world.until(&what, |policy| {
        let (ready, status) = (&policy["status"]["conditions"][0], &policy["status"]);
        ready["type"] == "Ready"
            && ready["status"] == wanted
            && status["observedGeneration"] == policy["metadata"]["generation"]
    });
    found.await["status"].clone()
}

#[tokio::test]
async fn the_baseline_is_made_once_and_is_then_the_clusters_own() {
    let Some(mut world) = World::lock().await else { return };
    const MEMORY: &str = "-n volgate-system configmap volgate-baseline";
    let forget = async |world: &mut World| {
        world.serve = None;
        world.works(ADMIN, "delete storagepolicies --all", None).await;
        world.works(ADMIN, &format!("delete {MEMORY} --ignore-not-found"), None).await;
    };
    forget(&mut world).await;
    world.serve_with(&[]).await;
    world.until(MEMORY, |memory| memory["data"]["storagepolicy"] == "baseline").await;
    world.in_force().await;
    let status = is_ready(&world, "baseline", "True").await;
    assert_eq!(status["rules"], 5, "{status}");
    world.rejects("create -n default -f -", Some(REDIS), &["(policy baseline)"]).await;

    // Counted, but for dry runs; each replica by its own name.
    let counted = world.until("storagepolicy/baseline", |policy| policy["status"]["denials"] == 1).await;
    let replicas = counted["status"]["replicas"].as_object().unwrap();
    assert!(replicas.values().any(|replica| replica["denials"] == 1), "{counted}");
    let table = world.works(ADMIN, "get storagepolicies", None).await;
    let (head, row) = table.split_once('\n').unwrap();
    for column in ["READY", "RULES", "OBJECTS", "DENIALS"] {
        assert!(head.contains(column), "{table}");
    }
    assert!(row.contains("True"), "{table}");

    // What is edited stays edited, what is deleted stays deleted, over a restart too.
    let edit = r#"{"spec":{"description":"ours"}}"#;
    world.works(ADMIN, &format!("patch storagepolicy baseline --type=merge -p {edit}"), None).await;
    world.serve_with(&[]).await;
    world.in_force().await;
    assert_eq!(world.get("storagepolicy/baseline").await["spec"]["description"], "ours");
    world.works(ADMIN, "delete storagepolicy baseline", None).await;
    world.becomes("nothing is judged", REDIS, |output| output.success).await;
    assert_eq!(world.serve().metric("volgate_policies", &[]).await, 0.0);
    world.serve_with(&[]).await;
    world.serve().logs("there is no StoragePolicy, so that nothing is judged").await;
    world.becomes("nothing is judged after a restart", REDIS, |output| output.success).await;
    assert_eq!(world.get("storagepolicy/baseline").await, Value::Null);

    // A cluster of an earlier version, whose policies were all that counted: the baseline would refuse what they admit.
    forget(&mut world).await;
    let own = policy("own", "{rules: [{pinToVolume: {}}]}");
    world.works(ADMIN, "apply -f -", Some(&own)).await;
    world.serve_with(&[]).await;
    let memory = world.until(MEMORY, |memory| !memory.is_null()).await;
    assert!(memory["data"]["why"].as_str().unwrap().contains("not made"), "{memory}");
    assert_eq!(world.get("storagepolicy/baseline").await, Value::Null);
    world.becomes("only objects count", REDIS, |output| output.success).await;
    world.works(ADMIN, "apply -f policies/baseline.yaml", None).await;
    world.in_force().await;
}

/// What is sent follows the policies: a wider one is in force once the API server sends what it is about, and says so as
/// `kubectl wait` understands it; of a narrower one the rest is taken away afterwards.
#[tokio::test]
async fn what_is_sent_follows_the_policies_in_force() {
    let Some(world) = World::lock().await else { return };
    const CONDITION: &str = "may-matter-to-a-policy";
    let sent = async |configuration: &str| {
        let found = world.get(configuration).await;
        let text = found["webhooks"][0]["matchConditions"][0]["expression"].as_str().unwrap().to_owned();
        text.lines().find(|line| line.ends_with(CONDITION)).map(str::to_owned)
    };
    let reviews = async || world.serve().metric("volgate_reviews_total", &["kind=\"Pod\"", "CREATE"]).await;
    let validating = "validatingwebhookconfiguration/volgate";
    world.until(validating, |found| found.to_string().contains(CONDITION)).await;
    let before = reviews().await;
    for _ in 0..5 {
        world.accepts("create -n default --dry-run=server -f -", Some(WEB)).await;
    }
    assert_eq!(reviews().await, before, "nobody is asked about a pod that no policy can be about");
    world.accepts("create -n default --dry-run=server -f -", Some(SCRATCH)).await;
    assert_eq!(reviews().await, before + 1.0, "to be judged, and not to be changed");

    let narrow = sent(validating).await;
    for round in 0..3 {
        let name = format!("wide-{round}");
        let wide = policy(&name, "{rules: [{ephemeralStorage: {requireLimit: true}}]}");
        let began = Instant::now();
        world.works(ADMIN, "apply -f -", Some(&wide)).await;
        let wait = format!("wait --for=condition=Ready --timeout=60s storagepolicy/{name}");
        world.works(ADMIN, &wait, None).await;
        support::say(&format!("a wider policy is Ready after {:?}", began.elapsed()));
        let words = ["ephemeral-storage: spec.containers[0]"];
        world.rejects("create -n default --dry-run=server -f -", Some(WEB), &words).await;
        assert_eq!(sent(validating).await, None, "everything is sent");
        assert!(sent("mutatingwebhookconfiguration/zz-volgate").await.is_some(), "nothing more is changed");

        world.works(ADMIN, &format!("delete storagepolicy {name}"), None).await;
        let began = Instant::now();
        wait_until("less is sent", LIMIT, async || match sent(validating).await {
            found if found == narrow => Ok(()),
            found => Err(format!("{found:?}")),
        })
        .await;
        support::say(&format!("less is sent {:?} after its policy went", began.elapsed()));
    }
}

/// The webhook for policies lets them through when nobody answers; then the status shows what is wrong with them.
#[tokio::test]
async fn a_bad_policy_that_slipped_through_shows_in_its_status() {
    let Some(mut world) = World::lock().await else { return };
    world.serve = None;
    let bad = policy("slipped", "{rules: [{cel: {name: bad, expression: 'object.', message: m}}]}");
    world.works(ADMIN, "apply -f -", Some(&bad)).await;
    world.serve_with(&[]).await;
    world.serve().logs("a StoragePolicy has faults, and it is not applied policy=\"slipped\"").await;
    let status = is_ready(&world, "slipped", "False").await;
    let message = status["conditions"][0]["message"].as_str().unwrap();
    assert!(message.contains("spec.rules[0].cel.expression"), "{status}");
    world.in_force().await;
    // It can be labelled, and taken away.
    world.works(ADMIN, "label storagepolicy slipped a=b", None).await;
    world.works(ADMIN, "delete storagepolicy slipped", None).await;
}

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: nginx}]}
";
const LEASE: &str = "
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: new, namespace: kube-node-lease}
spec: {holderIdentity: new}
";

#[tokio::test]
async fn a_volgate_that_was_killed_locks_no_cluster_and_comes_back() {
    let Some(mut world) = World::lock().await else { return };
    world.cluster.namespace("killed", &[]).await;
    world.accepts("create -n killed -f -", Some(DEPLOYMENT)).await;
    let pods = world.until("-n killed pods -l app=web", |list| list["items"][0].is_object()).await;
    let first = pods["items"][0]["metadata"]["name"].as_str().unwrap().to_owned();
    let hook = "validatingwebhookconfiguration/volgate";
    let old_ca = ca_of(&world.get(hook).await["webhooks"][0]);
    world.serve().process.kill();

    world.fails_closed("create -n killed -f -", Some(SCRATCH)).await;
    world.fails_closed("-n killed set image deployment/web c=redis:7", None).await;
    // Nor is it missed where no policy can have anything to say.
    world.accepts("create -n killed -f -", Some(WEB)).await;
    world.accepts("-n killed set image deployment/web c=nginx:2", None).await;
    world.cluster.fake_node("new-node", &[]).await;
    world.works(ADMIN, "create -f -", Some(LEASE)).await;
    // It is not asked about these: what it would refuse elsewhere, and itself.
    world.works(ADMIN, "-n kube-system create deployment redis --image=redis", None).await;
    world.until("-n kube-system pods -l app=redis", |list| list["items"][0].is_object()).await;
    let shipped = support::run::root("manifests/deployment.yaml");
    world.works(ADMIN, &format!("apply -f {}", shipped.display()), None).await;
    world.until("-n volgate-system pods", |list| list["items"][0].is_object()).await;
    world.works(ADMIN, &format!("-n killed delete pod {first} --force --grace-period=0"), None).await;
    let other = |list: &Value| {
        let names = list["items"].as_array().into_iter().flatten().map(|pod| &pod["metadata"]["name"]);
        names.into_iter().any(|name| *name != json!(first))
    };
    world.until("-n killed pods -l app=web", other).await;

    // Back again, with the CA that the replicas share.
    world.serve_with(&[]).await;
    world.in_force().await;
    assert_eq!(ca_of(&world.get(hook).await["webhooks"][0]), old_ca);
    world.accepts("create -n killed -f -", Some(SCRATCH)).await;
    world.rejects("create -n killed -f -", Some(REDIS), &["durable-data"]).await;

    // One that hangs is like one that is gone.
    world.serve_with(&["--timeout", "1"]).await;
    world.serve().process.signal("STOP");
    world
        .fails_closed("create -n killed -f -", Some(&SCRATCH.replace("name: scratch}", "name: late}")))
        .await;
    world.serve().process.signal("CONT");
    world.in_force().await;

    world.serve_with(&["--failure-policy", "ignore"]).await;
    world.rejects("create -n killed -f -", Some(REDIS), &["durable-data"]).await;
    world.serve().process.kill();
    world.becomes("the API server knows of the failure policy", REDIS, |output| output.success).await;
    world.accepts("create -n killed -f -", Some(REDIS)).await;
}

#[tokio::test]
async fn sigterm_drains() {
    let Some(mut world) = World::lock().await else { return };
    world.serve_with(&["--drain-delay", "4"]).await;
    world.in_force().await;
    let serve = world.serve.take().unwrap();
    serve.process.signal("TERM");
    let began = Instant::now();
    let (ready, asked) = tokio::join!(
        serve.answers("/readyz", 503),
        world.kubectl(DEVELOPER, "create -n default -f -", Some(REDIS))
    );
    assert!(ready.contains("[-]shutdown failed: shutting down"), "{ready}");
    assert!(asked.stderr.contains("denied the request"), "what still comes is answered: {asked}");
    assert!(serve.process.exited().is_none());
    let (code, log) = serve.ends().await;
    assert_eq!(code, Some(0), "{log}");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(10), "the API server's idle connections are not waited for: {took:?}");
    assert!(log.contains("draining") && log.contains("every request is answered"), "{log}");
}

#[tokio::test]
async fn a_cluster_that_cannot_be_reached_is_waited_for() {
    let scratch = Scratch::new("kubeconfig").unwrap();
    let config = scratch.path().join("config");
    let (nobody, health) = (free_address(), free_address());
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": format!("http://{nobody}")}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}], "users": [{"name": "u", "user": {}}],
    });
    std::fs::write(&config, text.to_string()).unwrap();
    let serve = Serve::start(&config, &["--register", "--url", &format!("https://{health}")]);
    wait_until("readiness says why", LIMIT, async || match serve.health("/readyz").await {
        Ok((503, text)) if text.contains("refused") && text.contains("storagepolicies") => Ok(()),
        seen => Err(format!("{seen:?}")),
    })
    .await;
    let log = serve.process.log();
    assert!(log.contains("refused") && !log.contains("are registered") && !log.contains("kube_"), "{log}");
    serve.process.signal("TERM");
    assert_eq!(serve.ends().await.0, Some(0));
}

#[tokio::test]
async fn serves_without_a_cluster() {
    let listen = free_address();
    let args = ["--standalone", "--print-ca", "--listen", &listen.to_string(), "--drain-delay", "0"];
    let serve = Serve::start(Path::new(NOWHERE), &args);
    serve.ready().await;
    let log = serve.process.log();
    let (from, to) = (log.find("-----BEGIN").unwrap(), log.find("-----END").unwrap());
    let pem: String = log[from..to].lines().skip(1).collect();
    let mut config = kube::Config::new(format!("https://{listen}").parse().unwrap());
    config.root_cert = Some(vec![base64::Engine::decode(&BASE64_STANDARD, pem).unwrap()]);
    config.proxy_url = None;
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "redis", "namespace": "default"},
                     "spec": {"containers": [{"name": "redis", "image": "redis"}]}});
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "1", "operation": "CREATE", "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"}, "namespace": "default", "name": "redis",
        "userInfo": {"username": "somebody"}, "object": pod, "dryRun": false}});
    let request = axum::http::Request::post("/validate")
        .header("content-type", "application/json")
        .body(review.to_string().into_bytes())
        .unwrap();
    let client = kube::Client::try_from(config).unwrap();
    let answer: Value = client.request(request).await.unwrap();
    assert_eq!(answer["response"]["allowed"], false, "{answer}");
    serve.process.signal("TERM");
    assert_eq!(serve.ends().await.0, Some(0));
}

#[tokio::test]
async fn faults_end_it_with_status_2_and_a_message_that_names_them() {
    let scratch = Scratch::new("policies").unwrap();
    let bad = scratch.path().join("bad.yaml");
    std::fs::write(&bad, policy("bad", "{rules: [{durableDate: {}}, {defaultClass: {}}]}")).unwrap();
    let bad = bad.to_str().unwrap();
    let keyed = scratch.path().join("keyed.pem");
    std::fs::write(&keyed, "-----BEGIN PRIVATE KEY-----").unwrap();
    let keyed = keyed.to_str().unwrap();
    let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (cert, key) = (scratch.path().join("tls.crt"), scratch.path().join("tls.key"));
    std::fs::write(&cert, signed.cert.pem()).unwrap();
    std::fs::write(&key, signed.signing_key.serialize_pem()).unwrap();
    let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
    let files = ["--standalone", "--tls-cert", cert, "--tls-key", key, "--tls-ca"];
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (args, words) in [
        (vec![], vec!["failed to find the API server", NOWHERE]),
        (vec!["--standalone", "--listen", &taken], vec!["failed to listen on", &taken, "in use"]),
        (
            vec!["--standalone", "--policy", bad],
            vec!["2 faults", "bad.yaml:4", "durableDate", "durableData", "name"],
        ),
        (vec!["--standalone", "--policy", "/nowhere/p.yaml"], vec!["/nowhere/p.yaml", "No such file"]),
        (vec!["--register"], vec!["failed to register", "--service NAMESPACE/NAME", "--url"]),
        (
            vec!["--register", "--service", "a/b", "--inject-ca-from", "a/c"],
            vec!["failed to register", "--tls-cert and --tls-key"],
        ),
        (vec!["--standalone", "--tls-cert", bad, "--tls-key", bad], vec!["bad.yaml"]),
        ([&files[..], &[keyed]].concat(), vec!["keyed.pem as the CA", "there is a private key in it"]),
        ([&files[..], &[bad]].concat(), vec!["bad.yaml as the CA", "no certificate"]),
        ([&files[..5], &["--print-ca"]].concat(), vec!["failed to print the CA", "--tls-ca"]),
        (vec!["--standalone", "--register"], vec!["--register", "cannot be used with"]),
        (vec!["--standalone", "--timeout", "31"], vec!["--timeout", "1..=30"]),
    ] {
        let serve = Serve::start(Path::new(NOWHERE), &args);
        let (code, log) = serve.ends().await;
        assert_eq!(code, Some(2), "{args:?}: {log}");
        for word in words {
            assert!(log.contains(word), "{args:?}: {word:?} is not in\n{log}");
        }
    }
}
