//! Events on the owners of what was refused: a person who has changed a Deployment looks there, and not at a ReplicaSet's. They are
//! written in the background, and bounded: events are no record, and whoever makes pods can cause them.

use super::calls::Calls;
use super::events::{Event, EventWriter, Regarding, Told};
use super::watched::{EVENTS, OWNERS};
use crate::admission::Denial;
use k8s_openapi::api::rbac::v1::PolicyRule;
use serde_json::json;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How many wait to be written; what comes beyond is left out.
const WAITING: usize = 256;
/// How many are written in [`MINUTE`], and how many of them in one namespace: nobody takes the others' place.
const MOST: u32 = 30;
const MOST_IN_NAMESPACE: u32 = 5;
const MINUTE: Duration = Duration::from_secs(60);
/// Why, as `kubectl describe` shows it.
const REASON: &str = "StorageDenied";
/// Who says so.
const CONTROLLER: &str = "volgate.dev/webhook";

/// Takes denials, and never waits.
pub struct DenialEvents {
    sender: mpsc::Sender<Denial>,
    count: Box<dyn Fn(&'static str) + Send + Sync>,
}

/// What the webhook's ClusterRole must allow besides, where it writes events; the chart has it.
pub fn denial_event_rules() -> Vec<PolicyRule> {
    vec![PolicyRule {
        api_groups: Some(vec![EVENTS.group.to_owned()]),
        resources: Some(vec![EVENTS.resource.to_owned()]),
        verbs: vec!["create".to_owned(), "patch".to_owned()],
        ..PolicyRule::default()
    }]
}

impl DenialEvents {
    /// Begins to write in the background. `count` is told what becomes of each: `written`, `repeated`, `limited`, `dropped` or
    /// `failed`.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(
        client: kube::Client,
        instance: &str,
        count: impl Fn(&'static str) + Clone + Send + Sync + 'static,
    ) -> Self {
        let (sender, denials) = mpsc::channel(WAITING);
        let writer = EventWriter::new(Calls::new(client), CONTROLLER, instance);
        tokio::spawn(run(writer, denials, count.clone()));
        Self { sender, count: Box::new(count) }
    }

    /// Reports a denial.
    pub fn tell(&self, denial: Denial) {
        if self.sender.try_send(denial).is_err() {
            (self.count)("dropped");
        }
    }
}

async fn run(
    mut writer: EventWriter,
    mut denials: mpsc::Receiver<Denial>,
    count: impl Fn(&'static str) + Send + Sync,
) {
    let mut limit = Limit::new(Instant::now());
    while let Some(denial) = denials.recv().await {
        let Some(event) = event(denial) else { continue };
        count(if writer.is_quiet(&event) {
            "repeated"
        } else if !limit.takes(&event.regarding.namespace, Instant::now()) {
            "limited"
        } else {
            match writer.write(event).await {
                Told::Written => "written",
                Told::Repeated => "repeated",
                Told::Failed => "failed",
            }
        });
    }
}

fn event(denial: Denial) -> Option<Event> {
    let Denial { owner, note } = denial;
    let of = OWNERS.into_iter().find(|of| of.kind == owner.kind)?;
    let object = json!({
        "apiVersion": of.api_version(), "kind": owner.kind, "namespace": owner.namespace, "name": owner.name, "uid": owner.uid,
    });
    let regarding = Regarding {
        object,
        namespace: owner.namespace.clone(),
        name: owner.name.clone(),
        uid: owner.uid.clone(),
    };
    Some(Event { regarding, warning: true, reason: REASON, note })
}

/// How many have been written in this minute.
struct Limit {
    since: Instant,
    all: u32,
    namespaces: HashMap<String, u32>,
}

impl Limit {
    fn new(now: Instant) -> Self {
        Self { since: now, all: 0, namespaces: HashMap::new() }
    }

    /// Whether one more may be written there.
    fn takes(&mut self, namespace: &str, now: Instant) -> bool {
        if now.saturating_duration_since(self.since) >= MINUTE {
            *self = Self::new(now);
        }
        if self.all >= MOST {
            return false;
        }
        let in_namespace = self.namespaces.entry(namespace.to_owned()).or_default();
        if *in_namespace >= MOST_IN_NAMESPACE {
            return false;
        }
        *in_namespace += 1;
        self.all += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_has_its_share_of_a_minute_and_all_have_theirs() {
        let start = Instant::now();
        let mut limit = Limit::new(start);
        let taken =
            |limit: &mut Limit, namespace: &str, now| (0..20).filter(|_| limit.takes(namespace, now)).count();
        assert_eq!(taken(&mut limit, "loud", start), 5);
        assert_eq!(taken(&mut limit, "calm", start), 5, "another's flood takes nothing away");
        let further: usize = (0..10).map(|number| taken(&mut limit, &format!("n{number}"), start)).sum();
        assert_eq!((further, limit.namespaces.len()), (20, 6), "30 in all, and nothing is kept of the rest");
        assert_eq!(taken(&mut limit, "loud", start + MINUTE), 5, "a minute later");
    }
}
