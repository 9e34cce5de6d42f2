//! How shells are told what to run, and how their parentheses close.

use super::argv::Word;

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
