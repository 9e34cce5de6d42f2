//! Places, notices and faults; what values are read is held by `tests/yaml`.

use serde_json::json;

use super::*;

fn one(text: &str) -> Document {
    let mut documents = parse(text);
    assert_eq!(documents.len(), 1, "{documents:?}");
    documents.pop().unwrap().unwrap()
}

fn fault(text: &str) -> SourceError {
    parse(text).into_iter().find_map(Result::err).unwrap_or_else(|| panic!("no fault in {text:?}"))
}

/// The text of the value and of the key at a path, and whether the path exists.
fn at<'t>(text: &'t str, doc: &Document, path: &str) -> (&'t str, Option<&'t str>, bool) {
    let path = if path.is_empty() { FieldPath::root() } else { path.parse().unwrap() };
    let span = doc.span(&path);
    (&text[span.value], span.key.map(|key| &text[key]), span.exact)
}

const TEXT: &str = r#"# Two of them.
---
spec: # the spec
  a: 1
  "b c": 'x'
  list:
  - one
  - k: v
    # |
    lit: |- # a > b
      two
       lines

    keep: |+
      two

  flow: {a: [1, {"c": yes}], on: 0x10}
  empty:
  é: ü # odd
  copy: &x
    k: 1
  alias: *x
  <<: {m: 2}
---
second: true
"#;

#[test]
fn every_field_has_its_place() {
    let documents: Vec<_> = parse(TEXT).into_iter().map(Result::unwrap).collect();
    let [first, second] = documents.as_slice() else { panic!("{documents:?}") };
    let at = |path| at(TEXT, first, path);
    assert_eq!(at("spec.a"), ("1", Some("a"), true));
    assert_eq!(at(r#"spec["b c"]"#), ("'x'", Some("\"b c\""), true));
    assert_eq!(at("spec.list[0]"), ("one", None, true));
    assert_eq!(at("spec.list[1].k"), ("v", Some("k"), true));
    assert_eq!(at("spec.list[1].lit"), ("|- # a > b\n      two\n       lines", Some("lit"), true));
    assert_eq!(at("spec.list[1].keep"), ("|+\n      two\n", Some("keep"), true));
    assert_eq!(at("spec.flow"), (r#"{a: [1, {"c": yes}], on: 0x10}"#, Some("flow"), true));
    assert_eq!(at("spec.flow.a[1].c"), ("yes", Some("\"c\""), true));
    assert_eq!(at("spec.flow.true"), ("0x10", Some("on"), true));
    assert_eq!(at("spec.empty"), ("", Some("empty"), true));
    assert_eq!(at(r#"spec["é"]"#), ("ü", Some("é"), true));
    assert_eq!(at("spec.copy"), ("k: 1", Some("copy"), true));
    let list = at("spec.list").0;
    assert!(list.starts_with("one") && list.ends_with("two\n"), "{list}");
    let second_text = &TEXT[second.span.clone()];
    assert_eq!(second_text, "second: true\n");
    assert_eq!(second.span(&"second".parse().unwrap()).value, TEXT.len() - 5..TEXT.len() - 1);
}

#[test]
fn what_comes_by_an_alias_stands_at_the_alias() {
    let documents = parse(TEXT);
    let first = documents.into_iter().next().unwrap().unwrap();
    assert_eq!(at(TEXT, &first, "spec.alias"), ("*x", Some("alias"), true));
    assert_eq!(at(TEXT, &first, "spec.alias.k"), ("*x", Some("alias"), true));
    assert_eq!(at(TEXT, &first, "spec.alias.z"), ("*x", Some("alias"), false));
    assert_eq!(at(TEXT, &first, "spec.m"), ("{m: 2}", Some("<<"), true));
}

#[test]
fn what_does_not_exist_points_to_its_nearest_parent() {
    let documents = parse(TEXT);
    let first = documents.into_iter().next().unwrap().unwrap();
    assert_eq!(at(TEXT, &first, "spec.a.b.c"), ("1", Some("a"), false));
    assert_eq!(at(TEXT, &first, "spec.list[7].k"), at(TEXT, &first, "spec.list").to_inexact());
    assert_eq!(first.span(&"nothing".parse().unwrap()).key, None);
    assert!(!first.span(&"nothing".parse().unwrap()).exact);
}

trait Inexact {
    fn to_inexact(self) -> Self;
}

impl Inexact for (&str, Option<&str>, bool) {
    fn to_inexact(self) -> Self {
        (self.0, self.1, false)
    }
}

#[test]
fn json_has_places_too() {
    let text = "{\"a\": {\"b\\n\": [1, \"x\"]},\n \"c\": 2}\n{\"d\": null}";
    let documents: Vec<_> = parse(text).into_iter().map(Result::unwrap).collect();
    assert_eq!(at(text, &documents[0], r#"a["b\n"][1]"#), ("\"x\"", None, true));
    assert_eq!(at(text, &documents[0], "a"), (r#"{"b\n": [1, "x"]}"#, Some("\"a\""), true));
    assert_eq!(at(text, &documents[1], "d"), ("null", Some("\"d\""), true));
    assert_eq!(&text[documents[1].span.clone()], "{\"d\": null}");
}

#[test]
fn a_key_that_is_there_twice_is_noticed_and_the_last_counts() {
    for text in ["a: 1\nb: 2\na: 3\n", r#"{"a": 1, "b": 2, "a": 3}"#, "yes: 0\nb: 2\na: 1\na: 3\n'true': 1\n"]
    {
        let doc = one(text);
        let notice = &doc.notices[0];
        assert!(notice.message.starts_with("duplicate key"), "{notice:?}");
        assert_eq!(doc.value["a"], 3);
        let span = doc.span(&"a".parse().unwrap());
        assert_eq!(&text[span.value], "3");
        assert_eq!(span.key, Some(notice.span.clone()));
    }
    assert_eq!(one("yes: 0\n'true': 1\n").value, json!({"true": 1}));
}

#[test]
fn a_merge_key_is_noticed_only_where_it_overrides() {
    let base = "b: &b {k: 1}\nc:\n";
    assert_eq!(one(&format!("{base}  <<: *b\n  k: 2\n")).notices, []);
    assert_eq!(one(&format!("{base}  k: 1\n  <<: *b\n")).notices, []);
    assert_eq!(one(&format!("{base}  <<: [*b, {{k: 2}}]\n")).notices, []);
    let doc = one(&format!("{base}  k: 2\n  <<: *b\n"));
    assert!(doc.notices[0].message.contains("overrides"), "{:?}", doc.notices);
    assert_eq!(doc.value["c"]["k"], 1);
}

#[test]
fn unknown_tags_and_unread_text_are_noticed() {
    let doc = one("a: !vault secret\n");
    assert_eq!(doc.value, json!({"a": "secret"}));
    assert!(doc.notices[0].message.contains("!vault"));
    let text = "a: 1\n...\nb: 2\n";
    let doc = one(text);
    assert_eq!(doc.notices[0].span.start, text.find('b').unwrap());
    assert_eq!(fault("null\n...\nb: 2\n").offset, 9);
}

#[test]
fn a_fault_does_not_hide_other_documents() {
    let documents = parse("a: 1\n---\nb: [\n---\nc: 3\n--- d\n---\ne: 5\n");
    let read: Vec<_> =
        documents.iter().map(|doc| doc.as_ref().ok().map(|doc| doc.value.to_string())).collect();
    let ok = |text: &str| Some(text.to_owned());
    assert_eq!(read, [ok(r#"{"a":1}"#), None, ok(r#"{"c":3}"#), None, ok(r#"{"e":5}"#)]);
}

#[test]
fn text_that_is_no_text_is_refused_with_its_place() {
    let error = |bytes: &[u8]| parse_bytes(bytes).remove(0).unwrap_err();
    let found = error(b"a: \xff");
    assert_eq!((found.kind, found.offset), (SourceErrorKind::Encoding, 3));
    assert!(found.to_string().contains("byte 3 (0xff) is not UTF-8"), "{found}");
    for start in [b"\xff\xfea\0", b"\xfe\xff\0a"] {
        assert!(error(start).to_string().contains("UTF-16"));
    }
    let found = error(b"a: x\n\0b: 1\n");
    assert!(found.message.contains("NUL"), "{found}");
    assert_eq!(found.offset, 5);
    assert_eq!(error(b"a: \x1b[0m").offset, 3);
    assert_eq!(parse_bytes("\u{FEFF}a: 1".as_bytes()).remove(0).unwrap().value, json!({"a": 1}));
}

#[test]
fn other_line_breaks_are_refused_where_kubectl_would_break_the_line() {
    for sign in ["\u{85}", "\u{2028}", "\u{2029}"] {
        let found = fault(&format!("# x{sign}a: 1\n"));
        assert_eq!((found.kind, found.offset), (SourceErrorKind::Encoding, 3));
    }
    assert_eq!(one("{\"a\": \"\u{2028}\"}").value, json!({"a": "\u{2028}"}));
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    let mut text = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for (name, before) in "bcdefghi".chars().zip("abcdefgh".chars()) {
        let items = vec![format!("*{before}"); 9].join(",");
        text.push_str(&format!("{name}: &{name} [{items}]\n"));
    }
    let found = fault(&text);
    assert_eq!(found.kind, SourceErrorKind::Limit);
    assert!(found.message.contains("aliases make"), "{found}");
    // Few values, much text.
    let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 100].join(","));
    assert_eq!(fault(&text).kind, SourceErrorKind::Limit);
    // Each alias one level deeper than the last: no deep value comes of it.
    let mut text = "a0: &a0 []\n".to_owned();
    for n in 1..200 {
        text.push_str(&format!("a{n}: &a{n} [*a{}]\n", n - 1));
    }
    assert_eq!(fault(&text).kind, SourceErrorKind::Limit);
    // Anchors inside anchors, each of which would be copied.
    let mut text = String::new();
    for n in 0..90 {
        text.push_str(&format!("{}a: &n{n}\n", " ".repeat(n)));
    }
    text.push_str(&format!("{}[{}*n0]\n", " ".repeat(90), "1,".repeat(20_000)));
    assert_eq!(fault(&text).kind, SourceErrorKind::Yaml);
    let text = text.replace("*n0", "2, '*'");
    assert_eq!(fault(&text).kind, SourceErrorKind::Limit);
}

#[test]
fn anchors_of_everyday_use_are_within_the_limits() {
    let mut text = "base: &base {image: x, tag: v1, list: [1, 2, 3]}\n".to_owned();
    for n in 0..500 {
        text.push_str(&format!("service{n}:\n  <<: *base\n  name: s{n}\n"));
    }
    assert_eq!(one(&text).value["service499"]["tag"], "v1");
}

#[test]
fn deep_nesting_is_refused_and_does_not_exhaust_the_stack() {
    for depth in [101, 300, 20_000] {
        for text in [
            "[".repeat(depth + 200),
            format!("{}1{}", "[".repeat(depth), "]".repeat(depth)),
            format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth)),
            format!("{}1{}", "{a: ".repeat(depth), "}".repeat(depth)),
            "- ".repeat(depth) + "1",
        ] {
            let found = fault(&text);
            assert_eq!(found.kind, SourceErrorKind::Limit, "{depth} {:.20} {found}", text);
        }
        let text: String = (0..depth.min(1000)).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
        assert_eq!(fault(&format!("{text}{}1", " ".repeat(1000))).kind, SourceErrorKind::Limit);
    }
    let text = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    assert_eq!(one(&text).spans.len(), 101);
}

#[test]
fn faults_name_place_and_way_out() {
    for (text, offset, says) in [
        ("a: b\n\tc: d\n", 5, "tabs"),
        ("a:\n\tb: c\n", 3, "tabs"),
        ("a: b: c\n", 4, "check the indentation, or quote"),
        ("a: @b\n", 3, "quote a value"),
        ("a: *x\n", 3, "define the anchor"),
        ("a: &x [*x]\n", 7, "inside the value of its own anchor"),
        ("%YAML 1.2\n---\na: 1\n", 0, "does not take directives"),
        ("? [a]\n: b\n", 2, "a key is itself"),
        (": b\n", 0, "a key is empty"),
        ("a: {b:, c: 1}\n", 4, "put a space after the colon"),
        ("a: .nan\n", 3, "JSON has no number"),
        ("a: !!int x\n", 9, "is not a !!int"),
        ("a: 1\n--- b\n", 8, "document separator"),
        ("{\"a\": 1\n \"b\": 2}\n", 9, "expected `,` or `}`"),
        ("{\"a\": 1e999}\n", 6, "out of range"),
        ("{\"a\": \"é\tü\"}x: [", 7, "control character"),
        ("a: {b\n  :, c: 1}\n", 4, "put a space after the colon"),
        ("a: {{ .Values.x }}\n", 4, "{{ .Values.x }} stands for what is put in later"),
        ("{{- if x }}\na: b\n{{- end }}\n", 2, "(helm template, "),
        ("{% if x %}\na: b\n{% endif %}\n", 1, "{% if x %} stands for"),
        ("a: @NAME@\n", 3, "@NAME@ stands for"),
        ("a: 1\nb: %NAME%\n", 8, "%NAME% stands for"),
        ("a: {b: ${NAME}}\n", 8, "${NAME} stands for"),
        ("{\"a\": {{ x }}}\n", 7, "{{ x }} stands for"),
        ("{\n // a\n \"b\": 1, // c: d\n \"e\": 2}\n", 3, "JSON has none"),
        // The fault is another one than the placeholder.
        ("a: \"${NAME}\nb: 1\n", 3, "close the quote"),
        ("a: |\n  {{ x }}\nb: @c\n", 18, "quote a value"),
    ] {
        let found = fault(text);
        let message = found.to_string();
        assert!(message.contains(says), "{text:?}: {message}");
        assert_eq!(found.offset, offset, "{text:?}: {message}");
        assert!(message.starts_with("failed to read "), "{message}");
    }
}

#[test]
fn a_text_of_nothing_has_no_documents() {
    for text in
        ["", "\n", "# comment\n", "---\n---\n", "~\n", "...\n", "\u{FEFF}", "  \n\n", "---\n# c\n...\n"]
    {
        assert_eq!(parse(text), [], "{text:?}");
    }
}

#[test]
fn keys_that_are_aliases_count_as_what_they_stand_for() {
    let long = "x".repeat(100_000);
    let text = format!("a: &a {long}\nb:\n{}", "  *a : 1\n".repeat(500));
    let found = parse(&text);
    let error = found[0].as_ref().unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Limit, "{error}");
    let few = parse("a: &a x\nb:\n  *a : 1\n");
    assert_eq!(few[0].as_ref().unwrap().value, json!({"a": "x", "b": {"x": 1}}));
}

#[test]
fn a_hundred_notices_of_a_document_are_told() {
    let found = parse(&format!("{{{}}}\n", "a,".repeat(1_000)));
    let notices = &found[0].as_ref().unwrap().notices;
    assert_eq!(notices.len(), 101);
    assert_eq!(notices[100].message, "899 more notices of this document: only the first 100 are told");
}

#[test]
fn fields_of_large_maps_and_lists_have_their_places() {
    let mut text = "map:\n".to_owned();
    for n in 0..100 {
        text.push_str(&format!("  k{}: {n}\n", n % 90));
    }
    text.push_str("list:\n");
    for n in 0..100 {
        text.push_str(&format!("- {{at: {n}}}\n"));
    }
    let found = parse(&text);
    let document = found[0].as_ref().unwrap();
    let at = |path: FieldPath| text[document.span(&path).value].to_owned();
    let map = FieldPath::root().key("map");
    assert_eq!(
        [at(map.key("k0")), at(map.key("k5")), at(map.key("k50"))],
        ["90", "95", "50"],
        "the last of one name"
    );
    let list = FieldPath::root().key("list");
    assert_eq!([at(list.index(0).key("at")), at(list.index(99).key("at"))], ["0", "99"]);
    assert!(!document.span(&list.index(100)).exact && !document.span(&map.key("k95")).exact);
}
