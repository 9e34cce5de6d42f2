//! What becomes of the data that a custom resource places.

use super::cover::claim_fate;
use crate::facts::{ClaimSpec, Lies, Store};
use crate::lookup::Lookup;
use crate::model::{Durability, Fate, Reach};
use std::borrow::Cow;

/// A store with what the templates say that the object names: the first one with a place for data decides. Of one that is not
/// known that is not known either.
pub fn with_templates<'s, 't>(
    store: &'s Store<'t>,
    namespace: &str,
    lookup: &dyn Lookup,
) -> Cow<'s, Store<'t>> {
    let mut unknown = None;
    for named in &store.templates {
        let space = named.namespace.as_deref().unwrap_or(namespace);
        match lookup.template(named.kind, space, &named.name) {
            Some(template) if template.lies == Lies::Nowhere => {}
            Some(template) if template.lies != Lies::Unknown => {
                return Cow::Owned(Store {
                    lies: template.lies,
                    field: named.field.clone(),
                    why: format!("as the {} `{}` says", named.kind, named.name),
                    claims: template.claims.clone(),
                    ..store.clone()
                });
            }
            _ => unknown = unknown.or(Some(named)),
        }
    }
    let Some(named) = unknown else { return Cow::Borrowed(store) };
    Cow::Owned(Store {
        lies: Lies::Unknown,
        field: named.field.clone(),
        why: format!("as what the {} `{}` says is not known", named.kind, named.name),
        ..store.clone()
    })
}

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
