//! What the agent reports of its node: its NodeStorage's status, and when that is worth a write.

use super::base_view::BaseView;
use crate::model::{Backend, BaseStatus, NodeStorageStatus};

/// How much of its capacity a base's room must have changed by, as a divisor.
const NEWS: i64 = 100;

/// The NodeStorage as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Storage {
    pub(super) listed: bool,
    pub(super) there: bool,
    pub(super) remove: Vec<String>,
    pub(super) told: NodeStorageStatus,
    pub(super) writing: bool,
}

/// A base as it is told.
pub(super) fn base_status(view: &BaseView) -> BaseStatus {
    let path = view.path.clone();
    let room = match view.room() {
        Some(Ok(room)) => room,
        Some(Err(fault)) => {
            return BaseStatus { path, message: Some(fault.message), ..BaseStatus::default() };
        }
        None => {
            let message = Some("not looked at yet".to_owned());
            return BaseStatus { path, message, ..BaseStatus::default() };
        }
    };
    let usable = room.unwritable.is_none();
    let can = |backend: &Backend| usable && !room.unsupported.iter().any(|(no, _)| no == backend);
    let mut messages: Vec<String> = room.unwritable.iter().map(|fault| fault.message.clone()).collect();
    if usable {
        messages.extend(room.unsupported.iter().map(|(backend, fault)| match fault.reason {
            "BackendUnsupported" => format!("{}: {fault}", backend.name()),
            reason => format!("{}: {fault} ({reason})", backend.name()),
        }));
    }
    let bad = view.bad_records();
    if bad > 0 {
        messages.push(format!("{bad} records cannot be read: see the agent's log"));
    }
    BaseStatus {
        path,
        usable,
        filesystem: room.filesystem.clone(),
        capacity_bytes: room.capacity,
        available_bytes: room.available.max(0),
        backends: Backend::ALL.into_iter().filter(can).collect(),
        message: (!messages.is_empty()).then(|| messages.join("; ")),
    }
}

/// Whether a status is worth a write, when `told` is what the API server knows: room that changes by a little is not.
pub(super) fn is_news(told: &NodeStorageStatus, now: &NodeStorageStatus) -> bool {
    // An agent of a version without conditions wrote it.
    let without = told.conditions.ready().is_none();
    if without || told.orphans != now.orphans || told.bases.len() != now.bases.len() {
        return true;
    }
    told.bases.iter().zip(&now.bases).any(|(told, now)| {
        let by = (told.available_bytes - now.available_bytes).abs();
        let rest = BaseStatus { available_bytes: now.available_bytes, ..told.clone() };
        rest != *now
            || by > now.capacity_bytes / NEWS
            || (now.available_bytes == 0) != (told.available_bytes == 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Conditions, Orphan};

    fn status(available_bytes: i64, usable: bool) -> NodeStorageStatus {
        let base = BaseStatus {
            path: "/b".into(),
            usable,
            capacity_bytes: 1000,
            available_bytes,
            ..BaseStatus::default()
        };
        let status = NodeStorageStatus { bases: vec![base], ..NodeStorageStatus::default() };
        status.with_condition(&Conditions::default(), 1, "t")
    }

    #[test]
    fn only_what_matters_is_written() {
        let told = status(500, true);
        for (now, news) in [
            (status(500, true), false),
            (status(491, true), false),
            (status(489, true), true),
            (status(511, true), true),
            (status(500, false), true),
            (NodeStorageStatus { orphans: vec![Orphan::default()], ..status(500, true) }, true),
            (NodeStorageStatus::default(), true),
        ] {
            assert_eq!(is_news(&told, &now), news, "{now:?}");
        }
        assert!(is_news(&status(5, true), &status(0, true)), "full is news");
        let before = NodeStorageStatus { conditions: Conditions::default(), ..status(500, true) };
        assert!(is_news(&before, &status(500, true)), "it gets its condition");
    }
}
