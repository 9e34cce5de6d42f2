//! Names: patterns for them, and which known one was meant.

/// Whether a name fits a pattern in which `*` at the end stands for any rest.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => pattern == name,
    }
}

/// The longest name, in bytes, that is held against the known ones.
const MOST_COMPARED: usize = 64;

/// The known name that differs least, when it differs by little.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    // Whatever is much longer than all that is known is like none of it, and comparing takes the product of both.
    if name.len() > MOST_COMPARED {
        return None;
    }
    known
        .iter()
        .map(|candidate| {
            (strsim::damerau_levenshtein(&name.to_lowercase(), &candidate.to_lowercase()), *candidate)
        })
        .min()
        .filter(|(distance, candidate)| *distance <= 2.max(candidate.len() / 4))
        .map(|(_, candidate)| candidate)
}
/// The one of some names that a text is with a slip or two, and no more, whatever the size of its letters: to be named
/// where nobody asked.
pub(crate) fn nearly<'n>(text: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    if text.len() > MOST_COMPARED {
        return None;
    }
    let text = text.to_lowercase();
    let near = |name: &'n str| {
        let distance = strsim::damerau_levenshtein(&text, &name.to_lowercase());
        (distance <= 1.max(name.len() / 4)).then_some((distance, name))
    };
    names.filter_map(near).min().map(|(_, name)| name)
}
