use super::kubeconfig::Kubeconfig;
use super::output::{Beside, Output};
use super::policies::{self, Loaded};
use crate::check::{Input, NotJudged, Notice, ObjectKind, Report, Run, What};
use crate::cluster::{Audit, Kept, Scope, audit, policy_snapshot};
use crate::facts::{Facts, Subject};
use anyhow::{Result, anyhow};
use std::path::PathBuf;
use std::process::ExitCode;

/// Judge what is in a cluster
///
/// Every workload, claim, volume, class and custom resource of a known operator, as if it were made now; what belongs to another
/// object is judged with that one. What is denied keeps running, and is refused at its next rollout, and when its pods are made
/// again, as after a drain. Nothing is changed. Exit status 0: nothing denied, 1: something denied, 2: the cluster cannot be read.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    cluster: Kubeconfig,
    /// Policy files or folders, to see what they would refuse; without any, the StoragePolicies of the cluster, or the built-in
    /// baseline where it does not have that kind
    #[arg(long, short, value_name = "PATH")]
    policy: Vec<PathBuf>,
    /// Only what is in that namespace
    #[arg(long, short, value_name = "NAME")]
    namespace: Option<String>,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let today = super::today();
    let read = args.cluster.with(async |client| {
        let loaded = policies_for(&args.policy, &client).await?;
        let scope = Scope { policies: &loaded.set, namespace: args.namespace.as_deref(), today };
        let audit = audit(&client, scope).await;
        Ok((loaded, audit))
    });
    let (loaded, audit) = match read {
        Ok(read) => read,
        Err(error) => return args.output.refuse(error),
    };
    if audit.judged == 0
        && let Some((kind, why)) = audit.unread.first()
    {
        return args.output.refuse(anyhow!("nothing can be judged; {}: {why}", kind.resource));
    }
    let inputs: Vec<Input> = audit.kept.iter().map(input).collect();
    let run = Run { complete: true, ..Run::new(&loaded.set, today) };
    let mut report = run.check_against(&inputs, &audit.lookup, &[]);
    report.changes.clear();
    report.notices.extend(loaded.notices.iter().cloned());
    tell(&audit, &mut report);
    let beside = Beside { policies: loaded.notice.as_deref(), ..Beside::default() };
    args.output.publish(&report, &inputs, beside)
}

/// The policies of the files; without any, those that are in force in the cluster.
pub(super) async fn policies_for(files: &[PathBuf], client: &kube::Client) -> Result<Loaded> {
    if !files.is_empty() {
        return policies::read(files);
    }
    let text = policy_snapshot(client).await.map_err(|why| {
        anyhow!("failed to list the StoragePolicies of the cluster: {why}; give others with --policy")
    })?;
    match policies::of_state(&[Input::from_bytes("the cluster", &text, false)])? {
        Some(mut loaded) => {
            let count = loaded.set.policies().len();
            if loaded.notice.as_ref().is_some_and(|notice| !notice.contains("baseline")) {
                let s = if count == 1 { "policy" } else { "policies" };
                loaded.notice = Some(format!("judged by {count} {s} of the cluster"));
            }
            Ok(loaded)
        }
        None => {
            let mut loaded = policies::read(&[])?;
            let notice = "the cluster does not have the kind StoragePolicy: the built-in baseline is used";
            loaded.notice = Some(notice.to_owned());
            Ok(loaded)
        }
    }
}

/// An object as a text that findings can point into: YAML, or JSON where that would be read otherwise.
fn input(kept: &Kept) -> Input {
    let yaml = serde_saphyr::to_string(&kept.object).unwrap_or_default();
    let read = Input::from_bytes(&kept.name, yaml.as_bytes(), true);
    let is_same = read.documents().map(|document| &document.value).eq([&kept.object]);
    if is_same {
        read
    } else {
        Input::from_bytes(&kept.name, format!("{:#}\n", kept.object).as_bytes(), true)
    }
}

/// How many workloads are named.
const MOST_NAMED: usize = 20;

/// Adds what a reader should know beside the findings.
fn tell(audit: &Audit, report: &mut Report<'_>) {
    let mut told = Vec::new();
    let denied: Vec<usize> = {
        let standing = report.findings.iter().filter(|located| {
            located.finding.excused.is_none() && located.finding.action == crate::verdict::Action::Deny
        });
        let mut denied: Vec<usize> = standing.map(|located| located.manifest).collect();
        denied.sort_unstable();
        denied.dedup();
        denied
    };
    let workloads = denied.iter().filter_map(|index| report.manifests.get(*index)).filter(|manifest| {
        Facts::read(&*manifest.value, None).is_ok_and(|facts| matches!(facts.subject, Subject::Workload(_)))
    });
    let names: Vec<String> = workloads.map(|manifest| manifest.name()).collect();
    if !names.is_empty() {
        let shown = names.iter().take(MOST_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = match names.len().saturating_sub(MOST_NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let s = if names.len() == 1 { "" } else { "s" };
        told.push(format!(
            "{} running workload{s} would be refused at the next rollout, and when pods are made again, as after a drain: \
             {shown}{more}",
            names.len()
        ));
    }
    if audit.folded > 0 {
        told.push(format!("{} objects are judged with those that they belong to", audit.folded));
    }
    let alike: usize = audit.kept.iter().map(|kept| kept.more).sum();
    if alike > 0 {
        told.push(format!(
            "{alike} objects with the findings of another one of the same owner are not shown"
        ));
    }
    if audit.more > 0 {
        told.push(format!("{} more objects with findings are not shown", audit.more));
    }
    report.notices.splice(0..0, told.into_iter().map(|message| Notice { spot: None, message }));
    report.judged = audit.judged;
    report.not_judged = audit.not_judged.entries().collect();
    report.not_judged.extend(audit.unread.iter().map(|(kind, why)| NotJudged {
        what: What::Unread(ObjectKind { api_version: kind.api_version.clone(), kind: kind.kind.clone() }),
        count: 1,
        places: Vec::new(),
        reason: why.clone(),
    }));
}
