//! By what a product shows in an image that the catalog does not name: `company/postgres-custom` that starts `postgres`.

use super::argv::Argv;
use super::budget::Budget;
use super::client::{behind_runners, program_of};
use super::container::{ContainerView, Origin};
use super::image::ImageRef;
use super::resolve::{Listing, resolve};
use super::statefulness::Statefulness;
use super::word::{Word, program};
use super::{Catalog, Entry};

/// By what a product shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TellTale<'c> {
    /// The container starts this program.
    Program(&'c str),
    /// It listens on this port and has this variable.
    Variable {
        /// The port.
        port: u16,
        /// The variable's name.
        name: &'c str,
    },
}

impl Catalog {
    /// Whether a container may show a product, as far as its own words and variables say. Most containers show none.
    pub fn may_show(&self, container: &ContainerView<'_>, ports: impl Iterator<Item = u16>) -> bool {
        if runs_its_image(container) {
            return self.served(container, ports).is_some();
        }
        let words = || container.command.iter().chain(container.args);
        words().any(|text| self.programs.keys().any(|program| text.contains(program.as_str())))
    }

    /// The product that a container shows to be, whatever its image is called, with what it keeps and where; none where
    /// nothing shows. `ports` are those that the container names.
    pub fn told<'c>(
        &'c self,
        container: &ContainerView<'_>,
        ports: impl Iterator<Item = u16>,
    ) -> Option<(TellTale<'c>, Statefulness<'c>)> {
        let (entry, by) = if runs_its_image(container) {
            self.served(container, ports)?
        } else {
            let argv = Argv::new(container, &[], &mut Budget::of(container)).ok()?;
            argv.words.split(|word| word.end).find_map(|command| self.started(command))?
        };
        let image = ImageRef::parse(container.image)?;
        let listing = Listing { entry, variants: &[], foreign: true, extension: false };
        Some((by, resolve(&listing, &image, container, &mut Budget::of(container))))
    }

    /// Whether a container whose image is not known says that it keeps nothing of the product whose home that directory is, as a
    /// node of Elasticsearch without data does by its variables.
    pub fn keeps_nothing_at(&self, directory: &str, container: &ContainerView<'_>) -> bool {
        let entry = self.homes.get(directory).and_then(|index| self.entries.get(*index));
        // One that most often keeps nothing has shown by its mount that it does keep something.
        let Some(entry) = entry.filter(|entry| entry.stateful_when.is_none()) else { return false };
        let Some(image) = ImageRef::parse(container.image) else { return false };
        let listing = Listing { entry, variants: &[], foreign: true, extension: false };
        let state = resolve(&listing, &image, container, &mut Budget::of(container));
        matches!(state, Statefulness::Cache { lossy: false, .. })
    }

    /// The product whose server a command starts.
    fn started<'c>(&'c self, command: &[Word<'_>]) -> Option<(&'c Entry, TellTale<'c>)> {
        let head = behind_runners(program_of(command)?).first()?;
        // What stands first among the arguments may be a task of the image's own.
        let is_task =
            !head.scripted && matches!(head.origin, Origin::Args { .. }) && head.text.len() < TELLING;
        if !head.known || is_task {
            return None;
        }
        let name = program(&head.text);
        let entry = self.entries.get(*self.programs.get(name)?)?;
        let shown = entry.tell_tales.as_ref()?.programs.iter().find(|known| *known == name)?;
        Some((entry, TellTale::Program(shown)))
    }

    /// The product on whose port a container listens and whose variables it has. One that names another host is a client.
    fn served<'c>(
        &'c self,
        container: &ContainerView<'_>,
        mut ports: impl Iterator<Item = u16>,
    ) -> Option<(&'c Entry, TellTale<'c>)> {
        if container.env.is_empty() || container.env.iter().any(|(name, _)| is_of_a_client(name)) {
            return None;
        }
        let has = |known: &&String| container.env.iter().any(|(name, _)| name == known);
        ports.find_map(|port| {
            self.ports.get(&port)?.iter().find_map(|index| {
                let entry = self.entries.get(*index)?;
                let name = entry.tell_tales.as_ref()?.variables.iter().find(has)?;
                Some((entry, TellTale::Variable { port, name }))
            })
        })
    }
}

/// A shorter word among the arguments of an image's entry point says too little: `postgres` may be the kind of a database.
const TELLING: usize = 9;

/// Whether what the container runs is its image's own.
fn runs_its_image(container: &ContainerView<'_>) -> bool {
    container.command.is_empty() && container.args.is_empty()
}

/// Whether only what connects to a server has a variable of that name.
fn is_of_a_client(name: &str) -> bool {
    ["_HOST", "_URL", "_URI", "_DSN", "_HOSTNAME", "_ADDR", "_ENDPOINT"].iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(
        command: &[&str],
        args: &[&str],
        env: &[(&str, Option<&str>)],
        ports: &[u16],
    ) -> Option<(TellTale<'static>, Statefulness<'static>)> {
        let view = ContainerView { image: "corp/own:1", command, args, env, ..ContainerView::default() };
        let found = Catalog::embedded().told(&view, ports.iter().copied());
        let may = Catalog::embedded().may_show(&view, ports.iter().copied());
        assert!(may || found.is_none(), "{command:?} {args:?}");
        found
    }

    fn place(
        found: Option<(TellTale<'static>, Statefulness<'static>)>,
    ) -> Option<(TellTale<'static>, String)> {
        match found? {
            (by, Statefulness::Stateful { data, .. }) => Some((by, data.first()?.path.clone().into_owned())),
            _ => None,
        }
    }

    #[test]
    fn a_server_that_is_started_shows_its_product() {
        let at = |name, path: &str| Some((TellTale::Program(name), path.to_owned()));
        let words = |words: &[&str]| place(told(words, &[], &[], &[]));
        assert_eq!(words(&["redis-server", "/etc/redis.conf"]), at("redis-server", "/data"));
        assert_eq!(words(&["sh", "-c", "exec gosu redis redis-server --dir /x"]), at("redis-server", "/x"));
        assert_eq!(words(&["/usr/bin/mongod", "--dbpath", "/x"]), at("mongod", "/x"));
        assert_eq!(words(&["postgres", "-D", "/x"]), at("postgres", "/x"));
        assert_eq!(place(told(&[], &["redis-server"], &[], &[])), at("redis-server", "/data"));
    }

    #[test]
    fn what_starts_none_or_keeps_nothing_does_not() {
        assert_eq!(told(&["redis-cli", "-h", "db"], &[], &[], &[6379]), None);
        assert_eq!(told(&["sh", "-c", "echo redis-server"], &[], &[], &[]), None);
        assert_eq!(told(&[], &["postgres"], &[], &[]), None, "a word for the image's own entry point");
        assert_eq!(told(&["wait-for", "mongod"], &[], &[], &[]), None);
        let cache = told(&["redis-server", "--save", "", "--appendonly", "no"], &[], &[], &[]);
        assert!(matches!(cache, Some((_, Statefulness::Cache { .. }))), "{cache:?}");
    }

    #[test]
    fn a_port_with_a_variable_of_its_image_shows_a_product() {
        let password = [("MYSQL_ROOT_PASSWORD", None)];
        let by = TellTale::Variable { port: 3306, name: "MYSQL_ROOT_PASSWORD" };
        assert_eq!(place(told(&[], &[], &password, &[3306])), Some((by, "/var/lib/mysql".to_owned())));
        assert_eq!(told(&[], &[], &password, &[8080]), None, "another port");
        assert_eq!(told(&[], &[], &[("OTHER", None)], &[3306]), None, "no such variable");
        let client = [("MYSQL_ROOT_PASSWORD", None), ("MYSQL_HOST", Some("db"))];
        assert_eq!(told(&[], &[], &client, &[3306]), None, "a proxy names a host");
        assert_eq!(told(&["proxy"], &[], &password, &[3306]), None, "it starts something else");
    }
}
