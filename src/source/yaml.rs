//! YAML text to documents: granit-parser's events, go-yaml's meaning.

use std::borrow::Cow;
use std::ops::Range;

use granit_parser::{ErrorKind, Event, Options, Parser, ScalarStyle, ScanError, Span, StructureStyle, Tag};
use serde_json::Value;

use super::build::{Builder, Written, place, too_deep};
use super::colon::Colons;
use super::error::{SourceError, SourceErrorKind};
use super::scalar::{self, Scalar};
use super::span::{Form, Place};
use super::text::slice;
use super::{Document, Notice, placeholder};
use crate::model::{Brief, beginning};

const SEPARATOR: &str = "---";

/// What to do about a template.
const TEMPLATE_HELP: &str = "render it first with the tool that it is for (helm template, ansible, oc process, envsubst), and judge what \
                             comes out";

/// How many headers of block scalars that stand below their key, and comments without a space before them, are taken in one
/// document: each means reading it once more.
const MOST_RETRIES: usize = 64;

/// Where `!!` tags live.
const CORE: &str = "tag:yaml.org,2002:";

/// Reads all documents of `text` from byte `from` on.
pub(super) fn parse(text: &str, from: usize, documents: &mut Vec<Result<Document, SourceError>>) {
    let mut start = from;
    let mut line = from;
    // As kubectl does it: a line that starts with `---` ends a document, wherever it stands.
    while let Some(rest) = text.get(line..) {
        let Some(at) = next_separator(rest) else { break };
        let separator = line + at;
        documents.extend(parse_one(text, start..separator).transpose());
        let after = separator + SEPARATOR.len();
        let end = slice(text, after..text.len()).find('\n').map_or(text.len(), |at| after + at + 1);
        let tail = slice(text, after..end).trim();
        if !tail.is_empty() && !tail.starts_with('#') {
            documents.push(Err(SourceError::new(
                SourceErrorKind::Yaml,
                after,
                format!("{:?} stands on the line of a document separator", beginning(tail, 200)),
                "put it on a line of its own; kubectl takes nothing but a comment after `---`",
            )));
        }
        start = end;
        line = end;
    }
    documents.extend(parse_one(text, start..text.len()).transpose());
}

/// The first line of `text` that starts with `---`.
fn next_separator(text: &str) -> Option<usize> {
    if text.starts_with(SEPARATOR) { Some(0) } else { text.find("\n---").map(|at| at + 1) }
}

/// Reads the one document in `range` of `text`; `None` if there is none.
pub(super) fn parse_one(text: &str, range: Range<usize>) -> Result<Option<Document>, SourceError> {
    let chunk = slice(text, range.clone());
    let mut colons = Colons::new(chunk);
    let mut retries = MOST_RETRIES;
    loop {
        let reader = Reader { text, chunk, colons: &colons, base: range.start, end_of_last: range.start };
        match reader.read(range.clone()) {
            Err(error) if retries > 0 && colons.adapt(error.offset.saturating_sub(range.start)) => {
                retries -= 1;
            }
            read => return read,
        }
    }
}

struct Reader<'t> {
    text: &'t str,
    /// The document's part of the text.
    chunk: &'t str,
    /// The same for the parser.
    colons: &'t Colons<'t>,
    /// Where it starts in the text.
    base: usize,
    end_of_last: usize,
}

impl<'t> Reader<'t> {
    fn read(mut self, range: Range<usize>) -> Result<Option<Document>, SourceError> {
        self.check_breaks()?;
        let mut options = Options::default();
        options.emit_comments = false;
        // What libyaml, and so go-yaml, does with a byte-order mark.
        options.bom_inside_document_as_content = true;
        let mut builder = Builder::new(self.chunk.contains('*'));
        let mut ended = false;
        for event in Parser::new_from_str_with_options(&self.colons.text, options) {
            let (event, span) = match event {
                Ok(found) => found,
                // What stands after the document's end is not read by kubectl either.
                Err(_) if ended => break,
                Err(error) => return Err(self.explain(&error)),
            };
            match event {
                Event::DocumentEnd => ended = true,
                Event::DocumentStart(..) if ended => {
                    return self.more_text(builder, range, &span).map(Some);
                }
                event => self.event(event, &span, &mut builder).map_err(|error| self.hint(error))?,
            }
        }
        Ok(builder.finish(range))
    }

    /// Refuses the line breaks of YAML 1.1 that YAML 1.2 does not have: kubectl would read another text,
    /// such as a field where a person sees a comment.
    fn check_breaks(&self) -> Result<(), SourceError> {
        if self.chunk.is_ascii() {
            return Ok(());
        }
        let found = self.chunk.char_indices().find(|(_, c)| matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}'));
        found.map_or(Ok(()), |(at, c)| {
            let code = u32::from(c);
            Err(SourceError::new(
                SourceErrorKind::Encoding,
                self.base + at,
                format!("kubectl breaks the line at this character, U+{code:04X}, and other readers do not"),
                format!("remove it, or write \"\\u{code:04x}\" in double quotes"),
            ))
        })
    }

    fn event(&mut self, event: Event<'t>, span: &Span, builder: &mut Builder) -> Result<(), SourceError> {
        let place = self.place(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let text = self.colons.restore(text);
                self.scalar(text, style, anchor, tag.as_deref(), span, builder)?;
            }
            Event::Alias(anchor) if builder.wants_key() => {
                let name = alias_key(builder.anchored(anchor), place)?;
                builder.aliased_key(name.len(), place)?;
                builder.key(name, place, false);
            }
            Event::Alias(anchor) => builder.alias(anchor, place)?,
            Event::MappingStart(..) | Event::SequenceStart(..) if builder.wants_key() => {
                return Err(unsupported(place, "a key is itself an object or array", "write a plain key"));
            }
            Event::MappingStart(style, anchor, _) => {
                let form = if style == StructureStyle::Flow { Form::FlowMap } else { Form::BlockMap };
                builder.open_map(Written { form, place, anchor })?;
            }
            Event::SequenceStart(style, anchor, _) => {
                let form = if style == StructureStyle::Flow { Form::FlowSeq } else { Form::BlockSeq };
                builder.open_seq(Written { form, place, anchor })?;
            }
            Event::MappingEnd | Event::SequenceEnd => {
                // The end of a flow collection is its bracket; that of a block one is the next token.
                let end = (place.end > place.start).then_some(place.end);
                builder.close(end)?;
            }
            _ => {}
        }
        self.end_of_last = self.end_of_last.max(place.end as usize);
        Ok(())
    }

    fn scalar(
        &mut self,
        text: Cow<'t, str>,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        span: &Span,
        builder: &mut Builder,
    ) -> Result<(), SourceError> {
        let mut place = self.place(span);
        let is_key = builder.wants_key();
        let plain = style == ScalarStyle::Plain;
        // For an absent value the parser says `~`.
        let text = if plain && place.start == place.end { Cow::Borrowed("") } else { text };
        if matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
            place = self.block_scalar(place);
        }
        if is_key && plain && text == "<<" && tag.is_none_or(is_merge_tag) {
            builder.key(text.into_owned(), place, true);
            return Ok(());
        }
        let (read, text) = match tag {
            None if plain => (scalar::resolve(&text), text),
            None => (Scalar::Text, text),
            Some(tag) => tagged(tag, text, place, builder)?,
        };
        if is_key && plain && builder.is_inside_flow() {
            self.check_colon(&text, place)?;
        }
        if plain && text.starts_with('?') && builder.is_inside_flow() {
            let message = "kubectl takes a `?` in brackets or braces for the sign of a key";
            return Err(unsupported(place, message, "put the word in quotes"));
        }
        if is_key {
            let bytes = text.len();
            let name = key_name(read, text, place)?;
            if anchor != 0 {
                builder.anchor_key(anchor, key_value(read, &name, place)?, bytes);
            }
            builder.key(name, place, false);
            return Ok(());
        }
        let value = value(read, text, place)?;
        builder.scalar(value, Written { form: Form::Scalar, place, anchor })
    }

    /// Refuses `{a:, …}`: to kubectl the colon is part of the key there, to YAML 1.2 it is not.
    fn check_colon(&self, key: &str, place: Place) -> Result<(), SourceError> {
        let after = slice(self.text, place.end as usize..self.base + self.chunk.len()).trim_start();
        let name = match after.as_bytes() {
            [b':', b',' | b'}' | b']', ..] => key,
            // Read as kubectl does, it is a key without a value.
            [b',' | b'}', ..] if key.ends_with(':') => key.trim_end_matches(':'),
            _ => return Ok(()),
        };
        let message = format!("kubectl takes the colon for a part of the key {:?}", beginning(name, 200));
        Err(unsupported(place, message, "put a space after the colon"))
    }

    fn place(&self, span: &Span) -> Place {
        let range = span.byte_range().unwrap_or_default();
        place(self.base + range.start..self.base + range.end)
    }

    /// The place of a `|` or `>` scalar with its header; the parser gives that of its lines, and of the
    /// blank ones and the next line's indentation after them.
    fn block_scalar(&self, lines: Place) -> Place {
        let content = lines.range();
        let before = slice(self.text, self.end_of_last..content.start);
        let header_line = before.trim_end().rfind('\n').map_or(0, |at| at + 1);
        let header = slice(before, header_line..before.len());
        let found = header.match_indices(['|', '>']).find(|(at, _)| is_header(header, *at));
        let start = found.map_or(content.start, |(at, _)| self.end_of_last + header_line + at);
        let keeps = found.is_some_and(|(at, _)| {
            let signs = slice(header, at + 1..header.len());
            signs.bytes().take_while(u8::is_ascii_graphic).any(|b| b == b'+')
        });
        let inside = slice(self.text, content.clone());
        let end = if keeps {
            // Blank lines are part of the value: up to, not with, the last line break.
            let inside = inside.trim_end_matches([' ', '\t']);
            content.start + inside.strip_suffix('\n').unwrap_or(inside).len()
        } else {
            content.start + inside.trim_end().len()
        };
        let header_end = self.end_of_last + before.trim_end().len();
        place(start..if inside.trim_end().is_empty() && !keeps { header_end.max(start) } else { end })
    }

    /// A document followed by another one after `...`: kubectl does not read on.
    fn more_text(&self, builder: Builder, range: Range<usize>, span: &Span) -> Result<Document, SourceError> {
        const MESSAGE: &str = "the text after `...` is not read";
        let here = self.place(span).range();
        match builder.finish(range) {
            Some(mut document) => {
                let message = format!("{MESSAGE}: kubectl separates documents by `---` only");
                document.notices.push(Notice { message, span: here });
                Ok(document)
            }
            None => Err(SourceError::new(
                SourceErrorKind::Yaml,
                here.start,
                MESSAGE,
                "separate documents by `---`",
            )),
        }
    }

    fn explain(&self, error: &ScanError) -> SourceError {
        let offset = self.base + error.marker().byte_offset().unwrap_or_default();
        let tab_help = "indent with spaces: YAML takes no tabs";
        let (offset, help) = match error.kind() {
            ErrorKind::RecursionLimitExceeded => return too_deep(offset),
            ErrorKind::TabInPlainScalar
            | ErrorKind::TabInIndentation
            | ErrorKind::TabInBlockIndentation
            | ErrorKind::TabAtBlockScalarStart
            | ErrorKind::TabNotAllowed => (self.tab_after(offset), tab_help),
            ErrorKind::UnknownAnchor => (offset, "define the anchor before the alias, in the same document"),
            ErrorKind::MappingValueNotAllowed => {
                (offset, "check the indentation, or quote a value that has `: ` in it")
            }
            ErrorKind::UnexpectedCharacter { .. } => {
                (offset, "quote a value that starts with a special character")
            }
            ErrorKind::ExpectedDocumentStart if self.chunk.trim_start().starts_with('%') => {
                (self.base, "remove the `%` line: kubectl does not take directives")
            }
            ErrorKind::UnclosedQuotedScalar | ErrorKind::DocumentIndicatorInQuotedScalar => {
                (offset, "close the quote")
            }
            _ if self.starts_line_with_tab(offset) => (offset, tab_help),
            _ => (offset, "check the indentation and the quotes here and on the line before"),
        };
        self.hint(SourceError::new(SourceErrorKind::Yaml, offset, error.info(), help))
    }

    /// The tab that the parser complains of: it names the start of the scalar before.
    fn tab_after(&self, offset: usize) -> usize {
        let line = slice(self.text, self.base..offset).rfind('\n').map_or(self.base, |at| self.base + at + 1);
        let rest = slice(self.text, line..self.base + self.chunk.len());
        let mut start = line;
        for line in rest.split_inclusive('\n') {
            let indentation = line.len() - line.trim_start_matches([' ', '\t']).len();
            if let Some(tab) = slice(line, 0..indentation).find('\t') {
                return start + tab;
            }
            start += line.len();
        }
        offset
    }

    fn starts_line_with_tab(&self, offset: usize) -> bool {
        let before = slice(self.text, self.base..offset);
        let line = before.rfind('\n').map_or(0, |at| at + 1);
        let indentation = slice(before, line..before.len());
        indentation.trim().is_empty()
            && slice(self.text, self.base + line..self.text.len()).trim_start_matches(' ').starts_with('\t')
    }

    /// Says so if the fault comes from a template that was not rendered.
    fn hint(&self, error: SourceError) -> SourceError {
        let sign = self.placeholder(error.offset).filter(|_| error.kind != SourceErrorKind::Limit);
        let Some(sign) = sign else { return error };
        SourceError {
            kind: SourceErrorKind::Template,
            message: format!(
                "this looks like a template: {} stands for what is put in later ({})",
                Brief(sign),
                error.message
            ),
            help: TEMPLATE_HELP.into(),
            ..error
        }
    }

    /// The placeholder of a template in the line of that byte.
    fn placeholder(&self, offset: usize) -> Option<&'t str> {
        let end_of_line = |rest: &str| rest.find('\n').unwrap_or(rest.len());
        let at = offset.checked_sub(self.base)?;
        let (before, rest) = self.chunk.split_at_checked(at)?;
        let start = before.rfind('\n').map_or(0, |line| line + 1);
        placeholder::in_line(self.chunk.get(start..at + end_of_line(rest))?, at - start)
    }
}

/// Whether the sign at `at` opens a block scalar: indicators, then at most a comment.
fn is_header(line: &str, at: usize) -> bool {
    let alone = slice(line, 0..at).chars().next_back().is_none_or(char::is_whitespace);
    let after = slice(line, at + 1..line.len());
    let rest = after.trim_start_matches(['+', '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
    alone && (rest.trim().is_empty() || rest.starts_with([' ', '\t']) && rest.trim_start().starts_with('#'))
}

/// Whether `<<` with this tag is a merge key still.
fn is_merge_tag(tag: &Tag) -> bool {
    is_non_specific(tag) || tag.suffix_in_namespace(CORE).as_deref() == Some("merge")
}

/// Whether the tag is `!`, which says nothing.
fn is_non_specific(tag: &Tag) -> bool {
    matches!((tag.handle(), tag.suffix()), ("!", "") | ("", "!"))
}

/// Reads a scalar with a tag, as go-yaml v2 does: a tag it does not know makes a string.
fn tagged<'t>(
    tag: &Tag,
    text: Cow<'t, str>,
    place: Place,
    builder: &mut Builder,
) -> Result<(Scalar, Cow<'t, str>), SourceError> {
    let read = scalar::resolve(&text);
    let fits = match (tag.suffix_in_namespace(CORE).as_deref(), read) {
        (Some("str" | "timestamp"), _) => return Ok((Scalar::Text, text)),
        (Some("binary"), _) => {
            let bytes = scalar::base64(&text)
                .ok_or_else(|| unsupported(place, "a !!binary value is not base64", "encode it again"))?;
            return Ok((Scalar::Text, scalar::lossy(&bytes).into()));
        }
        (Some("bool"), Scalar::Bool(_))
        | (Some("int"), Scalar::Int(_) | Scalar::Big(_))
        | (Some("float"), Scalar::Float(_))
        | (Some("null"), Scalar::Null) => read,
        #[allow(clippy::cast_precision_loss)] // as in Go
        (Some("float"), Scalar::Int(int)) => Scalar::Float(int as f64),
        (Some(name @ ("bool" | "int" | "float" | "null")), _) => {
            let message = format!("{:?} is not a !!{name}", beginning(&text, 200));
            return Err(unsupported(place, message, "correct the value or remove the tag"));
        }
        _ => {
            if !is_non_specific(tag) {
                let tag = Brief(tag.original());
                let message = format!("unknown tag {tag}: the value is read as a string");
                builder.note(message, place);
            }
            return Ok((Scalar::Text, text));
        }
    };
    Ok((fits, text))
}

fn value(read: Scalar, text: Cow<'_, str>, place: Place) -> Result<Value, SourceError> {
    Ok(match read {
        Scalar::Null => Value::Null,
        Scalar::Bool(bool) => bool.into(),
        Scalar::Int(int) => int.into(),
        Scalar::Big(big) => big.into(),
        Scalar::Float(float) => scalar::float_value(float).ok_or_else(|| {
            unsupported(
                place,
                format!("JSON has no number {}", Brief(&text)),
                "quote it if a string is meant",
            )
        })?,
        Scalar::Text => Value::String(text.into_owned()),
    })
}

fn key_name(read: Scalar, text: Cow<'_, str>, place: Place) -> Result<String, SourceError> {
    Ok(match read {
        Scalar::Text => text.into_owned(),
        Scalar::Bool(bool) => bool.to_string(),
        Scalar::Int(int) => int.to_string(),
        Scalar::Float(float) => scalar::float_key(float),
        Scalar::Null | Scalar::Big(_) => {
            let message = if text.is_empty() {
                "a key is empty".to_owned()
            } else {
                format!("{} cannot be a key", Brief(&text))
            };
            return Err(unsupported(place, message, "quote the key if a string is meant"));
        }
    })
}

/// What an alias to a key gives: the key's value, not its name.
fn key_value(read: Scalar, name: &str, place: Place) -> Result<Value, SourceError> {
    value(read, Cow::Borrowed(name), place)
}

fn alias_key(value: Option<&Value>, place: Place) -> Result<String, SourceError> {
    match value {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Bool(bool)) => Ok(bool.to_string()),
        Some(Value::Number(number)) => Ok(match number.as_f64() {
            Some(float) if number.is_f64() => scalar::float_key(float),
            _ => number.to_string(),
        }),
        _ => Err(unsupported(place, "this alias stands for no key", "write the key out")),
    }
}

fn unsupported(place: Place, message: impl Into<String>, help: &'static str) -> SourceError {
    SourceError::new(SourceErrorKind::Unsupported, place.start as usize, message, help)
}
