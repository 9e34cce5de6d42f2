//! What the agent reports in its NodeStorage: its bases, and the volumes on them without a NodeVolume.

use super::Record;
use super::dispatch::now;
use super::in_time::in_time;
use super::node_storage::{base_status, is_news};
use super::run::{News, Running};
use super::volumes::Watched;
use super::worker::Job;
use crate::cluster::{node_storage, node_storage_api};
use crate::model::{NodeStorageSpec, NodeStorageStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::watcher::Event;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Instant;

impl Running {
    pub(super) fn storage_event(&mut self, event: Event<Watched>) {
        match event {
            Event::Init => {
                self.storage.there = false;
                return;
            }
            Event::InitApply(object) | Event::Apply(object) => {
                if object.metadata.name.as_deref() != Some(&self.agent.options.node) {
                    return;
                }
                let spec: Option<NodeStorageSpec> = serde_json::from_value(object.spec).ok();
                self.storage.remove = spec.map(|spec| spec.remove_orphans).unwrap_or_default();
                let status = object.status.and_then(|status| serde_json::from_value(status).ok());
                self.storage.told = status.unwrap_or_default();
                self.storage.there = true;
            }
            Event::InitDone => self.storage.listed = true,
            Event::Delete(object) => {
                if object.metadata.name.as_deref() == Some(&self.agent.options.node) {
                    self.storage.there = false;
                    self.ask_for_node();
                }
            }
        }
        self.tell_storage();
        self.remove_orphans();
    }

    pub(super) fn look_for_orphans(&mut self) {
        if !self.agent.health.listed.load(Ordering::Relaxed) {
            return;
        }
        let mut records = Vec::new();
        {
            let live = self.agent.shared.live();
            for view in &self.agent.shared.views {
                let without = |records: &mut BTreeMap<String, Record>| {
                    records
                        .values()
                        .filter(|record| !live.contains(&record.volume))
                        .cloned()
                        .collect::<Vec<_>>()
                };
                records
                    .extend(view.with_records(without).into_iter().map(|record| (view.path.clone(), record)));
            }
        }
        let without = records.iter().map(|(base, record)| (base.as_str(), record));
        let known = self.orphans.look(without, Instant::now(), self.agent.options.orphan_grace);
        for orphan in &known {
            if !self.told_orphans.contains(orphan) {
                tracing::warn!(
                    volume = orphan.told.volume,
                    path = orphan.told.path,
                    "an orphan: no NodeVolume speaks of it. It stays until spec.removeOrphans of the node's NodeStorage names it"
                );
            }
        }
        self.told_orphans = known;
        self.agent.shared.metrics.orphans.set(i64::try_from(self.orphans.count()).unwrap_or(i64::MAX));
    }

    pub(super) fn remove_orphans(&mut self) {
        for orphan in &self.told_orphans {
            if !self.storage.remove.contains(&orphan.told.path) {
                continue;
            }
            let Some((_, jobs)) = self.workers.iter().find(|(base, _)| *base == orphan.base) else {
                continue;
            };
            tracing::info!(
                volume = orphan.told.volume,
                path = orphan.told.path,
                "removing an orphan, as spec.removeOrphans of the NodeStorage asks"
            );
            self.looking += usize::from(jobs.send(Job::RemoveOrphan(orphan.told.volume.clone())).is_ok());
        }
    }

    /// Writes the NodeStorage when there is news.
    pub(super) fn tell_storage(&mut self) {
        let shared = &self.agent.shared;
        let known = self.storage.listed && !shared.node_uid().is_empty();
        if !known || self.storage.writing || shared.views.iter().any(|view| view.room().is_none()) {
            return;
        }
        let status = NodeStorageStatus {
            bases: shared.views.iter().map(|view| base_status(view)).collect(),
            orphans: self.told_orphans.iter().map(|known| known.told.clone()).collect(),
            ..NodeStorageStatus::default()
        };
        if self.storage.there && !is_news(&self.storage.told, &status) {
            return;
        }
        let status = status.with_condition(&self.storage.told.conditions, 1, &now());
        self.storage.writing = true;
        shared.metrics.writes.inc();
        let spec = NodeStorageSpec {
            node: self.agent.options.node.clone(),
            node_uid: shared.node_uid(),
            remove_orphans: Vec::new(),
        };
        let (client, sender, there) = (self.client.clone(), self.sender.clone(), self.storage.there);
        tokio::spawn(async move {
            let written = in_time(write_storage(client, spec, status, there)).await;
            let _ = sender.send(News::Storage(written));
        });
    }
}

async fn write_storage(
    client: kube::Client,
    spec: NodeStorageSpec,
    status: NodeStorageStatus,
    there: bool,
) -> Result<(), kube::Error> {
    let api = node_storage_api(client);
    let name = spec.node.clone();
    if !there {
        let owner = OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Node".to_owned(),
            name: name.clone(),
            uid: spec.node_uid.clone(),
            ..OwnerReference::default()
        };
        let mut storage = node_storage(spec);
        storage.metadata.owner_references = Some(vec![owner]);
        match api.create(&PostParams::default(), &storage).await {
            Ok(_) => {}
            Err(kube::Error::Api(answer)) if answer.code == 409 => {}
            Err(error) => return Err(error),
        }
    }
    // Absent lists would leave the old ones standing.
    let patch = json!({"status": {"bases": status.bases, "orphans": status.orphans, "conditions": status.conditions}});
    api.patch_status(&name, &PatchParams::default(), &Patch::Merge(patch)).await.map(|_| ())
}
