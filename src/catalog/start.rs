//! What a container runs, as far as its words say: clients and tools alone, a server of its image, a script that nobody here
//! can read, or a shell for a person. Data of the product needs a server.

use super::argv::Argv;
use super::client::{RUNNERS, TOOLS, WRAPPERS, behind_runner, is_assignment, program_of};
use super::container::ContainerView;
use super::entry::Entry;
use super::fronts::{INTERPRETERS, Task, task_of};
use super::passed::Passed;
use super::program::{LAUNCHERS, has_task, is_called_server, is_task, may_serve, only_tells};
use super::shell::takes_script;
use super::word::{ARITHMETIC, ARRAY, FUNCTION, TAKEN, Word, is_shell, program};
use std::cell::LazyCell;
use std::collections::HashSet;

/// What a container starts that is more than clients and tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Start {
    /// Another program than the product's servers, such as one of its tools.
    Program,
    /// A shell that waits for what is typed, and nothing else.
    Shell,
    /// A script, or a program that a variable names: it may start anything.
    Script,
    /// A word that the image's entry point is given and that the catalog does not know: another role of the product, or
    /// another program.
    Task,
    /// A program of an image of which no servers are known, and which is called unlike the product.
    Unlisted,
    /// A program of such an image that is called like the product or like a server: most often its server.
    Unknown,
    /// A server, or what the image's entry point makes of the arguments.
    Server,
}

/// What a container runs.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Runs {
    /// Nothing but clients and tools, of which this is one.
    Client(String),
    /// More than that.
    Start(Start),
}

/// The programs of an image whose use is known.
#[derive(Clone, Copy, Default)]
pub(super) struct Programs<'e> {
    entry: Option<&'e Entry>,
    clients: &'e [String],
    servers: &'e [String],
    /// Whether all tasks of a server are known: nobody names them for an image of one's own.
    names_tasks: bool,
}

impl<'e> Programs<'e> {
    pub(super) fn of(entry: Option<&'e Entry>, extension: bool) -> Self {
        let of_entry = |entry: &'e Entry| Self {
            entry: Some(entry),
            clients: &entry.clients,
            servers: &entry.servers,
            names_tasks: !extension,
        };
        entry.map_or_else(Self::default, of_entry)
    }

    fn is_client(self, name: &str) -> bool {
        self.clients.iter().any(|client| client == name)
    }

    /// Whether a program is given a task of a client: `etcd grpc-proxy`.
    fn is_task(self, name: &str, operands: &[Word<'_>]) -> bool {
        let tasks = self.clients.iter().filter_map(|client| client.split_once(' '));
        tasks.filter(|(program, _)| *program == name).any(|(_, task)| has_task(operands, task))
    }

    /// Whether the image's entry point is given a task of a client, where that is the program itself: `node status` alone is
    /// `cockroach node status`.
    fn is_bare_task(self, words: &[Word<'_>]) -> bool {
        self.clients.iter().filter_map(|client| client.split_once(' ')).any(|(_, task)| has_task(words, task))
    }

    /// Whether a program only reports on itself, or does what is known not to serve.
    fn keeps_nothing(self, head: &Word<'_>, operands: &[Word<'_>]) -> bool {
        let name = program(&head.text);
        self.is_client(name) || self.is_task(name, operands) || only_tells(head, operands)
    }

    /// What a server of the image starts as when it is given these words.
    fn start_of(self, words: &[Word<'_>]) -> Start {
        match (self.entry, words.split_first()) {
            (Some(entry), Some((task, operands)))
                if self.names_tasks
                    && task.known
                    && is_task(&task.text)
                    && !entry.knows_task(&task.text, operands) =>
            {
                Start::Task
            }
            _ => Start::Server,
        }
    }

    /// Whether a variable gives the image's entry point a role that is not known to keep data: `MODE=worker`.
    fn has_other_role(self, container: &ContainerView<'_>) -> bool {
        let Some(entry) = self.entry.filter(|_| self.names_tasks && container.command.is_empty()) else {
            return false;
        };
        let names_role =
            |name: &str| name.rsplit('_').next().is_some_and(|last| ROLE_VARIABLES.contains(&last));
        container.env.iter().any(|(name, value)| {
            names_role(name)
                && value.is_some_and(|value| OTHER_ROLES.contains(&value))
                && !entry.names_variable(name)
        })
    }

    /// An image's entry point starts its server, and so do the scripts that Bitnami's images bring. A server with a space
    /// is a program that serves with that word among its first operands: `rpk redpanda`.
    fn is_server(self, word: &str, operands: &[Word<'_>]) -> bool {
        let name = program(word);
        let has = |operand: &str| operands.iter().take(8).any(|word| word.text == operand);
        name.contains("entrypoint")
            || (word.starts_with("/opt/bitnami/scripts/") && !self.is_client(name))
            || self.servers.iter().any(|server| match server.split_once(' ') {
                Some((program, operand)) => program == name && has(operand),
                None if server.starts_with('/') => server == word,
                None => server == name,
            })
    }
}

/// What one command of a script does.
enum Does<'w> {
    /// A tool of no product.
    Tool(&'w str),
    /// A client of the product.
    Client(&'w str),
    /// `. file`, which most often sets variables.
    Source,
    /// More than that.
    Start(Start),
}

/// The last words of variables that tell an image's entry point what it is: `CONTAINER_ROLE`.
const ROLE_VARIABLES: [&str; 6] = ["COMPONENT", "MODE", "PROCESS", "ROLE", "SERVICE", "TYPE"];
/// What they say of a container that most often keeps nothing.
const OTHER_ROLES: [&str; 14] = [
    "agent",
    "beat",
    "celery",
    "consumer",
    "cron",
    "gateway",
    "job",
    "migrate",
    "migration",
    "proxy",
    "queue",
    "scheduler",
    "webhook",
    "worker",
];
/// The ends of files that an interpreter runs.
const SCRIPTS: [&str; 6] = [".sh", ".bash", ".py", ".pl", ".rb", ".js"];
/// Where images have their programs.
const BINARIES: [&str; 5] = ["/bin/", "/sbin/", "/usr/", "/opt/", "/tools/"];
/// Variables whose value a shell runs when it starts, or before it waits.
const RUN_BY_SHELLS: [&str; 3] = ["BASH_ENV", "ENV", "PROMPT_COMMAND"];

/// What a container of an image with these programs runs.
pub(super) fn runs(container: &ContainerView<'_>, argv: &Argv<'_, '_>, programs: Programs<'_>) -> Runs {
    let scripted = argv.words.iter().any(|word| word.scripted);
    let functions = functions(&argv.words);
    let passed = Passed::of(&argv.words, &functions);
    let (mut most, mut client, mut tool, mut sourced) = (None, None, None, false);
    let own = argv.words.split(|word| word.end).enumerate();
    // What runs what its function is given runs what the callers give.
    let own = own.filter(|(number, _)| !passed.is_run_by(*number)).map(|(_, command)| command);
    let only_ends = LazyCell::new(|| only_ends(container, &argv.words));
    for command in own.chain(passed.given.iter().map(Vec::as_slice)) {
        if scripted && !command.iter().any(|word| word.scripted) {
            continue;
        }
        if matches!(command, [word] if word.scripted && word.text == TAKEN) && *only_ends {
            continue;
        }
        let inner = command.iter().any(|word| word.inner);
        match does(command, programs, container, &functions) {
            // Of commands whose output is taken, only servers and clients say something of what the script is for.
            Some(
                Does::Tool(_)
                | Does::Source
                | Does::Start(
                    Start::Program
                    | Start::Shell
                    | Start::Script
                    | Start::Task
                    | Start::Unlisted
                    | Start::Unknown,
                ),
            ) if inner => {}
            Some(Does::Tool(name)) => tool = tool.or(Some(name)),
            Some(Does::Client(name)) => client = Some(name),
            Some(Does::Source) => sourced = true,
            Some(Does::Start(start)) => most = most.max(Some(start)),
            None => {}
        }
    }
    if most <= Some(Start::Program)
        && let Some(client) = client
    {
        return Runs::Client(client.to_owned());
    }
    // A file that is read before a shell waits, or before nothing else that is known, may start anything.
    if sourced && most < Some(Start::Script) {
        return Runs::Start(Start::Script);
    }
    match (most, tool) {
        (Some(Start::Shell), _) if is_fed(container) => Runs::Start(Start::Script),
        (None | Some(Start::Server), None) if programs.has_other_role(container) => Runs::Start(Start::Task),
        (Some(start), _) => Runs::Start(start),
        (None, Some(tool)) => Runs::Client(tool.to_owned()),
        // Nothing at all is the image's entry point.
        (None, None) if argv.words.is_empty() => Runs::Start(Start::Server),
        (None, None) => Runs::Start(Start::Script),
    }
}

/// Whether the commands whose output a script takes only say something and end it, as in `pg_isready || $(echo no; exit 1)`.
/// `$(NAME)` is no command where the container has that variable: Kubernetes puts its value there.
fn only_ends(container: &ContainerView<'_>, words: &[Word<'_>]) -> bool {
    let inner = words.split(|word| word.end).filter(|command| command.iter().any(|word| word.inner));
    let heads = inner.filter_map(|command| command.first()).map(|head| &*head.text);
    let is_variable = |head: &str| container.env.iter().any(|(name, _)| *name == head);
    let heads: HashSet<&str> = heads.filter(|head| !is_variable(head)).collect();
    heads.contains("exit") && heads.iter().all(|head| ["echo", "exit", "printf"].contains(head))
}

/// The names of the functions that a script defines. What stands in them is read where it stands, so that calling one does
/// nothing more.
fn functions<'w>(words: &'w [Word<'_>]) -> HashSet<&'w str> {
    let scripted = || words.iter().filter(|word| word.scripted);
    let by_word = scripted().zip(scripted().skip(1)).filter(|(word, _)| word.text == "function");
    let named = scripted().filter_map(|word| word.text.strip_suffix(FUNCTION));
    named.chain(by_word.map(|(_, name)| &*name.text)).collect()
}

/// What one command does; nothing where it runs no program.
fn does<'w>(
    command: &'w [Word<'_>],
    programs: Programs<'_>,
    container: &ContainerView<'_>,
    functions: &HashSet<&str>,
) -> Option<Does<'w>> {
    let mut words = program_of(command)?;
    loop {
        let (head, operands) = words.split_first()?;
        let name = program(&head.text);
        if head.scripted && [ARRAY, ARITHMETIC].contains(&&*head.text) {
            return None;
        }
        // Without a command of its own, the image's entry point decides what a word means.
        let by_entry_point = !head.scripted && container.command.is_empty();
        if !head.known {
            let argument = by_entry_point && head.text.starts_with('-');
            return Some(Does::Start(if argument { Start::Server } else { Start::Script }));
        }
        if is_shell(name) {
            // A client that is a script of the image: `bash /opt/tools/securityadmin.sh`.
            if let Some(file) =
                operands.first().filter(|file| file.known && programs.is_client(program(&file.text)))
                && !container.configuration.is_some_and(|brought| brought.brings(&file.text))
            {
                return Some(Does::Client(program(&file.text)));
            }
            let waits = operands.iter().all(is_plain_option);
            return Some(Does::Start(if waits { Start::Shell } else { Start::Script }));
        }
        // Whatever its name is: it comes from a ConfigMap or a Secret, and not from the image.
        if container.configuration.is_some_and(|brought| brought.brings(&head.text)) {
            return Some(Does::Start(Start::Script));
        }
        if only_tells(head, operands) {
            return Some(Does::Tool(name));
        }
        if programs.is_task(name, operands) || (by_entry_point && programs.is_bare_task(words)) {
            return Some(Does::Client(name));
        }
        if programs.is_server(&head.text, operands) {
            match operands.split_first() {
                // The image's entry point runs what it is given, unless that is the server.
                Some((first, rest)) if name.contains("entrypoint") && programs.keeps_nothing(first, rest) => {
                    words = operands;
                    continue;
                }
                _ => return Some(Does::Start(programs.start_of(operands))),
            }
        }
        if head.scripted && (head.text.ends_with(FUNCTION) || functions.contains(&*head.text)) {
            return None;
        }
        if programs.is_client(name) {
            return Some(Does::Client(name));
        }
        // It asks a server for figures, whosever image it lies in.
        if name.ends_with("exporter") {
            return Some(Does::Tool(name));
        }
        match task_of(head, operands) {
            Some(Task::Of(name)) => return Some(Does::Tool(name)),
            Some(Task::Serves) => return Some(Does::Start(Start::Unknown)),
            None => {}
        }
        if by_entry_point {
            // No image has tasks of these names, and entry points run them.
            if matches!(name, "sleep" | "tail") {
                return Some(Does::Tool(name));
            }
            let script = SCRIPTS.iter().any(|end| name.ends_with(end));
            return Some(Does::Start(if script { Start::Script } else { programs.start_of(words) }));
        }
        if name == "function" && head.scripted {
            // What is defined stands behind its name.
            words = program_of(operands.get(1..)?)?;
            continue;
        }
        if matches!(name, "." | "source") {
            return Some(Does::Source);
        }
        if TOOLS.binary_search(&name).is_ok() {
            return Some(Does::Tool(name));
        }
        if name == "su" {
            return Some(switched_user_does(operands, programs));
        }
        if RUNNERS.binary_search(&name).is_err() {
            return Some(Does::Start(program_start(&head.text, operands, programs)));
        }
        match behind_runner(name, operands) {
            [] => return Some(Does::Tool(name)),
            rest => words = rest,
        }
    }
}

/// What `su USER -c "pg_ctl start"` does: the last word is a script of its own, of which each part may be a server.
fn switched_user_does<'w>(operands: &'w [Word<'_>], programs: Programs<'_>) -> Does<'w> {
    let at = operands.iter().position(|word| takes_script(&word.text) || word.text == "--command");
    let Some(script) = at.and_then(|at| operands.get(at + 1)) else { return Does::Start(Start::Script) };
    let mut client = None;
    for command in script.text.split([';', '&', '|', '\n']) {
        let is_before = |word: &&str| WRAPPERS.contains(word) || is_assignment(word);
        let Some(head) = command.split_whitespace().find(|word| !is_before(word)) else { continue };
        if programs.is_server(head, &[]) {
            return Does::Start(Start::Server);
        }
        client = client.or(Some(program(head)).filter(|name| programs.is_client(name)));
    }
    client.map_or(Does::Start(Start::Script), Does::Client)
}

/// What a program starts of which nothing is known but its path.
fn program_start(word: &str, operands: &[Word<'_>], programs: Programs<'_>) -> Start {
    let name = program(word);
    // An image's own programs lie in these; what lies elsewhere was most often mounted.
    let mounted = word.starts_with('/') && !BINARIES.iter().any(|root| word.starts_with(root));
    let script = SCRIPTS.iter().any(|end| name.ends_with(end)) || INTERPRETERS.contains(&name);
    match (script || mounted, programs.servers.is_empty()) {
        (_, true) if !script && may_serve(name, operands, programs.entry) => {
            // What is called a server serves, whatever stands behind it.
            let start = if is_called_server(name) { Start::Server } else { programs.start_of(operands) };
            start.min(Start::Unknown)
        }
        (_, true) if !script => Start::Unlisted,
        (true, _) => Start::Script,
        (false, _) if LAUNCHERS.contains(&name) => Start::Unknown,
        // It may well be the server that the catalog knows by another name.
        (false, _) if is_called_server(name) => Start::Script,
        (false, _) => Start::Program,
    }
}

/// Whether a shell still waits for a person with that word behind it: `-l`, and no file and nothing to run.
fn is_plain_option(word: &Word<'_>) -> bool {
    let text = &*word.text;
    word.known
        && text.starts_with('-')
        && !takes_script(text)
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
            &["sh", "-c", "gosu postgres postgres -D /x"],
            &["su", "postgres", "-c", "pg_ctl start -D /x"],
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
            &["sh", "-c", "sleep 5; . /x; bash"],
            &["timeout", "60", "/scripts/backup.sh"],
            &["bash", "-xec", "/config-scripts/run"],
        ] {
            assert_eq!(start(words, &[], &[]), Start::Script, "{words:?}");
        }
        assert_eq!(start(&[], &["/scripts/backup.sh"], &[]), Start::Script, "run by the entry point");
    }

    #[test]
    fn clients_run_whatever_else_a_script_calls() {
        for (script, client) in [
            (". /secrets/pg.env && psql -f /sql/seed.sql", Some("psql")),
            ("pg_dump shop | gzip > /b && aws s3 cp /b s3://x", Some("pg_dump")),
            ("case $X in a) psql -c 'select 1';; *) upload-it;; esac", Some("psql")),
            ("timeout 5 pg_isready -h db; jq . /x", Some("pg_isready")),
            ("exec gosu postgres psql -h postgres -U postgres", Some("psql")),
            ("su postgres -c 'psql -h postgres'", Some("psql")),
            ("env A=b gosu postgres postgres", None),
            ("pg_isready -h db; exec docker-entrypoint.sh postgres", None),
            ("pg_dump shop | upload-it; /opt/upload.sh", None),
            ("dump() {\n  pg_dump -h \"$1\"\n}\nfor db in a b; do dump $db; done", Some("pg_dump")),
            ("function ready { pg_isready -h db; }; until ready; do sleep 1; done", Some("pg_isready")),
            ("serve() { exec postgres -D /x; }; serve", None),
            ("postgres() { psql; }; /usr/bin/postgres", None),
            ("dump() { pg_dump shop; }; dump; /scripts/after.sh", None),
            ("psql -h db <<EOF\ncreate database x; postgres\nEOF", Some("psql")),
            ("cat <<'EOF' >/x.sql\npostgres -D /x\nEOF\npsql -f /x.sql", Some("psql")),
            ("cat >/x.conf <<-EOF\npsql\n\tEOF\nexec postgres -c config_file=/x.conf", None),
            ("bash <<EOF\nexec postgres -D /x\nEOF", None),
            ("psql <<EOF\nselect 1\n", Some("psql")),
        ] {
            let command = ["sh", "-ec", script];
            let view = ContainerView { image: "postgres:16", command: &command, ..ContainerView::default() };
            let state = Catalog::embedded().classify(&view);
            let found = match &state {
                super::super::Statefulness::Client { program, .. } => Some(program.as_str()),
                _ => None,
            };
            assert_eq!(found, client, "{script}");
        }
    }

    #[test]
    fn another_program_of_the_image_is_no_server() {
        assert_eq!(start(&["pg_archivecleanup", "/x"], &[], &[]), Start::Program);
        assert_eq!(start(&["sh", "-c", "upload-it /x"], &[], &[]), Start::Program);
        assert_eq!(start(&[], &["sleep", "infinity"], &[]), Start::Program, "whatever the entry point");
        assert_eq!(start(&[], &["upload-it"], &[]), Start::Task, "the entry point decides what that is");
        assert_eq!(
            start(&["/bin/some-server", "-D", "/x"], &[], &[]),
            Start::Script,
            "it may be the server by another name"
        );
        assert_eq!(start(&["java", "-jar", "/x.jar"], &[], &[]), Start::Script);
    }
}
