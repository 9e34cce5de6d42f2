use std::borrow::Cow;

/// At most `most` characters of a text, for a message: what is left out at its end is an `…`.
pub fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most || text.chars().nth(most).is_none() {
        return Cow::Borrowed(text);
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect::<String>().into()
}

/// A text for a terminal: what would move its cursor, change its colours or turn the direction of writing is written as an escape.
/// Names of files and objects are their author's, and may hold anything. Line breaks and tabs stay, but no line begins with `::`, which
/// GitHub's runner takes for a command, wherever in a job's log it stands. As [`printable_name`] has it for those of Azure's.
pub fn printable(text: &str) -> Cow<'_, str> {
    let text = escaped(text, |c| matches!(c, '\n' | '\t'));
    let commands = |line: &str| line.trim_start().starts_with("::");
    if !text.split('\n').skip(1).any(commands) {
        return text;
    }
    let mut lines = text.split('\n');
    let first = lines.next().unwrap_or_default().to_owned();
    let joined = lines.fold(first, |joined, line| joined + if commands(line) { "\\n" } else { "\n" } + line);
    joined.into()
}

/// The same for a name, which has no line breaks.
pub fn printable_name(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// The same for a line of the log, whose own colours stay where it has any.
pub fn printable_line(text: &str, coloured: bool) -> Cow<'_, str> {
    escaped(text, |c| c == '\t' || coloured && c == '\u{1b}')
}

/// A text without the commands that the agents of Azure Pipelines and GitHub's runner take out of a job's log wherever in a line they
/// stand: `##vso[task.setvariable …]` and `##[…]`. Their brackets are parentheses.
pub fn without_commands(text: Cow<'_, str>) -> Cow<'_, str> {
    if !text.contains("##") {
        return text;
    }
    let ends_with = |before: &str, name: &str| {
        let at = before.len().checked_sub(name.len());
        at.and_then(|at| before.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(name))
    };
    let begins_one = |at: usize| {
        let before = text.get(..at).unwrap_or_default();
        ends_with(before, "##") || ends_with(before, "##vso")
    };
    let shown = text.char_indices().map(|(at, c)| if c == '[' && begins_one(at) { '(' } else { c });
    shown.collect::<String>().into()
}

fn escaped(text: &str, stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    let is_odd = |c: char| steers(c) && !stays(c);
    if !text.contains(is_odd) {
        return without_commands(Cow::Borrowed(text));
    }
    let escaped: String = text.chars().fold(String::with_capacity(text.len() + 8), |mut escaped, c| {
        match is_odd(c) {
            true => escaped.extend(c.escape_default()),
            false => escaped.push(c),
        }
        escaped
    });
    without_commands(escaped.into())
}

/// Whether a character moves the cursor of a terminal, changes its colours or turns the direction of writing.
pub fn steers(c: char) -> bool {
    c.is_control() || turns_writing(c)
}

/// Whether a character has no shape and changes how others are shown.
fn turns_writing(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_written_as_an_escape() {
        assert_eq!(printable("a\u{1b}[31m\u{9b}2J\u{7}\rb"), "a\\u{1b}[31m\\u{9b}2J\\u{7}\\rb");
        assert_eq!(printable("\u{202e}gpj.exe\u{2066}"), "\\u{202e}gpj.exe\\u{2066}");
        assert_eq!(printable("ü\ta\nb"), "ü\ta\nb");
        assert_eq!(printable("a::b\n c\n  ::add-mask::x\nd"), "a::b\n c\\n  ::add-mask::x\nd");
        assert_eq!(printable_name("a\nb"), "a\\nb");
        assert_eq!(printable_line("a\tb\nc\u{1b}[1m", false), "a\tb\\nc\\u{1b}[1m");
        assert_eq!(printable_line("\u{1b}[1ma\nb\u{202e}", true), "\u{1b}[1ma\\nb\\u{202e}");
        assert!(matches!(printable_name("deploy/é.yaml"), Cow::Borrowed(_)));
    }

    #[test]
    fn no_job_takes_a_command_out_of_a_text() {
        for (text, expected) in [
            ("a ##vso[task.setvariable variable=PATH]/x", "a ##vso(task.setvariable variable=PATH]/x"),
            ("##VSO[x]##[error]y", "##VSO(x]##(error]y"),
            ("###[x]", "###(x]"),
            ("####vso[x]", "####vso(x]"),
            ("## [title]", "## [title]"),
            ("##", "##"),
            ("##vs", "##vs"),
        ] {
            assert_eq!(printable(text), expected);
            assert_eq!(printable_name(text), expected);
            assert!(!expected.contains("#["), "{expected}");
        }
    }

    #[test]
    fn a_text_is_cut_at_whole_characters() {
        for (text, most, expected) in [
            ("/data", 5, "/data"),
            ("/data1", 5, "/dat…"),
            ("üüü", 3, "üüü"),
            ("üüüü", 3, "üü…"),
            ("", 0, ""),
        ] {
            assert_eq!(shortened(text, most), expected, "{text}");
        }
    }
}
