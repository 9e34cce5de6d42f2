//! The Lease by which one of several processes leads: the provisioner's controllers, and the webhook's replicas. The crates that there are compare the record's times with the own
//! clock, so that clocks that differ make two leaders; here only the own monotonic clock counts, as in client-go.

use super::calls::{Calls, Fault};
use super::clock;
use super::election::{Election, LeaseRecord, Move};
use super::watched::LEASES;
use crate::daemon::LogOnChange;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How a leader is elected.
#[derive(Debug, Clone)]
pub struct LeaseSettings {
    /// The Lease's namespace.
    pub namespace: String,
    /// The Lease's name.
    pub name: String,
    /// The own name, which no other candidate has.
    pub identity: String,
    /// How long a leader that does not renew is waited for.
    pub duration: Duration,
    /// How long a leader that cannot renew goes on; shorter than the duration by more than a call can take.
    pub deadline: Duration,
    /// How often the Lease is renewed, or looked at.
    pub retry: Duration,
}

/// Until when this process leads, as far as it knows.
pub(super) type Term = Option<Instant>;

/// Whether it leads now.
pub(super) fn leads(term: Term) -> bool {
    term.is_some_and(|until| until > Instant::now())
}

pub(super) struct Candidate {
    calls: Calls,
    settings: LeaseSettings,
    election: Election,
    started: Instant,
    /// The Lease as it was last seen.
    lease: Option<Value>,
    term: watch::Sender<Term>,
}

impl Candidate {
    pub(super) fn new(calls: Calls, settings: LeaseSettings) -> (Self, watch::Receiver<Term>) {
        let (term, receiver) = watch::channel(None);
        let election = Election::new(&settings.identity);
        (Self { calls, settings, election, started: Instant::now(), lease: None, term }, receiver)
    }

    /// Stands for election. It never ends.
    pub(super) async fn run(&mut self) {
        let mut log = LogOnChange::default();
        loop {
            let leads = self.leads();
            match self.round().await {
                Ok(()) => log.clear(),
                Err(why) if leads => tracing::warn!(error = why, "the lease is not renewed"),
                // Once: it is tried again every few seconds.
                Err(why) if log.is_new(&why) => {
                    let lease = &self.settings.name;
                    tracing::warn!(lease, error = why, "the lease is not taken, so this process cannot lead");
                }
                Err(_) => {}
            }
            if leads && !self.leads() {
                tracing::error!("leadership is lost: another may lead now, and this process writes nothing");
                self.term.send_replace(None);
            }
            tokio::time::sleep(self.settings.retry).await;
        }
    }

    fn leads(&self) -> bool {
        leads(*self.term.borrow())
    }

    async fn round(&mut self) -> Result<(), String> {
        // A leader's own last write is what it renews; who does not lead must look.
        if !self.leads() || self.lease.is_none() {
            let LeaseSettings { namespace, name, .. } = &self.settings;
            self.lease = match self.calls.get(LEASES, Some(namespace), name).await {
                Ok(lease) => Some(lease),
                Err(Fault::Missing) => None,
                Err(fault) => return Err(format!("{fault:?}")),
            };
        }
        let record = self.lease.as_ref().map(record);
        let step = self.election.observe(record.as_ref(), self.started.elapsed());
        if step == Move::Wait {
            self.term.send_if_modified(|term| term.take().is_some());
            return Ok(());
        }
        let renewed = Instant::now();
        let (holder, seconds) = (self.settings.identity.clone(), self.settings.duration.as_secs());
        match self.write(step, &holder, seconds).await {
            Ok(lease) => {
                self.lease = Some(lease);
                if !self.leads() {
                    tracing::info!(
                        lease = self.settings.name,
                        identity = self.settings.identity,
                        "this process leads"
                    );
                }
                self.term.send_replace(Some(renewed + self.settings.deadline));
                Ok(())
            }
            Err(fault) => {
                self.lease = None;
                Err(match fault {
                    Fault::Other(why) | Fault::Invalid(why) => why,
                    _ => "somebody else was quicker".to_owned(),
                })
            }
        }
    }

    async fn write(&self, step: Move, holder: &str, seconds: u64) -> Result<Value, Fault> {
        let LeaseSettings { namespace, name, .. } = &self.settings;
        let now = MicroTime(clock::now());
        let before = self.lease.as_ref().and_then(|lease| lease.get("spec"));
        let old = |key: &str| before.and_then(|spec| spec.get(key)).cloned().unwrap_or(Value::Null);
        let renews = step == Move::Renew;
        let transitions = old("leaseTransitions").as_i64().unwrap_or(0) + i64::from(step == Move::Take);
        let mut lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"namespace": namespace, "name": name},
            "spec": {
                "holderIdentity": holder, "leaseDurationSeconds": seconds, "renewTime": now,
                "acquireTime": if renews { old("acquireTime") } else { json!(now) },
                "leaseTransitions": transitions,
            }
        });
        let Some(known) = self.lease.as_ref().filter(|_| step != Move::Create) else {
            return self.calls.create(LEASES, Some(namespace), &lease).await;
        };
        // The version holds the write to the Lease that was seen: of two who take it one gets it.
        if let (Some(metadata), Some(seen)) = (known.get("metadata"), lease.get_mut("metadata")) {
            *seen = metadata.clone();
        }
        self.calls.replace(LEASES, Some(namespace), name, &lease).await
    }

    /// Gives the Lease back, so that another needs not wait. What was under way must have ended.
    pub(super) async fn release(&mut self) {
        let led = self.leads();
        self.term.send_replace(None);
        if led && let Err(fault) = self.write(Move::Renew, "", 1).await {
            tracing::warn!(error = ?fault, "failed to give the lease back, so that another waits for its end");
        }
    }
}

fn record(lease: &Value) -> LeaseRecord {
    let text = |at: &str| lease.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    let seconds = lease.pointer("/spec/leaseDurationSeconds").and_then(Value::as_u64).unwrap_or(15);
    LeaseRecord {
        holder: text("/spec/holderIdentity"),
        version: text("/metadata/resourceVersion"),
        duration: Duration::from_secs(seconds),
    }
}
