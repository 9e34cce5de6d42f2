//! Configuration files that a start script makes: copied, filled in, or written in some way that is not followed.

use super::argv::Argv;
use super::configuration::Configuration;
use super::word::{Word, program};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Programs that write what they read, perhaps with values filled in.
const FILLERS: [&str; 4] = ["cat", "cp", "envsubst", "sed"];

/// The files that a script writes, and for each the one mounted file from which it makes it, perhaps with values filled in:
/// `sed -e … a.template > b.conf`, `envsubst < a.template > b.conf`, `cp a.template b.conf`. None where it writes the file in
/// other ways.
pub(super) fn filled_files<'w>(
    argv: &'w Argv<'_, '_>,
    configuration: Option<&Configuration<'_>>,
) -> BTreeMap<&'w str, Option<&'w str>> {
    let mut files = BTreeMap::new();
    let Some(configuration) = configuration else { return files };
    for command in argv.words.split(|word| word.end) {
        let [head, rest @ ..] = command else { continue };
        let Some(to) = written(head, rest).filter(|to| !configuration.brings(to)) else { continue };
        let fills = head.scripted && FILLERS.contains(&program(&head.text));
        let mut sources = rest
            .iter()
            .map(|word| word.text.trim_start_matches('<'))
            .filter(|text| configuration.brings(text));
        let source = match (sources.next(), sources.next()) {
            (Some(source), None) if fills => Some(source),
            _ => None,
        };
        files.entry(to).and_modify(|source| *source = None).or_insert(source);
    }
    files
}

/// The file that a command writes: behind `>`, or the last word of `cp`.
fn written<'w>(head: &Word<'_>, rest: &'w [Word<'_>]) -> Option<&'w str> {
    let behind = rest.iter().zip(rest.iter().skip(1)).find(|(sign, _)| [">", ">>"].contains(&&*sign.text));
    let behind = behind.map(|(_, to)| &*to.text);
    let joined =
        || rest.iter().find_map(|word| word.text.strip_prefix('>')).map(|to| to.trim_start_matches('>'));
    let copied = || (program(&head.text) == "cp").then(|| rest.last().map(|word| &*word.text)).flatten();
    behind.or_else(joined).or_else(copied)
}

/// Whether a ConfigMap or a Secret is mounted there, where no script can write.
pub(super) fn is_mounted(configuration: Option<&Configuration<'_>>, path: &str) -> bool {
    path.starts_with('/') && configuration.is_some_and(|known| known.brings(path))
}

/// Whether a container's script writes a file, as far as it names the file once more: `cat >/tmp/redis.conf <<EOF`, `cp`, `tee`.
pub(super) fn is_made_by_script(argv: &Argv<'_, '_>, path: &str) -> bool {
    let names = |text: &str| text.trim_start_matches(['>', '&', '1', '2']) == path;
    path.len() > 1 && argv.words.iter().filter(|word| word.scripted && names(&word.text)).nth(1).is_some()
}

/// Whether a script only copies a file there that the container names as well, perhaps to fill in an address: `cp a.hcl b.hcl;
/// sed -i … b.hcl; vault server -config=b.hcl`.
pub(super) fn is_copied(argv: &Argv<'_, '_>, named: &[Option<Cow<'_, str>>], path: &str) -> bool {
    let is_source = |text: &str| text != path && named.iter().flatten().any(|name| name == text);
    let is_copy = |words: &[Word<'_>]| match words {
        [program, source, to] => {
            to.scripted && program.text == "cp" && to.text == path && is_source(&source.text)
        }
        _ => false,
    };
    let written =
        |word: &Word<'_>| word.text.strip_prefix('>').is_some_and(|to| to.trim_start_matches('>') == path);
    argv.words.windows(3).any(is_copy) && !argv.words.iter().any(written)
}
