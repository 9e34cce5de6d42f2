//! What follows from several objects: which paths hold data, what keeps them, where the pod can run.

mod alike;
mod claim_site;
mod configured;
mod cover;
mod data_paths;
mod database_files;
mod ending;
mod fetched_program;
mod lasting;
mod mounted_file;
mod named_data;
mod placement;
mod product_paths;
mod products;
mod refilled;
mod store;

pub use claim_site::{ClaimSite, ClaimSiteKind};
pub use configured::{configuration, view};
pub use cover::{Cover, Place, Storage, WritablePath, claim_fate, volume_fate};
pub use data_paths::{Data, DataPath, Doubts, InMemory, Keeper, UnplacedData, Why, data_paths};
pub use lasting::{filled_in_later, has_durable, has_lasting, lasting_mount, lasting_mounts};
pub use named_data::{DATABASES, is_called_stateless, is_data_in_tmp, is_named_data};
pub use placement::{
    MOST_CANDIDATES, TiedClaim, TiedClaims, could_be_of, names, reserved_volume, tied_claims,
};
pub use products::{Product, products};
pub use refilled::refilled_volumes;
pub use store::{store_fate, with_templates};
