use super::node::Node;
use super::scan::{Malformed, NumberForm, Scanner};
use serde_json::Number;
use std::ops::Range;

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
    /// Whether all that lies beneath is to be read.
    fn is_any(self) -> bool;
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
    fn is_any(self) -> bool {
        true
    }
    fn is_map(self) -> bool {
        false
    }
    fn field(self, _key: &str) -> Step<Self> {
        Step::Read(Self)
    }
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    False,
    True,
    Number,
    Text,
    List,
    Map,
    Unreadable,
}

const KINDS: [Kind; 8] =
    [Kind::Null, Kind::False, Kind::True, Kind::Number, Kind::Text, Kind::List, Kind::Map, Kind::Unreadable];

/// A value in one word, because it is handed on very often: from the lowest bit on where it starts and how long it is
/// (23 bits each), whether its text was unescaped (1 bit), its kind (3 bits). A list's and a map's start and length are of
/// the tape's list, all others' of the text or of the unescaped strings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raw(u64);

const BITS: u32 = 23;
const MASK: u64 = (1 << BITS) - 1;
const UNESCAPED: u64 = 1 << (2 * BITS);
/// The bits that say where a text is: all but the kind's, or the print's of a key.
const PLACE: u64 = (1 << (2 * BITS + 1)) - 1;
/// The length of text, in bytes, from which on a tape cannot hold it. No review is as long.
pub const TOO_LONG: usize = 1 << BITS;

impl Raw {
    #[inline]
    fn new(kind: Kind, start: usize, len: usize) -> Self {
        Self(start as u64 | (len as u64) << BITS | (kind as u64) << (2 * BITS + 1))
    }

    const fn plain(kind: Kind) -> Self {
        Self((kind as u64) << (2 * BITS + 1))
    }

    #[inline]
    pub(super) fn kind(self) -> Kind {
        KINDS.get((self.0 >> (2 * BITS + 1)) as usize & 7).copied().unwrap_or(Kind::Null)
    }

    #[inline]
    fn range(self) -> Range<usize> {
        let (start, len) = ((self.0 & MASK) as usize, (self.0 >> BITS & MASK) as usize);
        start..start + len
    }
}

/// A value with its key; a list's parts have none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    key: Key,
    value: Raw,
}

/// A key in one word: start, length and whether it was unescaped as in [`Raw`], above them 16 bits of its [`print()`],
/// so that most keys are told apart without a look at their text.
#[derive(Debug, Clone, Copy)]
struct Key(u64);

impl Key {
    /// That of a list's parts.
    const NONE: Self = Self(0);

    #[inline]
    fn new(text: Raw, print: u64) -> Self {
        Self(text.0 & PLACE | print << (2 * BITS + 1))
    }

    #[inline]
    fn raw(self) -> Raw {
        Raw(self.0 & PLACE)
    }

    #[inline]
    fn print(self) -> u64 {
        self.0 >> (2 * BITS + 1)
    }
}

/// How deep maps and lists may be nested: serde_json refuses the 128th level.
const MAX_DEPTH: usize = 127;
/// From this many fields on, double ones are looked for by sorting.
const MANY_FIELDS: usize = 64;

impl<'t> Tape<'t> {
    /// Reads a whole text.
    ///
    /// # Errors
    /// serde_json would not read it either, or it is [`TOO_LONG`].
    pub fn parse(text: &'t str) -> Result<Self, Malformed> {
        Self::read(text, Plain)
    }

    /// Reads what a shape wants of a text.
    ///
    /// # Errors
    /// The text is no JSON, or what is wanted of it is not of the shape, or serde_json would not read it into a tree, or
    /// it is [`TOO_LONG`].
    pub fn read<S: Shape>(text: &'t str, shape: S) -> Result<Self, Malformed> {
        if text.len() >= TOO_LONG {
            return Err(Malformed);
        }
        let mut reader = Reader {
            scanner: Scanner::new(text),
            unescaped: String::new(),
            // More than objects of Kubernetes mostly have for their length: to grow is to copy all of them.
            entries: Vec::with_capacity(text.len() / 12),
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

    #[inline]
    pub(super) fn text(&self, raw: Raw) -> &str {
        resolve(self.text, &self.unescaped, raw)
    }

    /// The parts of a list or map.
    #[inline]
    pub(super) fn entries(&self, raw: Raw) -> &[Entry] {
        self.entries.get(raw.range()).unwrap_or_default()
    }

    /// The value of a map's field.
    #[inline]
    pub(super) fn field(&self, map: Raw, key: &str) -> Option<Raw> {
        let print = print(key.as_bytes());
        let same = |entry: &&Entry| {
            entry.key.print() == print
                && is_same(bytes(self.text, &self.unescaped, entry.key.raw()), key.as_bytes())
        };
        self.entries(map).iter().find(same).map(|entry| entry.value)
    }
}

impl Entry {
    #[inline]
    pub(super) fn key(&self) -> Raw {
        self.key.raw()
    }

    #[inline]
    pub(super) fn value(&self) -> Raw {
        self.value
    }
}

#[inline]
fn resolve<'a>(text: &'a str, unescaped: &'a str, raw: Raw) -> &'a str {
    let from = if raw.0 & UNESCAPED == 0 { text } else { unescaped };
    from.get(raw.range()).unwrap_or_default()
}

/// The same without a look at where characters begin.
#[inline]
fn bytes<'a>(text: &'a str, unescaped: &'a str, raw: Raw) -> &'a [u8] {
    let from = if raw.0 & UNESCAPED == 0 { text } else { unescaped };
    from.as_bytes().get(raw.range()).unwrap_or_default()
}

struct Reader<'t> {
    scanner: Scanner<'t>,
    unescaped: String,
    entries: Vec<Entry>,
    /// The parts of the maps and lists that are not closed yet.
    pending: Vec<Entry>,
}

impl Reader<'_> {
    #[inline(always)] // only maps and lists are worth a call
    fn value<S: Shape>(&mut self, shape: S, depth: usize) -> Result<Raw, Malformed> {
        let first = self.scanner.peek().ok_or(Malformed)?;
        if shape.is_map() && !matches!(first, b'{' | b'n') {
            return Err(Malformed);
        }
        match first {
            b'"' => self.string(),
            b'{' => self.map(shape, depth + 1),
            b'[' => self.list(shape, depth + 1),
            _ => self.other(first),
        }
    }

    #[inline(never)]
    fn other(&mut self, first: u8) -> Result<Raw, Malformed> {
        match first {
            b't' => self.scanner.literal("true").map(|()| Raw::plain(Kind::True)),
            b'f' => self.scanner.literal("false").map(|()| Raw::plain(Kind::False)),
            b'n' => self.scanner.literal("null").map(|()| Raw::plain(Kind::Null)),
            b'-' | b'0'..=b'9' => self.number(),
            _ => Err(Malformed),
        }
    }

    #[inline(never)]
    fn map<S: Shape>(&mut self, shape: S, depth: usize) -> Result<Raw, Malformed> {
        if depth > MAX_DEPTH {
            return Err(Malformed);
        }
        let base = self.pending.len();
        let mut seen = 0_u64;
        self.scanner.step();
        if self.scanner.peek() == Some(b'}') {
            self.scanner.step();
            return Ok(Raw::plain(Kind::Map));
        }
        loop {
            if self.scanner.peek() != Some(b'"') {
                return Err(Malformed);
            }
            let key = self.string()?;
            self.scanner.expect(b':')?;
            let print = print(bytes(self.scanner.text(), &self.unescaped, key));
            let step = if shape.is_any() {
                Step::Read(shape)
            } else {
                shape.field(resolve(self.scanner.text(), &self.unescaped, key))
            };
            let value = match step {
                Step::Read(shape) => self.value(shape, depth)?,
                Step::Try(shape) => self.attempt(shape)?,
                Step::Skip => {
                    self.scanner.skip()?;
                    if self.goes_on(b'}')? {
                        continue;
                    }
                    break;
                }
            };
            // One bit for a name, so that most maps show at a glance that no name is in them twice.
            let mark = 1 << (print & 63);
            let place = if seen & mark != 0 { self.double(base, key) } else { None };
            seen |= mark;
            match place {
                Some(place) => *place = value,
                None => self.pending.push(Entry { key: Key::new(key, print), value }),
            }
            if !self.goes_on(b'}')? {
                break;
            }
        }
        if self.pending.len() - base >= MANY_FIELDS {
            self.drop_doubles(base);
        }
        Ok(self.close(base, Kind::Map))
    }

    #[inline(never)]
    fn list<S: Shape>(&mut self, shape: S, depth: usize) -> Result<Raw, Malformed> {
        if depth > MAX_DEPTH {
            return Err(Malformed);
        }
        let base = self.pending.len();
        self.scanner.step();
        if self.scanner.peek() == Some(b']') {
            self.scanner.step();
            return Ok(Raw::plain(Kind::List));
        }
        loop {
            let value = self.value(shape, depth)?;
            self.pending.push(Entry { key: Key::NONE, value });
            if !self.goes_on(b']')? {
                return Ok(self.close(base, Kind::List));
            }
        }
    }

    /// Takes the comma or the bracket behind a part; whether it was a comma.
    #[inline(always)]
    fn goes_on(&mut self, close: u8) -> Result<bool, Malformed> {
        let byte = self.scanner.peek().ok_or(Malformed)?;
        self.scanner.step();
        if byte == b',' {
            Ok(true)
        } else if byte == close {
            Ok(false)
        } else {
            Err(Malformed)
        }
    }

    /// Puts the parts of a map or list side by side at the end of the tape.
    fn close(&mut self, base: usize, kind: Kind) -> Raw {
        let parts = self.pending.get(base..).unwrap_or_default();
        // There are fewer values than bytes in the text, so that both fit.
        let raw = Raw::new(kind, self.entries.len(), parts.len());
        self.entries.extend_from_slice(parts);
        self.pending.truncate(base);
        raw
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
            Ok(Raw::new(Kind::Unreadable, at, self.scanner.at() - at))
        })
    }

    #[inline(always)]
    fn string(&mut self) -> Result<Raw, Malformed> {
        match self.scanner.string()? {
            (start, end, false) => Ok(Raw::new(Kind::Text, start, end - start)),
            (start, end, true) => self.unescape(start, end),
        }
    }

    #[cold]
    fn unescape(&mut self, start: usize, end: usize) -> Result<Raw, Malformed> {
        // With its quotes, which stand before and behind it.
        let quoted = self.scanner.text().get(start - 1..end + 1).unwrap_or_default();
        let plain: String = serde_json::from_str(quoted).map_err(|_| Malformed)?;
        let at = self.unescaped.len();
        self.unescaped.push_str(&plain);
        Ok(Raw(Raw::new(Kind::Text, at, plain.len()).0 | UNESCAPED))
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
        Ok(Raw::new(Kind::Number, start, end - start))
    }

    /// The value of an earlier field of that name in the map that is open; none where it has many, since those are
    /// sorted out when it is closed.
    fn double(&mut self, base: usize, key: Raw) -> Option<&mut Raw> {
        let (text, unescaped) = (self.scanner.text(), &self.unescaped);
        let name = bytes(text, unescaped, key);
        let fields = self.pending.get_mut(base..).filter(|fields| fields.len() < MANY_FIELDS)?;
        let same = |entry: &&mut Entry| bytes(text, unescaped, entry.key()) == name;
        fields.iter_mut().find(same).map(|entry| &mut entry.value)
    }

    /// Of fields with one name in the map that is open, keeps the last.
    fn drop_doubles(&mut self, base: usize) {
        let text = self.scanner.text();
        let name = |entry: &Entry| resolve(text, &self.unescaped, entry.key());
        let mut fields = self.pending.split_off(base);
        // The sort is stable, so that the last of a name stays the last.
        fields.sort_by(|a, b| name(a).cmp(name(b)));
        fields.reverse();
        fields.dedup_by(|a, b| name(a) == name(b));
        self.pending.append(&mut fields);
    }
}

/// 16 bits of length, first, middle and last byte of a key.
#[inline]
fn print(key: &[u8]) -> u64 {
    let bytes = match (key.first(), key.get(key.len() / 2), key.last()) {
        (Some(first), Some(middle), Some(last)) => {
            u32::from_le_bytes([key.len() as u8, *first, *middle, *last])
        }
        _ => 0,
    };
    u64::from(bytes.wrapping_mul(0x9e37_79b1) >> 16)
}

/// Whether both are the same, without a call for the short ones that keys are.
#[inline]
fn is_same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    // Two parts that overlap cover all of it.
    if a.len() <= 16
        && let (Some(a_first), Some(b_first), Some(a_last), Some(b_last)) =
            (a.first_chunk::<8>(), b.first_chunk::<8>(), a.last_chunk::<8>(), b.last_chunk::<8>())
    {
        return a_first == b_first && a_last == b_last;
    }
    if a.len() < 8
        && let (Some(a_first), Some(b_first), Some(a_last), Some(b_last)) =
            (a.first_chunk::<4>(), b.first_chunk::<4>(), a.last_chunk::<4>(), b.last_chunk::<4>())
    {
        return a_first == b_first && a_last == b_last;
    }
    a == b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_same_when_all_their_bytes_are() {
        for length in 0..40 {
            let key = vec![b'a'; length];
            assert!(is_same(&key, &key), "{length}");
            assert!(!is_same(&key, &vec![b'a'; length + 1]), "{length}");
            for at in 0..length {
                let mut other = key.clone();
                other[at] = b'b';
                assert!(!is_same(&key, &other), "{length}, {at}");
            }
        }
    }

    #[test]
    fn names_with_the_same_print_are_told_apart() {
        // All have their length, first, middle and last byte alike.
        let text = r#"{"axxbxxc":1,"ayxbxxc":2,"axxbxyc":3,"axxbxxc":4}"#;
        let tape = Tape::parse(text).unwrap();
        let number = |key| tape.root().get(key).and_then(Node::as_i64);
        assert_eq!(
            ["axxbxxc", "ayxbxxc", "axxbxyc", "azxbxxc"].map(number),
            [Some(4), Some(2), Some(3), None]
        );
        assert_eq!(tape.root().fields().count(), 3, "the last of two with one name counts");
    }
}
