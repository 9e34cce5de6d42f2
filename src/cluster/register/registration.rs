//! What is asked for of the webhook configurations.

use super::{NAME, NAMESPACE_LABEL};
use crate::policy::{EXCLUDED_NAMESPACES, Interest};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{ServiceReference, WebhookClientConfig};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use std::collections::BTreeSet;

/// How the API server reaches volgate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// By a Service.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Its port.
        port: u16,
    },
    /// By a base URL such as `https://127.0.0.1:8443`, to which the path is added; for a volgate outside of the cluster.
    Url(String),
}

impl Endpoint {
    /// The name that the certificate must be for.
    pub fn host(&self) -> String {
        match self {
            Self::Service { namespace, name, .. } => format!("{name}.{namespace}.svc"),
            Self::Url(url) => host(url).unwrap_or_default().to_owned(),
        }
    }
}

/// The host of an https URL.
pub fn host(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://")?;
    let authority = rest.split('/').next()?;
    let host = match authority.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next()?,
        None => authority.split(':').next()?,
    };
    Some(host).filter(|host| !host.is_empty())
}

/// The name of a service account, a Service or the like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespacedName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// What becomes of a request when volgate does not answer in time, or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FailurePolicy {
    /// It is refused.
    #[default]
    Fail,
    /// It goes through.
    Ignore,
}

impl FailurePolicy {
    /// The name in Kubernetes' API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fail => "Fail",
            Self::Ignore => "Ignore",
        }
    }
}

/// A custom resource that is judged.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CustomResource {
    /// Its API group.
    pub group: String,
    /// The resource, such as `kafkas`.
    pub resource: String,
    /// The versions that are known.
    pub versions: Vec<String>,
}

/// What the configurations are made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// How the API server reaches volgate.
    pub endpoint: Endpoint,
    /// The certificates that volgate's is signed by, in PEM. Empty: the field is left out, for somebody else to fill.
    pub ca_bundle: Vec<u8>,
    /// For what people and tools do in namespaces; see [`super::configurations`] for the rest.
    pub failure_policy: FailurePolicy,
    /// How long the API server waits, in seconds: 1 to 30.
    pub timeout_seconds: u8,
    /// Namespaces that are left out besides [`EXCLUDED_NAMESPACES`], such as the one that volgate runs in when it is
    /// another than volgate-system.
    pub excluded_namespaces: Vec<String>,
    /// Service accounts whose objects go through when volgate is down, whatever owner they have and wherever they are.
    pub operators: Vec<NamespacedName>,
    /// The cert-manager Certificate whose CA the injector writes into the configurations; none when it does not.
    pub inject_ca_from: Option<NamespacedName>,
    /// Whether volgate writes an Event where it refuses what a controller makes: a side effect, which a dry run does not have.
    pub events: bool,
    /// The namespace in which volgate tries by a dry run whether the API server asks it; none when it does not.
    pub probe: Option<String>,
    /// The custom resources whose CRDs are installed.
    pub custom_resources: Vec<CustomResource>,
    /// What is sent: what the policies in force may have a say about.
    pub interest: Interest,
    /// The name of the mutating configuration.
    pub mutating_name: &'static str,
}

impl Registration {
    /// With the defaults: `Fail`, 5 seconds, no further namespaces, and everything is sent.
    pub fn new(endpoint: Endpoint, ca_bundle: Vec<u8>) -> Self {
        Self {
            endpoint,
            ca_bundle,
            failure_policy: FailurePolicy::default(),
            timeout_seconds: 5,
            excluded_namespaces: Vec::new(),
            operators: Vec::new(),
            inject_ca_from: None,
            events: false,
            probe: None,
            custom_resources: Vec::new(),
            interest: Interest::everything(),
            mutating_name: NAME,
        }
    }

    pub(super) fn client(&self, path: &str) -> WebhookClientConfig {
        let ca_bundle = (!self.ca_bundle.is_empty()).then(|| ByteString(self.ca_bundle.clone()));
        match &self.endpoint {
            Endpoint::Service { namespace, name, port } => WebhookClientConfig {
                ca_bundle,
                service: Some(ServiceReference {
                    namespace: namespace.clone(),
                    name: name.clone(),
                    path: Some(path.to_owned()),
                    port: Some(i32::from(*port)),
                }),
                url: None,
            },
            Endpoint::Url(base) => WebhookClientConfig {
                ca_bundle,
                service: None,
                url: Some(format!("{}{path}", base.trim_end_matches('/'))),
            },
        }
    }

    pub(super) fn namespaces(&self) -> LabelSelector {
        let own = self.excluded_namespaces.iter().map(String::as_str);
        let names: BTreeSet<&str> = EXCLUDED_NAMESPACES.into_iter().chain(own).collect();
        LabelSelector {
            match_expressions: Some(vec![LabelSelectorRequirement {
                key: NAMESPACE_LABEL.to_owned(),
                operator: "NotIn".to_owned(),
                values: Some(names.into_iter().map(str::to_owned).collect()),
            }]),
            match_labels: None,
        }
    }
}
