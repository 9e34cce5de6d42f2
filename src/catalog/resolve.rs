//! What a container of a catalogued image keeps, and where.

use std::borrow::Cow;

use super::argv::{Argv, Env, Word, program};
use super::client::only_client;
use super::entry::{CacheWhen, Condition, DataDir, Entry, Positional, StatefulWhen, ValueForm, Variant};
use super::image::ImageRef;

/// What the catalog has to know of a container.
#[derive(Debug, Clone, Copy, Default)]
pub struct ContainerView<'a> {
    /// The image reference.
    pub image: &'a str,
    /// `command`, which replaces the image's entry point.
    pub command: &'a [&'a str],
    /// `args`.
    pub args: &'a [&'a str],
    /// `env` in its order; a value that comes from a ConfigMap, a Secret or a field is `None`.
    pub env: &'a [(&'a str, Option<&'a str>)],
    /// `workingDir`, when set.
    pub working_dir: Option<&'a str>,
}

/// Whether a container keeps data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statefulness<'a> {
    /// The catalog does not know the image, or an extension took it out.
    NotListed,
    /// The product is known, and set up so that it keeps nothing.
    Cache {
        /// The product's name.
        product: &'a str,
        /// Why it keeps nothing.
        why: &'a str,
    },
    /// The image is known, but the container runs only clients of a server or plain tools.
    Client {
        /// The product's name.
        product: &'a str,
        /// What it runs.
        program: String,
    },
    /// The container keeps data.
    Stateful {
        /// The product's name.
        product: &'a str,
        /// Where it keeps them.
        data: Vec<DataPlace<'a>>,
        /// Directories beneath each of them that hold data when they are mounted apart.
        parts: &'a [String],
        /// Writable paths that are not data.
        scratch: &'a [String],
        /// Why many run it without keeping the data; none where losing them is an accident.
        dispensable: Option<&'a str>,
    },
}

/// A directory with data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataPlace<'a> {
    /// The absolute path, without `.`, `..` and doubled slashes.
    pub path: Cow<'a, str>,
    /// What put it there; `None` when it is the default.
    pub moved_by: Option<MovedBy<'a>>,
    /// False when the path is a guess, because a configuration file or an unknown value may have moved it. A guess
    /// is no ground to complain about a container that has durable mounts elsewhere.
    pub certain: bool,
    /// The VOLUME of the image in which the path lies. When no mount is at it or between it and the path, containerd
    /// mounts a fresh volume there, which dies with the container, even over a claim mounted at a parent.
    pub image_volume: Option<&'a str>,
}

/// What moved a data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MovedBy<'a> {
    /// The argument or the variable as the catalog names it.
    pub name: &'a str,
    /// Where in the container it stands.
    pub origin: Origin<'a>,
}

/// A place in a container's fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin<'a> {
    /// `command[index]`.
    Command {
        /// The index in `command`.
        index: usize,
    },
    /// `args[index]`.
    Args {
        /// The index in `args`.
        index: usize,
    },
    /// `env[index]`.
    Env {
        /// The variable.
        name: &'a str,
        /// The index in `env`; `None` when it is not set there.
        index: Option<usize>,
    },
}

/// An entry with what its variants change for one container.
struct Chosen<'a> {
    data: &'a [DataDir],
    image_volumes: &'a [String],
    stateful_when: Option<&'a StatefulWhen>,
    cache_when: &'a [CacheWhen],
}

/// Evaluates an entry for a container whose image is what `variants` of it are about.
pub(super) fn resolve<'a>(
    entry: &'a Entry,
    variants: &[usize],
    image: &ImageRef<'_>,
    container: &ContainerView<'a>,
) -> Statefulness<'a> {
    if !entry.stateful {
        return Statefulness::NotListed;
    }
    let product = entry.product.as_str();
    let argv = Argv::new(container, &entry.args_env);
    if let Some(program) = only_client(&argv, &entry.clients, !container.command.is_empty()) {
        return Statefulness::Client { product, program };
    }
    let chosen = choose(entry, variants, image, &argv);
    if let Some(when) = chosen.stateful_when
        && !when.any.is_empty()
        && !when.any.iter().any(|condition| holds(condition, &argv))
    {
        return Statefulness::Cache { product, why: &when.otherwise };
    }
    let cache = chosen.cache_when.iter().find(|cache| all_hold(&cache.all, &argv));
    if let Some(cache) = cache {
        return Statefulness::Cache { product, why: &cache.why };
    }
    let guess = entry.uncertain_when.iter().any(|condition| holds(condition, &argv));
    let working_dir = container.working_dir.or(entry.working_dir.as_deref());
    let mut data = Vec::with_capacity(chosen.data.len());
    for dir in chosen.data {
        places(dir, &argv, guess, working_dir, &mut data);
    }
    for place in &mut data {
        place.image_volume = volume_over(chosen.image_volumes, &place.path);
    }
    Statefulness::Stateful {
        product,
        data,
        parts: &entry.parts,
        scratch: &entry.scratch,
        dispensable: entry.dispensable.as_deref(),
    }
}

fn choose<'a>(entry: &'a Entry, variants: &[usize], image: &ImageRef<'_>, argv: &Argv<'_>) -> Chosen<'a> {
    let mut chosen = Chosen {
        data: &entry.data,
        image_volumes: &entry.image_volumes,
        stateful_when: entry.stateful_when.as_ref(),
        cache_when: &entry.cache_when,
    };
    let mut unsure_layout = false;
    for variant in variants.iter().filter_map(|index| entry.variants.get(*index)) {
        let tagged = |part: &String| image.tag.is_some_and(|tag| tag.contains(part.as_str()));
        if !variant.tag_contains.as_ref().is_none_or(tagged) || !all_hold(&variant.when, argv) {
            continue;
        }
        match in_range(variant, image) {
            Some(true) => {}
            Some(false) => continue,
            None => {
                unsure_layout = true;
                continue;
            }
        }
        if let Some(data) = &variant.data {
            chosen.data = data;
        }
        if let Some(volumes) = &variant.image_volumes {
            chosen.image_volumes = volumes;
        }
        if let Some(when) = &variant.stateful_when {
            chosen.stateful_when = Some(when);
        }
        if let Some(cache) = &variant.cache_when {
            chosen.cache_when = cache;
        }
    }
    // With the version unknown, which paths are volumes is unknown as well, and a wrong one would be a false alarm.
    if unsure_layout {
        chosen.image_volumes = &[];
    }
    chosen
}

/// Whether a variant is about a version; `None` when that cannot be said.
fn in_range(variant: &Variant, image: &ImageRef<'_>) -> Option<bool> {
    if variant.since.is_none() && variant.below.is_none() {
        return Some(true);
    }
    let major = image.major()?;
    Some(variant.since.is_none_or(|since| major >= since) && variant.below.is_none_or(|below| major < below))
}

fn all_hold(conditions: &[Condition], argv: &Argv<'_>) -> bool {
    conditions.iter().all(|condition| holds(condition, argv))
}

fn holds(condition: &Condition, argv: &Argv<'_>) -> bool {
    let (mut given, mut fits) = (false, true);
    let mut take = |value: Option<&str>| {
        given = true;
        fits &= condition.is.is_empty()
            || value.is_some_and(|value| condition.is.iter().any(|known| value_is(value, known)));
    };
    if let Some(flag) = &condition.flag {
        for (value, _) in flag_values(argv, flag) {
            // A flag with nothing behind it has the empty value: `--save` at the end of Redis' arguments.
            take(match value {
                Value::Known(value) => Some(value),
                Value::None => Some(""),
                Value::Unknown => None,
            });
        }
    } else if let Some(word) = &condition.word {
        if argv.words.iter().any(|known| word_is(known, word)) {
            take(Some(word));
        }
    } else if let Some(name) = &condition.env {
        match argv.env(name) {
            Env::Unset => {}
            Env::Unknown => take(None),
            Env::Value(value) => take(Some(&value)),
        }
    }
    if given {
        return fits && !(condition.absent && condition.is.is_empty());
    }
    condition.absent && (condition.env.is_some() || !has_unknown_arguments(argv))
}

/// Whether a word that is no flag's value is unknown: `$EXTRA_ARGS` may hold any argument, `--requirepass $PASS` not.
fn has_unknown_arguments(argv: &Argv<'_>) -> bool {
    let mut after_flag = false;
    argv.words.iter().any(|word| {
        let free = !word.known && !after_flag && !is_flag(&word.text);
        after_flag = is_flag(&word.text) && !word.text.contains('=');
        free
    })
}

fn value_is(value: &str, pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => value.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start)),
        None => value.eq_ignore_ascii_case(pattern),
    }
}

fn word_is(word: &Word<'_>, pattern: &str) -> bool {
    if let Some(end) = pattern.strip_prefix('*') {
        return word.text.ends_with(end) && !is_flag(&word.text);
    }
    if let Some(start) = pattern.strip_suffix('*') {
        return word.text.starts_with(start);
    }
    word.text == pattern || (word.text.contains('/') && program(&word.text) == pattern)
}

/// The value of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value<'w> {
    Known(&'w str),
    Unknown,
    None,
}

/// Every value that the words give to a flag, in their order, each with the place where it stands.
fn flag_values<'w, 'a>(argv: &'w Argv<'a>, flag: &'w str) -> impl Iterator<Item = (Value<'w>, Origin<'a>)> {
    let (flag, key) = match flag.split_once(' ') {
        Some((flag, key)) => (flag, Some(key)),
        None => (flag, None),
    };
    argv.words.iter().enumerate().filter_map(move |(at, word)| {
        let rest = after_flag(&word.text, flag, key.is_some())?;
        // With a key, the value is in the attached text or in the next word, behind `key=`.
        let (holder, text) = match (rest, key) {
            (Rest::Attached(text), _) => (word, Some(text)),
            (Rest::Nothing, _) => {
                let next = argv.words.get(at + 1).filter(|next| !next.end && !is_flag(&next.text));
                (next.unwrap_or(word), next.map(|next| &*next.text))
            }
        };
        let text = match (text, key) {
            (text, None) => text,
            (text, Some(key)) => Some(text?.strip_prefix(key)?.strip_prefix('=')?),
        };
        let value = match text {
            _ if !holder.known => Value::Unknown,
            Some(text) => Value::Known(text),
            None => Value::None,
        };
        Some((value, holder.origin))
    })
}

fn is_flag(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-')
}

/// What a word has behind a flag.
enum Rest<'w> {
    Attached(&'w str),
    Nothing,
}

fn after_flag<'w>(word: &'w str, flag: &str, keyed: bool) -> Option<Rest<'w>> {
    if !word.starts_with('-') {
        return None;
    }
    let name = flag.trim_start_matches('-');
    // Go's flags take one dash or two, and no program uses the two with different meanings; short options have one.
    let bare = if name.len() == 1 { word.strip_prefix('-')? } else { word.trim_start_matches('-') };
    let rest = bare.strip_prefix(name)?;
    if rest.is_empty() {
        return Some(Rest::Nothing);
    }
    if let Some(value) = rest.strip_prefix('=') {
        return Some(Rest::Attached(value));
    }
    // Short options may have their value attached: -D/x, -Epath.data=/x. A long option, -server, is not such a thing.
    (name.len() == 1 && (keyed || rest.starts_with(['/', '.']))).then_some(Rest::Attached(rest))
}

/// Adds the places of one data directory: where an argument, else a variable, else the default puts it.
fn places<'a>(
    dir: &'a DataDir,
    argv: &Argv<'a>,
    guess: bool,
    working_dir: Option<&'a str>,
    data: &mut Vec<DataPlace<'a>>,
) {
    let mut unknown = None;
    let mut add = |value: &str, suffix: &str, moved_by: MovedBy<'a>| {
        let mut found = false;
        for path in read(value, dir.value) {
            let (path, certain) = absolute(&[path.as_str(), suffix].concat(), working_dir);
            let (path, moved_by) = (Cow::Owned(path), Some(moved_by));
            data.push(DataPlace { path, moved_by, certain, image_volume: None });
            found = true;
        }
        found
    };
    for flag in &dir.flags {
        let values: Vec<_> = flag_values(argv, flag).collect();
        // Each of a list's arguments adds directories; of a single path the last one counts.
        let from = if dir.value == ValueForm::Path { values.len().saturating_sub(1) } else { 0 };
        let mut found = false;
        for (value, origin) in values.into_iter().skip(from) {
            let moved_by = MovedBy { name: flag, origin };
            match value {
                Value::Known(value) => found |= add(value, "", moved_by),
                Value::Unknown => unknown = Some(moved_by),
                Value::None => {}
            }
        }
        if found {
            return;
        }
    }
    if let Some(positional) = &dir.positional {
        let mut found = false;
        for word in positionals(argv, positional) {
            let moved_by = MovedBy { name: &positional.after, origin: word.origin };
            if word.known {
                found |= add(&word.text, "", moved_by);
            } else {
                unknown = Some(moved_by);
            }
        }
        if found {
            return;
        }
    }
    for template in &dir.env {
        let (name, suffix) = match template.strip_prefix("$(").and_then(|rest| rest.split_once(')')) {
            Some((name, suffix)) => (name, suffix),
            None => (template.as_str(), ""),
        };
        let moved_by = || MovedBy { name, origin: argv.env_origin(name) };
        match argv.env(name) {
            Env::Value(value) if !value.is_empty() => {
                if add(&value, suffix, moved_by()) {
                    return;
                }
            }
            Env::Unknown => unknown = unknown.or_else(|| Some(moved_by())),
            Env::Value(_) | Env::Unset => {}
        }
    }
    let Some(path) = &dir.path else { return };
    let certain = !guess && !dir.configured && unknown.is_none();
    let (path, certain) = if path.starts_with('/') {
        (Cow::Borrowed(path.as_str()), certain)
    } else {
        let (path, resolved) = absolute(path, working_dir);
        (Cow::Owned(path), certain && resolved)
    };
    data.push(DataPlace { path, moved_by: unknown, certain, image_volume: None });
}

/// The bare words behind `after`, up to the end of the command, that look like paths.
fn positionals<'w, 'a>(argv: &'w Argv<'a>, positional: &Positional) -> Vec<&'w Word<'a>> {
    let mut words = argv.words.iter().skip_while(|word| word.text != positional.after).skip(1);
    let mut found = Vec::new();
    while let Some(word) = words.next().filter(|word| !word.end) {
        if is_flag(&word.text) {
            let takes_value =
                !word.text.contains('=') && !positional.switches.iter().any(|switch| word.text == *switch);
            if takes_value {
                words.next();
            }
        } else if !word.known || word.text.contains('/') {
            found.push(word);
        }
    }
    found
}

/// The paths that a value names.
fn read(value: &str, form: ValueForm) -> Vec<String> {
    let paths: Vec<&str> = match form {
        ValueForm::Path => vec![value.trim()],
        ValueForm::List => value.split(',').map(str::trim).collect(),
        ValueForm::Spec => {
            let named = value.split(',').find_map(|part| part.trim().strip_prefix("path="));
            let bare = || value.split(',').next().filter(|first| !first.contains('='));
            named.or_else(bare).into_iter().collect()
        }
        ValueForm::Disks => {
            return value.split_whitespace().flat_map(|disk| numbered(url_path(disk))).collect();
        }
    };
    paths.into_iter().filter(|path| !path.is_empty()).map(str::to_owned).collect()
}

/// `/data` of `http://minio-0.minio:9000/data` and of `file:/data`; anything else as it is.
fn url_path(text: &str) -> &str {
    let from_slash = |rest: &'_ str| rest.find('/').map(|slash| text.len() - rest.len() + slash);
    let start = match text.split_once("://") {
        Some((_, rest)) => from_slash(rest),
        None => text.find(":/").map(|colon| colon + 1),
    };
    match start {
        Some(start) => text.get(start..).unwrap_or(text),
        None if text.contains("://") => "/",
        None => text,
    }
}

/// How many directories one value may stand for; more would be a mistake or an attack.
const MOST_DISKS: usize = 64;

/// `/data1` and `/data2` of `/data{1...2}`.
fn numbered(path: &str) -> Vec<String> {
    let range = path.split_once('{').and_then(|(before, rest)| {
        let (range, after) = rest.split_once('}')?;
        let (from, to) = range.split_once("...")?;
        Some((before, from.parse::<u32>().ok()?, to.parse::<u32>().ok()?, after))
    });
    let Some((before, from, to, after)) = range else { return vec![path.to_owned()] };
    let tails = numbered(after);
    (from..=to)
        .flat_map(|number| tails.iter().map(move |tail| format!("{before}{number}{tail}")))
        .take(MOST_DISKS)
        .collect()
}

/// A path made absolute and plain; the second part is false when what it is relative to is unknown.
fn absolute(path: &str, working_dir: Option<&str>) -> (String, bool) {
    let (base, certain) = match working_dir {
        _ if path.starts_with('/') => ("", true),
        Some(base) => (base, true),
        None => ("", false),
    };
    let mut plain = String::with_capacity(base.len() + path.len() + 2);
    for segment in base.split('/').chain(path.split('/')) {
        match segment {
            "" | "." => {}
            ".." => plain.truncate(plain.rfind('/').unwrap_or(0)),
            _ => {
                plain.push('/');
                plain.push_str(segment);
            }
        }
    }
    if plain.is_empty() {
        plain.push('/');
    }
    (plain, certain)
}

fn volume_over<'a>(volumes: &'a [String], path: &str) -> Option<&'a str> {
    let covers =
        |volume: &str| path.strip_prefix(volume).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    volumes.iter().map(String::as_str).filter(|volume| covers(volume)).max_by_key(|volume| volume.len())
}
