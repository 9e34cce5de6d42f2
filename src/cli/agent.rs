//! `volgate agent`: the agent of one node, from its arguments to the end of the process.

use super::daemon::{DaemonArgs, block_on, start_log, stopped};
use crate::agent::{Agent, Options, confine, device_link};
use crate::daemon::health_routes;
use crate::server::serve_plain;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Make and remove the volumes of this node.
///
/// The agent makes, grows and removes what the NodeVolumes of its node ask for, beneath its base directories and nowhere
/// else, and writes their status. /livez, /readyz and /metrics are served on --health-listen over plain HTTP. Logs go to
/// stderr; RUST_LOG sets the level.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The node's name
    #[arg(long, value_name = "NAME", env = "NODE_NAME")]
    node_name: String,
    /// A base: a directory of the node in which volumes are made; may be repeated
    #[arg(long, value_name = "PATH", default_value = "/opt/local-path-provisioner")]
    base: Vec<String>,
    /// Where the host's root file system is mounted in this container
    #[arg(long, value_name = "DIRECTORY", default_value = "/")]
    host_root: PathBuf,
    /// Overcommit ratio: total claim size allowed per byte of disk
    #[arg(long, value_name = "RATIO", default_value_t = 1.0)]
    overcommit: f64,
    /// How often disks and volumes are checked, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    look_every: u32,
    /// How long a volume on the disk may have no NodeVolume before it is reported as an orphan, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    orphan_grace: u32,
    /// Shortest interval between two counts of the files in plain directories, for the usage metrics, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    walk_every: u32,
    /// Most loop volumes on this node (block volumes, and backend loop); with 0 there are none, and the agent opens no device
    #[arg(long, value_name = "NUMBER", default_value_t = 256)]
    max_loop_devices: u32,
    /// Bytes per inode of a volume with a project quota; the first 65,536 inodes come at one per 4 KiB
    #[arg(long, value_name = "BYTES", default_value_t = 16_384, value_parser = clap::value_parser!(u64).range(1024..))]
    bytes_per_inode: u64,
    #[command(flatten)]
    daemon: DaemonArgs,
}

/// Runs until SIGTERM or Ctrl-C.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    start_log(args.daemon.log_format);
    let options = options(args)?;
    make_bases(&options);
    // One thread waits for the API server; disks have threads of their own.
    block_on(work(args, options))?;
    Ok(ExitCode::SUCCESS)
}

fn options(args: &Args) -> Result<Options> {
    for base in &args.base {
        if !base.starts_with('/') || base.split('/').any(|name| name == "." || name == "..") || base == "/" {
            bail!(
                "failed to use {base:?} as a base: it must be an absolute path of the node without . and .."
            );
        }
    }
    if !(args.overcommit.is_finite() && args.overcommit > 0.0) {
        bail!("failed to use {} as --overcommit: it must be a ratio above 0, such as 1.5", args.overcommit);
    }
    let mut bases: Vec<String> = args.base.iter().map(|base| base.trim_end_matches('/').to_owned()).collect();
    bases.sort();
    bases.dedup();
    Ok(Options {
        node: args.node_name.clone(),
        bases,
        host_root: args.host_root.clone(),
        overcommit: args.overcommit,
        look_every: Duration::from_secs(args.look_every.into()),
        walk_every: Duration::from_secs(args.walk_every.into()),
        orphan_grace: Duration::from_secs(args.orphan_grace.into()),
        most_loop_devices: args.max_loop_devices,
        bytes_per_inode: args.bytes_per_inode,
    })
}

/// What must be there before the agent is confined to it: the bases, as no manifest can know every node's, and the
/// directory of the links to devices.
fn make_bases(options: &Options) {
    let links = options.host_root.join(device_link("").trim_start_matches('/'));
    if options.most_loop_devices > 0
        && let Err(error) = std::fs::create_dir_all(&links)
    {
        tracing::warn!(path = %links.display(), %error, "failed to make the folder of devices; loop volumes cannot be used");
    }
    for base in &options.bases {
        let path = options.host_root.join(base.trim_start_matches('/'));
        if let Err(error) = std::fs::create_dir_all(&path) {
            tracing::error!(base, %error, "failed to make a base; no volume can be made in it until it is there");
        }
    }
}

/// Outside of a cluster, where the way to the API server is written; a token may be beside it, which is read again.
fn kubeconfig_files() -> Vec<PathBuf> {
    let named: Vec<PathBuf> = std::env::var_os("KUBECONFIG").iter().flat_map(std::env::split_paths).collect();
    let home = || std::env::home_dir().map(|home| home.join(".kube/config"));
    if named.is_empty() { home().into_iter().collect() } else { named }
}

async fn work(args: &Args, options: Options) -> Result<()> {
    let health = args.daemon.listen()?;
    let client = crate::cluster::connect().await?;
    let agent = Agent::new(options.clone()).context("failed to start the agent's threads")?;
    // After the files that the client is made from were read, and before the threads that this one will start.
    confine(&options, &kubeconfig_files());
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        node = options.node,
        bases = options.bases.join(", "),
        health = %args.daemon.health_listen,
        "the agent has started"
    );
    let router = health_routes(agent.checks(), agent.metrics());
    tokio::select! {
        served = serve_plain(health, router) => served?,
        ended = agent.run(client) => ended.context("failed to start the agent's threads")?,
        () = stopped() => {}
    }
    tracing::info!("shutting down; unfinished work resumes at the next start");
    Ok(())
}
