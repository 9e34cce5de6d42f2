//! What is registered, and whether the API server trusts what is served.

use super::calls::{Calls, Fault};
use super::register::{LAST_NAME, NAME};
use super::watched::{MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS, Watched};
use crate::tls::{Pair, distrust};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// Both configurations as they are stored; none where there is none.
#[derive(Debug, Default)]
pub(super) struct Registered {
    /// The one named [`LAST_NAME`]; where there is none that named [`NAME`].
    pub(super) mutating: Option<Value>,
    pub(super) validating: Option<Value>,
    /// Whether there is a mutating one named [`NAME`]: versions before 0.2 wrote it, and static installations do.
    pub(super) earlier: bool,
}

impl Registered {
    /// Reads both.
    pub(super) async fn read(calls: &Calls) -> Result<Self, String> {
        let get = async |of: Watched, name: &str| match calls.get(of, None, name).await {
            Ok(found) => Ok(Some(found)),
            Err(Fault::Missing) => Ok(None),
            Err(Fault::Other(why)) => Err(why),
            Err(fault) => Err(format!("failed to read the {} {name}: {fault:?}", of.kind)),
        };
        let validating = get(VALIDATING_WEBHOOKS, NAME).await?;
        let last = get(MUTATING_WEBHOOKS, LAST_NAME).await?;
        let earlier = get(MUTATING_WEBHOOKS, NAME).await?;
        Ok(Self { validating, earlier: earlier.is_some(), mutating: last.or(earlier) })
    }

    /// Whether the mutating one that is meant is one of an earlier version.
    pub(super) fn is_earlier(&self) -> bool {
        let name = self.mutating.as_ref().and_then(|found| found.pointer("/metadata/name"));
        name.is_some_and(|name| name == NAME)
    }

    /// Whether neither is there.
    pub(super) fn is_gone(&self) -> bool {
        self.mutating.is_none() && self.validating.is_none()
    }

    /// How the API server calls volgate. What is called by a URL counts when its `host` is known, as where the TLS of a URL
    /// ends is not known otherwise.
    pub(super) fn callers(&self, host: Option<&str>) -> Vec<Caller> {
        let of = |kind: &'static str, configuration: &Option<Value>| -> Vec<Caller> {
            let hooks =
                configuration.as_ref().and_then(|found| found.get("webhooks")).and_then(Value::as_array);
            let name = configuration.as_ref().and_then(|found| found.pointer("/metadata/name")?.as_str());
            let name = name.unwrap_or(NAME);
            hooks.into_iter().flatten().filter_map(|hook| Caller::of((kind, name), hook, host)).collect()
        };
        let mut callers = of(VALIDATING_WEBHOOKS.kind, &self.validating);
        callers.extend(of(MUTATING_WEBHOOKS.kind, &self.mutating));
        callers
    }
}

/// How the API server calls volgate for one webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    /// `MutatingWebhookConfiguration` or `ValidatingWebhookConfiguration`.
    pub(super) kind: &'static str,
    /// The configuration's name.
    pub(super) name: String,
    /// The webhook's name.
    pub(super) webhook: String,
    /// The name that the certificate must be for.
    pub(super) host: String,
    /// The certificates that it trusts (PEM). Empty: those of the API server's own system.
    pub(super) ca_bundle: Vec<u8>,
}

impl Caller {
    fn of((kind, own): (&'static str, &str), hook: &Value, known: Option<&str>) -> Option<Self> {
        let text = |at: &str| hook.pointer(at).and_then(Value::as_str);
        let (name, namespace) = (text("/clientConfig/service/name"), text("/clientConfig/service/namespace"));
        let service = name.zip(namespace).map(|(name, namespace)| format!("{name}.{namespace}.svc"));
        let host = service.or_else(|| known.map(str::to_owned))?;
        let ca_bundle = STANDARD.decode(text("/clientConfig/caBundle").unwrap_or_default());
        let webhook = text("/name").unwrap_or_default().to_owned();
        Some(Self { kind, name: own.to_owned(), webhook, host, ca_bundle: ca_bundle.unwrap_or_default() })
    }

    /// Whether it trusts that CA (PEM).
    pub(super) fn trusts(&self, ca: &str) -> bool {
        String::from_utf8_lossy(&self.ca_bundle).contains(ca.trim())
    }
}

/// Whether the API server trusts the certificate that is served.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// It does.
    Holds,
    /// It does not, and why.
    Broken(String),
    /// That cannot be told, and why.
    Unknown(String),
}

impl Trust {
    /// Compares what is served at that time (seconds since 1970) with what is registered.
    pub(super) fn of(callers: &[Caller], served: &Pair, now: i64) -> Self {
        if callers.is_empty() {
            return Self::Unknown(format!("no webhook configuration {NAME} names a Service"));
        }
        if let Some(Caller { kind, name, webhook, .. }) =
            callers.iter().find(|caller| caller.ca_bundle.is_empty())
        {
            return Self::Unknown(format!(
                "webhook {webhook} in {kind} {name} has no caBundle, so that only the CAs of the API server's own system count"
            ));
        }
        let broken = callers.iter().find_map(|caller| {
            let why = distrust(served, &caller.ca_bundle, &caller.host, now)?;
            let Caller { kind, name, webhook, .. } = caller;
            Some(format!(
                "the API server does not trust the certificate: the caBundle of webhook {webhook} in {kind} {name} does not \
                 fit it: {why}"
            ))
        });
        broken.map_or(Self::Holds, Self::Broken)
    }

    /// Writes it to the log.
    pub(super) fn log(&self) {
        match self {
            Self::Holds => tracing::info!("the registered CA bundles fit the certificate that is served"),
            Self::Broken(why) => tracing::error!(
                error = %why,
                "the registered CA bundles do not fit the certificate that is served"
            ),
            Self::Unknown(why) => {
                tracing::warn!(
                    reason = %why,
                    "whether the registered CA bundles fit the certificate is not checked"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::Authority;

    #[test]
    fn whether_the_api_server_trusts_volgate_is_told_of_each_webhook() {
        let now = jiff::civil::date(2026, 11, 23);
        let (ours, other) = (Authority::new(now).unwrap(), Authority::new(now).unwrap());
        let host = "volgate.volgate-system.svc".to_owned();
        let served = Pair::read(ours.issue(std::slice::from_ref(&host), now).unwrap()).unwrap();
        let caller = |webhook: &str, bundle: &str| Caller {
            kind: "ValidatingWebhookConfiguration",
            name: NAME.to_owned(),
            webhook: webhook.to_owned(),
            host: host.clone(),
            ca_bundle: bundle.as_bytes().to_vec(),
        };
        let told = |callers: &[Caller]| Trust::of(callers, &served, 1_795_392_000);
        assert_eq!(
            told(&[caller("a", &ours.pem()), caller("b", &(other.pem() + &ours.pem()))]),
            Trust::Holds
        );
        let broken = told(&[caller("a", &ours.pem()), caller("b", &other.pem())]);
        assert!(
            matches!(&broken, Trust::Broken(why) if why.contains("the caBundle of webhook b in ValidatingWebhookConfiguration volgate")),
            "{broken:?}"
        );
        // Not known is no reason to stop serving.
        for callers in [vec![], vec![caller("a", &other.pem()), caller("b", "")]] {
            assert!(matches!(told(&callers), Trust::Unknown(_)), "{callers:?}");
        }
    }
}
