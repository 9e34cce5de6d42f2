//! Directories that are links to others: those of the image, and those that a script makes before it starts the server.

use super::argv::Argv;
use super::client::program_of;
use super::statefulness::{DataPlace, PlaceDoubt};
use super::text::plain;
use super::word::{Word, program};
use crate::model::below;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A link, and where it leads.
struct Link<'l> {
    path: String,
    target: &'l str,
    /// False where only the beginning of the target is known.
    known: bool,
}

/// Moves the places that lie behind a link to where it leads.
pub(super) fn follow(places: &mut [DataPlace<'_>], of_image: &BTreeMap<String, String>, argv: &Argv<'_, '_>) {
    let of_image = of_image.iter().map(|(path, target)| Link { path: path.clone(), target, known: true });
    let links: Vec<Link<'_>> =
        of_image.chain(argv.words.split(|word| word.end).filter_map(made_by)).collect();
    for place in places {
        let found = links.iter().rev().find_map(|link| Some((link, below(&place.path, &link.path)?)));
        let Some((link, rest)) = found else { continue };
        if link.known {
            place.path = Cow::Owned(plain(link.target, rest));
            continue;
        }
        if link.target != "/" {
            place.path = Cow::Owned(plain("", link.target));
        }
        place.doubt = place.doubt.or(Some(PlaceDoubt::Script));
    }
}

/// The link that `ln -s TARGET PATH` makes. Of a target that ends in what is not known, the directory before that counts.
fn made_by<'w>(command: &'w [Word<'_>]) -> Option<Link<'w>> {
    let (head, operands) = program_of(command)?.split_first()?;
    let is_option = |word: &&Word<'_>| word.text.starts_with('-');
    if program(&head.text) != "ln" || !operands.iter().filter(is_option).any(|word| word.text.contains('s')) {
        return None;
    }
    let mut paths = operands.iter().filter(|word| !is_option(word));
    let (target, path) = (paths.next()?, paths.next()?);
    let is_one = paths.next().is_none() && path.known && path.text.starts_with('/');
    if !is_one || !target.text.starts_with('/') {
        return None;
    }
    let known = target.known;
    let target = match (known, target.text.split(['$', '`']).next()) {
        (false, Some(start)) => start.get(..=start.rfind('/')?)?,
        _ => &*target.text,
    };
    Some(Link { path: plain("", &path.text), target, known })
}
