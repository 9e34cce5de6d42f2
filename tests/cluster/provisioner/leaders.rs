//! Two controllers at once: by clocks that differ, and by a leader that does not know that it leads no more.

use crate::provisioner::disk::{Disk, all_bound, claims, create, delete, settled, two_agents, volume_of};
use crate::provisioner::harness::{Agent, Controller, LIMIT, Objects, USER};
use crate::provisioner::{GI, at_once, shared};
use crate::support::cluster::ADMIN;
use crate::support::{Cluster, Line, wait_until};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A provisioner's Lease, which the test holds by hand, as somebody whose clock is slow by two hours.
pub(crate) struct HandHeld {
    leases: Api<Lease>,
    name: String,
}

impl HandHeld {
    pub(crate) async fn new(cluster: &Cluster, provisioner: &str) -> Self {
        let leases = Api::namespaced(cluster.client(ADMIN), "volgate-system");
        let name = format!("volgate-provisioner-{provisioner}");
        let lease = json!({"metadata": {"name": name}, "spec": {"holderIdentity": "somebody",
            "leaseDurationSeconds": 6, "renewTime": by_clock(-2), "acquireTime": by_clock(-2)}});
        leases.create(&PostParams::default(), &serde_json::from_value(lease).unwrap()).await.unwrap();
        Self { leases, name }
    }

    /// By a clock that differs by these hours.
    async fn renew(&self, hours: i64) {
        let patch = Patch::Merge(json!({"spec": {"renewTime": by_clock(hours)}}));
        self.leases.patch(&self.name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Renews it as long as that goes on, and once more at its end.
    pub(crate) async fn held_while<T>(&self, work: impl Future<Output = T>) -> T {
        let held = async {
            loop {
                self.renew(-2).await;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        };
        let done = tokio::select! {
            done = work => done,
            () = held => unreachable!("it never ends"),
        };
        self.renew(-2).await;
        done
    }

    async fn spec(&self) -> k8s_openapi::api::coordination::v1::LeaseSpec {
        self.leases.get(&self.name).await.unwrap().spec.unwrap()
    }
}

fn by_clock(hours: i64) -> Value {
    let time = Timestamp::now().saturating_add(SignedDuration::from_hours(hours)).unwrap();
    serde_json::to_value(MicroTime(time)).unwrap()
}

async fn leads(controller: &Controller) -> bool {
    controller.metric("volgate_provisioner_leader").await == Some(1.0)
}

#[tokio::test]
async fn clocks_that_differ_make_no_second_leader() {
    let Some(cluster) = shared() else { return };
    let provisioner = "clocks.example";
    let o = Objects::new(cluster, "clocks").await;
    cluster.fake_node("clocks", &[]).await;
    let agent = Agent::start(cluster, "clocks", 100 * GI).await;
    let disks: [&dyn Disk; 1] = [&agent];
    o.class("clocks", at_once(&["clocks"], json!({"provisioner": provisioner}))).await;
    let lease = HandHeld::new(cluster, provisioner).await;
    let args = ["--provisioner-name", provisioner];
    let [fast, slow] = ["3600", "-3600"]
        .map(|shift| Controller::start_with(cluster, &args, &[("VOLGATE_CLOCK_SHIFT", shift)]));

    // As old as its record says that the Lease is, it is renewed: for twice as long as it lasts, nobody takes it.
    let holds = async {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(12) {
            assert!(!leads(&fast).await && !leads(&slow).await, "somebody else leads");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    lease.held_while(holds).await;
    // As long as it seems to be valid still, its holder is silent.
    lease.renew(2).await;
    let one_leads = async || {
        wait_until("one of them leads", LIMIT, async || match (leads(&fast).await, leads(&slow).await) {
            (true, false) => Ok(&fast),
            (false, true) => Ok(&slow),
            seen => Err(format!("{seen:?}")),
        })
        .await
    };
    let first = one_leads().await;
    let second = if std::ptr::eq(first, &fast) { &slow } else { &fast };
    let holder = lease.spec().await;
    assert_ne!(holder.holder_identity.as_deref(), Some("somebody"));

    let all = claims("data", 20);
    create(&o, &all[..10]).await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(12) {
        assert!(!leads(second).await, "two lead");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let now = lease.spec().await;
    assert_eq!(
        (now.holder_identity, now.lease_transitions),
        (holder.holder_identity, holder.lease_transitions)
    );
    let ahead = now.renew_time.unwrap().0.duration_since(Timestamp::now());
    assert!(ahead.as_mins().abs() > 30, "its clock was shifted: {ahead}");
    settled(&o, provisioner, &disks, &all[..10]).await;

    first.process.kill();
    create(&o, &all[10..]).await;
    all_bound(&o, &all).await;
    assert!(leads(second).await);
    delete(&o, &all[..5]).await;
    settled(&o, provisioner, &disks, &all[5..]).await;
}

#[tokio::test]
async fn writes_of_a_former_leader_that_arrive_late_do_no_harm() {
    let Some(cluster) = shared() else { return };
    let provisioner = "late.example";
    let o = Objects::new(cluster, "late").await;
    let agents = two_agents(cluster, &o, &cluster.kubeconfig_for(ADMIN), provisioner).await;
    let disks: Vec<&dyn Disk> = agents.iter().map(|agent| agent as &dyn Disk).collect();
    let line = Line::to(cluster.port()).await;
    let args = ["--provisioner-name", provisioner];
    let old = Controller::start_by(&line.kubeconfig(cluster, USER), &args, &[]);
    old.leads().await;
    let [stay, go, made, asked] = ["stays", "goes", "made", "asked"].map(|of| claims(of, 4));
    create(&o, &[stay.clone(), go.clone()].concat()).await;
    all_bound(&o, &[stay.clone(), go.clone()].concat()).await;
    let marked: Vec<_> = agents.iter().map(crate::provisioner::disk::RealAgent::mark).collect();

    // The agents have been asked, and answer when what the leader says does not arrive any more.
    agents.iter().for_each(|agent| agent.process.signal("STOP"));
    let mut answers = Vec::new();
    for claim in &go {
        answers.push((volume_of(&o, claim).await, "Removed"));
    }
    delete(&o, &go).await;
    create(&o, &made).await;
    for claim in &made {
        answers.push((volume_of(&o, claim).await, "Ready"));
    }
    for (volume, phase) in &answers {
        let wish = if *phase == "Removed" { "Absent" } else { "Present" };
        let wished = |found: &Value| found["spec"]["desired"] == wish;
        o.until(&format!("{wish} is asked"), "NodeVolume", volume, wished).await;
    }
    line.hold_requests();
    agents.iter().for_each(|agent| agent.process.signal("CONT"));
    for (volume, phase) in &answers {
        o.until(phase, "NodeVolume", volume, |found| found["status"]["phase"] == *phase).await;
    }
    create(&o, &asked).await;
    // Its writes are on their way, and it stands still before it learns that they do not arrive.
    tokio::time::sleep(Duration::from_secs(1)).await;
    old.process.signal("STOP");

    let new = Controller::start(cluster, &args);
    new.leads().await;
    let wanted = [stay.clone(), made.clone(), asked.clone()].concat();
    all_bound(&o, &wanted).await;
    settled(&o, provisioner, &disks, &wanted).await;
    // Some of what the old one wants to make has come and gone meanwhile.
    delete(&o, &[&made[..2], &asked[..2]].concat()).await;
    let wanted = [&stay[..], &made[2..], &asked[2..]].concat();
    settled(&o, provisioner, &disks, &wanted).await;

    line.let_go();
    tokio::time::sleep(Duration::from_secs(2)).await;
    old.process.signal("CONT");
    // Longer than what nobody wants is left alone for.
    tokio::time::sleep(Duration::from_secs(12)).await;
    settled(&o, provisioner, &disks, &wanted).await;
    assert_eq!((leads(&old).await, leads(&new).await), (false, true));
    for (agent, marked) in agents.iter().zip(&marked) {
        let here = agent.directories().intersection(marked).cloned().collect();
        assert!(agent.marked(&here));
    }
    assert!(old.process.exited().is_none(), "{}", old.process.log_tail(10));
}
