//! Many claims at once: that each has its volume, what it costs, and how long it takes.

use crate::provisioner::at_once;
use crate::provisioner::disk::{Disk, RealAgent, claims, create, delete, settled};
use crate::provisioner::harness::{Agent, Controller, LIMIT, Objects, start};
use crate::support::cluster::ADMIN;
use crate::support::{Cluster, Options, say, wait_until};
use serde_json::json;
use std::time::{Duration, Instant};

const NODES: usize = 20;
const OURS: &str = "local-path.volgate.dev";

/// A control plane whose own limits are lifted.
fn lifted() -> Option<Cluster> {
    start(Options {
        controller_manager_args: vec!["--kube-api-qps=5000".into(), "--kube-api-burst=5000".into()],
        api_server_args: vec![
            "--max-requests-inflight=2000".into(),
            "--max-mutating-requests-inflight=1000".into(),
        ],
        ..Options::default()
    })
}

/// Nodes with played agents or real ones, a class for volumes on any of them, and a controller that leads.
async fn world(cluster: &Cluster, real: bool) -> (Objects<'_>, Vec<Box<dyn Disk>>, Controller) {
    let o = Objects::new(cluster, "burst").await;
    let nodes = claims("burst", NODES);
    let mut agents: Vec<Box<dyn Disk>> = Vec::new();
    for node in &nodes {
        if real {
            agents.push(Box::new(
                RealAgent::looking(cluster, node, &cluster.kubeconfig_for(ADMIN), "60").await,
            ));
        } else {
            cluster.fake_node(node, &[]).await;
            agents.push(Box::new(Agent::start(cluster, node, 1 << 50).await));
        }
    }
    let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
    o.class("burst", at_once(&nodes, json!({}))).await;
    let controller = Controller::start(cluster, &[]);
    controller.leads().await;
    (o, agents, controller)
}

/// Waits until a metric of the controller says so many, which costs the API server nothing.
async fn until_counted(controller: &Controller, line: &str, number: usize) {
    wait_until(&format!("{line} is {number}"), LIMIT * 20, async || match controller.metric(line).await {
        Some(count) if count >= number as f64 => Ok(()),
        seen => Err(format!("{seen:?}")),
    })
    .await;
}

const MADE: &str = "volgate_provisioner_provisioning_seconds_count";
const BOUND: &str = "volgate_provisioner_volumes{phase=\"Bound\",class=\"burst\"}";

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_claims_at_once() {
    let Some(cluster) = lifted() else { return };
    let (o, agents, controller) = world(&cluster, false).await;
    let disks: Vec<&dyn Disk> = agents.iter().map(|agent| &**agent).collect();
    let all = claims("data", 1000);
    create(&o, &all).await;
    until_counted(&controller, BOUND, all.len()).await;
    settled(&o, OURS, &disks, &all).await;
    let taken: usize = agents.iter().map(|agent| agent.directories().len()).sum();
    assert_eq!(taken, all.len(), "one directory for each claim");
    let (_, metrics) = controller.health("/metrics").await.unwrap();
    let writes: Vec<(String, usize)> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("volgate_provisioner_operations_total"))
        .filter(|line| !line.contains("write-capacity-of-node"))
        .map(|line| {
            let (labels, number) = line.rsplit_once(' ').unwrap();
            (labels.to_owned(), number.parse().unwrap())
        })
        .collect();
    let sum: usize = writes.iter().map(|(_, number)| number).sum();
    assert!(sum <= 4 * all.len(), "at most four writes for each: {writes:?}");
    delete(&o, &all).await;
    wait_until("nothing is left", LIMIT * 20, async || match controller.health("/metrics").await {
        Ok((200, text)) if !text.contains("volgate_provisioner_node_volumes{") => Ok(()),
        seen => Err(format!("{:?}", seen.map(|(status, _)| status))),
    })
    .await;
    settled(&o, OURS, &disks, &[]).await;
}

/// A measurement, which prints and asserts nothing of times:
/// `VOLGATE_BURST=1000 cargo test --release --test cluster -- --ignored --nocapture provisioner::burst`. All claims come at once;
/// with `VOLGATE_PACE=50` so many in a second. With `VOLGATE_AGENTS=real` the agents are processes that share this
/// machine's disk; otherwise the bench plays them.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, for a quiet machine"]
async fn measures_a_burst() {
    let asked = |name| std::env::var(name).ok().map(|text| text.parse::<u32>().unwrap());
    let (number, pace) = (asked("VOLGATE_BURST").unwrap_or(200) as usize, asked("VOLGATE_PACE"));
    let Some(cluster) = lifted() else { return };
    let real = std::env::var("VOLGATE_AGENTS").is_ok_and(|agents| agents == "real");
    let (o, _agents, controller) = world(&cluster, real).await;
    let started = Instant::now();
    let passed =
        |what: &str| say(&format!("{what} after {:.1} s", Duration::as_secs_f32(&started.elapsed())));
    let claims = claims("data", number);
    match pace {
        None => create(&o, &claims).await,
        Some(pace) => {
            let pause = Duration::from_secs(1) / pace;
            let one = async |(turn, claim): (u32, &String)| {
                tokio::time::sleep(pause * turn).await;
                o.claim(claim, "burst", json!({})).await;
            };
            futures::future::join_all((0..).zip(&claims).map(one)).await;
        }
    }
    passed(&format!("{number} claims created"));
    until_counted(&controller, MADE, number).await;
    passed("all volumes made");
    until_counted(&controller, BOUND, number).await;
    passed("all bound");
    let (_, metrics) = controller.health("/metrics").await.unwrap();
    let told = |line: &&str| line.contains("provisioning_seconds") || line.contains("operations_total");
    say(&metrics.lines().filter(told).collect::<Vec<_>>().join("\n"));
    say(&controller.memory());
}
