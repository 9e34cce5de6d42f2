//! Where beneath a base a volume may be: one rule for the controller that asks for it and the agent that makes it.

use super::{beginning, below};
use std::fmt;

/// The directory beneath a base that belongs to the agent.
pub const OWN: &str = ".volgate";
/// What file systems take as one name, in bytes.
const LONGEST_NAME: usize = 255;
/// What is taken as a path beneath a base, in bytes: the kubelet's own paths are added to it, and 4096 is the end.
const LONGEST: usize = 1024;

/// A volume's place beneath its base: one or more names that lead nowhere else, whatever somebody plants there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Directory(String);

impl Directory {
    /// Checks a path beneath a base, such as a NodeVolume's `spec.directory`.
    ///
    /// # Errors
    /// What is wrong with it, as a fragment.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("is empty".to_owned());
        }
        if text.starts_with('/') {
            return Err("is absolute; it must be beneath the base".to_owned());
        }
        if text.len() > LONGEST {
            return Err(format!("is {} bytes long; at most {LONGEST} are taken", text.len()));
        }
        if text.chars().any(char::is_control) {
            return Err("has a control character in it".to_owned());
        }
        for name in text.split('/') {
            match name {
                "" => return Err("has an empty name in it".to_owned()),
                "." | ".." => return Err(format!("has the name {name:?} in it")),
                // Some file systems can have directories in which case does not count.
                _ if name.eq_ignore_ascii_case(OWN) => {
                    return Err(format!("has the name {name} in it, which is the agent's own"));
                }
                _ if name.len() > LONGEST_NAME => {
                    return Err(format!(
                        "has a name of {} bytes; file systems take {LONGEST_NAME}",
                        name.len()
                    ));
                }
                _ => {}
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The directories on the way to it, outermost first.
    pub fn parents(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').filter_map(|(at, _)| self.0.get(..at))
    }

    /// Its parent (`None`: the base) and its name.
    pub fn split(&self) -> (Option<&str>, &str) {
        match self.0.rsplit_once('/') {
            Some((parent, name)) => (Some(parent), name),
            None => (None, &self.0),
        }
    }

    /// Whether one of the two is the other, or is within the other.
    pub fn overlaps(&self, other: &str) -> bool {
        below(&self.0, other).is_some() || below(other, &self.0).is_some()
    }
}

/// As much of a text as file systems take as one name.
pub fn as_one_name(text: &str) -> &str {
    beginning(text, LONGEST_NAME)
}

impl fmt::Display for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_stays_beneath_the_base() {
        for good in ["a", "pvc-1_default_data", "team/claim", "a..b", "...", "-rf", "ä b", ".volgate2"] {
            assert_eq!(Directory::parse(good).map(|d| d.to_string()), Ok(good.to_owned()));
        }
        let long = "n".repeat(256);
        let deep = "n/".repeat(600);
        for (bad, why) in [
            ("", "is empty"),
            ("/etc", "is absolute"),
            ("..", "\"..\""),
            ("a/../../etc", "\"..\""),
            ("./a", "\".\""),
            ("a//b", "empty name"),
            ("a/", "empty name"),
            (".volgate/trash", "the agent's own"),
            ("a/.volgate", "the agent's own"),
            (".Volgate/volumes", "the agent's own"),
            ("a\0b", "control character"),
            ("a\nb", "control character"),
            (&long, "256 bytes"),
            (&deep, "1200 bytes long"),
        ] {
            let fault = Directory::parse(bad).unwrap_err();
            assert!(fault.contains(why), "{bad:?}: {fault}");
        }
    }

    #[test]
    fn a_name_is_cut_where_file_systems_end_it() {
        assert_eq!(as_one_name("pvc-1_default_data"), "pvc-1_default_data");
        assert_eq!(as_one_name(&"n".repeat(255)).len(), 255);
        assert_eq!(as_one_name(&"n".repeat(358)), "n".repeat(255));
    }

    #[test]
    fn knows_its_parents() {
        let directory = Directory::parse("a/b/c").unwrap();
        assert_eq!(directory.parents().collect::<Vec<_>>(), ["a", "a/b"]);
        assert_eq!(directory.split(), (Some("a/b"), "c"));
        assert_eq!(Directory::parse("a").unwrap().split(), (None, "a"));
    }

    #[test]
    fn overlaps_by_whole_names() {
        let directory = Directory::parse("a/b").unwrap();
        for (other, overlaps) in
            [("a/b", true), ("a", true), ("a/b/c", true), ("a/bc", false), ("a/c", false), ("b", false)]
        {
            assert_eq!(directory.overlaps(other), overlaps, "{other}");
        }
    }
}
