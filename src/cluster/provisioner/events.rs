//! Events for people: written in the background, faults first, and what is told again and again is written now and then.
//! A burst of claims is told of later: its events would take from the API server what their volumes need.

use super::super::calls::Calls;
use super::super::clock;
use super::super::watched::EVENTS;
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
/// How many are written at once, where none was for a while.
const AT_ONCE: u32 = 50;
/// What lies between those beyond that.
const PAUSE: Duration = Duration::from_millis(50);
/// The longest note that the API server takes, in bytes.
const LONGEST_NOTE: usize = 1024;

/// What an event is about.
struct Regarding {
    object: Value,
    namespace: String,
    name: String,
    uid: String,
}

type Event = (Regarding, Notice);

pub(super) struct Events {
    warnings: mpsc::Sender<Event>,
    others: mpsc::Sender<Event>,
}

impl Events {
    /// Begins to write in the background.
    pub(super) fn start(calls: Calls, controller: &str, instance: &str) -> Self {
        let (warnings, warned) = mpsc::channel(WAITING);
        let (others, told) = mpsc::channel(WAITING);
        let writer = Writer {
            calls,
            controller: controller.to_owned(),
            instance: instance.to_owned(),
            told: HashMap::new(),
        };
        tokio::spawn(writer.run(warned, told));
        Self { warnings, others }
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
            let sender = if notice.warning { &self.warnings } else { &self.others };
            let _ = sender.try_send((regarding, notice));
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
    async fn run(mut self, mut warnings: mpsc::Receiver<Event>, mut others: mpsc::Receiver<Event>) {
        let mut pace = Pace::new(Instant::now());
        while let Some((regarding, notice)) = next(&mut warnings, &mut others).await {
            if self.write(&regarding, notice).await {
                tokio::time::sleep(pace.pause(Instant::now())).await;
            }
        }
    }

    /// Whether there was something to write.
    async fn write(&mut self, regarding: &Regarding, notice: Notice) -> bool {
        let id = (regarding.uid.clone(), notice.reason, notice.message.clone());
        let now = MicroTime(clock::now());
        let answer = match self.told.get_mut(&id) {
            Some(told) if told.at.elapsed() < QUIET => {
                told.times = told.times.saturating_add(1);
                return false;
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
        true
    }
}

/// The next that is to be written; none when nobody can send any more.
async fn next<T>(warnings: &mut mpsc::Receiver<T>, others: &mut mpsc::Receiver<T>) -> Option<T> {
    tokio::select! {
        biased;
        Some(event) = warnings.recv() => Some(event),
        Some(event) = others.recv() => Some(event),
        else => None,
    }
}

/// How fast events are written.
struct Pace {
    /// When the last one would have been written, had each waited for its turn.
    turn: Instant,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { turn: now }
    }

    /// How long to wait, now that one was written, before the next one is.
    fn pause(&mut self, now: Instant) -> Duration {
        self.turn = self.turn.max(now) + PAUSE;
        self.turn.duration_since(now).saturating_sub(PAUSE * AT_ONCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_events_are_written_at_once_and_many_one_after_the_other() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let pauses: Vec<Duration> = (0..60).map(|_| pace.pause(start)).collect();
        assert!(pauses[..50].iter().all(Duration::is_zero), "{pauses:?}");
        assert_eq!(pauses[50..52], [PAUSE, 2 * PAUSE], "none of them slept");
        let later = start + Duration::from_secs(60);
        assert_eq!(pace.pause(later), Duration::ZERO, "after a while, some at once again");
    }

    #[tokio::test]
    async fn faults_are_written_before_what_went_well() {
        let ((warn, mut warnings), (tell, mut others)) = (mpsc::channel(8), mpsc::channel(8));
        for event in ["a", "b"] {
            tell.send(event).await.unwrap();
        }
        warn.send("fault").await.unwrap();
        drop((warn, tell));
        let mut written = Vec::new();
        while let Some(event) = next(&mut warnings, &mut others).await {
            written.push(event);
        }
        assert_eq!(written, ["fault", "a", "b"]);
    }
}
