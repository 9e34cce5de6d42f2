//! Charts and kustomizations as the manifests that they make, by the tools that people have installed for it.

use super::walk::{has_kustomization, is_kustomization};
use crate::check::Fault;
use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How many seconds one rendering may take when nobody says how many.
const LONGEST: u64 = 120;
/// The most bytes that one rendering may make.
const MOST_BYTES: u64 = 256 << 20;
/// How much of what a tool complains is shown.
const MOST_COMPLAINT: usize = 2_000;

/// What a user says of charts.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Options {
    /// A file with values for the Helm charts that are rendered; may be given several times
    #[arg(
        long,
        value_name = "FILE",
        value_delimiter = '\n',
        env = "VOLGATE_HELM_VALUES",
        hide_env_values = true,
        help_heading = "Charts and kustomizations"
    )]
    pub(super) helm_values: Vec<PathBuf>,
    /// A value for the Helm charts that are rendered, as in persistence.enabled=true; may be given several times
    #[arg(
        long,
        value_name = "KEY=VALUE",
        value_delimiter = '\n',
        env = "VOLGATE_HELM_SET",
        hide_env_values = true,
        help_heading = "Charts and kustomizations"
    )]
    pub(super) helm_set: Vec<String>,
    /// Judge the files of a kustomization as they are, and no chart
    #[arg(
        long,
        env = "VOLGATE_NO_RENDER",
        hide_env_values = true,
        value_parser = clap::builder::FalseyValueParser::new(),
        help_heading = "Charts and kustomizations"
    )]
    pub(super) no_render: bool,
    /// How many seconds one chart or kustomization may take to be rendered
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = LONGEST,
        value_parser = clap::value_parser!(u64).range(1..=3600),
        env = "VOLGATE_RENDER_TIMEOUT",
        hide_env_values = true,
        help_heading = "Charts and kustomizations"
    )]
    pub(super) render_timeout: u64,
}

impl Options {
    /// Whether charts and kustomizations are rendered.
    pub(super) fn is_on(&self) -> bool {
        !self.no_render
    }

    fn longest(&self) -> Duration {
        Duration::from_secs(self.render_timeout)
    }
}

/// One file of what was made.
#[derive(Debug, PartialEq)]
pub(super) struct Rendered {
    /// The template that it comes from, or the folder.
    pub(super) origin: String,
    /// The documents.
    pub(super) text: Vec<u8>,
}

/// Something that is rendered.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Source {
    /// A Helm chart: a folder or an archive.
    Chart(PathBuf),
    /// A folder with a kustomization.
    Kustomization(PathBuf),
}

impl Source {
    /// What a path is that a user named; `alone` says that it is the only one, and not one of a wildcard's.
    pub(super) fn of(path: &Path, alone: bool) -> Option<Self> {
        if path.is_dir() {
            if path.join("Chart.yaml").is_file() {
                return Some(Self::Chart(path.to_owned()));
            }
            return has_kustomization(path).then(|| Self::Kustomization(path.to_owned()));
        }
        if path.extension().is_some_and(|ending| ending == "tgz") {
            return Some(Self::Chart(path.to_owned()));
        }
        let folder =
            path.parent().map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
        folder
            .filter(|_| alone && is_kustomization(path))
            .map(|folder| Self::Kustomization(folder.to_owned()))
    }

    /// The manifests that it makes; `further` are values of a chart beyond the user's.
    ///
    /// # Errors
    /// Without its tool, or when that fails, takes too long or makes too much.
    pub(super) fn render(
        &self,
        namespace: &str,
        options: &Options,
        further: &[String],
    ) -> Result<Vec<Rendered>, Fault> {
        match self {
            Self::Chart(chart) => render_chart(&no_option(chart), namespace, options, further),
            Self::Kustomization(folder) => build(&no_option(folder), options.longest()),
        }
    }
}

/// The path as no tool takes it for an option: a repository may hold a folder that is called as one.
fn no_option(path: &Path) -> Cow<'_, Path> {
    match path.as_os_str().as_encoded_bytes().starts_with(b"-") {
        true => Cow::Owned(Path::new(".").join(path)),
        false => Cow::Borrowed(path),
    }
}

fn render_chart(
    chart: &Path,
    namespace: &str,
    options: &Options,
    further: &[String],
) -> Result<Vec<Rendered>, Fault> {
    let mut arguments: Vec<OsString> = vec!["template".into(), "release-name".into(), chart.into()];
    arguments.extend(["--namespace".into(), namespace.into()]);
    for file in &options.helm_values {
        arguments.extend(["--values".into(), file.into()]);
    }
    for value in options.helm_set.iter().chain(further) {
        arguments.extend(["--set".into(), value.into()]);
    }
    let what = format!("render the Helm chart {}", chart.display());
    let help = format!(
        "install helm, or render it elsewhere: helm template NAME {} | volgate check -",
        chart.display()
    );
    let text = first_of(&[("helm", &arguments)], options.longest(), &what, &help)?;
    Ok(by_template(&text, chart))
}

fn build(folder: &Path, longest: Duration) -> Result<Vec<Rendered>, Fault> {
    let build: [OsString; 2] = ["build".into(), folder.into()];
    let kustomize: [OsString; 2] = ["kustomize".into(), folder.into()];
    let what = format!("build the kustomization {}", folder.display());
    let help = "install kustomize or kubectl, or judge the files as they are with --no-render";
    let text = first_of(&[("kustomize", &build), ("kubectl", &kustomize)], longest, &what, help)?;
    Ok(vec![Rendered { origin: folder.display().to_string(), text }])
}

/// Runs the first of the tools that is installed; what it writes to stdout.
fn first_of(
    tools: &[(&str, &[OsString])],
    longest: Duration,
    what: &str,
    help: &str,
) -> Result<Vec<u8>, Fault> {
    let fault = |why: &str, help: Option<&str>| Fault {
        spot: None,
        message: format!("failed to {what}: {why}"),
        help: help.map(str::to_owned),
    };
    for (tool, arguments) in tools {
        match run(tool, arguments, longest) {
            Ok(text) => return Ok(text),
            Err(Failure::NotThere) => {}
            Err(Failure::Because(why)) => return Err(fault(&why, None)),
        }
    }
    let names: Vec<&str> = tools.iter().map(|(tool, _)| *tool).collect();
    Err(fault(&format!("there is no {} in PATH", names.join(" or ")), Some(help)))
}

/// Why a tool gave nothing.
pub(super) enum Failure {
    /// It is not installed.
    NotThere,
    /// Anything else, for a person.
    Because(String),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Because(error.to_string())
    }
}

/// What a tool writes to stdout, if it ends well and in time. It writes to files, since what it starts itself could hold a
/// pipe open after its end.
pub(super) fn run(tool: &str, arguments: &[OsString], longest: Duration) -> Result<Vec<u8>, Failure> {
    let (mut out, mut complaint) = (tempfile::tempfile()?, tempfile::tempfile()?);
    let mut command = Command::new(tool);
    command.args(arguments).stdin(Stdio::null());
    command.stdout(out.try_clone()?).stderr(complaint.try_clone()?);
    let mut child = command.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::NotThere,
        _ => Failure::Because(format!("failed to run {tool}: {error}")),
    })?;
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        let too_long = start.elapsed() > longest;
        if too_long || out.metadata()?.len() > MOST_BYTES || complaint.metadata()?.len() > MOST_BYTES {
            // It may have ended by itself in the meantime.
            let _ = child.kill();
            child.wait()?;
            let why =
                if too_long { format!("did not end within {} s", longest.as_secs()) } else { too_much() };
            return Err(Failure::Because(format!("{tool} {why}")));
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let text = contents(&mut out)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(Failure::Because(format!("{tool} {}", too_much())));
    }
    if status.success() {
        return Ok(text);
    }
    let complaint = contents(&mut complaint)?;
    let complaint: String = String::from_utf8_lossy(&complaint).trim().chars().take(MOST_COMPLAINT).collect();
    Err(Failure::Because(format!("{tool} ended with {status}: {complaint}")))
}

fn too_much() -> String {
    format!("wrote more than {} MiB", MOST_BYTES >> 20)
}

fn contents(file: &mut File) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What helm wrote, by the template that its comment names. Paths begin with the chart's name there, and with the chart's
/// own path here.
fn by_template(text: &[u8], chart: &Path) -> Vec<Rendered> {
    const SOURCE: &[u8] = b"# Source: ";
    let mut files: Vec<Rendered> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut origin = chart.display().to_string();
    let mut document: Vec<u8> = Vec::new();
    let mut put = |origin: &str, document: &mut Vec<u8>| {
        if document.is_empty() {
            return;
        }
        let document = std::mem::take(document);
        let at = *known.entry(origin.to_owned()).or_insert(files.len());
        match files.get_mut(at) {
            Some(file) => file.text.extend(document),
            None => files.push(Rendered { origin: origin.to_owned(), text: document }),
        }
    };
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if line.trim_ascii_end() == b"---" {
            put(&origin, &mut document);
        } else if let Some(path) = line.strip_prefix(SOURCE) {
            let path = String::from_utf8_lossy(path.trim_ascii_end());
            let within = path.split_once('/').map_or(&*path, |(_, within)| within);
            origin = chart.join(within).display().to_string();
        }
        document.extend(line);
    }
    put(&origin, &mut document);
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    const A_MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn documents_go_to_their_templates() {
        let text = b"---\n# Source: web/templates/a.yaml\na: 1\n---\n# Source: web/charts/db/templates/b.yaml\nb: 1\n---\n\
            # Source: web/templates/a.yaml\na: 2\n";
        let files = by_template(text, Path::new("charts/web-1"));
        let of = |origin: &str| {
            let file = files.iter().find(|file| file.origin == origin);
            file.map(|file| String::from_utf8_lossy(&file.text).into_owned()).unwrap_or_default()
        };
        assert_eq!(files.len(), 2);
        assert_eq!(
            of("charts/web-1/templates/a.yaml"),
            "---\n# Source: web/templates/a.yaml\na: 1\n---\n# Source: web/templates/a.yaml\na: 2\n"
        );
        assert!(of("charts/web-1/charts/db/templates/b.yaml").ends_with("b: 1\n"));
    }

    #[test]
    fn no_path_is_an_option_of_the_tool() {
        assert_eq!(no_option(Path::new("--post-renderer=x")), Path::new("./--post-renderer=x"));
        assert_eq!(no_option(Path::new("charts/web")), Path::new("charts/web"));
    }

    fn shell(script: &str, longest: Duration) -> Result<Vec<u8>, String> {
        let arguments: [OsString; 2] = ["-c".into(), script.into()];
        run("sh", &arguments, longest).map_err(|failure| match failure {
            Failure::NotThere => "there is no sh".to_owned(),
            Failure::Because(why) => why,
        })
    }

    #[test]
    fn a_tool_that_fails_is_quoted_and_one_that_hangs_is_ended() {
        assert_eq!(shell("echo a: 1", A_MINUTE), Ok(b"a: 1\n".to_vec()));
        let why = shell("echo no such value >&2; exit 3", A_MINUTE).unwrap_err();
        assert!(why.contains("exit status: 3") && why.ends_with("no such value"), "{why}");
        // What it leaves behind holds nothing up.
        let why = shell("sleep 60 & sleep 60", Duration::from_millis(50)).unwrap_err();
        assert_eq!(why, "sh did not end within 0 s");
        let why = shell("head -c 300000000 /dev/zero", A_MINUTE).unwrap_err();
        assert_eq!(why, "sh wrote more than 256 MiB");
        assert!(matches!(run("volgate-no-such-tool", &[], A_MINUTE), Err(Failure::NotThere)));
    }
}
