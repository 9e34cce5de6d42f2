//! The agent is killed at every step of the life of a volume with a project's quota, in one virtual machine.

use crate::agent::quota::{agent_command, machine, mkfs_xfs};
use crate::agent::vm::{Parts, Vm};
use crate::agent::world::{BASE, Node};
use serde_json::json;
use std::collections::BTreeMap;
use volgate::agent::Step;
use volgate::model::{Backend, NodeVolumeStatus, Phase};

const SMALL: i64 = 16 << 20;
const LARGE: i64 = 32 << 20;
/// What is done to a volume, in this order.
const STAGES: [&str; 3] = ["create", "grow", "remove"];

/// A node whose agent is in a machine.
struct Inside<'a> {
    node: &'a Node,
    vm: Vm,
}

impl Inside<'_> {
    /// Asks for what a stage is about.
    async fn ask(&self, stage: &str, volume: &str) {
        match stage {
            "create" => {
                self.node
                    .ask(volume, |spec| {
                        spec.backend = Backend::ProjectQuota;
                        spec.directory = volume.to_owned();
                        spec.size_bytes = SMALL;
                    })
                    .await;
            }
            "grow" => self.node.change(volume, json!({"sizeBytes": LARGE})).await,
            _ => self.node.ask_absent(volume).await,
        }
    }

    /// Waits for the end of a stage.
    async fn done(&self, stage: &str, volume: &str) {
        let at = |size| move |status: &NodeVolumeStatus| status.size_bytes == Some(size);
        match stage {
            "create" => self.node.until(volume, "made", at(SMALL)).await,
            "grow" => self.node.until(volume, "grown", at(LARGE)).await,
            _ => self.node.phase(volume, Phase::Removed).await,
        };
    }

    /// Starts an agent, after one that dies at a point, if wanted.
    async fn agent(&self, point: Option<&str>) {
        let dies = point.map(|point| {
            let command = agent_command(self.node, Some(point)).replacen("setsid", "timeout 120", 1);
            // 128 and SIGABRT.
            format!("({command}); [ $? = 134 ] || {{ echo \"no end at {point}\"; exit 1; }}\n")
        });
        let lives = agent_command(self.node, None);
        let script = format!("{}{lives} &\necho $! >/mnt/mail/agent.pid", dies.unwrap_or_default());
        self.vm.run(&script).await;
    }

    /// Kills the agent, after what a script looks at.
    async fn kill(&self, script: &str) {
        let kill = "kill -KILL $(cat /mnt/mail/agent.pid)";
        self.vm.run(&format!("set -e\n{script}\n{kill}")).await;
    }

    /// How often each step on the disk has been taken by the agent that runs.
    async fn steps(&self, busybox: &str) -> BTreeMap<String, usize> {
        let text = self.vm.run(&format!("{busybox} wget -qO- http://{}/metrics", self.node.health())).await;
        let counted = |line: &str| {
            let (step, rest) = line.strip_prefix("volgate_agent_steps_total{step=\"")?.split_once('"')?;
            Some((step.to_owned(), rest.rsplit(' ').next()?.parse().ok()?))
        };
        text.lines().filter_map(counted).collect()
    }
}

/// A script that is content with a volume of so many bytes and the data in it.
fn is_whole(volume: &str, bytes: i64, data: &str) -> String {
    let at = format!("/mnt/root{BASE}/{volume}");
    format!(
        "set -- $(stat -f -c '%b %S' {at}); [ $(($1 * $2)) = {bytes} ] || {{ echo \"{volume}: $1 blocks of $2\"; exit 1; }}\n\
         [ \"$(cat {at}/data)\" = {data} ]"
    )
}

/// Every point of a stage that takes these steps so often.
fn points(steps: &BTreeMap<String, usize>) -> Vec<String> {
    let mut points = Vec::new();
    for step in Step::NAMES {
        // That of telling the API server is not counted.
        let times = if step == "report" { 1 } else { steps.get(step).copied().unwrap_or(0) };
        let within = Step::WITHIN.contains(&&*format!("within-{step}"));
        let whens = ["before", "within", "after"].into_iter().filter(|when| within || *when != "within");
        let whens: Vec<&str> = whens.collect();
        for time in 1..=times {
            points.extend(whens.iter().map(|when| format!("agent-{when}-{step}#{time}")));
        }
    }
    points
}

#[tokio::test]
async fn a_directory_with_a_quota_survives_the_agents_end_at_every_step() {
    let Some(node) = Node::without_agent("quota-steps").await else { return };
    let busybox = Parts::get().busybox().display().to_string();
    let inside = Inside { vm: machine(&node, mkfs_xfs, "-o prjquota").await, node: &node };
    // A volume that nobody disturbs tells which steps there are.
    let mut stages: [Vec<String>; 3] = Default::default();
    let mut known = BTreeMap::new();
    inside.agent(None).await;
    for (stage, points_of) in STAGES.iter().zip(&mut stages) {
        inside.ask(stage, "pvc-pilot").await;
        inside.done(stage, "pvc-pilot").await;
        let steps = inside.steps(&busybox).await;
        let new = |(step, times): (&String, &usize)| (step.clone(), times - known.get(step).unwrap_or(&0));
        *points_of = points(&steps.iter().map(new).collect());
        known = steps;
    }
    let [create, grow, remove] = &stages;
    assert!(create.contains(&"agent-within-bound#1".to_owned()), "{create:?}");
    assert!(create.contains(&"agent-after-write-record#2".to_owned()), "{create:?}");
    assert!(grow.contains(&"agent-within-bound#1".to_owned()), "{grow:?}");
    assert!(remove.contains(&"agent-within-move-to-trash#1".to_owned()), "{remove:?}");
    node.forget("pvc-pilot").await;

    // Another volume, no byte of which may change.
    inside.ask("create", "pvc-witness").await;
    inside.done("create", "pvc-witness").await;
    inside.kill(&format!("echo whole >/mnt/root{BASE}/pvc-witness/data")).await;
    let lives = (0..stages.iter().map(Vec::len).max().unwrap()).map(|life| life.to_string());
    let whole = lives.enumerate().flat_map(|(number, life)| {
        let points = stages.iter().map(move |points| points.get(number));
        STAGES.iter().zip(points).map(move |(stage, point)| (life.clone(), *stage, point))
    });
    let mut whole = whole.peekable();
    while let Some((life, stage, point)) = whole.next() {
        let volume = format!("pvc-quota-{life}");
        inside.ask(stage, &volume).await;
        if let Some(point) = point {
            inside.agent(Some(point)).await;
        }
        inside.done(stage, &volume).await;
        let look = match stage {
            "create" => {
                format!("echo {life} >/mnt/root{BASE}/{volume}/data\n{}", is_whole(&volume, SMALL, &life))
            }
            "grow" => is_whole(&volume, LARGE, &life),
            _ => {
                node.forget(&volume).await;
                format!("[ \"$(ls /mnt/root{BASE}/.volgate/volumes)\" = pvc-witness.json ]")
            }
        };
        match whole.peek() {
            // What is to die must not find its work done.
            Some((_, _, Some(_))) => inside.kill(&look).await,
            _ => drop(inside.vm.run(&format!("set -e\n{look}")).await),
        }
    }
    let trash = format!("[ -z \"$(ls -A /mnt/root{BASE}/.volgate/trash)\" ]");
    inside
        .kill(&format!(
            "for i in $(seq 100); do {trash} && break; sleep 0.1; done; {trash}\n[ \"$(ls /mnt/root{BASE})\" = pvc-witness ]\n{}",
            is_whole("pvc-witness", SMALL, "whole")
        ))
        .await;
}
