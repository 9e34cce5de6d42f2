//! Which objects the API server sends: what the policies may have a say about ([`Interest`]) as CEL expressions for the
//! `matchConditions` of the webhooks. More may be sent than is needed, never less.
//!
//! # What an expression may cost
//! The API server gives each expression a million units and all those of a webhook two and a half, and takes an error for a
//! failure of the webhook: `Fail` refuses the object, and `Ignore` lets it through unjudged. So each expression first asks for
//! sizes, and what is larger than any usual object is sent without looking further. Looking for a segment of an image in a list
//! costs the list's length; a regular expression, a tenth of the text's length times a quarter of the expression's; a part of a text,
//! a tenth of the one's length times a tenth of the other's.
//!
//! What it takes counts as well, as it is evaluated for every pod: each operator takes the API server about 0.2 µs, a long regular
//! expression 0.3 µs for each character of the text, and an item of a list three or four operators. So texts are put together
//! before something is looked for in them, and a segment is looked for in a list of constants, which the API server keeps as a set.

use crate::catalog::{DATABASE_HINTS, ProductWords};
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
/// A pod with a container of more ports is.
const MOST_PORTS: usize = 64;
/// What looking for images may cost, and what looking into texts may: together well below the million that the API server allows.
const MOST_COST: usize = 300_000;

/// What most volumes are, as every pod has a token.
const USUAL_VOLUMES: [&str; 3] = ["projected", "configMap", "secret"];

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
    let products = match (&interest.products, concern.products) {
        (_, false) => None,
        (Some(words), true) => Some(ProductWords::new(words)?),
        (None, true) => return None,
    };
    if concern.anything {
        return None;
    }
    let mut kinds = vec!["Scale"];
    kinds.extend(claims.then_some("PersistentVolumeClaim"));
    kinds.extend(concern.stateful_sets.then_some("StatefulSet"));
    let mut cases = vec![format!("request.kind.kind in {}", list(kinds))];
    if concern.pods_of_sets {
        cases.push(
            "object.metadata.?ownerReferences.orValue([]).exists(o, o.?kind.orValue('') == 'StatefulSet')"
                .to_owned(),
        );
    }
    let of_pod: Vec<String> =
        volumes(concern).into_iter().chain(containers(concern, products.as_ref())).collect();
    if !of_pod.is_empty() {
        cases.push(named(POD, "p", &of_pod.join(" || ")));
    }
    Some(cases.join(" || "))
}

/// Whether a pod volume is of a type that matters, or of one that is not known.
fn volumes(concern: &Concern) -> Option<String> {
    if concern.volumes.is_empty() {
        return None;
    }
    let inert: Vec<&str> = VolumeSource::types().filter(|kind| !concern.volumes.contains(kind)).collect();
    let usual = USUAL_VOLUMES.iter().filter(|kind| inert.contains(kind));
    let usual: String = usual.map(|kind| format!("{} || ", is_there("v", kind))).collect();
    // A volume without a source is an emptyDir.
    let is_inert = format!("{usual}v.all(k, k == 'name' || (k in {} && v[k] != null))", list(inert));
    Some(any_item("p", "volumes", MOST_VOLUMES, "v", &format!("size(v) != 2 || !({is_inert})")))
}

/// Whether a container has what matters.
fn containers(concern: &Concern, products: Option<&ProductWords<'_>>) -> Option<String> {
    let mut cases = Vec::new();
    if concern.devices {
        cases.push("has(c.volumeDevices)".to_owned());
    }
    let hints = if concern.database_files { &DATABASE_HINTS[..] } else { &[] };
    let programs = products.iter().flat_map(|products| &products.programs);
    let parts: Vec<&str> = hints.iter().chain(programs).copied().collect();
    let most = most_bytes(hints, &parts);
    if !hints.is_empty() {
        cases.push(any_text("env", "c.env.map(e, has(e.value) ? e.value : '')", hints, most));
    }
    if !parts.is_empty() {
        cases.extend(["command", "args"].map(|name| any_text(name, &format!("c.{name}"), &parts, most)));
    }
    cases.extend(products.and_then(listens));
    let mut all = vec![format!("size(cs) > {MOST_CONTAINERS}")];
    all.extend(products.map(any_image));
    if !cases.is_empty() {
        all.push(format!("cs.exists(c, {})", cases.join(" || ")));
    }
    // A list that must be there is null in an object that has yet to be validated.
    let lists = ["containers", "initContainers", "ephemeralContainers"]
        .map(|name| format!("({} ? p.{name} : [])", is_there("p", name)));
    (all.len() > 1).then(|| named(&lists.join(" + "), "cs", &all.join(" || ")))
}

/// Whether a container has a port and a variable that show a product together.
fn listens(products: &ProductWords<'_>) -> Option<String> {
    let ProductWords { ports, variables, .. } = products;
    let number = |port: &u16| port.to_string();
    let ports = ports.iter().map(number).collect::<Vec<_>>().join(", ");
    let is_port = format!("has(q.containerPort) && q.containerPort in [{ports}]");
    let is_variable = format!("has(e.name) && e.name in {}", list(variables.iter().copied()));
    let both = [
        any_item("c", "ports", MOST_PORTS, "q", &is_port),
        any_item("c", "env", MOST_TEXTS, "e", &is_variable),
    ];
    (!ports.is_empty() && !variables.is_empty()).then(|| both.join(" && "))
}

/// Whether an image may be one that is looked for. All images are taken apart in one go.
fn any_image(words: &ProductWords<'_>) -> String {
    let ProductWords { names, names_of_publishers, publishers, pattern, .. } = words;
    let has_one_of = |words: Vec<&str>| format!("ts.exists(t, t in {})", list(words));
    let all: Vec<&str> = names.union(names_of_publishers).copied().collect();
    let most = MOST_COST / (all.len() + names.len() + publishers.len()).max(1);
    let by_segment = format!(
        "size(ts) > {most} || ({} && ({} || {}))",
        has_one_of(all),
        has_one_of(names.iter().copied().collect()),
        has_one_of(publishers.iter().copied().collect())
    );
    let mut cases = vec![
        format!(
            "(size(s) > {LONGEST_IMAGE} && cs.exists(c, has(c.image) && size(c.image) > {LONGEST_IMAGE}))"
        ),
        named("s.replace('@', '/').replace(':', '/').replace(' ', '/').split('/')", "ts", &by_segment),
    ];
    if !pattern.is_empty() {
        cases.push(format!("size(s) > {} || s.matches('{pattern}')", most_text(pattern)));
    }
    named("cs.map(c, has(c.image) ? c.image : '').join('/')", "s", &cases.join(" || "))
}

/// How much text that pattern may be looked for in.
fn most_text(pattern: &str) -> usize {
    let unit = pattern.len().div_ceil(4).max(1);
    (MOST_COST / unit).saturating_sub(1) * 10
}

/// How many bytes of commands, of arguments and of variables may be looked into, those of all containers together: each is put together,
/// and looked into for each of the parts; variables for the hints alone.
fn most_bytes(hints: &[&str], parts: &[&str]) -> usize {
    let unit = |parts: &[&str]| parts.iter().map(|part| part.len().div_ceil(10)).sum::<usize>();
    MOST_COST * 10 / (2 * unit(parts) + unit(hints) + 3)
}

/// Whether one of the container's texts holds one of these parts, or is longer than each may be where there are so many containers.
fn any_text(name: &str, texts: &str, parts: &[&str], most: usize) -> String {
    // `mongod` stands wherever `mongod-sharded` does.
    let is_part = |part: &&&str| !parts.iter().any(|other| other != *part && part.contains(other));
    let parts = parts.iter().filter(is_part).map(|part| format!("s.contains('{part}')"));
    let parts = parts.collect::<Vec<_>>().join(" || ");
    let holds = named(&format!("{texts}.join(' ')"), "s", &format!("size(s) * size(cs) > {most} || {parts}"));
    format!("({} && (size(c.{name}) > {MOST_TEXTS} || {holds}))", is_there("c", name))
}

/// Whether a list has more than so many items, or one of which something holds; a list that is not there, or null, has none.
fn any_item(whose: &str, name: &str, most: usize, item: &str, holds: &str) -> String {
    let list = format!("{whose}.{name}");
    format!("({} && (size({list}) > {most} || {list}.exists({item}, {holds})))", is_there(whose, name))
}

fn is_there(whose: &str, name: &str) -> String {
    format!("has({whose}.{name}) && {whose}.{name} != null")
}

/// What holds of a value that is needed more than once. A list of one names it.
fn named(value: &str, name: &str, holds: &str) -> String {
    format!("[{value}].exists({name}, {holds})")
}

fn list<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("'{word}'")).collect();
    format!("[{}]", words.join(", "))
}

#[cfg(test)]
mod tests;
