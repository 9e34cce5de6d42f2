//! What came of the objects, collected in whatever order they were judged and put in that of their places in the end.

use super::manifest::Manifest;
use super::{
    ByComment, Change, Fault, Input, Located, Notice, Object, Report, Run, Spot, Tally, Unread, What,
    misnamed,
};
use crate::facts::Facts;
use crate::model::{FieldPath, shortened};
use crate::source::placeholder;
use crate::verdict::{Overlooked, Verdict};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// How many faults of one file are told, and how many notices: a file of a megabyte may hold hundreds of thousands.
pub(super) const MOST_TOLD: usize = 1_000;

/// What a notice or fault is about; those of one sort stand together where they have no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sort {
    Reading,
    Run,
    Unmatched,
    Repeats,
    State,
    Object,
    Strangers,
}

/// All of it, of one input or of many.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) objects: Vec<Object>,
    pub(super) findings: Vec<Located>,
    pub(super) changes: Vec<Change>,
    pub(super) faults: Vec<(Sort, usize, Fault)>,
    pub(super) notices: Vec<(Sort, usize, Notice)>,
    /// How many documents or items of an input that was named are no objects.
    pub(super) strangers: BTreeMap<usize, usize>,
    pub(super) skipped: usize,
    /// The Templates whose objects have values of their parameters.
    pub(super) templates: Vec<Spot>,
}

impl Said {
    pub(super) fn notice(&mut self, sort: Sort, notice: Notice) {
        let input = notice.spot.as_ref().map_or(0, |spot| spot.input);
        self.notices.push((sort, input, notice));
    }

    pub(super) fn fault(&mut self, sort: Sort, fault: Fault) {
        let input = fault.spot.as_ref().map_or(0, |spot| spot.input);
        self.faults.push((sort, input, fault));
    }

    /// Every place in it.
    pub(super) fn spots(&mut self) -> impl Iterator<Item = &mut Spot> {
        let findings = self.findings.iter_mut().flat_map(|located| {
            let Located { spot, related, comment, .. } = located;
            let comment = comment.as_mut().map(|ByComment { spot, .. }| spot);
            related.iter_mut().map(|(spot, _)| spot).chain(comment).chain([spot])
        });
        let faults = self.faults.iter_mut().filter_map(|(_, _, fault)| fault.spot.as_mut());
        findings
            .chain(faults)
            .chain(self.notices.iter_mut().filter_map(|(_, _, notice)| notice.spot.as_mut()))
            .chain(self.templates.iter_mut())
    }

    /// Adds what was said of other inputs.
    pub(super) fn append(&mut self, mut other: Self) {
        let known = self.objects.len();
        other.findings.iter_mut().for_each(|located| located.manifest += known);
        other.changes.iter_mut().for_each(|change| change.manifest += known);
        self.objects.append(&mut other.objects);
        self.findings.append(&mut other.findings);
        self.changes.append(&mut other.changes);
        self.faults.append(&mut other.faults);
        self.notices.append(&mut other.notices);
        for (input, count) in other.strangers {
            *self.strangers.entry(input).or_default() += count;
        }
        self.skipped += other.skipped;
        self.templates.append(&mut other.templates);
    }

    /// The report, in the order of the places.
    pub(super) fn report<'i>(mut self, inputs: &[Input], tally: &Tally) -> Report<'i> {
        self.sort_objects();
        let name = |input: usize| inputs.get(input).map_or("", |input| &input.source.name);
        for (input, seen) in std::mem::take(&mut self.strangers) {
            if let more @ 1.. = seen.saturating_sub(MOST_TOLD) {
                let message =
                    format!("{more} more documents or items of {} are no Kubernetes objects", name(input));
                self.faults.push((Sort::Strangers, input, Fault { spot: None, message, help: None }));
            }
        }
        self.tell_of_templates();
        self.faults.sort_by_key(|(sort, input, _)| (*sort, *input));
        self.notices.sort_by_key(|(sort, input, _)| (*sort, *input));
        let mut report = Report {
            judged: self.objects.len(),
            objects: self.objects,
            findings: self.findings,
            changes: self.changes,
            faults: self.faults.into_iter().map(|(_, _, fault)| fault).collect(),
            notices: self.notices.into_iter().map(|(_, _, notice)| notice).collect(),
            skipped: self.skipped,
            not_judged: tally.entries().collect(),
            ..Report::default()
        };
        report.faults.sort_by(|a, b| a.spot.cmp(&b.spot));
        report.notices.sort_by(|a, b| a.spot.cmp(&b.spot));
        tell_some(inputs, &mut report);
        report.sort_findings();
        report
    }

    /// Adds one notice for all Templates.
    pub(super) fn tell_of_templates(&mut self) {
        let count = self.templates.len();
        let Some(first) = std::mem::take(&mut self.templates).into_iter().min() else { return };
        let of = match count {
            1 => "this Template".to_owned(),
            more => format!("this Template and {} more", more - 1),
        };
        let message = format!(
            "the objects of {of} are judged with the values that parameters have there: `oc process` with others may make others"
        );
        self.notice(Sort::Reading, Notice { spot: Some(first), message });
    }

    /// Puts the objects in the order of the inputs, whenever they were judged.
    fn sort_objects(&mut self) {
        let key = |object: &Object| (object.input, object.nth);
        if self.objects.is_sorted_by_key(key) {
            return;
        }
        let mut order: Vec<usize> = (0..self.objects.len()).collect();
        order.sort_by_key(|index| self.objects.get(*index).map(key));
        let mut place = vec![0; order.len()];
        for (new, old) in order.iter().enumerate() {
            if let Some(place) = place.get_mut(*old) {
                *place = new;
            }
        }
        let moved = |index: usize| place.get(index).copied().unwrap_or(index);
        self.findings.iter_mut().for_each(|located| located.manifest = moved(located.manifest));
        self.changes.iter_mut().for_each(|change| change.manifest = moved(change.manifest));
        self.findings.sort_by_key(|located| located.manifest);
        self.changes.sort_by_key(|change| change.manifest);
        self.objects.sort_by_key(key);
    }
}

/// What came of one object.
pub(super) struct Judgement {
    /// None on what is no object, or a part of one.
    verdict: Option<Result<Verdict, Unread>>,
    /// What is wrong with its kind.
    misnamed: Option<Fault>,
    /// What is odd about it.
    doubts: Vec<Notice>,
}

impl Run<'_> {
    /// Looks for what else there is to say of an object that was judged.
    pub(super) fn judgement(
        &self,
        manifest: &Manifest<'_>,
        verdict: Option<Result<Verdict, Unread>>,
    ) -> Judgement {
        let is_whole = !manifest.patch;
        let kinds = self.policies.catalog().kinds();
        let misnamed = (is_whole && !manifest.review).then(|| misnamed::fault(manifest, kinds)).flatten();
        let is_judged = match &verdict {
            Some(Ok(verdict)) => verdict.overlooked.is_none(),
            Some(Err(_)) => true,
            None => false,
        };
        let is_told = is_whole && misnamed.is_none() && is_judged;
        Judgement { doubts: if is_told { manifest.doubts() } else { Vec::new() }, verdict, misnamed }
    }

    /// Adds what came of one object, the `nth` of its input. Whether it was judged.
    pub(super) fn conclude(
        &self,
        (nth, manifest): (usize, &Manifest<'_>),
        Judgement { verdict, misnamed, doubts }: Judgement,
        inputs: &[Input],
        said: &mut Said,
        tally: &mut Tally,
    ) -> bool {
        if manifest.patch {
            tally.add(What::Patch, || manifest.place(inputs));
            return false;
        }
        if let Some(fault) = misnamed {
            said.fault(Sort::Object, fault);
            return false;
        }
        doubts.into_iter().for_each(|doubt| said.notice(Sort::Object, doubt));
        match verdict {
            Some(Ok(Verdict { overlooked: Some(Overlooked::Kind), .. })) => {
                let shown = if manifest.review { &manifest.document.value } else { &*manifest.value };
                let versions = self.policies.catalog().kinds();
                let known = |api_version: &str, kind: &str| versions.other_versions(api_version, kind);
                tally.add_kind(shown, known, || manifest.place(inputs));
                false
            }
            Some(Ok(Verdict { overlooked: Some(Overlooked::Namespace), .. })) => {
                let namespace = Facts::identify(&*manifest.value, Some(self.namespace)).namespace;
                tally.add(What::Namespace(namespace.unwrap_or_default()), || manifest.place(inputs));
                false
            }
            Some(Ok(verdict)) => {
                self.add(nth, manifest, verdict, inputs, said);
                true
            }
            Some(Err(unread)) => {
                tell_unread(manifest, unread, inputs, said, tally);
                false
            }
            None if inputs.get(manifest.input).is_some_and(|input| input.named) => {
                let seen = said.strangers.entry(manifest.input).or_default();
                *seen += 1;
                if *seen <= MOST_TOLD {
                    said.fault(Sort::Object, manifest.no_object());
                }
                false
            }
            None => {
                said.skipped += 1;
                false
            }
        }
    }

    fn add(&self, nth: usize, manifest: &Manifest<'_>, verdict: Verdict, inputs: &[Input], said: &mut Said) {
        let root = manifest.spot(&FieldPath::root());
        let index = said.objects.len();
        let line = inputs.get(root.input).map_or(0, |input| input.source.position(root.start).line);
        said.objects.push(Object { input: root.input, nth, line, name: manifest.name() });
        if verdict.findings.is_empty() && verdict.patch.0.is_empty() {
            return;
        }
        let object = Facts::identify(&*manifest.value, Some(self.namespace));
        for finding in verdict.findings {
            let related = finding.related.iter();
            said.findings.push(Located {
                spot: manifest.spot(&finding.field),
                related: related.map(|(field, note)| (manifest.spot(field), note.clone())).collect(),
                object: object.clone(),
                manifest: index,
                comment: None,
                finding,
            });
        }
        if !verdict.patch.0.is_empty() {
            said.changes.push(Change { object, manifest: index, patch: verdict.patch });
        }
    }
}

/// Says why an object was not judged. A template that was met on the way through a folder is no fault.
fn tell_unread(
    manifest: &Manifest<'_>,
    unread: Unread,
    inputs: &[Input],
    said: &mut Said,
    tally: &mut Tally,
) {
    let (spot, message, help) = match unread {
        Unread::Review(why) => (
            manifest.spot(&FieldPath::root()),
            format!("failed to read this AdmissionReview: {why}"),
            "the webhook would refuse it as well; give it as the API server sent it".to_owned(),
        ),
        Unread::Field(fault) => {
            let sign = placeholder_at(&manifest.value, &fault.path);
            if sign.is_some() && inputs.get(manifest.input).is_some_and(Input::is_met) {
                return tally.add(What::Template, || manifest.place(inputs));
            }
            let help = match sign {
                Some(sign) => {
                    let sign = shortened(&sign, 100);
                    format!(
                        "this is a template, in which {sign} stands for a value: put the values in first, and judge what comes out"
                    )
                }
                None if is_put_in(manifest, &fault.path) => {
                    "a cluster would refuse it as well; `${{NAME}}` in a Template makes a number or a truth of the value".to_owned()
                }
                None => "a cluster would refuse it as well; correct the field".to_owned(),
            };
            (manifest.spot(&fault.path), format!("failed to read this object: {fault}"), help)
        }
    };
    said.fault(Sort::Object, Fault { spot: Some(spot), message, help: Some(help) });
}

/// Whether the value of a Template's parameter stands in a field.
fn is_put_in(manifest: &Manifest<'_>, field: &FieldPath) -> bool {
    let written = manifest.document.value.pointer(&manifest.at.join(field).to_json_pointer());
    written.and_then(Value::as_str).is_some_and(|text| text.contains("${"))
}

/// The placeholder of a template that a field holds, or an item of its list. A `{name}` is read as a map with nothing but that key.
fn placeholder_at<'v>(object: &'v Value, field: &FieldPath) -> Option<Cow<'v, str>> {
    let value = object.pointer(&field.to_json_pointer())?;
    let items = value.as_array().into_iter().flatten().chain([value]);
    let mut signs = items.filter_map(|value| match value {
        Value::String(text) => placeholder(text).map(Cow::Borrowed),
        Value::Object(fields) => match fields.iter().next() {
            Some((name, Value::Null)) if fields.len() == 1 => Some(format!("{{{name}}}").into()),
            _ => None,
        },
        _ => None,
    });
    signs.next()
}

/// Leaves out the faults and notices that are too many of one file, and says how many.
fn tell_some(inputs: &[Input], report: &mut Report<'_>) {
    let name = |input: usize| inputs.get(input).map_or("", |input| &input.source.name);
    let file = |spot: &Spot| inputs.get(spot.input).and_then(|input| input.part_of).unwrap_or(spot.input);
    let faults = excess(&mut report.faults, |fault| fault.spot.as_ref().map(file));
    report.faults.extend(faults.into_iter().map(|(input, more)| Fault {
        spot: None,
        message: format!("{more} more faults in {}: only the first {MOST_TOLD} are told", name(input)),
        help: None,
    }));
    let notices = excess(&mut report.notices, |notice| notice.spot.as_ref().map(file));
    report.notices.extend(notices.into_iter().map(|(input, more)| {
        let message = format!("{more} more notices in {}: only the first {MOST_TOLD} are told", name(input));
        Notice { spot: None, message }
    }));
}

/// Takes out what is too much of one file; how much that is, by file.
fn excess<T>(all: &mut Vec<T>, input: impl Fn(&T) -> Option<usize>) -> Vec<(usize, usize)> {
    let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
    all.retain(|item| {
        let Some(input) = input(item) else { return true };
        let seen = seen.entry(input).or_default();
        *seen += 1;
        *seen <= MOST_TOLD
    });
    let excess = seen.into_iter().map(|(input, seen)| (input, seen.saturating_sub(MOST_TOLD)));
    excess.filter(|(_, more)| *more > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_that_cannot_be_read_may_hold_a_placeholder() {
        let object = json!({"a": "<size>", "b": ["x", "@MODE@"], "c": {"your-domain": null}, "d": "10Gi", "e": {"x": 1}, "f": {"x": null, "y": null}});
        let sign = |key: &'static str| placeholder_at(&object, &FieldPath::root().key(key));
        for (key, wanted) in [
            ("a", Some("<size>")),
            ("b", Some("@MODE@")),
            ("c", Some("{your-domain}")),
            ("d", None),
            ("e", None),
            ("f", None),
            ("g", None),
        ] {
            assert_eq!(sign(key).as_deref(), wanted, "{key}");
        }
    }
}
