//! What a container runs, as words: command and arguments with `$(VAR)` filled in, and a shell's script taken apart.

use std::cell::OnceCell;

use super::branches::in_branches;
use super::budget::{Budget, Excess};
use super::container::{ContainerView, Origin, ROLE_LABELS};
use super::script::read_scripts;
use super::shell::script_after;
use super::split::{Words, split};
use super::text::known_beginning;
use super::variables::{Env, Variables};
use super::word::{Word, is_flag, is_shell, program};

/// A container's words, and its environment; `'a` is the catalog's life.
#[derive(Debug)]
pub(super) struct Argv<'c, 'a> {
    /// The container's name.
    pub(super) container: &'c str,
    /// The pod's roles.
    pub(super) roles: [Option<&'c str>; ROLE_LABELS.len()],
    pub(super) words: Vec<Word<'c>>,
    /// The first of the image's own variables for further arguments whose value is not known.
    pub(super) unknown_args: Option<(&'a str, Env<'static>)>,
    variables: Variables<'c>,
    programs: Index,
    long_flags: Index,
    short_flags: Index,
    assignments: Index,
    unknown_words: OnceCell<bool>,
    branches: OnceCell<Vec<u32>>,
}

/// How many assignments of one variable are looked at: more than scripts have that people write.
const MOST_CHOICES: usize = 16;

/// The words that have a certain part, in the order of these parts, so that no look-up reads all words.
type Index = OnceCell<Vec<u32>>;

impl<'c, 'a> Argv<'c, 'a> {
    /// `args_env` names the variables whose values the image appends to its arguments.
    pub(super) fn new(
        container: &ContainerView<'c>,
        args_env: &'a [String],
        budget: &mut Budget,
    ) -> Result<Self, Excess> {
        let variables = Variables::new(container, budget)?;
        let mut words = Vec::with_capacity(container.command.len() + container.args.len());
        let command =
            container.command.iter().enumerate().map(|(index, text)| (text, Origin::Command { index }));
        let args = container.args.iter().enumerate().map(|(index, text)| (text, Origin::Args { index }));
        for (text, origin) in command.chain(args) {
            push(&mut words, text, origin, &variables, budget)?;
        }
        take_script_apart(&mut words, &variables, budget)?;
        if let Some(configuration) = container.configuration {
            words = read_scripts(words, configuration, container.working_dir, &variables, budget)?;
        }
        let mut argv = Self {
            container: container.name,
            roles: container.roles,
            words,
            unknown_args: None,
            variables,
            programs: Index::new(),
            long_flags: Index::new(),
            short_flags: Index::new(),
            assignments: Index::new(),
            unknown_words: OnceCell::new(),
            branches: OnceCell::new(),
        };
        let mut more = Vec::new();
        for name in args_env {
            match argv.env(name) {
                Env::Value(value) => {
                    budget.bytes(value.len())?;
                    split(
                        value,
                        &|_| Env::Unknown,
                        &mut Words::new(&mut more, argv.env_origin(name), false),
                        budget,
                    )?;
                }
                Env::Unknown | Env::Sealed(_) => {
                    argv.unknown_args = argv.unknown_args.or(Some((name, Env::Unknown)))
                }
                Env::Perhaps => argv.unknown_args = argv.unknown_args.or(Some((name, Env::Perhaps))),
                Env::Unset => {}
            }
        }
        argv.words.extend(more);
        Ok(argv)
    }

    /// A variable as the process sees it: set by the script, or else by the container.
    pub(super) fn env(&self, name: &str) -> Env<'_> {
        match self.assignments_of(name).as_slice() {
            [] => self.variables.get(name),
            [word] => value_of(word).map_or(Env::Unknown, Env::Value),
            _ => Env::Unknown,
        }
    }

    /// The values of a variable of which the script chooses one; none where it does not, or one of them is not known.
    pub(super) fn choices(&self, name: &str) -> Option<Vec<&str>> {
        let assignments = self.assignments_of(name);
        if assignments.len() < 2 {
            return None;
        }
        assignments.into_iter().map(value_of).collect()
    }

    /// What a variable whose value is not known begins with, as far as that is known.
    pub(super) fn env_beginning(&self, name: &str) -> &str {
        match self.assignments_of(name).as_slice() {
            [] => self.variables.beginning(name),
            [word] => known_beginning(word.text.get(name.len() + 1..).unwrap_or_default()),
            _ => "",
        }
    }

    /// Where a variable is set.
    pub(super) fn env_origin(&self, name: &str) -> Origin {
        match self.assignment(name) {
            Some(word) => word.origin,
            None => self.variables.origin(name),
        }
    }

    fn assignment(&self, name: &str) -> Option<&Word<'c>> {
        let index = self.having(&self.assignments, assigned, name).last()?;
        self.word(*index)
    }

    /// The assignments of which one counts, each value once: the last one, and before it those that a condition chooses among.
    fn assignments_of(&self, name: &str) -> Vec<&Word<'c>> {
        let branches =
            || self.branches.get_or_init(|| in_branches(&self.words, |word| assigned(word).is_some()));
        let all = self.having(&self.assignments, assigned, name);
        let mut found: Vec<&Word<'c>> = Vec::new();
        for at in all.iter().rev().take(MOST_CHOICES) {
            let Some(word) = self.word(*at) else { continue };
            if !found.iter().any(|other| (&other.text, other.known) == (&word.text, word.known)) {
                found.push(word);
            }
            if all.len() == 1 || branches().binary_search(at).is_err() {
                break;
            }
        }
        found
    }

    /// The words that are that program, with its directory or without; or just that word.
    pub(super) fn is_among(&self, name: &str) -> bool {
        !self.having(&self.programs, |word| (!word.end).then(|| program(&word.text)), name).is_empty()
    }

    /// The words that may be a flag of that name, in their order; the name is one without its dashes.
    pub(super) fn flags(&self, name: &str) -> impl Iterator<Item = (usize, &Word<'c>)> {
        let found = if name.len() == 1 {
            self.having(&self.short_flags, letter, name)
        } else {
            self.having(&self.long_flags, long_name, until_equals(name))
        };
        found.iter().filter_map(|at| Some((usize::try_from(*at).ok()?, self.word(*at)?)))
    }

    /// Whether a word that is no flag's value is unknown: `$EXTRA_ARGS` may hold any argument, `--requirepass $PASS` not.
    pub(super) fn has_unknown_words(&self) -> bool {
        *self.unknown_words.get_or_init(|| {
            let mut after_flag = false;
            self.words.iter().any(|word| {
                let free = !word.known && !word.inner && !after_flag && !is_flag(&word.text);
                after_flag = is_flag(&word.text) && !word.text.contains('=');
                free
            })
        })
    }

    fn word(&self, at: u32) -> Option<&Word<'c>> {
        self.words.get(usize::try_from(at).ok()?)
    }

    /// The indexes of the words whose part is that text, in their order.
    fn having<'w>(
        &'w self,
        index: &'w Index,
        part: for<'v> fn(&'v Word<'c>) -> Option<&'v str>,
        wanted: &str,
    ) -> &'w [u32] {
        let part_at = |at: &u32| self.word(*at).and_then(part);
        let index = index.get_or_init(|| {
            let mut index: Vec<u32> =
                (0..).zip(&self.words).filter(|(_, word)| part(word).is_some()).map(|(at, _)| at).collect();
            index.sort_by(|a, b| part_at(a).cmp(&part_at(b)));
            index
        });
        let from = index.partition_point(|at| part_at(at) < Some(wanted));
        let found = index.get(from..).unwrap_or_default();
        found.get(..found.partition_point(|at| part_at(at) == Some(wanted))).unwrap_or_default()
    }
}

/// The value that an assignment has, where it is known.
fn value_of<'v>(word: &'v Word<'_>) -> Option<&'v str> {
    let (name, value) = word.text.split_once('=').filter(|_| word.known)?;
    // What `+=` adds to is not looked for.
    (!name.ends_with('+')).then_some(value)
}

/// The variable that a word of a script sets.
fn assigned<'v>(word: &'v Word<'_>) -> Option<&'v str> {
    let (name, _) = word.text.split_once('=').filter(|_| word.scripted && !word.inner)?;
    Some(name.strip_suffix('+').unwrap_or(name))
}

/// The name of a flag of more than one letter, without its dashes.
fn long_name<'v>(word: &'v Word<'_>) -> Option<&'v str> {
    let flag = word.text.starts_with('-') && !word.inner;
    flag.then(|| until_equals(word.text.trim_start_matches('-')))
}

fn until_equals(text: &str) -> &str {
    text.split_once('=').map_or(text, |(name, _)| name)
}

/// The letter of a short flag.
fn letter<'v>(word: &'v Word<'_>) -> Option<&'v str> {
    let rest = word.text.strip_prefix('-').filter(|_| !word.inner)?;
    rest.get(..rest.chars().next()?.len_utf8())
}

fn push<'a>(
    words: &mut Vec<Word<'a>>,
    text: &'a str,
    origin: Origin,
    variables: &Variables<'a>,
    budget: &mut Budget,
) -> Result<(), Excess> {
    let (text, known) = variables.fill_in(text, budget)?;
    let flag_end = text.find(['=', ' ']).unwrap_or(text.len());
    // Redis takes `--save ""` as one argument, and people who quote too much write it for others too.
    if text.starts_with('-') && text.get(flag_end..).is_some_and(|rest| rest.starts_with(' ')) {
        return split(&text, &|_| Env::Unknown, &mut Words::new(words, origin, false), budget);
    }
    budget.steps(1)?;
    words.push(Word { text, origin, known, scripted: false, inner: false, end: false });
    Ok(())
}

/// Puts the words of the script in the place of `sh -c script`; what stands behind it are the script's own arguments
/// and stays.
fn take_script_apart<'a>(
    words: &mut Vec<Word<'a>>,
    variables: &Variables<'a>,
    budget: &mut Budget,
) -> Result<(), Excess> {
    let Some(shell) = words.iter().position(|word| is_shell(&word.text)) else { return Ok(()) };
    let Some(at) = script_after(words, shell) else { return Ok(()) };
    let behind = words.split_off(at + 1);
    let Some(script) = words.pop() else { return Ok(()) };
    words.clear();
    split(&script.text, &|name| variables.get(name), &mut Words::new(words, script.origin, true), budget)?;
    words.extend(behind);
    Ok(())
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

    fn split_into(
        script: &str,
        env: &[(&str, Option<&str>)],
        budget: &mut Budget,
    ) -> Result<Vec<String>, Excess> {
        let container = ContainerView { env, ..ContainerView::default() };
        let variables = Variables::new(&container, budget)?;
        let mut words = Vec::new();
        let origin = Origin::Args { index: 0 };
        split(script, &|name| variables.get(name), &mut Words::new(&mut words, origin, true), budget)?;
        let text = |word: Word<'_>| match word {
            Word { end: true, .. } => ";".to_owned(),
            Word { known, inner, text, .. } => {
                format!("{}{}{text}", if known { "" } else { "?" }, if inner { "(" } else { "" })
            }
        };
        Ok(words.into_iter().map(text).collect())
    }

    fn words(script: &str) -> Vec<String> {
        split_into(script, ENV, &mut Budget::set(1000, 100)).unwrap()
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
            (
                "a $(b (c) d) e `f g`h",
                vec!["a", "?$()", "e", "?`h", ";", "(b", ";", "(c", ";", "(d", ";", "(f", "(g", ";"],
            ),
            ("a $((1 + 2)) $() $(b", vec!["a", "?$()", "?$()", "?$()", ";"]),
            (
                "a $(b $(c $(d $(e))))",
                vec!["a", "?$()", ";", "(b", "?($()", ";", "(c", "?($()", ";", "(d", "?($()", ";"],
            ),
            ("a '$DIR' ü", vec!["a", "$DIR", "ü", ";"]),
            ("a 'open", vec!["a", "open", ";"]),
            ("f() { a b; }; f", vec!["f()", ";", "{", "a", "b", ";", "}", ";", "f", ";"]),
            ("f ( )\n{ a; }", vec!["f()", ";", "{", "a", ";", "}", ";"]),
            ("(); a \"b()\"", vec!["a", "b()", ";"]),
            (
                "if [[ $DIR == x || ( a ) ]]; then b; fi",
                vec![
                    "if", "[[", "/x", "==", "x", "||", "(", "a", ")", "]]", ";", "then", "b", ";", "fi", ";",
                ],
            ),
            ("[[ a || b", vec!["[[", "a", ";", "b", ";"]),
            ("cat <<E >/x\npostgres -D /x\nE\na", vec!["cat", "<<E", ">/x", ";", "a", ";"]),
            ("a << 'E F' 2>&1 | b\n; $X 'c\nE F\nd", vec!["a", "<<E F", "2>&1", ";", "b", ";", "d", ";"]),
            ("a <<-\\E; b\n\tx\n\tE\nc", vec!["a", "<<E", ";", "b", ";", "c", ";"]),
            ("a <<X <<\"Y\"\nx\nX\ny\nY\nb", vec!["a", "<<X", "<<Y", ";", "b", ";"]),
            ("a <<E\n E\nEE\nE", vec!["a", "<<E", ";"]),
            ("bash -s <<E\nb\nE\nc", vec!["bash", "-s", "<<E", ";", "b", ";", "E", ";", "c", ";"]),
            ("cat <<E | sh\nb\nE", vec!["cat", "<<E", ";", "sh", ";", "b", ";", "E", ";"]),
            ("a <<<E\nb\nE", vec!["a", "<<<E", ";", "b", ";", "E", ";"]),
            ("a <<E\nb", vec!["a", "<<E", ";", "b", ";"]),
            ("a 1 << 2; b '<<E'\nE", vec!["a", "1", "<<2", ";", "b", "<<E", ";", "E", ";"]),
            ("", vec![]),
        ] {
            assert_eq!(words(script), expected, "{script}");
        }
    }

    #[test]
    fn a_script_of_dollars_and_braces_is_read_once() {
        const MIB: usize = 1 << 20;
        for (unit, words_each) in [
            ("${", 0),
            ("$", 0),
            ("$(", 0),
            ("${A", 0),
            ("a ", 1),
            ("a;", 2),
            ("$X ", 1),
            ("<<E\n", 2),
            ("<<E\nE\n", 2),
            ("<<<", 1),
        ] {
            let script = unit.repeat(MIB / 16 / unit.len());
            let mut budget = Budget::set(MIB, usize::MAX);
            let words = split_into(&script, &[], &mut budget).unwrap();
            let count = script.len() / unit.len();
            assert!(words.len() <= count * words_each + 2, "{unit}: {}", words.len());
            let (bytes, steps, _) = budget.used();
            assert!(bytes == 0 && steps <= 2 * count + 100, "{unit}: {bytes} bytes, {steps} steps");
        }
    }

    #[test]
    fn a_script_stops_at_the_budget() {
        let value = "x ".repeat(1000);
        let env = [("A", Some(value.as_str()))];
        let script = "$A".repeat(1000);
        let mut budget = Budget::set(10_000, usize::MAX);
        assert_eq!(split_into(&script, &env, &mut budget), Err(Excess::Bytes(10_000)));
        let mut budget = Budget::set(usize::MAX, 10_000);
        assert_eq!(split_into(&script, &env, &mut budget), Err(Excess::Steps(10_000)));
        assert!(budget.used().0 <= 20_000, "what is made stops there, too");
    }

    #[test]
    fn words_are_found_by_their_parts() {
        let script = "A=1 /bin/redis-server -D/x --dir=/y -dir /z -D=w A=2 --direct B";
        let mut words = Vec::new();
        let variables = Variables::new(&ContainerView::default(), &mut Budget::set(0, 0)).unwrap();
        let mut budget = Budget::set(1000, 1000);
        split(
            script,
            &|_| Env::Unset,
            &mut Words::new(&mut words, Origin::Args { index: 0 }, true),
            &mut budget,
        )
        .unwrap();
        let argv = Argv {
            container: "",
            roles: Default::default(),
            words,
            unknown_args: None,
            variables,
            programs: Index::new(),
            long_flags: Index::new(),
            short_flags: Index::new(),
            assignments: Index::new(),
            unknown_words: OnceCell::new(),
            branches: OnceCell::new(),
        };
        let flags = |name: &str| argv.flags(name).map(|(at, _)| at).collect::<Vec<_>>();
        assert_eq!(flags("dir"), [3, 4]);
        assert_eq!(flags("D"), [2, 6]);
        assert_eq!(flags("none"), [0_usize; 0]);
        assert_eq!(argv.env("A"), Env::Value("2"), "the last one");
        assert_eq!(argv.env("B"), Env::Unset, "no assignment");
        assert!(argv.is_among("redis-server") && argv.is_among("B") && !argv.is_among("bin"));
    }
}
