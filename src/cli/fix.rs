use super::check::{Changes, Judged, run_with};
use crate::check::Wanted;
use crate::model::Quantity;
use anyhow::Result;
use std::path::PathBuf;
use std::process::ExitCode;

/// Write the volumes that keep data which would be lost
///
/// Where durable-data refuses a workload, its data gets a PersistentVolumeClaim: a StatefulSet a volumeClaimTemplate, others a
/// claim beside them. What mutation would change is written as well. Comments and layout are kept, and what cannot be written
/// without harm stays as it is, with the reason. The report and the exit status are those of `volgate check` afterwards.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    judged: Judged,
    /// Show what would be written, as a diff, and write nothing
    #[arg(long, conflicts_with = "as_patch")]
    diff: bool,
    /// Leave the files as they are, and write a kustomize component with patches and claims into a folder
    #[arg(long, value_name = "DIR")]
    as_patch: Option<PathBuf>,
    /// How much each new claim asks for, in place of what the catalog says
    #[arg(long, value_name = "QUANTITY", value_parser = size)]
    size: Option<String>,
    /// The class that each new claim names
    #[arg(long, value_name = "NAME")]
    storage_class: Option<String>,
}

fn size(text: &str) -> Result<String, String> {
    match Quantity::parse(text)? {
        size if size.value() > 0 => Ok(text.to_owned()),
        _ => Err("a claim asks for more than nothing".to_owned()),
    }
}

pub(super) fn run(args: Args) -> Result<ExitCode> {
    let claims = Wanted { size: args.size.clone(), class: args.storage_class.clone(), ..Wanted::default() };
    let changes = Changes {
        show: args.diff,
        write: !args.diff && args.as_patch.is_none(),
        folder: args.as_patch.clone(),
        after: true,
        claims,
    };
    run_with(args.judged, &changes)
}
