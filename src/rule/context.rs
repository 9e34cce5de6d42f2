//! What a rule is told.

use super::{Review, Subjects};
use crate::catalog::{Catalog, Statefulness};
use crate::cel;
use crate::facts::{Facts, Workload};
use crate::lookup::Lookup;
use crate::storage::{Storage, TiedClaims, products, tied_claims};
use std::cell::OnceCell;

/// What the rules are told.
pub struct Context<'a> {
    /// The review.
    pub review: &'a Review<'a>,
    /// The object's facts.
    pub facts: &'a Facts<'a>,
    /// What selectors see of it.
    pub subjects: &'a Subjects<'a>,
    /// Other objects.
    pub lookup: &'a dyn Lookup,
    /// The catalog.
    pub catalog: &'a Catalog,
    /// What the `cel` rules share.
    pub(crate) cel: cel::Shared,
    tied_claims: OnceCell<TiedClaims<'a, 'a>>,
    products: OnceCell<Vec<Statefulness<'a>>>,
}

impl<'a> Context<'a> {
    /// What the rules are told of a review; what follows from several objects is looked up when a rule asks for it.
    pub fn new(
        review: &'a Review<'a>,
        facts: &'a Facts<'a>,
        subjects: &'a Subjects<'a>,
        lookup: &'a dyn Lookup,
        catalog: &'a Catalog,
    ) -> Self {
        let (tied_claims, products) = (OnceCell::new(), OnceCell::new());
        Self { review, facts, subjects, lookup, catalog, cel: cel::Shared::default(), tied_claims, products }
    }

    /// The same with another catalog. The `cel` rules go on with the steps that are left.
    pub fn with_catalog(&self, catalog: &'a Catalog) -> Self {
        let other = Self::new(self.review, self.facts, self.subjects, self.lookup, catalog);
        Self { cel: cel::Shared::with(self.cel.budget()), ..other }
    }

    /// The claims of the workload's pods that only some nodes can use; none when the object is no workload.
    pub fn tied_claims(&self) -> &TiedClaims<'a, 'a> {
        self.tied_claims.get_or_init(|| match self.facts.workload() {
            Some(workload) => tied_claims(workload, self.facts.namespace(), self.lookup),
            None => TiedClaims::default(),
        })
    }

    /// What the catalog says of each container, in their order; nothing when the object is no workload.
    pub fn products(&self) -> &[Statefulness<'a>] {
        self.products.get_or_init(|| match self.facts.workload() {
            Some(workload) => products(workload, self.facts.namespace(), self.lookup, self.catalog),
            None => Vec::new(),
        })
    }

    /// The workload and what its paths lie on, when the object is one.
    pub fn storage(&self) -> Option<(&'a Workload<'a>, Storage<'a, 'a>)> {
        let workload = self.facts.workload()?;
        Some((workload, Storage::new(workload, self.facts.namespace(), self.lookup)))
    }
}
