//! What is registered, where somebody else writes the webhook configurations.

use super::ClusterError;
use super::register::{NAME, reason};
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use kube::api::Api;

/// How the API server calls volgate for one webhook: by a Service, since where the TLS of a URL ends is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// `MutatingWebhookConfiguration` or `ValidatingWebhookConfiguration`.
    pub kind: &'static str,
    /// The webhook's name.
    pub webhook: String,
    /// The name that the certificate must be for.
    pub host: String,
    /// The certificates that it trusts (PEM). Empty: those of the API server's own system.
    pub ca_bundle: Vec<u8>,
}

impl Caller {
    fn of(kind: &'static str, webhook: String, config: WebhookClientConfig) -> Option<Self> {
        let service = config.service?;
        let host = format!("{}.{}.svc", service.name, service.namespace);
        Some(Self { kind, webhook, host, ca_bundle: config.ca_bundle.unwrap_or_default().0 })
    }
}

/// Reads both configurations; one that is not there has no callers.
///
/// # Errors
/// One of them may not be read, or the API server cannot be reached.
pub async fn registered(client: &kube::Client) -> Result<Vec<Caller>, ClusterError> {
    let fault = |kind: &'static str| {
        move |error: kube::Error| ClusterError::Registered { kind, reason: reason(&error) }
    };
    let kind = "ValidatingWebhookConfiguration";
    let validating = Api::<ValidatingWebhookConfiguration>::all(client.clone());
    let validating = validating.get_opt(NAME).await.map_err(fault(kind))?;
    let hooks = validating.and_then(|found| found.webhooks).unwrap_or_default();
    let mut callers: Vec<Caller> =
        hooks.into_iter().filter_map(|hook| Caller::of(kind, hook.name, hook.client_config)).collect();
    let kind = "MutatingWebhookConfiguration";
    let mutating = Api::<MutatingWebhookConfiguration>::all(client.clone());
    let mutating = mutating.get_opt(NAME).await.map_err(fault(kind))?;
    let hooks = mutating.and_then(|found| found.webhooks).unwrap_or_default();
    callers.extend(hooks.into_iter().filter_map(|hook| Caller::of(kind, hook.name, hook.client_config)));
    Ok(callers)
}
