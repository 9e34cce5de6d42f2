//! The same object twice: only one of the two is what the others refer to.

use super::{Input, Manifest, Notice, Spot};
use crate::facts::Facts;
use crate::model::{FieldPath, ObjectRef};
use std::collections::HashMap;
use std::collections::hash_map::{DefaultHasher, Entry};
use std::hash::{Hash, Hasher};

/// How many are told one by one. In a tree of many clusters or environments they are the rule.
const MOST: usize = 10;

/// The objects that were met, each by two digests of its name and folder: of very many the names are not kept.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    first: HashMap<(u64, u64), First>,
    /// The first of those that are there again.
    found: Vec<Again>,
    count: usize,
}

/// Where an object was met first.
#[derive(Debug, Clone, Copy)]
struct First {
    input: usize,
    line: usize,
    content: u64,
}

/// An object that was met before.
#[derive(Debug)]
struct Again {
    first: First,
    spot: Spot,
    object: ObjectRef,
    is_same: bool,
}

impl Repeats {
    /// Goes through further objects. The first of the inputs is the one of that number in the run.
    pub(super) fn add(&mut self, manifests: &[Manifest<'_>], inputs: &[Input], base: usize, namespace: &str) {
        let name = FieldPath::root().key("metadata").key("name");
        for manifest in manifests {
            let Some(input) = inputs.get(manifest.input).filter(|_| !manifest.patch) else { continue };
            let object = Facts::identify(&*manifest.value, Some(namespace));
            // Generated names differ, and variables stand for what is not known.
            if object.name.is_empty() || object.name.ends_with('*') || object.name.contains("${") {
                continue;
            }
            if !Facts::reads(&object.api_version, &object.kind)
                && !matches!(object.kind.as_str(), "ConfigMap" | "Secret")
            {
                continue;
            }
            // One object, whatever version it is written in.
            let group = object.api_version.split_once('/').map_or("", |(group, _)| group);
            let key = (input.folder, group, &object.kind, &object.namespace, &object.name);
            let key = (digest(&key), digest(&(key, "again")));
            let content = digest(&*manifest.value);
            match self.first.entry(key) {
                Entry::Occupied(known) => {
                    self.count += 1;
                    if self.found.len() < MOST {
                        let first = *known.get();
                        let Spot { start, end, .. } = manifest.spot(&name);
                        self.found.push(Again {
                            first,
                            spot: Spot { input: base + manifest.input, start, end },
                            object,
                            is_same: first.content == content,
                        });
                    }
                }
                Entry::Vacant(free) => {
                    let line = input.source.position(manifest.spot(&name).start).line;
                    free.insert(First { input: base + manifest.input, line, content });
                }
            }
        }
    }
    /// The inputs of the objects that are told.
    pub(super) fn told(&self) -> impl Iterator<Item = usize> + '_ {
        self.found.iter().map(|again| again.spot.input)
    }

    /// A notice for every object that is there more than once; of very many, one for all.
    pub(super) fn notices<'n>(&'n self, inputs: &'n [Input]) -> impl Iterator<Item = Notice> + 'n {
        let shown = if self.count > MOST { 1 } else { MOST };
        let others = match self.count {
            ..=MOST => String::new(),
            more => format!(" (and {} more objects are there more than once)", more - 1),
        };
        self.found.iter().take(shown).map(move |again| {
            let which = match again.is_same {
                true => "the same there and here",
                false => "with other content there: what refers to it is held against the one here",
            };
            let file = inputs.get(again.first.input).map_or("", |input| &input.source.name);
            let (object, line) = (&again.object, again.first.line);
            let message = format!("{object} is there twice, first at {file}:{line}, {which}{others}");
            Notice { spot: Some(again.spot.clone()), message }
        })
    }
}

fn digest(of: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}
