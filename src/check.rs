//! The dry run: manifests in, the verdict that a cluster would give out, each finding at its line. Pure.

mod applied;
mod built;
mod cases;
mod comments;
mod expected;
mod fix;
mod input;
mod manifest;
mod misnamed;
mod misspelt;
mod not_judged;
mod parallel;
mod reading;
mod relying;
mod repeats;
mod said;
mod since;
mod sizes;
mod state;
mod stream;
mod streams;
mod summary;
mod template;
mod update;
mod variables;

use crate::admission;
use crate::engine::Engine;
use crate::facts::{Facts, FactsFault, Parts};
use crate::lookup::{Lookup, MapLookup};
use crate::model::ObjectRef;
use crate::policy::PolicySet;
use crate::rule::{Requester, Review};
use crate::verdict::{Finding, Overlooked, Verdict};
pub use fix::{MARK, Repair, Repaired, TextEdit, Wanted, apply, component};
use jiff::civil::Date;
use json_patch::Patch;
use manifest::text;
pub use manifest::{Manifest, manifests};
pub(crate) use reading::read_faults;
use repeats::{Repeats, Seen};
use said::MOST_TOLD;
use said::{Said, Sort};
use serde_json::Value;
use update::Before;

pub use applied::{Applied, AppliedException, AppliedObject, AppliedRule};
pub use cases::{Directives, Outcome};
pub use comments::excuse_by_comments;
pub use input::Input;
pub use not_judged::{NotJudged, ObjectKind, Tally, What};
pub(crate) use parallel::{SMALL_OBJECTS, few_texts, in_parallel, take_in_parallel};
pub use since::keep_changed;
pub use state::every_kind;
pub(crate) use state::kinds;
pub use stream::Stream;
pub(crate) use stream::changed;
pub use summary::{Summary, effective};

/// Where something stands in an input.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// Which input, by index.
    pub input: usize,
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

/// A finding with its object and its place.
#[derive(Debug, Clone)]
pub struct Located {
    /// The finding.
    pub finding: Finding,
    /// The object.
    pub object: ObjectRef,
    /// Its index in [`Report::objects`].
    pub manifest: usize,
    /// The field's place.
    pub spot: Spot,
    /// The places of the fields that explain it.
    pub related: Vec<(Spot, String)>,
    /// The comment in the file that excuses it, and what holds in a cluster as well. None where nothing excuses it, or a policy
    /// does.
    pub comment: Option<ByComment>,
}

/// How a comment excuses a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByComment {
    /// The comment.
    pub spot: Spot,
    /// That a cluster does not read comments, and what it does read.
    pub note: String,
}

/// An object that was judged, as far as a report names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Which input, by index.
    pub input: usize,
    /// Which object of the texts that were judged together with it.
    nth: usize,
    /// The line that it begins at.
    pub line: usize,
    /// Its kind and name.
    pub name: String,
}

/// What mutation changes in one object.
#[derive(Debug, Clone)]
pub struct Change {
    /// The object.
    pub object: ObjectRef,
    /// Its index in [`Report::objects`].
    pub manifest: usize,
    /// The patch, relative to the object.
    pub patch: Patch,
}

/// Something that kept volgate from judging.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where, when it has a place.
    pub spot: Option<Spot>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// Something that a reader should know, though it keeps nothing from being judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Where, when it has a place.
    pub spot: Option<Spot>,
    /// What it is.
    pub message: String,
}

/// All that came of a run.
#[derive(Debug, Default)]
pub struct Report<'i> {
    /// Every object that was judged; none where the documents were let go.
    pub manifests: Vec<Manifest<'i>>,
    /// The same, as they are named, in the same order: what is left of them where the documents were let go.
    pub objects: Vec<Object>,
    /// The findings, by file, line and column.
    pub findings: Vec<Located>,
    /// What mutation would change.
    pub changes: Vec<Change>,
    /// What could not be judged.
    pub faults: Vec<Fault>,
    /// What a reader should know, though it is no fault.
    pub notices: Vec<Notice>,
    /// What was met and not judged.
    pub not_judged: Vec<NotJudged>,
    /// How many objects were judged.
    pub judged: usize,
    /// Documents in folders that are no Kubernetes objects.
    pub skipped: usize,
    /// How many of `changes` were to be written and could not be.
    pub unwritten: usize,
    /// The volumes that were written for data which would be lost, or can be, where that was asked for.
    pub repairs: Vec<Repair>,
    /// The same with the changes of the text, for the forms that hold them.
    pub fixes: Vec<Repair>,
    /// The policies among the manifests that were applied, each with its place.
    pub policies: Vec<(String, Spot)>,
    /// What each policy was about, where that was asked for.
    pub applied: Option<Vec<Applied>>,
    /// The file with the settings of the run, where there is one.
    pub settings: Option<String>,
}

impl Report<'_> {
    /// Puts the findings in the order of their places, and the strictest of one place first.
    fn sort_findings(&mut self) {
        self.findings.sort_by(|a, b| {
            let key =
                |l: &Located| (l.spot.clone(), std::cmp::Reverse(effective(&l.finding)), l.finding.rule);
            key(a).cmp(&key(b))
        });
    }
}

/// What stands further from a finding than so many bytes is shown by itself.
pub(crate) const FAR: usize = 4_000;

/// What a run is about, besides the inputs.
pub struct Run<'r> {
    /// The policies.
    pub policies: &'r PolicySet,
    /// Objects of the cluster: looked up and not judged.
    pub context: &'r [Input],
    /// Whether `context` is the state of a cluster: an object that is not found does not exist if the state has its kind.
    pub complete: bool,
    /// The namespace of objects that name none.
    pub namespace: &'r str,
    /// Today (UTC).
    pub today: Date,
    /// Who applies the manifests; none where that is not known.
    pub requester: Option<&'r Requester>,
}

impl<'r> Run<'r> {
    /// A run by these policies on that day, without a context, in the namespace `default`.
    pub fn new(policies: &'r PolicySet, today: Date) -> Self {
        Self { policies, context: &[], complete: false, namespace: "default", today, requester: None }
    }

    /// A run in which `context`, where there is any, is the whole cluster.
    #[must_use]
    pub fn in_cluster(self, context: &'r [Input]) -> Self {
        Self { context, complete: !context.is_empty(), ..self }
    }
}

impl Run<'_> {
    /// Judges all objects of the inputs; they see each other and the context.
    pub fn check<'i>(&self, inputs: &'i [Input]) -> Report<'i> {
        self.check_against(inputs, &self.lookup(inputs), &[])
    }

    /// Judges all objects of the inputs as changes of those of the same name in `old`, as the webhook is asked of an update.
    pub fn check_update<'i>(&self, inputs: &'i [Input], old: &[Input]) -> Report<'i> {
        self.check_against(inputs, &self.lookup(inputs), old)
    }

    /// Judges all objects of the inputs against what is known of others.
    pub fn check_against<'i>(&self, inputs: &'i [Input], lookup: &MapLookup, old: &[Input]) -> Report<'i> {
        let mut said = Said::default();
        self.say_of_run(&mut said);
        let engine = Engine { policies: self.policies, lookup, today: self.today };
        let manifests = manifests(inputs);
        let before = Before::of(old, self.namespace);
        before.unmatched(&manifests).into_iter().for_each(|notice| said.notice(Sort::Unmatched, notice));
        let mut repeats = Repeats::default();
        let seen = in_parallel(&manifests, SMALL_OBJECTS, |manifest| {
            let object = Facts::identify(&*manifest.value, Some(self.namespace));
            inputs.get(manifest.input).and_then(|input| Seen::of(manifest, &object, input))
        });
        for (manifest, seen) in manifests.iter().zip(seen) {
            seen.into_iter().for_each(|seen| repeats.add(manifest, seen, 0, self.namespace));
        }
        repeats.notices(inputs).for_each(|notice| said.notice(Sort::Repeats, notice));
        let judgements = in_parallel(&manifests, SMALL_OBJECTS, |manifest| {
            self.judgement(manifest, self.verdict(manifest, None, &engine, &before))
        });
        if self.complete {
            state::missing(lookup).into_iter().for_each(|notice| said.notice(Sort::State, notice));
        }
        let mut tally = Tally::default();
        let mut judged = Vec::new();
        let mut texts = inputs.iter().enumerate().peekable();
        for (nth, (manifest, judgement)) in manifests.into_iter().zip(judgements).enumerate() {
            while let Some((index, input)) = texts.next_if(|(index, _)| *index <= manifest.input) {
                reading::read(index, input, &mut said, &mut tally);
            }
            if self.conclude((nth, &manifest), judgement, inputs, &mut said, &mut tally) {
                judged.push(manifest);
            }
        }
        texts.for_each(|(index, input)| reading::read(index, input, &mut said, &mut tally));
        Report { manifests: judged, ..said.report(inputs, &tally) }
    }

    /// The verdict on one object; none on what is no object, or a part of one. `read` are its parts, where they are at hand.
    fn verdict(
        &self,
        manifest: &Manifest<'_>,
        read: Option<Result<Parts<'_>, FactsFault>>,
        engine: &Engine<'_>,
        before: &Before<'_>,
    ) -> Option<Result<Verdict, Unread>> {
        if manifest.review {
            return Some(judge_review(manifest, engine));
        }
        if manifest.patch || !manifest.is_object() {
            return None;
        }
        let review = before.change(self.review(&manifest.value));
        let verdict = match read {
            Some(parts) => parts
                .and_then(|parts| engine.mutate_and_check_parts(&review, &engine.compared(&review, parts))),
            None => engine.mutate_and_check(&review),
        };
        Some(verdict.map_err(Unread::Field).map(|mut verdict| {
            manifest.soften(&mut verdict);
            manifest.soften_expected(&mut verdict.findings);
            verdict
        }))
    }

    /// Adds what is said of no object: faults of the context, exceptions that end, policies that ask who makes a change.
    fn say_of_run(&self, said: &mut Said) {
        for input in self.context {
            for error in input.errors() {
                // The context has no place in the report's inputs, so that the name goes into the message.
                let at = input.source.position(error.offset);
                let message = format!("{}:{}:{}: {error}", input.source.name, at.line, at.column);
                said.fault(Sort::Run, Fault { spot: None, message, help: None });
            }
        }
        self.ending_exceptions().for_each(|notice| said.notice(Sort::Run, notice));
        self.unknown_users().for_each(|notice| said.notice(Sort::Run, notice));
    }

    /// A manifest as it is applied.
    fn review<'v>(&'v self, object: &'v Value) -> Review<'v> {
        Review { namespace: Some(self.namespace), requester: self.requester, ..Review::create(object) }
    }

    /// A notice for every policy that asks who applies the manifests, where that is not known.
    fn unknown_users(&self) -> impl Iterator<Item = Notice> {
        let asking = self.policies.policies().iter().filter(|policy| policy.reads_users());
        asking.filter(|_| self.requester.is_none()).map(|policy| {
            let message = format!(
                "policy {:?} asks who makes a change, and that is not known here: what depends on it is a warning at most \
                 and changes nothing; say it with --as USER and --as-group GROUP",
                policy.name
            );
            Notice { spot: None, message }
        })
    }

    /// A notice for every exception that will soon excuse nobody any more.
    fn ending_exceptions(&self) -> impl Iterator<Item = Notice> {
        const DAYS: i32 = 14;
        self.policies.policies().iter().flat_map(|policy| {
            policy.ending(self.today, DAYS).map(|(reason, until)| {
                let name = &policy.name;
                let message = format!("an exception of policy {name:?} ends on {until}: {reason}");
                Notice { spot: None, message }
            })
        })
    }

    /// All objects that rules can look up. Claims stand in it as mutation leaves them, as in a cluster.
    pub(crate) fn lookup(&self, inputs: &[Input]) -> MapLookup {
        let mut lookup = self.lookup_of_context();
        let mut judged = manifests(inputs);
        // What a review asks for does not exist yet.
        judged.retain(|manifest| !manifest.patch && !manifest.review);
        for manifest in &judged {
            self.learn(&manifest.value, &mut lookup);
        }
        for manifest in judged.iter().filter(|manifest| manifest.is_claim()) {
            self.add_as_mutated(&manifest.value, &mut lookup);
        }
        lookup
    }

    /// The objects of the context that rules can look up.
    fn lookup_of_context(&self) -> MapLookup {
        let mut lookup = MapLookup::default();
        if self.complete {
            lookup.set_state();
            state::kinds(self.context).for_each(|kind| lookup.set_known(kind));
        }
        for manifest in manifests(self.context) {
            self.learn(&manifest.value, &mut lookup);
        }
        lookup
    }

    /// Remembers an object that rules can look up.
    fn learn(&self, object: &Value, lookup: &mut MapLookup) {
        let kinds = self.policies.catalog().kinds();
        if let Ok(parts) = Facts::read_all(object, Some(self.namespace), kinds)
            && let Some(facts) = parts.looked_up()
        {
            lookup.add(facts);
        }
    }

    /// Puts a claim in as mutation leaves it.
    fn add_as_mutated(&self, claim: &Value, lookup: &mut MapLookup) {
        let engine = Engine { policies: self.policies, lookup: lookup as &dyn Lookup, today: self.today };
        let changed = engine.mutated_object(&self.review(claim));
        if let Ok(Some(changed)) = changed
            && let Ok(facts) = Facts::read(&changed, Some(self.namespace))
        {
            lookup.add(&facts);
        }
    }
}

/// Why there is no verdict on an object.
enum Unread {
    /// A field that cannot be read.
    Field(FactsFault),
    /// A review that the webhook would refuse to judge.
    Review(String),
}

/// The verdict of the webhook on a review that was kept.
fn judge_review(manifest: &Manifest<'_>, engine: &Engine<'_>) -> Result<Verdict, Unread> {
    let verdict = admission::judge(&manifest.document.value.to_string(), engine).map_err(Unread::Review)?;
    // As an object of a kind that no policy is about.
    Ok(verdict.unwrap_or(Verdict { overlooked: Some(Overlooked::Kind), ..Verdict::default() }))
}
