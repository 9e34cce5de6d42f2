use super::given::Given;
use super::{FAILED, complain, say};
use crate::check::Fault;
use crate::explain::{Row, explain};
use crate::report;
use anyhow::Result;
use std::path::PathBuf;
use std::process::ExitCode;

/// Show the durability of every path that the pods of a manifest can write to
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files, folders, or - for stdin
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Policy files or folders: their additions to the catalog count, and their defaults
    #[arg(long, short, value_name = "PATH")]
    policy: Vec<PathBuf>,
    /// Objects of the cluster that are looked up
    #[arg(long, value_name = "PATH")]
    context: Vec<PathBuf>,
    /// The namespace of objects that name none
    #[arg(long, short, default_value = "default")]
    namespace: String,
    /// The form of the table
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// A table for people
    Text,
    /// For programs
    Json,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let given = Given::read(&args.paths, &args.policy, &args.context)?;
    let inputs = &given.inputs;
    let (rows, faults): (Vec<Row>, Vec<Fault>) = explain(&given.run(&args.namespace), inputs);
    match args.format {
        Format::Text => say(&report::table(&rows))?,
        Format::Json => say(&format!("{:#}\n", serde_json::json!({"paths": rows})))?,
    }
    if rows.is_empty() && faults.is_empty() && matches!(args.format, Format::Text) {
        complain("volgate: there is no pod, and nothing with a pod template, in what was given\n");
    }
    if faults.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let report = crate::check::Report { faults, ..Default::default() };
    complain(&format!("{}\n", report::human(&report, inputs, false).trim_end()));
    Ok(ExitCode::from(FAILED))
}
