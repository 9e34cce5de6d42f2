//! Nodes with real agents, and what must be so when nothing is under way any more.

use crate::provisioner::GI;
use crate::provisioner::harness::{Agent, BASE, LIMIT, Objects};
use crate::support::serve::{ask, free_address};
use crate::support::{Cluster, Process, Scratch, agent, wait_until};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// A node's disk, with the volumes that an agent made on it.
pub(crate) trait Disk {
    fn node(&self) -> &str;
    /// The directories of volumes.
    fn directories(&self) -> BTreeSet<String>;
    /// What else is there that should not be, besides these volumes.
    fn untidy(&self, volumes: &BTreeSet<&str>) -> Option<String>;
}

impl Disk for Agent {
    fn node(&self) -> &str {
        &self.node
    }
    fn directories(&self) -> BTreeSet<String> {
        self.disk().into_values().collect()
    }
    fn untidy(&self, _volumes: &BTreeSet<&str>) -> Option<String> {
        None
    }
}

/// A running `volgate agent`, with a scratch directory as its node's root.
pub(crate) struct RealAgent {
    pub(crate) process: Process,
    node: String,
    health: SocketAddr,
    scratch: Scratch,
}

impl RealAgent {
    /// Makes a node, and starts its agent by this way to the API server.
    pub(crate) async fn start(cluster: &Cluster, node: &str, kubeconfig: &Path) -> Self {
        Self::looking(cluster, node, kubeconfig, "1").await
    }

    /// The same, with how often it looks at its disk, in seconds.
    pub(crate) async fn looking(cluster: &Cluster, node: &str, kubeconfig: &Path, seconds: &str) -> Self {
        cluster.fake_node(node, &[]).await;
        let scratch = Scratch::new(node).unwrap();
        let health = free_address();
        let listen = health.to_string();
        let args = ["agent", "--node-name", node, "--health-listen", &listen]
            .into_iter()
            .chain(["--look-every", seconds, "--orphan-grace", "1"])
            .map(str::to_owned)
            .collect::<Vec<_>>();
        let command = agent::command(kubeconfig, &scratch.path().join("root"), &args);
        let process = Process::spawn("agent", &command, &scratch.path().join("log")).unwrap();
        let agent = Self { process, node: node.to_owned(), health, scratch };
        wait_until("the agent is ready", LIMIT, async || match agent.health("/readyz").await {
            Ok((200, _)) => Ok(()),
            seen => Err(format!("{seen:?}\n{}", agent.process.log_tail(10))),
        })
        .await;
        agent
    }

    pub(crate) async fn health(&self, path: &str) -> Result<(u16, String), String> {
        ask(self.health, path).await
    }

    pub(crate) fn base(&self) -> PathBuf {
        self.scratch.path().join("root").join(BASE.trim_start_matches('/'))
    }

    /// Writes into every volume whose it is; gives what was written into.
    pub(crate) fn mark(&self) -> BTreeSet<String> {
        let directories = self.directories();
        for directory in &directories {
            fs::write(self.base().join(directory).join("data"), directory).unwrap();
        }
        directories
    }

    /// Whether what was written into these volumes is still there.
    pub(crate) fn marked(&self, directories: &BTreeSet<String>) -> bool {
        directories.iter().all(|directory| {
            fs::read_to_string(self.base().join(directory).join("data")).is_ok_and(|text| text == *directory)
        })
    }
}

impl Disk for RealAgent {
    fn node(&self) -> &str {
        &self.node
    }

    fn directories(&self) -> BTreeSet<String> {
        agent::names(&self.base()).into_iter().filter(|name| name != ".volgate").collect()
    }

    fn untidy(&self, volumes: &BTreeSet<&str>) -> Option<String> {
        let own = self.base().join(".volgate");
        let records = agent::names(&own.join("volumes"));
        let wanted: Vec<String> = volumes.iter().map(|volume| format!("{volume}.json")).collect();
        if records != wanted {
            return Some(format!("records {records:?}"));
        }
        let trash = agent::names(&own.join("trash"));
        (!trash.is_empty()).then(|| format!("trash {trash:?}"))
    }
}

/// Waits until nothing is under way: each of these claims, which are all that there are in the test's namespace, has its
/// volume, once, and nothing else of this provisioner's is left, neither in the API nor on a disk.
pub(crate) async fn settled(o: &Objects<'_>, provisioner: &str, disks: &[&dyn Disk], claims: &[String]) {
    settled_but(o, provisioner, disks, claims, &[]).await;
}

/// As [`settled`], but for volumes that were kept and whose objects are gone: the agent of each disk tells of them.
pub(crate) async fn settled_but(
    o: &Objects<'_>,
    provisioner: &str,
    disks: &[&dyn Disk],
    claims: &[String],
    orphans: &[(String, String)],
) {
    wait_until("all has settled", LIMIT * 2, async || {
        let wrong = unsettled(o, provisioner, disks, claims, orphans).await;
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    })
    .await;
}

async fn unsettled(
    o: &Objects<'_>,
    provisioner: &str,
    disks: &[&dyn Disk],
    claims: &[String],
    orphans: &[(String, String)],
) -> Vec<String> {
    let mut wrong = Vec::new();
    let found = o.list("PersistentVolumeClaim").await;
    let names: BTreeSet<&str> = found.iter().map(name).collect();
    if names != claims.iter().map(String::as_str).collect() {
        wrong.push(format!("the claims are {names:?}"));
    }
    let mut volumes = BTreeSet::new();
    for claim in &found {
        let volume = format!("pvc-{}", claim["metadata"]["uid"].as_str().unwrap());
        if claim["status"]["phase"] != "Bound" || claim["spec"]["volumeName"] != *volume {
            wrong.push(format!("claim {} is {}", name(claim), claim["status"]["phase"]));
        }
        volumes.insert(volume);
    }
    let volumes: BTreeSet<&str> = volumes.iter().map(String::as_str).collect();

    let ours =
        |key: &'static str| move |object: &Value| object["metadata"]["annotations"][key] == *provisioner;
    let mut made = o.list("PersistentVolume").await;
    made.retain(ours("pv.kubernetes.io/provisioned-by"));
    if made.iter().map(name).collect::<BTreeSet<_>>() != volumes {
        wrong.push(format!("the volumes are {:?}", made.iter().map(name).collect::<Vec<_>>()));
    }
    let mut asked = o.list("NodeVolume").await;
    asked.retain(ours("volgate.dev/provisioner"));
    if asked.iter().map(name).collect::<BTreeSet<_>>() != volumes {
        wrong.push(format!("the NodeVolumes are {:?}", asked.iter().map(name).collect::<Vec<_>>()));
    }
    for one in &asked {
        let (spec, status) = (&one["spec"], &one["status"]);
        let answered = status["observedGeneration"] == one["metadata"]["generation"];
        if !(answered && spec["desired"] == "Present" && status["phase"] == "Ready") {
            wrong.push(format!("NodeVolume {} is {spec} {status}", name(one)));
        }
    }
    for disk in disks {
        let node = disk.node();
        let here: Vec<&Value> = asked.iter().filter(|one| one["spec"]["node"] == node).collect();
        let orphans = orphans.iter().filter(|(of, _)| of == node).map(|(_, volume)| volume.as_str());
        let orphans: BTreeSet<&str> = orphans.collect();
        let volumes: BTreeSet<&str> =
            here.iter().map(|one| name(one)).chain(orphans.iter().copied()).collect();
        let directories = disk.directories();
        let right = directories.len() == volumes.len()
            && here.iter().all(|one| directories.contains(one["spec"]["directory"].as_str().unwrap()))
            && orphans.iter().all(|orphan| directories.iter().any(|directory| directory.starts_with(orphan)));
        if !right {
            wrong.push(format!("on {node} there are {directories:?}, for {volumes:?}"));
        }
        wrong.extend(disk.untidy(&volumes).map(|why| format!("on {node} there are {why}")));
        let told =
            o.get("NodeStorage", node).await["status"]["orphans"].as_array().cloned().unwrap_or_default();
        let told: BTreeSet<&str> = told.iter().filter_map(|orphan| orphan["volume"].as_str()).collect();
        if told != orphans {
            wrong.push(format!("the agent of {node} tells of the orphans {told:?}"));
        }
    }
    wrong
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap()
}

/// Names for claims.
pub(crate) fn claims(of: &str, number: usize) -> Vec<String> {
    (0..number).map(|n| format!("{of}-{n}")).collect()
}

/// Two real agents, and a class that waits for no pod with volumes on their nodes alone.
pub(crate) async fn two_agents(
    cluster: &Cluster,
    o: &Objects<'_>,
    kubeconfig: &Path,
    provisioner: &str,
) -> [RealAgent; 2] {
    let nodes = [1, 2].map(|n| format!("{}-{n}", o.namespace));
    let agents = [
        RealAgent::start(cluster, &nodes[0], kubeconfig).await,
        RealAgent::start(cluster, &nodes[1], kubeconfig).await,
    ];
    let class = crate::provisioner::at_once(&[&nodes[0], &nodes[1]], json!({"provisioner": provisioner}));
    o.class(o.namespace, class).await;
    agents
}

/// Creates claims of the class that has the namespace's name, a few bytes each.
pub(crate) async fn create(o: &Objects<'_>, names: &[String]) {
    let small = json!({"resources": {"requests": {"storage": (GI / 1024).to_string()}}});
    for some in names.chunks(20) {
        futures::future::join_all(some.iter().map(|name| o.claim(name, o.namespace, small.clone()))).await;
    }
}

pub(crate) async fn delete(o: &Objects<'_>, names: &[String]) {
    for some in names.chunks(20) {
        futures::future::join_all(some.iter().map(|name| o.delete("PersistentVolumeClaim", name))).await;
    }
}

pub(crate) async fn all_bound(o: &Objects<'_>, names: &[String]) {
    for name in names {
        o.bound(name).await;
    }
}

/// The name of a claim's volume.
pub(crate) async fn volume_of(o: &Objects<'_>, claim: &str) -> String {
    let claim = o.get("PersistentVolumeClaim", claim).await;
    format!("pvc-{}", claim["metadata"]["uid"].as_str().unwrap())
}
