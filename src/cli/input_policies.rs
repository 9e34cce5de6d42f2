//! The StoragePolicies among the manifests of a run, as a repository holds them beside the workloads that they are about.

use super::policies::{Loaded, Source, is_own};
use crate::check::{Fault, Input, Manifest, Notice, Spot, manifests};
use crate::model::FieldPath;
use crate::policy::{CompiledPolicy, KIND, PolicySet, load};
use serde_json::Value;

/// The most that are applied: each is held against each.
const MOST: usize = 200;

/// What came of them.
#[derive(Default)]
pub(super) struct FromInput {
    /// Those that are applied, each with its place.
    pub(super) applied: Vec<(String, Spot)>,
    pub(super) faults: Vec<Fault>,
    pub(super) notices: Vec<Notice>,
}

/// A policy of the input that could be read.
struct Candidate {
    policy: CompiledPolicy,
    spot: Spot,
    place: String,
}

/// Adds the policies among the manifests to those that were loaded. What one adds to the catalog, and whom it excuses, counts
/// for its own rules alone: a chart must not switch off what the policies of the run ask for. One with a fault is left out,
/// and the others are applied.
pub(super) fn add(loaded: &mut Loaded, inputs: &[Input]) -> FromInput {
    let mut found = FromInput::default();
    let mut known: Vec<Source> = loaded.sources.clone();
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut left_out = 0;
    for manifest in manifests(inputs).iter().filter(|manifest| is_policy(manifest)) {
        if known.len() >= MOST + loaded.sources.len() {
            left_out += 1;
            continue;
        }
        let document = manifest.document.notices.iter();
        found.faults.extend(document.map(|notice| Fault {
            spot: Some(Spot { input: manifest.input, start: notice.span.start, end: notice.span.end }),
            message: notice.message.clone(),
            help: None,
        }));
        match load(&manifest.value) {
            Ok(policy) => add_one(manifest, inputs, policy, &mut known, &mut candidates, &mut found),
            Err(faults) => found.faults.extend(faults.into_iter().map(|fault| Fault {
                spot: Some(manifest.spot(&fault.path)),
                message: fault.to_string(),
                help: None,
            })),
        }
    }
    if left_out > 0 {
        let message =
            format!("{left_out} more policies among the manifests are not applied: {MOST} are the most");
        found.faults.push(Fault { spot: None, message, help: None });
    }
    apply(loaded, candidates, &mut found);
    found
}

/// Whether a manifest was meant for a policy: of that kind, or nearly so in volgate's own group.
pub(super) fn is_policy(manifest: &Manifest<'_>) -> bool {
    let text = |key| manifest.value.get(key).and_then(Value::as_str).unwrap_or_default();
    let kind = text("kind");
    !manifest.patch && is_own(text("apiVersion")) && (kind == KIND || super::policies::is_misspelt(kind))
}

fn add_one(
    manifest: &Manifest<'_>,
    inputs: &[Input],
    mut policy: CompiledPolicy,
    known: &mut Vec<Source>,
    candidates: &mut Vec<Candidate>,
    found: &mut FromInput,
) {
    let spot = manifest.spot(&FieldPath::root());
    let spec = manifest.value.get("spec").cloned().unwrap_or_default();
    if let Some(same) = known.iter().find(|source| source.name == policy.name) {
        // A policy that is given by --policy may well lie in the folder that is checked.
        if same.spec == spec {
            return found.applied.push((policy.name, spot));
        }
        found.faults.push(Fault {
            spot: Some(manifest.spot(&FieldPath::root().key("metadata").key("name"))),
            message: format!("there are two policies named {:?}, and they differ", policy.name),
            help: Some(format!("the other one stands at {}: rename one, or take it out", same.place)),
        });
        return;
    }
    let notices = policy.notices().iter();
    found.notices.extend(
        notices.map(|notice| Notice { spot: Some(manifest.spot(&notice.path)), message: notice.to_string() }),
    );
    policy.alone = true;
    let place = place(inputs, &spot);
    known.push(Source { name: policy.name.clone(), spec, place: place.clone() });
    candidates.push(Candidate { policy, spot, place });
}

/// Puts the set together again. Of two that contradict each other the one that was given goes first, and the one that comes
/// later in the input is left out.
fn apply(loaded: &mut Loaded, candidates: Vec<Candidate>, found: &mut FromInput) {
    if candidates.is_empty() {
        return;
    }
    let given = loaded.set.policies().to_vec();
    let all = || given.iter().chain(candidates.iter().map(|candidate| &candidate.policy)).cloned().collect();
    let mut left_out = Vec::new();
    let set = match PolicySet::build(all()) {
        Ok(set) => Ok(set),
        Err(faults) => {
            for fault in faults {
                let place = |index: usize| match given.get(index) {
                    Some(policy) => loaded
                        .sources
                        .iter()
                        .find(|source| source.name == policy.name)
                        .map(|it| it.place.clone()),
                    None => candidates.get(index - given.len()).map(|candidate| candidate.place.clone()),
                };
                let candidate = fault.policy.checked_sub(given.len()).and_then(|index| candidates.get(index));
                found.faults.push(Fault {
                    spot: candidate.map(|candidate| candidate.spot.clone()),
                    message: fault.message.clone(),
                    help: place(fault.other).map(|place| format!("the other policy stands at {place}")),
                });
                left_out.push(fault.policy);
            }
            let rest = all().into_iter().enumerate().filter(|(index, _)| !left_out.contains(index));
            // Those that contradicted another one are out, so that the rest agrees.
            PolicySet::build(rest.map(|(_, policy)| policy).collect())
        }
    };
    if let Ok(set) = set {
        loaded.set = set;
        let applied = candidates.into_iter().enumerate();
        let applied = applied.filter(|(index, _)| !left_out.contains(&(index + given.len())));
        found.applied.extend(applied.map(|(_, candidate)| (candidate.policy.name, candidate.spot)));
        found.applied.sort_by(|a, b| a.1.cmp(&b.1));
    }
}

/// The file and line of a spot.
fn place(inputs: &[Input], spot: &Spot) -> String {
    let source = inputs.get(spot.input).map(|input| &input.source);
    source.map_or_else(String::new, |source| format!("{}:{}", source.name, source.position(spot.start).line))
}
