//! JSON text to documents: one after another, as kubectl reads a stream that starts with `{`.
//!
//! The walk here finds where values stand. Strings and numbers are read by serde_json, and so are faulty
//! texts, for its messages.

use serde_json::Value;

use super::build::{Builder, Written, place};
use super::error::{SourceError, SourceErrorKind};
use super::scalar::float_value;
use super::span::{Form, Place, small};
use super::text::slice;
use super::{Document, yaml};

/// Reads all documents of `text`.
///
/// kubectl takes a stream for JSON as long as it can be: where the first or second document is not
/// JSON, it reads the rest as YAML, of which flow mappings also start with a brace.
pub(super) fn parse(text: &str, documents: &mut Vec<Result<Document, SourceError>>) {
    let mut at = 0;
    let mut count = 0;
    loop {
        let rest = slice(text, at..text.len());
        let start = at + rest.len() - rest.trim_start_matches(WHITESPACE).len();
        if start == text.len() {
            return;
        }
        let mut walk = Walk { text, at: start, builder: Builder::new(false) };
        match walk.value() {
            Ok(()) => {
                at = walk.at;
                count += 1;
                documents.extend(walk.builder.finish(start..at).map(Ok));
            }
            Err(Fault::Refused(error)) => return documents.push(Err(error)),
            Err(Fault::Syntax) => {
                let error = explain(text, start);
                if count > 1 {
                    return documents.push(Err(error));
                }
                // The line break after a document is no part of the next.
                let gap = slice(text, at..start);
                let from = gap.find('\n').map_or(start, |line| at + line + 1);
                return fall_back(text, from, error, documents);
            }
        }
    }
}

/// Reads the rest as YAML. If that fails too, the fault is that of the language it is more likely to be.
fn fall_back(
    text: &str,
    from: usize,
    error: SourceError,
    documents: &mut Vec<Result<Document, SourceError>>,
) {
    let first = documents.len();
    yaml::parse(text, from, documents);
    let inside = slice(text, from..text.len()).trim_start().strip_prefix('{');
    let is_json = inside.is_some_and(|inside| {
        let inside = inside.trim_start();
        inside.starts_with(['"', '}']) || is_comment(inside)
    });
    if let Some(Err(found)) = documents.get_mut(first)
        && is_json
        && found.kind != SourceErrorKind::Template
    {
        *found = error;
    }
}

const WHITESPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// serde_json's message for a text that the walk could not read.
fn explain(text: &str, start: usize) -> SourceError {
    let rest = slice(text, start..text.len());
    let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<serde::de::IgnoredAny>();
    let (message, offset) = match stream.next() {
        Some(Err(error)) => {
            let line_start = match error.line().checked_sub(2) {
                Some(breaks) => rest.match_indices('\n').nth(breaks).map_or(0, |(at, _)| at + 1),
                None => 0,
            };
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or_default().to_owned();
            (message, line_start + error.column().saturating_sub(1))
        }
        _ => ("not a JSON value".to_owned(), 0),
    };
    let mut offset = (start + offset).min(text.len());
    // serde_json counts bytes and may stop inside a character.
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let help = match is_comment(slice(text, offset..text.len())) {
        true => "remove the comment: JSON has none",
        false => "check the commas, quotes and brackets before this place",
    };
    SourceError::new(SourceErrorKind::Json, offset, message, help)
}

/// Whether a text begins with a comment as some programs take them in JSON.
fn is_comment(text: &str) -> bool {
    ["//", "/*"].iter().any(|sign| text.starts_with(sign))
}

/// Why the walk stopped.
enum Fault {
    /// Not JSON.
    Syntax,
    /// JSON, but not taken.
    Refused(SourceError),
}

impl From<SourceError> for Fault {
    fn from(error: SourceError) -> Self {
        Self::Refused(error)
    }
}

struct Walk<'t> {
    text: &'t str,
    at: usize,
    builder: Builder,
}

impl Walk<'_> {
    /// Reads one value. The builder's limit of depth bounds the recursion.
    fn value(&mut self) -> Result<(), Fault> {
        let start = self.at;
        match self.peek() {
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(b'"') => {
                let text = self.string()?;
                self.scalar(start, Value::String(text))
            }
            Some(b'-' | b'0'..=b'9') => {
                let value = self.number()?;
                self.scalar(start, value)
            }
            Some(b't') => self.literal("true", Value::Bool(true)),
            Some(b'f') => self.literal("false", Value::Bool(false)),
            Some(b'n') => self.literal("null", Value::Null),
            _ => Err(Fault::Syntax),
        }
    }

    fn object(&mut self) -> Result<(), Fault> {
        self.builder.open_map(self.opening(Form::FlowMap))?;
        self.at += 1;
        if !self.closes(b'}') {
            loop {
                self.skip_space();
                let start = self.at;
                let name = self.string()?;
                self.builder.key(name, place(start..self.at), false);
                self.skip_space();
                self.expect(b':')?;
                self.skip_space();
                self.value()?;
                if self.closes(b'}') {
                    break;
                }
                self.expect(b',')?;
            }
        }
        Ok(self.builder.close(Some(small(self.at)))?)
    }

    fn array(&mut self) -> Result<(), Fault> {
        self.builder.open_seq(self.opening(Form::FlowSeq))?;
        self.at += 1;
        if !self.closes(b']') {
            loop {
                self.skip_space();
                self.value()?;
                if self.closes(b']') {
                    break;
                }
                self.expect(b',')?;
            }
        }
        Ok(self.builder.close(Some(small(self.at)))?)
    }

    fn string(&mut self) -> Result<String, Fault> {
        let start = self.at;
        self.expect(b'"')?;
        let inside = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let mut escaped = false;
        let mut end = 0;
        loop {
            match inside.get(end) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    end += 2;
                }
                Some(0x20..) => end += 1,
                _ => return Err(Fault::Syntax),
            }
        }
        let content = self.at..self.at + end;
        self.at = content.end + 1;
        if escaped {
            serde_json::from_str(slice(self.text, start..self.at)).map_err(|_| Fault::Syntax)
        } else {
            Ok(slice(self.text, content).to_owned())
        }
    }

    fn number(&mut self) -> Result<Value, Fault> {
        let start = self.at;
        while matches!(self.peek(), Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')) {
            self.at += 1;
        }
        let digits = slice(self.text, start..self.at);
        if digits.parse::<f64>().is_ok_and(f64::is_infinite) {
            return Err(Fault::Refused(SourceError::new(
                SourceErrorKind::Json,
                start,
                format!("number {digits} is out of range"),
                "write a smaller one",
            )));
        }
        let number: serde_json::Number = serde_json::from_str(digits).map_err(|_| Fault::Syntax)?;
        // As kubectl sends it on: 1.0 is 1.
        let whole = number.as_f64().filter(|_| number.is_f64()).and_then(float_value);
        Ok(whole.unwrap_or(Value::Number(number)))
    }

    fn literal(&mut self, word: &str, value: Value) -> Result<(), Fault> {
        let start = self.at;
        if !slice(self.text, start..self.text.len()).starts_with(word) {
            return Err(Fault::Syntax);
        }
        self.at += word.len();
        self.scalar(start, value)
    }

    fn scalar(&mut self, start: usize, value: Value) -> Result<(), Fault> {
        let place = place(start..self.at);
        Ok(self.builder.scalar(value, Written { form: Form::Scalar, place, anchor: 0 })?)
    }

    fn opening(&self, form: Form) -> Written {
        Written { form, place: self.here(), anchor: 0 }
    }

    fn here(&self) -> Place {
        place(self.at..self.at + 1)
    }

    /// Takes `bracket` if it comes next.
    fn closes(&mut self, bracket: u8) -> bool {
        self.skip_space();
        self.expect(bracket).is_ok()
    }

    fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.peek() != Some(byte) {
            return Err(Fault::Syntax);
        }
        self.at += 1;
        Ok(())
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}
