//! The rule `cel` against the conformance cases of CEL's specification, which are those that cel-go is held to. They are
//! read from the Go module that `tests/support/control_plane/go.mod` names, where Kubernetes' cel-go finds them too.
//!
//! A case becomes a policy whose expression compares what the case comes to with what it has to come to; where it has to
//! fail, either the policy is refused or the expression fails on the object.

mod textproto;

use crate::support;
use serde_json::json;
use std::collections::BTreeSet;
use textproto::{Field, Message};
use volgate::engine::Engine;
use volgate::lookup::MapLookup;
use volgate::policy::{PolicySet, load};
use volgate::rule::Review;

/// The files about what policies can use: operators, macros, conversions, texts, numbers, times and optionals. The others
/// are about messages of protocol buffers and about extensions that Kubernetes does not have.
const FILES: [&str; 17] = [
    "basic",
    "comparisons",
    "conversions",
    "encoders_ext",
    "fields",
    "fp_math",
    "integer_math",
    "lists",
    "logic",
    "macros",
    "macros2",
    "math_ext",
    "optionals",
    "parse",
    "string",
    "string_ext",
    "timestamps",
];

/// What a case has in it that is a message of protocol buffers, or a name within a package of them.
const MESSAGES: [&str; 16] = [
    "TestAllTypes",
    "NestedTestAllTypes",
    "GlobalEnum",
    "NullValue",
    "google.protobuf.Any",
    "google.protobuf.BoolValue",
    "google.protobuf.BytesValue",
    "google.protobuf.DoubleValue",
    "google.protobuf.FloatValue",
    "google.protobuf.Int",
    "google.protobuf.UInt",
    "google.protobuf.ListValue",
    "google.protobuf.StringValue",
    "google.protobuf.Struct",
    "google.protobuf.Value",
    "google.protobuf.Duration{",
];

/// The cases that come to something else here, and why that is meant.
const DIFFERENT: &[(&str, &str)] = &[
    ("fields/quoted_map_fields/field_access_dash", "Kubernetes has no names in backticks"),
    ("fields/quoted_map_fields/field_access_dot", "Kubernetes has no names in backticks"),
    ("fields/quoted_map_fields/field_access_slash", "Kubernetes has no names in backticks"),
    ("fields/quoted_map_fields/has_field_dash", "Kubernetes has no names in backticks"),
    ("fields/quoted_map_fields/has_field_dot", "Kubernetes has no names in backticks"),
    ("fields/quoted_map_fields/has_field_slash", "Kubernetes has no names in backticks"),
    ("parse/nest/parens", "it nests 32 levels deep, and 24 is the limit"),
    ("parse/repeat/conditional", "it nests 24 levels deep in what asks for it"),
    (
        "timestamps/timestamp_conversions/toString_timestamp_nanos",
        "times end a day before the year 9999 does",
    ),
    ("timestamps/timestamp_selectors_tz/getDate", "time zones have no names"),
    ("timestamps/timestamp_selectors_tz/getDayOfMonth_name_neg", "time zones have no names"),
    ("timestamps/timestamp_selectors_tz/getDayOfMonth_name_pos", "time zones have no names"),
    ("timestamps/timestamp_selectors_tz/getDayOfYear", "time zones have no names"),
    ("timestamps/timestamp_selectors_tz/getMinutes", "time zones have no names"),
];

struct Case {
    name: String,
    expression: String,
    bindings: Vec<(String, String)>,
    /// A literal of what it comes to; none where it fails.
    value: Option<String>,
    /// Whether it is about what is evaluated without being checked first, which Kubernetes never does.
    unchecked: bool,
}

#[test]
fn operators_macros_and_functions_are_those_of_the_specification() {
    if support::cluster_tests_skipped() {
        return;
    }
    let folder = support::assets::go_module("cel.dev/expr").unwrap_or_else(|why| panic!("{why}"));
    let folder = folder.join("tests/simple/testdata");
    let (mut held, mut passed_over) = (0, 0);
    let mut faults = Vec::new();
    let mut different: BTreeSet<&str> = DIFFERENT.iter().map(|(name, _)| *name).collect();
    for file in FILES {
        let path = folder.join(format!("{file}.textproto"));
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|e| panic!("failed to read {}: {e}", path.display()));
        for section in textproto::parse(&text).messages("section") {
            for test in section.messages("test") {
                let name = format!("{file}/{}/{}", section.text("name"), test.text("name"));
                let Some(case) = case(name, test) else {
                    passed_over += 1;
                    continue;
                };
                held += 1;
                let outcome = judge(&case);
                let meant = different.remove(case.name.as_str());
                match (outcome, meant) {
                    (Ok(()), false) | (Err(_), true) => {}
                    (Ok(()), true) => {
                        faults.push(format!("{} is the same by now: take it off DIFFERENT", case.name))
                    }
                    (Err(why), false) => faults.push(format!("{}: {:?}: {why}", case.name, case.expression)),
                }
            }
        }
    }
    faults.extend(different.iter().map(|name| format!("{name} of DIFFERENT is no case")));
    assert!(faults.is_empty(), "{} of {held} cases differ:\n{}", faults.len(), faults.join("\n"));
    assert!(held >= 900, "{held} cases were held, {passed_over} passed over");
}

/// The case, where it is about what policies can use.
fn case(name: String, test: &Message) -> Option<Case> {
    let expression = test.text("expr").to_owned();
    let shown = format!("{expression} {test:?}");
    // Types are known by inference alone, so that only what is evaluated can be held.
    let foreign = MESSAGES.iter().any(|message| shown.contains(message));
    if foreign
        || test.has("check_only")
        || test.has("container")
        || test.has("typed_result")
        || test.has("any_eval_errors")
    {
        return None;
    }
    let mut bindings = Vec::new();
    for binding in test.messages("bindings") {
        let value = binding.messages("value").next()?.messages("value").next()?;
        let name = binding.text("key");
        // A name that cannot be one is bound to show that it means nothing.
        if !["false", "null", "true"].contains(&name) {
            bindings.push((name.to_owned(), literal(value)?));
        }
    }
    // An expression whose names are in packages.
    if bindings.iter().any(|(name, _)| name.contains('.')) {
        return None;
    }
    let value = match test.messages("value").next() {
        Some(value) => Some(literal(value)?),
        None if test.has("eval_error") => None,
        None => Some("true".to_owned()),
    };
    Some(Case { name, expression, bindings, value, unchecked: test.has("disable_check") })
}

/// A value as an expression that comes to it.
fn literal(value: &Message) -> Option<String> {
    let (kind, field) = value.fields.first()?;
    Some(match (kind.as_str(), field) {
        ("null_value", _) => "null".to_owned(),
        ("bool_value", Field::Word(truth)) => truth.clone(),
        ("int64_value", Field::Word(number)) => number.clone(),
        ("uint64_value", Field::Word(number)) => format!("{number}u"),
        ("double_value", Field::Word(number)) => match number.to_lowercase().as_str() {
            "inf" | "infinity" => "double('Infinity')".to_owned(),
            "-inf" | "-infinity" => "double('-Infinity')".to_owned(),
            "nan" => "double('NaN')".to_owned(),
            _ => format!("double('{number}')"),
        },
        ("string_value", Field::Text(text)) => quoted(std::str::from_utf8(text).ok()?),
        ("bytes_value", Field::Text(bytes)) => {
            format!("b'{}'", bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>())
        }
        ("type_value", Field::Text(name)) => match std::str::from_utf8(name).ok()? {
            "optional_type" => "type(optional.none())".to_owned(),
            name => name.to_owned(),
        },
        ("list_value", Field::Message(list)) => {
            let items = list.messages("values").map(literal).collect::<Option<Vec<_>>>()?;
            format!("[{}]", items.join(", "))
        }
        ("map_value", Field::Message(map)) => {
            let entry = |entry: &Message| {
                let part = |name| entry.messages(name).next().and_then(literal);
                Some(format!("{}: {}", part("key")?, part("value")?))
            };
            let entries = map.messages("entries").map(entry).collect::<Option<Vec<_>>>()?;
            format!("{{{}}}", entries.join(", "))
        }
        ("object_value", Field::Message(any)) => {
            let (name, Field::Message(message)) = any.fields.first()? else { return None };
            let number = |name| message.fields.iter().find(|(field, _)| field == name);
            let number = |name| match number(name) {
                Some((_, Field::Word(number))) => number.clone(),
                _ => "0".to_owned(),
            };
            let (seconds, nanos) = (number("seconds"), number("nanos"));
            match name.strip_prefix("type.googleapis.com/google.protobuf.")? {
                "Duration" => format!("duration('{seconds}s') + duration('{nanos}ns')"),
                "Timestamp" => format!("timestamp({seconds}) + duration('{nanos}ns')"),
                _ => return None,
            }
        }
        _ => return None,
    })
}

fn quoted(text: &str) -> String {
    let letters = text.chars().map(|c| match c {
        ' '..='~' if !matches!(c, '\\' | '\'') => c.to_string(),
        c => format!("\\U{:08x}", u32::from(c)),
    });
    format!("'{}'", letters.collect::<String>())
}

/// # Errors
/// How the case came out otherwise.
fn judge(case: &Case) -> Result<(), String> {
    // A comment in the expression must not hide what stands behind it.
    let expression = format!("({}\n)", case.expression);
    let mut asked = match &case.value {
        Some(value) if value == "double('NaN')" => {
            format!("optional.of({expression}).optMap(zz, zz != zz).value()")
        }
        Some(value) => {
            format!(
                "optional.of({expression}).optMap(zz, zz == {value} && type(zz) == type({value})).value()"
            )
        }
        None => format!("optional.of({expression}).optMap(zz, true).value()"),
    };
    for (name, value) in &case.bindings {
        asked = format!("optional.of(dyn({value})).optMap({name}, {asked}).value()");
    }
    let policy = json!({
        "apiVersion": "volgate.dev/v1alpha1", "kind": "StoragePolicy", "metadata": {"name": "p"},
        "spec": {"rules": [{"cel": {"name": "n", "expression": asked}}]}
    });
    let policy = match load(&policy) {
        Ok(policy) => policy,
        Err(_) if case.value.is_none() => return Ok(()),
        // Names and types are checked here always.
        Err(faults)
            if case.unchecked && !faults.iter().any(|fault| fault.message.contains("failed to parse")) =>
        {
            return Ok(());
        }
        Err(faults) => return Err(format!("refused: {faults:?}")),
    };
    let policies = PolicySet::build(vec![policy]).unwrap();
    let lookup = MapLookup::default();
    let engine = Engine { policies: &policies, lookup: &lookup, today: jiff::civil::date(2026, 11, 23) };
    let object =
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"}, "spec": {}});
    let found = engine.check(&Review::create(&object)).unwrap().findings;
    let message = found.first().map(|finding| finding.message.clone());
    match (&case.value, message) {
        (Some(_), None) => Ok(()),
        (None, Some(message)) if message.contains("failed on this") => Ok(()),
        (Some(value), Some(message)) => Err(format!("wanted {value}, but {message}")),
        (None, _) => Err("wanted a failure, and there is none".to_owned()),
    }
}
