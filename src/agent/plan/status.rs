//! What the agent says of a volume.

use super::super::Fault;
use super::Asked;
use crate::model::{Backend, NodeVolumeStatus, Phase};

/// Where the kubelet finds a volume.
pub fn node_path(asked: &Asked) -> String {
    match asked.spec.backend {
        Backend::Loop => super::super::device_link(&asked.volume),
        _ => shown(asked),
    }
}

pub(super) fn shown(asked: &Asked) -> String {
    let spec = &asked.spec;
    match spec.backend {
        Backend::Loop => {
            format!("{}/{}/loop/{}", spec.base.trim_end_matches('/'), super::super::OWN, asked.volume)
        }
        _ => format!("{}/{}", spec.base.trim_end_matches('/'), spec.directory),
    }
}

pub(super) fn ready(asked: &Asked, size_bytes: Option<i64>, hindrance: Option<&Fault>) -> NodeVolumeStatus {
    NodeVolumeStatus {
        phase: Phase::Ready,
        observed_generation: asked.generation,
        path: Some(node_path(asked)),
        size_bytes,
        reason: hindrance.map(|fault| fault.reason.to_owned()),
        message: hindrance.map(|fault| fault.message.clone()),
        ..NodeVolumeStatus::default()
    }
}

/// Not as asked, and tried again. What was there before keeps its path.
pub(super) fn pending(asked: &Asked, fault: &Fault) -> NodeVolumeStatus {
    NodeVolumeStatus {
        phase: Phase::Pending,
        observed_generation: asked.generation,
        reason: Some(fault.reason.to_owned()),
        message: Some(fault.message.clone()),
        ..asked.status.clone()
    }
}

/// As [`pending`], for a volume of which nothing is known at the moment: what it was, it may still be.
pub(super) fn unknown(asked: &Asked, fault: &Fault) -> NodeVolumeStatus {
    let phase = if asked.was_there() { asked.status.phase } else { Phase::Pending };
    NodeVolumeStatus { phase, ..pending(asked, fault) }
}

/// Refused when it was never there, else lost.
pub(super) fn gone(asked: &Asked, reason: &str, message: String) -> NodeVolumeStatus {
    if !asked.was_there() && !asked.spec.adopt {
        return refused(asked, reason, message);
    }
    NodeVolumeStatus {
        phase: Phase::Lost,
        observed_generation: asked.generation,
        reason: Some(reason.to_owned()),
        message: Some(message),
        ..asked.status.clone()
    }
}

pub(super) fn refused(asked: &Asked, reason: &str, message: String) -> NodeVolumeStatus {
    NodeVolumeStatus {
        phase: Phase::Refused,
        observed_generation: asked.generation,
        reason: Some(reason.to_owned()),
        message: Some(message),
        ..NodeVolumeStatus::default()
    }
}

/// A number of bytes for a person.
pub fn bytes(bytes: i64) -> String {
    const UNITS: [(&str, i64); 4] = [("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];
    for (unit, size) in UNITS {
        if bytes >= size {
            let tenths = i128::from(bytes) * 10 / i128::from(size);
            return match (tenths / 10, tenths % 10) {
                (whole, 0) => format!("{whole}{unit}"),
                (whole, tenth) => format!("{whole}.{tenth}{unit}"),
            };
        }
    }
    bytes.to_string()
}
