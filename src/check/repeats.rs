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

/// An object as far as it can be told from others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    key: (u64, u64),
    content: u64,
    line: usize,
}

impl Seen {
    /// What is remembered of an object of that name; nothing of what may be there twice.
    pub(super) fn of(manifest: &Manifest<'_>, object: &ObjectRef, input: &Input) -> Option<Self> {
        // Generated names differ, and variables stand for what is not known.
        if manifest.patch
            || object.name.is_empty()
            || object.name.ends_with('*')
            || object.name.contains("${")
            || (!Facts::reads(&object.api_version, &object.kind)
                && !matches!(object.kind.as_str(), "ConfigMap" | "Secret"))
        {
            return None;
        }
        // One object, whatever version it is written in.
        let group = object.api_version.split_once('/').map_or("", |(group, _)| group);
        let key = (input.folder, group, &object.kind, &object.namespace, &object.name);
        let line = input.source.position(manifest.spot(&name()).start).line;
        Some(Self { key: (digest(&key), digest(&(key, "again"))), content: digest(&*manifest.value), line })
    }
}

/// The field with an object's name.
fn name() -> FieldPath {
    FieldPath::root().key("metadata").key("name")
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
    /// Remembers a further object. The first input of its portion is the one of that number in the run.
    pub(super) fn add(&mut self, manifest: &Manifest<'_>, seen: Seen, base: usize, namespace: &str) {
        let Seen { key, content, line } = seen;
        let input = base + manifest.input;
        match self.first.entry(key) {
            Entry::Occupied(known) => {
                self.count += 1;
                if self.found.len() < MOST {
                    let first = *known.get();
                    let spot = Spot { input, ..manifest.spot(&name()) };
                    let object = Facts::identify(&*manifest.value, Some(namespace));
                    self.found.push(Again { first, spot, object, is_same: first.content == content });
                }
            }
            Entry::Vacant(free) => {
                free.insert(First { input, line, content });
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
