use super::input::{self, Found};
use super::policies::{self, Refused};
use super::{DENIED, complain, say};
use crate::check::{Directives, Input, Outcome, Run, every_kind};
use crate::model::printable;
use crate::policy::PolicySet;
use crate::report;
use crate::rule::Requester;
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use walkdir::WalkDir;

/// Test policies by cases
///
/// DIR holds policies, and in DIR/tests a folder for each, called like its file: DIR/tests/NAME/allow, warn and deny hold the
/// cases, NAME/cluster.yaml all that the cluster holds. Comments of a case say what is found (`# expect: denied durable-data
/// spec.x`) and changed (`# change: …`), who asks (`# user:`, `# group:`), the file with the objects as they are (`# old:`), and
/// the day (`# today:`). Exit status 0: all is as expected, 1: some case is not, 2: something could not be read.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder with the policies
    #[arg(default_value = "policies")]
    dir: PathBuf,
    /// Where a report in the form of JUnit goes
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Fail where no case shows what a rule does
    #[arg(long)]
    require_coverage: bool,
}

/// The cases of one policy file.
struct Suite {
    name: String,
    cases: Vec<Case>,
    /// The rules that no case shows.
    unshown: Vec<String>,
}

struct Case {
    name: String,
    /// What is not as expected, a line each.
    differences: Vec<String>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let tests = args.dir.join("tests");
    let folders = folders(&tests)?;
    if folders.is_empty() {
        bail!(
            "there are no cases in {}: put them into {}/NAME/deny and the like",
            args.dir.display(),
            tests.display()
        );
    }
    let mut suites = Vec::new();
    for folder in folders {
        suites.push(suite(&args.dir, &tests, &folder)?);
    }
    if let Some(path) = &args.junit {
        std::fs::write(path, junit(&suites))
            .with_context(|| format!("failed to write {}", path.display()))?;
    }
    say(&printable(&text(&suites)))?;
    let failed = suites.iter().flat_map(|suite| &suite.cases).any(|case| !case.differences.is_empty());
    let uncovered = args.require_coverage && suites.iter().any(|suite| !suite.unshown.is_empty());
    Ok(if failed || uncovered { ExitCode::from(DENIED) } else { ExitCode::SUCCESS })
}

/// The folders in a folder, by name.
fn folders(path: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(path).with_context(|| format!("failed to read {}", path.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("failed to read {}", path.display()))?;
        if entry.path().is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn suite(dir: &Path, tests: &Path, name: &str) -> Result<Suite> {
    let folder = tests.join(name);
    let policy = policy_file(dir, tests, name).with_context(|| {
        format!("there is no policy {name}.yaml in {} for the cases in {}", dir.display(), folder.display())
    })?;
    let policies = match policies::read(&[policy]) {
        Ok(loaded) => loaded.set,
        Err(error) if error.is::<Refused>() => {
            complain(&format!("volgate: {error:#}\n"));
            bail!("the policy {name} cannot be tested");
        }
        Err(error) => return Err(error),
    };
    let cluster = folder.join("cluster.yaml");
    let mut cluster = if cluster.is_file() { read(&cluster)? } else { Vec::new() };
    // The file is all that the cluster holds, also of a kind that is not in it.
    if !cluster.is_empty() {
        cluster.push(every_kind());
    }
    let mut suite = Suite { name: name.to_owned(), cases: Vec::new(), unshown: Vec::new() };
    let mut shown = BTreeSet::new();
    for path in files(&folder)? {
        let verdict = path.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        let verdict = verdict.unwrap_or_default();
        if path.starts_with(folder.join("old")) || path == folder.join("cluster.yaml") {
            continue;
        }
        if !matches!(verdict.as_str(), "allow" | "warn" | "deny") {
            bail!("{} is in none of the folders allow, warn and deny", path.display());
        }
        let (differences, outcome) = judge(&policies, &cluster, &path, &verdict)?;
        shown.extend(outcome.rules);
        let name = path.strip_prefix(&folder).unwrap_or(&path).display().to_string();
        suite.cases.push(Case { name, differences });
    }
    let rules = policies.policies().iter().flat_map(|policy| &policy.rules);
    suite.unshown = rules
        .filter(|rule| !shown.contains(&(rule.id, rule.rule.name().map(str::to_owned))))
        .map(|rule| rule.rule.name().map_or_else(|| rule.id.to_owned(), |name| format!("{} {name}", rule.id)))
        .collect();
    Ok(suite)
}

/// The file of that policy, in the folder or deeper, the tests aside.
fn policy_file(dir: &Path, tests: &Path, name: &str) -> Option<PathBuf> {
    let entries = WalkDir::new(dir).sort_by_file_name().into_iter();
    let mut files = entries.filter_entry(|entry| entry.path() != tests).filter_map(std::result::Result::ok);
    let is_meant = |path: &Path| {
        path.file_stem().is_some_and(|stem| stem == name)
            && matches!(path.extension().and_then(|ending| ending.to_str()), Some("yaml" | "yml" | "json"))
    };
    files
        .find(|entry| entry.file_type().is_file() && is_meant(entry.path()))
        .map(walkdir::DirEntry::into_path)
}

/// The manifests in a folder and beneath it, by name.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.with_context(|| format!("failed to read {}", folder.display()))?;
        let ending = entry.path().extension().and_then(|ending| ending.to_str());
        if entry.file_type().is_file() && matches!(ending, Some("yaml" | "yml" | "json")) {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

fn read(path: &Path) -> Result<Vec<Input>> {
    let Found { inputs, faults, .. } = input::read(&[path.to_owned()]);
    match faults.first() {
        Some(fault) => bail!("{}", fault.message),
        None => Ok(inputs),
    }
}

/// What of a case is not as expected, and what came of it.
fn judge(
    policies: &PolicySet,
    cluster: &[Input],
    path: &Path,
    verdict: &str,
) -> Result<(Vec<String>, Outcome)> {
    let case = read(path)?;
    let text = case.first().map_or("", |input| &*input.source.text);
    let directives = match Directives::read(text) {
        Ok(directives) => directives,
        Err((line, why)) => bail!("{}:{line}: {why}", path.display()),
    };
    let old = match &directives.old {
        Some(old) => read(&path.parent().unwrap_or(Path::new(".")).join(old))?,
        None => Vec::new(),
    };
    let requester = directives.user.as_ref().map(|user| Requester::impersonated(user, &directives.groups));
    let today = directives.today.unwrap_or_else(super::today);
    let run = Run { requester: requester.as_ref(), ..Run::new(policies, today).in_cluster(cluster) };
    let outcome = run.judge_case(&case, &old);
    let mut differences = outcome.faults.clone();
    if outcome.verdict() != verdict {
        differences.push(format!("the verdict is {}, and the folder says {verdict}", outcome.verdict()));
    }
    let sets = [
        (&outcome.findings, &directives.findings, "found", "expect"),
        (&outcome.changes, &directives.changes, "changed", "change"),
    ];
    for (found, wanted, what, key) in sets {
        differences.extend(found.difference(wanted).map(|line| format!("{what}, and not expected: {line}")));
        differences.extend(
            wanted.difference(found).map(|line| format!("expected, and not {what}: # {key}: {line}")),
        );
    }
    Ok((differences, outcome))
}

fn text(suites: &[Suite]) -> String {
    let mut text = String::new();
    for suite in suites {
        for case in suite.cases.iter().filter(|case| !case.differences.is_empty()) {
            text.push_str(&format!("failed: {}/{}\n", suite.name, case.name));
            text.extend(case.differences.iter().map(|line| format!("  {line}\n")));
        }
    }
    let widest = suites.iter().map(|suite| suite.name.len()).max().unwrap_or(0).max("policy".len());
    text.push_str(&format!("{:<widest$}  cases  failed  rules that no case shows\n", "policy"));
    for suite in suites {
        let failed = suite.cases.iter().filter(|case| !case.differences.is_empty()).count();
        let line = format!(
            "{:<widest$}  {:>5}  {failed:>6}  {}",
            suite.name,
            suite.cases.len(),
            suite.unshown.join(", ")
        );
        text.push_str(&format!("{}\n", line.trim_end()));
    }
    text
}

fn junit(suites: &[Suite]) -> String {
    let told = |case: &Case| {
        let message = case.differences.first()?.clone();
        Some(report::Told {
            tag: report::Tag::Failure,
            rule: None,
            message,
            text: case.differences.join("\n"),
        })
    };
    let case = |case: &Case| report::Case { name: case.name.clone(), told: told(case).into_iter().collect() };
    let suite = |suite: &Suite| report::Suite {
        name: suite.name.clone(),
        is_file: false,
        cases: suite.cases.iter().map(case).collect(),
    };
    report::junit_xml(&suites.iter().map(suite).collect::<Vec<_>>())
}
