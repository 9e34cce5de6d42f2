//! Judges texts one portion after another, so that a run needs no more memory than its findings and what objects have to know of
//! each other. A verdict that asks for no other object is final at once. The others wait until all texts were read, and their
//! texts are read again then.

use super::asking::Asking;
use super::comments::{add_notices, excuse_in};
use super::said::{Said, Sort};
use super::update::Before;
use super::{
    FAR, Fault, Input, Manifest, Notice, Repeats, Report, Run, Spot, Tally, in_parallel, manifests, reading,
    state,
};
use crate::engine::Engine;
use crate::facts::Facts;
use crate::lookup::MapLookup;
use serde_json::Value;
use std::collections::HashSet;
use std::ops::Range;

/// How much text of those that wait is kept with its documents, in bytes: it need not be read again.
const MOST_WAITING: usize = 2 << 20;
/// How much text is judged at once where it is read again, in bytes.
const PORTION: usize = 1 << 20;

/// How a text is read again.
#[derive(Debug, Clone)]
pub enum Again<F> {
    /// It cannot be, as what came in by stdin: it is kept.
    Kept,
    /// From there.
    From(F),
}

/// A text with objects whose verdicts depend on others.
struct Waiting<F> {
    /// Which input, by index.
    input: usize,
    /// Which of its objects, in their order.
    objects: Vec<usize>,
    /// What was said of the others.
    said: Said,
    text: Text<F>,
    bytes: usize,
}

enum Text<F> {
    Read(Input),
    Unread(Input),
    Elsewhere(F),
}

/// A run over texts that come one after another.
pub struct Stream<'r, F> {
    run: &'r Run<'r>,
    before: Before<'r>,
    /// Whether comments in the files excuse findings.
    comments: bool,
    lookup: MapLookup,
    /// The claims as JSON, to be looked up as mutation leaves them.
    claims: Vec<String>,
    repeats: Repeats,
    tally: Tally,
    said: Said,
    /// The notices of comments; none as long as no comment is meant for volgate.
    of_comments: Option<Vec<Notice>>,
    inputs: Vec<Input>,
    /// The inputs that are kept as they are.
    whole: HashSet<usize>,
    waiting: Vec<Waiting<F>>,
    /// How much more text of those that wait may be kept with its documents, in bytes.
    room: usize,
}

impl<'r, F: Sync> Stream<'r, F> {
    /// A run that has read nothing yet. `old` has the objects before an update.
    pub fn new(run: &'r Run<'r>, old: &'r [Input], comments: bool) -> Self {
        let mut said = Said::default();
        run.say_of_run(&mut said);
        Self {
            run,
            before: Before::of(old, run.namespace),
            comments,
            lookup: run.lookup_of_context(),
            claims: Vec::new(),
            repeats: Repeats::default(),
            tally: Tally::default(),
            said,
            of_comments: None,
            inputs: Vec::new(),
            whole: HashSet::new(),
            waiting: Vec::new(),
            room: MOST_WAITING,
        }
    }

    /// The same that keeps at most so many bytes of text for objects that depend on others.
    #[must_use]
    pub fn with_room(self, room: usize) -> Self {
        Self { room, ..self }
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

    /// Reads the objects of the next texts, and judges those that depend on no others. Texts with an object that is to be kept
    /// stay whole.
    pub fn add(&mut self, portion: Vec<(Input, Again<F>)>, is_kept: impl Fn(&Manifest<'_>) -> bool) {
        let (inputs, again): (Vec<Input>, Vec<Again<F>>) = portion.into_iter().unzip();
        let base = self.inputs.len();
        let manifests = manifests(&inputs);
        self.learn(&manifests);
        self.repeats.add(&manifests, &inputs, base, self.run.namespace);
        self.whole.extend(self.repeats.told());
        let verdicts = in_parallel(&manifests, |manifest| {
            let asking = Asking::default();
            let engine = Engine { policies: self.run.policies, lookup: &asking, today: self.run.today };
            let verdict = self.run.verdict(manifest, &engine, &self.before);
            (verdict, asking.was_asked())
        });
        let mut all: Vec<(Said, Vec<usize>)> = Vec::new();
        all.resize_with(inputs.len(), Default::default);
        for (index, (input, (said, _))) in inputs.iter().zip(&mut all).enumerate() {
            reading::read(index, input, said);
        }
        for notice in self.before.unmatched(&manifests) {
            let input = notice.spot.as_ref().map_or(0, |spot| spot.input);
            if let Some((said, _)) = all.get_mut(input) {
                said.notice(Sort::Unmatched, notice);
            }
        }
        let mut kept = HashSet::new();
        for ((nth, manifest), (verdict, was_asked)) in numbered(&manifests).zip(verdicts) {
            if is_kept(manifest) {
                kept.insert(manifest.input);
            }
            let Some((said, waiting)) = all.get_mut(manifest.input) else { continue };
            if was_asked {
                waiting.push(nth);
            } else {
                self.run.conclude((nth, manifest), verdict, &inputs, said, &mut self.tally);
            }
        }
        drop(manifests);
        self.whole.extend(kept.iter().map(|index| base + index));
        for (index, ((input, again), (said, objects))) in inputs.into_iter().zip(again).zip(all).enumerate() {
            let documents = kept.contains(&index).then(|| input.clone());
            if objects.is_empty() {
                let shown = self.complete(base + index, &input, said);
                self.inputs.push(documents.unwrap_or(shown));
            } else {
                self.inputs.push(documents.unwrap_or_else(|| input.shown(input.source.only([]).0)));
                self.wait(base + index, input, again, objects, said);
            }
        }
    }

    /// Learns what others may have to know of the objects.
    fn learn(&mut self, manifests: &[Manifest<'_>]) {
        // What a review asks for does not exist yet.
        let is_there = |manifest: &Manifest<'_>| !manifest.patch && !manifest.review;
        let facts = in_parallel(manifests, |manifest| {
            let facts = is_there(manifest).then(|| Facts::read(&*manifest.value, Some(self.run.namespace)));
            facts.and_then(Result::ok)
        });
        facts.iter().flatten().for_each(|facts| self.lookup.add(facts));
        let claims = manifests.iter().filter(|manifest| is_there(manifest) && manifest.is_claim());
        self.claims.extend(claims.map(|manifest| manifest.value.to_string()));
    }

    fn wait(&mut self, index: usize, input: Input, again: Again<F>, objects: Vec<usize>, said: Said) {
        let bytes = input.source.text.len();
        let text = match again {
            _ if bytes <= self.room => {
                self.room -= bytes;
                Text::Read(input)
            }
            Again::Kept => Text::Unread(input.unread()),
            Again::From(from) => Text::Elsewhere(from),
        };
        self.waiting.push(Waiting { input: index, objects, said, text, bytes });
    }

    /// Adds what was said of one text, of which nothing is left to be judged. What is to be shown of it comes back.
    fn complete(&mut self, index: usize, input: &Input, mut said: Said) -> Input {
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
        if let Some(notices) = of_comments {
            self.of_comments.get_or_insert_default().extend(notices);
        }
        self.said.append(said);
        shown
    }

    /// Judges what had to wait, and puts the report together. `read` reads a text once more: it must be what it was.
    pub fn finish(
        mut self,
        read: impl Fn(&F) -> Result<Input, Fault> + Sync,
    ) -> (Report<'static>, Vec<Input>) {
        for claim in std::mem::take(&mut self.claims) {
            // It was written by this run.
            if let Ok(claim) = serde_json::from_str::<Value>(&claim) {
                self.run.add_as_mutated(&claim, &mut self.lookup);
            }
        }
        let mut waiting = std::mem::take(&mut self.waiting).into_iter().peekable();
        while waiting.peek().is_some() {
            let mut portion = Vec::new();
            let mut bytes = 0;
            while let Some(next) = waiting.next_if(|_| bytes < PORTION) {
                bytes += next.bytes;
                portion.push(next);
            }
            self.judge(portion, &read);
        }
        if self.run.complete {
            let missing = state::missing(&self.lookup);
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

    /// Judges the objects of some texts that had to wait.
    fn judge(&mut self, portion: Vec<Waiting<F>>, read: &(impl Fn(&F) -> Result<Input, Fault> + Sync)) {
        let texts = in_parallel(&portion, |waiting| match &waiting.text {
            Text::Read(input) => Ok(input.clone()),
            Text::Unread(input) => Ok(input.read_again()),
            Text::Elsewhere(from) => {
                let known = self.inputs.get(waiting.input);
                read(from).map(|input| match known {
                    Some(known) => input.like(known),
                    None => input,
                })
            }
        });
        let mut inputs = Vec::with_capacity(texts.len());
        let mut all = Vec::with_capacity(texts.len());
        for (waiting, text) in portion.into_iter().zip(texts) {
            match text {
                Ok(input) => {
                    inputs.push(input);
                    all.push((waiting.input, waiting.objects, waiting.said));
                }
                // What was said of the rest of it is about a text that is no more.
                Err(fault) => self.said.faults.push((Sort::Reading, waiting.input, fault)),
            }
        }
        let manifests = manifests(&inputs);
        let is_waiting = |(nth, manifest): &(usize, &Manifest<'_>)| {
            all.get(manifest.input).is_some_and(|(_, objects, _)| objects.binary_search(nth).is_ok())
        };
        let judged: Vec<(usize, &Manifest<'_>)> = numbered(&manifests).filter(is_waiting).collect();
        let engine = Engine { policies: self.run.policies, lookup: &self.lookup, today: self.run.today };
        let verdicts =
            in_parallel(&judged, |(_, manifest)| self.run.verdict(manifest, &engine, &self.before));
        for ((nth, manifest), verdict) in judged.into_iter().zip(verdicts) {
            if let Some((_, _, said)) = all.get_mut(manifest.input) {
                self.run.conclude((nth, manifest), verdict, &inputs, said, &mut self.tally);
            }
        }
        for (input, (index, _, said)) in inputs.iter().zip(all) {
            let shown = self.complete(index, input, said);
            if let Some(known) = self.inputs.get_mut(index).filter(|known| known.documents().next().is_none())
            {
                *known = shown;
            }
        }
    }
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
