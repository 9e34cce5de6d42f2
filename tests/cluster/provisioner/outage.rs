//! The API server goes away, while volumes are being made and removed.

use crate::provisioner::PATIENT;
use crate::provisioner::disk::{
    Disk, RealAgent, all_bound, claims, create, delete, settled, two_agents, volume_of,
};
use crate::provisioner::harness::{Controller, LIMIT, Objects, start};
use crate::support::cluster::ADMIN;
use crate::support::{Cluster, Options, Process, wait_until};
use std::collections::BTreeSet;
use std::time::Duration;

/// Longer than the lease, than any call and any pause between two attempts may take.
const AWAY: Duration = Duration::from_secs(30);
const OURS: &str = "local-path.volgate.dev";

#[tokio::test]
async fn an_api_server_that_is_away_for_a_while_costs_nothing() {
    let Some(cluster) = start(Options::default()) else { return };
    let controller = Controller::start(&cluster, &PATIENT);
    controller.leads().await;
    // Whoever calls it waits for an answer; then, whoever calls it is refused.
    let server = cluster.process("kube-apiserver");
    let stop: fn(&Process) = |server| server.signal("STOP");
    away(&cluster, &controller, "frozen", stop, |server| server.signal("CONT")).await;
    away(&cluster, &controller, "killed", Process::kill, Process::start_again).await;
    assert!(server.exited().is_none() && controller.process.exited().is_none());
}

async fn away(
    cluster: &Cluster,
    controller: &Controller,
    name: &str,
    goes: fn(&Process),
    comes: fn(&Process),
) {
    let o = Objects::new(cluster, name).await;
    let agents = two_agents(cluster, &o, &cluster.kubeconfig_for(ADMIN), OURS).await;
    let [stay, go, come] = ["stays", "goes", "comes"].map(|of| claims(&format!("{name}-{of}"), 5));
    create(&o, &stay).await;
    create(&o, &go).await;
    all_bound(&o, &stay).await;
    all_bound(&o, &go).await;
    let marked: Vec<BTreeSet<String>> = agents.iter().map(RealAgent::mark).collect();

    // What the agents are asked for meets an API server that is away already.
    agents.iter().for_each(|agent| agent.process.signal("STOP"));
    let mut ends = Vec::new();
    for claim in &go {
        ends.push(volume_of(&o, claim).await);
    }
    delete(&o, &go).await;
    create(&o, &come).await;
    for volume in &ends {
        let absent = |found: &serde_json::Value| found["spec"]["desired"] == "Absent";
        o.until("the agent is asked to remove it", "NodeVolume", volume, absent).await;
    }
    for claim in &come {
        let volume = volume_of(&o, claim).await;
        o.until("the agent is asked to make it", "NodeVolume", &volume, |found| !found.is_null()).await;
    }
    let server = cluster.process("kube-apiserver");
    goes(server);
    agents.iter().for_each(|agent| agent.process.signal("CONT"));
    tokio::time::sleep(AWAY).await;
    let led = controller.metric("volgate_provisioner_leader").await;
    assert_eq!(led, Some(0.0), "without an API server nobody knows who leads");
    for agent in &agents {
        // It serves the volumes that it knows, and a restart would help nobody.
        for path in ["/livez", "/readyz"] {
            let answer = agent.health(path).await;
            assert!(matches!(answer, Ok((200, _))), "{path}: {answer:?}");
        }
    }
    comes(server);
    wait_until("the API server answers", LIMIT, async || {
        let output = cluster.kubectl(&["get", "--raw", "/readyz"], None).await;
        if output.success { Ok(()) } else { Err(output.to_string()) }
    })
    .await;

    let wanted = [stay, come].concat();
    all_bound(&o, &wanted).await;
    let disks: Vec<&dyn Disk> = agents.iter().map(|agent| agent as &dyn Disk).collect();
    settled(&o, OURS, &disks, &wanted).await;
    let mut kept = 0;
    for (agent, marked) in agents.iter().zip(&marked) {
        let here: BTreeSet<String> = agent.directories().intersection(marked).cloned().collect();
        assert!(agent.marked(&here), "{here:?}");
        kept += here.len();
    }
    assert_eq!(kept, 5, "what was there before is what is there now");
    delete(&o, &wanted).await;
    settled(&o, OURS, &disks, &[]).await;
}
