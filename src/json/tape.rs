use super::node::Node;
use super::scan::{Malformed, NumberForm, Scanner};
use serde_json::Number;

/// A JSON text that was read: every value stands in one list, the parts of a map or list side by side, and strings are
/// places in the text. Of several fields of one name the last counts, as in serde_json's tree.
#[derive(Debug)]
pub struct Tape<'t> {
    text: &'t str,
    /// The strings that the text holds with escapes, one behind the other.
    unescaped: String,
    entries: Vec<Entry>,
    root: Raw,
}

/// What is wanted of a text, so that the rest is passed over.
pub trait Shape: Copy {
    /// Whether the value must be a map or null.
    fn is_map(self) -> bool;
    /// What to do with the field of that name, where the value is a map.
    fn field(self, key: &str) -> Step<Self>;
}

/// What to do with a field.
#[derive(Debug, Clone, Copy)]
pub enum Step<S> {
    /// Read it; what is malformed in it makes the whole text malformed.
    Read(S),
    /// Read it; what is malformed in it, though it is JSON, makes this field alone unreadable
    /// ([`Node::unreadable`]).
    Try(S),
    /// Pass it over; it must be JSON.
    Skip,
}

/// Everything is read.
#[derive(Debug, Clone, Copy)]
pub struct Plain;

impl Shape for Plain {
    fn is_map(self) -> bool {
        false
    }
    fn field(self, _key: &str) -> Step<Self> {
        Step::Read(Self)
    }
}

/// A place in the text, or with the highest bit of `start` set in the strings that were unescaped.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    start: u32,
    len: u32,
}

const UNESCAPED: u32 = 1 << 31;

/// A value; `first` and `count` are places in the tape's list.
#[derive(Debug, Clone, Copy)]
pub(super) enum Raw {
    Null,
    Bool(bool),
    Number(Span),
    Text(Span),
    List { first: u32, count: u32 },
    Map { first: u32, count: u32 },
    Unreadable(Span),
}

/// A value with its key; a list's parts have none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    key: Span,
    value: Raw,
}

/// How deep maps and lists may be nested: serde_json refuses the 128th level.
const MAX_DEPTH: usize = 127;
/// From this many fields on, double ones are looked for by sorting.
const MANY_FIELDS: usize = 64;

impl<'t> Tape<'t> {
    /// Reads a whole text.
    ///
    /// # Errors
    /// serde_json would not read it either.
    pub fn parse(text: &'t str) -> Result<Self, Malformed> {
        Self::read(text, Plain)
    }

    /// Reads what a shape wants of a text.
    ///
    /// # Errors
    /// The text is no JSON, or what is wanted of it is not of the shape, or serde_json would not read it into a tree.
    pub fn read<S: Shape>(text: &'t str, shape: S) -> Result<Self, Malformed> {
        if text.len() >= UNESCAPED as usize {
            return Err(Malformed);
        }
        let mut reader = Reader {
            scanner: Scanner::new(text),
            unescaped: String::new(),
            // As many as objects of Kubernetes mostly have for their length.
            entries: Vec::with_capacity(text.len() / 16),
            pending: Vec::with_capacity(64),
        };
        let root = reader.value(shape, 0)?;
        if reader.scanner.peek().is_some() {
            return Err(Malformed);
        }
        Ok(Self { text, unescaped: reader.unescaped, entries: reader.entries, root })
    }

    /// The value that the text is.
    pub fn root(&self) -> Node<'_> {
        Node::Taped(self, self.root)
    }

    pub(super) fn text(&self, span: Span) -> &str {
        resolve(self.text, &self.unescaped, span)
    }

    pub(super) fn entries(&self, first: u32, count: u32) -> &[Entry] {
        let first = first as usize;
        self.entries.get(first..first + count as usize).unwrap_or_default()
    }

    /// The value of a field; `first` and `count` are a map's.
    #[inline]
    pub(super) fn field(&self, first: u32, count: u32, key: &str) -> Option<Raw> {
        let same = |entry: &&Entry| entry.key.len as usize == key.len() && self.text(entry.key) == key;
        self.entries(first, count).iter().find(same).map(|entry| entry.value)
    }
}

impl Entry {
    pub(super) fn key(self) -> Span {
        self.key
    }

    pub(super) fn value(self) -> Raw {
        self.value
    }
}

#[inline]
fn resolve<'a>(text: &'a str, unescaped: &'a str, span: Span) -> &'a str {
    let (from, start) =
        if span.start & UNESCAPED == 0 { (text, span.start) } else { (unescaped, span.start & !UNESCAPED) };
    let start = start as usize;
    from.get(start..start + span.len as usize).unwrap_or_default()
}

struct Reader<'t> {
    scanner: Scanner<'t>,
    unescaped: String,
    entries: Vec<Entry>,
    /// The parts of the maps and lists that are not closed yet.
    pending: Vec<Entry>,
}

impl Reader<'_> {
    fn value<S: Shape>(&mut self, shape: S, depth: usize) -> Result<Raw, Malformed> {
        let first = self.scanner.peek().ok_or(Malformed)?;
        if shape.is_map() && !matches!(first, b'{' | b'n') {
            return Err(Malformed);
        }
        match first {
            b'"' => Ok(Raw::Text(self.string()?)),
            b'{' => self.map(shape, depth + 1),
            b'[' => self.list(shape, depth + 1),
            b't' => self.scanner.literal("true").map(|()| Raw::Bool(true)),
            b'f' => self.scanner.literal("false").map(|()| Raw::Bool(false)),
            b'n' => self.scanner.literal("null").map(|()| Raw::Null),
            b'-' | b'0'..=b'9' => self.number(),
            _ => Err(Malformed),
        }
    }

    fn map<S: Shape>(&mut self, shape: S, depth: usize) -> Result<Raw, Malformed> {
        if depth > MAX_DEPTH {
            return Err(Malformed);
        }
        let base = self.pending.len();
        let mut seen = 0_u64;
        self.scanner.step();
        if self.scanner.peek() == Some(b'}') {
            self.scanner.step();
            return Ok(self.close(base, |first, count| Raw::Map { first, count }));
        }
        loop {
            if self.scanner.peek() != Some(b'"') {
                return Err(Malformed);
            }
            let key = self.string()?;
            self.scanner.expect(b':')?;
            let text = resolve(self.scanner.text(), &self.unescaped, key);
            let mark = mark(text);
            let value = match shape.field(text) {
                Step::Read(shape) => Some(self.value(shape, depth)?),
                Step::Try(shape) => Some(self.attempt(shape)?),
                Step::Skip => {
                    self.scanner.skip()?;
                    None
                }
            };
            if let Some(value) = value {
                let maybe_double = seen & mark != 0 && self.pending.len() - base < MANY_FIELDS;
                seen |= mark;
                match maybe_double.then(|| self.double(base, key)).flatten() {
                    Some(place) => *place = value,
                    None => self.pending.push(Entry { key, value }),
                }
            }
            match self.scanner.peek() {
                Some(b',') => self.scanner.step(),
                Some(b'}') => break self.scanner.step(),
                _ => return Err(Malformed),
            }
        }
        if self.pending.len() - base >= MANY_FIELDS {
            self.drop_doubles(base);
        }
        Ok(self.close(base, |first, count| Raw::Map { first, count }))
    }

    fn list<S: Shape>(&mut self, shape: S, depth: usize) -> Result<Raw, Malformed> {
        if depth > MAX_DEPTH {
            return Err(Malformed);
        }
        let base = self.pending.len();
        self.scanner.step();
        if self.scanner.peek() == Some(b']') {
            self.scanner.step();
            return Ok(self.close(base, |first, count| Raw::List { first, count }));
        }
        loop {
            let value = self.value(shape, depth)?;
            self.pending.push(Entry { key: Span::default(), value });
            match self.scanner.peek() {
                Some(b',') => self.scanner.step(),
                Some(b']') => break self.scanner.step(),
                _ => return Err(Malformed),
            }
        }
        Ok(self.close(base, |first, count| Raw::List { first, count }))
    }

    /// Puts the parts of a map or list side by side at the end of the tape.
    fn close(&mut self, base: usize, make: impl Fn(u32, u32) -> Raw) -> Raw {
        let parts = self.pending.get(base..).unwrap_or_default();
        // Both fit: there are fewer values than bytes in the text.
        let (first, count) = (self.entries.len() as u32, parts.len() as u32);
        self.entries.extend_from_slice(parts);
        self.pending.truncate(base);
        make(first, count)
    }

    /// Deepness counts anew from here: such a field is a text of its own to those who read it again.
    fn attempt<S: Shape>(&mut self, shape: S) -> Result<Raw, Malformed> {
        self.scanner.peek();
        let (at, pending, entries, unescaped) =
            (self.scanner.at(), self.pending.len(), self.entries.len(), self.unescaped.len());
        self.value(shape, 0).or_else(|_| {
            self.pending.truncate(pending);
            self.entries.truncate(entries);
            self.unescaped.truncate(unescaped);
            self.scanner.rewind(at);
            self.scanner.skip()?;
            Ok(Raw::Unreadable(span(at, self.scanner.at())))
        })
    }

    fn string(&mut self) -> Result<Span, Malformed> {
        let (start, end, escaped) = self.scanner.string()?;
        if !escaped {
            return Ok(span(start, end));
        }
        // With its quotes, which stand before and behind it.
        let quoted = self.scanner.text().get(start - 1..end + 1).unwrap_or_default();
        let plain: String = serde_json::from_str(quoted).map_err(|_| Malformed)?;
        let at = self.unescaped.len();
        self.unescaped.push_str(&plain);
        let Span { start, len } = span(at, self.unescaped.len());
        Ok(Span { start: start | UNESCAPED, len })
    }

    fn number(&mut self) -> Result<Raw, Malformed> {
        let start = self.scanner.at();
        let form = self.scanner.number()?;
        let end = self.scanner.at();
        if form == NumberForm::Long {
            let text = self.scanner.text().get(start..end).unwrap_or_default();
            // One that is too large for a float is no number to it.
            serde_json::from_str::<Number>(text).map_err(|_| Malformed)?;
        }
        Ok(Raw::Number(span(start, end)))
    }

    /// The value of an earlier field of that name in the map that is open.
    fn double(&mut self, base: usize, key: Span) -> Option<&mut Raw> {
        let text = self.scanner.text();
        let name = resolve(text, &self.unescaped, key);
        let unescaped = &self.unescaped;
        let fields = self.pending.get_mut(base..)?;
        let same =
            |entry: &&mut Entry| entry.key.len == key.len && resolve(text, unescaped, entry.key) == name;
        fields.iter_mut().find(same).map(|entry| &mut entry.value)
    }

    /// Of fields with one name in the map that is open, keeps the last.
    fn drop_doubles(&mut self, base: usize) {
        let text = self.scanner.text();
        let name = |entry: &Entry| resolve(text, &self.unescaped, entry.key);
        let mut fields = self.pending.split_off(base);
        // The sort is stable, so that the last of a name stays the last.
        fields.sort_by(|a, b| name(a).cmp(name(b)));
        fields.reverse();
        fields.dedup_by(|a, b| name(a) == name(b));
        self.pending.append(&mut fields);
    }
}

/// The texts are shorter than 2^31 bytes.
fn span(start: usize, end: usize) -> Span {
    Span { start: start as u32, len: (end - start) as u32 }
}

/// One bit for a name, so that most maps show at a glance that no name is in them twice.
#[inline]
fn mark(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let at = |index: usize| u32::from(bytes.get(index).copied().unwrap_or_default());
    let sum =
        at(0) * 7 + at(bytes.len() / 2) * 31 + at(bytes.len().saturating_sub(1)) * 3 + bytes.len() as u32;
    1 << (sum % 64)
}
