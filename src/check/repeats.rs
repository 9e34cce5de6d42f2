//! The same object twice: only one of the two is what the others refer to.

use super::{Input, Manifest, Notice};
use crate::facts::Facts;
use crate::model::{FieldPath, ObjectRef};
use std::collections::HashMap;

/// How many are told one by one. In a tree of many clusters or environments they are the rule.
const MOST: usize = 10;

/// A notice for every object that stands there more than once.
pub(super) fn repeats(manifests: &[Manifest<'_>], inputs: &[Input], namespace: &str) -> Vec<Notice> {
    let mut first: HashMap<(usize, ObjectRef), usize> = HashMap::new();
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (index, manifest) in manifests.iter().enumerate() {
        let Some(input) = inputs.get(manifest.input).filter(|_| !manifest.patch) else { continue };
        let mut id = Facts::identify(&*manifest.value, Some(namespace));
        // Generated names differ, and variables stand for what is not known.
        if id.name.is_empty() || id.name.ends_with('*') || id.name.contains("${") {
            continue;
        }
        if !Facts::reads(&id.api_version, &id.kind) && !matches!(id.kind.as_str(), "ConfigMap" | "Secret") {
            continue;
        }
        // One object, whatever version it is written in.
        id.api_version = id.api_version.split_once('/').map_or("", |(group, _)| group).to_owned();
        match first.entry((input.folder, id)) {
            std::collections::hash_map::Entry::Occupied(known) => found.push((*known.get(), index)),
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(index);
            }
        }
    }
    let more = found.len().saturating_sub(MOST);
    if more > 0 {
        found.truncate(1);
    }
    let notice = |(first, again): (usize, usize)| {
        let (first, again) = (manifests.get(first)?, manifests.get(again)?);
        let name = FieldPath::root().key("metadata").key("name");
        let spot = first.spot(&name);
        let source = &inputs.get(spot.input)?.source;
        let object = Facts::identify(&*again.value, Some(namespace));
        let which = match first.value == again.value {
            true => "the same there and here",
            false => "with other content there: what refers to it is held against the one here",
        };
        let at = format!("{}:{}", source.name, source.position(spot.start).line);
        let others = match more {
            0 => String::new(),
            more => format!(" (and {} more objects are there more than once)", more + MOST - 1),
        };
        Some(Notice {
            spot: Some(again.spot(&name)),
            message: format!("{object} is there twice, first at {at}, {which}{others}"),
        })
    };
    found.into_iter().filter_map(notice).collect()
}
