use super::check::{NAMESPACE, or};
use super::config::{Choice, Settings};
use super::given::Given;
use super::ignored::Exclude;
use super::input::Rendering;
use super::policies::refusal;
use super::state::StateArgs;
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
    #[arg(
        long,
        short,
        value_name = "PATH",
        value_delimiter = '\n',
        env = "VOLGATE_POLICY",
        hide_env_values = true
    )]
    policy: Vec<PathBuf>,
    #[command(flatten)]
    state: StateArgs,
    /// The namespace of objects that name none [default: default]
    #[arg(long, short, value_name = "NAMESPACE", env = "VOLGATE_NAMESPACE", hide_env_values = true)]
    namespace: Option<String>,
    #[command(flatten)]
    config: Choice,
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

impl Args {
    /// Fills in what neither a flag nor a variable says.
    fn fill_in(&mut self, settings: Settings) -> Result<Exclude> {
        let Settings { config, folder, .. } = settings;
        or(&mut self.policy, config.policies);
        or(&mut self.rendering.helm_values, config.helm_values);
        or(&mut self.rendering.helm_set, config.helm_set);
        self.state.fill_in(config.cluster_state, config.kube_context);
        self.namespace = self.namespace.take().or(config.namespace);
        self.rendering.no_render |= config.render == Some(false);
        Exclude::from_folder(&folder, &config.exclude).map_err(|why| anyhow!(why))
    }
}

pub(super) fn run(mut args: Args) -> Result<ExitCode> {
    let prepared = args.config.settings().and_then(|settings| {
        if let Some(file) = &settings.file {
            complain(&format!("volgate: settings from {}\n", file.display()));
        }
        args.fill_in(settings)
    });
    let namespace = args.namespace.as_deref().unwrap_or(NAMESPACE);
    let rendering = Rendering { options: &args.rendering, namespace };
    let read = |exclude| Given::read(&args.paths, rendering, Some(&exclude), &args.policy, &args.state);
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
    let (rows, faults): (Vec<Row>, Vec<Fault>) = explain(&given.run(namespace), inputs);
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
