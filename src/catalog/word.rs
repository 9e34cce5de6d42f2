//! The words of a command line.

use super::container::Origin;
use std::borrow::Cow;

/// The end of a word that names a function of a script, where it is defined.
pub(super) const FUNCTION: &str = "()";

/// The first word of a command that is none: the items of a list that a script sets.
pub(super) const ARRAY: &str = "(";

/// A word that stands for arithmetic.
pub(super) const ARITHMETIC: &str = "(())";

/// What stands for the output of a command, `$(…)`.
pub(super) const TAKEN: &str = "$()";

/// One word of a command line.
#[derive(Debug, Clone)]
pub(super) struct Word<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) origin: Origin,
    /// False when a variable in it has a value that cannot be known here.
    pub(super) known: bool,
    /// Whether a shell script is where it stands.
    pub(super) scripted: bool,
    /// Whether it stands in a command whose output is taken, `$(…)`: it runs, and what stands there is none of the arguments
    /// of anything else.
    pub(super) inner: bool,
    /// Not a word at all but the end of a command: `;`, `&&`, a newline.
    pub(super) end: bool,
}

/// Whether a word is a flag.
pub(super) fn is_flag(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-')
}

/// Whether a word is that one; `*.conf` is any with that end that is no flag, and `file:*` any with that beginning.
pub(super) fn fits_word(text: &str, pattern: &str) -> bool {
    if let Some(end) = pattern.strip_prefix('*') {
        return text.ends_with(end) && !is_flag(text);
    }
    pattern.strip_suffix('*').map_or(text == pattern, |start| text.starts_with(start))
}

/// Whether a word is the name of a shell.
pub(super) fn is_shell(word: &str) -> bool {
    matches!(program(word), "sh" | "bash" | "ash" | "dash" | "zsh" | "ksh")
}

/// The name of a program without its directory.
pub fn program(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}
