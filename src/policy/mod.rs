//! The StoragePolicy: one type for the file and the CRD, read with every fault at once, compiled to a [`PolicySet`].

mod compile;
mod crd;
mod load;
mod schema;
mod set;
mod subjects;

pub use compile::{CompiledException, CompiledPolicy, CompiledRule, CompiledSelfService};
pub(crate) use compile::{kind_faults, selector_faults};
pub use crd::{crd, schema_json};
pub(crate) use load::nearest;
pub use load::{PolicyFault, load};
pub use schema::{
    API_VERSION, Exception, KIND, Match, RuleEntry, SelfService, StoragePolicy, StoragePolicySpec, schema,
};
pub use set::{BASELINE, EXCLUDED_NAMESPACES, PolicySet, SetFault, embedded_baseline};
pub(crate) use subjects::fits;
pub use subjects::{Believe, Belongs, Subjects};

#[cfg(test)]
mod tests;
