use super::kubeconfig::Kubeconfig;
use super::output::replace_by;
use super::{complain, say};
use crate::cluster::snapshot;
use anyhow::Result;
use std::path::PathBuf;
use std::process::ExitCode;

/// Write what `check` looks up of a cluster to a file, for runs that cannot reach it
///
/// StorageClasses, PersistentVolumes, PersistentVolumeClaims, Nodes, Namespaces and StoragePolicies, with the fields that are read
/// and no others. Secrets are never read. A kind that may not be listed is left out and named. Give the file to `check` with
/// --cluster-state.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    cluster: Kubeconfig,
    /// Add the ConfigMaps with all that is in them: configuration files say where some products keep their data
    #[arg(long)]
    config_maps: bool,
    /// Where the snapshot goes, in place of stdout
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let (text, left_out) = read(&args.cluster, args.config_maps)?;
    match &args.output {
        Some(file) => replace_by(file, |out| out.write_all(&text))?,
        None => say(&String::from_utf8_lossy(&text))?,
    }
    for message in &left_out {
        complain(&format!("volgate: {message}\n"));
    }
    Ok(ExitCode::SUCCESS)
}

/// The snapshot of the cluster of a context, and what is not in it.
pub(super) fn text(context: Option<&str>) -> Result<(Vec<u8>, Vec<String>)> {
    read(&Kubeconfig { kubeconfig: None, context: context.map(str::to_owned) }, false)
}

fn read(cluster: &Kubeconfig, config_maps: bool) -> Result<(Vec<u8>, Vec<String>)> {
    cluster.with(async |client| {
        let mut text = Vec::new();
        let left_out = snapshot(&client, config_maps, &mut text).await?;
        if text.is_empty() {
            anyhow::bail!("nothing could be read of the cluster: {}", left_out.join("; "));
        }
        Ok((text, left_out))
    })
}
