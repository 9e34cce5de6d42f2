//! What a script sets its own variables to, as far as that follows from its text: `ARGS="--dir /x"; server $ARGS`.

use super::client::{WRAPPERS, is_assignment};
use std::collections::HashMap;

/// Words behind which assignments stand that hold for the rest of the script.
const DECLARE: [&str; 5] = ["declare", "export", "local", "readonly", "typeset"];
/// Words that begin what may be passed over, or run more than once.
pub(super) const OPENING: [&str; 7] = ["case", "for", "if", "select", "until", "while", "{"];
/// Words that end it.
pub(super) const CLOSING: [&str; 4] = ["done", "esac", "fi", "}"];

/// The variables that a script sets, as it is read from its beginning.
#[derive(Debug, Default)]
pub(super) struct Assigned {
    /// By their names; none where it hangs on a condition, or on what is not known.
    values: HashMap<String, Option<String>>,
    /// The assignments of the command that is being read. They hold for the script when no program stands behind them.
    pending: Vec<(String, Option<String>)>,
    /// Whether the command runs a program, so that only this one sees them.
    runs: bool,
    /// How many conditions and loops it stands in.
    depth: usize,
    /// Whether it is run by what the command before ends with: `[ -d /x ] && DIR=/x`.
    follows: bool,
}

impl Assigned {
    /// The value of a variable that the script has set; none inside where it is not known.
    pub(super) fn value(&self, name: &str) -> Option<Option<&str>> {
        self.values.get(name).map(Option::as_deref)
    }

    /// One more word of the command.
    pub(super) fn word(&mut self, text: &str, known: bool) {
        if self.runs {
            return;
        }
        if OPENING.contains(&text) {
            self.depth += 1;
        } else if CLOSING.contains(&text) {
            self.depth = self.depth.saturating_sub(1);
        }
        match text.split_once('=') {
            Some((name, value)) if is_assignment(text) => {
                let value = known.then(|| value.to_owned());
                self.pending.push(match name.strip_suffix('+') {
                    None => (name.to_owned(), value),
                    // `ARGS+=" --dir /x"`
                    Some(name) => {
                        let before = self.values.get(name).cloned().flatten();
                        (name.to_owned(), before.zip(value).map(|(before, value)| before + &value))
                    }
                });
            }
            _ => {
                self.runs = !DECLARE.contains(&text) && !WRAPPERS.contains(&text) && !OPENING.contains(&text)
            }
        }
    }

    /// The command ends.
    pub(super) fn end_command(&mut self) {
        let certain = self.depth == 0 && !self.follows;
        for (name, value) in self.pending.drain(..) {
            if self.runs {
                continue;
            }
            let known = self.values.get(&name);
            let value = value.filter(|value| certain || known.is_some_and(|old| old.as_ref() == Some(value)));
            self.values.insert(name, value);
        }
        self.runs = false;
    }

    /// What the command ends with: whether the next one is run may hang on it.
    pub(super) fn ended_by(&mut self, end: char) {
        self.follows = matches!(end, '&' | '|');
    }
}

#[cfg(test)]
mod tests {
    use super::super::budget::Budget;
    use super::super::container::Origin;
    use super::super::split::{Words, split};
    use super::super::variables::Env;
    use super::super::word::Word;

    /// The last command's words; one that is not known has a question mark.
    fn last(script: &str) -> Vec<String> {
        let mut words: Vec<Word<'_>> = Vec::new();
        let env = |name: &str| if name == "GIVEN" { Env::Value("/given") } else { Env::Unset };
        let mut all = Words::new(&mut words, Origin::Args { index: 0 }, true);
        split(script, &env, &mut all, &mut Budget::set(1000, 1000)).unwrap();
        let command = words.split(|word| word.end).rfind(|command| !command.is_empty()).unwrap();
        command.iter().map(|word| format!("{}{}", if word.known { "" } else { "?" }, word.text)).collect()
    }

    #[test]
    fn what_a_script_sets_is_known_behind_it() {
        for (script, expected) in [
            ("ARGS='--dir /x'; s $ARGS", vec!["s", "--dir", "/x"]),
            ("ARGS='--dir /x'\nARGS=\"$ARGS --y\"\ns $ARGS", vec!["s", "--dir", "/x", "--y"]),
            ("export DIR=/x; s --dir ${DIR}/y", vec!["s", "--dir", "/x/y"]),
            (
                "args=\"\n--include /x\n--include /y\n\"\ns $args",
                vec!["s", "--include", "/x", "--include", "/y"],
            ),
            ("GIVEN=/mine; s $GIVEN", vec!["s", "/mine"]),
            ("if [ x ]; then DIR=/x; else DIR=/y; fi; s $DIR", vec!["s", "?$DIR"]),
            ("DIR=/x; if [ x ]; then DIR=/y; fi; s $DIR", vec!["s", "?$DIR"]),
            ("DIR=/x; if [ x ]; then DIR=/x; fi; s $DIR", vec!["s", "/x"]),
            ("[ x ] && DIR=/y; s $DIR", vec!["s", "?$DIR"]),
            ("[ x ] && y; DIR=/y; s $DIR", vec!["s", "/y"]),
            ("DIR=/x other; s $DIR", vec!["s", "?$DIR"]),
            ("set_it() { DIR=/x; }; s $DIR", vec!["s", "?$DIR"]),
            ("DIR=$OTHER; s $DIR", vec!["s", "?$DIR"]),
            ("s $GIVEN", vec!["s", "/given"]),
            ("echo DIR=/x; s $DIR", vec!["s", "?$DIR"]),
        ] {
            assert_eq!(last(script), expected, "{script}");
        }
    }

    #[test]
    fn a_value_that_doubles_stops_at_the_budget() {
        let script = format!("A=xx; {} s $A", "A=$A$A; ".repeat(40));
        let mut words = Vec::new();
        let mut budget = Budget::set(10_000, 10_000);
        let mut all = Words::new(&mut words, Origin::Args { index: 0 }, true);
        assert!(split(&script, &|_| Env::Unset, &mut all, &mut budget).is_err());
    }
}
