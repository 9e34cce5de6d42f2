//! Names of keys below sections of a configuration file, whatever it is written in.

use std::borrow::Cow;

/// How deep blocks are followed.
pub(super) const DEEPEST: usize = 8;

/// The name of a key below a section: `mysqld.datadir`.
pub(super) fn within<'t>(section: Option<&Cow<'t, str>>, key: Cow<'t, str>) -> Cow<'t, str> {
    match section {
        Some(section) if !section.is_empty() => Cow::Owned(format!("{section}.{key}")),
        _ => key,
    }
}
