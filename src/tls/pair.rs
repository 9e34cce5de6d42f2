use super::TlsFault;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::sync::Arc;

/// A certificate chain and its key, PEM, as it came.
#[derive(Clone, PartialEq, Eq)]
pub struct PemPair {
    /// The server's certificate first, then those that lead to the authority.
    pub certificate: Vec<u8>,
    /// The private key.
    pub key: Vec<u8>,
}

impl fmt::Debug for PemPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PemPair") // the key is in here
    }
}

/// A certificate that can be served.
#[derive(Debug)]
pub struct Pair {
    pub(super) pem: PemPair,
    pub(super) key: Arc<CertifiedKey>,
    /// When it begins to be valid, in seconds since 1970 (UTC).
    pub not_before: i64,
    /// When it ceases to be valid, in seconds since 1970 (UTC).
    pub not_after: i64,
}

impl Pair {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// One of them cannot be read, or they do not belong together, as when one of two files is not written yet.
    pub fn read(pem: PemPair) -> Result<Self, TlsFault> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem.certificate)
            .collect::<Result<_, _>>()
            .map_err(|error| TlsFault::Pair(format!("the certificate is no PEM: {error}")))?;
        let Some(first) = chain.first() else {
            return Err(TlsFault::Pair("there is no certificate in the certificate's PEM".to_owned()));
        };
        let (_, parsed) = x509_parser::parse_x509_certificate(first)
            .map_err(|error| TlsFault::Pair(format!("the certificate is no X.509: {error}")))?;
        let validity = parsed.validity();
        let (not_before, not_after) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        let key = PrivateKeyDer::from_pem_slice(&pem.key)
            .map_err(|error| TlsFault::Pair(format!("the key is no PEM: {error}")))?;
        let key = CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider()).map_err(
            |error| match error {
                rustls::Error::InconsistentKeys(_) => {
                    TlsFault::Pair("the key is another certificate's".to_owned())
                }
                error => TlsFault::Pair(error.to_string()),
            },
        )?;
        Ok(Self { pem, key: Arc::new(key), not_before, not_after })
    }

    /// Why it is not valid at that time (seconds since 1970), as `expired on …`.
    pub fn invalid_at(&self, now: i64) -> Option<String> {
        let when = |seconds| jiff::Timestamp::from_second(seconds).map_or(String::new(), |at| at.to_string());
        if now < self.not_before {
            Some(format!("is not valid before {}", when(self.not_before)))
        } else if now >= self.not_after {
            Some(format!("expired on {}", when(self.not_after)))
        } else {
            None
        }
    }
}
