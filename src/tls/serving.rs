use super::shared::span;
use super::{Pair, PemPair, RENEWED_BEFORE, TlsFault, certificates};
use arc_swap::{ArcSwap, ArcSwapOption};
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Whether a certificate may take the place of the current one at that time (seconds since 1970).
type Admits = Box<dyn Fn(&Pair, &Pair, i64) -> bool + Send + Sync>;

/// Who says which certificates may be served.
struct Gate(Admits);

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}

/// The certificate that is served now. It can be replaced at any time; connections that are open keep theirs.
#[derive(Debug)]
pub struct Certificates {
    current: ArcSwap<Pair>,
    distrust: ArcSwapOption<String>,
    awaited: ArcSwapOption<String>,
    gate: ArcSwapOption<Gate>,
    /// When the last of the CAs that callers trust ceases to be valid; 0 while that is not known.
    ca_not_after: AtomicI64,
}

impl Certificates {
    /// Serves that one.
    pub fn new(pair: Pair) -> Self {
        Self {
            current: ArcSwap::from_pointee(pair),
            distrust: ArcSwapOption::empty(),
            awaited: ArcSwapOption::empty(),
            gate: ArcSwapOption::empty(),
            ca_not_after: AtomicI64::new(0),
        }
    }

    /// Asks before another certificate is served: the new one first, then the current one, and the time.
    pub fn set_gate(&self, admits: impl Fn(&Pair, &Pair, i64) -> bool + Send + Sync + 'static) {
        self.gate.store(Some(Arc::new(Gate(Box::new(admits)))));
    }

    /// Notes the CAs (PEM) that those who call trust.
    pub fn set_trusted(&self, bundle: &str) {
        let ends = certificates(bundle).iter().filter_map(|pem| span(pem)).map(|(_, end)| end).max();
        self.ca_not_after.store(ends.unwrap_or(0), Ordering::Relaxed);
    }

    /// When the last of the CAs that callers trust ceases to be valid, in seconds since 1970; 0 while that is not known.
    pub fn ca_not_after(&self) -> i64 {
        self.ca_not_after.load(Ordering::Relaxed)
    }

    /// What ends within 30 days and should have been renewed by now, as `the certificate ends on …`.
    pub fn ending(&self, now: i64) -> Option<String> {
        let ca = self.ca_not_after();
        let ends = [("the certificate", self.current.load().not_after), ("its CA", ca)];
        let (what, end) = ends.into_iter().find(|(_, end)| *end != 0 && *end - now < RENEWED_BEFORE)?;
        let when = jiff::Timestamp::from_second(end).map_or(String::new(), |at| at.to_string());
        Some(format!("{what} ends on {when}, and nobody has renewed it"))
    }

    /// Notes that what is served only stands in for the certificate that is still to come, and what that waits for; or that
    /// it has come.
    pub fn set_awaited(&self, why: Option<String>) {
        self.awaited.store(why.map(Arc::new));
    }

    /// What the certificate waits for, while another stands in for it.
    pub fn awaited(&self) -> Option<String> {
        self.awaited.load().as_deref().cloned()
    }

    /// Notes why those who call do not trust it, or that they do.
    pub fn set_distrust(&self, why: Option<String>) {
        self.distrust.store(why.map(Arc::new));
    }

    /// Why those who call do not trust it, as far as that is known.
    pub fn distrust(&self) -> Option<String> {
        self.distrust.load().as_deref().cloned()
    }

    /// The one that is served now.
    pub fn current(&self) -> Arc<Pair> {
        self.current.load_full()
    }

    /// Serves another from now on (seconds since 1970); false when it is the same.
    ///
    /// # Errors
    /// It cannot be used, is not valid although the current one is, or its CA is not registered yet: the current one stays.
    pub fn offer(&self, pem: PemPair, now: i64) -> Result<bool, TlsFault> {
        let current = self.current.load();
        if current.pem == pem {
            return Ok(false);
        }
        let pair = Pair::read(pem)?;
        if current.invalid_at(now).is_none()
            && let Some(why) = pair.invalid_at(now)
        {
            return Err(TlsFault::NotValid(why));
        }
        if self.gate.load().as_ref().is_some_and(|gate| !(gate.0)(&pair, &current, now)) {
            return Err(TlsFault::NotTrusted);
        }
        self.current.store(Arc::new(pair));
        Ok(true)
    }

    /// The TLS side of a listener that serves it: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.
    ///
    /// # Errors
    /// The TLS library refuses its own defaults.
    pub fn server_config(self: Arc<Self>) -> Result<Arc<ServerConfig>, TlsFault> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsFault::Setup)?
            .with_no_client_auth()
            .with_cert_resolver(self);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load().key.clone())
    }
}
