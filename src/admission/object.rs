//! The objects of a review: JSON text to a tree, within a budget of values. What rules read of an object takes memory by its
//! values rather than by its bytes, and the smallest takes two bytes: a review of 7 MiB could hold millions, which no
//! cluster has ever stored.

use crate::model::{FieldPath, Segment};
use serde::de::{
    DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde_json::{Map, Number, Value};
use std::cell::{Cell, RefCell};
use std::fmt;

/// How many values the objects of a review may hold together, those in maps and lists counted one by one and
/// `metadata.managedFields` not at all. Two objects of 1.5 MiB each, which is what etcd stores of one, have some 75,000.
pub const MAX_VALUES: usize = 200_000;

/// How many values may still be read, and where they became too many.
pub(super) struct Budget {
    left: Cell<usize>,
    exceeded: Cell<bool>,
    /// On the way out from there: the steps, the last first.
    path: RefCell<Vec<Segment>>,
}

impl Budget {
    pub(super) fn new(most: usize) -> Self {
        Self { left: Cell::new(most), exceeded: Cell::new(false), path: RefCell::default() }
    }

    /// Reads an object and leaves `metadata.managedFields` out: who wrote which field is often half of the text, no rule
    /// reads it, and `check` never has it.
    ///
    /// # Errors
    /// What is wrong with the text of `field`: it is no JSON object, or no tree can be made of it.
    pub(super) fn object(&self, field: &str, text: &str) -> Result<Value, String> {
        if !text.starts_with('{') {
            return Err(format!("{field} is no map"));
        }
        self.read(text, Level::Object).map_err(|fault| match fault {
            Fault::TooMany(path) => {
                format!("{field}.{path}: more than {MAX_VALUES} values up to here, which no object has")
            }
            Fault::Json(error) if error.contains("recursion limit") => {
                format!("{field} is nested deeper than 128 levels, which no object of Kubernetes is")
            }
            Fault::Json(error) => format!("{field}: {error}"),
        })
    }

    /// Reads any value.
    ///
    /// # Errors
    /// What is wrong with the text of `field`.
    pub(super) fn value(&self, field: &str, text: &str) -> Result<Value, String> {
        self.read(text, Level::Any).map_err(|fault| match fault {
            Fault::TooMany(_) => format!("{field}: more than {MAX_VALUES} values up to here"),
            Fault::Json(error) => format!("{field}: {error}"),
        })
    }

    fn read(&self, text: &str, level: Level) -> Result<Value, Fault> {
        let mut reader = serde_json::Deserializer::from_str(text);
        let read = Seed { level, budget: self }.deserialize(&mut reader);
        read.and_then(|value| reader.end().map(|()| value)).map_err(|error| {
            if !self.exceeded.get() {
                return Fault::Json(error.to_string());
            }
            let mut segments = self.path.take();
            segments.reverse();
            // The list itself, and not the item that was one too many.
            if matches!(segments.last(), Some(Segment::Index(_))) {
                segments.pop();
            }
            Fault::TooMany(segments.into())
        })
    }

    fn one<E: Error>(&self) -> Result<(), E> {
        match self.left.get().checked_sub(1) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => {
                self.exceeded.set(true);
                Err(E::custom("too many values"))
            }
        }
    }

    fn within<E>(&self, step: impl FnOnce() -> Segment) -> impl FnOnce(E) -> E {
        move |error| {
            if self.exceeded.get() {
                self.path.borrow_mut().push(step());
            }
            error
        }
    }
}

enum Fault {
    TooMany(FieldPath),
    Json(String),
}

/// How deep in the object a value stands.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Level {
    Object,
    Metadata,
    Any,
}

#[derive(Clone, Copy)]
struct Seed<'b> {
    level: Level,
    budget: &'b Budget,
}

impl Seed<'_> {
    fn leaf<E: Error>(self, found: Unexpected<'_>, value: impl FnOnce() -> Value) -> Result<Value, E> {
        if self.level != Level::Any {
            return Err(E::invalid_type(found, &self));
        }
        self.budget.one()?;
        Ok(value())
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<Value, E> {
        self.leaf(Unexpected::Bool(truth), || Value::Bool(truth))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        self.leaf(Unexpected::Signed(number), || Value::Number(number.into()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        self.leaf(Unexpected::Unsigned(number), || Value::Number(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        self.leaf(Unexpected::Float(number), || Number::from_f64(number).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        self.leaf(Unexpected::Str(text), || Value::String(text.to_owned()))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        if self.level == Level::Metadata {
            return Ok(Value::Null);
        }
        self.leaf(Unexpected::Unit, || Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        if self.level != Level::Any {
            return Err(A::Error::invalid_type(Unexpected::Seq, &self));
        }
        self.budget.one()?;
        let mut items = Vec::new();
        loop {
            let index = items.len();
            let within = self.budget.within(|| Segment::Index(index));
            let Some(item) = entries.next_element_seed(self).map_err(within)? else { break };
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        self.budget.one()?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let level = match (self.level, key.as_str()) {
                (Level::Object, "metadata") => Level::Metadata,
                (Level::Metadata, "managedFields") => {
                    entries.next_value::<IgnoredAny>()?;
                    continue;
                }
                _ => Level::Any,
            };
            let seed = Seed { level, ..self };
            let value = entries
                .next_value_seed(seed)
                .map_err(self.budget.within(|| Segment::Key(key.clone().into())))?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn object(text: &str) -> Result<Value, String> {
        Budget::new(MAX_VALUES).object("o", text)
    }

    #[test]
    fn leaves_out_who_wrote_what_and_nothing_else() {
        let text = r#"{"kind":"Pod","metadata":{"name":"a","managedFields":[{"f":{}}],"labels":{"managedFields":"x"}},
                       "spec":{"metadata":{"managedFields":1},"n":1.5,"l":[null,true]}}"#;
        let wanted = json!({"kind": "Pod", "metadata": {"name": "a", "labels": {"managedFields": "x"}},
                            "spec": {"metadata": {"managedFields": 1}, "n": 1.5, "l": [null, true]}});
        assert_eq!(object(text).unwrap(), wanted);
        assert_eq!(object(r#"{"metadata":null}"#).unwrap(), json!({"metadata": null}));
    }

    #[test]
    fn refuses_what_is_no_object() {
        let broken = [
            "null",
            "[]",
            "1",
            "\"x\"",
            "{",
            "{} {}",
            r#"{"metadata":1}"#,
            r#"{"metadata":{"managedFields":}}"#,
        ];
        for text in broken {
            assert!(object(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_value_counts_and_the_field_is_named_that_has_one_too_many() {
        let text = r#"{"a":{"b":[1,"x",null,true,1.5,-1]},"c":[{"d":[[]]},{"d":[0,0,0]}]}"#;
        // The outer map; a's, b's and its six; c's, then a map, a list and a list; and so on.
        for (most, wanted) in [
            (0, Some(".")),
            (1, Some("a")),
            (2, Some("a.b")),
            (3, Some("a.b")),
            (8, Some("a.b")),
            (9, Some("c")),
            (10, Some("c")),
            (11, Some("c[0].d")),
            (13, Some("c")),
            (15, Some("c[1].d")),
            (17, Some("c[1].d")),
            (18, None),
        ] {
            let field = match Budget::new(most).read(text, Level::Any) {
                Err(Fault::TooMany(path)) => Some(path.to_string()),
                Err(Fault::Json(error)) => panic!("{error}"),
                Ok(_) => None,
            };
            assert_eq!(field.as_deref(), wanted, "{most}");
        }
    }

    #[test]
    fn two_objects_share_a_budget() {
        let budget = Budget::new(5);
        let text = r#"{"a":[1]}"#;
        assert!(budget.object("o", text).is_ok());
        let refused = budget.object("old", text).unwrap_err();
        assert!(refused.starts_with("old.a: more than"), "{refused}");
        // Who wrote what takes no memory and counts for nothing.
        let managed = format!(r#"{{"metadata":{{"managedFields":[0{}]}}}}"#, ",0".repeat(100));
        assert!(Budget::new(2).object("o", &managed).is_ok());
    }

    /// Text that is JSON or nearly so: odd numbers, escapes that are none, surrogates alone, fields twice, deep nesting.
    fn nearly_json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            prop::sample::select(vec![
                "null",
                "true",
                "false",
                "nul",
                "0",
                "-0",
                "-1",
                "01",
                "1.",
                "1.50",
                "-0.0",
                "1e3",
                "1E-3",
                "1e999",
                "-1e-999",
                "18446744073709551615",
                "18446744073709551616",
                "9223372036854775808",
                "-9223372036854775809",
                "123456789012345678901234567890",
                "0.1234567890123456789012345678901234567890",
                "NaN",
                "+1",
                ".5",
                "",
                r#""\ud800""#,
                r#""\ud83d\ude00""#,
                r#""\udc00\ud800""#,
                r#""\u00e9""#,
                r#""\n\t\/\\\"""#,
                r#""\x""#,
                "\"\u{7f}\"",
                "\"\u{1}\"",
                "\"é\"",
                "\"",
                "[]",
                "{}",
                "[,]",
                "{,}",
            ])
            .prop_map(str::to_owned),
            any::<f64>().prop_map(|number| number.to_string()),
            any::<u64>().prop_map(|number| number.to_string()),
            ".{0,20}".prop_map(|text| Value::from(text).to_string()),
        ];
        let key = prop::sample::select(vec![
            r#""a""#,
            r#""b""#,
            r#""\u0061""#,
            r#""name""#,
            r#""nbme""#,
            r#""""#,
            "a",
        ]);
        leaf.prop_recursive(5, 48, 5, move |inner| {
            let list = prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(" ,")));
            let field = (key.clone(), inner.clone()).prop_map(|(key, value)| format!("{key}:\t{value}"));
            let map =
                prop::collection::vec(field, 0..5).prop_map(|fields| format!("{{ {} }}", fields.join(",")));
            let deep = (prop::sample::select(vec![1_usize, 124, 125, 126, 127]), inner)
                .prop_map(|(depth, inner)| format!("{}{inner}{}", "[".repeat(depth), "]".repeat(depth)));
            prop_oneof![4 => list, 6 => map, 1 => deep]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_text_is_read_as_serde_json_reads_it(text in nearly_json()) {
            let read = Budget::new(MAX_VALUES).value("v", &text).ok();
            prop_assert_eq!(read, serde_json::from_str::<Value>(&text).ok(), "{}", text);
        }
    }
}
