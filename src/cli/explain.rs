use super::config::Settings;
use super::given::Given;
use super::ignored::Exclude;
use super::input_args::InputArgs;
use super::policies::refusal;
use super::{FAILED, complain, say};
use crate::check::{Fault, Input, Report};
use crate::explain::{Row, explain};
use crate::report;
use anyhow::{Result, anyhow};
use std::path::PathBuf;
use std::process::ExitCode;

/// Show the durability of every path that the pods of a manifest can write to
#[derive(Debug, clap::Args)]
#[command(mut_arg("policy", |policy| {
    policy.help("Policy files or folders: their additions to the catalog count, and their defaults")
}))]
pub(super) struct Args {
    /// Files, folders, or - for stdin
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    input: InputArgs,
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

impl Args {
    /// Fills in what neither a flag nor a variable says.
    fn fill_in(&mut self, settings: Settings) -> Result<Exclude> {
        let Settings { mut config, folder, .. } = settings;
        self.input.fill_in(&mut config);
        Exclude::from_folder(&folder, &config.exclude).map_err(|why| anyhow!(why))
    }
}

pub(super) fn run(mut args: Args) -> Result<ExitCode> {
    let prepared = args.input.config.settings().and_then(|settings| {
        if let Some(file) = &settings.file {
            complain(&format!("volgate: settings from {}\n", file.display()));
        }
        args.fill_in(settings)
    });
    let input = &args.input;
    let read =
        |exclude| Given::read(&args.paths, input.rendering(), Some(&exclude), input.policies(), &input.state);
    let given = match prepared.and_then(read) {
        Ok(given) => given,
        Err(error) if matches!(args.format, Format::Json) => {
            let (report, inputs) = refusal(&error);
            say(&json(&[], &report, inputs))?;
            return Ok(ExitCode::from(FAILED));
        }
        Err(error) => return Err(error),
    };
    let inputs = &given.found.inputs;
    let (rows, faults): (Vec<Row>, Vec<Fault>) = explain(&given.run(input.namespace()), inputs);
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
