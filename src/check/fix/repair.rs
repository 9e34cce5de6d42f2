//! The volumes that keep the data of a whole run: planned, written into the texts, and judged again.

use super::super::manifest::{Manifest, text};
use super::super::{Input, Located, Report, Run, Spot, effective};
use super::names::Names;
use super::plan::{Plan, Planner};
use super::spread::{NAMED_LATER, Scalers};
use super::wanted::Wanted;
use super::within;
use crate::facts::Facts;
use crate::model::{FieldPath, ObjectRef};
use crate::source::{DocumentChange, edit_all, edit_one};
use crate::verdict::{Action, LostData};
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation};
use serde_json::Value;
use similar::{Algorithm, DiffTag, capture_diff_slices};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The rule whose denials a volume can end.
const RULE: &str = "durable-data";

/// How many objects of one document are tried one by one, where they cannot all be changed at once.
const MOST_TRIED: usize = 32;

/// The volumes that were written for one object.
#[derive(Debug, Clone)]
pub struct Repair {
    /// The object.
    pub object: ObjectRef,
    /// Its index in the manifests of the report on the texts as they were.
    pub manifest: usize,
    /// The input that it stands in.
    pub input: usize,
    /// The file and line at which it stood.
    pub place: String,
    /// The object as it was.
    pub value: Value,
    /// What changes in it.
    pub patch: Patch,
    /// The new claims.
    pub claims: Vec<Value>,
    /// Where the data lie then, a line each.
    pub done: Vec<String>,
    /// What whoever applies it must know.
    pub notes: Vec<String>,
    /// The changes of the text as it was, where they were asked for.
    pub edits: Vec<TextEdit>,
}

/// A change of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextEdit {
    /// What is replaced.
    pub spot: Spot,
    /// What stands there instead.
    pub text: String,
}

/// A repair that cannot be written, and why.
type Refusal = (Repair, String);

/// What came of a run's repairs.
#[derive(Debug)]
pub struct Repaired {
    /// The inputs with the volumes in them.
    pub inputs: Vec<Input>,
    /// What was done.
    pub repairs: Vec<Repair>,
    /// Why the other denials stay, by input and object.
    pub(super) refused: HashMap<(usize, ObjectRef), String>,
}

impl Repaired {
    /// Adds to the help of each denial that stays why no volume was written.
    pub fn explain(&self, report: &mut Report<'_>) {
        for located in report.findings.iter_mut().filter(|located| is_lost(located)) {
            let key = (located.spot.input, located.object.clone());
            if let Some(why) = self.refused.get(&key) {
                let why = format!("volgate cannot write the volume: {why}");
                let finding = &mut located.finding;
                finding.help = Some(match finding.help.take() {
                    Some(help) => format!("{help}; {why}"),
                    None => why,
                });
            }
        }
    }
}

/// Whether a finding refuses an object for data that would be lost.
fn is_lost(located: &Located) -> bool {
    located.finding.rule == RULE && effective(&located.finding) == Action::Deny
}

impl Run<'_> {
    /// Gives a claim to the data for which objects are refused, as far as that can be done; what it leads to is judged, and
    /// stays only if the object is not refused for its data any more.
    pub fn repair(&self, inputs: &[Input], wanted: &Wanted) -> Repaired {
        self.repair_for(&self.check(inputs), inputs, wanted)
    }

    /// The same of inputs that were judged already.
    pub fn repair_for(&self, report: &Report<'_>, inputs: &[Input], wanted: &Wanted) -> Repaired {
        let mut repaired = Repaired { inputs: inputs.to_vec(), repairs: Vec::new(), refused: HashMap::new() };
        let mut lost: BTreeMap<usize, Vec<&Located>> = BTreeMap::new();
        for located in report.findings.iter().filter(|located| is_lost(located)) {
            lost.entry(located.manifest).or_default().push(located);
        }
        if lost.is_empty() {
            return repaired;
        }
        let lookup = self.lookup(inputs);
        let scalers = Scalers::among(&super::super::manifests(inputs), self.namespace);
        let mut planner = Planner { lookup: &lookup, scalers, names: Names::default(), wanted };
        for (index, findings) in lost {
            let (Some(manifest), Some(first)) = (report.manifests.get(index), findings.first()) else {
                continue;
            };
            let data: Vec<&LostData> =
                findings.iter().filter_map(|located| located.finding.lost.as_deref()).collect();
            match self.plan(&mut planner, manifest, inputs, &data) {
                Ok(Plan { patch, claims, done, notes }) => repaired.repairs.push(Repair {
                    object: first.object.clone(),
                    manifest: index,
                    input: manifest.input,
                    place: manifest.place(inputs),
                    value: manifest.value.clone().into_owned(),
                    patch,
                    claims,
                    done,
                    notes,
                    edits: Vec::new(),
                }),
                Err(why) => {
                    repaired.refused.insert((manifest.input, first.object.clone()), why);
                }
            }
        }
        repaired.write(&report.manifests, inputs);
        // What does not help is not written.
        let after = self.check(&repaired.inputs);
        let still: BTreeSet<(usize, &ObjectRef)> = after
            .findings
            .iter()
            .filter(|located| is_lost(located))
            .map(|located| (located.spot.input, &located.object))
            .collect();
        let (helped, useless): (Vec<Repair>, Vec<Repair>) = std::mem::take(&mut repaired.repairs)
            .into_iter()
            .partition(|repair| !still.contains(&(repair.input, &repair.object)));
        repaired.repairs = helped;
        if !useless.is_empty() {
            let why = "with a claim there, the object would be refused for its data all the same";
            let refused =
                useless.iter().map(|repair| ((repair.input, repair.object.clone()), why.to_owned()));
            repaired.refused.extend(refused);
            repaired.write(&report.manifests, inputs);
        }
        if wanted.edits {
            repaired.find_edits(&report.manifests, inputs);
        }
        repaired
    }

    fn plan(
        &self,
        planner: &mut Planner<'_>,
        manifest: &Manifest<'_>,
        inputs: &[Input],
        data: &[&LostData],
    ) -> Result<Plan, String> {
        if manifest.review {
            return Err(
                "it is an AdmissionReview, which says what was asked and not what is in a file".to_owned()
            );
        }
        let rendered = inputs.get(manifest.input).and_then(|input| input.rendered.as_deref());
        if let Some(origin) = rendered.filter(|_| !planner.wanted.rendered) {
            return Err(format!(
                "{origin} is rendered; change its values or template, or let `volgate fix --as-patch` write a patch"
            ));
        }
        if data.is_empty() {
            return Err("nothing says in which directory of which container its data lie".to_owned());
        }
        let kinds = self.policies.catalog().kinds();
        let parts = Facts::read_all(&*manifest.value, Some(self.namespace), kinds);
        let parts = parts.map_err(|fault| fault.to_string())?;
        let plan = planner.plan(&parts.first, &manifest.value, data)?;
        let name = FieldPath::root().key("metadata").key("name");
        if !plan.claims.is_empty() && manifest.variables.contains(&name) {
            return Err(NAMED_LATER.to_owned());
        }
        match list_of(manifest).filter(|_| !plan.claims.is_empty()) {
            None | Some("List") => {}
            Some("Template") => {
                return Err("it stands in a Template, whose parameters are to name its claim".to_owned());
            }
            Some(_) => return Err("it stands in a list of one kind, which cannot hold its claim".to_owned()),
        }
        Ok(plan)
    }
}

/// The kind of the object that holds this one in a list: `List`, `DeploymentList`, `Template`.
fn list_of<'m>(manifest: &'m Manifest<'_>) -> Option<&'m str> {
    let list = manifest.at.parent()?.parent()?;
    Some(text(manifest.document.value.pointer(&list.to_json_pointer())?, "kind").unwrap_or_default())
}

impl Repaired {
    /// Writes the repairs into the texts as they were. What cannot be written is refused, and the rest is written.
    fn write(&mut self, manifests: &[Manifest<'_>], inputs: &[Input]) {
        let mut by_input: BTreeMap<usize, Vec<(&Manifest<'_>, Repair)>> = BTreeMap::new();
        for repair in std::mem::take(&mut self.repairs) {
            if let Some(manifest) = manifests.get(repair.manifest) {
                by_input.entry(manifest.input).or_default().push((manifest, repair));
            }
        }
        self.inputs = inputs.to_vec();
        for (index, mut repairs) in by_input {
            let Some(input) = inputs.get(index) else { continue };
            let text = &*input.source.text;
            repairs.sort_by_key(|(manifest, _)| manifest.document.span.start);
            let mut kept: Vec<Vec<(&Manifest<'_>, Repair)>> = Vec::new();
            let mut one = repairs.into_iter().peekable();
            while let Some(first) = one.next() {
                let start = first.0.document.span.start;
                let mut group = vec![first];
                while let Some(next) = one.next_if(|(manifest, _)| manifest.document.span.start == start) {
                    group.push(next);
                }
                let (good, bad) = writable(text, group);
                self.refuse(index, bad);
                if !good.is_empty() {
                    kept.push(good);
                }
            }
            match edit_all(text, kept.iter().filter_map(|group| change(group))) {
                Ok(new) => {
                    if let Some(place) = self.inputs.get_mut(index) {
                        *place = input.with_text(&new);
                    }
                    self.repairs.extend(kept.into_iter().flatten().map(|(_, repair)| repair));
                }
                Err(error) => {
                    let all = kept.into_iter().flatten();
                    self.refuse(index, all.map(|(_, repair)| (repair, error.to_string())).collect());
                }
            }
        }
    }

    fn refuse(&mut self, input: usize, repairs: Vec<(Repair, String)>) {
        self.refused.extend(repairs.into_iter().map(|(repair, why)| ((input, repair.object), why)));
    }

    /// Says of each repair what it changes in the text, alone.
    fn find_edits(&mut self, manifests: &[Manifest<'_>], inputs: &[Input]) {
        // How many of a document were looked at: each reads all of it.
        let mut seen: HashMap<(usize, usize), usize> = HashMap::new();
        for repair in &mut self.repairs {
            let Some(manifest) = manifests.get(repair.manifest) else { continue };
            let Some(input) = inputs.get(manifest.input) else { continue };
            let start = manifest.document.span.start;
            let count = seen.entry((manifest.input, start)).or_default();
            *count += 1;
            if *count > MOST_TRIED {
                continue;
            }
            let text = &*input.source.text;
            let Ok(new) = edit_one(text, single(manifest, repair)) else { continue };
            let old = text.get(manifest.document.span.clone()).unwrap_or_default();
            repair.edits = differences(old, &new)
                .into_iter()
                .map(|(range, text)| TextEdit {
                    spot: Spot { input: manifest.input, start: start + range.start, end: start + range.end },
                    text,
                })
                .collect();
        }
    }
}

/// The lines that differ, each run of them with what stands there instead.
fn differences(old: &str, new: &str) -> Vec<(std::ops::Range<usize>, String)> {
    let starts = |slices: &[&str]| -> Vec<usize> {
        let mut at = 0;
        let ends = slices.iter().map(|line| {
            at += line.len();
            at
        });
        std::iter::once(0).chain(ends).collect()
    };
    let lines: Vec<&str> = old.split_inclusive('\n').collect();
    let new_lines: Vec<&str> = new.split_inclusive('\n').collect();
    let (old_starts, new_starts) = (starts(&lines), starts(&new_lines));
    let at = |starts: &[usize], line: usize| starts.get(line).or(starts.last()).copied().unwrap_or_default();
    capture_diff_slices(Algorithm::Myers, &lines, &new_lines)
        .iter()
        .filter(|operation| operation.tag() != DiffTag::Equal)
        .map(|operation| {
            let (was, is) = (operation.old_range(), operation.new_range());
            let range = at(&old_starts, was.start)..at(&old_starts, was.end);
            let text = new.get(at(&new_starts, is.start)..at(&new_starts, is.end)).unwrap_or_default();
            (range, text.to_owned())
        })
        .collect()
}

/// Those of one document that can be written, all of them at once, and why the others cannot.
fn writable<'m, 'i>(
    text: &str,
    group: Vec<(&'m Manifest<'i>, Repair)>,
) -> (Vec<(&'m Manifest<'i>, Repair)>, Vec<Refusal>) {
    let all = |group: &[(&'m Manifest<'i>, Repair)]| match change(group) {
        Some(change) => edit_one(text, change).map(drop),
        None => Ok(()),
    };
    let Err(error) = all(&group) else { return (group, Vec::new()) };
    if group.len() == 1 {
        return (Vec::new(), group.into_iter().map(|(_, repair)| (repair, error.to_string())).collect());
    }
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for (tried, (manifest, repair)) in group.into_iter().enumerate() {
        if tried >= MOST_TRIED {
            bad.push((repair, "its document holds too many objects to change them one by one".to_owned()));
            continue;
        }
        match edit_one(text, single(manifest, &repair)) {
            Ok(_) => good.push((manifest, repair)),
            Err(error) => bad.push((repair, error.to_string())),
        }
    }
    if let Err(error) = all(&good) {
        bad.extend(good.drain(..).map(|(_, repair)| (repair, error.to_string())));
    }
    (good, bad)
}

fn single<'m>(manifest: &'m Manifest<'_>, repair: &Repair) -> DocumentChange<'m> {
    let mut patch = within(&manifest.at, &repair.patch);
    let after =
        match manifest.at.parent() {
            None => repair.claims.clone(),
            // Beside the object, in its list.
            Some(list) => {
                let end = PointerBuf::parse(format!("{}/-", list.to_json_pointer())).unwrap_or_default();
                patch.extend(repair.claims.iter().map(|claim| {
                    PatchOperation::Add(AddOperation { path: end.clone(), value: claim.clone() })
                }));
                Vec::new()
            }
        };
    DocumentChange { document: manifest.document, patch: Patch(patch), after }
}

/// The repairs of one document as one change of it.
fn change<'m>(group: &[(&'m Manifest<'_>, Repair)]) -> Option<DocumentChange<'m>> {
    let changes = group.iter().map(|(manifest, repair)| single(manifest, repair));
    changes.reduce(|mut all, one| {
        all.patch.0.extend(one.patch.0);
        all.after.extend(one.after);
        all
    })
}
