//! What a program is for, by its name and its operands: a server, a tool, or a task that keeps nothing.

use super::entry::Entry;
use super::fronts::INTERPRETERS;
use super::word::{Word, fits_word, is_flag, program};

/// Programs that serve what they are given, and those with which images begin.
const SERVE: [&str; 17] = [
    "apache2",
    "apache2-foreground",
    "apachectl",
    "dotnet",
    "gunicorn",
    "httpd",
    "init",
    "java",
    "nginx",
    "passenger",
    "php-fpm",
    "puma",
    "s6-svscan",
    "supervisord",
    "unicorn",
    "uvicorn",
    "uwsgi",
];
/// What images call the program with which they begin.
pub(super) const LAUNCHERS: [&str; 3] = ["launch", "run", "start"];
/// Words that tell a server, in the name of a program or as its task.
const SERVER_WORDS: [&str; 6] = ["daemon", "foreground", "serve", "server", "start", "standalone"];
/// Ends of the names of programs that serve nobody.
const TOOL_ENDS: [&str; 12] = [
    "admin", "backup", "check", "cli", "client", "ctl", "dump", "export", "import", "migrate", "restore",
    "tool",
];

/// Whether a program of an image of which no servers are known may be one by its name: it is called like the product, or like a
/// server. Of an image that is not known, any may.
pub(super) fn may_serve(name: &str, operands: &[Word<'_>], entry: Option<&Entry>) -> bool {
    let Some(entry) = entry else { return true };
    let lower = name.to_ascii_lowercase();
    if TOOL_ENDS.iter().any(|end| lower.ends_with(end)) {
        return false;
    }
    is_called_server(name)
        || task(operands).is_some_and(|task| SERVER_WORDS.contains(&&*task.text))
        || entry.is_named_like(name)
}

/// Whether a program's name says that it serves, whatever the product: `java`, `start`, `some-server`.
pub(super) fn is_called_server(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    SERVE.contains(&&*lower) || lower.split(['-', '_', '.']).any(|word| SERVER_WORDS.contains(&word))
}

/// The first operand that is no flag and no flag's value.
fn task<'w, 'a>(operands: &'w [Word<'a>]) -> Option<&'w Word<'a>> {
    let mut value = false;
    operands.iter().take(8).find(|word| {
        let free = !value && !is_flag(&word.text);
        value = is_flag(&word.text) && !word.text.contains('=');
        free
    })
}

/// Whether a task is that one; `export:*` is any that begins so, and a task that is a jar may stand behind `-jar`.
pub(super) fn has_task(operands: &[Word<'_>], wanted: &str) -> bool {
    if wanted.ends_with(".jar") {
        return operands.iter().take(8).any(|word| program(&word.text) == wanted);
    }
    task(operands).is_some_and(|task| match wanted.strip_suffix('*') {
        Some(start) => task.text.starts_with(start),
        None => task.text == wanted,
    })
}

/// Whether a word may name a task or a role: it is no flag, no file, no address and no assignment.
pub fn is_task(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_lowercase())
        && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

/// Flags with which any program reports on itself or checks its configuration, and does nothing else.
const TELLING: [&str; 6] =
    ["--help", "--validate-config", "--verify-config", "--version", "-verify-config", "-version"];

/// Whether a program only tells its version, or how it is used.
pub(super) fn only_tells(head: &Word<'_>, operands: &[Word<'_>]) -> bool {
    let is_flag = |word: &Word<'_>| TELLING.contains(&&*word.text);
    let mut flags = std::iter::once(head).chain(operands.iter().take(8));
    flags.any(is_flag) || matches!(operands, [only] if matches!(&*only.text, "help" | "version"))
}

impl Entry {
    /// Whether a task that the image's entry point is given is one of a server, or one of which the entry says something.
    pub(super) fn knows_task(&self, task: &str, operands: &[Word<'_>]) -> bool {
        let serves = |server: &String| match server.split_once(' ') {
            // `influxd run` is the program that the entry point starts by itself, given `run`.
            Some((_, word)) => word == task || operands.iter().take(8).any(|operand| operand.text == word),
            None => program(server) == task,
        };
        if self.servers.iter().any(serves) || self.names_word(task) {
            return true;
        }
        let called = letters(task);
        // A name that only begins like the product's may as well be that of its tool.
        self.names().any(|name| name == called)
            || !TOOL_ENDS.iter().any(|end| task.ends_with(end))
                && (is_called_server(task)
                    || self::task(operands).is_some_and(|task| SERVER_WORDS.contains(&&*task.text))
                    || LAUNCHERS.contains(&task)
                    || INTERPRETERS.contains(&task)
                    || self.is_named_like(task))
    }

    /// Whether a condition or a data directory is about a variable.
    pub(super) fn names_variable(&self, name: &str) -> bool {
        self.dirs().any(|dir| dir.env.iter().any(|known| known == name))
            || self.conditions().any(|condition| condition.env.as_deref() == Some(name))
    }

    /// Whether a condition is about a word, or a data directory stands behind it: `server /data`.
    fn names_word(&self, word: &str) -> bool {
        let mut behind = self.dirs().filter_map(|dir| dir.positional.as_ref());
        let mut asked = self.conditions().filter_map(|condition| condition.word.as_ref());
        behind.any(|positional| positional.after == word) || asked.any(|pattern| fits_word(word, pattern))
    }

    /// Whether something is called like the product or one of its images, as `gitea` and `influxd` are.
    pub(super) fn is_named_like(&self, name: &str) -> bool {
        let name = letters(name);
        let alike = |other: String| other.starts_with(&name) || name.starts_with(&other);
        name.len() >= SHORTEST && self.names().filter(|other| other.len() >= SHORTEST).any(alike)
    }

    /// The letters of the names of the product and its images.
    fn names(&self) -> impl Iterator<Item = String> {
        let images = self.images.iter().filter(|image| !image.contains('*'));
        images.map(|image| program(image)).chain([self.product.as_str()]).map(letters)
    }
}

/// A shorter name is like too many.
const SHORTEST: usize = 3;

/// The letters and digits of a name, in lower case.
fn letters(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Catalog, ContainerView, Start, Statefulness};

    fn start(image: &str, command: &[&str]) -> Start {
        Catalog::embedded().start(&ContainerView { image, command, ..ContainerView::default() })
    }

    #[test]
    fn a_program_that_is_called_unlike_the_product_and_a_server_may_be_none() {
        for (image, command) in [
            ("gotify/server", &["/opt/tools/some-tool", "--do"][..]),
            ("drupal:10", &["/usr/bin/backup-tool", "--all"]),
            ("pingcap/tikv:v7", &["/tikv-ctl", "x"]),
            ("jellyfin/jellyfin", &["upload", "server.tar"]),
            ("jellyfin/jellyfin", &["/usr/bin/server-backup"]),
            ("drupal:10", &["start-import", "--all"]),
        ] {
            assert_eq!(start(image, command), Start::Unlisted, "{image} {command:?}");
        }
    }

    #[test]
    fn one_that_is_no_server_of_those_that_are_known_is_another_program() {
        assert_eq!(start("consul:1.15", &["/bin/consul-template", "-once"]), Start::Program);
    }

    #[test]
    fn one_that_is_called_like_either_most_often_serves() {
        for (image, command) in [
            ("gotify/server", &["./gotify-app"][..]),
            ("jellyfin/jellyfin", &["/jellyfin/jellyfin"]),
            ("pingcap/tikv:v7", &["/tikv-server"]),
            ("drupal:10", &["apache2-foreground"]),
            ("vaultwarden/server", &["/start", "it"]),
            ("headscale/headscale", &["/ko-app/main", "--x", "y", "serve"]),
            ("linuxserver/sonarr", &["/init"]),
            ("corp/consul", &["/bin/start", "-server"]),
        ] {
            assert_eq!(start(image, command), Start::Unknown, "{image} {command:?}");
        }
    }

    #[test]
    fn a_role_that_the_catalog_does_not_know_may_keep_nothing() {
        let start = |image: &str, command: &[&str], args: &[&str]| {
            let view = ContainerView { image, command, args, ..ContainerView::default() };
            Catalog::embedded().start(&view)
        };
        for (image, command, args) in [
            ("gitea/gitea:1.21", &[][..], &["some-role"][..]),
            ("gitea/gitea:1.21", &["gitea"], &["some-role", "--config", "/x"]),
            ("gitea/gitea:1.21", &["gitea", "some-role"], &[]),
            ("jellyfin/jellyfin", &[], &["jellyfin-backup"]),
            ("jellyfin/jellyfin", &["/jellyfin/jellyfin"], &["worker"]),
            ("postgres:16", &["docker-entrypoint.sh"], &["upload-it"]),
            ("ghost:5", &[], &["yarn", "run", "worker"]),
        ] {
            assert_eq!(start(image, command, args), Start::Task, "{image} {command:?} {args:?}");
        }
        for (image, command, args) in [
            ("gitea/gitea:1.21", &[][..], &["web"][..]),
            ("gitea/gitea:1.21", &["gitea"], &["web", "--config", "/x"]),
            ("neo4j:5", &[], &["console"]),
            ("tarantool/tarantool", &[], &["tarantool", "/opt/app.lua"]),
            ("postgres:16", &["docker-entrypoint.sh"], &["postgres"]),
            ("minio/minio", &[], &["server", "/data"]),
            ("dgraph/dgraph", &[], &["dgraph", "alpha"]),
            ("chrislusf/seaweedfs", &[], &["volume", "-dir=/data"]),
            ("nextcloud:29", &[], &["apache2-foreground"]),
            ("ghost:5", &[], &["node", "current/index.js"]),
            ("ghost:5", &[], &["yarn", "start"]),
            ("redis:7", &[], &["/etc/redis.conf"]),
            ("registry:2", &[], &["/etc/docker/registry/config.yml"]),
        ] {
            assert!(start(image, command, args) >= Start::Unknown, "{image} {command:?} {args:?}");
        }
        let role = |name: &str, value: &str| {
            let env = [(name, Some(value))];
            let view = ContainerView { image: "jellyfin/jellyfin", env: &env, ..ContainerView::default() };
            Catalog::embedded().start(&view)
        };
        assert_eq!(role("CONTAINER_ROLE", "worker"), Start::Task);
        assert_eq!(role("CONTAINER_ROLE", "web"), Start::Server);
        assert_eq!(role("QUEUE_NAME", "worker"), Start::Server);
        let own = serde_json::json!({"product": "Own", "images": ["corp/own"], "data": [{"path": "/own"}]});
        let catalog = Catalog::with(vec![serde_json::from_value(own).unwrap()], Vec::new());
        let view = ContainerView { image: "corp/own", args: &["some-role"], ..ContainerView::default() };
        assert_eq!(catalog.start(&view), Start::Server, "nobody names all roles of an image of one's own");
    }

    #[test]
    fn tasks_that_keep_nothing_are_no_servers() {
        let is_client = |image: &str, command: &[&str], args: &[&str]| {
            let view = ContainerView { image, command, args, ..ContainerView::default() };
            matches!(Catalog::embedded().classify(&view), Statefulness::Client { .. })
        };
        for (image, command, args) in [
            ("quay.io/coreos/etcd:v3.5", &["etcd", "grpc-proxy", "start"][..], &[][..]),
            ("quay.io/coreos/etcd:v3.5", &["etcd", "gateway", "start"], &[]),
            ("clickhouse/clickhouse-server:24", &["clickhouse", "local", "-q", "select 1"], &[]),
            ("clickhouse/clickhouse-server:24", &[], &["clickhouse", "client"]),
            ("gitea/gitea:1.21", &["gitea", "-c", "/x/app.ini", "doctor", "check"], &[]),
            ("jenkins/jenkins:lts", &["java", "-jar", "/x/jenkins-cli.jar", "who-am-i"], &[]),
            ("n8nio/n8n", &["n8n", "export:workflow", "--all"], &[]),
            ("postgres:16", &["docker-entrypoint.sh", "psql", "-h", "x"], &[]),
            ("redis:7", &["redis-server", "--version"], &[]),
            ("minio/minio", &[], &["--help"]),
            ("ghost:5", &["ghost", "version"], &[]),
            ("bitnami/zookeeper:3.9", &["zkServer.sh", "status"], &[]),
        ] {
            assert!(is_client(image, command, args), "{image} {command:?} {args:?}");
        }
        for (image, command, args) in [
            ("quay.io/coreos/etcd:v3.5", &["etcd", "--name", "gateway"][..], &[][..]),
            ("quay.io/coreos/etcd:v3.5", &["etcd", "--data-dir=/x"], &[]),
            ("clickhouse/clickhouse-server:24", &["clickhouse", "server", "client"], &[]),
            ("clickhouse/clickhouse-server:24", &["clickhouse", "server"], &[]),
            ("gitea/gitea:1.21", &["gitea", "web"], &[]),
            ("jenkins/jenkins:lts", &["java", "-jar", "/usr/share/jenkins/jenkins.war"], &[]),
            ("n8nio/n8n", &["n8n", "start"], &[]),
            ("postgres:16", &["docker-entrypoint.sh", "postgres"], &[]),
            ("postgres:16", &["docker-entrypoint.sh", "-c", "psql=1"], &[]),
            ("bitnami/zookeeper:3.9", &["zkServer.sh", "start-foreground"], &[]),
        ] {
            assert!(!is_client(image, command, args), "{image} {command:?} {args:?}");
        }
    }
}
