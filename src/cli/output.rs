//! What the subcommands that judge have to say, in the forms that were asked for.

use super::policies::refusal;
use super::{DENIED, FAILED, complain, complain_in_colour, say};
use crate::check::{Input, Located, Report};
use crate::report::{Format, Options, render};
use crate::verdict::Action;
use anstream::{AutoStream, ColorChoice};
use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::Deserialize;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Where the report goes, in which form, and what fails the run.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Output {
    /// The form of the report [default: human]
    #[arg(long, value_enum, value_name = "FORM", env = "VOLGATE_FORMAT", hide_env_values = true)]
    pub(super) format: Option<Format>,
    /// Where the report goes, in place of stdout
    #[arg(long, short, value_name = "FILE", env = "VOLGATE_OUTPUT", hide_env_values = true)]
    pub(super) output: Option<PathBuf>,
    /// Write the report to a file in a further form, such as sarif=volgate.sarif; may be given several times
    #[arg(
        long,
        value_name = "FORM=FILE",
        value_parser = further,
        value_delimiter = '\n',
        env = "VOLGATE_REPORT",
        hide_env_values = true
    )]
    pub(super) report: Vec<Further>,
    /// The weakest finding that makes the exit status 1 [default: deny]
    #[arg(long, value_enum, value_name = "ACTION", env = "VOLGATE_FAIL_ON", hide_env_values = true)]
    pub(super) fail_on: Option<FailOn>,
    /// Show only what makes the exit status other than 0
    #[arg(
        long,
        short,
        env = "VOLGATE_QUIET",
        hide_env_values = true,
        value_parser = clap::builder::FalseyValueParser::new()
    )]
    pub(super) quiet: bool,
    /// When to use colour; auto heeds the terminal, NO_COLOR, CLICOLOR and CLICOLOR_FORCE [default: auto]
    #[arg(long, value_enum, value_name = "WHEN", env = "VOLGATE_COLOR", hide_env_values = true)]
    pub(super) color: Option<Colour>,
}

/// A report besides the one on stdout.
#[derive(Debug, Clone)]
pub(super) struct Further {
    pub(super) format: Format,
    pub(super) file: PathBuf,
}

fn further(text: &str) -> Result<Further, String> {
    let forms = || {
        let names = Format::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        names.map(|name| name.get_name().to_owned()).collect::<Vec<_>>().join(", ")
    };
    match text.split_once('=') {
        Some((form, file)) if !file.is_empty() => match Format::from_str(form, false) {
            Ok(format) => Ok(Further { format, file: file.into() }),
            Err(_) => Err(format!("there is no form {form:?}: one of {}", forms())),
        },
        _ => Err(format!("give a form and a file, as in sarif=volgate.sarif; the forms are {}", forms())),
    }
}

#[derive(Debug, Clone, Copy, ValueEnum, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum FailOn {
    /// A finding that refuses the object
    Deny,
    /// A warning
    Warn,
    /// A finding for the audit log
    Audit,
}

impl FailOn {
    fn action(self) -> Action {
        match self {
            Self::Deny => Action::Deny,
            Self::Warn => Action::Warn,
            Self::Audit => Action::Audit,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Colour {
    /// On a terminal that has it
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What is shown besides the report.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Beside<'b> {
    /// What mutation changes, as diffs.
    pub(super) diffs: &'b str,
    /// Whether the changes were written.
    pub(super) fixed: bool,
    /// Whether stdout is for manifests, so that the report goes to stderr.
    pub(super) to_stderr: bool,
    /// What people are told of the policies.
    pub(super) policies: Option<&'b str>,
}

impl Output {
    /// Whether it writes that form.
    pub(super) fn writes(&self, format: Format) -> bool {
        self.form() == format || self.report.iter().any(|further| further.format == format)
    }

    pub(super) fn form(&self) -> Format {
        self.format.unwrap_or(Format::Human)
    }

    /// The weakest action that fails the run.
    pub(super) fn fails_on(&self) -> Action {
        self.fail_on.unwrap_or(FailOn::Deny).action()
    }

    /// Writes the report in all forms, and says how the run ends.
    pub(super) fn publish(
        &self,
        report: &Report<'_>,
        inputs: &[Input],
        beside: Beside<'_>,
    ) -> Result<ExitCode> {
        let options = Options {
            colour: false,
            quiet: self.quiet,
            fixed: beside.fixed,
            fail_on: self.fails_on(),
            policies: beside.policies,
        };
        let further = self.put_further(report, inputs, &options);
        let colour = self.colour(beside.to_stderr);
        let mut text = render(self.form(), report, inputs, &Options { colour, ..options });
        if !beside.diffs.is_empty() {
            // What programs read must stay what it is.
            match self.form() {
                Format::Human => text = format!("{}\n{text}", beside.diffs),
                _ => complain(beside.diffs),
            }
        }
        // A file must not keep the report of the run before.
        if !text.is_empty() || self.output.is_some() {
            self.put(&text, beside.to_stderr)?;
        }
        further?;
        Ok(exit_code(report, options.fail_on))
    }

    /// Says that a run cannot begin. Whoever asked for a form that programs read reads nothing else.
    pub(super) fn refuse(&self, error: anyhow::Error) -> Result<ExitCode> {
        let (report, inputs) = refusal(&error);
        let options = Options { fail_on: self.fails_on(), ..Options::default() };
        let further = self.put_further(&report, inputs, &options);
        if self.form() == Format::Human {
            return Err(error);
        }
        self.put(&render(self.form(), &report, inputs, &options), false)?;
        further?;
        Ok(ExitCode::from(FAILED))
    }

    /// Writes the further forms: all that can be written, and then the first error.
    fn put_further(&self, report: &Report<'_>, inputs: &[Input], options: &Options<'_>) -> Result<()> {
        let write =
            |further: &Further| replace(&further.file, &render(further.format, report, inputs, options));
        let written: Vec<Result<()>> = self.report.iter().map(write).collect();
        written.into_iter().collect()
    }

    /// Puts the report where it is to go.
    fn put(&self, text: &str, to_stderr: bool) -> Result<()> {
        match &self.output {
            Some(path) => replace(path, text).or_else(|error| {
                // What reads the report is told where it looks next.
                if self.form() != Format::Human && !to_stderr {
                    let (report, inputs) = refusal(&error);
                    let options = Options { fail_on: self.fails_on(), ..Options::default() };
                    say(&render(self.form(), &report, inputs, &options))?;
                }
                Err(error)
            }),
            // The report must not stand among the manifests.
            None if to_stderr => {
                complain_in_colour(text);
                Ok(())
            }
            None => say(text),
        }
    }

    fn colour(&self, to_stderr: bool) -> bool {
        let choice = match self.color.unwrap_or(Colour::Auto) {
            Colour::Always => ColorChoice::Always,
            Colour::Never => ColorChoice::Never,
            Colour::Auto if self.output.is_some() => ColorChoice::Never,
            Colour::Auto if to_stderr => AutoStream::choice(&std::io::stderr()),
            Colour::Auto => AutoStream::choice(&std::io::stdout()),
        };
        choice != ColorChoice::Never
    }
}

fn exit_code(report: &Report<'_>, fail_on: Action) -> ExitCode {
    let fails = |located: &Located| {
        let finding = &located.finding;
        finding.excused.is_none() && finding.action >= fail_on
    };
    if !report.faults.is_empty() {
        ExitCode::from(FAILED)
    } else if report.findings.iter().any(fails) {
        ExitCode::from(DENIED)
    } else {
        ExitCode::SUCCESS
    }
}

/// Writes a file whole or not at all, with the rights that it had.
pub(super) fn replace(path: &Path, text: &str) -> Result<()> {
    replace_by(path, |file| file.write_all(text.as_bytes()))
}

/// The same with what `write` writes.
pub(super) fn replace_by(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    let replaced = || -> std::io::Result<()> {
        // A link stays a link, and what it points to is replaced; a pipe or device is written to as it is.
        let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let rights = std::fs::metadata(&target).ok();
        if rights.as_ref().is_some_and(|meta| !meta.is_file()) {
            return write(&mut std::fs::File::options().write(true).open(&target)?);
        }
        let folder =
            target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Said before the name of a file that nobody asked for gets into the message.
        std::fs::metadata(folder)?;
        let mut file = tempfile::Builder::new().permissions(default_rights()).tempfile_in(folder)?;
        write(&mut file)?;
        if let Some(meta) = rights {
            file.as_file().set_permissions(meta.permissions())?;
        }
        file.as_file().sync_all()?;
        file.persist(&target)?;
        Ok(())
    };
    replaced().with_context(|| format!("failed to write {}", path.display()))
}

/// What a new file gets before the umask takes its part.
fn default_rights() -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    std::fs::Permissions::from_mode(0o666)
}
