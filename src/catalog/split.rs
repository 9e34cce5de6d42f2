//! Scripts as words: what a shell makes of quotes, variables, comments, here-documents and the ends of commands.

use super::assigned::Assigned;
use super::budget::{Budget, Excess};
use super::container::Origin;
use super::shell::{HereDocument, behind_parenthesis, in_parentheses};
use super::variables::Env;
use super::word::{ARITHMETIC, ARRAY, FUNCTION, TAKEN, Word, is_shell};
use std::borrow::Cow;

/// How deep commands whose output is taken, `$(…)`, are read in one another.
const DEEPEST: usize = 3;

/// The longest arithmetic that is passed over.
const LONGEST_ARITHMETIC: usize = 200;

/// Splits a script into words as a shell would, as far as that can be known without running it: quotes, backslashes,
/// comments, `$NAME`, `${NAME}` and `${NAME:-default}` of known variables and of what the script itself sets, and the ends of
/// commands. A command's output (`$(…)`, backquotes) is an unknown value, and the words of the command stand behind those of
/// the one that takes it.
pub(super) fn split<'e>(
    script: &str,
    env: &dyn Fn(&str) -> Env<'e>,
    words: &mut Words<'_, '_>,
    budget: &mut Budget,
) -> Result<(), Excess> {
    split_at(script, env, words, budget)?;
    for _ in 0..DEEPEST {
        let taken = std::mem::take(&mut words.taken);
        words.inner = true;
        for command in taken {
            split_at(&command, env, words, budget)?;
        }
    }
    words.inner = false;
    Ok(())
}

fn split_at<'e>(
    script: &str,
    env: &dyn Fn(&str) -> Env<'e>,
    words: &mut Words<'_, '_>,
    budget: &mut Budget,
) -> Result<(), Excess> {
    let mut rest = script;
    let mut quoted = false;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        rest = match c {
            '"' => {
                quoted = !quoted;
                words.open = true;
                after
            }
            '\'' if !quoted => {
                let (literal, tail) = after.split_once('\'').unwrap_or((after, ""));
                words.add(literal);
                tail
            }
            '\\' => {
                let next = after.chars().next();
                let tail = after.get(next.map_or(0, char::len_utf8)..).unwrap_or_default();
                match next {
                    None | Some('\n') => {}
                    Some(next) => words.add(next.encode_utf8(&mut [0; 4])),
                }
                tail
            }
            '$' => words.variable(after, quoted, env, budget)?,
            '`' => {
                words.known = false;
                words.add("`");
                let (command, tail) = after.split_once('`').unwrap_or_default();
                words.take(command, budget)?;
                tail
            }
            _ if quoted => {
                words.add(c.encode_utf8(&mut [0; 4]));
                after
            }
            '#' if !words.open => after.find('\n').and_then(|end| after.get(end..)).unwrap_or(""),
            // 2>&1 and &>file send output somewhere and end nothing.
            '&' if words.text.ends_with(['>', '<']) || after.starts_with('>') => {
                words.add("&");
                after
            }
            '(' if !words.tests && words.begins_array() => {
                words.begin_array(budget)?;
                after
            }
            '(' if !words.tests
                && !words.open
                && after.starts_with('(')
                && words.arithmetic(after).is_some() =>
            {
                words.add(ARITHMETIC);
                words.end_word(budget)?;
                after.split_once("))").map_or("", |(_, tail)| tail)
            }
            '\n' if words.array => {
                words.end_word(budget)?;
                after
            }
            '(' if !words.tests
                && after.trim_start_matches(' ').starts_with(')')
                && words.name_function(budget)? =>
            {
                after.split_once(')').map_or("", |(_, tail)| tail)
            }
            '<' if after.starts_with('<') => words.redirect(after),
            ';' | '&' | '|' | '\n' | '(' | ')' if !words.tests || words.text == "]]" => {
                words.tests = false;
                words.array = false;
                words.end_command(budget)?;
                words.assigned.ended_by(c);
                if c == '\n' { words.end_line(after, budget)? } else { after }
            }
            _ if c.is_whitespace() => {
                words.look_for_test(after, budget)?;
                words.end_word(budget)?;
                after
            }
            _ => {
                words.add(c.encode_utf8(&mut [0; 4]));
                after
            }
        };
    }
    words.end_command(budget)
}

/// Where the words of a script go, and the word that is being read.
pub(super) struct Words<'w, 'a> {
    all: &'w mut Vec<Word<'a>>,
    /// How many words stood there before.
    from: usize,
    origin: Origin,
    scripted: bool,
    text: String,
    known: bool,
    /// Whether a word has begun, which may still be empty: `""`.
    open: bool,
    /// Whether a brace that closes may still come: what was searched in vain once is not searched again.
    closes: bool,
    /// The same of `]]`.
    test_ends: bool,
    /// Whether it stands between `[[` and `]]`, where `||` and parentheses end no command.
    tests: bool,
    /// Where the words of the line begin, and the here-documents that it announces.
    line: usize,
    documents: Vec<HereDocument>,
    /// Whether a here-document that ends may still come.
    documents_end: bool,
    /// The variables that the script sets.
    assigned: Assigned,
    /// Whether it stands in a list that is set: `ARGS=(`.
    array: bool,
    /// Whether the script is a command whose output is taken.
    inner: bool,
    /// The commands whose output is taken.
    taken: Vec<String>,
}

impl<'w, 'a> Words<'w, 'a> {
    pub(super) fn new(all: &'w mut Vec<Word<'a>>, origin: Origin, scripted: bool) -> Self {
        let from = all.len();
        Self {
            all,
            from,
            origin,
            scripted,
            text: String::new(),
            known: true,
            open: false,
            closes: true,
            test_ends: true,
            tests: false,
            line: from,
            documents: Vec::new(),
            documents_end: true,
            assigned: Assigned::default(),
            array: false,
            inner: false,
            taken: Vec::new(),
        }
    }

    /// Keeps a command whose output is taken, so that it is read as well.
    fn take(&mut self, command: &str, budget: &mut Budget) -> Result<(), Excess> {
        if !command.trim().is_empty() {
            budget.bytes(command.len())?;
            self.taken.push(command.to_owned());
        }
        Ok(())
    }

    fn add(&mut self, text: &str) {
        self.text.push_str(text);
        self.open = true;
    }

    fn push(&mut self, end: bool, budget: &mut Budget) -> Result<(), Excess> {
        budget.steps(1)?;
        self.all.push(Word {
            text: Cow::Owned(std::mem::take(&mut self.text)),
            origin: self.origin,
            known: self.known,
            scripted: self.scripted,
            inner: self.inner,
            end,
        });
        Ok(())
    }

    fn end_word(&mut self, budget: &mut Budget) -> Result<(), Excess> {
        if self.open {
            if self.scripted {
                self.assigned.word(&self.text, self.known);
            }
            self.push(false, budget)?;
        }
        self.open = false;
        self.known = true;
        Ok(())
    }

    fn end_command(&mut self, budget: &mut Budget) -> Result<(), Excess> {
        self.end_word(budget)?;
        self.assigned.end_command();
        let last = self.all.get(self.from..).and_then(<[_]>::last);
        if last.is_some_and(|word| !word.end) { self.push(true, budget) } else { Ok(()) }
    }

    /// Takes `<<WORD`, which announces a here-document, or `<<<`, and returns what stands behind.
    fn redirect<'t>(&mut self, after: &'t str) -> &'t str {
        let from = if after.starts_with("<<") { "<<<" } else { "<<" };
        self.add(from);
        let behind = after.get(from.len() - 1..).unwrap_or_default();
        match (from, HereDocument::announced(behind)) {
            ("<<", Some((document, tail))) => {
                self.add(&document.end);
                self.documents.push(document);
                tail
            }
            _ => behind,
        }
    }

    /// Leaves out the here-documents that the line announces: they are a program's input. Those of a shell are run.
    fn end_line<'t>(&mut self, after: &'t str, budget: &mut Budget) -> Result<&'t str, Excess> {
        let mut rest = after;
        let documents = std::mem::take(&mut self.documents);
        if !documents.is_empty() && self.documents_end {
            let line = self.all.get(self.line..).unwrap_or_default();
            let runs = line.iter().any(|word| !word.inner && is_shell(&word.text));
            for document in documents.iter().filter(|_| !runs) {
                match document.behind(rest) {
                    Some(tail) => rest = tail,
                    None => {
                        self.documents_end = false;
                        budget.vain_search(rest.len())?;
                        break;
                    }
                }
            }
        }
        self.line = self.all.len();
        Ok(rest)
    }

    /// Where the word that ends here begins or ends a test.
    fn look_for_test(&mut self, after: &str, budget: &mut Budget) -> Result<(), Excess> {
        if self.tests {
            self.tests = self.text != "]]";
        } else if self.test_ends && self.open && self.text == "[[" {
            self.test_ends = after.contains("]]");
            self.tests = self.test_ends;
            if !self.test_ends {
                budget.vain_search(after.len())?;
            }
        }
        Ok(())
    }

    /// Whether the word before a parenthesis sets a list.
    fn begins_array(&self) -> bool {
        self.scripted && self.text.strip_suffix('=').is_some_and(|name| !name.is_empty())
    }

    /// Takes the words that follow for the items of a list: a command of its own, which runs nothing.
    fn begin_array(&mut self, budget: &mut Budget) -> Result<(), Excess> {
        // The list is set, and not what stands before it.
        self.known = false;
        self.end_command(budget)?;
        self.array = true;
        self.add(ARRAY);
        self.end_word(budget)
    }

    /// What stands in `((…))` where that is arithmetic, and no list of commands within another.
    fn arithmetic<'t>(&self, after: &'t str) -> Option<&'t str> {
        let mut pairs = after.as_bytes().windows(2).take(LONGEST_ARITHMETIC);
        let inner = after.get(..pairs.position(|pair| pair == b"))")?)?;
        let last = self.all.get(self.from..).and_then(<[_]>::last);
        let counts = last.is_some_and(|word| !word.end && word.text == "for");
        (!inner.contains(['\n', '/']) && (counts || !inner.contains(';'))).then_some(inner)
    }

    /// Takes the word before `()` for the name of a function, which is defined behind it: a word with that end, and a command
    /// of its own. False where no word stands there.
    fn name_function(&mut self, budget: &mut Budget) -> Result<bool, Excess> {
        self.end_word(budget)?;
        let last = self.all.get_mut(self.from..).and_then(<[_]>::last_mut);
        let Some(name) = last.filter(|word| !word.end && word.known) else { return Ok(false) };
        name.text.to_mut().push_str(FUNCTION);
        self.end_command(budget)?;
        Ok(true)
    }

    /// Reads what stands behind a dollar sign and returns what stands behind that.
    fn variable<'t, 'e>(
        &mut self,
        after: &'t str,
        quoted: bool,
        env: &dyn Fn(&str) -> Env<'e>,
        budget: &mut Budget,
    ) -> Result<&'t str, Excess> {
        if after.starts_with('(') {
            self.known = false;
            self.add(TAKEN);
            let tail = behind_parenthesis(after);
            // Two parentheses are arithmetic.
            if let Some(command) = in_parentheses(after, tail).filter(|command| !command.starts_with('(')) {
                self.take(command, budget)?;
            }
            return Ok(tail);
        }
        let opened = after.strip_prefix('{').filter(|_| self.closes);
        let braced = opened.and_then(|inner| inner.split_once('}'));
        if let (Some(inner), None) = (opened, braced) {
            self.closes = false;
            budget.vain_search(inner.len())?;
        }
        let (name, default, tail) = match braced {
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
        budget.steps(1)?;
        let own = self.assigned.value(name).map(|value| value.map(str::to_owned));
        let value = match (&own, env(name), default) {
            (Some(own), ..) => own.as_deref(),
            (None, Env::Unset, Some(default)) if !default.contains('$') => Some(default),
            (None, Env::Value(value), _) => Some(value),
            // What the image sets cannot be known.
            (None, Env::Unset | Env::Perhaps | Env::Unknown | Env::Sealed(_), _) => None,
        };
        budget.bytes(value.map_or(0, str::len))?;
        match value {
            Some(value) if quoted => self.add(value),
            // An unquoted value falls apart at its spaces.
            Some(value) => {
                for (at, part) in value.split_whitespace().enumerate() {
                    if at > 0 {
                        self.end_word(budget)?;
                    }
                    self.add(part);
                }
            }
            None => {
                self.known = false;
                self.add("$");
                self.add(name);
            }
        }
        Ok(tail)
    }
}
