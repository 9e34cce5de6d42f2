//! Colons before a comma or bracket, as in `[fd00::, ::1]`: a part of the word to kubectl, the end of a key to YAML 1.2
//! and so to the parser. It is given another character in their place.

use std::borrow::Cow;

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

    /// The text of a scalar as it is written.
    pub(super) fn restore<'s>(&self, scalar: Cow<'s, str>) -> Cow<'s, str> {
        match self.stand_in {
            Some(stand_in) if scalar.contains(stand_in) => scalar.replace(stand_in, ":").into(),
            _ => scalar,
        }
    }
}

/// Whether a quoted text can hold a character that is not written in it.
fn has_escapes(text: &str) -> bool {
    ["\\x", "\\u", "\\U"].iter().any(|escape| text.contains(escape))
}
