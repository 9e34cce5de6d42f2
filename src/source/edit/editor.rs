//! One change of the text.

use super::super::Document;
use super::super::render::{self, Style};
use super::super::span::{Form, NO_KEY, Node};
use super::super::text::slice;
use super::{EditError, Trail, newline};
use crate::model::Segment;
use json_patch::PatchOperation;
use json_patch::jsonptr::Pointer;
use serde_json::{Map, Value};

/// What a pointer points to.
pub(super) enum Place {
    /// A value that is written in the text.
    Old(Trail),
    /// A field that this object does not have, or only by a merge key.
    New(Trail, String),
    /// An item of this array, or the place after the last.
    Item(Trail, usize),
}

/// One change: what stands between two bytes is replaced.
pub(super) struct Edit {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) text: String,
}

impl Edit {
    pub(super) fn apply(&self, chunk: &str) -> String {
        [slice(chunk, 0..self.start), &self.text, slice(chunk, self.end..chunk.len())].concat()
    }
}

pub(super) struct Editor<'a> {
    chunk: &'a str,
    doc: &'a Document,
    is_json: bool,
    style: Style,
    /// Where each line starts.
    lines: Vec<usize>,
}

impl<'a> Editor<'a> {
    /// For the text of one document, which reads as this one.
    pub(super) fn new(chunk: &'a str, doc: &'a Document, is_json: bool) -> Self {
        let style = Style { newline: newline(chunk), dash_indent: 0 };
        let lines = std::iter::once(0).chain(chunk.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let editor = Self { chunk, doc, is_json, style, lines };
        Self { style: Style { dash_indent: editor.dash_indent(), ..style }, ..editor }
    }

    /// What one operation changes in the text; nothing where the text is laid out in a way that is not edited.
    pub(super) fn carry_out(&self, step: &PatchOperation) -> Result<Option<Edit>, EditError> {
        let path = step.path();
        let place = self.locate(path)?;
        Ok(match (step, place) {
            (PatchOperation::Add(add), Place::New(parent, key)) => self.insert(&parent, key, &add.value),
            (PatchOperation::Add(add), Place::Item(parent, at)) => self.insert_item(&parent, at, &add.value),
            (PatchOperation::Add(add), Place::Old(trail)) => self.replace(&trail, &add.value),
            (PatchOperation::Replace(replace), Place::Old(trail)) => self.replace(&trail, &replace.value),
            (PatchOperation::Replace(replace), Place::Item(parent, at)) => {
                let trail = self.below(&parent, &Segment::Index(at));
                trail.and_then(|trail| self.replace(&trail, &replace.value))
            }
            (PatchOperation::Replace(replace), Place::New(parent, key)) => {
                self.insert(&parent, key, &replace.value)
            }
            (PatchOperation::Remove(_), Place::Old(trail)) => self.remove(&trail),
            (PatchOperation::Remove(_), Place::Item(parent, at)) => {
                let trail = self.below(&parent, &Segment::Index(at));
                trail.and_then(|trail| self.remove(&trail))
            }
            (PatchOperation::Remove(_), Place::New(..)) => {
                return Err(EditError::Aliased { path: path.to_string() });
            }
            _ => None,
        })
    }

    fn locate(&self, path: &Pointer) -> Result<Place, EditError> {
        let aliased = || EditError::Aliased { path: path.to_string() };
        let mut trail = vec![0];
        let mut value = &self.doc.value;
        let mut tokens = path.tokens().peekable();
        while let Some(token) = tokens.next() {
            let token = token.decoded();
            let last = tokens.peek().is_none();
            let at = trail.last().copied().unwrap_or_default();
            if self.doc.spans.node(at).is_none_or(|node| node.form == Form::Alias) {
                return Err(aliased());
            }
            let segment = match value {
                Value::Array(items) => {
                    let index = if token == "-" { items.len() } else { token.parse().unwrap_or(usize::MAX) };
                    if last {
                        return Ok(Place::Item(trail, index));
                    }
                    Segment::Index(index)
                }
                _ => Segment::Key(token.into_owned().into()),
            };
            let below = match &segment {
                Segment::Index(index) => value.get(index),
                Segment::Key(key) => value.get(key.as_ref()),
            };
            let child = self.doc.spans.child(at, &segment);
            let merged = child.is_some_and(|child| self.is_merged(child));
            match (below, child, segment) {
                (Some(below), Some(child), _) if !merged => {
                    value = below;
                    trail.push(child);
                }
                (_, _, Segment::Key(key)) if last => return Ok(Place::New(trail, key.into_owned())),
                _ => return Err(aliased()),
            }
        }
        Ok(Place::Old(trail))
    }

    /// Whether the field came by a merge key.
    fn is_merged(&self, index: usize) -> bool {
        self.node(index)
            .is_some_and(|node| node.form == Form::Alias && slice(self.chunk, node.key.range()) == "<<")
    }

    fn node(&self, index: usize) -> Option<&Node> {
        self.doc.spans.node(index)
    }

    fn below(&self, trail: &[usize], segment: &Segment) -> Option<Trail> {
        let child = self.doc.spans.child(*trail.last()?, segment)?;
        Some(trail.iter().copied().chain([child]).collect())
    }

    /// Whether a value stands inside brackets or braces, where no line break means anything.
    fn is_inside(&self, trail: &[usize]) -> bool {
        let above = trail.split_last().map_or(&[][..], |(_, above)| above);
        above.iter().any(|index| self.node(*index).is_some_and(|node| is_flow(node.form)))
    }

    /// Adds a field to an object that does not have it.
    fn insert(&self, trail: &[usize], key: String, value: &Value) -> Option<Edit> {
        let index = *trail.last()?;
        let node = self.node(index)?;
        let Some((_, first)) = self.doc.spans.children(index).next() else {
            let fields = Map::from_iter([(key, value.clone())]);
            return self.replace(trail, &Value::Object(fields));
        };
        if node.form == Form::BlockMap {
            let column = self.column(first.key.start as usize);
            let mut text = String::new();
            self.style.field(&mut text, &key, value, column);
            return Some(self.new_lines(end(node), column, &text));
        }
        let (_, last) = self.doc.spans.children(index).last()?;
        let mut text = self.separator(start(last));
        let indent = self.indent_of_line(start(last));
        if self.is_json {
            text.push_str(&format!("{}: ", Value::from(key)));
            render::json(&mut text, value, indent.map(|indent| (self.style.newline, indent)));
        } else {
            render::string(&mut text, &key, true);
            text.push_str(": ");
            render::flow(&mut text, value, true);
        }
        Some(Edit { start: end(last), end: end(last), text })
    }

    /// Adds an item to an array before item `at`, or after the last.
    fn insert_item(&self, trail: &[usize], at: usize, value: &Value) -> Option<Edit> {
        let index = *trail.last()?;
        let node = self.node(index)?;
        let Some((last_index, last)) = self.doc.spans.children(index).last() else {
            return self.replace(trail, &Value::Array(vec![value.clone()]));
        };
        let next = self.doc.spans.child(index, &Segment::Index(at));
        if node.form == Form::BlockSeq {
            let dash_of = |item: usize| self.dash(&trail.iter().copied().chain([item]).collect::<Vec<_>>());
            let mut text = "- ".to_owned();
            let Some(next) = next else {
                let column = self.column(dash_of(last_index)?);
                self.style.block(&mut text, value, column + 2);
                return Some(self.new_lines(end(node), column, &text));
            };
            let dash = dash_of(next)?;
            let column = self.column(dash);
            self.style.block(&mut text, value, column + 2);
            self.style.new_line(&mut text, column);
            return Some(Edit { start: dash, end: dash, text });
        }
        let mut item = String::new();
        let beside = next.and_then(|next| self.node(next)).unwrap_or(last);
        if self.is_json {
            let indent = self.indent_of_line(start(beside));
            render::json(&mut item, value, indent.map(|indent| (self.style.newline, indent)));
        } else {
            render::flow(&mut item, value, true);
        }
        let separator = self.separator(start(beside));
        Some(match next {
            None => Edit { start: end(last), end: end(last), text: separator + &item },
            Some(_) => Edit { start: start(beside), end: start(beside), text: item + &separator },
        })
    }

    /// Puts a value in the place of another.
    fn replace(&self, trail: &[usize], value: &Value) -> Option<Edit> {
        let node = self.node(*trail.last()?)?;
        let (start, end) = (node.value.start as usize, node.value.end as usize);
        let mut text = String::new();
        if self.is_json {
            let line = self.line_start(start);
            let indent = slice(self.chunk, line..start);
            let indent = slice(indent, 0..indent.len() - indent.trim_start().len());
            let lines = self.chunk.contains('\n');
            render::json(&mut text, value, lines.then_some((self.style.newline, indent)));
            return Some(Edit { start, end, text });
        }
        if self.is_inside(trail) {
            render::flow(&mut text, value, true);
            return Some(self.fill(node, start, end, text));
        }
        let was_block = matches!(node.form, Form::BlockMap | Form::BlockSeq);
        if was_block && !render::is_inline(value) {
            // In the old block's place; an array starts at its first dash.
            let from = if node.form == Form::BlockSeq { self.first_dash(trail)? } else { start };
            self.style.block(&mut text, value, self.column(from));
            return Some(Edit { start: from, end, text });
        }
        if was_block {
            // From the colon or dash on, unless the block begins on that line.
            let owner = self.owner_end(trail)?;
            render::flow(&mut text, value, false);
            let from = if node.form == Form::BlockSeq { self.first_dash(trail)? } else { start };
            let starts_below = slice(self.chunk, owner..from).contains('\n');
            return Some(if starts_below && trail.len() > 1 {
                Edit { start: owner, end, text: format!(" {text}") }
            } else {
                Edit { start: from, end, text }
            });
        }
        if render::is_inline(value) || trail.len() == 1 || node.key == NO_KEY {
            // A value on its line, or a block that may start there: after a dash, or at the root.
            let column = if render::is_inline(value) || trail.len() == 1 {
                0
            } else {
                self.column(self.dash(trail)?) + 2
            };
            self.style.block(&mut text, value, column);
            return Some(self.fill(node, start, end, text));
        }
        // A block below the key's line; what else stands on that line stays there.
        let owner = self.owner_end(trail)?;
        let from = owner.max(slice(self.chunk, 0..start.max(owner)).trim_end().len());
        let to = end.max(owner);
        let rest_end = self.line_end(to);
        let column =
            self.column(node.key.start as usize) + if value.is_array() { self.style.dash_indent } else { 2 };
        text.push_str(slice(self.chunk, to..rest_end));
        self.style.new_line(&mut text, column);
        self.style.block(&mut text, value, column);
        Some(Edit { start: from, end: rest_end, text })
    }

    /// Puts `text` in the place of a value on its line; an absent value has its place after the colon.
    fn fill(&self, node: &Node, start: usize, end: usize, text: String) -> Edit {
        if start < end {
            return Edit { start, end, text };
        }
        let key_end = node.key.end as usize;
        let colon = slice(self.chunk, key_end..self.chunk.len()).find(':').map(|at| key_end + at + 1);
        let (from, to) = match colon {
            // White space between is taken in; an anchor or a tag stays.
            Some(colon) if key_end > 0 && start <= colon => (colon, colon),
            Some(colon) if key_end > 0 && slice(self.chunk, colon..start).trim().is_empty() => (colon, start),
            _ => (start, start),
        };
        let spaced = slice(self.chunk, 0..from).ends_with([' ', '\t', '\n']);
        Edit { start: from, end: to, text: if spaced { text } else { format!(" {text}") } }
    }

    /// Takes a field or an item out.
    fn remove(&self, trail: &[usize]) -> Option<Edit> {
        let (&index, above) = trail.split_last()?;
        let parent_index = *above.last()?;
        let parent = self.node(parent_index)?;
        let node = self.node(index)?;
        let siblings: Vec<(usize, &Node)> = self.doc.spans.children(parent_index).collect();
        let at = siblings.iter().position(|(sibling, _)| *sibling == index)?;
        let next = siblings.get(at + 1);
        if siblings.len() == 1 {
            let empty = if node.key == NO_KEY { Value::Array(vec![]) } else { Value::Object(Map::new()) };
            return self.replace(above, &empty);
        }
        let nothing = String::new();
        if is_flow(parent.form) {
            return Some(match (next, at.checked_sub(1).and_then(|at| siblings.get(at))) {
                (Some((_, next)), _) => Edit { start: start(node), end: start(next), text: nothing },
                (None, Some((_, before))) => Edit { start: end(before), end: end(node), text: nothing },
                (None, None) => return None,
            });
        }
        let begin = |index: usize, node: &Node| {
            if parent.form == Form::BlockMap {
                return Some(node.key.start as usize);
            }
            self.dash(&above.iter().copied().chain([index]).collect::<Vec<_>>())
        };
        let from = begin(index, node)?;
        let line = self.line_start(from);
        if slice(self.chunk, line..from).trim().is_empty() {
            let line_end = self.line_end(end(node));
            let broken = slice(self.chunk, line_end..self.chunk.len());
            let to = line_end + broken.find('\n').map_or(broken.len(), |at| at + 1);
            return Some(Edit { start: line, end: to, text: nothing });
        }
        // The first of several behind a dash: the next one takes its place.
        let (next, next_node) = next?;
        Some(Edit { start: from, end: begin(*next, next_node)?, text: nothing })
    }

    /// The end of what a value belongs to: its key's colon, its dash, or nothing at the root.
    fn owner_end(&self, trail: &[usize]) -> Option<usize> {
        let (&index, above) = trail.split_last()?;
        if above.is_empty() {
            return Some(0);
        }
        let node = self.node(index)?;
        if node.key == NO_KEY {
            return Some(self.dash(trail)? + 1);
        }
        let key_end = node.key.end as usize;
        let colon = slice(self.chunk, key_end..self.chunk.len()).find(':')?;
        Some(key_end + colon + 1)
    }

    /// Where the dash of an item of a block stands.
    fn dash(&self, trail: &[usize]) -> Option<usize> {
        let (&index, above) = trail.split_last()?;
        let parent = *above.last()?;
        let before = self.doc.spans.children(parent).take_while(|(at, _)| *at < index).last();
        let mut at = match before {
            Some((before, node)) if node.value.start == node.value.end => {
                let trail: Vec<_> = above.iter().copied().chain([before]).collect();
                self.dash(&trail)? + 1
            }
            Some((_, node)) => end(node),
            None => self.owner_end(above)?,
        };
        loop {
            let rest = slice(self.chunk, at..self.chunk.len());
            let skipped = rest.trim_start_matches([' ', '\t', '\r', '\n', '\u{FEFF}']);
            at += rest.len() - skipped.len();
            match skipped.chars().next()? {
                '-' => return Some(at),
                '#' => at = self.line_end(at),
                // An anchor or a tag of the array.
                '&' | '!' => at += skipped.find(char::is_whitespace)?,
                _ => return None,
            }
        }
    }

    fn first_dash(&self, trail: &[usize]) -> Option<usize> {
        let (first, _) = self.doc.spans.children(*trail.last()?).next()?;
        self.dash(&trail.iter().copied().chain([first]).collect::<Vec<_>>())
    }

    /// How this document indents the dashes below a key; by two if it has none.
    fn dash_indent(&self) -> usize {
        let mut trail = vec![0];
        self.find_dash_indent(&mut trail).unwrap_or(2)
    }

    fn find_dash_indent(&self, trail: &mut Trail) -> Option<usize> {
        let index = *trail.last()?;
        let node = self.node(index)?;
        if node.form == Form::BlockSeq && node.key != NO_KEY {
            return self.column(self.first_dash(trail)?).checked_sub(self.column(node.key.start as usize));
        }
        for (child, _) in self.doc.spans.children(index) {
            trail.push(child);
            if let Some(found) = self.find_dash_indent(trail) {
                return Some(found);
            }
            trail.pop();
        }
        None
    }

    /// `text` on lines of its own after the line of byte `after`.
    fn new_lines(&self, after: usize, column: usize, text: &str) -> Edit {
        let at = self.line_end(after);
        let mut lines = String::new();
        self.style.new_line(&mut lines, column);
        lines.push_str(text);
        Edit { start: at, end: at, text: lines }
    }

    /// What separates new values from the one at `start`, as that one is from those before it.
    fn separator(&self, start: usize) -> String {
        match self.indent_of_line(start) {
            Some(indent) => format!(",{}{indent}", self.style.newline),
            None => ", ".to_owned(),
        }
    }

    /// The white space before byte `at` on its line, if nothing else stands there.
    fn indent_of_line(&self, at: usize) -> Option<&str> {
        let line = self.line_start(at);
        let before = slice(self.chunk, line..at);
        (line > 0 && before.trim().is_empty()).then_some(before)
    }

    fn line_start(&self, at: usize) -> usize {
        let after = self.lines.partition_point(|start| *start <= at);
        after.checked_sub(1).and_then(|line| self.lines.get(line)).copied().unwrap_or_default()
    }

    /// The end of the line of byte `at`, before its line break.
    fn line_end(&self, at: usize) -> usize {
        let after = self.lines.partition_point(|start| *start <= at);
        let end = self.lines.get(after).map_or(self.chunk.len(), |next| next - 1);
        if slice(self.chunk, at..end).ends_with('\r') { end - 1 } else { end }
    }

    /// How many characters stand before byte `at` on its line.
    fn column(&self, at: usize) -> usize {
        slice(self.chunk, self.line_start(at)..at).chars().filter(|c| *c != '\u{FEFF}').count()
    }
}

pub(super) fn is_flow(form: Form) -> bool {
    matches!(form, Form::FlowMap | Form::FlowSeq)
}

/// Where a value starts, with its key.
pub(super) fn start(node: &Node) -> usize {
    if node.key == NO_KEY { node.value.start as usize } else { node.key.start as usize }
}

/// Where a value ends, with its key.
pub(super) fn end(node: &Node) -> usize {
    node.value.end.max(node.key.end) as usize
}
