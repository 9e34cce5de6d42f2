//! From the queue of volumes to the workers of their bases, and from there to the API server.

use super::in_time::in_time;
use super::plan::{Around, Asked, Found, Seen, Step, plan};
use super::run::{News, Running};
use super::volumes::Watched;
use super::worker::Job;
use super::{Fault, point};
use crate::cluster::{chain, node_volumes};
use crate::model::NodeVolumeStatus;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

impl Running {
    /// Gives the volumes that are to be worked on to their workers. Before all volumes and the node are known, nobody can
    /// say what is in whose way.
    pub(super) fn dispatch(&mut self) {
        let known = |ok: &AtomicBool| ok.load(Ordering::Relaxed);
        if known(&self.agent.health.listed) && known(&self.agent.health.node) {
            while let Some(asked) = self.volumes.next() {
                self.give(asked);
            }
        }
    }

    fn give(&mut self, asked: Asked) {
        match self.workers.iter().find(|(base, _)| *base == asked.spec.base) {
            Some((_, jobs)) => {
                let volume = asked.volume.clone();
                if jobs.send(Job::Volume(Box::new(asked))).is_err() {
                    tracing::error!(
                        volume,
                        "failed to go on: the thread of its base has ended; restart the agent"
                    );
                }
            }
            None => {
                let bases: Vec<&str> = self.workers.iter().map(|(base, _)| base.as_str()).collect();
                let fault = Fault::lasting(
                    "UnknownBase",
                    format!(
                        "{} is none of the agent's bases, which are {}",
                        asked.spec.base,
                        bases.join(", ")
                    ),
                );
                let seen = Seen { record: None, found: Found::Nothing, bound: None, attached: false };
                let node_uid = &self.agent.shared.node_uid();
                let steps = plan(&asked, &seen, &Around { node_uid, base: Err(fault), others: Vec::new() });
                let news = steps.into_iter().find_map(|step| match step {
                    Step::Report(status) => Some(status),
                    _ => None,
                });
                self.on_worker_done(&asked.volume, news);
            }
        }
    }

    /// A volume is as far as its worker can bring it.
    pub(super) fn on_worker_done(&mut self, volume: &str, news: Option<NodeVolumeStatus>) {
        let (Some(asked), Some(status)) = (self.volumes.get(volume), news) else {
            self.volumes.settle(volume, false);
            return;
        };
        tracing::info!(
            volume,
            claim = format_args!("{}/{}", asked.spec.claim.namespace, asked.spec.claim.name),
            phase = ?status.phase,
            reason = status.reason,
            detail = status.message,
            "the volume has another status"
        );
        self.changed.get_or_insert_with(Instant::now);
        let status = status.with_condition(&asked.status.conditions, &now());
        let (volume, uid) = (volume.to_owned(), asked.uid.clone());
        let api: Api<Watched> = Api::all_with(self.client.clone(), &node_volumes());
        let (sender, writes) = (self.sender.clone(), self.writes.clone());
        self.agent.shared.metrics.writes.inc();
        tokio::spawn(async move {
            // It is closed only when everything ends.
            let _turn = writes.acquire().await;
            point("report", "before");
            // With the uid, no object of the same name that came later is meant.
            let patch = json!({"metadata": {"uid": uid}, "status": whole(&status)});
            let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
            let written = in_time(api.patch_status(&volume, &params, &patch)).await;
            point("report", "after");
            let version = |object: Watched| object.metadata.resource_version.and_then(|v| v.parse().ok());
            let written = written.map(|object| version(object).unwrap_or_default());
            let _ = sender.send(News::Told { volume, uid, status, written });
        });
    }

    pub(super) fn on_status_written(
        &mut self,
        volume: &str,
        uid: &str,
        status: NodeVolumeStatus,
        written: Result<u64, kube::Error>,
    ) {
        let failed = match written {
            Ok(version) => {
                self.volumes.on_status_written(volume, uid, status, version);
                false
            }
            // Deleted, or deleted and written again: the watch tells.
            Err(kube::Error::Api(answer)) if answer.code == 404 || answer.code == 409 => false,
            Err(error) => {
                self.agent.shared.metrics.write_errors.inc();
                tracing::warn!(
                    volume,
                    error = chain(&error),
                    "failed to write the status; it is tried again"
                );
                true
            }
        };
        self.volumes.settle(volume, failed);
    }
}

/// The time as it stands in a condition.
pub(super) fn now() -> String {
    k8s_openapi::jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A status in which what is absent is said to be so, as a merge patch needs it.
fn whole(status: &NodeVolumeStatus) -> Value {
    let mut value = serde_json::to_value(status).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        for field in ["path", "sizeBytes", "reason", "message"] {
            fields.entry(field).or_insert(Value::Null);
        }
    }
    value
}
