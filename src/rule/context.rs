//! What a rule is told.

use super::{Review, Subjects};
use crate::catalog::Catalog;
use crate::cel;
use crate::facts::{Facts, Workload};
use crate::lookup::Lookup;
use crate::storage::{Data, Keeper, Product, Storage, TiedClaims, data_paths, products, tied_claims};
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
    products: OnceCell<Vec<Product<'a>>>,
    data: OnceCell<Option<Data<'a, 'a>>>,
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
        let (tied_claims, products, data) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        let cel = cel::Shared::default();
        Self { review, facts, subjects, lookup, catalog, cel, tied_claims, products, data }
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
    pub fn products(&self) -> &[Product<'a>] {
        self.products.get_or_init(|| match self.facts.workload() {
            Some(workload) => products(workload, self.facts.namespace(), self.lookup, self.catalog),
            None => Vec::new(),
        })
    }

    /// Which paths of the workload hold data, for rules that have no word of their own in it; none when the object is no
    /// workload, or a step of a run, which keeps nothing for itself.
    pub fn data(&self) -> Option<&Data<'a, 'a>> {
        let of = |(workload, storage)| {
            let (catalog, products) = (self.catalog, self.products());
            let set_or_job = self.subjects.is_set_or_job();
            data_paths(&Keeper { workload, storage, catalog, products, set_or_job }, &[], [])
        };
        self.data.get_or_init(|| self.storage().filter(|(workload, _)| !workload.is_step).map(of)).as_ref()
    }

    /// The same without `scratch` paths and with those that a policy has `named`.
    pub fn data_with<'q>(
        &'q self,
        scratch: &[String],
        named: impl IntoIterator<Item = &'q str>,
    ) -> Option<Data<'q, 'a>> {
        let (workload, storage) = self.storage()?;
        if workload.is_step {
            return None;
        }
        let (catalog, products) = (self.catalog, self.products());
        let set_or_job = self.subjects.is_set_or_job();
        Some(data_paths(&Keeper { workload, storage, catalog, products, set_or_job }, scratch, named))
    }

    /// The workload and what its paths lie on, when the object is one.
    pub fn storage(&self) -> Option<(&'a Workload<'a>, Storage<'a, 'a>)> {
        let workload = self.facts.workload()?;
        Some((workload, Storage::new(workload, self.facts.namespace(), self.lookup)))
    }
}
