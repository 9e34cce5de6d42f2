//! Events for people: written in the background, faults first, and what is told again and again is written now and then.
//! A burst of claims is told of later: its events would take from the API server what their volumes need.

use super::super::calls::Calls;
use super::super::events::{Event, EventWriter, Regarding, Told};
use crate::provisioner::{About, Key, Notice, World};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How many wait to be written; what comes beyond is left out, as events are no record.
const WAITING: usize = 2048;
/// How many are written at once, where none was for a while.
const AT_ONCE: u32 = 50;
/// What lies between those beyond that.
const PAUSE: Duration = Duration::from_millis(50);
pub(super) struct Events {
    warnings: mpsc::Sender<Event>,
    others: mpsc::Sender<Event>,
}

impl Events {
    /// Begins to write in the background.
    pub(super) fn start(calls: Calls, controller: &str, instance: &str) -> Self {
        let (warnings, warned) = mpsc::channel(WAITING);
        let (others, told) = mpsc::channel(WAITING);
        let writer = EventWriter::new(calls, controller, instance);
        tokio::spawn(run(writer, warned, told));
        Self { warnings, others }
    }

    /// Reports something about a volume or its claim, if that is there.
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
            let Notice { warning, reason, message, .. } = notice;
            let sender = if warning { &self.warnings } else { &self.others };
            let _ = sender.try_send(Event { regarding, warning, reason, note: message });
        }
    }
}

async fn run(
    mut writer: EventWriter,
    mut warnings: mpsc::Receiver<Event>,
    mut others: mpsc::Receiver<Event>,
) {
    let mut pace = Pace::new(Instant::now());
    while let Some(event) = next(&mut warnings, &mut others).await {
        if writer.write(event).await != Told::Repeated {
            tokio::time::sleep(pace.pause(Instant::now())).await;
        }
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
