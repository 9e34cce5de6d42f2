//! What is wrong with a review that [`Request`] could not be read from: read once more, in one pass that keeps what it
//! has read when it meets a fault.

use super::request::{Request, version_fault};
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
    request: Option<Head<'a>>,
    fault: Option<String>,
}

/// The fields of its request, but for the objects. Absent, null and empty are one.
#[derive(Debug, Default)]
struct Head<'a> {
    uid: Cow<'a, str>,
    group: Cow<'a, str>,
    kind: Cow<'a, str>,
    subresource: Cow<'a, str>,
    name: Cow<'a, str>,
    namespace: Cow<'a, str>,
    operation: Cow<'a, str>,
    fault: Option<String>,
}

impl<'a> Envelope<'a> {
    /// Reads as far as it can, and says what stopped it.
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
    pub(super) fn request(&self) -> Option<Request<'_>> {
        let Head { uid, group, kind, subresource, name, namespace, operation, fault: _ } =
            self.request.as_ref()?;
        let request =
            Request { uid, group, kind, subresource, name, namespace, operation, ..Request::default() };
        Some(request).filter(|request| !request.uid.is_empty())
    }

    /// Why this version of the review cannot be read.
    pub(super) fn version_fault(&self) -> Option<String> {
        version_fault(&self.api_version, &self.kind)
    }
}

/// The request without its objects, as CEL's `request` has it.
pub(super) fn request_without_objects(text: &str) -> Result<Value, String> {
    #[derive(Deserialize)]
    struct Review {
        request: Rest,
    }
    struct Rest(Map<String, Value>);
    impl<'de> Deserialize<'de> for Rest {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct RestVisitor;
            impl<'de> Visitor<'de> for RestVisitor {
                type Value = Rest;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a map")
                }
                fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Rest, A::Error> {
                    let mut rest = Map::new();
                    while let Some(Text(key)) = map.next_key()? {
                        if matches!(key.as_ref(), "object" | "oldObject") {
                            map.next_value::<IgnoredAny>()?;
                        } else {
                            rest.insert(key.into_owned(), map.next_value()?);
                        }
                    }
                    Ok(Rest(rest))
                }
            }
            deserializer.deserialize_map(RestVisitor)
        }
    }
    let review: Review = serde_json::from_str(text).map_err(|error| format!("request: {error}"))?;
    Ok(Value::Object(review.request.0))
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

/// Declares a seed that fills the fields of a map one by one, so that those before a fault in the syntax are kept. A
/// field of a wrong type is told in the target's `fault` and stops nothing.
macro_rules! filling {
    ($seed:ident, $target:ident, $expecting:literal, |$into:ident, $key:ident, $map:ident| $body:expr) => {
        struct $seed<'s, 'a>(&'s mut $target<'a>);

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

filling!(EnvelopeSeed, Envelope, "an AdmissionReview", |into, key, map| match key.as_ref() {
    "apiVersion" => into.api_version = text("apiVersion", map.next_value()?, &mut into.fault),
    "kind" => into.kind = text("kind", map.next_value()?, &mut into.fault),
    "request" => map.next_value_seed(RequestSeed(into.request.insert(Head::default())))?,
    _ => {
        map.next_value::<IgnoredAny>()?;
    }
});

filling!(RequestSeed, Head, "a request", |into, key, map| match key.as_ref() {
    "uid" => into.uid = text("request.uid", map.next_value()?, &mut into.fault),
    "kind" => {
        let raw: &RawValue = map.next_value()?;
        let mut deserializer = serde_json::Deserializer::from_str(raw.get());
        if let Err(error) = KindSeed(into).deserialize(&mut deserializer) {
            into.fault = Some(wrong_type("request.kind", &error));
        }
    }
    "subResource" => into.subresource = text("request.subResource", map.next_value()?, &mut into.fault),
    "name" => into.name = text("request.name", map.next_value()?, &mut into.fault),
    "namespace" => into.namespace = text("request.namespace", map.next_value()?, &mut into.fault),
    "operation" => into.operation = text("request.operation", map.next_value()?, &mut into.fault),
    _ => {
        map.next_value::<IgnoredAny>()?;
    }
});

filling!(KindSeed, Head, "a group, version and kind", |into, key, map| match key.as_ref() {
    "group" => into.group = text("request.kind.group", map.next_value()?, &mut into.fault),
    "kind" => into.kind = text("request.kind.kind", map.next_value()?, &mut into.fault),
    _ => {
        map.next_value::<IgnoredAny>()?;
    }
});

fn text<'a>(field: &str, raw: &'a RawValue, fault: &mut Option<String>) -> Cow<'a, str> {
    match serde_json::from_str(raw.get()) {
        Ok(Text(text)) => text,
        Err(error) => {
            *fault = Some(wrong_type(field, &error));
            Cow::Borrowed("")
        }
    }
}

/// Without the place, which would count from the field's start.
fn wrong_type(field: &str, error: &serde_json::Error) -> String {
    let error = error.to_string();
    format!("{field}: {}", error.split(" at line ").next().unwrap_or_default())
}
