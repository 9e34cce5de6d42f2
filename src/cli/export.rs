use super::{policies, say};
use crate::export::{Exported, KubernetesVersion, NEWEST, admission_policies};
use crate::policy::StoragePolicySpec;
use crate::source::to_yaml;
use anyhow::{Context, Result};
use clap::Subcommand;
use std::path::PathBuf;
use std::process::ExitCode;

/// Write policies in other forms
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    form: Form,
}

#[derive(Debug, Subcommand)]
enum Form {
    /// Kubernetes' own admission policies, with what stays with the webhook as comments
    ///
    /// The rules that CEL can say of an object alone become ValidatingAdmissionPolicies with their bindings, a default class a
    /// MutatingAdmissionPolicy. They refuse nothing that volgate admits; what they leave out is listed at the top.
    Vap(Vap),
}

#[derive(Debug, clap::Args)]
struct Vap {
    /// Policy files or folders; without any, the built-in baseline
    #[arg(long, short, value_name = "PATH")]
    policy: Vec<PathBuf>,
    /// The version of Kubernetes that is to take them
    #[arg(long, default_value_t = NEWEST, value_name = "VERSION")]
    kubernetes_version: KubernetesVersion,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let Form::Vap(args) = &args.form;
    let loaded = policies::read(&args.policy)?;
    let spec = |source: &policies::Source| -> Result<(String, StoragePolicySpec)> {
        let spec = serde_json::from_value(source.spec.clone());
        Ok((source.name.clone(), spec.with_context(|| format!("failed to read policy {:?}", source.name))?))
    };
    let all: Vec<(String, StoragePolicySpec)> = loaded.sources.iter().map(spec).collect::<Result<_>>()?;
    say(&page(&admission_policies(&all, args.kubernetes_version), args.kubernetes_version))?;
    Ok(ExitCode::SUCCESS)
}

fn page(exported: &Exported, version: KubernetesVersion) -> String {
    let mut text = format!("# Written by `volgate export vap` for Kubernetes {version}.\n");
    if !exported.left.is_empty() {
        text.push_str("# What stays with the webhook:\n");
    }
    for left in &exported.left {
        let what = if left.whole { "" } else { " in part: " };
        let between = if left.whole { ": " } else { "" };
        text.push_str(&format!("# - {} of policy {:?}{what}{between}{}\n", left.rule, left.policy, left.why));
    }
    for document in &exported.documents {
        text.push_str("---\n");
        text.push_str(&to_yaml(document));
    }
    text
}
