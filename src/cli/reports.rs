//! `volgate reports`: policy reports of what runs, from its arguments to the end of the process.

use super::daemon::{DaemonArgs, stopped};
use super::kubeconfig::Kubeconfig;
use super::link::assemble;
use super::say;
use crate::cluster::{
    ClusterPolicies, NO_REPORT_API, PolicySource, PolicyWatch, Reporter, Round, connect_to,
};
use crate::daemon::health_routes;
use crate::policy::{CompiledPolicy, PolicySet};
use crate::server::serve_plain;
use anyhow::{Result, anyhow, bail};
use std::process::ExitCode;
use std::time::Duration;

/// Write what `volgate audit` finds into the cluster as policy reports
///
/// Every --interval, and when a StoragePolicy changes, it judges what is in the cluster, and keeps a report for each object that
/// something was found in: a Report or ClusterReport of openreports.io where the cluster has these kinds, and otherwise a PolicyReport or
/// ClusterPolicyReport of wgpolicyk8s.io. One replica is enough. /livez, /readyz and /metrics are served on --health-listen over plain
/// HTTP. Logs go to stderr; RUST_LOG sets the level.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    cluster: Kubeconfig,
    /// How often the cluster is judged, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u32).range(10..))]
    interval: u32,
    /// Judge and write once, say what was done, and end: for a CronJob
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    daemon: DaemonArgs,
}

/// Runs until SIGTERM or Ctrl-C, or once.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    args.daemon.run(async { if args.once { once(args).await } else { keep(args).await } })
}

async fn keep(args: &Args) -> Result<()> {
    // Bound before the cluster is reached, so that a port that is taken shows at once.
    let health = args.daemon.listen()?;
    let client = connect_to(args.cluster.kubeconfig.as_deref(), args.cluster.context.as_deref()).await?;
    let policies = PolicyWatch::start(client.clone());
    let reporter = Reporter::new(client);
    let router = health_routes(reporter.checks(), reporter.metrics());
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        interval = args.interval,
        health = %args.daemon.health_listen,
        "policy reports have started"
    );
    let interval = Duration::from_secs(args.interval.into());
    tokio::select! {
        () = reporter.run(policies.receiver(), in_force, super::today, interval) => {}
        served = serve_plain(health, router) => served?,
        () = stopped() => {}
    }
    tracing::info!("shutting down");
    Ok(())
}

async fn once(args: &Args) -> Result<()> {
    let client = connect_to(args.cluster.kubeconfig.as_deref(), args.cluster.context.as_deref()).await?;
    let watch = PolicyWatch::start(client.clone());
    let mut policies = watch.receiver();
    let known = policies.wait_for(|policies| policies.source != PolicySource::Waiting).await;
    let known = known.map_err(|_| anyhow!("failed to watch the StoragePolicies"))?.clone();
    if let PolicySource::Failing(why) = &known.source {
        bail!("failed to list the StoragePolicies: {why}");
    }
    let set = in_force(&known).map_err(|why| anyhow!(why))?;
    let round = Reporter::new(client).round(&set, super::today()).await.map_err(|why| anyhow!(why))?;
    let Round { judged, reports, left_out, written, failed, api } = round;
    let Some(api) = api else { bail!("no report is written: {NO_REPORT_API}") };
    if failed > 0 {
        bail!("failed to write {failed} of the reports; the log has the reasons");
    }
    let more = if left_out == 0 { String::new() } else { format!(", {left_out} objects without a report") };
    say(&format!(
        "{judged} objects judged, {reports} reports of {api}, {written} of them written now{more}\n"
    ))
}

/// The policies in force, as the webhook has them.
fn in_force(cluster: &ClusterPolicies) -> Result<PolicySet, String> {
    let compiled: Vec<CompiledPolicy> =
        cluster.policies.iter().filter_map(|policy| policy.compiled.clone()).collect();
    let counts = (cluster.source == PolicySource::Watched).then_some(compiled.as_slice());
    assemble(&[], counts).map(|(set, _)| set).map_err(|fault| format!("{fault:#}"))
}
