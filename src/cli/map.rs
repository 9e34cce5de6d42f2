use super::input::{self, Found, Rendering};
use super::input_args::{NamespaceArgs, PolicyArgs};
#[cfg(feature = "cluster")]
use super::kubeconfig::Kubeconfig;
use super::policies;
use super::state::StatePaths;
use super::{FAILED, complain, render, say};
use crate::check::{Report, kinds, manifests};
use crate::map::{Builder, Event, StorageMap, WhatIf, html};
use crate::report;
use anyhow::{Result, anyhow};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

/// Draw which node, disk and volume holds whose data, and predict what an event would lose
///
/// One HTML page without scripts, or JSON. Without PATHs and --cluster-state the cluster of the kubeconfig is read; nothing is
/// changed. Exit status 0: the map is whole, 2: something could not be read, or there is nothing of the name of an event.
#[derive(Debug, clap::Args)]
#[command(mut_arg("policy", |policy| {
    policy.help(
        "Policy files or folders, for the findings; without any, the StoragePolicies of the cluster, or the built-in baseline",
    )
}))]
pub(super) struct Args {
    /// Manifests, or dumps of a cluster: files, folders, or - for stdin
    paths: Vec<PathBuf>,
    /// What could happen: node=NAME (lost for good), drain=NAME, zone=NAME (its nodes are lost), class=NAME (the storage behind
    /// it is lost), claim=NAMESPACE/NAME (deleted); can be given several times
    #[arg(long, value_name = "EVENT")]
    what_if: Vec<Event>,
    #[command(flatten)]
    state: StatePaths,
    #[cfg(feature = "cluster")]
    #[command(flatten)]
    cluster: Kubeconfig,
    #[command(flatten)]
    policies: PolicyArgs,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    rendering: render::Options,
    /// The form of the map
    #[arg(long, short, value_enum, default_value_t = Form::Html)]
    output: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// One page for a browser
    Html,
    /// For programs
    Json,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    draw(args).or_else(|error| {
        // What reads JSON reads nothing else.
        if args.output == Form::Json {
            say(&format!("{:#}\n", json!({"error": format!("{error:#}")})))?;
        }
        Err(error)
    })
}

fn draw(args: &Args) -> Result<ExitCode> {
    let files: Vec<PathBuf> = args.state.files().cloned().collect();
    let state = input::read(&files);
    let rendering =
        Rendering { options: &args.rendering, namespace: args.namespace.name(), falls_back: true };
    let found = input::read_manifests(&args.paths, Some(rendering), None);
    let made = if args.state.is_live() || (args.paths.is_empty() && files.is_empty()) {
        live(args, &state, &found)?
    } else {
        let loaded = match args.policies.policy.as_slice() {
            [] => policies::of_state(&state.inputs)?.map_or_else(|| policies::read(&[]), Ok)?,
            files => policies::read(files)?,
        };
        let mut builder = Builder::new(&loaded.set, super::today(), args.namespace.name());
        kinds(&state.inputs).for_each(|kind| builder.set_known(kind));
        for object in objects(&[&state, &found]) {
            builder.note(&object);
        }
        for object in objects(&[&state, &found]) {
            builder.add(&object);
        }
        Made {
            map: builder.finish(),
            source: source(&state, &found),
            told: loaded.notice.into_iter().collect(),
            is_whole: true,
        }
    };
    let events = args.what_if.iter().map(|event| made.map.what_if(event).map_err(|why| anyhow!(why)));
    let events = events.collect::<Result<Vec<WhatIf>>>()?;
    match args.output {
        Form::Html => say(&html(&made.map, &events, &made.source))?,
        Form::Json => say(&format!("{}\n", made.map.json(&events)?))?,
    }
    for told in &made.told {
        complain(&format!("volgate: {told}\n"));
    }
    let is_whole = tell(vec![state, found]) && made.is_whole;
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// A map, what it was made of, and what a person should know beside it.
struct Made {
    map: StorageMap,
    source: String,
    told: Vec<String>,
    /// Whether all of the cluster could be read.
    is_whole: bool,
}

/// The objects of files, those of a cluster's state first.
fn objects<'f>(found: &[&'f Found]) -> impl Iterator<Item = std::borrow::Cow<'f, serde_json::Value>> {
    let all: Vec<_> = found.iter().flat_map(|found| manifests(&found.inputs)).collect();
    all.into_iter()
        .filter(|manifest| manifest.is_object() && !manifest.patch && !manifest.review)
        .map(|manifest| manifest.value)
}

/// What the map is made of, for its title.
fn source(state: &Found, found: &Found) -> String {
    let inputs = || state.inputs.iter().chain(&found.inputs);
    match (inputs().next(), inputs().count()) {
        (Some(only), 1) => only.source.name.clone(),
        (_, count) => format!("{count} files"),
    }
}

/// Says what could not be read; whether all could be.
fn tell(read: Vec<Found>) -> bool {
    let mut failed = false;
    for found in read {
        let Found { inputs, faults, notices, folders, .. } = found;
        let not_judged = folders.entries().collect();
        let mut report = Report { faults, notices, not_judged, ..Report::default() };
        crate::check::read_faults(&inputs, &mut report);
        failed |= !report.faults.is_empty();
        let human = report::human(&report, &inputs, &report::Options::default());
        let text = format!("{human}{}", report::not_judged(&report));
        if !text.is_empty() {
            complain(&format!("{}\n", text.trim_end()));
        }
    }
    !failed
}

#[cfg(feature = "cluster")]
fn live(args: &Args, state: &Found, found: &Found) -> Result<Made> {
    args.cluster.with(async |client| {
        let loaded = super::audit::policies_for(&args.policies.policy, &client).await?;
        let mut builder = Builder::new(&loaded.set, super::today(), args.namespace.name());
        for object in objects(&[state, found]) {
            builder.note(&object);
        }
        let unread = crate::cluster::read_map(&client, &mut builder).await;
        for object in objects(&[state, found]) {
            builder.add(&object);
        }
        let map = builder.finish();
        if map.nodes.is_empty() && map.workloads.is_empty() && !unread.is_empty() {
            return Err(anyhow!("nothing can be read of the cluster: {}", unread.join("; ")));
        }
        let is_whole = unread.is_empty();
        let told = loaded.notice.into_iter().chain(unread).collect();
        Ok(Made { map, source: "the live cluster".to_owned(), told, is_whole })
    })
}

#[cfg(not(feature = "cluster"))]
fn live(_args: &Args, _state: &Found, _found: &Found) -> Result<Made> {
    Err(anyhow!(
        "this volgate is built without access to clusters: give it manifests, or --cluster-state with a file of `kubectl get -o yaml`"
    ))
}
