use super::given::{Given, refusal};
use super::ignored::Exclude;
use super::input::Rendering;
use super::progress::{Progress, Step};
use super::{DENIED, FAILED, complain, input, patch_folder, render, say, values};
use crate::check::{Change, Fault, Input, Located, Report, Wanted, apply, component};
use crate::report::{Format, Options, render};
use crate::rule::Requester;
use crate::source::SourceErrorKind;
use crate::verdict::Action;
use anstream::{AutoStream, ColorChoice};
use anyhow::{Context, Result, anyhow};
use clap::ValueEnum;
use similar::TextDiff;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Judge manifests as the cluster would
///
/// Objects of one run see each other: claims, classes, volumes, namespaces. Exit status 0: nothing denied,
/// 1: something denied, 2: something could not be judged (unreadable input, bad policy).
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    judged: Judged,
    /// Show what --fix would write, as a diff
    #[arg(long)]
    diff: bool,
    /// Write what mutation would change into the files, and the volumes that `volgate fix` writes, comments and layout kept;
    /// stdin goes to stdout
    #[arg(long)]
    fix: bool,
}

/// What is judged, by what, and how it is reported.
#[derive(Debug, clap::Args)]
pub(super) struct Judged {
    /// Files, folders (all .yaml, .yml and .json in them), patterns, charts, kustomizations, or - for stdin
    #[arg(required_unless_present = "filename")]
    paths: Vec<PathBuf>,
    /// The same, as kubectl has it
    #[arg(long, short = 'f', value_name = "PATH")]
    filename: Vec<PathBuf>,
    /// Leave out what matches in folders, as .gitignore and .volgateignore do; may be given several times
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
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
    /// Write the report to a file in a further form, such as sarif=volgate.sarif; may be given several times
    #[arg(long, value_name = "FORM=FILE", value_parser = further)]
    report: Vec<Further>,
    /// The weakest finding that makes the exit status 1
    #[arg(long, value_enum, default_value_t = FailOn::Deny, value_name = "ACTION")]
    fail_on: FailOn,
    /// Show only what makes the exit status other than 0
    #[arg(long, short)]
    quiet: bool,
    /// When to use colour; auto heeds the terminal, NO_COLOR, CLICOLOR and CLICOLOR_FORCE
    #[arg(long, value_enum, default_value_t = Colour::Auto, value_name = "WHEN")]
    color: Colour,
    #[command(flatten)]
    rendering: render::Options,
}

/// What is to become of the files.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Whether it is shown as a diff.
    pub(super) show: bool,
    /// Whether it is written into them.
    pub(super) write: bool,
    /// Where it is written as a patch instead.
    pub(super) folder: Option<PathBuf>,
    /// Whether the report is about what remains.
    pub(super) after: bool,
    /// What new claims ask for.
    pub(super) claims: Wanted,
}

impl Changes {
    fn are_asked(&self) -> bool {
        self.show || self.write || self.folder.is_some()
    }
}

impl Judged {
    fn writes(&self, format: Format) -> bool {
        self.format == format || self.report.iter().any(|further| further.format == format)
    }

    fn all_paths(&self) -> Vec<PathBuf> {
        self.paths.iter().chain(&self.filename).cloned().collect()
    }
}

/// A report besides the one on stdout.
#[derive(Debug, Clone)]
struct Further {
    format: Format,
    file: PathBuf,
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

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FailOn {
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

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Colour {
    /// On a terminal that has it
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let changes = Changes { show: args.diff, write: args.fix, after: args.fix, ..Changes::default() };
    run_with(&args.judged, &changes)
}

/// Judges, and changes what is to be changed.
pub(super) fn run_with(args: &Judged, changes: &Changes) -> Result<ExitCode> {
    let progress = Progress::start(args.quiet);
    let rendering = Rendering { options: &args.rendering, namespace: &args.namespace };
    let exclude = Exclude::new(&args.exclude).map_err(|why| anyhow!(why))?;
    let paths = args.all_paths();
    match Given::read(&paths, rendering, Some(&exclude), &args.policy, &args.context) {
        Ok(mut given) => {
            let user = args.user.as_deref();
            given.set_requester(user.map(|user| Requester::impersonated(user, &args.groups)));
            if !args.no_policies_from_input {
                given.add_policies_from_input();
            }
            judge(args, given, changes, rendering, progress)
        }
        // Whoever asked for a form that programs read reads nothing else.
        Err(error) => {
            let (report, inputs) = refusal(&error);
            let options = Options { fail_on: args.fail_on.action(), ..Options::default() };
            for further in &args.report {
                replace(&further.file, &render(further.format, &report, inputs, &options))?;
            }
            if args.format == Format::Human {
                return Err(error);
            }
            put(args, changes, &render(args.format, &report, inputs, &options))?;
            Ok(ExitCode::from(FAILED))
        }
    }
}

fn judge(
    args: &Judged,
    mut given: Given,
    changes: &Changes,
    rendering: Rendering<'_>,
    progress: Progress,
) -> Result<ExitCode> {
    progress.step(Step::Judging);
    // Cheap: the documents are shared.
    let old = given.found.inputs.clone();
    let edits = args.writes(Format::Sarif) && !changes.after;
    let mut repaired = changes.are_asked().then(|| {
        let wanted = Wanted { edits, rendered: changes.folder.is_some(), ..changes.claims.clone() };
        given.run(&args.namespace).repair(&old, &wanted)
    });
    if let Some(repaired) = repaired.as_ref().filter(|repaired| changes.after && !repaired.repairs.is_empty())
    {
        given.set_inputs(repaired.inputs.clone(), &args.policy)?;
    }
    let inputs = &given.found.inputs;
    let run = given.run(&args.namespace);
    let mut report = run.check(inputs);
    if args.explain_policies {
        report.applied = Some(run.applied(&report, inputs));
    }
    let mut diffs = String::new();
    if let Some(repaired) = repaired.as_mut().filter(|_| changes.are_asked()) {
        // What the report is about may be the files as they were.
        let other = (!changes.after && !repaired.repairs.is_empty()).then(|| run.check(&repaired.inputs));
        let after = other.as_ref().unwrap_or(&report);
        let mut faults = Vec::new();
        let mut unwritten = 0;
        match &changes.folder {
            Some(folder) => patch_folder::write(folder, &component(&repaired.repairs, after))?,
            None => {
                for (index, (old, new)) in old.iter().zip(&repaired.inputs).enumerate() {
                    if let Err(fault) = change(changes, index, (old, new), after, &mut diffs) {
                        unwritten += changes_of(after, index).count();
                        repaired.repairs.retain(|repair| repair.input != index);
                        faults.push(fault);
                    }
                }
            }
        }
        report.unwritten += unwritten;
        report.faults.extend(faults);
    }
    values::advise(&given, rendering, &mut report);
    given.add_found(&mut report);
    match repaired {
        Some(repaired) => {
            repaired.explain(&mut report);
            report.repairs = repaired.repairs;
            if edits {
                report.fixes.clone_from(&report.repairs);
            }
        }
        None if edits => {
            report.fixes = run.repair_for(&report, inputs, &Wanted { edits, ..Wanted::default() }).repairs
        }
        None => {}
    }
    drop(progress);
    let options = Options {
        colour: false,
        quiet: args.quiet,
        fixed: changes.write || changes.folder.is_some(),
        fail_on: args.fail_on.action(),
        policies: given.policies.notice.as_deref(),
    };
    for further in &args.report {
        replace(&further.file, &render(further.format, &report, inputs, &options))?;
    }
    let options = Options { colour: colour(args, changes), ..options };
    let mut text = render(args.format, &report, inputs, &options);
    if !diffs.is_empty() {
        // What programs read must stay what it is.
        match args.format {
            Format::Human => text = format!("{diffs}\n{text}"),
            _ => complain(&diffs),
        }
    }
    // A file must not keep the report of the run before.
    if !text.is_empty() || args.output.is_some() {
        put(args, changes, &text)?;
    }
    Ok(exit_code(&report, options.fail_on))
}

/// What mutation changes in the objects of one text.
fn changes_of<'r>(report: &'r Report<'_>, input: usize) -> impl Iterator<Item = &'r Change> {
    report.changes.iter().filter(move |change| {
        report.manifests.get(change.manifest).is_some_and(|manifest| manifest.input == input)
    })
}

/// Shows or writes what changes in one text: the volumes that it was given, and what mutation changes beyond that.
fn change(
    changes: &Changes,
    index: usize,
    (old, new): (&Input, &Input),
    after: &Report<'_>,
    diffs: &mut String,
) -> Result<(), Fault> {
    let text: &str = &old.source.text;
    let fault = |message: String| Fault { spot: None, message, help: None };
    let is_changed = || changes_of(after, index).next().is_some();
    if let Some(origin) = old.rendered.as_ref().filter(|_| changes.write && is_changed()) {
        return Err(fault(format!("{origin} is rendered: change its template or values by hand")));
    }
    let name = &old.source.name;
    let new = apply(index, &new.source.text, after).map_err(|error| fault(format!("{name}: {error}")))?;
    if changes.show && new != text {
        let diff = TextDiff::from_lines(text, &new);
        diffs.push_str(&diff.unified_diff().header(name, name).to_string());
    }
    if changes.write {
        write_fixed(old, text, &new).map_err(|error| fault(format!("{error:#}")))
    } else {
        Ok(())
    }
}

/// Puts the report where it is to go.
fn put(args: &Judged, changes: &Changes, text: &str) -> Result<()> {
    match &args.output {
        Some(path) => replace(path, text),
        // The report must not stand among the manifests.
        None if fixes_stdin(args, changes) => {
            complain(text);
            Ok(())
        }
        None => say(text),
    }
}

/// Whether stdin is fixed to stdout.
fn fixes_stdin(args: &Judged, changes: &Changes) -> bool {
    changes.write && args.all_paths().iter().any(|path| path.as_os_str() == "-")
}

fn colour(args: &Judged, changes: &Changes) -> bool {
    let choice = match args.color {
        Colour::Always => ColorChoice::Always,
        Colour::Never => ColorChoice::Never,
        Colour::Auto if args.output.is_some() => ColorChoice::Never,
        Colour::Auto if fixes_stdin(args, changes) => AutoStream::choice(&std::io::stderr()),
        Colour::Auto => AutoStream::choice(&std::io::stdout()),
    };
    choice != ColorChoice::Never
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
pub(super) fn replace(path: &Path, text: &str) -> Result<()> {
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
