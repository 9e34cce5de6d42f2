//! Conditions of the catalog, asked of what a container says.

use super::argv::Argv;
use super::entry::Condition;
use super::flags::{FlagValue, flag_values};
use super::settings::Settings;
use super::statefulness::Unsure;
use super::variables::Env;
use super::word::fits_word;

/// What is known of a condition.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth<'a> {
    No,
    /// It holds or not by the value of a variable or the content of a file that is not known.
    Perhaps(Unsure<'a>),
    Yes,
}

/// What a container says: conditions are asked of it.
pub(super) struct Said<'s, 'c, 'a> {
    pub(super) argv: &'s Argv<'c, 'a>,
    pub(super) settings: &'s Settings<'c, 'a>,
}

/// The least that holds of conditions that must all hold.
pub(super) fn all_hold<'a>(conditions: &'a [Condition], said: &Said<'_, '_, 'a>) -> Truth<'a> {
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
pub(super) fn any_holds<'a>(conditions: &'a [Condition], said: &Said<'_, '_, 'a>) -> Truth<'a> {
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
    let listed = |value: &str| fits(condition, value);
    let mut values = Given { condition, given: false, fits: true };
    if let Some(flag) = &condition.flag {
        for (value, _) in flag_values(argv, flag) {
            // A flag with nothing behind it has the empty value: `--save` at the end of Redis' arguments.
            match value {
                FlagValue::Known(value) => values.take(Some(value)),
                FlagValue::None => values.take(Some("")),
                FlagValue::Unknown(_) if asks_nothing(condition) => values.take(None),
                FlagValue::Unknown(start) => match fits_by_start(condition, start) {
                    Some(fits) => values.take_start(Some(fits)),
                    None => return Truth::Perhaps(Unsure::Variable(flag)),
                },
            }
        }
    } else if let Some(word) = &condition.word {
        if has_word(argv, word) {
            values.take(Some(word));
        }
    } else if let Some(name) = &condition.container {
        if value_is(argv.container, name) {
            values.take(Some(argv.container));
        }
    } else if !condition.roles.is_empty() {
        let is_meant = |role: &&&str| condition.roles.iter().any(|known| value_is(role, known));
        if let Some(role) = argv.roles.iter().flatten().find(is_meant) {
            values.take(Some(role));
        }
    } else if let Some(name) = &condition.env {
        let choices = argv.choices(name).unwrap_or_default();
        let fitting = choices.iter().filter(|value| listed(value)).count();
        match argv.env(name) {
            // Whichever the script chooses.
            Env::Unknown if !choices.is_empty() && (fitting == 0 || fitting == choices.len()) => {
                values.take(choices.first().copied());
            }
            Env::Unset => {}
            // That it is set is all that is asked.
            Env::Unknown | Env::Sealed(_) if asks_nothing(condition) => values.take(None),
            Env::Unknown | Env::Perhaps => match fits_by_start(condition, argv.env_beginning(name)) {
                Some(fits) => values.take_start(Some(fits)),
                None => return Truth::Perhaps(Unsure::Variable(name)),
            },
            Env::Sealed(text) => values.take(condition.is.iter().map(String::as_str).find(|known| {
                // The value that it is equal to stands in the catalog.
                text.is(|text| value_is(text, known))
            })),
            Env::Value(value) => values.take(Some(value)),
        }
    }
    let by_file = condition.key.as_ref().filter(|_| !values.given);
    if let Some(key) = by_file {
        for (value, from) in said.settings.values(key) {
            if is_filled_in(&value) && !asks_nothing(condition) {
                return Truth::Perhaps(Unsure::File(from.file));
            }
            values.take(Some(&*value));
        }
        for file in said.settings.sealed(key) {
            values.given = true;
            values.fits &=
                asks_nothing(condition) || file.is(key, |all| all.iter().all(|value| listed(value)));
        }
        if !values.given
            && let Some(file) = said.settings.unknown.map(|from| from.file).or(said.settings.made)
        {
            return Truth::Perhaps(Unsure::File(file));
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
        values.fits && !(condition.absent && asks_nothing(condition))
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
        self.fits &= asks_nothing(self.condition) || value.is_some_and(|value| fits(self.condition, value));
    }

    /// One more value, and whether it fits by what it begins with; none where that does not tell.
    fn take_start(&mut self, fits: Option<bool>) {
        self.given = true;
        self.fits &= asks_nothing(self.condition) || fits == Some(true);
    }
}

/// Whether any value will do.
fn asks_nothing(condition: &Condition) -> bool {
    condition.is.is_empty() && condition.without.is_empty()
}

/// Whether a value is one that the condition asks for.
fn fits(condition: &Condition, value: &str) -> bool {
    let items = || value.split(|c: char| c == ',' || c.is_whitespace() || "[]\"'".contains(c));
    let listed = condition.is.is_empty() || condition.is.iter().any(|known| value_is(value, known));
    listed && !condition.without.iter().any(|unwanted| items().any(|item| value_is(item, unwanted)))
}

/// Whether a value that begins so is one that the condition asks for; none where the rest of it decides.
fn fits_by_start(condition: &Condition, start: &str) -> Option<bool> {
    let begins =
        |text: &str, with: &str| text.get(..with.len()).is_some_and(|head| head.eq_ignore_ascii_case(with));
    let surely = |pattern: &String| pattern.strip_suffix('*').is_some_and(|head| begins(start, head));
    let never = |pattern: &String| match pattern.strip_suffix('*') {
        Some(head) => !begins(start, head) && !begins(head, start),
        None => !begins(pattern, start),
    };
    if condition.without.iter().any(surely) || (!condition.is.is_empty() && condition.is.iter().all(never)) {
        return Some(false);
    }
    (condition.without.is_empty() && condition.is.iter().any(surely)).then_some(true)
}

/// How the placeholders of tools begin.
const PLACEHOLDERS: [&str; 3] = ["${", "$(", "{{"];

/// Whether something else puts a value there before the server reads it: `${DATA_DIR}`, `{{ .Values.dir }}`.
pub(super) fn is_filled_in(value: &str) -> bool {
    PLACEHOLDERS.iter().any(|opening| value.contains(opening))
}

/// Whether something else says so how a path begins: no working directory is above that.
pub(super) fn begins_filled_in(path: &str) -> bool {
    PLACEHOLDERS.iter().any(|opening| path.starts_with(opening))
}

fn value_is(value: &str, pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => value.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start)),
        None => value.eq_ignore_ascii_case(pattern),
    }
}

fn has_word(argv: &Argv<'_, '_>, pattern: &str) -> bool {
    // A name stands for a path as well, and an index has them.
    if !pattern.contains(['*', '/']) {
        return argv.is_among(pattern);
    }
    argv.words.iter().any(|word| fits_word(&word.text, pattern))
}
