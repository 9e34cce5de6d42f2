//! Values as text to put into a document.

use serde_json::{Map, Value};

use super::scalar::{self, Scalar};

/// Spaces that one level of a block is indented by.
const STEP: usize = 2;

/// How new text is to look, taken from the document that it goes into.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    /// The line break.
    pub(super) newline: &'static str,
    /// Spaces between the column of a key and that of the dashes below it.
    pub(super) dash_indent: usize,
}

impl Style {
    /// Writes `value` as a block whose first line starts at `column`, where the text already stands.
    pub(super) fn block(self, out: &mut String, value: &Value, column: usize) {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                for (at, (key, value)) in in_order(fields).enumerate() {
                    if at > 0 {
                        self.new_line(out, column);
                    }
                    self.field(out, key, value, column);
                }
            }
            Value::Array(items) if !items.is_empty() => {
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        self.new_line(out, column);
                    }
                    out.push_str("- ");
                    self.block(out, item, column + STEP);
                }
            }
            value => flow(out, value, false),
        }
    }

    /// Writes `key: value` whose key starts at `column`, where the text already stands.
    pub(super) fn field(self, out: &mut String, key: &str, value: &Value, column: usize) {
        string(out, key, false);
        out.push(':');
        if is_inline(value) {
            out.push(' ');
            return flow(out, value, false);
        }
        let indent = if value.is_array() { self.dash_indent } else { STEP };
        self.new_line(out, column + indent);
        self.block(out, value, column + indent);
    }

    pub(super) fn new_line(self, out: &mut String, column: usize) {
        out.push_str(self.newline);
        out.extend(std::iter::repeat_n(' ', column));
    }
}

/// The fields as people write them: what it is called first.
fn in_order(fields: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    let is_name = |field: &(&String, &Value)| field.0 == "name";
    fields.iter().filter(is_name).chain(fields.iter().filter(move |field| !is_name(field)))
}

/// Whether a value takes one line in block style.
pub(super) fn is_inline(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    }
}

/// Writes a value on one line; `inside`: between brackets or braces.
pub(super) fn flow(out: &mut String, value: &Value, inside: bool) {
    match value {
        Value::String(text) => string(out, text, inside),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                flow(out, item, true);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push('{');
            for (at, (key, value)) in in_order(fields).enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                string(out, key, true);
                out.push_str(": ");
                flow(out, value, true);
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
}

/// Writes a value as JSON; over several lines if `indent` is given, each after the first that deep.
pub(super) fn json(out: &mut String, value: &Value, indent: Option<(&str, &str)>) {
    let (Some((newline, indent)), false) = (indent, is_inline(value)) else {
        return out.push_str(&value.to_string());
    };
    for (at, line) in format!("{value:#}").lines().enumerate() {
        if at > 0 {
            out.push_str(newline);
            out.push_str(indent);
        }
        out.push_str(line);
    }
}

/// Writes a string, in quotes unless every reader of YAML takes it for that string without.
pub(super) fn string(out: &mut String, text: &str, inside: bool) {
    if is_plain(text, inside) {
        return out.push_str(text);
    }
    // JSON's escapes are YAML's; what YAML in addition calls unprintable is escaped, too.
    for c in Value::from(text).to_string().chars() {
        match c {
            '\u{7F}'..='\u{A0}' | '\u{2028}' | '\u{2029}' | '\u{FEFF}' | '\u{FFFE}' | '\u{FFFF}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
}

fn is_plain(text: &str, inside: bool) -> bool {
    let Some(first) = text.chars().next() else { return false };
    let starts = first.is_ascii_alphanumeric() || matches!(first, '/' | '.' | '_');
    let harmless = text.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    let structure = text.contains(": ") || text.contains(" #") || text.ends_with([':', ' ']);
    let brackets = inside && text.contains([',', '[', ']', '{', '}', ':']);
    // Other readers know more numbers, and words in any spelling.
    let word =
        scalar::resolve(text) != Scalar::Text || scalar::resolve(&text.to_ascii_lowercase()) != Scalar::Text;
    let digits = !first.is_ascii_alphabetic()
        && text.chars().all(|c| c.is_ascii_digit() || "+-.:_ eExXoObBtTzZ".contains(c));
    starts && harmless && !structure && !brackets && !word && !digits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, inside: bool) -> String {
        let mut out = String::new();
        string(&mut out, text, inside);
        out
    }

    #[test]
    fn strings_are_quoted_where_they_would_be_something_else() {
        for text in [
            "",
            "true",
            "Yes",
            "y",
            "nULL",
            "~",
            "1",
            "1.5",
            "0x1F",
            "1_000",
            "1e3",
            ".inf",
            "1:30",
            "2001-12-14",
            "- a",
            "a: b",
            "a #b",
            "a:",
            "a ",
            " a",
            "#a",
            "&a",
            "*a",
            "!a",
            "|",
            ">",
            "@a",
            "`a",
            "%a",
            "'a",
            "\"a",
            "{a}",
            "[a]",
            "?",
            "<<",
            "=",
            "a\nb",
            "a\tb",
            "ü",
            "\u{2028}",
            "{{ x }}",
            "10.0.0.1",
        ] {
            assert!(written(text, false).starts_with('"'), "{text:?}");
        }
        for text in
            ["a", "local-path", "10Gi", "/data", "nginx:1.29", "a b", "x=y", "app.kubernetes.io/name", "a,b"]
        {
            assert_eq!(written(text, false), text);
        }
        assert_eq!(written("a,b", true), "\"a,b\"");
        assert_eq!(written("a:b", true), "\"a:b\"");
        assert_eq!(written("\u{85}\u{7}", false), "\"\\u0085\\u0007\"");
    }
}
