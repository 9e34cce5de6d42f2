use super::given::{Given, refusal};
use super::{DENIED, FAILED, complain, input, say};
use crate::check::{Change, Fault, Input, Report, apply};
use crate::report;
use crate::rule::Requester;
use crate::source::SourceErrorKind;
use anyhow::{Context, Result};
use clap::ValueEnum;
use similar::TextDiff;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Judge manifests as the cluster would
///
/// Objects of one run see each other: claims, classes, volumes, namespaces. Exit status 0: nothing denied,
/// 1: something denied, 2: something could not be judged (unreadable input, bad policy).
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files, folders (all .yaml, .yml and .json in them), or - for stdin
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Policy files or folders; without any, the built-in baseline
    #[arg(long, short, value_name = "PATH")]
    policy: Vec<PathBuf>,
    /// Leave out the StoragePolicies among the manifests, which are applied beside those of --policy or the baseline
    #[arg(long)]
    no_policies_from_input: bool,
    /// Show what each policy, rule and exception was about, and what was about nothing
    #[arg(long)]
    explain_policies: bool,
    /// Who applies the manifests, for policies with `users`: a user, or system:serviceaccount:NAMESPACE:NAME
    #[arg(long = "as", value_name = "USER")]
    user: Option<String>,
    /// A group of that user; may be given several times
    #[arg(long = "as-group", value_name = "GROUP", requires = "user")]
    groups: Vec<String>,
    /// Objects of the cluster that are looked up and not judged, as `kubectl get -o yaml` prints them; what is not
    /// among them or the manifests counts as not there
    #[arg(long, value_name = "PATH")]
    context: Vec<PathBuf>,
    /// The namespace of objects that name none
    #[arg(long, short, default_value = "default")]
    namespace: String,
    /// The form of the report
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// Where the report goes, in place of stdout
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Show what mutation would change, as a diff
    #[arg(long)]
    diff: bool,
    /// Write what mutation would change into the files, comments and layout kept; stdin goes to stdout
    #[arg(long)]
    fix: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For people, in the manner of a compiler
    Human,
    /// For programs; the form is stable
    Json,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    match Given::read(&args.paths, &args.policy, &args.context) {
        Ok(mut given) => {
            let user = args.user.as_deref();
            given.set_requester(user.map(|user| Requester::impersonated(user, &args.groups)));
            if !args.no_policies_from_input {
                given.add_policies_from_input();
            }
            judge(args, &given)
        }
        // Whoever asked for JSON reads nothing else.
        Err(error) if matches!(args.format, Format::Json) => {
            let (report, inputs) = refusal(&error);
            put(args, &format!("{:#}\n", report::json(&report, inputs)))?;
            Ok(ExitCode::from(FAILED))
        }
        Err(error) => Err(error),
    }
}

fn judge(args: &Args, given: &Given) -> Result<ExitCode> {
    let inputs = &given.found.inputs;
    let run = given.run(&args.namespace);
    let mut report = run.check(inputs);
    if args.explain_policies {
        report.applied = Some(run.applied(&report, inputs));
    }
    given.add_found(&mut report);
    let mut diffs = String::new();
    if args.diff || args.fix {
        for (index, input) in inputs.iter().enumerate() {
            if let Err(fault) = change(args, index, input, &report, &mut diffs) {
                let is_of_input = |change: &&Change| {
                    report.manifests.get(change.manifest).is_some_and(|manifest| manifest.input == index)
                };
                report.unwritten += report.changes.iter().filter(is_of_input).count();
                report.faults.push(fault);
            }
        }
    }
    let mut text = match args.format {
        Format::Human => {
            let notice =
                given.policies.notice.as_ref().map(|notice| format!("{notice}\n")).unwrap_or_default();
            format!(
                "{}{}{}{}{notice}{}\n",
                report::human(&report, inputs, colour(args)),
                report::not_judged(&report),
                report::policies(&report, inputs),
                report::applied(&report),
                report::summary_line(&report, args.fix)
            )
        }
        Format::Json => format!("{:#}\n", report::json(&report, inputs)),
    };
    if !diffs.is_empty() {
        // JSON must stay JSON.
        match args.format {
            Format::Human => text = format!("{diffs}\n{text}"),
            Format::Json => complain(&diffs),
        }
    }
    put(args, &text)?;
    Ok(exit_code(&report))
}

/// Shows or writes what mutation changes in one text.
fn change(
    args: &Args,
    index: usize,
    input: &Input,
    report: &Report<'_>,
    diffs: &mut String,
) -> Result<(), Fault> {
    let old: &str = &input.source.text;
    let fault = |message: String| Fault { spot: None, message, help: None };
    let new = apply(index, old, report).map_err(|error| fault(format!("{}: {error}", input.source.name)))?;
    if args.diff && new != old {
        let name = &input.source.name;
        let diff = TextDiff::from_lines(old, &new);
        diffs.push_str(&diff.unified_diff().header(name, name).to_string());
    }
    if args.fix { write_fixed(input, old, &new).map_err(|error| fault(format!("{error:#}"))) } else { Ok(()) }
}

/// Puts the report where it is to go.
fn put(args: &Args, text: &str) -> Result<()> {
    match &args.output {
        Some(path) => replace(path, text),
        // The report must not stand among the manifests.
        None if fixes_stdin(args) => {
            complain(text);
            Ok(())
        }
        None => say(text),
    }
}

/// Whether stdin is fixed to stdout.
fn fixes_stdin(args: &Args) -> bool {
    args.fix && args.paths.iter().any(|path| path.as_os_str() == "-")
}

fn colour(args: &Args) -> bool {
    let to_terminal =
        if fixes_stdin(args) { std::io::stderr().is_terminal() } else { std::io::stdout().is_terminal() };
    to_terminal && args.output.is_none() && wants_colour()
}

/// Whether neither <https://no-color.org> nor the terminal's type speaks against colour.
fn wants_colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

fn exit_code(report: &Report<'_>) -> ExitCode {
    if !report.faults.is_empty() {
        ExitCode::from(FAILED)
    } else if report.summary().denied > 0 {
        ExitCode::from(DENIED)
    } else {
        ExitCode::SUCCESS
    }
}

fn write_fixed(input: &Input, old: &str, new: &str) -> Result<()> {
    if input.source.name == input::STDIN {
        // What is not UTF-8 cannot be given back as it was.
        let is_text = input.errors().all(|error| error.kind != SourceErrorKind::Encoding);
        return if is_text { say(new) } else { Ok(()) };
    }
    if old == new {
        return Ok(());
    }
    replace(Path::new(&input.source.name), new)
}

/// Writes a file whole or not at all, with the rights that it had.
fn replace(path: &Path, text: &str) -> Result<()> {
    let write = || -> std::io::Result<()> {
        // A link stays a link, and what it points to is replaced; a pipe or device is written to as it is.
        let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let rights = std::fs::metadata(&target).ok();
        if rights.as_ref().is_some_and(|meta| !meta.is_file()) {
            return std::fs::write(&target, text);
        }
        let folder =
            target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new().permissions(default_rights()).tempfile_in(folder)?;
        file.write_all(text.as_bytes())?;
        if let Some(meta) = rights {
            file.as_file().set_permissions(meta.permissions())?;
        }
        file.as_file().sync_all()?;
        file.persist(&target)?;
        Ok(())
    };
    write().with_context(|| format!("failed to write {}", path.display()))
}

/// What a new file gets before the umask takes its part.
fn default_rights() -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    std::fs::Permissions::from_mode(0o666)
}
