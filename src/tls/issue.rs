use super::{PemPair, TlsFault};
use jiff::civil::Date;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, date_time_ymd,
};
use std::fmt;

/// How long the authority is valid, in days: about ten years.
pub const CA_DAYS: i64 = 3_650;
/// How long a server certificate is valid, in days. It is renewed when a third of that is left.
pub const SERVER_DAYS: i64 = 365;

/// A certificate authority of volgate's own (ECDSA P-256).
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authority") // the key is in here
    }
}

impl Authority {
    /// A new authority, valid from the day before `today`, for clocks that differ.
    ///
    /// # Errors
    /// No key or certificate could be made.
    pub fn new(today: Date) -> Result<Self, TlsFault> {
        let mut params = params(Vec::new(), "volgate CA", today, CA_DAYS)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(fault)?;
        let pem = params.self_signed(&key).map_err(fault)?.pem();
        Ok(Self { pem, issuer: Issuer::new(params, key) })
    }

    /// The authority that this private key (PEM) belongs to, if its certificate (PEM) is among these.
    pub(super) fn among(certificates: &[String], key: &str) -> Option<Self> {
        let key = KeyPair::from_pem(key).ok()?;
        let public = key.subject_public_key_info();
        let own = |pem: &&String| {
            let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok()?;
            let certificate = pem.parse_x509().ok()?;
            (certificate.is_ca() && certificate.public_key().raw == public).then_some(())
        };
        let pem = certificates.iter().find(|pem| own(pem).is_some())?.clone();
        let issuer = Issuer::from_ca_cert_pem(&pem, key).ok()?;
        Some(Self { pem, issuer })
    }

    /// The authority's own certificate, PEM: a webhook configuration's `caBundle`.
    pub fn pem(&self) -> String {
        self.pem.clone()
    }

    /// The private key, PEM.
    pub(super) fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// A server certificate for those DNS names and IP addresses, valid from the day before `today` for
    /// [`SERVER_DAYS`], with a key of its own.
    ///
    /// # Errors
    /// A name cannot stand in a certificate, or no key or certificate could be made.
    pub fn issue(&self, names: &[String], today: Date) -> Result<PemPair, TlsFault> {
        let mut params = params(names.to_vec(), "volgate", today, SERVER_DAYS)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(fault)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(fault)?;
        Ok(PemPair { certificate: certificate.pem().into_bytes(), key: key.serialize_pem().into_bytes() })
    }
}

fn params(names: Vec<String>, name: &str, today: Date, days: i64) -> Result<CertificateParams, TlsFault> {
    let mut params = CertificateParams::new(names).map_err(fault)?;
    params.distinguished_name.push(DnType::CommonName, name);
    let from = today.saturating_sub(jiff::Span::new().days(1));
    let until = today.saturating_add(jiff::Span::new().days(days));
    let midnight =
        |day: Date| date_time_ymd(day.year().into(), day.month().unsigned_abs(), day.day().unsigned_abs());
    params.not_before = midnight(from);
    params.not_after = midnight(until);
    Ok(params)
}

fn fault(error: rcgen::Error) -> TlsFault {
    TlsFault::Issue(error.to_string())
}
