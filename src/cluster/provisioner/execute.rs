//! Carries out the steps of the plan.

use super::super::calls::Fault;
use super::super::clock;
use super::super::watched::{CLAIMS, NODE_VOLUMES, VOLUMES};
use super::{Shared, reached};
use crate::cluster::node_volume;
use crate::daemon::Outcome;
use crate::facts::ReclaimPolicy;
use crate::provisioner::{
    Action, Change, Claim, FINALIZER, Key, NodeVolume, Notice, OWNER, RECLAIM, Removal, Step, Volume,
    VolumePhase, plan,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// A plan that goes round in circles is a fault; it is tried again later, as others are.
const MOST_STEPS: usize = 20;
/// How long the watches may take to tell what the API server knows already.
const CATCH_UP: Duration = Duration::from_secs(1);

/// What became of a write.
enum Done {
    /// It is as it was to be.
    Yes,
    /// The API server knows more than the caches: wait for them.
    Behind,
}

impl Shared {
    /// Looks at one volume, and does what there is to do.
    pub(super) async fn look(&self, key: &Key) -> Outcome {
        for _ in 0..MOST_STEPS {
            let now = self.now();
            let step = {
                let mut memories = self.memories();
                let memory = memories.entry(key.clone()).or_default();
                let step = plan(&self.world(), key, &self.settings.load(), memory, now);
                if memory.is_empty() {
                    memories.remove(key);
                }
                step
            };
            match step {
                Step::Nothing => return Outcome::Settled,
                Step::Wait { until, notice } => {
                    self.tell(key, notice);
                    return until.map_or(Outcome::Settled, Outcome::At);
                }
                Step::Do { action, notice } => {
                    // The lease may just be renewed late.
                    if !self.leads() {
                        return Outcome::At(self.now() + CATCH_UP);
                    }
                    let kind = kind(&action);
                    let began = matches!(action, Action::CreateNodeVolume { .. } | Action::CreateVolume(_));
                    reached(kind, false);
                    let done = self.act(key, action).await;
                    if done.is_ok() {
                        reached(kind, true);
                    }
                    self.metrics.wrote(kind, done.is_ok());
                    match done {
                        Ok(Done::Yes) => self.tell(key, notice),
                        Ok(Done::Behind) => return Outcome::At(self.now() + CATCH_UP),
                        Err(why) => {
                            tracing::warn!(
                                volume = &**key,
                                action = kind,
                                error = %why,
                                "failed to take a step for a volume; it is tried again"
                            );
                            if began {
                                let failed = Notice { message: why, ..Notice::of_failure() };
                                self.tell(key, Some(failed));
                            }
                            return Outcome::Failed;
                        }
                    }
                }
            }
        }
        tracing::error!(
            volume = &**key,
            steps = MOST_STEPS,
            "too many steps in a row, without an end; please report this"
        );
        Outcome::Failed
    }

    fn tell(&self, key: &Key, notice: Option<Notice>) {
        if let Some(notice) = notice {
            self.events.tell(&self.world(), key, notice);
        }
    }

    async fn act(&self, key: &Key, action: Action) -> Result<Done, String> {
        let calls = &self.calls;
        match action {
            Action::CreateNodeVolume { spec, reclaim, removal } => {
                if let Some(removal) = removal
                    && !self.may_remove(key, &removal).await?
                {
                    return Ok(Done::Behind);
                }
                let mut object = node_volume(key, *spec);
                let annotations = [(RECLAIM, reclaim.as_str()), (OWNER, &self.name)];
                let annotations = annotations.map(|(key, value)| (key.to_owned(), value.to_owned()));
                object.metadata.annotations = Some(BTreeMap::from(annotations));
                let object = serde_json::to_value(object).map_err(|error| error.to_string())?;
                self.created::<NodeVolume>(calls.create(NODE_VOLUMES, None, &object).await)
            }
            Action::CreateVolume(object) => {
                let since = self.seen().get(key).copied();
                let answer = calls.create(VOLUMES, None, &object).await;
                if let (Some(since), true) = (since, answer.is_ok()) {
                    self.metrics.provisioned(self.now().saturating_sub(since));
                }
                self.created::<Volume>(answer)
            }
            Action::Reschedule { claim, patch } => {
                let answer = calls.merge(CLAIMS, Some(&claim.namespace), &claim.name, patch).await;
                self.changed::<Claim>(answer)
            }
            Action::SetAbsent { uid, version, removal } => {
                if !self.may_remove(key, &removal).await? {
                    return Ok(Done::Behind);
                }
                // Held to what was seen: should it arrive late, when another leads, nothing is removed that has changed.
                let metadata = json!({"uid": uid, "resourceVersion": version.to_string()});
                let patch = json!({"metadata": metadata, "spec": {"desired": "Absent"}});
                self.changed::<NodeVolume>(calls.merge(NODE_VOLUMES, None, key, patch).await)
            }
            Action::SetSize { uid, bytes } => {
                let patch = json!({"metadata": {"uid": uid}, "spec": {"sizeBytes": bytes}});
                self.changed::<NodeVolume>(calls.merge(NODE_VOLUMES, None, key, patch).await)
            }
            Action::SetReclaim { uid, reclaim } => {
                let patch = json!({"metadata": {"uid": uid, "annotations": {RECLAIM: reclaim.as_str()}}});
                self.changed::<NodeVolume>(calls.merge(NODE_VOLUMES, None, key, patch).await)
            }
            Action::DeleteNodeVolume { uid } => {
                let answer = calls.delete(NODE_VOLUMES, None, key, Some(&uid)).await;
                if matches!(answer, Ok(_) | Err(Fault::Missing)) {
                    self.change(|world| NodeVolume::remove(world, "", key));
                    return Ok(Done::Yes);
                }
                self.changed::<NodeVolume>(answer)
            }
            Action::DeleteVolume { uid } => {
                let answer = calls.delete(VOLUMES, None, key, Some(&uid)).await;
                if let Ok(object) = &answer
                    && object.get("kind").and_then(Value::as_str) == Some("Status")
                {
                    return Ok(Done::Behind);
                }
                self.changed::<Volume>(answer)
            }
            Action::RemoveFinalizer { uid } => {
                let patch =
                    json!({"metadata": {"uid": uid, "$deleteFromPrimitiveList/finalizers": [FINALIZER]}});
                self.changed::<Volume>(calls.strategic(VOLUMES, None, key, None, patch).await)
            }
            Action::WriteCapacity { uid, capacity } => {
                let patch = json!({"metadata": {"uid": uid}, "spec": {"capacity": {"storage": capacity}}});
                self.changed::<Volume>(calls.merge(VOLUMES, None, key, patch).await)
            }
            Action::WriteClaimStatus { claim, version, capacity, node_step } => {
                let status = if node_step { waiting_for_kubelet(&capacity) } else { grown(&capacity) };
                let metadata = json!({"uid": claim.uid, "resourceVersion": version.to_string()});
                let patch = json!({"metadata": metadata, "status": status});
                let of = Some(claim.namespace.as_str());
                self.changed::<Claim>(calls.strategic(CLAIMS, of, &claim.name, Some("status"), patch).await)
            }
        }
    }

    /// A create: that it is there already is as good.
    fn created<T: Change + Read>(&self, answer: Result<Value, Fault>) -> Result<Done, String> {
        match answer {
            Err(Fault::Exists) => Ok(Done::Behind),
            other => self.changed::<T>(other),
        }
    }

    /// The answer to a write is known at once, not only when the watch tells.
    fn changed<T: Change + Read>(&self, answer: Result<Value, Fault>) -> Result<Done, String> {
        match answer {
            Ok(object) => {
                let object = T::of(&object)
                    .map_err(|error| format!("failed to read the answer to a write: {error}"))?;
                self.change(|world| object.written(world));
                Ok(Done::Yes)
            }
            Err(Fault::Missing | Fault::Stale | Fault::Exists) => Ok(Done::Behind),
            Err(Fault::Other(why) | Fault::Invalid(why)) => Err(why),
        }
    }

    /// Whether a removal may be asked for, by this leader and as the API server itself has it.
    async fn may_remove(&self, key: &Key, removal: &Removal) -> Result<bool, String> {
        if let Some(why) = self.forbidden(key, removal).await? {
            tracing::info!(volume = &**key, reason = %why, "the volume is not removed");
            return Ok(false);
        }
        // Looking took its time.
        Ok(self.leads())
    }

    /// Looks at the API server itself before anything is removed: caches may be old. Why not, if not.
    async fn forbidden(&self, key: &Key, removal: &Removal) -> Result<Option<String>, String> {
        let missing = |answer| match answer {
            Ok(object) => Ok(Some(object)),
            Err(Fault::Missing) => Ok(None),
            Err(Fault::Other(why) | Fault::Invalid(why)) => Err(why),
            Err(Fault::Exists | Fault::Stale) => Err("failed to look before a removal".to_owned()),
        };
        let volume = missing(self.calls.get(VOLUMES, None, key).await)?;
        let volume =
            volume.map(|object| Volume::read(&object)).transpose().map_err(|error| error.to_string())?;
        match (removal, volume) {
            (Removal::Unused(_), Some(_)) => Ok(Some("there is a volume of that name".to_owned())),
            (Removal::Unused(reference), None) => {
                let of = Some(reference.namespace.as_str());
                let claim = missing(self.calls.get(CLAIMS, of, &reference.name).await)?;
                let claim = claim
                    .map(|object| Claim::read(&object))
                    .transpose()
                    .map_err(|error| error.to_string())?;
                let uses = claim.filter(|claim| claim.volume.as_deref() == Some(&**key));
                Ok(uses.map(|claim| format!("claim {}/{} has it", claim.namespace, claim.name)))
            }
            (Removal::Released(_), None) => Ok(Some("there is no such volume any more".to_owned())),
            (Removal::Released(uid), Some(volume)) => {
                if volume.uid != *uid {
                    return Ok(Some("there is another volume of that name".to_owned()));
                }
                if volume.reclaim != ReclaimPolicy::Delete {
                    return Ok(Some(format!("its reclaim policy is {}", volume.reclaim.as_str())));
                }
                let free = volume.phase == VolumePhase::Released
                    || (volume.deleting && volume.finalizer && volume.phase != VolumePhase::Bound);
                Ok((!free).then(|| format!("it is {}", volume.phase.as_str())))
            }
        }
    }
}

/// Reads one kind from the answer to a write.
pub(super) trait Read: Sized {
    fn of(object: &Value) -> Result<Self, crate::facts::FactsFault>;
}

macro_rules! read {
    ($($type:ty),*) => {$(
        impl Read for $type {
            fn of(object: &Value) -> Result<Self, crate::facts::FactsFault> {
                Self::read(object)
            }
        }
    )*};
}

read!(Claim, Volume, NodeVolume);

/// The claim has all that it asked for.
fn grown(capacity: &str) -> Value {
    json!({"capacity": {"storage": capacity}, "allocatedResources": {"storage": capacity}})
}

/// The device is larger, and the kubelet is to let the file system follow. It does so only with `NodeResizePending`, and
/// writes the capacity itself (`pkg/volume/util/operationexecutor/node_expander.go`).
fn waiting_for_kubelet(capacity: &str) -> Value {
    json!({
        "allocatedResources": {"storage": capacity},
        "allocatedResourceStatuses": {"storage": "NodeResizePending"},
        "conditions": [{
            "type": "FileSystemResizePending", "status": "True",
            "lastTransitionTime": k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(clock::now()),
            "message": "Waiting for the kubelet to let the file system grow on the node",
        }],
    })
}

/// A write's name, for metrics and failpoints.
fn kind(action: &Action) -> &'static str {
    match action {
        Action::CreateNodeVolume { .. } => "create-node-volume",
        Action::CreateVolume(_) => "create-volume",
        Action::Reschedule { .. } => "reschedule",
        Action::SetAbsent { .. } => "set-absent",
        Action::SetSize { .. } => "set-size",
        Action::SetReclaim { .. } => "set-reclaim",
        Action::DeleteNodeVolume { .. } => "delete-node-volume",
        Action::DeleteVolume { .. } => "delete-volume",
        Action::RemoveFinalizer { .. } => "remove-finalizer",
        Action::WriteCapacity { .. } => "write-capacity",
        Action::WriteClaimStatus { .. } => "write-claim-status",
    }
}
