//! Policy files as a policy set, or every fault that they have.

use super::input::{self, Found};
use crate::check::{Fault, Input, Notice, Report, Spot, manifests};
use crate::model::{API_GROUP, FieldPath, nearest};
use crate::policy::{BASELINE, CompiledPolicy, KIND, PolicySet, embedded_baseline, for_another_engine, load};
use crate::report::{Options, human};
use anyhow::{Result, anyhow};
use serde_json::Value;
use std::path::PathBuf;

/// What came of policy files.
pub(crate) struct Loaded {
    /// The policies.
    pub(crate) set: PolicySet,
    /// Where each stands.
    pub(crate) sources: Vec<Source>,
    /// That none were given.
    pub(crate) notice: Option<String>,
    /// What their author should know.
    pub(crate) notices: Vec<Notice>,
}

/// Where a policy stands, and what it says.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) spec: Value,
    /// The file and the line.
    pub(crate) place: String,
}

/// Policies or settings that cannot be used: what is wrong with them, and their texts.
#[derive(Debug)]
pub(crate) struct Refused {
    /// What could not be done.
    pub(crate) what: &'static str,
    /// All faults.
    pub(crate) report: Report<'static>,
    /// The files.
    pub(crate) inputs: Vec<Input>,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = self.report.faults.len();
        let s = if count == 1 { "" } else { "s" };
        let faults = human(&self.report, &self.inputs, &Options::default());
        write!(f, "failed to {}: {count} fault{s}\n\n{}", self.what, faults.trim_end())
    }
}

impl std::error::Error for Refused {}

/// Reads policy files and folders; with none given, the built-in baseline.
///
/// # Errors
/// Every fault of every file at once, with file, line and column, as [`Refused`]. One bad file among good ones is an
/// error: a gate with half of its policies is open where nobody looks.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Loaded> {
    if paths.is_empty() {
        let baseline =
            embedded_baseline().map_err(|fault| anyhow!("failed to load the built-in baseline: {fault}"))?;
        let set = PolicySet::build(vec![baseline]).map_err(|faults| anyhow!("{faults:?}"))?;
        let notice = "no --policy given: the built-in baseline is used";
        let documents = crate::source::parse(BASELINE);
        let spec = documents.first().and_then(|document| document.as_ref().ok()?.value.get("spec").cloned());
        let source = |policy: &CompiledPolicy| Source {
            name: policy.name.clone(),
            spec: spec.clone().unwrap_or_default(),
            place: "the built-in baseline".to_owned(),
        };
        let sources = set.policies().iter().map(source).collect();
        return Ok(Loaded { set, sources, notice: Some(notice.to_owned()), notices: Vec::new() });
    }
    let Found { inputs, mut faults, notices, .. } = input::read(paths);
    faults.extend(notices.into_iter().map(|notice| Fault {
        spot: notice.spot,
        message: notice.message,
        help: None,
    }));
    let built = match build(&inputs) {
        Ok(loaded) if faults.is_empty() => return Ok(loaded),
        Ok(_) => Vec::new(),
        Err(found) => found,
    };
    faults.extend(built);
    faults.sort_by(|a, b| a.spot.cmp(&b.spot));
    Err(Refused { what: "load the policies", report: Report { faults, ..Report::default() }, inputs }.into())
}

/// The policies of a cluster's state; none where it does not say which there are.
///
/// # Errors
/// The built-in baseline, which stands in where there is no policy, cannot be used.
pub(crate) fn of_state(state: &[Input]) -> Result<Option<Loaded>> {
    let is_list = |object: &Value| {
        let text = |key| object.get(key).and_then(Value::as_str).unwrap_or_default();
        is_own(text("apiVersion")) && text("kind").strip_suffix("List") == Some(KIND)
    };
    let is_listed = state.iter().flat_map(Input::documents).any(|document| is_list(&document.value));
    let (mut policies, mut sources, mut notices) = (Vec::new(), Vec::new(), Vec::new());
    let text = |object: &Value, key| object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let is_policy = |object: &Value| is_own(&text(object, "apiVersion")) && text(object, "kind") == KIND;
    for manifest in manifests(state).iter().filter(|manifest| is_policy(&manifest.value)) {
        match load(&manifest.value) {
            Ok(policy) => {
                sources.push(Source {
                    name: policy.name.clone(),
                    spec: manifest.value.get("spec").cloned().unwrap_or_default(),
                    place: "the cluster state".to_owned(),
                });
                policies.push(policy);
            }
            Err(faults) => {
                let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
                let message =
                    format!("{} of the cluster state is not applied: {}", manifest.name(), faults.join("; "));
                notices.push(Notice { spot: None, message });
            }
        }
    }
    if policies.is_empty() {
        if !is_listed {
            return Ok(None);
        }
        let notice = "the cluster has no StoragePolicy, so that nothing is judged there: the built-in baseline is used";
        let mut loaded = read(&[])?;
        loaded.notice = Some(notice.to_owned());
        loaded.notices.extend(notices);
        return Ok(Some(loaded));
    }
    // Of two that contradict each other a cluster leaves one out.
    let set = loop {
        match PolicySet::build(policies.clone()) {
            Ok(set) => break set,
            Err(faults) => {
                let first = faults.first();
                notices.extend(first.map(|fault| Notice {
                    spot: None,
                    message: format!("a policy of the cluster state is left out: {fault}"),
                }));
                policies.remove(first.map_or(0, |fault| fault.policy));
            }
        }
    };
    sources.retain(|source| set.policies().iter().any(|policy| policy.name == source.name));
    let count = set.policies().len();
    let what = if count == 1 { "the policy".to_owned() } else { format!("the {count} policies") };
    let is = if count == 1 { "is" } else { "are" };
    let notice = Some(format!("no --policy given: {what} of the cluster state {is} used"));
    Ok(Some(Loaded { set, sources, notice, notices }))
}

/// Whether an object is of volgate's own group: in a folder of policies it was meant for one.
pub(super) fn is_own(api_version: &str) -> bool {
    api_version.split('/').next() == Some(API_GROUP)
}

/// Whether a kind of volgate's group was meant for a policy's.
pub(super) fn is_misspelt(kind: &str) -> bool {
    kind != KIND && nearest(kind, &[KIND]).is_some()
}

/// A notice about a place in a policy, which is no input of the report.
fn placed(inputs: &[Input], spot: &Spot, message: &str) -> Notice {
    let source = inputs.get(spot.input).map(|input| &input.source);
    let at = source
        .map_or_else(String::new, |source| format!("{}:{}: ", source.name, source.position(spot.start).line));
    Notice { spot: None, message: format!("{at}{message}") }
}

/// The other kinds of volgate's group.
const OTHER_KINDS: [&str; 2] = ["NodeVolume", "NodeStorage"];

fn build(inputs: &[Input]) -> Result<Loaded, Vec<Fault>> {
    let (mut faults, mut notices) = (Vec::new(), Vec::new());
    let mut sources = Vec::new();
    for (index, input) in inputs.iter().enumerate() {
        for error in input.errors() {
            let end = (error.offset + 1).min(input.source.text.len());
            faults.push(Fault {
                spot: Some(Spot { input: index, start: error.offset.min(end), end }),
                message: error.message.clone(),
                help: Some(error.help.to_string()),
            });
        }
    }
    let mut policies = Vec::new();
    let mut places = Vec::new();
    for manifest in manifests(inputs) {
        let named = inputs.get(manifest.input).is_some_and(|input| input.named);
        let text = |key| manifest.value.get(key).and_then(Value::as_str).unwrap_or_default();
        // A folder of policies may hold their tests as well, and a kustomization.
        if !named && text("kind") != KIND {
            if let Some(what) = for_another_engine(text("apiVersion")) {
                let message = format!("this policy is {what}");
                notices.push(placed(inputs, &manifest.spot(&FieldPath::root()), &message));
                continue;
            }
            if !is_own(text("apiVersion")) || OTHER_KINDS.contains(&text("kind")) {
                continue;
            }
        }
        for notice in &manifest.document.notices {
            // The key that does not count may be the one that was meant.
            let spot = Spot { input: manifest.input, start: notice.span.start, end: notice.span.end };
            faults.push(Fault { spot: Some(spot), message: notice.message.clone(), help: None });
        }
        match load(&manifest.value) {
            Ok(policy) => {
                let odd = policy.notices().iter();
                notices.extend(odd.map(|odd| placed(inputs, &manifest.spot(&odd.path), &odd.message)));
                let spot = manifest.spot(&FieldPath::root());
                let source = inputs.get(spot.input).map(|input| &input.source);
                sources.push(Source {
                    name: policy.name.clone(),
                    spec: manifest.value.get("spec").cloned().unwrap_or_default(),
                    place: source.map_or_else(String::new, |source| {
                        format!("{}:{}", source.name, source.position(spot.start).line)
                    }),
                });
                policies.push(policy);
                places.push(manifest);
            }
            Err(found) => faults.extend(found.into_iter().map(|fault| Fault {
                spot: Some(manifest.spot(&fault.path)),
                message: fault.to_string(),
                help: None,
            })),
        }
    }
    if policies.is_empty() && faults.is_empty() {
        let message = format!("there is no {KIND} in the files given");
        faults.push(Fault {
            spot: None,
            message,
            help: Some("leave --policy out to use the baseline".to_owned()),
        });
    }
    let set = PolicySet::build(policies).map_err(|found| {
        found
            .into_iter()
            .map(|fault| {
                let other = places.get(fault.other).map(|manifest| {
                    let spot = manifest.spot(&FieldPath::root().key("metadata").key("name"));
                    let source = inputs.get(spot.input).map(|input| &input.source);
                    source.map_or_else(String::new, |source| {
                        format!("{}:{}", source.name, source.position(spot.start).line)
                    })
                });
                Fault {
                    spot: places.get(fault.policy).map(|manifest| manifest.spot(&fault.field)),
                    message: fault.message,
                    help: other.map(|other| format!("the other policy stands at {other}")),
                }
            })
            .collect::<Vec<_>>()
    });
    match set {
        Ok(set) if faults.is_empty() => Ok(Loaded { set, sources, notice: None, notices }),
        Ok(_) => Err(faults),
        Err(found) => {
            faults.extend(found);
            Err(faults)
        }
    }
}

/// What a run that could not begin has to say: the faults of its policies with their texts, or the one error.
pub(super) fn refusal(error: &anyhow::Error) -> (Report<'static>, &[Input]) {
    match error.downcast_ref::<Refused>() {
        Some(refused) => {
            (Report { faults: refused.report.faults.clone(), ..Report::default() }, &refused.inputs)
        }
        None => {
            let fault = Fault { spot: None, message: format!("{error:#}"), help: None };
            (Report { faults: vec![fault], ..Report::default() }, &[])
        }
    }
}
