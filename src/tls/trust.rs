use super::Pair;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, Error, RootCertStore};
use std::sync::Arc;

/// Why a client that trusts these certificates (PEM) refuses a chain when it calls by this name, at that time (seconds since
/// 1970); none when it takes the chain, or when only the client itself can tell. Validity is [`Pair::invalid_at`]'s.
pub fn distrust(pair: &Pair, bundle: &[u8], name: &str, now: i64) -> Option<String> {
    let trusted: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(bundle).filter_map(Result::ok).collect();
    if trusted.is_empty() {
        return Some("there is no certificate in it".to_owned());
    }
    let (first, rest) = pair.key.cert.split_first()?;
    let (name_of, now) = (ServerName::try_from(name).ok()?, u64::try_from(now).ok()?);
    let mut roots = RootCertStore::empty();
    let (_, unread) = roots.add_parsable_certificates(trusted.iter().cloned());
    // Go takes the server's own certificate as its authority, and reads more of them than rustls does.
    if unread > 0 || trusted.contains(first) {
        return None;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()?;
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now));
    match verifier.verify_server_cert(first, rest, &name_of, &[], now) {
        Err(Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)) => {
            Some("none of its certificates has signed the one that is served".to_owned())
        }
        Err(Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => Some(format!("the certificate that is served is not for {name}")),
        _ => None,
    }
}
