//! `volgate webhooks`: the webhook configurations, for whoever writes them by hand or removes volgate.

use super::daemon::{LogFormat, block_on, start_log};
use super::registration::{RegistrationArgs, read_ca};
use super::say;
use crate::cluster::{SECRET, SecretSettings, configurations, connect, shared_ca, unregister};
use anyhow::{Context, Result};
use serde_json::Value;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// How long the deletion may take.
const DELETION: Duration = Duration::from_secs(120);

/// Print the webhook configurations, or the CA that they must hold; or delete them
///
/// `volgate serve --register` writes the MutatingWebhookConfiguration and the ValidatingWebhookConfiguration itself, once it
/// can answer. Whoever does not give it that right applies what this prints: first with --failure-policy=ignore, and again
/// without it when volgate is ready.
#[derive(Debug, clap::Args)]
#[group(id = "what", required = true, multiple = false)]
pub(super) struct Args {
    /// Print the two configurations, as YAML
    #[arg(long, group = "what")]
    print: bool,
    /// Print the CA's certificates (PEM) of the cluster's Secret that volgate keeps
    #[arg(long, group = "what")]
    print_ca: bool,
    /// Delete both, and the ClusterRole that allows volgate to write them: the first step of removing volgate, so that nothing is
    /// refused when it has gone
    #[arg(long, group = "what")]
    delete: bool,
    /// The CA's certificates (PEM), for caBundle; without it somebody else fills them in, such as cert-manager
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The Secret's namespace; without it that of --service
    #[arg(long, value_name = "NAME", default_value = "volgate-system")]
    namespace: String,
    /// The Secret's name
    #[arg(long, value_name = "NAME", default_value = SECRET)]
    tls_secret: String,
    #[command(flatten)]
    registration: RegistrationArgs,
}

/// Prints or deletes.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    if args.delete {
        start_log(LogFormat::Text);
        block_on(async { Ok(unregister(connect().await?, DELETION).await?) })?;
        say("the webhook configurations are deleted; volgate can be removed\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.print_ca {
        let settings = SecretSettings {
            namespace: args.namespace.clone(),
            name: args.tls_secret.clone(),
            dns_names: Vec::new(),
        };
        let ca = block_on(async { Ok(shared_ca(connect().await?, &settings).await?) })?;
        say(&ca)?;
        return Ok(ExitCode::SUCCESS);
    }
    let ca = args.ca.as_deref().map(read_ca).transpose()?.unwrap_or_default();
    let (mutating, validating) = configurations(&args.registration.registration(ca.into_bytes())?);
    for configuration in [serde_json::to_value(mutating), serde_json::to_value(validating)] {
        say(&document(&configuration?)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// One YAML document.
fn document(configuration: &Value) -> Result<String> {
    let text = serde_saphyr::to_string(configuration).context("failed to write YAML")?;
    Ok(format!("---\n{}\n", text.trim_end()))
}
