//! Which custom resources are installed, by the names of their CRDs: the metadata alone is watched, as the schemas of a cluster
//! take tens of megabytes.

use super::object::Cached;
use super::watch::{Sink, WatchState, run};
use super::watched::CUSTOM_RESOURCES;
use crate::facts::FactsFault;
use crate::model::{ObjectRef, lock};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// The name of a CRD: `kafkas.kafka.strimzi.io`.
#[derive(Debug, Clone)]
pub(super) struct Definition(String);

impl Cached for Definition {
    const METADATA_ONLY: bool = true;
    fn read(_object: &Value, id: &ObjectRef) -> Result<Self, FactsFault> {
        Ok(Self(id.name.clone()))
    }
}

/// The CRDs of the cluster, as they are now.
#[derive(Debug, Default, Clone)]
pub(super) struct Installed(Arc<Mutex<Names>>);

#[derive(Debug, Default)]
struct Names {
    known: BTreeSet<String>,
    staged: BTreeSet<String>,
    /// Whether there has been a whole list, or there cannot be one.
    settled: bool,
}

impl Installed {
    /// Watches them; it never ends.
    pub(super) async fn follow(&self, client: kube::Client) {
        run(client, &WatchState::new(CUSTOM_RESOURCES), self.clone()).await;
    }

    /// Whether it is known which there are, as far as it can be.
    pub(super) fn is_settled(&self) -> bool {
        self.with(|names| names.settled)
    }

    /// Whether that resource is there.
    pub(super) fn has(&self, group: &str, resource: &str) -> bool {
        self.with(|names| names.known.contains(&format!("{resource}.{group}")))
    }

    fn with<T>(&self, of: impl FnOnce(&mut Names) -> T) -> T {
        of(&mut lock(&self.0))
    }
}

impl Sink for Installed {
    type Facts = Definition;

    fn begin(&mut self) {
        self.with(|names| names.staged.clear());
    }
    fn stage(&mut self, definition: Definition) {
        self.with(|names| names.staged.insert(definition.0));
    }
    fn replace(&mut self) {
        self.with(|names| {
            names.known = std::mem::take(&mut names.staged);
            names.settled = true;
        });
    }
    fn apply(&mut self, definition: Definition) {
        self.with(|names| names.known.insert(definition.0));
    }
    fn delete(&mut self, _namespace: &str, name: &str) {
        self.with(|names| names.known.remove(name));
    }
    /// Without the right to see them, custom resources are not asked about; what is registered for workloads does not wait.
    fn failed(&mut self, _missing: bool, _why: &str) {
        self.with(|names| names.settled = true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_shows_when_it_is_whole_and_changes_at_once() {
        let mut installed = Installed::default();
        let named = |name: &str| Definition(name.to_owned());
        let kafka = |installed: &Installed| installed.has("kafka.strimzi.io", "kafkas");
        installed.begin();
        installed.stage(named("kafkas.kafka.strimzi.io"));
        assert!(!installed.is_settled() && !kafka(&installed));
        installed.replace();
        assert!(installed.is_settled() && kafka(&installed) && !installed.has("strimzi.io", "kafkas"));
        installed.delete("", "kafkas.kafka.strimzi.io");
        assert!(!kafka(&installed));
        installed.apply(named("kafkas.kafka.strimzi.io"));
        assert!(kafka(&installed));
        let mut forbidden = Installed::default();
        forbidden.failed(false, "forbidden");
        assert!(forbidden.is_settled() && !kafka(&forbidden));
    }
}
