//! Custom resources of known operators: what a table says of their fields, read from one object. The table is data of the
//! catalog; what it cannot say stays not known.

mod parts;
mod path;
mod read;
mod store;
mod table;

pub use path::Path;
pub use read::CustomFacts;
pub use store::{CustomClaim, NamedTemplate, Store, TemplateFacts, Unchanged};
pub use table::{
    Case, ClaimAt, ClaimForm, CustomKind, FieldIs, Kinds, Lies, PodParts, PodsAs, PodsAt, StoreAt,
    TemplatesAt,
};
