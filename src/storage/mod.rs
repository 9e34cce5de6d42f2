//! What follows from several objects: which paths hold data, what keeps them, where the pod can run.

mod claim_site;
mod configured;
mod cover;
mod data_paths;
mod placement;
mod store;

pub use claim_site::{ClaimSite, ClaimSiteKind};
pub use configured::{configuration, view};
pub use cover::{Cover, Place, Storage, WritablePath, claim_fate, volume_fate};
pub use data_paths::{
    Data, DataPath, Doubts, UnplacedData, Why, has_durable, has_lasting, is_named_data, lasting_mount,
    products, writable_mounts,
};
pub use placement::{
    MOST_CANDIDATES, TiedClaim, TiedClaims, could_be_of, names, reserved_volume, tied_claims,
};
pub use store::store_fate;
