use super::{Pair, PemPair, TlsFault};
use arc_swap::{ArcSwap, ArcSwapOption};
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::sync::Arc;

/// The certificate that is served now. It can be replaced at any time; connections that are open keep theirs.
#[derive(Debug)]
pub struct Certificates {
    current: ArcSwap<Pair>,
    distrust: ArcSwapOption<String>,
}

impl Certificates {
    /// Serves that one.
    pub fn new(pair: Pair) -> Self {
        Self { current: ArcSwap::from_pointee(pair), distrust: ArcSwapOption::empty() }
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
    /// It cannot be used, or is not valid although the current one is: the current one stays.
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
