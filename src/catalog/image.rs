//! Image references, and the patterns by which the catalog names images.

use super::words::ProductWord;

/// An image reference, taken apart without copying: `registry/path:tag@digest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageRef<'a> {
    /// The registry host with its port, as written; `docker.io` when none is written.
    pub registry: &'a str,
    /// The repository path as written, without the registry: `team/redis`, or `redis` alone.
    pub path: &'a str,
    /// The tag, when one is written.
    pub tag: Option<&'a str>,
    /// The digest with its algorithm (`sha256:…`), when one is written.
    pub digest: Option<&'a str>,
}

impl<'a> ImageRef<'a> {
    /// Takes a reference apart; `None` when it has no repository path.
    ///
    /// The first segment is a registry by the rule that container runtimes share: it holds a `.` or a `:`, or it is
    /// `localhost`.
    pub fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        let (registry, rest) = match name.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (host, rest),
            _ => ("docker.io", name),
        };
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
            _ => (rest, None),
        };
        let path = path.trim_matches('/');
        (!path.is_empty()).then_some(Self { registry, path, tag, digest })
    }

    /// The last segment of the path: `redis` of `team/redis`.
    pub fn name(&self) -> &'a str {
        self.path.rsplit('/').next().unwrap_or(self.path)
    }

    /// Who publishes it, as the segment before the name says: `bitnami` of `docker.io/bitnami/redis`; none for `redis`
    /// and for `library/redis`, which are the official image. Docker's hardened images have another layout, and their registry
    /// alone tells them apart.
    pub fn publisher(&self) -> Option<&'a str> {
        let Some((before, _)) = self.path.rsplit_once('/') else {
            return Some(self.registry).filter(|registry| *registry == HARDENED);
        };
        Some(before.rsplit('/').next().unwrap_or(before)).filter(|publisher| *publisher != "library")
    }

    /// The image without the end of its name, where that says how it was rebuilt and not what is in it.
    pub(super) fn rebuilt_from(self) -> Option<Self> {
        REBUILT.iter().find_map(|end| Some(Self { path: self.path.strip_suffix(end)?, ..self }))
    }

    /// What an image may mirror that is called so: Rancher's `mirrored-coreos-etcd` is `etcd` of `coreos`, and where the
    /// publisher's name ends is not written. The longest name comes first.
    pub(super) fn mirrored_from(self) -> impl Iterator<Item = Self> {
        let mirrored = self.name().strip_prefix(MIRRORED).unwrap_or_default();
        let dashes = mirrored.match_indices('-').filter_map(|(at, _)| mirrored.get(at + 1..));
        dashes.filter(|name| !name.is_empty()).take(MOST_DASHES).map(move |path| Self { path, ..self })
    }

    /// The major version that the tag tells: `16` of `16.4-alpine`, `17` of `latest-pg17`; `None` of `latest`, of no
    /// tag and of a name.
    pub fn major(&self) -> Option<u32> {
        let tag = self.tag?;
        // Extensions of Postgres put their own version first and the server's behind "pg": 0.8.0-pg17.
        let postgres = tag
            .as_bytes()
            .windows(2)
            .enumerate()
            .filter(|(_, pair)| *pair == b"pg")
            .find_map(|(at, _)| leading_number(tag.get(at + 2..)?));
        postgres.or_else(|| leading_number(tag.strip_prefix('v').unwrap_or(tag)))
    }
}

/// The registry of Docker's hardened images.
const HARDENED: &str = "dhi.io";

/// How many dashes of a mirror's name may end its publisher's.
const MOST_DASHES: usize = 8;

/// What the names of Rancher's mirrors begin with.
pub(super) const MIRRORED: &str = "mirrored-";

/// Ends of names that say how an image was rebuilt: Chainguard's `postgres-fips` and `postgres-iamguarded-fips`, which once were
/// `postgres-bitnami`.
pub(super) const REBUILT: [&str; 3] = ["-bitnami", "-fips", "-iamguarded"];

fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}

/// The last segment of a pattern that stands for any name; no image has it.
pub(super) const ANY_NAME: &str = "*";

/// A compiled image pattern of the catalog.
///
/// - `redis` (one segment): the path's last segment is this, whatever stands before it. `mycorp/redis` very probably
///   is redis, and data lost is worse than a question asked; `redis-exporter` is another word, so it does not match.
/// - `library/registry`: the official image only, for names that are everyday words: the path is exactly the name, or
///   it ends in `library/name`, as a mirror writes it.
/// - `vendor/name`, `host/vendor/name`: the path ends in these whole segments, so that a mirror's or a pull-through
///   cache's prefix does no harm.
/// - `postgresql-#`: the last segment is this name, a dash, and something that begins with a digit
///   (`rhel9/postgresql-16`, `sclorg/postgresql-15-c9s`).
/// - `vendor/*`: every image whose path ends in that publisher and one segment more. It goes before a pattern of one
///   segment (`linuxserver/mariadb` is laid out as LinuxServer.io's images are), and behind one that names the image.
/// - `*-operator`: every image whose name has that end; behind all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    text: String,
    name_at: usize,
    weight: usize,
    versioned: bool,
    any_name: bool,
    ending: bool,
}

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        let versioned = text.ends_with("-#");
        let ending = text.starts_with("*-");
        let text = text.strip_suffix("-#").unwrap_or(text.strip_prefix('*').unwrap_or(text));
        let name_at = text.rfind('/').map_or(0, |slash| slash + 1);
        let any_name = text.ends_with(ANY_NAME);
        let weight = 2 * text.split('/').count() - usize::from(any_name) - usize::from(ending);
        Self { text: text.to_owned(), name_at, weight, versioned, any_name, ending }
    }

    /// What the index files this pattern under: the last segment, its stem when versioned, its end with the dash, or
    /// [`ANY_NAME`].
    pub(super) fn key(&self) -> &str {
        self.text.get(self.name_at..).unwrap_or_default()
    }

    pub(super) fn versioned(&self) -> bool {
        self.versioned
    }

    /// Whether it is about the end of names alone.
    pub(super) fn is_ending(&self) -> bool {
        self.ending
    }

    /// Whether it says nothing of who publishes the image: `redis`.
    pub(super) fn is_name_alone(&self) -> bool {
        self.name_at == 0 && !self.ending
    }

    /// The more segments, the more exactly a pattern names its image.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    /// What stands in every image that it names; none where that may be any image. The registry is left out: an image may
    /// leave it out as well.
    pub(super) fn word(&self) -> Option<ProductWord> {
        let is_host = |segment: &str| segment.contains(['.', ':']) || segment == "localhost";
        let prefix = self.text.get(..self.name_at.saturating_sub(1)).unwrap_or_default();
        let publisher = prefix.rsplit('/').next().filter(|publisher| {
            let is_registry = !prefix.contains('/') && is_host(publisher);
            !publisher.is_empty() && !is_registry && *publisher != "library"
        });
        let name = self.key();
        Some(match (publisher, self.any_name) {
            (None, true) => return None,
            (Some(publisher), true) => ProductWord::Publisher(publisher.to_owned()),
            (_, false) if self.ending => ProductWord::Ending(name.to_owned()),
            (_, false) if self.versioned => ProductWord::Versioned(name.to_owned()),
            (Some(publisher), false) => ProductWord::Named(format!("{publisher}/{name}")),
            (None, false) => ProductWord::Named(name.to_owned()),
        })
    }

    /// Whether it names the image; `name` is [`ImageRef::name`].
    pub(super) fn matches(&self, image: &ImageRef<'_>, name: &str) -> bool {
        let name_fits = match self.versioned {
            true => stem(name) == Some(self.key()),
            false => self.any_name || name == self.key() || (self.ending && name.ends_with(self.key())),
        };
        if !name_fits {
            return false;
        }
        let prefix = self.text.get(..self.name_at.saturating_sub(1)).unwrap_or_default();
        if prefix.is_empty() || (prefix == "library" && image.path == name) {
            return true;
        }
        // The segments before the name: the prefix is the last of them, or all of them behind the registry.
        let before = image.path.strip_suffix(name).unwrap_or_default();
        let before = before.strip_suffix('/').unwrap_or(before);
        let inside = before.strip_suffix(prefix).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'));
        let whole = prefix.strip_prefix(image.registry).is_some_and(|rest| match rest.strip_prefix('/') {
            Some(rest) => rest == before,
            None => rest.is_empty() && before.is_empty(),
        });
        inside || whole
    }
}

/// The end of a name, with its dash: `-operator` of `rabbitmq-cluster-operator`.
pub(super) fn ending(name: &str) -> Option<&str> {
    name.get(name.rfind('-')?..)
}

/// The stem of a name that carries a version: `postgresql` of `postgresql-16-c9s`.
pub(super) fn stem(name: &str) -> Option<&str> {
    let at = name.match_indices('-').find_map(|(at, _)| {
        let next = name.as_bytes().get(at + 1)?;
        next.is_ascii_digit().then_some(at)
    })?;
    name.get(..at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_come_apart() {
        for (text, registry, path, tag, digest) in [
            ("redis", "docker.io", "redis", None, None),
            ("redis:7", "docker.io", "redis", Some("7"), None),
            ("bitnami/redis", "docker.io", "bitnami/redis", None, None),
            (
                "docker.io/library/redis:7@sha256:ab",
                "docker.io",
                "library/redis",
                Some("7"),
                Some("sha256:ab"),
            ),
            ("localhost:5000/team/redis:7", "localhost:5000", "team/redis", Some("7"), None),
            ("localhost/redis", "localhost", "redis", None, None),
            ("registry.corp:5000/redis", "registry.corp:5000", "redis", None, None),
            (
                "registry.corp/mirror/docker.io/library/redis",
                "registry.corp",
                "mirror/docker.io/library/redis",
                None,
                None,
            ),
            ("quay.io/a/b/c@sha256:00", "quay.io", "a/b/c", None, Some("sha256:00")),
            (" redis:7 ", "docker.io", "redis", Some("7"), None),
        ] {
            assert_eq!(ImageRef::parse(text), Some(ImageRef { registry, path, tag, digest }), "{text}");
        }
        for text in ["", "  ", ":7", "@sha256:00", "quay.io/"] {
            assert_eq!(ImageRef::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn names_of_rebuilt_images_lead_to_what_they_were_built_from() {
        let from = |text| ImageRef::parse(text).unwrap().rebuilt_from().map(|image| image.path);
        assert_eq!(from("cgr.dev/corp/postgres-fips:17"), Some("corp/postgres"));
        assert_eq!(from("cgr.dev/corp/redis-iamguarded-fips"), Some("corp/redis-iamguarded"));
        assert_eq!(from("corp/postgres"), None);
        assert_eq!(from("corp/fips"), None);
    }

    #[test]
    fn names_of_mirrors_lead_to_what_they_mirror() {
        let from = |text| {
            let names = ImageRef::parse(text).unwrap().mirrored_from();
            names.map(|image| image.path.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(from("rancher/mirrored-coreos-etcd:v3.5"), ["etcd"]);
        assert_eq!(from("rancher/mirrored-a-kube-state-x"), ["kube-state-x", "state-x", "x"]);
        assert_eq!(from("rancher/etcd-mirrored-a"), [""; 0]);
    }

    #[test]
    fn the_publisher_stands_before_the_name() {
        let publisher = |text| ImageRef::parse(text).unwrap().publisher();
        assert_eq!(publisher("registry.corp/mirror/bitnami/redis"), Some("bitnami"));
        assert_eq!(publisher("public.ecr.aws/docker/library/redis"), None);
        assert_eq!(publisher("dhi.io/redis:8"), Some("dhi.io"));
    }

    #[test]
    fn the_major_version_is_read_from_the_tag() {
        for (image, major) in [
            ("postgres:18", Some(18)),
            ("postgres:17.2-bookworm", Some(17)),
            ("postgres:v16", Some(16)),
            ("postgres", None),
            ("postgres:latest", None),
            ("postgres@sha256:00", None),
            ("postgres:alpine", None),
            ("pgvector/pgvector:pg18", Some(18)),
            ("pgvector/pgvector:0.8.0-pg17", Some(17)),
            ("timescale/timescaledb:latest-pg16", Some(16)),
            ("postgis/postgis:18-3.6", Some(18)),
            ("postgres:99999999999", None),
        ] {
            assert_eq!(ImageRef::parse(image).unwrap().major(), major, "{image}");
        }
    }

    #[test]
    fn patterns_match_whole_segments() {
        for (pattern, image, expected) in [
            ("redis", "redis", true),
            ("redis", "registry.corp/mirror/library/redis:7", true),
            ("redis", "mycorp/redis", true),
            ("redis", "mycorp/redis-exporter", false),
            ("redis", "mycorp/redis_exporter", false),
            ("redis", "redis/redisinsight", false),
            ("bitnami/redis", "docker.io/bitnami/redis:7", true),
            ("bitnami/redis", "123.dkr.ecr.eu-west-1.amazonaws.com/docker-hub/bitnami/redis", true),
            ("bitnami/redis", "notbitnami/redis", false),
            ("bitnami/redis", "redis", false),
            ("library/registry", "registry:2", true),
            ("library/registry", "localhost:5000/registry:2", true),
            ("library/registry", "public.ecr.aws/docker/library/registry:2", true),
            ("library/registry", "mycorp/registry", false),
            ("mcr.microsoft.com/mssql/server", "mcr.microsoft.com/mssql/server:2022-latest", true),
            ("mcr.microsoft.com/mssql/server", "mirror.corp/mcr.microsoft.com/mssql/server", true),
            ("mcr.microsoft.com/mssql/server", "example.com/mssql/server", false),
            ("postgresql-#", "registry.redhat.io/rhel9/postgresql-16", true),
            ("postgresql-#", "quay.io/sclorg/postgresql-15-c9s", true),
            ("postgresql-#", "mycorp/postgresql-exporter", false),
            ("postgresql-#", "mycorp/postgresql-ha-15", false),
            ("linuxserver/*", "lscr.io/linuxserver/sonarr:latest", true),
            ("linuxserver/*", "ghcr.io/linuxserver/sonarr@sha256:00", true),
            ("linuxserver/*", "mirror.corp/docker.io/linuxserver/sonarr", true),
            ("linuxserver/*", "linuxserver", false),
            ("linuxserver/*", "notlinuxserver/sonarr", false),
            ("linuxserver/*", "linuxserver/baseimages/alpine", false),
            ("*-operator", "quay.io/strimzi/kafka-operator:0.45", true),
            ("*-operator", "operator", false),
            ("*-operator", "mycorp/operator-tools", false),
        ] {
            let image_ref = ImageRef::parse(image).unwrap();
            assert_eq!(
                Pattern::new(pattern).matches(&image_ref, image_ref.name()),
                expected,
                "{pattern} on {image}"
            );
        }
    }
}
