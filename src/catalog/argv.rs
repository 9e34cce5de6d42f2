//! What a container runs, as words: command and arguments with `$(VAR)` filled in, and a shell's script taken apart.

use std::borrow::Cow;

use super::resolve::{ContainerView, Origin};

/// One word of a command line.
#[derive(Debug, Clone)]
pub(super) struct Word<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) origin: Origin<'a>,
    /// False when a variable in it has a value that cannot be known here.
    pub(super) known: bool,
    /// Whether a shell script is where it stands.
    pub(super) scripted: bool,
    /// Not a word at all but the end of a command: `;`, `&&`, a newline.
    pub(super) end: bool,
}

/// A container's words, and its environment.
#[derive(Debug)]
pub(super) struct Argv<'a> {
    pub(super) words: Vec<Word<'a>>,
    env: &'a [(&'a str, Option<&'a str>)],
}

/// What is known of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Env<'a> {
    Unset,
    Unknown,
    Value(Cow<'a, str>),
}

/// How deep variables in variables are followed; Kubernetes resolves each from those before it, so a loop is a fault.
const DEPTH: u8 = 4;

impl<'a> Argv<'a> {
    /// `args_env` names the variables whose values the image appends to its arguments.
    pub(super) fn new(container: &ContainerView<'a>, args_env: &'a [String]) -> Self {
        let mut argv = Self {
            words: Vec::with_capacity(container.command.len() + container.args.len()),
            env: container.env,
        };
        for (index, text) in container.command.iter().enumerate() {
            argv.push(text, Origin::Command { index });
        }
        for (index, text) in container.args.iter().enumerate() {
            argv.push(text, Origin::Args { index });
        }
        argv.take_script_apart();
        for name in args_env {
            let Env::Value(value) = argv.env(name) else { continue };
            let origin = argv.env_origin(name);
            let words = split(&value, &|_| Env::Unknown);
            argv.words.extend(words.into_iter().map(|piece| piece.into_word(origin, false)));
        }
        argv
    }

    /// A variable as the process sees it: set by the script, or else by the container.
    pub(super) fn env(&self, name: &str) -> Env<'a> {
        if let Some(word) = self.assignment(name) {
            let Some(value) = word.text.get(name.len() + 1..) else { return Env::Unknown };
            return if word.known { Env::Value(Cow::Owned(value.to_owned())) } else { Env::Unknown };
        }
        lookup(self.env, name, DEPTH)
    }

    /// Where a variable is set.
    pub(super) fn env_origin(&self, name: &'a str) -> Origin<'a> {
        if let Some(word) = self.assignment(name) {
            return word.origin;
        }
        Origin::Env { name, index: self.env.iter().rposition(|(known, _)| *known == name) }
    }

    fn assignment(&self, name: &str) -> Option<&Word<'a>> {
        self.words.iter().rev().find(|word| {
            word.scripted && word.text.strip_prefix(name).is_some_and(|rest| rest.starts_with('='))
        })
    }

    fn push(&mut self, text: &'a str, origin: Origin<'a>) {
        let (text, known) = expand(text, self.env, DEPTH);
        let flag_end = text.find(['=', ' ']).unwrap_or(text.len());
        // Redis takes `--save ""` as one argument, and people who quote too much write it for others too.
        if text.starts_with('-') && text.get(flag_end..).is_some_and(|rest| rest.starts_with(' ')) {
            let pieces = split(&text, &|_| Env::Unknown);
            self.words.extend(pieces.into_iter().map(|piece| piece.into_word(origin, false)));
        } else {
            self.words.push(Word { text, origin, known, scripted: false, end: false });
        }
    }

    /// Puts the words of the script in the place of `sh -c script`; what stands behind it are the script's own
    /// arguments and stays.
    fn take_script_apart(&mut self) {
        let Some(shell) = self.words.iter().position(|word| is_shell(&word.text)) else { return };
        let Some(at) = script_after(&self.words, shell) else { return };
        let Some(script) = self.words.get(at).cloned() else { return };
        let env = self.env;
        let mut words: Vec<_> = split(&script.text, &|name| lookup(env, name, DEPTH))
            .into_iter()
            .map(|piece| piece.into_word(script.origin, true))
            .collect();
        words.extend(self.words.drain(..).skip(at + 1));
        self.words = words;
    }
}

pub(super) fn is_shell(word: &str) -> bool {
    matches!(program(word), "sh" | "bash" | "ash" | "dash" | "zsh" | "ksh")
}

/// The name of a program without its directory.
pub(super) fn program(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// The index of the script of `sh -c`: the first word behind the option that ends in `c` that is no option itself.
fn script_after(words: &[Word<'_>], shell: usize) -> Option<usize> {
    let mut asked = false;
    for (at, word) in words.iter().enumerate().skip(shell + 1) {
        let option = word.text.starts_with(['-', '+']);
        if asked && !option {
            return Some(at);
        }
        asked |= option && !word.text.starts_with("--") && word.text.ends_with('c');
        // `-eo pipefail -c` has a word between its options; anything further away is no longer the shell's.
        if !asked && at > shell + 4 {
            return None;
        }
    }
    None
}

fn lookup<'a>(env: &'a [(&'a str, Option<&'a str>)], name: &str, depth: u8) -> Env<'a> {
    // The last of several with one name is the one that Kubernetes sets.
    match env.iter().rev().find(|(known, _)| *known == name) {
        None => Env::Unset,
        Some((_, None)) => Env::Unknown,
        Some((_, Some(value))) => match expand(value, env, depth) {
            (value, true) => Env::Value(value),
            (_, false) => Env::Unknown,
        },
    }
}

/// Fills in `$(VAR)` as Kubernetes does: `$$` is a dollar sign, and a name that nothing sets stays as it is written.
/// The second part is false when a value cannot be known.
fn expand<'a>(text: &'a str, env: &'a [(&'a str, Option<&'a str>)], depth: u8) -> (Cow<'a, str>, bool) {
    if !text.contains('$') {
        return (Cow::Borrowed(text), true);
    }
    let (mut out, mut known, mut rest) = (String::with_capacity(text.len()), true, text);
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let reference = after.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        let Some((name, tail)) = reference else {
            out.push('$');
            rest = after;
            continue;
        };
        let value = if depth == 0 { Env::Unknown } else { lookup(env, name, depth - 1) };
        match value {
            Env::Value(value) => out.push_str(&value),
            unset_or_unknown => {
                known &= unset_or_unknown == Env::Unset;
                out.push_str("$(");
                out.push_str(name);
                out.push(')');
            }
        }
        rest = tail;
    }
    out.push_str(rest);
    (Cow::Owned(out), known)
}

/// A word of a script, or the end of a command in it.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Word { text: String, known: bool },
    End,
}

impl Piece {
    fn into_word<'a>(self, origin: Origin<'a>, scripted: bool) -> Word<'a> {
        match self {
            Self::Word { text, known } => {
                Word { text: Cow::Owned(text), origin, known, scripted, end: false }
            }
            Self::End => Word { text: Cow::Borrowed(""), origin, known: true, scripted, end: true },
        }
    }
}

/// Splits a script into words as a shell would, as far as that can be known without running it: quotes, backslashes,
/// comments, `$NAME`, `${NAME}` and `${NAME:-default}` of known variables, and the ends of commands. A command's
/// output (`$(…)`, backquotes) is an unknown value.
fn split<'e>(script: &str, env: &dyn Fn(&str) -> Env<'e>) -> Vec<Piece> {
    let mut splitter = Splitter { pieces: Vec::new(), text: String::new(), known: true, open: false };
    let mut rest = script;
    let mut quoted = false;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        rest = match c {
            '"' => {
                quoted = !quoted;
                splitter.open = true;
                after
            }
            '\'' if !quoted => {
                let (literal, tail) = after.split_once('\'').unwrap_or((after, ""));
                splitter.add(literal);
                tail
            }
            '\\' => {
                let next = after.chars().next();
                let tail = after.get(next.map_or(0, char::len_utf8)..).unwrap_or_default();
                match next {
                    None | Some('\n') => {}
                    Some(next) => splitter.add(next.encode_utf8(&mut [0; 4])),
                }
                tail
            }
            '$' => splitter.variable(after, quoted, env),
            '`' => {
                splitter.known = false;
                splitter.add("`");
                after.split_once('`').map_or("", |(_, tail)| tail)
            }
            _ if quoted => {
                splitter.add(c.encode_utf8(&mut [0; 4]));
                after
            }
            '#' if !splitter.open => after.find('\n').and_then(|end| after.get(end..)).unwrap_or(""),
            // 2>&1 and &>file send output somewhere and end nothing.
            '&' if splitter.text.ends_with(['>', '<']) || after.starts_with('>') => {
                splitter.add("&");
                after
            }
            ';' | '&' | '|' | '\n' | '(' | ')' => {
                splitter.end();
                after
            }
            _ if c.is_whitespace() => {
                splitter.word();
                after
            }
            _ => {
                splitter.add(c.encode_utf8(&mut [0; 4]));
                after
            }
        };
    }
    splitter.end();
    splitter.pieces
}

struct Splitter {
    pieces: Vec<Piece>,
    text: String,
    known: bool,
    /// Whether a word has begun, which may still be empty: `""`.
    open: bool,
}

impl Splitter {
    fn add(&mut self, text: &str) {
        self.text.push_str(text);
        self.open = true;
    }

    fn word(&mut self) {
        if self.open {
            self.pieces.push(Piece::Word { text: std::mem::take(&mut self.text), known: self.known });
        }
        self.open = false;
        self.known = true;
    }

    fn end(&mut self) {
        self.word();
        if !matches!(self.pieces.last(), None | Some(Piece::End)) {
            self.pieces.push(Piece::End);
        }
    }

    /// Reads what stands behind a dollar sign and returns what stands behind that.
    fn variable<'t, 'e>(&mut self, after: &'t str, quoted: bool, env: &dyn Fn(&str) -> Env<'e>) -> &'t str {
        if after.starts_with('(') {
            self.known = false;
            self.add("$()");
            return behind_parenthesis(after);
        }
        let (name, default, tail) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((inner, tail)) => {
                let (name, default) = match inner.split_once(":-").or_else(|| inner.split_once('-')) {
                    Some((name, default)) => (name, Some(default)),
                    None => (inner, None),
                };
                (name, default, tail)
            }
            None => {
                let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
                let (name, tail) = after.split_at_checked(end).unwrap_or((after, ""));
                (name, None, tail)
            }
        };
        let value = match (env(name), default) {
            (Env::Unset, Some(default)) if !default.contains('$') => Env::Value(Cow::Borrowed(default)),
            (value, _) => value,
        };
        match value {
            Env::Value(value) if quoted => self.add(&value),
            // An unquoted value falls apart at its spaces.
            Env::Value(value) => {
                for (at, part) in value.split_whitespace().enumerate() {
                    if at > 0 {
                        self.word();
                    }
                    self.add(part);
                }
            }
            // What the image or the script itself sets cannot be known.
            Env::Unset | Env::Unknown => {
                self.known = false;
                self.add("$");
                self.add(name);
            }
        }
        tail
    }
}

/// What stands behind the parenthesis that the text begins with, its inner ones included.
fn behind_parenthesis(text: &str) -> &str {
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

#[cfg(test)]
mod tests {
    use super::*;

    const ENV: &[(&str, Option<&str>)] = &[
        ("DIR", Some("/x")),
        ("SUB", Some("$(DIR)/sub")),
        ("SECRET", None),
        ("FLAGS", Some("--dir /y  --quiet")),
        ("LOOP", Some("$(LOOP)")),
    ];

    fn words(script: &str) -> Vec<String> {
        split(script, &|name| lookup(ENV, name, DEPTH))
            .into_iter()
            .map(|piece| match piece {
                Piece::Word { text, known: true } => text,
                Piece::Word { text, known: false } => format!("?{text}"),
                Piece::End => ";".to_owned(),
            })
            .collect()
    }

    #[test]
    fn scripts_split_as_in_a_shell() {
        for (script, expected) in [
            ("exec redis-server --dir /x", vec!["exec", "redis-server", "--dir", "/x", ";"]),
            ("a --save '' --save \"\"", vec!["a", "--save", "", "--save", "", ";"]),
            ("a 'b c' \"d e\" f\\ g", vec!["a", "b c", "d e", "f g", ";"]),
            ("a \\\n  b", vec!["a", "b", ";"]),
            ("a; b && c || d | e &", vec!["a", ";", "b", ";", "c", ";", "d", ";", "e", ";"]),
            (
                "a >/dev/null 2>&1; b &>c && d",
                vec!["a", ">/dev/null", "2>&1", ";", "b", "&>c", ";", "d", ";"],
            ),
            ("a # comment; b\nc", vec!["a", ";", "c", ";"]),
            ("a x#y", vec!["a", "x#y", ";"]),
            ("a $DIR/b ${DIR} \"${SUB}\"", vec!["a", "/x/b", "/x", "/x/sub", ";"]),
            ("a ${NONE:-/d} ${NONE-/e}", vec!["a", "/d", "/e", ";"]),
            ("a $SECRET \"$HOSTNAME\"", vec!["a", "?$SECRET", "?$HOSTNAME", ";"]),
            ("a $FLAGS b", vec!["a", "--dir", "/y", "--quiet", "b", ";"]),
            ("a \"$FLAGS\"", vec!["a", "--dir /y  --quiet", ";"]),
            ("a $(b (c) d) e `f g`h", vec!["a", "?$()", "e", "?`h", ";"]),
            ("a '$DIR' ü", vec!["a", "$DIR", "ü", ";"]),
            ("a 'open", vec!["a", "open", ";"]),
            ("", vec![]),
        ] {
            assert_eq!(words(script), expected, "{script}");
        }
    }

    #[test]
    fn references_are_filled_in_as_kubernetes_does() {
        for (text, expected, known) in [
            ("--dir=$(DIR)", "--dir=/x", true),
            ("$(SUB)/deep", "/x/sub/deep", true),
            ("$$(DIR)", "$(DIR)", true),
            ("$(NONE)", "$(NONE)", true),
            ("$(SECRET)", "$(SECRET)", false),
            ("$(LOOP)", "$(LOOP)", false),
            ("$DIR $(", "$DIR $(", true),
        ] {
            assert_eq!(expand(text, ENV, DEPTH), (Cow::Borrowed(expected), known), "{text}");
        }
    }
}
