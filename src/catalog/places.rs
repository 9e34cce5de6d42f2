//! The directories with data of one container: where an argument, else a variable, else a file, else the default puts each.

use super::argv::Argv;
use super::budget::{Budget, Excess};
use super::condition::{begins_filled_in, is_filled_in};
use super::configuration::Configuration;
use super::entry::{DataDir, ValueForm};
use super::flags::{FlagValue, flag_values};
use super::paths::{is_remote, numbered, paths, positionals};
use super::settings::{FromFile, Settings};
use super::statefulness::{DataPlace, MovedBy, Named, PlaceDoubt};
use super::text::plain;
use super::variables::Env;
use std::borrow::Cow;

/// Asks of a text that must not show whether something holds of it.
type Ask<'q> = dyn Fn(&dyn Fn(&str) -> bool) -> bool + 'q;

/// The places that are found, directory by directory.
pub(super) struct Places<'p, 'c, 'a> {
    pub(super) argv: &'p Argv<'c, 'a>,
    pub(super) settings: &'p Settings<'c, 'a>,
    pub(super) configuration: Option<&'c Configuration<'c>>,
    /// Whether a configuration file may have moved the defaults.
    pub(super) configured: bool,
    pub(super) working_dir: Option<&'p str>,
    pub(super) budget: &'p mut Budget,
    pub(super) all: Vec<DataPlace<'a>>,
    /// Whether a directory lies in another service, by the URL that names it.
    pub(super) elsewhere: bool,
    /// What names a directory that has no default, with a value that is not known.
    pub(super) nowhere: Option<Named<'a>>,
    /// What names a directory by a placeholder that something else fills in, as `${DATA}/x`.
    pub(super) open: Option<MovedBy<'a>>,
}

impl<'a> Places<'_, '_, 'a> {
    /// Adds the places of one data directory: where an argument, else a variable, else the default puts it.
    pub(super) fn add_dir(&mut self, dir: &'a DataDir) -> Result<(), Excess> {
        let argv = self.argv;
        let mut unknown = None;
        self.open = None;
        for template in &dir.flags {
            let (flag, suffix) = named_in(template);
            let values: Vec<_> = flag_values(argv, flag).collect();
            // Each of a list's arguments adds directories; of a single path the last one counts.
            let from = if dir.value == ValueForm::Path { values.len().saturating_sub(1) } else { 0 };
            let before = self.all.len();
            for (value, origin) in values.into_iter().skip(from) {
                let moved_by = MovedBy { named: Named { name: flag, file: None }, origin };
                match value {
                    FlagValue::Known(_) if is_name(suffix) && self.is_elsewhere(dir) => {}
                    FlagValue::Known(value) if self.is_remote(dir, value) => return Ok(()),
                    FlagValue::Known(value) => self.add(value, dir.value, suffix, moved_by, before)?,
                    // Whatever the name is, the directory lies beside the default.
                    FlagValue::Unknown(_) if is_name(suffix) => {}
                    FlagValue::Unknown(_) => unknown = Some(moved_by),
                    FlagValue::None => {}
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
            let (name, suffix) = named_in(template);
            let moved_by = || MovedBy { named: Named { name, file: None }, origin: argv.env_origin(name) };
            let before = self.all.len();
            match argv.env(name) {
                Env::Value(_) if is_name(suffix) && self.is_elsewhere(dir) => {}
                Env::Value(value) if self.is_remote(dir, value) => return Ok(()),
                Env::Value(value) if !value.is_empty() => {
                    self.add(value, dir.value, suffix, moved_by(), before)?;
                }
                Env::Sealed(_) | Env::Unknown | Env::Perhaps if is_name(suffix) => {}
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
        let unknown = unknown.or(self.open);
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
        let path = self.mounted_instead(dir, path).unwrap_or(path);
        let (path, doubt) = if path.starts_with('/') {
            (Cow::Borrowed(path), doubt)
        } else {
            let (path, resolved) = self.absolute(path)?;
            (Cow::Owned(path), doubt.or((!resolved).then_some(PlaceDoubt::WorkingDir)))
        };
        self.budget.places(1)?;
        let mounted_only = dir.mounted_only;
        self.all.push(DataPlace {
            path,
            moved_by: unknown,
            doubt,
            image_volume: None,
            mounted_only,
            cache: None,
        });
        Ok(())
    }

    /// Whether a value puts a directory into another service.
    fn is_remote(&mut self, dir: &DataDir, value: &str) -> bool {
        let remote = dir.value == ValueForm::Path && is_remote(value);
        self.elsewhere |= remote;
        remote
    }

    /// The directory of another release at which a volume is mounted, where none is at the default.
    fn mounted_instead(&self, dir: &'a DataDir, path: &str) -> Option<&'a str> {
        let configuration = self.configuration?;
        let is_mounted =
            |path: &str| configuration.over(path).is_some_and(|(mount, _)| mount.files.is_none());
        if is_mounted(path) {
            return None;
        }
        dir.or.iter().map(String::as_str).find(|other| is_mounted(other))
    }

    /// Whether the image of another release has another working directory, and a volume is mounted there.
    fn is_elsewhere(&self, dir: &'a DataDir) -> bool {
        dir.path.as_deref().is_some_and(|path| self.mounted_instead(dir, path).is_some())
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
            let moved_by = |from: FromFile<'a>| {
                let named = Named { name: key, file: Some(from.file) };
                MovedBy { named, origin: from.origin }
            };
            let mut values: Vec<_> = settings.values(key).collect();
            // Each of a list adds directories; of single paths the last one counts.
            if dir.value == ValueForm::Path {
                values.drain(..values.len().saturating_sub(1));
            }
            for (value, from) in values {
                if self.is_remote(dir, &value) {
                    return Ok(true);
                } else if is_filled_in(&value) {
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

    /// Adds the place that the text of a Secret names: the mount that covers it, or the root where none does, since the
    /// text itself must not show.
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
        let path = match configuration.mounts.iter().find(|mount| lies_on(mount.index)) {
            Some(mount) => mount.path,
            // No mount covers it, which is all that is said of it.
            None if holds(&|text: &str| text.starts_with('/') && !text.contains('$')) => "/",
            None => return Ok(()),
        };
        self.budget.bytes(path.len())?;
        self.budget.places(1)?;
        let path = Cow::Owned(plain("", path));
        self.all.push(DataPlace {
            path,
            moved_by: Some(moved_by),
            doubt: None,
            image_volume: None,
            mounted_only: false,
            cache: None,
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
            if begins_filled_in(path) {
                self.open = self.open.or(Some(moved_by));
                continue;
            }
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
                    cache: None,
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

/// The argument or the variable in `$(NAME)/data`, and what stands behind it.
fn named_in(template: &str) -> (&str, &str) {
    template.strip_prefix("$(").and_then(|rest| rest.split_once(')')).unwrap_or((template, ""))
}

/// Whether what stands behind it makes it a name in the working directory, and no directory.
fn is_name(suffix: &str) -> bool {
    !suffix.is_empty() && !suffix.starts_with('/')
}
