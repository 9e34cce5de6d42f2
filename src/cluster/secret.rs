//! The Secret with the CA and the certificate that all replicas share. Every replica reads it, and makes it where there is
//! none; only the one that leads changes it.

use super::ClusterError;
use super::calls::{Calls, Fault};
use super::watched::SECRETS;
use crate::daemon::LogOnChange;
use crate::model::lock;
use crate::server::Clock;
use crate::tls::{Certificates, Settled, SharedChange, SharedPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::api::{Patch, PatchParams};
use serde_json::{Map, Value, json};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// The Secret's name, unless another is given.
pub const SECRET: &str = "volgate-tls";
/// How often the Secret is read.
const LOOK: Duration = Duration::from_secs(5);
/// The same while there is no certificate to serve.
const SOON: Duration = Duration::from_secs(1);
/// How long a certificate is stored until every replica serves it, one that restarts just then included.
const EVERYWHERE: Duration = Duration::from_secs(600);
/// cert-manager writes this into Secrets that it keeps up.
const CERT_MANAGER: &str = "cert-manager.io/certificate-name";

/// Which Secret, and what for.
#[derive(Debug, Clone)]
pub struct SecretSettings {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The DNS names and IP addresses of the certificate.
    pub dns_names: Vec<String>,
}

/// The CAs (PEM) of the Secret, for whoever registers them by hand.
///
/// # Errors
/// The Secret cannot be read, or has none.
pub async fn shared_ca(client: kube::Client, settings: &SecretSettings) -> Result<String, ClusterError> {
    let SecretSettings { namespace, name, .. } = settings;
    let fault = |why: String| ClusterError::Secret { namespace: namespace.clone(), name: name.clone(), why };
    let found = Calls::new(client).get(SECRETS, Some(namespace), name).await;
    let found = found.map_err(|found| {
        fault(match found {
            Fault::Missing => "there is none".to_owned(),
            Fault::Other(why) | Fault::Invalid(why) => why,
            found => format!("{found:?}"),
        })
    })?;
    let bundle = shared_pair(&found).bundle;
    if bundle.is_empty() { Err(fault("there is no ca.crt in it".to_owned())) } else { Ok(bundle) }
}

pub(super) struct SharedSecret {
    calls: Calls,
    settings: SecretSettings,
    /// The name in which it is made: that of no other replica, so that of two who make it one gets it.
    manager: String,
    certificates: Arc<Certificates>,
    clock: Clock,
    seen: Mutex<Option<Seen>>,
}

/// The Secret as it was last seen.
struct Seen {
    object: Value,
    pair: SharedPair,
    /// Since when the certificate in it is stored, as far as this process knows.
    since: Instant,
}

impl SharedSecret {
    /// `identity` is this process's own. What the certificates serve until there is one from the Secret only stands in.
    pub(super) fn new(
        calls: Calls,
        settings: SecretSettings,
        identity: &str,
        certificates: Arc<Certificates>,
        clock: Clock,
    ) -> Self {
        let SecretSettings { namespace, name, .. } = &settings;
        certificates.set_awaited(Some(format!("Secret {namespace}/{name} is being read")));
        let manager: String = format!("volgate-{identity}").chars().take(128).collect();
        Self { calls, settings, manager, certificates, clock, seen: Mutex::default() }
    }

    /// Serves what the Secret holds, now and as it changes. It never ends.
    pub(super) async fn follow(&self) {
        let mut log = LogOnChange::default();
        loop {
            match self.look().await {
                Ok(()) => log.clear(),
                Err(why) => {
                    if self.certificates.awaited().is_some() {
                        self.certificates.set_awaited(Some(why.clone()));
                    }
                    if log.is_new(&why) {
                        tracing::warn!(error = %why, "failed to serve the certificate of the Secret; trying again");
                    }
                }
            }
            tokio::time::sleep(if self.certificates.awaited().is_some() { SOON } else { LOOK }).await;
        }
    }

    async fn look(&self) -> Result<(), String> {
        let SecretSettings { namespace, name, .. } = &self.settings;
        let found = match self.calls.get(SECRETS, Some(namespace), name).await {
            Err(Fault::Missing) => self.make().await?,
            found => found.map_err(|fault| self.reason("read", fault))?,
        };
        self.take(found)
    }

    /// Makes the Secret. What was in it is put back: its certificate is still served, and its CA is registered.
    async fn make(&self) -> Result<Value, String> {
        let SecretSettings { namespace, name, dns_names } = &self.settings;
        let before = self.seen().as_ref().map(|seen| seen.pair.clone());
        let pair = match before {
            Some(pair) => pair,
            None => {
                self.clock.doubt().map_or(Ok(()), Err)?;
                SharedPair::new(dns_names, self.clock.now()).map_err(|fault| fault.to_string())?
            }
        };
        let object = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/name": "volgate"}},
            "data": data(&pair),
        });
        // An apply may be allowed for this one name; a create may not.
        let params = PatchParams::apply(&self.manager);
        match self.calls.patch(SECRETS, Some(namespace), name, &Patch::Apply(&object), &params).await {
            Ok(made) => {
                tracing::info!(
                    namespace,
                    secret = name,
                    "made the Secret with the CA and the certificate of all replicas"
                );
                Ok(made)
            }
            // Another replica was quicker.
            Err(Fault::Stale | Fault::Exists) => {
                let found = self.calls.get(SECRETS, Some(namespace), name).await;
                found.map_err(|fault| self.reason("read", fault))
            }
            Err(fault) => Err(self.reason("make", fault)),
        }
    }

    /// Serves what was read.
    fn take(&self, object: Value) -> Result<(), String> {
        let pair = shared_pair(&object);
        {
            let mut seen = self.seen();
            let before = seen.as_ref().filter(|seen| seen.pair.certificate == pair.certificate);
            let since = before.map_or_else(Instant::now, |seen| seen.since);
            *seen = Some(Seen { object, pair: pair.clone(), since });
        }
        let SecretSettings { namespace, name, .. } = &self.settings;
        if pair.certificate.is_empty() && self.certificates.awaited().is_none() {
            // Somebody took it out, so that another is made.
            return Ok(());
        }
        let offered = self.certificates.offer(pair.pem(), self.clock.now());
        let taken = offered.map_err(|fault| format!("{fault} (Secret {namespace}/{name})"))?;
        self.certificates.set_awaited(None);
        if taken {
            tracing::info!("a new certificate is served");
        }
        Ok(())
    }

    /// The CAs (PEM) to register; none before the Secret was read.
    pub(super) fn bundle(&self) -> Option<String> {
        let seen = self.seen();
        seen.as_ref().map(|seen| seen.pair.bundle.clone()).filter(|bundle| !bundle.is_empty())
    }

    /// The CA (PEM) that signs.
    pub(super) fn signing(&self) -> Option<String> {
        let pair = self.seen().as_ref().map(|seen| seen.pair.clone())?;
        pair.signing()
    }

    /// Takes the next step of a renewal, where there is one: whether the Secret was written or has to be read again.
    pub(super) async fn advance(&self, mut settled: Settled) -> Result<bool, String> {
        let (mut object, pair) = {
            let seen = self.seen();
            let Some(Seen { object, pair, since }) = &*seen else { return Ok(false) };
            settled.served = since.elapsed() >= EVERYWHERE;
            (object.clone(), pair.clone())
        };
        let SecretSettings { namespace, name, dns_names } = &self.settings;
        if object.pointer("/metadata/annotations").is_some_and(|all| all.get(CERT_MANAGER).is_some()) {
            return Ok(false);
        }
        let next = pair.next(dns_names, self.clock.now(), settled).map_err(|fault| fault.to_string())?;
        let Some((next, change)) = next else { return Ok(false) };
        self.clock.doubt().map_or(Ok(()), Err)?;
        let Some(map) = object.as_object_mut() else { return Ok(false) };
        let stored = map.entry("data").or_insert_with(|| json!({}));
        if let (Some(stored), Value::Object(new)) = (stored.as_object_mut(), data(&next)) {
            stored.extend(new);
        }
        match self.calls.replace(SECRETS, Some(namespace), name, &object).await {
            Ok(stored) => {
                tracing::info!(namespace, secret = name, change = said(change), "renewed the Secret");
                self.take(stored)?;
            }
            // It is another by now.
            Err(Fault::Stale | Fault::Missing) => self.look().await?,
            Err(fault) => return Err(self.reason("update", fault)),
        }
        Ok(true)
    }

    fn reason(&self, what: &str, fault: Fault) -> String {
        match fault {
            Fault::Other(why) | Fault::Invalid(why) => why,
            fault => {
                let SecretSettings { namespace, name, .. } = &self.settings;
                format!("failed to {what} Secret {namespace}/{name}: {fault:?}")
            }
        }
    }

    fn seen(&self) -> MutexGuard<'_, Option<Seen>> {
        lock(&self.seen)
    }
}

fn said(change: SharedChange) -> &'static str {
    match change {
        SharedChange::Authority => "a new CA stands beside the old one",
        SharedChange::Certificate => "a new certificate",
        SharedChange::OldAuthorities => "the old CA is taken out",
    }
}

/// Under which key the Secret holds what.
const KEYS: [&str; 4] = ["ca.crt", "ca.key", "tls.crt", "tls.key"];

/// The Secret's `data`.
fn data(pair: &SharedPair) -> Value {
    let SharedPair { bundle, ca_key, certificate, key } = pair;
    let texts = KEYS.into_iter().zip([bundle, ca_key, certificate, key]);
    texts.map(|(key, text)| (key.to_owned(), json!(STANDARD.encode(text)))).collect::<Map<_, _>>().into()
}

fn shared_pair(secret: &Value) -> SharedPair {
    let [bundle, ca_key, certificate, key] = KEYS.map(|key| {
        let text = secret.get("data").and_then(|data| data.get(key)).and_then(Value::as_str);
        let bytes = text.and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
        String::from_utf8(bytes).unwrap_or_default()
    });
    SharedPair { bundle, ca_key, certificate, key }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read_again() {
        let pair = SharedPair::new(&["localhost".to_owned()], 1_795_392_000).unwrap();
        let secret = json!({"data": data(&pair)});
        assert_eq!(shared_pair(&secret), pair);
        assert_eq!(shared_pair(&json!({})), SharedPair::default());
        // As it was made by hand before volgate made its own.
        let by_hand = json!({"data": {"ca.crt": "QQ==", "tls.crt": "Qg==", "tls.key": "!"}});
        let wanted = SharedPair { bundle: "A".into(), certificate: "B".into(), ..SharedPair::default() };
        assert_eq!(shared_pair(&by_hand), wanted);
    }
}
