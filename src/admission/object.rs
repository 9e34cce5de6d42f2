//! What is wrong with an object that could not be read out of a review.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// What is wrong with the text of an object: it is no JSON object, or no tree can be made of it.
pub(super) fn fault(text: &str) -> Option<String> {
    read(text).err().map(|error| error.to_string())
}

/// Reads an object, and leaves `metadata.managedFields` out.
fn read(text: &str) -> Result<Value, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Level::Object.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// How deep in the object a map stands.
#[derive(Clone, Copy, PartialEq)]
enum Level {
    Object,
    Metadata,
}

impl<'de> DeserializeSeed<'de> for Level {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = match (self, key.as_str()) {
                (Self::Object, "metadata") => entries.next_value_seed(Self::Metadata)?,
                (Self::Metadata, "managedFields") => {
                    entries.next_value::<IgnoredAny>()?;
                    continue;
                }
                _ => entries.next_value()?,
            };
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        match self {
            Self::Metadata => Ok(Value::Null),
            Self::Object => Err(E::custom("it is null, and must be a map")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn leaves_out_who_wrote_what_and_nothing_else() {
        let text = r#"{"kind":"Pod","metadata":{"name":"a","managedFields":[{"f":{}}],"labels":{"managedFields":"x"}},
                       "spec":{"metadata":{"managedFields":1},"n":1.5,"l":[null,true]}}"#;
        let wanted = json!({"kind": "Pod", "metadata": {"name": "a", "labels": {"managedFields": "x"}},
                            "spec": {"metadata": {"managedFields": 1}, "n": 1.5, "l": [null, true]}});
        assert_eq!(read(text).unwrap(), wanted);
        assert_eq!(read(r#"{"metadata":null}"#).unwrap(), json!({"metadata": null}));
    }

    #[test]
    fn refuses_what_is_no_object() {
        for text in [
            "null",
            "[]",
            "1",
            "\"x\"",
            "{",
            "{} {}",
            r#"{"metadata":1}"#,
            r#"{"metadata":{"managedFields":}}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
