//! The values that a container's words give to flags.

use super::argv::Argv;
use super::container::Origin;
use super::text::known_beginning;
use super::word::is_flag;

/// The value of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FlagValue<'w> {
    Known(&'w str),
    /// What it begins with is all that is known of it.
    Unknown(&'w str),
    None,
}

/// Every value that the words give to a flag, in their order, each with the place where it stands.
pub(super) fn flag_values<'w>(
    argv: &'w Argv<'_, '_>,
    flag: &'w str,
) -> impl Iterator<Item = (FlagValue<'w>, Origin)> {
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
            _ if !holder.known => FlagValue::Unknown(known_beginning(text.unwrap_or_default())),
            // Quotes that no shell takes away: people who quote too much mean nothing by them.
            Some("''" | "\"\"") => FlagValue::Known(""),
            Some(text) => FlagValue::Known(text),
            None => FlagValue::None,
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
