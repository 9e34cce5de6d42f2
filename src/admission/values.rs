//! How many values a review holds. What rules read of an object takes memory by its values rather than by its bytes, and
//! the smallest takes two bytes: a review of 7 MiB could hold millions, which no cluster has ever stored.

use crate::model::{FieldPath, Segment};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::cell::{Cell, RefCell};
use std::fmt;

/// How many values a review may hold, those in maps and lists counted one by one. Two objects of 1.5 MiB each, which is what
/// etcd stores of one, have some 150,000 where half of them is `managedFields`.
pub const MAX_VALUES: usize = 250_000;
/// A text of fewer bytes cannot hold more: each value has a byte, and a comma or a bracket before it.
const CAN_EXCEED: usize = 2 * MAX_VALUES;

/// The field in which the values become too many, where they do; of what is no JSON as far as it is read.
pub(super) fn too_many(text: &[u8]) -> Option<FieldPath> {
    (text.len() > CAN_EXCEED).then(|| exceeds(text, MAX_VALUES)).flatten()
}

fn exceeds(text: &[u8], most: usize) -> Option<FieldPath> {
    let count = Count { left: Cell::new(most), path: RefCell::default() };
    let result = Value(&count).deserialize(&mut serde_json::Deserializer::from_slice(text));
    // Where it is no JSON, those who read it say so.
    if result.is_ok() || count.left.get() > 0 {
        return None;
    }
    let mut segments = count.path.into_inner();
    segments.reverse();
    // The list itself, and not the item that was one too many.
    if matches!(segments.last(), Some(Segment::Index(_))) {
        segments.pop();
    }
    Some(segments.into())
}

struct Count {
    left: Cell<usize>,
    /// On the way out from where they became too many: the steps, the last first.
    path: RefCell<Vec<Segment>>,
}

impl Count {
    fn one<E: Error>(&self) -> Result<(), E> {
        match self.left.get().checked_sub(1) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => Err(E::custom("too many values")),
        }
    }

    fn within<E>(&self, step: impl FnOnce() -> Segment) -> impl FnOnce(E) -> E {
        move |error| {
            if self.left.get() == 0 {
                self.path.borrow_mut().push(step());
            }
            error
        }
    }
}

/// One value, of which nothing is kept.
#[derive(Clone, Copy)]
struct Value<'c>(&'c Count);

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.0.one()
    }
    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.0.one()
    }
    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.0.one()
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.0.one()
    }
    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.0.one()
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.0.one()
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.0.one()?;
        let mut index = 0;
        while items.next_element_seed(self).map_err(self.0.within(|| Segment::Index(index)))?.is_some() {
            index += 1;
        }
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        self.0.one()?;
        while let Some(key) = fields.next_key::<String>()? {
            fields.next_value_seed(self).map_err(self.0.within(|| Segment::Key(key.into())))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(text: &str, most: usize) -> Option<String> {
        exceeds(text.as_bytes(), most).map(|path| path.to_string())
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
            assert_eq!(field(text, most).as_deref(), wanted, "{most}");
        }
    }

    #[test]
    fn what_is_no_json_is_counted_as_far_as_it_is_read() {
        assert_eq!(field("[0,0,0", 2), Some(".".to_owned()));
        assert_eq!(field("[0,0,0", 9), None);
        assert_eq!(field("[0,x,0,0,0]", 3), None);
        assert_eq!(field(&"[".repeat(100_000), 1_000), None, "too deep is for others to say");
    }

    #[test]
    fn what_is_too_short_is_not_even_counted() {
        let list = |count: usize| format!("[0{}]", ",0".repeat(count - 1));
        assert_eq!(list(MAX_VALUES).len(), CAN_EXCEED + 1);
        assert_eq!(too_many(list(MAX_VALUES - 1).as_bytes()), None, "with the list itself just as many");
        assert_eq!(too_many(list(MAX_VALUES).as_bytes()), Some(FieldPath::root()));
    }
}
