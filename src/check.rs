//! The dry run: manifests in, the verdict that a cluster would give out, each finding at its line. Pure.

mod applied;
mod cases;
mod misnamed;
mod misspelt;
mod not_judged;
mod repeats;
mod sizes;
mod variables;

use crate::admission;
use crate::engine::Engine;
use crate::facts::{Facts, FactsFault};
use crate::lookup::{Lookup, MapLookup};
use crate::model::{FieldPath, ObjectRef, shortened};
use crate::policy::PolicySet;
use crate::rule::{Requester, Review};
use crate::source::{Document, EditError, Source, SourceError, SourceErrorKind, edit_all, parse};
use crate::verdict::{Action, Finding, Overlooked, Verdict};
use jiff::civil::Date;
use json_patch::{Patch, PatchOperation, jsonptr::PointerBuf};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::resume_unwind;

pub use applied::{Applied, AppliedException, AppliedObject, AppliedRule};
pub use cases::{Directives, Outcome};
pub use not_judged::{NotJudged, ObjectKind, Tally, What};

/// A text and its documents.
#[derive(Debug)]
pub struct Input {
    /// The text.
    pub source: Source,
    /// Whether it was named by the user, and not merely found in a folder: then every document must be an object.
    pub named: bool,
    /// Whether a kustomization names it as a patch, so that its objects are parts of others.
    pub patch: bool,
    /// The template or folder that it was rendered from, so that its lines are of no file.
    pub rendered: Option<String>,
    /// The folder with a kustomization that it belongs to, by a number; 0 for none. Objects of two such folders may have
    /// one name, and be two objects in the end.
    pub folder: usize,
    documents: Vec<Result<Document, SourceError>>,
}

impl Input {
    /// Reads the documents of a text.
    pub fn new(source: Source, named: bool) -> Self {
        let documents = parse(&source.text);
        Self { source, named, patch: false, rendered: None, folder: 0, documents }
    }

    /// Reads the documents of bytes that may not be text.
    pub fn from_bytes(name: &str, bytes: &[u8], named: bool) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::new(Source::new(name, text), named),
            Err(_) => {
                let documents = crate::source::parse_bytes(bytes);
                let source = Source::new(name, String::from_utf8_lossy(bytes));
                Self { source, named, patch: false, rendered: None, folder: 0, documents }
            }
        }
    }

    /// Reads what a template or folder was rendered to. It is called by that origin, and its lines are its own.
    pub fn from_rendered(origin: &str, bytes: &[u8]) -> Self {
        let name = format!("{origin} (rendered)");
        Self { rendered: Some(origin.to_owned()), ..Self::from_bytes(&name, bytes, false) }
    }

    /// Reads many texts at once, on all cores, and returns them in their order. Each is its name, its bytes and
    /// whether it was named by the user.
    pub fn read_all(texts: &[(String, Vec<u8>, bool)]) -> Vec<Self> {
        in_parallel(texts, |(name, bytes, named)| Self::from_bytes(name, bytes, *named))
    }

    /// The documents, as far as they could be read.
    pub fn documents(&self) -> impl Iterator<Item = &Document> {
        self.documents.iter().filter_map(|document| document.as_ref().ok())
    }

    /// What could not be read.
    pub fn errors(&self) -> impl Iterator<Item = &SourceError> {
        self.documents.iter().filter_map(|document| document.as_ref().err())
    }
}

/// One object of the run: a document, or an item of a `List` in one.
#[derive(Debug, Clone)]
pub struct Manifest<'i> {
    /// Which input, by index.
    pub input: usize,
    /// The document that it stands in.
    pub document: &'i Document,
    /// Where in the document: the root, or `items[3]`.
    pub at: FieldPath,
    /// The object; an item of a typed list that leaves its kind out has it from the list.
    pub value: Cow<'i, Value>,
    /// The fields that a variable was filled in for.
    variables: Vec<FieldPath>,
    /// Whether it is a patch and no whole object.
    pub(crate) patch: bool,
    /// Whether it is the object of an AdmissionReview, which is judged as the webhook would.
    pub(crate) review: bool,
}

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
    /// Its index in [`Report::manifests`].
    pub manifest: usize,
    /// The field's place.
    pub spot: Spot,
    /// The places of the fields that explain it.
    pub related: Vec<(Spot, String)>,
}

/// What mutation changes in one object.
#[derive(Debug, Clone)]
pub struct Change {
    /// The object.
    pub object: ObjectRef,
    /// Its index in [`Report::manifests`].
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
    /// Every object that was judged.
    pub manifests: Vec<Manifest<'i>>,
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
    /// The policies among the manifests that were applied, each with its place.
    pub policies: Vec<(String, Spot)>,
    /// What each policy was about, where that was asked for.
    pub applied: Option<Vec<Applied>>,
}

/// How many findings of each action.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Objects that were judged.
    pub objects: usize,
    /// Objects that would be refused.
    pub denied: usize,
    /// Objects with warnings that are not refused.
    pub warned: usize,
    /// Objects with findings for the audit log alone.
    pub audited: usize,
    /// Objects that were not judged: of other kinds, in namespaces that no policy is about, or patches.
    pub not_judged: usize,
}

impl Report<'_> {
    /// How many objects fared how; each counts once, for the strictest of its findings.
    pub fn summary(&self) -> Summary {
        // By index and not by name: a run can hold two objects of the same name.
        let mut strictest = BTreeMap::new();
        for located in &self.findings {
            let action = effective(&located.finding);
            let entry = strictest.entry(located.manifest).or_insert(action);
            *entry = action.max(*entry);
        }
        let count = |action| strictest.values().filter(|found| **found == action).count();
        let objects = self.not_judged.iter().filter(|entry| entry.what.is_object());
        Summary {
            objects: self.judged,
            not_judged: objects.map(|entry| entry.count).sum(),
            denied: count(Action::Deny),
            warned: count(Action::Warn),
            audited: count(Action::Audit),
        }
    }
}

/// Works on every item, a share of them on each core; the results stand in the order of the items.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    // A thread costs about as much as judging this many small objects.
    const WORTH_A_THREAD: usize = 64;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let shares = cores.min(items.len() / WORTH_A_THREAD).max(1);
    if shares == 1 {
        return items.iter().map(work).collect();
    }
    let work = &work;
    std::thread::scope(|scope| {
        let start = |share| scope.spawn(move || items_of(share, work));
        let threads: Vec<_> = items.chunks(items.len().div_ceil(shares)).map(start).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    })
}

fn items_of<T, R>(share: &[T], work: &impl Fn(&T) -> R) -> Vec<R> {
    share.iter().map(work).collect()
}

/// What a finding leads to in the end: an excused one is for the audit log alone.
pub fn effective(finding: &Finding) -> Action {
    if finding.excused.is_some() { Action::Audit } else { finding.action }
}

/// The objects of the inputs; a `List` counts as its items.
pub fn manifests<'i>(inputs: &'i [Input]) -> Vec<Manifest<'i>> {
    let mut found = Vec::new();
    for (input, read) in inputs.iter().enumerate() {
        let (has_variables, has_directives) =
            (read.source.text.contains("${"), read.source.text.contains("$patch"));
        for document in read.documents() {
            let mut add = |at, value: Cow<'i, Value>| {
                let patch = read.patch || (has_directives && not_judged::has_directive(&value));
                let mut manifest =
                    Manifest { input, document, at, value, variables: Vec::new(), patch, review: false };
                if has_variables {
                    manifest.fill_in_variables();
                }
                found.push(manifest);
            };
            match document.value.get("request").filter(|_| is_review(&document.value)) {
                Some(request) => found.push(Manifest {
                    input,
                    document,
                    at: FieldPath::root().key("request").key("object"),
                    value: Cow::Borrowed(request.get("object").unwrap_or(&Value::Null)),
                    variables: Vec::new(),
                    patch: false,
                    review: true,
                }),
                None => expand(FieldPath::root(), Cow::Borrowed(&document.value), &mut add),
            }
        }
    }
    found
}

fn expand<'i>(at: FieldPath, value: Cow<'i, Value>, add: &mut impl FnMut(FieldPath, Cow<'i, Value>)) {
    // A copy is an item that was no list.
    let Cow::Borrowed(list) = value else { return add(at, value) };
    let kind = text(list, "kind").unwrap_or_default();
    match (kind.strip_suffix("List"), list.get("items").and_then(Value::as_array)) {
        (Some(kind), Some(items)) => {
            let at = at.key("items");
            for (index, item) in items.iter().enumerate() {
                expand(at.index(index), item_of(list, kind, item), add);
            }
        }
        _ => add(at, Cow::Borrowed(list)),
    }
}

/// An item of a list of that kind of objects. The API server leaves the kind out in the items of a typed list, such as
/// a PodList; those of a `List` have their own.
fn item_of<'i>(list: &Value, kind: &str, item: &'i Value) -> Cow<'i, Value> {
    let Value::Object(fields) = item else { return Cow::Borrowed(item) };
    // What has no metadata is no object of the API server's, and is not worth a copy.
    let is_named = fields.contains_key("kind") || fields.contains_key("apiVersion");
    if kind.is_empty() || is_named || !fields.contains_key("metadata") {
        return Cow::Borrowed(item);
    }
    let mut fields = fields.clone();
    fields.insert("apiVersion".to_owned(), text(list, "apiVersion").unwrap_or_default().into());
    fields.insert("kind".to_owned(), kind.into());
    Cow::Owned(Value::Object(fields))
}

/// Whether it is a review as the API server sends it to a webhook.
fn is_review(value: &Value) -> bool {
    text(value, "kind") == Some("AdmissionReview")
        && text(value, "apiVersion").is_some_and(|version| version.starts_with("admission.k8s.io/"))
}

fn is_object(value: &Value) -> bool {
    text(value, "apiVersion").is_some() && text(value, "kind").is_some()
}

fn text<'v>(object: &'v Value, key: &str) -> Option<&'v str> {
    object.get(key)?.as_str()
}

impl Manifest<'_> {
    /// The place of a field of this object.
    pub fn spot(&self, field: &FieldPath) -> Spot {
        let span = self.document.span(&self.at.join(field)).point();
        Spot { input: self.input, start: span.start, end: span.end }
    }

    /// What it calls itself: its kind and name, as far as it has them.
    pub(crate) fn name(&self) -> String {
        let name = self.value.pointer("/metadata/name").and_then(Value::as_str);
        let namespace = self.value.pointer("/metadata/namespace").and_then(Value::as_str);
        let names: Vec<&str> = namespace.into_iter().chain(name).collect();
        format!("{} {}", text(&self.value, "kind").unwrap_or("object"), names.join("/"))
    }

    /// The file and line of this object.
    pub(crate) fn place(&self, inputs: &[Input]) -> String {
        let spot = self.spot(&FieldPath::root());
        let source = inputs.get(spot.input).map(|input| &input.source);
        source.map_or_else(String::new, |source| {
            format!("{}:{}", source.name, source.position(spot.start).line)
        })
    }

    /// What is odd about an object that is judged.
    fn doubts(&self) -> Vec<Notice> {
        let at = |field: &FieldPath, message| Notice { spot: Some(self.spot(field)), message };
        let variable = |field: &FieldPath| {
            let used = match self.value.pointer(&field.to_json_pointer()) {
                None | Some(Value::Null) => "judged as if it were not there".to_owned(),
                Some(value) => format!("judged as {}", shortened(&value.to_string(), 100)),
            };
            at(field, format!("{field} holds a variable that is filled in later: it is {used}"))
        };
        // A custom resource may have a kind of the same name, and fields of its own.
        let own = text(&self.value, "apiVersion").zip(text(&self.value, "kind"));
        let own = own.is_some_and(|(api_version, kind)| Facts::reads(api_version, kind));
        let misspelt = if own { misspelt::misspelt(&self.value) } else { Vec::new() };
        let misspelt = misspelt.into_iter();
        let sizes = sizes::fractional(&self.value).into_iter();
        misspelt
            .map(|found| at(&found.field, found.message))
            .chain(sizes.map(|(field, message)| at(&field, message)))
            .chain(self.variables.iter().map(variable))
            .collect()
    }

    fn is_claim(&self) -> bool {
        text(&self.value, "apiVersion") == Some("v1")
            && text(&self.value, "kind") == Some("PersistentVolumeClaim")
    }

    /// The fault of a document that was named and is no object.
    pub(crate) fn no_object(&self) -> Fault {
        Fault {
            spot: Some(self.spot(&FieldPath::root())),
            message: "this is no Kubernetes object: it has no apiVersion and kind".to_owned(),
            help: Some("give a manifest, or a folder, in which other files are passed over".to_owned()),
        }
    }

    /// Whether it says what it is, as every Kubernetes object does.
    pub(crate) fn is_object(&self) -> bool {
        is_object(&self.value)
    }
}

/// What a run is about, besides the inputs.
pub struct Run<'r> {
    /// The policies.
    pub policies: &'r PolicySet,
    /// Objects of the cluster: looked up and not judged.
    pub context: &'r [Input],
    /// Whether `context` holds the whole cluster, so that what is not found does not exist.
    pub complete: bool,
    /// The namespace of objects that name none.
    pub namespace: &'r str,
    /// Today (UTC).
    pub today: Date,
    /// Who applies the manifests; none where that is not known.
    pub requester: Option<&'r Requester>,
}

impl Run<'_> {
    /// Judges all objects of the inputs; they see each other and the context.
    pub fn check<'i>(&self, inputs: &'i [Input]) -> Report<'i> {
        let mut report = Report::default();
        read_faults(inputs, &mut report);
        for input in self.context {
            for error in input.errors() {
                // The context has no place in the report's inputs, so that the name goes into the message.
                let at = input.source.position(error.offset);
                let message = format!("{}:{}:{}: {error}", input.source.name, at.line, at.column);
                report.faults.push(Fault { spot: None, message, help: None });
            }
        }
        report.notices.extend(self.ending_exceptions());
        report.notices.extend(self.unknown_users());
        let lookup = self.lookup(inputs);
        let engine = Engine { policies: self.policies, lookup: &lookup, today: self.today };
        let manifests = manifests(inputs);
        report.notices.extend(repeats::repeats(&manifests, inputs, self.namespace));
        let verdicts = in_parallel(&manifests, |manifest| {
            if manifest.review {
                return Some(judge_review(manifest, &engine));
            }
            let review = self.review(&manifest.value);
            (manifest.is_object() && !manifest.patch)
                .then(|| engine.judge(&review).map_err(|fault| Unread::Field(fault)))
        });
        let mut tally = Tally::default();
        // How many of each input are no objects.
        let mut strangers: BTreeMap<usize, usize> = BTreeMap::new();
        for (manifest, verdict) in manifests.into_iter().zip(verdicts) {
            if manifest.patch {
                tally.add(What::Patch, || manifest.place(inputs));
                continue;
            }
            if let Some(fault) = misnamed::fault(&manifest).filter(|_| !manifest.review) {
                report.faults.push(fault);
                continue;
            }
            match verdict {
                Some(Ok(Verdict { overlooked: Some(Overlooked::Kind), .. })) => {
                    let shown = if manifest.review { &manifest.document.value } else { &*manifest.value };
                    let versions = self.policies.catalog().kinds();
                    let known = |api_version: &str, kind: &str| versions.other_versions(api_version, kind);
                    tally.add_kind(shown, known, || manifest.place(inputs));
                }
                Some(Ok(Verdict { overlooked: Some(Overlooked::Namespace), .. })) => {
                    let namespace = Facts::identify(&*manifest.value, Some(self.namespace)).namespace;
                    tally.add(What::Namespace(namespace.unwrap_or_default()), || manifest.place(inputs));
                }
                Some(verdict) => self.add(manifest, verdict, &mut report),
                None if inputs.get(manifest.input).is_some_and(|input| input.named) => {
                    let seen = strangers.entry(manifest.input).or_default();
                    *seen += 1;
                    if *seen <= MOST_TOLD {
                        report.faults.push(manifest.no_object());
                    }
                }
                None => report.skipped += 1,
            }
        }
        for (input, more) in
            strangers.into_iter().map(|(input, seen)| (input, seen.saturating_sub(MOST_TOLD)))
        {
            if let (1.., Some(input)) = (more, inputs.get(input)) {
                let message = format!(
                    "{more} more documents or items of {} are no Kubernetes objects",
                    input.source.name
                );
                report.faults.push(Fault { spot: None, message, help: None });
            }
        }
        report.not_judged = tally.entries().collect();
        report.faults.sort_by(|a, b| a.spot.cmp(&b.spot));
        report.notices.sort_by(|a, b| a.spot.cmp(&b.spot));
        tell_some(inputs, &mut report);
        report.findings.sort_by(|a, b| {
            let key =
                |l: &Located| (l.spot.clone(), std::cmp::Reverse(effective(&l.finding)), l.finding.rule);
            key(a).cmp(&key(b))
        });
        report
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

    fn add<'i>(&self, manifest: Manifest<'i>, verdict: Result<Verdict, Unread>, report: &mut Report<'i>) {
        report.notices.extend(manifest.doubts());
        match verdict {
            Ok(verdict) => {
                report.judged += 1;
                let object = Facts::identify(&*manifest.value, Some(self.namespace));
                for finding in verdict.findings {
                    report.findings.push(Located {
                        spot: manifest.spot(&finding.field),
                        related: finding
                            .related
                            .iter()
                            .map(|(field, note)| (manifest.spot(field), note.clone()))
                            .collect(),
                        object: object.clone(),
                        manifest: report.manifests.len(),
                        finding,
                    });
                }
                if !verdict.patch.0.is_empty() {
                    let manifest = report.manifests.len();
                    report.changes.push(Change { object, manifest, patch: verdict.patch });
                }
                report.manifests.push(manifest);
            }
            Err(Unread::Review(why)) => report.faults.push(Fault {
                spot: Some(manifest.spot(&FieldPath::root())),
                message: format!("failed to read this AdmissionReview: {why}"),
                help: Some(
                    "the webhook would refuse it as well; give it as the API server sent it".to_owned(),
                ),
            }),
            Err(Unread::Field(fault)) => report.faults.push(Fault {
                spot: Some(manifest.spot(&fault.path)),
                message: format!("failed to read this object: {fault}"),
                help: Some("a cluster would refuse it as well; correct the field".to_owned()),
            }),
        }
    }

    /// All objects that rules can look up. Claims stand in it as mutation leaves them, as in a cluster.
    pub(crate) fn lookup(&self, inputs: &[Input]) -> MapLookup {
        let mut lookup = MapLookup::default();
        if self.complete {
            lookup.set_complete();
        }
        let context = manifests(self.context);
        let mut judged = manifests(inputs);
        // What a review asks for does not exist yet.
        judged.retain(|manifest| !manifest.patch && !manifest.review);
        for manifest in context.iter().chain(&judged) {
            if let Ok(facts) = Facts::read(&*manifest.value, Some(self.namespace)) {
                lookup.add(&facts);
            }
        }
        for manifest in judged.iter().filter(|manifest| manifest.is_claim()) {
            let engine =
                Engine { policies: self.policies, lookup: &lookup as &dyn Lookup, today: self.today };
            let review = self.review(&manifest.value);
            if let Ok(Some(changed)) = engine.mutated(&review)
                && let Ok(facts) = Facts::read(&changed, Some(self.namespace))
            {
                lookup.add(&facts);
            }
        }
        lookup
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

pub(crate) fn read_faults(inputs: &[Input], report: &mut Report<'_>) {
    for (index, input) in inputs.iter().enumerate() {
        if input.named && input.documents.is_empty() {
            let name = &input.source.name;
            // A template that renders to nothing leaves its comments. Nothing at all, as the output of a command that
            // failed, must not look like a clean bill.
            if input.source.text.trim().is_empty() {
                let help = Some("check the command or the path that it comes from".to_owned());
                report.faults.push(Fault {
                    spot: None,
                    message: format!("there is no manifest in {name}"),
                    help,
                });
            } else {
                let message = format!("there is nothing but comments in {name}");
                report.notices.push(Notice { spot: None, message });
            }
        }
        let is_template = |error: &&SourceError| error.kind == SourceErrorKind::Template;
        let templates = input.errors().filter(is_template).count();
        let mut first_template = true;
        for error in input.errors() {
            let mut message = error.message.clone();
            // A template that was not rendered is one mistake, however many of its documents are unreadable.
            if is_template(&error) && templates > 1 {
                if !std::mem::take(&mut first_template) {
                    continue;
                }
                let places = if templates == 2 { "place" } else { "places" };
                message.push_str(&format!("; {} more {places} in this file", templates - 1));
            }
            let end = (error.offset + 1).min(input.source.text.len());
            let help = Some(error.help.to_string());
            let spot = Some(Spot { input: index, start: error.offset.min(end), end });
            report.faults.push(Fault { spot, message, help });
        }
        // What is odd in the other files of a folder is nobody's business here.
        let told = |document: &&Document| input.named || is_object(&document.value);
        for document in input.documents().filter(told) {
            for notice in &document.notices {
                let Range { start, end } = notice.span;
                let spot = Some(Spot { input: index, start, end });
                report.notices.push(Notice { spot, message: notice.message.clone() });
            }
        }
    }
}

/// How many faults of one file are told, and how many notices: a file of a megabyte may hold hundreds of thousands.
const MOST_TOLD: usize = 1_000;

/// Leaves out the faults and notices that are too many of one file, and says how many.
fn tell_some(inputs: &[Input], report: &mut Report<'_>) {
    let name = |input: usize| inputs.get(input).map_or("", |input| &input.source.name);
    let faults = excess(&mut report.faults, |fault| fault.spot.as_ref().map(|spot| spot.input));
    report.faults.extend(faults.into_iter().map(|(input, more)| Fault {
        spot: None,
        message: format!("{more} more faults in {}: only the first {MOST_TOLD} are told", name(input)),
        help: None,
    }));
    let notices = excess(&mut report.notices, |notice| notice.spot.as_ref().map(|spot| spot.input));
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

/// The text of an input with the changes of the report applied, comments and layout kept.
///
/// # Errors
/// If a change cannot be written into the text without harm.
pub fn apply(input: usize, text: &str, report: &Report<'_>) -> Result<String, EditError> {
    let mut changes: Vec<(&Manifest<'_>, &Change)> = report
        .changes
        .iter()
        .filter_map(|change| Some((report.manifests.get(change.manifest)?, change)))
        .filter(|(manifest, _)| manifest.input == input)
        .collect();
    // One document's changes at once.
    changes.sort_by_key(|(manifest, _)| manifest.document.span.start);
    let documents = changes.chunk_by(|(a, _), (b, _)| a.document.span.start == b.document.span.start);
    edit_all(
        text,
        documents.filter_map(|group| {
            let (manifest, _) = group.first()?;
            let patch = group.iter().flat_map(|(manifest, change)| within(&manifest.at, &change.patch));
            Some((manifest.document, Patch(patch.collect())))
        }),
    )
}

/// The operations of an object's patch as operations on the document that holds it.
fn within(at: &FieldPath, patch: &Patch) -> Vec<PatchOperation> {
    let outer = at.to_json_pointer();
    let moved =
        |path: &PointerBuf| PointerBuf::parse(format!("{outer}{path}")).unwrap_or_else(|_| path.clone());
    let operations = patch.0.iter().cloned().map(|operation| match operation {
        PatchOperation::Add(mut add) => {
            add.path = moved(&add.path);
            PatchOperation::Add(add)
        }
        PatchOperation::Replace(mut replace) => {
            replace.path = moved(&replace.path);
            PatchOperation::Replace(replace)
        }
        // volgate's own patches hold nothing else.
        other => other,
    });
    operations.collect()
}
