//! Watches that lag, break, or find the history of what they missed compacted.

use crate::provisioner::disk::{
    Disk, RealAgent, all_bound, claims, create, delete, settled, settled_but, two_agents, volume_of,
};
use crate::provisioner::harness::{BASE, Controller, LIMIT, Objects, USER, start};
use crate::provisioner::leaders::HandHeld;
use crate::support::cluster::ADMIN;
use crate::support::{Cluster, Line, Options, wait_until};
use serde_json::{Value, json};
use std::sync::OnceLock;
use std::time::Duration;

/// A control plane that forgets its history within seconds, so that a watch which was away has to list anew.
fn forgetful() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    let options = || Options {
        api_server_args: vec!["--watch-cache=false".into(), "--etcd-compaction-interval=1s".into()],
        ..Options::default()
    };
    CLUSTER.get_or_init(|| start(options())).as_ref()
}

/// Two rounds of compaction, each a second, with writes between them: the history of before is gone.
async fn compacted(o: &Objects<'_>) {
    for n in 0..5 {
        let patch = json!({"metadata": {"annotations": {"round": n.to_string()}}});
        o.merge("StorageClass", o.namespace, patch).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn what_happened_unseen_and_is_forgotten_is_made_good() {
    let Some(cluster) = forgetful() else { return };
    let provisioner = "unseen.example";
    let o = Objects::new(cluster, "unseen").await;
    let line = Line::to(cluster.port()).await;
    let agents = two_agents(cluster, &o, &line.kubeconfig(cluster, ADMIN), provisioner).await;
    let disks: Vec<&dyn Disk> = agents.iter().map(|agent| agent as &dyn Disk).collect();
    let args = ["--provisioner-name", provisioner];
    let controller =
        Controller::start_by(&line.kubeconfig(cluster, USER), &args, &[("RUST_LOG", "info,volgate=debug")]);
    controller.leads().await;
    let [stay, go] = ["stays", "goes"].map(|of| claims(of, 5));
    let [alone, kept, forgotten, both] = ["alone", "kept", "forgotten", "both"].map(str::to_owned);
    let others = [alone.clone(), kept.clone(), forgotten.clone(), both.clone()];
    let all = [stay.clone(), go.clone(), others.to_vec()].concat();
    create(&o, &all).await;
    all_bound(&o, &all).await;
    let kept_volume = volume_of(&o, &kept).await;
    let retain = json!({"spec": {"persistentVolumeReclaimPolicy": "Retain"}});
    o.merge("PersistentVolume", &kept_volume, retain).await;
    let noted = |found: &Value| found["metadata"]["annotations"]["volgate.dev/reclaim-policy"] == "Retain";
    let noted = o.until("the NodeVolume knows", "NodeVolume", &kept_volume, noted).await;
    settled(&o, provisioner, &disks, &all).await;
    let before: Vec<_> = agents.iter().map(RealAgent::mark).collect();
    let relists = || {
        let agents = agents.iter().map(|agent| agent.process.log());
        let logs = [controller.process.log()].into_iter().chain(agents);
        logs.map(|log| log.matches("has fallen behind").count()).collect::<Vec<_>>()
    };
    assert_eq!(relists(), [0, 0, 0], "nothing has been forgotten yet");

    line.cut();
    delete(&o, &go).await;
    // Claim and volume go, by the hand of somebody who takes the finalizers away; the NodeVolume is what is left.
    for claim in [&alone, &kept] {
        let volume = volume_of(&o, claim).await;
        o.delete("PersistentVolumeClaim", claim).await;
        o.gone("PersistentVolumeClaim", claim).await;
        o.delete("PersistentVolume", &volume).await;
        o.merge("PersistentVolume", &volume, json!({"metadata": {"finalizers": null}})).await;
        o.gone("PersistentVolume", &volume).await;
    }
    // The NodeVolume of a volume in use goes, and that of one that goes too.
    let rewritten = volume_of(&o, &forgotten).await;
    o.delete("NodeVolume", &rewritten).await;
    let without_record = volume_of(&o, &both).await;
    o.delete("PersistentVolumeClaim", &both).await;
    o.delete("NodeVolume", &without_record).await;
    let come = claims("comes", 5);
    create(&o, &come).await;
    compacted(&o).await;
    line.mend();

    let wanted = [stay, come, vec![forgotten]].concat();
    all_bound(&o, &wanted).await;
    let of = noted["spec"]["node"].as_str().unwrap().to_owned();
    settled_but(&o, provisioner, &disks, &wanted, &[(of, kept_volume)]).await;
    assert!(relists().iter().all(|times| *times > 0), "a list anew was never needed: {:?}", relists());
    assert_eq!(o.get("NodeVolume", &rewritten).await["spec"]["adopt"], true, "it is never created again");
    // Those that stayed, the kept one and the one whose NodeVolume was written again.
    let mut found = 0;
    for (agent, before) in agents.iter().zip(before) {
        let here = agent.directories().intersection(&before).cloned().collect();
        assert!(agent.marked(&here), "{here:?}");
        found += here.len();
    }
    assert_eq!(found, 5 + 1 + 1);
}

#[tokio::test]
async fn watches_that_break_all_the_time_make_nothing_twice() {
    let Some(cluster) = forgetful() else { return };
    let provisioner = "breaks.example";
    let o = Objects::new(cluster, "breaks").await;
    let line = Line::to(cluster.port()).await;
    let agents = two_agents(cluster, &o, &line.kubeconfig(cluster, ADMIN), provisioner).await;
    let disks: Vec<&dyn Disk> = agents.iter().map(|agent| agent as &dyn Disk).collect();
    let controller =
        Controller::start_by(&line.kubeconfig(cluster, USER), &["--provisioner-name", provisioner], &[]);
    controller.leads().await;
    let [stay, go] = ["stays", "goes"].map(|of| claims(of, 25));
    let comings = async {
        for (stay, go) in stay.chunks(5).zip(go.chunks(5)) {
            create(&o, stay).await;
            create(&o, go).await;
            tokio::time::sleep(Duration::from_secs(2)).await;
            // Some are bound, some are not made yet.
            delete(&o, go).await;
        }
    };
    let breaks = async {
        // Answers to writes get lost with it.
        for _ in 0..15 {
            tokio::time::sleep(Duration::from_millis(700)).await;
            line.cut();
            line.mend();
        }
        // What watches bring is old by now, and calls go on.
        line.hold_watches();
        tokio::time::sleep(Duration::from_secs(8)).await;
        line.let_go();
    };
    futures::future::join(comings, breaks).await;
    settled(&o, provisioner, &disks, &stay).await;
    delete(&o, &stay).await;
    settled(&o, provisioner, &disks, &[]).await;
    assert!(controller.process.exited().is_none());
}

#[tokio::test]
async fn a_leader_with_old_caches_removes_nothing_that_is_to_be_kept() {
    let Some(cluster) = forgetful() else { return };
    let provisioner = "old-caches.example";
    let o = Objects::new(cluster, "old-caches").await;
    let agent = RealAgent::start(cluster, "old-caches", &cluster.kubeconfig_for(ADMIN)).await;
    o.class("old-caches", crate::provisioner::at_once(&["old-caches"], json!({"provisioner": provisioner})))
        .await;
    // As another provisioner made it: no NodeVolume speaks of it.
    let directory = "pvc-old_old-caches_data";
    std::fs::create_dir(agent.base().join(directory)).unwrap();
    let marked = agent.mark();
    o.create(json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pvc-old", "annotations": {
            "pv.kubernetes.io/provisioned-by": provisioner}},
        "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem",
            "hostPath": {"path": format!("{BASE}/{directory}")}, "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": "old-caches",
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "old-caches", "name": "data"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "In", "values": ["old-caches"]}]}]}}}}))
        .await;
    o.claim("data", "old-caches", json!({"volumeName": "pvc-old"})).await;
    o.bound("data").await;

    let lease = HandHeld::new(cluster, provisioner).await;
    let line = Line::to(cluster.port()).await;
    let controller =
        Controller::start_by(&line.kubeconfig(cluster, USER), &["--provisioner-name", provisioner], &[]);
    let ready = async || match controller.health("/readyz").await {
        Ok((200, _)) => Ok(()),
        seen => Err(format!("{seen:?}")),
    };
    lease.held_while(wait_until("its caches are full", LIMIT, ready)).await;
    let released = async {
        o.delete("PersistentVolumeClaim", "data").await;
        let released = |volume: &Value| volume["status"]["phase"] == "Released";
        o.until("the volume is released", "PersistentVolume", "pvc-old", released).await;
        let seen = "volgate_provisioner_volumes{phase=\"Released\",class=\"old-caches\"}";
        wait_until("it knows", LIMIT, async || match controller.metric(seen).await {
            Some(1.0) => Ok(()),
            seen => Err(format!("{seen:?}")),
        })
        .await;
    };
    lease.held_while(released).await;
    // From now on it sees nothing; and only now it leads.
    line.hold_watches();
    let retain = json!({"spec": {"persistentVolumeReclaimPolicy": "Retain"}});
    o.merge("PersistentVolume", "pvc-old", retain).await;
    controller.leads().await;
    wait_until("it wants to remove the volume", LIMIT, async || {
        let log = controller.process.log();
        if log.contains("the volume is not removed volume=\"pvc-old\" reason=its reclaim policy is Retain") {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await;
    assert!(o.get("NodeVolume", "pvc-old").await.is_null(), "nobody was asked");
    line.let_go();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(agent.marked(&marked) && o.get("NodeVolume", "pvc-old").await.is_null());
}
