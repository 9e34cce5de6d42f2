//! Whether the API server trusts what is served, as every replica sees it.

use super::calls::Calls;
use super::registered::{Caller, Registered, Trust};
use crate::model::lock;
use crate::server::Clock;
use crate::tls::{Certificates, Pair, certificates, distrust};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How often what is registered is looked at.
pub(super) const LOOK: Duration = Duration::from_secs(10);
/// How often that is while the API server does not trust what is served.
pub(super) const AGAIN: Duration = Duration::from_secs(2);
/// How long a CA is registered until it signs what is served: an API server may learn of it late.
pub(super) const KNOWN_EVERYWHERE: Duration = Duration::from_secs(30);

/// What is registered, as this process last saw it.
pub struct RegistrationView {
    calls: Calls,
    /// The host of the URL by which volgate is called, if it is by one.
    host: Option<String>,
    pub(super) certificates: Arc<Certificates>,
    pub(super) clock: Clock,
    pub(super) seen: Arc<Mutex<Seen>>,
}

/// Who calls, and since when it is so.
pub(super) struct Seen {
    pub(super) callers: Vec<Caller>,
    pub(super) since: Instant,
    trust: Option<Trust>,
}

impl RegistrationView {
    /// Begins with nothing seen. From now on a certificate is served only once its CA is registered, as far as that is known.
    pub fn new(
        client: kube::Client,
        host: Option<String>,
        certificates: Arc<Certificates>,
        clock: Clock,
    ) -> Self {
        let seen = Seen { callers: Vec::new(), since: Instant::now(), trust: None };
        let seen = Arc::new(Mutex::new(seen));
        let shared = seen.clone();
        certificates.set_gate(move |new, current, now| lock(&shared).admits(new, current, now));
        Self { calls: Calls::new(client), host, certificates, clock, seen }
    }

    /// Where somebody else writes the configurations: looks now and then. It never ends.
    pub async fn watch(&self) {
        loop {
            if let Err(why) = self.look().await {
                self.note(Trust::Unknown(why));
            }
            tokio::time::sleep(if self.certificates.distrust().is_some() { AGAIN } else { LOOK }).await;
        }
    }

    /// Reads what is registered, and tells readiness whether it fits.
    pub(super) async fn look(&self) -> Result<Registered, String> {
        let found = Registered::read(&self.calls).await?;
        let callers = found.callers(self.host.as_deref());
        let bundles: Vec<&[u8]> = callers.iter().map(|caller| caller.ca_bundle.as_slice()).collect();
        self.certificates.set_trusted(&String::from_utf8_lossy(&bundles.concat()));
        let trust = Trust::of(&callers, &self.certificates.current(), self.clock.now());
        {
            let mut seen = lock(&self.seen);
            if seen.callers != callers {
                (seen.callers, seen.since) = (callers, Instant::now());
            }
        }
        // What only stands in for a certificate is trusted by nobody.
        if self.certificates.awaited().is_none() {
            self.note(trust);
        }
        Ok(found)
    }

    pub(super) fn note(&self, trust: Trust) {
        self.certificates.set_distrust(match &trust {
            Trust::Broken(why) => Some(why.clone()),
            Trust::Holds | Trust::Unknown(_) => None,
        });
        let mut seen = lock(&self.seen);
        if seen.trust.as_ref() != Some(&trust) {
            trust.log();
            seen.trust = Some(trust);
        }
    }
}

impl Seen {
    /// Whether a certificate may be served in place of the current one: a CA is registered before it serves.
    fn admits(&self, new: &Pair, current: &Pair, now: i64) -> bool {
        let of = |pair| Trust::of(&self.callers, pair, now);
        if self.callers.is_empty() || current.invalid_at(now).is_some() || of(current) != Trust::Holds {
            return true;
        }
        match of(new) {
            Trust::Broken(_) => false,
            Trust::Unknown(_) => true,
            // All API servers know by now, or have known for long as it is the CA of the current one.
            Trust::Holds => {
                self.since.elapsed() >= KNOWN_EVERYWHERE || self.same_authority(new, current, now)
            }
        }
    }

    fn same_authority(&self, new: &Pair, current: &Pair, now: i64) -> bool {
        self.callers.iter().all(|caller| {
            let bundle = certificates(&String::from_utf8_lossy(&caller.ca_bundle));
            bundle.iter().any(|ca| {
                [new, current].iter().all(|pair| distrust(pair, ca.as_bytes(), &caller.host, now).is_none())
            })
        })
    }
}
