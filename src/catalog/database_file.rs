//! Database files that variables and arguments name, whatever the image: `DATABASE_URL=sqlite:////data/app.db`.

use super::budget::Budget;
use super::container::{ContainerView, Origin};
use super::text::plain;
use super::variables::{Env, Variables};
use crate::facts::ConfigValue;
use std::borrow::Cow;

/// One of these stands in every text that names a database file.
pub const DATABASE_HINTS: [&str; 3] = [".db", "sqlite", "jdbc:h2:"];
/// A longer text is no name of one.
const LONGEST_DATABASE_NAME: usize = 256;

/// How many files of one container are looked at.
const MOST_FILES: usize = 8;
/// The ends of database files.
const ENDS: [&str; 5] = [".db", ".db3", ".sqlite", ".sqlite3", ".sqlite-db"];
/// Words in the name of a variable or an argument that say that the file can be made again, or is not the program's own.
const NOT_KEPT: [&str; 11] =
    ["CACHE", "GEO", "GEOIP", "GEOIP2", "GEOLITE", "GEOLITE2", "MAXMIND", "TEMP", "TEST", "TMP", "VULN"];
/// Directories whose files an image brings.
const OF_IMAGES: [&str; 5] = ["/lib/", "/usr/lib/", "/usr/local/lib/", "/usr/local/share/", "/usr/share/"];

/// A database file that a container is told to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseFile {
    /// Where the variable or the argument stands that names it.
    pub origin: Origin,
    /// Where it may lie. There are two where not all programs read such a URL alike.
    pub places: Vec<FilePlace>,
}

/// Where a database file may lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilePlace {
    /// At this path, which is absolute and plain.
    At(String),
    /// At this path beneath the image's working directory, which is not known.
    Beneath(String),
}

/// Whether a path is named as the file of a database is.
pub fn is_database_file(path: &str) -> bool {
    ENDS.iter().any(|end| path.ends_with(end))
}

/// The database files that the variables and arguments of a container name. Of what stands in a Secret nothing shows, and a
/// shell's script is not read.
pub fn database_files(container: &ContainerView<'_>) -> Vec<DatabaseFile> {
    let mut found = Vec::new();
    of_variables(container, &mut found);
    of_arguments(container, &mut found);
    found
}

fn of_variables(container: &ContainerView<'_>, found: &mut Vec<DatabaseFile>) {
    let brought = container.configuration.map_or(&[][..], |configuration| &configuration.env_from);
    let from_keys = container.configuration.is_some_and(|configuration| !configuration.values.is_empty());
    let hinted = |value: Option<&str>| value.map_or(from_keys, is_hint);
    if brought.iter().all(Option::is_none) && !container.env.iter().any(|(_, value)| hinted(*value)) {
        return;
    }
    // Beyond the budget nothing is known of them.
    let Ok(variables) = Variables::new(container, &mut Budget::of(container)) else { return };
    let mut add = |name: &str, origin: Origin| {
        if let Env::Value(value) = variables.get(name) {
            add(found, name, value, origin, container.working_dir);
        }
    };
    for (index, (name, value)) in container.env.iter().enumerate() {
        let origin = Origin::Env { index: Some(index) };
        if hinted(*value) && variables.origin(name) == origin {
            add(name, origin);
        }
    }
    for (index, (object, prefix)) in brought.iter().zip(container.env_from).enumerate() {
        let Some(object) = object else { continue };
        let origin = Origin::EnvFrom { index };
        let is_named =
            |key: &&str| matches!(object.get(key), Some(ConfigValue::Text(text)) if is_hint(text.as_str()));
        for key in object.keys().filter(is_named) {
            let name = if prefix.is_empty() { Cow::Borrowed(key) } else { format!("{prefix}{key}").into() };
            if variables.origin(&name) == origin {
                add(&name, origin);
            }
        }
    }
}

fn of_arguments(container: &ContainerView<'_>, found: &mut Vec<DatabaseFile>) {
    let command =
        container.command.iter().enumerate().map(|(index, text)| (*text, Origin::Command { index }));
    let args = container.args.iter().enumerate().map(|(index, text)| (*text, Origin::Args { index }));
    let mut flag = None;
    for (text, origin) in command.chain(args) {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) if name.starts_with('-') => (Some(name), value),
            _ => (flag, text),
        };
        flag = Some(text).filter(|text| text.starts_with('-') && !text.contains('='));
        if let Some(name) = name {
            add(found, name, value, origin, container.working_dir);
        }
    }
}

fn add(found: &mut Vec<DatabaseFile>, name: &str, value: &str, origin: Origin, base: Option<&str>) {
    if found.len() >= MOST_FILES || !is_hint(value) {
        return;
    }
    let name = name.to_ascii_uppercase();
    let places = places(value, base);
    let is_kept = !name.split(['_', '-', '.']).any(|word| NOT_KEPT.contains(&word));
    if !places.is_empty() && is_kept {
        found.push(DatabaseFile { origin, places });
    }
}

/// Whether a text may name a database file.
fn is_hint(text: &str) -> bool {
    text.len() <= LONGEST_DATABASE_NAME && DATABASE_HINTS.iter().any(|hint| text.contains(hint))
}

/// Where the file lies that a text names, as a URL or by its path; nowhere where it names none.
fn places(text: &str, base: Option<&str>) -> Vec<FilePlace> {
    // What something else fills in, or a pattern.
    if text.contains(|c: char| c.is_whitespace() || "$%{}<>*,|\"'`".contains(c)) {
        return Vec::new();
    }
    let (scheme, rest) = split(text);
    let rest = rest.split(['?', ';', '#']).next().unwrap_or_default();
    let in_memory = text.contains("mode=memory") || rest.contains(":memory:");
    let is_file = is_database_file(rest);
    let beyond = rest.trim_start_matches('/');
    if in_memory || beyond.is_empty() || beyond.ends_with('/') {
        return Vec::new();
    }
    let at = || FilePlace::At(plain("", beyond));
    let beneath = |path: &str| match base {
        Some(base) => FilePlace::At(plain(base, path)),
        None => FilePlace::Beneath(plain("", path).trim_start_matches('/').to_owned()),
    };
    let dotted = beyond.starts_with("./") || beyond.starts_with("../");
    let places = match (scheme, rest.len() - beyond.len()) {
        (Scheme::Other, _) => Vec::new(),
        (Scheme::None | Scheme::File, _) if !is_file => Vec::new(),
        // `mysql.db` is as likely a host.
        (Scheme::None, 0) if !dotted => Vec::new(),
        (_, 0) => vec![beneath(beyond)],
        (Scheme::Sqlite, 1..=3) if dotted => vec![beneath(beyond)],
        // With two or three slashes some programs take the rest for relative.
        (Scheme::Sqlite, 2 | 3) => vec![at(), beneath(beyond)],
        _ => vec![at()],
    };
    let of_image = |place: &FilePlace| matches!(place, FilePlace::At(path) if OF_IMAGES.iter().any(|of| path.starts_with(of)));
    if places.iter().any(of_image) { Vec::new() } else { places }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    None,
    Sqlite,
    File,
    Other,
}

fn split(text: &str) -> (Scheme, &str) {
    let text = text.strip_prefix("jdbc:").unwrap_or(text);
    let Some((scheme, rest)) = text.split_once(':') else { return (Scheme::None, text) };
    let kind = scheme.split('+').next().unwrap_or_default();
    match kind {
        // Of paths that begin so, H2 takes none for relative without saying so.
        "h2" => match rest.strip_prefix("file:").unwrap_or(rest) {
            file if file.starts_with(['/', '.', '~']) => (Scheme::Sqlite, file),
            _ => (Scheme::Other, rest),
        },
        "sqlite" | "sqlite3" => (Scheme::Sqlite, rest.strip_prefix("file:").unwrap_or(rest)),
        "file" => (Scheme::File, rest),
        _ => (Scheme::Other, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, base: Option<&str>) -> Vec<String> {
        let show = |place| match place {
            FilePlace::At(path) => path,
            FilePlace::Beneath(path) => format!("…/{path}"),
        };
        places(text, base).into_iter().map(show).collect()
    }

    #[test]
    fn texts_name_database_files() {
        for (text, expected) in [
            ("sqlite:////data/app.db", vec!["/data/app.db"]),
            ("sqlite+aiosqlite:////data/app.db?cache=shared", vec!["/data/app.db"]),
            ("sqlite:///./test.db", vec!["…/test.db"]),
            ("sqlite:///data/app", vec!["/data/app", "…/data/app"]),
            ("sqlite://data/app.db?mode=rwc", vec!["/data/app.db", "…/data/app.db"]),
            ("sqlite:/data/app.db", vec!["/data/app.db"]),
            ("sqlite3:db/app.sqlite3", vec!["…/db/app.sqlite3"]),
            ("jdbc:sqlite:/data/app.db", vec!["/data/app.db"]),
            ("jdbc:h2:file:/data/app;MODE=MySQL", vec!["/data/app"]),
            ("jdbc:h2:~/app", vec!["…/~/app"]),
            ("file:./dev.db", vec!["…/dev.db"]),
            ("file:/data/dev.db?connection_limit=1", vec!["/data/dev.db"]),
            ("/data/../srv/app.sqlite", vec!["/srv/app.sqlite"]),
            ("./app.db", vec!["…/app.db"]),
        ] {
            assert_eq!(shown(text, None), expected, "{text}");
        }
        assert_eq!(shown("sqlite:///./test.db", Some("/app")), ["/app/test.db"]);
        assert_eq!(shown("sqlite:///x.db", Some("/app")), ["/x.db", "/app/x.db"]);
    }

    #[test]
    fn other_texts_name_none() {
        for text in [
            "sqlite://",
            "sqlite:///:memory:",
            "sqlite::memory:",
            "file:x.db?mode=memory",
            "jdbc:h2:mem:test",
            "jdbc:h2:tcp://h2.db/x",
            "mysql.db",
            "postgres.db:5432",
            "postgres://u@postgres.db/x",
            "https://example.com/x.db",
            "sqlite",
            "/usr/share/misc/magic.db",
            "/data/sqlite",
            "sqlite:////data/{{ name }}.db",
            "sqlite:///$(DIR)/x.db",
            "/a.db,/b.db",
            "sqlite:////data/",
        ] {
            assert_eq!(shown(text, None), [""; 0], "{text}");
        }
    }

    #[test]
    fn variables_and_arguments_are_looked_at_and_their_names_tell() {
        let env = [
            ("DIR", Some("/data")),
            ("DATABASE_URL", Some("sqlite:///$(DIR)/old.db")),
            ("TEST_DATABASE_URL", Some("sqlite:////data/test.db")),
            ("CACHE_DB", Some("/data/cache.db")),
            ("SECRET", None),
            ("DATABASE_URL", Some("sqlite:///$(DIR)/app.db")),
        ];
        let args =
            ["--db", "/srv/a.db", "--other=/srv/b.sqlite", "-v", "--config", "/etc/x.yaml", "/srv/c.db"];
        let view = ContainerView { env: &env, args: &args, ..ContainerView::default() };
        let found: Vec<_> = database_files(&view)
            .into_iter()
            .map(|file| (file.origin, file.places.into_iter().next()))
            .collect();
        let at = |path: &str| Some(FilePlace::At(path.to_owned()));
        assert_eq!(
            found,
            [
                (Origin::Env { index: Some(5) }, at("/data/app.db")),
                (Origin::Args { index: 1 }, at("/srv/a.db")),
                (Origin::Args { index: 2 }, at("/srv/b.sqlite")),
            ]
        );
        let script = ["sh", "-c", "app --db /data/x.db"];
        assert_eq!(database_files(&ContainerView { command: &script, ..ContainerView::default() }), []);
    }

    #[test]
    fn no_more_than_a_few_are_looked_at() {
        let env: Vec<(String, String)> =
            (0..100).map(|n| (format!("DB{n}"), format!("/data/{n}.db"))).collect();
        let env: Vec<_> = env.iter().map(|(name, value)| (name.as_str(), Some(value.as_str()))).collect();
        let view = ContainerView { env: &env, ..ContainerView::default() };
        assert_eq!(database_files(&view).len(), MOST_FILES);
    }
}
