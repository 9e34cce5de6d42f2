//! The places that a finding points to besides its own field.

use super::text::{LISTED, brief, field_of, partial_mounts};
use crate::catalog::PlaceDoubt;
use crate::model::FieldPath;
use crate::rule::NewFinding;
use crate::storage::{DataPath, Storage, has_durable};
use std::collections::BTreeSet;

/// The finding with the fields that put the data where it lies, or may put it elsewhere.
pub(super) fn with_places<'w, 'a>(
    mut new_finding: NewFinding,
    pod: &FieldPath,
    storage: Storage<'w, 'a>,
    alike: &[&'w DataPath<'w, 'a>],
) -> NewFinding {
    let Some(data) = alike.first() else { return new_finding };
    let may_come = matches!(data.doubts.place, Some(PlaceDoubt::EnvFrom(_)));
    if may_come && has_durable(&storage, data.container) {
        let note = "what comes from here is not known: a variable that moves the data belongs in `env`";
        new_finding = new_finding.related(data.container.path(pod).key("envFrom"), note);
    }
    if let Some(PlaceDoubt::Value(moved_by)) = data.doubts.place
        && let Some(field) = field_of(&data.container.path(pod), moved_by.origin)
    {
        new_finding =
            new_finding.related(field, "this may name another directory, and its value is not known");
    }
    let mut volumes = BTreeSet::new();
    let mounts = alike.iter().filter_map(|data| data.cover.mount);
    for mount in mounts.filter(|mount| volumes.insert(mount.volume)).take(LISTED) {
        let note = format!("{} is mounted here", brief(&mount.path));
        new_finding = new_finding.related(data.container.mount_path(pod, mount), note);
    }
    let path = brief(&data.path);
    let partial = alike.iter().flat_map(|data| partial_mounts(data, storage));
    for (mount, _) in partial.take(LISTED) {
        let note = format!("only {} is covered, not {path}", brief(&mount.path));
        new_finding = new_finding.related(data.container.mount_path(pod, mount), note);
    }
    let above = data.container.mounts.iter().filter(|mount| mount.path.covers(&data.path));
    for mount in above.filter(|_| data.hidden_by.is_some()).take(LISTED) {
        let note = format!("this mount of {} does not reach it", brief(&mount.path));
        new_finding = new_finding.related(data.container.mount_path(pod, mount), note);
    }
    new_finding
}
