//! What custom resources of known operators say of storage.

use super::DurableData;
use crate::facts::{CustomFacts, FactsFault, Lies, Store};
use crate::lookup::Lookup;
use crate::rule::{NewFinding, NewFindings};
use crate::storage::store_fate;
use crate::verdict::Action;

impl DurableData {
    /// Judges where the data of a custom resource lie, and says which of its parts cannot be read.
    pub(super) fn judge_custom(
        &self,
        custom: &CustomFacts<'_>,
        lookup: &dyn Lookup,
        findings: &mut NewFindings<'_>,
    ) {
        findings.extend(custom.stores.iter().filter_map(|store| self.judge_store(store, lookup)));
        findings.extend(custom.unread.iter().map(unread));
    }

    fn judge_store(&self, store: &Store<'_>, lookup: &dyn Lookup) -> Option<NewFinding> {
        let Store { product, field, why, .. } = store;
        let fate = store_fate(store, lookup)?;
        let require = self.0.require;
        if fate.least >= require {
            return None;
        }
        let keep = store.help.unwrap_or("let it ask for a PersistentVolumeClaim");
        let place = place(store.lies);
        let draft = if store.lies == Lies::Unknown {
            NewFinding::new(field.clone(), format!("where {product} keeps its data is not known, {why}"))
                .help(format!("{keep}, or except it with a reason"))
                .at_most(Action::Warn)
        } else if fate.most < require {
            let lost = fate.least.lost_when();
            let help = match store.lies {
                Lies::Claim => "use a class with reclaim policy Retain",
                _ => keep,
            };
            NewFinding::new(
                field.clone(),
                format!("{product} keeps its data {place}, {why}: lost when {lost}"),
            )
            .help(help)
        } else {
            let message = format!(
                "{product} keeps its data {place}: whether that lasts is not known ({} or {})",
                fate.least, fate.most
            );
            NewFinding::new(field.clone(), message)
                .help("give volgate the class it asks for (in CI: `--context`), or name a class")
                .at_most(Action::Warn)
        };
        let draft = match store.dispensable {
            Some(why) => {
                let most = self.0.dispensable.action()?;
                let told = match draft.help.as_deref() {
                    Some(kept) if most < Action::Deny && draft.at_most.is_none() => {
                        format!("{product} is often run so, as {why}; to keep them, {kept}")
                    }
                    kept => kept.unwrap_or_default().to_owned(),
                };
                draft.help(told).at_most(most)
            }
            None => draft,
        };
        let old = store.unchanged.then(|| "it is a warning, as it was so before this change".to_owned());
        Some(if store.unchanged { draft.and_help(old).at_most(Action::Warn) } else { draft })
    }
}

/// Where data lie, in words.
fn place(lies: Lies) -> &'static str {
    match lies {
        Lies::Claim => "on PersistentVolumeClaims",
        Lies::EmptyDir => "on an emptyDir",
        Lies::Memory => "in memory",
        Lies::HostPath => "in a directory of the node",
        Lies::WritableLayer => "in the container's writable layer",
        Lies::Unknown | Lies::Nowhere => "nowhere",
    }
}

/// A part that cannot be read: nothing is said of it, and that is said.
fn unread(fault: &FactsFault) -> NewFinding {
    NewFinding::new(fault.path.clone(), format!("not judged: {}", fault.message))
        .help("see on what its data lie; what the operator makes of it is judged in the cluster")
        .at_most(Action::Warn)
}
