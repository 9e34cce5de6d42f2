//! What shells and `man` know of the command line.

use super::{Cli, say};
use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_complete::Shell;
use std::path::PathBuf;
use std::process::ExitCode;

/// Print the completions of a shell
///
/// For bash: volgate completions bash > /etc/bash_completion.d/volgate. For zsh, a file _volgate in a folder of $fpath. For fish:
/// volgate completions fish > ~/.config/fish/completions/volgate.fish.
#[derive(Debug, clap::Args)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

pub(super) fn completions(args: &Completions) -> Result<ExitCode> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "volgate", &mut text);
    say(&String::from_utf8_lossy(&text))?;
    Ok(ExitCode::SUCCESS)
}

/// Write the man pages, one for each subcommand, into a folder
#[derive(Debug, clap::Args)]
pub(super) struct Man {
    /// The folder; made if it is not there
    folder: PathBuf,
}

pub(super) fn man(args: &Man) -> Result<ExitCode> {
    let folder = &args.folder;
    std::fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
    let written = clap_mangen::generate_to(Cli::command(), folder);
    written.with_context(|| format!("failed to write into {}", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}
