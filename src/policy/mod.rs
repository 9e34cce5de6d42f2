//! The StoragePolicy: one type for the file and the CRD, read with every fault at once, compiled to a [`PolicySet`].

mod baseline;
mod compile;
mod compiled_rule;
mod counts;
mod crd;
mod exception;
mod faults;
mod foreign;
mod interest;
mod load;
mod matches;
mod parts;
mod pointless;
mod schema;
mod set;
mod way_out;

pub use baseline::{BASELINE, embedded_baseline};
pub use compile::{CompiledPolicy, CompiledSelfService};
pub use compiled_rule::CompiledRule;
pub use counts::Counts;
pub use crd::{crd, schema_json};
pub use exception::CompiledException;
pub use foreign::{Converted, converted};
pub use interest::Interest;
pub(crate) use load::schema_faults;
pub use load::{for_another_engine, load};
pub use matches::{EXCLUDED_NAMESPACES, Holds};
pub use schema::{
    API_VERSION, Exception, KIND, Match, RuleEntry, SelfService, StoragePolicy, StoragePolicySpec, Users,
    schema,
};
pub use set::{PolicySet, SetFault};

#[cfg(test)]
mod tests;
