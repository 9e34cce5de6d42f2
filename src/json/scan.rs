//! The grammar of JSON, on bytes that are known to be UTF-8. It accepts what serde_json accepts, and says no more of the
//! rest than that it is malformed: whoever has to explain it reads it again with serde_json.

use wide::u8x16;

/// The text is no JSON, or not of the wanted shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text is malformed JSON")]
pub struct Malformed;

/// A number as the grammar sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NumberForm {
    /// Digits, perhaps with a minus, that fit 64 bits for sure.
    Short,
    /// With a fraction, an exponent or many digits.
    Long,
}

/// A position in a text. A copy goes on by itself, which lets a loop keep it where it is quickest.
///
/// What an API server writes has no white space between its tokens. A scanner that is not `SPACED` takes any for
/// malformed, and is the quicker for it.
#[derive(Clone, Copy)]
pub(super) struct Scanner<'t, const SPACED: bool> {
    text: &'t str,
    at: usize,
}

impl<'t, const SPACED: bool> Scanner<'t, SPACED> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn text(&self) -> &'t str {
        self.text
    }

    /// The position, in bytes.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Goes back to a position.
    pub(super) fn rewind(&mut self, at: usize) {
        self.at = at;
    }

    /// The next byte that is no white space; it is not taken.
    #[inline(always)]
    pub(super) fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.text.as_bytes().get(self.at) {
            if !SPACED || !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    /// Takes one byte.
    #[inline]
    pub(super) fn step(&mut self) {
        self.at += 1;
    }

    /// Takes white space and this byte.
    #[inline(always)]
    pub(super) fn expect(&mut self, wanted: u8) -> Result<(), Malformed> {
        self.stand_at(wanted)?;
        self.at += 1;
        Ok(())
    }

    /// Takes white space, behind which this byte must stand.
    #[inline(always)]
    pub(super) fn stand_at(&mut self, wanted: u8) -> Result<(), Malformed> {
        if self.peek() == Some(wanted) { Ok(()) } else { Err(Malformed) }
    }

    /// Takes the comma or this bracket behind a part; whether it was a comma.
    #[inline(always)]
    pub(super) fn goes_on(&mut self, bracket: u8) -> Result<bool, Malformed> {
        let byte = self.peek().ok_or(Malformed)?;
        self.at += 1;
        if byte == b',' {
            Ok(true)
        } else if byte == bracket {
            Ok(false)
        } else {
            Err(Malformed)
        }
    }

    /// Takes this word, at which the scanner stands.
    pub(super) fn literal(&mut self, word: &str) -> Result<(), Malformed> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err(Malformed);
        }
        self.at += word.len();
        Ok(())
    }

    /// Takes a string, at whose opening quote the scanner stands: where its content starts and ends, and whether it
    /// holds escapes.
    #[inline(always)] // hundreds in every review, and most are short
    pub(super) fn string(&mut self) -> Result<(usize, usize, bool), Malformed> {
        let start = self.at + 1;
        let end = plain_end(self.text.as_bytes(), start);
        if self.text.as_bytes().get(end) == Some(&b'"') {
            self.at = end + 1;
            return Ok((start, end, false));
        }
        let end = escaped_end(self.text.as_bytes(), end)?;
        self.at = end + 1;
        Ok((start, end, true))
    }

    /// Takes a number, at whose first byte the scanner stands.
    pub(super) fn number(&mut self) -> Result<NumberForm, Malformed> {
        let bytes = self.text.as_bytes();
        let digits = |from: usize| {
            let rest = bytes.get(from..).unwrap_or_default();
            rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
        };
        let mut at = self.at;
        let negative = bytes.get(at) == Some(&b'-');
        at += usize::from(negative);
        let whole = digits(at);
        let leading_zero = bytes.get(at) == Some(&b'0');
        if whole == 0 || (leading_zero && whole > 1) {
            return Err(Malformed);
        }
        at += whole;
        // `-0` is a float to serde_json.
        let mut form =
            if whole > 18 || (negative && leading_zero) { NumberForm::Long } else { NumberForm::Short };
        if bytes.get(at) == Some(&b'.') {
            form = NumberForm::Long;
            let fraction = digits(at + 1);
            if fraction == 0 {
                return Err(Malformed);
            }
            at += 1 + fraction;
        }
        if let Some(b'e' | b'E') = bytes.get(at) {
            form = NumberForm::Long;
            at += 1;
            at += usize::from(matches!(bytes.get(at), Some(b'+' | b'-')));
            let exponent = digits(at);
            if exponent == 0 {
                return Err(Malformed);
            }
            at += exponent;
        }
        self.at = at;
        Ok(form)
    }

    /// Takes a value that nobody reads, however deep it is nested.
    pub(super) fn skip(&mut self) -> Result<(), Malformed> {
        // The brackets that are still to close.
        let mut open: Vec<u8> = Vec::new();
        loop {
            match self.peek().ok_or(Malformed)? {
                b'"' => drop(self.string()?),
                b'-' | b'0'..=b'9' => drop(self.number()?),
                b't' => self.literal("true")?,
                b'f' => self.literal("false")?,
                b'n' => self.literal("null")?,
                b'[' => {
                    self.step();
                    if self.peek() != Some(b']') {
                        open.push(b']');
                        continue;
                    }
                    self.step();
                }
                b'{' => {
                    self.step();
                    if self.peek() != Some(b'}') {
                        open.push(b'}');
                        self.skip_key()?;
                        continue;
                    }
                    self.step();
                }
                _ => return Err(Malformed),
            }
            loop {
                let Some(close) = open.last().copied() else { return Ok(()) };
                match self.peek() {
                    Some(b',') => {
                        self.step();
                        if close == b'}' {
                            self.skip_key()?;
                        }
                        break;
                    }
                    Some(byte) if byte == close => {
                        self.step();
                        open.pop();
                    }
                    _ => return Err(Malformed),
                }
            }
        }
    }

    fn skip_key(&mut self) -> Result<(), Malformed> {
        self.stand_at(b'"')?;
        self.string()?;
        self.expect(b':')
    }
}

/// Where a string's content ends that has an escape here. Whether surrogates come in pairs is left open.
#[cold]
fn escaped_end(bytes: &[u8], mut at: usize) -> Result<usize, Malformed> {
    loop {
        at += match bytes.get(at..).unwrap_or_default() {
            [b'"', ..] => return Ok(at),
            [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 2,
            [b'\\', b'u', a, b, c, d, ..] if [a, b, c, d].into_iter().all(u8::is_ascii_hexdigit) => 6,
            // A control character, or the end of the text.
            _ => return Err(Malformed),
        };
        at = plain_end(bytes, at);
    }
}

/// Where a string's plain part ends: at a quote, a backslash, a control character or the end of the text.
#[inline(always)]
fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<16>) {
        let chunk = u8x16::new(*chunk);
        let control = chunk.min(u8x16::splat(0x1f)).simd_eq(chunk);
        let ends = control | chunk.simd_eq(u8x16::splat(b'"')) | chunk.simd_eq(u8x16::splat(b'\\'));
        match ends.to_bitmask() {
            0 => at += 16,
            ends => return at + ends.trailing_zeros() as usize,
        }
    }
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_part_ends_at_the_first_byte_that_matters() {
        for length in 0..40 {
            for end in ["\"", "\\", "\n", "\u{1f}", ""] {
                let text = format!("{}{end}\"\\\u{1}", "é".repeat(length));
                let wanted = if end.is_empty() { 2 * length } else { text.find(end).unwrap() };
                assert_eq!(plain_end(text.as_bytes(), 0), wanted, "{text:?}");
            }
        }
        assert_eq!(plain_end("abc\u{7f} äöü".as_bytes(), 1), 11);
    }

    #[test]
    fn numbers_follow_the_grammar() {
        for (text, form) in [
            ("0", Some(NumberForm::Short)),
            ("-12", Some(NumberForm::Short)),
            ("123456789012345678", Some(NumberForm::Short)),
            ("1234567890123456789", Some(NumberForm::Long)),
            ("-0", Some(NumberForm::Long)),
            ("0.5", Some(NumberForm::Long)),
            ("1e9", Some(NumberForm::Long)),
            ("1E+9", Some(NumberForm::Long)),
            ("-", None),
            ("1.", None),
            ("01", None),
            ("1e", None),
            ("1e+", None),
        ] {
            let mut scanner = Scanner::<true>::new(text);
            assert_eq!(scanner.number().ok(), form, "{text}");
            assert!(form.is_none() || scanner.at() == text.len(), "{text}");
        }
    }

    #[test]
    fn what_nobody_reads_must_still_be_json() {
        let deep = format!("{}1{}", "[{\"a\":".repeat(1_000), "}]".repeat(1_000));
        let good = [
            "null",
            "[]",
            "{}",
            "[ 1 , \"a\\u12aB\\n\" ,true,false]",
            "{\"a\":{},\"b\":[[]]}",
            "1e999",
            deep.as_str(),
        ];
        for text in good {
            let mut scanner = Scanner::<true>::new(text);
            assert_eq!(scanner.skip(), Ok(()), "{text}");
            assert_eq!(scanner.at(), text.len(), "{text}");
        }
        for text in [
            "",
            "nul",
            "[",
            "[1",
            "[1,]",
            "[,]",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "[}",
            "\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\n\"",
            "tru",
            "+1",
            ".5",
        ] {
            assert_eq!(Scanner::<true>::new(text).skip(), Err(Malformed), "{text}");
        }
    }
}
