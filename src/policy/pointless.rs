//! What in a policy has no effect: what its parts say together.

use super::compiled_rule::CompiledRule;
use super::faults::MOST_COMPARED;
use super::matches::EXCLUDED_NAMESPACES;
use super::schema::{Match, StoragePolicySpec};
use crate::catalog::Catalog;
use crate::model::{FieldPath, fits, includes, overlap};
use crate::rule::{PolicyFault, Reads, UNREAD, can_be_kind, is_judged_or_owner};

/// Reports exceptions and self-service for rules that the policy does not have: they excuse from nothing, which
/// nobody means.
pub(super) fn pointless(spec: &StoragePolicySpec, compiled: &[CompiledRule], faults: &mut Vec<PolicyFault>) {
    let spec_path = FieldPath::root().key("spec");
    let exceptions = spec.exceptions.iter().enumerate().map(|(index, exception)| {
        (spec_path.key("exceptions").index(index).key("rules"), exception.rules.as_slice())
    });
    let service = spec.self_service.iter();
    let service =
        service.map(|service| (spec_path.key("selfService").key("rules"), service.rules.as_slice()));
    for (path, ids) in exceptions.chain(service) {
        for (index, id) in
            ids.iter().enumerate().filter(|(_, id)| !compiled.iter().any(|rule| rule.id == **id))
        {
            let message =
                format!("excuses from {id}, which this policy does not have: take it out or add the rule");
            faults.push(PolicyFault::new(path.index(index), message));
        }
    }
}

/// Reports kinds that a policy is to be about and no rule of it reads. Any other kind may own a pod.
fn unread_kinds(spec: &StoragePolicySpec, compiled: &[CompiledRule], faults: &mut Vec<PolicyFault>) {
    if compiled.iter().any(|rule| rule.rule.reads_any_kind()) {
        return;
    }
    let kinds = spec.matches.as_ref().map_or(&[][..], |matches| &matches.kinds);
    for (index, kind) in kinds.iter().enumerate().filter(|(_, kind)| UNREAD.contains(&kind.as_str())) {
        let path = FieldPath::root().key("spec").key("match").key("kinds").index(index);
        let message =
            format!("no rule of this policy reads a {kind}: take it out, or ask about it with a `cel` rule");
        faults.push(PolicyFault::harmless(path, message));
    }
}

/// Reports kinds of which volgate knows nothing: only as owners of pods and claims they have a meaning here.
fn unknown_kinds(spec: &StoragePolicySpec, compiled: &[CompiledRule], faults: &mut Vec<PolicyFault>) {
    let asks = compiled.iter().any(|rule| rule.rule.reads_any_kind());
    let is_custom = |kind: &str| {
        let known = Catalog::embedded().kinds().entries().iter().chain(&spec.custom_resources);
        known.into_iter().any(|entry| entry.kinds.contains_key(kind))
    };
    let kinds = spec.matches.as_ref().map_or(&[][..], |matches| &matches.kinds);
    for (index, kind) in kinds.iter().enumerate() {
        let path = FieldPath::root().key("spec").key("match").key("kinds").index(index);
        if UNREAD.contains(&kind.as_str()) {
            if asks {
                let message =
                    format!("the webhook is not asked about a {kind}: `volgate check` alone judges it");
                faults.push(PolicyFault::harmless(path, message));
            }
        } else if can_be_kind(kind) && !is_judged_or_owner(kind) && !is_custom(kind) {
            let message = format!(
                "volgate does not know the kind {kind:?}: in a cluster it brings the pods and claims that such an object \
                 controls, and nothing else"
            );
            faults.push(PolicyFault::harmless(path, message));
        }
    }
}

/// Reports what a policy can never be about, and what it takes away from nothing.
pub(super) fn never_fits(spec: &StoragePolicySpec, compiled: &[CompiledRule], faults: &mut Vec<PolicyFault>) {
    let at = FieldPath::root().key("spec");
    unread_kinds(spec, compiled, faults);
    unknown_kinds(spec, compiled, faults);
    let Some(matches) = &spec.matches else { return };
    for rule in compiled.iter().filter(|rule| !matches.kinds.is_empty() && !rule.rule.reads_any_kind()) {
        let reads = rule.rule.reads();
        if !matches.kinds.iter().any(|kind| finds_in(reads, kind)) {
            let objects: Vec<&str> = reads.iter().map(|reads| reads.objects()).collect();
            let message = format!(
                "never finds anything: it reads {}, and `match.kinds` names none of them",
                objects.join(", ")
            );
            faults.push(PolicyFault::harmless(rule.field.clone(), message));
        }
    }
    let of_a_namespace =
        !matches.namespaces.is_empty() && !matches.namespaces.iter().any(|pattern| fits(pattern, ""));
    for rule in compiled.iter().filter(|rule| of_a_namespace && !rule.rule.reads_any_kind()) {
        let reads = rule.rule.reads();
        if reads.iter().all(|reads| matches!(reads, Reads::Volumes | Reads::Classes)) {
            let objects: Vec<&str> = reads.iter().map(|reads| reads.objects()).collect();
            let message = format!(
                "never finds anything: {} belong to no namespace, and `match.namespaces` names some: use `objectSelector`",
                objects.join(" and ")
            );
            faults.push(PolicyFault::harmless(rule.field.clone(), message));
        }
    }
    let namespaces = at.key("match").key("namespaces");
    for (index, pattern) in matches.namespaces.iter().enumerate() {
        if EXCLUDED_NAMESPACES.contains(&pattern.as_str()) {
            let message =
                format!("no policy is about {pattern}, so that the cluster can always start: take it out");
            faults.push(PolicyFault::harmless(namespaces.index(index), message));
        }
    }
    // Each is held against each.
    if matches.namespaces.is_empty() || matches.namespaces.len() > MOST_COMPARED {
        return;
    }
    let within = |patterns: &[String]| {
        patterns.len() > MOST_COMPARED
            || patterns.iter().any(|pattern| matches.namespaces.iter().any(|own| overlap(own, pattern)))
    };
    for (index, exclude) in spec.exclude.iter().enumerate() {
        let all = |own: &String| exclude.namespaces.iter().any(|pattern| includes(pattern, own));
        let at = at.key("exclude").index(index);
        let only_namespaces = Match { namespaces: exclude.namespaces.clone(), ..Match::default() };
        if exclude.namespaces.is_empty() {
            continue;
        } else if !within(&exclude.namespaces) {
            let message = "takes nothing away: the policy is about other namespaces";
            faults.push(PolicyFault::harmless(at.key("namespaces"), message));
        } else if *exclude == only_namespaces
            && exclude.namespaces.len() <= MOST_COMPARED
            && matches.namespaces.iter().all(all)
        {
            let message = "takes away all that `match` names, so that the policy is about nothing";
            faults.push(PolicyFault::harmless(at.key("namespaces"), message));
        }
    }
    for (index, exception) in spec.exceptions.iter().enumerate() {
        if !exception.namespaces.is_empty() && !within(&exception.namespaces) {
            let message = "excuses nobody: the policy is about other namespaces";
            let at = at.key("exceptions").index(index).key("namespaces");
            faults.push(PolicyFault::harmless(at, message));
        }
    }
}

/// Whether a rule that reads that finds anything where objects of that kind are named. Any kind that is not storage's own may
/// control pods and claims.
fn finds_in(reads: &[Reads], kind: &str) -> bool {
    let all = |wanted: &[Reads]| wanted.iter().any(|wanted| reads.contains(wanted));
    match kind {
        "PersistentVolume" => all(&[Reads::Volumes]),
        "StorageClass" => all(&[Reads::Classes]),
        "PersistentVolumeClaim" => all(&[Reads::Claims]),
        _ if UNREAD.contains(&kind) => false,
        _ => all(&[Reads::Pods, Reads::Claims]),
    }
}
