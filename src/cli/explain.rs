use super::given::{Given, refusal};
use super::ignored::Exclude;
use super::input::Rendering;
use super::{FAILED, complain, render, say};
use crate::check::{Fault, Input, Report};
use crate::explain::{Row, explain};
use crate::report;
use anyhow::{Result, anyhow};
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
    #[command(flatten)]
    rendering: render::Options,
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
    let rendering = Rendering { options: &args.rendering, namespace: &args.namespace };
    let exclude = Exclude::new(&[]).map_err(|why| anyhow!(why))?;
    let given = match Given::read(&args.paths, rendering, Some(&exclude), &args.policy, &args.context) {
        Ok(given) => given,
        Err(error) if matches!(args.format, Format::Json) => {
            let (report, inputs) = refusal(&error);
            say(&json(&[], &report, inputs))?;
            return Ok(ExitCode::from(FAILED));
        }
        Err(error) => return Err(error),
    };
    let inputs = &given.found.inputs;
    let (rows, faults): (Vec<Row>, Vec<Fault>) = explain(&given.run(&args.namespace), inputs);
    let mut report = Report { faults, ..Report::default() };
    given.add_found(&mut report);
    match args.format {
        Format::Text => say(&report::table(&rows))?,
        Format::Json => say(&json(&rows, &report, inputs))?,
    }
    if rows.is_empty() && report.faults.is_empty() && matches!(args.format, Format::Text) {
        complain("volgate: there is no pod, and nothing with a pod template, in what was given\n");
    }
    let failed = !report.faults.is_empty();
    let text = format!(
        "{}{}",
        report::human(&report, inputs, &report::Options::default()),
        report::not_judged(&report)
    );
    if !text.is_empty() && (failed || matches!(args.format, Format::Text)) {
        complain(&format!("{}\n", text.trim_end()));
    }
    Ok(if failed { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

fn json(rows: &[Row], report: &Report<'_>, inputs: &[Input]) -> String {
    let errors = report::json(report, inputs).get_mut("errors").map(serde_json::Value::take);
    format!("{:#}\n", serde_json::json!({"paths": rows, "errors": errors}))
}
