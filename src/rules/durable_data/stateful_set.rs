//! StatefulSets of images that the catalog does not know.

use super::DurableData;
use super::asked::Asked;
use super::lost::lost_data;
use super::text::{describe, field, lies};
use crate::facts::{Mount, Section};
use crate::model::{Durability, FieldPath, beginning};
use crate::rule::{NewFinding, NewFindings};
use crate::storage::{
    DataPath, Storage, is_called_stateless, is_data_in_tmp, is_named_data, refilled_volumes,
};
use crate::verdict::Action;
use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};

impl DurableData {
    /// A StatefulSet of images that the catalog does not know.
    pub(super) fn judge_set<'w, 'a>(
        &self,
        asked: &Asked<'_, 'w, 'a>,
        storage: Storage<'w, 'a>,
        mounts: &[DataPath<'_, '_>],
        findings: &mut NewFindings<'_>,
    ) {
        let workload = asked.workload;
        let Some(most) = self.0.stateful_sets.action() else { return };
        let pod = workload.pod.path();
        let weak = mounts.iter().filter(|data| data.cover.fate.most < self.0.require);
        if asked.lasts(&storage) {
            // Something lasts: what else it mounts is most often scratch, so this is for the audit log, and once for
            // each pod volume, however many pieces of it are mounted.
            let mut by_volume: BTreeMap<FieldPath, (&DataPath<'_, '_>, BTreeSet<&str>)> = BTreeMap::new();
            for data in weak {
                let (_, paths) =
                    by_volume.entry(field(&pod, data)).or_insert_with(|| (data, BTreeSet::new()));
                paths.insert(data.path.as_str());
            }
            findings.extend(by_volume.into_iter().map(|(field, (data, paths))| {
                let lost = data.cover.fate.most.lost_when();
                let paths: Vec<&str> = paths.into_iter().collect();
                let place = describe(data);
                let place =
                    if paths.len() > 1 { place.replacen("which lies", "which lie", 1) } else { place };
                let message = format!("{} of a StatefulSet, {place}: lost when {lost}", paths.join(", "));
                NewFinding::new(field, message)
                    .help("if it is data, use a volumeClaimTemplate; if not, name it in the rule's `scratch`")
                    .at_most(Action::Audit)
            }));
            return;
        }
        let refilled = LazyCell::new(|| refilled_volumes(workload));
        let is_data = |mount: &Mount<'_>| is_data_of_a_set(mount) && !refilled.contains(mount.volume);
        let named =
            mounts.iter().find(|data| data.empty_dir().is_some() && data.cover.mount.is_some_and(is_data));
        // What is fetched again is told of only where there is nothing else.
        let is_kept =
            |data: &&DataPath<'_, '_>| !data.cover.mount.is_some_and(|it| refilled.contains(it.volume));
        let named_or_first = named.or_else(|| mounts.iter().find(is_kept)).or(mounts.first());
        // A socket or a file of the node, which is no data anywhere, is not for writing.
        let is_written = |mount: &Mount<'_>| {
            let cover = storage.mount_cover(mount);
            !cover.read_only && cover.fate.most <= Durability::Pod
        };
        let all_mounts = || workload.pod.containers.iter().flat_map(|container| &container.mounts);
        let writes = !mounts.is_empty() || all_mounts().any(is_written);
        // What cannot write anything loses nothing. What mounts nothing to write to, and reads from a claim or is called like
        // something that keeps nothing, says in no way that it has data.
        let main = || workload.pod.containers.iter().filter(|container| container.section == Section::Main);
        let cannot = || workload.pod.containers.iter().all(|container| container.read_only_root);
        let reads = || main().flat_map(|it| &it.mounts).any(|mount| reads_what_lasts(&storage, mount));
        if !writes && (cannot() || reads() || main().all(is_called_stateless)) {
            return;
        }
        let most = match named {
            Some(_) if most >= Action::Warn => self.0.stateful_set_data.action().unwrap_or(most),
            // Nothing says that there are data at all.
            None if !writes => most.min(Action::Warn),
            _ => most,
        };
        let lost = named_or_first.map(|data| lost_data(asked, &pod, &[data]));
        let (field, message) = match named_or_first {
            Some(data) => (
                field(&pod, data),
                format!(
                    "this StatefulSet has no durable mount: {} {}: lost when {}",
                    data.path,
                    lies(&data.cover),
                    data.cover.fate.most.lost_when()
                ),
            ),
            None => (
                pod.clone(),
                "this StatefulSet has no durable mount: whatever it writes is lost when the container restarts".to_owned(),
            ),
        };
        let help = match asked.unmounted(&storage, self.0.require) {
            Some(volume) => format!(
                "{:?}, which lasts, is mounted nowhere: mount it where the data lies, or leave it out",
                beginning(volume, 64)
            ),
            None => "add a volumeClaimTemplate and mount it where the data lies; if it keeps none, a Deployment does, \
                     or an exception with the reason"
                .to_owned(),
        };
        let new_finding = NewFinding::new(field, message).help(help).at_most(most);
        findings.push(NewFinding { lost: lost.map(Box::new), ..new_finding });
    }
}

/// Whether a mount brings what lasts, and nothing can be written there.
fn reads_what_lasts(storage: &Storage<'_, '_>, mount: &Mount<'_>) -> bool {
    let cover = storage.mount_cover(mount);
    cover.read_only && cover.fate.most >= Durability::Claim
}

/// Whether data of a StatefulSet lies at a mount, by its path or the pod volume's name.
fn is_data_of_a_set(mount: &Mount<'_>) -> bool {
    is_named_data(mount) || is_data_in_tmp(mount)
}
