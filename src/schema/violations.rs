//! Where a value breaks a JSON Schema: the keywords that volgate's own schemas use, and no others. A test holds the schemas to
//! them, and what is found to a library that knows all of JSON Schema.

use crate::model::FieldPath;
use regex::Regex;
use serde_json::{Map, Number, Value};
use std::cmp::Ordering;
use std::collections::HashMap;

/// A value that breaks its schema.
#[derive(Debug)]
pub(crate) struct Violation<'v> {
    /// Where the value stands.
    pub path: FieldPath,
    /// The value.
    pub found: &'v Value,
    /// The schema of the value.
    pub schema: &'v Value,
    /// What is wrong with it.
    pub problem: Problem<'v>,
}

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Problem<'v> {
    /// It is of none of these types.
    Type(Vec<&'v str>),
    /// It is a map with these fields, which the schema does not have.
    Unknown(Vec<&'v str>),
    /// It is a map without this field.
    Missing(&'v str),
    /// It is none of these.
    NoneOf(&'v [Value]),
    /// It is a text that this regular expression does not match.
    Pattern(&'v str),
    /// It is a list with fewer items.
    FewItems(u64),
    /// It is a list with more items.
    ManyItems(u64),
    /// It is a text with fewer characters.
    Short(u64),
    /// It is a text with more characters.
    Long(u64),
    /// It is a smaller number.
    Low(&'v Number),
    /// It is a larger number.
    High(&'v Number),
}

/// Every place where a value breaks a schema. It takes time with the size of the value and of the schema.
pub(crate) fn violations<'v>(value: &'v Value, schema: &'v Value) -> Vec<Violation<'v>> {
    let mut search = Search { found: Vec::new(), patterns: HashMap::new() };
    search.value(value, schema, &FieldPath::root());
    search.found
}

struct Search<'v> {
    found: Vec<Violation<'v>>,
    /// The regular expressions so far; none where one cannot be read, which a test rules out.
    patterns: HashMap<&'v str, Option<Regex>>,
}

impl<'v> Search<'v> {
    fn value(&mut self, value: &'v Value, schema: &'v Value, path: &FieldPath) {
        let Some(keywords) = schema.as_object() else { return };
        let mut problems = Vec::new();
        let types = types(keywords);
        if !types.is_empty() && !types.iter().any(|kind| is_of(value, kind)) {
            problems.push(Problem::Type(types));
        }
        if let Some(options) = keywords.get("enum").and_then(Value::as_array)
            && !options.contains(value)
        {
            problems.push(Problem::NoneOf(options));
        }
        match value {
            Value::String(text) => self.text(text, keywords, &mut problems),
            Value::Number(number) => numbers(number, keywords, &mut problems),
            Value::Array(items) => sizes(items, keywords, &mut problems),
            Value::Object(fields) => names(fields, keywords, &mut problems),
            Value::Null | Value::Bool(_) => {}
        }
        let violation = |problem| Violation { path: path.clone(), found: value, schema, problem };
        self.found.extend(problems.into_iter().map(violation));
        match value {
            Value::Array(items) => {
                if let Some(of_items) = keywords.get("items") {
                    let items = items.iter().enumerate();
                    items.for_each(|(index, item)| self.value(item, of_items, &path.index(index)));
                }
            }
            Value::Object(fields) => {
                for (name, field) in fields {
                    if let Some(schema) = property(keywords, name) {
                        self.value(field, schema, &path.key(name.clone()));
                    }
                }
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &str, keywords: &'v Map<String, Value>, problems: &mut Vec<Problem<'v>>) {
        let length = text.chars().count();
        if let Some(least) = bound(keywords, "minLength").filter(|least| is_below(length, *least)) {
            problems.push(Problem::Short(least));
        }
        if let Some(most) = bound(keywords, "maxLength").filter(|most| is_above(length, *most)) {
            problems.push(Problem::Long(most));
        }
        if let Some(pattern) = keywords.get("pattern").and_then(Value::as_str) {
            let regex = self.patterns.entry(pattern).or_insert_with(|| Regex::new(pattern).ok());
            if regex.as_ref().is_some_and(|regex| !regex.is_match(text)) {
                problems.push(Problem::Pattern(pattern));
            }
        }
    }
}

fn numbers<'v>(number: &Number, keywords: &'v Map<String, Value>, problems: &mut Vec<Problem<'v>>) {
    let limit = |keyword: &str| keywords.get(keyword).and_then(Value::as_number);
    if let Some(least) = limit("minimum").filter(|least| compare(number, least) == Some(Ordering::Less)) {
        problems.push(Problem::Low(least));
    }
    if let Some(most) = limit("maximum").filter(|most| compare(number, most) == Some(Ordering::Greater)) {
        problems.push(Problem::High(most));
    }
}

fn sizes<'v>(items: &[Value], keywords: &'v Map<String, Value>, problems: &mut Vec<Problem<'v>>) {
    if let Some(least) = bound(keywords, "minItems").filter(|least| is_below(items.len(), *least)) {
        problems.push(Problem::FewItems(least));
    }
    if let Some(most) = bound(keywords, "maxItems").filter(|most| is_above(items.len(), *most)) {
        problems.push(Problem::ManyItems(most));
    }
}

fn names<'v>(
    fields: &'v Map<String, Value>,
    keywords: &'v Map<String, Value>,
    problems: &mut Vec<Problem<'v>>,
) {
    if keywords.get("additionalProperties") == Some(&Value::Bool(false)) {
        let unknown: Vec<&str> =
            fields.keys().map(String::as_str).filter(|name| property(keywords, name).is_none()).collect();
        if !unknown.is_empty() {
            problems.push(Problem::Unknown(unknown));
        }
    }
    let required = keywords.get("required").and_then(Value::as_array).into_iter().flatten();
    let missing = required.filter_map(Value::as_str).filter(|name| !fields.contains_key(*name));
    problems.extend(missing.map(Problem::Missing));
}

/// The schema of a field; none where nothing is said of it, or it must not be there.
fn property<'v>(keywords: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    let known = keywords.get("properties").and_then(|properties| properties.get(name));
    known.or_else(|| keywords.get("additionalProperties").filter(|schema| schema.is_object()))
}

fn types(keywords: &Map<String, Value>) -> Vec<&str> {
    match keywords.get("type") {
        Some(Value::String(only)) => vec![only],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is_of(value: &Value, kind: &str) -> bool {
    match value {
        Value::Null => kind == "null",
        Value::Bool(_) => kind == "boolean",
        Value::String(_) => kind == "string",
        Value::Array(_) => kind == "array",
        Value::Object(_) => kind == "object",
        Value::Number(number) => kind == "number" || kind == "integer" && is_whole(number),
    }
}

/// Whether it has no fraction: 2.0 is an integer.
fn is_whole(number: &Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|float| float.fract() == 0.0)
}

fn compare(one: &Number, other: &Number) -> Option<Ordering> {
    match (one.as_i64(), other.as_i64()) {
        (Some(one), Some(other)) => Some(one.cmp(&other)),
        _ => one.as_f64()?.partial_cmp(&other.as_f64()?),
    }
}

fn bound(keywords: &Map<String, Value>, keyword: &str) -> Option<u64> {
    keywords.get(keyword).and_then(Value::as_u64)
}

fn is_below(length: usize, least: u64) -> bool {
    u64::try_from(length).is_ok_and(|length| length < least)
}

fn is_above(length: usize, most: u64) -> bool {
    u64::try_from(length).map_or(true, |length| length > most)
}

/// The keywords of a schema that nothing here reads, though they may say what is valid.
#[cfg(test)]
pub(crate) fn unread_keywords(schema: &Value) -> Vec<String> {
    const READ: [&str; 13] = [
        "additionalProperties",
        "enum",
        "items",
        "maxItems",
        "maxLength",
        "maximum",
        "minItems",
        "minLength",
        "minimum",
        "pattern",
        "properties",
        "required",
        "type",
    ];
    /// For people and editors.
    const NOTES: [&str; 5] = ["$schema", "default", "description", "format", "title"];
    let Some(keywords) = schema.as_object() else { return Vec::new() };
    let unread =
        keywords.keys().filter(|name| !READ.contains(&name.as_str()) && !NOTES.contains(&name.as_str()));
    let mut unread: Vec<String> = unread.cloned().collect();
    let fields = keywords.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::values);
    let below = fields.chain(keywords.get("items")).chain(keywords.get("additionalProperties"));
    unread.extend(below.flat_map(unread_keywords));
    unread
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_keyword_has_its_words_for_what_breaks_it() {
        let schema = json!({"type": "object", "required": ["name", "kind"], "additionalProperties": false, "properties": {
            "name": {"type": "string", "minLength": 2, "maxLength": 3, "pattern": "^[a-z]*$"},
            "kind": {"type": "string", "enum": ["a", "b"]},
            "count": {"type": "integer", "minimum": 1, "maximum": 3},
            "share": {"type": ["number", "string"]},
            "list": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "boolean"}},
            "map": {"type": "object", "additionalProperties": {"type": "string"}}}});
        let options = [json!("a"), json!("b")];
        let (one, three) = (Number::from(1), Number::from(3));
        for (value, expected) in [
            (
                json!({"name": "ab", "kind": "a", "count": 2.0, "share": 0.5, "list": [true], "map": {"x": "y"}}),
                vec![],
            ),
            (json!([]), vec![("", Problem::Type(vec!["object"]))]),
            (json!({"kind": "a"}), vec![("", Problem::Missing("name"))]),
            (json!({"name": "ab", "kind": "a", "more": 1}), vec![("", Problem::Unknown(vec!["more"]))]),
            (
                json!({"name": "ä", "kind": "c"}),
                vec![
                    ("/kind", Problem::NoneOf(&options)),
                    ("/name", Problem::Short(2)),
                    ("/name", Problem::Pattern("^[a-z]*$")),
                ],
            ),
            (
                json!({"name": "äöüß", "kind": "a"}),
                vec![("/name", Problem::Long(3)), ("/name", Problem::Pattern("^[a-z]*$"))],
            ),
            (json!({"name": "ab", "kind": "a", "count": 0}), vec![("/count", Problem::Low(&one))]),
            (
                json!({"name": "ab", "kind": "a", "count": 3.5}),
                vec![("/count", Problem::Type(vec!["integer"])), ("/count", Problem::High(&three))],
            ),
            (
                json!({"name": "ab", "kind": "a", "share": null}),
                vec![("/share", Problem::Type(vec!["number", "string"]))],
            ),
            (json!({"name": "ab", "kind": "a", "list": []}), vec![("/list", Problem::FewItems(1))]),
            (
                json!({"name": "ab", "kind": "a", "list": [true, 1, false]}),
                vec![("/list", Problem::ManyItems(2)), ("/list/1", Problem::Type(vec!["boolean"]))],
            ),
            (
                json!({"name": "ab", "kind": "a", "map": {"x": 1}}),
                vec![("/map/x", Problem::Type(vec!["string"]))],
            ),
        ] {
            let found = violations(&value, &schema);
            let found: Vec<(String, &Problem<'_>)> = found
                .iter()
                .map(|violation| (violation.path.to_json_pointer(), &violation.problem))
                .collect();
            let expected: Vec<(String, &Problem<'_>)> =
                expected.iter().map(|(path, problem)| ((*path).to_owned(), problem)).collect();
            assert_eq!(found, expected, "{value}");
        }
    }

    #[test]
    fn a_keyword_that_nothing_reads_is_named() {
        let schema =
            json!({"type": "array", "items": {"properties": {"x": {"oneOf": []}}}, "uniqueItems": true});
        assert_eq!(unread_keywords(&schema), ["uniqueItems", "oneOf"]);
    }
}
