//! Whether a verdict depends on other objects: what asks for none is final before the others are known.

use crate::facts::{
    ClaimFacts, ClassFacts, ConfigFacts, ConfigKind, NamespaceFacts, NodeFacts, OwnerFacts, VolumeFacts,
};
use crate::lookup::{Available, Lookup, LookupKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Knows nothing, and remembers that it was asked.
#[derive(Debug, Default)]
pub(super) struct Asking(AtomicBool);

impl Asking {
    /// Whether somebody asked for anything.
    pub(super) fn was_asked(&self) -> bool {
        self.0.load(Relaxed)
    }

    fn no<T: Default>(&self) -> T {
        self.0.store(true, Relaxed);
        T::default()
    }
}

impl Lookup for Asking {
    fn knows_all(&self, _: LookupKind) -> bool {
        self.no()
    }
    fn leaves_out(&self, _: LookupKind) -> bool {
        self.no()
    }
    fn claim(&self, _: &str, _: &str) -> Option<Arc<ClaimFacts>> {
        self.no()
    }
    fn volume(&self, _: &str) -> Option<Arc<VolumeFacts>> {
        self.no()
    }
    fn class(&self, _: &str) -> Option<Arc<ClassFacts>> {
        self.no()
    }
    fn default_class(&self) -> Option<Arc<ClassFacts>> {
        self.no()
    }
    fn available_volumes(&self, _: &str) -> Vec<Arc<VolumeFacts>> {
        self.no()
    }
    fn available(&self, _: &str) -> Available {
        self.no()
    }
    fn find_available(&self, _: &str, _: &dyn Fn(&VolumeFacts) -> bool) -> Option<Arc<VolumeFacts>> {
        self.no()
    }
    fn reserved_volumes(&self, _: &str, _: &str) -> Vec<Arc<VolumeFacts>> {
        self.no()
    }
    fn namespace(&self, _: &str) -> Option<Arc<NamespaceFacts>> {
        self.no()
    }
    fn node(&self, _: &str) -> Option<Arc<NodeFacts>> {
        self.no()
    }
    fn any_node(&self, _: &dyn Fn(&NodeFacts) -> bool) -> bool {
        self.no()
    }
    fn any_node_of_hosts(&self, _: &[&str], _: &dyn Fn(&NodeFacts) -> bool) -> bool {
        self.no()
    }
    fn owner(&self, _: &str, _: &str, _: &str) -> Option<Arc<OwnerFacts>> {
        self.no()
    }
    fn claim_to_come(&self, _: &str, _: &str) -> bool {
        self.no()
    }
    fn other_claim_of(&self, _: &str, _: &str, _: &str) -> Option<(String, String)> {
        self.no()
    }
    fn config(&self, _: ConfigKind, _: &str, _: &str) -> Option<Arc<ConfigFacts>> {
        self.no()
    }
}
