//! How shells are told what to run, and how their parentheses and here-documents end.

use super::word::Word;

/// The index of the script of `sh -c`: the first word behind the options that is no option itself.
pub(super) fn script_after(words: &[Word<'_>], shell: usize) -> Option<usize> {
    let (mut asked, mut names_option) = (false, false);
    for (at, word) in words.iter().enumerate().skip(shell + 1) {
        let option = word.text.starts_with(['-', '+']);
        if asked && !option && !names_option {
            return Some(at);
        }
        // Behind a file to run, options are the file's own.
        if !option && !names_option {
            return None;
        }
        asked |= takes_script(&word.text);
        // `-o pipefail` and `-euo pipefail` have a word behind them that is none of the script.
        names_option = option && !word.text.starts_with("--") && word.text.ends_with('o');
        // Anything further away is no longer the shell's.
        if !asked && at > shell + 4 {
            return None;
        }
    }
    None
}

/// Whether a shell takes a script with this option: `-c`, and every cluster of letters with a `c` in it (`-ec`, `-ce`).
pub(super) fn takes_script(option: &str) -> bool {
    const LONG: [&str; 2] = ["norc", "rcfile"];
    option.strip_prefix('-').is_some_and(|letters| {
        letters.contains('c')
            && letters.bytes().all(|letter| letter.is_ascii_alphabetic())
            && !LONG.contains(&letters)
    })
}

/// What stands behind the parenthesis that the text begins with, its inner ones included.
pub(super) fn behind_parenthesis(text: &str) -> &str {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return text.get(at + 1..).unwrap_or_default();
        }
    }
    ""
}

/// What stands in the parentheses that the text begins with, when `behind` is what stands behind them; none where they are
/// not closed.
pub(super) fn in_parentheses<'t>(text: &'t str, behind: &str) -> Option<&'t str> {
    text.get(..text.len() - behind.len())?.strip_prefix('(')?.strip_suffix(')')
}

/// The text behind a line with `<<END`, up to a line that is just `END`.
pub(super) struct HereDocument {
    /// The line that ends it.
    pub(super) end: String,
    /// Whether tabs may stand before that line: `<<-END`.
    tabs: bool,
}

impl HereDocument {
    /// The one that is announced by what stands behind `<<`, and what stands behind its name.
    pub(super) fn announced(text: &str) -> Option<(Self, &str)> {
        let (tabs, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
        let text = text.trim_start_matches([' ', '\t']);
        let (mut end, mut rest) = (String::new(), text);
        while let Some(c) = rest.chars().next() {
            let after = rest.get(c.len_utf8()..).unwrap_or_default();
            rest = match c {
                '\'' | '"' => {
                    let (quoted, tail) = after.split_once(c)?;
                    end.push_str(quoted);
                    tail
                }
                '\\' => after,
                _ if c.is_whitespace() || ";&|<>()".contains(c) => break,
                _ => {
                    end.push(c);
                    after
                }
            };
        }
        (rest.len() < text.len() && !end.contains('\n')).then_some((Self { end, tabs }, rest))
    }

    /// What stands behind the line that ends it; nothing where none does.
    pub(super) fn behind<'t>(&self, text: &'t str) -> Option<&'t str> {
        let mut rest = text;
        while !rest.is_empty() {
            let (line, tail) = rest.split_once('\n').unwrap_or((rest, ""));
            rest = tail;
            if (if self.tabs { line.trim_start_matches('\t') } else { line }) == self.end {
                return Some(rest);
            }
        }
        None
    }
}
