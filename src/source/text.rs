//! A text, its lines, and whether it is text at all.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use super::error::{SourceError, SourceErrorKind};
use super::kept::{Kept, Piece, joined};

/// One text with a name.
#[derive(Debug, Clone)]
pub struct Source {
    /// The file's path as given, or `<stdin>`.
    pub name: String,
    /// All of the text. Not to be changed after the first position was asked for.
    pub text: Arc<str>,
    /// Where each line starts, in bytes; found when first needed.
    lines: OnceLock<Vec<usize>>,
    /// How many characters start before each [`BLOCK`]; found when first needed, for a line that is longer.
    characters: OnceLock<Vec<usize>>,
    /// What of a longer text this is; none for a whole text.
    pieces: Option<Arc<[Piece]>>,
}

/// How many bytes are counted through at most: JSON may be one line of megabytes, with findings all over it.
const BLOCK: usize = 4096;

/// A place in a text as people count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl Source {
    /// A text under a name.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<Arc<str>>) -> Self {
        let (lines, characters) = (OnceLock::new(), OnceLock::new());
        Self { name: name.into(), text: text.into(), lines, characters, pieces: None }
    }

    /// A part of a longer text that begins at that byte of it, at the beginning of that line, counted from 0.
    #[must_use]
    pub fn part(name: impl Into<String>, text: impl Into<Arc<str>>, from: usize, line: usize) -> Self {
        let piece = Piece { at: 0, nth: 0, from, line };
        Self { pieces: Some(Arc::new([piece])), ..Self::new(name, text) }
    }

    /// The same text with the lines of those ranges alone. They keep their numbers, and the bytes in them are found by what
    /// comes back beside it.
    #[must_use]
    pub fn only(&self, ranges: impl IntoIterator<Item = Range<usize>>) -> (Self, Kept) {
        let (mut text, mut pieces, mut kept) = (String::new(), Vec::new(), Kept::default());
        let mut nth = 0;
        let lines = ranges.into_iter().map(|range| self.lines_of(range)).collect();
        for range in joined(lines) {
            let line = self.line_index(range.start);
            let at = text.len();
            pieces.push(Piece { at, nth, from: self.original(range.start), line: self.original_line(line) });
            let piece = slice(&self.text, range.clone());
            nth += piece.bytes().filter(|byte| *byte == b'\n').count();
            text.push_str(piece);
            kept.add(range, at);
        }
        if pieces.is_empty() {
            return (Self::new(self.name.clone(), Arc::default()), kept);
        }
        (Self { pieces: Some(pieces.into()), ..Self::new(self.name.clone(), text) }, kept)
    }

    /// How far two bytes are apart in the whole text.
    #[must_use]
    pub fn distance(&self, one: usize, other: usize) -> usize {
        self.original(one).abs_diff(self.original(other))
    }

    /// The number of the first line, from 1: that of a part is another one.
    #[must_use]
    pub fn first_line(&self) -> usize {
        self.original_line(0) + 1
    }

    /// The whole lines that a range lies in, with their breaks.
    fn lines_of(&self, range: Range<usize>) -> Range<usize> {
        let (first, last) = (self.line_index(range.start), self.line_index(range.end.max(range.start)));
        let start = self.lines().get(first).copied().unwrap_or_default();
        start..self.lines().get(last + 1).copied().unwrap_or(self.text.len())
    }

    /// The line of a byte, from 0, among those that are here.
    fn line_index(&self, byte: usize) -> usize {
        let byte = byte.min(self.text.len());
        self.lines().partition_point(|start| *start <= byte).saturating_sub(1)
    }

    /// The piece that holds what `is_before` says.
    fn piece(&self, is_before: impl Fn(&Piece) -> bool) -> Option<&Piece> {
        let pieces = self.pieces.as_deref()?;
        pieces.get(pieces.partition_point(is_before).checked_sub(1)?)
    }

    /// Where a byte stands in the whole text.
    fn original(&self, byte: usize) -> usize {
        self.piece(|piece| piece.at <= byte).map_or(byte, |piece| piece.from + byte - piece.at)
    }

    /// The number of a line in the whole text, both from 0.
    fn original_line(&self, index: usize) -> usize {
        self.piece(|piece| piece.nth <= index).map_or(index, |piece| piece.line + index - piece.nth)
    }

    /// The line and column of a byte; one beyond the end of the text is at its end.
    #[must_use]
    pub fn position(&self, byte: usize) -> Position {
        let byte = byte.min(self.text.len());
        let line = self.lines().partition_point(|start| *start <= byte);
        let start = line.checked_sub(1).and_then(|index| self.lines().get(index)).copied().unwrap_or(0);
        // Counting by byte, so that a byte inside a character is in that character's column.
        let before = self.text.as_bytes().get(start..byte).unwrap_or_default();
        let columns = if before.len() <= BLOCK {
            characters(before)
        } else {
            self.characters_before(byte) - self.characters_before(start)
        };
        let inside = self.text.as_bytes().get(byte).copied().is_some_and(is_continuation);
        // A byte-order mark has no width.
        let mark = usize::from(start == 0 && before.starts_with(BOM));
        let line = self.original_line(line.saturating_sub(1)) + 1;
        Position { line, column: columns + usize::from(!inside) - mark.min(columns) }
    }

    /// Where the line of a byte stands, without its line break. It takes no look at the line itself.
    #[must_use]
    pub fn line_of(&self, byte: usize) -> Range<usize> {
        let byte = byte.min(self.text.len());
        let after = self.lines().partition_point(|start| *start <= byte);
        let start = after.checked_sub(1).and_then(|index| self.lines().get(index)).copied().unwrap_or(0);
        let end = self.lines().get(after).map_or(self.text.len(), |next| next - 1);
        // A carriage return at the end is part of the break.
        let bare = self.text.get(start..end).map_or(0, |line| line.trim_end_matches('\r').len());
        start..start + bare
    }

    /// Line `number`, from 1, without its line break.
    #[must_use]
    pub fn line(&self, number: usize) -> Option<&str> {
        let index = number.checked_sub(1)?;
        let start = *self.lines().get(index)?;
        let end = self.lines().get(number).copied().unwrap_or(self.text.len());
        let line = self.text.get(start..end)?;
        let line = line.strip_suffix('\n').unwrap_or(line);
        Some(line.strip_suffix('\r').unwrap_or(line))
    }

    fn characters_before(&self, byte: usize) -> usize {
        let bytes = self.text.as_bytes();
        let blocks = self.characters.get_or_init(|| {
            let counts = bytes.chunks(BLOCK).map(characters);
            let sums = counts.scan(0, |sum, count| {
                *sum += count;
                Some(*sum)
            });
            std::iter::once(0).chain(sums).collect()
        });
        let block = byte / BLOCK;
        let rest = bytes.get(block * BLOCK..byte).unwrap_or_default();
        blocks.get(block).copied().unwrap_or_default() + characters(rest)
    }

    fn lines(&self) -> &[usize] {
        self.lines.get_or_init(|| {
            let breaks = self.text.match_indices('\n');
            std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect()
        })
    }
}

const BOM: &[u8] = "\u{FEFF}".as_bytes();

/// How many characters start in these bytes.
fn characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| !is_continuation(**byte)).count()
}

fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

/// Bytes as UTF-8 text, or a fault that names the first byte that is not.
pub(super) fn decode(bytes: &[u8]) -> Result<&str, SourceError> {
    let fault = |offset, message: String, help| {
        Err(SourceError::new(SourceErrorKind::Encoding, offset, message, help))
    };
    if matches!(bytes, [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..]) {
        return fault(0, "this is UTF-16".to_owned(), "save the file as UTF-8");
    }
    if let Some((how, way_out)) = compressed(bytes) {
        return fault(0, format!("this is compressed ({how})"), way_out);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) => {
            let offset = error.valid_up_to();
            let byte = bytes.get(offset).copied().unwrap_or_default();
            fault(offset, format!("byte {offset} (0x{byte:02x}) is not UTF-8"), "save the file as UTF-8")
        }
    }
}

/// How a file is compressed, as its first bytes tell, and how to unpack it. None of them is UTF-8.
fn compressed(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    match bytes {
        [0x1F, 0x8B, ..] => Some(("gzip", "unpack it first: gunzip -c FILE | volgate check -")),
        [0xFD, b'7', b'z', b'X', b'Z', ..] => Some(("xz", "unpack it first: xz -dc FILE | volgate check -")),
        [0x28, 0xB5, 0x2F, 0xFD, ..] => Some(("zstd", "unpack it first: zstd -dc FILE | volgate check -")),
        _ => None,
    }
}

/// Refuses what no manifest may hold: control characters, and more text than spans can count.
pub(super) fn check(text: &str) -> Result<(), SourceError> {
    if u32::try_from(text.len()).is_err() {
        return Err(SourceError::new(
            SourceErrorKind::Limit,
            0,
            "the text is over 4 GiB",
            "split it into several files",
        ));
    }
    // Nearly all text passes this loop, which the compiler makes a fast one.
    if !text.bytes().any(|byte| byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r') || byte == 0x7F) {
        return Ok(());
    }
    let control = |c: &char| c.is_ascii_control() && !matches!(c, '\t' | '\n' | '\r');
    let found = text.char_indices().find(|(_, c)| control(c));
    found.map_or(Ok(()), |(offset, c)| {
        let what = if c == '\0' {
            "a NUL byte".to_owned()
        } else {
            format!("control character 0x{:02x}", u32::from(c))
        };
        Err(SourceError::new(
            SourceErrorKind::Encoding,
            offset,
            format!("{what} stands at byte {offset}"),
            "remove it, or write it as an escape in double quotes",
        ))
    })
}

/// `text[range]`, or nothing where the range is outside.
pub(super) fn slice(text: &str, range: Range<usize>) -> &str {
    text.get(range).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters() {
        let source = Source::new("a.yaml", "é: ü\r\nb: 2\n");
        let at = |byte| {
            let Position { line, column } = source.position(byte);
            (line, column)
        };
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(1), (1, 1));
        assert_eq!(at(2), (1, 2));
        assert_eq!(at(4), (1, 4));
        assert_eq!(at(8), (2, 1));
        assert_eq!(at(11), (2, 4));
        assert_eq!(at(13), (3, 1));
        assert_eq!(at(999), (3, 1));
    }

    #[test]
    fn a_byte_order_mark_has_no_column() {
        let source = Source::new("a.yaml", "\u{FEFF}a: 1");
        assert_eq!(source.position(0), Position { line: 1, column: 1 });
        assert_eq!(source.position(3), Position { line: 1, column: 1 });
        assert_eq!(source.position(6), Position { line: 1, column: 4 });
    }

    #[test]
    fn positions_in_a_long_line_count_characters_too() {
        let text = format!("first: ä\n{}\nlast", "aé€".repeat(5_000));
        let source = Source::new("a.json", text.as_str());
        let mut column = 0;
        for byte in 10..text.len() - 5 {
            column += usize::from(text.is_char_boundary(byte));
            assert_eq!(source.position(byte), Position { line: 2, column }, "byte {byte}");
        }
        assert_eq!(source.position(text.len() - 4), Position { line: 3, column: 1 });
    }

    #[test]
    fn lines_that_were_kept_have_their_places() {
        let lines: Vec<String> = (1..=40).map(|line| format!("key{line}: é{line}\r\n")).collect();
        let whole = Source::new("a.yaml", format!("{}last", lines.concat()));
        let start = |line: usize| whole.text.find(&format!("key{line}:")).unwrap();
        let at = |line: usize| start(line) + 4;
        let (short, kept) = whole.only([at(30)..at(32), at(7)..at(7), at(8)..at(8), at(31)..at(31)]);
        assert_eq!(short.text.lines().count(), 5, "{}", short.text);
        for line in [7, 8, 30, 31, 32] {
            let byte = kept.place(at(line));
            assert_eq!(short.position(byte), whole.position(at(line)), "line {line}");
            let range = |source: &Source, byte| source.text.get(source.line_of(byte)).map(str::to_owned);
            assert_eq!(range(&short, byte), range(&whole, at(line)));
            assert_eq!(short.distance(byte, kept.place(at(7))), at(line) - at(7));
        }
        // What comes of it can be cut once more, and the end of a text is a place in it.
        let (shorter, again) = short.only(std::iter::once(kept.place(at(31))..kept.place(at(31))));
        assert_eq!(shorter.position(again.place(kept.place(at(31)))), whole.position(at(31)));
        let (end, kept) = whole.only(std::iter::once(whole.text.len()..whole.text.len()));
        assert_eq!(end.position(kept.place(whole.text.len())), whole.position(whole.text.len()));
        let (nothing, kept) = whole.only([]);
        assert_eq!((nothing.text.len(), kept.place(100)), (0, 0));
    }

    #[test]
    fn a_part_of_a_text_counts_from_where_it_begins() {
        let whole = Source::new("a.yaml", "a: 1\n---\nb: 2\nc: é\n");
        let part = Source::part("a.yaml", "b: 2\nc: é\n", 9, 2);
        assert_eq!((part.first_line(), whole.first_line()), (3, 1));
        for byte in 0..part.text.len() {
            assert_eq!(part.position(byte), whole.position(byte + 9));
        }
        let (kept, place) = part.only(std::iter::once(5..6));
        assert_eq!(kept.position(place.place(6)), whole.position(15));
    }

    #[test]
    fn lines_come_without_their_break() {
        let source = Source::new("a.yaml", "a\r\n\nb");
        let lines = [0, 2, 3, 4, 9].map(|byte| source.line_of(byte));
        assert_eq!(lines, [0..1, 0..1, 3..3, 4..5, 4..5]);
        assert_eq!(source.line(0), None);
        assert_eq!(source.line(1), Some("a"));
        assert_eq!(source.line(2), Some(""));
        assert_eq!(source.line(3), Some("b"));
        assert_eq!(source.line(4), None);
    }
}
