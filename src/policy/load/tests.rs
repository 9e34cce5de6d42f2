//! What volgate says of a policy that breaks the schema, beside a library that knows all of JSON Schema.

use super::*;
use crate::schema::unread_keywords;
use crate::source::parse;
use proptest::prelude::*;
use serde_json::json;
use std::path::Path;

/// The formats of numbers and texts only say what a type is in Rust.
static LIBRARY: LazyLock<jsonschema::Validator> =
    LazyLock::new(|| jsonschema::options().should_validate_formats(false).build(&SCHEMA).unwrap());

/// The policies that are shipped.
static SHIPPED: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let files = [root.clone(), root.join("examples")]
        .into_iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let files = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"));
    let documents = files.flat_map(|path| parse(&std::fs::read_to_string(path).unwrap()));
    documents.map(|document| document.unwrap().value.clone()).collect()
});

#[test]
fn the_schema_of_policies_has_no_keyword_that_is_not_read() {
    assert_eq!(unread_keywords(&SCHEMA), Vec::<String>::new());
}

/// The place and the keyword of each fault.
fn own(value: &Value) -> Vec<(String, &'static str)> {
    let keyword = |problem: &Problem<'_>| match problem {
        Problem::Type(_) => "type",
        Problem::Unknown(_) => "additionalProperties",
        Problem::Missing(_) => "required",
        Problem::NoneOf(_) => "enum",
        Problem::Pattern(_) => "pattern",
        Problem::FewItems(_) => "minItems",
        Problem::ManyItems(_) => "maxItems",
        Problem::Short(_) => "minLength",
        Problem::Long(_) => "maxLength",
        Problem::Low(_) => "minimum",
        Problem::High(_) => "maximum",
    };
    let found = violations(value, &SCHEMA);
    let mut found: Vec<_> =
        found.iter().map(|one| (one.path.to_json_pointer(), keyword(&one.problem))).collect();
    found.sort();
    found
}

fn the_librarys(value: &Value) -> Vec<(String, String)> {
    let found = LIBRARY.iter_errors(value).map(|error| {
        let keyword = error.schema_path().to_string();
        (error.instance_path().to_string(), keyword.rsplit('/').next().unwrap_or_default().to_owned())
    });
    let mut found: Vec<_> = found.collect();
    found.sort();
    found
}

/// Changes the value at the nth place: another value, a field more, or one less.
fn change(value: &mut Value, nth: &mut usize, with: &Value, how: u8) -> bool {
    if *nth == 0 {
        match (how, &mut *value) {
            (0, Value::Object(fields)) => drop(fields.insert("more".to_owned(), with.clone())),
            (1, Value::Object(fields)) if !fields.is_empty() => {
                let first = fields.keys().next().cloned().unwrap_or_default();
                fields.remove(&first);
            }
            (0, Value::Array(items)) => items.push(with.clone()),
            (1, Value::Array(items)) => items.clear(),
            _ => *value = with.clone(),
        }
        return true;
    }
    *nth -= 1;
    match value {
        Value::Object(fields) => fields.values_mut().any(|field| change(field, nth, with, how)),
        Value::Array(items) => items.iter_mut().any(|item| change(item, nth, with, how)),
        _ => false,
    }
}

proptest! {
    #[test]
    fn a_library_finds_the_same_in_the_same_places(
        policy in 0..1_000usize,
        changes in proptest::collection::vec((0..400usize, 0..3u8, 0..11usize), 0..5),
    ) {
        let with = [
            json!(null), json!(true), json!(0), json!(-7), json!(2.0), json!(2.5), json!(""), json!("x".repeat(3_000)),
            json!("/a"), json!([]), json!({"name": "-x"}),
        ];
        let mut value = SHIPPED[policy % SHIPPED.len()].clone();
        for (mut nth, how, what) in changes {
            change(&mut value, &mut nth, &with[what], how);
        }
        let own: Vec<(String, String)> = own(&value).into_iter().map(|(path, keyword)| (path, keyword.to_owned())).collect();
        prop_assert_eq!(own, the_librarys(&value), "{}", value);
    }
}
