//! The schema of the catalog: what is known of one stateful product.

use super::words::ProductWord;
use crate::facts::CustomKind;
use crate::model::{is_yes, yes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The catalog file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CatalogFile {
    /// What this file is, for its readers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The day on which an entry was last changed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub date: String,
    /// The products.
    pub entries: Vec<Entry>,
}

/// The file of the custom resources.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KindsFile {
    /// What this file is, for its readers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The kinds.
    pub kinds: Vec<CustomKind>,
}

/// One stateful product: its images, where it keeps its data, and what makes it hold none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry {
    /// The product's name, as messages say it.
    #[schemars(length(min = 1))]
    pub product: String,
    /// Why the entry is as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The images. `redis`: any repository with this last segment. `library/registry`: the official image and its
    /// mirrors only. `vendor/name`: repositories that end in these segments. `postgresql-#`: a last segment that
    /// carries a version, as in `rhel9/postgresql-16`. `vendor/*`: every image of that publisher, unless an entry names it.
    /// `*-operator`: every image whose last segment has that end, unless an entry names it.
    #[schemars(length(min = 1), inner(regex(pattern = PATTERN)))]
    pub images: Vec<String>,
    /// Images that the patterns above match and that are something else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(regex(pattern = PATTERN)))]
    pub except: Vec<String>,
    /// False takes the images out of the catalog: a policy says that they hold no data.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub stateful: bool,
    /// The directories that hold data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<DataDir>,
    /// Directories beneath each data directory without which the rest is lost as well, as `member/wal` is in etcd's. A
    /// mount there, or between, keeps data like the directory above; any other mount beneath is taken for scratch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(regex(pattern = "^[^/]")))]
    pub parts: Vec<String>,
    /// What a claim for its data is like, for `volgate fix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<ClaimAdvice>,
    /// Directories beneath each data directory that hold what people put there, as WordPress' `uploads` does: where one of them
    /// lies on a mount that lasts, losing the rest is a warning at most. `*` is any of them, where the layout is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(regex(pattern = "^[^/]")))]
    pub enough: Vec<String>,
    /// The data directories that the image declares with VOLUME. containerd mounts a fresh volume, which dies with
    /// the container, at each of them that has no mount at exactly its path: a claim at the parent does not help.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(regex(pattern = "^/")))]
    pub image_volumes: Vec<String>,
    /// The Dockerfiles in which the VOLUMEs were looked up, with their tags: `docker-library/postgres, 14 to 18`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub checked: Option<String>,
    /// The image's working directory, against which relative data directories are resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^/"))]
    pub working_dir: Option<String>,
    /// Directories of the image that are links, and where they lead: a variable that names one means the other.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub links: BTreeMap<String, String>,
    /// Environment variables that hold further arguments, such as `REDIS_EXTRA_FLAGS`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args_env: Vec<String>,
    /// Programs in the image that only talk to a server; `etcd gateway` is the program `etcd` with that task, and `n8n export:*`
    /// any task that begins so. A container that runs none but these and plain tools holds no data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<String>,
    /// Programs and scripts in the image that start a server; `rpk redpanda` is the program `rpk` with that word behind it, or the
    /// entry point that is given that word, and a path is that file alone. When given, a command that is none of them, no entry point
    /// and no script is another program of the image, which keeps no data of the product as far as is known. For built-in
    /// entries a word that names another role is a warning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<String>,
    /// Signs of the product in an image that no entry names, such as one of your own. What is lost there is a warning
    /// at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tell_tales: Option<TellTales>,
    /// Who publishes images of this layout besides the official one (`redis` and `library/redis`), as the segment before
    /// the name: `qdrant` in `qdrant/qdrant`. What another publisher calls by the same name may have another layout.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(regex(pattern = PUBLISHER)))]
    pub publishers: Vec<String>,
    /// Why its containers keep nothing, whatever they mount: "its cache is in memory". A StatefulSet of it is one for the
    /// sake of names alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub keeps_nothing: Option<String>,
    /// Its image is only used in pods that keep nothing, so that `keepsNothing` is said of all their containers: a
    /// sidecar of CSI drivers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole_pod: bool,
    /// What makes it a copy of what another server keeps, such as a read replica: losing that is a warning at
    /// most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copy_when: Vec<CacheWhen>,
    /// Why many run the product without keeping its data, for the message: "dashboards are provisioned from files".
    /// Losing it is a warning then, unless a policy asks for more (`dispensable` of the rule `durable-data`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub dispensable: Option<String>,
    /// When given, the product holds data only when this holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stateful_when: Option<StatefulWhen>,
    /// The ways to make the product a mere cache; one of them is enough.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cache_when: Vec<CacheWhen>,
    /// The configuration files of the product. One that is mounted from a ConfigMap or a Secret is read where that is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub config_files: Vec<ConfigFile>,
    /// Whether what `cacheWhen` names keeps its data in another service and nothing on disk, so that a StatefulSet of it is one for
    /// the sake of names alone. What loses the data is none of these.
    #[serde(default, skip_serializing_if = "is_default")]
    pub elsewhere: bool,
    /// When one of these holds, the default directories are a guess: a configuration file may have moved them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uncertain_when: Vec<Condition>,
    /// Writable paths that are not data: sockets, temporary files, logs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(regex(pattern = "^/")))]
    pub scratch: Vec<String>,
    /// What is different for some images, versions or ways to start. Of those that apply, the later ones win.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<Variant>,
}

/// Signs of a product in an image that no entry names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TellTales {
    /// Programs that are its server and nothing else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub programs: Vec<String>,
    /// The port on which it listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Variables that set its image up. One of them counts together with the port.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<String>,
}

impl TellTales {
    /// One of these stands in every container that shows the product.
    pub(super) fn words(&self) -> impl Iterator<Item = ProductWord> {
        let programs = self.programs.iter().cloned().map(ProductWord::Program);
        let variables = self.variables.iter().cloned().map(ProductWord::Variable);
        programs.chain(variables).chain(self.port.map(ProductWord::Port))
    }
}

/// What a claim for a product's data is like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimAdvice {
    /// How much a small installation asks for: `20Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[1-9][0-9]*[KMGT]i?$"))]
    pub size: Option<String>,
    /// A directory in the volume to mount, for what wants to begin with an empty one: a new file system has `lost+found`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[a-z0-9]+$"))]
    pub sub_path: Option<String>,
}

/// What is different for some images, versions or ways to start; what it leaves out is as in its entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Variant {
    /// Why the variant exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The images, in addition to the entry's; none: the variant is about the entry's own images.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(regex(pattern = PATTERN)))]
    pub images: Vec<String>,
    /// The first major version it is about, as the tag tells it. A tag that tells no version never fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u32>,
    /// The first major version it is no longer about. A tag that tells no version never fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<u32>,
    /// Text that the tag must contain, as `rootless` in `1.22-rootless`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub tag_contains: Option<String>,
    /// Conditions that must all hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<Condition>,
    /// In place of the entry's `data`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Vec<DataDir>>,
    /// In place of the entry's `imageVolumes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(inner(inner(regex(pattern = "^/"))))]
    pub image_volumes: Option<Vec<String>>,
    /// In place of the entry's `configFiles`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_files: Option<Vec<ConfigFile>>,
    /// In place of the entry's `statefulWhen`; an empty `any` means always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stateful_when: Option<StatefulWhen>,
    /// In place of the entry's `cacheWhen`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_when: Option<Vec<CacheWhen>>,
}

impl Entry {
    /// Its data directories, and those of its variants.
    pub(super) fn dirs(&self) -> impl Iterator<Item = &DataDir> {
        self.data.iter().chain(self.variants.iter().flat_map(|variant| variant.data.iter().flatten()))
    }

    /// All its conditions, and those of its variants.
    pub(super) fn conditions(&self) -> impl Iterator<Item = &Condition> {
        let variants = || self.variants.iter();
        let dirs = self.dirs();
        let stateful =
            self.stateful_when.iter().chain(variants().filter_map(|variant| variant.stateful_when.as_ref()));
        let caches = (self.cache_when.iter().chain(&self.copy_when))
            .chain(variants().flat_map(|variant| variant.cache_when.iter().flatten()));
        (self.uncertain_when.iter())
            .chain(
                dirs.filter_map(|dir| dir.when.as_ref()).flat_map(|when| when.all.iter().chain(&when.unless)),
            )
            .chain(variants().flat_map(|variant| &variant.when))
            .chain(stateful.flat_map(|when| &when.any))
            .chain(caches.flat_map(|cache| &cache.all))
    }
}

/// A directory that holds data, and what moves it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DataDir {
    /// Where it is by default. Without it, the directory exists only when something below names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub path: Option<String>,
    /// Where other releases keep it, or a release that looks for both: where a volume is mounted at one of these, and none at
    /// `path`, the data lie there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(regex(pattern = "^/")))]
    pub or: Vec<String>,
    /// What it holds, or why it is where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Environment variables that name it, the strongest first: `PGDATA`, or `$(NAME)/data` for a directory in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(length(min = 1)))]
    pub env: Vec<String>,
    /// Arguments that name it; they win over the environment. `--dir` stands for `--dir X`, `--dir=X`, `-dir X` and
    /// `-dir=X`; `-c data_directory` stands for `-c data_directory=X`, and `$(--name).etcd` for a directory that is named by
    /// that argument with this end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(regex(pattern = "^(-|[$][(]-)")))]
    pub flags: Vec<String>,
    /// Bare arguments that name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positional: Option<Positional>,
    /// Keys of the product's configuration files that name it, the strongest first; arguments and variables win over
    /// them. A key in a section or a block has its name before it: `mysqld.datadir`, `storage.dbPath`; in YAML, `*` stands for
    /// every name: `sinks.*.buffer.type`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(length(min = 1)))]
    pub keys: Vec<String>,
    /// How a value above is read.
    #[serde(default, skip_serializing_if = "is_default")]
    pub value: ValueForm,
    /// Set if a configuration file decides the path, so that the default is a guess.
    #[serde(default, skip_serializing_if = "is_default")]
    pub configured: bool,
    /// No finding without a volume: where none is mounted, nobody meant to keep these data, such as the settings of a
    /// user interface.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mounted_only: bool,
    /// When given, it holds data only when this holds: the file of SQLite where no other database is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<DirWhen>,
}

/// When a directory holds data.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DirWhen {
    /// Conditions that must all hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub all: Vec<Condition>,
    /// Conditions of which none may hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unless: Vec<Condition>,
    /// Why it holds none otherwise, for the message: "its tasks are in the database that it is given".
    #[schemars(length(min = 1))]
    pub otherwise: String,
}

/// A configuration file of a product: where it lies, and how it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigFile {
    /// Its name, as messages say it: `redis.conf`.
    #[schemars(length(min = 1))]
    pub name: String,
    /// How it is written.
    #[serde(default, skip_serializing_if = "is_default")]
    pub syntax: Syntax,
    /// Arguments that name it, written as in a data directory's `flags`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(regex(pattern = "^-")))]
    pub flags: Vec<String>,
    /// Bare words that name it, by their end: `*.conf`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(regex(pattern = "^[*]")))]
    pub words: Vec<String>,
    /// Environment variables that name it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Where it lies unless something above names it; all that exist are read, and what a later one says goes before.
    /// `/etc/mysql/conf.d/*.cnf` is every file in that directory with that end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(regex(pattern = "^/")))]
    pub paths: Vec<String>,
    /// Environment variables whose value is the text of such a file, as `VAULT_LOCAL_CONFIG` is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<String>,
}

/// How a configuration file is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Syntax {
    /// `key value`, `key = value` or `key: value` on a line, perhaps under a `[section]`; the value perhaps in quotes.
    #[default]
    Lines,
    /// The same with `name { … }` around what belongs together; or JSON.
    Blocks,
    /// YAML, or JSON.
    Yaml,
    /// XML, whose root has no part in the keys.
    Xml,
}

/// Bare arguments that name data directories: `/data` in `minio server --quiet /data`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Positional {
    /// The word they come after.
    #[schemars(length(min = 1))]
    pub after: String,
    /// Flags that take no value; after every other flag, the next word is its value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub switches: Vec<String>,
}

/// How the value of a variable or an argument names a directory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ValueForm {
    /// One path.
    #[default]
    Path,
    /// Paths with commas between them.
    List,
    /// `path=/data,size=80%`, or the path alone.
    Spec,
    /// Paths with spaces between them, each perhaps as a URL (`http://host/data`, `file:/data`); `{1...4}` stands for
    /// each of its numbers.
    Disks,
    /// A file of a database, perhaps as a URL (`sqlite:///data/users.db?mode=rwc`): the directory that it lies in. What names
    /// no such file, as the URL of another database does, names no directory.
    File,
}

/// When a product that often holds no data does hold some.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StatefulWhen {
    /// One of these is enough.
    pub any: Vec<Condition>,
    /// The text for the message when no condition holds: "core NATS keeps messages in memory only".
    pub otherwise: String,
    /// The text when it is started without any arguments and so loses what is put into it: "a development server keeps
    /// everything in memory". That is worth a warning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub bare: Option<String>,
}

/// One way to make the product a mere cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CacheWhen {
    /// The reason for the message, when it holds no data then.
    #[schemars(length(min = 1))]
    pub why: String,
    /// Whether what is put into it is lost and not kept elsewhere, as of a development server in memory: worth a warning.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lossy: bool,
    /// Whether a few files stay all the same, as uploaded pictures do beside a database elsewhere: losing them is a warning at
    /// most. `why` says which.
    #[serde(default, skip_serializing_if = "is_default")]
    pub partly: bool,
    /// Whether so few run it so that a configuration file that is not known leaves no doubt.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rare: bool,
    /// Conditions that must all hold.
    #[schemars(length(min = 1))]
    pub all: Vec<Condition>,
}

/// A condition about one argument, one bare word or one environment variable; or about a key of a configuration file, which
/// counts where none of the others is given. A value that cannot be known, because
/// it comes from a Secret or a ConfigMap, is none of the values that a condition lists for an argument; for a variable
/// it leaves the condition open, and what would follow from it is a doubt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Condition {
    /// The argument it is about, written as in a data directory's `flags`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^-"))]
    pub flag: Option<String>,
    /// The bare word among the arguments it is about; `*.conf` is any word with that end, and `file:*` any
    /// with that beginning. A program's name stands for its path as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub word: Option<String>,
    /// The environment variable it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub env: Option<String>,
    /// The container's name it is about, of which `mongod*` is the beginning. Anybody may give a container any name, so that it is for
    /// what leads to a warning, as `copyWhen` does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub container: Option<String>,
    /// The values it is about of the pod's labels that tell its role (`app.kubernetes.io/component`, `app.kubernetes.io/role`,
    /// `component`, `role`); `replica*` is any with that beginning. As with `container`, it is for what leads to a
    /// warning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(length(min = 1)))]
    pub roles: Vec<String>,
    /// The key of the product's configuration files it is about, written as in a data directory's `keys`. Of a file whose
    /// content is not known the condition is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub key: Option<String>,
    /// The values it may have, in any case of letters, every time it is given; `type=mem*` is any value with that
    /// beginning. None listed: any value will do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub is: Vec<String>,
    /// The values that must not be in a list, in any case of letters: of `[ingest, ml]` or `ingest,ml` each is one; `data*` is
    /// any with that beginning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
    /// Whether its absence meets the condition too (with values listed), or alone does (without).
    #[serde(default, skip_serializing_if = "is_default")]
    pub absent: bool,
}

/// An image pattern: segments of lower-case letters, digits and `. _ -`, perhaps with `-#` at the end, or `*` for the last;
/// or `*-end` for every name with that end.
const PATTERN: &str = "^(([a-z0-9._-]+(:[0-9]+)?/)?([a-z0-9._-]+/)*([a-z0-9._-]*[a-z0-9](-#)?|[a-z0-9._-]+/[*])|[*]-[a-z0-9]+)$";

/// One segment of an image's path.
const PUBLISHER: &str = "^[a-z0-9._-]+$";

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
