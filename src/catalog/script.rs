//! Scripts that are mounted from ConfigMaps, read as if they stood in the container's arguments.

use super::budget::{Budget, Excess};
use super::client::program_of;
use super::configuration::{Configuration, File};
use super::container::Origin;
use super::split::{Words, split};
use super::text::plain;
use super::variables::Variables;
use super::word::{Word, is_shell, program};
use std::borrow::Cow;
use std::collections::HashSet;

/// How deep scripts that run others are followed.
const DEEPEST: usize = 8;

/// The longest script that is read: many times what people write, and thousands of pods may run one script.
const LONGEST: usize = 32 * 1024;

/// Programs that run the rest of their command line as a child.
const INITS: [&str; 3] = ["tini", "dumb-init", "catatonit"];

/// Puts the words of each script that is known behind the command that runs it.
pub(super) fn read_scripts<'c>(
    words: Vec<Word<'c>>,
    configuration: &'c Configuration<'c>,
    working_dir: Option<&str>,
    variables: &Variables<'c>,
    budget: &mut Budget,
) -> Result<Vec<Word<'c>>, Excess> {
    let mut reader =
        Reader { configuration, working_dir, variables, budget, seen: HashSet::new(), all: Vec::new() };
    reader.add(words, 0)?;
    Ok(reader.all)
}

struct Reader<'r, 'c> {
    configuration: &'c Configuration<'c>,
    working_dir: Option<&'r str>,
    variables: &'r Variables<'c>,
    budget: &'r mut Budget,
    /// The scripts that were read: each once.
    seen: HashSet<*const u8>,
    all: Vec<Word<'c>>,
}

impl<'c> Reader<'_, 'c> {
    fn add(&mut self, words: Vec<Word<'c>>, depth: usize) -> Result<(), Excess> {
        let mut command = Vec::new();
        for word in words {
            let end = word.end;
            command.push(word);
            if end {
                self.add_command(std::mem::take(&mut command), depth)?;
            }
        }
        self.add_command(command, depth)
    }

    fn add_command(&mut self, mut command: Vec<Word<'c>>, depth: usize) -> Result<(), Excess> {
        let inner = command.iter().any(|word| word.inner);
        let found = if depth < DEEPEST && !inner { self.script_of(&command) } else { None };
        let Some(script) = found else {
            self.all.append(&mut command);
            return Ok(());
        };
        if !self.seen.insert(script.text.as_ptr()) || !self.configuration.take(script.text.len()) {
            self.all.append(&mut command);
            return Ok(());
        }
        self.budget.grow(script.text.len());
        let mut inner = Vec::new();
        let origin = Origin::Mount { index: Some(script.mount) };
        let variables = self.variables;
        let env = |name: &str| variables.get(name);
        split(script.text, &env, &mut Words::new(&mut inner, origin, true), self.budget)?;
        let passed = command.split_off(script.operands);
        let own = command.split_off(script.from);
        // What is set for the script stays set; what runs it stays a word by which the catalog may know it, and is no
        // longer a command of its own.
        self.all.append(&mut command);
        if script.from > 0 {
            self.end(origin);
        }
        self.all.extend(own.into_iter().map(|word| Word { scripted: false, ..word }));
        let mut taken = false;
        let mut words = Vec::with_capacity(inner.len());
        for word in inner {
            if matches!(&*word.text, "$@" | "$*") && !taken {
                self.budget.steps(passed.len())?;
                words.extend(
                    passed
                        .iter()
                        .filter(|word| !word.end)
                        .cloned()
                        .map(|word| Word { scripted: true, ..word }),
                );
                taken = true;
            } else {
                words.push(word);
            }
        }
        if !taken {
            self.all.extend(passed.into_iter().map(|word| Word { scripted: false, ..word }));
        }
        self.end(origin);
        self.add(words, depth + 1)
    }

    fn end(&mut self, origin: Origin) {
        if self.all.last().is_some_and(|word| !word.end) {
            let text = Cow::Borrowed("");
            self.all.push(Word { text, origin, known: true, scripted: false, inner: false, end: true });
        }
    }

    /// The script that a command runs, when it is one that is known.
    fn script_of(&self, command: &[Word<'c>]) -> Option<Script<'c>> {
        let words = program_of(command)?;
        let from = command.len() - words.len();
        let mut at = from;
        if INITS.contains(&program(&command.get(at)?.text)) {
            at += 1;
            while command.get(at)?.text.starts_with('-') {
                at += 1;
            }
        }
        let head = command.get(at).filter(|word| word.known && !word.end)?;
        let by_shell = is_shell(&head.text) || matches!(&*head.text, "." | "source");
        if by_shell {
            at += 1;
            while let Some(option) = command.get(at).filter(|word| word.text.starts_with(['-', '+'])) {
                let short = !option.text.starts_with("--");
                if short && option.text.contains('c') {
                    return None;
                }
                // `-o pipefail` has a word of its own.
                at += if short && option.text.ends_with('o') { 2 } else { 1 };
            }
        }
        let path = command.get(at).filter(|word| word.known && !word.end)?;
        let path = match path.text.starts_with('/') {
            true => plain("", &path.text),
            false if by_shell || path.text.contains('/') => plain(self.working_dir?, &path.text),
            false => return None,
        };
        let File::Text(mount, text) = self.configuration.file(&path) else { return None };
        let text = text.as_str();
        (text.len() <= LONGEST && is_for_a_shell(text, by_shell)).then_some(Script {
            mount,
            text,
            from,
            operands: at + 1,
        })
    }
}

/// A script that a command runs.
struct Script<'c> {
    mount: usize,
    text: &'c str,
    /// The index of the first word that runs it.
    from: usize,
    /// The index of the first word that is passed to it.
    operands: usize,
}

/// Whether a shell reads the text; by its first line, unless a shell is told to.
fn is_for_a_shell(text: &str, by_shell: bool) -> bool {
    let interpreter = text.strip_prefix("#!").and_then(|rest| rest.lines().next());
    match interpreter {
        Some(line) => line.split_whitespace().any(is_shell),
        None => by_shell || !text.starts_with('\u{7f}'),
    }
}
