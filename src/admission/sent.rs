//! Which objects the API server sends: what the policies may have a say about ([`Interest`]) as CEL expressions for the
//! `matchConditions` of the webhooks. More may be sent than is needed, never less.
//!
//! # What an expression may cost
//! The API server gives each expression a million units and all those of a webhook two and a half, and takes an error for a
//! failure of the webhook: `Fail` refuses the object, and `Ignore` lets it through unjudged. So each expression first asks for
//! sizes, and what is larger than any usual object is sent without looking further. Looking for an image costs a tenth of
//! the text's length times a quarter of the pattern's.

use crate::catalog::{DATABASE_HINTS, LONGEST_DATABASE_NAME, image_expression};
use crate::facts::VolumeSource;
use crate::policy::Interest;
use crate::rule::Concern;

/// A pod with more containers is sent whatever they are.
const MOST_CONTAINERS: usize = 32;
/// A pod with more pod volumes is.
const MOST_VOLUMES: usize = 256;
/// A pod with an image of more characters is.
const LONGEST_IMAGE: usize = 512;
/// A pod with a container of more variables, words of its command, or arguments, is.
const MOST_TEXTS: usize = 32;
/// What looking for images may cost: well below the million that the API server allows.
const MOST_COST: usize = 500_000;

/// The pod's spec, wherever the object has it. Of these fields each kind has the one. A pod, which is what is made most often, is
/// not looked through for the others.
const POD: &str = "(request.kind.kind == 'Pod' ? object.?spec : object.?spec.?jobTemplate.?spec.?template.?spec\
                   .or(object.?spec.?template.?spec).or(object.?template.?spec).or(object.?spec)).orValue({})";

/// When an object that is created or updated is sent to be judged; none where it always is.
pub fn finds_expression(interest: &Interest) -> Option<String> {
    expression(&interest.finds, interest, interest.claims)
}

/// When it is sent to be changed; none where it always is.
pub fn changes_expression(interest: &Interest) -> Option<String> {
    expression(&interest.changes, interest, interest.changes.claims)
}

/// Claims and what is scaled are asked about by rules of their own.
fn expression(concern: &Concern, interest: &Interest, claims: bool) -> Option<String> {
    let images = match (&interest.images, concern.products) {
        (_, false) => None,
        (Some(words), true) => Some(image_expression(words)?),
        (None, true) => return None,
    };
    if concern.anything {
        return None;
    }
    let mut kinds = vec!["Scale"];
    kinds.extend(claims.then_some("PersistentVolumeClaim"));
    kinds.extend(concern.stateful_sets.then_some("StatefulSet"));
    let kinds: Vec<String> = kinds.into_iter().map(|kind| format!("'{kind}'")).collect();
    let mut cases = vec![format!("request.kind.kind in [{}]", kinds.join(", "))];
    if concern.pods_of_sets {
        cases.push(
            "object.metadata.?ownerReferences.orValue([]).exists(o, o.?kind.orValue('') == 'StatefulSet')"
                .to_owned(),
        );
    }
    cases.extend(volumes(concern));
    cases.extend(containers(concern, images.as_deref()));
    Some(cases.join(" || "))
}

/// Whether a pod volume is of a type that matters, or of one that is not known.
fn volumes(concern: &Concern) -> Option<String> {
    if concern.volumes.is_empty() {
        return None;
    }
    let inert = VolumeSource::types().filter(|kind| !concern.volumes.contains(kind));
    let inert: Vec<String> = inert.map(|kind| format!("'{kind}'")).collect();
    // A volume without a source is an emptyDir.
    let matters =
        format!("size(v) != 2 || !v.all(k, k == 'name' || (k in [{}] && v[k] != null))", inert.join(", "));
    Some(format!("[{POD}].exists(p, {})", any_item("p", "volumes", MOST_VOLUMES, "v", &matters)))
}

/// Whether a container has what matters.
fn containers(concern: &Concern, images: Option<&str>) -> Option<String> {
    if images.is_none() && !concern.devices && !concern.database_files {
        return None;
    }
    let mut cases = Vec::new();
    if concern.devices {
        cases.push("has(c.volumeDevices)".to_owned());
    }
    if concern.database_files {
        let names = |text: &str| {
            let hints = DATABASE_HINTS.iter().map(|hint| format!("{text}.contains('{hint}')"));
            format!("size({text}) <= {LONGEST_DATABASE_NAME} && ({})", hints.collect::<Vec<_>>().join(" || "))
        };
        cases.push(any_item("c", "env", MOST_TEXTS, "e", &names("e.?value.orValue('')")));
        cases.push(any_item("c", "command", MOST_TEXTS, "a", &names("a")));
        cases.push(any_item("c", "args", MOST_TEXTS, "a", &names("a")));
    }
    let image = "c.?image.orValue('')";
    if images.is_some() {
        cases.push(format!("size({image}) > {LONGEST_IMAGE}"));
    }
    let mut all =
        vec![format!("size(cs) > {MOST_CONTAINERS}"), format!("cs.exists(c, {})", cases.join(" || "))];
    if let Some(pattern) = images {
        let longest = most_text(pattern);
        all.push(format!(
            "[cs.map(c, {image}).join(' ')].exists(s, size(s) > {longest} || s.matches('{pattern}'))"
        ));
    }
    // A list of one, as that is how an expression names what it needs more than once.
    let lists = ["containers", "initContainers", "ephemeralContainers"].map(list);
    Some(format!("[{POD}].map(p, {}).exists(cs, {})", lists.join(" + "), all.join(" || ")))
}

/// How much text that pattern may be looked for in.
fn most_text(pattern: &str) -> usize {
    let unit = pattern.len().div_ceil(4).max(1);
    (MOST_COST / unit).saturating_sub(1) * 10
}

/// A list of the pod; a list that must be there is null in an object that has yet to be validated.
fn list(name: &str) -> String {
    format!("(p.?{name}.orValue(null) == null ? [] : p.{name})")
}

/// Whether a list has more than so many items, or one of which something holds; a list that is not there, or null, has none.
fn any_item(whose: &str, name: &str, most: usize, item: &str, holds: &str) -> String {
    let list = format!("{whose}.{name}");
    format!(
        "({whose}.?{name}.orValue(null) != null && (size({list}) > {most} || {list}.exists({item}, {holds})))"
    )
}

#[cfg(test)]
mod tests;
