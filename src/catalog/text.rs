//! Paths and texts of a container as its programs read them.

/// What stands before the first variable or command in a text.
pub(super) fn known_beginning(text: &str) -> &str {
    text.split(['$', '`']).next().unwrap_or_default()
}

/// The path from that base on, without `.`, `..` and doubled slashes.
pub(super) fn plain(base: &str, path: &str) -> String {
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
    plain
}
