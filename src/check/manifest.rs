//! The objects of the files, one by one.

use super::template::Template;
use super::{Fault, Input, Notice, Spot};
use super::{misspelt, not_judged, sizes};
use crate::facts::Facts;
use crate::model::{FieldPath, shortened};
use crate::source::Document;
use serde_json::Value;
use std::borrow::Cow;

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
    pub(super) variables: Vec<FieldPath>,
    /// The fields with a variable that has no default.
    pub(super) open: Vec<FieldPath>,
    /// The fields that are text only once kustomize has written them.
    pub(super) quoted: Vec<FieldPath>,
    /// Whether it is a patch and no whole object.
    pub(crate) patch: bool,
    /// Whether it is the object of an AdmissionReview, which is judged as the webhook would.
    pub(crate) review: bool,
}

/// The objects of the inputs; a `List` counts as its items, and a Template of OpenShift as its objects.
pub fn manifests<'i>(inputs: &'i [Input]) -> Vec<Manifest<'i>> {
    let mut found = Vec::new();
    for (input, read) in inputs.iter().enumerate() {
        let (has_variables, has_directives) =
            (read.source.text.contains("${"), read.source.text.contains("$patch"));
        for document in read.documents() {
            let mut add = |at, value: Cow<'i, Value>| {
                let patch = read.patch || (has_directives && not_judged::has_directive(&value));
                let (variables, open, quoted) = (Vec::new(), Vec::new(), Vec::new());
                let mut manifest =
                    Manifest { input, document, at, value, variables, open, quoted, patch, review: false };
                if read.built && !patch {
                    manifest.quote_as_built(&read.source);
                }
                if has_variables {
                    manifest.fill_in_variables();
                }
                if !patch {
                    manifest.put_in_stream_images();
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
                    open: Vec::new(),
                    quoted: Vec::new(),
                    patch: false,
                    review: true,
                }),
                None => expand(FieldPath::root(), Cow::Borrowed(&document.value), &mut add),
            }
        }
    }
    found
}

pub(super) fn expand<'i>(
    at: FieldPath,
    value: Cow<'i, Value>,
    add: &mut impl FnMut(FieldPath, Cow<'i, Value>),
) {
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
        _ => match Template::of(list) {
            Some(mut template) => {
                let at = at.key("objects");
                for (index, object) in template.objects.iter().enumerate() {
                    expand(at.index(index), template.filled(object), add);
                }
            }
            None => add(at, Cow::Borrowed(list)),
        },
    }
}

/// An item of a list of that kind of objects. The API server leaves the kind out in the items of a typed list, such as
/// a PodList; those of a `List` have their own.
pub(super) fn item_of<'i>(list: &Value, kind: &str, item: &'i Value) -> Cow<'i, Value> {
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

pub(super) fn is_object(value: &Value) -> bool {
    text(value, "apiVersion").is_some() && text(value, "kind").is_some()
}

pub(super) fn text<'v>(object: &'v Value, key: &str) -> Option<&'v str> {
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
    pub(super) fn doubts(&self) -> Vec<Notice> {
        let at = |field: &FieldPath, message| Notice { spot: Some(self.spot(field)), message };
        let variable = |field: &FieldPath| {
            let used = match self.value.pointer(&field.to_json_pointer()) {
                None | Some(Value::Null) => "judged as if it were not there".to_owned(),
                Some(value) => format!("judged as {}", shortened(&value.to_string(), 100)),
            };
            at(field, format!("{field} holds a variable that is filled in later: it is {used}"))
        };
        let open = self.open.iter().filter(|field| !self.variables.contains(field)).map(|field| {
            let message = "holds a variable without a default, which is filled in later: what depends on it is a warning at most";
            at(field, format!("{field} {message}"))
        });
        // Of one object the first is enough.
        let quoted = self.quoted.first().map(|field| {
            let value = self.value.pointer(&field.to_json_pointer()).map_or_else(String::new, Value::to_string);
            let value = shortened(&value, 100);
            let message = format!(
                "{field} is no text as it stands here: kustomize puts it in quotes when it builds the folder, and it is judged as \
                 {value}; `kubectl apply -f` would refuse it"
            );
            at(field, message)
        });
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
            .chain(open)
            .chain(quoted)
            .collect()
    }

    pub(super) fn is_claim(&self) -> bool {
        text(&self.value, "apiVersion") == Some("v1")
            && text(&self.value, "kind") == Some("PersistentVolumeClaim")
    }

    /// The fault of a document that was named and is no object.
    pub(crate) fn no_object(&self) -> Fault {
        // A template that takes a newline away too many puts the line behind a comment.
        let (lacks, help) = match (text(&self.value, "kind"), text(&self.value, "apiVersion")) {
            (Some(_), None) => ("apiVersion", "give it one, unless a comment before it has swallowed it"),
            (None, Some(_)) => ("kind", "give it one, unless a comment before it has swallowed it"),
            _ => {
                ("apiVersion and kind", "give a manifest, or a folder, in which other files are passed over")
            }
        };
        Fault {
            spot: Some(self.spot(&FieldPath::root())),
            message: format!("this is no Kubernetes object: it has no {lacks}"),
            help: Some(help.to_owned()),
        }
    }

    /// Whether it says what it is, as every Kubernetes object does.
    pub(crate) fn is_object(&self) -> bool {
        is_object(&self.value)
    }
}
