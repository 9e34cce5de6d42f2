//! Functions of a script that run what they are given: `retry() { until "$@"; do sleep 1; done; }; retry psql -h db`.

use super::client::{WRAPPERS, behind_runners, is_assignment, program_of};
use super::word::{FUNCTION, Word};
use std::borrow::Cow;
use std::collections::HashSet;

/// What a script's functions run of what they are given.
#[derive(Default)]
pub(super) struct Passed<'w, 'a> {
    /// The commands that do, by their number.
    running: HashSet<usize>,
    /// What the functions are given, as commands.
    pub(super) given: Vec<Vec<Word<'a>>>,
    /// The functions that they stand in.
    runners: HashSet<&'w str>,
    /// Variables that hold it.
    names: HashSet<&'w str>,
}

impl<'w, 'a> Passed<'w, 'a> {
    pub(super) fn of(words: &'w [Word<'a>], functions: &HashSet<&str>) -> Self {
        let mut passed = Self::default();
        if functions.is_empty() {
            return passed;
        }
        let (mut depth, mut named, mut inside) = (0_usize, None, "");
        for (number, command) in words.split(|word| word.end).enumerate() {
            let mut head = command;
            // `function f {` has the brace in the same command.
            if let Some((_, rest)) = head.split_first().filter(|(first, _)| first.text == "function") {
                named = rest.first().map(|name| &*name.text);
                head = rest.get(1..).unwrap_or_default();
            }
            named = command.last().and_then(|word| word.text.strip_suffix(FUNCTION)).or(named);
            for word in head.iter().take_while(|word| WRAPPERS.contains(&&*word.text)) {
                match &*word.text {
                    "{" if named.is_some() || depth > 0 => {
                        inside = named.take().unwrap_or(inside);
                        depth += 1;
                    }
                    "}" => depth = depth.saturating_sub(1),
                    _ => {}
                }
            }
            if depth > 0 {
                passed.look_at(number, head, inside);
            }
        }
        passed.given = calls(words, &passed.runners);
        passed
    }

    /// Whether the command of that number runs what its function is given.
    pub(super) fn is_run_by(&self, number: usize) -> bool {
        self.running.contains(&number)
    }

    /// One command within that function.
    fn look_at(&mut self, number: usize, command: &'w [Word<'a>], function: &'w str) {
        for word in command.iter().filter(|word| !word.known && !word.inner) {
            if let Some((name, value)) = word.text.split_once('=').filter(|_| is_assignment(&word.text))
                && self.holds(value)
            {
                self.names.insert(name);
            }
        }
        let Some(command) = program_of(command).map(behind_runners) else { return };
        let Some((head, operands)) = command.split_first() else { return };
        if !head.known && self.holds(&head.text) {
            self.running.insert(number);
            self.runners.insert(function);
        }
        // `read -r -a command <<< "$cmd"`
        if head.text == "read"
            && let Some(at) = operands.iter().position(|word| word.text.starts_with("<<<"))
            && operands
                .get(at..)
                .unwrap_or_default()
                .iter()
                .any(|word| self.holds(word.text.trim_start_matches('<')))
        {
            let names = operands.iter().take(at).filter(|word| word.known && !word.text.starts_with('-'));
            self.names.extend(names.map(|word| &*word.text));
        }
    }

    /// Whether a text is what the function is given: `$1`, `$@`, or a variable that was set to it.
    fn holds(&self, text: &str) -> bool {
        let Some(rest) = text.strip_prefix('$') else { return false };
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let name = rest.get(..end).unwrap_or_default();
        rest.starts_with(['@', '*'])
            || (!name.is_empty() && name != "0" && name.bytes().all(|byte| byte.is_ascii_digit()))
            || self.names.contains(name)
    }
}

/// What these functions are called with, as commands: behind what is no program, such as a number of attempts.
fn calls<'a>(words: &[Word<'a>], runners: &HashSet<&str>) -> Vec<Vec<Word<'a>>> {
    let commands = words.split(|word| word.end).filter_map(program_of);
    let calls = commands.filter_map(|command| {
        let (head, operands) = command.split_first()?;
        (head.scripted && runners.contains(&*head.text)).then_some(operands)
    });
    calls
        .map(|operands| {
            operands.iter().flat_map(apart).skip_while(|word| is_number_or_flag(&word.text)).collect()
        })
        .collect()
}

/// The words of an operand that may be a command by itself: `retry "psql -h db"`.
fn apart<'a>(word: &Word<'a>) -> Vec<Word<'a>> {
    if !word.known || !word.text.contains(' ') {
        return vec![word.clone()];
    }
    let parts = word.text.split_whitespace();
    parts.map(|part| Word { text: Cow::Owned(part.to_owned()), ..word.clone() }).collect()
}

fn is_number_or_flag(text: &str) -> bool {
    text.starts_with('-')
        || (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
}

#[cfg(test)]
mod tests {
    use super::super::{Catalog, ContainerView, Statefulness};

    fn is_client(image: &str, script: &str, env: &[(&str, Option<&str>)]) -> bool {
        let command = ["/bin/bash", "-c", script];
        let view = ContainerView { image, command: &command, env, ..ContainerView::default() };
        matches!(Catalog::embedded().classify(&view), Statefulness::Client { .. })
    }

    /// A function that tries again what it is given.
    const RETRY: &str = "retry_while() {\n  local -r cmd=\"${1:?cmd is missing}\"\n  local return_value=1\n  \
        read -r -a command <<< \"$cmd\"\n  for ((i = 1 ; i <= 12 ; i+=1 )); do\n    \
        \"${command[@]}\" && return_value=0 && break\n    sleep 5\n  done\n  return $return_value\n}\n";

    #[test]
    fn a_function_runs_what_its_callers_give_it() {
        for (script, client) in [
            ("if ! retry_while \"mc admin info x\"; then exit 1; fi; mc mb x/y", true),
            ("retry_while \"minio server /data\"; mc mb x/y", false),
            ("retry_while \"$COMMAND\"; mc mb x/y", false),
            ("mc mb x/y; \"${command[@]}\"", false),
        ] {
            assert_eq!(is_client("bitnami/minio:2025", &format!("{RETRY}{script}"), &[]), client, "{script}");
        }
        for (script, client) in [
            ("try() { until \"$@\"; do sleep 1; done; }; try pg_isready -h db; psql -f /x", true),
            ("try() { shift; $*; }; try 5 pg_isready -h db; psql -f /x", true),
            ("function try { timeout 5 \"$@\"; }; try pg_isready", true),
            ("try() { \"$@\"; }; try postgres -D /x; psql -f /x", false),
            ("try() { \"$@\"; }; try /scripts/any.sh; psql -f /x", false),
            ("try() { $SERVER; }; try pg_isready; psql -f /x", false),
            ("try() { \"$@\"; }; try pg_isready; exec \"$@\"", false),
            ("info() { echo \"$@\"; }; info postgres; psql -f /x", true),
        ] {
            assert_eq!(is_client("postgres:16", script, &[]), client, "{script}");
        }
    }

    #[test]
    fn a_program_that_a_variable_names_is_that_program() {
        let script = "tool() { local cmd=\"$1\" ; shift ; \"$TOOL_PATH\" \"$cmd\" --config /tmp/c \"$@\" ; }\n\
                      OPTS=()\nOPTS+=(-s enabled=true)\nOPTS+=(\n  -s x=y\n)\ntool create \"${OPTS[@]}\"\n";
        let run = |path| is_client("keycloak/keycloak:20.0", script, &[("TOOL_PATH", path)]);
        assert!(run(Some("/opt/keycloak/bin/kcadm.sh")));
        assert!(!run(Some("/opt/keycloak/bin/kc.sh")), "the server");
        assert!(!run(None), "not known");
    }

    #[test]
    fn a_list_and_arithmetic_run_nothing() {
        for (script, client) in [
            ("list=(`cut -d: -f2 <<<$X | grep x`)\nfor i in ${list[@]}; do psql -c $i; done", true),
            ("LIST=(postgres -D /x)\npsql", true),
            ("LIST=(\n a\n b\n)\nexec postgres -D /x\npsql", false),
            ("(( n++ )); for ((i=0; i<3; i++)); do psql; done", true),
            ("((postgres -D /x); (psql))", false),
            ("(postgres -D /x &); psql", false),
        ] {
            assert_eq!(is_client("postgres:16", script, &[]), client, "{script}");
        }
    }
}
