//! The place of a field inside an object.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// The path of a field inside an object, such as `spec.containers[0].image`.
///
/// Rules speak in these paths; [`Display`](fmt::Display) is what a person reads, and
/// [`FromStr`] reads it back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldPath(Vec<Segment>);

/// One step of a [`FieldPath`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Segment {
    /// A field of an object.
    Key(Cow<'static, str>),
    /// An item of an array, counted from 0.
    Index(usize),
}

impl FieldPath {
    /// The object itself.
    #[must_use]
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// The path of the field `name` below this one.
    #[must_use]
    pub fn key(&self, name: impl Into<Cow<'static, str>>) -> Self {
        self.with(Segment::Key(name.into()))
    }

    /// The path of item `index` (from 0) below this one.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(Segment::Index(index))
    }

    /// Goes down to the field `name`, in place.
    pub fn push_key(&mut self, name: impl Into<Cow<'static, str>>) {
        self.0.push(Segment::Key(name.into()));
    }

    /// Goes down to item `index` (from 0), in place.
    pub fn push_index(&mut self, index: usize) {
        self.0.push(Segment::Index(index));
    }

    /// Goes up one step, in place; the step that was taken back.
    pub fn pop(&mut self) -> Option<Segment> {
        self.0.pop()
    }

    /// The steps from the root down.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// Whether this is the object itself.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The path one step up; `None` at the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (_, above) = self.0.split_last()?;
        Some(Self(above.to_vec()))
    }

    /// This path as an RFC 6901 JSON pointer, such as `/metadata/labels/app.kubernetes.io~1name`.
    #[must_use]
    pub fn to_json_pointer(&self) -> String {
        let mut pointer = String::new();
        for segment in &self.0 {
            pointer.push('/');
            match segment {
                Segment::Index(index) => pointer.push_str(&index.to_string()),
                Segment::Key(key) => {
                    for c in key.chars() {
                        match c {
                            '~' => pointer.push_str("~0"),
                            '/' => pointer.push_str("~1"),
                            c => pointer.push(c),
                        }
                    }
                }
            }
        }
        pointer
    }

    // One allocation of the right size: rules build many paths from a common parent.
    fn with(&self, segment: Segment) -> Self {
        let mut segments = Vec::with_capacity(self.0.len() + 1);
        segments.extend_from_slice(&self.0);
        segments.push(segment);
        Self(segments)
    }
}

impl From<Vec<Segment>> for FieldPath {
    fn from(segments: Vec<Segment>) -> Self {
        Self(segments)
    }
}

/// Whether a key can be shown without brackets and quotes.
fn is_bare(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(".");
        }
        for (depth, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) if is_bare(key) => {
                    if depth > 0 {
                        f.write_str(".")?;
                    }
                    f.write_str(key)?;
                }
                // Quoted as JSON, so that quotes and control characters come back unharmed.
                Segment::Key(key) => write!(f, "[{}]", serde_json::Value::from(key.as_ref()))?,
            }
        }
        Ok(())
    }
}

/// A text that is not a [`FieldPath`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to read field path {text:?}: {reason} at byte {offset}")]
pub struct FieldPathError {
    /// The text as given.
    pub text: String,
    /// What is wrong.
    pub reason: &'static str,
    /// Where it is wrong, in bytes from the start of the text.
    pub offset: usize,
}

impl FromStr for FieldPath {
    type Err = FieldPathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "." {
            return Ok(Self::root());
        }
        let mut path = Self::root();
        let mut rest = text;
        while !rest.is_empty() {
            let fault =
                |reason| FieldPathError { text: text.to_owned(), reason, offset: text.len() - rest.len() };
            if let Some(inner) = rest.strip_prefix('[') {
                let (segment, after) = bracketed(inner).map_err(fault)?;
                path.0.push(segment);
                rest = after;
                continue;
            }
            let name = match rest.strip_prefix('.') {
                Some(name) if !path.is_root() => name,
                Some(_) => return Err(fault("a path does not start with a dot")),
                None if path.is_root() => rest,
                None => return Err(fault("a dot or bracket must come here")),
            };
            let end = name.find(['.', '[']).unwrap_or(name.len());
            let (key, after) = name.split_at(end);
            if !is_bare(key) {
                return Err(fault("a key like this one must stand in [\"…\"]"));
            }
            path.push_key(key.to_owned());
            rest = after;
        }
        Ok(path)
    }
}

/// Reads what stands after `[`, up to and with `]`; also gives the text after it.
fn bracketed(inner: &str) -> Result<(Segment, &str), &'static str> {
    const UNCLOSED: &str = "this bracket is not closed";
    if !inner.starts_with('"') {
        let (number, after) = inner.split_once(']').ok_or(UNCLOSED)?;
        let index = number.parse().map_err(|_| "neither an index nor a quoted key")?;
        return Ok((Segment::Index(index), after));
    }
    let mut escaped = false;
    for (at, c) in inner.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => {
                let (quoted, after) = inner.split_at(at + 1);
                let key: String = serde_json::from_str(quoted).map_err(|_| "not a quoted key")?;
                let after = after.strip_prefix(']').ok_or(UNCLOSED)?;
                return Ok((Segment::Key(key.into()), after));
            }
            _ => {}
        }
    }
    Err(UNCLOSED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount_path() -> FieldPath {
        FieldPath::root().key("spec").key("containers").index(0).key("volumeMounts").index(1).key("mountPath")
    }

    #[test]
    fn is_shown_as_people_write_it() {
        assert_eq!(mount_path().to_string(), "spec.containers[0].volumeMounts[1].mountPath");
        let label = FieldPath::root().key("metadata").key("labels").key("app.kubernetes.io/name");
        assert_eq!(label.to_string(), r#"metadata.labels["app.kubernetes.io/name"]"#);
        assert_eq!(FieldPath::root().to_string(), ".");
    }

    #[test]
    fn reads_back_what_it_shows() {
        let odd = ["", "a.b", "a\"b", "a\\", "]", "0", "ü", "line\nend", "x-y", "-x"];
        let mut paths = vec![FieldPath::root(), mount_path(), FieldPath::root().index(3).key("a")];
        paths.extend(odd.map(|key| FieldPath::root().key(key).key("after").index(0).key(key)));
        for path in paths {
            assert_eq!(path.to_string().parse::<FieldPath>(), Ok(path));
        }
    }

    #[test]
    fn refuses_what_is_no_path() {
        for (text, offset) in
            [("a..b", 1), (".a", 0), ("a[", 1), ("a[x]", 1), ("a[0]b", 4), (r#"a["b]"#, 1), ("a b", 0)]
        {
            let error = text.parse::<FieldPath>().unwrap_err();
            assert_eq!(error.offset, offset, "{error}");
        }
    }

    #[test]
    fn a_pointer_escapes_its_own_signs() {
        let path = FieldPath::root().key("a/b~c").index(2);
        assert_eq!(path.to_json_pointer(), "/a~1b~0c/2");
        assert_eq!(FieldPath::root().to_json_pointer(), "");
    }

    #[test]
    fn goes_up_and_down_in_place() {
        let mut path = FieldPath::root();
        path.push_key("spec");
        path.push_index(1);
        assert_eq!(path, FieldPath::root().key("spec").index(1));
        assert_eq!(path.parent(), Some(FieldPath::root().key("spec")));
        assert_eq!(path.pop(), Some(Segment::Index(1)));
        assert_eq!(FieldPath::root().parent(), None);
    }
}
