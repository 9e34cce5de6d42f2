//! What the configuration files of a product say, as far as the ConfigMaps and Secrets that they come from are known.

use super::argv::Argv;
use super::configuration::{Configuration, File, Mounted};
use super::container::Origin;
use super::entry::{ConfigFile, DataDir, Syntax};
use super::flags::{FlagValue, flag_values};
use super::made_file::{filled_files, is_copied, is_made_by_script, is_mounted};
use super::nested::{DEEPEST, within};
use super::text::plain;
use super::variables::Env;
use super::word::is_flag;
use super::xml;
use crate::facts::{ConfigText, Sealed, documents};
use crate::model::below;
use serde_json::Value;
use std::borrow::Cow;
use std::cell::LazyCell;
use std::collections::BTreeSet;

/// The configuration files of one container.
#[derive(Debug, Default)]
pub(super) struct Settings<'c, 'a> {
    files: Vec<Opened<'c, 'a>>,
    /// A file that a mount brings, with content that is not known.
    pub(super) unknown: Option<FromFile<'a>>,
    /// A file that the container's own script writes before the product reads it.
    pub(super) made: Option<&'a str>,
    /// Whether a file is read that stands in the image or on some other volume.
    pub(super) hidden: bool,
}

/// A file by its name, and the mount or the variable that brings it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FromFile<'a> {
    pub(super) file: &'a str,
    pub(super) origin: Origin,
}

#[derive(Debug)]
struct Opened<'c, 'a> {
    from: FromFile<'a>,
    content: Content<'c>,
}

#[derive(Debug)]
enum Content<'c> {
    /// Keys with their sections, and their values, in the order of the file.
    Pairs(Vec<(Cow<'c, str>, &'c str)>),
    Tree(Cow<'c, [Value]>),
    Sealed(Syntax, &'c Sealed),
}

impl<'c, 'a> Settings<'c, 'a> {
    /// Opens the files that a container reads: those that its words and variables name, else those at the usual places.
    pub(super) fn open(
        (catalogued, data): (&'a [ConfigFile], &[DataDir]),
        argv: &Argv<'c, 'a>,
        configuration: Option<&'c Configuration<'c>>,
        working_dir: Option<&str>,
    ) -> Self {
        let mut settings = Self::default();
        let filled = LazyCell::new(|| filled_files(argv, configuration));
        for file in catalogued {
            let named = named(file, argv);
            let mut read = BTreeSet::new();
            for path in &named {
                match path {
                    // The file that it copies is read in its place.
                    Some(path) if is_copied(argv, &named, path) => {}
                    Some(path) if read.contains(path) => {}
                    Some(path) if let Some(Some(source)) = filled.get(&**path) => {
                        settings.add_named(file, source, configuration);
                        read.insert(path);
                    }
                    Some(path) if !is_mounted(configuration, path) && is_made_by_script(argv, path) => {
                        settings.made = settings.made.or(Some(&file.name));
                        settings.hidden = true;
                    }
                    Some(path) if path.starts_with('/') || working_dir.is_some() => {
                        let path =
                            plain(if path.starts_with('/') { "" } else { working_dir.unwrap_or("") }, path);
                        settings.add_named(file, &path, configuration);
                    }
                    _ => settings.hidden = true,
                }
            }
            settings.add_texts(file, argv, configuration);
            let Some(configuration) = configuration.filter(|_| named.is_empty()) else { continue };
            for path in &file.paths {
                // A volume for data may lie over a usual place, whoever writes into it first.
                if configuration.over(path).is_some_and(|(mount, _)| mount.rendered && holds(mount, data)) {
                    continue;
                }
                match path.rsplit_once("/*") {
                    Some((directory, end)) => {
                        for found in configuration.files_in(directory, end) {
                            settings.add(file, found, false, Some(configuration));
                        }
                    }
                    None => settings.add(file, configuration.file(path), false, Some(configuration)),
                }
            }
        }
        settings
    }

    /// Adds a file that is named, or the files of a folder that is.
    fn add_named(&mut self, file: &'a ConfigFile, path: &str, configuration: Option<&'c Configuration<'c>>) {
        let found = configuration.map_or(File::OfImage, |known| known.file(path));
        if matches!(found, File::OfImage | File::Absent) {
            let usual: Vec<_> = file.paths.iter().filter_map(|usual| usual.rsplit_once("/*")).collect();
            let ends: BTreeSet<&str> = usual.iter().map(|(_, end)| *end).collect();
            let files = |end| configuration.map_or_else(Vec::new, |known| known.files_in(path, end));
            let inside: Vec<_> = ends.into_iter().flat_map(files).collect();
            // A usual folder of the image is empty, and the catalog knows what the image does then.
            if !inside.is_empty() || usual.iter().any(|(folder, _)| *folder == path) {
                inside.into_iter().for_each(|found| self.add(file, found, true, configuration));
                return;
            }
        }
        self.add(file, found, true, configuration);
    }

    /// Adds the texts that variables hold.
    fn add_texts(
        &mut self,
        file: &'a ConfigFile,
        argv: &Argv<'c, 'a>,
        configuration: Option<&'c Configuration<'c>>,
    ) {
        for name in &file.texts {
            let from = FromFile { file: name, origin: argv.env_origin(name) };
            let text = match argv.env(name) {
                Env::Unset => continue,
                Env::Value(text) if text.trim().is_empty() => continue,
                Env::Value(text) => Some(text),
                Env::Unknown | Env::Sealed(_) | Env::Perhaps => None,
            };
            let may_read = |text: &&str| configuration.is_none_or(|known| known.take(text.len()));
            match text.filter(may_read).and_then(|text| tree(file.syntax, text)) {
                Some(trees) => self.files.push(Opened { from, content: Content::Tree(Cow::Owned(trees)) }),
                None => self.unknown = self.unknown.or(Some(from)),
            }
        }
    }

    fn add(
        &mut self,
        file: &'a ConfigFile,
        found: File<'c>,
        named: bool,
        configuration: Option<&'c Configuration<'c>>,
    ) {
        let may_read = |size| configuration.is_none_or(|configuration| configuration.take(size));
        let from = |mount| FromFile { file: &file.name, origin: Origin::Mount { index: Some(mount) } };
        match found {
            // What is not there at a usual place is not read; the catalog knows what the image's own says. A volume for data
            // may lie over a usual place, and holds no configuration unless something names it there.
            File::OfImage | File::Absent | File::Elsewhere => self.hidden |= named,
            File::Unknown(mount) => self.unknown = self.unknown.or(Some(from(mount))),
            File::Text(mount, text) => {
                let content = if may_read(text.as_str().len()) { read(file.syntax, text) } else { None };
                match content {
                    Some(content) => {
                        self.hidden |= content.includes_others();
                        self.files.push(Opened { from: from(mount), content });
                    }
                    None => self.unknown = self.unknown.or(Some(from(mount))),
                }
            }
            File::Sealed(mount, text) => match may_read(text.size()) {
                true => {
                    let content = Content::Sealed(file.syntax, text);
                    self.files.push(Opened { from: from(mount), content });
                }
                false => self.unknown = self.unknown.or(Some(from(mount))),
            },
        }
    }

    /// Whether files are read, and the content of all of them is known.
    pub(super) fn are_known(&self) -> bool {
        !self.files.is_empty() && self.unknown.is_none() && !self.hidden
    }

    /// What plain files say of a key: each value in its order.
    pub(super) fn values(&self, key: &str) -> impl Iterator<Item = (Cow<'_, str>, FromFile<'a>)> {
        self.files.iter().flat_map(move |opened| {
            let values = opened.content.values(key);
            values.into_iter().map(move |value| (value, opened.from))
        })
    }

    /// The files from Secrets that have a key.
    pub(super) fn sealed(&self, key: &str) -> impl Iterator<Item = SealedFile<'c, 'a>> {
        let sealed = self.files.iter().filter_map(|opened| match opened.content {
            Content::Sealed(syntax, text) => Some(SealedFile { syntax, text, from: opened.from }),
            _ => None,
        });
        sealed.filter(move |file| file.is(key, |values| !values.is_empty()))
    }
}

/// A file that comes from a Secret.
#[derive(Debug, Clone, Copy)]
pub(super) struct SealedFile<'c, 'a> {
    syntax: Syntax,
    text: &'c Sealed,
    pub(super) from: FromFile<'a>,
}

impl SealedFile<'_, '_> {
    /// What the question says of the values of a key.
    pub(super) fn is(&self, key: &str, question: impl Fn(&[Cow<'_, str>]) -> bool) -> bool {
        self.text.is(|text| {
            let content = match self.syntax {
                Syntax::Yaml => documents(text).map(|trees| Content::Tree(trees.into())),
                Syntax::Blocks if is_json(text) => documents(text).map(|trees| Content::Tree(trees.into())),
                syntax => Some(Content::Pairs(pairs_of(syntax, text))),
            };
            content.is_some_and(|content| question(&content.values(key)))
        })
    }
}

/// Whether a mount is at a default directory for data, or above one.
fn holds(mount: &Mounted<'_>, data: &[DataDir]) -> bool {
    data.iter().filter_map(|dir| dir.path.as_deref()).any(|dir| below(dir, mount.path).is_some())
}

/// The paths by which a container names a file; `None` for one whose value is not known.
fn named<'w>(file: &'w ConfigFile, argv: &'w Argv<'_, '_>) -> Vec<Option<Cow<'w, str>>> {
    let mut named = Vec::new();
    for flag in &file.flags {
        for (value, _) in flag_values(argv, flag) {
            match value {
                FlagValue::Known(value) => named.push(Some(Cow::Borrowed(value))),
                FlagValue::Unknown(_) => named.push(None),
                FlagValue::None => {}
            }
        }
    }
    for pattern in &file.words {
        let end = pattern.trim_start_matches('*');
        let words = argv.words.iter().filter(|word| word.text.ends_with(end) && !is_flag(&word.text));
        named.extend(words.map(|word| word.known.then(|| Cow::Borrowed(&*word.text))));
    }
    for name in &file.env {
        match argv.env(name) {
            Env::Value(value) if !value.is_empty() => named.push(Some(Cow::Borrowed(value))),
            Env::Unknown | Env::Sealed(_) => named.push(None),
            Env::Value(_) | Env::Perhaps | Env::Unset => {}
        }
    }
    named
}

/// Takes a text apart; none where it is not written as it should be.
fn read(syntax: Syntax, text: &ConfigText) -> Option<Content<'_>> {
    match syntax {
        Syntax::Yaml => text.documents().map(|trees| Content::Tree(Cow::Borrowed(trees))),
        Syntax::Blocks if is_json(text.as_str()) => {
            text.documents().map(|trees| Content::Tree(Cow::Borrowed(trees)))
        }
        syntax => Some(Content::Pairs(pairs_of(syntax, text.as_str()))),
    }
}

/// A text as trees of its own, whose keys may have dots in them.
fn tree(syntax: Syntax, text: &str) -> Option<Vec<Value>> {
    if syntax == Syntax::Yaml || is_json(text) {
        return documents(text);
    }
    let pairs = pairs_of(syntax, text).into_iter();
    Some(vec![Value::Object(pairs.map(|(key, value)| (key.into_owned(), Value::from(value))).collect())])
}

/// Whether a text that may have blocks is written as JSON.
fn is_json(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

fn pairs_of(syntax: Syntax, text: &str) -> Vec<(Cow<'_, str>, &str)> {
    match syntax {
        Syntax::Xml => xml::pairs(text),
        syntax => pairs(text, syntax == Syntax::Blocks),
    }
}

/// Keys by which a file takes in others.
const INCLUDES: [&str; 5] = ["@include", "include", "include_dir", "include_if_exists", "includedir"];

impl Content<'_> {
    /// Whether the file takes in others, which are not followed.
    fn includes_others(&self) -> bool {
        match self {
            Self::Pairs(pairs) => pairs.iter().any(|(key, _)| INCLUDES.contains(&&**key)),
            Self::Tree(_) | Self::Sealed(..) => false,
        }
    }

    fn values(&self, key: &str) -> Vec<Cow<'_, str>> {
        match self {
            Self::Pairs(pairs) => {
                let wanted = pairs.iter().filter(|(name, _)| is_key(name, key));
                wanted.map(|(_, value)| Cow::Borrowed(*value)).collect()
            }
            Self::Tree(documents) => {
                let mut values = Vec::new();
                for document in documents.iter() {
                    collect(document, key, &mut values);
                }
                values
            }
            Self::Sealed(..) => Vec::new(),
        }
    }
}

/// Whether two keys are the same to a server: most take upper case and lower case for one, and `-` for `_`.
fn is_key(name: &str, key: &str) -> bool {
    let same =
        |a: u8, b: u8| a.eq_ignore_ascii_case(&b) || (matches!(a, b'-' | b'_') && matches!(b, b'-' | b'_'));
    name.len() == key.len() && name.bytes().zip(key.bytes()).all(|(a, b)| same(a, b))
}

/// Adds the values of a key with dots in it: `a.b` is `b` below `a`, and also a key that is written with the dot; `a.*.b` is `b` in
/// everything below `a`.
fn collect<'v>(value: &'v Value, key: &str, values: &mut Vec<Cow<'v, str>>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, key, values)),
        Value::Object(fields) if !key.is_empty() => {
            let ends = key.match_indices('.').map(|(at, _)| at).chain([key.len()]);
            for end in ends {
                let (name, rest) = key.split_at_checked(end).unwrap_or((key, ""));
                let rest = rest.trim_start_matches('.');
                if name == "*" {
                    fields.iter().for_each(|(_, field)| collect(field, rest, values));
                } else if let Some(field) = fields.get(name) {
                    collect(field, rest, values);
                }
            }
        }
        // That a map is there is all that may be asked of it.
        Value::Object(_) => values.push(Cow::Borrowed("")),
        Value::Null => {}
        _ if !key.is_empty() => {}
        Value::String(text) => values.push(Cow::Borrowed(text)),
        Value::Bool(_) | Value::Number(_) => values.push(Cow::Owned(value.to_string())),
    }
}

/// The keys and values of a text, with the names of the sections and blocks that they stand in.
fn pairs(text: &str, blocks: bool) -> Vec<(Cow<'_, str>, &str)> {
    let mut pairs = Vec::new();
    let mut sections: Vec<Cow<'_, str>> = Vec::new();
    for line in text.lines() {
        for part in (Parts { rest: line, blocks }) {
            match part {
                Part::Close => {
                    sections.pop();
                }
                Part::Open(name) => {
                    // `storage "file" {` names a block by two words.
                    let words = name.split(['"', ' ', '\t', ':', '=']).filter(|word| !word.is_empty());
                    let name = words.collect::<Vec<_>>().join(".");
                    // Deeper than any server's settings nest, the names are of no use.
                    let name = if sections.len() < DEEPEST {
                        within(sections.last(), Cow::Owned(name))
                    } else {
                        Cow::Borrowed("")
                    };
                    pairs.push((name.clone(), ""));
                    sections.push(name);
                }
                Part::Text(text) => {
                    let text = text.trim();
                    if let Some(section) = text.strip_prefix('[').filter(|_| !text.contains('=')) {
                        let name = section.trim_start_matches('[').split(']').next().unwrap_or_default();
                        sections.clear();
                        sections.push(Cow::Borrowed(name.trim()));
                    } else if let Some((key, value)) = pair(text) {
                        pairs.push((within(sections.last(), Cow::Borrowed(key)), value));
                    }
                }
            }
        }
    }
    pairs
}

/// The key and the value of a line; none for a comment and for an empty line.
fn pair(line: &str) -> Option<(&str, &str)> {
    if line.is_empty() || line.starts_with(['#', ';', '!']) || line.starts_with("//") {
        return None;
    }
    let end = line.find(|c: char| c.is_whitespace() || matches!(c, '=' | ':')).unwrap_or(line.len());
    let (key, rest) = line.split_at_checked(end)?;
    let rest = rest.trim_start();
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start();
    let value = match rest.chars().next() {
        Some(quote @ ('"' | '\'')) => rest.get(1..)?.split(quote).next().unwrap_or_default(),
        _ => {
            let comment = [" #", "\t#", " ;", " //"].into_iter().filter_map(|mark| rest.find(mark)).min();
            rest.get(..comment.unwrap_or(rest.len()))
                .unwrap_or_default()
                .trim_end_matches([',', ';'])
                .trim_end()
        }
    };
    Some((key.trim_matches('"'), value))
}

/// A line cut at the braces of blocks.
struct Parts<'t> {
    rest: &'t str,
    blocks: bool,
}

enum Part<'t> {
    Open(&'t str),
    Text(&'t str),
    Close,
}

impl<'t> Iterator for Parts<'t> {
    type Item = Part<'t>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.rest.trim_start();
        if line.is_empty() {
            return None;
        }
        let brace = if self.blocks && !line.starts_with('#') { unquoted_brace(line) } else { None };
        let Some(at) = brace else {
            self.rest = "";
            return Some(Part::Text(line));
        };
        let (before, after) = line.split_at_checked(at)?;
        let opens = after.starts_with('{');
        if opens {
            self.rest = after.get(1..).unwrap_or_default();
            return Some(Part::Open(before.trim()));
        }
        // What stands before the end of a block is a setting in it.
        if before.trim().is_empty() {
            self.rest = after.get(1..).unwrap_or_default();
            return Some(Part::Close);
        }
        self.rest = after;
        Some(Part::Text(before))
    }
}

/// Where the first brace stands that is in no quotes and belongs to no variable.
fn unquoted_brace(line: &str) -> Option<usize> {
    let mut quote = None;
    let mut before = ' ';
    let mut variable = false;
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (Some(open), _) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '#') if before.is_whitespace() => return None,
            (None, '{') if before == '$' => variable = true,
            (None, '}') if variable => variable = false,
            (None, '{' | '}') => return Some(at),
            _ => {}
        }
        before = c;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(syntax: Syntax, text: &str, key: &str) -> Vec<String> {
        let content = match syntax {
            Syntax::Yaml => Content::Tree(documents(text).expect("a text that can be read").into()),
            syntax => Content::Pairs(pairs(text, syntax == Syntax::Blocks)),
        };
        content.values(key).into_iter().map(Cow::into_owned).collect()
    }

    #[test]
    fn lines_are_read_as_the_servers_do() {
        let redis = "# dir /no\ndir /data/redis\nsave \"\"\nappendonly no # why\nsave 900 1\n";
        assert_eq!(values(Syntax::Lines, redis, "dir"), ["/data/redis"]);
        assert_eq!(values(Syntax::Lines, redis, "save"), ["", "900 1"]);
        assert_eq!(values(Syntax::Lines, redis, "APPENDONLY"), ["no"]);
        let mysql = "[client]\nport=1\n[mysqld]\ndata-dir = '/x y'\nskip_name_resolve\n[[inputs]]\na=b";
        assert_eq!(values(Syntax::Lines, mysql, "mysqld.data_dir"), ["/x y"]);
        assert_eq!(values(Syntax::Lines, mysql, "mysqld.skip-name-resolve"), [""]);
        assert_eq!(values(Syntax::Lines, mysql, "inputs.a"), ["b"]);
        assert_eq!(values(Syntax::Lines, mysql, "port"), [""; 0], "another section's");
        assert_eq!(values(Syntax::Lines, "log.dirs=/a,/b\n!x=1\n", "log.dirs"), ["/a,/b"]);
        assert_eq!(values(Syntax::Lines, "data_directory = '/pg' # here\n", "data_directory"), ["/pg"]);
        assert_eq!(values(Syntax::Lines, "save\n", "save"), [""]);
    }

    #[test]
    fn blocks_have_names() {
        let nats = "port: 4222 # {\njetstream {\n  store_dir: \"/data/{x}\"\n  max: ${MAX}\n}\ncluster { name: a }\nlast: 1\n";
        assert_eq!(values(Syntax::Blocks, nats, "jetstream"), [""]);
        assert_eq!(values(Syntax::Blocks, nats, "jetstream.store_dir"), ["/data/{x}"]);
        assert_eq!(values(Syntax::Blocks, nats, "cluster.name"), ["a"]);
        assert_eq!(values(Syntax::Blocks, nats, "last"), ["1"], "outside again");
        let vault = "storage \"raft\" {\n  path = \"/vault/data\"\n}\nlistener \"tcp\" { tls = 1 }";
        assert_eq!(values(Syntax::Blocks, vault, "storage.raft.path"), ["/vault/data"]);
        let deep = "a {\n".repeat(1000);
        assert!(pairs(&deep, true).iter().all(|(name, _)| name.len() < 32));
    }

    #[test]
    fn trees_are_walked_by_dots() {
        let yaml = "storage:\n  dbPath: /db\npath.data: /es\nlist:\n- {at: s3}\n- {at: 1}\ncommon: {replication: {factor: 1}}\n";
        assert_eq!(values(Syntax::Yaml, yaml, "storage.dbPath"), ["/db"]);
        assert_eq!(values(Syntax::Yaml, yaml, "path.data"), ["/es"]);
        assert_eq!(values(Syntax::Yaml, yaml, "list.at"), ["s3", "1"]);
        assert_eq!(values(Syntax::Yaml, yaml, "common"), [""], "it is there");
        assert_eq!(values(Syntax::Yaml, yaml, "*.dbPath"), ["/db"]);
        assert_eq!(values(Syntax::Yaml, yaml, "common.*.factor"), ["1"]);
        assert_eq!(values(Syntax::Yaml, yaml, "common.*.*.factor"), [""; 0]);
        assert_eq!(values(Syntax::Yaml, yaml, "storage.dbPath.more"), [""; 0]);
        assert_eq!(values(Syntax::Yaml, "{\"data_dir\": \"/c\"}", "data_dir"), ["/c"]);
        assert_eq!(documents("{{ .Values.x }}: ["), None, "a template is not known");
    }
}
