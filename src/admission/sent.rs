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
/// A pod with a container of more variables, or more arguments, is.
const MOST_TEXTS: usize = 48;
/// What looking for images may cost: well below the million that the API server allows.
const MOST_COST: usize = 500_000;

/// The pod's spec, wherever the object has it. Of these fields each kind has the one.
const POD: &str = "object.?spec.?jobTemplate.?spec.?template.?spec.or(object.?spec.?template.?spec)\
                   .or(object.?template.?spec).or(object.?spec).orValue({})";

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
    let parts: Vec<String> =
        volumes(concern).into_iter().chain(containers(concern, images.as_deref())).collect();
    if !parts.is_empty() {
        cases.push(format!("[{POD}].exists(p, {})", parts.join(" || ")));
    }
    Some(cases.join(" || "))
}

/// Whether a pod volume is of a type that matters, or of one that is not known.
fn volumes(concern: &Concern) -> Option<String> {
    if concern.volumes.is_empty() {
        return None;
    }
    let inert = VolumeSource::types().filter(|kind| !concern.volumes.contains(kind));
    let inert: Vec<String> = inert.map(|kind| format!("'{kind}'")).collect();
    let list = list("volumes");
    // A volume without a source is an emptyDir.
    Some(format!(
        "size({list}) > {MOST_VOLUMES} || {list}.exists(v, size(v) != 2 || !v.all(k, k == 'name' || (k in [{}] && v[k] != null)))",
        inert.join(", ")
    ))
}

/// Whether a container has what matters.
fn containers(concern: &Concern, images: Option<&str>) -> Option<String> {
    if images.is_none() && !concern.devices && !concern.database_files {
        return None;
    }
    let all =
        format!("({} + {} + {})", list("containers"), list("initContainers"), list("ephemeralContainers"));
    let mut cases = vec![format!("size({all}) > {MOST_CONTAINERS}")];
    if concern.devices {
        cases.push(format!("{all}.exists(c, has(c.volumeDevices))"));
    }
    if concern.database_files {
        let (env, args) =
            (list_of("c", "env"), format!("({} + {})", list_of("c", "command"), list_of("c", "args")));
        let value = "e.?value.orValue('')";
        let names = |text: &str| {
            let hints = DATABASE_HINTS.iter().map(|hint| format!("{text}.contains('{hint}')"));
            format!("size({text}) <= {LONGEST_DATABASE_NAME} && ({})", hints.collect::<Vec<_>>().join(" || "))
        };
        cases.push(format!(
            "{all}.exists(c, size({env}) > {MOST_TEXTS} || {env}.exists(e, {}) || size({args}) > {MOST_TEXTS} || {args}.exists(a, {}))",
            names(value),
            names("a"),
        ));
    }
    if let Some(pattern) = images {
        let image = "c.?image.orValue('')";
        cases.push(format!("{all}.exists(c, size({image}) > {LONGEST_IMAGE})"));
        let longest = most_text(pattern);
        cases.push(format!(
            "[{all}.map(c, {image}).join(' ')].exists(s, size(s) > {longest} || s.matches('{pattern}'))"
        ));
    }
    Some(cases.join(" || "))
}

/// How much text that pattern may be looked for in.
fn most_text(pattern: &str) -> usize {
    let unit = pattern.len().div_ceil(4).max(1);
    (MOST_COST / unit).saturating_sub(1) * 10
}

/// A list of the pod; a list that must be there is null in an object that has yet to be validated.
fn list(name: &str) -> String {
    list_of("p", name)
}

fn list_of(whose: &str, name: &str) -> String {
    format!("({whose}.?{name}.orValue(null) == null ? [] : {whose}.{name})")
}

#[cfg(test)]
mod tests;
