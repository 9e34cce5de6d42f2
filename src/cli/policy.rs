use super::input_args::NamespaceArgs;
use super::policies::{self, Loaded};
use super::state::StateArgs;
use super::{DENIED, FAILED, complain, input, say};
use crate::check::{Input, Report, Run, effective};
use crate::model::printable;
use crate::policy::{converted, schema_json};
use anyhow::{Result, bail};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

/// Work on policies: look for mistakes, compare two, translate from others
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Look for mistakes in policies, and for what has no effect
    ///
    /// Exit status 0: none, 1: something has no effect, 2: a policy cannot be used.
    Lint {
        /// Policy files or folders
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Show which objects are judged differently by two sets of policies
    ///
    /// Exit status 0: none, 1: some are, 2: something could not be judged.
    Diff(DiffArgs),
    /// Print the JSON Schema of a policy
    ///
    /// Editors check a policy against it that begins with `# yaml-language-server: $schema=FILE`.
    Schema,
    /// Translate a policy of Kyverno or Gatekeeper as far as it is about storage
    ///
    /// Prints the StoragePolicy, and on stderr what cannot be said. Exit status 0: everything is translated, 1: a part is
    /// not, 2: nothing is.
    From {
        /// The file, or - for stdin
        file: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct DiffArgs {
    /// The old policies: a file or folder
    old: PathBuf,
    /// The new policies: a file or folder
    new: PathBuf,
    /// Manifests to hold against both
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    namespace: NamespaceArgs,
    /// The form of the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    match &args.command {
        Command::Lint { paths } => lint(paths),
        Command::Diff(args) => diff(args),
        Command::Schema => say(&schema_json()).map(|()| ExitCode::SUCCESS),
        Command::From { file } => from(file),
    }
}

fn lint(paths: &[PathBuf]) -> Result<ExitCode> {
    let Loaded { set, notices, .. } = policies::read(paths)?;
    let mut text: String = notices.iter().map(|notice| format!("{}\n", notice.message)).collect();
    let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let policies = match set.policies().len() {
        1 => "1 policy".to_owned(),
        many => format!("{many} policies"),
    };
    text.push_str(&format!("{policies}: {}\n", count(notices.len(), "notice")));
    say(&text)?;
    Ok(if notices.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(DENIED) })
}

fn diff(args: &DiffArgs) -> Result<ExitCode> {
    let [old, new] = [&args.old, &args.new].map(load);
    let (old, new) = (old?, new?);
    let (found, context) = (input::read(&args.paths), args.state.read()?);
    context.notices.iter().for_each(|notice| complain(&format!("volgate: {}\n", notice.message)));
    let judge = |loaded: &Loaded| {
        let run = Run { namespace: args.namespace.name(), ..Run::new(&loaded.set, super::today()) };
        let run = run.in_cluster(&context.inputs);
        lines(&run.check(&found.inputs), &found.inputs)
    };
    let (before, after) = (judge(&old), judge(&new));
    let mut differences = Vec::new();
    for object in before.objects.iter().chain(&after.objects).collect::<BTreeSet<_>>() {
        let of = |judged: &Judged| judged.of(object);
        let (before, after) = (of(&before), of(&after));
        if before != after {
            differences.push((object, before, after));
        }
    }
    let faults: Vec<String> = before
        .faults
        .union(&after.faults)
        .cloned()
        .chain(found.faults.iter().chain(&context.faults).map(|fault| fault.message.clone()))
        .collect();
    let text = match args.format {
        Format::Json => {
            let objects = differences.iter().map(|(object, before, after)| {
                serde_json::json!({"object": object.1, "place": object.0,
                                   "before": {"verdict": verdict(before), "said": before},
                                   "after": {"verdict": verdict(after), "said": after}})
            });
            let objects: Vec<_> = objects.collect();
            format!("{:#}\n", serde_json::json!({"objects": objects, "errors": faults}))
        }
        Format::Text => {
            let mut text = String::new();
            for ((place, object), before, after) in &differences {
                text.push_str(&format!("{object} at {place}: {} → {}\n", verdict(before), verdict(after)));
                text.extend(before.difference(after).map(|line| format!("  - {line}\n")));
                text.extend(after.difference(before).map(|line| format!("  + {line}\n")));
            }
            let objects = if differences.len() == 1 { "object is" } else { "objects are" };
            text.push_str(&format!("{} {objects} judged differently\n", differences.len()));
            printable(&text).into_owned()
        }
    };
    say(&text)?;
    if !faults.is_empty() {
        if args.format == Format::Text {
            complain(
                &faults.iter().map(|fault| format!("volgate: cannot judge: {fault}\n")).collect::<String>(),
            );
        }
        return Ok(ExitCode::from(FAILED));
    }
    Ok(if differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(DENIED) })
}

fn load(path: &PathBuf) -> Result<Loaded> {
    policies::read(std::slice::from_ref(path))
}

/// What a run said of each object.
#[derive(Default)]
struct Judged {
    /// Place and name of each object.
    objects: BTreeSet<(String, String)>,
    /// What was said of one, by the same.
    said: std::collections::BTreeMap<(String, String), BTreeSet<String>>,
    faults: BTreeSet<String>,
}

impl Judged {
    fn of(&self, object: &(String, String)) -> BTreeSet<String> {
        self.said.get(object).cloned().unwrap_or_default()
    }
}

/// The strictest that was said.
fn verdict(said: &BTreeSet<String>) -> &'static str {
    let is = |word: &str| said.iter().any(|line| line.starts_with(word));
    match () {
        () if is("Deny") => "denied",
        () if is("Warn") => "warned of",
        () if is("changed") => "changed",
        () => "admitted",
    }
}

fn lines(report: &Report<'_>, inputs: &[Input]) -> Judged {
    let mut judged = Judged::default();
    judged.faults.extend(report.faults.iter().map(|fault| fault.message.clone()));
    let place = |manifest: usize| {
        let manifest = report.manifests.get(manifest);
        manifest.map_or_else(String::new, |manifest| manifest.place(inputs))
    };
    let findings = report.findings.iter().map(|located| {
        let finding = &located.finding;
        let line = format!("{} {} {}: {}", effective(finding), finding.rule, finding.field, finding.message);
        (located.manifest, located.object.to_string(), line)
    });
    let changes =
        report.changes.iter().flat_map(|change| {
            change.patch.0.iter().map(|operation| {
                (change.manifest, change.object.to_string(), format!("changed: {operation}"))
            })
        });
    for (manifest, object, line) in findings.chain(changes) {
        let object = (place(manifest), object);
        judged.said.entry(object.clone()).or_default().insert(line);
        judged.objects.insert(object);
    }
    judged
}

fn from(file: &PathBuf) -> Result<ExitCode> {
    let found = input::read(std::slice::from_ref(file));
    if let Some(fault) = found.faults.first() {
        bail!("{}", fault.message);
    }
    let mut text = String::new();
    let mut unsaid = Vec::new();
    for input in &found.inputs {
        if let Some(error) = input.errors().next() {
            bail!("{}: {error}", input.source.name);
        }
        for document in input.documents() {
            let translated = converted(&document.value);
            unsaid.extend(translated.unsaid);
            for policy in translated.policies {
                if !text.is_empty() {
                    text.push_str("---\n");
                }
                text.push_str(&serde_saphyr::to_string(&policy).unwrap_or_else(|_| policy.to_string()));
            }
        }
    }
    say(&text)?;
    complain(&unsaid.iter().map(|line| format!("volgate: not translated: {line}\n")).collect::<String>());
    Ok(match (text.is_empty(), unsaid.is_empty()) {
        (true, _) => ExitCode::from(FAILED),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::from(DENIED),
    })
}
