//! The command line: one file a subcommand. Thin; what it says and does is decided elsewhere.

mod check;
mod explain;
mod input;
mod policies;
mod rules;
#[cfg(feature = "serve")]
mod serve;

use clap::{Parser, Subcommand};
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
    Check(check::Args),
    Explain(explain::Args),
    Rules(rules::Args),
    #[cfg(feature = "serve")]
    Serve(Box<serve::Args>),
}

/// Runs the command line and says how it went.
pub fn run() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Check(args) => check::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Rules(args) => rules::run(&args),
        #[cfg(feature = "serve")]
        Command::Serve(args) => serve::run(&args),
    };
    match outcome {
        Ok(code) => code,
        // The reader of a pipe went away, as `head` does: nobody is left to tell.
        Err(error) if is_broken_pipe(&error) => ExitCode::from(FAILED),
        Err(error) => {
            eprintln!("volgate: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    kind == Some(std::io::ErrorKind::BrokenPipe)
}
