//! Judges texts one portion after another, so that a run needs no more memory than its findings and what objects have to know of
//! each other. Each object is judged as soon as its portion is read, by what is known until then. In the end only texts are read
//! and judged once more whose objects asked for something that became known, or changed, after that.

use super::comments::{add_notices, excuse_in};
use super::relying::{Asked, Known};
use super::said::{Said, Sort};
use super::update::Before;
use super::{
    FAR, Fault, Input, Manifest, Notice, Repeats, Report, Run, SMALL_OBJECTS, Seen, Spot, Tally, few_texts,
    in_parallel, manifests, reading, state, take_in_parallel,
};
use crate::engine::Engine;
use crate::facts::{Facts, FactsFault, Parts};
use crate::model::ObjectRef;
use serde_json::Value;
use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::mem::take;
use std::ops::Range;

/// How much text is judged at once where it is judged once more, in bytes.
const PORTION: usize = 1 << 20;

/// A text with objects whose verdicts depend on others.
struct Waiting<F> {
    /// Which input, by index.
    input: usize,
    /// What its verdicts rest on.
    asked: Asked,
    /// What came of it, or why it could not be judged once more.
    outcome: Result<Outcome, Fault>,
    /// Where it can be read again.
    from: F,
    digest: u64,
    bytes: usize,
}

/// What came of one text.
#[derive(Default)]
struct Outcome {
    said: Said,
    /// What was not judged, of the objects that depend on others.
    tally: Tally,
    /// The notices of its comments; none where no comment is meant for volgate.
    of_comments: Option<Vec<Notice>>,
}

/// The same before its comments are read, and with all places in the whole text.
#[derive(Default)]
struct Judged {
    said: Said,
    tally: Tally,
    asked: Asked,
}

/// A claim that was learnt, for the end.
struct Claim {
    /// The digest of its namespace and name.
    key: u64,
    /// What mutation asked of other objects.
    asked: Asked,
    /// The claim as JSON, where that depends on others.
    text: Option<String>,
}

/// What was read of an object: its parts, and what it is remembered by.
type Read<'m> = (Option<Result<Parts<'m>, FactsFault>>, Option<Seen>);

/// A run over texts that come one after another.
pub struct Stream<'r, F> {
    run: &'r Run<'r>,
    before: Before<'r>,
    /// Whether comments in the files excuse findings.
    comments: bool,
    known: Known,
    claims: Vec<Claim>,
    repeats: Repeats,
    tally: Tally,
    said: Said,
    /// The notices of comments; none as long as no comment is meant for volgate.
    of_comments: Option<Vec<Notice>>,
    inputs: Vec<Input>,
    /// The inputs that are kept as they are.
    whole: HashSet<usize>,
    waiting: Vec<Waiting<F>>,
}

impl<'r, F: Send + Sync> Stream<'r, F> {
    /// A run that has read nothing yet. `old` has the objects before an update.
    pub fn new(run: &'r Run<'r>, old: &'r [Input], comments: bool) -> Self {
        let mut said = Said::default();
        run.say_of_run(&mut said);
        Self {
            run,
            before: Before::of(old, run.namespace),
            comments,
            known: Known::new(run.lookup_of_context()),
            claims: Vec::new(),
            repeats: Repeats::default(),
            tally: Tally::default(),
            said,
            of_comments: None,
            inputs: Vec::new(),
            whole: HashSet::new(),
            waiting: Vec::new(),
        }
    }

    /// How many texts it has read.
    pub fn len(&self) -> usize {
        self.inputs.len()
    }

    /// Whether it has read none.
    pub fn is_empty(&self) -> bool {
        self.inputs.is_empty()
    }

    /// The texts as far as they are kept: those that `add` was to keep with their documents, and of the others what is shown.
    pub fn into_inputs(self) -> Vec<Input> {
        self.inputs
    }

    /// Whether there are texts that `add` was to keep.
    pub fn keeps_any(&self) -> bool {
        self.inputs.iter().any(|input| input.documents().next().is_some())
    }

    /// Judges the objects of the next texts by what is known until now, these included. With each text comes where it can be read
    /// again. Texts with an object that is to be kept stay whole.
    pub fn add(&mut self, portion: Vec<(Input, F)>, is_kept: impl Fn(&Manifest<'_>) -> bool) {
        let (inputs, from): (Vec<Input>, Vec<F>) = portion.into_iter().unzip();
        let base = self.inputs.len();
        self.known.grow_older();
        let manifests = manifests(&inputs);
        let run = self.run;
        let read = in_parallel(&manifests, SMALL_OBJECTS, |manifest| run.read(manifest, &inputs));
        for (manifest, (parts, seen)) in manifests.iter().zip(&read) {
            if let Some(Ok(parts)) = parts
                && let Some(facts) = parts.looked_up()
            {
                self.known.add(facts);
            }
            if let Some(seen) = seen {
                self.repeats.add(manifest, *seen, base, self.run.namespace);
            }
        }
        self.whole.extend(self.repeats.told());
        self.learn_claims(&manifests);
        let parts = read.into_iter().map(|(parts, _)| parts).collect();
        let mut tally = take(&mut self.tally);
        let judged = self.judge(&inputs, &manifests, parts, &mut tally);
        self.tally = tally;
        let kept: HashSet<usize> =
            manifests.iter().filter(|manifest| is_kept(manifest)).map(|manifest| manifest.input).collect();
        drop(manifests);
        self.whole.extend(kept.iter().map(|index| base + index));
        let few = few_texts(inputs.len(), inputs.iter().map(|input| input.source.text.len()).sum());
        let texts = inputs.into_iter().zip(from).zip(judged).enumerate().collect();
        let complete = take_in_parallel(texts, few, |(index, ((input, from), judged))| {
            let Judged { said, tally, asked } = judged;
            let (input_index, bytes) = (base + index, input.source.text.len());
            let digest = if asked.is_final() { 0 } else { digest(&*input.source.text) };
            let (outcome, shown) = self.complete(input_index, &input, said, tally);
            let waiting = Waiting { input: input_index, asked, outcome: Ok(outcome), from, digest, bytes };
            (if kept.contains(&index) { input } else { shown }, waiting)
        });
        for (shown, waiting) in complete {
            self.inputs.push(shown);
            match waiting.outcome {
                Ok(outcome) if waiting.asked.is_final() => self.append(outcome),
                outcome => self.waiting.push(Waiting { outcome, ..waiting }),
            }
        }
    }

    /// Puts the claims in as mutation leaves them.
    fn learn_claims(&mut self, manifests: &[Manifest<'_>]) {
        for manifest in manifests.iter().filter(|manifest| is_there(manifest) && manifest.is_claim()) {
            let id = Facts::identify(&*manifest.value, Some(self.run.namespace));
            let asked = self.learn_mutated(&manifest.value);
            let text = (!asked.is_final()).then(|| manifest.value.to_string());
            self.claims.push(Claim { key: digest(&(id.namespace, id.name)), asked, text });
        }
    }

    /// Puts one claim in as mutation leaves it; what that asked for.
    fn learn_mutated(&mut self, claim: &Value) -> Asked {
        let noting = self.known.noting();
        let engine = Engine { policies: self.run.policies, lookup: &noting, today: self.run.today };
        let changed = engine.mutated_object(&self.run.review(claim));
        let asked = noting.asked();
        if let Ok(Some(changed)) = changed
            && let Ok(facts) = Facts::read(&changed, Some(self.run.namespace))
        {
            self.known.add(&facts);
        }
        asked
    }

    /// Judges the objects of some texts; what came of each text. What is not judged of objects that depend on no others is counted
    /// in `tally`.
    fn judge<'m>(
        &self,
        inputs: &[Input],
        manifests: &'m [Manifest<'m>],
        parts: Vec<Option<Result<Parts<'m>, FactsFault>>>,
        tally: &mut Tally,
    ) -> Vec<Judged> {
        let objects = manifests.iter().zip(parts).collect();
        let judgements = take_in_parallel(objects, SMALL_OBJECTS, |(manifest, parts)| {
            let noting = self.known.noting();
            let engine = Engine { policies: self.run.policies, lookup: &noting, today: self.run.today };
            let verdict = self.run.verdict(manifest, parts, &engine, &self.before);
            (self.run.judgement(manifest, verdict), noting.asked())
        });
        let mut all: Vec<Judged> = Vec::new();
        all.resize_with(inputs.len(), Judged::default);
        for notice in self.before.unmatched(manifests) {
            let input = notice.spot.as_ref().map_or(0, |spot| spot.input);
            if let Some(judged) = all.get_mut(input) {
                judged.said.notice(Sort::Unmatched, notice);
            }
        }
        let mut texts = inputs.iter().enumerate().peekable();
        for ((nth, manifest), (judgement, asked)) in numbered(manifests).zip(judgements) {
            while let Some((index, input)) = texts.next_if(|(index, _)| *index <= manifest.input) {
                read_text(index, input, &mut all, tally);
            }
            let Some(judged) = all.get_mut(manifest.input) else { continue };
            let Judged { said, tally: of_text, asked: of_others } = judged;
            if asked.is_final() {
                self.known.count(&asked);
                self.run.conclude((nth, manifest), judgement, inputs, said, tally);
            } else {
                *of_others = take(of_others).and(asked);
                self.run.conclude((nth, manifest), judgement, inputs, said, of_text);
            }
        }
        texts.for_each(|(index, input)| read_text(index, input, &mut all, tally));
        all
    }

    /// Puts together what came of one text, and cuts the text to what is to be shown of it.
    fn complete(&self, index: usize, input: &Input, mut said: Said, tally: Tally) -> (Outcome, Input) {
        said.spots().for_each(|spot| spot.input = index);
        said.objects.iter_mut().for_each(|object| object.input = index);
        said.faults.iter_mut().for_each(|(_, input, _)| *input = index);
        said.notices.iter_mut().for_each(|(_, input, _)| *input = index);
        let strangers: usize = said.strangers.values().sum();
        said.strangers =
            (strangers > 0).then(|| (input.part_of.unwrap_or(index), strangers)).into_iter().collect();
        let mut of_comments = None;
        if self.comments {
            of_comments = excuse_in(input, index, said.findings.iter_mut(), self.run.policies);
        }
        let shown = if self.whole.contains(&index) {
            input.shown(input.source.clone())
        } else {
            let comments =
                of_comments.iter_mut().flatten().filter_map(|notice: &mut Notice| notice.spot.as_mut());
            shorten(input, &mut said, comments)
        };
        (Outcome { said, tally, of_comments }, shown)
    }

    /// Adds what came of one text, of which nothing is left to be judged.
    fn append(&mut self, outcome: Outcome) {
        let Outcome { said, tally, of_comments } = outcome;
        self.tally.append(tally);
        if let Some(notices) = of_comments {
            self.of_comments.get_or_insert_default().extend(notices);
        }
        self.said.append(said);
    }

    /// Judges once more what rests on something that changed, and puts the report together. `read` reads a text once more: it must
    /// be what it was.
    pub fn finish(
        mut self,
        read: impl Fn(&F) -> Result<Input, Fault> + Sync + Send,
    ) -> (Report<'static>, Vec<Input>) {
        self.known.grow_older();
        self.settle_claims();
        let mut waiting = take(&mut self.waiting);
        let mut changed: Vec<&mut Waiting<F>> =
            waiting.iter_mut().filter(|waiting| self.known.has_changed(&waiting.asked)).collect();
        while !changed.is_empty() {
            let mut bytes = 0;
            let is_enough = |waiting: &&mut Waiting<F>| {
                let is_enough = bytes >= PORTION;
                bytes += waiting.bytes;
                is_enough
            };
            let end = changed.iter().position(is_enough).unwrap_or(changed.len());
            let rest = changed.split_off(end);
            self.judge_again(changed, &read);
            changed = rest;
        }
        for Waiting { input, asked, outcome, .. } in waiting {
            match outcome {
                Ok(outcome) => {
                    self.known.count(&asked);
                    self.append(outcome);
                }
                Err(fault) => self.said.faults.push((Sort::Reading, input, fault)),
            }
        }
        if self.run.complete {
            let missing = state::missing(self.known.lookup());
            missing.into_iter().for_each(|notice| self.said.notice(Sort::State, notice));
        }
        self.repeats.notices(&self.inputs).for_each(|notice| self.said.notice(Sort::Repeats, notice));
        let mut report = self.said.report(&self.inputs, &self.tally);
        if let Some(mut notices) = self.of_comments {
            notices.sort_by(|a, b| a.spot.cmp(&b.spot));
            add_notices(&mut report, notices);
        }
        (report, self.inputs)
    }

    /// Puts those claims in once more that mutation may leave otherwise by now. Of one name the last counts.
    fn settle_claims(&mut self) {
        let claims = take(&mut self.claims);
        let last: HashMap<u64, usize> =
            claims.iter().enumerate().map(|(index, claim)| (claim.key, index)).collect();
        for (index, Claim { key, asked, text }) in claims.into_iter().enumerate() {
            // It was written by this run.
            let claim = text.and_then(|text| serde_json::from_str::<Value>(&text).ok());
            let is_last = last.get(&key) == Some(&index);
            let asked = match claim.filter(|_| is_last && self.known.has_changed(&asked)) {
                Some(claim) => {
                    if let Ok(facts) = Facts::read(&claim, Some(self.run.namespace)) {
                        self.known.add(&facts);
                    }
                    self.learn_mutated(&claim)
                }
                None => asked,
            };
            self.known.count(&asked);
        }
    }

    /// Judges some texts once more.
    fn judge_again(
        &mut self,
        mut portion: Vec<&mut Waiting<F>>,
        read: &(impl Fn(&F) -> Result<Input, Fault> + Sync + Send),
    ) {
        let few = few_texts(portion.len(), portion.iter().map(|waiting| waiting.bytes).sum());
        let texts = in_parallel(&portion, few, |waiting| {
            let read = read(&waiting.from)?;
            if digest(&*read.source.text) != waiting.digest {
                return Err(changed(&read.source.name, "its content is another one"));
            }
            Ok(match self.inputs.get(waiting.input) {
                Some(known) => read.like(known),
                None => read,
            })
        });
        let mut inputs = Vec::with_capacity(texts.len());
        for (waiting, text) in portion.iter_mut().zip(texts) {
            match text {
                Ok(input) => inputs.push(input),
                // What was said of it is about a text that is no more.
                Err(fault) => waiting.outcome = Err(fault),
            }
        }
        let manifests = manifests(&inputs);
        let run = self.run;
        let parts = in_parallel(&manifests, SMALL_OBJECTS, |manifest| run.read(manifest, &inputs).0);
        // What depends on no other object was counted before.
        let judged = self.judge(&inputs, &manifests, parts, &mut Tally::default());
        let judged = inputs.iter().zip(judged);
        for (waiting, (input, judged)) in portion.into_iter().filter(|it| it.outcome.is_ok()).zip(judged) {
            let Judged { said, tally, asked } = judged;
            let (outcome, shown) = self.complete(waiting.input, input, said, tally);
            (waiting.outcome, waiting.asked) = (Ok(outcome), asked);
            let known = self.inputs.get_mut(waiting.input);
            if let Some(known) = known.filter(|known| known.documents().next().is_none()) {
                *known = shown;
            }
        }
    }
}

impl Run<'_> {
    /// Reads an object once, for all that is to be known of it.
    fn read<'m>(&'m self, manifest: &'m Manifest<'m>, inputs: &[Input]) -> Read<'m> {
        let namespace = Some(self.namespace);
        let kinds = self.policies.catalog().kinds();
        let parts = is_there(manifest).then(|| Facts::read_all(&*manifest.value, namespace, kinds));
        let seen = |id: &ObjectRef| {
            let input = inputs.get(manifest.input)?;
            Seen::of(manifest, id, input)
        };
        let seen = match &parts {
            Some(Ok(parts)) => seen(&parts.first.id),
            _ => seen(&Facts::identify(&*manifest.value, namespace)),
        };
        (parts, seen)
    }
}

/// Adds what of a text could not be read: whatever it is judged by, that stays the same.
fn read_text(index: usize, input: &Input, all: &mut [Judged], tally: &mut Tally) {
    if let Some(judged) = all.get_mut(index) {
        reading::read(index, input, &mut judged.said, tally);
    }
}

/// Whether others may have to know of the object: what a review asks for does not exist yet.
fn is_there(manifest: &Manifest<'_>) -> bool {
    !manifest.patch && !manifest.review
}

/// The fault of a text that is another one when it is read again.
pub(crate) fn changed(name: &str, why: &str) -> Fault {
    Fault {
        spot: None,
        message: format!("{name} changed while volgate judged it, and is not judged: {why}"),
        help: Some("run it again when nothing writes to the files any more".to_owned()),
    }
}

fn digest(of: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// The manifests, each with its number in its own input.
fn numbered<'m, 'i>(manifests: &'m [Manifest<'i>]) -> impl Iterator<Item = (usize, &'m Manifest<'i>)> {
    let mut last = (0, 0);
    manifests.iter().map(move |manifest| {
        let nth = if last.0 == manifest.input { last.1 } else { 0 };
        last = (manifest.input, nth + 1);
        (nth, manifest)
    })
}

/// Keeps of a text the lines that a report shows, and moves all places in it.
fn shorten<'s>(input: &Input, said: &mut Said, comments: impl Iterator<Item = &'s mut Spot>) -> Input {
    let mut further: Vec<&mut Spot> = comments.collect();
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut add = |spot: &Spot| ranges.extend([spot.start..spot.start, spot.end..spot.end]);
    said.spots().for_each(|spot| add(spot));
    further.iter().for_each(|spot| add(spot));
    // An excerpt shows all lines from the first to the last of places that are near each other.
    for located in &said.findings {
        let start = located.spot.start;
        let starts = located.related.iter().map(|(other, _)| other.start);
        let near: Vec<usize> = starts.filter(|other| other.abs_diff(start) <= FAR).chain([start]).collect();
        ranges.extend(near.iter().min().zip(near.iter().max()).map(|(first, last)| *first..*last));
    }
    let (source, kept) = input.source.only(ranges);
    for spot in said.spots().chain(further.iter_mut().map(|spot| &mut **spot)) {
        (spot.start, spot.end) = (kept.place(spot.start), kept.place(spot.end));
    }
    input.shown(source)
}
