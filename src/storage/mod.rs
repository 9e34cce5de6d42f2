//! What follows from several objects: which paths hold data, what keeps them, where the pod can run.

mod claim_site;
mod cover;
mod data_paths;
mod placement;

pub use claim_site::{ClaimSite, ClaimSiteKind};
pub use cover::{Cover, Place, Storage, WritablePath, volume_fate};
pub use data_paths::{
    Data, DataPath, Doubts, UnplacedData, Why, has_durable, has_lasting, products, view, writable_mounts,
};
pub use placement::{MOST_CANDIDATES, TiedClaim, TiedClaims, tied_claims};
