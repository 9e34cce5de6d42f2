//! Texts that stand for a value which a tool puts in before a manifest is one: Helm, Jinja, `sed`, `envsubst`, `oc process`.

/// Signs around what is any text on one line.
const ENCLOSED: [(&str, &str); 8] = [
    ("{{", "}}"),
    ("{%", "%}"),
    ("<%", "%>"),
    ("[[", "]]"),
    ("${{", "}}"),
    ("${", "}"),
    ("$(", ")"),
    ("#{", "}"),
];

/// Those that no YAML has outside of quotes.
const FOREIGN: [&str; 3] = ["{{", "{%", "<%"];

/// Signs around what is a name: other texts have them too.
const NAMED: [(&str, &str); 5] = [("<", ">"), ("@@", "@@"), ("@", "@"), ("%", "%"), ("__", "__")];

/// The longest name in a placeholder, in bytes.
const MOST_NAME: usize = 60;

/// The placeholder of a template for which a line cannot be read at the byte `at`.
pub(super) fn in_line(line: &str, at: usize) -> Option<&str> {
    let foreign = FOREIGN.iter().filter_map(|sign| line.find(sign)).min();
    if let Some(start) = foreign {
        let rest = line.get(start..)?;
        // One that ends on a later line is shown as far as it goes.
        return beginning(rest, &ENCLOSED).or(Some(rest.trim_end()));
    }
    if let Some(found) = before_more(line) {
        return Some(found);
    }
    // The parser may stop at the brace of a `${NAME}`.
    let starts = [Some(at), at.checked_sub(1)];
    starts.into_iter().flatten().find_map(|start| {
        let rest = line.get(start..)?;
        beginning(rest, &ENCLOSED).or_else(|| beginning(rest, &NAMED))
    })
}

/// The placeholder that a value is or begins with.
#[must_use]
pub fn placeholder(value: &str) -> Option<&str> {
    beginning(value, &ENCLOSED).or_else(|| beginning(value, &NAMED)).or_else(|| {
        // A variable of a shell, which `envsubst` puts in.
        let name = value.strip_prefix('$')?;
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        is_name.then_some(value)
    })
}

/// The `{name}` of a value in which more text stands: `image: {registry}/shop`. By itself it is a map.
fn before_more(line: &str) -> Option<&str> {
    let (_, value) = line.split_once(": {").or_else(|| line.split_once("- {"))?;
    let (name, rest) = value.split_once('}')?;
    let has_more = rest.starts_with(|c: char| !c.is_whitespace() && !",}]#".contains(c));
    let start = line.len() - value.len() - 1;
    (has_more && is_name(name, false)).then(|| line.get(start..start + name.len() + 2)).flatten()
}

fn beginning<'t>(text: &'t str, signs: &[(&str, &str)]) -> Option<&'t str> {
    signs.iter().find_map(|(open, close)| {
        let found = text.starts_with(open).then(|| enclosed(text, open, close))??;
        let name = found.get(open.len()..found.len() - close.len())?;
        let is_any = ENCLOSED.iter().any(|(known, _)| known == open);
        (is_any || is_name(name, *open == "<")).then_some(found)
    })
}

/// What begins with the first sign and ends with the second.
fn enclosed<'t>(text: &'t str, open: &str, close: &str) -> Option<&'t str> {
    let end = text.get(open.len()..)?.find(close)?;
    text.get(..open.len() + end + close.len()).filter(|found| found.len() > open.len() + close.len())
}

fn is_name(name: &str, has_spaces: bool) -> bool {
    let is_part = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b) || (has_spaces && b == b' ');
    name.len() <= MOST_NAME
        && name.bytes().all(is_part)
        && name.bytes().any(|b| b.is_ascii_alphabetic())
        && !name.starts_with(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_put_in_later() {
        for (value, wanted) in [
            ("{{ .Values.size }}", "{{ .Values.size }}"),
            ("{{ size }}Gi", "{{ size }}"),
            ("${{ inputs.size }}", "${{ inputs.size }}"),
            ("${SIZE}Gi", "${SIZE}"),
            ("$(params.size)", "$(params.size)"),
            ("$SIZE", "$SIZE"),
            ("[[ size ]]", "[[ size ]]"),
            ("#{size}#", "#{size}"),
            ("<%= size %>", "<%= size %>"),
            ("<size>", "<size>"),
            ("<your storage class>", "<your storage class>"),
            ("@SIZE@", "@SIZE@"),
            ("@@SIZE@@", "@@SIZE@@"),
            ("%SIZE%", "%SIZE%"),
            ("__SIZE__", "__SIZE__"),
        ] {
            assert_eq!(placeholder(value), Some(wanted), "{value}");
        }
        for value in [
            "10Gi", "", "<", "< 5 >", "<10>", "@at", "50%", "%25%", "__", "$", "$5.00 a", "a<b>", "{}",
            "{{}}", "SIZE",
        ] {
            assert_eq!(placeholder(value), None, "{value}");
        }
    }

    #[test]
    fn a_line_that_cannot_be_read_for_a_placeholder() {
        assert_eq!(in_line("metadata: {name: ${NAME}}", 17), Some("${NAME}"));
        assert_eq!(in_line("metadata: {name: ${NAME}}", 18), Some("${NAME}"));
        assert_eq!(in_line("  name: @NAME@", 8), Some("@NAME@"));
        assert_eq!(in_line("  name: %NAME%-x", 8), Some("%NAME%"));
        assert_eq!(in_line("{% for x in y %}", 1), Some("{% for x in y %}"));
        assert_eq!(in_line("name: a-{{ x }}: b", 2), Some("{{ x }}"));
        assert_eq!(in_line("{{- if and", 0), Some("{{- if and"));
        assert_eq!(in_line("- image: {account}/shop:1", 9), Some("{account}"));
        assert_eq!(in_line("- {account}/shop:1", 2), Some("{account}"));
        assert_eq!(in_line("a: {b}, c: d", 3), None);
        assert_eq!(in_line("a: {b: c}x", 3), None);
        // Elsewhere in the line these signs are any text's.
        assert_eq!(in_line("  mail: \"me@here, you@there", 8), None);
        assert_eq!(in_line("  a: b: <c>", 6), None);
        assert_eq!(in_line("args: [\"echo ${HOME}\"", 6), None);
        assert_eq!(in_line("é: ${", 5), None);
    }
}
