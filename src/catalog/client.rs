//! The programs that start-up scripts are made of, whatever the product.

use super::word::{Word, program};

/// Programs of no product. In order, as they are searched.
pub(super) const TOOLS: &[&str] = &[
    ":", "[", "[[", "apk", "apt-get", "awk", "aws", "az", "base64", "basename", "bats", "break", "bzip2",
    "case", "cat", "cd", "celery", "chattr", "chgrp", "chmod", "chown", "clear", "cmp", "comm", "command",
    "continue", "cp", "curl", "cut", "date", "dd", "df", "diff", "dig", "dirname", "dos2unix", "du", "echo",
    "envsubst", "esac", "exit", "export", "expr", "false", "find", "fold", "gcloud", "getent", "git", "gpg",
    "grep", "gsutil", "gunzip", "gzip", "head", "host", "hostname", "id", "install", "ip", "jq", "keytool",
    "kill", "killall", "kubectl", "let", "ln", "local", "ls", "mc", "md5sum", "mkdir", "mkfifo", "mktemp",
    "mount", "mv", "nc", "nl", "nproc", "nslookup", "od", "openssl", "paste", "pause", "pgrep", "pigz",
    "ping", "pip", "pip3", "pkill", "popd", "printenv", "printf", "ps", "pushd", "pwd", "rclone", "read",
    "readlink", "realpath", "restic", "return", "rev", "rm", "rmdir", "rsync", "s3cmd", "scp", "sed", "seq",
    "set", "shift", "sidekiq", "sleep", "sort", "split", "ssh", "stat", "sync", "sysctl", "tac", "tail",
    "tar", "tee", "test", "touch", "tput", "tr", "trap", "true", "type", "ulimit", "umask", "umount",
    "uname", "uniq", "unset", "unzip", "wait", "wc", "wget", "which", "whoami", "xz", "yes", "yq", "zip",
    "zstd",
];

/// Programs that run another one, which stands behind their own arguments.
pub(super) const RUNNERS: &[&str] = &[
    "bundle",
    "catatonit",
    "chroot",
    "dumb-init",
    "env",
    "gosu",
    "ionice",
    "nice",
    "npx",
    "numactl",
    "runuser",
    "s6-setuidgid",
    "setpriv",
    "setsid",
    "stdbuf",
    "su",
    "su-exec",
    "sudo",
    "timeout",
    "tini",
    "xargs",
];

/// Words that stand before the program they run.
pub(super) const WRAPPERS: &[&str] = &[
    "!", "{", "do", "elif", "else", "exec", "if", "nohup", "then", "time", "until", "while", "}", "fi",
    "done",
];

/// A command from the word that names its program; `None` when it runs none.
pub(super) fn program_of<'w, 'a>(command: &'w [Word<'a>]) -> Option<&'w [Word<'a>]> {
    let is_before =
        |word: &Word<'_>| WRAPPERS.contains(&&*word.text) || (word.scripted && is_assignment(&word.text));
    let from = command.iter().position(|word| !is_before(word))?;
    let words = command.get(from..)?;
    // `for x in a b` runs nothing by itself.
    (words.first()?.text != "for").then_some(words)
}

pub(super) fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        let name = name.strip_suffix('+').unwrap_or(name);
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

/// A command without the programs that run another one.
pub(super) fn behind_runners<'w, 'a>(mut words: &'w [Word<'a>]) -> &'w [Word<'a>] {
    while let Some((head, operands)) = words.split_first()
        && head.known
        && RUNNERS.binary_search(&program(&head.text)).is_ok()
    {
        words = behind_runner(program(&head.text), operands);
    }
    words
}

/// The command that a program runs: what stands behind its options, and behind a user's name or a time.
pub(super) fn behind_runner<'w, 'a>(name: &str, operands: &'w [Word<'a>]) -> &'w [Word<'a>] {
    let mut own =
        usize::from(matches!(name, "bundle" | "chroot" | "gosu" | "s6-setuidgid" | "su-exec" | "timeout"));
    let mut value = false;
    for (at, word) in operands.iter().enumerate() {
        let text = &*word.text;
        if text.starts_with('-') {
            value = ["-u", "-g", "-n", "-k", "-s", "-I"].contains(&text);
        } else if value || is_assignment(text) {
            value = false;
        } else if own > 0 {
            own -= 1;
        } else {
            return operands.get(at..).unwrap_or_default();
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_tools_are_in_order() {
        assert!(super::TOOLS.is_sorted() && super::RUNNERS.is_sorted());
    }
}
