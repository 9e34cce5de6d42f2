//! Patches on texts, by table.

use serde_json::{Value, json};

use super::*;

fn edited(text: &str, patch: Value) -> Result<String, EditError> {
    let documents = parse(text);
    let doc = documents.into_iter().next().unwrap().unwrap();
    edit(text, &doc, &serde_json::from_value(patch).unwrap())
}

#[track_caller]
fn check(text: &str, patch: Value, expected: &str) {
    match edited(text, patch) {
        Ok(found) => assert_eq!(found, expected, "\n--- found\n{found}\n--- expected\n{expected}"),
        Err(error) => panic!("{error}"),
    }
}

fn add(path: &str, value: Value) -> Value {
    json!([{"op": "add", "path": path, "value": value}])
}

fn remove(path: &str) -> Value {
    json!([{"op": "remove", "path": path}])
}

const CLAIM: &str = "\
# A claim.
kind: PersistentVolumeClaim
metadata:
  name: data # its name
  # labels to come
spec:
  # how
  accessModes:
  - ReadWriteOnce # one
  resources:
    requests:
      storage: 1Gi

# the end
";

#[test]
fn adds_a_field_after_the_last_of_its_object() {
    check(
        CLAIM,
        add("/spec/storageClassName", json!("local-path")),
        &CLAIM.replace("storage: 1Gi\n", "storage: 1Gi\n  storageClassName: local-path\n"),
    );
    check(
        CLAIM,
        add("/metadata/labels", json!({"a/b": "true", "c": "x"})),
        &CLAIM.replace("# its name\n", "# its name\n  labels:\n    a/b: \"true\"\n    c: x\n"),
    );
    check(
        CLAIM,
        add("/status", json!({"list": [{"a": 1, "b": [2]}, "x"], "none": [], "empty": {}})),
        &CLAIM.replace(
            "1Gi\n",
            "1Gi\nstatus:\n  empty: {}\n  list:\n  - a: 1\n    b:\n    - 2\n  - x\n  none: []\n",
        ),
    );
}

#[test]
fn arrays_are_indented_as_in_the_rest_of_the_document() {
    check("a:\n    - 1\n", add("/b", json!([1])), "a:\n    - 1\nb:\n    - 1\n");
    check("a: 1\n", add("/b", json!([1])), "a: 1\nb:\n  - 1\n");
}

#[test]
fn adds_to_the_end_and_the_middle_of_an_array() {
    check(
        CLAIM,
        add("/spec/accessModes/-", json!("ReadOnlyMany")),
        &CLAIM.replace("# one\n", "# one\n  - ReadOnlyMany\n"),
    );
    check(
        CLAIM,
        add("/spec/accessModes/0", json!({"a": 1, "b": 2})),
        &CLAIM.replace("  - Read", "  - a: 1\n    b: 2\n  - Read"),
    );
    check("- - a\n  - b\n- c", add("/0/-", json!("x")), "- - a\n  - b\n  - x\n- c");
    check("- - a\n  - b\n", add("/0/0", json!("x")), "- - x\n  - a\n  - b\n");
    check("-\n  a: 1\n-\n", add("/-", json!(1)), "-\n  a: 1\n-\n- 1\n");
}

#[test]
fn adds_to_an_item_of_an_array() {
    let pod = "spec:\n  volumes:\n  - name: a # first\n    emptyDir: {} # gone\n\n  - name: b\n";
    check(
        pod,
        add("/spec/volumes/0/emptyDir/sizeLimit", json!("1Gi")),
        &pod.replace("emptyDir: {} # gone", "emptyDir: # gone\n      sizeLimit: 1Gi"),
    );
    check(pod, add("/spec/volumes/1/emptyDir", json!({})), &format!("{pod}    emptyDir: {{}}\n"));
    check(
        pod,
        add("/spec/volumes/1", json!({"name": "c"})),
        &pod.replace("  - name: b", "  - name: c\n  - name: b"),
    );
}

#[test]
fn fills_empty_values() {
    check("spec:\n", add("/spec", json!({"a": 1})), "spec:\n  a: 1\n");
    check("spec: # c\nb: 1", add("/spec", json!({"a": 1})), "spec: # c\n  a: 1\nb: 1");
    check("spec:", add("/spec", json!("x")), "spec: x");
    check("spec: # c\n", add("/spec", json!("x")), "spec: x # c\n");
    check("spec: ~\n", add("/spec", json!("x")), "spec: x\n");
    check("spec: {}\n", add("/spec/a", json!([])), "spec:\n  a: []\n");
    check("spec: []\n", add("/spec/-", json!("a")), "spec:\n  - a\n");
    check("{}\n", add("/a", json!({"b": 1})), "{\"a\":{\"b\":1}}\n");
    check("---\n# c\n{}\n", add("/a", json!({"b": 1})), "---\n# c\na:\n  b: 1\n");
    check(
        "- a\n-\n",
        json!([{"op": "replace", "path": "/1", "value": {"x": 1, "z": 2}}]),
        "- a\n- x: 1\n  z: 2\n",
    );
}

#[test]
fn replaces_values() {
    let replace = |path: &str, value: Value| json!([{"op": "replace", "path": path, "value": value}]);
    let storage = "/spec/resources/requests/storage";
    check(CLAIM, replace(storage, json!("2Gi")), &CLAIM.replace("1Gi", "2Gi"));
    check(CLAIM, replace("/metadata/name", json!("1")), &CLAIM.replace("data #", "\"1\" #"));
    check(
        CLAIM,
        replace("/metadata/name", json!({"a": 1})),
        &CLAIM.replace("data # its name", "# its name\n    a: 1"),
    );
    check(CLAIM, replace("/spec/accessModes", json!(null)), &CLAIM.replace(":\n  - ReadWriteOnce", ": null"));
    check(
        CLAIM,
        replace("/spec/accessModes", json!(["a", "b"])),
        &CLAIM.replace("ReadWriteOnce", "a\n  - b"),
    );
    check(CLAIM, replace("/spec/accessModes/0", json!("a")), &CLAIM.replace("ReadWriteOnce", "a"));
    check(
        CLAIM,
        replace("/spec/resources", json!({"x": {"z": true}})),
        &CLAIM.replace("requests:\n      storage: 1Gi", "x:\n      z: true"),
    );
    check("a: |\n  x\n  y\n\nb: 1\n", replace("/a", json!("z")), "a: z\n\nb: 1\n");
    check("a: >-\n  x\nb: 1\n", replace("/a", json!({"c": 1})), "a:\n  c: 1\nb: 1\n");
    check("a:\n  b\n", replace("/a", json!("c")), "a:\n  c\n");
    check("- a: 1\n  b: 2\n- c\n", replace("/0", json!("x")), "- x\n- c\n");
    check("- a # c\n", replace("/0", json!({"x": 1, "z": 2})), "- x: 1\n  z: 2 # c\n");
    check("a: 1\n", replace("", json!({"b": [1]})), "b:\n  - 1\n");
}

#[test]
fn removes_fields_and_items() {
    check(CLAIM, remove("/metadata"), &CLAIM.replace("metadata:\n  name: data # its name\n", ""));
    check(CLAIM, remove("/metadata/name"), &CLAIM.replace("\n  name: data #", " {} #"));
    check(
        CLAIM,
        remove("/spec/accessModes/0"),
        &CLAIM.replace("accessModes:\n  - ReadWriteOnce", "accessModes: []"),
    );
    check("- a: 1\n  b: 2\n", remove("/0/a"), "- b: 2\n");
    check("- a: 1\n  b: 2\n", remove("/0/b"), "- a: 1\n");
    check("- a\n- b # b\n- c", remove("/1"), "- a\n- c");
    check("- a\n- b", remove("/1"), "- a\n");
    check("- - a\n  - b\n", remove("/0/0"), "- - b\n");
    check("a: {b: 1, c: 2, d: 3}\n", remove("/a/b"), "a: {c: 2, d: 3}\n");
    check("a: {b: 1, c: 2, d: 3}\n", remove("/a/d"), "a: {b: 1, c: 2}\n");
    check("a: [1, 2]\n", remove("/a/0"), "a: [2]\n");
    check("a: [1]\n", remove("/a/0"), "a: []\n");
}

#[test]
fn flow_style_stays_flow_style() {
    check("a: {b: 1} # c\n", add("/a/d", json!("x, y")), "a: {b: 1, d: \"x, y\"} # c\n");
    check("a: {b: {}}\n", add("/a/b/c", json!({"d": [1, "e"]})), "a: {b: {c: {d: [1, e]}}}\n");
    check("a: [1, 2]\n", add("/a/-", json!({"b": true})), "a: [1, 2, {b: true}]\n");
    check("a: [1, 2]\n", add("/a/1", json!("x")), "a: [1, x, 2]\n");
    check("a: [\n  1,\n  2\n]\n", add("/a/-", json!(3)), "a: [\n  1,\n  2,\n  3\n]\n");
    check("a: {b: , c: 1}\n", add("/a/b", json!(2)), "a: {b: 2 , c: 1}\n");
}

#[test]
fn json_stays_json() {
    check(r#"{"a":{"b":1}}"#, add("/a/c", json!({"d": "x"})), r#"{"a":{"b":1, "c": {"d":"x"}}}"#);
    let text = "{\n  \"a\": {\n    \"b\": 1\n  },\n  \"l\": []\n}\n";
    check(
        text,
        add("/a/c", json!({"d": [true]})),
        &text.replace("1\n", "1,\n    \"c\": {\n      \"d\": [\n        true\n      ]\n    }\n"),
    );
    check(text, add("/l/-", json!("x")), &text.replace("[]", "[\n    \"x\"\n  ]"));
    check(text, remove("/l"), &text.replace(",\n  \"l\": []", ""));
    check("{\"a\": 1}\n{\"b\": 2}\n", add("/a", json!("yes")), "{\"a\": \"yes\"}\n{\"b\": 2}\n");
}

#[test]
fn line_breaks_stay_those_of_the_file() {
    check(
        "a:\r\n  b: 1 # c\r\nd: 2\r\n",
        add("/a/e", json!({"f": 1})),
        "a:\r\n  b: 1 # c\r\n  e:\r\n    f: 1\r\nd: 2\r\n",
    );
    check("a:\r\n  b: 1\r\n  c: 2\r\n", remove("/a/b"), "a:\r\n  c: 2\r\n");
}

#[test]
fn a_patch_of_many_steps_is_carried_out_in_order() {
    let patch = json!([
        {"op": "test", "path": "/metadata/name", "value": "data"},
        {"op": "add", "path": "/metadata/annotations", "value": {}},
        {"op": "add", "path": "/metadata/annotations/a.b~1c", "value": "1"},
        {"op": "copy", "from": "/metadata/name", "path": "/spec/x"},
        {"op": "move", "from": "/spec/x", "path": "/spec/z"},
    ]);
    check(
        CLAIM,
        patch,
        &CLAIM
            .replace("# its name\n", "# its name\n  annotations:\n    a.b/c: \"1\"\n")
            .replace("1Gi\n", "1Gi\n  z: data\n"),
    );
}

#[test]
fn only_the_document_meant_is_changed() {
    let text = "a: 1\n---\nb:\n  c: 1\n# end\n---\nd: 1\n";
    let documents = parse(text);
    let doc = documents.into_iter().nth(1).unwrap().unwrap();
    let patch = serde_json::from_value(add("/b/d", json!(2))).unwrap();
    assert_eq!(edit(text, &doc, &patch).unwrap(), text.replace("  c: 1\n", "  c: 1\n  d: 2\n"));
}

#[test]
fn what_comes_from_an_anchor_is_not_edited() {
    let text = "a: &x {k: 1}\nb: *x\nc:\n  <<: *x\n";
    assert!(matches!(edited(text, add("/b/l", json!(2))), Err(EditError::Aliased { .. })));
    assert!(matches!(edited(text, remove("/c/k")), Err(EditError::Aliased { .. })));
    // A change at the anchor would change the aliases, too.
    assert!(matches!(edited(text, add("/a/l", json!(2))), Err(EditError::Mismatch { .. })));
    check(text, add("/b", json!(2)), &text.replace("*x\nc", "2\nc"));
    check(text, add("/c/k", json!(2)), &format!("{text}  k: 2\n"));
    check(text, add("/c/l", json!(2)), &format!("{text}  l: 2\n"));
}

#[test]
fn what_cannot_be_edited_is_an_error() {
    assert!(matches!(edited("? a\n: b\n", add("/c", json!(1))), Err(EditError::Mismatch { .. }) | Ok(_)));
    assert!(matches!(edited("a: 1\na: 2\n", remove("/a")), Err(EditError::Mismatch { .. })));
    assert!(matches!(edited("a: 1\n", add("/b/c", json!(1))), Err(EditError::Patch(_))));
    assert!(matches!(edited("a: 1\n", remove("/b")), Err(EditError::Patch(_))));
    let test = json!([{"op": "test", "path": "/a", "value": 2}]);
    assert!(matches!(edited("a: 1\n", test), Err(EditError::Patch(_))));
}

/// Every value of the fixtures, replaced and removed, with a sibling put beside it: the editor either
/// gives a text that reads as the patched value or refuses, and refuses seldom.
#[test]
fn an_edit_is_right_or_refused() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/yaml");
    let values =
        [json!("x"), json!("true"), json!({"k": {"l": ["m"]}}), json!([1, {"a": 2}]), json!({}), json!(1.0)];
    let (mut done, mut refused) = (0, 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        let Ok(text) = std::fs::read_to_string(entry.unwrap().path()) else { continue };
        for doc in parse(&text).into_iter().flatten() {
            let mut paths = Vec::new();
            pointers(&doc.value, String::new(), &mut paths);
            for path in paths.iter().filter(|path| path.len() < 40).take(3) {
                let mut patches = vec![remove(path)];
                patches.extend(
                    values.iter().map(|value| json!([{"op": "replace", "path": path, "value": value}])),
                );
                patches.extend(values.iter().map(|value| add(&format!("{path}/new"), value.clone())));
                patches.extend(values.iter().map(|value| add(&format!("{path}/-"), value.clone())));
                for patch in patches {
                    let patch: Patch = serde_json::from_value(patch).unwrap();
                    let mut wanted = doc.value.clone();
                    if json_patch::patch(&mut wanted, &patch).is_err() || wanted.is_null() {
                        continue;
                    }
                    match edit(&text, &doc, &patch) {
                        Ok(new) => {
                            done += 1;
                            assert!(parse(&new).into_iter().flatten().any(|doc| same(&doc.value, &wanted)));
                        }
                        Err(_) => refused += 1,
                    }
                }
            }
        }
    }
    assert!(done > 20 * refused, "{done} edits done, {refused} refused");
}

fn pointers(value: &Value, at: String, paths: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                pointers(value, format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), paths);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                pointers(value, format!("{at}/{index}"), paths);
            }
        }
        _ => {}
    }
    paths.push(at);
}

#[test]
fn thousands_of_changes_of_one_document_are_carried_out_at_once() {
    let count = 2_000;
    for text in ["items:\n".to_owned() + &"- spec:\n    a: 1\n".repeat(count), {
        format!("{{\"items\":[{}]}}", vec![r#"{"spec":{"a":1}}"#; count].join(","))
    }] {
        let documents = parse(&text);
        let document = documents[0].as_ref().unwrap();
        let adds: Vec<Value> = (0..count)
            .map(|n| json!({"op": "add", "path": format!("/items/{n}/spec/class"), "value": "local"}))
            .collect();
        let patch: Patch = serde_json::from_value(json!(adds)).unwrap();
        let edited = edit(&text, document, &patch).unwrap();
        assert_eq!(edited.matches("class").count(), count);
    }
}

#[test]
fn several_changes_that_meet_are_carried_out_one_by_one() {
    let text = "a: 1\nb:\n  c: 2\n";
    let documents = parse(text);
    let patch = json!([
        {"op": "add", "path": "/b/d", "value": {}},
        {"op": "add", "path": "/b/d/e", "value": 3},
        {"op": "replace", "path": "/a", "value": 4}
    ]);
    let edited = edit(text, documents[0].as_ref().unwrap(), &serde_json::from_value(patch).unwrap()).unwrap();
    let read = parse(&edited);
    assert_eq!(read[0].as_ref().unwrap().value, json!({"a": 4, "b": {"c": 2, "d": {"e": 3}}}), "{edited}");
}
