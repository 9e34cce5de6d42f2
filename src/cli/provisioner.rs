//! `volgate provisioner`: the controller of the built-in provisioner, from its arguments to the end of the process.

use super::daemon::{DaemonArgs, LOOK, lease, stopped};
use crate::cluster::{Provisioner, ProvisionerOptions, ProvisionerView, connect};
use crate::daemon::{Check, Followed, Look, health_routes};
use crate::model::PROVISIONER;
use crate::provisioner::{Bases, Settings};
use crate::server::serve_plain;
use anyhow::{Context, Result, anyhow};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Make the volumes of claims, together with an agent on each node.
///
/// Several replicas may run: leader election by a Lease in --namespace chooses one, the others stand by. /livez, /readyz
/// and /metrics are served on --health-listen over plain HTTP. Logs go to stderr; RUST_LOG sets the level.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The provisioner name that StorageClasses use; rancher.io/local-path takes over from rancher's local-path
    /// provisioner, whose own controller must not run then
    #[arg(long, value_name = "NAME", default_value = PROVISIONER)]
    provisioner_name: String,
    /// Base directories of each node, in the format of rancher's config.json; reloaded when the file changes. Without it
    /// volumes are in /opt/local-path-provisioner
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Namespace of the Lease and of the CSIStorageCapacity objects
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE", default_value = "volgate-system")]
    namespace: String,
    /// How many volumes are worked on at the same time
    #[arg(long, value_name = "NUMBER", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    workers: u16,
    /// How long a Node may be missing, in seconds, before volumes awaiting deletion on it are forgotten (their data stays)
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    node_grace: u32,
    /// How long to wait for an agent, in seconds, before an event on the claim says that it does not answer
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    patience: u32,
    /// Lease duration, in seconds: how long a silent leader is waited for
    #[arg(long, value_name = "SECONDS", default_value_t = 12, value_parser = clap::value_parser!(u32).range(6..))]
    lease_duration: u32,
    #[command(flatten)]
    daemon: DaemonArgs,
}

/// Runs until SIGTERM or Ctrl-C.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    args.daemon.run(provision(args))
}

async fn provision(args: &Args) -> Result<()> {
    let mut config = match &args.config {
        Some(path) => {
            let read = path.clone();
            Some((path, Followed::open(move || text(&read))?))
        }
        None => None,
    };
    let bases = match &config {
        Some((path, config)) => parse(path, config.seen())?,
        None => Bases::default(),
    };
    // Bound before the cluster is reached, so that a port that is taken shows at once.
    let health = args.daemon.listen()?;
    let client = connect().await?;
    let provisioner = Provisioner::start(client, options(args, bases)?);
    let view = provisioner.view();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        provisioner = args.provisioner_name,
        health = %args.daemon.health_listen,
        "the provisioner's controller has started"
    );
    let (ready, counted) = (view.clone(), view.clone());
    let router = health_routes(move || vec![caches(&ready)], move || counted.metrics());
    let looking = async {
        loop {
            tokio::time::sleep(LOOK).await;
            if let Some((path, config)) = &mut config {
                look(path, config, &view);
            }
        }
    };
    tokio::select! {
        _ = provisioner.run(stopped()) => {}
        served = serve_plain(health, router) => served?,
        () = looking => {}
    }
    tracing::info!("lease released, exiting");
    Ok(())
}

fn caches(view: &ProvisionerView) -> Check {
    let waiting = view.waiting();
    ("caches", (!waiting.is_empty()).then(|| waiting.join("; ")))
}

fn options(args: &Args, bases: Bases) -> Result<ProvisionerOptions> {
    let seconds = |number: u32| Duration::from_secs(number.into());
    Ok(ProvisionerOptions {
        name: args.provisioner_name.clone(),
        settings: Settings {
            bases,
            node_grace: seconds(args.node_grace),
            patience: seconds(args.patience),
            ..Settings::default()
        },
        lease: lease(
            &args.namespace,
            format!("volgate-provisioner-{}", args.provisioner_name.replace('/', "-")),
            args.lease_duration,
        )?,
        workers: args.workers.into(),
    })
}

/// Takes a changed configuration over. A bad one changes nothing but the log, and is told once.
fn look(path: &Path, config: &mut Followed<String, anyhow::Error>, view: &ProvisionerView) {
    let bases = match config.look() {
        Look::Same => return,
        Look::Changed(text) => parse(path, text),
        Look::Unreadable(fault) => Err(fault),
    };
    match bases {
        Ok(bases) => {
            tracing::info!(path = %path.display(), "the changed configuration is in force");
            view.set_bases(bases);
        }
        Err(fault) => tracing::error!(
            error = format_args!("{fault:#}"),
            "failed to take the changed configuration; the old configuration stays in force"
        ),
    }
}

fn text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))
}

fn parse(path: &Path, text: &str) -> Result<Bases> {
    let (bases, ignored) = Bases::parse(text)
        .map_err(|why| anyhow!("failed to use the configuration {}: {why}", path.display()))?;
    for line in ignored {
        tracing::warn!(path = %path.display(), reason = line, "a field of the configuration has no effect");
    }
    Ok(bases)
}
