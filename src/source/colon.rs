//! What kubectl reads and the parser does not. Colons before a comma or bracket, as in `[fd00::, ::1]`, are a part of the word
//! to kubectl, the end of a key to YAML 1.2: the parser is given another character in their place. The `|` of a block scalar
//! may stand on a line of its own in the column of its key: the parser finds it on the key's line. A comment may follow a bracket
//! or a quote without a space: the parser does not see it.

use std::borrow::Cow;
use std::ops::Range;

/// A document's text for the parser, with what stands for such colons in it.
pub(super) struct Colons<'t> {
    /// As long as the original, byte for byte, so that places are the same.
    pub(super) text: Cow<'t, str>,
    stand_in: Option<char>,
}

/// What may stand for a colon in the middle of a word: nothing that means anything to YAML there.
const STAND_INS: &[u8] = b"^~;=$%+()<>|/_.ZQXJKVWYU0123456789";

impl<'t> Colons<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let unchanged = Self { text: Cow::Borrowed(text), stand_in: None };
        let bytes = text.as_bytes();
        let ends_word = |window: &[u8]| match window {
            [before, b':', after] => {
                matches!(after, b',' | b']' | b'}')
                    && !matches!(
                        before,
                        b' ' | b'\t' | b'\r' | b'\n' | b'"' | b'\'' | b'[' | b'{' | b',' | b'}' | b']'
                    )
            }
            _ => false,
        };
        if !bytes.windows(3).any(ends_word) || has_escapes(text) {
            return unchanged;
        }
        // One that does not occur, so that each one in what the parser reads is a colon.
        let Some(stand_in) = STAND_INS.iter().copied().find(|byte| !bytes.contains(byte)) else {
            return unchanged;
        };
        let mut changed = bytes.to_vec();
        for (at, window) in bytes.windows(3).enumerate() {
            if ends_word(window)
                && let Some(byte) = changed.get_mut(at + 1)
            {
                *byte = stand_in;
            }
        }
        match String::from_utf8(changed) {
            Ok(text) => Self { text: Cow::Owned(text), stand_in: Some(char::from(stand_in)) },
            Err(_) => unchanged,
        }
    }

    /// Changes what the parser stopped at, if kubectl reads it; whether there was something to change.
    pub(super) fn adapt(&mut self, at: usize) -> bool {
        self.join_header(at) || self.leave_out_comment(at)
    }

    /// Leaves out a comment right behind a bracket, a comma or a quote: `[get]# only this`.
    fn leave_out_comment(&mut self, at: usize) -> bool {
        let Some((before, comment)) = self.text.split_at_checked(at) else { return false };
        if !comment.starts_with('#') || !before.ends_with(['[', ']', '{', '}', ',', '"', '\'']) {
            return false;
        }
        let end = at + comment.find(['\n', '\r']).unwrap_or(comment.len());
        self.fill(at..end)
    }

    /// Puts spaces in the place of that part of the text.
    fn fill(&mut self, part: Range<usize>) -> bool {
        let mut changed = self.text.as_bytes().to_vec();
        if let Some(part) = changed.get_mut(part) {
            part.fill(b' ');
        }
        let Ok(text) = String::from_utf8(changed) else { return false };
        self.text = Cow::Owned(text);
        true
    }

    /// Puts the header of a block scalar that the parser stopped at on the line of its key, if it stands on a line of its own
    /// in the key's column: kubectl takes it there.
    fn join_header(&mut self, at: usize) -> bool {
        between_key_and_header(&self.text, at).is_some_and(|between| self.fill(between))
    }

    /// The text of a scalar as it is written.
    pub(super) fn restore<'s>(&self, scalar: Cow<'s, str>) -> Cow<'s, str> {
        match self.stand_in {
            Some(stand_in) if scalar.contains(stand_in) => scalar.replace(stand_in, ":").into(),
            _ => scalar,
        }
    }
}

/// What stands between the colon of a key and the header of a block scalar at `at`, which is in the key's column on a later line.
fn between_key_and_header(text: &str, at: usize) -> Option<Range<usize>> {
    let (before, header) = text.split_at_checked(at)?;
    if !header.lines().next().is_some_and(is_header) {
        return None;
    }
    let above = before.trim_end_matches(' ');
    let column = before.len() - above.len();
    let mut end = above.len();
    for line in above.strip_suffix('\n')?.rsplit('\n') {
        let start = end - line.len() - 1;
        let key = line.split_once(" #").map_or(line, |(key, _)| key).trim_end();
        if key.is_empty() || key.trim_start().starts_with('#') {
            end = start;
            continue;
        }
        let keys_column = key.len() - key.trim_start_matches([' ', '-']).len();
        return (key.ends_with(':') && keys_column == column).then_some(start + key.len()..at);
    }
    None
}

/// Whether a line is the header of a block scalar: `|`, `>-`, `|2 # a comment`.
fn is_header(line: &str) -> bool {
    let Some(rest) = line.strip_prefix(['|', '>']) else { return false };
    let tail = rest.trim_start_matches(|c: char| c == '+' || c == '-' || c.is_ascii_digit());
    tail.trim().is_empty() || tail.starts_with([' ', '\t']) && tail.trim_start().starts_with('#')
}

/// Whether a quoted text can hold a character that is not written in it.
fn has_escapes(text: &str) -> bool {
    ["\\x", "\\u", "\\U"].iter().any(|escape| text.contains(escape))
}
