use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The type of the one condition that volgate writes; `kubectl wait --for=condition=Ready` waits for it.
pub const READY: &str = "Ready";

/// One condition of a status, as Kubernetes has them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Which condition.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it holds: True, False or Unknown.
    pub status: String,
    /// The metadata.generation that it is about.
    #[serde(default)]
    pub observed_generation: i64,
    /// When the status last changed.
    #[serde(default)]
    pub last_transition_time: String,
    /// Why, in one word.
    #[serde(default)]
    pub reason: String,
    /// Why, for a person.
    #[serde(default)]
    pub message: String,
}

/// The conditions of a status. They follow from its other fields, so that two statuses are equal whatever theirs are.
#[derive(Debug, Clone, Default, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Conditions(pub Vec<Condition>);

impl PartialEq for Conditions {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Conditions {
    /// These conditions with Ready as it is at that time (RFC 3339). Others' conditions stay, and so does the time of a change
    /// where Ready is what it was.
    #[must_use]
    pub fn with_ready(&self, holds: bool, reason: &str, message: &str, generation: i64, now: &str) -> Self {
        let status = if holds { "True" } else { "False" };
        let before = self.ready().filter(|before| before.status == status);
        let since =
            before.map(|before| before.last_transition_time.as_str()).filter(|since| !since.is_empty());
        let ready = Condition {
            kind: READY.to_owned(),
            status: status.to_owned(),
            observed_generation: generation,
            last_transition_time: since.unwrap_or(now).to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
        };
        let others = self.0.iter().filter(|condition| condition.kind != READY).cloned();
        Self(others.chain(std::iter::once(ready)).collect())
    }

    /// The Ready condition.
    pub fn ready(&self) -> Option<&Condition> {
        self.0.iter().find(|condition| condition.kind == READY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_change_is_kept_as_long_as_nothing_changes() {
        let other = Condition { kind: "Paused".into(), ..Condition::default() };
        let first = Conditions(vec![other.clone()]).with_ready(false, "Making", "not yet", 1, "t1");
        assert_eq!(first.0.len(), 2);
        assert_eq!(first.0[0].kind, other.kind, "somebody else's stays");
        let second = first.with_ready(false, "NotEnoughSpace", "no room", 1, "t2");
        let ready = second.ready().unwrap();
        assert_eq!((ready.last_transition_time.as_str(), ready.reason.as_str()), ("t1", "NotEnoughSpace"));
        let third = second.with_ready(true, "Made", "it is there", 2, "t3");
        let ready = third.ready().unwrap();
        assert_eq!((ready.last_transition_time.as_str(), ready.observed_generation), ("t3", 2));
        assert_eq!(third.0.len(), 2);
    }
}
