//! Which paths with data are one thing to tell.

use super::{DataPath, Why};
use crate::facts::Section;

impl<'w, 'a> DataPath<'w, 'a> {
    /// Whether both are of one product, or data by their names, and the same lies beneath both, or emptyDirs do: one thing to
    /// tell. `moves` says whether the container has a mount to which a configuration that is not known could move them.
    pub fn is_alike(&self, other: &Self, moves: impl Fn() -> bool) -> bool {
        let both_on_empty_dirs = || self.empty_dir().is_some() && self.empty_dir() == other.empty_dir();
        let one_doubt =
            || self.doubts == other.doubts || (self.doubts.cache == other.doubts.cache && !moves());
        self.owner().is_some()
            && std::ptr::eq(self.container, other.container)
            && self.owner() == other.owner()
            && self.hidden_by == other.hidden_by
            && (self.volume() == other.volume() || both_on_empty_dirs())
            && one_doubt()
    }

    /// Whether an init container of a product prepares what lies there for a main one, of which the same is told.
    pub fn is_prepared_for(&self, main: &Self) -> bool {
        self.container.section == Section::Init
            && main.container.section == Section::Main
            && !main.cover.read_only
            && self.volume().is_some()
            && self.volume() == main.volume()
            && matches!(self.why, Why::Product { .. })
            && self.owner() == main.owner()
            && self.doubts.cache == main.doubts.cache
    }

    fn volume(&self) -> Option<&'a str> {
        self.cover.mount.map(|mount| mount.volume)
    }

    fn owner(&self) -> Option<(&'w str, Option<&'w str>, Option<&'w str>)> {
        match self.why {
            Why::Product { name, dispensable, copy, .. } => Some((name, dispensable, copy)),
            Why::Named => Some(("", None, None)),
            _ => None,
        }
    }
}
