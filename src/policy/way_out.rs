//! What a message about a field of a wrong type, or in a wrong place, says to help. It is read off the schema, which has every
//! type where it is used.

use crate::model::{FieldPath, Segment};
use serde_json::Value;

/// How many fields and places a message names.
const MOST_FIELDS: usize = 24;
const MOST_PLACES: usize = 3;

/// What to write where a value has another type than the schema has there; empty where there is nothing to say.
pub(super) fn of_type(found: &Value, schema: &Value) -> String {
    let is = |kind: &str| match schema.get("type") {
        Some(Value::String(only)) => only == kind,
        Some(Value::Array(kinds)) => kinds.iter().any(|known| known == kind),
        _ => false,
    };
    if is("object") {
        return of_object(found, schema);
    }
    if is("array") {
        return match found {
            Value::Object(_) => ": put a `-` before each of its entries".to_owned(),
            Value::Null => ": write a list, or take the field out".to_owned(),
            _ => format!(": write a list, `[{}]`", short(found)),
        };
    }
    let text = match found {
        Value::Number(_) | Value::Bool(_) if is("string") => ": put it in quotes",
        Value::Array(items) if is("string") && items.len() == 1 => ": write its one item without a list",
        Value::String(_) if is("integer") || is("number") => ": write a number, without quotes",
        Value::String(_) | Value::Number(_) if is("boolean") => ": write true or false, without quotes",
        Value::Null => ": write a value, or take the field out",
        _ => "",
    };
    text.to_owned()
}

fn of_object(found: &Value, schema: &Value) -> String {
    let fields = fields(schema);
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    if fields.is_empty() {
        let is_map = schema.get("additionalProperties").is_some_and(Value::is_object);
        return if is_map { ": write lines of `name: value` below it" } else { ": write `{}`" }.to_owned();
    }
    if let Some(name) = found.as_str().filter(|name| fields.contains(name)) {
        return format!(": write `{name}: …`");
    }
    // `- /var/log` in the place of `- path: /var/log`.
    if let [only] = required[..]
        && !found.is_null()
        && of_property(schema, only).is_some_and(|property| is_of(found, property))
    {
        return format!(": write `{only}: {}`", short(found));
    }
    let or_nothing = if required.is_empty() { "write `{}`, or some of its fields" } else { "its fields are" };
    format!(": {or_nothing} {}", listed(&fields))
}

/// The names of the fields of a part of the schema, in their order.
pub(super) fn fields(schema: &Value) -> Vec<&str> {
    let fields = schema.get("properties").and_then(Value::as_object);
    fields.map(|fields| fields.keys().map(String::as_str).collect()).unwrap_or_default()
}

fn listed(fields: &[&str]) -> String {
    let mut text = fields.iter().take(MOST_FIELDS).copied().collect::<Vec<_>>().join(", ");
    if let Some(more) = fields.len().checked_sub(MOST_FIELDS).filter(|more| *more > 0) {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

fn of_property<'s>(schema: &'s Value, name: &str) -> Option<&'s Value> {
    schema.get("properties")?.get(name)
}

fn is_of(found: &Value, schema: &Value) -> bool {
    let kind = match found {
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Number(_) => "integer",
        Value::Bool(_) => "boolean",
        _ => return false,
    };
    schema.get("type").and_then(Value::as_str) == Some(kind)
}

/// The places in which a field of that name belongs, those nearest to where it stands: `spec.rules[]` of `durableData`, with
/// `spec`. None where there is no such field, or are too many.
pub(super) fn elsewhere(schema: &Value, field: &str, at: &FieldPath) -> Option<String> {
    let mut found = Vec::new();
    look(schema, field, &mut Vec::new(), &mut found);
    let here: Vec<String> = at.segments().iter().map(step).collect();
    let shared = |place: &[String]| place.iter().zip(&here).take_while(|(a, b)| a == b).count();
    let most = found.iter().map(|place| shared(place)).max()?;
    found.retain(|place| shared(place) == most);
    let least = found.iter().map(Vec::len).min()?;
    found.retain(|place| place.len() <= least + 1);
    if found.len() > MOST_PLACES {
        return None;
    }
    let mut places: Vec<String> =
        found.iter().map(|place| format!("`{}`", place.join(".").replace(".[]", "[]"))).collect();
    places.sort();
    Some(places.join(" or "))
}

/// Adds the places of the fields of that name. It goes as deep as the schema, which has an end.
fn look(schema: &Value, field: &str, place: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    for (name, part) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        if name == field {
            found.push(place.clone());
        }
        place.push(name.clone());
        look(part, field, place, found);
        place.pop();
    }
    for (part, step) in [("items", "[]"), ("additionalProperties", "*")] {
        if let Some(part) = schema.get(part).filter(|part| part.is_object()) {
            place.push(step.to_owned());
            look(part, field, place, found);
            place.pop();
        }
    }
    for part in schema.get("anyOf").and_then(Value::as_array).into_iter().flatten() {
        look(part, field, place, found);
    }
}

fn step(segment: &Segment) -> String {
    match segment {
        Segment::Key(key) => key.to_string(),
        Segment::Index(_) => "[]".to_owned(),
    }
}

/// A value in a message: as JSON, cut where it gets long.
pub(super) fn short(value: &Value) -> String {
    let mut text = value.to_string();
    if let Some((cut, _)) = text.char_indices().nth(60) {
        text.truncate(cut);
        text.push('…');
    }
    text
}
