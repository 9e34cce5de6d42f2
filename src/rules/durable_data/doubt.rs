//! What softens a finding: data that may lie on another mount, or may be none.

use super::DurableData;
use super::text::brief;
use crate::catalog::{CacheDoubt, PlaceDoubt, Unsure};
use crate::rule::NewFinding;
use crate::storage::{DataPath, Storage, filled_in_later, has_lasting, lasting_mount};
use crate::verdict::Action;
use std::borrow::Cow;

impl DurableData {
    /// Softens what is said of data that may lie on another mount, which lasts, or may be none. With no such mount they
    /// are lost wherever they lie.
    pub(super) fn doubted(
        &self,
        new_finding: NewFinding,
        storage: Storage<'_, '_>,
        data: &DataPath<'_, '_>,
    ) -> NewFinding {
        let moves = |what: &str| format!("unless {what} puts them on another mount");
        let place = data.doubts.place.filter(|_| has_lasting(&storage, data.container, self.0.require));
        let open = filled_in_later(&storage, data.container, self.0.require);
        let unless = match (place, data.doubts.cache) {
            (None, None) => match open {
                Some(mount) => format!(
                    "unless {}, which is filled in later and where something lasts, holds them",
                    brief(&mount.path)
                ),
                None => return new_finding,
            },
            (Some(PlaceDoubt::Configuration), Some(CacheDoubt { by: Unsure::File(_), why, keeps })) => {
                let moves = moves("its configuration, which is not known here,");
                format!("{moves} or makes it keep {keeps} ({why})")
            }
            (_, Some(cache)) => {
                let by = match cache.by {
                    Unsure::Variable(name) => format!("{name}, whose value is not known here,"),
                    Unsure::File(name) => format!("{name}, which is not known here,"),
                };
                format!("unless {by} makes it keep {} ({})", cache.keeps, cache.why)
            }
            (Some(PlaceDoubt::Configuration), None) => moves("its configuration, which is not known here,"),
            (Some(PlaceDoubt::Value(moved_by)), None) => {
                moves(&format!("{}, whose value is not known here,", moved_by.named))
            }
            (Some(PlaceDoubt::EnvFrom(name)), None) => {
                moves(&format!("{name}, which may come by `envFrom`,"))
            }
            (Some(PlaceDoubt::WorkingDir), None) => {
                moves("the image's working directory, which is not known here,")
            }
            (Some(PlaceDoubt::Script), None) => {
                let mount = lasting_mount(&storage, data.container, self.0.require);
                let kept = mount.map_or(Cow::Borrowed("another mount"), |mount| brief(&mount.path));
                format!("unless its script keeps them in {kept}, which lasts")
            }
            (Some(PlaceDoubt::Publisher), None) => {
                let mount = lasting_mount(&storage, data.container, self.0.require);
                let kept = mount.map_or(Cow::Borrowed("another mount"), |mount| brief(&mount.path));
                format!("unless this publisher's image keeps them in {kept}, which lasts")
            }
        };
        NewFinding { message: format!("{}, {unless}", new_finding.message), ..new_finding }
            .at_most(Action::Warn)
    }
}
