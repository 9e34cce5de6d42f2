//! `volgate doctor`: what is wrong with an installation, and how to mend it.

use super::kubeconfig::Kubeconfig;
use super::{DENIED, say};
use crate::cluster::{Diagnosis, Level, doctor};
use anyhow::Result;
use serde_json::json;
use std::process::ExitCode;

/// Look whether volgate is installed well in a cluster, and say how to mend what is not
///
/// It reads the cluster of the kubeconfig and changes nothing: the API server's version, pods and endpoints, the webhook
/// configurations and their CA, policies, the provisioner and its agents. The exit status is 0 when nothing is wrong, 1 when
/// something does not work, and 2 when the cluster cannot be reached. Warnings alone are 0.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    cluster: Kubeconfig,
    /// The namespace of volgate
    #[arg(long, short, value_name = "NAME", env = "POD_NAMESPACE", default_value = "volgate-system")]
    namespace: String,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum Format {
    /// For people
    #[default]
    Text,
    /// One JSON object
    Json,
}

/// Looks and tells.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let say_json = |worst: Level, found: &[Diagnosis]| {
        let report = json!({"namespace": args.namespace, "status": worst, "checks": found});
        say(&format!("{report:#}\n"))
    };
    let found = match args.cluster.with(async |client| Ok(doctor(client, &args.namespace).await)) {
        Ok(found) => found,
        Err(error) => {
            if matches!(args.format, Format::Json) {
                let message = format!("{error:#}");
                let level = Level::Fault;
                say_json(level, &[Diagnosis { area: "api server", level, message, mend: None }])?;
            }
            return Err(error);
        }
    };
    let worst = found.iter().map(|one| one.level).max().unwrap_or(Level::Ok);
    match args.format {
        Format::Text => say(&text_of(&found))?,
        Format::Json => say_json(worst, &found)?,
    }
    Ok(if worst == Level::Fault { ExitCode::from(DENIED) } else { ExitCode::SUCCESS })
}

/// A line for each, and below it what to do.
fn text_of(found: &[Diagnosis]) -> String {
    let mut text = String::new();
    for Diagnosis { area, level, message, mend } in found {
        let mark = match level {
            Level::Ok => "ok     ",
            Level::Warning => "warning",
            Level::Fault => "FAULT  ",
        };
        text.push_str(&format!("{mark} {area}: {message}\n"));
        if let Some(mend) = mend {
            text.push_str(&format!("        {mend}\n"));
        }
    }
    let count = |level: Level| found.iter().filter(|one| one.level == level).count();
    let (faults, warnings) = (count(Level::Fault), count(Level::Warning));
    let s = |count: usize| if count == 1 { "" } else { "s" };
    text.push_str(&format!("{faults} fault{}, {warnings} warning{}\n", s(faults), s(warnings)));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_stands_below_what_is_wrong() {
        let found = [
            Diagnosis { area: "api server", level: Level::Ok, message: "Kubernetes 1.37".into(), mend: None },
            Diagnosis {
                area: "pods",
                level: Level::Fault,
                message: "none".into(),
                mend: Some("start one".into()),
            },
        ];
        assert_eq!(
            text_of(&found),
            "ok      api server: Kubernetes 1.37\nFAULT   pods: none\n        start one\n1 fault, 0 warnings\n"
        );
    }
}
