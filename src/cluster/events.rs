//! Events for people, of whatever part of volgate: each is written once, and what is told again and again is counted now and then.

use super::calls::{Calls, Fault};
use super::clock;
use super::watched::EVENTS;
use crate::model::{beginning, printable};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

/// How long the same is not told again.
const QUIET: Duration = Duration::from_secs(300);
/// How many different ones are remembered.
const REMEMBERED: usize = 4096;
/// The longest note that the API server takes, in bytes.
const LONGEST_NOTE: usize = 1024;

/// How much of its object's name an event has in its own, in bytes.
const LONGEST_NAME: usize = 200;

/// What an event is about.
pub(super) struct Regarding {
    /// The reference to it.
    pub(super) object: Value,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
}

/// Something that people should see at an object.
pub(super) struct Event {
    pub(super) regarding: Regarding,
    pub(super) warning: bool,
    /// One word.
    pub(super) reason: &'static str,
    pub(super) note: String,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// It was written, or counted.
    Written,
    /// It was told a while ago.
    Repeated,
    /// The API server did not take it.
    Failed,
}

struct Known {
    times: u32,
    at: Instant,
}

/// Writes events and remembers them.
pub(super) struct EventWriter {
    calls: Calls,
    controller: String,
    instance: String,
    known: HashMap<u64, Known>,
}

impl EventWriter {
    pub(super) fn new(calls: Calls, controller: &str, instance: &str) -> Self {
        let (controller, instance) = (controller.to_owned(), instance.to_owned());
        Self { calls, controller, instance, known: HashMap::new() }
    }

    /// Whether the same was told a while ago; then it is counted, for the next time that it is written.
    pub(super) fn is_quiet(&mut self, event: &Event) -> bool {
        match self.known.get_mut(&id(event)) {
            Some(known) if known.at.elapsed() < QUIET => {
                known.times = known.times.saturating_add(1);
                true
            }
            _ => false,
        }
    }

    /// Writes it, unless the same was told a while ago.
    pub(super) async fn write(&mut self, event: Event) -> Told {
        if self.is_quiet(&event) {
            return Told::Repeated;
        }
        let id = id(&event);
        let times = self.known.get(&id).map_or(1, |known| known.times.saturating_add(1));
        let answer = self.create_or_count(id, &event, times).await;
        if self.known.len() >= REMEMBERED {
            self.known.retain(|_, known| known.at.elapsed() < QUIET);
        }
        if self.known.len() < REMEMBERED || self.known.contains_key(&id) {
            self.known.insert(id, Known { times, at: Instant::now() });
        }
        match answer {
            Ok(()) => Told::Written,
            Err(fault) => {
                tracing::debug!(reason = event.reason, error = ?fault, "failed to write an event");
                Told::Failed
            }
        }
    }

    async fn create_or_count(&self, id: u64, event: &Event, times: u32) -> Result<(), Fault> {
        // The same in every replica and after a restart, so that all of them count one event.
        let name = name(&event.regarding.name, id);
        let namespace = &event.regarding.namespace;
        if times > 1 {
            match self.count(namespace, &name, times).await {
                // Events are kept for an hour or so.
                Err(Fault::Missing) => {}
                counted => return counted,
            }
        }
        match self.create(&name, event).await {
            Err(Fault::Exists) => self.count(namespace, &name, times.max(2)).await,
            created => created,
        }
    }

    async fn create(&self, name: &str, event: &Event) -> Result<(), Fault> {
        let Event { regarding, warning, reason, note } = event;
        let note = cut(note);
        let event = json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event",
            "metadata": {"name": name, "namespace": regarding.namespace},
            "eventTime": MicroTime(clock::now()), "action": reason, "reason": reason, "note": note,
            "type": if *warning { "Warning" } else { "Normal" },
            "regarding": regarding.object,
            "reportingController": self.controller, "reportingInstance": self.instance,
        });
        self.calls.create(EVENTS, Some(&regarding.namespace), &event).await.map(drop)
    }

    async fn count(&self, namespace: &str, name: &str, times: u32) -> Result<(), Fault> {
        let now = MicroTime(clock::now());
        let patch = json!({"series": {"count": times, "lastObservedTime": now}});
        self.calls.merge(EVENTS, Some(namespace), name, patch).await.map(drop)
    }
}

/// A name that an event can have: what is cut off a long one leaves no label with an end that none may have.
fn name(of: &str, id: u64) -> String {
    format!("{}.{id:016x}", beginning(of, LONGEST_NAME).trim_end_matches(['.', '-']))
}

/// A note as long as one may be. Parts of it are others' words: those of who wrote an object, or of an agent.
fn cut(note: &str) -> String {
    beginning(&printable(note), LONGEST_NOTE).to_owned()
}

/// What makes two events the same.
fn id(event: &Event) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&event.regarding.uid, event.reason, &event.note).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_cut_is_one_still() {
        assert_eq!(name("data-redis-0", 1), "data-redis-0.0000000000000001");
        let label = "a".repeat(49);
        for end in [".", "-"] {
            // 199 characters, then one with which no label of a name may end.
            let long = format!("{0}.{0}.{0}.{0}{end}b", label);
            let name = name(&long, 2);
            let good = |label: &str| !label.is_empty() && !label.ends_with('-');
            assert!(name.split('.').all(good) && name.len() <= 253, "{name}");
        }
    }

    #[test]
    fn a_note_steers_no_terminal_and_has_room() {
        assert_eq!(cut("at /q\u{1b}[2J\u{202e}"), "at /q\\u{1b}[2J\\u{202e}");
        let long = cut(&"ü".repeat(1_000));
        assert_eq!((long.len(), long.chars().count()), (1024, 512));
    }
}
