//! What a registration is made from on the command line, of whoever writes it.

use crate::cluster::{Endpoint, FailurePolicy, NamespacedName, Registration, host};
use anyhow::{Context, Result, bail};
use std::path::Path;

/// The port of the Service by which the API server reaches the webhook.
const SERVICE_PORT: u16 = 443;

/// How the API server reaches the webhook, and for what.
#[derive(Debug, clap::Args)]
pub(super) struct RegistrationArgs {
    /// The Service by which the API server reaches the webhook
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = namespaced_name)]
    service: Option<NamespacedName>,
    /// The URL of the webhook, if it runs outside of the cluster
    #[arg(long, value_name = "URL", conflicts_with = "service", value_parser = url)]
    url: Option<String>,
    /// The webhooks' failurePolicy: what happens to a request when volgate does not answer
    #[arg(long, value_enum, default_value_t)]
    failure_policy: OnFailure,
    /// How long the API server waits for a review, in seconds. volgate's own limit is a fifth shorter, so that its answer
    /// arrives
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=30))]
    timeout: u8,
    /// A further namespace whose objects are never sent to volgate
    #[arg(long, value_name = "NAME")]
    exclude_namespace: Vec<String>,
    /// A service account whose objects go through when volgate does not answer: an operator that lives in the namespace of its
    /// objects, or makes them without an owner
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = namespaced_name)]
    operator: Vec<NamespacedName>,
    /// Write an Event on the Deployment, StatefulSet or other owner of a pod that is refused, at most 30 a minute and never in a dry
    /// run. Needs the right to create and patch Events; the webhooks are then declared with sideEffects NoneOnDryRun
    #[arg(long)]
    events: bool,
    /// The cert-manager Certificate whose CA its injector writes into the webhook configurations
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = namespaced_name)]
    inject_ca_from: Option<NamespacedName>,
}

#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum OnFailure {
    /// The API server refuses it
    #[default]
    Fail,
    /// The API server admits it unchecked
    Ignore,
}

impl RegistrationArgs {
    /// How long the API server waits, in seconds.
    pub(super) fn timeout(&self) -> u8 {
        self.timeout
    }

    /// Whether Events are written.
    pub(super) fn events(&self) -> bool {
        self.events
    }

    /// The names by which the webhook is called.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        if let Some(NamespacedName { namespace, name }) = &self.service {
            names.push(format!("{name}.{namespace}.svc"));
            names.push(format!("{name}.{namespace}.svc.cluster.local"));
        }
        names.extend(self.url.as_deref().and_then(host).map(str::to_owned));
        names
    }

    /// The namespace of the Service.
    pub(super) fn namespace(&self) -> Option<&str> {
        self.service.as_ref().map(|service| service.namespace.as_str())
    }

    /// The registration, with these CAs (PEM).
    pub(super) fn registration(&self, ca_bundle: Vec<u8>) -> Result<Registration> {
        let endpoint = match (&self.service, &self.url) {
            (Some(NamespacedName { namespace, name }), _) => {
                Endpoint::Service { namespace: namespace.clone(), name: name.clone(), port: SERVICE_PORT }
            }
            (None, Some(url)) => Endpoint::Url(url.clone()),
            (None, None) => bail!(
                "failed to register: the API server must know the way: give --service NAMESPACE/NAME, or --url for a \
                 webhook outside of the cluster"
            ),
        };
        let failure_policy = match self.failure_policy {
            OnFailure::Fail => FailurePolicy::Fail,
            OnFailure::Ignore => FailurePolicy::Ignore,
        };
        let own = self.namespace().map(str::to_owned);
        Ok(Registration {
            failure_policy,
            timeout_seconds: self.timeout,
            excluded_namespaces: own.into_iter().chain(self.exclude_namespace.iter().cloned()).collect(),
            operators: self.operator.clone(),
            events: self.events,
            inject_ca_from: self.inject_ca_from.clone(),
            ..Registration::new(endpoint, ca_bundle)
        })
    }
}

/// The CA certificates of a file, PEM.
pub(super) fn read_ca(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
    // It becomes public: the webhook configurations are for everybody to read.
    if text.contains("PRIVATE KEY-----") {
        bail!(
            "failed to use {} as the CA: there is a private key in it, and what it holds is written into the webhook \
             configurations, for everybody to read: give the certificate alone",
            path.display()
        );
    }
    if !text.contains("-----BEGIN CERTIFICATE-----") {
        bail!("failed to use {} as the CA: there is no certificate (PEM) in it", path.display());
    }
    Ok(text)
}

fn namespaced_name(text: &str) -> Result<NamespacedName, String> {
    let plain = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
    };
    match text.split_once('/') {
        Some((namespace, name)) if plain(namespace) && plain(name) => {
            Ok(NamespacedName { namespace: namespace.to_owned(), name: name.to_owned() })
        }
        _ => Err("must be a namespace and a name, such as volgate-system/volgate".to_owned()),
    }
}

fn url(text: &str) -> Result<String, String> {
    match host(text) {
        Some(_) => Ok(text.trim_end_matches('/').to_owned()),
        None => Err("must be an https URL, such as https://192.0.2.1:8443".to_owned()),
    }
}
