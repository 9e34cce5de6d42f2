use super::Brief;
use std::borrow::Cow;
use std::fmt;

/// An absolute path inside a container or on a node, cleaned: no empty, `.` or `..` segments.
///
/// Compared by whole segments, so that `/data` does not cover `/database`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FsPath<'a>(Cow<'a, str>);

impl<'a> FsPath<'a> {
    /// Cleans `path`. A relative path is taken from `/`, as the kubelet does with a mount path.
    pub fn new(path: &'a str) -> Self {
        if is_clean(path) {
            return Self(Cow::Borrowed(path));
        }
        let mut kept: Vec<&str> = Vec::new();
        for segment in path.split('/') {
            match segment {
                "" | "." => {}
                ".." => {
                    kept.pop();
                }
                other => kept.push(other),
            }
        }
        Self(Cow::Owned(format!("/{}", kept.join("/"))))
    }

    /// The cleaned text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `other` is this path or lies beneath it.
    pub fn covers(&self, other: &FsPath<'_>) -> bool {
        below(other.as_str(), self.as_str()).is_some()
    }

    /// The same path with its own storage.
    pub fn into_owned(self) -> FsPath<'static> {
        FsPath(Cow::Owned(self.0.into_owned()))
    }
}

/// What stands behind a directory in a path that lies in it; nothing when it is the directory itself. Both are absolute and
/// clean, or both are relative to the same.
pub(crate) fn below<'p>(path: &'p str, directory: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(directory.trim_end_matches('/'))?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

impl fmt::Display for FsPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Brief(&self.0).fmt(f)
    }
}

fn is_clean(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    // Most paths have nothing that could be such a segment.
    if !rest.ends_with('/') && !path.as_bytes().windows(2).any(|pair| matches!(pair, b"//" | b"/.")) {
        return true;
    }
    rest.is_empty() || rest.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleans_as_path_clean_does() {
        for (given, wanted) in [
            ("/data", "/data"),
            ("/data/", "/data"),
            ("//data//redis", "/data/redis"),
            ("/data/../etc", "/etc"),
            ("/../..", "/"),
            ("data/./x", "/data/x"),
            ("", "/"),
            ("/", "/"),
        ] {
            assert_eq!(FsPath::new(given).as_str(), wanted, "{given:?}");
        }
    }

    #[test]
    fn covers_by_whole_segments() {
        let covers = |a: &str, b: &str| FsPath::new(a).covers(&FsPath::new(b));
        assert!(covers("/data", "/data"));
        assert!(covers("/data/", "/data/redis"));
        assert!(covers("/", "/anything"));
        assert!(!covers("/data", "/database"));
        assert!(!covers("/data/redis", "/data"));
        assert!(!covers("/data", "/data/../etc"));
    }
}
