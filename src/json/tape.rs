use super::node::Node;
use super::scan::{Malformed, NumberForm, Scanner};
use serde_json::Number;
use std::cell::Cell;
use std::ops::Range;

/// A JSON text that was read: every value stands in one list, the parts of a map or list side by side, and strings are
/// places in the text. Of several fields of one name the last counts, as in serde_json's tree.
#[derive(Debug)]
pub struct Tape<'t> {
    text: &'t str,
    lists: Lists,
    root: Raw,
}

/// What a tape is written to.
#[derive(Debug, Default)]
struct Lists {
    entries: Vec<Entry>,
    /// The strings that the text holds with escapes, one behind the other.
    unescaped: String,
    /// While it is written: the parts of the maps and lists that are not closed yet.
    pending: Vec<Entry>,
    /// While it is written: the maps and lists that are not closed yet, but for the innermost, where all is read.
    open: Vec<Open>,
}

thread_local! {
    /// The lists of the thread's last tape, for its next one: they are at hand in the processor's caches, and other
    /// memory would not be.
    static SPARE: Cell<Option<Lists>> = const { Cell::new(None) };
}
/// How many entries, of 16 bytes, lists may have room for to be kept: more than a review needs that is judged at once.
const KEPT: usize = 6 * 1024;

impl Lists {
    /// Empty ones, with room for the text.
    fn spare(text: &str) -> Self {
        let mut lists: Self = SPARE.try_with(Cell::take).ok().flatten().unwrap_or_default();
        lists.entries.clear();
        lists.unescaped.clear();
        lists.pending.clear();
        lists.open.clear();
        // More than objects of Kubernetes mostly have for their length: to grow is to copy all of them.
        lists.entries.reserve(text.len() / 12);
        lists
    }
}

impl Drop for Tape<'_> {
    fn drop(&mut self) {
        let lists = std::mem::take(&mut self.lists);
        let rooms = [lists.entries.capacity(), lists.pending.capacity(), lists.unescaped.capacity() / 16];
        if rooms.into_iter().all(|room| room <= KEPT) {
            // A thread that ends keeps nothing.
            let _ = SPARE.try_with(|spare| spare.set(Some(lists)));
        }
    }
}

/// What is wanted of a text, so that the rest is passed over.
pub trait Shape: Copy {
    /// Whether all that lies beneath is to be read.
    fn is_any(self) -> bool;
    /// What to do with the field of that name. Only asked where not all is to be read; the value must be a map or null
    /// there.
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
/// From this many fields on, they are sorted: double ones are found by that, and later a field by its name.
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
        // As an API server writes it, or else with white space.
        Reader::<false>::read(text, shape).or_else(|_| Reader::<true>::read(text, shape))
    }

    /// The value that the text is.
    pub fn root(&self) -> Node<'_> {
        Node::Taped(self, self.root)
    }

    #[inline]
    pub(super) fn text(&self, raw: Raw) -> &str {
        resolve(self.text, &self.lists.unescaped, raw)
    }

    /// The parts of a list or map.
    #[inline]
    pub(super) fn entries(&self, raw: Raw) -> &[Entry] {
        self.lists.entries.get(raw.range()).unwrap_or_default()
    }

    /// The value of a map's field.
    #[inline]
    pub(super) fn field(&self, map: Raw, key: &str) -> Option<Raw> {
        let fields = self.entries(map);
        if fields.len() >= MANY_FIELDS {
            return self.field_of_many(fields, key);
        }
        let print = print(key.as_bytes());
        let same = |entry: &&Entry| {
            entry.key.print() == print
                && is_same(bytes(self.text, &self.lists.unescaped, entry.key.raw()), key.as_bytes())
        };
        fields.iter().find(same).map(|entry| entry.value)
    }

    /// Those of a map that has many stand in the order of their names, the last first.
    #[cold]
    fn field_of_many(&self, fields: &[Entry], key: &str) -> Option<Raw> {
        let name = |entry: &Entry| self.text(entry.key());
        let at = fields.binary_search_by(|entry| key.cmp(name(entry))).ok()?;
        fields.get(at).map(|entry| entry.value)
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

struct Reader<'t, const SPACED: bool> {
    scanner: Scanner<'t, SPACED>,
    lists: Lists,
}

/// A map or list that is not closed yet.
#[derive(Debug, Clone, Copy)]
struct Open {
    /// The name under which it stands itself.
    key: Key,
    /// One bit for a name, so that most maps show at a glance that no name is in them twice.
    seen: u64,
    /// Where its parts begin among those that are pending; fewer than the text has bytes.
    base: u32,
    /// Whether it is a map, 0 or 1: without gaps the whole is copied at once.
    is_map: u32,
}

impl Open {
    /// A map or list whose parts are those that become pending from now on.
    fn new(is_map: bool, key: Key, pending: &[Entry]) -> Self {
        Self { key, seen: 0, base: pending.len() as u32, is_map: is_map.into() }
    }
}

impl<'t, const SPACED: bool> Reader<'t, SPACED> {
    fn read<S: Shape>(text: &'t str, shape: S) -> Result<Tape<'t>, Malformed> {
        let mut reader = Self { scanner: Scanner::new(text), lists: Lists::spare(text) };
        let root = reader.value(shape, 0)?;
        if reader.scanner.peek().is_some() {
            return Err(Malformed);
        }
        Ok(Tape { text, lists: reader.lists, root })
    }

    fn value<S: Shape>(&mut self, shape: S, depth: usize) -> Result<Raw, Malformed> {
        if shape.is_any() {
            return self.whole(depth);
        }
        match self.scanner.peek() {
            Some(b'{') => self.map(shape, depth + 1),
            Some(b'n') => self.scanner.literal("null").map(|()| Raw::plain(Kind::Null)),
            _ => Err(Malformed),
        }
    }

    /// Reads a map of which not all is wanted.
    fn map<S: Shape>(&mut self, shape: S, depth: usize) -> Result<Raw, Malformed> {
        if depth > MAX_DEPTH {
            return Err(Malformed);
        }
        let mut map = Open::new(true, Key::NONE, &self.lists.pending);
        self.scanner.step();
        if self.scanner.peek() == Some(b'}') {
            self.scanner.step();
            return Ok(Raw::plain(Kind::Map));
        }
        loop {
            let mut scanner = self.scanner;
            let key = self.key(&mut scanner)?;
            self.scanner = scanner;
            let value = match shape.field(resolve(self.scanner.text(), &self.lists.unescaped, key.raw())) {
                Step::Read(shape) => Some(self.value(shape, depth)?),
                Step::Try(shape) => Some(self.attempt(shape)?),
                Step::Skip => {
                    self.scanner.skip()?;
                    None
                }
            };
            if let Some(value) = value {
                self.put_field(&mut map, key, value);
            }
            if !self.scanner.goes_on(b'}')? {
                return Ok(self.close_map(&map));
            }
        }
    }

    /// Reads a value with all that lies beneath it: most of a text. Without recursion, so that the scanner's position
    /// and the innermost map or list stay in registers.
    fn whole(&mut self, depth: usize) -> Result<Raw, Malformed> {
        let mut scanner = self.scanner;
        let outermost = self.lists.open.len();
        let deepest = outermost + MAX_DEPTH.saturating_sub(depth);
        let mut inner = Open::new(false, Key::NONE, &self.lists.pending);
        let mut key = Key::NONE;
        loop {
            let mut value = match scanner.peek() {
                Some(b'"') => self.string(&mut scanner)?,
                Some(b'{') => {
                    scanner.step();
                    if scanner.peek() != Some(b'}') {
                        self.open(&mut inner, Open::new(true, key, &self.lists.pending), deepest)?;
                        key = self.key(&mut scanner)?;
                        continue;
                    }
                    scanner.step();
                    self.empty(Kind::Map, deepest)?
                }
                Some(b'[') => {
                    scanner.step();
                    if scanner.peek() != Some(b']') {
                        self.open(&mut inner, Open::new(false, key, &self.lists.pending), deepest)?;
                        key = Key::NONE;
                        continue;
                    }
                    scanner.step();
                    self.empty(Kind::List, deepest)?
                }
                Some(first) => {
                    let value;
                    (value, scanner) = other(scanner, first)?;
                    value
                }
                None => return Err(Malformed),
            };
            // With the value its map or list may be at its end, and with that the one around it.
            loop {
                if self.lists.open.len() == outermost {
                    self.scanner = scanner;
                    return Ok(value);
                }
                if inner.is_map != 0 {
                    self.put_field(&mut inner, key, value);
                    if scanner.goes_on(b'}')? {
                        key = self.key(&mut scanner)?;
                        break;
                    }
                    value = self.close_map(&inner);
                } else {
                    self.lists.pending.push(Entry { key: Key::NONE, value });
                    if scanner.goes_on(b']')? {
                        break;
                    }
                    value = self.close(&inner, Kind::List);
                }
                key = inner.key;
                inner = self.lists.open.pop().ok_or(Malformed)?;
            }
        }
    }

    /// Begins a map or list within the innermost.
    #[inline(always)]
    fn open(&mut self, inner: &mut Open, opened: Open, deepest: usize) -> Result<(), Malformed> {
        if self.lists.open.len() >= deepest {
            return Err(Malformed);
        }
        self.lists.open.push(std::mem::replace(inner, opened));
        Ok(())
    }

    /// A map or list without parts within the innermost.
    #[inline(always)]
    fn empty(&self, kind: Kind, deepest: usize) -> Result<Raw, Malformed> {
        if self.lists.open.len() >= deepest { Err(Malformed) } else { Ok(Raw::plain(kind)) }
    }

    /// A map's next name, with the colon behind it.
    #[inline(always)]
    fn key(&mut self, scanner: &mut Scanner<'t, SPACED>) -> Result<Key, Malformed> {
        scanner.stand_at(b'"')?;
        let text = scanner.text();
        let (name, print) = match scanner.string()? {
            (start, end, false) => {
                (Raw::new(Kind::Text, start, end - start), print_in(text.as_bytes(), start, end))
            }
            (start, end, true) => {
                let name = self.unescape(text, start, end)?;
                (name, print(bytes(text, &self.lists.unescaped, name)))
            }
        };
        scanner.expect(b':')?;
        Ok(Key::new(name, print))
    }

    #[inline(always)]
    fn string(&mut self, scanner: &mut Scanner<'t, SPACED>) -> Result<Raw, Malformed> {
        match scanner.string()? {
            (start, end, false) => Ok(Raw::new(Kind::Text, start, end - start)),
            (start, end, true) => self.unescape(scanner.text(), start, end),
        }
    }

    #[cold]
    fn unescape(&mut self, text: &str, start: usize, end: usize) -> Result<Raw, Malformed> {
        // With its quotes, which stand before and behind it.
        let quoted = text.get(start - 1..end + 1).unwrap_or_default();
        let plain: String = serde_json::from_str(quoted).map_err(|_| Malformed)?;
        let at = self.lists.unescaped.len();
        self.lists.unescaped.push_str(&plain);
        Ok(Raw(Raw::new(Kind::Text, at, plain.len()).0 | UNESCAPED))
    }

    /// Puts a field to the others of the map that is open.
    #[inline(always)]
    fn put_field(&mut self, map: &mut Open, key: Key, value: Raw) {
        let mark = 1 << (key.print() & 63);
        if map.seen & mark == 0 || !self.replace(map.base as usize, key, value) {
            map.seen |= mark;
            self.lists.pending.push(Entry { key, value });
        }
    }

    /// Puts the value in place of that of an earlier field of that name in the map that is open; not where the map has
    /// many, since those are sorted out when it is closed.
    #[cold]
    fn replace(&mut self, base: usize, key: Key, value: Raw) -> bool {
        let (text, unescaped) = (self.scanner.text(), &self.lists.unescaped);
        let name = |key: Key| bytes(text, unescaped, key.raw());
        let fields = self.lists.pending.get_mut(base..).unwrap_or_default();
        if fields.len() >= MANY_FIELDS {
            return false;
        }
        let same = |entry: &&mut Entry| entry.key.print() == key.print() && name(entry.key) == name(key);
        let earlier = fields.iter_mut().find(same);
        earlier.map(|entry| entry.value = value).is_some()
    }

    #[inline(always)]
    fn close_map(&mut self, map: &Open) -> Raw {
        let base = map.base as usize;
        if self.lists.pending.len() - base >= MANY_FIELDS {
            self.drop_doubles(base);
        }
        self.close(map, Kind::Map)
    }

    /// Puts the parts of a map or list side by side at the end of the tape.
    #[inline(always)]
    fn close(&mut self, open: &Open, kind: Kind) -> Raw {
        let base = open.base as usize;
        let parts = self.lists.pending.get(base..).unwrap_or_default();
        // There are fewer values than bytes in the text, so that both fit.
        let raw = Raw::new(kind, self.lists.entries.len(), parts.len());
        // One by one: most are few, and a call costs more than they do.
        for part in parts {
            self.lists.entries.push(*part);
        }
        self.lists.pending.truncate(base);
        raw
    }

    /// Of fields with one name in the map that is open, keeps the last.
    #[cold]
    fn drop_doubles(&mut self, base: usize) {
        let text = self.scanner.text();
        let name = |entry: &Entry| resolve(text, &self.lists.unescaped, entry.key());
        let mut fields = self.lists.pending.split_off(base);
        // The sort is stable, so that the last of a name stays the last.
        fields.sort_by(|a, b| name(a).cmp(name(b)));
        fields.reverse();
        fields.dedup_by(|a, b| name(a) == name(b));
        self.lists.pending.append(&mut fields);
    }

    /// A scanner that takes no white space gives up altogether, since that alone may be its fault.
    ///
    /// Deepness counts anew from here: such a field is a text of its own to those who read it again.
    fn attempt<S: Shape>(&mut self, shape: S) -> Result<Raw, Malformed> {
        self.scanner.peek();
        let (at, pending, entries, unescaped, open) = (
            self.scanner.at(),
            self.lists.pending.len(),
            self.lists.entries.len(),
            self.lists.unescaped.len(),
            self.lists.open.len(),
        );
        self.value(shape, 0).or_else(|malformed| {
            if !SPACED {
                return Err(malformed);
            }
            self.lists.pending.truncate(pending);
            self.lists.entries.truncate(entries);
            self.lists.unescaped.truncate(unescaped);
            self.lists.open.truncate(open);
            self.scanner.rewind(at);
            self.scanner.skip()?;
            Ok(Raw::new(Kind::Unreadable, at, self.scanner.at() - at))
        })
    }
}

/// What is neither text, map nor list.
fn other<const SPACED: bool>(
    mut scanner: Scanner<'_, SPACED>,
    first: u8,
) -> Result<(Raw, Scanner<'_, SPACED>), Malformed> {
    let value = match first {
        b't' => scanner.literal("true").map(|()| Raw::plain(Kind::True)),
        b'f' => scanner.literal("false").map(|()| Raw::plain(Kind::False)),
        b'n' => scanner.literal("null").map(|()| Raw::plain(Kind::Null)),
        b'-' | b'0'..=b'9' => number(&mut scanner),
        _ => Err(Malformed),
    };
    Ok((value?, scanner))
}

fn number<const SPACED: bool>(scanner: &mut Scanner<'_, SPACED>) -> Result<Raw, Malformed> {
    let start = scanner.at();
    let form = scanner.number()?;
    let end = scanner.at();
    if form == NumberForm::Long {
        let text = scanner.text().get(start..end).unwrap_or_default();
        // One that is too large for a float is no number to it.
        serde_json::from_str::<Number>(text).map_err(|_| Malformed)?;
    }
    Ok(Raw::new(Kind::Number, start, end - start))
}

/// 16 bits of a key's length and its last eight bytes: names of one map often begin alike.
#[inline]
fn print(key: &[u8]) -> u64 {
    let word = match key.last_chunk::<8>() {
        Some(last) => u64::from_le_bytes(*last),
        None => key.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    mix(word, key.len())
}

/// The same of a key that stands in a text, without a loop where eight bytes end with it.
#[inline(always)]
fn print_in(text: &[u8], start: usize, end: usize) -> u64 {
    let len = end - start;
    match text.get(..end).and_then(<[u8]>::last_chunk::<8>) {
        Some(last) if len >= 8 => mix(u64::from_le_bytes(*last), len),
        Some(last) if len > 0 => mix(u64::from_le_bytes(*last) >> (64 - 8 * len), len),
        _ => print(text.get(start..end).unwrap_or_default()),
    }
}

#[inline]
fn mix(word: u64, len: usize) -> u64 {
    (word ^ len as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48
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
    fn a_print_is_the_same_wherever_the_key_stands() {
        let text = "0123456789abcdefghijklmnopqrstuvwxyz".as_bytes();
        for start in 0..text.len() {
            for end in start..text.len() {
                assert_eq!(print_in(text, start, end), print(&text[start..end]), "{start}..{end}");
            }
        }
    }

    #[test]
    fn the_lists_of_one_tape_leave_nothing_in_the_next() {
        let long = format!(r#"{{"a":[{}"b\u0021"],"c":{{"d":1}}}}"#, "[1,{}],".repeat(500));
        for text in [long.as_str(), r#"{"a":"x\n"}"#, "[1,[2,", r#"{"a":[1],"a":{"b":[]}}"#, "7", &long] {
            let read = Tape::parse(text).ok().map(|tape| tape.root().to_value());
            assert_eq!(read, serde_json::from_str(text).ok(), "{text}");
        }
        let huge = format!("[{}1]", "1,".repeat(20 * KEPT));
        drop(Tape::parse(&huge).unwrap());
        let kept = SPARE.take().map_or(0, |lists| lists.entries.capacity().max(lists.pending.capacity()));
        assert!(kept <= KEPT, "{kept} entries of memory are kept by the thread");
    }

    #[test]
    fn white_space_may_stand_between_tokens_and_nowhere_else() {
        let value = serde_json::json!({"a b": [1, "c ", {}, [], {"d": null}], "e": {"f": true}});
        let spaced = serde_json::to_string_pretty(&value).unwrap().replace('\n', " \t\r\n");
        assert_eq!(Tape::parse(&format!(" {spaced} ")).unwrap().root().to_value(), value);
        for text in ["", " ", "1 2", "tr ue", "[1 2]", "{\"a\" 1}", "\u{a0}1", "[1,\u{b}2]"] {
            assert_eq!(Tape::parse(text).err(), Some(Malformed), "{text:?}");
        }
    }

    #[test]
    fn names_with_the_same_print_are_told_apart() {
        // All have their length and their last eight bytes alike.
        let text = r#"{"a-12345678":1,"b-12345678":2,"c-12345678":3,"a-12345678":4}"#;
        let tape = Tape::parse(text).unwrap();
        let number = |key| tape.root().get(key).and_then(Node::as_i64);
        assert_eq!(
            ["a-12345678", "b-12345678", "c-12345678", "d-12345678"].map(number),
            [Some(4), Some(2), Some(3), None]
        );
        assert_eq!(tape.root().fields().count(), 3, "the last of two with one name counts");
    }
}
