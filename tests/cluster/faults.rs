//! Faults under a steady load of creations through a real API server, with two replicas: what must be refused never passes the
//! webhook that fails closed, what is allowed is refused only where the failure policy says so, and what passes the other webhook
//! is counted and ends with the fault. `.ci/faults` runs them with their figures.

mod clock;

use crate::registration::keeper::{LIMIT, Replicas, get, until};
use crate::support;
use crate::support::cluster::{ADMIN, DEVELOPER};
use crate::support::serve::{self, Serve};
use crate::support::{Cluster, Options, User, volgate, wait_until};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use kube::api::{Api, PostParams};
use serde_json::{Value, json};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// One of Kubernetes' own controllers, whose objects go through while nobody answers.
pub(crate) const CONTROLLER: &str = "system:serviceaccount:kube-system:replicaset-controller";
const VALIDATING: &str = "validatingwebhookconfiguration volgate";
const MUTATING: &str = "mutatingwebhookconfiguration zz-volgate";

/// What came of the creations of one user.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) admitted: usize,
    last_admitted: Option<Instant>,
    denied: usize,
    /// Refused since volgate did not answer.
    pub(crate) closed: usize,
    /// The API server itself did not answer, or not yet.
    away: usize,
}

/// Creates pods as dry runs, one after the other, until it is told to end.
fn create(client: kube::Client, image: &str, end: Arc<AtomicBool>) -> JoinHandle<Tally> {
    let pods: Api<Pod> = Api::namespaced(client, "app");
    let pod: Pod = serde_json::from_value(json!({"metadata": {"generateName": "load-"}, "spec": {
        "containers": [{"name": "c", "image": image}],
        "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "some"}}]}}))
    .unwrap();
    let params = PostParams { dry_run: true, ..PostParams::default() };
    tokio::spawn(async move {
        let mut tally = Tally::default();
        while !end.load(Ordering::Relaxed) {
            match pods.create(&params, &pod).await {
                Ok(_) => {
                    tally.admitted += 1;
                    tally.last_admitted = Some(Instant::now());
                }
                Err(error) => match error.to_string() {
                    text if text.contains("denied the request") => tally.denied += 1,
                    text if text.contains("failed calling webhook") => tally.closed += 1,
                    _ => tally.away += 1,
                },
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tally
    })
}

/// Three users at once: a person with what is refused and with what is allowed, and a controller with what is refused.
pub(crate) struct Load {
    end: Arc<AtomicBool>,
    refused: JoinHandle<Tally>,
    allowed: JoinHandle<Tally>,
    controller: JoinHandle<Tally>,
}

impl Load {
    pub(crate) fn start(cluster: &Cluster) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        Self {
            refused: create(cluster.client(DEVELOPER), "redis", end.clone()),
            allowed: create(cluster.client(DEVELOPER), "nginx", end.clone()),
            controller: create(cluster.client(CONTROLLER), "redis", end.clone()),
            end,
        }
    }

    /// Ends it. Nothing that must be refused has passed the webhook that fails closed.
    pub(crate) async fn end(self, what: &str, over: Instant) -> [Tally; 3] {
        self.end.store(true, Ordering::Relaxed);
        let (refused, allowed) = (self.refused.await.unwrap(), self.allowed.await.unwrap());
        let controller = self.controller.await.unwrap();
        let after = controller.last_admitted.and_then(|last| last.checked_duration_since(over));
        support::say(&format!(
            "{what}: of what must be refused {} denied, {} failed closed, {} admitted; of what is allowed {} admitted, {} failed \
             closed, {} not answered by the API server; of controllers {} denied, {} let through, the last of them {} after the \
             fault was over",
            refused.denied,
            refused.closed,
            refused.admitted,
            allowed.admitted,
            allowed.closed,
            allowed.away,
            controller.denied,
            controller.admitted,
            after.map_or("not".to_owned(), |after| format!("{after:?}")),
        ));
        assert_eq!(refused.admitted, 0, "{what}: {refused:?}");
        assert_eq!(allowed.denied, 0, "{what}: {allowed:?}");
        assert!(
            refused.denied > 0 && allowed.admitted > 0 && controller.denied > 0,
            "{what}: there was no load"
        );
        [refused, allowed, controller]
    }
}

/// With nothing wrong nothing slips through, and nothing that is allowed is refused.
async fn all_is_well(cluster: &Cluster, what: &str) {
    let load = Load::start(cluster);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let [_, allowed, controller] = load.end(&format!("after {what}"), Instant::now()).await;
    assert_eq!((allowed.closed, controller.admitted), (0, 0), "after {what}");
}

async fn ready(replicas: &Replicas) {
    for replica in &replicas.both {
        replica.ready().await;
    }
}

async fn api_server_answers(cluster: &Cluster) {
    wait_until("the API server answers", LIMIT, async || {
        let said = cluster.kubectl(&["get", "--raw", "/readyz"], None).await;
        if said.success { Ok(()) } else { Err(said.to_string()) }
    })
    .await;
}

async fn a_cluster() -> Option<(Cluster, Replicas)> {
    a_cluster_of([volgate(), volgate()]).await
}

/// With replicas that are started by these commands.
async fn a_cluster_of(commands: [Command; 2]) -> Option<(Cluster, Replicas)> {
    let controller = User { name: CONTROLLER.into(), groups: Vec::new() };
    let cluster = Cluster::own(Options {
        controller_manager: false,
        scheduler: false,
        users: vec![serve::user(), controller],
        ..Options::default()
    })?;
    cluster.namespace("app", &[]).await;
    serve::install(&cluster);
    let replicas = Replicas::start_by(&cluster, commands).await;
    let is_strict = |found: &Value| found["webhooks"][0]["failurePolicy"] == "Fail";
    until(&cluster, VALIDATING, is_strict).await;
    until(&cluster, MUTATING, is_strict).await;
    Some((cluster, replicas))
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_slips_through_while_a_replica_is_ready() {
    let Some((cluster, replicas)) = a_cluster().await else { return };
    let cluster = &cluster;
    all_is_well(cluster, "the start").await;

    let load = Load::start(cluster);
    tokio::time::sleep(Duration::from_secs(1)).await;
    replicas.both[0].process.kill();
    let over = Instant::now();
    tokio::time::sleep(Duration::from_secs(3)).await;
    load.end("kill -9 of one of two", over).await;
    all_is_well(cluster, "kill -9 of one of two").await;
    replicas.both[0].process.start_again();
    ready(&replicas).await;

    let load = Load::start(cluster);
    for replica in &replicas.both {
        replica.process.signal("TERM");
        assert_eq!(replica.ends().await.0, Some(0), "{}", replicas.logs());
        replica.process.start_again();
        replica.ready().await;
    }
    let [_, allowed, controller] = load.end("rolling restart", Instant::now()).await;
    assert_eq!((allowed.closed, controller.admitted), (0, 0), "{}", replicas.logs());
    all_is_well(cluster, "the rolling restart").await;

    let load = Load::start(cluster);
    tokio::time::sleep(Duration::from_secs(1)).await;
    replicas.both.iter().for_each(|replica| replica.process.kill());
    tokio::time::sleep(Duration::from_secs(2)).await;
    replicas.both.iter().for_each(|replica| replica.process.start_again());
    ready(&replicas).await;
    let over = Instant::now();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let [refused, allowed, controller] = load.end("all replicas gone and back", over).await;
    let failed = (refused.closed > 0, allowed.closed > 0, controller.admitted > 0);
    assert_eq!(failed, (true, true, true), "as the failure policies say");
    all_is_well(cluster, "the return of all replicas").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_slips_through_when_the_control_plane_restarts() {
    let Some((cluster, replicas)) = a_cluster().await else { return };
    let cluster = &cluster;
    for process in ["kube-apiserver", "etcd"] {
        let load = Load::start(cluster);
        tokio::time::sleep(Duration::from_secs(1)).await;
        cluster.process(process).start_again();
        api_server_answers(cluster).await;
        let over = Instant::now();
        ready(&replicas).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let [_, allowed, controller] = load.end(&format!("restart of {process}"), over).await;
        assert_eq!((allowed.closed, controller.admitted), (0, 0), "{process}: {}", replicas.logs());
        all_is_well(cluster, &format!("the restart of {process}")).await;
    }
}

/// After a power cut the API server is back before volgate, and its strict webhook configurations with it: what a cluster needs
/// to come up is let in all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_was_off_comes_up_without_volgate() {
    let Some((cluster, replicas)) = a_cluster().await else { return };
    let cluster = &cluster;
    for namespace in ["kube-system", serve::NAMESPACE] {
        let line = ["create", "serviceaccount", "default", "--namespace", namespace];
        let made = cluster.kubectl(&line, None).await;
        assert!(made.success, "{made}");
    }
    let load = Load::start(cluster);
    tokio::time::sleep(Duration::from_secs(1)).await;
    replicas.both.iter().for_each(|replica| replica.process.kill());
    for process in ["kube-apiserver", "etcd"] {
        cluster.process(process).kill();
    }
    for process in ["etcd", "kube-apiserver"] {
        cluster.process(process).start_again();
    }
    api_server_answers(cluster).await;
    assert_eq!(get(cluster, VALIDATING).await["webhooks"][0]["failurePolicy"], "Fail");

    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    for (user, namespace) in [
        // The control plane's own pods, volgate's, and those of all that ran before.
        (ADMIN, "kube-system"),
        (CONTROLLER, "kube-system"),
        (CONTROLLER, serve::NAMESPACE),
        (CONTROLLER, "app"),
    ] {
        let pod = json!({"metadata": {"generateName": "first-"}, "spec": {
            "containers": [{"name": "c", "image": "redis"}]}});
        let pods: Api<Pod> = Api::namespaced(cluster.client(user), namespace);
        let made = pods.create(&dry_run, &serde_json::from_value(pod).unwrap()).await;
        assert!(made.is_ok(), "{user} in {namespace}: {made:?}");
    }

    replicas.both.iter().for_each(|replica| replica.process.start_again());
    ready(&replicas).await;
    let over = Instant::now();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let [refused, _, controller] = load.end("a full stop and a cold start", over).await;
    assert!(refused.closed > 0 && controller.admitted > 0, "as the failure policies say");
    all_is_well(cluster, "the cold start").await;
}

/// Earlier versions wrote the mutating configuration under another name: the new one is there, as strict, before that goes.
#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_mutating_configuration_is_replaced_and_nobody_notices() {
    let Some((cluster, replicas)) = a_cluster().await else { return };
    let cluster = &cluster;
    let mut earlier = get(cluster, MUTATING).await;
    let metadata = json!({"name": "volgate", "labels": earlier["metadata"]["labels"],
                          "annotations": {"volgate.dev/version": "0.0.1"}});
    earlier["metadata"] = metadata;
    let load = Load::start(cluster);
    // As it was before the upgrade: the old name alone.
    replicas.both.iter().for_each(|replica| replica.process.signal("STOP"));
    let made = cluster.kubectl(&["create", "-f", "-"], Some(&earlier.to_string())).await;
    assert!(made.success, "{made}");
    let gone = cluster.kubectl(&["delete", "mutatingwebhookconfiguration", "zz-volgate"], None).await;
    assert!(gone.success, "{gone}");
    replicas.both.iter().for_each(|replica| replica.process.signal("CONT"));
    let first = until(cluster, MUTATING, |found| !found.is_null()).await;
    assert_eq!(first["webhooks"][0]["failurePolicy"], "Fail", "it was never lowered: {first}");
    until(cluster, "mutatingwebhookconfiguration volgate", Value::is_null).await;
    replicas.say("deleted the webhook configuration of an earlier version kind=\"MutatingWebhookConfiguration\" name=\"volgate\"", 1).await;
    load.end("a mutating configuration of an earlier version", Instant::now()).await;
    all_is_well(cluster, "an upgrade").await;
}

/// Not asserted, as it is a time: `.ci/faults` prints it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "makes 20,000 objects: .ci/faults runs it"]
async fn ready_with_ten_thousand_claims_and_volumes() {
    const COUNT: usize = 10_000;
    let options = Options {
        controller_manager: false,
        scheduler: false,
        users: vec![serve::user()],
        ..Options::default()
    };
    let Some(cluster) = Cluster::own(options) else { return };
    cluster.namespace("app", &[]).await;
    serve::install(&cluster);
    let client = cluster.client(ADMIN);
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), "app");
    let volumes: Api<PersistentVolume> = Api::all(client);
    let make = async |number: usize| {
        let claim = json!({"metadata": {"name": format!("claim-{number}")}, "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "local-path", "volumeName": format!("volume-{number}"),
            "resources": {"requests": {"storage": "1Gi"}}}});
        let volume = json!({"metadata": {"name": format!("volume-{number}")}, "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "local-path", "capacity": {"storage": "1Gi"},
            "claimRef": {"namespace": "app", "name": format!("claim-{number}")}, "local": {"path": "/data"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "In", "values": [format!("node-{}", number % 50)]}]}]}}}});
        let params = PostParams::default();
        claims.create(&params, &serde_json::from_value(claim).unwrap()).await.unwrap();
        volumes.create(&params, &serde_json::from_value(volume).unwrap()).await.unwrap();
    };
    futures::stream::iter(0..COUNT).for_each_concurrent(32, make).await;
    let began = Instant::now();
    let volgate = Serve::start(&cluster.kubeconfig_for(&serve::user().name), &[]);
    let took = wait_until("volgate is ready", LIMIT, async || match volgate.health("/readyz").await {
        Ok((200, _)) => Ok(began.elapsed()),
        seen => Err(format!("{seen:?}")),
    })
    .await;
    support::say(&format!("ready {took:?} after its start, with {COUNT} claims and as many volumes"));
    let known = volgate.metric("volgate_cache_objects", &["\"persistentvolumeclaims\""]).await;
    assert_eq!(known, COUNT as f64);
}
