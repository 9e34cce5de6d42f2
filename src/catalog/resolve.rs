//! What a container of a catalogued image keeps, and where.

use std::borrow::Cow;
use std::fmt;

use super::argv::{Argv, Word, is_flag};
use super::budget::{Budget, Excess};
use super::configuration::Configuration;
use super::container::{ContainerView, Origin, plain};
use super::entry::{
    CacheWhen, Condition, ConfigFile, DataDir, Entry, Positional, StatefulWhen, ValueForm, Variant,
};
use super::image::ImageRef;
use super::settings::Settings;
use super::start::{Programs, Runs, runs};
use super::variables::Env;

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
        /// Whether no container of the image ever keeps anything, however it is set up.
        always: bool,
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
        /// Why losing it does no harm where another server keeps the same: "a read replica …".
        copy: Option<&'a str>,
        /// Set where a variable whose value is not known decides whether it keeps any data at all.
        cache: Option<CacheDoubt<'a>>,
    },
    /// The container keeps data, and nothing is known of where.
    Unplaced {
        /// The product's name.
        product: &'a str,
        /// Why that is not known.
        why: Unplaced<'a>,
        /// As above.
        dispensable: Option<&'a str>,
    },
}

/// Why nothing is known of where the data lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unplaced<'a> {
    /// Finding it out would take too much.
    Excess(Excess),
    /// This argument, variable or key names the directory, and its value is not known.
    Value(Named<'a>),
}

/// A variable or a file that is not known and may make the product keep nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheDoubt<'a> {
    /// What is not known.
    pub by: Unsure<'a>,
    /// Why the product would keep nothing.
    pub why: &'a str,
}

/// What leaves a condition open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsure<'a> {
    /// The variable of this name, whose value is not known.
    Variable(&'a str),
    /// The configuration file of this name, whose content is not known.
    File(&'a str),
}

/// A directory with data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataPlace<'a> {
    /// The absolute path, without `.`, `..` and doubled slashes.
    pub path: Cow<'a, str>,
    /// What put it there; `None` when it is the default.
    pub moved_by: Option<MovedBy<'a>>,
    /// Set when the path is a guess: what may have moved the data elsewhere.
    pub doubt: Option<PlaceDoubt<'a>>,
    /// The VOLUME of the image in which the path lies. When no mount is at it or between it and the path, containerd
    /// mounts a fresh volume there, which dies with the container, even over a claim mounted at a parent.
    pub image_volume: Option<&'a str>,
    /// Whether nothing is to be said where no volume is mounted at it.
    pub mounted_only: bool,
}

/// What may have moved a data directory from where it is guessed to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaceDoubt<'a> {
    /// A configuration file.
    Configuration,
    /// An argument or a variable whose value is not known.
    Value(MovedBy<'a>),
    /// A variable that `envFrom` may bring.
    EnvFrom(&'a str),
    /// The image's publisher is none of those whose layout is known.
    Publisher,
    /// The path is relative, and the working directory is not known.
    WorkingDir,
}

/// What moved a data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MovedBy<'a> {
    /// By which name.
    pub named: Named<'a>,
    /// Where in the container it stands.
    pub origin: Origin,
}

/// The name by which something is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named<'a> {
    /// The argument, the variable or the key as the catalog names it.
    pub name: &'a str,
    /// The configuration file of a key.
    pub file: Option<&'a str>,
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.file {
            Some(file) => write!(f, "{} in {file}", self.name),
            None => f.write_str(self.name),
        }
    }
}

/// An entry with what its variants change for one container.
struct Chosen<'a> {
    data: &'a [DataDir],
    image_volumes: &'a [String],
    config_files: &'a [ConfigFile],
    stateful_when: Option<&'a StatefulWhen>,
    cache_when: &'a [CacheWhen],
}

/// What is known of a condition.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Truth<'a> {
    No,
    /// It holds or not by the value of a variable or the content of a file that is not known.
    Perhaps(Unsure<'a>),
    Yes,
}

/// What the catalog lists an image as.
#[derive(Clone, Copy)]
pub(super) struct Listing<'a, 'v> {
    pub(super) entry: &'a Entry,
    /// The entry's variants that are about the image.
    pub(super) variants: &'v [usize],
    /// Whether somebody publishes it of whose images the layout is not known.
    pub(super) foreign: bool,
}

/// Evaluates an entry for a container.
pub(super) fn resolve<'a>(
    listing: &Listing<'a, '_>,
    image: &ImageRef<'_>,
    container: &ContainerView<'_>,
    budget: &mut Budget,
) -> Statefulness<'a> {
    let entry = listing.entry;
    if !entry.stateful {
        return Statefulness::NotListed;
    }
    if let Some(why) = &entry.keeps_nothing {
        return Statefulness::Cache { product: &entry.product, why, always: true };
    }
    resolve_within(listing, image, container, budget)
        .unwrap_or_else(|excess| unplaced(entry, Unplaced::Excess(excess)))
}

fn unplaced<'a>(entry: &'a Entry, why: Unplaced<'a>) -> Statefulness<'a> {
    Statefulness::Unplaced { product: &entry.product, why, dispensable: entry.dispensable.as_deref() }
}

fn resolve_within<'a>(
    listing: &Listing<'a, '_>,
    image: &ImageRef<'_>,
    container: &ContainerView<'_>,
    budget: &mut Budget,
) -> Result<Statefulness<'a>, Excess> {
    let &Listing { entry, variants, foreign } = listing;
    let product = entry.product.as_str();
    let argv = Argv::new(container, &entry.args_env, budget)?;
    if let Runs::Client(program) = runs(container, &argv, Programs::of(Some(entry))) {
        return Ok(Statefulness::Client { product, program });
    }
    let chosen = choose(entry, variants, image, &argv);
    let working_dir = container.working_dir.or(entry.working_dir.as_deref());
    let settings = Settings::open(chosen.config_files, &argv, container.configuration, working_dir);
    let said = Said { argv: &argv, settings: &settings };
    let mut doubt = None;
    if let Some(when) = chosen.stateful_when.filter(|when| !when.any.is_empty()) {
        match any_holds(&when.any, &said) {
            // Such a product most often keeps nothing, and a file that is not known makes none of it a database.
            Truth::No | Truth::Perhaps(Unsure::File(_)) => {
                return Ok(Statefulness::Cache { product, why: &when.otherwise, always: false });
            }
            Truth::Perhaps(by) => doubt = Some(CacheDoubt { by, why: &when.otherwise }),
            Truth::Yes => {}
        }
    }
    for cache in chosen.cache_when {
        match all_hold(&cache.all, &said) {
            Truth::No => {}
            Truth::Perhaps(by) => doubt = doubt.or(Some(CacheDoubt { by, why: &cache.why })),
            Truth::Yes => return Ok(Statefulness::Cache { product, why: &cache.why, always: false }),
        }
    }
    let copy = entry.copy_when.iter().find(|copy| all_hold(&copy.all, &said) == Truth::Yes);
    let configured = !settings.are_known() && any_holds(&entry.uncertain_when, &said) != Truth::No;
    let mut found = Places {
        argv: &argv,
        settings: &settings,
        configuration: container.configuration,
        configured,
        working_dir,
        budget,
        all: Vec::with_capacity(chosen.data.len()),
        nowhere: None,
    };
    for dir in chosen.data {
        found.add_dir(dir)?;
    }
    let Places { all: mut data, nowhere, .. } = found;
    if let Some(name) = nowhere.filter(|_| data.is_empty()) {
        return Ok(unplaced(entry, Unplaced::Value(name)));
    }
    for place in &mut data {
        if foreign && place.moved_by.is_none() {
            place.doubt = place.doubt.or(Some(PlaceDoubt::Publisher));
        }
        place.image_volume = volume_over(chosen.image_volumes, &place.path);
    }
    Ok(Statefulness::Stateful {
        product,
        data,
        parts: &entry.parts,
        scratch: &entry.scratch,
        dispensable: entry.dispensable.as_deref(),
        copy: copy.map(|copy| copy.why.as_str()),
        cache: doubt,
    })
}

fn choose<'a>(entry: &'a Entry, variants: &[usize], image: &ImageRef<'_>, argv: &Argv<'_, '_>) -> Chosen<'a> {
    let (settings, mut unsure_layout) = (Settings::default(), false);
    // Which files a product reads follows from its variant, so that no variant follows from a file.
    let said = Said { argv, settings: &settings };
    let mut chosen = Chosen {
        data: &entry.data,
        image_volumes: &entry.image_volumes,
        config_files: &entry.config_files,
        stateful_when: entry.stateful_when.as_ref(),
        cache_when: &entry.cache_when,
    };
    for variant in variants.iter().filter_map(|index| entry.variants.get(*index)) {
        let tagged = |part: &String| image.tag.is_some_and(|tag| tag.contains(part.as_str()));
        if !variant.tag_contains.as_ref().is_none_or(tagged) || all_hold(&variant.when, &said) != Truth::Yes {
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
        if let Some(files) = &variant.config_files {
            chosen.config_files = files;
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

/// What a container says: conditions are asked of it.
struct Said<'s, 'c, 'a> {
    argv: &'s Argv<'c, 'a>,
    settings: &'s Settings<'c, 'a>,
}

/// The least that holds of conditions that must all hold.
fn all_hold<'a>(conditions: &'a [Condition], said: &Said<'_, '_, 'a>) -> Truth<'a> {
    let mut all = Truth::Yes;
    for condition in conditions {
        match holds(condition, said) {
            Truth::No => return Truth::No,
            Truth::Perhaps(by) => all = Truth::Perhaps(by),
            Truth::Yes => {}
        }
    }
    all
}

/// The most that holds of conditions of which one is enough.
fn any_holds<'a>(conditions: &'a [Condition], said: &Said<'_, '_, 'a>) -> Truth<'a> {
    let mut any = Truth::No;
    for condition in conditions {
        match holds(condition, said) {
            Truth::No => {}
            Truth::Perhaps(by) => any = Truth::Perhaps(by),
            Truth::Yes => return Truth::Yes,
        }
    }
    any
}

fn holds<'a>(condition: &'a Condition, said: &Said<'_, '_, 'a>) -> Truth<'a> {
    let argv = said.argv;
    let listed = |value: &str| condition.is.iter().any(|known| value_is(value, known));
    let mut values = Given { condition, given: false, fits: true };
    if let Some(flag) = &condition.flag {
        for (value, _) in flag_values(argv, flag) {
            // A flag with nothing behind it has the empty value: `--save` at the end of Redis' arguments.
            values.take(match value {
                Value::Known(value) => Some(value),
                Value::None => Some(""),
                Value::Unknown => None,
            });
        }
    } else if let Some(word) = &condition.word {
        if has_word(argv, word) {
            values.take(Some(word));
        }
    } else if let Some(name) = &condition.env {
        match argv.env(name) {
            Env::Unset => {}
            // That it is set is all that is asked.
            Env::Unknown | Env::Sealed(_) if condition.is.is_empty() => values.take(None),
            Env::Unknown | Env::Perhaps => return Truth::Perhaps(Unsure::Variable(name)),
            Env::Sealed(text) => values.take(condition.is.iter().map(String::as_str).find(|known| {
                // The value that it is equal to stands in the catalog.
                text.is(|text| value_is(text, known))
            })),
            Env::Value(value) => values.take(Some(value)),
        }
    }
    let by_file = condition.key.as_ref().filter(|_| !values.given);
    if let Some(key) = by_file {
        for (value, _) in said.settings.values(key) {
            values.take(Some(&*value).filter(|value| !is_filled_in(value)));
        }
        for file in said.settings.sealed(key) {
            values.given = true;
            values.fits &=
                condition.is.is_empty() || file.is(key, |all| all.iter().all(|value| listed(value)));
        }
        if !values.given
            && let Some(from) = said.settings.unknown
        {
            return Truth::Perhaps(Unsure::File(from.file));
        }
        // What stands in the image or on another volume is not as the default unless it is known to be.
        if !values.given && said.settings.hidden {
            return Truth::No;
        }
    }
    // The image's own file may say anything, unless the catalog asks for an argument or a variable first.
    let key_alone = condition.key.is_some() && condition.flag.is_none() && condition.env.is_none();
    if key_alone && !values.given && !said.settings.are_known() {
        return Truth::No;
    }
    let words_known = condition.env.is_some() || key_alone || !argv.has_unknown_words();
    let holds = if values.given {
        values.fits && !(condition.absent && condition.is.is_empty())
    } else {
        condition.absent && words_known
    };
    if holds { Truth::Yes } else { Truth::No }
}

/// The values that were met so far of what a condition is about.
struct Given<'a> {
    condition: &'a Condition,
    given: bool,
    fits: bool,
}

impl Given<'_> {
    /// One more value; none where it is not known.
    fn take(&mut self, value: Option<&str>) {
        self.given = true;
        let listed = |value: &str| self.condition.is.iter().any(|known| value_is(value, known));
        self.fits &= self.condition.is.is_empty() || value.is_some_and(listed);
    }
}

/// Whether something else puts a value there before the server reads it: `${DATA_DIR}`, `{{ .Values.dir }}`.
fn is_filled_in(value: &str) -> bool {
    value.contains("${") || value.contains("{{") || value.contains("$(")
}

fn value_is(value: &str, pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => value.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start)),
        None => value.eq_ignore_ascii_case(pattern),
    }
}

fn has_word(argv: &Argv<'_, '_>, pattern: &str) -> bool {
    let texts = || argv.words.iter().map(|word| &*word.text);
    if let Some(end) = pattern.strip_prefix('*') {
        return texts().any(|text| text.ends_with(end) && !is_flag(text));
    }
    if let Some(start) = pattern.strip_suffix('*') {
        return texts().any(|text| text.starts_with(start));
    }
    if pattern.contains('/') { texts().any(|text| text == pattern) } else { argv.is_among(pattern) }
}

/// The value of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'w> {
    Known(&'w str),
    Unknown,
    None,
}

/// Every value that the words give to a flag, in their order, each with the place where it stands.
pub(super) fn flag_values<'w>(
    argv: &'w Argv<'_, '_>,
    flag: &'w str,
) -> impl Iterator<Item = (Value<'w>, Origin)> {
    let (flag, key) = match flag.split_once(' ') {
        Some((flag, key)) => (flag, Some(key)),
        None => (flag, None),
    };
    argv.flags(flag.trim_start_matches('-')).filter_map(move |(at, word)| {
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

/// Asks of a text that must not show whether something holds of it.
type Ask<'q> = dyn Fn(&dyn Fn(&str) -> bool) -> bool + 'q;

/// The places that are found, directory by directory.
struct Places<'p, 'c, 'a> {
    argv: &'p Argv<'c, 'a>,
    settings: &'p Settings<'c, 'a>,
    configuration: Option<&'c Configuration<'c>>,
    /// Whether a configuration file may have moved the defaults.
    configured: bool,
    working_dir: Option<&'p str>,
    budget: &'p mut Budget,
    all: Vec<DataPlace<'a>>,
    /// What names a directory that has no default, with a value that is not known.
    nowhere: Option<Named<'a>>,
}

impl<'a> Places<'_, '_, 'a> {
    /// Adds the places of one data directory: where an argument, else a variable, else the default puts it.
    fn add_dir(&mut self, dir: &'a DataDir) -> Result<(), Excess> {
        let argv = self.argv;
        let mut unknown = None;
        for flag in &dir.flags {
            let values: Vec<_> = flag_values(argv, flag).collect();
            // Each of a list's arguments adds directories; of a single path the last one counts.
            let from = if dir.value == ValueForm::Path { values.len().saturating_sub(1) } else { 0 };
            let before = self.all.len();
            for (value, origin) in values.into_iter().skip(from) {
                let moved_by = MovedBy { named: Named { name: flag, file: None }, origin };
                match value {
                    Value::Known(value) => self.add(value, dir.value, "", moved_by, before)?,
                    Value::Unknown => unknown = Some(moved_by),
                    Value::None => {}
                }
            }
            if self.all.len() > before {
                return Ok(());
            }
        }
        if let Some(positional) = &dir.positional {
            let before = self.all.len();
            for word in positionals(argv, positional) {
                let named = Named { name: &positional.after, file: None };
                let moved_by = MovedBy { named, origin: word.origin };
                if word.known {
                    self.add(&word.text, dir.value, "", moved_by, before)?;
                } else {
                    unknown = Some(moved_by);
                }
            }
            if self.all.len() > before {
                return Ok(());
            }
        }
        let mut perhaps = None;
        for template in &dir.env {
            let (name, suffix) = match template.strip_prefix("$(").and_then(|rest| rest.split_once(')')) {
                Some((name, suffix)) => (name, suffix),
                None => (template.as_str(), ""),
            };
            let moved_by = || MovedBy { named: Named { name, file: None }, origin: argv.env_origin(name) };
            let before = self.all.len();
            match argv.env(name) {
                Env::Value(value) if !value.is_empty() => {
                    self.add(value, dir.value, suffix, moved_by(), before)?;
                }
                Env::Sealed(text) => {
                    let read = |directory: &dyn Fn(&str) -> bool| text.is(|text| directory(text));
                    self.add_sealed(&read, dir.value, suffix, moved_by())?;
                    unknown = unknown.or_else(|| Some(moved_by()));
                }
                Env::Unknown => unknown = unknown.or_else(|| Some(moved_by())),
                Env::Perhaps => perhaps = perhaps.or(Some(name)),
                Env::Value(_) | Env::Unset => {}
            }
            if self.all.len() > before {
                return Ok(());
            }
        }
        if self.add_configured(dir, &mut unknown)? {
            return Ok(());
        }
        if let Some((name, value)) = argv.unknown_args.filter(|_| !dir.flags.is_empty()) {
            match value {
                Env::Perhaps => perhaps = perhaps.or(Some(name)),
                _ => {
                    let named = Named { name, file: None };
                    unknown = unknown.or_else(|| Some(MovedBy { named, origin: argv.env_origin(name) }));
                }
            }
        }
        let doubt = match (unknown, perhaps) {
            (Some(moved_by), _) => Some(PlaceDoubt::Value(moved_by)),
            _ if self.is_guess(dir) => Some(PlaceDoubt::Configuration),
            (None, Some(name)) => Some(PlaceDoubt::EnvFrom(name)),
            (None, None) => None,
        };
        let Some(path) = &dir.path else {
            let perhaps = perhaps.map(|name| Named { name, file: None });
            self.nowhere = self.nowhere.or(unknown.map(|moved_by| moved_by.named)).or(perhaps);
            return Ok(());
        };
        let (path, doubt) = if path.starts_with('/') {
            (Cow::Borrowed(path.as_str()), doubt)
        } else {
            let (path, resolved) = self.absolute(path)?;
            (Cow::Owned(path), doubt.or((!resolved).then_some(PlaceDoubt::WorkingDir)))
        };
        self.budget.places(1)?;
        let mounted_only = dir.mounted_only;
        self.all.push(DataPlace { path, moved_by: unknown, doubt, image_volume: None, mounted_only });
        Ok(())
    }

    /// Whether a configuration file that is not known may have moved a default.
    fn is_guess(&self, dir: &DataDir) -> bool {
        let by_key = !dir.keys.is_empty();
        self.configured
            || (by_key && (self.settings.unknown.is_some() || self.settings.hidden))
            || (dir.configured && !(by_key && self.settings.are_known()))
    }

    /// Adds the places that configuration files name; whether there are any.
    fn add_configured(
        &mut self,
        dir: &'a DataDir,
        unknown: &mut Option<MovedBy<'a>>,
    ) -> Result<bool, Excess> {
        let before = self.all.len();
        let settings = self.settings;
        for key in &dir.keys {
            let moved_by = |from: super::settings::FromFile<'a>| {
                let named = Named { name: key, file: Some(from.file) };
                MovedBy { named, origin: from.origin() }
            };
            let mut values: Vec<_> = settings.values(key).collect();
            // Each of a list adds directories; of single paths the last one counts.
            if dir.value == ValueForm::Path {
                values.drain(..values.len().saturating_sub(1));
            }
            for (value, from) in values {
                if is_filled_in(&value) {
                    unknown.get_or_insert(moved_by(from));
                } else {
                    self.add(&value, dir.value, "", moved_by(from), before)?;
                }
            }
            for file in settings.sealed(key) {
                let last = |directory: &dyn Fn(&str) -> bool| {
                    file.is(key, |values| values.last().is_some_and(|value| directory(value)))
                };
                self.add_sealed(&last, dir.value, "", moved_by(file.from))?;
                unknown.get_or_insert(moved_by(file.from));
            }
            let found = self.all.len() > before;
            // Where two directories are named by one key, they are one.
            let mut at = before;
            while let Some(place) = self.all.get(at) {
                let known = self.all.iter().take(before).any(|other| other.path == place.path);
                if known {
                    self.all.remove(at);
                } else {
                    at += 1;
                }
            }
            if found {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Adds the place that the text of a Secret names: the mount that covers it, since the text itself must not show.
    /// Where no mount does, it stays unknown.
    fn add_sealed(
        &mut self,
        holds: &Ask<'_>,
        form: ValueForm,
        suffix: &str,
        moved_by: MovedBy<'a>,
    ) -> Result<(), Excess> {
        let Some(configuration) = self.configuration.filter(|_| form == ValueForm::Path) else {
            return Ok(());
        };
        let base = self.working_dir;
        let lies_on = |mount: usize| {
            holds(&|text: &str| {
                let path = match base {
                    _ if text.starts_with('/') => plain("", text),
                    Some(base) => plain(base, text),
                    None => return false,
                };
                let path = if suffix.is_empty() { path } else { plain(&path, suffix) };
                configuration.over(&path).is_some_and(|(over, _)| over.index == mount)
            })
        };
        self.budget.steps(configuration.mounts.len())?;
        let Some(mount) = configuration.mounts.iter().find(|mount| lies_on(mount.index)) else {
            return Ok(());
        };
        self.budget.bytes(mount.path.len())?;
        self.budget.places(1)?;
        let path = Cow::Owned(plain("", mount.path));
        self.all.push(DataPlace {
            path,
            moved_by: Some(moved_by),
            doubt: None,
            image_volume: None,
            mounted_only: false,
        });
        Ok(())
    }

    /// Adds the paths that a value names, each once among those from `before` on.
    fn add(
        &mut self,
        value: &str,
        form: ValueForm,
        suffix: &str,
        moved_by: MovedBy<'a>,
        before: usize,
    ) -> Result<(), Excess> {
        for path in paths(value, form) {
            let numbered =
                if form == ValueForm::Disks { numbered(path, self.budget)? } else { vec![path.to_owned()] };
            for path in numbered {
                let (path, resolved) = self.absolute(&(path + suffix))?;
                if self.all.iter().skip(before).any(|place| place.path == path) {
                    continue;
                }
                self.budget.places(1)?;
                let doubt = (!resolved).then_some(PlaceDoubt::WorkingDir);
                self.all.push(DataPlace {
                    path: Cow::Owned(path),
                    moved_by: Some(moved_by),
                    doubt,
                    image_volume: None,
                    mounted_only: false,
                });
            }
        }
        Ok(())
    }

    /// A path made absolute and plain; the second part is false when what it is relative to is unknown.
    fn absolute(&mut self, path: &str) -> Result<(String, bool), Excess> {
        let (base, certain) = match self.working_dir {
            _ if path.starts_with('/') => ("", true),
            Some(base) => (base, true),
            None => ("", false),
        };
        self.budget.bytes(base.len() + path.len())?;
        Ok((plain(base, path), certain))
    }
}

/// The bare words behind `after`, up to the end of the command, that look like paths.
fn positionals<'w, 'c>(argv: &'w Argv<'c, '_>, positional: &Positional) -> Vec<&'w Word<'c>> {
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

/// The paths that a value names, as they are written.
fn paths<'v>(value: &'v str, form: ValueForm) -> Box<dyn Iterator<Item = &'v str> + 'v> {
    let not_empty = |path: &&str| !path.is_empty();
    match form {
        ValueForm::Path => Box::new(Some(value.trim()).into_iter().filter(not_empty)),
        ValueForm::List => Box::new(value.split(',').map(str::trim).filter(not_empty)),
        ValueForm::Spec => {
            let named = value.split(',').find_map(|part| part.trim().strip_prefix("path="));
            let bare = || value.split(',').next().filter(|first| !first.contains('='));
            Box::new(named.or_else(bare).into_iter().filter(not_empty))
        }
        ValueForm::Disks => Box::new(value.split_whitespace().map(url_path)),
    }
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

/// `/data1` and `/data2` of `/data{1...2}`, and `/data01` and so on of `/data{01...16}`.
fn numbered(path: &str, budget: &mut Budget) -> Result<Vec<String>, Excess> {
    let (mut paths, mut rest) = (vec![String::new()], path);
    while let Some((before, from, to, after)) = range(rest) {
        let (first, last) = (from.parse::<u32>(), to.parse::<u32>());
        let (Ok(first), Ok(last)) = (first, last) else { break };
        let count = if first > last {
            0
        } else {
            usize::try_from(last - first).unwrap_or(usize::MAX).saturating_add(1)
        };
        budget.has_places(count.saturating_mul(paths.len()))?;
        let width = if from.starts_with('0') && from.len() > 1 { to.len() } else { 0 };
        let mut longer = Vec::with_capacity(count.saturating_mul(paths.len()));
        for head in &paths {
            for number in first..=last {
                let path = format!("{head}{before}{number:0width$}");
                budget.bytes(path.len())?;
                longer.push(path);
            }
        }
        (paths, rest) = (longer, after);
    }
    budget.bytes(rest.len().saturating_mul(paths.len()))?;
    for path in &mut paths {
        path.push_str(rest);
    }
    Ok(paths)
}

/// What stands before the first range, its ends, and what stands behind it.
fn range(text: &str) -> Option<(&str, &str, &str, &str)> {
    let (before, rest) = text.split_once('{')?;
    let (range, after) = rest.split_once('}')?;
    let (from, to) = range.split_once("...")?;
    Some((before, from, to, after))
}

fn volume_over<'a>(volumes: &'a [String], path: &str) -> Option<&'a str> {
    let covers =
        |volume: &str| path.strip_prefix(volume).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    volumes.iter().map(String::as_str).filter(|volume| covers(volume)).max_by_key(|volume| volume.len())
}
