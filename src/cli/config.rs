//! `.volgate.yaml`: what a repository says once, in place of the flags that every run of `check` would repeat.

use super::output::FailOn;
use super::policies::Refused;
use crate::check::{Fault, Input, Report, Spot, manifests};
use crate::model::FieldPath;
use crate::policy::schema_faults;
use crate::report::Format;
use crate::rule::PolicyFault;
use crate::schema;
use anyhow::{Result, anyhow, bail};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::path::{Component, Path, PathBuf};

/// The name of the file.
const NAME: &str = ".volgate.yaml";

/// The settings of `volgate check` and `volgate explain` in a repository. Paths count from the folder of the file; a flag or a
/// VOLGATE_ variable goes before what is written here.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Config {
    /// What is judged when no path is named: files, folders, patterns, charts and kustomizations.
    #[serde(default)]
    pub(super) paths: Vec<PathBuf>,
    /// Policy files or folders (`--policy`). Without any, the policies of the cluster state or the built-in baseline.
    #[serde(default)]
    pub(super) policies: Vec<PathBuf>,
    /// Whether the StoragePolicies among the manifests are applied as well; true unless said otherwise.
    pub(super) policies_from_input: Option<bool>,
    /// Objects of the cluster, for look-ups only: files, folders, or `live` (`--cluster-state`).
    #[serde(default)]
    pub(super) cluster_state: Vec<PathBuf>,
    /// The context of the kubeconfig that `live` means (`--kube-context`).
    pub(super) kube_context: Option<String>,
    /// What is left out in folders, as in .gitignore (`--exclude`).
    #[serde(default)]
    pub(super) exclude: Vec<String>,
    /// The namespace of objects that name none (`--namespace`).
    pub(super) namespace: Option<String>,
    /// Who applies the manifests, for policies with `users` (`--as`).
    pub(super) user: Option<String>,
    /// The groups of that user (`--as-group`).
    #[serde(default)]
    pub(super) groups: Vec<String>,
    /// The form of the report (`--format`).
    pub(super) format: Option<Format>,
    /// Further reports, each to a file (`--report`).
    #[serde(default)]
    pub(super) reports: Vec<ReportFile>,
    /// The weakest finding that makes the exit status 1 (`--fail-on`).
    pub(super) fail_on: Option<FailOn>,
    /// Whether only that is shown which makes the exit status other than 0 (`--quiet`).
    pub(super) quiet: Option<bool>,
    /// Whether comments such as `# volgate: ignore[durable-data] why` excuse findings; true unless said otherwise.
    pub(super) ignore_comments: Option<bool>,
    /// Whether charts and kustomizations that are named are rendered; true unless said otherwise.
    pub(super) render: Option<bool>,
    /// Files with values for the Helm charts that are rendered (`--helm-values`).
    #[serde(default)]
    pub(super) helm_values: Vec<PathBuf>,
    /// Values for the Helm charts that are rendered, as in `persistence.enabled=true` (`--helm-set`).
    #[serde(default)]
    pub(super) helm_set: Vec<String>,
}

/// A report and its file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReportFile {
    /// Its form.
    pub(super) format: Format,
    /// Where it goes.
    pub(super) file: PathBuf,
}

/// Which file has the settings.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Choice {
    /// The file with the settings, in place of the .volgate.yaml that is found from here up to the repository's root
    #[arg(long, value_name = "FILE", env = "VOLGATE_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    /// Use no .volgate.yaml
    #[arg(long, conflicts_with = "config")]
    no_config: bool,
}

/// Settings that were read.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// What they say.
    pub(super) config: Config,
    /// The file, as it is named to a reader; none where there is none.
    pub(super) file: Option<PathBuf>,
    /// The folder that its paths count from.
    pub(super) folder: PathBuf,
}

impl Choice {
    /// Reads the file that is meant, with its paths as they count from the current folder.
    ///
    /// # Errors
    /// All that is wrong with it, each with its place.
    pub(super) fn settings(&self) -> Result<Settings> {
        let found = match &self.config {
            _ if self.no_config => None,
            Some(file) => Some(file.clone()),
            None => find(&std::env::current_dir()?)?,
        };
        let Some(file) = found else { return Ok(Settings::default()) };
        let folder = file.parent().map(Path::to_owned).unwrap_or_default();
        let mut config = read(&file)?;
        if self.config.is_none() {
            config.stays_within(&folder).map_err(|why| anyhow!("{}: {why}", file.display()))?;
        }
        config.start_from(&folder);
        Ok(Settings { config, file: Some(file), folder })
    }
}

/// The closest file from a folder upwards, as a path from that folder. Above the repository's root nobody's settings count; where
/// there is no repository, only those of the folder itself.
fn find(from: &Path) -> Result<Option<PathBuf>> {
    let is_root = |folder: &Path| folder.join(".git").exists();
    let in_repository = from.ancestors().any(is_root);
    let mut way = PathBuf::new();
    for folder in from.ancestors() {
        if folder.join(NAME).is_file() {
            return Ok(Some(way.join(NAME)));
        }
        let other = folder.join(".volgate.yml");
        if other.is_file() {
            bail!("{} is not read: rename it to {NAME}", way.join(".volgate.yml").display());
        }
        if !in_repository || is_root(folder) {
            break;
        }
        way.push("..");
    }
    Ok(None)
}

/// Reads a file.
fn read(file: &Path) -> Result<Config> {
    let bytes =
        super::bytes::file_bytes(file).map_err(|why| anyhow!("failed to read {}: {why}", file.display()))?;
    let inputs = vec![Input::from_bytes(&file.display().to_string(), &bytes, false)];
    let mut faults = Vec::new();
    for error in inputs.iter().flat_map(Input::errors) {
        let end = (error.offset + 1).min(bytes.len());
        faults.push(Fault {
            spot: Some(Spot { input: 0, start: error.offset.min(end), end }),
            message: error.message.clone(),
            help: Some(error.help.to_string()),
        });
    }
    let mut configs = Vec::new();
    for manifest in manifests(&inputs) {
        for notice in &manifest.document.notices {
            let spot = Spot { input: 0, start: notice.span.start, end: notice.span.end };
            faults.push(Fault { spot: Some(spot), message: notice.message.clone(), help: None });
        }
        match parse(&manifest.value) {
            Ok(config) => configs.push(config),
            Err(found) => faults.extend(found.into_iter().map(|fault| Fault {
                spot: Some(manifest.spot(&fault.path)),
                message: fault.to_string(),
                help: None,
            })),
        }
    }
    if configs.len() > 1 {
        let message = "there is more than one document, and the settings are one".to_owned();
        faults.push(Fault { spot: None, message, help: None });
    }
    if faults.is_empty() {
        // A file of comments alone says nothing, which is no fault.
        return Ok(configs.pop().unwrap_or_default());
    }
    let report = Report { faults, ..Report::default() };
    Err(Refused { what: "read the settings", report, inputs }.into())
}

fn parse(value: &Value) -> Result<Config, Vec<PolicyFault>> {
    let schema = schema_value();
    let faults = schema_faults(value, &schema);
    if !faults.is_empty() {
        return Err(faults);
    }
    serde_json::from_value(value.clone())
        .map_err(|error| vec![PolicyFault::new(FieldPath::root(), error.to_string())])
}

fn schema_value() -> Value {
    let mut schema = schema::of::<Config>().to_value();
    if let Some(fields) = schema.as_object_mut() {
        fields.insert("title".to_owned(), ".volgate.yaml".into());
    }
    schema
}

/// The JSON Schema of `.volgate.yaml`, for editors.
pub fn config_schema() -> String {
    format!("{:#}\n", schema_value())
}

impl Config {
    /// Whether reports stay in the folder of a file that nobody named: a repository that somebody looks at must not write
    /// elsewhere.
    fn stays_within(&self, folder: &Path) -> Result<(), String> {
        let is_inside = |file: &Path| {
            let plain =
                file.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
            let own = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            let full = own.join(file);
            // Through links as well; a file that is not there yet is where its folder is.
            let real = full.canonicalize().or_else(|_| full.parent().unwrap_or(own).canonicalize());
            plain
                && !full.is_symlink()
                && own.canonicalize().is_ok_and(|own| real.is_ok_and(|real| real.starts_with(own)))
        };
        match self.reports.iter().find(|report| !is_inside(&report.file)) {
            Some(report) => Err(format!(
                "the report {} lies outside of its folder: name it with --report, or this file with --config",
                report.file.display()
            )),
            None => Ok(()),
        }
    }

    /// Makes its paths count from the current folder.
    fn start_from(&mut self, folder: &Path) {
        let lists = [&mut self.paths, &mut self.policies, &mut self.cluster_state, &mut self.helm_values];
        let paths = lists.into_iter().flatten().chain(self.reports.iter_mut().map(|report| &mut report.file));
        for path in paths.filter(|path| path.as_os_str() != super::state::LIVE && path.as_os_str() != "-") {
            *path = folder.join(&*path);
        }
    }
}

/// The settings of a repository: the schema for editors
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the JSON Schema of .volgate.yaml
    ///
    /// Editors check a file against it that begins with `# yaml-language-server: $schema=FILE`.
    Schema,
}

pub(super) fn run(args: &Args) -> Result<std::process::ExitCode> {
    match args.command {
        Command::Schema => super::say(&config_schema())?,
    }
    Ok(std::process::ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn its_schema_has_no_keyword_that_is_not_read() {
        assert_eq!(schema::unread_keywords(&schema_value()), Vec::<String>::new());
    }

    #[test]
    fn a_file_is_looked_for_up_to_the_root_of_the_repository() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("outer/repository");
        let deep = root.join("a/b");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(folder.path().join("outer").join(NAME), "quiet: true\n").unwrap();
        std::fs::write(root.join(NAME), "quiet: true\n").unwrap();
        assert_eq!(find(&deep).unwrap(), None, "there is no repository");
        assert_eq!(find(&root).unwrap(), Some(PathBuf::from(NAME)));
        std::fs::create_dir(root.join(".git")).unwrap();
        assert_eq!(find(&deep).unwrap(), Some(PathBuf::from("../..").join(NAME)));
        std::fs::remove_file(root.join(NAME)).unwrap();
        assert_eq!(find(&deep).unwrap(), None, "above the root nothing counts");
        std::fs::write(root.join("a/.volgate.yml"), "").unwrap();
        assert!(find(&deep).unwrap_err().to_string().contains("rename it to .volgate.yaml"));
    }

    #[test]
    fn an_unknown_key_is_a_fault_with_the_nearest_one() {
        let told =
            |value: Value| parse(&value).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            told(json!({"polices": ["a"]})),
            ["polices: unknown field `polices`: did you mean `policies`?"]
        );
        assert!(told(json!({"failOn": "deni"}))[0].contains("deny"));
        assert!(told(json!({"paths": "a"}))[0].contains("array"));
        assert!(told(json!({"reports": [{"form": "sarif", "file": "x"}]}))[0].contains("form"));
        let config =
            parse(&json!({"reports": [{"format": "sarif", "file": "x"}], "failOn": "warn"})).unwrap();
        assert_eq!(config.reports.len(), 1);
        assert!(matches!(config.fail_on, Some(FailOn::Warn)));
    }

    #[test]
    fn a_file_that_was_found_writes_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let within = |file: &str| {
            let config = parse(&json!({"reports": [{"format": "sarif", "file": file}]})).unwrap();
            config.stays_within(folder.path()).is_ok()
        };
        std::os::unix::fs::symlink("/tmp", folder.path().join("out")).unwrap();
        std::os::unix::fs::symlink("/tmp/new", folder.path().join("link.sarif")).unwrap();
        assert!(within("volgate.sarif") && within("./a.sarif"));
        for outside in ["/tmp/a.sarif", "../a.sarif", "out/a.sarif", "link.sarif"] {
            assert!(!within(outside), "{outside}");
        }
    }

    #[test]
    fn paths_count_from_the_folder_of_the_file() {
        let mut config =
            parse(&json!({"policies": ["p.yaml", "/etc/p.yaml"], "clusterState": ["live", "s.json"]}))
                .unwrap();
        config.start_from(Path::new("../.."));
        let text =
            |paths: &[PathBuf]| paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
        assert_eq!(text(&config.policies), ["../../p.yaml", "/etc/p.yaml"]);
        assert_eq!(text(&config.cluster_state), ["live", "../../s.json"]);
    }
}
