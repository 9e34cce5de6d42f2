//! What ConfigMaps and Secrets bring into a container: variables and files. Whoever can look the objects up fills it in.

use super::text::plain;
use crate::facts::{ConfigFacts, ConfigText, ConfigValue, FileSource, Sealed};
use crate::model::below;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many bytes of files one container's product may read. The longest that is common, Redis' own example, has 107 KiB.
const MOST_READ: usize = 128 * 1024;

/// How many bytes the containers of one object may read together.
const MOST_READ_OF_ALL: usize = 512 * 1024;

/// What the containers of one object may still read together.
#[derive(Debug)]
pub struct Allowance(Cell<usize>);

impl Default for Allowance {
    fn default() -> Self {
        Self::among(1)
    }
}

impl Allowance {
    /// The part of one of so many pod templates of an object.
    pub fn among(templates: usize) -> Self {
        Self(Cell::new(MOST_READ_OF_ALL / templates.max(1)))
    }
}

/// What ConfigMaps and Secrets bring into a container.
#[derive(Debug)]
pub struct Configuration<'a> {
    /// What `valueFrom` brings, by the variable's index in `env`, in order.
    pub values: Vec<(usize, Brought<'a>)>,
    /// The object of each entry of `envFrom`, where it is known.
    pub env_from: Vec<Option<Arc<ConfigFacts>>>,
    /// The container's mounts.
    pub mounts: Vec<Mounted<'a>>,
    left: Cell<usize>,
    allowance: &'a Allowance,
}

/// What a variable gets from the key that its `valueFrom` names.
#[derive(Debug)]
pub enum Brought<'a> {
    /// The value of that key, which exists.
    Key(Arc<ConfigFacts>, &'a str),
    /// Nothing: the key does not exist, and is optional.
    Nothing,
}

/// A mount of the container.
#[derive(Debug)]
pub struct Mounted<'a> {
    /// Its index in `volumeMounts`.
    pub index: usize,
    /// Where it is mounted, without doubled slashes.
    pub path: &'a str,
    /// `subPath`; none where `subPathExpr` takes its place.
    pub sub_path: Option<&'a str>,
    /// What Kubernetes writes the files from; none for every other pod volume.
    pub files: Option<Vec<Source<'a>>>,
    /// Whether something else writes files there before the container starts, which nobody here can read: an init container into
    /// an emptyDir, or a driver that brings secrets.
    pub rendered: bool,
}

/// An object that files come from.
#[derive(Debug)]
pub struct Source<'a> {
    /// What the pod says of it.
    pub named: &'a FileSource<'a>,
    /// The object, where it is known.
    pub object: Option<Arc<ConfigFacts>>,
}

/// What is known of a file in a container.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum File<'c> {
    /// No mount covers it: the image's own, if it has one.
    OfImage,
    /// It does not exist.
    Absent,
    /// It comes from this mount of a ConfigMap, a Secret or several of them, and its content is not known.
    Unknown(usize),
    /// It lies on some other volume.
    Elsewhere,
    /// It comes from this mount, with this content.
    Text(usize, &'c ConfigText),
    /// It comes from this mount, with this content, from a Secret.
    Sealed(usize, &'c Sealed),
}

impl<'a> Configuration<'a> {
    /// One that brings nothing yet, for a container of an object with that allowance.
    pub fn new(allowance: &'a Allowance) -> Self {
        Self {
            values: Vec::new(),
            env_from: Vec::new(),
            mounts: Vec::new(),
            left: Cell::new(MOST_READ),
            allowance,
        }
    }

    /// What `valueFrom` of the variable of that index brings, where that is known.
    pub(super) fn value(&self, index: usize) -> Option<Option<&ConfigValue>> {
        let at = self.values.binary_search_by_key(&index, |(index, _)| *index).ok()?;
        match &self.values.get(at)?.1 {
            Brought::Key(object, key) => object.get(key).map(Some),
            Brought::Nothing => Some(None),
        }
    }

    /// Whether a file of that size may still be read, which it then counts as.
    pub(super) fn take(&self, size: usize) -> bool {
        let (left, of_all) = (self.left.get(), self.allowance.0.get());
        let may = size <= left && size <= of_all;
        if may {
            self.left.set(left - size);
            self.allowance.0.set(of_all - size);
        }
        may
    }

    /// The file at an absolute path.
    pub(super) fn file(&self, path: &str) -> File<'_> {
        match self.over(path) {
            None => File::OfImage,
            Some((mount, rest)) => mount.file(rest),
        }
    }

    /// Whether a ConfigMap or a Secret brings the file at that path, known or not.
    pub(super) fn brings(&self, path: &str) -> bool {
        path.starts_with('/')
            && self.over(path).is_some_and(|(mount, _)| mount.files.is_some())
            && matches!(self.file(path), File::Unknown(_) | File::Text(..) | File::Sealed(..))
    }

    /// Whether a mount brings what is configuration by its path.
    pub(super) fn configures(&self) -> bool {
        let brings = |mount: &&Mounted<'_>| mount.files.is_some() || mount.rendered;
        self.mounts.iter().filter(brings).any(|mount| is_of_configuration(mount.path))
    }

    /// The files in that directory whose names have that end, in the order of their names.
    pub(super) fn files_in(&self, directory: &str, end: &str) -> Vec<File<'_>> {
        let mut files = BTreeMap::new();
        if let Some((mount, rest)) = self.over(directory) {
            mount.list(rest, end, &mut files);
        }
        for mount in &self.mounts {
            if let Some(name) = below(mount.path, directory).filter(|name| !name.is_empty())
                && !name.contains('/')
                && name.ends_with(end)
            {
                files.insert(name, mount.file(""));
            }
        }
        files.into_values().collect()
    }

    /// The mount that covers a path, and the rest of the path behind it.
    pub(super) fn over<'p>(&self, path: &'p str) -> Option<(&Mounted<'a>, &'p str)> {
        let covering = self.mounts.iter().filter_map(|mount| Some((mount, below(path, mount.path)?)));
        covering.max_by_key(|(mount, _)| mount.path.len())
    }
}

/// Directories that hold configuration, by their names.
const CONFIGURATION: [&str; 8] =
    ["conf", "conf.d", "config", "config.d", "configs", "configuration", "etc", "settings"];
/// Ends of files that hold configuration.
const CONFIGURATION_ENDS: [&str; 11] =
    [".cfg", ".cnf", ".conf", ".hcl", ".ini", ".json", ".properties", ".toml", ".xml", ".yaml", ".yml"];
/// Words of paths that hold something else, wherever they lie.
const NO_CONFIGURATION: [&str; 12] = [
    "ca-certificates",
    "cert",
    "certs",
    "group",
    "hosts",
    "initdb",
    "localtime",
    "passwd",
    "pki",
    "ssl",
    "timezone",
    "tls",
];

/// Whether a path is called like configuration: `/etc/app`, `/opt/app/conf`, `/app/settings.toml`.
fn is_of_configuration(path: &str) -> bool {
    let mut segments = path.split('/');
    !segments.clone().any(|segment| NO_CONFIGURATION.contains(&segment))
        && (segments.any(|segment| CONFIGURATION.contains(&segment))
            || CONFIGURATION_ENDS.iter().any(|end| path.ends_with(end)))
}

impl<'a> Mounted<'a> {
    /// The file at that path below the mount; the mount itself for an empty one.
    fn file(&self, rest: &str) -> File<'_> {
        let Some(sources) = &self.files else {
            return if self.rendered { File::Unknown(self.index) } else { File::Elsewhere };
        };
        let Some(inner) = self.inner(rest) else { return File::Unknown(self.index) };
        let mut unknown = false;
        for source in sources.iter().rev() {
            match source.file(&inner) {
                Found::No => {}
                Found::Perhaps => unknown = true,
                Found::Value(ConfigValue::Text(text)) => return File::Text(self.index, text),
                Found::Value(ConfigValue::Sealed(text)) => return File::Sealed(self.index, text),
                Found::Value(ConfigValue::Unknown) => return File::Unknown(self.index),
            }
        }
        if unknown { File::Unknown(self.index) } else { File::Absent }
    }

    /// The path in the pod volume; none where a variable decides it.
    fn inner(&self, rest: &str) -> Option<String> {
        Some(plain(self.sub_path?, rest).trim_start_matches('/').to_owned())
    }

    /// Adds the files of the directory at that path below the mount.
    fn list<'s>(&'s self, rest: &str, end: &str, files: &mut BTreeMap<&'s str, File<'s>>) {
        let Some(sources) = &self.files else {
            files.insert("", self.file(rest));
            return;
        };
        let Some(inner) = self.inner(rest) else {
            files.insert("", File::Unknown(self.index));
            return;
        };
        for source in sources {
            let Some(names) = source.paths() else {
                files.insert("", File::Unknown(self.index));
                continue;
            };
            for path in names {
                let name = if inner.is_empty() { Some(path) } else { below(path, &inner) };
                let Some(name) = name.filter(|name| name.ends_with(end) && !name.contains('/')) else {
                    continue;
                };
                let file = match source.file(path) {
                    Found::Value(ConfigValue::Text(text)) => File::Text(self.index, text),
                    Found::Value(ConfigValue::Sealed(text)) => File::Sealed(self.index, text),
                    Found::Value(ConfigValue::Unknown) | Found::Perhaps => File::Unknown(self.index),
                    Found::No => continue,
                };
                files.insert(name, file);
            }
        }
    }
}

/// What an object has for a path in the pod volume.
enum Found<'c> {
    No,
    Perhaps,
    Value(&'c ConfigValue),
}

impl Source<'_> {
    fn file(&self, path: &str) -> Found<'_> {
        if self.named.object.is_none() {
            return Found::No;
        }
        let key = match &self.named.items {
            None => path,
            Some(items) => match items.iter().find(|(_, at)| *at == path) {
                Some((key, _)) => key,
                None => return Found::No,
            },
        };
        match &self.object {
            None => Found::Perhaps,
            Some(object) => object.file(key).map_or(Found::No, Found::Value),
        }
    }

    /// The paths of the files that come from it; none where that is not known.
    fn paths(&self) -> Option<Vec<&str>> {
        match (&self.named.items, &self.object, self.named.object) {
            (_, _, None) => Some(Vec::new()),
            (Some(items), ..) => Some(items.iter().map(|(_, path)| *path).collect()),
            (None, Some(object), _) => Some(object.files().collect()),
            (None, None, _) => None,
        }
    }
}
