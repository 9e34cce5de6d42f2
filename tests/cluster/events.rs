//! Events on the owners of what is refused, by the binary beside a real API server with the rights that the chart gives it.

use crate::support::cluster::{ADMIN, wait_until};
use crate::support::run::root;
use crate::support::serve::{self, Serve, free_address};
use crate::support::{Cluster, Options};
use serde_json::{Value, json};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// A workload with a Redis that keeps nothing: its own webhook is not there yet when it is applied.
fn deployment(namespace: &str, name: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  replicas: 1\n  selector: \
         {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {name}}}}}\n    spec: {{containers: [{{name: redis, \
         image: redis}}]}}\n---\n"
    )
}

struct World {
    cluster: Cluster,
    serve: Serve,
}

impl World {
    /// With workloads that were there before volgate.
    async fn start(workloads: &str, namespaces: &[&str], args: &[&str]) -> Option<Self> {
        let cluster = Cluster::own(Options {
            scheduler: false,
            controller_manager_args: vec!["--use-service-account-credentials=true".into()],
            users: vec![serve::user()],
            ..Options::default()
        })?;
        for namespace in namespaces {
            cluster.namespace(namespace, &[]).await;
        }
        serve::install(&cluster);
        let rule =
            json!([{"op": "add", "path": "/rules/-", "value": volgate::cluster::denial_event_rules()[0]}])
                .to_string();
        let right = ["patch", "clusterrole", "volgate", "--type=json", "-p", &rule];
        assert!(cluster.kubectl(&right, None).await.success);
        let policy = root("policies/baseline.yaml");
        let applied = cluster.kubectl(&["apply", "-f", policy.to_str().unwrap()], None).await;
        assert!(applied.success, "{applied}");
        let applied = cluster.kubectl(&["apply", "-f", "-"], Some(workloads)).await;
        assert!(applied.success, "{applied}");
        let count = workloads.matches("kind: Deployment").count();
        wait_until("the pods of all workloads", LIMIT, async || {
            let pods = cluster.kubectl(&["get", "pods", "-A", "-o", "name"], None).await;
            let found = pods.stdout.lines().count();
            if found == count { Ok(()) } else { Err(format!("{found} of {count} pods")) }
        })
        .await;
        let serve = Serve::registered(&cluster, free_address(), args).await;
        wait_until("the registration is in force", LIMIT, async || {
            let policies = "jsonpath={.webhooks[*].failurePolicy}";
            let get = ["get", "validatingwebhookconfiguration", "volgate", "-o", policies];
            let found = cluster.kubectl(&get, None).await;
            if found.stdout.contains("Fail") { Ok(()) } else { Err(found.to_string()) }
        })
        .await;
        Some(Self { cluster, serve })
    }

    /// The events of ours: what each is about.
    async fn events(&self) -> Vec<Value> {
        let get = ["get", "events.events.k8s.io", "-A", "-o", "json"];
        let list: Value = serde_json::from_str(&self.cluster.kubectl(&get, None).await.stdout).unwrap();
        let events = list["items"].as_array().unwrap().iter();
        events.filter(|event| event["reason"] == "StorageDenied").cloned().collect()
    }

    async fn drain(&self, namespace: &str) {
        let delete = ["delete", "pods", "--all", "-n", namespace, "--now"];
        let deleted = self.cluster.kubectl(&delete, None).await;
        assert!(deleted.success, "{deleted}");
    }

    async fn side_effects(&self) -> String {
        let effects = "jsonpath={.webhooks[*].sideEffects}";
        let get = ["get", "validatingwebhookconfiguration", "volgate", "-o", effects];
        let found = self.cluster.kubectl(&get, None).await.stdout;
        let mut words: Vec<&str> = found.split(' ').collect();
        words.dedup();
        words.join(" ")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_stands_with_the_deployment_and_a_dry_run_leaves_nothing() {
    let Some(world) = World::start(&deployment("shop", "cache"), &["shop"], &["--events"]).await else {
        return;
    };
    assert_eq!(world.side_effects().await, "NoneOnDryRun");

    // The pod that its ReplicaSet would make, as a dry run: it is refused, and nothing is told.
    let get = ["get", "pods", "-n", "shop", "-o", "json"];
    let list: Value = serde_json::from_str(&world.cluster.kubectl(&get, None).await.stdout).unwrap();
    let owners = list["items"][0]["metadata"]["ownerReferences"].clone();
    assert_eq!(owners[0]["kind"], "ReplicaSet");
    let pod = |name: &str, owners: &Value| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop", "ownerReferences": owners},
               "spec": {"containers": [{"name": "redis", "image": "redis"}]}})
        .to_string()
    };
    let dry = ["create", "--dry-run=server", "-f", "-"];
    let tried = world.cluster.kubectl(&dry, Some(&pod("dry", &owners))).await;
    assert!(!tried.success && tried.stderr.contains("durable-data"), "{tried}");
    // Nor of a pod without an owner, and of one with an owner that somebody has made up.
    let made_up = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "cache", "uid": "made-up", "controller": true}]);
    for (name, owners) in [("bare", json!([])), ("liar", made_up)] {
        let tried = world.cluster.kubectl(&["create", "-f", "-"], Some(&pod(name, &owners))).await;
        assert!(!tried.success && tried.stderr.contains("durable-data"), "{tried}");
    }
    assert!(world.serve.metric("volgate_reviews_total", &["verdict=\"denied\""]).await >= 3.0);
    assert_eq!(world.serve.metric("volgate_denial_events_total", &[]).await, 0.0);
    assert!(world.events().await.is_empty());

    // A drain: the ReplicaSet's controller tries again and again.
    world.drain("shop").await;
    wait_until("the refusals are told once", LIMIT, async || {
        let repeated = world.serve.metric("volgate_denial_events_total", &["repeated"]).await;
        if repeated >= 2.0 { Ok(()) } else { Err(format!("{repeated}\n{}", world.serve.process.log_tail(5))) }
    })
    .await;
    let events = world.events().await;
    assert_eq!(events.len(), 1, "{events:#?}");
    let event = &events[0];
    assert_eq!(
        (&event["regarding"]["kind"], &event["regarding"]["name"]),
        (&json!("Deployment"), &json!("cache"))
    );
    assert_eq!((&event["type"], &event["metadata"]["namespace"]), (&json!("Warning"), &json!("shop")));
    let note = event["note"].as_str().unwrap();
    assert!(note.starts_with("a Pod is refused: durable-data: ") && note.contains("/data"), "{note}");
    let told = world.cluster.kubectl(&["describe", "deployment", "cache", "-n", "shop"], None).await;
    assert!(told.stdout.contains("StorageDenied"), "{told}");
    let said = world
        .cluster
        .kubectl_as(ADMIN, &["auth", "can-i", "get", "events", "-A", "--as", &serve::user().name], None)
        .await;
    assert_eq!(said.stdout.trim(), "no", "it writes them blindly");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_bounded_and_others_still_get_theirs() {
    let mut workloads: String = (0..12).map(|number| deployment("loud", &format!("d{number}"))).collect();
    workloads.push_str(&deployment("calm", "cache"));
    let Some(world) = World::start(&workloads, &["loud", "calm"], &["--events"]).await else { return };
    world.drain("loud").await;
    wait_until("the bound is reached", LIMIT, async || {
        let limited = world.serve.metric("volgate_denial_events_total", &["limited"]).await;
        if limited >= 1.0 { Ok(()) } else { Err(format!("{limited}")) }
    })
    .await;
    let of = |events: &[Value], namespace: &str| {
        events.iter().filter(|event| event["metadata"]["namespace"] == namespace).count()
    };
    let loud = of(&world.events().await, "loud");
    assert!((1..12).contains(&loud), "{loud} of 12 workloads");
    world.drain("calm").await;
    wait_until("the calm namespace has its own", LIMIT, async || {
        let events = world.events().await;
        if of(&events, "calm") == 1 { Ok(()) } else { Err(format!("{} events", events.len())) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_argument_nothing_is_written_and_no_side_effect_declared() {
    let Some(world) = World::start(&deployment("shop", "cache"), &["shop"], &[]).await else { return };
    assert_eq!(world.side_effects().await, "None");
    world.drain("shop").await;
    wait_until("it is refused", LIMIT, async || {
        let denied = world.serve.metric("volgate_reviews_total", &["verdict=\"denied\""]).await;
        if denied >= 2.0 { Ok(()) } else { Err(format!("{denied}")) }
    })
    .await;
    assert!(world.events().await.is_empty());
}
