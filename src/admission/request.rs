//! A review as the API server sends it. One pass over its text finds the fields of the request; the objects stay text until
//! it is known that a policy may be about them. What was read before a fault is kept, since the answer needs the uid.

use super::API_VERSION;
use super::object::Budget;
use crate::rule::{REQUEST_FIELDS, Requester};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;

/// The fields of an AdmissionReview that are needed, as far as they could be read.
#[derive(Debug, Default)]
pub(super) struct Envelope<'a> {
    api_version: Cow<'a, str>,
    kind: Cow<'a, str>,
    request: Option<Request<'a>>,
    fault: Option<String>,
}

/// The fields of its request. Absent, null and empty are one.
#[derive(Debug, Default)]
pub(super) struct Request<'a> {
    pub(super) uid: Cow<'a, str>,
    pub(super) group: Cow<'a, str>,
    pub(super) version: Cow<'a, str>,
    pub(super) kind: Cow<'a, str>,
    pub(super) resource_group: Cow<'a, str>,
    pub(super) resource: Cow<'a, str>,
    pub(super) subresource: Cow<'a, str>,
    pub(super) name: Cow<'a, str>,
    pub(super) namespace: Cow<'a, str>,
    pub(super) operation: Cow<'a, str>,
    /// Who asks. Nobody can forge it, unlike all that an object says.
    pub(super) user: Cow<'a, str>,
    /// The text of the list of the user's groups.
    groups: Option<&'a RawValue>,
    /// Whether nothing of it is stored.
    pub(super) dry_run: bool,
    /// The text of the object; none for null.
    pub(super) object: Option<&'a str>,
    /// The text of the object as it is.
    pub(super) old_object: Option<&'a str>,
    /// All fields but the objects, as CEL's `request` has them.
    rest: Vec<(&'static str, &'a RawValue)>,
    fault: Option<String>,
}

impl<'a> Envelope<'a> {
    /// Reads as far as it can, and says what stopped it or has a wrong type.
    pub(super) fn read(text: &'a str) -> (Self, Option<String>) {
        let mut envelope = Self::default();
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let result =
            EnvelopeSeed(&mut envelope).deserialize(&mut deserializer).and_then(|()| deserializer.end());
        let fault = result.err().map(|error| format!("the body is no AdmissionReview: {error}"));
        let fault = fault.or_else(|| envelope.fault.take());
        let fault = fault.or_else(|| envelope.request.as_mut()?.fault.take());
        (envelope, fault)
    }

    /// The request, when it names a uid to answer under.
    pub(super) fn request(&self) -> Option<&Request<'a>> {
        self.request.as_ref().filter(|request| !request.uid.is_empty())
    }

    /// Why this version of the review cannot be read.
    pub(super) fn version_fault(&self) -> Option<String> {
        if self.kind != "AdmissionReview" {
            return Some(format!("the body's kind is {:?}, and must be AdmissionReview", self.kind));
        }
        (self.api_version != API_VERSION).then(|| {
            format!(
                "the review's apiVersion is {:?}, and volgate speaks {API_VERSION}: set \
                 admissionReviewVersions: [v1] in the webhook configuration",
                self.api_version
            )
        })
    }
}

impl Request<'_> {
    /// The namespace; none for objects outside of one.
    pub(super) fn namespace(&self) -> Option<&str> {
        Some(&*self.namespace).filter(|namespace| !namespace.is_empty())
    }

    /// Who asks, with the groups. What is no text is no group.
    ///
    /// # Errors
    /// That there are too many.
    pub(super) fn requester(&self, budget: &Budget) -> Result<Requester, String> {
        let groups = self.groups.map(|raw| budget.value("request.userInfo.groups", raw.get())).transpose()?;
        let groups = match groups {
            Some(Value::Array(groups)) => groups
                .into_iter()
                .filter_map(|group| match group {
                    Value::String(group) => Some(group),
                    _ => None,
                })
                .collect(),
            _ => Vec::new(),
        };
        Ok(Requester { name: self.user.clone().into_owned(), groups })
    }

    /// The request without its objects, as CEL's `request` has it.
    ///
    /// # Errors
    /// The field that no tree can be made of.
    pub(super) fn without_objects(&self, budget: &Budget) -> Result<Value, String> {
        let mut fields = Map::new();
        for (key, raw) in &self.rest {
            fields.insert((*key).to_owned(), budget.value(&format!("request.{key}"), raw.get())?);
        }
        Ok(Value::Object(fields))
    }
}

/// A text that borrows where it can; null is the empty text.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
            fn visit_unit<E>(self) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed("")))
            }
        }
        deserializer.deserialize_any(TextVisitor)
    }
}

/// Declares a seed that fills the fields of a map one by one, so that those before a fault in the syntax are kept.
macro_rules! filling {
    ($seed:ident, $target:ty, $expecting:literal, |$into:ident, $key:ident, $map:ident| $body:expr) => {
        struct $seed<'s, 'a>(&'s mut $target);

        impl<'de> DeserializeSeed<'de> for $seed<'_, 'de> {
            type Value = ();
            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
                deserializer.deserialize_any(self)
            }
        }

        impl<'de> Visitor<'de> for $seed<'_, 'de> {
            type Value = ();
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($expecting)
            }
            fn visit_unit<E>(self) -> Result<(), E> {
                Ok(())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut $map: A) -> Result<(), A::Error> {
                let $into = self.0;
                while let Some(Text($key)) = $map.next_key()? {
                    $body
                }
                Ok(())
            }
        }
    };
}

filling!(EnvelopeSeed, Envelope<'a>, "an AdmissionReview", |into, key, map| match key.as_ref() {
    "apiVersion" => into.api_version = text("apiVersion", map.next_value()?, &mut into.fault),
    "kind" => into.kind = text("kind", map.next_value()?, &mut into.fault),
    "request" => map.next_value_seed(RequestSeed(into.request.insert(Request::default())))?,
    _ => {
        map.next_value::<IgnoredAny>()?;
    }
});

filling!(RequestSeed, Request<'a>, "a request", |into, key, map| {
    let raw: &'de RawValue = map.next_value()?;
    into.take(key, raw);
});

/// The fields besides the objects that an AdmissionReview of v1 has and no rule sees.
const UNSEEN_FIELDS: [&str; 2] = ["requestSubResource", "uid"];

impl<'a> Request<'a> {
    /// Takes a field. One of a wrong type is a fault and stops nothing, so that the uid is found wherever it stands.
    fn take(&mut self, key: Cow<'a, str>, raw: &'a RawValue) {
        let fault = &mut self.fault;
        match key.as_ref() {
            "object" | "oldObject" => {
                let given = Some(raw.get()).filter(|text| *text != "null");
                if key == "object" {
                    self.object = given
                } else {
                    self.old_object = given
                }
                return;
            }
            "uid" => self.uid = text("request.uid", raw, fault),
            "dryRun" => self.dry_run = raw.get() == "true",
            "subResource" => self.subresource = text("request.subResource", raw, fault),
            "name" => self.name = text("request.name", raw, fault),
            "namespace" => self.namespace = text("request.namespace", raw, fault),
            "operation" => self.operation = text("request.operation", raw, fault),
            "kind" => match fields(["group", "version", "kind"], raw) {
                Ok([group, version, kind]) => {
                    let mut text = |field, raw: Option<&'a RawValue>| {
                        raw.map_or(Cow::Borrowed(""), |raw| text(field, raw, fault))
                    };
                    self.group = text("request.kind.group", group);
                    self.version = text("request.kind.version", version);
                    self.kind = text("request.kind.kind", kind);
                }
                Err(error) => *fault = Some(wrong_type("request.kind", &error)),
            },
            // What cannot be read of these two counts as absent: it excuses nobody, and a Scale must say of what.
            "resource" => {
                let [group, resource] = fields(["group", "resource"], raw).unwrap_or_default();
                (self.resource_group, self.resource) = (lenient(group), lenient(resource));
            }
            "userInfo" => {
                let [name, groups] = fields(["username", "groups"], raw).unwrap_or_default();
                (self.user, self.groups) = (lenient(name), groups);
            }
            _ => {}
        }
        let known = REQUEST_FIELDS.into_iter().chain(UNSEEN_FIELDS).find(|known| *known == key);
        if let Some(known) = known {
            // Of several fields of one name the last counts.
            self.rest.retain(|(other, _)| *other != known);
            self.rest.push((known, raw));
        }
    }
}

/// The texts of these fields of a map.
///
/// # Errors
/// It is neither a map nor null.
fn fields<'a, const N: usize>(
    names: [&'static str; N],
    raw: &'a RawValue,
) -> Result<[Option<&'a RawValue>; N], serde_json::Error> {
    struct Fields<const N: usize>([&'static str; N]);
    impl<'de, const N: usize> Visitor<'de> for Fields<N> {
        type Value = [Option<&'de RawValue>; N];
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map")
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok([None; N])
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = [None; N];
            while let Some(Text(key)) = map.next_key()? {
                let wanted = found.iter_mut().zip(self.0).find(|(_, name)| *name == key);
                match wanted {
                    Some((place, _)) => *place = Some(map.next_value()?),
                    None => {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
            }
            Ok(found)
        }
    }
    serde_json::Deserializer::from_str(raw.get()).deserialize_any(Fields(names))
}

/// A field that must be a text where it is given.
fn text<'a>(field: &str, raw: &'a RawValue, fault: &mut Option<String>) -> Cow<'a, str> {
    match serde_json::from_str(raw.get()) {
        Ok(Text(text)) => text,
        Err(error) => {
            *fault = Some(wrong_type(field, &error));
            Cow::Borrowed("")
        }
    }
}

/// A text; empty where it is none.
fn lenient(raw: Option<&RawValue>) -> Cow<'_, str> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).map_or(Cow::Borrowed(""), |Text(text)| text)
}

/// Without the place, which would count from the field's start.
fn wrong_type(field: &str, error: &serde_json::Error) -> String {
    let error = error.to_string();
    format!("{field}: {}", error.split(" at line ").next().unwrap_or_default())
}
