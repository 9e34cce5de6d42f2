//! What a container starts, as far as its words say: a server of its image, a script that nobody here can read, or a shell
//! for a person.

use super::argv::{Argv, Word, is_shell, program};
use super::client::{TOOLS, program_of};
use super::container::ContainerView;

/// What a container starts that is more than clients and tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Start {
    /// A shell that waits for what is typed, and nothing else.
    Shell,
    /// A script, or a program that a variable names: it may start anything.
    Script,
    /// A server, or a program that is not known: most often a server.
    Server,
}

/// The ends of files that an interpreter runs.
const SCRIPTS: [&str; 6] = [".sh", ".bash", ".py", ".pl", ".rb", ".js"];
/// Programs that run a file.
const INTERPRETERS: [&str; 6] = ["python", "python3", "perl", "ruby", "node", "php"];
/// Variables whose value a shell runs when it starts, or before it waits.
const RUN_BY_SHELLS: [&str; 3] = ["BASH_ENV", "ENV", "PROMPT_COMMAND"];

/// `clients` are the programs of the image that only talk to a server.
pub(super) fn start(container: &ContainerView<'_>, argv: &Argv<'_, '_>, clients: &[String]) -> Start {
    let scripted = argv.words.iter().any(|word| word.scripted);
    let mut most = None;
    for command in argv.words.split(|word| word.end) {
        if scripted && !command.iter().any(|word| word.scripted) {
            continue;
        }
        most = most.max(command_start(command, clients, container));
    }
    // Nothing at all is the image's entry point; nothing but tools may still be fed by a pipe.
    let start = most.unwrap_or(if argv.words.is_empty() { Start::Server } else { Start::Script });
    if start == Start::Shell && is_fed(container) { Start::Script } else { start }
}

/// What one command starts; none for clients, tools and what runs nothing.
fn command_start(command: &[Word<'_>], clients: &[String], container: &ContainerView<'_>) -> Option<Start> {
    let (head, operands) = program_of(command)?.split_first()?;
    let name = program(&head.text);
    if !head.known {
        return Some(Start::Script);
    }
    if is_shell(name) {
        return Some(if operands.iter().all(is_plain_option) { Start::Shell } else { Start::Script });
    }
    if clients.iter().any(|client| client == name) {
        return None;
    }
    // Without a command of its own, the image's entry point decides what a word means.
    let own = head.scripted || !container.command.is_empty();
    if own && TOOLS.contains(&name) {
        return None;
    }
    // An image's entry point and what it runs are scripts as well.
    let of_the_image = name.contains("entrypoint") || head.text.starts_with("/opt/bitnami/");
    let script = SCRIPTS.iter().any(|end| name.ends_with(end)) || (own && INTERPRETERS.contains(&name));
    Some(if script && !of_the_image { Start::Script } else { Start::Server })
}

/// Whether a shell still waits for a person with that word behind it: `-l`, and no file and nothing to run.
fn is_plain_option(word: &Word<'_>) -> bool {
    let text = &*word.text;
    let short = text.strip_prefix('-').is_some_and(|option| !option.starts_with('-'));
    word.known
        && text.starts_with('-')
        && !(short && text.contains('c'))
        && !["--rcfile", "--init-file"].iter().any(|option| text.starts_with(option))
}

/// Whether a shell is given something to run by another way than its operands: a pipe, a file, a variable.
fn is_fed(container: &ContainerView<'_>) -> bool {
    let words = || container.command.iter().chain(container.args);
    words().any(|word| word.replace("||", "").contains(['|', '<']))
        || container.env.iter().any(|(name, _)| RUN_BY_SHELLS.contains(name))
}

#[cfg(test)]
mod tests {
    use super::super::Catalog;
    use super::*;

    fn start(command: &[&str], args: &[&str], env: &[(&str, Option<&str>)]) -> Start {
        let view = ContainerView { image: "postgres:16", command, args, env, ..ContainerView::default() };
        Catalog::embedded().start(&view)
    }

    #[test]
    fn a_shell_without_anything_to_run_waits_for_a_person() {
        for words in [
            &["bash"][..],
            &["/bin/sh"],
            &["bash", "-l"],
            &["bash", "--norc", "-i"],
            &["sh", "-c", "cd /tmp; exec bash"],
            &["sh", "-c", "clear; (bash || ash || sh)"],
        ] {
            assert_eq!(start(words, &[], &[]), Start::Shell, "{words:?}");
            assert_eq!(start(&[], words, &[]), Start::Shell, "{words:?} as arguments");
        }
    }

    #[test]
    fn a_shell_that_is_given_something_to_run_does_not() {
        for words in [
            &["bash", "/scripts/x"][..],
            &["bash", "-x", "/scripts/x.sh"],
            &["bash", "--rcfile", "/x"],
            &["bash", "--init-file=/x"],
            &["bash", "-a", "-b", "-e", "-f", "-h", "-c", "postgres"],
            &["sh", "-c", "echo postgres | sh"],
            &["sh", "-c", "sh < /x"],
            &["sh", "-c", "cat <<E | bash\npostgres\nE"],
            &["bash", "$(OPTIONS)"],
            &["$(SHELL_OF_MINE)"],
        ] {
            let env = [("OPTIONS", None), ("SHELL_OF_MINE", None)];
            assert_ne!(start(words, &[], &env), Start::Shell, "{words:?}");
        }
        assert_eq!(start(&["bash"], &[], &[("PROMPT_COMMAND", Some("postgres &"))]), Start::Script);
    }

    #[test]
    fn a_shell_that_starts_a_server_is_a_server() {
        for words in [
            &["sh", "-c", "exec docker-entrypoint.sh postgres"][..],
            &["bash", "-c", "postgres -D /x & bash"],
            &["sh", "-c", "sleep 5; . /x; bash"],
            &["bash", "-c", "/opt/bitnami/scripts/postgresql/run.sh"],
            &["docker-entrypoint.sh", "postgres"],
            &["postgres"],
        ] {
            assert_eq!(start(words, &[], &[]), Start::Server, "{words:?}");
        }
        assert_eq!(start(&[], &[], &[]), Start::Server, "the image's entry point");
        assert_eq!(start(&[], &["-c", "max_connections=200"], &[]), Start::Server);
    }

    #[test]
    fn what_a_script_does_is_not_known() {
        for words in [
            &["/scripts/backup.sh"][..],
            &["sh", "/scripts/backup"],
            &["python3", "/x.py"],
            &["sh", "-c", "pg_dump -f /x && /scripts/upload.sh"],
        ] {
            assert_eq!(start(words, &[], &[]), Start::Script, "{words:?}");
        }
        assert_eq!(start(&[], &["/scripts/backup.sh"], &[]), Start::Script, "run by the entry point");
    }
}
