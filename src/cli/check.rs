use super::config::Settings;
use super::given::Given;
use super::ignored::Exclude;
use super::input::Rendering;
use super::input_args::{InputArgs, or};
use super::output::{Beside, Further, Output, replace};
use super::progress::{Progress, Step};
use super::since::Since;
use super::{bytes, complain, input, patch_folder, say, values};
use crate::check::{
    Change, Fault, Input, Notice, Report, Run, Wanted, apply, component, excuse_by_comments, keep_changed,
};
use crate::report::Format;
use crate::rule::Requester;
use crate::source::SourceErrorKind;
use anyhow::{Result, anyhow, bail};
use clap::ValueEnum;
use similar::TextDiff;
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
    /// Files, folders (all .yaml, .yml and .json in them), patterns, charts, kustomizations, or - for stdin; without any, the
    /// `paths` of .volgate.yaml
    paths: Vec<PathBuf>,
    /// The same as PATHS, for those used to kubectl
    #[arg(long, short = 'f', value_name = "PATH")]
    filename: Vec<PathBuf>,
    /// Leave out what matches in folders, as .gitignore and .volgateignore do; may be given several times
    #[arg(
        long,
        value_name = "PATTERN",
        value_delimiter = '\n',
        env = "VOLGATE_EXCLUDE",
        hide_env_values = true
    )]
    exclude: Vec<String>,
    #[command(flatten)]
    input: InputArgs,
    /// Leave out the StoragePolicies among the manifests, which are applied beside those of --policy or the baseline
    #[arg(long)]
    no_policies_from_input: bool,
    /// Show what each policy, rule and exception was about, and what was about nothing
    #[arg(long)]
    explain_policies: bool,
    /// Let no comment such as `# volgate: ignore[durable-data] why` excuse a finding
    #[arg(
        long,
        env = "VOLGATE_NO_IGNORE_COMMENTS",
        hide_env_values = true,
        value_parser = clap::builder::FalseyValueParser::new()
    )]
    no_ignore_comments: bool,
    /// Who applies the manifests, for policies with `users`: a user, or system:serviceaccount:NAMESPACE:NAME
    #[arg(long = "as", value_name = "USER", env = "VOLGATE_AS", hide_env_values = true)]
    user: Option<String>,
    /// A group of that user; may be given several times
    #[arg(
        long = "as-group",
        value_name = "GROUP",
        requires = "user",
        value_delimiter = '\n',
        env = "VOLGATE_AS_GROUP",
        hide_env_values = true
    )]
    groups: Vec<String>,
    /// The operation to simulate. An update is judged against --old, as the webhook judges it
    #[arg(long, value_enum, ignore_case = true, default_value_t = Operation::Create, value_name = "OPERATION")]
    operation: Operation,
    /// The objects as they were before the update: files or folders; may be given several times
    #[arg(long, value_name = "PATH", required_if_eq("operation", "UPDATE"))]
    old: Vec<PathBuf>,
    /// Show what changed since the current branch left that commit: findings of objects in files that changed, and those elsewhere
    /// that are new
    #[arg(long, value_name = "COMMIT", env = "VOLGATE_SINCE", hide_env_values = true)]
    since: Option<String>,
    #[command(flatten)]
    output: Output,
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

/// The operation to simulate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "UPPER")]
enum Operation {
    /// The objects are new
    Create,
    /// The objects replace those in --old
    Update,
}

/// The most bytes of manifests for which a SARIF report has fixes.
const MOST_WITH_FIXES: u64 = 16 << 20;

impl Judged {
    fn all_paths(&self) -> Vec<PathBuf> {
        self.paths.iter().chain(&self.filename).cloned().collect()
    }

    /// Whether the documents of all manifests are needed at once: to change them, to hold them against others, or to say of each
    /// which policies are about it.
    fn needs_documents(&self, given: &Given, extra: &Extra, changes: &Changes) -> bool {
        let has_fixes = self.output.writes(Format::Sarif) && given.found.texts.bytes() <= MOST_WITH_FIXES;
        changes.are_asked() || extra.since.is_some() || self.explain_policies || has_fixes
    }

    /// Fills in what neither a flag nor a variable says. What leaves files out counts from the folder of its own file.
    fn fill_in(&mut self, settings: Settings) -> Result<Exclude> {
        let Settings { mut config, folder, .. } = settings;
        let exclude = if self.exclude.is_empty() {
            Exclude::from_folder(&folder, &config.exclude)
        } else {
            Exclude::new(&self.exclude)
        };
        if self.paths.is_empty() && self.filename.is_empty() {
            self.paths = std::mem::take(&mut config.paths);
        }
        self.input.fill_in(&mut config);
        or(&mut self.groups, config.groups);
        let reports =
            config.reports.into_iter().map(|report| Further { format: report.format, file: report.file });
        or(&mut self.output.report, reports.collect());
        self.user = self.user.take().or(config.user);
        self.output.format = self.output.format.or(config.format);
        self.output.fail_on = self.output.fail_on.or(config.fail_on);
        self.output.quiet |= config.quiet == Some(true);
        self.no_policies_from_input |= config.policies_from_input == Some(false);
        self.no_ignore_comments |= config.ignore_comments == Some(false);
        exclude.map_err(|why| anyhow!(why))
    }
}

/// What a run has besides the manifests and policies.
struct Extra {
    settings: Option<PathBuf>,
    since: Option<Since>,
    /// The objects before an update.
    old: Vec<Input>,
}

pub(super) fn run(args: Args) -> Result<ExitCode> {
    let changes = Changes { show: args.diff, write: args.fix, after: args.fix, ..Changes::default() };
    run_with(args.judged, &changes)
}

/// Judges, and changes what is to be changed.
pub(super) fn run_with(mut args: Judged, changes: &Changes) -> Result<ExitCode> {
    let prepared = args.input.config.settings().and_then(|settings| {
        let file = settings.file.clone();
        Ok((file, args.fill_in(settings)?))
    });
    let (settings, exclude) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return args.output.refuse(error),
    };
    if let Some(file) = settings.as_ref().filter(|_| !args.output.quiet) {
        complain(&format!("volgate: settings from {}\n", file.display()));
    }
    match prepare(&args, &exclude, settings, changes) {
        Ok((given, extra, progress)) if args.needs_documents(&given, &extra, changes) => {
            judge(&args, given, &extra, changes, progress)
        }
        Ok((given, extra, progress)) => judge_in_portions(&args, given, &extra, progress),
        Err(error) => args.output.refuse(error),
    }
}

/// Reads all that a run needs.
fn prepare(
    args: &Judged,
    exclude: &Exclude,
    settings: Option<PathBuf>,
    changes: &Changes,
) -> Result<(Given, Extra, Progress)> {
    let progress = Progress::start(args.output.quiet);
    let paths = args.all_paths();
    if paths.is_empty() {
        bail!("name the files or folders that are to be judged, or write them as `paths` into .volgate.yaml");
    }
    if args.operation == Operation::Create && !args.old.is_empty() {
        bail!("--old is for an update: add --operation UPDATE");
    }
    if args.user.is_none() && !args.groups.is_empty() {
        bail!("groups are of a user: name one with --as, or as `user` in .volgate.yaml");
    }
    let since = args.since.as_deref().map(Since::read).transpose()?;
    let of = &args.input;
    let rendering = Rendering { falls_back: !changes.are_asked(), ..of.rendering() };
    let mut given = Given::find(&paths, rendering, Some(exclude), of.policies(), &of.state)?;
    let user = args.user.as_deref();
    given.set_requester(user.map(|user| Requester::impersonated(user, &args.groups)));
    let mut old = input::read(&args.old);
    given.found.faults.append(&mut old.faults);
    Ok((given, Extra { settings, since, old: old.inputs }, progress))
}

fn judge(
    args: &Judged,
    mut given: Given,
    extra: &Extra,
    changes: &Changes,
    progress: Progress,
) -> Result<ExitCode> {
    given.found.read();
    if !args.no_policies_from_input {
        given.add_policies_from_input();
    }
    progress.step(Step::Judging);
    // Cheap: the documents are shared.
    let old = given.found.inputs.clone();
    let edits = args.output.writes(Format::Sarif) && !changes.after;
    let mut repaired = changes.are_asked().then(|| {
        let wanted = Wanted { edits, rendered: changes.folder.is_some(), ..changes.claims.clone() };
        let run = given.run(args.input.namespace());
        run.repair_for(&verdicts(args, &run, &old, extra), &old, &wanted)
    });
    // What is written is what is shown: with --since nothing but the files that changed.
    let touched = extra.since.as_ref().map(|since| since.changed(&old));
    let is_touched = |index: usize| touched.as_ref().is_none_or(|touched| touched.get(index) == Some(&true));
    if let Some(repaired) = &mut repaired {
        repaired.repairs.retain(|repair| is_touched(repair.input));
        for (index, (input, old)) in repaired.inputs.iter_mut().zip(&old).enumerate() {
            if !is_touched(index) {
                *input = old.clone();
            }
        }
    }
    if let Some(repaired) = repaired.as_ref().filter(|repaired| changes.after && !repaired.repairs.is_empty())
    {
        given.set_inputs(repaired.inputs.clone(), args.input.policies())?;
    }
    let inputs = &given.found.inputs;
    let rendering = args.input.rendering();
    let run = given.run(args.input.namespace());
    let mut report = verdicts(args, &run, inputs, extra);
    report.settings = extra.settings.as_ref().map(|file| file.display().to_string());
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
            Some(folder) => patch_folder::write(folder, &component(&repaired.repairs, after, is_touched))?,
            None => {
                let texts = old.iter().zip(&repaired.inputs).enumerate();
                for (index, (old, new)) in texts.filter(|(index, _)| is_touched(*index)) {
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
    if let Some(since) = &extra.since {
        narrow(args, &run, extra, since, inputs, &mut report)?;
    }
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
    let beside = Beside {
        diffs: &diffs,
        fixed: changes.write || changes.folder.is_some(),
        to_stderr: fixes_stdin(args, changes),
        policies: given.policies.notice.as_deref(),
    };
    args.output.publish(&report, inputs, beside)
}

/// Judges files of which nothing is changed, with a part of them in memory.
fn judge_in_portions(args: &Judged, mut given: Given, extra: &Extra, progress: Progress) -> Result<ExitCode> {
    let with_policies = !args.no_policies_from_input;
    let has_fixes = !args.output.writes(Format::Sarif);
    progress.step(Step::Judging);
    let comments = !args.no_ignore_comments;
    let mut report = given.judge_in_portions(args.input.namespace(), with_policies, &extra.old, comments);
    report.settings = extra.settings.as_ref().map(|file| file.display().to_string());
    values::advise(&given, args.input.rendering(), &mut report);
    given.add_found(&mut report);
    if !has_fixes {
        let message = format!(
            "the report has no fixes, which are made of at most {} MiB of manifests: `volgate fix` writes them",
            MOST_WITH_FIXES >> 20
        );
        report.notices.insert(0, Notice { spot: None, message });
    }
    drop(progress);
    let beside = Beside { policies: given.policies.notice.as_deref(), ..Beside::default() };
    args.output.publish(&report, &given.found.inputs, beside)
}

/// The report of all manifests, with what their comments excuse.
fn verdicts<'i>(args: &Judged, run: &Run<'_>, inputs: &'i [Input], extra: &Extra) -> Report<'i> {
    let mut report = run.check_update(inputs, &extra.old);
    if !args.no_ignore_comments {
        excuse_by_comments(&mut report, inputs, run.policies);
    }
    report
}

/// Leaves out what has nothing to do with the change since a commit.
fn narrow(
    args: &Judged,
    run: &Run<'_>,
    extra: &Extra,
    since: &Since,
    inputs: &[Input],
    report: &mut Report<'_>,
) -> Result<()> {
    let paths = args.all_paths();
    let about_all =
        args.input.policies().iter().chain(args.input.state.files()).chain(&args.old).chain(&extra.settings);
    let changed = since.changed(inputs);
    let everything = |why: &str| Notice { spot: None, message: format!("everything is shown: {why}") };
    // What all verdicts rest on may change each of them.
    if let Some(path) = about_all.into_iter().find(|path| since.touches(path)) {
        let why =
            format!("{} changed since {}, or lies outside of the repository", path.display(), since.name);
        report.notices.insert(0, everything(&why));
    } else if let Some(old) = since.old(inputs, &changed, &paths)? {
        let before = verdicts(args, run, &old, extra);
        keep_changed(report, inputs, &changed, &before, &since.name);
    } else {
        report.notices.insert(0, everything(&format!("very many files changed since {}", since.name)));
    }
    Ok(())
}

/// What mutation changes in the objects of one text.
fn changes_of<'r>(report: &'r Report<'_>, input: usize) -> impl Iterator<Item = &'r Change> {
    report
        .changes
        .iter()
        .filter(move |change| report.objects.get(change.manifest).is_some_and(|object| object.input == input))
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

/// Whether stdin is fixed to stdout.
fn fixes_stdin(args: &Judged, changes: &Changes) -> bool {
    changes.write && args.all_paths().iter().any(|path| path.as_os_str() == "-")
}

fn write_fixed(input: &Input, old: &str, new: &str) -> Result<()> {
    if input.source.name == bytes::STDIN {
        // What is not UTF-8 cannot be given back as it was.
        let is_text = input.errors().all(|error| error.kind != SourceErrorKind::Encoding);
        return if is_text { say(new) } else { Ok(()) };
    }
    if old == new {
        return Ok(());
    }
    replace(Path::new(&input.source.name), new)
}
