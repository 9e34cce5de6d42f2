//! A review as the webhook reads it: one pass over its text, from which nothing is copied.

use super::API_VERSION;
use crate::json::{Node, Shape, Step};

/// What is read of a review: everything that a rule can ask for, and of the rest only that it is JSON.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Level {
    /// The whole.
    Review,
    /// Its `request`.
    Request,
    /// The request's `kind`.
    Kind,
    /// Its `resource`.
    Resource,
    /// Its `userInfo`.
    User,
    /// An object.
    Object,
    /// Its `metadata`.
    Metadata,
    /// Anything else.
    Any,
}

impl Shape for Level {
    fn is_any(self) -> bool {
        self == Self::Any
    }

    fn field(self, key: &str) -> Step<Self> {
        match (self, key) {
            (Self::Any, _) => Step::Read(Self::Any),
            (Self::Review, "apiVersion" | "kind") => Step::Read(Self::Any),
            (Self::Review, "request") => Step::Read(Self::Request),
            (Self::Request, "uid" | "subResource" | "name" | "namespace" | "operation" | "dryRun") => {
                Step::Read(Self::Any)
            }
            (Self::Request, "kind") => Step::Read(Self::Kind),
            (Self::Request, "resource") => Step::Try(Self::Resource),
            (Self::Request, "userInfo") => Step::Try(Self::User),
            // A bad object is answered under its request's uid, and only if it is up for judgement.
            (Self::Request, "object" | "oldObject") => Step::Try(Self::Object),
            (Self::Kind, "group" | "kind")
            | (Self::Resource, "group" | "resource")
            | (Self::User, "username") => Step::Read(Self::Any),
            (Self::Object, "metadata") => Step::Read(Self::Metadata),
            // Who wrote which field: often half of the text; no rule reads it, and `check` never has it.
            (Self::Metadata, "managedFields") => Step::Skip,
            (Self::Object | Self::Metadata, _) => Step::Read(Self::Any),
            (Self::Review | Self::Request | Self::Kind | Self::Resource | Self::User, _) => Step::Skip,
        }
    }
}

/// The fields of a review's request that are needed. Absent, null and empty are one.
#[derive(Debug, Default)]
pub(super) struct Request<'a> {
    pub(super) uid: &'a str,
    pub(super) group: &'a str,
    pub(super) kind: &'a str,
    pub(super) resource_group: &'a str,
    pub(super) resource: &'a str,
    pub(super) subresource: &'a str,
    pub(super) name: &'a str,
    pub(super) namespace: &'a str,
    pub(super) operation: &'a str,
    /// Whether nothing is to be stored. What cannot be read counts as false.
    pub(super) dry_run: bool,
    /// Who asks. Nobody can forge it, unlike all that an object says.
    pub(super) user: &'a str,
    pub(super) object: Option<Node<'a>>,
    pub(super) old_object: Option<Node<'a>>,
}

impl<'a> Request<'a> {
    /// Reads a review of that shape; nothing where a field has a wrong type or it is no review at all.
    pub(super) fn read(review: Node<'a>) -> Option<Self> {
        let (mut api_version, mut kind, mut request) = ("", "", Node::NULL);
        for (key, value) in review.given() {
            match key {
                "apiVersion" => api_version = value.as_str()?,
                "kind" => kind = value.as_str()?,
                "request" => request = value,
                _ => {}
            }
        }
        if version_fault(api_version, kind).is_some() {
            return None;
        }
        let mut read = Self::default();
        for (key, value) in request.given() {
            match key {
                "uid" => read.uid = value.as_str()?,
                "kind" => (read.group, read.kind) = group_and_kind(value)?,
                // What cannot be read of these two counts as absent: it excuses nobody, and a Scale must say of what.
                "resource" => {
                    (read.resource_group, read.resource) = (text(value, "group"), text(value, "resource"));
                }
                "userInfo" => read.user = text(value, "username"),
                "subResource" => read.subresource = value.as_str()?,
                "name" => read.name = value.as_str()?,
                "namespace" => read.namespace = value.as_str()?,
                "operation" => read.operation = value.as_str()?,
                "dryRun" => read.dry_run = value.as_bool().unwrap_or_default(),
                "object" => read.object = Some(value),
                "oldObject" => read.old_object = Some(value),
                _ => {}
            }
        }
        Some(read).filter(|request| !request.uid.is_empty())
    }

    /// The namespace; none for objects outside of one.
    pub(super) fn namespace(&self) -> Option<&'a str> {
        Some(self.namespace).filter(|namespace| !namespace.is_empty())
    }
}

fn text<'a>(map: Node<'a>, key: &str) -> &'a str {
    map.get(key).and_then(Node::as_str).unwrap_or_default()
}

fn group_and_kind<'a>(value: Node<'a>) -> Option<(&'a str, &'a str)> {
    let (mut group, mut kind) = ("", "");
    for (key, value) in value.given() {
        match key {
            "group" => group = value.as_str()?,
            "kind" => kind = value.as_str()?,
            _ => {}
        }
    }
    Some((group, kind))
}

/// Why a review of that version cannot be read.
pub(super) fn version_fault(api_version: &str, kind: &str) -> Option<String> {
    if kind != "AdmissionReview" {
        return Some(format!("the body's kind is {kind:?}, and must be AdmissionReview"));
    }
    (api_version != API_VERSION).then(|| {
        format!(
            "the review's apiVersion is {api_version:?}, and volgate speaks {API_VERSION}: set \
             admissionReviewVersions: [v1] in the webhook configuration"
        )
    })
}
