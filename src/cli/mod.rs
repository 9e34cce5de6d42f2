//! The command line: one file a subcommand. Thin; what it says and does is decided elsewhere.

#[cfg(feature = "agent")]
mod agent;
mod check;
#[cfg(feature = "cluster")]
mod daemon;
#[cfg(feature = "cluster")]
mod doctor;
mod explain;
mod export;
mod fix;
mod given;
mod ignored;
mod input;
mod input_policies;
#[cfg(feature = "cluster")]
mod link;
mod patch_folder;
mod policies;
mod policy;
mod progress;
#[cfg(feature = "cluster")]
mod provisioner;
#[cfg(feature = "cluster")]
mod registration;
mod render;
mod rules;
#[cfg(feature = "cluster")]
mod serve;
mod test;
mod values;
mod walk;
#[cfg(feature = "cluster")]
mod webhooks;

use anyhow::Context;
use clap::{Parser, Subcommand};
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

/// Exit status when something was denied.
const DENIED: u8 = 1;
/// Exit status when something could not be judged or done.
const FAILED: u8 = 2;

/// A storage gate for Kubernetes: what dies with what, said before it does.
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
    /// Print the CustomResourceDefinitions of volgate's objects
    Crd,
    #[cfg(feature = "cluster")]
    Serve(Box<serve::Args>),
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
    let outcome = match Cli::parse().command {
        Command::Check(args) => check::run(&args),
        Command::Fix(args) => fix::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Rules(args) => rules::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Policy(args) => policy::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Crd => say(&crate::crd::yaml()).map(|()| ExitCode::SUCCESS),
        #[cfg(feature = "cluster")]
        Command::Serve(args) => serve::run(&args),
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
    let _ = std::io::stderr().write_all(text.as_bytes());
}
