//! Events for people: written in the background, and what is told again and again is written now and then.

use super::super::watched::EVENTS;
use super::calls::Calls;
use super::clock;
use crate::provisioner::{About, Key, Notice, World};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How long the same is not told again.
const QUIET: Duration = Duration::from_secs(300);
/// How many different ones are remembered.
const REMEMBERED: usize = 4096;
/// How many wait to be written; what comes beyond is left out, as events are no record.
const WAITING: usize = 2048;
/// The longest note that the API server takes, in bytes.
const LONGEST_NOTE: usize = 1024;

/// What an event is about.
struct Regarding {
    object: Value,
    namespace: String,
    name: String,
    uid: String,
}

pub(super) struct Events {
    sender: mpsc::Sender<(Regarding, Notice)>,
}

impl Events {
    /// Begins to write in the background.
    pub(super) fn start(calls: Calls, controller: &str, instance: &str) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        let writer = Writer {
            calls,
            controller: controller.to_owned(),
            instance: instance.to_owned(),
            told: HashMap::new(),
        };
        tokio::spawn(writer.run(receiver));
        Self { sender }
    }

    /// Tells of a volume or its claim, if that is there.
    pub(super) fn tell(&self, world: &World, key: &Key, notice: Notice) {
        let regarding = match notice.about {
            About::Claim => world.claim(key).map(|claim| Regarding {
                object: json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": claim.namespace,
                    "name": claim.name, "uid": claim.uid, "resourceVersion": claim.version.to_string()}),
                namespace: claim.namespace.to_string(),
                name: claim.name.to_string(),
                uid: claim.uid.to_string(),
            }),
            About::Volume => world.volume(key).map(|volume| Regarding {
                object: json!({"apiVersion": "v1", "kind": "PersistentVolume", "name": volume.name, "uid": volume.uid,
                    "resourceVersion": volume.version.to_string()}),
                namespace: "default".to_owned(),
                name: volume.name.to_string(),
                uid: volume.uid.to_string(),
            }),
        };
        if let Some(regarding) = regarding {
            let _ = self.sender.try_send((regarding, notice));
        }
    }
}

struct Told {
    name: String,
    times: u32,
    at: Instant,
}

struct Writer {
    calls: Calls,
    controller: String,
    instance: String,
    /// By uid, reason and message.
    told: HashMap<(String, &'static str, String), Told>,
}

impl Writer {
    async fn run(mut self, mut receiver: mpsc::Receiver<(Regarding, Notice)>) {
        while let Some((regarding, notice)) = receiver.recv().await {
            self.write(&regarding, notice).await;
        }
    }

    async fn write(&mut self, regarding: &Regarding, notice: Notice) {
        let id = (regarding.uid.clone(), notice.reason, notice.message.clone());
        let now = MicroTime(clock::now());
        let answer = match self.told.get_mut(&id) {
            Some(told) if told.at.elapsed() < QUIET => {
                told.times = told.times.saturating_add(1);
                return;
            }
            Some(told) => {
                told.times = told.times.saturating_add(1);
                told.at = Instant::now();
                let patch = json!({"series": {"count": told.times, "lastObservedTime": now}});
                self.calls.merge(EVENTS, Some(&regarding.namespace), &told.name, patch).await
            }
            None => {
                if self.told.len() >= REMEMBERED {
                    self.told.retain(|_, told| told.at.elapsed() < QUIET);
                }
                let name = format!("{:.200}.{:x}", regarding.name, now.0.as_nanosecond());
                let mut note = notice.message;
                while note.len() > LONGEST_NOTE {
                    note.pop();
                }
                let event = json!({
                    "apiVersion": "events.k8s.io/v1", "kind": "Event",
                    "metadata": {"name": name, "namespace": regarding.namespace},
                    "eventTime": now, "action": notice.reason, "reason": notice.reason, "note": note,
                    "type": if notice.warning { "Warning" } else { "Normal" },
                    "regarding": regarding.object,
                    "reportingController": self.controller, "reportingInstance": self.instance,
                });
                if self.told.len() < REMEMBERED {
                    self.told.insert(id, Told { name, times: 1, at: Instant::now() });
                }
                self.calls.create(EVENTS, Some(&regarding.namespace), &event).await
            }
        };
        if let Err(fault) = answer {
            tracing::debug!(reason = notice.reason, "failed to write an event: {fault:?}");
        }
    }
}
