//! The command line: one file a subcommand. Thin; what it says and does is decided elsewhere.

#[cfg(feature = "agent")]
mod agent;
#[cfg(feature = "cluster")]
mod audit;
mod bytes;
mod check;
mod config;
#[cfg(feature = "cluster")]
mod daemon;
#[cfg(feature = "cluster")]
mod doctor;
mod explain;
mod export;
mod fix;
mod given;
mod help;
mod ignored;
mod input;
mod input_args;
mod input_policies;
#[cfg(feature = "cluster")]
mod kubeconfig;
#[cfg(feature = "cluster")]
mod link;
#[cfg(feature = "cluster")]
mod log_lines;
mod map;
mod output;
mod patch_folder;
mod policies;
mod policy;
mod progress;
#[cfg(feature = "cluster")]
mod provisioner;
#[cfg(feature = "cluster")]
mod registration;
mod render;
#[cfg(feature = "cluster")]
mod reports;
mod rules;
#[cfg(feature = "cluster")]
mod serve;
mod since;
#[cfg(feature = "cluster")]
mod snapshot;
mod state;
mod test;
mod texts;
mod values;
mod version;
mod walk;
#[cfg(feature = "cluster")]
mod webhooks;

use crate::model::{did_you_mean, printable};
use anyhow::Context;
use clap::builder::Resettable;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
pub use config::config_schema;
use std::ffi::OsStr;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

/// Exit status when something was denied.
const DENIED: u8 = 1;
/// Exit status when something could not be judged or done.
const FAILED: u8 = 2;

/// The day by which exceptions end, in UTC.
fn today() -> jiff::civil::Date {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}

#[derive(Debug, Parser)]
#[command(name = "volgate", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(Box<check::Args>),
    Fix(Box<fix::Args>),
    Explain(explain::Args),
    Rules(rules::Args),
    Test(test::Args),
    Policy(policy::Args),
    Export(export::Args),
    Config(config::Args),
    #[cfg(feature = "cluster")]
    Audit(Box<audit::Args>),
    #[cfg(feature = "cluster")]
    Snapshot(snapshot::Args),
    Map(Box<map::Args>),
    Version(version::Args),
    Completions(help::Completions),
    Man(help::Man),
    /// Print the CustomResourceDefinitions of volgate's objects
    Crd,
    #[cfg(feature = "cluster")]
    Serve(Box<serve::Args>),
    #[cfg(feature = "cluster")]
    Reports(reports::Args),
    #[cfg(feature = "cluster")]
    Doctor(doctor::Args),
    #[cfg(feature = "cluster")]
    Webhooks(Box<webhooks::Args>),
    #[cfg(feature = "agent")]
    Agent(Box<agent::Args>),
    #[cfg(feature = "cluster")]
    Provisioner(Box<provisioner::Args>),
}

/// Runs the command line and says how it went.
pub fn run() -> ExitCode {
    let program = std::env::args_os().next().unwrap_or_default();
    let matches = command(&program).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let outcome = match cli.command {
        Command::Check(args) => {
            misspelt_variables();
            check::run(*args)
        }
        Command::Fix(args) => {
            misspelt_variables();
            fix::run(*args)
        }
        Command::Export(args) => export::run(&args),
        Command::Explain(args) => explain::run(args),
        Command::Rules(args) => rules::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Policy(args) => policy::run(&args),
        Command::Config(args) => config::run(&args),
        #[cfg(feature = "cluster")]
        Command::Audit(args) => audit::run(&args),
        #[cfg(feature = "cluster")]
        Command::Snapshot(args) => snapshot::run(&args),
        Command::Map(args) => map::run(&args),
        Command::Version(args) => version::run(&args),
        Command::Completions(args) => help::completions(&args),
        Command::Man(args) => help::man(&args),
        Command::Crd => say(&crate::crd::yaml()).map(|()| ExitCode::SUCCESS),
        #[cfg(feature = "cluster")]
        Command::Serve(args) => serve::run(&args),
        #[cfg(feature = "cluster")]
        Command::Reports(args) => reports::run(&args),
        #[cfg(feature = "cluster")]
        Command::Doctor(args) => doctor::run(&args),
        #[cfg(feature = "cluster")]
        Command::Webhooks(args) => webhooks::run(&args),
        #[cfg(feature = "agent")]
        Command::Agent(args) => agent::run(&args),
        #[cfg(feature = "cluster")]
        Command::Provisioner(args) => provisioner::run(&args),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("volgate: {error:#}\n"));
            ExitCode::from(FAILED)
        }
    }
}

/// The command line as a program of that name has it.
fn command(program: &OsStr) -> clap::Command {
    let command = heeding_given_variables(Cli::command());
    let name = Path::new(program).file_name().unwrap_or_default();
    // kubectl runs `kubectl volgate` as a program of this name.
    if name == "kubectl-volgate" { command.bin_name("kubectl volgate") } else { command }
}

/// The command without the variables that are empty: a CI job sets those that it has no value for.
fn heeding_given_variables(command: clap::Command) -> clap::Command {
    let heed = |arg: clap::Arg| {
        let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
        if arg.get_env().is_some_and(is_empty) { arg.env(Resettable::Reset) } else { arg }
    };
    command.mut_args(heed).mut_subcommands(heeding_given_variables)
}

/// Says which variables have nearly the name of one that is known.
fn misspelt_variables() {
    let command = Cli::command();
    let arguments = command.get_subcommands().flat_map(clap::Command::get_arguments);
    let known: Vec<&str> = arguments.filter_map(|argument| argument.get_env()?.to_str()).collect();
    let given = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in given.filter(|name| name.starts_with("VOLGATE_") && !known.contains(&name.as_str())) {
        if let Some(meant) = did_you_mean(&name, &known) {
            complain(&format!("volgate: the variable {name} is not known: {meant}\n"));
        }
    }
}

/// Writes to stdout. A reader that went away, as `head` does, has what it wanted: the verdict's exit status stays.
fn say(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("failed to write to stdout"),
    }
}

/// Writes to stderr. Where that is closed nobody is left to tell, and unlike `eprint!` this does not panic.
fn complain(text: &str) {
    complain_in_colour(&printable(text));
}

/// The same with what steers a terminal in it.
fn complain_in_colour(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}
