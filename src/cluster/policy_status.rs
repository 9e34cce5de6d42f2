//! The status of StoragePolicies: whether each is in force, and how often it had a say. Every replica counts under its own key;
//! the one that leads writes the rest.

mod window;

use super::calls::{Calls, Fault};
use super::clock;
use super::lease::{Term, leads};
use super::policies::{ClusterPolicies, ClusterPolicy, PolicySource, Statuses};
use super::watched::POLICIES;
use crate::daemon::LogOnChange;
use crate::model::Conditions;
use crate::policy::{Counts, Interest};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use window::Window;

/// How far apart writes of counts are, for each policy.
const COUNTS: Duration = Duration::from_secs(30);
/// How often the counts are looked at.
const LOOK: Duration = Duration::from_secs(10);
/// The pause after a write that failed.
const AGAIN: Duration = Duration::from_secs(2);
/// How old the figures of a replica may be before they are written again, so that it is known to live.
const REFRESH: i64 = 600;
/// How old they may be until they are taken for those of a replica that has gone, in seconds.
const GONE: i64 = 1_800;

/// What is in force in this process, by name.
#[derive(Debug, Clone, Default)]
pub struct InForce {
    /// The policies, known by what counts them.
    pub policies: BTreeMap<String, Arc<Counts>>,
    /// Why others are left out.
    pub left_out: BTreeMap<String, String>,
    /// What the policies may have a say about; none while that is not known, so that it may be everything.
    pub interest: Option<Arc<Interest>>,
}

/// Writes statuses.
pub(super) struct PolicyStatus {
    calls: Calls,
    policies: watch::Receiver<ClusterPolicies>,
    statuses: watch::Receiver<Statuses>,
    in_force: watch::Receiver<InForce>,
    /// What the API server is known to send.
    sent: watch::Receiver<Option<Arc<Interest>>>,
    /// The key of this replica.
    replica: String,
    windows: HashMap<String, Kept>,
}

/// What is kept of a policy.
struct Kept {
    counts: Arc<Counts>,
    window: Window,
    written: Option<Instant>,
}

/// What a policy's Ready condition is to say.
#[derive(Debug, PartialEq, Eq)]
struct Ready {
    holds: bool,
    reason: &'static str,
    message: String,
}

impl PolicyStatus {
    /// `replica` is the name of this process's pod.
    pub(super) fn new(
        calls: Calls,
        policies: watch::Receiver<ClusterPolicies>,
        statuses: watch::Receiver<Statuses>,
        in_force: watch::Receiver<InForce>,
        sent: watch::Receiver<Option<Arc<Interest>>>,
        replica: String,
    ) -> Self {
        Self { calls, policies, statuses, in_force, sent, replica, windows: HashMap::new() }
    }

    /// Keeps the statuses. It never ends.
    pub(super) async fn run(&mut self, mut term: watch::Receiver<Term>) {
        let mut log = LogOnChange::default();
        loop {
            let leading = leads(*term.borrow());
            let pause = match self.round(leading).await {
                Ok(()) => {
                    log.clear();
                    LOOK
                }
                Err(why) => {
                    if log.is_new(&why) {
                        tracing::warn!(error = %why, "failed to write the statuses of the policies; trying again");
                    }
                    AGAIN
                }
            };
            let changed = async {
                tokio::select! {
                    changed = self.policies.changed() => changed,
                    changed = self.in_force.changed() => changed,
                    changed = self.sent.changed() => changed,
                    changed = led(&mut term, leading) => changed,
                }
            };
            // Those who would tell of changes may have ended.
            if let Ok(Err(_)) = tokio::time::timeout(pause, changed).await {
                tokio::time::sleep(pause).await;
            }
        }
    }

    async fn round(&mut self, leads: bool) -> Result<(), String> {
        let now = self.policies.borrow_and_update().clone();
        if now.source != PolicySource::Watched {
            return Ok(());
        }
        let in_force = self.in_force.borrow_and_update().clone();
        let is_sent = is_sent(self.sent.borrow_and_update().as_deref(), &in_force);
        let statuses = self.statuses.borrow().clone();
        self.windows.retain(|name, _| now.policies.iter().any(|policy| policy.name == *name));
        let mut failed = Ok(());
        for policy in &now.policies {
            let stored = statuses.get(&policy.name).unwrap_or(&Value::Null);
            // A policy is in force when the API server sends all that it may be about.
            let ready = if leads { ready(policy, &in_force) } else { None };
            let ready = ready.filter(|ready| !ready.holds || is_sent);
            let patch = self.patch(policy, ready, stored, leads);
            if patch.is_empty() {
                continue;
            }
            let patch = json!({"status": patch});
            match self.calls.merge_status(POLICIES, &policy.name, patch).await {
                Ok(_) | Err(Fault::Missing) => {}
                Err(Fault::Other(why) | Fault::Invalid(why)) => failed = Err(why),
                Err(fault) => {
                    failed = Err(format!(
                        "failed to write the status of StoragePolicy {}: {fault:?}",
                        policy.name
                    ));
                }
            }
        }
        failed
    }

    /// The fields of the status that are to be written.
    fn patch(
        &mut self,
        policy: &ClusterPolicy,
        ready: Option<Ready>,
        stored: &Value,
        leads: bool,
    ) -> Map<String, Value> {
        let time = clock::now();
        let mut patch = Map::new();
        if let Some(ready) = ready {
            let text = time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            condition(policy, &ready, stored, &text, &mut patch);
        }
        if let Some(compiled) = &policy.compiled {
            let fresh = || Kept { counts: compiled.counts.clone(), window: Window::default(), written: None };
            let kept = self.windows.entry(policy.name.clone()).or_insert_with(fresh);
            if !Arc::ptr_eq(&kept.counts, &compiled.counts) {
                // An edited policy counts from nothing; what was written stays written until its time.
                *kept = Kept { written: kept.written, ..fresh() };
            }
            let now = Instant::now();
            let (objects, denials) = kept.window.sample(now, kept.counts.totals());
            if kept.written.is_none_or(|at| now.duration_since(at) >= COUNTS)
                && counts(&self.replica, (objects, denials), stored, leads, time.as_second(), &mut patch)
            {
                kept.written = Some(now);
            }
        }
        patch
    }
}

/// Ends when this process has begun or ceased to lead.
async fn led(term: &mut watch::Receiver<Term>, leading: bool) -> Result<(), watch::error::RecvError> {
    term.wait_for(|term| leads(*term) != leading).await.map(|_| ())
}

/// Whether the API server sends all that the policies in force may be about.
fn is_sent(sent: Option<&Interest>, in_force: &InForce) -> bool {
    sent.is_some_and(|sent| match &in_force.interest {
        Some(interest) => sent.covers(interest),
        None => sent.covers(&Interest::everything()),
    })
}

/// What the Ready condition says; none while this process has not taken the policy over.
fn ready(policy: &ClusterPolicy, in_force: &InForce) -> Option<Ready> {
    let ready = |holds, reason, message| Some(Ready { holds, reason, message });
    if !policy.faults.is_empty() {
        let then = match policy.compiled {
            Some(_) => "its last good version stays in force",
            None => "it is not applied",
        };
        let faults: Vec<String> = policy.faults.iter().map(ToString::to_string).collect();
        return ready(false, "Faulty", format!("{}; {then}", faults.join("; ")));
    }
    if let Some(why) = in_force.left_out.get(&policy.name) {
        return ready(false, "LeftOut", why.clone());
    }
    let compiled = policy.compiled.as_ref()?;
    let applied = in_force.policies.get(&policy.name)?;
    let rules = compiled.rules.len();
    let s = if rules == 1 { " is" } else { "s are" };
    Arc::ptr_eq(applied, &compiled.counts).then(|| Ready {
        holds: true,
        reason: "InForce",
        message: format!("{rules} rule{s} in force"),
    })
}

/// Puts the condition into the patch, and what goes with it, where it is not stored already.
fn condition(
    policy: &ClusterPolicy,
    ready: &Ready,
    stored: &Value,
    time: &str,
    patch: &mut Map<String, Value>,
) {
    let before: Conditions =
        serde_json::from_value(stored.get("conditions").cloned().unwrap_or_default()).unwrap_or_default();
    let Ready { holds, reason, message } = ready;
    let wanted = before.with_ready(*holds, reason, message, policy.generation, time);
    let observed = stored.get("observedGeneration").and_then(Value::as_i64);
    if before.0 != wanted.0 || observed != Some(policy.generation) {
        patch.insert("observedGeneration".to_owned(), json!(policy.generation));
        patch.insert("conditions".to_owned(), json!(wanted.0));
    }
    let rules = policy.compiled.as_ref().map_or(0, |compiled| compiled.rules.len());
    if stored.get("rules") != Some(&json!(rules)) {
        patch.insert("rules".to_owned(), json!(rules));
    }
}

/// Puts this replica's figures into the patch, and the sums where it leads; whether there was anything to put. Replicas that
/// have gone are taken out of the sums, and by the one that leads out of the status.
fn counts(
    replica: &str,
    (objects, denials): (u64, u64),
    stored: &Value,
    leads: bool,
    now: i64,
    patch: &mut Map<String, Value>,
) -> bool {
    let none = Map::new();
    let known = stored.get("replicas").and_then(Value::as_object).unwrap_or(&none);
    let figure = |of: &Value, key: &str| of.get(key).and_then(Value::as_u64).unwrap_or_default();
    let age = |of: &Value| now - of.get("at").and_then(Value::as_i64).unwrap_or_default();
    let own = known.get(replica);
    let same = own.is_some_and(|own| {
        (figure(own, "objects"), figure(own, "denials")) == (objects, denials) && age(own) < REFRESH
    });
    let mut replicas = Map::new();
    if !same && (own.is_some() || objects > 0) {
        replicas.insert(replica.to_owned(), json!({"objects": objects, "denials": denials, "at": now}));
    }
    let mut changed = !replicas.is_empty();
    if leads {
        let mut sums = (objects, denials);
        for (name, other) in known.iter().filter(|(name, _)| *name != replica) {
            if age(other) > GONE {
                replicas.insert(name.clone(), Value::Null);
            } else {
                sums = (sums.0 + figure(other, "objects"), sums.1 + figure(other, "denials"));
            }
        }
        for (key, sum) in [("objects", sums.0), ("denials", sums.1)] {
            if stored.get(key).and_then(Value::as_u64) != Some(sum) {
                patch.insert(key.to_owned(), json!(sum));
            }
        }
        changed = !replicas.is_empty() || patch.contains_key("objects") || patch.contains_key("denials");
    }
    if !replicas.is_empty() {
        patch.insert("replicas".to_owned(), Value::Object(replicas));
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::load;

    fn policy(spec: Value) -> ClusterPolicy {
        let object = json!({"apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy",
                            "metadata": {"name": "p"}, "spec": spec});
        let (compiled, faults) = match load(&object) {
            Ok(compiled) => (Some(compiled), Vec::new()),
            Err(faults) => (None, faults),
        };
        ClusterPolicy { name: "p".into(), compiled, faults, generation: 3, uid: "u".into() }
    }

    #[test]
    fn ready_says_whether_the_policy_is_in_force_as_it_is_now() {
        let good = policy(json!({"rules": [{"pinToVolume": {}}]}));
        assert_eq!(ready(&good, &InForce::default()), None, "not taken over yet");
        let counts = good.compiled.as_ref().unwrap().counts.clone();
        let in_force = InForce { policies: [("p".to_owned(), counts)].into(), ..InForce::default() };
        assert!(ready(&good, &in_force).unwrap().holds);
        let edited = policy(json!({"rules": [{"pinToVolume": {}}, {"volumeReachable": {}}]}));
        assert_eq!(ready(&edited, &in_force), None, "the version before is in force");
        let left_out =
            InForce { left_out: [("p".to_owned(), "because".to_owned())].into(), ..in_force.clone() };
        assert_eq!(ready(&edited, &left_out).unwrap().message, "because");
        let bad = policy(json!({"rules": [{"cel": {"name": "c", "expression": "object.", "message": "m"}}]}));
        let faulty = ready(&bad, &in_force).unwrap();
        assert!(!faulty.holds && faulty.message.contains("spec.rules[0].cel"), "{faulty:?}");
        assert!(faulty.message.ends_with("it is not applied"), "{faulty:?}");
    }

    #[test]
    fn a_condition_that_is_stored_is_not_written_again() {
        let good = policy(json!({"rules": [{"pinToVolume": {}}]}));
        let ready = Ready { holds: true, reason: "InForce", message: "m".into() };
        let mut first = Map::new();
        condition(&good, &ready, &Value::Null, "t1", &mut first);
        assert_eq!((&first["observedGeneration"], &first["rules"]), (&json!(3), &json!(1)));
        let stored = Value::Object(first);
        let mut second = Map::new();
        condition(&good, &ready, &stored, "t2", &mut second);
        assert!(second.is_empty(), "{second:?}");
        let edited = ClusterPolicy { generation: 4, ..good };
        condition(&edited, &ready, &stored, "t2", &mut second);
        assert_eq!(second["observedGeneration"], 4);
        assert_eq!(second["conditions"][0]["lastTransitionTime"], "t1", "Ready is what it was");
    }

    #[test]
    fn each_replica_writes_its_own_key_and_the_leader_the_sums() {
        let stored = json!({"objects": 5, "denials": 1, "replicas": {
            "a": {"objects": 5, "denials": 1, "at": 10_000}, "gone": {"objects": 9, "denials": 9, "at": 1}}});
        let write = |replica: &str, figures, leads, now| {
            let mut patch = Map::new();
            let changed = counts(replica, figures, &stored, leads, now, &mut patch);
            assert_eq!(changed, !patch.is_empty());
            Value::Object(patch)
        };
        assert_eq!(write("a", (5, 1), false, 10_100), json!({}));
        assert_eq!(write("b", (0, 0), false, 10_100), json!({}), "nothing to tell");
        assert_eq!(
            write("b", (2, 0), false, 10_100),
            json!({"replicas": {"b": {"objects": 2, "denials": 0, "at": 10_100}}})
        );
        assert_eq!(
            write("b", (2, 1), true, 10_100),
            json!({"objects": 7, "denials": 2,
                   "replicas": {"b": {"objects": 2, "denials": 1, "at": 10_100}, "gone": null}})
        );
        // Figures that stay are written now and then, so that their replica is known to live.
        assert_eq!(write("a", (5, 1), false, 10_700)["replicas"]["a"]["at"], 10_700);
    }
}
