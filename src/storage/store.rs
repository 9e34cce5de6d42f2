//! What becomes of the data that a custom resource places.

use super::cover::claim_fate;
use crate::facts::{ClaimSpec, Lies, Store};
use crate::lookup::Lookup;
use crate::model::{Durability, Fate, Reach};

/// What becomes of its data; nothing where there are none, and nothing certain where it is not known.
pub fn store_fate(store: &Store<'_>, lookup: &dyn Lookup) -> Option<Fate> {
    let certain = |durability| Some(Fate::certain(durability, Reach::SomeNodes));
    match store.lies {
        Lies::Claim => {
            // Of several claims the one that goes first decides. Without any the operator asks for what it likes.
            let unknown = ClaimSpec { class: crate::facts::ClassName::Empty, ..ClaimSpec::default() };
            let asked = store.claims.iter().map(|claim| claim_fate(&claim.spec, lookup));
            asked.min_by_key(|fate| (fate.most, fate.least)).or_else(|| Some(claim_fate(&unknown, lookup)))
        }
        Lies::EmptyDir => certain(Durability::Pod),
        Lies::Memory => certain(Durability::Memory),
        Lies::HostPath => certain(Durability::Node),
        Lies::WritableLayer => certain(Durability::Container),
        Lies::Unknown => {
            Some(Fate { least: Durability::Container, most: Durability::Volume, reach: Reach::Unknown })
        }
        Lies::Nowhere => None,
    }
}
