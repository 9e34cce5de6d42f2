//! The catalog of stateful images: which images keep data, where, and what makes one a mere cache.
//!
//! The knowledge is data, `catalog.json`; a policy extends it with entries of the same type. Looking a container up
//! does no I/O: one hash of the image's last path segment finds the entries that can match.
mod argv;
mod assigned;
mod branches;
mod budget;
mod client;
mod condition;
mod configuration;
mod container;
mod database_file;
mod entry;
mod flags;
mod fronts;
mod image;
mod links;
mod made_file;
mod nested;
mod passed;
mod paths;
mod places;
mod program;
mod resolve;
mod script;
mod settings;
mod shell;
mod split;
mod start;
mod statefulness;
mod tell_tale;
mod text;
mod variables;
mod word;
mod words;
mod xml;

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use crate::facts::{CustomKind, Kinds};
use budget::Budget;
pub use budget::Excess;
pub use configuration::{Allowance, Brought, Configuration, Mounted, Source};
pub use container::{ContainerView, Origin, ROLE_LABELS};
pub use database_file::{DATABASE_HINTS, DatabaseFile, FilePlace, database_files, is_database_file};
pub use entry::{
    CacheWhen, CatalogFile, ClaimAdvice, Condition, ConfigFile, DataDir, DirWhen, Entry, KindsFile,
    Positional, StatefulWhen, Syntax, TellTales, ValueForm, Variant,
};
pub use image::ImageRef;
use image::{ANY_NAME, MIRRORED, Pattern, REBUILT, ending, stem};
pub use program::is_task;
pub use start::Start;
pub use statefulness::{
    CacheDoubt, DataPlace, Keeps, MovedBy, Named, PlaceDoubt, Statefulness, Unplaced, Unsure,
};
pub use tell_tale::TellTale;
pub use word::program;
pub use words::{ProductWord, ProductWords};

const EMBEDDED: &str = include_str!("catalog.json");
/// The custom resources of known operators, each entry of the type [`CustomKind`].
const KINDS: &str = include_str!("kinds.json");

/// The stateful images, ready to be looked up.
#[derive(Debug, Default)]
pub struct Catalog {
    entries: Vec<Entry>,
    /// By the last segment, or by its end with the dash, which no name is.
    names: HashMap<String, Vec<Candidate>>,
    /// Patterns whose last segment carries a version, by its stem; apart, so that a look-up needs no new key.
    stems: HashMap<String, Vec<Candidate>>,
    /// Directories that only one product, or one family of them, keeps its data in, and the first entry that does.
    homes: HashMap<String, usize>,
    /// Programs that show a product in any image, and its entry.
    programs: HashMap<String, usize>,
    /// Ports that do so together with variables.
    ports: HashMap<u16, Vec<usize>>,
    /// The custom resources of known operators.
    kinds: Kinds,
    /// The day on which a built-in entry was last changed.
    date: String,
}

/// An image with the entry that names it most exactly.
#[derive(Debug, Clone, Copy)]
pub struct Listed<'c, 'i> {
    entry: &'c Entry,
    found: &'c Candidate,
    image: ImageRef<'i>,
    /// Whether its name has an end that says how it was rebuilt.
    rebuilt: bool,
}

impl<'c> Listed<'c, '_> {
    /// Whether the built-in catalog knows the image by the end of its name alone, as `*-operator` does.
    pub fn is_known_by_ending(&self) -> bool {
        self.found.pattern.is_ending() && !self.found.extension
    }

    /// Whether the image is called like one that somebody rebuilt, so that where it keeps its data is not known.
    pub fn is_rebuilt(&self) -> bool {
        self.rebuilt
    }

    /// Whether the image stands only in pods that keep nothing.
    pub fn is_of_the_whole_pod(&self) -> bool {
        self.entry.whole_pod && self.entry.keeps_nothing.is_some()
    }

    /// Whether a container of the image keeps data, and where. What that may cost follows from the container's size;
    /// beyond it the answer is [`Statefulness::Unplaced`].
    pub fn classify(&self, container: &ContainerView<'_>) -> Statefulness<'c> {
        let bitnami = is_mirrored_from_bitnami(container, &self.image)
            .then(|| variants_about(self.entry, &format!("bitnami/{}", self.image.name())))
            .filter(|variants| !variants.is_empty());
        let foreign = bitnami.is_none()
            && (self.rebuilt || (self.found.pattern.is_name_alone() && is_foreign(self.entry, &self.image)));
        let variants = bitnami.as_ref().unwrap_or(&self.found.variants);
        let listing =
            resolve::Listing { entry: self.entry, variants, foreign, extension: self.found.extension };
        resolve::resolve(&listing, &self.image, container, &mut Budget::of(container))
    }
}

/// A pattern of an entry.
#[derive(Debug)]
struct Candidate {
    entry: usize,
    extension: bool,
    /// The entry's variants that are about images of this pattern.
    variants: Vec<usize>,
    pattern: Pattern,
    except: Vec<Pattern>,
}

impl Catalog {
    /// The catalog that is built in.
    pub fn embedded() -> &'static Self {
        // That the file can be read is a property of the build, which the tests check; an empty catalog is what is
        // left of an impossible fault.
        static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
            let file: CatalogFile = serde_json::from_str(EMBEDDED).unwrap_or_default();
            let kinds = serde_json::from_str::<KindsFile>(KINDS).unwrap_or_default();
            let catalog = Catalog::build(file.entries, Vec::new());
            Catalog { kinds: Kinds::new(kinds.kinds), date: file.date, ..catalog }
        });
        &CATALOG
    }

    /// The built-in catalog with a policy's own entries. Where one of these names an image, the built-in ones say
    /// nothing of it any more; with `stateful: false` the image counts as not listed. The same holds of custom resources
    /// and `judged: false`.
    pub fn with(extra: Vec<Entry>, extra_kinds: Vec<CustomKind>) -> Self {
        let mut kinds = Self::embedded().kinds.entries().to_vec();
        kinds.extend(extra_kinds);
        Self { kinds: Kinds::new(kinds), ..Self::build(Self::embedded().entries.clone(), extra) }
    }

    /// The day on which a built-in entry was last changed, such as 2026-11-29; empty of a catalog with a policy's entries.
    pub fn date(&self) -> &str {
        &self.date
    }

    /// The custom resources of known operators.
    pub fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    /// The entries, the built-in ones first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry for an image, if the catalog has one. An entry that takes images out is one too.
    pub fn entry(&self, image: &str) -> Option<&Entry> {
        self.listed(image).map(|listed| listed.entry)
    }

    /// One of these stands in every container that the catalog has something to say about, except images that never keep
    /// anything; none where an entry may name any image.
    pub fn product_words(&self) -> Option<BTreeSet<ProductWord>> {
        let keeps = |candidate: &&Candidate| {
            self.entries.get(candidate.entry).is_none_or(|entry| entry.keeps_nothing.is_none())
        };
        let patterns = self.names.values().chain(self.stems.values()).flatten();
        let images = patterns.filter(keeps).map(|candidate| candidate.pattern.word());
        let shown = self.entries.iter().filter_map(|entry| entry.tell_tales.as_ref());
        let rebuilt = REBUILT.iter().map(|end| ProductWord::Ending((*end).to_owned()));
        let mirrored = ProductWord::Beginning(MIRRORED.to_owned());
        images.chain(shown.flat_map(TellTales::words).chain(rebuilt).chain([mirrored]).map(Some)).collect()
    }

    /// Whether a container keeps data, and where. What that may cost follows from the container's size; beyond it the
    /// answer is [`Statefulness::Unplaced`].
    pub fn classify(&self, container: &ContainerView<'_>) -> Statefulness<'_> {
        self.listed(container.image).map_or(Statefulness::NotListed, |listed| listed.classify(container))
    }

    /// What a container starts that is more than clients and tools of its image.
    pub fn start(&self, container: &ContainerView<'_>) -> Start {
        let listed = self.listed(container.image);
        let (entry, extension) =
            listed.as_ref().map_or((None, false), |listed| (Some(listed.entry), listed.found.extension));
        let args_env = entry.map_or(&[][..], |entry| &entry.args_env);
        match argv::Argv::new(container, args_env, &mut Budget::of(container)) {
            Ok(argv) => match start::runs(container, &argv, start::Programs::of(entry, extension)) {
                start::Runs::Client(_) => Start::Program,
                start::Runs::Start(start) => start,
            },
            // What is too long to be read may well start a server; nobody is excused by length.
            Err(_) => Start::Server,
        }
    }

    /// The image, if the catalog has an entry for it.
    pub fn listed<'i>(&self, image: &'i str) -> Option<Listed<'_, 'i>> {
        let mut image = ImageRef::parse(image)?;
        // `postgres-iamguarded-fips` has two ends of rebuilding, and no image has more.
        for ends in 0..3 {
            // Which publisher's layout a mirror has, its name does not say for sure.
            let mut names = std::iter::once(image).chain(image.mirrored_from());
            if let Some((found, image)) = names.find_map(|image| Some((self.find(&image)?, image))) {
                return Some(Listed {
                    entry: self.entries.get(found.entry)?,
                    found,
                    image,
                    rebuilt: ends > 0,
                });
            }
            image = image.rebuilt_from()?;
        }
        None
    }

    /// The arguments that make a product a mere cache by turning off what it writes, where there are such: `--save ""`.
    pub fn cache_arguments(&self, product: &str) -> Option<String> {
        let entry = self.entries.iter().find(|entry| entry.product == product)?;
        // Of other ways, a role or another database, the product is none that would keep these data.
        let turned_off = |condition: &Condition| {
            let flag = condition.flag.as_ref().filter(|_| !condition.absent)?;
            let value = condition.is.first().filter(|value| value.is_empty() || *value == "no")?;
            Some(format!("{flag} {}", if value.is_empty() { "\"\"" } else { value }))
        };
        let arguments = |cache: &CacheWhen| cache.all.iter().map(turned_off).collect::<Option<Vec<_>>>();
        entry.cache_when.iter().find_map(arguments).map(|arguments| arguments.join(" "))
    }

    /// The product that keeps its data in this directory by default, when the directory says as much: `/var/lib/mysql`
    /// does, `/data` does not.
    pub fn at_home(&self, directory: &str) -> Option<&str> {
        let entry = self.entries.get(*self.homes.get(directory)?)?;
        Some(&entry.product)
    }

    fn build(embedded: Vec<Entry>, extra: Vec<Entry>) -> Self {
        let first_extra = embedded.len();
        let mut catalog = Self { entries: embedded, ..Self::default() };
        catalog.entries.extend(extra);
        for (index, entry) in catalog.entries.iter().enumerate() {
            let variants = entry.variants.iter().flat_map(|variant| &variant.images);
            for text in entry.images.iter().chain(variants) {
                let pattern = Pattern::new(text);
                let map = if pattern.versioned() { &mut catalog.stems } else { &mut catalog.names };
                map.entry(pattern.key().to_owned()).or_default().push(Candidate {
                    entry: index,
                    extension: index >= first_extra,
                    variants: variants_about(entry, text),
                    pattern,
                    except: entry.except.iter().map(|text| Pattern::new(text)).collect(),
                });
            }
        }
        for (index, entry) in catalog.entries.iter().enumerate() {
            let Some(tell_tales) = &entry.tell_tales else { continue };
            catalog.programs.extend(tell_tales.programs.iter().map(|program| (program.clone(), index)));
            if let Some(port) = tell_tales.port {
                catalog.ports.entry(port).or_default().push(index);
            }
        }
        // A product's own directories before those of its variants, which may be another's by default; and what lies above one
        // last.
        for (index, entry) in catalog.entries.iter().enumerate() {
            let own = entry.data.iter().filter_map(|data| data.path.as_ref()).chain(&entry.image_volumes);
            for home in own.filter(|path| telling(path, entry)) {
                catalog.homes.entry(home.clone()).or_insert(index);
            }
        }
        for (index, entry) in catalog.entries.iter().enumerate() {
            for home in entry.dirs().filter_map(|data| data.path.as_ref()).filter(|path| telling(path, entry))
            {
                catalog.homes.entry(home.clone()).or_insert(index);
            }
        }
        for (index, entry) in catalog.entries.iter().enumerate() {
            for home in entry.dirs().filter_map(|data| data.path.as_ref()) {
                let above = home.rsplit_once('/').map(|(above, _)| above);
                if let Some(above) = above.filter(|path| tells_above(path, entry)) {
                    catalog.homes.entry(above.to_owned()).or_insert(index);
                }
            }
        }
        catalog
    }

    /// The candidate that names the image most exactly; an extension's before a built-in one.
    fn find(&self, image: &ImageRef<'_>) -> Option<&Candidate> {
        let name = image.name();
        let named = self.names.get(name);
        let versioned = stem(name).and_then(|stem| self.stems.get(stem));
        named
            .into_iter()
            .chain(versioned)
            .chain(self.names.get(ANY_NAME))
            .chain(ending(name).and_then(|end| self.names.get(end)))
            .flatten()
            .filter(|candidate| candidate.pattern.matches(image, name))
            .filter(|candidate| !candidate.except.iter().any(|except| except.matches(image, name)))
            .max_by_key(|candidate| (candidate.extension, candidate.pattern.weight()))
    }
}

/// Whether the image has another publisher than those whose layout the entry describes. A product's own images are most
/// often published under its own name: `qdrant/qdrant`.
fn is_foreign(entry: &Entry, image: &ImageRef<'_>) -> bool {
    // In a public registry a product publishes itself under its own name, as `minio/minio`.
    let by_itself = |publisher| publisher == image.name() && PUBLIC.contains(&image.registry);
    image.publisher().is_some_and(|publisher| {
        !by_itself(publisher) && !entry.publishers.iter().any(|known| known == publisher)
    })
}

/// Whether a container has the variable that every chart of Bitnami sets for its images, and the image is in a registry of somebody's
/// own: a mirror of Bitnami's, whatever it is called there. In a public registry the name tells whose image it is.
fn is_mirrored_from_bitnami(container: &ContainerView<'_>, image: &ImageRef<'_>) -> bool {
    !PUBLIC.contains(&image.registry) && container.env.iter().any(|(name, _)| *name == "BITNAMI_DEBUG")
}

/// Registries in which nobody has another's name.
const PUBLIC: [&str; 8] = [
    "docker.io",
    "gcr.io",
    "ghcr.io",
    "index.docker.io",
    "lscr.io",
    "public.ecr.aws",
    "quay.io",
    "registry.hub.docker.com",
];

/// Directories that could be anyone's, whatever products keep their data in them.
const ANYONES: [&str; 5] = ["/app/config", "/app/data", "/code", "/home/user", "/var/www/html"];
/// Where programs and their configuration lie beside data.
const INSTALLED: [&str; 4] = ["/etc/", "/opt/", "/tmp/", "/usr/"];

/// Whether a directory's path tells what lies there. One of a single segment, as `/data`, could be anyone's, unless it is called
/// like the product.
fn telling(path: &str, entry: &Entry) -> bool {
    let segments = path.split('/').filter(|segment| !segment.is_empty()).count();
    !ANYONES.contains(&path) && (segments > 1 || tells_by_name(path, entry))
}

/// Whether a directory above a product's own tells as much: it is called like the product, and no programs lie there.
fn tells_above(path: &str, entry: &Entry) -> bool {
    let installed = INSTALLED.iter().any(|root| path.starts_with(root));
    // `lib` is the beginning of many names.
    path.split('/').filter(|segment| !segment.is_empty()).count() > 1
        && !installed
        && !path.ends_with("/lib")
        && tells_by_name(path, entry)
}

/// Whether a directory is called like the product.
fn tells_by_name(path: &str, entry: &Entry) -> bool {
    path.starts_with('/') && path.rsplit('/').next().is_some_and(|last| entry.is_named_like(last))
}

/// The variants of an entry that are about the images of one of its patterns, in their order.
fn variants_about(entry: &Entry, pattern: &String) -> Vec<usize> {
    let own = entry.images.contains(pattern);
    let about = |variant: &Variant| {
        if variant.images.is_empty() { own } else { variant.images.contains(pattern) }
    };
    entry.variants.iter().enumerate().filter(|(_, variant)| about(variant)).map(|(index, _)| index).collect()
}

#[cfg(test)]
mod tests;
