//! The webhook's certificate: where it comes from, what is served now, and how it changes under running connections.
//!
//! In a cluster one CA and one certificate are shared by all replicas ([`SharedPair`]).
//!
//! With files, kubelet's rename of `..data` is seen by comparing content every few seconds: a watch on the file itself
//! fires once at most. A pair that cannot be used never replaces one that can.

mod issue;
mod pair;
mod serving;
mod shared;
mod source;
mod trust;

pub use issue::{Authority, CA_DAYS, SERVER_DAYS};
pub use pair::{Pair, PemPair};
pub use serving::Certificates;
pub use shared::{RENEWED_BEFORE, Settled, SharedChange, SharedPair, certificates, span};
pub use source::{CertificateSource, Follower, Step};
pub use trust::distrust;

use std::path::PathBuf;

/// Why a certificate cannot be had or used.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    /// A file cannot be read.
    #[error("failed to read {}: {error}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Certificate and key cannot be used, or not together.
    #[error("failed to use the certificate and its key: {0}")]
    Pair(String),
    /// It is not valid today, and the one that is served is.
    #[error("failed to take the new certificate, since the one that is served is valid: it {0}")]
    NotValid(String),
    /// It is not trusted by those who call, and the one that is served is.
    #[error(
        "failed to take the new certificate yet: its CA is not registered, or only just; the one that is served is"
    )]
    NotTrusted,
    /// None could be made.
    #[error("failed to issue a certificate: {0}")]
    Issue(String),
    /// The clock is wrong for certain.
    #[error(
        "failed to make a certificate: the clock of this node shows {0}, when this version was not written yet; set it, and \
         volgate goes on"
    )]
    Clock(String),
    /// TLS cannot be set up.
    #[error("failed to set up TLS: {0}")]
    Setup(rustls::Error),
}

#[cfg(test)]
mod tests;
