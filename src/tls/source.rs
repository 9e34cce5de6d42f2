use super::{Authority, Certificates, Pair, PemPair, SERVER_DAYS, TlsFault};
use crate::daemon::LogOnChange;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the certificate comes from.
#[derive(Debug)]
pub enum CertificateSource {
    /// Two files, which somebody else renews.
    Files {
        /// The certificate chain.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// An authority of this process, which renews it.
    Own {
        /// Who signs.
        authority: Box<Authority>,
        /// The DNS names and IP addresses.
        names: Vec<String>,
    },
}

impl CertificateSource {
    /// An authority of this process's own.
    ///
    /// # Errors
    /// No key or certificate could be made.
    pub fn own(names: Vec<String>, now: i64) -> Result<Self, TlsFault> {
        Ok(Self::Own { authority: Box::new(Authority::new(day(now))?), names })
    }

    /// The authority's certificate, PEM, where it is known.
    pub fn ca_bundle(&self) -> Option<String> {
        match self {
            Self::Own { authority, .. } => Some(authority.pem()),
            Self::Files { .. } => None,
        }
    }

    /// The fault with the files in it.
    fn named(&self, fault: TlsFault) -> TlsFault {
        let Self::Files { certificate, key } = self else { return fault };
        match fault {
            TlsFault::Pair(why) => {
                TlsFault::Pair(format!("{why} ({} and {})", certificate.display(), key.display()))
            }
            TlsFault::NotValid(why) => TlsFault::NotValid(format!("{why} ({})", certificate.display())),
            fault => fault,
        }
    }

    /// The certificate to serve at that time (seconds since 1970), in place of `current`.
    fn load(&self, current: Option<&Pair>, now: i64) -> Result<PemPair, TlsFault> {
        match self {
            Self::Files { certificate, key } => {
                Ok(PemPair { certificate: read(certificate)?, key: read(key)? })
            }
            Self::Own { authority, names } => {
                let third = SERVER_DAYS * 86_400 / 3;
                match current {
                    Some(pair) if pair.not_after - now > third => Ok(pair.pem.clone()),
                    _ => authority.issue(names, day(now)),
                }
            }
        }
    }
}

/// Keeps the served certificate the same as its source has it.
#[derive(Debug)]
pub struct Follower {
    source: CertificateSource,
    certificates: Arc<Certificates>,
    log: LogOnChange,
}

/// What one look at the source led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing is new.
    Same,
    /// Another certificate is served.
    Taken,
    /// The source has one that cannot be used; the old one is kept. The text says why.
    Kept {
        /// Why.
        fault: String,
        /// Whether the look before this one led to the same.
        known: bool,
    },
}

impl Follower {
    /// Takes the first certificate at that time (seconds since 1970).
    ///
    /// # Errors
    /// There is none that can be used. One that is not valid is served all the same, and readiness says so.
    pub fn start(source: CertificateSource, now: i64) -> Result<Self, TlsFault> {
        let pair = source.load(None, now).and_then(Pair::read).map_err(|fault| source.named(fault))?;
        Ok(Self { source, certificates: Arc::new(Certificates::new(pair)), log: LogOnChange::default() })
    }

    /// What is served.
    pub fn certificates(&self) -> Arc<Certificates> {
        self.certificates.clone()
    }

    /// Where it comes from.
    pub fn source(&self) -> &CertificateSource {
        &self.source
    }

    /// Looks at the source once, at that time (seconds since 1970).
    pub fn step(&mut self, now: i64) -> Step {
        let current = self.certificates.current();
        let offered = self.source.load(Some(&current), now);
        match offered.and_then(|pem| self.certificates.offer(pem, now)) {
            Ok(taken) => {
                self.log.clear();
                if taken { Step::Taken } else { Step::Same }
            }
            Err(fault) => {
                let fault = self.source.named(fault).to_string();
                let known = !self.log.is_new(&fault);
                Step::Kept { fault, known }
            }
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsFault> {
    std::fs::read(path).map_err(|error| TlsFault::Read { path: path.to_owned(), error })
}

/// The day (UTC) of a time in seconds since 1970.
pub(super) fn day(now: i64) -> Date {
    TimeZone::UTC.to_datetime(Timestamp::from_second(now).unwrap_or(Timestamp::MAX)).date()
}
