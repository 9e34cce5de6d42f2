//! Containers that use a stateful image only for its tools: `pg_dump` in a CronJob, a loop over `redis-cli ping`, a
//! `chown` of the claim before the server starts.

use super::argv::{Argv, Word, program};

/// Programs of no product: what start-up scripts are made of. In order, as they are searched.
pub(super) const TOOLS: &[&str] = &[
    ":", "[", "[[", "awk", "base64", "basename", "break", "cat", "cd", "chgrp", "chmod", "chown", "clear",
    "continue", "cp", "curl", "cut", "date", "dig", "dirname", "echo", "exit", "export", "false", "find",
    "getent", "grep", "gunzip", "gzip", "head", "hostname", "id", "kill", "kubectl", "let", "ln", "local",
    "ls", "mkdir", "mv", "nc", "nslookup", "openssl", "ping", "printf", "pwd", "read", "return", "rm", "sed",
    "seq", "set", "shift", "sleep", "sort", "stat", "sync", "tail", "tar", "tee", "test", "touch", "tr",
    "trap", "true", "umask", "unset", "wait", "wc", "wget",
];

/// Words that stand before the program they run.
const WRAPPERS: &[&str] = &[
    "!", "{", "do", "elif", "else", "exec", "if", "nohup", "then", "time", "until", "while", "}", "fi",
    "done",
];

/// The client or tool that a container runs, when it runs nothing but clients and tools.
pub(super) fn only_client(argv: &Argv<'_, '_>, clients: &[String], has_command: bool) -> Option<String> {
    let is_client = |name: &str| clients.iter().any(|client| client == name);
    let scripted = argv.words.iter().any(|word| word.scripted);
    // Without a command of its own, the image's entry point decides what the arguments are: only a client's name is
    // sure to be a program.
    let tools: &[&str] = if has_command || scripted { TOOLS } else { &[] };
    let mut found: Option<&str> = None;
    for command in argv.words.split(|word| word.end) {
        if scripted && !command.iter().any(|word| word.scripted) {
            continue;
        }
        let Some(head) = program_of(command).and_then(<[_]>::first) else { continue };
        if !head.known {
            return None;
        }
        let name = program(&head.text);
        let client = is_client(name);
        if !client && tools.binary_search(&name).is_err() {
            return None;
        }
        if found.is_none() || client {
            found = Some(name);
        }
    }
    found.map(str::to_owned)
}

/// A command from the word that names its program; `None` when it runs none.
pub(super) fn program_of<'w, 'a>(command: &'w [Word<'a>]) -> Option<&'w [Word<'a>]> {
    let is_before =
        |word: &Word<'_>| WRAPPERS.contains(&&*word.text) || (word.scripted && is_assignment(&word.text));
    let from = command.iter().position(|word| !is_before(word))?;
    let words = command.get(from..)?;
    // `for x in a b` runs nothing by itself.
    (words.first()?.text != "for").then_some(words)
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_tools_are_in_order() {
        assert!(super::TOOLS.is_sorted());
    }
}
